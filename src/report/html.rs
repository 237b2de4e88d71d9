//! The page: what the book says about a period, as one HTML file that asks
//! nothing of the network.
//!
//! What is on it at first is written here: figures and tables, every number by
//! the same code as in mails and on the terminal. The data beside it, and a
//! little script, let a reader choose a team and a part of the period; the
//! script adds up whole pico-dollars, so that what it shows is exact, too, and
//! draws the charts. The same book and the same time give the same bytes.
//!
//! Left out on purpose: requests one by one (`query`, `explain`), and change
//! against another period (`top`).

mod budgets;
mod cube;
mod data;
mod quality;
mod read;
mod reconciled;
mod slots;
mod view;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{ReportError, Status, freshness};
use crate::{
    audit::AuditError,
    book::{Book, BookError, layout::DayTable},
    charges::Behind,
    config::{Config, KeptTable, Pool},
    floors::Floors,
    money::Usd,
    periods::{Calendar, PeriodSpan},
    policy::{self, PolicyError},
    reconcile::ReconcileError,
    time::{Day, Instant},
};

use cube::{Cube, Measures, Spender, ranked};
use data::{Data, Told};
use read::{Pair, Span, Spent, Violations, Who};
use reconciled::Reconciled;
use slots::Slots;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    #[error("the data of the page: {0}")]
    Data(#[from] serde_json::Error),
    #[error("the template of the page: {0:#}")]
    Template(#[from] minijinja::Error),
}

/// How a page begins: by this line it is known as one of ours.
pub const FIRST_LINE: &str = "<!doctype html><!-- spendbook report html -->";

/// A page, and what has to be said beside it.
#[derive(Debug)]
pub struct HtmlPage {
    pub html: String,
    pub period: PeriodSpan,
    /// Days of the period whose tables are one step apart.
    pub behind: BTreeMap<Day, Behind>,
    /// The first day that is kept, where the period begins before it.
    pub pruned_until: Option<Day>,
}

/// What the page says, all of it read.
#[derive(Debug)]
struct Facts<'f> {
    config: &'f Config,
    now: Instant,
    period: PeriodSpan,
    slots: Slots,
    status: Status,
    cube: Cube,
    total: Measures,
    /// How shared keys are divided at the end of the period.
    pools: BTreeMap<String, Pool>,
    teams: Vec<Spender>,
    models: Vec<Spender>,
    keys: Spenders,
    users: Spenders,
    violations: Violations,
    reconciled: Reconciled,
    behind: BTreeMap<Day, Behind>,
    pruned_until: Option<Day>,
}

/// Keys or users.
#[derive(Debug)]
struct Spenders {
    /// In the whole period, the biggest first.
    ranked: Vec<Spender>,
    /// Some of them slot by slot.
    told: BTreeMap<Pair, BTreeMap<u32, Spent>>,
    /// How many each team has.
    of_teams: BTreeMap<Option<Arc<str>>, usize>,
}

/// Makes the page of a period: of this month and the two before it, where none
/// is asked for.
///
/// # Errors
/// Where the book cannot be read, or a sum is too large.
pub fn html(book: &Book, config: &Config, period: Option<PeriodSpan>, now: Instant) -> Result<HtmlPage, HtmlError> {
    let mut facts = Facts::read(book, config, period, now)?;
    let view = view::of(&facts)?;
    let data = facts.data()?.to_json()?;
    let html = write::page(&view, &data)?;
    let Facts { period, behind, pruned_until, .. } = facts;
    Ok(HtmlPage { html, period, behind, pruned_until })
}

impl<'f> Facts<'f> {
    fn read(book: &Book, config: &'f Config, period: Option<PeriodSpan>, now: Instant) -> Result<Self, HtmlError> {
        let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
        let days = book.days(DayTable::Rollup)?;
        let first = days.first().map(|day| calendar.day_of(day.start()));
        let period = period.unwrap_or_else(|| slots::default_span(calendar, now, first));
        let slots = shown(calendar, &period, &days, now);
        let span = Span { book, period: &period, slots: &slots };
        let status = Status::of(book, config, now)?;
        let pools = policy::known(book, config, now)?.pools(config);
        let pools = pools.at(period.until.plus_micros(-1)).cloned().unwrap_or_default();
        let cube = span.cube()?;
        let too_much = || too_much(&period);
        let floor = Floors::read(book)?.of(KeptTable::Rollup);
        Ok(Self {
            config,
            now,
            total: cube.total().ok_or_else(too_much)?,
            teams: cube::teams(&cube, &pools).ok_or_else(too_much)?,
            models: cube::models(&cube).ok_or_else(too_much)?,
            keys: Spenders::read(&span, Who::Keys)?,
            users: Spenders::read(&span, Who::Users)?,
            violations: span.violations()?,
            reconciled: span.reconciled()?,
            behind: freshness::behind(book, period.from, period.until)?,
            pruned_until: floor.filter(|floor| period.from < floor.start()),
            period: period.clone(),
            slots,
            status,
            cube,
            pools,
        })
    }

    /// What the page filters.
    fn data(&mut self) -> Result<Data, HtmlError> {
        let mut teams = self.teams.clone();
        let known: BTreeSet<Option<&str>> = self.teams.iter().map(|it| it.name.as_deref()).collect();
        let others = self.config.teams.keys().map(String::as_str);
        let others = others.chain(self.violations.keys().filter_map(|(_, team)| team.as_deref()));
        let others: BTreeSet<&str> = others.filter(|name| !known.contains(&Some(*name))).collect();
        let idle = others.into_iter().map(|name| Spender { name: Some(name.to_owned()), ..Spender::default() });
        teams.extend(idle);
        let mut of_teams: BTreeMap<Option<String>, [usize; 2]> = BTreeMap::new();
        for (at, spenders) in [&self.keys, &self.users].into_iter().enumerate() {
            for (team, count) in &spenders.of_teams {
                of_teams.entry(team.as_deref().map(str::to_owned)).or_default()[at] = *count;
            }
        }
        let mut told = Told {
            slots: &self.slots,
            cube: &mut self.cube,
            pools: &self.pools,
            teams: &teams,
            models: &self.models,
            keys: (&self.keys.ranked, &self.keys.told),
            users: (&self.users.ranked, &self.users.told),
            violations: &self.violations,
            reconciled: &self.reconciled,
            of_teams: &of_teams,
        };
        Data::of(&mut told).ok_or_else(|| too_much(&self.period))
    }
}

/// The days that are worth an axis: those of the period from the first to the
/// last with anything on them, or up to now.
fn shown(calendar: Calendar, period: &PeriodSpan, days: &[Day], now: Instant) -> Slots {
    let today = calendar.day_of(now);
    let first = days.first().map_or(today, |day| calendar.day_of(day.start()));
    let last = days.last().map_or(today, |day| calendar.day_of(day.end().plus_micros(-1)).min(day.next())).max(today);
    let first = first.clamp(period.first, period.end.previous());
    let end = last.next().min(period.end).max(first.next());
    Slots::of(calendar, first, end)
}

fn too_much(period: &PeriodSpan) -> HtmlError {
    let (from, until) = (period.from.to_string(), period.until.to_string());
    ReportError::TooMuch { table: DayTable::Rollup.name(), from, until }.into()
}

impl Spenders {
    fn read(span: &Span<'_>, who: Who) -> Result<Self, HtmlError> {
        let has_owner = who == Who::Keys;
        let mut pairs: Vec<(Pair, Spent)> = Vec::new();
        for (pair, by_slot) in span.spenders(who, None)? {
            pairs.extend(by_slot.into_values().map(|spent| (pair.clone(), spent)));
        }
        pairs.sort_by(|(a, one), (b, other)| {
            other.cost.cmp(&one.cost).then(other.requests.cmp(&one.requests)).then(a.cmp(b))
        });
        let ranked = data::spenders_of(&pairs, has_owner).ok_or_else(|| too_much(span.period))?;
        let mut of_teams: BTreeMap<Option<Arc<str>>, usize> = BTreeMap::new();
        for ((team, _), _) in &pairs {
            *of_teams.entry(team.clone()).or_default() += 1;
        }
        let some = data::chosen(&ranked, &pairs, span.slots.len(), has_owner);
        let told = span.spenders(who, Some(&some))?;
        Ok(Self { ranked: ranked_or_nobody(ranked), told, of_teams })
    }
}

impl Spenders {
    /// How many of them are told slot by slot.
    fn named(&self) -> usize {
        let has_owner = self.ranked.iter().any(|it| it.owner.is_some());
        let name = |(team, name): &Pair| (name.clone(), team.clone().filter(|_| has_owner));
        self.told.keys().map(name).collect::<BTreeSet<_>>().len()
    }
}

/// Where nobody at all is named, there is nothing to list.
fn ranked_or_nobody(spenders: Vec<Spender>) -> Vec<Spender> {
    if spenders.iter().all(|it| it.name.is_none()) { Vec::new() } else { ranked(spenders) }
}

/// Tenths of a percent, rounded down.
fn share(part: Usd, whole: Usd) -> i64 {
    let tenths = part.pico().checked_mul(1000).filter(|_| whole > Usd::ZERO);
    tenths.and_then(|tenths| i64::try_from(tenths.div_euclid(whole.pico())).ok()).unwrap_or_default()
}
