//! What the page is made from: sums by team, model and slot of time, by hour of
//! the week, and by key and user. Every sum is exact.

use std::collections::BTreeMap;

use crate::{
    budgets::divide,
    config::Pool,
    money::Usd,
    report::numbers::{ByNumbers, Names},
    teams::SHARED,
};

/// What requests come to; tokens are billed ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measures {
    pub requests: i64,
    pub errors: i64,
    pub unpriced: i64,
    pub estimated: i64,
    /// Input of every kind, of which cached; and output.
    pub prompt: i64,
    pub cached: i64,
    pub output: i64,
    pub cost: Usd,
    pub estimated_cost: Usd,
    pub cache_savings: Usd,
    pub batch_savings: Usd,
}

impl Measures {
    /// `None` where a sum would not fit.
    pub(super) fn add(&mut self, other: &Self) -> Option<()> {
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.unpriced, other.unpriced),
            (&mut self.estimated, other.estimated),
            (&mut self.prompt, other.prompt),
            (&mut self.cached, other.cached),
            (&mut self.output, other.output),
        ] {
            *sum = sum.checked_add(more)?;
        }
        for (sum, more) in [
            (&mut self.cost, other.cost),
            (&mut self.estimated_cost, other.estimated_cost),
            (&mut self.cache_savings, other.cache_savings),
            (&mut self.batch_savings, other.batch_savings),
        ] {
            *sum = sum.checked_add(more)?;
        }
        Some(())
    }

    pub(super) fn tokens(&self) -> i64 {
        self.prompt.saturating_add(self.output)
    }
}

/// A team's use of a model in a slot of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub team: u32,
    pub model: u32,
    pub slot: u32,
}

/// More sums by the hour than these are not told apart by slot of time.
const MOST_HOURS: usize = 400_000;

/// A team's hour of the week in a slot of time, or in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct HourOf {
    pub team: u32,
    pub slot: u32,
    pub hour: u32,
}

/// The sums of `rollup`.
#[derive(Debug, Default)]
pub(super) struct Cube {
    pub teams: Names<Option<String>>,
    /// With the provider.
    pub models: Names<(String, String)>,
    pub cells: ByNumbers<Place, Measures>,
    pub hours: ByNumbers<HourOf, Usd>,
    /// The hours are those of all slots: there would be too many.
    pub hours_of_all: bool,
}

impl Cube {
    /// `None` where a sum would not fit, here and below.
    pub(super) fn add(&mut self, place: Place, hour: u32, measures: &Measures) -> Option<()> {
        self.cells.entry(place).or_default().add(measures)?;
        if measures.cost != Usd::ZERO {
            self.add_hour(HourOf { team: place.team, slot: place.slot, hour }, measures.cost)?;
        }
        Some(())
    }

    fn add_hour(&mut self, mut at: HourOf, cost: Usd) -> Option<()> {
        if self.hours_of_all {
            at.slot = 0;
        }
        let sum = self.hours.entry(at).or_default();
        *sum = sum.checked_add(cost)?;
        if self.hours.len() > MOST_HOURS && !self.hours_of_all { self.forget_slots_of_hours() } else { Some(()) }
    }

    pub(super) fn forget_slots_of_hours(&mut self) -> Option<()> {
        self.hours_of_all = true;
        for (at, cost) in std::mem::take(&mut self.hours) {
            let sum = self.hours.entry(HourOf { slot: 0, ..at }).or_default();
            *sum = sum.checked_add(cost)?;
        }
        Some(())
    }

    /// Takes in what another thread has added up.
    pub(super) fn merge(&mut self, other: &Self) -> Option<()> {
        let (teams, models) = (self.teams.taken_from(&other.teams), self.models.taken_from(&other.models));
        for (place, measures) in &other.cells {
            let place = Place { team: teams[place.team as usize], model: models[place.model as usize], ..*place };
            self.cells.entry(place).or_default().add(measures)?;
        }
        if other.hours_of_all && !self.hours_of_all {
            self.forget_slots_of_hours()?;
        }
        for (at, cost) in &other.hours {
            self.add_hour(HourOf { team: teams[at.team as usize], ..*at }, *cost)?;
        }
        Some(())
    }

    pub(super) fn total(&self) -> Option<Measures> {
        let mut total = Measures::default();
        self.cells.values().try_for_each(|measures| total.add(measures))?;
        Some(total)
    }

    /// Sums by a part of the place, in the order of that part's numbers.
    pub(super) fn by(&self, part: impl Fn(&Place) -> u32) -> Option<BTreeMap<u32, Measures>> {
        let mut sums: BTreeMap<u32, Measures> = BTreeMap::new();
        for (place, measures) in &self.cells {
            sums.entry(part(place)).or_default().add(measures)?;
        }
        Some(sums)
    }
}

/// Who spent, and how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spender {
    /// `None` is nobody's.
    pub name: Option<String>,
    /// A model's provider, a key's team.
    pub owner: Option<String>,
    pub requests: i64,
    pub cost: Usd,
}

/// The most first, as `top` orders them.
pub(super) fn ranked(mut spenders: Vec<Spender>) -> Vec<Spender> {
    spenders.sort_by(|a, b| {
        let rank = |it: &Spender| (std::cmp::Reverse(it.cost), std::cmp::Reverse(it.requests));
        rank(a).cmp(&rank(b)).then_with(|| (&a.name, &a.owner).cmp(&(&b.name, &b.owner)))
    });
    spenders
}

/// The pool whose charges a team's name stands for.
pub(super) fn pool_of<'p>(team: Option<&str>, pools: &'p BTreeMap<String, Pool>) -> Option<&'p Pool> {
    pools.get(team?.strip_prefix(SHARED)?)
}

/// What each team spent, its parts of pools included, as `top teams` has it.
pub(super) fn teams(cube: &Cube, pools: &BTreeMap<String, Pool>) -> Option<Vec<Spender>> {
    let mut teams: BTreeMap<Option<String>, Spender> = BTreeMap::new();
    for (team, sum) in cube.by(|place| place.team)? {
        let name = cube.teams.get(team);
        let Some(pool) = pool_of(name.as_deref(), pools) else {
            let entry = teams.entry(name.clone()).or_default();
            entry.requests = entry.requests.checked_add(sum.requests)?;
            entry.cost = entry.cost.checked_add(sum.cost)?;
            continue;
        };
        for (team, part) in divide(sum.cost, pool) {
            let entry = teams.entry(Some(team.to_owned())).or_default();
            entry.cost = entry.cost.checked_add(part)?;
        }
    }
    Some(ranked(teams.into_iter().map(|(name, it)| Spender { name, ..it }).collect()))
}

/// What each model cost.
pub(super) fn models(cube: &Cube) -> Option<Vec<Spender>> {
    let spender = |(model, sum): (u32, Measures)| {
        let (name, provider) = cube.models.get(model).clone();
        Spender { name: Some(name), owner: Some(provider), requests: sum.requests, cost: sum.cost }
    };
    Some(ranked(cube.by(|place| place.model)?.into_iter().map(spender).collect()))
}
