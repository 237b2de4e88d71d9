//! A week of one scope, as data: what the mail says is decided from it, and
//! every number is an exact sum. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    amounts::{Amounts, Class},
    read::{Cell, Name},
    saving::Saving,
    sources::SourceWeek,
    unlogged::{Missing, Unseen},
    why::{Item, Weeks, Why},
};
use crate::{
    audit::ViolationKind,
    budgets::{Scope, Statement, TooLarge, divide},
    config::Pool,
    money::Usd,
    periods::{Calendar, PeriodSpan},
    report::Reconciled,
    teams::SHARED,
    time::{Day, Instant},
};

/// A week beside the one before, in a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub calendar: Calendar,
    pub week: PeriodSpan,
    pub before: PeriodSpan,
}

/// Days in the week before, and so where this one begins.
pub(super) const WEEK: usize = 7;

impl Span {
    pub(super) fn of(calendar: Calendar, week: PeriodSpan) -> Self {
        let before = calendar.days_between(Day::from_days(week.first.days() - 7), week.first);
        Self { calendar, week, before }
    }

    /// The first instants of all fourteen days, and of the one after them.
    pub(super) fn days(&self) -> Vec<Instant> {
        let mut days = Vec::new();
        let mut day = self.before.first;
        while day <= self.week.end {
            days.push(self.calendar.start_of(day));
            day = day.next();
        }
        days
    }
}

/// What one name spent, now and before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spender {
    /// The name, and what it belongs to: a model's provider, a key's team.
    pub names: Vec<Option<String>>,
    pub requests: i64,
    /// Where it is known: of users it is not.
    pub tokens: i64,
    pub cost: Usd,
    pub cost_before: Usd,
}

/// A day of the week beside the same one a week before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DaySpend {
    pub day: Day,
    pub cost: Usd,
    pub before: Usd,
    /// What the first budget has for such a day.
    pub pace: Option<Usd>,
}

/// What broke a policy, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Broken {
    pub times: i64,
    pub requests: i64,
    pub cost: Usd,
}

/// Whose week it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub scope: Scope,
    pub span: Span,
    pub cost: Usd,
    pub cost_before: Usd,
    pub now: Amounts,
    pub before: Amounts,
    /// A team's part of each pool, now and before.
    pub shared: BTreeMap<String, [Usd; 2]>,
    /// What no log shows, as far as it is spend, now and before.
    pub unlogged: [Usd; 2],
    /// All that no log shows, be it spend or not.
    pub missing: Missing,
    /// Of the organization: how the week stands against what providers report.
    pub reconciled: Reconciled,
    pub days: Vec<DaySpend>,
    pub models: Vec<Spender>,
    pub keys: Vec<Spender>,
    pub users: Vec<Spender>,
    /// Of the organization.
    pub teams: Vec<Spender>,
    /// How much of its budget each of them has spent, in percent.
    pub team_budgets: BTreeMap<String, i64>,
    pub why: Option<Why>,
    pub savings: Vec<Saving>,
    /// In the period at the end of the week, and those that ended within it.
    pub budgets: Vec<Statement>,
    pub violations: BTreeMap<ViolationKind, Broken>,
    /// Of the organization: what is nobody's.
    pub unattributed: Broken,
    pub sources: Vec<SourceWeek>,
    /// Days of the week whose charges are not there, or not of their usage.
    pub stale: BTreeSet<Day>,
    /// Up to when everything was read and priced.
    pub known_until: Option<Instant>,
}

/// What a summary is added up from.
#[derive(Debug)]
pub(super) struct Sums<'a> {
    pub cells: Vec<&'a Cell>,
    /// Totals of the pools that the scope shares, by day.
    pub pools: BTreeMap<&'a str, (&'a Pool, Vec<&'a Cell>)>,
    /// Everybody's spend that no log shows.
    pub unseen: Vec<Unseen<'a>>,
}

/// The part of a summary that is sums.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub now: Amounts,
    pub before: Amounts,
    pub own: [Usd; 2],
    pub days: Vec<[Usd; 2]>,
    pub models: Vec<Spender>,
    pub keys: Vec<Spender>,
    pub items: BTreeMap<Item, Weeks>,
    pub shared: BTreeMap<String, [Usd; 2]>,
    pub unlogged: [Usd; 2],
}

impl Added {
    /// Adds up the cells of a scope; `None` where a sum would not fit.
    pub(super) fn of(scope: &Scope, sums: &Sums<'_>) -> Option<Self> {
        let mut added = Self { days: vec![[Usd::ZERO; 2]; WEEK], ..Self::default() };
        let mut models: BTreeMap<(&Name, &Name), Weeks> = BTreeMap::new();
        let mut keys: BTreeMap<(Option<&Name>, Option<&Name>), Weeks> = BTreeMap::new();
        for cell in &sums.cells {
            let (week, day) = (cell.day / WEEK, cell.day % WEEK);
            let billed = billed(cell);
            let all = if week == 0 { &mut added.before } else { &mut added.now };
            all.add(&billed)?;
            plus(&mut added.own[week], cell.amounts.cost)?;
            plus(&mut added.days[day][week], cell.amounts.cost)?;
            models.entry((&cell.model, &cell.provider)).or_default()[week].add(&billed)?;
            let team = if *scope == Scope::Organization { cell.team.as_ref() } else { None };
            keys.entry((cell.key.as_ref(), team)).or_default()[week].add(&billed)?;
            if cell.class == Class::Priced {
                let item = (cell.provider.clone(), cell.model.clone(), cell.tier.clone());
                added.items.entry(item).or_default()[week].add(&billed)?;
            }
        }
        let is_own = |it: &&Unseen<'_>| match scope {
            Scope::Team(team) => it.team == Some(team),
            _ => true,
        };
        for it in sums.unseen.iter().filter(is_own) {
            plus(&mut added.unlogged[it.day / WEEK], it.cost)?;
            plus(&mut added.days[it.day % WEEK][it.day / WEEK], it.cost)?;
        }
        if let Scope::Team(team) = scope {
            added.share(team, sums)?;
        }
        let text = |name: &Name| Some(name.to_string());
        added.models =
            ranked(models.into_iter().map(|((model, provider), weeks)| spender([text(model), text(provider)], &weeks)));
        let own = |name: Option<&Name>| name.map(ToString::to_string);
        added.keys = ranked(keys.into_iter().map(|((key, team), weeks)| spender([own(key), own(team)], &weeks)));
        Some(added)
    }

    /// The team's parts of pools. A part is of the total of a week, as budgets
    /// have it; those of days are only shown.
    fn share(&mut self, team: &str, sums: &Sums<'_>) -> Option<()> {
        for (name, (pool, cells)) in &sums.pools {
            let mut totals = [Usd::ZERO; 2];
            let mut days = vec![[Usd::ZERO; 2]; WEEK];
            for cell in cells {
                let (week, day) = (cell.day / WEEK, cell.day % WEEK);
                plus(&mut totals[week], cell.amounts.cost)?;
                plus(&mut days[day][week], cell.amounts.cost)?;
            }
            let of_pool = |it: &&Unseen<'_>| it.team.and_then(|team| team.strip_prefix(SHARED)) == Some(name);
            for it in sums.unseen.iter().filter(of_pool) {
                plus(&mut totals[it.day / WEEK], it.cost)?;
                plus(&mut days[it.day % WEEK][it.day / WEEK], it.cost)?;
            }
            let part = |total: Usd| divide(total, pool).get(team).copied().unwrap_or_default();
            self.shared.insert((*name).to_owned(), totals.map(part));
            for (sum, of_pool) in self.days.iter_mut().zip(days) {
                for (sum, of_pool) in sum.iter_mut().zip(of_pool) {
                    plus(sum, part(of_pool))?;
                }
            }
        }
        Some(())
    }

    /// What the scope spent before, and now: its own, its parts of pools, and
    /// what no log shows.
    pub(super) fn totals(&self) -> Option<[Usd; 2]> {
        let mut totals = self.own;
        for parts in self.shared.values().chain([&self.unlogged]) {
            for (total, part) in totals.iter_mut().zip(parts) {
                plus(total, *part)?;
            }
        }
        Some(totals)
    }
}

fn plus(sum: &mut Usd, more: Usd) -> Option<()> {
    *sum = sum.checked_add(more)?;
    Some(())
}

/// Without the quantities of what was free: billed tokens are those of the rest.
fn billed(cell: &Cell) -> Amounts {
    let mut amounts = cell.amounts;
    if cell.class == Class::Free {
        amounts.quantities = Default::default();
    }
    amounts
}

fn spender(names: impl Into<Vec<Option<String>>>, [before, now]: &Weeks) -> Spender {
    Spender {
        names: names.into(),
        requests: now.requests,
        tokens: now.tokens(),
        cost: now.cost,
        cost_before: before.cost,
    }
}

/// The biggest first; who only spent before comes last.
pub(super) fn ranked(spenders: impl Iterator<Item = Spender>) -> Vec<Spender> {
    let mut spenders: Vec<Spender> =
        spenders.filter(|it| it.requests > 0 || it.cost > Usd::ZERO || it.cost_before > Usd::ZERO).collect();
    spenders.sort_by(|a, b| {
        let rank = |it: &Spender| (Reverse(it.cost), Reverse(it.requests), Reverse(it.cost_before));
        rank(a).cmp(&rank(b)).then_with(|| a.names.cmp(&b.names))
    });
    spenders
}

/// What each team spent, its parts of pools and what no log shows included; a
/// pool that is no longer there, and nobody, stay rows of their own. `None`
/// where a sum would not fit.
pub(super) fn teams(sums: &Sums<'_>, pools: &BTreeMap<String, Pool>) -> Option<Vec<Spender>> {
    let mut totals: BTreeMap<Option<Name>, ([Usd; 2], Amounts)> = BTreeMap::new();
    for it in &sums.unseen {
        let (costs, _) = totals.entry(it.team.map(Name::from)).or_default();
        plus(&mut costs[it.day / WEEK], it.cost)?;
    }
    for cell in &sums.cells {
        let (costs, now) = totals.entry(cell.team.clone()).or_default();
        plus(&mut costs[cell.day / WEEK], cell.amounts.cost)?;
        if cell.day >= WEEK {
            now.add(&billed(cell))?;
        }
    }
    let mut teams: BTreeMap<Option<String>, Spender> = BTreeMap::new();
    for (team, (costs, now)) in totals {
        let pool = team.as_deref().and_then(|team| pools.get(team.strip_prefix(SHARED)?));
        let Some(pool) = pool else {
            let name = team.map(|team| team.to_string());
            let entry = teams.entry(name).or_default();
            plus(&mut entry.cost_before, costs[0])?;
            plus(&mut entry.cost, costs[1])?;
            entry.requests = entry.requests.saturating_add(now.requests);
            entry.tokens = entry.tokens.saturating_add(now.tokens());
            continue;
        };
        for (week, total) in costs.into_iter().enumerate() {
            for (team, part) in divide(total, pool) {
                let entry = teams.entry(Some(team.to_owned())).or_default();
                plus(if week == 0 { &mut entry.cost_before } else { &mut entry.cost }, part)?;
            }
        }
    }
    Some(ranked(teams.into_iter().map(|(name, it)| Spender { names: vec![name], ..it })))
}

impl Summary {
    /// Why amounts cannot be added up.
    pub(super) fn too_large(scope: &Scope, span: &Span) -> TooLarge {
        TooLarge { scope: scope.clone(), period: span.week.name.clone() }
    }

    /// Tenths of a percent that it moved by, towards zero; `None` where there
    /// was nothing before.
    pub(super) fn change(&self) -> Option<i64> {
        change(self.cost, self.cost_before)
    }

    /// Requests of the scope's own in the week.
    pub(super) fn requests(&self) -> i64 {
        self.now.requests
    }
}

/// Tenths of a percent, towards zero.
pub(super) fn change(now: Usd, before: Usd) -> Option<i64> {
    let moved = now.pico().checked_sub(before.pico())?.checked_mul(1000)?;
    (before > Usd::ZERO).then(|| i64::try_from(moved / before.pico()).ok()).flatten()
}

/// Tenths of a percent, rounded down.
pub(super) fn share(part: Usd, whole: Usd) -> i64 {
    let tenths = part.pico().checked_mul(1000).filter(|_| whole > Usd::ZERO);
    tenths.and_then(|tenths| i64::try_from(tenths.div_euclid(whole.pico())).ok()).unwrap_or_default()
}
