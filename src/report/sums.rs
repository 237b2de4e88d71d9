//! Sums of `rollup` or `charges` by some of their columns, over the days that a
//! stretch of time needs.
//!
//! Polars adds up within a day, of which `charges` has shown that no sum can
//! overflow; days are added here, checked. A cost that is not known adds
//! nothing, and its requests are counted as unpriced.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;

use super::ReportError;
use crate::{
    book::{Book, layout::DayTable},
    budgets::SpendRow,
    charges::{ChargesError, DayFile},
    money::Usd,
    pricing::Basis,
    teams::Registry,
    time::Instant,
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
    /// Columns of text, at least one.
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

    fn expression(&self) -> Expr {
        match self {
            Self::Each(column) => col(*column),
            Self::Only(column, wanted) => {
                let is_any = wanted.iter().map(|value| col(*column).eq(lit(value.as_str()))).reduce(Expr::or);
                let is_any = is_any.unwrap_or_else(|| lit(false));
                when(is_any).then(col(*column)).otherwise(lit(NULL).cast(DataType::String)).alias(*column)
            }
        }
    }
}

/// Values of the columns that were asked by, in their order.
pub(crate) type Names = Vec<Option<String>>;

/// The sums of a stretch of time.
pub(crate) fn of(book: &Book, query: Query<'_>) -> Result<BTreeMap<Names, Sum>, ReportError> {
    let mut sums: BTreeMap<Names, Sum> = BTreeMap::new();
    each(book, query, false, |_, names, sum| sums.entry(names).or_default().add(&sum))?;
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
    let mut buckets = Vec::new();
    let query = Query { table: DayTable::Rollup, by, from, until };
    each(book, query, true, |at, names, sum| {
        buckets.push(Bucket { at, names, sum });
        Some(())
    })?;
    Ok(buckets)
}

/// As a ledger takes them: the names are a team, a key and a model, as far as
/// there are so many. Keys get the names under which they are registered.
pub(super) fn spend_rows<'n>(buckets: &'n [Bucket], registry: &Registry<'n>) -> Vec<SpendRow<'n>> {
    buckets.iter().map(|Bucket { at, names, sum }| spend_row(*at, names, sum, registry)).collect()
}

/// The same of one sum, at an instant in its time.
pub(super) fn spend_row<'n>(at: Instant, names: &'n Names, sum: &Sum, registry: &Registry<'n>) -> SpendRow<'n> {
    let name = |place: usize| names.get(place).and_then(Option::as_deref);
    SpendRow {
        bucket: at,
        team: name(0),
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

/// Gives every group of every day; `take` is `None` where a sum would not fit.
fn each(
    book: &Book,
    query: Query<'_>,
    is_by_time: bool,
    mut take: impl FnMut(Instant, Names, Sum) -> Option<()>,
) -> Result<(), ReportError> {
    let Query { table, by, from, until } = query;
    if until <= from {
        return Ok(());
    }
    let days = from.day()..=until.plus_micros(-1).day();
    let mut columns: Vec<&str> = by.iter().map(By::column).collect();
    columns.extend(needed(table));
    for day in book.days(table)?.into_iter().filter(|day| days.contains(day)) {
        let Some(file) = DayFile::open(book, table, day)? else { continue };
        for (start, length) in file.slices() {
            let frame = file.frame(&columns, start, length)?;
            let groups = grouped(frame, query, is_by_time).and_then(|grouped| groups(&grouped, by, is_by_time));
            let groups = groups.map_err(|source| ChargesError::Engine { path: file.path.clone(), source })?;
            for (at, names, sum) in groups {
                take(at.unwrap_or(from), names, sum).ok_or_else(|| ReportError::TooMuch {
                    table: table.name(),
                    from: from.to_string(),
                    until: until.to_string(),
                })?;
            }
        }
    }
    Ok(())
}

/// The columns that are added up, after that of the time.
fn needed(table: DayTable) -> &'static [&'static str] {
    match table {
        DayTable::Rollup => {
            &["bucket_start", "requests", "unpriced_requests", "estimated_requests", "cost", "estimated_cost"]
        }
        _ => &["ts", "basis", "cost"],
    }
}

const AT: &str = "at";

fn grouped(frame: DataFrame, query: Query<'_>, is_by_time: bool) -> PolarsResult<DataFrame> {
    let at = col(needed(query.table)[0]).to_physical().alias(AT);
    let is_meant = col(AT).gt_eq(lit(query.from.micros())).and(col(AT).lt(lit(query.until.micros())));
    let mut keys: Vec<Expr> = query.by.iter().map(By::expression).collect();
    if is_by_time {
        keys.push(col(AT));
    }
    let sum = |name: &str, of: &str| col(of).sum().alias(name);
    let has = |basis: Basis| col("basis").eq(lit(basis.name()));
    let count = |name: &str, what: Expr| what.sum().cast(DataType::Int64).alias(name);
    let sums = match query.table {
        DayTable::Rollup => vec![
            sum("n", "requests"),
            sum("unpriced", "unpriced_requests"),
            sum("estimated", "estimated_requests"),
            sum("known", "cost"),
            sum("guessed", "estimated_cost"),
        ],
        _ => vec![
            len().cast(DataType::Int64).alias("n"),
            count("unpriced", has(Basis::Unpriced)),
            count("estimated", has(Basis::Fallback)),
            sum("known", "cost"),
            col("cost").filter(has(Basis::Fallback)).sum().alias("guessed"),
        ],
    };
    frame.lazy().with_column(at).filter(is_meant).group_by(keys).agg(sums).collect()
}

type Group = (Option<Instant>, Names, Sum);

fn groups(grouped: &DataFrame, by: &[By], is_by_time: bool) -> PolarsResult<Vec<Group>> {
    let numbers = |name: &str| -> PolarsResult<Vec<i64>> {
        Ok(grouped.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect())
    };
    let amounts = |name: &str| -> PolarsResult<Vec<Usd>> {
        let column = grouped.column(name)?;
        let usd = |pico: Option<i128>| Usd::from_pico(pico.unwrap_or_default()).unwrap_or_default();
        Ok(column.decimal()?.physical().iter().map(usd).collect())
    };
    let at: Option<Vec<i64>> = if is_by_time { Some(numbers(AT)?) } else { None };
    let texts: Vec<&StringChunked> =
        by.iter().map(|by| grouped.column(by.column())?.str()).collect::<PolarsResult<_>>()?;
    let (requests, unpriced, estimated) = (numbers("n")?, numbers("unpriced")?, numbers("estimated")?);
    let (cost, estimated_cost) = (amounts("known")?, amounts("guessed")?);
    let group = |row: usize| {
        let sum = Sum {
            requests: requests[row],
            unpriced: unpriced[row],
            estimated: estimated[row],
            cost: cost[row],
            estimated_cost: estimated_cost[row],
        };
        let names = texts.iter().map(|column| column.get(row).map(str::to_owned)).collect();
        (at.as_ref().map(|at| Instant::from_micros(at[row])), names, sum)
    };
    Ok((0..grouped.height()).map(group).collect())
}
