//! `spendbook demo`: unpacks a workspace with made-up logs and runs the night
//! on it, offline, at the time that it is for the demo.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Outcome, Session, listing, progress, reconcile, run as night, status};
use crate::{
    book::{Book, layout::DayTable},
    budgets::Forecast,
    clock::Clock,
    config::Config,
    demo,
    ingest::{self, Broken, Note, Options, stored},
    night::{Done, Night},
    periods::{Calendar, Period},
    reconcile::Unlogged,
    report::{Status, Subject, Top},
    runs::{self, RunRecord, Stage, StageRecord},
    tally::{IngestTally, Reasons, SourceTally},
    time::Instant,
    totals,
};

/// Shows what Spendbook does: a night on two months of made-up logs.
#[derive(Debug, Args)]
#[command(after_help = "\
The directory is made, with a config, the price book and logs. One that the demo
made before is used as it is, so that you can change what is in it and run the
demo again; any other is left alone.

Examples:
  spendbook demo             in ./spendbook-demo
  spendbook demo /tmp/books  in a directory of its own")]
pub(super) struct Arguments {
    /// Where to unpack it
    #[arg(value_name = "DIR", default_value = "spendbook-demo")]
    dir: PathBuf,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let is_new = demo::prepare(&arguments.dir)?;
    let now = match session.clock {
        Clock::Pinned(now) => now,
        Clock::System => demo::now(),
    };
    let config = Config::load(&arguments.dir.join(demo::CONFIG))?;
    let book = Session::book_for_writing(&config, "demo")?;
    let evening = ingest(session, &config, &book, now)?;
    let clock = Clock::Pinned(now);
    let night = Night { config: &config, book: &book, clock: &clock, memory: session.global.memory };
    let done = night.run(&progress::Nightly(session.progress()))?;
    if let (false, Ok(settled)) = (session.global.quiet, &done.ingest) {
        let told = Told::read(&config, &book, now, [&evening, settled], &done)?;
        let story = Story { dir: &arguments.dir, is_new, now, told: &told };
        listing::print(&story.text())?;
    }
    night::finish(done)
}

/// Reads the logs before the night does: what waits at the end of a log that is
/// still written is settled once the log has not changed since.
fn ingest(session: &Session, config: &Config, book: &Book, now: Instant) -> Result<ingest::Outcome, Failure> {
    let options = Options { memory: session.global.memory, ..Options::default() };
    let watch = progress::Reading::new(session.progress());
    let done = ingest::run(config, Some(book), &options, &watch)?;
    drop(watch);
    // Totals are the night's.
    let totals = totals::Outcome::default();
    runs::store(book, &RunRecord::of_stage(Stage::Ingest, now, now, StageRecord::ingest(&done, &totals)))?;
    Ok(done)
}

/// What there is to tell, stage by stage.
struct Told {
    tally: IngestTally,
    notes: Vec<Note>,
    /// By source.
    quarantined: Vec<(String, Broken)>,
    /// Keys that logs hold themselves: their names, and what the book has.
    fingerprints: Vec<(String, String)>,
    requests: u64,
    days: usize,
    /// Why days could not be priced.
    unpriced: Vec<String>,
    /// What has been spent, and by which models the most of it.
    status: Status,
    models: Top,
    /// What providers report and no log shows.
    unlogged: Vec<Unlogged>,
    /// What people hear of.
    headlines: Vec<String>,
}

impl Told {
    fn read(
        config: &Config,
        book: &Book,
        now: Instant,
        ingests: [&ingest::Outcome; 2],
        done: &Done,
    ) -> Result<Self, Failure> {
        let (mut tally, mut notes) = (IngestTally::default(), Vec::new());
        for done in ingests {
            tally.add(&done.tally);
            for note in &done.notes {
                if !notes.contains(note) {
                    notes.push(note.clone());
                }
            }
        }
        let status = Status::of(book, config, now)?;
        let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
        let models = Top::of(book, config, Subject::Models, calendar.period_of(now, Period::Month), now)?;
        let mut unlogged = Vec::new();
        for day in book.days(DayTable::Unlogged)?.into_iter().filter(|day| *day >= status.reconciled_from) {
            unlogged.extend(crate::reconcile::unlogged(book, day)?);
        }
        let mut quarantined = Vec::new();
        for source in &config.sources {
            quarantined.extend(stored::quarantined(book, &source.name)?);
        }
        let (mut requests, mut days) = (0, 0);
        for day in stored::days(book)?.into_iter().filter(|day| day.table == DayTable::Usage) {
            requests += day.rows?;
            days += 1;
        }
        let keys = config.keys.iter();
        let fingerprints = keys.filter_map(|key| Some((key.name.clone(), key.fingerprint.clone()?))).collect();
        let unpriced = done.price.iter().flat_map(|done| done.failed.values().map(ToString::to_string)).collect();
        let alerts = done.alerts.iter().flat_map(|done| done.alerts.iter().map(|alert| alert.headline.clone()));
        let weeks = done.weekly.iter().flat_map(|done| done.mailed.iter().map(|mailed| mailed.subject.clone()));
        let headlines = alerts.chain(weeks).collect();
        Ok(Self {
            tally,
            notes,
            quarantined,
            fingerprints,
            requests,
            days,
            unpriced,
            status,
            models,
            unlogged,
            headlines,
        })
    }
}

/// What is told of it.
struct Story<'s> {
    dir: &'s Path,
    is_new: bool,
    now: Instant,
    told: &'s Told,
}

impl Story<'_> {
    fn text(&self) -> String {
        let mut text = self.beginning();
        let Told { tally, notes, requests, days, .. } = self.told;
        if tally.sources.values().all(|it| it.records + it.broken == 0) {
            text.push_str("\nNothing new: every log is as it was when it was last read, and so is the book.\n");
        } else {
            text.push_str("\nThe night has read them. Every entry is accounted for:\n\n");
            text.push_str(&sources(tally));
            text.push('\n');
            text.push_str(&self.troubles());
            for (name, fingerprint) in &self.told.fingerprints {
                text.push_str(&format!(
                    "\nA log holds the key of `{name}` itself. No secret is in the book: there it is `{fingerprint}`.\n"
                ));
            }
        }
        for note in notes {
            let file = note.file.as_ref().map_or_else(String::new, |file| format!(" {file}:"));
            text.push_str(&format!("{}:{file} {}\n", note.source, note.message));
        }
        for error in &self.told.unpriced {
            text.push_str(&format!("failed: {error}\n"));
        }
        text.push_str(&self.spend());
        text.push_str(&self.providers());
        text.push_str(&self.mails());
        let shown = self.dir.join("book").join("charges").join("date=*").join("charges.parquet");
        text.push_str(&format!(
            "\nThe book: {} requests on {days} days, with what each of them cost, a Parquet file for each day:\n  {}\n",
            listing::count(*requests),
            shown.display()
        ));
        text + &self.next()
    }

    /// Where budgets stand, which models cost the most, and what is not known.
    fn spend(&self) -> String {
        let Told { status, models, .. } = self.told;
        let mut rows = Vec::new();
        for budget in &status.budgets {
            let forecast = match &budget.forecast {
                Forecast::Known(it) => it.spend.shown(),
                Forecast::AtLeast(it) => format!("at least {}", it.spend.shown()),
                Forecast::Unknown(_) => "unknown".to_owned(),
            };
            let name = budget.scope.name().unwrap_or("all").to_owned();
            let percent = format!("{} %", budget.percent());
            rows.push(vec![name, budget.spend.shown(), budget.budget().shown(), percent, forecast]);
        }
        let budgets = listing::table(&["team", "spent", "budget", "", "by the end of the month"], &rows);
        let models = models.entries.iter().take(3).map(|entry| {
            let name = entry.names[0].clone().unwrap_or_default();
            let share = format!("{}.{} %", entry.share / 10, entry.share % 10);
            vec![name, listing::count(entry.requests.unsigned_abs()), entry.cost.shown(), share]
        });
        let models = listing::table(&["model", "requests", "cost", ""], &models.collect::<Vec<_>>());
        format!(
            "\nEach request is charged at the price of its time, to the last digit. Spent in {}:\n\n{budgets}\n{models}\n{}",
            status.month.name,
            status::coverage_text(status)
        )
    }

    /// What providers say of the same days, and why that is something else.
    fn providers(&self) -> String {
        let Told { status, unlogged, .. } = self.told;
        format!(
            "\nWhat providers report, from saved answers, since {}; each difference is the sum of its causes:\n\n{}",
            status.reconciled_from,
            reconcile::story(&status.reconciled, unlogged)
        )
    }

    /// What people are told, and where their mails are.
    fn mails(&self) -> String {
        let Told { status, headlines, .. } = self.told;
        let mut text = String::new();
        if !headlines.is_empty() {
            text.push_str("\nThose who should hear of it are told, each thing once:\n\n");
            text.extend(headlines.iter().map(|line| format!("  {line}\n")));
        }
        let shown = self.dir.join("book").join("outbox").join("pending").join("*.eml");
        text.push_str(&format!(
            "\nThe outbox: {} mails, which a mail server in the config would have sent; open one with any mail program:\n  {}\n",
            status.mails.pending,
            shown.display()
        ));
        text
    }

    fn beginning(&self) -> String {
        let dir = self.dir.display();
        let what = if self.is_new { "Unpacked to" } else { "Found in" };
        format!(
            "Two months of a company's LLM logs, all made up. For the demo it is {}.\n\
             {what} `{dir}`: a config, the price book, and {} log files in four formats.\n",
            self.now,
            demo::log_files(),
        )
    }

    /// What the logs had in store, and what became of it.
    fn troubles(&self) -> String {
        let all = self.told.tally.sources.values();
        let sum = |count: fn(&SourceTally) -> u64| all.clone().map(count).sum::<u64>();
        let skipped: Vec<_> = reasons(all.clone().map(|tally| &tally.skipped));
        let quarantined: Vec<_> = reasons(all.clone().map(|tally| &tally.quarantined));
        let lines = [
            (
                sum(|it| it.duplicate),
                "duplicate",
                "the same again: a log copied, an export or a batch fetched twice".to_owned(),
            ),
            (
                sum(|it| it.superseded),
                "superseded",
                "an earlier version of a request, such as the chunks of a stream".to_owned(),
            ),
            (sum(|it| it.skipped.values().sum()), "skipped", format!("valid, and no usage: {}", skipped.join(", "))),
            (
                sum(|it| it.quarantined.values().sum()),
                "quarantined",
                format!("not understood: {}", quarantined.join(", ")),
            ),
        ];
        let mut text = String::new();
        for (count, name, what) in lines.into_iter().filter(|(count, ..)| *count > 0) {
            text.push_str(&format!("{:>6} {name:<12} {what}\n", listing::count(count)));
        }
        if let Some((file, broken)) = self.example() {
            text.push_str(&format!("{:20}for example {file}, line {}:\n{:20}{}\n", "", broken.line, "", broken.detail));
        }
        text
    }

    /// A broken entry that is worth showing: one whose numbers are wrong.
    fn example(&self) -> Option<&(String, Broken)> {
        let all = &self.told.quarantined;
        all.iter().find(|(_, broken)| broken.reason == "out_of_range").or(all.first())
    }

    /// Commands to go on with, each to be pasted as it is.
    fn next(&self) -> String {
        let program = std::env::args().next().filter(|program| program.contains(['/', '\\']));
        let program = program.as_deref().unwrap_or("spendbook");
        let (config, book) = (self.dir.join(demo::CONFIG), self.dir.join("book"));
        let page = self.dir.join("spend.html");
        let start = format!("{} --config {} --now {}", quoted(program), quoted(&config.to_string_lossy()), self.now);
        let query = format!(
            "SELECT team, model_billed, count(*) AS requests, sum(cost) AS cost \
             FROM '{}/charges/*/*.parquet' GROUP BY ALL ORDER BY cost DESC",
            book.display()
        );
        let next = [
            ("where every budget stands, and why one is not certain", format!("{start} status")),
            ("who spent the most, against last month; or teams, keys, users", format!("{start} top models")),
            (
                "all of it as a page to look at",
                format!("{start} report html --output {}", quoted(&page.to_string_lossy())),
            ),
            ("what providers report and no log shows, day by day", format!("{start} reconcile")),
            ("what is well, and what is not (one source has gone silent)", format!("{start} doctor")),
            ("the same night once more: nothing is counted twice", format!("{start} ingest")),
            ("and nothing is priced twice, until a price, a key or a team changes", format!("{start} price")),
            (
                "what could not be understood, and why",
                format!("cat {}/quarantine/*/*", quoted(&book.to_string_lossy())),
            ),
            ("the charges, if you have DuckDB", format!("duckdb -c \"{query}\"")),
            ("a book of your own", format!("{} init my-book", quoted(program))),
        ];
        let lines = next.map(|(what, command)| format!("  # {what}\n  {command}\n"));
        format!("\nTry next:\n{}", lines.concat())
    }
}

fn sources(tally: &IngestTally) -> String {
    let header = ["source", "entries", "kept", "duplicate", "superseded", "skipped", "quarantined"];
    let row = |name: &str, it: &SourceTally| {
        let sum = |reasons: &Reasons| reasons.values().sum::<u64>();
        let counts =
            [it.records + it.broken, it.kept, it.duplicate, it.superseded, sum(&it.skipped), sum(&it.quarantined)];
        std::iter::once(name.to_owned()).chain(counts.map(listing::count)).collect::<Vec<_>>()
    };
    let mut total = SourceTally::default();
    tally.sources.values().for_each(|tally| total.add(tally));
    let rows = tally.sources.iter().map(|(name, tally)| row(name, tally)).chain([row("total", &total)]);
    listing::table(&header, &rows.collect::<Vec<_>>())
}

/// `3 not json, 1 bad time`, over all sources, the most frequent first.
fn reasons<'t>(all: impl Iterator<Item = &'t Reasons>) -> Vec<String> {
    let mut sum = Reasons::new();
    for (reason, count) in all.flatten() {
        *sum.entry(reason.clone()).or_default() += count;
    }
    let mut sorted: Vec<_> = sum.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted
        .into_iter()
        .map(|(reason, count)| format!("{} {}", listing::count(count), reason.replace('_', " ")))
        .collect()
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/\\._-+:=@%,".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        for (text, expect) in
            [("target/debug/spendbook", "target/debug/spendbook"), ("my books", "'my books'"), ("it's", "'it'\\''s'")]
        {
            assert_eq!(quoted(text), expect);
        }
    }
}
