//! What a run has to tell, from what was raised before and what is known now.
//! Pure: no clock, no disk.

use std::collections::BTreeMap;

use super::{
    daily::{self, Terms},
    episodes::{self, Present},
    event::{Count, Daily, Event, Lasting},
    facts::{Broken, Facts, Rotation, Silent, Spike, Standing, Unpriced},
    state::{Evaluation, State},
    thresholds::{self, Notice},
};
use crate::{
    audit::ViolationKind,
    budgets::{Gap, Scope, percent},
    config::Config,
    money::Usd,
    periods::Calendar,
    time::{Day, Instant},
};

/// What is worth a mail.
#[derive(Debug, Clone)]
pub(super) enum Finding {
    /// A budget is at or above a threshold.
    Threshold {
        standing: Standing,
        level: u16,
    },
    Forecast {
        standing: Standing,
    },
    Spike(Spike),
    Silent(Silent),
    Unpriced(Unpriced),
    Violations {
        team: Option<String>,
        first: Day,
        last: Day,
        kinds: Broken,
    },
    Unattributed {
        first: Day,
        last: Day,
        count: Count,
        /// All requests of those days.
        all: Count,
    },
    Rotation(Rotation),
    /// A budget was told to be at a threshold, and by a correction is not.
    Withdrawn {
        standing: Standing,
        from: u16,
        to: Option<u16>,
        before: Usd,
    },
}

/// What follows from a run.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub events: Vec<Event>,
    /// The gravest first.
    pub findings: Vec<Finding>,
}

/// Requests of nobody are worth a mail from so many dollars on, or where they
/// are more than a hundredth of all.
const UNATTRIBUTED_PICO: i128 = 1_000_000_000_000;

pub(super) fn decide(state: &State, facts: &Facts, config: &Config, now: Instant) -> Decided {
    let mut decided = Decided::default();
    decided.budgets(state, facts);
    decided.lasting(state, facts, now);
    let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
    let seen_before = (!state.has_run).then(|| now.day().previous());
    let terms = Terms { today: calendar.day_of(now), seen_before };
    decided.violations(state, facts, terms);
    decided.unattributed(state, facts, terms);
    decided.findings.sort_by_key(|finding| std::cmp::Reverse(finding.gravity()));
    decided
}

impl Decided {
    fn budgets(&mut self, state: &State, facts: &Facts) {
        for standing in &facts.budgets {
            let (id, statement) = (standing.id(), &standing.statement);
            let now = Evaluation {
                spend: statement.spend,
                budget: statement.budget(),
                thresholds: statement.thresholds.clone(),
            };
            let known = state.budgets.get(&id).cloned().unwrap_or_default();
            // What has lost its price is not known, and no correction.
            let is_doubtful = statement.gaps.iter().any(|gap| !matches!(gap, Gap::Silent(_)));
            if is_doubtful && now.level() < known.standing {
                continue;
            }
            // Of a budget that nobody looked at before, the open period counts.
            let is_seen = !standing.is_current && !state.has_seen(&id);
            let verdict = thresholds::decide(&id, &known, &now, is_seen);
            self.events.extend(verdict.events);
            let standing = || standing.clone();
            match verdict.notice {
                Some(Notice::Raised { level }) => {
                    self.findings.push(Finding::Threshold { standing: standing(), level });
                }
                Some(Notice::Withdrawn { from, to, before }) => {
                    self.findings.push(Finding::Withdrawn { standing: standing(), from, to, before });
                }
                None => {}
            }
        }
    }

    fn lasting(&mut self, state: &State, facts: &Facts, now: Instant) {
        let mut found: BTreeMap<(Lasting, String), Finding> = BTreeMap::new();
        let mut says_already = Present::new();
        for standing in facts.budgets.iter().filter(|standing| will_exceed(standing)) {
            let subject = (Lasting::Forecast, subject_of(standing));
            let id = standing.id();
            let is_told =
                |finding: &Finding| matches!(finding, Finding::Threshold { standing, .. } if standing.id() == id);
            if self.findings.iter().any(is_told) {
                says_already.insert(subject.clone());
            }
            found.insert(subject, Finding::Forecast { standing: standing.clone() });
        }
        for spike in &facts.spikes {
            let subject = spike.scope.name().map_or_else(String::new, |name| format!("{} {name}", spike.scope.kind()));
            found.insert((Lasting::Spike, subject), Finding::Spike(spike.clone()));
        }
        for silent in &facts.silent {
            found.insert((Lasting::SilentSource, silent.source.clone()), Finding::Silent(silent.clone()));
        }
        for unpriced in &facts.unpriced {
            let subject = format!("{} {}", unpriced.provider, unpriced.model);
            found.insert((Lasting::Unpriced, subject), Finding::Unpriced(unpriced.clone()));
        }
        for rotation in &facts.rotations {
            found.insert((Lasting::KeyRotation, rotation.key.clone()), Finding::Rotation(rotation.clone()));
        }
        let present: Present = found.keys().cloned().collect();
        for event in episodes::decide(state, &present, &says_already, now) {
            if let Event::Began { kind, subject, is_told: true } = &event {
                self.findings.extend(found.remove(&(*kind, subject.clone())));
            }
            self.events.push(event);
        }
    }

    fn violations(&mut self, state: &State, facts: &Facts, terms: Terms) {
        for (team, days) in &facts.violations {
            let mut parts: BTreeMap<ViolationKind, BTreeMap<Day, Count>> = BTreeMap::new();
            for (&day, kinds) in days {
                for (&kind, &count) in kinds {
                    parts.entry(kind).or_default().insert(day, count);
                }
            }
            let subject = team.as_deref().unwrap_or_default();
            let name = |kind: ViolationKind| format!("{} {subject}", kind.name());
            let news = daily::news((Daily::Violations, subject), state, &parts, name, terms, |_| true);
            self.events.extend(news.events);
            let days = || news.new.values().flat_map(BTreeMap::keys).copied();
            if let (Some(first), Some(last)) = (days().min(), days().max()) {
                let kinds = news.new.iter().map(|(&kind, days)| (kind, sum(days.values()))).collect();
                self.findings.push(Finding::Violations { team: team.clone(), first, last, kinds });
            }
        }
    }

    fn unattributed(&mut self, state: &State, facts: &Facts, terms: Terms) {
        let all = |days: &BTreeMap<Day, Count>| sum(days.keys().filter_map(|day| facts.all.get(day)));
        let is_worth = |new: &BTreeMap<(), BTreeMap<Day, Count>>| {
            new.values().any(|days| {
                let (count, all) = (sum(days.values()), all(days));
                let is_more = |part: i128, whole: i128| part.checked_mul(100).is_none_or(|part| part > whole);
                count.cost.pico() >= UNATTRIBUTED_PICO
                    || is_more(count.number.into(), all.number.into())
                    || is_more(count.cost.pico(), all.cost.pico())
            })
        };
        let parts = BTreeMap::from([((), facts.unattributed.clone())]);
        let news = daily::news((Daily::Unattributed, ""), state, &parts, |()| String::new(), terms, is_worth);
        self.events.extend(news.events);
        for days in news.new.into_values() {
            if let (Some(&first), Some(&last)) = (days.keys().next(), days.keys().next_back()) {
                let (count, all) = (sum(days.values()), all(&days));
                self.findings.push(Finding::Unattributed { first, last, count, all });
            }
        }
    }
}

/// The names under which episodes are remembered.
fn subject_of(standing: &Standing) -> String {
    let scope = &standing.statement.scope;
    let name = scope.name().map_or_else(String::new, |name| format!(" {name}"));
    format!("{}{name} {}", scope.kind(), standing.statement.period.name)
}

/// Whether an open period is to end above its budget, which is not used up yet.
fn will_exceed(standing: &Standing) -> bool {
    let statement = &standing.statement;
    let budget = statement.budget();
    standing.is_current
        && statement.spend < budget
        && statement.forecast.projection().is_some_and(|projection| projection.spend > budget)
}

fn sum<'c>(counts: impl Iterator<Item = &'c Count>) -> Count {
    counts.fold(Count::default(), |sum, count| Count {
        number: sum.number.saturating_add(count.number),
        cost: sum.cost.checked_add(count.cost).unwrap_or(sum.cost),
    })
}

impl Finding {
    /// The gravest of a mail is its subject: a budget that is used up, then one
    /// that will be, then what hides spend, then what is to be put in order. Of
    /// the same kind that with the higher percentage, then the larger amount.
    pub(super) fn gravity(&self) -> (u8, i64, i128) {
        let of_budget = |standing: &Standing| {
            let statement = &standing.statement;
            (percent(statement.spend, statement.budget()), statement.budget().pico())
        };
        let (rank, (percent, amount)) = match self {
            Self::Threshold { standing, level } if *level >= 100 => (10, of_budget(standing)),
            Self::Threshold { standing, .. } => (9, of_budget(standing)),
            Self::Forecast { standing } => (8, of_budget(standing)),
            Self::Spike(spike) => (7, (percent(spike.spend, spike.median), spike.spend.pico())),
            Self::Silent(silent) => (6, (0, i128::try_from(silent.of.len()).unwrap_or_default())),
            Self::Unpriced(unpriced) => (5, (unpriced.requests, 0)),
            Self::Violations { kinds, .. } => (4, (sum(kinds.values()).number, 0)),
            Self::Unattributed { count, .. } => (3, (0, count.cost.pico())),
            Self::Rotation(rotation) => (2, (rotation.days.unwrap_or_default(), 0)),
            Self::Withdrawn { standing, .. } => (1, of_budget(standing)),
        };
        (rank, percent, amount)
    }

    /// Whose budget or spend it is about.
    pub(super) fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Threshold { standing, .. } | Self::Forecast { standing } | Self::Withdrawn { standing, .. } => {
                Some(&standing.statement.scope)
            }
            Self::Spike(spike) => Some(&spike.scope),
            _ => None,
        }
    }
}
