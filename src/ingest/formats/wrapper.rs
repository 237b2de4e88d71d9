//! What gateways write around a provider's own body: when the request came,
//! whose key it was, how it ended. Shared by the formats that read such bodies.
//!
//! The body may stand in a member (`response`, `body`, …) or be flat among the
//! metadata. A wrapper never says how much was used, except for what no body
//! reports: seconds of audio and characters of speech. What a client put into
//! its `request` is read leniently, since a gateway also logs what a provider
//! then refused.

use super::{Fields, Found, Reject, RejectReason};
use crate::{
    config::Source,
    json::{Kind, Value},
    record::{Meter, Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// What the path of a request tells about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Does(Operation),
    /// A later look at a stored answer: when it was looked at says nothing.
    Retrieves(Operation),
    Health,
    Poll,
    /// Lists models, counts tokens, moderates: nothing that is billed.
    Free,
}

/// The metadata around a body, read member by member.
#[derive(Debug, Clone)]
pub(super) struct Wrapper<'a> {
    /// The record, with what the metadata says of it; its second id is the
    /// gateway's `request_id`.
    pub(super) found: Found<'a>,
    pub(super) path: Option<Path>,
    /// Where the body stands, unless it is flat among the metadata.
    pub(super) inner: Option<Value<'a>>,
    /// The id of the provider's message, where the gateway repeats it beside each event.
    pub(super) message_id: Option<Text<'a>>,
    /// The model that the client asked for.
    pub(super) model_asked: Option<Text<'a>>,
    /// The tier that the client asked for.
    pub(super) tier_asked: Option<Text<'a>>,
    started: Option<Instant>,
    stamped: Option<Instant>,
    ended: Option<Status>,
    /// The key itself, or its hash: used where there is no name.
    key: Option<Text<'a>>,
    audio_ms: Option<i64>,
    characters: Option<i64>,
}

impl<'a> Wrapper<'a> {
    pub(super) fn new() -> Self {
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
    pub(super) fn take(&mut self, name: &'a str, value: Value<'a>, source: &Source) -> Result<(), Reject> {
        let record = &mut self.found.record;
        let field = Some(value);
        match name {
            "ts" | "timestamp" | "time" | "@timestamp" => {
                self.stamped = Fields::time(name, field, source.timezone)?.or(self.stamped);
            }
            "start_time" | "started_at" | "request_start" => {
                self.started = Fields::time(name, field, source.timezone)?.or(self.started);
            }
            "request_id" | "requestId" => self.found.ids[1] = Fields::text(name, field)?,
            "message_id" | "response_id" => self.message_id = Fields::text(name, field)?,
            "key" | "api_key_name" | "key_name" | "key_alias" | "virtual_key" => {
                record.key = Fields::text(name, field)?.or_else(|| record.key.take());
            }
            "api_key" | "api_key_hash" => self.key = Fields::text(name, field)?,
            "team" | "team_name" => record.team_reported = Fields::text(name, field)?,
            "user" | "user_id" => record.user = Fields::text(name, field)?.or_else(|| record.user.take()),
            "project" | "project_id" => record.project = Fields::text(name, field)?,
            "provider" => record.provider = Fields::text(name, field)?.unwrap_or_default(),
            "model_requested" | "requested_model" => record.model_requested = Fields::text(name, field)?,
            "status" | "http_status" | "status_code" | "response_status" => self.take_status(name, value)?,
            "error_code" => record.error_code = Fields::text(name, field)?,
            "latency_ms" | "duration_ms" | "response_time_ms" => {
                record.latency_ms = Fields::millis(name, field, 1_000)?.or(record.latency_ms);
            }
            "stream" | "streamed" | "streaming" => record.streamed = value.bool().or(record.streamed),
            "max_tokens" | "max_completion_tokens" => {
                record.max_tokens = Fields::count(name, field)?.or(record.max_tokens);
            }
            "cached" | "gateway_cache" => record.gateway_cache = value.bool().unwrap_or(false),
            "cost" | "cost_usd" | "costUSD" => record.reported_cost = Fields::cost(name, field, 0)?,
            "tags" | "metadata" => record.tags = super::tags(value, source).or_else(|| record.tags.take()),
            "path" | "endpoint" | "url" | "uri" => self.take_path(value),
            "audio_seconds" | "audio_duration" => self.audio_ms = Fields::millis(name, field, 1_000_000)?,
            "audio_ms" => self.audio_ms = Fields::millis(name, field, 1_000)?,
            "characters" => self.characters = Fields::count(name, field)?,
            "request" => self.take_request(value, source, 0),
            "response" | "body" | "response_body" | "chunk" | "chunks" | "event" | "events" | "data" => {
                self.take_inner(name, value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A status is an HTTP code, or a word that says how the request ended.
    pub(super) fn take_status(&mut self, name: &str, value: Value<'_>) -> Result<(), Reject> {
        match value.text() {
            Some(word) if !word.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.ended = match word.as_ref() {
                    "blocked" | "denied" => Some(Status::Blocked),
                    "cancelled" | "canceled" | "aborted" => Some(Status::Cancelled),
                    "error" | "failed" | "failure" | "timeout" => Some(Status::Error),
                    "partial" | "interrupted" | "in_progress" | "queued" => Some(Status::Partial),
                    _ => self.ended,
                };
            }
            _ => {
                let record = &mut self.found.record;
                record.http_status = super::http_status(name, value)?.or(record.http_status);
            }
        }
        Ok(())
    }

    fn take_path(&mut self, value: Value<'_>) {
        self.path = Fields::any_text(Some(value)).and_then(|path| classify(&path)).or(self.path);
    }

    /// What the client sent, as far as it speaks of billing.
    fn take_request(&mut self, request: Value<'a>, source: &Source, depth: u8) {
        let mut limit = None;
        for (key, value) in request.entries() {
            let field = Some(value);
            match key.raw() {
                "model" => self.model_asked = Fields::any_text(field),
                "max_tokens" | "max_output_tokens" => {
                    limit = limit.or(Fields::count("", field).ok().flatten());
                }
                // The newer name wins over the deprecated one.
                "max_completion_tokens" => limit = Fields::count("", field).ok().flatten().or(limit),
                "stream" => self.found.record.streamed = value.bool().or(self.found.record.streamed),
                "service_tier" => self.tier_asked = Fields::any_text(field),
                "user" => self.found.record.user = self.found.record.user.take().or_else(|| Fields::any_text(field)),
                "metadata" => {
                    let tags = &mut self.found.record.tags;
                    *tags = tags.take().or_else(|| super::tags(value, source));
                }
                "path" | "url" | "uri" => self.take_path(value),
                "body" if depth == 0 => self.take_request(value, source, 1),
                _ => {}
            }
        }
        let record = &mut self.found.record;
        record.max_tokens = record.max_tokens.or(limit);
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
    pub(super) fn time(&self) -> Option<Instant> {
        self.started.or(self.stamped)
    }

    /// Whether the metadata alone says that there was a request for a model.
    pub(super) fn shows_request(&self) -> bool {
        self.found.record.http_status.is_some()
            || self.found.record.error_code.is_some()
            || self.ended.is_some()
            || self.operation().is_some()
    }

    /// What the request was for, by its path or by what was measured of it.
    pub(super) fn operation(&self) -> Option<Operation> {
        match self.path {
            Some(Path::Does(operation) | Path::Retrieves(operation)) => Some(operation),
            _ if self.audio_ms.is_some() => Some(Operation::Transcription),
            _ if self.characters.is_some() => Some(Operation::Speech),
            _ => None,
        }
    }

    /// Whether it shows a latency, so that a bare `duration` is another one.
    pub(super) fn has_latency(&self) -> bool {
        self.found.record.latency_ms.is_some()
    }

    /// How the request ended; `failed` where the body is an error.
    pub(super) fn status(&self, failed: bool) -> Status {
        let record = &self.found.record;
        let by_code = super::status(record.http_status, record.error_code.as_deref());
        match (by_code, self.ended) {
            (_, Some(Status::Blocked)) => Status::Blocked,
            (Status::Success, Some(ended)) => ended,
            (Status::Success, None) if failed => Status::Error,
            _ => by_code,
        }
    }

    /// Fills in the quantities of audio and speech that no body reports.
    pub(super) fn fill_quantities(&mut self) {
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
    pub(super) fn fill_key(&mut self) {
        if self.found.record.key.is_none() {
            self.found.record.key = self.key.take();
        }
    }
}

/// Whether the entry has the marks of a gateway whose log has a format of its
/// own, which may well hold a provider's body.
pub(super) fn is_foreign(line: Value<'_>) -> bool {
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

/// What a path or URL of an API in `OpenAI`'s or Anthropic's shape is for.
fn classify(path: &str) -> Option<Path> {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let ends = |names: &[&str]| names.iter().any(|name| path.ends_with(name));
    let found = if ends(&["/chat/completions", "/messages"]) {
        Path::Does(Operation::Chat)
    } else if ends(&["/completions"]) {
        Path::Does(Operation::Completion)
    } else if ends(&["/responses"]) {
        Path::Does(Operation::Responses)
    } else if path.contains("/responses/") {
        Path::Retrieves(Operation::Responses)
    } else if ends(&["/embeddings"]) {
        Path::Does(Operation::Embedding)
    } else if ends(&["/audio/transcriptions"]) {
        Path::Does(Operation::Transcription)
    } else if ends(&["/audio/translations"]) {
        Path::Does(Operation::Translation)
    } else if ends(&["/audio/speech"]) {
        Path::Does(Operation::Speech)
    } else if ends(&["/images/generations", "/images/edits", "/images/variations"]) {
        Path::Does(Operation::Image)
    } else if ends(&["/health", "/healthz", "/livez", "/readyz", "/liveness", "/readiness", "/ping"]) {
        Path::Health
    } else if ends(&["/batches"]) || path.contains("/batches/") {
        Path::Poll
    } else if ends(&["/models", "/moderations", "/count_tokens", "/files"]) {
        Path::Free
    } else {
        return None;
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_a_request_is_for() {
        for (path, expect) in [
            ("/openai/v1/chat/completions", Some(Path::Does(Operation::Chat))),
            (
                "https://api.groq.com/openai/v1/audio/transcriptions?x=/models",
                Some(Path::Does(Operation::Transcription)),
            ),
            ("/v1/completions/", Some(Path::Does(Operation::Completion))),
            ("/v1/messages", Some(Path::Does(Operation::Chat))),
            ("/v1/messages/count_tokens", Some(Path::Free)),
            ("/v1/messages/batches/msgbatch_1", Some(Path::Poll)),
            ("/v1/responses", Some(Path::Does(Operation::Responses))),
            ("/v1/responses/resp_1", Some(Path::Retrieves(Operation::Responses))),
            ("/v1/models", Some(Path::Free)),
            ("/healthz", Some(Path::Health)),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(classify(path), expect, "{path}");
        }
    }
}
