//! A body of an OpenAI-compatible API: what it says of itself, read in one
//! pass over its members.
//!
//! Of the answer itself nothing is looked at but which tools the provider ran.
//! Tools billed by the hour (code, browser automation) report no duration, so
//! those meters stay unknown.

use chrono_tz::Tz;

use crate::{
    ingest::formats::{
        Reject,
        shared::{
            ending::is_error,
            field::{Field, members, word},
            id_time::time_in_id,
            tokens::Counts,
            usage::Usage,
        },
    },
    json::{Kind, Value},
    money::Usd,
    record::{Meter, Operation, Quality, Quantities, Text},
    time::Instant,
};

/// What an object in the API's shape says of itself.
#[derive(Debug, Default)]
pub(crate) struct Body<'a> {
    pub(crate) id: Option<Text<'a>>,
    pub(crate) groq_id: Option<Text<'a>>,
    /// `chat.completion`, `response`, `list`, …; empty where there is none.
    pub(crate) object: &'a str,
    pub(crate) model: Option<Text<'a>>,
    pub(crate) tier: Option<Text<'a>>,
    pub(crate) error: Option<Value<'a>>,
    /// The underlying models of a compound system, with their usage.
    pub(crate) breakdown: Option<Value<'a>>,
    pub(crate) tools: Tools,
    pub(crate) max_output_tokens: Option<i64>,
    /// The tool runs that a chunk of a stream tells of.
    pub(crate) choices: Option<Value<'a>>,
    /// Seconds of audio in a transcription; in a wrapper it may be a latency.
    pub(crate) duration: Option<Value<'a>>,
    /// Made in the background, so that a log of it is a look at its progress.
    pub(crate) in_background: bool,
    /// Why Groq stopped a stream early.
    pub(crate) stream_error: Option<Text<'a>>,
    created: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    groq_usage: Option<Value<'a>>,
    /// `message` for Anthropic's, `response.…` for an event of a Responses stream.
    kind: &'a str,
    has_text: bool,
    task: &'a str,
    items: Items,
}

/// What an array `data` holds, by its first item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Items {
    #[default]
    None,
    Embeddings,
    Images(usize),
    Others,
}

/// Tools that the provider ran and bills by the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tools {
    pub(crate) web_searches: i64,
    pub(crate) page_visits: i64,
}

impl<'a> Body<'a> {
    /// Reads the members of an object that is nothing but a body.
    pub(crate) fn read(object: Value<'a>) -> Result<Self, Reject> {
        let mut body = Self::default();
        for (key, value) in object.entries() {
            body.take(key.raw(), value)?;
        }
        Ok(body)
    }

    /// Takes a member if it is one of a body's; `false` leaves it to others.
    pub(crate) fn take(&mut self, name: &str, value: Value<'a>) -> Result<bool, Reject> {
        let field = Field::Json(value);
        match name {
            "id" => self.id = field.text(name)?,
            "object" => self.object = word(value),
            "created" | "created_at" => self.created = field.value().or(self.created),
            "model" => self.model = field.text(name)?,
            "choices" => {
                self.choices = Some(value);
                for choice in value.items() {
                    self.tools.add_executed(choice);
                }
            }
            "usage" => self.usage = field.value(),
            "x_groq" => self.take_groq(value)?,
            "usage_breakdown" => self.breakdown = models_of(value).or(self.breakdown),
            "service_tier" => self.tier = field.text(name)?,
            "error" => self.error = Some(value).filter(|&error| is_error(error)),
            "type" => self.kind = word(value),
            "output" => self.tools.add_calls(value),
            "max_output_tokens" => self.max_output_tokens = field.count(name)?,
            "background" => self.in_background = field.flag() == Some(true),
            "text" => self.has_text = matches!(value.kind(), Kind::Text(_)),
            "task" => self.task = word(value),
            "duration" => self.duration = field.value(),
            "data" if value.is_array() => self.items = Items::of(value),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_groq(&mut self, x_groq: Value<'a>) -> Result<(), Reject> {
        for (name, field) in members(x_groq) {
            match name {
                "id" => self.groq_id = field.text("x_groq.id")?,
                "usage" => self.groq_usage = field.value(),
                "usage_breakdown" => self.breakdown = field.value().and_then(models_of).or(self.breakdown),
                "error" => self.stream_error = field.any_text(),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn is_chunk(&self) -> bool {
        self.object == "chat.completion.chunk"
    }

    pub(crate) fn is_event(&self) -> bool {
        self.kind.starts_with("response.")
    }

    /// Takes over that it came in an event of a Responses stream.
    pub(crate) fn take_event(&mut self, outer: &Self) {
        if outer.is_event() {
            self.kind = outer.kind;
        }
    }

    /// Whether it is a body of the Messages API, whose counts mean something else.
    pub(crate) fn is_anthropic(&self) -> bool {
        self.kind == "message" && self.object.is_empty() && self.usage.is_some()
    }

    pub(crate) fn has_usage(&self) -> bool {
        self.usage.is_some() || self.groq_usage.is_some()
    }

    /// Whether it is a text that was heard, as far as it can tell by itself.
    pub(crate) fn is_transcript(&self) -> bool {
        self.has_text && (self.groq_id.is_some() || !self.task.is_empty() || self.usage.is_some())
    }

    /// Whether it is a bare text, which is a transcript if the request asked for one.
    pub(crate) fn is_text(&self) -> bool {
        self.has_text
    }

    /// Whether a model made it, or an API refused to.
    pub(crate) fn is_generation(&self) -> bool {
        matches!(self.object, "chat.completion" | "chat.completion.chunk" | "text_completion" | "response")
            || self.choices.is_some()
            || self.usage.is_some()
            || self.is_transcript()
            || matches!(self.items, Items::Embeddings | Items::Images(_))
            || self.error.is_some_and(Value::is_object)
    }

    /// Whether it is a listing, or an item of one, that has nothing to do with usage.
    pub(crate) fn is_listing(&self) -> bool {
        self.items == Items::Others && self.usage.is_none() && self.choices.is_none()
    }

    /// What was asked for, as far as the body shows.
    pub(crate) fn operation(&self) -> Option<Operation> {
        match (self.object, self.items) {
            ("chat.completion" | "chat.completion.chunk", _) => Some(Operation::Chat),
            ("text_completion", _) => Some(Operation::Completion),
            ("response", _) => Some(Operation::Responses),
            (_, Items::Embeddings) => Some(Operation::Embedding),
            (_, Items::Images(_)) => Some(Operation::Image),
            _ if self.task == "translate" => Some(Operation::Translation),
            _ if self.is_transcript() => Some(Operation::Transcription),
            _ => None,
        }
    }

    /// The second in which the answer was begun: what tells reused ids apart.
    pub(crate) fn created_second(&self) -> Option<i64> {
        self.created(Tz::UTC).ok().flatten().map(Instant::seconds)
    }

    /// When the answer was begun, by the provider's clock.
    pub(crate) fn created(&self, zone: Tz) -> Result<Option<Instant>, Reject> {
        Field::from(self.created).time("created", zone)
    }

    /// When the answer was begun, if need be by the time in Groq's own id.
    pub(crate) fn time(&self) -> Result<Option<Instant>, Reject> {
        Ok(self.created(Tz::UTC)?.or_else(|| self.groq_id.as_deref().and_then(time_in_id)))
    }

    /// The quantities that it reports, wherever it does.
    pub(crate) fn counts(&self) -> Result<Counts, Reject> {
        let mut counts = self.usage_counts()?;
        if counts.quality == Quality::Missing {
            let mut others = Quantities::default();
            if self.has_text {
                others[Meter::AudioMs] = Field::from(self.duration).millis("duration", 1_000_000)?;
            }
            if let Items::Images(count) = self.items {
                others[Meter::Images] = i64::try_from(count).ok();
            }
            counts.fill(others);
        }
        if !self.is_chunk() {
            self.tools.fill(&mut counts);
        }
        Ok(counts)
    }

    /// What its usage says: tokens, or where there are none what else it counts.
    fn usage_counts(&self) -> Result<Counts, Reject> {
        let mut others = Quantities::default();
        for usage in [self.usage, self.groq_usage] {
            let Some(usage) = Usage::read(usage)? else { continue };
            let counts = usage.totals().counts();
            // Some servers put zeros into every chunk but the last: no generation is that short.
            let is_placeholder = self.is_chunk() && counts.quantities.sum() == 0;
            if counts.quality != Quality::Missing && !is_placeholder {
                return Ok(counts);
            }
            others = usage.others;
        }
        let mut counts = Counts::NONE;
        counts.fill(others);
        Ok(counts)
    }

    /// What the provider says that it cost, as `OpenRouter` and xAI do.
    pub(crate) fn reported_cost(&self) -> Result<Option<Usd>, Reject> {
        let Some(usage) = self.usage else { return Ok(None) };
        for (key, value) in usage.entries() {
            match key.raw() {
                "cost" => {
                    // Perplexity breaks it down.
                    let value = if value.is_object() { value.get("total_cost") } else { Some(value) };
                    return Field::from(value).cost("usage.cost", 0);
                }
                // A tick is 1e-10 USD.
                "cost_in_usd_ticks" => return Field::Json(value).cost("usage.cost_in_usd_ticks", 10),
                _ => {}
            }
        }
        Ok(None)
    }
}

impl Items {
    fn of(data: Value<'_>) -> Self {
        let Some(first) = data.items().next() else { return Self::Others };
        for (key, value) in first.entries() {
            match key.raw() {
                "embedding" => return Self::Embeddings,
                "object" if word(value) == "embedding" => return Self::Embeddings,
                "b64_json" | "url" => return Self::Images(data.items().count()),
                _ => {}
            }
        }
        Self::Others
    }
}

impl Tools {
    /// Counts what Groq ran for a choice of the answer.
    fn add_executed(&mut self, choice: Value<'_>) {
        for (key, message) in choice.entries() {
            if !matches!(key.raw(), "message" | "delta") {
                continue;
            }
            for (_, tools) in message.entries().filter(|(key, _)| key.raw() == "executed_tools") {
                for tool in tools.items() {
                    let run = Self::of_executed(tool);
                    self.web_searches += run.web_searches;
                    self.page_visits += run.page_visits;
                }
            }
        }
    }

    /// What one executed tool is billed as; nothing where its kind is billed by
    /// the hour or unknown.
    pub(super) fn of_executed(tool: Value<'_>) -> Self {
        let by_name = |field: &str| match tool.get(field).map(word) {
            Some("web_search" | "search" | "browser_search" | "browser.search") => {
                Some(Self { web_searches: 1, page_visits: 0 })
            }
            Some("visit_website" | "visit" | "browser.open") => Some(Self { web_searches: 0, page_visits: 1 }),
            _ => None,
        };
        // `browser_search` is the name of the tool, of which the `name` is a function.
        by_name("name").or_else(|| by_name("type")).unwrap_or_default()
    }

    /// Counts the searches among the items of a Responses body's `output`;
    /// opening a page found by them is not billed.
    fn add_calls(&mut self, output: Value<'_>) {
        for item in output.items() {
            let mut is_search = false;
            let mut action = "search";
            for (key, value) in item.entries() {
                match key.raw() {
                    "type" => is_search = word(value) == "web_search_call",
                    "action" => action = value.get("type").map_or(action, word),
                    _ => {}
                }
            }
            self.web_searches += i64::from(is_search && action == "search");
        }
    }

    pub(crate) fn any(self) -> bool {
        self.web_searches > 0 || self.page_visits > 0
    }

    /// Adds them to what else is reported.
    pub(crate) fn fill(self, counts: &mut Counts) {
        for (meter, count) in [(Meter::WebSearches, self.web_searches), (Meter::PageVisits, self.page_visits)] {
            if count > 0 {
                counts.quantities[meter] = Some(count);
                if counts.quality == Quality::Missing {
                    // The tools are known and the tokens are not.
                    counts.quality = Quality::Partial;
                }
            }
        }
    }
}

fn models_of(breakdown: Value<'_>) -> Option<Value<'_>> {
    breakdown.some("models").filter(|models| models.items().next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    fn tools(json: &str) -> (i64, i64) {
        let mut scanner = Scanner::new();
        let tools = Body::read(scanner.scan(json).unwrap()).unwrap().tools;
        (tools.web_searches, tools.page_visits)
    }

    #[test]
    fn tools_are_counted_where_their_kind_is_known() {
        let executed = |tool: &str| tools(&format!(r#"{{"choices":[{{"message":{{"executed_tools":[{tool}]}}}}]}}"#));
        for (tool, expect) in [
            (r#"{"type":"search"}"#, (1, 0)),
            (r#"{"type":"web_search"},{"type":"visit_website"}"#, (1, 1)),
            (r#"{"type":"browser_search","name":"browser.open"}"#, (0, 1)),
            (r#"{"type":"browser_search","name":"browser.search"}"#, (1, 0)),
            (r#"{"type":"browser.open"}"#, (0, 1)),
            (r#"{"type":"python"},{"type":"code_interpreter"},{"type":"browser_automation"},{"type":7},5"#, (0, 0)),
        ] {
            assert_eq!(executed(tool), expect, "{tool}");
        }
        assert_eq!(tools(r#"{"output":[{"type":"web_search_call"},{"type":"message"}]}"#), (1, 0));
        assert_eq!(tools(r#"{"output":[{"action":{"type":"open_page"},"type":"web_search_call"}]}"#), (0, 0));
    }

    #[test]
    fn usage_is_the_same_wherever_it_stands() {
        let usage = r#"{"prompt_tokens":18,"completion_tokens":4,"total_tokens":22}"#;
        let mut scanner = Scanner::new();
        let mut counts = |json: String| Body::read(scanner.scan(&json).unwrap()).unwrap().counts().unwrap();
        let top = counts(format!(r#"{{"usage":{usage}}}"#));
        assert_eq!(top.quantities.sum(), 22);
        assert_eq!(counts(format!(r#"{{"usage":null,"x_groq":{{"usage":{usage}}}}}"#)), top);
        assert_eq!(counts(format!(r#"{{"usage":{usage},"x_groq":{{"usage":{usage}}}}}"#)), top);
        // Counters of Groq's hardware caches are no usage.
        let hardware = r#"{"dram_cached_tokens":5,"sram_cached_tokens":0}"#;
        assert_eq!(counts(format!(r#"{{"x_groq":{{"usage":{hardware}}}}}"#)), Counts::NONE);
    }
}
