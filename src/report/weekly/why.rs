//! Why a week cost something else than the week before: volume, mix, cache,
//! price, shared keys and what no log shows, which sum to the change to the
//! last digit.
//!
//! Between what was paid then and what is paid now stand four sums, each of
//! which changes one thing more:
//!
//! 1. what the week before cost, for as many tokens as this week used (requests,
//!    where either week used no token): the step to it is **volume**;
//! 2. what this week used of each model and tier, as prompt, as output and as
//!    everything else, at what a unit of it cost the week before on average; what
//!    was not used then, at what it costs now: **mix**;
//! 3. the same with this week's parts of fresh, cached and written prompt, each
//!    at what it cost the week before: **cache**;
//! 4. what this week cost: **price**.
//!
//! Each sum is rounded half to even per item at 1e-12, and the parts are the
//! differences from one to the next: so they cannot miss anything, and what
//! rounding moves is in the neighbour. Requests that are free or have no price
//! are left out: they cost nothing in either week.

use std::collections::BTreeMap;

use super::{amounts::Amounts, read::Name};
use crate::{
    money::Usd,
    record::{CostColumn, METERS, Meter},
};

/// What has a price of its own: provider, model and tier.
pub(super) type Item = (Name, Name, Option<Name>);

/// Amounts in the week before, and now.
pub(super) type Weeks = [Amounts; 2];

/// By how much each reason moved the cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Why {
    pub volume: Usd,
    pub mix: Usd,
    pub cache: Usd,
    pub price: Usd,
    /// The team's parts of shared keys.
    pub shared: Usd,
    /// What no log shows, where that is spend.
    pub unlogged: Usd,
}

impl Why {
    /// In the order in which they are told.
    pub(super) fn parts(&self) -> [Usd; 6] {
        [self.volume, self.mix, self.cache, self.price, self.shared, self.unlogged]
    }

    /// Explains the change of what was priced; `None` where amounts are too
    /// large to be multiplied, or there is no week before to compare with.
    pub(super) fn of(items: &BTreeMap<Item, Weeks>, shared: Usd, unlogged: Usd) -> Option<Self> {
        let sum = |week: usize, of: &dyn Fn(&Amounts) -> i64| {
            items.values().try_fold(0_i64, |sum, weeks| sum.checked_add(of(&weeks[week])))
        };
        let mut before = Usd::ZERO;
        let mut now = Usd::ZERO;
        for [then, this] in items.values() {
            before = before.checked_add(then.cost)?;
            now = now.checked_add(this.cost)?;
        }
        let (mut units_before, mut units) = (sum(0, &Amounts::tokens)?, sum(1, &Amounts::tokens)?);
        if units_before <= 0 || units <= 0 {
            (units_before, units) = (sum(0, &|it| it.requests)?, sum(1, &|it| it.requests)?);
        }
        if units_before <= 0 {
            return None;
        }
        let scaled = before.for_quantity(units, units_before)?;
        let (mut average, mut rates) = (Usd::ZERO, Usd::ZERO);
        for weeks in items.values() {
            let steps = steps(weeks)?;
            average = average.checked_add(steps.average)?;
            rates = rates.checked_add(steps.rates)?;
        }
        Some(Self {
            volume: scaled.checked_sub(before)?,
            mix: average.checked_sub(scaled)?,
            cache: rates.checked_sub(average)?,
            price: now.checked_sub(rates)?,
            shared,
            unlogged,
        })
    }
}

/// The second and the third sum of an item.
struct Steps {
    average: Usd,
    rates: Usd,
}

const PROMPT: [CostColumn; 3] = [CostColumn::Input, CostColumn::CachedInput, CostColumn::CacheWrite];

fn steps(weeks: &Weeks) -> Option<Steps> {
    let mut steps = Steps { average: Usd::ZERO, rates: Usd::ZERO };
    let mut add = |average: Usd, rates: Usd| {
        steps.average = steps.average.checked_add(average)?;
        steps.rates = steps.rates.checked_add(rates)?;
        Some(())
    };
    let prompt = PROMPT.map(|column| side(weeks, column));
    let whole = prompt.iter().try_fold(Side::default(), Side::plus)?;
    let rates = prompt.iter().try_fold(Usd::ZERO, |sum, part| sum.checked_add(part.at_old_rate()?))?;
    // What nobody used before has no average of then, of fresh and cached alike.
    add(whole.at_old_rate()?, if whole.is_comparable() { rates } else { whole.cost })?;
    let output = side(weeks, CostColumn::Output).at_old_rate()?;
    add(output, output)?;
    let other = other(weeks)?;
    add(other, other)?;
    Some(steps)
}

/// A quantity and what it cost, then and now.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    quantity_before: i64,
    quantity: i64,
    cost_before: Usd,
    cost: Usd,
}

impl Side {
    fn plus(self, other: &Self) -> Option<Self> {
        Some(Self {
            quantity_before: self.quantity_before.checked_add(other.quantity_before)?,
            quantity: self.quantity.checked_add(other.quantity)?,
            cost_before: self.cost_before.checked_add(other.cost_before)?,
            cost: self.cost.checked_add(other.cost)?,
        })
    }

    fn is_comparable(&self) -> bool {
        self.quantity_before > 0
    }

    /// What is used now at what it cost then; at what it costs now where it was
    /// not used then.
    fn at_old_rate(&self) -> Option<Usd> {
        if self.is_comparable() {
            self.cost_before.for_quantity(self.quantity, self.quantity_before)
        } else {
            Some(self.cost)
        }
    }
}

fn side(weeks: &Weeks, column: CostColumn) -> Side {
    let quantity = |of: &Amounts| {
        let meters = METERS.iter().filter(|info| info.cost_column == column);
        meters.fold(0_i64, |sum, info| sum.saturating_add(of.quantity(info.meter)))
    };
    let cost = |of: &Amounts| of.parts[place(column)];
    let [then, now] = weeks;
    Side { quantity_before: quantity(then), quantity: quantity(now), cost_before: cost(then), cost: cost(now) }
}

const fn place(column: CostColumn) -> usize {
    match column {
        CostColumn::Input => 0,
        CostColumn::CachedInput => 1,
        CostColumn::CacheWrite => 2,
        CostColumn::Output => 3,
        CostColumn::Other => 4,
    }
}

/// Audio, characters, images and tools at what they cost before. Where a model
/// has one such meter, in its unit. Where it has several, their costs cannot be
/// told apart: what they cost now, so that it is mix and no price is claimed to
/// have changed. Nor is one where only the rounding of requests did.
fn other(weeks: &Weeks) -> Option<Usd> {
    let [then, now] = weeks;
    let of_other = || METERS.iter().filter(|info| info.cost_column == CostColumn::Other).map(|info| info.meter);
    let used = |of: &Amounts| of_other().filter(|&meter| of.quantity(meter) > 0).collect::<Vec<Meter>>();
    let cost = now.parts[place(CostColumn::Other)];
    let (meters_before, meters) = (used(then), used(now));
    let ([meter], [same]) = (meters_before.as_slice(), meters.as_slice()) else { return Some(cost) };
    if meter != same {
        return Some(cost);
    }
    let cost_before = then.parts[place(CostColumn::Other)];
    let expected = cost_before.for_quantity(now.quantity(*meter), then.quantity(*meter))?;
    let noise = i128::from(then.requests.max(1)) * i128::from(now.quantity(*meter)) / i128::from(then.quantity(*meter));
    let is_rounding = (expected.pico() - cost.pico()).abs() <= noise + i128::from(now.requests);
    Some(if is_rounding { cost } else { expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        Usd::parse(text).unwrap()
    }

    /// Fresh, cached and output tokens at dollars per million, in as many requests.
    fn used(requests: i64, tokens: [i64; 3], per_million: [&str; 3]) -> Amounts {
        let mut amounts = Amounts { requests, ..Amounts::default() };
        let meters = [Meter::InputTokens, Meter::CachedInputTokens, Meter::OutputTokens];
        for (at, meter) in meters.into_iter().enumerate() {
            let cost = usd(per_million[at]).for_quantity(tokens[at], 1_000_000).unwrap();
            amounts.quantities[meter.index()] = tokens[at];
            amounts.parts[place(meter.info().cost_column)] = cost;
            amounts.cost = amounts.cost.checked_add(cost).unwrap();
        }
        amounts
    }

    fn item(model: &str) -> Item {
        ("groq".into(), model.into(), None)
    }

    const PRICES: [&str; 3] = ["0.50", "0.25", "1.00"];
    const M: i64 = 1_000_000;

    fn check(items: &[(&str, Weeks)], expect: [&str; 4]) {
        let items = items.iter().map(|(model, weeks)| (item(model), *weeks)).collect();
        let why = Why::of(&items, Usd::ZERO, Usd::ZERO).unwrap();
        let found = [why.volume, why.mix, why.cache, why.price].map(Usd::shown);
        assert_eq!(found, expect);
    }

    #[test]
    fn each_reason_alone() {
        let base = used(10, [10 * M, 0, 2 * M], PRICES);
        check(&[("a", [base, base])], ["$0.00", "$0.00", "$0.00", "$0.00"]);
        // Twice as much of the same.
        check(&[("a", [base, used(20, [20 * M, 0, 4 * M], PRICES)])], ["$7.00", "$0.00", "$0.00", "$0.00"]);
        // The same, at twice the price.
        check(
            &[("a", [base, used(10, [10 * M, 0, 2 * M], ["1.00", "0.25", "2.00"])])],
            ["$0.00", "$0.00", "$0.00", "$7.00"],
        );
        // Half of the prompt comes from the cache; none did before.
        check(&[("a", [base, used(10, [5 * M, 5 * M, 2 * M], PRICES)])], ["$0.00", "$0.00", "-$1.25", "$0.00"]);
        // The same tokens, but of a model that costs twice as much.
        let none = Amounts::default();
        let dear = used(10, [10 * M, 0, 2 * M], ["1.00", "0.50", "2.00"]);
        check(&[("a", [base, none]), ("b", [none, dear])], ["$0.00", "$7.00", "$0.00", "$0.00"]);
        // More output for less prompt.
        check(&[("a", [base, used(10, [8 * M, 0, 4 * M], PRICES)])], ["$0.00", "$1.00", "$0.00", "$0.00"]);
        // Nothing any more.
        check(&[("a", [base, none])], ["-$7.00", "$0.00", "$0.00", "$0.00"]);
    }

    #[test]
    fn speech_has_its_own_unit_and_rounding_is_no_price() {
        let speech = |requests: i64, audio_ms: i64, cost: Usd| {
            let mut amounts = Amounts { requests, cost, ..Amounts::default() };
            amounts.quantities[Meter::AudioMs.index()] = audio_ms;
            amounts.parts[4] = cost;
            amounts
        };
        let at = |price: &str, ms: i64| usd(price).for_quantity(ms, 3_600_000).unwrap();
        let then = speech(7, 1_000_003, at("0.111", 1_000_003));
        let items = |now: Amounts| BTreeMap::from([(item("whisper"), [then, now])]);
        let rounded = Usd::from_pico(at("0.111", 2_000_001).pico() + 3).unwrap();
        let why = Why::of(&items(speech(14, 2_000_001, rounded)), Usd::ZERO, Usd::ZERO).unwrap();
        assert_eq!((why.price, why.cache), (Usd::ZERO, Usd::ZERO));
        let why = Why::of(&items(speech(7, 1_000_003, at("0.222", 1_000_003))), Usd::ZERO, Usd::ZERO).unwrap();
        assert_eq!((why.price.shown(), why.volume), (then.cost.shown(), Usd::ZERO));
    }

    #[test]
    fn without_a_week_before_there_is_nothing_to_explain() {
        let items = BTreeMap::from([(item("a"), [Amounts::default(), used(1, [M, 0, 0], PRICES)])]);
        assert_eq!(Why::of(&items, Usd::ZERO, Usd::ZERO), None);
        assert_eq!(Why::of(&BTreeMap::new(), Usd::ZERO, Usd::ZERO), None);
    }

    proptest::proptest! {
        #[test]
        fn the_parts_sum_to_the_change_to_the_last_digit(
            rows in proptest::collection::vec((0_u8..3, 0_i64..5, proptest::array::uniform8(0_i64..3_000_000_000), proptest::array::uniform10(0_i128..10_i128.pow(16))), 1..7),
            shared in -10_i128.pow(15)..10_i128.pow(15),
            unlogged in -10_i128.pow(15)..10_i128.pow(15),
        ) {
            let mut items: BTreeMap<Item, Weeks> = BTreeMap::new();
            let (mut before, mut now) = (0, 0);
            for (model, requests, quantities, costs) in rows {
                let week = |quantities: &[i64], costs: &[i128]| {
                    let mut amounts = Amounts { requests, ..Amounts::default() };
                    for (at, meter) in [Meter::InputTokens, Meter::CachedInputTokens, Meter::OutputTokens, Meter::AudioMs].into_iter().enumerate() {
                        amounts.quantities[meter.index()] = quantities[at];
                    }
                    for (part, pico) in amounts.parts.iter_mut().zip(costs) {
                        *part = Usd::from_pico(*pico).unwrap();
                    }
                    amounts.cost = Usd::from_pico(costs.iter().sum()).unwrap();
                    amounts
                };
                let weeks = [week(&quantities[..4], &costs[..5]), week(&quantities[4..], &costs[5..])];
                if items.insert(item(&model.to_string()), weeks).is_none() {
                    before += weeks[0].cost.pico();
                    now += weeks[1].cost.pico();
                } else {
                    before = items.values().map(|weeks| weeks[0].cost.pico()).sum();
                    now = items.values().map(|weeks| weeks[1].cost.pico()).sum();
                }
            }
            if let Some(why) = Why::of(&items, Usd::from_pico(shared).unwrap(), Usd::from_pico(unlogged).unwrap()) {
                let sum: i128 = why.parts().iter().map(|part| part.pico()).sum();
                proptest::prop_assert_eq!(sum, now - before + shared + unlogged);
            }
        }
    }
}
