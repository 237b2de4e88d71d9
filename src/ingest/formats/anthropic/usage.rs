//! The `usage` object of the Messages API, turned into disjoint buckets.
//!
//! Its counts are disjoint already: input beside cache reads and cache writes,
//! thinking inside the output. `cache_creation` splits the writes by how long
//! they live. Where `iterations` are listed (compaction, an advising model),
//! the top level is only a part of them, and they are summed; those of another
//! model are records of their own, at that model's price.

use crate::{
    ingest::formats::{
        Reject, RejectReason,
        shared::{
            field::{Field, members},
            tokens::{Counts, Totals},
            usage,
        },
    },
    json::Value,
    record::{Meter, Quality, Text},
};

/// What is stated; a null or absent count keeps what an earlier event said.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage<'a> {
    stated: usage::Usage,
    tier: Option<Text<'a>>,
    is_fast: bool,
    iterations: Option<Value<'a>>,
}

impl<'a> Usage<'a> {
    pub(super) fn take(&mut self, value: Value<'a>) -> Result<(), Reject> {
        let Some(stated) = usage::Usage::read(Some(value))? else { return Ok(()) };
        self.stated = stated.or(self.stated);
        for (name, field) in members(value) {
            match name {
                "prompt_tokens" => {
                    return Err(Reject::new(
                        RejectReason::WrongType,
                        "`usage` has `prompt_tokens`, expected Anthropic's `input_tokens`: \
                         read bodies in OpenAI's shape with `format = \"openai\"`",
                    ));
                }
                "service_tier" => self.tier = field.text(name)?.or_else(|| self.tier.take()),
                "speed" => self.is_fast = field.any_text().as_deref() == Some("fast"),
                "iterations" => {
                    let iterations = field.value().filter(|list| list.items().next().is_some());
                    self.iterations = iterations.or(self.iterations);
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn any(&self) -> bool {
        self.counted().quantities.any() || self.iterations.is_some()
    }

    /// Whether it says how much was written to the cache, not for how long.
    pub(super) fn has_unsplit_writes(&self) -> bool {
        let totals = self.stated.totals;
        totals.written > Some(0) && totals.written_5m.is_none() && totals.written_1h.is_none()
    }

    /// The tier as served; fast mode has prices of its own.
    pub(super) fn tier(&self) -> Option<Text<'a>> {
        match self.tier.as_deref() {
            None | Some("standard") if self.is_fast => Some(Text::Borrowed("fast")),
            _ => self.tier.clone(),
        }
    }

    /// The quantities of this level alone.
    fn counted(&self) -> Counts {
        let mut counts = Totals { cache_beside_prompt: true, ..self.stated.totals }.counts();
        counts.fill(self.stated.others);
        counts
    }

    /// The quantities of the model that answered, over all iterations, and
    /// those of each other model that took part.
    pub(super) fn counts(&self, own: &str) -> Result<(Counts, Vec<(Text<'a>, Counts)>), Reject> {
        let top = self.counted();
        let mut sum: Option<Counts> = None;
        let mut others: Vec<(Text<'a>, Counts)> = Vec::new();
        for iteration in self.iterations.into_iter().flat_map(Value::items) {
            let mut usage = Usage::default();
            usage.take(iteration)?;
            let counts = usage.counted();
            let model = Field::from(iteration.get("model")).text("model")?.filter(|model| model != own);
            match (model, &mut sum) {
                (Some(model), _) => match others.iter_mut().find(|(name, _)| *name == model) {
                    Some((_, sum)) => sum.add(&counts)?,
                    None => others.push((model, counts)),
                },
                (None, Some(sum)) => sum.add(&counts)?,
                (None, None) => sum = Some(counts),
            }
        }
        // Searches are counted at the top level only.
        let web_searches = top.quantities[Meter::WebSearches];
        let mut counts = sum.filter(|sum| sum.quality != Quality::Missing).unwrap_or(top);
        counts.quantities[Meter::WebSearches] = web_searches;
        counts.reasoning_tokens = counts.reasoning_tokens.or(top.reasoning_tokens);
        Ok((counts, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ingest::formats::shared::testing::buckets, json::Scanner};

    /// `input, cached, written for 5 minutes, for an hour, output`
    type Expect = [Option<i64>; 5];

    fn check(json: &str, expect: Expect, quality: Quality) {
        let mut scanner = Scanner::new();
        let mut usage = Usage::default();
        usage.take(scanner.scan(json).unwrap()).unwrap();
        let (counts, _) = usage.counts("m").unwrap();
        assert_eq!((buckets(&counts), counts.quality), (expect, quality), "{json}");
    }

    #[test]
    fn counts_are_disjoint_as_they_stand() {
        use Quality::{Estimated, Missing, Reported};
        check(r#"{"input_tokens":7,"output_tokens":445}"#, [Some(7), None, None, None, Some(445)], Reported);
        check(
            r#"{"input_tokens":7,"cache_read_input_tokens":16399,"cache_creation_input_tokens":2089,"output_tokens":1}"#,
            [Some(7), Some(16_399), Some(2089), None, Some(1)],
            Reported,
        );
        // The split is part of the writes; what it leaves out is taken for short-lived.
        check(
            r#"{"cache_creation_input_tokens":100,"cache_creation":{"ephemeral_1h_input_tokens":60,"ephemeral_5m_input_tokens":30}}"#,
            [None, None, Some(40), Some(60), None],
            Reported,
        );
        check(
            r#"{"cache_creation_input_tokens":100,"cache_creation":{"ephemeral_1h_input_tokens":100}}"#,
            [None, None, None, Some(100), None],
            Reported,
        );
        check(r#"{"cache_creation":{"ephemeral_5m_input_tokens":5}}"#, [None, None, Some(5), None, None], Reported);
        // A split that is more than the whole contradicts it.
        check(
            r#"{"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_1h_input_tokens":60}}"#,
            [None, None, None, Some(60), None],
            Estimated,
        );
        check(r#"{"service_tier":"standard","input_tokens":null}"#, [None; 5], Missing);
    }

    #[test]
    fn iterations_are_summed_for_the_own_model() {
        check(
            r#"{"input_tokens":5,"output_tokens":6,"iterations":[{"input_tokens":100,"output_tokens":10},{"model":"m","input_tokens":5,"output_tokens":6},{"model":"adviser","input_tokens":1000}]}"#,
            [Some(105), None, None, None, Some(16)],
            Quality::Reported,
        );
        // Without iterations of its own, the top level is all there is.
        check(
            r#"{"input_tokens":5,"iterations":[{"model":"adviser","input_tokens":1000}]}"#,
            [Some(5), None, None, None, None],
            Quality::Reported,
        );
        check(r#"{"input_tokens":5,"iterations":[]}"#, [Some(5), None, None, None, None], Quality::Reported);
    }

    #[test]
    fn the_shape_of_other_providers_is_refused() {
        let mut scanner = Scanner::new();
        let reject = Usage::default().take(scanner.scan(r#"{"prompt_tokens":5}"#).unwrap()).unwrap_err();
        assert!(reject.detail.contains("format = \"openai\""), "{}", reject.detail);
    }
}
