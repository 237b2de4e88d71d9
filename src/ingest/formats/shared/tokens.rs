//! Token totals, as sources state them, made disjoint buckets.
//!
//! The names of totals do not say what they include. What holds here: cached
//! and cache-written tokens are inside the prompt, reasoning is inside the
//! completion, unless the source is known to count otherwise or the numbers
//! themselves prove it; and where they contradict each other, the quantities
//! are kept and marked `estimated`.

use super::super::{Reject, RejectReason};
use crate::record::{Meter, Quality, Quantities, UsageRecord};

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
                        RejectReason::OutOfRange,
                        format!("`usage` adds up to `{a}` + `{b}`, expected less than 2^63"),
                    )
                })?),
                (a, b) => a.or(b),
            };
        }
        self.quality = self.quality.max(more.quality);
        Ok(())
    }

    /// Fills in the meters that it does not know; where it knew none, they are
    /// what was reported.
    pub(crate) fn fill(&mut self, others: Quantities) {
        for (mine, other) in self.quantities.0.iter_mut().zip(&others.0) {
            if other.is_some() {
                *mine = mine.or(*other);
            }
        }
        if self.quality == Quality::Missing && self.quantities.any() {
            self.quality = Quality::Reported;
        }
    }

    /// Makes them the record's.
    pub(crate) fn put(self, record: &mut UsageRecord<'_>) {
        record.quantities = self.quantities;
        record.reasoning_tokens = self.reasoning_tokens;
        record.quality = self.quality;
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
    /// All that was written to a cache, for however long it lives there.
    pub written: Option<i64>,
    /// What of it lives 5 minutes and an hour, where the source says so.
    pub written_5m: Option<i64>,
    pub written_1h: Option<i64>,
    pub reasoning: Option<i64>,
    /// Whether cached and written tokens stand beside the prompt, not inside it.
    pub cache_beside_prompt: bool,
}

impl Totals {
    /// What either states, this one first. Where cached tokens stand belongs
    /// to the prompt that is taken.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.or(other.prompt),
            completion: self.completion.or(other.completion),
            total: self.total.or(other.total),
            cached: self.cached.or(other.cached),
            written: self.written.or(other.written),
            written_5m: self.written_5m.or(other.written_5m),
            written_1h: self.written_1h.or(other.written_1h),
            reasoning: self.reasoning.or(other.reasoning),
            cache_beside_prompt: if self.prompt.is_some() {
                self.cache_beside_prompt
            } else {
                other.cache_beside_prompt
            },
        }
    }

    /// The disjoint buckets as a gateway's columns give them: zeros all over
    /// are what stands there where nobody reported anything, since no request
    /// has a prompt of no tokens. They become nothing, not zero.
    pub(crate) fn gateway_counts(self) -> Counts {
        if self.is_silent() { Counts::NONE } else { self.counts() }
    }

    /// Whether no count is above zero. A total alone says that there was usage,
    /// but not of what.
    pub(crate) fn is_silent(self) -> bool {
        let counts =
            [self.prompt, self.completion, self.cached, self.written, self.written_5m, self.written_1h, self.reasoning];
        counts.iter().flatten().all(|&count| count == 0)
    }

    /// The disjoint buckets.
    pub(crate) fn counts(self) -> Counts {
        let mut quality = Quality::Reported;
        let written = self.written_by_life(&mut quality);
        let apart = sum([self.cached, written[0], written[1]]);
        let (is_beside, reasoning_is_beside) = self.beside(apart, &mut quality);

        let mut quantities = Quantities::default();
        quantities[Meter::CachedInputTokens] = self.cached;
        [quantities[Meter::CacheWrite5mTokens], quantities[Meter::CacheWrite1hTokens]] = written;
        quantities[Meter::InputTokens] = match self.prompt.map(|prompt| (prompt, i128::from(prompt) - apart)) {
            Some((prompt, _)) if is_beside => Some(prompt),
            Some((_, fresh @ 0..)) => i64::try_from(fresh).ok(),
            // More read from the cache than there is prompt: it stands beside it after all.
            Some((prompt, _)) => {
                quality = quality.max(Quality::Estimated);
                Some(prompt)
            }
            None => None,
        };
        let mut output = self.completion;
        if reasoning_is_beside || self.reasoning > output {
            output = Some(self.completion.unwrap_or(0).saturating_add(self.reasoning.unwrap_or(0)));
        }
        if self.reasoning > self.completion && !reasoning_is_beside {
            // Reasoning beyond the completion cannot be inside it.
            quality = quality.max(Quality::Estimated);
        }
        quantities[Meter::OutputTokens] = output;
        if !quantities.any() {
            quality = Quality::Missing;
        }
        Counts { quantities, reasoning_tokens: self.reasoning, quality }
    }

    /// Whether cached tokens stand beside the prompt, and reasoning beside the
    /// completion: what is known of the source, or what the total proves.
    fn beside(self, apart: i128, quality: &mut Quality) -> (bool, bool) {
        let known = self.cache_beside_prompt;
        let Some(total) = self.total.filter(|&total| total != 0).map(i128::from) else { return (known, false) };
        if self.prompt.is_none() && self.completion.is_none() {
            return (known, false);
        }
        let inside = sum([self.prompt, self.completion]);
        let reasoning = sum([self.reasoning]);
        if total == inside || (known && total == inside + apart) {
            (known, false)
        } else if reasoning > 0 && (total == inside + reasoning || (known && total == inside + apart + reasoning)) {
            (known, true)
        } else if apart > 0 && total == inside + apart {
            (true, false)
        } else if apart > 0 && reasoning > 0 && total == inside + apart + reasoning {
            (true, true)
        } else {
            *quality = (*quality).max(Quality::Estimated);
            (known, false)
        }
    }

    /// What was written to a cache that lives 5 minutes and to one that lives an
    /// hour. What the split leaves out lives for a time that is not stated.
    fn written_by_life(self, quality: &mut Quality) -> [Option<i64>; 2] {
        let Some(written) = self.written else { return [self.written_5m, self.written_1h] };
        let split = self.written_5m.unwrap_or(0).saturating_add(self.written_1h.unwrap_or(0));
        if split > written && written > 0 {
            *quality = (*quality).max(Quality::Estimated);
        }
        let rest = written.saturating_sub(split).max(0);
        let short_lived = match self.written_5m {
            Some(stated) => Some(stated.saturating_add(rest)),
            None if rest > 0 || self.written_1h.is_none() => Some(rest),
            None => None,
        };
        [short_lived, self.written_1h]
    }
}

fn sum<const N: usize>(counts: [Option<i64>; N]) -> i128 {
    counts.iter().flatten().map(|&count| i128::from(count)).sum()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::buckets, *};

    /// `input, cached, written for 5 minutes, for an hour, output`
    type Buckets = [Option<i64>; 5];

    fn check(totals: Totals, expect: Buckets, quality: Quality) {
        let counts = totals.counts();
        assert_eq!((buckets(&counts), counts.quality), (expect, quality), "{totals:?}");
    }

    fn totals(prompt: i64, completion: i64, total: Option<i64>, cached: i64, reasoning: i64) -> Totals {
        let some = |count: i64| Some(count).filter(|&count| count > 0);
        Totals {
            prompt: Some(prompt),
            completion: Some(completion),
            total,
            cached: some(cached),
            reasoning: some(reasoning),
            ..Totals::default()
        }
    }

    #[test]
    fn the_total_says_what_is_inside() {
        use Quality::{Estimated, Reported};
        let some = Some;
        check(totals(100, 30, some(130), 40, 20), [some(60), some(40), None, None, some(30)], Reported);
        check(totals(100, 30, some(150), 40, 20), [some(60), some(40), None, None, some(50)], Reported);
        check(totals(100, 30, some(170), 40, 20), [some(100), some(40), None, None, some(30)], Reported);
        check(totals(100, 30, some(190), 40, 20), [some(100), some(40), None, None, some(50)], Reported);
        check(totals(100, 30, some(131), 40, 20), [some(60), some(40), None, None, some(30)], Estimated);
        check(totals(100, 30, None, 40, 20), [some(60), some(40), None, None, some(30)], Reported);
        check(totals(100, 30, some(0), 40, 20), [some(60), some(40), None, None, some(30)], Reported);
        check(totals(10, 30, None, 40, 0), [some(10), some(40), None, None, some(30)], Estimated);
        check(totals(10, 30, None, 0, 40), [some(10), None, None, None, some(70)], Estimated);
        let beside = Totals { cache_beside_prompt: true, ..totals(100, 30, some(190), 40, 20) };
        check(beside, [some(100), some(40), None, None, some(50)], Reported);
        check(Totals { total: some(5), ..Totals::default() }, [None; 5], Quality::Missing);
        let huge = Totals { cached: some(i64::MAX), written: some(i64::MAX), ..totals(i64::MAX, 1, some(1), 1, 1) };
        check(huge, [some(i64::MAX), some(i64::MAX), some(i64::MAX), None, some(1)], Estimated);
    }

    #[test]
    fn what_was_written_is_split_by_how_long_it_lives() {
        let written = |written: Option<i64>, short: Option<i64>, long: Option<i64>| Totals {
            prompt: Some(1000),
            written,
            written_5m: short,
            written_1h: long,
            ..Totals::default()
        };
        let some = Some;
        for (written, expect, quality) in [
            (written(some(100), None, None), [some(900), None, some(100), None, None], Quality::Reported),
            (written(some(100), some(30), some(60)), [some(900), None, some(40), some(60), None], Quality::Reported),
            (written(some(100), None, some(100)), [some(900), None, None, some(100), None], Quality::Reported),
            (written(None, some(5), None), [some(995), None, some(5), None, None], Quality::Reported),
            // A split that is more than the whole contradicts it.
            (written(some(10), None, some(60)), [some(940), None, None, some(60), None], Quality::Estimated),
        ] {
            check(written, expect, quality);
        }
    }

    #[test]
    fn zeros_of_a_gateway_are_nothing() {
        assert_eq!(totals(0, 0, Some(0), 0, 0).gateway_counts(), Counts::NONE);
        assert_eq!(totals(0, 0, Some(0), 0, 0).counts().quality, Quality::Reported);
        assert_eq!(totals(0, 1, Some(1), 0, 0).gateway_counts().quality, Quality::Reported);
    }
}
