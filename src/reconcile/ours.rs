//! What our logs show of a day: sums of `charges` by who bills, key, project,
//! model, tier and operation, and what of it would fall on another day if days
//! were counted otherwise.
//!
//! Polars adds up slices of a file, so that memory does not grow with the day;
//! `charges` has shown that no sum of a day overflows. What never reached the
//! provider is left out: answers from the gateway's own cache, what the gateway
//! blocked, and errors without usage.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;

use super::{
    ReconcileError,
    causes::{COMPARED, Ours, Paid, Sums},
};
use crate::{
    book::{Book, layout::DayTable},
    charges::{ChargesError, DayFile},
    pricing::Basis,
    record::{CostColumn, METERS, Quality, Status},
    time::Day,
};

/// What requests are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub provider: String,
    pub key: Option<String>,
    pub project: Option<String>,
    /// The price book's name.
    pub model: String,
    pub tier: Option<String>,
    pub operation: String,
}

/// What a group came to, and what of it may be counted elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub ours: Ours,
    /// Of requests that ended on the next day: who counts by the end has them there.
    pub into_next: Sums,
    /// Of requests that, if our time is that of their end, began on the day before.
    pub into_previous: Sums,
}

pub(super) type DaySums = BTreeMap<Group, Tally>;

/// The columns of charges that are needed, besides meters and costs.
const NEEDED: [&str; 13] = [
    "ts",
    "ts_last",
    "latency_ms",
    "provider",
    "key",
    "project",
    "model_billed",
    "tier",
    "operation",
    "status",
    "gateway_cache",
    "quality",
    "basis",
];

const COSTS: [(CostColumn, &str); 5] = [
    (CostColumn::Input, "input_cost"),
    (CostColumn::CachedInput, "cached_input_cost"),
    (CostColumn::CacheWrite, "cache_write_cost"),
    (CostColumn::Output, "output_cost"),
    (CostColumn::Other, "other_cost"),
];

const BY: [&str; 6] = ["provider", "key", "project", "model_billed", "tier", "operation"];

/// How long a request took, in microseconds, at most a day.
const TOOK: &str = "took";
const DAY_MICROS: i64 = 86_400_000_000;

/// The digest of a day's charges; empty where there are none.
pub(super) fn digest(book: &Book, day: Day) -> Result<String, ReconcileError> {
    let file = DayFile::open(book, DayTable::Charges, day)?;
    Ok(file.map_or_else(String::new, |file| file.digest().to_owned()))
}

/// Adds up a day, for these providers.
pub(super) fn read(book: &Book, day: Day, providers: &BTreeSet<String>) -> Result<DaySums, ReconcileError> {
    let mut sums = DaySums::new();
    let Some(file) = DayFile::open(book, DayTable::Charges, day)? else { return Ok(sums) };
    let failed = |source| ChargesError::Engine { path: file.path.clone(), source };
    let longest = longest(&file, providers)?;
    let mut columns: Vec<&str> = NEEDED.to_vec();
    columns.extend(METERS.iter().map(|info| info.column));
    columns.extend(COSTS.iter().map(|(_, column)| *column));
    columns.push("cost");
    for (start, length) in file.slices() {
        let frame = file.frame(&columns, start, length)?;
        let grouped = grouped(frame, day, providers, &longest).collect().map_err(failed)?;
        take(&grouped, &mut sums).map_err(failed)?;
    }
    Ok(sums)
}

/// Whether one of these bills for a request.
pub(super) fn is_of(providers: &BTreeSet<String>) -> Expr {
    let is = providers.iter().map(|name| col("provider").eq(lit(name.as_str()))).reduce(Expr::or);
    is.unwrap_or_else(|| lit(false))
}

fn uses_anything() -> Expr {
    let is_any = METERS.iter().map(|info| col(info.column).is_not_null()).reduce(Expr::or);
    is_any.unwrap_or_else(|| lit(false))
}

/// Whether a request reached the provider: neither from the gateway's own cache
/// nor blocked by it, nor an error without usage.
pub(super) fn reaches_provider() -> Expr {
    let is = |status: Status| col("status").eq(lit(status.name()));
    let failed = is(Status::Error).and(uses_anything().not());
    col("gateway_cache").not().and(is(Status::Blocked).not()).and(failed.not())
}

/// From what is known of a request itself: its latency, or its versions.
fn took() -> Expr {
    let latency = col("latency_ms").fill_null(lit(0_i64)).clip(lit(0_i64), lit(DAY_MICROS / 1000)) * lit(1000_i64);
    let versions = (col("ts_last").to_physical() - col("ts").to_physical()).clip(lit(0_i64), lit(DAY_MICROS));
    when(latency.clone().gt(versions.clone())).then(latency).otherwise(versions)
}

/// The longest request of each provider: as long may those have taken of which
/// nobody knows it.
fn longest(file: &DayFile, providers: &BTreeSet<String>) -> Result<BTreeMap<String, i64>, ReconcileError> {
    let failed = |source| ChargesError::Engine { path: file.path.clone(), source };
    let mut longest = BTreeMap::new();
    for (start, length) in file.slices() {
        let frame = file.frame(&["provider", "ts", "ts_last", "latency_ms"], start, length)?.lazy();
        let frame = frame.filter(is_of(providers)).group_by([col("provider")]).agg([took().max().alias(TOOK)]);
        let frame = frame.collect().map_err(failed)?;
        let columns = frame.column("provider").and_then(|it| it.str().cloned()).and_then(|provider| {
            let took = frame.column(TOOK)?.i64()?.clone();
            Ok((provider, took))
        });
        let (provider, took) = columns.map_err(failed)?;
        for (provider, took) in provider.iter().zip(took.iter()) {
            let longest: &mut i64 = longest.entry(provider.unwrap_or_default().to_owned()).or_default();
            *longest = (*longest).max(took.unwrap_or_default());
        }
    }
    Ok(longest)
}

/// Of which requests a sum is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Guessed,
    Priced,
    IntoNext,
    IntoPrevious,
}

impl Of {
    const ALL: [Self; 5] = [Self::All, Self::Guessed, Self::Priced, Self::IntoNext, Self::IntoPrevious];

    fn name(self, column: &str) -> String {
        format!("{self:?} {column}")
    }
}

const UNCLEAR: &str = "unclear";
const GUESSED: &str = "guessed";
const UNPRICED: &str = "unpriced";

fn grouped(frame: DataFrame, day: Day, providers: &BTreeSet<String>, longest: &BTreeMap<String, i64>) -> LazyFrame {
    let is_any = uses_anything();
    let is = |column: &str, name: &str| col(column).eq(lit(name));
    let by_provider = longest.iter().fold(lit(0_i64), |otherwise, (provider, took)| {
        when(is("provider", provider)).then(lit(*took)).otherwise(otherwise)
    });
    let known = took();
    let took = when(known.clone().gt(lit(0_i64))).then(known).otherwise(by_provider).alias(TOOK);
    let at = || col("ts").to_physical();
    let into_next = (at() + col(TOOK)).gt_eq(lit(day.end().micros()));
    let into_previous = (at() - col(TOOK)).lt(lit(day.start().micros()));
    let quality = |quality: Quality| is("quality", quality.name());
    let unclear = quality(Quality::Missing).or(quality(Quality::Partial)).or(is_any.clone().not());
    let guessed = quality(Quality::Estimated);
    let unpriced = is("basis", Basis::Unpriced.name()).and(is_any).and(unclear.clone().not());
    let count = |what: Expr| what.sum().cast(DataType::Int64);
    let of = |of: Of| match of {
        Of::All => None,
        Of::Guessed => Some(guessed.clone()),
        Of::Priced => Some(col("cost").is_not_null()),
        Of::IntoNext => Some(into_next.clone()),
        Of::IntoPrevious => Some(into_previous.clone()),
    };
    let requests = |which: Of| match of(which) {
        None => len().cast(DataType::Int64),
        Some(is_of) => count(is_of),
    };
    let sum = |column: &str, which: Of| match of(which) {
        None => col(column).sum(),
        Some(is_of) => col(column).filter(is_of).sum(),
    };
    let mut sums = vec![
        count(unclear.clone()).alias(UNCLEAR),
        count(guessed.clone()).alias(GUESSED),
        count(unpriced).alias(UNPRICED),
    ];
    for which in Of::ALL {
        sums.push(requests(which).alias(which.name("requests")));
        sums.extend(METERS.iter().map(|info| sum(info.column, which).alias(which.name(info.column))));
        sums.push(sum("cost", which).alias(which.name("cost")));
    }
    sums.extend(COSTS.map(|(_, column)| sum(column, Of::Priced).alias(Of::Priced.name(column))));
    frame.lazy().filter(is_of(providers).and(reaches_provider())).with_column(took).group_by(BY.map(col)).agg(sums)
}

fn take(grouped: &DataFrame, sums: &mut DaySums) -> PolarsResult<()> {
    let texts = BY.map(|name| grouped.column(name).and_then(|column| column.str().cloned()));
    let [provider, key, project, model, tier, operation] = texts;
    let (provider, key, project) = (provider?, key?, project?);
    let (model, tier, operation) = (model?, tier?, operation?);
    let numbers = |name: &str| -> PolarsResult<Vec<i128>> {
        let column = grouped.column(name)?.i64()?;
        Ok(column.iter().map(|number| i128::from(number.unwrap_or_default())).collect())
    };
    let amounts = |name: &str| -> PolarsResult<Vec<i128>> {
        Ok(grouped.column(name)?.decimal()?.physical().iter().map(Option::unwrap_or_default).collect())
    };
    let mut tallies = vec![Tally::default(); grouped.height()];
    for which in Of::ALL {
        let mut of: Vec<Sums> = vec![Sums::default(); grouped.height()];
        of.iter_mut().zip(numbers(&which.name("requests"))?).for_each(|(sum, count)| sum.requests = count);
        of.iter_mut().zip(amounts(&which.name("cost"))?).for_each(|(sum, cost)| sum.cost = cost);
        for info in &METERS {
            let at = info.meter.index();
            of.iter_mut().zip(numbers(&which.name(info.column))?).for_each(|(sum, it)| sum.quantities[at] = it);
        }
        for (tally, sum) in tallies.iter_mut().zip(of) {
            match which {
                Of::All => tally.ours.all = sum,
                Of::Guessed => tally.ours.guesses = sum.quantities,
                Of::Priced => tally.ours.paid = sum.quantities.map(|quantity| Paid { quantity, cost: 0 }),
                Of::IntoNext => tally.into_next = sum,
                Of::IntoPrevious => tally.into_previous = sum,
            }
        }
    }
    let (unclear, guessed, unpriced) = (numbers(UNCLEAR)?, numbers(GUESSED)?, numbers(UNPRICED)?);
    for (column, name) in COSTS {
        let costs = amounts(&Of::Priced.name(name))?;
        tallies.iter_mut().zip(costs).for_each(|(tally, cost)| pay(&mut tally.ours.paid, column, cost));
    }
    let own = |text: Option<&str>| text.map(str::to_owned);
    for (row, mut tally) in tallies.into_iter().enumerate() {
        let Ours { unclear: of_unclear, guessed: of_guessed, unpriced: of_unpriced, .. } = &mut tally.ours;
        (*of_unclear, *of_guessed, *of_unpriced) = (unclear[row], guessed[row], unpriced[row]);
        let group = Group {
            provider: provider.get(row).unwrap_or_default().to_owned(),
            key: own(key.get(row)),
            project: own(project.get(row)),
            model: model.get(row).unwrap_or_default().to_owned(),
            tier: own(tier.get(row)),
            operation: operation.get(row).unwrap_or_default().to_owned(),
        };
        sums.entry(group).or_default().add(&tally);
    }
    Ok(())
}

/// Says what the meters of a cost column were paid. Where several share one and
/// are in use, nobody knows which of them cost what.
fn pay(paid: &mut [Paid; COMPARED], column: CostColumn, cost: i128) {
    let meters: Vec<usize> =
        METERS.iter().filter(|info| info.cost_column == column).map(|info| info.meter.index()).collect();
    let used: Vec<usize> = meters.iter().copied().filter(|&at| paid[at].quantity > 0).collect();
    for at in meters {
        paid[at] = if used == [at] { Paid { cost, ..paid[at] } } else { Paid::default() };
    }
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.ours.add(&other.ours);
        self.into_next.add(&other.into_next);
        self.into_previous.add(&other.into_previous);
    }
}
