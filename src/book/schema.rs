//! Arrow schemas from the one table of columns, with each column's
//! documentation in its metadata.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::record::{Column, ColumnType};

/// The metadata key under which Parquet readers show a column's description.
const DESCRIPTION: &str = "description";

/// The Arrow schema of a table.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| {
        let description = HashMap::from([(DESCRIPTION.to_owned(), column.doc.to_owned())]);
        Field::new(column.name, data_type(column.kind), column.nullable).with_metadata(description)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Dictionary columns are plain text to whoever reads them: the dictionary is
/// the file's own way to store them.
fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Text | ColumnType::Dict => DataType::Utf8,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Int16 => DataType::Int16,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Decimal => DataType::Decimal128(38, 12),
    }
}
