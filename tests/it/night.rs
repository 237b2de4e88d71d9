//! `spendbook run`: the night in one command.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Instant as Moment,
};

use crate::support::{
    Dice, TestRun, assert_same_bytes, files_below,
    smtp::{Manners, SmtpServer},
    times,
};

const LINE: &str = r#"{"ts":"2026-06-01T08:00:00Z","request_id":"chatcmpl-2f6d4a0c-1b7e-4f0a-9a55-0d8e4a1c7b01","key":"chatbot-prod","model":"llama-3.1-8b-instant","status":200,"usage":{"prompt_tokens":1000000,"completion_tokens":1000000,"total_tokens":2000000}}
"#;

const PRICES: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,llama-3.1-8b-instant,on_demand,input_tokens,0.05,1M,,2026-01-01,,2026-01-01,list,a list,
groq,llama-3.1-8b-instant,on_demand,output_tokens,0.08,1M,,2026-01-01,,2026-01-01,list,a list,
";

fn night() -> TestRun {
    let run = TestRun::with(
        "[[source]]\nname = \"gateway\"\nformat = \"native\"\npath = \"logs/*.jsonl\"\nprovider = \"groq\"\n\
         [teams.chatbot]\nowners = []\n",
    );
    run.write("logs/a.jsonl", LINE);
    run.write("pricing/groq.csv", PRICES);
    run
}

#[test]
fn one_command_reads_prices_and_audits_and_again_changes_nothing() {
    let run = night();
    let ran = run.run(&["run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("1 day changed: 2026-06-01"), "{ran:?}");
    assert!(ran.stdout.contains("$0.13"), "{ran:?}");
    for table in ["usage", "charges", "rollup", "violations"] {
        assert!(run.path(&format!("book/{table}/date=2026-06-01/{table}.parquet")).is_file(), "{table}");
    }
    let before = run.tables();
    let again = run.run(&["run"]);
    assert!(again.code == 0 && again.stdout.contains("nothing new"), "{again:?}");
    assert_eq!(run.tables(), before);
}

#[test]
fn a_price_book_with_a_mistake_stops_no_log_from_being_read() {
    let run = night();
    run.write("pricing/groq.csv", PRICES.replace("0.05", "cheap"));
    let ran = run.run(&["run"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("cheap") && ran.stderr.matches("cheap").count() == 1, "{ran:?}");
    assert!(run.path("book/usage/date=2026-06-01/usage.parquet").is_file());
    assert!(!run.path("book/charges/date=2026-06-01/charges.parquet").exists());
}

/// Two teams beyond their budgets, the first full week just over, and a server
/// that takes the mails.
fn with_mails(server: &SmtpServer) -> TestRun {
    let run = TestRun::with(&format!(
        "[[source]]\nname = \"gateway\"\nformat = \"native\"\npath = \"logs/*.jsonl\"\nprovider = \"groq\"\n\
         [organization]\nfinance = [\"finance@example.com\"]\n\
         [teams.chatbot]\nowners = [\"lead@example.com\"]\nmonthly_budget_usd = \"1\"\n\
         [teams.lab]\nowners = [\"lab@example.com\"]\nmonthly_budget_usd = \"2\"\n\
         [mail]\nfrom = \"Spendbook <spendbook@example.com>\"\ntransport = \"smtp\"\nhost = \"127.0.0.1\"\n\
         port = {}\nsecurity = \"none\"\n",
        server.port
    ));
    for day in 1..=9 {
        let mut log = String::new();
        for (at, key) in ["chatbot-prod", "lab-prod"].into_iter().enumerate() {
            let line = LINE.replace("2026-06-01", &format!("2026-06-0{day}")).replace("chatbot-prod", key);
            log += &line.replace("4f0a", &format!("4{day}{at}a"));
        }
        run.write(&format!("logs/{day}.jsonl"), log);
    }
    run.write("pricing/groq.csv", PRICES);
    run
}

/// What has arrived; mails that are the same are one.
fn arrived(server: &SmtpServer) -> BTreeSet<(String, Vec<u8>)> {
    server.received().into_iter().map(|mail| (mail.to, mail.eml)).collect()
}

/// The tables, and what is known of alerts and weekly mails.
fn told_and_kept(run: &TestRun) -> BTreeMap<String, Vec<u8>> {
    let is_kept = |name: &str| {
        ["usage/", "charges/", "rollup/", "violations/", "alerts/", "weekly/"].iter().any(|it| name.starts_with(it))
    };
    files_below(&run.path("book")).into_iter().filter(|(name, _)| is_kept(name)).collect()
}

/// Killed at any moment, the next run ends in the book of a night that nobody
/// disturbed; each of its mails arrives, and what arrives twice is the same mail.
#[test]
fn killed_at_any_moment_the_next_one_ends_in_the_same_books_and_mails() {
    let server = SmtpServer::start(Manners::default());
    let whole = with_mails(&server);
    let begun = Moment::now();
    let ran = whole.run(&["run"]);
    let usual = begun.elapsed();
    assert_eq!(ran.code, 0, "{ran:?}");
    let (books, mails) = (told_and_kept(&whole), arrived(&server));
    let about = |word: &str| mails.iter().filter(|mail| String::from_utf8_lossy(&mail.1).contains(word)).count();
    assert!(about("alerts.") >= 2 && about("weekly.") >= 3, "{} mails", mails.len());
    let mut dice = Dice(0x419);
    let mut between = 0;
    for point in 0..times("SPENDBOOK_KILLS", 20) {
        let server = SmtpServer::start(Manners::default());
        let run = with_mails(&server);
        let mut child = run.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let delay = usual * u32::try_from(dice.below(1_000)).unwrap() / 1_000;
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        between += u32::from(!told_and_kept(&run).is_empty() && arrived(&server).len() < mails.len());
        let context = format!("point {point}, killed after {delay:?} of {usual:?}");
        let ran = run.run(&["run"]);
        assert_eq!(ran.code, 0, "{context}: {ran:?}");
        assert_same_bytes(&told_and_kept(&run), &books, &context);
        assert!(arrived(&server) == mails, "{context}: {} mails, expected {}", arrived(&server).len(), mails.len());
    }
    assert!(between > 0, "no kill has hit a night between its first file and its last mail");
}
