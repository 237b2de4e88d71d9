//! Building the days of a table, on every core.
//!
//! Days are independent of each other, but for rows that move from one to
//! another: those days are written first, in an order in which no row is ever
//! in two files.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use object_store::path::Path as BookPath;
use parquet::errors::ParquetError;

use super::{
    IngestError,
    arrivals::Waiting,
    day::{Context, SortedSlice, build, merge_slices},
    day_file::DayWriter,
    pile::Pile,
    rows::{Row, Slot},
    seams::{Days, Seams},
    table::Table,
    texts::{TextCache, Texts},
    withdraw::Withdrawal,
};
use crate::{tally::IngestTally, time::Day};

/// A row in the book takes about this much memory.
const ROW_BYTES: u64 = 110;

/// What the days of a table are built from.
pub(super) struct Builder<'b> {
    pub(super) table: &'b Table<'b>,
    pub(super) days: &'b Days<'b>,
    pub(super) texts: &'b Texts,
    pub(super) seams: &'b Seams,
    pub(super) priorities: &'b (dyn Fn(&str) -> i64 + Sync),
    pub(super) withdrawal: &'b Withdrawal,
}

impl Builder<'_> {
    /// Writes the days between which rows move, so that a row is never in two
    /// of them, whenever this is interrupted: first a note of the rows, then
    /// the days, the latest first, since rows only move to earlier ones.
    pub(super) fn move_rows(
        &self,
        waiting: &mut BTreeMap<Day, Waiting>,
        to_build: &mut BTreeSet<Day>,
        tally: &mut IngestTally,
    ) -> Result<Vec<Day>, IngestError> {
        if self.seams.moving.is_empty() {
            return Ok(Vec::new());
        }
        let mut cache = TextCache::new(self.texts);
        if let Some(book) = self.table.writable() {
            let path = self.table.moves_file();
            let noting = |source| IngestError::DayFile { path: path.to_string(), source };
            let mut writer = DayWriter::new(Vec::new(), &cache).map_err(noting)?;
            for (at, _) in self.seams.moving.heads() {
                writer.push(self.seams.moving.get(at)).map_err(noting)?;
            }
            book.put(&path, writer.finish().map_err(noting)?.into())?;
        }
        let mut changed = Vec::new();
        for &day in self.seams.changed.iter().rev() {
            to_build.remove(&day);
            let arrived = waiting.remove(&day).unwrap_or_default();
            if self.build_day(day, arrived, &mut cache, tally)? {
                changed.push(day);
            }
        }
        Ok(changed)
    }

    pub(super) fn build_all(
        &self,
        mut waiting: BTreeMap<Day, Waiting>,
        to_build: BTreeSet<Day>,
        tally: &mut IngestTally,
    ) -> Result<Vec<Day>, IngestError> {
        let mut queue: Vec<(Day, Waiting)> =
            to_build.into_iter().rev().map(|day| (day, waiting.remove(&day).unwrap_or_default())).collect();
        // The largest first, so that no thread is left alone with one at the end.
        queue.sort_by_key(|(_, arrived)| arrived.bytes());
        let threads = self.table.options.threads.clamp(1, queue.len().max(1));
        let queue = Mutex::new(queue);
        let results: Vec<Result<(Vec<Day>, IngestTally), IngestError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.build_from(&queue))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut changed = Vec::new();
        for result in results {
            let (days, more) = result?;
            changed.extend(days);
            tally.add(&more);
        }
        Ok(changed)
    }

    fn build_from(&self, queue: &Mutex<Vec<(Day, Waiting)>>) -> Result<(Vec<Day>, IngestTally), IngestError> {
        let mut cache = TextCache::new(self.texts);
        let (mut changed, mut tally) = (Vec::new(), IngestTally::default());
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((day, arrived)) = next else { return Ok((changed, tally)) };
            if self.build_day(day, arrived, &mut cache, &mut tally)? {
                changed.push(day);
            }
        }
    }

    /// Builds one day and writes it if it changed.
    fn build_day(
        &self,
        day: Day,
        arrived: Waiting,
        cache: &mut TextCache<'_>,
        tally: &mut IngestTally,
    ) -> Result<bool, IngestError> {
        let facts = self.days.open(day)?.map(|file| file.facts());
        let before = facts.map_or(0, |facts| facts.rows);
        let slice_bytes = (self.table.options.memory / 12).max(1 << 10) as u64;
        let slices = (arrived.bytes() as u64 + before * ROW_BYTES) / slice_bytes + 1;
        tally.day(day).before += before;
        let withdrawn_before = tally.day(day).withdrawn;

        let mut changed = self.seams.changed.contains(&day);
        let mut whole = None;
        let mut sorted = Vec::new();
        let mut rows = 0;
        let mut arrived = Some(arrived);
        for slice in 0..slices {
            let mine = |hash: u64| hash % slices == slice;
            let existing = self.existing(day, &mine, cache, tally)?;
            let arrived = match (&arrived, slices) {
                (Some(waiting), 2..) => waiting.select(&|head| mine(head.hash)),
                _ => arrived.take().unwrap_or_default().into_pile(),
            };
            let mut arrived = arrived.map_err(IngestError::Spill)?;
            arrived.remove(&self.seams.withheld);
            let mut settled = Pile::default();
            if let Some(pile) = self.seams.settled.get(&day) {
                pile.heads().filter(|(_, head)| mine(head.hash)).for_each(|(at, _)| {
                    settled.push_packed(pile.get(at));
                });
            }
            let context = Context { texts: cache, priorities: &self.priorities };
            let built = build(existing, arrived, settled, day, context, tally);
            changed |= built.changed;
            rows += built.len() as u64;
            if slices == 1 {
                whole = Some(built);
            } else {
                sorted.push(SortedSlice::write(&built, &self.table.spill_dir()).map_err(IngestError::Spill)?);
            }
        }
        tally.day(day).after += rows;
        changed |= tally.day(day).withdrawn > withdrawn_before;
        if let (true, Some(book)) = (changed, self.table.writable()) {
            let path = self.table.days_of.file(day);
            let mut writer = DayWriter::new(book.upload(&path)?, cache).map_err(|source| damaged(&path, source))?;
            let written = match &whole {
                Some(built) => built.rows().try_for_each(|row| writer.push(row)),
                None => merge_slices(sorted, cache, |row| writer.push(row)),
            };
            written.map_err(|source| damaged(&path, source))?;
            writer.finish().map_err(|source| damaged(&path, source))?.finish()?;
        }
        Ok(changed)
    }

    /// A day's rows that stay: not withdrawn, and not settled elsewhere.
    fn existing(
        &self,
        day: Day,
        mine: &dyn Fn(u64) -> bool,
        cache: &mut TextCache<'_>,
        tally: &mut IngestTally,
    ) -> Result<Pile, IngestError> {
        let withdrawn: RefCell<BTreeMap<String, u64>> = RefCell::default();
        let wanted = |row: &Row<'_>, texts: &TextCache<'_>| {
            if !mine(row.hash) {
                return false;
            }
            if self.withdrawal.takes(row, texts) {
                let source = row.text(Slot::Source, texts).unwrap_or_default().to_owned();
                *withdrawn.borrow_mut().entry(source).or_default() += 1;
                return false;
            }
            !self.seams.withheld.contains(&row.hash)
        };
        let existing = self.days.read(day, cache, &|_, _| true, &wanted)?;
        for (source, count) in withdrawn.into_inner() {
            tally.source(&source).withdrawn += count;
            tally.day(day).withdrawn += count;
        }
        Ok(existing)
    }
}

fn damaged(path: &BookPath, source: ParquetError) -> IngestError {
    IngestError::DayFile { path: path.to_string(), source }
}
