//! How a day that had been priced moved: by team and model, and the prices
//! behind it.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use serde::Serialize;

use super::{
    ChargesError,
    file::{self, DayFile},
};
use crate::{
    book::{Book, layout::DayTable},
    money::Usd,
    pricing::Basis,
    time::Day,
};

/// One team's use of one model on one day, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub day: String,
    pub team: Option<String>,
    pub model: String,
    pub before: Side,
    pub after: Side,
}

/// What was charged, and the prices that only this side has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    #[serde(serialize_with = "as_text")]
    pub cost: Usd,
    pub requests: u64,
    pub unpriced: u64,
    pub price_ids: Vec<String>,
}

fn as_text<S: serde::Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// What one team is charged for one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub cost: Usd,
    pub requests: u64,
    pub unpriced: u64,
    /// By fallback prices, and what of the cost that is.
    pub estimated: u64,
    pub estimated_cost: Usd,
    price_ids: BTreeSet<String>,
}

impl Sum {
    fn side(&self, other: &Self) -> Side {
        let price_ids = self.price_ids.difference(&other.price_ids).cloned().collect();
        Side { cost: self.cost, requests: self.requests, unpriced: self.unpriced, price_ids }
    }
}

/// The charges of a day by team and model.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<(Option<String>, String), Sum>);

impl Sums {
    /// Reads them, slice by slice; `None` where the day has no charges.
    pub(super) fn of(book: &Book, day: Day) -> Result<Option<Self>, ChargesError> {
        let Some(charges) = DayFile::open(book, DayTable::Charges, day)? else { return Ok(None) };
        let mut sums = Self::default();
        let mut start = 0;
        for group in charges.groups() {
            let frame = charges.frame(&["team", "model", "price_id", "cost", "basis"], start, file::rows(group))?;
            start += file::rows(group);
            let added = sums.add(frame);
            added.map_err(|source| ChargesError::Engine { path: charges.path.clone(), source })?;
        }
        Ok(Some(sums))
    }

    /// Adds another day; `None` where a sum would overflow.
    pub(super) fn merge(&mut self, other: Self) -> Option<()> {
        for (key, more) in other.0 {
            let sum = self.0.entry(key).or_default();
            sum.cost = sum.cost.checked_add(more.cost)?;
            sum.requests += more.requests;
            sum.unpriced += more.unpriced;
            sum.estimated += more.estimated;
            sum.estimated_cost = sum.estimated_cost.checked_add(more.estimated_cost)?;
        }
        Some(())
    }

    pub(super) fn into_inner(self) -> BTreeMap<(Option<String>, String), Sum> {
        self.0
    }

    fn add(&mut self, frame: DataFrame) -> PolarsResult<()> {
        let is_estimated = col("basis").eq(lit(Basis::Fallback.name()));
        let grouped = frame
            .lazy()
            .group_by([col("team"), col("model"), col("price_id")])
            .agg([
                col("cost").sum(),
                len().cast(DataType::Int64).alias("requests"),
                col("cost").null_count().cast(DataType::Int64).alias("unpriced"),
                is_estimated.clone().sum().cast(DataType::Int64).alias("estimated"),
                col("cost").filter(is_estimated).sum().alias("estimated_cost"),
            ])
            .collect()?;
        let text = |name: &str| grouped.column(name)?.str();
        let number = |name: &str| grouped.column(name)?.i64();
        let count = |number: Option<i64>| u64::try_from(number.unwrap_or_default()).unwrap_or_default();
        let names = text("team")?.iter().zip(text("model")?.iter()).zip(text("price_id")?.iter());
        let amounts = |name: &str| grouped.column(name).and_then(|column| Ok(column.decimal()?.physical()));
        let costs = amounts("cost")?.iter().zip(amounts("estimated_cost")?.iter());
        let numbers = number("requests")?.iter().zip(number("unpriced")?.iter()).zip(number("estimated")?.iter());
        for ((((team, model), price_id), (cost, of_it)), ((requests, unpriced), estimated)) in
            names.zip(costs).zip(numbers)
        {
            let key = (team.map(str::to_owned), model.unwrap_or_default().to_owned());
            let sum = self.0.entry(key).or_default();
            let add = |sum: Usd, more: Option<i128>| {
                let sum = Usd::from_pico(more.unwrap_or_default()).and_then(|more| sum.checked_add(more));
                sum.ok_or_else(|| polars_err!(ComputeError: "the costs add up to more than a table can hold"))
            };
            sum.cost = add(sum.cost, cost)?;
            sum.estimated_cost = add(sum.estimated_cost, of_it)?;
            sum.estimated += count(estimated);
            sum.requests += count(requests);
            sum.unpriced += count(unpriced);
            sum.price_ids.extend(price_id.map(str::to_owned));
        }
        Ok(())
    }

    /// What moved.
    pub(super) fn changes(&self, after: &Self, day: Day) -> Vec<Change> {
        let none = Sum::default();
        let keys: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let mut changes = Vec::new();
        for key in keys {
            let [before, after] = [&self.0, &after.0].map(|sums| sums.get(key).unwrap_or(&none));
            if before != after {
                let (team, model) = key.clone();
                let (before, after) = (before.side(after), after.side(before));
                changes.push(Change { day: day.to_string(), team, model, before, after });
            }
        }
        changes
    }
}
