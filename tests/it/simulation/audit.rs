//! What breaks a policy, by the model: every request against every rule, with
//! sums that are made anew each time.

use std::collections::{BTreeMap, BTreeSet};

use spendbook::time::Instant;

use super::{
    history::{DAY, MINUTE},
    model::{Charge, Row, usd},
    over_time::{Month, OverTime},
};

/// A budget: pico-dollars, and its thresholds.
pub(crate) type Budget = Option<(i128, Vec<u16>)>;

/// Whose budgets and limits they are, in the order in which worlds have them.
pub(crate) const SCOPES: [Option<&str>; 3] = [Some("chat"), Some("lab"), None];

/// What a config said of budgets and limits when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) budgets: [OverTime<Budget>; 3],
    pub(crate) limits: [OverTime<[Option<i64>; 2]>; 3],
}

/// Whether a charge is among what somebody spent.
pub(crate) fn is_of(scope: usize, charge: &Charge) -> bool {
    SCOPES[scope].is_none() || SCOPES[scope] == charge.team
}

/// A row of `violations`, as far as it is compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Violation {
    pub(crate) day: i64,
    pub(crate) kind: &'static str,
    pub(crate) team: Option<&'static str>,
    micros: i64,
    key: Option<&'static str>,
    id: String,
    limit: Option<i128>,
    value: Option<i128>,
    requests: i64,
    pub(crate) cost: i128,
}

impl Violation {
    pub(crate) const COLUMNS: [&str; 9] =
        ["ts", "team", "key", "request_id", "kind", "limit", "value", "requests", "cost"];

    pub(crate) fn row(&self) -> Row {
        let columns = [
            ("ts", Some(Instant::from_micros(self.micros).to_string())),
            ("team", self.team.map(str::to_owned)),
            ("key", self.key.map(str::to_owned)),
            ("request_id", Some(self.id.clone())),
            ("kind", Some(self.kind.to_owned())),
            ("limit", self.limit.map(usd)),
            ("value", self.value.map(usd)),
            ("requests", Some(self.requests.to_string())),
            ("cost", Some(usd(self.cost))),
        ];
        columns.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn of(kind: &'static str, charges: &[&Charge]) -> Self {
        let first = charges[0];
        Self {
            day: first.micros.div_euclid(DAY),
            kind,
            team: first.team,
            micros: first.micros,
            key: first.key,
            id: first.id.clone(),
            limit: None,
            value: None,
            requests: i64::try_from(charges.len()).expect("few"),
            cost: charges.iter().map(|charge| charge.known_cost()).sum(),
        }
    }
}

/// As a table holds a count.
fn count(number: i64) -> i128 {
    i128::from(number) * 1_000_000_000_000
}

/// Everything that breaks a rule.
pub(crate) fn violations(charges: &[Charge], said: &Said) -> Vec<Violation> {
    let mut charges: Vec<&Charge> = charges.iter().collect();
    charges.sort_by_key(|charge| (charge.micros, &charge.id));
    let days: BTreeSet<i64> = charges.iter().map(|charge| charge.micros.div_euclid(DAY)).collect();
    let mut found = of_requests(&charges, said);
    for day in days {
        let of_day: Vec<&Charge> =
            charges.iter().copied().filter(|charge| charge.micros.div_euclid(DAY) == day).collect();
        found.extend(of_nobody(&of_day));
        for scope in 0..SCOPES.len() {
            found.extend(exhausted(&charges, &of_day, scope, &said.budgets[scope]));
            found.extend(rates(&charges, &of_day, scope, said));
        }
    }
    found
}

fn of_requests(charges: &[&Charge], said: &Said) -> Vec<Violation> {
    let mut found = Vec::new();
    for &charge in charges {
        let [only_alpha, _] = *said.limits[0].at(charge.micros);
        if charge.team == SCOPES[0] && only_alpha.is_some() && charge.model != "alpha" {
            found.push(Violation::of("model_not_allowed", &[charge]));
        }
        let [most, _] = *said.limits[1].at(charge.micros);
        if charge.team == SCOPES[1]
            && let (Some(most), Some(usage)) = (most, charge.usage)
            && usage.output > most
            && charge.tier != Some("batch")
        {
            let (limit, value) = (Some(count(most)), Some(count(usage.output)));
            found.push(Violation { limit, value, ..Violation::of("max_tokens_exceeded", &[charge]) });
        }
    }
    found
}

/// Keys that neither the registry nor the convention knows, and teams that are
/// in no config, by key.
fn of_nobody(of_day: &[&Charge]) -> Vec<Violation> {
    let mut groups: BTreeMap<(&'static str, Option<&str>), Vec<&Charge>> = BTreeMap::new();
    for &charge in of_day {
        if charge.key.is_some() && !["registry", "convention"].contains(&charge.team_basis) {
            groups.entry(("unknown_key", charge.key)).or_default().push(charge);
        }
        if charge.team_reported.is_some() && charge.team.is_none() {
            groups.entry(("unknown_team", charge.key)).or_default().push(charge);
        }
    }
    groups.into_iter().map(|((kind, _), charges)| Violation::of(kind, &charges)).collect()
}

/// By key, what came after a budget was reached.
fn exhausted(all: &[&Charge], of_day: &[&Charge], scope: usize, budgets: &OverTime<Budget>) -> Vec<Violation> {
    let month = Month::of(of_day[0].micros);
    let Some((limit, _)) = *budgets.at(month.from) else { return Vec::new() };
    let mut by_key: BTreeMap<Option<&str>, (i128, Vec<&Charge>)> = BTreeMap::new();
    for &charge in of_day.iter().filter(|charge| is_of(scope, charge)) {
        let is_before =
            |other: &&&Charge| (other.micros, &other.id) < (charge.micros, &charge.id) && other.micros >= month.from;
        let before = all.iter().filter(is_before).filter(|other| is_of(scope, other));
        let spent: i128 = before.map(|other| other.known_cost()).sum();
        if spent >= limit {
            by_key.entry(charge.key).or_insert_with(|| (spent, Vec::new())).1.push(charge);
        }
    }
    let row = |(spent, charges): (i128, Vec<&Charge>)| Violation {
        limit: Some(limit),
        value: Some(spent),
        ..Violation::of("budget_exhausted", &charges)
    };
    by_key.into_values().map(row).collect()
}

/// Stretches in which the sum of the last minute is above a limit.
fn rates(all: &[&Charge], of_day: &[&Charge], scope: usize, said: &Said) -> Vec<Violation> {
    let at = of_day[0].micros;
    let limits = *said.limits[scope].at(at);
    let by_requests: fn(&Charge) -> i64 = |_| 1;
    let by_tokens: fn(&Charge) -> i64 =
        |charge| charge.usage.map_or(0, |usage| usage.input + usage.cached + usage.output);
    // Each has two limits, of which not all are rates.
    let rates = match scope {
        0 => vec![("rate_limit_rpm_exceeded", limits[1], by_requests)],
        1 => vec![("rate_limit_tpm_exceeded", limits[1], by_tokens)],
        _ => {
            vec![("rate_limit_rpm_exceeded", limits[0], by_requests), ("rate_limit_tpm_exceeded", limits[1], by_tokens)]
        }
    };
    let counted: Vec<&Charge> =
        all.iter().copied().filter(|charge| is_of(scope, charge) && charge.tier != Some("batch")).collect();
    let day = at.div_euclid(DAY);
    let of_limit = |(kind, limit, amount): (&'static str, Option<i64>, fn(&Charge) -> i64)| {
        let limit = limit?;
        let found = stretches(&counted, day, limit, amount);
        Some(found.into_iter().map(move |(peak, charges)| Violation {
            team: SCOPES[scope],
            key: None,
            limit: Some(count(limit)),
            value: Some(count(peak)),
            ..Violation::of(kind, &charges)
        }))
    };
    rates.into_iter().filter_map(of_limit).flatten().collect()
}

/// The stretches of a day in which more came within a minute than a limit, with
/// the most that came, and the requests that came in them.
fn stretches<'c>(
    counted: &[&'c Charge],
    day: i64,
    limit: i64,
    amount: fn(&Charge) -> i64,
) -> Vec<(i64, Vec<&'c Charge>)> {
    let sum = |from: i64, last: usize| -> i64 {
        counted[..=last].iter().filter(|charge| charge.micros > from).map(|charge| amount(charge)).sum()
    };
    // All that came up to an instant, of those before `last`.
    let sum_at = |at: i64, last: usize| -> i64 {
        let is_in = |charge: &&&Charge| charge.micros > at - MINUTE && charge.micros <= at;
        counted[..last].iter().filter(is_in).map(|charge| amount(charge)).sum()
    };
    let mut found: Vec<(i64, Vec<&Charge>)> = Vec::new();
    let mut open: Option<i64> = None;
    for (place, &charge) in counted.iter().enumerate().filter(|(_, charge)| charge.micros.div_euclid(DAY) == day) {
        let now = sum(charge.micros - MINUTE, place);
        // Has the sum been back at the limit since the last request?
        if let Some(since) = open {
            let leaves = counted[..place].iter().map(|charge| charge.micros + MINUTE);
            let mut instants = leaves.chain([since]).filter(|&at| since <= at && at < charge.micros);
            if instants.any(|at| sum_at(at, place) <= limit) {
                open = None;
            }
        }
        if now > limit {
            if open.is_none() {
                found.push((now, Vec::new()));
            }
            let (peak, charges) = found.last_mut().expect("one is open");
            *peak = (*peak).max(now);
            charges.push(charge);
            open = Some(charge.micros);
        } else if open.is_some() {
            open = Some(charge.micros);
        }
    }
    found
}
