//! The tables that SQL can name, with what is known of their columns: those
//! with a file per day, or per source and day, and those that are made when
//! they are asked for, from config, price book and what the book says now.
//!
//! Every table of files has the column `date` beside those of its files: the
//! UTC day, which is in the path. Made tables tell what the command tells that
//! shows the same (`keys`, `status`), from the same values.

pub(crate) mod budgets;
mod keys;
mod prices;
mod teams;
mod views;

use object_store::path::Path;

use crate::{
    audit::AuditError,
    book::{Book, BookError, layout::DayTable},
    charges::ChargesError,
    config::Config,
    money::Usd,
    pricing::Refused,
    record::{CHARGES, Column, ColumnType, ROLLUP, TOTALS, UNLOGGED, USAGE, VIOLATIONS},
    time::{Day, Instant},
    totals,
};

use super::ReportError;
pub use views::views;

/// The column that is in a file's path: who compares it reads only those days.
pub(crate) const DATE: &str = "date";

/// What the column of the path is, for people.
pub const DATE_DOC: &str = "the UTC day, from the file's path: compare it to read only the days that are needed";

/// A table that SQL can name.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    pub about: &'static str,
    columns: fn() -> &'static [Column],
    pub(super) content: Content,
}

/// Where the rows of a table are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// In a file per day.
    Days(DayTable),
    /// In a file per source and day.
    Totals,
    /// In none: they are made when they are asked for.
    Made(fn(&Asked<'_>) -> Result<Vec<Row>, TableError>),
}

/// What made tables are made from.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub book: &'a Book,
    pub config: &'a Config,
    pub now: Instant,
}

/// A row of a made table: a value for each of its columns, in their order.
type Row = Vec<Value>;

/// Why a table cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Charges(#[from] ChargesError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Prices(#[from] Refused),
}

/// All of them: those of files in the order in which they are made, then what
/// they were made from.
pub const TABLES: [Table; 11] = [
    of_days(DayTable::Usage, "one row per request, as it was reported", || USAGE),
    of_days(DayTable::Charges, "the same rows, attributed and priced", || &CHARGES),
    of_days(DayTable::Rollup, "totals of every quarter of an hour", || &ROLLUP),
    of_days(DayTable::Violations, "what broke a policy or a budget", || VIOLATIONS),
    of_days(DayTable::Checks, "what sources of `role = \"check\"` saw: only compared, never in charges", || USAGE),
    Table {
        name: "totals",
        about: "what providers say in sum: never a charge, only what charges are held against",
        columns: || &TOTALS,
        content: Content::Totals,
    },
    of_days(DayTable::Unlogged, "what providers report and no log shows: never in charges", || &UNLOGGED),
    Table {
        name: "prices",
        about: "the rows of the price book",
        columns: || prices::COLUMNS,
        content: Content::Made(prices::rows),
    },
    Table {
        name: "teams",
        about: "the teams of the config, with their policies",
        columns: || teams::COLUMNS,
        content: Content::Made(teams::rows),
    },
    Table {
        name: "keys",
        about: "every key that is registered or was ever seen, as `keys` shows them",
        columns: || keys::COLUMNS,
        content: Content::Made(keys::rows),
    },
    Table {
        name: "budgets",
        about: "where every budget stands, as `status` shows them",
        columns: || budgets::COLUMNS,
        content: Content::Made(budgets::rows),
    },
];

const fn of_days(files: DayTable, about: &'static str, columns: fn() -> &'static [Column]) -> Table {
    Table { name: files.name(), about, columns, content: Content::Days(files) }
}

impl Table {
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    /// Whether it has files, and so a column `date`.
    pub const fn has_files(&self) -> bool {
        !matches!(self.content, Content::Made(_))
    }

    /// Which of the book's, where it has a file per day.
    pub const fn day_table(&self) -> Option<DayTable> {
        match self.content {
            Content::Days(table) => Some(table),
            Content::Totals | Content::Made(_) => None,
        }
    }

    /// Its files, each with the day that it is of, by day; none where the table
    /// is made.
    ///
    /// # Errors
    /// Where the book cannot be listed.
    pub fn files(&self, book: &Book) -> Result<Vec<(Day, Path)>, BookError> {
        let mut files: Vec<(Day, Path)> = match self.content {
            Content::Made(_) => Vec::new(),
            Content::Days(table) => book.days(table)?.into_iter().map(|day| (day, table.file(day))).collect(),
            Content::Totals => {
                totals::days(book)?.into_iter().map(|(source, day)| (day, totals::path(&source, day))).collect()
            }
        };
        files.sort();
        Ok(files)
    }

    /// The columns, but for the `date` of a table of files.
    pub fn columns(&self) -> &'static [Column] {
        (self.columns)()
    }
}

/// What SQL calls a type.
pub const fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Timestamp => "TIMESTAMP WITH TIME ZONE",
        ColumnType::Text | ColumnType::Dict => "VARCHAR",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Int16 => "SMALLINT",
        ColumnType::Bool => "BOOLEAN",
        ColumnType::Decimal => "DECIMAL(38,12)",
    }
}

/// A value of a made table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Text(String),
    Number(i64),
    Usd(Usd),
    Instant(Instant),
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Usd> for Value {
    fn from(amount: Usd) -> Self {
        Self::Usd(amount)
    }
}

impl From<Instant> for Value {
    fn from(instant: Instant) -> Self {
        Self::Instant(instant)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Several names in one column: `a, b`; NULL where there is none.
fn joined<'t>(names: impl IntoIterator<Item = &'t str>) -> Option<String> {
    let text = names.into_iter().collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_table_has_a_column_twice_or_one_of_its_own_for_the_date() {
        for table in &TABLES {
            let names: HashSet<_> = table.columns().iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.columns().len(), "{}", table.name);
            assert!(!names.contains(DATE), "{}", table.name);
            assert_eq!(Table::named(&table.name.to_uppercase()).map(|it| it.name), Some(table.name));
        }
    }
}
