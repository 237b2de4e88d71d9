//! One day, slice by slice: `usage` in, `charges` and `rollup` out.
//!
//! A slice is a row group. Slices are priced apart from each other, by several
//! threads, and written in order, so that memory does not grow with the day.

use std::sync::Arc;

use parquet::{
    arrow::ArrowSchemaConverter,
    errors::ParquetError,
    file::{metadata::KeyValue, writer::SerializedFileWriter},
};
use polars::prelude::*;

use super::{
    ChargesError,
    columns::{self, Chunk},
    file::{self, DayFile, EncodedGroup},
    price::{BadRow, Used},
    quarters::{Open, Table},
    rollup::{Rolled, Rows},
    rollup_file::RollupFile,
    slice::{Applied, Numbered, Rules},
    state::{CHARGES_KEY, Inputs, Present},
    totals::Totals,
};
use crate::{
    book::{
        Book, Upload,
        layout::{DIGEST_KEY, DayTable, SCHEMA_KEY, SCHEMA_VERSION},
        schema::{arrow_schema, table_properties},
    },
    record::{CHARGES, METERS, PROVENANCE, USAGE},
    time::Day,
};

/// The columns of `usage` that decide price, owner and totals.
const NEEDED: [&str; 9] =
    ["ts", "provider", "model", "tier", "operation", "key", "team_reported", "status", "gateway_cache"];

/// A slice of a day to be priced.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub day: Day,
    /// The digest of the day's usage when it was planned.
    pub usage: Arc<str>,
    /// Which row group; the last of a day ends it, and an empty day has one
    /// without a row group.
    pub group: Option<usize>,
    pub is_last: bool,
}

impl Task {
    /// The slices of a day.
    pub(super) fn of_day(day: Day, usage: &str, groups: usize) -> Vec<Self> {
        let usage: Arc<str> = usage.into();
        let task = |group, is_last| Self { day, usage: Arc::clone(&usage), group, is_last };
        match groups {
            0 => vec![task(None, true)],
            groups => (0..groups).map(|group| task(Some(group), group + 1 == groups)).collect(),
        }
    }
}

/// A priced slice, ready to be written.
#[derive(Debug)]
pub(super) struct Done {
    encoded: EncodedGroup,
    added: Vec<Chunk>,
    rollup: Rolled,
    present: Present,
    totals: Totals,
}

impl Done {
    pub(super) fn rows(&self) -> u64 {
        self.totals.requests
    }
}

/// Prices one slice.
pub(super) fn price(source: &Book, task: &Task, rules: Rules<'_>) -> Result<Option<Done>, ChargesError> {
    let Some(group) = task.group else { return Ok(None) };
    let day = task.day;
    let usage = DayFile::open(source, DayTable::Usage, day)?;
    let usage = usage.filter(|usage| usage.digest() == &*task.usage && group < usage.groups().len());
    let Some(usage) = usage else { return Err(ChargesError::Moved { day }) };
    let damaged = |source| ChargesError::Engine { path: usage.path.clone(), source };

    let start = usage.groups()[..group].iter().map(file::rows).sum();
    let length = file::rows(&usage.groups()[group]);
    let meters = METERS.iter().map(|info| info.column).filter(|column| !usage.is_all_null(group, column));
    let wanted: Vec<&str> = NEEDED.into_iter().chain(meters).collect();
    let frame = usage.frame(&wanted, start, length)?;
    let at = frame.column("ts").and_then(|ts| Ok(ts.to_physical_repr().i64()?.clone())).map_err(damaged)?;
    let numbered = Numbered::of(&frame).map_err(damaged)?;
    let applied = Applied::new(&numbered, &at, rules, day)?;
    let used = Used::of(&frame).map_err(damaged)?;
    let priced = used.price(&applied).map_err(|bad| name_row(&usage, day, start, &bad))?;
    let totals = Totals::of(day, &used, &applied, &priced)?;
    let rows =
        Rows { day, frame: &frame, at: &at, numbered: &numbered, applied: &applied, used: &used, priced: &priced };
    let rollup = rows.totals().map_err(damaged)?;
    let added = columns::encode(&applied, &priced);
    let added =
        added.map_err(|source| ChargesError::Parquet { path: DayTable::Charges.file(day).to_string(), source })?;
    let encoded = usage.encoded(group)?;
    drop(applied);
    let Numbered { asks, claims, .. } = numbered;
    let present = Present { asks: asks.into_iter().collect(), claims: claims.into_iter().collect() };
    Ok(Some(Done { encoded, added, rollup, present, totals }))
}

/// The error for a row that cannot be priced, with what identifies it.
fn name_row(usage: &DayFile, day: Day, start: usize, bad: &BadRow) -> ChargesError {
    let text = |frame: &DataFrame, name: &str| {
        let value = frame.column(name).and_then(|column| Ok(column.str()?.get(0).unwrap_or_default().to_owned()));
        value.unwrap_or_default()
    };
    let line = |frame: &DataFrame| frame.column("source_line").ok()?.i64().ok()?.get(0);
    match usage.frame(&["request_id", "source_file", "source_line"], start + bad.row, 1) {
        Ok(frame) => ChargesError::Row {
            day,
            request_id: text(&frame, "request_id"),
            file: text(&frame, "source_file"),
            line: line(&frame).unwrap_or_default(),
            source: bad.error,
        },
        Err(error) => error,
    }
}

/// A day's two files while they are written.
pub(super) struct DayWriter {
    day: Day,
    charges: SerializedFileWriter<Upload>,
    rollup: RollupFile<Upload>,
    open: Open,
    present: Present,
    totals: Totals,
}

impl std::fmt::Debug for DayWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayWriter").field("day", &self.day).finish_non_exhaustive()
    }
}

impl DayWriter {
    pub(super) fn new(target: &Book, day: Day) -> Result<Self, ChargesError> {
        let failed = |table: DayTable| {
            move |source: ParquetError| ChargesError::Parquet { path: table.file(day).to_string(), source }
        };
        let to = target.upload(&DayTable::Charges.file(day))?;
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&CHARGES)).map_err(failed(DayTable::Charges))?;
        let charges = SerializedFileWriter::new(to, schema.root_schema_ptr(), Arc::new(table_properties(&CHARGES)));
        let to = target.upload(&DayTable::Rollup.file(day))?;
        let rollup = RollupFile::new(to);
        Ok(Self {
            day,
            charges: charges.map_err(failed(DayTable::Charges))?,
            rollup: rollup.map_err(failed(DayTable::Rollup))?,
            open: Open::default(),
            present: Present::default(),
            totals: Totals::default(),
        })
    }

    /// Writes the next slice.
    pub(super) fn push(&mut self, done: Done) -> Result<(), ChargesError> {
        let day = self.day;
        self.totals.add(day, &done.totals)?;
        self.present.asks.extend(done.present.asks);
        self.present.claims.extend(done.present.claims);
        let written = self.write_group(&done.encoded, done.added);
        written.map_err(|source| ChargesError::Parquet { path: DayTable::Charges.file(day).to_string(), source })?;
        let ready = self.open.take_next(done.rollup);
        let ready =
            ready.map_err(|source| ChargesError::Engine { path: DayTable::Rollup.file(day).to_string(), source })?;
        self.write_rollup(&ready)
    }

    fn write_group(&mut self, encoded: &EncodedGroup, added: Vec<Chunk>) -> Result<(), ParquetError> {
        let mut group = self.charges.next_row_group()?;
        for (place, column) in USAGE.iter().enumerate() {
            if !PROVENANCE.contains(&column.name) {
                encoded.copy(place, &mut group)?;
            }
        }
        for (bytes, close) in added {
            group.append_column(&bytes, close)?;
        }
        group.close().map(drop)
    }

    fn write_rollup(&mut self, rows: &Table) -> Result<(), ChargesError> {
        let written = self.rollup.push(rows, &self.open.names);
        written.map_err(|source| ChargesError::Parquet { path: DayTable::Rollup.file(self.day).to_string(), source })
    }

    /// Puts both files into their place, the charges first.
    pub(super) fn finish(mut self, usage: &str, rules: Rules<'_>) -> Result<Totals, ChargesError> {
        let day = self.day;
        let last = self.open.take_last();
        self.write_rollup(&last)?;
        let inputs = Inputs::now(usage, &self.present, rules, day);
        let digest = inputs.digest();
        let own = [(SCHEMA_KEY, SCHEMA_VERSION.to_string()), (DIGEST_KEY, digest.clone())];
        for (key, value) in own.clone().into_iter().chain(inputs.pairs(&self.present)) {
            self.charges.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let failed = |table: DayTable| {
            move |source: ParquetError| ChargesError::Parquet { path: table.file(day).to_string(), source }
        };
        let charges = self.charges.into_inner().map_err(failed(DayTable::Charges))?;
        let own = own.into_iter().chain([(CHARGES_KEY, digest)]);
        let rollup = self.rollup.finish(&self.open.names, own).map_err(failed(DayTable::Rollup))?;
        charges.finish()?;
        rollup.finish()?;
        Ok(self.totals)
    }
}
