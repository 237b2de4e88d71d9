//! `spendbook run`: the night, stage after stage, under one lock.
//!
//! A stage that fails does not stop what does not depend on it: a price book
//! with a mistake stops no log from being read, and what is priced already is
//! audited. The first failure decides the exit code.

use clap::Args;

use super::{Failure, Outcome, Session, audit, ingest, price};
use crate::ingest::Options;

/// Runs the whole night: reads what is new in every source, prices and rolls up
/// what changed, and audits it. Running it twice changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook run                 for cron, systemd or Kubernetes; `spendbook init` writes examples
  spendbook -q run              only errors
  spendbook status              what came of it")]
pub(super) struct Arguments {}

pub(super) fn run(session: &Session) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Session::book_for_writing(&config, "run")?;
    let options = Options { memory: session.global.memory, ..Options::default() };
    let stages = [
        ingest::stage(session, &config, Some(&book), &options),
        price::stage(session, &config, &book, None, None),
        audit::stage(session, &config, &book),
    ];
    let mut worst = Outcome::Done;
    let mut first: Option<Failure> = None;
    for stage in stages {
        match stage {
            Ok(outcome) => worst = worse(worst, outcome),
            Err(failure) => match &first {
                None => first = Some(failure),
                Some(known) if known.error.to_string() == failure.error.to_string() => {}
                Some(_) => tracing::error!("{:#}", failure.error),
            },
        }
    }
    first.map_or(Ok(worst), Err)
}

/// What a monitor should hear of two stages.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::Done => 0,
        Outcome::SetAside => 1,
        Outcome::No => 2,
        Outcome::Partly => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}
