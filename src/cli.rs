//! The command line: arguments, one call of the library, an exit code.

mod audit;
mod completions;
mod deliver;
mod demo;
mod doctor;
mod explain;
mod export;
mod help;
mod ingest;
mod init;
mod keys;
mod known;
mod listing;
mod price;
mod pricing;
mod progress;
mod prune;
mod query;
mod reconcile;
mod report;
mod run;
mod status;
mod top;
mod what_if;

use std::{collections::BTreeMap, io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    book::{Book, BookError},
    clock::Clock,
    config::{self, Config, ConfigErrors},
    ingest::IngestError,
    migrate,
    pricing::Refused,
    reconcile::LOOK_BACK_DAYS,
    time::{Day, Instant},
};
use progress::Shown;

/// Keeps the books for LLM inference: gateway logs become Parquet, every
/// request is accounted for.
#[derive(Debug, Parser)]
#[command(name = "spendbook", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Examples:
  spendbook demo                see what it does, offline
  spendbook init my-book        begin a book of your own
  spendbook run                 a whole night, for cron, systemd or Kubernetes
  spendbook status              where every budget stands
  spendbook help report weekly  more about a command, with examples

Exit codes: 0 done; 1 failed, or a source failed while the rest was done; 2 bad
arguments, config or price book; 3 with --strict: done, but something was set
aside; 4 the answer is no; 75 another run holds the book's lock.";

/// Options that every command takes. Without a heading of their own they would
/// stand among those of the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// The config file; `$SPENDBOOK_CONFIG` or `./spendbook.toml` where it is not given
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Pretend that it is this instant (RFC 3339), to see or to repeat another day's run
    #[arg(long, global = true, value_name = "INSTANT", value_parser = instant)]
    now: Option<Instant>,
    /// Memory to stay below, such as `512M` or `2G`
    #[arg(long, global = true, value_name = "SIZE", default_value = "1G", value_parser = size)]
    memory: usize,
    /// Exit with 3 where something was set aside: quarantined, unpriced, unattributed
    #[arg(long, global = true)]
    strict: bool,
    /// Only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More about what is done
    #[arg(short, long, global = true)]
    verbose: bool,
    /// How log lines on standard error are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what it does: a night on made-up logs, offline
    Demo(demo::Arguments),
    /// Write a config, the price book, and ways to run it every night
    Init(init::Arguments),
    /// Run the whole night: read, price, audit, alerts, mails
    Run(run::Arguments),
    /// Read new log entries, and what providers report, into the book
    Ingest(ingest::Arguments),
    /// Attribute and price what is in the book
    Price(price::Arguments),
    /// Show one request from log line to cents
    Explain(explain::Arguments),
    /// Show what the same usage would cost at other prices, models or tiers
    WhatIf(what_if::Arguments),
    /// Tell who has to hear of it: alerts, weekly mails, and a page to look at
    #[command(subcommand, after_help = help::REPORT)]
    Report(report::Command),
    /// Show budgets, how far spend is known, and how fresh the book is
    Status(status::Arguments),
    /// Show the biggest spenders of a period
    Top(top::Arguments),
    /// Show what broke a policy or a budget, and errors by key
    Audit(audit::Arguments),
    /// Show every key: whose it is, how it is used, and what to do about it
    Keys(keys::Arguments),
    /// Hold what providers report against what our logs show
    Reconcile(reconcile::Arguments),
    /// Check, look up and compare prices
    #[command(subcommand, after_help = help::PRICING)]
    Pricing(pricing::Command),
    /// Send the mails that wait in the outbox
    Deliver(deliver::Arguments),
    /// Remove what is older than it is to be kept
    Prune(prune::Arguments),
    /// Answer a question in SQL
    Query(query::Arguments),
    /// Write what other programs read
    #[command(subcommand, after_help = help::EXPORT)]
    Export(export::Command),
    /// Look everything over, and say what to fix
    Doctor(doctor::Arguments),
    /// Write a script that completes commands in a shell
    Completions(completions::Arguments),
    /// Write the manual page
    Man(completions::ManArguments),
}

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// A source or a stage failed, the rest was done.
    Partly,
    /// Done, but something was set aside.
    SetAside,
    /// Done, and the answer is no.
    No,
}

/// A failure, and its exit code.
#[derive(Debug)]
struct Failure {
    error: anyhow::Error,
    code: u8,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let locked = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(BookError::Locked { .. })));
        let unknown = |cause: &(dyn std::error::Error + 'static)| {
            matches!(cause.downcast_ref(), Some(IngestError::UnknownSource { .. }))
        };
        let config = error.chain().any(|cause| cause.is::<ConfigErrors>() || cause.is::<Refused>() || unknown(cause));
        let code = if locked {
            EX_TEMPFAIL
        } else if config {
            2
        } else {
            1
        };
        Self { error, code }
    }
}

impl Failure {
    /// What was asked for cannot be answered: another question is needed.
    fn asked(error: anyhow::Error) -> Self {
        Self { error, code: 2 }
    }
}

/// `sysexits.h`: try again later.
const EX_TEMPFAIL: u8 = 75;

/// What every command is given.
#[derive(Debug)]
struct Session {
    global: Global,
    clock: Clock,
}

impl Session {
    fn config(&self) -> Result<Config, Failure> {
        let path = config::locate(self.global.config.clone());
        Ok(Config::load(&path)?)
    }

    /// The book, under its lock. Who holds it is told to a second run.
    fn book_for_writing(config: &Config, command: &str) -> Result<Book, Failure> {
        let holder = format!("`spendbook {command}`, process {}, since {}", std::process::id(), Clock::System.now());
        let book = Book::open_for_writing(&config.book_dir(), &holder)?;
        let migrated = migrate::run(&book)?;
        if migrated > 0 {
            tracing::info!("{migrated} files of the book were brought up to this version");
        }
        Ok(book)
    }

    fn progress(&self) -> Shown {
        if self.global.quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar
        } else {
            Shown::Lines(self.global.log_format)
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Help and usage go where clap sends them; a closed pipe is no error.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    start_logging(&cli.global);
    let clock = cli.global.now.map_or(Clock::System, Clock::Pinned);
    let strict = cli.global.strict;
    let session = Session { global: cli.global, clock };
    match run(&session, cli.command) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Partly) => ExitCode::FAILURE,
        Ok(Outcome::SetAside) => ExitCode::from(if strict { 3 } else { 0 }),
        Ok(Outcome::No) => ExitCode::from(4),
        Err(failure) if is_closed_pipe(&failure.error) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = format!("error: {}\n", one_line(&failure.error));
            drop(std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()));
            ExitCode::from(failure.code)
        }
    }
}

fn run(session: &Session, command: Option<Command>) -> Result<Outcome, Failure> {
    match command {
        Some(Command::Demo(arguments)) => demo::run(session, &arguments),
        Some(Command::Init(arguments)) => init::run(session, &arguments),
        Some(Command::Run(run::Arguments {})) => run::run(session),
        Some(Command::Ingest(arguments)) => ingest::run(session, &arguments),
        Some(Command::Price(arguments)) => price::run(session, &arguments),
        Some(Command::Explain(arguments)) => explain::run(session, &arguments),
        Some(Command::WhatIf(arguments)) => what_if::run(session, &arguments),
        Some(Command::Report(command)) => report::run(session, &command),
        Some(Command::Status(arguments)) => status::run(session, &arguments),
        Some(Command::Top(arguments)) => top::run(session, &arguments),
        Some(Command::Audit(arguments)) => audit::run(session, &arguments),
        Some(Command::Keys(arguments)) => keys::run(session, &arguments),
        Some(Command::Deliver(arguments)) => deliver::run(session, &arguments),
        Some(Command::Reconcile(arguments)) => reconcile::run(session, &arguments),
        Some(Command::Pricing(command)) => pricing::run(session, &command),
        Some(Command::Prune(arguments)) => prune::run(session, &arguments),
        Some(Command::Export(command)) => export::run(session, &command),
        Some(Command::Doctor(arguments)) => doctor::run(session, &arguments),
        Some(Command::Query(arguments)) => query::run(session, &arguments),
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Man(arguments)) => completions::man(&arguments),
        None => {
            listing::print(help::WELCOME)?;
            Ok(Outcome::Done)
        }
    }
}

/// An error and its causes. Some libraries tell a cause in what is around it:
/// it is told once.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(&format!(": {cause}"));
        }
    }
    text
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn start_logging(global: &Global) {
    let level = if global.quiet {
        tracing::Level::ERROR
    } else if global.verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::WARN
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    let started = match global.log_format {
        LogFormat::Text => builder.with_target(false).without_time().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // In a process that logs already, its own way stays.
    drop(started);
}

fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text, chrono_tz::Tz::UTC)
        .or_else(|| Day::parse(text).map(Day::start))
        .filter(|instant| instant.is_sane())
        .ok_or_else(|| "expected RFC 3339, such as `2026-06-01T02:00:00Z`, or a date".to_owned())
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "expected a date, such as `2026-06-01`".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number, such as `20`".to_owned())
}

/// The days that a listing is about.
#[derive(Debug, Args)]
struct Days {
    /// The first day; 30 days back where it is not given
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Day>,
    /// The last day
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Day>,
}

impl Days {
    /// The first of them, as [`Days::first`], where the last one is not before it.
    fn in_order(&self, now: Instant) -> Result<Day, Failure> {
        known::in_order(self.from, self.to)?;
        Ok(self.first(now))
    }

    /// The first of them, counted from the last one or today.
    fn first(&self, now: Instant) -> Day {
        let last = self.to.unwrap_or_else(|| now.day());
        self.from.unwrap_or_else(|| Day::from_days(last.days() - LOOK_BACK_DAYS))
    }
}

/// How well a stage went that does each day on its own.
fn outcome_of<E: std::fmt::Display>(failed: &BTreeMap<Day, E>) -> Outcome {
    for error in failed.values() {
        tracing::error!("{error}");
    }
    if failed.is_empty() { Outcome::Done } else { Outcome::Partly }
}

/// A span of time, in microseconds.
fn span(text: &str) -> Result<i64, String> {
    const MINUTE: i64 = 60 * 1_000_000;
    let expected = || "expected a span of time, such as `26h`, `90m` or `2d`".to_owned();
    let micros = [('m', MINUTE), ('h', 60 * MINUTE), ('d', 24 * 60 * MINUTE)].into_iter().find_map(|(unit, micros)| {
        let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
        i64::from(count).checked_mul(micros)
    });
    micros.filter(|&micros| micros > 0).ok_or_else(expected)
}

fn size(text: &str) -> Result<usize, String> {
    let expected = || "expected a size, such as `512M` or `2G`, of at least 64M".to_owned();
    let (digits, shift) = match text.to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        digits if digits.ends_with('K') => (digits.trim_end_matches('K').to_owned(), 10),
        digits if digits.ends_with('M') => (digits.trim_end_matches('M').to_owned(), 20),
        digits if digits.ends_with('G') => (digits.trim_end_matches('G').to_owned(), 30),
        digits => (digits.to_owned(), 0),
    };
    let count: usize = digits.parse().map_err(|_| expected())?;
    count.checked_mul(1 << shift).filter(|&bytes| bytes >= 64 << 20).ok_or_else(expected)
}
