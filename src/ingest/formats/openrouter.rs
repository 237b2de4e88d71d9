//! `openrouter`: the CSV export of the activity page, and what the API says of
//! one generation.
//!
//! Columns are found by name: their order differs between exports, and times
//! are UTC without saying so. The prompt includes cached tokens, the
//! completion reasoning. `OpenRouter` bills, unless the generation ran on the
//! user's own key, for which the upstream provider does. There is no column
//! for tokens written to a cache. `cost_total` is cut off after six decimals.

use std::borrow::Cow;

use super::{
    CsvRow, Entry, Format, Found, Read, Recognition, Reject, Sink, Skip,
    shared::{
        field::{Field, fields, members},
        labels::{Labels, tags},
        page::Page,
        tokens::Totals,
    },
};
use crate::{
    config::Source,
    money::Usd,
    record::{Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// What the API answers with: one generation, or the days of an activity.
const PAGE: Page = Page { holds: "data", of_a_record: "created_at" };

#[derive(Debug)]
pub(super) struct OpenRouter;

impl Format for OpenRouter {
    fn name(&self) -> &'static str {
        "openrouter"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        match entry {
            Entry::Csv(row) if row.has("generation_id") && row.has("model_permaslug") => {
                Recognition::of(98, "the columns `generation_id` and `model_permaslug`")
            }
            Entry::Csv(row) if row.has("model_permaslug") => Recognition::of(60, "the column `model_permaslug`"),
            Entry::Json(_) => {
                let Entry::Json(first) = PAGE.first(entry) else { return Recognition::NONE };
                if first.some("native_tokens_prompt").is_some() || first.some("native_tokens_completion").is_some() {
                    Recognition::of(95, "`native_tokens_prompt` of a generation")
                } else if first.some("model_permaslug").is_some() {
                    Recognition::of(90, "`model_permaslug` of the activity API")
                } else {
                    Recognition::NONE
                }
            }
            Entry::Csv(_) => Recognition::NONE,
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        match entry {
            // The summary export.
            Entry::Csv(row) if !row.has("generation_id") => sink.skip(Skip::Aggregate),
            Entry::Csv(row) => sink.put(activity(row, source)),
            Entry::Json(_) => PAGE.read(entry, sink, |record| generation(record, source)),
        }
    }
}

/// A row of the activity export.
fn activity<'a>(row: &CsvRow<'a>, source: &Source) -> Read<'a> {
    let text = |name: &str| row.field(name).any_text();
    let count = |name: &str| row.field(name).count(name);
    let ts = row.field("created_at").time("created_at", chrono_tz::Tz::UTC)?;
    let ts = ts.ok_or_else(|| Reject::missing("created_at", "the time of the generation"))?;
    let mut found = Found::new(UsageRecord::at(ts));
    found.ids[0] = text("generation_id");
    let model = text("model_permaslug").ok_or_else(|| Reject::missing("model_permaslug", "the name of the model"))?;
    let record = &mut found.record;
    record.model = variant_of(model, row.get("variant"));
    let paid_elsewhere = row.field("byok_usage_inference").cost("byok_usage_inference", 0)?;
    record.provider = biller(paid_elsewhere.is_some_and(|cost| cost > Usd::ZERO), text("provider_name"));
    record.key = text("api_key_name");
    record.user = text("user");
    record.project = text("app_name");
    record.streamed = row.field("streamed").flag();
    record.latency_ms = row.field("generation_time_ms").millis("generation_time_ms", 1_000)?;
    record.reported_cost = row.field("cost_total").cost("cost_total", 0)?;
    let totals = Totals {
        prompt: count("tokens_prompt")?,
        completion: count("tokens_completion")?,
        cached: count("tokens_cached")?,
        reasoning: count("tokens_reasoning")?,
        ..Totals::default()
    };
    totals.counts().put(record);
    let cancelled = row.field("cancelled").flag();
    ended(record, cancelled, row.get("finish_reason_normalized"), text("finish_reason_raw"));
    let mut labels = Labels::new(source);
    fields(&Entry::Csv(*row)).for_each(|(name, field)| labels.put_field(name, &field));
    record.tags = labels.into_tags();
    Ok(found)
}

/// What `GET /api/v1/generation` says. The native tokens are the billed ones;
/// the others are counted in the same way for all models.
fn generation<'a>(entry: &Entry<'a>, source: &Source) -> Read<'a> {
    let Entry::Json(data) = *entry else { return Err(Skip::NotUsage.into()) };
    if data.some("requests").is_some() {
        return Err(Skip::Aggregate.into());
    }
    let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
    let record = &mut found.record;
    let (mut native, mut normalised) = (Totals::default(), Totals::default());
    let (mut ts, mut model, mut upstream, mut is_byok, mut cancelled) = (None, None, None, false, None);
    let (mut finish_reason, mut native_finish_reason) = (None, None);
    for (name, field) in members(data) {
        let count = || field.count(name);
        match name {
            "id" => found.ids[0] = field.text(name)?,
            "created_at" => ts = field.time(name, chrono_tz::Tz::UTC)?,
            "model" => model = field.text(name)?,
            "provider_name" => upstream = field.text(name)?,
            "is_byok" => is_byok = field.flag() == Some(true),
            "total_cost" => record.reported_cost = field.cost(name, 0)?,
            "native_tokens_prompt" => native.prompt = count()?,
            "native_tokens_completion" => native.completion = count()?,
            "native_tokens_cached" => native.cached = count()?,
            "native_tokens_reasoning" => native.reasoning = count()?,
            "tokens_prompt" => normalised.prompt = count()?,
            "tokens_completion" => normalised.completion = count()?,
            "generation_time" => record.latency_ms = field.millis(name, 1_000)?,
            "streamed" => record.streamed = field.flag(),
            "cancelled" => cancelled = field.flag(),
            "finish_reason" => finish_reason = field.any_text(),
            "native_finish_reason" => native_finish_reason = field.any_text(),
            "service_tier" => record.tier = field.text(name)?,
            "external_user" => record.user = field.text(name)?,
            "api_type" => record.operation = operation(&field),
            "response_cache_source_id" => record.gateway_cache = field.any_text().is_some(),
            _ => {}
        }
    }
    let is_native = native.prompt.is_some() || native.completion.is_some();
    let Some(model) = model else {
        let missing = || Reject::missing("model", "the name of the model").into();
        return Err(if is_native { missing() } else { Skip::NotUsage.into() });
    };
    record.ts = ts.ok_or_else(|| Reject::missing("created_at", "the time of the generation"))?;
    record.model = model;
    record.provider = biller(is_byok, upstream);
    if is_native { native } else { normalised }.counts().put(record);
    if !is_native {
        record.quality = record.quality.max(Quality::Estimated);
    }
    ended(record, cancelled, finish_reason.as_deref(), native_finish_reason);
    record.tags = tags(data, source);
    Ok(found)
}

/// Who bills: the upstream provider where the key is the user's own. Its Google
/// is Vertex; the other one is `Google AI Studio`.
fn biller(is_own_key: bool, upstream: Option<Text<'_>>) -> Text<'_> {
    match upstream.filter(|_| is_own_key) {
        Some(upstream) if upstream == "Google" => Cow::Borrowed("vertex"),
        Some(upstream) => upstream,
        None => Cow::Borrowed("openrouter"),
    }
}

/// A variant other than the standard one has prices of its own: `model:free`.
fn variant_of<'a>(model: Text<'a>, variant: Option<&str>) -> Text<'a> {
    match variant {
        Some(variant) if variant != "standard" && !model.contains(':') => Cow::Owned(format!("{model}:{variant}")),
        _ => model,
    }
}

fn operation(field: &Field<'_>) -> Operation {
    match field.any_text().as_deref() {
        Some("embeddings" | "embedding") => Operation::Embedding,
        Some("responses") => Operation::Responses,
        Some("text_completions") => Operation::Completion,
        _ => Operation::Chat,
    }
}

/// How it ended. A cancelled generation may cost what was made of it.
fn ended<'a>(
    record: &mut UsageRecord<'a>,
    cancelled: Option<bool>,
    reason: Option<&str>,
    native_reason: Option<Text<'a>>,
) {
    if cancelled == Some(true) {
        record.status = Status::Cancelled;
    } else if reason == Some("error") {
        record.status = Status::Error;
        record.error_code = native_reason.or(Some(Cow::Borrowed("error")));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::shared::testing, *};

    const COLUMNS: &str = "generation_id,created_at,cost_total,byok_usage_inference,tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant,cancelled,streamed,user,finish_reason_raw,finish_reason_normalized,generation_time_ms,app_name,api_key_name";

    fn check(row: &str, expect: &str) {
        let zone = chrono_tz::Tz::Asia__Tokyo;
        let source = Source { timezone: zone, tags: vec!["provider_name".into()], ..Source::default() };
        assert_eq!(testing::csv_ledger(&OpenRouter, COLUMNS, row, &source), expect, "{row}");
    }

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        check(
            "gen-1780300800-yLlwE8gvhuB6KRbuPNjY,2026-06-01 08:00:00.189,0.001641,0,35985,647,40,35351,openai/gpt-5.6,Azure,standard,false,true,ada,completed,stop,9722,Agent,agent-prod",
            "2026-06-01T08:00:00.189Z openrouter openai/gpt-5.6 chat success reported in=634 cached=35351 out=647 reasoning=40 key=agent-prod user=ada project=Agent tags={\"provider_name\":\"Azure\"} cost=1641000000",
        );
        let row = "2026-06-01T08:00:00Z openrouter m:free chat";
        check(
            "gen-1,2026-06-01 08:00:00,0,,10,2,,,m,,free,true,false,,,,,,",
            &format!("{row} cancelled reported in=10 out=2 cost=0"),
        );
        check(
            "gen-1,2026-06-01 08:00:00,,,,,,,m,,free,false,false,,overloaded,error,,,",
            &format!("{row} error missing error=overloaded"),
        );
    }

    #[test]
    fn who_lends_the_key_bills() {
        check(
            "gen-1,2026-06-01 08:00:00,0.0001,0.002,10,2,,,openai/gpt-5.6,Azure,standard,false,false,,,,,,",
            "2026-06-01T08:00:00Z azure openai/gpt-5.6 chat success reported in=10 out=2 tags={\"provider_name\":\"Azure\"} cost=100000000",
        );
    }

    #[test]
    fn broken_rows_are_refused() {
        check("gen-1,,,,,,,,m", "reject missing_field: `created_at` is missing, expected the time of the generation");
        check(
            "gen-1,2026-06-01 08:00:00,,,-3,,,,m",
            "reject out_of_range: `tokens_prompt` is `-3`, expected a whole number from 0 to 2^63 - 1",
        );
    }

    #[test]
    fn the_api_tells_of_a_generation_or_of_a_day() {
        let source = Source::default();
        let check =
            |json: &str, expect: &str| assert_eq!(testing::ledger(&OpenRouter, json, &source), expect, "{json}");
        check(
            r#"{"data":{"id":"gen-1","created_at":"2026-06-01T08:00:00+00:00","model":"m","total_cost":0.0015,"tokens_prompt":1,"tokens_completion":1,"native_tokens_prompt":10,"native_tokens_completion":25,"native_tokens_cached":4,"native_tokens_reasoning":5,"streamed":true,"cancelled":false,"generation_time":1200}}"#,
            "2026-06-01T08:00:00Z openrouter m chat success reported in=6 cached=4 out=25 reasoning=5 cost=1500000000",
        );
        check(
            r#"{"data":{"id":"gen-1","created_at":"2026-06-01T08:00:00Z","model":"m","tokens_prompt":1,"tokens_completion":1}}"#,
            "2026-06-01T08:00:00Z openrouter m chat success estimated in=1 out=1",
        );
        check(r#"{"data":[{"date":"2026-06-01","model_permaslug":"m","requests":5}]}"#, "skip aggregate");
        check(r#"{"data":[]}"#, "skip not_usage");
    }
}
