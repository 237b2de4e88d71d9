//! Fuzzing of what people write: price books, configs and SQL. The texts of
//! `tests/corpus` and of the examples are damaged at random; whatever comes of
//! it is an answer or a message, never a panic, and the same one each time.
//!
//! `SPENDBOOK_FUZZ=100000 cargo test fuzz` damages more of them. What is found
//! goes into `tests/corpus/<what>/`, and is read as it is by every run. Logs are
//! damaged in `mutations`, the scanner of JSON in its own tests.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use spendbook::{
    book::Book,
    config::Config,
    pricing::Draft,
    report::{self, Asked},
    time::Instant,
};

use crate::support::{CONFIG, Dice, NOW, TestRun, files_below, request, times};

/// Texts to begin with: the corpus, and files of the repository.
fn corpus(what: &str, more: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<Vec<u8>> = files_below(&root.join("tests/corpus").join(what)).into_values().collect();
    texts.extend(more.iter().map(|name| fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))));
    assert!(!texts.is_empty(), "there is no corpus of {what}");
    texts
}

/// One thing wrong; `words` are what such texts are made of.
fn damage(dice: &mut Dice, text: &mut Vec<u8>, words: &[&str]) {
    const ODD: [&str; 24] = [
        "",
        "0",
        "-1",
        "1e400",
        "0.1",
        "9223372036854775808",
        "99999999999999999999999999999999999999999",
        "NaN",
        "\"",
        "'",
        "\n",
        ",",
        "=",
        "\t",
        "\u{0}",
        "\u{feff}",
        "ä",
        "\u{202e}",
        "9999-12-31",
        "0000-00-00",
        "2026-02-30T25:61:61Z",
        "((((((((",
        "[",
        "\\",
    ];
    let mut at = dice.below(text.len() + 1);
    let mut end = (at + dice.below(30)).min(text.len());
    // Mostly whole words, else hardly anything gets past the first check.
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    if dice.below(4) > 0 {
        at -= text[..at].iter().rev().take_while(|byte| is_of_word(byte)).count();
        end = at + text[at..].iter().take_while(|byte| is_of_word(byte)).count();
    }
    let with: Vec<u8> = match dice.below(6) {
        0 => Vec::new(),
        1 => ODD[dice.below(ODD.len())].into(),
        2 => vec![u8::try_from(dice.below(256)).expect("it is below 256")],
        3 => text[at..end].repeat(2),
        _ => words[dice.below(words.len())].into(),
    };
    text.splice(at..end, with);
}

/// Reads every text of a corpus as it is, and then damaged ones.
fn fuzz(texts: &[Vec<u8>], words: &[&str], count: u32, read: impl Fn(&[u8])) {
    let check = |text: &[u8]| {
        let is_well = catch_unwind(AssertUnwindSafe(|| read(text))).is_ok();
        assert!(is_well, "found, for tests/corpus:\n{}\n{text:?}", String::from_utf8_lossy(text));
    };
    for text in texts {
        check(text);
    }
    let mut dice = Dice(0xf022);
    for _ in 0..times("SPENDBOOK_FUZZ", count) {
        let mut text = texts[dice.below(texts.len())].clone();
        for _ in 0..=dice.below(4) {
            damage(&mut dice, &mut text, words);
        }
        check(&text);
    }
}

const PRICE_WORDS: [&str; 16] = [
    "groq",
    "*",
    "on_demand",
    "batch",
    "input_tokens",
    "cached_input_tokens",
    "audio_ms",
    "1M",
    "1h",
    "10s",
    "1",
    "2026-01-01",
    "2026-06-01T12:00:00Z",
    "contract",
    "fallback",
    "list",
];

/// A book that can be used has the same rows in any order; one that cannot is
/// told with a place and a reason.
#[test]
fn price_books() {
    let texts = corpus("prices", &["pricing/groq.csv", "pricing/fallback.csv"]);
    fuzz(&texts, &PRICE_WORDS, 400, |bytes| {
        let read = |bytes: Vec<u8>| Draft::from_files("pricing", &[("a.csv".to_owned(), bytes)]);
        let draft = read(bytes.to_vec());
        let findings: Vec<String> = draft.check(None).iter().map(ToString::to_string).collect();
        assert!(findings.iter().all(|finding| !finding.trim().is_empty()), "{findings:?}");
        let digests = |draft: &Draft| {
            let mut digests: Vec<String> = draft.digests().map(|digest| digest.to_string()).collect();
            digests.sort();
            digests
        };
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if text.contains(['"', '\r']) {
            return;
        }
        let mut lines: Vec<&str> = text.lines().collect();
        if let Some(rows) = lines.get_mut(1..) {
            rows.reverse();
        }
        let turned = read((lines.join("\n") + "\n").into());
        assert_eq!(digests(&draft), digests(&turned), "the order of rows has a meaning");
        assert_eq!(draft.into_book().is_ok(), turned.into_book().is_ok(), "the order of rows makes a mistake");
    });
}

const CONFIG_WORDS: [&str; 20] = [
    "[book]",
    "[[source]]",
    "[teams.a]",
    "[[key]]",
    "[pools.p]",
    "[mail]",
    "timezone",
    "\"Europe/Berlin\"",
    "name",
    "\"a\"",
    "true",
    "50",
    "[1, 2]",
    "\"12.34\"",
    "monthly_budget_usd",
    "valid_from",
    "2026-01-01",
    "\"gzip\"",
    "{ a = 1 }",
    "owners",
];

/// Every message has a place within the text.
#[test]
fn configs() {
    let texts = corpus("config", &["data/demo/spendbook.toml"]);
    fuzz(&texts, &CONFIG_WORDS, 2_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let path = Path::new("spendbook.toml");
        match (Config::parse(&text, path), Config::parse(&text, path)) {
            (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
            (Err(one), Err(other)) => {
                let message = one.to_string();
                assert_eq!(message, other.to_string());
                assert!(message.contains("spendbook.toml"), "{message}");
            }
            (one, other) => panic!("once {one:?}, and once {other:?}"),
        }
    });
}

const SQL_WORDS: [&str; 36] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY 1",
    "LIMIT 1",
    "charges",
    "usage",
    "prices",
    "cost",
    "ts",
    "date",
    "model",
    "input_tokens",
    "count(*)",
    "sum(cost)",
    "avg(cost)",
    "CAST(model AS DECIMAL(99, 9))",
    "INTERVAL '1 day'",
    "substr(model, -1, 99)",
    "round(cost, 99)",
    "date_trunc('x', ts)",
    "OVER (PARTITION BY model)",
    "IN (1, 'a')",
    "NOT",
    "NULL",
    "CASE WHEN",
    "END",
    "JOIN charges USING (ts)",
    "UNION ALL SELECT 1",
    "DISTINCT",
    "+",
    "/ 0",
    "*",
    "strftime(ts, '%q')",
    "AND",
];

/// An answer, or a mistake that is told.
#[test]
fn sql() {
    let run = TestRun::in_memory(CONFIG);
    let at = |hour: u32| format!("2026-06-01T{hour:02}:07:00Z");
    let lines: String = (0..3).map(|hour| request(&format!("chatcmpl-{hour}"), &at(hour), 1_000, 333)).collect();
    run.write("logs/a.jsonl", lines);
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/pricing/groq.csv");
    run.write("pricing/groq.csv", fs::read(from).expect("the bundled price book"));
    for stage in ["ingest", "price"] {
        let ran = run.run(&[stage]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let config = Config::load(&run.path("spendbook.toml")).expect("a config without mistakes");
    let book = Book::open(&run.path("book")).expect("a book");
    let now = Instant::parse(NOW, chrono_tz::Tz::UTC).expect("a time");
    fuzz(&corpus("sql", &[]), &SQL_WORDS, 150, |bytes| {
        let asked = Asked { book: &book, config: &config, now };
        if let Err(error) = report::query(&asked, &String::from_utf8_lossy(bytes)) {
            assert!(error.is_about_what_was_written(), "the SQL has damaged the book: {error}");
        }
    });
}
