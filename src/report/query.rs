//! SQL over the tables of the book, by polars. Reads only, takes no lock, and
//! reads only the days and columns that the SQL asks for.
//!
//! A run may replace files while they are read. An answer counts only if the
//! files are still the same afterwards, all of them: else it is asked again.
//! What is wrong with the SQL is told with its place in it (`place`).
//!
//! Left out: other statements than SELECT. What differs from other engines is
//! said in `docs/QUERY.md`.

mod dates;
mod frame;
mod place;

use std::{collections::BTreeMap, path::Path as FsPath, sync::Arc, thread};

use object_store::path::Path;
use polars::{
    error::{PolarsWarning, set_warning_function},
    io::HiveOptions,
    prelude::*,
    sql::SQLContext,
};

use super::tables::{Asked, Content, DATE, TABLES, Table, TableError};
use crate::{
    book::{Book, BookError, FileTimes, layout::DayTable, steadily},
    charges::{self, Behind, ChargesError},
    time::{Day, Instant},
};
use place::Mistake;

/// Of the SQL, in a message.
const SHOWN_LETTERS: usize = 120;
/// Operators and conditions in one question; lists after `IN` may be longer.
const MOST_OPERATORS: usize = 400;
/// For so many of them, and then some. Only what is used of it is memory.
const STACK_BYTES: usize = 512 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Charges(#[from] ChargesError),
    #[error("`{sql}` is not a SELECT, and `query` only reads: begin with `SELECT` or `WITH`")]
    NotASelect { sql: String },
    #[error(
        "the SQL has {found} operators, expected at most {MOST_OPERATORS}: write a long list of values after `IN`, or ask in parts"
    )]
    TooDeep { found: usize },
    #[error(transparent)]
    Sql(Box<Mistake>),
    #[error("the table `{table}` cannot be made: {source}")]
    Table { table: &'static str, source: Box<TableError> },
    #[error("the files of the book cannot be read for `{sql}`: {detail}; `spendbook doctor` says which is damaged")]
    Unreadable { sql: String, detail: String },
    #[error("a run kept replacing the files that `{sql}` reads: ask again when it is done")]
    Replaced { sql: String },
}

impl QueryError {
    /// Whether the SQL is to be written differently, or the price book.
    pub fn is_about_what_was_written(&self) -> bool {
        match self {
            Self::NotASelect { .. } | Self::TooDeep { .. } | Self::Sql(_) => true,
            Self::Table { source, .. } => matches!(**source, TableError::Prices(_)),
            _ => false,
        }
    }
}

/// What was asked for.
#[derive(Debug)]
pub struct Answer {
    pub frame: DataFrame,
    /// Days whose tables do not belong together, where more than one is read
    /// or a derived one.
    pub behind: BTreeMap<Day, Behind>,
}

/// The answer to a SELECT.
///
/// # Errors
/// Where the SQL is wrong, or the book cannot be read.
pub fn query(asked: &Asked<'_>, sql: &str) -> Result<Answer, QueryError> {
    if !is_select(sql) {
        return Err(QueryError::NotASelect { sql: shown(sql) });
    }
    let found = place::operators(sql);
    if found > MOST_OPERATORS {
        return Err(QueryError::TooDeep { found });
    }
    // Such as that a cast is done in another way in the engine's next version.
    set_warning_function(|text: &str, _: PolarsWarning| tracing::debug!("polars: {text}"));
    let words: Vec<&str> = place::words(sql).map(|(_, word)| word).collect();
    let tables: Vec<&Table> = TABLES.iter().filter(|table| words.contains(&table.name)).collect();
    if let Some(wrong) = on_deep_stack(|| dates::compared_with_number(sql, &tables)).ok().flatten() {
        return Err(QueryError::Sql(Box::new(Mistake::at(sql, wrong))));
    }
    // Those of each table, by day; a made one has none.
    let files = || {
        let of_table = |table: &&Table| asked.book.written(table.files(asked.book)?.into_iter().map(|(_, path)| path));
        tables.iter().map(of_table).collect()
    };
    let frame = steadily(files, |files: &Vec<FileTimes>| {
        let frames = frames(asked, &tables, files)?;
        answer(sql, frames).map_err(|error| failure(&error, sql, &tables))
    })?;
    let frame = frame.ok_or_else(|| QueryError::Replaced { sql: shown(sql) })?;
    Ok(Answer { frame, behind: behind(asked.book, &tables)? })
}

/// A table's name and rows, those of files not yet read.
type Named = (&'static str, PolarsResult<LazyFrame>);

fn frames(asked: &Asked<'_>, tables: &[&Table], files: &[FileTimes]) -> Result<Vec<Named>, QueryError> {
    let frame = |(table, files): (&&Table, &FileTimes)| {
        let frame = match table.content {
            Content::Days(_) | Content::Totals if files.is_empty() => frame::of_rows(table, &[], true),
            Content::Days(_) | Content::Totals => scan(asked.book.root(), table, files),
            Content::Made(rows) => {
                let failed = |source| QueryError::Table { table: table.name, source: Box::new(source) };
                let rows = rows(asked).map_err(failed)?;
                frame::of_rows(table, &rows, false)
            }
        };
        Ok((table.name, frame))
    };
    tables.iter().zip(files).map(frame).collect()
}

fn answer(sql: &str, frames: Vec<Named>) -> PolarsResult<DataFrame> {
    on_deep_stack(|| {
        let mut context = SQLContext::new();
        for (name, frame) in frames {
            context.register(name, frame?);
        }
        context.execute(sql)?.collect()
    })?
}

/// Works in a thread of its own: parser and engine call themselves once per
/// operator, and what they cannot do is sometimes a panic, which ends that
/// thread alone.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> PolarsResult<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("sql".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, work)?;
        worker.join().map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            polars_err!(ComputeError: "the engine cannot do this ({})", text.unwrap_or("it does not say why"))
        })
    })
}

/// The rows of these files.
fn scan(root: &FsPath, table: &Table, files: &FileTimes) -> PolarsResult<LazyFrame> {
    let root = std::path::absolute(root)?;
    let path = |(path, _): &(Path, Instant)| {
        let path = root.join(path.as_ref());
        let text = path.to_str().ok_or_else(|| polars_err!(ComputeError: "`{}` is not UTF-8", path.display()))?;
        Ok(PlRefPath::new(text))
    };
    let paths: PolarsResult<Vec<PlRefPath>> = files.iter().map(path).collect();
    // A directory above the book may look like a partition, too: its column is
    // read, and left out below. That of `totals` says what its files say.
    let mut partitions = Schema::default();
    let above = files.first().map_or(root.clone(), |(path, _)| root.join(path.as_ref()));
    for (name, _) in above.iter().filter_map(|part| part.to_str()?.split_once('=')) {
        partitions.with_column(name.into(), DataType::String);
    }
    partitions.with_column(DATE.into(), DataType::Date);
    let hive_options = HiveOptions { schema: Some(Arc::new(partitions)), ..HiveOptions::new_enabled() };
    let arguments = ScanArgsParquet { hive_options, glob: false, ..ScanArgsParquet::default() };
    let frame = LazyFrame::scan_parquet_files(paths?.into(), arguments)?;
    let names = table.columns().iter().map(|column| column.name).chain([DATE]);
    Ok(frame.select(names.map(col).collect::<Vec<_>>()))
}

/// The days that are one step apart, where the question is about what is
/// derived.
fn behind(book: &Book, tables: &[&Table]) -> Result<BTreeMap<Day, Behind>, QueryError> {
    let mut found = BTreeMap::new();
    // Keys and budgets are told from what was charged.
    let is_derived = |table: &&Table| {
        matches!(table.content, Content::Days(DayTable::Charges | DayTable::Rollup))
            || matches!(table.name, "keys" | "budgets")
    };
    if tables.iter().any(is_derived) {
        for day in book.days(DayTable::Usage)? {
            if let Some(behind) = charges::behind(book, day)? {
                found.insert(day, behind);
            }
        }
    }
    Ok(found)
}

/// Whether the first word, after comments and brackets, is that of a question.
fn is_select(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map(|(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map(|(_, after)| after)
        } else {
            rest.strip_prefix('(')
        };
        match after {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with")
}

fn failure(error: &PolarsError, sql: &str, tables: &[&Table]) -> QueryError {
    // What comes after the first paragraph is the engine's plan; the columns
    // of a table are many, and `--describe` shows them.
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    let text = text.split("; valid columns:").next().unwrap_or_default();
    let detail = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_of_files = matches!(error, PolarsError::IO { .. }) || detail.to_lowercase().contains("parquet");
    if is_of_files {
        QueryError::Unreadable { sql: shown(sql), detail }
    } else {
        // What the engine says of a date tells nobody what to write.
        let is_of_dates = detail.contains("to parse dates") || detail.contains("cannot compare 'date/datetime/time'");
        let wrong = || on_deep_stack(|| dates::compared_with_text(sql, tables)).ok().flatten();
        let wrong = is_of_dates.then(wrong).flatten();
        QueryError::Sql(Box::new(match wrong {
            Some(wrong) => Mistake::at(sql, wrong),
            None if is_of_dates => Mistake::of_dates(detail),
            None => Mistake::new(sql, detail, tables),
        }))
    }
}

/// The SQL on one line, as much as a message can take.
fn shown(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_LETTERS) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_question_is_one() {
        for (sql, expect) in [
            ("SELECT 1", true),
            (" -- why\n/* not */ (select 1)", true),
            ("with a as (select 1) select * from a", true),
            ("selected", false),
            ("DROP TABLE usage", false),
            ("-- SELECT 1", false),
            ("/*", false),
            ("", false),
        ] {
            assert_eq!(is_select(sql), expect, "{sql}");
        }
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(shown("SELECT\n  1"), "SELECT 1");
        assert_eq!(shown(&"ä".repeat(200)).chars().count(), SHOWN_LETTERS + 1);
    }
}
