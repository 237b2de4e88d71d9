//! A line of Logpush: no id, no time, no tokens. All of them are in the answer,
//! which Logpush encrypts; a pipeline that decrypts it leaves the body as text
//! or object in `ResponseBody`, be it one JSON object or the events of a stream.

use std::borrow::Cow;

use super::super::{Fields, Found, Reject, path, usage::Totals};
use crate::{
    config::Source,
    json::{Scanner, Value},
    record::{Operation, Status, Text, UsageRecord},
    time::Instant,
};

pub(super) fn is_line(line: Value<'_>) -> bool {
    line.some("Gateway").is_some() && line.some("Provider").is_some() && line.get("StatusCode").is_some()
}

pub(super) fn read<'a>(line: Value<'a>, source: &Source) -> Result<Found<'a>, Reject> {
    let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
    let record = &mut found.record;
    let mut answer = Answer::default();
    let (mut ts, mut model, mut is_limited) = (None, None, false);
    for (key, value) in line.entries() {
        let name = key.raw();
        match name {
            "Datetime" | "Timestamp" => ts = Fields::time(name, Some(value), source.timezone)?,
            "Provider" => record.provider = Fields::text(name, Some(value))?.unwrap_or_default(),
            "Model" => model = Fields::text(name, Some(value))?,
            "Endpoint" => {
                let path = Fields::any_text(Some(value)).unwrap_or_default();
                record.operation = path::operation(&path).unwrap_or(Operation::Chat);
            }
            "StatusCode" => record.http_status = super::super::http_status(name, value)?.filter(|&code| code != 0),
            "Cached" => record.gateway_cache = value.bool() == Some(true),
            "RateLimited" => is_limited = value.bool() == Some(true),
            "Metadata" => super::metadata(value, source, record),
            "ResponseBody" => answer.read_body(value)?,
            _ => {}
        }
    }
    let Some(ts) = ts.or(answer.created) else {
        return Err(Reject::missing(
            "Datetime",
            "a time: a line of Logpush has none, and no tokens, unless its `ResponseBody` is decrypted and states `created`; \
             fetch the gateway's logs from the REST API instead",
        ));
    };
    (record.ts, record.ts_last) = (ts, ts);
    record.model_requested.clone_from(&model);
    record.model = answer.model.or(model).unwrap_or_default();
    record.tier = answer.tier;
    let counts = answer.totals.counts();
    record.quantities = counts.quantities;
    record.reasoning_tokens = counts.reasoning_tokens;
    record.quality = counts.quality;
    record.status = if is_limited { Status::Blocked } else { super::super::status(record.http_status, None) };
    found.ids[0] = answer.id;
    found.created = answer.created.map(Instant::seconds);
    Ok(found)
}

/// What an answer says of itself, in `OpenAI`'s or Anthropic's words.
#[derive(Default)]
struct Answer {
    id: Option<Text<'static>>,
    model: Option<Text<'static>>,
    tier: Option<Text<'static>>,
    created: Option<Instant>,
    totals: Totals,
}

impl Answer {
    fn read_body(&mut self, body: Value<'_>) -> Result<(), Reject> {
        let Some(text) = body.text() else { return self.read_event(body) };
        let mut scanner = Scanner::new();
        if text.trim_start().starts_with('{') {
            return scanner.scan(&text).map_or(Ok(()), |body| self.read_event(body));
        }
        // Of a stream each event may add to what is known; counts are never summed.
        for line in text.lines() {
            let event = line.strip_prefix("data:").map(|data| scanner.scan(data.trim()));
            if let Some(Ok(event)) = event {
                self.read_event(event)?;
            }
        }
        Ok(())
    }

    fn read_event(&mut self, event: Value<'_>) -> Result<(), Reject> {
        let event = event.some("message").or_else(|| event.some("response")).unwrap_or(event);
        let text = |name: &str| Fields::any_text(event.get(name)).map(|text| Cow::Owned(text.into_owned()));
        self.id = self.id.take().or_else(|| text("id"));
        self.model = text("model").or_else(|| self.model.take());
        self.tier = text("service_tier").or_else(|| self.tier.take());
        for name in ["created", "created_at"] {
            self.created = Fields::time(name, event.get(name), chrono_tz::Tz::UTC)?.or(self.created);
        }
        let usage = event.some("usage").or_else(|| event.path(&["x_groq", "usage"]));
        self.read_usage(usage)
    }

    fn read_usage(&mut self, usage: Option<Value<'_>>) -> Result<(), Reject> {
        let Some(new) = super::super::usage::read_totals(usage)? else { return Ok(()) };
        let it = &mut self.totals;
        it.prompt = new.prompt.or(it.prompt);
        it.completion = new.completion.or(it.completion);
        it.total = new.total.or(it.total);
        it.cached = new.cached.or(it.cached);
        it.cache_write_5m = new.cache_write_5m.or(it.cache_write_5m);
        it.reasoning = new.reasoning.or(it.reasoning);
        let field = |path: &[&str]| Fields::count(path[path.len() - 1], usage.and_then(|usage| usage.path(path)));
        let read = field(&["cache_read_input_tokens"])?;
        let written = field(&["cache_creation_input_tokens"])?;
        let long_lived = field(&["cache_creation", "ephemeral_1h_input_tokens"])?;
        if read.is_some() || written.is_some() {
            // Anthropic's names: the cache stands beside the input.
            it.cache_beside_prompt = true;
            it.cached = read.or(it.cached);
            it.cache_write_1h = long_lived.or(it.cache_write_1h);
            let short_lived = written.map(|written| written.saturating_sub(it.cache_write_1h.unwrap_or(0)).max(0));
            it.cache_write_5m = short_lived.or(it.cache_write_5m);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{super::testing, Cloudflare};
    use crate::config::Source;

    fn check(rest: &str, expect: &str) {
        let json = format!(
            r#"{{"Gateway":"g","StatusCode":200,"Provider":"groq","Model":"m","Cached":false,"Endpoint":"v1/chat/completions",{rest}}}"#
        );
        assert_eq!(testing::ledger(&Cloudflare, &json, &Source::default()), expect, "{json}");
    }

    #[test]
    fn a_decrypted_answer_is_read() {
        let row = "2026-06-01T08:00:00Z groq m chat success reported";
        let usage = r#"{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"#;
        check(
            &format!(
                r#""ResponseBody":"{{\"id\":\"chatcmpl-1\",\"created\":1780300800,\"model\":\"m\",\"usage\":{usage}}}""#
            ),
            &format!("{row} in=10 out=5"),
        );
        check(
            r#""ResponseBody":{"created":1780300800,"usage":{"prompt_tokens":10,"completion_tokens":5}}"#,
            &format!("{row} in=10 out=5"),
        );
        check(
            &format!(
                r#""ResponseBody":"data: {{\"id\":\"c\",\"created\":1780300800,\"usage\":null}}\n\ndata: {{\"x_groq\":{{\"usage\":{usage}}}}}\n\ndata: {{\"usage\":{usage}}}\n\ndata: [DONE]\n""#
            ),
            &format!("{row} in=10 out=5"),
        );
        check(
            r#""Datetime":"2026-06-01T08:00:00Z","ResponseBody":"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude\",\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":100,\"cache_creation_input_tokens\":30,\"cache_creation\":{\"ephemeral_1h_input_tokens\":10},\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":50}}\n""#,
            "2026-06-01T08:00:00Z groq claude chat success reported in=3 cached=100 written=20 written_1h=10 out=50 requested=m",
        );
    }

    #[test]
    fn an_encrypted_answer_is_not() {
        let expect = "reject missing_field: `Datetime` is missing, expected a time";
        let source = Source::default();
        let json = r#"{"Gateway":"g","StatusCode":200,"Provider":"groq","Model":"m","ResponseBody":{"type":"encrypted","key":"k","iv":"i","data":"d"}}"#;
        let found = testing::ledger(&Cloudflare, json, &source);
        assert!(found.starts_with(expect), "{found}");
    }
}
