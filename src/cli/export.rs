//! `spendbook export`: what other programs read.

mod focus;
mod hledger;
mod table;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, Outcome, Session, listing};
use crate::{
    book::Book,
    export::table::Format,
    periods::{Calendar, PeriodSpan},
    report::{self, Asked, BudgetState, Status},
    time::Instant,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Where each team's budget stands, for a gateway that refuses requests
    BudgetState(BudgetStateArguments),
    /// The tables as views, for DuckDB
    Views(ViewsArguments),
    /// A month of charges as a FOCUS dataset, for tools of cost management
    Focus(focus::Arguments),
    /// A journal of daily charges, for hledger and ledger
    Hledger(hledger::Arguments),
    /// A table or a report as CSV
    Csv(table::Arguments),
    /// A table or a report as Parquet
    Parquet(table::Arguments),
}

/// Writes a small JSON: per team spend, budget, percent, whether it is
/// exhausted, allowed models, and how old that is. Its fields are described in
/// `docs/BUDGET_STATE.md`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook export budget-state
  spendbook export budget-state --output /run/spendbook/budget-state.json
                                 for a gateway that reads it")]
pub(super) struct BudgetStateArguments {
    /// Replace this file in one step; standard output where it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes SQL that gives DuckDB a view for each table that `query` knows, with
/// what its columns mean. Days that come later are seen, too; prices, teams,
/// keys and budgets are as they were when it was written.
#[derive(Debug, Args)]
#[command(after_help = "\
docs/ANALYSTS.md has the questions that are really asked, each as SQL over these
views.

Examples:
  spendbook export views --output views.sql && duckdb -init views.sql
  spendbook export views | duckdb books.duckdb  into a database, to stay")]
pub(super) struct ViewsArguments {
    /// Replace this file in one step; standard output where it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(session: &Session, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::BudgetState(arguments) => budget_state(session, arguments),
        Command::Views(arguments) => views(session, arguments),
        Command::Focus(arguments) => focus::run(session, arguments),
        Command::Hledger(arguments) => hledger::run(session, arguments),
        Command::Csv(arguments) => table::run(session, arguments, Format::Csv),
        Command::Parquet(arguments) => table::run(session, arguments, Format::Parquet),
    }
}

fn budget_state(session: &Session, arguments: &BudgetStateArguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Book::open(&config.book_dir())?;
    let status = Status::of(&book, &config, session.clock.now())?;
    let text = BudgetState::of(&status, &config).to_json()?;
    write(arguments.output.as_deref(), &text)
}

fn views(session: &Session, arguments: &ViewsArguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Book::open(&config.book_dir())?;
    let root = std::path::absolute(book.root())?;
    let text = report::views(&root, &Asked { book: &book, config: &config, now: session.clock.now() })?;
    write(arguments.output.as_deref(), &text)
}

fn write(output: Option<&Path>, text: &str) -> Result<Outcome, Failure> {
    match output {
        Some(path) => listing::replace(path, text.as_bytes())?,
        None => listing::print(text)?,
    }
    Ok(Outcome::Done)
}

/// What `--period` says.
fn span(calendar: Calendar, text: &str, now: Instant) -> Result<PeriodSpan, Failure> {
    let wrong = |error| Failure { error: anyhow::Error::from(error).context("`--period`"), code: 2 };
    calendar.parse(text, now).map_err(wrong)
}
