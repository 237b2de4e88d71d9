//! When each source was last heard, and of those that never were, since when
//! runs have looked for them in vain.
//!
//! Requests of the book come first. Where it shows none of a source, the records
//! of runs say whether one was ever read: it may have been of a pruned day, or
//! the same as another source's. Both are of the book, so that nothing here
//! depends on `state/`; records that are gone can only make a silence younger.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;

use super::ReportError;
use crate::{
    book::{Book, layout::DayTable},
    charges::{ChargesError, DayFile},
    config::{Config, Role, Source},
    runs,
    time::{Day, Instant},
};

/// When each source was last heard, by its name.
pub type Heard = BTreeMap<String, Instant>;

/// When these sources were last heard, as far as the book tells. Days that
/// cannot be read are passed over.
///
/// # Errors
/// Where the book cannot be listed.
pub fn last_heard<'s>(book: &Book, sources: impl IntoIterator<Item = &'s Source>) -> Result<Heard, ReportError> {
    let mut heard = Heard::new();
    let mut wanted: [BTreeSet<&str>; 2] = Default::default();
    for source in sources {
        wanted[usize::from(source.role == Role::Check)].insert(&source.name);
    }
    for (table, names) in [DayTable::Usage, DayTable::Checks].into_iter().zip(wanted) {
        for &day in book.days(table)?.iter().rev() {
            let missing: BTreeSet<&str> = names.iter().copied().filter(|name| !heard.contains_key(*name)).collect();
            if missing.is_empty() {
                break;
            }
            match heard_on(book, table, day, &missing) {
                Ok(of_day) => {
                    for (source, at) in of_day.into_iter().filter(|(source, _)| names.contains(source.as_str())) {
                        let last = heard.entry(source).or_insert(at);
                        *last = at.max(*last);
                    }
                }
                Err(error) => tracing::debug!(%day, %error, "passed over"),
            }
        }
    }
    Ok(heard)
}

/// What a day says of every source, if it says anything of one that is missing:
/// the words of its rows tell that, and are little beside them.
fn heard_on(book: &Book, table: DayTable, day: Day, missing: &BTreeSet<&str>) -> Result<Heard, ChargesError> {
    let mut heard = Heard::new();
    let Some(file) = DayFile::open(book, table, day)? else { return Ok(heard) };
    let words = file.words("source")?;
    if words.is_some_and(|words| !missing.iter().any(|name| words.contains(*name))) {
        return Ok(heard);
    }
    for (start, length) in file.slices() {
        let frame = file.frame(&["source", "ts_last"], start, length)?;
        let last = || -> PolarsResult<Vec<(String, i64)>> {
            let last = col("ts_last").to_physical().max();
            let last = frame.lazy().group_by([col("source")]).agg([last]).collect()?;
            let (names, at) = (last.column("source")?.str()?, last.column("ts_last")?.i64()?);
            Ok(names.iter().zip(at.iter()).filter_map(|(name, at)| Some((name?.to_owned(), at?))).collect())
        };
        let last = last().map_err(|source| ChargesError::Engine { path: file.path.clone(), source })?;
        for (source, at) in last {
            let at = Instant::from_micros(at);
            let last = heard.entry(source).or_insert(at);
            *last = at.max(*last);
        }
    }
    Ok(heard)
}

/// A source, and when it was last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    pub name: String,
    pub role: Role,
    /// Its last request in the book; where there is none, the last run that
    /// read one all the same. `None` where no run is known to have read any.
    pub last: Option<Instant>,
    /// Where it was never heard: the first run that is known to have looked.
    pub sought_since: Option<Instant>,
    pub silent_after_micros: i64,
    /// It gave nothing for longer than it may.
    pub is_silent: bool,
}

impl SourceState {
    /// As it was at an instant when it had last been heard at another.
    pub(super) fn heard_at(&self, last: Option<Instant>, at: Instant) -> Self {
        let since = last.or(self.sought_since);
        let is_silent = since.is_some_and(|since| at.micros() - since.micros() > self.silent_after_micros);
        Self { last, is_silent, ..self.clone() }
    }
}

/// Every source of the config, as it is now.
pub(super) fn sources(book: &Book, config: &Config, now: Instant) -> Result<Vec<SourceState>, ReportError> {
    let mut heard = last_heard(book, &config.sources)?;
    let missing: BTreeSet<&str> =
        config.sources.iter().map(|source| source.name.as_str()).filter(|name| !heard.contains_key(*name)).collect();
    let mut sought = BTreeMap::new();
    for (name, past) in runs::of_sources(book, missing)? {
        match past.last_gave {
            Some(gave) => _ = heard.insert(name, gave),
            None => _ = sought.insert(name, past.first_sought),
        }
    }
    let state = |source: &Source| {
        let state = SourceState {
            name: source.name.clone(),
            role: source.role,
            last: None,
            sought_since: sought.get(&source.name).copied(),
            silent_after_micros: source.silent_after_micros,
            is_silent: false,
        };
        state.heard_at(heard.get(&source.name).copied(), now)
    };
    Ok(config.sources.iter().map(state).collect())
}
