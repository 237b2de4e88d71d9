//! The audit and the keys through the real binary: what is a violation, when a
//! day is looked through again, and when a key can be deleted.

use crate::support::{TestRun, assert_same_bytes, files_below};

const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"

[[source]]
name = "other"
format = "native"
path = "more/*"
provider = "groq"

[organization]
monthly_budget_usd = "1000"

[teams.chat]
allowed_models = ["m"]
max_tokens_per_request = 100
rate_limit_rpm = 3
monthly_budget_usd = "10"

[[key]]
name = "chat-prod"
team = "chat"
environment = "prod"
replaces = "chat-old"

[[key]]
name = "chat-old"
team = "chat"

[[key]]
name = "hidden"
team = "chat"
fingerprint = "fp_e05f2bbf4a1f"
"#;

const PRICES: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,1,1,,2026-01-01,,2026-01-01,list,made up,
groq,x,*,input_tokens,1,1,,2026-01-01,,2026-01-01,list,made up,
";

/// A request that costs as many dollars as it has tokens of input.
fn line(id: u32, ts: &str, key: &str, input: i64, more: &str) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{id:032}\",\"key\":\"{key}\",\"model\":\"m\",\"http_status\":200,\
         \"usage\":{{\"prompt_tokens\":{input}}}{more}}}\n"
    )
}

fn workspace(log: &str) -> TestRun {
    let run = TestRun::with(CONFIG);
    run.write("pricing/groq.csv", PRICES);
    run.write("logs/a.jsonl", log);
    run
}

/// Ingests, prices and audits at a time.
fn night(run: &TestRun, now: &str) {
    for stage in ["ingest", "price", "audit"] {
        let ran = run.run_at(now, &[stage]);
        assert_eq!(ran.code, 0, "{stage}: {ran:?}");
    }
}

/// The record of the last audit.
fn audited(run: &TestRun) -> serde_json::Value {
    let runs = files_below(&run.path("book/runs")).into_iter().filter_map(|(name, bytes)| {
        let (at, number) = name.strip_suffix(".json")?.split_once("-audit-")?;
        Some(((at.to_owned(), number.parse::<u32>().ok()?), bytes))
    });
    let (_, bytes) = runs.max_by(|(a, _), (b, _)| a.cmp(b)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The violations of the book: `ts kind key value/limit requests cost`.
fn violations(run: &TestRun) -> Vec<String> {
    let value = |row: &str, name: &str| {
        let start = format!("{name}=");
        let found = row.split(' ').find_map(|part| part.strip_prefix(&start));
        found.map_or("-", |text| text.trim_end_matches('0').trim_end_matches('.')).to_owned()
    };
    let shown = |row: &String| {
        let ts = row.split(' ').find_map(|part| part.strip_prefix("ts=")).unwrap_or_default().to_owned();
        let [kind, key, found, limit, requests, cost] =
            ["kind", "key", "value", "limit", "requests", "cost"].map(|name| value(row, name));
        format!("{ts} {kind} {key} {found}/{limit} x{requests} {cost}")
    };
    run.rows("violations").iter().map(shown).collect()
}

const JUNE_10: &str = "2026-06-10T04:00:00Z";

#[test]
fn a_night_finds_what_broke_a_policy_and_a_second_one_changes_nothing() {
    let log = [
        line(1, "2026-06-01T10:00:00Z", "chat-prod", 1, ",\"max_tokens\":101"),
        line(2, "2026-06-01T11:00:00Z", "chat-prod", 1, "").replace("\"m\"", "\"x\""),
        line(3, "2026-06-01T12:00:00Z", "stray", 1, ""),
        line(4, "2026-06-01T13:00:00Z", "stray", 2, ",\"team\":\"ghosts\""),
        line(5, "2026-06-02T23:59:20Z", "chat-prod", 1, ""),
        line(6, "2026-06-02T23:59:30Z", "chat-old", 1, ""),
        line(7, "2026-06-02T23:59:40Z", "chat-prod", 1, ""),
        // The fourth within 60 seconds, on another day.
        line(8, "2026-06-03T00:00:10Z", "chat-prod", 4, ""),
        line(9, "2026-06-03T00:00:20Z", "chat-prod", 1, ""),
        // Ten dollars were spent with the one before.
        line(10, "2026-06-03T09:00:00Z", "chat-old", 2, ""),
        line(11, "2026-06-04T09:00:00Z", "chat-old", 1, ""),
    ];
    let run = workspace(&log.concat());
    night(&run, JUNE_10);
    assert_eq!(
        violations(&run),
        [
            "2026-06-01T10:00:00Z max_tokens_exceeded chat-prod 101/100 x1 1",
            "2026-06-01T11:00:00Z model_not_allowed chat-prod -/- x1 1",
            "2026-06-01T12:00:00Z unknown_key stray -/- x2 3",
            "2026-06-01T13:00:00Z unknown_team stray -/- x1 2",
            "2026-06-03T00:00:10Z rate_limit_rpm_exceeded - 4/3 x2 5",
            "2026-06-03T09:00:00Z budget_exhausted chat-old 10/10 x1 2",
            "2026-06-04T09:00:00Z budget_exhausted chat-old 12/10 x1 1",
        ]
    );
    let before = files_below(&run.path("book/violations"));
    assert_eq!(before.len(), 4);
    night(&run, JUNE_10);
    assert_same_bytes(&files_below(&run.path("book/violations")), &before, "a second night");
    assert_eq!(audited(&run)["days_audited"], serde_json::json!([]));
    // Nor does it without what saves work.
    run.remove("book/state/violations.json");
    night(&run, JUNE_10);
    assert_eq!(audited(&run)["days_audited"], serde_json::json!([]));
    // From nothing, it is the same.
    run.remove("book");
    night(&run, JUNE_10);
    assert_same_bytes(&files_below(&run.path("book/violations")), &before, "from nothing");
}

#[test]
fn what_was_spent_and_asked_before_a_day_makes_it_again() {
    let log = [
        line(1, "2026-06-01T10:00:00Z", "chat-prod", 9, ""),
        line(2, "2026-06-02T00:00:01Z", "chat-prod", 1, ""),
        line(3, "2026-06-02T00:00:02Z", "chat-prod", 1, ""),
        line(4, "2026-06-05T10:00:00Z", "other", 1, ""),
    ];
    let run = workspace(&log.concat());
    night(&run, JUNE_10);
    let told = [
        "2026-06-02T00:00:02Z budget_exhausted chat-prod 10/10 x1 1",
        "2026-06-05T10:00:00Z unknown_key other -/- x1 1",
    ];
    assert_eq!(violations(&run), told);
    // Two late requests of the first day, one of them in its last minute.
    run.write(
        "more/late.jsonl",
        [line(5, "2026-06-01T23:59:30Z", "chat-old", 1, ""), line(6, "2026-06-01T23:59:31Z", "chat-old", 0, "")]
            .concat(),
    );
    night(&run, JUNE_10);
    assert_eq!(
        violations(&run),
        [
            "2026-06-01T23:59:31Z budget_exhausted chat-old 10/10 x1 0",
            "2026-06-02T00:00:01Z budget_exhausted chat-prod 10/10 x2 2",
            "2026-06-02T00:00:02Z rate_limit_rpm_exceeded - 4/3 x1 1",
            "2026-06-05T10:00:00Z unknown_key other -/- x1 1",
        ]
    );
    // The third day has nobody of the team.
    assert_eq!(audited(&run)["days_audited"], serde_json::json!(["2026-06-01", "2026-06-02"]));
}

#[test]
fn todays_config_does_not_change_last_months_audit() {
    let log = [
        line(1, "2026-05-20T10:00:00Z", "chat-prod", 1, ",\"max_tokens\":80"),
        line(2, "2026-06-02T10:00:00Z", "chat-prod", 1, ",\"max_tokens\":80"),
    ];
    let run = workspace(&log.concat());
    night(&run, "2026-05-25T04:00:00Z");
    assert!(violations(&run).is_empty());
    run.write("spendbook.toml", CONFIG.replace("max_tokens_per_request = 100", "max_tokens_per_request = 50"));
    night(&run, JUNE_10);
    assert_eq!(violations(&run), ["2026-06-02T10:00:00Z max_tokens_exceeded chat-prod 80/50 x1 1"]);
    assert_eq!(audited(&run)["days_audited"], serde_json::json!(["2026-06-02"]));
    assert_eq!(audited(&run)["policy_changes"], 1);
    // A key and a team that nobody uses make nothing again.
    let more = format!("{CONFIG}[teams.new]\n[[key]]\nname = \"new-prod\"\nteam = \"new\"\nrate_limit_rpm = 1\n")
        .replace("max_tokens_per_request = 100", "max_tokens_per_request = 50");
    run.write("spendbook.toml", more);
    night(&run, JUNE_10);
    assert_eq!(audited(&run)["days_audited"], serde_json::json!([]));
    assert_eq!(files_below(&run.path("book/policy")).len(), 3);
}

#[test]
fn the_listing_sums_up_and_says_what_to_do() {
    let log = [
        line(1, "2026-06-01T10:00:00Z", "chat-prod", 1, ",\"max_tokens\":101"),
        line(2, "2026-06-01T11:00:00Z", "chat-prod", 1, ",\"max_tokens\":102"),
        line(3, "2026-06-01T12:00:00Z", "chat-prod", 0, ",\"error_code\":\"blocked_api_access\"").replace("200", "400"),
    ];
    let run = workspace(&log.concat());
    night(&run, JUNE_10);
    let ran = run.run(&["audit"]);
    for text in ["max_tokens_exceeded", "lower `max_tokens`", "spending_cap", "33.3 %", "raise the limit"] {
        assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout);
    }
    let ran = run.run(&["audit", "--dry-run", "--format", "csv", "--limit", "1"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with("ts,team,key,user,"), "{}", lines[0]);
    let ran = run.run(&["audit", "--dry-run", "--format", "json", "--limit", "1"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&json["left_out"], &json["summary"][0]["violations"]), (&1.into(), &2.into()));
    assert_eq!(json["errors"][0]["error"], "spending_cap");
    let none = run.run(&["audit", "--dry-run", "--team", "chat", "--kind", "unknown_team"]);
    assert!(none.stdout.starts_with("no violations since 2026-05-11\n"), "{none:?}");
    assert_eq!(run.run(&["audit", "--kind", "nonsense"]).code, 2);
}

#[test]
fn a_key_can_be_deleted_when_every_source_that_had_it_is_heard_and_none_has_it() {
    let log = [
        line(1, "2026-06-01T10:00:00Z", "chat-old", 1, ",\"user\":\"ann\""),
        line(2, "2026-06-10T03:00:00Z", "chat-prod", 1, ""),
    ];
    let run = workspace(&log.concat());
    run.ingest();
    let ask = |key: &str, now: &str| {
        let ran = run.run_at(now, &["keys", "--safe-to-delete", key]);
        (ran.code, ran.stdout.trim_end().to_owned())
    };
    let safe = "chat-old: safe to delete: no traffic for 24 h, last seen 2026-06-01T10:00:00Z";
    assert_eq!(ask("chat-old", JUNE_10), (0, safe.to_owned()));
    let in_use = "chat-old: in use: last seen 2026-06-01T10:00:00Z, by ann";
    assert_eq!(ask("chat-old", "2026-06-02T09:59:59Z"), (4, in_use.to_owned()));
    let unknown = "chat-old: unknown: last seen 2026-06-01T10:00:00Z, but nothing from `gateway` since \
                   2026-06-10T03:00:00Z";
    assert_eq!(ask("chat-old", "2026-06-10T05:00:00Z"), (4, unknown.to_owned()));
    assert_eq!(ask("chat-old", "2026-06-10T04:59:59Z").0, 0);
    let patient = run.run_at("2026-06-10T05:00:00Z", &["keys", "--safe-to-delete", "chat-old", "--heard-within", "3h"]);
    assert_eq!(patient.code, 0, "{patient:?}");
    assert_eq!(ask("nobody", JUNE_10), (4, "nobody: unknown: no log ever had it, is the name right?".to_owned()));
    // A second source had it once, and is silent since.
    run.write("more/b.jsonl", line(3, "2026-06-02T10:00:00Z", "chat-old", 1, ""));
    run.ingest();
    let silent = "chat-old: unknown: last seen 2026-06-02T10:00:00Z, but nothing from `other` since \
                  2026-06-02T10:00:00Z";
    assert_eq!(ask("chat-old", JUNE_10), (4, silent.to_owned()));
}

#[test]
fn a_key_that_one_source_shows_by_its_id_is_not_deleted_while_another_one_is_silent_about_it() {
    let fingerprint = "fp_e05f2bbf4a1f";
    let log =
        [line(1, "2026-06-01T10:00:00Z", fingerprint, 1, ""), line(2, "2026-06-10T03:00:00Z", "chat-prod", 1, "")];
    let run = workspace(&log.concat());
    let with_id = CONFIG.replace(fingerprint, &format!("{fingerprint}\"\nkey_id = \"key_1"));
    run.write("spendbook.toml", &with_id);
    run.write("more/b.jsonl", line(3, "2026-06-10T03:30:00Z", "key_1", 1, ",\"user\":\"ann\""));
    run.ingest();
    for key in ["hidden", fingerprint, "key_1"] {
        let ran = run.run_at(JUNE_10, &["keys", "--safe-to-delete", key]);
        let in_use = format!("{key}: in use: last seen 2026-06-10T03:30:00Z, by ann");
        assert_eq!((ran.code, ran.stdout.trim_end()), (4, in_use.as_str()));
    }
    let listed = |run: &TestRun| -> Vec<String> {
        let ran = run.run_at(JUNE_10, &["keys", "--format", "json"]);
        let keys: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
        keys.iter().map(|key| format!("{} {}", key["key"].as_str().unwrap(), key["requests_30d"])).collect()
    };
    assert_eq!(listed(&run), ["chat-old 0", "chat-prod 1", "hidden 2"]);
    // Also after its end, as a key that is used when it should not be.
    run.write("spendbook.toml", with_id.replace("key_1", "key_1\"\nvalid_until = \"2026-06-05"));
    assert_eq!(listed(&run), ["chat-old 0", "chat-prod 1", "hidden 2"]);
    let told = run.run_at(JUNE_10, &["keys"]).stdout;
    assert!(told.contains("used until 2026-06-10T03:30:00Z, and valid until 2026-06-05"), "{told}");
}

#[test]
fn the_policy_of_a_key_holds_under_whatever_name_logs_show_it() {
    let log = [
        line(1, "2026-06-01T10:00:00Z", "key_1", 1, ",\"max_tokens\":80"),
        line(2, "2026-06-01T10:00:01Z", "fp_e05f2bbf4a1f", 1, ""),
        line(3, "2026-06-01T10:00:02Z", "hidden", 1, ""),
    ];
    let run = workspace(&log.concat());
    let own = "fp_e05f2bbf4a1f\"\nkey_id = \"key_1\"\nallowed_models = [\"x\"]\nmax_tokens_per_request = 50\n\
               rate_limit_rpm = 2\nowner = \"ada";
    run.write("spendbook.toml", CONFIG.replace("fp_e05f2bbf4a1f", own));
    night(&run, JUNE_10);
    let expect = [
        "2026-06-01T10:00:00Z model_not_allowed key_1 -/- x1 1",
        "2026-06-01T10:00:00Z max_tokens_exceeded key_1 80/50 x1 1",
        "2026-06-01T10:00:01Z model_not_allowed fp_e05f2bbf4a1f -/- x1 1",
        "2026-06-01T10:00:02Z model_not_allowed hidden -/- x1 1",
        // All of them are requests of the one key.
        "2026-06-01T10:00:02Z rate_limit_rpm_exceeded hidden 3/2 x1 1",
    ];
    let mut found = violations(&run);
    found.sort();
    let mut expect = expect.map(str::to_owned);
    expect.sort();
    assert_eq!(found, expect);
}

#[test]
fn an_id_that_is_now_another_keys_is_audited_as_that_one() {
    let run = workspace(&line(1, "2026-06-01T10:00:00Z", "key_1", 1, ",\"max_tokens\":80"));
    let of = |keys: &str| format!("{CONFIG}\n{keys}");
    let entry = |name: &str, more: &str| format!("[[key]]\nname = \"{name}\"\nteam = \"chat\"\n{more}\n");
    let (strict, id) = ("max_tokens_per_request = 50", "key_id = \"key_1\"");
    run.write("spendbook.toml", of(&(entry("strict", strict) + &entry("free", id))));
    night(&run, JUNE_10);
    assert!(violations(&run).is_empty());
    run.write("spendbook.toml", of(&(entry("strict", &format!("{strict}\n{id}")) + &entry("free", ""))));
    night(&run, JUNE_10);
    assert_eq!(violations(&run), ["2026-06-01T10:00:00Z max_tokens_exceeded key_1 80/50 x1 1"]);
    assert_eq!(audited(&run)["policy_changes"], 0);
}

#[test]
fn keys_are_listed_with_use_and_verdict_also_before_anything_is_priced() {
    let secret = "gsk_MadeUpForThisTest0NotARealKey1234567890";
    let log = [
        line(1, "2026-06-09T10:00:00Z", "chat-old", 1, ""),
        line(2, "2026-06-10T03:30:00Z", "chat-prod", 2, ""),
        line(3, "2026-06-10T03:30:01Z", secret, 1, ""),
        line(4, "2026-05-01T10:00:00Z", "chat-prod", 4, ""),
    ];
    let run = workspace(&log.concat());
    run.ingest();
    let listed = |run: &TestRun| -> Vec<String> {
        let ran = run.run(&["keys", "--format", "json"]);
        let keys: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
        let text = |key: &serde_json::Value| {
            let parts = ["key", "requests_24h", "requests_30d", "cost_24h", "cost_30d", "findings"];
            parts.map(|name| key[name].to_string().replace('"', "")).join(" ")
        };
        keys.iter().map(text).collect()
    };
    let fingerprint = spendbook::secrets::fingerprint(secret);
    let mut expect = vec![
        "chat-old 1 1 null null old_key_quiet".to_owned(),
        "chat-prod 1 1 null null ".to_owned(),
        format!("{fingerprint} 1 1 null null unknown_key"),
        "hidden 0 0 0.000000000000 0.000000000000 never_used".to_owned(),
    ];
    assert_eq!(listed(&run), expect);
    assert_eq!(run.run(&["price"]).code, 0);
    expect = expect.iter().map(|line| line.replace("null null", "1.000000000000 1.000000000000")).collect();
    expect[1] = "chat-prod 1 1 2.000000000000 2.000000000000 ".to_owned();
    assert_eq!(listed(&run), expect);
    // Registered by its fingerprint, it is one key.
    run.write("spendbook.toml", CONFIG.replace("fp_e05f2bbf4a1f", &fingerprint));
    assert_eq!(listed(&run).last().unwrap(), "hidden 1 1 1.000000000000 1.000000000000 ");
    let table = run.run(&["keys"]).stdout;
    assert!(table.contains("old key quiet for 18 h"), "{table}");
}

#[test]
fn a_staging_key_that_looks_like_production_is_told_with_what_that_rests_on() {
    // A request every ten minutes for seven days is 1,008 of them, the first at their very beginning.
    let busy =
        |first: u32, key: &str, every_minutes: i64, hours: std::ops::Range<i64>, user: &dyn Fn(i64) -> String| {
            let end = spendbook::time::Instant::parse(JUNE_10, chrono_tz::Tz::UTC).unwrap();
            let times =
                (1..=7 * 24 * 60 / every_minutes).map(|number| end.plus_micros(-number * every_minutes * 60_000_000));
            let times = times.filter(|at| hours.contains(&(at.micros() / 3_600_000_000 % 24)));
            let lines = times.zip(first..).map(|(at, id)| {
                let user = user(i64::from(id));
                line(id, &at.to_string(), key, 0, &format!(",\"user\":\"{user}\""))
            });
            lines.collect::<String>()
        };
    let few = |_: i64| "bot".to_owned();
    let many = |id: i64| format!("user-{}", id % 40);
    let log = [
        busy(1, "chat-staging", 10, 0..24, &few),
        // The same by day only, which may be a test.
        busy(10_000, "chat-dev", 5, 8..18, &many),
        // Around the clock, and less than its team's production; many users.
        busy(20_000, "lab-staging", 10, 0..24, &many),
        busy(30_000, "lab-prod", 5, 0..24, &few),
        busy(40_000, "lab-test", 10, 0..24, &few),
    ];
    let run = workspace(&log.concat());
    run.write("spendbook.toml", format!("{CONFIG}[teams.lab]\n"));
    run.ingest();
    let ran = run.run(&["keys", "--format", "json"]);
    let keys: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
    let told = keys.iter().filter(|key| key["findings"].as_str().unwrap().contains("looks_like_production"));
    let told: Vec<_> =
        told.map(|key| format!("{}: {}", key["key"].as_str().unwrap(), key["verdict"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            "chat-staging: looks like production traffic: 1007 requests in 7 days, around the clock on 7 of them, more \
             than the 0 of the team's production keys; not registered, its team is that of its name",
            "lab-staging: looks like production traffic: 1007 requests in 7 days, around the clock on 7 of them, by 40 \
             users; not registered, its team is that of its name",
        ]
    );
    // A week later it is quiet.
    assert!(!run.run_at("2026-06-17T04:00:00Z", &["keys"]).stdout.contains("looks like production"));
}

#[test]
fn the_doctor_names_keys_that_nobody_uses_and_models_that_have_no_price() {
    let run = workspace(&line(1, "2026-06-09T10:00:00Z", "chat-prod", 1, ""));
    run.write("spendbook.toml", format!("{CONFIG}[models.m]\nmonthly_budget_usd = \"1\"\n[models.mm]\n"));
    run.ingest();
    let found = |run: &TestRun| -> Vec<String> {
        let ran = run.run(&["doctor", "--format", "json"]);
        let checks: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
        let told = checks.iter().map(|check| check["found"].as_str().unwrap().to_owned());
        told.filter(|found| found.contains("registered key") || found.contains("[models.")).collect()
    };
    assert_eq!(
        found(&run),
        [
            "`[models.\"mm\"]` has a budget, and the price book has no such model",
            // An old key that another one replaced is to be quiet.
            "1 registered key gave no request in 30 days: `hidden`",
        ]
    );
    run.append("logs/a.jsonl", line(2, "2026-06-09T11:00:00Z", "fp_e05f2bbf4a1f", 1, ""));
    run.ingest();
    assert_eq!(found(&run)[1], "every registered key was used in the last 30 days");
}

#[test]
fn without_a_first_day_thirty_days_up_to_the_last_one_are_shown() {
    let run = workspace(&line(1, "2026-06-01T10:00:00Z", "stray", 1, ""));
    night(&run, JUNE_10);
    let shown = |arguments: &[&str]| {
        let ran = run.run_at("2026-09-10T04:00:00Z", &[&["audit", "--dry-run", "--format", "csv"], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.lines().count() - 1
    };
    assert_eq!(shown(&[]), 0);
    assert_eq!(shown(&["--to", "2026-06-05"]), 1);
    assert_eq!(shown(&["--to", "2026-07-01"]), 1);
    assert_eq!(shown(&["--to", "2026-07-02"]), 0);
    assert_eq!(shown(&["--from", "2026-06-01"]), 1);
}
