//! The night: every stage in its order, under the book's lock, in one record.
//!
//! A stage that fails stops only what depends on it: a price book with a
//! mistake stops no log from being read, and nothing is said about money that
//! was not counted. How it looks is a matter of the command line.

use std::path::PathBuf;

use crate::{
    audit::{self, AuditError},
    book::{Book, BookError},
    charges::{self, Books, ChargesError},
    clock::Clock,
    config::Config,
    ingest::{self, IngestError},
    mail::{self, Delivered, FailedNight},
    ping::ping,
    policy::{self, Kept, PolicyError},
    pricing::{self, Digest, PriceBook, Refused},
    reconcile::{self, ReconcileError},
    report::{
        BudgetState, ReportError, Status,
        alerts::{self, AlertsError},
        weekly::{self, WeeklyError},
    },
    runs::{self, RunRecord, Stage, StageRecord},
    time::Instant,
    totals,
};

/// What a night needs.
#[derive(Debug, Clone, Copy)]
pub struct Night<'n> {
    pub config: &'n Config,
    /// Open for writing.
    pub book: &'n Book,
    pub clock: &'n Clock,
    /// Bytes of memory to stay below.
    pub memory: usize,
}

/// Why a stage could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Prices(#[from] Refused),
    #[error(transparent)]
    Price(#[from] ChargesError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    State(#[from] ReportError),
    #[error(transparent)]
    Alerts(#[from] AlertsError),
    #[error(transparent)]
    Weekly(Box<WeeklyError>),
    #[error(transparent)]
    Deliver(#[from] BookError),
    /// What it builds on failed, and has been told.
    #[error("left out: `{}` failed", .0.name())]
    LeftOut(Stage),
}

/// What each stage came to.
#[derive(Debug)]
pub struct Done {
    pub started: Instant,
    pub ingest: Result<ingest::Outcome, StageError>,
    /// A part of the same stage, which does not fail as a whole.
    pub totals: totals::Outcome,
    pub price: Result<charges::Outcome, StageError>,
    pub reconcile: Result<reconcile::Rebuilt, StageError>,
    pub audit: Result<audit::Outcome, StageError>,
    /// Where the state of budgets was written.
    pub state: Result<PathBuf, StageError>,
    pub alerts: Result<alerts::Outcome, StageError>,
    pub weekly: Result<weekly::Outcome, StageError>,
    pub delivery: Result<Delivered, StageError>,
}

/// Who is told how far it is.
pub trait Watch {
    fn reading(&self) -> Box<dyn ingest::Watch>;
    fn pricing(&self) -> Box<dyn charges::Watch>;
}

impl Night<'_> {
    /// Runs every stage, notes the night in the book, and tells those who
    /// should know that it was, or that it failed.
    ///
    /// # Errors
    /// Where it cannot be noted. What stages failed at is in what is given.
    pub fn run(self, watch: &dyn Watch) -> Result<Done, BookError> {
        let Self { config, book, .. } = self;
        let started = self.clock.now();
        // Before the prices: a mistake there does not make today's policies later ones.
        let kept = policy::keep(book, config, started);
        let ingest = self.ingest(watch);
        let totals = self.totals(started, watch);
        let (price, reconcile, audit, prices) = match Prices::read(config) {
            Ok(prices) => {
                let options = charges::Options { memory: self.memory, ..charges::Options::known_on(started) };
                let price = prices.apply(config, book, &options, &*watch.pricing());
                let reconcile = reconcile::rebuild(book, config, &prices.book, started);
                let audit = self.audit(&prices, kept, started);
                (price.map_err(StageError::from), reconcile.map_err(StageError::from), audit, Some(prices))
            }
            Err(refused) => {
                let left_out = || StageError::LeftOut(Stage::Price);
                (Err(refused.into()), Err(left_out()), Err(left_out()), None)
            }
        };
        // Before anybody is told: until when the books are known is read from it.
        let books = books(started, &ingest, &totals, &price, &reconcile, &audit);
        let name = runs::store(book, &RunRecord::of_night(started, self.clock.now(), books))?;

        let state = self.state(started);
        let (alerts, weekly) = match &prices {
            Some(prices) => (self.alerts(started), self.weekly(prices, started)),
            None => (Err(StageError::LeftOut(Stage::Price)), Err(StageError::LeftOut(Stage::Price))),
        };
        let delivery = Ok(Delivered::default());
        let mut done = Done { started, ingest, totals, price, reconcile, audit, state, alerts, weekly, delivery };
        done.delivery = self.deliver(&done);
        runs::replace(book, &name, &RunRecord::of_night(started, self.clock.now(), done.records()))?;
        if let Some(url) = &config.run.ping_url
            && let Err(error) = ping(url, done.failures().is_empty())
        {
            tracing::error!("{error}");
        }
        Ok(done)
    }

    fn ingest(self, watch: &dyn Watch) -> Result<ingest::Outcome, StageError> {
        let now = self.clock.now();
        let options = ingest::Options { memory: self.memory, now, ..ingest::Options::default() };
        Ok(ingest::run(self.config, Some(self.book), &options, &*watch.reading())?)
    }

    fn totals(self, now: Instant, watch: &dyn Watch) -> totals::Outcome {
        let options = totals::Options { source: None, dry_run: false, again: false, now };
        totals::run(self.config, Some(self.book), &options, &*watch.reading())
    }

    fn audit(
        self,
        prices: &Prices,
        kept: Result<Kept, PolicyError>,
        now: Instant,
    ) -> Result<audit::Outcome, StageError> {
        Ok(audit::run(self.config, &prices.book, &kept?, self.book, now)?)
    }

    /// Writes the state of budgets where gateways look for it. It is as stale
    /// as the charges are, and says so.
    fn state(self, now: Instant) -> Result<PathBuf, StageError> {
        let status = Status::of(self.book, self.config, now)?;
        Ok(BudgetState::of(&status, self.config).publish(self.book, self.config)?)
    }

    fn alerts(self, now: Instant) -> Result<alerts::Outcome, StageError> {
        Ok(alerts::run(self.book, self.config, alerts::Options { dry_run: false }, now)?)
    }

    fn weekly(self, prices: &Prices, now: Instant) -> Result<weekly::Outcome, StageError> {
        let options = weekly::Options { prices: Some(&prices.book), ..weekly::Options::default() };
        weekly::run(self.book, self.config, &options, now).map_err(|error| StageError::Weekly(Box::new(error)))
    }

    /// Tells operators what has failed until now, and sends what waits.
    fn deliver(self, done: &Done) -> Result<Delivered, StageError> {
        let failures = done.failures();
        if let [first, rest @ ..] = &failures[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" + {} more", rest.len()) };
            let (reason, summary) = (format!("{first}{more}"), failures.join("\n"));
            let night = FailedNight { started: done.started, reason: &reason, summary: &summary };
            mail::tell_operators(self.book, self.config, night)?;
        }
        Ok(mail::deliver(self.book, self.config, mail::Options::default(), self.clock.now())?)
    }
}

impl Done {
    /// Everything that failed, in the order of the stages, a line each.
    pub fn failures(&self) -> Vec<String> {
        let Self { started: _, ingest, totals, price, reconcile, audit, state, alerts, weekly, delivery } = self;
        let mut failures = Vec::new();
        let mut notes = Vec::new();
        match ingest {
            Ok(done) => notes.extend(&done.notes),
            Err(error) => failures.extend(failure(Stage::Ingest, error)),
        }
        notes.extend(&totals.notes);
        failures.extend(notes.into_iter().filter(|note| note.is_failure).map(|note| {
            let file = note.file.as_ref().map_or_else(String::new, |file| format!(" {file}:"));
            format!("{}:{file} {}", note.source, note.message)
        }));
        match price {
            Ok(done) => failures.extend(done.failed.values().map(ToString::to_string)),
            Err(error) => failures.extend(failure(Stage::Price, error)),
        }
        match reconcile {
            Ok(done) => failures.extend(done.failed.values().map(ToString::to_string)),
            Err(error) => failures.extend(failure(Stage::Reconcile, error)),
        }
        match audit {
            Ok(done) => failures.extend(done.failed.values().map(ToString::to_string)),
            Err(error) => failures.extend(failure(Stage::Audit, error)),
        }
        failures.extend(state.as_ref().err().and_then(|error| failure(Stage::State, error)));
        failures.extend(alerts.as_ref().err().and_then(|error| failure(Stage::Alerts, error)));
        failures.extend(weekly.as_ref().err().and_then(|error| failure(Stage::Weekly, error)));
        match delivery {
            Ok(done) => {
                failures.extend(done.trouble.as_ref().map(|trouble| format!("{}: {trouble}", Stage::Deliver.name())));
            }
            Err(error) => failures.extend(failure(Stage::Deliver, error)),
        }
        failures
    }

    /// What the record of the night says of each stage.
    fn records(&self) -> Vec<(Stage, StageRecord<'_>)> {
        let Self { started, ingest, totals, price, reconcile, audit, state, alerts, weekly, delivery } = self;
        let rest = [
            (Stage::State, record(state, |file| StageRecord::state(file))),
            (Stage::Alerts, record(alerts, alerts::Outcome::record)),
            (Stage::Weekly, record(weekly, weekly::Outcome::record)),
            (Stage::Deliver, record(delivery, StageRecord::deliver)),
        ];
        books(*started, ingest, totals, price, reconcile, audit).into_iter().chain(rest).collect()
    }
}

/// What the record says of the stages that make the books.
fn books<'d>(
    started: Instant,
    ingest: &'d Result<ingest::Outcome, StageError>,
    totals: &'d totals::Outcome,
    price: &'d Result<charges::Outcome, StageError>,
    reconcile: &'d Result<reconcile::Rebuilt, StageError>,
    audit: &'d Result<audit::Outcome, StageError>,
) -> Vec<(Stage, StageRecord<'d>)> {
    vec![
        (Stage::Ingest, record(ingest, |done| StageRecord::ingest(done, totals))),
        (Stage::Price, record(price, |done| StageRecord::price(started, done))),
        (Stage::Reconcile, record(reconcile, StageRecord::reconcile)),
        (Stage::Audit, record(audit, StageRecord::audit)),
    ]
}

/// What is told of a stage that failed; nothing of one that was left out, since
/// the reason for that is told already.
fn failure(stage: Stage, error: &StageError) -> Option<String> {
    (!matches!(error, StageError::LeftOut(_))).then(|| format!("{}: {error}", stage.name()))
}

fn record<'d, T>(done: &'d Result<T, StageError>, of: impl FnOnce(&'d T) -> StageRecord<'d>) -> StageRecord<'d> {
    match done {
        Ok(done) => of(done),
        Err(error) => StageRecord::failed(error),
    }
}

/// The price book of the config, without a mistake.
#[derive(Debug)]
pub struct Prices {
    pub book: PriceBook,
    /// Of each of its rows, for the next check.
    digests: Vec<Digest>,
}

impl Prices {
    /// Reads and checks it.
    ///
    /// # Errors
    /// With every mistake in it.
    pub fn read(config: &Config) -> Result<Self, Refused> {
        let draft = pricing::read(&config.pricing_dir());
        let digests = draft.digests().collect();
        Ok(Self { book: draft.into_book().map_err(Refused)?, digests })
    }

    /// Prices the live book, and notes which prices it was priced with.
    ///
    /// # Errors
    /// Where the book cannot be read or written.
    pub fn apply(
        &self,
        config: &Config,
        live: &Book,
        options: &charges::Options,
        watch: &dyn charges::Watch,
    ) -> Result<charges::Outcome, ChargesError> {
        let done = charges::run(config, &self.book, Books { usage: live, charges: live }, options, watch)?;
        charges::note_pricing(live, options.known_on, self.digests.iter().copied())?;
        Ok(done)
    }
}
