//! The book: can it be read and written, is it whole, is a run going on.

use std::{fs, path::Path};

use super::{Check, counted, shown};
use crate::{
    book::{
        self, Book, BookError,
        layout::{DayTable, LOCK_FILE},
        lock,
    },
    config::Config,
    ingest::stored,
};

const SUBJECT: &str = "book";

pub(super) fn check(config: &Config, opened: Result<&Book, &BookError>) -> Vec<Check> {
    let root = config.book_dir();
    let shown = shown(&root);
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
            return vec![Check::problem(SUBJECT, error.to_string(), cure)];
        }
    };
    checks.extend(check_writing(&root));
    if let Ok(book) = opened {
        checks.extend(check_leftovers(book));
    }
    checks
}

fn check_days(book: &Book) -> Vec<Check> {
    let shown = shown(book.root());
    let days = match stored::days(book) {
        Ok(days) => days,
        Err(error) => {
            return vec![Check::problem(SUBJECT, error.to_string(), "check the permissions of the book's directory")];
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
                error.to_string(),
                "restore the file from a backup; or move it away, with `state` beside it, and run `spendbook ingest`: \
                 logs that are still there are read again",
            )),
        }
    }
    let found = match days.first() {
        None => format!("`{shown}` holds no requests yet"),
        Some(_) => format!("`{shown}`: {rows} requests on {}, every file can be read", counted(count, "day")),
    };
    if checks.is_empty() {
        checks.push(Check::ok(SUBJECT, found));
    }
    checks
}

/// Whether a file could be made in it, or where it will be.
fn check_writing(root: &Path) -> Option<Check> {
    let Some(there) = root.ancestors().find(|dir| dir.as_os_str().is_empty() || dir.exists()) else {
        return Some(Check::problem(SUBJECT, "no directory for it exists", "set `path` under `[book]`"));
    };
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    // Without a name: nobody sees it, and it is gone at once.
    let error = tempfile::tempfile_in(there).err()?;
    Some(Check::problem(
        SUBJECT,
        format!("`{}` cannot be written: {error}", shown(there)),
        "let the user that runs the night write there, or set another `path` under `[book]`",
    ))
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
