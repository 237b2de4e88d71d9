//! A `usage` object, in the names of `OpenAI`, Groq, xAI and `DeepSeek`, in those of
//! Anthropic, or in both, as gateways pass it on; read in one pass.
//!
//! Anthropic's names say where its cache counts stand: beside `input_tokens`.
//! Beside `prompt_tokens`, a gateway has made the one a part of the other.

use super::{
    super::{Reject, RejectReason},
    field::{Field, members},
    tokens::{Counts, Totals},
};
use crate::{
    json::Value,
    record::{Meter, Quantities},
};

/// What a `usage` object states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) totals: Totals,
    /// The meters beyond tokens.
    pub(crate) others: Quantities,
    /// Whether the prompt is named `input_tokens`.
    is_input: bool,
    /// Whether it names what was read from or written to a cache as Anthropic does.
    has_anthropic_cache: bool,
}

impl Usage {
    /// Reads a `usage` object. `None` where it is absent or null.
    ///
    /// # Errors
    /// Where it is no object, or a field of it cannot be a count.
    pub(crate) fn read(usage: Option<Value<'_>>) -> Result<Option<Self>, Reject> {
        let Some(usage) = usage.filter(|usage| !usage.is_null()) else { return Ok(None) };
        if !usage.is_object() {
            let found = usage.kind_name();
            return Err(Reject::new(RejectReason::WrongType, format!("`usage` is {found}, expected an object")));
        }
        let mut it = Self::default();
        let mut miss = None;
        for (name, field) in members(usage) {
            match name {
                "prompt_tokens" | "input_tokens" => it.prompt(name, &field)?,
                "completion_tokens" | "output_tokens" => {
                    it.totals.completion = field.count(name)?.or(it.totals.completion);
                }
                "total_tokens" => it.totals.total = field.count(name)?,
                "prompt_tokens_details" | "input_tokens_details" => it.input_details(&field)?,
                "completion_tokens_details" | "output_tokens_details" => it.output_details(&field)?,
                "prompt_cache_hit_tokens" => it.totals.cached = field.count(name)?.or(it.totals.cached),
                "prompt_cache_miss_tokens" => miss = field.count(name)?,
                "cache_read_input_tokens" => {
                    let count = field.count(name)?;
                    it.totals.cached = count.or(it.totals.cached);
                    it.has_anthropic_cache |= count.is_some();
                }
                "cache_creation_input_tokens" => {
                    let count = field.count(name)?;
                    it.totals.written = count.or(it.totals.written);
                    it.has_anthropic_cache |= count.is_some();
                }
                "cache_creation" | "cache_creation_token_details" => it.lifetimes(&field)?,
                "server_tool_use" => it.web_searches(&field)?,
                _ => it.other_meter(name, &field)?,
            }
        }
        if it.totals.prompt.is_none() && (miss.is_some() || (it.totals.cached.is_some() && !it.has_anthropic_cache)) {
            it.totals.prompt = Some(miss.unwrap_or(0).saturating_add(it.totals.cached.unwrap_or(0)));
        }
        Ok(Some(it))
    }

    /// The prompt; where both names are there, `prompt_tokens` is taken.
    fn prompt(&mut self, name: &str, field: &Field<'_>) -> Result<(), Reject> {
        let count = field.count(name)?;
        let is_input = name == "input_tokens";
        if count.is_some() && (self.totals.prompt.is_none() || !is_input) {
            self.totals.prompt = count;
            self.is_input = is_input;
        }
        Ok(())
    }

    fn input_details(&mut self, details: &Field<'_>) -> Result<(), Reject> {
        for (name, field) in details.value().into_iter().flat_map(members) {
            match name {
                "cached_tokens" => self.totals.cached = field.count(name)?.or(self.totals.cached),
                "cache_write_tokens" | "cache_creation_tokens" => {
                    self.totals.written = field.count(name)?.or(self.totals.written);
                }
                "cache_creation_token_details" => self.lifetimes(&field)?,
                _ => {}
            }
        }
        self.web_searches(details)
    }

    fn output_details(&mut self, details: &Field<'_>) -> Result<(), Reject> {
        for (name, field) in details.value().into_iter().flat_map(members) {
            if matches!(name, "reasoning_tokens" | "thinking_tokens") {
                self.totals.reasoning = field.count(name)?.or(self.totals.reasoning);
            }
        }
        Ok(())
    }

    /// What of the written tokens lives 5 minutes, and what an hour.
    fn lifetimes(&mut self, split: &Field<'_>) -> Result<(), Reject> {
        for (name, field) in split.value().into_iter().flat_map(members) {
            match name {
                "ephemeral_5m_input_tokens" => self.totals.written_5m = field.count(name)?.or(self.totals.written_5m),
                "ephemeral_1h_input_tokens" => self.totals.written_1h = field.count(name)?.or(self.totals.written_1h),
                _ => {}
            }
        }
        Ok(())
    }

    fn web_searches(&mut self, details: &Field<'_>) -> Result<(), Reject> {
        let name = "web_search_requests";
        let searches = Field::from(details.value().and_then(|details| details.get(name))).count(name)?;
        self.others[Meter::WebSearches] = searches.or(self.others[Meter::WebSearches]);
        Ok(())
    }

    /// The meters beyond tokens, under the names of their columns or the ones
    /// that gateways commonly write beside them.
    fn other_meter(&mut self, name: &str, field: &Field<'_>) -> Result<(), Reject> {
        let (meter, quantity) = match name {
            "audio_ms" => (Meter::AudioMs, field.millis(name, 1_000)?),
            "audio_seconds" | "seconds" => (Meter::AudioMs, field.millis(name, 1_000_000)?),
            "characters" => (Meter::Characters, field.count(name)?),
            "images" => (Meter::Images, field.count(name)?),
            "web_searches" => (Meter::WebSearches, field.count(name)?),
            "page_visits" => (Meter::PageVisits, field.count(name)?),
            "code_ms" => (Meter::CodeMs, field.millis(name, 1_000)?),
            "browser_ms" => (Meter::BrowserMs, field.millis(name, 1_000)?),
            _ => return Ok(()),
        };
        self.others[meter] = quantity.or(self.others[meter]);
        Ok(())
    }

    /// What either states, this one first.
    pub(crate) fn or(self, other: Self) -> Self {
        let mut others = self.others;
        for (mine, theirs) in others.0.iter_mut().zip(other.others.0) {
            *mine = mine.or(theirs);
        }
        Self {
            totals: self.totals.or(other.totals),
            others,
            is_input: if self.totals.prompt.is_some() { self.is_input } else { other.is_input },
            has_anthropic_cache: self.has_anthropic_cache || other.has_anthropic_cache,
        }
    }

    /// The token totals, with what the names say of the cache.
    pub(crate) fn totals(self) -> Totals {
        let is_anthropic = self.is_input && self.has_anthropic_cache;
        Totals { cache_beside_prompt: self.totals.cache_beside_prompt || is_anthropic, ..self.totals }
    }

    /// The disjoint buckets of every meter, as a provider's own body states them.
    pub(crate) fn counts(self) -> Counts {
        let mut counts = self.totals().counts();
        counts.fill(self.others);
        counts
    }

    /// The same as a gateway states them: see [`Totals::gateway_counts`].
    pub(crate) fn gateway_counts(self) -> Counts {
        let mut counts = self.totals().gateway_counts();
        if counts != Counts::NONE || self.others.0.iter().flatten().any(|&quantity| quantity > 0) {
            counts.fill(self.others);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::buckets, *};
    use crate::{json::Scanner, record::Quality};

    /// `input, cached, written for 5 minutes, for an hour, output, reasoning, quality`
    type Expect = ([Option<i64>; 6], Quality);

    fn read(json: &str) -> Usage {
        Usage::read(Some(Scanner::new().scan(json).unwrap())).unwrap().unwrap()
    }

    fn check(json: &str, expect: Expect) {
        let counts = read(json).counts();
        let [input, cached, short, long, output] = buckets(&counts);
        assert_eq!(([input, cached, short, long, output, counts.reasoning_tokens], counts.quality), expect, "{json}");
    }

    #[test]
    fn buckets_are_disjoint() {
        use Quality::{Estimated, Missing, Reported};
        // LiteLLM #14849: cached tokens are inside the prompt.
        check(
            r#"{"prompt_tokens":262960,"completion_tokens":1744,"total_tokens":264704,"prompt_tokens_details":{"cached_tokens":257955}}"#,
            ([Some(5005), Some(257_955), None, None, Some(1744), None], Reported),
        );
        check(
            r#"{"input_tokens":80,"output_tokens":213,"total_tokens":293}"#,
            ([Some(80), None, None, None, Some(213), None], Reported),
        );
        // Reasoning inside the completion, and outside of it (xAI).
        check(
            r#"{"prompt_tokens":10,"completion_tokens":30,"total_tokens":40,"completion_tokens_details":{"reasoning_tokens":20}}"#,
            ([Some(10), None, None, None, Some(30), Some(20)], Reported),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":30,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":20}}"#,
            ([Some(10), None, None, None, Some(50), Some(20)], Reported),
        );
        // DeepSeek states hits and misses.
        check(
            r#"{"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":3,"completion_tokens":5}"#,
            ([Some(3), Some(7), None, None, Some(5), None], Reported),
        );
        // Numbers that contradict each other are kept, and marked.
        check(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":99}"#,
            ([Some(10), None, None, None, Some(5), None], Estimated),
        );
        check(
            r#"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":100}}"#,
            ([Some(5), Some(100), None, None, Some(1), None], Estimated),
        );
        check("{}", ([None; 6], Missing));
        check(r#"{"prompt_tokens":3,"completion_tokens":null}"#, ([Some(3), None, None, None, None, None], Reported));
    }

    #[test]
    fn cache_counts_are_inside_or_beside_as_names_and_numbers_say() {
        use Quality::{Estimated, Reported};
        // LiteLLM #11364: all of it is inside the prompt.
        check(
            r#"{"total_tokens":103925,"prompt_tokens":98805,"completion_tokens":5120,"prompt_tokens_details":{"cached_tokens":66360,"cache_creation_tokens":32435},"cache_read_input_tokens":66360,"cache_creation_input_tokens":32435}"#,
            ([Some(10), Some(66_360), Some(32_435), None, Some(5120), None], Reported),
        );
        // The total says that it stands beside.
        check(
            r#"{"total_tokens":170,"prompt_tokens":100,"completion_tokens":20,"cache_read_input_tokens":50,"cache_creation_input_tokens":0}"#,
            ([Some(100), Some(50), Some(0), None, Some(20), None], Reported),
        );
        // Langfuse #12306: Anthropic's own shape.
        check(
            r#"{"input_tokens":5,"output_tokens":9,"cache_read_input_tokens":128955,"cache_creation_input_tokens":1253}"#,
            ([Some(5), Some(128_955), Some(1253), None, Some(9), None], Reported),
        );
        // A prompt cannot hold more than itself, whatever the total claims.
        check(
            r#"{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,"cache_read_input_tokens":50}"#,
            ([Some(5), Some(50), None, None, Some(9), None], Estimated),
        );
        // The two lifetimes are parts of what was written.
        check(
            r#"{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,"prompt_tokens_details":{"cached_tokens":10,"cache_creation_tokens":60,"cache_creation_token_details":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":20}}}"#,
            ([Some(30), Some(10), Some(40), Some(20), Some(9), None], Reported),
        );
    }

    #[test]
    fn what_a_later_event_leaves_out_an_earlier_one_said() {
        let start = read(r#"{"input_tokens":3,"cache_read_input_tokens":100,"output_tokens":1}"#);
        let delta = read(r#"{"output_tokens":50,"cache_read_input_tokens":null}"#);
        let counts = delta.or(start).counts();
        assert_eq!(counts.quantities[Meter::InputTokens], Some(3));
        assert_eq!(counts.quantities[Meter::CachedInputTokens], Some(100));
        assert_eq!(counts.quantities[Meter::OutputTokens], Some(50));
        // The prompt of a row includes the cache, whatever the object beside it says.
        let row = Usage { totals: Totals { prompt: Some(103), ..Totals::default() }, ..Usage::default() };
        assert_eq!(row.or(start).counts().quantities[Meter::InputTokens], Some(3));
    }

    #[test]
    fn other_meters_count_even_without_tokens() {
        let zeros = r#"{"prompt_tokens":0,"completion_tokens":0,"server_tool_use":{"web_search_requests":0}}"#;
        assert_eq!(read(zeros).gateway_counts(), Counts::NONE);
        let audio = read(r#"{"prompt_tokens":0,"completion_tokens":0,"seconds":4.5}"#).gateway_counts();
        assert_eq!((audio.quantities[Meter::AudioMs], audio.quality), (Some(4500), Quality::Reported));
        let searches = r#"{"input_tokens":3,"output_tokens":4,"server_tool_use":{"web_search_requests":2}}"#;
        assert_eq!(read(searches).counts().quantities[Meter::WebSearches], Some(2));
    }

    #[test]
    fn an_absent_usage_is_none_and_a_wrong_one_is_refused() {
        assert_eq!(Usage::read(None), Ok(None));
        let mut scanner = Scanner::new();
        assert!(Usage::read(Some(scanner.scan("[1]").unwrap())).is_err());
        assert!(Usage::read(Some(scanner.scan(r#"{"prompt_tokens":-1}"#).unwrap())).is_err());
    }
}
