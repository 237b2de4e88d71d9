//! Charges: `usage` in, every request attributed and priced out, and totals of
//! every quarter of an hour. Never parses logs.
//!
//! A day is made again when, and only when, what it is made from changed
//! ([`state`]): its usage, the prices that can apply to it, who can pay for it,
//! or the rules in this code. Slices of a day are read by polars ([`mod@file`]),
//! numbered by their texts ([`texts`]), joined with the prices and owners chosen
//! for them ([`mod@slice`]), priced in integers ([`mod@price`]), added up
//! ([`rollup`], [`quarters`]) and written in order ([`day`], [`rollup_file`]).
//!
//! What must hold: as many rows out as in, and in the same order; every amount
//! equals that of [`crate::pricing::Stretch::charge`]; nothing wraps around.

#![deny(clippy::float_arithmetic)]

mod columns;
mod compare;
mod day;
mod file;
mod find;
mod items;
mod ordered;
mod price;
mod quarters;
mod rollup;
mod rollup_file;
mod slice;
mod state;
mod texts;
mod totals;
#[cfg(test)]
mod traps;
mod what_if;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    thread,
};

use crate::{
    book::{Book, BookError, layout::DayTable},
    config::Config,
    floors::{self, Floors},
    pricing::{ChargeError, PriceBook},
    teams::Registry,
    time::{Day, Instant},
};

pub use compare::Change;
pub(crate) use file::DayFile;
pub use find::{FoundRequest, find};
pub use items::{DayItems, Item, ItemPrice, ItemSum};
pub use state::{Behind, Cause, behind, is_digest_of_inputs, last_pricing, note_pricing};
pub use totals::Totals;
pub use what_if::{Difference, Estimated, Otherwise, WhatIf, what_if};

use compare::Sums;
use day::{DayWriter, Done, Task};
use slice::{Instead, Rules};

/// What to price, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first and the last day; all where there is none.
    pub from: Option<Day>,
    pub to: Option<Day>,
    /// Prices learnt later are left out.
    pub known_on: Instant,
    /// Say what would change, and write nothing.
    pub dry_run: bool,
    /// Bytes of memory to stay below.
    pub memory: usize,
    pub threads: usize,
}

impl Options {
    /// Every day, with what is known on an instant.
    pub fn known_on(known_on: Instant) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self { from: None, to: None, known_on, dry_run: false, memory: 1 << 30, threads }
    }

    fn covers(&self, day: Day) -> bool {
        self.from.is_none_or(|from| day >= from) && self.to.is_none_or(|to| day <= to)
    }

    /// As many slices at a time as fit into memory.
    fn workers(&self) -> usize {
        /// What a slice in work and one waiting to be written may take.
        const OF_SLICE: usize = 160 << 20;
        self.threads.min(self.memory / OF_SLICE).max(1)
    }
}

/// Where usage is read and charges are written; the same book, but for a look
/// back with other prices.
#[derive(Debug, Clone, Copy)]
pub struct Books<'b> {
    pub usage: &'b Book,
    pub charges: &'b Book,
}

/// What pricing came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Days that were priced, and why.
    pub priced: BTreeMap<Day, BTreeSet<Cause>>,
    /// Days whose charges are as they should be.
    pub unchanged: u64,
    /// What the days that were priced come to.
    pub totals: Totals,
    /// How days that had been priced before moved.
    pub changes: Vec<Change>,
    /// Days that could not be priced: they keep the charges they had.
    pub failed: BTreeMap<Day, ChargesError>,
}

/// Why a day cannot be priced.
#[derive(Debug, thiserror::Error)]
pub enum ChargesError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("`{path}` in the book: {source}")]
    Parquet { path: String, source: parquet::errors::ParquetError },
    #[error("`{path}` in the book: {source}")]
    Engine { path: String, source: polars::error::PolarsError },
    #[error("{day}: request `{request_id}` ({file}, line {line}) cannot be priced: {source}")]
    Row { day: Day, request_id: String, file: String, line: i64, source: ChargeError },
    #[error("{day}: the sum of `{column}` is more than a table can hold, look for a request with an absurd quantity")]
    TooMuch { day: Day, column: &'static str },
    #[error("the costs add up to more than a table can hold, look for a request with an absurd quantity")]
    TooMuchInAll,
    #[error("{day}: the {what} that apply could not be joined, please report this: {detail}")]
    Join { day: Day, what: &'static str, detail: String },
    #[error("{day}: its usage changed while it was priced, run `spendbook price` again")]
    Moved { day: Day },
    #[error(
        "{day}: the price book no longer says what the charges were made from: prices were edited or removed, and not \
         added; run `spendbook price`"
    )]
    OtherPrices { day: Day },
    #[error(
        "{day}: the line items of request `{request_id}` do not come to its cost: another version of spendbook priced \
         it; run `spendbook price`"
    )]
    NotTheSum { day: Day, request_id: String },
    #[error("a place to try it out in cannot be made: {0}")]
    Scratch(#[source] std::io::Error),
}

/// Who is told how far it is.
pub trait Watch: Sync {
    fn rows(&self, _count: u64) {}
    fn day(&self, _day: Day) {}
}

/// Prices every day whose charges are not as they should be.
///
/// # Errors
/// Where a book cannot be read or written. A day that cannot be priced is in
/// [`Outcome::failed`], and the others go on.
pub fn run(
    config: &Config,
    prices: &PriceBook,
    books: Books<'_>,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Outcome, ChargesError> {
    let registry = Registry::new(config);
    let rules = Rules { prices, registry: &registry, known_on: options.known_on, instead: Instead::default() };
    let mut outcome = Outcome::default();
    let tasks = plan(books, options, rules, &mut outcome)?;
    if options.dry_run {
        let dir = tempfile::tempdir().map_err(ChargesError::Scratch)?;
        let scratch = Book::open_for_writing(dir.path(), "dry run")?;
        price(&tasks, books, &scratch, options, rules, watch, &mut outcome)?;
    } else {
        price(&tasks, books, books.charges, options, rules, watch, &mut outcome)?;
    }
    Ok(outcome)
}

/// Copies the usage of the wanted days into another book, where it is not there
/// already.
///
/// # Errors
/// Where a book cannot be read or written.
pub fn copy_usage(from: &Book, to: &Book, options: &Options) -> Result<(), ChargesError> {
    let floor = Floors::read(from)?.read_from();
    let is_meant = |day: &Day| options.covers(*day) && !floors::is_below(*day, floor);
    for day in from.days(DayTable::Usage)?.into_iter().filter(is_meant) {
        let open = |book| DayFile::open(book, DayTable::Usage, day);
        let own = open(to)?;
        if own.as_ref().map(DayFile::digest) != open(from)?.as_ref().map(DayFile::digest) {
            to.copy_from(from, &DayTable::Usage.file(day))?;
        }
    }
    Ok(())
}

/// The slices of the days that are to be priced.
fn plan(
    books: Books<'_>,
    options: &Options,
    rules: Rules<'_>,
    outcome: &mut Outcome,
) -> Result<Vec<Task>, ChargesError> {
    let mut tasks = Vec::new();
    let floor = Floors::read(books.usage)?.priced_from();
    let is_meant = |day: &Day| options.covers(*day) && !floors::is_below(*day, floor);
    for day in books.usage.days(DayTable::Usage)?.into_iter().filter(is_meant) {
        let planned = DayFile::open(books.usage, DayTable::Usage, day).and_then(|usage| {
            let Some(usage) = usage else { return Ok(None) };
            Ok(Some((state::causes(&usage, books.charges, day, rules)?, usage)))
        });
        match planned {
            Ok(None) => {}
            Ok(Some((causes, _))) if causes.is_empty() => outcome.unchanged += 1,
            Ok(Some((causes, usage))) => {
                outcome.priced.insert(day, causes);
                tasks.extend(Task::of_day(day, usage.digest(), usage.groups().len()));
            }
            Err(error @ ChargesError::Book(_)) => return Err(error),
            Err(error) => _ = outcome.failed.insert(day, error),
        }
    }
    Ok(tasks)
}

fn price(
    tasks: &[Task],
    books: Books<'_>,
    target: &Book,
    options: &Options,
    rules: Rules<'_>,
    watch: &dyn Watch,
    outcome: &mut Outcome,
) -> Result<(), ChargesError> {
    let mut writer: Option<DayWriter> = None;
    let work = |task: &Task| day::price(books.usage, task, rules);
    let mut failed: BTreeMap<Day, ChargesError> = BTreeMap::new();
    let result = ordered::ordered(tasks, options.workers(), work, |task: &Task, done| {
        if failed.contains_key(&task.day) {
            return Ok(());
        }
        watch.day(task.day);
        match write(task, done, &mut writer, books.charges, target, rules, outcome) {
            Ok(rows) => watch.rows(rows),
            Err(error @ ChargesError::Book(_)) => return Err(error),
            Err(error) => {
                writer = None;
                outcome.priced.remove(&task.day);
                failed.insert(task.day, error);
            }
        }
        Ok(())
    });
    outcome.failed.extend(failed);
    result
}

/// Writes a slice; with the last one of a day, puts its files into their place.
fn write(
    task: &Task,
    done: Result<Option<Done>, ChargesError>,
    writer: &mut Option<DayWriter>,
    before: &Book,
    target: &Book,
    rules: Rules<'_>,
    outcome: &mut Outcome,
) -> Result<u64, ChargesError> {
    let day = task.day;
    let done = done?;
    let mut open = match writer.take() {
        Some(open) => open,
        None => DayWriter::new(target, day)?,
    };
    let rows = done.as_ref().map_or(0, Done::rows);
    if let Some(done) = done {
        open.push(done)?;
    }
    if !task.is_last {
        *writer = Some(open);
        return Ok(rows);
    }
    let before = Sums::of(before, day)?;
    let totals = open.finish(&task.usage, rules)?;
    outcome.totals.add_day(day, &totals)?;
    if let Some(before) = before {
        let after = Sums::of(target, day)?.unwrap_or_default();
        outcome.changes.extend(before.changes(&after, day));
    }
    Ok(rows)
}
