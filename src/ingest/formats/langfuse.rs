//! `langfuse`: exports of observations (JSON lines, arrays, CSV) and pages of the
//! observations API, with names in camel case or snake case.
//!
//! What holds here: only generations and embeddings are requests; spans, agents
//! and tools repeat what their children report. The id is the observation's: a
//! response's own id may be shared by several of them. Exports repeat an
//! observation whenever it changes, with the same start, so its versions merge.
//! The latency is from start to end, since the field of that name is in seconds
//! in one place and in milliseconds in another. Traces, scores and prompts are
//! no usage.

mod usage;

use super::{
    Entry, Format, Found, Read, Recognition, Reject, Sink, Skip,
    shared::{
        field::{Field, fields, has, own},
        labels::Labels,
        page::Page,
        provider::without_provider,
        who::{self, max_tokens},
    },
};
use crate::{
    config::Source,
    json::Value,
    money::Usd,
    record::{Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// A page of the observations API.
const PAGE: Page = Page { holds: "data", of_a_record: "type" };

#[derive(Debug)]
pub(super) struct Langfuse;

impl Format for Langfuse {
    fn name(&self) -> &'static str {
        "langfuse"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let first = PAGE.first(entry);
        let either = |camel: &str, snake: &str| has(&first, camel) || has(&first, snake);
        if !(either("traceId", "trace_id") && either("startTime", "start_time") && has(&first, "type")) {
            Recognition::NONE
        } else if either("usageDetails", "usage_details") || either("parentObservationId", "parent_observation_id") {
            Recognition::of(95, "`traceId`, `type` and `usageDetails`, as in Langfuse's observations")
        } else {
            Recognition::of(50, "`traceId`, `type` and `startTime`, as in Langfuse's observations")
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        PAGE.read(entry, sink, |item| {
            let mut observation = Observation::new(source);
            fields(item).try_for_each(|(name, field)| observation.take(name, &field))?;
            observation.finish()
        });
    }
}

/// One observation, gathered field by field.
#[derive(Debug)]
struct Observation<'a, 's> {
    source: &'s Source,
    record: UsageRecord<'a>,
    labels: Labels<'s>,
    id: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    model: Option<Text<'a>>,
    start: Option<Instant>,
    end: Option<Instant>,
    usage: usage::Details,
    cost: Option<Usd>,
    costs: Costs,
}

/// The costs by kind of usage; none where the model has no price in Langfuse,
/// whose total is then a zero that nobody worked out.
#[derive(Debug, Default)]
struct Costs {
    is_empty: bool,
    total: Option<Usd>,
}

impl Costs {
    fn read(costs: Value<'_>) -> Result<Self, Reject> {
        let total = Field::from(costs.get("total")).cost("costDetails.total", 0)?;
        Ok(Self { is_empty: costs.entries().next().is_none(), total })
    }
}

impl<'a, 's> Observation<'a, 's> {
    fn new(source: &'s Source) -> Self {
        Self {
            source,
            record: UsageRecord::at(Instant::EARLIEST),
            labels: Labels::new(source),
            id: None,
            kind: None,
            model: None,
            start: None,
            end: None,
            usage: usage::Details::default(),
            cost: None,
            costs: Costs::default(),
        }
    }

    fn take(&mut self, name: &str, field: &Field<'a>) -> Result<(), Reject> {
        let zone = self.source.timezone;
        match name {
            "id" => self.id = field.text(name)?,
            "type" => self.kind = field.text(name)?,
            "model" | "providedModelName" | "provided_model_name" => {
                self.model = field.text(name)?.or(self.model.take());
            }
            "startTime" | "start_time" => self.start = field.time(name, zone)?,
            "endTime" | "end_time" => self.end = field.time(name, zone)?,
            "completionStartTime" | "completion_start_time" => {
                self.record.streamed = field.any_text().map(|_| true);
            }
            "level" if field.any_text().as_deref() == Some("ERROR") => self.record.status = Status::Error,
            "totalCost" | "total_cost" => self.cost = field.cost(name, 0)?,
            "costDetails" | "cost_details" => {
                self.costs = field.object(name, Costs::read)?.unwrap_or_default();
            }
            "usageDetails" | "usage_details" => {
                field.object(name, |details| self.usage.details(details))?;
            }
            "usage" => {
                field.object(name, |details| self.usage.legacy(details))?;
            }
            "inputUsage" | "promptTokens" => self.usage.plain_input(field.count(name)?),
            "outputUsage" | "completionTokens" => self.usage.plain_output(field.count(name)?),
            "totalUsage" | "totalTokens" => self.usage.plain_total(field.count(name)?),
            "userId" | "user_id" => self.record.user = field.any_text().or(self.record.user.take()),
            "environment" => self.put_label("environment", field),
            "sessionId" | "session_id" => self.put_label("session_id", field),
            "traceName" | "trace_name" => self.put_label("trace_name", field),
            "tags" => {
                field.any_object(|tags| self.labels.put_all(tags));
            }
            "modelParameters" | "model_parameters" => {
                self.record.max_tokens = field.any_object(max_tokens).flatten();
            }
            "metadata" => {
                field.any_object(|metadata| self.metadata(metadata));
            }
            _ => {}
        }
        Ok(())
    }

    fn put_label(&mut self, name: &str, field: &Field<'a>) {
        if let Some(text) = field.any_text() {
            self.labels.put(name, &text);
        }
    }

    /// What instrumentations leave in the metadata: who served it, and for whom.
    fn metadata(&mut self, metadata: Value<'_>) {
        self.labels.put_all(metadata);
        let attributes = metadata.some("attributes").unwrap_or(metadata);
        let named =
            |names: &[&str]| names.iter().find_map(|name| Field::from(attributes.get(name)).any_text()).map(own);
        // Agent frameworks name themselves where the provider should stand.
        self.record.provider = named(&["gen_ai.provider.name", "gen_ai.system", "ls_provider", "llm.provider"])
            .filter(|name: &Text<'_>| !name.contains("agent"))
            .unwrap_or_default();
        self.record.model_requested = named(&["gen_ai.request.model"]);
        self.record.tier = named(&["openai.response.service_tier", "gen_ai.openai.response.service_tier"]);
        self.record.user = self.record.user.take().or_else(|| named(&["langfuse_user_id"]));
        who::fill(&mut self.record, metadata);
        who::fill(&mut self.record, attributes);
    }

    /// The record, or why there is none.
    fn finish(self) -> Read<'a> {
        let operation = match self.kind.as_deref() {
            Some("GENERATION") => Operation::Chat,
            Some("EMBEDDING") => Operation::Embedding,
            Some(_) => return Err(Skip::NotGeneration.into()),
            None => return Err(Skip::NotUsage.into()),
        };
        let mut record = self.record;
        let counts = self.usage.counts();
        if self.model.is_none() && counts.quality == Quality::Missing {
            return Err(Skip::NotUsage.into());
        }
        let start = self.start.ok_or_else(|| Reject::missing("startTime", "the start of the request"))?;
        record.operation = operation;
        record.ts = start;
        counts.put(&mut record);
        record.reported_cost = self.cost.filter(|&cost| !self.costs.is_empty || cost != Usd::ZERO).or(self.costs.total);
        let took = self.end.map(|end| end.micros() - start.micros()).filter(|&micros| micros >= 0);
        record.latency_ms = took.map(|micros| micros / 1_000);
        let provider = if record.provider.is_empty() {
            self.source.provider.clone().unwrap_or_default()
        } else {
            record.provider.clone().into_owned()
        };
        record.model = without_provider(self.model.unwrap_or_default(), &provider);
        record.model_requested = record.model_requested.map(|model| without_provider(model, &provider));
        record.tags = self.labels.into_tags();
        let mut found = Found::new(record);
        found.ids[0] = self.id;
        found.created = Some(start.seconds());
        Ok(found)
    }
}
