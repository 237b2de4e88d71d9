//! A day's rows as a Parquet file, and back.
//!
//! Same rows, same bytes: the order, the row groups and the writer's settings
//! are fixed, and nothing of run, machine or clock is inside. The file's
//! metadata carries what others ask for without reading rows: a digest of all
//! columns but `source_file` and `source_line`, and how far the rows reach in time.

use std::{collections::HashMap, io::Write, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanBuilder, Decimal128Array, Decimal128Builder, DictionaryArray, Int16Builder,
        Int32Array, Int64Array, Int64Builder, StringArray, StringBuilder, TimestampMicrosecondArray,
    },
    datatypes::{
        DataType, Decimal128Type, Field, Int16Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
    },
    record_batch::RecordBatch,
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, ParquetMetaData},
        properties::{EnabledStatistics, WriterProperties},
        reader::{ChunkReader, Length},
    },
    schema::types::ColumnPath,
};
use xxhash_rust::xxh3::Xxh3;

use super::{
    pile::Pile,
    rows::{HTTP_STATUS, LATENCY, MAX_TOKENS, REASONING, Row, Slot, Word, identity_hash, word},
    texts::TextCache,
};
use crate::{
    book::{
        Stored,
        layout::{DIGEST_KEY, SCHEMA_KEY, SCHEMA_VERSION},
        schema::arrow_schema,
    },
    money::Usd,
    record::{Column, ColumnType, Meter, Operation, PROVENANCE, Quality, Status, USAGE},
};

/// Rows in a row group; a reader skips whole groups by time and by bloom filter.
pub const ROW_GROUP: usize = 1 << 17;

const REACH_KEY: &str = "spendbook.ts_last";

/// Which column holds what, so that writing and reading cannot disagree.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Ts,
    TsLast,
    RequestId,
    Word(Slot),
    Line,
    Operation,
    Status,
    Quality,
    HttpStatus,
    Number(usize),
    Streamed,
    GatewayCache,
    ReportedCost,
}

pub fn place(column: &str) -> Place {
    match column {
        "ts" => Place::Ts,
        "ts_last" => Place::TsLast,
        "request_id" => Place::RequestId,
        "part" => Place::Word(Slot::Part),
        "source" => Place::Word(Slot::Source),
        "source_file" => Place::Word(Slot::File),
        "source_line" => Place::Line,
        "provider" => Place::Word(Slot::Provider),
        "model" => Place::Word(Slot::Model),
        "model_requested" => Place::Word(Slot::ModelRequested),
        "tier" => Place::Word(Slot::Tier),
        "operation" => Place::Operation,
        "key" => Place::Word(Slot::Key),
        "team_reported" => Place::Word(Slot::Team),
        "user" => Place::Word(Slot::User),
        "project" => Place::Word(Slot::Project),
        "tags" => Place::Word(Slot::Tags),
        "status" => Place::Status,
        "http_status" => Place::HttpStatus,
        "error_code" => Place::Word(Slot::ErrorCode),
        "max_tokens" => Place::Number(MAX_TOKENS),
        "latency_ms" => Place::Number(LATENCY),
        "streamed" => Place::Streamed,
        "gateway_cache" => Place::GatewayCache,
        "quality" => Place::Quality,
        "reasoning_tokens" => Place::Number(REASONING),
        "reported_cost" => Place::ReportedCost,
        meter => Place::Number(Meter::from_column(meter).expect("every other column is a meter").index()),
    }
}

/// Names of a dictionary column in one row group, in the order they first come.
#[derive(Default)]
struct Dictionary {
    keys: Vec<Option<i32>>,
    values: StringBuilder,
    count: i32,
    /// The key of each text that is named by number; -1 where it has none yet.
    by_id: Vec<i32>,
    /// The ids that have one, to take it from them for the next row group.
    used: Vec<u32>,
    inline: HashMap<String, i32>,
}

impl Dictionary {
    fn push(&mut self, word: Word<'_>, texts: &TextCache<'_>) {
        let key = match word {
            Word::Null => None,
            Word::Id(id) => {
                let at = id as usize;
                if self.by_id.len() <= at {
                    self.by_id.resize(texts.len().max(at + 1), -1);
                }
                if self.by_id[at] < 0 {
                    self.by_id[at] = self.add(texts.text(id));
                    self.used.push(id);
                }
                Some(self.by_id[at])
            }
            Word::Inline(text) => Some(if let Some(&key) = self.inline.get(text) {
                key
            } else {
                let key = self.add(text);
                self.inline.insert(text.to_owned(), key);
                key
            }),
        };
        self.keys.push(key);
    }

    fn add(&mut self, text: &str) -> i32 {
        self.values.append_value(text);
        self.count += 1;
        self.count - 1
    }

    fn finish(&mut self) -> ArrayRef {
        let keys: Int32Array = self.keys.drain(..).collect();
        for id in self.used.drain(..) {
            self.by_id[id as usize] = -1;
        }
        self.inline.clear();
        self.count = 0;
        Arc::new(DictionaryArray::new(keys, Arc::new(self.values.finish())))
    }
}

/// The rows of one row group, column by column.
enum ColumnBuilder {
    Instants(Vec<i64>),
    Lines(Vec<i64>),
    Texts(StringBuilder),
    Dict(Dictionary),
    /// Enums, by their place among all their names.
    Names(Vec<i32>, Vec<&'static str>),
    Number(Int64Builder),
    Small(Int16Builder),
    Bool(BooleanBuilder),
    Cost(Decimal128Builder),
}

impl ColumnBuilder {
    fn new(column: &Column) -> Self {
        let names = |all: Vec<&'static str>| Self::Names(Vec::new(), all);
        match place(column.name) {
            Place::Ts | Place::TsLast => Self::Instants(Vec::new()),
            Place::Line => Self::Lines(Vec::new()),
            Place::RequestId => Self::Texts(StringBuilder::new()),
            Place::Word(_) => Self::Dict(Dictionary::default()),
            Place::Operation => names(Operation::ALL.iter().map(|it| it.name()).collect()),
            Place::Status => names(Status::ALL.iter().map(|it| it.name()).collect()),
            Place::Quality => names(Quality::ALL.iter().map(|it| it.name()).collect()),
            Place::Number(_) => Self::Number(Int64Builder::new()),
            Place::HttpStatus => Self::Small(Int16Builder::new()),
            Place::Streamed | Place::GatewayCache => Self::Bool(BooleanBuilder::new()),
            Place::ReportedCost => Self::Cost(decimal_builder()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Instants(values) => {
                Arc::new(TimestampMicrosecondArray::from(std::mem::take(values)).with_timezone("UTC"))
            }
            Self::Lines(values) => Arc::new(Int64Array::from(std::mem::take(values))),
            Self::Texts(builder) => Arc::new(builder.finish()),
            Self::Dict(dictionary) => dictionary.finish(),
            Self::Names(keys, names) => {
                let values: StringArray = names.iter().copied().map(Some).collect();
                Arc::new(DictionaryArray::new(Int32Array::from(std::mem::take(keys)), Arc::new(values)))
            }
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Small(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Cost(builder) => Arc::new(builder.finish()),
        }
    }
}

fn decimal_builder() -> Decimal128Builder {
    Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 12))
}

/// Writes one day's rows, which come in their final order.
pub struct DayWriter<'t, W: Write + Send> {
    writer: ArrowWriter<Digesting<W>>,
    texts: &'t TextCache<'t>,
    schema: SchemaRef,
    columns: Vec<(Place, ColumnBuilder)>,
    pending: usize,
    reach: i64,
}

impl<W: Write + Send> std::fmt::Debug for DayWriter<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayWriter").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl<'t, W: Write + Send> DayWriter<'t, W> {
    /// # Errors
    /// Where the writer cannot be made.
    pub fn new(to: W, texts: &'t TextCache<'t>) -> Result<Self, ParquetError> {
        let plain = arrow_schema(USAGE);
        let to = Digesting { to, base: 0, held: Vec::new(), digest: Xxh3::new() };
        let writer = ArrowWriter::try_new(to, Arc::clone(&plain), Some(properties()))?;
        let columns = USAGE.iter().map(|column| (place(column.name), ColumnBuilder::new(column))).collect();
        Ok(Self { writer, texts, schema: with_dictionaries(&plain), columns, pending: 0, reach: i64::MIN })
    }

    /// # Errors
    /// Where a row group cannot be written.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), ParquetError> {
        for (place, builder) in &mut self.columns {
            match (builder, *place) {
                (ColumnBuilder::Instants(values), Place::Ts) => values.push(row.ts),
                (ColumnBuilder::Instants(values), _) => values.push(row.ts_last),
                (ColumnBuilder::Lines(values), _) => values.push(i64::try_from(row.line).unwrap_or(i64::MAX)),
                (ColumnBuilder::Texts(builder), _) => builder.append_value(row.request_id),
                (ColumnBuilder::Dict(dictionary), Place::Word(slot)) => {
                    dictionary.push(row.words[slot as usize], self.texts);
                }
                (ColumnBuilder::Names(keys, _), Place::Operation) => keys.push(row.operation as i32),
                (ColumnBuilder::Names(keys, _), Place::Status) => keys.push(row.status as i32),
                (ColumnBuilder::Names(keys, _), _) => keys.push(row.quality as i32),
                (ColumnBuilder::Number(builder), Place::Number(at)) => builder.append_option(row.numbers[at]),
                (ColumnBuilder::Small(builder), _) => {
                    builder.append_option(row.numbers[HTTP_STATUS].and_then(|code| i16::try_from(code).ok()));
                }
                (ColumnBuilder::Bool(builder), Place::Streamed) => builder.append_option(row.streamed),
                (ColumnBuilder::Bool(builder), _) => builder.append_value(row.gateway_cache),
                (ColumnBuilder::Cost(builder), _) => builder.append_option(row.reported_cost.map(Usd::pico)),
                (ColumnBuilder::Dict(_) | ColumnBuilder::Number(_), _) => unreachable!("built from the same place"),
            }
        }
        self.reach = self.reach.max(row.ts_last);
        self.pending += 1;
        if self.pending == ROW_GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.pending > 0 {
            let arrays = self.columns.iter_mut().map(|(_, builder)| builder.finish()).collect();
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
            self.writer.write(&batch)?;
            self.writer.flush()?;
            self.writer.sync()?;
            self.pending = 0;
            let groups = self.writer.flushed_row_groups();
            let columns = groups.last().map(|group| group.columns().to_vec()).unwrap_or_default();
            let ranges = columns
                .iter()
                .filter(|column| !PROVENANCE.contains(&column.column_path().string().as_str()))
                .map(parquet::file::metadata::ColumnChunkMetaData::byte_range);
            let ranges: Vec<_> = ranges.collect();
            self.writer.inner_mut().digest(&ranges)?;
        }
        Ok(())
    }

    /// Writes what is left and the metadata; returns what was written to.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<W, ParquetError> {
        self.flush()?;
        let digest = format!("{:032x}", self.writer.inner().digest.digest128());
        let reach = if self.reach == i64::MIN { String::new() } else { self.reach.to_string() };
        for (key, value) in [(SCHEMA_KEY, SCHEMA_VERSION.to_string()), (DIGEST_KEY, digest), (REACH_KEY, reach)] {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let mut digesting = self.writer.into_inner()?;
        digesting.release()?;
        Ok(digesting.to)
    }
}

/// Holds a row group's bytes until they have been digested.
struct Digesting<W> {
    to: W,
    /// Where in the file the held bytes begin.
    base: u64,
    held: Vec<u8>,
    digest: Xxh3,
}

impl<W: Write> Digesting<W> {
    fn digest(&mut self, ranges: &[(u64, u64)]) -> std::io::Result<()> {
        for &(start, len) in ranges {
            let start = usize::try_from(start - self.base).map_err(std::io::Error::other)?;
            let len = usize::try_from(len).map_err(std::io::Error::other)?;
            self.digest.update(&self.held[start..start + len]);
        }
        self.release()
    }

    fn release(&mut self) -> std::io::Result<()> {
        self.to.write_all(&self.held)?;
        self.base += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by("spendbook".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in USAGE {
        let path = ColumnPath::from(column.name);
        builder = match column.kind {
            // Numbers that rarely repeat: cheaper and smaller as differences.
            ColumnType::Timestamp | ColumnType::Int64 => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            ColumnType::Text => builder.set_column_dictionary_enabled(path, false),
            _ => builder,
        };
    }
    builder.set_column_bloom_filter_enabled(ColumnPath::from("request_id"), true).build()
}

/// The same schema with text columns that repeat as dictionaries: how rows are
/// handed to the writer and taken from the reader. The file itself says text.
fn with_dictionaries(plain: &Schema) -> SchemaRef {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = plain.fields().iter().zip(USAGE).map(|(field, column)| {
        let is_named = matches!(place(column.name), Place::Word(_) | Place::Operation | Place::Status | Place::Quality);
        let kind = if is_named { dictionary.clone() } else { field.data_type().clone() };
        Field::new(field.name(), kind, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What a day's file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Of all columns but where the rows were read.
    pub digest: String,
    /// The latest `ts_last`; `None` for a day without rows.
    pub reach: Option<i64>,
    pub rows: u64,
}

/// A day's file, opened to read.
#[derive(Debug)]
pub struct DayFile {
    stored: Stored,
    metadata: ArrowReaderMetadata,
}

impl DayFile {
    /// # Errors
    /// Where it is no Parquet file of this table.
    pub fn open(stored: Stored) -> Result<Self, ParquetError> {
        let options = ArrowReaderOptions::new().with_schema(with_dictionaries(&arrow_schema(USAGE)));
        let metadata = ArrowReaderMetadata::load(&stored, options)?;
        Ok(Self { stored, metadata })
    }

    fn parquet(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    pub fn facts(&self) -> Facts {
        let file = self.parquet().file_metadata();
        let find = |key: &str| {
            let pairs = file.key_value_metadata().into_iter().flatten();
            pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.clone())
        };
        Facts {
            digest: find(DIGEST_KEY).unwrap_or_default(),
            reach: find(REACH_KEY).and_then(|reach| reach.parse().ok()),
            rows: u64::try_from(file.num_rows()).unwrap_or_default(),
        }
    }

    /// Reads rows into a pile; of row groups whose span `[first ts, last ts_last]`
    /// is not `wanted`, and of rows that are not, nothing.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn read(
        self,
        texts: &mut TextCache<'_>,
        group: &dyn Fn(i64, i64) -> bool,
        wanted: &dyn Fn(&Row<'_>, &TextCache<'_>) -> bool,
    ) -> Result<Pile, ParquetError> {
        let groups: Vec<usize> = (0..self.parquet().num_row_groups())
            .filter(|&at| self.span(at).is_none_or(|(from, to)| group(from, to)))
            .collect();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.stored, self.metadata);
        let reader = builder.with_row_groups(groups).with_batch_size(1 << 14).build()?;
        let mut pile = Pile::default();
        for batch in reader {
            read_batch(&batch?, texts, wanted, &mut pile)?;
        }
        Ok(pile)
    }

    /// The first `ts` and last `ts_last` of a row group.
    fn span(&self, group: usize) -> Option<(i64, i64)> {
        let bound = |name: &str, last: bool| {
            let at = USAGE.iter().position(|column| column.name == name)?;
            let statistics = self.parquet().row_group(group).column(at).statistics()?;
            let bytes = if last { statistics.max_bytes_opt() } else { statistics.min_bytes_opt() };
            bytes?.try_into().ok().map(i64::from_le_bytes)
        };
        Some((bound("ts", false)?, bound("ts_last", true)?))
    }
}

fn read_batch(
    batch: &RecordBatch,
    texts: &mut TextCache<'_>,
    wanted: &dyn Fn(&Row<'_>, &TextCache<'_>) -> bool,
    pile: &mut Pile,
) -> Result<(), ParquetError> {
    let mut readers = Vec::with_capacity(USAGE.len());
    for (column, array) in USAGE.iter().zip(batch.columns()) {
        readers.push((place(column.name), ColumnReader::new(place(column.name), array, texts)?));
    }
    for at in 0..batch.num_rows() {
        let mut row = Row {
            hash: 0,
            ts: 0,
            ts_last: 0,
            words: [Word::Null; Slot::COUNT],
            request_id: "",
            line: 0,
            operation: Operation::Other,
            status: Status::Success,
            quality: Quality::Missing,
            streamed: None,
            gateway_cache: false,
            numbers: [None; HTTP_STATUS + 1],
            reported_cost: None,
        };
        for (place, reader) in &readers {
            reader.read(*place, at, &mut row);
        }
        let (provider, id, part) = row.identity(texts);
        row.hash = identity_hash(provider, id, part);
        if wanted(&row, texts) {
            pile.push(&row);
        }
    }
    Ok(())
}

/// One column of a batch, with its dictionary's words looked up once.
enum ColumnReader<'a> {
    Instants(&'a TimestampMicrosecondArray),
    Texts(&'a StringArray),
    Words(&'a Int32Array, Vec<Word<'a>>),
    /// Keys, and for each name its place among the enum's names.
    Names(&'a Int32Array, Vec<usize>),
    Number(&'a Int64Array),
    Small(&'a arrow::array::Int16Array),
    Bool(&'a arrow::array::BooleanArray),
    Cost(&'a Decimal128Array),
}

impl<'a> ColumnReader<'a> {
    fn new(place: Place, array: &'a ArrayRef, texts: &mut TextCache<'_>) -> Result<Self, ParquetError> {
        let dictionary = || {
            let dictionary = array.as_dictionary::<Int32Type>();
            let values: &StringArray = dictionary.values().as_string();
            (dictionary.keys(), values)
        };
        let names = |find: &dyn Fn(&str) -> Option<usize>| {
            let (keys, values) = dictionary();
            let unknown = |name: &str| ParquetError::General(format!("`{name}` is no value of this column"));
            let places: Result<_, _> =
                values.iter().flatten().map(|name| find(name).ok_or_else(|| unknown(name))).collect();
            places.map(|places| Self::Names(keys, places))
        };
        Ok(match place {
            Place::Ts | Place::TsLast => Self::Instants(array.as_primitive::<TimestampMicrosecondType>()),
            Place::RequestId => Self::Texts(array.as_string()),
            Place::Word(_) => {
                let (keys, values) = dictionary();
                Self::Words(keys, values.iter().map(|text| word(text.unwrap_or_default(), texts)).collect())
            }
            Place::Operation => names(&|name| Operation::from_name(name).map(|it| it as usize))?,
            Place::Status => names(&|name| Status::from_name(name).map(|it| it as usize))?,
            Place::Quality => names(&|name| Quality::from_name(name).map(|it| it as usize))?,
            Place::Line | Place::Number(_) => Self::Number(array.as_primitive::<Int64Type>()),
            Place::HttpStatus => Self::Small(array.as_primitive::<Int16Type>()),
            Place::Streamed | Place::GatewayCache => Self::Bool(array.as_boolean()),
            Place::ReportedCost => Self::Cost(array.as_primitive::<Decimal128Type>()),
        })
    }

    fn read(&self, place: Place, at: usize, row: &mut Row<'a>) {
        let key = |keys: &Int32Array| usize::try_from(keys.value(at)).unwrap_or_default();
        match (self, place) {
            (Self::Instants(values), Place::Ts) => row.ts = values.value(at),
            (Self::Instants(values), _) => row.ts_last = values.value(at),
            (Self::Texts(values), _) => row.request_id = values.value(at),
            (Self::Words(keys, words), Place::Word(slot)) if keys.is_valid(at) => {
                row.words[slot as usize] = words[key(keys)];
            }
            (Self::Names(keys, places), Place::Operation) => row.operation = Operation::ALL[places[key(keys)]],
            (Self::Names(keys, places), Place::Status) => row.status = Status::ALL[places[key(keys)]],
            (Self::Names(keys, places), _) => row.quality = Quality::ALL[places[key(keys)]],
            (Self::Number(values), Place::Line) => row.line = values.value(at).cast_unsigned(),
            (Self::Number(values), Place::Number(number)) if values.is_valid(at) => {
                row.numbers[number] = Some(values.value(at));
            }
            (Self::Small(values), _) if values.is_valid(at) => row.numbers[HTTP_STATUS] = Some(values.value(at).into()),
            (Self::Bool(values), Place::Streamed) if values.is_valid(at) => row.streamed = Some(values.value(at)),
            (Self::Bool(values), Place::GatewayCache) => row.gateway_cache = values.value(at),
            (Self::Cost(values), _) if values.is_valid(at) => row.reported_cost = Usd::from_pico(values.value(at)),
            // Null.
            _ => {}
        }
    }
}

impl Length for Stored {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Stored {
    type T = Box<dyn std::io::Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Bytes(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Bytes(bytes) => bytes.get_bytes(start, length),
        }
    }
}
