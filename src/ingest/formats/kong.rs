//! `kong`: the lines of Kong's `file-log` and the objects of its `http-log`,
//! whose `ai` block holds what AI plugins saw.
//!
//! Each member of `ai` that speaks of a model (`proxy`, a plugin's name in old
//! versions, a transformer, a judge) is a call of its own, told apart by
//! `part`. A `cost` of 0 says that no price was configured, not that the call
//! was free. The meaning of some counts changed between versions, which only
//! `source_version` can tell; [`Version`] holds what is known. Streams whose
//! tokens the open-source version estimated from their length look like others.

use std::borrow::Cow;

use super::{
    Entry, Format, Found, Recognition, Reject, RejectReason, Sink, Skip,
    shared::{
        ending, endpoint,
        field::{Field, members, word},
        labels::tags,
        tokens::Totals,
        usage::Usage,
    },
};
use crate::{
    config::Source,
    json::Value,
    money::Usd,
    record::{Operation, Quality, Text, UsageRecord},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Kong;

impl Format for Kong {
    fn name(&self) -> &'static str {
        "kong"
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let Entry::Json(line) = entry else { return Recognition::NONE };
        let has = |name: &str| line.some(name).is_some();
        let plugins = line.some("ai").into_iter().flat_map(|ai| ai.entries().map(|(_, plugin)| plugin));
        if plugins.into_iter().any(|plugin| plugin.path(&["meta", "provider_name"]).is_some()) {
            return Recognition::of(95, "an `ai` block whose members have `meta.provider_name`");
        }
        if has("started_at") && has("latencies") && has("request") && (has("route") || has("service") || has("tries")) {
            return Recognition::of(80, "Kong's `started_at`, `latencies` and `request`");
        }
        Recognition::NONE
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Entry::Json(line) = entry else { return sink.skip(Skip::NotUsage) };
        let envelope = match Envelope::read(*line, source) {
            Ok(envelope) => envelope,
            Err(reject) => return sink.reject(reject),
        };
        let plugins = match envelope.plugins() {
            Ok(plugins) if !plugins.is_empty() => plugins,
            Ok(_) => return sink.skip(envelope.skip()),
            Err(reject) => return sink.reject(reject),
        };
        for (name, plugin) in plugins {
            match envelope.call(name, plugin, source) {
                Ok(mut found) => sink.record(&mut found),
                Err(reject) => sink.reject(reject),
            }
        }
    }
}

/// What Kong logs of every request, whoever answered it.
struct Envelope<'a> {
    record: UsageRecord<'a>,
    ids: [Option<Text<'a>>; 2],
    ts: Option<Instant>,
    path: Text<'a>,
    agent: Text<'a>,
    ai: Option<Value<'a>>,
}

impl<'a> Envelope<'a> {
    fn read(line: Value<'a>, source: &Source) -> Result<Self, Reject> {
        let mut it = Self {
            record: UsageRecord::at(Instant::EARLIEST),
            ids: [None, None],
            ts: None,
            path: Cow::Borrowed(""),
            agent: Cow::Borrowed(""),
            ai: None,
        };
        let mut upstream_status = None;
        for (name, field) in members(line) {
            let of = |path: &[&str]| Field::from(field.value().and_then(|value| value.path(path)));
            match name {
                "ai" => it.ai = field.value(),
                "started_at" => it.ts = field.time(name, source.timezone)?,
                "request" => {
                    it.ids[0] = of(&["id"]).text("request.id")?;
                    it.path = of(&["uri"]).any_text().unwrap_or_default();
                    it.agent = of(&["headers", "user-agent"]).any_text().unwrap_or_default();
                }
                "response" => {
                    it.record.http_status = of(&["status"]).http_status("response.status")?;
                    it.ids[1] = of(&["headers", "x-kong-request-id"]).any_text();
                }
                // One code for each attempt: `502, 200`.
                "upstream_status" => upstream_status = field.any_text(),
                "latencies" => {
                    it.record.latency_ms = of(&["request"]).millis("latencies.request", 1_000)?;
                }
                "consumer" => {
                    it.record.user = of(&["custom_id"]).any_text();
                    it.record.key = of(&["username"])
                        .any_text()
                        .or_else(|| it.record.user.clone())
                        .or_else(|| of(&["id"]).any_text())
                        .or(it.record.key);
                }
                "authenticated_entity" => {
                    it.record.key = it.record.key.or_else(|| of(&["id"]).any_text());
                }
                "workspace_name" => it.record.project = field.any_text(),
                _ => {}
            }
        }
        if it.record.http_status.is_none() {
            let last = upstream_status.as_deref().and_then(|codes| codes.rsplit([',', ' ']).next()?.parse().ok());
            it.record.http_status = last.filter(|code| (0..1000).contains(code));
        }
        it.record.status = ending::status(it.record.http_status, None);
        it.record.operation = endpoint::operation(&it.path).unwrap_or(Operation::Chat);
        if !source.tags.is_empty() {
            it.record.tags = tags(line, source);
        }
        Ok(it)
    }

    /// The members of `ai` that speak of a model, with their names.
    fn plugins(&self) -> Result<Vec<(Text<'a>, Value<'a>)>, Reject> {
        let Some(ai) = self.ai else { return Ok(Vec::new()) };
        if !ai.is_object() {
            let detail = format!("`ai` is {}, expected an object", ai.kind_name());
            return Err(Reject::new(RejectReason::WrongType, detail));
        }
        let calls_a_model = |plugin: &Value<'_>| {
            plugin.path(&["meta", "provider_name"]).is_some()
                || plugin.path(&["meta", "request_model"]).is_some()
                || plugin.some("usage").is_some_and(|usage| !usage.is_object() || usage.entries().next().is_some())
        };
        if calls_a_model(&ai) {
            return Ok(vec![(Cow::Borrowed(""), ai)]);
        }
        Ok(ai
            .entries()
            .filter(|(_, plugin)| calls_a_model(plugin))
            .map(|(name, plugin)| (name.text(), plugin))
            .collect())
    }

    /// What a line without a call of a model is.
    fn skip(&self) -> Skip {
        if self.ai.is_some_and(|ai| ai.some("mcp").is_some()) {
            Skip::ToolCall
        } else if endpoint::is_health_check(&self.path, &self.agent) {
            Skip::HealthCheck
        } else {
            Skip::NotUsage
        }
    }

    /// The record of one plugin's call.
    fn call(&self, name: Text<'a>, plugin: Value<'a>, source: &Source) -> Result<Found<'a>, Reject> {
        let ts = self
            .ts
            .ok_or_else(|| Reject::missing("started_at", "the start of the request in milliseconds since 1970"))?;
        let mut found = Found::new(self.record.clone());
        found.ids.clone_from(&self.ids);
        let record = &mut found.record;
        record.ts = ts;
        let meta = |name: &str| Field::from(plugin.path(&["meta", name]));
        record.provider = meta("provider_name").text("meta.provider_name")?.unwrap_or_default();
        record.model_requested = meta("request_model").text("meta.request_model")?;
        record.model = meta("response_model")
            .text("meta.response_model")?
            .or_else(|| record.model_requested.clone())
            .unwrap_or_default();
        let is_main = name.is_empty() || name == "proxy" || name.starts_with("ai-proxy");
        if !is_main || record.latency_ms.is_none() {
            record.latency_ms =
                meta("llm_latency").millis("meta.llm_latency", 1_000)?.or(record.latency_ms.filter(|_| is_main));
        }
        record.streamed = match meta("request_mode").any_text().as_deref() {
            Some("stream") => Some(true),
            Some("oneshot") => Some(false),
            _ => None,
        };
        let cache = plugin.path(&["cache", "cache_status"]).map_or("", word);
        record.gateway_cache = cache.eq_ignore_ascii_case("hit");
        if let Some(usage) = plugin.some("usage") {
            let cost = Field::from(usage.get("cost")).cost("usage.cost", 0)?;
            record.reported_cost = cost.filter(|&cost| cost != Usd::ZERO);
            count(usage, Version::of(source), record)?;
        }
        record.part = name;
        Ok(found)
    }
}

/// Reads a plugin's `usage`, and makes of it what its version meant.
fn count(usage: Value<'_>, version: Option<Version>, record: &mut UsageRecord<'_>) -> Result<(), Reject> {
    let mut totals = Usage::read(Some(usage))?.unwrap_or_default().totals();
    // Up to 3.9.
    let old = |name: &str| Field::from(usage.get(name)).count(name);
    totals.prompt = totals.prompt.or(old("prompt_token")?);
    totals.completion = totals.completion.or(old("completion_token")?);
    let is_stream = record.streamed == Some(true);
    let worst = adjust(&mut totals, version, &record.provider.to_ascii_lowercase(), is_stream);
    let counts = totals.gateway_counts();
    counts.put(record);
    record.quality = record.quality.max(worst);
    Ok(())
}

/// Turns the counts of old versions into what they mean today, and says how
/// far they can be trusted at best.
fn adjust(totals: &mut Totals, version: Option<Version>, provider: &str, is_stream: bool) -> Quality {
    let mut quality = Quality::Reported;
    let is_before = |fixed: Version| version.is_some_and(|version| version < fixed);
    match provider {
        "anthropic" => {
            let has_cache = totals.cached.unwrap_or(0) > 0 || totals.written.unwrap_or(0) > 0;
            totals.cache_beside_prompt = is_before(Version::ANTHROPIC_CACHE_IN_PROMPT);
            // Both meanings are possible.
            if has_cache && version.is_none() {
                quality = Quality::Estimated;
            }
        }
        "gemini" => {
            let outside = totals.reasoning.filter(|_| is_before(Version::STREAMS_AND_REASONING));
            if let (Some(reasoning), Some(completion)) = (outside, totals.completion) {
                totals.completion = Some(completion.saturating_add(reasoning));
                totals.total = None;
            }
        }
        _ => {}
    }
    if is_stream && matches!(provider, "anthropic" | "gemini") && is_before(Version::STREAMS_AND_REASONING) {
        quality = Quality::Estimated;
    }
    let is_lost = totals.completion == Some(0) && totals.prompt.is_some_and(|prompt| prompt > 0);
    if is_stream && is_lost && version.is_none_or(Version::loses_streamed_completions) {
        totals.completion = None;
        totals.total = None;
        quality = Quality::Partial;
    }
    quality
}

/// A version of Kong Gateway: `3.14.0.8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version([u32; 4]);

impl Version {
    /// From here on the prompt of Anthropic's models includes cached tokens.
    const ANTHROPIC_CACHE_IN_PROMPT: Self = Self([3, 14, 0, 8]);
    /// Before, streams of Anthropic's and Gemini's models were counted too
    /// high, and Gemini's reasoning was not in the completion.
    const STREAMS_AND_REASONING: Self = Self([3, 14, 0, 13]);

    fn of(source: &Source) -> Option<Self> {
        Self::parse(source.source_version.as_deref()?)
    }

    /// Reads up to four numbers; what follows a `-` or blank does not count.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let mut parts = [0; 4];
        let mut numbers = text.split(['-', ' ', '+']).next()?.split('.');
        for part in &mut parts {
            let Some(number) = numbers.next() else { break };
            *part = number.parse().ok()?;
        }
        Some(Self(parts))
    }

    /// Whether it logs 0 for the completion of a stream.
    fn loses_streamed_completions(self) -> bool {
        self < match self.0 {
            [3, 10, ..] => Self([3, 10, 0, 7]),
            [3, 11, ..] => Self([3, 11, 0, 7]),
            [3, 12, ..] => Self([3, 12, 0, 1]),
            _ => Self([3, 13, 0, 0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::shared::testing, *};

    fn check(version: Option<&str>, ai: &str, expect: &str) {
        let source = Source { source_version: version.map(str::to_owned), ..Source::default() };
        let json = format!(
            r#"{{"started_at":1780300800000,"request":{{"id":"2f6946328ffc4946b8c9120704a4a155","uri":"/v1/chat/completions"}},"response":{{"status":200}},"ai":{ai}}}"#
        );
        assert_eq!(testing::ledger(&Kong, &json, &source), expect, "{version:?} {ai}");
    }

    fn proxy(provider: &str, mode: &str, usage: &str) -> String {
        format!(
            r#"{{"proxy":{{"meta":{{"provider_name":"{provider}","request_model":"m","request_mode":"{mode}"}},"usage":{usage}}}}}"#
        )
    }

    #[test]
    fn the_meaning_follows_the_version() {
        let cached = r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":60}}"#;
        let anthropic = proxy("anthropic", "oneshot", cached);
        let row = "2026-06-01T08:00:00Z anthropic m chat success";
        check(Some("3.14.0.7"), &anthropic, &format!("{row} reported in=100 cached=60 out=5"));
        check(Some("3.14.0.8"), &anthropic, &format!("{row} reported in=40 cached=60 out=5"));
        check(None, &anthropic, &format!("{row} estimated in=40 cached=60 out=5"));
        check(
            Some("3.10.0.0"),
            &proxy("openai", "oneshot", cached),
            "2026-06-01T08:00:00Z openai m chat success reported in=40 cached=60 out=5",
        );
        let plain = r#"{"prompt_tokens":100,"completion_tokens":5}"#;
        check(Some("3.14.0.12"), &proxy("anthropic", "stream", plain), &format!("{row} estimated in=100 out=5"));
        check(Some("3.14.0.13"), &proxy("anthropic", "stream", plain), &format!("{row} reported in=100 out=5"));
        let thought = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":3}}"#;
        let row = "2026-06-01T08:00:00Z gemini m chat success reported in=10";
        check(Some("3.14"), &proxy("gemini", "oneshot", thought), &format!("{row} out=8 reasoning=3"));
        check(Some("3.15"), &proxy("gemini", "oneshot", thought), &format!("{row} out=5 reasoning=3"));
    }

    #[test]
    fn a_stream_without_completion_lost_it() {
        let lost = proxy("openai", "stream", r#"{"prompt_tokens":10,"completion_tokens":0,"total_tokens":10}"#);
        let row = "2026-06-01T08:00:00Z openai m chat success";
        for (version, expect) in [
            (Some("3.9.1"), "partial in=10"),
            (Some("3.10.0.6-enterprise-edition"), "partial in=10"),
            (Some("3.10.0.7"), "reported in=10 out=0"),
            (Some("3.12.0.0"), "partial in=10"),
            (Some("3.13"), "reported in=10 out=0"),
            (None, "partial in=10"),
        ] {
            check(version, &lost, &format!("{row} {expect}"));
        }
    }

    #[test]
    fn every_plugin_is_a_call_and_old_names_are_read() {
        check(
            None,
            r#"{"payload":{"request":"x"},"ai-proxy":{"meta":{"provider_name":"cohere","request_model":"command","response_model":"command-r"},"usage":{"prompt_token":28,"completion_token":20,"total_tokens":48,"cost":0}},"ai-request-transformer":{"meta":{"provider_name":"openai","request_model":"gpt-4o"},"usage":{"prompt_token":3,"completion_token":1,"cost":0.00037}}}"#,
            "2026-06-01T08:00:00Z cohere command-r chat success reported in=28 out=20 requested=command\n\
             2026-06-01T08:00:00Z openai gpt-4o chat success reported in=3 out=1 cost=370000000",
        );
        check(
            None,
            r#"{"proxy":{"meta":{"provider_name":"cohere","request_model":"m"},"cache":{"cache_status":"Hit"},"usage":{"prompt_tokens":14,"completion_tokens":21}}}"#,
            "2026-06-01T08:00:00Z cohere m chat success reported in=14 out=21 gateway_cache",
        );
    }

    #[test]
    fn other_traffic_is_skipped_and_broken_blocks_are_not() {
        check(None, "null", "skip not_usage");
        check(None, "{}", "skip not_usage");
        check(None, r#"{"payload":{"request":"x"}}"#, "skip not_usage");
        check(None, r#"{"mcp":{"rpc":[]}}"#, "skip tool_call");
        check(None, "[1]", "reject wrong_type: `ai` is an array, expected an object");
        check(None, r#"{"proxy":{"usage":7}}"#, "reject wrong_type: `usage` is a number, expected an object");
    }
}
