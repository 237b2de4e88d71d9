//! `spendbook run`: the night in one command.

use crate::support::TestRun;

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
