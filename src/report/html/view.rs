//! What stands on the page before anything is chosen, in words and numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Facts, HtmlError,
    budgets::Budgets,
    cube::{Measures, Spender},
    data,
    quality::{self, Quality},
    reconciled, share, too_much,
};
use crate::{
    audit::ViolationKind,
    money::Usd,
    report::render::{
        Figure, Tone,
        words::{self, compact, counted, signed},
    },
};

/// Rows of a list; of teams there are more.
const MOST: usize = 10;
const MOST_TEAMS: usize = 20;

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub organization: String,
    pub title: String,
    /// What is below the title: the period, and up to when it is known.
    pub lead: Vec<String>,
    pub notes: Vec<Note>,
    pub figures: Vec<Figure>,
    pub budgets: Budgets,
    pub lists: Vec<List>,
    pub savings: Savings,
    pub violations: Violations,
    /// `None` where nothing was compared.
    pub reconciled: Option<reconciled::View>,
    pub quality: Quality,
    pub footer: Vec<String>,
    pub commands: Vec<(String, String)>,
    pub is_empty: bool,
}

/// What must not be overlooked.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    pub tone: Tone,
    pub text: String,
}

/// The biggest of a kind.
#[derive(Debug, Serialize)]
pub(super) struct List {
    pub id: &'static str,
    pub heading: &'static str,
    pub column: &'static str,
    pub note: String,
    pub rows: Vec<ListRow>,
    pub more: String,
    /// How many rows there are before more are asked for.
    pub most: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct ListRow {
    pub name: String,
    /// In small letters: a model's provider, a key's team.
    pub below: String,
    pub requests: String,
    pub cost: Amount,
    pub share: String,
    /// Tenths of a percent.
    pub bar: i64,
}

/// An amount in a column of amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Amount {
    pub text: String,
    /// How many digits after the point it has less than the one with the most:
    /// so many are left free, so that points stand one below the other.
    pub pad: usize,
}

/// Amounts of a column.
pub(super) fn column(amounts: impl Iterator<Item = Usd>) -> Vec<Amount> {
    let mut column: Vec<Amount> = amounts.map(|it| Amount { text: it.shown(), pad: 0 }).collect();
    let places = |it: &Amount| it.text.rsplit_once('.').map_or(0, |(_, digits)| digits.len());
    let most = column.iter().map(places).max().unwrap_or_default();
    for amount in &mut column {
        amount.pad = most - places(amount);
    }
    column
}

#[derive(Debug, Serialize)]
pub(super) struct Savings {
    pub told: String,
    pub rows: Vec<SavingsRow>,
    pub more: String,
}

#[derive(Debug, Serialize)]
pub(super) struct SavingsRow {
    pub name: String,
    pub below: String,
    /// Of the prompt, how much came from a cache.
    pub cached: String,
    pub cache: Amount,
    pub batch: Amount,
}

#[derive(Debug, Serialize)]
pub(super) struct Violations {
    pub rows: Vec<ViolationRow>,
}

#[derive(Debug, Serialize)]
pub(super) struct ViolationRow {
    pub kind: &'static str,
    pub name: String,
    /// What to do about it.
    pub below: &'static str,
    pub times: String,
    pub requests: String,
    pub cost: Amount,
}

/// The view of what was read.
pub(super) fn of(facts: &Facts<'_>) -> Result<View, HtmlError> {
    let too_much = || too_much(&facts.period);
    let name = facts.config.organization.name.as_deref().map(words::name).unwrap_or_default();
    Ok(View {
        title: format!("Spend, {}", days(facts)),
        organization: name,
        lead: lead(facts),
        notes: quality::notes(facts),
        figures: figures(facts),
        budgets: Budgets::of(&facts.status),
        lists: lists(facts),
        savings: savings(facts).ok_or_else(too_much)?,
        violations: violations(facts).ok_or_else(too_much)?,
        reconciled: Some(reconciled::View::of(&facts.reconciled).ok_or_else(too_much)?).filter(|it| !it.is_empty()),
        quality: Quality::of(facts).ok_or_else(too_much)?,
        footer: footer(facts),
        commands: commands(facts),
        is_empty: facts.total == Measures::default(),
    })
}

/// The days of the period that are over, or going on.
fn days(facts: &Facts<'_>) -> String {
    let last = facts.period.end.previous();
    let today = facts.slots.calendar.day_of(facts.now);
    words::days(facts.period.first, last.min(today).max(facts.period.first))
}

fn lead(facts: &Facts<'_>) -> Vec<String> {
    let mut lead = Vec::new();
    if facts.now < facts.period.until {
        lead.push(format!("of the period {}, which is not over", facts.period.name));
    }
    lead.push(format!("as of {}", words::instant(facts.now)));
    match facts.status.last_runs.known_until() {
        Some(known) => lead.push(format!("logs read and priced up to {}", words::instant(known.min(facts.now)))),
        None => lead.push("the book was never read and priced as a whole".to_owned()),
    }
    lead.push(format!("days are those of {}", facts.config.book.timezone.name()));
    lead
}

fn figures(facts: &Facts<'_>) -> Vec<Figure> {
    let total = &facts.total;
    let figure =
        |label: &str, value: String, note: String| Figure { label: label.to_owned(), value, note, tone: Tone::Plain };
    let per_day = total.cost.for_quantity(1, days_shown(facts)).unwrap_or_default();
    let per_million = match total.tokens() {
        0 => None,
        tokens => total.cost.for_quantity(1_000_000, tokens),
    };
    vec![
        figure("Cost", total.cost.shown(), format!("{} a day", per_day.shown())),
        figure(
            "Requests",
            compact(total.requests),
            format!("{} ended in an error", words::tenths(tenths(total.errors, total.requests))),
        ),
        figure(
            "Tokens",
            compact(total.tokens()),
            format!("{} of the prompt from a cache", words::tenths(tenths(total.cached, total.prompt))),
        ),
        figure(
            "Per million tokens",
            per_million.map_or_else(|| "–".to_owned(), Usd::shown),
            "input and output together".to_owned(),
        ),
    ]
}

/// The days on the axis.
fn days_shown(facts: &Facts<'_>) -> i64 {
    facts.slots.days().max(1)
}

/// Tenths of a percent, rounded down.
pub(super) fn tenths(part: i64, whole: i64) -> i64 {
    let tenths = (i128::from(part) * 1000).checked_div(i128::from(whole)).unwrap_or_default();
    i64::try_from(tenths).unwrap_or_default()
}

fn lists(facts: &Facts<'_>) -> Vec<List> {
    let shared = "With each team's part of shared keys; requests are its own.";
    let note = if facts.pools.is_empty() { String::new() } else { shared.to_owned() };
    let nobody = |text: &'static str| move |name: Option<&str>| name.map_or_else(|| text.to_owned(), words::name);
    let list = |id, heading, column, note: &str, spenders: &[Spender], most, name: &dyn Fn(Option<&str>) -> String| {
        let shown = &spenders[..spenders.len().min(most)];
        let costs = column_of(shown);
        let rows = shown.iter().zip(costs).map(|(it, cost)| ListRow {
            name: name(it.name.as_deref()),
            below: below(id, it),
            requests: signed(it.requests),
            cost,
            share: words::tenths(share(it.cost, facts.total.cost)),
            bar: share(it.cost, facts.total.cost),
        });
        List {
            id,
            heading,
            column,
            note: note.to_owned(),
            rows: rows.collect(),
            more: rest(&spenders[shown.len()..]),
            most,
        }
    };
    vec![
        list("teams", "Teams", "team", &note, &facts.teams, MOST_TEAMS, &|name| data::team_name(name)),
        list("models", "Models", "model", "", &facts.models, MOST, &nobody("–")),
        list("keys", "Keys", "key", "", &facts.keys.ranked, MOST, &nobody("without a key")),
        list("users", "Users", "user", "", &facts.users.ranked, MOST, &nobody("not named")),
    ]
}

fn below(id: &str, it: &Spender) -> String {
    match id {
        "models" => it.owner.as_deref().map(words::name).unwrap_or_default(),
        "keys" => data::team_name(it.owner.as_deref()),
        _ => String::new(),
    }
}

fn column_of(spenders: &[Spender]) -> Vec<Amount> {
    column(spenders.iter().map(|it| it.cost))
}

/// `and 12 more, $3.20 together`.
fn rest(rest: &[Spender]) -> String {
    if rest.is_empty() {
        return String::new();
    }
    let sum = rest.iter().try_fold(Usd::ZERO, |sum, it| sum.checked_add(it.cost));
    let sum = sum.map(|sum| format!(", {} together", sum.shown())).unwrap_or_default();
    format!("and {} more{sum}", signed(i64::try_from(rest.len()).unwrap_or(i64::MAX)))
}

fn savings(facts: &Facts<'_>) -> Option<Savings> {
    let mut models: Vec<Saved<'_>> = Vec::new();
    for (model, sum) in facts.cube.by(|place| place.model)? {
        if sum.cache_savings != Usd::ZERO || sum.batch_savings != Usd::ZERO {
            let all = sum.cache_savings.checked_add(sum.batch_savings)?;
            models.push(Saved { all, model: facts.cube.models.get(model), sum });
        }
    }
    models.sort_by(|a, b| b.all.cmp(&a.all).then(a.model.cmp(b.model)));
    let (shown, hidden) = models.split_at(models.len().min(MOST));
    let caches = column(shown.iter().map(|it| it.sum.cache_savings));
    let batches = column(shown.iter().map(|it| it.sum.batch_savings));
    let row = |((it, cache), batch): ((&Saved<'_>, Amount), Amount)| SavingsRow {
        name: words::name(&it.model.0),
        below: words::name(&it.model.1),
        cached: words::tenths(tenths(it.sum.cached, it.sum.prompt)),
        cache,
        batch,
    };
    let rest = hidden.iter().try_fold(Usd::ZERO, |sum, it| sum.checked_add(it.all))?;
    Some(Savings {
        told: told(facts.total.cache_savings, facts.total.batch_savings),
        rows: shown.iter().zip(caches).zip(batches).map(row).collect(),
        more: if hidden.is_empty() {
            String::new()
        } else {
            format!("and {} more, {} together", hidden.len(), rest.shown())
        },
    })
}

/// What was saved with a model.
struct Saved<'c> {
    all: Usd,
    model: &'c (String, String),
    sum: Measures,
}

/// `Saved: $12.30 by caching and $3.20 by batches.`
fn told(cache: Usd, batch: Usd) -> String {
    let amounts = [("caching", cache), ("batches", batch)];
    let saved = amounts.into_iter().filter(|(_, amount)| *amount > Usd::ZERO);
    let saved: Vec<String> = saved.map(|(how, amount)| format!("{} by {how}", amount.shown())).collect();
    let mut told = Vec::new();
    if cache < Usd::ZERO {
        let lost = Usd::ZERO.checked_sub(cache).unwrap_or_default();
        told.push(format!("Writing to caches cost {} more than reading from them saved.", lost.shown()));
    }
    if !saved.is_empty() {
        told.push(format!("Saved: {}.", words::list(&saved)));
    }
    if told.is_empty() { "Nothing was saved by caching or batches.".to_owned() } else { told.join(" ") }
}

fn violations(facts: &Facts<'_>) -> Option<Violations> {
    let mut kinds: BTreeMap<ViolationKind, super::read::Broken> = BTreeMap::new();
    for ((kind, _), by_slot) in &facts.violations {
        let sum = kinds.entry(*kind).or_default();
        by_slot.values().try_for_each(|broken| sum.add(*broken))?;
    }
    let costs = column(kinds.values().map(|broken| broken.cost));
    let row = |((kind, broken), cost): ((&ViolationKind, &super::read::Broken), Amount)| ViolationRow {
        kind: kind.name(),
        name: kind.name().replace('_', " "),
        below: kind.remedy(),
        times: signed(broken.times),
        requests: signed(broken.requests),
        cost,
    };
    Some(Violations { rows: kinds.iter().zip(costs).map(row).collect() })
}

fn footer(facts: &Facts<'_>) -> Vec<String> {
    let mut lines = vec![
        "Every amount is the exact sum of what each request was charged at the price of its time, rounded once where it is shown. Percents are rounded down, so that 100 % means all of it.".to_owned(),
        "Tokens are billed tokens: input of every kind and output, of requests that are not free. What has no price counts as nothing in every sum, and is counted above.".to_owned(),
    ];
    let told = [("keys", &facts.keys), ("users", &facts.users)];
    for (what, spenders) in told {
        let (all, kept) = (spenders.ranked.len(), spenders.named());
        if kept < all {
            let (all, kept) = (i64::try_from(all).unwrap_or(i64::MAX), i64::try_from(kept).unwrap_or(i64::MAX));
            lines.push(format!(
                "Of the {what}, the {} that spent the most follow a choice of team or time; the other {} are one line.",
                signed(kept),
                signed(all.saturating_sub(kept))
            ));
        }
    }
    lines
}

fn commands(facts: &Facts<'_>) -> Vec<(String, String)> {
    let period = &facts.period.name;
    [
        ("This page", format!("spendbook --now {} report html --period {period}", facts.now)),
        ("All teams", format!("spendbook top teams --period {period} --limit 1000")),
        ("Budgets", "spendbook status".to_owned()),
        ("Violations", "spendbook audit".to_owned()),
    ]
    .map(|(what, command)| (what.to_owned(), command))
    .into()
}

/// How a number of requests stands in a sentence.
pub(super) fn requests(number: i64) -> String {
    counted(number, "request")
}
