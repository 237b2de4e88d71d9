//! The objects of `alerts/`: one for each run that had something to remember.
//!
//! An object is the commit of a run: events, what was told to whom, and the
//! mails, byte for byte. It is there whole or not at all, and never written
//! over. Its name sorts by the instant of the run; its number says in which
//! order runs were committed, whatever `--now` said. `state/alerts.json` holds
//! the fold of the objects that it names and only saves reading them: if one
//! of them is gone, all are folded again.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{
    AlertsError,
    event::{Event, Past},
    state::State,
    text_form,
};
use crate::{
    book::{Book, BookError},
    mail::{Outbox, Place, Sealed},
    time::Instant,
};

const DIR: &str = "alerts";
const SNAPSHOT: &str = "state/alerts.json";
/// Mails of older runs are not put back: whoever clears `outbox/sent` of the
/// last year does not want them again.
const RESTORED_FOR: i64 = 35 * 86_400_000_000;

/// What has been committed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Log {
    pub state: State,
    /// The objects that are in it, by name.
    runs: BTreeMap<String, Run>,
}

/// What is kept of an object, beside its events.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    #[serde(with = "text_form::instant")]
    at: Instant,
    /// Ids of its mails.
    mails: Vec<String>,
}

/// A run, as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Commit<'c, A> {
    pub schema: u32,
    #[serde(with = "text_form::instant")]
    pub at: Instant,
    #[serde(with = "text_form::instant")]
    pub known_until: Instant,
    pub events: &'c [Event],
    /// What was told, for people and programs that look at it later.
    pub alerts: Vec<A>,
    pub mails: &'c [Mail],
}

/// A mail, as it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    #[serde(flatten)]
    pub sealed: Sealed,
    /// The conversations that it begins or goes on with.
    pub threads: Vec<String>,
}

#[derive(Deserialize)]
struct Mails {
    #[serde(default)]
    mails: Vec<Mail>,
}

/// Reads what has been committed.
///
/// # Errors
/// Where an object cannot be read.
pub(super) fn read(book: &Book) -> Result<Log, AlertsError> {
    let mut names: Vec<String> =
        book.list(&Path::from(DIR))?.iter().filter_map(|file| Some(file.filename()?.to_owned())).collect();
    names.retain(|name| number(name).is_some());
    names.sort_by_key(|name| number(name));
    let snapshot = book.get(&Path::from(SNAPSHOT))?.and_then(|bytes| serde_json::from_slice::<Log>(&bytes).ok());
    // Its objects must be the first ones that are there.
    let is_of = |log: &Log| {
        let first: Vec<&String> = names.iter().take(log.runs.len()).collect();
        first.len() == log.runs.len() && first.iter().all(|name| log.runs.contains_key(*name))
    };
    let mut log = snapshot.filter(is_of).unwrap_or_default();
    for name in &names {
        if !log.runs.contains_key(name) {
            let past: Past = parse(book, name)?;
            log.add(name.clone(), &past);
        }
    }
    Ok(log)
}

impl Log {
    fn add(&mut self, name: String, past: &Past) {
        self.state.add(past);
        let mails = past.mails.iter().map(|mail| mail.id.clone()).collect();
        self.runs.insert(name, Run { at: past.at, mails });
    }

    /// The name of the next object. The instant has all its digits, so that
    /// names sort as instants do.
    pub(super) fn next_name(&self, at: Instant) -> String {
        let number = self.runs.keys().filter_map(|name| number(name)).max().unwrap_or_default() + 1;
        let text = at.to_string().replace([':', '-'], "");
        let (seconds, fraction) =
            text.trim_end_matches('Z').split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
        format!("{seconds}.{fraction:0<6}Z-{number:06}")
    }

    /// Commits a run: from then on everything in it has happened.
    ///
    /// # Errors
    /// Where it cannot be written, or another run has taken its name.
    pub(super) fn commit<A: Serialize>(
        &mut self,
        book: &Book,
        name: &str,
        commit: &Commit<'_, A>,
    ) -> Result<(), AlertsError> {
        let mut bytes = serde_json::to_vec(commit).expect("texts and numbers can be written as JSON");
        bytes.push(b'\n');
        let file = format!("{name}.json");
        let path = Path::from(format!("{DIR}/{file}"));
        let past: Past = serde_json::from_slice(&bytes).map_err(|error| damaged(&path, &error))?;
        if !book.put_new(&path, bytes.into())? {
            return Err(BookError::Damaged { path: path.to_string(), detail: "it is there already".to_owned() }.into());
        }
        self.add(file, &past);
        Ok(())
    }

    /// Notes the fold, to save reading next time.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn save(&self, book: &Book) -> Result<(), BookError> {
        let bytes = serde_json::to_vec(self).expect("texts and numbers can be written as JSON");
        book.put(&Path::from(SNAPSHOT), bytes.into())
    }

    /// Puts back what is in none of the outbox's places; how many mails that
    /// were.
    ///
    /// # Errors
    /// Where the outbox or an object cannot be read.
    pub(super) fn restore(&self, book: &Book, now: Instant) -> Result<usize, AlertsError> {
        let outbox = Outbox::new(book);
        let mut known = std::collections::BTreeSet::new();
        for place in [Place::Pending, Place::Sent, Place::Failed] {
            known.extend(outbox.ids(place)?);
        }
        let mut restored = 0;
        let is_recent = |run: &Run| now.micros() - run.at.micros() <= RESTORED_FOR;
        for (name, _) in
            self.runs.iter().filter(|(_, run)| is_recent(run) && !run.mails.iter().all(|id| known.contains(id)))
        {
            let Mails { mails } = parse(book, name)?;
            let mails: Vec<Sealed> = mails.into_iter().map(|mail| mail.sealed).collect();
            restored += outbox.restore(&mails)?;
        }
        Ok(restored)
    }
}

fn parse<T: serde::de::DeserializeOwned>(book: &Book, name: &str) -> Result<T, AlertsError> {
    let path = Path::from(format!("{DIR}/{name}"));
    let bytes = book.get(&path)?.unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|error| damaged(&path, &error))
}

fn damaged(path: &Path, error: &serde_json::Error) -> AlertsError {
    BookError::Damaged { path: path.to_string(), detail: format!("{error}; restore it from a backup") }.into()
}

/// In which order a run was committed.
fn number(name: &str) -> Option<u64> {
    name.trim_end_matches(".json").rsplit_once('-')?.1.parse().ok()
}
