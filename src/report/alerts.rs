//! Alerts: what somebody has to hear of, raised once, committed, and mailed.
//!
//! A run folds what earlier runs committed ([`state`]), reads what the book
//! says now ([`gather`]), decides what is new ([`decide`]), and tells it
//! ([`section`], [`mails`]); then events and mails are committed as one object
//! ([`store`]), and only what is committed gets into the outbox. Killed before
//! that, nothing has happened; killed after it, the next run puts the same mails
//! there, byte for byte. Deciding and telling are pure.
//!
//! What is decided: thresholds of budgets ([`thresholds`]), what lasts and is
//! told once per episode ([`episodes`]), and what comes day by day ([`daily`]).
//!
//! Left out on purpose: sending (`mail`), and whether a night with a broken
//! price book comes this far (who calls [`run`] decides).

mod daily;
mod decide;
mod drivers;
mod episodes;
mod event;
mod facts;
mod gather;
mod mails;
mod recipients;
mod section;
mod spike;
mod state;
mod store;
mod text_form;
mod thresholds;

use serde::Serialize;

use super::ReportError;
use crate::{
    audit::AuditError,
    book::{Book, BookError},
    budgets::TooLarge,
    config::Config,
    mail::Sealed,
    policy::{self, PolicyError},
    runs::StageRecord,
    teams::Registry,
    time::Instant,
};

use decide::Finding;
use drivers::Costs;
use gather::Reading;
use mails::Told;
use section::{Context, Number};
use store::Commit;

pub use mails::ComposeError;

/// Why there are no alerts.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

/// How a run goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Say what would be raised, and to whom; write nothing.
    pub dry_run: bool,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The gravest first.
    pub alerts: Vec<Alert>,
    /// One for each recipient.
    pub mails: Vec<Sealed>,
    /// Mails that an earlier run committed and that were in none of the
    /// outbox's places.
    pub restored: usize,
}

impl Outcome {
    /// For the record of the run.
    pub fn record(&self) -> StageRecord<'_> {
        StageRecord::Alerts { raised: self.alerts.len(), mails: self.mails.len() }
    }
}

/// Something that is told.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    /// `threshold`, `forecast`, `spike`, …
    pub kind: &'static str,
    /// Whom or what it is about; empty for the organization.
    pub name: String,
    pub period: Option<String>,
    /// As the subject of a mail has it.
    pub headline: String,
    /// Addresses; none where the config names nobody who could be told.
    pub to: Vec<String>,
    numbers: Vec<Number>,
}

impl Alert {
    fn of(told: &Told) -> Self {
        let section = &told.section;
        Self {
            kind: section.kind,
            name: section.name.clone(),
            period: section.period.clone(),
            headline: format!("[{}] {}", section.tag, section.headline),
            to: told.to.iter().map(|(mailbox, _)| mailbox.address.clone()).collect(),
            numbers: section.numbers.clone(),
        }
    }
}

/// The version of what is committed.
const SCHEMA: u32 = 1;

/// Looks for what is to be told, commits it, and puts the mails into the
/// outbox. The book is under its lock, unless it is a dry run.
///
/// # Errors
/// Where the book cannot be read or written, or a sum is too large.
pub fn run(book: &Book, config: &Config, options: Options, now: Instant) -> Result<Outcome, AlertsError> {
    let mut log = store::read(book)?;
    // What an interrupted run committed and could not put there any more.
    let mut restored = if options.dry_run { 0 } else { log.restore(book, now)? };
    if !options.dry_run {
        policy::keep(book, config, now)?;
    }
    let renamings = log.state.renamings(config);
    let state = log.state.clone().with(&renamings, now);
    let reading = Reading::of(book, config, now)?;
    let registry = Registry::new(config);
    let ledger = reading.ledger(&registry);
    let facts = reading.facts(&ledger, book, config, now)?;
    let mut decided = decide::decide(&state, &facts, config, now);
    decided.events.splice(..0, renamings);
    let known_until = reading.known_until;
    let costs = Costs::read(book, &registry, &section::wanted(&decided.findings, known_until))?;
    let tell = |finding: &Finding| {
        let reached_at = match finding {
            Finding::Threshold { standing, level } => gather::reached_at(&ledger, &standing.statement, *level),
            _ => None,
        };
        let section = section::of(finding, Context { config, known_until, costs: &costs, reached_at });
        mails::told(finding, section, config, now)
    };
    let told: Vec<Told> = decided.findings.iter().map(tell).collect();
    let name = log.next_name(now);
    let mails = mails::compose(&told, &state, mails::Run { config, name: &name, at: now, known_until })?;
    let alerts: Vec<Alert> = told.iter().map(Alert::of).collect();
    let is_news = !decided.events.is_empty() || !state.has_run;
    if is_news && !options.dry_run {
        let (events, alerts, mails) = (decided.events.as_slice(), alerts.clone(), mails.as_slice());
        log.commit(book, &name, &Commit { schema: SCHEMA, at: now, known_until, events, alerts, mails })?;
        // Those are new; only what was missing before counts as restored.
        restored += log.restore(book, now)?.saturating_sub(mails.len());
        log.save(book)?;
    }
    Ok(Outcome { alerts, mails: mails.into_iter().map(|mail| mail.sealed).collect(), restored })
}
