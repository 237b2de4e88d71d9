//! The price book: dated prices in, the price of every request out.
//!
//! Pure but for [`read()`], which reads a directory once. A [`Draft`] is what the
//! files say; a [`PriceBook`] can only be made from a draft whose check found no
//! error, so that a book with an error never prices anything. Amounts are
//! integers of pico-dollars throughout. What is left out on purpose: the latest
//! price over a hole in history, and any likeness of names.

#![deny(clippy::float_arithmetic)]

mod cell;
mod charge;
mod check;
mod choose;
mod consider;
mod digest;
mod finding;
pub mod import;
#[cfg(test)]
mod known_answers;
mod label;
#[cfg(test)]
mod oracle;
mod pins;
mod read;
#[cfg(test)]
mod testing;

use std::sync::Arc;

pub use charge::{Charge, ChargeError, NO_USAGE, Request};
pub use check::LastPricing;
pub use choose::{Ask, Cause, Choice, Chosen, PriceBook, Stretch};
pub use consider::{Considered, Verdict};
pub use digest::Digest;
pub use finding::{Code, Finding, Refused, Severity};
pub use label::{Basis, Label, MeterSet};
pub use read::{Draft, files, read};

use crate::{
    money::Usd,
    record::Meter,
    time::{Day, Instant},
};

/// In `model`: every model of the provider. In `tier`: every tier.
pub const ANY: &str = "*";

/// What a quantity costs: a price for so many of the meter's base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    pub price: Usd,
    /// In the unit of the meter's column: tokens, milliseconds, …
    pub per: i64,
    /// The smallest billed quantity of a request, or 0.
    pub min_quantity: i64,
}

impl Rate {
    /// One line item; `None` where it would overflow.
    pub fn cost(self, quantity: i64) -> Option<Usd> {
        if quantity <= 0 {
            return Some(Usd::ZERO);
        }
        self.price.for_quantity(quantity.max(self.min_quantity), self.per)
    }

    /// `0.59 per 1M`, and the least that is billed.
    pub fn text(self, meter: Meter) -> String {
        let amount = |quantity| cell::amount_text(quantity, meter.info().unit);
        let least =
            if self.min_quantity > 0 { format!(", at least {}", amount(self.min_quantity)) } else { String::new() };
        format!("{} per {}{least}", cell::price_text(self.price), amount(self.per))
    }
}

/// Where a price comes from, and so how certain it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Contract,
    List,
    Fallback,
}

impl Kind {
    /// In the order in which their cards are tried.
    pub const ALL: [Self; 3] = [Self::Contract, Self::List, Self::Fallback];

    /// The name in the price book.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::List => "list",
            Self::Fallback => "fallback",
        }
    }
}

/// When a row applies, and since when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: Instant,
    /// Exclusive; `None` is open.
    pub until: Option<Instant>,
    pub known_from: Instant,
}

impl Validity {
    pub fn holds_at(&self, at: Instant) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// Whether it holds at some instant of `[from, until)`.
    pub fn touches(&self, from: Instant, until: Instant) -> bool {
        self.from < until && self.until.is_none_or(|own| from < own)
    }
}

/// A file of the price book and a line in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One row of the price book: one price, or, without a rate, the end of one.
#[derive(Debug, Clone)]
pub struct Price {
    pub provider: String,
    pub model: String,
    pub tier: String,
    pub meter: Meter,
    pub rate: Option<Rate>,
    pub kind: Kind,
    pub validity: Validity,
    pub source: String,
    pub note: String,
    pub place: Place,
    /// Over everything but source, note and place.
    pub digest: Digest,
}

/// One row of `aliases.csv`: a name that stands for the book's, or, without a
/// model, from then on for itself again.
#[derive(Debug, Clone)]
pub struct Alias {
    pub provider: String,
    pub alias: String,
    pub model: Option<String>,
    pub validity: Validity,
    pub source: String,
    pub note: String,
    pub place: Place,
    /// Over everything but source, note and place.
    pub digest: Digest,
}

/// A row with dates, of which those known later cover those known earlier.
trait Dated {
    fn validity(&self) -> &Validity;
    fn place(&self) -> &Place;
}

impl Dated for Price {
    fn validity(&self) -> &Validity {
        &self.validity
    }
    fn place(&self) -> &Place {
        &self.place
    }
}

impl Dated for Alias {
    fn validity(&self) -> &Validity {
        &self.validity
    }
    fn place(&self) -> &Place {
        &self.place
    }
}

/// Of the rows that hold at an instant and were known on another, the one known
/// latest. A checked book has no ties.
fn in_force<'r, T: Dated>(rows: impl IntoIterator<Item = &'r T>, at: Instant, known_on: Instant) -> Option<&'r T> {
    rows.into_iter()
        .filter(|row| row.validity().holds_at(at) && row.validity().known_from <= known_on)
        .max_by_key(|row| row.validity().known_from)
}

/// A date where the instant is the first of its day, else all of it.
pub fn date_text(instant: Instant) -> String {
    let day: Day = instant.day();
    if day.start() == instant { day.to_string() } else { instant.to_string() }
}
