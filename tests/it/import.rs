//! `pricing import` through the real binary: what it says, where it writes, and
//! that the book with its rows prices.

use insta::assert_snapshot;

use crate::{
    priced::PRICE_HEADER,
    support::{CONFIG, TestRun},
};

const LIST: &str = r#"{
    "gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
              "cache_read_input_token_cost": 1.2500000000000001e-07, "input_cost_per_token_batches": 6.25e-07,
              "input_cost_per_token_above_200k_tokens": 2.5e-06, "input_cost_per_image": 0.1},
    "openai/gpt-\"🦙\", free": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 2e-06},
    "azure/gpt-x": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 1.25e-06}
}"#;

fn workspace() -> TestRun {
    let run = TestRun::with(CONFIG);
    run.write(
        "pricing/openai.csv",
        format!("{PRICE_HEADER}openai,gpt-x,on_demand,output_tokens,12,1M,,2026-01-01,,2026-01-01,list,,\n"),
    );
    run.write("prices.json", LIST);
    run
}

fn read(run: &TestRun, name: &str) -> String {
    std::fs::read_to_string(run.path(name)).unwrap()
}

#[test]
fn rows_are_added_to_the_end_of_a_file_and_then_there_already() {
    let run = workspace();
    let before = read(&run, "pricing/openai.csv");
    let import = ["pricing", "import", "prices.json", "--provider", "OpenAI", "--output", "pricing/openai.csv"];
    let first = run.run(&import);
    assert_eq!(first.code, 0, "{first:?}");
    assert_snapshot!(first.said(&run), @r"
    5 rows of 2 models added; 0 there already, 3 left out, 1 not asked for
      left out 1: for long prompts only: the book has one price for all lengths
      left out 1: by size and quality of the picture, which `usage` does not show
      left out 1: 0, which lists also write where they know no price
    ");
    let after = read(&run, "pricing/openai.csv");
    assert!(after.starts_with(&before), "{after}");
    assert_snapshot!(after[before.len()..], @r#"
    openai,"gpt-""🦙"", free",on_demand,output_tokens,2,1M,,2026-06-10,,2026-06-10,list,LiteLLM price map 2026-06-10,start unknown: the first day on which it was seen at this price
    openai,gpt-x,on_demand,input_tokens,1.25,1M,,2026-06-10,,2026-06-10,list,LiteLLM price map 2026-06-10,"start unknown: the first day on which it was seen at this price; dearer for long prompts, which is not in the book"
    openai,gpt-x,on_demand,cached_input_tokens,0.125,1M,,2026-06-10,,2026-06-10,list,LiteLLM price map 2026-06-10,"start unknown: the first day on which it was seen at this price; dearer for long prompts, which is not in the book"
    openai,gpt-x,on_demand,output_tokens,10,1M,,2026-06-10,,2026-06-10,list,LiteLLM price map 2026-06-10,"start unknown: the first day on which it was seen at this price; dearer for long prompts, which is not in the book"
    openai,gpt-x,batch,input_tokens,0.625,1M,,2026-06-10,,2026-06-10,list,LiteLLM price map 2026-06-10,"start unknown: the first day on which it was seen at this price; dearer for long prompts, which is not in the book"
    "#);
    assert_eq!(run.run(&["pricing", "check"]).code, 0);
    let again = run.run(&import);
    assert!(again.stdout.starts_with("0 rows of 0 models added; 5 there already, 3 left out"), "{again:?}");
    assert_eq!(read(&run, "pricing/openai.csv"), after);
}

#[test]
fn rows_go_to_standard_output_and_what_is_said_of_them_does_not() {
    let run = workspace();
    let done = run.run(&["pricing", "import", "prices.json", "--model", "*🦙*", "--valid-from", "2026-02-01"]);
    assert_snapshot!(done.stdout, @r#"
    provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note
    openai,"gpt-""🦙"", free",on_demand,output_tokens,2,1M,,2026-02-01,,2026-06-10,list,LiteLLM price map 2026-06-10,the list does not say since when
    "#);
    assert!(done.stderr.starts_with("1 row of 1 model added; 0 there already, 1 left out"), "{done:?}");
    assert_eq!(run.run(&["-q", "pricing", "import", "prices.json"]).stderr, "");
}

#[test]
fn a_dry_run_names_every_row_and_everything_that_is_left_out() {
    let run = workspace();
    let done =
        run.run(&["pricing", "import", "prices.json", "--provider", "openai", "--dry-run", "--output", "new.csv"]);
    assert_snapshot!(done.said(&run), @r#"
     provider  model           tier       meter                price         from        until
     openai    gpt-"🦙", free  on_demand  output_tokens        2 per 1M      2026-06-10
     openai    gpt-x           on_demand  input_tokens         1.25 per 1M   2026-06-10
     openai    gpt-x           on_demand  cached_input_tokens  0.125 per 1M  2026-06-10
     openai    gpt-x           on_demand  output_tokens        10 per 1M     2026-06-10
     openai    gpt-x           batch      input_tokens         0.625 per 1M  2026-06-10

     left out  model           price                                   value    because it is
     openai    gpt-x           input_cost_per_token_above_200k_tokens  2.5e-06  for long prompts only: the book has one price for all lengths
     openai    gpt-x           input_cost_per_image                    0.1      by size and quality of the picture, which `usage` does not show
     openai    gpt-"🦙", free  input_cost_per_token                    0        0, which lists also write where they know no price

    5 rows of 2 models would be added; 0 there already, 3 left out, 1 not asked for
      left out 1: for long prompts only: the book has one price for all lengths
      left out 1: by size and quality of the picture, which `usage` does not show
      left out 1: 0, which lists also write where they know no price
    "#);
    assert!(!run.path("new.csv").exists());
}

#[test]
fn nothing_is_written_that_would_break_the_book() {
    let run = workspace();
    // Known today, as the import's row would be.
    run.append("pricing/openai.csv", "openai,gpt-x,on_demand,input_tokens,9,1M,,2026-06-01,,2026-06-10,list,,\n");
    let before = read(&run, "pricing/openai.csv");
    let done = run.run(&["pricing", "import", "prices.json", "--output", "pricing/openai.csv"]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.starts_with("error: the rows cannot be added: the price book has 1 error"), "{done:?}");
    assert_eq!(read(&run, "pricing/openai.csv"), before);
}

#[test]
fn what_looks_like_a_slip_is_told_although_the_row_has_a_note() {
    let run = workspace();
    run.append("pricing/openai.csv", "openai,gpt-x,on_demand,input_tokens,90,1M,,2026-01-01,,2026-01-01,list,,\n");
    let done = run.run(&["pricing", "import", "prices.json", "--output", "pricing/openai.csv"]);
    assert_eq!(done.code, 0);
    assert!(done.stdout.contains("warning[big_move]: the list price of `input_tokens` for `openai/gpt-x`"), "{done:?}");
}

#[test]
fn a_row_added_after_a_run_of_the_same_day_does_not_seem_kept_from_it() {
    let run = workspace();
    run.run(&["price"]);
    run.run(&["pricing", "import", "prices.json", "--valid-from", "2026-01-01", "--output", "pricing/new.csv"]);
    assert!(read(&run, "pricing/new.csv").contains(",2026-06-10T04:00:00Z,list,"), "{}", read(&run, "pricing/new.csv"));
}

#[test]
fn files_that_cannot_be_imported_are_told_apart() {
    let run = workspace();
    run.write("other.json", "{\"a\": 1}");
    run.write("half.json", &LIST[..100]);
    run.write("other.csv", "a,b\n1,2\n");
    for (arguments, code, expect) in [
        (&["none.json"][..], 1, "error: `none.json` cannot be read: "),
        (&["other.json"], 1, "error: `other.json` is neither LiteLLM's `model_prices_and_context_window.json` nor "),
        (&["half.json"], 1, "error: `half.json` is no JSON: "),
        (
            &["prices.json", "--output", "other.csv"],
            1,
            "error: `other.csv` cannot be added to: its first line must be ",
        ),
        (&["prices.json", "--pricing", "none"], 2, "error: the price book has 1 error"),
        (&["prices.json", "--model", "[a"], 2, "error: invalid value '[a' for '--model <GLOB>': expected a pattern"),
    ] {
        let done = run.run(&[&["pricing", "import"], arguments].concat());
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.stderr.starts_with(expect), "{}", done.stderr);
    }
}
