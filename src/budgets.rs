//! Budgets: how much may be spent in a period, how much was, and how much will
//! have been at its end.
//!
//! Pure: what a config says and said ([`Timeline`]), what was spent
//! ([`Ledger`]) and up to when that is known come in, a [`Statement`] comes
//! out. Amounts are exact; a percentage is rounded down, so that 100 % means
//! reached. Only the forecast is a guess, has a range, and is *unknown* where
//! the data are thin. A budget that seems to be kept while usage has no price
//! or a source is silent is *unknown* too, and its forecast a least amount.
//!
//! Left out on purpose: whom to tell (`report`), and policy (`audit`).

#![deny(clippy::float_arithmetic)]

mod forecast;
mod spend;
mod timeline;

use std::fmt;

use crate::{
    money::Usd,
    periods::{Calendar, PeriodSpan},
    time::Instant,
};

pub use forecast::{Forecast, Method, Projection, Unforeseen, WEEKS_BACK};
pub use spend::{Ledger, Lines, Silence, SpendRow, divide};
pub use timeline::{Amount, Timeline};

/// Whose spend a budget is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Organization,
    Team(String),
    Key(String),
    /// By the price book's name of the model.
    Model(String),
}

/// The one way in which arithmetic on amounts can fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the spend of {scope} in the period `{period}` has more than 26 digits before the point; look for a price that is wrong by many digits"
)]
pub struct TooLarge {
    pub scope: Scope,
    pub period: String,
}

/// What is known against a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Within,
    /// Spent to the last digit.
    Reached,
    Exceeded,
    /// Within by what is known, and too much is not: see [`Statement::gaps`].
    Unknown,
}

impl Standing {
    /// The name in data, and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Reached => "reached",
            Self::Exceeded => "exceeded",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a sum is less than what was spent, perhaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    Unpriced {
        requests: i64,
        of: i64,
    },
    Silent(Silence),
    /// Days of the period whose charges are not there, or of an earlier usage.
    Stale {
        days: usize,
    },
    /// The totals of the beginning of the period are gone.
    Pruned {
        until: Instant,
    },
}

/// A budget in one of its periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub scope: Scope,
    pub period: PeriodSpan,
    pub calendar: Calendar,
    /// From when spend counts: the beginning of the period, or the day in it
    /// from which there is a budget.
    pub from: Instant,
    /// What the config gives for the period.
    pub amount: Usd,
    /// What was left of the periods before.
    pub rolled_over: Usd,
    pub lines: Lines,
    /// The sum of the lines.
    pub spend: Usd,
    /// In percent, rising.
    pub thresholds: Vec<u16>,
    /// Worth telling: too much is not known.
    pub gaps: Vec<Gap>,
    /// What has been spent per day of 24 hours; `None` before anything is known.
    pub burn_per_day: Option<Usd>,
    pub forecast: Forecast,
}

impl Statement {
    /// What may be spent in the period.
    pub fn budget(&self) -> Usd {
        // Both are below what a config accepts.
        self.amount.checked_add(self.rolled_over).unwrap_or(self.amount)
    }

    /// Rounded down.
    pub fn percent(&self) -> i64 {
        percent(self.spend, self.budget())
    }

    /// Below zero where the budget is exceeded.
    pub fn remaining(&self) -> Option<Usd> {
        self.budget().checked_sub(self.spend)
    }

    pub fn standing(&self) -> Standing {
        match self.spend.cmp(&self.budget()) {
            std::cmp::Ordering::Greater => Standing::Exceeded,
            std::cmp::Ordering::Equal => Standing::Reached,
            std::cmp::Ordering::Less if self.gaps.is_empty() => Standing::Within,
            std::cmp::Ordering::Less => Standing::Unknown,
        }
    }

    /// The highest threshold that the spend is at or above.
    pub fn level(&self) -> Option<u16> {
        let percent = self.percent();
        self.thresholds.iter().copied().filter(|&threshold| i64::from(threshold) <= percent).max()
    }
}

/// How many hundredths of `whole` are in `part`, rounded down: 100 only where
/// it is all of it. Of nothing, nothing is 0 and anything is without end.
pub fn percent(part: Usd, whole: Usd) -> i64 {
    let (part, whole) = (part.pico(), whole.pico());
    if whole <= 0 {
        return if part <= 0 { 0 } else { i64::MAX };
    }
    let percent = part.checked_mul(100).map(|hundredfold| hundredfold.div_euclid(whole));
    percent.and_then(|percent| i64::try_from(percent).ok()).unwrap_or(if part < 0 { i64::MIN } else { i64::MAX })
}

impl Scope {
    /// What kind it is, in data.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team(_) => "team",
            Self::Key(_) => "key",
            Self::Model(_) => "model",
        }
    }

    /// `None` is the organization's.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Organization => None,
            Self::Team(name) | Self::Key(name) | Self::Model(name) => Some(name),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization => f.write_str("the organization"),
            Self::Team(name) => write!(f, "the team `{name}`"),
            Self::Key(name) => write!(f, "the key `{name}`"),
            Self::Model(name) => write!(f, "the model `{name}`"),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpriced { requests, of } => write!(f, "{requests} of {of} requests have no price"),
            Self::Stale { days: 1 } => f.write_str("a day of it is not priced"),
            Self::Stale { days } => write!(f, "{days} days of it are not priced"),
            Self::Pruned { until } => write!(f, "what was spent before {until} was pruned"),
            Self::Silent(silence) => write!(f, "nothing from the source `{}` since {}", silence.source, silence.since),
        }
    }
}

#[cfg(test)]
mod tests;
