//! What was spent before a day of the budgets that apply on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    AuditError,
    exhausted::Allowance,
    read::{Columns, DayFile, amount},
};
use crate::{
    book::{Book, layout::DayTable},
    budgets::{Ledger, Scope, SpendRow, Timeline, TooLarge},
    config::Pool,
    money::Usd,
    periods::PeriodSpan,
    teams::{OverTime, Registry},
    time::{Day, Instant},
};

const ROLLUP: [&str; 5] = ["bucket_start", "team", "key", "model_billed", "cost"];

/// The steps in which budgets can begin: every zone's days do.
const STEP_MICROS: i64 = 900_000_000;

/// Spend by quarter of an hour and team.
#[derive(Debug, Default)]
pub(super) struct Spends {
    /// Beginning of the quarter of an hour and team; key and model where that
    /// matters.
    sums: BTreeMap<(Instant, Option<String>, Option<String>, String), Usd>,
}

impl Spends {
    /// Reads the totals that decide what was spent before the days from the
    /// first to the last one, as finely as the budgets need.
    pub(super) fn read(
        book: &Book,
        days: &[Day],
        (first, last): (Day, Day),
        budgets: &[(Scope, Timeline)],
        registry: &Registry<'_>,
    ) -> Result<Self, AuditError> {
        let needed = needed_from(budgets, first)..=last;
        let told = Told::of(budgets, registry);
        let mut spends = Self::default();
        for &day in days.iter().filter(|&day| needed.contains(day)) {
            let Some(rollup) = DayFile::open(book, DayTable::Rollup, day)? else {
                return Err(AuditError::NoTotals { day });
            };
            rollup.batches(&ROLLUP, None, |columns| spends.add(columns, day, &told))?;
        }
        Ok(spends)
    }

    fn add(&mut self, columns: &Columns<'_>, day: Day, told: &Told<'_>) -> Result<(), AuditError> {
        let buckets = columns.instants("bucket_start")?;
        let (team, key, model) = (columns.words("team")?, columns.words("key")?, columns.words("model_billed")?);
        let costs = columns.amounts("cost")?;
        // Names are numbers within a batch: rows are added up by these alone.
        let mut of_batch: HashMap<_, (usize, Usd)> = HashMap::new();
        for row in 0..columns.rows() {
            // What has no price adds nothing.
            let Some(cost) = amount(costs, row) else { continue };
            let key = key.code(row).filter(|_| !told.keys.is_empty());
            let model = model.code(row).filter(|_| !told.models.is_empty());
            let (_, sum) = of_batch.entry((buckets.value(row), team.code(row), key, model)).or_insert((row, Usd::ZERO));
            *sum = sum.checked_add(cost).ok_or(AuditError::TooMuch { day })?;
        }
        for (row, cost) in of_batch.into_values() {
            let at = Instant::from_micros(buckets.value(row));
            let own = |text: Option<&str>| text.map(str::to_owned);
            let named = key.get(row).map(|key| told.registry.key_name(key, at));
            let sum = (
                at,
                own(team.get(row)),
                own(named.filter(|name| told.keys.contains(name))),
                own(model.get(row).filter(|name| told.models.contains(name))).unwrap_or_default(),
            );
            let sum = self.sums.entry(sum).or_default();
            *sum = sum.checked_add(cost).ok_or(AuditError::TooMuch { day })?;
        }
        Ok(())
    }

    pub(super) fn ledger<'s>(&'s self, pools: &'s OverTime<BTreeMap<String, Pool>>, now: Instant) -> Ledger<'s> {
        let rows = self.sums.iter().map(|((bucket, team, key, model), &cost)| SpendRow {
            bucket: *bucket,
            team: team.as_deref(),
            key: key.as_deref(),
            model,
            requests: 0,
            unpriced_requests: 0,
            estimated_requests: 0,
            cost,
            estimated_cost: Usd::ZERO,
            is_unlogged: false,
        });
        Ledger::new(rows.collect(), pools, now, &[])
    }
}

/// Whose spend is told apart: the keys and models that have a budget.
#[derive(Debug)]
struct Told<'t> {
    keys: BTreeSet<&'t str>,
    models: BTreeSet<&'t str>,
    registry: &'t Registry<'t>,
}

impl<'t> Told<'t> {
    fn of(budgets: &'t [(Scope, Timeline)], registry: &'t Registry<'t>) -> Self {
        let (mut keys, mut models) = (BTreeSet::new(), BTreeSet::new());
        for (scope, _) in budgets {
            match scope {
                Scope::Key(name) => _ = keys.insert(name.as_str()),
                Scope::Model(name) => _ = models.insert(name.as_str()),
                Scope::Organization | Scope::Team(_) => {}
            }
        }
        Self { keys, models, registry }
    }
}

/// The first day whose totals matter for a day: that of the longest period it
/// is in, or the first of all where something rolls over.
fn needed_from(budgets: &[(Scope, Timeline)], day: Day) -> Day {
    // A budget that begins on the day begins to count on it.
    let ends = [day.start(), day.end().plus_micros(-1)];
    let needed = budgets.iter().flat_map(|(_, timeline)| ends.map(|at| timeline.first_needed(at, 0)));
    needed.flatten().map(Instant::day).fold(day, Day::min)
}

/// The budgets that apply at some instant of a day, and are reached at its end.
pub(super) fn allowances(
    ledger: &Ledger<'_>,
    budgets: &[(Scope, Timeline)],
    day: Day,
) -> Result<Vec<Allowance>, AuditError> {
    let mut found = Vec::new();
    for (scope, timeline) in budgets {
        let mut at = day.start();
        while at < day.end() {
            let Some((calendar, span)) = timeline.span_at(at) else {
                at = at.plus_micros(STEP_MICROS);
                continue;
            };
            at = span.until;
            let Some(amount) = timeline.amount_in(calendar, &span) else { continue };
            if !ledger.knows_from(amount.from) {
                continue; // What was spent of it before is not known any more.
            }
            let rolls_over = timeline.rolls_over();
            let statement = if rolls_over { ledger.statement(scope, timeline, at.plus_micros(-1))? } else { None };
            let limit = statement.map_or(amount.amount, |statement| statement.budget());
            let spent_until = |until: Instant| {
                let part = PeriodSpan { until: span.until.min(until), ..span.clone() };
                let is_begun = amount.from < part.until;
                if is_begun { Ok(ledger.lines(scope, &part, amount.from)?.own) } else { Ok::<_, TooLarge>(Usd::ZERO) }
            };
            // One that is not reached by the end of the day decides nothing,
            // whatever was spent before.
            if spent_until(day.end())? >= limit {
                found.push(Allowance {
                    scope: scope.clone(),
                    carried: spent_until(day.start())?,
                    period: span.name,
                    from: amount.from,
                    until: span.until,
                    limit,
                });
            }
        }
    }
    Ok(found)
}
