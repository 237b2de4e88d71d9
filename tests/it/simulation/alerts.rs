//! What is to be told, by the model: facts from charges, held against a fold of
//! the events that the book has committed.
//!
//! Thresholds, withdrawals, models without a price, violations and requests of
//! nobody are decided here once more. Of forecasts, and of every other episode,
//! only the order of events is held against the rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use spendbook::money::Usd;

use super::{
    audit::{Budget, SCOPES, Said, Violation, is_of},
    history::{DAY, HOUR},
    model::Charge,
    over_time::Month,
};

/// What the book says now, as far as it matters for alerts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'f> {
    pub(crate) charges: &'f [Charge],
    pub(crate) violations: &'f [Violation],
    pub(crate) said: &'f Said,
    pub(crate) now: i64,
}

/// What a run has to commit: what is told, and what is noted of budgets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expected {
    /// `threshold lab 2026-11`, `violations chat`, …
    pub(crate) told: BTreeSet<String>,
    /// `raised lab 2026-11 80`, `withdrawn lab 2026-11 50`, …
    pub(crate) noted: BTreeSet<String>,
}

/// How much there was of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    number: i64,
    cost: i128,
}

impl Count {
    fn add(&mut self, number: i64, cost: i128) {
        self.number += number;
        self.cost += cost;
    }
}

/// What is known of a budget in a month.
#[derive(Debug, Clone, Default)]
struct Known {
    last: Option<(i128, i128, Vec<u16>)>,
    /// Zero where none stands.
    standing: u16,
    told: u16,
    withdrawn: BTreeMap<u16, bool>,
}

/// The fold of all that was committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    has_run: bool,
    budgets: BTreeMap<(usize, String), Known>,
    /// Since when they have been absent.
    episodes: BTreeMap<(String, String), Option<i64>>,
    counted: BTreeMap<(String, String), BTreeMap<i64, Count>>,
    told_on: BTreeMap<(String, String), i64>,
}

fn name_of(scope: usize) -> &'static str {
    SCOPES[scope].unwrap_or_default()
}

/// The highest threshold that is reached; zero where none is.
fn level(spend: i128, budget: i128, thresholds: &[u16]) -> u16 {
    let is_reached = |&&threshold: &&u16| spend * 100 >= budget * i128::from(threshold);
    thresholds.iter().filter(is_reached).max().copied().unwrap_or(0)
}

impl Events {
    /// What a run has to tell that sees all this.
    pub(crate) fn expect(&self, facts: Facts<'_>) -> Expected {
        let mut expected = Expected::default();
        for scope in 0..SCOPES.len() {
            for month in looked_at(facts.now) {
                if let Some(budget) = facts.said.budgets[scope].at(month.from) {
                    self.expect_budget((scope, &month), budget, facts, &mut expected);
                }
            }
        }
        self.expect_unpriced(facts, &mut expected);
        self.expect_violations(facts, &mut expected);
        self.expect_unattributed(facts, &mut expected);
        expected
    }

    fn expect_budget(
        &self,
        (scope, month): (usize, &Month),
        (budget, thresholds): &(i128, Vec<u16>),
        facts: Facts<'_>,
        expected: &mut Expected,
    ) {
        let is_in = |charge: &&Charge| (month.from..month.until).contains(&charge.micros) && is_of(scope, charge);
        let charges: Vec<&Charge> = facts.charges.iter().filter(is_in).collect();
        let spend: i128 = charges.iter().map(|charge| charge.known_cost()).sum();
        let unpriced = charges.iter().filter(|charge| charge.cost.is_none()).count();
        let known = self.budgets.get(&(scope, month.name.clone())).cloned().unwrap_or_default();
        let now = level(spend, *budget, thresholds);
        // What has lost its price is no correction.
        if now < known.standing && unpriced * 100 > charges.len() {
            return;
        }
        if known.last == Some((spend, *budget, thresholds.clone())) {
            return;
        }
        let id = format!("{} {}", name_of(scope), month.name);
        expected.noted.insert(format!("evaluated {id} {spend} {budget} {thresholds:?}"));
        let is_open = month.from <= facts.now && facts.now < month.until;
        let was_seen = self.budgets.keys().any(|(other, _)| *other == scope);
        if now > known.standing {
            if (!is_open && !was_seen) || known.withdrawn.get(&now) == Some(&true) {
                expected.noted.insert(format!("marked {id} {now}"));
            } else {
                expected.noted.insert(format!("raised {id} {now}"));
                expected.told.insert(format!("threshold {id}"));
            }
        } else if now < known.standing {
            expected.noted.insert(format!("withdrawn {id} {now}"));
            // Had it fallen by the budget that was told?
            let by_before =
                known.last.is_some_and(|(_, budget, before)| level(spend, budget, &before) < known.standing);
            if by_before && known.told > now {
                expected.told.insert(format!("withdrawn {id}"));
            }
        }
    }

    /// Models of the last week that have no price, or only an estimate.
    fn expect_unpriced(&self, facts: Facts<'_>, expected: &mut Expected) {
        let is_meant = |charge: &&Charge| {
            charge.micros >= recent(facts.now) * DAY
                && (charge.basis == "fallback" || (charge.cost.is_none() && charge.usage.is_some()))
        };
        let models: BTreeSet<&str> = facts.charges.iter().filter(is_meant).map(|charge| charge.model).collect();
        for model in models {
            let subject = format!("groq {model}");
            let is_told = match self.episodes.get(&("unpriced".to_owned(), subject.clone())) {
                None => true,
                Some(None) => false,
                Some(Some(since)) => facts.now - since >= 48 * HOUR,
            };
            if is_told {
                expected.told.insert(format!("unpriced {subject} "));
            }
        }
    }

    fn expect_violations(&self, facts: Facts<'_>, expected: &mut Expected) {
        let mut by_team: BTreeMap<&str, BTreeMap<(&str, i64), Count>> = BTreeMap::new();
        for it in facts.violations.iter().filter(|it| it.day >= recent(facts.now)) {
            let of_team = by_team.entry(it.team.unwrap_or_default()).or_default();
            of_team.entry((it.kind, it.day)).or_default().add(1, it.cost);
        }
        for (team, counts) in by_team {
            let new = counts.iter().filter(|((kind, day), count)| {
                self.is_new(("violations", &format!("{kind} {team}")), *day, **count, facts.now).is_some()
            });
            if new.count() > 0 && !self.was_told_today("violations", team, facts.now) {
                expected.told.insert(format!("violations {team} "));
            }
        }
    }

    fn expect_unattributed(&self, facts: Facts<'_>, expected: &mut Expected) {
        let mut by_day: BTreeMap<i64, (Count, Count)> = BTreeMap::new();
        for charge in facts.charges.iter().filter(|charge| charge.micros >= recent(facts.now) * DAY) {
            let (nobodys, all) = by_day.entry(charge.micros.div_euclid(DAY)).or_default();
            all.add(1, charge.known_cost());
            if charge.team.is_none() {
                nobodys.add(1, charge.known_cost());
            }
        }
        let (mut new, mut of_all) = (Count::default(), Count::default());
        for (day, (nobodys, all)) in by_day {
            if let Some(more) = self.is_new(("unattributed", ""), day, nobodys, facts.now) {
                new.add(more.number, more.cost);
                of_all.add(all.number, all.cost);
            }
        }
        let is_worth =
            new.cost >= 1_000_000_000_000 || new.number * 100 > of_all.number || new.cost * 100 > of_all.cost;
        if new.number > 0 && is_worth && !self.was_told_today("unattributed", "", facts.now) {
            expected.told.insert("unattributed  ".to_owned());
        }
    }

    /// How much more there is than was told of a day. What the first run of a
    /// book finds of days before the last one is not news.
    fn is_new(&self, (kind, subject): (&str, &str), day: i64, count: Count, now: i64) -> Option<Count> {
        let told = self.counted.get(&(kind.to_owned(), subject.to_owned()));
        let told = told.and_then(|days| days.get(&day)).copied().unwrap_or_default();
        let is_news = count.number > told.number && (self.has_run || day >= now.div_euclid(DAY) - 1);
        is_news.then(|| Count { number: count.number - told.number, cost: (count.cost - told.cost).max(0) })
    }

    fn was_told_today(&self, kind: &str, subject: &str, now: i64) -> bool {
        self.told_on.get(&(kind.to_owned(), subject.to_owned())) == Some(&now.div_euclid(DAY))
    }

    /// Takes in what a run has committed; what it told, and noted of budgets.
    ///
    /// # Errors
    /// Where an event could not follow from those before it.
    pub(crate) fn take(&mut self, commit: &Value) -> Result<Expected, String> {
        let mut found = Expected::default();
        let at = micros(&commit["at"]);
        for event in commit["events"].as_array().expect("a commit has events") {
            let kind = text(event, "event");
            let is_legal = match kind {
                "evaluated" | "raised" | "marked" | "withdrawn" => {
                    found.noted.insert(self.take_budget(kind, event)?);
                    true
                }
                "began" | "gone" | "back" | "ended" => self.take_episode(kind, event, at),
                "counted" => {
                    let count =
                        Count { number: event["number"].as_i64().expect("a number"), cost: pico(event, "cost") };
                    self.counted.entry(subject(event)).or_default().insert(day(event, "day"), count);
                    true
                }
                "told" => self.told_on.insert(subject(event), day(event, "on")) != Some(day(event, "on")),
                other => return Err(format!("nobody knows the event `{other}`")),
            };
            if !is_legal {
                return Err(format!("that cannot be, by what was before: {event}"));
            }
        }
        self.has_run = true;
        for alert in commit["alerts"].as_array().expect("a commit has alerts") {
            let kind = text(alert, "kind");
            let period = if ["threshold", "withdrawn"].contains(&kind) { text(alert, "period") } else { "" };
            found.told.insert(format!("{kind} {} {period}", text(alert, "name")));
        }
        Ok(found)
    }

    fn take_budget(&mut self, kind: &str, event: &Value) -> Result<String, String> {
        let name = event["scope"]["team"].as_str().unwrap_or_default();
        let scope = (0..SCOPES.len()).find(|&scope| name_of(scope) == name).expect("one of the world");
        let period = text(event, "period").to_owned();
        let known = self.budgets.entry((scope, period.clone())).or_default();
        let level = u16::try_from(event["level"].as_u64().unwrap_or(0)).expect("a level");
        let id = format!("{name} {period}");
        match kind {
            "evaluated" => {
                let numbers = event["thresholds"].as_array().into_iter().flatten().filter_map(Value::as_u64);
                let thresholds: Vec<u16> = numbers.map(|it| u16::try_from(it).expect("a level")).collect();
                let (spend, budget) = (pico(event, "spend"), pico(event, "budget"));
                let noted = format!("evaluated {id} {spend} {budget} {thresholds:?}");
                known.last = Some((spend, budget, thresholds));
                return Ok(noted);
            }
            "raised" => {
                let is_again = known.withdrawn.insert(level, true);
                if is_again.is_none() {
                    known.withdrawn.remove(&level);
                }
                if level <= known.standing || is_again == Some(true) {
                    return Err(format!("raised once too often: {event}"));
                }
                (known.standing, known.told) = (level, level);
            }
            "marked" => known.standing = level,
            _ => {
                (known.standing, known.told) = (level, known.told.min(level));
                for threshold in event["withdrawn"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
                    known.withdrawn.entry(u16::try_from(threshold).expect("a level")).or_insert(false);
                }
            }
        }
        Ok(format!("{kind} {id} {level}"))
    }

    /// Whether it may come after what was before.
    fn take_episode(&mut self, kind: &str, event: &Value, at: i64) -> bool {
        let subject = subject(event);
        let known = self.episodes.get(&subject).copied();
        let hours = |since: i64| (at - since).div_euclid(HOUR);
        match (kind, known) {
            ("began", known) => {
                self.episodes.insert(subject, None);
                known.is_none_or(|since| since.is_some_and(|since| hours(since) >= 48))
            }
            ("gone", Some(None)) => self.episodes.insert(subject, Some(at)).is_some(),
            ("back", Some(Some(since))) => self.episodes.insert(subject, None).is_some() && hours(since) < 48,
            ("ended", Some(Some(since))) => self.episodes.remove(&subject).is_some() && hours(since) >= 24,
            _ => false,
        }
    }
}

impl Expected {
    /// Without what the model does not decide.
    pub(crate) fn decided(mut self) -> Self {
        let kinds = ["threshold ", "withdrawn ", "unpriced ", "violations ", "unattributed "];
        self.told.retain(|told| kinds.iter().any(|kind| told.starts_with(kind)));
        self
    }
}

/// The first day of which violations and the like are told.
fn recent(now: i64) -> i64 {
    now.div_euclid(DAY) - 7
}

/// The open month, and those that ended less than 35 days ago.
fn looked_at(now: i64) -> Vec<Month> {
    let mut months = vec![Month::of(now)];
    loop {
        let before = Month::of(months[months.len() - 1].from - 1);
        if before.until <= now - 35 * DAY {
            return months;
        }
        months.push(before);
    }
}

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of[name].as_str().unwrap_or_default()
}

fn subject(event: &Value) -> (String, String) {
    (text(event, "kind").to_owned(), text(event, "subject").to_owned())
}

fn pico(of: &Value, name: &str) -> i128 {
    Usd::parse(text(of, name)).expect("an amount").pico()
}

fn micros(of: &Value) -> i64 {
    let text = of.as_str().expect("a time");
    chrono::DateTime::parse_from_rfc3339(text).expect("a time").timestamp_micros()
}

fn day(of: &Value, name: &str) -> i64 {
    micros(&Value::from(format!("{}T00:00:00Z", text(of, name)))).div_euclid(DAY)
}

/// A budget of so many dollars.
pub(crate) fn budget(dollars: Option<i64>, thresholds: Option<&[u16]>) -> Budget {
    let pico = i128::from(dollars?) * 1_000_000_000_000;
    Some((pico, thresholds.unwrap_or(&[50, 80, 95, 100]).to_vec()))
}
