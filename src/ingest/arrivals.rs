//! Records that have been read and wait for their days to be built.
//!
//! They wait in memory, by day, up to a budget; beyond it the piles go to an
//! unnamed temporary file, which the system removes however the run ends.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    merge::GAP_MICROS,
    pile::Pile,
    rows::{Head, Provenance},
    texts::TextCache,
};
use crate::{record::UsageRecord, time::Day};

/// One thread's arrivals.
#[derive(Debug)]
pub struct Arrivals {
    days: BTreeMap<Day, Waiting>,
    /// Bytes in memory, and how many there may be.
    bytes: usize,
    budget: usize,
    spill_dir: PathBuf,
}

/// One day's arrivals, in memory and on disk.
#[derive(Debug, Default)]
pub struct Waiting {
    pile: Pile,
    spilled: Vec<Segment>,
    /// Identity and time of the rows close to midnight, kept at hand so that
    /// looking for requests that lie across it need not read a spill file.
    edges: Vec<(u64, i64)>,
}

/// A chunk of packed rows in a spill file.
#[derive(Debug, Clone)]
struct Segment {
    file: Arc<Mutex<File>>,
    offset: u64,
    len: usize,
}

impl Arrivals {
    pub fn new(budget: usize, spill_dir: &Path) -> Self {
        Self { days: BTreeMap::new(), bytes: 0, budget, spill_dir: spill_dir.to_owned() }
    }

    /// # Errors
    /// Where the budget is spent and the spill file cannot be written.
    pub fn push(
        &mut self,
        record: &UsageRecord<'_>,
        from: Provenance<'_>,
        texts: &mut TextCache<'_>,
    ) -> io::Result<()> {
        let day = record.ts.day();
        let waiting = self.days.entry(day).or_default();
        let before = waiting.pile.bytes();
        let at = waiting.pile.push_record(record, from, texts);
        self.bytes += waiting.pile.bytes() - before;
        let ts = record.ts.micros();
        if ts < day.start().micros() + GAP_MICROS || ts >= day.end().micros() - GAP_MICROS {
            waiting.edges.push((Head::read(waiting.pile.get(at)).hash, ts));
        }
        if self.bytes > self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut file = tempfile::tempfile_in(&self.spill_dir)?;
        let mut offset = 0;
        let mut segments = Vec::new();
        for (&day, waiting) in &mut self.days {
            for chunk in std::mem::take(&mut waiting.pile).chunks() {
                file.write_all(chunk)?;
                segments.push((day, offset, chunk.len()));
                offset += chunk.len() as u64;
            }
        }
        let file = Arc::new(Mutex::new(file));
        for (day, offset, len) in segments {
            let segment = Segment { file: Arc::clone(&file), offset, len };
            self.days.entry(day).or_default().spilled.push(segment);
        }
        self.bytes = 0;
        Ok(())
    }

    /// All threads' arrivals, by day.
    pub fn gather(all: impl IntoIterator<Item = Self>) -> BTreeMap<Day, Waiting> {
        let mut days: BTreeMap<Day, Waiting> = BTreeMap::new();
        for arrivals in all {
            for (day, waiting) in arrivals.days {
                let gathered = days.entry(day).or_default();
                gathered.pile.append(waiting.pile);
                gathered.spilled.extend(waiting.spilled);
                gathered.edges.extend(waiting.edges);
            }
        }
        days
    }
}

impl Waiting {
    /// How many bytes of rows there are.
    pub fn bytes(&self) -> usize {
        self.pile.bytes() + self.spilled.iter().map(|segment| segment.len).sum::<usize>()
    }

    /// Identity and time of the rows within ten minutes of midnight, either one.
    pub fn edges(&self) -> &[(u64, i64)] {
        &self.edges
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// Where the spill file cannot be read.
    pub fn into_pile(self) -> io::Result<Pile> {
        let mut pile = self.pile;
        for segment in &self.spilled {
            pile.push_chunk(segment.read()?);
        }
        Ok(pile)
    }

    /// Those whose head is wanted; the rest stays where it is.
    ///
    /// # Errors
    /// Where the spill file cannot be read.
    pub fn select(&self, wanted: &dyn Fn(&Head) -> bool) -> io::Result<Pile> {
        let mut selected = Pile::default();
        let mut take = |chunk: &Pile| {
            for (at, _) in chunk.heads().filter(|(_, head)| wanted(head)) {
                selected.push_packed(chunk.get(at));
            }
        };
        take(&self.pile);
        for segment in &self.spilled {
            let mut chunk = Pile::default();
            chunk.push_chunk(segment.read()?);
            take(&chunk);
        }
        Ok(selected)
    }
}

impl Segment {
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.offset))?;
        let mut chunk = vec![0; self.len];
        file.read_exact(&mut chunk)?;
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ingest::{rows::Word, texts::Texts},
        time::Instant,
    };

    #[test]
    fn what_does_not_fit_in_memory_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let mut threads = [Arrivals::new(4_000, dir.path()), Arrivals::new(usize::MAX, dir.path())];
        for number in 0..1_000_i64 {
            let mut record = UsageRecord::at(Instant::EARLIEST.plus_micros(number % 3 * 86_400_000_000));
            record.request_id = number.to_string().into();
            let from = Provenance { source: Word::Null, file: Word::Null, line: 1 };
            threads[usize::from(number % 2 == 0)].push(&record, from, &mut cache).unwrap();
        }
        assert!(threads[0].days.values().any(|waiting| !waiting.spilled.is_empty()));
        let days = Arrivals::gather(threads);
        assert_eq!(days.len(), 3);
        let mut ids: Vec<i64> = Vec::new();
        for waiting in days.into_values() {
            let odd = waiting.select(&|head| head.hash % 2 == 1).unwrap().len();
            let even = waiting.select(&|head| head.hash % 2 == 0).unwrap().len();
            let pile = waiting.into_pile().unwrap();
            assert_eq!(odd + even, pile.len());
            ids.extend(pile.heads().map(|(at, _)| pile.row(at).request_id.parse::<i64>().unwrap()));
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..1_000).collect::<Vec<_>>());
    }
}
