//! Whether two sources show the same requests, so that they are counted twice.
//!
//! Requests with the same id are one row, whoever logged them. What is looked
//! for here is the same traffic under other ids: rows of two sources that agree
//! in provider, model, minute and tokens, for more than a fifth of the rows of
//! the smaller one. One of the two should have `role = "check"`.

use std::{cell::RefCell, collections::HashMap, fmt};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    IngestError,
    rows::{Row, Slot},
    seams::Days,
    texts::{TextCache, Texts},
};
use crate::{
    book::{Book, layout::DayTable},
    record::Meter,
    time::Day,
};

/// Fewer rows than this agree by chance.
const FEWEST: u64 = 5;

/// Of days with more rows, only some minutes are looked at.
const MOST_ROWS: u64 = 100_000;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// Two sources that show the same requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The one with fewer rows.
    pub source: String,
    pub other: String,
    /// Rows of the first that the other has, too, in percent.
    pub percent: u64,
}

/// What to do about it.
pub const CURE: &str = "if both log the same traffic it is counted twice: set `role = \"check\"` in one of them";

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} % of its requests are in source `{}`, too (same provider, model, minute and tokens)",
            self.percent, self.other
        )
    }
}

/// How often each source has rows that agree, by a hash of what they agree in.
#[derive(Debug, Default)]
struct Seen {
    sources: Vec<String>,
    rows: Vec<u64>,
    counts: HashMap<u64, Vec<(usize, u64)>>,
}

impl Seen {
    fn add(&mut self, row: &Row<'_>, texts: &TextCache<'_>) {
        let quantities = row.quantities();
        let tokens = quantities.total_input() + i128::from(quantities[Meter::OutputTokens].unwrap_or(0));
        let Some(source) = row.text(Slot::Source, texts).filter(|_| tokens > 0 && !row.gateway_cache) else { return };
        let source = self.sources.iter().position(|name| name == source).unwrap_or_else(|| {
            self.sources.push(source.to_owned());
            self.rows.push(0);
            self.sources.len() - 1
        });
        self.rows[source] += 1;
        let [provider, model] = [Slot::Provider, Slot::Model].map(|slot| row.text(slot, texts).unwrap_or_default());
        let output = quantities[Meter::OutputTokens].unwrap_or(0);
        let minute = row.ts.div_euclid(MICROS_PER_MINUTE);
        let same = format!("{provider}\0{model}\0{minute}\0{}\0{output}", quantities.total_input());
        let counts = self.counts.entry(xxh3_64(same.as_bytes())).or_default();
        match counts.iter_mut().find(|(other, _)| *other == source) {
            Some((_, count)) => *count += 1,
            None => counts.push((source, 1)),
        }
    }

    fn overlaps(&self) -> Vec<Overlap> {
        let mut shared: HashMap<(usize, usize), u64> = HashMap::new();
        for counts in self.counts.values().filter(|counts| counts.len() > 1) {
            for (at, &(a, count_a)) in counts.iter().enumerate() {
                for &(b, count_b) in &counts[at + 1..] {
                    *shared.entry((a.min(b), a.max(b))).or_default() += count_a.min(count_b);
                }
            }
        }
        let mut found: Vec<_> = shared
            .into_iter()
            .filter_map(|((a, b), shared)| {
                let (small, large) = if self.rows[a] <= self.rows[b] { (a, b) } else { (b, a) };
                let overlap = Overlap {
                    source: self.sources[small].clone(),
                    other: self.sources[large].clone(),
                    percent: shared * 100 / self.rows[small],
                };
                (shared >= FEWEST && shared * 5 > self.rows[small]).then_some(overlap)
            })
            .collect();
        found.sort_by(|a, b| (&a.source, &a.other).cmp(&(&b.source, &b.other)));
        found
    }
}

/// The pairs of sources that show the same requests on these days.
///
/// # Errors
/// Where a day cannot be read.
pub fn find(book: &Book, wanted: &[Day]) -> Result<Vec<Overlap>, IngestError> {
    let days = Days::list(Some(book), DayTable::Usage)?;
    let seen = RefCell::new(Seen::default());
    for &day in wanted {
        let rows = days.open(day)?.map_or(0, |file| file.facts().rows);
        let step = i64::try_from(rows / MOST_ROWS).unwrap_or(0) + 1;
        let texts = Texts::default();
        days.read(day, &mut TextCache::new(&texts), &|_, _| true, &|row, texts| {
            if row.ts.div_euclid(MICROS_PER_MINUTE) % step == 0 {
                seen.borrow_mut().add(row, texts);
            }
            false
        })?;
    }
    Ok(seen.into_inner().overlaps())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ingest::rows::{Provenance, Word, pack_record},
        record::UsageRecord,
        time::{Day, Instant},
    };

    /// Rows as (source, minute, tokens).
    fn check(rows: &[(&str, i64, i64)], expect: &[(&str, &str, u64)]) {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let mut seen = Seen::default();
        for &(source, minute, tokens) in rows {
            let start: Instant = Day::parse("2026-06-01").unwrap().start();
            let mut record = UsageRecord::at(start.plus_micros(minute * MICROS_PER_MINUTE));
            record.quantities[Meter::InputTokens] = Some(tokens);
            let mut packed = Vec::new();
            let from = Provenance { source: Word::Inline(source), file: Word::Null, line: 1 };
            pack_record(&record, from, &mut cache, &mut packed);
            seen.add(&Row::unpack(&packed), &cache);
        }
        let found = seen.overlaps();
        let found: Vec<_> = found.iter().map(|it| (it.source.as_str(), it.other.as_str(), it.percent)).collect();
        assert_eq!(found, expect, "{rows:?}");
    }

    fn repeated(source: &'static str, from: i64, count: i64) -> Vec<(&'static str, i64, i64)> {
        (from..from + count).map(|n| (source, n, 100 + n)).collect()
    }

    #[test]
    fn sources_that_show_the_same_requests_are_found() {
        check(&[repeated("a", 0, 20), repeated("b", 0, 20)].concat(), &[("a", "b", 100)]);
        check(&[repeated("a", 0, 50), repeated("b", 40, 40)].concat(), &[("b", "a", 25)]);
        // A fifth is not more than a fifth.
        check(&[repeated("a", 0, 50), repeated("b", 42, 40)].concat(), &[]);
        check(&[repeated("a", 0, 4), repeated("b", 0, 4)].concat(), &[]);
        check(&[repeated("a", 0, 20), repeated("b", 100, 20)].concat(), &[]);
        // The same request many times in one source is one in the other at most.
        check(&[repeated("a", 0, 20), vec![("b", 0, 100); 20]].concat(), &[]);
        check(&repeated("a", 0, 20), &[]);
    }
}
