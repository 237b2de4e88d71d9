//! Plays a history in a directory of its own, and holds every step of it
//! against the model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
};

use spendbook::{
    book::{Book, BookError},
    charges,
    clock::Clock,
    config::Config,
    ingest,
    money::Usd,
    night::{Night as Run, Prices, Watch},
    time::Instant,
};

use super::{
    history::{Extent, HOUR, History, Line, Night, Price, Step, Version, World},
    model::{self, Charge, GROUP, OF_USAGE, Row, Sums},
    store::{Fate, Faulty, Lie},
};
use crate::support::{TestRun, columns_of_table};

/// Where the book and the model differ.
pub(crate) type Difference = String;

/// A history that is being played.
struct Play {
    run: TestRun,
    world: World,
    now: i64,
    logs: BTreeMap<(usize, usize), Log>,
    /// Every record that a night has read to its end.
    known: Vec<Version>,
    lie: Option<Lie>,
}

/// A log file, and what of it is known to have been read.
#[derive(Debug, Default, Clone)]
struct Log {
    text: String,
    versions: Vec<Version>,
    /// What is missing of the last line, and what it will be.
    half: Option<(String, Version)>,
    read: usize,
}

const SOURCES: [&str; 2] = ["gateway", "edge"];

/// Plays it all.
///
/// # Errors
/// At the first difference.
pub(crate) fn play(history: &History, lie: Option<Lie>) -> Result<(), Difference> {
    let History { begins, world, steps } = history.clone();
    let mut play =
        Play { run: TestRun::in_memory(""), world, now: begins, logs: BTreeMap::new(), known: Vec::new(), lie };
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
            Step::Night(night) => return self.night(night),
        }
        Ok(())
    }

    fn write_config(&self) {
        let budget = |of: usize| {
            let dollars = self.world.budgets[of];
            dollars.map(|dollars| format!("monthly_budget_usd = \"{dollars}\"\n")).unwrap_or_default()
        };
        let readers = |line: &str| if self.world.extent == Extent::Whole { format!("{line}\n") } else { String::new() };
        let sources = SOURCES.map(|name| {
            format!(
                "[[source]]\nname = \"{name}\"\nformat = \"native\"\npath = \"{name}/*\"\nprovider = \"groq\"\n\
                 silent_after = \"400d\"\n"
            )
        });
        let config = [
            sources.concat(),
            format!("[organization]\n{}{}", budget(2), readers("finance = [\"finance@example.com\"]")),
            format!("[teams.chat]\n{}{}", budget(0), readers("owners = [\"chat@example.com\"]")),
            format!("[teams.lab]\n{}{}", budget(1), readers("owners = [\"lab@example.com\"]")),
            "[[key]]\nname = \"robot\"\nteam = \"lab\"\n".to_owned(),
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
        let fate = Arc::new(Fate::default());
        let (done, other) = thread::scope(|scope| {
            let other = night.is_double.then(|| scope.spawn(|| self.run_once(night, &Arc::new(Fate::default()))));
            let done = self.run_once(night, &fate);
            (done, other.map(|other| other.join().expect("a night does not panic")))
        });
        let is_marred = fate.is_marred() || other.is_some() && night.fault.is_some();
        for done in [Some(done), other].into_iter().flatten() {
            match done {
                // What failed is told.
                Ok(failures) if !is_marred && !failures.is_empty() => {
                    return Err(format!("failed without a reason: {failures:?}"));
                }
                Ok(_) | Err(BookError::Locked { .. }) => {}
                Err(_) if is_marred => {}
                Err(error) => return Err(format!("no night without a reason: {error}")),
            }
        }
        if is_marred {
            return self.check_whole().map_err(|difference| format!("{difference}\n{}", fate.log().join("\n")));
        }
        for log in self.logs.values_mut() {
            self.known.extend_from_slice(&log.versions[log.read..]);
            log.read = log.versions.len();
        }
        self.check().map_err(|difference| format!("{difference}\n{}", fate.log().join("\n")))
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

    /// After a night that came to its end: everything is there, exactly.
    fn check(&self) -> Result<(), Difference> {
        let charges = model::charges(&self.known, &self.world.prices, self.now);
        let rows: Vec<Row> = charges.iter().map(Charge::row).collect();
        same("charges", self.rows("charges", &Charge::COLUMNS), &rows)?;
        let of_usage = |row: &Row| {
            let mut row = row.clone();
            row.retain(|name, _| OF_USAGE.contains(&name.as_str()));
            row
        };
        same("usage", self.rows("usage", &OF_USAGE), &rows.iter().map(of_usage).collect::<Vec<_>>())?;
        let (found, expected) = (self.rollup(), model::rollup(&charges));
        if found != expected {
            return Err(format!("rollup:\nfound    {found:?}\nexpected {expected:?}"));
        }
        Ok(())
    }

    /// After a night that did not: every file is whole, no request is there
    /// twice, and none that was there is lost.
    fn check_whole(&self) -> Result<(), Difference> {
        let found = self.rows("usage", &["ts", "ts_last", "request_id"]);
        let mut spans: BTreeMap<&String, Vec<(&String, &String)>> = BTreeMap::new();
        for row in &found {
            spans.entry(&row["request_id"]).or_default().push((&row["ts"], &row["ts_last"]));
        }
        for (id, of_one) in &mut spans {
            of_one.sort();
            if of_one.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
                return Err(format!("{id} is in the book twice: {of_one:?}"));
            }
        }
        let ids: BTreeSet<&String> = spans.into_keys().collect();
        match self.known.iter().map(Version::request_id).find(|id| !ids.contains(id)) {
            Some(lost) => Err(format!("{lost} was in the book and is lost")),
            None => Ok(()),
        }
    }

    fn rows(&self, table: &str, names: &[&str]) -> Vec<Row> {
        columns_of_table(&self.run.path("book"), table, names)
    }

    fn rollup(&self) -> BTreeMap<Vec<String>, Sums> {
        let mut sums: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
        let names = [&GROUP[..], &["requests", "unpriced_requests", "cost"]].concat();
        for row in self.rows("rollup", &names) {
            let number = |name: &str| row[name].parse::<i64>().expect("a count");
            let cost = row.get("cost").map_or(0, |cost| Usd::parse(cost).expect("an amount").pico());
            let group = GROUP.map(|name| row.get(name).cloned().unwrap_or_default());
            let sum = sums.entry(group.to_vec()).or_default();
            sum.0 += number("requests");
            sum.1 += number("unpriced_requests");
            sum.2 += cost;
        }
        sums
    }
}

impl Log {
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
                Line::Broken(number) => self.text.push_str(&format!("{{\"ts\":{number},\"model\n")),
                Line::HealthCheck => self.text.push_str("{\"path\":\"/healthz\"}\n"),
            }
        }
    }
}

fn same(what: &str, mut found: Vec<Row>, expected: &[Row]) -> Result<(), Difference> {
    let mut expected = expected.to_vec();
    found.sort();
    expected.sort();
    if found == expected {
        return Ok(());
    }
    let only = |these: &[Row], those: &[Row]| {
        these.iter().filter(|row| !those.contains(row)).map(|row| format!("  {row:?}\n")).collect::<String>()
    };
    let (extra, missing) = (only(&found, &expected), only(&expected, &found));
    let counts = format!("{} rows, expected {}", found.len(), expected.len());
    Err(format!("{what}: {counts}\nfound:\n{extra}expected:\n{missing}"))
}
