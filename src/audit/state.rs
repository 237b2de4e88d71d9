//! What a day's violations were made from, as kept in their file's metadata:
//! they are made again when that differs, and only then.
//!
//! `state/violations.json` only saves work: it says from which files a day was
//! found to be up to date, so that those need not be read again.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{
    day::{Present, Rules},
    exhausted::Allowance,
    read::DayFile,
    row::Row,
};
use crate::{
    book::{
        Book, BookError,
        layout::{DIGEST_KEY, SCHEMA_KEY, SCHEMA_VERSION},
    },
    budgets::Scope,
    time::{Day, Instant},
};

/// The version of what the code makes of the same charges and policies.
/// Another one looks through every day again.
const RULES_VERSION: &str = "2";

const CHARGES_KEY: &str = "spendbook.charges";
const POLICY_KEY: &str = "spendbook.policy";
const BEFORE_KEY: &str = "spendbook.before";
const RULES_KEY: &str = "spendbook.rules";
const PRESENT_KEY: &str = "spendbook.present";

/// A request of the minute before a day, kept until that day is looked through.
#[derive(Debug)]
pub(super) struct Last {
    pub ts: Instant,
    pub team: Option<String>,
    pub key: Option<String>,
    pub tokens: i64,
}

impl Last {
    pub(super) fn of(row: &Row<'_>) -> Option<Self> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let last = || Self { ts: row.ts, team: own(row.team), key: own(row.key), tokens: row.tokens };
        row.counts_per_minute().then(last)
    }
}

/// Digests of what a day's violations are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs {
    charges: String,
    policy: String,
    before: String,
    rules: String,
}

fn digest(parts: impl IntoIterator<Item = String>) -> String {
    let mut digest = Xxh3::new();
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    format!("{:032x}", digest.digest128())
}

impl Inputs {
    /// `last` is the minute before the day.
    pub(super) fn now(
        day: Day,
        charges: &str,
        present: &Present,
        rules: Rules<'_>,
        allowances: &[Allowance],
        last: &[Last],
    ) -> Self {
        let minute = last.iter().map(|it| format!("{} {:?} {:?} {}", it.ts.micros(), it.team, it.key, it.tokens));
        let is_present = |scope: &Scope| match scope {
            Scope::Team(team) => present.payers.iter().any(|(of, _)| of.as_ref() == Some(team)),
            Scope::Key(key) => {
                let shown = present.payers.iter().filter_map(|(_, of)| of.as_deref());
                shown.into_iter().any(|shown| rules.registry.may_be(shown, key))
            }
            Scope::Organization | Scope::Model(_) => true,
        };
        let budgets = allowances.iter().filter(|it| is_present(&it.scope)).map(|it| format!("{it:?}"));
        Self {
            charges: charges.to_owned(),
            policy: digest(policy_texts(day, present, rules)),
            before: digest(minute.chain(["budgets".to_owned()]).chain(budgets)),
            rules: RULES_VERSION.to_owned(),
        }
    }

    /// Whether a file was made from the same.
    pub(super) fn made(&self, file: &DayFile) -> bool {
        let schema = SCHEMA_VERSION.to_string();
        let Self { charges, policy, before, rules } = self;
        [(SCHEMA_KEY, &schema), (CHARGES_KEY, charges), (POLICY_KEY, policy), (BEFORE_KEY, before), (RULES_KEY, rules)]
            .into_iter()
            .all(|(key, value)| file.value(key) == Some(value))
    }

    /// For the metadata of the file.
    pub(super) fn metadata(self, present: &Present) -> Vec<(&'static str, String)> {
        let whole = digest([&self.charges, &self.policy, &self.before, &self.rules].map(Clone::clone));
        let present = serde_json::to_string(present).expect("sets of texts can be written as JSON");
        vec![
            (SCHEMA_KEY, SCHEMA_VERSION.to_string()),
            (DIGEST_KEY, whole),
            (CHARGES_KEY, self.charges),
            (POLICY_KEY, self.policy),
            (BEFORE_KEY, self.before),
            (RULES_KEY, self.rules),
            (PRESENT_KEY, present),
        ]
    }
}

/// Whom a file is about.
pub(super) fn present(file: &DayFile) -> Option<Present> {
    serde_json::from_str(file.value(PRESENT_KEY)?).ok()
}

/// What holds on a day for those that are present, and what the price book
/// calls the models of their policies. Turns and names of others are left out.
fn policy_texts(day: Day, present: &Present, rules: Rules<'_>) -> Vec<String> {
    let Rules { policies, prices, known_on, .. } = rules;
    let mut texts: Vec<String> = Vec::new();
    let mut models: BTreeSet<String> = present.requested.values().flatten().cloned().collect();
    let mut last = Vec::new();
    let mut at = day.start();
    while at < day.end() {
        let mut now = Vec::new();
        for (team, key) in &present.payers {
            let (name, terms) = rules.terms(team.as_deref(), key.as_deref(), at);
            now.push(format!("{team:?} {key:?} {name:?} {terms:?}"));
            models.extend(terms.allowed_models.into_iter().flatten());
        }
        if now != last {
            texts.push(at.micros().to_string());
            texts.extend(now.iter().cloned());
            last = now;
        }
        at = policies.next_turn(at);
    }
    let aliases = prices.aliases().iter().filter(|row| {
        let is_known = row.validity.known_from <= known_on && row.validity.touches(day.start(), day.end());
        is_known && present.providers.contains(&row.provider) && models.contains(&row.alias)
    });
    let mut aliases: Vec<String> = aliases.map(|row| row.digest.to_string()).collect();
    aliases.sort_unstable();
    texts.extend(aliases);
    texts
}

const MEMO: &str = "state/violations.json";

/// From which files each day was found to be up to date.
#[derive(Debug, Default, PartialEq, Eq, Clone, Serialize, Deserialize)]
pub(super) struct Memo(BTreeMap<String, String>);

impl Memo {
    /// An unreadable one is as good as none.
    pub(super) fn read(book: &Book) -> Result<Self, BookError> {
        let bytes = book.get(&Path::from(MEMO))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    pub(super) fn write(&self, book: &Book) -> Result<(), BookError> {
        book.put(&Path::from(MEMO), serde_json::to_vec(self).unwrap_or_default().into())
    }

    pub(super) fn has(&self, day: Day, files: &str) -> bool {
        self.0.get(&day.to_string()).is_some_and(|known| known == files)
    }

    pub(super) fn note(&mut self, day: Day, files: String) {
        self.0.insert(day.to_string(), files);
    }
}

/// The digest of everything that may matter for a day: more than what does.
pub(super) fn files_digest(before: &str, spent: &str, violations: &str, everything: &str) -> String {
    let versions = format!("{SCHEMA_VERSION} {RULES_VERSION}");
    digest([before, spent, violations, everything, &versions].map(str::to_owned))
}
