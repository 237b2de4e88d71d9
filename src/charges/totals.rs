//! What a slice, a day and a run come to, and the proof that no sum of them
//! can overflow: the engine's own sums wrap around silently.

use super::{
    ChargesError,
    price::{COST, Priced, UNKNOWN, Used},
    slice::Applied,
};
use crate::{
    money::Usd,
    pricing::Basis,
    record::{AMOUNTS, METERS, Meter},
    time::Day,
};

/// 10^24 USD in pico-dollars: no day of amounts may reach it, so that a sum of
/// days stays far from what `DECIMAL(38,12)` can hold.
const LIMIT: i128 = 10_i128.pow(36);

/// What became of the requests of a slice, a day or a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    pub free: u64,
    pub unpriced: u64,
    pub estimated: u64,
    pub unattributed: u64,
    /// In pico-dollars.
    cost: i128,
    /// Of that, what a fallback price made.
    estimated_cost: i128,
    /// Sums of absolute amounts, and of quantities.
    amounts: [i128; AMOUNTS.len()],
    quantities: [i128; Meter::COUNT],
}

impl Totals {
    /// The sum of all known costs.
    pub fn cost(&self) -> Usd {
        Usd::from_pico(self.cost).unwrap_or_default()
    }

    /// Of that, what a fallback price made.
    pub fn estimated_cost(&self) -> Usd {
        Usd::from_pico(self.estimated_cost).unwrap_or_default()
    }

    pub(super) fn of(day: Day, used: &Used, applied: &Applied<'_>, priced: &Priced) -> Result<Self, ChargesError> {
        let mut totals = Self { quantities: used.quantities(), ..Self::default() };
        let sum = |column: &Vec<i128>| {
            let mut known = column.iter().filter(|&&amount| amount != UNKNOWN);
            known.try_fold(0_i128, |sum, amount| sum.checked_add(amount.checked_abs()?))
        };
        let sums: Vec<Option<i128>> = priced.columns.iter().map(sum).collect();
        for ((sum, place), column) in totals.amounts.iter_mut().zip(priced.place).zip(AMOUNTS) {
            *sum = sums[place].ok_or(ChargesError::TooMuch { day, column })?;
        }
        let attributed: Vec<bool> = applied.owners.iter().map(|owner| owner.it.team.is_some()).collect();
        totals.requests = priced.label.len() as u64;
        let costs = priced.amounts(COST);
        for ((&label, &owner), &cost) in priced.label.iter().zip(&applied.owner).zip(costs) {
            let cost = if cost == UNKNOWN { 0 } else { cost };
            totals.cost += cost;
            totals.unattributed += u64::from(!attributed[owner as usize]);
            match priced.labels[label as usize].basis {
                Basis::Free => totals.free += 1,
                Basis::Unpriced => totals.unpriced += 1,
                Basis::Fallback => {
                    totals.estimated += 1;
                    totals.estimated_cost += cost;
                }
                Basis::List | Basis::Contract => {}
            }
        }
        totals.checked(day)
    }

    /// Adds a slice to its day.
    pub(super) fn add(&mut self, day: Day, other: &Self) -> Result<(), ChargesError> {
        self.add_day(day, other)?;
        // Both are below the limit, so that this does not overflow.
        self.amounts.iter_mut().zip(other.amounts).for_each(|(sum, amount)| *sum += amount);
        self.quantities.iter_mut().zip(other.quantities).for_each(|(sum, quantity)| *sum += quantity);
        *self = std::mem::take(self).checked(day)?;
        Ok(())
    }

    /// Adds a day to a run, of which only the counts and costs are told.
    pub(super) fn add_day(&mut self, day: Day, other: &Self) -> Result<(), ChargesError> {
        self.requests += other.requests;
        self.free += other.free;
        self.unpriced += other.unpriced;
        self.estimated += other.estimated;
        self.unattributed += other.unattributed;
        for (sum, more) in [(&mut self.cost, other.cost), (&mut self.estimated_cost, other.estimated_cost)] {
            let added = sum.checked_add(more).filter(|&sum| Usd::from_pico(sum).is_some());
            *sum = added.ok_or(ChargesError::TooMuch { day, column: "cost" })?;
        }
        Ok(())
    }

    fn checked(self, day: Day) -> Result<Self, ChargesError> {
        if let Some((_, column)) = self.amounts.iter().zip(AMOUNTS).find(|(sum, _)| **sum >= LIMIT) {
            return Err(ChargesError::TooMuch { day, column });
        }
        let too_many = self.quantities.iter().zip(&METERS).find(|(sum, _)| **sum > i128::from(i64::MAX));
        match too_many {
            Some((_, info)) => Err(ChargesError::TooMuch { day, column: info.column }),
            None => Ok(self),
        }
    }
}
