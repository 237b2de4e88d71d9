//! `export csv` and `export parquet` through the binary: tables against the files
//! of the book, cell by cell, and reports against what their own commands write.

use std::collections::BTreeMap;

use spendbook::{money::Usd, time::Instant};

use crate::support::{Ran, TestRun, cells_of_file, files_below};

const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"
timezone = "Asia/Kolkata"

[organization]
name = "Example"
monthly_budget_usd = "10"

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"

[teams.chat]
monthly_budget_usd = "1"
allowed_models = ["m"]
"#;

const PRICES: &str = "\
provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,0.59,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,output_tokens,0.79,1M,,2026-01-01,,2026-01-01,list,,
";

/// Requests of an hour before and an hour after midnight in Kolkata, on three days.
fn book() -> TestRun {
    let run = TestRun::with(CONFIG);
    run.write("pricing/groq.csv", PRICES);
    let mut log = String::new();
    for at in 0..120 {
        let (day, hour) = (["2026-05-31", "2026-06-01", "2026-06-02"][at % 3], 18 + at % 2);
        let key = ["chat-prod", "=HYPERLINK(1)", "x,\\\"y\\\"\\nz"][at % 5 % 3];
        let model = ["m", "m", "other"][at % 7 % 3];
        log.push_str(&format!(
            "{{\"ts\":\"{day}T{hour}:{:02}:00.{at:03}Z\",\"request_id\":\"chatcmpl-{at:032}\",\"key\":\"{key}\",\
             \"model\":\"{model}\",\"http_status\":200,\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":7}}}}\n",
            at % 60,
            at * 13 + 1
        ));
    }
    run.write("logs/gateway.jsonl", log);
    run.ingest();
    for command in [&["price"][..], &["audit"]] {
        let ran = run.run(command);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    run
}

fn export(run: &TestRun, arguments: &[&str]) -> Ran {
    let ran = run.run(&[&["export"], arguments].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}: {ran:?}");
    ran
}

/// A row by the names of its columns, without what is null.
type Cells = BTreeMap<String, String>;

/// The rows of a table as its day files have them, and the days of their paths.
fn of_files(run: &TestRun, table: &str) -> Vec<Cells> {
    let mut rows = Vec::new();
    for (path, bytes) in files_below(&run.path("book").join(table)) {
        let day = path.split(['=', '/']).nth(1).unwrap().to_owned();
        rows.extend(cells_of_file(bytes).into_iter().map(|mut row| {
            row.insert("date".to_owned(), day.clone());
            row
        }));
    }
    rows
}

fn of_csv(text: &[u8]) -> Vec<Cells> {
    let mut reader = csv::Reader::from_reader(text);
    let names = reader.headers().unwrap().clone();
    let row = |row: Result<csv::StringRecord, _>| {
        let row = row.unwrap();
        let cells = names.iter().zip(row.iter()).filter(|(_, cell)| !cell.is_empty());
        // What a formula would begin with has a sign in front.
        let plain = |cell: &str| cell.strip_prefix('\'').unwrap_or(cell).to_owned();
        cells.map(|(name, cell)| (name.to_owned(), plain(cell))).collect()
    };
    reader.records().map(row).collect()
}

#[test]
fn a_table_is_its_day_files_after_one_another() {
    let run = book();
    for table in ["usage", "charges", "rollup", "violations"] {
        let expect = of_files(&run, table);
        assert!(expect.len() > 3, "{table}");
        let csv = format!("{table}.csv");
        export(&run, &["csv", table, "--output", &csv]);
        let text = std::fs::read(run.path(&csv)).unwrap();
        assert_eq!(of_csv(&text), expect, "{table}");
        assert_eq!(export(&run, &["csv", table]).stdout.as_bytes(), text, "{table}");
        let parquet = format!("{table}.parquet");
        export(&run, &["parquet", table, "--output", &parquet]);
        let bytes = std::fs::read(run.path(&parquet)).unwrap();
        assert_eq!(cells_of_file(bytes.clone()), expect, "{table}");
        export(&run, &["parquet", table, "--output", &parquet]);
        assert!(std::fs::read(run.path(&parquet)).unwrap() == bytes, "{table}: the same rows, the same bytes");
        // The same names in the same order as SQL has them.
        let asked = run.run(&["query", "--format", "csv", &format!("SELECT * FROM {table} LIMIT 0")]);
        assert_eq!(text.split(|byte| *byte == b'\n').next().unwrap(), asked.stdout.trim_end().as_bytes(), "{table}");
    }
    let text = export(&run, &["csv", "charges"]).stdout;
    assert!(text.contains("'=HYPERLINK(1)"), "no cell is a formula");
    assert!(text.contains("\"x,\"\"y\"\"\nz\""), "{text}");
}

#[test]
fn a_period_is_that_of_the_books_zone() {
    let run = book();
    // The first of June begins in Kolkata at half past six of the evening before.
    let (from, until) = ("2026-05-31T18:30:00Z", "2026-06-01T18:30:00Z");
    for (table, time) in [("charges", "ts"), ("rollup", "bucket_start"), ("violations", "ts")] {
        let all = of_files(&run, table);
        let at = |row: &Cells| Instant::parse(&row[time], chrono_tz::Tz::UTC).unwrap();
        let [from, until] = [from, until].map(|text| Instant::parse(text, chrono_tz::Tz::UTC).unwrap());
        let expect: Vec<_> = all.iter().filter(|row| from <= at(row) && at(row) < until).cloned().collect();
        assert!(!expect.is_empty() && expect.len() < all.len(), "{table}: {} of {}", expect.len(), all.len());
        let found = export(&run, &["csv", table, "--period", "2026-06-01"]).stdout;
        assert_eq!(of_csv(found.as_bytes()), expect, "{table}");
    }
    let cost = |rows: &[Cells], name: &str| -> i128 {
        rows.iter().filter_map(|row| row.get(name)).map(|text| Usd::parse(text).unwrap().pico()).sum()
    };
    let june = ["--period", "2026-06"];
    let charges = of_csv(export(&run, &[&["csv", "charges"], &june[..]].concat()).stdout.as_bytes());
    let teams = of_csv(export(&run, &[&["csv", "top-teams"], &june[..]].concat()).stdout.as_bytes());
    assert!(cost(&charges, "cost") > 0);
    assert_eq!(cost(&charges, "cost"), cost(&teams, "cost"));
}

#[test]
fn reports_and_made_tables_are_what_their_commands_write() {
    let run = book();
    for (listing, command) in [
        (&["top-models"][..], &["top", "models", "--limit", "1000"][..]),
        (&["top-keys", "--period", "last-month"], &["top", "keys", "--limit", "1000", "--period", "last-month"]),
        (&["status"], &["status"]),
        (&["budgets"], &["query", "SELECT * FROM budgets"]),
        (&["prices"], &["query", "SELECT * FROM prices"]),
    ] {
        let expect = run.run(&[command, &["--format", "csv"]].concat());
        assert!(expect.code == 0 && expect.stdout.lines().count() > 1, "{expect:?}");
        assert_eq!(export(&run, &[&["csv"], listing].concat()).stdout, expect.stdout, "{listing:?}");
        let to = ["--output", "theirs.parquet"];
        let theirs = run.run(&[command, &["--format", "parquet"], &to].concat());
        assert_eq!(theirs.code, 0, "{theirs:?}");
        export(&run, &[&["parquet"], listing, &["--output", "ours.parquet"]].concat());
        let [theirs, ours] = ["theirs.parquet", "ours.parquet"].map(|name| std::fs::read(run.path(name)).unwrap());
        assert!(ours == theirs, "{listing:?}");
    }
}

#[test]
fn what_cannot_be_is_told() {
    let run = book();
    for (arguments, code, expect) in [
        (&["csv", "invoices"][..], 2, "charges"),
        (&["csv", "charges", "--period", "june"], 2, "`--period`"),
        (&["csv", "prices", "--period", "2026-06"], 2, "`prices` is as it is now"),
        (&["csv", "status", "--period", "2026-06"], 2, "`status` is as it is now"),
        (&["csv", "charges", "--output", "none/charges.csv"], 1, "none/charges.csv"),
    ] {
        let ran = run.run(&[&["export"], arguments].concat());
        assert!(ran.code == code && ran.stderr.contains(expect), "{arguments:?}: {ran:?}");
    }
    let empty = export(&run, &["csv", "charges", "--period", "2026-09"]).stdout;
    assert_eq!(empty.lines().count(), 1, "its header: {empty}");
    run.write("book/charges/date=2026-06-01/charges.parquet", "rubbish");
    let ran = run.run(&["export", "csv", "charges", "--output", "charges.csv"]);
    assert!(ran.code == 1 && ran.stderr.contains("date=2026-06-01/charges.parquet` is damaged"), "{ran:?}");
    assert!(!run.path("charges.csv").exists(), "nothing is written by halves");
}
