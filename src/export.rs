//! What other programs read, in the forms that they know: a FOCUS dataset for
//! tools of cost management ([`focus`]), a journal for accounting ([`hledger`]), a
//! table as one file ([`table`]). Reads the book, takes no lock, and replaces files
//! outside of it in one step each.
//!
//! What must hold: amounts are those of the charges, to the last digit, and what
//! is left out is counted where it is left out.

pub mod focus;
pub mod hledger;
pub mod table;

use std::collections::BTreeMap;

use crate::{
    book::{Book, BookError, layout::DayTable},
    time::{Day, Instant},
};

/// How often something is read while a run replaces it.
const TRIES: usize = 5;

/// Reads until no file of these tables was replaced meanwhile, so that days belong
/// together. `None` where a run kept replacing them.
fn steadily<T, E: From<BookError>>(
    book: &Book,
    tables: &[DayTable],
    mut read: impl FnMut() -> Result<T, E>,
) -> Result<Option<T>, E> {
    for _ in 0..TRIES {
        let before = files(book, tables)?;
        let found = read()?;
        if files(book, tables)? == before {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// When each file of some tables was written.
fn files(book: &Book, tables: &[DayTable]) -> Result<Vec<BTreeMap<Day, Option<Instant>>>, BookError> {
    let of_table = |table: &DayTable| {
        let modified = |day: Day| Ok((day, book.modified(&table.file(day))?));
        book.days(*table)?.into_iter().map(modified).collect()
    };
    tables.iter().map(of_table).collect()
}
