//! Versions of one request become one row (DESIGN §4, "Groups and merging").
//!
//! A request may be logged more than once: as a stream grows, by two gateways,
//! in a file and in its copy. Versions of one identity that lie within ten
//! minutes of each other are one request; further apart, the provider has used
//! an id again. Merging is associative and commutative: times widen, descriptive
//! columns take the smallest value, the rest comes from one winner that a total
//! order picks. So the result depends only on the set of versions.

use std::cmp::Ordering;

use super::{
    rows::{HTTP_STATUS, LATENCY, MAX_TOKENS, REASONING, Row, Slot, Word},
    texts::TextCache,
};
use crate::record::Meter;

/// Versions further apart than this are different requests.
pub const GAP_MICROS: i64 = 10 * 60 * 1_000_000;

/// The columns that all versions have a say in: the smallest value counts.
const DESCRIPTIVE: [Slot; 8] =
    [Slot::Key, Slot::Team, Slot::User, Slot::Project, Slot::Tags, Slot::Tier, Slot::ModelRequested, Slot::ErrorCode];

/// How much each source's word counts, by its name.
pub trait Priorities {
    fn priority(&self, source: &str) -> i64;
}

impl<F: Fn(&str) -> i64> Priorities for F {
    fn priority(&self, source: &str) -> i64 {
        self(source)
    }
}

/// Splits versions of one identity, sorted by time, into requests: the lengths
/// of the runs in which no gap exceeds ten minutes.
pub fn runs(sorted: &[Row<'_>]) -> Vec<usize> {
    let mut runs = Vec::new();
    let mut reach = i64::MIN;
    for row in sorted {
        if runs.is_empty() || row.ts.saturating_sub(reach) > GAP_MICROS {
            runs.push(0);
        }
        if let Some(run) = runs.last_mut() {
            *run += 1;
        }
        reach = reach.max(row.ts_last);
    }
    runs
}

/// One request from its versions: the row, which version won, and whether any
/// two disagree on a descriptive column.
#[derive(Debug)]
pub struct Merged<'a> {
    pub row: Row<'a>,
    pub winner: usize,
    pub conflict: bool,
}

/// Merges the versions of one request; there is at least one.
pub fn merge<'a>(versions: &[Row<'a>], texts: &TextCache<'_>, priorities: &dyn Priorities) -> Merged<'a> {
    let mut winner = 0;
    for candidate in 1..versions.len() {
        if compare(&versions[candidate], &versions[winner], texts, priorities) == Ordering::Less {
            winner = candidate;
        }
    }
    let mut row = versions[winner];
    let mut conflict = false;
    for version in versions {
        row.ts = row.ts.min(version.ts);
        row.ts_last = row.ts_last.max(version.ts_last);
        for slot in DESCRIPTIVE {
            let (best, other) = (&mut row.words[slot as usize], version.words[slot as usize]);
            if let (Some(a), Some(b)) = (best.text(slot, texts), other.text(slot, texts)) {
                conflict |= a != b;
            }
            if described(slot, other, texts) < described(slot, *best, texts) {
                *best = other;
            }
        }
        for number in [MAX_TOKENS, HTTP_STATUS] {
            if let (Some(best), Some(other)) = (row.numbers[number], version.numbers[number]) {
                conflict |= best != other;
                row.numbers[number] = Some(best.min(other));
            }
            row.numbers[number] = row.numbers[number].or(version.numbers[number]);
        }
        row.numbers[LATENCY] = row.numbers[LATENCY].max(version.numbers[LATENCY]);
    }
    Merged { row, winner, conflict }
}

/// The order of descriptive values: null last, and names before fingerprints.
fn described<'t>(slot: Slot, word: Word<'t>, texts: &'t TextCache<'_>) -> (bool, bool, &'t str) {
    match word.text(slot, texts) {
        Some(text) => (false, text.starts_with("fp_"), text),
        None => (true, false, ""),
    }
}

/// The total order by which a winner is picked; `Less` is the better one.
pub fn compare(a: &Row<'_>, b: &Row<'_>, texts: &TextCache<'_>, priorities: &dyn Priorities) -> Ordering {
    let priority = |row: &Row<'_>| priorities.priority(row.text(Slot::Source, texts).unwrap_or_default());
    let output = |row: &Row<'_>| row.numbers[Meter::OutputTokens.index()];
    let sum = |row: &Row<'_>| row.quantities().sum();
    a.quality
        .cmp(&b.quality)
        .then_with(|| priority(b).cmp(&priority(a)))
        .then_with(|| output(b).cmp(&output(a)))
        .then_with(|| sum(b).cmp(&sum(a)))
        .then_with(|| compare_content(a, b, texts))
        .then_with(|| compare_provenance(a, b, texts))
}

/// The winner's own columns, in the schema's order. `Equal` is the same report
/// of the same request.
pub fn compare_content(a: &Row<'_>, b: &Row<'_>, texts: &TextCache<'_>) -> Ordering {
    /// In the schema, reasoning stands between the tokens and the other meters.
    const TOKENS: usize = Meter::OutputTokens.index() + 1;
    let plain = |row: &Row<'_>| (row.operation, row.status, row.streamed, row.gateway_cache, row.quality);
    let tokens = |row: &Row<'_>| -> [Option<i64>; TOKENS] { std::array::from_fn(|number| row.numbers[number]) };
    let others = |row: &Row<'_>| -> [Option<i64>; Meter::COUNT - TOKENS] {
        std::array::from_fn(|number| row.numbers[TOKENS + number])
    };
    a.text(Slot::Model, texts)
        .cmp(&b.text(Slot::Model, texts))
        .then_with(|| plain(a).cmp(&plain(b)))
        .then_with(|| tokens(a).cmp(&tokens(b)))
        .then_with(|| a.numbers[REASONING].cmp(&b.numbers[REASONING]))
        .then_with(|| others(a).cmp(&others(b)))
        .then_with(|| a.reported_cost.cmp(&b.reported_cost))
}

fn compare_provenance(a: &Row<'_>, b: &Row<'_>, texts: &TextCache<'_>) -> Ordering {
    a.text(Slot::Source, texts)
        .cmp(&b.text(Slot::Source, texts))
        .then_with(|| a.text(Slot::File, texts).cmp(&b.text(Slot::File, texts)))
        .then_with(|| a.line.cmp(&b.line))
}

/// Whether two rows say the same in every column, provenance included.
pub fn is_same(a: &Row<'_>, b: &Row<'_>, texts: &TextCache<'_>) -> bool {
    (a.ts, a.ts_last, a.line, a.request_id, a.numbers) == (b.ts, b.ts_last, b.line, b.request_id, b.numbers)
        && compare_content(a, b, texts) == Ordering::Equal
        && Slot::ALL.into_iter().all(|slot| a.text(slot, texts) == b.text(slot, texts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ingest::{pile::Pile, rows::Provenance, texts::Texts},
        record::{Quality, UsageRecord},
        time::Instant,
    };

    fn no_priority(_: &str) -> i64 {
        0
    }

    fn record(second: i64, change: impl FnOnce(&mut UsageRecord<'static>)) -> UsageRecord<'static> {
        let mut record = UsageRecord::at(Instant::EARLIEST.plus_micros(second * 1_000_000));
        record.quality = Quality::Reported;
        change(&mut record);
        record
    }

    fn piled(records: &[UsageRecord<'_>], texts: &mut TextCache<'_>) -> Pile {
        let mut pile = Pile::default();
        for (line, record) in (1..).zip(records) {
            let from = Provenance { source: Word::Inline("s"), file: Word::Inline("f"), line };
            pile.push_record(record, from, texts);
        }
        pile
    }

    /// Merges in this order and the reverse; both must agree.
    fn check(records: &[UsageRecord<'static>], verify: impl Fn(&Merged<'_>, &TextCache<'_>)) {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let pile = piled(records, &mut cache);
        let mut rows: Vec<_> = pile.heads().map(|(at, _)| pile.row(at)).collect();
        verify(&merge(&rows, &cache, &no_priority), &cache);
        rows.reverse();
        verify(&merge(&rows, &cache, &no_priority), &cache);
    }

    #[test]
    fn the_final_figure_of_a_stream_wins() {
        let versions = [
            record(0, |it| it.quality = Quality::Missing),
            record(1, |it| it.quantities[Meter::OutputTokens] = Some(2)),
            record(2, |it| it.quantities[Meter::OutputTokens] = Some(439)),
        ];
        check(&versions, |merged, _| {
            assert_eq!(merged.row.numbers[Meter::OutputTokens.index()], Some(439));
            assert_eq!(merged.row.ts, Instant::EARLIEST.micros());
            assert_eq!(merged.row.ts_last, Instant::EARLIEST.micros() + 2_000_000);
        });
    }

    #[test]
    fn descriptive_columns_come_from_all_versions() {
        let versions = [
            record(0, |it| {
                it.key = Some("fp_000000000000".into());
                it.latency_ms = Some(5);
            }),
            record(0, |it| {
                it.key = Some("search-prod".into());
                it.tier = Some("flex".into());
                it.latency_ms = Some(9);
            }),
        ];
        check(&versions, |merged, texts| {
            assert_eq!(merged.row.text(Slot::Key, texts), Some("search-prod"));
            assert_eq!(merged.row.text(Slot::Tier, texts), Some("flex"));
            assert_eq!(merged.row.numbers[LATENCY], Some(9));
            assert!(merged.conflict);
        });
    }

    #[test]
    fn a_gap_of_more_than_ten_minutes_starts_another_request() {
        let records: Vec<_> = [0, 600, 1200, 1801, 90_000].map(|second| record(second, |_| ())).into();
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let pile = piled(&records, &mut cache);
        let rows: Vec<_> = pile.heads().map(|(at, _)| pile.row(at)).collect();
        assert_eq!(runs(&rows), [3, 1, 1]);
    }
}
