//! The audit: charges against the policies and budgets in force, into
//! `violations`; errors by key; and the keys themselves.
//!
//! A day is looked through again when, and only when, what its violations are
//! made from changed ([`state`]): its charges, the policies in force, what was
//! spent before of its budgets, the last minute before it, or the rules in
//! this code. The pure middle ([`day`], [`rates`], [`exhausted`]) takes rows in
//! the order of the file and keeps no more of them than those of a minute.
//!
//! Left out on purpose: whose a request is, and what it costs (`charges`).

#![deny(clippy::float_arithmetic)]

mod carried;
mod day;
mod errors;
mod exhausted;
pub mod keys;
mod rates;
mod read;
mod row;
mod state;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod uses;
mod violation;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    book::{Book, BookError, layout::DayTable},
    budgets::{Ledger, Scope, Timeline, TooLarge},
    config::Config,
    floors::{self, Floors},
    policy::{History, Kept, Policies},
    pricing::PriceBook,
    teams::Registry,
    threads::{on_every_core, parts_on_every_core},
    time::{Day, Instant},
};

pub use errors::{ErrorCount, Errors, Kind as ErrorKind};
pub(crate) use read::{Columns, DayFile, Words};
pub use table::violations;
pub use violation::{Violation, ViolationKind};

use carried::Spends;
use day::{DayAudit, Rules};
use rates::MINUTE;
use state::{Inputs, Last, Memo};
use table::{ROW_GROUP, TableWriter};

/// What an audit came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Days that were looked through.
    pub audited: BTreeSet<Day>,
    /// Days whose violations are as they should be.
    pub unchanged: u64,
    /// Days with usage that has not been priced.
    pub unpriced_days: BTreeSet<Day>,
    /// How many values of policies and budgets were new.
    pub policy_changes: usize,
    /// Days that could not be looked through: they keep the violations they had.
    pub failed: BTreeMap<Day, AuditError>,
}

/// Why a day cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("`{path}` in the book: {source}")]
    Parquet { path: String, source: parquet::errors::ParquetError },
    #[error("`{path}` in the book has no column `{column}` of the right type: was it written by another version?")]
    Column { path: String, column: String },
    #[error("{day} has no totals, run `spendbook price`")]
    NoTotals { day: Day },
    #[error("{day}: the sum of costs is more than a table can hold, look for a request with an absurd quantity")]
    TooMuch { day: Day },
}

/// Looks through every day whose violations are not as they should be.
///
/// # Errors
/// Where the book cannot be read or written. A day that cannot be looked
/// through is in [`Outcome::failed`], and the others go on.
pub fn run(config: &Config, prices: &PriceBook, kept: &Kept, book: &Book, now: Instant) -> Result<Outcome, AuditError> {
    let Kept { history, changes } = kept;
    let mut outcome = Outcome { policy_changes: *changes, ..Outcome::default() };
    let policies = Policies::new(history, config);
    let registry = Registry::new(config);
    let rules = Rules { policies: &policies, registry: &registry, prices, known_on: now };
    let days = book.days(DayTable::Charges)?;
    let floors = Floors::read(book)?;
    let is_missing = |day: &Day| days.binary_search(day).is_err() && !floors::is_below(*day, floors.priced_from());
    outcome.unpriced_days = book.days(DayTable::Usage)?.into_iter().filter(is_missing).collect();

    let mut memo = Memo::read(book)?;
    let known = memo.clone();
    let everything = everything(history, config, prices);
    let mut doubtful = doubtful(book, &days, &memo, &everything, &mut outcome)?;
    doubtful.retain(|(day, _)| !floors::is_below(*day, floors.audited_from()));
    if let (Some(&(first, _)), Some(&(last, _))) = (doubtful.first(), doubtful.last()) {
        let night = Night::new(book, history, config, &registry, &days, (first, last))?;
        let pools = history.pools(config);
        let ledger = night.spends.ledger(&pools, now).with_spend_from(floors.spend_from());
        let looked_through = on_every_core(&doubtful, |(day, _)| night.audit(book, *day, rules, &ledger));
        for ((day, before), result) in doubtful.into_iter().zip(looked_through) {
            match result {
                Ok(true) => _ = outcome.audited.insert(day),
                Ok(false) => outcome.unchanged += 1,
                Err(AuditError::Book(error)) => return Err(error.into()),
                Err(error) => {
                    outcome.failed.insert(day, error);
                    continue;
                }
            }
            memo.note(day, files(book, day, &before, &everything)?.1);
        }
    }
    if memo != known {
        memo.write(book)?;
    }
    Ok(outcome)
}

/// The days that may have changed, by the digests of all files before them.
fn doubtful(
    book: &Book,
    days: &[Day],
    memo: &Memo,
    everything: &str,
    outcome: &mut Outcome,
) -> Result<Vec<(Day, String)>, AuditError> {
    let mut doubtful = Vec::new();
    let mut before = String::new();
    for &day in days {
        match files(book, day, &before, everything) {
            Ok((spent, files)) => {
                let next = state::files_digest(&before, &spent, "", "");
                if memo.has(day, &files) {
                    outcome.unchanged += 1;
                } else {
                    doubtful.push((day, before));
                }
                before = next;
            }
            Err(AuditError::Book(error)) => return Err(error.into()),
            Err(error) => _ = outcome.failed.insert(day, error),
        }
    }
    Ok(doubtful)
}

/// The digest of what was spent on a day, and that of all files that may matter
/// for it. Totals can be of other charges, where a night before was interrupted.
fn files(book: &Book, day: Day, before: &str, everything: &str) -> Result<(String, String), AuditError> {
    let digest = |table| {
        let file = DayFile::open(book, table, day)?;
        Ok::<_, AuditError>(file.map_or_else(String::new, |file| file.digest().to_owned()))
    };
    let spent = format!("{} {}", digest(DayTable::Charges)?, digest(DayTable::Rollup)?);
    let files = state::files_digest(before, &spent, &digest(DayTable::Violations)?, everything);
    Ok((spent, files))
}

/// All that may matter besides the files of days.
fn everything(history: &History, config: &Config, prices: &PriceBook) -> String {
    let names: Vec<_> = config.teams.values().map(|team| (&team.name, &team.formerly)).collect();
    let aliases: Vec<_> = prices.aliases().iter().map(|alias| alias.digest.to_string()).collect();
    let week = (config.book.week_start, config.book.timezone);
    let keys: Vec<_> = config.keys.iter().map(|key| (key.shown_as(), key.valid_from, key.valid_until)).collect();
    format!("{history:?} {names:?} {aliases:?} {week:?} {keys:?}")
}

/// What the days that are looked through share.
struct Night {
    spends: Spends,
    budgets: Vec<(Scope, Timeline)>,
    days: BTreeSet<Day>,
}

impl Night {
    fn new(
        book: &Book,
        history: &History,
        config: &Config,
        registry: &Registry<'_>,
        days: &[Day],
        doubtful: (Day, Day),
    ) -> Result<Self, AuditError> {
        let budgets = history.budgets(config);
        let spends = if budgets.is_empty() {
            Spends::default()
        } else {
            Spends::read(book, days, doubtful, &budgets, registry)?
        };
        Ok(Self { spends, budgets, days: days.iter().copied().collect() })
    }

    /// Looks a day through; whether it had to be.
    fn audit(&self, book: &Book, day: Day, rules: Rules<'_>, ledger: &Ledger<'_>) -> Result<bool, AuditError> {
        let Some(charges) = DayFile::open(book, DayTable::Charges, day)? else { return Ok(false) };
        let digest = charges.digest().to_owned();
        let allowances = carried::allowances(ledger, &self.budgets, day)?;
        let last = self.last_minute(book, day)?;
        if let Some(file) = DayFile::open(book, DayTable::Violations, day)?
            && let Some(present) = state::present(&file)
            && Inputs::now(day, &digest, &present, rules, &allowances, &last).made(&file)
        {
            return Ok(false);
        }
        let mut audit = DayAudit::new(rules, allowances.clone());
        for it in &last {
            audit.warm(it.ts, it.team.as_deref(), it.key.as_deref(), it.tokens);
        }
        let mut writer = TableWriter::new(book, day)?;
        let mut found = Vec::new();
        read::rows(charges, None, |row| {
            audit.push(row, &mut found);
            if found.len() >= ROW_GROUP {
                writer.write(&found)?;
                found.clear();
            }
            Ok(())
        })?;
        let (of_day, present) = audit.finish();
        found.extend(of_day);
        for rows in found.chunks(ROW_GROUP) {
            writer.write(rows)?;
        }
        let inputs = Inputs::now(day, &digest, &present, rules, &allowances, &last);
        writer.finish(inputs.metadata(&present))?;
        Ok(true)
    }

    /// What came in the 60 seconds before a day.
    fn last_minute(&self, book: &Book, day: Day) -> Result<Vec<Last>, AuditError> {
        let before = day.previous();
        if !self.days.contains(&before) {
            return Ok(Vec::new());
        }
        let Some(charges) = DayFile::open(book, DayTable::Charges, before)? else { return Ok(Vec::new()) };
        let mut last = Vec::new();
        read::rows(charges, Some(day.start().plus_micros(-MINUTE)), |row| {
            last.extend(Last::of(row));
            Ok(())
        })?;
        Ok(last)
    }
}

/// Counts the errors of the days `[from, to]`, by key.
///
/// # Errors
/// Where the book cannot be read.
pub fn errors(book: &Book, from: Option<Day>, to: Option<Day>) -> Result<Vec<ErrorCount>, AuditError> {
    let mut days = book.days(DayTable::Charges)?;
    days.retain(|day| from.is_none_or(|from| *day >= from) && to.is_none_or(|to| *day <= to));
    let parts = parts_on_every_core(&days, |&day, errors: &mut Errors| {
        let Some(charges) = DayFile::open(book, DayTable::Charges, day)? else { return Ok(()) };
        read::attempts(charges, |attempt| errors.push(attempt))
    })?;
    let mut errors = Errors::default();
    for part in parts {
        errors.join(part);
    }
    Ok(errors.counts())
}
