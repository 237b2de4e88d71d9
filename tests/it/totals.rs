//! Totals of providers, by the real binary: asked for on the loopback and read
//! from recorded answers, night after night, against providers that misbehave.

use std::{collections::BTreeMap, fs, time::Duration};

use crate::support::{
    Ran, TestRun, assert_same_bytes, files_below,
    provider::{
        Asked, How, Provider, Reply,
        totals::{Ledger, Used, tells},
    },
    request, rows_of_table,
};

const CANARY: &str = "sk-admin-C4naryCanaryCanary0123456789";
/// One that no pattern knows.
const PLAIN_CANARY: &str = "hunter2-the-plain-canary";

const NIGHT: &str = "2026-06-10T04:00:00Z";
const NEXT_NIGHT: &str = "2026-06-11T04:00:00Z";

const PRICES: &str = "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note\n\
    groq,llama-3.1-8b-instant,*,input_tokens,0.05,1M,,2026-01-01,,2026-01-01,list,test,\n";

/// A source of this format at this address, with the keys that follow.
fn source(format: &str, url: &str, rest: &str) -> String {
    format!("[[source]]\nname = \"{format}\"\nformat = \"{format}\"\nurl = \"{url}\"\ntoken_file = \"token\"\n{rest}\n")
}

/// A workspace with this config, and the token that its sources read.
fn run_with(config: &str) -> TestRun {
    let run = TestRun::with(&format!("[book]\npath = \"book\"\n{config}"));
    run.write("token", format!("{CANARY}\n"));
    run
}

fn ok(ran: &Ran) -> &Ran {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

fn totals(run: &TestRun) -> BTreeMap<String, Vec<u8>> {
    files_below(&run.path("book/totals"))
}

/// The rows of a source, without what all have in common.
fn rows(run: &TestRun, source: &str) -> Vec<String> {
    let without = ["source", "fetched_at", "bucket_end"];
    let rows = rows_of_table(&run.path("book/totals"), &format!("source={source}"), &without);
    rows.into_iter().map(|row| row.replace("bucket_start=", "").replace("T00:00:00Z", "")).collect()
}

/// The days of a source that have rows, each with its requests.
fn requests(run: &TestRun, source: &str) -> Vec<String> {
    let days = rows(run, source).into_iter().map(|row| {
        let requests = row.split(' ').find_map(|word| word.strip_prefix("requests=")).unwrap_or("-");
        format!("{} {requests}", row.split(' ').find(|word| word.starts_with("2026-")).unwrap())
    });
    let mut days: Vec<String> = days.collect();
    days.sort();
    days
}

/// Three days of two keys.
fn ledger() -> Ledger {
    let mut other = Used::of("2026-06-09", "key_b", 3);
    other.cost_micros = 1_234_567;
    Ledger::of(NIGHT, [Used::of("2026-06-08", "key_a", 5), Used::of("2026-06-09", "key_a", 4), other])
}

/// What these formats make of three days, the last of them not over.
fn pulled(formats: &[&str]) -> (Provider, TestRun) {
    let ledger = ledger();
    ledger.put(Used::of("2026-06-10", "key_a", 1));
    let provider = Provider::start(tells(&ledger, 3));
    let config: Vec<_> =
        formats.iter().map(|format| source(format, &provider.url(), "since = \"2026-06-08\"")).collect();
    let run = run_with(&config.concat());
    ok(&run.run(&["ingest"]));
    (provider, run)
}

#[test]
fn openai_tells_usage_and_costs() {
    let (provider, run) = pulled(&["openai-usage", "openai-costs"]);

    let common = "project=proj_a model=model-1";
    assert_eq!(
        rows(&run, "openai-usage"),
        [
            format!(
                "provider=openai 2026-06-08 measure=usage key_id=key_a {common} tier=on_demand line_item=completions \
                 requests=5 input_tokens=500 cached_input_tokens=50 output_tokens=35 quality=reported"
            ),
            format!(
                "provider=openai 2026-06-09 measure=usage key_id=key_a {common} tier=on_demand line_item=completions \
                 requests=4 input_tokens=400 cached_input_tokens=40 output_tokens=28 quality=reported"
            ),
            format!(
                "provider=openai 2026-06-09 measure=usage key_id=key_b {common} tier=on_demand line_item=completions \
                 requests=3 input_tokens=300 cached_input_tokens=30 output_tokens=21 quality=reported"
            ),
            format!(
                "provider=openai 2026-06-10 covers_until=2026-06-10T04:00:00Z measure=usage key_id=key_a {common} \
                 tier=on_demand line_item=completions requests=1 input_tokens=100 cached_input_tokens=10 \
                 output_tokens=7 quality=reported"
            ),
        ]
    );
    assert_eq!(
        rows(&run, "openai-costs")[..3],
        [
            format!(
                "provider=openai 2026-06-08 measure=cost key_id=key_a {common} line_item=model-1, input \
                 cost=0.050000000000 quality=reported"
            ),
            format!(
                "provider=openai 2026-06-09 measure=cost key_id=key_a {common} line_item=model-1, input \
                 cost=0.040000000000 quality=reported"
            ),
            format!(
                "provider=openai 2026-06-09 measure=cost key_id=key_b {common} line_item=model-1, input \
                 cost=1.234567000000 quality=reported"
            ),
        ]
    );
    let asked = provider.take_asked();
    assert!(asked.iter().all(|asked| asked.header("authorization") == format!("Bearer {CANARY}")));
    // Three days, three to a page; and nine kinds of usage.
    let of = |path: &str| asked.iter().filter(|asked| asked.path.starts_with(path)).count();
    assert_eq!((of("/v1/organization/costs"), of("/v1/organization/usage/")), (1, 9));

    // Never a request, a charge or a cost.
    assert_eq!(run.rows("usage"), [""; 0]);
    let record = run.record();
    assert_eq!(record["totals"]["openai-usage"]["rows"], 4, "{record}");
    assert_eq!(record["totals"]["openai-costs"]["new"][2], "2026-06-10", "{record}");
}

#[test]
fn anthropic_tells_usage_and_costs() {
    let (provider, run) = pulled(&["anthropic-usage", "anthropic-costs"]);
    let common = "project=proj_a model=model-1";
    assert_eq!(
        rows(&run, "anthropic-usage")[0],
        format!(
            "provider=anthropic 2026-06-08 measure=usage key_id=key_a {common} tier=on_demand input_tokens=500 \
             cached_input_tokens=50 cache_write_5m_tokens=3 cache_write_1h_tokens=2 output_tokens=35 web_searches=0 \
             quality=reported"
        )
    );
    // 123.4567 cents.
    assert_eq!(
        rows(&run, "anthropic-costs")[2],
        format!(
            "provider=anthropic 2026-06-09 measure=cost {common} tier=on_demand line_item=model-1 Usage \
             cost=1.234567000000 quality=reported"
        )
    );
    for asked in provider.take_asked() {
        assert_eq!((asked.header("x-api-key"), asked.header("authorization")), (CANARY, ""));
        assert_eq!(asked.header("anthropic-version"), "2023-06-01");
    }
}

#[test]
fn openrouter_and_groq_tell_what_they_can() {
    let (provider, run) = pulled(&["openrouter-activity", "groq-prometheus"]);
    let common = "project=proj_a model=model-1";
    // Not of the day that is not over.
    assert_eq!(requests(&run, "openrouter-activity"), ["2026-06-08 5", "2026-06-09 3", "2026-06-09 4"]);
    // 0.01, 12.5 and 0.75 a second: whole days, and four hours of the last.
    let groq = rows(&run, "groq-prometheus");
    assert_eq!(groq.len(), 9);
    let rate = |metric: &str| format!("{common} line_item={metric}");
    for (day, seconds) in [("2026-06-08", 86_400), ("2026-06-10 covers_until=2026-06-10T04:00:00Z", 14_400)] {
        for (metric, column, count) in [
            ("requests", "requests", seconds / 100),
            ("tokens_in", "input_tokens", seconds * 25 / 2),
            ("tokens_out", "output_tokens", seconds * 3 / 4),
        ] {
            let expect =
                format!("provider=groq {day} measure=usage {} {column}={count} quality=estimated", rate(metric));
            assert!(groq.contains(&expect), "{expect}\n{groq:#?}");
        }
    }
    let asked = provider.take_asked();
    let of = |path: &str| asked.iter().filter(|asked| asked.path == path).count();
    assert_eq!((of("/api/v1/activity"), of("/api/v1/query_range")), (1, 3));
}

#[test]
fn the_same_answers_recorded_in_files_are_the_same_totals() {
    let ledger = ledger();
    let service = tells(&ledger, 2);
    let provider = Provider::start(tells(&ledger, 2));
    let since = "since = \"2026-06-07\"";
    let over_http = run_with(&format!(
        "{}{}",
        source("openai-costs", &provider.url(), since),
        source("anthropic-costs", &provider.url(), since)
    ));
    ok(&over_http.run(&["ingest"]));

    let config = |format: &str| {
        format!("[[source]]\nname = \"{format}\"\nformat = \"{format}\"\npath = \"answers/{format}*\"\n")
    };
    let from_files = run_with(&format!("{}{}", config("openai-costs"), config("anthropic-costs")));
    // Every answer as it came: a file per page, and a line per page.
    let (mut files, mut lines) = (0, String::new());
    for asked in provider.take_asked() {
        let body = String::from_utf8(service(&asked).body).unwrap();
        if asked.path == "/v1/organization/costs" {
            files += 1;
            from_files.write(&format!("answers/openai-costs-{files}-2026-06-10T0400Z.json"), body);
        } else {
            lines.push_str(&body);
            lines.push('\n');
        }
    }
    assert_eq!(files, 2);
    from_files.write("answers/anthropic-costs-2026-06-10T0400Z.jsonl", lines);
    ok(&from_files.run(&["ingest"]));
    assert_same_bytes(&totals(&from_files), &totals(&over_http), "recorded");

    let ran = from_files.run(&["ingest"]);
    assert!(ok(&ran).stdout.contains("openai-costs: the recorded answers are as they were"), "{ran:?}");
    // The last page is gone: what is left would be too little.
    from_files.remove("answers/openai-costs-2-2026-06-10T0400Z.json");
    let ran = from_files.run(&["ingest"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("it says that there is another page"), "{ran:?}");
    assert_same_bytes(&totals(&from_files), &totals(&over_http), "a page is missing");
}

#[test]
fn windows_that_overlap_and_days_that_are_restated_are_one_book() {
    let ledger = ledger();
    let provider = Provider::start(tells(&ledger, 2));
    let config = source("openai-usage", &provider.url(), "since = \"2026-06-07\"\nlookback = \"1d\"");
    let run = run_with(&config);
    ok(&run.run(&["ingest"]));
    let before = totals(&run);
    assert_eq!(requests(&run, "openai-usage"), ["2026-06-08 5", "2026-06-09 3", "2026-06-09 4"]);

    // Again, with everything asked for, and with nothing remembered.
    for arguments in [&["ingest"][..], &["ingest", "--again", "--source", "openai-usage"], &["run"]] {
        let ran = run.run(arguments);
        assert!(ran.code == 0 || arguments == ["run"], "{ran:?}");
        assert_same_bytes(&totals(&run), &before, &arguments.join(" "));
    }
    run.remove("book/state/totals");
    let ran = run.run(&["ingest"]);
    assert!(ok(&ran).stdout.contains("openai-usage"), "{ran:?}");
    assert_same_bytes(&totals(&run), &before, "without state");

    // A dry run says what would change, and changes nothing.
    ledger.set_now(NEXT_NIGHT);
    ledger.put(Used::of("2026-06-09", "key_b", 8));
    ledger.put(Used::of("2026-06-10", "key_a", 2));
    // Its look-back is over.
    ledger.put(Used::of("2026-06-07", "key_a", 9));
    let dry = run.run_at(NEXT_NIGHT, &["ingest", "--dry-run"]);
    assert!(ok(&dry).stdout.contains("told differently than before: 2026-06-09"), "{dry:?}");
    assert_same_bytes(&totals(&run), &before, "dry run");
    let ran = run.run_at(NEXT_NIGHT, &["ingest"]);
    assert!(ok(&ran).stdout.contains("openai-usage: told differently than before: 2026-06-09"), "{ran:?}");
    assert_eq!(requests(&run, "openai-usage"), ["2026-06-08 5", "2026-06-09 4", "2026-06-09 8", "2026-06-10 2"]);
    // A row that was told before was told then.
    let told = rows_of_table(&run.path("book/totals"), "source=openai-usage", &[]);
    let told: Vec<_> = told.iter().map(|row| row.contains(&format!("fetched_at={NIGHT}"))).collect();
    assert_eq!(told.iter().filter(|is_first| **is_first).count(), 2, "{told:?}");
}

#[test]
fn a_run_that_ends_between_pages_is_gone_on_with() {
    let used = (0..40).map(|number| {
        let day = spendbook::time::Day::from_days(spendbook::time::Day::parse("2026-05-01").unwrap().days() + number);
        Used::of(Box::leak(day.to_string().into_boxed_str()), "key_a", i64::from(number) + 1)
    });
    let ledger = Ledger::of(NIGHT, used);
    let provider = Provider::start(tells(&ledger, 4));
    let config = source("openai-costs", &provider.url(), "since = \"2026-05-01\"");
    let whole = run_with(&config);
    ok(&whole.run(&["ingest"]));
    let expect = totals(&whole);
    assert_eq!(expect.len(), 40);

    let page = |asked: &Asked| asked.parameter("page").ends_with("2026-05-09");
    let later = |asked: &Asked| asked.parameter("page").ends_with("2026-06-05");
    let run = run_with(&config);
    for (number, is_page) in [(0, page as fn(&Asked) -> bool), (31, later)] {
        provider.take_asked();
        provider.answer_where(1, &Reply::json("{}").travels(How::Silence), is_page);
        let mut child = run.command(&["ingest"]).spawn().unwrap();
        while !provider.take_asked().iter().any(is_page) {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(totals(&run).len(), number, "whole windows only");
    }
    ok(&run.run(&["ingest"]));
    assert_same_bytes(&totals(&run), &expect, "after two kills");
    // The first window was not asked for again.
    assert!(!provider.take_asked().iter().any(page));
}

#[test]
fn today_so_far_is_kept_as_that() {
    let ledger = Ledger::of("2026-06-09T18:00:00Z", [Used::of("2026-06-09", "key_a", 4)]);
    let provider = Provider::start(tells(&ledger, 1));
    let run = run_with(&source("groq-usage", &format!("{}/admin/groq/usage", provider.url()), ""));
    ok(&run.run_at("2026-06-09T18:00:00Z", &["ingest"]));
    ledger.put(Used::of("2026-06-09", "key_a", 6));
    ok(&run.run_at("2026-06-09T20:00:00Z", &["ingest"]));
    ledger.set_now(NIGHT);
    ledger.put(Used::of("2026-06-10", "key_b", 1));
    ok(&run.run(&["ingest"]));
    let row = |day, until, key, requests, total| {
        format!(
            "provider=groq {day} covers_until={until} measure=both key={key} requests={requests} total_tokens={total} \
             cost=0.0{requests}0000000000 quality=estimated"
        )
    };
    assert_eq!(
        rows(&run, "groq-usage"),
        [row("2026-06-09", "2026-06-09T20:00:00Z", "key_a", 6, 702), row("2026-06-10", NIGHT, "key_b", 1, 117),]
    );
}

#[test]
fn what_openrouter_forgot_is_told() {
    let ledger = ledger();
    let provider = Provider::start(tells(&ledger, 1));
    let run = run_with(&source("openrouter-activity", &provider.url(), "timeout = \"2s\""));
    ok(&run.run(&["ingest"]));
    assert_eq!(totals(&run).len(), 30);
    // Weeks in which nobody asked, and then an answer that fails.
    provider.answer_next(99, &Reply::status(403, "{}"));
    let ran = run.run_at("2026-07-08T04:00:00Z", &["ingest"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("the provider remembers 30 days: 2026-06-10 is lost from 2026-07-11 on"), "{ran:?}");
    let other = Provider::start(tells(&ledger, 1));
    run.write(
        "spendbook.toml",
        format!("[book]\npath = \"book\"\n{}", source("openrouter-activity", &other.url(), "")),
    );
    ledger.set_now("2026-07-14T04:00:00Z");
    let ran = run.run_at("2026-07-14T04:00:00Z", &["ingest"]);
    assert!(ok(&ran).stdout.contains("nothing was pulled of 4 days, 2026-06-10 to 2026-06-13"), "{ran:?}");
}

/// What goes wrong, what is said, and how the answer comes about.
fn troubles() -> Vec<(Reply, &'static str, &'static str)> {
    let said = |status, message: &str| {
        let body = format!("{{\"error\":{{\"message\":\"{message} {CANARY} {PLAIN_CANARY}\"}}}}");
        Reply::status(status, body)
    };
    vec![
        (said(401, "no such key"), "refused the credential (401)", "check `token_env` or `token_file`"),
        (said(403, "no admin"), "does not let this credential read it (403)", "many providers want an admin's"),
        (said(404, "nothing"), "is not there (404)", "check `url`"),
        (said(429, "slowly").with("Retry-After", "0"), "wants fewer requests (429)", "the next run asks again"),
        (said(429, "slowly"), "wants fewer requests (429)", "the next run asks again"),
        (said(429, "much").with("Retry-After", "3600"), "again in 3600 s", "the next run asks again"),
        (said(500, "oh"), "failed with 500", "the next run asks again"),
        (Reply::json("").travels(How::Silence), "gave no whole answer in 1 s", "allow more time with `timeout`"),
        (Reply::json("{\"data\":[]}").travels(How::CutAfter(5)), "broke off its answer", "the next run asks again"),
        (Reply::json("{\"data\":[").travels(How::Whole), "an answer that cannot be read", "check `url` and `format`"),
        (Reply::json("[]").with("Content-Type", "text/html"), "gave an answer of `text/html`", "check `url`"),
        (Reply::json(""), "gave an empty answer (200)", "the next run asks again"),
        (Reply::json("{}"), "`data` is not there", "check `url` and `format`"),
    ]
}

#[test]
fn a_source_that_fails_says_why_and_stops_no_other() {
    for (number, (reply, what, cure)) in troubles().into_iter().enumerate() {
        let token = [CANARY, PLAIN_CANARY][number % 2];
        let ledger = ledger();
        let (bad, good) = (Provider::start(tells(&ledger, 2)), Provider::start(tells(&ledger, 2)));
        bad.answer_next(999, &reply);
        let logs = "[[source]]\nname = \"gateway\"\nformat = \"native\"\npath = \"logs/*\"\nprovider = \"groq\"\n";
        let run = run_with(&format!(
            "{}{}{logs}",
            source("openai-usage", &bad.url(), "timeout = \"1s\""),
            source("openai-costs", &good.url(), "")
        ));
        run.write("token", token);
        run.write("logs/a.jsonl", request("chatcmpl-0123456789abcdef", "2026-06-09T10:00:00Z", 1, 2));
        let ran = run.run(&["-v", "ingest"]);
        assert_eq!(ran.code, 1, "{what}: {ran:?}");
        let line = ran.stdout.lines().find(|line| line.starts_with("failed: openai-usage: ")).unwrap();
        assert!(line.contains(what) && line.contains(cure), "{what}: {line}");
        assert!(line.contains(&bad.url()) && !line.contains("start_time"), "{line}");
        assert_eq!(rows(&run, "openai-usage"), [""; 0]);
        assert_eq!((rows(&run, "openai-costs").len(), run.rows("usage").len()), (3, 1), "{what}");
        run.remove("token");
        assert_no_canary(&run, &ran);
    }
}

fn assert_no_canary(run: &TestRun, ran: &Ran) {
    let mut all = files_below(run.dir());
    all.insert("what it said".to_owned(), format!("{}{}", ran.stdout, ran.stderr).into_bytes());
    for (name, bytes) in all {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains("c4nary") && !text.contains("hunter2"), "{name}: {text}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told() {
    let provider = Provider::encrypted("127.0.0.1", tells(&ledger(), 9));
    let run = run_with(&source("openai-costs", &provider.url(), "timeout = \"5s\""));
    let ran = run.run(&["ingest"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("has a certificate that is not trusted"), "{ran:?}");
    run.write("ca.pem", &provider.certificate);
    let trusting = source("openai-costs", &provider.url(), "ca_file = \"ca.pem\"");
    run.write("spendbook.toml", format!("[book]\npath = \"book\"\n{trusting}"));
    ok(&run.run(&["ingest"]));
    assert_eq!(rows(&run, "openai-costs").len(), 3);
}

#[test]
fn a_night_in_which_a_provider_fails_is_told_to_operators() {
    let ledger = ledger();
    let (bad, good) = (Provider::start(tells(&ledger, 2)), Provider::start(tells(&ledger, 2)));
    bad.answer_next(99, &Reply::status(403, "{}"));
    let run = run_with(&format!(
        "pricing = \"pricing\"\n[organization]\nname = \"Example\"\noperators = [\"ops@example.com\"]\n\
         [mail]\nfrom = \"spendbook@example.com\"\n{}{}",
        source("anthropic-usage", &bad.url(), ""),
        source("openai-costs", &good.url(), "")
    ));
    run.write("pricing/groq.csv", PRICES);
    let ran = run.run(&["run"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(rows(&run, "openai-costs").len(), 3);
    let mails = files_below(&run.path("book/outbox"));
    let mail = mails.values().find(|mail| String::from_utf8_lossy(mail).contains("To: ops@example.com")).unwrap();
    let mail = String::from_utf8_lossy(mail).replace("=\r\n", "");
    assert!(mail.contains("anthropic-usage") && mail.contains("(403)"), "{mail}");
    let record = run.record();
    assert_eq!(record["stages"]["ingest"]["totals"]["openai-costs"]["lines"], 3, "{record}");
}

#[test]
fn a_token_that_is_not_there_is_told_by_its_name() {
    let provider = Provider::start(tells(&ledger(), 9));
    let run = run_with(
        &source("openai-costs", &provider.url(), "")
            .replace("token_file = \"token\"", "token_env = \"OPENAI_ADMIN_KEY\""),
    );
    let ran = run.run(&["ingest"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("OPENAI_ADMIN_KEY"), "{ran:?}");
    let output = run.command(&["ingest"]).env("OPENAI_ADMIN_KEY", CANARY).output().unwrap();
    ok(&Ran::of(&output));
    let asked = provider.take_asked();
    assert_eq!(asked[0].header("authorization"), format!("Bearer {CANARY}"));
    fs::remove_file(run.path("token")).unwrap();
    assert_no_canary(&run, &Ran::of(&output));
}

#[test]
fn the_doctor_asks_and_explains_that_groq_tells_nothing() {
    let ledger = ledger();
    let provider = Provider::start(tells(&ledger, 9));
    let run = run_with(&format!(
        "{}{}",
        source("openai-costs", &provider.url(), ""),
        source("groq-usage", &format!("{}/openai/v1/usage", provider.url()), "")
    ));
    let ran = run.run(&["doctor", "--format", "json"]);
    let checks: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
    let of = |subject: &str| checks.iter().find(|check| check["subject"] == subject).unwrap();
    assert_eq!(of("source openai-costs")["state"], "ok", "{checks:#?}");
    assert_eq!(of("source openai-costs")["found"], "answers: 2 lines about 2026-06-09");
    let groq = of("source groq-usage");
    assert_eq!(groq["state"], "problem");
    assert!(groq["found"].as_str().unwrap().contains("Groq has no usage endpoint"), "{groq}");
    assert_eq!(totals(&run).len(), 0);

    ok(&run.run(&["ingest", "--source", "openai-costs"]));
    // Nothing is said of requests where nobody tells any.
    let ran = run.run(&["ingest", "--dry-run"]);
    assert!(ran.stdout.trim_start().starts_with("totals ") && !ran.stdout.contains("no day changed"), "{ran:?}");
    let ran = run.run_at("2026-06-20T04:00:00Z", &["doctor"]);
    assert!(ran.stdout.contains("every `[[source]]` is one of totals"), "{ran:?}");
    assert!(ran.stdout.contains("nothing was pulled for 10 d"), "{ran:?}");
    run.remove("token");
    assert_no_canary(&run, &ran);
}

/// What `status` says of each source of totals: when it last told something, up
/// to which day, and whether that is too long ago.
#[test]
fn status_says_how_fresh_totals_are() {
    let provider = Provider::start(tells(&ledger(), 9));
    let recorded = "[[source]]\nname = \"saved\"\nformat = \"openai-costs\"\npath = \"answers/*.json\"\n";
    let run = run_with(&format!("{}{recorded}", source("openai-costs", &provider.url(), "since = \"2026-06-08\"")));
    run.write("answers/costs.json", r#"{"object":"page","data":[],"has_more":false,"next_page":null}"#);
    let at = |now: &str| {
        let ran = run.run_at(now, &["status", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&ok(&ran).stdout).unwrap();
        let of = |it: &serde_json::Value| {
            ["totals", "last_told", "age_seconds", "silent_after_seconds", "last_day", "state"].map(|name| {
                let value = &it[name];
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            })
        };
        status["totals"].as_array().unwrap().iter().map(of).map(|it| it.join(" ")).collect::<Vec<_>>()
    };
    ok(&run.run(&["ingest", "--source", "saved"]));
    let saved = "saved null null null null never told";
    assert_eq!(at(NIGHT), ["openai-costs null null 129600 null never told", saved]);
    ok(&run.run(&["ingest"]));
    let told = "openai-costs 2026-06-10T04:00:00Z";
    assert_eq!(at("2026-06-11T16:00:00Z"), [&format!("{told} 129600 129600 2026-06-09 ok"), saved]);
    assert_eq!(at("2026-06-11T16:00:01Z"), [&format!("{told} 129601 129600 2026-06-09 silent"), saved]);
    let shown = run.run_at("2026-06-12T04:00:00Z", &["status"]).stdout;
    let line = shown.lines().find(|line| line.trim_start().starts_with("openai-costs")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["openai-costs", "2026-06-10T04:00:00Z", "48", "h", "2026-06-09", "silent"], "{shown}");
    // The totals are there; when they were told is not known any more.
    run.remove("book/state/totals");
    assert_eq!(at(NEXT_NIGHT), ["openai-costs null null 129600 2026-06-09 not known", saved]);
}
