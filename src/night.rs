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
    policy::{self, Kept, PolicyError},
    pricing::{self, Digest, PriceBook, Refused},
    report::{BudgetState, ReportError, Status},
    runs::{self, RunRecord, Stage, StageRecord},
    time::Instant,
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
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    State(#[from] ReportError),
    /// What it builds on failed, and has been told.
    #[error("left out: `{}` failed", .0.name())]
    LeftOut(Stage),
}

/// What each stage came to.
#[derive(Debug)]
pub struct Done {
    pub ingest: Result<ingest::Outcome, StageError>,
    pub price: Result<charges::Outcome, StageError>,
    pub audit: Result<audit::Outcome, StageError>,
    /// Where the state of budgets was written.
    pub state: Result<PathBuf, StageError>,
}

/// Who is told how far it is.
pub trait Watch {
    fn reading(&self) -> Box<dyn ingest::Watch>;
    fn pricing(&self) -> Box<dyn charges::Watch>;
}

impl Night<'_> {
    /// Runs every stage, and notes the night in the book.
    ///
    /// # Errors
    /// Where it cannot be noted. What stages failed at is in what is given.
    pub fn run(self, watch: &dyn Watch) -> Result<Done, BookError> {
        let started = self.clock.now();
        // Before the prices: a mistake there does not make today's policies later ones.
        let kept = policy::keep(self.book, self.config, started);
        let ingest = self.ingest(watch);
        let (price, audit) = match Prices::read(self.config) {
            Ok(prices) => {
                let options = charges::Options { memory: self.memory, ..charges::Options::known_on(started) };
                let price = prices.apply(self.config, self.book, &options, &*watch.pricing());
                (price.map_err(StageError::from), self.audit(&prices, kept, started))
            }
            Err(refused) => (Err(refused.into()), Err(StageError::LeftOut(Stage::Price))),
        };
        let done = Done { ingest, price, audit, state: self.state(started) };
        runs::store(self.book, &RunRecord::of_night(started, self.clock.now(), done.records(started)))?;
        Ok(done)
    }

    fn ingest(self, watch: &dyn Watch) -> Result<ingest::Outcome, StageError> {
        let options = ingest::Options { memory: self.memory, ..ingest::Options::default() };
        Ok(ingest::run(self.config, Some(self.book), &options, &*watch.reading())?)
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
}

impl Done {
    /// What the record of the night says of each stage.
    fn records(&self, known_on: Instant) -> Vec<(Stage, StageRecord<'_>)> {
        let Self { ingest, price, audit, state } = self;
        vec![
            (Stage::Ingest, record(ingest, StageRecord::ingest)),
            (Stage::Price, record(price, |done| StageRecord::price(known_on, done))),
            (Stage::Audit, record(audit, StageRecord::audit)),
            (Stage::State, record(state, |file| StageRecord::state(file))),
        ]
    }
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
