//! Lists as they are published, in miniature; books that have some of it.

use super::*;
use crate::pricing::{
    Finding,
    testing::{at, draft, lines},
};

const NOW: &str = "2026-11-20T10:00:00Z";

/// As they stand: tests of spelling are where it is made.
const PLAIN: Spelling = Spelling {
    provider: str::to_owned,
    model: |model, provider| model.strip_prefix(&format!("{provider}/")).unwrap_or(model).to_owned(),
};

fn additions(list: &str, book: &[&str], valid_from: Option<&str>) -> Additions {
    let wanted = Wanted {
        providers: &[],
        models: &[],
        valid_from: valid_from.map(at),
        now: at(NOW),
        known_from: at("2026-11-20"),
    };
    read_list(list.as_bytes(), None, PLAIN).unwrap().additions(&draft(book, &[], &[]), &wanted)
}

const FIRST_SEEN: &str = "start unknown: the first day on which it was seen at this price";
const SINCE_WHEN: &str = "the list does not say since when";

#[test]
fn a_row_says_where_it_is_from_and_what_is_not_known() {
    let list = litellm(
        "m",
        r#""input_cost_per_token": 1e-06, "input_cost_per_token_above_1k_tokens": 1, "source": "https://x""#,
    );
    let long = "dearer for long prompts, which is not in the book";
    for (valid_from, expect) in [
        (None, format!("LiteLLM price map 2026-11-20: https://x,{FIRST_SEEN}; {long}")),
        (Some("2026-01-01"), format!("LiteLLM price map 2026-11-20: https://x,{SINCE_WHEN}; {long}")),
    ] {
        let text = additions(&list, &[], valid_from).csv(None).unwrap();
        assert!(text.trim_end().replace('"', "").ends_with(&expect), "{text}");
    }
}

/// The rows, without what is the same for all, and what is left out.
fn check(list: &str, book: &[&str], valid_from: Option<&str>, expect: &str) {
    let done = additions(list, book, valid_from);
    let text = done.csv(None).unwrap();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let mut all: Vec<&str> = book.to_vec();
    all.extend(&rows);
    let errors: Vec<Finding> = draft(&all, &[], &[]).check(None).into_iter().filter(Finding::is_error).collect();
    assert_eq!(lines(&errors), "", "{list}");
    let plain = |row: &&str| {
        let row = row.replace(",2026-11-20,list,", " | ").replace(" 2026-11-20:", ":").replace(" 2026-11-20,", ",");
        [FIRST_SEEN, SINCE_WHEN].iter().fold(row, |row, note| row.replace(&format!("{note}; "), "").replace(note, ""))
    };
    let mut shown: Vec<String> = rows.iter().map(plain).collect();
    shown.extend(done.left_out.iter().map(|it| format!("- {} {}: {}", it.model, it.field, it.reason.text())));
    assert_eq!(shown.join("\n"), expect, "{list}");
}

fn litellm(model: &str, fields: &str) -> String {
    format!(r#"{{"{model}": {{"litellm_provider": "openai", {fields}}}}}"#)
}

#[test]
fn the_price_of_a_token_becomes_that_of_a_million() {
    check(
        &litellm(
            "openai/gpt",
            r#""mode": "chat", "input_cost_per_token": 5e-08, "output_cost_per_token": 1.75e-06,
               "cache_read_input_token_cost": 5e-09, "cache_creation_input_token_cost": 6.25e-08,
               "cache_creation_input_token_cost_above_1hr": 1e-07, "input_cost_per_token_batches": 2.5e-08,
               "output_cost_per_token_flex": 8.75e-07, "output_cost_per_token_priority": 3.5e-06,
               "output_cost_per_reasoning_token": 1.75e-06, "max_tokens": 128, "source": "https://x/y""#,
        ),
        &[],
        None,
        "openai,gpt,on_demand,input_tokens,0.05,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,on_demand,cached_input_tokens,0.005,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,on_demand,cache_write_5m_tokens,0.0625,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,on_demand,cache_write_1h_tokens,0.1,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,on_demand,output_tokens,1.75,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,flex,output_tokens,0.875,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,batch,input_tokens,0.025,1M,,2026-11-20, | LiteLLM price map: https://x/y,\n\
         openai,gpt,priority,output_tokens,3.5,1M,,2026-11-20, | LiteLLM price map: https://x/y,",
    );
}

#[test]
fn seconds_characters_pictures_and_searches_have_meters() {
    for (mode, fields, expect) in [
        (
            "audio_transcription",
            r#""input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001"#,
            "openai,m,on_demand,audio_ms,0.36,1h,,2026-11-20, | LiteLLM price map,",
        ),
        (
            "audio_speech",
            r#""input_cost_per_character": 1.5e-05"#,
            "openai,m,on_demand,characters,15,1M,,2026-11-20, | LiteLLM price map,",
        ),
        (
            "image_generation",
            r#""output_cost_per_image": 0.04"#,
            "openai,m,on_demand,images,0.04,1,,2026-11-20, | LiteLLM price map,",
        ),
        (
            "chat",
            r#""input_cost_per_token_batches": 1e-06, "search_context_cost_per_query": {"low": 0.01, "high": 0.01}"#,
            "openai,m,on_demand,web_searches,10,1k,,2026-11-20, | LiteLLM price map,\n\
             openai,m,batch,input_tokens,1,1M,,2026-11-20, | LiteLLM price map,\n\
             openai,m,batch,web_searches,10,1k,,2026-11-20, | LiteLLM price map,",
        ),
    ] {
        check(&litellm("m", &format!(r#""mode": "{mode}", {fields}"#)), &[], None, expect);
    }
}

#[test]
fn what_cannot_be_said_is_named() {
    let long = "dearer for long prompts, which is not in the book";
    check(
        &litellm(
            "m",
            r#""mode": "chat", "input_cost_per_token": 1e-06, "input_cost_per_token_above_272k_tokens": 2e-06,
               "output_cost_per_token": 0.0, "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": null,
               "search_context_cost_per_query": {"low": 0.01, "high": 0.02}, "input_cost_per_request": 0.1,
               "output_cost_per_token_batches": "free", "code_interpreter_cost_per_session": 0.03,
               "output_cost_per_reasoning_token": 3e-06, "cache_read_input_token_cost": 1.142857142857143e-07,
               "cache_creation_input_token_cost": -1e-06, "tiered_pricing": [], "input_cost_per_second": 1"#,
        ),
        &[],
        None,
        &format!(
            "openai,m,on_demand,input_tokens,1,1M,,2026-11-20, | LiteLLM price map,\"{long}; audio, pictures or video cost something else, which is not in the book; reasoning costs something else, which is not in the book\"\n\
             - m input_cost_per_token_above_272k_tokens: for long prompts only: the book has one price for all lengths\n\
             - m tiered_pricing: for long prompts only: the book has one price for all lengths\n\
             - m input_cost_per_audio_token: for audio, pictures or video: `usage` does not tell such tokens apart\n\
             - m search_context_cost_per_query: by the size of the search context, which `usage` does not show\n\
             - m output_cost_per_reasoning_token: for reasoning, which is part of `output_tokens`\n\
             - m code_interpreter_cost_per_session: per session, which `usage` does not count\n\
             - m input_cost_per_request: of something that no meter counts\n\
             - m input_cost_per_second: of something that no meter counts\n\
             - m output_cost_per_token: 0, which lists also write where they know no price\n\
             - m cache_read_input_token_cost: more digits than a price in the book can have\n\
             - m cache_creation_input_token_cost: no number of dollars\n\
             - m output_cost_per_token_batches: no number of dollars"
        ),
    );
    let heard = r#""mode": "audio_transcription", "input_cost_per_second": 0.0001, "output_cost_per_token": 1e-05"#;
    check(
        &litellm("m", heard),
        &[],
        None,
        "openai,m,on_demand,output_tokens,10,1M,,2026-11-20, | LiteLLM price map,\n\
         - m input_cost_per_second: beside a price of its tokens: both would bill twice",
    );
    check(
        r#"{"sample_spec": {"litellm_provider": "one of many", "input_cost_per_token": 1.0},
            "1024-x-1024/d": {"litellm_provider": "openai", "input_cost_per_image": 0.04},
            "n": {"output_cost_per_token": 1e-06},
            "m": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
            "openai/m": {"litellm_provider": "openai", "input_cost_per_token": 2e-06}}"#,
        &[],
        None,
        "openai,m,on_demand,input_tokens,1,1M,,2026-11-20, | LiteLLM price map,\n\
         - sample_spec input_cost_per_token: the list's own example\n\
         - 1024-x-1024/d input_cost_per_image: by size and quality of the picture, which `usage` does not show\n\
         - m on_demand input_tokens: another entry of the list has another price for the same name\n\
         - n output_cost_per_token: of an entry that names no provider",
    );
}

#[test]
fn rows_are_only_added() {
    let list = litellm("m", r#""input_cost_per_token": 1e-06"#);
    let known = |price: &str, from: &str, known_from: &str| {
        format!("openai,m,on_demand,input_tokens,{price},{from},,{known_from},list,,")
    };
    let same = known("1,1M,", "2026-01-01", "2026-01-01");
    let small = known("0.001,1k,5", "2026-01-01", "2026-01-01");
    let dearer = known("2,1M,10", "2026-01-01", "2026-01-01");
    let announced = known("3,1M,", "2026-12-01", "2026-11-01");
    let ended = known(",,", "2026-06-01", "2026-06-01");
    let contract = same.replace(",list,", ",contract,");
    let change = "openai,m,on_demand,input_tokens,1,1M,10,2026-11-20, | LiteLLM price map,";
    for (book, expect) in [
        (vec![&same], ""),
        (vec![&small], ""),
        (vec![&dearer], change),
        (vec![&contract], &change.replace(",10,", ",,")),
        (vec![&dearer, &announced], &change.replace("20, |", "20,2026-12-01 |")),
        (vec![&same, &ended], "- m on_demand input_tokens: ended in the book: add the row by hand if it is sold again"),
    ] {
        check(&list, &book.iter().map(|row| row.as_str()).collect::<Vec<_>>(), None, expect);
    }
    assert_eq!(additions(&list, &[&same], None).known, 1);
    // What applies from an earlier day leaves the changes since then alone.
    let cut = known("4,1M,", "2026-07-01", "2026-07-01");
    check(
        &list,
        &[&dearer, &cut],
        Some("2026-03-01"),
        "openai,m,on_demand,input_tokens,1,1M,10,2026-03-01,2026-07-01 | LiteLLM price map,\n\
         openai,m,on_demand,input_tokens,1,1M,,2026-11-20, | LiteLLM price map,",
    );
}

#[test]
fn an_import_that_is_in_the_book_adds_nothing() {
    let list = litellm("m", r#""input_cost_per_token": 1e-06, "cache_read_input_token_cost": 1e-07"#);
    let text = additions(&list, &[], None).csv(None).unwrap();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let again = additions(&list, &rows, None);
    assert_eq!((again.rows.len(), again.known, again.left_out.len()), (0, 2, 0));
}

fn genai(model: &str) -> String {
    format!(r#"[{{"id": "x", "pricing_urls": ["https://x/y"], "models": [{{{model}}}]}}]"#)
}

#[test]
fn dates_are_those_of_the_data() {
    let prices = r#""id": "m", "match": {"equals": "m"}, "prices": [
        {"prices": {"input_mtok": 5, "cache_read_mtok": 0.5, "output_mtok": 30}},
        {"constraint": {"start_date": "2026-08-21"}, "prices": {"input_mtok": 4, "output_mtok": 20}},
        {"constraint": {"start_date": "2026-12-01"}, "prices": {"input_mtok": 4, "output_mtok": 25}}]"#;
    let later = "x,m,on_demand,input_tokens,4,1M,,2026-08-21, | genai-prices: https://x/y,\n\
                 x,m,on_demand,output_tokens,20,1M,,2026-08-21,2026-12-01 | genai-prices: https://x/y,\n\
                 x,m,on_demand,output_tokens,25,1M,,2026-12-01, | genai-prices: https://x/y,";
    let unknown = |meter| format!("- m on_demand {meter}: {}", Reason::UnknownStart.text());
    check(
        &genai(prices),
        &[],
        None,
        &format!(
            "{later}\n{}\n{}\n{}\n- m on_demand cached_input_tokens: {}",
            unknown("cached_input_tokens"),
            unknown("input_tokens"),
            unknown("output_tokens"),
            Reason::NotInTheBook.text()
        ),
    );
    check(
        &genai(prices),
        &[],
        Some("2026-01-01"),
        "x,m,on_demand,input_tokens,5,1M,,2026-01-01,2026-08-21 | genai-prices: https://x/y,\n\
         x,m,on_demand,input_tokens,4,1M,,2026-08-21, | genai-prices: https://x/y,\n\
         x,m,on_demand,cached_input_tokens,0.5,1M,,2026-01-01,2026-08-21 | genai-prices: https://x/y,\n\
         x,m,on_demand,cached_input_tokens,,,,2026-08-21, | genai-prices: https://x/y,\n\
         x,m,on_demand,output_tokens,30,1M,,2026-01-01,2026-08-21 | genai-prices: https://x/y,\n\
         x,m,on_demand,output_tokens,20,1M,,2026-08-21,2026-12-01 | genai-prices: https://x/y,\n\
         x,m,on_demand,output_tokens,25,1M,,2026-12-01, | genai-prices: https://x/y,",
    );
    let from_september = later.replace("2026-08-21", "2026-09-01");
    check(
        &genai(prices),
        &[],
        Some("2026-09-01"),
        &format!("{from_september}\n- m on_demand cached_input_tokens: {}", Reason::NotInTheBook.text()),
    );
}

#[test]
fn tiers_cost_what_the_ordinary_one_does_but_for_what_they_have_of_their_own() {
    check(
        &genai(
            r#""id": "m-latest", "match": {"or": [{"equals": "m"}, {"starts_with": "m-"}]},
               "prices": {"input_mtok": {"base": 5, "tiers": [{"start": 200000, "price": 10}]}, "web_searches_kcount": 10,
                          "output_audio_mtok": 7, "audio_hours": 0.111, "requests_kcount": 1},
               "price_variants": [
                 {"when": {"service_tier": "default"}, "prices": {}},
                 {"when": {"processing": "batch"}, "prices": {"input_mtok": 2.5}, "constraint": {"start_date": "2026-10-14"}},
                 {"when": {"speed": "fast"}, "prices": {"input_mtok": 9}}]"#,
        ),
        &[],
        None,
        &(["m", "m-latest"]
            .map(|name| {
                [
                    ",on_demand,input_tokens,5,1M,,2026-11-20, | genai-prices: https://x/y,\"dearer for long prompts, which is not in the book\"",
                    ",on_demand,audio_ms,0.111,1h,,2026-11-20, | genai-prices: https://x/y,",
                    ",on_demand,web_searches,10,1k,,2026-11-20, | genai-prices: https://x/y,",
                    ",batch,input_tokens,2.5,1M,,2026-10-14, | genai-prices: https://x/y,",
                    ",batch,audio_ms,0.111,1h,,2026-10-14, | genai-prices: https://x/y,",
                    ",batch,web_searches,10,1k,,2026-10-14, | genai-prices: https://x/y,",
                ]
                .map(|row| format!("x,{name}{row}\n"))
                .concat()
            })
            .concat()
            + &[
                ("input_mtok", Reason::PromptLength),
                (r#"{"speed": "fast"}"#, Reason::Condition),
                ("output_audio_mtok", Reason::Modality),
                ("match", Reason::Likeness),
                ("requests_kcount", Reason::NoMeter),
            ]
            .map(|(field, reason)| format!("- m-latest {field}: {}", reason.text()))
            .join("\n")),
    );
}

#[test]
fn names_like_a_pattern_and_hours_of_the_day_are_left_out() {
    for (model, reason) in [
        (r#""id": "m", "match": {"regex": "^m"}, "prices": {"input_mtok": 5}"#, Reason::Likeness),
        (
            r#""id": "m", "match": {"equals": "m"}, "prices": [{"prices": {"input_mtok": 5}},
               {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 9}}]"#,
            Reason::TimeOfDay,
        ),
    ] {
        check(&genai(model), &[], None, &format!("- m prices: {}", reason.text()));
    }
}

#[test]
fn the_package_has_the_same_data_in_python() {
    let python = "import datetime\n\nproviders: list[Provider] = [\n    Provider(\n        id='x',\n        pricing_urls=['https://x/y'],\n        models=[\n            ModelInfo(\n                id='m',\n                match=ClauseOr(or_=[ClauseEquals(equals='m'), ClauseEquals(equals='n')]),\n                prices=[\n                    ConditionalPrice(\n                        constraint=StartDateConstraint(start_date=datetime.date(2026, 3, 1)),\n                        prices=ModelPrice(input_mtok=Decimal('0.25')),\n                    ),\n                ],\n            ),\n        ],\n    ),\n]\n";
    check(
        python,
        &[],
        None,
        "x,m,on_demand,input_tokens,0.25,1M,,2026-03-01, | genai-prices: https://x/y,\n\
         x,n,on_demand,input_tokens,0.25,1M,,2026-03-01, | genai-prices: https://x/y,",
    );
}

#[test]
fn only_what_is_asked_for_is_taken_and_the_rest_is_counted() {
    let list = r#"{"a": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "input_cost_per_request": 1},
                   "b": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
                   "a2": {"litellm_provider": "x", "input_cost_per_token": 1e-06, "input_cost_per_request": 1}}"#;
    let wanted = Wanted {
        providers: &["openai".to_owned()],
        models: &[glob::Pattern::new("a*").unwrap()],
        valid_from: None,
        now: at(NOW),
        known_from: at(NOW),
    };
    let list = read_list(list.as_bytes(), Some(Origin::Litellm), PLAIN).unwrap();
    let done = list.additions(&draft(&[], &[], &[]), &wanted);
    assert_eq!((done.rows.len(), done.left_out.len(), done.not_asked_for), (1, 1, 3));
    assert_eq!(done.rows[0].model(), "a");
}

#[test]
fn rows_follow_the_columns_of_the_file_they_are_added_to() {
    let done = additions(&litellm("m", r#""input_cost_per_token": 1e-06"#), &[], None);
    let header =
        "note,kind,known_from,valid_until,valid_from,min_quantity,per,price_usd,meter,tier,model,provider,source";
    assert_eq!(
        done.csv(Some(header)).unwrap(),
        "start unknown: the first day on which it was seen at this price,list,2026-11-20,,2026-11-20,,1M,1,input_tokens,on_demand,m,openai,LiteLLM price map 2026-11-20\n"
    );
    let error = done.csv(Some("provider,model")).unwrap_err();
    assert_eq!(error, format!("its first line must be `{}`", COLUMNS.join(",")));
}

#[test]
fn files_that_are_no_price_list_are_refused() {
    for (bytes, origin, expect) in [
        (&b"\xff"[..], None, "is not UTF-8 at byte 0, expected a price list of LiteLLM or genai-prices"),
        (
            b"{\"a\": ",
            None,
            "is no JSON: end of text where a value was expected at byte 6, expected a price list of LiteLLM or genai-prices: check that it is whole",
        ),
        (
            b"{\"a\": {}}",
            None,
            "is neither LiteLLM's `model_prices_and_context_window.json` nor the `data.json` or `data.py` of genai-prices: say which it is with `--from`, or give one of these",
        ),
        (b"[]", Some(Origin::Litellm), "is a LiteLLM price map without prices: check the file and `--from`"),
    ] {
        assert_eq!(read_list(bytes, origin, PLAIN).unwrap_err().to_string(), expect);
    }
}
