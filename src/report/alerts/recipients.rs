//! Who is told. Pure.
//!
//! A team's owners hear of its money, keys and violations; finance of the
//! money that is nobody's own (the organization, a model); operators of what
//! is to be put in order: sources, prices, keys of nobody. Where those are not
//! in the config, the next ones hear of it, so that an alert reaches somebody.

use std::collections::BTreeSet;

use super::decide::Finding;
use crate::{
    budgets::Scope,
    config::{Config, Mailbox},
    teams::{Claim, Registry, SHARED},
    time::Instant,
};

/// Why somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Owner(String),
    Finance,
    Operator,
}

/// Everybody who is told of a finding, with the reason.
pub(super) fn of(finding: &Finding, config: &Config, now: Instant) -> Vec<(Mailbox, Role)> {
    let book = Directory { config };
    let told = match finding {
        Finding::Silent(_) | Finding::Unpriced(_) => book.operators(),
        Finding::Unattributed { .. } => book.finance(),
        Finding::Violations { team, .. } => book.owners(team.as_deref(), true),
        Finding::Rotation(rotation) => book.owners(rotation.team.as_deref(), true),
        Finding::Threshold { .. } | Finding::Forecast { .. } | Finding::Spike(_) | Finding::Withdrawn { .. } => {
            match finding.scope() {
                Some(Scope::Team(team)) => book.owners(Some(team), false),
                Some(Scope::Key(key)) => {
                    let claim = Claim { key: Some(key), team_reported: None };
                    let team = Registry::new(config).attribute(claim, now).team;
                    book.owners(team.as_deref(), false)
                }
                Some(Scope::Organization | Scope::Model(_)) | None => Vec::new(),
            }
        }
    };
    let fallbacks = [book.finance(), book.operators()];
    let mut told = std::iter::once(told).chain(fallbacks).find(|told| !told.is_empty()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    told.retain(|(mailbox, _)| seen.insert(mailbox.address.to_lowercase()));
    told
}

#[derive(Clone, Copy)]
struct Directory<'c> {
    config: &'c Config,
}

impl Directory<'_> {
    fn finance(self) -> Vec<(Mailbox, Role)> {
        self.config.organization.finance.iter().map(|it| (it.clone(), Role::Finance)).collect()
    }

    fn operators(self) -> Vec<(Mailbox, Role)> {
        self.config.organization.operators.iter().map(|it| (it.clone(), Role::Operator)).collect()
    }

    /// The owners of a team, or of all teams of a pool; where nobody owns it,
    /// and it is to be put in order, the operators.
    fn owners(self, team: Option<&str>, is_in_disorder: bool) -> Vec<(Mailbox, Role)> {
        let teams: Vec<&str> = match team.and_then(|team| team.strip_prefix(SHARED)) {
            Some(pool) => self
                .config
                .pools
                .get(pool)
                .into_iter()
                .flat_map(|pool| pool.shares.keys())
                .map(String::as_str)
                .collect(),
            None => team.into_iter().collect(),
        };
        let mut owners = Vec::new();
        for team in teams.into_iter().filter_map(|team| self.config.teams.get(team)) {
            owners.extend(team.owners.iter().map(|it| (it.clone(), Role::Owner(team.name.clone()))));
        }
        if owners.is_empty() && is_in_disorder { self.operators() } else { owners }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::facts::{Rotation, Spike},
        *,
    };
    use crate::money::Usd;

    const ALL: &str = "[organization]\nfinance = [\"f@x.y\"]\noperators = [\"o@x.y\", \"A@x.y\"]\n";
    const TEAMS: &str = "[teams.a]\nowners = [\"a@x.y\", \"b@x.y\"]\n[teams.b]\nowners = [\"b@x.y\"]\n[teams.empty]\n\
                         [pools.p]\na = 50\nb = 50\n[[key]]\nname = \"k\"\npool = \"p\"\n";

    fn check(config: &str, finding: &Finding, expect: &str) {
        let config = Config::parse(config, Path::new("spendbook.toml")).unwrap();
        let told = of(finding, &config, Instant::EARLIEST);
        let told: Vec<String> = told.into_iter().map(|(mailbox, _)| mailbox.address).collect();
        assert_eq!(told.join(" "), expect);
    }

    fn spike(scope: Scope) -> Finding {
        let at = Instant::EARLIEST;
        let (spend, median, limit) = (Usd::ZERO, Usd::ZERO, Usd::ZERO);
        Finding::Spike(Spike { scope, day: at.day(), from: at, until: at, spend, median, limit })
    }

    #[test]
    fn everyone_hears_of_what_is_theirs_and_somebody_of_everything() {
        let team = |name: &str| Scope::Team(name.to_owned());
        let both = format!("{ALL}{TEAMS}");
        check(&both, &spike(team("a")), "a@x.y b@x.y");
        check(&both, &spike(team("empty")), "f@x.y");
        check(&both, &spike(Scope::Key("k".to_owned())), "a@x.y b@x.y");
        check(&both, &spike(Scope::Key("a-prod".to_owned())), "a@x.y b@x.y");
        check(&both, &spike(Scope::Key("unknown".to_owned())), "f@x.y");
        check(&both, &spike(Scope::Organization), "f@x.y");
        check(&both, &spike(Scope::Model("m".to_owned())), "f@x.y");
        check(TEAMS, &spike(Scope::Organization), "");
        check("[organization]\noperators = [\"o@x.y\"]\n", &spike(Scope::Organization), "o@x.y");
        let rotation = |team: Option<&str>| {
            Finding::Rotation(Rotation { key: "k".to_owned(), team: team.map(str::to_owned), days: None })
        };
        check(&both, &rotation(Some("shared:p")), "a@x.y b@x.y");
        check(&both, &rotation(Some("empty")), "o@x.y A@x.y");
        check(&both, &rotation(None), "o@x.y A@x.y");
    }
}
