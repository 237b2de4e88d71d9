//! What has been raised, as the fold of all events in the order of their
//! commits. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    event::{BudgetId, Count, Daily, Event, Lasting, Past},
    text_form,
};
use crate::{
    budgets::Scope,
    config::Config,
    money::Usd,
    periods::Period,
    time::{Day, Instant},
};

/// Everything that decisions go by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    /// No run has been committed.
    pub is_first: bool,
    pub budgets: BTreeMap<BudgetId, Known>,
    /// Budgets that were looked at in any period.
    seen: BTreeSet<(Scope, Period)>,
    pub episodes: BTreeMap<(Lasting, String), Episode>,
    pub daily: BTreeMap<(Daily, String), Told>,
    /// The first mail to an address in a conversation.
    pub threads: BTreeMap<(String, String), String>,
}

/// What is known of a budget in a period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Known {
    pub last: Option<Evaluation>,
    /// The highest threshold that stands.
    pub standing: Option<u16>,
    /// The highest one that stands and somebody was told of.
    pub told: Option<u16>,
    /// Thresholds that were withdrawn, with whether they were raised since.
    pub withdrawn: BTreeMap<u16, bool>,
}

/// What the last committed evaluation recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evaluation {
    pub spend: Usd,
    pub budget: Usd,
    pub thresholds: Vec<u16>,
}

/// Something that lasts, and is told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Episode {
    /// Since when no run has found it.
    pub absent_since: Option<Instant>,
}

/// What has been told day by day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Told {
    pub days: BTreeMap<Day, Count>,
    /// The day of the last alert.
    pub last: Option<Day>,
}

/// Counts and closed episodes of days before these are of no use any more.
const KEPT_DAYS: i32 = 60;

impl State {
    /// Folds all runs, in the order of their commits. Teams have the names that
    /// they have now.
    pub(super) fn of<'p>(runs: impl IntoIterator<Item = &'p Past>, config: &Config) -> Self {
        let mut state = Self { is_first: true, ..Self::default() };
        for run in runs {
            state.add(run, config);
        }
        state
    }

    fn add(&mut self, run: &Past, config: &Config) {
        self.is_first = false;
        for event in &run.events {
            self.apply(event, run.at, config);
        }
        for mail in &run.mails {
            for thread in &mail.threads {
                self.threads.entry((mail.to.clone(), thread.clone())).or_insert_with(|| mail.id.clone());
            }
        }
        let oldest = Day::from_days(run.at.day().days() - KEPT_DAYS);
        for told in self.daily.values_mut() {
            told.days.retain(|day, _| *day >= oldest);
        }
    }

    fn apply(&mut self, event: &Event, at: Instant, config: &Config) {
        match event.clone() {
            Event::Evaluated { id, spend, budget, thresholds } => {
                let id = renamed(id, config);
                self.seen.insert((id.scope.clone(), id.kind));
                self.budgets.entry(id).or_default().last = Some(Evaluation { spend, budget, thresholds });
            }
            Event::Raised { id, level } => {
                let known = self.budgets.entry(renamed(id, config)).or_default();
                (known.standing, known.told) = (Some(level), Some(level));
                if let Some(is_raised_again) = known.withdrawn.get_mut(&level) {
                    *is_raised_again = true;
                }
            }
            Event::Marked { id, level } => self.budgets.entry(renamed(id, config)).or_default().standing = Some(level),
            Event::Withdrawn { id, level, withdrawn, .. } => {
                let known = self.budgets.entry(renamed(id, config)).or_default();
                (known.standing, known.told) = (level, known.told.min(level));
                for threshold in withdrawn {
                    known.withdrawn.entry(threshold).or_default();
                }
            }
            Event::Began { kind, subject, .. } | Event::Back { kind, subject } => {
                self.episodes.insert((kind, subject), Episode { absent_since: None });
            }
            Event::Gone { kind, subject } => {
                self.episodes.insert((kind, subject), Episode { absent_since: Some(at) });
            }
            Event::Ended { kind, subject } => _ = self.episodes.remove(&(kind, subject)),
            Event::Counted { kind, subject, day, count } => {
                self.daily.entry((kind, subject)).or_default().days.insert(day, count);
            }
            Event::Told { kind, subject, on } => self.daily.entry((kind, subject)).or_default().last = Some(on),
        }
    }

    /// Whether a budget was looked at before, in any period.
    pub(super) fn has_seen(&self, id: &BudgetId) -> bool {
        self.seen.contains(&(id.scope.clone(), id.kind))
    }
}

/// A team's alerts follow it to its new name.
fn renamed(id: BudgetId, config: &Config) -> BudgetId {
    let Scope::Team(team) = &id.scope else { return id };
    if config.teams.contains_key(team) {
        return id;
    }
    let now = config.teams.values().find(|it| it.formerly.contains(team)).map(|it| it.name.clone());
    BudgetId { scope: now.map_or(id.scope, Scope::Team), ..id }
}
