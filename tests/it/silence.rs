//! Sources of which nothing comes: what never gave anything, what fell silent
//! long ago, and what only says what another source says better. A mistyped
//! path must not be a silent zero.

use mail_parser::MessageParser;
use serde_json::Value;

use crate::{
    alerts::office::{CONFIG, Office},
    support::{TestRun, files_below},
};

const NOTHING: [&str; 0] = [];

/// With a source beside the one that tests spend through.
fn office_with(source: &str) -> Office {
    Office::with(&CONFIG.replacen("[organization]", &format!("[[source]]\n{source}\n[organization]"), 1))
}

/// What `status` says of a source: its last record, and its state.
fn state(office: &Office, now: &str, source: &str) -> (Value, String) {
    let said = office.said(now, &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&said).unwrap();
    let found = status["sources"].as_array().unwrap().iter().find(|it| it["source"] == source).unwrap();
    (found["last_record"].clone(), found["state"].as_str().unwrap().to_owned())
}

fn max_age(run: &TestRun, now: &str) -> i32 {
    run.run_at(now, &["status", "--max-age", "26h"]).code
}

const MISTYPED: &str = "name = \"voice\"\nformat = \"native\"\npath = \"lgos/voice-*.jsonl\"\nprovider = \"groq\"\n";

#[test]
fn a_source_that_never_gave_anything_is_told_once_its_time_has_passed() {
    let mut office = office_with(MISTYPED);
    office.spends("2026-11-19T10:00:00Z", "chat-prod", "1");
    // Nobody has looked for it long enough.
    assert_eq!(office.told("2026-11-20T02:00:00Z"), NOTHING);
    assert_eq!(office.told("2026-11-21T02:00:00Z"), NOTHING);
    assert_eq!(state(&office, "2026-11-21T14:00:00Z", "voice"), (Value::Null, "never heard".to_owned()));
    assert_eq!(max_age(&office.run, "2026-11-21T14:00:00Z"), 0);
    // 36 hours, and a moment. Whatever only saves work may be lost.
    assert_eq!(state(&office, "2026-11-21T14:00:00.000001Z", "voice"), (Value::Null, "silent".to_owned()));
    office.run.remove("book/state");
    office.night("2026-11-22T02:00:00Z");
    let mails = office.new_mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let told = "[source voice] no run since 2026-11-20 02:00 UTC found a request of it";
    assert_eq!((mails[0].to.as_str(), mails[0].subject.as_str()), ("operators@example.com", told));
    let text = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["It may be silent for 36 h.", "are looked for at `lgos/voice-*.jsonl`, which", "`spendbook doctor`"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(mails[0].csv.contains("silent_source,voice,,sought_since,,2026-11-20T02:00:00Z,"), "{}", mails[0].csv);
    let status = office.said("2026-11-22T03:00:00Z", &["status"]);
    let line = "source `voice`: no run since 2026-11-20T02:00:00Z found a request of it: run `spendbook doctor`\n";
    assert!(status.contains(line), "{status}");
    assert_eq!(max_age(&office.run, "2026-11-22T03:00:00Z"), 4);
    // Its silence is of no budget.
    let json: Value =
        serde_json::from_str(&office.said("2026-11-22T03:00:00Z", &["status", "--format", "json"])).unwrap();
    assert_eq!(json["budgets"][0]["standing"], "within");

    // Told once. The week says it to finance.
    assert_eq!(office.told("2026-11-23T02:00:00Z"), NOTHING);
    let mut outbox = files_below(&office.run.path("book/outbox")).into_iter();
    let (_, weekly) = outbox.find(|(name, _)| name.contains("2026-11-16-organization")).expect("a weekly mail");
    let weekly = MessageParser::default().parse(&weekly).unwrap().body_text(0).unwrap().replace("\r\n", " ");
    assert!(weekly.contains("“voice” gave nothing at all"), "{weekly}");
    let page = office.run.path("page.html");
    office.said("2026-11-23T03:00:00Z", &["report", "html", "--output", "page.html"]);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Nothing came from “voice” at any time"), "{page}");

    // Heard again: well, and when it falls silent that is told anew.
    let line = r#"{"ts":"2026-11-24T01:00:00Z","request_id":"req_v","key":"chat-prod","model":"m","usage":{"prompt_tokens":5,"completion_tokens":0}}"#;
    office.run.write("lgos/voice-1.jsonl", format!("{line}\n"));
    for night in ["2026-11-24T02:00:00Z", "2026-11-25T02:00:00Z"] {
        assert_eq!(office.told(night), NOTHING);
        assert_eq!(max_age(&office.run, night), 0);
    }
    assert_eq!(office.told("2026-11-26T02:00:00Z"), ["operators: [source voice] nothing since 2026-11-24 01:00 UTC"]);
}

#[test]
fn a_source_is_looked_for_only_since_runs_that_are_known() {
    let mut office = office_with(MISTYPED);
    office.spends("2026-11-19T10:00:00Z", "chat-prod", "1");
    assert_eq!(office.told("2026-11-20T02:00:00Z"), NOTHING);
    // Without the records of runs it is told later.
    office.run.remove("book/runs");
    assert_eq!(office.told("2026-11-22T02:00:00Z"), NOTHING);
    // A night that did not know it: what was before does not count.
    office.edit(MISTYPED, &MISTYPED.replace("voice\"", "other\""));
    office.night("2026-11-23T02:00:00Z");
    office.edit("name = \"other\"", "name = \"voice\"");
    assert_eq!(office.told("2026-11-24T02:00:00Z"), NOTHING);
    let told = "operators: [source voice] no run since 2026-11-24 02:00 UTC found a request of it";
    assert_eq!(office.told("2026-11-26T02:00:00Z"), [told]);
}

#[test]
fn a_source_that_fell_silent_long_ago_stays_silent() {
    let mut office =
        office_with("name = \"voice\"\nformat = \"native\"\npath = \"voice.jsonl\"\nprovider = \"groq\"\n");
    let line = r#"{"ts":"2026-06-01T01:00:00Z","request_id":"req_v","key":"chat-prod","model":"m","usage":{"prompt_tokens":5,"completion_tokens":0}}"#;
    office.run.write("voice.jsonl", format!("{line}\n"));
    for day in 0..70 {
        let ts = spendbook::time::Day::parse("2026-06-01").unwrap().days() + day;
        office.spends(&format!("{}T10:00:00Z", spendbook::time::Day::from_days(ts)), "chat-prod", "0.01");
    }
    let told = ["operators: [source voice] nothing since 2026-06-01 01:00 UTC"];
    assert_eq!(office.told("2026-08-10T02:00:00Z"), told);
    assert_eq!(state(&office, "2026-08-10T02:00:00Z", "voice"), ("2026-06-01T01:00:00Z".into(), "silent".to_owned()));
    // With more patience it is well.
    office.edit("path = \"voice.jsonl\"", "path = \"voice.jsonl\"\nsilent_after = \"100d\"");
    assert_eq!(state(&office, "2026-08-10T02:00:00Z", "voice"), ("2026-06-01T01:00:00Z".into(), "ok".to_owned()));
}

#[test]
fn a_source_whose_requests_another_one_tells_better_is_no_silent_one() {
    let copy = "name = \"copy\"\nformat = \"native\"\npath = \"logs/*.jsonl\"\nprovider = \"groq\"\npriority = -1\n";
    let mut office = office_with(copy);
    for (day, night) in [(19, 20), (20, 21), (21, 22), (22, 23)] {
        office.spends(&format!("2026-11-{day}T10:00:00Z"), "chat-prod", "1");
        assert_eq!(office.told(&format!("2026-11-{night}T02:00:00Z")), NOTHING);
    }
    assert_eq!(state(&office, "2026-11-23T03:00:00Z", "copy"), ("2026-11-23T02:00:00Z".into(), "ok".to_owned()));
    let told = ["operators: [source copy] nothing since 2026-11-23 02:00 UTC"];
    assert_eq!(office.told("2026-11-25T02:00:00Z"), told);
}
