//! The tables as views, by which DuckDB knows them under the names that
//! `query` has, with the descriptions of their columns.
//!
//! Views over files see what comes later. A made table has no file: its view
//! holds the rows of the moment in which it was written, and says so.

use std::path::Path;

use super::{Asked, Content, DATE, DATE_DOC, Row, TABLES, Table, TableError, Value, sql_type};
use crate::record::Column;

/// The column of `totals` that is in the path, beside its files' own.
const SOURCE: &str = "source";

/// SQL for DuckDB: a view for each table; those of files are over the book at
/// this absolute path. A table that has no files yet is a view without rows
/// until this is written anew.
///
/// # Errors
/// Where the book, the price book or another table cannot be read.
pub fn views(root: &Path, asked: &Asked<'_>) -> Result<String, TableError> {
    let mut text = format!(
        "-- Views over the tables of a book, written by `spendbook export views`.\n\
         -- Use: duckdb -init views.sql\n\
         -- What has no files (`prices`, `teams`, …) is as it was on {}: write this anew to\n\
         -- see what changed since.\n\
         SET TimeZone = 'UTC';\n",
        asked.now
    );
    for table in &TABLES {
        text.push_str(&match table.content {
            Content::Made(rows) => match rows(asked)? {
                rows if rows.is_empty() => without_rows(table),
                rows => of_rows(table, &rows),
            },
            _ if table.files(asked.book)?.is_empty() => without_rows(table),
            Content::Days(_) => over_files(root, table, &[DATE]),
            Content::Totals => over_files(root, table, &[SOURCE, DATE]),
        });
    }
    Ok(text)
}

/// `parts` are the columns in the path, from the table's directory down.
fn over_files(root: &Path, table: &Table, parts: &[&str]) -> String {
    let name = table.name;
    let path: String = parts.iter().map(|part| format!("/{part}=*")).collect();
    let files = sql_text(&format!("{}/{name}{path}/{name}.parquet", glob_text(&root.display().to_string())));
    // Else a source of the name 2026 would be a number.
    let kinds: Vec<String> =
        parts.iter().map(|part| format!("'{part}': {}", if *part == DATE { "DATE" } else { "VARCHAR" })).collect();
    let kinds = kinds.join(", ");
    let select = format!("SELECT * FROM read_parquet({files}, hive_partitioning = true, hive_types = {{{kinds}}});\n");
    view(table, &select)
}

fn without_rows(table: &Table) -> String {
    let column = |it: &Column| format!("CAST(NULL AS {}) AS \"{}\"", sql_type(it.kind), it.name);
    let mut columns: Vec<String> = table.columns().iter().map(column).collect();
    if table.has_files() {
        columns.push(format!("CAST(NULL AS DATE) AS \"{DATE}\""));
    }
    view(table, &format!("SELECT {} WHERE false;\n", columns.join(", ")))
}

fn of_rows(table: &Table, rows: &[Row]) -> String {
    // A column of nothing but NULL would be of no type.
    let cast = |it: &Column| format!("CAST(\"{0}\" AS {1}) AS \"{0}\"", it.name, sql_type(it.kind));
    let casts: Vec<String> = table.columns().iter().map(cast).collect();
    let names: Vec<String> = table.columns().iter().map(|it| format!("\"{}\"", it.name)).collect();
    let row = |row: &Row| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(", "));
    let rows: Vec<String> = rows.iter().map(row).collect();
    let (casts, names, rows) = (casts.join(", "), names.join(", "), rows.join(",\n"));
    view(table, &format!("SELECT {casts} FROM (VALUES\n{rows}\n) AS rows({names});\n"))
}

/// A view, with what it and its columns are for people.
fn view(table: &Table, select: &str) -> String {
    let Table { name, about, .. } = table;
    let mut text = format!("\nCREATE OR REPLACE VIEW {name} AS\n{select}");
    text.push_str(&format!("COMMENT ON VIEW {name} IS {};\n", sql_text(about)));
    let date = table.has_files().then_some((DATE, DATE_DOC));
    for (column, doc) in table.columns().iter().map(|it| (it.name, it.doc)).chain(date) {
        text.push_str(&format!("COMMENT ON COLUMN {name}.\"{column}\" IS {};\n", sql_text(doc)));
    }
    text
}

/// A value as text, which is then cast: no literal of a type of its own is
/// taken for a float.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Text(text) => sql_text(text),
        Value::Number(number) => sql_text(&number.to_string()),
        Value::Usd(amount) => sql_text(&amount.to_string()),
        Value::Instant(instant) => sql_text(&instant.to_string()),
        Value::Flag(flag) => sql_text(&flag.to_string()),
    }
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
    use crate::money::Usd;

    #[test]
    fn a_path_is_quoted_in_views() {
        let usage = Table::named("usage").unwrap();
        let text = over_files(Path::new("/a'b/[c]*"), usage, &[DATE]);
        assert!(text.contains("read_parquet('/a''b/[[]c][*]/usage/date=*/usage.parquet', "), "{text}");
        assert!(text.contains("COMMENT ON COLUMN usage.\"latency_ms\" IS 'from request"), "{text}");
        let text = without_rows(Table::named("violations").unwrap());
        assert!(text.contains("CREATE OR REPLACE VIEW violations AS\nSELECT CAST(NULL AS TIMESTAMP"), "{text}");
        assert!(text.contains("CAST(NULL AS DATE) AS \"date\" WHERE false;"), "{text}");
    }

    #[test]
    fn values_are_quoted_and_exact() {
        for (value, expect) in [
            (Value::Null, "NULL"),
            (Value::from("it's"), "'it''s'"),
            (Value::from(-5), "'-5'"),
            (Value::from(Usd::parse("0.000000000001").unwrap()), "'0.000000000001'"),
            (Value::from(true), "'true'"),
        ] {
            assert_eq!(literal(&value), expect);
        }
    }
}
