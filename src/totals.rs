//! What providers say in sum: `totals/source=…/date=…/totals.parquet`.
//!
//! A row is a line of a provider's answer: tokens, requests or money of a span
//! of time, by as many names as the provider tells. It is what our charges are
//! held against, and never one of them.
//!
//! What must hold: a (source, day) is replaced whole, by the latest fetch that
//! told all of it; the same rows are the same bytes; and an answer that says
//! what is known already changes no file, so that a row's `fetched_at` is when
//! its values were first told.

#![deny(clippy::float_arithmetic)]

mod ask;
mod file;
mod gather;
mod pull;
mod recorded;
mod sources;
mod state;

use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::{
    book::{Book, BookError},
    money::Usd,
    record::{Measure, Quality, Quantities},
    time::{Day, Instant},
};

pub use pull::{Options, Outcome, SourceTotals, last_told, measure, probe, provider, run};

/// Why totals cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TotalsError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("`{path}` in the book: {source}")]
    Parquet { path: String, source: ParquetError },
    #[error("`{path}` in the book has no column `{column}` of the type that docs/TABLES.md names: restore the file")]
    Column { path: String, column: &'static str },
}

/// A line of a provider's answer, as it is stored; docs/TABLES.md has its
/// columns. A name that is `None` is a sum over all.
///
/// Rows sort by what they say, and by when it was told last of all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotalRow {
    pub source: String,
    pub provider: String,
    pub bucket_start: Instant,
    pub bucket_end: Instant,
    /// How far it reaches, where the bucket was not over when it was told.
    pub covers_until: Option<Instant>,
    pub measure: Measure,
    pub key: Option<String>,
    pub key_id: Option<String>,
    pub project: Option<String>,
    pub user: Option<String>,
    pub model: Option<String>,
    pub tier: Option<String>,
    pub line_item: Option<String>,
    pub requests: Option<i64>,
    pub quantities: Quantities,
    /// Where the provider does not split them.
    pub total_tokens: Option<i64>,
    pub cost: Option<Usd>,
    pub quality: Quality,
    pub fetched_at: Instant,
}

impl TotalRow {
    /// A row about some time, told at its end, in which nothing else is said.
    pub fn about(source: &str, provider: &str, bucket_start: Instant, bucket_end: Instant) -> Self {
        Self {
            source: source.to_owned(),
            provider: provider.to_owned(),
            bucket_start,
            bucket_end,
            covers_until: None,
            measure: Measure::Usage,
            key: None,
            key_id: None,
            project: None,
            user: None,
            model: None,
            tier: None,
            line_item: None,
            requests: None,
            quantities: Quantities::default(),
            total_tokens: None,
            cost: None,
            quality: Quality::Reported,
            fetched_at: bucket_end,
        }
    }

    /// Whether it is about more days than the one of its file.
    pub fn is_of_several_days(&self) -> bool {
        self.bucket_end > self.bucket_start.day().end()
    }

    /// Whether its time was over when it was told.
    pub const fn is_closed(&self) -> bool {
        self.covers_until.is_none()
    }

    /// Whether two rows say the same, whenever they were told.
    fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { fetched_at: self.fetched_at, ..other.clone() }
    }
}

/// What became of a day that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The provider says what it said before: no file was touched.
    Unchanged,
    /// There was no file of this day.
    New,
    /// The provider says something else than before.
    Restated,
}

/// Where a source's totals of a day are.
pub fn path(source: &str, day: Day) -> Path {
    Path::from(format!("{DIR}/source={source}/date={day}/{DIR}.parquet"))
}

const DIR: &str = "totals";

/// The days that each source has told, in order: by source, then by day.
///
/// # Errors
/// Where the book cannot be listed.
pub fn days(book: &Book) -> Result<Vec<(String, Day)>, BookError> {
    let files = book.list(&Path::from(DIR))?;
    let of = |file: &Path| {
        let mut parts = file.as_ref().strip_prefix(DIR)?.strip_prefix("/source=")?.split('/');
        let (source, date, name) = (parts.next()?, parts.next()?.strip_prefix("date=")?, parts.next()?);
        let is_whole = name.strip_suffix(".parquet") == Some(DIR) && parts.next().is_none();
        Some((source.to_owned(), Day::parse(date).filter(|_| is_whole)?))
    };
    let mut days: Vec<_> = files.iter().filter_map(of).collect();
    days.sort();
    Ok(days)
}

/// What a source told of a day, sorted; `None` where it has not been asked, or
/// has not answered.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(book: &Book, source: &str, day: Day) -> Result<Option<Vec<TotalRow>>, TotalsError> {
    file::read(book, &path(source, day))
}

/// A digest of what a source told of a day, but for when; `None` as in [`read`].
///
/// # Errors
/// Where the file cannot be read.
pub fn digest(book: &Book, source: &str, day: Day) -> Result<Option<String>, TotalsError> {
    file::digest(book, &path(source, day))
}

/// Replaces what a source told of a day. Rows that were told before keep the
/// time at which they were first told.
///
/// # Errors
/// Where the book cannot be read or written.
pub fn write(book: &Book, source: &str, day: Day, rows: Vec<TotalRow>) -> Result<Written, TotalsError> {
    let (written, rows) = settle(book, source, day, rows)?;
    if written != Written::Unchanged {
        file::write(book, &path(source, day), &rows)?;
    }
    Ok(written)
}

/// What [`write()`] would do.
///
/// # Errors
/// Where the book cannot be read.
fn compare(book: &Book, source: &str, day: Day, rows: Vec<TotalRow>) -> Result<Written, TotalsError> {
    settle(book, source, day, rows).map(|(written, _)| written)
}

fn settle(
    book: &Book,
    source: &str,
    day: Day,
    mut rows: Vec<TotalRow>,
) -> Result<(Written, Vec<TotalRow>), TotalsError> {
    debug_assert!(rows.iter().all(|row| row.source == source && row.bucket_start.day() == day));
    rows.sort();
    let Some(before) = read(book, source, day)? else { return Ok((Written::New, rows)) };
    let is_same = before.len() == rows.len() && before.iter().zip(&rows).all(|(old, new)| old.says_the_same(new));
    if is_same {
        return Ok((Written::Unchanged, rows));
    }
    keep_first_told(&before, &mut rows);
    Ok((Written::Restated, rows))
}

/// Both are sorted by what they say.
fn keep_first_told(before: &[TotalRow], rows: &mut [TotalRow]) {
    let mut before = before.iter().peekable();
    for row in rows.iter_mut() {
        let first = |told: Instant| TotalRow { fetched_at: told, ..row.clone() };
        while before.next_if(|old| **old < first(old.fetched_at)).is_some() {}
        if let Some(old) = before.next_if(|old| old.says_the_same(row)) {
            row.fetched_at = old.fetched_at;
        }
    }
    rows.sort();
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::Meter;

    pub(crate) fn at(text: &str) -> Instant {
        Instant::parse(text, chrono_tz::Tz::UTC).unwrap()
    }

    /// A row of which only what the arguments say is known.
    pub(crate) fn row(source: &str, day: &str, model: &str, output: i64, told: &str) -> TotalRow {
        let day = Day::parse(day).unwrap();
        let mut row = TotalRow::about(source, "openai", day.start(), day.end());
        row.model = Some(model.to_owned());
        row.quantities[Meter::OutputTokens] = Some(output);
        row.fetched_at = at(told);
        row
    }

    /// A row in which nothing is `None`.
    fn full() -> TotalRow {
        let text = |text: &str| Some(text.to_owned());
        TotalRow {
            covers_until: Some(at("2026-11-15T18:00:00Z")),
            measure: Measure::Both,
            key: text("chatbot-prod"),
            key_id: text("key_1"),
            project: text("proj_1"),
            user: text("user_1"),
            tier: text("batch"),
            line_item: text("gpt-5, input"),
            requests: Some(7),
            quantities: Quantities(std::array::from_fn(|index| i64::try_from(index).ok())),
            total_tokens: Some(i64::MAX),
            cost: Some(Usd::parse("0.000000000001").unwrap()),
            quality: Quality::Estimated,
            ..row("usage", "2026-11-15", "gpt-5", 0, "2026-11-15T19:00:00.000001Z")
        }
    }

    fn book() -> (tempfile::TempDir, Book) {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        (dir, book)
    }

    const FIRST: &str = "2026-11-16T02:00:00Z";
    const LATER: &str = "2026-11-17T02:00:00Z";

    #[test]
    fn what_is_written_is_read_again() {
        let (_dir, book) = book();
        let day = Day::parse("2026-11-15").unwrap();
        assert_eq!(read(&book, "usage", day).unwrap(), None);
        let rows = vec![row("usage", "2026-11-15", "gpt-5", 1, FIRST), full()];
        assert_eq!(write(&book, "usage", day, rows.clone()).unwrap(), Written::New);
        let mut sorted = rows;
        sorted.sort();
        assert_eq!(read(&book, "usage", day).unwrap(), Some(sorted));
        assert_eq!(write(&book, "costs", day.next(), Vec::new()).unwrap(), Written::New);
        assert_eq!(read(&book, "costs", day.next()).unwrap(), Some(Vec::new()));
        book.put(&Path::from("totals/source=x/date=2026-11-15/other.parquet"), "".into()).unwrap();
        assert_eq!(days(&book).unwrap(), [("costs".to_owned(), day.next()), ("usage".to_owned(), day)]);
    }

    #[test]
    fn the_same_answer_changes_no_file_and_a_restated_day_is_replaced_whole() {
        let (_dir, book) = book();
        let day = Day::parse("2026-11-15").unwrap();
        let of = |model: &str, output, told| row("usage", "2026-11-15", model, output, told);
        let put = |rows| write(&book, "usage", day, rows).unwrap();
        let bytes = || book.get(&path("usage", day)).unwrap().unwrap();
        put(vec![of("a", 1, FIRST), of("b", 2, FIRST), of("b", 2, FIRST)]);
        let (first, told) = (bytes(), digest(&book, "usage", day).unwrap().unwrap());
        assert_eq!(put(vec![of("b", 2, LATER), of("a", 1, LATER), of("b", 2, LATER)]), Written::Unchanged);
        assert_eq!(bytes(), first);

        assert_eq!(put(vec![of("c", 3, LATER), of("b", 2, LATER), of("a", 5, LATER)]), Written::Restated);
        let expect = vec![of("a", 5, LATER), of("b", 2, FIRST), of("c", 3, LATER)];
        assert_eq!(read(&book, "usage", day).unwrap(), Some(expect));
        assert_ne!(digest(&book, "usage", day).unwrap().unwrap(), told);

        // As it was: other times, so other bytes, but the same digest.
        put(vec![of("a", 1, LATER), of("b", 2, LATER), of("b", 2, LATER)]);
        assert_eq!(digest(&book, "usage", day).unwrap().unwrap(), told);
        assert_eq!(put(Vec::new()), Written::Restated);
        assert_eq!(read(&book, "usage", day).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let rows = [full(), row("usage", "2026-11-15", "a", 1, FIRST), row("usage", "2026-11-15", "b", 1, FIRST)];
        let day = Day::parse("2026-11-15").unwrap();
        let bytes = [[0, 1, 2], [2, 1, 0], [1, 0, 2]].map(|order| {
            let (_dir, book) = book();
            write(&book, "usage", day, order.map(|index| rows[index].clone()).to_vec()).unwrap();
            book.get(&path("usage", day)).unwrap().unwrap()
        });
        assert!(bytes.iter().all(|it| *it == bytes[0]));
    }

    #[test]
    fn a_damaged_file_is_told_and_not_replaced() {
        let (_dir, book) = book();
        let day = Day::parse("2026-11-15").unwrap();
        book.put(&path("usage", day), "no parquet".into()).unwrap();
        let error = write(&book, "usage", day, Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("`totals/source=usage/date=2026-11-15/totals.parquet` in the book: "));
    }

    #[test]
    fn several_days_and_open_buckets_are_told_apart() {
        let closed = row("usage", "2026-11-15", "a", 1, FIRST);
        assert!(closed.is_closed() && !closed.is_of_several_days() && !full().is_closed());
        assert!(TotalRow { bucket_end: at("2026-11-16T00:00:00.000001Z"), ..closed }.is_of_several_days());
    }
}
