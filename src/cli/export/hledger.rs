//! `spendbook export hledger`: a journal of daily charges.

use std::path::PathBuf;

use clap::Args;

use super::{
    super::{Failure, Outcome, Session, status::behind_lines},
    span, write,
};
use crate::{
    book::Book,
    export::hledger::{self, Options},
    periods::Calendar,
};

/// Writes a journal for hledger or ledger: a transaction for each day and provider,
/// in which each team's charges are an expense and their sum is owed to the
/// provider. It balances exactly, and sums to what `top teams` tells of the period.
///
/// Days are those of the book's zone. What a fallback priced has the tag
/// `estimated`, requests without a price are counted in the tag `unpriced`, and a
/// pool has an account of its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook export hledger --output llm.journal
  spendbook export hledger --period last-month --models --output models.journal
  spendbook export hledger | hledger -f - balance --tree -c '1000.00 USD'
  ledger -f llm.journal register liabilities:llm")]
pub(in super::super) struct Arguments {
    /// `month`, `week`, `day` or `quarter`, after `last-` the one before; `2026-11`, `2026-W46`,
    /// `2026-Q4`, `2026-11-15`; or `2026-11-01..2026-11-15`, without its last day
    #[arg(long, value_name = "PERIOD", default_value = "month")]
    period: String,
    /// An account for each model below that of its team
    #[arg(long)]
    models: bool,
    /// Replace this file in one step; standard output where it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
    let period = span(calendar, &arguments.period, session.clock.now())?;
    let book = Book::open(&config.book_dir())?;
    let journal = hledger::journal(&book, &Options { period, calendar, by_model: arguments.models })?;
    for line in behind_lines(&journal.behind) {
        tracing::warn!("{line}");
    }
    if let Some(day) = journal.pruned_until {
        tracing::warn!("what was before {day} was pruned, and is not in these amounts");
    }
    write(arguments.output.as_deref(), &journal.text)?;
    Ok(if journal.unpriced > 0 { Outcome::SetAside } else { Outcome::Done })
}
