//! When each day of a source was last told, so that it need not be asked again.
//!
//! Only work is saved: with the state gone, every day since the source's
//! `since` is asked for again, and the totals stay the same.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    book::{Book, BookError},
    config::{Privacy, Source},
    time::{Day, Instant},
};

/// What earlier runs were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Digest of the options that decide what is asked, and of whom.
    options: String,
    /// By day, when all of it was last told.
    told: BTreeMap<String, String>,
    /// Digest of the files of recorded answers, as they were read.
    #[serde(default)]
    pub(super) files: String,
}

/// Of what tellers make of an answer: raised where the same answer becomes
/// other rows, so that days that are settled are asked for again.
const RULES: u32 = 1;

impl State {
    /// What is there for these options; nothing, where they were others.
    ///
    /// # Errors
    /// Where the book cannot be read.
    pub(super) fn load(book: Option<&Book>, source: &Source, privacy: Privacy) -> Result<Self, BookError> {
        let url = source.remote.as_ref().map(|remote| &remote.url);
        let options = format!("{:?}", (RULES, &source.format, &source.provider, url, privacy.users));
        let options = format!("{:016x}", xxh3_64(options.as_bytes()));
        let bytes = book.map(|book| book.get(&path(&source.name))).transpose()?.flatten();
        let stored: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let fresh = Self { options: options.clone(), ..Self::default() };
        Ok(stored.filter(|stored| stored.options == options).unwrap_or(fresh))
    }

    /// # Errors
    /// Where it cannot be written.
    pub(super) fn save(&self, book: &Book, source: &str) -> Result<(), BookError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        book.put(&path(source), text.into())
    }

    pub(super) fn told(&self, day: Day) -> Option<Instant> {
        Instant::parse(self.told.get(&day.to_string())?, chrono_tz::Tz::UTC)
    }

    pub(super) fn set_told(&mut self, day: Day, at: Instant) {
        self.told.insert(day.to_string(), at.to_string());
    }

    /// The days that were told, in order.
    pub(super) fn days(&self) -> impl Iterator<Item = Day> {
        self.told.keys().filter_map(|day| Day::parse(day))
    }

    /// When anything was last told.
    pub(super) fn last(&self) -> Option<Instant> {
        self.told.values().filter_map(|at| Instant::parse(at, chrono_tz::Tz::UTC)).max()
    }
}

fn path(source: &str) -> Path {
    Path::from(format!("state/totals/{source}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_known_until_the_options_change() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let source = Source { name: "usage".to_owned(), format: "openai-usage".to_owned(), ..Source::default() };
        let load = |source: &Source| State::load(Some(&book), source, Privacy::default()).unwrap();
        let (day, at) = (Day::from_days(20_000), Day::from_days(20_001).start());
        let mut state = load(&source);
        assert_eq!((state.told(day), state.last()), (None, None));
        state.set_told(day, at);
        state.save(&book, "usage").unwrap();
        assert_eq!((load(&source).told(day), load(&source).last()), (Some(at), Some(at)));
        assert_eq!(load(&Source { provider: Some("azure".to_owned()), ..source.clone() }).told(day), None);
        book.put(&path("usage"), "half".into()).unwrap();
        assert_eq!(load(&source).told(day), None);
    }
}
