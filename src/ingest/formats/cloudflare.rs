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

use super::{
    Entry, Format, Found, Read, Recognition, Reject, RejectReason, Sink, Skip,
    shared::{
        ending, endpoint,
        field::{Field, fields, word},
        labels::tags,
        page::Page,
        tokens::Totals,
        who,
    },
};
use crate::{
    config::Source,
    record::{Operation, Quality, Status, UsageRecord},
    time::Instant,
};

/// The records of an answer of the REST API.
const PAGE: Page = Page { holds: "result", of_a_record: "created_at" };

#[derive(Debug)]
pub(super) struct Cloudflare;

impl Format for Cloudflare {
    fn name(&self) -> &'static str {
        "cloudflare"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        if line.some("result").is_some_and(|it| it.is_array() && it.items().next().is_none())
            && line.some("result_info").is_some()
        {
            return Recognition::of(50, "a page of a Cloudflare API: `result` and `result_info`");
        }
        let Entry::Json(line) = PAGE.first(entry) else { return Recognition::NONE };
        let has = |name: &str| line.get(name).is_some();
        if has("tokens_in") && has("tokens_out") && has("created_at") && has("cached") {
            return Recognition::of(95, "`tokens_in`, `tokens_out`, `cached` and `created_at`");
        }
        if logpush::is_line(line) {
            return Recognition::of(95, "Logpush's `Gateway`, `Provider` and `StatusCode`");
        }
        Recognition::NONE
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        match line.get("result") {
            Some(result) if !(result.is_array() || result.is_object()) => sink.reject(Reject::new(
                RejectReason::WrongType,
                format!("`result` is {}, expected the records of a page: fetch it again", result.kind_name()),
            )),
            None if logpush::is_line(*line) => sink.put(logpush::read(*line, source)),
            _ => PAGE.read(entry, sink, |record| read(record, source)),
        }
    }
}

/// A record of the REST API.
fn read<'a>(entry: &Entry<'a>, source: &Source) -> Read<'a> {
    let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
    let record = &mut found.record;
    let mut totals = Totals::default();
    let (mut ts, mut model, mut failed) = (None, None, false);
    for (name, field) in fields(entry) {
        match name {
            "id" => found.ids[0] = field.text(name)?,
            "created_at" => ts = field.time(name, source.timezone)?,
            "duration" => record.latency_ms = field.millis(name, 1_000)?,
            "provider" => record.provider = field.text(name)?.unwrap_or_default(),
            "model" => model = field.text(name)?,
            "path" => {
                let path = field.any_text().unwrap_or_default();
                record.operation = endpoint::operation(&path).unwrap_or(Operation::Chat);
            }
            "success" => failed = field.flag() == Some(false),
            "status_code" => record.http_status = field.http_status(name)?.filter(|&code| code != 0),
            "cached" => record.gateway_cache = field.flag() == Some(true),
            "tokens_in" => totals.prompt = field.count(name)?,
            "tokens_out" => totals.completion = field.count(name)?,
            "cost" => record.reported_cost = field.cost(name, 0)?,
            "metadata" => metadata(&field, source, record),
            _ => {}
        }
    }
    let Some(model) = model else {
        let has_tokens = totals.prompt.is_some() || totals.completion.is_some();
        return Err(if has_tokens {
            Reject::missing("model", "the name of the model").into()
        } else {
            Skip::NotUsage.into()
        });
    };
    record.model = model;
    record.ts = ts.ok_or_else(|| Reject::missing("created_at", "the time of the request as RFC 3339"))?;
    totals.gateway_counts().put(record);
    record.quality = record.quality.max(Quality::Estimated);
    let by_word = failed.then_some(Status::Error);
    record.status = ending::together(ending::status(record.http_status, None), by_word);
    Ok(found)
}

/// Up to five labels that the caller chose, as an object or as its JSON in a
/// text. Any other text is the caller's own affair.
fn metadata(field: &Field<'_>, source: &Source, record: &mut UsageRecord<'_>) {
    field.any_object(|labels| {
        // Logpush's envelope of what it encrypted: its `key` is not who asked.
        if labels.get("type").map(word) == Some("encrypted") {
            return;
        }
        who::fill(record, labels);
        record.tags = tags(labels, source);
    });
}

#[cfg(test)]
mod tests {
    use super::{super::shared::testing, *};

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
        check(r#"{"result":[],"result_info":{},"success":true}"#, "skip not_usage");
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
