//! Reconciliation through the real binary: what providers report against what
//! logs show, with numbers that are added up here, in integers.

use std::collections::BTreeMap;

use serde_json::Value;
use spendbook::{
    money::Usd,
    record::{Measure, Meter},
    time::{Day, Instant},
    totals::{self, TotalRow},
};

use crate::support::{TestRun, assert_same_bytes, book, files_below, rows_of_file};

pub(crate) const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"

[teams.chat]
monthly_budget_usd = "100"
owners = ["chat@example.com"]

[teams.lab]

[[key]]
name = "chat-prod"
team = "chat"
owner = "ada"

[[key]]
name = "lab-prod"
team = "lab"
owner = "bob"
"#;

/// A token of input costs a thousandth of a dollar, one of output two.
const PRICES: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,1,1k,,2026-01-01,,2026-01-01,list,made up,
groq,m,*,output_tokens,2,1k,,2026-01-01,,2026-01-01,list,made up,
";

pub(crate) const DAY: &str = "2026-06-01";

/// A request as the gateway logs it.
pub(crate) fn line(id: u32, ts: &str, key: &str, input: i64, output: i64) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{id:032}\",\"key\":\"{key}\",\"model\":\"m\",\"latency_ms\":2000,\
         \"http_status\":200,\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output}}}}}\n"
    )
}

/// What a provider says of a key on a day.
pub(crate) fn told(
    source: &str,
    day: &str,
    key: Option<&str>,
    requests: i64,
    tokens: [i64; 2],
    cost: Option<&str>,
) -> TotalRow {
    let day = Day::parse(day).unwrap();
    let mut row = TotalRow::about(source, "groq", day.start(), day.end());
    row.measure = if cost.is_some() { Measure::Both } else { Measure::Usage };
    row.key = key.map(str::to_owned);
    row.model = Some("m".to_owned());
    row.requests = Some(requests);
    row.quantities[Meter::InputTokens] = Some(tokens[0]);
    row.quantities[Meter::OutputTokens] = Some(tokens[1]);
    row.cost = cost.map(|cost| Usd::parse(cost).unwrap());
    row.fetched_at = Instant::parse("2026-06-09T02:00:00Z", chrono_tz::Tz::UTC).unwrap();
    row
}

/// Puts what a source said of a day into the book, as its adapter does.
pub(crate) fn tell(run: &TestRun, source: &str, day: &str, rows: Vec<TotalRow>) {
    totals::write(&book(&run.path("book")), source, Day::parse(day).unwrap(), rows).unwrap();
}

/// Two keys, ten requests each at noon: 100 tokens in, 10 out.
pub(crate) fn workspace(config: &str) -> TestRun {
    let run = TestRun::with(config);
    run.write("pricing/groq.csv", PRICES);
    let mut log = String::new();
    for id in 0..10 {
        log.push_str(&line(id, &format!("{DAY}T12:00:0{id}Z"), "chat-prod", 100, 10));
        log.push_str(&line(100 + id, &format!("{DAY}T13:00:0{id}Z"), "lab-prod", 100, 10));
    }
    run.write("logs/a.jsonl", log);
    priced(&run);
    run
}

pub(crate) fn priced(run: &TestRun) -> String {
    let ran = run.run(&["ingest"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = run.run(&["price"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

/// The rows of `unlogged` of the day, by column; what is NULL is empty.
fn unlogged_rows(run: &TestRun) -> Vec<BTreeMap<String, String>> {
    let file = std::fs::read(run.path(&format!("book/unlogged/date={DAY}/unlogged.parquet"))).unwrap();
    let cells = |row: &String| {
        row.split(' ')
            .map(|cell| cell.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
            .collect()
    };
    rows_of_file(file, &[]).unwrap().iter().map(cells).collect()
}

/// The lines of `reconcile`, by source and key.
fn lines(run: &TestRun, arguments: &[&str]) -> BTreeMap<(String, String), Value> {
    let mut all = vec!["reconcile", "--format", "json"];
    all.extend(arguments);
    let ran = run.run(&all);
    assert_eq!(ran.code, 0, "{ran:?}");
    let page: Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = page["lines"].as_array().unwrap().clone();
    lines.into_iter().map(|line| ((text(&line, "source"), text(&line, "key")), line)).collect()
}

/// An amount in pico-dollars.
fn pico(line: &Value, name: &str) -> i128 {
    Usd::parse(line[name].as_str().unwrap_or_else(|| panic!("{name} of {line}"))).unwrap().pico()
}

const CAUSES: [&str; 7] = ["not_logged", "usage", "price", "edges", "unreported", "rounding", "unexplained"];

/// Every difference is the sum of its causes.
fn assert_sums(line: &Value) {
    if !line["cost_ours"].is_null() {
        let causes: i128 = CAUSES.iter().map(|cause| pico(line, &format!("cost_{cause}"))).sum();
        assert_eq!(causes, pico(line, "cost_theirs") - pico(line, "cost_ours"), "{line}");
        assert_eq!(causes, pico(line, "cost_difference"), "{line}");
    }
    for of in ["tokens", "requests"].iter().filter(|of| !line[format!("{of}_ours")].is_null()) {
        let number = |name: &str| line[format!("{of}_{name}")].as_i64().unwrap_or_default();
        let causes: i64 = CAUSES.iter().map(|cause| number(cause)).sum();
        assert_eq!(causes, number("theirs") - number("ours"), "{line}");
        assert_eq!(causes, number("difference"), "{line}");
    }
}

const PICO: i128 = 1_000_000_000_000;

#[test]
fn both_sides_are_compared_by_key_with_every_cause() {
    let run = workspace(CONFIG);
    tell(
        &run,
        "bill",
        DAY,
        vec![
            // As logged: 10 × (100 × $0.001 + 10 × $0.002) = $1.20.
            told("bill", DAY, Some("lab-prod"), 10, [1000, 100], Some("1.20")),
            // Two requests more, of 100 and 10 tokens each, and 5 cents nobody can account for but by price.
            told("bill", DAY, Some("chat-prod"), 12, [1200, 120], Some("1.49")),
            // A key that no log shows at all.
            told("bill", DAY, Some("ghost"), 3, [500, 50], Some("0.60")),
        ],
    );
    let lines = lines(&run, &[]);
    lines.values().for_each(assert_sums);
    let line = |key: &str| &lines[&("bill".to_owned(), key.to_owned())];
    assert_eq!(line("lab-prod")["status"], "ok");
    assert_eq!(pico(line("lab-prod"), "cost_difference"), 0);

    let chat = line("chat-prod");
    assert_eq!(chat["status"], "investigate");
    assert_eq!((&chat["requests_not_logged"], &chat["tokens_not_logged"]), (&2.into(), &220.into()));
    // 2 × (100 × $0.001 + 10 × $0.002), and what is left of 29 cents.
    assert_eq!(pico(chat, "cost_not_logged"), 240 * PICO / 1000);
    assert_eq!(pico(chat, "cost_price"), 50 * PICO / 1000);
    assert_eq!(pico(chat, "cost_unexplained"), 0);

    let ghost = line("ghost");
    assert_eq!((&ghost["requests_ours"], &ghost["requests_not_logged"]), (&0.into(), &3.into()));
    assert_eq!(pico(ghost, "cost_not_logged"), 600 * PICO / 1000);
    assert_eq!(lines.len(), 3);
}

#[test]
fn what_no_log_shows_is_a_table_of_its_own_and_never_a_charge() {
    let run = workspace(CONFIG);
    let charges = files_below(&run.path("book/charges"));
    tell(
        &run,
        "bill",
        DAY,
        vec![
            told("bill", DAY, Some("chat-prod"), 12, [1200, 120], None),
            told("bill", DAY, Some("lab-prod"), 10, [1000, 100], None),
            told("bill", DAY, Some("ghost"), 3, [500, 50], None),
        ],
    );
    assert_eq!(priced(&run).lines().last().unwrap(), SHOWN);
    assert_same_bytes(&charges, &files_below(&run.path("book/charges")), "charges");
    let rows = unlogged_rows(&run);
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap();
    let is = |key: &str, column: &str| row(key).get(column).cloned().unwrap_or_default();
    assert_eq!(rows.len(), 2);
    assert_eq!((is("chat-prod", "team"), is("chat-prod", "owner")), ("chat".to_owned(), "ada".to_owned()));
    assert_eq!((is("chat-prod", "input_tokens"), is("chat-prod", "output_tokens")), ("200".into(), "20".into()));
    // By what the key's own requests paid; of a key that paid nothing, by the price book.
    assert_eq!((is("chat-prod", "cost"), is("chat-prod", "cost_basis")), ("0.240000000000".into(), "charges".into()));
    assert_eq!((is("ghost", "cost"), is("ghost", "cost_basis")), ("0.600000000000".into(), "prices".into()));
    assert_eq!((is("ghost", "team"), is("ghost", "team_basis")), (String::new(), "none".to_owned()));
    let sql = "SELECT sum(cost) AS c, count(*) AS n FROM unlogged WHERE date = '2026-06-01'";
    let asked = run.run(&["query", sql, "--format", "csv"]);
    assert_eq!(asked.stdout, "c,n\n0.840000000000,2\n", "{asked:?}");
}

const SHOWN: &str =
    "1 day held against what providers report, 2 lines to investigate: `spendbook reconcile` shows them";

/// The bytes of every file of `unlogged`.
fn unlogged(run: &TestRun) -> Vec<(String, Vec<u8>)> {
    files_below(&run.path("book/unlogged")).into_iter().collect()
}

#[test]
fn it_is_made_again_when_a_side_changed_and_only_then() {
    let run = workspace(CONFIG);
    let more = |key: &str, requests: i64| vec![told("bill", DAY, Some(key), requests, [100 * requests, 0], None)];
    tell(&run, "bill", DAY, more("chat-prod", 12));
    tell(&run, "bill", "2026-06-05", vec![told("bill", "2026-06-05", Some("lab-prod"), 1, [5, 0], None)]);
    assert!(priced(&run).contains("2 days held against"));
    let first = unlogged(&run);
    assert_eq!(first.len(), 2);
    // Nothing new; a restatement that says the same; a key that nobody used.
    assert!(!priced(&run).contains("held against"));
    tell(&run, "bill", DAY, more("chat-prod", 12));
    run.write("spendbook.toml", format!("{CONFIG}\n[[key]]\nname = \"new\"\nteam = \"lab\"\n"));
    assert!(!priced(&run).contains("held against"));
    assert_eq!(unlogged(&run), first);
    // Their side changes; then ours; then whose a key is.
    tell(&run, "bill", DAY, more("chat-prod", 13));
    assert!(priced(&run).contains("1 day held against"));
    let second = unlogged(&run);
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1], second[1]);
    run.append("logs/a.jsonl", line(900, &format!("{DAY}T14:00:00Z"), "chat-prod", 100, 10));
    assert!(priced(&run).contains("1 day held against"));
    assert_ne!(second[0], unlogged(&run)[0]);
    run.write("spendbook.toml", CONFIG.replace("owner = \"bob\"", "owner = \"eve\""));
    // `lab-prod` was used on both days.
    assert!(priced(&run).contains("2 days held against"));
    let again = TestRun::with(&CONFIG.replace("owner = \"bob\"", "owner = \"eve\""));
    again.write("pricing/groq.csv", PRICES);
    again.write("logs/a.jsonl", std::fs::read(run.path("logs/a.jsonl")).unwrap());
    tell(&again, "bill", DAY, more("chat-prod", 13));
    tell(&again, "bill", "2026-06-05", vec![told("bill", "2026-06-05", Some("lab-prod"), 1, [5, 0], None)]);
    priced(&again);
    assert_eq!(unlogged(&again), unlogged(&run));
}

#[test]
fn a_night_records_it() {
    let run = workspace(CONFIG);
    tell(&run, "bill", DAY, vec![told("bill", DAY, Some("ghost"), 3, [500, 50], None)]);
    let ran = run.run(&["run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = files_below(&run.path("book/runs")).into_iter().find(|(name, _)| name.contains("-run-")).unwrap().1;
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["stages"]["reconcile"]["days_compared"], serde_json::json!([DAY]));
    assert!(ran.stdout.contains("1 day held against what providers report"), "{}", ran.stdout);
}

#[test]
fn an_open_day_is_named_and_never_compared() {
    let run = workspace(CONFIG);
    let until = Instant::parse("2026-06-01T18:00:00Z", chrono_tz::Tz::UTC);
    let open = TotalRow { covers_until: until, ..told("today", DAY, Some("chat-prod"), 1, [1, 1], None) };
    tell(&run, "today", DAY, vec![open]);
    let ran = run.run(&["reconcile"]);
    let told = "not compared: 2026-06-01 today: the day is open: what it tells reaches until 2026-06-01T18:00:00Z\n";
    assert!(ran.stdout.contains(told) && ran.stdout.ends_with("\nnothing could be compared\n"), "{}", ran.stdout);
    priced(&run);
    assert!(unlogged_rows(&run).is_empty());
}

#[test]
fn an_answer_that_there_was_nothing_is_held_against_our_requests() {
    let source = |format: &str| {
        format!(
            "\n[[source]]\nname = \"{format}\"\nformat = \"{format}\"\npath = \"{format}.json\"\nprovider = \"groq\"\n"
        )
    };
    let run = TestRun::with(&(CONFIG.to_owned() + &source("anthropic-usage") + &source("openai-costs")));
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/a.jsonl", line(0, &format!("{DAY}T12:00:00Z"), "chat-prod", 100, 10));
    let next = Day::parse(DAY).unwrap().next();
    run.write(
        "anthropic-usage.json",
        format!(
            "{{\"data\":[{{\"starting_at\":\"{DAY}T00:00:00Z\",\"ending_at\":\"{next}T00:00:00Z\",\"results\":[]}}],\
             \"has_more\":false,\"next_page\":null}}"
        ),
    );
    let seconds = |day: Day| i64::from(day.days()) * 86_400;
    run.write(
        "openai-costs.json",
        format!(
            "{{\"data\":[{{\"start_time\":{},\"end_time\":{},\"results\":[]}}],\"has_more\":false,\"next_page\":null}}",
            seconds(Day::parse(DAY).unwrap()),
            seconds(next)
        ),
    );
    priced(&run);
    let lines = lines(&run, &[]);
    lines.values().for_each(assert_sums);
    let usage = &lines[&("anthropic-usage".to_owned(), String::new())];
    assert_eq!((&usage["requests_ours"], &usage["requests_theirs"]), (&Value::from(1), &Value::from(0)));
    assert_eq!((&usage["tokens_unexplained"], &usage["status"]), (&Value::from(-110), &Value::from("investigate")));
    assert!(usage["cost_theirs"].is_null());
    let costs = &lines[&("openai-costs".to_owned(), String::new())];
    // 100 tokens in and 10 out.
    assert_eq!((pico(costs, "cost_theirs"), pico(costs, "cost_unexplained")), (0, -120 * PICO / 1000));
    assert_eq!(costs["status"], "investigate");
    assert!(costs["tokens_theirs"].is_null());
    assert!(unlogged_rows(&run).is_empty());
}

#[test]
fn money_without_quantities_takes_those_of_another_source() {
    let run = workspace(CONFIG);
    tell(
        &run,
        "usage",
        DAY,
        vec![
            told("usage", DAY, Some("chat-prod"), 10, [1000, 100], None),
            told("usage", DAY, Some("lab-prod"), 12, [1200, 120], None),
        ],
    );
    // $2.40 logged; 24 cents of two requests that were not; 36 cents are the price.
    let day = Day::parse(DAY).unwrap();
    let mut costs = TotalRow::about("costs", "groq", day.start(), day.end());
    costs.measure = Measure::Cost;
    costs.cost = Some(Usd::parse("3.00").unwrap());
    tell(&run, "costs", DAY, vec![costs]);
    let lines = lines(&run, &[]);
    lines.values().for_each(assert_sums);
    let costs = &lines[&("costs".to_owned(), String::new())];
    assert_eq!(pico(costs, "cost_ours"), 2400 * PICO / 1000);
    assert_eq!(pico(costs, "cost_not_logged"), 240 * PICO / 1000);
    assert_eq!(pico(costs, "cost_price"), 360 * PICO / 1000);
    assert!(costs["tokens_ours"].is_null());
    // Only the source that tells keys says what is in no log.
    priced(&run);
    let rows = unlogged_rows(&run);
    assert_eq!(rows.iter().map(|row| (&*row["source"], &*row["key"])).collect::<Vec<_>>(), [("usage", "lab-prod")]);
}

#[test]
fn what_lies_on_both_sides_of_midnight_is_not_missing() {
    let run = workspace(CONFIG);
    // Takes two seconds, and so ends on the next day, where they have it.
    run.append("logs/a.jsonl", line(900, &format!("{DAY}T23:59:59Z"), "chat-prod", 70, 0));
    priced(&run);
    let of = |day, requests, tokens| told("bill", day, Some("chat-prod"), requests, [tokens, 100], None);
    tell(&run, "bill", DAY, vec![of(DAY, 10, 1000), told("bill", DAY, Some("lab-prod"), 10, [1000, 100], None)]);
    let next = told("bill", "2026-06-02", Some("chat-prod"), 1, [70, 0], None);
    tell(&run, "bill", "2026-06-02", vec![next]);
    let day = lines(&run, &["--to", DAY]);
    day.values().for_each(assert_sums);
    let chat = &day[&("bill".to_owned(), "chat-prod".to_owned())];
    assert_eq!((&chat["tokens_edges"], &chat["requests_edges"]), (&(-70).into(), &(-1).into()));
    let next = lines(&run, &["--from", "2026-06-02"]);
    let chat = &next[&("bill".to_owned(), "chat-prod".to_owned())];
    assert_sums(chat);
    assert_eq!(
        (&chat["tokens_ours"], &chat["tokens_edges"], &chat["tokens_not_logged"]),
        (&0.into(), &70.into(), &0.into())
    );
}

#[test]
fn keys_that_nobody_knows_are_summed_over_and_said_so() {
    let run = workspace(CONFIG);
    let of = |id: &str| TotalRow { key_id: Some(id.to_owned()), ..told("bill", DAY, None, 10, [1000, 100], None) };
    tell(&run, "bill", DAY, vec![of("key_1"), of("key_2")]);
    let ran = run.run(&["reconcile"]);
    assert!(ran.stdout.contains("bill: it tells keys of which none is known here"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("\n1 line: both sides agree\n"), "{}", ran.stdout);
}

#[test]
fn a_tolerance_says_what_is_worth_a_word() {
    let run = workspace(CONFIG);
    let rows = vec![
        told("bill", DAY, Some("chat-prod"), 10, [1000, 100], Some("1.25")),
        told("bill", DAY, Some("lab-prod"), 10, [1000, 100], Some("1.205")),
    ];
    tell(&run, "bill", DAY, rows);
    let status = |run: &TestRun| {
        let lines = lines(run, &[]);
        lines.values().map(|line| line["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(status(&run), ["explain", "ok"]);
    let with = |more: &str| run.write("spendbook.toml", format!("{CONFIG}\n[reconcile]\n{more}\n"));
    with("tolerance_percent = \"5\"");
    assert_eq!(status(&run), ["ok", "ok"]);
    with("tolerance_percent = 0\ntolerance_usd = \"0.001\"");
    assert_eq!(status(&run), ["explain", "explain"]);
    tell(&run, "bill", "2026-06-02", vec![told("bill", "2026-06-02", Some("ghost"), 1, [100, 0], Some("0.10"))]);
    assert_eq!(run.run(&["--strict", "reconcile"]).code, 3);
    assert_eq!(run.run(&["--strict", "reconcile", "--to", DAY]).code, 0);
}

#[test]
fn a_book_without_totals_says_how_to_get_some() {
    let run = workspace(CONFIG);
    let ran = run.run(&["reconcile"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, NO_TOTALS));
    assert!(!run.path("book/unlogged").exists());
}

const NO_TOTALS: &str = "no source has reported totals since 2026-05-11, and no check source has seen requests: docs/RECONCILE.md says \
     which sources do, and how to add one\n";
