//! `native`: the plainest JSON line that a gateway can write, documented in
//! `docs/NATIVE.md` for those who write their own gateway.

use super::{
    Entry, Format, Found, NoRecord, Recognition, Reject, Sink, Skip,
    shared::{ending, field::members, labels::tags, tokens::Counts, usage::Usage},
};
use crate::{
    config::Source,
    json::Value,
    record::{Operation, Text, UsageRecord},
    time::Instant,
};

#[derive(Debug)]
pub(in crate::ingest) struct Native;

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
        let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
        match read(*line, source, &mut found) {
            Ok(()) => sink.record(&mut found),
            Err(none) => sink.put(Err(none)),
        }
    }
}

/// One pass over the members, and no record is moved, since this is what a busy
/// gateway writes.
fn read<'a>(line: Value<'a>, source: &Source, found: &mut Found<'a>) -> Result<(), NoRecord> {
    let mut ts = None;
    let record = &mut found.record;
    let mut model = None;
    let mut usage = None;
    let mut ended = None;
    for (name, field) in members(line) {
        match name {
            "ts" => ts = field.time(name, source.timezone)?,
            "request_id" => found.ids[0] = field.text(name)?,
            "key" => record.key = field.text(name)?,
            "team" => record.team_reported = field.text(name)?,
            "user" => record.user = field.text(name)?,
            "project" => record.project = field.text(name)?,
            "provider" => record.provider = field.text(name)?.unwrap_or_default(),
            "model" => model = field.text(name)?,
            "model_requested" => record.model_requested = field.text(name)?,
            "operation" => record.operation = operation(field.text(name)?),
            "http_status" => record.http_status = field.http_status(name)?,
            // Words say how it ended; numbers and digits are the HTTP code.
            "status" => match field.any_text() {
                Some(word) if !word.bytes().all(|byte| byte.is_ascii_digit()) => ended = ending::by_word(&word),
                _ => record.http_status = field.http_status(name)?.or(record.http_status),
            },
            "error_code" => record.error_code = field.text(name)?,
            "service_tier" => record.tier = field.text(name)?,
            "max_tokens" => record.max_tokens = field.count(name)?,
            "latency_ms" => record.latency_ms = field.millis(name, 1_000)?,
            "stream" | "streamed" => record.streamed = field.flag(),
            "cached" | "gateway_cache" => record.gateway_cache = field.flag() == Some(true),
            "cost" | "cost_usd" => record.reported_cost = field.cost(name, 0)?,
            "tags" => record.tags = field.value().and_then(|labels| tags(labels, source)),
            "usage" => usage = Usage::read(field.value())?,
            _ => {}
        }
    }
    let Some(model) = model else {
        return Err(if usage.is_some() {
            Reject::missing("model", "the name of the model that served the request").into()
        } else {
            Skip::NotUsage.into()
        });
    };
    record.model = model;
    record.ts = ts.ok_or_else(|| Reject::missing("ts", "the start of the request as RFC 3339"))?;
    usage.map_or(Counts::NONE, Usage::counts).put(record);
    let by_code = ending::status(record.http_status, record.error_code.as_deref());
    record.status = ending::together(by_code, ended);
    Ok(())
}

fn operation(name: Option<Text<'_>>) -> Operation {
    name.map_or(Operation::Chat, |name| Operation::from_name(&name).unwrap_or(Operation::Other))
}
