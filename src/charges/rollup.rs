//! Totals of every quarter of an hour, by everything that a report groups by.
//!
//! Sums are exact: polars wraps around where a sum overflows, so that what is
//! summed is first shown to be too small for that. A sum of nothing but NULL is
//! NULL, never 0.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray},
    record_batch::RecordBatch,
};
use polars::prelude::*;

use super::{
    price::{Priced, UNKNOWN},
    slice::{Applied, Numbered},
};
use crate::{
    book::schema::arrow_schema,
    pricing::Basis,
    record::{AMOUNTS, ColumnType, METERS, Operation, ROLLUP, ROLLUP_KEYS, Status},
    time::Day,
};

/// Every zone that there is today is a multiple of this away from UTC.
pub(super) const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;

/// The priced rows of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'s> {
    pub day: Day,
    pub frame: &'s DataFrame,
    pub at: &'s Int64Chunked,
    pub numbered: &'s Numbered,
    pub applied: &'s Applied<'s>,
    pub priced: &'s Priced,
}

/// What tells groups apart, packed into one number: that is what polars groups
/// by, and the names are put back to the few groups that come out.
mod pack {
    pub(super) const ERROR: u32 = 1;
    pub(super) const BASIS: u32 = 3;
    pub(super) const OPERATION: u32 = 4;
    pub(super) const PLACE: u32 = 24;
}

impl Rows<'_> {
    /// The totals of the slice: the keys and sums of [`ROLLUP`].
    pub(super) fn totals(&self) -> PolarsResult<DataFrame> {
        let mut columns = vec![UInt64Chunked::from_vec("group".into(), self.groups()?).into_column()];
        for info in &METERS {
            columns.push(self.frame.column(info.column)?.clone());
        }
        for (name, values) in AMOUNTS.iter().zip(&self.priced.amounts) {
            columns.push(decimal(name, values));
        }
        let frame = DataFrame::new_infer_height(columns)?;
        let sums = sums(&frame, METERS.iter().map(|info| info.column).chain(AMOUNTS));
        let grouped = frame
            .lazy()
            .group_by([col("group")])
            .agg([vec![len().cast(DataType::Int64).alias("requests")], sums].concat())
            .collect()?;
        self.named(&grouped)
    }

    fn groups(&self) -> PolarsResult<Vec<u64>> {
        let limit = 1 << pack::PLACE;
        if self.applied.owners.len() >= limit || self.applied.stretches.len() >= limit {
            polars_bail!(ComputeError: "more than {limit} prices or owners in one slice");
        }
        let first = self.day.start().micros().div_euclid(BUCKET_MICROS);
        let operation = self.frame.column("operation")?.str()?;
        let status = self.frame.column("status")?.str()?;
        let mut groups = Vec::with_capacity(self.frame.height());
        for (row, ((at, operation), status)) in self.at.iter().zip(operation.iter()).zip(status.iter()).enumerate() {
            let bucket = at.unwrap_or_default().div_euclid(BUCKET_MICROS) - first;
            let bucket = u64::try_from(bucket).map_err(|_| polars_err!(ComputeError: "a row of another day"))?;
            let operation = operation.and_then(Operation::from_name).unwrap_or(Operation::Other);
            let basis = self.priced.labels[self.priced.label[row] as usize].basis;
            let mut group = bucket;
            for (bits, value) in [
                (pack::PLACE, u64::from(self.applied.owner[row])),
                (pack::PLACE, u64::from(self.applied.stretch[row])),
                (pack::OPERATION, operation as u64),
                (pack::BASIS, basis as u64),
                (pack::ERROR, u64::from(status == Some(Status::Error.name()))),
            ] {
                group = group << bits | value;
            }
            groups.push(group);
        }
        Ok(groups)
    }

    /// The groups with their names in the place of their number.
    fn named(&self, grouped: &DataFrame) -> PolarsResult<DataFrame> {
        let packed = grouped.column("group")?.u64()?;
        let mut buckets = Vec::with_capacity(packed.len());
        let mut errors = Vec::with_capacity(packed.len());
        let mut names: [Vec<Option<&str>>; ROLLUP_KEYS.len() - 1] = Default::default();
        for (mut group, requests) in packed.iter().flatten().zip(grouped.column("requests")?.i64()?.iter()) {
            let mut take = |bits: u32| {
                let value = group & ((1 << bits) - 1);
                group >>= bits;
                usize::try_from(value).unwrap_or_default()
            };
            let is_error = take(pack::ERROR) == 1;
            let (basis, operation) = (take(pack::BASIS), take(pack::OPERATION));
            let (stretch, owner) = (take(pack::PLACE), take(pack::PLACE));
            let stretch = &self.applied.stretches[stretch];
            let owner = &self.applied.owners[owner];
            let ask = self.numbered.asks[stretch.of as usize].ask();
            let row = [
                owner.it.team.as_deref(),
                owner.it.environment.as_deref(),
                owner.it.purpose.as_deref(),
                self.numbered.claims[owner.of as usize].claim().key,
                Some(ask.provider),
                Some(ask.model),
                Some(stretch.it.model_billed),
                ask.tier,
                Some(Operation::ALL[operation].name()),
                Some(BASES[basis].name()),
            ];
            for (column, name) in names.iter_mut().zip(row) {
                column.push(name);
            }
            let bucket = i64::try_from(group).unwrap_or_default();
            buckets.push(self.day.start().micros() + bucket * BUCKET_MICROS);
            errors.push(if is_error { requests.unwrap_or_default() } else { 0 });
        }
        let mut columns = vec![Int64Chunked::from_vec(ROLLUP_KEYS[0].name.into(), buckets).into_column()];
        for (key, names) in ROLLUP_KEYS[1..].iter().zip(&names) {
            columns.push(StringChunked::from_slice_options(key.name.into(), names).into_column());
        }
        columns.push(grouped.column("requests")?.clone());
        columns.push(Int64Chunked::from_vec("errors".into(), errors).into_column());
        for name in METERS.iter().map(|info| info.column).chain(AMOUNTS) {
            columns.push(grouped.column(name)?.clone());
        }
        merged(DataFrame::new_infer_height(columns)?)
    }
}

/// In the order of their numbers.
const BASES: [Basis; 5] = [Basis::Free, Basis::Contract, Basis::List, Basis::Fallback, Basis::Unpriced];

/// Adds up rows with the same keys, and sorts by them.
pub(super) fn merged(frame: DataFrame) -> PolarsResult<DataFrame> {
    let keys: Vec<Expr> = ROLLUP_KEYS.iter().map(|key| col(key.name)).collect();
    let summed = ["requests", "errors"].into_iter().chain(METERS.iter().map(|info| info.column)).chain(AMOUNTS);
    let sums = sums(&frame, summed);
    frame.lazy().group_by(&keys).agg(sums).sort_by_exprs(&keys, SortMultipleOptions::default()).collect()
}

/// The sum of each column; NULL where all of a group is.
fn sums<'n>(frame: &DataFrame, names: impl Iterator<Item = &'n str>) -> Vec<Expr> {
    let sum = |name: &str| {
        let column = col(name);
        let is_whole = frame.column(name).is_ok_and(|column| column.null_count() == 0);
        if is_whole {
            return column.sum();
        }
        when(column.clone().count().gt(lit(0))).then(column.sum()).otherwise(lit(NULL)).alias(name)
    };
    names.map(sum).collect()
}

fn decimal(name: &str, values: &[i128]) -> Column {
    let known = values.iter().map(|&value| (value != UNKNOWN).then_some(value));
    let amounts: Int128Chunked = known.collect_ca(name.into());
    amounts.into_decimal_unchecked(38, 12).into_column()
}

/// A rollup's rows, without the marks that follow from them, for its file.
pub(super) fn batch(frame: &DataFrame) -> PolarsResult<RecordBatch> {
    let basis = frame.column("basis")?.str()?;
    let is = |wanted: Basis| move |name: Option<&str>| name == Some(wanted.name());
    let requests = frame.column("requests")?.i64()?;
    let count = |wanted: Basis| -> Int64Array {
        let rows = basis.iter().map(is(wanted)).zip(requests.iter());
        rows.map(|(is, count)| Some(if is { count.unwrap_or_default() } else { 0 })).collect()
    };
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(ROLLUP.len());
    for column in ROLLUP.iter() {
        arrays.push(match column.name {
            "unpriced_requests" => Arc::new(count(Basis::Unpriced)),
            "estimated_requests" => Arc::new(count(Basis::Fallback)),
            "estimated_cost" => {
                let costs = frame.column("cost")?.decimal()?.physical();
                let rows = basis.iter().map(is(Basis::Fallback)).zip(costs.iter());
                decimal_array(rows.map(|(is, cost)| Some(if is { cost.unwrap_or_default() } else { 0 })))
            }
            name => array(frame.column(name)?, column.kind)?,
        });
    }
    let batch = RecordBatch::try_new(arrow_schema(&ROLLUP), arrays);
    batch.map_err(|error| polars_err!(ComputeError: "{error}"))
}

fn array(column: &Column, kind: ColumnType) -> PolarsResult<ArrayRef> {
    Ok(match kind {
        ColumnType::Timestamp => {
            Arc::new(column.i64()?.iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        ColumnType::Int64 => Arc::new(column.i64()?.iter().collect::<Int64Array>()),
        ColumnType::Decimal => decimal_array(column.decimal()?.physical().iter()),
        _ => Arc::new(column.str()?.iter().collect::<StringArray>()),
    })
}

fn decimal_array(values: impl Iterator<Item = Option<i128>>) -> ArrayRef {
    let array: Decimal128Array = values.collect();
    Arc::new(array.with_precision_and_scale(38, 12).expect("the precision and scale of `DECIMAL(38,12)` are valid"))
}
