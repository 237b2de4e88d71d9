//! What is remembered of each run: events, as they are written.
//!
//! Events say what was decided, never how it looks; they hold all that the
//! next decision needs, so that mails can change their words and nothing is
//! told twice. Names of fields are only ever added to.

use serde::{Deserialize, Serialize};

use super::text_form;
use crate::{
    budgets::Scope,
    money::Usd,
    periods::Period,
    time::{Day, Instant},
};

/// A budget in one of its periods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct BudgetId {
    #[serde(with = "ScopeForm")]
    pub scope: Scope,
    #[serde(with = "PeriodForm")]
    pub kind: Period,
    /// `2026-11`, `2026-W46`, …
    pub period: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scope", rename_all = "snake_case")]
enum ScopeForm {
    Organization,
    Team(String),
    Key(String),
    Model(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Period", rename_all = "snake_case")]
enum PeriodForm {
    Day,
    Week,
    Month,
    Quarter,
}

/// What is raised once for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lasting {
    Forecast,
    Spike,
    SilentSource,
    Unpriced,
    KeyRotation,
}

/// What is told of as much as is new, at most once a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Daily {
    Violations,
    Unattributed,
}

/// How much there was of something on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Count {
    pub number: i64,
    #[serde(with = "text_form::usd")]
    pub cost: Usd,
}

/// One thing that a run found or decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// A team has another name now, and what was told of it is of that name.
    Renamed {
        former: String,
        team: String,
    },
    /// A budget was looked at, and is not as it was.
    Evaluated {
        #[serde(flatten)]
        id: BudgetId,
        #[serde(with = "text_form::usd")]
        spend: Usd,
        #[serde(with = "text_form::usd")]
        budget: Usd,
        thresholds: Vec<u16>,
    },
    /// A threshold stands, as the highest one, and is told.
    Raised {
        #[serde(flatten)]
        id: BudgetId,
        level: u16,
    },
    /// A threshold stands, and is not told.
    Marked {
        #[serde(flatten)]
        id: BudgetId,
        level: u16,
    },
    /// `level` is the highest one that still stands; `withdrawn` no longer do.
    Withdrawn {
        #[serde(flatten)]
        id: BudgetId,
        level: Option<u16>,
        withdrawn: Vec<u16>,
        is_told: bool,
    },
    /// Something began that lasts. It is not told where an alert of the same
    /// run says it already.
    Began {
        kind: Lasting,
        subject: String,
        is_told: bool,
    },
    /// It was not there for the first time since.
    Gone {
        kind: Lasting,
        subject: String,
    },
    /// It was there again before it had ended.
    Back {
        kind: Lasting,
        subject: String,
    },
    Ended {
        kind: Lasting,
        subject: String,
    },
    /// What there was on a day has been told, or is marked as seen.
    Counted {
        kind: Daily,
        subject: String,
        #[serde(with = "text_form::day")]
        day: Day,
        #[serde(flatten)]
        count: Count,
    },
    /// Today's alert has been raised.
    Told {
        kind: Daily,
        subject: String,
        #[serde(with = "text_form::day")]
        on: Day,
    },
}

/// What is read again of a run: one object of `alerts/`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Past {
    #[serde(with = "text_form::instant")]
    pub at: Instant,
    pub events: Vec<Event>,
    #[serde(default)]
    pub mails: Vec<PastMail>,
}

/// What is read again of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PastMail {
    pub id: String,
    pub to: String,
    /// The conversations that it began or went on with.
    pub threads: Vec<String>,
}
