//! Known answers: ways in which usage accounting went wrong in the field, each
//! under its name with the right result.
//!
//! Those that begin in a log go through two nights of the real binary: in the
//! second, the same logs are there once more. The others are tests beside the code that decides them;
//! [`ELSEWHERE`] names them, and is held against the source.

use std::{collections::BTreeMap, fs, path::Path};

use spendbook::money::Usd;

use crate::{priced::PRICE_HEADER, support::TestRun};

/// A case that begins in a log.
#[derive(Clone)]
struct Case {
    /// What went wrong elsewhere, and where.
    name: &'static str,
    source: &'static str,
    format: &'static str,
    /// Files of the source, all read in one night.
    logs: Vec<String>,
    /// Rows, then the sums of quantities that are known, the cost and basis.
    expect: &'static str,
}

/// Cases that are decided without a log: file and test.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "price cut inside a closed week (ccusage #1636)",
        "src/pricing/known_answers.rs",
        "a_price_cut_inside_a_closed_week_leaves_the_days_before_it",
    ),
    (
        "announced rise that was cancelled (genai-prices #703)",
        "src/pricing/known_answers.rs",
        "a_report_made_before_a_rise_was_cancelled_can_be_reproduced",
    ),
    (
        "change in the middle of a day (DeepSeek)",
        "tests/it/charges.rs",
        "a_price_changes_to_the_microsecond_twice_in_a_day",
    ),
    (
        "truncation to cents (conductai #2125)",
        "src/budgets/tests.rs",
        "two_thousand_five_hundred_times_four_tenths_of_a_cent_are_ten_dollars",
    ),
    ("month in Tokyo (LiteLLM #34896)", "src/periods/tests.rs", "months_begin_where_people_live"),
    ("projection (LiteLLM #31934)", "src/budgets/tests/forecast.rs", "a_daily_budget_is_projected_to_midnight"),
    ("exactly 100 % (Budget #293)", "tests/it/status.rs", "a_budget_is_reached_at_its_last_digit"),
    ("restart after 80 % (preflight #455)", "tests/it/alerts.rs", "each_threshold_is_told_once_however_often_it_runs"),
    ("Anthropic cost report", "src/money.rs", "cents_are_shifted_exactly"),
];

const PRICES: &str = "\
groq,m,*,input_tokens,1.25,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,cached_input_tokens,0.625,1M,,2026-01-01,,2026-01-01,list,,
groq,m,*,output_tokens,10,1M,,2026-01-01,,2026-01-01,list,,
groq,m,batch,input_tokens,0.7,1M,,2026-01-01,,2026-01-01,list,,
groq,m,batch,cached_input_tokens,0.7,1M,,2026-01-01,,2026-01-01,list,,
groq,m,batch,output_tokens,5,1M,,2026-01-01,,2026-01-01,list,,
groq,whisper,*,audio_ms,0.111,1h,10s,2026-01-01,,2026-01-01,list,,
anthropic,c,*,input_tokens,3,1M,,2026-01-01,,2026-01-01,list,,
anthropic,c,*,cached_input_tokens,0.3,1M,,2026-01-01,,2026-01-01,list,,
anthropic,c,*,cache_write_5m_tokens,3.75,1M,,2026-01-01,,2026-01-01,list,,
anthropic,c,*,output_tokens,15,1M,,2026-01-01,,2026-01-01,list,,
";

/// A line of the native format, with more fields.
fn line(id: &str, time: &str, more: &str) -> String {
    format!("{{\"ts\":\"2026-06-01T{time}Z\",\"request_id\":\"{id}\",\"model\":\"m\",{more}}}\n")
}

fn usage(prompt: i64, cached: i64, completion: i64) -> String {
    format!(
        r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{cached}}}}}"#,
        prompt + completion
    )
}

fn of_one_line(more: &str) -> Vec<String> {
    vec![line("chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f", "08:00:00", more)]
}

/// Cached and written input, in every shape that providers and gateways have.
fn of_caches() -> Vec<Case> {
    vec![
        Case {
            name: "cached tokens inside the prompt (LiteLLM #14849)",
            source: "inside",
            format: "native",
            logs: of_one_line(&usage(262_960, 257_955, 1_744)),
            expect: "1 row, in 5005, cached 257955, out 1744: 0.184918125000 list",
        },
        Case {
            name: "cached tokens beside the input (Langfuse #12306)",
            source: "beside",
            format: "anthropic",
            logs: vec![
                r#"{"timestamp":"2026-06-01T08:00:00Z","message":{"id":"msg_01Qx7Lm3Vt9Kb5Rw2Hs6Dn002","type":"message","role":"assistant","model":"c","usage":{"input_tokens":5,"cache_creation_input_tokens":1253,"cache_read_input_tokens":128955,"output_tokens":7}}}"#.to_owned() + "\n",
            ],
            expect: "1 row, in 5, cached 128955, written 1253, out 7: 0.043505250000 list",
        },
        Case {
            name: "inclusive shape (tokscale #1022)",
            source: "inclusive",
            format: "native",
            logs: of_one_line(&usage(113_415, 112_224, 990)),
            expect: "1 row, in 1191, cached 112224, out 990: 0.081528750000 list",
        },
        Case {
            name: "LiteLLM row of an Anthropic call (#11364)",
            source: "litellm",
            format: "litellm",
            logs: vec![litellm(
                "chatcmpl-1f4b0c1e-0001-4a6d-9d55-a00000000010",
                "acompletion",
                "08:00:00",
                "anthropic/c",
                r#"{"prompt_tokens":98805,"completion_tokens":5120,"total_tokens":103925,"prompt_tokens_details":{"cached_tokens":66360,"cache_creation_tokens":32435},"cache_read_input_tokens":66360,"cache_creation_input_tokens":32435}"#,
            )],
            expect: "1 row, in 10, cached 66360, written 32435, out 5120: 0.218369250000 list",
        },
        Case {
            name: "Groq batch with cached tokens",
            source: "batch",
            format: "openai-batch",
            logs: vec![
                r#"{"id":"batch_req_out_01kt134s4vfrvswdvsq5zmmz0n","custom_id":"1","response":{"status_code":200,"request_id":"req_01kt134r00frvswdvsq5zmmz0n","body":{"id":"chatcmpl-3e9d51c4-7a20-4f6b-9c88-52d1e6a70001","object":"chat.completion","created":1780300800,"model":"m","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":600}}}},"error":null}"#.to_owned() + "\n",
            ],
            // All input at the batch rate: 1,000 × 0.7 + 100 × 5.
            expect: "1 row, in 400, cached 600, out 100: 0.001200000000 list",
        },
    ]
}

fn litellm(id: &str, call: &str, time: &str, model: &str, usage: &str) -> String {
    let provider = model.split('/').next().unwrap();
    format!(
        r#"{{"request_id":"{id}","call_type":"{call}","spend":0,"startTime":"2026-06-01T{time}Z","endTime":"2026-06-01T{time}Z","model":"{model}","custom_llm_provider":"{provider}","metadata":{{"status":"success","usage_object":{usage}}},"cache_hit":"False"}}"#
    ) + "\n"
}

/// What is logged more than once, or under an id that is used more than once.
fn of_repetition() -> Vec<Case> {
    let id = "chatcmpl-6b77f788-464c-47b3-ad3d-baf89e67bc6f";
    let snapshots = [(0, 2), (1, 2), (4, 439)]
        .map(|(second, output)| line(id, &format!("08:00:0{second}"), &usage(40, 0, output)))
        .concat();
    // 378 rows, of which 13 stand there twice; then the whole file again.
    let events: String = (0..378)
        .map(|row| {
            let event = row % 365;
            let id = format!("chatcmpl-00000000-0000-4000-8000-{event:012}");
            line(&id, &format!("08:{:02}:{:02}", event / 60, event % 60), &usage(10, 0, 1))
        })
        .collect();
    let reused =
        line("chatcmpl-424", "08:00:00", &usage(10, 0, 1)) + &line("chatcmpl-424", "13:00:00", &usage(20, 0, 2));
    let chunk = |rest: &str| {
        format!(
            r#"{{"id":"chatcmpl-3e9d51c4-7a20-4f6b-9c88-52d1e6a7000a","object":"chat.completion.chunk","created":1780300810,"model":"m",{rest}}}"#
        ) + "\n"
    };
    let counts = r#"{"prompt_tokens":1678,"completion_tokens":32,"total_tokens":1710}"#;
    let stream = [
        format!(r#""choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"usage":{counts}"#),
        format!(r#""choices":[],"x_groq":{{"id":"req_01kt1351rgfrkawap17vwehp6j","usage":{counts}}}"#),
        format!(r#""choices":[],"usage":{counts}"#),
    ];
    vec![
        Case {
            name: "streaming snapshots (ccusage #888)",
            source: "snapshots",
            format: "native",
            logs: vec![snapshots],
            expect: "1 row, in 40, cached 0, out 439: 0.004440000000 list",
        },
        Case {
            name: "same event in two files (gram #5021)",
            source: "twice",
            format: "native",
            logs: vec![events.clone(), events],
            expect: "365 rows, in 3650, cached 0, out 365: 0.008212500000 list",
        },
        Case {
            name: "id reused by the provider (LiteLLM #28396)",
            source: "reused",
            format: "native",
            logs: vec![reused],
            expect: "2 rows, in 30, cached 0, out 3: 0.000067500000 list",
        },
        Case {
            name: "Groq stream",
            source: "stream",
            format: "openai",
            logs: vec![stream.map(|rest| chunk(&rest)).concat()],
            expect: "1 row, in 1678, out 32: 0.002417500000 list",
        },
    ]
}

/// `LiteLLM` writes a row at each poll of a batch that is done.
fn of_polls() -> Case {
    let polls = ["05:00:00", "06:00:00", "07:00:00", "08:00:00"]
        .map(|time| {
            let batch = "batch_6a1cd9d0a3688190abb50aa75c49a8dd_batch_cost";
            litellm(
                batch,
                "aretrieve_batch",
                time,
                "groq/m",
                r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#,
            )
        })
        .concat();
    Case {
        name: "batch polled four times (LiteLLM #39980)",
        source: "polled",
        format: "litellm",
        logs: vec![polls],
        expect: "1 row, in 1000, out 100: 0.001200000000 list",
    }
}

/// What has no price, or one that is not what it seems.
fn of_prices() -> Vec<Case> {
    let unknown = (0..365).map(|number| {
        let id = format!("chatcmpl-00000000-0000-4000-9000-{number:012}");
        line(&id, "09:00:00", &usage(102_000, 0, 466)).replace("\"model\":\"m\"", "\"model\":\"brand-new\"")
    });
    vec![
        Case {
            name: "unknown model (LiteLLM #35914)",
            source: "unknown",
            format: "native",
            logs: vec![unknown.collect()],
            expect: "365 rows, in 37230000, cached 0, out 170090: ? unpriced",
        },
        Case {
            name: "gateway cache hit (LiteLLM #39057)",
            source: "hit",
            format: "native",
            logs: of_one_line(&format!("\"cached\":true,{}", usage(1_000, 0, 100))),
            expect: "1 row, in 1000, cached 0, out 100: 0.000000000000 free",
        },
        Case {
            name: "gateway's own cost in another unit (LiteLLM #35829)",
            source: "own-cost",
            format: "native",
            logs: of_one_line(&format!("\"cost_usd\":2250.5,{}", usage(1_000, 0, 100))),
            expect: "1 row, in 1000, cached 0, out 100: 0.002250000000 list",
        },
        Case {
            name: "reasoning outside completion (xAI raw)",
            source: "reasoning",
            format: "native",
            logs: of_one_line(
                r#""usage":{"prompt_tokens":10,"completion_tokens":30,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":20}}"#,
            ),
            expect: "1 row, in 10, out 50: 0.000512500000 list",
        },
        Case {
            name: "Whisper",
            source: "whisper",
            format: "native",
            logs: of_one_line(r#""operation":"transcription","usage":{"audio_seconds":4}"#)
                .iter()
                .map(|log| log.replace("\"model\":\"m\"", "\"model\":\"whisper\""))
                .collect(),
            expect: "1 row, audio 4000: 0.000308333333 list",
        },
    ]
}

fn workspace(source: &str, format: &str) -> TestRun {
    // Rows of LiteLLM name the provider themselves.
    let provider = match format {
        "litellm" => "",
        "anthropic" => "provider = \"anthropic\"",
        _ => "provider = \"groq\"",
    };
    let run = TestRun::in_memory(&format!(
        "[teams.chat]\n[[source]]\nname = \"{source}\"\nformat = \"{format}\"\npath = \"logs/*\"\n{provider}\n"
    ));
    run.write("pricing/prices.csv", format!("{PRICE_HEADER}{PRICES}"));
    run
}

/// The rows of `charges`, summed up.
fn summary(run: &TestRun) -> String {
    let rows = run.rows("charges");
    let cells = |row: &str| -> BTreeMap<String, String> {
        let cells = row.split(' ').filter_map(|cell| cell.split_once('='));
        cells.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    text(&rows.iter().map(|row| cells(row)).collect::<Vec<_>>())
}

fn text(rows: &[BTreeMap<String, String>]) -> String {
    let mut text = format!("{} row{}", rows.len(), if rows.len() == 1 { "" } else { "s" });
    for (name, shown) in [
        ("input_tokens", "in"),
        ("cached_input_tokens", "cached"),
        ("cache_write_5m_tokens", "written"),
        ("output_tokens", "out"),
        ("audio_ms", "audio"),
    ] {
        let known: Vec<i64> = rows.iter().filter_map(|row| row.get(name)?.parse().ok()).collect();
        if !known.is_empty() {
            text += &format!(", {shown} {}", known.iter().sum::<i64>());
        }
    }
    let costs: Option<Vec<Usd>> = rows.iter().map(|row| Usd::parse(row.get("cost")?).ok()).collect();
    let cost = costs.and_then(|costs| costs.into_iter().try_fold(Usd::ZERO, Usd::checked_add));
    let cost = cost.map_or_else(|| "?".to_owned(), |cost| cost.to_string());
    format!("{text}: {cost} {}", rows[0]["basis"])
}

#[test]
fn every_log_has_its_known_answer() {
    for Case { name, source, format, logs, expect } in
        [of_caches(), of_repetition(), vec![of_polls()], of_prices()].concat()
    {
        let run = workspace(source, format);
        for night in ["first", "copied"] {
            for (number, log) in (1..).zip(&logs) {
                run.write(&format!("logs/{night}-{number}.jsonl"), log);
            }
            run.ingest();
            assert_eq!(run.run(&["price"]).code, 0, "{name}");
            assert_eq!(summary(&run), expect, "{name}, {night}");
        }
    }
}

/// Key rotated or deleted (`LiteLLM` #25710): rows under the old key stay those
/// of its team.
#[test]
fn a_rotated_key_leaves_its_rows_with_the_team() {
    let run = workspace("keys", "native");
    let config = fs::read_to_string(run.path("spendbook.toml")).unwrap();
    let keys = "[[key]]\nname = \"old\"\nteam = \"chat\"\nvalid_until = \"2026-06-02\"\n\
                [[key]]\nname = \"new\"\nteam = \"chat\"\nreplaces = \"old\"\nvalid_from = \"2026-06-01T12:00:00Z\"\n";
    run.write("spendbook.toml", config + keys);
    let of = |id: &str, time: &str, key: &str| line(id, time, &format!("\"key\":\"{key}\",{}", usage(10, 0, 1)));
    run.write(
        "logs/1.jsonl",
        of("req_aaaaaaaaaaaaaaaa01", "08:00:00", "old") + &of("req_aaaaaaaaaaaaaaaa02", "13:00:00", "new"),
    );
    run.ingest();
    run.run(&["price"]);
    let rows = run.rows("charges");
    assert!(rows.len() == 2 && rows.iter().all(|row| row.contains(" team=chat ")), "{rows:?}");
}

#[test]
fn the_cases_without_a_log_have_their_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (case, file, test) in ELSEWHERE {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{case}: `{test}` is not in {file}");
    }
}
