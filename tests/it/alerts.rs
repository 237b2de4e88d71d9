//! `spendbook report alerts` through the real binary: night after night on a
//! small book, asserting on the mails that are in the outbox, as a mail client
//! reads them. What is told is held against dollars that the logs spend.

pub(crate) mod office;

use std::{collections::BTreeMap, fs, path::Path, time::Instant as Stopwatch};

use self::office::{CONFIG, Office, Read};
use crate::support::{Dice, TestRun, files_below, times};

const NOTHING: [&str; 0] = [];

#[test]
fn each_threshold_is_told_once_however_often_it_runs() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "82.10");
    for _ in 0..10 {
        office.said("2026-11-20T02:00:00Z", &["-q", "run"]);
        office.said("2026-11-20T02:00:00Z", &["-q", "report", "alerts"]);
    }
    let mails = office.new_mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].subject, "[chat] 82 % of November budget: $82.10 of $100");
    assert_eq!(mails[0].to, "lead@example.com");
    assert!(
        mails[0].text.replace('\n', " ").contains("was reached shortly before 3 November 2026, 10:15 UTC."),
        "{mails:?}"
    );
    // A run without anything new commits nothing.
    assert_eq!(files_below(&office.run.path("book/alerts")).len(), 1);
    office.spends("2026-11-20T03:00:00Z", "chat-prod", "12.90");
    assert_eq!(office.told("2026-11-21T02:00:00Z"), ["lead: [chat] 95 % of November budget: $95 of $100"]);
    // To the last digit, and one more.
    office.spends("2026-11-21T03:00:00Z", "chat-prod", "4.999999");
    assert_eq!(office.told("2026-11-22T02:00:00Z"), NOTHING);
    office.spends("2026-11-22T03:00:00Z", "chat-prod", "0.000001");
    assert_eq!(office.told("2026-11-23T02:00:00Z"), ["lead: [chat] 100 % of November budget, reached: $100 of $100"]);
    // There is no higher threshold; what is spent now is a violation.
    office.spends("2026-11-23T03:00:00Z", "chat-prod", "0.000001");
    assert_eq!(office.told("2026-11-24T02:00:00Z"), ["lead: [chat] 1 violation of policy, 23 November 2026"]);
    // Without the state that saves work, all is folded from the events.
    office.run.remove("book/state/alerts.json");
    assert_eq!(office.told("2026-11-25T02:00:00Z"), NOTHING);
}

#[test]
fn more_than_all_of_it_is_exceeded() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "100.000001");
    let told = office.told("2026-11-20T02:00:00Z");
    assert_eq!(told, ["lead: [chat] 100 % of November budget, exceeded: $100 of $100"]);
}

#[test]
fn alerts_of_a_period_are_a_conversation_and_machines_know_them() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "50");
    office.night("2026-11-20T02:00:00Z");
    let first = office.new_mails().remove(0);
    office.spends("2026-11-20T10:00:00Z", "chat-prod", "31");
    office.night("2026-11-21T02:00:00Z");
    let second = office.new_mails().remove(0);
    assert_eq!((first.reply_to, second.reply_to), (None, Some(format!("<{}>", first.id))));
    assert!(second.id.starts_with("alert-20261121t020000-000000z-000002-") && second.id.ends_with("@example.com"));
    for header in
        ["List-Id: <chat.alerts.example.com>", "Auto-Submitted: auto-generated", "Date: Sat, 21 Nov 2026 02:00:00"]
    {
        assert!(second.headers.contains(header), "{header} is not in {}", second.headers);
    }
    // Another month is another conversation.
    office.spends("2026-12-01T10:00:00Z", "chat-prod", "60");
    office.night("2026-12-02T02:00:00Z");
    assert_eq!(office.new_mails().remove(0).reply_to, None);
}

#[test]
fn late_data_repricing_and_corrections_move_what_stands() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "70");
    assert_eq!(office.told("2026-11-04T02:00:00Z").len(), 1);
    // A file that comes late.
    office.spends("2026-11-02T10:00:00Z", "chat-prod", "26");
    assert_eq!(office.told("2026-11-05T02:00:00Z"), ["lead: [chat] 96 % of November budget: $96 of $100"]);
    // The price was wrong: a correction is added, and the alert is taken back once.
    let lower = "groq,m,*,input_tokens,0.5,1M,,2025-01-01,,2026-11-05,list,a list,a correction\n";
    office.prices(lower);
    let told = office.told("2026-11-06T02:00:00Z");
    assert_eq!(told, ["lead: [chat] withdrawn: November budget is not at 95 %, it is at 48 %: $48 of $100"]);
    assert_eq!(office.told("2026-11-07T02:00:00Z"), NOTHING);
    // What was withdrawn may be raised once more, and then no more.
    office.spends("2026-11-08T10:00:00Z", "chat-prod", "94");
    assert_eq!(office.told("2026-11-09T02:00:00Z"), ["lead: [chat] 95 % of November budget: $95 of $100"]);
    let lowest = "groq,m,*,input_tokens,0.1,1M,,2025-01-01,,2026-11-09,list,a list,a correction\n";
    office.prices(&format!("{lower}{lowest}"));
    let told = office.told("2026-11-10T02:00:00Z");
    assert_eq!(told, ["lead: [chat] withdrawn: November budget is not at 95 %, it is at 19 %: $19 of $100"]);
    let back = "groq,m,*,input_tokens,0.5,1M,,2025-01-01,,2026-11-10,list,a list,a correction\n";
    office.prices(&format!("{lower}{lowest}{back}"));
    assert_eq!(office.told("2026-11-11T02:00:00Z"), NOTHING);
    // A higher one was never withdrawn.
    office.spends("2026-11-11T10:00:00Z", "chat-prod", "12");
    assert_eq!(office.told("2026-11-12T02:00:00Z"), ["lead: [chat] 101 % of November budget, exceeded: $101 of $100"]);
}

#[test]
fn what_has_lost_its_price_withdraws_nothing() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "96");
    assert_eq!(office.told("2026-11-05T02:00:00Z").len(), 1);
    let ended = "groq,m,*,input_tokens,,1M,,2026-11-01,,2026-11-05,list,a list,a mistake\n";
    office.prices(ended);
    assert_eq!(office.told("2026-11-06T02:00:00Z"), ["operators: [model m] no price for 1 request"]);
    let back = "groq,m,*,input_tokens,1,1M,,2026-11-01,,2026-11-06,list,a list,a correction\n";
    office.prices(&format!("{ended}{back}"));
    assert_eq!(office.told("2026-11-07T02:00:00Z"), NOTHING);
}

#[test]
fn a_new_budget_withdraws_silently_and_a_smaller_one_raises() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "96");
    assert_eq!(office.told("2026-11-25T02:00:00Z").len(), 1);
    office.edit("\"100\"", "\"400\"");
    assert_eq!(office.told("2026-11-26T02:00:00Z"), NOTHING);
    office.edit("\"400\"", "\"110\"");
    assert_eq!(office.told("2026-11-27T02:00:00Z"), ["lead: [chat] 87 % of November budget: $96 of $110"]);
    office.edit("\"110\"", "\"96\"");
    assert_eq!(office.told("2026-11-28T02:00:00Z"), ["lead: [chat] 100 % of November budget, reached: $96 of $96"]);
    office.edit("\"96\"", "\"96\"\nthresholds = [100, 130]");
    office.spends("2026-11-27T10:00:00Z", "chat-prod", "30");
    let told = office.told("2026-11-29T02:00:00Z");
    assert_eq!(told, ["lead: [chat] 131 % of November budget, exceeded: $126 of $96 + 1 more"]);
}

#[test]
fn octobers_last_night_is_told_on_the_first_of_november_and_missed_nights_lose_nothing() {
    let mut office = Office::new();
    office.spends("2026-10-20T10:00:00Z", "chat-prod", "40");
    assert_eq!(office.told("2026-10-31T02:00:00Z"), NOTHING);
    office.spends("2026-10-31T23:59:59Z", "chat-prod", "45");
    office.spends("2026-11-01T00:00:00Z", "chat-prod", "1");
    let told = office.told("2026-11-01T02:00:00Z");
    assert_eq!(told, ["lead: [chat] October ended at 85 % of its budget: $85 of $100"]);
    // No night for weeks: November is told by what it came to.
    office.spends("2026-11-10T10:00:00Z", "chat-prod", "60");
    office.spends("2026-11-30T10:00:00Z", "chat-prod", "50");
    office.spends("2026-12-02T10:00:00Z", "chat-prod", "51");
    let told = office.told("2026-12-04T02:00:00Z");
    assert_eq!(told, ["lead: [chat] November budget exceeded, 111 %: $111 of $100 + 1 more"]);
    // Late data for October, which ended 34 days ago; and then it is too late.
    office.spends("2026-10-20T11:00:00Z", "chat-prod", "11");
    assert_eq!(office.told("2026-12-05T02:00:00Z"), ["lead: [chat] October ended at 96 % of its budget: $96 of $100"]);
    office.spends("2026-10-20T12:00:00Z", "chat-prod", "11");
    assert_eq!(office.told("2026-12-07T02:00:00Z"), NOTHING);
}

#[test]
fn the_first_run_on_a_year_of_logs_tells_of_what_is_open() {
    let mut office = Office::new();
    office.edit("monthly_budget_usd", "rate_limit_rpm = 1\nmonthly_budget_usd");
    for month in 1..=11 {
        office.spends(&format!("2026-{month:02}-03T10:00:00Z"), "chat-prod", "60");
        office.spends(&format!("2026-{month:02}-03T10:00:01Z"), "stranger", "20");
    }
    let told = office.told("2026-11-20T02:00:00Z");
    assert_eq!(told, ["lead: [chat] 60 % of November budget: $60 of $100 + 1 more",]);
    // October is marked as seen: more of it is told when it rises above that.
    office.spends("2026-10-21T10:00:00Z", "chat-prod", "10");
    assert_eq!(office.told("2026-11-21T02:00:00Z"), NOTHING);
    office.spends("2026-10-21T11:00:00Z", "chat-prod", "10");
    assert_eq!(office.told("2026-11-22T02:00:00Z"), ["lead: [chat] October ended at 80 % of its budget: $80 of $100"]);
}

#[test]
fn a_mail_that_is_nowhere_is_put_back_byte_for_byte() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "82.10");
    office.night("2026-11-20T02:00:00Z");
    let mails = office.mails();
    let (name, bytes) = mails.first_key_value().unwrap();
    let pending = office.run.path(&format!("book/outbox/pending/{name}"));
    assert_eq!(fs::read(&pending).unwrap(), *bytes);
    fs::remove_file(&pending).unwrap();
    let said = office.said("2026-11-21T02:00:00Z", &["report", "alerts"]);
    assert_eq!(said, "nothing new to tell\n1 mail of an earlier run put back into the outbox\n");
    assert_eq!(fs::read(&pending).unwrap(), *bytes);
    for place in ["sent", "failed"] {
        let there = office.run.path(&format!("book/outbox/{place}/{name}"));
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::rename(&pending, &there).unwrap();
        office.night("2026-11-21T03:00:00Z");
        assert_eq!(office.mails(), mails, "{place}");
        fs::remove_file(&there).unwrap();
        office.night("2026-11-21T04:00:00Z");
        assert_eq!(fs::read(&pending).unwrap(), *bytes, "{place}");
    }
    // Somebody cleared the outbox of last season.
    fs::remove_file(&pending).unwrap();
    office.said("2026-12-26T02:00:00Z", &["report", "alerts"]);
    assert!(!pending.exists());
}

#[test]
fn a_dry_run_and_a_preview_commit_nothing() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "82.10");
    office.said("2026-11-20T02:00:00Z", &["-q", "ingest"]);
    office.said("2026-11-20T02:00:00Z", &["-q", "price"]);
    let before = files_below(&office.run.path("book"));
    let said = office.said("2026-11-20T02:00:00Z", &["report", "alerts", "--dry-run"]);
    let expected = " kind       alert                                           to\n threshold  [chat] 82 % of November budget: $82.10 of $100  \
                    lead@example.com\n\ndry run: nothing was written\n";
    assert_eq!(said, expected);
    let json = office.said("2026-11-20T02:00:00Z", &["report", "alerts", "--output", "preview", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["alerts"][0]["kind"], "threshold");
    assert_eq!(json["mails"][0]["to"], "lead@example.com");
    assert!(files_below(&office.run.path("book")) == before, "something was written");
    let preview = files_below(&office.run.path("preview"));
    office.said("2026-11-20T02:00:00Z", &["report", "alerts"]);
    // The same bytes as what is then committed.
    assert_eq!(office.mails(), preview);
}

#[test]
fn alerts_of_every_kind_are_told_once_to_whom_they_concern() {
    let mut office = Office::new();
    office.edit("silent_after = \"400d\"", "silent_after = \"3d\"");
    office.edit("[mail]", "[[key]]\nname = \"chat-old\"\nteam = \"chat\"\nvalid_from = \"2026-01-01\"\n\n[mail]");
    office.edit("monthly_budget_usd = \"100\"", "monthly_budget_usd = \"900\"\nallowed_models = [\"m\"]");
    for day in 1..=19 {
        office.spends(&format!("2026-11-{day:02}T10:00:00Z"), "chat-prod", "2");
    }
    assert_eq!(office.told("2026-11-20T02:00:00Z"), NOTHING);
    // A spike.
    office.spends("2026-11-20T10:00:00Z", "chat-prod", "60");
    assert_eq!(
        office.told("2026-11-21T02:00:00Z"),
        [
            "finance: [organization] $60 on 20 November 2026, usually $2 a day",
            "lead: [chat] $60 on 20 November 2026, usually $2 a day",
        ]
    );
    // A model without a price, which is no allowed one either; a key of nobody; one that is old.
    office.asks("2026-11-21T10:00:00Z", "chat-prod", "new", "ann", 1_000);
    office.spends("2026-11-21T11:00:00Z", "stranger", "3");
    office.spends("2026-11-21T12:00:00Z", "chat-old", "1");
    let told = office.told("2026-11-22T02:00:00Z");
    assert_eq!(
        told,
        [
            "finance: [unattributed] 1 request of nobody for $3",
            "lead: [chat] 1 violation of policy, 21 November 2026 + 1 more",
            "operators: [model new] no price for 1 request + 1 more",
        ]
    );
    // The same again on the same day is not told; on the next one it is.
    office.spends("2026-11-22T01:00:00Z", "stranger", "3");
    office.asks("2026-11-22T01:00:00Z", "chat-prod", "new", "ann", 1_000);
    assert_eq!(office.told("2026-11-22T03:00:00Z"), NOTHING);
    assert_eq!(
        office.told("2026-11-23T02:00:00Z"),
        [
            "finance: [unattributed] 1 request of nobody for $3",
            "lead: [chat] 1 violation of policy, 22 November 2026",
            "operators: [unattributed] 1 violation of policy, 22 November 2026",
        ]
    );
    // Nothing is heard any more; and later again.
    assert_eq!(office.told("2026-11-25T02:00:00Z"), ["operators: [source gateway] nothing since 2026-11-22 01:00 UTC"]);
    assert_eq!(office.told("2026-11-26T02:00:00Z"), NOTHING);
    office.spends("2026-11-26T01:00:00Z", "chat-prod", "2");
    for night in ["2026-11-27T02:00:00Z", "2026-11-28T02:00:00Z"] {
        assert_eq!(office.told(night), NOTHING);
    }
    assert_eq!(office.told("2026-11-30T02:00:00Z"), ["operators: [source gateway] nothing since 2026-11-26 01:00 UTC"]);
}

#[test]
fn a_forecast_is_told_before_the_budget_is_gone_and_not_twice() {
    let mut office = Office::new();
    office.edit("monthly_budget_usd = \"100\"", "monthly_budget_usd = \"100\"\nthresholds = [90, 100]");
    for day in 1..=14 {
        office.spends(&format!("2026-11-{day:02}T10:00:00Z"), "chat-prod", "5");
    }
    let told = office.told("2026-11-15T02:00:00Z");
    assert_eq!(told, ["lead: [chat] November is forecast to end at 149 % of budget: $149.11 of $100"]);
    assert_eq!(office.told("2026-11-15T03:00:00Z"), NOTHING);
    for day in 15..=19 {
        office.spends(&format!("2026-11-{day:02}T10:00:00Z"), "chat-prod", "5");
    }
    // The alert of a threshold says where it is going: that is not told apart.
    assert_eq!(office.told("2026-11-20T02:00:00Z"), ["lead: [chat] 95 % of November budget: $95 of $100"]);
}

#[test]
fn keys_models_and_weeks_have_budgets_too() {
    let mut office = Office::new();
    let budgets = "[[key]]\nname = \"nightly\"\nteam = \"chat\"\nmonthly_budget_usd = \"50\"\n\n\
                   [models.m]\nmonthly_budget_usd = \"70\"\nthresholds = [90]\n\n[mail]";
    office.edit("[mail]", budgets);
    office.edit(
        "monthly_budget_usd = \"100\"",
        "budget = [{ period = \"week\", amount_usd = \"100\", timezone = \"Asia/Tokyo\" }]",
    );
    // Monday in Tokyo, Sunday in London.
    office.spends("2026-11-15T15:00:00Z", "nightly", "40");
    office.spends("2026-11-15T14:59:59Z", "chat-prod", "24");
    office.spends("2026-11-16T10:00:00Z", "chat-prod", "40");
    assert_eq!(
        office.told("2026-11-18T02:00:00Z"),
        [
            "finance: [model m] 148 % of November budget, exceeded: $104 of $70",
            "lead: [chat] 80 % of week of 16 November budget: $80 of $100 + 1 more",
        ]
    );
    // What is spent once the model's budget is gone is a violation, too.
    let key = "lead: [key nightly] 100 % of November budget, reached: $50 of $50 + 1 more";
    office.spends("2026-11-18T10:00:00Z", "nightly", "10");
    assert_eq!(office.told("2026-11-19T02:00:00Z"), [key]);
}

#[test]
fn what_is_not_known_is_said() {
    let mut office = Office::new();
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "60");
    for hour in 10..13 {
        office.asks(&format!("2026-11-04T{hour}:00:00Z"), "chat-prod", "new", "ann", 1_000);
    }
    office.night("2026-11-05T02:00:00Z");
    let mails = office.new_mails();
    let lead = mails.iter().find(|mail| mail.to.starts_with("lead")).unwrap();
    assert_eq!(lead.subject, "[chat] at least 60 % of November budget: $60 of $100");
    let said = lead.text.replace('\n', " ");
    assert!(said.contains("The state of this budget is unknown: 3 of 4 requests have no price."), "{said}");
}

#[test]
fn names_can_do_nothing() {
    let mut office = Office::new();
    office.edit("[teams.chat]", "[teams.\"<b>=cmd 🦀 שלום\"]");
    let team = "<b>=cmd 🦀 שלום";
    let long = "x".repeat(5_000);
    let hostile = [
        "=HYPERLINK(\"http://evil\")",
        "a\r\nBcc: victim@example.com\r\n\r\nbody",
        "<script>alert(1)</script>",
        &long,
        "\u{202e}evil",
    ];
    for (hour, user) in hostile.iter().enumerate() {
        let ts = format!("2026-11-03T1{hour}:00:00Z");
        office.asks(&ts, &format!("{team}-prod"), "m", user, 12_000_000);
    }
    office.night("2026-11-20T02:00:00Z");
    let mails = office.new_mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let mail = &mails[0];
    assert!(mail.subject.contains("60 % of November budget: $60 of $100"), "{}", mail.subject);
    assert_eq!(mail.to, "lead@example.com");
    assert!(!mail.headers.contains("Bcc"), "{}", mail.headers);
    for line in mail.headers.lines() {
        assert!(line.len() <= 998, "{line}");
    }
    assert!(!mail.html.contains("<script") && !mail.html.contains("<b>="), "{}", mail.html);
    assert!(mail.html.contains("&lt;b&gt;=cmd"), "{}", mail.html);
    for text in [&mail.text, &mail.html, &mail.subject] {
        assert!(!text.contains('\u{202e}') && !text.contains(&long[..100]), "{text}");
    }
    let mut reader = csv::Reader::from_reader(mail.csv.as_bytes());
    let items: Vec<String> =
        reader.records().map(|row| row.unwrap()[4].to_owned()).filter(|it| !it.is_empty()).collect();
    assert!(items.iter().any(|item| item.starts_with("'=HYPERLINK")), "{items:?}");
    assert!(items.iter().all(|item| !item.starts_with(['=', '+', '-', '@'])), "{items:?}");
}

/// A night that has three mails to write.
fn eventful() -> Office {
    let mut office = Office::new();
    office.edit("[mail]", "[teams.lab]\nowners = [\"lab@example.com\"]\nmonthly_budget_usd = \"10\"\n\n[mail]");
    office.spends("2026-11-03T10:00:00Z", "chat-prod", "82.10");
    office.spends("2026-11-03T11:00:00Z", "lab-prod", "11");
    office.spends("2026-11-18T11:00:00Z", "stranger", "11");
    office.said("2026-11-19T02:00:00Z", &["-q", "run"]);
    office
}

#[test]
fn killed_at_any_moment_each_mail_is_there_with_the_same_id() {
    const NIGHT: [&str; 3] = ["-q", "report", "alerts"];
    let office = eventful();
    let before = files_below(office.run.dir());
    // What was there before the alerts, also where `run` raises them already.
    let stays =
        |name: &str| !["book/alerts/", "book/outbox/", "book/state/alerts.json"].iter().any(|it| name.starts_with(it));
    let copy = || {
        let copy = Office::in_run(TestRun::in_memory(CONFIG));
        for (name, bytes) in before.iter().filter(|(name, _)| stays(name)) {
            copy.run.write(name, bytes);
        }
        copy
    };
    let whole = copy();
    let begun = Stopwatch::now();
    whole.said("2026-11-19T02:00:00Z", &NIGHT);
    let usual = begun.elapsed();
    let expected = whole.mails();
    assert!(expected.len() >= 3, "{:?}", expected.keys());
    let mut dice = Dice(0xa1e7);
    for point in 0..times("SPENDBOOK_KILLS", 20) {
        let killed = copy();
        let arguments = ["--now", "2026-11-19T02:00:00Z", "-q", "report", "alerts"];
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_spendbook"))
            .args(arguments)
            .current_dir(killed.run.dir())
            .env_clear()
            .spawn()
            .unwrap();
        let delay = usual * u32::try_from(dice.below(1_100)).unwrap() / 1_000;
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        let context = format!("point {point}, killed after {delay:?} of {usual:?}");
        for (name, bytes) in killed.mails() {
            assert!(expected.get(&name) == Some(&bytes), "{context}: {name} is not what it was to be");
        }
        killed.said("2026-11-19T02:00:00Z", &NIGHT);
        assert!(killed.mails() == expected, "{context}");
        killed.said("2026-11-20T02:00:00Z", &NIGHT);
        assert!(expected.iter().all(|(name, bytes)| killed.mails().get(name) == Some(bytes)), "{context}");
    }
}

/// A golden case: logs, prices and a config in, mails out, as they were once
/// read by a person. `SPENDBOOK_UPDATE_GOLDEN=1 cargo test alerts` writes them
/// anew: read every line of the difference.
#[test]
fn golden_mails_are_what_they_were() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/alerts");
    let config = fs::read_to_string(case.join("spendbook.toml")).unwrap();
    let office = Office::in_run(TestRun::in_memory(&config));
    for dir in ["logs", "pricing"] {
        for (name, bytes) in files_below(&case.join(dir)) {
            office.run.write(&format!("{dir}/{name}"), bytes);
        }
    }
    office.night("2026-11-20T02:00:00Z");
    let mut found = BTreeMap::new();
    for bytes in office.mails().into_values() {
        let mail = Read::of(&bytes);
        let whose = mail.to.split('@').next().unwrap();
        let head = mail.headers.replace("\r\n", "\n");
        let head = head.replace(env!("CARGO_PKG_VERSION"), "<version>");
        found.insert(format!("{whose}.txt"), format!("{head}\n\n{}", mail.text));
        found.insert(format!("{whose}.html"), mail.html.replace("\r\n", "\n"));
        found.insert(format!("{whose}.csv"), mail.csv);
    }
    let expected = case.join("expected");
    if std::env::var_os("SPENDBOOK_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&expected).unwrap();
        for (name, text) in &found {
            fs::write(expected.join(name), text).unwrap();
        }
    }
    let stored: BTreeMap<String, String> =
        files_below(&expected).into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
    for (name, text) in found {
        assert_eq!(text, stored[&name], "tests/golden/alerts/expected/{name}");
    }
}
