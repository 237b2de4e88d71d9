//! Rows of a made table as a frame, with the types that the table names; and
//! a table of files that has none yet, which has its columns all the same.

use polars::prelude::*;

use crate::{
    record::{Column as Named, ColumnType},
    report::tables::{DATE, Table, Value},
};

/// A frame of rows; with the column `date` where the table is one of files.
pub(super) fn of_rows(table: &Table, rows: &[Vec<Value>], has_date: bool) -> PolarsResult<LazyFrame> {
    let mut columns: Vec<Column> =
        table.columns().iter().enumerate().map(|(at, it)| column(it, rows.iter().map(|row| &row[at]))).collect();
    if has_date {
        columns.push(Column::new_empty(DATE.into(), &DataType::Date));
    }
    Ok(DataFrame::new(rows.len(), columns)?.lazy())
}

fn column<'v>(named: &Named, values: impl ExactSizeIterator<Item = &'v Value>) -> Column {
    let name = PlSmallStr::from_static(named.name);
    let number = |value: &Value| if let Value::Number(number) = value { Some(*number) } else { None };
    match named.kind {
        ColumnType::Text | ColumnType::Dict => {
            let text = |value: &'v Value| if let Value::Text(text) = value { Some(text.as_str()) } else { None };
            StringChunked::from_iter_options(name, values.map(text)).into_column()
        }
        ColumnType::Int64 => Int64Chunked::from_iter_options(name, values.map(number)).into_column(),
        ColumnType::Int16 => {
            let small = |value| number(value).and_then(|number| i16::try_from(number).ok());
            Int16Chunked::from_iter_options(name, values.map(small)).into_column()
        }
        ColumnType::Bool => {
            let flag = |value: &Value| if let Value::Flag(flag) = value { Some(*flag) } else { None };
            BooleanChunked::from_iter_options(name, values.map(flag)).into_column()
        }
        ColumnType::Decimal => {
            let pico = |value: &Value| if let Value::Usd(amount) = value { Some(amount.pico()) } else { None };
            let amounts = Int128Chunked::from_iter_options(name, values.map(pico));
            amounts.into_decimal_unchecked(38, 12).into_column()
        }
        ColumnType::Timestamp => {
            let micros = |value: &Value| if let Value::Instant(at) = value { Some(at.micros()) } else { None };
            let micros = Int64Chunked::from_iter_options(name, values.map(micros));
            micros.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TABLES;

    #[test]
    fn a_table_without_rows_has_the_types_that_are_written_down() {
        for table in &TABLES {
            let mut frame = of_rows(table, &[], true).unwrap();
            let schema = frame.collect_schema().unwrap();
            assert_eq!(schema.len(), table.columns().len() + 1, "{}", table.name);
            for column in table.columns() {
                let expect = match column.kind {
                    ColumnType::Timestamp => "datetime[μs, UTC]",
                    ColumnType::Text | ColumnType::Dict => "str",
                    ColumnType::Int64 => "i64",
                    ColumnType::Int16 => "i16",
                    ColumnType::Bool => "bool",
                    ColumnType::Decimal => "decimal[38,12]",
                };
                let found = schema.get(column.name).unwrap().to_string();
                assert_eq!(found, expect, "{}.{}", table.name, column.name);
            }
        }
    }
}
