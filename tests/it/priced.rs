//! What the tests of charges share: days of usage written as Parquet without
//! ingest, a price book and a config as text, and the charges read back with
//! arrow, as an analyst would.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int16Array, Int64Array, RecordBatch,
        RecordBatchReader, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::{metadata::KeyValue, properties::WriterProperties},
};
use spendbook::{
    book::{
        Book,
        layout::{DIGEST_KEY, DayTable},
        schema::arrow_schema,
    },
    charges::{self, Books, Options, Outcome, Watch},
    config::Config,
    pricing::{Draft, PriceBook},
    record::{AMOUNTS, ColumnType, Meter, Quantities, Status, USAGE},
    time::{Day, Instant},
};
use tempfile::TempDir;

pub(crate) const PRICE_HEADER: &str =
    "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note\n";
pub(crate) const ALIAS_HEADER: &str = "provider,alias,model,valid_from,valid_until,known_from,source,note\n";

/// A date or an instant.
pub(crate) fn at(text: &str) -> Instant {
    Day::parse(text).map(Day::start).or_else(|| Instant::parse(text, chrono_tz::Tz::UTC)).unwrap()
}

pub(crate) fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

/// One request, as it stands in `usage`.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) ts: Instant,
    pub(crate) model: String,
    pub(crate) tier: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) team_reported: Option<String>,
    pub(crate) status: Status,
    pub(crate) gateway_cache: bool,
    pub(crate) quantities: Quantities,
}

impl Row {
    pub(crate) fn new(ts: &str, model: &str, of: &[(Meter, i64)]) -> Self {
        let mut quantities = Quantities::default();
        for &(meter, quantity) in of {
            quantities[meter] = Some(quantity);
        }
        Self {
            ts: at(ts),
            model: model.to_owned(),
            tier: None,
            key: None,
            team_reported: None,
            status: Status::Success,
            gateway_cache: false,
            quantities,
        }
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub(crate) fn tier(mut self, tier: &str) -> Self {
        self.tier = Some(tier.to_owned());
        self
    }
}

/// A file of `usage`, with so many rows in a row group.
pub(crate) fn usage_file(rows: &[Row], group: usize) -> Vec<u8> {
    let texts = |of: &dyn Fn(usize, &Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().enumerate().map(|(at, row)| of(at, row)).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(usize, &Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().enumerate().map(|(at, row)| of(at, row)).collect::<Int64Array>())
    };
    let none = |kind: ColumnType| -> ArrayRef {
        match kind {
            ColumnType::Int16 => Arc::new(Int16Array::new_null(rows.len())),
            ColumnType::Int64 => Arc::new(Int64Array::new_null(rows.len())),
            ColumnType::Bool => Arc::new(BooleanArray::new_null(rows.len())),
            ColumnType::Decimal => {
                Arc::new(Decimal128Array::new_null(rows.len()).with_precision_and_scale(38, 12).unwrap())
            }
            _ => Arc::new(StringArray::new_null(rows.len())),
        }
    };
    let arrays = USAGE.iter().map(|column| match column.name {
        "ts" | "ts_last" => {
            let instants: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.ts.micros())).collect();
            Arc::new(instants.with_timezone("UTC")) as ArrayRef
        }
        "request_id" => texts(&|at, _| Some(format!("req_{at:016}"))),
        "source" => texts(&|_, _| Some("gateway".to_owned())),
        "source_file" => texts(&|_, _| Some("logs/gateway.jsonl".to_owned())),
        "source_line" => numbers(&|at, _| i64::try_from(at).ok().map(|at| at + 1)),
        "provider" => texts(&|_, _| Some("groq".to_owned())),
        "model" => texts(&|_, row| Some(row.model.clone())),
        "tier" => texts(&|_, row| row.tier.clone()),
        "operation" => texts(&|_, _| Some("chat".to_owned())),
        "key" => texts(&|_, row| row.key.clone()),
        "team_reported" => texts(&|_, row| row.team_reported.clone()),
        "status" => texts(&|_, row| Some(row.status.name().to_owned())),
        "quality" => texts(&|_, _| Some("reported".to_owned())),
        "gateway_cache" => Arc::new(rows.iter().map(|row| Some(row.gateway_cache)).collect::<BooleanArray>()),
        name => match Meter::from_column(name) {
            Some(meter) => numbers(&|_, row| row.quantities[meter]),
            None => none(column.kind),
        },
    });
    let schema = arrow_schema(USAGE);
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let digest = format!("{rows:?} {group}");
    writer.append_key_value_metadata(KeyValue::new(DIGEST_KEY.to_owned(), digest));
    writer.into_inner().unwrap()
}

/// A directory with a price book, a config and a book.
pub(crate) struct Workspace {
    dir: TempDir,
    prices: String,
    aliases: String,
    config: String,
}

struct Unwatched;
impl Watch for Unwatched {}

impl Workspace {
    /// Rows of a price book, without their first line.
    pub(crate) fn new(prices: &[&str]) -> Self {
        let config = "[teams.chat]\n[teams.search]\n".to_owned();
        Self { dir: tempfile::tempdir().unwrap(), prices: prices.join("\n"), aliases: String::new(), config }
    }

    pub(crate) fn add_price(&mut self, row: &str) {
        self.prices.push_str(&format!("\n{row}"));
    }

    pub(crate) fn add_alias(&mut self, row: &str) {
        self.aliases.push_str(&format!("{row}\n"));
    }

    pub(crate) fn add_config(&mut self, text: &str) {
        self.config.push_str(text);
    }

    pub(crate) fn price_book(&self) -> PriceBook {
        let files = [
            ("aliases.csv".to_owned(), format!("{ALIAS_HEADER}{}", self.aliases).into_bytes()),
            ("groq.csv".to_owned(), format!("{PRICE_HEADER}{}\n", self.prices).into_bytes()),
        ];
        Draft::from_files("pricing", &files).into_book().unwrap()
    }

    pub(crate) fn book_dir(&self) -> PathBuf {
        self.dir.path().join("book")
    }

    pub(crate) fn book(&self) -> Book {
        crate::support::book(&self.book_dir())
    }

    pub(crate) fn put(&self, day: Day, rows: &[Row]) {
        self.put_groups(day, rows, 1 << 17);
    }

    pub(crate) fn put_groups(&self, day: Day, rows: &[Row], group: usize) {
        self.book().put(&DayTable::Usage.file(day), usage_file(rows, group).into()).unwrap();
    }

    /// Prices with what is known on an instant.
    pub(crate) fn price(&self, known_on: &str) -> Outcome {
        self.price_with(&Options::known_on(at(known_on)))
    }

    pub(crate) fn price_with(&self, options: &Options) -> Outcome {
        let book = self.book();
        let config = Config::parse(&self.config, &self.dir.path().join("spendbook.toml")).unwrap();
        let books = Books { usage: &book, charges: &book };
        charges::run(&config, &self.price_book(), books, options, &Unwatched).unwrap()
    }

    pub(crate) fn bytes(&self, table: DayTable, day: Day) -> Vec<u8> {
        fs::read(self.book_dir().join(table.file(day).as_ref())).unwrap()
    }

    /// The rows of a day's file, by column.
    pub(crate) fn read(&self, table: DayTable, day: Day) -> Table {
        let bytes = bytes::Bytes::from(self.bytes(table, day));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        Table { batch: arrow::compute::concat_batches(&schema, &batches).unwrap() }
    }
}

/// A table, to ask for cells.
pub(crate) struct Table {
    batch: RecordBatch,
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn column(&self, name: &str) -> &ArrayRef {
        self.batch.column_by_name(name).unwrap_or_else(|| panic!("no column `{name}`"))
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> Option<&str> {
        let array = self.column(name);
        array.is_valid(row).then(|| array.as_string::<i32>().value(row))
    }

    pub(crate) fn number(&self, name: &str, row: usize) -> Option<i64> {
        let array = self.column(name);
        array.is_valid(row).then(|| match array.as_primitive_opt::<Int64Type>() {
            Some(numbers) => numbers.value(row),
            None => array.as_primitive::<TimestampMicrosecondType>().value(row),
        })
    }

    pub(crate) fn pico(&self, name: &str, row: usize) -> Option<i128> {
        let array = self.column(name);
        array.is_valid(row).then(|| array.as_primitive::<Decimal128Type>().value(row))
    }

    /// The sums of all amounts, by quarter of an hour.
    pub(crate) fn sums_by_quarter(&self, column: &str) -> BTreeMap<i64, [i128; AMOUNTS.len()]> {
        let mut sums: BTreeMap<i64, [i128; AMOUNTS.len()]> = BTreeMap::new();
        for row in 0..self.rows() {
            let quarter = self.number(column, row).unwrap().div_euclid(15 * 60 * 1_000_000);
            for (sum, name) in sums.entry(quarter).or_default().iter_mut().zip(AMOUNTS) {
                *sum += self.pico(name, row).unwrap_or_default();
            }
        }
        sums
    }

    /// The sums of all amounts, by the value of a column. A group of which
    /// nothing is known has no sum.
    pub(crate) fn sums_by(&self, name: &str) -> BTreeMap<Option<String>, [Option<i128>; AMOUNTS.len()]> {
        let mut sums: BTreeMap<_, [Option<i128>; AMOUNTS.len()]> = BTreeMap::new();
        for row in 0..self.rows() {
            let group = sums.entry(self.text(name, row).map(str::to_owned)).or_default();
            for (sum, column) in group.iter_mut().zip(AMOUNTS) {
                if let Some(amount) = self.pico(column, row) {
                    *sum = Some(sum.unwrap_or_default() + amount);
                }
            }
        }
        sums
    }
}
