//! The `usage` object in `OpenAI`'s shape, as `OpenAI`, Groq, xAI, `DeepSeek` and
//! most gateways write it, turned into disjoint buckets.
//!
//! Its names do not say what they include. What holds here: cached and
//! cache-written tokens are inside the prompt, reasoning is inside the
//! completion, unless the numbers themselves prove otherwise; and where they
//! contradict each other, the quantities are kept and marked `estimated`.

use super::{Fields, Reject};
use crate::{
    json::Value,
    record::{Meter, Quality, Quantities},
};

/// Quantities in disjoint buckets, and how far they can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub quantities: Quantities,
    pub reasoning_tokens: Option<i64>,
    pub quality: Quality,
}

impl Counts {
    pub const NONE: Self =
        Self { quantities: Quantities([None; Meter::COUNT]), reasoning_tokens: None, quality: Quality::Missing };

    /// The sum with what else the same model used; as sure as the less sure of both.
    ///
    /// # Errors
    /// Where a sum is 2^63 or more.
    pub(crate) fn add(&mut self, more: &Self) -> Result<(), Reject> {
        let pairs = self.quantities.0.iter_mut().zip(&more.quantities.0);
        for (sum, &count) in pairs.chain([(&mut self.reasoning_tokens, &more.reasoning_tokens)]) {
            *sum = match (*sum, count) {
                (Some(a), Some(b)) => Some(a.checked_add(b).ok_or_else(|| {
                    Reject::new(
                        super::RejectReason::OutOfRange,
                        format!("`usage` adds up to `{a}` + `{b}`, expected less than 2^63"),
                    )
                })?),
                (a, b) => a.or(b),
            };
        }
        self.quality = self.quality.max(more.quality);
        Ok(())
    }
}

/// Token totals as a source states them, before they are made disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub prompt: Option<i64>,
    pub completion: Option<i64>,
    /// What the source claims as the sum of all tokens.
    pub total: Option<i64>,
    pub cached: Option<i64>,
    pub cache_write_5m: Option<i64>,
    pub cache_write_1h: Option<i64>,
    pub reasoning: Option<i64>,
    /// Input that the source counts inside `prompt` and that is billed by another meter.
    pub prompt_elsewhere: Option<i64>,
    /// Whether cached and written tokens stand beside the prompt, not inside it.
    pub cache_beside_prompt: bool,
}

impl Totals {
    /// The disjoint buckets.
    pub fn counts(self) -> Counts {
        let mut quantities = Quantities::default();
        quantities[Meter::CachedInputTokens] = self.cached;
        quantities[Meter::CacheWrite5mTokens] = self.cache_write_5m;
        quantities[Meter::CacheWrite1hTokens] = self.cache_write_1h;
        let mut quality =
            if self.prompt.is_some() || self.completion.is_some() { Quality::Reported } else { Quality::Missing };

        let apart = [self.cached, self.cache_write_5m, self.cache_write_1h, self.prompt_elsewhere]
            .iter()
            .flatten()
            .fold(0_i64, |sum, &count| sum.saturating_add(count));
        quantities[Meter::InputTokens] = match self.prompt {
            Some(prompt) if self.cache_beside_prompt => Some(prompt),
            // More read from the cache than there is prompt: it stands beside it after all.
            Some(prompt) if apart > prompt => {
                quality = Quality::Estimated;
                Some(prompt)
            }
            Some(prompt) => Some(prompt - apart),
            None => None,
        };

        let (prompt, completion, reasoning) =
            (self.prompt.unwrap_or(0), self.completion.unwrap_or(0), self.reasoning.unwrap_or(0));
        let mut output = self.completion;
        if let (Some(total), true) = (self.total, self.prompt.is_some() || self.completion.is_some()) {
            let inside = i128::from(prompt) + i128::from(completion);
            let beside = if self.cache_beside_prompt { i128::from(apart) } else { 0 };
            let total = i128::from(total);
            if total == inside || total == inside + beside {
                // The identity holds: reasoning is inside the completion.
            } else if reasoning > 0
                && (total == inside + i128::from(reasoning) || total == inside + beside + i128::from(reasoning))
            {
                output = Some(completion.saturating_add(reasoning));
            } else if total != 0 {
                quality = Quality::Estimated;
            }
        }
        if self.reasoning > output {
            // Reasoning beyond the completion cannot be inside it.
            output = Some(completion.saturating_add(reasoning));
            quality = Quality::Estimated;
        }
        quantities[Meter::OutputTokens] = output;
        Counts { quantities, reasoning_tokens: self.reasoning, quality }
    }
}

/// Reads a `usage` object in `OpenAI`'s shape, chat (`prompt_tokens`) or
/// Responses (`input_tokens`). `None` where it is absent or null.
///
/// # Errors
/// Where a field of it cannot be a count.
pub fn read_openai(usage: Option<Value<'_>>) -> Result<Option<Counts>, Reject> {
    read_totals(usage).map(|totals| totals.map(Totals::counts))
}

/// The totals of a `usage` object in `OpenAI`'s shape, as they are stated.
///
/// # Errors
/// Where a field of it cannot be a count.
pub fn read_totals(usage: Option<Value<'_>>) -> Result<Option<Totals>, Reject> {
    let Some(usage) = usage.filter(|usage| !usage.is_null()) else { return Ok(None) };
    if !usage.is_object() {
        return Err(Reject::new(
            super::RejectReason::WrongType,
            format!("`usage` is {}, expected an object", usage.kind_name()),
        ));
    }
    let mut totals = Totals::default();
    let mut miss = None;
    for (key, value) in usage.entries() {
        let name = key.raw();
        match name {
            "prompt_tokens" | "input_tokens" => totals.prompt = Fields::count(name, Some(value))?,
            "completion_tokens" | "output_tokens" => totals.completion = Fields::count(name, Some(value))?,
            "total_tokens" => totals.total = Fields::count(name, Some(value))?,
            "prompt_tokens_details" | "input_tokens_details" => input_details(value, &mut totals)?,
            "completion_tokens_details" | "output_tokens_details" => {
                if let Some(reasoning) = Fields::count("reasoning_tokens", value.get("reasoning_tokens"))? {
                    totals.reasoning = Some(reasoning);
                }
            }
            "prompt_cache_hit_tokens" => totals.cached = Fields::count(name, Some(value))?,
            "prompt_cache_miss_tokens" => miss = Fields::count(name, Some(value))?,
            _ => {}
        }
    }
    if totals.prompt.is_none() && (miss.is_some() || totals.cached.is_some()) {
        totals.prompt = Some(miss.unwrap_or(0).saturating_add(totals.cached.unwrap_or(0)));
    }
    Ok(Some(totals))
}

fn input_details(details: Value<'_>, totals: &mut Totals) -> Result<(), Reject> {
    for (key, value) in details.entries() {
        let name = key.raw();
        match name {
            "cached_tokens" => totals.cached = Fields::count(name, Some(value))?.or(totals.cached),
            "cache_write_tokens" | "cache_creation_tokens" => {
                totals.cache_write_5m = Fields::count(name, Some(value))?.or(totals.cache_write_5m);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    /// `input, cached, written, output, reasoning, quality`
    type Expect = (Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Quality);

    fn check(json: &str, expect: Expect) {
        let mut scanner = Scanner::new();
        let counts = read_openai(Some(scanner.scan(json).unwrap())).unwrap().unwrap();
        let found = (
            counts.quantities[Meter::InputTokens],
            counts.quantities[Meter::CachedInputTokens],
            counts.quantities[Meter::CacheWrite5mTokens],
            counts.quantities[Meter::OutputTokens],
            counts.reasoning_tokens,
            counts.quality,
        );
        assert_eq!(found, expect, "{json}");
    }

    #[test]
    fn buckets_are_disjoint() {
        use Quality::{Estimated, Missing, Reported};
        // LiteLLM #14849: cached tokens are inside the prompt.
        check(
            r#"{"prompt_tokens":262960,"completion_tokens":1744,"total_tokens":264704,"prompt_tokens_details":{"cached_tokens":257955}}"#,
            (Some(5005), Some(257_955), None, Some(1744), None, Reported),
        );
        check(
            r#"{"input_tokens":80,"output_tokens":213,"total_tokens":293}"#,
            (Some(80), None, None, Some(213), None, Reported),
        );
        // Reasoning inside the completion, and outside of it (xAI).
        check(
            r#"{"prompt_tokens":10,"completion_tokens":30,"total_tokens":40,"completion_tokens_details":{"reasoning_tokens":20}}"#,
            (Some(10), None, None, Some(30), Some(20), Reported),
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":30,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":20}}"#,
            (Some(10), None, None, Some(50), Some(20), Reported),
        );
        // DeepSeek states hits and misses.
        check(
            r#"{"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":3,"completion_tokens":5}"#,
            (Some(3), Some(7), None, Some(5), None, Reported),
        );
        // Numbers that contradict each other are kept, and marked.
        check(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":99}"#,
            (Some(10), None, None, Some(5), None, Estimated),
        );
        check(
            r#"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":100}}"#,
            (Some(5), Some(100), None, Some(1), None, Estimated),
        );
        check("{}", (None, None, None, None, None, Missing));
        check(r#"{"prompt_tokens":3,"completion_tokens":null}"#, (Some(3), None, None, None, None, Reported));
    }

    #[test]
    fn an_absent_usage_is_none_and_a_wrong_one_is_refused() {
        assert_eq!(read_openai(None), Ok(None));
        let mut scanner = Scanner::new();
        assert!(read_openai(Some(scanner.scan("[1]").unwrap())).is_err());
        assert!(read_openai(Some(scanner.scan(r#"{"prompt_tokens":-1}"#).unwrap())).is_err());
    }
}
