//! The dataset's two files: the same rows as Parquet and as CSV, written a day at
//! a time, each with its digest. The same rows give the same bytes.

use std::{io::Write, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use sha2::{Digest as _, Sha256};

use super::{
    ExportError, Version,
    columns::{FocusColumn, Kind, columns},
    metadata::WrittenFile,
    row::{Row, Value, decimal_text},
};
use crate::{replace::Replacement, report::render};

pub(super) const PARQUET: &str = "focus.parquet";
pub(super) const CSV: &str = "focus.csv";

/// Rows in a row group.
const ROW_GROUP: usize = 1 << 17;
/// Rows that are made at a time.
const BATCH: usize = 1 << 13;

/// A file that counts and digests what is written to it.
struct Digested {
    file: Replacement,
    bytes: u64,
    digest: Sha256,
}

impl Digested {
    fn begin(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: Replacement::begin(path)?, bytes: 0, digest: Sha256::new() })
    }

    /// Puts it into its place.
    fn finish(self, name: &'static str) -> std::io::Result<WrittenFile> {
        self.file.finish()?;
        let sha256 = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(WrittenFile { name, bytes: self.bytes, sha256 })
    }
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Both files while they are written. Dropped before they are finished, they
/// were never there.
pub(super) struct Files {
    columns: Vec<&'static FocusColumn>,
    schema: SchemaRef,
    parquet: ArrowWriter<Digested>,
    csv: csv::Writer<Digested>,
}

impl Files {
    pub(super) fn begin(dir: &Path, version: Version) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Unwritable { path: dir.to_owned(), source };
        let columns: Vec<_> = columns(version).collect();
        let schema = schema(&columns);
        let properties = WriterProperties::builder()
            .set_created_by("spendbook".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let parquet = Digested::begin(&dir.join(PARQUET)).map_err(failed)?;
        let parquet = ArrowWriter::try_new(parquet, Arc::clone(&schema), Some(properties))?;
        let mut csv = csv::Writer::from_writer(Digested::begin(&dir.join(CSV)).map_err(failed)?);
        csv.write_record(columns.iter().map(|column| column.name))?;
        Ok(Self { columns, schema, parquet, csv })
    }

    pub(super) fn write(&mut self, rows: &[Row<'_>]) -> Result<(), ExportError> {
        for rows in rows.chunks(BATCH) {
            let arrays = self.columns.iter().map(|column| array(column, rows)).collect();
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
            self.parquet.write(&batch.map_err(parquet::errors::ParquetError::from)?)?;
            for row in rows {
                self.csv.write_record(self.columns.iter().map(|column| csv_text((column.value)(row))))?;
            }
        }
        Ok(())
    }

    /// Puts both into their places, each in one step.
    pub(super) fn finish(self, dir: &Path) -> Result<[WrittenFile; 2], ExportError> {
        let failed = |source| ExportError::Unwritable { path: dir.to_owned(), source };
        let csv = self.csv.into_inner().map_err(|error| failed(error.into_error()))?;
        let parquet = self.parquet.into_inner()?;
        Ok([parquet.finish(PARQUET).map_err(failed)?, csv.finish(CSV).map_err(failed)?])
    }
}

fn schema(columns: &[&FocusColumn]) -> SchemaRef {
    let field = |column: &&FocusColumn| {
        let kind = match column.kind {
            Kind::Text | Kind::Json => DataType::Utf8,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Decimal => DataType::Decimal128(38, 12),
            Kind::Count => DataType::Int64,
        };
        Field::new(column.name, kind, column.nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn array(column: &FocusColumn, rows: &[Row<'_>]) -> ArrayRef {
    let values = rows.iter().map(|row| (column.value)(row));
    match column.kind {
        Kind::Text | Kind::Json => {
            let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
            Arc::new(values.map(text).collect::<StringArray>())
        }
        Kind::Time => {
            let micros = |value| if let Value::Time(at) = value { Some(at.micros()) } else { None };
            Arc::new(values.map(micros).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Kind::Decimal => {
            let decimal = |value| if let Value::Decimal(value) = value { Some(value) } else { None };
            let array = values.map(decimal).collect::<Decimal128Array>().with_precision_and_scale(38, 12);
            Arc::new(array.expect("the precision and scale of `DECIMAL(38,12)` are valid"))
        }
        Kind::Count => {
            let count = |value| if let Value::Count(count) = value { Some(count) } else { None };
            Arc::new(values.map(count).collect::<Int64Array>())
        }
    }
}

/// Texts are no formulas, as in every CSV of ours; a JSON object never looks like
/// one.
fn csv_text(value: Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => render::csv::text(&text).into_owned(),
        Value::Decimal(value) => decimal_text(value),
        Value::Count(count) => count.to_string(),
        Value::Time(at) => at.to_string(),
    }
}
