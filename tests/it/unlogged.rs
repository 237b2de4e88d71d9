//! What providers report and no log shows, where people meet it: `reconcile`,
//! `status`, `top`, `query`, alerts and the weekly mails say the same, and
//! nothing of it is ever a charge.

use std::collections::BTreeMap;

use mail_parser::{MessageParser, MimeHeaders};
use serde_json::Value;

use crate::{
    reconcile::{CONFIG, DAY, priced, tell, told, workspace},
    support::{TestRun, files_below},
};

/// The night after the week of that day.
const MONDAY: &str = "2026-06-08T02:00:00Z";

/// The config, with a budget, people, and this in `[reconcile]`.
fn config(budget_unlogged: bool) -> String {
    let config = CONFIG.replace("monthly_budget_usd = \"100\"", "monthly_budget_usd = \"1.40\"");
    let config = config.replace("provider = \"groq\"", "provider = \"groq\"\nsilent_after = \"30d\"");
    format!(
        "{config}\n[organization]\nname = \"Example\"\nfinance = [\"finance@example.com\"]\n\
         monthly_budget_usd = \"50\"\n\n[reconcile]\nbudget_unlogged = {budget_unlogged}\n"
    )
}

/// Both keys as they are logged, $1.20 each; beside that two requests of
/// `chat-prod`, which are worth $0.24, and a key that no log knows, $0.60.
fn bypassed(budget_unlogged: bool) -> TestRun {
    let run = workspace(&config(budget_unlogged));
    let rows = vec![
        told("bill", DAY, Some("lab-prod"), 10, [1000, 100], None),
        told("bill", DAY, Some("chat-prod"), 12, [1200, 120], None),
        told("bill", DAY, Some("ghost"), 3, [500, 50], None),
    ];
    tell(&run, "bill", DAY, rows);
    priced(&run);
    run
}

fn json(run: &TestRun, arguments: &[&str]) -> Value {
    let ran = run.run_at(MONDAY, &[arguments, &["--format", "json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The row of a listing that has this value.
fn row<'p>(page: &'p Value, listing: &str, column: &str, value: &str) -> &'p Value {
    let rows = page[listing].as_array().unwrap_or_else(|| panic!("no `{listing}` in {page}"));
    rows.iter().find(|row| row[column] == value).unwrap_or_else(|| panic!("no {value} in {rows:?}"))
}

fn csv(run: &TestRun, sql: &str) -> String {
    let ran = run.run_at(MONDAY, &["query", sql, "--format", "csv"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().nth(1).unwrap().to_owned()
}

/// The mails of the week: their texts, and the rows of their attachments.
fn weekly(run: &TestRun) -> BTreeMap<String, (String, Vec<String>)> {
    for arguments in [&["-q", "audit"][..], &["report", "weekly"]] {
        let ran = run.run_at(MONDAY, arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let parse = |(name, bytes): (String, Vec<u8>)| {
        let message = MessageParser::default().parse(&bytes).unwrap();
        let text = message.body_text(0).unwrap().replace("\r\n", " ").replace('\n', " ");
        let table = message.attachments().find(|part| part.attachment_name().is_some_and(|name| name.contains("csv")));
        let rows = table.unwrap().text_contents().unwrap().lines().map(str::to_owned).collect();
        // Lines are folded to be read.
        (name, (text.split_whitespace().collect::<Vec<_>>().join(" "), rows))
    };
    files_below(&run.path("book/outbox/pending")).into_iter().map(parse).collect()
}

fn mail<'m>(mails: &'m BTreeMap<String, (String, Vec<String>)>, of: &str) -> &'m (String, Vec<String>) {
    mails.iter().find(|(name, _)| name.contains(of)).unwrap_or_else(|| panic!("no mail for {of}")).1
}

const ALL: &str = "0.840000000000";
const OF_CHAT: &str = "0.240000000000";

#[test]
fn everybody_says_the_same_of_what_no_log_shows() {
    for counts in [false, true] {
        let run = bypassed(counts);
        let page = json(&run, &["reconcile"]);
        assert_eq!(row(&page, "not_in_logs", "key", "chat-prod")["cost"], OF_CHAT);
        assert_eq!(row(&page, "not_in_logs", "key", "chat-prod")["owner"], "ada");
        assert_eq!(row(&page, "not_in_logs", "key", "ghost")["cost"], "0.600000000000");
        assert_eq!(csv(&run, "SELECT sum(cost) AS c, sum(requests) AS n FROM unlogged"), format!("{ALL},5"));
        assert_eq!(csv(&run, "SELECT sum(cost) AS c FROM unlogged WHERE team = 'chat'"), OF_CHAT);
        assert_eq!(csv(&run, "SELECT sum(requests) AS n, sum(output_tokens) AS t FROM totals"), "25,270");
        // Never a charge, or usage.
        assert_eq!(csv(&run, "SELECT sum(cost) AS c, count(*) AS n FROM charges"), "2.400000000000,20");
        assert_eq!(csv(&run, "SELECT count(*) AS n FROM usage"), "20");

        let page = json(&run, &["status"]);
        assert_eq!(page["not_logged_usd"], ALL);
        assert_eq!(page["lines_to_investigate"], 2);
        assert_eq!(row(&page, "month", "what", "unlogged")["cost"], ALL);
        assert_eq!(row(&page, "month", "what", "all")["cost"], "2.400000000000");
        let chat = row(&page, "budgets", "name", "chat");
        let organization = row(&page, "budgets", "scope", "organization");
        let expect = if counts {
            ["1.440000000000", OF_CHAT, "exceeded", "3.240000000000", ALL]
        } else {
            ["1.200000000000", "0.000000000000", "within", "2.400000000000", "0.000000000000"]
        };
        let budget = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
        let found = [(chat, "spend"), (chat, "unlogged"), (chat, "standing"), (organization, "spend")];
        assert_eq!(found.map(|(of, name)| budget(of, name)), [expect[0], expect[1], expect[2], expect[3]]);
        assert_eq!(budget(organization, "unlogged"), expect[4]);

        let page = json(&run, &["top", "teams"]);
        let page = serde_json::json!({ "teams": page });
        let chat = row(&page, "teams", "team", "chat");
        assert_eq!([&chat["cost"], &chat["unlogged"]].map(|it| it.as_str().unwrap()), [expect[0], expect[1]]);
        assert_eq!(row(&page, "teams", "team", "lab")["cost"], "1.200000000000");
        for subject in ["teams", "keys", "models", "users"] {
            let page = json(&run, &["top", subject]);
            let cents = |row: &Value| row["cost"].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
            let sum: i64 = page.as_array().unwrap().iter().map(cents).sum();
            assert_eq!(sum.to_string(), expect[3].replace('.', ""), "{subject}");
        }
        let state = run.run_at(MONDAY, &["export", "budget-state"]).stdout;
        let state: Value = serde_json::from_str(&state).unwrap();
        assert_eq!(state["teams"]["chat"]["budgets"][0]["spend_usd"], expect[0]);
        let alerts = run.run_at(MONDAY, &["report", "alerts", "--dry-run"]).stdout;
        assert_eq!(alerts.contains("exceeded: $1.44 of $1.40"), counts, "{alerts}");
    }
}

#[test]
fn the_weekly_mails_say_it_too_and_their_parts_sum_up() {
    for counts in [false, true] {
        let run = bypassed(counts);
        let mails = weekly(&run);
        let (text, rows) = mail(&mails, "organization");
        let has = |row: &str| assert!(rows.iter().any(|it| it == row), "{row} in {rows:?}");
        has("unlogged,chat-prod,chat,2,0.240000000000,0.000000000000");
        has("unlogged,ghost,,3,0.600000000000,0.000000000000");
        let all = if counts { "3.240000000000" } else { "2.400000000000" };
        has(&format!("total,,,20,{all},0.000000000000"));
        has(&format!("day,2026-06-01,,,{all},0.000000000000"));
        let chat = if counts { "1.440000000000" } else { "1.200000000000" };
        has(&format!("team,chat,,10,{chat},0.000000000000"));
        let beside =
            if counts { "a line of its own in the cost above" } else { "beside the cost above and in no budget" };
        let expect = format!(
            "$0.84 (25.9 % of all) was reported by providers and is not in logs, {beside}: 3 requests with “ghost” and \
             2 requests with “chat-prod” (chat, owner ada)."
        );
        assert!(text.contains(&expect), "{text}");
        let expect = "Held against what groq reports on 1 day: it reports 2,970 tokens, the logs have 2,200 tokens.";
        assert!(text.contains(expect), "{text}");
        let expect = "2 lines of it to investigate: spendbook reconcile --from 2026-06-01 --to 2026-06-07.";
        assert!(text.contains(expect), "{text}");
        // Who owns a team hears of its own keys.
        let (text, rows) = mail(&mails, "team-chat");
        assert!(text.contains("2 requests with “chat-prod” (owner ada).") && !text.contains("ghost"), "{text}");
        assert!(rows.contains(&format!("total,,,10,{chat},0.000000000000")), "{rows:?}");
        assert_eq!(text.contains("in no log $0.24 16.6 % new reported by providers"), counts, "{text}");
    }
}

#[test]
fn a_week_whose_bypass_is_told_late_is_corrected_with_the_reason() {
    let run = workspace(&config(true));
    weekly(&run);
    tell(&run, "bill", DAY, vec![told("bill", DAY, Some("chat-prod"), 12, [1200, 120], None)]);
    priced(&run);
    run.append("logs/a.jsonl", crate::reconcile::line(900, "2026-06-12T12:00:00Z", "chat-prod", 1, 1));
    for arguments in [&["-q", "ingest"][..], &["-q", "price"], &["-q", "audit"], &["report", "weekly"]] {
        assert_eq!(run.run_at("2026-06-15T02:00:00Z", arguments).code, 0);
    }
    let mails = files_below(&run.path("book/outbox/pending"));
    let (_, eml) = mails.iter().find(|(name, _)| name.contains("2026-06-08-team-chat")).unwrap();
    let text = MessageParser::default().parse(eml).unwrap().body_text(0).unwrap().into_owned();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let expect = "was mailed as $1.20 and is $1.44 now, because what providers report and no log shows went from \
                  $0.00 to $0.24.";
    assert!(text.contains(expect), "{text}");
}

/// Traffic that goes past every log is use of its key.
#[test]
fn a_key_that_only_a_provider_reports_is_in_use() {
    let run = workspace(&(config(false) + "\n[[key]]\nname = \"ghost\"\nteam = \"lab\"\n"));
    let keys = |run: &TestRun| serde_json::json!({ "keys": json(run, &["keys"]) });
    assert_eq!(row(&keys(&run), "keys", "key", "ghost")["verdict"], "never used");
    tell(&run, "bill", DAY, vec![told("bill", DAY, Some("ghost"), 3, [500, 50], None)]);
    priced(&run);
    let told = "in no log, but groq reports 3 requests since 2026-06-01";
    let page = keys(&run);
    let ghost = row(&page, "keys", "key", "ghost");
    assert_eq!((&ghost["verdict"], &ghost["findings"]), (&told.into(), &"only_reported".into()));
    assert_eq!(csv(&run, "SELECT verdict FROM keys WHERE key = 'ghost'"), format!("\"{told}\""));
    let ran = run.run_at(MONDAY, &["keys", "--safe-to-delete", "ghost"]);
    assert_eq!((ran.code, ran.stdout), (4, format!("ghost: in use: {told}, the last on 2026-06-01\n")));
    let doctor = run.run_at(MONDAY, &["doctor"]).stdout;
    let expect =
        "1 registered key in no log of 30 days, and in use: `ghost`, groq reports 3 requests since 2026-06-01: ";
    assert!(doctor.contains(expect) && !doctor.contains("every registered key"), "{doctor}");
}

#[test]
fn status_warns_where_a_side_changed_since_it_was_compared() {
    let run = bypassed(false);
    let shown = |run: &TestRun| run.run_at(MONDAY, &["status"]).stdout;
    let expect = "1 day since 2026-05-09 held against what providers report, 2 lines to investigate, $0.84 for 5 \
                  requests in no log: `spendbook reconcile` shows them\n";
    let text = shown(&run);
    assert!(text.contains(expect) && !text.contains("one step apart"), "{text}");
    assert!(text.contains("\n  $0.84 for 5 requests reported by providers, not in logs: beside that, in no budget\n"));
    tell(&run, "bill", DAY, vec![told("bill", DAY, Some("chat-prod"), 13, [1300, 130], None)]);
    let apart = "one step apart: 1 day not held against the latest of both sides: run `spendbook price`\n";
    assert!(shown(&run).contains(apart), "{}", shown(&run));
    priced(&run);
    assert!(!shown(&run).contains("one step apart"));
    // Without a word of any provider there is nothing to say.
    let silent = workspace(&config(false));
    assert!(!shown(&silent).contains("providers"), "{}", shown(&silent));
}

#[test]
fn a_key_that_the_provider_knows_by_its_id_is_its_owners() {
    let run = workspace(&config(false).replace("owner = \"ada\"", "owner = \"ada\"\nkey_id = \"key_01AbC\""));
    let by_id = |requests| spendbook::totals::TotalRow {
        key_id: Some("key_01AbC".to_owned()),
        ..told("bill", DAY, None, requests, [100 * requests, 10 * requests], None)
    };
    tell(&run, "bill", DAY, vec![by_id(12), told("bill", DAY, Some("lab-prod"), 10, [1000, 100], None)]);
    priced(&run);
    let page = json(&run, &["reconcile"]);
    let line = row(&page, "not_in_logs", "key", "chat-prod");
    assert_eq!((&line["owner"], &line["team"], &line["cost"]), (&"ada".into(), &"chat".into(), &OF_CHAT.into()));
}
