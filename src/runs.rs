//! The record of each run: what was read, what became of it, how long it took.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::Serialize;

use crate::{
    book::{Book, BookError},
    charges::{self, Cause, Change},
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
    #[serde(flatten)]
    stage: Stage<'r>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Stage<'r> {
    Ingest {
        accounts: &'r IngestTally,
        days_changed: Vec<String>,
        notes: &'r [Note],
    },
    Price {
        known_on: String,
        days_priced: BTreeMap<String, Vec<Cause>>,
        requests: u64,
        free: u64,
        unpriced: u64,
        estimated: u64,
        unattributed: u64,
        cost: String,
        estimated_cost: String,
        changes: &'r [Change],
        days_failed: BTreeMap<String, String>,
    },
}

impl<'r> RunRecord<'r> {
    /// The record of an ingest.
    pub fn of_ingest(started: Instant, finished: Instant, done: &'r ingest::Outcome) -> Self {
        let stage = Stage::Ingest {
            accounts: &done.tally,
            days_changed: done.changed.iter().map(ToString::to_string).collect(),
            notes: &done.notes,
        };
        Self::new("ingest", started, finished, stage)
    }

    /// The record of a pricing, with prices as known on an instant.
    pub fn of_price(started: Instant, finished: Instant, known_on: Instant, done: &'r charges::Outcome) -> Self {
        let charges::Totals { requests, free, unpriced, estimated, unattributed, .. } = done.totals;
        let causes = done.priced.iter().map(|(day, causes)| (day.to_string(), causes.iter().copied().collect()));
        let stage = Stage::Price {
            known_on: known_on.to_string(),
            days_priced: causes.collect(),
            requests,
            free,
            unpriced,
            estimated,
            unattributed,
            cost: done.totals.cost().to_string(),
            estimated_cost: done.totals.estimated_cost().to_string(),
            changes: &done.changes,
            days_failed: done.failed.iter().map(|(day, error)| (day.to_string(), error.to_string())).collect(),
        };
        Self::new("price", started, finished, stage)
    }

    fn new(command: &'static str, started: Instant, finished: Instant, stage: Stage<'r>) -> Self {
        Self {
            command,
            version: env!("CARGO_PKG_VERSION"),
            started: started.to_string(),
            finished: finished.to_string(),
            stage,
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
