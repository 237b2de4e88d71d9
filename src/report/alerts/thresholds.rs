//! Which thresholds of a budget are raised, marked as seen, or withdrawn. Pure.
//!
//! A level above the highest that stands raises one alert, the highest only.
//! Below it by a correction of spend, it is withdrawn and whoever was told is
//! told that; below it by another budget or other thresholds, it is withdrawn
//! silently. What was withdrawn is raised once more in a period, then not again.

use std::collections::BTreeSet;

use super::{
    event::{BudgetId, Event},
    state::{Evaluation, Known},
};
use crate::{budgets::percent, money::Usd};

/// What is told about a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    Raised {
        level: u16,
    },
    /// It was at `from` and is at `to` by a correction.
    Withdrawn {
        from: u16,
        to: Option<u16>,
        before: Usd,
    },
}

/// What follows from what is known now of a budget in a period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    pub events: Vec<Event>,
    pub notice: Option<Notice>,
}

/// Decides. With `is_seen` what stands now is marked as seen, and nobody is
/// told: it was so before anybody looked.
pub(super) fn decide(id: &BudgetId, known: &Known, now: &Evaluation, is_seen: bool) -> Verdict {
    if known.last.as_ref() == Some(now) {
        return Verdict::default();
    }
    let Evaluation { spend, budget, thresholds } = now.clone();
    let level = now.level();
    let mut verdict = Verdict {
        events: vec![Event::Evaluated { id: id.clone(), spend, budget, thresholds: thresholds.clone() }],
        notice: None,
    };
    if let Some(level) = level.filter(|&level| Some(level) > known.standing) {
        let was_raised_again = known.withdrawn.get(&level).copied().unwrap_or_default();
        if is_seen || was_raised_again {
            verdict.events.push(Event::Marked { id: id.clone(), level });
        } else {
            verdict.events.push(Event::Raised { id: id.clone(), level });
            verdict.notice = Some(Notice::Raised { level });
        }
    } else if level < known.standing {
        // By the budget that was told, would it have fallen, too?
        let corrected = known.last.as_ref().filter(|last| {
            let as_before = Evaluation { spend: now.spend, ..(*last).clone() };
            as_before.level() < known.standing
        });
        let told = known.told.filter(|&told| Some(told) > level);
        if let (Some(last), Some(from)) = (corrected, told) {
            verdict.notice = Some(Notice::Withdrawn { from, to: level, before: last.spend });
        }
        let is_told = verdict.notice.is_some();
        let before = known.last.iter().flat_map(|last| &last.thresholds);
        let is_withdrawn = |&threshold: &u16| Some(threshold) > level && Some(threshold) <= known.standing;
        let withdrawn: BTreeSet<u16> = before.chain(&thresholds).copied().filter(is_withdrawn).collect();
        let withdrawn = withdrawn.into_iter().collect();
        verdict.events.push(Event::Withdrawn { id: id.clone(), level, withdrawn, is_told });
    }
    verdict
}

impl Evaluation {
    /// The highest threshold that the spend is at or above.
    pub(super) fn level(&self) -> Option<u16> {
        let percent = percent(self.spend, self.budget);
        self.thresholds.iter().copied().filter(|&threshold| i64::from(threshold) <= percent).max()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{event::Past, state::State},
        *,
    };
    use crate::{budgets::Scope, periods::Period, time::Instant};

    fn id() -> BudgetId {
        BudgetId { scope: Scope::Team("chat".to_owned()), kind: Period::Month, period: "2026-11".to_owned() }
    }

    /// Runs after each other; each is `spend/budget` or `spend/budget/thresholds`.
    /// What each said: `80` raised, `-95>80` withdrawn with a note, `(80)`
    /// marked, `(-80)` withdrawn silently, `=` looked at, `.` not even that.
    fn story(runs: &str) -> String {
        let mut past: Vec<Past> = Vec::new();
        let mut said = Vec::new();
        for (number, run) in runs.split(' ').enumerate() {
            let is_seen = run.starts_with('?');
            let mut parts = run.trim_start_matches('?').split('/');
            let mut amount = || parts.next().map(|text| Usd::parse(text).unwrap());
            let (spend, budget) = (amount().unwrap(), amount().unwrap());
            let thresholds = parts.next().unwrap_or("50,80,95,100").split(',').map(|it| it.parse().unwrap()).collect();
            let state = State::of(&past);
            let known = state.budgets.get(&id()).cloned().unwrap_or_default();
            let verdict = decide(&id(), &known, &Evaluation { spend, budget, thresholds }, is_seen);
            said.push(match (&verdict.notice, verdict.events.last()) {
                (Some(Notice::Raised { level }), _) => level.to_string(),
                (Some(Notice::Withdrawn { from, to, .. }), _) => format!("-{from}>{}", to.unwrap_or_default()),
                (None, Some(Event::Marked { level, .. })) => format!("({level})"),
                (None, Some(Event::Withdrawn { level, .. })) => format!("(-{})", level.unwrap_or_default()),
                (None, Some(_)) => "=".to_owned(),
                (None, None) => ".".to_owned(),
            });
            let at = Instant::EARLIEST.plus_micros(i64::try_from(number).unwrap());
            past.push(Past { at, events: verdict.events, mails: Vec::new() });
        }
        said.join(" ")
    }

    #[test]
    fn each_threshold_is_told_once_and_the_highest_only() {
        for (runs, expect) in [
            ("10/100 50/100 50/100 79.999999999999/100 80/100", "= 50 . = 80"),
            ("0/100 96/100 97/100 100/100 100.01/100", "= 95 = 100 ="),
            ("200/100", "100"),
            ("49.999999999999/100 50/100", "= 50"),
            ("1/0 2/0", "100 ="),
            ("0/0 0/0", "= ."),
            ("60/100/50,120 130/100/50,120 1000/100/1000", "50 120 1000"),
        ] {
            assert_eq!(story(runs), expect, "{runs}");
        }
    }

    #[test]
    fn what_falls_by_a_correction_is_withdrawn_with_a_note_and_raised_once_more() {
        for (runs, expect) in [
            ("96/100 85/100 84/100 96/100 90/100 97/100 101/100", "95 -95>80 = 95 -95>80 (95) 100"),
            ("96/100 10/100 60/100 81/100 96/100 10/100 96/100", "95 -95>0 50 80 95 -95>0 (95)"),
            // Never told, so there is nothing to take back.
            ("?96/100 10/100 60/100", "(95) (-0) 50"),
            // What is told is 80; that 95 stood nobody knows.
            ("80/100 ?96/100 85/100 70/100", "80 (95) (-80) -80>50"),
        ] {
            assert_eq!(story(runs), expect, "{runs}");
        }
    }

    #[test]
    fn what_falls_by_a_new_budget_is_withdrawn_silently() {
        for (runs, expect) in [
            ("96/100 96/200 160/200 200/200 200/400 380/400", "95 (-0) 80 100 (-50) 95"),
            // Both: the correction alone would have done it.
            ("96/100 85/200", "95 -95>0"),
            ("96/100 96/100/50,90 99/100/50,90 100/100/50,90", "95 (-90) = ="),
            // A smaller budget raises as spend does.
            ("40/100 40/50 40/40 40/30", "= 80 100 ="),
            ("96/100 96/300 96/100 96/300 96/100 96/300", "95 (-0) 95 (-0) (95) (-0)"),
        ] {
            assert_eq!(story(runs), expect, "{runs}");
        }
    }
}
