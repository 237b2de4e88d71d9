//! `envoy`: the JSON access log of Envoy AI Gateway, and of a plain Envoy that
//! writes the same fields.
//!
//! The operator names the fields; read are those that the gateway's own
//! documentation ships (up to v0.4, from v0.7) and the metadata keys below
//! them. Input includes what was read from and written to a cache. Tokens are
//! only known at the end of a successful response: a line without them is one
//! that broke off, although the provider may bill it. `gen_ai.provider.name`
//! holds a route to a backend (`ns/name/route/…`) more often than a provider.
//! One `x-request-id` may be handed on through many calls of a model, so the
//! start of the request tells them apart.

use std::borrow::Cow;

use super::{
    Entry, Format, Found, NoRecord, Read, Recognition, Reject, Sink, Skip,
    shared::{
        endpoint,
        field::{Field, members},
        labels::tags,
        provider,
        tokens::Totals,
        who::Who,
    },
};
use crate::{
    config::Source,
    json::Value,
    record::{Operation, Quality, Status, Text, UsageRecord},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Envoy;

impl Format for Envoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        let (mut of_envoy, mut of_gateway) = (0, false);
        for (key, _) in line.entries() {
            match key.raw() {
                "start_time" | "response_code" => of_envoy += 2,
                "response_flags" | "upstream_cluster" | "upstream_host" | "x-envoy-origin-path" => of_envoy += 1,
                "mcp.method.name" => of_gateway = true,
                name => of_gateway |= token_field(&mut Totals::default(), name).is_some(),
            }
        }
        match (of_envoy, of_gateway) {
            (5.., true) => Recognition::of(95, "`start_time` and `response_code` beside token counts"),
            (5.., false) => Recognition::of(65, "`start_time`, `response_code` and what else Envoy logs of a request"),
            (4, true) => Recognition::of(80, "`start_time` and `response_code` beside token counts"),
            _ => Recognition::NONE,
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        sink.put(Line::read(*line, source).map_err(NoRecord::from).and_then(|line| line.judge(source)));
    }
}

/// What a line says, before it is judged.
struct Line<'a> {
    found: Found<'a>,
    ts: Option<Instant>,
    totals: Totals,
    provider: Option<Text<'a>>,
    requested: Option<Text<'a>>,
    overridden: Option<Text<'a>>,
    served: Option<Text<'a>>,
    path: Option<Text<'a>>,
    flags: Option<Text<'a>>,
    agent: Option<Text<'a>>,
    is_mcp: bool,
}

impl<'a> Line<'a> {
    fn read(line: Value<'a>, source: &Source) -> Result<Self, Reject> {
        let mut it = Self {
            found: Found::new(UsageRecord::at(Instant::EARLIEST)),
            ts: None,
            totals: Totals::default(),
            provider: None,
            requested: None,
            overridden: None,
            served: None,
            path: None,
            flags: None,
            agent: None,
            is_mcp: false,
        };
        for (name, field) in members(line) {
            match name {
                "start_time" => it.ts = field.time(name, source.timezone)?,
                "duration" => it.found.record.latency_ms = field.millis(name, 1_000)?,
                "response_code" => it.found.record.http_status = field.http_status(name)?,
                "response_flags" => it.flags = field.text(name)?,
                "gen_ai.response.id" => it.found.ids[0] = field.text(name)?,
                "x-request-id" | "x_request_id" | "request_id" => it.found.ids[1] = field.text(name)?,
                "gen_ai.provider.name" => it.provider = field.text(name)?,
                "gen_ai.request.model" | "genai_model_name" | "x-ai-eg-model" | "request_model" => {
                    it.requested = field.text(name)?.or(it.requested);
                }
                "gen_ai.request.model_override" | "model_name_override" => {
                    it.overridden = field.text(name)?.or(it.overridden);
                }
                "gen_ai.response.model" | "response_model" => {
                    it.served = field.text(name)?.or(it.served);
                }
                "x-envoy-origin-path" | "x-envoy-original-path" | "path" | ":path" => {
                    it.path = field.any_text().or(it.path);
                }
                "user-agent" | "user_agent" => it.agent = field.any_text(),
                "mcp.method.name" | "mcp.provider.name" => it.is_mcp |= field.any_text().is_some(),
                _ => match token_field(&mut it.totals, name) {
                    Some(count) => *count = field.count(name)?.or(*count),
                    None => who(&mut it.found.record, name, &field)?,
                },
            }
        }
        if !source.tags.is_empty() {
            it.found.record.tags = tags(line, source);
        }
        Ok(it)
    }

    /// Whether it is usage, and how it ended.
    fn judge(self, source: &Source) -> Read<'a> {
        let Self { mut found, ts, totals, provider, requested, overridden, served, path, flags, agent, is_mcp } = self;
        let path = path.unwrap_or_default();
        let operation = endpoint::operation(&path);
        let counts = totals.gateway_counts();
        if is_mcp {
            return Err(Skip::ToolCall.into());
        }
        // A request to a model that failed early enough has neither model nor tokens.
        if requested.is_none() && served.is_none() && counts.quality == Quality::Missing && operation.is_none() {
            let is_probe = endpoint::is_health_check(&path, &agent.unwrap_or_default());
            return Err(if is_probe { Skip::HealthCheck } else { Skip::NotUsage }.into());
        }
        let ts = ts.ok_or_else(|| Reject::missing("start_time", "the start of the request as RFC 3339"))?;
        let record = &mut found.record;
        record.ts = ts;
        record.provider = provider.filter(|name| is_provider(name, source)).unwrap_or_default();
        record.model = served.or(overridden).or_else(|| requested.clone()).unwrap_or_default();
        record.model_requested = requested;
        record.operation = operation.unwrap_or(Operation::Chat);
        counts.put(record);
        record.status = status(record.http_status, flags.as_deref().unwrap_or(""), counts.quality);
        if record.status != Status::Success {
            record.error_code = flags;
        }
        if found.ids[0].is_none() {
            record.part = Cow::Owned(ts.to_string());
        }
        Ok(found)
    }
}

/// The count that a field of this name states.
fn token_field<'t>(totals: &'t mut Totals, name: &str) -> Option<&'t mut Option<i64>> {
    Some(match name {
        "gen_ai.usage.input_tokens" | "genai_tokens_input" | "llm_input_token" => &mut totals.prompt,
        "gen_ai.usage.output_tokens" | "genai_tokens_output" | "llm_output_token" => &mut totals.completion,
        "gen_ai.usage.total_tokens" | "genai_tokens_total" | "llm_total_token" => &mut totals.total,
        "gen_ai.usage.cached_input_tokens"
        | "gen_ai.usage.cache_read.input_tokens"
        | "genai_tokens_cached_input"
        | "llm_cached_input_token" => &mut totals.cached,
        "gen_ai.usage.cache_creation_input_tokens"
        | "gen_ai.usage.cache_creation.input_tokens"
        | "genai_tokens_cache_creation_input"
        | "llm_cache_creation_input_token" => &mut totals.written,
        "gen_ai.usage.reasoning_tokens"
        | "gen_ai.usage.reasoning.output_tokens"
        | "genai_tokens_reasoning"
        | "llm_reasoning_token" => &mut totals.reasoning,
        _ => return None,
    })
}

/// Who asked: no field of the gateway's own, but headers that operators map.
fn who<'a>(record: &mut UsageRecord<'a>, name: &str, field: &Field<'a>) -> Result<(), Reject> {
    let column = match (name, Who::of(name)) {
        (_, Some(who)) => who.column(record),
        ("openai.response.service_tier" | "service_tier" | "service-tier" | "x-service-tier", _) => &mut record.tier,
        _ => return Ok(()),
    };
    if let Some(text) = field.text(name)? {
        *column = Some(text);
    }
    Ok(())
}

/// Whether `gen_ai.provider.name` is one. A route to a backend has slashes; a
/// plain word may be the name of a backend too, and then the source knows better.
fn is_provider(name: &str, source: &Source) -> bool {
    provider::known(name).is_some() || (source.provider.is_none() && !name.contains('/'))
}

/// How a request ended, by its code and Envoy's flags, short or long. Envoy
/// logs 0 where the client went away before there was a response.
fn status(code: Option<i16>, flags: &str, quality: Quality) -> Status {
    let has = |short: &str, long: &str| flags.split(',').map(str::trim).any(|flag| flag == short || flag == long);
    match code {
        _ if has("RL", "RateLimited") => Status::Blocked,
        Some(0 | 499) => Status::Cancelled,
        Some(400..) => Status::Error,
        _ if quality != Quality::Missing => Status::Success,
        _ if has("DC", "DownstreamConnectionTermination") || has("DR", "DownstreamRemoteReset") => Status::Cancelled,
        _ => Status::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Entry, Format, shared::testing},
        Envoy,
    };
    use crate::{config::Source, record::Status};

    fn check(json: &str, expect: &str) {
        let source = Source { provider: Some("groq".into()), ..Source::default() };
        assert_eq!(testing::ledger(&Envoy, json, &source), expect, "{json}");
    }

    #[test]
    fn old_and_new_names_say_the_same() {
        let expect =
            "2026-06-01T08:00:00Z groq llama-3.1-8b-instant chat success reported in=70 cached=20 written=10 out=7";
        for (input, output, cached, written) in [
            (
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.output_tokens",
                "gen_ai.usage.cached_input_tokens",
                "gen_ai.usage.cache_creation_input_tokens",
            ),
            ("genai_tokens_input", "genai_tokens_output", "llm_cached_input_token", "llm_cache_creation_input_token"),
            ("llm_input_token", "llm_output_token", "llm_cached_input_token", "llm_cache_creation_input_token"),
        ] {
            check(
                &format!(
                    r#"{{"start_time":"2026-06-01T08:00:00Z","response_code":200,"gen_ai.request.model":"llama-3.1-8b-instant","gen_ai.provider.name":"default/groq/route/chat/rule/0/ref/0","{input}":100,"{output}":"7","{cached}":20.0,"{written}":10}}"#
                ),
                expect,
            );
        }
    }

    #[test]
    fn a_line_without_tokens_is_a_request_that_broke_off() {
        let line = |rest: &str| {
            format!(
                r#"{{"start_time":"2026-06-01T08:00:00Z","genai_model_name":"m","llm_input_token":"-","llm_output_token":null,{rest}}}"#
            )
        };
        for (rest, status) in [
            (r#""response_code":200,"response_flags":"DC""#, "cancelled missing error=DC"),
            (r#""response_code":"0","response_flags":"DC""#, "cancelled missing error=DC"),
            (r#""response_code":200,"response_flags":"-""#, "partial missing"),
            (r#""response_code":503,"response_flags":"UF,URX""#, "error missing error=UF,URX"),
            (r#""response_code":429,"response_flags":"RL""#, "blocked missing error=RL"),
        ] {
            check(&line(rest), &format!("2026-06-01T08:00:00Z groq m chat {status}"));
        }
    }

    #[test]
    fn what_no_model_answered_is_skipped() {
        check(
            r#"{"start_time":"2026-06-01T08:00:00Z","mcp.method.name":"tools/call","gen_ai.request.model":null}"#,
            "skip tool_call",
        );
        check(r#"{"start_time":"2026-06-01T08:00:00Z","path":"/healthz","response_code":200}"#, "skip health_check");
        check(r#"{"start_time":"2026-06-01T08:00:00Z","path":"/v1/models","response_code":200}"#, "skip not_usage");
        check(
            r#"{"start_time":"2026-06-01T08:00:00Z","path":"/v1/chat/completions","response_code":401}"#,
            "2026-06-01T08:00:00Z groq unknown chat error missing",
        );
    }

    #[test]
    fn one_request_id_may_be_of_many_requests() {
        let source = Source { provider: Some("groq".into()), ..Source::default() };
        let part = |time: &str| {
            let json = format!(
                r#"{{"start_time":"{time}","gen_ai.request.model":"m","x-request-id":"83b63da3-45a9-4196-98b8-1a7f697d6d8d"}}"#
            );
            testing::records(&Envoy, &json, &source, |record| {
                (record.request_id.to_string(), record.part.to_string(), record.status)
            })
        };
        assert_eq!(
            part("2026-06-01T08:00:00.894Z"),
            [("83b63da3-45a9-4196-98b8-1a7f697d6d8d".into(), "2026-06-01T08:00:00.894Z".into(), Status::Partial)],
        );
        assert_ne!(part("2026-06-01T08:00:00.894Z"), part("2026-06-01T08:00:00.895Z"));
    }

    #[test]
    fn knows_its_own_lines() {
        let sure = |json: &str| testing::with_json(json, |value| Envoy.recognises(&Entry::Json(value)).confidence);
        assert!(sure(r#"{"start_time":"x","response_code":200,"upstream_host":"x","llm_input_token":null}"#) > 90);
        assert!(sure(r#"{"start_time":"x","response_code":200,"upstream_host":"x"}"#) > 60);
        assert_eq!(sure(r#"{"ts":"x","model":"m","usage":{},"gen_ai.usage.input_tokens":1}"#), 0);
    }
}
