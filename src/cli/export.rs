//! `spendbook export`: what other programs read.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, Session, listing};
use crate::{
    book::Book,
    report::{BudgetState, Status},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Where each team's budget stands, for a gateway that refuses requests
    BudgetState(BudgetStateArguments),
}

/// Writes a small JSON: per team spend, budget, percent, whether it is
/// exhausted, allowed models, and how old that is. Its fields are described in
/// `docs/BUDGET_STATE.md`.
#[derive(Debug, Args)]
pub(super) struct BudgetStateArguments {
    /// Replace this file in one step; standard output where it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(session: &Session, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::BudgetState(arguments) => budget_state(session, arguments),
    }
}

fn budget_state(session: &Session, arguments: &BudgetStateArguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Book::open(&config.book_dir())?;
    let status = Status::of(&book, &config, session.clock.now())?;
    let text = BudgetState::of(&status, &config).to_json()?;
    match &arguments.output {
        Some(path) => listing::replace(path, text.as_bytes())?,
        None => listing::print(&text)?,
    }
    Ok(Outcome::Done)
}
