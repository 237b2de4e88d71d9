//! The record of each run: what was read, what became of it, how long it took.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{
    audit,
    book::{Book, BookError},
    charges::{self, Cause, Change},
    ingest::{self, Note},
    mail::Delivered,
    prune, reconcile,
    tally::{IngestTally, SourceTally},
    time::Instant,
    totals::{self, SourceTotals},
};

/// What runs do, in the order of a night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Ingest,
    Price,
    /// What providers report against charges.
    Reconcile,
    Audit,
    /// The state of budgets for gateways.
    State,
    Alerts,
    Weekly,
    Deliver,
    /// Only by its own command.
    Prune,
}

impl Stage {
    /// As the command line and the records have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Price => "price",
            Self::Reconcile => "reconcile",
            Self::Audit => "audit",
            Self::State => "budget-state",
            Self::Alerts => "alerts",
            Self::Weekly => "weekly",
            Self::Deliver => "deliver",
            Self::Prune => "prune",
        }
    }
}

/// The command that runs every stage.
const NIGHT: &str = "run";

/// One run, as it is stored in `runs/`: a stage of its own, or a whole night.
#[derive(Debug, Serialize)]
pub struct RunRecord<'r> {
    command: &'static str,
    version: &'static str,
    started: String,
    finished: String,
    #[serde(flatten)]
    of: Of<'r>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Of<'r> {
    Stage(StageRecord<'r>),
    Night { stages: BTreeMap<&'static str, StageRecord<'r>> },
}

/// What a stage came to, as it is stored.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum StageRecord<'r> {
    Ingest {
        accounts: &'r IngestTally,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        totals: &'r BTreeMap<String, SourceTotals>,
        days_changed: Vec<String>,
        notes: Vec<&'r Note>,
    },
    Price {
        known_on: String,
        days_priced: BTreeMap<String, Vec<Cause>>,
        requests: u64,
        free: u64,
        unpriced: u64,
        estimated: u64,
        unattributed: u64,
        cost: String,
        estimated_cost: String,
        changes: &'r [Change],
        days_failed: BTreeMap<String, String>,
    },
    Prune {
        /// By table, the first day that is kept, and how many files lost their rows.
        kept_from: BTreeMap<&'static str, String>,
        files: BTreeMap<&'static str, u64>,
    },
    Reconcile {
        days_compared: Vec<String>,
        /// Of those days, by what is to be done about them.
        lines: BTreeMap<&'static str, u64>,
        days_failed: BTreeMap<String, String>,
    },
    Audit {
        days_audited: Vec<String>,
        policy_changes: usize,
        days_failed: BTreeMap<String, String>,
    },
    State {
        file: String,
    },
    Alerts {
        raised: usize,
        mails: usize,
    },
    Weekly {
        weeks: BTreeSet<&'r str>,
        mails: usize,
    },
    Deliver {
        sent: usize,
        waiting: usize,
        failed: usize,
        trouble: Option<String>,
    },
    /// It could not be done, or not to its end.
    Failed {
        error: String,
    },
}

impl<'r> StageRecord<'r> {
    pub fn ingest(done: &'r ingest::Outcome, totals: &'r totals::Outcome) -> Self {
        Self::Ingest {
            accounts: &done.tally,
            totals: &totals.sources,
            days_changed: done.changed.iter().map(ToString::to_string).collect(),
            notes: done.notes.iter().chain(&totals.notes).collect(),
        }
    }

    /// Of a pricing with prices as known on an instant.
    pub fn price(known_on: Instant, done: &'r charges::Outcome) -> Self {
        let charges::Totals { requests, free, unpriced, estimated, unattributed, .. } = done.totals;
        let causes = done.priced.iter().map(|(day, causes)| (day.to_string(), causes.iter().copied().collect()));
        Self::Price {
            known_on: known_on.to_string(),
            days_priced: causes.collect(),
            requests,
            free,
            unpriced,
            estimated,
            unattributed,
            cost: done.totals.cost().to_string(),
            estimated_cost: done.totals.estimated_cost().to_string(),
            changes: &done.changes,
            days_failed: done.failed.iter().map(|(day, error)| (day.to_string(), error.to_string())).collect(),
        }
    }

    pub fn reconcile(done: &reconcile::Rebuilt) -> Self {
        Self::Reconcile {
            days_compared: done.days.iter().map(ToString::to_string).collect(),
            lines: done.verdicts.iter().map(|(verdict, count)| (verdict.name(), *count)).collect(),
            days_failed: done.failed.iter().map(|(day, error)| (day.to_string(), error.to_string())).collect(),
        }
    }

    pub fn audit(done: &'r audit::Outcome) -> Self {
        Self::Audit {
            days_audited: done.audited.iter().map(ToString::to_string).collect(),
            policy_changes: done.policy_changes,
            days_failed: done.failed.iter().map(|(day, error)| (day.to_string(), error.to_string())).collect(),
        }
    }

    pub fn prune(done: &prune::Outcome) -> Self {
        let kept_from = done.iter().filter_map(|(table, it)| Some((table.name(), it.floor?.to_string())));
        let files = done.iter().filter(|(_, it)| it.files > 0).map(|(table, it)| (table.name(), it.files));
        Self::Prune { kept_from: kept_from.collect(), files: files.collect() }
    }

    /// Of where the state of budgets was written.
    pub fn state(file: &std::path::Path) -> Self {
        Self::State { file: file.display().to_string() }
    }

    pub fn deliver(done: &Delivered) -> Self {
        let trouble = done.trouble.as_ref().map(ToString::to_string);
        Self::Deliver { sent: done.sent(), waiting: done.waiting(), failed: done.failed(), trouble }
    }

    pub fn failed(error: &dyn std::error::Error) -> Self {
        Self::Failed { error: error.to_string() }
    }
}

impl<'r> RunRecord<'r> {
    /// The record of a command that is one stage.
    pub fn of_stage(stage: Stage, started: Instant, finished: Instant, record: StageRecord<'r>) -> Self {
        Self::new(stage.name(), started, finished, Of::Stage(record))
    }

    /// The record of a whole night.
    pub fn of_night(
        started: Instant,
        finished: Instant,
        stages: impl IntoIterator<Item = (Stage, StageRecord<'r>)>,
    ) -> Self {
        let stages = stages.into_iter().map(|(stage, record)| (stage.name(), record)).collect();
        Self::new(NIGHT, started, finished, Of::Night { stages })
    }

    fn new(command: &'static str, started: Instant, finished: Instant, of: Of<'r>) -> Self {
        Self {
            command,
            version: env!("CARGO_PKG_VERSION"),
            started: started.to_string(),
            finished: finished.to_string(),
            of,
        }
    }
}

/// A stage of a run as its record tells it, for those who look at the book later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    pub started: Instant,
    pub finished: Instant,
    /// Sources and days that failed.
    pub failures: u64,
}

/// What is read again of a record; newer programs may have more in theirs.
#[derive(Debug, Deserialize)]
struct Stored {
    command: String,
    started: String,
    finished: String,
    #[serde(flatten)]
    alone: StoredStage,
    #[serde(default)]
    stages: BTreeMap<String, StoredStage>,
}

#[derive(Debug, Deserialize)]
struct StoredStage {
    #[serde(default)]
    notes: Vec<StoredNote>,
    #[serde(default)]
    days_failed: BTreeMap<String, String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StoredNote {
    #[serde(default)]
    is_failure: bool,
}

/// The last time that a stage was done, alone or in a night; `None` where it
/// never was. Records that cannot be read are passed over.
///
/// # Errors
/// Where the book cannot be read.
pub fn last(book: &Book, stage: Stage) -> Result<Option<Past>, BookError> {
    for path in in_order(book)?.iter().rev() {
        let Some(bytes) = book.get(path)? else { continue };
        let stored = serde_json::from_slice::<Stored>(&bytes).ok();
        if let Some(past) = stored.and_then(|stored| stored.past(stage)) {
            return Ok(Some(past));
        }
    }
    Ok(None)
}

/// The records, the oldest first.
fn in_order(book: &Book) -> Result<Vec<Path>, BookError> {
    let mut files = book.list(&Path::from(DIR))?;
    // The name is `{started}-{command}-{number}`, and times sort as texts do,
    // but for fractions of a second and for numbers of two digits.
    files.sort_by_cached_key(|path| {
        let stem = path.filename().unwrap_or_default().trim_end_matches(".json").to_owned();
        let (rest, number) = stem.rsplit_once('-').unwrap_or((&stem, ""));
        (rest.replace('Z', ""), number.parse::<u64>().unwrap_or_default())
    });
    Ok(files)
}

impl Stored {
    /// How a stage went; `None` where this run did not do it.
    fn past(&self, stage: Stage) -> Option<Past> {
        let part = if self.command == NIGHT {
            self.stages.get(stage.name())?
        } else {
            (self.command == stage.name()).then_some(&self.alone)?
        };
        if part.error.is_some() {
            return None;
        }
        let instant = |text: &str| Instant::parse(text, chrono_tz::Tz::UTC);
        let failures = part.notes.iter().filter(|note| note.is_failure).count() + part.days_failed.len();
        Some(Past { started: instant(&self.started)?, finished: instant(&self.finished)?, failures: failures as u64 })
    }
}

/// What the records of runs say of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// The first of the runs that looked for it, without one since that did not
    /// know it.
    pub first_sought: Instant,
    /// The last one of them that read a request of it.
    pub last_gave: Option<Instant>,
}

/// What is read again of a record by those who ask for sources.
#[derive(Debug, Deserialize)]
struct Accounts {
    command: String,
    started: String,
    #[serde(flatten)]
    alone: StageAccounts,
    #[serde(default)]
    stages: BTreeMap<String, StageAccounts>,
}

#[derive(Debug, Deserialize)]
struct StageAccounts {
    accounts: Option<IngestTally>,
}

/// Whether a request came from a source: one that is kept, or would be if
/// another said it worse or its day were not pruned.
fn gave_requests(tally: &SourceTally) -> bool {
    tally.kept + tally.duplicate + tally.superseded > 0 || tally.skipped.contains_key(ingest::PRUNED)
}

/// What runs found of these sources, latest first, and for each source no
/// further than a run that read one of its requests. Records that cannot be
/// read are passed over.
///
/// # Errors
/// Where the book cannot be read.
pub fn of_sources(book: &Book, mut names: BTreeSet<&str>) -> Result<BTreeMap<String, Sought>, BookError> {
    let mut found: BTreeMap<String, Sought> = BTreeMap::new();
    if names.is_empty() {
        return Ok(found);
    }
    for path in in_order(book)?.iter().rev() {
        let Some(bytes) = book.get(path)? else { continue };
        let Ok(mut record) = serde_json::from_slice::<Accounts>(&bytes) else { continue };
        let of_night = record.stages.remove(Stage::Ingest.name()).and_then(|stage| stage.accounts);
        let Some(accounts) = of_night.or(record.alone.accounts) else { continue };
        let Some(started) = Instant::parse(&record.started, chrono_tz::Tz::UTC) else { continue };
        names.retain(|name| match accounts.sources.get(*name) {
            Some(tally) => {
                let sought = Sought { first_sought: started, last_gave: gave_requests(tally).then_some(started) };
                found.insert((*name).to_owned(), sought);
                sought.last_gave.is_none()
            }
            // An ingest may have been of another source alone.
            None => record.command != NIGHT,
        });
        if names.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Where the records are.
const DIR: &str = "runs";

/// Adds a run's record to the book, under a name of its own, which it returns.
///
/// # Errors
/// Where it cannot be written.
pub fn store(book: &Book, record: &RunRecord<'_>) -> Result<Path, BookError> {
    let stem = record.started.replace(':', "");
    let taken = book.list(&Path::from(DIR))?;
    // With a pinned clock, several runs begin at the same instant.
    let same = format!("{DIR}/{stem}-{}-", record.command);
    let number = taken.iter().filter(|path| path.as_ref().starts_with(&same)).count() + 1;
    let name = Path::from(format!("{same}{number}.json"));
    replace(book, &name, record)?;
    Ok(name)
}

/// Writes the record of a run that has gone on since it was stored.
///
/// # Errors
/// Where it cannot be written.
pub fn replace(book: &Book, name: &Path, record: &RunRecord<'_>) -> Result<(), BookError> {
    let mut text = serde_json::to_string_pretty(record).unwrap_or_default();
    text.push('\n');
    book.put(name, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_run_is_the_last_of_its_command() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        assert_eq!(last(&book, Stage::Price).unwrap(), None);
        let done = charges::Outcome::default();
        let at = |text: &str| Instant::parse(text, chrono_tz::Tz::UTC).unwrap();
        let store_at = |text: &str, finished: &str| {
            let record = StageRecord::price(at(text), &done);
            store(&book, &RunRecord::of_stage(Stage::Price, at(text), at(finished), record)).unwrap();
        };
        let check = |expect: &str| {
            let past = last(&book, Stage::Price).unwrap().unwrap();
            assert_eq!(past.finished.to_string(), expect);
        };
        store_at("2026-06-01T02:00:00Z", "2026-06-01T02:01:00Z");
        check("2026-06-01T02:01:00Z");
        store_at("2026-06-01T02:00:00.5Z", "2026-06-01T02:02:00Z");
        check("2026-06-01T02:02:00Z");
        for minute in 10..22 {
            store_at("2026-06-02T02:00:00Z", &format!("2026-06-02T02:{minute}:00Z"));
        }
        check("2026-06-02T02:21:00Z");
        let failed = "{\"command\":\"ingest\",\"started\":\"2026-06-03T02:00:00Z\",\
                      \"finished\":\"2026-06-03T02:05:00Z\",\"notes\":[{\"is_failure\":true},{}]}";
        book.put(&Path::from("runs/2026-06-03T020000Z-ingest-1.json"), failed.into()).unwrap();
        book.put(&Path::from("runs/2026-06-04T020000Z-ingest-1.json"), "half".into()).unwrap();
        check("2026-06-02T02:21:00Z");
        let past = last(&book, Stage::Ingest).unwrap().unwrap();
        assert_eq!((past.started.to_string().as_str(), past.failures), ("2026-06-03T02:00:00Z", 1));

        // A night whose prices were refused has read its logs, and priced nothing.
        let (read, totals) = (ingest::Outcome::default(), totals::Outcome::default());
        let refused = std::io::Error::other("no price");
        let stages =
            [(Stage::Ingest, StageRecord::ingest(&read, &totals)), (Stage::Price, StageRecord::failed(&refused))];
        let (started, finished) = (at("2026-06-05T02:00:00Z"), at("2026-06-05T02:09:00Z"));
        store(&book, &RunRecord::of_night(started, finished, stages)).unwrap();
        check("2026-06-02T02:21:00Z");
        assert_eq!(last(&book, Stage::Ingest).unwrap().unwrap().finished, finished);
    }

    /// Of the runs before a night that did not know it nothing counts, and a run
    /// that read of it ends the question.
    #[test]
    fn a_source_is_sought_since_the_first_run_that_knew_it() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let at = |text: &str| Instant::parse(text, chrono_tz::Tz::UTC).unwrap();
        let ran = |day: &str, sources: &[(&str, u64)], is_night: bool| {
            let mut read = ingest::Outcome::default();
            for &(name, duplicate) in sources {
                read.tally.source(name).duplicate = duplicate;
            }
            let started = at(&format!("2026-07-{day}T02:00:00Z"));
            let none = totals::Outcome::default();
            let record = StageRecord::ingest(&read, &none);
            let record = if is_night {
                RunRecord::of_night(started, started, [(Stage::Ingest, record)])
            } else {
                RunRecord::of_stage(Stage::Ingest, started, started, record)
            };
            store(&book, &record).unwrap();
        };
        let sought = |name: &str| {
            let found = of_sources(&book, BTreeSet::from([name])).unwrap();
            found.get(name).map(|it| (it.first_sought.day().to_string(), it.last_gave.map(|at| at.day().to_string())))
        };
        let since =
            |day: &str, gave: Option<&str>| Some((format!("2026-07-{day}"), gave.map(|day| format!("2026-07-{day}"))));
        ran("01", &[("a", 0), ("b", 0), ("c", 0)], true);
        ran("02", &[("a", 0), ("c", 7)], true);
        ran("03", &[("b", 0)], false);
        ran("04", &[("a", 0), ("b", 0), ("c", 0)], true);
        assert_eq!(sought("a"), since("01", None));
        assert_eq!(sought("b"), since("03", None));
        assert_eq!(sought("c"), since("02", Some("02")));
        assert_eq!(sought("d"), None);
    }
}
