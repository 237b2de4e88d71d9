//! Whose request it was: a team, an environment and a purpose for each key.
//!
//! In this order: the registry of keys, at the instant of the request; the
//! convention `{team}-{environment}[-{purpose}]`; the team that the log names,
//! if there is one. Names are compared exactly. What is none of these is
//! nobody's, and stays visible as such.

use std::{collections::HashMap, fmt};

use xxhash_rust::xxh3::Xxh3;

use crate::{
    config::{Config, Holder, Key},
    time::Instant,
};

/// What a request says about who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim<'a> {
    /// Name or fingerprint.
    pub key: Option<&'a str>,
    pub team_reported: Option<&'a str>,
}

/// Who pays for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub team: Option<String>,
    pub environment: Option<String>,
    pub purpose: Option<String>,
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

/// An owner, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    pub from: Instant,
    pub until: Instant,
    pub owner: Owner,
}

/// Teams, environments and keys of a config, ready to be asked.
pub struct Attribution<'c> {
    /// Current and former names of teams, the longest first, each with the
    /// current one.
    names: Vec<(&'c str, &'c str)>,
    /// The longest first.
    environments: Vec<&'c str>,
    by_name: HashMap<&'c str, Vec<&'c Key>>,
    by_fingerprint: HashMap<&'c str, Vec<&'c Key>>,
}

impl fmt::Debug for Attribution<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attribution").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<'c> Attribution<'c> {
    pub fn new(config: &'c Config) -> Self {
        let mut names: Vec<(&str, &str)> = config.teams.keys().map(|name| (name.as_str(), name.as_str())).collect();
        for team in config.teams.values() {
            let former = team.formerly.iter().filter(|name| !config.teams.contains_key(*name));
            names.extend(former.map(|name| (name.as_str(), team.name.as_str())));
        }
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let mut environments: Vec<&str> = config.book.environments.iter().map(String::as_str).collect();
        environments.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let mut by_name: HashMap<&str, Vec<&Key>> = HashMap::new();
        let mut by_fingerprint: HashMap<&str, Vec<&Key>> = HashMap::new();
        for key in &config.keys {
            by_name.entry(&key.name).or_default().push(key);
            if let Some(fingerprint) = &key.fingerprint {
                by_fingerprint.entry(fingerprint).or_default().push(key);
            }
        }
        Self { names, environments, by_name, by_fingerprint }
    }

    /// Who pays at an instant.
    pub fn owner(&self, claim: Claim<'_>, at: Instant) -> Owner {
        if let Some(key) = claim.key {
            let owner = self.registered(key).find(|key| holds_at(key, at)).map(registered_owner);
            if let Some(owner) = owner.or_else(|| self.by_convention(key)) {
                return owner;
            }
        }
        let reported = claim.team_reported.and_then(|team| self.names.iter().find(|(name, _)| *name == team));
        let basis = if reported.is_some() { TeamBasis::Reported } else { TeamBasis::None };
        Owner { team: reported.map(|(_, team)| (*team).to_owned()), environment: None, purpose: None, basis }
    }

    /// Who pays on `[from, until)`: stretches without holes, in order.
    pub fn tenures(&self, claim: Claim<'_>, from: Instant, until: Instant) -> Vec<Tenure> {
        let mut starts = vec![from];
        for key in claim.key.into_iter().flat_map(|key| self.registered(key)) {
            let turns = [key.valid_from, key.valid_until].into_iter().flatten();
            starts.extend(turns.filter(|&at| from < at && at < until));
        }
        starts.sort_unstable();
        starts.dedup();
        let mut tenures: Vec<Tenure> = Vec::new();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(until);
            let owner = self.owner(claim, start);
            match tenures.last_mut() {
                Some(last) if last.owner == owner => last.until = end,
                _ => tenures.push(Tenure { from: start, until: end, owner }),
            }
        }
        tenures
    }

    /// The digest of who pays for any of these on `[from, until)`: another one
    /// means attributing again.
    pub fn digest<'a>(&self, claims: impl IntoIterator<Item = Claim<'a>>, from: Instant, until: Instant) -> String {
        let mut digest = Xxh3::new();
        let mut add = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            digest.update(&length.to_le_bytes());
            digest.update(text.unwrap_or_default().as_bytes());
        };
        for claim in claims {
            add(claim.key);
            add(claim.team_reported);
            for Tenure { from, until, owner } in self.tenures(claim, from, until) {
                add(Some(&format!("{} {}", from.micros(), until.micros())));
                add(owner.team.as_deref());
                add(owner.environment.as_deref());
                add(owner.purpose.as_deref());
                add(Some(owner.basis.name()));
            }
        }
        format!("{:032x}", digest.digest128())
    }

    /// The entries of a key, by its name before those by its fingerprint.
    fn registered(&self, key: &str) -> impl Iterator<Item = &'c Key> {
        let entries = [self.by_name.get(key), self.by_fingerprint.get(key)];
        entries.into_iter().flatten().flatten().copied()
    }

    /// `{team}-{environment}[-{purpose}]`, with the longest name of a team for
    /// which that holds.
    fn by_convention(&self, key: &str) -> Option<Owner> {
        self.names.iter().find_map(|(name, team)| {
            let rest = key.strip_prefix(name)?.strip_prefix('-')?;
            self.environments.iter().find_map(|environment| {
                let purpose = match rest.strip_prefix(environment)? {
                    "" => None,
                    purpose => Some(purpose.strip_prefix('-').filter(|purpose| !purpose.is_empty())?.to_owned()),
                };
                Some(Owner {
                    team: Some((*team).to_owned()),
                    environment: Some((*environment).to_owned()),
                    purpose,
                    basis: TeamBasis::Convention,
                })
            })
        })
    }
}

fn holds_at(key: &Key, at: Instant) -> bool {
    key.valid_from.is_none_or(|from| from <= at) && key.valid_until.is_none_or(|until| at < until)
}

fn registered_owner(key: &Key) -> Owner {
    let team = match &key.holder {
        Holder::Team(team) => team.clone(),
        Holder::Pool(pool) => format!("shared:{pool}"),
    };
    Owner {
        team: Some(team),
        environment: key.environment.clone(),
        purpose: key.purpose.clone(),
        basis: TeamBasis::Registry,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::time::Day;

    const CONFIG: &str = r#"
        [book]
        environments = ["prod", "production", "staging", "prod-eu"]
        [teams.chat]
        [teams.chat-lab]
        formerly = ["assistant"]
        [teams.search]
        [pools.shared]
        chat = 60
        search = 40
        [[key]]
        name = "chat-prod"
        team = "search"
        environment = "prod"
        purpose = "ranking"
        valid_from = "2026-06-01T12:00:00Z"
        valid_until = "2026-06-02"
        [[key]]
        name = "gateway"
        fingerprint = "fp_0123456789ab"
        pool = "shared"
    "#;

    fn config() -> Config {
        Config::parse(CONFIG, Path::new("spendbook.toml")).unwrap()
    }

    fn text(owner: &Owner) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let Owner { team, environment, purpose, basis } = owner;
        format!("{} {} {} {}", part(team), part(environment), part(purpose), basis.name())
    }

    #[test]
    fn the_registry_comes_first_then_the_convention_then_the_log() {
        let config = config();
        let attribution = Attribution::new(&config);
        let noon = Day::parse("2026-06-01").unwrap().start().plus_micros(12 * 3_600_000_000);
        for (key, team_reported, expect) in [
            ("chat-prod", "", "search prod ranking registry"),
            ("gateway", "chat", "shared:shared - - registry"),
            ("fp_0123456789ab", "", "shared:shared - - registry"),
            ("chat-staging", "search", "chat staging - convention"),
            ("chat-production", "", "chat production - convention"),
            ("chat-prod-eu", "", "chat prod-eu - convention"),
            ("chat-prod-euro", "", "chat prod euro convention"),
            ("chat-prod-night-batch", "", "chat prod night-batch convention"),
            ("chat-lab-prod", "", "chat-lab prod - convention"),
            ("assistant-prod", "", "chat-lab prod - convention"),
            ("chat-lab", "", "- - - none"),
            ("chat-prod-", "search", "search - - reported"),
            ("Chat-prod", "", "- - - none"),
            ("", "assistant", "chat-lab - - reported"),
            ("fp_ffffffffffff", "nobody", "- - - none"),
            ("", "", "- - - none"),
        ] {
            let some = |text: &'static str| (!text.is_empty()).then_some(text);
            let claim = Claim { key: some(key), team_reported: some(team_reported) };
            assert_eq!(text(&attribution.owner(claim, noon)), expect, "{key} {team_reported}");
        }
    }

    #[test]
    fn a_key_is_registered_to_the_microsecond() {
        let config = config();
        let attribution = Attribution::new(&config);
        let claim = Claim { key: Some("chat-prod"), team_reported: None };
        let day = Day::parse("2026-06-01").unwrap();
        let tenures = attribution.tenures(claim, day.start(), day.end());
        let shown: Vec<_> = tenures.iter().map(|it| format!("{} {} {}", it.from, it.until, text(&it.owner))).collect();
        assert_eq!(
            shown,
            [
                "2026-06-01T00:00:00Z 2026-06-01T12:00:00Z chat prod - convention",
                "2026-06-01T12:00:00Z 2026-06-02T00:00:00Z search prod ranking registry",
            ]
        );
        let next = day.next();
        assert_eq!(attribution.tenures(claim, next.start(), next.end()).len(), 1);
    }

    #[test]
    fn the_digest_tells_what_can_match_from_what_cannot() {
        let day = Day::parse("2026-06-01").unwrap();
        let digest = |text: &str| {
            let config = Config::parse(text, Path::new("spendbook.toml")).unwrap();
            let claims = [Claim { key: Some("chat-prod"), team_reported: Some("search") }];
            Attribution::new(&config).digest(claims, day.start(), day.end())
        };
        let before = digest(CONFIG);
        let other = "\n[[key]]\nname = \"other\"\nteam = \"chat\"\n";
        assert_eq!(digest(&format!("{CONFIG}{other}")), before);
        assert_ne!(digest(&CONFIG.replace("ranking", "retrieval")), before);
        assert_ne!(digest(&CONFIG.replace("2026-06-01T12", "2026-06-01T13")), before);
    }
}
