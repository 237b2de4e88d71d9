//! `cloudflare`: the logs of Cloudflare AI Gateway, as the REST API returns
//! them (records, or whole pages `{"result":[…]}`) and as Logpush delivers them.
//!
//! `tokens_in` and `tokens_out` are Cloudflare's own reading of the answer. It
//! does not say whether cached input is in them, its cost of cached calls has
//! been too high, and its reading of Anthropic's answers has been broken: the
//! quantities are `estimated`. Retries and fallbacks are records of their own.
//! Who asked stands in `metadata`, a text that holds JSON. Logpush has neither
//! time nor tokens; [`logpush`] reads the answer where it has been decrypted.

mod logpush;

use super::{Entry, Fields, Format, Found, Recognition, Reject, RejectReason, Sink, Skip, path, usage::Totals};
use crate::{
    config::Source,
    json::{Scanner, Value},
    record::{Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Cloudflare;

impl Format for Cloudflare {
    fn name(&self) -> &'static str {
        "cloudflare"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        let is_page = line.some("result").is_some_and(Value::is_array) && line.some("result_info").is_some();
        let line = line.some("result").map_or(*line, |result| result.items().next().unwrap_or(result));
        let has = |name: &str| line.get(name).is_some();
        if has("tokens_in") && has("tokens_out") && has("created_at") && has("cached") {
            return Recognition::of(95, "`tokens_in`, `tokens_out`, `cached` and `created_at`");
        }
        if is_page && line.items().next().is_none() && !line.is_object() {
            return Recognition::of(50, "a page of a Cloudflare API: `result` and `result_info`");
        }
        if logpush::is_line(line) {
            return Recognition::of(95, "Logpush's `Gateway`, `Provider` and `StatusCode`");
        }
        Recognition::NONE
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        match line.get("result") {
            Some(page) if page.is_array() => {
                for item in page.items() {
                    put(record(item, source, true), sink);
                }
            }
            Some(result) if result.is_object() => put(record(result, source, false), sink),
            Some(result) => sink.reject(Reject::new(
                RejectReason::WrongType,
                format!("`result` is {}, expected the records of a page: fetch it again", result.kind_name()),
            )),
            None if logpush::is_line(*line) => put(logpush::read(*line, source).map(Some), sink),
            None => put(record(*line, source, false), sink),
        }
    }
}

fn put<'a>(outcome: Result<Option<Found<'a>>, Reject>, sink: &mut dyn Sink<'a>) {
    match outcome {
        Ok(Some(found)) => sink.record(found),
        Ok(None) => sink.skip(Skip::NotUsage),
        Err(reject) => sink.reject(reject),
    }
}

/// A record of the REST API.
fn record<'a>(line: Value<'a>, source: &Source, is_item: bool) -> Result<Option<Found<'a>>, Reject> {
    let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
    let record = &mut found.record;
    let mut totals = Totals::default();
    let (mut ts, mut model, mut failed) = (None, None, false);
    for (key, value) in line.entries() {
        let name = key.raw();
        match name {
            "id" => found.ids[0] = Fields::text(name, Some(value))?,
            "created_at" => ts = Fields::time(name, Some(value), source.timezone)?,
            "duration" => record.latency_ms = Fields::millis(name, Some(value), 1_000)?,
            "provider" => record.provider = Fields::text(name, Some(value))?.unwrap_or_default(),
            "model" => model = Fields::text(name, Some(value))?,
            "path" => {
                let path = Fields::any_text(Some(value)).unwrap_or_default();
                record.operation = path::operation(&path).unwrap_or(Operation::Chat);
            }
            "success" => failed = value.bool() == Some(false),
            "status_code" => record.http_status = super::http_status(name, value)?.filter(|&code| code != 0),
            "cached" => record.gateway_cache = value.bool() == Some(true),
            "tokens_in" => totals.prompt = Fields::count(name, Some(value))?,
            "tokens_out" => totals.completion = Fields::count(name, Some(value))?,
            "cost" => record.reported_cost = Fields::cost(name, Some(value), 0)?,
            "metadata" => metadata(value, source, record),
            _ => {}
        }
    }
    let Some(model) = model else {
        let has_tokens = totals.prompt.is_some() || totals.completion.is_some();
        return if has_tokens { Err(Reject::missing("model", "the name of the model")) } else { Ok(None) };
    };
    record.model = model;
    let Some(ts) = ts else { return Err(Reject::missing("created_at", "the time of the request as RFC 3339")) };
    (record.ts, record.ts_last) = (ts, ts);
    if is_item && found.ids[0].is_none() {
        // Its bytes are not the entry's, so no id can be made from them.
        return Err(Reject::missing("id", "an id in each record of a page"));
    }
    let counts = totals.counts();
    record.quantities = counts.quantities;
    record.quality = counts.quality.max(Quality::Estimated);
    record.status = match super::status(record.http_status, None) {
        Status::Success if failed => Status::Error,
        status => status,
    };
    Ok(Some(found))
}

/// Up to five labels that the caller chose, as an object or as its JSON in a
/// text. Any other text is the caller's own affair.
fn metadata(value: Value<'_>, source: &Source, record: &mut UsageRecord<'_>) {
    let Some(text) = value.text() else { return labels(value, source, record) };
    let mut scanner = Scanner::new();
    if let Ok(value) = scanner.scan(&text) {
        labels(value, source, record);
    }
}

fn labels(labels: Value<'_>, source: &Source, record: &mut UsageRecord<'_>) {
    // Logpush's envelope of what it encrypted: its `key` is not who asked.
    if labels.get("type").and_then(Value::text).is_some_and(|kind| kind == "encrypted") {
        return;
    }
    for (key, value) in labels.entries() {
        let text = Fields::any_text(Some(value)).map(|text| Text::Owned(text.into_owned()));
        let field = match key.text().to_ascii_lowercase().replace('-', "_").as_str() {
            "team" | "team_id" | "teamid" | "team_name" => &mut record.team_reported,
            "user" | "user_id" | "userid" | "user_name" | "username" => &mut record.user,
            "key" | "key_name" | "api_key" | "apikey" | "api_key_name" | "api_key_id" => &mut record.key,
            "project" | "project_id" | "projectid" => &mut record.project,
            _ => continue,
        };
        *field = text.or_else(|| field.take());
    }
    record.tags = super::tags(labels, source);
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    fn check(json: &str, expect: &str) {
        let source = Source { tags: vec!["feature".into()], ..Source::default() };
        assert_eq!(testing::ledger(&Cloudflare, json, &source), expect, "{json}");
    }

    #[test]
    fn records_and_pages_are_read() {
        let item = |id: &str, rest: &str| {
            format!(
                r#"{{"id":"{id}","created_at":"2026-06-01T08:00:00.117Z","provider":"openai","model":"gpt-4o","path":"chat/completions","tokens_in":10,"tokens_out":5,"cost":0.000075{rest}}}"#
            )
        };
        let first = item(
            "01JADMCQQQBWH3NXZ5GCRN98DP",
            r#","success":true,"status_code":200,"cached":false,"metadata":"{\"team\":\"search\",\"userId\":12345,\"apiKey\":\"search-prod\",\"feature\":\"a \\\"b\\\"\"}""#,
        );
        let row = "2026-06-01T08:00:00.117Z openai gpt-4o chat";
        let expect = format!(
            "{row} success estimated in=10 out=5 key=search-prod team=search user=12345 tags={{\"feature\":\"a \\\"b\\\"\"}} cost=75000000"
        );
        check(&first, &expect);
        let hit = item("01JADMCQQQBWH3NXZ5GCRN98DQ", r#","cached":true,"metadata":"metadata""#);
        let failed = item("01JADMCQQQBWH3NXZ5GCRN98DR", r#","success":false,"status_code":0"#);
        check(
            &format!(r#"{{"result":[{first},{hit},{failed},{{"id":"x"}}],"result_info":{{"page":1}},"success":true}}"#),
            &format!(
                "{expect}\n{row} success estimated in=10 out=5 cost=75000000 gateway_cache\n\
                 {row} error estimated in=10 out=5 cost=75000000\nskip not_usage"
            ),
        );
        check(r#"{"result":[],"result_info":{},"success":true}"#, "");
        check(
            r#"{"result":null,"success":false}"#,
            "reject wrong_type: `result` is null, expected the records of a page: fetch it again",
        );
    }

    #[test]
    fn knows_its_own_records() {
        let sure = |json: &str| testing::with_json(json, |value| Cloudflare.recognises(&Entry::Json(value)).confidence);
        let record = r#"{"tokens_in":null,"tokens_out":1,"created_at":"x","cached":false}"#;
        assert_eq!(sure(record), 95);
        assert_eq!(sure(&format!(r#"{{"result":[{record}],"result_info":{{}}}}"#)), 95);
        assert_eq!(sure(r#"{"result":[],"result_info":{}}"#), 50);
        assert_eq!(sure(r#"{"Gateway":"g","Provider":"p","StatusCode":200,"ResponseBody":{}}"#), 95);
        assert_eq!(sure(r#"{"result":[1]}"#), 0);
        assert_eq!(sure(r#"{"id":"x","created_at":"x","model":"m"}"#), 0);
    }
}
