//! The file of a day's totals: its names and amounts as [`chunks`], as these
//! have numbers already, and its whole numbers by the general writer.
//!
//! [`chunks`]: crate::book::chunks

use std::{io::Write, sync::Arc};

use parquet::{
    arrow::ArrowSchemaConverter,
    basic::ZstdLevel,
    data_type::Int64Type,
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnDescPtr, SchemaDescriptor},
};

use super::{
    columns,
    price::{COST, NOTHING, UNKNOWN},
    quarters::{Known, Names, Table},
    rollup::{BASES, OPERATIONS},
};
use crate::{
    book::{
        chunks::{Amounts, Words},
        schema::{TABLE_ROW_GROUP, arrow_schema, table_properties},
    },
    pricing::Basis,
    record::{AMOUNTS, METERS, ROLLUP, ROLLUP_KEYS},
};

/// A day's file while it is written.
pub(super) struct RollupFile<W: Write + Send> {
    file: SerializedFileWriter<W>,
    schema: SchemaDescriptor,
    /// Rows that do not fill a row group yet.
    waiting: Table,
}

impl<W: Write + Send> RollupFile<W> {
    pub(super) fn new(to: W) -> Result<Self, ParquetError> {
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&ROLLUP))?;
        let file = SerializedFileWriter::new(to, schema.root_schema_ptr(), Arc::new(table_properties(&ROLLUP)))?;
        Ok(Self { file, schema, waiting: Table::default() })
    }

    /// Writes the next rows, in row groups of [`TABLE_ROW_GROUP`].
    pub(super) fn push(&mut self, rows: &Table, names: &Names) -> Result<(), ParquetError> {
        self.waiting.append(rows, 0..rows.keys.len());
        while self.waiting.keys.len() >= TABLE_ROW_GROUP {
            let rest = self.waiting.split_off(TABLE_ROW_GROUP);
            let full = std::mem::replace(&mut self.waiting, rest);
            self.write(&full, names)?;
        }
        Ok(())
    }

    /// Writes what waits, and what the file's footer says.
    pub(super) fn finish(
        mut self,
        names: &Names,
        pairs: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<W, ParquetError> {
        let rest = std::mem::take(&mut self.waiting);
        if !rest.keys.is_empty() {
            self.write(&rest, names)?;
        }
        for (key, value) in pairs {
            self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.file.into_inner()
    }

    fn write(&mut self, rows: &Table, names: &Names) -> Result<(), ParquetError> {
        let is_fallback = |row: usize| BASES[rows.keys[row].basis as usize] == Basis::Fallback.name();
        let costs = rows.amounts[COST].iter().enumerate();
        let estimated: Vec<i128> =
            costs.map(|(row, &cost)| if is_fallback(row) && cost != UNKNOWN { cost } else { 0 }).collect();
        let mut amounts = Amounts::new(UNKNOWN);
        let mut group = self.file.next_row_group()?;
        for (column, described) in ROLLUP.iter().zip(self.schema.columns()) {
            let values = AMOUNTS.iter().position(|amount| *amount == column.name);
            let values = values.map(|at| &rows.amounts[at]);
            if let Some(values) = values.or_else(|| (column.name == "estimated_cost").then_some(&estimated)) {
                let (bytes, close) = amounts.encode(values, Arc::clone(described), ZstdLevel::default())?;
                group.append_column(&bytes, close)?;
            } else if let Some(words) = words(column.name, rows, names, described) {
                let (bytes, close) = words.encode(Arc::clone(described), ZstdLevel::default())?;
                group.append_column(&bytes, close)?;
            } else {
                write_integers(&mut group, &integers(column.name, rows), described)?;
            }
        }
        group.close().map(drop)
    }
}

/// A column of names; `None` where it has none.
fn words(column: &str, rows: &Table, names: &Names, described: &ColumnDescPtr) -> Option<Words> {
    let known = |known: &Known, number: fn(usize, &Table) -> u32, at: usize| {
        named(rows, known.len(), |row| number(row, rows), |number| known.name(number, at))
    };
    let fixed = |all: &[&'static str], number: fn(usize, &Table) -> u32| {
        named(rows, all.len(), |row| number(row, rows), |number| Some(all[number as usize]))
    };
    let words = match ROLLUP_KEYS.iter().position(|key| key.name == column)? {
        0 => return None,
        at @ 1..=4 => known(&names.who, |row, rows| rows.keys[row].who, at - 1),
        at @ 5..=8 => known(&names.what, |row, rows| rows.keys[row].what, at - 5),
        9 => fixed(&OPERATIONS, |row, rows| rows.keys[row].operation),
        _ => fixed(&BASES, |row, rows| rows.keys[row].basis),
    };
    let present = words.present.filter(|_| described.max_def_level() > 0);
    Some(Words { present, ..words })
}

/// The names of rows, of which only those that a row has are in the file.
fn named<'n>(
    rows: &Table,
    count: usize,
    number: impl Fn(usize) -> u32,
    name: impl Fn(u32) -> Option<&'n str>,
) -> Words {
    let numbers: Vec<u32> = (0..rows.keys.len()).map(number).collect();
    let mut is_there = vec![false; count];
    for &number in &numbers {
        is_there[number as usize] = true;
    }
    columns::words(&numbers, (0..).zip(is_there).map(|(number, is_there)| name(number).filter(|_| is_there)))
}

/// A column of whole numbers.
fn integers(column: &str, rows: &Table) -> Vec<Option<i64>> {
    if let Some(at) = METERS.iter().position(|info| info.column == column) {
        return rows.quantities[at].iter().map(|&sum| (sum != NOTHING).then_some(sum)).collect();
    }
    let requests = |basis: Basis| {
        let is_meant = move |number: u32| BASES[number as usize] == basis.name();
        let rows = rows.keys.iter().zip(&rows.requests);
        rows.map(move |(key, &count)| Some(if is_meant(key.basis) { count } else { 0 })).collect()
    };
    match column {
        "requests" => rows.requests.iter().copied().map(Some).collect(),
        "errors" => rows.errors.iter().copied().map(Some).collect(),
        "unpriced_requests" => requests(Basis::Unpriced),
        "estimated_requests" => requests(Basis::Fallback),
        _ => rows.keys.iter().map(|key| Some(key.bucket_start)).collect(),
    }
}

fn write_integers<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[Option<i64>],
    described: &ColumnDescPtr,
) -> Result<(), ParquetError> {
    let levels: Option<Vec<i16>> =
        (described.max_def_level() > 0).then(|| values.iter().map(|value| i16::from(value.is_some())).collect());
    let known: Vec<i64> = values.iter().flatten().copied().collect();
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General(format!("`{}` is one too many", described.name())))?;
    column.typed::<Int64Type>().write_batch(&known, levels.as_deref(), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray},
        datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType},
        record_batch::RecordBatch,
    };
    use bytes::Bytes;
    use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::metadata::RowGroupMetaData};

    use super::{
        super::{
            quarters::{Key, Open},
            rollup::Rolled,
        },
        *,
    };

    /// A cell as text; `-` where it is NULL.
    fn cell(batch: &RecordBatch, column: &str, row: usize) -> String {
        let array = batch.column_by_name(column).unwrap();
        if array.is_null(row) {
            return "-".to_owned();
        }
        match column {
            "bucket_start" => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
            name if name.ends_with("cost") => array.as_primitive::<Decimal128Type>().value(row).to_string(),
            name if name.ends_with("requests") || name.ends_with("tokens") => {
                array.as_primitive::<Int64Type>().value(row).to_string()
            }
            _ => array.as_string::<i32>().value(row).to_owned(),
        }
    }

    const ROWS: usize = TABLE_ROW_GROUP + 7;

    fn basis_of(row: usize) -> Basis {
        [Basis::Fallback, Basis::Unpriced, Basis::List][row % 3]
    }

    fn rolled() -> Rolled {
        let text = |text: &str| Some(text.to_owned());
        let number = |of: &str| u32::try_from(BASES.iter().position(|name| *name == of).unwrap()).unwrap();
        let mut rows = Table::default();
        for row in 0..ROWS {
            let at = i64::try_from(row).unwrap();
            let basis = number(basis_of(row).name());
            rows.keys.push(Key { bucket_start: at, who: u32::from(row % 2 == 1), what: 0, operation: 0, basis });
            rows.requests.push(at + 1);
            rows.errors.push(0);
            for (place, sums) in rows.quantities.iter_mut().enumerate() {
                sums.push(if place == 1 { NOTHING } else { at });
            }
            for (place, sums) in rows.amounts.iter_mut().enumerate() {
                let is_known = place != COST || basis_of(row) != Basis::Unpriced;
                sums.push(if is_known { (row + place) as i128 } else { UNKNOWN });
            }
        }
        let who =
            [[None, None, None, text("k")], [text("a"), None, text("p"), None], [text("of none"), None, None, None]];
        Rolled { who: who.to_vec(), what: vec![[text("groq"), text("m"), text("billed"), None]], rows }
    }

    /// What a row has in the file.
    fn expected(row: usize) -> Vec<(&'static str, String)> {
        let (is_odd, basis) = (row % 2 == 1, basis_of(row));
        let requests = |of: Basis| if basis == of { row + 1 } else { 0 }.to_string();
        let cost = if basis == Basis::Unpriced { "-".to_owned() } else { (row + COST).to_string() };
        let estimated = if basis == Basis::Fallback { cost.clone() } else { "0".to_owned() };
        vec![
            ("bucket_start", row.to_string()),
            ("team", if is_odd { "a" } else { "-" }.to_owned()),
            ("environment", "-".to_owned()),
            ("purpose", if is_odd { "p" } else { "-" }.to_owned()),
            ("key", if is_odd { "-" } else { "k" }.to_owned()),
            ("provider", "groq".to_owned()),
            ("model", "m".to_owned()),
            ("model_billed", "billed".to_owned()),
            ("tier", "-".to_owned()),
            ("operation", OPERATIONS[0].to_owned()),
            ("basis", basis.name().to_owned()),
            ("requests", (row + 1).to_string()),
            ("input_tokens", row.to_string()),
            ("cached_input_tokens", "-".to_owned()),
            ("input_cost", row.to_string()),
            ("cost", cost),
            ("unpriced_requests", requests(Basis::Unpriced)),
            ("estimated_requests", requests(Basis::Fallback)),
            ("estimated_cost", estimated),
        ]
    }

    #[test]
    fn totals_are_read_back_as_they_were() {
        let mut open = Open::default();
        let mut file = RollupFile::new(Vec::new()).unwrap();
        let ready = open.take_next(rolled()).unwrap();
        file.push(&ready, &open.names).unwrap();
        let last = open.take_last();
        file.push(&last, &open.names).unwrap();
        let bytes = Bytes::from(file.finish(&open.names, [("its key", "its value".to_owned())]).unwrap());

        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let metadata = Arc::clone(reader.metadata());
        let groups: Vec<i64> = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
        assert_eq!(groups, [1 << 17, 7]);
        let pairs = metadata.file_metadata().key_value_metadata().unwrap();
        assert!(pairs.iter().any(|pair| pair.key == "its key" && pair.value.as_deref() == Some("its value")));
        assert_eq!(reader.schema().fields(), arrow_schema(&ROLLUP).fields());
        let teams = metadata.row_group(0).column(1).statistics().unwrap();
        assert_eq!(teams.max_bytes_opt(), Some(&b"a"[..]), "a name that no row has is no bound");
        let mut rows = 0..;
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            for (at, row) in (0..batch.num_rows()).zip(&mut rows) {
                for (column, expect) in expected(row) {
                    assert_eq!(cell(&batch, column, at), expect, "{column} of row {row}");
                }
            }
        }
        assert_eq!(rows.next(), Some(ROWS));
    }
}
