//! Ingest: logs in, `usage/` out. Never prices.
//!
//! Files are cut into entries ([`framing`]), read by their format ([`formats`]),
//! made records of the book ([`accept`]), and wait by day ([`arrivals`]). Then
//! each day's versions are merged with the rows that are there ([`day`],
//! [`merge`]), with an eye to requests that lie across midnight ([`seams`]),
//! and its file is replaced in one step.
//!
//! What must hold: the book depends only on the set of records that were ever
//! read, never on their order, their split into files, or the number of
//! nights; and every record read is accounted for.

pub mod accept;
mod arrivals;
mod builder;
mod day;
pub mod day_file;
pub mod detect;
pub mod files;
pub mod formats;
pub mod framing;
mod frozen;
mod http;
pub mod local_times;
mod merge;
pub mod names;
pub mod overlap;
pub mod parse;
mod pile;
mod quarantine;
mod reading;
mod rows;
mod seams;
mod state;
pub mod stored;
mod table;
mod texts;
pub mod versions;
mod withdraw;

use std::{collections::BTreeSet, num::NonZero, thread};

use crate::{
    book::{Book, BookError, layout::DayTable},
    clock::Clock,
    config::{Config, Role},
    tally::IngestTally,
    time::{Day, Instant},
};

pub(crate) use frozen::PRUNED;
pub use frozen::reaching;
pub use http::{TriedOut, try_out};
pub use quarantine::Broken;
pub use reading::Watch;
pub(crate) use state::Stamp;
pub use table::Shown;
use table::Table;

/// What to ingest, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this source.
    pub source: Option<String>,
    /// Say what would happen, and write nothing.
    pub dry_run: bool,
    /// Bytes of memory to stay below.
    pub memory: usize,
    pub threads: usize,
    /// Rebuild what a source had a part in.
    pub again: Option<Again>,
    /// When the run takes place: sources over HTTP are asked for the days until
    /// then.
    pub now: Instant,
}

/// Rebuild the requests that a source had a part in, from every source's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    pub source: String,
    pub from: Option<Day>,
    pub to: Option<Day>,
}

impl Again {
    fn covers(&self, day: Day) -> bool {
        self.from.is_none_or(|from| day >= from) && self.to.is_none_or(|to| day <= to)
    }
}

impl Default for Options {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self { source: None, dry_run: false, memory: 1 << 30, threads, again: None, now: Clock::System.now() }
    }
}

/// Something a person should know about a source or a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    pub source: String,
    pub file: Option<String>,
    pub message: String,
    /// The source could not be read, or not all of it.
    pub is_failure: bool,
}

/// What an ingest came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tally: IngestTally,
    pub notes: Vec<Note>,
    /// Days of `usage` that have other rows now.
    pub changed: Vec<Day>,
    /// The first records read, as they are stored.
    pub first: Vec<Shown>,
}

/// Why an ingest could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("there is no source `{name}`, the config has {known}")]
    UnknownSource { name: String, known: String },
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("`{path}` in the book")]
    DayFile { path: String, source: parquet::errors::ParquetError },
    #[error("rows that do not fit in memory cannot be put aside")]
    Spill(#[from] std::io::Error),
    #[error("the accounts do not balance, nothing more was written, please report this: {0}")]
    Unbalanced(String),
}

/// Reads every source's new log entries into the book. Without a book (a dry
/// run before the first) everything is new.
///
/// # Errors
/// Where the book cannot be read or written. A file that cannot be read is a
/// [`Note`], and the others go on.
pub fn run(config: &Config, book: Option<&Book>, options: &Options, watch: &dyn Watch) -> Result<Outcome, IngestError> {
    let wanted = options.source.as_ref().or(options.again.as_ref().map(|again| &again.source));
    if let Some(name) = wanted
        && !config.sources.iter().chain(&config.totals).any(|source| source.name == *name)
    {
        let known: Vec<_> =
            config.sources.iter().chain(&config.totals).map(|source| format!("`{}`", source.name)).collect();
        let known = if known.is_empty() { "no sources".to_owned() } else { known.join(", ") };
        return Err(IngestError::UnknownSource { name: name.clone(), known });
    }
    let mut outcome = Outcome::default();
    for (role, table) in [(Role::Books, DayTable::Usage), (Role::Check, DayTable::Checks)] {
        let sources: Vec<_> = config.sources.iter().filter(|source| source.role == role).collect();
        let pulls = http::Pulls::default();
        let mut changed = BTreeSet::new();
        let night = Table { config, sources: &sources, days_of: table, book, options, pulls: &pulls, watch };
        loop {
            changed.extend(table::ingest(&night, &mut outcome)?);
            if !pulls.next_round() {
                break;
            }
        }
        let changed = changed.into_iter().collect();
        if table == DayTable::Usage {
            outcome.changed = changed;
        }
    }
    note_overlaps(config, book, options, &mut outcome)?;
    match outcome.tally.imbalance() {
        Some(what) => Err(IngestError::Unbalanced(what)),
        None => Ok(outcome),
    }
}

/// How many of the days that changed are looked through, the latest, for
/// sources that show the same requests.
const COMPARED_DAYS: usize = 3;

fn note_overlaps(
    config: &Config,
    book: Option<&Book>,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), IngestError> {
    let sources = config.sources.iter().filter(|source| source.role == Role::Books).count();
    let Some(book) = book.filter(|_| sources > 1 && !options.dry_run) else { return Ok(()) };
    let days: Vec<Day> = outcome.changed.iter().rev().take(COMPARED_DAYS).copied().collect();
    for overlap in overlap::find(book, &days)? {
        let message = format!("{overlap}: {}", overlap::CURE);
        let source = overlap.source;
        outcome.notes.push(Note { source, file: None, message, is_failure: false });
    }
    Ok(())
}
