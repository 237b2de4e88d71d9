//! Answers of an API that hold many records, `{"data": […]}` or `{"result": […]}`,
//! kept as they came: one entry of the log, each of whose items is read like a
//! line of its own. An answer with a single record in that place is read, too.

use super::super::{Entry, NoRecord, Read, Sink, Skip};
use crate::json::Value;

/// How an API answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// The member that holds the records.
    pub(crate) holds: &'static str,
    /// A field that every record has: an entry with it is a record itself.
    pub(crate) of_a_record: &'static str,
}

impl Page {
    /// What the answer holds; `None` where the entry is no such answer.
    pub(crate) fn content<'a>(&self, entry: &Entry<'a>) -> Option<Value<'a>> {
        let Entry::Json(value) = *entry else { return None };
        let mut content = None;
        // Once, and no further than needed: nearly every entry is a record.
        for (key, value) in value.entries() {
            if key.is(self.of_a_record) {
                return None;
            }
            if key.is(self.holds) {
                content = Some(value);
            }
        }
        content.filter(|content| content.is_array() || content.is_object())
    }

    /// The first record of the answer, or the entry itself.
    pub(crate) fn first<'a>(&self, entry: &Entry<'a>) -> Entry<'a> {
        match self.content(entry) {
            Some(content) if content.is_array() => Entry::Json(content.items().next().unwrap_or(content)),
            Some(record) => Entry::Json(record),
            None => *entry,
        }
    }

    /// Reads an entry, or each record of an answer, and hands what comes of it
    /// to the sink.
    pub(crate) fn read<'a>(
        &self,
        entry: &Entry<'a>,
        sink: &mut dyn Sink<'a>,
        mut read: impl FnMut(&Entry<'a>) -> Read<'a>,
    ) {
        match self.content(entry) {
            Some(content) if content.is_array() => {
                let mut is_empty = true;
                for item in content.items() {
                    is_empty = false;
                    let mut outcome = read(&Entry::Json(item));
                    if let Ok(found) = &mut outcome {
                        found.raw = Some(item.raw());
                    }
                    sink.put(outcome);
                }
                if is_empty {
                    sink.put(Err(NoRecord::Skip(Skip::NotUsage)));
                }
            }
            Some(record) => sink.put(read(&Entry::Json(record))),
            None => sink.put(read(entry)),
        }
    }
}
