//! One row of the dataset: the line items of a day at one price, for one payer.

use std::borrow::Cow;

use super::sku;
use crate::{
    charges::{Item, ItemSum},
    money::{self, Usd},
    periods::PeriodSpan,
    pricing::Basis,
    teams::SHARED,
    time::{Day, Instant},
};

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'r> {
    Null,
    Text(Cow<'r, str>),
    /// Times 10^12, as in `DECIMAL(38,12)`.
    Decimal(i128),
    Count(i64),
    Time(Instant),
}

impl<'r> Value<'r> {
    pub(super) fn text(text: impl Into<Cow<'r, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn optional(text: Option<&'r str>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }

    pub(super) const fn usd(amount: Usd) -> Self {
        Self::Decimal(amount.pico())
    }
}

/// Who is billed, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account<'r> {
    /// The provider's own id of it, or the provider's name.
    pub id: &'r str,
    pub name: Option<&'r str>,
}

/// A row, with what its cells are made from.
#[derive(Debug)]
pub(super) struct Row<'r> {
    pub item: &'r Item,
    pub sum: &'r ItemSum,
    pub day: Day,
    pub month: &'r PeriodSpan,
    pub account: Account<'r>,
    pub consumed: i128,
    pub pricing: i128,
    /// In the unit of the price that was paid.
    pub list_unit_price: Usd,
}

impl<'r> Row<'r> {
    /// `None` where a quantity is more than a table can hold.
    pub(super) fn new(
        (item, sum): (&'r Item, &'r ItemSum),
        day: Day,
        month: &'r PeriodSpan,
        account: Account<'r>,
    ) -> Option<Self> {
        let scaled = |quantity: i128, per: i128| {
            let scaled = quantity.checked_mul(10_i128.pow(Usd::SCALE))?;
            Usd::from_pico(money::divided(scaled, per)?).map(Usd::pico)
        };
        let (rate, list) = (item.price.rate, item.price.list);
        Some(Self {
            consumed: scaled(sum.quantity, sku::per_consumed_unit(item.meter))?,
            pricing: scaled(sum.billed, rate.per.into())?,
            list_unit_price: list.price.for_quantity(rate.per, list.per)?,
            item,
            sum,
            day,
            month,
            account,
        })
    }

    /// By how much unit price times quantity is off the sum of the line items,
    /// each of which was rounded, in pico-dollars; `None` where that cannot be
    /// calculated.
    pub(super) fn off(&self, unit_price: Usd, cost: Usd) -> Option<u128> {
        let product = unit_price.pico().checked_mul(self.pricing)?;
        let product = money::divided(product, 10_i128.pow(Usd::SCALE))?;
        Some(product.abs_diff(cost.pico()))
    }

    /// `llama-3.3-70b-versatile, cached input tokens, batch`.
    pub(super) fn description(&self) -> String {
        let name = sku::meter_name(self.item.meter).name.to_lowercase();
        let estimate = if self.item.basis == Basis::Fallback { " (estimate)" } else { "" };
        format!("{}, {name}, {}{estimate}", self.item.model, self.item.tier)
    }

    /// How certain the cost is.
    pub(super) const fn cost_basis(&self) -> &'static str {
        match self.item.basis {
            Basis::Contract => "Contract",
            Basis::Fallback => "Estimated",
            // Items have no other.
            Basis::List | Basis::Free | Basis::Unpriced => "List",
        }
    }

    /// A team, or those who share a key.
    pub(super) fn sub_account_type(&self) -> Option<&'static str> {
        let team = self.item.team.as_deref()?;
        Some(if team.starts_with(SHARED) { "Pool" } else { "Team" })
    }

    /// The name of the team, or of the pool.
    pub(super) fn sub_account_name(&self) -> Option<&'r str> {
        let team = self.item.team.as_deref()?;
        Some(team.strip_prefix(SHARED).unwrap_or(team))
    }

    /// A flat JSON object with its keys in order; `None` where there is no tag.
    pub(super) fn tags(&self) -> Option<String> {
        let Item { team, key, project, environment, purpose, .. } = self.item;
        let tags: serde_json::Map<String, serde_json::Value> =
            [("environment", environment), ("key", key), ("project", project), ("purpose", purpose), ("team", team)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())))
                .collect();
        (!tags.is_empty()).then(|| serde_json::Value::Object(tags).to_string())
    }
}

/// A decimal without zeros at its end, but with a digit after the point: some
/// readers take a column of whole numbers for one of integers.
pub(super) fn decimal_text(value: i128) -> String {
    let text = Usd::from_pico(value).unwrap_or_default().to_string();
    let trimmed = text.trim_end_matches('0');
    if trimmed.ends_with('.') { format!("{trimmed}0") } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_a_digit_after_the_point() {
        let one = 10_i128.pow(12);
        for (value, expect) in
            [(0, "0.0"), (one, "1.0"), (1_200_000 * one, "1200000.0"), (one / 2, "0.5"), (1, "0.000000000001")]
        {
            assert_eq!(decimal_text(value), expect);
        }
    }
}
