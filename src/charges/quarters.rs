//! The totals of a day while its slices come, one after another.
//!
//! Slices share a quarter of an hour where one ends and the next begins. So the
//! last one stays open, and all before it is complete. Names have numbers that
//! stay the same for the whole day.

use std::{
    cmp::Ordering,
    collections::HashMap,
    ops::{AddAssign, Range},
    sync::Arc,
};

use polars::prelude::{PolarsResult, polars_bail};

use super::{
    price::{NOTHING, UNKNOWN},
    rollup::{FourNames, Rolled},
};
use crate::record::{AMOUNTS, Meter};

/// What tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub bucket_start: i64,
    /// Numbers of names.
    pub who: u32,
    pub what: u32,
    /// Places in [`super::rollup::OPERATIONS`] and [`super::rollup::BASES`].
    pub operation: u32,
    pub basis: u32,
}

/// Totals, sorted by their keys, each of which is there once.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub keys: Vec<Key>,
    pub requests: Vec<i64>,
    pub errors: Vec<i64>,
    /// In the order of [`METERS`](crate::record::METERS); [`NOTHING`] where none is reported.
    pub quantities: [Vec<i64>; Meter::COUNT],
    /// In the order of [`AMOUNTS`]; [`UNKNOWN`] where none is known.
    pub amounts: [Vec<i128>; AMOUNTS.len()],
}

impl Table {
    pub(super) fn append(&mut self, from: &Self, rows: Range<usize>) {
        self.keys.extend_from_slice(&from.keys[rows.clone()]);
        self.requests.extend_from_slice(&from.requests[rows.clone()]);
        self.errors.extend_from_slice(&from.errors[rows.clone()]);
        for (sums, from) in self.quantities.iter_mut().zip(&from.quantities) {
            sums.extend_from_slice(&from[rows.clone()]);
        }
        for (sums, from) in self.amounts.iter_mut().zip(&from.amounts) {
            sums.extend_from_slice(&from[rows.clone()]);
        }
    }

    /// The last row and one that has the same key become one.
    fn add_to_last(&mut self, from: &Self, row: usize) {
        let last = self.keys.len() - 1;
        self.requests[last] += from.requests[row];
        self.errors[last] += from.errors[row];
        for (sums, from) in self.quantities.iter_mut().zip(&from.quantities) {
            add(&mut sums[last], from[row], NOTHING);
        }
        for (sums, from) in self.amounts.iter_mut().zip(&from.amounts) {
            add(&mut sums[last], from[row], UNKNOWN);
        }
    }

    /// Cuts off the rows from there on.
    pub(super) fn split_off(&mut self, row: usize) -> Self {
        Self {
            keys: self.keys.split_off(row),
            requests: self.requests.split_off(row),
            errors: self.errors.split_off(row),
            quantities: self.quantities.each_mut().map(|sums| sums.split_off(row)),
            amounts: self.amounts.each_mut().map(|sums| sums.split_off(row)),
        }
    }
}

/// Adds what is known, as `nothing` is not; [`super::totals`] shows that no sum
/// of a day overflows.
pub(super) fn add<N: Copy + PartialEq + AddAssign>(sum: &mut N, more: N, nothing: N) {
    if *sum == nothing {
        *sum = more;
    } else if more != nothing {
        *sum += more;
    }
}

/// Names that a day has had so far, by number.
#[derive(Debug, Default)]
pub(super) struct Known {
    all: Vec<Arc<FourNames>>,
    number_of: HashMap<Arc<FourNames>, u32>,
}

impl Known {
    fn number(&mut self, names: FourNames) -> u32 {
        if let Some(&number) = self.number_of.get(&names) {
            return number;
        }
        let number = u32::try_from(self.all.len()).expect("a day has fewer names than a u32 counts");
        let names = Arc::new(names);
        self.all.push(Arc::clone(&names));
        self.number_of.insert(names, number);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn name(&self, number: u32, at: usize) -> Option<&str> {
        self.all[number as usize][at].as_deref()
    }

    fn order(&self, one: u32, other: u32) -> Ordering {
        if one == other { Ordering::Equal } else { self.all[one as usize].cmp(&self.all[other as usize]) }
    }
}

/// What the names of a day's keys are.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub who: Known,
    pub what: Known,
}

impl Names {
    /// The order of [`crate::record::ROLLUP_KEYS`].
    fn order(&self, one: &Key, other: &Key) -> Ordering {
        let names = || self.who.order(one.who, other.who).then_with(|| self.what.order(one.what, other.what));
        let rest = || (one.operation, one.basis).cmp(&(other.operation, other.basis));
        one.bucket_start.cmp(&other.bucket_start).then_with(names).then_with(rest)
    }
}

/// The totals of a day's last quarter of an hour, to which the next slice may add.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub names: Names,
    rows: Table,
}

impl Open {
    /// Adds the totals of the next slice, and returns what is complete:
    /// everything before the last quarter of an hour.
    pub(super) fn take_next(&mut self, next: Rolled) -> PolarsResult<Table> {
        let Rolled { who, what, rows: mut next } = next;
        let who: Vec<u32> = who.into_iter().map(|names| self.names.who.number(names)).collect();
        let what: Vec<u32> = what.into_iter().map(|names| self.names.what.number(names)).collect();
        for key in &mut next.keys {
            (key.who, key.what) = (who[key.who as usize], what[key.what as usize]);
        }
        let mut all = match (self.rows.keys.last(), next.keys.first()) {
            (Some(open), Some(first)) if first.bucket_start < open.bucket_start => {
                polars_bail!(ComputeError: "the rows of `usage` are not in the order of their time");
            }
            (Some(_), _) => self.merged(&next),
            (None, _) => next,
        };
        let last = all.keys.last().map(|key| key.bucket_start);
        let open = all.keys.partition_point(|key| Some(key.bucket_start) < last);
        self.rows = all.split_off(open);
        Ok(all)
    }

    /// What is open, and the next, in one. Where one has several rows before the
    /// other's next, they are taken at once.
    fn merged(&self, next: &Table) -> Table {
        let open = &self.rows;
        let mut merged = Table::default();
        let mut taken = 0;
        for (row, key) in open.keys.iter().enumerate() {
            let before = next.keys[taken..].iter().take_while(|other| self.names.order(other, key).is_lt()).count();
            merged.append(next, taken..taken + before);
            taken += before;
            merged.append(open, row..row + 1);
            if next.keys.get(taken) == Some(key) {
                merged.add_to_last(next, taken);
                taken += 1;
            }
        }
        merged.append(next, taken..next.keys.len());
        merged
    }

    /// The day is over: what was open is complete.
    pub(super) fn take_last(&mut self) -> Table {
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rollup::BUCKET_MICROS, *};

    fn rolled(rows: &[(i64, Option<&str>, i64, i64)]) -> Rolled {
        let mut rolled = Rolled::default();
        for &(bucket, team, requests, input) in rows {
            let who = u32::try_from(rolled.who.len()).unwrap();
            rolled.who.push([team.map(str::to_owned), None, None, None]);
            rolled.rows.keys.push(Key { bucket_start: bucket * BUCKET_MICROS, who, what: 0, operation: 0, basis: 0 });
            rolled.rows.requests.push(requests);
            rolled.rows.errors.push(0);
            rolled.rows.quantities.iter_mut().for_each(|sums| sums.push(NOTHING));
            rolled.rows.amounts.iter_mut().for_each(|sums| sums.push(UNKNOWN));
            *rolled.rows.quantities[0].last_mut().unwrap() = input;
        }
        rolled.what.push(FourNames::default());
        rolled
    }

    fn shown<'n>(names: &'n Names, table: &Table) -> Vec<(i64, Option<&'n str>, i64, i64)> {
        let rows = table.keys.iter().zip(&table.requests).zip(&table.quantities[0]);
        rows.map(|((key, &n), &input)| (key.bucket_start / BUCKET_MICROS, names.who.name(key.who, 0), n, input))
            .collect()
    }

    #[test]
    fn the_last_quarter_of_an_hour_stays_open_for_the_next_slice() {
        let mut open = Open::default();
        let ready =
            open.take_next(rolled(&[(0, None, 1, 5), (1, Some("a"), 2, 7), (1, Some("c"), 1, NOTHING)])).unwrap();
        assert_eq!(shown(&open.names, &ready), [(0, None, 1, 5)]);
        let next =
            [(1, None, 1, 1), (1, Some("a"), 1, 3), (1, Some("b"), 1, 2), (1, Some("c"), 1, NOTHING), (2, None, 4, 4)];
        let ready = open.take_next(rolled(&next)).unwrap();
        assert_eq!(
            shown(&open.names, &ready),
            [(1, None, 1, 1), (1, Some("a"), 3, 10), (1, Some("b"), 1, 2), (1, Some("c"), 2, NOTHING)]
        );
        assert_eq!(shown(&open.names, &open.rows), [(2, None, 4, 4)]);
        let ready = open.take_next(Rolled::default()).unwrap();
        assert_eq!(shown(&open.names, &ready), []);
        let last = open.take_last();
        assert_eq!(shown(&open.names, &last), [(2, None, 4, 4)]);
    }

    #[test]
    fn a_slice_of_earlier_rows_is_refused() {
        let mut open = Open::default();
        open.take_next(rolled(&[(3, None, 1, 1)])).unwrap();
        let error = open.take_next(rolled(&[(2, None, 1, 1)])).unwrap_err().to_string();
        assert!(error.contains("not in the order of their time"), "{error}");
    }

    #[test]
    fn what_nobody_knows_stays_unknown() {
        let mut sum = UNKNOWN;
        add(&mut sum, UNKNOWN, UNKNOWN);
        assert_eq!(sum, UNKNOWN);
        add(&mut sum, 0, UNKNOWN);
        assert_eq!(sum, 0);
        add(&mut sum, UNKNOWN, UNKNOWN);
        assert_eq!(sum, 0);
    }
}
