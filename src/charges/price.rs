//! The amounts of a slice's rows, in integers, column by column.
//!
//! A price for a single unit is one multiplication; one that does not divide
//! (0.111 per hour of audio) is multiplied first and divided once, half to even
//! at 1e-12. Nothing wraps: what would overflow is an error that names the row.

use std::collections::HashMap;

use polars::prelude::{BooleanChunked, DataFrame, Int64Chunked, PolarsResult};

use super::slice::Applied;
use crate::{
    money::Usd,
    pricing::{Basis, ChargeError, Choice, Label, MeterSet, Rate, Request, Stretch},
    record::{AMOUNTS, CostColumn, METERS, Meter, Quantities, Status},
};

/// Places in [`AMOUNTS`].
pub(super) const COST: usize = 5;
const LIST_COST: usize = 6;
const CACHE_SAVINGS: usize = 7;
const BATCH_SAVINGS: usize = 8;

const fn place(column: CostColumn) -> usize {
    match column {
        CostColumn::Input => 0,
        CostColumn::CachedInput => 1,
        CostColumn::CacheWrite => 2,
        CostColumn::Output => 3,
        CostColumn::Other => 4,
    }
}

/// Stands for an amount that is not known; no amount has this value.
pub(super) const UNKNOWN: i128 = i128::MIN;

/// The amounts and labels of a slice's rows.
#[derive(Debug)]
pub(super) struct Priced {
    /// In the order of [`AMOUNTS`], in pico-dollars, or [`UNKNOWN`].
    pub amounts: [Vec<i128>; AMOUNTS.len()],
    /// Of each row, its place in `labels`.
    pub label: Vec<u32>,
    pub labels: Vec<Label>,
}

/// A row that cannot be priced.
#[derive(Debug)]
pub(super) struct BadRow {
    pub row: usize,
    pub error: ChargeError,
}

/// The columns of a slice that decide what its rows cost.
#[derive(Debug)]
pub(super) struct Used<'f> {
    /// Meters that any row reports.
    meters: Vec<(Meter, &'f Int64Chunked)>,
    status: Vec<Status>,
    gateway_cache: &'f BooleanChunked,
}

impl<'f> Used<'f> {
    pub(super) fn of(frame: &'f DataFrame) -> PolarsResult<Self> {
        let mut meters = Vec::new();
        for info in &METERS {
            let column = frame.column(info.column)?.i64()?;
            if column.null_count() < column.len() {
                meters.push((info.meter, column));
            }
        }
        let status = frame.column("status")?.str()?.iter();
        let status = status.map(|name| name.and_then(Status::from_name).unwrap_or(Status::Success)).collect();
        Ok(Self { meters, status, gateway_cache: frame.column("gateway_cache")?.bool()? })
    }

    pub(super) fn meters(&self) -> &[(Meter, &'f Int64Chunked)] {
        &self.meters
    }

    pub(super) fn statuses(&self) -> &[Status] {
        &self.status
    }

    /// The sum of each meter. A slice has fewer rows than would overflow it.
    pub(super) fn quantities(&self) -> [i128; Meter::COUNT] {
        let mut sums = [0; Meter::COUNT];
        for (meter, column) in &self.meters {
            sums[meter.index()] = column.iter().flatten().map(i128::from).sum();
        }
        sums
    }

    /// Of each row: the meters above zero, and whether any is reported.
    fn sets(&self) -> Result<Vec<(u16, bool)>, BadRow> {
        let mut sets = vec![(0, false); self.status.len()];
        for &(meter, column) in &self.meters {
            for (row, (quantity, (bits, is_reported))) in column.iter().zip(&mut sets).enumerate() {
                match quantity {
                    None => {}
                    Some(quantity @ ..0) => {
                        return Err(BadRow { row, error: ChargeError::Negative { meter, quantity } });
                    }
                    Some(quantity) => {
                        *is_reported = true;
                        *bits |= u16::from(quantity > 0) << meter.index();
                    }
                }
            }
        }
        Ok(sets)
    }

    /// Prices every row.
    pub(super) fn price(&self, applied: &Applied<'_>) -> Result<Priced, BadRow> {
        let sets = self.sets()?;
        let rows = sets.len();
        let plans: Vec<Plan> = applied.stretches.iter().map(|stretch| Plan::of(&stretch.it)).collect();
        let mut labels = Labels::default();
        let mut amounts: [Vec<i128>; AMOUNTS.len()] = std::array::from_fn(|_| Vec::with_capacity(rows));
        let mut label = Vec::with_capacity(rows);
        let cached = self.gateway_cache.iter().map(|flag| flag == Some(true));
        for (row, ((bits, is_reported), gateway_cache)) in sets.into_iter().zip(cached).enumerate() {
            let (place, row_amounts) = if bits == 0 || gateway_cache {
                labels.without_price(is_reported.then_some(i64::from(bits)), self.status[row], gateway_cache)
            } else {
                let stretch = applied.stretch[row];
                let meters = MeterSet::from_bits(bits);
                let place = labels.priced(stretch, meters, &applied.stretches[stretch as usize].it);
                let is_priced = labels.known[place as usize].basis != Basis::Unpriced;
                let amounts = self.row(row, meters, &plans[stretch as usize], is_priced);
                (place, amounts.map_err(|error| BadRow { row, error })?)
            };
            label.push(place);
            for (column, amount) in amounts.iter_mut().zip(row_amounts) {
                column.push(amount);
            }
        }
        Ok(Priced { amounts, label, labels: labels.known })
    }

    fn row(&self, row: usize, set: MeterSet, plan: &Plan, is_priced: bool) -> Result<Amounts, ChargeError> {
        let mut sums = [0; AMOUNTS.len()];
        for &(meter, column) in self.meters.iter().filter(|(meter, _)| set.contains(*meter)) {
            let quantity = column.get(row).unwrap_or_default();
            let added = if let Some(item) = &plan.items[meter.index()] {
                item.add(quantity, place(meter.info().cost_column), &mut sums)
            } else {
                sums[place(meter.info().cost_column)] = UNKNOWN;
                Some(())
            };
            added.ok_or(ChargeError::Overflow { meter, quantity })?;
        }
        if !is_priced {
            sums[COST..].fill(UNKNOWN);
        }
        Ok(sums)
    }
}

type Amounts = [i128; AMOUNTS.len()];

/// The prices of a stretch, ready to multiply by.
#[derive(Debug)]
struct Plan {
    items: [Option<Item>; Meter::COUNT],
}

/// What one meter costs, and what it is compared with.
#[derive(Debug)]
struct Item {
    rate: Price,
    /// Where it is another one.
    list: Option<Price>,
    uncached: Option<Price>,
    on_demand: Option<Price>,
}

impl Plan {
    fn of(stretch: &Stretch<'_>) -> Self {
        let items = stretch.choices.each_ref().map(|choice| match choice {
            Choice::Unpriced(_) => None,
            Choice::Priced(chosen) => Some(Item {
                rate: Price::of(chosen.rate),
                list: (chosen.list != chosen.rate).then(|| Price::of(chosen.list)),
                uncached: chosen.uncached.map(Price::of),
                on_demand: chosen.on_demand.map(Price::of),
            }),
        });
        Self { items }
    }
}

impl Item {
    /// Adds one line item; `None` where a sum would overflow.
    fn add(&self, quantity: i64, column: usize, sums: &mut Amounts) -> Option<()> {
        let cost = self.rate.cost(quantity)?;
        let list = match &self.list {
            Some(list) => list.cost(quantity)?,
            None => cost,
        };
        add(&mut sums[column], cost)?;
        add(&mut sums[COST], cost)?;
        add(&mut sums[LIST_COST], list)?;
        for (other, column) in [(&self.uncached, CACHE_SAVINGS), (&self.on_demand, BATCH_SAVINGS)] {
            if let Some(other) = other {
                add(&mut sums[column], other.cost(quantity)?.checked_sub(cost)?)?;
            }
        }
        Some(())
    }
}

/// Adds to a sum that is known; one that is not stays unknown.
fn add(sum: &mut i128, amount: i128) -> Option<()> {
    if *sum != UNKNOWN {
        *sum = Usd::from_pico(sum.checked_add(amount)?)?.pico();
    }
    Some(())
}

/// A rate, reduced to a price of a single unit where it has one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Price {
    /// Pico-dollars for one. Times any quantity they are below 2^126, which is
    /// below 10^38: this never overflows.
    PerUnit {
        pico: i64,
        min_quantity: i64,
    },
    Fraction(Rate),
}

impl Price {
    pub(super) fn of(rate: Rate) -> Self {
        let (pico, per) = (rate.price.pico(), i128::from(rate.per));
        let unit = if per > 0 && pico % per == 0 { i64::try_from(pico / per).ok() } else { None };
        unit.map_or(Self::Fraction(rate), |pico| Self::PerUnit { pico, min_quantity: rate.min_quantity })
    }

    pub(super) fn cost(&self, quantity: i64) -> Option<i128> {
        match *self {
            Self::PerUnit { pico, min_quantity } => Some(i128::from(pico) * i128::from(quantity.max(min_quantity))),
            Self::Fraction(rate) => rate.cost(quantity).map(Usd::pico),
        }
    }
}

/// Labels of a slice, each once.
#[derive(Debug, Default)]
struct Labels {
    known: Vec<Label>,
    /// By stretch and meters; of requests without a price by what decides it.
    priced: HashMap<(u32, MeterSet), u32>,
    unasked: HashMap<(Option<i64>, Status, bool), (u32, Amounts)>,
    last: Option<((u32, MeterSet), u32)>,
}

impl Labels {
    fn push(&mut self, label: Label) -> u32 {
        self.known.push(label);
        u32::try_from(self.known.len() - 1).expect("a slice has fewer labels than rows")
    }

    fn priced(&mut self, stretch: u32, meters: MeterSet, of: &Stretch<'_>) -> u32 {
        let key = (stretch, meters);
        if let Some((last, place)) = self.last
            && last == key
        {
            return place;
        }
        let place = match self.priced.get(&key) {
            Some(&place) => place,
            None => self.push(of.label(meters)),
        };
        self.priced.insert(key, place);
        self.last = Some((key, place));
        place
    }

    /// The label and amounts of a request that no price is looked up for.
    /// `quantity` stands for all that it reports.
    fn without_price(&mut self, quantity: Option<i64>, status: Status, gateway_cache: bool) -> (u32, Amounts) {
        let key = (quantity, status, gateway_cache);
        if let Some(&known) = self.unasked.get(&key) {
            return known;
        }
        let mut quantities = Quantities::default();
        quantities[Meter::InputTokens] = quantity;
        let charge = Request { quantities: &quantities, status, gateway_cache }.without_price();
        let charge = charge.expect("a request in the cache or without quantities above zero has no price");
        let pico = |amount: Option<Usd>| amount.map_or(UNKNOWN, Usd::pico);
        let amounts = [
            charge.input_cost,
            charge.cached_input_cost,
            charge.cache_write_cost,
            charge.output_cost,
            charge.other_cost,
            charge.cost,
            charge.list_cost,
            charge.cache_savings,
            charge.batch_savings,
        ];
        let label = Label { basis: charge.basis, reason: charge.reason, price_id: charge.price_id };
        let made = (self.push(label), amounts.map(pico));
        self.unasked.insert(key, made);
        made
    }
}
