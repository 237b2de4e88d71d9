//! Totals of every quarter of an hour, by everything that a report groups by.
//!
//! Who pays and what was used are few, and so are the prices of a slice: each
//! gets a number, in the order of its names, and a row's numbers packed into
//! one are its group and its place in the file. Sums are made in integers; a
//! sum of nothing but NULL is NULL, never 0.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray},
    error::ArrowError,
    record_batch::RecordBatch,
};
use polars::prelude::*;

use super::{
    price::{COST, NOTHING, Priced, UNKNOWN, Used},
    slice::{Applied, Applying, Numbered},
    texts::{Numbering, Texts},
};
use crate::{
    book::schema::arrow_schema,
    pricing::{Ask, Basis, Stretch},
    record::{AMOUNTS, METERS, Operation, ROLLUP, ROLLUP_KEYS, Status},
    teams::Attribution,
    time::Day,
};

/// Every zone that there is today is a multiple of this away from UTC.
pub(super) const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;

/// The priced rows of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'s> {
    pub day: Day,
    pub frame: &'s DataFrame,
    pub at: &'s Int64Chunked,
    pub numbered: &'s Numbered,
    pub applied: &'s Applied<'s>,
    pub used: &'s Used,
    pub priced: &'s Priced,
}

/// Some of a row's names; none comes before any.
type FourNames = [Option<String>; 4];

/// What tells rows apart, in the order of [`ROLLUP_KEYS`], by which rows are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    bucket_start: i64,
    /// Team, environment, purpose and key.
    who: Arc<FourNames>,
    /// Provider, model, billed model and tier.
    what: Arc<FourNames>,
    operation: &'static str,
    basis: &'static str,
}

/// How many bits of a group each of its numbers has, from the last to the first.
mod bits {
    pub(super) const BASIS: u32 = 3;
    pub(super) const OPERATION: u32 = 4;
    pub(super) const NAMES: u32 = 24;
}

const _: () = assert!(BASES.len() <= 1 << bits::BASIS && Operation::ALL.len() <= 1 << bits::OPERATION);

/// Totals, sorted by their keys, each of which is there once.
#[derive(Debug, Default)]
pub(super) struct Rolled {
    keys: Vec<Key>,
    requests: Vec<i64>,
    errors: Vec<i64>,
    sums: [Vec<i128>; SUMS],
}

const BASES: [Basis; 5] = [Basis::Free, Basis::Contract, Basis::List, Basis::Fallback, Basis::Unpriced];

/// Quantities in the order of [`METERS`], then amounts in that of [`AMOUNTS`];
/// [`UNKNOWN`] where nothing is known.
const SUMS: usize = METERS.len() + AMOUNTS.len();

impl Rows<'_> {
    /// The totals of the slice.
    pub(super) fn totals(&self) -> PolarsResult<Rolled> {
        let names = Names::of(self)?;
        let mut numbering = Numbering::default();
        let numbers: Vec<u32> = self.groups(&names)?.into_iter().map(|group| numbering.number(group)).collect();
        let mut sorted: Vec<(u64, usize)> = numbering.values.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let mut place_of = vec![0; sorted.len()];
        for (place, &(_, number)) in sorted.iter().enumerate() {
            place_of[number] = place;
        }
        let places: Vec<usize> = numbers.into_iter().map(|number| place_of[number as usize]).collect();
        let keys = sorted.into_iter().map(|(group, _)| names.key(group, self.day)).collect();
        Ok(self.added(keys, &places))
    }

    /// Of each row, its numbers in one.
    fn groups(&self, names: &Names) -> PolarsResult<Vec<u64>> {
        let bases: Vec<u64> =
            self.priced.labels.iter().map(|label| place(&names.bases, &label.basis.name()) as u64).collect();
        let operation = Texts::of(self.frame, "operation")?;
        let known = |name: Option<&str>| name.and_then(Operation::from_name).unwrap_or(Operation::Other);
        let operations: Vec<u64> =
            operation.all.iter().map(|name| place(&names.operations, &known(*name).name()) as u64).collect();
        let first = self.day.start().micros().div_euclid(BUCKET_MICROS);
        let mut groups = Vec::with_capacity(self.frame.height());
        let instants = self.at.downcast_iter().flat_map(|chunk| chunk.values().iter());
        for (row, at) in instants.enumerate() {
            let bucket = at.div_euclid(BUCKET_MICROS) - first;
            let mut group = u64::try_from(bucket).map_err(|_| polars_err!(ComputeError: "a row of another day"))?;
            group = group << bits::NAMES | names.who.place[self.applied.owner[row] as usize];
            group = group << bits::NAMES | names.what.place[self.applied.stretch[row] as usize];
            group = group << bits::OPERATION | operations[operation.numbers[row] as usize];
            group = group << bits::BASIS | bases[self.priced.label[row] as usize];
            groups.push(group);
        }
        Ok(groups)
    }

    /// Adds up the rows, of which each has its place among the keys.
    fn added(&self, keys: Vec<Key>, places: &[usize]) -> Rolled {
        let nothing = || vec![0_i64; keys.len()];
        let (mut requests, mut errors) = (nothing(), nothing());
        for (&place, status) in places.iter().zip(self.used.statuses()) {
            requests[place] += 1;
            errors[place] += i64::from(*status == Status::Error);
        }
        let mut sums: [Vec<i128>; SUMS] = std::array::from_fn(|_| vec![UNKNOWN; keys.len()]);
        for (meter, column) in self.used.meters() {
            let sums = &mut sums[meter.index()];
            for (&place, &quantity) in places.iter().zip(column) {
                if quantity != NOTHING {
                    add(&mut sums[place], i128::from(quantity));
                }
            }
        }
        let mut of_column: Vec<Vec<i128>> = Vec::with_capacity(self.priced.columns.len());
        for amounts in &self.priced.columns {
            let mut sums = vec![UNKNOWN; keys.len()];
            for (&place, &amount) in places.iter().zip(amounts) {
                add(&mut sums[place], amount);
            }
            of_column.push(sums);
        }
        for (place, sums) in self.priced.place.into_iter().zip(&mut sums[METERS.len()..]) {
            sums.clone_from(&of_column[place]);
        }
        Rolled { keys, requests, errors, sums }
    }
}

/// The names of a slice: what its rows' numbers stand for.
#[derive(Debug)]
struct Names {
    who: Sorted,
    what: Sorted,
    operations: Vec<&'static str>,
    bases: Vec<&'static str>,
}

impl Names {
    fn of(rows: &Rows<'_>) -> PolarsResult<Self> {
        let Applied { owners, stretches, .. } = rows.applied;
        let who = |owner: &Applying<Attribution>| {
            let key = rows.numbered.claims[owner.of as usize].0.as_deref();
            [owner.it.team.as_deref(), owner.it.environment.as_deref(), owner.it.purpose.as_deref(), key]
                .map(|name| name.map(str::to_owned))
        };
        let what = |stretch: &Applying<Stretch<'_>>| {
            let Ask { provider, model, tier } = rows.numbered.asks[stretch.of as usize].ask();
            [Some(provider), Some(model), Some(stretch.it.model_billed), tier].map(|name| name.map(str::to_owned))
        };
        let mut operations: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        let mut bases = BASES.map(Basis::name).to_vec();
        operations.sort_unstable();
        bases.sort_unstable();
        Ok(Self {
            who: Sorted::of(owners.iter().map(who))?,
            what: Sorted::of(stretches.iter().map(what))?,
            operations,
            bases,
        })
    }

    fn key(&self, mut group: u64, day: Day) -> Key {
        let mut take = |bits: u32| {
            let value = group & ((1 << bits) - 1);
            group >>= bits;
            usize::try_from(value).unwrap_or_default()
        };
        let (basis, operation) = (self.bases[take(bits::BASIS)], self.operations[take(bits::OPERATION)]);
        let (what, who) = (&self.what.all[take(bits::NAMES)], &self.who.all[take(bits::NAMES)]);
        let bucket_start = day.start().micros() + i64::try_from(group).unwrap_or_default() * BUCKET_MICROS;
        Key { bucket_start, who: Arc::clone(who), what: Arc::clone(what), operation, basis }
    }
}

/// Names, each once, and in their order.
#[derive(Debug)]
struct Sorted {
    all: Vec<Arc<FourNames>>,
    /// The place in `all` of each that was given.
    place: Vec<u64>,
}

impl Sorted {
    fn of(given: impl Iterator<Item = FourNames>) -> PolarsResult<Self> {
        let given: Vec<FourNames> = given.collect();
        let mut all = given.clone();
        all.sort_unstable();
        all.dedup();
        let limit = 1 << bits::NAMES;
        if all.len() > limit {
            polars_bail!(ComputeError: "more than {limit} prices or owners in one slice");
        }
        Ok(Self {
            place: given.iter().map(|names| place(&all, names) as u64).collect(),
            all: all.into_iter().map(Arc::new).collect(),
        })
    }
}

/// Where something is that is there.
fn place<T: Ord>(sorted: &[T], wanted: &T) -> usize {
    sorted.binary_search(wanted).expect("what is looked for is among what was sorted")
}

/// Adds what is known; [`super::totals`] shows that no sum of a day overflows.
fn add(sum: &mut i128, more: i128) {
    if *sum == UNKNOWN {
        *sum = more;
    } else if more != UNKNOWN {
        *sum += more;
    }
}

impl Rolled {
    fn push(&mut self, from: &Self, place: usize) {
        self.keys.push(from.keys[place].clone());
        self.requests.push(from.requests[place]);
        self.errors.push(from.errors[place]);
        for (sums, from) in self.sums.iter_mut().zip(&from.sums) {
            sums.push(from[place]);
        }
    }

    /// The last row and one that has the same key become one.
    fn add_to_last(&mut self, from: &Self, place: usize) {
        let last = self.keys.len() - 1;
        self.requests[last] += from.requests[place];
        self.errors[last] += from.errors[place];
        for (sums, from) in self.sums.iter_mut().zip(&from.sums) {
            add(&mut sums[last], from[place]);
        }
    }

    /// Both in one.
    fn merged(&self, other: &Self) -> Self {
        let mut merged = Self::default();
        let (mut own, mut others) = (0, 0);
        loop {
            match (self.keys.get(own), other.keys.get(others)) {
                (None, None) => return merged,
                (Some(key), next) if next.is_none_or(|next| key <= next) => {
                    merged.push(self, own);
                    own += 1;
                    if next == Some(key) {
                        merged.add_to_last(other, others);
                        others += 1;
                    }
                }
                _ => {
                    merged.push(other, others);
                    others += 1;
                }
            }
        }
    }

    /// Adds the totals of the next slice to those still open, and cuts off what
    /// is complete: everything before the last quarter of an hour.
    pub(super) fn take_next(&mut self, next: Self) -> PolarsResult<Self> {
        let mut all = match (self.keys.last(), next.keys.first()) {
            (Some(open), Some(first)) if first.bucket_start < open.bucket_start => {
                polars_bail!(ComputeError: "the rows of `usage` are not in the order of their time");
            }
            (Some(_), _) => self.merged(&next),
            (None, _) => next,
        };
        let last = all.keys.last().map(|key| key.bucket_start);
        let open = all.keys.partition_point(|key| Some(key.bucket_start) < last);
        *self = Self {
            keys: all.keys.split_off(open),
            requests: all.requests.split_off(open),
            errors: all.errors.split_off(open),
            sums: all.sums.each_mut().map(|sums| sums.split_off(open)),
        };
        Ok(all)
    }

    /// As its file has them.
    pub(super) fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let of = |basis: Basis, values: &[i128]| -> Vec<i128> {
            let only =
                |(key, &value): (&Key, &i128)| if key.basis == basis.name() && value != UNKNOWN { value } else { 0 };
            self.keys.iter().zip(values).map(only).collect()
        };
        let requests: Vec<i128> = self.requests.iter().copied().map(i128::from).collect();
        let counts = |basis: Basis| integers(&of(basis, &requests));
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(ROLLUP.len());
        for column in ROLLUP.iter() {
            arrays.push(match column.name {
                "requests" => Arc::new(Int64Array::from(self.requests.clone())),
                "errors" => Arc::new(Int64Array::from(self.errors.clone())),
                "unpriced_requests" => counts(Basis::Unpriced),
                "estimated_requests" => counts(Basis::Fallback),
                "estimated_cost" => decimals(&of(Basis::Fallback, &self.sums[METERS.len() + COST])),
                name => self.column(name),
            });
        }
        RecordBatch::try_new(arrow_schema(&ROLLUP), arrays)
    }

    fn column(&self, name: &str) -> ArrayRef {
        if let Some(at) = METERS.iter().position(|info| info.column == name) {
            return integers(&self.sums[at]);
        }
        if let Some(at) = AMOUNTS.iter().position(|amount| *amount == name) {
            return decimals(&self.sums[METERS.len() + at]);
        }
        let texts =
            |of: &dyn Fn(&Key) -> Option<&str>| Arc::new(self.keys.iter().map(of).collect::<StringArray>()) as ArrayRef;
        match ROLLUP_KEYS.iter().position(|key| key.name == name) {
            Some(0) => {
                let starts: TimestampMicrosecondArray = self.keys.iter().map(|key| Some(key.bucket_start)).collect();
                Arc::new(starts.with_timezone("UTC"))
            }
            Some(at @ 1..=4) => texts(&|key| key.who[at - 1].as_deref()),
            Some(at @ 5..=8) => texts(&|key| key.what[at - 5].as_deref()),
            Some(9) => texts(&|key| Some(key.operation)),
            _ => texts(&|key| Some(key.basis)),
        }
    }
}

/// Numbers that fit, as [`super::totals`] shows.
fn integers(values: &[i128]) -> ArrayRef {
    let known = |&value: &i128| if value == UNKNOWN { None } else { i64::try_from(value).ok() };
    Arc::new(values.iter().map(known).collect::<Int64Array>())
}

/// Amounts, NULL where they are [`UNKNOWN`].
fn decimals(values: &[i128]) -> ArrayRef {
    let known = |&value: &i128| (value != UNKNOWN).then_some(value);
    let array: Decimal128Array = values.iter().map(known).collect();
    Arc::new(array.with_precision_and_scale(38, 12).expect("the precision and scale of `DECIMAL(38,12)` are valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a quarter of an hour and a team: so many requests, and so much input.
    fn rolled(rows: &[(i64, Option<&str>, i64, i128)]) -> Rolled {
        let mut rolled = Rolled::default();
        for &(bucket, team, requests, input) in rows {
            rolled.keys.push(Key {
                bucket_start: bucket * BUCKET_MICROS,
                who: Arc::new([team.map(str::to_owned), None, None, None]),
                what: Arc::default(),
                operation: Operation::Chat.name(),
                basis: Basis::List.name(),
            });
            rolled.requests.push(requests);
            rolled.errors.push(0);
            rolled.sums.iter_mut().for_each(|sums| sums.push(UNKNOWN));
            *rolled.sums[0].last_mut().unwrap() = input;
        }
        rolled
    }

    fn shown(rolled: &Rolled) -> Vec<(i64, Option<&str>, i64, i128)> {
        let rows = rolled.keys.iter().zip(&rolled.requests).zip(&rolled.sums[0]);
        rows.map(|((key, &n), &input)| (key.bucket_start / BUCKET_MICROS, key.who[0].as_deref(), n, input)).collect()
    }

    #[test]
    fn the_last_quarter_of_an_hour_stays_open_for_the_next_slice() {
        let mut open = Rolled::default();
        let ready =
            open.take_next(rolled(&[(0, None, 1, 5), (1, Some("a"), 2, 7), (1, Some("c"), 1, UNKNOWN)])).unwrap();
        assert_eq!(shown(&ready), [(0, None, 1, 5)]);
        let next =
            [(1, None, 1, 1), (1, Some("a"), 1, 3), (1, Some("b"), 1, 2), (1, Some("c"), 1, UNKNOWN), (2, None, 4, 4)];
        let ready = open.take_next(rolled(&next)).unwrap();
        assert_eq!(
            shown(&ready),
            [(1, None, 1, 1), (1, Some("a"), 3, 10), (1, Some("b"), 1, 2), (1, Some("c"), 2, UNKNOWN)]
        );
        assert_eq!(shown(&open), [(2, None, 4, 4)]);
        let ready = open.take_next(Rolled::default()).unwrap();
        assert_eq!((shown(&ready), shown(&open)), (vec![], vec![(2, None, 4, 4)]));
    }

    #[test]
    fn a_slice_of_earlier_rows_is_refused() {
        let mut open = rolled(&[(3, None, 1, 1)]);
        let error = open.take_next(rolled(&[(2, None, 1, 1)])).unwrap_err().to_string();
        assert!(error.contains("not in the order of their time"), "{error}");
    }

    #[test]
    fn what_nobody_knows_stays_unknown() {
        let mut sum = UNKNOWN;
        add(&mut sum, UNKNOWN);
        assert_eq!(sum, UNKNOWN);
        add(&mut sum, 0);
        assert_eq!(sum, 0);
        add(&mut sum, UNKNOWN);
        assert_eq!(sum, 0);
    }
}
