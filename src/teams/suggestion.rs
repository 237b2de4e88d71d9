//! Whose the key of an unattributed request may be: something for a person to
//! look at and to write into the config, never an attribution.

use std::fmt;

use super::{Claim, Registry, TeamBasis, holder_name};
use crate::{config::Key, time::Instant};

/// Whose a request may be, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// A team, or `shared:` and the name of a pool.
    pub team: String,
    pub hint: Hint,
}

/// What points to a team; the surest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The key is registered, and not for that time.
    OtherTime { key: String },
    /// A registered key takes over from this one.
    ReplacedBy { key: String },
    /// The log's project is that of a registered key.
    Project { project: String, key: String },
    /// Its name begins with that of a team, and no known environment follows.
    BeginsLikeTeam { name: String },
    /// Its name is nearly that of a registered key.
    NearKey { key: String },
    /// What stands before the environment in its name is nearly a team.
    NearTeam { name: String },
    /// The team that the log names is nearly one that there is.
    NearReported { reported: String },
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let team = &self.team;
        match &self.hint {
            Hint::OtherTime { key } => {
                write!(f, "`{key}` is registered to `{team}`, and not at that time: see its valid_from and valid_until")
            }
            Hint::ReplacedBy { key } => write!(f, "`{key}` of `{team}` replaces it: register the old key too"),
            Hint::Project { project, key } => {
                write!(f, "its project `{project}` is that of `{key}`, which belongs to `{team}`")
            }
            Hint::BeginsLikeTeam { name } => {
                write!(f, "begins with `{name}`, and none of `environments` follows: `{team}`?")
            }
            Hint::NearKey { key } => write!(f, "nearly `{key}`, which belongs to `{team}`"),
            Hint::NearTeam { name } => write!(f, "`{name}` may be a misspelt `{team}`"),
            Hint::NearReported { reported } => {
                write!(f, "the log says `{reported}`: `{team}`, or its `formerly`?")
            }
        }
    }
}

impl Registry<'_> {
    /// Whose an unattributed request may be; `None` where it is attributed, or
    /// nothing points to anyone. `project` is the one that the log names.
    pub fn suggestion(&self, claim: Claim<'_>, project: Option<&str>, at: Instant) -> Option<Suggestion> {
        if self.attribute(claim, at).basis != TeamBasis::None {
            return None;
        }
        let by_key = claim.key.and_then(|key| self.known_elsewhere(key));
        by_key
            .or_else(|| project.and_then(|project| self.by_project(project)))
            .or_else(|| claim.key.and_then(|key| self.like_another(key)))
            .or_else(|| claim.team_reported.and_then(|reported| self.near_reported(reported)))
    }

    /// Registered for another time, or as what another key replaces.
    fn known_elsewhere(&self, key: &str) -> Option<Suggestion> {
        let holder = |entry: &Key, hint| Suggestion { team: holder_name(&entry.holder), hint };
        if let Some(entry) = self.entries(key).last() {
            return Some(holder(entry, Hint::OtherTime { key: key.to_owned() }));
        }
        let successor = self.keys.iter().find(|entry| entry.replaces.as_deref() == Some(key))?;
        Some(holder(successor, Hint::ReplacedBy { key: successor.name.clone() }))
    }

    fn by_project(&self, project: &str) -> Option<Suggestion> {
        let entry = self.keys.iter().find(|entry| entry.project.as_deref() == Some(project))?;
        let hint = Hint::Project { project: project.to_owned(), key: entry.name.clone() };
        Some(Suggestion { team: holder_name(&entry.holder), hint })
    }

    /// By the look of its name. A fingerprint looks like nothing.
    fn like_another(&self, key: &str) -> Option<Suggestion> {
        if key.starts_with("fp_") {
            return None;
        }
        let begins = self.teams.iter().find(|(name, _)| {
            key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.', '/', ':']))
        });
        if let Some((name, team)) = begins {
            let hint = Hint::BeginsLikeTeam { name: (*name).to_owned() };
            return Some(Suggestion { team: (*team).to_owned(), hint });
        }
        let names = self.keys.iter().map(|entry| (entry.name.as_str(), entry));
        if let Some(entry) = nearest(key, names) {
            let hint = Hint::NearKey { key: entry.name.clone() };
            return Some(Suggestion { team: holder_name(&entry.holder), hint });
        }
        let plain = plain(key);
        let before_environment = self.environments.iter().find_map(|environment| {
            let at = plain.find(&format!("-{}", environment.to_ascii_lowercase()))?;
            key.get(..at)
        });
        let name = before_environment.unwrap_or(key);
        let team = nearest(name, self.teams.iter().copied())?;
        Some(Suggestion { team: team.to_owned(), hint: Hint::NearTeam { name: name.to_owned() } })
    }

    fn near_reported(&self, reported: &str) -> Option<Suggestion> {
        let team = nearest(reported, self.teams.iter().copied())?;
        Some(Suggestion { team: team.to_owned(), hint: Hint::NearReported { reported: reported.to_owned() } })
    }
}

/// What stands beside the nearest name, where one letter in five differs at
/// most; of equally near ones the smaller name.
fn nearest<'n, T>(found: &str, known: impl Iterator<Item = (&'n str, T)>) -> Option<T> {
    let found = plain(found);
    let length = found.chars().count();
    known
        .map(|(name, it)| (strsim::damerau_levenshtein(&found, &plain(name)), name, it))
        .filter(|(distance, ..)| distance * 5 <= length)
        .min_by_key(|(distance, name, _)| (*distance, *name))
        .map(|(.., it)| it)
}

/// Case and separators are what names differ in most often. Every byte stays
/// where it is.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.', '/', ':', ' '], "-")
}
