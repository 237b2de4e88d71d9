//! The keys: whose each is, how it is used, and what to do about it.
//!
//! Pure: what the config says and how keys were used come in. A key that logs
//! show by its name, its fingerprint and its id is one key.
//!
//! What providers report of a key and no log shows comes in, too: such a key is
//! in use, however silent the logs are.
//!
//! Whether a key that is not for production carries its traffic no log says;
//! what is told is that its use looks so, with what that rests on.

mod finding;

use std::collections::{BTreeMap, BTreeSet};

use super::uses::{Cost, HOUR, Use, Uses};
use crate::{
    config::{Config, Key},
    teams::{Claim, Registry, SHARED, TeamBasis},
    time::Instant,
};

pub use finding::{Deletable, Evidence, Finding, Reported, Silent};

use finding::MANY_USERS;

/// What is asked of keys.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub now: Instant,
    /// A source must have been heard within so many microseconds for its
    /// silence about a key to mean anything.
    pub heard_within: i64,
    /// A key older than so many days is to be rotated.
    pub max_age_days: i64,
}

impl Ask {
    /// What is asked where nobody says otherwise.
    pub const fn usual(now: Instant) -> Self {
        Self { now, heard_within: 2 * HOUR, max_age_days: 90 }
    }
}

/// No traffic for so long is the end of it.
pub const QUIET: i64 = 24 * HOUR;

/// Providers report late: a key that one of them reported within so many days
/// is taken to be in use.
const REPORTED_LATELY: i64 = 7 * 24 * HOUR;

/// A key, registered or seen.
#[derive(Debug, Clone)]
pub struct KeyLine {
    /// `None` for the requests without one.
    pub key: Option<String>,
    pub team: Option<String>,
    pub environment: Option<String>,
    pub purpose: Option<String>,
    pub project: Option<String>,
    /// Since its `valid_from`, or else its first use.
    pub age_days: Option<i64>,
    pub first_use: Option<Instant>,
    pub last_use: Option<Instant>,
    pub requests_24h: i64,
    pub requests_30d: i64,
    pub cost_24h: Cost,
    pub cost_30d: Cost,
    /// The most pressing first; none where all is well.
    pub findings: Vec<Finding>,
}

impl KeyLine {
    /// All that there is to say, in words.
    pub fn verdict(&self) -> String {
        let told: Vec<String> = self.findings.iter().map(ToString::to_string).collect();
        if told.is_empty() { "ok".to_owned() } else { told.join("; ") }
    }
}

/// Fewer requests in a week say nothing.
const BUSY_REQUESTS: i64 = 1_000;
/// Requests in so many hours of a day are around the clock.
const CLOCK_HOURS: u32 = 20;
/// On so many of seven days.
const CLOCK_DAYS: usize = 5;

/// Environments that are production.
const PRODUCTION: [&str; 2] = ["prod", "production"];

/// The keys of a config and their use, under one name each.
#[derive(Debug)]
pub struct Keys<'c> {
    config: &'c Config,
    registry: Registry<'c>,
    uses: Uses,
    /// By name.
    reported: BTreeMap<String, Reported>,
    ask: Ask,
}

impl<'c> Keys<'c> {
    /// `reported` is by the names that reconciliation gives keys.
    pub fn new(config: &'c Config, uses: Uses, reported: BTreeMap<String, Reported>, ask: Ask) -> Self {
        let Uses { keys, nameless, heard, since } = uses;
        let registry = Registry::new(config);
        let mut named: BTreeMap<String, Use> = BTreeMap::new();
        for (key, of_key) in keys {
            let name = registry.lasting_name(&key, of_key.last).to_owned();
            match named.get_mut(&name) {
                Some(known) => known.join(of_key),
                None => _ = named.insert(name, of_key),
            }
        }
        let uses = Uses { keys: named, nameless, heard, since };
        Self { config, registry, uses, reported, ask }
    }

    /// Whether a key, by name, fingerprint or id, can be deleted: all sources in
    /// which it was ever seen still speak, and none speaks of it; nor has a
    /// provider reported it lately. Of a key in no log, it says what it knows.
    pub fn deletable(&self, key: &str) -> Deletable {
        let Ask { now, heard_within, .. } = self.ask;
        let name = self.registry.lasting_name(key, now);
        let of_key = self.uses.keys.get(name);
        if let Some(of) = self.reported.get(name)
            && (of_key.is_none() || of.last.end() > now.plus_micros(-REPORTED_LATELY))
        {
            return Deletable::Reported { of: of.clone(), is_logged: of_key.is_some() };
        }
        let Some(of_key) = of_key else { return Deletable::NeverSeen { since: self.uses.since } };
        let last = of_key.last;
        if last > now.plus_micros(-QUIET) {
            return Deletable::InUse { last, by: of_key.last_by.clone() };
        }
        let silent = of_key.sources.iter().filter_map(|source| {
            let since = *self.uses.heard.get(source)?;
            (since <= now.plus_micros(-heard_within)).then(|| Silent { source: source.clone(), since })
        });
        let silent: Vec<Silent> = silent.collect();
        if silent.is_empty() { Deletable::Yes { last } } else { Deletable::Unknown { last, silent } }
    }

    /// Every key that is registered or was ever seen, by name; last, what has none.
    pub fn lines(&self) -> Vec<KeyLine> {
        let registered = self.config.keys.iter().map(|key| key.name.as_str());
        let names: BTreeSet<&str> = registered.chain(self.uses.keys.keys().map(String::as_str)).collect();
        let mut lines: Vec<KeyLine> = names.into_iter().map(|name| self.line(name)).collect();
        if let Some(nameless) = &self.uses.nameless {
            lines.push(KeyLine { findings: vec![Finding::Nameless], ..line_of(None, Some(nameless)) });
        }
        lines
    }

    fn line(&self, name: &str) -> KeyLine {
        let now = self.ask.now;
        let of_key = self.uses.keys.get(name);
        let entries: Vec<&Key> = self.config.keys.iter().filter(|key| key.name == name).collect();
        // The entry in force, or else the one that was last.
        let current = self.registry.entry(name, now).or(entries.last().copied());
        let at = current.and_then(|entry| entry.valid_until).map_or(now, |until| now.min(until.plus_micros(-1)));
        let at = current.and_then(|entry| entry.valid_from).map_or(at, |from| at.max(from));
        let owner = self.registry.attribute(Claim { key: Some(name), team_reported: None }, at);
        let begins = match entries.iter().map(|entry| entry.valid_from).min() {
            Some(Some(from)) => Some(from),
            _ => of_key.map(|of_key| of_key.first),
        };
        let days = |since: Instant| (now.micros() - since.micros()).div_euclid(24 * HOUR);
        let mut line = KeyLine {
            team: owner.team,
            environment: owner.environment,
            purpose: owner.purpose,
            project: owner.project,
            age_days: begins.map(days).filter(|&days| days >= 0),
            ..line_of(Some(name), of_key)
        };
        line.findings = self.findings(name, &entries, &line, owner.basis);
        line
    }

    fn findings(&self, name: &str, entries: &[&Key], line: &KeyLine, basis: TeamBasis) -> Vec<Finding> {
        let of_key = self.uses.keys.get(name);
        let mut findings = Vec::new();
        let is_old = self.config.keys.iter().any(|key| key.replaces.as_deref() == Some(name));
        if is_old {
            findings.push(self.rotation(name));
        }
        let is_known =
            |key: &str| self.config.keys.iter().any(|entry| entry.name == key) || self.uses.keys.contains_key(key);
        for replaced in entries.iter().filter_map(|entry| entry.replaces.as_deref()) {
            if !is_known(self.registry.lasting_name(replaced, self.ask.now)) {
                findings.push(Finding::UnknownPredecessor { key: replaced.to_owned() });
            }
        }
        match basis {
            TeamBasis::Registry => {}
            TeamBasis::Convention => findings.push(Finding::ByConvention),
            // An old key is known by the one that took over.
            TeamBasis::Reported | TeamBasis::None if is_old => {}
            TeamBasis::Reported | TeamBasis::None => {
                let claim = Claim { key: Some(name), team_reported: None };
                let suggestion = self.registry.suggestion(claim, None, self.ask.now);
                findings.push(Finding::Unknown { suggestion: suggestion.map(|it| it.to_string()) });
            }
        }
        if let Some(of_key) = of_key {
            findings.extend(outside_of_validity(entries, of_key));
            findings.extend(self.other_teams(line.team.as_deref(), of_key));
            findings.extend(self.looks_like_production(line, of_key));
        } else if !is_old {
            let never = Finding::NeverUsed { since: self.uses.since };
            findings.push(self.reported.get(name).cloned().map_or(never, Finding::OnlyReported));
        }
        let is_ended = entries.iter().all(|entry| entry.valid_until.is_some_and(|until| until <= self.ask.now));
        if let Some(days) = line.age_days.filter(|&days| days > self.ask.max_age_days)
            && !is_old
            && (entries.is_empty() || !is_ended)
        {
            findings.push(Finding::TooOld { days });
        }
        findings.sort_by_key(|finding| matches!(finding, Finding::ByConvention));
        findings
    }

    /// What is to be said of a key that another one took over from.
    fn rotation(&self, name: &str) -> Finding {
        let Ask { now, heard_within, .. } = self.ask;
        let hours = |last: Instant| (now.micros() - last.micros()) / HOUR;
        match self.deletable(name) {
            Deletable::NeverSeen { since } => Finding::OldNeverSeen { since },
            Deletable::Reported { of, is_logged: false } => Finding::OnlyReported(of),
            Deletable::Reported { of, is_logged: true } => Finding::OldReported(of),
            Deletable::Yes { .. } => Finding::SafeToDelete,
            Deletable::InUse { last, by } if last > now.plus_micros(-heard_within) => Finding::OldInUse { last, by },
            Deletable::InUse { last, .. } => Finding::OldQuiet { hours: hours(last) },
            Deletable::Unknown { last, silent } => Finding::OldUnknown { hours: hours(last), silent },
        }
    }

    /// A key of another environment that is busy around the clock, and that with
    /// more requests than all of its team's keys of production, or by many users.
    fn looks_like_production(&self, line: &KeyLine, of_key: &Use) -> Option<Finding> {
        let is_production = |environment: &str| PRODUCTION.contains(&environment);
        if line.environment.as_deref().is_none_or(is_production) {
            return None;
        }
        let days = of_key.week.days_with_hours(CLOCK_HOURS);
        let (requests, users) = (of_key.week.total(), of_key.week.users.len());
        if requests < BUSY_REQUESTS || days < CLOCK_DAYS {
            return None;
        }
        let of_production = |name: &String| {
            let owner = self.registry.attribute(Claim { key: Some(name), team_reported: None }, self.ask.now);
            owner.team == line.team && owner.environment.as_deref().is_some_and(is_production)
        };
        let of_production =
            self.uses.keys.iter().filter(|(name, _)| of_production(name)).map(|(_, it)| it.week.total());
        let of_production = of_production.sum();
        let is_so = requests > of_production || users >= MANY_USERS;
        is_so.then_some(Finding::LooksLikeProduction(Evidence { requests, days, of_production, users }))
    }

    /// Teams that logs name with a key of another one; those that share one
    /// may all be named.
    fn other_teams(&self, team: Option<&str>, of_key: &Use) -> Option<Finding> {
        let own = team.filter(|team| !team.starts_with(SHARED))?;
        let known = of_key.teams.iter().filter_map(|named| self.registry.team_named(named));
        let teams: BTreeSet<&str> = known.filter(|&other| other != own).collect();
        let teams: Vec<String> = teams.into_iter().map(str::to_owned).collect();
        (!teams.is_empty()).then_some(Finding::OtherTeams { teams })
    }
}

fn line_of(key: Option<&str>, of_key: Option<&Use>) -> KeyLine {
    KeyLine {
        key: key.map(str::to_owned),
        team: None,
        environment: None,
        purpose: None,
        project: None,
        age_days: None,
        first_use: of_key.map(|it| it.first),
        last_use: of_key.map(|it| it.last),
        requests_24h: of_key.map_or(0, |it| it.requests_24h),
        requests_30d: of_key.map_or(0, |it| it.requests_30d),
        cost_24h: of_key.map(|it| it.cost_24h).unwrap_or_default(),
        cost_30d: of_key.map(|it| it.cost_30d).unwrap_or_default(),
        findings: Vec::new(),
    }
}

/// Use before the first or after the last time for which a key is registered.
fn outside_of_validity(entries: &[&Key], of_key: &Use) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ends: Option<Vec<Instant>> = entries.iter().map(|entry| entry.valid_until).collect();
    if let Some(until) = ends.and_then(|ends| ends.into_iter().max())
        && until <= of_key.last
    {
        findings.push(Finding::UsedAfterEnd { until, last: of_key.last });
    }
    let starts: Option<Vec<Instant>> = entries.iter().map(|entry| entry.valid_from).collect();
    if let Some(from) = starts.and_then(|starts| starts.into_iter().min())
        && of_key.first < from
    {
        findings.push(Finding::UsedBeforeStart { from, first: of_key.first });
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::testing::at, *};
    use crate::time::Day;

    const CONFIG: &str = r#"
        [teams.chat]
        [teams.lab]
        [[key]]
        name = "chat-new"
        team = "chat"
        environment = "prod"
        replaces = "chat-old"
        [[key]]
        name = "dated"
        team = "lab"
        valid_from = "2026-05-01"
        valid_until = "2026-06-01"
        [[key]]
        name = "hidden"
        team = "lab"
        fingerprint = "fp_0123456789ab"
        key_id = "key_1"
        replaces = "typo"
    "#;

    const HOURS: i64 = 3_600;

    /// Uses of keys: name, source, first and last use in hours before now.
    fn uses(of: &[(&str, &str, i64, i64)], heard: &[(&str, i64)]) -> Uses {
        let mut uses = Uses::default();
        for &(key, source, first, last) in of {
            let mut one = Use::at(at(-first * HOURS), at(-last * HOURS));
            one.sources.insert(source.to_owned());
            one.last_by = Some("ann".to_owned());
            match uses.keys.get_mut(key) {
                Some(known) => known.join(one),
                None => _ = uses.keys.insert(key.to_owned(), one),
            }
        }
        uses.heard = heard.iter().map(|&(source, hours)| (source.to_owned(), at(-hours * HOURS))).collect();
        uses
    }

    fn config() -> Config {
        Config::parse(CONFIG, Path::new("spendbook.toml")).unwrap()
    }

    fn keys(config: &Config, uses: Uses) -> Keys<'_> {
        reported(config, uses, BTreeMap::new())
    }

    fn reported(config: &Config, uses: Uses, reported: BTreeMap<String, Reported>) -> Keys<'_> {
        Keys::new(config, uses, reported, Ask { now: at(0), heard_within: 2 * HOUR, max_age_days: 90 })
    }

    fn check(of: &[(&str, &str, i64, i64)], heard: &[(&str, i64)], key: &str, expect: &str) {
        let found = keys(&config(), uses(of, heard)).deletable(key).to_string();
        assert_eq!(found, expect, "{of:?} {heard:?}");
    }

    #[test]
    fn a_key_is_deleted_when_all_who_knew_it_speak_and_none_speaks_of_it() {
        let heard = &[("a", 1), ("b", 1)];
        let day = "2026-05-31T00:00:00Z";
        check(&[("old", "a", 90, 24)], heard, "old", &format!("safe to delete: no traffic for 24 h, last seen {day}"));
        check(&[("old", "a", 90, 23)], heard, "old", "in use: last seen 2026-05-31T01:00:00Z, by ann");
        check(
            &[("old", "a", 90, 30), ("old", "b", 50, 0)],
            heard,
            "old",
            "in use: last seen 2026-06-01T00:00:00Z, by ann",
        );
        let unknown = format!("unknown: last seen {day}, but nothing from `b` since 2026-05-31T22:00:00Z");
        check(&[("old", "a", 90, 24), ("old", "b", 90, 90)], &[("a", 1), ("b", 2)], "old", &unknown);
        // A source that never knew the key may be silent.
        let safe = format!("safe to delete: no traffic for 24 h, last seen {day}");
        check(&[("old", "a", 90, 24)], &[("a", 1), ("b", 99)], "old", &safe);
        check(&[], heard, "old", "unknown: no log ever had it, is the name right?");
        // By any of its names, all of which are looked for.
        for key in ["hidden", "fp_0123456789ab", "key_1"] {
            for (seen, other) in [("fp_0123456789ab", "key_1"), ("key_1", "fp_0123456789ab")] {
                let of = [(seen, "a", 9, 1), (other, "b", 90, 30)];
                check(&of, heard, key, "in use: last seen 2026-05-31T23:00:00Z, by ann");
            }
        }
    }

    fn findings(of: &[(&str, &str, i64, i64)], heard: &[(&str, i64)], key: &str) -> Vec<String> {
        let old = [("chat-old", "a", 900, 30)];
        let of = if of.iter().any(|(name, ..)| *name == "chat-old") { of.to_vec() } else { [of, &old].concat() };
        let lines = keys(&config(), uses(&of, heard)).lines();
        let line = lines.into_iter().find(|line| line.key.as_deref() == Some(key)).expect("a line of the key");
        line.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rotation_is_followed_to_its_end() {
        let heard = &[("a", 1)];
        let old = |last| findings(&[("chat-old", "a", 900, last)], heard, "chat-old");
        assert_eq!(old(1), ["old key still in use (last seen 2026-05-31T23:00:00Z, by ann)"]);
        assert_eq!(old(2), ["old key quiet for 2 h"]);
        assert_eq!(old(23), ["old key quiet for 23 h"]);
        assert_eq!(old(24), ["no traffic for 24 h: safe to delete"]);
        let silent = findings(&[("chat-old", "a", 900, 30)], &[("a", 3)], "chat-old");
        assert_eq!(silent, ["old key quiet for 30 h, as far as is known: nothing from `a` since 2026-05-31T21:00:00Z"]);
    }

    #[test]
    fn each_key_says_what_is_wrong_with_it() {
        let heard = &[("a", 1)];
        assert_eq!(findings(&[], heard, "dated"), ["never used"]);
        assert_eq!(
            findings(&[], heard, "hidden"),
            ["replaces `typo`, which is neither registered nor in any log", "never used"]
        );
        assert_eq!(findings(&[("typo", "a", 9, 8)], heard, "hidden"), ["never used"]);
        assert_eq!(findings(&[("dated", "a", 30 * 24, 1)], heard, "dated"), [""; 0]);
        assert_eq!(
            findings(&[("dated", "a", 32 * 24, 0)], heard, "dated"),
            [
                "used until 2026-06-01T00:00:00Z, and valid until 2026-06-01T00:00:00Z",
                "used since 2026-04-30T00:00:00Z, and valid from 2026-05-01T00:00:00Z",
            ]
        );
        assert_eq!(findings(&[("chat-new", "a", 90 * 24, 1)], heard, "chat-new"), [""; 0]);
        assert_eq!(findings(&[("chat-new", "a", 91 * 24, 1)], heard, "chat-new"), ["91 days old: rotate it"]);
        assert_eq!(
            findings(&[("lab-dev", "a", 1, 1)], heard, "lab-dev"),
            ["not registered, its team is that of its name"]
        );
        assert_eq!(findings(&[("xyz", "a", 1, 1)], heard, "xyz"), ["not registered, and nobody's by its name"]);
    }

    #[test]
    fn what_a_provider_reports_is_use() {
        let day = |text: &str| Day::parse(text).unwrap();
        let of = |requests, last: &str| Reported {
            providers: ["openai".to_owned()].into(),
            requests,
            tokens: 70,
            first: day("2026-05-01"),
            last: day(last),
        };
        let check = |key: &str, it: Reported, used: &[(&str, &str, i64, i64)], deletable: &str, verdict: &str| {
            let config = config();
            let keys = reported(&config, uses(used, &[("a", 1)]), [(key.to_owned(), it)].into());
            assert_eq!(keys.deletable(key).to_string(), deletable);
            let line = keys.lines().into_iter().find(|line| line.key.as_deref() == Some(key)).unwrap();
            assert_eq!(line.verdict(), verdict);
        };
        // In no log, however long ago it was reported.
        let told = "in no log, but openai reports 12 requests since 2026-05-01";
        check("dated", of(12, "2026-05-03"), &[], &format!("in use: {told}, the last on 2026-05-03"), told);
        let told = "in no log, but openai reports 70 tokens since 2026-05-01";
        check("dated", of(0, "2026-05-03"), &[], &format!("in use: {told}, the last on 2026-05-03"), told);
        // Quiet in the logs, and reported within a week before 2026-06-01T00:00:00Z, or not.
        let quiet = [("chat-old", "a", 900, 30)];
        let told = "openai reports 1 request since 2026-05-01 that no log shows, the last on 2026-05-25";
        let (deletable, verdict) = (format!("in use: {told}"), format!("old key still in use: {told}"));
        check("chat-old", of(1, "2026-05-25"), &quiet, &deletable, &verdict);
        let safe = "safe to delete: no traffic for 24 h, last seen 2026-05-30T18:00:00Z";
        check("chat-old", of(1, "2026-05-24"), &quiet, safe, "no traffic for 24 h: safe to delete");
    }

    #[test]
    fn a_team_that_is_not_the_keys_is_told() {
        let mut uses = uses(&[("chat-new", "a", 1, 1), ("chat-old", "a", 9, 9)], &[]);
        uses.keys.get_mut("chat-new").unwrap().teams.extend(["chat", "lab", "nobody"].map(str::to_owned));
        let lines = keys(&config(), uses).lines();
        let line = lines.iter().find(|line| line.key.as_deref() == Some("chat-new")).unwrap();
        assert_eq!(line.findings, [Finding::OtherTeams { teams: vec!["lab".to_owned()] }]);
        assert_eq!((line.team.as_deref(), line.environment.as_deref()), (Some("chat"), Some("prod")));
    }
}
