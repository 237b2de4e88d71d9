//! `export hledger` through the binary: a journal, read by a parser of our own,
//! against the charges of the book.

use std::collections::{BTreeMap, BTreeSet};

use spendbook::{
    money::Usd,
    time::{Day, Instant},
};

use crate::support::{Dice, Ran, TestRun, cells_of_file, files_below};

const PRICES: &str = "\
provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
groq,m,*,input_tokens,0.59,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,output_tokens,0.79,1M,,2026-01-01,,2026-01-01,list,,
groq,w,*,audio_ms,0.111,1h,10s,2026-01-01,,2026-01-01,list,,
groq,*,*,input_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,
groq,*,*,output_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,
openai,r1:free,*,input_tokens,1.7,1M,,2026-01-01,,2026-01-01,list,,
openai,r1:free,*,output_tokens,3,1M,,2026-01-01,,2026-01-01,list,,
";

/// Half an hour off, so that a day is in two files, and no clock changes.
const ZONE_MICROS: i64 = (5 * 60 + 30) * 60 * 1_000_000;

const CONFIG: &str = r#"
[book]
path = "book"
pricing = "pricing"
timezone = "Asia/Kolkata"

[[source]]
name = "groq"
format = "native"
path = "logs/groq*"
provider = "groq"

[[source]]
name = "openai"
format = "native"
path = "logs/openai*"
provider = "openai"

[teams.chat]
[teams."R&D: one  (x); y"]

[pools.chat]
chat = 100

[[key]]
name = "ours"
team = "R&D: one  (x); y"

[[key]]
name = "pooled"
pool = "chat"
"#;

fn log(dice: &mut Dice, models: &[&str]) -> String {
    let mut text = String::new();
    for at in 0..300 {
        let day = ["2026-05-31", "2026-06-01", "2026-06-02"][dice.below(3)];
        let (hour, minute) = (dice.below(24), dice.below(60));
        let key = ["chat-prod", "ours", "pooled", "whose"][dice.below(4)];
        let model = models[dice.below(models.len())];
        let usage = match model {
            "w" => format!("{{\"audio_ms\":{}}}", dice.below(40_000)),
            _ => format!("{{\"prompt_tokens\":{},\"completion_tokens\":{}}}", dice.below(9_000), dice.below(300)),
        };
        text.push_str(&format!(
            "{{\"ts\":\"{day}T{hour:02}:{minute:02}:00Z\",\"request_id\":\"chatcmpl-{at:032}\",\"key\":\"{key}\",\
             \"model\":\"{model}\",\"http_status\":200,\"usage\":{usage}}}\n"
        ));
    }
    text
}

fn book() -> TestRun {
    let run = TestRun::with(CONFIG);
    let mut dice = Dice(11);
    run.write("pricing/prices.csv", PRICES);
    run.write("logs/groq.jsonl", log(&mut dice, &["m", "w", "unheard-of"]));
    run.write("logs/openai.jsonl", log(&mut dice, &["r1:free", "r1:free", "no-price"]));
    run.ingest();
    let priced = run.run(&["price"]);
    assert_eq!(priced.code, 0, "{priced:?}");
    run
}

fn export(run: &TestRun, arguments: &[&str]) -> String {
    let ran: Ran = run.run(&[&["export", "hledger"], arguments].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran.stdout
}

/// Amounts by day, payee and account.
type Sums = BTreeMap<(String, String, String), i128>;

/// What a journal says; each of its transactions sums to zero, and every account
/// is declared.
fn parsed(journal: &str) -> Sums {
    let mut sums = Sums::new();
    let (mut day, mut payee) = (String::new(), String::new());
    let mut of_transaction: BTreeMap<String, i128> = BTreeMap::new();
    let declared: BTreeSet<&str> = journal.lines().filter_map(|line| line.strip_prefix("account ")).collect();
    for line in journal.lines().map(|line| line.split("  ;").next().unwrap().trim_end()) {
        if let Some(posting) = line.strip_prefix("    ") {
            let (account, amount) = posting.split_once("  ").unwrap();
            assert!(declared.contains(account), "`{account}` is not declared");
            let amount = amount.trim_start().strip_suffix(" USD").unwrap();
            let amount = Usd::parse(amount).unwrap().pico();
            *of_transaction.entry(format!("{day} {payee}")).or_default() += amount;
            *sums.entry((day.clone(), payee.clone(), account.to_owned())).or_default() += amount;
        } else if line.starts_with('2') {
            let (date, rest) = line.split_once(' ').unwrap();
            (day, payee) = (date.to_owned(), rest.strip_suffix(" | LLM inference").unwrap().to_owned());
        }
    }
    assert!(of_transaction.values().all(|&sum| sum == 0), "{of_transaction:?}");
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// The same from the charges of the book, request by request.
fn expected(run: &TestRun, by_model: bool) -> Sums {
    let mut sums = Sums::new();
    for (_, bytes) in files_below(&run.path("book").join("charges")) {
        for row in cells_of_file(bytes) {
            let Some(cost) = row.get("cost") else { continue };
            let at = Instant::parse(&row["ts"], chrono_tz::Tz::UTC).unwrap();
            let day = Instant::from_micros(at.micros() + ZONE_MICROS).day().to_string();
            let payer = match row.get("team").map(String::as_str) {
                None => "expenses:llm:unattributed",
                Some("chat") => "expenses:llm:teams:chat",
                Some("shared:chat") => "expenses:llm:pools:chat",
                Some("R&D: one  (x); y") => "expenses:llm:teams:R&D%3A one %20%28x%29%3B y",
                Some(other) => panic!("no team is called `{other}`"),
            };
            let model = if by_model { format!(":{}", row["model_billed"].replace(':', "%3A")) } else { String::new() };
            let cost = Usd::parse(cost).unwrap().pico();
            let provider = row["provider"].clone();
            *sums.entry((day.clone(), provider.clone(), format!("{payer}{model}"))).or_default() += cost;
            *sums.entry((day, provider.clone(), format!("liabilities:llm:{provider}"))).or_default() -= cost;
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

#[test]
fn a_journal_balances_and_is_the_book_to_the_last_digit() {
    let run = book();
    let everything = ["--period", "2026-05-01..2026-07-01"];
    for by_model in [false, true] {
        let models: &[&str] = if by_model { &["--models"] } else { &[] };
        let journal = export(&run, &[&everything[..], models].concat());
        let (found, expect) = (parsed(&journal), expected(&run, by_model));
        assert_eq!(found, expect, "{journal}");
        assert!(found.len() > 30, "{journal}");
    }
}

#[test]
fn a_period_is_that_of_the_books_zone() {
    let run = book();
    let june = parsed(&export(&run, &["--period", "2026-06"]));
    let mut expect = expected(&run, false);
    expect.retain(|(day, ..), _| day.starts_with("2026-06"));
    assert_eq!(june, expect);
    let top = run.run(&["top", "teams", "--period", "2026-06", "--format", "json"]);
    let top: serde_json::Value = serde_json::from_str(&top.stdout).unwrap();
    let cost = |team: &serde_json::Value| Usd::parse(team["cost"].as_str().unwrap()).unwrap().pico();
    let of_top: i128 = top.as_array().unwrap().iter().map(cost).sum();
    let expenses = june.iter().filter(|((.., account), _)| account.starts_with("expenses:"));
    assert_eq!(expenses.map(|(_, sum)| sum).sum::<i128>(), of_top);
    let day = Day::parse("2026-06-01").unwrap();
    assert!(june.keys().map(|(day, ..)| day.as_str()).min() == Some(&day.to_string()));
}

#[test]
fn what_is_not_known_is_said() {
    let run = book();
    let journal = export(&run, &["--period", "2026-06"]);
    let tagged = |tag: &str| {
        let of_tag = |line: &str| Some(line.split_once(tag)?.1.trim().to_owned());
        journal.lines().filter(|line| line.starts_with("    ")).filter_map(of_tag).collect::<Vec<_>>()
    };
    let unpriced: u32 = tagged("; unpriced:").iter().map(|count| count.parse::<u32>().unwrap()).sum();
    let (mut requests, mut estimated) = (0, 0);
    for (_, bytes) in files_below(&run.path("book").join("charges")) {
        for row in cells_of_file(bytes) {
            let at = Instant::parse(&row["ts"], chrono_tz::Tz::UTC).unwrap();
            if Instant::from_micros(at.micros() + ZONE_MICROS).day().to_string().starts_with("2026-06") {
                requests += u32::from(row["basis"] == "unpriced");
                estimated += u32::from(row["basis"] == "fallback");
            }
        }
    }
    assert!(unpriced == requests && requests > 10 && estimated > 10, "{journal}");
    assert!(journal.contains(&format!("{requests} requests without a price are not in it")), "{journal}");
    assert!(tagged("; estimated:").len() > 5, "{journal}");
    let strict = run.run(&["--strict", "export", "hledger", "--period", "2026-06"]);
    assert_eq!(strict.code, 3, "{strict:?}");
}

#[test]
fn the_same_book_gives_the_same_journal_in_one_step() {
    let run = book();
    let journal = export(&run, &["--period", "2026-06"]);
    assert_eq!(export(&run, &["--period", "2026-06", "--output", "llm.journal"]), "");
    assert_eq!(std::fs::read_to_string(run.path("llm.journal")).unwrap(), journal);
    let none = export(&run, &["--period", "2026-09"]);
    assert!(none.contains("; 0 requests") && parsed(&none).is_empty(), "{none}");
    let wrong = run.run(&["export", "hledger", "--period", "june"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("`--period`"), "{wrong:?}");
}
