//! The columns of the dataset: which version has them, what they may hold, what
//! they hold here. The files, the metadata and `docs/EXPORTS.md` derive from this
//! one table.
//!
//! Every column of the version is there, in the order of the alphabet, also where
//! it never applies: many readers expect the full width. Columns of our own begin
//! with `x_` and come last.

use super::{
    Version,
    row::{Row, Value},
    sku,
};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An object, as text.
    Json,
    Time,
    /// 38 digits, 12 of them after the point.
    Decimal,
    /// A whole number.
    Count,
}

/// Which versions have a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Both,
    Only(Version),
}

/// A column of the dataset.
#[derive(Debug)]
pub struct FocusColumn {
    pub name: &'static str,
    pub kind: Kind,
    pub nullable: bool,
    /// What it is here.
    pub doc: &'static str,
    within: In,
    pub(super) value: for<'v> fn(&'v Row<'_>) -> Value<'v>,
}

impl FocusColumn {
    pub fn is_in(&self, version: Version) -> bool {
        match self.within {
            In::Both => true,
            In::Only(only) => only == version,
        }
    }

    const fn only(self, version: Version) -> Self {
        Self { within: In::Only(version), ..self }
    }
}

type ValueOf = for<'v> fn(&'v Row<'_>) -> Value<'v>;

/// A column that is never null.
const fn always(name: &'static str, kind: Kind, doc: &'static str, value: ValueOf) -> FocusColumn {
    FocusColumn { name, kind, nullable: false, doc, within: In::Both, value }
}

/// A column that may be null.
const fn maybe(name: &'static str, kind: Kind, doc: &'static str, value: ValueOf) -> FocusColumn {
    FocusColumn { name, kind, nullable: true, doc, within: In::Both, value }
}

/// A column that does not apply to what is paid by use.
const fn never(name: &'static str, kind: Kind) -> FocusColumn {
    maybe(name, kind, "null: does not apply", |_| Value::Null)
}

/// The columns of a version, in their order.
pub fn columns(version: Version) -> impl Iterator<Item = &'static FocusColumn> {
    COLUMNS.iter().filter(move |column| column.is_in(version))
}

use Kind::{Count, Decimal, Json, Text, Time};
use Version::{V1_2, V1_4};

static COLUMNS: [FocusColumn; 78] = [
    never("AllocatedMethodDetails", Json).only(V1_4),
    never("AllocatedMethodId", Text).only(V1_4),
    never("AllocatedResourceId", Text).only(V1_4),
    never("AllocatedResourceName", Text).only(V1_4),
    never("AllocatedTags", Json).only(V1_4),
    never("AvailabilityZone", Text),
    always(
        "BilledCost",
        Decimal,
        "our cost: quantity × price of the price book, rounded per request. Nothing is invoiced by it: it stays an estimate until it is reconciled",
        |row| Value::usd(row.sum.cost),
    ),
    always(
        "BillingAccountId",
        Text,
        "the id given with `--billing-account PROVIDER=ID`, else the provider's name: logs do not say it",
        |row| Value::text(row.account.id),
    ),
    maybe("BillingAccountName", Text, "`[organization] name`", |row| Value::optional(row.account.name)),
    always("BillingAccountType", Text, "`Organization`", |_| Value::text("Organization")),
    always("BillingCurrency", Text, "`USD`", |_| Value::text("USD")),
    always("BillingPeriodEnd", Time, "the first instant of the next month, UTC", |row| Value::Time(row.month.until)),
    always("BillingPeriodStart", Time, "the first instant of the month, UTC", |row| Value::Time(row.month.from)),
    never("CapacityReservationId", Text),
    never("CapacityReservationStatus", Text),
    always("ChargeCategory", Text, "`Usage`", |_| Value::text("Usage")),
    maybe("ChargeClass", Text, "null: the month is written anew, and holds no corrections", |_| Value::Null),
    maybe("ChargeDescription", Text, "model, meter and tier in words", |row| Value::text(row.description())),
    always("ChargeFrequency", Text, "`Usage-Based`", |_| Value::text("Usage-Based")),
    always("ChargePeriodEnd", Time, "the first instant of the next day, UTC", |row| Value::Time(row.day.end())),
    always("ChargePeriodStart", Time, "the first instant of the day, UTC", |row| Value::Time(row.day.start())),
    never("CommitmentDiscountCategory", Text),
    never("CommitmentDiscountId", Text),
    never("CommitmentDiscountName", Text),
    never("CommitmentDiscountQuantity", Decimal),
    never("CommitmentDiscountStatus", Text),
    never("CommitmentDiscountType", Text),
    never("CommitmentDiscountUnit", Text),
    never("CommitmentProgramEligibilityDetails", Json).only(V1_4),
    maybe("ConsumedQuantity", Decimal, "the quantity as reported, of this meter alone", |row| {
        Value::Decimal(row.consumed)
    }),
    maybe("ConsumedUnit", Text, "`Tokens`, `Seconds`, `Characters`, `Images` or `Requests`", |row| {
        Value::text(sku::meter_name(row.item.meter).unit)
    }),
    never("ContractApplied", Json).only(V1_4),
    always("ContractedCost", Decimal, "equal to `BilledCost`: a contract's prices are in it", |row| {
        Value::usd(row.sum.cost)
    }),
    maybe("ContractedUnitPrice", Decimal, "the price that was paid, for one `PricingUnit`", |row| {
        Value::usd(row.item.price.rate.price)
    }),
    always("EffectiveCost", Decimal, "equal to `BilledCost`: nothing is paid in advance", |row| {
        Value::usd(row.sum.cost)
    }),
    maybe("HostProviderName", Text, "the provider, as it calls itself", |row| Value::text(company(row))).only(V1_4),
    never("InvoiceDetailId", Text).only(V1_4),
    maybe("InvoiceId", Text, "null: nothing of it was held against an invoice", |_| Value::Null),
    always("InvoiceIssuerName", Text, "the provider, as it calls itself", |row| Value::text(company(row))),
    always("ListCost", Decimal, "the same quantity at list price, rounded per request", |row| {
        Value::usd(row.sum.list_cost)
    }),
    maybe(
        "ListUnitPrice",
        Decimal,
        "the list price, for one `PricingUnit`; where none is known, the price that was paid",
        |row| Value::usd(row.list_unit_price),
    ),
    maybe("PricingCategory", Text, "`Standard`: prices are known before they are paid, in every tier", |_| {
        Value::text("Standard")
    }),
    always("PricingCurrency", Text, "`USD`", |_| Value::text("USD")),
    maybe("PricingCurrencyContractedUnitPrice", Decimal, "equal to `ContractedUnitPrice`", |row| {
        Value::usd(row.item.price.rate.price)
    }),
    always("PricingCurrencyEffectiveCost", Decimal, "equal to `EffectiveCost`", |row| Value::usd(row.sum.cost)),
    maybe("PricingCurrencyListUnitPrice", Decimal, "equal to `ListUnitPrice`", |row| Value::usd(row.list_unit_price)),
    maybe(
        "PricingQuantity",
        Decimal,
        "what was billed, in `PricingUnit`: at least the price's smallest quantity for each request",
        |row| Value::Decimal(row.pricing),
    ),
    maybe("PricingUnit", Text, "what the price is for: `1000000 Tokens`, `Hours`, …", |row| {
        Value::text(sku::pricing_unit(row.item.meter, row.item.price.rate.per))
    }),
    always("ProviderName", Text, "the provider, as it calls itself", |row| Value::text(company(row))).only(V1_2),
    always("PublisherName", Text, "the provider, as it calls itself", |row| Value::text(company(row))).only(V1_2),
    never("RegionId", Text),
    never("RegionName", Text),
    never("ResourceId", Text),
    never("ResourceName", Text),
    never("ResourceType", Text),
    always("ServiceCategory", Text, "`AI and Machine Learning`", |_| Value::text("AI and Machine Learning")),
    always("ServiceName", Text, "what the provider calls its service", |row| {
        Value::text(sku::provider_names(&row.item.provider).1)
    }),
    always("ServiceProviderName", Text, "the provider, as it calls itself", |row| Value::text(company(row))).only(V1_4),
    always("ServiceSubcategory", Text, "`Generative AI`", |_| Value::text("Generative AI")),
    maybe("SkuId", Text, "provider, model and meter", |row| Value::text(sku::sku_id(row.item))),
    maybe("SkuMeter", Text, "the meter in words", |row| Value::text(sku::meter_name(row.item.meter).name)),
    maybe("SkuPriceDetails", Json, "model, tier, direction, cache, kind and first day of the price", |row| {
        Value::text(sku::details(row.item))
    }),
    maybe("SkuPriceId", Text, "`SkuId`, tier, and the row of the price book, with a short digest", |row| {
        Value::text(sku::sku_price_id(row.item))
    }),
    maybe("SubAccountId", Text, "`team` of `charges`; null where nobody's", |row| {
        Value::optional(row.item.team.as_deref())
    }),
    maybe("SubAccountName", Text, "the team, or the pool of a shared key", |row| {
        Value::optional(row.sub_account_name())
    }),
    maybe("SubAccountType", Text, "`Team` or `Pool`", |row| Value::optional(row.sub_account_type())),
    maybe("Tags", Json, "team, key, project, environment and purpose, as far as they are known", |row| {
        row.tags().map_or(Value::Null, Value::text)
    }),
    always(
        "x_CostBasis",
        Text,
        "`basis` of the requests in `charges`: `List`, `Contract`, or `Estimated` where a meter of them has a fallback price only",
        |row| Value::text(row.cost_basis()),
    ),
    maybe("x_Environment", Text, "`environment` of `charges`", |row| Value::optional(row.item.environment.as_deref())),
    maybe("x_Key", Text, "`key` of `charges`: a name or a fingerprint, never the key", |row| {
        Value::optional(row.item.key.as_deref())
    }),
    always("x_Meter", Text, "the meter's column in `charges`", |row| Value::text(row.item.meter.info().column)),
    always("x_Model", Text, "`model_billed` of `charges`", |row| Value::text(row.item.model.as_str())),
    always("x_PriceKind", Text, "`list`, `contract` or `fallback`: that of this meter's price", |row| {
        Value::text(row.item.price.kind.name())
    }),
    maybe("x_Project", Text, "`project` of `charges`", |row| Value::optional(row.item.project.as_deref())),
    always("x_Provider", Text, "`provider` of `charges`", |row| Value::text(row.item.provider.as_str())),
    maybe("x_Purpose", Text, "`purpose` of `charges`", |row| Value::optional(row.item.purpose.as_deref())),
    always(
        "x_RequestCount",
        Count,
        "requests that have this meter: one with input and output is counted in both rows",
        |row| Value::Count(i64::try_from(row.sum.requests).unwrap_or(i64::MAX)),
    ),
    always("x_ServiceTier", Text, "the tier as served; `on_demand` where none is named", |row| {
        Value::text(row.item.tier.as_str())
    }),
];

fn company<'v>(row: &'v Row<'_>) -> &'v str {
    sku::provider_names(&row.item.provider).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_width_in_order() {
        for (version, width) in [(V1_2, 57), (V1_4, 65)] {
            let names: Vec<&str> = columns(version).map(|column| column.name).collect();
            let (own, standard): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("x_"));
            assert_eq!(standard.len(), width);
            assert_eq!([&standard[..], &own[..]].concat(), names, "columns of our own come last");
            for part in [standard, own] {
                let mut sorted = part.clone();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted, part);
            }
        }
    }
}
