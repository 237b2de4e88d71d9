//! `spendbook status`: budgets now, and how far they can be trusted.

mod freshness;

use clap::Args;

pub(super) use freshness::behind_lines;

use super::{
    Failure, Outcome, Session,
    listing::{self, Cell, Column, Listing, Page, To},
    span,
};
use crate::{
    book::Book,
    budgets::{Forecast, Gap, Lines, Method, Projection, Scope, Statement, percent},
    config::Role,
    money::Usd,
    periods::PeriodSpan,
    reconcile::{Compared, Verdict},
    report::{NotLogged, SourceState, Status, Unbudgeted, budgets},
    time::Instant,
};

/// Shows every budget in its open period, how far spend is known, and how fresh
/// the book is. Only reads: it works beside a run and on a read-only directory.
#[derive(Debug, Args)]
#[command(after_help = "\
CSV and Parquet hold the budgets; JSON holds everything. With --max-age it exits
with 4 where the book was not read or not priced for longer than that, or never,
and where a source of the books is silent.

Examples:
  spendbook status
  spendbook status --max-age 26h  for a monitor: 4 if it is not fresh
  spendbook status --format json | jq '.budgets[] | [.name, .standing]'")]
pub(super) struct Arguments {
    /// Exit with 4 if the last ingest or pricing ended longer ago, such as `26h`, `90m` or `2d`, or a source is silent
    #[arg(long, value_name = "SPAN", value_parser = span)]
    max_age: Option<i64>,
    #[command(flatten)]
    to: To,
}

impl Arguments {
    /// As it is, whatever its age.
    pub(super) fn plain(to: To) -> Self {
        Self { max_age: None, to }
    }
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Book::open(&config.book_dir())?;
    let status = Status::of(&book, &config, session.clock.now())?;
    arguments.to.write(&page(&status))?;
    let is_too_old = |max: i64| status.last_runs.age_micros(status.now).is_none_or(|age| age > max);
    // A book that is read every night and hears nothing is no newer for it.
    let is_silent = |source: &SourceState| source.is_silent && source.role == Role::Books;
    let is_stale = |max| is_too_old(max) || status.sources.iter().any(is_silent);
    Ok(if arguments.max_age.is_some_and(is_stale) { Outcome::No } else { Outcome::Done })
}

fn page(status: &Status) -> Page {
    let mut page = Page::default();
    page.fact("as_of", status.now);
    page.fact("known_until", status.last_runs.known_until());
    page.fact("age_seconds", status.last_runs.age_micros(status.now).map(|age| age / 1_000_000));
    page.fact("last_ingest", status.last_runs.ingest.as_ref().map(|run| run.finished));
    page.fact("last_pricing", status.last_runs.price.as_ref().map(|run| run.finished));
    page.fact("mails_pending", i64::try_from(status.mails.pending).ok());
    page.fact("mails_failed", i64::try_from(status.mails.failed).ok());
    page.fact("reconciled_from", status.reconciled_from.to_string());
    page.fact("lines_to_investigate", i64::try_from(status.reconciled.count(Verdict::Investigate)).ok());
    page.fact("not_logged_usd", status.not_logged.cost);
    page.list(budgets(status));
    page.say(remarks(status));
    page.data(lines(status));
    page.say("\n").list(freshness::sources(status));
    let totals = freshness::totals(status);
    page.say(if totals.is_empty() { "" } else { "\n" }).list(totals);
    page.data(freshness::behind(status)).data(coverage(status)).data(providers(status)).data(checks(status));
    page.say(format!("\n{}{}", coverage_text(status), reconciled_text(status)));
    page.say(format!("{}{}", freshness::text(status), mails_text(status)));
    page
}

/// Every budget, and the spend of teams without one.
pub(super) fn budgets(status: &Status) -> Listing {
    let columns = [
        Column::text("scope").in_data(),
        Column::text("name").in_data(),
        Column::text("who").in_table(),
        Column::text("period"),
        Column::instant("from").in_data(),
        Column::instant("until").in_data(),
        Column::usd("spend"),
        Column::usd("budget"),
        Column::percent("percent"),
        Column::usd("remaining"),
        Column::usd("per_day"),
        Column::text("forecast").in_table(),
        Column::text("range").in_table(),
        Column::usd("forecast_spend").in_data(),
        Column::usd("forecast_low").in_data(),
        Column::usd("forecast_high").in_data(),
        Column::text("forecast_kind").in_data(),
        Column::instant("reaches_at").in_data(),
        Column::text("standing"),
        Column::flag("is_exhausted").in_data(),
        Column::percent("level").in_data(),
        Column::usd("amount").in_data(),
        Column::usd("rolled_over").in_data(),
        Column::usd("own").in_data(),
        Column::usd("shared").in_data(),
        Column::usd("unlogged").in_data(),
        Column::count("requests").in_data(),
        Column::count("unpriced_requests").in_data(),
        Column::count("estimated_requests").in_data(),
        Column::usd("estimated_cost").in_data(),
        Column::text("gaps").in_data(),
    ];
    let mut listing = Listing::new("budgets", &columns);
    for statement in &status.budgets {
        listing.push(of_statement(statement));
    }
    for unbudgeted in &status.unbudgeted {
        listing.push(of_unbudgeted(unbudgeted, &status.month));
    }
    listing
}

/// Where the forecast for people stands, which is its numbers in data.
const FORECAST: usize = 11;

fn of_statement(statement: &Statement) -> Vec<Cell> {
    let Statement { scope, period, from, forecast, .. } = statement;
    let shown = match forecast {
        Forecast::Known(it) => it.spend.shown(),
        Forecast::AtLeast(it) => format!("at least {}", it.spend.shown()),
        Forecast::Unknown(_) => "unknown".to_owned(),
    };
    let is_range = |it: &&Projection| it.method != Method::Over;
    let range = forecast.projection().filter(is_range);
    let range = range.map(|it| format!("{} to {}", it.low.shown(), it.high.shown()));
    let mut cells = named(scope, period, *from);
    cells.extend(budgets::of_statement(statement).into_iter().map(Cell::from));
    cells.splice(FORECAST..FORECAST, [shown.into(), range.into()]);
    cells
}

fn of_unbudgeted(unbudgeted: &Unbudgeted, month: &PeriodSpan) -> Vec<Cell> {
    let mut cells = named(&unbudgeted.scope, month, month.from);
    cells.extend(budgets::of_unbudgeted(unbudgeted).into_iter().map(Cell::from));
    cells.splice(FORECAST..FORECAST, [Cell::Null, Cell::Null]);
    cells
}

/// Whose, and of which period.
fn named(scope: &Scope, period: &PeriodSpan, from: Instant) -> Vec<Cell> {
    vec![
        scope.kind().into(),
        scope.name().into(),
        scope.name().unwrap_or("organization").into(),
        period.name.clone().into(),
        from.into(),
        period.until.into(),
    ]
}

/// What budgets are made of, where that is more than one line; and what must be
/// known to read them rightly.
fn remarks(status: &Status) -> String {
    // A gap is told once, with all that it concerns.
    let mut gaps: Vec<(String, Vec<String>)> = Vec::new();
    let mut text = String::new();
    for statement in &status.budgets {
        let who = who(&statement.scope);
        for gap in statement.gaps.iter().map(Gap::to_string) {
            match gaps.iter_mut().find(|(known, _)| *known == gap) {
                Some((_, concerned)) => concerned.push(who.clone()),
                None => gaps.push((gap, vec![who.clone()])),
            }
        }
        for remark in remarks_on(statement) {
            text.push_str(&format!("{who}: {remark}\n"));
        }
    }
    for (gap, concerned) in gaps {
        text.push_str(&format!("{}: {gap}, so there may be more\n", concerned.join(", ")));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn who(scope: &Scope) -> String {
    scope.name().map_or_else(|| "organization".to_owned(), |name| format!("`{name}`"))
}

fn remarks_on(statement: &Statement) -> Vec<String> {
    let Statement { lines, forecast, .. } = statement;
    let mut remarks = Vec::new();
    if !lines.shared.is_empty() || lines.unlogged > Usd::ZERO {
        remarks.push(lines_text(lines));
    }
    if statement.rolled_over > Usd::ZERO {
        let (amount, more) = (statement.amount.shown(), statement.rolled_over.shown());
        remarks.push(format!("{amount}, and {more} left of the period before"));
    }
    if let Forecast::Unknown(why) = forecast {
        remarks.push(format!("no forecast: {why}"));
    }
    if forecast.projection().is_some_and(|it| it.method == Method::Pace) {
        remarks.push("the forecast goes by this period alone, for there are no two weeks before it".to_owned());
    }
    if let Some(at) = forecast.projection().and_then(|it| it.reaches_at) {
        remarks.push(format!("will reach its budget about {at}"));
    }
    remarks
}

fn lines_text(lines: &Lines) -> String {
    let mut parts = vec![format!("{} own", lines.own.shown())];
    parts.extend(lines.shared.iter().map(|(pool, part)| format!("{} of the pool `{pool}`", part.shown())));
    if lines.unlogged > Usd::ZERO {
        parts.push(format!("{} in no log", lines.unlogged.shown()));
    }
    parts.join(" + ")
}

/// The spend of each budget, line by line.
fn lines(status: &Status) -> Listing {
    let columns = ["scope", "name", "period", "line"].map(Column::text);
    let mut listing = Listing::new("lines", &[columns.as_slice(), &[Column::usd("cost")]].concat());
    let budgets = status.budgets.iter().map(|it| (&it.scope, &it.period, &it.lines));
    let others = status.unbudgeted.iter().map(|it| (&it.scope, &status.month, &it.lines));
    for (scope, period, lines) in budgets.chain(others) {
        let (kind, name) = (scope.kind(), scope.name());
        let mut push = |line: String, cost: Usd| {
            listing.push(vec![kind.into(), name.into(), period.name.clone().into(), line.into(), cost.into()]);
        };
        push("own".to_owned(), lines.own);
        lines.shared.iter().for_each(|(pool, part)| push(format!("shared:{pool}"), *part));
        if lines.unlogged > Usd::ZERO {
            push("unlogged".to_owned(), lines.unlogged);
        }
    }
    listing
}

fn coverage(status: &Status) -> Listing {
    let columns =
        [Column::text("what"), Column::count("requests"), Column::usd("cost"), Column::percent("percent_of_requests")];
    let mut listing = Listing::new("month", &columns);
    for (what, requests, cost) in coverage_lines(status) {
        let percent = (requests * 100).checked_div(status.coverage.requests);
        listing.push(vec![what.into(), requests.into(), cost.into(), percent.into()]);
    }
    listing
}

fn coverage_lines(status: &Status) -> [(&'static str, i64, Option<Usd>); 5] {
    let it = &status.coverage;
    [
        ("all", it.requests, Some(it.cost)),
        ("unpriced", it.unpriced, None),
        ("estimated", it.estimated, Some(it.estimated_cost)),
        ("unattributed", it.unattributed, Some(it.unattributed_cost)),
        ("unlogged", it.unlogged.requests, Some(it.unlogged.cost)),
    ]
}

/// How far the month's spend is known.
pub(super) fn coverage_text(status: &Status) -> String {
    // What is in no log is beside all of it, not a part.
    let [(_, all, cost), parts @ .., _] = coverage_lines(status);
    let whole = cost.unwrap_or_default();
    let requests = listing::counted(all, "request");
    let mut text = format!("{}: {requests}, {}", status.month.name, whole.shown());
    for (what, count, cost) in parts.into_iter().filter(|(_, count, _)| *count > 0) {
        let share = match cost {
            None => format!("{} of requests, at a cost that is not known", share_text(count * 100 / all.max(1))),
            Some(cost) => format!("{}, {}", cost.shown(), share_text(percent(cost, whole))),
        };
        text.push_str(&format!("\n  {} {what}: {share}", listing::count(count.unsigned_abs())));
    }
    let unlogged = status.coverage.unlogged;
    if unlogged.is_any() {
        let beside = if status.budgets_unlogged { "a line of its own in budgets" } else { "beside that, in no budget" };
        text.push_str(&format!("\n  {} reported by providers, not in logs: {beside}", amount(&unlogged)));
    }
    text + "\n"
}

/// How much no log shows: `$1.20 for 12 requests`, or for tokens where requests
/// are not counted.
pub(super) fn amount(it: &NotLogged) -> String {
    let of = match it.requests {
        0 => listing::counted(it.tokens, "token"),
        requests => listing::counted(requests, "request"),
    };
    match it.unknown {
        0 => format!("{} for {of}", it.cost.shown()),
        _ => format!("at least {} for {of}", it.cost.shown()),
    }
}

/// How the last days stand against what providers report and check sources saw.
fn reconciled_text(status: &Status) -> String {
    let (reconciled, from) = (&status.reconciled, status.reconciled_from);
    if !reconciled.is_any() {
        return String::new();
    }
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let days = listing::counted(number(reconciled.days()), "day");
    let suspicious = i64::try_from(reconciled.count(Verdict::Investigate)).unwrap_or(i64::MAX);
    let theirs = reconciled.sides.text();
    let mut text = match (reconciled.days(), suspicious) {
        (0, _) => format!("no day since {from} could be held against {theirs}: "),
        (_, 0) => format!("{days} since {from} held against {theirs}, nothing to investigate: "),
        _ => {
            let lines = listing::counted(suspicious, "line");
            let missing = Some(status.not_logged).filter(NotLogged::is_any);
            let missing = missing.map(|it| format!(", {} in no log", amount(&it))).unwrap_or_default();
            format!("{days} since {from} held against {theirs}, {lines} to investigate{missing}: ")
        }
    };
    text.push_str("`spendbook reconcile` shows them\n");
    if !reconciled.behind.is_empty() {
        let days = listing::counted(number(reconciled.behind.len()), "day");
        text.push_str(&format!(
            "one step apart: {days} not held against the latest of both sides: run `spendbook price`\n"
        ));
    }
    text
}

/// Both sides of each provider.
fn providers(status: &Status) -> Listing {
    let columns = [
        Column::text("provider"),
        Column::count("days"),
        Column::usd("cost_ours"),
        Column::usd("cost_theirs"),
        Column::count("tokens_ours"),
        Column::count("tokens_theirs"),
    ];
    let mut listing = Listing::new("providers", &columns);
    for (name, it) in &status.reconciled.providers {
        let cost = |of: fn(&Compared) -> i128| Cell::from(it.cost.as_ref().and_then(|both| Usd::from_pico(of(both))));
        let tokens =
            |of: fn(&Compared) -> i128| Cell::from(it.tokens.as_ref().and_then(|both| i64::try_from(of(both)).ok()));
        listing.push(vec![
            name.as_str().into(),
            i64::try_from(it.days.len()).unwrap_or(i64::MAX).into(),
            cost(|both| both.ours),
            cost(|both| both.theirs),
            tokens(|both| both.ours),
            tokens(|both| both.theirs),
        ]);
    }
    listing
}

/// Both sides of what check sources saw of each provider.
fn checks(status: &Status) -> Listing {
    let columns = [
        Column::text("source"),
        Column::text("provider"),
        Column::count("days"),
        Column::count("tokens_ours"),
        Column::count("tokens_theirs"),
    ];
    let mut listing = Listing::new("checks", &columns);
    for ((source, provider), it) in &status.reconciled.checks {
        let tokens =
            |of: fn(&Compared) -> i128| Cell::from(it.tokens.as_ref().and_then(|both| i64::try_from(of(both)).ok()));
        listing.push(vec![
            source.as_str().into(),
            provider.as_str().into(),
            i64::try_from(it.days.len()).unwrap_or(i64::MAX).into(),
            tokens(|both| both.ours),
            tokens(|both| both.theirs),
        ]);
    }
    listing
}

/// Rounded down: `3 %`, or `below 1 %`.
fn share_text(percent: i64) -> String {
    if percent < 1 { "below 1 %".to_owned() } else { format!("{percent} %") }
}

/// Mails that have not arrived; those that another program sends are its affair.
fn mails_text(status: &Status) -> String {
    let mails = |count: usize| listing::counted(i64::try_from(count).unwrap_or(i64::MAX), "mail");
    let waiting = Some(status.mails.pending).filter(|&count| count > 0 && status.sends_mails);
    let failed = Some(status.mails.failed).filter(|&count| count > 0);
    let said = match (waiting, failed) {
        (None, None) => return String::new(),
        (Some(waiting), None) => format!("{} not sent yet", mails(waiting)),
        (None, Some(failed)) => format!("{} could not be delivered", mails(failed)),
        (Some(waiting), Some(failed)) => format!("{} not sent yet, {failed} could not be delivered", mails(waiting)),
    };
    format!("{said}: `spendbook deliver --dry-run` says why\n")
}
