//! Listings for programs: CSV, JSON and Parquet.
//!
//! Amounts have all their digits, instants are RFC 3339, what is not known is
//! null (in CSV: empty). In CSV no text is a formula; JSON and Parquet have every
//! text as it is.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{Field, Schema},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Cell, Column, Kind, Listing, Page, Place};
use crate::report::render;

impl Listing {
    /// The columns for programs, with their places in a row.
    fn data_columns(&self) -> Vec<(usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.place != Place::Table).collect()
    }
}

pub(super) fn csv(listing: Option<&Listing>) -> anyhow::Result<Vec<u8>> {
    let Some(listing) = listing else { return Ok(Vec::new()) };
    let columns = listing.data_columns();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|&(at, _)| render::csv::text(&listing.names[at]).into_owned()))?;
    for row in &listing.rows {
        writer.write_record(columns.iter().map(|&(at, column)| csv_text(&row[at], column.kind).into_owned()))?;
    }
    Ok(writer.into_inner()?)
}

fn csv_text(cell: &Cell, kind: Kind) -> Cow<'_, str> {
    match cell {
        Cell::Null => "".into(),
        Cell::Text(text) => render::csv::text(text),
        Cell::Number(tenths) if kind == Kind::Tenths => tenths_text(*tenths).into(),
        Cell::Number(number) => number.to_string().into(),
        Cell::Float(number) => number.to_string().into(),
        Cell::Usd(amount) => amount.to_string().into(),
        Cell::Instant(instant) => instant.to_string().into(),
        Cell::Flag(flag) => flag.to_string().into(),
    }
}

fn tenths_text(tenths: i64) -> String {
    let (sign, tenths) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

/// An array of objects where there is one listing and no fact, else an object
/// with the facts and an array for each listing.
pub(super) fn json(page: &Page) -> anyhow::Result<Vec<u8>> {
    let mut listings = page.listings();
    let mut bytes = match (page.facts.as_slice(), listings.next(), listings.next()) {
        ([], Some(only), None) => serde_json::to_vec_pretty(only)?,
        _ => serde_json::to_vec_pretty(page)?,
    };
    bytes.push(b'\n');
    Ok(bytes)
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.facts {
            map.serialize_entry(name, &Value(value, Kind::Count))?;
        }
        for listing in self.listings() {
            map.serialize_entry(listing.name, listing)?;
        }
        map.end()
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.data_columns();
        serializer.collect_seq(self.rows.iter().map(|cells| Row { names: &self.names, columns: &columns, cells }))
    }
}

/// A row, as an object in the order of its columns.
struct Row<'l> {
    names: &'l [Cow<'static, str>],
    columns: &'l [(usize, &'l Column)],
    cells: &'l [Cell],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.columns.iter().map(|&(at, column)| (&self.names[at], Value(&self.cells[at], column.kind))),
        )
    }
}

/// Amounts are texts, so that no reader makes floats of them.
struct Value<'l>(&'l Cell, Kind);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Null => serializer.serialize_none(),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Number(number) if self.1 == Kind::Tenths => serializer.serialize_f64(percent(*number)),
            Cell::Number(number) => serializer.serialize_i64(*number),
            Cell::Float(number) => serializer.serialize_f64(*number),
            Cell::Usd(amount) => serializer.collect_str(amount),
            Cell::Instant(instant) => serializer.collect_str(instant),
            Cell::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share has four digits")]
fn percent(tenths: i64) -> f64 {
    tenths as f64 / 10.0
}

pub(super) fn parquet(listing: Option<&Listing>) -> anyhow::Result<Vec<u8>> {
    let Some(listing) = listing else { anyhow::bail!("there is nothing to list") };
    let columns = listing.data_columns();
    let arrays: Vec<ArrayRef> =
        columns.iter().map(|&(at, column)| array(column.kind, listing.rows.iter().map(|row| &row[at]))).collect();
    let fields = columns
        .iter()
        .zip(&arrays)
        .map(|(&(at, _), array)| Field::new(listing.names[at].as_ref(), array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let properties = WriterProperties::builder()
        .set_created_by("spendbook".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
    writer.write(&RecordBatch::try_new(schema, arrays)?)?;
    Ok(writer.into_inner()?)
}

fn array<'l>(kind: Kind, cells: impl Iterator<Item = &'l Cell>) -> ArrayRef {
    let number = |cell: &Cell| if let Cell::Number(number) = cell { Some(*number) } else { None };
    match kind {
        Kind::Text => Arc::new(
            cells.map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None }).collect::<StringArray>(),
        ),
        Kind::Count | Kind::Percent | Kind::Bar => Arc::new(cells.map(number).collect::<Int64Array>()),
        Kind::Tenths => Arc::new(cells.map(|cell| number(cell).map(percent)).collect::<Float64Array>()),
        Kind::Usd | Kind::Decimal => {
            let pico = |cell: &Cell| if let Cell::Usd(amount) = cell { Some(amount.pico()) } else { None };
            let array: Decimal128Array = cells.map(pico).collect();
            let array = array.with_precision_and_scale(38, 12);
            Arc::new(array.expect("the precision and scale of `DECIMAL(38,12)` are valid"))
        }
        Kind::Float => {
            let number = |cell: &Cell| if let Cell::Float(number) = cell { Some(*number) } else { None };
            Arc::new(cells.map(number).collect::<Float64Array>())
        }
        Kind::Instant => {
            let micros = |cell: &Cell| if let Cell::Instant(instant) = cell { Some(instant.micros()) } else { None };
            Arc::new(cells.map(micros).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Kind::Flag => Arc::new(
            cells.map(|cell| if let Cell::Flag(flag) = cell { Some(*flag) } else { None }).collect::<BooleanArray>(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::{money::Usd, time::Instant};

    fn listing() -> Listing {
        let columns = [
            Column::text("key"),
            Column::count("requests"),
            Column::usd("cost"),
            Column::tenths("share_percent"),
            Column::bar(),
            Column::instant("last_used"),
            Column::flag("is_staging").in_data(),
            Column::text("short").in_table(),
        ];
        let mut listing = Listing::new("keys", &columns);
        let cost = Usd::parse("-0.000000000001").unwrap();
        let at = Instant::from_micros(1_780_000_000_500_000);
        let short = || Cell::from("s");
        listing.push(vec![
            "=1+1".into(),
            1_234.into(),
            cost.into(),
            415.into(),
            415.into(),
            at.into(),
            true.into(),
            short(),
        ]);
        let none = || Cell::Null;
        listing.push(vec!["a,\"b\"\nc".into(), none(), none(), (-5).into(), 0.into(), none(), none(), short()]);
        listing
    }

    #[test]
    fn csv_is_quoted_and_holds_no_formula() {
        let text = String::from_utf8(csv(Some(&listing())).unwrap()).unwrap();
        assert_eq!(
            text,
            "key,requests,cost,share_percent,last_used,is_staging\n\
             '=1+1,1234,-0.000000000001,41.5,2026-05-28T20:26:40.500Z,true\n\
             \"a,\"\"b\"\"\nc\",,,-0.5,,\n"
        );
    }

    #[test]
    fn json_keeps_the_order_and_exact_amounts() {
        let mut page = Page::default();
        page.say("for people").list(listing());
        let text = String::from_utf8(json(&page).unwrap()).unwrap();
        let first = r#"[
  {
    "key": "=1+1",
    "requests": 1234,
    "cost": "-0.000000000001",
    "share_percent": 41.5,
    "last_used": "2026-05-28T20:26:40.500Z",
    "is_staging": true
  },"#;
        assert!(text.starts_with(first), "{text}");
        page.fact("as_of", Instant::from_micros(0)).data(Listing::new("none", &[]));
        let value: serde_json::Value = serde_json::from_slice(&json(&page).unwrap()).unwrap();
        assert_eq!(value["as_of"], "1970-01-01T00:00:00Z");
        assert_eq!(value["keys"][1]["key"], "a,\"b\"\nc");
        assert_eq!(value["none"], serde_json::json!([]));
    }

    #[test]
    fn parquet_has_types() {
        let bytes = parquet(Some(&listing())).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
        let batch = reader.into_iter().next().unwrap().unwrap();
        let types: Vec<String> = batch.schema().fields().iter().map(|it| it.data_type().to_string()).collect();
        assert_eq!(types.join(" "), "Utf8 Int64 Decimal128(38, 12) Float64 Timestamp(µs, \"UTC\") Boolean");
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "=1+1");
        assert_eq!(batch.column(2).as_primitive::<arrow::datatypes::Decimal128Type>().value(0), -1);
        assert!(parquet(Some(&Listing::new("empty", &[Column::text("key")]))).is_ok());
    }

    #[test]
    fn a_table_has_what_is_for_people() {
        let text = listing().text(false);
        let header: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(header.join(" "), "key requests cost share percent last used short");
        assert!(!text.contains("is staging") && !text.contains('█'), "{text}");
        assert!(listing().text(true).contains('█'));
    }
}
