//! The usage of an observation: a map with open-ended keys, disjoint as a rule.
//!
//! What was read from a cache or was reasoning is taken out of `input` and
//! `output` when it is recorded; but where a client sent a shape of its own it
//! may still be inside, so the total, where there is one, decides between the
//! readings. Where no reading gives the total, the counts are taken as disjoint
//! and marked `estimated`.

use super::super::{
    Reject,
    shared::{field::Field, tokens::Counts, usage::Usage},
};
use crate::{
    json::Value,
    record::{Meter, Quality},
};

/// What an observation says of its usage.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Details {
    sums: Sums,
    /// A provider's own shape, recorded as it came.
    passed_on: Option<Usage>,
    /// What older columns and shapes say, for want of anything better.
    plain: Sums,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    input: Option<i64>,
    cached: Option<i64>,
    written: Option<i64>,
    written_5m: Option<i64>,
    written_1h: Option<i64>,
    /// Input of other kinds: audio, images, text that is named as such.
    input_other: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
    output_other: Option<i64>,
    total: Option<i64>,
}

impl Details {
    /// Reads `usageDetails`.
    ///
    /// # Errors
    /// Where a count of it cannot be one.
    pub(super) fn details(&mut self, details: Value<'_>) -> Result<(), Reject> {
        let has = |name: &str| details.get(name).is_some();
        if !has("input") && (has("prompt_tokens") || has("input_tokens")) {
            self.passed_on = Usage::read(Some(details))?;
            return Ok(());
        }
        for (key, value) in details.entries() {
            let name = key.text();
            let Some(sum) = self.sums.of(&name) else { continue };
            if let Some(count) = Field::Json(value).count(&format!("usageDetails.{name}"))? {
                *sum = Some(sum.unwrap_or(0).saturating_add(count));
            }
        }
        Ok(())
    }

    /// Reads the `usage` of older answers: `input`, `output`, `total` and a unit.
    ///
    /// # Errors
    /// Where a count of it cannot be one.
    pub(super) fn legacy(&mut self, usage: Value<'_>) -> Result<(), Reject> {
        let of = |name: &str| Field::from(usage.get(name));
        if of("unit").any_text().is_none_or(|unit| unit == "TOKENS") {
            self.plain_input(of("input").count("usage.input")?);
            self.plain_output(of("output").count("usage.output")?);
            self.plain_total(of("total").count("usage.total")?);
        }
        Ok(())
    }

    pub(super) fn plain_input(&mut self, count: Option<i64>) {
        self.plain.input = self.plain.input.or(count);
    }

    pub(super) fn plain_output(&mut self, count: Option<i64>) {
        self.plain.output = self.plain.output.or(count);
    }

    pub(super) fn plain_total(&mut self, count: Option<i64>) {
        self.plain.total = self.plain.total.or(count);
    }

    /// The disjoint buckets; zeros all over stand where nothing was reported.
    pub(super) fn counts(self) -> Counts {
        if let Some(passed_on) = self.passed_on {
            return passed_on.gateway_counts();
        }
        let sums = if self.sums.is_silent() { self.plain } else { self.sums };
        if sums.is_silent() { Counts::NONE } else { sums.counts() }
    }
}

impl Sums {
    /// What a key of the map adds to; none for costs, times and whatever else.
    fn of(&mut self, name: &str) -> Option<&mut Option<i64>> {
        let has = |word: &str| name.contains(word);
        let is_output = name.starts_with("output");
        Some(if name == "total" {
            &mut self.total
        } else if has("cache") && !is_output {
            match () {
                () if has("1h") => &mut self.written_1h,
                () if has("5m") => &mut self.written_5m,
                () if has("creation") || has("write") => &mut self.written,
                () => &mut self.cached,
            }
        } else if has("reasoning") || has("thought") || has("thinking") {
            &mut self.reasoning
        } else if name == "input" {
            &mut self.input
        } else if name == "output" {
            &mut self.output
        } else if is_output {
            &mut self.output_other
        } else if name.starts_with("input") {
            &mut self.input_other
        } else {
            return None;
        })
    }

    fn is_silent(self) -> bool {
        let counts = [
            self.input,
            self.cached,
            self.written,
            self.written_5m,
            self.written_1h,
            self.input_other,
            self.output,
            self.reasoning,
            self.output_other,
        ];
        // A total alone says that there was usage, but not of what.
        counts.iter().flatten().all(|&count| count == 0)
    }

    fn counts(mut self) -> Counts {
        let sum = |counts: &[Option<i64>]| counts.iter().flatten().map(|&count| i128::from(count)).sum::<i128>();
        // What was written, beside its own parts: they are it.
        let parts = sum(&[self.written_5m, self.written_1h]);
        if parts > 0 && self.written.map(i128::from) == Some(parts) {
            self.written = None;
        }
        let (input, output) = (sum(&[self.input]), sum(&[self.output]));
        let input_details = sum(&[self.cached, self.written, self.written_5m, self.written_1h, self.input_other]);
        let output_details = sum(&[self.reasoning, self.output_other]);
        let readings = [(false, false), (true, true), (true, false), (false, true)];
        let total = self.total.filter(|&total| total > 0).map(i128::from);
        let reading = readings.into_iter().find(|&(input_inside, output_inside)| {
            let inputs = input + if input_inside { 0 } else { input_details };
            let outputs = output + if output_inside { 0 } else { output_details };
            (!input_inside || input_details <= input)
                && (!output_inside || output_details <= output)
                && total.is_none_or(|total| total == inputs + outputs)
        });
        let (input_inside, output_inside) = reading.unwrap_or((false, false));

        let mut counts = Counts::NONE;
        counts.quality = if reading.is_some() { Quality::Reported } else { Quality::Estimated };
        let apart = input_details - sum(&[self.input_other]);
        let fresh = if input_inside { input - apart } else { input + sum(&[self.input_other]) };
        let all_output = if output_inside { output } else { output + output_details };
        // Sums of a few counts below 2^63 that do not fit are beyond any sane one.
        let fitting = |count: i128, counts: &[Option<i64>]| {
            counts.iter().any(Option::is_some).then(|| i64::try_from(count).unwrap_or(i64::MAX))
        };
        let written_5m = [self.written, self.written_5m];
        counts.quantities[Meter::InputTokens] = fitting(fresh, &[self.input, self.input_other]);
        counts.quantities[Meter::CachedInputTokens] = self.cached;
        counts.quantities[Meter::CacheWrite5mTokens] = fitting(sum(&written_5m), &written_5m);
        counts.quantities[Meter::CacheWrite1hTokens] = self.written_1h;
        counts.quantities[Meter::OutputTokens] = fitting(all_output, &[self.output, self.reasoning, self.output_other]);
        counts.reasoning_tokens = self.reasoning;
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    /// `input, cached, written 5m, written 1h, output, reasoning, quality`
    type Expect = ([Option<i64>; 6], Quality);

    fn check(json: &str, expect: Expect) {
        let mut scanner = Scanner::new();
        let mut details = Details::default();
        details.details(scanner.scan(json).unwrap()).unwrap();
        let counts = details.counts();
        let of = |meter| counts.quantities[meter];
        let found = [
            of(Meter::InputTokens),
            of(Meter::CachedInputTokens),
            of(Meter::CacheWrite5mTokens),
            of(Meter::CacheWrite1hTokens),
            of(Meter::OutputTokens),
            counts.reasoning_tokens,
        ];
        assert_eq!((found, counts.quality), expect, "{json}");
    }

    #[test]
    fn keys_are_disjoint_unless_the_total_says_otherwise() {
        use Quality::{Estimated, Missing, Reported};
        check(r#"{"input":417,"output":53,"total":470}"#, ([Some(417), None, None, None, Some(53), None], Reported));
        // Disjoint: reasoning is added to the output, which includes it here.
        check(
            r#"{"input":100,"input_cached_tokens":50,"output":20,"output_reasoning_tokens":30,"total":200}"#,
            ([Some(100), Some(50), None, None, Some(50), Some(30)], Reported),
        );
        // The same numbers, inside.
        check(
            r#"{"input":150,"input_cached_tokens":50,"output":50,"output_reasoning_tokens":30,"total":200}"#,
            ([Some(100), Some(50), None, None, Some(50), Some(30)], Reported),
        );
        // The input inside, the output disjoint.
        check(
            r#"{"input":150,"input_cached_tokens":50,"output":20,"output_reasoning_tokens":30,"total":200}"#,
            ([Some(100), Some(50), None, None, Some(50), Some(30)], Reported),
        );
        // #12306: Anthropic's names, no total: 130,213 in all.
        check(
            r#"{"input":5,"cache_read_input_tokens":128955,"cache_creation_input_tokens":1253,"output":7}"#,
            ([Some(5), Some(128_955), Some(1253), None, Some(7), None], Reported),
        );
        // The lifetimes are parts of what was written.
        check(
            r#"{"input":5,"input_cache_creation":30,"input_cache_creation_5m":10,"input_cache_creation_1h":20,"output":7}"#,
            ([Some(5), None, Some(10), Some(20), Some(7), None], Reported),
        );
        check(
            r#"{"input":5,"input_audio_tokens":3,"output":7,"output_audio_tokens":2,"total":17}"#,
            ([Some(8), None, None, None, Some(9), None], Reported),
        );
        check(r#"{"input":5,"output":7,"total":99}"#, ([Some(5), None, None, None, Some(7), None], Estimated));
        // Groq's own shape, with its times.
        check(
            r#"{"prompt_tokens":5,"completion_tokens":7,"prompt_time":0.002,"prompt_tokens_details":{"cached_tokens":2}}"#,
            ([Some(3), Some(2), None, None, Some(7), None], Reported),
        );
        check(r#"{"input":5,"output":7,"some_score":0.5}"#, ([Some(5), None, None, None, Some(7), None], Reported));
        check(r#"{"input":0,"output":0,"total":0}"#, ([None; 6], Missing));
        check("{}", ([None; 6], Missing));
    }

    #[test]
    fn older_columns_serve_where_there_are_no_details() {
        let mut details = Details::default();
        details.plain_input(Some(5));
        details.plain_output(Some(7));
        assert_eq!(details.counts().quantities[Meter::InputTokens], Some(5));
        details.details(Scanner::new().scan(r#"{"input":4,"output":6}"#).unwrap()).unwrap();
        assert_eq!(details.counts().quantities[Meter::InputTokens], Some(4));
    }
}
