//! `spendbook reconcile`: what providers report and check sources saw against
//! what our logs show, and why the two differ.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::{
    Days, Failure, Outcome, Session,
    known::{self, CONFIG_AND_BOOK, Wanted},
    listing::{self, Cell, Column, Listing, Page, To, counted},
    outcome_of,
};
use crate::{
    book::{Book, layout::DayTable},
    config::Config,
    money::Usd,
    night::Prices,
    pricing::PriceBook,
    reconcile::{self, Cause, Causes, Compared, Ids, Line, Options, Rebuilt, SeenIds, Unlogged, Verdict},
    report::{Provider, Reconciled, render::words},
    time::Day,
    totals,
};

/// Holds what providers report and check sources saw against what our logs show:
/// tokens, requests and money, and the causes of each difference, which sum to it
/// exactly.
#[derive(Debug, Args)]
#[command(after_help = "\
A line is a day of a provider, by key, project and model as far as the provider
tells them:
  ok           within `[reconcile] tolerance_percent` or `tolerance_usd`
  explain      not, and why is known: the price, missing usage, midnight, …
  investigate  traffic that no log shows, or a difference without a cause

The table shows the lines that do not agree; CSV, JSON and Parquet have all of
them, with each cause. A day that was not over when it was reported is named and
never compared. Sources of totals, and check sources (`role = check`), are
`[[source]]` entries of the config; docs/RECONCILE.md says what each cause
means.

Examples:
  spendbook reconcile                               the last 30 days
  spendbook reconcile --from 2026-06-01 --to 2026-06-30
  spendbook reconcile --provider groq --format csv  every line
  spendbook --strict reconcile                      3: something to investigate")]
pub(super) struct Arguments {
    #[command(flatten)]
    days: Days,
    /// Only this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    #[command(flatten)]
    to_format: To,
}

/// Lines that do not agree: more are in the data.
const SHOWN_LINES: usize = 40;

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let prices = Prices::read(&config)?.book;
    let book = Book::open(&config.book_dir())?;
    let from = arguments.days.in_order(now)?;
    if let Some(name) = arguments.provider.as_deref() {
        check(&config, &prices, &book, name)?;
    }
    let options = Options { from: Some(from), to: arguments.days.to, provider: arguments.provider.as_deref() };
    let done = reconcile::run(&book, &config, &prices, options, now)?;
    if !session.global.quiet {
        arguments.to_format.write(&page(&done, from, arguments.provider.as_deref()))?;
    }
    let is_suspicious = done.lines.iter().any(|line| line.verdict == Verdict::Investigate);
    Ok(if is_suspicious { Outcome::SetAside } else { Outcome::Done })
}

/// Refuses a provider that nobody knows: neither by a source, nor by a price or
/// a request.
fn check(config: &Config, prices: &PriceBook, book: &Book, name: &str) -> Result<(), Failure> {
    let of_sources = config.sources.iter().filter_map(|source| source.provider.as_deref());
    let of_totals = config.totals.iter().filter_map(totals::provider);
    let in_book = || {
        let mut names = known::in_table(book, DayTable::Rollup, &["provider"])?;
        names.extend(known::in_table(book, DayTable::Checks, &["provider"])?);
        names.extend(known::in_table(book, DayTable::Unlogged, &["provider"])?);
        Ok(names)
    };
    let of_prices = prices.prices().iter().map(|price| price.provider.as_str());
    let known: BTreeSet<&str> = of_sources.chain(of_totals).collect();
    let wanted = Wanted { flag: "--provider", what: "provider", name, places: CONFIG_AND_BOOK };
    if of_prices.clone().any(|provider| provider == name) { Ok(()) } else { wanted.check(known, in_book) }
}

/// How well rebuilding what no log shows went.
pub(super) fn outcome(done: &Rebuilt) -> Outcome {
    outcome_of(&done.failed)
}

/// What that came to, in a line; nothing where there is no other side.
pub(super) fn report(done: &Rebuilt) -> String {
    if done.days.is_empty() {
        return String::new();
    }
    let days = counted(i64::try_from(done.days.len()).unwrap_or(i64::MAX), "day");
    let suspicious = done.verdicts.get(&Verdict::Investigate).copied().unwrap_or_default();
    let lines = counted(i64::try_from(suspicious).unwrap_or(i64::MAX), "line");
    let theirs = done.sides.text();
    format!("{days} held against {theirs}, {lines} to investigate: `spendbook reconcile` shows them\n")
}

fn page(done: &reconcile::Outcome, from: Day, provider: Option<&str>) -> Page {
    let mut page = Page::default();
    page.fact("from", from.to_string());
    page.data(lines(&done.lines));
    if done.lines.is_empty() && done.left_out.is_empty() {
        let of = provider.map(|provider| format!(" of {provider}")).unwrap_or_default();
        page.say(format!(
            "no source has reported totals{of} since {from}, and no check source has seen requests: \
             docs/RECONCILE.md says which sources do, and how to add one\n"
        ));
        return page;
    }
    page.list(sources(&done.lines));
    let differing: Vec<&Line> = done.lines.iter().filter(|line| line.verdict != Verdict::Ok).collect();
    if !differing.is_empty() {
        page.say("\n");
        page.list(differences(&differing));
        if let Some(more) = differing.len().checked_sub(SHOWN_LINES).filter(|more| *more > 0) {
            page.say(format!("and {more} more: `--format csv` has all of them\n"));
        }
    }
    if !done.unlogged.is_empty() {
        page.say("\nReported by provider, not in logs:\n");
        page.list(bypass(&done.unlogged));
    }
    page.data(ids(&done.ids));
    let by_id = told_by_id(&done.ids);
    if !by_id.is_empty() {
        page.say(format!("\n{by_id}"));
    }
    let notes = notes(done);
    if !notes.is_empty() {
        page.say(format!("\n{notes}"));
    }
    page.say(format!("\n{}\n", conclusion(done)));
    page
}

fn usd(pico: i128) -> Usd {
    Usd::from_pico(pico).unwrap_or_default()
}

fn whole(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// The causes that quantities can have.
const OF_TOKENS: [Cause; 5] = [Cause::NotLogged, Cause::Usage, Cause::Edges, Cause::Unreported, Cause::Unexplained];
const OF_REQUESTS: [Cause; 4] = [Cause::NotLogged, Cause::Edges, Cause::Unreported, Cause::Unexplained];

const LINES: &[Column] = &[
    Column::text("day"),
    Column::text("provider"),
    Column::text("source"),
    Column::text("key"),
    Column::text("project"),
    Column::text("model"),
    Column::text("status"),
    Column::count("requests_ours"),
    Column::count("requests_theirs"),
    Column::count("requests_difference"),
    Column::count("requests_not_logged"),
    Column::count("requests_edges"),
    Column::count("requests_unreported"),
    Column::count("requests_unexplained"),
    Column::count("tokens_ours"),
    Column::count("tokens_theirs"),
    Column::count("tokens_difference"),
    Column::count("tokens_not_logged"),
    Column::count("tokens_usage"),
    Column::count("tokens_edges"),
    Column::count("tokens_unreported"),
    Column::count("tokens_unexplained"),
    Column::usd("cost_ours"),
    Column::usd("cost_theirs"),
    Column::usd("cost_difference"),
    Column::usd("cost_not_logged"),
    Column::usd("cost_usage"),
    Column::usd("cost_price"),
    Column::usd("cost_edges"),
    Column::usd("cost_unreported"),
    Column::usd("cost_rounding"),
    Column::usd("cost_unexplained"),
    Column::usd("price_ours_per_1m_tokens"),
    Column::usd("price_theirs_per_1m_tokens"),
    Column::usd("worth_not_logged"),
    Column::flag("is_estimated"),
    Column::text("role"),
];

/// Who tells a line.
fn role(line: &Line) -> &'static str {
    if line.is_check { "check" } else { "totals" }
}

/// Every line, with every cause.
fn lines(all: &[Line]) -> Listing {
    let mut listing = Listing::new("lines", LINES);
    for line in all {
        let mut cells: Vec<Cell> = vec![
            line.day.to_string().into(),
            line.provider.as_str().into(),
            line.source.as_str().into(),
            line.names.key.clone().into(),
            line.names.project.clone().into(),
            line.names.model.clone().into(),
            line.verdict.name().into(),
        ];
        let number = |number: i128| Cell::from(whole(number));
        cells.extend(sides(line.requests.as_ref(), &OF_REQUESTS, number));
        cells.extend(sides(line.tokens.as_ref(), &OF_TOKENS, number));
        cells.extend(sides(line.cost.as_ref(), &Cause::ALL, |pico| usd(pico).into()));
        cells.push(unit_price(line, |it| it.ours).into());
        cells.push(unit_price(line, |it| it.theirs).into());
        cells.push(line.worth.map(|worth| usd(worth[Cause::NotLogged])).into());
        cells.push(line.is_estimated.into());
        cells.push(role(line).into());
        listing.push(cells);
    }
    listing
}

fn sides(compared: Option<&Compared>, causes: &[Cause], cell: impl Fn(i128) -> Cell) -> Vec<Cell> {
    let Some(it) = compared else { return vec![Cell::Null; 3 + causes.len()] };
    let numbers = [it.ours, it.theirs, it.difference()].into_iter().chain(causes.iter().map(|&cause| it.causes[cause]));
    numbers.map(cell).collect()
}

/// What a million tokens cost on one side, where it tells both.
fn unit_price(line: &Line, side: fn(&Compared) -> i128) -> Option<Usd> {
    let (cost, tokens) = (usd(side(line.cost.as_ref()?)), i64::try_from(side(line.tokens.as_ref()?)).ok()?);
    cost.for_quantity(1_000_000, tokens)
}

/// What each source comes to.
fn sources(all: &[Line]) -> Listing {
    let columns = [
        Column::text("provider"),
        Column::text("source"),
        Column::text("role"),
        Column::count("days"),
        Column::count("lines"),
        Column::count("ok"),
        Column::count("explain"),
        Column::count("investigate"),
        Column::count("tokens_ours"),
        Column::count("tokens_theirs"),
        Column::usd("cost_ours"),
        Column::usd("cost_theirs"),
        Column::usd("difference"),
    ];
    let mut by_source: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    for line in all {
        by_source.entry((&line.provider, &line.source)).or_default().push(line);
    }
    let mut listing = Listing::new("sources", &columns);
    for ((provider, source), lines) in by_source {
        let sum = |of: fn(&Line) -> Option<Compared>| {
            lines.iter().filter_map(|line| of(line)).reduce(|mut sum, more| {
                sum.add(&more);
                sum
            })
        };
        let days = lines.iter().map(|line| line.day).collect::<std::collections::BTreeSet<_>>().len();
        let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
        let counts = [days, lines.len(), count(Verdict::Ok), count(Verdict::Explain), count(Verdict::Investigate)];
        let role = lines.first().map_or("totals", |line| role(line));
        let mut cells: Vec<Cell> = vec![provider.into(), source.into(), role.into()];
        cells.extend(counts.map(|count| Cell::from(i64::try_from(count).unwrap_or(i64::MAX))));
        let (tokens, cost) = (sum(|line| line.tokens), sum(|line| line.cost));
        cells.push(tokens.map(|it| whole(it.ours)).into());
        cells.push(tokens.map(|it| whole(it.theirs)).into());
        cells.push(cost.map(|it| usd(it.ours)).into());
        cells.push(cost.map(|it| usd(it.theirs)).into());
        cells.push(cost.map(|it| usd(it.difference())).into());
        listing.push(cells);
    }
    listing
}

/// Lines that do not agree, for people.
fn differences(lines: &[&Line]) -> Listing {
    let columns =
        ["day", "source", "line", "ours", "theirs", "why", "status"].map(|name| Column::text(name).in_table());
    let mut listing = Listing::new("differences", &columns);
    for line in lines.iter().take(SHOWN_LINES) {
        let side = |of: fn(&Compared) -> i128| match (&line.cost, &line.tokens) {
            (Some(cost), _) => usd(of(cost)).shown(),
            (None, Some(tokens)) => counted(whole(of(tokens)), "token"),
            (None, None) => line.requests.map_or_else(String::new, |it| counted(whole(of(&it)), "request")),
        };
        listing.push(vec![
            line.day.to_string().into(),
            if line.is_check { format!("{} (check)", line.source) } else { line.source.clone() }.into(),
            named(line).into(),
            side(|it| it.ours).into(),
            side(|it| it.theirs).into(),
            why(line).into(),
            line.verdict.name().into(),
        ]);
    }
    listing
}

fn named(line: &Line) -> String {
    let names = [&line.names.key, &line.names.project, &line.names.model];
    let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

/// The causes of a line's difference, the largest first.
fn why(line: &Line) -> String {
    match (&line.cost, &line.tokens) {
        (Some(cost), _) => told(&cost.causes, &|pico| words::moved(usd(pico))),
        (None, Some(tokens)) => told(&tokens.causes, &tokens_moved),
        (None, None) => line.requests.map_or_else(String::new, |it| told(&it.causes, &tokens_moved)),
    }
}

fn tokens_moved(number: i128) -> String {
    format!("{}{}", if number > 0 { "+" } else { "" }, words::signed(whole(number)))
}

fn told(causes: &Causes, shown: &dyn Fn(i128) -> String) -> String {
    let mut found: Vec<(Cause, i128)> = Cause::ALL.iter().map(|&cause| (cause, causes[cause])).collect();
    found.retain(|(_, part)| *part != 0);
    found.sort_by_key(|(cause, part)| (std::cmp::Reverse(part.unsigned_abs()), *cause));
    let told = found.into_iter().map(|(cause, part)| format!("{} {}", cause.text(), shown(part)));
    told.collect::<Vec<_>>().join(", ")
}

/// What the comparison of each provider comes to, for the demo: both sides, the
/// causes, and whose key it is that no log shows.
pub(super) fn story(reconciled: &Reconciled, unlogged: &[Unlogged]) -> String {
    let row = |(name, it): (&String, &Provider)| {
        let days = i64::try_from(it.days.len()).unwrap_or(i64::MAX);
        let (ours, theirs, why) = match (&it.cost, &it.tokens) {
            (Some(of), _) => {
                (usd(of.ours).shown(), usd(of.theirs).shown(), told(&of.causes, &|pico| words::moved(usd(pico))))
            }
            (None, Some(of)) => {
                (counted(whole(of.ours), "token"), counted(whole(of.theirs), "token"), told(&of.causes, &tokens_moved))
            }
            (None, None) => Default::default(),
        };
        vec![name.clone(), days.to_string(), ours, theirs, why]
    };
    let rows: Vec<Vec<String>> = reconciled.providers.iter().map(row).collect();
    let both = listing::words(&["provider", "days", "our logs", "they report", "why"], &rows);
    format!("{both}\n{}", bypass(unlogged).text(false))
}

/// Traffic that no log shows, by the key and whose it is.
fn bypass(all: &[Unlogged]) -> Listing {
    let columns = [
        Column::text("provider"),
        Column::text("key"),
        Column::text("team"),
        Column::text("owner"),
        Column::count("requests"),
        Column::count("tokens"),
        Column::usd("cost"),
        Column::text("from"),
        Column::text("to"),
    ];
    let mut by_key: BTreeMap<_, Vec<&Unlogged>> = BTreeMap::new();
    for it in all {
        by_key.entry((&it.provider, &it.key, &it.team, &it.owner)).or_default().push(it);
    }
    let mut listing = Listing::new("not_in_logs", &columns);
    for ((provider, key, team, owner), rows) in by_key {
        let requests = rows.iter().filter_map(|it| it.requests).reduce(i64::saturating_add);
        let cost = rows.iter().filter_map(|it| it.cost).try_fold(Usd::ZERO, Usd::checked_add);
        let day = |of: Option<Day>| Cell::from(of.map(|day| day.to_string()));
        listing.push(vec![
            provider.as_str().into(),
            key.clone().into(),
            team.clone().into(),
            owner.clone().into(),
            requests.into(),
            rows.iter().map(|it| it.tokens()).fold(0, i64::saturating_add).into(),
            cost.into(),
            day(rows.iter().map(|it| it.day).min()),
            day(rows.iter().map(|it| it.day).max()),
        ]);
    }
    listing
}

/// Of how many requests that check sources saw our logs have the id, by day.
fn ids(all: &[SeenIds]) -> Listing {
    let columns = [
        Column::text("day"),
        Column::text("provider"),
        Column::text("source"),
        Column::count("both"),
        Column::count("only_ours"),
        Column::count("only_theirs"),
    ];
    let mut listing = Listing::new("request_ids", &columns);
    for SeenIds { day, provider, source, ids: Ids { both, only_ours, only_theirs } } in all {
        let mut cells: Vec<Cell> = vec![day.to_string().into(), provider.as_str().into(), source.as_str().into()];
        cells.extend([*both, *only_ours, *only_theirs].map(Cell::from));
        listing.push(cells);
    }
    listing
}

/// The same for people: what only one side has, and on which days.
fn told_by_id(all: &[SeenIds]) -> String {
    let mut by_source: BTreeMap<(&str, &str), Vec<&SeenIds>> = BTreeMap::new();
    for it in all {
        by_source.entry((&it.source, &it.provider)).or_default().push(it);
    }
    let mut text = String::new();
    for ((source, provider), days) in by_source {
        let sum = |of: fn(&Ids) -> i64| days.iter().map(|it| of(&it.ids)).fold(0, i64::saturating_add);
        let (both, ours, theirs) = (sum(|ids| ids.both), sum(|ids| ids.only_ours), sum(|ids| ids.only_theirs));
        let differs = |it: &&&SeenIds| it.ids.only_ours != 0 || it.ids.only_theirs != 0;
        let found: Vec<String> = days.iter().filter(differs).map(|it| it.day.to_string()).collect();
        text.push_str(&format!("{source}, {provider}: {} on both sides", counted(both, "request id")));
        text.push_str(&match (both, &found[..]) {
            (_, []) => ", none on one side only\n".to_owned(),
            (0, _) => format!(
                ", {} only in {source} and {} only in our logs: both write other ids\n",
                words::signed(theirs),
                words::signed(ours)
            ),
            (_, days) => format!(
                ", {} only in {source}, {} only in our logs: {}\n",
                words::signed(theirs),
                words::signed(ours),
                some_days(days)
            ),
        });
    }
    text
}

/// Days on which something was found, as many as can be read.
fn some_days(days: &[String]) -> String {
    const MOST: usize = 5;
    let more = days.len().checked_sub(MOST).filter(|more| *more > 0);
    let more = more.map(|more| format!(" and {more} more days")).unwrap_or_default();
    format!("{}{more}", days[..days.len().min(MOST)].join(", "))
}

/// What was not compared, and by what it could not be.
fn notes(done: &reconcile::Outcome) -> String {
    let mut text = String::new();
    for (source, what) in &done.unknown_names {
        text.push_str(&format!(
            "{source}: it tells {what} of which none is known here, so they are summed over: name them in `[[key]]` or \
             `aliases.csv`\n"
        ));
    }
    for it in &done.left_out {
        text.push_str(&format!("not compared: {} {}: {}\n", it.day, it.source, it.why));
    }
    text
}

/// All of it in a line.
fn conclusion(done: &reconcile::Outcome) -> String {
    let count = |verdict| {
        let number = done.lines.iter().filter(|line| line.verdict == verdict).count();
        i64::try_from(number).unwrap_or(i64::MAX)
    };
    let (all, suspicious, explained) =
        (i64::try_from(done.lines.len()).unwrap_or(i64::MAX), count(Verdict::Investigate), count(Verdict::Explain));
    let lines = counted(all, "line");
    let missing = done.unlogged.iter().filter_map(|it| it.cost).try_fold(Usd::ZERO, Usd::checked_add);
    let missing = missing.filter(|cost| *cost != Usd::ZERO).map(|cost| format!("; {} is in no log", cost.shown()));
    let missing = missing.unwrap_or_default();
    match (suspicious, explained) {
        _ if all == 0 => "nothing could be compared".to_owned(),
        (0, 0) => format!("{lines}: both sides agree{missing}"),
        (0, _) => format!("{lines}: {explained} differ for reasons that are known{missing}"),
        _ => format!("{lines}: {suspicious} to investigate, {explained} explained{missing}"),
    }
}
