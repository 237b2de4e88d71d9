//! `anthropic`: Messages bodies, raw events of a stream, results of message
//! batches, and the session files of Claude Code, which wrap the same body.
//!
//! Input tokens stand beside what was read from and written to the cache, not
//! around it. Anthropic's bodies have no time, so it must stand beside them; an
//! entry without one is refused. Of a stream logged event by event, every event
//! is a version of the request: `message_delta` is cumulative, and one that
//! repeats the input replaces `message_start`, whose output is provisional and
//! not used. A delta without the input (older API versions) is a part of its
//! own, `output`, so that neither half is lost. A delta names no message: what
//! ties the events together is `request_id` or `message_id` beside each.
//!
//! Left out on purpose: web fetches, which Anthropic does not bill by the call,
//! and the region of inference.

mod usage;

use usage::Usage;

use super::{
    Entry, Format, Recognition, Reject, Sink, Skip, Text,
    shared::{
        ending::{error_code, is_error},
        endpoint::Endpoint,
        field::{Field, word},
        several::{self, ReadSeveral, Several, of_model},
        wrapper::{self, Wrapper},
    },
};
use crate::{
    config::Source,
    json::Value,
    record::{Meter, Quality, Status, UsageRecord},
};

/// A message stands at most this deep in objects named `response`, `message` and the like.
const MAX_LAYERS: u8 = 5;

#[derive(Debug)]
pub(super) struct Anthropic;

impl Format for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        if wrapper::is_foreign(*line) {
            return Recognition::NONE;
        }
        if line.some("custom_id").is_some() {
            return match line.path(&["result", "type"]) {
                Some(_) => Recognition::of(98, "`custom_id` and `result.type`, as message batches have them"),
                None => Recognition::NONE,
            };
        }
        let inner = ["response", "body", "response_body", "event", "data", "chunk", "message"];
        let inner = inner.iter().filter_map(|name| line.some(name));
        inner.chain([*line]).map(recognise).max_by_key(|it| it.confidence).unwrap_or(Recognition::NONE)
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        several::put(read(*line, source), sink);
    }
}

fn recognise(body: Value<'_>) -> Recognition {
    match body.get("type").map_or("", word) {
        "message_start"
        | "message_delta"
        | "content_block_start"
        | "content_block_delta"
        | "content_block_stop"
        | "message_stop" => return Recognition::of(95, "`type` is an event of a Messages stream"),
        "message_batch" => return Recognition::of(70, "`type` is `message_batch`"),
        _ => {}
    }
    let has_usage = body.path(&["usage", "input_tokens"]).is_some();
    let is_message = body.get("type").map(word) == Some("message");
    let by_cache = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    if has_usage && is_message {
        Recognition::of(95, "`type` is `message`, with `usage.input_tokens`")
    } else if has_usage && by_cache.iter().any(|name| body.path(&["usage", name]).is_some()) {
        Recognition::of(90, "`usage` with Anthropic's cache counts")
    } else if body.get("type").map(word) == Some("error") && body.path(&["error", "type"]).is_some() {
        Recognition::of(50, "an error as the Messages API returns it")
    } else {
        Recognition::NONE
    }
}

/// What the layers of an entry say of a message; inner ones win, and of events
/// in one entry the later ones, except where they leave a count out.
#[derive(Debug, Default)]
struct Message<'a> {
    id: Option<Text<'a>>,
    model: Option<Text<'a>>,
    usage: Usage<'a>,
    error: Option<Value<'a>>,
    /// How a request of a batch ended.
    result: &'a str,
    kind: Kind,
    /// Whether an event that opens a stream is among them.
    starts: bool,
    /// Whether an event that goes on or ends a stream is among them.
    goes_on: bool,
}

/// What the `type` of an entry says beside events with usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Other,
    Message,
    /// A batch itself, with the number of its requests.
    BatchJob,
    /// An event without usage of its own.
    Noise,
}

impl<'a> Message<'a> {
    /// Takes a member if it is one of a message's or an event's.
    fn take(&mut self, name: &str, value: Value<'a>, layer: u8) -> Result<bool, Reject> {
        match name {
            "id" => self.id = Field::Json(value).text(name)?.or_else(|| self.id.take()),
            "model" => self.model = Field::Json(value).text(name)?.or_else(|| self.model.take()),
            "usage" if !value.is_null() => self.usage.take(value)?,
            "type" => self.take_type(word(value)),
            "error" if is_error(value) => self.error = Some(value.some("error").unwrap_or(value)),
            "message" | "response" | "result" if value.is_object() => {
                if name == "result" {
                    self.result = value.get("type").map_or("", word);
                }
                self.take_all(value, layer + 1)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_all(&mut self, object: Value<'a>, layer: u8) -> Result<(), Reject> {
        if layer < MAX_LAYERS {
            for (key, value) in object.entries() {
                self.take(key.raw(), value, layer)?;
            }
        }
        Ok(())
    }

    fn take_type(&mut self, kind: &str) {
        match kind {
            "message" => self.kind = Kind::Message,
            "message_start" => self.starts = true,
            "message_delta" => self.goes_on = true,
            "message_batch" => self.kind = Kind::BatchJob,
            "content_block_start" | "content_block_delta" | "content_block_stop" | "message_stop" | "ping" => {
                self.kind = Kind::Noise;
            }
            _ => {}
        }
    }
}

fn read<'a>(line: Value<'a>, source: &Source) -> ReadSeveral<'a> {
    let mut wrapper = Wrapper::new();
    let mut message = Message::default();
    let mut outer_id = None;
    for (key, value) in line.entries() {
        let name = key.raw();
        match name {
            // A response may have a status and a body of its own.
            "response" => wrapper.take(name, value, source)?,
            "custom_id" => {}
            _ if message.take(name, value, 0)? => {}
            _ => wrapper.take(name, value, source)?,
        }
    }
    if let Some(inner) = wrapper.inner.take() {
        // Beside a body, an id is the gateway's and a model the one that was asked for.
        outer_id = message.id.take();
        wrapper.model_asked = wrapper.model_asked.take().or_else(|| message.model.take());
        let layers = std::iter::once(inner).filter(|inner| inner.is_object()).chain(inner.items());
        for layer in layers {
            open(layer, &mut message, &mut wrapper)?;
        }
    }
    finish(&message, outer_id, wrapper)
}

fn open<'a>(inner: Value<'a>, message: &mut Message<'a>, wrapper: &mut Wrapper<'a>) -> Result<(), Reject> {
    for (key, value) in inner.entries() {
        let name = key.raw();
        match name {
            "status" | "status_code" => wrapper.take_status(name, &Field::Json(value))?,
            "body" | "data" if value.is_object() => message.take_all(value, 1)?,
            _ => {
                message.take(name, value, 1)?;
            }
        }
    }
    Ok(())
}

/// Why it is no usage, if it is none.
fn skip(message: &Message<'_>, wrapper: &Wrapper<'_>) -> Option<Skip> {
    match wrapper.path {
        Some(Endpoint::Health) => return Some(Skip::HealthCheck),
        Some(Endpoint::Poll) => return Some(Skip::Poll),
        Some(Endpoint::Free) => return Some(Skip::NotUsage),
        _ => {}
    }
    if message.kind == Kind::BatchJob {
        return Some(Skip::Aggregate);
    }
    if message.model.as_deref() == Some("<synthetic>") {
        // Claude Code writes its own notices as messages of this model.
        return Some(Skip::NotGeneration);
    }
    if message.usage.any() || message.error.is_some() || !message.result.is_empty() {
        return None;
    }
    if message.kind == Kind::Noise || message.starts || message.goes_on {
        return Some(Skip::NotGeneration);
    }
    let names_model = message.model.is_some() || wrapper.model_asked.is_some();
    let is_request = names_model && (message.kind == Kind::Message || wrapper.shows_request());
    (!is_request).then_some(Skip::NotUsage)
}

fn finish<'a>(message: &Message<'a>, outer_id: Option<Text<'a>>, mut wrapper: Wrapper<'a>) -> ReadSeveral<'a> {
    if let Some(skip) = skip(message, &wrapper) {
        return Err(skip.into());
    }
    let time = wrapper.time().ok_or_else(|| {
        Reject::missing("ts", "the start of the request: Anthropic's bodies have no time, so log `ts` beside each")
    })?;
    set_ids(message, outer_id, &mut wrapper)?;
    let record = &mut wrapper.found.record;
    record.ts = time;
    let asked = wrapper.model_asked.take();
    record.model = message.model.clone().or_else(|| asked.clone()).unwrap_or_default();
    record.model_requested = record.model_requested.take().or(asked);
    let is_batch = !message.result.is_empty();
    record.tier = if is_batch { Some(Text::Borrowed("batch")) } else { message.usage.tier() };
    record.tier = record.tier.take().or_else(|| wrapper.tier_asked.take().filter(|tier| tier != "auto"));
    record.error_code = record.error_code.take().or_else(|| error_code(message.error?));
    let failed = message.error.is_some() || (is_batch && message.result != "succeeded");
    if failed && is_batch {
        record.error_code = record.error_code.take().or(Some(Text::Borrowed(message.result)));
    }
    let (counts, others) = message.usage.counts(&record.model)?;
    if record.model.is_empty() && counts.quality != Quality::Missing {
        return Err(Reject::missing("model", "the name of the model, in the message or beside each event").into());
    }
    counts.put(record);
    wrapper.fill_key();
    wrapper.found.record.status = wrapper.status(failed);
    mark_event(message, &mut wrapper.found.record);
    let parts = others.into_iter().map(|(model, counts)| of_model(&wrapper.found, model, counts)).collect();
    Ok(Several { main: Some(wrapper.found), parts })
}

/// What a lone event of a stream cannot know is left to the others.
fn mark_event(message: &Message<'_>, record: &mut UsageRecord<'_>) {
    if message.starts || message.goes_on {
        record.streamed = Some(true);
    }
    if message.starts && !message.goes_on {
        record.quantities[Meter::OutputTokens] = None;
        record.reasoning_tokens = None;
        record.quality = record.quality.max(Quality::Partial);
        if record.status == Status::Success {
            record.status = Status::Partial;
        }
    } else if message.goes_on && !message.starts {
        if record.quantities[Meter::InputTokens].is_none() {
            record.part = Text::Borrowed("output");
        } else if message.usage.has_unsplit_writes() {
            // Only `message_start` says how long the written tokens live.
            record.quality = record.quality.max(Quality::Estimated);
        }
    }
}

/// The message's own id first; of a lone event what all events of a stream share.
fn set_ids<'a>(message: &Message<'a>, outer_id: Option<Text<'a>>, wrapper: &mut Wrapper<'a>) -> Result<(), Reject> {
    let request_id = wrapper.found.ids[1].take();
    let beside = wrapper.message_id.take().or_else(|| outer_id.clone().filter(|id| id.starts_with("msg_")));
    let is_lone_event = message.starts != message.goes_on;
    wrapper.found.ids = if is_lone_event {
        let shared = beside.or(request_id);
        if shared.is_none() && message.goes_on {
            return Err(Reject::missing("request_id", "an id beside each event of a stream, which ties them together"));
        }
        [shared, message.id.clone()]
    } else {
        [message.id.clone().or(beside), request_id.or(outer_id)]
    };
    Ok(())
}
