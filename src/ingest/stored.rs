//! Looks at what is stored: which day files can be opened, and what is in
//! quarantine. Changes nothing, needs no lock.

use super::{IngestError, quarantine, seams::Days};
use crate::{
    book::{Book, layout::DayTable},
    time::Day,
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

/// What is in quarantine of a source: file, line and reason of each entry.
///
/// # Errors
/// Where the book cannot be read.
pub fn quarantined(book: &Book, source: &str) -> Result<Vec<(String, quarantine::Broken)>, IngestError> {
    Ok(quarantine::read(book, source)?)
}
