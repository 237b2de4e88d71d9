//! A team that is renamed (`formerly`) keeps what it was told and what it spent:
//! nothing is told again, and nothing is zero, before its days are priced again
//! and after.

use serde_json::Value;

use crate::alerts::office::{CONFIG, Office};

const NOTHING: [&str; 0] = [];

/// What `status` says that a team has spent.
fn spend(office: &Office, now: &str, team: &str) -> String {
    let status: Value = serde_json::from_str(&office.said(now, &["status", "--format", "json"])).unwrap();
    let found = status["budgets"].as_array().unwrap().iter().find(|it| it["name"] == team).unwrap();
    found["spend"].as_str().unwrap().to_owned()
}

/// What the week's mail would say, up to the team's name and the time of pricing.
fn week(office: &Office, now: &str, team: &str) -> String {
    let said = office.said(now, &["report", "weekly", "--week", "2026-W46", "--team", team, "--dry-run"]);
    let lines = said.lines().filter(|line| !line.starts_with("Prices as known on"));
    lines.collect::<Vec<_>>().join("\n").replace("chat-prod", "key").replace(team, "…")
}

#[test]
fn what_a_team_was_told_follows_it_to_its_new_name() {
    let mut office = Office::with(&CONFIG.replacen("\"100\"", "\"100\"\nallowed_models = [\"m\"]", 1));
    for day in 1..=19 {
        office.spends(&format!("2026-11-{day:02}T10:00:00Z"), "chat-prod", "1");
    }
    office.night("2026-11-20T02:00:00Z");
    office.spends("2026-11-20T10:00:00Z", "chat-prod", "40");
    office.asks("2026-11-20T11:00:00Z", "chat-prod", "new", "ann", 10);
    office.night("2026-11-21T02:00:00Z");
    let mails = office.new_mails();
    let lead = mails.iter().find(|mail| mail.to == "lead@example.com").expect("a mail to the team");
    for kind in ["threshold", "spike", "violations"] {
        assert!(lead.csv.contains(&format!("\n{kind},chat,")), "{}", lead.csv);
    }
    let now = "2026-11-21T03:00:00Z";
    let before = (spend(&office, now, "chat"), week(&office, now, "chat"));
    assert_eq!(before.0, "59.000000000000");

    office.edit("[teams.chat]", "[teams.talk]\nformerly = [\"chat\"]");
    // Its rows still have the name that they were priced with.
    office.said(now, &["-q", "report", "alerts"]);
    assert!(office.new_mails().is_empty());
    assert_eq!((spend(&office, now, "talk"), week(&office, now, "talk")), before);
    office.said(now, &["-q", "price"]);
    assert_eq!((spend(&office, now, "talk"), week(&office, now, "talk")), before);
    for night in ["2026-11-21T04:00:00Z", "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z", "2026-11-24T02:00:00Z"] {
        assert_eq!(office.told(night), NOTHING, "{night}");
    }

    // What is new is told, as a part of the same conversation; what had ended
    // under the new name is not found again under the former one.
    office.spends("2026-11-26T10:00:00Z", "chat-prod", "30");
    office.night("2026-11-27T02:00:00Z");
    let mails = office.new_mails();
    let more = mails.iter().find(|mail| mail.to == "lead@example.com").expect("a mail to the team");
    assert_eq!(more.subject, "[talk] at least 89 % of November budget: $89 of $100 + 1 more");
    assert!(more.csv.contains("\nspike,talk,"), "{}", more.csv);
    assert_eq!(more.reply_to.as_deref(), Some(format!("<{}>", lead.id).as_str()));
}
