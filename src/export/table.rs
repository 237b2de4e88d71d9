//! A table of the book as one file: its days after one another, or a stretch of
//! time of them, as CSV or Parquet.
//!
//! Names, order and types of the columns are those of `query`, `date` the last.
//! Rows are read and written in batches, so that memory does not grow with them.
//! Amounts have all their digits; in CSV what is not known is empty, and no text
//! is a formula. The same rows give the same bytes.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch},
    compute::filter_record_batch,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, Int16Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
    },
    error::ArrowError,
};
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
};

use crate::{
    book::{
        Book, BookError, FileTimes,
        layout::DayTable,
        schema::{arrow_schema, table_properties},
        steadily,
    },
    charges::Behind,
    config::KeptTable,
    floors::Floors,
    periods::PeriodSpan,
    record::{Column, ColumnType},
    report::{DATE, DATE_DOC, ReportError, freshness, render},
    time::{Day, Instant},
};

/// Rows that are read at a time.
const BATCH: usize = 1 << 13;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Parquet,
}

/// Why a table is not exported.
#[derive(Debug, thiserror::Error)]
pub enum TableExportError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("`{path}` is damaged: {source}")]
    Damaged { path: String, source: ParquetError },
    #[error("the export cannot be written: {0}")]
    Unwritable(#[from] io::Error),
    #[error("the export cannot be written: {0}")]
    Parquet(#[from] ParquetError),
    #[error("the export cannot be written: {0}")]
    Csv(#[from] csv::Error),
    #[error("a run kept replacing the files of `{table}`: export it again when it is done")]
    Replaced { table: &'static str },
}

impl From<ArrowError> for TableExportError {
    fn from(error: ArrowError) -> Self {
        Self::Parquet(error.into())
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Options<'o> {
    pub files: DayTable,
    pub columns: &'static [Column],
    pub format: Format,
    /// Only rows of this time; all of them where it is not given.
    pub period: Option<&'o PeriodSpan>,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub rows: usize,
    pub behind: BTreeMap<Day, Behind>,
    /// The first day that is kept, where the period begins before it.
    pub pruned_until: Option<Day>,
}

/// Writes a table to what `begin` gives, which is begun again where a run
/// replaces the table's files meanwhile.
///
/// # Errors
/// Where the book cannot be read, or the export cannot be written.
pub fn write<W: Write + Send>(
    book: &Book,
    options: &Options<'_>,
    begin: impl Fn() -> io::Result<W>,
) -> Result<(W, Written), TableExportError> {
    let files = options.files;
    let read = |_: &FileTimes| write_days(book, options, begin()?);
    let written = steadily(|| book.written_of(files), read)?;
    let (out, rows) = written.ok_or(TableExportError::Replaced { table: files.name() })?;
    let (from, until) = options.period.map_or((Instant::EARLIEST, Instant::LATEST), |span| (span.from, span.until));
    let is_derived = matches!(files, DayTable::Charges | DayTable::Rollup);
    let behind = if is_derived { freshness::behind(book, from, until)? } else { BTreeMap::new() };
    let kept = KeptTable::ALL.into_iter().find(|kept| kept.name() == files.name());
    let floor = kept.map(|kept| Floors::read(book).map(|floors| floors.of(kept))).transpose()?.flatten();
    let pruned_until = floor.filter(|floor| options.period.is_some() && from < floor.start());
    Ok((out, Written { rows, behind, pruned_until }))
}

fn write_days<W: Write + Send>(book: &Book, options: &Options<'_>, out: W) -> Result<(W, usize), TableExportError> {
    let Options { files, columns, format, period } = options;
    let schema = schema(columns);
    let mut sink = match format {
        Format::Csv => Sink::csv(out, &schema)?,
        Format::Parquet => {
            let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(table_properties(columns)))?;
            Sink::Parquet(Box::new(writer))
        }
    };
    let is_meant = |day: &Day| period.is_none_or(|span| day.start() < span.until && span.from < day.end());
    let mut rows = 0;
    for day in book.days(*files)?.into_iter().filter(is_meant) {
        let path = files.file(day);
        let Some(stored) = book.read(&path)? else { continue };
        let damaged = |source| TableExportError::Damaged { path: path.to_string(), source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(stored).map_err(damaged)?;
        let names = columns.iter().map(|column| column.name);
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        for batch in builder.with_projection(mask).with_batch_size(BATCH).build().map_err(damaged)? {
            let batch = batch.map_err(|source| damaged(source.into()))?;
            let batch = dated(&batch, &schema, day).map_err(|source| damaged(source.into()))?;
            let batch = match period {
                Some(span) => within(&batch, columns, span)?,
                None => batch,
            };
            rows += batch.num_rows();
            sink.write(&batch)?;
        }
    }
    Ok((sink.finish()?, rows))
}

/// The table's columns and the day of the file, as `query` has them.
fn schema(columns: &[Column]) -> SchemaRef {
    let own = arrow_schema(columns);
    let description = HashMap::from([("description".to_owned(), DATE_DOC.to_owned())]);
    let date = Field::new(DATE, DataType::Date32, false).with_metadata(description);
    Arc::new(Schema::new(own.fields().iter().cloned().chain([Arc::new(date)]).collect::<Vec<_>>()))
}

/// A batch with its columns in the order of the schema, and its day.
fn dated(batch: &RecordBatch, schema: &SchemaRef, day: Day) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => Ok(Arc::clone(column)),
        None if field.name() == DATE => Ok(Arc::new(Date32Array::from_value(day.days(), batch.num_rows())) as ArrayRef),
        None => Err(ArrowError::SchemaError(format!("it has no column `{}`", field.name()))),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// The rows whose time, their first timestamp, is in a period.
fn within(batch: &RecordBatch, columns: &[Column], span: &PeriodSpan) -> Result<RecordBatch, ArrowError> {
    let Some(time) = columns.iter().position(|column| column.kind == ColumnType::Timestamp) else {
        return Ok(batch.clone());
    };
    let times = batch.column(time).as_primitive::<TimestampMicrosecondType>();
    let is_meant = |micros: Option<i64>| micros.is_some_and(|at| span.contains(Instant::from_micros(at)));
    let mask: BooleanArray = times.iter().map(|at| Some(is_meant(at))).collect();
    filter_record_batch(batch, &mask)
}

enum Sink<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Sink<W> {
    fn csv(out: W, schema: &Schema) -> Result<Self, TableExportError> {
        let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(out);
        writer.write_record(schema.fields().iter().map(|field| field.name()))?;
        Ok(Self::Csv(Box::new(writer)))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableExportError> {
        match self {
            Self::Parquet(writer) => Ok(writer.write(batch)?),
            Self::Csv(writer) => {
                let mut cell = String::new();
                for row in 0..batch.num_rows() {
                    for column in batch.columns() {
                        cell.clear();
                        push_text(&mut cell, column, row);
                        writer.write_field(&cell)?;
                    }
                    writer.write_record(None::<&[u8]>)?;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<W, TableExportError> {
        match self {
            Self::Parquet(writer) => Ok(writer.into_inner()?),
            Self::Csv(writer) => Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?),
        }
    }
}

/// A value as the listings write it. The types are those of [`ColumnType`] and a
/// date.
fn push_text(cell: &mut String, column: &ArrayRef, row: usize) {
    if column.is_null(row) {
        return;
    }
    let written = match column.data_type() {
        DataType::Utf8 => {
            cell.push_str(&render::csv::text(column.as_string::<i32>().value(row)));
            Ok(())
        }
        DataType::Int64 => write!(cell, "{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::Int16 => write!(cell, "{}", column.as_primitive::<Int16Type>().value(row)),
        DataType::Boolean => write!(cell, "{}", column.as_boolean().value(row)),
        DataType::Date32 => write!(cell, "{}", Day::from_days(column.as_primitive::<Date32Type>().value(row))),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            write!(cell, "{}", Instant::from_micros(micros))
        }
        _ => {
            cell.push_str(&column.as_primitive::<Decimal128Type>().value_as_string(row));
            Ok(())
        }
    };
    debug_assert!(written.is_ok(), "a text takes it");
}
