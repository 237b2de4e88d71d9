//! The outbox: `outbox/pending`, `sent` and `failed` in the book, one file per
//! mail, named by its id.
//!
//! A mail goes from one place to another in one step, so that at every moment
//! it is in one of them. What is known of failures stands beside the mail in
//! `failed`.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Sealed, message::is_id};
use crate::{
    book::{Book, BookError},
    threads,
};

/// Where a mail can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Not sent yet.
    Pending,
    /// A server has taken it.
    Sent,
    /// A server will not have it, or it has waited for too long.
    Failed,
}

impl Place {
    const ALL: [Self; 3] = [Self::Pending, Self::Sent, Self::Failed];

    const fn dir(self) -> &'static str {
        match self {
            Self::Pending => "outbox/pending",
            Self::Sent => "outbox/sent",
            Self::Failed => "outbox/failed",
        }
    }

    fn file(self, id: &str) -> Path {
        Path::from(format!("{}/{id}.eml", self.dir()))
    }
}

/// Why a mail is in `failed`, as it stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was given up.
    pub failed: String,
    pub tries: u32,
    /// What the server said, or why it was not asked.
    pub answer: String,
}

fn failure_file(id: &str) -> Path {
    Path::from(format!("{}/{id}.json", Place::Failed.dir()))
}

/// How many mails have not arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    pub pending: usize,
    pub failed: usize,
}

/// The mails of a book.
#[derive(Debug)]
pub struct Outbox<'b> {
    book: &'b Book,
}

impl<'b> Outbox<'b> {
    pub const fn new(book: &'b Book) -> Self {
        Self { book }
    }

    /// Puts into `pending` what is in none of the three places, byte for byte;
    /// how many mails that were. Those who commit events call it after every
    /// commit, and again for commits that an interrupted run may have left. Where
    /// the last of them is, all of them were.
    ///
    /// # Errors
    /// Where the outbox cannot be read or written.
    pub fn restore(&self, mails: &[Sealed]) -> Result<usize, BookError> {
        let Some((last, others)) = mails.split_last() else { return Ok(0) };
        let others = threads::on_the_disk(others, |mail| self.restore_one(mail));
        Ok(others.into_iter().sum::<Result<usize, BookError>>()? + self.restore_one(last)?)
    }

    fn restore_one(&self, mail: &Sealed) -> Result<usize, BookError> {
        if !is_id(&mail.id) || self.has(&mail.id)? {
            return Ok(0);
        }
        self.book.put(&Place::Pending.file(&mail.id), mail.eml.clone().into())?;
        Ok(1)
    }

    /// Whether a mail is in one of the three places. Asked one by one, since what
    /// was ever sent may be much more than what is asked for.
    ///
    /// # Errors
    /// Where the outbox cannot be read.
    pub fn has(&self, id: &str) -> Result<bool, BookError> {
        for place in Place::ALL {
            if self.book.has(&place.file(id))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts mails into `pending` once more, wherever they are; how many that
    /// were.
    ///
    /// # Errors
    /// Where the outbox cannot be read or written.
    pub fn again(&self, mails: &[Sealed]) -> Result<usize, BookError> {
        let mut again = self.restore(mails)?;
        for mail in mails.iter().filter(|mail| is_id(&mail.id)) {
            for place in [Place::Sent, Place::Failed] {
                if self.book.has(&place.file(&mail.id))? {
                    self.book.rename(&place.file(&mail.id), &Place::Pending.file(&mail.id))?;
                    again += 1;
                }
            }
            self.book.delete(&failure_file(&mail.id))?;
        }
        Ok(again)
    }

    /// The ids of the mails in a place, sorted.
    ///
    /// # Errors
    /// Where the outbox cannot be read.
    pub fn ids(&self, place: Place) -> Result<Vec<String>, BookError> {
        let files = self.book.list(&Path::from(place.dir()))?;
        let id = |file: &Path| file.filename()?.strip_suffix(".eml").filter(|id| is_id(id)).map(str::to_owned);
        Ok(files.iter().filter_map(id).collect())
    }

    /// How many mails wait, and how many were given up.
    ///
    /// # Errors
    /// Where the outbox cannot be read.
    pub fn held(&self) -> Result<Held, BookError> {
        Ok(Held { pending: self.ids(Place::Pending)?.len(), failed: self.ids(Place::Failed)?.len() })
    }

    /// The mail itself; `None` where it is not there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn eml(&self, place: Place, id: &str) -> Result<Option<Bytes>, BookError> {
        self.book.get(&place.file(id))
    }

    /// Why a mail is in `failed`, where that is known.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn failure(&self, id: &str) -> Result<Option<Failure>, BookError> {
        let bytes = self.book.get(&failure_file(id))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The mails that wait, sorted. Of one that a kill has left in two places
    /// (object storage moves by copying), the one that waits is removed.
    pub(super) fn settled(&self) -> Result<Vec<String>, BookError> {
        let mut pending = self.ids(Place::Pending)?;
        let mut known: BTreeSet<String> = self.ids(Place::Sent)?.into_iter().collect();
        known.extend(self.ids(Place::Failed)?);
        for id in pending.extract_if(.., |id| known.contains(id)) {
            self.book.delete(&Place::Pending.file(&id))?;
        }
        Ok(pending)
    }

    /// The server has taken it.
    pub(super) fn sent(&self, id: &str) -> Result<(), BookError> {
        self.book.rename(&Place::Pending.file(id), &Place::Sent.file(id))
    }

    /// It is given up. The reason comes first, so that no mail is there without.
    pub(super) fn failed(&self, id: &str, failure: &Failure) -> Result<(), BookError> {
        let mut text = serde_json::to_string_pretty(failure).unwrap_or_default();
        text.push('\n');
        self.book.put(&failure_file(id), text.into())?;
        self.book.rename(&Place::Pending.file(id), &Place::Failed.file(id))
    }

    /// It waits again. The reason goes last, and stays unread after a kill.
    pub(super) fn revived(&self, id: &str) -> Result<(), BookError> {
        self.book.rename(&Place::Failed.file(id), &Place::Pending.file(id))?;
        self.book.delete(&failure_file(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(id: &str) -> Sealed {
        Sealed { id: id.to_owned(), to: "a@example.com".to_owned(), subject: String::new(), eml: format!("{id}\r\n") }
    }

    #[test]
    fn a_mail_that_is_nowhere_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let outbox = Outbox::new(&book);
        let mails = [mail("a"), mail("b"), mail("c"), mail("d")];
        assert_eq!(outbox.restore(&mails).unwrap(), 4);
        book.rename(&Place::Pending.file("a"), &Place::Sent.file("a")).unwrap();
        book.rename(&Place::Pending.file("b"), &Place::Failed.file("b")).unwrap();
        book.delete(&Place::Pending.file("c")).unwrap();
        assert_eq!(outbox.restore(&mails).unwrap(), 1);
        assert_eq!(outbox.restore(&mails).unwrap(), 0);
        assert_eq!(outbox.ids(Place::Pending).unwrap(), ["c", "d"]);
        assert_eq!(book.get(&Place::Pending.file("c")).unwrap().unwrap(), "c\r\n");
        assert_eq!(outbox.restore(&[mail("../../etc")]).unwrap(), 0);
        assert_eq!(outbox.again(&mails).unwrap(), 2);
        assert_eq!(outbox.ids(Place::Pending).unwrap(), ["a", "b", "c", "d"]);
    }
}
