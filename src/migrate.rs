//! A book of an earlier version becomes one of this version, under the lock.
//!
//! Versions differ by columns: a later one has more. The rows of `usage` and
//! `checks` are written anew with NULL in what nobody knew then, to the bytes
//! that reading the same logs today would give. The other tables only get their
//! columns, so that all files of a table can be read as one; what is derived is
//! still marked as of its old version, which is why pricing makes it again.
//!
//! File after file is replaced in one step and the version comes last: killed
//! in between, the next run goes on. A column that this version does not have
//! is an error, since its values would be lost.

use std::sync::Arc;

use arrow::{
    array::new_null_array,
    datatypes::{Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use object_store::path::Path;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use crate::{
    book::{
        Book, BookError, Stored,
        layout::{DayTable, SCHEMA_KEY, SCHEMA_VERSION},
        schema::{arrow_schema, columns},
    },
    ingest::day_file,
    record::Column,
};

/// Why a book stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("`{path}` in the book cannot be brought up to this version: {source}; restore it from a backup")]
    Parquet { path: String, source: ParquetError },
    #[error(
        "`{path}` in the book has the column `{column}`, which this version does not know: use the spendbook that \
         wrote it"
    )]
    Unknown { path: String, column: String },
}

/// Brings a book up to this version; how many files that changed.
///
/// # Errors
/// Where a file cannot be read or written, or has more than this version knows.
pub fn run(book: &Book) -> Result<u64, MigrateError> {
    if book.is_current()? {
        return Ok(0);
    }
    let mut changed = 0;
    for table in DayTable::ALL {
        for path in book.list(&Path::from(table.name()))?.into_iter().chain(book.list(&table.moves())?) {
            if path.filename().is_some_and(|name| name.ends_with(".parquet")) {
                changed += u64::from(bring_up(book, table, &path)?);
            }
        }
    }
    book.set_current()?;
    Ok(changed)
}

/// Whether its rows are nowhere else.
const fn is_facts(table: DayTable) -> bool {
    matches!(table, DayTable::Usage | DayTable::Checks)
}

/// Writes a file anew where it is of an earlier version; whether it was.
fn bring_up(book: &Book, table: DayTable, path: &Path) -> Result<bool, MigrateError> {
    let failed = |source| MigrateError::Parquet { path: path.to_string(), source };
    let Some(stored) = book.read(path)? else { return Ok(false) };
    let reader = ParquetRecordBatchReaderBuilder::try_new(stored).map_err(failed)?;
    let columns = columns(table);
    let found = reader.schema();
    let unknown = |field: &&Arc<Field>| columns.iter().all(|column| column.name != field.name());
    if let Some(field) = found.fields().iter().find(unknown) {
        return Err(MigrateError::Unknown { path: path.to_string(), column: field.name().clone() });
    }
    let version = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let is_of_now = version
        .clone()
        .any(|pair| pair.key == SCHEMA_KEY && pair.value.as_deref() == Some(SCHEMA_VERSION.to_string().as_str()));
    let has_all = columns.iter().all(|column| found.index_of(column.name).is_ok());
    if has_all && (is_of_now || !is_facts(table)) {
        return Ok(false);
    }
    if is_facts(table) {
        let bytes = book.get(path)?.unwrap_or_default();
        day_file::rewrite(&bytes, book.upload(path)?).map_err(failed)?.finish()?;
    } else {
        book.put(path, with_columns(reader, columns).map_err(failed)?.into())?;
    }
    Ok(true)
}

/// The same rows and metadata, with NULL in the columns that are missing.
fn with_columns(reader: ParquetRecordBatchReaderBuilder<Stored>, columns: &[Column]) -> Result<Vec<u8>, ParquetError> {
    let found = Arc::clone(reader.schema());
    let schema = widened(&found, columns);
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
    let known = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    for pair in known.filter(|pair| pair.key != "ARROW:schema") {
        writer.append_key_value_metadata(KeyValue::new(pair.key.clone(), pair.value.clone()));
    }
    for batch in reader.build()? {
        let batch = batch?;
        let arrays = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(array) => Arc::clone(array),
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays.collect())?)?;
    }
    writer.into_inner()
}

/// All columns in their order: those of the file as they are, the others
/// without a value.
fn widened(found: &Schema, columns: &[Column]) -> SchemaRef {
    let now = arrow_schema(columns);
    let field = |field: &Arc<Field>| match found.field_with_name(field.name()) {
        Ok(found) => found.clone(),
        Err(_) => field.as_ref().clone().with_nullable(true),
    };
    Arc::new(Schema::new(now.fields().iter().map(field).collect::<Vec<_>>()))
}
