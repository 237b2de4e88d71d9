//! One day of a table: what is there and what has arrived become its new rows.
//!
//! Most rows are alone; only identities that occur more than once are unpacked
//! and merged. A day that is too large for memory is built in slices by the
//! hash of the identity, which are merged back into time order as they are
//! written.

use std::{
    cmp::Ordering,
    collections::HashMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use hashbrown::HashTable;

use super::{
    merge::{Priorities, compare_content, is_same, merge, runs},
    pile::{At, Pile},
    rows::{Row, Slot, Word, source_of},
    texts::TextCache,
};
use crate::{
    record::Quality,
    tally::{DayTally, IngestTally},
    time::Day,
};

/// What is needed to merge: the texts of all rows, and how much each source's
/// word counts.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    pub texts: &'c TextCache<'c>,
    pub priorities: &'c dyn Priorities,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// A row's place in one of the piles of a build.
#[derive(Debug, Clone, Copy)]
struct Entry {
    ts: i64,
    hash: u64,
    at: At,
    pile: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// In the book before.
    Existing,
    Arrived,
    /// Made by merging, or settled at a day's edge.
    Made,
}

/// A day's rows in their final order, or one slice of them.
#[derive(Debug)]
pub struct Built {
    existing: Pile,
    arrived: Pile,
    made: Pile,
    order: Vec<Entry>,
    /// Whether the rows differ from those that were there before.
    pub changed: bool,
}

/// One version of a request, and where it was.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub row: Row<'a>,
    pub held: Held,
}

/// Where a version of a request was before this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// In the file of that day.
    In(Day),
    /// On its way from one day to another when a run was interrupted.
    Noted,
    /// In a log.
    Arrived,
}

impl Member<'_> {
    fn is_new(&self) -> bool {
        self.held == Held::Arrived
    }
}

/// What merging one request's versions came to, for the accounts of its day.
#[derive(Debug)]
pub struct Settled<'a> {
    pub row: Row<'a>,
    pub kept: u64,
    pub replaced: u64,
    /// The row that was there before says all of it already.
    pub is_unchanged: bool,
}

/// Merges the versions of one request and books them.
pub fn settle<'a>(members: &[Member<'a>], context: Context<'_>, tally: &mut IngestTally) -> Settled<'a> {
    let rows: Vec<Row<'a>> = members.iter().map(|member| member.row).collect();
    let merged = merge(&rows, context.texts, context.priorities);
    let winner = &rows[merged.winner];
    let name_of = |row: &Row<'_>| row.text(Slot::Source, context.texts).unwrap_or_default().to_owned();
    let says_the_same = |row: &Row<'_>| compare_content(row, winner, context.texts) == Ordering::Equal;

    let existing = members.iter().filter(|member| !member.is_new()).count() as u64;
    // The book has it already, if a row in it says what the winner says.
    let is_known = members.iter().any(|member| !member.is_new() && says_the_same(&member.row));
    let kept = u64::from(!is_known);
    let mut kept_one = is_known;
    for (at, member) in members.iter().enumerate().filter(|(_, member)| member.is_new()) {
        let source = tally.source(&name_of(&member.row));
        if at == merged.winner && !kept_one {
            source.kept += 1;
            kept_one = true;
        } else if says_the_same(&member.row) {
            source.duplicate += 1;
        } else {
            source.superseded += 1;
            let both_reported = member.row.quality == Quality::Reported && winner.quality == Quality::Reported;
            let inputs = (member.row.quantities().total_input(), winner.quantities().total_input());
            source.other_input += u64::from(both_reported && inputs.0 != inputs.1);
        }
    }
    if merged.conflict {
        tally.source(&name_of(winner)).conflict += 1;
    }
    let is_unchanged = existing == 1
        && members.iter().any(|member| !member.is_new() && is_same(&member.row, &merged.row, context.texts));
    Settled { row: merged.row, kept, replaced: existing - u64::from(is_known), is_unchanged }
}

/// Versions of several identities, which share a hash or not: each request's
/// members, one request after the other.
pub fn requests<'a>(members: &mut [Member<'a>], texts: &TextCache<'_>) -> Vec<Vec<Member<'a>>> {
    members.sort_by(|a, b| {
        a.row
            .identity(texts)
            .cmp(&b.row.identity(texts))
            .then_with(|| (a.row.ts, a.row.ts_last).cmp(&(b.row.ts, b.row.ts_last)))
    });
    let mut requests = Vec::new();
    for identity in members.chunk_by(|a, b| a.row.identity(texts) == b.row.identity(texts)) {
        let rows: Vec<_> = identity.iter().map(|member| member.row).collect();
        let mut rest = identity;
        for length in runs(&rows) {
            let (request, others) = rest.split_at(length);
            requests.push(request.to_vec());
            rest = others;
        }
    }
    requests
}

/// Builds a day, or a slice of it, from its rows in the book, what has arrived,
/// and rows that were settled across midnight and belong here.
pub fn build(
    existing: Pile,
    arrived: Pile,
    settled: Pile,
    day: Day,
    context: Context<'_>,
    tally: &mut IngestTally,
) -> Built {
    let mut built = Built { existing, arrived, made: settled, order: Vec::new(), changed: false };
    let rows = built.existing.len() + built.arrived.len() + built.made.len();
    let mut entries = Vec::with_capacity(rows);
    for (pile, rows) in
        [(Origin::Existing, &built.existing), (Origin::Arrived, &built.arrived), (Origin::Made, &built.made)]
    {
        entries.extend(rows.heads().map(|(at, head)| Entry { ts: head.ts, hash: head.hash, at, pile }));
    }
    let repeated = split_repeated(&mut entries);
    count_kept(&entries, &built, day, context, tally);
    built.changed = entries.iter().any(|entry| entry.pile == Origin::Arrived);
    for same_hash in repeated.into_values() {
        built.settle_all(&same_hash, &mut entries, day, context, tally);
    }
    built.sort(&mut entries, context.texts);
    built.order = entries;
    built
}

/// Takes the entries whose hash occurs more than once out of the list.
fn split_repeated(entries: &mut Vec<Entry>) -> HashMap<u64, Vec<Entry>> {
    let mut seen: HashTable<u32> = HashTable::with_capacity(entries.len());
    let mut repeated: HashMap<u64, Vec<Entry>> = HashMap::new();
    let mut taken = Vec::new();
    for (at, entry) in (0..).zip(entries.iter()) {
        let found = seen.find(entry.hash, |&other| entries[other as usize].hash == entry.hash);
        match found {
            Some(&first) => {
                repeated.entry(entry.hash).or_insert_with(|| vec![entries[first as usize]]).push(*entry);
                taken.extend([first, at]);
            }
            None => {
                seen.insert_unique(entry.hash, at, |&other| entries[other as usize].hash);
            }
        }
    }
    taken.sort_unstable();
    taken.dedup();
    let (mut at, mut taken) = (0, taken.into_iter().peekable());
    entries.retain(|_| {
        let is_taken = taken.next_if_eq(&at).is_some();
        at += 1;
        !is_taken
    });
    repeated
}

/// Books the arrivals that are alone: each is a new row of its source.
fn count_kept(entries: &[Entry], built: &Built, day: Day, context: Context<'_>, tally: &mut IngestTally) {
    let mut counts: HashMap<Word<'_>, u64> = HashMap::new();
    let mut last = (Word::Null, 0);
    for entry in entries.iter().filter(|entry| entry.pile == Origin::Arrived) {
        let source = source_of(built.arrived.get(entry.at));
        if source == last.0 {
            last.1 += 1;
        } else {
            *counts.entry(last.0).or_default() += last.1;
            last = (source, 1);
        }
    }
    *counts.entry(last.0).or_default() += last.1;
    for (source, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        tally.source(source.text(Slot::Source, context.texts).unwrap_or_default()).kept += count;
        tally.day(day).kept += count;
    }
}

impl Built {
    fn packed(&self, entry: &Entry) -> &[u8] {
        match entry.pile {
            Origin::Existing => self.existing.get(entry.at),
            Origin::Arrived => self.arrived.get(entry.at),
            Origin::Made => self.made.get(entry.at),
        }
    }

    fn row(&self, entry: &Entry) -> Row<'_> {
        Row::unpack(self.packed(entry))
    }

    /// Merges entries of one hash and adds what they become to the list.
    fn settle_all(
        &mut self,
        same_hash: &[Entry],
        entries: &mut Vec<Entry>,
        day: Day,
        context: Context<'_>,
        tally: &mut IngestTally,
    ) {
        let mut made = Pile::default();
        let mut members: Vec<Member<'_>> = same_hash
            .iter()
            .map(|entry| {
                let held = if entry.pile == Origin::Arrived { Held::Arrived } else { Held::In(day) };
                Member { row: self.row(entry), held }
            })
            .collect();
        let mut changed = false;
        for request in requests(&mut members, context.texts) {
            let settled = settle(&request, context, tally);
            changed |= !settled.is_unchanged;
            let totals: &mut DayTally = tally.day(day);
            totals.kept += settled.kept;
            totals.replaced += settled.replaced;
            made.push(&settled.row);
        }
        self.changed |= changed;
        for (at, head) in made.heads() {
            let at = self.made.push_packed(made.get(at));
            entries.push(Entry { ts: head.ts, hash: head.hash, at, pile: Origin::Made });
        }
    }

    /// By time, then by identity: the order in which a day is written.
    fn sort(&self, entries: &mut [Entry], texts: &TextCache<'_>) {
        entries.sort_by_key(|entry| entry.ts);
        for same_time in entries.chunk_by_mut(|a, b| a.ts == b.ts).filter(|chunk| chunk.len() > 1) {
            same_time.sort_by(|a, b| self.row(a).identity(texts).cmp(&self.row(b).identity(texts)));
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Every row, packed, in the final order.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        // Some at a time: where a row begins is far away in memory, and several
        // are waited for at once.
        let some = |entries: &'_ [Entry]| entries.iter().map(|entry| self.packed(entry)).collect::<Vec<_>>();
        self.order.chunks(32).flat_map(some)
    }
}

/// A slice's rows, sorted, in an unnamed temporary file.
#[derive(Debug)]
pub struct SortedSlice {
    file: BufReader<File>,
    /// The packed row that comes next; empty at the end.
    next: Vec<u8>,
}

impl SortedSlice {
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(built: &Built, dir: &std::path::Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(dir)?);
        for row in built.rows() {
            file.write_all(row)?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut slice = Self { file: BufReader::with_capacity(1 << 20, file), next: Vec::new() };
        slice.advance()?;
        Ok(slice)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next.clear();
        let mut len = [0; 4];
        match self.file.read_exact(&mut len) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        self.next.extend_from_slice(&len);
        self.next.resize(u32::from_le_bytes(len) as usize, 0);
        self.file.read_exact(&mut self.next[4..])
    }
}

/// Hands the packed rows of all slices on, in the order of one sorted day.
///
/// # Errors
/// Where a slice cannot be read, or `each` fails.
pub fn merge_slices<E: From<io::Error>>(
    mut slices: Vec<SortedSlice>,
    texts: &TextCache<'_>,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        slices.retain(|slice| !slice.next.is_empty());
        let first = slices.iter_mut().min_by(|a, b| {
            let (a, b) = (Row::unpack(&a.next), Row::unpack(&b.next));
            a.ts.cmp(&b.ts).then_with(|| a.identity(texts).cmp(&b.identity(texts)))
        });
        let Some(first) = first else { return Ok(()) };
        each(&first.next)?;
        first.advance()?;
    }
}
