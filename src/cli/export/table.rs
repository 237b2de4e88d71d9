//! `spendbook export csv` and `export parquet`: a table or a report as one file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use super::{
    super::{
        Failure, Outcome, Session,
        listing::To,
        query,
        status::{self, behind_lines},
        top::{self, SubjectName},
    },
    span,
};
use crate::{
    book::{Book, layout::DayTable},
    config::Config,
    export::table::{self, Format, Options},
    periods::Calendar,
    replace::Replacement,
    report::{TABLES, Table},
};

/// Writes a table that `query` knows, or a report, as one file. A table of requests
/// or totals is written day by day, so that memory does not grow with it.
///
/// Columns are those of `query` or of the report's own `--format`, amounts have all
/// their digits, and what is not known is empty or null.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook export csv charges --period last-month --output charges.csv
  spendbook export csv rollup --period 2026-11-15 | gzip > rollup.csv.gz
  spendbook export csv top-teams --period last-month --output teams.csv
  spendbook export parquet charges --output all-charges.parquet
  spendbook export parquet budgets --output budgets.parquet")]
pub(in super::super) struct Arguments {
    /// What to write
    #[arg(value_parser = listings())]
    listing: Listing,
    /// Only of this time, in the book's zone: `month`, `week`, `day` or `quarter`, after `last-` the
    /// one before; `2026-11`, `2026-W46`, `2026-Q4`, `2026-11-15`; or `2026-11-01..2026-11-15`,
    /// without its last day. Without it all of a table, and this month of `top-…`. `totals`, `status`
    /// and the tables that are made as of now are of no period
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
    /// Replace this file in one step; standard output where it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What can be written.
#[derive(Debug, Clone, Copy)]
enum Listing {
    Table(&'static Table),
    Top(SubjectName),
    Status,
}

const TOPS: [(&str, SubjectName); 4] = [
    ("top-models", SubjectName::Models),
    ("top-teams", SubjectName::Teams),
    ("top-keys", SubjectName::Keys),
    ("top-users", SubjectName::Users),
];

const STATUS: &str = "status";

fn listings() -> impl TypedValueParser<Value = Listing> {
    let tables = TABLES.iter().map(|table| PossibleValue::new(table.name).help(table.about));
    let tops = TOPS.iter().map(|(name, _)| PossibleValue::new(*name).help("the biggest spenders, all of them"));
    let status = PossibleValue::new(STATUS).help("where every budget stands, as `status` shows it");
    PossibleValuesParser::new(tables.chain(tops).chain([status])).try_map(|name| {
        let top = TOPS.iter().find(|(top, _)| *top == name).map(|(_, subject)| Listing::Top(*subject));
        let table = || Table::named(&name).map(Listing::Table);
        let status = || (name == STATUS).then_some(Listing::Status);
        top.or_else(table).or_else(status).ok_or("it is not known")
    })
}

pub(super) fn run(session: &Session, arguments: &Arguments, format: Format) -> Result<Outcome, Failure> {
    let Arguments { listing, period, output } = arguments;
    if format == Format::Parquet && output.is_none() && io::stdout().is_terminal() {
        return Err(anyhow::anyhow!(
            "Parquet is not for a terminal: name a file with `--output`, or send it to a program"
        )
        .into());
    }
    let to = || To::data(format == Format::Parquet, output.clone());
    match *listing {
        Listing::Top(subject) => {
            let period = period.clone().unwrap_or_else(|| "month".to_owned());
            top::run(session, &top::Arguments::all(subject, period, to()))
        }
        Listing::Status => {
            without_period(period.as_deref(), STATUS, NOW)?;
            status::run(session, &status::Arguments::plain(to()))
        }
        Listing::Table(table) => {
            if let Some(files) = table.day_table() {
                return day_files(session, table, files, arguments, format);
            }
            without_period(period.as_deref(), table.name, if table.has_files() { TOLD } else { NOW })?;
            query::answer(session, &format!("SELECT * FROM {}", table.name), &to())
        }
    }
}

/// Why something is not cut by time.
const NOW: &str = "is as it is now, and of no period: leave it out";
const TOLD: &str = "has what sources told of stretches of their own: leave it out, or compare `date` in `query`";

fn without_period(period: Option<&str>, name: &str, why: &str) -> Result<(), Failure> {
    if period.is_none() {
        return Ok(());
    }
    let error = anyhow::anyhow!("`--period`: `{name}` {why}");
    Err(Failure { error, code: 2 })
}

/// A table that has a file per day.
fn day_files(
    session: &Session,
    table: &'static Table,
    files: DayTable,
    arguments: &Arguments,
    format: Format,
) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let period = arguments.period.as_deref().map(|text| span(calendar(&config), text, session.clock.now()));
    let period = period.transpose()?;
    let book = Book::open(&config.book_dir())?;
    let output = arguments.output.as_deref();
    let options = Options { files, columns: table.columns(), format, period: period.as_ref() };
    let (place, written) = table::write(&book, &options, || Place::begin(output))?;
    for line in behind_lines(&written.behind) {
        tracing::warn!("{line}");
    }
    if let Some(day) = written.pruned_until {
        tracing::warn!("what was before {day} was pruned, and is not in this file");
    }
    tracing::debug!("{} rows of `{}`", written.rows, table.name);
    place.finish(output)?;
    Ok(Outcome::Done)
}

fn calendar(config: &Config) -> Calendar {
    Calendar { zone: config.book.timezone, week_start: config.book.week_start }
}

/// Where an export is until it is whole: nobody is sent a part of it.
enum Place {
    /// Beside the file that it replaces.
    Beside(Box<Replacement>),
    /// In a file without a name, for what cannot be replaced: a pipe, a terminal.
    Aside(File),
}

impl Place {
    fn begin(output: Option<&Path>) -> io::Result<Self> {
        match output {
            Some(path) if fs::metadata(path).map_or(true, |old| old.is_file()) => {
                let told = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
                Replacement::begin(path).map(Box::new).map(Self::Beside).map_err(told)
            }
            _ => tempfile::tempfile().map(Self::Aside),
        }
    }

    fn finish(self, output: Option<&Path>) -> anyhow::Result<()> {
        match (self, output) {
            (Self::Beside(file), path) => {
                let shown = || format!("`{}` cannot be written", path.unwrap_or(Path::new("")).display());
                file.finish().with_context(shown)
            }
            (Self::Aside(mut file), None) => {
                file.rewind()?;
                io::copy(&mut file, &mut io::stdout().lock())?;
                Ok(io::stdout().flush()?)
            }
            (Self::Aside(mut file), Some(path)) => {
                file.rewind()?;
                let target = OpenOptions::new().write(true).open(path);
                let copied = target.and_then(|mut target| io::copy(&mut file, &mut target));
                copied.with_context(|| format!("`{}` cannot be written", path.display()))?;
                Ok(())
            }
        }
    }
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside(file) => file.write(bytes),
            Self::Aside(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside(file) => file.flush(),
            Self::Aside(file) => file.flush(),
        }
    }
}
