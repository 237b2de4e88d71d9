//! `litellm`: rows of `LiteLLM_SpendLogs` as JSON (exported, or pages of
//! `/spend/logs/v2`) and as CSV, and `StandardLoggingPayload` objects, in old and
//! new sets of columns: fields are found by name, and any of them may be absent.
//!
//! What holds here: the prompt includes what was read from and written to a
//! cache, also for Anthropic, unless the numbers contradict it; the counts are in
//! `metadata`, which is an object or a text. The response's id is without the
//! suffixes that `LiteLLM` adds to it. A batch is one record of all its requests,
//! from the rows with its cost, at the time it was made: the body of the response
//! tells it, or the id. Rows of its creation and of polls are skipped, and so are
//! line items of batches, which repeat the same requests one by one.
//! Health checks are known by the account that the proxy runs them under, never
//! by a tag, since any caller can set tags.

mod call;
mod metadata;
mod row;

use super::{
    Entry, Format, Read, Recognition, Sink, Skip,
    shared::{
        field::{fields, has},
        page::Page,
    },
};
use crate::config::Source;

/// A page of `/spend/logs/v2`.
const PAGE: Page = Page { holds: "data", of_a_record: "call_type" };

#[derive(Debug)]
pub(super) struct LiteLlm;

impl Format for LiteLlm {
    fn name(&self) -> &'static str {
        "litellm"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let first = PAGE.first(entry);
        let has = |names: &[&str]| names.iter().all(|name| has(&first, name));
        if has(&["request_id", "call_type", "spend", "startTime"]) {
            return Recognition::of(
                95,
                "`request_id`, `call_type`, `spend` and `startTime`, as in LiteLLM's spend logs",
            );
        }
        if has(&["id", "call_type", "response_cost", "startTime"]) {
            return Recognition::of(
                95,
                "`id`, `call_type`, `response_cost` and `startTime`, as LiteLLM logs a payload",
            );
        }
        if has(&["batch_id", "custom_id", "response_cost"]) {
            return Recognition::of(85, "`batch_id`, `custom_id` and `response_cost`, as LiteLLM logs a batch's items");
        }
        if is_daily_sum(&first) {
            return Recognition::of(60, "`startTime`, `spend`, `users` and `models`, as LiteLLM sums up a day");
        }
        Recognition::NONE
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        PAGE.read(entry, sink, |row| read(row, source));
    }
}

fn read<'a>(entry: &Entry<'a>, source: &Source) -> Read<'a> {
    if is_daily_sum(entry) {
        return Err(Skip::Aggregate.into());
    }
    let mut row = row::Row::new(source);
    for (name, field) in fields(entry) {
        if !row.describe(name, &field)? {
            row.measure(name, &field)?;
        }
    }
    row.finish()
}

/// What `/spend/logs` answers with by default: sums of a day, no requests.
fn is_daily_sum(entry: &Entry<'_>) -> bool {
    has(entry, "users") && has(entry, "models") && has(entry, "spend") && !has(entry, "call_type")
}
