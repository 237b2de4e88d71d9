//! `spendbook report html`: a period as one page, to look at.

use std::{
    fs::File,
    io::{self, IsTerminal, Read as _},
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::Args;

use crate::{
    book::Book,
    cli::{
        Failure, Outcome, Session,
        listing::{self, counted},
        status::behind_lines,
    },
    periods::{Calendar, PeriodError},
    report,
};

/// Writes a page that shows a period: spend over time by team and model,
/// budgets with forecast, the biggest teams, models, keys and users, the hours
/// of the week, savings, violations, and how far all of it is known. It is one
/// file that asks nothing of the network: mail it, print it, put it on any
/// server. A team and a part of the period are chosen on the page itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --period it is about this month and the two before it. Without --output
a file of the name spendbook.html that is no page of this command is left alone.

Examples:
  spendbook report html                                  to open in a browser
  spendbook report html --period last-month --output may.html
  spendbook report html --period 2025-06-01..2026-06-01  a year, week by week
  spendbook report html --output - | gzip > page.html.gz")]
pub(in crate::cli) struct Arguments {
    /// `month`, `week`, `day` or `quarter`, after `last-` the one before; `2026-11`, `2026-W46`,
    /// `2026-Q4`, `2026-11-15`; or `2026-11-01..2026-11-15`, without its last day
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
    /// Replace this file in one step; `-` is standard output [default: spendbook.html]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const DEFAULT: &str = "spendbook.html";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
    let parse = |text: &String| {
        let wrong = |error: PeriodError| Failure { error: anyhow::Error::from(error).context("`--period`"), code: 2 };
        calendar.parse(text, now).map_err(wrong)
    };
    let period = arguments.period.as_ref().map(parse).transpose()?;
    let path = match &arguments.output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.as_path()),
        None => Some(Path::new(DEFAULT)),
    };
    if arguments.output.is_none() {
        leave_alone(Path::new(DEFAULT))?;
    }
    if path.is_none() && io::stdout().is_terminal() {
        return Err(anyhow::anyhow!(
            "a page is not for a terminal: name a file with `--output`, or send it to a program"
        )
        .into());
    }
    let book = Book::open(&config.book_dir())?;
    let page = report::html(&book, &config, period, now)?;
    // On the page too; here for those who only write it.
    for line in behind_lines(&page.behind) {
        tracing::warn!("{line}");
    }
    if let Some(day) = page.pruned_until {
        tracing::warn!("what was before {day} was pruned, and is not in these amounts");
    }
    match path {
        None => listing::print(&page.html)?,
        Some(path) => {
            listing::replace(path, page.html.as_bytes())?;
            if !session.global.quiet {
                let size = i64::try_from(page.html.len().div_ceil(1000)).unwrap_or(i64::MAX);
                let days = counted(page.period.days(), "day");
                listing::print(&format!(
                    "`{}`: {} ({days}), {} kB; open it in a browser\n",
                    path.display(),
                    page.period.name,
                    listing::count(size.unsigned_abs())
                ))?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// Nobody named the file: one that is somebody else's stays.
fn leave_alone(path: &Path) -> anyhow::Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut begin = Vec::new();
    let length = u64::try_from(report::FIRST_LINE.len()).unwrap_or_default();
    let is_read = file.take(length).read_to_end(&mut begin).is_ok();
    if is_read && (begin.is_empty() || begin == report::FIRST_LINE.as_bytes()) {
        return Ok(());
    }
    bail!(
        "`{}` is there and is no page of `spendbook report html`: say where to write it, `--output FILE`, or `--output {}` to replace it",
        path.display(),
        path.display()
    );
}
