//! Plays a history in a directory of its own, and holds every step of it
//! against the model.

use std::{collections::BTreeMap, sync::Arc, thread};

use spendbook::{
    book::{Book, BookError},
    charges,
    clock::Clock,
    config::Config,
    ingest,
    night::{Night as Run, Prices, Watch},
    time::Instant,
};

use super::{
    alerts::Events,
    audit::{SCOPES, Said},
    check::Before,
    history::{Extent, HOUR, History, LIMITS, Line, Night, Price, Step, Version, World},
    post::Post,
    store::{Fate, Faulty, Lie},
};
use crate::support::TestRun;

/// Where the book and the model differ.
pub(crate) type Difference = String;

/// A history that is being played.
pub(super) struct Play {
    pub(super) run: TestRun,
    pub(super) world: World,
    pub(super) now: i64,
    pub(super) logs: BTreeMap<(usize, usize), Log>,
    /// Every record that a night has read to its end.
    pub(super) known: Vec<Version>,
    /// What configs said of budgets and limits.
    pub(super) said: Said,
    /// What the book has committed of alerts.
    pub(super) events: Events,
    /// Where somebody reads mails.
    pub(super) post: Option<Post>,
    lie: Option<Lie>,
}

/// A log file, and what of it is known to have been read.
#[derive(Debug, Default, Clone)]
pub(super) struct Log {
    pub(super) text: String,
    versions: Vec<Version>,
    /// The numbers of lines that nobody can read.
    pub(super) broken: Vec<usize>,
    /// What is missing of the last line, and what it will be.
    half: Option<(String, Version)>,
    read: usize,
}

pub(super) const SOURCES: [&str; 2] = ["gateway", "edge"];

/// Plays it all.
///
/// # Errors
/// At the first difference.
pub(crate) fn play(history: &History, lie: Option<Lie>) -> Result<(), Difference> {
    let History { begins, world, steps } = history.clone();
    let mut play = Play {
        run: TestRun::in_memory(""),
        now: begins,
        logs: BTreeMap::new(),
        known: Vec::new(),
        said: Said::default(),
        events: Events::default(),
        post: (world.extent == Extent::Whole).then(Post::new),
        world,
        lie,
    };
    play.write_config();
    for (number, step) in steps.into_iter().enumerate() {
        play.step(step).map_err(|difference| format!("step {number}: {difference}"))?;
    }
    Ok(())
}

struct Quiet;

impl ingest::Watch for Quiet {
    fn read(&self, _bytes: u64) {}
    fn file(&self, _name: &str) {}
}

impl charges::Watch for Quiet {}

impl Watch for Quiet {
    fn reading(&self) -> Box<dyn ingest::Watch> {
        Box::new(Self)
    }
    fn pricing(&self) -> Box<dyn charges::Watch> {
        Box::new(Self)
    }
}

impl Play {
    fn step(&mut self, step: Step) -> Result<(), Difference> {
        match step {
            Step::Log { source, file, lines } => {
                self.logs.entry((source, file)).or_default().add(lines);
                self.write_log((source, file));
            }
            Step::Copy { source, file } => {
                if let Some(log) = self.logs.get(&(source, file)).cloned() {
                    let place = (source, self.logs.len() + 2);
                    self.logs.insert(place, Log { read: 0, ..log });
                    self.write_log(place);
                }
            }
            Step::Remove { source, file } => self.remove(source, file),
            Step::Price(price) => {
                self.world.prices.push(price);
                self.write_prices();
            }
            Step::Budget { of, dollars } => {
                self.world.budgets[of] = dollars;
                self.write_config();
            }
            Step::Limits { of, limits } => {
                self.world.limits[of] = limits;
                self.write_config();
            }
            Step::Thresholds(thresholds) => {
                self.world.thresholds = thresholds;
                self.write_config();
            }
            Step::Night(night) => return self.night(night),
        }
        Ok(())
    }

    fn write_config(&self) {
        let World { budgets, limits, thresholds, .. } = &self.world;
        let settings = |of: usize| {
            let budget = budgets[of].map(|dollars| format!("monthly_budget_usd = \"{dollars}\"\n"));
            let limits = LIMITS[of].iter().zip(limits[of]).filter_map(|(name, limit)| match (name, limit?) {
                (&"allowed_models", _) => Some("allowed_models = [\"alpha\"]\n".to_owned()),
                (name, limit) => Some(format!("{name} = {limit}\n")),
            });
            budget.into_iter().chain(limits).collect::<String>()
        };
        let readers = |line: &str| if self.post.is_some() { format!("{line}\n") } else { String::new() };
        let thresholds = thresholds.map(|it| format!("thresholds = {it:?}\n")).unwrap_or_default();
        let sources = SOURCES.map(|name| {
            format!(
                "[[source]]\nname = \"{name}\"\nformat = \"native\"\npath = \"{name}/*\"\nprovider = \"groq\"\n\
                 silent_after = \"400d\"\n"
            )
        });
        let told = readers("finance = [\"finance@example.com\"]\noperators = [\"ops@example.com\"]");
        let teams = [0, 1].map(|of| {
            let name = SCOPES[of].expect("a team has a name");
            format!("[teams.{name}]\n{}{}", settings(of), readers(&format!("owners = [\"{name}@example.com\"]")))
        });
        let config = [
            sources.concat(),
            format!("[organization]\n{thresholds}{}{told}", settings(2)),
            teams.concat(),
            "[[key]]\nname = \"robot\"\nteam = \"lab\"\n".to_owned(),
            self.post.as_ref().map(Post::config).unwrap_or_default(),
        ];
        self.run.write("spendbook.toml", config.concat());
        self.write_prices();
    }

    fn write_prices(&self) {
        let rows: String = self.world.prices.iter().map(Price::line).collect();
        self.run.write("pricing/groq.csv", format!("{}{rows}", crate::priced::PRICE_HEADER));
    }

    fn write_log(&self, place: (usize, usize)) {
        let (source, file) = place;
        self.run.write(&format!("{}/{file}.jsonl", SOURCES[source]), &self.logs[&place].text);
    }

    /// Only what was read to its end: what is gone before is not in the book.
    fn remove(&mut self, source: usize, file: usize) {
        let is_read = |log: &Log| log.half.is_none() && log.read == log.versions.len();
        if self.logs.get(&(source, file)).is_some_and(is_read) {
            self.logs.remove(&(source, file));
            self.run.remove(&format!("{}/{file}.jsonl", SOURCES[source]));
        }
    }

    /// A night, and whether all is as it should be after it.
    fn night(&mut self, night: Night) -> Result<(), Difference> {
        self.now += night.hours * HOUR;
        if let Some(post) = &self.post {
            post.misbehave(night.post);
        }
        let before = Before::of(self);
        let fate = Arc::new(Fate::default());
        let (done, other) = thread::scope(|scope| {
            let other = night.is_double.then(|| scope.spawn(|| self.run_once(night, &Arc::new(Fate::default()))));
            let done = self.run_once(night, &fate);
            (done, other.map(|other| other.join().expect("a night does not panic")))
        });
        let is_marred = fate.is_marred() || other.is_some() && night.fault.is_some();
        // Only of what it may have trouble with.
        let is_post = |failure: &String| self.post.is_some() && night.post.is_some() && failure.starts_with("deliver");
        for done in [Some(done), other].into_iter().flatten() {
            match done {
                // What failed is told.
                Ok(failures) if !is_marred && !failures.iter().all(is_post) => {
                    return Err(format!("failed without a reason: {failures:?}"));
                }
                Ok(_) | Err(BookError::Locked { .. }) => {}
                Err(_) if is_marred => {}
                Err(error) => return Err(format!("no night without a reason: {error}")),
            }
        }
        let told = |difference| format!("{difference}\n{}", fate.log().join("\n"));
        if is_marred {
            return self.check_marred(&before, night.post).map_err(told);
        }
        for log in self.logs.values_mut() {
            self.known.extend_from_slice(&log.versions[log.read..]);
            log.read = log.versions.len();
        }
        self.check(&before, night.post).map_err(told)?;
        if night.is_repeated { self.repeat(night) } else { Ok(()) }
    }

    /// Once more changes nothing, and tells nobody.
    fn repeat(&mut self, night: Night) -> Result<(), Difference> {
        let (before, arrived) = (self.lasting(), self.post.as_ref().map(Post::received));
        let night = Night { fault: None, is_double: false, ..night };
        self.run_once(night, &Arc::new(Fate::default())).map_err(|error| format!("no second night: {error}"))?;
        let after = self.lasting();
        // An entry without an end is broken once a second run finds it so.
        let is_settling = self.logs.values().any(Log::may_go_on);
        let is_new =
            |name: &&String| before.get(*name) != after.get(*name) && !(is_settling && name.starts_with("quarantine/"));
        if let Some(name) = after.keys().chain(before.keys()).find(is_new) {
            return Err(format!("a second night changed {name}"));
        }
        let now = self.post.as_ref().map(Post::received);
        if night.post.is_none() && arrived != now && !self.post.as_ref().is_some_and(Post::has_held_up) {
            return Err(format!("a second night sent mails: {arrived:?} and then {now:?}"));
        }
        Ok(())
    }

    fn run_once(&self, night: Night, fate: &Arc<Fate>) -> Result<Vec<String>, BookError> {
        let config = Config::load(&self.run.path("spendbook.toml")).expect("a config without mistakes");
        let root = self.run.path("book");
        let layer = |inner| {
            let fate = Arc::clone(fate);
            Arc::new(Faulty { inner, root: root.clone(), fault: night.fault, lie: self.lie, fate })
                as Arc<dyn object_store::ObjectStore>
        };
        let open = || Book::open_for_writing_over(&root, "a night", layer);
        let mut book = open();
        // A child that another test is just starting holds a copy of every lock.
        while matches!(book, Err(BookError::Locked { .. })) && !night.is_double {
            thread::sleep(std::time::Duration::from_millis(10));
            book = open();
        }
        let (book, now) = (book?, Instant::from_micros(self.now));
        if self.world.extent == Extent::Books {
            return Ok(self.books_only(&config, &book, now));
        }
        let clock = Clock::Pinned(now);
        let done = Run { config: &config, book: &book, clock: &clock, memory: 1 << 28 }.run(&Quiet)?;
        Ok(done.failures())
    }

    /// The two stages that make the books; what fails in them.
    fn books_only(&self, config: &Config, book: &Book, now: Instant) -> Vec<String> {
        let memory = self.world.memory;
        let options = ingest::Options { memory, threads: 1, ..ingest::Options::default() };
        let read = ingest::run(config, Some(book), &options, &Quiet);
        let prices = Prices::read(config).expect("a price book without mistakes");
        let options = charges::Options { threads: 1, ..charges::Options::known_on(now) };
        let applied = prices.apply(config, book, &options, &Quiet);
        let mut failures: Vec<String> = read.as_ref().err().map(ToString::to_string).into_iter().collect();
        match applied {
            Ok(done) => failures.extend(done.failed.values().map(ToString::to_string)),
            Err(error) => failures.push(error.to_string()),
        }
        failures
    }
}

impl Log {
    pub(super) fn lines(&self) -> usize {
        self.text.matches('\n').count()
    }

    /// Whether what ends it may be the beginning of something.
    fn may_go_on(&self) -> bool {
        self.half.is_some() || self.broken.last() == Some(&self.lines())
    }

    fn add(&mut self, lines: Vec<Line>) {
        if let Some((rest, version)) = self.half.take() {
            self.text.push_str(&rest);
            self.versions.push(version);
        }
        for line in lines {
            // A half line is the last one.
            match line {
                Line::Request(version) => {
                    self.text.push_str(&version.line());
                    self.versions.push(version);
                }
                Line::Half(version) => {
                    let line = version.line();
                    let (written, rest) = line.split_at(line.len() / 2);
                    self.text.push_str(written);
                    self.half = Some((rest.to_owned(), version));
                    return;
                }
                Line::Broken(number) => {
                    self.broken.push(1 + self.lines());
                    self.text.push_str(&format!("{{\"ts\":{number},\"model\n"));
                }
                Line::HealthCheck => self.text.push_str("{\"path\":\"/healthz\"}\n"),
            }
        }
    }
}
