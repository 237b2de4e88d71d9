//! The small tables: `[book]`, `[privacy]`, `[reconcile]` and `[run]`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chrono::Weekday;
use chrono_tz::Tz;

use super::{
    problem::Problem,
    reader::{Item, Table},
};
use crate::money::Usd;

/// `[book]`: where things are, and what holds for everyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The directory of the book, as written; see [`super::Config::book_dir`].
    pub path: PathBuf,
    /// The directory of the price book, as written; see [`super::Config::pricing_dir`].
    pub pricing: PathBuf,
    /// The zone of days, weeks and months, where no team or budget has its own.
    pub timezone: Tz,
    /// For keys that have no limit, nor has their team.
    pub default_rate_limit_rpm: Option<i64>,
    pub week_start: Weekday,
    /// What can follow a team's name in the name of a key.
    pub environments: Vec<String>,
    /// For how many days a table is kept; a table that is not there is kept forever.
    pub keep: BTreeMap<KeptTable, u32>,
}

/// A table that `keep` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeptTable {
    Usage,
    Charges,
    Rollup,
    Violations,
    Totals,
    Unlogged,
    Quarantine,
    Runs,
}

/// What becomes of the users that logs name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Users {
    #[default]
    Plain,
    Hash,
    Drop,
}

/// `[privacy]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Privacy {
    pub users: Users,
}

/// `[reconcile]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcile {
    /// How far two sides may be apart before it is worth a word, in millionths
    /// of a percent of what the provider reports.
    pub tolerance_percent: i64,
    /// And in money.
    pub tolerance: Usd,
    /// Whether usage that a provider reports and no log shows counts against budgets.
    pub budget_unlogged: bool,
}

/// `[run]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Requested at the end of each night, so that another program can miss it.
    pub ping_url: Option<String>,
    /// Where each run writes the state of budgets, as written; in the book
    /// where it is not given.
    pub budget_state: Option<PathBuf>,
}

impl Default for Reconcile {
    fn default() -> Self {
        // 1 %, and a cent.
        let tolerance = Usd::from_pico(10_000_000_000).unwrap_or_default();
        Self { tolerance_percent: 1_000_000, tolerance, budget_unlogged: false }
    }
}

impl KeptTable {
    pub const ALL: [Self; 8] = [
        Self::Usage,
        Self::Charges,
        Self::Rollup,
        Self::Violations,
        Self::Totals,
        Self::Unlogged,
        Self::Quarantine,
        Self::Runs,
    ];

    /// The name of its directory in the book.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Charges => "charges",
            Self::Rollup => "rollup",
            Self::Violations => "violations",
            Self::Totals => "totals",
            Self::Unlogged => "unlogged",
            Self::Quarantine => "quarantine",
            Self::Runs => "runs",
        }
    }
}

impl Default for Book {
    fn default() -> Self {
        Self {
            path: PathBuf::from("book"),
            pricing: PathBuf::from("pricing"),
            timezone: Tz::UTC,
            default_rate_limit_rpm: None,
            week_start: Weekday::Mon,
            environments: ["prod", "production", "staging", "dev", "test"].map(str::to_owned).to_vec(),
            keep: BTreeMap::new(),
        }
    }
}

pub(super) const WEEKDAYS: &[(&str, Weekday)] = &[
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
];

pub(super) fn read_book(mut table: Table<'_>) -> Book {
    let default = Book::default();
    let book = Book {
        path: table.get("path").and_then(|item| directory(&item)).unwrap_or(default.path),
        pricing: table.get("pricing").and_then(|item| directory(&item)).unwrap_or(default.pricing),
        timezone: table.get("timezone").and_then(|item| item.zone()).unwrap_or(default.timezone),
        default_rate_limit_rpm: table.get("default_rate_limit_rpm").and_then(|item| item.limit()),
        week_start: table.get("week_start").and_then(|item| item.one_of(WEEKDAYS)).unwrap_or(default.week_start),
        environments: table.get("environments").map_or(default.environments, |item| item.texts("environment")),
        keep: table.get("keep").map(|item| keep(&item)).unwrap_or_default(),
    };
    table.finish();
    book
}

/// A local directory. A URL would quietly become a directory named `s3:`.
fn directory(item: &Item<'_>) -> Option<PathBuf> {
    let text = item.text_of("the path of a directory in quotes")?;
    if text.contains("://") {
        item.bad("the path of a directory on this machine", None);
        return None;
    }
    Some(PathBuf::from(text))
}

/// A file on this machine.
fn file(item: &Item<'_>) -> Option<PathBuf> {
    let text = item.text_of("the path of a file in quotes")?;
    if text.contains("://") || text.ends_with('/') {
        item.bad("the path of a file on this machine", None);
        return None;
    }
    Some(PathBuf::from(text))
}

/// `keep = { usage = "400d" }`, or one time for every table: `keep = "400d"`.
fn keep(item: &Item<'_>) -> BTreeMap<KeptTable, u32> {
    if !item.is_table() {
        return days(item, LEAST_DAYS).map(|days| KeptTable::ALL.map(|kept| (kept, days)).into()).unwrap_or_default();
    }
    let mut keep = BTreeMap::new();
    let Some(mut table) = item.table("[book.keep]") else { return keep };
    for kept in KeptTable::ALL {
        let least = if matches!(kept, KeptTable::Quarantine | KeptTable::Runs) { 1 } else { LEAST_DAYS };
        if let Some(days) = table.get(kept.name()).and_then(|item| days(&item, least)) {
            keep.insert(kept, days);
        }
    }
    table.finish();
    keep
}

/// Earlier versions of a request are looked for a week back.
const LEAST_DAYS: u32 = 8;

fn days(item: &Item<'_>, least: u32) -> Option<u32> {
    const DAY: i64 = 86_400 * 1_000_000;
    let micros = item.duration(&[('d', DAY), ('w', 7 * DAY)], "a number of days or weeks like \"400d\" or \"60w\"")?;
    let days = u32::try_from(micros / DAY).ok()?;
    if days < least {
        item.bad(&format!("at least `{least}d`, since late entries are still merged into the last week"), None);
        return None;
    }
    Some(days)
}

pub(super) fn read_privacy(mut table: Table<'_>) -> Privacy {
    let users = [("plain", Users::Plain), ("hash", Users::Hash), ("drop", Users::Drop)];
    let privacy = Privacy { users: table.get("users").and_then(|item| item.one_of(&users)).unwrap_or_default() };
    table.finish();
    privacy
}

pub(super) fn read_reconcile(mut table: Table<'_>) -> Reconcile {
    let default = Reconcile::default();
    let percent = table.get("tolerance_percent").and_then(|item| percent(&item));
    let tolerance = table.get("tolerance_usd").and_then(|item| least(&item, "an amount like \"0.01\", 0 or more"));
    let budget_unlogged = table.get("budget_unlogged").and_then(|item| item.flag());
    table.finish();
    Reconcile {
        tolerance_percent: percent.unwrap_or(default.tolerance_percent),
        tolerance: tolerance.unwrap_or(default.tolerance),
        budget_unlogged: budget_unlogged.unwrap_or(default.budget_unlogged),
    }
}

/// A percentage, in millionths of a percent.
fn percent(item: &Item<'_>) -> Option<i64> {
    const PICO_PER_MILLIONTH: i128 = 1_000_000;
    let expected = "a percentage from 0 to 100 like \"1\" or \"0.5\"";
    let percent = least(item, expected)?.pico();
    let millionths = i64::try_from(percent / PICO_PER_MILLIONTH).ok().filter(|it| *it <= 100_000_000);
    if millionths.is_none() || percent % PICO_PER_MILLIONTH != 0 {
        item.bad(expected, None);
        return None;
    }
    millionths
}

/// A decimal in quotes or a whole number, 0 or more.
fn least(item: &Item<'_>, expected: &str) -> Option<Usd> {
    let text = if item.is_whole() { item.scalar()? } else { item.text_of(expected)?.to_owned() };
    let amount = Usd::parse(&text).ok().filter(|amount| *amount >= Usd::ZERO);
    if amount.is_none() {
        item.bad(expected, None);
    }
    amount
}

pub(super) fn read_run(mut table: Table<'_>) -> Run {
    let ping_url = table.get("ping_url").and_then(|item| url(&item));
    let budget_state = table.get("budget_state").and_then(|item| file(&item));
    table.finish();
    Run { ping_url, budget_state }
}

/// A time to wait for an answer.
pub(super) fn timeout(item: &Item<'_>) -> Option<Duration> {
    const SECOND: i64 = 1_000_000;
    /// Longer than any standard asks a client to wait.
    const MOST: i64 = 10 * 60 * SECOND;
    let expected = "a time like \"30s\" or \"2m\", up to 10 minutes";
    let micros = item.duration(&[('s', SECOND), ('m', 60 * SECOND)], expected)?;
    if micros > MOST {
        item.bad(expected, None);
        return None;
    }
    u64::try_from(micros).ok().map(Duration::from_micros)
}

/// A URL to request, without a name and password in it.
pub(super) fn url(item: &Item<'_>) -> Option<String> {
    let expected = "a URL that begins with `https://` or `http://`";
    let text = item.text_of(expected)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.contains('@') {
        let advice = "use a URL without a name and password in it, such as one with a long random path";
        item.add(Problem::Secret { advice: advice.to_owned() });
        return None;
    }
    if host.is_empty() || text.contains(' ') {
        item.bad(expected, None);
        return None;
    }
    Some(text.to_owned())
}
