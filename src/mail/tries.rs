//! How often each waiting mail was tried, and when it is tried again: one small
//! file in `state/`, which only saves work. Without it every mail is tried at
//! once, and its age is that of the mail.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{
    book::{Book, BookError},
    time::Instant,
};

const FILE: &str = "state/outbox.json";

const MINUTE: i64 = 60 * 1_000_000;
/// The first wait between two runs that try a mail; each is four times the last.
const FIRST_WAIT: i64 = 15 * MINUTE;
/// Shorter than a day, so that a nightly run always tries.
const LONGEST_WAIT: i64 = 12 * 60 * MINUTE;
/// A mail that could not be sent for so long is given up.
pub(super) const GIVEN_UP_AFTER: i64 = 5 * 24 * 60 * MINUTE;

/// What was tried, by mail.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tries(BTreeMap<String, Tried>);

/// What was tried with one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tried {
    first: i64,
    next: i64,
    pub(super) count: u32,
    pub(super) answer: String,
}

impl Tried {
    pub(super) const fn next(&self) -> Instant {
        Instant::from_micros(self.next)
    }
}

impl Tries {
    /// What was noted; damaged notes are none.
    pub(super) fn load(book: &Book) -> Result<Self, BookError> {
        let bytes = book.get(&Path::from(FILE))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Notes what is known of the mails that still wait.
    pub(super) fn store(&mut self, book: &Book, waiting: impl Fn(&str) -> bool) -> Result<(), BookError> {
        self.0.retain(|id, _| waiting(id));
        if *self == Self::load(book)? {
            return Ok(());
        }
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        book.put(&Path::from(FILE), text.into())
    }

    pub(super) fn of(&self, id: &str) -> Option<&Tried> {
        self.0.get(id)
    }

    /// A mail that is to be tried now as if it had never been.
    pub(super) fn renew(&mut self, id: &str, now: Instant) {
        let (first, next) = (now.micros(), now.micros());
        self.0.insert(id.to_owned(), Tried { first, next, count: 0, answer: String::new() });
    }

    /// It was tried in this run, in vain. Where it was the server's fault, the
    /// next run tries again, however soon it comes.
    pub(super) fn in_vain(&mut self, id: &str, now: Instant, answer: &str, is_servers_fault: bool) -> &Tried {
        let first = now.micros();
        let tried =
            self.0.entry(id.to_owned()).or_insert(Tried { first, next: first, count: 0, answer: String::new() });
        let wait = (0..tried.count).fold(FIRST_WAIT, |wait, _| (wait * 4).min(LONGEST_WAIT));
        tried.count = tried.count.saturating_add(1).min(1_000);
        answer.clone_into(&mut tried.answer);
        tried.next = if is_servers_fault { first } else { first.saturating_add(wait) };
        tried
    }

    pub(super) fn is_due(&self, id: &str, now: Instant) -> bool {
        // A clock that was set back makes nothing wait for longer.
        self.of(id)
            .is_none_or(|tried| tried.next <= now.micros() || tried.next > now.micros().saturating_add(LONGEST_WAIT))
    }

    /// Whether it has waited for too long: since it was first tried, or since
    /// it was written where it never was.
    pub(super) fn is_too_old(&self, id: &str, written: Option<Instant>, now: Instant) -> bool {
        let since = self.of(id).map(|tried| tried.first).or(written.map(Instant::micros));
        since.is_some_and(|since| now.micros().saturating_sub(since) >= GIVEN_UP_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * MINUTE;

    #[test]
    fn waits_grow_and_end_after_five_days() {
        let start = Instant::from_micros(1_780_300_800_000_000);
        let mut tries = Tries::default();
        assert!(tries.is_due("a", start) && !tries.is_too_old("a", Some(start), start));
        let mut now = start;
        for minutes in [15, 60, 240, 720, 720] {
            tries.in_vain("a", now, "451 later", false);
            assert!(!tries.is_due("a", now.plus_micros(minutes * MINUTE - 1)));
            assert!(tries.is_due("a", now.plus_micros(minutes * MINUTE)));
            now = now.plus_micros(minutes * MINUTE);
        }
        assert_eq!(tries.of("a").map(|tried| tried.count), Some(5));
        assert!(!tries.is_too_old("a", None, start.plus_micros(5 * 24 * HOUR - 1)));
        assert!(tries.is_too_old("a", None, start.plus_micros(5 * 24 * HOUR)));
        assert!(tries.is_due("a", start.plus_micros(-24 * HOUR)), "the clock was set back");
        tries.in_vain("a", now, "no server", true);
        assert!(tries.is_due("a", now));
        tries.renew("a", now);
        assert!(!tries.is_too_old("a", Some(start), now.plus_micros(HOUR)));
    }

    #[test]
    fn a_mail_that_was_never_tried_is_as_old_as_it_is() {
        let written = Instant::from_micros(1_780_300_800_000_000);
        let tries = Tries::default();
        assert!(tries.is_too_old("a", Some(written), written.plus_micros(GIVEN_UP_AFTER)));
        assert!(!tries.is_too_old("a", None, written.plus_micros(GIVEN_UP_AFTER)));
    }

    #[test]
    fn only_mails_that_wait_are_noted() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let mut tries = Tries::default();
        let now = Instant::from_micros(1_780_300_800_000_000);
        tries.in_vain("a", now, "451", false);
        tries.in_vain("b", now, "451", false);
        tries.store(&book, |id| id == "a").unwrap();
        let again = Tries::load(&book).unwrap();
        assert!(again.of("a").is_some() && again.of("b").is_none());
        book.put(&Path::from(FILE), "{".into()).unwrap();
        assert_eq!(Tries::load(&book).unwrap(), Tries::default());
    }
}
