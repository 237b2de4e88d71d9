//! `[[source]]`: where logs come from and how to read them.

use chrono_tz::Tz;

use super::custom::CustomMapping;

/// What a source's records are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// They are the books.
    #[default]
    Books,
    /// They only reconcile: the same traffic, seen a second time.
    Check,
}

/// What makes two records of a source the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdentityBy {
    /// The provider's id; without one the record's own bytes.
    #[default]
    Record,
    /// Its file and line: for gateways that write neither ids nor fine times.
    Line,
}

/// One `[[source]]`: where logs come from and how to read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    /// The name of a format, or `auto`.
    pub format: String,
    /// A glob or directory, relative to the config's directory.
    pub path: String,
    /// Who bills, where the record does not say; lower case.
    pub provider: Option<String>,
    pub role: Role,
    /// The tier of every record that does not state its own.
    pub tier: Option<String>,
    /// The zone of times without one.
    pub timezone: Tz,
    /// Between versions of equal quality, the source with the higher one wins.
    pub priority: i64,
    pub silent_after_micros: i64,
    pub identity: IdentityBy,
    /// The version of the gateway that wrote the log, where its meaning changed.
    pub source_version: Option<String>,
    /// Labels that may be kept in `tags`.
    pub tags: Vec<String>,
    /// What `format = "custom"` reads by; none for any other format.
    pub custom: Option<CustomMapping>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            name: String::new(),
            format: "auto".to_owned(),
            path: String::new(),
            provider: None,
            role: Role::Books,
            tier: None,
            timezone: Tz::UTC,
            priority: 0,
            silent_after_micros: 36 * 3_600 * 1_000_000,
            identity: IdentityBy::Record,
            source_version: None,
            tags: Vec::new(),
            custom: None,
        }
    }
}
