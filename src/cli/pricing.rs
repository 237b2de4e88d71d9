//! `spendbook pricing`: check, look up, compare and import prices.

mod import;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, Outcome, Session, instant, listing};
use crate::{
    book::{Book, BookError},
    charges,
    pricing::{self, Ask, Cause, Choice, LastPricing, Price, PriceBook, Refused, Validity, date_text},
    record::METERS,
    time::Instant,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say what is wrong in the price book, or looks like a slip
    Check(CheckArguments),
    /// Show what a model costs
    Show(ShowArguments),
    /// Show which rows one price book has and another has not
    Diff(DiffArguments),
    /// Turn a price list of `LiteLLM` or genai-prices into rows for review
    Import(import::Arguments),
}

/// Exits with 4 where there is an error: nothing is priced until it is cured.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook pricing check
  spendbook pricing check pricing --format json  without a config")]
pub(super) struct CheckArguments {
    /// The directory of the price book; that of the config where it is not given
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A line for each finding, or an array of objects
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    format: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    Text,
    Json,
}

/// Shows the prices in force, of one model or of all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook pricing show llama-3.3-70b-versatile
  spendbook pricing show --at 2026-03-05T16:00:00Z
  spendbook pricing show --at 2026-03-05 --as-known-on 2026-03-01")]
pub(super) struct ShowArguments {
    /// The model, or an alias of it; all where it is not given
    model: Option<String>,
    /// When; now where it is not given
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<Instant>,
    /// Leave out what was learnt after this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    as_known_on: Option<Instant>,
}

/// Compares two directories, or what was known on two instants.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook pricing diff pricing ../other/pricing
  spendbook pricing diff 2026-06-01 2026-07-01")]
pub(super) struct DiffArguments {
    /// A directory, a date or an instant
    #[arg(value_name = "A")]
    before: String,
    /// Another one
    #[arg(value_name = "B")]
    after: String,
}

pub(super) fn run(session: &Session, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Check(arguments) => check(session, arguments),
        Command::Show(arguments) => show(session, arguments),
        Command::Diff(arguments) => diff(session, arguments),
        Command::Import(arguments) => import::run(session, arguments),
    }
}

fn check(session: &Session, arguments: &CheckArguments) -> Result<Outcome, Failure> {
    let (dir, last) = if let Some(dir) = &arguments.dir {
        (dir.clone(), None)
    } else {
        let config = session.config()?;
        (config.pricing_dir(), last_pricing(&config.book_dir())?)
    };
    let draft = pricing::read(&dir);
    let findings = draft.check(last.as_ref());
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let text = match arguments.format {
        CheckFormat::Json => serde_json::to_string_pretty(&findings)? + "\n",
        CheckFormat::Text => {
            let lines: Vec<String> = findings.iter().map(|finding| format!("{finding}\n")).collect();
            let (rows, warnings) = (draft.digests().count(), findings.len() - errors);
            format!("{}{rows} rows: {}, {}\n", lines.concat(), of(errors, "error"), of(warnings, "warning"))
        }
    };
    listing::print(&text)?;
    Ok(if errors > 0 { Outcome::No } else { Outcome::Done })
}

fn of(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The last run that priced; a book that is not there yet has none.
fn last_pricing(book: &Path) -> Result<Option<LastPricing>, Failure> {
    match Book::open(book) {
        Ok(book) => Ok(charges::last_pricing(&book)?),
        Err(BookError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn book_in(dir: &Path) -> Result<PriceBook, Refused> {
    pricing::read(dir).into_book().map_err(Refused)
}

fn show(session: &Session, arguments: &ShowArguments) -> Result<Outcome, Failure> {
    let prices = book_in(&session.config()?.pricing_dir())?;
    let now = session.clock.now();
    let (at, known_on) = (arguments.at.unwrap_or(now), arguments.as_known_on.unwrap_or(now));
    let model = arguments.model.as_deref();
    let rows = in_force(&prices, model, at, known_on);
    if rows.is_empty() {
        let whose = model.map_or_else(String::new, |model| format!(" of `{model}`"));
        let near = model.and_then(|model| nearest(&prices, model));
        let near = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        listing::print(&format!("the price book has no rows{whose} on {}{near}\n", date_text(at)))?;
        return Ok(Outcome::No);
    }
    listing::print(&listing::words(&["provider", "model", "tier", "meter", "price", "kind", "since", "row"], &rows))?;
    Ok(Outcome::Done)
}

/// The prices in force at an instant, and the ends; of one model, by its name
/// or an alias, or of all.
fn in_force(prices: &PriceBook, model: Option<&str>, at: Instant, known_on: Instant) -> Vec<Vec<String>> {
    let is_wanted =
        |row: &Price| model.is_none_or(|model| row.model == prices.billed_name(&row.provider, model, at, known_on));
    let asks: BTreeSet<(&str, &str, &str)> =
        prices.prices().iter().filter(|row| is_wanted(row)).map(|it| (&*it.provider, &*it.model, &*it.tier)).collect();
    let mut rows = Vec::new();
    for (provider, model, tier) in asks {
        let ask = Ask { provider, model, tier: Some(tier) };
        let Some(stretch) = prices.stretches(ask, at, at.plus_micros(1), known_on).into_iter().next() else { continue };
        for (info, choice) in METERS.iter().zip(&stretch.choices) {
            let shown = match choice {
                // What another card or tier would lend is told where it belongs.
                Choice::Priced(chosen)
                    if chosen.price.model == model && chosen.price.tier == tier && !chosen.as_input =>
                {
                    let price = chosen.price;
                    let place = price.place.to_string();
                    [chosen.rate.text(info.meter), price.kind.name().to_owned(), date_text(price.validity.from), place]
                }
                Choice::Priced(pricing::Chosen { cause: Some(Cause::Ended(from)), .. })
                | Choice::Unpriced(Cause::Ended(from))
                    if prices.prices().iter().any(|row| {
                        (row.provider.as_str(), row.model.as_str(), row.tier.as_str(), row.meter)
                            == (provider, model, tier, info.meter)
                    }) =>
                {
                    ["none".to_owned(), "ended".to_owned(), date_text(*from), String::new()]
                }
                _ => continue,
            };
            let names = [provider, model, tier, info.column].map(str::to_owned);
            rows.push(names.into_iter().chain(shown).collect());
        }
    }
    rows
}

/// The name in the book that is most like a model's.
fn nearest<'p>(prices: &'p PriceBook, model: &str) -> Option<&'p str> {
    let names = prices.prices().iter().map(|row| row.model.as_str());
    let likely = names.map(|name| (strsim::damerau_levenshtein(name, model), name));
    likely.filter(|(distance, name)| *distance * 3 <= name.len()).min().map(|(_, name)| name)
}

fn diff(session: &Session, arguments: &DiffArguments) -> Result<Outcome, Failure> {
    let instants = instant(&arguments.before).ok().zip(instant(&arguments.after).ok());
    let (before, after) = if let Some((before, after)) = instants {
        let draft = pricing::read(&session.config()?.pricing_dir());
        let prices = draft.into_book().map_err(Refused)?;
        (lines(&prices, Some(before)), lines(&prices, Some(after)))
    } else {
        let read = |dir: &str| book_in(Path::new(dir)).map(|prices| lines(&prices, None));
        (read(&arguments.before)?, read(&arguments.after)?)
    };
    let gone = before.difference(&after).map(|line| format!("- {line}\n"));
    let added = after.difference(&before).map(|line| format!("+ {line}\n"));
    let text: String = gone.chain(added).collect();
    listing::print(if text.is_empty() { "no row differs\n" } else { &text })?;
    Ok(Outcome::Done)
}

/// The rows of a price book, as far as they decide a price.
fn lines(prices: &PriceBook, known_on: Option<Instant>) -> BTreeSet<String> {
    let is_known = |validity: &Validity| known_on.is_none_or(|known_on| validity.known_from <= known_on);
    let dates = |validity: &Validity| {
        let until = validity.until.map_or_else(String::new, |until| format!(" until {}", date_text(until)));
        format!("from {}{until}, known from {}", date_text(validity.from), date_text(validity.known_from))
    };
    let rows = prices.prices().iter().filter(|row| is_known(&row.validity)).map(|row| {
        let price = row.rate.map_or_else(|| "ends".to_owned(), |rate| rate.text(row.meter));
        let (column, kind) = (row.meter.info().column, row.kind.name());
        format!("{}/{} {} {column}: {price} ({kind}), {}", row.provider, row.model, row.tier, dates(&row.validity))
    });
    let aliases = prices.aliases().iter().filter(|row| is_known(&row.validity)).map(|row| {
        let model = row.model.as_deref().unwrap_or("itself");
        format!("{}/{} is {model}, {}", row.provider, row.alias, dates(&row.validity))
    });
    rows.chain(aliases).collect()
}
