//! What stands beside the dataset in `metadata.json`: its schema in the words of
//! FOCUS, and under `x_Spendbook` what the numbers are, what is left out, and how
//! far products are off for rounding. Written last: its digests say which files
//! belong together.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Version,
    columns::{Kind, columns},
    row::Row,
};
use crate::{
    charges::{Behind, DayItems},
    money::Usd,
    periods::PeriodSpan,
    pricing::Basis,
    time::{Day, Instant},
};

pub(super) const METADATA: &str = "metadata.json";

/// When the columns last changed: another change makes another schema.
const SCHEMA_CREATED: &str = "2026-11-21T00:00:00Z";
const SCHEMA_NUMBER: u32 = 1;

/// What the numbers are, for who opens the file without its documentation.
const WHAT: &str = "Computed from logged usage and a dated price book, not from invoices: every amount is an estimate \
                    until it is reconciled with the provider's bill. BilledCost is what the usage costs by these \
                    prices. Requests without a price are left out and counted under `unpriced`.";

/// A file of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    pub name: &'static str,
    pub bytes: u64,
    pub sha256: String,
}

/// What a month comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub requests: u64,
    pub free: u64,
    /// By provider and model.
    pub unpriced: BTreeMap<(String, String), u64>,
    pub estimated_requests: u64,
    pub cost: Usd,
    pub list_cost: Usd,
    pub estimated_cost: Usd,
    /// Of nobody's.
    pub unattributed_cost: Usd,
    pub days: Vec<DayCount>,
    rounding: Rounding,
}

/// A day of the month that has charges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    pub day: Day,
    requests: u64,
    cost: Usd,
    pub digest: String,
}

/// Rows whose unit price times quantity is not their cost to the last digit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rounding {
    rows: u64,
    largest_off: u128,
    list_rows: u64,
    largest_list_off: u128,
}

impl Counts {
    /// The requests without a price.
    pub fn unpriced_requests(&self) -> u64 {
        self.unpriced.values().sum()
    }

    /// Adds a day; `None` where a sum would not fit.
    pub(super) fn add(&mut self, day: Day, items: &DayItems, rows: &[Row<'_>]) -> Option<()> {
        self.rows += rows.len() as u64;
        self.requests += items.requests;
        self.free += items.free;
        self.estimated_requests += items.estimated;
        for (model, count) in &items.unpriced {
            *self.unpriced.entry(model.clone()).or_default() += count;
        }
        let mut cost = Usd::ZERO;
        for row in rows {
            cost = cost.checked_add(row.sum.cost)?;
            self.list_cost = self.list_cost.checked_add(row.sum.list_cost)?;
            if row.item.basis == Basis::Fallback {
                self.estimated_cost = self.estimated_cost.checked_add(row.sum.cost)?;
            }
            if row.item.team.is_none() {
                self.unattributed_cost = self.unattributed_cost.checked_add(row.sum.cost)?;
            }
            self.rounding.add(row);
        }
        self.cost = self.cost.checked_add(cost)?;
        self.days.push(DayCount { day, requests: items.requests, cost, digest: items.digest.clone() });
        Some(())
    }

    /// Tenths of a percent of the cost that are estimated, rounded down.
    pub fn estimated_tenths(&self) -> i64 {
        let tenths = self.estimated_cost.pico().saturating_mul(1_000).checked_div(self.cost.pico());
        tenths.and_then(|tenths| i64::try_from(tenths).ok()).unwrap_or_default()
    }
}

impl Rounding {
    fn add(&mut self, row: &Row<'_>) {
        let off = row.off(row.item.price.rate.price, row.sum.cost).unwrap_or(u128::MAX);
        let list_off = row.off(row.list_unit_price, row.sum.list_cost).unwrap_or(u128::MAX);
        self.rows += u64::from(off > 0);
        self.list_rows += u64::from(list_off > 0);
        self.largest_off = self.largest_off.max(off);
        self.largest_list_off = self.largest_list_off.max(list_off);
    }
}

/// What is told beside the counts.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub version: Version,
    pub month: &'a PeriodSpan,
    /// Until when what was logged is in the book, and priced.
    pub known_until: Option<Instant>,
    pub behind: &'a BTreeMap<Day, Behind>,
    /// What was before it was pruned.
    pub pruned_until: Option<Day>,
    pub files: &'a [WrittenFile],
}

impl About<'_> {
    /// The text of `metadata.json`.
    pub(super) fn to_json(&self, counts: &Counts) -> String {
        let instance = "spendbook-cost-and-usage";
        let version = self.version.name();
        let mut schema = json!({
            "SchemaId": format!("spendbook-focus-{version}-{SCHEMA_NUMBER}"),
            "FocusVersion": version,
            "CreationDate": SCHEMA_CREATED,
            "DataGeneratorVersion": env!("CARGO_PKG_VERSION"),
            "ColumnDefinition": column_definitions(self.version),
        });
        let mut metadata = json!({
            "DataGenerator": { "DataGenerator": "Spendbook" },
            "x_Spendbook": self.own(counts),
        });
        if self.version == Version::V1_4 {
            schema["DatasetInstanceId"] = instance.into();
            metadata["DatasetInstance"] = json!([{
                "DatasetInstanceId": instance,
                "DatasetInstanceName": "Spendbook",
                "FocusDatasetId": "CostAndUsage",
            }]);
            metadata["Recency"] = json!([self.recency(instance, counts)]);
            metadata["Schema"] = json!([schema]);
        } else {
            metadata["Schema"] = schema;
        }
        serde_json::to_string_pretty(&metadata).unwrap_or_default() + "\n"
    }

    /// A day is complete once what was logged until its end is in the book.
    fn recency(&self, instance: &str, counts: &Counts) -> Value {
        let updated = self.known_until.map(|at| at.to_string());
        let is_complete = |end: Instant| self.known_until.is_some_and(|at| at >= end);
        let sector = |day: &DayCount| {
            json!({
                "TimeSectorStart": day.day.start().to_string(),
                "TimeSectorEnd": day.day.end().to_string(),
                "TimeSectorComplete": is_complete(day.day.end()),
                "TimeSectorLastUpdated": updated,
            })
        };
        json!({
            "DatasetInstanceId": instance,
            "DatasetInstanceLastUpdated": updated,
            "DatasetInstanceComplete": is_complete(self.month.until),
            "RecencyLastUpdated": updated,
            "TimeSectors": counts.days.iter().map(sector).collect::<Vec<_>>(),
        })
    }

    /// What FOCUS has no words for.
    fn own(&self, counts: &Counts) -> Value {
        let usd = |pico: u128| {
            let amount = i128::try_from(pico).ok().and_then(Usd::from_pico);
            amount.map(|amount| amount.to_string())
        };
        let model = |((provider, model), requests): (&(String, String), &u64)| json!({ "provider": provider, "model": model, "requests": requests });
        let day = |it: &DayCount| {
            json!({
                "date": it.day.to_string(),
                "requests": it.requests,
                "cost": it.cost.to_string(),
                "charges": it.digest,
            })
        };
        let behind = |(day, behind): (&Day, &Behind)| json!({ "date": day.to_string(), "behind": behind.name() });
        let rounding = &counts.rounding;
        json!({
            "what": WHAT,
            "billing_period": self.month.name,
            "currency": "USD",
            "known_until": self.known_until.map(|at| at.to_string()),
            "rows": counts.rows,
            "requests": counts.requests,
            "free_requests": counts.free,
            "cost": counts.cost.to_string(),
            "list_cost": counts.list_cost.to_string(),
            "estimated": {
                "requests": counts.estimated_requests,
                "cost": counts.estimated_cost.to_string(),
                "percent": format!("{}.{}", counts.estimated_tenths() / 10, counts.estimated_tenths() % 10),
            },
            "unattributed_cost": counts.unattributed_cost.to_string(),
            "unpriced": {
                "requests": counts.unpriced_requests(),
                "models": counts.unpriced.iter().map(model).collect::<Vec<_>>(),
            },
            "rounding": {
                "rows_whose_price_times_quantity_is_off": rounding.rows,
                "largest_difference": usd(rounding.largest_off),
                "rows_whose_list_price_times_quantity_is_off": rounding.list_rows,
                "largest_list_difference": usd(rounding.largest_list_off),
            },
            "one_step_apart": self.behind.iter().map(behind).collect::<Vec<_>>(),
            "pruned_until": self.pruned_until.map(|day| day.to_string()),
            "days": counts.days.iter().map(day).collect::<Vec<_>>(),
            "files": self.files,
        })
    }
}

fn column_definitions(version: Version) -> Vec<Value> {
    columns(version)
        .map(|column| {
            let mut definition = json!({ "ColumnName": column.name });
            definition["DataType"] = match column.kind {
                Kind::Text => "STRING",
                Kind::Json => "JSON",
                Kind::Time => "DATETIME",
                Kind::Decimal | Kind::Count => "DECIMAL",
            }
            .into();
            match column.kind {
                Kind::Text | Kind::Json => definition["StringEncoding"] = "UTF-8".into(),
                Kind::Decimal => {
                    definition["NumericPrecision"] = 38.into();
                    definition["NumberScale"] = 12.into();
                }
                Kind::Count => {
                    definition["NumericPrecision"] = 19.into();
                    definition["NumberScale"] = 0.into();
                }
                Kind::Time => {}
            }
            definition
        })
        .collect()
}
