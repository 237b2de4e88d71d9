//! What holds for a team and a key at an instant.

use std::collections::{BTreeMap, HashMap};

use super::{Dated, History, KeyTerm, Subject, Value, current_name, join};
use crate::{
    config::{Config, Policy},
    teams::OverTime,
    time::Instant,
};

/// Whose limit per minute it is: the requests of all for whom it is the limit
/// are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bound {
    Key,
    /// Of all the team's keys that have no limit of their own.
    Team,
}

/// What one key of one team may do; what is absent is unrestricted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    pub allowed_models: Option<Vec<String>>,
    pub max_tokens: Option<i64>,
    pub rpm: Option<(Bound, i64)>,
    pub tpm: Option<(Bound, i64)>,
    /// Shared by all keys.
    pub organization_rpm: Option<i64>,
    pub organization_tpm: Option<i64>,
}

/// Policies over time, ready to be asked.
#[derive(Debug, Default)]
pub struct Policies {
    organization: OverTimeOrNone<Policy>,
    default: OverTimeOrNone<Policy>,
    teams: HashMap<String, OverTimeOrNone<Policy>>,
    keys: HashMap<String, OverTimeOrNone<Vec<KeyTerm>>>,
    /// Every instant at which anything may change.
    turns: Vec<Instant>,
}

#[derive(Debug)]
struct OverTimeOrNone<T>(Option<OverTime<T>>);

impl<T> Default for OverTimeOrNone<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> OverTimeOrNone<T> {
    fn at(&self, at: Instant) -> Option<&T> {
        self.0.as_ref()?.at(at)
    }

    fn set(&mut self, values: Dated<T>) {
        if !values.is_empty() {
            self.0 = Some(OverTime::of(values));
        }
    }
}

impl Policies {
    pub fn new(history: &History, config: &Config) -> Self {
        let mut policies = Self::default();
        // At these a key that logs show may become another one.
        policies.turns.extend(config.keys.iter().flat_map(|key| [key.valid_from, key.valid_until]).flatten());
        let mut teams: BTreeMap<String, Dated<Policy>> = BTreeMap::new();
        for (subject, values) in &history.values {
            policies.turns.extend(values.iter().filter_map(|(since, _)| since));
            match subject {
                Subject::Organization => policies.organization.set(policy_values(values)),
                Subject::Default => policies.default.set(policy_values(values)),
                Subject::Team(team) => {
                    let current = current_name(config, team);
                    let own = policy_values(values).into_iter();
                    let known = teams.entry(current.to_owned()).or_default();
                    join(known, own, current != team, |policy| *policy == Policy::default());
                }
                Subject::Key(key) => policies.add_key(key, values),
                Subject::Budget(..) | Subject::Pools => {}
            }
        }
        for (team, values) in teams {
            policies.teams.entry(team).or_default().set(values);
        }
        policies.turns.sort_unstable();
        policies.turns.dedup();
        policies
    }

    fn add_key(&mut self, key: &str, values: &OverTime<Value>) {
        let mut known = Vec::new();
        for (since, value) in values.iter() {
            let Value::Key(terms) = value else { continue };
            for term in terms {
                self.turns.extend([term.valid_from, term.valid_until].into_iter().flatten());
            }
            known.push((since, terms.clone()));
        }
        self.keys.entry(key.to_owned()).or_default().set(known);
    }

    /// What holds at an instant for a key by its registered name. What a key's own policy does not say is that
    /// of its team; a team without a limit of requests has the default, and so
    /// has, alone, a key without a team.
    pub fn terms(&self, team: Option<&str>, key: Option<&str>, at: Instant) -> Terms {
        let own = key.and_then(|key| self.key(key, at));
        let of_team = team.and_then(|team| self.teams.get(team)).and_then(|values| values.at(at));
        let default = self.default.at(at).and_then(|policy| policy.rate_limit_rpm);
        let shared = self.organization.at(at);
        let own_or_team = |of: fn(&Policy) -> Option<i64>| own.and_then(of).or_else(|| of_team.and_then(of));
        let limit = |of: fn(&Policy) -> Option<i64>, default: Option<i64>| {
            let by_key = own.and_then(of).map(|limit| (Bound::Key, limit));
            let by_team = of_team.and_then(of).or(default.filter(|_| team.is_some()));
            by_key.or(by_team.map(|limit| (Bound::Team, limit))).or(default.map(|limit| (Bound::Key, limit)))
        };
        let models = own.and_then(|own| own.allowed_models.as_ref());
        Terms {
            allowed_models: models.or_else(|| of_team.and_then(|team| team.allowed_models.as_ref())).cloned(),
            max_tokens: own_or_team(|policy| policy.max_tokens_per_request),
            rpm: limit(|policy| policy.rate_limit_rpm, default),
            tpm: limit(|policy| policy.rate_limit_tpm, None),
            organization_rpm: shared.and_then(|policy| policy.rate_limit_rpm),
            organization_tpm: shared.and_then(|policy| policy.rate_limit_tpm),
        }
    }

    fn key(&self, key: &str, at: Instant) -> Option<&Policy> {
        let holds = |term: &&KeyTerm| {
            term.valid_from.is_none_or(|from| from <= at) && term.valid_until.is_none_or(|until| at < until)
        };
        self.keys.get(key)?.at(at)?.iter().find(holds).map(|term| &term.policy)
    }

    /// The next instant after this one at which anything may change.
    pub fn next_turn(&self, after: Instant) -> Instant {
        let at = self.turns.partition_point(|&turn| turn <= after);
        self.turns.get(at).copied().unwrap_or(Instant::LATEST)
    }
}

fn policy_values(values: &OverTime<Value>) -> Dated<Policy> {
    let policies = values.iter().filter_map(|(since, value)| match value {
        Value::Policy(policy) => Some((since, policy.clone())),
        _ => None,
    });
    policies.collect()
}
