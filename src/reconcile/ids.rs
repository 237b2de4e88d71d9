//! Request by request: how many ids of a day only one side has, where a check
//! source has ids at all. A total of a provider cannot tell that.
//!
//! An id is on the other side if it is there on the same day or a neighbouring
//! one, in whatever state: a request that only one side calls failed is on both.
//! Counted are requests that reached the provider, as in the lines. An id that
//! is a hash of a record is none: no two logs write the same record. Ids are
//! compared by 128 bits of hash, in as many passes as keep memory bounded.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::{ReconcileError, ours};
use crate::{
    book::{Book, layout::DayTable},
    charges::{ChargesError, DayFile},
    record::METERS,
    time::Day,
};

/// How many request ids of a day are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids {
    /// Seen by the check source, and in our logs.
    pub both: i64,
    pub only_ours: i64,
    pub only_theirs: i64,
}

/// Hashes that are held at a time, of both sides and three days together.
const AT_A_TIME: usize = 1 << 22;

const COUNTS: &str = "counts";

/// The ids of one side, by provider; sorted, each once.
#[derive(Debug, Default)]
struct Side {
    /// Of the day, as far as they are counted.
    counted: BTreeMap<String, Vec<u128>>,
    /// Of the day and its neighbours.
    all: BTreeMap<String, Vec<u128>>,
}

/// Compares the ids of a day. A provider is left out of which one side has no ids.
pub(super) fn compare(
    book: &Book,
    day: Day,
    providers: &BTreeSet<String>,
) -> Result<BTreeMap<String, Ids>, ReconcileError> {
    let days = [day.previous(), day, day.next()];
    let open = |table| days.map(|day| DayFile::open(book, table, day));
    let open = |table| open(table).into_iter().zip(days).map(|(file, day)| Ok((day, file?))).collect();
    let ours: Result<Vec<(Day, Option<DayFile>)>, ChargesError> = open(DayTable::Charges);
    let theirs: Result<Vec<(Day, Option<DayFile>)>, ChargesError> = open(DayTable::Checks);
    let (ours, theirs) = (ours?, theirs?);
    let files = ours.iter().chain(&theirs).filter_map(|(_, file)| file.as_ref());
    let rows: usize = files.flat_map(DayFile::slices).map(|(_, length)| length).sum();
    let passes = u128::try_from(rows / AT_A_TIME + 1).unwrap_or(1);
    let mut found: BTreeMap<String, Ids> = BTreeMap::new();
    let mut has_ids = [BTreeSet::new(), BTreeSet::new()];
    for pass in 0..passes {
        let is_of_pass = |hash: u128| hash % passes == pass;
        let ours = Side::read(&ours, day, providers, &is_of_pass)?;
        let theirs = Side::read(&theirs, day, providers, &is_of_pass)?;
        has_ids[0].extend(ours.all.keys().cloned());
        has_ids[1].extend(theirs.all.keys().cloned());
        for provider in providers {
            let ids = found.entry(provider.clone()).or_default();
            let (both, only_theirs) = split(of(&theirs.counted, provider), of(&ours.all, provider));
            ids.both += both;
            ids.only_theirs += only_theirs;
            ids.only_ours += split(of(&ours.counted, provider), of(&theirs.all, provider)).1;
        }
    }
    found.retain(|provider, _| has_ids.iter().all(|side| side.contains(provider)));
    Ok(found)
}

fn of<'h>(hashes: &'h BTreeMap<String, Vec<u128>>, provider: &str) -> &'h [u128] {
    hashes.get(provider).map_or(&[], Vec::as_slice)
}

/// How many of one side the other one has, and how many it has not.
fn split(of: &[u128], other: &[u128]) -> (i64, i64) {
    let there = of.iter().filter(|hash| other.binary_search(hash).is_ok()).count();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    (number(there), number(of.len() - there))
}

impl Side {
    fn read(
        files: &[(Day, Option<DayFile>)],
        day: Day,
        providers: &BTreeSet<String>,
        is_of_pass: &dyn Fn(u128) -> bool,
    ) -> Result<Self, ReconcileError> {
        let mut side = Self::default();
        for (of, file) in files {
            let Some(file) = file else { continue };
            let failed = |source| ChargesError::Engine { path: file.path.clone(), source };
            for (start, length) in file.slices() {
                let frame = frame(file, providers, (start, length))?.collect().map_err(failed)?;
                side.take(&frame, *of == day, is_of_pass).map_err(failed)?;
            }
        }
        for hashes in side.counted.values_mut().chain(side.all.values_mut()) {
            hashes.sort_unstable();
            hashes.dedup();
        }
        Ok(side)
    }

    fn take(&mut self, frame: &DataFrame, is_counted: bool, is_of_pass: &dyn Fn(u128) -> bool) -> PolarsResult<()> {
        let (provider, id) = (frame.column("provider")?.str()?, frame.column("request_id")?.str()?);
        let counts = frame.column(COUNTS)?.bool()?;
        for ((provider, id), counts) in provider.iter().zip(id.iter()).zip(counts.iter()) {
            let (Some(provider), Some(id)) = (provider, id.filter(|id| !is_hash(id))) else { continue };
            let hash = xxh3_128(id.as_bytes());
            if !is_of_pass(hash) {
                continue;
            }
            let add = |to: &mut BTreeMap<String, Vec<u128>>| match to.get_mut(provider) {
                Some(hashes) => hashes.push(hash),
                None => _ = to.insert(provider.to_owned(), vec![hash]),
            };
            add(&mut self.all);
            if is_counted && counts == Some(true) {
                add(&mut self.counted);
            }
        }
        Ok(())
    }
}

fn frame(file: &DayFile, providers: &BTreeSet<String>, slice: (usize, usize)) -> Result<LazyFrame, ReconcileError> {
    let mut columns = vec!["provider", "request_id", "status", "gateway_cache"];
    columns.extend(METERS.iter().map(|info| info.column));
    let frame = file.frame(&columns, slice.0, slice.1)?.lazy().filter(ours::is_of(providers));
    Ok(frame.select([col("provider"), col("request_id"), ours::reaches_provider().alias(COUNTS)]))
}

/// Whether an id was made from the record, as it has none.
fn is_hash(id: &str) -> bool {
    id.len() == 34 && id.starts_with("h_") && id.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_on_both_sides_or_on_one() {
        assert_eq!(split(&[1, 3, 5], &[2, 3, 4]), (1, 2));
        assert_eq!(split(&[], &[2]), (0, 0));
        assert_eq!(split(&[7], &[]), (0, 1));
    }

    #[test]
    fn a_hash_of_a_record_is_no_id() {
        let cases = [
            ("h_00112233445566778899aabbccddeeff", true),
            ("chatcmpl-00112233445566778899aabbcc", false),
            ("h_1", false),
            ("h_0011223344556677889-aabbccddeeff", false),
        ];
        for (id, expect) in cases {
            assert_eq!(is_hash(id), expect, "{id}");
        }
    }
}
