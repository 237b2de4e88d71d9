//! `query`, `export views`, `completions` and `man`, through the binary; amounts
//! against sums of the same files, read by arrow.

use std::fs;

use spendbook::{money::Usd, record::CHARGES};

use crate::support::{CONFIG, Ran, TestRun, request};

fn ok(run: &TestRun, arguments: &[&str]) -> String {
    let ran = run.run(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran.stdout
}

fn query(run: &TestRun, sql: &str) -> String {
    ok(run, &["query", "--format", "csv", sql])
}

/// A book of three days, priced by the bundled price book.
fn book() -> TestRun {
    let located = concat!("path = \"book\"\npricing = \"", env!("CARGO_MANIFEST_DIR"), "/pricing\"");
    let run = TestRun::with(&CONFIG.replace("path = \"book\"", located));
    for day in 1..=3 {
        let line = |hour: i64| {
            let at = format!("2026-06-0{day}T{hour:02}:07:00Z");
            request(&format!("chatcmpl-{day}-{hour}"), &at, 1_000 * day + hour, 333 + hour)
        };
        let mut text: String = (0..24).map(line).collect();
        text.push_str(
            &request(&format!("unknown-{day}"), &format!("2026-06-0{day}T12:00:00Z"), 5, 5)
                .replace("\"model\":\"", "\"provider\":\"nowhere\",\"model\":\"unheard-of-"),
        );
        run.write(&format!("logs/{day}.jsonl"), text);
    }
    run.ingest();
    let priced = run.run(&["price"]);
    assert_eq!(priced.code, 0, "{priced:?}");
    run
}

fn costs(run: &TestRun) -> Vec<Option<Usd>> {
    let cost = |row: &String| {
        let text = row.split(' ').find_map(|cell| cell.strip_prefix("cost="));
        text.map(|text| Usd::parse(text).unwrap())
    };
    run.rows("charges").iter().map(cost).collect()
}

#[test]
fn a_sum_in_sql_is_the_exact_sum() {
    let run = book();
    let costs = costs(&run);
    let sum: i128 = costs.iter().flatten().map(|cost| cost.pico()).sum();
    let sum = Usd::from_pico(sum).unwrap();
    assert!(sum > Usd::ZERO && costs.iter().any(Option::is_none));
    assert_eq!(query(&run, "SELECT sum(cost) FROM charges"), format!("cost\n{sum}\n"));
    assert_eq!(query(&run, "SELECT SUM(cost) AS total FROM rollup"), format!("total\n{sum}\n"));
    // A sum of nothing known is not known, though elsewhere this engine says 0.
    let unpriced =
        "SELECT sum(cost) AS cost, count(cost) AS known, count(*) AS requests FROM charges WHERE basis = 'unpriced'";
    assert_eq!(query(&run, unpriced), "cost,known,requests\n,0,3\n");
}

#[test]
fn a_date_is_a_column_of_every_table_and_only_its_file_is_read() {
    let run = book();
    let sql = "SELECT date, count(*) AS requests FROM usage WHERE date >= '2026-06-02' GROUP BY date ORDER BY date";
    assert_eq!(query(&run, sql), "date,requests\n2026-06-02,25\n2026-06-03,25\n");
    let sql = "SELECT count(*) AS n FROM usage WHERE ts >= '2026-06-03' AND ts < '2026-06-03 02:00:00'";
    assert_eq!(query(&run, sql), "n\n2\n");
    // A day that is not asked for may be damaged.
    fs::write(run.path("book/usage/date=2026-06-03/usage.parquet"), b"PAR1 this is no table PAR1").unwrap();
    let sql = "SELECT sum(output_tokens) AS tokens FROM usage WHERE date = '2026-06-01'";
    let tokens: i64 = (0..24).map(|hour| 333 + hour).sum::<i64>() + 5;
    assert_eq!(query(&run, sql), format!("tokens\n{tokens}\n"));
    let ran = run.run(&["query", "SELECT sum(output_tokens) FROM usage"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("cannot be read") && ran.stderr.lines().count() == 1, "{ran:?}");
}

#[test]
fn values_are_written_as_elsewhere() {
    let run = book();
    let sql = "SELECT ts, request_id, cost, latency_ms, gateway_cache, avg(input_tokens) OVER () > 1 AS big \
               FROM charges WHERE request_id = 'chatcmpl-1-0'";
    let text = ok(&run, &["query", "--format", "json", sql]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = &value[0];
    assert_eq!((&row["ts"], &row["request_id"]), (&"2026-06-01T00:07:00Z".into(), &"chatcmpl-1-0".into()));
    assert_eq!(
        (&row["latency_ms"], &row["gateway_cache"], &row["big"]),
        (&serde_json::Value::Null, &false.into(), &true.into())
    );
    assert!(row["cost"].is_string(), "{row}");
    ok(&run, &["query", "--format", "parquet", "--output", "all.parquet", "SELECT * FROM charges"]);
    let rows = crate::support::rows_of_file(fs::read(run.path("all.parquet")).unwrap(), &["date"]).unwrap();
    let mut stored = run.rows("charges");
    let mut rows = rows;
    rows.sort();
    stored.sort();
    assert_eq!(rows, stored);
}

#[test]
fn a_table_without_files_is_empty_and_has_its_columns() {
    let run = TestRun::new();
    run.write("logs/a.jsonl", "");
    run.ingest();
    let header = query(&run, "SELECT * FROM charges");
    let names: Vec<_> = CHARGES.iter().map(|column| column.name).chain(["date"]).collect();
    assert_eq!(header.trim_end(), names.join(","));
    assert_eq!(query(&run, "SELECT count(*) AS n, sum(cost) AS cost FROM rollup"), "n,cost\n0,\n");
}

#[test]
fn what_is_wrong_with_the_sql_is_said_in_one_line() {
    let run = book();
    for (sql, expect) in [
        ("SELECT cots FROM charges", "cots"),
        ("SELECT * FROM charge", "charge"),
        ("SELECT FROM WHERE", "SELECT FROM WHERE"),
        ("SELECT 1; SELECT 2", "one"),
        ("DROP TABLE usage", "is not a SELECT"),
        ("DELETE FROM usage", "is not a SELECT"),
        ("", "is not a SELECT"),
    ] {
        let Ran { code, stdout, stderr } = run.run(&["query", sql]);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{sql}: {stderr}");
        assert!(stderr.contains(expect), "{sql}: {stderr}");
    }
    assert_eq!(run.run(&["query"]).code, 2);
    let ran = run.run(&["query", "--describe", "nothing"]);
    assert!(ran.code == 2 && ran.stderr.contains("`rollup`"), "{ran:?}");
}

#[test]
fn tables_and_columns_are_listed() {
    let run = book();
    let list = ok(&run, &["query", "--list", "--format", "csv"]);
    assert!(list.contains("charges,3,2026-06-01,2026-06-03,"), "{list}");
    let columns = ok(&run, &["query", "--describe", "charges", "--format", "csv"]);
    assert_eq!(columns.lines().count(), 1 + CHARGES.len() + 1);
    assert!(columns.contains("\ncost,\"DECIMAL(38,12)\",true,"), "{columns}");
}

#[test]
fn charges_that_are_behind_their_usage_are_told() {
    let run = book();
    run.append("logs/3.jsonl", request("late", "2026-06-03T23:00:00Z", 1, 1));
    run.ingest();
    let ran = run.run(&["query", "SELECT count(*) FROM charges"]);
    assert!(ran.code == 0 && ran.stderr.contains("one step apart"), "{ran:?}");
    assert_eq!(run.run(&["query", "SELECT count(*) FROM usage"]).stderr, "");
}

#[test]
fn views_name_every_table_by_its_absolute_path() {
    let run = book();
    let text = ok(&run, &["export", "views"]);
    let book = run.path("book").canonicalize().unwrap();
    let files = format!("read_parquet('{}/rollup/date=*/rollup.parquet'", book.display());
    assert!(text.contains(&files), "{text}");
    // Not audited: no file yet, and a view all the same.
    assert!(text.contains("VIEW violations AS\nSELECT CAST(NULL"), "{text}");
    assert_eq!(ok(&run, &["export", "views", "--output", "views.sql"]), "");
    assert_eq!(fs::read_to_string(run.path("views.sql")).unwrap(), text);
}

#[test]
fn shells_and_man_know_the_commands() {
    let run = TestRun::empty();
    for (shell, expect) in
        [("bash", "complete -F _spendbook"), ("zsh", "#compdef spendbook"), ("fish", "complete -c spendbook")]
    {
        let script = ok(&run, &["completions", shell]);
        assert!(script.contains(expect) && script.contains("what-if"), "{shell}");
    }
    assert_eq!(run.run(&["completions", "abacus"]).code, 2);
    let page = ok(&run, &["man"]);
    assert!(page.contains(".TH spendbook 1") && page.contains("spendbook\\-ingest(1)"), "{page}");
    assert_eq!(ok(&run, &["man", "--output", "man/man1"]), "");
    for name in ["spendbook.1", "spendbook-query.1", "spendbook-export-views.1"] {
        assert!(fs::read_to_string(run.path("man/man1").join(name)).unwrap().contains(".SH SYNOPSIS"), "{name}");
    }
}
