//! What has been raised, as the fold of all events in the order of their
//! commits. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    event::{BudgetId, Count, Daily, Event, Lasting, Past},
    text_form,
};
use crate::{
    budgets::Scope,
    config::Config,
    money::Usd,
    time::{Day, Instant},
};

/// Everything that decisions go by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Some run has been committed.
    pub has_run: bool,
    #[serde(with = "pairs")]
    pub budgets: BTreeMap<BudgetId, Known>,
    #[serde(with = "pairs")]
    pub episodes: BTreeMap<(Lasting, String), Episode>,
    #[serde(with = "pairs")]
    pub daily: BTreeMap<(Daily, String), Told>,
    /// The first mail to an address in a conversation.
    #[serde(with = "pairs")]
    pub threads: BTreeMap<(String, String), String>,
}

/// JSON has only texts as keys.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// What is known of a budget in a period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Evaluation {
    #[serde(with = "text_form::usd")]
    pub spend: Usd,
    #[serde(with = "text_form::usd")]
    pub budget: Usd,
    pub thresholds: Vec<u16>,
}

/// Something that lasts, and is told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Episode {
    /// Since when no run has found it.
    #[serde(with = "text_form::instant_or_none")]
    pub absent_since: Option<Instant>,
}

/// What has been told day by day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Told {
    #[serde(with = "text_form::by_day")]
    pub days: BTreeMap<Day, Count>,
    /// The day of the last alert.
    #[serde(with = "text_form::day_or_none")]
    pub last: Option<Day>,
}

/// Counts of days before these are of no use any more.
const KEPT_DAYS: i32 = 60;

impl State {
    /// Takes in a run. They come in the order of their commits.
    pub(super) fn add(&mut self, run: &Past) {
        self.has_run = true;
        for event in &run.events {
            self.apply(event.clone(), run.at);
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

    fn apply(&mut self, event: Event, at: Instant) {
        match event {
            Event::Evaluated { id, spend, budget, thresholds } => {
                self.budgets.entry(id).or_default().last = Some(Evaluation { spend, budget, thresholds });
            }
            Event::Raised { id, level } => {
                let known = self.budgets.entry(id).or_default();
                (known.standing, known.told) = (Some(level), Some(level));
                if let Some(is_raised_again) = known.withdrawn.get_mut(&level) {
                    *is_raised_again = true;
                }
            }
            Event::Marked { id, level } => self.budgets.entry(id).or_default().standing = Some(level),
            Event::Withdrawn { id, level, withdrawn, .. } => {
                let known = self.budgets.entry(id).or_default();
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

    /// With the names that teams have now: alerts follow a team that is renamed.
    #[must_use]
    pub(super) fn renamed(mut self, config: &Config) -> Self {
        for team in config.teams.values() {
            for former in team.formerly.iter().filter(|former| !config.teams.contains_key(*former)) {
                let of_former = |id: &BudgetId| matches!(&id.scope, Scope::Team(name) if name == former);
                let ids: Vec<BudgetId> = self.budgets.keys().filter(|id| of_former(id)).cloned().collect();
                for id in ids {
                    let Some(known) = self.budgets.remove(&id) else { continue };
                    let now = BudgetId { scope: Scope::Team(team.name.clone()), ..id };
                    // What the team was told under its new name came later.
                    self.budgets.entry(now).or_insert(known);
                }
            }
        }
        self
    }

    /// Whether a budget was looked at before, in any period.
    pub(super) fn has_seen(&self, id: &BudgetId) -> bool {
        self.budgets.keys().any(|known| known.scope == id.scope && known.kind == id.kind)
    }

    /// The fold of all runs, for tests.
    #[cfg(test)]
    pub(super) fn of<'p>(runs: impl IntoIterator<Item = &'p Past>) -> Self {
        let mut state = Self::default();
        runs.into_iter().for_each(|run| state.add(run));
        state
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{periods::Period, report::alerts::event::PastMail};

    fn id(team: &str, period: &str) -> BudgetId {
        BudgetId { scope: Scope::Team(team.to_owned()), kind: Period::Month, period: period.to_owned() }
    }

    fn past() -> Past {
        let subject = || "x".to_owned();
        let usd = |text| Usd::parse(text).unwrap();
        let events = vec![
            Event::Evaluated { id: id("old", "2026-11"), spend: usd("1"), budget: usd("2"), thresholds: vec![50] },
            Event::Raised { id: id("old", "2026-11"), level: 50 },
            Event::Withdrawn { id: id("new", "2026-10"), level: None, withdrawn: vec![50, 80], is_told: true },
            Event::Began { kind: Lasting::Spike, subject: subject(), is_told: true },
            Event::Gone { kind: Lasting::Unpriced, subject: subject() },
            Event::Counted {
                kind: Daily::Violations,
                subject: subject(),
                day: Instant::EARLIEST.day(),
                count: Count { number: 3, cost: usd("0.5") },
            },
            Event::Told { kind: Daily::Violations, subject: subject(), on: Instant::EARLIEST.day() },
        ];
        let mail = PastMail { id: "m".to_owned(), to: "a@b.c".to_owned(), threads: vec!["t".to_owned()] };
        Past { at: Instant::EARLIEST, events, mails: vec![mail] }
    }

    #[test]
    fn events_and_state_are_read_as_they_were_written() {
        let past = past();
        let texts = past.events.iter().map(|event| serde_json::to_string(event).unwrap());
        let read: Vec<Event> = texts.map(|text| serde_json::from_str(&text).unwrap()).collect();
        assert_eq!(read, past.events);
        let state = State::of([&past]);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        assert_eq!(state.threads[&("a@b.c".to_owned(), "t".to_owned())], "m");
    }

    #[test]
    fn alerts_follow_a_team_to_its_new_name() {
        let config = Config::parse("[teams.new]\nformerly = [\"old\"]\n", Path::new("spendbook.toml")).unwrap();
        let state = State::of([&past()]).renamed(&config);
        assert_eq!(state.budgets[&id("new", "2026-11")].standing, Some(50));
        assert_eq!(state.budgets.keys().filter(|id| id.scope == Scope::Team("old".to_owned())).count(), 0);
        assert!(state.has_seen(&id("new", "2026-12")) && !state.has_seen(&id("other", "2026-11")));
    }
}
