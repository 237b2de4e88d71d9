//! Small price books for tests, written as they stand in a file.

use super::{Ask, Draft, Finding, PriceBook};
use crate::{
    record::{Meter, Quantities},
    time::{Day, Instant},
};

pub(super) const HEADER: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note";
const ALIAS_HEADER: &str = "provider,alias,model,valid_from,valid_until,known_from,source,note";
const PIN_HEADER: &str = "provider,kind,month,rows,digest";

/// The draft of price, alias and pin rows, from line 2 of their files on.
pub(super) fn draft(prices: &[&str], aliases: &[&str], pins: &[&str]) -> Draft {
    let file = |name: &str, header: &str, rows: &[&str]| {
        (name.to_owned(), format!("{header}\n{}\n", rows.join("\n")).into_bytes())
    };
    Draft::from_files(
        "pricing",
        &[
            file("aliases.csv", ALIAS_HEADER, aliases),
            file("p.csv", HEADER, prices),
            file("pins.csv", PIN_HEADER, pins),
        ],
    )
}

pub(super) fn book(prices: &[&str], aliases: &[&str]) -> PriceBook {
    draft(prices, aliases, &[]).into_book().unwrap_or_else(|errors| panic!("{}", lines(&errors)))
}

pub(super) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}

/// A date or an instant.
pub(super) fn at(text: &str) -> Instant {
    Day::parse(text).map(Day::start).or_else(|| Instant::parse(text, chrono_tz::Tz::UTC)).unwrap()
}

pub(super) fn ask<'a>(provider: &'a str, model: &'a str, tier: &'a str) -> Ask<'a> {
    Ask { provider, model, tier: (!tier.is_empty()).then_some(tier) }
}

pub(super) fn quantities(of: &[(Meter, i64)]) -> Quantities {
    let mut quantities = Quantities::default();
    for &(meter, quantity) in of {
        quantities[meter] = Some(quantity);
    }
    quantities
}
