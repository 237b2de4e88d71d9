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
    Entry, Fields, Format, Found, Recognition, Reject, RejectReason, Sink, Skip,
    cell::{self, Cell},
    endpoint,
    labels::{Labels, label},
    page,
    passed_on::Passed,
};
use crate::{
    config::Source,
    json::Value,
    record::{Quality, Status, Text, UsageRecord},
    time::Instant,
};

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
        let count = |names: &[&str]| names.iter().filter(|name| cell::has(entry, name)).count();
        let units = count(&["req_units", "res_units", "total_units"]);
        match (count(&["ai_org", "ai_model"]), units) {
            (2, 1..) => Recognition::of(95, "`ai_org`, `ai_model` and units, as in Portkey's log exports"),
            (2, 0) if count(&["is_success", "response_status_code", "request_url"]) > 0 => {
                Recognition::of(70, "`ai_org` and `ai_model`, as in Portkey's log exports")
            }
            _ => {
                let first = page::items(entry, "ai_model").and_then(|mut logs| logs.next());
                first.map_or(Recognition::NONE, |log| self.recognises(&Entry::Json(log)))
            }
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        page::read(entry, "ai_model", sink, |log| {
            let mut found = Log::new(source);
            cell::cells(log).try_for_each(|(name, field)| found.take(name, field))?;
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
    units: Passed,
    response: Option<Body<'a>>,
}

/// What the body of a response says.
#[derive(Debug)]
struct Body<'a> {
    id: Option<Text<'a>>,
    model: Option<Text<'a>>,
    tier: Option<Text<'a>>,
    created: Option<i64>,
    error_code: Option<Text<'a>>,
    usage: Option<Passed>,
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
            units: Passed::default(),
            response: None,
        }
    }

    fn take(&mut self, name: &str, field: Cell<'a>) -> Result<(), Reject> {
        let units = &mut self.units.totals;
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
                    self.record.operation = endpoint::operation(&url);
                }
            }
            "cost" => self.record.reported_cost = field.cost(name, 2)?,
            "cost_currency" => {
                self.is_other_currency = field.any_text().is_some_and(|name| !name.eq_ignore_ascii_case("usd"));
            }
            "response_time" => self.record.latency_ms = field.millis(name, 1_000)?,
            "response_status_code" | "status_code" => {
                self.record.http_status = match field.count(name)? {
                    Some(code) => Some(i16::try_from(code).ok().filter(|code| *code < 1_000).ok_or_else(|| {
                        Reject::new(
                            RejectReason::OutOfRange,
                            format!("`{name}` is `{code}`, expected an HTTP status code"),
                        )
                    })?),
                    None => self.record.http_status,
                };
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
            "response" => self.response = response(field)?,
            _ => {}
        }
        Ok(())
    }

    fn cache_status(&mut self, status: Option<&str>) {
        self.record.gateway_cache |= matches!(status, Some("HIT" | "SEMANTIC HIT"));
    }

    /// The block that logs of the blob store carry.
    fn metrics(&mut self, metrics: Value<'_>) {
        self.cache_status(Fields::any_text(metrics.get("cache_status")).as_deref());
        let key = Fields::any_text(metrics.get("virtual_key")).map(|key| Text::Owned(key.into_owned()));
        self.record.key = self.record.key.take().or(key);
        self.record.streamed = metrics.get("stream_mode").and_then(Value::bool).or(self.record.streamed);
    }

    /// Labels that the caller set; `_user` and the like are Portkey's own names.
    fn metadata(&mut self, metadata: Value<'_>) {
        self.labels.put_all(metadata);
        let first = |names: &[&str]| {
            names.iter().find_map(|name| label(metadata, name)).map(|text| Text::Owned(text.into_owned()))
        };
        self.record.user = first(&["_user", "user", "user_id"]);
        self.record.team_reported = first(&["_team", "team", "team_name"]);
        self.record.project = first(&["_project", "project"]);
    }

    fn request(&mut self, request: Value<'_>) {
        let body = request.some("body").unwrap_or(request);
        self.record.max_tokens = ["max_completion_tokens", "max_output_tokens", "max_tokens"]
            .into_iter()
            .find_map(|name| Fields::count(name, body.get(name)).ok().flatten());
        self.record.streamed = body.get("stream").and_then(Value::bool).or(self.record.streamed);
        let asked = Fields::any_text(body.get("model")).map(|model| Text::Owned(model.into_owned()));
        self.record.model_requested = asked;
    }

    /// The record, or why there is none.
    fn finish(self) -> page::Read<'a> {
        let mut record = self.record;
        let body = self.response.unwrap_or(Body {
            id: None,
            model: None,
            tier: None,
            created: None,
            error_code: None,
            usage: None,
        });
        let said = body.usage.map(Passed::counts).filter(|counts| counts.quality != Quality::Missing);
        let counts = said.unwrap_or_else(|| self.units.counts());
        let asked_a_model = self.model.is_some() || body.model.is_some();
        if !asked_a_model && counts.quality == Quality::Missing {
            return Ok(Err(Skip::NotUsage));
        }
        let Some(ts) = self.ts else {
            return Err(Reject::missing("created_at", "the time of the request"));
        };
        (record.ts, record.ts_last) = (ts, ts);
        record.quantities = counts.quantities;
        record.reasoning_tokens = counts.reasoning_tokens;
        record.quality = counts.quality;
        record.model_requested = record.model_requested.or(self.model.clone());
        record.model = body.model.or(self.model).unwrap_or_default();
        record.tier = body.tier;
        record.error_code = body.error_code;
        // Portkey's own code for a guardrail that refused the request.
        if record.http_status == Some(446) {
            record.error_code = Some(Text::Borrowed("guardrail_blocked"));
        }
        record.status = super::status(record.http_status, record.error_code.as_deref());
        if self.is_success == Some(false) && record.status == Status::Success {
            record.status = Status::Error;
        }
        if self.is_other_currency {
            record.reported_cost = None;
        }
        record.tags = self.labels.into_tags();
        let mut found = Found::new(record);
        found.ids = [body.id, self.id];
        found.created = body.created;
        Ok(Ok(found))
    }
}

/// The body of a response, bare or under `body`; `None` where it is no object,
/// like the chunks of a stream.
fn response<'a>(field: Cell<'_>) -> Result<Option<Body<'a>>, Reject> {
    let Some(body) = field.any_object(|response| {
        let body = response.some("body").unwrap_or(response);
        let text = |value: Option<Value<'_>>| Fields::any_text(value).map(|text| Text::Owned(text.into_owned()));
        let usage = body.some("usage").filter(|usage| usage.is_object()).map(Passed::read).transpose()?.flatten();
        Ok::<_, Reject>(Body {
            id: text(body.get("id")),
            model: text(body.get("model")),
            tier: text(body.get("service_tier")),
            created: Fields::count("created", body.get("created")).ok().flatten(),
            error_code: text(body.path(&["error", "code"]).or_else(|| body.path(&["error", "type"]))),
            usage,
        })
    }) else {
        return Ok(None);
    };
    body.map(Some)
}

/// A time in the forms of exports: RFC 3339, the date of a mail or an HTTP header
/// (`Mon, 01 Jun 2026 08:00:00 GMT`), or as JavaScript prints it
/// (`Mon Jun 01 2026 08:00:00 GMT+0000 (Coordinated Universal Time)`).
fn time(name: &str, field: Cell<'_>, source: &Source) -> Result<Option<Instant>, Reject> {
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
            let read = time("created_at", Cell::Csv(text), &Source::default());
            let found = read.ok().flatten().map(|instant| instant.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        }
    }
}
