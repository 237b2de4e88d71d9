//! The biggest spenders of a period, with their share, and their change
//! against the period before.
//!
//! Rows sum to all that was charged in the period, and with `[reconcile]
//! budget_unlogged` what providers report and no log shows: what is nobody's is
//! a row without a name, and a pool's charges are with the teams that share it. An
//! open period is compared with as much of the one before as has gone by.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    ReportError,
    freshness::{self, LastRuns},
    reconciled,
    sums::{self, By, Names, Query, Sum},
};
use crate::{
    book::{Book, layout::DayTable},
    budgets::{Scope, TooLarge, divide},
    charges::Behind,
    config::{Config, KeptTable, Pool},
    floors::Floors,
    money::Usd,
    periods::{Calendar, PeriodSpan},
    policy,
    reconcile::Unlogged,
    teams::{OverTime, Registry, SHARED},
    time::{Day, Instant},
};

/// Of what the biggest are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Models,
    Teams,
    Keys,
    Users,
}

impl Subject {
    /// The columns that tell them apart, the first one being the name.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Models => &["model_billed", "provider"],
            Self::Teams => &["team"],
            Self::Keys => &["key", "team"],
            Self::Users => &["user"],
        }
    }

    /// A total keeps no user.
    const fn table(self) -> DayTable {
        match self {
            Self::Users => DayTable::Charges,
            Self::Models | Self::Teams | Self::Keys => DayTable::Rollup,
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// By the columns of the subject; nobody's where there is none.
    pub names: Vec<Option<String>>,
    pub requests: i64,
    pub unpriced: i64,
    pub estimated: i64,
    pub cost: Usd,
    /// Of a team's cost, its part of pools: in all, and of each.
    pub shared: Usd,
    pub shares: BTreeMap<String, Usd>,
    /// What of the cost is in no log; zero where that is no spend.
    pub unlogged: Usd,
    /// Tenths of a percent of all, rounded down.
    pub share: i64,
    /// In the period before.
    pub cost_before: Usd,
    pub requests_before: i64,
}

impl Entry {
    /// Tenths of a percent, rounded towards zero; `None` where there was nothing before.
    pub fn change(&self) -> Option<i64> {
        let before = self.cost_before.pico();
        let moved = self.cost.pico().checked_sub(before)?.checked_mul(1000)?;
        (before > 0).then(|| i64::try_from(moved / before).ok()).flatten()
    }
}

/// The biggest spenders.
#[derive(Debug)]
pub struct Top {
    pub period: PeriodSpan,
    /// What it is compared with.
    pub before: PeriodSpan,
    /// The period is not over: only as much of the other one counts.
    pub is_open: bool,
    /// The biggest first.
    pub entries: Vec<Entry>,
    pub requests: i64,
    pub cost: Usd,
    /// What of it is in no log.
    pub unlogged: Usd,
    pub cost_before: Usd,
    /// Days of the two whose tables are one step apart.
    pub behind: BTreeMap<Day, Behind>,
    /// The first day of the table that is kept, where the two begin before it.
    pub pruned_until: Option<Day>,
}

impl Top {
    /// Reads it from the book.
    ///
    /// # Errors
    /// Where the book cannot be read, or a sum is too large.
    pub fn of(
        book: &Book,
        config: &Config,
        subject: Subject,
        period: PeriodSpan,
        now: Instant,
    ) -> Result<Self, ReportError> {
        let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
        let mut before = calendar.before(&period);
        let known_until = LastRuns::of(book)?.known_until().unwrap_or(now).min(now);
        let is_open = known_until < period.until;
        if is_open {
            let gone_by = (known_until.micros() - period.from.micros()).max(0);
            before.until = before.from.plus_micros(gone_by).min(before.until);
        }
        let pools = policy::known(book, config, now)?.pools(config);
        let counts_unlogged = config.reconcile.budget_unlogged;
        let sides = [&period, &before].map(|span| {
            let unlogged = if counts_unlogged {
                reconciled::unlogged(book, &Registry::new(config), span.from, span.until)?
            } else {
                Vec::new()
            };
            Side::of(book, &pools, subject, span, &unlogged)
        });
        let [now, then] = sides;
        let (now, mut then) = (now?, then?);
        let mut entries = Vec::new();
        for (names, side) in now.entries {
            let old = then.entries.remove(&names).unwrap_or_default();
            entries.push(entry(names, &side, &old, now.cost));
        }
        for (names, old) in then.entries {
            entries.push(entry(names, &Part::default(), &old, now.cost));
        }
        entries.sort_by(|a, b| {
            let rank = |entry: &Entry| (Reverse(entry.cost), Reverse(entry.requests), Reverse(entry.cost_before));
            rank(a).cmp(&rank(b)).then_with(|| a.names.cmp(&b.names))
        });
        let mut behind = freshness::behind(book, period.from, period.until)?;
        behind.extend(freshness::behind(book, before.from, before.until)?);
        let (requests, cost, unlogged, cost_before) = (now.requests, now.cost, now.unlogged, then.cost);
        let floor = Floors::read(book)?.of(match subject.table() {
            DayTable::Charges => KeptTable::Charges,
            _ => KeptTable::Rollup,
        });
        let pruned_until = floor.filter(|floor| before.from.min(period.from) < floor.start());
        Ok(Self { period, before, is_open, entries, requests, cost, unlogged, cost_before, behind, pruned_until })
    }
}

fn entry(names: Names, part: &Part, old: &Part, whole: Usd) -> Entry {
    let tenths = part.sum.cost.pico().checked_mul(1000).filter(|_| whole > Usd::ZERO);
    Entry {
        names,
        requests: part.sum.requests,
        unpriced: part.sum.unpriced,
        estimated: part.sum.estimated,
        cost: part.sum.cost,
        shared: part.shared,
        shares: part.shares.clone(),
        unlogged: part.unlogged,
        share: tenths.and_then(|tenths| i64::try_from(tenths.div_euclid(whole.pico())).ok()).unwrap_or_default(),
        cost_before: old.sum.cost,
        requests_before: old.sum.requests,
    }
}

#[derive(Debug, Default)]
struct Part {
    sum: Sum,
    shared: Usd,
    /// By pool.
    shares: BTreeMap<String, Usd>,
    unlogged: Usd,
}

/// What was spent in a period, by name.
struct Side {
    entries: BTreeMap<Names, Part>,
    requests: i64,
    cost: Usd,
    unlogged: Usd,
}

impl Side {
    fn of(
        book: &Book,
        pools: &Pools,
        subject: Subject,
        span: &PeriodSpan,
        unlogged: &[Unlogged],
    ) -> Result<Self, ReportError> {
        let by = By::columns(subject.columns());
        let query = Query { table: subject.table(), by: &by, from: span.from, until: span.until };
        let mut sums = sums::of(book, query)?;
        let too_large = || TooLarge { scope: Scope::Organization, period: span.name.clone() };
        let add = |sum: &mut Usd, more: Usd| {
            *sum = sum.checked_add(more).ok_or_else(too_large)?;
            Ok::<(), TooLarge>(())
        };
        let mut missing: BTreeMap<Names, Usd> = BTreeMap::new();
        for (names, cost) in unlogged.iter().filter_map(|it| Some((names(it, subject), it.cost?))) {
            // A pool's is divided with the rest of it.
            if subject == Subject::Teams && names[0].as_deref().is_some_and(|team| team.starts_with(SHARED)) {
                add(&mut sums.entry(names).or_default().cost, cost)?;
            } else {
                add(missing.entry(names).or_default(), cost)?;
            }
        }
        let mut all = Sum::default();
        for sum in sums.values() {
            all.add(sum).ok_or_else(too_large)?;
        }
        let mut entries: BTreeMap<Names, Part> = match subject {
            Subject::Teams => of_teams(pools, &sums, span)?,
            _ => sums.into_iter().map(|(names, sum)| (names, Part { sum, ..Part::default() })).collect(),
        };
        for (names, cost) in missing {
            let part = entries.entry(names).or_default();
            add(&mut part.sum.cost, cost)?;
            add(&mut part.unlogged, cost)?;
            add(&mut all.cost, cost)?;
        }
        let unlogged = unlogged.iter().filter_map(|it| it.cost).try_fold(Usd::ZERO, Usd::checked_add);
        Ok(Self { entries, requests: all.requests, cost: all.cost, unlogged: unlogged.ok_or_else(too_large)? })
    }
}

/// What is in no log, by the columns of a subject.
fn names(it: &Unlogged, subject: Subject) -> Names {
    match subject {
        Subject::Models => vec![it.model.clone(), Some(it.provider.clone())],
        Subject::Teams => vec![it.team.clone()],
        Subject::Keys => vec![it.key.clone(), it.team.clone()],
        Subject::Users => vec![None],
    }
}

/// How shared keys are divided, over time.
type Pools = OverTime<BTreeMap<String, Pool>>;

/// Charges of a pool are with the teams that shared it at the end of the
/// period; those of a pool that there was not stay a row of their own.
fn of_teams(
    pools: &Pools,
    sums: &BTreeMap<Names, Sum>,
    span: &PeriodSpan,
) -> Result<BTreeMap<Names, Part>, ReportError> {
    let too_large = || TooLarge { scope: Scope::Organization, period: span.name.clone() };
    let pools = pools.at(span.until.plus_micros(-1));
    let mut parts: BTreeMap<Names, Part> = BTreeMap::new();
    for (names, sum) in sums {
        let pool = names[0].as_deref().and_then(|team| pools?.get(team.strip_prefix(SHARED)?));
        let Some(pool) = pool else {
            parts.entry(names.clone()).or_default().sum.add(sum).ok_or_else(too_large)?;
            continue;
        };
        for (team, cost) in divide(sum.cost, pool) {
            let part = parts.entry(vec![Some(team.to_owned())]).or_default();
            part.sum.cost = part.sum.cost.checked_add(cost).ok_or_else(too_large)?;
            part.shared = part.shared.checked_add(cost).ok_or_else(too_large)?;
            let share = part.shares.entry(pool.name.clone()).or_default();
            *share = share.checked_add(cost).ok_or_else(too_large)?;
        }
    }
    Ok(parts)
}
