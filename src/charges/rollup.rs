//! Totals of every quarter of an hour, by everything that a report groups by.
//!
//! Who pays and what was used are few, and so are the prices of a slice: each
//! gets a number, in the order of its names, and a row's numbers packed into
//! one are its group and its place in the file. Sums are made in integers, which
//! [`super::totals`] shows to be enough; a sum of nothing but NULL is NULL, never
//! 0. Slices of a day come together in [`super::quarters`].

use std::sync::LazyLock;

use polars::prelude::*;

use super::{
    price::{NOTHING, Priced, UNKNOWN, Used},
    quarters::{Key, Table, add},
    slice::{Applied, Applying, Numbered},
    texts::{Numbering, Texts},
};
use crate::{
    pricing::{Ask, Basis, Stretch},
    record::{Meter, Operation, Status},
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
pub(super) type FourNames = [Option<String>; 4];

/// How many bits of a group each of its numbers has, from the last to the first.
mod bits {
    pub(super) const BASIS: u32 = 3;
    pub(super) const OPERATION: u32 = 4;
    pub(super) const NAMES: u32 = 24;
}

const _: () = assert!(ALL_BASES.len() <= 1 << bits::BASIS && Operation::ALL.len() <= 1 << bits::OPERATION);

/// The totals of a slice.
#[derive(Debug, Default)]
pub(super) struct Rolled {
    /// What the numbers of its keys stand for.
    pub who: Vec<FourNames>,
    pub what: Vec<FourNames>,
    pub rows: Table,
}

/// The names of operations and of bases, in their order: that of the table.
pub(super) static OPERATIONS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| sorted(Operation::ALL.iter().map(|operation| operation.name())));
pub(super) static BASES: LazyLock<Vec<&'static str>> = LazyLock::new(|| sorted(ALL_BASES.into_iter().map(Basis::name)));

const ALL_BASES: [Basis; 5] = [Basis::Free, Basis::Contract, Basis::List, Basis::Fallback, Basis::Unpriced];

fn sorted(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

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
        let keys = sorted.into_iter().map(|(group, _)| key(group, self.day)).collect();
        let rows = self.added(keys, &places);
        Ok(Rolled { who: names.who.all, what: names.what.all, rows })
    }

    /// Of each row, its numbers in one.
    fn groups(&self, names: &Names) -> PolarsResult<Vec<u64>> {
        let bases: Vec<u64> =
            self.priced.labels.iter().map(|label| place(&BASES, &label.basis.name()) as u64).collect();
        let operation = Texts::of(self.frame, "operation")?;
        let known = |name: Option<&str>| name.and_then(Operation::from_name).unwrap_or(Operation::Other);
        let operations: Vec<u64> =
            operation.all.iter().map(|name| place(&OPERATIONS, &known(*name).name()) as u64).collect();
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
    fn added(&self, keys: Vec<Key>, places: &[usize]) -> Table {
        let nothing = || vec![0_i64; keys.len()];
        let (mut requests, mut errors) = (nothing(), nothing());
        for (&place, status) in places.iter().zip(self.used.statuses()) {
            requests[place] += 1;
            errors[place] += i64::from(*status == Status::Error);
        }
        let mut quantities: [Vec<i64>; Meter::COUNT] = std::array::from_fn(|_| vec![NOTHING; keys.len()]);
        for (meter, column) in self.used.meters() {
            let sums = &mut quantities[meter.index()];
            for (&place, &quantity) in places.iter().zip(column) {
                add(&mut sums[place], quantity, NOTHING);
            }
        }
        let of_column = |amounts: &Vec<i128>| {
            let mut sums = vec![UNKNOWN; keys.len()];
            for (&place, &amount) in places.iter().zip(amounts) {
                add(&mut sums[place], amount, UNKNOWN);
            }
            sums
        };
        let of_column: Vec<Vec<i128>> = self.priced.columns.iter().map(of_column).collect();
        let amounts = self.priced.place.map(|column| of_column[column].clone());
        Table { keys, requests, errors, quantities, amounts }
    }
}

/// The names of a slice: what its rows' numbers stand for.
#[derive(Debug)]
struct Names {
    who: Sorted,
    what: Sorted,
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
        Ok(Self { who: Sorted::of(owners.iter().map(who))?, what: Sorted::of(stretches.iter().map(what))? })
    }
}

/// What a row's numbers in one were made from.
fn key(mut group: u64, day: Day) -> Key {
    let mut take = |bits: u32| {
        let value = group & ((1 << bits) - 1);
        group >>= bits;
        u32::try_from(value).unwrap_or_default()
    };
    let (basis, operation) = (take(bits::BASIS), take(bits::OPERATION));
    let (what, who) = (take(bits::NAMES), take(bits::NAMES));
    let bucket_start = day.start().micros() + i64::try_from(group).unwrap_or_default() * BUCKET_MICROS;
    Key { bucket_start, who, what, operation, basis }
}

/// Names, each once, and in their order.
#[derive(Debug)]
struct Sorted {
    all: Vec<FourNames>,
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
        Ok(Self { place: given.iter().map(|names| place(&all, names) as u64).collect(), all })
    }
}

/// Where something is that is there.
fn place<T: Ord>(sorted: &[T], wanted: &T) -> usize {
    sorted.binary_search(wanted).expect("what is looked for is among what was sorted")
}
