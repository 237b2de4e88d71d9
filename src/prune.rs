//! `keep`: what is older than a table is kept leaves the book.
//!
//! First the floors are raised and written ([`crate::floors`]), then every day
//! file below them is replaced by one without rows, under the same name: a glob
//! over a table is right at every moment, and no reader misses a file. An
//! emptied file keeps the digests of what was in it, so that tables that were
//! made from it, and are kept longer, still belong together. Records of runs
//! and quarantine, which are no tables, are removed. A prune that is cut short
//! is finished by the next one.
//!
//! Left out on purpose: mails, and what decided them, which have no `keep`.

use std::{collections::BTreeMap, sync::Arc};

use object_store::path::Path;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    },
    errors::ParquetError,
    file::metadata::KeyValue,
};

use crate::{
    book::{
        Book, BookError, Stored,
        layout::{DIGEST_KEY, DayTable, SCHEMA_KEY},
    },
    charges,
    config::{Config, KeptTable},
    floors::{self, Floors, Reaching},
    ingest::{self, IngestError},
    reconcile,
    time::{Day, Instant},
};

/// Why a book cannot be pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error("`{path}` in the book: {source}")]
    Parquet { path: String, source: ParquetError },
    #[error(
        "an interrupted run left requests on their way from one day to another: run `spendbook ingest`, which \
         finishes what was begun"
    )]
    Unfinished,
}

/// What became of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The first day that is kept.
    pub floor: Option<Day>,
    /// Files that had something in them.
    pub files: u64,
    pub rows: u64,
    /// What they took on disk.
    pub bytes: u64,
}

/// What a prune came to, by table.
pub type Outcome = BTreeMap<KeptTable, Pruned>;

/// Removes what is older than the config keeps it; with `dry_run` only counts.
///
/// # Errors
/// Where the book cannot be read or written.
pub fn run(config: &Config, book: &Book, now: Instant, dry_run: bool) -> Result<Outcome, PruneError> {
    for table in [DayTable::Usage, DayTable::Checks] {
        if !book.list(&table.moves())?.is_empty() {
            return Err(PruneError::Unfinished);
        }
    }
    let before = Floors::read(book)?;
    let mut floors = before.clone();
    for (&table, &days) in &config.book.keep {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        floors.lift(table, Day::from_days(now.day().days().saturating_sub(days)));
    }
    if let Some(floor) = floors.read_from().filter(|_| floors.read_from() != before.read_from()) {
        for table in [DayTable::Usage, DayTable::Checks] {
            let mut reaching: Reaching = before.reaching(table);
            reaching.extend(ingest::reaching(book, table, floor)?);
            reaching.retain(|_, until| *until >= floor.start());
            floors.set_reaching(table, reaching);
        }
    }
    if !dry_run && floors != before {
        floors.write(book)?;
    }
    let mut outcome = Outcome::new();
    for table in KeptTable::ALL {
        let Some(floor) = floors.of(table) else { continue };
        let mut pruned = Pruned { floor: Some(floor), ..Pruned::default() };
        for file in below(book, table, floor)? {
            let emptied = match table {
                KeptTable::Runs | KeptTable::Quarantine => remove(book, &file, dry_run)?,
                _ => empty(book, &file, dry_run)?,
            };
            if let Some((rows, bytes)) = emptied {
                pruned.files += 1;
                pruned.rows += rows;
                pruned.bytes += bytes;
            }
        }
        outcome.insert(table, pruned);
    }
    Ok(outcome)
}

/// The files of a table below its floor.
fn below(book: &Book, table: KeptTable, floor: Day) -> Result<Vec<Path>, PruneError> {
    let mut files = book.list(&Path::from(table.name()))?;
    match table {
        KeptTable::Runs => {
            // The last one of each command says how fresh the book is.
            files.sort();
            let command = |file: &Path| run_of(file).map(|(_, command)| command);
            let mut last: BTreeMap<String, Path> = BTreeMap::new();
            for file in &files {
                last.extend(command(file).map(|command| (command, file.clone())));
            }
            files.retain(|file| run_of(file).is_some_and(|(day, command)| day < floor && last[&command] != *file));
        }
        KeptTable::Quarantine => {
            // By when something of a log file was last set aside.
            let mut old = Vec::new();
            for file in files {
                if book.modified(&file)?.is_some_and(|at| at < floor.start()) {
                    old.push(file);
                }
            }
            files = old;
        }
        KeptTable::Usage => {
            // The requests of check sources are as old.
            files.extend(book.list(&Path::from(DayTable::Checks.name()))?);
            files.retain(|file| floors::is_below(day_of(file).unwrap_or(floor), Some(floor)));
        }
        _ => files.retain(|file| floors::is_below(day_of(file).unwrap_or(floor), Some(floor))),
    }
    Ok(files)
}

/// The day of `…/date=2026-06-01/….parquet`.
fn day_of(file: &Path) -> Option<Day> {
    if !file.as_ref().ends_with(".parquet") {
        return None;
    }
    file.parts().find_map(|part| Day::parse(part.as_ref().strip_prefix("date=")?))
}

/// The day and the command of `2026-06-01T020000Z-ingest-1.json`.
fn run_of(file: &Path) -> Option<(Day, String)> {
    let name = file.filename()?.strip_suffix(".json")?;
    let (started, rest) = name.split_once("Z-")?;
    let (command, _) = rest.rsplit_once('-')?;
    Some((Day::parse(started.split('T').next()?)?, command.to_owned()))
}

fn remove(book: &Book, file: &Path, dry_run: bool) -> Result<Option<(u64, u64)>, PruneError> {
    let bytes = book.get(file)?.map_or(0, |bytes| bytes.len() as u64);
    if !dry_run {
        book.delete(file)?;
    }
    Ok(Some((0, bytes)))
}

/// Replaces a file by one without rows; what it had, or `None` where that was
/// nothing.
fn empty(book: &Book, file: &Path, dry_run: bool) -> Result<Option<(u64, u64)>, PruneError> {
    let Some(stored) = book.read(file)? else { return Ok(None) };
    let failed = |source| PruneError::Parquet { path: file.to_string(), source };
    let metadata = ArrowReaderMetadata::load(&stored, ArrowReaderOptions::new()).map_err(failed)?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or_default();
    if rows == 0 {
        return Ok(None);
    }
    let bytes = size(&stored);
    if !dry_run {
        book.put(file, without_rows(&metadata).map_err(failed)?.into())?;
    }
    Ok(Some((rows, bytes)))
}

fn size(stored: &Stored) -> u64 {
    parquet::file::reader::Length::len(stored)
}

/// A file with the same columns and no rows, which says from what the rows had
/// been made, and nothing of who was in them.
fn without_rows(metadata: &ArrowReaderMetadata) -> Result<Vec<u8>, ParquetError> {
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(metadata.schema()), None)?;
    let known = metadata.metadata().file_metadata().key_value_metadata();
    for pair in known.into_iter().flatten() {
        let is_kept = [SCHEMA_KEY, DIGEST_KEY].contains(&pair.key.as_str())
            || charges::is_digest_of_inputs(&pair.key)
            || reconcile::is_digest_of_inputs(&pair.key);
        if is_kept {
            writer.append_key_value_metadata(KeyValue::new(pair.key.clone(), pair.value.clone()));
        }
    }
    writer.into_inner()
}
