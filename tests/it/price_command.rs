//! `price` and `pricing` through the real binary: what they say, write, and
//! exit with.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use crate::{
    priced::{ALIAS_HEADER, PRICE_HEADER},
    support::{CONFIG, TestRun, files_below, rows_of_file},
};

const PRICES: &str = "\
groq,llama,*,input_tokens,0.59,1M,,2026-01-01,,2026-01-01,list,list page,
groq,llama,*,output_tokens,0.79,1M,,2026-01-01,,2026-01-01,list,list page,
groq,llama,batch,input_tokens,0.295,1M,,2026-01-01,,2026-01-01,list,list page,
groq,whisper,*,audio_ms,0.111,1h,10s,2026-01-01,,2026-01-01,list,list page,
groq,old,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,list page,
groq,old,*,input_tokens,,,,2026-05-01,,2026-05-01,list,retired,
";

const LOG: &str = r#"{"ts":"2026-06-01T08:00:00Z","request_id":"req_aaaaaaaaaaaaaaaa01","key":"chat-prod","model":"llama","usage":{"prompt_tokens":1000000,"completion_tokens":500000}}
{"ts":"2026-06-01T08:20:00Z","request_id":"req_aaaaaaaaaaaaaaaa02","key":"chat-prod","model":"whisper","operation":"transcription","usage":{"audio_seconds":4}}
{"ts":"2026-06-02T08:00:00Z","request_id":"req_aaaaaaaaaaaaaaaa03","key":"mine","model":"old","usage":{"prompt_tokens":10,"completion_tokens":0}}
{"ts":"2026-06-02T09:00:00Z","request_id":"req_aaaaaaaaaaaaaaaa04","key":"chat-dev","model":"llama","http_status":500,"error_code":"down"}
"#;

fn workspace() -> TestRun {
    let run = TestRun::with(&format!("{CONFIG}\n[teams.chat]\n"));
    run.write("pricing/groq.csv", format!("{PRICE_HEADER}{PRICES}"));
    run.write("pricing/aliases.csv", format!("{ALIAS_HEADER}groq,groq/llama,llama,2026-01-01,,2026-01-01,,\n"));
    run.write("logs/a.jsonl", LOG);
    run.ingest();
    run
}

fn add_price(run: &TestRun, row: &str) {
    run.append("pricing/groq.csv", format!("{row}\n"));
}

/// The tables that pricing makes, byte for byte.
fn made(run: &TestRun, book: &str) -> BTreeMap<String, Vec<u8>> {
    let tables = files_below(&run.path(book)).into_iter();
    tables.filter(|(name, _)| name.starts_with("charges") || name.starts_with("rollup")).collect()
}

#[test]
fn a_night_is_priced_once() {
    let run = workspace();
    let first = run.run(&["price"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert_snapshot!(first.stdout, @r"
    2 days priced, 2026-06-01 to 2026-06-02 (2 new); 0 up to date
                   requests       cost
     all                  4      $0.99
     unpriced             1  not known
     free                 1
     unattributed         1
    ");
    let before = made(&run, "book");
    assert_eq!(before.len(), 4);
    let again = run.run(&["price"]);
    assert_snapshot!(again.stdout, @"nothing to price: 2 up to date");
    assert_eq!(made(&run, "book"), before);
    let record = run.record();
    assert_eq!(record["command"], "price");
    assert_eq!(record["days_priced"], serde_json::json!({}));
    assert_eq!(run.run(&["--strict", "price"]).code, 0, "nothing was set aside, since nothing was done");
    run.remove("book/charges");
    assert_eq!(run.run(&["--strict", "price"]).code, 3);
}

#[test]
fn a_price_book_with_an_error_prices_nothing() {
    let run = workspace();
    run.run(&["price"]);
    let before = made(&run, "book");
    add_price(&run, "groq,llama,*,input_tokens,0.60,1M,,2026-01-01,,2026-01-01,list,,");
    add_price(&run, "groq,llama,*,tokens,0.60,1M,,2026-01-01,,2026-01-01,list,,");
    let refused = run.run(&["price"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert_snapshot!(refused.said(&run), @r"
    error: the price book has 2 errors, nothing was priced, the charges made before stay:
      ./pricing/groq.csv:8: error[tie]: the list price of `input_tokens` for `groq/llama` in tier `*` is also in ./pricing/groq.csv:2, valid at the same time and known from the same 2026-01-01: give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`
      ./pricing/groq.csv:9: error[unknown_meter]: `meter` is `tokens`, expected the name of a meter: write one of `input_tokens`, `cached_input_tokens`, `cache_write_5m_tokens`, `cache_write_1h_tokens`, `output_tokens`, `audio_ms`, `characters`, `images`, `web_searches`, `page_visits`, `code_ms`, `browser_ms`
    ");
    assert_eq!(made(&run, "book"), before);
    let check = run.run(&["pricing", "check"]);
    assert_eq!(check.code, 4);
    assert_snapshot!(check.said(&run), @r"
    ./pricing/groq.csv:8: error[tie]: the list price of `input_tokens` for `groq/llama` in tier `*` is also in ./pricing/groq.csv:2, valid at the same time and known from the same 2026-01-01: give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`
    ./pricing/groq.csv:8: warning[backdated]: the list price of `input_tokens` for `groq/llama` in tier `*` is known from 2026-01-01, but the run of 2026-06-10T04:00:00Z priced without it: set `known_from` to when it was entered, or say in `note` why not
    ./pricing/groq.csv:9: error[unknown_meter]: `meter` is `tokens`, expected the name of a meter: write one of `input_tokens`, `cached_input_tokens`, `cache_write_5m_tokens`, `cache_write_1h_tokens`, `output_tokens`, `audio_ms`, `characters`, `images`, `web_searches`, `page_visits`, `code_ms`, `browser_ms`
    8 rows: 2 errors, 1 warning
    ");
    let json = run.run(&["pricing", "check", "--format", "json"]);
    assert_eq!(json.code, 4);
    let findings: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(findings.as_array().unwrap().len(), 3);
}

#[test]
fn a_correction_is_told_and_recorded_and_yesterday_can_be_made_again() {
    let run = workspace();
    run.run(&["price"]);
    let yesterday = made(&run, "book");
    add_price(&run, "groq,llama,*,input_tokens,0.61,1M,,2026-05-30,,2026-06-10,list,corrected,");
    let tried = run.run(&["price", "--dry-run"]);
    assert_snapshot!(tried.stdout, @r"
    2 days would be priced, 2026-06-01 to 2026-06-02 (2 other prices); 0 up to date
                   requests       cost
     all                  4      $1.01
     unpriced             1  not known
     free                 1
     unattributed         1
    moved: 2026-06-01 `chat` `llama`: $0.98 -> $1.00
      no longer by groq/llama/*/list@2026-01-01#6b885526
      now by groq/llama/*/list@2026-05-30#90773de6
    dry run: nothing was written
    ");
    assert_eq!(made(&run, "book"), yesterday);
    run.run(&["price"]);
    let record = run.record();
    assert_eq!(record["changes"][0]["before"]["cost"], "0.985000000000");
    assert_eq!(record["changes"][0]["after"]["cost"], "1.005000000000");
    assert_ne!(made(&run, "book"), yesterday);

    let back = run.run(&["price", "--as-known-on", "2026-06-09", "--output", "then"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(made(&run, "then"), yesterday);
    // It is a book of its own: the same again changes nothing.
    let again = run.run(&["price", "--as-known-on", "2026-06-09", "--output", "then"]);
    assert_eq!(again.stdout, "nothing to price: 2 up to date\n");
}

#[test]
fn another_directory_may_not_be_the_live_book_or_hold_something_else() {
    let run = workspace();
    run.write("notes/todo.txt", "buy milk");
    for dir in ["book", "book/inside", ".", "notes"] {
        let refused = run.run(&["price", "--output", dir]);
        assert_eq!(refused.code, 1, "{dir}: {refused:?}");
        assert!(refused.stderr.contains("--output"), "{dir}: {refused:?}");
    }
    assert_eq!(files_below(&run.path("notes")).len(), 1);
    assert!(!run.path("book/inside").exists());
    assert_eq!(run.run(&["price", "--as-known-on", "2026-06-01"]).code, 2);
}

#[test]
fn prices_are_looked_up_by_name_or_alias_at_an_instant() {
    let run = workspace();
    assert_snapshot!(run.run(&["pricing", "show", "groq/llama"]).said(&run), @r"
    provider  model  tier   meter          price         kind  since       row
    groq      llama  *      input_tokens   0.59 per 1M   list  2026-01-01  ./pricing/groq.csv:2
    groq      llama  *      output_tokens  0.79 per 1M   list  2026-01-01  ./pricing/groq.csv:3
    groq      llama  batch  input_tokens   0.295 per 1M  list  2026-01-01  ./pricing/groq.csv:4
    ");
    assert_snapshot!(run.run(&["pricing", "show", "--at", "2026-04-30"]).said(&run), @r"
    provider  model    tier   meter          price                       kind  since       row
    groq      llama    *      input_tokens   0.59 per 1M                 list  2026-01-01  ./pricing/groq.csv:2
    groq      llama    *      output_tokens  0.79 per 1M                 list  2026-01-01  ./pricing/groq.csv:3
    groq      llama    batch  input_tokens   0.295 per 1M                list  2026-01-01  ./pricing/groq.csv:4
    groq      old      *      input_tokens   1 per 1M                    list  2026-01-01  ./pricing/groq.csv:6
    groq      whisper  *      audio_ms       0.111 per 1h, at least 10s  list  2026-01-01  ./pricing/groq.csv:5
    ");
    assert_snapshot!(run.run(&["pricing", "show", "old"]).said(&run), @r"
    provider  model  tier  meter         price  kind   since       row
    groq      old    *     input_tokens  none   ended  2026-05-01
    ");
    let unknown = run.run(&["pricing", "show", "lama"]);
    assert_eq!(unknown.code, 4);
    assert_snapshot!(unknown.stdout, @"the price book has no rows of `lama` on 2026-06-10T04:00:00Z, did you mean `llama`?");
}

#[test]
fn price_books_are_compared_by_directory_and_by_what_was_known() {
    let run = workspace();
    add_price(&run, "groq,llama,*,input_tokens,0.61,1M,,2026-05-30,,2026-06-09,list,corrected,");
    assert_snapshot!(run.run(&["pricing", "diff", "2026-06-01", "2026-06-10"]).stdout, @"+ groq/llama * input_tokens: 0.61 per 1M (list), from 2026-05-30, known from 2026-06-09");
    let other = PRICES.replace("10s,2026", "5s,2026").replace("list page", "another page");
    run.write("other/groq.csv", format!("{PRICE_HEADER}{other}"));
    assert_snapshot!(run.run(&["pricing", "diff", "pricing", "other"]).stdout, @r"
    - groq/groq/llama is llama, from 2026-01-01, known from 2026-01-01
    - groq/llama * input_tokens: 0.61 per 1M (list), from 2026-05-30, known from 2026-06-09
    - groq/whisper * audio_ms: 0.111 per 1h, at least 10s (list), from 2026-01-01, known from 2026-01-01
    + groq/whisper * audio_ms: 0.111 per 1h, at least 5s (list), from 2026-01-01, known from 2026-01-01
    ");
    assert_eq!(run.run(&["pricing", "diff", "pricing", "pricing"]).stdout, "no row differs\n");
}

#[test]
fn a_request_is_explained_from_log_line_to_cents() {
    let run = workspace();
    run.append(
        "logs/a.jsonl",
        "{\"ts\":\"2026-06-01T08:20:00Z\",\"request_id\":\"req_aaaaaaaaaaaaaaaa02\",\"key\":\"chat-prod\",\"model\":\"whisper\",\"operation\":\"transcription\",\"usage\":{\"audio_seconds\":3}}\n",
    );
    run.ingest();
    assert!(run.run(&["explain", "req_aaaaaaaaaaaaaaaa02"]).stdout.contains("run `spendbook price`"));
    run.run(&["price"]);
    add_price(&run, "groq,whisper,*,audio_ms,0.04,1h,10s,2026-07-01,,2026-06-01,list,,announced");
    let explained = run.run(&["explain", "req_aaaaaaaaaaaaaaaa02"]);
    assert_eq!(explained.code, 0);
    assert_snapshot!(explained.said(&run), @r"
    request `req_aaaaaaaaaaaaaaaa02`, in the file of 2026-06-01

    log
      logs/a.jsonl, line 2, of source `gateway`
      version 2026-06-01T08:20:00Z (logs/a.jsonl, line 2): reported, audio_ms 4000: in the book
      version 2026-06-01T08:20:00Z (logs/a.jsonl, line 5): reported, audio_ms 3000: gave way, or is the same again
      other files were not searched for versions of it: add `--all-files`

    record
      ts = 2026-06-01T08:20:00Z
      ts_last = 2026-06-01T08:20:00Z
      request_id = req_aaaaaaaaaaaaaaaa02
      source = gateway
      source_file = logs/a.jsonl
      source_line = 2
      provider = groq
      model = whisper
      operation = transcription
      key = chat-prod
      status = success
      gateway_cache = false
      quality = reported
      audio_ms = 4000

    attribution
      team = chat: key `chat-prod` is named after a team and an environment
      environment = prod

    price of `groq/whisper` in tier `on_demand`, as known on 2026-06-10T04:00:00Z
      audio_ms: 10000 (of 4000) at 0.111 per 1h, at least 10s = 0.000308333333
        * ./pricing/groq.csv:5: 0.111 per 1h, at least 10s, list, tier `*`, from 2026-01-01: chosen
          ./pricing/groq.csv:8: 0.04 per 1h, at least 10s, list, tier `*`, from 2026-07-01: not valid yet
      cost = 0.000308333333, about $0.00031 (list)
      price_id = groq/whisper/*/list@2026-01-01#96fdac57
      the book has the same
    ");
    run.remove("logs/a.jsonl");
    assert!(run.run(&["explain", "req_aaaaaaaaaaaaaaaa02"]).stdout.contains("the file is gone"));
    assert_eq!(run.run(&["explain", "req_none"]).code, 4);
}

#[test]
fn the_same_usage_is_priced_otherwise() {
    let run = workspace();
    let before = run.tables();
    assert_snapshot!(run.run(&["what-if", "--model", "llama=old"]).stdout, @r"
     team        model  requests       now      then  difference  unpriced now  then
     nobody's      old         1     $0.00     $0.00       $0.00             1     1
     chat        llama         2     $0.98     $0.00      -$0.98             0     1
     chat      whisper         1  $0.00031  $0.00031       $0.00             0     0
     total                     4     $0.99  $0.00031      -$0.98             1     2
    what has no price is in no sum: the two sums are not of the same requests
    ");
    assert_snapshot!(run.run(&["what-if", "--tier", "batch", "--team", "chat"]).stdout, @r"
     team     model  requests       now      then  difference  unpriced now  then
     chat     llama         2     $0.98     $0.00      -$0.98             0     1
     chat   whisper         1  $0.00031  $0.00031       $0.00             0     0
     total                  3     $0.99  $0.00031      -$0.98             0     1
    what has no price is in no sum: the two sums are not of the same requests
    ");
    run.write("offer/groq.csv", format!("{PRICE_HEADER}{}", PRICES.replace("0.59", "0.10")));
    assert_snapshot!(run.run(&["what-if", "--pricing", "offer", "--to", "2026-06-01"]).stdout, @r"
    team     model  requests       now      then  difference  unpriced now  then
    chat     llama         1     $0.98     $0.50      -$0.49             0     0
    chat   whisper         1  $0.00031  $0.00031       $0.00             0     0
    total                  2     $0.99     $0.50      -$0.49             0     0
    ");
    assert_eq!(run.run(&["what-if", "--team", "chat"]).code, 2, "nothing would be otherwise");
    assert_eq!(run.run(&["what-if", "--model", "llama"]).code, 2);
    assert_eq!(run.tables(), before);
}

#[test]
fn every_listing_of_prices_is_there_for_programs_too() {
    let run = workspace();
    run.run(&["price"]);
    run.write("other/groq.csv", format!("{PRICE_HEADER}{}", PRICES.replace("0.295", "0.3")));
    for (arguments, header, row) in [
        (
            &["pricing", "show", "whisper"][..],
            "provider,model,tier,meter,price_usd,per,min_quantity,kind,valid_from,row",
            "groq,whisper,*,audio_ms,0.111000000000,3600000,10000,list,2026-01-01T00:00:00Z,./pricing/groq.csv:5",
        ),
        (
            &["pricing", "diff", "pricing", "other"],
            "change,provider,model,alias_of,tier,meter,price_usd,per,min_quantity,kind,valid_from,valid_until,known_from",
            "gone,groq,groq/llama,llama,,,,,,alias,2026-01-01T00:00:00Z,,2026-01-01T00:00:00Z",
        ),
        (
            &["what-if", "--tier", "batch"],
            "team,model,requests,cost_now,cost_then,difference,unpriced_now,unpriced_then,estimated_now,estimated_then,\
             estimated_cost_now,estimated_cost_then",
            ",old,1,0.000000000000,0.000000000000,0.000000000000,1,1,0,0,0.000000000000,0.000000000000",
        ),
        (&["pricing", "check"], "file,line,severity,code,message,cure", ""),
    ] {
        let csv = run.run(&[arguments, &["--format", "csv"]].concat());
        let lines: Vec<&str> = csv.stdout.lines().collect();
        assert_eq!((lines[0], lines.get(1).copied().unwrap_or_default()), (header, row), "{csv:?}");
        let json = run.run(&[arguments, &["--format", "json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let rows = json.as_array().or_else(|| json["differences"].as_array()).unwrap();
        assert_eq!(rows.len(), lines.len() - 1, "{json}");
        let written = run.run(&[arguments, &["--format", "parquet", "--output", "out.parquet"]].concat());
        assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{written:?}");
        let bytes = std::fs::read(run.path("out.parquet")).unwrap();
        assert_eq!(rows_of_file(bytes, &[]).unwrap().len(), rows.len());
    }
}
