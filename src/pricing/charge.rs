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

/// The reason of a request that may have cost something, and nobody says what
/// was used.
pub const NO_USAGE: &str = "no usage reported";

impl Request<'_> {
    /// The charge of a request that no price is looked up for: nothing was
    /// billed, or nobody said how much was used.
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
                    Some(Charge::flat(None, Basis::Unpriced, NO_USAGE))
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

#[cfg(test)]
mod tests {
    use super::{
        super::{
            PriceBook,
            testing::{ask, at, book, quantities},
        },
        *,
    };
    use Meter::{AudioMs, CacheWrite5mTokens, CachedInputTokens, Images, InputTokens, OutputTokens, WebSearches};

    fn charge(book: &PriceBook, tier: &str, of: &[(Meter, i64)]) -> Charge {
        let (from, quantities) = (at("2026-06-01"), quantities(of));
        let stretch = book.stretches(ask("g", "m", tier), from, from.day().end(), at("2027-01-01")).remove(0);
        let request = Request { quantities: &quantities, status: Status::Success, gateway_cache: false };
        stretch.charge(&request).unwrap()
    }

    /// Costs by column and in sum, at list, savings by cache and batch, basis, reason.
    fn check(book: &PriceBook, tier: &str, of: &[(Meter, i64)], expect: &str) {
        let charge = charge(book, tier, of);
        let text = |amount: Option<Usd>| amount.map_or("?".to_owned(), super::super::cell::price_text);
        let columns = [
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
        let columns = columns.map(text).join(" ");
        let reason = charge.reason.unwrap_or_default();
        assert_eq!(format!("{columns} {} {reason}", charge.basis.name()).trim_end(), expect, "{tier} {of:?}");
    }

    const LIST: [&str; 6] = [
        "g,m,on_demand,input_tokens,4,1M,,2026-01-01,,2026-01-01,list,,",
        "g,m,on_demand,cached_input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
        "g,m,on_demand,cache_write_5m_tokens,5,1M,,2026-01-01,,2026-01-01,list,,",
        "g,m,on_demand,output_tokens,8,1M,,2026-01-01,,2026-01-01,list,,",
        "g,m,batch,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
        "g,m,batch,output_tokens,4,1M,,2026-01-01,,2026-01-01,list,,",
    ];

    #[test]
    fn costs_and_savings_at_list_price() {
        let book = book(&LIST, &[]);
        check(&book, "", &[(InputTokens, 1_000_000)], "4 0 0 0 0 4 4 0 0 list");
        check(&book, "", &[(InputTokens, 1_000_000), (OutputTokens, 500_000)], "4 0 0 4 0 8 8 0 0 list");
        check(&book, "", &[(InputTokens, 0), (CachedInputTokens, 1_000_000)], "0 1 0 0 0 1 1 3 0 list");
        check(&book, "", &[(CacheWrite5mTokens, 1_000_000)], "0 0 5 0 0 5 5 -1 0 list");
        check(&book, "", &[(CachedInputTokens, 1_000_000), (CacheWrite5mTokens, 1_000_000)], "0 1 5 0 0 6 6 2 0 list");
        check(
            &book,
            "batch",
            &[(InputTokens, 1_000_000), (CachedInputTokens, 1_000_000), (OutputTokens, 1_000_000)],
            "2 2 0 4 0 8 8 0 5 list `cached_input_tokens` at the price of `input_tokens`: no price of its own",
        );
    }

    #[test]
    fn a_contract_keeps_the_list_price_beside_it() {
        let contract = "g,m,*,input_tokens,3,1M,,2026-01-01,,2026-01-01,contract,,";
        let book = book(&[&LIST[..], &[contract]].concat(), &[]);
        check(&book, "", &[(InputTokens, 1_000_000)], "3 0 0 0 0 3 4 0 0 contract");
        check(&book, "", &[(InputTokens, 1_000_000), (OutputTokens, 1_000_000)], "3 0 0 8 0 11 12 0 0 list");
        check(
            &book,
            "",
            &[(CachedInputTokens, 1_000_000)],
            "0 3 0 0 0 3 1 0 0 contract `cached_input_tokens` at the price of `input_tokens`: no price of its own",
        );
        let alone = super::super::testing::book(&[contract], &[]);
        check(&alone, "batch", &[(InputTokens, 1_000_000)], "3 0 0 0 0 3 3 0 0 contract");
    }

    #[test]
    fn what_has_no_price_is_not_known_and_what_is_known_stays() {
        let book = book(&LIST, &[]);
        check(
            &book,
            "",
            &[(InputTokens, 1_000_000), (Images, 1), (WebSearches, 2)],
            "4 0 0 0 ? ? ? ? ? unpriced no price for `images`, `web_searches`: not among the prices of `m` in tier `on_demand`",
        );
        check(
            &book,
            "flex",
            &[(InputTokens, 1)],
            "? 0 0 0 0 ? ? ? ? unpriced no price for `input_tokens`: the book has no prices of `m` in tier `flex`",
        );
    }

    #[test]
    fn a_fallback_is_an_estimate_and_says_why() {
        let book = book(
            &[
                "g,m,*,input_tokens,4,1M,,2025-01-01,,2025-01-01,list,,",
                "g,m,*,input_tokens,,,,2026-05-01,,2026-05-01,list,,",
                "g,*,*,input_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,",
                "g,*,*,output_tokens,0.10,1M,,2020-01-01,,2020-01-01,fallback,,",
            ],
            &[],
        );
        check(
            &book,
            "",
            &[(InputTokens, 1_000_000), (CachedInputTokens, 1_000_000), (OutputTokens, 1_000_000), (AudioMs, 1)],
            "0.1 0.1 0 0.1 ? ? ? ? ? unpriced no price for `audio_ms`: not among the prices of `m` in tier `on_demand`; \
             `input_tokens`, `cached_input_tokens` estimated at the fallback price: the price of `m` ended on 2026-05-01; \
             `output_tokens` estimated at the fallback price: not among the prices of `m` in tier `on_demand`; \
             `cached_input_tokens` at the price of `input_tokens`: no price of its own",
        );
        check(
            &book,
            "",
            &[(InputTokens, 1_000_000)],
            "0.1 0 0 0 0 0.1 0.1 0 0 fallback `input_tokens` estimated at the fallback price: the price of `m` ended on 2026-05-01",
        );
    }

    #[test]
    fn what_nobody_bills_is_free_and_what_nobody_counted_is_not() {
        let tokens = quantities(&[(InputTokens, 5)]);
        let zero = quantities(&[(InputTokens, 0)]);
        let none = quantities(&[]);
        let book = book(&LIST, &[]);
        let stretch = book.stretches(ask("g", "m", ""), at("2026-06-01"), at("2026-06-02"), at("2027-01-01")).remove(0);
        for (quantities, status, gateway_cache, expect) in [
            (&tokens, Status::Success, true, "free: answered from the gateway's own cache"),
            (&none, Status::Success, true, "free: answered from the gateway's own cache"),
            (&zero, Status::Success, false, "free: all reported quantities are 0"),
            (&zero, Status::Error, false, "free: all reported quantities are 0"),
            (&none, Status::Error, false, "free: failed and reports no usage"),
            (&none, Status::Blocked, false, "free: refused before it ran"),
            (&none, Status::Success, false, "unpriced: no usage reported"),
            (&none, Status::Partial, false, "unpriced: no usage reported"),
            (&none, Status::Cancelled, false, "unpriced: no usage reported"),
            (&tokens, Status::Error, false, "list: "),
        ] {
            let charge = stretch.charge(&Request { quantities, status, gateway_cache }).unwrap();
            assert_eq!(format!("{}: {}", charge.basis.name(), charge.reason.unwrap_or_default()), expect);
            match charge.basis {
                Basis::Free => assert_eq!((charge.cost, charge.list_cost), (Some(Usd::ZERO), Some(Usd::ZERO))),
                Basis::Unpriced => assert_eq!((charge.cost, charge.input_cost), (None, None)),
                _ => assert!(charge.cost > Some(Usd::ZERO)),
            }
        }
    }

    #[test]
    fn a_quantity_that_cannot_be_priced_names_itself() {
        let book = book(&["g,m,*,input_tokens,999999999,1,,2026-01-01,,2026-01-01,list,,"], &[]);
        let stretch = book.stretches(ask("g", "m", ""), at("2026-06-01"), at("2026-06-02"), at("2027-01-01")).remove(0);
        for (quantity, expect) in [
            (-1, Err("`input_tokens` is `-1`, expected 0 or more")),
            ((1 << 53) - 1, Ok(())),
            (i64::MAX, Err("the cost of `input_tokens` = `9223372036854775807` is more than a table can hold")),
        ] {
            let quantities = quantities(&[(InputTokens, quantity)]);
            let request = Request { quantities: &quantities, status: Status::Success, gateway_cache: false };
            let charge = stretch.charge(&request).map(|charge| charge.cost.unwrap());
            match expect {
                Ok(()) => assert_eq!(charge.unwrap().pico(), 999_999_999_000_000_000_000 * i128::from(quantity)),
                Err(expect) => assert_eq!(charge.unwrap_err().to_string(), expect),
            }
        }
    }

    #[test]
    fn a_price_id_names_the_rows_used_and_no_others() {
        let book = book(&LIST, &[]);
        let id = |book: &PriceBook, tier: &str, of: &[(Meter, i64)]| charge(book, tier, of).price_id.unwrap();
        let input = id(&book, "", &[(InputTokens, 1)]);
        assert!(input.starts_with("g/m/on_demand/list@2026-01-01#"), "{input}");
        assert_eq!(input.len(), "g/m/on_demand/list@2026-01-01#12345678".len());
        assert_eq!(id(&book, "", &[(InputTokens, 7)]), input);
        assert_eq!(id(&book, "batch", &[(InputTokens, 1)]).split('#').next(), Some("g/m/batch/list@2026-01-01"));
        assert_ne!(id(&book, "", &[(InputTokens, 1), (OutputTokens, 1)]), input);

        let noted: Vec<String> = LIST.iter().map(|row| row.replace(",list,,", ",list,a page,a note")).collect();
        let noted: Vec<&str> = noted.iter().map(String::as_str).collect();
        assert_eq!(id(&super::super::testing::book(&noted, &[]), "", &[(InputTokens, 1)]), input);
        let mixed = [&LIST[..], &["g,m,*,input_tokens,3,1M,,2026-02-01T08:00:00Z,,2026-02-01,contract,,"]].concat();
        let mixed = id(&super::super::testing::book(&mixed, &[]), "", &[(InputTokens, 1), (OutputTokens, 1)]);
        assert!(mixed.starts_with("g/m/*+on_demand/contract+list@2026-02-01T08:00:00Z#"), "{mixed}");
    }
}
