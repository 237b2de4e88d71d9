//! What requests come to, with all that explains a change.

use crate::{
    money::Usd,
    record::{CostColumn, METERS, Meter},
};

/// Whether requests have a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Priced,
    Unpriced,
    /// Nothing was billed.
    Free,
}

/// Sums over requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Amounts {
    pub requests: i64,
    pub errors: i64,
    pub unpriced: i64,
    pub estimated: i64,
    /// What was used, in the order of [`METERS`].
    pub quantities: [i64; Meter::COUNT],
    /// Input, cached input, cache writes, output, other.
    pub parts: [Usd; 5],
    /// What is known of the cost.
    pub cost: Usd,
    pub cache_savings: Usd,
    pub batch_savings: Usd,
    pub estimated_cost: Usd,
}

/// The columns of `rollup` that are counted, in the order of [`Amounts`], with
/// those of the meters behind them.
pub(super) const COUNTS: [&str; 4] = ["requests", "errors", "unpriced_requests", "estimated_requests"];

/// The columns that are amounts, in the order of [`Amounts`].
pub(super) const COSTS: [&str; 9] = [
    "input_cost",
    "cached_input_cost",
    "cache_write_cost",
    "output_cost",
    "other_cost",
    "cost",
    "cache_savings",
    "batch_savings",
    "estimated_cost",
];

impl Amounts {
    /// From the sums of the columns above.
    pub(super) fn of(counts: [i64; 4], quantities: [i64; Meter::COUNT], costs: [Usd; 9]) -> Self {
        let [requests, errors, unpriced, estimated] = counts;
        let [input, cached, written, output, other, cost, cache_savings, batch_savings, estimated_cost] = costs;
        let parts = [input, cached, written, output, other];
        Self {
            requests,
            errors,
            unpriced,
            estimated,
            quantities,
            parts,
            cost,
            cache_savings,
            batch_savings,
            estimated_cost,
        }
    }

    /// `None` where a sum would not fit.
    pub(super) fn add(&mut self, other: &Self) -> Option<()> {
        self.requests = self.requests.checked_add(other.requests)?;
        self.errors = self.errors.checked_add(other.errors)?;
        self.unpriced = self.unpriced.checked_add(other.unpriced)?;
        self.estimated = self.estimated.checked_add(other.estimated)?;
        for (sum, more) in self.quantities.iter_mut().zip(other.quantities) {
            *sum = sum.checked_add(more)?;
        }
        for (sum, more) in self.parts.iter_mut().zip(other.parts) {
            *sum = sum.checked_add(more)?;
        }
        self.cost = self.cost.checked_add(other.cost)?;
        self.cache_savings = self.cache_savings.checked_add(other.cache_savings)?;
        self.batch_savings = self.batch_savings.checked_add(other.batch_savings)?;
        self.estimated_cost = self.estimated_cost.checked_add(other.estimated_cost)?;
        Some(())
    }

    pub(super) fn quantity(&self, meter: Meter) -> i64 {
        self.quantities[meter.index()]
    }

    /// Input of every kind and output.
    pub(super) fn tokens(&self) -> i64 {
        self.prompt_tokens().saturating_add(self.quantity(Meter::OutputTokens))
    }

    /// Input of every kind.
    pub(super) fn prompt_tokens(&self) -> i64 {
        METERS
            .iter()
            .filter(|info| {
                matches!(info.cost_column, CostColumn::Input | CostColumn::CachedInput | CostColumn::CacheWrite)
            })
            .fold(0, |sum: i64, info| sum.saturating_add(self.quantity(info.meter)))
    }
}
