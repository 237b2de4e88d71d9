//! `native`: the plainest JSON line that a gateway can write, documented in
//! `docs/NATIVE.md` for those who write their own gateway.

use super::{Entry, Fields, Format, Found, Recognition, Reject, Sink, Skip, usage};
use crate::{
    config::Source,
    json::Value,
    record::{Operation, Status, UsageRecord},
    time::Instant,
};

#[derive(Debug)]
pub struct Native;

impl Format for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        let has = |name: &str| line.some(name).is_some();
        if has("ts") && has("model") && (has("usage") || has("http_status") || has("status")) && !has("object") {
            Recognition::of(if has("request_id") { 90 } else { 70 }, "`ts`, `model` and `usage` side by side")
        } else {
            Recognition::NONE
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        match read(*line, source) {
            Ok(Some(found)) => sink.record(found),
            Ok(None) => sink.skip(Skip::NotUsage),
            Err(reject) => sink.reject(reject),
        }
    }
}

/// One pass over the members, since this is what a busy gateway writes.
fn read<'a>(line: Value<'a>, source: &Source) -> Result<Option<Found<'a>>, Reject> {
    let mut ts = None;
    let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
    let record = &mut found.record;
    let mut model = None;
    let mut counts = None;
    let mut blocked = false;
    for (key, value) in line.entries() {
        let name = key.raw();
        match name {
            "ts" => ts = Fields::time(name, Some(value), source.timezone)?,
            "request_id" => found.ids[0] = Fields::text(name, Some(value))?,
            "key" => record.key = Fields::text(name, Some(value))?,
            "team" => record.team_reported = Fields::text(name, Some(value))?,
            "user" => record.user = Fields::text(name, Some(value))?,
            "project" => record.project = Fields::text(name, Some(value))?,
            "provider" => record.provider = Fields::text(name, Some(value))?.unwrap_or_default(),
            "model" => model = Fields::text(name, Some(value))?,
            "model_requested" => record.model_requested = Fields::text(name, Some(value))?,
            "operation" => record.operation = operation(value)?,
            "http_status" => record.http_status = super::http_status(name, value)?,
            "status" => match value.text() {
                // Words say how it ended; numbers and digits are the HTTP code.
                Some(word) if !word.bytes().all(|byte| byte.is_ascii_digit()) => blocked = word == "blocked",
                _ => record.http_status = super::http_status(name, value)?.or(record.http_status),
            },
            "error_code" => record.error_code = Fields::text(name, Some(value))?,
            "service_tier" => record.tier = Fields::text(name, Some(value))?,
            "max_tokens" => record.max_tokens = Fields::count(name, Some(value))?,
            "latency_ms" => record.latency_ms = Fields::millis(name, Some(value), 1_000)?,
            "stream" | "streamed" => record.streamed = value.bool(),
            "cached" | "gateway_cache" => record.gateway_cache = value.bool().unwrap_or(false),
            "cost" | "cost_usd" => record.reported_cost = Fields::cost(name, Some(value), 0)?,
            "tags" => record.tags = super::tags(value, source),
            "usage" => counts = usage::read_openai(Some(value))?.map(|counts| (counts, value)),
            _ => {}
        }
    }
    let Some(model) = model else {
        return if counts.is_some() {
            Err(Reject::missing("model", "the name of the model that served the request"))
        } else {
            Ok(None)
        };
    };
    record.model = model;
    let Some(ts) = ts else { return Err(Reject::missing("ts", "the start of the request as RFC 3339")) };
    (record.ts, record.ts_last) = (ts, ts);
    if let Some((counts, usage)) = counts {
        record.quantities = counts.quantities;
        record.reasoning_tokens = counts.reasoning_tokens;
        record.quality = counts.quality;
        super::other_meters(usage, &mut record.quantities)?;
        if record.quantities.any() && record.quality == crate::record::Quality::Missing {
            record.quality = crate::record::Quality::Reported;
        }
    }
    record.status =
        if blocked { Status::Blocked } else { super::status(record.http_status, record.error_code.as_deref()) };
    Ok(Some(found))
}

fn operation(value: Value<'_>) -> Result<Operation, Reject> {
    let Some(name) = Fields::text("operation", Some(value))? else { return Ok(Operation::Chat) };
    Ok(Operation::from_name(&name).unwrap_or(Operation::Other))
}
