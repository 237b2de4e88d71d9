//! `openai`: the bodies of OpenAI-compatible APIs (chat completions, Responses,
//! embeddings, transcriptions, images), raw or with request metadata around or
//! beside them, and streams logged chunk by chunk.
//!
//! A chunk without usage is a record of quality `missing` and status `partial`
//! that a later version with usage supersedes; the same usage in the finish
//! chunk, in `x_groq.usage` and in the trailing chunk is the same version.
//! The wrapper's time is preferred: it is the start of the request, `created`
//! that of the answer. Error bodies are requests that failed; they need a time
//! from their wrapper. A body that is a text inside the JSON is refused.

mod body;
mod parts;

pub(super) use body::Body;
pub(super) use parts::split;

use super::{
    Entry, Format, NoRecord, Recognition, Reject, RejectReason, Sink, Skip, Text,
    shared::{
        ending::{error_code, is_code},
        endpoint::Endpoint,
        field::{Field, word},
        several::{self, ReadSeveral, Several},
        wrapper::{self, Wrapper},
    },
};
use crate::{
    config::Source,
    json::Value,
    record::{Meter, Operation, Quality, Status},
};

/// A body stands at most this deep in objects named `response`, `body` and the like.
const MAX_LAYERS: u8 = 3;

#[derive(Debug)]
pub(super) struct OpenAi;

impl Format for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        if wrapper::is_foreign(*line) || line.some("custom_id").is_some() {
            return Recognition::NONE;
        }
        let inner =
            ["response", "body", "response_body", "chunk", "event", "data"].iter().filter_map(|name| line.some(name));
        inner.chain([*line]).map(recognise).max_by_key(|it| it.confidence).unwrap_or(Recognition::NONE)
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        several::put(read(*line, source), sink);
    }
}

fn recognise(body: Value<'_>) -> Recognition {
    let is = |name: &str| body.get(name).map_or("", word);
    match is("object") {
        "chat.completion" => return Recognition::of(95, "`object` is `chat.completion`"),
        "chat.completion.chunk" => return Recognition::of(95, "`object` is `chat.completion.chunk`"),
        "text_completion" => return Recognition::of(95, "`object` is `text_completion`"),
        "response" => return Recognition::of(95, "`object` is `response`"),
        "list" if body.some("usage").is_some() && body.some("model").is_some() => {
            return Recognition::of(80, "a list with `model` and `usage`, as embeddings have it");
        }
        _ => {}
    }
    if body.some("x_groq").is_some() {
        Recognition::of(90, "`x_groq`")
    } else if is("type").starts_with("response.") && body.some("sequence_number").is_some() {
        Recognition::of(90, "`type` is an event of a Responses stream")
    } else if body.some("choices").is_some_and(Value::is_array) && body.some("usage").is_some() {
        Recognition::of(80, "`choices` beside `usage`")
    } else if body.some("error").is_some_and(|error| error.some("message").is_some()) && is("type") != "error" {
        Recognition::of(40, "an error as OpenAI-compatible APIs return it")
    } else {
        Recognition::NONE
    }
}

fn read<'a>(line: Value<'a>, source: &Source) -> ReadSeveral<'a> {
    let mut wrapper = Wrapper::new();
    let mut top = Body::default();
    for (key, value) in line.entries() {
        let name = key.raw();
        if !top.take(name, value)? {
            wrapper.take(name, value, source)?;
        }
    }
    match wrapper.inner.take() {
        None => {
            if wrapper.time().is_none() && top.id.as_deref().is_some_and(|id| id.starts_with("gen-")) {
                // OpenRouter's body names the host that served it; OpenRouter bills.
                wrapper.found.record.provider = Text::default();
            }
            finish(&top, &Body::default(), wrapper, source)
        }
        Some(inner) if inner.is_array() => read_all(inner, &top, &wrapper, source),
        Some(inner) => {
            let body = open(inner, &mut wrapper, 1)?;
            finish(&body, &top, wrapper, source)
        }
    }
}

/// The chunks of one stream in one entry: the last one with usage counts.
fn read_all<'a>(chunks: Value<'a>, top: &Body<'a>, wrapper: &Wrapper<'a>, source: &Source) -> ReadSeveral<'a> {
    let mut whole: Option<Several<'a>> = None;
    let mut skipped = Skip::NotUsage;
    for chunk in chunks.items() {
        let mut wrapper = wrapper.clone();
        let body = open(chunk, &mut wrapper, 1)?;
        match (finish(&body, top, wrapper, source), &mut whole) {
            (Err(NoRecord::Skip(skip)), _) => skipped = skip,
            (Err(reject), _) => return Err(reject),
            (Ok(next), None) => whole = Some(next),
            (Ok(mut next), Some(whole)) => {
                if next.has_quantities() || !whole.has_quantities() {
                    whole.main = next.main;
                }
                whole.parts.append(&mut next.parts);
            }
        }
    }
    whole.ok_or(skipped.into())
}

/// The body in a member of the wrapper, which may be a response with a status
/// and a body, or an event with a response.
fn open<'a>(inner: Value<'a>, wrapper: &mut Wrapper<'a>, layer: u8) -> Result<Body<'a>, Reject> {
    let mut body = Body::default();
    let mut nested = None;
    for (key, value) in inner.entries() {
        let name = key.raw();
        if body.take(name, value)? {
            continue;
        }
        match name {
            "status" | "status_code" => wrapper.take_status(name, &Field::Json(value))?,
            "response" | "body" if value.is_object() && layer < MAX_LAYERS => nested = Some(value),
            _ => {}
        }
    }
    let Some(nested) = nested else { return Ok(body) };
    let event = body;
    body = open(nested, wrapper, layer + 1)?;
    body.take_event(&event);
    Ok(body)
}

/// Why it is no usage, if it is none.
fn skip(body: &Body<'_>, outer: &Body<'_>, wrapper: &Wrapper<'_>) -> Option<Skip> {
    match wrapper.path {
        Some(Endpoint::Health) => return Some(Skip::HealthCheck),
        Some(Endpoint::Poll) => return Some(Skip::Poll),
        Some(Endpoint::Free) => return Some(Skip::NotUsage),
        _ => {}
    }
    match body.object {
        "batch" | "page" | "bucket" => return Some(Skip::Aggregate),
        "thread.run.step" => return Some(Skip::NotGeneration),
        _ => {}
    }
    if body.is_listing() || body.id.as_deref().is_some_and(|id| id.starts_with("modr-")) {
        return Some(Skip::NotUsage);
    }
    if body.is_generation() || outer.error.is_some_and(Value::is_object) {
        return None;
    }
    if body.is_event() || outer.is_event() {
        // The delta of a stream, which names no response.
        return Some(Skip::NotGeneration);
    }
    let names_model = body.model.is_some() || outer.model.is_some() || wrapper.model_asked.is_some();
    let is_request = names_model && body.object.is_empty() && (wrapper.shows_request() || body.is_text());
    (!is_request).then_some(Skip::NotUsage)
}

/// Puts the metadata and the body together. `outer` is what stood beside the
/// body under names that bodies use, too.
fn finish<'a>(body: &Body<'a>, outer: &Body<'a>, mut wrapper: Wrapper<'a>, source: &Source) -> ReadSeveral<'a> {
    if let Some(skip) = skip(body, outer, &wrapper) {
        return Err(skip.into());
    }
    if body.is_anthropic() {
        return Err(NoRecord::Reject(Reject::new(
            RejectReason::WrongType,
            "`type` is `message`, expected a body in OpenAI's shape: read Anthropic's with `format = \"anthropic\"`",
        )));
    }
    set_time(body, outer, &mut wrapper, source)?;
    set_names(body, outer, &mut wrapper);
    let error = body.error.or(outer.error);
    let operation = operation(body, wrapper.operation());
    let record = &mut wrapper.found.record;
    record.error_code = record.error_code.take().or_else(|| error_code(error?));
    record.operation = operation;
    record.reported_cost = body.reported_cost()?.or(record.reported_cost);
    body.counts()?.put(record);
    wrapper.fill_quantities();
    set_audio(outer, &mut wrapper)?;
    wrapper.fill_key();
    let mut status = wrapper.status(error.is_some());
    let record = &mut wrapper.found.record;
    if record.model.is_empty() && record.quantities.any() && body.has_usage() {
        return Err(Reject::missing("model", "the name of the model, in the body or beside it").into());
    }
    let is_unfinished = body.is_chunk() && record.quality == Quality::Missing && body.breakdown.is_none();
    if status == Status::Success && (is_unfinished || body.stream_error.is_some()) {
        status = Status::Partial;
    }
    record.status = status;
    let stopped = || body.stream_error.clone().filter(|code| is_code(code));
    record.error_code = record.error_code.take().or_else(stopped);
    Ok(split(body, wrapper.found)?)
}

fn set_time<'a>(body: &Body<'a>, outer: &Body<'a>, wrapper: &mut Wrapper<'a>, source: &Source) -> Result<(), Reject> {
    // Who looks at an answer later logs when they looked.
    let is_late = body.in_background || matches!(wrapper.path, Some(Endpoint::Retrieves(_)));
    let mut time = wrapper.time().filter(|_| !is_late);
    if time.is_none() {
        time = body.time()?.or(wrapper.time());
    }
    if time.is_none() {
        time = outer.created(source.timezone)?;
    }
    let Some(time) = time else {
        return Err(Reject::missing("created", "the time in the body, or `ts` beside it: log when each request came"));
    };
    let record = &mut wrapper.found.record;
    record.ts = time;
    if is_late {
        record.latency_ms = None;
    }
    // It tells the body's own ids apart, not the gateway's.
    wrapper.found.created = body.id.as_ref().and_then(|_| body.created_second());
    Ok(())
}

/// A bare `duration` beside a transcript is how long the audio is, unless it
/// may be the latency of the request.
fn set_audio(outer: &Body<'_>, wrapper: &mut Wrapper<'_>) -> Result<(), Reject> {
    let has_latency = wrapper.has_latency();
    let record = &mut wrapper.found.record;
    let is_audio = matches!(record.operation, Operation::Transcription | Operation::Translation);
    if is_audio && has_latency && !record.quantities.any() && outer.duration.is_some() {
        record.quantities[Meter::AudioMs] = Field::from(outer.duration).millis("duration", 1_000_000)?;
        record.quality = Quality::Reported;
    }
    Ok(())
}

fn set_names<'a>(body: &Body<'a>, outer: &Body<'a>, wrapper: &mut Wrapper<'a>) {
    let gateway_id = wrapper.found.ids[1].take().or_else(|| outer.id.clone());
    wrapper.found.ids = [body.id.clone(), body.groq_id.clone().or(gateway_id)];
    let record = &mut wrapper.found.record;
    let asked = wrapper.model_asked.take().or_else(|| outer.model.clone());
    record.model = body.model.clone().or_else(|| asked.clone()).unwrap_or_default();
    record.model_requested = record.model_requested.take().or(asked);
    let asked =
        wrapper.tier_asked.take().filter(|tier| !body.is_chunk() && !matches!(tier.as_ref(), "auto" | "default"));
    record.tier = body.tier.clone().or_else(|| outer.tier.clone()).or(asked);
    record.max_tokens = record.max_tokens.or(body.max_output_tokens);
    if body.is_chunk() || body.is_event() || outer.is_event() {
        record.streamed = Some(true);
    }
}

/// What was asked for: by the body, else by what stands around it.
pub(super) fn operation(body: &Body<'_>, asked: Option<Operation>) -> Operation {
    match (asked, body.operation()) {
        // A translation's body looks like a transcription's.
        (Some(Operation::Translation), Some(Operation::Transcription)) => Operation::Translation,
        (_, Some(operation)) | (Some(operation), None) => operation,
        (None, None) if body.is_text() => Operation::Transcription,
        (None, None) => Operation::Chat,
    }
}
