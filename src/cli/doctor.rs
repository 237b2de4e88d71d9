//! `spendbook doctor`: what is well, and what to fix.

use clap::{Args, ValueEnum};

use super::{Failure, Outcome, Session, listing};
use crate::{
    config,
    doctor::{self, Check, State},
};

/// Looks at config, price book, book, sources, mail server and clock. Sends and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 4 where there is a problem; warnings do not change the exit code.

Examples:
  spendbook doctor                before the first night; when in doubt
  spendbook doctor --format json  for a monitor")]
pub(super) struct Arguments {
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let path = config::locate(session.global.config.clone());
    let checks = doctor::examine(&path, session.clock.now());
    let text = match arguments.format {
        Format::Table => report(&checks, session.global.quiet),
        Format::Json => serde_json::to_string_pretty(&checks)? + "\n",
    };
    listing::print(&text)?;
    let is_well = checks.iter().all(|check| check.state < State::Problem);
    Ok(if is_well { Outcome::Done } else { Outcome::No })
}

/// One line per check, with what to do behind what was found.
fn report(checks: &[Check], only_problems: bool) -> String {
    let width = checks.iter().map(|check| check.subject.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks.iter().filter(|check| !only_problems || check.state == State::Problem) {
        let (state, subject) = (check.state.name(), &check.subject);
        // What is told on several lines is followed by a line of its own.
        let lead = if check.found.contains('\n') { "\n" } else { ": " };
        let cure = check.cure.as_ref().map_or_else(String::new, |cure| format!("{lead}{cure}"));
        text.push_str(&format!("{state:<8} {subject:<width$}  {}{cure}\n", check.found));
    }
    if only_problems {
        return text;
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let said = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    text.push_str(&match (count(State::Problem), count(State::Warning)) {
        (0, 0) => "\nall is well\n".to_owned(),
        (0, warnings) => format!("\nno problem, {}\n", said(warnings, "warning")),
        (problems, 0) => format!("\n{}\n", said(problems, "problem")),
        (problems, warnings) => format!("\n{}, {}\n", said(problems, "problem"), said(warnings, "warning")),
    });
    text
}
