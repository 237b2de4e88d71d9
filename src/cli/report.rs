//! `spendbook report`: what people have to hear of, as mails in the outbox, and
//! a page for those who would rather look.

pub(super) mod alerts;
mod html;
pub(super) mod weekly;

use clap::Subcommand;

use super::{Failure, Outcome, Session};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Raise alerts: budgets, spikes, silent sources, models without a price, violations, old keys
    Alerts(alerts::Arguments),
    /// Mail each team its week, and finance everybody's
    Weekly(weekly::Arguments),
    /// One page to look at: charts, budgets, the biggest spenders, how far it is known
    Html(html::Arguments),
}

pub(super) fn run(session: &Session, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Alerts(arguments) => alerts::run(session, arguments),
        Command::Weekly(arguments) => weekly::run(session, arguments),
        Command::Html(arguments) => html::run(session, arguments),
    }
}
