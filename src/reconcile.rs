//! Reconciliation: what providers report against what our logs show, and why
//! the two differ.
//!
//! The rows of `totals` are claims ([`mod@claims`]), and so is what check sources
//! saw ([`seen`]); sums of `charges` are our side ([`ours`]); [`lines`] pairs them
//! by as many names as both sides know, and [`causes`] takes each difference
//! apart, in integers, so that the causes sum to it. What no log shows becomes the table `unlogged` ([`mod@unlogged`]),
//! which is made again when, and only when, either side changed ([`state`]). It
//! is made from totals alone. Of what check sources saw it is known request by
//! request which side has it ([`mod@ids`]).
//!
//! A day that was not over when it was told is named and not compared. Left out
//! on purpose: changing anything of usage or charges.

#![deny(clippy::float_arithmetic)]

mod causes;
mod claims;
mod ids;
mod lines;
mod names;
mod ours;
mod seen;
mod state;
#[cfg(test)]
mod tests;
mod unlogged;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::{
    book::{Book, BookError, layout::DayTable},
    charges::{self, Behind, ChargesError},
    config::Config,
    floors::{self, Floors},
    pricing::PriceBook,
    teams::Registry,
    time::{Day, Instant},
    totals::{self, TotalRow, TotalsError},
};

pub use causes::{Cause, Causes};
pub use ids::Ids;
pub use lines::{Compared, Line, Verdict};
pub use names::Names;
pub use state::{Summary, is_digest_of_inputs, summaries};
pub use unlogged::{Unlogged, unlogged};

use claims::{Claim, Unready};
use lines::{Near, Rules};
use ours::DaySums;
use state::Told;

/// Why two sides cannot be held against each other.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Charges(#[from] ChargesError),
    #[error(transparent)]
    Totals(#[from] TotalsError),
    #[error("`{path}` in the book: {source}")]
    Parquet { path: String, source: parquet::errors::ParquetError },
}

/// So many days are looked back where no first one is given.
pub const LOOK_BACK_DAYS: i32 = 30;

/// Which days, and whose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'o> {
    pub from: Option<Day>,
    pub to: Option<Day>,
    pub provider: Option<&'o str>,
}

/// What somebody told of a day, and why it was not compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    pub day: Day,
    pub provider: String,
    pub source: String,
    pub is_check: bool,
    pub why: WhyNot,
}

/// Why it was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyNot {
    /// The day was not over when it was told; it reaches so far.
    Open { until: Instant },
    /// Its lines are about more than a day.
    SeveralDays,
    /// Our own side is not priced yet.
    NotPriced,
}

impl std::fmt::Display for WhyNot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { until } => write!(f, "the day is open: what it tells reaches until {until}"),
            Self::SeveralDays => f.write_str("it tells sums of several days"),
            Self::NotPriced => f.write_str("our own requests of the day are not priced: run `spendbook price`"),
        }
    }
}

/// Of how many requests of a day both sides have the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenIds {
    pub day: Day,
    pub provider: String,
    /// The check sources.
    pub source: String,
    pub ids: Ids,
}

/// What was compared, and what was not.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By day, then by source.
    pub lines: Vec<Line>,
    /// What of it no log shows, by the word of one source for each provider.
    pub unlogged: Vec<Unlogged>,
    pub left_out: Vec<LeftOut>,
    /// Names that a source tells and nobody here knows, by source: `keys`,
    /// `projects` or `models`.
    pub unknown_names: BTreeSet<(String, &'static str)>,
    /// By day, of what check sources saw.
    pub ids: Vec<SeenIds>,
}

/// Compares what is in the book; writes nothing.
///
/// # Errors
/// Where the book cannot be read.
pub fn run(
    book: &Book,
    config: &Config,
    prices: &PriceBook,
    options: Options<'_>,
    now: Instant,
) -> Result<Outcome, ReconcileError> {
    let registry = Registry::new(config);
    let rules = Rules { registry: &registry, prices, known_on: now, tolerance: config.reconcile };
    let floor = Floors::read(book)?.reconciled_from();
    let mut told = told(book)?;
    told.retain(|day, _| {
        let is_meant = options.from.is_none_or(|from| *day >= from) && options.to.is_none_or(|to| *day <= to);
        is_meant && !floors::is_below(*day, floor)
    });
    let mut days = BTreeMap::new();
    for (day, told) in told {
        let mut claims = claims(book, config, day, &told, now)?;
        claims.retain(|claim| options.provider.is_none_or(|provider| claim.provider == provider));
        days.insert(day, claims);
    }
    let mut reader = Reader::new(book, days.values().flatten());
    let mut outcome = Outcome::default();
    for (day, claims) in days {
        let compared = reader.compare(day, claims, rules)?;
        outcome.ids.extend(seen_ids(book, day, &compared.lines)?);
        outcome.unlogged.extend(compared.unlogged(rules));
        outcome.lines.extend(compared.lines);
        outcome.left_out.extend(compared.left_out);
        outcome.unknown_names.extend(compared.unknown_names);
    }
    Ok(outcome)
}

/// The ids of a day, of every provider of which lines are from check sources.
fn seen_ids(book: &Book, day: Day, lines: &[Line]) -> Result<Vec<SeenIds>, ReconcileError> {
    let sources: BTreeMap<&str, &str> =
        lines.iter().filter(|line| line.is_check).map(|line| (&*line.provider, &*line.source)).collect();
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let providers = sources.keys().map(|&provider| provider.to_owned()).collect();
    let ids = ids::compare(book, day, &providers)?.into_iter();
    let seen = ids.map(|(provider, ids)| SeenIds { day, source: sources[&*provider].to_owned(), provider, ids });
    Ok(seen.collect())
}

/// What rebuilding `unlogged` came to.
#[derive(Debug, Default)]
pub struct Rebuilt {
    pub days: BTreeSet<Day>,
    pub unchanged: u64,
    /// Days that could not be compared: they keep what they had.
    pub failed: BTreeMap<Day, ReconcileError>,
    /// Lines of the rebuilt days, by what is to be done about them.
    pub verdicts: BTreeMap<Verdict, u64>,
    pub sides: TheirSides,
}

/// Who is on the other side of what was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TheirSides {
    pub has_providers: bool,
    pub has_checks: bool,
}

impl TheirSides {
    pub const fn add(&mut self, is_check: bool) {
        *(if is_check { &mut self.has_checks } else { &mut self.has_providers }) = true;
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match (self.has_providers, self.has_checks) {
            (_, false) => "what providers report",
            (false, true) => "what check sources saw",
            (true, true) => "what providers report and check sources saw",
        }
    }
}

/// Makes `unlogged` of every day again of which either side changed.
///
/// # Errors
/// Where the book cannot be read or written.
pub fn rebuild(book: &Book, config: &Config, prices: &PriceBook, now: Instant) -> Result<Rebuilt, ReconcileError> {
    let registry = Registry::new(config);
    let rules = Rules { registry: &registry, prices, known_on: now, tolerance: config.reconcile };
    let floor = Floors::read(book)?.reconciled_from();
    let mut rebuilt = Rebuilt::default();
    let mut doubtful: BTreeMap<Day, (Told, Vec<Claim>)> = BTreeMap::new();
    for (day, told) in told(book)?.into_iter().filter(|(day, _)| !floors::is_below(*day, floor)) {
        let claims = state::is_made(book, day, &told, rules)
            .and_then(|is_made| if is_made { Ok(None) } else { claims(book, config, day, &told, now).map(Some) });
        match claims {
            Ok(None) => rebuilt.unchanged += 1,
            Ok(Some(claims)) => _ = doubtful.insert(day, (told, claims)),
            Err(ReconcileError::Book(error)) => return Err(error.into()),
            Err(error) => _ = rebuilt.failed.insert(day, error),
        }
    }
    let mut reader = Reader::new(book, doubtful.values().flat_map(|(_, claims)| claims));
    for (day, (told, claims)) in doubtful {
        match reader.make(day, &told, claims, rules) {
            Ok(lines) => {
                rebuilt.days.insert(day);
                rebuilt.sides.has_providers |= !told.totals.is_empty();
                rebuilt.sides.has_checks |= told.has_checks;
                for line in lines {
                    *rebuilt.verdicts.entry(line.verdict).or_default() += 1;
                }
            }
            Err(ReconcileError::Book(error)) => return Err(error.into()),
            Err(error) => _ = rebuilt.failed.insert(day, error),
        }
    }
    Ok(rebuilt)
}

/// Days that begin in a stretch of time and of which either side is another one
/// than when they were compared, or that never were. That a price or the owner
/// of a key changed is only known to [`rebuild`].
///
/// # Errors
/// Where the book cannot be read.
pub fn behind(book: &Book, from: Instant, until: Instant) -> Result<BTreeSet<Day>, ReconcileError> {
    let floor = Floors::read(book)?.reconciled_from();
    let mut behind = BTreeSet::new();
    for (day, told) in told(book)? {
        let is_meant = from <= day.start() && day.start() < until && !floors::is_below(day, floor);
        if is_meant && !state::has_these_sides(book, day, &told)? {
            behind.insert(day);
        }
    }
    Ok(behind)
}

/// Of which days there is something to hold our charges against.
fn told(book: &Book) -> Result<BTreeMap<Day, Told>, ReconcileError> {
    let mut told: BTreeMap<Day, Told> = BTreeMap::new();
    for (source, day) in totals::days(book)? {
        told.entry(day).or_default().totals.insert(source);
    }
    for day in book.days(DayTable::Checks)? {
        told.entry(day).or_default().has_checks = true;
    }
    Ok(told)
}

/// What sources told or saw of a day, by provider.
fn claims(book: &Book, config: &Config, day: Day, told: &Told, now: Instant) -> Result<Vec<Claim>, ReconcileError> {
    let mut claims = if told.has_checks { seen::claims(book, day, now)? } else { Vec::new() };
    for source in &told.totals {
        let mut by_provider: BTreeMap<String, Vec<TotalRow>> = BTreeMap::new();
        for row in totals::read(book, source, day)?.unwrap_or_default() {
            by_provider.entry(row.provider.clone()).or_default().push(row);
        }
        if by_provider.is_empty() {
            // An empty answer says that there was nothing, of whom the config tells.
            let source = config.totals.iter().find(|it| it.name == *source);
            claims.extend(
                source.and_then(|it| Some(Claim::empty(&it.name, totals::provider(it)?, totals::measure(it)?))),
            );
        }
        claims.extend(by_provider.into_iter().map(|(provider, rows)| Claim::new(source, &provider, rows)));
    }
    Ok(claims)
}

/// A day, compared.
#[derive(Debug, Default)]
struct ComparedDay {
    lines: Vec<Line>,
    left_out: Vec<LeftOut>,
    unknown_names: BTreeSet<(String, &'static str)>,
    /// The sources whose word counts for what is in no log, with their providers.
    of_unlogged: BTreeSet<(String, String)>,
}

impl ComparedDay {
    /// What no log shows, in the order of its table.
    fn unlogged(&self, rules: Rules<'_>) -> Vec<Unlogged> {
        let is_word = |line: &&Line| self.of_unlogged.contains(&(line.source.clone(), line.provider.clone()));
        self.lines.iter().filter(is_word).filter_map(|line| Unlogged::of(line, rules)).collect()
    }
}

/// Reads our side, a day and its neighbours at a time.
struct Reader<'b> {
    book: &'b Book,
    providers: BTreeSet<String>,
    days: BTreeMap<Day, Rc<DaySums>>,
}

impl<'b> Reader<'b> {
    fn new<'c>(book: &'b Book, claims: impl Iterator<Item = &'c Claim>) -> Self {
        let providers = claims.map(|claim| claim.provider.clone()).collect();
        Self { book, providers, days: BTreeMap::new() }
    }

    fn sums(&mut self, day: Day) -> Result<Rc<DaySums>, ReconcileError> {
        if let Some(sums) = self.days.get(&day) {
            return Ok(Rc::clone(sums));
        }
        let sums = Rc::new(ours::read(self.book, day, &self.providers)?);
        self.days.insert(day, Rc::clone(&sums));
        Ok(sums)
    }

    fn compare(&mut self, day: Day, claims: Vec<Claim>, rules: Rules<'_>) -> Result<ComparedDay, ReconcileError> {
        let is_priced = !matches!(charges::behind(self.book, day)?, Some(Behind::NotPriced | Behind::Charges));
        let mut compared = ComparedDay::default();
        let mut ready = Vec::new();
        for claim in claims {
            let why = match claim.unready(day) {
                Some(Unready::Open { until }) => WhyNot::Open { until },
                Some(Unready::SeveralDays) => WhyNot::SeveralDays,
                None if !is_priced => WhyNot::NotPriced,
                None => {
                    ready.push(claim);
                    continue;
                }
            };
            let Claim { provider, source, is_check, .. } = claim;
            compared.left_out.push(LeftOut { day, provider, source, is_check, why });
        }
        if ready.is_empty() {
            return Ok(compared);
        }
        self.days.retain(|known, _| *known >= day.previous());
        let (before, today) = (self.sums(day.previous())?, self.sums(day)?);
        let after = self.sums(day.next())?;
        let near = Near { before: &before, day: &today, after: &after };
        lines::compare(day, &ready, near, rules, &mut compared);
        Ok(compared)
    }

    /// Compares a day and puts its `unlogged` into place.
    fn make(
        &mut self,
        day: Day,
        told: &Told,
        claims: Vec<Claim>,
        rules: Rules<'_>,
    ) -> Result<Vec<Line>, ReconcileError> {
        let mut present = state::Present::default();
        for claim in &claims {
            present.add_claim(claim);
        }
        let compared = self.compare(day, claims, rules)?;
        if let Some(sums) = self.days.get(&day) {
            present.add_ours(sums);
        }
        let metadata = state::metadata(self.book, day, told, &present, &compared, rules)?;
        unlogged::write(self.book, day, &compared.unlogged(rules), metadata)?;
        Ok(compared.lines)
    }
}
