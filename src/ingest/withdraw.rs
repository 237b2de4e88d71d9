//! `ingest --again`: the requests that a source had a part in leave the book and
//! come back from every source's files that are still there.
//!
//! For when a source's options were wrong: its old entries are read the new
//! way. A request whose log file is gone cannot come back, so it stays, and is
//! named.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};

use super::{
    Again, IngestError, Note, Outcome,
    reading::{self, Task},
    rows::{Row, Slot},
    seams::Days,
    state::{Ending, Plan, Stamp},
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
    /// Sources and names of the files that are there.
    present: BTreeMap<String, HashSet<String>>,
    days: BTreeSet<Day>,
}

impl Chosen {
    fn takes(&self, row: &Row<'_>, texts: &TextCache<'_>) -> bool {
        self.hashes.contains(&row.hash) && self.again.covers(row.ts().day()) && self.has_file(row, texts)
    }

    fn has_file(&self, row: &Row<'_>, texts: &TextCache<'_>) -> bool {
        let text = |slot| row.text(slot, texts).unwrap_or_default();
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
        self.chosen.as_ref().is_none_or(|it| it.hashes.contains(&row.hash) && it.again.covers(row.ts().day()))
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
    /// Finds what is to be withdrawn, and names what cannot be.
    pub(super) fn withdraw(
        &self,
        again: &Again,
        days: &Days<'_>,
        texts: &Texts,
        outcome: &mut Outcome,
    ) -> Result<Withdrawal, IngestError> {
        let mut chosen = Chosen {
            again: again.clone(),
            hashes: self.hashes_in_files(again, texts, outcome)?,
            present: BTreeMap::new(),
            days: BTreeSet::new(),
        };
        for source in self.sources {
            let files = self.list(source, &mut Outcome::default()).into_iter().map(|file| file.name).collect();
            chosen.present.insert(source.name.clone(), files);
        }
        let mut cache = TextCache::new(texts);
        let covered: Vec<Day> = days.present.iter().copied().filter(|&day| again.covers(day)).collect();
        for &day in &covered {
            let is_of_source =
                |row: &Row<'_>, texts: &TextCache<'_>| row.text(Slot::Source, texts) == Some(again.source.as_str());
            let rows = days.read(day, &mut cache, &|_, _| true, &is_of_source)?;
            chosen.hashes.extend(rows.heads().map(|(_, head)| head.hash));
        }
        let mut left: BTreeMap<String, u64> = BTreeMap::new();
        for &day in &covered {
            let had_a_part = |row: &Row<'_>, _: &TextCache<'_>| chosen.hashes.contains(&row.hash);
            let rows = days.read(day, &mut cache, &|_, _| true, &had_a_part)?;
            for (at, _) in rows.heads() {
                let row = rows.row(at);
                if chosen.takes(&row, &cache) {
                    chosen.days.insert(day);
                } else {
                    *left.entry(row.text(Slot::File, &cache).unwrap_or_default().to_owned()).or_default() += 1;
                }
            }
        }
        outcome.notes.extend(left.into_iter().map(|(file, count)| Note {
            source: again.source.clone(),
            file: Some(file),
            message: format!("the file is gone: {count} of its requests stay as they were read"),
            is_failure: false,
        }));
        Ok(Withdrawal { chosen: Some(chosen) })
    }

    /// The identities in the source's own files.
    fn hashes_in_files(
        &self,
        again: &Again,
        texts: &Texts,
        outcome: &mut Outcome,
    ) -> Result<HashSet<u64>, IngestError> {
        let mut tasks = Vec::new();
        for source in self.sources.iter().filter(|source| source.name == again.source) {
            for file in self.list(source, outcome) {
                let stamp = Stamp::of(&file.path).unwrap_or_default();
                tasks.push(Task {
                    source,
                    name: file.name,
                    path: file.path,
                    stamp,
                    plan: Plan::Read(Ending::Open),
                    recognised: None,
                });
            }
        }
        let hashes = Mutex::new(HashSet::new());
        reading::read(
            &tasks,
            texts,
            &self.settings(),
            &|row| {
                if again.covers(row.ts().day()) {
                    hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(row.hash);
                }
                false
            },
            self.watch,
        )?;
        Ok(hashes.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
