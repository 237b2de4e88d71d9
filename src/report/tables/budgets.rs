//! `budgets`: what `status` shows of each budget in its open period, and the
//! spend of teams without one in the calendar month of the book.

use super::{Asked, Row, TableError, Value};
use crate::{
    budgets::{Forecast, Gap, Lines, Projection, Scope, Standing, Statement},
    money::Usd,
    periods::PeriodSpan,
    record::{
        Column,
        ColumnType::{Bool, Decimal, Dict, Int64, Text, Timestamp},
        optional, required,
    },
    report::{Status, status::Unbudgeted},
    time::Instant,
};

pub(super) const COLUMNS: &[Column] = &[
    required("as_of", Timestamp, "now: when this was asked"),
    required("known_until", Timestamp, "what was logged until then is in the book, and priced"),
    required("scope", Dict, "`team`, `organization`, `key` or `model`"),
    optional("name", Dict, "of the team, key or model"),
    required("period", Dict, "the name of the open period, such as `2026-11`"),
    required("period_from", Timestamp, "from when spend counts"),
    required("period_until", Timestamp, "the end of the period, exclusive"),
    required("spend", Decimal, "what was spent, in USD: `own` + `shared` + `unlogged`"),
    optional("budget", Decimal, "what may be spent, in USD; NULL is no budget"),
    optional("percent", Int64, "the spend in percent of the budget, rounded down"),
    optional("remaining", Decimal, "what is left, in USD; NULL where it is more than used up"),
    optional("per_day", Decimal, "what has been spent per day of 24 hours, in USD"),
    optional("forecast_spend", Decimal, "the spend at the end of the period as it looks now, in USD"),
    optional("forecast_low", Decimal, "the lower end of where it may be, in USD"),
    optional("forecast_high", Decimal, "the upper end of where it may be, in USD"),
    optional("forecast_kind", Dict, "`known`, `at_least` where a part of the spend is not known, or `unknown`"),
    optional("reaches_at", Timestamp, "when the budget will be reached, if it looks as if it will in this period"),
    required("standing", Dict, "`within`, `reached`, `exceeded`, `unknown` or `no budget`"),
    optional("is_exhausted", Bool, "whether it is reached or exceeded"),
    optional("level", Int64, "the highest threshold that is reached, in percent"),
    optional("amount", Decimal, "what the config gives for the period, in USD"),
    optional("rolled_over", Decimal, "what was left of the periods before, in USD"),
    required("own", Decimal, "charges of its own, in USD"),
    optional("shared", Decimal, "its share of pools, in USD"),
    required("unlogged", Decimal, "what providers report and no log shows, in USD, where the config counts it"),
    required("requests", Int64, "how many requests"),
    required("unpriced_requests", Int64, "how many of them have no known cost"),
    required("estimated_requests", Int64, "how many were priced by a fallback"),
    required("estimated_cost", Decimal, "what those cost, in USD"),
    optional("gaps", Text, "why there may be more"),
];

pub(super) fn rows(asked: &Asked<'_>) -> Result<Vec<Row>, TableError> {
    let status = Status::of(asked.book, asked.config, asked.now)?;
    let budgets = status.budgets.iter().map(|statement| {
        let named = named(&status, &statement.scope, &statement.period, statement.from);
        [named, of_statement(statement)].concat()
    });
    let others = status.unbudgeted.iter().map(|unbudgeted| {
        let named = named(&status, &unbudgeted.scope, &status.month, status.month.from);
        [named, of_unbudgeted(unbudgeted)].concat()
    });
    Ok(budgets.chain(others).collect())
}

/// Whose, and of which period.
fn named(status: &Status, scope: &Scope, period: &PeriodSpan, from: Instant) -> Row {
    vec![
        status.now.into(),
        status.known_until.into(),
        scope.kind().into(),
        scope.name().into(),
        period.name.clone().into(),
        from.into(),
        period.until.into(),
    ]
}

/// Where a budget stands: from `spend` on, as `status` has it too.
pub(crate) fn of_statement(statement: &Statement) -> Vec<Value> {
    let Statement { forecast, lines, .. } = statement;
    let projection = forecast.projection();
    let part = |of: fn(&Projection) -> Usd| projection.map(of).into();
    let forecast_kind = match forecast {
        Forecast::Known(_) => "known",
        Forecast::AtLeast(_) => "at_least",
        Forecast::Unknown(_) => "unknown",
    };
    let standing = statement.standing();
    let gaps: Vec<String> = statement.gaps.iter().map(Gap::to_string).collect();
    let mut values = vec![
        statement.spend.into(),
        statement.budget().into(),
        Some(statement.percent()).filter(|&percent| percent < i64::MAX).into(),
        statement.remaining().into(),
        statement.burn_per_day.into(),
        part(|it| it.spend),
        part(|it| it.low),
        part(|it| it.high),
        forecast_kind.into(),
        projection.and_then(|it| it.reaches_at).into(),
        standing.name().into(),
        matches!(standing, Standing::Reached | Standing::Exceeded).into(),
        statement.level().map(i64::from).into(),
        statement.amount.into(),
        statement.rolled_over.into(),
    ];
    values.extend(of_lines(lines));
    values.push(Some(gaps.join("; ")).filter(|gaps| !gaps.is_empty()).into());
    values
}

/// What is spent where there is no budget: the same columns.
pub(crate) fn of_unbudgeted(unbudgeted: &Unbudgeted) -> Vec<Value> {
    let first = place("spend");
    let mut values = vec![unbudgeted.spend.into()];
    values.resize(place("standing") - first, Value::Null);
    values.push("no budget".into());
    values.resize(place("own") - first, Value::Null);
    values.extend(of_lines(&unbudgeted.lines));
    values.push(Value::Null);
    values
}

fn place(name: &str) -> usize {
    COLUMNS.iter().position(|column| column.name == name).expect("it is a column")
}

fn of_lines(lines: &Lines) -> [Value; 7] {
    let shared = lines.shared.values().try_fold(Usd::ZERO, |sum, part| sum.checked_add(*part));
    [
        lines.own.into(),
        shared.into(),
        lines.unlogged.into(),
        lines.requests.into(),
        lines.unpriced_requests.into(),
        lines.estimated_requests.into(),
        lines.estimated_cost.into(),
    ]
}
