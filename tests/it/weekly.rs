//! The weekly mails, through the binary: golden weeks with their mails, and
//! that each week is told once, whatever happens to the nights.

use std::{collections::BTreeMap, fs, path::Path};

use mail_parser::{Message, MessageParser, MimeHeaders};
use spendbook::money::Usd;

use crate::support::{TestRun, files_below};

/// The night after the golden week.
const MONDAY: &str = "2026-11-16T02:00:00Z";

/// A copy of a golden case, to run.
fn golden(case: &str) -> TestRun {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case);
    let run = TestRun::new();
    for (name, bytes) in files_below(&dir).into_iter().filter(|(name, _)| !is_a(name, "snap")) {
        run.write(&name, bytes);
    }
    run
}

fn is_a(name: &str, kind: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == kind)
}

/// What is said wherever mails were put into the outbox.
const NOT_SENT: &str = "nothing is sent from here: another program takes them from `book/outbox/pending`\n";

/// What comes before the mails in a night.
fn night(run: &TestRun, now: &str) {
    for stage in ["ingest", "price", "audit"] {
        let ran = run.run_at(now, &["-q", stage]);
        assert_eq!(ran.code, 0, "{stage}: {ran:?}");
    }
}

/// Mails the week; what it said.
fn mail(run: &TestRun, now: &str, arguments: &[&str]) -> String {
    let ran = run.run_at(now, &[&["report", "weekly"], arguments].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

/// The mails in a place of the outbox, by id.
fn outbox(run: &TestRun, place: &str) -> BTreeMap<String, Vec<u8>> {
    let files = files_below(&run.path(&format!("book/outbox/{place}"))).into_iter();
    files.filter_map(|(name, bytes)| Some((name.strip_suffix(".eml")?.to_owned(), bytes))).collect()
}

fn parsed(eml: &[u8]) -> Message<'_> {
    MessageParser::default().parse(eml).expect("a mail")
}

fn text(eml: &[u8]) -> String {
    parsed(eml).body_text(0).expect("a text").replace("\r\n", "\n")
}

fn attachment(eml: &[u8]) -> String {
    let message = parsed(eml);
    let found = message.attachments().find(|part| part.attachment_name().is_some_and(|name| is_a(name, "csv")));
    found.expect("a CSV").text_contents().expect("text").to_owned()
}

fn snapshot(case: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../golden/{case}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// What a client shows above a mail, and sorts it by.
fn headers(eml: &[u8]) -> String {
    let message = parsed(eml);
    let names = ["From", "To", "Subject", "Date", "Message-ID", "List-Id", "Auto-Submitted", "Content-Type"];
    let mut text = String::new();
    for name in names {
        let raw = message.header_raw(name).expect(name).trim().replace("\r\n", "");
        text.push_str(&format!("{name}: {raw}\n"));
    }
    for part in message.attachments() {
        text.push_str(&format!(
            "part: {} {} {}\n",
            part.content_type().map(|it| format!("{}/{}", it.ctype(), it.subtype().unwrap_or_default())).unwrap(),
            part.content_id().unwrap_or("-"),
            part.attachment_name().unwrap_or("-"),
        ));
    }
    text
}

#[test]
fn a_golden_week() {
    let run = golden("week");
    night(&run, MONDAY);
    let said = mail(&run, MONDAY, &[]);
    snapshot("week", "said", &said);
    let mails = outbox(&run, "pending");
    let ids: Vec<&str> = mails.keys().map(String::as_str).collect();
    assert_eq!(
        ids,
        [
            "weekly-2026-11-09-organization-1",
            "weekly-2026-11-09-team-chatbot-1",
            "weekly-2026-11-09-team-chatbot-2",
            "weekly-2026-11-09-team-research-1"
        ]
    );
    for (name, id) in [
        ("finance", "weekly-2026-11-09-organization-1"),
        ("chatbot", "weekly-2026-11-09-team-chatbot-1"),
        ("research", "weekly-2026-11-09-team-research-1"),
    ] {
        let eml = &mails[id];
        snapshot("week", &format!("{name}.txt"), &text(eml));
        snapshot("week", &format!("{name}.csv"), &attachment(eml));
        snapshot("week", &format!("{name}.headers"), &headers(eml));
    }
    let html = parsed(&mails["weekly-2026-11-09-team-chatbot-1"]).body_html(0).unwrap().replace("><", ">\n<");
    snapshot("week", "chatbot.html", &html);
    // The same mail to both of them, but for whom it is to.
    let same = |number: u8| text(&mails[&format!("weekly-2026-11-09-team-chatbot-{number}")]);
    assert_eq!(same(1), same(2));
}

/// A column of the CSV by kind and name.
fn amount(csv: &str, kind: &str, name: &str, column: usize) -> Usd {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let row = reader.records().map(Result::unwrap).find(|row| &row[0] == kind && &row[1] == name);
    Usd::parse(&row.unwrap_or_else(|| panic!("no {kind} {name}"))[column]).unwrap()
}

/// What the logs cost by a calculation of its own: pico-dollars per token.
fn by_hand(run: &TestRun, from: &str, until: &str, is_meant: impl Fn(&str) -> bool) -> i128 {
    let mut sum = 0;
    for file in ["logs/gateway.jsonl", "logs/batches.jsonl"] {
        for line in fs::read_to_string(run.path(file)).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let (ts, key) = (line["ts"].as_str().unwrap(), line["key"].as_str().unwrap());
            if !(from <= ts && ts < until && is_meant(key)) {
                continue;
            }
            let tokens = |name: &str| i128::from(line["usage"][name].as_i64().unwrap_or_default());
            let cached =
                i128::from(line["usage"]["prompt_tokens_details"]["cached_tokens"].as_i64().unwrap_or_default());
            let (input, output) = (tokens("prompt_tokens") - cached, tokens("completion_tokens"));
            let is_batch = line["service_tier"] == "batch";
            let [fresh, held, made] = match line["model"].as_str().unwrap() {
                "llama-3.1-8b-instant" => [50_000, 0, 80_000],
                "llama-3.3-70b-versatile" if is_batch => [300_000, 0, 400_000],
                "llama-3.3-70b-versatile" if ts < "2026-11-12" => [600_000, 0, 800_000],
                "llama-3.3-70b-versatile" => [500_000, 0, 800_000],
                "openai/gpt-oss-120b" => [160_000, 80_000, 600_000],
                _ => [100_000, 0, 100_000],
            };
            sum += input * fresh + cached * held + output * made;
        }
    }
    sum
}

#[test]
fn the_numbers_are_those_of_the_logs_and_the_reasons_sum_to_the_change() {
    let run = golden("week");
    night(&run, MONDAY);
    mail(&run, MONDAY, &[]);
    let mails = outbox(&run, "pending");
    let all = attachment(&mails["weekly-2026-11-09-organization-1"]);
    let (monday, before, after) = ("2026-11-09T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-16T00:00:00Z");
    assert_eq!(amount(&all, "total", "", 4).pico(), by_hand(&run, monday, after, |_| true));
    assert_eq!(amount(&all, "total", "", 5).pico(), by_hand(&run, before, monday, |_| true));
    // Teams, with their parts of the pool, and nobody's sum to it as well.
    let mut reader = csv::Reader::from_reader(all.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let sum = |kind: &str| -> i128 {
        rows.iter().filter(|row| &row[0] == kind).map(|row| Usd::parse(&row[4]).unwrap().pico()).sum()
    };
    let total = amount(&all, "total", "", 4).pico();
    assert_eq!((sum("team"), sum("model"), sum("key"), sum("day")), (total, total, total, total));
    assert_eq!(sum("change"), total - amount(&all, "total", "", 5).pico());

    // The week of chatbot is one of Berlin: it begins an hour before midnight UTC.
    let team = attachment(&mails["weekly-2026-11-09-team-chatbot-1"]);
    let berlin = ("2026-11-08T23:00:00Z", "2026-11-15T23:00:00Z");
    let own = by_hand(&run, berlin.0, berlin.1, |key| key.starts_with("chatbot-"));
    let shared = by_hand(&run, berlin.0, berlin.1, |key| key == "search-prod");
    assert_eq!(amount(&team, "shared", "search", 4).pico(), shared * 60 / 100);
    assert_eq!(amount(&team, "total", "", 4).pico(), own + shared * 60 / 100);
    let changes: i128 =
        ["volume", "mix", "cache", "price", "shared"].map(|it| amount(&team, "change", it, 4).pico()).iter().sum();
    assert_eq!(changes, (amount(&team, "total", "", 4).pico()) - amount(&team, "total", "", 5).pico());
}

#[test]
fn a_week_is_mailed_once_and_lost_mails_come_back_byte_for_byte() {
    let run = golden("week");
    night(&run, MONDAY);
    mail(&run, MONDAY, &[]);
    let mails = outbox(&run, "pending");
    let commits = files_below(&run.path("book/weekly"));
    for now in [MONDAY, "2026-11-16T03:00:00Z", "2026-11-17T02:00:00Z", "2026-11-22T22:59:59Z"] {
        assert_eq!(mail(&run, now, &[]), "no weekly mail is due\n", "{now}");
    }
    assert_eq!(outbox(&run, "pending"), mails);
    assert_eq!(files_below(&run.path("book/weekly")), commits);

    // Killed between the commit and the outbox, with one mail out of two there.
    run.remove("book/outbox/pending/weekly-2026-11-09-team-chatbot-1.eml");
    run.remove("book/outbox/pending/weekly-2026-11-09-organization-1.eml");
    assert_eq!(mail(&run, "2026-11-17T02:00:00Z", &[]), format!("2 mails put into the outbox again\n{NOT_SENT}"));
    assert_eq!(outbox(&run, "pending"), mails);

    // Each of these runs has its record, which says what it mailed.
    let records = files_below(&run.path("book/runs"));
    let records: Vec<serde_json::Value> = records
        .iter()
        .filter(|(name, _)| name.contains("-weekly-"))
        .map(|(_, bytes)| serde_json::from_slice(bytes).unwrap())
        .collect();
    assert_eq!(records.len(), 6);
    assert_eq!(records.iter().map(|it| it["mails"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 0, 0, 0, 0, 0]);

    // Sent is not lost.
    let (from, to) = ("book/outbox/pending/weekly-2026-11-09-team-chatbot-1.eml", "book/outbox/sent");
    fs::create_dir_all(run.path(to)).unwrap();
    fs::rename(run.path(from), run.path(to).join("weekly-2026-11-09-team-chatbot-1.eml")).unwrap();
    assert_eq!(mail(&run, "2026-11-17T02:00:00Z", &[]), "no weekly mail is due\n");
    let said = mail(&run, "2026-11-17T02:00:00Z", &["--team", "chatbot", "--resend"]);
    let again = "2026-W46 of the team `chatbot` was mailed before\n1 mail put into the outbox again\n";
    assert_eq!(said, format!("{again}{NOT_SENT}"));
    assert_eq!(outbox(&run, "pending"), mails);

    // What was never mailed is not sent again, nor for the first time.
    for (arguments, what) in [
        (&["--week", "2026-W45", "--resend"][..], "the week `2026-W45` was never mailed"),
        (
            &["--week", "2026-W45", "--team", "chatbot", "--resend"],
            "the week `2026-W45` of the team `chatbot` was never mailed",
        ),
        (&["--team", "analytics", "--resend"], "no week of the team `analytics` was ever mailed"),
    ] {
        let ran = run.run_at("2026-11-17T02:00:00Z", &[&["report", "weekly"], arguments].concat());
        let why = "so that there is nothing to send again: leave out `--resend` to mail the week";
        assert_eq!((ran.code, ran.stderr), (2, format!("error: {what}, {why}\n")));
    }
    assert_eq!(outbox(&run, "pending"), mails);
    // A week later the last one that was mailed is meant, not the one that is due.
    let said = mail(&run, "2026-11-24T02:00:00Z", &["--team", "chatbot", "--resend"]);
    assert!(said.starts_with("2026-W46 of the team `chatbot` was mailed before\n"), "{said}");
    assert_eq!(outbox(&run, "pending"), mails);

    let named = mail(&run, "2026-11-17T02:00:00Z", &["--week", "2026-W46", "--team", "chatbot"]);
    assert_eq!(named, "2026-W46 of the team `chatbot` was mailed before\n");
}

#[test]
fn looking_at_it_commits_nothing() {
    let run = golden("week");
    night(&run, MONDAY);
    let shown = mail(&run, MONDAY, &["--week", "2026-W46", "--team", "chatbot", "--dry-run"]);
    mail(&run, MONDAY, &["--output", "preview"]);
    assert!(files_below(&run.path("book/weekly")).is_empty() && outbox(&run, "pending").is_empty());
    mail(&run, MONDAY, &[]);
    let mails = outbox(&run, "pending");
    let eml = &mails["weekly-2026-11-09-team-chatbot-1"];
    assert!(shown.ends_with(&text(eml)), "{shown}");
    assert_eq!(&fs::read(run.path("preview/2026-11-09-team-chatbot.eml")).unwrap(), eml);
    let again = mail(&run, "2026-12-24T02:00:00Z", &["--week", "2026-W46", "--team", "chatbot", "--dry-run"]);
    assert_eq!(again, shown);
    // A team without owners can be looked at, too.
    let nobody = mail(&run, MONDAY, &["--team", "analytics", "--dry-run"]);
    let listed = mail(&run, MONDAY, &["--dry-run", "--week", "2026-W46", "--format", "csv"]);
    assert_eq!(
        listed.lines().nth(2).unwrap(),
        "team,chatbot,2026-W46,\"[chatbot] 9 to 15 November: $140.05 (+51 %), 120 % of November's budget\",2"
    );
    assert!(nobody.starts_with("To: nobody\nSubject: [analytics] 9 to 15 November: $0.00"), "{nobody}");
}

#[test]
fn weeks_that_cannot_be_mailed_are_said_so() {
    let run = golden("week");
    night(&run, MONDAY);
    for (arguments, expect) in [
        (["--week", "2026-W47"], "the week `2026-W47` is not over before 2026-11-23T00:00:00Z"),
        (["--week", "2026-11"], "`--week`: found `2026-11`, expected a week"),
        (["--team", "chat"], "there is no team `chat` in the config"),
    ] {
        let ran = run.run_at(MONDAY, &[&["report", "weekly"], &arguments[..]].concat());
        assert!(ran.code == 2 && ran.stderr.contains(expect), "{ran:?}");
    }
}

/// A request that costs so many dollars: a million tokens are one.
fn dollars(number: u32, ts: &str, dollars: u32) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{number:032}\",\"key\":\"chatbot-prod\",\"model\":\"one\",\
         \"http_status\":200,\"usage\":{{\"prompt_tokens\":{dollars}000000,\"completion_tokens\":0}}}}\n"
    )
}

const PRICE: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,one,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,made up,
";

/// One team, of which every cost is a whole number of dollars.
fn simple(book: &str) -> TestRun {
    let run = TestRun::with(&simple_config(book));
    run.write("pricing/groq.csv", PRICE);
    run
}

fn simple_config(book: &str) -> String {
    format!(
        "[book]\n{book}\n[[source]]\nname = \"gateway\"\nformat = \"native\"\npath = \"logs/*\"\nprovider = \"groq\"\n\
         [teams.chatbot]\nowners = [\"lead@example.com\"]\n"
    )
}

fn subjects(run: &TestRun) -> Vec<String> {
    let mails = outbox(run, "pending");
    mails.values().map(|eml| parsed(eml).subject().unwrap().to_owned()).collect()
}

#[test]
fn after_missed_nights_the_last_week_is_mailed_and_the_ones_before_are_listed() {
    let run = simple("");
    for (number, day) in (1..=30).zip(["2026-10-01", "2026-10-20", "2026-10-28", "2026-11-04", "2026-11-10"]) {
        run.write(&format!("logs/{number}.jsonl"), dollars(number, &format!("{day}T12:00:00Z"), number));
    }
    // A year of old logs on the first night: one mail.
    night(&run, "2026-10-26T02:00:00Z");
    mail(&run, "2026-10-26T02:00:00Z", &[]);
    assert_eq!(subjects(&run), ["[chatbot] 19 to 25 October: $2.00"]);
    // Then nothing ran for three weeks.
    night(&run, "2026-11-18T02:00:00Z");
    mail(&run, "2026-11-18T02:00:00Z", &[]);
    assert_eq!(subjects(&run), ["[chatbot] 19 to 25 October: $2.00", "[chatbot] 9 to 15 November: $5.00 (+25 %)"]);
    let told = text(&outbox(&run, "pending")["weekly-2026-11-09-team-chatbot-1"]);
    let part = told.split("\n\n").find(|part| part.starts_with("Earlier weeks")).unwrap();
    assert_eq!(
        part,
        "Earlier weeks that were not mailed\n----------------------------------\n\
         26 October to 1 November 2026  $3.00 for 1 request\n\
         2 to 8 November 2026           $4.00 for 1 request",
        "{told}"
    );
}

#[test]
fn a_week_that_moved_is_told_once_by_the_next_mail() {
    let run = simple("");
    run.write("logs/1.jsonl", dollars(1, "2026-11-04T12:00:00Z", 40));
    night(&run, "2026-11-09T02:00:00Z");
    mail(&run, "2026-11-09T02:00:00Z", &[]);
    // Two requests of that week come late.
    run.write("logs/2.jsonl", dollars(2, "2026-11-05T12:00:00Z", 1) + &dollars(3, "2026-11-06T12:00:00Z", 1));
    run.write("logs/3.jsonl", dollars(4, "2026-11-11T12:00:00Z", 7));
    night(&run, "2026-11-16T02:00:00Z");
    mail(&run, "2026-11-16T02:00:00Z", &[]);
    let second = text(&outbox(&run, "pending")["weekly-2026-11-09-team-chatbot-1"]);
    let news = second.replace('\n', " ");
    let corrected = "Corrected: 2 to 8 November 2026 was mailed as $40.00 and is $42.00 now, because 2 requests came in \
                     late or turned out to belong here.";
    assert!(news.contains(corrected), "{second}");
    assert!(news.find(corrected) < news.find("Cost "), "{second}");
    // The week after, it is known.
    run.write("logs/4.jsonl", dollars(5, "2026-11-18T12:00:00Z", 7));
    night(&run, "2026-11-23T02:00:00Z");
    mail(&run, "2026-11-23T02:00:00Z", &[]);
    let third = text(&outbox(&run, "pending")["weekly-2026-11-16-team-chatbot-1"]);
    assert!(!third.contains("Corrected"), "{third}");
    // A price that is corrected is told of every week that it moved.
    run.write(
        "pricing/groq.csv",
        format!("{PRICE}groq,one,*,input_tokens,2,1M,,2026-11-09,,2026-11-24,list,made up,corrected\n"),
    );
    run.write("logs/5.jsonl", dollars(6, "2026-11-25T12:00:00Z", 7));
    night(&run, "2026-11-30T02:00:00Z");
    mail(&run, "2026-11-30T02:00:00Z", &[]);
    let fourth = text(&outbox(&run, "pending")["weekly-2026-11-23-team-chatbot-1"]).replace('\n', " ");
    for week in ["9 to 15 November", "16 to 22 November"] {
        let corrected =
            format!("Corrected: {week} 2026 was mailed as $7.00 and is $14.00 now, because prices were corrected.");
        assert!(fourth.contains(&corrected), "{fourth}");
    }
    assert!(!fourth.contains("2 to 8 November"), "{fourth}");
}

#[test]
fn another_zone_or_week_start_begins_at_the_first_new_week() {
    let run = simple("");
    for (number, day) in (1..).zip(["2026-11-11", "2026-11-17", "2026-11-25"]) {
        run.write(&format!("logs/{number}.jsonl"), dollars(number, &format!("{day}T12:00:00Z"), number));
    }
    night(&run, "2026-11-16T02:00:00Z");
    mail(&run, "2026-11-16T02:00:00Z", &[]);
    // From now on weeks begin on Sunday: the one from the 15th has begun already.
    run.write("spendbook.toml", simple_config("week_start = \"sunday\""));
    night(&run, "2026-11-22T02:00:00Z");
    assert_eq!(mail(&run, "2026-11-22T02:00:00Z", &[]), "no weekly mail is due\n");
    night(&run, "2026-11-29T02:00:00Z");
    mail(&run, "2026-11-29T02:00:00Z", &[]);
    let mails = outbox(&run, "pending");
    let next = text(&mails["weekly-2026-11-22-team-chatbot-1"]);
    assert!(next.contains("16 to 21 November 2026  $2.00 for 1 request"), "{next}");
    assert_eq!(mails.len(), 2);
}

#[test]
fn it_waits_for_the_weekday_that_the_config_names() {
    let run = simple("");
    run.write("spendbook.toml", simple_config("") + "[mail]\nweekly_on = \"wednesday\"\n");
    run.write("logs/1.jsonl", dollars(1, "2026-11-04T12:00:00Z", 1) + &dollars(2, "2026-11-11T12:00:00Z", 2));
    night(&run, "2026-11-12T02:00:00Z");
    mail(&run, "2026-11-12T02:00:00Z", &[]);
    night(&run, "2026-11-17T02:00:00Z");
    assert_eq!(mail(&run, "2026-11-17T23:59:59Z", &[]), "no weekly mail is due\n");
    mail(&run, "2026-11-18T00:00:00Z", &[]);
    assert_eq!(subjects(&run), ["[chatbot] 2 to 8 November: $1.00", "[chatbot] 9 to 15 November: $2.00 (+100 %)"]);
}

#[test]
fn names_break_neither_headers_nor_markup_nor_the_table() {
    let run = TestRun::new();
    let team = "<b>=cmd|' /C calc'!A0</b>\u{202e}\"&amp;";
    run.write("pricing/groq.csv", PRICE);
    run.write(
        "spendbook.toml",
        simple_config("").replace("[teams.chatbot]", &format!("[teams.{}]", serde_json::to_string(team).unwrap())),
    );
    let line = dollars(1, "2026-11-11T12:00:00Z", 1).replace("chatbot-prod", "=HYPERLINK(\\\"http://x\\\")").replace(
        "\"http_status\"",
        &format!(
            "\"team\":{},\"user\":\"<script>alert(1)</script>\\r\\nBcc: x@example.com{}\",\"http_status\"",
            serde_json::to_string(team).unwrap(),
            "x".repeat(20_000)
        ),
    );
    run.write("logs/1.jsonl", line);
    night(&run, MONDAY);
    mail(&run, MONDAY, &[]);
    let mails = outbox(&run, "pending");
    let eml = mails.values().next().unwrap();
    let message = parsed(eml);
    assert!(message.header("Bcc").is_none() && message.to().unwrap().iter().count() == 1);
    let html = message.body_html(0).unwrap();
    assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
    assert!(html.len() < 100_000, "{}", html.len());
    let csv = attachment(eml);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    for cell in reader.records().flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()) {
        assert!(!cell.starts_with(['=', '@', '+', '\t']), "{cell}");
    }
    let headers = String::from_utf8_lossy(eml).split("\r\n\r\n").next().unwrap().to_owned();
    assert!(headers.lines().all(|line| line.len() < 998), "{headers}");
}

#[test]
fn nothing_is_mailed_of_a_book_without_a_full_week() {
    let run = simple("");
    assert!(run.run_at(MONDAY, &["report", "weekly"]).stdout.contains("no weekly mail is due"));
    run.write("logs/1.jsonl", dollars(1, "2026-11-16T01:00:00Z", 1));
    night(&run, MONDAY);
    assert_eq!(mail(&run, MONDAY, &[]), "no weekly mail is due\n");
}
