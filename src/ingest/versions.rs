//! What the logs have of one request, read again: every version, and where.
//! Changes nothing, needs no lock.

use std::path::Path;

use super::{
    IngestError,
    arrivals::Arrivals,
    files,
    frozen::Floor,
    names::Names,
    reading::{self, Settings, Task, Watch},
    rows::{Row, Slot, identity_hash},
    state::{Ending, Plan, Stamp},
    texts::{TextCache, Texts},
};
use crate::{
    config::{Config, Role},
    record::{Quality, Quantities},
    time::Instant,
};

/// Which request.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub provider: &'a str,
    pub request_id: &'a str,
    pub part: &'a str,
}

/// One version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub ts: Instant,
    pub source: String,
    pub file: String,
    pub line: u64,
    pub quality: Quality,
    pub quantities: Quantities,
}

/// Nobody watches a look-up.
struct Unwatched;

impl Watch for Unwatched {
    fn read(&self, _bytes: u64) {}
    fn file(&self, _name: &str) {}
}

/// Reads the versions of a request from the files of all sources that are still
/// there, or from one of them. Sources over HTTP are not asked again.
///
/// # Errors
/// Where what was read does not fit in memory and cannot be put aside.
pub fn versions(
    config: &Config,
    identity: Identity<'_>,
    only: Option<&str>,
    threads: usize,
) -> Result<Vec<Version>, IngestError> {
    let mut tasks = Vec::new();
    for source in config.sources.iter().filter(|source| source.role == Role::Books && source.remote.is_none()) {
        let found = files::list(&config.dir, &source.path).unwrap_or_default();
        for found in found.into_iter().filter(|found| only.is_none_or(|only| only == found.name)) {
            // A file that cannot be looked at is not there.
            if let Ok(stamp) = Stamp::of(&found.path) {
                let plan = Plan::Read(Ending::Settled);
                tasks.push(Task::of_file(source, found, stamp, plan, None));
            }
        }
    }
    let hash = identity_hash(identity.provider, identity.request_id, identity.part);
    let texts = Texts::default();
    let (names, spill_dir) = (Names::of(config), std::env::temp_dir());
    let settings =
        Settings { names, threads, budget: 64 << 20, spill_dir, floor: Floor::default(), now: Instant::EARLIEST };
    let reading = reading::read(&tasks, &texts, &settings, Some(&|row| row.hash == hash), &Unwatched)?;
    let cache = TextCache::new(&texts);
    let mut versions = Vec::new();
    for waiting in Arrivals::gather(reading.arrivals).into_values() {
        let pile = waiting.into_pile().map_err(IngestError::Spill)?;
        versions.extend(pile.heads().map(|(at, _)| version(&pile.row(at), &cache)));
    }
    versions.sort();
    Ok(versions)
}

fn version(row: &Row<'_>, texts: &TextCache<'_>) -> Version {
    let text = |slot| row.text(slot, texts).unwrap_or_default().to_owned();
    Version {
        ts: row.ts(),
        source: text(Slot::Source),
        file: text(Slot::File),
        line: row.line,
        quality: row.quality,
        quantities: row.quantities(),
    }
}

/// Whether a row was asked for over HTTP, by the name of its file in the book.
pub fn is_remote(file: &str) -> bool {
    file.starts_with("https://") || file.starts_with("http://")
}

/// Whether a file that a row was read from is still there, by its name in the
/// book.
pub fn is_there(config: &Config, file: &str) -> bool {
    config.resolve(Path::new(file)).is_file()
}
