//! `spendbook pricing`: check, look up, compare and import prices.

mod diff;
mod import;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{
    Failure, Outcome, Session,
    listing::{Column, Listing, Page, To},
};
use crate::{
    book::{Book, BookError},
    charges,
    pricing::{self, Finding, LastPricing, PriceBook, Refused},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say what is wrong in the price book, or looks like a slip
    Check(CheckArguments),
    /// Show what a model costs
    Show(show::Arguments),
    /// Show which rows one price book has and another has not
    Diff(diff::Arguments),
    /// Turn other people's price lists into rows for review
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
    #[command(flatten)]
    to: To,
}

pub(super) fn run(session: &Session, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Check(arguments) => check(session, arguments),
        Command::Show(arguments) => show::run(session, arguments),
        Command::Diff(arguments) => diff::run(session, arguments),
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
    let mut listing = Listing::new(
        "findings",
        &[
            Column::text("file"),
            Column::count("line"),
            Column::text("severity"),
            Column::text("code"),
            Column::text("message"),
            Column::text("cure"),
        ],
    );
    let mut text = String::new();
    for finding in &findings {
        let Finding { file, line, code, message, cure, .. } = finding;
        let severity = if finding.is_error() { "error" } else { "warning" };
        let line = line.and_then(|line| i64::try_from(line).ok());
        let cells = [file.as_str().into(), line.into(), severity.into(), code.name().into()];
        listing.push(cells.into_iter().chain([message.as_str().into(), cure.as_str().into()]).collect());
        text.push_str(&format!("{finding}\n"));
    }
    let (rows, warnings) = (draft.digests().count(), findings.len() - errors);
    text.push_str(&format!("{rows} rows: {}, {}\n", of(errors, "error"), of(warnings, "warning")));
    let mut page = Page::default();
    page.say(text).data(listing);
    arguments.to.write(&page)?;
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
