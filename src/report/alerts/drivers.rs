//! What drove it: who or what cost the most in a stretch of time, and what the
//! same cost in the stretch that it is held against.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use crate::{
    book::{Book, layout::DayTable},
    budgets::Scope,
    money::Usd,
    report::{
        ReportError,
        sums::{self, By, Names, Query, Sum},
    },
    teams::Registry,
    time::Instant,
};

/// How many are named of each kind.
const NAMED: usize = 3;

/// A stretch of time, and the one that it is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Against {
    pub now: (Instant, Instant),
    pub before: (Instant, Instant),
}

/// Who or what cost the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drivers {
    /// `Model`, `Key`, …: the title of a column.
    pub what: &'static str,
    /// The largest first.
    pub named: Vec<Driver>,
    /// How many more there are, and what they cost.
    pub more: usize,
    pub rest: Usd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Driver {
    /// Nobody's where there is none.
    pub name: Option<String>,
    pub cost: Usd,
    /// Tenths of a percent of all, rounded down.
    pub share: i64,
    pub before: Usd,
}

/// Sums of charges, read once for all that is told about the same time.
#[derive(Debug, Default)]
pub(super) struct Costs {
    spans: BTreeMap<(Instant, Instant), Vec<(Names, Sum)>>,
}

impl Costs {
    /// Keys have the names under which they are registered, teams those that they
    /// have now.
    pub(super) fn read(book: &Book, registry: &Registry<'_>, wanted: &BTreeSet<Against>) -> Result<Self, ReportError> {
        let by = By::columns(&["team", "key", "model_billed", "user"]);
        let mut spans: BTreeMap<(Instant, Instant), Vec<(Names, Sum)>> = BTreeMap::new();
        for &(from, until) in wanted.iter().flat_map(|it| [&it.now, &it.before]) {
            if let Entry::Vacant(vacant) = spans.entry((from, until)) {
                let sums = sums::of(book, Query { table: DayTable::Charges, by: &by, from, until })?;
                let named = sums.into_iter().map(|(mut names, sum)| {
                    names[0] = names[0].take().map(|team| registry.team_name(&team).to_owned());
                    names[1] = names[1].take().map(|key| registry.key_name(&key, from).to_owned());
                    (names, sum)
                });
                vacant.insert(named.collect());
            }
        }
        Ok(Self { spans })
    }

    /// What drove the spend of a scope; kinds of which there is only one name,
    /// or none, say nothing.
    pub(super) fn drivers(&self, scope: &Scope, against: Against) -> Vec<Drivers> {
        let kinds: &[(usize, &'static str)] = match scope {
            Scope::Organization => &[(0, "Team"), (2, "Model"), (3, "User")],
            Scope::Team(_) => &[(2, "Model"), (1, "Key"), (3, "User")],
            Scope::Key(_) => &[(2, "Model"), (3, "User")],
            Scope::Model(_) => &[(0, "Team"), (1, "Key"), (3, "User")],
        };
        let drivers = kinds.iter().map(|&(column, what)| self.of_kind(scope, against, column, what));
        drivers.filter(|drivers| drivers.named.iter().any(|driver| driver.name.is_some())).collect()
    }

    fn of_kind(&self, scope: &Scope, against: Against, column: usize, what: &'static str) -> Drivers {
        let (now, before) = (self.sums(scope, against.now, column), self.sums(scope, against.before, column));
        let all: i128 = now.values().map(|cost| cost.pico()).sum();
        let driver = |name: &Option<String>, cost: Usd| Driver {
            name: name.clone(),
            cost,
            share: cost
                .pico()
                .checked_mul(1_000)
                .filter(|_| all > 0)
                .map_or(0, |tenths| i64::try_from(tenths / all).unwrap_or_default()),
            before: before.get(name).copied().unwrap_or_default(),
        };
        let mut drivers: Vec<Driver> = now.iter().map(|(name, &cost)| driver(name, cost)).collect();
        drivers.retain(|driver| driver.cost > Usd::ZERO);
        drivers.sort_by(|a, b| b.cost.cmp(&a.cost).then_with(|| a.name.cmp(&b.name)));
        let rest = drivers.split_off(drivers.len().min(NAMED));
        let cost = rest.iter().try_fold(Usd::ZERO, |sum, driver| sum.checked_add(driver.cost));
        Drivers { what, named: drivers, more: rest.len(), rest: cost.unwrap_or_default() }
    }

    fn sums(&self, scope: &Scope, span: (Instant, Instant), column: usize) -> BTreeMap<Option<String>, Usd> {
        let is_of = |names: &Names| match scope {
            Scope::Organization => true,
            Scope::Team(team) => names[0].as_ref() == Some(team),
            Scope::Key(key) => names[1].as_ref() == Some(key),
            Scope::Model(model) => names[2].as_ref() == Some(model),
        };
        let mut sums: BTreeMap<Option<String>, Usd> = BTreeMap::new();
        for (names, sum) in self.spans.get(&span).into_iter().flatten().filter(|(names, _)| is_of(names)) {
            let cost = sums.entry(names[column].clone()).or_default();
            *cost = cost.checked_add(sum.cost).unwrap_or(*cost);
        }
        sums
    }
}

impl Driver {
    /// `+12.5 %`, `×26` where it is more than tenfold, or `new`.
    pub(super) fn change(&self) -> String {
        let (now, before) = (self.cost.pico(), self.before.pico());
        let moved = now.checked_sub(before).and_then(|moved| moved.checked_mul(1_000));
        let Some(tenths) = moved.filter(|_| before > 0).map(|moved| moved / before) else { return "new".to_owned() };
        if tenths > 9_000 {
            return format!("×{}", tenths / 1_000 + 1);
        }
        let sign = match now.cmp(&before) {
            std::cmp::Ordering::Less => "−",
            std::cmp::Ordering::Equal => "",
            std::cmp::Ordering::Greater => "+",
        };
        let tenths = tenths.unsigned_abs();
        format!("{sign}{}.{} %", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_few_letters() {
        for (now, before, expect) in [
            ("110", "100", "+10.0 %"),
            ("99.99", "100", "−0.0 %"),
            ("100", "100", "0.0 %"),
            ("1000", "100", "+900.0 %"),
            ("2600", "100", "×26"),
            ("1", "0", "new"),
        ] {
            let usd = |text| Usd::parse(text).unwrap();
            let driver = Driver { name: None, cost: usd(now), share: 0, before: usd(before) };
            assert_eq!(driver.change(), expect);
        }
    }
}
