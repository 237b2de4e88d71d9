//! Reads from the book what a run has to know.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AlertsError,
    event::Count,
    facts::{Broken, Facts, Rotation, Silent, Spike, Standing, Unpriced},
    spike,
};
use crate::{
    audit,
    book::{Book, layout::DayTable},
    budgets::{Ledger, Scope, Silence, SpendRow, Statement, Timeline, WEEKS_BACK, percent},
    charges::Behind,
    config::{Config, Pool},
    floors::Floors,
    money::Usd,
    periods::{Calendar, PeriodSpan},
    policy,
    pricing::NO_USAGE,
    reconcile::Unlogged,
    report::{
        ReportError,
        freshness::{self, LastRuns},
        heard::{self, SourceState},
        reconciled,
        status::told_apart,
        sums::{self, Bucket, By, Query},
    },
    teams::{Claim, OverTime, Registry, SHARED},
    time::{Day, Instant},
};

const DAY_MICROS: i64 = 86_400_000_000;
/// An ended period is looked at for so long.
const LOOK_BACK: i64 = 35 * DAY_MICROS;
/// Days of which violations, requests of nobody and models without a price are
/// looked for: what comes later than that is in `audit` and `status`.
const RECENT_DAYS: i32 = 7;
/// A key is to be rotated after so many days, as `keys` has it, if it was used
/// in the last ones.
const MOST_KEY_DAYS: i64 = 90;
const USED_WITHIN: i64 = 30 * DAY_MICROS;
/// Days before that in which a key is looked for of which nobody knows since
/// when it is valid.
const OLD_DAYS: usize = 60;

/// What was read, and all that sums need.
#[derive(Debug)]
pub(super) struct Reading {
    pub known_until: Instant,
    timelines: Vec<(Scope, Timeline)>,
    pools: OverTime<BTreeMap<String, Pool>>,
    buckets: Vec<Bucket>,
    /// What is in no log, where that is a line of budgets.
    unlogged: Vec<Unlogged>,
    sources: Vec<SourceState>,
    silences: Vec<Silence>,
    behind: BTreeMap<Day, Behind>,
    floors: Floors,
}

impl Reading {
    pub(super) fn of(book: &Book, config: &Config, now: Instant) -> Result<Self, AlertsError> {
        let history = policy::known(book, config, now)?;
        let (timelines, pools) = (history.budgets(config), history.pools(config));
        let known_until = LastRuns::of(book)?.known_until().unwrap_or(now).min(now);
        let from = first_needed(&timelines, now);
        let buckets = sums::buckets(book, &told_apart(&timelines, config), from, Instant::LATEST)?;
        let unlogged = if config.reconcile.budget_unlogged {
            reconciled::unlogged(book, &Registry::new(config), from, Instant::LATEST)?
        } else {
            Vec::new()
        };
        let sources = heard::sources(book, config, now)?;
        let scopes: Vec<Scope> = timelines.iter().map(|(scope, _)| scope.clone()).collect();
        let silences = freshness::silences(book, &sources, &scopes, &pools, &Registry::new(config))?;
        let behind = freshness::behind(book, from, Instant::LATEST)?;
        let floors = Floors::read(book)?;
        Ok(Self { known_until, timelines, pools, buckets, unlogged, sources, silences, behind, floors })
    }

    pub(super) fn ledger<'r>(&'r self, registry: &Registry<'r>) -> Ledger<'r> {
        let mut rows = sums::spend_rows(&self.buckets, registry);
        rows.extend(reconciled::spend_rows(&self.unlogged));
        Ledger::new(rows, &self.pools, self.known_until, &self.silences)
            .with_stale(self.behind.keys().copied())
            .with_spend_from(self.floors.spend_from())
    }

    /// Everything that is decided about.
    pub(super) fn facts(
        &self,
        ledger: &Ledger<'_>,
        book: &Book,
        config: &Config,
        now: Instant,
    ) -> Result<Facts, AlertsError> {
        let recent = Day::from_days(now.day().days() - RECENT_DAYS);
        let rows = sums::spend_rows(&self.buckets, &Registry::new(config));
        let mut budgets = Vec::new();
        for (scope, timeline) in &self.timelines {
            budgets.extend(standings(ledger, scope, timeline, now)?);
        }
        let silent = self.sources.iter().filter(|source| source.is_silent).filter_map(|source| {
            let silence = self.silences.iter().find(|it| it.source == source.name);
            let of = silence.map(|it| it.of.clone()).unwrap_or_default();
            let (was_heard, limit_micros) = (source.last.is_some(), source.silent_after_micros);
            let since = source.last.or(source.sought_since)?;
            Some(Silent { source: source.name.clone(), since, was_heard, limit_micros, of })
        });
        let (unattributed, all) = of_nobody(&rows, recent);
        Ok(Facts {
            budgets,
            spikes: spikes(&rows, config, &self.pools, self.known_until),
            silent: silent.collect(),
            unpriced: unpriced(book, recent.start(), Instant::LATEST)?,
            rotations: rotations(book, config, now)?,
            violations: violations(book, &Registry::new(config), recent)?,
            unattributed,
            all,
        })
    }
}

/// The end of the quarter of an hour in which a budget rose to a level.
pub(super) fn reached_at(ledger: &Ledger<'_>, statement: &Statement, level: u16) -> Option<Instant> {
    const QUARTER: i64 = 900_000_000;
    let is_reached = |until: Instant| {
        let span = PeriodSpan { until, ..statement.period.clone() };
        let spend = ledger.lines(&statement.scope, &span, statement.from).ok()?.total()?;
        Some(spend > Usd::ZERO && percent(spend, statement.budget()) >= i64::from(level))
    };
    let quarter = |number: i64| statement.from.plus_micros(number * QUARTER);
    let whole = statement.period.until.micros() - statement.from.micros();
    let (mut before, mut after) = (0, whole.div_euclid(QUARTER) + 1);
    if !is_reached(quarter(after))? {
        return None;
    }
    while before + 1 < after {
        let middle = i64::midpoint(before, after);
        if is_reached(quarter(middle))? {
            after = middle;
        } else {
            before = middle;
        }
    }
    Some(quarter(after))
}

/// From when spend is needed: by spikes, and by every period that is looked at,
/// of which the open one has a forecast.
fn first_needed(timelines: &[(Scope, Timeline)], now: Instant) -> Instant {
    let needed = timelines.iter().flat_map(|(_, timeline)| {
        looked_at(timeline, now).into_iter().filter_map(move |at| {
            let is_open = timeline.span_at(at).is_some_and(|(_, span)| span.until > now);
            timeline.first_needed(at, if is_open { WEEKS_BACK } else { 0 })
        })
    });
    needed.fold(now.plus_micros(-LOOK_BACK), Instant::min)
}

/// An instant in each period that is looked at: in the open one, and in those
/// that ended lately.
fn looked_at(timeline: &Timeline, now: Instant) -> Vec<Instant> {
    let mut instants = vec![now];
    let last = now.plus_micros(-LOOK_BACK);
    let mut at = timeline.span_at(now).map_or(now, |(_, span)| span.from);
    while last < at {
        let before = at.plus_micros(-1);
        // Days without a budget are passed over.
        at = timeline.span_at(before).map_or(at.plus_micros(-DAY_MICROS), |(_, span)| span.from);
        if timeline.at(before).is_some() {
            instants.push(before);
        }
    }
    instants
}

fn standings(
    ledger: &Ledger<'_>,
    scope: &Scope,
    timeline: &Timeline,
    now: Instant,
) -> Result<Vec<Standing>, AlertsError> {
    let mut standings = Vec::new();
    for at in looked_at(timeline, now) {
        // Of a period that is pruned in part, nobody knows what it came to.
        if let Some(statement) = ledger.statement(scope, timeline, at)?
            && ledger.knows_from(statement.from)
        {
            standings.push(Standing { kind: timeline.period(), is_current: at == now, statement });
        }
    }
    Ok(standings)
}

/// Teams and the organization, of whom the last day that is known, or the one
/// before, cost far more than days do.
fn spikes(
    rows: &[SpendRow<'_>],
    config: &Config,
    pools: &OverTime<BTreeMap<String, Pool>>,
    known_until: Instant,
) -> Vec<Spike> {
    let zones = config.teams.values().map(|team| (Scope::Team(team.name.clone()), team.timezone));
    let mut days: BTreeMap<Scope, (Calendar, BTreeMap<Day, Usd>)> = BTreeMap::new();
    for (scope, zone) in zones.chain([(Scope::Organization, config.book.timezone)]) {
        days.insert(scope, (Calendar { zone, week_start: config.book.week_start }, BTreeMap::new()));
    }
    let mut add = |scope: Scope, at: Instant, cost: Usd| {
        if let Some((calendar, days)) = days.get_mut(&scope) {
            let sum = days.entry(calendar.day_of(at)).or_default();
            *sum = sum.checked_add(cost).unwrap_or(*sum);
        }
    };
    for row in rows {
        add(Scope::Organization, row.bucket, row.cost);
        let Some(team) = row.team else { continue };
        match team.strip_prefix(SHARED) {
            None => add(Scope::Team(team.to_owned()), row.bucket, row.cost),
            Some(pool) => {
                let shares = pools.at(row.bucket).and_then(|pools| pools.get(pool)).map(|pool| &pool.shares);
                for (team, &share) in shares.into_iter().flatten() {
                    let part = row.cost.for_quantity(share, Pool::WHOLE).unwrap_or_default();
                    add(Scope::Team(team.clone()), row.bucket, part);
                }
            }
        }
    }
    let spike = |(scope, (calendar, days)): (Scope, (Calendar, BTreeMap<Day, Usd>))| {
        let last = calendar.day_of(known_until);
        [last.previous(), last].into_iter().find_map(|day| {
            let spend = days.get(&day).copied()?;
            let ago = |ago: i32| days.get(&Day::from_days(day.days() - ago)).copied().unwrap_or_default();
            let past: Vec<Usd> = (1..).take(spike::PAST_DAYS).map(ago).collect();
            let usual = spike::usual(&past.into_iter().rev().collect::<Vec<_>>())?;
            let (from, until) = (calendar.start_of(day), calendar.start_of(day.next()));
            let found =
                Spike { scope: scope.clone(), day, from, until, spend, median: usual.median, limit: usual.limit };
            (spend > usual.limit).then_some(found)
        })
    };
    days.into_iter().filter_map(spike).collect()
}

/// Requests that are nobody's, and all of them, by UTC day.
fn of_nobody(rows: &[SpendRow<'_>], since: Day) -> (BTreeMap<Day, Count>, BTreeMap<Day, Count>) {
    let (mut nobodys, mut all): (BTreeMap<Day, Count>, BTreeMap<Day, Count>) = Default::default();
    let add = |count: &mut Count, row: &SpendRow<'_>| {
        count.number = count.number.saturating_add(row.requests);
        count.cost = count.cost.checked_add(row.cost).unwrap_or(count.cost);
    };
    for row in rows.iter().filter(|row| row.bucket.day() >= since && !row.is_unlogged) {
        let day = row.bucket.day();
        add(all.entry(day).or_default(), row);
        let nobodys = nobodys.entry(day).or_default();
        if row.team.is_none() {
            add(nobodys, row);
        }
    }
    (nobodys, all)
}

/// Models that have no price, and those of which the fallback price makes an
/// estimate. A request without usage has no price either, and is no news about
/// its model.
fn unpriced(book: &Book, from: Instant, until: Instant) -> Result<Vec<Unpriced>, AlertsError> {
    let by = By::columns(&["provider", "model_billed"]);
    let query = Query { table: DayTable::Rollup, by: &by, from, until };
    let sums = sums::of(book, query)?;
    let mut reasons = BTreeMap::new();
    if sums.values().any(|sum| sum.unpriced > 0) {
        let by = By::columns(&["provider", "model_billed", "reason"]);
        reasons = sums::of(book, Query { table: DayTable::Charges, by: &by, ..query })?;
    }
    let lacks_price = |provider: &str, model: &str| -> i64 {
        let is_of = |names: &Vec<Option<String>>| {
            names[0].as_deref() == Some(provider)
                && names[1].as_deref() == Some(model)
                && names[2].as_deref() != Some(NO_USAGE)
        };
        reasons.iter().filter(|(names, _)| is_of(names)).map(|(_, sum)| sum.unpriced).sum()
    };
    let mut found = Vec::new();
    for (names, sum) in &sums {
        let [Some(provider), Some(model)] = names.as_slice() else { continue };
        let unknown = if sum.unpriced > 0 { lacks_price(provider, model) } else { 0 };
        let (requests, estimate) =
            if unknown > 0 { (unknown, None) } else { (sum.estimated, Some(sum.estimated_cost)) };
        if requests > 0 {
            found.push(Unpriced { provider: provider.clone(), model: model.clone(), since: from, requests, estimate });
        }
    }
    Ok(found)
}

/// Violations by team and day.
fn violations(
    book: &Book,
    registry: &Registry<'_>,
    since: Day,
) -> Result<BTreeMap<Option<String>, BTreeMap<Day, Broken>>, AlertsError> {
    let mut found: BTreeMap<Option<String>, BTreeMap<Day, Broken>> = BTreeMap::new();
    for day in book.days(DayTable::Violations)?.into_iter().filter(|day| *day >= since) {
        audit::violations(book, day, |it| {
            let team = it.team.map(|team| registry.team_name(&team).to_owned());
            let count = found.entry(team).or_default().entry(day).or_default().entry(it.kind).or_default();
            count.number = count.number.saturating_add(1);
            count.cost = count.cost.checked_add(it.cost).unwrap_or(count.cost);
        })?;
    }
    Ok(found)
}

/// Keys that are older than they may be and still used.
fn rotations(book: &Book, config: &Config, now: Instant) -> Result<Vec<Rotation>, ReportError> {
    let from = now.plus_micros(-USED_WITHIN);
    let by = By::columns(&["key"]);
    let used = sums::of(book, Query { table: DayTable::Rollup, by: &by, from, until: Instant::LATEST })?;
    let registry = Registry::new(config);
    let mut found = Vec::new();
    let mut undated: BTreeMap<&str, Option<String>> = BTreeMap::new();
    for key in used.keys().filter_map(|names| names[0].as_deref()) {
        let entry = registry.entry(key, now);
        let name = entry.map_or(key, |entry| &entry.name);
        let is_replaced = config.keys.iter().any(|it| it.replaces.as_deref() == Some(name));
        let is_over = entry.is_none() && config.keys.iter().any(|it| it.name == name);
        if is_replaced || is_over {
            continue;
        }
        let team = registry.attribute(Claim { key: Some(key), team_reported: None }, now).team;
        match entry.and_then(|entry| entry.valid_from) {
            Some(from) => {
                let days = (now.micros() - from.micros()).div_euclid(DAY_MICROS);
                if days > MOST_KEY_DAYS {
                    found.push(Rotation { key: name.to_owned(), team, days: Some(days) });
                }
            }
            // Whose it is is what is to be told of a key that nobody knows.
            None if team.is_some() => _ = undated.insert(key, team),
            None => {}
        }
    }
    let before = now.plus_micros(-MOST_KEY_DAYS * DAY_MICROS).day();
    let days: Vec<Day> = book.days(DayTable::Rollup)?.into_iter().filter(|day| *day < before).collect();
    for day in days.into_iter().rev().take(OLD_DAYS) {
        if undated.is_empty() {
            break;
        }
        let query = Query { table: DayTable::Rollup, by: &by, from: day.start(), until: day.end() };
        for names in sums::of(book, query)?.into_keys() {
            if let Some((key, team)) = names[0].as_deref().and_then(|key| undated.remove_entry(key)) {
                let name = registry.entry(key, now).map_or(key, |entry| &entry.name);
                found.push(Rotation { key: name.to_owned(), team, days: None });
            }
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|rotation| seen.insert(rotation.key.clone()));
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}
