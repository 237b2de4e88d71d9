//! Check sources through the real binary: what they saw is held against the
//! charges, request by request where both have ids, and is in no sum.

use mail_parser::MessageParser;
use serde_json::Value;

use crate::{
    reconcile::{CONFIG, DAY, line, priced, tell, told, workspace},
    support::{TestRun, assert_same_bytes, files_below},
};

const MIRROR: &str = "
[[source]]
name = \"mirror\"
format = \"native\"
path = \"mirror/*\"
provider = \"groq\"
role = \"check\"
";

/// The 20 requests of the logs, but for one of `lab-prod`, and two more of `chat-prod`.
fn mirror(id: impl Fn(u32) -> u32) -> String {
    let mut log = String::new();
    for of in 0..12 {
        let at = format!("{DAY}T12:00:{of:02}Z");
        log.push_str(&line(id(of), &at, "chat-prod", 100, 10));
    }
    for of in 0..9 {
        log.push_str(&line(id(100 + of), &format!("{DAY}T13:00:0{of}Z"), "lab-prod", 100, 10));
    }
    log
}

fn checked(mirror: String) -> TestRun {
    let run = workspace(&(CONFIG.to_owned() + MIRROR));
    run.write("mirror/a.jsonl", mirror);
    priced(&run);
    run
}

fn page(run: &TestRun) -> Value {
    let ran = run.run(&["reconcile", "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Of the line of a source and a key: what is there, by name, with nothing between.
fn cells(page: &Value, source: &str, key: &str, names: &[&str]) -> String {
    let lines = page["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["source"] == source && line["key"] == key);
    let line = line.unwrap_or_else(|| panic!("{source} {key} in {page:#}"));
    names.iter().map(|name| format!("{name} {}", line[name])).collect::<Vec<_>>().join(", ").replace('"', "")
}

#[test]
fn what_a_check_source_saw_is_held_against_the_charges() {
    let run = checked(mirror(|id| id));
    let page = page(&run);
    let names = [
        "role",
        "requests_ours",
        "requests_theirs",
        "requests_not_logged",
        "requests_unexplained",
        "tokens_difference",
        "tokens_not_logged",
        "tokens_unexplained",
        "worth_not_logged",
        "cost_ours",
        "status",
    ];
    // Two requests of 100 and 10 tokens each: 2 × (100 × $0.001 + 10 × $0.002).
    assert_eq!(
        cells(&page, "mirror", "chat-prod", &names),
        "role check, requests_ours 10, requests_theirs 12, requests_not_logged 2, requests_unexplained 0, \
         tokens_difference 220, tokens_not_logged 220, tokens_unexplained 0, worth_not_logged 0.240000000000, \
         cost_ours null, status investigate"
    );
    assert_eq!(
        cells(&page, "mirror", "lab-prod", &names),
        "role check, requests_ours 10, requests_theirs 9, requests_not_logged 0, requests_unexplained -1, \
         tokens_difference -110, tokens_not_logged 0, tokens_unexplained -110, worth_not_logged 0.000000000000, \
         cost_ours null, status investigate"
    );
    assert_eq!(page["lines"].as_array().unwrap().len(), 2);
    let ids = serde_json::json!([{"day": DAY, "provider": "groq", "source": "mirror",
        "both": 19, "only_ours": 1, "only_theirs": 2}]);
    assert_eq!(page["request_ids"], ids);
    let text = run.run(&["reconcile"]).stdout;
    for expect in [
        "mirror (check)  chat-prod, m",
        "not in our logs +220",
        "mirror, groq: 19 request ids on both sides, 2 only in mirror, 1 only in our logs: 2026-06-01\n",
        "2 lines: 2 to investigate, 0 explained\n",
    ] {
        assert!(text.contains(expect), "{expect}: {text}");
    }
    // It is said wherever the books are judged, and is nobody's spend.
    let status = run.run(&["status"]).stdout;
    let expect = "1 day since 2026-05-11 held against what check sources saw, 2 lines to investigate: ";
    assert!(status.contains(expect), "{status}");
    let doctor = run.run(&["doctor"]).stdout;
    assert!(doctor.contains("1 day since 2026-05-11 held against what it saw of groq"), "{doctor}");
}

#[test]
fn it_is_a_table_and_in_no_sum() {
    let alone = workspace(CONFIG);
    let run = checked(mirror(|id| id));
    let charges = |run: &TestRun| files_below(&run.path("book/charges"));
    assert_same_bytes(&charges(&alone), &charges(&run), "charges know of no check source");
    let sql = "SELECT source, count(*) AS n, sum(input_tokens) AS tokens FROM checks GROUP BY source";
    let ran = run.run(&["query", sql, "--format", "csv"]);
    assert_eq!(ran.stdout, "source,n,tokens\nmirror,21,2100\n", "{ran:?}");
    assert!(run.run(&["query", "--list"]).stdout.contains("checks"));
    let ran = run.run(&["export", "csv", "checks"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 22), "{ran:?}");

    // What no log shows stays with the word of the provider.
    let unlogged = |run: &TestRun| {
        let sql = "SELECT source, key, requests, input_tokens FROM unlogged ORDER BY key";
        run.run(&["query", sql, "--format", "csv"]).stdout
    };
    assert_eq!(unlogged(&run), "source,key,requests,input_tokens\n");
    let claims = vec![
        told("bill", DAY, Some("chat-prod"), 12, [1200, 120], Some("1.44")),
        told("bill", DAY, Some("lab-prod"), 10, [1000, 100], Some("1.20")),
    ];
    for run in [&alone, &run] {
        tell(run, "bill", DAY, claims.clone());
        priced(run);
        assert_eq!(unlogged(run), "source,key,requests,input_tokens\nbill,chat-prod,2,200\n");
    }
    let page = page(&run);
    assert_eq!(
        cells(&page, "bill", "chat-prod", &["role", "cost_difference"]),
        "role totals, cost_difference 0.240000000000"
    );
    assert_eq!(
        cells(&page, "mirror", "chat-prod", &["role", "tokens_difference"]),
        "role check, tokens_difference 220"
    );
    let status = run.run(&["status"]).stdout;
    let expect =
        "held against what providers report and check sources saw, 3 lines to investigate, $0.24 for 2 requests";
    assert!(status.contains(expect), "{status}");

    // Again: nothing is made anew, until the check source has more to say.
    let tables = files_below(&run.path("book/unlogged"));
    assert!(!priced(&run).contains("held against"));
    assert_same_bytes(&tables, &files_below(&run.path("book/unlogged")), "nothing new");
    run.append("mirror/a.jsonl", line(109, &format!("{DAY}T13:00:09Z"), "lab-prod", 100, 10));
    assert!(run.run(&["ingest"]).code == 0);
    assert!(run.run(&["status"]).stdout.contains("1 day not held against the latest"), "its word has changed");
    let said = priced(&run);
    assert!(said.contains("1 day held against what providers report and check sources saw, 2 lines"), "{said}");
}

#[test]
fn a_day_that_is_not_over_is_named_and_judged_later() {
    let run = workspace(&(CONFIG.to_owned() + MIRROR));
    run.write("mirror/a.jsonl", mirror(|id| id));
    let at = |now: &str, arguments: &[&str]| run.run_at(now, arguments).stdout;
    let during = "2026-06-01T14:00:00Z";
    at(during, &["ingest"]);
    at(during, &["price"]);
    let text = at(during, &["reconcile"]);
    let expect = "not compared: 2026-06-01 mirror: the day is open: what it tells reaches until 2026-06-01T13:00:08Z";
    assert!(text.contains(expect) && text.contains("nothing could be compared"), "{text}");
    let after = "2026-06-02T00:00:00Z";
    assert!(at(after, &["price"]).contains("1 day held against what check sources saw, 2 lines to investigate"));
    assert!(!at(after, &["price"]).contains("held against"));
}

#[test]
fn ids_that_cannot_be_compared_are_said_to_be_others() {
    // The mirror writes ids of its own.
    let run = checked(mirror(|id| 5000 + id));
    let page = page(&run);
    let ids = &page["request_ids"][0];
    assert_eq!((&ids["both"], &ids["only_ours"], &ids["only_theirs"]), (&0.into(), &20.into(), &21.into()));
    let text = run.run(&["reconcile"]).stdout;
    assert!(text.contains("21 only in mirror and 20 only in our logs: both write other ids\n"), "{text}");
    // And one that writes none says nothing of them.
    let without: String = mirror(|id| id)
        .lines()
        .map(|line| {
            let (before, after) = line.split_once("\"request_id\"").unwrap();
            format!("{before}{}\n", after.split_once(',').unwrap().1)
        })
        .collect();
    let run = checked(without);
    let page = self::page(&run);
    assert_eq!((page["request_ids"].clone(), page["lines"].as_array().unwrap().len()), (serde_json::json!([]), 2));
}

#[test]
fn finance_is_told_how_far_a_check_source_agrees() {
    let people = "\n[organization]\nname = \"Example\"\nfinance = [\"finance@example.com\"]\n";
    let run = workspace(&(CONFIG.to_owned() + MIRROR + people));
    run.write("mirror/a.jsonl", mirror(|id| id));
    priced(&run);
    for arguments in [&["-q", "audit"][..], &["report", "weekly"]] {
        assert_eq!(run.run_at("2026-06-08T02:00:00Z", arguments).code, 0);
    }
    let mails = files_below(&run.path("book/outbox/pending"));
    let (_, eml) = mails.iter().find(|(name, _)| name.contains("organization")).unwrap();
    let text = MessageParser::default().parse(eml).unwrap().body_text(0).unwrap().into_owned();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // 21 × 110 and 20 × 110.
    let expect = "Held against what the check source mirror saw of groq on 1 day: it has 2,310 tokens, the logs have \
                  2,200 tokens. - 2 lines of it to investigate";
    assert!(text.contains(expect) && !text.contains("is not in logs"), "{text}");
}

/// A request whose two sides fall on other days is one that both have.
#[test]
fn an_id_may_be_on_the_neighbouring_day() {
    let run = workspace(&(CONFIG.to_owned() + MIRROR));
    run.append("logs/a.jsonl", line(300, "2026-06-02T00:00:00Z", "chat-prod", 7, 1));
    run.write("mirror/a.jsonl", mirror(|id| id) + &line(300, "2026-06-01T23:59:59Z", "chat-prod", 7, 1));
    priced(&run);
    let page = page(&run);
    let ids: Vec<String> = page["request_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {} {} {}", it["day"], it["both"], it["only_ours"], it["only_theirs"]))
        .collect();
    assert_eq!(ids, ["\"2026-06-01\" 20 1 2"]);
}
