//! `query`, `export views`, `completions` and `man`, through the binary; amounts
//! against sums of the same files, read by arrow.

use std::fs;

use spendbook::{
    money::Usd,
    record::{CHARGES, Measure, Meter},
    time::Day,
    totals::{self, TotalRow},
};

use crate::support::{CONFIG, Ran, TestRun, request};

fn ok(run: &TestRun, arguments: &[&str]) -> String {
    let ran = run.run(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran.stdout
}

fn query(run: &TestRun, sql: &str) -> String {
    ok(run, &["query", "--format", "csv", sql])
}

/// The usual config, with the bundled price book.
fn config() -> String {
    let located = concat!("path = \"book\"\npricing = \"", env!("CARGO_MANIFEST_DIR"), "/pricing\"");
    CONFIG.replace("path = \"book\"", located)
}

/// A book of three days, priced.
fn book() -> TestRun {
    let run = TestRun::with(&config());
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
fn what_is_wrong_with_the_sql_is_said_with_its_place() {
    let run = book();
    for (sql, expect) in [
        (
            "SELECT cots FROM charges",
            "line 1, column 8: not found: unable to find column \"cots\", did you mean `cost`?",
        ),
        ("SELECT price FROM charges", "unable to find column \"price\"; `spendbook query --list` shows the tables"),
        (
            "SELECT count(*) FROM charges WHERE date >= 2026-06-01",
            "line 1, column 44: `date` is a date, and is compared with a number: write a date in quotes, `'2026-06-01'`",
        ),
        (
            "SELECT count(*) FROM usage AS u\nWHERE u.ts BETWEEN '2026-06-01' AND 20260602",
            "line 2, column 37: `ts` is an instant",
        ),
        (
            "SELECT count(*) FROM charges WHERE date = '2026-06-31'",
            "column 43: `date` is a date, and `2026-06-31` cannot be read as one: expected one that exists, such as `'2026-06-01'`",
        ),
        ("SELECT count(*) FROM charges WHERE date >= '2026-6-1'", "cannot be read as one: expected `'2026-06-01'`"),
        (
            "SELECT count(*) FROM charges WHERE ts >= '2026-06-01T00:00:00Z'",
            "cannot be read as one: expected `'2026-06-01 00:00:00'`, in UTC and without `Z`",
        ),
        (
            "SELECT count(*) FROM (SELECT ts AS t FROM usage) WHERE t > 'soon'",
            "write a date as `'2026-06-01'` and an instant as `'2026-06-01 06:00:00'`",
        ),
        (
            "SELECT model FROM charges WHERE (provider, model) IN (SELECT provider, model FROM prices)",
            "the engine cannot compare several columns at once, `(a, b)`: compare them one by one",
        ),
        ("SELECT *\n  FROM charge", "line 2, column 8: relation 'charge' was not found, did you mean `charges`?"),
        ("SELECT sum(cost cost) FROM charges", "line 1, column 17"),
        ("SELECT FROM WHERE", "WHERE"),
        ("SELECT 1; SELECT 2", "one"),
        ("SELECT CAST(model AS DECIMAL(99, 99)) FROM charges", "the engine cannot do this"),
        ("SELECT ts + INTERVAL '1 fortnight' FROM charges", "the engine cannot do this"),
        (&format!("SELECT 1{}", "+1".repeat(2_000)), "the SQL has 2000 operators, expected at most 400"),
        ("DROP TABLE usage", "is not a SELECT"),
        ("DELETE FROM usage", "is not a SELECT"),
        ("", "is not a SELECT"),
    ] {
        let Ran { code, stdout, stderr } = run.run(&["query", sql]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{sql}: {stderr}");
        let mut lines = stderr.lines();
        assert!(lines.next().unwrap().contains(expect), "{sql}: {stderr}");
        // Then the line, and a mark under the place.
        let shown: Vec<&str> = lines.collect();
        assert!(shown.is_empty() || (shown.len() == 2 && shown[1].trim_end().ends_with('^')), "{sql}: {stderr}");
    }
    let marked = run.run(&["query", "SELECT *\n  FROM charge"]).stderr;
    assert!(marked.ends_with("\n 2 |   FROM charge\n   |        ^^^^^^\n"), "{marked}");
    assert_eq!(run.run(&["query"]).code, 2);
    let ran = run.run(&["query", "--describe", "nothing"]);
    assert!(ran.code == 2 && ran.stderr.contains("`rollup`") && ran.stderr.contains("`budgets`"), "{ran:?}");
}

#[test]
fn a_long_condition_and_a_longer_list_are_answered() {
    let run = book();
    let ids = |count: i64| (0..count).map(|number| format!("'chatcmpl-1-{number}'"));
    let list = ids(5_000).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT count(*) AS n FROM usage WHERE request_id IN ({list})");
    assert_eq!(query(&run, &sql), "n\n24\n");
    let any = ids(200).map(|id| format!("request_id = {id}")).collect::<Vec<_>>().join(" OR ");
    assert_eq!(query(&run, &format!("SELECT count(*) AS n FROM usage WHERE {any}")), "n\n24\n");
}

#[test]
fn what_the_engine_will_do_otherwise_is_no_concern_of_the_one_who_asks() {
    let run = book();
    let sql = "SELECT count(*) AS n FROM usage WHERE date >= DATE '2026-06-02'";
    assert_eq!(query(&run, sql), "n\n50\n");
}

/// What the page of questions says of those that only DuckDB can answer.
#[test]
fn questions_run_as_they_are_but_for_those_that_are_named() {
    let run = book();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ANALYSTS.md")).unwrap();
    let mut failed = Vec::new();
    for question in page.split("\n## ").skip(1) {
        let (number, _) = question.split_once('.').unwrap();
        for block in question.split("```sql\n").skip(1) {
            let ran = run.run(&["query", "--format", "csv", block.split("```").next().unwrap()]);
            assert!(matches!(ran.code, 0 | 2) && !ran.stderr.contains("Location("), "{number}: {ran:?}");
            if ran.code == 2 && failed.last() != Some(&number) {
                failed.push(number);
            }
        }
    }
    let (last, first) = failed.split_last().unwrap();
    let sentence = format!("All but {} and {last}, which need what only DuckDB has, run in", first.join(", "));
    assert!(page.contains(&sentence), "{sentence}");
}

/// A number is compared where it is one.
#[test]
fn a_number_under_the_name_of_a_date_is_no_mistake() {
    let run = book();
    let sql =
        "WITH days AS (SELECT extract(day FROM ts) AS date FROM usage) SELECT count(*) AS n FROM days WHERE date >= 2";
    assert_eq!(query(&run, sql), "n\n50\n");
}

#[test]
fn prices_are_the_rows_of_the_price_book() {
    let run = book();
    // As many as there are in its files, whose rows none breaks over lines.
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/pricing");
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|it| it == "csv") && !matches!(name.as_str(), "aliases.csv" | "pins.csv") {
            count += csv::Reader::from_path(&path).unwrap().records().count();
        }
    }
    assert!(count > 100, "{count}");
    assert_eq!(query(&run, "SELECT count(*) AS n FROM prices"), format!("n\n{count}\n"));
    // What is in force is what `pricing show` shows.
    let shown = ok(&run, &["pricing", "show", "llama-3.3-70b-versatile", "--format", "csv"]);
    let sql = "SELECT provider, model, tier, meter, price_usd, per, min_quantity, kind, valid_from \
               FROM prices WHERE in_force AND model = 'llama-3.3-70b-versatile' AND price_usd IS NOT NULL";
    let asked = query(&run, sql);
    assert!(asked.lines().count() > 2, "{asked}");
    let shown: Vec<String> = shown.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect();
    for line in asked.lines().skip(1) {
        // Where nothing is the least, one says 0 and the other nothing.
        let line = line.replace(",,", ",0,");
        assert!(shown.contains(&line), "{line} is not in {shown:?}");
    }
}

#[test]
fn teams_keys_and_budgets_are_what_the_commands_show() {
    let run = TestRun::with(&format!(
        "{}[teams.chat]\nowners = [\"a@example.com\"]\nmonthly_budget_usd = \"5\"\nallowed_models = [\"a\", \"b\"]\n\
         [teams.other]\n[[key]]\nname = \"chat-key\"\nteam = \"chat\"\n",
        config()
    ));
    let at = "2026-06-02T10:00:00Z";
    run.write("logs/a.jsonl", request("chatcmpl-1", at, 1_000, 10).replace('{', "{\"key\":\"chat-key\","));
    run.ingest();
    assert_eq!(run.run(&["price"]).code, 0);
    let teams = query(&run, "SELECT team, owners, allowed_models FROM teams");
    assert_eq!(teams, "team,owners,allowed_models\nchat,a@example.com,\"a, b\"\nother,,\n");
    let keys = ok(&run, &["keys", "--format", "csv"]);
    let header = keys.lines().next().unwrap();
    assert_eq!(query(&run, &format!("SELECT {header} FROM keys")).replace("\"\"", ""), keys);
    let budgets = ok(&run, &["status", "--format", "csv"]);
    let header = budgets.lines().next().unwrap();
    let asked = header.replace(",from,until,", ",period_from AS \"from\",period_until AS until,");
    let asked = query(&run, &format!("SELECT {asked} FROM budgets"));
    assert_eq!(asked, budgets);
    assert!(asked.lines().count() > 2 && asked.contains("no budget"), "{asked}");
}

#[test]
fn tables_and_columns_are_listed() {
    let run = book();
    let list = ok(&run, &["query", "--list", "--format", "csv"]);
    assert!(list.contains("charges,3,2026-06-01,2026-06-03,"), "{list}");
    let columns = ok(&run, &["query", "--describe", "charges", "--format", "csv"]);
    assert_eq!(columns.lines().count(), 1 + CHARGES.len() + 1);
    assert!(columns.contains("\ncost,\"DECIMAL(38,12)\",true,"), "{columns}");
    assert!(list.contains("\nprices,,,,the rows of the price book\n"), "{list}");
    let columns = ok(&run, &["query", "--describe", "prices", "--format", "csv"]);
    assert!(columns.contains("\nprice_usd,\"DECIMAL(38,12)\",true,") && !columns.contains("\ndate,"), "{columns}");
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
fn totals_are_a_table_over_every_source() {
    let run = book();
    assert_eq!(query(&run, "SELECT count(*) AS n FROM totals"), "n\n0\n");
    let book = crate::support::book(&run.path("book"));
    // A name that could be a number is a text.
    for (source, day, output) in [("2026", 1, 100), ("2026", 2, 20), ("billing", 2, 3)] {
        let day = Day::parse(&format!("2026-06-0{day}")).unwrap();
        totals::write(&book, source, day, vec![total(source, day, output)]).unwrap();
    }
    drop(book);
    let sql = "SELECT source, date, output_tokens, cost FROM totals WHERE date >= '2026-06-02' ORDER BY source";
    assert_eq!(
        query(&run, sql),
        "source,date,output_tokens,cost\n2026,2026-06-02,20,0.000000000020\nbilling,2026-06-02,3,0.000000000003\n"
    );
    assert_eq!(query(&run, "SELECT sum(output_tokens) AS n FROM totals WHERE source = '2026'"), "n\n120\n");
    let exported = ok(&run, &["export", "csv", "totals"]);
    assert_eq!(exported, query(&run, "SELECT * FROM totals"));
    let ran = run.run(&["export", "csv", "totals", "--period", "2026-06"]);
    assert!(ran.code == 2 && ran.stderr.contains("of stretches of their own"), "{ran:?}");
    let list = ok(&run, &["query", "--list", "--format", "csv"]);
    assert!(list.contains("\ntotals,2,2026-06-01,2026-06-02,"), "{list}");
    let views = ok(&run, &["export", "views"]);
    let files = "book/totals/source=*/date=*/totals.parquet', hive_partitioning = true, \
                 hive_types = {'source': VARCHAR, 'date': DATE});";
    assert!(views.contains(files), "{views}");
}

fn total(source: &str, day: Day, output: i64) -> TotalRow {
    let mut row = TotalRow::about(source, "groq", day.start(), day.end());
    row.measure = Measure::Both;
    row.quantities[Meter::OutputTokens] = Some(output);
    row.cost = Usd::from_pico(output.into());
    row
}

#[test]
fn views_name_every_table_by_its_absolute_path() {
    let run = book();
    let text = ok(&run, &["export", "views"]);
    let book = run.path("book").canonicalize().unwrap();
    let files = format!("read_parquet('{}/rollup/date=*/rollup.parquet'", book.display());
    assert!(text.contains(&files), "{text}");
    // Every row of the price book, as text that is cast.
    assert!(text.contains("CAST(\"price_usd\" AS DECIMAL(38,12)) AS \"price_usd\""), "{text}");
    assert!(text.contains("('groq', 'llama-3.3-70b-versatile', "), "{text}");
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
