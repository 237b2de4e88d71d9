//! `helicone`: rows of the request query (JSON, alone or in pages), exports of
//! its command line tool (JSON lines, CSV), and dumps of the table behind them.
//!
//! What holds here: `prompt_tokens` is without what was read from or written to a
//! cache, and `completion_tokens` without reasoning: the columns are disjoint.
//! `total_tokens` leaves the cached ones out and proves nothing. `cost` is in USD,
//! except in the table itself, which counts billionths. The id is `request_id`;
//! exports as CSV have only `response_id`, so a request in both is counted twice:
//! ingest one of them. An answer from the gateway's cache refers to the request
//! that it repeats.

use super::{
    Entry, Format, Found, Read, Recognition, Reject, Sink, Skip,
    shared::{
        ending, endpoint,
        field::{Field, fields, has},
        labels::Labels,
        page::Page,
        tokens::Counts,
        who,
    },
};
use crate::{
    config::Source,
    json::Value,
    record::{Meter, Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// A page of the request query.
const PAGE: Page = Page { holds: "data", of_a_record: "request_id" };

#[derive(Debug)]
pub(super) struct Helicone;

impl Format for Helicone {
    fn name(&self) -> &'static str {
        "helicone"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let first = PAGE.first(entry);
        if has(&first, "response_id") && has(&first, "request_created_at") {
            Recognition::of(95, "`response_id` and `request_created_at`, as in Helicone's requests")
        } else {
            Recognition::NONE
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        PAGE.read(entry, sink, |row| {
            let mut request = Request::new(source, has(row, "organization_id"));
            fields(row).try_for_each(|(name, field)| request.take(name, &field))?;
            request.finish()
        });
    }
}

/// One request, gathered field by field.
#[derive(Debug)]
struct Request<'a, 's> {
    source: &'s Source,
    /// Whether it is a row of the table itself, which only has an organization.
    is_dump: bool,
    record: UsageRecord<'a>,
    labels: Labels<'s>,
    id: Option<Text<'a>>,
    response_id: Option<Text<'a>>,
    ts: Option<Instant>,
    model: Option<Text<'a>>,
    asked: Option<Text<'a>>,
    served: Option<Text<'a>>,
    /// The gateway's own words for how it ended, below any HTTP status.
    sentinel: Option<Status>,
    tokens: Tokens,
    /// What the request counted that an answer from the cache repeats.
    repeated: Tokens,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tokens {
    prompt: Option<i64>,
    cached: Option<i64>,
    written: Option<i64>,
    completion: Option<i64>,
    reasoning: Option<i64>,
}

impl Tokens {
    fn place(&mut self, name: &str) -> Option<&mut Option<i64>> {
        Some(match name {
            "prompt_tokens" => &mut self.prompt,
            "prompt_cache_read_tokens" => &mut self.cached,
            "prompt_cache_write_tokens" => &mut self.written,
            "completion_tokens" => &mut self.completion,
            "reasoning_tokens" => &mut self.reasoning,
            _ => return None,
        })
    }

    /// The disjoint buckets; zeros all over stand where nothing was reported.
    fn counts(self) -> Counts {
        let mut counts = Counts::NONE;
        let all = [self.prompt, self.cached, self.written, self.completion, self.reasoning];
        if all.iter().flatten().all(|&count| count == 0) {
            return counts;
        }
        counts.quality = Quality::Reported;
        let mut prompt = self.prompt;
        // A prompt without any fresh token is counted whole, cached tokens and all.
        if self.cached > Some(0) && prompt == self.cached {
            prompt = Some(0);
            counts.quality = Quality::Estimated;
        }
        counts.quantities[Meter::InputTokens] = prompt;
        counts.quantities[Meter::CachedInputTokens] = self.cached;
        counts.quantities[Meter::CacheWrite5mTokens] = self.written;
        counts.quantities[Meter::OutputTokens] = match (self.completion, self.reasoning) {
            (Some(completion), Some(reasoning)) => Some(completion.saturating_add(reasoning)),
            (completion, reasoning) => completion.or(reasoning),
        };
        counts.reasoning_tokens = self.reasoning;
        counts
    }
}

impl<'a, 's> Request<'a, 's> {
    fn new(source: &'s Source, is_dump: bool) -> Self {
        Self {
            source,
            is_dump,
            record: UsageRecord::at(Instant::EARLIEST),
            labels: Labels::new(source),
            id: None,
            response_id: None,
            ts: None,
            model: None,
            asked: None,
            served: None,
            sentinel: None,
            tokens: Tokens::default(),
            repeated: Tokens::default(),
        }
    }

    fn take(&mut self, name: &str, field: &Field<'a>) -> Result<(), Reject> {
        if let Some(place) = self.tokens.place(name) {
            *place = field.count(name)?;
            return Ok(());
        }
        if let Some(place) = name.strip_prefix("ref_").and_then(|name| self.repeated.place(name)) {
            *place = field.count(name)?;
            return Ok(());
        }
        match name {
            "request_id" => self.id = field.text(name)?,
            "response_id" => self.response_id = field.any_text(),
            "request_created_at" => self.ts = field.time(name, self.source.timezone)?,
            "model" => self.model = field.text(name)?,
            "request_model" => self.asked = field.text(name)?,
            "response_model" => self.served = field.text(name)?,
            "provider" => self.record.provider = provider(field.text(name)?),
            "response_status" | "status" => self.status(name, field)?,
            "delay_ms" | "latency" => {
                self.record.latency_ms = field.millis(name, 1_000)?.or(self.record.latency_ms);
            }
            "time_to_first_token" => self.record.streamed = field.any_text().filter(|time| time != "0").map(|_| true),
            "cost" => {
                let shift = if self.is_dump { 9 } else { 0 };
                self.record.reported_cost = field.cost(name, shift)?.or(self.record.reported_cost);
            }
            "costUSD" => self.record.reported_cost = self.record.reported_cost.or(field.cost(name, 0)?),
            "request_path" | "target_url" => {
                if let Some(url) = field.any_text() {
                    self.record.operation = endpoint::operation(&url).unwrap_or(Operation::Other);
                }
            }
            "request_user_id" | "user_id" => self.record.user = field.any_text().or(self.record.user.take()),
            "proxy_key_id" | "helicone_proxy_key_id" => self.record.key = field.any_text().filter(|id| is_uuid(id)),
            "cache_reference_id" => self.record.gateway_cache |= field.any_text().is_some_and(|id| is_uuid(&id)),
            "request_properties" | "properties" => {
                field.any_object(|properties| self.properties(properties));
            }
            _ => {}
        }
        Ok(())
    }

    /// An HTTP status, or what stands in its place where there was none.
    fn status(&mut self, name: &str, field: &Field<'a>) -> Result<(), Reject> {
        let Some(text) = field.text(name)? else { return Ok(()) };
        self.sentinel = match text.as_ref() {
            "-3" => Some(Status::Cancelled),
            "-4" => Some(Status::Blocked),
            // Not answered, or not yet: what was used until then is unknown.
            "-1" | "-2" | "0" => Some(Status::Partial),
            _ => {
                self.record.http_status = field.http_status(name)?;
                None
            }
        };
        Ok(())
    }

    fn properties(&mut self, properties: Value<'_>) {
        self.labels.put_all(properties);
        who::fill(&mut self.record, properties);
    }

    /// The record, or why there is none.
    fn finish(self) -> Read<'a> {
        let mut record = self.record;
        let mut counts = self.tokens.counts();
        if record.gateway_cache && counts.quality == Quality::Missing {
            counts = self.repeated.counts();
        }
        let model = self.served.or(self.model).or(self.asked.clone());
        if counts.quality == Quality::Missing && (model.is_none() || self.ts.is_none()) {
            return Err(Skip::NotUsage.into());
        }
        record.ts = self.ts.ok_or_else(|| Reject::missing("request_created_at", "the start of the request"))?;
        counts.put(&mut record);
        record.status = self.sentinel.unwrap_or_else(|| ending::status(record.http_status, None));
        record.model_requested = self.asked;
        record.model = model.unwrap_or_default();
        record.tags = self.labels.into_tags();
        let mut found = Found::new(record);
        found.ids = [self.id, self.response_id];
        Ok(found)
    }
}

/// Who bills; a custom target does not say.
fn provider(name: Option<Text<'_>>) -> Text<'_> {
    name.filter(|name| !name.eq_ignore_ascii_case("custom")).unwrap_or_default()
}

/// Whether it is an id and not the one of all zeros that stands for none.
fn is_uuid(id: &str) -> bool {
    id.bytes().any(|byte| byte.is_ascii_alphanumeric() && byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `prompt, cached, written, completion, reasoning` and what comes of them:
    /// `input, cached, written, output, quality`
    fn check(tokens: [Option<i64>; 5], expect: ([Option<i64>; 4], Quality)) {
        let [prompt, cached, written, completion, reasoning] = tokens;
        let counts = Tokens { prompt, cached, written, completion, reasoning }.counts();
        let found = [Meter::InputTokens, Meter::CachedInputTokens, Meter::CacheWrite5mTokens, Meter::OutputTokens]
            .map(|meter| counts.quantities[meter]);
        assert_eq!((found, counts.quality), expect, "{tokens:?}");
    }

    #[test]
    fn columns_are_disjoint() {
        use Quality::{Estimated, Missing, Reported};
        let some = |count| Some(count);
        check([some(20), None, None, some(10), None], ([some(20), None, None, some(10)], Reported));
        check([some(20), some(100), some(5), some(10), some(6)], ([some(20), some(100), some(5), some(16)], Reported));
        check([some(100), some(100), some(0), some(10), None], ([some(0), some(100), some(0), some(10)], Estimated));
        check([some(0), some(0), some(0), some(0), None], ([None; 4], Missing));
        check([None; 5], ([None; 4], Missing));
    }
}
