//! Looks at what is stored: which day files can be opened, until when each
//! source was heard, and what is in quarantine. Changes nothing, needs no lock.

use std::{cell::RefCell, collections::BTreeMap};

use super::{IngestError, quarantine, rows::Slot, seams::Days, texts::TextCache, texts::Texts};
use crate::{
    book::{Book, layout::DayTable},
    time::{Day, Instant},
};

/// One file of a day table: how many rows it has, or why it cannot be read.
#[derive(Debug)]
pub struct StoredDay {
    pub table: DayTable,
    pub day: Day,
    pub rows: Result<u64, IngestError>,
}

/// Opens every day file, in order.
///
/// # Errors
/// Where the book cannot be listed.
pub fn days(book: &Book) -> Result<Vec<StoredDay>, IngestError> {
    let mut found = Vec::new();
    for table in [DayTable::Usage, DayTable::Checks] {
        let days = Days::list(Some(book), table)?;
        for &day in &days.present {
            let rows = days.open(day).map(|file| file.map_or(0, |file| file.facts().rows));
            found.push(StoredDay { table, day, rows });
        }
    }
    Ok(found)
}

/// Days that are looked through, latest first, for a source's last request.
const LOOK_BACK_DAYS: usize = 60;

/// When each of these sources was last heard, by its name, as far as the last
/// days of the book tell. Days that cannot be read are passed over.
///
/// # Errors
/// Where the book cannot be listed.
pub fn last_heard(book: &Book, sources: &[&str]) -> Result<BTreeMap<String, Instant>, IngestError> {
    let last: RefCell<BTreeMap<String, i64>> = RefCell::default();
    for table in [DayTable::Usage, DayTable::Checks] {
        let days = Days::list(Some(book), table)?;
        for &day in days.present.iter().rev().take(LOOK_BACK_DAYS) {
            if sources.iter().all(|source| last.borrow().contains_key(*source)) {
                break;
            }
            let texts = Texts::default();
            let read = days.read(day, &mut TextCache::new(&texts), &|_, _| true, &|row, texts| {
                if let Some(source) = row.text(Slot::Source, texts) {
                    let mut last = last.borrow_mut();
                    match last.get_mut(source) {
                        Some(at) => *at = (*at).max(row.ts_last),
                        None => drop(last.insert(source.to_owned(), row.ts_last)),
                    }
                }
                false
            });
            if let Err(error) = read {
                tracing::debug!(%day, %error, "passed over");
            }
        }
    }
    Ok(last.into_inner().into_iter().map(|(source, micros)| (source, Instant::from_micros(micros))).collect())
}

/// What is in quarantine of a source: file, line and reason of each entry.
///
/// # Errors
/// Where the book cannot be read.
pub fn quarantined(book: &Book, source: &str) -> Result<Vec<(String, quarantine::Broken)>, IngestError> {
    Ok(quarantine::read(book, source)?)
}
