//! What check sources saw of a day: sums of `checks`, as claims of the same
//! shape as what providers tell, but for money, as nobody prices them.
//!
//! A request that two check sources saw is one row, under the name of one of
//! them. So all that was seen of a provider is one claim, under the names of all
//! sources that have rows in it. A day that is not over is told as open.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;

use super::{ReconcileError, claims::Claim, ours};
use crate::{
    book::{Book, layout::DayTable},
    charges::{ChargesError, DayFile},
    record::{METERS, Quality, Quantities},
    time::{Day, Instant},
    totals::TotalRow,
};

/// What rows of a claim are told apart by, after provider and source.
type Names = [Option<String>; 4];

const BY: [&str; 6] = ["provider", "source", "key", "project", "model", "tier"];
const NEEDED: [&str; 10] =
    ["ts", "provider", "source", "key", "project", "model", "tier", "status", "gateway_cache", "quality"];

const REQUESTS: &str = "requests";
const LAST: &str = "last";
const GUESSED: &str = "guessed";

/// The sums of a group.
#[derive(Debug, Clone, Default)]
struct Sum {
    requests: i64,
    quantities: [Option<i128>; METERS.len()],
    is_guessed: bool,
}

/// What was seen of a provider.
#[derive(Debug, Default)]
struct Seen {
    sources: BTreeSet<String>,
    last: Option<Instant>,
    sums: BTreeMap<Names, Sum>,
}

/// The digest of what check sources saw of a day; empty where that is nothing.
pub(super) fn digest(book: &Book, day: Day) -> Result<String, ReconcileError> {
    let file = DayFile::open(book, DayTable::Checks, day)?;
    Ok(file.map_or_else(String::new, |file| file.digest().to_owned()))
}

/// Whether nobody can have seen all of a day yet.
pub(super) fn is_open(day: Day, now: Instant) -> bool {
    now < day.end()
}

/// What check sources saw of a day, by provider.
pub(super) fn claims(book: &Book, day: Day, now: Instant) -> Result<Vec<Claim>, ReconcileError> {
    let Some(file) = DayFile::open(book, DayTable::Checks, day)? else { return Ok(Vec::new()) };
    let failed = |source| ChargesError::Engine { path: file.path.clone(), source };
    let mut columns: Vec<&str> = NEEDED.to_vec();
    columns.extend(METERS.iter().map(|info| info.column));
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    for (start, length) in file.slices() {
        let frame = file.frame(&columns, start, length)?;
        let grouped = grouped(frame).collect().map_err(failed)?;
        take(&grouped, &mut all).map_err(failed)?;
    }
    let claims = all.into_iter().map(|(provider, seen)| seen.claim(&provider, day, now));
    Ok(claims.collect::<Result<_, ChargesError>>()?)
}

fn grouped(frame: DataFrame) -> LazyFrame {
    // Nothing has shown that these sums fit into 64 bits.
    let wide = |column: &str| col(column).cast(DataType::Decimal(38, 0)).sum();
    let mut sums = vec![
        len().cast(DataType::Int64).alias(REQUESTS),
        col("ts").to_physical().max().alias(LAST),
        col("quality").eq(lit(Quality::Estimated.name())).any(true).alias(GUESSED),
    ];
    for info in &METERS {
        sums.push(wide(info.column).alias(info.column));
        sums.push(col(info.column).count().cast(DataType::Int64).alias(told(info.column)));
    }
    frame.lazy().filter(ours::reaches_provider()).group_by(BY.map(col)).agg(sums)
}

/// How many rows of a group tell a quantity: a sum over none is not 0.
fn told(column: &str) -> String {
    format!("told {column}")
}

fn take(grouped: &DataFrame, all: &mut BTreeMap<String, Seen>) -> PolarsResult<()> {
    let text = |name: &str| grouped.column(name).and_then(|column| column.str().cloned());
    let number = |name: &str| grouped.column(name).and_then(|column| column.i64().cloned());
    let (provider, source) = (text("provider")?, text("source")?);
    let names = [text("key")?, text("project")?, text("model")?, text("tier")?];
    let (requests, last, guessed) = (number(REQUESTS)?, number(LAST)?, grouped.column(GUESSED)?.bool()?);
    let mut quantities = Vec::new();
    for info in &METERS {
        quantities.push((grouped.column(info.column)?.decimal()?.physical().clone(), number(&told(info.column))?));
    }
    for row in 0..grouped.height() {
        let seen = all.entry(provider.get(row).unwrap_or_default().to_owned()).or_default();
        seen.sources.extend(source.get(row).map(str::to_owned));
        seen.last = seen.last.max(last.get(row).map(Instant::from_micros));
        let sum = seen.sums.entry(names.each_ref().map(|texts| texts.get(row).map(str::to_owned))).or_default();
        sum.requests += requests.get(row).unwrap_or_default();
        sum.is_guessed |= guessed.get(row).unwrap_or_default();
        for (sum, (quantity, told)) in sum.quantities.iter_mut().zip(&quantities) {
            let more = quantity.get(row).filter(|_| told.get(row).is_some_and(|told| told > 0));
            *sum = sum.map_or(more, |sum| Some(sum + more.unwrap_or_default()));
        }
    }
    Ok(())
}

impl Seen {
    fn claim(self, provider: &str, day: Day, now: Instant) -> Result<Claim, ChargesError> {
        let source = self.sources.into_iter().collect::<Vec<_>>().join(" + ");
        let mut rows = Vec::new();
        for ([key, project, model, tier], sum) in self.sums {
            let mut quantities = Quantities::default();
            for (info, sum) in METERS.iter().zip(sum.quantities) {
                let too_much = |_| ChargesError::TooMuch { day, column: info.column };
                quantities[info.meter] = sum.map(i64::try_from).transpose().map_err(too_much)?;
            }
            rows.push(TotalRow {
                covers_until: self.last.filter(|_| is_open(day, now)),
                key,
                project,
                model,
                tier,
                requests: Some(sum.requests),
                quantities,
                quality: if sum.is_guessed { Quality::Estimated } else { Quality::Reported },
                ..TotalRow::about(&source, provider, day.start(), day.end())
            });
        }
        Ok(Claim::seen(&source, provider, rows))
    }
}
