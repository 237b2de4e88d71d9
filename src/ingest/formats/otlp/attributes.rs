//! What the attributes of a span mean, in the words of each convention:
//! OpenTelemetry's `GenAI` conventions old and new, `OpenInference`, Traceloop,
//! Langfuse and the Vercel AI SDK.
//!
//! Input should include cached tokens, yet many instrumentations pass on
//! Anthropic's raw counts, which do not: where the numbers prove it (more from
//! the cache than input, or a total that says so), the cache stands beside.

use std::borrow::Cow;

use super::{
    super::shared::{labels::Labels, tokens::Totals, who::Who},
    Field, Found, Reject, Value, halves, provider,
};
use crate::{
    config::Source,
    money::Usd,
    record::{Operation, Text},
};

/// What a span's attributes say.
#[derive(Default)]
pub(super) struct Attributes<'a, 's> {
    /// `gen_ai.operation.name`, `OpenInference`'s kind, Traceloop's kind,
    /// `llm.request.type`, the AI SDK's step, Langfuse's type.
    operation: Option<Text<'a>>,
    inference_kind: Option<Text<'a>>,
    traceloop_kind: Option<Text<'a>>,
    request_type: Option<Text<'a>>,
    step: Option<Text<'a>>,
    observation: Option<Text<'a>>,
    /// The provider by each convention's name, best first.
    providers: [Option<Text<'a>>; 4],
    server: Option<Text<'a>>,
    served: Option<Text<'a>>,
    requested: Option<Text<'a>>,
    response_id: Option<Text<'a>>,
    tier: Option<Text<'a>>,
    key: Option<Text<'a>>,
    team: Option<Text<'a>>,
    user: Option<Text<'a>>,
    project: Option<Text<'a>>,
    error: Option<Text<'a>>,
    http_status: Option<i16>,
    max_tokens: Option<i64>,
    streamed: Option<bool>,
    cost: Option<Usd>,
    /// Of `gen_ai.usage.*`, and of all other conventions.
    totals: [Totals; 2],
    labels: Labels<'s>,
}

/// The value of an attribute, if it is a single one.
pub(super) fn scalar(value: Value<'_>) -> Option<Value<'_>> {
    value
        .entries()
        .find(|(key, _)| matches!(key.raw(), "stringValue" | "intValue" | "doubleValue" | "boolValue"))
        .map(|(_, value)| value)
}

/// A list of attributes: their names and single values.
fn pairs<'a>(attributes: Value<'a>) -> impl Iterator<Item = (Text<'a>, Field<'a>)> {
    attributes
        .items()
        .filter_map(|attribute| Some((attribute.get("key")?.text()?, scalar(attribute.get("value")?)?.into())))
}

impl<'a, 's> Attributes<'a, 's> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { labels: Labels::new(source), ..Self::default() }
    }

    pub(super) fn read(&mut self, attributes: Value<'a>) -> Result<(), Reject> {
        for (name, field) in pairs(attributes) {
            self.labels.put_field(&name, &field);
            if let Some(place) = self.count_field(&name) {
                *place = count(&name, &field)?.or(*place);
            } else if let Some(place) = self.text_field(&name) {
                // Today's conventions are believed before all others.
                if place.is_none() || name.starts_with("gen_ai.") {
                    *place = field.text(&name)?.or(place.take());
                }
            } else {
                self.read_other(&name, &field)?;
            }
        }
        Ok(())
    }

    /// What the resource says of all its spans; a span's own word comes first.
    pub(super) fn read_resource(&mut self, attributes: Value<'a>) -> Result<(), Reject> {
        let mut service = None;
        for (name, field) in pairs(attributes) {
            self.labels.put_field(&name, &field);
            if name == "service.name" {
                service = field.any_text();
            } else if let Some(place) = self.who_field(&name)
                && place.is_none()
            {
                *place = field.text(&name)?;
            }
        }
        self.project = self.project.take().or(service);
        Ok(())
    }

    /// Whether the span is one call of a model: by what it says of itself, most
    /// telling first; where it says nothing, by a model and usage.
    pub(super) fn is_generation(&self) -> bool {
        if let Some(step) = self.step.as_deref() {
            // `ai.generateText` repeats the sum of its `ai.generateText.doGenerate`.
            return step.rsplit('.').next().is_some_and(|last| last.starts_with("do"));
        }
        match self.operation.as_deref() {
            Some(
                "chat" | "text_completion" | "completion" | "generate_content" | "embeddings" | "responses"
                | "image_generation" | "speech" | "transcription",
            ) => return true,
            Some(
                "create_agent" | "invoke_agent" | "execute_tool" | "invoke_workflow" | "plan" | "retrieval" | "agent"
                | "tool" | "workflow" | "task" | "evaluate",
            ) => return false,
            _ => {}
        }
        if let Some(kind) = self.inference_kind.as_deref() {
            return ["LLM", "EMBEDDING"].iter().any(|known| known.eq_ignore_ascii_case(kind));
        }
        if let Some(observation) = self.observation.as_deref() {
            return matches!(observation, "generation" | "embedding");
        }
        if self.traceloop_kind.is_some() {
            return false;
        }
        if let Some(request_type) = self.request_type.as_deref() {
            return matches!(request_type, "chat" | "completion" | "embedding");
        }
        let has_usage = self.totals.iter().any(|totals| totals.prompt.is_some() || totals.completion.is_some());
        has_usage && (self.served.is_some() || self.requested.is_some())
    }

    /// Writes what was said into the record.
    pub(super) fn fill(mut self, found: &mut Found<'a>) {
        let operation = self.operation();
        let [of_genai, of_others] = self.totals;
        let mut totals = of_genai.or(of_others);
        totals.cache_beside_prompt = is_beside(&totals);
        let counts = totals.gateway_counts();
        found.ids[0] = self.response_id;
        let record = &mut found.record;
        record.operation = operation;
        counts.put(record);
        let said = self.providers.iter_mut().find_map(Option::take).map(provider::named);
        record.provider =
            self.server.as_deref().and_then(provider::at_host).map(Cow::Borrowed).or(said).unwrap_or_default();
        record.model = self.served.or_else(|| self.requested.clone()).unwrap_or_default();
        record.model_requested = self.requested;
        record.tier = self.tier;
        record.key = self.key;
        record.team_reported = self.team;
        record.user = self.user;
        record.project = self.project;
        record.error_code = self.error;
        record.http_status = self.http_status;
        record.max_tokens = self.max_tokens;
        record.streamed = self.streamed;
        record.reported_cost = self.cost;
        record.tags = self.labels.into_tags();
    }

    fn operation(&self) -> Operation {
        let words = [&self.operation, &self.inference_kind, &self.request_type, &self.step, &self.observation];
        let is = |sign: &str| words.iter().any(|word| word.as_deref().is_some_and(|word| word.contains(sign)));
        match self.operation.as_deref() {
            Some("text_completion" | "completion") => Operation::Completion,
            Some("responses") => Operation::Responses,
            Some("image_generation") => Operation::Image,
            Some("speech") => Operation::Speech,
            Some("transcription") => Operation::Transcription,
            _ if is("embedding") || is("EMBEDDING") || is("doEmbed") => Operation::Embedding,
            None if self.request_type.as_deref() == Some("completion") => Operation::Completion,
            _ => Operation::Chat,
        }
    }

    fn count_field(&mut self, name: &str) -> Option<&mut Option<i64>> {
        let [of_genai, of_others] = &mut self.totals;
        if let Some(short) = name.strip_prefix("gen_ai.usage.") {
            return Some(match short {
                "input_tokens" => &mut of_genai.prompt,
                "prompt_tokens" => &mut of_others.prompt,
                "output_tokens" => &mut of_genai.completion,
                "completion_tokens" => &mut of_others.completion,
                "total_tokens" => &mut of_genai.total,
                "cache_read.input_tokens" => &mut of_genai.cached,
                "cache_read_input_tokens"
                | "cached_input_tokens"
                | "cached_tokens"
                | "input_tokens.cached"
                | "details.cache_read_tokens" => &mut of_others.cached,
                "cache_creation.input_tokens" => &mut of_genai.written,
                "cache_creation_input_tokens" | "input_tokens.cache_write" | "details.cache_write_tokens" => {
                    &mut of_others.written
                }
                "reasoning.output_tokens" => &mut of_genai.reasoning,
                "reasoning_tokens" | "output_tokens.reasoning" | "details.reasoning_tokens" => &mut of_others.reasoning,
                _ => return None,
            });
        }
        Some(match name {
            "llm.usage.prompt_tokens"
            | "llm.token_count.prompt"
            | "ai.usage.promptTokens"
            | "ai.usage.inputTokens"
            | "ai.usage.tokens" => &mut of_others.prompt,
            "llm.usage.completion_tokens"
            | "llm.token_count.completion"
            | "ai.usage.completionTokens"
            | "ai.usage.outputTokens" => &mut of_others.completion,
            "llm.usage.total_tokens" | "llm.token_count.total" | "ai.usage.totalTokens" => &mut of_others.total,
            "llm.usage.cache_read_input_tokens"
            | "llm.token_count.prompt_details.cache_read"
            | "ai.usage.cachedInputTokens"
            | "ai.usage.inputTokenDetails.cacheReadTokens" => &mut of_others.cached,
            "llm.usage.cache_creation_input_tokens"
            | "llm.token_count.prompt_details.cache_write"
            | "ai.usage.inputTokenDetails.cacheWriteTokens" => &mut of_others.written,
            "llm.usage.reasoning_tokens"
            | "llm.token_count.completion_details.reasoning"
            | "ai.usage.reasoningTokens"
            | "ai.usage.outputTokenDetails.reasoningTokens" => &mut of_others.reasoning,
            "gen_ai.request.max_tokens"
            | "llm.request.max_tokens"
            | "ai.settings.maxTokens"
            | "ai.settings.maxOutputTokens" => &mut self.max_tokens,
            _ => return None,
        })
    }

    fn text_field(&mut self, name: &str) -> Option<&mut Option<Text<'a>>> {
        Some(match name {
            "gen_ai.operation.name" => &mut self.operation,
            "openinference.span.kind" => &mut self.inference_kind,
            "traceloop.span.kind" => &mut self.traceloop_kind,
            "llm.request.type" => &mut self.request_type,
            "ai.operationId" => &mut self.step,
            "langfuse.observation.type" => &mut self.observation,
            "gen_ai.provider.name" => &mut self.providers[0],
            "gen_ai.system" => &mut self.providers[1],
            "llm.provider" => &mut self.providers[2],
            "llm.system" | "llm.vendor" | "ai.model.provider" | "gen_ai.model.provider" => &mut self.providers[3],
            "server.address" => &mut self.server,
            "gen_ai.response.model" | "ai.response.model" | "llm.response.model" => &mut self.served,
            "gen_ai.request.model"
            | "ai.model.id"
            | "llm.request.model"
            | "llm.model_name"
            | "embedding.model_name" => &mut self.requested,
            "gen_ai.response.id" | "ai.response.id" => &mut self.response_id,
            "openai.response.service_tier" | "gen_ai.openai.response.service_tier" => &mut self.tier,
            "error.type" => &mut self.error,
            _ => return self.who_field(name),
        })
    }

    /// Who asked. No convention but `user.id` and `enduser.id`.
    fn who_field(&mut self, name: &str) -> Option<&mut Option<Text<'a>>> {
        let who = match name {
            "langfuse.user.id" | "ai.telemetry.metadata.userId" | "traceloop.association.properties.user_id" => {
                Who::User
            }
            "gen_ai.api_key.name" | "llm.api_key.name" => Who::Key,
            "openinference.project.name" => Who::Project,
            _ => Who::of(name)?,
        };
        Some(match who {
            Who::Key => &mut self.key,
            Who::Team => &mut self.team,
            Who::User => &mut self.user,
            Who::Project => &mut self.project,
        })
    }

    fn read_other(&mut self, name: &str, field: &Field<'a>) -> Result<(), Reject> {
        match name {
            "http.response.status_code" | "http.status_code" => self.http_status = field.http_status(name)?,
            "gen_ai.usage.cost" | "llm.cost.total" => self.cost = field.cost(name, 0)?,
            "gen_ai.request.stream" | "gen_ai.is_streaming" | "llm.is_streaming" => self.streamed = field.flag(),
            _ => {}
        }
        Ok(())
    }
}

/// A count: a text of digits by the letter of OTLP, but also a number or its halves.
fn count(name: &str, field: &Field<'_>) -> Result<Option<i64>, Reject> {
    match field.value().and_then(halves) {
        Some(count) => Field::Text(count.to_string().into()).count(name),
        None => field.count(name),
    }
}

/// Whether more was read from and written to a cache than there is input: then
/// it stands beside. What the total proves, [`Totals`] sees by itself.
fn is_beside(totals: &Totals) -> bool {
    let sum = |counts: [Option<i64>; 2]| counts.iter().flatten().map(|&count| i128::from(count)).sum::<i128>();
    sum([totals.cached, totals.written]) > sum([totals.prompt, None])
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::shared::testing, Otlp},
        *,
    };

    /// Attributes as `name=value`, numbers as texts of digits.
    fn check(attributes: &[&str], expect: &str) {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                let kind = if value.parse::<i64>().is_ok() { "intValue" } else { "stringValue" };
                format!(r#"{{"key":"{name}","value":{{"{kind}":"{value}"}}}}"#)
            })
            .collect();
        let json = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"t","spanId":"s","startTimeUnixNano":"1780300800000000000","attributes":[{}]}}]}}]}}]}}"#,
            attributes.join(",")
        );
        assert_eq!(testing::ledger(&Otlp, &json, &Source::default()), expect, "{json}");
    }

    #[test]
    fn conventions_say_the_same() {
        let expect = "2026-06-01T08:00:00Z openai m chat success reported in=6 cached=4 out=5 reasoning=2";
        check(
            &[
                "gen_ai.operation.name=chat",
                "gen_ai.provider.name=openai",
                "gen_ai.response.model=m",
                "gen_ai.usage.input_tokens=10",
                "gen_ai.usage.output_tokens=5",
                "gen_ai.usage.cache_read.input_tokens=4",
                "gen_ai.usage.reasoning.output_tokens=2",
            ],
            expect,
        );
        check(
            &[
                "llm.request.type=chat",
                "gen_ai.system=OpenAI",
                "gen_ai.request.model=m",
                "gen_ai.usage.prompt_tokens=10",
                "gen_ai.usage.completion_tokens=5",
                "gen_ai.usage.cache_read_input_tokens=4",
                "gen_ai.usage.reasoning_tokens=2",
                "llm.usage.total_tokens=15",
            ],
            expect,
        );
        check(
            &[
                "openinference.span.kind=LLM",
                "llm.provider=openai",
                "llm.model_name=m",
                "llm.token_count.prompt=10",
                "llm.token_count.completion=5",
                "llm.token_count.prompt_details.cache_read=4",
                "llm.token_count.completion_details.reasoning=2",
            ],
            expect,
        );
        check(
            &[
                "ai.operationId=ai.streamText.doStream",
                "ai.model.provider=openai.chat",
                "ai.model.id=m",
                "ai.usage.promptTokens=10",
                "ai.usage.completionTokens=5",
                "ai.usage.cachedInputTokens=4",
                "ai.usage.reasoningTokens=2",
            ],
            expect,
        );
    }

    #[test]
    fn only_generations_are_usage() {
        let usage = ["gen_ai.request.model=m", "gen_ai.usage.input_tokens=1", "gen_ai.system=openai"];
        let row = "2026-06-01T08:00:00Z openai m chat success reported in=1";
        for (attribute, expect) in [
            ("x=y", row),
            ("gen_ai.operation.name=chat", row),
            ("gen_ai.operation.name=invoke_agent", "skip not_generation"),
            ("openinference.span.kind=AGENT", "skip not_generation"),
            ("traceloop.span.kind=workflow", "skip not_generation"),
            ("langfuse.observation.type=span", "skip not_generation"),
            ("ai.operationId=ai.generateText", "skip not_generation"),
            ("ai.operationId=ai.generateText.doGenerate", row),
            ("gen_ai.operation.name=embeddings", "2026-06-01T08:00:00Z openai m embedding success reported in=1"),
        ] {
            check(&[&usage[..], &[attribute]].concat(), expect);
        }
        check(&["http.request.method=POST"], "skip not_generation");
    }

    #[test]
    fn cached_tokens_stand_beside_the_input_where_numbers_prove_it() {
        let span = |rest: &[&'static str]| {
            [&["gen_ai.operation.name=chat", "gen_ai.system=anthropic", "gen_ai.request.model=m"][..], rest].concat()
        };
        let row = "2026-06-01T08:00:00Z anthropic m chat success reported";
        check(
            &span(&[
                "gen_ai.usage.input_tokens=5",
                "gen_ai.usage.cache_read_input_tokens=128955",
                "gen_ai.usage.cache_creation_input_tokens=1253",
            ]),
            &format!("{row} in=5 cached=128955 written=1253"),
        );
        check(
            &span(&[
                "gen_ai.usage.input_tokens=50",
                "gen_ai.usage.output_tokens=1",
                "llm.usage.total_tokens=61",
                "gen_ai.usage.cache_read_input_tokens=10",
            ]),
            &format!("{row} in=50 cached=10 out=1"),
        );
        check(
            &span(&[
                "gen_ai.usage.input_tokens=50",
                "gen_ai.usage.output_tokens=1",
                "gen_ai.usage.cache_read.input_tokens=10",
            ]),
            &format!("{row} in=40 cached=10 out=1"),
        );
    }
}
