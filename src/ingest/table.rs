//! The night of one table: its sources' files become its days' rows.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    sync::{Mutex, PoisonError},
};

use object_store::path::Path as BookPath;
use parquet::errors::ParquetError;

use super::{
    IngestError, Note, Options, Outcome,
    arrivals::{Arrivals, Waiting},
    day::{Context, SortedSlice, build, merge_slices},
    day_file::{DayFile, DayWriter, Place, place},
    files,
    pile::Pile,
    quarantine,
    reading::{self, Reading, Settings, Task, Watch},
    rows::{HTTP_STATUS, Row, Slot},
    seams::{self, Days, Seams},
    state::{self, Plan, SourceState, Stamp},
    texts::{TextCache, Texts},
    withdraw::Withdrawal,
};
use crate::{
    book::{Book, layout::DayTable},
    config::{Config, Source},
    record::USAGE,
    tally::IngestTally,
    time::{Day, Instant},
};

/// A row in the book takes about this much memory.
const ROW_BYTES: u64 = 110;

/// A record as it is stored: the names and values of its columns that are not null.
pub type Shown = Vec<(&'static str, String)>;

/// Ingests the sources of one table; returns the days whose rows changed.
pub(super) fn ingest(
    config: &Config,
    sources: &[&Source],
    table: DayTable,
    book: Option<&Book>,
    options: &Options,
    watch: &dyn Watch,
    outcome: &mut Outcome,
) -> Result<Vec<Day>, IngestError> {
    let table = Table { config, sources, table, book, options, watch };
    let mut states = BTreeMap::new();
    for source in sources {
        states.insert(source.name.as_str(), SourceState::load(book, &source.name)?);
    }
    let texts = Texts::default();
    let days = Days::list(book, table.table)?;
    let mut withdrawal = Withdrawal::none();
    if let Some(again) = options.again.as_ref().filter(|again| sources.iter().any(|source| source.name == again.source))
    {
        withdrawal = table.withdraw(again, &days, &texts, outcome)?;
    }
    let tasks = table.tasks(&states, withdrawal.is_some(), outcome);
    let noted = table.noted(&mut TextCache::new(&texts))?;
    if tasks.is_empty() && noted.is_empty() && !withdrawal.is_some() {
        return Ok(Vec::new());
    }
    let Reading { arrivals, files, first } =
        reading::read(&tasks, &texts, &table.settings(), &|row| withdrawal.wants(row), watch)?;
    let mut cache = TextCache::new(&texts);
    outcome.first.extend(first.heads().map(|(at, _)| shown(&first.row(at), &cache)));
    table.note_files(&tasks, &files, outcome);

    let mut waiting = Arrivals::gather(arrivals);
    let priorities = |name: &str| priority(sources, name);
    let withdrawn = |row: &Row<'_>, texts: &TextCache<'_>| withdrawal.takes(row, texts);
    let seams = seams::find(&days, &waiting, noted, &mut cache, &priorities, &withdrawn, &mut outcome.tally)?;
    let mut to_build: BTreeSet<Day> = waiting.keys().copied().chain(seams.changed.iter().copied()).collect();
    to_build.extend(withdrawal.days());

    let builder = Builder {
        table: &table,
        days: &days,
        texts: &texts,
        seams: &seams,
        priorities: &priorities,
        withdrawal: &withdrawal,
    };
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
    pub(super) table: DayTable,
    pub(super) book: Option<&'t Book>,
    pub(super) options: &'t Options,
    pub(super) watch: &'t dyn Watch,
}

fn priority(sources: &[&Source], name: &str) -> i64 {
    sources.iter().find(|source| source.name == name).map_or(0, |source| source.priority)
}

impl Table<'_> {
    /// The book, where this run may write to it.
    fn writable(&self) -> Option<&Book> {
        self.book.filter(|_| !self.options.dry_run)
    }

    fn spill_dir(&self) -> std::path::PathBuf {
        // On the book's own disk: a system's temporary directory may be memory.
        self.writable().map_or_else(std::env::temp_dir, |book| book.root().join("state"))
    }

    pub(super) fn settings(&self) -> Settings {
        // Days are built while others still wait: they share the rest.
        Settings { threads: self.options.threads, budget: self.options.memory / 5 * 2, spill_dir: self.spill_dir() }
    }

    /// The files that have something new. With `everything`, all files of all
    /// sources.
    fn tasks(&self, states: &BTreeMap<&str, SourceState>, everything: bool, outcome: &mut Outcome) -> Vec<Task<'_>> {
        let mut tasks = Vec::new();
        let only = self.options.source.as_deref().filter(|_| !everything);
        for &source in self.sources.iter().filter(|source| only.is_none_or(|only| only == source.name)) {
            outcome.tally.source(&source.name);
            let state = &states[source.name.as_str()];
            if !state.files.is_empty() && state.options != state::options_digest(source) && !everything {
                let message = format!(
                    "its options have changed since it was read: run `spendbook ingest --again --source {}` to read its old entries the new way",
                    source.name
                );
                outcome.notes.push(Note { source: source.name.clone(), file: None, message, is_failure: false });
            }
            for found in self.list(source, outcome) {
                let before = state.files.get(&found.name).cloned();
                let stamp_and_plan = Stamp::of(&found.path).and_then(|stamp| {
                    let plan = if everything { Plan::Read } else { state::plan(&found.path, &stamp, before.as_ref())? };
                    Ok((stamp, plan))
                });
                match stamp_and_plan {
                    Ok((_, Plan::Unchanged)) => self.unchanged(source, &found.name, before, outcome),
                    Ok((stamp, plan)) => {
                        tasks.push(Task { source, name: found.name, path: found.path, stamp, plan, before });
                    }
                    Err(error) => {
                        outcome.notes.push(failure(source, Some(&found.name), format!("cannot be read: {error}")))
                    }
                }
            }
        }
        tasks
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

    fn unchanged(&self, source: &Source, file: &str, before: Option<state::FileState>, outcome: &mut Outcome) {
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

    fn note_files(&self, tasks: &[Task<'_>], files: &[reading::ReadFile], outcome: &mut Outcome) {
        for (task, file) in tasks.iter().zip(files) {
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
    }

    /// Rows that an interrupted run noted as moving between days.
    fn noted(&self, texts: &mut TextCache<'_>) -> Result<Pile, IngestError> {
        let path = self.moves_file();
        let Some(book) = self.book else { return Ok(Pile::default()) };
        let Some(stored) = book.read(&path)? else { return Ok(Pile::default()) };
        let rows = DayFile::open(stored).and_then(|file| file.read(texts, &|_, _| true, &|_, _| true));
        rows.map_err(|source| IngestError::DayFile { path: path.to_string(), source })
    }

    fn moves_file(&self) -> BookPath {
        self.table.moves().join("rows.parquet")
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
        for (task, file) in tasks.iter().zip(files) {
            let name = task.source.name.as_str();
            if !withdrawal.reads_all_of(name) {
                continue; // Only some of its records were looked at.
            }
            let Some(earlier) = file.earlier else { continue };
            quarantine::store(book, name, &task.name, file.broken, earlier)?;
            if let Some(state) = states.get_mut(name) {
                if file.failure.is_none() || file.state.incomplete.is_some() {
                    state.files.insert(task.name.clone(), file.state);
                }
                if state.options.is_empty() || withdrawal.is_some() {
                    state.options = state::options_digest(task.source);
                }
            }
        }
        if !seams.moving.is_empty() {
            book.delete(&self.moves_file())?;
        }
        let read: HashSet<&str> = tasks.iter().map(|task| task.source.name.as_str()).collect();
        for (name, state) in states.iter().filter(|(name, _)| read.contains(*name)) {
            state.save(book, name)?;
        }
        Ok(())
    }
}

fn failure(source: &Source, file: Option<&str>, message: String) -> Note {
    Note { source: source.name.clone(), file: file.map(str::to_owned), message, is_failure: true }
}

/// Builds the days of a table, on every core.
struct Builder<'b> {
    table: &'b Table<'b>,
    days: &'b Days<'b>,
    texts: &'b Texts,
    seams: &'b Seams,
    priorities: &'b (dyn Fn(&str) -> i64 + Sync),
    withdrawal: &'b Withdrawal,
}

impl Builder<'_> {
    /// Writes the days between which rows move, so that a row is never in two
    /// of them, whenever this is interrupted: first a note of the rows, then
    /// the days, the latest first, since rows only move to earlier ones.
    fn move_rows(
        &self,
        waiting: &mut BTreeMap<Day, Waiting>,
        to_build: &mut BTreeSet<Day>,
        tally: &mut IngestTally,
    ) -> Result<Vec<Day>, IngestError> {
        if self.seams.moving.is_empty() {
            return Ok(Vec::new());
        }
        let mut cache = TextCache::new(self.texts);
        if let Some(book) = self.table.writable() {
            let path = self.table.moves_file();
            let noting = |source| IngestError::DayFile { path: path.to_string(), source };
            let mut writer = DayWriter::new(Vec::new(), &cache).map_err(noting)?;
            for (at, _) in self.seams.moving.heads() {
                writer.push(&self.seams.moving.row(at)).map_err(noting)?;
            }
            book.put(&path, writer.finish().map_err(noting)?.into())?;
        }
        let mut changed = Vec::new();
        for &day in self.seams.changed.iter().rev() {
            to_build.remove(&day);
            let arrived = waiting.remove(&day).unwrap_or_default();
            if self.build_day(day, arrived, &mut cache, tally)? {
                changed.push(day);
            }
        }
        Ok(changed)
    }

    fn build_all(
        &self,
        mut waiting: BTreeMap<Day, Waiting>,
        to_build: BTreeSet<Day>,
        tally: &mut IngestTally,
    ) -> Result<Vec<Day>, IngestError> {
        let queue: Vec<(Day, Waiting)> =
            to_build.into_iter().rev().map(|day| (day, waiting.remove(&day).unwrap_or_default())).collect();
        let threads = self.table.options.threads.clamp(1, queue.len().max(1));
        let queue = Mutex::new(queue);
        let results: Vec<Result<(Vec<Day>, IngestTally), IngestError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.build_from(&queue))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut changed = Vec::new();
        for result in results {
            let (days, more) = result?;
            changed.extend(days);
            tally.add(&more);
        }
        Ok(changed)
    }

    fn build_from(&self, queue: &Mutex<Vec<(Day, Waiting)>>) -> Result<(Vec<Day>, IngestTally), IngestError> {
        let mut cache = TextCache::new(self.texts);
        let (mut changed, mut tally) = (Vec::new(), IngestTally::default());
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((day, arrived)) = next else { return Ok((changed, tally)) };
            if self.build_day(day, arrived, &mut cache, &mut tally)? {
                changed.push(day);
            }
        }
    }

    /// Builds one day and writes it if it changed.
    fn build_day(
        &self,
        day: Day,
        arrived: Waiting,
        cache: &mut TextCache<'_>,
        tally: &mut IngestTally,
    ) -> Result<bool, IngestError> {
        let facts = self.days.open(day)?.map(|file| file.facts());
        let before = facts.map_or(0, |facts| facts.rows);
        let slice_bytes = (self.table.options.memory / 12).max(1 << 20) as u64;
        let slices = (arrived.bytes() as u64 + before * ROW_BYTES) / slice_bytes + 1;
        tally.day(day).before += before;
        let withdrawn_before = tally.day(day).withdrawn;

        let mut changed = self.seams.changed.contains(&day);
        let mut whole = None;
        let mut sorted = Vec::new();
        let mut rows = 0;
        let mut arrived = Some(arrived);
        for slice in 0..slices {
            let mine = |hash: u64| hash % slices == slice;
            let existing = self.existing(day, &mine, cache, tally)?;
            let arrived = match (&arrived, slices) {
                (Some(waiting), 2..) => waiting.select(&|head| mine(head.hash)),
                _ => arrived.take().unwrap_or_default().into_pile(),
            };
            let mut arrived = arrived.map_err(IngestError::Spill)?;
            arrived.remove(&self.seams.withheld);
            let mut settled = Pile::default();
            if let Some(pile) = self.seams.settled.get(&day) {
                pile.heads().filter(|(_, head)| mine(head.hash)).for_each(|(at, _)| {
                    settled.push(&pile.row(at));
                });
            }
            let context = Context { texts: cache, priorities: &self.priorities };
            let built = build(existing, arrived, settled, day, context, tally);
            changed |= built.changed;
            rows += built.len() as u64;
            if slices == 1 {
                whole = Some(built);
            } else {
                sorted.push(SortedSlice::write(&built, &self.table.spill_dir()).map_err(IngestError::Spill)?);
            }
        }
        tally.day(day).after += rows;
        changed |= tally.day(day).withdrawn > withdrawn_before;
        if let (true, Some(book)) = (changed, self.table.writable()) {
            let path = self.table.table.file(day);
            let mut writer = DayWriter::new(book.upload(&path)?, cache).map_err(|source| damaged(&path, source))?;
            let written = match &whole {
                Some(built) => built.rows().try_for_each(|row| writer.push(&row)),
                None => merge_slices(sorted, cache, |row| writer.push(row)),
            };
            written.map_err(|source| damaged(&path, source))?;
            writer.finish().map_err(|source| damaged(&path, source))?.finish()?;
        }
        Ok(changed)
    }

    /// A day's rows that stay: not withdrawn, and not settled elsewhere.
    fn existing(
        &self,
        day: Day,
        mine: &dyn Fn(u64) -> bool,
        cache: &mut TextCache<'_>,
        tally: &mut IngestTally,
    ) -> Result<Pile, IngestError> {
        let withdrawn: RefCell<BTreeMap<String, u64>> = RefCell::default();
        let wanted = |row: &Row<'_>, texts: &TextCache<'_>| {
            if !mine(row.hash) {
                return false;
            }
            if self.withdrawal.takes(row, texts) {
                let source = row.text(Slot::Source, texts).unwrap_or_default().to_owned();
                *withdrawn.borrow_mut().entry(source).or_default() += 1;
                return false;
            }
            !self.seams.withheld.contains(&row.hash)
        };
        let existing = self.days.read(day, cache, &|_, _| true, &wanted)?;
        for (source, count) in withdrawn.into_inner() {
            tally.source(&source).withdrawn += count;
            tally.day(day).withdrawn += count;
        }
        Ok(existing)
    }
}

fn damaged(path: &BookPath, source: ParquetError) -> IngestError {
    IngestError::DayFile { path: path.to_string(), source }
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> Self {
        Self::Spill(error)
    }
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
