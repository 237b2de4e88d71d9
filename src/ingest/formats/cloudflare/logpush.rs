//! A line of Logpush: no id, no time, no tokens. All of them are in the answer,
//! which Logpush encrypts; a pipeline that decrypts it leaves the body as text
//! or object in `ResponseBody`, be it one JSON object or the events of a stream.

use super::super::{
    Found, Read, Reject,
    shared::{answer::Answer, ending, endpoint, field::members},
};
use crate::{
    config::Source,
    json::Value,
    record::{Operation, Status, UsageRecord},
    time::Instant,
};

pub(super) fn is_line(line: Value<'_>) -> bool {
    line.some("Gateway").is_some() && line.some("Provider").is_some() && line.get("StatusCode").is_some()
}

pub(super) fn read<'a>(line: Value<'a>, source: &Source) -> Read<'a> {
    let mut found = Found::new(UsageRecord::at(Instant::EARLIEST));
    let record = &mut found.record;
    let mut answer = Answer::default();
    let (mut ts, mut model, mut is_limited) = (None, None, false);
    for (name, field) in members(line) {
        match name {
            "Datetime" | "Timestamp" => ts = field.time(name, source.timezone)?,
            "Provider" => record.provider = field.text(name)?.unwrap_or_default(),
            "Model" => model = field.text(name)?,
            "Endpoint" => {
                let path = field.any_text().unwrap_or_default();
                record.operation = endpoint::operation(&path).unwrap_or(Operation::Chat);
            }
            "StatusCode" => record.http_status = field.http_status(name)?.filter(|&code| code != 0),
            "Cached" => record.gateway_cache = field.flag() == Some(true),
            "RateLimited" => is_limited = field.flag() == Some(true),
            "Metadata" => super::metadata(&field, source, record),
            "ResponseBody" => answer = Answer::read(&field)?,
            _ => {}
        }
    }
    record.ts = ts.or(answer.created).ok_or_else(|| {
        Reject::missing(
            "Datetime",
            "a time: a line of Logpush has none, and no tokens, unless its `ResponseBody` is decrypted and states `created`; \
             fetch the gateway's logs from the REST API instead",
        )
    })?;
    record.model_requested.clone_from(&model);
    record.model = answer.model.or(model).unwrap_or_default();
    record.tier = answer.tier;
    record.error_code = answer.error_code;
    answer.usage.unwrap_or_default().counts().put(record);
    let by_code = ending::status(record.http_status, record.error_code.as_deref());
    record.status = ending::together(by_code, is_limited.then_some(Status::Blocked));
    found.ids[0] = answer.id;
    found.created = answer.created.map(Instant::seconds);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{super::shared::testing, Cloudflare};
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
