//! The record of each run: what was read, what became of it, how long it took.

use object_store::path::Path;
use serde::Serialize;

use crate::{
    book::{Book, BookError},
    ingest::{self, Note},
    tally::IngestTally,
    time::Instant,
};

/// One run, as it is stored in `runs/`.
#[derive(Debug, Serialize)]
pub struct RunRecord<'r> {
    command: &'static str,
    version: &'static str,
    started: String,
    finished: String,
    accounts: &'r IngestTally,
    days_changed: Vec<String>,
    notes: &'r [Note],
}

impl<'r> RunRecord<'r> {
    /// The record of an ingest.
    pub fn of_ingest(started: Instant, finished: Instant, done: &'r ingest::Outcome) -> Self {
        Self {
            command: "ingest",
            version: env!("CARGO_PKG_VERSION"),
            started: started.to_string(),
            finished: finished.to_string(),
            accounts: &done.tally,
            days_changed: done.changed.iter().map(ToString::to_string).collect(),
            notes: &done.notes,
        }
    }
}

/// Adds a run's record to the book, under a name of its own.
///
/// # Errors
/// Where it cannot be written.
pub fn store(book: &Book, record: &RunRecord<'_>) -> Result<(), BookError> {
    let stem = record.started.replace(':', "");
    let taken = book.list(&Path::from("runs"))?;
    // With a pinned clock, several runs begin at the same instant.
    let same = format!("runs/{stem}-{}-", record.command);
    let number = taken.iter().filter(|path| path.as_ref().starts_with(&same)).count() + 1;
    let name = Path::from(format!("{same}{number}.json"));
    let mut text = serde_json::to_string_pretty(record).unwrap_or_default();
    text.push('\n');
    book.put(&name, text.into())
}
