//! One request priced, row by row, in integers: what `explain` shows, and the
//! oracle that the priced tables must equal to the last digit.

use super::{Basis, Choice, Chosen, Label, MeterSet, Stretch};
use crate::{
    money::Usd,
    record::{CostColumn, METERS, Meter, Quantities, Status},
};

/// What of a request decides what it costs.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub quantities: &'a Quantities,
    pub status: Status,
    pub gateway_cache: bool,
}

/// The columns that pricing adds to a request. Amounts are `None` where they
/// are not known, never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub input_cost: Option<Usd>,
    pub cached_input_cost: Option<Usd>,
    pub cache_write_cost: Option<Usd>,
    pub output_cost: Option<Usd>,
    pub other_cost: Option<Usd>,
    pub cost: Option<Usd>,
    pub list_cost: Option<Usd>,
    pub cache_savings: Option<Usd>,
    pub batch_savings: Option<Usd>,
    pub basis: Basis,
    pub reason: Option<String>,
    pub price_id: Option<String>,
}

/// A quantity that cannot be priced: the caller knows of which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    #[error("`{}` is `{quantity}`, expected 0 or more", meter.info().column)]
    Negative { meter: Meter, quantity: i64 },
    #[error("the cost of `{}` = `{quantity}` is more than a table can hold", meter.info().column)]
    Overflow { meter: Meter, quantity: i64 },
}

impl Charge {
    /// All amounts the same.
    fn flat(amount: Option<Usd>, basis: Basis, reason: &str) -> Self {
        Self {
            input_cost: amount,
            cached_input_cost: amount,
            cache_write_cost: amount,
            output_cost: amount,
            other_cost: amount,
            cost: amount,
            list_cost: amount,
            cache_savings: amount,
            batch_savings: amount,
            basis,
            reason: Some(reason.to_owned()),
            price_id: None,
        }
    }

    fn column(&mut self, column: CostColumn) -> &mut Option<Usd> {
        match column {
            CostColumn::Input => &mut self.input_cost,
            CostColumn::CachedInput => &mut self.cached_input_cost,
            CostColumn::CacheWrite => &mut self.cache_write_cost,
            CostColumn::Output => &mut self.output_cost,
            CostColumn::Other => &mut self.other_cost,
        }
    }
}

impl Request<'_> {
    /// The charge of a request that no price is looked up for: nothing was
    /// billed, or nobody said how much was used.
    #[must_use]
    pub fn without_price(&self) -> Option<Charge> {
        let free = |reason| Some(Charge::flat(Some(Usd::ZERO), Basis::Free, reason));
        if self.gateway_cache {
            return free("answered from the gateway's own cache");
        }
        if !self.quantities.any() {
            return match self.status {
                Status::Error => free("failed and reports no usage"),
                Status::Blocked => free("refused before it ran"),
                Status::Success | Status::Partial | Status::Cancelled => {
                    Some(Charge::flat(None, Basis::Unpriced, "no usage reported"))
                }
            };
        }
        if self.quantities.0.iter().flatten().all(|&quantity| quantity == 0) {
            return free("all reported quantities are 0");
        }
        None
    }
}

impl Stretch<'_> {
    /// Prices one request of this stretch.
    ///
    /// # Errors
    /// Where a quantity is negative, or an amount would overflow.
    pub fn charge(&self, request: &Request<'_>) -> Result<Charge, ChargeError> {
        for info in &METERS {
            if let Some(quantity @ ..0) = request.quantities[info.meter] {
                return Err(ChargeError::Negative { meter: info.meter, quantity });
            }
        }
        if let Some(charge) = request.without_price() {
            return Ok(charge);
        }
        let meters = MeterSet::of(request.quantities);
        let Label { basis, reason, price_id } = self.label(meters);
        let mut charge = Charge { reason, price_id, ..Charge::flat(Some(Usd::ZERO), basis, "") };
        for meter in meters.iter() {
            let quantity = request.quantities[meter].unwrap_or_default();
            let added = match &self.choices[meter.index()] {
                Choice::Priced(chosen) => add_item(&mut charge, meter, quantity, chosen),
                Choice::Unpriced(_) => {
                    *charge.column(meter.info().cost_column) = None;
                    Some(())
                }
            };
            added.ok_or(ChargeError::Overflow { meter, quantity })?;
        }
        if basis == Basis::Unpriced {
            (charge.cost, charge.list_cost) = (None, None);
            (charge.cache_savings, charge.batch_savings) = (None, None);
        }
        Ok(charge)
    }
}

/// Adds one line item to the sums of a charge; `None` where one overflows.
fn add_item(charge: &mut Charge, meter: Meter, quantity: i64, chosen: &Chosen<'_>) -> Option<()> {
    let cost = chosen.rate.cost(quantity)?;
    let list = chosen.list.cost(quantity)?;
    let instead = |rate: Option<super::Rate>| match rate {
        Some(rate) => rate.cost(quantity)?.checked_sub(cost),
        None => Some(Usd::ZERO),
    };
    let (uncached, on_demand) = (instead(chosen.uncached)?, instead(chosen.on_demand)?);
    add(charge.column(meter.info().cost_column), cost)?;
    add(&mut charge.cost, cost)?;
    add(&mut charge.list_cost, list)?;
    add(&mut charge.cache_savings, uncached)?;
    add(&mut charge.batch_savings, on_demand)
}

/// Adds to a sum that is known; one that is not stays unknown.
fn add(sum: &mut Option<Usd>, amount: Usd) -> Option<()> {
    if let Some(known) = *sum {
        *sum = Some(known.checked_add(amount)?);
    }
    Some(())
}
