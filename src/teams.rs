//! Whose a request is, over time: the registry of keys, the convention of
//! their names, and what the log itself claims.
//!
//! In this order: the registry, at the instant of the request; the convention
//! `{team}-{environment}[-{purpose}]`; the team that the log names, if there is
//! one. What is none of these is nobody's, and stays visible as such. Names are
//! compared exactly; [`Registry::suggestion`] says whose a rest may be, and
//! never decides. Renaming a team (`formerly`) takes its history along, and a
//! key that is deleted, rotated or moved on a date leaves the past alone.
//!
//! Left out on purpose: what shared keys cost each team, which is a matter of
//! a whole period (`budgets`), and reading or writing anything.

mod over_time;
mod suggestion;

use std::{cmp::Reverse, collections::HashMap, fmt};

use xxhash_rust::xxh3::Xxh3;

pub use over_time::OverTime;
pub use suggestion::{Hint, Suggestion};

use crate::{
    config::{Config, Holder, Key},
    time::Instant,
};

/// What the team of a shared key begins with; the name of its pool follows.
pub const SHARED: &str = "shared:";

/// What a request says about who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim<'a> {
    /// By its name, its fingerprint or its id.
    pub key: Option<&'a str>,
    pub team_reported: Option<&'a str>,
}

/// Who pays for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// The current name of a team, or `shared:` and the name of a pool.
    pub team: Option<String>,
    pub environment: Option<String>,
    pub purpose: Option<String>,
    /// The provider's project that the registry has for the key.
    pub project: Option<String>,
    pub basis: TeamBasis,
}

/// How a team was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TeamBasis {
    Registry,
    Convention,
    Reported,
    None,
}

impl TeamBasis {
    /// The name in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Convention => "convention",
            Self::Reported => "reported",
            Self::None => "none",
        }
    }
}

/// An answer, and the time `[from, until)` for which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub from: Instant,
    pub until: Instant,
    pub attribution: Attribution,
}

/// Teams, environments and keys of a config, ready to be asked.
pub struct Registry<'c> {
    /// Current and former names of teams, the longest first, each with the
    /// current one.
    teams: Vec<(&'c str, &'c str)>,
    /// Names that teams had before, with those that they have now.
    former: HashMap<&'c str, &'c str>,
    /// The longest first.
    environments: Vec<&'c str>,
    keys: &'c [Key],
    /// By what each key is shown as, in the order of [`Key::shown_as`].
    shown: [HashMap<&'c str, Vec<&'c Key>>; Key::WAYS_SHOWN],
}

impl fmt::Debug for Registry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("teams", &self.teams).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl<'c> Registry<'c> {
    pub fn new(config: &'c Config) -> Self {
        let mut teams: Vec<(&str, &str)> = Vec::new();
        for team in config.teams.values() {
            teams.push((&team.name, &team.name));
            teams.extend(team.formerly.iter().map(|former| (former.as_str(), team.name.as_str())));
        }
        let former = teams.iter().copied().filter(|(name, team)| name != team).collect();
        teams.sort_by_key(|(name, _)| (Reverse(name.len()), *name));
        let mut environments: Vec<&str> = config.book.environments.iter().map(String::as_str).collect();
        environments.sort_by_key(|name| (Reverse(name.len()), *name));
        let mut shown: [HashMap<&str, Vec<&Key>>; Key::WAYS_SHOWN] = Default::default();
        for key in &config.keys {
            for (keys, text) in shown.iter_mut().zip(key.shown_as()) {
                if let Some(text) = text {
                    keys.entry(text).or_default().push(key);
                }
            }
        }
        Self { teams, former, environments, keys: &config.keys, shown }
    }

    /// Who pays for a request that was made `at` an instant.
    pub fn attribute(&self, claim: Claim<'_>, at: Instant) -> Attribution {
        if let Some(key) = claim.key {
            let registered = self.entry(key, at).map(registered_attribution);
            if let Some(attribution) = registered.or_else(|| self.by_convention(key)) {
                return attribution;
            }
        }
        let team = claim.team_reported.and_then(|name| self.team_named(name)).map(str::to_owned);
        let basis = if team.is_some() { TeamBasis::Reported } else { TeamBasis::None };
        Attribution { team, environment: None, purpose: None, project: None, basis }
    }

    /// The answers on `[from, until)`: stretches without holes, in order, each
    /// different from the one before.
    pub fn stretches(&self, claim: Claim<'_>, from: Instant, until: Instant) -> Vec<Stretch> {
        let mut starts = vec![from];
        for key in claim.key.into_iter().flat_map(|key| self.entries(key)) {
            let turns = [key.valid_from, key.valid_until].into_iter().flatten();
            starts.extend(turns.filter(|&at| from < at && at < until));
        }
        starts.sort_unstable();
        starts.dedup();
        let mut stretches: Vec<Stretch> = Vec::new();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(until);
            let attribution = self.attribute(claim, start);
            match stretches.last_mut() {
                Some(last) if last.attribution == attribution => last.until = end,
                _ => stretches.push(Stretch { from: start, until: end, attribution }),
            }
        }
        stretches
    }

    /// The digest of the answers for these claims on `[from, until)`, whatever
    /// their order: another one means that the charges of that time are to be
    /// built again. What no claim can match does not change it, nor does a
    /// key's project, which no charge carries.
    pub fn digest<'a>(&self, claims: impl IntoIterator<Item = Claim<'a>>, from: Instant, until: Instant) -> String {
        let mut claims: Vec<Claim<'_>> = claims.into_iter().collect();
        claims.sort_unstable();
        claims.dedup();
        let mut digest = Xxh3::new();
        // Each text is preceded by its length, so that no two lists look alike.
        let mut add = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            digest.update(&length.to_le_bytes());
            digest.update(text.unwrap_or_default().as_bytes());
        };
        for claim in claims {
            add(claim.key);
            add(claim.team_reported);
            let mut last = None;
            for Stretch { from, attribution, .. } in self.stretches(claim, from, until) {
                let Attribution { team, environment, purpose, basis, .. } = attribution;
                let answer = Some((team, environment, purpose, basis));
                if answer == last {
                    continue;
                }
                if let Some((team, environment, purpose, basis)) = &answer {
                    add(Some(&from.micros().to_string()));
                    add(team.as_deref());
                    add(environment.as_deref());
                    add(purpose.as_deref());
                    add(Some(basis.name()));
                }
                last = answer;
            }
        }
        format!("{:032x}", digest.digest128())
    }

    /// What the config says of a key, by name, fingerprint or id, at an instant.
    pub fn entry(&self, key: &str, at: Instant) -> Option<&'c Key> {
        self.entries(key).find(|entry| holds_at(entry, at))
    }

    /// The registered name of a key that is shown by its name, its fingerprint or
    /// its id; what is not registered at that instant has the one it shows.
    pub fn key_name<'k>(&self, key: &'k str, at: Instant) -> &'k str
    where
        'c: 'k,
    {
        self.entry(key, at).map_or(key, |entry| &entry.name)
    }

    /// The same, and outside of the times for which the key is registered the
    /// name that it had last: who uses a key before its time or after its end
    /// uses that key.
    pub fn lasting_name<'k>(&self, key: &'k str, at: Instant) -> &'k str
    where
        'c: 'k,
    {
        let last = || self.shown.iter().find_map(|keys| keys.get(key)?.last().copied());
        self.entry(key, at).or_else(last).map_or(key, |entry| &entry.name)
    }

    /// Whether a key that a log shows has this registered name at some time.
    pub fn may_be(&self, key: &str, name: &str) -> bool {
        key == name || self.entries(key).any(|entry| entry.name == name)
    }

    /// Every entry of a key, in the order of [`Key::shown_as`].
    fn entries(&self, key: &str) -> impl Iterator<Item = &'c Key> {
        self.shown.iter().filter_map(move |keys| keys.get(key)).flatten().copied()
    }

    /// The name that the team of a row has now: until its day is priced again, a
    /// row has the name that the team had then.
    pub fn team_name<'k>(&self, team: &'k str) -> &'k str
    where
        'c: 'k,
    {
        self.former.get(team).copied().unwrap_or(team)
    }

    /// The current name of a team that has or had this one.
    pub fn team_named(&self, name: &str) -> Option<&'c str> {
        self.teams.iter().find(|(known, _)| *known == name).map(|(_, team)| *team)
    }

    /// `{team}-{environment}[-{purpose}]`, with the longest name of a team for
    /// which that holds.
    fn by_convention(&self, key: &str) -> Option<Attribution> {
        self.teams.iter().find_map(|(name, team)| {
            let rest = key.strip_prefix(name)?.strip_prefix('-')?;
            self.environments.iter().find_map(|environment| {
                let purpose = match rest.strip_prefix(environment)? {
                    "" => None,
                    purpose => Some(purpose.strip_prefix('-').filter(|purpose| !purpose.is_empty())?.to_owned()),
                };
                Some(Attribution {
                    team: Some((*team).to_owned()),
                    environment: Some((*environment).to_owned()),
                    purpose,
                    project: None,
                    basis: TeamBasis::Convention,
                })
            })
        })
    }
}

fn holds_at(key: &Key, at: Instant) -> bool {
    key.valid_from.is_none_or(|from| from <= at) && key.valid_until.is_none_or(|until| at < until)
}

fn registered_attribution(key: &Key) -> Attribution {
    Attribution {
        team: Some(holder_name(&key.holder)),
        environment: key.environment.clone(),
        purpose: key.purpose.clone(),
        project: key.project.clone(),
        basis: TeamBasis::Registry,
    }
}

/// As the column `team` has it.
fn holder_name(holder: &Holder) -> String {
    match holder {
        Holder::Team(team) => team.clone(),
        Holder::Pool(pool) => format!("{SHARED}{pool}"),
    }
}

#[cfg(test)]
mod tests;
