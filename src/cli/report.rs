//! `spendbook report`: what people have to hear of, as mails in the outbox.

pub(super) mod alerts;

use clap::Subcommand;

use super::{Failure, Outcome, Session};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Raise alerts: budgets, spikes, silent sources, models without a price, violations, old keys
    Alerts(alerts::Arguments),
}

pub(super) fn run(session: &Session, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Alerts(arguments) => alerts::run(session, arguments),
    }
}
