//! Budgets as rows: what is spent, what there is, and what is to be expected.

use serde::Serialize;

use super::view::{Amount, column};
use crate::{
    budgets::{Forecast, Gap, Method, Scope, Statement},
    money::Usd,
    report::{
        Status, Unbudgeted,
        render::{
            Tone,
            words::{self, signed},
        },
        weekly::tone,
    },
};

/// Rows that are shown before more are asked for.
const MOST: usize = 12;
/// Rows that there are at most.
const ALL: usize = 400;

/// How wide the mark of a budget is, in tenths of a percent of the bar.
const MARK: i64 = 6;

/// Every budget in its open period.
#[derive(Debug, Serialize)]
pub(super) struct Budgets {
    pub rows: Vec<BudgetRow>,
    pub most: usize,
    /// What the first rows leave out, and what all rows do.
    pub more: String,
    pub left_out: String,
    /// Teams that spend without a budget.
    pub without: String,
}

#[derive(Debug, Serialize)]
pub(super) struct BudgetRow {
    /// The team's name in the data, where it is a team's.
    pub team: Option<String>,
    pub is_team: bool,
    pub name: String,
    /// What kind it is, and of which period.
    pub below: String,
    pub spend: Amount,
    pub budget: Amount,
    pub percent: String,
    pub tone: Tone,
    /// `over budget`: a colour alone would not do.
    pub standing: String,
    pub forecast: String,
    pub range: String,
    /// Where the bar ends, its least and most expected end, and where the mark
    /// of the budget begins, in tenths of a percent of the bar's width.
    pub bar: [i64; 3],
    pub limit: i64,
}

impl Budgets {
    pub(super) fn of(status: &Status) -> Self {
        let mut statements: Vec<&Statement> = status.budgets.iter().collect();
        // Everybody's first, then who is nearest to the end of it.
        statements.sort_by_key(|it| (it.scope != Scope::Organization, std::cmp::Reverse(it.percent())));
        let all = statements.len();
        statements.truncate(ALL);
        let spends = column(statements.iter().map(|it| it.spend));
        let budgets = column(statements.iter().map(|it| it.budget()));
        let rows = statements.into_iter().zip(spends.into_iter().zip(budgets));
        let rows: Vec<BudgetRow> = rows.map(|(it, (spend, budget))| row(it, spend, budget)).collect();
        let more = |count: usize| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            if count == 0 { String::new() } else { format!("and {} more", signed(count)) }
        };
        Self {
            most: MOST,
            more: more(rows.len().saturating_sub(MOST)),
            left_out: more(all - rows.len()),
            without: without(&status.unbudgeted),
            rows,
        }
    }
}

fn row(statement: &Statement, spend: Amount, budget: Amount) -> BudgetRow {
    let Statement { scope, period, forecast, gaps, .. } = statement;
    let projection = forecast.projection().filter(|it| it.method != Method::Over);
    let told = match forecast {
        Forecast::Known(it) => it.spend.shown(),
        Forecast::AtLeast(it) => format!("at least {}", it.spend.shown()),
        Forecast::Unknown(_) => "too early to say".to_owned(),
    };
    let ends = [
        statement.spend,
        projection.map_or(statement.spend, |it| it.low),
        projection.map_or(statement.spend, |it| it.high),
    ];
    let widest = ends.iter().copied().chain([statement.budget()]).max().unwrap_or_default();
    let part = |amount: Usd| {
        let tenths = amount.pico().checked_mul(1000).and_then(|it| it.checked_div(widest.pico())).unwrap_or_default();
        i64::try_from(tenths).unwrap_or_default().clamp(0, 1000)
    };
    let mut below = match scope {
        Scope::Organization => words::period(period),
        _ => format!("{}, {}", scope.kind(), words::period(period)),
    };
    if !gaps.is_empty() {
        let gaps: Vec<String> = gaps.iter().map(gap).collect();
        below.push_str(&format!("; may be more: {}", words::list(&gaps)));
    }
    BudgetRow {
        team: if let Scope::Team(name) = scope { Some(words::plain(name)) } else { None },
        is_team: matches!(scope, Scope::Team(_)),
        name: scope.name().map_or_else(|| "All of it".to_owned(), words::name),
        below,
        spend,
        budget,
        percent: words::percent(statement.percent()),
        tone: tone(statement),
        standing: standing(statement),
        forecast: told,
        range: projection.map(|it| format!("{} to {}", it.low.shown(), it.high.shown())).unwrap_or_default(),
        bar: ends.map(part),
        limit: part(statement.budget()).min(1000 - MARK),
    }
}

/// In few words; the notes and the part about sources have more of it.
fn gap(gap: &Gap) -> String {
    match gap {
        Gap::Silent(silence) => format!("“{}” is silent", words::name(&silence.source)),
        Gap::Pruned { until } => format!("what was before {} was pruned", words::instant(*until)),
        Gap::Unpriced { .. } | Gap::Stale { .. } => gap.to_string(),
    }
}

/// What its colour means.
fn standing(statement: &Statement) -> String {
    match (statement.standing().name(), tone(statement)) {
        (name @ ("reached" | "exceeded"), _) => name.to_owned(),
        (_, Tone::Warning) => "will exceed".to_owned(),
        ("unknown", _) => "at least".to_owned(),
        (name, _) => name.to_owned(),
    }
}

/// `Without a budget this month: search $3.20 and voice $1.00.`
fn without(unbudgeted: &[Unbudgeted]) -> String {
    const MOST_NAMED: usize = 5;
    let mut spent: Vec<&Unbudgeted> = unbudgeted.iter().filter(|it| it.spend > Usd::ZERO).collect();
    spent.sort_by_key(|it| std::cmp::Reverse(it.spend));
    let name = |it: &&Unbudgeted| format!("{} {}", words::name(it.scope.name().unwrap_or_default()), it.spend.shown());
    let mut named: Vec<String> = spent.iter().take(MOST_NAMED).map(name).collect();
    if let more @ 1.. = spent.len().saturating_sub(MOST_NAMED) {
        named.push(format!("{more} more"));
    }
    if named.is_empty() { String::new() } else { format!("Without a budget this month: {}.", words::list(&named)) }
}
