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
            Event::Renamed { former, team } => _ = self.rename(&former, &team),
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

    /// The names that teams had when something was told of them, and have no
    /// more. They are events: an episode that ends under the new name must not
    /// be found again under the former one.
    pub(super) fn renamings(&self, config: &Config) -> Vec<Event> {
        let mut after = self.clone();
        let names = config.teams.values().flat_map(|team| team.formerly.iter().map(move |former| (former, &team.name)));
        let renamed = names.filter(|(former, team)| after.rename(former, team));
        renamed.map(|(former, team)| Event::Renamed { former: former.clone(), team: team.clone() }).collect()
    }

    /// As it is once a run has committed these events.
    #[must_use]
    pub(super) fn with(mut self, events: &[Event], at: Instant) -> Self {
        for event in events {
            self.apply(event.clone(), at);
        }
        self
    }

    /// Whether something was told under the former name. What was told under the
    /// new one came later, and stays.
    fn rename(&mut self, former: &str, team: &str) -> bool {
        let mut is_some = false;
        let of_budget = |id: &BudgetId| match &id.scope {
            Scope::Team(name) if name == former => Some(BudgetId { scope: Scope::Team(team.to_owned()), ..id.clone() }),
            _ => None,
        };
        for (id, known) in moved(&mut self.budgets, of_budget) {
            is_some = true;
            self.budgets.entry(id).or_insert(known);
        }
        let of_episode = |(kind, subject): &(Lasting, String)| {
            let rest = subject.strip_prefix("team ")?.strip_prefix(former)?;
            // Of a forecast, the period is told, too.
            let is_of = match kind {
                Lasting::Spike => rest.is_empty(),
                Lasting::Forecast => rest.strip_prefix(' ').is_some_and(|period| !period.contains(' ')),
                Lasting::SilentSource | Lasting::Unpriced | Lasting::KeyRotation => false,
            };
            is_of.then(|| (*kind, format!("team {team}{rest}")))
        };
        for (id, episode) in moved(&mut self.episodes, of_episode) {
            is_some = true;
            self.episodes.entry(id).or_insert(episode);
        }
        // What was counted is of a kind of violation and a team, what was told
        // of a team alone.
        let of_day = |(kind, subject): &(Daily, String)| {
            let before = subject.strip_suffix(former).filter(|_| *kind == Daily::Violations)?;
            let is_of = before.is_empty() || before.strip_suffix(' ').is_some_and(|kind| !kind.contains(' '));
            is_of.then(|| (*kind, format!("{before}{team}")))
        };
        for (id, told) in moved(&mut self.daily, of_day) {
            is_some = true;
            let now = self.daily.entry(id).or_default();
            now.last = now.last.max(told.last);
            for (day, count) in told.days {
                now.days.entry(day).or_insert(count);
            }
        }
        let of_thread = |(to, thread): &(String, String)| {
            let parts: Vec<&str> = thread.splitn(4, ' ').collect();
            let is_of = matches!(parts.as_slice(), ["team", _, _, name] if *name == former);
            is_of.then(|| (to.clone(), format!("team {} {} {team}", parts[1], parts[2])))
        };
        for (id, first) in moved(&mut self.threads, of_thread) {
            is_some = true;
            self.threads.entry(id).or_insert(first);
        }
        is_some
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

/// Takes out what gets another key.
fn moved<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, to: impl Fn(&K) -> Option<K>) -> Vec<(K, V)> {
    let keys: Vec<(K, K)> = map.keys().filter_map(|key| Some((key.clone(), to(key)?))).collect();
    keys.into_iter().filter_map(|(from, to)| Some((to, map.remove(&from)?))).collect()
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
        let mut past = past();
        let subjects = [
            (Lasting::Spike, "team old", "team new"),
            (Lasting::Spike, "key old", "key old"),
            (Lasting::Spike, "team older", "team older"),
            (Lasting::Forecast, "team old 2026-11", "team new 2026-11"),
            (Lasting::Forecast, "team old one 2026-11", "team old one 2026-11"),
            (Lasting::SilentSource, "team old", "team old"),
        ];
        for (kind, subject, _) in subjects {
            past.events.push(Event::Began { kind, subject: subject.to_owned(), is_told: true });
        }
        let day = Instant::EARLIEST.day();
        let count = Count { number: 3, cost: Usd::ZERO };
        let counted =
            |subject: &str| Event::Counted { kind: Daily::Violations, subject: subject.to_owned(), day, count };
        let told = Event::Told { kind: Daily::Violations, subject: "old".to_owned(), on: day };
        past.events.extend([counted("unknown_key old"), counted("unknown_key very old"), told]);
        past.mails[0].threads = ["team month 2026-11 old", "key month 2026-11 old"].map(str::to_owned).to_vec();

        let before = State::of([&past]);
        let renamings = before.renamings(&config);
        assert_eq!(renamings, [Event::Renamed { former: "old".to_owned(), team: "new".to_owned() }]);
        let state = before.with(&renamings, Instant::EARLIEST);
        assert_eq!(state.renamings(&config), []);
        assert_eq!(state.budgets[&id("new", "2026-11")].standing, Some(50));
        assert_eq!(state.budgets.keys().filter(|id| id.scope == Scope::Team("old".to_owned())).count(), 0);
        assert!(state.has_seen(&id("new", "2026-12")) && !state.has_seen(&id("other", "2026-11")));
        for (kind, _, subject) in subjects {
            assert!(state.episodes.contains_key(&(kind, subject.to_owned())), "{subject}: {:?}", state.episodes);
        }
        let daily = |subject: &str| state.daily.get(&(Daily::Violations, subject.to_owned()));
        assert_eq!(daily("unknown_key new").and_then(|told| told.days.get(&day)), Some(&count));
        assert_eq!(daily("new").and_then(|told| told.last), Some(day));
        assert!(daily("unknown_key very old").is_some() && daily("unknown_key old").is_none());
        let threads: Vec<&str> = state.threads.keys().map(|(_, thread)| thread.as_str()).collect();
        assert_eq!(threads, ["key month 2026-11 old", "team month 2026-11 new"]);
    }
}
