//! Policies over time: seen, kept, and asked for.

use std::path::Path;

use super::*;
use crate::book::Book;

const CONFIG: &str = r#"
[book]
timezone = "Asia/Tokyo"
default_rate_limit_rpm = 30
[organization]
rate_limit_rpm = 1000
monthly_budget_usd = "900"
[teams.chat]
monthly_budget_usd = "200"
allowed_models = ["a", "b"]
max_tokens_per_request = 100
rate_limit_rpm = 60
rate_limit_tpm = 5000
[teams.lab]
[[key]]
name = "chat-prod"
team = "chat"
allowed_models = ["c"]
rate_limit_rpm = 500
[pools.both]
chat = 60
lab = 40
"#;

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("spendbook.toml")).unwrap()
}

fn at(text: &str) -> Instant {
    Instant::parse(text, chrono_tz::Tz::UTC).unwrap()
}

const JUNE: &str = "2026-06-18T12:00:00Z";

fn history(steps: &[(&str, &str)]) -> (History, Config) {
    let mut history = History::default();
    let mut last = config(CONFIG);
    for (now, text) in steps {
        last = config(text);
        history.observe(&last, at(now));
    }
    (history, last)
}

fn terms(steps: &[(&str, &str)], team: &'static str, key: &'static str, when: &str) -> Terms {
    let (history, config) = history(steps);
    let name = |text: &'static str| (!text.is_empty()).then_some(text);
    Policies::new(&history, &config).terms(name(team), name(key), at(when))
}

#[test]
fn a_key_has_its_own_then_its_teams_then_the_default() {
    let check = |team: &'static str, key: &'static str, expect: &str| {
        let it = terms(&[(JUNE, CONFIG)], team, key, "2024-01-01T00:00:00Z");
        let shown =
            format!("{:?} {:?} {:?} {:?}", it.allowed_models.unwrap_or_default(), it.max_tokens, it.rpm, it.tpm);
        assert_eq!(shown, expect, "{team} {key}");
        assert_eq!((it.organization_rpm, it.organization_tpm), (Some(1000), None));
    };
    check("chat", "chat-prod", r#"["c"] Some(100) Some((Key, 500)) Some((Team, 5000))"#);
    check("chat", "chat-dev", r#"["a", "b"] Some(100) Some((Team, 60)) Some((Team, 5000))"#);
    check("lab", "lab-dev", "[] None Some((Team, 30)) None");
    check("shared:both", "x", "[] None Some((Team, 30)) None");
    check("", "unknown", "[] None Some((Key, 30)) None");
    check("", "", "[] None Some((Key, 30)) None");
}

#[test]
fn a_change_stands_from_the_beginning_of_the_open_month() {
    let tighter = CONFIG.replace("max_tokens_per_request = 100", "max_tokens_per_request = 50");
    let steps = [("2026-05-01T00:00:00Z", CONFIG), (JUNE, tighter.as_str())];
    // June begins in Tokyo at 15:00 of the last of May, UTC.
    for (when, expect) in [
        ("2024-01-01T00:00:00Z", 100),
        ("2026-05-31T14:59:59Z", 100),
        ("2026-05-31T15:00:00Z", 50),
        ("2026-07-01T00:00:00Z", 50),
    ] {
        assert_eq!(terms(&steps, "chat", "", when).max_tokens, Some(expect), "{when}");
    }
    let (history, config) = history(&steps);
    let policies = Policies::new(&history, &config);
    assert_eq!(policies.next_turn(at("2026-05-01T00:00:00Z")), at("2026-05-31T15:00:00Z"));
    assert_eq!(policies.next_turn(at("2026-05-31T15:00:00Z")), Instant::LATEST);
}

#[test]
fn what_is_taken_out_of_the_config_ends_and_what_is_new_begins() {
    let without = CONFIG.replace("rate_limit_rpm = 500", "").replace("allowed_models = [\"c\"]", "");
    let steps = [("2026-05-01T00:00:00Z", CONFIG), (JUNE, without.as_str())];
    assert_eq!(terms(&steps, "chat", "chat-prod", "2026-05-20T00:00:00Z").rpm, Some((Bound::Key, 500)));
    assert_eq!(terms(&steps, "chat", "chat-prod", "2026-06-20T00:00:00Z").rpm, Some((Bound::Team, 60)));
    let dated = format!(
        "{CONFIG}[[key]]\nname = \"new\"\nteam = \"lab\"\nrate_limit_rpm = 7\nvalid_from = \"2026-02-01\"\n\
         valid_until = \"2026-06-01\"\n"
    );
    let steps = [("2026-05-01T00:00:00Z", CONFIG), (JUNE, dated.as_str())];
    for (when, expect) in [
        ("2026-01-31T23:59:59Z", (Bound::Team, 30)),
        ("2026-02-01T00:00:00Z", (Bound::Key, 7)),
        ("2026-06-01T00:00:00Z", (Bound::Team, 30)),
    ] {
        assert_eq!(terms(&steps, "lab", "new", when).rpm, Some(expect), "{when}");
    }
}

#[test]
fn a_renamed_team_keeps_what_it_had() {
    let renamed = CONFIG
        .replace("[teams.chat]", "[teams.talk]\nformerly = [\"chat\"]")
        .replace("team = \"chat\"", "team = \"talk\"")
        .replace("chat = 60", "talk = 60")
        .replace("\"200\"", "\"300\"");
    let steps = [("2026-05-01T00:00:00Z", CONFIG), (JUNE, renamed.as_str())];
    assert_eq!(terms(&steps, "talk", "", "2026-05-20T00:00:00Z").max_tokens, Some(100));
    assert_eq!(terms(&steps, "talk", "", "2026-06-20T00:00:00Z").max_tokens, Some(100));
    let (history, config) = history(&steps);
    let budgets = history.budgets(&config);
    let amount = |when: &str| {
        let of_talk = budgets.iter().find(|(scope, _)| *scope == Scope::Team("talk".to_owned()));
        of_talk.and_then(|(_, timeline)| timeline.at(at(when))).map(|budget| budget.amount.shown())
    };
    assert_eq!(amount("2026-05-20T00:00:00Z").as_deref(), Some("$200.00"));
    assert_eq!(amount("2026-06-20T00:00:00Z").as_deref(), Some("$300.00"));
    assert_eq!(budgets.len(), 2);
    // It pays in May what its former name had to.
    let pools = history.pools(&config);
    assert_eq!(pools.at(at("2026-05-20T00:00:00Z")), Some(&config.pools));
}

#[test]
fn what_was_seen_is_kept_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::open_for_writing(dir.path(), "").unwrap();
    let full = CONFIG.replace(
        "[teams.lab]",
        "[[teams.chat.budget]]\nperiod = \"week\"\namount_usd = \"0.000000000001\"\ntimezone = \"Europe/Berlin\"\n\
         valid_from = \"2026-03-01\"\nrollover = true\nrollover_cap_usd = \"5\"\n[teams.lab]",
    );
    let config = config(&full);
    // Who only looks leaves nothing.
    let looked = known(&book, &config, at(JUNE)).unwrap();
    assert!(read(&book).unwrap().values.is_empty());
    let kept = keep(&book, &config, at(JUNE)).unwrap();
    assert!(kept.changes > 0);
    assert_eq!(looked.values, kept.history.values);
    assert!(kept.history.values.values().flat_map(OverTime::iter).all(|(since, _)| since.is_none()));
    let mut again = read(&book).unwrap();
    assert_eq!(again.values, kept.history.values);
    assert_eq!(again.observe(&config, at("2026-09-01T00:00:00Z")), []);
    assert_eq!(keep(&book, &config, at(JUNE)).unwrap().changes, 0);
    let other = self::config(&full.replace("chat = 60\nlab = 40", "chat = 50\nlab = 50"));
    let changed = again.observe(&other, at(JUNE));
    assert_eq!(changed.len(), 1);
    append(&book, &changed).unwrap();
    let last = read(&book).unwrap();
    let pools = last.pools(&other);
    assert_eq!(pools.at(at("2026-05-31T14:59:59Z")), Some(&config.pools));
    assert_eq!(pools.at(at("2026-05-31T15:00:00Z")), Some(&other.pools));
    let policies = Policies::new(&last, &other);
    assert_eq!(policies.terms(Some("chat"), Some("chat-prod"), at(JUNE)).rpm, Some((Bound::Key, 500)));
    std::fs::write(dir.path().join("policy/000003.jsonl"), "{\"since\":null,\"of\":\"team\"}\n").unwrap();
    assert_eq!(
        read(&book).unwrap_err().to_string(),
        "`policy/000003.jsonl` in the book, line 1: a value that cannot be; restore the file from a backup"
    );
}
