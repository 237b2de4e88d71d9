//! `spendbook run`: the night, stage after stage, under one lock.
//!
//! A stage that fails does not stop what does not depend on it: a price book
//! with a mistake stops no log from being read and no mail from being sent. The
//! first failure decides the exit code.

use clap::Args;

use super::{Failure, Outcome, Session, audit, deliver, ingest, listing, price, progress, reconcile, report};
use crate::{
    config::Config,
    night::{Done, Night, StageError},
};

/// Runs the whole night: reads what is new in every source, prices and rolls up
/// what changed, holds it against what providers report, audits it, writes the state of budgets for gateways, raises
/// alerts, mails each team its week once it is over, and sends what waits. Running it twice changes nothing and mails nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook run                 for cron, systemd, Kubernetes: see `init`
  spendbook -q run              only errors
  spendbook status              what came of it")]
pub(super) struct Arguments {}

pub(super) fn run(session: &Session) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Session::book_for_writing(&config, "run")?;
    let night = Night { config: &config, book: &book, clock: &session.clock, memory: session.global.memory };
    let done = night.run(&progress::Nightly(session.progress()))?;
    if !session.global.quiet {
        listing::print(&summary(&done, &config))?;
    }
    finish(done)
}

/// What every stage came to, for a person.
fn summary(done: &Done, config: &Config) -> String {
    let Done { ingest, totals, price, reconcile, audit, alerts, weekly, delivery, .. } = done;
    let mut text = String::new();
    text.extend(ingest.as_ref().map(|done| ingest::report(done, false)));
    text.push_str(&ingest::report_totals(totals, false));
    text.extend(price.as_ref().map(|done| price::report(done, false)));
    text.extend(reconcile.as_ref().map(reconcile::report));
    text.extend(audit.as_ref().map(audit::report));
    text.extend(alerts.as_ref().map(report::alerts::told));
    text.extend(weekly.as_ref().ok().filter(|done| !done.mailed.is_empty()).map(report::weekly::told));
    text.extend(delivery.as_ref().map(|done| deliver::told(done, config)));
    text
}

/// How well the night went. The first failure decides the exit code, and all
/// others are told before it.
pub(super) fn finish(done: Done) -> Result<Outcome, Failure> {
    let stages = [
        done.ingest.map(|done| ingest::outcome(&done)),
        Ok(ingest::outcome_of_totals(&done.totals)),
        done.price.map(|done| price::outcome(&done)),
        done.reconcile.map(|done| reconcile::outcome(&done)),
        done.audit.map(|done| audit::outcome(&done)),
        done.state.map(|_| Outcome::Done),
        done.alerts.map(|_| Outcome::Done),
        done.weekly.map(|_| Outcome::Done),
        done.delivery.map(|done| deliver::outcome(&done)),
    ];
    let mut worst = Outcome::Done;
    let mut first: Option<Failure> = None;
    for stage in stages {
        match stage {
            Ok(outcome) => worst = worse(worst, outcome),
            Err(StageError::LeftOut(_)) if first.is_some() => {}
            Err(error) if first.is_none() => first = Some(failure(error)),
            Err(error) => tracing::error!("{:#}", anyhow::Error::from(error)),
        }
    }
    first.map_or(Ok(worst), Err)
}

/// With the exit code of what failed.
fn failure(error: StageError) -> Failure {
    match error {
        StageError::Ingest(error) => error.into(),
        StageError::Prices(error) => error.into(),
        StageError::Price(error) => error.into(),
        StageError::Reconcile(error) => error.into(),
        StageError::Policy(error) => error.into(),
        StageError::Audit(error) => error.into(),
        StageError::State(error) => error.into(),
        StageError::Alerts(error) => error.into(),
        StageError::Weekly(error) => (*error).into(),
        StageError::Deliver(error) => error.into(),
        error @ StageError::LeftOut(_) => error.into(),
    }
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
