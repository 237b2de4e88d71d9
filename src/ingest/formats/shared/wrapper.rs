//! What gateways write around a provider's own body: when the request came,
//! whose key it was, how it ended. Shared by the formats that read such bodies.
//!
//! The body may stand in a member (`response`, `body`, …) or be flat among the
//! metadata. A wrapper never says how much was used, except for what no body
//! reports: seconds of audio and characters of speech. What a client put into
//! its `request` is read leniently, since a gateway also logs what a provider
//! then refused.

use super::{
    super::{Found, Reject, RejectReason},
    ending,
    endpoint::{self, Endpoint},
    field::{Field, members},
    labels::tags,
    who::{Who, max_tokens},
};
use crate::{
    config::Source,
    json::{Kind, Value},
    record::{Meter, Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// The metadata around a body, read member by member.
#[derive(Debug, Clone)]
pub(crate) struct Wrapper<'a> {
    /// The record, with what the metadata says of it; its second id is the
    /// gateway's `request_id`.
    pub(crate) found: Found<'a>,
    pub(crate) path: Option<Endpoint>,
    /// Where the body stands, unless it is flat among the metadata.
    pub(crate) inner: Option<Value<'a>>,
    /// The id of the provider's message, where the gateway repeats it beside each event.
    pub(crate) message_id: Option<Text<'a>>,
    /// The model that the client asked for.
    pub(crate) model_asked: Option<Text<'a>>,
    /// The tier that the client asked for.
    pub(crate) tier_asked: Option<Text<'a>>,
    started: Option<Instant>,
    stamped: Option<Instant>,
    ended: Option<Status>,
    /// The key itself, or its hash: used where there is no name.
    key: Option<Text<'a>>,
    audio_ms: Option<i64>,
    characters: Option<i64>,
}

impl<'a> Wrapper<'a> {
    pub(crate) fn new() -> Self {
        Self {
            found: Found::new(UsageRecord::at(Instant::EARLIEST)),
            path: None,
            inner: None,
            message_id: None,
            model_asked: None,
            tier_asked: None,
            started: None,
            stamped: None,
            ended: None,
            key: None,
            audio_ms: None,
            characters: None,
        }
    }

    /// Takes a member of the outermost object that the body did not.
    pub(crate) fn take(&mut self, name: &'a str, value: Value<'a>, source: &Source) -> Result<(), Reject> {
        let record = &mut self.found.record;
        let field = Field::Json(value);
        match name {
            "ts" | "timestamp" | "time" | "@timestamp" => {
                self.stamped = field.time(name, source.timezone)?.or(self.stamped);
            }
            "start_time" | "started_at" | "request_start" => {
                self.started = field.time(name, source.timezone)?.or(self.started);
            }
            "request_id" | "requestId" => self.found.ids[1] = field.text(name)?,
            "message_id" | "response_id" => self.message_id = field.text(name)?,
            "api_key" | "api_key_hash" => self.key = field.text(name)?,
            "provider" => record.provider = field.text(name)?.unwrap_or_default(),
            "model_requested" | "requested_model" => record.model_requested = field.text(name)?,
            "status" | "http_status" | "status_code" | "response_status" => self.take_status(name, &field)?,
            "error_code" => record.error_code = field.text(name)?,
            "latency_ms" | "duration_ms" | "response_time_ms" => {
                record.latency_ms = field.millis(name, 1_000)?.or(record.latency_ms);
            }
            "stream" | "streamed" | "streaming" => record.streamed = field.flag().or(record.streamed),
            "max_tokens" | "max_completion_tokens" => record.max_tokens = field.count(name)?.or(record.max_tokens),
            "cached" | "gateway_cache" => record.gateway_cache = field.flag() == Some(true),
            "cost" | "cost_usd" | "costUSD" => record.reported_cost = field.cost(name, 0)?,
            "tags" | "metadata" => record.tags = tags(value, source).or_else(|| record.tags.take()),
            "path" | "endpoint" | "url" | "uri" => self.take_path(&field),
            "audio_seconds" | "audio_duration" => self.audio_ms = field.millis(name, 1_000_000)?,
            "audio_ms" => self.audio_ms = field.millis(name, 1_000)?,
            "characters" => self.characters = field.count(name)?,
            "request" => self.take_request(value, source, 0),
            "response" | "body" | "response_body" | "chunk" | "chunks" | "event" | "events" | "data" => {
                self.take_inner(name, value)?;
            }
            _ => {
                if let Some(who) = Who::of(name) {
                    let column = who.column(record);
                    *column = field.text(name)?.or_else(|| column.take());
                }
            }
        }
        Ok(())
    }

    /// A status is an HTTP code, or a word that says how the request ended.
    pub(crate) fn take_status(&mut self, name: &str, field: &Field<'_>) -> Result<(), Reject> {
        match field.any_text() {
            Some(word) if !word.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.ended = ending::by_word(&word).or(self.ended);
            }
            _ => {
                let record = &mut self.found.record;
                record.http_status = field.http_status(name)?.or(record.http_status);
            }
        }
        Ok(())
    }

    fn take_path(&mut self, field: &Field<'_>) {
        self.path = field.any_text().and_then(|path| endpoint::of(&path)).or(self.path);
    }

    /// What the client sent, as far as it speaks of billing.
    fn take_request(&mut self, request: Value<'a>, source: &Source, depth: u8) {
        for (name, field) in members(request) {
            let record = &mut self.found.record;
            match name {
                "model" => self.model_asked = field.any_text(),
                "stream" => record.streamed = field.flag().or(record.streamed),
                "service_tier" => self.tier_asked = field.any_text(),
                "user" => record.user = record.user.take().or_else(|| field.any_text()),
                "metadata" => record.tags = record.tags.take().or_else(|| tags(field.value()?, source)),
                "path" | "url" | "uri" => self.take_path(&field),
                "body" if depth == 0 => field.value().into_iter().for_each(|body| self.take_request(body, source, 1)),
                _ => {}
            }
        }
        let record = &mut self.found.record;
        record.max_tokens = record.max_tokens.or_else(|| max_tokens(request));
    }

    fn take_inner(&mut self, name: &str, value: Value<'a>) -> Result<(), Reject> {
        match value.kind() {
            Kind::Object => {}
            // A `data` array is what an embedding or a list of models holds.
            Kind::Array if name != "data" => {}
            Kind::Text(_)
                if ["{", "data:", "event:"].iter().any(|start| value.raw().trim_start().starts_with(start)) =>
            {
                return Err(Reject::new(
                    RejectReason::WrongType,
                    format!("`{name}` is a body in the form of a text, expected the body itself as an object"),
                ));
            }
            _ => return Ok(()),
        }
        if self.inner.is_none() || name == "response" {
            self.inner = Some(value);
        }
        Ok(())
    }

    /// When the request came, by the gateway's clock.
    pub(crate) fn time(&self) -> Option<Instant> {
        self.started.or(self.stamped)
    }

    /// Whether the metadata alone says that there was a request for a model.
    pub(crate) fn shows_request(&self) -> bool {
        self.found.record.http_status.is_some()
            || self.found.record.error_code.is_some()
            || self.ended.is_some()
            || self.operation().is_some()
    }

    /// What the request was for, by its path or by what was measured of it.
    pub(crate) fn operation(&self) -> Option<Operation> {
        match self.path {
            Some(Endpoint::Does(operation) | Endpoint::Retrieves(operation)) => Some(operation),
            _ if self.audio_ms.is_some() => Some(Operation::Transcription),
            _ if self.characters.is_some() => Some(Operation::Speech),
            _ => None,
        }
    }

    /// Whether it shows a latency, so that a bare `duration` is another one.
    pub(crate) fn has_latency(&self) -> bool {
        self.found.record.latency_ms.is_some()
    }

    /// How the request ended; `failed` where the body is an error.
    pub(crate) fn status(&self, failed: bool) -> Status {
        let record = &self.found.record;
        let by_code = ending::status(record.http_status, record.error_code.as_deref());
        ending::together(by_code, self.ended.or(failed.then_some(Status::Error)))
    }

    /// Fills in the quantities of audio and speech that no body reports.
    pub(crate) fn fill_quantities(&mut self) {
        let record = &mut self.found.record;
        let (meter, quantity) = match record.operation {
            Operation::Transcription | Operation::Translation => (Meter::AudioMs, self.audio_ms),
            Operation::Speech => (Meter::Characters, self.characters),
            _ => return,
        };
        if quantity.is_some() && !record.quantities.any() {
            record.quantities[meter] = quantity;
            record.quality = Quality::Reported;
        }
    }

    /// Names the key where only the key itself, or its hash, is logged.
    pub(crate) fn fill_key(&mut self) {
        if self.found.record.key.is_none() {
            self.found.record.key = self.key.take();
        }
    }
}

/// Whether the entry has the marks of a gateway whose log has a format of its
/// own, which may well hold a provider's body.
pub(crate) fn is_foreign(line: Value<'_>) -> bool {
    const MARKS: [&str; 13] = [
        "ai",
        "ai_org",
        "call_type",
        "custom_llm_provider",
        "generation_id",
        "latencies",
        "litellm_call_id",
        "request_created_at",
        "resourceLogs",
        "resourceSpans",
        "startTime",
        "tokens_in",
        "usage_details",
    ];
    line.entries().any(|(key, _)| MARKS.contains(&key.raw()))
}
