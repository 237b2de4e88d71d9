//! What providers report, as reports have it: what of it no log shows, and how
//! far the books were held against it.
//!
//! Read from the table `unlogged` and from what its files keep of the
//! comparison, so that every report says the same as the last `price` or `run`.
//! A UTC day is in the period in which it begins. What no log shows is beside
//! what was charged; with `[reconcile] budget_unlogged` it is a line of spend of
//! its own.

use std::collections::{BTreeMap, BTreeSet};

use super::ReportError;
use crate::{
    audit::keys::Reported,
    book::{Book, layout::DayTable},
    budgets::SpendRow,
    money::Usd,
    reconcile::{self, Compared, Summary, TheirSides, Unlogged, Verdict},
    teams::Registry,
    time::{Day, Instant},
};

/// What is in no log, of the days that begin in a stretch of time, by the names
/// that teams have now.
pub(super) fn unlogged(
    book: &Book,
    registry: &Registry<'_>,
    from: Instant,
    until: Instant,
) -> Result<Vec<Unlogged>, ReportError> {
    let mut rows = stored(book, from, until)?;
    for row in &mut rows {
        row.team = row.team.take().map(|team| registry.team_name(&team).to_owned());
    }
    Ok(rows)
}

/// The same as it is stored.
fn stored(book: &Book, from: Instant, until: Instant) -> Result<Vec<Unlogged>, ReportError> {
    let mut rows = Vec::new();
    for day in book.days(DayTable::Unlogged)?.into_iter().filter(|day| from <= day.start() && day.start() < until) {
        rows.extend(reconcile::unlogged(book, day)?);
    }
    Ok(rows)
}

/// What providers report of each key and no log shows, since a day.
///
/// # Errors
/// Where the book cannot be read.
pub fn reported_keys(book: &Book, since: Day) -> Result<BTreeMap<String, Reported>, ReportError> {
    let mut keys: BTreeMap<String, Reported> = BTreeMap::new();
    for row in stored(book, since.start(), Instant::LATEST)? {
        let (requests, tokens) = (row.requests.unwrap_or_default(), row.tokens());
        let Some(key) = row.key.filter(|_| requests > 0 || tokens > 0) else { continue };
        let nothing = || Reported { providers: BTreeSet::new(), requests: 0, tokens: 0, first: row.day, last: row.day };
        let of_key = keys.entry(key).or_insert_with(nothing);
        of_key.providers.insert(row.provider);
        of_key.requests = of_key.requests.saturating_add(requests);
        of_key.tokens = of_key.tokens.saturating_add(tokens);
        of_key.first = of_key.first.min(row.day);
        of_key.last = of_key.last.max(row.day);
    }
    Ok(keys)
}

/// As a ledger takes them. Nobody here has counted their requests: how many
/// there are is beside it.
pub(super) fn spend_rows(rows: &[Unlogged]) -> impl Iterator<Item = SpendRow<'_>> {
    rows.iter().map(|it| SpendRow {
        bucket: it.day.start(),
        team: it.team.as_deref(),
        key: it.key.as_deref(),
        model: it.model.as_deref().unwrap_or_default(),
        requests: 0,
        unpriced_requests: 0,
        estimated_requests: 0,
        cost: it.cost.unwrap_or_default(),
        estimated_cost: Usd::ZERO,
        is_unlogged: true,
    })
}

/// What is in no log, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotLogged {
    /// As far as providers count them.
    pub requests: i64,
    pub tokens: i64,
    /// As far as it is known.
    pub cost: Usd,
    /// Of how many lines nobody knows what they cost.
    pub unknown: i64,
}

impl NotLogged {
    /// `None` where a sum would not fit.
    pub(super) fn of<'u>(rows: impl IntoIterator<Item = &'u Unlogged>) -> Option<Self> {
        let mut sum = Self::default();
        for row in rows {
            sum.requests = sum.requests.saturating_add(row.requests.unwrap_or_default());
            sum.tokens = sum.tokens.saturating_add(row.tokens());
            sum.cost = sum.cost.checked_add(row.cost.unwrap_or_default())?;
            sum.unknown += i64::from(row.cost.is_none());
        }
        Some(sum)
    }

    pub const fn is_any(&self) -> bool {
        self.requests != 0 || self.tokens != 0 || self.cost.pico() != 0 || self.unknown != 0
    }
}

/// Both sides of a provider, or of what check sources saw of it, over days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Days on which at least one of its sources could be compared.
    pub days: BTreeSet<Day>,
    /// By the source whose word counts, or another one that tells money.
    pub cost: Option<Compared>,
    /// By the source whose word counts.
    pub tokens: Option<Compared>,
}

/// How a stretch of days stands against what providers report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub providers: BTreeMap<String, Provider>,
    /// What check sources saw, by their names and the provider. They know no
    /// money.
    pub checks: BTreeMap<(String, String), Provider>,
    /// Who was on the other side of anything, compared or not.
    pub sides: TheirSides,
    /// Lines of all sources, by what is to be done about them.
    pub lines: BTreeMap<Verdict, u64>,
    /// Days of which something was told that could not be compared, most of
    /// them because they were not over.
    pub left_out: BTreeSet<Day>,
    /// Days of which either side is another one since they were compared.
    pub behind: BTreeSet<Day>,
}

impl Reconciled {
    /// Reads it for the days that begin in a stretch of time.
    ///
    /// # Errors
    /// Where the book cannot be read.
    pub fn of(book: &Book, from: Instant, until: Instant) -> Result<Self, ReportError> {
        let mut all = Self { behind: reconcile::behind(book, from, until)?, ..Self::default() };
        for day in book.days(DayTable::Unlogged)?.into_iter().filter(|day| from <= day.start() && day.start() < until) {
            all.add(day, &reconcile::summaries(book, day)?);
        }
        Ok(all)
    }

    fn add(&mut self, day: Day, summaries: &[Summary]) {
        let compared = || summaries.iter().filter(|it| it.left_out.is_none() && !it.is_check);
        for summary in summaries {
            self.sides.add(summary.is_check);
            if summary.left_out.is_some() {
                self.left_out.insert(day);
            }
            summary.lines.iter().for_each(|(verdict, count)| *self.lines.entry(*verdict).or_default() += count);
        }
        for summary in summaries.iter().filter(|it| it.left_out.is_none() && it.is_check) {
            let check = self.checks.entry((summary.source.clone(), summary.provider.clone())).or_default();
            check.days.insert(day);
            add(&mut check.tokens, summary.tokens);
        }
        for name in compared().map(|it| &it.provider).collect::<BTreeSet<_>>() {
            let of_provider = || compared().filter(|it| it.provider == *name);
            let word = || of_provider().find(|it| it.is_word);
            let cost = word().and_then(|it| it.cost).or_else(|| of_provider().find_map(|it| it.cost));
            let provider = self.providers.entry(name.clone()).or_default();
            provider.days.insert(day);
            add(&mut provider.cost, cost);
            add(&mut provider.tokens, word().and_then(|it| it.tokens));
        }
    }

    /// How many lines are of this kind.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.lines.get(&verdict).copied().unwrap_or_default()
    }

    /// Whether anybody has told or seen anything.
    pub fn is_any(&self) -> bool {
        !self.providers.is_empty() || !self.checks.is_empty() || !self.left_out.is_empty() || !self.behind.is_empty()
    }

    /// How many days were compared.
    pub fn days(&self) -> usize {
        self.providers.values().chain(self.checks.values()).flat_map(|it| &it.days).collect::<BTreeSet<_>>().len()
    }
}

fn add(sum: &mut Option<Compared>, more: Option<Compared>) {
    match (sum.as_mut(), more) {
        (Some(sum), Some(more)) => sum.add(&more),
        (None, Some(more)) => *sum = Some(more),
        (_, None) => {}
    }
}
