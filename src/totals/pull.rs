//! Totals into the book: which days are asked about, and what became of them.
//!
//! A day is asked for again until it was told once its look-back was over,
//! since providers restate what they told. It is written once all its pages
//! are there, so a run that is cut short, or a provider that fails half-way,
//! leaves whole days, and the next run goes on from there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    TotalRow, TotalsError, Written,
    ask::{self, Asked, Provider},
    compare, days,
    gather::Counts,
    recorded::Recorded,
    sources::{self, Days, Teller, safe},
    state::State,
    write,
};
use crate::{
    book::Book,
    config::{Config, KeptTable, Remote, Source},
    floors::{Floors, is_below},
    ingest::{Note, Watch, names::Names},
    record::Measure,
    time::{Day, Instant},
};

/// What to pull.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this source.
    pub source: Option<String>,
    /// Ask, say what would change, and write nothing.
    pub dry_run: bool,
    /// Ask for settled days, too.
    pub again: bool,
    pub now: Instant,
}

/// The accounts of a source: `lines = rows + duplicate + superseded + outside +
/// passed_over`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceTotals {
    pub pages: u64,
    pub lines: u64,
    /// Those that are in the book now.
    pub rows: u64,
    /// Told twice, word for word.
    pub duplicate: u64,
    /// Told again by a later page or answer.
    pub superseded: u64,
    /// About days that were not asked about, or are pruned.
    pub outside: u64,
    /// Of kinds that have no column.
    pub passed_over: u64,
    pub unchanged: u64,
    #[serde(serialize_with = "as_texts")]
    pub new: Vec<Day>,
    #[serde(serialize_with = "as_texts")]
    pub restated: Vec<Day>,
    /// Recorded answers that are as they were when they were last read.
    pub is_as_before: bool,
}

fn as_texts<S: serde::Serializer>(days: &[Day], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(days.iter().map(ToString::to_string))
}

/// What a pull came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub sources: BTreeMap<String, SourceTotals>,
    pub notes: Vec<Note>,
}

impl SourceTotals {
    fn is_balanced(&self) -> bool {
        self.lines == self.rows + self.duplicate + self.superseded + self.outside + self.passed_over
    }

    fn count(&mut self, counts: Counts, outside: u64, rows: u64) {
        self.lines += counts.lines;
        self.duplicate += counts.duplicate;
        self.superseded += counts.superseded;
        self.passed_over += counts.passed_over;
        self.outside += outside;
        self.rows += rows;
    }
}

/// Pulls every source of totals, each by itself: one that fails is a note, and
/// stops no other. Without a book (a dry run before the first) all is new.
pub fn run(config: &Config, book: Option<&Book>, options: &Options, watch: &dyn Watch) -> Outcome {
    let mut outcome = Outcome::default();
    let names = Names::of(config);
    for source in &config.totals {
        if options.source.as_ref().is_some_and(|wanted| *wanted != source.name) {
            continue;
        }
        let Some(teller) = sources::by_name(&source.format) else { continue };
        let mut pull = Pull {
            config,
            source,
            teller,
            book,
            names: &names,
            options,
            watch,
            totals: SourceTotals::default(),
            notes: Vec::new(),
        };
        let result = pull.run();
        let Pull { totals, notes, .. } = pull;
        let note = |message: String, is_failure| Note { source: source.name.clone(), file: None, message, is_failure };
        outcome.notes.extend(notes.into_iter().map(|message| note(message, false)));
        match result {
            Err(message) => outcome.notes.push(note(message, true)),
            Ok(()) if !totals.is_balanced() => {
                let message = format!("the accounts do not balance, please report this: {totals:?}");
                outcome.notes.push(note(message, true));
            }
            Ok(()) => {}
        }
        outcome.sources.insert(source.name.clone(), totals);
    }
    outcome
}

/// When a source was last told anything; `None` where it never was, or that is
/// not known any more.
#[must_use]
pub fn last_told(config: &Config, book: &Book, source: &Source) -> Option<Instant> {
    State::load(Some(book), source, config.privacy).ok()?.last()
}

/// Who bills for what a source of totals tells.
#[must_use]
pub fn provider(source: &Source) -> Option<&str> {
    source.provider.as_deref().or_else(|| Some(sources::by_name(&source.format)?.provider()))
}

/// What a source of totals tells of.
#[must_use]
pub fn measure(source: &Source) -> Option<Measure> {
    Some(sources::by_name(&source.format)?.measure())
}

/// Asks for what is said of yesterday, and writes nothing: whether a source
/// answers. What it says, or what is wrong and what to do.
///
/// # Errors
/// With what is wrong.
pub fn probe(config: &Config, source: &Source, now: Instant) -> Result<String, String> {
    let Some(teller) = sources::by_name(&source.format) else { return Ok(String::new()) };
    let (mut pages, mut counts) = (0, Counts::default());
    let Some(remote) = &source.remote else {
        let recorded = Recorded::list(config, source)?;
        let days = recorded.read(teller, now, &mut pages, &mut counts, &|_, _| {})?;
        let last = days.keys().next_back().map_or_else(String::new, |day| format!(", the last day is {day}"));
        return Ok(format!("{pages} pages, {} days{last}", days.len()));
    };
    let provider = Provider::of(config, source, remote, teller)?;
    let until = if teller.reach().back == Some(0) { now.day().next() } else { now.day() };
    let days = Days { from: until.previous(), until };
    let heard = ask::ask(&provider, teller, ask::told(source, teller, now), days, &mut pages, &mut counts)?;
    let rows: usize = heard.days.values().map(Vec::len).sum();
    Ok(format!("answers: {rows} lines about {}", days.from))
}

/// One source while it is pulled.
struct Pull<'p> {
    config: &'p Config,
    source: &'p Source,
    teller: &'static dyn Teller,
    book: Option<&'p Book>,
    names: &'p Names,
    options: &'p Options,
    watch: &'p dyn Watch,
    totals: SourceTotals,
    notes: Vec<String>,
}

/// So many days back are asked about where a source does not say `since`.
const DAYS_BACK: i32 = 30;

const DAY_MICROS: i64 = 86_400 * 1_000_000;

impl Pull<'_> {
    fn run(&mut self) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut state = State::load(self.book, self.source, self.config.privacy).map_err(|error| text(&error))?;
        let floor = self.book.map(Floors::read).transpose().map_err(|error| text(&error))?;
        let floor = floor.and_then(|floors| floors.of(KeptTable::Totals));
        let present = self.book.map(days).transpose().map_err(|error| text(&error))?.unwrap_or_default();
        let present = present.into_iter().filter(|(source, _)| *source == self.source.name).map(|(_, day)| day);
        let present: BTreeSet<Day> = present.collect();
        match &self.source.remote {
            None => self.read_files(&mut state, &present, floor),
            Some(remote) => {
                let provider = Provider::of(self.config, self.source, remote, self.teller)?;
                self.ask(&provider, remote, &mut state, &present, floor)
            }
        }
    }

    fn read_files(&mut self, state: &mut State, present: &BTreeSet<Day>, floor: Option<Day>) -> Result<(), String> {
        let recorded = Recorded::list(self.config, self.source)?;
        let digest = recorded.digest();
        if !self.options.again && state.files == digest && state.days().all(|day| present.contains(&day)) {
            self.totals.is_as_before = true;
            return Ok(());
        }
        let now = self.options.now;
        let mut counts = Counts::default();
        let watch = |name: &str, bytes: u64| {
            self.watch.file(name);
            self.watch.read(bytes);
        };
        let told = recorded.read(self.teller, now, &mut self.totals.pages, &mut counts, &watch)?;
        let (mut outside, mut rows) = (0, 0);
        for (day, lines) in told {
            if is_below(day, floor) {
                outside += lines.len() as u64;
                continue;
            }
            rows += lines.len() as u64;
            self.store(day, lines)?;
            state.set_told(day, now);
        }
        self.totals.count(counts, outside, rows);
        state.files = digest;
        self.save(state)
    }

    fn ask(
        &mut self,
        asked: &dyn Asked,
        remote: &Remote,
        state: &mut State,
        present: &BTreeSet<Day>,
        floor: Option<Day>,
    ) -> Result<(), String> {
        let Options { again, now, .. } = *self.options;
        let wanted = Wanted { remote, state, present, floor, again, now }.days(self.teller);
        let told = ask::told(self.source, self.teller, now);
        for window in windows(&wanted, self.teller.longest()) {
            self.watch.file(&format!("{} {} to {}", self.source.name, window.from, window.until.previous()));
            let mut counts = Counts::default();
            let heard = ask::ask(asked, self.teller, told, window, &mut self.totals.pages, &mut counts);
            let mut heard = heard.map_err(|error| format!("{error}{}", self.at_stake(&wanted, present)))?;
            let mut rows = 0;
            for day in days_of(window) {
                let lines = heard.days.remove(&day).unwrap_or_default();
                rows += lines.len() as u64;
                // That nothing is told of a day that is not over says nothing.
                if !lines.is_empty() || day.end() <= now {
                    self.store(day, lines)?;
                }
                state.set_told(day, now);
            }
            self.totals.count(counts, heard.outside, rows);
            self.save(state)?;
        }
        self.note_lost(remote, state, present, floor);
        Ok(())
    }

    fn store(&mut self, day: Day, rows: Vec<TotalRow>) -> Result<(), String> {
        let rows: Vec<TotalRow> = rows.into_iter().map(|row| safe(row, self.names)).collect();
        let name = &self.source.name;
        let written = match self.book {
            None => Ok(Written::New),
            Some(book) if self.options.dry_run => compare(book, name, day, rows),
            Some(book) => write(book, name, day, rows),
        };
        match written.map_err(|error: TotalsError| error.to_string())? {
            Written::New => self.totals.new.push(day),
            Written::Restated => self.totals.restated.push(day),
            Written::Unchanged => self.totals.unchanged += 1,
        }
        Ok(())
    }

    fn save(&self, state: &State) -> Result<(), String> {
        match self.book.filter(|_| !self.options.dry_run) {
            Some(book) => state.save(book, &self.source.name).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// What will be lost where the provider forgets, and it is not asked in time.
    fn at_stake(&self, wanted: &[Day], present: &BTreeSet<Day>) -> String {
        let first = wanted.iter().find(|day| !present.contains(day));
        match (self.teller.reach().back.filter(|&back| back > 0), first) {
            (Some(back), Some(first)) => format!(
                "; the provider remembers {back} days: {first} is lost from {} on",
                Day::from_days(first.days() + back + 1)
            ),
            _ => String::new(),
        }
    }

    /// Days that the provider has forgotten before they were asked for.
    fn note_lost(&mut self, remote: &Remote, state: &State, present: &BTreeSet<Day>, floor: Option<Day>) {
        let Some(back) = self.teller.reach().back.filter(|&back| back > 0) else { return };
        let Some(first) = remote.since.into_iter().chain(present.first().copied()).min() else { return };
        let until = Day::from_days(self.options.now.day().days() - back);
        let is_lost = |day: &Day| !present.contains(day) && !is_below(*day, floor) && state.told(*day).is_none();
        let lost: Vec<Day> = days_of(Days { from: first, until }).filter(is_lost).collect();
        if let [first, .., last] | [first @ last] = lost[..] {
            self.notes.push(format!(
                "nothing was pulled of {} days, {first} to {last}, and the provider remembers {back}: export them from \
                 its own pages and read the file with a source of `path`",
                lost.len()
            ));
        }
    }
}

fn days_of(days: Days) -> impl Iterator<Item = Day> {
    std::iter::successors(Some(days.from), |day| Some(day.next())).take_while(move |day| *day < days.until)
}

/// By what the days to ask about are found.
struct Wanted<'w> {
    remote: &'w Remote,
    state: &'w State,
    present: &'w BTreeSet<Day>,
    floor: Option<Day>,
    /// Settled days, too.
    again: bool,
    now: Instant,
}

impl Wanted<'_> {
    fn days(&self, teller: &dyn Teller) -> Vec<Day> {
        let (today, reach) = (self.now.day(), teller.reach());
        let back = |days: i32| Day::from_days(today.days() - days);
        // After a long time without an answer, the days since the first are still wanted.
        let first = || self.state.days().next().map_or_else(|| back(DAYS_BACK), |first| first.min(back(DAYS_BACK)));
        let since = self.remote.since.unwrap_or_else(first);
        let from = since.max(reach.back.map_or(since, back)).max(self.floor.unwrap_or(since));
        let until = if reach.is_open_told { today.next() } else { today };
        days_of(Days { from, until }).filter(|&day| self.again || !self.is_settled(day)).collect()
    }

    /// Whether it was told after the time in which it may be told differently.
    fn is_settled(&self, day: Day) -> bool {
        let settled = day.end().plus_micros(i64::from(self.remote.lookback_days) * DAY_MICROS);
        self.present.contains(&day) && self.state.told(day).is_some_and(|told| told >= settled)
    }
}

/// Days in a row, as many as one question may be about.
fn windows(days: &[Day], longest: i32) -> Vec<Days> {
    let mut windows: Vec<Days> = Vec::new();
    for &day in days {
        match windows.last_mut() {
            Some(last) if last.until == day && day.days() - last.from.days() < longest => last.until = day.next(),
            _ => windows.push(Days { from: day, until: day.next() }),
        }
    }
    windows
}

#[cfg(test)]
mod tests;
