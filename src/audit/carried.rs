//! What was spent before a day of the budgets that apply on it.

use std::collections::BTreeMap;

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
    /// Reads the totals of these days, as finely as the budgets need.
    pub(super) fn read(
        book: &Book,
        days: &[Day],
        budgets: &[(Scope, Timeline)],
        registry: &Registry<'_>,
    ) -> Result<Self, AuditError> {
        let by_key = budgets.iter().any(|(scope, _)| matches!(scope, Scope::Key(_)));
        let registry = by_key.then_some(registry);
        let by_model = budgets.iter().any(|(scope, _)| matches!(scope, Scope::Model(_)));
        let mut spends = Self::default();
        for &day in days {
            let Some(rollup) = DayFile::open(book, DayTable::Rollup, day)? else {
                return Err(AuditError::NoTotals { day });
            };
            rollup.batches(&ROLLUP, None, |columns| spends.add(columns, day, registry, by_model))?;
        }
        Ok(spends)
    }

    /// `registry` is there where keys matter.
    fn add(
        &mut self,
        columns: &Columns<'_>,
        day: Day,
        registry: Option<&Registry<'_>>,
        by_model: bool,
    ) -> Result<(), AuditError> {
        let buckets = columns.instants("bucket_start")?;
        let (team, key, model) = (columns.words("team")?, columns.words("key")?, columns.words("model_billed")?);
        let costs = columns.amounts("cost")?;
        for row in 0..columns.rows() {
            // What has no price adds nothing.
            let Some(cost) = amount(costs, row) else { continue };
            let own = |text: Option<&str>| text.map(str::to_owned);
            let at = Instant::from_micros(buckets.value(row));
            let sum = (
                at,
                own(team.get(row)),
                own(registry.and_then(|registry| Some(registry.key_name(key.get(row)?, at)))),
                own(model.get(row).filter(|_| by_model)).unwrap_or_default(),
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
            let rolls_over = timeline.at(span.until.plus_micros(-1)).is_some_and(|budget| budget.rollover);
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
