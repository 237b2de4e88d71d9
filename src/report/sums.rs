//! Sums of `rollup` or `charges` by some of their columns, over the days that a
//! stretch of time needs.
//!
//! Days are read on every core, each on its own, and every addition is checked. A
//! cost that is not known adds nothing, and its requests are counted as unpriced.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, Decimal128Array, Int64Array};

use super::{
    ReportError,
    numbers::{ByNumbers, Ids, Names as Numbered},
};
use crate::{
    audit::{AuditError, Columns, DayFile, Words},
    book::{Book, layout::DayTable},
    budgets::SpendRow,
    money::Usd,
    pricing::Basis,
    teams::Registry,
    threads::parts_on_every_core,
    time::{Day, Instant},
};

/// What requests come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub requests: i64,
    pub unpriced: i64,
    pub estimated: i64,
    /// What is known of it.
    pub cost: Usd,
    pub estimated_cost: Usd,
}

impl Sum {
    /// `None` where it would not fit.
    pub(crate) fn add(&mut self, other: &Self) -> Option<()> {
        self.requests = self.requests.saturating_add(other.requests);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.cost = self.cost.checked_add(other.cost)?;
        self.estimated_cost = self.estimated_cost.checked_add(other.estimated_cost)?;
        Some(())
    }
}

/// Of which table, over what time, and by which columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'q> {
    /// `Rollup` or `Charges`.
    pub table: DayTable,
    /// Columns of text, at least one and at most [`MOST_COLUMNS`].
    pub by: &'q [By],
    pub from: Instant,
    pub until: Instant,
}

/// A column to tell sums apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    Each(&'static str),
    /// Only these values; all others are one, without a name. A year of totals
    /// has many keys, and few of them a budget.
    Only(&'static str, BTreeSet<String>),
}

impl By {
    pub(crate) fn columns(columns: &[&'static str]) -> Vec<Self> {
        columns.iter().copied().map(Self::Each).collect()
    }

    const fn column(&self) -> &'static str {
        match self {
            Self::Each(column) | Self::Only(column, _) => column,
        }
    }

    /// The name that a row with this one is summed up under.
    fn name<'n>(&self, name: Option<&'n str>) -> Option<&'n str> {
        match self {
            Self::Each(_) => name,
            Self::Only(_, wanted) => name.filter(|name| wanted.contains(*name)),
        }
    }
}

/// Values of the columns that were asked by, in their order.
pub(crate) type Names = Vec<Option<String>>;

/// The sums of a stretch of time.
pub(crate) fn of(book: &Book, query: Query<'_>) -> Result<BTreeMap<Names, Sum>, ReportError> {
    let add = |sums: &mut BTreeMap<Names, Sum>, names, sum: &Sum| sums.entry(names).or_default().add(sum);
    let parts = each(book, query, false, |sums, _, names, sum| add(sums, names, &sum))?;
    let mut sums = BTreeMap::new();
    for (names, sum) in parts.into_iter().flatten() {
        add(&mut sums, names, &sum).ok_or_else(|| query.too_much())?;
    }
    Ok(sums)
}

/// A quarter of an hour of a group.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    at: Instant,
    names: Names,
    sum: Sum,
}

/// The sums of each quarter of an hour, from `rollup`.
pub(super) fn buckets(book: &Book, by: &[By], from: Instant, until: Instant) -> Result<Vec<Bucket>, ReportError> {
    let query = Query { table: DayTable::Rollup, by, from, until };
    let parts = each(book, query, true, |buckets: &mut Vec<Bucket>, at, names, sum| {
        buckets.push(Bucket { at, names, sum });
        Some(())
    })?;
    Ok(parts.into_iter().flatten().collect())
}

/// As a ledger takes them: the names are a team, a key and a model, as far as
/// there are so many. Keys get the names under which they are registered, teams
/// those that they have now.
pub(super) fn spend_rows<'n>(buckets: &'n [Bucket], registry: &Registry<'n>) -> Vec<SpendRow<'n>> {
    buckets.iter().map(|Bucket { at, names, sum }| spend_row(*at, names, sum, registry)).collect()
}

/// The same of one sum, at an instant in its time.
pub(super) fn spend_row<'n>(at: Instant, names: &'n Names, sum: &Sum, registry: &Registry<'n>) -> SpendRow<'n> {
    let name = |place: usize| names.get(place).and_then(Option::as_deref);
    SpendRow {
        bucket: at,
        team: name(0).map(|team| registry.team_name(team)),
        key: name(1).map(|key| registry.key_name(key, at)),
        model: name(2).unwrap_or_default(),
        requests: sum.requests,
        unpriced_requests: sum.unpriced,
        estimated_requests: sum.estimated,
        cost: sum.cost,
        estimated_cost: sum.estimated_cost,
        is_unlogged: false,
    }
}

impl Query<'_> {
    fn too_much(&self) -> ReportError {
        let (from, until) = (self.from.to_string(), self.until.to_string());
        ReportError::TooMuch { table: self.table.name(), from, until }
    }

    /// The columns that are added up, after that of the time.
    fn needed(&self) -> &'static [&'static str] {
        match self.table {
            DayTable::Rollup => {
                &["bucket_start", "requests", "unpriced_requests", "estimated_requests", "cost", "estimated_cost"]
            }
            _ => &["ts", "basis", "cost"],
        }
    }
}

/// Takes every group of every day, a part of the days on each core; `take` is
/// `None` where a sum would not fit.
fn each<T: Default + Send>(
    book: &Book,
    query: Query<'_>,
    is_by_time: bool,
    take: impl Fn(&mut T, Instant, Names, Sum) -> Option<()> + Sync,
) -> Result<Vec<T>, ReportError> {
    assert!(query.by.len() <= MOST_COLUMNS, "sums by {} columns", query.by.len());
    if query.until <= query.from {
        return Ok(Vec::new());
    }
    let span = query.from.day()..=query.until.plus_micros(-1).day();
    let days: Vec<Day> = book.days(query.table)?.into_iter().filter(|day| span.contains(day)).collect();
    let columns: Vec<&str> = query.by.iter().map(By::column).chain(query.needed().iter().copied()).collect();
    parts_on_every_core(&days, |&day, part| {
        let Some(file) = DayFile::open(book, query.table, day)? else { return Ok(()) };
        let (mut groups, mut fits) = (Groups::default(), true);
        file.batches(&columns, Some(query.from), |columns| {
            fits &= groups.add(columns, query, is_by_time)?.is_some();
            Ok(())
        })?;
        let mut groups = groups.named(query);
        let taken = groups.try_for_each(|(at, names, sum)| take(part, at, names, sum));
        taken.filter(|()| fits).ok_or_else(|| query.too_much())
    })
}

/// By how many columns there can be sums.
const MOST_COLUMNS: usize = 4;

/// The number of each name of a group, and of its time.
type Numbers = [u32; MOST_COLUMNS + 1];

const TIME: usize = MOST_COLUMNS;

/// The groups of a day.
#[derive(Default)]
struct Groups {
    names: [Numbered<Option<String>>; MOST_COLUMNS],
    times: Numbered<i64>,
    sums: ByNumbers<Numbers, Sum>,
}

impl Groups {
    /// Adds a batch; `Ok(None)` where a sum would not fit.
    fn add(&mut self, columns: &Columns<'_>, query: Query<'_>, is_by_time: bool) -> Result<Option<()>, AuditError> {
        let Self { names, times, sums } = self;
        let at = columns.instants(query.needed()[0])?;
        let mut ids = Vec::with_capacity(query.by.len());
        for (by, names) in query.by.iter().zip(names) {
            let words = columns.words(by.column())?;
            ids.push(Ids::of(words, |name| names.id(by.name(name).map(str::to_owned))));
        }
        let rows = Rows::of(columns, query.table)?;
        let mut last = None;
        for row in 0..columns.rows() {
            let micros = at.value(row);
            if micros < query.from.micros() || micros >= query.until.micros() {
                continue;
            }
            let mut numbers = Numbers::default();
            for (ids, number) in ids.iter().zip(&mut numbers) {
                *number = ids.get(row);
            }
            if is_by_time {
                // Rows of one time stand together.
                let known = last.filter(|(known, _)| *known == micros);
                numbers[TIME] = known.map_or_else(|| times.id(micros), |(_, number)| number);
                last = Some((micros, numbers[TIME]));
            }
            let Some(sum) = rows.sum(row) else { return Ok(None) };
            if sums.entry(numbers).or_default().add(&sum).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Each with its time, where they are told apart by it, and its names.
    fn named(self, query: Query<'_>) -> impl Iterator<Item = (Instant, Names, Sum)> {
        let Self { names, times, sums } = self;
        sums.into_iter().map(move |(numbers, sum)| {
            let at = times.list().get(numbers[TIME] as usize).map_or(query.from, |&at| Instant::from_micros(at));
            let named = names.iter().zip(numbers).take(query.by.len());
            (at, named.map(|(names, number)| names.get(number).clone()).collect(), sum)
        })
    }
}

/// The columns of a batch that are added up.
enum Rows<'b> {
    Totals { counts: [&'b Int64Array; 3], cost: &'b Decimal128Array, estimated_cost: &'b Decimal128Array },
    Charges { basis: Words<'b>, kinds: Vec<Option<Basis>>, cost: &'b Decimal128Array },
}

impl<'b> Rows<'b> {
    fn of(columns: &Columns<'b>, table: DayTable) -> Result<Self, AuditError> {
        let cost = columns.amounts("cost")?;
        if table == DayTable::Rollup {
            let count = |name| columns.numbers(name);
            let counts = [count("requests")?, count("unpriced_requests")?, count("estimated_requests")?];
            return Ok(Self::Totals { counts, cost, estimated_cost: columns.amounts("estimated_cost")? });
        }
        let basis = columns.words("basis")?;
        let told_apart = |name| [Basis::Unpriced, Basis::Fallback].into_iter().find(|basis| basis.name() == name);
        let kinds = basis.values().map(told_apart).collect();
        Ok(Self::Charges { basis, kinds, cost })
    }

    /// `None` where a cost is none that there can be.
    fn sum(&self, row: usize) -> Option<Sum> {
        let usd = |column: &Decimal128Array| {
            if column.is_valid(row) { Usd::from_pico(column.value(row)) } else { Some(Usd::ZERO) }
        };
        Some(match self {
            Self::Totals { counts, cost, estimated_cost } => {
                let [requests, unpriced, estimated] =
                    counts.map(|count| if count.is_valid(row) { count.value(row) } else { 0 });
                Sum { requests, unpriced, estimated, cost: usd(cost)?, estimated_cost: usd(estimated_cost)? }
            }
            Self::Charges { basis, kinds, cost } => {
                let (kind, cost) = (basis.place(row).and_then(|place| kinds[place]), usd(cost)?);
                let is = |wanted: Basis| kind == Some(wanted);
                Sum {
                    requests: 1,
                    unpriced: i64::from(is(Basis::Unpriced)),
                    estimated: i64::from(is(Basis::Fallback)),
                    cost,
                    estimated_cost: if is(Basis::Fallback) { cost } else { Usd::ZERO },
                }
            }
        })
    }
}
