//! `prices`: the rows of the price book as they stand in its files.

use std::collections::{BTreeMap, HashSet};

use super::{Asked, Row, TableError, Value};
use crate::{
    pricing::{self, Price, Refused},
    record::{
        Column,
        ColumnType::{Bool, Decimal, Dict, Int64, Text, Timestamp},
        optional, required,
    },
    time::Instant,
};

pub(super) const COLUMNS: &[Column] = &[
    required("provider", Dict, "who bills, in lower case"),
    required("model", Dict, "the price book's name for the model; `*` is every model of the provider"),
    required("tier", Dict, "the service tier; `*` is every tier"),
    required("meter", Dict, "what is priced: the name of a column of `usage`"),
    optional("price_usd", Decimal, "for `per` units, in USD; NULL ends a price"),
    optional("per", Int64, "for how many units of the meter's column, such as 1000000 tokens or 3600000 milliseconds"),
    optional("min_quantity", Int64, "the smallest quantity of a request that is billed, where it is above zero"),
    required("kind", Dict, "`contract`, `list` or `fallback`"),
    required("valid_from", Timestamp, "from when on the row applies"),
    optional("valid_until", Timestamp, "until when, exclusive; NULL is open"),
    required("known_from", Timestamp, "when it was learnt: what is known later covers what was known earlier"),
    required("in_force", Bool, "whether it applies now: it is valid, known, and covered by no other row"),
    required("source", Text, "where the number comes from"),
    required("note", Text, "what else there is to know of it"),
    required("file", Dict, "the file of the price book"),
    required("line", Int64, "the line in that file"),
];

pub(super) fn rows(asked: &Asked<'_>) -> Result<Vec<Row>, TableError> {
    let prices = pricing::read(&asked.config.pricing_dir()).into_book().map_err(Refused)?;
    let mut prices: Vec<&Price> = prices.prices().iter().collect();
    prices.sort_by_key(|price| (of_one_price(price), price.validity.from, price.validity.known_from));
    let in_force = in_force(&prices, asked.now);
    let row = |price: &&Price| {
        let least = price.rate.map(|rate| rate.min_quantity).filter(|&least| least > 0);
        let line = i64::try_from(price.place.line).unwrap_or(i64::MAX);
        let mut row: Row = [&price.provider, &price.model, &price.tier].map(|name| Value::from(name.as_str())).to_vec();
        row.extend([
            price.meter.info().column.into(),
            price.rate.map(|rate| rate.price).into(),
            price.rate.map(|rate| rate.per).into(),
            least.into(),
            price.kind.name().into(),
            price.validity.from.into(),
            price.validity.until.into(),
            price.validity.known_from.into(),
            in_force.contains(&std::ptr::from_ref::<Price>(price)).into(),
            price.source.as_str().into(),
            price.note.as_str().into(),
            price.place.file.to_string().into(),
            line.into(),
        ]);
        row
    };
    Ok(prices.iter().map(row).collect())
}

/// What rows must share for the one that is known latest to cover the others.
fn of_one_price(price: &Price) -> (&str, &str, &str, usize, pricing::Kind) {
    (&price.provider, &price.model, &price.tier, price.meter.index(), price.kind)
}

/// The rows that hold now; each of them is told by where it stands in memory.
fn in_force(prices: &[&Price], now: Instant) -> HashSet<*const Price> {
    let mut latest: BTreeMap<_, &Price> = BTreeMap::new();
    let holds = |price: &&&Price| price.validity.holds_at(now) && price.validity.known_from <= now;
    for price in prices.iter().filter(holds) {
        let known = latest.entry(of_one_price(price)).or_insert(price);
        if known.validity.known_from < price.validity.known_from {
            *known = price;
        }
    }
    latest.into_values().map(std::ptr::from_ref).collect()
}
