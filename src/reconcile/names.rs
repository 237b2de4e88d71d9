//! What lines are told apart by, and which of it both sides know.

use std::collections::BTreeSet;

use super::{lines::Rules, ours::Group};
use crate::{
    teams::Registry,
    time::{Day, Instant},
    totals::TotalRow,
};

/// What lines are told apart by. `None` is a sum over all, or without a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Names {
    pub key: Option<String>,
    pub project: Option<String>,
    /// The price book's name.
    pub model: Option<String>,
}

/// Which names a claim is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct By {
    pub key: bool,
    pub project: bool,
    pub model: bool,
}

impl By {
    /// What they tell and we know: at least one of the names is on both sides,
    /// or, as it may be that no log was kept of any, a registered key.
    pub(super) fn of(theirs: &[&Names], ours: &[&Names], day: Day, rules: Rules<'_>) -> Self {
        let is_shared = |of: fn(&Names) -> Option<&str>| {
            let known: BTreeSet<&str> = ours.iter().filter_map(|names| of(names)).collect();
            let mut told = theirs.iter().filter_map(|names| of(names));
            told.any(|name| ours.is_empty() || known.contains(name))
        };
        let is_registered = |key: &str| rules.registry.entry(key, instant_of(rules.registry, Some(key), day)).is_some();
        Self {
            key: is_shared(|names| names.key.as_deref())
                || theirs.iter().filter_map(|names| names.key.as_deref()).any(is_registered),
            project: is_shared(|names| names.project.as_deref()),
            model: is_shared(|names| names.model.as_deref()),
        }
    }

    /// The names that are not compared by are summed over.
    pub(super) fn fold(self, names: Names) -> Names {
        Names {
            key: names.key.filter(|_| self.key),
            project: names.project.filter(|_| self.project),
            model: names.model.filter(|_| self.model),
        }
    }

    /// What is told and not compared by.
    pub(super) fn unknown(self, theirs: &[&Names]) -> Vec<&'static str> {
        let is_told = |of: fn(&Names) -> bool| theirs.iter().any(|names| of(names));
        let told = [
            ("keys", !self.key && is_told(|names| names.key.is_some())),
            ("projects", !self.project && is_told(|names| names.project.is_some())),
            ("models", !self.model && is_told(|names| names.model.is_some())),
        ];
        told.into_iter().filter(|(_, is_unknown)| *is_unknown).map(|(what, _)| what).collect()
    }

    pub(super) const fn is_part_of(self, other: Self) -> bool {
        (other.key || !self.key) && (other.project || !self.project) && (other.model || !self.model)
    }
}

/// When on a day it is looked up whose a key is: at its beginning, or at its end
/// where the key was registered in between.
pub(super) fn instant_of(registry: &Registry<'_>, key: Option<&str>, day: Day) -> Instant {
    let is_known = key.is_none_or(|key| registry.entry(key, day.start()).is_some());
    if is_known { day.start() } else { day.end().plus_micros(-1) }
}

/// Of a row that a provider told.
pub(super) fn theirs(row: &TotalRow, day: Day, rules: Rules<'_>) -> Names {
    let key = row.key.as_deref().or(row.key_id.as_deref());
    let model = row.model.as_deref();
    Names {
        key: key.map(|key| key_name(key, day, rules)),
        project: row.project.clone(),
        model: model
            .map(|model| rules.prices.billed_name(&row.provider, model, day.start(), rules.known_on).to_owned()),
    }
}

fn key_name(key: &str, day: Day, rules: Rules<'_>) -> String {
    rules.registry.key_name(key, instant_of(rules.registry, Some(key), day)).to_owned()
}

/// Of our requests. A project that no log shows may be in the registry.
pub(super) fn ours(group: &Group, day: Day, rules: Rules<'_>) -> Names {
    let at = instant_of(rules.registry, group.key.as_deref(), day);
    let registered = || group.key.as_deref().and_then(|key| rules.registry.entry(key, at)?.project.clone());
    Names {
        key: group.key.as_deref().map(|key| key_name(key, day, rules)),
        project: group.project.clone().or_else(registered),
        model: Some(group.model.clone()),
    }
}
