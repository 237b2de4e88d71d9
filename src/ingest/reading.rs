//! Reading: the files of all sources, block by block, on every core.
//!
//! Threads take blocks from one queue (reading and cutting is quick), parse
//! them, and pile the records up by day. What happened to each file is noted
//! beside it: its accounts, its broken entries, how far it was read.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    IngestError,
    arrivals::Arrivals,
    detect::{Undetected, detect},
    files,
    formats::{self, Format, Reject, Skip},
    framing::{Block, Framer, Progress, Shape},
    frozen::{Floor, PRUNED},
    http::{self, Feed, Message, Page, Window},
    local_times::TimeRead,
    names::Names,
    parse::{Outcomes, Parser},
    pile::Pile,
    quarantine::{Broken, BrokenFile, Earlier},
    rows::{Provenance, Row, Slot, Word, pack_record, word},
    state::{Ending, FileState, Plan, Stamp},
    texts::{TextCache, Texts},
};
use crate::{
    config::{Source, Users},
    record::UsageRecord,
    tally::SourceTally,
    time::{Day, Instant},
};

/// One file that is to be read.
#[derive(Debug)]
pub struct Task<'s> {
    pub source: &'s Source,
    pub name: String,
    pub path: PathBuf,
    pub stamp: Stamp,
    pub plan: Plan,
    /// For `auto`: what an earlier run took a file of this name for.
    pub recognised: Option<String>,
    /// What is asked for over HTTP, where it is no file.
    pub(super) window: Option<Window>,
}

impl<'s> Task<'s> {
    pub(super) fn of_file(
        source: &'s Source,
        found: files::Found,
        stamp: Stamp,
        plan: Plan,
        recognised: Option<String>,
    ) -> Self {
        Self { source, name: found.name, path: found.path, stamp, plan, recognised, window: None }
    }

    pub(super) fn of_window(source: &'s Source, window: Window) -> Self {
        let (name, plan) = (window.name(), Plan::Read(Ending::Settled));
        let window = Some(window);
        Self { source, name, path: PathBuf::new(), stamp: Stamp::default(), plan, recognised: None, window }
    }

    /// As `source_file` has it.
    pub(super) fn file(&self) -> &str {
        self.window.as_ref().map_or(&self.name, |window| window.endpoint.place())
    }

    /// The day that is asked for, where it is no file.
    pub(super) fn day(&self) -> Option<Day> {
        self.window.as_ref().map(|window| window.day)
    }
}

/// What reading a file came to.
#[derive(Debug, Default)]
pub struct ReadFile {
    pub tally: SourceTally,
    pub broken: BrokenFile,
    pub earlier: Option<Earlier>,
    pub state: FileState,
    /// Why it could not be read, or not to its end.
    pub failure: Option<String>,
    /// For `auto`: what the file was taken for, and why.
    pub recognised: Option<String>,
    /// It was not asked for: its source is out of reach.
    pub is_left: bool,
}

/// Everything that was read.
#[derive(Debug)]
pub struct Reading {
    pub arrivals: Vec<Arrivals>,
    /// By the number of the task.
    pub files: Vec<ReadFile>,
    /// The first few records, as they would be stored.
    pub first: Pile,
}

/// How to read.
#[derive(Debug, Clone)]
pub struct Settings {
    pub names: Names,
    pub threads: usize,
    /// Bytes of rows that may wait in memory, on all threads together.
    pub budget: usize,
    pub spill_dir: PathBuf,
    /// Records below it are not taken in again.
    pub floor: Floor,
    /// When what is asked for now was asked for.
    pub now: Instant,
}

/// How many of the first records are kept to be shown.
const SHOWN: usize = 5;

/// Told of every block that was read: how many bytes of which file.
pub trait Watch: Sync {
    fn read(&self, bytes: u64);
    fn file(&self, name: &str);
}

/// Which rows are kept; all of them where it does not say.
pub type Keep<'k> = Option<&'k (dyn Fn(&Row<'_>) -> bool + Sync)>;

/// Reads all tasks.
///
/// # Errors
/// Where rows that do not fit in memory cannot be spilled.
pub fn read(
    tasks: &[Task<'_>],
    texts: &Texts,
    settings: &Settings,
    keep: Keep<'_>,
    watch: &dyn Watch,
) -> Result<Reading, IngestError> {
    let queue = Mutex::new(Queue {
        tasks,
        next: 0,
        open: None,
        files: tasks.iter().map(|_| ReadFile::default()).collect(),
        feed: Feed::new(tasks.iter().enumerate().filter_map(|(at, task)| Some((at, task.window.clone()?)))),
        now: settings.now,
    });
    let failed = AtomicBool::new(false);
    let results: Vec<Result<Worker<'_>, io::Error>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..settings.threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let worker = Worker::run(&queue, tasks, texts, settings, keep, watch, &failed);
                    failed.fetch_or(worker.is_err(), Ordering::Relaxed);
                    worker
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut files = queue.into_inner().unwrap_or_else(PoisonError::into_inner).files;
    let mut reading = Reading { arrivals: Vec::new(), files: Vec::new(), first: Pile::default() };
    let mut firsts = Vec::new();
    for worker in results {
        let worker = worker.map_err(IngestError::Spill)?;
        for (number, noted) in worker.noted {
            let file = &mut files[number];
            file.tally.add(&noted.tally);
            file.broken.append(noted.broken);
            file.state.pending += noted.pending;
        }
        reading.arrivals.push(worker.arrivals);
        firsts.extend(worker.first);
    }
    firsts.sort_by_key(|(order, _)| *order);
    for (_, packed) in firsts.into_iter().take(SHOWN) {
        reading.first.push_chunk(packed);
    }
    reading.files = files;
    Ok(reading)
}

/// The blocks of all files, one after the other.
struct Queue<'q> {
    tasks: &'q [Task<'q>],
    next: usize,
    open: Option<Open>,
    files: Vec<ReadFile>,
    feed: Feed,
    now: Instant,
}

/// A file that is being read.
struct Open {
    task: usize,
    framer: Framer<Box<dyn Read + Send>>,
    format: &'static dyn Format,
    settled: bool,
    resumable: bool,
    /// Read ahead, to recognise the format.
    ahead: Option<Block>,
}

/// What is read at once: of a file, or of an answer.
enum Piece {
    Block(Block),
    Page(Page),
}

/// A piece, and how to read it.
struct Work {
    task: usize,
    piece: Piece,
    format: &'static dyn Format,
    shape: Shape,
    settled: bool,
}

impl Queue<'_> {
    /// The next piece; `done` is one that is no longer needed.
    fn next(&mut self, done: Option<Work>, watch: &dyn Watch) -> Option<Work> {
        // They are waited for while files are read.
        self.feed.begin();
        match done.map(|work| (work.piece, &self.tasks[work.task].window)) {
            Some((Piece::Block(block), _)) => {
                if let Some(open) = &mut self.open {
                    open.framer.give_back(block);
                }
            }
            Some((Piece::Page(page), Some(window))) => window.endpoint.give_back(page),
            Some((Piece::Page(_), None)) | None => {}
        }
        self.next_of_files(watch).or_else(|| self.next_of_windows(watch))
    }

    fn next_of_files(&mut self, watch: &dyn Watch) -> Option<Work> {
        loop {
            let Some(open) = self.open.as_mut() else {
                self.open_next(watch)?;
                continue;
            };
            let before = open.framer.progress().bytes;
            let block = open.ahead.take().or_else(|| open.framer.next_block());
            watch.read(open.framer.progress().bytes - before);
            if let Some(block) = block {
                let (task, format, settled) = (open.task, open.format, open.settled);
                let (piece, shape) = (Piece::Block(block), open.framer.shape());
                return Some(Work { task, piece, format, shape, settled });
            }
            if let Some(open) = self.open.take() {
                self.close(open);
            }
        }
    }

    /// Opens the next file, if it can; `None` after the last.
    fn open_next(&mut self, watch: &dyn Watch) -> Option<()> {
        let task = self.next;
        let file = self.tasks.get(task)?;
        self.next += 1;
        if file.window.is_some() {
            return Some(());
        }
        watch.file(&file.name);
        match open(file, &mut self.files[task]) {
            Ok(open) => self.open = open.map(|open| Open { task, ..open }),
            Err(error) => {
                self.files[task].failure = Some(format!("cannot be read: {error}: {}", files::cure_of(&error)));
            }
        }
        Some(())
    }

    fn next_of_windows(&mut self, watch: &dyn Watch) -> Option<Work> {
        loop {
            match self.feed.next()? {
                (task, Message::Page(page)) => {
                    watch.read(page.bytes() as u64);
                    let format = formats::by_name(&self.tasks[task].source.format).unwrap_or(&formats::native::Native);
                    let piece = Piece::Page(page);
                    return Some(Work { task, piece, format, shape: Shape::Array, settled: true });
                }
                (task, Message::End(ending)) => {
                    watch.file(&self.tasks[task].name);
                    self.close_window(task, ending);
                }
            }
        }
    }

    fn close_window(&mut self, task: usize, ending: http::Ending) {
        let file = &mut self.files[task];
        if ending.is_left {
            file.is_left = true;
            return;
        }
        file.tally.files_read = 1;
        // What an earlier asking set aside and this one did not is understood
        // now, if this one came to the end.
        file.earlier = Some(if ending.failure.is_some() { Earlier::Whole } else { Earlier::Nothing });
        file.failure = ending.failure;
        file.state.bytes = ending.bytes;
        file.state.lines = ending.items;
        file.state.asked_at = Some(self.now.micros()).filter(|_| !ending.is_moving);
    }

    fn close(&mut self, mut open: Open) {
        let task = &self.tasks[open.task];
        let file = &mut self.files[open.task];
        let progress = open.framer.progress();
        file.state.stamp = task.stamp.clone();
        file.state.bytes = progress.bytes;
        file.state.lines = progress.lines;
        file.state.digest = progress.digest;
        file.state.resumable = open.resumable && open.framer.is_resumable();
        if let Some(error) = open.framer.failure() {
            let what =
                if error.kind() == io::ErrorKind::UnexpectedEof { "is cut off".to_owned() } else { error.to_string() };
            // What the system could not read may be there the next time; what is
            // wrong with the file itself stays until the file is another one.
            let stays = error.raw_os_error().is_none();
            let when = if stays { "when it changes" } else { "in the next run" };
            file.failure = Some(format!("{what}: what came before is kept, and it is read again {when}"));
            file.state.incomplete = Some(what).filter(|_| stays);
        }
    }
}

/// Opens a task's file; `None` where there is nothing to read in it.
fn open(task: &Task<'_>, file: &mut ReadFile) -> io::Result<Option<Open>> {
    let (packing, mut input) = files::open(&task.path)?;
    let resumable = packing == files::Packing::Plain;
    file.tally.files_read = 1;
    let (resume, ending) = match &task.plan {
        Plan::GoOn(progress, digest, ending) => (Some((*progress, (**digest).clone())), *ending),
        Plan::Read(ending) => (None, *ending),
        Plan::Unchanged => return Ok(None),
    };
    file.earlier = Some(match &resume {
        Some((progress, _)) => Earlier::UpTo(progress.lines),
        None => Earlier::Whole,
    });
    let declared = formats::by_name(&task.source.format);
    let reads_csv = declared.is_none_or(Format::reads_csv);
    let framer = match resume {
        Some((progress, digest)) => {
            file.tally.lines_unchanged = progress.lines;
            skip_bytes(&mut input, progress)?;
            Framer::resume(input, progress, digest)
        }
        None => Framer::new(input, reads_csv),
    };
    let mut open = Open {
        task: 0,
        framer,
        format: &formats::native::Native,
        settled: ending == Ending::Settled,
        resumable,
        ahead: None,
    };
    if let Some(format) = declared {
        open.format = format;
    } else {
        // What comes after the lines that were read is in their format.
        let known = task.recognised.as_deref().filter(|_| matches!(task.plan, Plan::GoOn(..)));
        recognise(&mut open, known, file)?;
    }
    Ok(Some(open))
}

/// Finds out the format of a file; reads ahead for that, where it is not `known`.
fn recognise(open: &mut Open, known: Option<&str>, file: &mut ReadFile) -> io::Result<()> {
    let mut name = known.and_then(formats::by_name).map(Format::name);
    if name.is_none() {
        open.ahead = open.framer.next_block();
        // A file that holds nothing whole yet has no format, and needs none.
        let Some(block) = open.ahead.as_ref() else { return Ok(()) };
        match detect(block, open.framer.shape()) {
            Ok(detection) => {
                file.recognised = Some(detection.to_string());
                name = Some(detection.format);
            }
            Err(Undetected::Empty) if block.is_tail() => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    file.state.format = name.map(str::to_owned);
    open.format = name.and_then(formats::by_name).ok_or_else(|| io::Error::other("no such format"))?;
    Ok(())
}

fn skip_bytes(input: &mut dyn Read, progress: Progress) -> io::Result<()> {
    io::copy(&mut input.take(progress.bytes), &mut io::sink()).map(drop)
}

/// What a thread noted of a file.
#[derive(Debug, Default)]
struct Noted {
    tally: SourceTally,
    broken: BrokenFile,
    pending: u64,
}

/// One thread: its texts, its piles, and what it noted.
struct Worker<'t> {
    texts: TextCache<'t>,
    arrivals: Arrivals,
    noted: HashMap<usize, Noted>,
    first: Vec<((usize, u64), Vec<u8>)>,
    failure: Option<io::Error>,
}

impl<'t> Worker<'t> {
    fn run(
        queue: &Mutex<Queue<'_>>,
        tasks: &[Task<'_>],
        texts: &'t Texts,
        settings: &Settings,
        keep: Keep<'_>,
        watch: &dyn Watch,
        failed: &AtomicBool,
    ) -> io::Result<Self> {
        let mut worker = Worker {
            texts: TextCache::new(texts),
            arrivals: Arrivals::new(settings.budget / settings.threads.max(1), &settings.spill_dir),
            noted: HashMap::new(),
            first: Vec::new(),
            failure: None,
        };
        let mut done = None;
        while !failed.load(Ordering::Relaxed) {
            let work = queue.lock().unwrap_or_else(PoisonError::into_inner).next(done.take(), watch);
            let Some(work) = work else { break };
            let task = &tasks[work.task];
            let mut noted = worker.noted.remove(&work.task).unwrap_or_default();
            let mut parser = Parser::new(task.source, work.format, task.file(), work.shape, work.settled)
                .with_names(&settings.names);
            let [source, file] = [(Slot::Source, &*task.source.name), (Slot::File, task.file())]
                .map(|(slot, text)| word(slot, text, &mut worker.texts));
            let mut booking = Booking {
                worker: &mut worker,
                noted: &mut noted,
                task: work.task,
                source,
                file,
                users: settings.names.users(),
                floor: &settings.floor,
                keep,
            };
            match &work.piece {
                Piece::Block(block) => parser.block(block, &mut booking),
                Piece::Page(page) => parser.page(page, &mut booking),
            }
            worker.noted.insert(work.task, noted);
            done = Some(work);
            if let Some(error) = worker.failure.take() {
                return Err(error);
            }
        }
        Ok(worker)
    }
}

/// Books what one block holds.
struct Booking<'b, 't> {
    worker: &'b mut Worker<'t>,
    noted: &'b mut Noted,
    task: usize,
    source: Word<'b>,
    file: Word<'b>,
    users: Users,
    floor: &'b Floor,
    keep: Keep<'b>,
}

impl Outcomes for Booking<'_, '_> {
    fn record(&mut self, line: u64, record: &UsageRecord<'_>, time: TimeRead) {
        let worker = &mut *self.worker;
        let from = Provenance { source: self.source, file: self.file, line };
        let mut packed = Vec::new();
        if let Some(keep) = self.keep {
            pack_record(record, from, &mut worker.texts, &mut packed);
            if !keep(&Row::unpack(&packed)) {
                return;
            }
        }
        if self.floor.shuts_out(record) {
            return self.noted.tally.skip(PRUNED);
        }
        self.noted.tally.records += 1;
        self.noted.tally.doubtful_times += u64::from(time == TimeRead::Doubtful);
        if worker.first.len() < SHOWN {
            packed.clear();
            pack_record(record, from, &mut worker.texts, &mut packed);
            worker.first.push(((self.task, line), packed));
        }
        if let Err(error) = worker.arrivals.push(record, from, &mut worker.texts) {
            worker.failure = Some(error);
        }
    }

    fn skip(&mut self, _line: u64, reason: Skip) {
        self.noted.tally.skip(reason.name());
    }

    fn reject(&mut self, line: u64, reject: Reject, raw: &[u8]) {
        self.noted.tally.quarantine(reject.reason.name());
        self.noted.broken.add(Broken::new(line, &reject, raw, self.users));
    }

    fn pending(&mut self, _line: u64) {
        self.noted.tally.pending += 1;
        self.noted.pending += 1;
    }
}
