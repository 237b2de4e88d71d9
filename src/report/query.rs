//! SQL over the tables of the book, by polars. Reads only, takes no lock, and
//! reads only the days and columns that the SQL asks for.
//!
//! A run may replace files while they are read. An answer counts only if the
//! files are still the same afterwards, all of them: else it is asked again.
//!
//! Left out: other statements than SELECT. What differs from other engines is
//! said in `docs/QUERY.md`.

use std::{collections::BTreeMap, path::Path as FsPath, sync::Arc};

use polars::{io::HiveOptions, prelude::*, sql::SQLContext};

use super::tables::{DATE, TABLES, Table};
use crate::{
    book::{Book, BookError, layout::DayTable},
    charges::{self, Behind, ChargesError},
    record::ColumnType,
    time::{Day, Instant},
};

/// How often a question is asked while a run replaces what it is about.
const TRIES: usize = 5;
/// Of the SQL, in a message.
const SHOWN_LETTERS: usize = 120;

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
        "`{sql}`: {detail}; `spendbook query --list` shows the tables, `spendbook query --describe TABLE` the columns \
         of one"
    )]
    Sql { sql: String, detail: String },
    #[error("the files of the book cannot be read for `{sql}`: {detail}; `spendbook doctor` says which is damaged")]
    Unreadable { sql: String, detail: String },
    #[error("a run kept replacing the files that `{sql}` reads: ask again when it is done")]
    Replaced { sql: String },
}

impl QueryError {
    /// Whether the SQL is to be written differently.
    pub const fn is_about_the_sql(&self) -> bool {
        matches!(self, Self::NotASelect { .. } | Self::Sql { .. })
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
pub fn query(book: &Book, sql: &str) -> Result<Answer, QueryError> {
    if !is_select(sql) {
        return Err(QueryError::NotASelect { sql: shown(sql) });
    }
    let tables: Vec<&Table> = TABLES.iter().filter(|table| is_named(sql, table.name())).collect();
    for _ in 0..TRIES {
        let before = files(book, &tables)?;
        let answer = answer(book, sql, &tables, &before);
        if files(book, &tables)? != before {
            continue;
        }
        let frame = answer.map_err(|error| failure(&error, sql))?;
        return Ok(Answer { frame, behind: behind(book, &tables)? });
    }
    Err(QueryError::Replaced { sql: shown(sql) })
}

/// When each file of a table was written, by its day.
type Files = BTreeMap<Day, Instant>;

fn files(book: &Book, tables: &[&Table]) -> Result<Vec<Files>, BookError> {
    let of_table = |table: &&Table| {
        let mut files = Files::new();
        for day in book.days(table.files)? {
            if let Some(modified) = book.modified(&table.files.file(day))? {
                files.insert(day, modified);
            }
        }
        Ok(files)
    };
    tables.iter().map(of_table).collect()
}

fn answer(book: &Book, sql: &str, tables: &[&Table], files: &[Files]) -> PolarsResult<DataFrame> {
    let mut context = SQLContext::new();
    for (table, days) in tables.iter().zip(files) {
        let frame = if days.is_empty() { empty(table) } else { scan(book.root(), table, days.keys())? };
        context.register(table.name(), frame);
    }
    context.execute(sql)?.collect()
}

/// The rows of these days.
fn scan<'d>(root: &FsPath, table: &Table, days: impl Iterator<Item = &'d Day>) -> PolarsResult<LazyFrame> {
    let root = std::path::absolute(root)?;
    let path = |&day: &Day| {
        let path = root.join(table.files.file(day).as_ref());
        let text = path.to_str().ok_or_else(|| polars_err!(ComputeError: "`{}` is not UTF-8", path.display()))?;
        Ok(PlRefPath::new(text))
    };
    let paths: PolarsResult<Vec<PlRefPath>> = days.map(path).collect();
    // A directory above the book may look like a partition, too: its column is
    // read, and left out below.
    let mut partitions = Schema::default();
    for (name, _) in root.iter().filter_map(|part| part.to_str()?.split_once('=')) {
        partitions.with_column(name.into(), DataType::String);
    }
    partitions.with_column(DATE.into(), DataType::Date);
    let hive_options = HiveOptions { schema: Some(Arc::new(partitions)), ..HiveOptions::new_enabled() };
    let arguments = ScanArgsParquet { hive_options, glob: false, ..ScanArgsParquet::default() };
    let frame = LazyFrame::scan_parquet_files(paths?.into(), arguments)?;
    let names = table.columns().iter().map(|column| column.name).chain([DATE]);
    Ok(frame.select(names.map(col).collect::<Vec<_>>()))
}

/// A table without files has its columns all the same.
fn empty(table: &Table) -> LazyFrame {
    let mut schema: Schema =
        table.columns().iter().map(|column| Field::new(column.name.into(), data_type(column.kind))).collect();
    schema.with_column(DATE.into(), DataType::Date);
    DataFrame::empty_with_schema(&schema).lazy()
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        ColumnType::Text | ColumnType::Dict => DataType::String,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Int16 => DataType::Int16,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Decimal => DataType::Decimal(38, 12),
    }
}

/// The days that are one step apart, where the question is about what is
/// derived.
fn behind(book: &Book, tables: &[&Table]) -> Result<BTreeMap<Day, Behind>, QueryError> {
    let mut found = BTreeMap::new();
    if tables.iter().any(|table| matches!(table.files, DayTable::Charges | DayTable::Rollup)) {
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

/// Whether a word is in the SQL, be it in a text: a table too many is only
/// looked at, never read.
fn is_named(sql: &str, name: &str) -> bool {
    sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

fn failure(error: &PolarsError, sql: &str) -> QueryError {
    // What comes after the first paragraph is the engine's plan; the columns
    // of a table are many, and `--describe` shows them.
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    let text = text.split("; valid columns:").next().unwrap_or_default();
    let detail = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sql = shown(sql);
    let is_of_files = matches!(error, PolarsError::IO { .. }) || detail.to_lowercase().contains("parquet");
    if is_of_files { QueryError::Unreadable { sql, detail } } else { QueryError::Sql { sql, detail } }
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
    fn tables_are_found_by_their_names() {
        assert!(is_named("SELECT * FROM usage;", "usage") && is_named("select \"charges\".cost", "charges"));
        assert!(!is_named("SELECT usage_2 FROM rollup", "usage"));
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(shown("SELECT\n  1"), "SELECT 1");
        assert_eq!(shown(&"ä".repeat(200)).chars().count(), SHOWN_LETTERS + 1);
    }
}
