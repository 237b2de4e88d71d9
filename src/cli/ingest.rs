//! `spendbook ingest`: new log entries into the book.

use clap::Args;

use super::{Failure, Outcome, Session, day, known, listing, progress};
use crate::{
    book::{Book, BookError},
    ingest::{self, Again, Note, Options},
    runs::{self, RunRecord, Stage, StageRecord},
    tally::{IngestTally, Reasons, SourceTally},
    time::Day,
    totals::{self, SourceTotals},
};

/// Reads what is new in every source's files. Running it twice changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook ingest                   read what is new in every source
  spendbook ingest --source gateway  only this source
  spendbook ingest --dry-run         what would happen, and the first records
  spendbook ingest --again --source gateway
                                     its old entries too: its options changed")]
pub(super) struct Arguments {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Show the accounts and the first records as they would be stored; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Rebuild every request that the source had a part in, from all files that are still there
    #[arg(long, requires = "source")]
    again: bool,
    /// With --again: the first day to rebuild
    #[arg(long, value_name = "DAY", requires = "again", value_parser = day)]
    from: Option<Day>,
    /// With --again: the last day to rebuild
    #[arg(long, value_name = "DAY", requires = "again", value_parser = day)]
    to: Option<Day>,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    known::in_order(arguments.from, arguments.to)?;
    let config = session.config()?;
    let book = if arguments.dry_run {
        match Book::open(&config.book_dir()) {
            Ok(book) => Some(book),
            Err(BookError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        }
    } else {
        Some(Session::book_for_writing(&config, "ingest")?)
    };
    let again = arguments.source.clone().filter(|_| arguments.again);
    let options = Options {
        source: arguments.source.clone(),
        dry_run: arguments.dry_run,
        memory: session.global.memory,
        again: again.map(|source| Again { source, from: arguments.from, to: arguments.to }),
        now: session.clock.now(),
        ..Options::default()
    };
    let started = session.clock.now();
    let watch = progress::Reading::new(session.progress());
    // Totals have no records, so that one of their sources alone is none of this.
    let is_of_totals = |name: &String| config.totals.iter().any(|source| source.name == *name);
    let done = match &arguments.source {
        Some(name) if is_of_totals(name) => ingest::Outcome::default(),
        _ => ingest::run(&config, book.as_ref(), &options, &watch)?,
    };
    let asked = totals::Options {
        source: arguments.source.clone(),
        dry_run: arguments.dry_run,
        again: arguments.again,
        now: started,
    };
    let totals = totals::run(&config, book.as_ref(), &asked, &watch);
    drop(watch);
    if let (Some(book), false) = (&book, options.dry_run) {
        let stage = StageRecord::ingest(&done, &totals);
        runs::store(book, &RunRecord::of_stage(Stage::Ingest, started, session.clock.now(), stage))?;
    }
    if !session.global.quiet {
        let is_of_totals_alone = config.sources.is_empty() && !config.totals.is_empty();
        let mut text = if is_of_totals_alone || arguments.source.as_ref().is_some_and(is_of_totals) {
            String::new()
        } else {
            report(&done, options.dry_run)
        };
        text.push_str(&report_totals(&totals, options.dry_run));
        listing::print(&text)?;
    }
    Ok(match outcome_of_totals(&totals) {
        Outcome::Partly => Outcome::Partly,
        _ => outcome(&done),
    })
}

/// How well the pull of totals went.
pub(super) fn outcome_of_totals(done: &totals::Outcome) -> Outcome {
    if done.notes.iter().any(|note| note.is_failure) { Outcome::Partly } else { Outcome::Done }
}

/// How well it went.
pub(super) fn outcome(done: &ingest::Outcome) -> Outcome {
    if done.notes.iter().any(|note| note.is_failure) {
        Outcome::Partly
    } else if done.tally.sources.values().any(|tally| tally.broken > 0) {
        Outcome::SetAside
    } else {
        Outcome::Done
    }
}

/// What was done, for a person.
pub(super) fn report(done: &ingest::Outcome, dry_run: bool) -> String {
    let mut text = sources(&done.tally);
    for (name, tally) in &done.tally.sources {
        text.push_str(&details(name, tally));
    }
    text.push_str(&notes(&done.notes));
    if dry_run {
        if !done.first.is_empty() {
            text.push_str("\nthe first records, as they would be stored:\n");
        }
        for record in &done.first {
            let columns: Vec<_> = record.iter().map(|(name, value)| format!("  {name} = {value}\n")).collect();
            text.push_str(&format!("\n{}", columns.concat()));
        }
        text.push_str("\ndry run: nothing was written\n");
    } else {
        text.push_str(&days(&done.changed));
    }
    text
}

fn notes(notes: &[Note]) -> String {
    let line = |Note { source, file, message, is_failure }: &Note| {
        let place = file.as_ref().map_or_else(String::new, |file| format!(" {file}:"));
        let lead = if *is_failure { "failed: " } else { "" };
        format!("{lead}{source}:{place} {message}\n")
    };
    notes.iter().map(line).collect()
}

/// What providers said in sum, for a person; nothing where nobody is asked.
pub(super) fn report_totals(done: &totals::Outcome, dry_run: bool) -> String {
    if done.sources.is_empty() {
        return String::new();
    }
    let header = ["totals", "pages", "lines", "rows", "days new", "restated", "unchanged"];
    let row = |(name, it): (&String, &SourceTotals)| {
        let days = [it.new.len() as u64, it.restated.len() as u64, it.unchanged];
        let counts = [it.pages, it.lines, it.rows].into_iter().chain(days).map(listing::count);
        std::iter::once(name.clone()).chain(counts).collect()
    };
    let mut text = listing::table(&header, &done.sources.iter().map(row).collect::<Vec<_>>());
    for (name, it) in &done.sources {
        let parts = [
            (it.duplicate, "told twice"),
            (it.superseded, "told again by a later page or answer"),
            (it.outside, "of other days"),
            (it.passed_over, "of kinds without a column"),
        ];
        let parts: Vec<_> = parts.iter().filter(|(count, _)| *count > 0).collect();
        let parts: Vec<_> = parts.iter().map(|(count, what)| format!("{} {what}", listing::count(*count))).collect();
        if !parts.is_empty() {
            text.push_str(&format!("{name}: lines: {}\n", parts.join(", ")));
        }
        if it.is_as_before {
            text.push_str(&format!("{name}: the recorded answers are as they were\n"));
        }
        if let [first, ..] = it.restated[..] {
            let more =
                if it.restated.len() > 1 { format!(" and {} more", it.restated.len() - 1) } else { String::new() };
            text.push_str(&format!("{name}: told differently than before: {first}{more}\n"));
        }
    }
    text.push_str(&notes(&done.notes));
    if dry_run {
        text.push_str("dry run: no totals were written\n");
    }
    text
}

fn sources(tally: &IngestTally) -> String {
    let header = [
        "source",
        "files",
        "unchanged",
        "records",
        "kept",
        "duplicate",
        "superseded",
        "skipped",
        "quarantined",
        "pending",
    ];
    let sum = |reasons: &Reasons| reasons.values().sum::<u64>();
    let rows: Vec<Vec<String>> = tally
        .sources
        .iter()
        .map(|(name, it)| {
            let counts = [
                it.files_read,
                it.files_unchanged,
                it.records + it.broken,
                it.kept,
                it.duplicate,
                it.superseded,
                sum(&it.skipped),
                sum(&it.quarantined),
                it.pending,
            ];
            std::iter::once(name.clone()).chain(counts.map(listing::count)).collect()
        })
        .collect();
    listing::table(&header, &rows)
}

/// What the table's numbers are made of, where that is worth a line.
fn details(name: &str, tally: &SourceTally) -> String {
    let mut text = String::new();
    for (what, reasons) in [("skipped", &tally.skipped), ("quarantined", &tally.quarantined)] {
        let parts: Vec<_> =
            reasons.iter().map(|(reason, count)| format!("{} {reason}", listing::count(*count))).collect();
        if !parts.is_empty() {
            text.push_str(&format!("{name}: {what}: {}\n", parts.join(", ")));
        }
    }
    if tally.kept + tally.duplicate + tally.superseded == 0 && !tally.quarantined.is_empty() {
        text.push_str(&format!("{name}: no request was found in what was read: `spendbook doctor` looks why\n"));
    }
    if tally.conflict > 0 {
        text.push_str(&format!("{name}: {} requests have versions that disagree\n", listing::count(tally.conflict)));
    }
    if tally.doubtful_times > 0 {
        text.push_str(&format!(
            "{name}: {} records have a local time that clocks showed twice or never: read as the earlier one, or as the change of clocks\n",
            listing::count(tally.doubtful_times)
        ));
    }
    if tally.withdrawn > 0 {
        text.push_str(&format!("{name}: {} rows were withdrawn and read again\n", listing::count(tally.withdrawn)));
    }
    if tally.ids_reused() {
        text.push_str(&format!(
            "{name}: ids_reused: {} records gave way to one with the same id and another input, are ids used again?\n",
            listing::count(tally.other_input)
        ));
    }
    text
}

fn days(changed: &[Day]) -> String {
    match changed {
        [] => "nothing new: no day changed\n".to_owned(),
        [day] => format!("1 day changed: {day}\n"),
        [first, .., last] => format!("{} days changed, {first} to {last}\n", changed.len()),
    }
}
