//! Answers of an API that hold many records, `{"data": […]}`, kept as they came:
//! one entry of the log, each of whose items is read like a line of its own.

use super::{Entry, Found, Reject, Sink, Skip};
use crate::json::Value;

/// What a format makes of one item.
pub(super) type Read<'a> = Result<Result<Found<'a>, Skip>, Reject>;

/// The items of a page; `None` where the entry is a record itself, which then
/// has a field of the name `of_a_record`.
pub(super) fn items<'a>(entry: &Entry<'a>, of_a_record: &str) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
    let Entry::Json(value) = *entry else { return None };
    let data = value.some("data").filter(|data| data.is_array())?;
    value.get(of_a_record).is_none().then(|| data.items())
}

/// Reads an entry, or each item of a page, and hands what comes of it to the sink.
pub(super) fn read<'a>(
    entry: &Entry<'a>,
    of_a_record: &str,
    sink: &mut dyn Sink<'a>,
    mut read: impl FnMut(&Entry<'a>) -> Read<'a>,
) {
    let Some(items) = items(entry, of_a_record) else { return hand(read(entry), None, sink) };
    let mut is_empty = true;
    for item in items {
        is_empty = false;
        hand(read(&Entry::Json(item)), Some(item.raw()), sink);
    }
    if is_empty {
        sink.skip(Skip::NotUsage);
    }
}

fn hand<'a>(read: Read<'a>, raw: Option<&'a str>, sink: &mut dyn Sink<'a>) {
    match read {
        Ok(Ok(mut found)) => {
            found.raw = raw;
            sink.record(found);
        }
        Ok(Err(skip)) => sink.skip(skip),
        Err(reject) => sink.reject(reject),
    }
}
