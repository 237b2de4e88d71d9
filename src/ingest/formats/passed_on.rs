//! A `usage` object as gateways pass it on: `OpenAI`'s shape, with the cache
//! counts in Anthropic's names, inside the prompt or beside it, and the meters
//! that only some providers have.
//!
//! Whether the cache counts are inside is what the numbers themselves say: the
//! total that the object claims, or counts that no prompt could hold. Zeros all
//! over are what these gateways write where nobody reported anything; they
//! become nothing, not zero.

use super::{
    Fields, Reject, other_meters,
    usage::{Counts, Totals, read_totals},
};
use crate::{
    json::Value,
    record::{Meter, Quality, Quantities},
};

/// What a `usage` object states.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Passed {
    pub(super) totals: Totals,
    /// The meters beyond tokens.
    pub(super) others: Quantities,
    /// Whether it is in Anthropic's own shape, where cached tokens stand beside
    /// the input.
    anthropic: bool,
}

impl Passed {
    /// Reads a `usage` object. `None` where it is absent or null.
    ///
    /// # Errors
    /// Where a field of it cannot be a count.
    pub(super) fn read(usage: Value<'_>) -> Result<Option<Self>, Reject> {
        let Some(totals) = read_totals(Some(usage))? else { return Ok(None) };
        let mut passed = Self { totals, ..Self::default() };
        let mut has_input_tokens = false;
        let mut written = None;
        let mut split = (None, None);
        for (key, value) in usage.entries() {
            let name = key.raw();
            match name {
                "input_tokens" => has_input_tokens = true,
                "cache_read_input_tokens" => {
                    passed.totals.cached = Fields::count(name, Some(value))?.or(passed.totals.cached);
                    passed.anthropic = true;
                }
                "cache_creation_input_tokens" => {
                    written = Fields::count(name, Some(value))?;
                    passed.anthropic = true;
                }
                "cache_creation" | "cache_creation_token_details" => split = lifetimes(value)?,
                "prompt_tokens_details" | "input_tokens_details" => {
                    if let Some(details) = value.some("cache_creation_token_details") {
                        split = lifetimes(details)?;
                    }
                    passed.web_searches(value)?;
                }
                "server_tool_use" => passed.web_searches(value)?,
                _ => {}
            }
        }
        passed.anthropic &= has_input_tokens;
        passed.written(written, split);
        other_meters(usage, &mut passed.others)?;
        Ok(Some(passed))
    }

    /// Splits what was written to the cache by how long it lives.
    fn written(&mut self, stated: Option<i64>, (short, long): (Option<i64>, Option<i64>)) {
        let totals = &mut self.totals;
        totals.cache_write_1h = long;
        totals.cache_write_5m = match stated.or(totals.cache_write_5m) {
            Some(all) => Some(all.saturating_sub(long.unwrap_or(0)).max(short.unwrap_or(0))),
            None => short,
        };
    }

    fn web_searches(&mut self, details: Value<'_>) -> Result<(), Reject> {
        let name = "web_search_requests";
        let searches = Fields::count(name, details.get(name))?.filter(|&searches| searches > 0);
        self.others[Meter::WebSearches] = searches.or(self.others[Meter::WebSearches]);
        Ok(())
    }

    /// What either states, this one first.
    pub(super) fn or(self, other: Self) -> Self {
        let (first, second) = (self.totals, other.totals);
        let totals = Totals {
            prompt: first.prompt.or(second.prompt),
            completion: first.completion.or(second.completion),
            total: first.total.or(second.total),
            cached: first.cached.or(second.cached),
            cache_write_5m: first.cache_write_5m.or(second.cache_write_5m),
            cache_write_1h: first.cache_write_1h.or(second.cache_write_1h),
            reasoning: first.reasoning.or(second.reasoning),
            ..first
        };
        let mut others = self.others;
        for (mine, theirs) in others.0.iter_mut().zip(other.others.0) {
            *mine = mine.or(theirs);
        }
        Self { totals, others, anthropic: self.anthropic }
    }

    /// The disjoint buckets.
    pub(super) fn counts(self) -> Counts {
        let mut totals = self.totals;
        let apart = [totals.cached, totals.cache_write_5m, totals.cache_write_1h]
            .iter()
            .flatten()
            .fold(0_i64, |sum, &count| sum.saturating_add(count));
        let beside =
            [totals.prompt.unwrap_or(0), totals.completion.unwrap_or(0), apart].map(i128::from).iter().sum::<i128>();
        totals.cache_beside_prompt = self.anthropic
            || (apart > 0
                && totals.total.is_some_and(|total| {
                    let total = i128::from(total);
                    total == beside || total == beside + i128::from(totals.reasoning.unwrap_or(0))
                }));
        let mut counts = if is_silent(totals) { Counts::NONE } else { totals.counts() };
        for (counted, other) in counts.quantities.0.iter_mut().zip(self.others.0) {
            *counted = counted.or(other);
        }
        if counts.quality == Quality::Missing && counts.quantities.0.iter().flatten().any(|&quantity| quantity > 0) {
            counts.quality = Quality::Reported;
        }
        counts
    }
}

/// The tokens written to a cache that lives 5 minutes and to one that lives an hour.
fn lifetimes(split: Value<'_>) -> Result<(Option<i64>, Option<i64>), Reject> {
    let count = |name: &str| Fields::count(name, split.get(name));
    Ok((count("ephemeral_5m_input_tokens")?, count("ephemeral_1h_input_tokens")?))
}

/// Whether there is no count above zero: such zeros stand where nothing was reported.
fn is_silent(totals: Totals) -> bool {
    let counts = [
        totals.prompt,
        totals.completion,
        totals.cached,
        totals.cache_write_5m,
        totals.cache_write_1h,
        totals.reasoning,
    ];
    counts.iter().flatten().all(|&count| count == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    /// `input, cached, written 5m, written 1h, output, quality`
    type Expect = ([Option<i64>; 5], Quality);

    fn check(json: &str, expect: Expect) {
        let mut scanner = Scanner::new();
        let counts = Passed::read(scanner.scan(json).unwrap()).unwrap().unwrap().counts();
        let found = [
            Meter::InputTokens,
            Meter::CachedInputTokens,
            Meter::CacheWrite5mTokens,
            Meter::CacheWrite1hTokens,
            Meter::OutputTokens,
        ]
        .map(|meter| counts.quantities[meter]);
        assert_eq!((found, counts.quality), expect, "{json}");
    }

    #[test]
    fn cache_counts_are_inside_or_beside_as_the_numbers_say() {
        use Quality::{Estimated, Missing, Reported};
        // LiteLLM #11364: all of it is inside the prompt.
        check(
            r#"{"total_tokens":103925,"prompt_tokens":98805,"completion_tokens":5120,"prompt_tokens_details":{"cached_tokens":66360,"cache_creation_tokens":32435},"cache_read_input_tokens":66360,"cache_creation_input_tokens":32435}"#,
            ([Some(10), Some(66_360), Some(32_435), None, Some(5120)], Reported),
        );
        // The total says that it stands beside.
        check(
            r#"{"total_tokens":170,"prompt_tokens":100,"completion_tokens":20,"cache_read_input_tokens":50,"cache_creation_input_tokens":0}"#,
            ([Some(100), Some(50), Some(0), None, Some(20)], Reported),
        );
        // Langfuse #12306: Anthropic's own shape.
        check(
            r#"{"input_tokens":5,"output_tokens":9,"cache_read_input_tokens":128955,"cache_creation_input_tokens":1253}"#,
            ([Some(5), Some(128_955), Some(1253), None, Some(9)], Reported),
        );
        // A prompt cannot hold more than itself, whatever the total claims.
        check(
            r#"{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,"cache_read_input_tokens":50}"#,
            ([Some(5), Some(50), None, None, Some(9)], Estimated),
        );
        // The two lifetimes are parts of what was written.
        check(
            r#"{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,"prompt_tokens_details":{"cached_tokens":10,"cache_creation_tokens":60,"cache_creation_token_details":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":20}}}"#,
            ([Some(30), Some(10), Some(40), Some(20), Some(9)], Reported),
        );
        check(
            r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
            ([None, None, None, None, None], Missing),
        );
    }

    #[test]
    fn other_meters_count_even_without_tokens() {
        let mut scanner = Scanner::new();
        let usage = scanner.scan(r#"{"prompt_tokens":0,"completion_tokens":0,"seconds":4.5}"#).unwrap();
        let counts = Passed::read(usage).unwrap().unwrap().counts();
        assert_eq!((counts.quantities[Meter::AudioMs], counts.quality), (Some(4500), Quality::Reported));
        let usage = scanner
            .scan(r#"{"input_tokens":3,"output_tokens":4,"server_tool_use":{"web_search_requests":2}}"#)
            .unwrap();
        assert_eq!(Passed::read(usage).unwrap().unwrap().counts().quantities[Meter::WebSearches], Some(2));
    }
}
