//! Reading what a run may replace meanwhile.
//!
//! Each file of the book is whole at every moment, but a run replaces one after
//! the other. Who reads several of them without the lock reads them again until
//! none was replaced, so that they belong together.

use object_store::path::Path;

use super::{Book, BookError, layout::DayTable};
use crate::time::Instant;

/// How often something is read while a run replaces it.
const TRIES: usize = 5;

/// Files that are there, and when each was written.
pub type FileTimes = Vec<(Path, Instant)>;

/// Reads until the files are the same before and afterwards; `None` where a run
/// kept replacing them. What went wrong while they were replaced does not count.
///
/// # Errors
/// Where the files cannot be looked at, or what is read fails.
pub fn steadily<F: PartialEq, T, E: From<BookError>>(
    files: impl Fn() -> Result<F, BookError>,
    mut read: impl FnMut(&F) -> Result<T, E>,
) -> Result<Option<T>, E> {
    for _ in 0..TRIES {
        let before = files()?;
        let found = read(&before);
        if files()? == before {
            return found.map(Some);
        }
    }
    Ok(None)
}

impl Book {
    /// When files were written, in their order; what is not there is left out.
    ///
    /// # Errors
    /// Where one cannot be looked at.
    pub fn written(&self, paths: impl IntoIterator<Item = Path>) -> Result<FileTimes, BookError> {
        let written = |path: Path| Ok(self.modified(&path)?.map(|modified| (path, modified)));
        paths.into_iter().filter_map(|path| written(path).transpose()).collect()
    }

    /// The same of all days of a table.
    ///
    /// # Errors
    /// Where the table cannot be listed, or a file not be looked at.
    pub fn written_of(&self, table: DayTable) -> Result<FileTimes, BookError> {
        self.written(self.days(table)?.into_iter().map(|day| table.file(day)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::time::Day;

    #[test]
    fn what_was_replaced_while_it_was_read_is_read_again() {
        // A run replaces the files while they are read, so many times.
        let check = |replaced: usize, expect: Option<usize>| {
            let (version, reads) = (Cell::new(0), Cell::new(0));
            let read = |before: &usize| {
                reads.set(reads.get() + 1);
                if version.get() < replaced {
                    version.set(version.get() + 1);
                    return Err(BookError::Damaged { path: "x".to_owned(), detail: "half of it".to_owned() });
                }
                Ok(*before)
            };
            assert_eq!(steadily(|| Ok(version.get()), read).unwrap(), expect, "{replaced}");
            assert_eq!(reads.get(), (replaced + 1).min(TRIES));
        };
        check(0, Some(0));
        check(4, Some(4));
        check(5, None);
        // With nobody there to replace them, it is what it is.
        let failed: Result<Option<()>, _> =
            steadily(|| Ok(()), |()| Err(BookError::Damaged { path: "x".to_owned(), detail: "broken".to_owned() }));
        assert_eq!(failed.unwrap_err().to_string(), "`x` in the book is damaged: broken");
    }

    #[test]
    fn files_that_are_not_there_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let [first, second] = [1, 2].map(|day| DayTable::Rollup.file(Day::from_days(20_000 + day)));
        book.put(&second, "x".into()).unwrap();
        let written = book.written([first, second.clone()]).unwrap();
        assert_eq!(written.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&second]);
        assert_eq!(book.written_of(DayTable::Rollup).unwrap(), written);
    }
}
