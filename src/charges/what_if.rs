//! The same usage at other prices, models or tiers: through the same code, into
//! a place that is thrown away.

use std::collections::BTreeMap;

use super::{
    Books, ChargesError, Options, Watch,
    compare::{Sum, Sums},
    price,
    slice::{Instead, Rules},
};
use crate::{
    book::{Book, layout::DayTable},
    config::Config,
    money::Usd,
    pricing::PriceBook,
    teams::Registry,
};

/// What is asked to be otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Otherwise<'a> {
    pub prices: &'a PriceBook,
    /// A model in use, by its name in the price book or as served, and the one
    /// whose prices are taken for it.
    pub model: Option<(&'a str, &'a str)>,
    pub tier: Option<&'a str>,
    /// Only this team's requests.
    pub team: Option<&'a str>,
}

/// What one team's use of one model costs, and would cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub requests: u64,
    pub now: Usd,
    pub then: Usd,
    /// Requests without a price, which neither sum holds.
    pub unpriced_now: u64,
    pub unpriced_then: u64,
    pub estimated_now: Estimated,
    pub estimated_then: Estimated,
}

/// What of a sum is by fallback prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimated {
    pub requests: u64,
    pub cost: Usd,
}

impl Estimated {
    fn add(self, other: Self) -> Option<Self> {
        Some(Self { requests: self.requests + other.requests, cost: self.cost.checked_add(other.cost)? })
    }
}

impl Difference {
    /// Adds another one; `None` where a sum would overflow.
    fn add(&mut self, other: &Self) -> Option<()> {
        self.now = self.now.checked_add(other.now)?;
        self.then = self.then.checked_add(other.then)?;
        self.requests += other.requests;
        self.unpriced_now += other.unpriced_now;
        self.unpriced_then += other.unpriced_then;
        self.estimated_now = self.estimated_now.add(other.estimated_now)?;
        self.estimated_then = self.estimated_then.add(other.estimated_then)?;
        Some(())
    }
}

/// The same usage twice.
#[derive(Debug, Default)]
pub struct WhatIf {
    /// By team and model; the team is `None` where nobody's.
    pub by_team_and_model: BTreeMap<(Option<String>, String), Difference>,
    pub total: Difference,
}

/// Prices the usage of the wanted days twice.
///
/// # Errors
/// Where a book cannot be read, or a day cannot be priced.
pub fn what_if(
    config: &Config,
    prices: &PriceBook,
    otherwise: Otherwise<'_>,
    usage: &Book,
    options: &Options,
    watch: &dyn Watch,
) -> Result<WhatIf, ChargesError> {
    let registry = Registry::new(config);
    let instead = Instead { model: otherwise.model, tier: otherwise.tier };
    let now = Rules { prices, registry: &registry, known_on: options.known_on, instead: Instead::default() };
    let then = Rules { prices: otherwise.prices, instead, ..now };
    let mut result = WhatIf::default();
    for (rules, is_now) in [(now, true), (then, false)] {
        for (key, sum) in sums(rules, usage, options, watch)? {
            if otherwise.team.is_some_and(|team| key.0.as_deref() != Some(team)) {
                continue;
            }
            let difference = result.by_team_and_model.entry(key).or_default();
            let estimated = Estimated { requests: sum.estimated, cost: sum.estimated_cost };
            if is_now {
                difference.estimated_now = estimated;
                (difference.requests, difference.now, difference.unpriced_now) = (sum.requests, sum.cost, sum.unpriced);
            } else {
                difference.estimated_then = estimated;
                (difference.then, difference.unpriced_then) = (sum.cost, sum.unpriced);
            }
        }
    }
    for difference in result.by_team_and_model.values() {
        result.total.add(difference).ok_or(ChargesError::TooMuchInAll)?;
    }
    Ok(result)
}

/// What the wanted days cost by some rules.
fn sums(
    rules: Rules<'_>,
    usage: &Book,
    options: &Options,
    watch: &dyn Watch,
) -> Result<BTreeMap<(Option<String>, String), Sum>, ChargesError> {
    let dir = tempfile::tempdir().map_err(ChargesError::Scratch)?;
    let scratch = Book::open_for_writing(dir.path(), "what if")?;
    let books = Books { usage, charges: &scratch };
    let mut outcome = super::Outcome::default();
    let tasks = super::plan(books, options, rules, &mut outcome)?;
    price(&tasks, books, &scratch, options, rules, watch, &mut outcome)?;
    if let Some((_, error)) = outcome.failed.pop_first() {
        return Err(error);
    }
    let mut all = Sums::default();
    for day in scratch.days(DayTable::Charges)? {
        if let Some(sums) = Sums::of(&scratch, day)? {
            all.merge(sums).ok_or(ChargesError::TooMuch { day, column: "cost" })?;
        }
    }
    Ok(all.into_inner())
}
