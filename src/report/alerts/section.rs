//! What is told of a finding: a headline, sentences, tables and numbers. Pure.
//!
//! Each says what happened, how much, since when, what drove it, what happens
//! next, and what the reader can do. Names come from logs and configs: they go
//! through [`words::name`] before they are in a sentence.

mod budget;
mod other;

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};

use super::{
    decide::Finding,
    drivers::{Against, Costs, Driver, Drivers},
};
use crate::{
    budgets::{Scope, Statement},
    config::{Config, Period},
    money::Usd,
    periods::{Calendar, PeriodSpan},
    report::render::{Column, Part, Row, Table, words},
    time::{Day, Instant},
};

/// A finding, told.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// The name of the kind, in data.
    pub kind: &'static str,
    /// Whom or what it is about, as it is called; for data and lists.
    pub name: String,
    /// The same in a subject.
    pub tag: String,
    pub period: Option<String>,
    pub headline: String,
    pub lead: Vec<String>,
    pub parts: Vec<Part>,
    pub numbers: Vec<Number>,
}

/// A number, for the attachment and for whoever reads the events.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Number {
    pub measure: &'static str,
    /// Of which model, key, user, …; empty where it is the sum.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub item: String,
    pub value: String,
    /// In the time that it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A value as data has it: exact.
struct Value(String);

impl From<Usd> for Value {
    fn from(amount: Usd) -> Self {
        Self(amount.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<Instant> for Value {
    fn from(instant: Instant) -> Self {
        Self(instant.to_string())
    }
}

impl Number {
    fn new(measure: &'static str, value: impl Into<Value>) -> Self {
        Self { measure, item: String::new(), value: value.into().0, before: None }
    }
}

/// What is known beside the finding itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    pub config: &'c Config,
    pub known_until: Instant,
    pub costs: &'c Costs,
    /// When a budget rose to the level that is told.
    pub reached_at: Option<Instant>,
}

/// Tells a finding.
pub(super) fn of(finding: &Finding, context: Context<'_>) -> Section {
    match finding {
        Finding::Threshold { standing, level } => budget::threshold(&standing.statement, *level, context),
        Finding::Forecast { standing } => budget::forecast(&standing.statement, context),
        Finding::Withdrawn { standing, from, to, before } => {
            budget::withdrawn(&standing.statement, (*from, *to, *before), context)
        }
        Finding::Spike(spike) => other::spike(spike, context),
        Finding::Silent(silent) => other::silent(silent, context.config),
        Finding::Unpriced(unpriced) => other::unpriced(unpriced),
        Finding::Violations { team, first, last, kinds } => other::violations(team.as_deref(), (*first, *last), kinds),
        Finding::Unattributed { first, last, count, all } => other::unattributed((*first, *last), *count, *all),
        Finding::Rotation(rotation) => other::rotation(rotation),
    }
}

/// The stretches of time whose drivers a finding needs.
pub(super) fn against(finding: &Finding, known_until: Instant) -> Option<Against> {
    match finding {
        Finding::Threshold { standing, .. } | Finding::Forecast { standing } => {
            Some(as_much_before(&standing.statement, known_until))
        }
        Finding::Spike(spike) => {
            const WEEK: i64 = 7 * 86_400_000_000;
            let before = (spike.from.plus_micros(-WEEK), spike.until.plus_micros(-WEEK));
            Some(Against { now: (spike.from, spike.until), before })
        }
        _ => None,
    }
}

/// All that is to be read for some findings.
pub(super) fn wanted(findings: &[Finding], known_until: Instant) -> BTreeSet<Against> {
    findings.iter().filter_map(|finding| against(finding, known_until)).collect()
}

/// The period, and the same share of the one before it.
fn as_much_before(statement: &Statement, known_until: Instant) -> Against {
    let span = &statement.period;
    let last = statement.calendar.before(span);
    let length = |span: &PeriodSpan| i128::from(span.until.micros() - span.from.micros());
    let part = |at: Instant| {
        let gone_by = i128::from(at.clamp(span.from, span.until).micros() - span.from.micros());
        let micros = gone_by * length(&last) / length(span).max(1);
        last.from.plus_micros(i64::try_from(micros).unwrap_or_default())
    };
    Against { now: (statement.from, span.until), before: (part(statement.from), part(known_until)) }
}

/// Whose budget or spend it is, in a sentence, and in brackets.
fn who(scope: &Scope, config: &Config) -> (String, String) {
    let name = words::name(scope.name().unwrap_or_default());
    match scope {
        Scope::Organization => {
            let name = config.organization.name.as_deref().map(words::name);
            (
                name.clone().unwrap_or_else(|| "the organization".to_owned()),
                name.unwrap_or_else(|| "organization".to_owned()),
            )
        }
        Scope::Team(_) => (format!("the team {name}"), name),
        Scope::Key(_) => (format!("the key {name}"), format!("key {name}")),
        Scope::Model(_) => (format!("the model {name}"), format!("model {name}")),
    }
}

/// The beginning of a sentence; a name of an organization stays as it is.
fn capitalized(text: &str) -> String {
    text.strip_prefix("the ").map_or_else(|| text.to_owned(), |rest| format!("The {rest}"))
}

/// `November`, `week of 9 November`, `15 November`, `quarter 4`: the year is
/// said in the text.
fn short(span: &PeriodSpan) -> String {
    let Some(first) = NaiveDate::from_num_days_from_ce_opt(span.first.days().saturating_add(719_163)) else {
        return span.name.clone();
    };
    match span.kind {
        Some(Period::Month) => first.format("%B").to_string(),
        Some(Period::Day) => first.format("%-d %B").to_string(),
        Some(Period::Week) => format!("week of {}", first.format("%-d %B")),
        Some(Period::Quarter) => format!("quarter {}", first.month0() / 3 + 1),
        None => span.name.clone(),
    }
}

/// An amount, without cents where there are none: `$200`, `$164.10`.
fn brief(amount: Usd) -> String {
    let shown = amount.shown();
    shown.strip_suffix(".00").map_or(shown.clone(), str::to_owned)
}

/// A day and time as the reader's calendar has it: `19 November, 14:15 UTC`.
fn moment(at: Instant, calendar: Calendar) -> String {
    use chrono::TimeZone;
    let Some(utc) = chrono::DateTime::from_timestamp_micros(at.micros()) else { return at.to_string() };
    let local = calendar.zone.from_utc_datetime(&utc.naive_utc());
    format!("{} {}", local.format("%-d %B %Y, %H:%M"), zone_name(calendar))
}

fn zone_name(calendar: Calendar) -> &'static str {
    calendar.zone.name()
}

fn day_range((first, last): (Day, Day)) -> String {
    words::days(first, last)
}

/// What drove it, told.
#[derive(Debug, Default)]
struct Driven {
    /// Who or what is more than half of it; empty where nothing is.
    sentence: String,
    parts: Vec<Part>,
    numbers: Vec<Number>,
}

/// Tables of who or what cost the most, and the same as numbers. Their last
/// column has a `title`; the first of them has a `note`.
fn drivers(scope: &Scope, against: Against, (title, note): (&str, &str), context: Context<'_>) -> Driven {
    let mut driven = Driven::default();
    let mut most = Vec::new();
    for (at, drivers) in context.costs.drivers(scope, against).iter().enumerate() {
        let Drivers { what, named, more, rest } = drivers;
        let shown = |name: Option<&str>| name.map_or_else(|| "(none)".to_owned(), words::name);
        let row = |driver: &Driver| {
            let share = words::tenths(driver.share);
            let cells = [shown(driver.name.as_deref()), driver.cost.shown(), share, driver.change()];
            Row { bar: Some(driver.share), ..Row::new(cells) }
        };
        driven.parts.push(Part::Table(Table {
            heading: format!("What it was spent on, by {}", what.to_lowercase()),
            note: if at == 0 { note.to_owned() } else { String::new() },
            columns: vec![Column::text(what), Column::number("cost"), Column::number("share"), Column::number(title)],
            rows: named.iter().map(row).collect(),
            more: if *more > 0 { format!("and {more} more, {}", rest.shown()) } else { String::new() },
        }));
        if let Some(Driver { name: Some(name), cost, share, .. }) = named.first().filter(|driver| driver.share > 500) {
            let share = words::percent(share / 10);
            most.push(format!("the {} {} ({}, {share})", what.to_lowercase(), words::name(name), cost.shown()));
        }
        driven.numbers.extend(named.iter().map(|driver| Number {
            measure: match *what {
                "Team" => "team_cost_usd",
                "Model" => "model_cost_usd",
                "Key" => "key_cost_usd",
                _ => "user_cost_usd",
            },
            item: driver.name.clone().unwrap_or_default(),
            value: driver.cost.to_string(),
            before: Some(driver.before.to_string()),
        }));
    }
    if !most.is_empty() {
        driven.sentence = format!("More than half of it was {}.", words::list(&most));
    }
    driven
}

/// A name as a word of a command that somebody may paste: one that a shell could
/// take for more is left out.
fn argument(name: &str, otherwise: &'static str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    let is_word = !name.is_empty() && !name.starts_with('-') && name.len() <= 100 && name.chars().all(is_plain);
    if is_word { name.to_owned() } else { otherwise.to_owned() }
}

/// What the reader can do.
fn actions(items: impl Into<Vec<String>>) -> Part {
    Part::List { heading: "What you can do".to_owned(), items: items.into() }
}
