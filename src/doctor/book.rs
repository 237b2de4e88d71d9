//! The book: can it be read and written, is it whole, is a run going on.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use object_store::path as store;
use parquet::file::metadata::ParquetMetaDataReader;

use super::{Check, State, counted, shown};
use crate::{
    book::{
        self, Book, BookError,
        layout::{DayTable, LOCK_FILE},
        lock,
    },
    config::Config,
    ingest::stored,
    report::TABLES,
};

const SUBJECT: &str = "book";

pub(super) fn check(config: &Config, opened: Result<&Book, &BookError>) -> Vec<Check> {
    let root = config.book_dir();
    let shown = shown(&root);
    if root.exists() && !root.is_dir() {
        let cure = "move the file away, or set another `path` under `[book]`";
        return vec![Check::problem(SUBJECT, format!("`{shown}` is a file, expected a directory"), cure)];
    }
    let mut checks = match opened {
        Ok(book) => check_days(book),
        Err(BookError::Missing(_)) => {
            vec![Check::ok(SUBJECT, format!("`{shown}` is not there yet: the first `spendbook ingest` makes it"))]
        }
        Err(error) => {
            let cure = match error {
                BookError::TooNew { .. } => "install that version, or set another `path` under `[book]`",
                BookError::Damaged { .. } => "restore it from a backup",
                _ => "check its permissions, and `path` under `[book]`",
            };
            return vec![Check::problem(SUBJECT, causes(error), cure)];
        }
    };
    checks.extend(check_writing(&root));
    if let Ok(book) = opened {
        checks.extend(check_leftovers(book));
    }
    checks
}

/// Whether something was found that keeps others from reading the book.
pub(super) fn is_broken(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.subject == SUBJECT && check.state == State::Problem)
}

fn check_days(book: &Book) -> Vec<Check> {
    let shown = shown(book.root());
    let days = match stored::days(book) {
        Ok(days) => days,
        Err(error) => {
            return vec![Check::problem(SUBJECT, causes(&error), "check the permissions of the book's directory")];
        }
    };
    let (mut rows, mut count) = (0, 0);
    let mut checks = Vec::new();
    for day in &days {
        match &day.rows {
            Ok(_) if day.table == DayTable::Checks => {}
            Ok(of_day) => {
                rows += of_day;
                count += 1;
            }
            Err(error) => checks.push(Check::problem(
                SUBJECT,
                causes(error),
                "restore the file from a backup; or move it away, with `state` beside it, and run `spendbook ingest`: \
                 logs that are still there are read again",
            )),
        }
    }
    checks.extend(check_made(book));
    let found = match days.first() {
        None => format!("`{shown}` holds no requests yet"),
        Some(_) => format!("`{shown}`: {rows} requests on {}, every file can be opened", counted(count, "day")),
    };
    if checks.is_empty() {
        checks.push(Check::ok(SUBJECT, found));
    }
    checks
}

/// Files of the tables that are made from `usage`, and of what providers said.
fn check_made(book: &Book) -> Vec<Check> {
    let mut checks = Vec::new();
    for table in TABLES.iter().filter(|table| table.has_files() && table.day_table() != Some(DayTable::Usage)) {
        let cure = match table.day_table() {
            Some(DayTable::Violations) => {
                "remove the file and run `spendbook audit`: it is derived, and made again as it was"
            }
            Some(_) => "remove the file and run `spendbook price`: it is derived, and made again as it was",
            None => "restore the file from a backup; `spendbook doctor` shows whether its source still answers",
        };
        let files = match table.files(book) {
            Ok(files) => files,
            Err(error) => {
                checks.push(Check::problem(SUBJECT, causes(&error), "check the permissions of the book's directory"));
                continue;
            }
        };
        for (_, path) in files {
            if let Err(found) = open(book, &path) {
                checks.push(Check::problem(SUBJECT, found, cure));
            }
        }
    }
    checks
}

/// Reads what a file says of itself: of one that was cut off, or overwritten,
/// nothing can be read.
fn open(book: &Book, path: &store::Path) -> Result<(), String> {
    let Some(stored) = book.read(path).map_err(|error| causes(&error))? else { return Ok(()) };
    let parsed = ParquetMetaDataReader::new().parse_and_finish(&stored);
    parsed.map(drop).map_err(|error| format!("`{path}` in the book: {error}"))
}

/// An error with what it comes from, on one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Whether a file could be made in it, or where it will be.
fn check_writing(root: &Path) -> Option<Check> {
    let Some(there) = root.ancestors().find(|dir| dir.as_os_str().is_empty() || dir.exists()) else {
        return Some(Check::problem(SUBJECT, "no directory for it exists", "set `path` under `[book]`"));
    };
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let mut directories = vec![there.to_owned()];
    if there == root {
        directories.extend(below(root));
    }
    // Without a name: nobody sees it, and it is gone at once.
    let found = unwritable(&directories, |dir| tempfile::tempfile_in(dir).map(drop))?;
    let cure = if there == root {
        format!(
            "let the user that runs the night own all of it, which another one may have made, such as root by a first \
             run: `chown -R USER {}`; or set another `path` under `[book]`",
            shown(root)
        )
    } else {
        "let the user that runs the night write there, or set another `path` under `[book]`".to_owned()
    };
    Some(Check::problem(SUBJECT, found, cure))
}

/// The directories below one, as far as they can be looked into.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        // Of those that cannot be looked into it is said that they cannot be written.
        let inside = fs::read_dir(&dir).into_iter().flatten().flatten();
        let mut dirs: Vec<PathBuf> =
            inside.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()).collect();
        dirs.sort();
        found.extend(dirs.iter().cloned());
        left.extend(dirs);
    }
    found
}

/// The first directory in which nothing can be made, and how many more.
fn unwritable(directories: &[PathBuf], try_in: impl Fn(&Path) -> io::Result<()>) -> Option<String> {
    let mut failed = directories.iter().filter_map(|dir| Some((dir, try_in(dir).err()?)));
    let (dir, error) = failed.next()?;
    let more = match failed.count() {
        0 => String::new(),
        1 => ", nor can 1 more directory".to_owned(),
        count => format!(", nor can {count} more directories"),
    };
    Some(format!("`{}` cannot be written: {error}{more}", shown(dir)))
}

fn check_leftovers(book: &Book) -> Vec<Check> {
    let mut checks = Vec::new();
    match lock::holder(&book.root().join(LOCK_FILE)) {
        Ok(None) => {}
        Ok(Some(holder)) => {
            checks.push(Check::warning(SUBJECT, format!("a run is going on: {holder}"), "wait for it to end"));
            return checks; // What it has staged is no leftover.
        }
        Err(error) => checks.push(Check::problem(
            SUBJECT,
            format!("`{LOCK_FILE}` in it cannot be read: {error}"),
            "let the user that runs the night read and write it",
        )),
    }
    let staged = book::staged(book.root()).unwrap_or_default();
    if !staged.is_empty() {
        checks.push(Check::warning(
            SUBJECT,
            format!("an interrupted run left {}", counted(staged.len(), "unfinished file")),
            "nothing is lost: the next run removes them",
        ));
    }
    let is_moving = |table: DayTable| {
        let dir = book.root().join(table.moves().as_ref());
        fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
    };
    if [DayTable::Usage, DayTable::Checks].into_iter().any(is_moving) {
        checks.push(Check::warning(
            SUBJECT,
            "an interrupted run left requests on their way from one day to another",
            "run `spendbook ingest`: it finishes what was begun",
        ));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_that_cannot_be_written_is_named_and_the_others_counted() {
        let directories = ["book", "book/charges", "book/state", "book/usage"].map(PathBuf::from);
        let told = |closed: &[&str]| {
            unwritable(&directories, |dir| {
                if closed.contains(&dir.to_str().unwrap()) { Err(io::Error::other("not yours")) } else { Ok(()) }
            })
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["book/state"]).as_deref(), Some("`book/state` cannot be written: not yours"));
        let two = told(&["book/usage", "book/charges"]);
        assert_eq!(two.as_deref(), Some("`book/charges` cannot be written: not yours, nor can 1 more directory"));
        assert!(told(&["book/usage", "book", "book/state"]).unwrap().ends_with(", nor can 2 more directories"));
    }

    #[test]
    fn directories_are_found_however_deep() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usage/date=2026-06-01")).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::write(dir.path().join("lock"), "").unwrap();
        let found: Vec<_> =
            below(dir.path()).iter().map(|it| it.strip_prefix(dir.path()).unwrap().display().to_string()).collect();
        assert_eq!(found, ["state", "usage", "usage/date=2026-06-01"]);
    }
}
