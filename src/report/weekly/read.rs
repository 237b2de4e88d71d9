//! What the mails are made from, read from the book once for everybody: sums of
//! `rollup` by day for the two weeks, by the hour for budgets and forecasts,
//! users and sources from `charges`, violations.
//!
//! Polars adds up within a day, of which `charges` has shown that no sum can
//! overflow; days are added elsewhere, checked.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use polars::prelude::*;

use super::amounts::{Amounts, COSTS, COUNTS, Class};
use crate::{
    book::{Book, layout::DayTable},
    budgets::SpendRow,
    charges::{ChargesError, DayFile},
    money::Usd,
    periods::Calendar,
    pricing::Basis,
    reconcile::Unlogged,
    record::{METERS, Meter},
    report::{ReportError, reconciled},
    teams::Registry,
    time::Instant,
};

/// A text that many rows share.
pub(super) type Name = Arc<str>;

/// What one key of a team did with one model on one day.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub team: Option<Name>,
    pub key: Option<Name>,
    pub provider: Name,
    /// The price book's name.
    pub model: Name,
    pub tier: Option<Name>,
    pub class: Class,
    /// The day, counted from the first one that was asked for.
    pub day: usize,
    pub amounts: Amounts,
}

/// Each text once.
#[derive(Debug, Default)]
struct Names(HashSet<Name>);

impl Names {
    fn get(&mut self, text: &str) -> Name {
        if let Some(name) = self.0.get(text) {
            return Arc::clone(name);
        }
        let name: Name = text.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

const SLOT: &str = "slot";

/// The sums of days that begin at these instants; the last one ends the last day.
pub(super) fn cells(book: &Book, registry: &Registry<'_>, days: &[Instant]) -> Result<Vec<Cell>, ReportError> {
    const BY: [&str; 6] = ["team", "key", "provider", "model_billed", "tier", "basis"];
    let (Some(&from), Some(&until)) = (days.first(), days.last()) else { return Ok(Vec::new()) };
    let slot = days[1..].iter().fold(lit(0_i64), |slot, start| {
        slot + col("bucket_start").to_physical().gt_eq(lit(start.micros())).cast(DataType::Int64)
    });
    let mut columns: Vec<&'static str> = COUNTS.to_vec();
    columns.extend(METERS.iter().map(|info| info.column));
    columns.extend(COSTS);
    let mut names = Names::default();
    let mut cells = Vec::new();
    each(book, &BY, &columns, (from, until), &slot, |frame| {
        let texts: Vec<&StringChunked> =
            BY.iter().map(|name| frame.column(name)?.str()).collect::<PolarsResult<_>>()?;
        let slots = numbers(frame, SLOT)?;
        let counts: Vec<Vec<i64>> = COUNTS.iter().map(|name| numbers(frame, name)).collect::<PolarsResult<_>>()?;
        let meters: Vec<Vec<i64>> =
            METERS.iter().map(|info| numbers(frame, info.column)).collect::<PolarsResult<_>>()?;
        let costs: Vec<Vec<Usd>> = COSTS.iter().map(|name| amounts(frame, name)).collect::<PolarsResult<_>>()?;
        for (row, &slot) in slots.iter().enumerate() {
            let mut name = |place: usize| {
                let now = |text| if place == 0 { registry.team_name(text) } else { text };
                texts[place].get(row).map(|text| names.get(now(text)))
            };
            let class = match texts[5].get(row).unwrap_or_default() {
                basis if basis == Basis::Free.name() => Class::Free,
                basis if basis == Basis::Unpriced.name() => Class::Unpriced,
                _ => Class::Priced,
            };
            let all = Amounts::of(
                std::array::from_fn(|at| counts[at][row]),
                std::array::from_fn::<_, { Meter::COUNT }, _>(|at| meters[at][row]),
                std::array::from_fn(|at| costs[at][row]),
            );
            cells.push(Cell {
                team: name(0),
                key: name(1),
                provider: name(2).unwrap_or_default(),
                model: name(3).unwrap_or_default(),
                tier: name(4),
                class,
                day: usize::try_from(slot).unwrap_or_default(),
                amounts: all,
            });
        }
        Ok(())
    })?;
    Ok(cells)
}

/// What was spent in a step of time.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: Instant,
    requests: i64,
    unpriced: i64,
    estimated: i64,
    cost: Usd,
    estimated_cost: Usd,
    is_unlogged: bool,
}

/// What everybody spent, step by step: for budgets and forecasts.
#[derive(Debug, Default)]
pub(super) struct Steps {
    by_team: HashMap<Option<Name>, Vec<Step>>,
}

/// A quarter of an hour, and an hour.
const FINEST: i64 = 900_000_000;
const HOUR: i64 = 4 * FINEST;

impl Steps {
    /// The steps are hours where all calendars' days begin on the hour, which
    /// is a quarter of the rows.
    pub(super) fn read(
        book: &Book,
        registry: &Registry<'_>,
        calendars: &[Calendar],
        (from, until): (Instant, Instant),
    ) -> Result<Self, ReportError> {
        const SUMS: [&str; 5] = ["requests", "unpriced_requests", "estimated_requests", "cost", "estimated_cost"];
        let step = if calendars.iter().all(|it| is_on_the_hour(*it, from, until)) { HOUR } else { FINEST };
        let at = col("bucket_start").to_physical();
        let slot = at.clone() - at % lit(step);
        let mut names = Names::default();
        let mut steps = Self::default();
        each(book, &["team"], &SUMS, (from, until), &slot, |frame| {
            let teams = frame.column("team")?.str()?;
            let (at, requests) = (numbers(frame, SLOT)?, numbers(frame, SUMS[0])?);
            let (unpriced, estimated) = (numbers(frame, SUMS[1])?, numbers(frame, SUMS[2])?);
            let (cost, estimated_cost) = (amounts(frame, SUMS[3])?, amounts(frame, SUMS[4])?);
            for (row, &at) in at.iter().enumerate() {
                let team = teams.get(row).map(|team| names.get(registry.team_name(team)));
                steps.by_team.entry(team).or_default().push(Step {
                    at: Instant::from_micros(at),
                    requests: requests[row],
                    unpriced: unpriced[row],
                    estimated: estimated[row],
                    cost: cost[row],
                    estimated_cost: estimated_cost[row],
                    is_unlogged: false,
                });
            }
            Ok(())
        })?;
        Ok(steps)
    }

    /// With what no log shows.
    pub(super) fn with_unlogged(mut self, rows: &[Unlogged]) -> Self {
        for SpendRow { bucket, team, cost, .. } in reconciled::spend_rows(rows) {
            self.by_team.entry(team.map(Name::from)).or_default().push(Step {
                at: bucket,
                requests: 0,
                unpriced: 0,
                estimated: 0,
                cost,
                estimated_cost: Usd::ZERO,
                is_unlogged: true,
            });
        }
        self
    }

    /// When the first of all were.
    pub(super) fn first(&self) -> Option<Instant> {
        self.by_team.values().flatten().map(|step| step.at).min()
    }

    /// Those of some teams, as a ledger takes them.
    pub(super) fn rows<'s>(&'s self, teams: impl Iterator<Item = &'s str>) -> Vec<SpendRow<'s>> {
        let of = |team: &'s str| {
            let steps = self.by_team.get(&Some(Name::from(team))).map(Vec::as_slice).unwrap_or_default();
            steps.iter().map(move |step| step.row(Some(team)))
        };
        teams.flat_map(of).collect()
    }

    /// Everybody's, added up; `None` where a sum would not fit.
    pub(super) fn all(&self) -> Option<Vec<SpendRow<'static>>> {
        let mut sums: BTreeMap<(Instant, bool), Step> = BTreeMap::new();
        for step in self.by_team.values().flatten() {
            let slot = (step.at, step.is_unlogged);
            let Some(sum) = sums.get_mut(&slot) else {
                sums.insert(slot, *step);
                continue;
            };
            sum.requests = sum.requests.saturating_add(step.requests);
            sum.unpriced = sum.unpriced.saturating_add(step.unpriced);
            sum.estimated = sum.estimated.saturating_add(step.estimated);
            sum.cost = sum.cost.checked_add(step.cost)?;
            sum.estimated_cost = sum.estimated_cost.checked_add(step.estimated_cost)?;
        }
        Some(sums.values().map(|step| step.row(None)).collect())
    }
}

impl Step {
    fn row<'t>(&self, team: Option<&'t str>) -> SpendRow<'t> {
        SpendRow {
            bucket: self.at,
            team,
            key: None,
            model: "",
            requests: self.requests,
            unpriced_requests: self.unpriced,
            estimated_requests: self.estimated,
            cost: self.cost,
            estimated_cost: self.estimated_cost,
            is_unlogged: self.is_unlogged,
        }
    }
}

/// Whether every day of a calendar begins on an hour of UTC.
fn is_on_the_hour(calendar: Calendar, from: Instant, until: Instant) -> bool {
    if calendar.zone == chrono_tz::Tz::UTC {
        return true;
    }
    let (first, last) = (from.day().days() - 2, until.min(Instant::LATEST).day().days() + 2);
    let is_whole = |day| calendar.start_of(crate::time::Day::from_days(day)).micros().rem_euclid(HOUR) == 0;
    // Zones change their offset for weeks at least.
    (first..=last).step_by(7).all(is_whole)
}

/// Gives the groups of every day, by columns of text and by a slot of time.
fn each(
    book: &Book,
    by: &[&'static str],
    sums: &[&'static str],
    (from, until): (Instant, Instant),
    slot: &Expr,
    mut take: impl FnMut(&DataFrame) -> PolarsResult<()>,
) -> Result<(), ReportError> {
    if until <= from {
        return Ok(());
    }
    let days = from.day()..=until.plus_micros(-1).day();
    let columns: Vec<&str> = by.iter().chain(sums).copied().chain(["bucket_start"]).collect();
    let at = || col("bucket_start").to_physical();
    let is_meant = at().gt_eq(lit(from.micros())).and(at().lt(lit(until.micros())));
    let mut keys: Vec<Expr> = by.iter().map(|name| col(*name)).collect();
    keys.push(col(SLOT));
    let sums: Vec<Expr> = sums.iter().map(|name| col(*name).sum()).collect();
    for day in book.days(DayTable::Rollup)?.into_iter().filter(|day| days.contains(day)) {
        let Some(file) = DayFile::open(book, DayTable::Rollup, day)? else { continue };
        for (start, length) in file.slices() {
            let frame = file.frame(&columns, start, length)?.lazy().filter(is_meant.clone());
            let groups = frame.with_column(slot.clone().alias(SLOT)).group_by(&keys).agg(&sums).collect();
            let taken = groups.and_then(|groups| take(&groups));
            taken.map_err(|source| ChargesError::Engine { path: file.path.clone(), source })?;
        }
    }
    Ok(())
}

fn numbers(frame: &DataFrame, name: &str) -> PolarsResult<Vec<i64>> {
    Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect())
}

fn amounts(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Usd>> {
    let usd = |pico: Option<i128>| Usd::from_pico(pico.unwrap_or_default()).unwrap_or_default();
    Ok(frame.column(name)?.decimal()?.physical().iter().map(usd).collect())
}
