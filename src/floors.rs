//! Floors: from which day on each table is kept.
//!
//! `spendbook prune` sets them, and they only ever rise: what is below is gone,
//! so days below a floor are frozen. They are not built again, whatever
//! changes, and records of them are not taken in again. They stand in
//! `floors.json` of the book before anything is removed, so that a prune that
//! is cut short is finished by the next one, and nothing below is touched by
//! anyone in between.
//!
//! A day is frozen for a stage where what it is made from is below a floor,
//! too: charges without their usage stay as they are.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{
    book::{Book, BookError, layout::DayTable},
    config::KeptTable,
    time::{Day, Instant},
};

const FILE: &str = "floors.json";

/// The floors of a book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floors {
    /// The first day that is kept.
    first: BTreeMap<KeptTable, Day>,
    /// Requests below the floor of a table of requests to which a record above
    /// it may still belong: by the hash of their identity, until when.
    reaching: BTreeMap<DayTable, Reaching>,
}

/// Until when a version of a request belongs to it, by the hash of its identity.
pub type Reaching = BTreeMap<u64, Instant>;

/// As it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    first: BTreeMap<String, String>,
    #[serde(default)]
    reaching: BTreeMap<String, BTreeMap<String, String>>,
}

impl Floors {
    /// What a book has; none where nothing was ever pruned.
    ///
    /// # Errors
    /// Where it cannot be read. A floor that is lost would let in what was
    /// removed.
    pub fn read(book: &Book) -> Result<Self, BookError> {
        let Some(bytes) = book.get(&Path::from(FILE))? else { return Ok(Self::default()) };
        let damaged = |detail: &str| BookError::Damaged { path: FILE.to_owned(), detail: detail.to_owned() };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        stored.floors().ok_or_else(|| damaged("a value that cannot be, restore the file from a backup"))
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, book: &Book) -> Result<(), BookError> {
        let text = serde_json::to_string_pretty(&Stored::of(self)).unwrap_or_default() + "\n";
        book.put(&Path::from(FILE), text.into())
    }

    /// The first day that is kept; `None` where all are.
    pub fn of(&self, table: KeptTable) -> Option<Day> {
        self.first.get(&table).copied()
    }

    /// Lifts a floor; it never falls.
    pub fn lift(&mut self, table: KeptTable, to: Day) {
        let floor = self.first.entry(table).or_insert(to);
        *floor = to.max(*floor);
    }

    /// The requests of a table of requests that reach over its floor.
    pub fn reaching(&self, table: DayTable) -> Reaching {
        self.reaching.get(&table).cloned().unwrap_or_default()
    }

    pub fn set_reaching(&mut self, table: DayTable, reaching: Reaching) {
        self.reaching.insert(table, reaching);
    }

    /// The first day of usage that may change.
    pub fn read_from(&self) -> Option<Day> {
        self.of(KeptTable::Usage)
    }

    /// The first day that may be priced again: what it is made from is there,
    /// and so is what is made of it.
    pub fn priced_from(&self) -> Option<Day> {
        [KeptTable::Usage, KeptTable::Charges, KeptTable::Rollup].into_iter().filter_map(|table| self.of(table)).max()
    }

    /// The first day that may be audited again; the first day of charges would
    /// need the last minute of the one before.
    pub fn audited_from(&self) -> Option<Day> {
        let charges = self.of(KeptTable::Charges).map(Day::next);
        let others = [KeptTable::Rollup, KeptTable::Violations].map(|table| self.of(table));
        others.into_iter().chain([charges]).flatten().max()
    }

    /// The first day that may be compared with what providers report again:
    /// both sides of it are there, and the day before it.
    pub fn reconciled_from(&self) -> Option<Day> {
        let charges = self.of(KeptTable::Charges).map(Day::next);
        let others = [KeptTable::Totals, KeptTable::Unlogged].map(|table| self.of(table));
        others.into_iter().chain([charges]).flatten().max()
    }

    /// From when on all that was spent is in the totals.
    pub fn spend_from(&self) -> Option<Instant> {
        self.of(KeptTable::Rollup).map(Day::start)
    }
}

/// Whether a day is below a floor.
pub fn is_below(day: Day, floor: Option<Day>) -> bool {
    floor.is_some_and(|floor| day < floor)
}

impl Stored {
    fn of(floors: &Floors) -> Self {
        let first = floors.first.iter().map(|(table, day)| (table.name().to_owned(), day.to_string()));
        let hashes = |reaching: &Reaching| {
            reaching.iter().map(|(hash, until)| (format!("{hash:016x}"), until.to_string())).collect()
        };
        let reaching = floors.reaching.iter().filter(|(_, reaching)| !reaching.is_empty());
        Self {
            first: first.collect(),
            reaching: reaching.map(|(table, reaching)| (table.name().to_owned(), hashes(reaching))).collect(),
        }
    }

    /// `None` where a value cannot be.
    fn floors(self) -> Option<Floors> {
        let table = |name: &str| KeptTable::ALL.into_iter().find(|table| table.name() == name);
        let requests = |name: &str| [DayTable::Usage, DayTable::Checks].into_iter().find(|table| table.name() == name);
        let first = self.first.iter().map(|(name, day)| Some((table(name)?, Day::parse(day)?)));
        let reach = |(hash, until): (&String, &String)| {
            Some((u64::from_str_radix(hash, 16).ok()?, Instant::parse(until, chrono_tz::Tz::UTC)?))
        };
        let reaching = self
            .reaching
            .iter()
            .map(|(name, hashes)| Some((requests(name)?, hashes.iter().map(reach).collect::<Option<Reaching>>()?)));
        Some(Floors { first: first.collect::<Option<_>>()?, reaching: reaching.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn floors_only_rise_and_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let mut floors = Floors::read(&book).unwrap();
        assert_eq!((floors.priced_from(), floors.audited_from(), floors.spend_from()), (None, None, None));
        floors.lift(KeptTable::Usage, day("2026-03-01"));
        floors.lift(KeptTable::Usage, day("2026-02-01"));
        floors.lift(KeptTable::Charges, day("2026-02-01"));
        floors.lift(KeptTable::Runs, day("2026-05-01"));
        floors.set_reaching(DayTable::Checks, [(u64::MAX, day("2026-03-01").start())].into());
        floors.write(&book).unwrap();
        let read = Floors::read(&book).unwrap();
        assert_eq!(read, floors);
        assert_eq!((read.read_from(), read.priced_from()), (Some(day("2026-03-01")), Some(day("2026-03-01"))));
        assert_eq!((read.audited_from(), read.spend_from()), (Some(day("2026-02-02")), None));
        assert!(is_below(day("2026-02-28"), read.read_from()) && !is_below(day("2026-03-01"), read.read_from()));
        for damage in ["{", "{\"first\":{\"usag\":\"2026-01-01\"}}", "{\"first\":{\"usage\":\"soon\"}}"] {
            std::fs::write(dir.path().join(FILE), damage).unwrap();
            assert!(matches!(Floors::read(&book), Err(BookError::Damaged { .. })), "{damage}");
        }
    }
}
