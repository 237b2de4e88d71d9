//! `openai-usage`: `GET /v1/organization/usage/…`, one question per kind of
//! usage. Input includes what was read from a cache and written to one, and is
//! cut into disjoint buckets here; minutes of audio come as seconds.
//!
//! Left out: storage (`vector_stores`), which no meter counts.

use super::{
    Days, Line, Page, Question, Teller, Told, Unreadable,
    pages::{Bucket, Buckets, apart, count, text},
};
use crate::{
    ingest::formats::shared::{field::Field, tokens::Totals},
    json::Value,
    record::Meter,
};

#[derive(Debug)]
pub(super) struct OpenAiUsage;

pub(super) const BUCKETS: Buckets = Buckets { start: "start_time", end: "end_time" };

/// What is asked for: the kind, its address, and by what it can be grouped.
const KINDS: [(&str, &str, &[&str]); 9] = [
    (
        "completions",
        "/v1/organization/usage/completions",
        &["project_id", "api_key_id", "model", "batch", "service_tier"],
    ),
    ("embeddings", "/v1/organization/usage/embeddings", PLAIN),
    ("moderations", "/v1/organization/usage/moderations", PLAIN),
    ("images", "/v1/organization/usage/images", PLAIN),
    ("audio_speeches", "/v1/organization/usage/audio_speeches", PLAIN),
    ("audio_transcriptions", "/v1/organization/usage/audio_transcriptions", PLAIN),
    ("code_interpreter_sessions", "/v1/organization/usage/code_interpreter_sessions", &["project_id"]),
    ("file_search_calls", "/v1/organization/usage/file_search_calls", &["project_id", "api_key_id"]),
    ("web_search_calls", "/v1/organization/usage/web_search_calls", PLAIN),
];

const PLAIN: &[&str] = &["project_id", "api_key_id", "model"];

impl Teller for OpenAiUsage {
    fn name(&self) -> &'static str {
        "openai-usage"
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    fn questions(&self, days: Days) -> Vec<Question> {
        KINDS.iter().map(|&(kind, path, groups)| question(days, kind, path, groups)).collect()
    }

    fn has_kinds(&self) -> bool {
        true
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        let mut page = BUCKETS.read(text, told, line)?;
        page.name_absent_keys(told);
        Ok(page)
    }
}

/// A question about whole days, by the names that it can be grouped by.
pub(super) fn question(days: Days, kind: &'static str, path: &'static str, groups: &[&str]) -> Question {
    let mut query = vec![
        ("start_time", days.from.start().seconds().to_string()),
        ("end_time", days.until.start().seconds().to_string()),
        ("bucket_width", "1d".to_owned()),
        ("limit", "31".to_owned()),
    ];
    query.extend(groups.iter().map(|&group| ("group_by[]", group.to_owned())));
    Question { path, query, kind }
}

fn line(bucket: Bucket<'_>, result: Value<'_>) -> Result<Option<Line>, Unreadable> {
    let object = text(result, "object")?.unwrap_or_default();
    let kind = object.strip_prefix("organization.usage.").and_then(|rest| rest.strip_suffix(".result"));
    let kind = match kind {
        Some("web_searches") => "web_search_calls",
        Some("file_searches") => "file_search_calls",
        Some(kind) => kind,
        None => bucket.told.question.map_or("", |question| question.kind),
    };
    let Some(&(kind, ..)) = KINDS.iter().find(|(known, ..)| *known == kind) else {
        // Storage, or a kind that is newer than this program.
        return if object.is_empty() {
            Err(Unreadable("`object` is not there, expected the kind of usage".to_owned()))
        } else {
            Ok(None)
        };
    };
    let mut row = bucket.told.row(bucket.start, bucket.end)?;
    row.line_item = Some(kind.to_owned());
    row.project = text(result, "project_id")?;
    row.user = text(result, "user_id")?;
    row.key_id = text(result, "api_key_id")?;
    row.model = text(result, "model")?;
    row.requests = count(result, "num_model_requests")?;
    let is_batch = Field::from(result.get("batch")).flag() == Some(true);
    row.tier = if is_batch { Some("batch".to_owned()) } else { text(result, "service_tier")? };
    let quantities = &mut row.quantities;
    match kind {
        "completions" | "embeddings" | "moderations" => {
            let counts = tokens(result)?.counts();
            (row.quantities, row.quality) = (counts.quantities, row.quality.max(counts.quality));
        }
        "images" => quantities[Meter::Images] = count(result, "images")?,
        "audio_speeches" => quantities[Meter::Characters] = count(result, "characters")?,
        "audio_transcriptions" => {
            quantities[Meter::AudioMs] = Field::from(result.get("seconds")).millis("seconds", 1_000_000)?;
        }
        // Its model requests are those of the completions that searched.
        "web_search_calls" => {
            row.requests = None;
            quantities[Meter::WebSearches] = count(result, "num_requests")?;
        }
        "file_search_calls" => row.requests = count(result, "num_requests")?,
        _ => row.requests = count(result, "num_sessions")?.or(count(result, "sessions")?),
    }
    let apart = apart(result, &["api_source", "size", "source", "context_level", "vector_store_id"]);
    Ok(Some(Line { row, kind, apart }))
}

fn tokens(result: Value<'_>) -> Result<Totals, Unreadable> {
    let lives = [count(result, "input_cache_write_30m_tokens")?, count(result, "input_cache_write_12h_tokens")?];
    let by_life = lives.into_iter().flatten().reduce(i64::saturating_add);
    Ok(Totals {
        prompt: count(result, "input_tokens")?,
        completion: count(result, "output_tokens")?,
        cached: count(result, "input_cached_tokens")?,
        written: count(result, "input_cache_write_tokens")?.or(by_life),
        ..Totals::default()
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{asked, lines, refused},
        *,
    };

    fn page(results: &str) -> String {
        format!(
            "{{\"object\":\"page\",\"data\":[{{\"object\":\"bucket\",\"start_time\":1794700800,\"end_time\":1794787200,\
             \"results\":[{results}]}}],\"has_more\":false,\"next_page\":null}}"
        )
    }

    fn result(kind: &str, rest: &str) -> String {
        format!("{{\"object\":\"organization.usage.{kind}.result\",{rest}}}")
    }

    fn check(kind: &str, rest: &str, expect: &str) {
        assert_eq!(
            lines(&OpenAiUsage, &page(&result(kind, rest))),
            [format!("2026-11-15T00:00:00Z usage {expect}")],
            "{kind}"
        );
    }

    #[test]
    fn input_is_cut_into_disjoint_buckets() {
        check(
            "completions",
            "\"input_tokens\":1000,\"input_cached_tokens\":400,\"input_cache_write_tokens\":100,\
             \"input_uncached_tokens\":500,\"output_tokens\":70,\"num_model_requests\":5,\"project_id\":\"proj_a\",\
             \"api_key_id\":\"key_a\",\"model\":\"gpt-5\",\"batch\":true,\"service_tier\":\"default\"",
            "key_id=key_a project=proj_a model=gpt-5 tier=batch item=completions requests=5 input_tokens=500 \
             cached_input_tokens=400 cache_write_5m_tokens=100 output_tokens=70",
        );
        check(
            "completions",
            "\"input_tokens\":1000,\"input_cache_write_30m_tokens\":10,\"input_cache_write_12h_tokens\":20,\
             \"output_tokens\":0,\"num_model_requests\":5,\"model\":null,\"batch\":false,\"service_tier\":\"default\"",
            "tier=on_demand item=completions requests=5 input_tokens=970 cache_write_5m_tokens=30 output_tokens=0",
        );
        // More from the cache than there was input: no bucket is below zero.
        check(
            "completions",
            "\"input_tokens\":10,\"input_cached_tokens\":400,\"output_tokens\":1",
            "item=completions input_tokens=10 cached_input_tokens=400 output_tokens=1 estimated",
        );
    }

    #[test]
    fn every_kind_has_its_meter() {
        check(
            "embeddings",
            "\"input_tokens\":16,\"num_model_requests\":2",
            "item=embeddings requests=2 input_tokens=16",
        );
        check("images", "\"images\":3,\"num_model_requests\":2", "item=images requests=2 images=3");
        check(
            "audio_speeches",
            "\"characters\":45,\"num_model_requests\":1",
            "item=audio_speeches requests=1 characters=45",
        );
        check(
            "audio_transcriptions",
            "\"seconds\":20,\"num_model_requests\":1",
            "item=audio_transcriptions requests=1 audio_ms=20000",
        );
        check("code_interpreter_sessions", "\"num_sessions\":4", "item=code_interpreter_sessions requests=4");
        check("code_interpreter_sessions", "\"sessions\":4", "item=code_interpreter_sessions requests=4");
        check("file_searches", "\"num_requests\":2", "item=file_search_calls requests=2");
        check(
            "web_searches",
            "\"num_model_requests\":2,\"num_requests\":6,\"model\":\"gpt-5\"",
            "model=gpt-5 item=web_search_calls web_searches=6",
        );
    }

    #[test]
    fn a_line_of_no_key_is_told_apart_from_one_of_all() {
        let with = result("embeddings", "\"input_tokens\":1,\"api_key_id\":\"key_a\"");
        let without = result("embeddings", "\"input_tokens\":2,\"api_key_id\":null");
        let keys = |text: &str| {
            let page = OpenAiUsage.read(text, &super::super::testing::told()).unwrap();
            page.lines.into_iter().map(|line| line.row.key.or(line.row.key_id)).collect::<Vec<_>>()
        };
        assert_eq!(keys(&page(&format!("{with},{without}"))), [Some("key_a".to_owned()), Some("(no key)".to_owned())]);
        assert_eq!(keys(&page(&without)), [None]);
    }

    #[test]
    fn what_has_no_meter_is_passed_over_and_what_has_no_kind_refused() {
        let stores = page(&result("vector_stores", "\"usage_bytes\":1024"));
        let read = OpenAiUsage.read(&stores, &super::super::testing::told()).unwrap();
        assert_eq!((read.lines.len(), read.passed_over), (0, 1));
        assert_eq!(
            refused(&OpenAiUsage, &page("{\"input_tokens\":1}")),
            "data[0].results[0]: `object` is not there, expected the kind of usage"
        );
        let error = refused(&OpenAiUsage, &page(&result("embeddings", "\"input_tokens\":\"many\"")));
        assert_eq!(error, "data[0].results[0]: `input_tokens` is `many`, expected a whole number");
    }

    #[test]
    fn every_kind_is_asked_for_by_what_it_can_be_grouped_by() {
        let asked = asked(&OpenAiUsage, "2026-11-01", "2026-11-16");
        assert_eq!(asked.len(), 9);
        assert_eq!(
            asked[0],
            "/v1/organization/usage/completions?start_time=1793491200&end_time=1794787200&bucket_width=1d&limit=31&\
             group_by[]=project_id&group_by[]=api_key_id&group_by[]=model&group_by[]=batch&group_by[]=service_tier"
        );
        assert!(asked[6].ends_with("code_interpreter_sessions?start_time=1793491200&end_time=1794787200&bucket_width=1d&limit=31&group_by[]=project_id"));
    }
}
