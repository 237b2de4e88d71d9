//! One row, gathered field by field and then made a record.

use super::{
    super::{
        Found, Read, Reject, Skip,
        shared::{
            ending,
            field::{Field, own},
            id_time::time_in_id,
            labels::Labels,
            provider::without_provider,
            usage::Usage,
            who::max_tokens,
        },
    },
    call::{Call, Suffix, plain_id, provider_in},
    metadata::{BatchModels, Metadata},
};
use crate::{
    config::Source,
    json::Value,
    record::{Meter, Quality, Status, Text, UsageRecord},
    time::Instant,
};

/// How long before the poll that finds it complete a batch can have been made:
/// 14 days, in microseconds.
const LONGEST_WORK: i64 = 14 * 86_400 * 1_000_000;

/// The account under which the proxy checks the health of its models.
const HEALTH_CHECK: &str = "litellm-internal-health-check";

#[derive(Debug)]
pub(super) struct Row<'a, 's> {
    source: &'s Source,
    record: UsageRecord<'a>,
    labels: Labels<'s>,
    metadata: Metadata<'a>,
    /// What the row itself says of the same things, which wins.
    key_hash: Option<Text<'a>>,
    team_id: Option<Text<'a>>,
    user: Option<Text<'a>>,
    end_user: Option<Text<'a>>,
    failed: Option<bool>,
    failure: Failure<'a>,
    disconnected: bool,
    batch: BatchModels<'a>,
    id: Option<Text<'a>>,
    call_id: Option<Text<'a>>,
    call_type: Option<Text<'a>>,
    provider: Option<Text<'a>>,
    model: Option<Text<'a>>,
    model_group: Option<Text<'a>>,
    response: Field<'a>,
    usage: Usage,
    start: Option<Instant>,
    end: Option<Instant>,
    is_batch_item: bool,
}

/// What went wrong with a request.
#[derive(Debug, Default)]
pub(super) struct Failure<'a> {
    class: Option<Text<'a>>,
    http_status: Option<i16>,
}

impl<'a> Failure<'a> {
    /// `keep` makes text of the document live as long as the entry.
    pub(super) fn of<'m>(value: Value<'m>, keep: fn(Text<'m>) -> Text<'a>) -> Self {
        let text = |name| Field::from(value.get(name)).any_text();
        Self {
            class: text("error_class").map(keep),
            http_status: text("error_code")
                .and_then(|code| code.parse().ok())
                .filter(|code| (100..1000).contains(code)),
        }
    }

    /// The gateway's own name for it: budgets and guardrails under the common ones.
    fn code(&mut self) -> Option<Text<'a>> {
        self.class.take().map(|class| match class.as_ref() {
            "BudgetExceededError" => Text::Borrowed("budget_exceeded"),
            "GuardrailRaisedException" | "BlockedPiiEntityError" => Text::Borrowed("guardrail_blocked"),
            _ => class,
        })
    }
}

impl<'a, 's> Row<'a, 's> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self {
            source,
            record: UsageRecord::at(Instant::EARLIEST),
            labels: Labels::new(source),
            metadata: Metadata::default(),
            key_hash: None,
            team_id: None,
            user: None,
            end_user: None,
            failed: None,
            failure: Failure::default(),
            disconnected: false,
            batch: BatchModels::default(),
            id: None,
            call_id: None,
            call_type: None,
            provider: None,
            model: None,
            model_group: None,
            response: Field::Absent,
            usage: Usage::default(),
            start: None,
            end: None,
            is_batch_item: false,
        }
    }

    /// Takes a field that says what the request was; `false` for any other.
    pub(super) fn describe(&mut self, name: &str, field: &Field<'a>) -> Result<bool, Reject> {
        match name {
            "request_id" | "id" => self.id = field.any_text().or(self.id.take()),
            "litellm_call_id" => self.call_id = field.any_text(),
            "call_type" => self.call_type = field.text(name)?,
            "custom_llm_provider" => self.provider = field.any_text(),
            "model" => self.model = field.text(name)?,
            "model_group" => self.model_group = field.any_text(),
            "api_key" => self.key_hash = field.any_text(),
            "team_id" => self.team_id = field.any_text(),
            "user" => self.user = field.any_text(),
            "end_user" => self.end_user = field.any_text(),
            "metadata" => self.metadata = Metadata::read(field, &mut self.labels)?,
            "status" => self.failed = field.any_text().map(|status| status == "failure"),
            "cache_hit" => self.record.gateway_cache |= field.flag() == Some(true),
            "stream" => self.record.streamed = field.flag(),
            "error_information" => {
                if let Some(value) = field.value() {
                    self.failure = Failure::of(value, |text| text);
                }
            }
            "error_str" => {
                self.disconnected = field.any_text().is_some_and(|text| text.starts_with("Client disconnected"));
            }
            "request_tags" => {
                field.any_object(|tags| self.labels.put_all(tags));
            }
            "hidden_params" => {
                if let Some(models) = field.value().and_then(|hidden| hidden.some("batch_models")) {
                    self.batch = BatchModels::of(models, |text| text);
                }
            }
            "model_parameters" | "proxy_server_request" => {
                field.any_object(|parameters| self.parameters(parameters));
            }
            "response" => self.response = field.clone(),
            "custom_id" => self.is_batch_item = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a field that says how much, when or how long.
    pub(super) fn measure(&mut self, name: &str, field: &Field<'a>) -> Result<(), Reject> {
        let zone = self.source.timezone;
        let totals = &mut self.usage.totals;
        match name {
            "prompt_tokens" => totals.prompt = field.count(name)?,
            "completion_tokens" => totals.completion = field.count(name)?,
            "total_tokens" => totals.total = field.count(name)?,
            "spend" | "response_cost" => self.record.reported_cost = field.cost(name, 0)?,
            "startTime" => self.start = field.time(name, zone)?,
            "endTime" => self.end = field.time(name, zone)?,
            "request_duration_ms" => self.record.latency_ms = field.millis(name, 1_000)?,
            _ => {}
        }
        Ok(())
    }

    /// What the request itself asked for; the last word on nothing.
    fn parameters(&mut self, parameters: Value<'_>) {
        self.record.max_tokens = max_tokens(parameters).or(self.record.max_tokens);
        self.record.streamed = self.record.streamed.or_else(|| Field::from(parameters.get("stream")).flag());
    }

    /// The record, or why there is none.
    pub(super) fn finish(mut self) -> Read<'a> {
        if self.is_batch_item && self.call_type.is_none() {
            return Err(Skip::NotGeneration.into());
        }
        let totals = self.usage.totals;
        let says_nothing = totals.prompt.is_none() && totals.completion.is_none() && totals.total.is_none();
        if self.call_type.is_none() && says_nothing {
            return Err(Skip::NotUsage.into());
        }
        if [&self.key_hash, &self.team_id, &self.metadata.key_hash, &self.metadata.team_id]
            .iter()
            .any(|account| account.as_deref() == Some(HEALTH_CHECK))
        {
            return Err(Skip::HealthCheck.into());
        }
        let (id, suffix) = match self.id.take().map(plain_id) {
            Some((id, suffix)) => (Some(id), suffix),
            None => (None, Suffix::None),
        };
        let call = Call::of(self.call_type.as_deref().unwrap_or_default());
        self.count(call);
        let made = tells_a_poll(call, suffix).then(|| self.made(id.as_deref())).flatten();
        if let Some(skip) = self.skip(call, suffix, made.is_some()) {
            return Err(skip.into());
        }
        let start = self.start.or(self.end).ok_or_else(|| Reject::missing("startTime", "the start of the request"))?;
        let is_own_time = !tells_a_poll(call, suffix);
        let (ts, ids) = match made {
            Some((created, response_id)) => (created, [response_id.or(id), self.call_id.take()]),
            None => (start, [id, self.call_id.take()]),
        };
        self.end_and_latency(is_own_time.then_some(start));
        self.record.ts = ts;
        self.record.operation = call.operation();
        self.record.gateway_cache |= suffix == Suffix::CacheHit;
        if call == Call::Batch || suffix == Suffix::BatchCost {
            self.record.tier = Some(Text::Borrowed("batch"));
        }
        self.names();
        let created = is_own_time.then(|| ts.seconds());
        let mut found = Found::new(self.into_record());
        (found.ids, found.created) = (ids, created);
        Ok(found)
    }

    /// Why a row that is no broken one is no usage either.
    fn skip(&self, call: Call, suffix: Suffix, knows_creation: bool) -> Option<Skip> {
        let is_cost = matches!(suffix, Suffix::BatchCost | Suffix::BackgroundCost);
        let has_usage = self.record.quality != Quality::Missing;
        match call {
            Call::Tool => Some(Skip::ToolCall),
            Call::Batch if !is_cost && !has_usage => Some(Skip::Poll),
            // The same usage at every look: only its creation says which request it was.
            Call::Look if !is_cost && (!has_usage || !knows_creation) => Some(Skip::Poll),
            Call::Housekeeping if !has_usage => Some(Skip::NotUsage),
            Call::Model(_)
                if !has_usage && self.model.is_none() && self.provider.is_none() && self.batch.first.is_none() =>
            {
                Some(Skip::NotUsage)
            }
            _ => None,
        }
    }

    /// When a batch or a background response was made, and its id, for rows
    /// that tell the time of a poll.
    fn made(&self, id: Option<&str>) -> Option<(Instant, Option<Text<'a>>)> {
        let said = self.response.any_object(|response| {
            let created = ["created_at", "created"]
                .into_iter()
                .find_map(|name| Field::from(response.get(name)).time(name, self.source.timezone).ok().flatten())?;
            Some((created, Field::from(response.get("id")).any_text().map(own)))
        });
        said.flatten().or_else(|| {
            let created = time_in_id(id?)?;
            let polled = self.start.or(self.end)?;
            (polled.plus_micros(-LONGEST_WORK)..=polled).contains(&created).then_some((created, None))
        })
    }

    /// Sets the quantities and how far they can be trusted.
    fn count(&mut self, call: Call) {
        let usage = match self.metadata.usage {
            Some(stated) => self.usage.or(stated),
            None => self.usage,
        };
        let record = &mut self.record;
        usage.gateway_counts().put(record);
        let failed = self.failed.unwrap_or(self.metadata.failed);
        let several_models = call == Call::Batch && (self.batch.several || self.metadata.batch.several);
        // Of failed requests the gateway estimates what it sent; of a batch with
        // several models nobody says how much was whose.
        if record.quality == Quality::Reported && (failed || several_models) {
            record.quality = Quality::Estimated;
        }
        let mut failure = std::mem::take(&mut self.failure);
        if failure.class.is_none() && failure.http_status.is_none() {
            failure = std::mem::take(&mut self.metadata.failure);
        }
        if failed {
            record.http_status = failure.http_status;
            record.error_code = failure.code();
            record.status = match ending::status(record.http_status, record.error_code.as_deref()) {
                Status::Blocked => Status::Blocked,
                _ if record.quantities[Meter::OutputTokens] > Some(0) => Status::Partial,
                Status::Cancelled => Status::Cancelled,
                _ => Status::Error,
            };
        } else if self.disconnected {
            record.status = Status::Cancelled;
        }
    }

    /// How long it took, unless the row tells the time of a poll.
    fn end_and_latency(&mut self, start: Option<Instant>) {
        let Some(start) = start else {
            self.record.latency_ms = None;
            return;
        };
        let took = self.end.map(|end| end.micros() - start.micros()).filter(|&micros| micros >= 0);
        self.record.latency_ms = self.record.latency_ms.or(took.map(|micros| micros / 1_000));
    }

    /// Sets who bills, who asked, and the models served and asked for.
    fn names(&mut self) {
        let metadata = &mut self.metadata;
        let mut model = self.model.take().unwrap_or_default();
        if model.is_empty() {
            model = self.batch.first.take().or(metadata.batch.first.take()).unwrap_or_default();
        }
        let named = self.provider.take().unwrap_or_default();
        let (prefix, provider) = if !named.is_empty() {
            (named.clone(), named)
        } else if let Some(provider) = &self.source.provider {
            (Text::Owned(provider.clone()), Text::default())
        } else {
            let provider = provider_in(&model).unwrap_or_default();
            // Refused before it was routed: nobody bills for it.
            let refused = provider.is_empty() && self.record.quality == Quality::Missing && is_failed(&self.record);
            (Text::Borrowed(provider), Text::Borrowed(if refused { "litellm" } else { provider }))
        };
        let plain = |model: Text<'a>| without_provider(model, &prefix);
        let asked = metadata.first_asked.take().or(self.model_group.take());
        self.record.model_requested = asked.map(&plain);
        self.record.model = plain(model);
        self.record.provider = provider;
        self.record.key = metadata.key_alias.take().or(self.key_hash.take()).or(metadata.key_hash.take());
        let team = self.team_id.take().or(metadata.team_id.take());
        self.record.team_reported = metadata.team_alias.take().or(team);
        let end_user = self.end_user.take().or(metadata.end_user.take());
        self.record.user = self.user.take().or(metadata.user.take()).or(end_user);
        self.record.project = metadata.project.take();
        if self.record.tier.is_none() {
            let served = self.response.value().and_then(|response| response.get("service_tier"));
            self.record.tier = metadata.tier.take().or_else(|| Field::from(served).any_text());
        }
    }

    fn into_record(self) -> UsageRecord<'a> {
        let mut record = self.record;
        record.tags = self.labels.into_tags();
        record
    }
}

/// Whether the times of a row are those of a poll, not of the work.
fn tells_a_poll(call: Call, suffix: Suffix) -> bool {
    matches!(call, Call::Batch | Call::Look) || matches!(suffix, Suffix::BatchCost | Suffix::BackgroundCost)
}

fn is_failed(record: &UsageRecord<'_>) -> bool {
    matches!(record.status, Status::Error | Status::Blocked)
}
