//! What teams and keys may do, over time.
//!
//! The config says what holds now; the book keeps what held before, in
//! `policy/`: each run appends the values that changed. A value without a date
//! stands from the beginning of the calendar month in which it was first seen
//! (the month of the book's zone), a key with `valid_from` from that date, and
//! what the first run of a book finds has always stood. So last month's audit
//! does not change because of today's config.
//!
//! Left out on purpose: whose a key is, which the registry dates itself.

mod store;
mod terms;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    book::Book,
    budgets::{Scope, Timeline},
    config::{Budget, Config, Key, Policy, Pool},
    periods::{Calendar, Period},
    teams::OverTime,
    time::Instant,
};

pub use store::PolicyError;
pub use terms::{Bound, Policies, Terms};

use store::{append, read};

/// Whom a value is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Limits that all keys share.
    Organization,
    /// The requests per minute of teams and keys without a limit.
    Default,
    Team(String),
    /// By its name.
    Key(String),
    Budget(Scope, Period),
    Pools,
}

/// What the config said of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Policy(Policy),
    /// The entries of one key, that have dates of their own.
    Key(Vec<KeyTerm>),
    Budgets(Vec<Budget>),
    Pools(BTreeMap<String, Pool>),
}

/// The policy of a key in one of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTerm {
    pub valid_from: Option<Instant>,
    pub valid_until: Option<Instant>,
    pub policy: Policy,
}

/// A value, and since when it stands; `None` is from the beginning of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub since: Option<Instant>,
    pub subject: Subject,
    pub value: Value,
}

/// What a run knows of policies and budgets.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub history: History,
    /// How many values were new to the book.
    pub changes: usize,
}

/// Keeps what the config says now, where that is new: what a run does once,
/// before all that depends on budgets or policies. Twice is once.
///
/// # Errors
/// Where the book cannot be read or written.
pub fn keep(book: &Book, config: &Config, now: Instant) -> Result<Kept, PolicyError> {
    let mut history = read(book)?;
    let new = history.observe(config, now);
    append(book, &new)?;
    Ok(Kept { history, changes: new.len() })
}

/// What the book has kept, and over it what the config says now, as the next
/// run will keep it: for those who only look.
///
/// # Errors
/// Where the book cannot be read.
pub fn known(book: &Book, config: &Config, now: Instant) -> Result<History, PolicyError> {
    let mut history = read(book)?;
    history.observe(config, now);
    Ok(history)
}

/// Values with the instants from which they stand, in the order of learning.
type Dated<T> = Vec<(Option<Instant>, T)>;

/// Every value that was ever seen, in the order in which it was learnt.
#[derive(Debug, Clone, Default)]
pub struct History {
    values: BTreeMap<Subject, OverTime<Value>>,
}

impl History {
    /// From what the book has kept.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut history = Self::default();
        for entry in entries {
            history.add(entry);
        }
        history
    }

    fn add(&mut self, entry: Entry) {
        let Entry { since, subject, value } = entry;
        let values = self.values.remove(&subject);
        let mut known: Dated<Value> =
            values.iter().flat_map(OverTime::iter).map(|(since, value)| (since, value.clone())).collect();
        known.push((since, value));
        self.values.insert(subject, OverTime::of(known));
    }

    /// Takes in what the config says now; what is new is given back, to be kept.
    pub(crate) fn observe(&mut self, config: &Config, now: Instant) -> Vec<Entry> {
        let is_first = self.values.is_empty();
        let mut current = current(config);
        let gone: BTreeSet<Subject> =
            self.values.keys().filter(|subject| !current.contains_key(subject)).cloned().collect();
        for subject in gone {
            let nothing = nothing(&subject);
            current.insert(subject, nothing);
        }
        let mut entries = Vec::new();
        for (subject, value) in current {
            let last = self.values.get(&subject).and_then(OverTime::last);
            if last == Some(&value) || (last.is_none() && !is_first && value == nothing(&subject)) {
                continue;
            }
            let since = (!is_first).then(|| self.since(config, &subject, &value, now));
            let entry = Entry { since, subject, value };
            self.add(entry.clone());
            entries.push(entry);
        }
        entries
    }

    /// From when a value stands that is seen for the first time.
    fn since(&self, config: &Config, subject: &Subject, value: &Value, now: Instant) -> Instant {
        let week_start = config.book.week_start;
        let month = Calendar { zone: config.book.timezone, week_start }.period_of(now, Period::Month).from;
        match (subject, value) {
            (Subject::Budget(_, period), Value::Budgets(budgets)) => {
                let undated = budgets.iter().find(|budget| budget.valid_from.is_none());
                let zone = undated.or(budgets.first()).map(|budget| budget.timezone);
                let zone = zone.or_else(|| self.last_zone(subject)).unwrap_or(config.book.timezone);
                Calendar { zone, week_start }.period_of(now, *period).from
            }
            (Subject::Key(_), Value::Key(terms)) if !self.values.contains_key(subject) => {
                let from = terms.iter().map(|term| term.valid_from).min().flatten();
                from.map_or(month, |from| from.min(month))
            }
            _ => month,
        }
    }

    fn last_zone(&self, budget: &Subject) -> Option<chrono_tz::Tz> {
        match self.values.get(budget)?.last()? {
            Value::Budgets(budgets) => budgets.first().map(|budget| budget.timezone),
            _ => None,
        }
    }

    /// Every budget that there is or was, over time. A team that was renamed
    /// has those of its former names.
    pub fn budgets(&self, config: &Config) -> Vec<(Scope, Timeline)> {
        let mut known: BTreeMap<(Scope, Period), Dated<Vec<Budget>>> = BTreeMap::new();
        for (subject, values) in &self.values {
            let Subject::Budget(scope, period) = subject else { continue };
            let (scope, is_former) = match scope {
                Scope::Team(team) => {
                    let current = current_name(config, team);
                    (Scope::Team(current.to_owned()), current != team)
                }
                other => (other.clone(), false),
            };
            let own = values.iter().filter_map(|(since, value)| match value {
                Value::Budgets(budgets) => Some((since, budgets.clone())),
                _ => None,
            });
            join(known.entry((scope, *period)).or_default(), own, is_former, Vec::is_empty);
        }
        let week_start = config.book.week_start;
        let timeline = |((scope, period), values)| (scope, Timeline::new(period, week_start, OverTime::of(values)));
        known.into_iter().map(timeline).collect()
    }

    /// The pools over time, in the order in which they were learnt. A team that
    /// was renamed has the shares of its former names, as it has their charges.
    pub fn pools(&self, config: &Config) -> OverTime<BTreeMap<String, Pool>> {
        let values = self.values.get(&Subject::Pools).into_iter().flat_map(OverTime::iter);
        let pools = values.filter_map(|(since, value)| match value {
            Value::Pools(pools) => Some((since, pools.values().map(|pool| with_names_now(config, pool)).collect())),
            _ => None,
        });
        OverTime::of(pools.collect())
    }
}

/// A pool by the names that its teams have now.
fn with_names_now(config: &Config, pool: &Pool) -> (String, Pool) {
    let mut shares = BTreeMap::new();
    for (team, share) in &pool.shares {
        *shares.entry(current_name(config, team).to_owned()).or_default() += share;
    }
    (pool.name.clone(), Pool { name: pool.name.clone(), shares })
}

/// The name that a team has now.
fn current_name<'n>(config: &'n Config, team: &'n str) -> &'n str {
    if config.teams.contains_key(team) {
        return team;
    }
    let renamed = config.teams.values().find(|now| now.formerly.iter().any(|former| former == team));
    renamed.map_or(team, |now| &now.name)
}

/// Adds the values of one of a team's names. Those of a former one come first;
/// that the config says nothing of it any more is no end of them.
fn join<T>(
    known: &mut Dated<T>,
    own: impl Iterator<Item = (Option<Instant>, T)>,
    is_former: bool,
    is_nothing: impl Fn(&T) -> bool,
) {
    if is_former {
        known.splice(0..0, own.filter(|(_, value)| !is_nothing(value)));
    } else {
        known.extend(own);
    }
}

/// What the config says of everyone. Keys without a policy of their own are
/// left out.
fn current(config: &Config) -> BTreeMap<Subject, Value> {
    let organization = &config.organization;
    let shared = Policy {
        rate_limit_rpm: organization.rate_limit_rpm,
        rate_limit_tpm: organization.rate_limit_tpm,
        ..Policy::default()
    };
    let default = Policy { rate_limit_rpm: config.book.default_rate_limit_rpm, ..Policy::default() };
    let mut current = BTreeMap::from([
        (Subject::Organization, Value::Policy(shared)),
        (Subject::Default, Value::Policy(default)),
        (Subject::Pools, Value::Pools(config.pools.clone())),
    ]);
    current.extend(budgets_of(config));
    for team in config.teams.values() {
        current.insert(Subject::Team(team.name.clone()), Value::Policy(team.policy.clone()));
    }
    let mut keys: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in &config.keys {
        keys.entry(&key.name).or_default().push(key);
    }
    for (name, entries) in keys {
        if entries.iter().any(|key| key.policy != Policy::default()) {
            let terms = entries.into_iter().map(|key| KeyTerm {
                valid_from: key.valid_from,
                valid_until: key.valid_until,
                policy: key.policy.clone(),
            });
            current.insert(Subject::Key(name.to_owned()), Value::Key(terms.collect()));
        }
    }
    current
}

/// The budgets of everyone, by the kind of period.
fn budgets_of(config: &Config) -> BTreeMap<Subject, Value> {
    let teams = config.teams.values().map(|team| (Scope::Team(team.name.clone()), &team.budgets));
    let keys = config.keys.iter().map(|key| (Scope::Key(key.name.clone()), &key.budgets));
    let models = config.models.values().map(|model| (Scope::Model(model.name.clone()), &model.budgets));
    let organization = [(Scope::Organization, &config.organization.budgets)];
    let mut found = BTreeMap::new();
    for (scope, budgets) in teams.chain(keys).chain(models).chain(organization) {
        for (_, period) in Period::ALL {
            let of_period: Vec<Budget> = budgets.iter().filter(|budget| budget.period == period).cloned().collect();
            // Of the entries of a key, one has them.
            if !of_period.is_empty() {
                found.insert(Subject::Budget(scope.clone(), period), Value::Budgets(of_period));
            }
        }
    }
    found
}

/// The value of a subject of which the config says nothing.
fn nothing(subject: &Subject) -> Value {
    match subject {
        Subject::Organization | Subject::Default | Subject::Team(_) => Value::Policy(Policy::default()),
        Subject::Key(_) => Value::Key(Vec::new()),
        Subject::Budget(..) => Value::Budgets(Vec::new()),
        Subject::Pools => Value::Pools(BTreeMap::new()),
    }
}

#[cfg(test)]
mod tests;
