//! Sources over HTTP through the binary, against providers on the loopback: the
//! same requests give the same book, however they are told, and whatever goes
//! wrong on the way.

use std::{
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    Ran, TestRun, assert_same_bytes, files_below, gzip,
    provider::{
        Asked, How, Provider, Reply,
        requests::{Kept, Log, Proxy, cloudflare, instant, langfuse, litellm, log},
    },
};

const TOKEN: &str = "sk-C4naryCanaryCanaryCanary0123456789";

/// A source of a proxy at this address, asked for three days back and today.
fn config(url: &str) -> String {
    format!(
        "[book]\npath = \"book\"\n\n[[source]]\nname = \"proxy\"\nformat = \"litellm-api\"\nurl = \"{url}\"\n\
         token_env = \"LITELLM_KEY\"\nsince = \"2026-06-07\"\nlookback = \"2d\"\ntimeout = \"5s\"\n"
    )
}

/// Requests over the four days up to the morning of the tests, some at midnight
/// and some at the same instant.
fn requests(count: usize) -> Vec<Kept> {
    let start = instant("2026-06-07T00:00:00Z");
    let step = 3 * 86_400_000 / i64::try_from(count).unwrap();
    (0..count)
        .map(|at| {
            let number = i64::try_from(at).unwrap();
            // Two and two at the same time.
            let ts = start.plus_micros(number / 2 * 2 * step * 1_000);
            Kept::new(&format!("chatcmpl-{at:032}"), &ts.to_string(), 100 + number % 50, number % 20)
        })
        .collect()
}

fn ingest(run: &TestRun, arguments: &[&str]) -> Ran {
    let mut command = run.command(&[&["ingest"], arguments].concat());
    Ran::of(&command.env("LITELLM_KEY", TOKEN).output().unwrap())
}

/// The book of these requests, as a proxy without any trouble tells them.
fn calm(kept: &[Kept]) -> TestRun {
    told_by(&Provider::start(litellm(Proxy::default(), log(kept.to_vec()), |_, _| ())))
}

fn told_by(provider: &Provider) -> TestRun {
    let run = TestRun::in_memory(&config(&provider.url()));
    let ran = ingest(&run, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    run
}

/// That two books hold the same, byte for byte, but for the port in addresses.
fn assert_same(found: &TestRun, expected: &TestRun, context: &str) {
    let rows = |run: &TestRun| {
        let rows = run.rows_with_provenance("usage");
        rows.into_iter().map(|row| without_port(&row)).collect::<Vec<_>>()
    };
    assert_eq!(rows(found), rows(expected), "{context}");
}

fn without_port(text: &str) -> String {
    let Some((before, rest)) = text.split_once("127.0.0.1:") else { return text.to_owned() };
    format!("{before}127.0.0.1{}", rest.trim_start_matches(|letter: char| letter.is_ascii_digit()))
}

#[test]
fn pages_become_the_rows_that_a_file_would() {
    let kept = requests(2_500);
    let provider = Provider::start(litellm(Proxy::default(), log(kept.clone()), |_, _| ()));
    provider.wants("authorization", &format!("Bearer {TOKEN}"));
    let run = told_by(&provider);
    assert_eq!(run.accounts("proxy"), "kept 2500");
    let row = run.rows_with_provenance("usage").remove(0);
    assert!(row.contains(&format!("source_file={}/spend/logs/v2 ", provider.url())), "{row}");

    let lines: String = kept.iter().map(|it| format!("{}\n", it.spend_log())).collect();
    let file = TestRun::in_memory(
        "[book]\npath = \"book\"\n[[source]]\nname = \"proxy\"\nformat = \"litellm\"\npath = \"log\"\n",
    );
    file.write("log", lines);
    file.ingest();
    assert_eq!(run.rows("usage"), file.rows("usage"));

    // The next run asks for the days that may still change, and changes nothing.
    let before = run.tables();
    provider.take_asked();
    let again = ingest(&run, &[]);
    assert!(again.stdout.contains("nothing new: no day changed"), "{again:?}");
    assert_same_bytes(&run.tables(), &before, "asked again");
    let days: Vec<String> =
        provider.take_asked().iter().map(|asked| asked.parameter("start_date")[..10].to_owned()).collect();
    assert!(!days.contains(&"2026-06-07".to_owned()), "{days:?}");
    assert!(days.contains(&"2026-06-08".to_owned()) && days.contains(&"2026-06-10".to_owned()), "{days:?}");
}

#[test]
fn recorded_answers_are_read_from_files() {
    let kept = requests(300);
    let expected = calm(&kept);
    let pages: String = kept
        .chunks(100)
        .map(|page| {
            let rows: Vec<String> = page.iter().map(Kept::spend_log).collect();
            format!("{{\"data\":[{}],\"total\":300,\"page\":1}}\n", rows.join(","))
        })
        .collect();
    let run = TestRun::in_memory(
        "[book]\npath = \"book\"\n[[source]]\nname = \"proxy\"\nformat = \"litellm-api\"\npath = \"pages/*\"\n",
    );
    run.write("pages/1.jsonl.gz", gzip(pages.as_bytes()));
    run.ingest();
    assert_eq!(run.rows("usage"), expected.rows("usage"));
}

/// What differs in how the same requests are told is nowhere in the book.
#[test]
fn the_book_depends_on_the_requests_alone() {
    let kept = requests(1_300);
    let expected = calm(&kept);
    let mut shuffled = kept.clone();
    crate::support::Dice(7).shuffle(&mut shuffled);
    let twice: Vec<Kept> = kept.iter().flat_map(|it| [it.clone(), it.clone()]).collect();
    let plain = Proxy::default();
    let cases = [
        ("small pages", Proxy { largest_page: 100, ..plain }, kept.clone()),
        ("any order", Proxy { sorts: false, ..plain }, shuffled),
        ("everything twice", plain, twice),
        ("counted to 100", Proxy { counts_to: 100, ..plain }, kept.clone()),
    ];
    for (name, proxy, kept) in cases {
        let run = told_by(&Provider::start(litellm(proxy, log(kept), |_, _| ())));
        assert_same(&run, &expected, name);
    }
    // One night after the other, each of which knows more, and with no state.
    let known = log(kept[..700].to_vec());
    let provider = Provider::start(litellm(plain, Log::clone(&known), |_, _| ()));
    let run = told_by(&provider);
    known.lock().unwrap().extend_from_slice(&kept[700..]);
    assert_eq!(ingest(&run, &[]).code, 0);
    run.remove("book/state");
    assert_eq!(ingest(&run, &[]).code, 0);
    assert_eq!(run.accounts("proxy"), format!("duplicate {}", kept.len()));
    assert_same(&run, &expected, "night after night");
    let days = |run: &TestRun| run.tables().len();
    assert_eq!(days(&run), days(&expected));
}

/// Entries that come and go while pages are read move others from page to page;
/// those that were there all the time are all in the book.
#[test]
fn nothing_is_lost_while_pages_change() {
    let day: Vec<Kept> = (0..450)
        .map(|at| {
            Kept::new(&format!("chatcmpl-{at:032}"), &format!("2026-06-08T{:02}:{:02}:00Z", at / 60, at % 60), 10, 1)
        })
        .collect();
    let first_gone = day[1..].to_vec();
    let expected = calm(&first_gone);
    let small = Proxy { largest_page: 100, ..Proxy::default() };
    let is_first_page =
        |asked: &Asked| asked.parameter("page") == "1" && asked.parameter("start_date").starts_with("2026-06-08");
    // Between the first page and the second the first entry goes: the 101st
    // moves onto the first page, which was read.
    let provider = Provider::start(litellm(small, log(day.clone()), move |asked, kept| {
        if is_first_page(asked) && kept.len() == 450 {
            kept.remove(0);
        }
    }));
    let run = told_by(&provider);
    let ids = |run: &TestRun| {
        run.rows("usage")
            .into_iter()
            .map(|row| row.split("request_id=").nth(1).unwrap().split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for id in ids(&expected) {
        assert!(ids(&run).contains(&id), "{id} is lost");
    }

    // And one that comes meanwhile, on a page that was read, comes in too.
    let late = Kept::new("chatcmpl-late0000000000000000", "2026-06-08T00:00:01Z", 7, 7);
    let all: Vec<Kept> = day.iter().cloned().chain([late.clone()]).collect();
    let provider = Provider::start(litellm(small, log(day), move |asked, kept| {
        if is_first_page(asked) && kept.len() == 450 {
            kept.push(late.clone());
        }
    }));
    assert_same(&told_by(&provider), &calm(&all), "one came meanwhile");
}

#[test]
fn a_run_that_is_killed_between_pages_loses_nothing() {
    let kept = requests(1_300);
    let small = Proxy { largest_page: 100, ..Proxy::default() };
    let expected = calm(&kept);
    let provider = Provider::start(litellm(small, log(kept), |_, _| ()));
    let run = TestRun::in_memory(&config(&provider.url()).replace("5s", "60s"));
    provider.answer_where(9, &Reply::json("").travels(How::Silence), |asked| {
        asked.parameter("start_date").starts_with("2026-06-09") && asked.parameter("page") == "3"
    });
    let mut command = run.command(&["ingest"]);
    let mut child = command.env("LITELLM_KEY", TOKEN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !provider
        .take_asked()
        .iter()
        .any(|asked| asked.parameter("page") == "3" && asked.parameter("start_date").starts_with("2026-06-09"))
    {
        assert!(child.try_wait().unwrap().is_none(), "it came to its end");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    provider.recover();
    let ran = ingest(&run, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_same(&run, &expected, "killed");
}

/// A config with a second source in a file, and a third over HTTP that is well.
fn with_others(url: &str, well: &str) -> TestRun {
    let others = "\n[[source]]\nname = \"file\"\nformat = \"native\"\npath = \"logs/*\"\nprovider = \"groq\"\n";
    let other = config(well).split_once("[[source]]").unwrap().1.replace("\"proxy\"", "\"well\"");
    let run = TestRun::in_memory(&format!("{}{others}\n[[source]]{other}", config(url)));
    run.write("logs/a.jsonl", super::support::request("chatcmpl-file0000000000000000", "2026-06-09T08:00:00Z", 5, 5));
    run
}

#[test]
fn one_source_in_trouble_does_not_stop_the_others() {
    let well = Provider::start(litellm(Proxy::default(), log(requests(4)), |_, _| ()));
    let slow = Reply::json("{\"data\":[]}").travels(How::Slowly(5, Duration::from_millis(500)));
    let cases: Vec<(Reply, &str)> = vec![
        (
            Reply::status(401, format!("{{\"error\":{{\"message\":\"no such key: {TOKEN}\"}}}}")),
            "refused the credential (401): it says \"no such key: …\": check `token_env`",
        ),
        (Reply::status(403, "{}"), "does not let this credential read it (403): use a token that may read usage"),
        (Reply::status(404, "{}"), "is not there (404): check `url`"),
        (Reply::status(429, "{}"), "wants fewer requests (429), without saying when, after 6 tries"),
        (
            Reply::status(429, "{}").with("Retry-After", "86400"),
            "wants fewer requests (429), again in 86400 s: it should pass",
        ),
        (Reply::status(500, "{}"), "failed with 500, after 6 tries"),
        (slow, "gave no whole answer in 1 s"),
        (Reply::json("{\"data\":[]}").travels(How::CutAfter(4)), "broke off its answer"),
        (
            Reply::json("<html>").with("Content-Type", "text/html"),
            "gave an answer of `text/html`, expected JSON: check `url`",
        ),
        (Reply::json(""), "gave an empty answer (200), expected JSON, after 6 tries"),
        (Reply::json("{\"data\":[{}"), "gave an answer that cannot be used: not JSON"),
        (
            Reply::json("{\"rows\":[]}"),
            "gave an answer that cannot be used: no list `data` is in it: check that `url` leads to what `format` says",
        ),
    ];
    std::thread::scope(|scope| {
        for (reply, expect) in &cases {
            let well = &well;
            scope.spawn(move || {
                let provider = Provider::start(|_| Reply::json("{\"data\":[]}"));
                provider.answer_next(9_999, reply);
                let run = with_others(&provider.url(), &well.url());
                if matches!(reply.how, How::Slowly(..)) {
                    let text = fs::read_to_string(run.path("spendbook.toml")).unwrap();
                    run.write("spendbook.toml", text.replacen("5s", "1s", 1));
                }
                let ran = ingest(&run, &[]);
                assert_eq!(ran.code, 1, "{expect}: {ran:?}");
                let said = format!("{}{}", ran.stdout, ran.stderr);
                let lines: Vec<&str> = said.lines().filter(|line| line.contains("failed: ")).collect();
                assert!(lines.len() == 1 && lines[0].contains(expect), "{expect}: {said}");
                assert!(lines[0].starts_with("failed: proxy: 2026-06-07"), "{said}");
                assert_eq!(run.accounts("file"), "kept 1");
                assert_eq!(run.accounts("well"), "kept 4");
                assert!(!said.contains("C4nary"), "{said}");

                // The night after, all is well again.
                provider.recover();
                let ran = ingest(&run, &[]);
                assert_eq!(ran.code, 0, "{expect}: {ran:?}");
            });
        }
    });
}

#[test]
fn a_night_goes_on_without_a_source_that_fails() {
    let well = Provider::start(litellm(Proxy::default(), log(requests(4)), |_, _| ()));
    let down = Provider::start(|_| Reply::status(401, "{}"));
    let run = with_others(&down.url(), &well.url());
    run.write(
        "pricing/groq.csv",
        "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note\n\
         groq,llama-3.1-8b-instant,*,input_tokens,0.05,1M,,2026-01-01,,2026-01-01,list,a list,\n\
         groq,llama-3.1-8b-instant,*,output_tokens,0.08,1M,,2026-01-01,,2026-01-01,list,a list,\n",
    );
    let night = |run: &TestRun| Ran::of(&run.command(&["run"]).env("LITELLM_KEY", TOKEN).output().unwrap());
    let ran = night(&run);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("refused the credential (401)"), "{ran:?}");
    assert_eq!(run.rows("charges").len(), 5, "what the others told is priced");
}

/// However many days are asked for, and by however many threads.
#[test]
fn no_more_than_four_requests_are_under_way() {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let proxy = litellm(Proxy { largest_page: 100, ..Proxy::default() }, log(requests(900)), |_, _| ());
    let provider = Provider::start(move |asked| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        proxy(asked)
    });
    let run = TestRun::in_memory(&config(&provider.url()).replace("since = \"2026-06-07\"\n", ""));
    assert_eq!(ingest(&run, &[]).code, 0);
    assert_eq!(run.rows("usage").len(), 900);
    let days: std::collections::BTreeSet<String> =
        provider.take_asked().iter().map(|asked| asked.parameter("start_date").to_owned()).collect();
    assert_eq!(days.len(), 31, "30 days back and today");
    let most = most.load(Ordering::SeqCst);
    assert!((1..=4).contains(&most), "{most} at once");
}

#[test]
fn pages_that_are_too_large_are_asked_for_in_smaller_ones() {
    let kept = requests(500);
    let provider = Provider::start(litellm(Proxy::default(), log(kept.clone()), |_, _| ()));
    provider.answer_where(9_999, &Reply::json(vec![b' '; 33 << 20]), |asked| asked.parameter("page_size") == "1000");
    let expected = calm(&kept);
    assert_same(&told_by(&provider), &expected, "in pages of 100");
    // Short, with millions of values.
    let dense = format!("{{\"data\":[],\"total\":0,\"more\":[{}0]}}", "0,".repeat(1 << 21));
    let provider = Provider::start(litellm(Proxy::default(), log(kept), |_, _| ()));
    provider.answer_where(9_999, &Reply::json(dense), |asked| asked.parameter("page_size") == "1000");
    assert_same(&told_by(&provider), &expected, "in pages of 100");
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let kept = requests(500);
    let expected = calm(&kept);
    let passing = [
        Reply::status(429, "{}").with("Retry-After", "0"),
        Reply::status(503, "{}"),
        Reply::json("{\"data\":[").travels(How::CutAfter(5)),
        Reply::json("{\"data\":[{"),
        Reply::json("").travels(How::Drop),
    ];
    for reply in passing {
        let provider = Provider::start(litellm(Proxy::default(), log(kept.clone()), |_, _| ()));
        provider.answer_next(2, &reply);
        assert_same(&told_by(&provider), &expected, &format!("{reply:?}"));
    }
}

#[test]
fn a_broken_item_is_set_aside_with_its_address() {
    let good = Kept::new("chatcmpl-good0000000000000000", "2026-06-08T08:00:00Z", 5, 5).spend_log();
    let broken = good.replace("\"prompt_tokens\":5", "\"prompt_tokens\":\"many\"").replace("good", "fail");
    let provider = Provider::start(move |asked| {
        if !asked.parameter("start_date").starts_with("2026-06-08") {
            return Reply::json("{\"data\":[],\"total\":0}");
        }
        let long = format!("{{\"request_id\":\"chatcmpl-long\",\"messages\":\"{}\"}}", "x".repeat(16 << 20));
        Reply::json(format!("{{\"data\":[{good},7,\"eight\",{broken},{long}],\"total\":5}}"))
    });
    let run = told_by(&provider);
    assert_eq!(run.accounts("proxy"), "kept 1, quarantined too_long 1, quarantined wrong_type 3");
    let quarantine: Vec<String> = run.quarantine().iter().map(|line| without_port(line)).collect();
    assert!(
        quarantine.iter().all(|line| line.starts_with("http://127.0.0.1/spend/logs/v2#2026-06-08:")),
        "{quarantine:?}"
    );
    for end in [
        "wrong_type: a number, expected an object",
        "wrong_type: a text, expected an object",
        "too_long: longer than 16 MiB, expected one request",
    ] {
        assert!(quarantine.iter().any(|line| line.ends_with(end)), "{end}: {quarantine:?}");
    }
    let before = run.tables();
    assert_eq!(ingest(&run, &["--strict"]).code, 3);
    assert_same_bytes(&run.tables(), &before, "asked again");
}

/// A request that is told late, or told otherwise, comes in while its day is
/// asked for again.
#[test]
fn days_are_asked_for_again_until_they_are_settled() {
    let known = log(requests(40));
    let provider = Provider::start(litellm(Proxy::default(), Log::clone(&known), |_, _| ()));
    let run = told_by(&provider);
    let late = Kept::new("chatcmpl-late0000000000000000", "2026-06-09T12:00:00Z", 3, 3);
    known.lock().unwrap().push(late);
    // An answer that had not come to its end then.
    known.lock().unwrap()[39].output = 900;
    let ran = Ran::of(&run.command_at("2026-06-11T04:00:00Z", &["ingest"]).env("LITELLM_KEY", TOKEN).output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let all = known.lock().unwrap().clone();
    assert_same(&run, &calm(&all), "late");
    assert!(run.rows("usage").iter().any(|row| row.contains("output_tokens=900")));
}

#[test]
fn langfuse_and_cloudflare_tell_requests_too() {
    let kept = requests(600);
    let rest = "since = \"2026-06-07\"\ntoken_env = \"LITELLM_KEY\"\nprovider = \"groq\"\n";
    let cases: [(Provider, &str, String, &str); 2] = [
        (
            Provider::start(langfuse(log(kept.clone()))),
            "langfuse-api",
            "username = \"pk-lf-1234abcd-12ab-34cd-56ef-1234567890ab\"\n".to_owned(),
            "/api/public/v2/observations",
        ),
        (
            Provider::start(cloudflare(log(kept.clone()))),
            "cloudflare-api",
            "account = \"acc\"\ngateway = \"main\"\n".to_owned(),
            "/accounts/acc/ai-gateway/gateways/main/logs",
        ),
    ];
    for (provider, format, keys, path) in cases {
        let url = provider.url();
        let run = TestRun::in_memory(&format!(
            "[book]\npath = \"book\"\n[[source]]\nname = \"proxy\"\nformat = \"{format}\"\nurl = \"{url}\"\n{keys}{rest}"
        ));
        let ran = ingest(&run, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let rows = run.rows_with_provenance("usage");
        assert_eq!(rows.len(), 600, "{format}");
        assert!(rows.iter().all(|row| row.contains(&format!("source_file={url}{path} "))), "{}", rows[0]);
        let input: i64 = rows
            .iter()
            .map(|row| row.split("input_tokens=").nth(1).unwrap().split(' ').next().unwrap().parse::<i64>().unwrap())
            .sum();
        assert_eq!(input, kept.iter().map(|it| it.input).sum::<i64>(), "{format}");
        let asked = provider.take_asked();
        let expect = if format == "langfuse-api" { "Basic cGstbGYt" } else { "Bearer sk-C4nary" };
        assert!(asked.iter().all(|asked| asked.header("authorization").starts_with(expect)));
        assert!(asked.len() > 8, "one page a day is none to turn");
        let before = run.tables();
        assert_eq!(ingest(&run, &[]).code, 0);
        assert_same_bytes(&run.tables(), &before, format);
    }
}

#[test]
fn a_dry_run_asks_and_writes_nothing() {
    let provider = Provider::start(litellm(Proxy::default(), log(requests(50)), |_, _| ()));
    let run = TestRun::in_memory(&config(&provider.url()));
    let ran = ingest(&run, &["--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("provider = groq") && ran.stdout.contains("nothing was written"), "{ran:?}");
    assert!(!run.path("book").exists());
    let other = ingest(&run, &["--source", "nobody"]);
    assert_eq!(other.code, 2, "{other:?}");
}

/// `--again` asks for everything once more, and takes away nothing that the
/// source no longer has.
#[test]
fn what_a_source_no_longer_has_stays_in_the_book() {
    let kept = requests(60);
    let known = log(kept.clone());
    let provider = Provider::start(litellm(Proxy::default(), Log::clone(&known), |_, _| ()));
    let run = told_by(&provider);
    known.lock().unwrap().drain(..20);
    let text = fs::read_to_string(run.path("spendbook.toml")).unwrap();
    run.write("spendbook.toml", format!("{text}tier = \"flex\"\n"));
    let ran = ingest(&run, &["--again", "--source", "proxy"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("no longer told: 20 of its requests stay as they were read"), "{ran:?}");
    let rows = run.rows("usage");
    assert_eq!(rows.len(), 60);
    assert_eq!(rows.iter().filter(|row| row.contains("tier=flex")).count(), 40);
}

#[test]
fn doctor_says_whether_a_source_answers() {
    let provider = Provider::start(litellm(Proxy::default(), log(requests(4)), |_, _| ()));
    let run = TestRun::in_memory(&config(&provider.url()));
    let doctor = |run: &TestRun| Ran::of(&run.command(&["doctor"]).env("LITELLM_KEY", TOKEN).output().unwrap()).stdout;
    let said = doctor(&run);
    assert!(said.contains("/spend/logs/v2` answers, with 0 items on the first page of today"), "{said}");
    assert_eq!(provider.take_asked().len(), 1);
    let unknown = r#"{"error":{"message":"Unknown request URL: GET /spend/logs/v2. Please check the URL","type":"invalid_request_error","code":"unknown_url"}}"#;
    provider.answer_next(1, &Reply::status(404, unknown));
    assert!(doctor(&run).contains("is not there (404): it says \"Unknown request URL"), "{said}");
    let said = run.run(&["doctor"]).stdout;
    assert!(said.contains("the environment variable `LITELLM_KEY` is not set"), "{said}");
}

/// Through a proxy of the environment, and with certificates from the config or
/// from `SSL_CERT_FILE`.
#[test]
fn the_way_to_a_source_is_the_one_of_the_machine() {
    let kept = requests(20);
    let proxied = Provider::start(litellm(Proxy::default(), log(kept.clone()), |_, _| ()));
    let run = TestRun::in_memory(&config("http://litellm.invalid"));
    let mut command = run.command(&["ingest"]);
    let ran = Ran::of(&command.env("LITELLM_KEY", TOKEN).env("HTTP_PROXY", proxied.url()).output().unwrap());
    assert_eq!(ran.code, 1, "the path is a whole address, which this server does not know: {ran:?}");
    assert!(proxied.take_asked().iter().all(|asked| asked.path.starts_with("http://litellm.invalid/spend/logs/v2")));

    let secure = Provider::encrypted("127.0.0.1", litellm(Proxy::default(), log(kept.clone()), |_, _| ()));
    let run = TestRun::in_memory(&config(&secure.url()));
    let ran = ingest(&run, &[]);
    assert!(
        ran.code == 1
            && ran.stdout.contains(
                "has a certificate that is not trusted: nobody who is trusted here has signed it: write `url`"
            ),
        "{ran:?}"
    );
    run.write("ca.pem", &secure.certificate);
    let mut command = run.command(&["ingest"]);
    let ran = Ran::of(&command.env("LITELLM_KEY", TOKEN).env("SSL_CERT_FILE", run.path("ca.pem")).output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(run.path("spendbook.toml")).unwrap();
    run.write("spendbook.toml", format!("{text}ca_file = \"ca.pem\"\n"));
    assert_eq!(ingest(&run, &[]).code, 0);
    let expected: Vec<String> = calm(&kept).rows("usage");
    assert_eq!(run.rows("usage"), expected);
}

/// Wherever the token may have gone: every file, every word that is said.
#[test]
fn the_token_is_nowhere() {
    let echo = |status| {
        Reply::status(status, format!("{{\"error\":{{\"message\":\"Bearer {TOKEN}, {TOKEN}\"}}}}"))
            .with("X-Echo", TOKEN)
    };
    let rows = format!("{{\"data\":[{{\"request_id\":\"x\",\"metadata\":\"{TOKEN}\"}},\"{TOKEN}\"],\"total\":2}}");
    for reply in [
        echo(401),
        echo(404),
        echo(422),
        echo(500),
        Reply::json(rows),
        Reply::status(302, "").with("Location", &format!("/x?key={TOKEN}")),
    ] {
        let provider = Provider::start(|_| Reply::json("{\"data\":[]}"));
        provider.answer_next(9_999, &reply);
        let run = TestRun::in_memory(&config(&provider.url()));
        for arguments in [&["-v", "--log-format", "json", "ingest"][..], &["-v", "ingest"], &["doctor"], &["run"]] {
            let mut command = run.command(arguments);
            command.env("LITELLM_KEY", TOKEN).env("RUST_LOG", "trace");
            let ran = Ran::of(&command.output().unwrap());
            assert!(!ran.stdout.contains("C4nary") && !ran.stderr.contains("C4nary"), "{ran:?}");
        }
        for (name, bytes) in files_below(run.dir()) {
            assert!(!bytes.windows(6).any(|window| window == b"C4nary"), "{name}");
        }
    }
}
