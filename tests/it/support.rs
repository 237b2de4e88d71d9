//! What the tests of the whole program share: a directory with a config, logs
//! and a book; the real binary in an empty environment at a fixed time; and the
//! book read back with arrow, as an analyst would, not with our own reader.

pub(crate) mod provider;
pub(crate) mod smtp;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Date32Type, Decimal128Type, Int16Type, Int64Type, TimestampMicrosecondType},
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use spendbook::{
    book::{Book, BookError},
    config::Config,
    ingest::{Options, Outcome, Watch},
    money::Usd,
    time::{Day, Instant},
};
use tempfile::TempDir;

/// When every run takes place.
pub(crate) const NOW: &str = "2026-06-10T04:00:00Z";

/// One source of plain logs: what most tests need.
pub(crate) const CONFIG: &str = r#"
[book]
path = "book"

[[source]]
name = "gateway"
format = "native"
path = "logs/*"
provider = "groq"
"#;

/// Where a row was read: the columns that may differ between two books of the
/// same requests.
const PROVENANCE: [&str; 2] = ["source_file", "source_line"];

/// A directory of its own, with a config, logs and a book.
#[derive(Debug)]
pub(crate) struct TestRun {
    dir: TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; -1 where a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        assert!(!ran.stderr.contains("panicked") && ran.code != 101, "{ran:?}");
        ran
    }

    /// Everything it said, with what differs between machines and versions
    /// filtered: the one place for such filters.
    pub(crate) fn said(&self, run: &TestRun) -> String {
        format!("{}{}", self.stdout, self.stderr)
            .replace(&run.dir().display().to_string(), "<dir>")
            .replace(env!("CARGO_PKG_VERSION"), "<version>")
    }
}

impl TestRun {
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    pub(crate) fn with(config: &str) -> Self {
        Self::at(tempfile::tempdir(), config)
    }

    /// For many small books: where memory can be had as a disk, syncing is free.
    pub(crate) fn in_memory(config: &str) -> Self {
        Self::at(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()), config)
    }

    /// A directory with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn at(dir: std::io::Result<TempDir>, config: &str) -> Self {
        let run = Self { dir: dir.expect("a temporary directory") };
        run.write("spendbook.toml", config);
        run
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the directory")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }

    pub(crate) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).open(self.path(name)).expect("a file that is there");
        file.write_all(bytes.as_ref()).expect("room for it");
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it is there");
    }

    /// The program with these arguments: nothing of this environment, and a
    /// fixed time.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_at(NOW, arguments)
    }

    /// The same, at another time than [`NOW`].
    pub(crate) fn command_at(&self, now: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spendbook"));
        command.args(["--now", now]).args(arguments);
        self.surround(&mut command);
        command
    }

    /// The program, started by a shell that first does something to itself.
    pub(crate) fn command_after(&self, shell: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_spendbook");
        command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\""), program, "--now", NOW]).args(arguments);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.current_dir(self.dir()).env_clear().stdin(Stdio::null());
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().expect("the program starts"))
    }

    /// The program, at another time than [`NOW`].
    pub(crate) fn run_at(&self, now: &str, arguments: &[&str]) -> Ran {
        Ran::of(&self.command_at(now, arguments).output().expect("the program starts"))
    }

    /// An ingest that succeeds; what it said.
    pub(crate) fn ingest(&self) -> String {
        let ran = self.run(&["ingest"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    }

    /// The latest run's record in the book.
    pub(crate) fn record(&self) -> serde_json::Value {
        let mut runs: Vec<_> = files_below(&self.path("book/runs")).into_iter().collect();
        runs.sort_by_key(|(name, _)| {
            let number = name.trim_end_matches(".json").rsplit('-').next().map(str::parse::<u64>);
            number.and_then(Result::ok)
        });
        let (_, bytes) = runs.pop().expect("a run has been recorded");
        serde_json::from_slice(&bytes).expect("a run's record is JSON")
    }

    /// The latest run's accounts of a source, zeros left out:
    /// `kept 3, duplicate 1, skipped not_usage 2`.
    pub(crate) fn accounts(&self, source: &str) -> String {
        let record = self.record();
        let tally = record["accounts"]["sources"][source].as_object().expect("the source is in the accounts");
        let count = |name: &str| tally[name].as_u64().filter(|&count| count > 0);
        let mut parts = Vec::new();
        for name in [
            "files_unchanged",
            "lines_unchanged",
            "pending",
            "kept",
            "duplicate",
            "superseded",
            "conflict",
            "doubtful_times",
            "withdrawn",
            "skipped",
            "quarantined",
        ] {
            parts.extend(count(name).map(|count| format!("{name} {count}")));
            for (reason, count) in tally[name].as_object().into_iter().flatten() {
                parts.push(format!("{name} {reason} {count}"));
            }
        }
        parts.join(", ")
    }

    /// What is in quarantine, sorted: `file:line reason: detail`.
    pub(crate) fn quarantine(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for bytes in files_below(&self.path("book/quarantine")).values() {
            for line in String::from_utf8_lossy(bytes).lines() {
                let entry: serde_json::Value = serde_json::from_str(line).expect("quarantine is JSON lines");
                let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
                lines.push(format!("{}:{} {}: {}", text("file"), entry["line"], text("reason"), text("detail")));
            }
        }
        lines.sort();
        lines
    }

    /// All rows of a table as text, sorted, every column that is not null.
    pub(crate) fn rows_with_provenance(&self, table: &str) -> Vec<String> {
        rows_of_table(&self.path("book"), table, &[])
    }

    /// All rows of a table as text, sorted, but for where they were read.
    pub(crate) fn rows(&self, table: &str) -> Vec<String> {
        rows_of_table(&self.path("book"), table, &PROVENANCE)
    }

    /// The bytes of every table's files, and of quarantine.
    pub(crate) fn tables(&self) -> BTreeMap<String, Vec<u8>> {
        tables(&self.path("book"))
    }
}

/// How often a test with chance in it tries: a few times, or as often as the
/// variable says, for a long run.
#[expect(clippy::disallowed_methods, reason = "it is for the tests alone, the program does not read it")]
pub(crate) fn times(variable: &str, few: u32) -> u32 {
    std::env::var(variable).map_or(few, |times| times.parse().expect("a number of times"))
}

/// The book, under its lock. A child that another test is just starting has a
/// copy of every open file until it becomes its program, the last lock too.
pub(crate) fn book(dir: &Path) -> Book {
    for _ in 0..500 {
        match Book::open_for_writing(dir, "a test") {
            Err(BookError::Locked { .. }) => std::thread::sleep(std::time::Duration::from_millis(10)),
            book => return book.expect("a book that can be written"),
        }
    }
    panic!("the book stays locked");
}

/// Ingests by the library, with any memory and number of threads.
pub(crate) fn ingest(run: &TestRun, memory: usize, threads: usize) -> Outcome {
    let config = Config::load(&run.path("spendbook.toml")).expect("a config without mistakes");
    let book = book(&run.path("book"));
    let options = Options { memory, threads, ..Options::default() };
    spendbook::ingest::run(&config, Some(&book), &options, &Silent).expect("it can be ingested")
}

#[derive(Debug)]
pub(crate) struct Silent;

impl Watch for Silent {
    fn read(&self, _bytes: u64) {}
    fn file(&self, _name: &str) {}
}

/// The bytes of every table's files, and of quarantine, by their names.
pub(crate) fn tables(book: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for table in ["usage", "checks", "quarantine"] {
        all.extend(files_below(&book.join(table)).into_iter().map(|(name, bytes)| (format!("{table}/{name}"), bytes)));
    }
    all
}

/// That two books are the same, byte for byte; says which file is not.
pub(crate) fn assert_same_bytes(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    context: &str,
) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{context}");
    for (name, bytes) in found {
        assert!(*bytes == expected[name], "{context}: {name} differs");
    }
}

/// Every file below a directory, by its name in it; none where it is missing.
pub(crate) fn files_below(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else { return files };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_below(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            files.insert(name, fs::read(&path).expect("a readable file"));
        }
    }
    files
}

pub(crate) fn rows_of_table(book: &Path, table: &str, without: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for (name, bytes) in files_below(&book.join(table)).into_iter().filter(|(name, _)| name.ends_with(".parquet")) {
        rows.extend(rows_of_file(bytes, without).unwrap_or_else(|error| panic!("{table}/{name}: {error}")));
    }
    rows.sort();
    rows
}

/// The rows of one Parquet file, in its order: `name=value` of every column
/// that is not null.
pub(crate) fn rows_of_file(bytes: Vec<u8>, without: &[&str]) -> Result<Vec<String>, parquet::errors::ParquetError> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))?.build()? {
        let batch = batch?;
        rows.extend((0..batch.num_rows()).map(|row| row_text(&batch, row, without)));
    }
    Ok(rows)
}

/// Some columns of every row of a table, by their names; what is null is left out.
pub(crate) fn columns_of_table(book: &Path, table: &str, names: &[&str]) -> Vec<BTreeMap<String, String>> {
    let files = files_below(&book.join(table)).into_iter().filter(|(name, _)| name.ends_with(".parquet"));
    files.flat_map(|(_, bytes)| cells(bytes, Some(names))).collect()
}

/// The rows of one Parquet file, each by the names of its columns, without what
/// is null.
pub(crate) fn cells_of_file(bytes: Vec<u8>) -> Vec<BTreeMap<String, String>> {
    cells(bytes, None)
}

fn cells(bytes: Vec<u8>, names: Option<&[&str]>) -> Vec<BTreeMap<String, String>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("a Parquet file");
    let mask = match names {
        Some(names) => ProjectionMask::columns(reader.parquet_schema(), names.iter().copied()),
        None => ProjectionMask::all(),
    };
    let mut rows = Vec::new();
    for batch in reader.with_projection(mask).build().expect("a reader") {
        let batch = batch.expect("rows that can be read");
        rows.extend((0..batch.num_rows()).map(|row| {
            let (schema, columns) = (batch.schema(), batch.columns().iter());
            let valid = schema.fields().iter().zip(columns).filter(|(_, column)| column.is_valid(row));
            valid.map(|(field, column)| (field.name().clone(), value_text(column.as_ref(), row))).collect()
        }));
    }
    rows
}

fn row_text(batch: &RecordBatch, row: usize, without: &[&str]) -> String {
    let mut text = String::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.is_valid(row) && !without.contains(&field.name().as_str()) {
            write!(text, "{}={} ", field.name(), value_text(column.as_ref(), row)).expect("a text takes it");
        }
    }
    text.trim_end().to_owned()
}

pub(crate) fn value_text(column: &dyn Array, row: usize) -> String {
    match column.data_type() {
        DataType::Timestamp(..) => {
            Instant::from_micros(column.as_primitive::<TimestampMicrosecondType>().value(row)).to_string()
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Date32 => Day::from_days(column.as_primitive::<Date32Type>().value(row)).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Decimal128(38, 12) => {
            let pico = column.as_primitive::<Decimal128Type>().value(row);
            Usd::from_pico(pico).expect("it fits its column").to_string()
        }
        other => panic!("no column of the book is {other}"),
    }
}

/// A line of a `native` log.
pub(crate) fn request(id: &str, ts: &str, input: i64, output: i64) -> String {
    format!(
        "{{\"ts\":\"{ts}\",\"request_id\":\"{id}\",\"key\":\"chatbot-prod\",\"model\":\"llama-3.1-8b-instant\",\
         \"http_status\":200,\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{}}}}}\n",
        input + output
    )
}

/// A log of so many different requests over three days, a few of them at
/// midnight, with a health check and a broken line now and then.
pub(crate) fn log(count: usize) -> Vec<String> {
    let models = ["llama-3.1-8b-instant", "llama-3.3-70b-versatile", "openai/gpt-oss-120b"];
    let start = Instant::parse("2026-06-01T00:00:00Z", chrono_tz::Tz::UTC).expect("a time");
    let step = 3 * 86_400_000_000 / i64::try_from(count).expect("few");
    (0..count)
        .map(|at| {
            let number = i64::try_from(at).expect("few");
            let ts = start.plus_micros(number * step);
            match at % 97 {
                11 => "{\"path\":\"/healthz\"}\n".to_owned(),
                // No two of them are the same.
                53 => format!("{{\"ts\":\"{ts}\",\"model\":\n"),
                _ => format!(
                    "{{\"ts\":\"{ts}\",\"request_id\":\"chatcmpl-{at:032}\",\"key\":\"team{}-prod\",\"user\":\"user-{}\",\
                     \"model\":\"{}\",\"http_status\":200,\"latency_ms\":{},\
                     \"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{}}}}}\n",
                    at % 7,
                    at % 31,
                    models[at % 3],
                    at % 1_000,
                    at % 5_000,
                    at % 400
                ),
            }
        })
        .collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A small generator of numbers that are the same in every run.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit.max(1)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
