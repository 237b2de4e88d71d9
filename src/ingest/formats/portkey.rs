//! `portkey`: log exports, one JSON line per request, and the logs of a
//! self-hosted blob store.
//!
//! What holds here: `cost` is in US cents, as the documentation of the exports
//! says. Units are counts written as floats. Where the export includes the body
//! of the response, its usage, id and model are better than the columns, which do
//! not say what was cached. Exports do not say whether an answer came from the
//! gateway's cache, unless they carry `cache_status`.

use chrono::DateTime;

use super::{
    Entry, Format, Found, Read, Recognition, Reject, Sink, Skip,
    shared::{
        answer::Answer,
        ending, endpoint,
        field::{Field, fields, has, own},
        labels::Labels,
        page::Page,
        tokens::Totals,
        usage::Usage,
        who::{self, max_tokens},
    },
};
use crate::{
    config::Source,
    json::Value,
    record::{Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// A page of logs.
const PAGE: Page = Page { holds: "data", of_a_record: "ai_model" };

#[derive(Debug)]
pub(super) struct Portkey;

impl Format for Portkey {
    fn name(&self) -> &'static str {
        "portkey"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let first = PAGE.first(entry);
        let count = |names: &[&str]| names.iter().filter(|name| has(&first, name)).count();
        let units = count(&["req_units", "res_units", "total_units"]);
        match (count(&["ai_org", "ai_model"]), units) {
            (2, 1..) => Recognition::of(95, "`ai_org`, `ai_model` and units, as in Portkey's log exports"),
            (2, 0) if count(&["is_success", "response_status_code", "request_url"]) > 0 => {
                Recognition::of(70, "`ai_org` and `ai_model`, as in Portkey's log exports")
            }
            _ => Recognition::NONE,
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        PAGE.read(entry, sink, |log| {
            let mut found = Log::new(source);
            fields(log).try_for_each(|(name, field)| found.take(name, &field))?;
            found.finish()
        });
    }
}

/// One log, gathered field by field.
#[derive(Debug)]
struct Log<'a, 's> {
    source: &'s Source,
    record: UsageRecord<'a>,
    labels: Labels<'s>,
    id: Option<Text<'a>>,
    ts: Option<Instant>,
    model: Option<Text<'a>>,
    is_success: Option<bool>,
    is_other_currency: bool,
    /// What the columns count.
    units: Totals,
    answer: Answer<'a>,
}

impl<'a, 's> Log<'a, 's> {
    fn new(source: &'s Source) -> Self {
        Self {
            source,
            record: UsageRecord::at(Instant::EARLIEST),
            labels: Labels::new(source),
            id: None,
            ts: None,
            model: None,
            is_success: None,
            is_other_currency: false,
            units: Totals::default(),
            answer: Answer::default(),
        }
    }

    fn take(&mut self, name: &str, field: &Field<'a>) -> Result<(), Reject> {
        let units = &mut self.units;
        match name {
            "id" => self.id = field.text(name)?,
            "created_at" => self.ts = time(name, field, self.source)?,
            "ai_org" => self.record.provider = field.text(name)?.unwrap_or_default(),
            "ai_model" => self.model = field.text(name)?,
            "req_units" | "request_tokens" => units.prompt = field.count(name)?.or(units.prompt),
            "res_units" | "response_tokens" => units.completion = field.count(name)?.or(units.completion),
            "total_units" | "total_tokens" => units.total = field.count(name)?.or(units.total),
            "request_url" => {
                if let Some(url) = field.any_text() {
                    self.record.operation = endpoint::operation(&url).unwrap_or(Operation::Other);
                }
            }
            "cost" => self.record.reported_cost = field.cost(name, 2)?,
            "cost_currency" => {
                self.is_other_currency = field.any_text().is_some_and(|name| !name.eq_ignore_ascii_case("usd"));
            }
            "response_time" => self.record.latency_ms = field.millis(name, 1_000)?,
            "response_status_code" | "status_code" => {
                self.record.http_status = field.http_status(name)?.or(self.record.http_status);
            }
            "is_success" => self.is_success = field.flag(),
            "virtual_key" => self.record.key = field.any_text(),
            "cache_status" => self.cache_status(field.any_text().as_deref()),
            "metrics" => {
                field.any_object(|metrics| self.metrics(metrics));
            }
            "metadata" => {
                field.any_object(|metadata| self.metadata(metadata));
            }
            "request" => {
                field.any_object(|request| self.request(request));
            }
            "response" => self.answer = Answer::read(field)?,
            _ => {}
        }
        Ok(())
    }

    fn cache_status(&mut self, status: Option<&str>) {
        self.record.gateway_cache |= matches!(status, Some("HIT" | "SEMANTIC HIT"));
    }

    /// The block that logs of the blob store carry.
    fn metrics(&mut self, metrics: Value<'_>) {
        let of = |name: &str| Field::from(metrics.get(name));
        self.cache_status(of("cache_status").any_text().as_deref());
        self.record.key = self.record.key.take().or_else(|| of("virtual_key").any_text().map(own));
        self.record.streamed = of("stream_mode").flag().or(self.record.streamed);
    }

    /// Labels that the caller set; `_user` and the like are Portkey's own names.
    fn metadata(&mut self, metadata: Value<'_>) {
        self.labels.put_all(metadata);
        who::fill(&mut self.record, metadata);
    }

    fn request(&mut self, request: Value<'_>) {
        let body = request.some("body").unwrap_or(request);
        self.record.max_tokens = max_tokens(body);
        self.record.streamed = Field::from(body.get("stream")).flag().or(self.record.streamed);
        self.record.model_requested = Field::from(body.get("model")).any_text().map(own);
    }

    /// The record, or why there is none.
    fn finish(self) -> Read<'a> {
        let mut record = self.record;
        let body = self.answer;
        let said = body.usage.map(Usage::gateway_counts).filter(|counts| counts.quality != Quality::Missing);
        let counts = said.unwrap_or_else(|| self.units.gateway_counts());
        let asked_a_model = self.model.is_some() || body.model.is_some();
        if !asked_a_model && counts.quality == Quality::Missing {
            return Err(Skip::NotUsage.into());
        }
        record.ts = self.ts.ok_or_else(|| Reject::missing("created_at", "the time of the request"))?;
        counts.put(&mut record);
        record.model_requested = record.model_requested.or(self.model.clone());
        record.model = body.model.or(self.model).unwrap_or_default();
        record.tier = body.tier;
        record.error_code = body.error_code;
        // Portkey's own code for a guardrail that refused the request.
        if record.http_status == Some(446) {
            record.error_code = Some(Text::Borrowed("guardrail_blocked"));
        }
        record.status = ending::status(record.http_status, record.error_code.as_deref());
        if self.is_success == Some(false) && record.status == Status::Success {
            record.status = Status::Error;
        }
        if self.is_other_currency {
            record.reported_cost = None;
        }
        record.tags = self.labels.into_tags();
        let mut found = Found::new(record);
        found.ids = [body.id, self.id];
        found.created = body.created.map(Instant::seconds);
        Ok(found)
    }
}

/// A time in the forms of exports: RFC 3339, the date of a mail or an HTTP header
/// (`Mon, 01 Jun 2026 08:00:00 GMT`), or as JavaScript prints it
/// (`Mon Jun 01 2026 08:00:00 GMT+0000 (Coordinated Universal Time)`).
fn time(name: &str, field: &Field<'_>, source: &Source) -> Result<Option<Instant>, Reject> {
    field.time(name, source.timezone).or_else(|reject| {
        let text = field.any_text().unwrap_or_default();
        let script = text.split(" (").next().unwrap_or_default();
        DateTime::parse_from_rfc2822(&text)
            .or_else(|_| DateTime::parse_from_str(script, "%a %b %d %Y %H:%M:%S GMT%z"))
            .map(|time| Instant::from_micros(time.timestamp_micros()))
            .ok()
            .filter(|instant| instant.is_sane())
            .map_or(Err(reject), |instant| Ok(Some(instant)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_of_an_export() {
        for (text, expect) in [
            ("2026-06-01T08:00:00.000Z", Some("2026-06-01T08:00:00Z")),
            ("1780300800000", Some("2026-06-01T08:00:00Z")),
            ("Mon, 01 Jun 2026 08:00:00 GMT", Some("2026-06-01T08:00:00Z")),
            ("Mon Jun 01 2026 10:00:00 GMT+0200 (Central European Summer Time)", Some("2026-06-01T08:00:00Z")),
            ("Mon, 01 Jan 2018 08:00:00 GMT", None),
            ("Mon Jun 01 2026", None),
        ] {
            let read = time("created_at", &Field::Text(text.into()), &Source::default());
            let found = read.ok().flatten().map(|instant| instant.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        }
    }
}
