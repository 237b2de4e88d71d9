//! What the body of an answer says of itself, for gateways that log the body
//! beside columns of their own: in the words of `OpenAI` or Anthropic, as an
//! object, as JSON in a text, or as the events of a stream in a text.
//!
//! Nothing of it is borrowed, since it may stand in a text. A text that is none
//! of these says nothing.

use super::{
    ending::error_code,
    field::{Field, own},
    usage::Usage,
};
use crate::{
    ingest::formats::Reject,
    json::{Scanner, Value},
    record::Text,
    time::Instant,
};

#[derive(Debug, Default)]
pub(crate) struct Answer<'a> {
    pub(crate) id: Option<Text<'a>>,
    pub(crate) model: Option<Text<'a>>,
    pub(crate) tier: Option<Text<'a>>,
    pub(crate) created: Option<Instant>,
    pub(crate) error_code: Option<Text<'a>>,
    pub(crate) usage: Option<Usage>,
}

impl Answer<'_> {
    /// Reads a body, bare or in a member `body`.
    ///
    /// # Errors
    /// Where its usage cannot be what was used.
    pub(crate) fn read(field: &Field<'_>) -> Result<Self, Reject> {
        let mut answer = Self::default();
        if let Some(body) = field.value().filter(|value| value.is_object()) {
            answer.event(body.some("body").unwrap_or(body))?;
            return Ok(answer);
        }
        let text = field.any_text().unwrap_or_default();
        let mut scanner = Scanner::new();
        if text.trim_start().starts_with('{') {
            if let Ok(body) = scanner.scan(&text) {
                answer.event(body.some("body").unwrap_or(body))?;
            }
            return Ok(answer);
        }
        // Of a stream each event may add to what is known; counts are never summed.
        for line in text.lines() {
            let event = line.strip_prefix("data:").map(|data| scanner.scan(data.trim()));
            if let Some(Ok(event)) = event {
                answer.event(event)?;
            }
        }
        Ok(answer)
    }

    fn event(&mut self, event: Value<'_>) -> Result<(), Reject> {
        let inner =
            ["message", "response"].into_iter().find_map(|name| event.some(name).filter(|inner| inner.is_object()));
        let event = inner.unwrap_or(event);
        let text = |name: &str| Field::from(event.get(name)).any_text().map(own);
        self.id = self.id.take().or_else(|| text("id"));
        self.model = text("model").or_else(|| self.model.take());
        self.tier = text("service_tier").or_else(|| self.tier.take());
        for name in ["created", "created_at"] {
            self.created = Field::from(event.get(name)).time(name, chrono_tz::Tz::UTC).ok().flatten().or(self.created);
        }
        self.error_code = event.some("error").and_then(error_code).map(own).or_else(|| self.error_code.take());
        let usage = event.some("usage").or_else(|| event.path(&["x_groq", "usage"]));
        if let Some(usage) = Usage::read(usage.filter(|usage| usage.is_object()))? {
            self.usage = Some(usage.or(self.usage.unwrap_or_default()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Meter;

    /// `id, model, created, input, output`
    fn check(body: &Field<'_>, expect: &str) {
        let answer = Answer::read(body).unwrap();
        let counts = answer.usage.unwrap_or_default().counts();
        let show = |count: Option<i64>| count.map_or("-".to_owned(), |count| count.to_string());
        let found = format!(
            "{} {} {} {} {}",
            answer.id.unwrap_or_default(),
            answer.model.unwrap_or_default(),
            show(answer.created.map(Instant::seconds)),
            show(counts.quantities[Meter::InputTokens]),
            show(counts.quantities[Meter::OutputTokens]),
        );
        assert_eq!(found, expect, "{body:?}");
    }

    #[test]
    fn a_body_is_read_as_object_text_and_stream() {
        let body = r#"{"id":"c1","model":"m","created":1780300800,"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        let mut scanner = Scanner::new();
        check(&Field::Json(scanner.scan(body).unwrap()), "c1 m 1780300800 3 4");
        check(&Field::Text(body.into()), "c1 m 1780300800 3 4");
        check(&Field::Text(format!(r#"{{"body":{body},"status":200}}"#).into()), "c1 m 1780300800 3 4");
        let stream = "data: {\"id\":\"c1\",\"model\":\"m\",\"usage\":null}\n\ndata: {\"x_groq\":{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}}\n\ndata: [DONE]\n";
        check(&Field::Text(stream.into()), "c1 m - 3 4");
        let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n";
        check(&Field::Text(events.into()), "msg_1 m - 3 4");
        check(&Field::Text("a text of another kind".into()), "  - - -");
        check(&Field::Absent, "  - - -");
    }
}
