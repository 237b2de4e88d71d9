//! What could still be saved: stated only where the price book has a lower
//! price for the same tokens, and only as what it would be, not what it will.

use std::collections::BTreeMap;

use super::why::{Item, Weeks};
use crate::{
    money::Usd,
    pricing::{Ask, Choice, PriceBook, Request, Stretch},
    record::{Meter, Quantities, Status},
    time::Instant,
};

/// A price that was not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Saving {
    /// Requests on demand, of a model that has a price for batches.
    Batch { model: String, cost: Usd, saved: Usd },
    /// Prompt that no cache held, of a model with a price for cached input:
    /// what a tenth of the prompt would save.
    Cache { model: String, cached_tenths: i64, per_tenth: Usd },
}

impl Saving {
    pub(super) fn amount(&self) -> Usd {
        match self {
            Self::Batch { saved, .. } => *saved,
            Self::Cache { per_tenth, .. } => *per_tenth,
        }
    }
}

/// The most that are told.
const MOST: usize = 3;

/// What this week's use would have saved at the prices of an instant, the most
/// first; less than a hundredth of the cost is not worth telling.
pub(super) fn savings(
    items: &BTreeMap<Item, Weeks>,
    prices: &PriceBook,
    (at, known_on): (Instant, Instant),
    cost: Usd,
) -> Vec<Saving> {
    let mut found = Vec::new();
    for ((provider, model, tier), [_, now]) in items {
        if tier.as_deref().is_some_and(|tier| tier != "on_demand") || now.tokens() == 0 {
            continue;
        }
        let of = |tier| price(prices, Ask { provider, model, tier }, at, known_on);
        let (Some(on_demand), Some(batch)) = (of(None), of(Some("batch"))) else { continue };
        let used = Quantities(now.quantities.map(|quantity| (quantity > 0).then_some(quantity)));
        if is_own(&batch, Meter::InputTokens, "batch")
            && let Some((dear, cheap)) = charged(&on_demand, &used).zip(charged(&batch, &used))
            && let Some(saved) = dear.checked_sub(cheap)
        {
            found.push(Saving::Batch { model: model.to_string(), cost: dear, saved });
        }
        found.extend(cache(model, now.quantity(Meter::InputTokens), now.prompt_tokens(), &on_demand, now));
    }
    found.retain(|saving| saving.amount().pico().checked_mul(100).is_some_and(|it| it >= cost.pico().max(1)));
    found.sort_by_key(|saving| std::cmp::Reverse(saving.amount()));
    found.truncate(MOST);
    found
}

fn cache(model: &str, fresh: i64, prompt: i64, prices: &Stretch<'_>, now: &super::amounts::Amounts) -> Option<Saving> {
    let tenth = prompt / 10;
    let Choice::Priced(cached) = prices.choices[Meter::CachedInputTokens.index()] else { return None };
    if cached.as_input || tenth == 0 || fresh < tenth {
        return None;
    }
    let tokens = |meter: Meter| {
        let mut quantities = Quantities::default();
        quantities[meter] = Some(tenth);
        charged(prices, &quantities)
    };
    let per_tenth = tokens(Meter::InputTokens)?.checked_sub(tokens(Meter::CachedInputTokens)?)?;
    let cached_tenths = i128::from(now.quantity(Meter::CachedInputTokens)) * 1000 / i128::from(prompt);
    let cached_tenths = i64::try_from(cached_tenths).unwrap_or_default();
    Some(Saving::Cache { model: model.to_owned(), cached_tenths, per_tenth })
}

fn price<'b>(prices: &'b PriceBook, ask: Ask<'b>, at: Instant, known_on: Instant) -> Option<Stretch<'b>> {
    prices.stretches(ask, at, at.plus_micros(1), known_on).pop()
}

/// Whether a meter has a row of this tier, not one that stands for all.
fn is_own(prices: &Stretch<'_>, meter: Meter, tier: &str) -> bool {
    matches!(prices.choices[meter.index()], Choice::Priced(chosen) if chosen.price.tier == tier)
}

fn charged(prices: &Stretch<'_>, quantities: &Quantities) -> Option<Usd> {
    let request = Request { quantities, status: Status::Success, gateway_cache: false };
    prices.charge(&request).ok()?.cost
}
