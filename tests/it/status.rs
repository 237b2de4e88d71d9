//! `status`, `top` and `export budget-state` through the real binary, on the
//! demo's workspace: every amount against an addition of the charges that knows
//! nothing of the program, the boundaries of a budget, and what reading leaves
//! alone.

use std::{collections::BTreeMap, fs};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Decimal128Type, TimestampMicrosecondType},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use spendbook::{money::Usd, time::Instant};

use crate::{
    priced::{PRICE_HEADER, at},
    support::{CONFIG, Ran, TestRun, files_below},
};

const NOW: &str = "2026-06-19T02:00:00Z";

/// A book as the demo's night leaves it.
struct Demo {
    run: TestRun,
}

impl Demo {
    fn new() -> Self {
        let run = TestRun::new();
        let demo = Self { run };
        let ran = demo.run.run_at(NOW, &["-q", "demo", "demo"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        demo
    }

    fn ask_at(&self, now: &str, arguments: &[&str]) -> Ran {
        self.run.run_at(now, &[&["--config", "demo/spendbook.toml"], arguments].concat())
    }

    fn ask(&self, arguments: &[&str]) -> Ran {
        let ran = self.ask_at(NOW, arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ask(&[arguments, &["--format", "json"]].concat()).stdout).unwrap()
    }

    fn edit_config(&self, from: &str, to: &str) {
        let path = self.run.path("demo/spendbook.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn charges(&self) -> Vec<Charge> {
        let mut charges = Vec::new();
        for bytes in files_below(&self.run.path("demo/book/charges")).into_values() {
            for batch in ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                charges.extend((0..batch.num_rows()).map(|row| Charge::of(&batch, row)));
            }
        }
        charges
    }
}

/// A request and its cost, read as an analyst would.
struct Charge {
    ts: i64,
    texts: BTreeMap<&'static str, Option<String>>,
    pico: Option<i128>,
}

impl Charge {
    fn of(batch: &RecordBatch, row: usize) -> Self {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let text = |name: &'static str| {
            let column = column(name);
            (name, column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned()))
        };
        let cost = column("cost");
        Self {
            ts: column("ts").as_primitive::<TimestampMicrosecondType>().value(row),
            texts: ["team", "key", "user", "provider", "model_billed", "basis"].map(text).into(),
            pico: cost.is_valid(row).then(|| cost.as_primitive::<Decimal128Type>().value(row)),
        }
    }

    fn is_in(&self, from: &str, until: &str) -> bool {
        (at(from).micros()..at(until).micros()).contains(&self.ts)
    }
}

/// Sums by the value of a column, in pico-dollars.
fn sums<'c>(charges: impl Iterator<Item = &'c Charge>, by: &str) -> BTreeMap<Option<String>, i128> {
    let mut sums = BTreeMap::new();
    for charge in charges {
        *sums.entry(charge.texts[by].clone()).or_default() += charge.pico.unwrap_or_default();
    }
    sums
}

/// What the demo's two teams pay of the pool `search`: 60 and 40 of a hundred.
fn parts(pool: i128) -> [(&'static str, i128); 2] {
    let chatbot = pool * 60 / 100 + i128::from(pool * 60 % 100 > pool * 40 % 100);
    [("chatbot", chatbot), ("research", pool - chatbot)]
}

fn pico(value: &Value) -> i128 {
    Usd::parse(value.as_str().unwrap_or_else(|| panic!("{value} is no amount"))).unwrap().pico()
}

fn named(value: &Value, column: &str) -> Option<String> {
    value[column].as_str().map(str::to_owned)
}

#[test]
fn spend_is_the_sum_of_charges_to_the_last_digit() {
    let demo = Demo::new();
    let charges = demo.charges();
    let june = || charges.iter().filter(|charge| charge.is_in("2026-06-01", "2026-07-01"));
    let by_team = sums(june(), "team");
    let pool = by_team[&Some("shared:search".to_owned())];
    let status = demo.json(&["status"]);
    let budgets = status["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), 4);
    for budget in budgets {
        let own = match named(budget, "name") {
            None => by_team.values().sum(),
            team => by_team[&team],
        };
        let team = named(budget, "name").unwrap_or_default();
        let shared = parts(pool).iter().find(|(name, _)| *name == team).map_or(0, |(_, part)| *part);
        assert_eq!((pico(&budget["own"]), pico(&budget["shared"])), (own, shared), "{team}");
        assert_eq!(pico(&budget["spend"]), own + shared, "{team}");
        assert_eq!(pico(&budget["remaining"]), pico(&budget["budget"]) - own - shared, "{team}");
        let percent = (own + shared) * 100 / pico(&budget["budget"]);
        assert_eq!(i128::from(budget["percent"].as_i64().unwrap()), percent, "{team}");
    }
    let chatbot = budgets.iter().find(|budget| budget["name"] == "chatbot").unwrap();
    assert_eq!((chatbot["percent"].as_i64(), chatbot["standing"].as_str()), (Some(82), Some("unknown")));
    let lines: i128 = status["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["name"] == "chatbot")
        .map(|it| pico(&it["cost"]))
        .sum();
    assert_eq!(lines, pico(&chatbot["spend"]));

    let count = |is: &dyn Fn(&&Charge) -> bool| i64::try_from(june().filter(is).count()).unwrap();
    // What no log shows is beside the month, not a part of it.
    let month = status["month"].as_array().unwrap().split_last().unwrap().1;
    let requests: Vec<_> = month.iter().map(|it| it["requests"].as_i64().unwrap()).collect();
    let is_basis = |basis: &'static str| move |it: &&Charge| it.texts["basis"].as_deref() == Some(basis);
    assert_eq!(
        requests,
        [
            count(&|_| true),
            count(&is_basis("unpriced")),
            count(&is_basis("fallback")),
            count(&|it| it.texts["team"].is_none())
        ]
    );
    assert_eq!(pico(&month[3]["cost"]), by_team[&None]);
}

#[test]
fn the_biggest_spenders_sum_to_all_that_was_charged() {
    let demo = Demo::new();
    let charges = demo.charges();
    let check = |period: &str, from: &str, until: &str, before: &str, before_until: &str| {
        for (subject, column) in [("models", "model_billed"), ("keys", "key"), ("users", "user"), ("teams", "team")] {
            let listed = demo.json(&["top", subject, "--period", period, "--limit", "1000"]);
            let name = column.trim_end_matches("_billed");
            for (cost, from, until) in [("cost", from, until), ("cost_before", before, before_until)] {
                let mut expect = sums(charges.iter().filter(|charge| charge.is_in(from, until)), column);
                if let Some(pool) = expect.remove(&Some("shared:search".to_owned())) {
                    for (team, part) in parts(pool) {
                        *expect.entry(Some(team.to_owned())).or_default() += part;
                    }
                }
                let mut found: BTreeMap<Option<String>, i128> = BTreeMap::new();
                for row in listed.as_array().unwrap() {
                    *found.entry(named(row, name)).or_default() += pico(&row[cost]);
                }
                found.retain(|name, pico| *pico != 0 || expect.contains_key(name));
                assert_eq!(found, expect, "{subject} {period} {cost}");
            }
            let costs: Vec<i128> = listed.as_array().unwrap().iter().map(|row| pico(&row["cost"])).collect();
            assert!(costs.is_sorted_by(|a, b| a >= b), "{subject} {period}: {costs:?}");
        }
    };
    // An open month is compared with as much of the one before.
    check("month", "2026-06-01", "2026-07-01", "2026-05-01", "2026-05-19T02:00:00Z");
    check("last-month", "2026-05-01", "2026-06-01", "2026-04-01", "2026-05-01");
    check("2026-W24", "2026-06-08", "2026-06-15", "2026-06-01", "2026-06-08");
    check("2026-06-03..2026-06-06", "2026-06-03", "2026-06-06", "2026-05-31", "2026-06-03");
    // Days of Kolkata begin at half past six in the evening before, UTC.
    demo.edit_config("timezone = \"UTC\"", "timezone = \"Asia/Kolkata\"");
    let day = |day: &str| format!("{day}T18:30:00Z");
    check("2026-06-10", &day("2026-06-09"), &day("2026-06-10"), &day("2026-06-08"), &day("2026-06-09"));
    check("2026-05", &day("2026-04-30"), &day("2026-05-31"), &day("2026-03-31"), &day("2026-04-30"));
}

#[test]
fn a_listing_is_the_same_in_every_format() {
    let demo = Demo::new();
    let table = demo.ask(&["top", "models", "--limit", "2"]).stdout;
    assert_eq!(
        table,
        "2026-06 so far (UTC): 3,604 requests, $233.94; against 2026-05 up to 2026-05-19T02:00:00Z\n\n \
         model                    provider  requests     cost   share  before  change\n \
         llama-3.3-70b-versatile  groq         3,034  $232.14  99.2 %  $64.41  +260.4 %\n \
         whisper-large-v3         groq            62    $1.04   0.4 %   $0.79  +32.3 %\n\n\
         and 8 more, $0.75\n\
         8 requests without a price: their cost is not known\n\
         14 requests priced by an estimate\n"
    );
    let json = demo.json(&["top", "models"]);
    let csv = demo.ask(&["top", "models", "--format", "csv"]).stdout;
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let header = csv.headers().unwrap().clone();
    for (record, row) in csv.records().map(Result::unwrap).zip(json.as_array().unwrap()) {
        for (name, value) in header.iter().zip(&record) {
            let expect = match &row[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert!(value == expect || value.strip_suffix(".0") == Some(&expect), "{name}: {value} is not {expect}");
        }
    }
    let silent = demo.ask(&["top", "models", "--format", "parquet", "--output", "models.parquet"]);
    assert_eq!(silent.stdout, "");
    let bytes = fs::read(demo.run.path("models.parquet")).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    let batch = batch.into_iter().next().unwrap().unwrap();
    let costs = batch.column_by_name("cost").unwrap().as_primitive::<Decimal128Type>().values().to_vec();
    let expect: Vec<i128> = json.as_array().unwrap().iter().map(|row| pico(&row["cost"])).collect();
    assert_eq!(costs, expect);
    for (arguments, code) in [
        (&["top", "models", "--period", "2026-13"][..], 2),
        (&["top", "models", "--period", "fortnight"], 2),
        (&["top", "everything"], 2),
        (&["status", "--max-age", "soon"], 2),
        (&["status", "--output", "none/such/status"], 1),
    ] {
        let ran = demo.ask_at(NOW, arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran:?}");
    }
}

/// The status of a team.
fn standing(status: &Value, team: &str) -> (Option<i64>, String, bool) {
    let budget = status["budgets"].as_array().unwrap().iter().find(|it| it["name"] == team).unwrap();
    (budget["percent"].as_i64(), named(budget, "standing").unwrap(), budget["is_exhausted"] == true)
}

#[test]
fn a_budget_is_reached_at_its_last_digit() {
    let demo = Demo::new();
    let status = demo.json(&["status"]);
    let budgets = status["budgets"].as_array().unwrap();
    let analytics = budgets.iter().find(|budget| budget["name"] == "analytics").unwrap();
    let spend = pico(&analytics["spend"]);
    let mut amount = "50".to_owned();
    for (more, expect, is_exhausted) in
        [(1, (99, "within"), false), (0, (100, "reached"), true), (-1, (100, "exceeded"), true)]
    {
        let next = Usd::from_pico(spend + more).unwrap().to_string();
        demo.edit_config(&format!("monthly_budget_usd = \"{amount}\""), &format!("monthly_budget_usd = \"{next}\""));
        amount = next;
        let found = standing(&demo.json(&["status"]), "analytics");
        assert_eq!(found, (Some(expect.0), expect.1.to_owned(), is_exhausted));
        let state: Value = serde_json::from_str(&demo.ask(&["export", "budget-state"]).stdout).unwrap();
        assert_eq!(state["teams"]["analytics"]["exhausted"], is_exhausted);
        assert_eq!(state["organization"]["exhausted"], false);
    }
}

#[test]
fn the_budget_state_is_replaced_whole_and_is_as_documented() {
    let demo = Demo::new();
    demo.run.write("state.json", "old");
    demo.ask(&["export", "budget-state", "--output", "state.json"]);
    let text = fs::read_to_string(demo.run.path("state.json")).unwrap();
    assert_eq!(text, demo.ask(&["export", "budget-state"]).stdout);
    let state: Value = serde_json::from_str(&text).unwrap();
    let chatbot = &state["teams"]["chatbot"];
    assert_eq!(chatbot["allowed_models"], serde_json::json!(["llama-3.3-70b-versatile", "llama-3.1-8b-instant"]));
    assert_eq!(chatbot["budgets"][0]["percent"], 82);
    assert_eq!((&state["known_until"], &state["staleness_seconds"]), (&NOW.into(), &0.into()));

    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/BUDGET_STATE.md")).unwrap();
    let mut fields = Vec::new();
    for object in [&state, chatbot, &chatbot["budgets"][0]] {
        fields.extend(object.as_object().unwrap().keys().cloned());
    }
    for field in &fields {
        assert!(page.contains(&format!("| `{field}` |")), "docs/BUDGET_STATE.md does not describe `{field}`");
    }
    for line in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let field = line.split('`').next().unwrap();
        assert!(
            fields.iter().any(|known| known == field),
            "docs/BUDGET_STATE.md describes `{field}`, which is not there"
        );
    }
}

#[test]
fn looking_changes_nothing_and_needs_no_lock() {
    let demo = Demo::new();
    let before = files_below(&demo.run.path("demo/book"));
    let lock = fs::File::options().write(true).open(demo.run.path("demo/book/lock")).unwrap();
    lock.lock().unwrap();
    #[cfg(unix)]
    set_mode(&demo.run.path("demo/book"), 0o555);
    for arguments in [&["status"][..], &["top", "users"], &["top", "models"], &["export", "budget-state"]] {
        demo.ask(arguments);
    }
    #[cfg(unix)]
    set_mode(&demo.run.path("demo/book"), 0o755);
    assert!(before == files_below(&demo.run.path("demo/book")), "something was written");
}

/// Of every directory in a book, itself included.
#[cfg(unix)]
fn set_mode(dir: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_mode(&path, mode);
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_book_that_is_too_old_is_told_by_the_exit_code() {
    let run = TestRun::with(&format!("{CONFIG}\n[teams.chat]\nmonthly_budget_usd = \"10\"\n[teams.other]\n"));
    run.write("pricing/groq.csv", format!("{PRICE_HEADER}groq,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,\n"));
    let line = r#"{"ts":"2026-06-10T03:00:00Z","request_id":"req_aaaaaaaaaaaaaaaa01","key":"chat-prod","model":"m","usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#;
    run.write("logs/a.jsonl", format!("{line}\n"));
    assert_eq!(run.run(&["status"]).code, 1, "there is no book yet");
    run.ingest();
    let check = |now: &str, code: i32, told: &str| {
        let ran = run.run_at(now, &["status", "--max-age", "26h"]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stdout.contains(told), "{told} is not in {}", ran.stdout);
    };
    check("2026-06-10T04:00:00Z", 4, "last priced never: run `spendbook price`");
    check("2026-06-10T04:00:00Z", 4, "one step apart: the usage of 2026-06-10 is not priced");
    check("2026-06-10T04:00:00Z", 4, "`chat`: a day of it is not priced, so there may be more");
    assert_eq!(run.run(&["price"]).code, 0);
    check("2026-06-10T04:00:00Z", 0, "last priced 2026-06-10T04:00:00Z, 0 min ago");
    check("2026-06-11T06:00:00Z", 0, "26 h ago");
    check("2026-06-11T06:00:00.000001Z", 4, "26 h ago");
    check("2026-06-11T16:00:00.000001Z", 4, "`chat`: nothing from the source `gateway` since 2026-06-10T03:00:00Z");

    // Read again, and not priced since: what is known has not become newer.
    run.append("logs/a.jsonl", line.replace("01\"", "02\"") + "\n");
    let ran = run.run_at("2026-06-11T06:00:00Z", &["ingest"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    check(
        "2026-06-11T06:30:00Z",
        4,
        "one step apart: the charges of 2026-06-10 are those of an earlier state of its usage",
    );
    let top = run.run_at("2026-06-11T06:30:00Z", &["top", "teams"]);
    assert!(top.stdout.contains("1 request, $1.00"), "{top:?}");
    assert!(top.stderr.contains("one step apart: the charges of 2026-06-10 are those of an earlier"), "{top:?}");
    let ran = run.run_at("2026-06-11T06:31:00Z", &["price"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let status = run.run_at("2026-06-11T06:31:00Z", &["status", "--max-age", "26h", "--format", "json"]);
    assert_eq!(status.code, 0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(standing(&status, "chat"), (Some(20), "within".to_owned(), false));
    let other = &status["budgets"][1];
    assert_eq!(
        (&other["name"], &other["standing"], &other["budget"]),
        (&"other".into(), &"no budget".into(), &Value::Null)
    );
    assert_eq!((pico(&other["spend"]), other["requests"].as_i64()), (0, Some(0)));
    assert_eq!(status["one_step_apart"], serde_json::json!([]));
    assert_eq!(status["known_until"].as_str().map(at), Some(at("2026-06-11T06:00:00Z")));
    assert_eq!(Instant::parse(status["as_of"].as_str().unwrap(), chrono_tz::Tz::UTC), Some(at("2026-06-11T06:31:00Z")));
}
