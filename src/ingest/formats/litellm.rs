//! `litellm`: rows of `LiteLLM_SpendLogs` as JSON (exported, or pages of
//! `/spend/logs/v2`) and as CSV, and `StandardLoggingPayload` objects, in old and
//! new sets of columns: fields are found by name, and any of them may be absent.
//!
//! What holds here: the prompt includes what was read from and written to a
//! cache, also for Anthropic, unless the numbers contradict it; the counts are in
//! `metadata`, which is an object or a text. The response's id is without the
//! suffixes that `LiteLLM` adds to it. A batch is one record of all its requests,
//! from the row with its cost; rows of its creation and of polls are skipped, and
//! so are line items of batches, which repeat the same requests one by one.
//! Health checks are known by the account that the proxy runs them under, never
//! by a tag, since any caller can set tags.

mod call;
mod metadata;
mod row;

use super::{Entry, Format, Found, Recognition, Reject, Sink, Skip, cell};
use crate::{config::Source, json::Value};

#[derive(Debug)]
pub struct LiteLlm;

impl Format for LiteLlm {
    fn name(&self) -> &'static str {
        "litellm"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    fn recognises(&self, entry: &Entry<'_>) -> Recognition {
        let has = |names: &[&str]| names.iter().all(|name| cell::has(entry, name));
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
        match entry {
            Entry::Json(value) if is_daily_sum(*value) => {
                Recognition::of(60, "`startTime`, `spend`, `users` and `models`, as LiteLLM sums up a day")
            }
            Entry::Json(value) => match page(*value).and_then(|mut rows| rows.next()) {
                Some(row) => self.recognises(&Entry::Json(row)),
                None => Recognition::NONE,
            },
            Entry::Csv(_) => Recognition::NONE,
        }
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        if let Entry::Json(value) = entry
            && let Some(rows) = page(*value)
        {
            let mut is_empty = true;
            for row in rows {
                is_empty = false;
                one(&Entry::Json(row), source, Some(row.raw()), sink);
            }
            if is_empty {
                sink.skip(Skip::NotUsage);
            }
            return;
        }
        one(entry, source, None, sink);
    }
}

/// Reads one row; `raw` is its text where it is one of a page.
fn one<'a>(entry: &Entry<'a>, source: &Source, raw: Option<&'a str>, sink: &mut dyn Sink<'a>) {
    match read(entry, source) {
        Ok(Ok(mut found)) => {
            found.raw = raw;
            sink.record(found);
        }
        Ok(Err(skip)) => sink.skip(skip),
        Err(reject) => sink.reject(reject),
    }
}

fn read<'a>(entry: &Entry<'a>, source: &Source) -> Result<Result<Found<'a>, Skip>, Reject> {
    if let Entry::Json(value) = entry
        && is_daily_sum(*value)
    {
        return Ok(Err(Skip::Aggregate));
    }
    let mut row = row::Row::new(source);
    for (name, field) in cell::cells(entry) {
        if !row.describe(name, field)? {
            row.measure(name, field)?;
        }
    }
    row.finish()
}

/// The rows of a page of the API.
fn page<'a>(value: Value<'a>) -> Option<impl Iterator<Item = Value<'a>>> {
    value.some("data").filter(|data| data.is_array() && value.get("call_type").is_none()).map(Value::items)
}

/// What `/spend/logs` answers with by default: sums of a day, no requests.
fn is_daily_sum(value: Value<'_>) -> bool {
    ["startTime", "spend", "users", "models"].iter().all(|name| value.get(name).is_some())
        && value.get("call_type").is_none()
}

#[cfg(test)]
mod tests;
