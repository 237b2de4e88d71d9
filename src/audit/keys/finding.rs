//! What there is to say of a key, as codes for programs and in words. Pure.

use std::{collections::BTreeSet, fmt};

use crate::time::{Day, Instant};

/// More than test a program.
pub(super) const MANY_USERS: usize = 25;

/// What there is to say about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Another key took over, and this one is still used.
    OldInUse {
        last: Instant,
        by: Option<String>,
    },
    OldQuiet {
        hours: i64,
    },
    /// Another key took over, and a provider still reports this one.
    OldReported(Reported),
    SafeToDelete,
    /// Quiet for long enough, as far as is known.
    OldUnknown {
        hours: i64,
        silent: Vec<Silent>,
    },
    /// Another key took over, and no log ever had this one.
    OldNeverSeen {
        since: Option<Day>,
    },
    UnknownPredecessor {
        key: String,
    },
    Unknown {
        suggestion: Option<String>,
    },
    Nameless,
    UsedAfterEnd {
        until: Instant,
        last: Instant,
    },
    UsedBeforeStart {
        from: Instant,
        first: Instant,
    },
    OtherTeams {
        teams: Vec<String>,
    },
    TooOld {
        days: i64,
    },
    NeverUsed {
        since: Option<Day>,
    },
    /// In no log, and reported by a provider.
    OnlyReported(Reported),
    /// Not of production, and used as if it were.
    LooksLikeProduction(Evidence),
    ByConvention,
}

/// What providers report of a key and no log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    pub providers: BTreeSet<String>,
    /// As far as they count them.
    pub requests: i64,
    pub tokens: i64,
    pub first: Day,
    pub last: Day,
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { providers, requests, tokens, first, .. } = self;
        let names: Vec<&str> = providers.iter().map(String::as_str).collect();
        let verb = if names.len() == 1 { "reports" } else { "report" };
        let (count, noun) = if *requests > 0 { (requests, "request") } else { (tokens, "token") };
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{} {verb} {count} {noun}{plural} since {first}", names.join(" and "))
    }
}

/// How a key was used in the last seven days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub requests: i64,
    /// Days on which it was used around the clock.
    pub days: usize,
    /// Requests with the team's keys of production.
    pub of_production: i64,
    /// As far as logs name them.
    pub users: usize,
}

impl Finding {
    /// The name in data.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OldInUse { .. } => "old_key_in_use",
            Self::OldQuiet { .. } => "old_key_quiet",
            Self::OldReported(_) => "old_key_reported",
            Self::SafeToDelete => "safe_to_delete",
            Self::OldUnknown { .. } => "old_key_unknown",
            Self::OldNeverSeen { .. } => "old_key_never_seen",
            Self::UnknownPredecessor { .. } => "unknown_predecessor",
            Self::Unknown { .. } => "unknown_key",
            Self::Nameless => "no_key",
            Self::UsedAfterEnd { .. } => "used_after_validity",
            Self::UsedBeforeStart { .. } => "used_before_validity",
            Self::OtherTeams { .. } => "used_by_another_team",
            Self::TooOld { .. } => "too_old",
            Self::NeverUsed { .. } => "never_used",
            Self::OnlyReported(_) => "only_reported",
            Self::LooksLikeProduction(_) => "looks_like_production",
            Self::ByConvention => "by_convention",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldInUse { last, by } => {
                write!(f, "old key still in use (last seen {last}")?;
                match by {
                    Some(by) => write!(f, ", by {by})"),
                    None => f.write_str(")"),
                }
            }
            Self::OldQuiet { hours } => write!(f, "old key quiet for {hours} h"),
            Self::OldReported(reported) => {
                write!(f, "old key still in use: {reported} that no log shows, the last on {}", reported.last)
            }
            Self::SafeToDelete => f.write_str("no traffic for 24 h: safe to delete"),
            Self::OldUnknown { hours, silent } => {
                write!(f, "old key quiet for {hours} h, as far as is known: {}", list(silent))
            }
            Self::OldNeverSeen { since: None } => f.write_str("old key, in no log"),
            Self::OldNeverSeen { since: Some(since) } => {
                write!(f, "old key, in no log since {since}, before is pruned")
            }
            Self::UnknownPredecessor { key } => {
                write!(f, "replaces `{key}`, which is neither registered nor in any log")
            }
            Self::Unknown { suggestion: Some(suggestion) } => write!(f, "not registered; {suggestion}"),
            Self::Unknown { suggestion: None } => f.write_str("not registered, and nobody's by its name"),
            Self::Nameless => f.write_str("requests without a key"),
            Self::UsedAfterEnd { until, last } => write!(f, "used until {last}, and valid until {until}"),
            Self::UsedBeforeStart { from, first } => write!(f, "used since {first}, and valid from {from}"),
            Self::OtherTeams { teams } => write!(f, "logs name another team with it: {}", teams.join(", ")),
            Self::TooOld { days } => write!(f, "{days} days old: rotate it"),
            Self::NeverUsed { since: None } => f.write_str("never used"),
            Self::NeverUsed { since: Some(since) } => write!(f, "not used since {since}, before is pruned"),
            Self::OnlyReported(reported) => write!(f, "in no log, but {reported}"),
            Self::LooksLikeProduction(evidence) => write!(f, "looks like production traffic: {evidence}"),
            Self::ByConvention => f.write_str("not registered, its team is that of its name"),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, days, of_production, users } = self;
        write!(f, "{requests} requests in 7 days, around the clock on {days} of them")?;
        if requests > of_production {
            write!(f, ", more than the {of_production} of the team's production keys")?;
        }
        if *users >= MANY_USERS { write!(f, ", by {users} users") } else { Ok(()) }
    }
}

/// A source from which too little has been heard to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    pub source: String,
    pub since: Instant,
}

fn list(silent: &[Silent]) -> String {
    let shown = silent.iter().map(|it| format!("nothing from `{}` since {}", it.source, it.since));
    shown.collect::<Vec<_>>().join(", ")
}

/// Whether a key can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletable {
    Yes {
        last: Instant,
    },
    InUse {
        last: Instant,
        by: Option<String>,
    },
    /// By the word of providers, whatever logs show.
    Reported {
        of: Reported,
        is_logged: bool,
    },
    Unknown {
        last: Instant,
        silent: Vec<Silent>,
    },
    NeverSeen {
        since: Option<Day>,
    },
}

impl fmt::Display for Deletable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes { last } => write!(f, "safe to delete: no traffic for 24 h, last seen {last}"),
            Self::InUse { last, by } => {
                write!(f, "in use: last seen {last}")?;
                match by {
                    Some(by) => write!(f, ", by {by}"),
                    None => Ok(()),
                }
            }
            Self::Reported { of, is_logged: false } => {
                write!(f, "in use: in no log, but {of}, the last on {}", of.last)
            }
            Self::Reported { of, is_logged: true } => {
                write!(f, "in use: {of} that no log shows, the last on {}", of.last)
            }
            Self::Unknown { last, silent } => write!(f, "unknown: last seen {last}, but {}", list(silent)),
            Self::NeverSeen { since: None } => f.write_str("unknown: no log ever had it, is the name right?"),
            Self::NeverSeen { since: Some(since) } => {
                write!(f, "unknown: no log has had it since {since}, what was before is pruned")
            }
        }
    }
}
