//! Writes and reads `violations`: the same rows, the same bytes.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray},
    record_batch::RecordBatch,
};
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::metadata::KeyValue};

use super::{
    AuditError,
    read::{DayFile, amount},
    violation::{Violation, ViolationKind},
};
use crate::{
    book::{
        Book, Upload,
        layout::DayTable,
        schema::{arrow_schema, table_properties},
    },
    money::Usd,
    record::VIOLATIONS,
    time::{Day, Instant},
};

/// Rows that are written at once: those of a row group.
pub(super) const ROW_GROUP: usize = 1 << 16;

/// A day's file while it is written.
pub(super) struct TableWriter {
    writer: ArrowWriter<Upload>,
    day: Day,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("day", &self.day).finish_non_exhaustive()
    }
}

impl TableWriter {
    pub(super) fn new(book: &Book, day: Day) -> Result<Self, AuditError> {
        let upload = book.upload(&DayTable::Violations.file(day))?;
        let writer = ArrowWriter::try_new(upload, arrow_schema(VIOLATIONS), Some(table_properties(VIOLATIONS)));
        Ok(Self { writer: writer.map_err(|source| failed(day, source))?, day })
    }

    /// Writes a row group.
    pub(super) fn write(&mut self, rows: &[Violation]) -> Result<(), AuditError> {
        if rows.is_empty() {
            return Ok(());
        }
        let arrays = VIOLATIONS.iter().map(|column| array(column.name, rows)).collect();
        let batch = RecordBatch::try_new(arrow_schema(VIOLATIONS), arrays).map_err(ParquetError::from);
        let written = batch.and_then(|batch| self.writer.write(&batch)).and_then(|()| self.writer.flush());
        written.map_err(|source| failed(self.day, source))
    }

    /// Puts the file into its place.
    pub(super) fn finish(mut self, metadata: Vec<(&'static str, String)>) -> Result<(), AuditError> {
        for (key, value) in metadata {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let upload = self.writer.into_inner().map_err(|source| failed(self.day, source))?;
        Ok(upload.finish()?)
    }
}

fn failed(day: Day, source: ParquetError) -> AuditError {
    AuditError::Parquet { path: DayTable::Violations.file(day).to_string(), source }
}

fn array(column: &str, rows: &[Violation]) -> ArrayRef {
    fn texts<'v>(rows: &'v [Violation], of: impl Fn(&'v Violation) -> Option<&'v str>) -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    }
    let amounts = |of: fn(&Violation) -> Option<Usd>| -> ArrayRef {
        let amounts: Decimal128Array = rows.iter().map(|row| of(row).map(Usd::pico)).collect();
        Arc::new(
            amounts.with_precision_and_scale(38, 12).expect("the precision and scale of `DECIMAL(38,12)` are valid"),
        )
    };
    match column {
        "ts" => {
            let instants: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.ts.micros())).collect();
            Arc::new(instants.with_timezone("UTC"))
        }
        "team" => texts(rows, |row| row.team.as_deref()),
        "key" => texts(rows, |row| row.key.as_deref()),
        "user" => texts(rows, |row| row.user.as_deref()),
        "provider" => texts(rows, |row| row.provider.as_deref()),
        "model" => texts(rows, |row| row.model.as_deref()),
        "request_id" => texts(rows, |row| Some(&row.request_id)),
        "kind" => texts(rows, |row| Some(row.kind.name())),
        "limit" => amounts(|row| row.limit),
        "value" => amounts(|row| row.value),
        "requests" => Arc::new(rows.iter().map(|row| Some(row.requests)).collect::<Int64Array>()),
        "cost" => amounts(|row| Some(row.cost)),
        _ => texts(rows, |row| row.detail.as_deref()),
    }
}

/// Hands over the violations of a day, in the order of the file.
///
/// # Errors
/// Where the file cannot be read.
pub fn violations(book: &Book, day: Day, mut each: impl FnMut(Violation)) -> Result<(), AuditError> {
    let Some(file) = DayFile::open(book, DayTable::Violations, day)? else { return Ok(()) };
    let names: Vec<&str> = VIOLATIONS.iter().map(|column| column.name).collect();
    file.batches(&names, None, |columns| {
        let instants = columns.instants("ts")?;
        let word = |name| columns.words(name);
        let (team, key, user) = (word("team")?, word("key")?, word("user")?);
        let (provider, model, kind) = (word("provider")?, word("model")?, word("kind")?);
        let (request_id, detail) = (columns.texts("request_id")?, columns.texts("detail")?);
        let (limit, value, cost) = (columns.amounts("limit")?, columns.amounts("value")?, columns.amounts("cost")?);
        let requests = columns.numbers("requests")?;
        for row in 0..columns.rows() {
            let own = |text: Option<&str>| text.map(str::to_owned);
            // A later program's kind is passed over by an earlier one.
            let Some(kind) = kind.get(row).and_then(ViolationKind::from_name) else { continue };
            each(Violation {
                ts: Instant::from_micros(instants.value(row)),
                team: own(team.get(row)),
                key: own(key.get(row)),
                user: own(user.get(row)),
                provider: own(provider.get(row)),
                model: own(model.get(row)),
                request_id: request_id.value(row).to_owned(),
                kind,
                limit: amount(limit, row),
                value: amount(value, row),
                requests: requests.value(row),
                cost: amount(cost, row).unwrap_or(Usd::ZERO),
                detail: detail.is_valid(row).then(|| detail.value(row).to_owned()),
            });
        }
        Ok(())
    })
}
