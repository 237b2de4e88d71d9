//! The tables that SQL can name: those with a file per day, with what is known
//! of their columns; and the views by which DuckDB knows them under the same
//! names. Every table has the column `date` beside those of its files: the UTC
//! day, which is in the path.

use std::path::Path;

use crate::{
    book::layout::DayTable,
    record::{CHARGES, Column, ColumnType, ROLLUP, USAGE, VIOLATIONS},
};

/// The column that is in a file's path: who compares it reads only those days.
pub(super) const DATE: &str = "date";

/// What the column of the path is, for people.
pub const DATE_DOC: &str = "the UTC day, from the file's path: compare it to read only the days that are needed";

/// A table that SQL can name.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub(super) files: DayTable,
    pub about: &'static str,
    columns: fn() -> &'static [Column],
}

/// All of them, in the order in which they are made.
pub const TABLES: [Table; 4] = [
    Table { files: DayTable::Usage, about: "one row per request, as it was reported", columns: || USAGE },
    Table { files: DayTable::Charges, about: "the same rows, attributed and priced", columns: || &CHARGES },
    Table { files: DayTable::Rollup, about: "totals of every quarter of an hour", columns: || &ROLLUP },
    Table { files: DayTable::Violations, about: "what broke a policy or a budget", columns: || VIOLATIONS },
];

impl Table {
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name().eq_ignore_ascii_case(name))
    }

    pub const fn name(&self) -> &'static str {
        self.files.name()
    }

    /// The table's files.
    pub const fn files(&self) -> DayTable {
        self.files
    }

    /// The columns of its files.
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

/// SQL for DuckDB: a view for each table, over the files of the book at this
/// absolute path. Files that come later are seen, too; a table that has none
/// yet is a view without rows until this is written anew.
pub fn views(root: &Path, has_files: impl Fn(&Table) -> bool) -> String {
    let mut text = "-- Views over the tables of a book, written by `spendbook export views`.\n\
                    -- Use: duckdb -init views.sql\n"
        .to_owned();
    for table in &TABLES {
        let name = table.name();
        text.push_str(&format!("\n-- {}\nCREATE OR REPLACE VIEW {name} AS\n", table.about));
        if has_files(table) {
            let files = format!("{}/{name}/date=*/{name}.parquet", glob_text(&root.display().to_string()));
            text.push_str(&format!(
                "SELECT * FROM read_parquet({}, hive_partitioning = true, hive_types = {{'{DATE}': DATE}});\n",
                sql_text(&files)
            ));
        } else {
            let column = |it: &Column| format!("CAST(NULL AS {}) AS \"{}\", ", sql_type(it.kind), it.name);
            let columns: String = table.columns().iter().map(column).collect();
            text.push_str(&format!("SELECT {columns}CAST(NULL AS DATE) AS \"{DATE}\" WHERE false;\n"));
        }
    }
    text
}

/// A text as SQL writes it.
fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A path in which no letter means others.
fn glob_text(path: &str) -> String {
    let mut text = String::new();
    for letter in path.chars() {
        match letter {
            '*' | '?' | '[' => text.push_str(&format!("[{letter}]")),
            '\\' => text.push('/'),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_in_views() {
        let text = views(Path::new("/a'b/[c]*"), |table| table.files == DayTable::Usage);
        assert!(text.contains("read_parquet('/a''b/[[]c][*]/usage/date=*/usage.parquet', "), "{text}");
        assert!(text.contains("CREATE OR REPLACE VIEW violations AS\nSELECT CAST(NULL AS TIMESTAMP"), "{text}");
        assert_eq!(text.matches("CREATE OR REPLACE VIEW").count(), TABLES.len());
    }

    #[test]
    fn no_table_has_a_column_of_its_own_for_the_date() {
        for table in &TABLES {
            assert!(table.columns().iter().all(|column| column.name != DATE), "{}", table.name());
            assert_eq!(Table::named(&table.name().to_uppercase()).map(Table::name), Some(table.name()));
        }
    }
}
