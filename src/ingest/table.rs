//! The night of one table: its sources' files become its days' rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use object_store::path::Path as BookPath;

use super::{
    IngestError, Note, Options, Outcome,
    arrivals::Arrivals,
    builder::Builder,
    day_file::{DayFile, Place, place},
    files,
    frozen::Floor,
    http::{self, Endpoint, Pulls, Window},
    names::Names,
    pile::Pile,
    quarantine::{self, Earlier},
    reading::{self, Reading, Settings, Task, Watch},
    rows::{HTTP_STATUS, Row},
    seams::{self, Days, Seams},
    state::{self, Ending, Plan, SourceState, Stamp},
    texts::{TextCache, Texts},
    withdraw::Withdrawal,
};
use crate::{
    book::{Book, layout::DayTable},
    config::{Config, Source},
    floors::Floors,
    record::USAGE,
    time::{Day, Instant},
};

/// A record as it is stored: the names and values of its columns that are not null.
pub type Shown = Vec<(&'static str, String)>;

/// Ingests the sources of one table; returns the days whose rows changed.
pub(super) fn ingest(table: &Table<'_>, outcome: &mut Outcome) -> Result<Vec<Day>, IngestError> {
    let &Table { sources, book, options, watch, .. } = table;
    let mut states = BTreeMap::new();
    for source in sources {
        states.insert(source.name.as_str(), SourceState::load(book, &source.name)?);
    }
    let texts = Texts::default();
    let days = Days::list(book, table.days_of)?;
    let mut again = options.again.as_ref();
    if let Some(wanted) = again
        && !sources.iter().any(|source| source.name == wanted.source)
        && !Table::holds_rows_of(&wanted.source, &days, &texts)?
    {
        again = None;
    }
    let tasks = table.tasks(&states, again.is_some(), outcome);
    let withdrawal = match again {
        Some(again) => table.withdraw(again, &tasks, &days, &texts, outcome)?,
        None => Withdrawal::none(),
    };
    let noted = table.noted(&mut TextCache::new(&texts))?;
    if tasks.is_empty() && noted.is_empty() && !withdrawal.is_some() {
        return Ok(Vec::new());
    }
    let wants = |row: &Row<'_>| withdrawal.wants(row);
    let Reading { arrivals, files, first } =
        reading::read(&tasks, &texts, &table.settings()?, withdrawal.is_some().then_some(&wants), watch)?;
    let mut cache = TextCache::new(&texts);
    outcome.first.extend(first.heads().map(|(at, _)| shown(&first.row(at), &cache)));
    Table::note_files(&tasks, &files, outcome);

    let mut waiting = Arrivals::gather(arrivals);
    let priorities = |name: &str| priority(sources, name);
    let withdrawn = |row: &Row<'_>, texts: &TextCache<'_>| withdrawal.takes(row, texts);
    let mut to_build: BTreeSet<Day> = waiting.keys().copied().chain(withdrawal.days()).collect();
    let arrived = seams::Arrived { waiting: &waiting, noted: &noted, to_build: &to_build };
    let seams = seams::find(&days, &arrived, &mut cache, &priorities, &withdrawn, &mut outcome.tally)?;
    to_build.extend(&seams.changed);

    if withdrawal.is_some() {
        table.forget(&states)?;
    }
    let builder =
        Builder { table, days: &days, texts: &texts, seams: &seams, priorities: &priorities, withdrawal: &withdrawal };
    let mut changed = builder.move_rows(&mut waiting, &mut to_build, &mut outcome.tally)?;
    changed.extend(builder.build_all(waiting, to_build, &mut outcome.tally)?);
    table.finish(&tasks, files, states, &withdrawal, &seams)?;
    changed.sort_unstable();
    Ok(changed)
}

/// One table, and where its records come from.
pub(super) struct Table<'t> {
    pub(super) config: &'t Config,
    pub(super) sources: &'t [&'t Source],
    pub(super) days_of: DayTable,
    pub(super) book: Option<&'t Book>,
    pub(super) options: &'t Options,
    pub(super) pulls: &'t Pulls,
    pub(super) watch: &'t dyn Watch,
}

fn priority(sources: &[&Source], name: &str) -> i64 {
    sources.iter().find(|source| source.name == name).map_or(0, |source| source.priority)
}

impl Table<'_> {
    /// The book, where this run may write to it.
    pub(super) fn writable(&self) -> Option<&Book> {
        self.book.filter(|_| !self.options.dry_run)
    }

    pub(super) fn spill_dir(&self) -> std::path::PathBuf {
        // On the book's own disk: a system's temporary directory may be memory.
        self.writable().map_or_else(std::env::temp_dir, |book| book.root().join("state"))
    }

    pub(super) fn settings(&self) -> Result<Settings, IngestError> {
        // Days are built while others still wait: they share the rest.
        let (threads, budget) = (self.options.threads, self.options.memory / 5 * 2);
        let floors = self.book.map_or(Ok(Floors::default()), Floors::read)?;
        let floor = Floor::of(&floors, self.days_of);
        let (names, spill_dir, now) = (Names::of(self.config), self.spill_dir(), self.options.now);
        Ok(Settings { names, threads, budget, spill_dir, floor, now })
    }

    /// The files and windows that have something new. With `everything`, all of
    /// all sources.
    fn tasks(&self, states: &BTreeMap<&str, SourceState>, everything: bool, outcome: &mut Outcome) -> Vec<Task<'_>> {
        let mut tasks = Vec::new();
        let only = self.options.source.as_deref().filter(|_| !everything);
        for &source in self.sources.iter().filter(|source| only.is_none_or(|only| only == source.name)) {
            let state = &states[source.name.as_str()];
            if self.pulls.is_first_round() {
                outcome.tally.source(&source.name);
                if !everything {
                    self.note_options(source, state, outcome);
                }
            }
            match &source.remote {
                Some(_) => tasks.extend(self.windows(source, state, everything, outcome)),
                None if self.pulls.is_first_round() => tasks.extend(self.files(source, state, everything, outcome)),
                None => {}
            }
        }
        // Files first: they need not be waited for. Then day by day, so that no
        // source has to wait for all of another one.
        tasks.sort_by_key(Task::day);
        tasks
    }

    fn note_options(&self, source: &Source, state: &SourceState, outcome: &mut Outcome) {
        if !state.files.is_empty() && state.options != state::options_digest(source, self.config.privacy) {
            let message = format!(
                "its options have changed since it was read: run `spendbook ingest --again --source {}` to read its old entries the new way",
                source.name
            );
            outcome.notes.push(Note { source: source.name.clone(), file: None, message, is_failure: false });
        }
    }

    fn files<'s>(
        &self,
        source: &'s Source,
        state: &SourceState,
        everything: bool,
        outcome: &mut Outcome,
    ) -> Vec<Task<'s>> {
        let mut tasks = Vec::new();
        for found in self.list(source, outcome) {
            let before = state.files.get(&found.name).cloned();
            let stamp_and_plan = Stamp::of(&found.path).and_then(|stamp| {
                let plan = if everything {
                    // An entry that was taken as it stands stays taken.
                    let is_settled = before.as_ref().is_some_and(|before| before.stamp == stamp);
                    Plan::Read(if is_settled { Ending::Settled } else { Ending::Open })
                } else {
                    state::plan(&found.path, &stamp, before.as_ref())?
                };
                Ok((stamp, plan))
            });
            match stamp_and_plan {
                Ok((_, Plan::Unchanged)) => Self::unchanged(source, &found.name, before, outcome),
                Ok((stamp, plan)) => {
                    let recognised = before.and_then(|before| before.format);
                    tasks.push(Task::of_file(source, found, stamp, plan, recognised));
                }
                Err(error) => {
                    outcome.notes.push(failure(
                        source,
                        Some(&found.name),
                        format!("cannot be read: {error}: {}", files::cure_of(&error)),
                    ));
                }
            }
        }
        tasks
    }

    /// The windows of a source that are to be asked for in this round.
    fn windows<'s>(
        &self,
        source: &'s Source,
        state: &SourceState,
        everything: bool,
        outcome: &mut Outcome,
    ) -> Vec<Task<'s>> {
        let Some(remote) = &source.remote else { return Vec::new() };
        let endpoint = match self.pulls.endpoint(self.config, source, remote) {
            Ok(Some(endpoint)) if !endpoint.is_given_up() => endpoint,
            Ok(_) => return Vec::new(),
            Err(message) => {
                outcome.notes.push(failure(source, None, message));
                return Vec::new();
            }
        };
        if everything {
            return self.all_windows(source, &endpoint, state);
        }
        let state_of = |day| state.files.get(&Window::name_of(&endpoint, day));
        let asked_at = |day| state_of(day)?.asked_at.map(Instant::from_micros);
        let known = known_days(state, &endpoint).min();
        let mut tasks = Vec::new();
        for (day, is_wanted) in http::wanted(remote, self.options.now, known, asked_at) {
            if is_wanted {
                if self.pulls.begin(&source.name, day, tasks.len()) {
                    tasks.push(Task::of_window(source, Window { endpoint: endpoint.clone(), day }));
                }
            } else if self.pulls.is_first_round() {
                Self::unchanged(source, &Window::name_of(&endpoint, day), state_of(day).cloned(), outcome);
            }
        }
        tasks
    }

    /// Every window of a source that may hold versions of what is rebuilt.
    pub(super) fn all_windows<'s>(
        &self,
        source: &'s Source,
        endpoint: &std::sync::Arc<Endpoint>,
        state: &SourceState,
    ) -> Vec<Task<'s>> {
        let Some(remote) = &source.remote else { return Vec::new() };
        let wanted = http::wanted(remote, self.options.now, None, |_| None).into_iter().map(|(day, _)| day);
        let days: BTreeSet<Day> = known_days(state, endpoint).chain(wanted).collect();
        let is_near = |day: &Day| {
            self.options.again.as_ref().is_none_or(|again| {
                // A request whose versions lie across midnight.
                [day.previous(), *day, day.next()].into_iter().any(|day| again.covers(day))
            })
        };
        let task = |day| Task::of_window(source, Window { endpoint: endpoint.clone(), day });
        days.into_iter().filter(is_near).map(task).collect()
    }

    pub(super) fn list(&self, source: &Source, outcome: &mut Outcome) -> Vec<files::Found> {
        match files::list(&self.config.dir, &source.path) {
            Ok(found) => {
                if found.is_empty() {
                    let message = format!(
                        "no file matches `{}`: check `path`, which is relative to the config's directory",
                        source.path
                    );
                    outcome.notes.push(Note { source: source.name.clone(), file: None, message, is_failure: false });
                }
                found
            }
            Err(error) => {
                outcome.notes.push(failure(source, None, error.to_string()));
                Vec::new()
            }
        }
    }

    fn unchanged(source: &Source, file: &str, before: Option<state::FileState>, outcome: &mut Outcome) {
        let before = before.unwrap_or_default();
        let tally = outcome.tally.source(&source.name);
        tally.files_unchanged += 1;
        tally.lines_unchanged += before.lines;
        if let Some(what) = before.incomplete {
            outcome.notes.push(failure(
                source,
                Some(file),
                format!("{what}, as before: it is read again when it changes"),
            ));
        }
    }

    fn note_files(tasks: &[Task<'_>], files: &[reading::ReadFile], outcome: &mut Outcome) {
        let (windows, files): (Vec<_>, Vec<_>) = tasks.iter().zip(files).partition(|(task, _)| task.window.is_some());
        for (task, file) in files {
            outcome.tally.source(&task.source.name).add(&file.tally);
            let mut note = |message: String, is_failure| {
                let (source, file) = (task.source.name.clone(), Some(task.name.clone()));
                outcome.notes.push(Note { source, file, message, is_failure });
            };
            if let Some(failure) = &file.failure {
                note(failure.clone(), true);
            }
            if let Some(recognised) = &file.recognised {
                note(format!("read as {recognised}"), false);
            }
            let tally = &file.tally;
            let skipped: u64 = tally.skipped.values().sum();
            if skipped == tally.records && skipped > 0 && tally.broken == 0 {
                note(
                    format!("all {skipped} entries were skipped as no usage: is `{}` its format?", task.source.format),
                    false,
                );
            }
        }
        Self::note_windows(&windows, outcome);
    }

    /// Of windows that failed for the same reason one note is made.
    fn note_windows(windows: &[(&Task<'_>, &reading::ReadFile)], outcome: &mut Outcome) {
        let mut failed: Vec<(&Source, &str, Vec<Day>)> = Vec::new();
        for (task, file) in windows {
            outcome.tally.source(&task.source.name).add(&file.tally);
            let Some(day) = task.day() else { continue };
            let same = |&(source, message, _): &(&Source, &str, _)| {
                source.name == task.source.name && file.failure.as_deref().is_none_or(|failure| failure == message)
            };
            match (failed.iter_mut().find(|known| same(known)), &file.failure) {
                (Some((.., days)), Some(_)) => days.push(day),
                (Some((.., days)), None) if file.is_left => days.push(day),
                (None, Some(failure)) => failed.push((task.source, failure, vec![day])),
                _ => {}
            }
        }
        for (source, message, days) in failed {
            let days = match days.as_slice() {
                [first, .., last] => format!("{first} to {last}"),
                days => days.iter().map(Day::to_string).collect(),
            };
            outcome.notes.push(failure(source, Some(&days), message.to_owned()));
        }
    }

    /// Rows that an interrupted run noted as moving between days.
    fn noted(&self, texts: &mut TextCache<'_>) -> Result<Pile, IngestError> {
        let path = self.moves_file();
        let Some(book) = self.book else { return Ok(Pile::default()) };
        let Some(stored) = book.read(&path)? else { return Ok(Pile::default()) };
        let rows = DayFile::open(stored).and_then(|file| file.read(texts, &|_, _| true, &|_, _| true));
        rows.map_err(|source| IngestError::DayFile { path: path.to_string(), source })
    }

    pub(super) fn moves_file(&self) -> BookPath {
        self.days_of.moves().join("rows.parquet")
    }

    /// Lets a next run read everything, should this one be cut short between
    /// taking rows out of a day and putting them into another.
    fn forget(&self, states: &BTreeMap<&str, SourceState>) -> Result<(), IngestError> {
        let Some(book) = self.writable() else { return Ok(()) };
        for (name, state) in states {
            SourceState { options: state.options.clone(), files: BTreeMap::new() }.save(book, name)?;
        }
        Ok(())
    }

    /// Writes what a next run needs to know, last of all.
    fn finish(
        &self,
        tasks: &[Task<'_>],
        files: Vec<reading::ReadFile>,
        mut states: BTreeMap<&str, SourceState>,
        withdrawal: &Withdrawal,
        seams: &Seams,
    ) -> Result<(), IngestError> {
        let Some(book) = self.writable() else { return Ok(()) };
        for (task, mut file) in tasks.iter().zip(files) {
            let name = task.source.name.as_str();
            if !withdrawal.reads_all_of(name) {
                continue; // Only some of its records were looked at.
            }
            let Some(mut earlier) = file.earlier else { continue };
            if withdrawal.is_some() && file.failure.is_none() {
                earlier = Earlier::Nothing; // The options that it was refused by may be others now.
            }
            let state = states.get_mut(name);
            let before = state.as_ref().and_then(|state| state.files.get(&task.name));
            let counted = before.map(|before| before.more_broken.clone()).unwrap_or_default();
            file.state.more_broken = quarantine::store(book, name, &task.name, file.broken, earlier, &counted)?;
            if let Some(state) = state {
                if file.failure.is_none() || file.state.incomplete.is_some() {
                    state.files.insert(task.name.clone(), file.state);
                }
                if state.options.is_empty() || withdrawal.is_some() {
                    state.options = state::options_digest(task.source, self.config.privacy);
                }
            }
        }
        if !seams.moving.is_empty() {
            book.delete(&self.moves_file())?;
        }
        let read: HashSet<&str> = tasks.iter().map(|task| task.source.name.as_str()).collect();
        for (name, state) in states.iter().filter(|(name, _)| read.contains(*name) || withdrawal.is_some()) {
            state.save(book, name)?;
        }
        Ok(())
    }
}

/// The days of an endpoint that were ever asked for.
fn known_days(state: &SourceState, endpoint: &Endpoint) -> impl Iterator<Item = Day> {
    state.files.keys().filter_map(|name| Window::day_of(endpoint, name))
}

fn failure(source: &Source, file: Option<&str>, message: String) -> Note {
    Note { source: source.name.clone(), file: file.map(str::to_owned), message, is_failure: true }
}

/// A row's columns that are not null, in the schema's order.
fn shown(row: &Row<'_>, texts: &TextCache<'_>) -> Shown {
    let text = |slot| row.text(slot, texts).map(str::to_owned);
    let time = |micros| Some(Instant::from_micros(micros).to_string());
    let column = |place| match place {
        Place::Ts => time(row.ts),
        Place::TsLast => time(row.ts_last).filter(|_| row.ts_last != row.ts),
        Place::RequestId => Some(row.request_id.to_owned()),
        Place::Line => Some(row.line.to_string()),
        Place::Operation => Some(row.operation.name().to_owned()),
        Place::Status => Some(row.status.name().to_owned()),
        Place::Quality => Some(row.quality.name().to_owned()),
        Place::Streamed => row.streamed.map(|streamed| streamed.to_string()),
        Place::GatewayCache => row.gateway_cache.then(|| "true".to_owned()),
        Place::ReportedCost => row.reported_cost.map(|cost| cost.to_string()),
        Place::HttpStatus => row.numbers[HTTP_STATUS].map(|code| code.to_string()),
        Place::Word(slot) => text(slot),
        Place::Number(at) => row.numbers[at].map(|number| number.to_string()),
    };
    USAGE.iter().filter_map(|it| Some((it.name, column(place(it.name))?))).collect()
}
