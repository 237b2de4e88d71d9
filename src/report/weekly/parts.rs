//! The parts of the page, from the few numbers that matter to how far they are
//! known.

use super::{
    page::{Beside, CHART, moved_by, percent_moved, tone},
    saving::Saving,
    summary::{Spender, Summary, change, share},
    unlogged,
};
use crate::{
    budgets::{Forecast, Method, Statement},
    money::Usd,
    record::Meter,
    report::render::{
        Column, Figure, Meter as Bar, Part, Picture, Row, Table, Tone, chart,
        words::{self, compact, counted, signed},
    },
    teams::SHARED,
    time::Day,
};

/// Rows of a table of models, keys or users; of one of teams; and of violations.
const MOST: usize = 8;
const MOST_TEAMS: usize = 20;
/// In pico-dollars.
const CENT: i128 = 10_i128.pow(Usd::SCALE) / 100;

pub(super) fn figures(summary: &Summary) -> Part {
    let Summary { now, before, .. } = summary;
    let counts = |label: &str, value: i64, old: i64| Figure {
        label: label.to_owned(),
        value: compact(value),
        note: count_moved(value, old),
        tone: Tone::Plain,
    };
    let rate = |tokens: i64, cost: Usd| cost.for_quantity(1_000_000, tokens);
    let (per, per_before) = (rate(now.tokens(), now.cost), rate(before.tokens(), before.cost));
    let cost = Figure {
        label: "Cost".to_owned(),
        value: summary.cost.shown(),
        note: moved_by(summary.cost, summary.cost_before),
        tone: Tone::Plain,
    };
    let per = Figure {
        label: "Per million tokens".to_owned(),
        value: per.map_or_else(|| "–".to_owned(), Usd::shown),
        note: match (per, per_before) {
            (Some(now), Some(before)) => moved_by(now, before),
            _ => String::new(),
        },
        tone: Tone::Plain,
    };
    let figures = vec![
        cost,
        counts("Tokens", now.tokens(), before.tokens()),
        counts("Requests", now.requests, before.requests),
        per,
    ];
    Part::Figures { figures }
}

fn count_moved(now: i64, before: i64) -> String {
    match (i128::from(now) - i128::from(before)) * 1000 {
        0 => "as before".to_owned(),
        _ if before <= 0 => "none before".to_owned(),
        moved => percent_moved(i64::try_from(moved / i128::from(before)).unwrap_or(i64::MAX)),
    }
}

/// What must not be overlooked.
pub(super) fn notes(summary: &Summary) -> Vec<Part> {
    let mut notes = Vec::new();
    let mut warn = |text: String| notes.push(Part::Note { tone: Tone::Warning, text });
    let until = summary.span.week.until;
    match summary.known_until {
        Some(known) if known < until => warn(format!(
            "Logs were read and priced up to {} only: what came later is missing here.",
            words::instant(known)
        )),
        None => warn("The book was never read and priced as a whole: amounts may be missing.".to_owned()),
        Some(_) => {}
    }
    if !summary.stale.is_empty() {
        let days = days(&summary.stale.iter().copied().collect::<Vec<_>>());
        warn(format!("What was used on {days} is not priced yet, or priced from earlier logs."));
    }
    let missing: Vec<String> = summary
        .sources
        .iter()
        .filter(|source| source.is_silent || !source.missing.is_empty())
        .map(|source| {
            let when = if source.is_silent { "at all".to_owned() } else { format!("on {}", days(&source.missing)) };
            format!("“{}” gave nothing {when}", words::name(&source.name))
        })
        .collect();
    if !missing.is_empty() {
        warn(format!("A source was silent, so that spend may be missing: {}.", words::list(&missing)));
    }
    let (unpriced, requests) = (summary.now.unpriced, summary.now.requests);
    if i128::from(unpriced) * 100 > i128::from(requests) {
        warn(format!(
            "{} of {} have no price and count as nothing here: add their models to the price book.",
            signed(unpriced),
            counted(requests, "request")
        ));
    }
    notes
}

/// `9, 10 and 12 November 2026`, or how many where they are many.
fn days(days: &[Day]) -> String {
    if days.len() > 3 {
        return format!("{} days", days.len());
    }
    words::list(&days.iter().map(|&day| words::day(day)).collect::<Vec<_>>())
}

pub(super) fn budgets(summary: &Summary) -> Option<Part> {
    let meters: Vec<Bar> = summary.budgets.iter().map(meter).collect();
    (!meters.is_empty()).then(|| Part::Meters { heading: "Budget".to_owned(), meters })
}

fn meter(statement: &Statement) -> Bar {
    let end = |projection: &crate::budgets::Projection, least: &str| {
        format!(
            "{least}{} at its end ({} to {})",
            projection.spend.shown(),
            projection.low.shown(),
            projection.high.shown()
        )
    };
    let note = match &statement.forecast {
        Forecast::Known(projection) if projection.method == Method::Over => "over".to_owned(),
        Forecast::Known(projection) => end(projection, "about "),
        Forecast::AtLeast(projection) => end(projection, "at least "),
        Forecast::Unknown(_) => "too early for a forecast".to_owned(),
    };
    Bar {
        label: words::period(&statement.period),
        value: format!("{} of {}", statement.spend.shown(), statement.budget().shown()),
        percent: statement.percent(),
        shown: words::percent(statement.percent()),
        note,
        tone: tone(statement),
    }
}

pub(super) fn chart(summary: &Summary) -> Part {
    let has_pace = summary.days.iter().any(|day| day.pace.is_some());
    let mut columns = vec![Column::text("day"), Column::number("cost"), Column::number("a week before")];
    if has_pace {
        columns.push(Column::number("budget pace"));
    }
    let row = |day: &super::summary::DaySpend| {
        let mut cells = vec![words::weekday(day.day), day.cost.shown(), day.before.shown()];
        if has_pace {
            cells.push(day.pace.map(Usd::shown).unwrap_or_default());
        }
        Row::new(cells)
    };
    let told = |day: &super::summary::DaySpend| {
        format!("{} {} ({} a week before)", words::weekday(day.day), day.cost.shown(), day.before.shown())
    };
    let days: Vec<String> = summary.days.iter().map(told).collect();
    let pace = summary.days.iter().find_map(|day| day.pace);
    let pace = pace.map(|pace| format!("; the budget has about {} a day", pace.shown())).unwrap_or_default();
    Part::Chart(Picture {
        heading: "Day by day".to_owned(),
        cid: CHART.to_owned(),
        alt: format!("Cost per day: {}{pace}.", words::list(&days)),
        width: chart::WIDTH,
        rows: summary.days.iter().map(row).collect(),
        columns,
    })
}

/// The same as bars.
pub(super) fn bars(summary: &Summary) -> Vec<chart::Bar> {
    let bar = |day: &super::summary::DaySpend| chart::Bar {
        label: words::weekday(day.day),
        amount: day.cost,
        before: day.before,
        pace: day.pace,
    };
    summary.days.iter().map(bar).collect()
}

pub(super) fn missed(beside: &Beside) -> Option<Part> {
    let fact = |it: &super::page::Missed| {
        let spent = format!("{} for {}", it.figures.cost.shown(), counted(it.figures.requests, "request"));
        (words::days(it.span.first, it.span.end.previous()), spent)
    };
    let table = Table::facts("Earlier weeks that were not mailed", beside.missed.iter().map(fact));
    (!beside.missed.is_empty()).then_some(Part::Table(table))
}

/// How spenders are shown.
struct Shown<'s> {
    heading: &'s str,
    column: &'s str,
    nobody: &'s str,
    most: usize,
    note: String,
}

fn spenders(summary: &Summary, of: &[Spender], shown: &Shown<'_>) -> Option<Table> {
    let spent = of.iter().filter(|it| it.requests > 0 || it.cost > Usd::ZERO).count();
    if spent == 0 {
        return None;
    }
    let row = |it: &Spender| {
        let name = it.names.first().and_then(Option::as_deref);
        Row {
            below: it.names.get(1).and_then(Option::as_deref).map(owner).unwrap_or_default(),
            bar: Some(share(it.cost, summary.cost)),
            ..Row::new([
                name.map_or_else(|| shown.nobody.to_owned(), words::name),
                it.cost.shown(),
                words::tenths(share(it.cost, summary.cost)),
                change(it.cost, it.cost_before).map_or_else(|| "new".to_owned(), percent_moved),
            ])
        }
    };
    Some(Table {
        heading: shown.heading.to_owned(),
        note: shown.note.clone(),
        columns: vec![
            Column::text(shown.column),
            Column::number("cost"),
            Column::number("share"),
            Column::number("change"),
        ],
        rows: of.iter().take(spent.min(shown.most)).map(row).collect(),
        more: rest(&of[spent.min(shown.most)..spent]),
    })
}

/// A team, a provider, or a pool as people call it.
fn owner(name: &str) -> String {
    name.strip_prefix(SHARED).map_or_else(|| words::name(name), |pool| format!("shared: {}", words::name(pool)))
}

/// `and 12 more, $3.20 together`.
fn rest(rest: &[Spender]) -> String {
    if rest.is_empty() {
        return String::new();
    }
    let sum = rest.iter().try_fold(Usd::ZERO, |sum, it| sum.checked_add(it.cost));
    let sum = sum.map(|sum| format!(", {} together", sum.shown())).unwrap_or_default();
    format!("and {} more{sum}; all are in the attached CSV", signed(i64::try_from(rest.len()).unwrap_or(i64::MAX)))
}

pub(super) fn teams(summary: &Summary) -> Option<Part> {
    let note = "With each team's part of shared keys; its requests and tokens are its own.".to_owned();
    let shown = Shown { heading: "Teams", column: "team", nobody: "nobody's", most: MOST_TEAMS, note };
    let mut table = spenders(summary, &summary.teams, &shown)?;
    // The bar is the share already: the column is for what there is to spend.
    if let Some(column) = table.columns.get_mut(2) {
        *column = Column::number("budget");
    }
    for (row, team) in table.rows.iter_mut().zip(&summary.teams) {
        let name = team.names.first().and_then(Option::as_deref);
        let percent = name.and_then(|name| summary.team_budgets.get(name));
        row.cells[2] = percent.map(|percent| words::percent(*percent)).unwrap_or_default();
        row.below = format!("{}, {} tokens", counted(team.requests, "request"), compact(team.tokens));
    }
    Some(Part::Table(table))
}

pub(super) fn models(summary: &Summary) -> Option<Part> {
    let shown = Shown { heading: "Models", column: "model", nobody: "–", most: MOST, note: String::new() };
    let table = spenders(summary, &summary.models, &shown);
    let has_more = !summary.shared.is_empty() || summary.unlogged != [Usd::ZERO; 2];
    let mut table = table.or_else(|| has_more.then(Table::default))?;
    // A team's parts of pools belong to no model of its own.
    for (pool, [before, now]) in summary.shared.iter().filter(|(_, parts)| parts.iter().any(|it| *it > Usd::ZERO)) {
        table.rows.push(Row {
            below: "your part of shared keys".to_owned(),
            bar: Some(share(*now, summary.cost)),
            ..Row::new([
                words::name(pool),
                now.shown(),
                words::tenths(share(*now, summary.cost)),
                change(*now, *before).map_or_else(|| "new".to_owned(), percent_moved),
            ])
        });
    }
    table.rows.extend(unlogged::row(summary));
    if table.columns.is_empty() {
        "Shared keys".clone_into(&mut table.heading);
        table.columns =
            vec![Column::text("pool"), Column::number("cost"), Column::number("share"), Column::number("change")];
    }
    (!table.rows.is_empty()).then_some(Part::Table(table))
}

pub(super) fn keys(summary: &Summary) -> Option<Part> {
    let shown = Shown { heading: "Keys", column: "key", nobody: "without a key", most: MOST, note: String::new() };
    let of_one = summary.keys.len() == 1 && summary.keys[0].names[0].is_none();
    spenders(summary, &summary.keys, &shown).filter(|_| !of_one).map(Part::Table)
}

pub(super) fn users(summary: &Summary) -> Option<Part> {
    let is_any = summary.users.iter().any(|it| it.names[0].is_some());
    let shown = Shown { heading: "Users", column: "user", nobody: "not named", most: MOST, note: String::new() };
    spenders(summary, &summary.users, &shown).filter(|_| is_any).map(Part::Table)
}

pub(super) fn why(summary: &Summary) -> Option<Part> {
    let why = summary.why?;
    let all = summary.cost.checked_sub(summary.cost_before)?;
    if all == Usd::ZERO && why.parts().iter().all(|part| *part == Usd::ZERO) {
        return None;
    }
    let (now, before) = (&summary.now, &summary.before);
    let cached = |of: &super::amounts::Amounts| {
        let prompt = i128::from(of.prompt_tokens()).max(1);
        i64::try_from(i128::from(of.quantity(Meter::CachedInputTokens)) * 1000 / prompt).unwrap_or_default()
    };
    let told = [
        ("Volume", format!("{} tokens, {} before", compact(now.tokens()), compact(before.tokens()))),
        ("Mix", "other models and tiers, more or less output".to_owned()),
        (
            "Cache",
            format!(
                "{} of the prompt from the cache, {} before",
                words::tenths(cached(now)),
                words::tenths(cached(before))
            ),
        ),
        ("Price", "what a unit of the same costs".to_owned()),
        ("Shared keys", "your part of pools".to_owned()),
        ("In no log", "what providers report and no log shows".to_owned()),
    ];
    let parts = || why.parts().into_iter().zip(&told).filter(|(part, _)| *part != Usd::ZERO);
    // Next to dollars, less than a cent is only named.
    let is_small = |part: Usd| part.pico().abs() < CENT && all.pico().abs() >= 100 * CENT;
    let row = |(part, (name, below)): (Usd, &(&str, String))| Row {
        below: below.clone(),
        ..Row::new([(*name).to_owned(), words::moved(part)])
    };
    let mut rows: Vec<Row> = parts().filter(|(part, _)| !is_small(*part)).map(row).collect();
    let small = parts().filter(|(part, _)| is_small(*part)).map(|(_, (name, _))| name.to_lowercase());
    let small = words::list(&small.collect::<Vec<_>>());
    let below = if small.is_empty() { small } else { format!("with less than a cent of {small}") };
    rows.push(Row { is_total: true, below, ..Row::new(["In all".to_owned(), words::moved(all)]) });
    Some(Part::Table(Table {
        heading: "Why it moved".to_owned(),
        columns: vec![Column::text(""), Column::number("")],
        rows,
        ..Table::default()
    }))
}

pub(super) fn savings(summary: &Summary) -> Option<Part> {
    let mut items = Vec::new();
    let (cache, batch) = (summary.now.cache_savings, summary.now.batch_savings);
    if cache < Usd::ZERO {
        let lost = Usd::ZERO.checked_sub(cache).unwrap_or_default();
        items.push(format!("Writing to caches cost {} more than reading from them saved.", lost.shown()));
    }
    let saved: Vec<String> = [("caching", cache), ("batches", batch)]
        .into_iter()
        .filter(|(_, amount)| *amount > Usd::ZERO)
        .map(|(how, amount)| format!("{} by {how}", amount.shown()))
        .collect();
    if !saved.is_empty() {
        items.push(format!("Saved: {}.", words::list(&saved)));
    }
    items.extend(could_wait(&summary.savings));
    items.extend(summary.savings.iter().filter_map(|saving| match saving {
        Saving::Batch { .. } => None,
        Saving::Cache { model, cached_tenths, per_tenth } => Some(format!(
            "{} of the prompt for {} came from the cache. Each further tenth of it that does saves about {} a week.",
            words::tenths(*cached_tenths),
            words::name(model),
            per_tenth.shown()
        )),
    }));
    (!items.is_empty()).then(|| Part::List { heading: "Savings".to_owned(), items })
}

/// What batches would have saved, as one sentence.
fn could_wait(savings: &[Saving]) -> Option<String> {
    let mut whole = Usd::ZERO;
    let mut parts = Vec::new();
    for saving in savings {
        if let Saving::Batch { model, cost, saved } = saving {
            whole = whole.checked_add(*saved)?;
            parts.push(format!("{} of {} on {}", saved.shown(), cost.shown(), words::name(model)));
        }
    }
    let whole = whole.shown();
    (!parts.is_empty()).then(|| {
        format!(
            "Up to {whole} could be saved if requests on demand could wait for a batch: {}. Whether they can, only \
             you know.",
            words::list(&parts)
        )
    })
}

pub(super) fn violations(summary: &Summary) -> Option<Part> {
    let row = |(kind, broken): (&crate::audit::ViolationKind, &super::summary::Broken)| {
        Row::new([kind.name().replace('_', " "), signed(broken.times), signed(broken.requests), broken.cost.shown()])
    };
    let table = Table {
        heading: "Against the policy".to_owned(),
        note: "What to do about each: spendbook audit.".to_owned(),
        columns: vec![
            Column::text("what"),
            Column::number("times"),
            Column::number("requests"),
            Column::number("cost"),
        ],
        rows: summary.violations.iter().map(row).collect(),
        more: String::new(),
    };
    (!summary.violations.is_empty()).then_some(Part::Table(table))
}
