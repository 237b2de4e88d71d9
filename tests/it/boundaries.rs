//! One microsecond either side of where a period begins and ends, in zones that
//! make that hard, through the real binary: budgets of days and months, and
//! what exactly 100 % is.
//!
//! The instants were looked up by hand in the rules of each zone.

use serde_json::Value;
use spendbook::{money::Usd, time::Instant};

use crate::{
    priced::at,
    support::{CONFIG, Ran, TestRun, request},
};

/// Zone, period, its name, its first instant, and the first one after it.
const CASES: &[(&str, &str, &str, &str, &str)] = &[
    ("Asia/Tokyo", "month", "2026-06", "2026-05-31T15:00:00Z", "2026-06-30T15:00:00Z"),
    ("Asia/Kolkata", "month", "2026-06", "2026-05-31T18:30:00Z", "2026-06-30T18:30:00Z"),
    ("Asia/Kathmandu", "month", "2026-06", "2026-05-31T18:15:00Z", "2026-06-30T18:15:00Z"),
    ("America/New_York", "month", "2026-06", "2026-06-01T04:00:00Z", "2026-07-01T04:00:00Z"),
    // Clocks change within the month: in the night to the 8th of March, and to
    // the 1st of November, whose first midnight is the month's beginning.
    ("America/New_York", "month", "2026-03", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
    ("America/New_York", "month", "2026-11", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
    // Days of 23 and of 25 hours.
    ("America/New_York", "day", "2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
    ("America/New_York", "day", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
    // A midnight that does not exist: the day begins at one o'clock.
    ("Africa/Cairo", "day", "2026-04-24", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
    ("Africa/Cairo", "day", "2026-10-29", "2026-10-28T21:00:00Z", "2026-10-29T22:00:00Z"),
    ("Africa/Cairo", "month", "2026-04", "2026-03-31T22:00:00Z", "2026-04-30T21:00:00Z"),
    ("America/Havana", "day", "2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
    // One that happens twice: the first one counts.
    ("America/Havana", "day", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
    ("America/Havana", "month", "2026-11", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
];

const PRICES: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,0.001,1,,2020-01-01,,2020-01-01,list,made up,
";

/// A thousandth of a dollar for each token.
fn line(id: usize, ts: Instant, key: &str, input: i64) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{id:032}\",\"key\":\"{key}\",\"model\":\"m\",\"http_status\":200,\
         \"usage\":{{\"prompt_tokens\":{input}}}}}\n"
    )
}

/// A team for each case, with 1, 2, 4 and 8 thousandths of a dollar spent at
/// the last instant before its period, its first, its last, and the one after.
fn workspace() -> TestRun {
    let mut config = "[book]\npricing = \"pricing\"\n[[source]]\nname = \"gateway\"\nformat = \"native\"\npath = \
                      \"logs/*\"\nprovider = \"groq\"\n"
        .to_owned();
    let mut log = String::new();
    for (number, (zone, period, _, from, until)) in CASES.iter().enumerate() {
        config.push_str(&format!(
            "[teams.t{number}]\ntimezone = \"{zone}\"\n[[teams.t{number}.budget]]\nperiod = \"{period}\"\namount_usd = \
             \"0.006\"\n"
        ));
        let ends = [at(from).plus_micros(-1), at(from), at(until).plus_micros(-1), at(until)];
        for (place, ts) in ends.into_iter().enumerate() {
            log.push_str(&line(number * 4 + place, ts, &format!("t{number}-prod"), 1 << place));
        }
    }
    let run = TestRun::with(&config);
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/a.jsonl", log);
    for stage in ["ingest", "price"] {
        let ran = run.run_at("2027-01-01T00:00:00Z", &[stage]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    run
}

/// The budget of a team at an instant: its period, where that is, what was
/// spent in thousandths of a dollar, percent, and standing.
fn budget(run: &TestRun, team: usize, now: Instant) -> (String, String, String, i64, i64, String) {
    let Ran { stdout, .. } = run.run_at(&now.to_string(), &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&stdout).unwrap();
    let name = format!("t{team}");
    let it = status["budgets"].as_array().unwrap().iter().find(|it| it["name"] == name.as_str()).unwrap().clone();
    let text = |name: &str| it[name].as_str().unwrap().to_owned();
    let spent = Usd::parse(&text("spend")).unwrap().pico() / 1_000_000_000;
    (
        text("period"),
        text("from"),
        text("until"),
        i64::try_from(spent).unwrap(),
        it["percent"].as_i64().unwrap(),
        text("standing"),
    )
}

#[test]
fn a_period_begins_at_its_first_instant_and_ends_before_its_last_one() {
    let run = workspace();
    for (team, (zone, _, name, from, until)) in CASES.iter().enumerate() {
        let (first, after) = (at(from), at(until));
        // At exactly 100 % a budget is reached, and it is not exceeded.
        let expect = ((*name).to_owned(), (*from).to_owned(), (*until).to_owned(), 6, 100, "reached".to_owned());
        assert_eq!(budget(&run, team, first), expect, "{zone} {name}");
        assert_eq!(budget(&run, team, after.plus_micros(-1)), expect, "{zone} {name}");
        let before = budget(&run, team, first.plus_micros(-1));
        assert_eq!((before.2.as_str(), before.3), (*from, 1), "{zone} {name}");
        let next = budget(&run, team, after);
        assert_eq!((next.1.as_str(), next.3, next.4), (*until, 8, 133), "{zone} {name}");
        assert_ne!((&before.0, &next.0), (&expect.0, &expect.0), "{zone} {name}");
    }
}

#[test]
fn a_top_list_has_the_same_ends() {
    let run = workspace();
    let config = std::fs::read_to_string(run.path("spendbook.toml")).unwrap();
    for (team, (zone, _, name, ..)) in CASES.iter().enumerate() {
        run.write("spendbook.toml", config.replace("[book]\n", &format!("[book]\ntimezone = \"{zone}\"\n")));
        let ran =
            run.run_at("2027-01-01T00:00:00Z", &["top", "keys", "--period", name, "--limit", "99", "--format", "json"]);
        let keys: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        let key = keys.iter().find(|it| it["key"] == format!("t{team}-prod").as_str()).unwrap();
        assert_eq!(key["cost"], "0.006000000000", "{zone} {name}");
    }
}

/// In the night to the 25th of October clocks go back from three to two, and in
/// that to the 29th of March they go from two to three.
#[test]
fn a_local_time_that_clocks_show_twice_or_never_is_read_and_counted() {
    let times = [
        ("2026-10-25T01:59:59.999999", "2026-10-24T23:59:59.999999Z"),
        ("2026-10-25T02:00:00", "2026-10-25T00:00:00Z"),
        ("2026-10-25 02:59:59.999999", "2026-10-25T00:59:59.999999Z"),
        ("2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
        ("2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
    ];
    let run = TestRun::with(&format!(
        "{CONFIG}timezone = \"Europe/Berlin\"\n[[source]]\nname = \"proxy\"\nformat = \"custom\"\npath = \"proxy.csv\"\n\
         provider = \"groq\"\ntimezone = \"Europe/Berlin\"\n[source.fields]\nts = {{ field = \"at\", format = \"%d.%m.%Y %H:%M\" \
         }}\nmodel = \"model\"\ninput_tokens = \"in\"\n"
    ));
    let mut log = String::new();
    for (number, (local, _)) in times.iter().enumerate() {
        log.push_str(&request(&format!("chatcmpl-{number:032}"), local, 1, 1));
    }
    run.write("logs/a.jsonl", log);
    run.write("proxy.csv", "at,model,in\n25.10.2026 02:30,m,1\n25.10.2026 03:30,m,1\n");
    let said = run.ingest();
    let told = "gateway: 3 records have a local time that clocks showed twice or never";
    assert!(said.contains(told) && said.contains("proxy: 1 records have a local time"), "{said}");
    assert_eq!(run.accounts("gateway"), "kept 8, doubtful_times 3");
    assert_eq!(run.accounts("proxy"), "kept 2, doubtful_times 1");
    let rows = run.rows("usage");
    for (number, (local, expect)) in times.iter().enumerate() {
        let row = rows.iter().find(|row| row.contains(&format!("chatcmpl-{number:032}"))).unwrap();
        let ts = row.split(' ').find_map(|cell| cell.strip_prefix("ts=")).unwrap();
        assert_eq!(Instant::parse(ts, chrono_tz::Tz::UTC), Some(at(expect)), "{local}");
    }
}
