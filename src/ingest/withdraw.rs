//! `ingest --again`: the requests that a source had a part in leave the book and
//! come back from every source's files that are still there.
//!
//! For when a source's options were wrong: its old entries are read the new
//! way. A request whose log file is gone, or cannot be read to its end, could
//! not come back, so it stays, and is named. A source that has changed from
//! `books` to `check` leaves one table and comes back in the other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use super::{
    Again, IngestError, Note, Outcome,
    reading::{self, Task},
    rows::{Row, Slot, word},
    seams::Days,
    state::{Ending, Plan, SourceState, Stamp},
    table::Table,
    texts::{TextCache, Texts},
};
use crate::time::Day;

/// What is withdrawn; usually nothing.
#[derive(Debug)]
pub(super) struct Withdrawal {
    chosen: Option<Chosen>,
}

#[derive(Debug)]
struct Chosen {
    again: Again,
    /// Identity hashes of the requests that the source had a part in.
    hashes: HashSet<u64>,
    /// Those of rows that leave the book: all their versions come back, also
    /// ones of days that were not asked for.
    leaving: HashSet<u64>,
    /// Sources and names of the files that can be read.
    present: BTreeMap<String, HashSet<String>>,
    /// Sources over HTTP, and identity hashes of what they still have: nobody
    /// knows for how long they keep it.
    remote: HashSet<String>,
    still_told: HashSet<u64>,
    days: BTreeSet<Day>,
}

impl Chosen {
    fn takes(&self, row: &Row<'_>, texts: &TextCache<'_>) -> bool {
        self.hashes.contains(&row.hash) && self.again.covers(row.ts().day()) && self.has_file(row, texts)
    }

    fn has_file(&self, row: &Row<'_>, texts: &TextCache<'_>) -> bool {
        let text = |slot| row.text(slot, texts).unwrap_or_default();
        if self.remote.contains(text(Slot::Source)) {
            return self.still_told.contains(&row.hash);
        }
        self.present.get(text(Slot::Source)).is_some_and(|files| files.contains(text(Slot::File)))
    }
}

impl Withdrawal {
    pub(super) const fn none() -> Self {
        Self { chosen: None }
    }

    pub(super) const fn is_some(&self) -> bool {
        self.chosen.is_some()
    }

    /// Whether a record that is read now is wanted.
    pub(super) fn wants(&self, row: &Row<'_>) -> bool {
        self.chosen.as_ref().is_none_or(|it| {
            it.leaving.contains(&row.hash) || it.hashes.contains(&row.hash) && it.again.covers(row.ts().day())
        })
    }

    /// Whether a row in the book leaves it.
    pub(super) fn takes(&self, row: &Row<'_>, texts: &TextCache<'_>) -> bool {
        self.chosen.as_ref().is_some_and(|it| it.takes(row, texts))
    }

    /// The days that rows leave.
    pub(super) fn days(&self) -> impl Iterator<Item = Day> {
        self.chosen.iter().flat_map(|it| it.days.iter().copied())
    }

    /// Whether every record of a source's files is read, so that the files
    /// count as read.
    pub(super) fn reads_all_of(&self, source: &str) -> bool {
        self.chosen
            .as_ref()
            .is_none_or(|it| it.again.source == source && it.again.from.is_none() && it.again.to.is_none())
    }
}

impl Table<'_> {
    /// Finds what is to be withdrawn, and names what cannot be. `tasks` are all
    /// files of all sources.
    pub(super) fn withdraw(
        &self,
        again: &Again,
        tasks: &[Task<'_>],
        days: &Days<'_>,
        texts: &Texts,
        outcome: &mut Outcome,
    ) -> Result<Withdrawal, IngestError> {
        let mut cache = TextCache::new(texts);
        let mut chosen = self.look_through(again, tasks, texts, &mut cache)?;
        if !self.sources.iter().any(|source| source.name == again.source) {
            // Its role is another one now: what it brought here leaves for good.
            let own = self.look_through(again, &self.tasks_elsewhere(&again.source), texts, &mut cache)?;
            chosen.hashes.extend(own.hashes);
            chosen.present.extend(own.present);
            chosen.remote.extend(own.remote);
            chosen.still_told.extend(own.still_told);
        }
        let covered: Vec<Day> = days.present.iter().copied().filter(|&day| again.covers(day)).collect();
        for &day in &covered {
            let is_of_source =
                |row: &Row<'_>, texts: &TextCache<'_>| row.text(Slot::Source, texts) == Some(again.source.as_str());
            let rows = days.read(day, &mut cache, &|_, _| true, &is_of_source)?;
            chosen.hashes.extend(rows.heads().map(|(_, head)| head.hash));
        }
        let mut left: BTreeMap<(String, String), u64> = BTreeMap::new();
        for &day in &covered {
            let had_a_part = |row: &Row<'_>, _: &TextCache<'_>| chosen.hashes.contains(&row.hash);
            let rows = days.read(day, &mut cache, &|_, _| true, &had_a_part)?;
            for (at, head) in rows.heads() {
                let row = rows.row(at);
                if chosen.takes(&row, &cache) {
                    chosen.days.insert(day);
                    chosen.leaving.insert(head.hash);
                } else {
                    let text = |slot| row.text(slot, &cache).unwrap_or_default().to_owned();
                    *left.entry((text(Slot::Source), text(Slot::File))).or_default() += 1;
                }
            }
        }
        outcome.notes.extend(left.into_iter().map(|((source, file), count)| {
            let what =
                if chosen.remote.contains(&source) { "no longer told" } else { "the file is gone or cannot be read" };
            let message = format!("{what}: {count} of its requests stay as they were read");
            Note { source, file: Some(file), message, is_failure: false }
        }));
        Ok(Withdrawal { chosen: Some(chosen) })
    }

    /// Whether a source has rows in this table, to which it may no longer belong.
    pub(super) fn holds_rows_of(source: &str, days: &Days<'_>, texts: &Texts) -> Result<bool, IngestError> {
        let mut cache = TextCache::new(texts);
        for &day in &days.present {
            let is_of_source = |row: &Row<'_>, texts: &TextCache<'_>| row.text(Slot::Source, texts) == Some(source);
            if !days.read(day, &mut cache, &|_, _| true, &is_of_source)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files of a source of another table.
    fn tasks_elsewhere(&self, name: &str) -> Vec<Task<'_>> {
        let source = self.config.sources.iter().find(|source| source.name == name);
        let Some(source) = source else { return Vec::new() };
        if let Some(remote) = &source.remote {
            // Why it cannot be asked is told where it belongs now.
            let endpoint = self.pulls.endpoint(self.config, source, remote).ok().flatten();
            let windows = endpoint.map(|endpoint| self.all_windows(source, &endpoint, &SourceState::default()));
            return windows.unwrap_or_default();
        }
        let task = |file| Task::of_file(source, file, Stamp::default(), Plan::Read(Ending::Settled), None);
        self.list(source, &mut Outcome::default()).into_iter().map(task).collect()
    }

    /// Reads all files once, to learn which can be read, and the identities in
    /// the source's own.
    fn look_through(
        &self,
        again: &Again,
        tasks: &[Task<'_>],
        texts: &Texts,
        cache: &mut TextCache<'_>,
    ) -> Result<Chosen, IngestError> {
        let name = word(Slot::Source, &again.source, cache);
        let remote = tasks.iter().filter(|task| task.window.is_some()).map(|task| &task.source.name);
        let remote: HashMap<_, _> = remote.map(|name| (word(Slot::Source, name, cache), name.clone())).collect();
        let (hashes, still_told) = (Mutex::new(HashSet::new()), Mutex::new(HashSet::new()));
        let note = |row: &Row<'_>| {
            if remote.contains_key(&row.words[Slot::Source as usize]) {
                still_told.lock().unwrap_or_else(PoisonError::into_inner).insert(row.hash);
            }
            if row.words[Slot::Source as usize] == name && again.covers(row.ts().day()) {
                hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(row.hash);
            }
            false
        };
        let files = reading::read(tasks, texts, &self.settings()?, Some(&note), self.watch)?.files;
        let mut present: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        for (task, _) in tasks.iter().zip(files).filter(|(_, file)| file.failure.is_none()) {
            present.entry(task.source.name.clone()).or_default().insert(task.name.clone());
        }
        let [hashes, still_told] =
            [hashes, still_told].map(|known| known.into_inner().unwrap_or_else(PoisonError::into_inner));
        let remote = remote.into_values().collect();
        let (again, leaving, days) = (again.clone(), HashSet::new(), BTreeSet::new());
        Ok(Chosen { again, hashes, leaving, present, remote, still_told, days })
    }
}
