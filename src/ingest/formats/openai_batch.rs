//! `openai-batch`: the output and error files of batches, as `OpenAI` and Groq
//! write them.
//!
//! The tier is `batch`, whatever the body says. The time is the body's own
//! `created`, else the batch's (`created_at` or `batch` beside the line), never
//! the time at which somebody fetched the file. Error lines, transcriptions and
//! embeddings have neither; for them the time in the provider's own ids is
//! taken (see [`super::shared::id_time`]), and only a line without any is refused.
//! `custom_id` is chosen by the client and is no id; as a label it can be kept
//! by naming it in the source's `tags`. Requests that a batch did not run
//! (expired, cancelled) are errors, which cost nothing.

use chrono_tz::Tz;

use super::{
    Entry, Format, Recognition, Reject, Sink, Skip, Text,
    openai::{Body, operation, split},
    shared::{
        ending::error_code,
        field::{Field, members, word},
        id_time::time_in_id,
        labels::tags,
        several::{self, ReadSeveral},
        wrapper::Wrapper,
    },
};
use crate::{config::Source, json::Value, record::Quality, time::Instant};

#[derive(Debug)]
pub(super) struct OpenAiBatch;

impl Format for OpenAiBatch {
    fn name(&self) -> &'static str {
        "openai-batch"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        if line.get("object").map(word) == Some("batch") && line.some("request_counts").is_some() {
            return Recognition::of(70, "`object` is `batch`");
        }
        if line.some("custom_id").is_none() {
            return Recognition::NONE;
        }
        let has_id = line.get("id").map(word).is_some_and(|id| id.starts_with("batch_req_"));
        let has_response = line.path(&["response", "status_code"]).is_some();
        match (has_id, has_response) {
            (true, _) => Recognition::of(98, "`custom_id` and an `id` that begins with `batch_req_`"),
            (false, true) => Recognition::of(90, "`custom_id` and `response.status_code`"),
            (false, false) => Recognition::NONE,
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        several::put(read(*line, source), sink);
    }
}

/// A line of a batch's file, as far as it is no body.
#[derive(Debug)]
struct Line<'a> {
    id: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    body: Option<Value<'a>>,
    error: Option<Value<'a>>,
    batch_created: Option<Instant>,
    has_custom_id: bool,
    is_input: bool,
    /// It is the batch itself, or a listing of batches.
    is_job: bool,
    /// Who it was for, where someone has written that beside.
    wrapper: Wrapper<'a>,
}

impl<'a> Line<'a> {
    fn read(line: Value<'a>, source: &Source) -> Result<Self, Reject> {
        let mut it = Self {
            id: None,
            request_id: None,
            body: None,
            error: None,
            batch_created: None,
            has_custom_id: false,
            is_input: false,
            is_job: false,
            wrapper: Wrapper::new(),
        };
        for (key, value) in line.entries() {
            let name = key.raw();
            let field = Field::Json(value);
            match name {
                "id" => it.id = field.text(name)?,
                "custom_id" => it.has_custom_id = !value.is_null(),
                "response" => it.take_response(value)?,
                "error" => it.error = Some(value).filter(|value| value.is_object()),
                "created" | "created_at" | "batch_created_at" => {
                    it.batch_created = field.time(name, source.timezone)?.or(it.batch_created);
                }
                "batch" => {
                    let created = Field::from(value.get("created_at")).time("batch.created_at", source.timezone)?;
                    it.batch_created = created.or(it.batch_created);
                }
                "method" => it.is_input = true,
                "object" => it.is_job = matches!(word(value), "batch" | "list"),
                _ => it.wrapper.take(name, value, source)?,
            }
        }
        if !source.tags.is_empty() {
            let record = &mut it.wrapper.found.record;
            record.tags = record.tags.take().or_else(|| tags(line, source));
        }
        Ok(it)
    }

    fn take_response(&mut self, response: Value<'a>) -> Result<(), Reject> {
        for (name, field) in members(response) {
            match name {
                "status_code" => self.wrapper.take_status("response.status_code", &field)?,
                "request_id" => self.request_id = field.text("response.request_id")?,
                "body" => self.body = field.value().filter(|value| value.is_object()),
                _ => {}
            }
        }
        Ok(())
    }

    /// When it was done, as far as the body does not say.
    fn time(&self) -> Option<Instant> {
        let ids = [&self.request_id, &self.id];
        self.batch_created.or_else(|| ids.into_iter().flatten().find_map(|id| time_in_id(id)))
    }
}

fn read<'a>(line: Value<'a>, source: &Source) -> ReadSeveral<'a> {
    let mut line = Line::read(line, source)?;
    if line.is_job {
        return Err(Skip::Aggregate.into());
    }
    if line.body.is_none() && line.error.is_none() {
        let is_result = line.has_custom_id && !line.is_input;
        return Err(if is_result {
            Reject::missing("response.body", "the provider's answer, or `error`").into()
        } else {
            Skip::NotUsage.into()
        });
    }
    let body = line.body.map_or_else(|| Ok(Body::default()), Body::read)?;
    if body.id.as_deref().is_some_and(|id| id.starts_with("modr-")) {
        return Err(Skip::NotUsage.into());
    }
    let time = body.created(Tz::UTC)?.or_else(|| line.time()).or(body.time()?);
    let time = time.ok_or_else(|| {
        Reject::missing("created", "the time in the body, or the batch's own `created_at` beside the line")
    })?;
    let counts = body.counts()?;
    if body.model.is_none() && counts.quality != Quality::Missing && body.has_usage() {
        return Err(Reject::missing("response.body.model", "the name of the model that served the request").into());
    }
    let error = body.error.or(line.error);
    let asked = line.wrapper.operation();
    let found = &mut line.wrapper.found;
    found.ids = [body.id.clone(), body.groq_id.clone().or(line.request_id).or(line.id)];
    found.created = body.id.as_ref().and_then(|_| body.created_second());
    let record = &mut found.record;
    record.ts = time;
    record.model = body.model.clone().unwrap_or_default();
    record.tier = Some(Text::Borrowed("batch"));
    record.error_code = error.and_then(error_code);
    record.operation = operation(&body, asked);
    record.reported_cost = body.reported_cost()?;
    counts.put(record);
    line.wrapper.fill_quantities();
    line.wrapper.fill_key();
    line.wrapper.found.record.status = line.wrapper.status(error.is_some());
    Ok(split(&body, line.wrapper.found)?)
}
