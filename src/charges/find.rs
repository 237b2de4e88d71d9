//! One request in a year of data: bloom filters say in which row groups its id
//! cannot be, so that few of them are read.

use polars::prelude::*;

use super::{
    ChargesError,
    file::{self, DayFile},
    state,
};
use crate::{
    book::{Book, layout::DayTable},
    money::Usd,
    record::{Column as TableColumn, ColumnType, METERS, PRICED, Quantities, Status, USAGE},
    time::{Day, Instant},
};

/// A row of `usage`, and what was made of it.
#[derive(Debug, Clone)]
pub struct FoundRequest {
    pub day: Day,
    /// The row as it stands in `usage`, without what is NULL.
    pub usage: Vec<(&'static str, String)>,
    /// What pricing added; `None` where the day has not been priced since its
    /// usage changed.
    pub charge: Option<Vec<(&'static str, String)>>,
    pub ts: Instant,
    pub status: Status,
    pub gateway_cache: bool,
    pub quantities: Quantities,
}

impl FoundRequest {
    /// A column of `usage`.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.usage.iter().find(|(name, _)| *name == column).map(|(_, value)| value.as_str())
    }

    /// A column that pricing added.
    pub fn charged(&self, column: &str) -> Option<&str> {
        self.charge.as_ref()?.iter().find(|(name, _)| *name == column).map(|(_, value)| value.as_str())
    }
}

/// Finds every row with an id, the latest days first.
///
/// # Errors
/// Where the book cannot be read.
pub fn find(book: &Book, request_id: &str) -> Result<Vec<FoundRequest>, ChargesError> {
    let mut found = Vec::new();
    for day in book.days(DayTable::Usage)?.into_iter().rev() {
        let Some(usage) = DayFile::open(book, DayTable::Usage, day)? else { continue };
        let mut start = 0;
        for (at, group) in usage.groups().iter().enumerate() {
            if usage.may_hold(at, "request_id", request_id)? {
                for row in rows_with(&usage, request_id, start, file::rows(group))? {
                    found.push(read(book, &usage, day, row)?);
                }
            }
            start += file::rows(group);
        }
    }
    Ok(found)
}

fn rows_with(usage: &DayFile, request_id: &str, start: usize, length: usize) -> Result<Vec<usize>, ChargesError> {
    let frame = usage.frame(&["request_id"], start, length)?;
    let ids = frame.column("request_id").and_then(|ids| ids.str());
    let ids = ids.map_err(|source| ChargesError::Engine { path: usage.path.clone(), source })?;
    Ok(ids.iter().enumerate().filter(|(_, id)| *id == Some(request_id)).map(|(at, _)| start + at).collect())
}

fn read(book: &Book, usage: &DayFile, day: Day, row: usize) -> Result<FoundRequest, ChargesError> {
    let names: Vec<&str> = USAGE.iter().map(|column| column.name).collect();
    let frame = usage.frame(&names, row, 1)?;
    let damaged = |source| ChargesError::Engine { path: usage.path.clone(), source };
    let cells = cells(&frame, USAGE).map_err(damaged)?;
    let value = |name: &str| cells.iter().find(|(column, _)| *column == name).map(|(_, value)| value.as_str());
    let mut quantities = Quantities::default();
    for info in &METERS {
        quantities[info.meter] = value(info.column).and_then(|text| text.parse().ok());
    }
    let ts = frame.column("ts").and_then(|ts| Ok(ts.to_physical_repr().i64()?.get(0).unwrap_or_default()));
    // The rows of `charges` are those of `usage`, in the same order.
    let charges = DayFile::open(book, DayTable::Charges, day)?;
    // Pruned before its usage, it has none.
    let has_row = |charges: &DayFile| charges.groups().iter().map(file::rows).sum::<usize>() > row;
    let charge = match charges.filter(|charges| state::is_of(charges, usage) && has_row(charges)) {
        None => None,
        Some(charges) => {
            let names: Vec<&str> = PRICED.iter().map(|column| column.name).collect();
            let frame = charges.frame(&names, row, 1)?;
            Some(self::cells(&frame, PRICED).map_err(damaged)?)
        }
    };
    Ok(FoundRequest {
        day,
        ts: Instant::from_micros(ts.map_err(damaged)?),
        status: value("status").and_then(Status::from_name).unwrap_or(Status::Success),
        gateway_cache: value("gateway_cache") == Some("true"),
        quantities,
        charge,
        usage: cells,
    })
}

/// The values of a frame's only row, as text, without what is NULL.
fn cells(frame: &DataFrame, columns: &[TableColumn]) -> PolarsResult<Vec<(&'static str, String)>> {
    let mut cells = Vec::new();
    for column in columns {
        let values = frame.column(column.name)?;
        let value = match column.kind {
            ColumnType::Timestamp => {
                values.to_physical_repr().i64()?.get(0).map(|at| Instant::from_micros(at).to_string())
            }
            ColumnType::Text | ColumnType::Dict => values.str()?.get(0).map(str::to_owned),
            ColumnType::Int64 | ColumnType::Int16 => {
                values.cast(&DataType::Int64)?.i64()?.get(0).map(|number| number.to_string())
            }
            ColumnType::Bool => values.bool()?.get(0).map(|flag| flag.to_string()),
            ColumnType::Decimal => {
                let pico = values.decimal()?.physical().get(0);
                pico.and_then(Usd::from_pico).map(|amount| amount.to_string())
            }
        };
        cells.extend(value.map(|value| (column.name, value)));
    }
    Ok(cells)
}
