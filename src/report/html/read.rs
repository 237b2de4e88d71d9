//! Reads what the page is made from, day by day, on every core. Texts are
//! looked at once per batch, so that a year of totals is read in seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    HtmlError,
    cube::{Cube, Measures, Place},
    slots::Slots,
};
use crate::{
    audit::{self, Columns, DayFile, ViolationKind},
    book::{Book, layout::DayTable},
    money::Usd,
    periods::PeriodSpan,
    pricing::Basis,
    report::{
        ReportError,
        numbers::{ByNumbers, Ids, Names},
    },
    threads::parts_on_every_core,
    time::{Day, Instant},
};

/// A book, and the period of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'s> {
    pub book: &'s Book,
    pub period: &'s PeriodSpan,
    pub slots: &'s Slots,
}

/// Of all input, in the order in which it is added up; and output.
const PROMPT: [&str; 4] = ["input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"];
const CACHED: usize = 1;

const COLUMNS: [&str; 15] = [
    "bucket_start",
    "team",
    "provider",
    "model_billed",
    "basis",
    "requests",
    "errors",
    PROMPT[0],
    PROMPT[1],
    PROMPT[2],
    PROMPT[3],
    "output_tokens",
    "cost",
    "cache_savings",
    "batch_savings",
];

/// Those that count otherwise than what has a price of its own.
const BASES: [Basis; 3] = [Basis::Free, Basis::Fallback, Basis::Unpriced];

impl Span<'_> {
    /// The days of a table that hold something of the period.
    pub(super) fn days(&self, table: DayTable) -> Result<Vec<Day>, HtmlError> {
        let days = self.period.from.day()..=self.period.until.plus_micros(-1).day();
        Ok(self.book.days(table)?.into_iter().filter(|day| days.contains(day)).collect())
    }

    pub(super) fn too_much(&self, table: DayTable) -> HtmlError {
        let (from, until) = (self.period.from.to_string(), self.period.until.to_string());
        ReportError::TooMuch { table: table.name(), from, until }.into()
    }

    /// The sums of `rollup`.
    pub(super) fn cube(&self) -> Result<Cube, HtmlError> {
        let too_much = || self.too_much(DayTable::Rollup);
        let days = self.days(DayTable::Rollup)?;
        let parts = parts_on_every_core(&days, |&day, cube: &mut Cube| {
            let Some(file) = DayFile::open(self.book, DayTable::Rollup, day)? else { return Ok(()) };
            let mut fits = true;
            file.batches(&COLUMNS, None, |columns| {
                fits &= self.add(columns, cube)?.is_some();
                Ok(())
            })?;
            if fits { Ok(()) } else { Err(too_much()) }
        })?;
        let mut cube = Cube::default();
        for part in &parts {
            cube.merge(part).ok_or_else(too_much)?;
        }
        Ok(cube)
    }

    /// Adds a batch of `rollup`; `Ok(None)` where a sum would not fit.
    fn add(&self, columns: &Columns<'_>, cube: &mut Cube) -> Result<Option<()>, audit::AuditError> {
        let at = columns.instants("bucket_start")?;
        let teams = Ids::of(columns.words("team")?, |name| cube.teams.id(name.map(str::to_owned)));
        let (models, providers) = (columns.words("model_billed")?, columns.words("provider")?);
        let basis = columns.words("basis")?;
        let marks: Vec<Option<Basis>> =
            basis.values().map(|name| BASES.into_iter().find(|basis| basis.name() == name)).collect();
        let count = |name| columns.numbers(name);
        let (requests, errors, output) = (count("requests")?, count("errors")?, count("output_tokens")?);
        let prompt = [count(PROMPT[0])?, count(PROMPT[1])?, count(PROMPT[2])?, count(PROMPT[3])?];
        let amounts = |name| columns.amounts(name);
        let (cost, cache, batch) = (amounts("cost")?, amounts("cache_savings")?, amounts("batch_savings")?);
        let mut known = ByNumbers::default();
        let mut clock = Clock { of: *self, last: None };
        for row in 0..columns.rows() {
            let Some((slot, hour)) = clock.read(at.value(row)) else { continue };
            let place = |place: Option<usize>| place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX);
            let of = (place(models.place(row)), place(providers.place(row)));
            let model = *known.entry(of).or_insert_with(|| {
                let text = |word: Option<&str>| word.unwrap_or_default().to_owned();
                cube.models.id((text(models.get(row)), text(providers.get(row))))
            });
            let basis = basis.place(row).and_then(|place| marks[place]);
            let requests = number(requests, row);
            let is = |wanted: Basis, count: i64| if basis == Some(wanted) { count } else { 0 };
            // Billed tokens are those of what is not free.
            let billed = |count: i64| if basis == Some(Basis::Free) { 0 } else { count };
            let cost = amount(cost, row);
            let measures = Measures {
                requests,
                errors: number(errors, row),
                unpriced: is(Basis::Unpriced, requests),
                estimated: is(Basis::Fallback, requests),
                prompt: billed(prompt.iter().fold(0, |sum: i64, column| sum.saturating_add(number(column, row)))),
                cached: billed(number(prompt[CACHED], row)),
                output: billed(number(output, row)),
                cost,
                estimated_cost: if basis == Some(Basis::Fallback) { cost } else { Usd::ZERO },
                cache_savings: amount(cache, row),
                batch_savings: amount(batch, row),
            };
            let place = Place { team: teams.get(row), model, slot };
            if cube.add(place, hour, &measures).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

fn number(column: &arrow::array::Int64Array, row: usize) -> i64 {
    use arrow::array::Array as _;
    if column.is_valid(row) { column.value(row) } else { 0 }
}

fn amount(column: &arrow::array::Decimal128Array, row: usize) -> Usd {
    use arrow::array::Array as _;
    let pico = if column.is_valid(row) { column.value(row) } else { 0 };
    Usd::from_pico(pico).unwrap_or_default()
}

/// When a row was: rows of one time stand together.
struct Clock<'s> {
    of: Span<'s>,
    last: Option<(i64, Option<(u32, u32)>)>,
}

impl Clock<'_> {
    /// Its slot and its hour of the week; `None` outside of the period.
    fn read(&mut self, micros: i64) -> Option<(u32, u32)> {
        if let Some((_, read)) = self.last.filter(|(last, _)| *last == micros) {
            return read;
        }
        let at = Instant::from_micros(micros);
        let number = |number: usize| u32::try_from(number).unwrap_or_default();
        let read = self.of.period.contains(at).then(|| (number(self.of.slots.at(at)), number(self.of.slots.hour(at))));
        self.last = Some((micros, read));
        read
    }
}

/// Whose spend is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Keys,
    Users,
}

/// A team, and a key or user of it.
pub(super) type Pair = (Option<Arc<str>>, Option<Arc<str>>);

/// Requests and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub requests: i64,
    pub cost: Usd,
}

impl Spent {
    pub(super) fn add(&mut self, other: Self) -> Option<()> {
        self.requests = self.requests.checked_add(other.requests)?;
        self.cost = self.cost.checked_add(other.cost)?;
        Some(())
    }
}

/// What each key or user of a team spent in each slot that is told apart.
#[derive(Debug, Default)]
struct Spends {
    teams: Names<Option<Arc<str>>>,
    names: Names<Option<Arc<str>>>,
    /// Whether a pair is one of those that are asked for.
    is_meant: ByNumbers<(u32, u32), bool>,
    spent: ByNumbers<(u32, u32, u32), Spent>,
}

impl Spends {
    fn is_meant(&mut self, (team, name): (u32, u32), some: &BTreeSet<Pair>) -> bool {
        let Self { teams, names, is_meant, .. } = self;
        let is_in = || some.contains(&(teams.get(team).clone(), names.get(name).clone()));
        *is_meant.entry((team, name)).or_insert_with(is_in)
    }
}

impl Span<'_> {
    /// What each key or user of a team spent in the period: of some of them
    /// slot by slot, of all of them in one.
    pub(super) fn spenders(
        &self,
        who: Who,
        some: Option<&BTreeSet<Pair>>,
    ) -> Result<BTreeMap<Pair, BTreeMap<u32, Spent>>, HtmlError> {
        // A total keeps no user.
        let (table, at, name) = match who {
            Who::Keys => (DayTable::Rollup, "bucket_start", "key"),
            Who::Users => (DayTable::Charges, "ts", "user"),
        };
        let columns: &[&str] = match who {
            Who::Keys => &["bucket_start", "team", "key", "requests", "cost"],
            Who::Users => &["ts", "team", "user", "cost"],
        };
        let too_much = || self.too_much(table);
        let days = self.days(table)?;
        let parts = parts_on_every_core(&days, |&day, spends: &mut Spends| {
            let Some(file) = DayFile::open(self.book, table, day)? else { return Ok(()) };
            let mut fits = true;
            file.batches(columns, None, |columns| {
                let instants = columns.instants(at)?;
                let teams = Ids::of(columns.words("team")?, |name| spends.teams.id(name.map(Arc::from)));
                let names = Ids::of(columns.words(name)?, |name| spends.names.id(name.map(Arc::from)));
                let cost = columns.amounts("cost")?;
                let requests = if who == Who::Keys { Some(columns.numbers("requests")?) } else { None };
                for row in 0..columns.rows() {
                    let at = Instant::from_micros(instants.value(row));
                    let pair = (teams.get(row), names.get(row));
                    if !self.period.contains(at) || some.is_some_and(|some| !spends.is_meant(pair, some)) {
                        continue;
                    }
                    let slot = if some.is_some() { u32::try_from(self.slots.at(at)).unwrap_or_default() } else { 0 };
                    let more = Spent { requests: requests.map_or(1, |it| number(it, row)), cost: amount(cost, row) };
                    fits &= spends.spent.entry((pair.0, pair.1, slot)).or_default().add(more).is_some();
                }
                Ok(())
            })?;
            if fits { Ok(()) } else { Err(too_much()) }
        })?;
        let mut spenders: BTreeMap<Pair, BTreeMap<u32, Spent>> = BTreeMap::new();
        for Spends { teams, names, spent, .. } in parts {
            for ((team, name, slot), more) in spent {
                let pair = (teams.get(team).clone(), names.get(name).clone());
                spenders.entry(pair).or_default().entry(slot).or_default().add(more).ok_or_else(too_much)?;
            }
        }
        Ok(spenders)
    }
}

/// What broke a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Broken {
    pub times: i64,
    pub requests: i64,
    pub cost: Usd,
}

impl Broken {
    pub(super) fn add(&mut self, other: Self) -> Option<()> {
        self.times = self.times.checked_add(other.times)?;
        self.requests = self.requests.checked_add(other.requests)?;
        self.cost = self.cost.checked_add(other.cost)?;
        Some(())
    }
}

/// Violations by kind, team and slot.
pub(super) type Violations = BTreeMap<(ViolationKind, Option<String>), BTreeMap<u32, Broken>>;

impl Span<'_> {
    pub(super) fn violations(&self) -> Result<Violations, HtmlError> {
        let mut violations = Violations::new();
        let mut fits = true;
        for day in self.days(DayTable::Violations)? {
            audit::violations(self.book, day, |it| {
                if self.period.contains(it.ts) {
                    let slot = u32::try_from(self.slots.at(it.ts)).unwrap_or_default();
                    let sum = violations.entry((it.kind, it.team)).or_default().entry(slot).or_default();
                    fits &= sum.add(Broken { times: 1, requests: it.requests, cost: it.cost }).is_some();
                }
            })?;
        }
        if fits { Ok(violations) } else { Err(self.too_much(DayTable::Violations)) }
    }
}
