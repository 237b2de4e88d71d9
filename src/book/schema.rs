//! Arrow schemas from the one table of columns, with each column's
//! documentation in its metadata, and how derived tables are written: the same
//! rows give the same bytes.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::{
    arrow::add_encoded_arrow_schema_to_metadata,
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::layout::DayTable;
use crate::record::{CHARGES, Column, ColumnType, ROLLUP, UNLOGGED, USAGE, VIOLATIONS};

/// The metadata key under which Parquet readers show a column's description.
const DESCRIPTION: &str = "description";

/// The columns of a table.
pub fn columns(table: DayTable) -> &'static [Column] {
    match table {
        DayTable::Usage | DayTable::Checks => USAGE,
        DayTable::Charges => &CHARGES,
        DayTable::Rollup => &ROLLUP,
        DayTable::Violations => VIOLATIONS,
        DayTable::Unlogged => &UNLOGGED,
    }
}

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

/// Rows in a row group of a derived table.
pub const TABLE_ROW_GROUP: usize = 1 << 17;

/// How a derived table is written.
pub fn table_properties(columns: &[Column]) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by("spendbook".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(TABLE_ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in columns {
        let path = ColumnPath::from(column.name);
        builder = match column.kind {
            ColumnType::Timestamp | ColumnType::Int64 => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            // A column of few amounts, often all 0, is small as a dictionary;
            // one of many is told apart early, before one is built in vain.
            ColumnType::Decimal => builder.set_column_dictionary_page_size_limit(path, 1 << 16),
            _ => builder,
        };
    }
    let mut properties = builder.build();
    add_encoded_arrow_schema_to_metadata(&arrow_schema(columns), &mut properties);
    properties
}
