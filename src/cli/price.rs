//! `spendbook price`: what is in the book, attributed and priced.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;

use super::{Failure, Outcome, Session, day, instant, known, listing, progress, reconcile};
use crate::{
    book::{Book, layout::VERSION_FILE},
    charges::{self, Books, Cause, Change, Options},
    config::Config,
    night::Prices,
    runs::{self, RunRecord, Stage, StageRecord},
    time::{Day, Instant},
};

/// Prices every day whose usage, prices or owners changed. Running it twice
/// changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook price                                    what is new or changed
  spendbook price --dry-run                          show how amounts would move
  spendbook price --from 2026-06-01 --to 2026-06-30  only these days
  spendbook price --as-known-on 2026-07-01 --output july
                                        a book in `july`, with what was known")]
pub(super) struct Arguments {
    /// The first day to price
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Day>,
    /// The last day to price
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Day>,
    /// Show what would change; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave out prices learnt after this instant
    #[arg(long, value_name = "INSTANT", requires = "output", value_parser = instant)]
    as_known_on: Option<Instant>,
    /// Make a book of its own in this directory, with the same usage; the live one is only read
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    output: Option<PathBuf>,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    known::in_order(arguments.from, arguments.to)?;
    let config = session.config()?;
    if arguments.output.is_none() && !arguments.dry_run {
        return live(session, &config, arguments);
    }
    let started = session.clock.now();
    let prices = Prices::read(&config)?.book;
    let options = Options {
        from: arguments.from,
        to: arguments.to,
        dry_run: arguments.dry_run,
        memory: session.global.memory,
        ..Options::known_on(arguments.as_known_on.unwrap_or(started))
    };
    let watch = progress::Pricing::new(session.progress());
    let price = |books| charges::run(&config, &prices, books, &options, &watch);
    let done = if let Some(dir) = &arguments.output {
        let live = Book::open(&config.book_dir())?;
        let own = beside(&live, dir)?;
        charges::copy_usage(&live, &own, &options)?;
        let done = price(Books { usage: &own, charges: &own })?;
        runs::store(&own, &record(session, started, options.known_on, &done))?;
        done
    } else {
        let live = Book::open(&config.book_dir())?;
        price(Books { usage: &live, charges: &live })?
    };
    drop(watch);
    tell(session, &done, arguments.dry_run)
}

/// Prices the live book, notes it and says it.
fn live(session: &Session, config: &Config, arguments: &Arguments) -> Result<Outcome, Failure> {
    let book = Session::book_for_writing(config, "price")?;
    let started = session.clock.now();
    let Arguments { from, to, .. } = *arguments;
    let options = Options { from, to, memory: session.global.memory, ..Options::known_on(started) };
    let watch = progress::Pricing::new(session.progress());
    let prices = Prices::read(config)?;
    let done = prices.apply(config, &book, &options, &watch)?;
    drop(watch);
    runs::store(&book, &record(session, started, started, &done))?;
    // What no log shows is the rest of what providers report: it follows.
    let rebuilt = crate::reconcile::rebuild(&book, config, &prices.book, started)?;
    let told = tell(session, &done, false)?;
    if !session.global.quiet {
        listing::print(&reconcile::report(&rebuilt))?;
    }
    Ok(if rebuilt.failed.is_empty() { told } else { reconcile::outcome(&rebuilt) })
}

fn record<'d>(session: &Session, started: Instant, known_on: Instant, done: &'d charges::Outcome) -> RunRecord<'d> {
    RunRecord::of_stage(Stage::Price, started, session.clock.now(), StageRecord::price(known_on, done))
}

/// Says what was done, and how well.
fn tell(session: &Session, done: &charges::Outcome, dry_run: bool) -> Result<Outcome, Failure> {
    if !session.global.quiet {
        listing::print(&report(done, dry_run))?;
    }
    Ok(outcome(done))
}

/// How well it went.
pub(super) fn outcome(done: &charges::Outcome) -> Outcome {
    if !done.failed.is_empty() {
        Outcome::Partly
    } else if done.totals.unpriced > 0 || done.totals.unattributed > 0 {
        Outcome::SetAside
    } else {
        Outcome::Done
    }
}

/// A book to write beside the live one: a new directory, or one made like this
/// before.
fn beside(live: &Book, dir: &Path) -> anyhow::Result<Book> {
    let shown = dir.display();
    let unreadable = || format!("`{shown}` cannot be read");
    let own = apart(live, dir)?;
    let is_empty = !own.exists() || fs::read_dir(&own).with_context(unreadable)?.next().is_none();
    if !is_empty && !own.join(VERSION_FILE).is_file() {
        bail!("`{shown}` is neither empty nor a book: name a new directory for `--output`");
    }
    Ok(Book::open_for_writing(dir, "`spendbook price --output`")?)
}

/// A directory to write into, which is neither the live book nor in it nor around
/// it; without links in what of it is there already.
pub(super) fn apart(live: &Book, dir: &Path) -> anyhow::Result<PathBuf> {
    let shown = dir.display();
    let unreadable = || format!("`{shown}` cannot be read");
    let (own, live) = (resolved(dir).with_context(unreadable)?, live.root().canonicalize().with_context(unreadable)?);
    if own.starts_with(&live) || live.starts_with(&own) {
        bail!("`{shown}` is the live book, or in it, or around it: name another directory for `--output`");
    }
    Ok(own)
}

/// A path without links in what of it is there already.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    Ok(there.canonicalize()?.join(rest))
}

/// How many changes are told; all of them are in the record of the run.
const SHOWN_CHANGES: usize = 20;

/// What was done, for a person.
pub(super) fn report(done: &charges::Outcome, dry_run: bool) -> String {
    let mut text = days(done, dry_run);
    if done.totals.requests > 0 {
        text.push_str(&totals(done));
    }
    text.push_str(&changes(&done.changes));
    for error in done.failed.values() {
        text.push_str(&format!("failed: {error}\n"));
    }
    if dry_run {
        text.push_str("dry run: nothing was written\n");
    }
    text
}

fn days(done: &charges::Outcome, dry_run: bool) -> String {
    let mut by_cause: BTreeMap<Cause, usize> = BTreeMap::new();
    for cause in done.priced.values().flatten() {
        *by_cause.entry(*cause).or_default() += 1;
    }
    let causes: Vec<_> = by_cause.iter().map(|(cause, count)| format!("{count} {}", cause.text())).collect();
    let verb = if dry_run { "would be priced" } else { "priced" };
    let unchanged = format!("{} up to date", listing::count(done.unchanged));
    let mut days = done.priced.keys();
    match (days.next(), days.next_back()) {
        (None, _) => format!("nothing to price: {unchanged}\n"),
        (Some(day), None) => format!("1 day {verb}, {day} ({}); {unchanged}\n", causes.join(", ")),
        (Some(first), Some(last)) => {
            format!("{} days {verb}, {first} to {last} ({}); {unchanged}\n", done.priced.len(), causes.join(", "))
        }
    }
}

fn totals(done: &charges::Outcome) -> String {
    let totals = &done.totals;
    let header = ["", "requests", "cost"];
    let mut rows = vec![vec!["all".to_owned(), listing::count(totals.requests), totals.cost().shown()]];
    for (name, count, cost) in [
        ("estimated", totals.estimated, totals.estimated_cost().shown()),
        ("unpriced", totals.unpriced, "not known".to_owned()),
        ("free", totals.free, String::new()),
        ("unattributed", totals.unattributed, String::new()),
    ] {
        if count > 0 {
            rows.push(vec![name.to_owned(), listing::count(count), cost]);
        }
    }
    listing::table(&header, &rows)
}

/// How days moved that had been priced before.
fn changes(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes.iter().take(SHOWN_CHANGES) {
        let Change { day, team, model, before, after } = change;
        let team = team.as_ref().map_or_else(|| "nobody's".to_owned(), |team| format!("`{team}`"));
        text.push_str(&format!("moved: {day} {team} `{model}`: {} -> {}", before.cost.shown(), after.cost.shown()));
        if before.requests != after.requests {
            let (before, after) = (listing::count(before.requests), listing::count(after.requests));
            text.push_str(&format!(", {before} -> {after} requests"));
        }
        if before.unpriced != after.unpriced {
            let (before, after) = (listing::count(before.unpriced), listing::count(after.unpriced));
            text.push_str(&format!(", {before} -> {after} of them unpriced"));
        }
        text.push('\n');
        for (lead, ids) in [("no longer", &before.price_ids), ("now", &after.price_ids)] {
            text.extend(ids.iter().map(|id| format!("  {lead} by {id}\n")));
        }
    }
    if changes.len() > SHOWN_CHANGES {
        let more = changes.len() - SHOWN_CHANGES;
        text.push_str(&format!("and {more} more that moved: they are in the record of the run, in `runs/`\n"));
    }
    text
}
