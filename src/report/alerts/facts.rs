//! What a run knows, before anything is decided. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{BudgetId, Count};
use crate::{
    audit::ViolationKind,
    budgets::{Scope, Statement},
    config::Period,
    money::Usd,
    time::{Day, Instant},
};

/// All that decisions are made from.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Each budget in each period that is looked at, open ones and ended ones.
    pub budgets: Vec<Standing>,
    pub spikes: Vec<Spike>,
    pub silent: Vec<Silent>,
    pub unpriced: Vec<Unpriced>,
    pub rotations: Vec<Rotation>,
    /// By team, day and kind.
    pub violations: BTreeMap<Option<String>, BTreeMap<Day, Broken>>,
    /// Requests that are nobody's, and all requests, of the same days.
    pub unattributed: BTreeMap<Day, Count>,
    pub all: BTreeMap<Day, Count>,
}

/// The violations of a day, by kind.
pub(super) type Broken = BTreeMap<ViolationKind, Count>;

/// A budget in one of its periods.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub kind: Period,
    pub is_current: bool,
    pub statement: Statement,
}

impl Standing {
    pub(super) fn id(&self) -> BudgetId {
        let Statement { scope, period, .. } = &self.statement;
        BudgetId { scope: scope.clone(), kind: self.kind, period: period.name.clone() }
    }
}

/// A day that cost far more than days do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spike {
    pub scope: Scope,
    pub day: Day,
    pub from: Instant,
    pub until: Instant,
    pub spend: Usd,
    pub median: Usd,
    pub limit: Usd,
}

/// A source that gave nothing for longer than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silent {
    pub source: String,
    /// When it was last heard, or first looked for in vain.
    pub since: Instant,
    pub was_heard: bool,
    /// For so long, in microseconds.
    pub limit_micros: i64,
    /// Budgets that are not known without it.
    pub of: BTreeSet<Scope>,
}

/// A model that was used lately, and has no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unpriced {
    pub provider: String,
    pub model: String,
    pub since: Instant,
    pub requests: i64,
    /// What the fallback price makes of it; `None` where there is none, and the
    /// cost is not known at all.
    pub estimate: Option<Usd>,
}

/// A key that is old and in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rotation {
    pub key: String,
    pub team: Option<String>,
    /// Where the registry says since when it is valid; else it has been in use
    /// for longer than the limit.
    pub days: Option<i64>,
}
