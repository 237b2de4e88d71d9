//! A day's rows as a Parquet file, and back.
//!
//! Same rows, same bytes: the order, the row groups and the writer's settings
//! are fixed, and nothing of run, machine or clock is inside. The file's
//! metadata carries what others ask for without reading rows: a digest of all
//! columns but `source_file` and `source_line`, and how far the rows reach in time.

mod columns;
mod read;

use std::{io::Write, sync::Arc};

use arrow::{
    array::new_null_array,
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData},
        properties::{EnabledStatistics, WriterProperties},
        reader::{ChunkReader, Length},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use xxhash_rust::xxh3::Xxh3;

use columns::{Column, Columns};
use read::read_batch;

use super::{
    pile::Pile,
    rows::{LATENCY, MAX_TOKENS, REASONING, Row, Slot},
    texts::{TextCache, Texts},
};
use crate::{
    book::{
        Stored,
        batches::Batches,
        layout::{DIGEST_KEY, SCHEMA_KEY, SCHEMA_VERSION},
        schema::arrow_schema,
    },
    record::{ColumnType, Meter, PROVENANCE, USAGE},
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

/// Writes one day's rows, which come in their final order.
pub struct DayWriter<'t, W: Write + Send> {
    file: SerializedFileWriter<Digesting<W>>,
    factory: ArrowRowGroupWriterFactory,
    texts: &'t TextCache<'t>,
    schema: SchemaRef,
    columns: Columns,
    reach: i64,
}

impl<W: Write + Send> std::fmt::Debug for DayWriter<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayWriter").field("pending", &self.columns.len()).finish_non_exhaustive()
    }
}

impl<'t, W: Write + Send> DayWriter<'t, W> {
    /// # Errors
    /// Where the writer cannot be made.
    pub fn new(to: W, texts: &'t TextCache<'t>) -> Result<Self, ParquetError> {
        let schema = arrow_schema(USAGE);
        let to = Digesting { to, base: 0, held: Vec::new(), digest: Xxh3::new() };
        let writer = ArrowWriter::try_new(to, Arc::clone(&schema), Some(properties()))?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self { file, factory, texts, schema, columns: Columns::new(), reach: i64::MIN })
    }

    /// Adds a packed row.
    ///
    /// # Errors
    /// Where a row group cannot be written.
    pub fn push(&mut self, packed: &[u8]) -> Result<(), ParquetError> {
        let ts_last = self.columns.push(packed);
        self.reach = self.reach.max(ts_last);
        if self.columns.is_full() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.columns.len() == 0 {
            return Ok(());
        }
        let writers = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        let described: Vec<_> = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        let columns = USAGE.iter().zip(self.schema.fields()).zip(described).zip(writers);
        for (((column, field), described), mut writer) in columns {
            match self.columns.take(place(column.name), column.nullable, self.texts)? {
                Column::Ids(ids) => {
                    let (chunk, close) = ids.encode(described, ZstdLevel::default())?;
                    group.append_column(&chunk, close)?;
                }
                Column::Words(words) => {
                    let (chunk, close) = words.encode(described, ZstdLevel::default())?;
                    group.append_column(&chunk, close)?;
                }
                Column::Array(array) => {
                    for leaf in compute_leaves(field, &array)? {
                        writer.write(&leaf)?;
                    }
                    writer.close()?.append_to_row_group(&mut group)?;
                }
            }
        }
        self.columns.clear();
        let group = group.close()?;
        self.file.flush()?;
        let ranges =
            group.columns().iter().filter(|column| !PROVENANCE.contains(&column.column_path().string().as_str()));
        let ranges: Vec<_> = ranges.map(ColumnChunkMetaData::byte_range).collect();
        self.file.inner_mut().digest(&ranges)?;
        Ok(())
    }

    /// Writes what is left and the metadata; returns what was written to.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<W, ParquetError> {
        self.flush()?;
        let digest = format!("{:032x}", self.file.inner().digest.digest128());
        let reach = if self.reach == i64::MIN { String::new() } else { self.reach.to_string() };
        for (key, value) in [(SCHEMA_KEY, SCHEMA_VERSION.to_string()), (DIGEST_KEY, digest), (REACH_KEY, reach)] {
            self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let mut digesting = self.file.into_inner()?;
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
            _ => builder,
        };
    }
    builder.build()
}

/// The same schema with text columns that repeat as dictionaries: how rows are
/// handed to the writer and taken from the reader. The file itself says text.
fn with_dictionaries(plain: &Schema) -> SchemaRef {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = plain.fields().iter().map(|field| {
        let is_named =
            matches!(place(field.name()), Place::Word(_) | Place::Operation | Place::Status | Place::Quality);
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
        let mut pile = Pile::default();
        for batch in Batches::new(self.stored, self.metadata, groups, |_| true)? {
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

/// Writes the rows of a file of an earlier version as this one would have: what
/// has no column there is NULL. Every column of the file is one of this version.
///
/// # Errors
/// Where the file is damaged, lacks what every row has, or cannot be written.
pub fn rewrite<W: Write + Send>(file: &Bytes, to: W) -> Result<W, ParquetError> {
    let texts = Texts::default();
    // A writer looks numbers up and learns none: all texts are read before.
    let mut known = TextCache::new(&texts);
    each_batch(file, |batch| read_batch(batch, &mut known, &|_, _| false, &mut Pile::default()))?;
    let mut writer = DayWriter::new(to, &known)?;
    let mut cache = TextCache::new(&texts);
    each_batch(file, |batch| {
        let mut pile = Pile::default();
        read_batch(batch, &mut cache, &|_, _| true, &mut pile)?;
        pile.heads().try_for_each(|(at, _)| writer.push(pile.get(at)))
    })?;
    writer.finish()
}

/// A file's rows in the columns of today.
fn each_batch(
    file: &Bytes,
    mut work: impl FnMut(&RecordBatch) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let now = with_dictionaries(&arrow_schema(USAGE));
    let found = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let options = ArrowReaderOptions::new().with_schema(with_dictionaries(found.schema()));
    let metadata = ArrowReaderMetadata::load(file, options)?;
    let groups = (0..metadata.metadata().num_row_groups()).collect();
    for batch in Batches::new(file.clone(), metadata, groups, |_| true)? {
        let batch = batch?;
        let arrays = now.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(array) => Arc::clone(array),
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
        work(&RecordBatch::try_new(Arc::clone(&now), arrays.collect())?)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::{
        ingest::{
            rows::{HTTP_STATUS, Word, identity_hash, word},
            texts::Texts,
        },
        money::Usd,
        record::{Operation, Quality, Status},
    };

    /// A row with something in each kind of column, and other things missing in
    /// every other.
    fn row<'a>(number: u32, id: &'a str, words: &[[Word<'a>; 4]; Slot::COUNT]) -> Row<'a> {
        let at = number as usize;
        let has = |every: u32| number.is_multiple_of(every).then_some(i64::from(number));
        let mut numbers = [None; HTTP_STATUS + 1];
        (1..).zip(&mut numbers).for_each(|(every, number)| *number = has(every));
        numbers[HTTP_STATUS] = has(2).map(|_| 200);
        let mut names = [Word::Null; Slot::COUNT];
        for (slot, text) in
            [(Slot::Source, 0), (Slot::Provider, 1), (Slot::Model, at % 3), (Slot::File, 0), (Slot::Tags, 3)]
        {
            names[slot as usize] = words[slot as usize][text];
        }
        names[Slot::User as usize] = if number.is_multiple_of(3) { Word::Null } else { Word::Inline(id) };
        let provider = if let Word::Inline(text) = names[Slot::Provider as usize] { text } else { "groq" };
        Row {
            hash: identity_hash(provider, id, ""),
            ts: i64::from(number),
            ts_last: i64::from(number) + has(5).unwrap_or(0),
            words: names,
            request_id: id,
            line: u64::from(number),
            operation: [Operation::Chat, Operation::Image][at % 2],
            status: Status::Partial,
            quality: Quality::ALL[at % Quality::ALL.len()],
            streamed: [None, Some(false), Some(true)][at % 3],
            gateway_cache: number.is_multiple_of(7),
            numbers,
            reported_cost: has(4).and_then(|pico| Usd::from_pico(pico.into())),
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        for count in [0, 1, 7, 8, 9, 300, 5 + ROW_GROUP] {
            let ids: Vec<String> = (0..count).map(|number| format!("req_{number}")).collect();
            let long = "é".repeat(70);
            let texts_of = ["gateway", "groq", "a-model", &long];
            let words = Slot::ALL.map(|slot| texts_of.map(|text| word(slot, text, &mut cache)));
            let rows: Vec<Row<'_>> = (0..).zip(&ids).map(|(number, id)| row(number, id, &words)).collect();
            let mut pile = Pile::default();
            for row in &rows {
                pile.push(row);
            }
            let mut writer = DayWriter::new(Vec::new(), &cache).unwrap();
            pile.heads().for_each(|(at, _)| writer.push(pile.get(at)).unwrap());
            let bytes = Bytes::from(writer.finish().unwrap());

            let file = DayFile::open(Stored::Bytes(bytes.clone())).unwrap();
            assert_eq!(file.facts().rows, count as u64);
            let mut other = TextCache::new(&texts);
            let read = file.read(&mut other, &|_, _| true, &|_, _| true).unwrap();
            assert_eq!(read.len(), count);
            for ((at, _), row) in read.heads().zip(&rows) {
                let found = read.row(at);
                assert_eq!(Row { words: row.words, ..found }, *row);
                let texts = |row: &Row<'_>, cache: &TextCache<'_>| {
                    Slot::ALL.map(|slot| row.text(slot, cache).map(str::to_owned))
                };
                assert_eq!(texts(&found, &other), texts(row, &cache));
            }
            check_bounds(&bytes);
        }
    }

    /// What the file says of its columns of words is so.
    fn check_bounds(bytes: &Bytes) {
        let builder = || ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
        let metadata = Arc::clone(builder().metadata());
        for (at, group) in metadata.row_groups().iter().enumerate() {
            let reader = builder().with_row_groups(vec![at]).with_batch_size(ROW_GROUP).build().unwrap();
            let batches: Vec<_> = reader.map(Result::unwrap).collect();
            assert_eq!(batches.len(), 1);
            for (column, array) in USAGE.iter().zip(batches[0].columns()).filter(|(it, _)| it.kind == ColumnType::Dict)
            {
                let values: &StringArray = array.as_string();
                let described = group.columns().iter().find(|it| it.column_path().string() == column.name).unwrap();
                let statistics = described.statistics().unwrap();
                let bound = |bytes: Option<&[u8]>| bytes.map(|bytes| std::str::from_utf8(bytes).unwrap().to_owned());
                let is_short = |text: &&str| text.len() <= 64;
                assert_eq!(statistics.null_count_opt(), Some(array.null_count() as u64), "{}", column.name);
                let (least, most) = (values.iter().flatten().min(), values.iter().flatten().max());
                assert_eq!(bound(statistics.min_bytes_opt()).as_deref(), least.filter(is_short), "{}", column.name);
                assert_eq!(bound(statistics.max_bytes_opt()).as_deref(), most.filter(is_short), "{}", column.name);
            }
        }
    }
}
