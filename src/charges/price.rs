//! The amounts of a slice's rows, in integers, column by column.
//!
//! A price for a single unit is one multiplication; one that does not divide
//! (0.111 per hour of audio) is multiplied first and divided once, half to even
//! at 1e-12. Nothing wraps: what would overflow is an error that names the row.

use hashbrown::HashMap;
use polars::prelude::{DataFrame, PolarsResult};

use super::{slice::Applied, texts::Texts};
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
    /// In pico-dollars, or [`UNKNOWN`]. Columns that are all 0, or the same, are
    /// there once.
    pub columns: Vec<Vec<i128>>,
    /// Of each of [`AMOUNTS`], its place in `columns`.
    pub place: [usize; AMOUNTS.len()],
    /// Of each row, its place in `labels`.
    pub label: Vec<u32>,
    pub labels: Vec<Label>,
}

impl Priced {
    /// A column of [`AMOUNTS`].
    pub(super) fn amounts(&self, amount: usize) -> &[i128] {
        &self.columns[self.place[amount]]
    }
}

/// A row that cannot be priced.
#[derive(Debug)]
pub(super) struct BadRow {
    pub row: usize,
    pub error: ChargeError,
}

/// The columns of a slice that decide what its rows cost.
#[derive(Debug)]
pub(super) struct Used {
    /// Meters that any row reports; [`NOTHING`] where one does not.
    meters: Vec<(Meter, Vec<i64>)>,
    status: Vec<Status>,
    gateway_cache: Vec<bool>,
    /// The first row with a quantity below 0.
    negative: Option<(usize, Meter, i64)>,
}

/// Stands for a quantity that is not reported.
pub(super) const NOTHING: i64 = -1;

/// Beside the bits of meters: whether any quantity is reported.
const IS_REPORTED: u16 = 1 << 15;

const _: () = assert!(Meter::COUNT < 15);

impl Used {
    pub(super) fn of(frame: &DataFrame) -> PolarsResult<Self> {
        let mut meters = Vec::new();
        let mut negative = None;
        for info in &METERS {
            // A meter that no row reports need not be there.
            let Ok(column) = frame.column(info.column) else { continue };
            let column = column.i64()?;
            if column.null_count() == column.len() {
                continue;
            }
            let mut quantities = Vec::with_capacity(column.len());
            for chunk in column.downcast_iter() {
                let values = chunk.values().iter().copied();
                match chunk.validity() {
                    None => quantities.extend(values),
                    Some(validity) => quantities
                        .extend(values.zip(validity).map(|(value, is_there)| if is_there { value } else { NOTHING })),
                }
            }
            let below = quantities.iter().filter(|&&quantity| quantity < 0).count();
            if negative.is_none() && below > column.null_count() {
                let mut rows = column.iter().enumerate();
                negative = rows.find_map(|(row, value)| Some((row, info.meter, value.filter(|&value| value < 0)?)));
            }
            meters.push((info.meter, quantities));
        }
        let status = Texts::of(frame, "status")?;
        let known = |name: Option<&str>| name.and_then(Status::from_name).unwrap_or(Status::Success);
        let known: Vec<Status> = status.all.iter().copied().map(known).collect();
        Ok(Self {
            meters,
            status: status.numbers.iter().map(|&number| known[number as usize]).collect(),
            gateway_cache: frame.column("gateway_cache")?.bool()?.iter().map(|flag| flag == Some(true)).collect(),
            negative,
        })
    }

    pub(super) fn meters(&self) -> &[(Meter, Vec<i64>)] {
        &self.meters
    }

    pub(super) fn statuses(&self) -> &[Status] {
        &self.status
    }

    /// The sum of each meter. A slice has fewer rows than would overflow it.
    pub(super) fn quantities(&self) -> [i128; Meter::COUNT] {
        let mut sums = [0; Meter::COUNT];
        for (meter, quantities) in &self.meters {
            sums[meter.index()] = quantities.iter().map(|&quantity| i128::from(quantity.max(0))).sum();
        }
        sums
    }

    /// Of each row: the meters above zero, and [`IS_REPORTED`].
    fn sets(&self) -> Vec<u16> {
        let mut sets = vec![0; self.status.len()];
        for (meter, quantities) in &self.meters {
            let bit = 1 << meter.index();
            for (&quantity, set) in quantities.iter().zip(&mut sets) {
                *set |= if quantity > 0 { bit } else { 0 } | if quantity >= 0 { IS_REPORTED } else { 0 };
            }
        }
        sets
    }

    /// Prices every row.
    pub(super) fn price(&self, applied: &Applied<'_>) -> Result<Priced, BadRow> {
        if let Some((row, meter, quantity)) = self.negative {
            return Err(BadRow { row, error: ChargeError::Negative { meter, quantity } });
        }
        let sets = self.sets();
        let plans: Vec<Plan> = applied.stretches.iter().map(|stretch| Plan::of(&stretch.it)).collect();
        let mut labels = Labels::default();
        let mut columns = Columns::new(sets.len());
        let mut label = Vec::with_capacity(sets.len());
        for (row, (set, &gateway_cache)) in sets.into_iter().zip(&self.gateway_cache).enumerate() {
            let (is_reported, bits) = (set & IS_REPORTED != 0, set & !IS_REPORTED);
            let place = if bits == 0 || gateway_cache {
                let known =
                    labels.without_price(is_reported.then_some(i64::from(bits)), self.status[row], gateway_cache);
                columns.put(row, &known.1);
                known.0
            } else {
                let stretch = applied.stretch[row];
                let meters = MeterSet::from_bits(bits);
                let plan = &plans[stretch as usize];
                let place = labels.priced(stretch, meters, &applied.stretches[stretch as usize].it);
                let is_priced = labels.known[place as usize].basis != Basis::Unpriced;
                if let Some(small) = self.small(row, meters, plan).filter(|_| is_priced) {
                    columns.put(row, &small.map(i128::from));
                } else {
                    let amounts = self.row(row, meters, plan, is_priced);
                    columns.put(row, &amounts.map_err(|error| BadRow { row, error })?);
                }
                place
            };
            label.push(place);
        }
        let (columns, place) = columns.each_once();
        Ok(Priced { columns, place, label, labels: labels.known })
    }

    /// The amounts of a row where all prices are for a single unit and all sums
    /// are small, as nearly always; [`Self::row`] makes any other's.
    fn small(&self, row: usize, set: MeterSet, plan: &Plan) -> Option<[i64; AMOUNTS.len()]> {
        let mut sums = [0; AMOUNTS.len()];
        for (meter, quantities) in self.meters.iter().filter(|(meter, _)| set.contains(*meter)) {
            let item = plan.items[meter.index()].as_ref()?;
            item.add_small(quantities[row], place(meter.info().cost_column), &mut sums)?;
        }
        Some(sums)
    }

    fn row(&self, row: usize, set: MeterSet, plan: &Plan, is_priced: bool) -> Result<Amounts, ChargeError> {
        let mut sums = [0; AMOUNTS.len()];
        for &(meter, ref quantities) in self.meters.iter().filter(|(meter, _)| set.contains(*meter)) {
            let quantity = quantities[row];
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

/// The amounts of a slice while they are made: a column is there from the first
/// row on that it differs in from what is expected of it.
struct Columns {
    rows: usize,
    own: [Option<Vec<i128>>; AMOUNTS.len()],
}

impl Columns {
    fn new(rows: usize) -> Self {
        Self { rows, own: Default::default() }
    }

    fn put(&mut self, row: usize, amounts: &Amounts) {
        for (at, &amount) in amounts.iter().enumerate() {
            if let Some(column) = &mut self.own[at] {
                column[row] = amount;
            } else if amount != if at == LIST_COST { amounts[COST] } else { 0 } {
                let expected = if at == LIST_COST { self.own[COST].clone() } else { None };
                let column = self.own[at].insert(expected.unwrap_or_else(|| vec![0; self.rows]));
                column[row] = amount;
            }
        }
    }

    /// Each column once, and the place of each amount among them.
    fn each_once(self) -> (Vec<Vec<i128>>, [usize; AMOUNTS.len()]) {
        let mut columns = Vec::with_capacity(AMOUNTS.len());
        let (mut place, mut nothing) = ([0; AMOUNTS.len()], None);
        for (at, own) in self.own.into_iter().enumerate() {
            place[at] = match own {
                None if at == LIST_COST => place[COST],
                None => *nothing.get_or_insert_with(|| {
                    columns.push(vec![0; self.rows]);
                    columns.len() - 1
                }),
                Some(own) => {
                    columns.push(own);
                    columns.len() - 1
                }
            };
        }
        (columns, place)
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

    /// The same where everything is small; `None` where something is not.
    fn add_small(&self, quantity: i64, column: usize, sums: &mut [i64; AMOUNTS.len()]) -> Option<()> {
        let mut add = |column: usize, amount: i64| {
            sums[column] = sums[column].checked_add(amount)?;
            Some(())
        };
        let cost = self.rate.small_cost(quantity)?;
        let list = match &self.list {
            Some(list) => list.small_cost(quantity)?,
            None => cost,
        };
        add(column, cost)?;
        add(COST, cost)?;
        add(LIST_COST, list)?;
        for (other, column) in [(&self.uncached, CACHE_SAVINGS), (&self.on_demand, BATCH_SAVINGS)] {
            if let Some(other) = other {
                add(column, other.small_cost(quantity)?.checked_sub(cost)?)?;
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

    /// The cost where it is one multiplication, and small.
    fn small_cost(&self, quantity: i64) -> Option<i64> {
        match *self {
            Self::PerUnit { pico, min_quantity } => pico.checked_mul(quantity.max(min_quantity)),
            Self::Fraction(_) => None,
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
        let known = self.priced.get(&key).copied();
        let place = known.unwrap_or_else(|| {
            let place = self.push(of.label(meters));
            self.priced.insert(key, place);
            place
        });
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

#[cfg(test)]
mod tests {
    use polars::prelude::{BooleanChunked, Int64Chunked, IntoColumn, NamedFrom, NewChunkedArray, StringChunked};

    use super::*;

    #[test]
    fn what_is_not_reported_is_neither_zero_nor_below() {
        let frame = |quantities: &[Option<i64>]| {
            let rows = quantities.len();
            let status = StringChunked::from_iter_values("status".into(), std::iter::repeat_n("error", rows));
            let cache = BooleanChunked::from_iter_values("gateway_cache".into(), std::iter::repeat_n(true, rows));
            let meter = Int64Chunked::new("input_tokens".into(), quantities);
            let none = Int64Chunked::new("output_tokens".into(), vec![None::<i64>; rows]);
            DataFrame::new_infer_height(vec![
                status.into_column(),
                cache.into_column(),
                meter.into_column(),
                none.into_column(),
            ])
            .unwrap()
        };
        let used = Used::of(&frame(&[Some(5), None, Some(0), Some(7)])).unwrap();
        assert_eq!(used.meters(), [(Meter::InputTokens, vec![5, NOTHING, 0, 7])]);
        assert_eq!(used.sets(), [1 | IS_REPORTED, 0, IS_REPORTED, 1 | IS_REPORTED]);
        assert_eq!(used.quantities()[Meter::InputTokens.index()], 12);
        assert_eq!((used.negative, used.statuses()), (None, &[Status::Error; 4][..]));
        let used = Used::of(&frame(&[None, Some(3), Some(NOTHING), Some(-7)])).unwrap();
        assert_eq!(used.negative, Some((2, Meter::InputTokens, -1)));
    }

    #[test]
    fn columns_that_are_the_same_are_there_once() {
        let row = |cost, list, savings| {
            let mut amounts = [0; AMOUNTS.len()];
            (amounts[0], amounts[COST], amounts[LIST_COST], amounts[CACHE_SAVINGS]) = (cost, cost, list, savings);
            amounts
        };
        for (rows, different) in [
            (vec![row(0, 0, 0); 3], 1),
            (vec![row(5, 5, 0), row(0, 0, 0), row(7, 7, 0)], 3),
            (vec![row(5, 5, 0), row(6, 6, -2), row(7, 7, 0)], 4),
            (vec![row(5, 5, 0), row(6, 8, 0), row(7, 7, 0)], 4),
            (vec![row(0, 0, 0), row(0, 3, 0)], 2),
            (vec![row(4, 4, 0), row(UNKNOWN, UNKNOWN, UNKNOWN), row(0, 0, 0)], 4),
        ] {
            let mut made = Columns::new(rows.len());
            for (row, amounts) in rows.iter().enumerate() {
                made.put(row, amounts);
            }
            let (columns, place) = made.each_once();
            let (label, labels) = (Vec::new(), Vec::new());
            let priced = Priced { columns, place, label, labels };
            for amount in 0..AMOUNTS.len() {
                assert_eq!(priced.amounts(amount), rows.iter().map(|row| row[amount]).collect::<Vec<_>>());
            }
            assert_eq!(priced.columns.len(), different, "{rows:?}");
        }
    }
}
