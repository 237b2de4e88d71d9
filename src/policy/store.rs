//! The files of `policy/`: one for each run that saw something new, with one
//! entry per line. They are only ever added to.

use std::{collections::BTreeMap, str::FromStr};

use chrono_tz::Tz;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Entry, History, KeyTerm, Subject, Value};
use crate::{
    book::{Book, BookError},
    budgets::Scope,
    config::{Budget, Policy, Pool},
    money::Usd,
    periods::Period,
    time::{Day, Instant},
};

const DIR: &str = "policy";

/// Why what the book has kept of policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("`{file}` in the book, line {line}: {detail}; restore the file from a backup")]
    Damaged { file: String, line: usize, detail: String },
}

/// Everything that the book has kept.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn read(book: &Book) -> Result<History, PolicyError> {
    let mut entries = Vec::new();
    for file in book.list(&Path::from(DIR))? {
        let bytes = book.get(&file)?.unwrap_or_default();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let damaged = |detail: String| PolicyError::Damaged { file: file.to_string(), line: index + 1, detail };
            let stored: Stored = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
            entries.push(stored.entry().ok_or_else(|| damaged("a value that cannot be".to_owned()))?);
        }
    }
    Ok(History::of(entries))
}

/// Keeps what a run saw for the first time.
///
/// # Errors
/// Where the book cannot be written.
pub(super) fn append(book: &Book, entries: &[Entry]) -> Result<(), BookError> {
    if entries.is_empty() {
        return Ok(());
    }
    let number = book.list(&Path::from(DIR))?.len() + 1;
    let lines = entries.iter().map(|entry| {
        let line = serde_json::to_string(&Stored::of(entry)).expect("texts and numbers can be written as JSON");
        line + "\n"
    });
    let text: String = lines.collect();
    book.put(&Path::from(format!("{DIR}/{number:06}.jsonl")), text.into())
}

/// An entry as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    since: Option<String>,
    of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<StoredPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Vec<StoredKey>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budgets: Option<Vec<StoredBudget>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pools: Option<BTreeMap<String, BTreeMap<String, i64>>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens_per_request: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_rpm: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_tpm: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredKey {
    valid_from: Option<String>,
    valid_until: Option<String>,
    policy: StoredPolicy,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredBudget {
    amount_usd: String,
    timezone: String,
    thresholds: Vec<u16>,
    valid_from: Option<String>,
    rollover: bool,
    rollover_cap_usd: Option<String>,
}

impl Stored {
    fn of(entry: &Entry) -> Self {
        let (of, name, period) = match &entry.subject {
            Subject::Organization => ("organization", None, None),
            Subject::Default => ("default", None, None),
            Subject::Pools => ("pools", None, None),
            Subject::Team(name) => ("team", Some(name), None),
            Subject::Key(name) => ("key", Some(name), None),
            Subject::Budget(Scope::Organization, period) => ("budget", None, Some(period)),
            Subject::Budget(Scope::Team(name), period) => ("team_budget", Some(name), Some(period)),
            Subject::Budget(Scope::Key(name), period) => ("key_budget", Some(name), Some(period)),
            Subject::Budget(Scope::Model(name), period) => ("model_budget", Some(name), Some(period)),
        };
        let mut stored = Self {
            since: entry.since.map(|since| since.to_string()),
            of: of.to_owned(),
            name: name.cloned(),
            period: period.map(|period| period.name().to_owned()),
            policy: None,
            key: None,
            budgets: None,
            pools: None,
        };
        match &entry.value {
            Value::Policy(policy) => stored.policy = Some(StoredPolicy::of(policy)),
            Value::Key(terms) => stored.key = Some(terms.iter().map(StoredKey::of).collect()),
            Value::Budgets(budgets) => stored.budgets = Some(budgets.iter().map(StoredBudget::of).collect()),
            Value::Pools(pools) => {
                stored.pools = Some(pools.iter().map(|(name, pool)| (name.clone(), pool.shares.clone())).collect());
            }
        }
        stored
    }

    /// `None` where a value cannot be.
    fn entry(self) -> Option<Entry> {
        let period = |name: &str| Period::ALL.iter().find(|(known, _)| *known == name).map(|(_, period)| *period);
        let period = optional(self.period.as_deref(), period).ok()?;
        let subject = match (self.of.as_str(), self.name, period) {
            ("organization", None, None) => Subject::Organization,
            ("default", None, None) => Subject::Default,
            ("pools", None, None) => Subject::Pools,
            ("team", Some(name), None) => Subject::Team(name),
            ("key", Some(name), None) => Subject::Key(name),
            ("budget", None, Some(period)) => Subject::Budget(Scope::Organization, period),
            ("team_budget", Some(name), Some(period)) => Subject::Budget(Scope::Team(name), period),
            ("key_budget", Some(name), Some(period)) => Subject::Budget(Scope::Key(name), period),
            ("model_budget", Some(name), Some(period)) => Subject::Budget(Scope::Model(name), period),
            _ => return None,
        };
        let value = match (self.policy, self.key, self.budgets, self.pools) {
            (Some(policy), None, None, None) => Value::Policy(policy.policy()),
            (None, Some(terms), None, None) => {
                Value::Key(terms.into_iter().map(StoredKey::term).collect::<Option<_>>()?)
            }
            (None, None, Some(budgets), None) => {
                let period = period?;
                Value::Budgets(budgets.iter().map(|budget| budget.budget(period)).collect::<Option<_>>()?)
            }
            (None, None, None, Some(pools)) => {
                let pool = |(name, shares): (String, _)| (name.clone(), Pool { name, shares });
                Value::Pools(pools.into_iter().map(pool).collect())
            }
            _ => return None,
        };
        let since = optional(self.since.as_deref(), instant).ok()?;
        Some(Entry { since, subject, value })
    }
}

fn instant(text: &str) -> Option<Instant> {
    Instant::parse(text, Tz::UTC)
}

/// A text that says nothing.
#[derive(Debug)]
struct Unreadable;

fn optional<T>(text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Unreadable> {
    text.map(|text| read(text).ok_or(Unreadable)).transpose()
}

impl StoredPolicy {
    fn of(policy: &Policy) -> Self {
        Self {
            allowed_models: policy.allowed_models.clone(),
            max_tokens_per_request: policy.max_tokens_per_request,
            rate_limit_rpm: policy.rate_limit_rpm,
            rate_limit_tpm: policy.rate_limit_tpm,
        }
    }

    fn policy(self) -> Policy {
        Policy {
            allowed_models: self.allowed_models,
            max_tokens_per_request: self.max_tokens_per_request,
            rate_limit_rpm: self.rate_limit_rpm,
            rate_limit_tpm: self.rate_limit_tpm,
        }
    }
}

impl StoredKey {
    fn of(term: &KeyTerm) -> Self {
        Self {
            valid_from: term.valid_from.map(|at| at.to_string()),
            valid_until: term.valid_until.map(|at| at.to_string()),
            policy: StoredPolicy::of(&term.policy),
        }
    }

    fn term(self) -> Option<KeyTerm> {
        Some(KeyTerm {
            valid_from: optional(self.valid_from.as_deref(), instant).ok()?,
            valid_until: optional(self.valid_until.as_deref(), instant).ok()?,
            policy: self.policy.policy(),
        })
    }
}

impl StoredBudget {
    fn of(budget: &Budget) -> Self {
        Self {
            amount_usd: budget.amount.to_string(),
            timezone: budget.timezone.name().to_owned(),
            thresholds: budget.thresholds.clone(),
            valid_from: budget.valid_from.map(|day| day.to_string()),
            rollover: budget.rollover,
            rollover_cap_usd: budget.rollover_cap.map(|cap| cap.to_string()),
        }
    }

    fn budget(&self, period: Period) -> Option<Budget> {
        Some(Budget {
            period,
            amount: Usd::parse(&self.amount_usd).ok()?,
            timezone: Tz::from_str(&self.timezone).ok()?,
            thresholds: self.thresholds.clone(),
            valid_from: optional(self.valid_from.as_deref(), Day::parse).ok()?,
            rollover: self.rollover,
            rollover_cap: optional(self.rollover_cap_usd.as_deref(), |cap| Usd::parse(cap).ok()).ok()?,
        })
    }
}
