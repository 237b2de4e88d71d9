//! A day of totals as a Parquet file, and back: the same rows, the same bytes.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Decimal128Array, Int64Array, PrimitiveArray, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{ArrowPrimitiveType, Decimal128Type, Int64Type, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use object_store::path::Path;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::metadata::KeyValue,
};
use xxhash_rust::xxh3::Xxh3;

use super::{TotalRow, TotalsError};
use crate::{
    book::{
        Book,
        layout::{DIGEST_KEY, SCHEMA_KEY, SCHEMA_VERSION},
        schema::{arrow_schema, table_properties},
    },
    money::Usd,
    record::{METERS, Measure, Meter, Quality, Quantities, TOTALS},
    time::Instant,
};

/// A column, and what it holds of a row.
type Text = (&'static str, fn(&TotalRow) -> Option<&str>);
type Time = (&'static str, fn(&TotalRow) -> Option<Instant>);

const TEXTS: [Text; 11] = [
    ("source", |row| Some(&row.source)),
    ("provider", |row| Some(&row.provider)),
    ("measure", |row| Some(row.measure.name())),
    ("key", |row| row.key.as_deref()),
    ("key_id", |row| row.key_id.as_deref()),
    ("project", |row| row.project.as_deref()),
    ("user", |row| row.user.as_deref()),
    ("model", |row| row.model.as_deref()),
    ("tier", |row| row.tier.as_deref()),
    ("line_item", |row| row.line_item.as_deref()),
    ("quality", |row| Some(row.quality.name())),
];

const INSTANTS: [Time; 4] = [
    ("bucket_start", |row| Some(row.bucket_start)),
    ("bucket_end", |row| Some(row.bucket_end)),
    ("covers_until", |row| row.covers_until),
    (FETCHED_AT, |row| Some(row.fetched_at)),
];

const FETCHED_AT: &str = "fetched_at";

pub(super) fn write(book: &Book, path: &Path, rows: &[TotalRow]) -> Result<(), TotalsError> {
    let failed = |source| TotalsError::Parquet { path: path.to_string(), source };
    let schema = arrow_schema(&TOTALS);
    let upload = book.upload(path)?;
    let mut writer =
        ArrowWriter::try_new(upload, Arc::clone(&schema), Some(table_properties(&TOTALS))).map_err(failed)?;
    if !rows.is_empty() {
        let arrays = TOTALS.iter().map(|column| array(column.name, rows)).collect();
        let batch = RecordBatch::try_new(schema, arrays).map_err(ParquetError::from);
        batch.and_then(|batch| writer.write(&batch)).map_err(failed)?;
    }
    for (key, value) in [(SCHEMA_KEY, SCHEMA_VERSION.to_string()), (DIGEST_KEY, digest_of(rows))] {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    Ok(writer.into_inner().map_err(failed)?.finish()?)
}

fn array(column: &str, rows: &[TotalRow]) -> ArrayRef {
    if let Some((_, of)) = TEXTS.iter().find(|(name, _)| *name == column) {
        return Arc::new(rows.iter().map(of).collect::<StringArray>());
    }
    if let Some((_, of)) = INSTANTS.iter().find(|(name, _)| *name == column) {
        let instants: TimestampMicrosecondArray = rows.iter().map(|row| of(row).map(Instant::micros)).collect();
        return Arc::new(instants.with_timezone("UTC"));
    }
    if column == "cost" {
        let amounts: Decimal128Array = rows.iter().map(|row| row.cost.map(Usd::pico)).collect();
        return Arc::new(
            amounts.with_precision_and_scale(38, 12).expect("the precision and scale of `DECIMAL(38,12)` are valid"),
        );
    }
    Arc::new(rows.iter().map(|row| number(row, column)).collect::<Int64Array>())
}

fn number(row: &TotalRow, column: &str) -> Option<i64> {
    match column {
        "requests" => row.requests,
        "total_tokens" => row.total_tokens,
        meter => row.quantities[Meter::from_column(meter).expect("every other column is a meter")],
    }
}

/// Of everything but when it was told.
fn digest_of(rows: &[TotalRow]) -> String {
    let mut digest = Xxh3::new();
    let mut feed = |value: Option<&str>| match value {
        None => digest.update(&[0]),
        Some(text) => {
            digest.update(&[1]);
            digest.update(&(text.len() as u64).to_le_bytes());
            digest.update(text.as_bytes());
        }
    };
    for row in rows {
        for (_, of) in TEXTS {
            feed(of(row));
        }
        for (_, of) in INSTANTS.iter().filter(|(name, _)| *name != FETCHED_AT) {
            feed(of(row).map(|instant| instant.micros().to_string()).as_deref());
        }
        for column in METERS.iter().map(|info| info.column).chain(["requests", "total_tokens"]) {
            feed(number(row, column).map(|number| number.to_string()).as_deref());
        }
        feed(row.cost.map(|cost| cost.to_string()).as_deref());
    }
    format!("{:032x}", digest.digest128())
}

pub(super) fn digest(book: &Book, path: &Path) -> Result<Option<String>, TotalsError> {
    let Some(stored) = book.read(path)? else { return Ok(None) };
    let metadata = ArrowReaderMetadata::load(&stored, ArrowReaderOptions::new())
        .map_err(|source| TotalsError::Parquet { path: path.to_string(), source })?;
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let digest = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == DIGEST_KEY)?.value.clone());
    Ok(Some(digest.unwrap_or_default()))
}

pub(super) fn read(book: &Book, path: &Path) -> Result<Option<Vec<TotalRow>>, TotalsError> {
    let Some(stored) = book.read(path)? else { return Ok(None) };
    let failed = |source| TotalsError::Parquet { path: path.to_string(), source };
    let reader = ParquetRecordBatchReaderBuilder::try_new(stored).and_then(ParquetRecordBatchReaderBuilder::build);
    let mut rows = Vec::new();
    for batch in reader.map_err(failed)? {
        let columns = Columns { path, batch: &batch.map_err(|error| failed(error.into()))? };
        for index in 0..columns.batch.num_rows() {
            rows.push(columns.row(index)?);
        }
    }
    Ok(Some(rows))
}

/// The columns of a batch, by name.
struct Columns<'b> {
    path: &'b Path,
    batch: &'b RecordBatch,
}

impl Columns<'_> {
    fn damaged(&self, column: &'static str) -> TotalsError {
        TotalsError::Column { path: self.path.to_string(), column }
    }

    fn text(&self, column: &'static str, row: usize) -> Result<Option<String>, TotalsError> {
        let array = self.batch.column_by_name(column).and_then(|array| array.as_string_opt::<i32>());
        let array = array.ok_or_else(|| self.damaged(column))?;
        Ok(array.is_valid(row).then(|| array.value(row).to_owned()))
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        column: &'static str,
        row: usize,
    ) -> Result<Option<T::Native>, TotalsError> {
        let array: Option<&PrimitiveArray<T>> =
            self.batch.column_by_name(column).and_then(|array| array.as_primitive_opt::<T>());
        let array = array.ok_or_else(|| self.damaged(column))?;
        Ok(array.is_valid(row).then(|| array.value(row)))
    }

    fn row(&self, row: usize) -> Result<TotalRow, TotalsError> {
        let text = |column| self.text(column, row);
        let word = |column| text(column)?.ok_or_else(|| self.damaged(column));
        let instant = |column| {
            self.primitive::<TimestampMicrosecondType>(column, row).map(|micros| micros.map(Instant::from_micros))
        };
        let time = |column| instant(column)?.ok_or_else(|| self.damaged(column));
        let mut quantities = Quantities::default();
        for info in &METERS {
            quantities[info.meter] = self.primitive::<Int64Type>(info.column, row)?;
        }
        Ok(TotalRow {
            source: word("source")?,
            provider: word("provider")?,
            bucket_start: time("bucket_start")?,
            bucket_end: time("bucket_end")?,
            covers_until: instant("covers_until")?,
            measure: Measure::from_name(&word("measure")?).ok_or_else(|| self.damaged("measure"))?,
            key: text("key")?,
            key_id: text("key_id")?,
            project: text("project")?,
            user: text("user")?,
            model: text("model")?,
            tier: text("tier")?,
            line_item: text("line_item")?,
            requests: self.primitive::<Int64Type>("requests", row)?,
            quantities,
            total_tokens: self.primitive::<Int64Type>("total_tokens", row)?,
            cost: self.primitive::<Decimal128Type>("cost", row)?.and_then(Usd::from_pico),
            quality: Quality::from_name(&word("quality")?).ok_or_else(|| self.damaged("quality"))?,
            fetched_at: time(FETCHED_AT)?,
        })
    }
}
