//! Column chunks as Parquet pages, for columns whose values are known better
//! than the general writer knows them: words that rows name by number already,
//! ids, and amounts.
//!
//! The general writer hashes and compares the text of every value to find these
//! numbers again, which took a sixth of an ingest's time, and makes an object of
//! every amount, which took a third of pricing's; all other columns are left to
//! it. A chunk of words or amounts has one data page, since a row group has few
//! enough rows. Numbers are bit-packed, and a run only where all of them are the
//! same: the compression sees to the rest.

use std::{cell::RefCell, hash::BuildHasher, io};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    bloom_filter::Sbbf,
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::ColumnCloseResult,
    },
    data_type::{ByteArray, FixedLenByteArray},
    errors::ParquetError,
    file::{
        metadata::ColumnChunkMetaData,
        statistics::Statistics,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// Longer texts are no bounds of a column: they would fill the file's footer.
const LONGEST_BOUND: usize = 64;

/// A row group's column of words.
#[derive(Debug)]
pub struct Words {
    pub names: Names,
    /// The number of a name for each row that has one.
    pub numbers: Vec<u32>,
    /// Which rows have one, for a column where some may not.
    pub present: Option<Vec<bool>>,
}

/// Names, by the order in which they were added.
#[derive(Debug, Default)]
pub struct Names {
    /// As a dictionary page has them: each after its length.
    page: Vec<u8>,
    count: u32,
    first: Option<Box<[u8]>>,
    last: Option<Box<[u8]>>,
}

impl Names {
    /// Adds a name, and returns its number.
    pub fn add(&mut self, name: &str) -> u32 {
        let bytes = name.as_bytes();
        self.page.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.page.extend_from_slice(bytes);
        if self.first.as_deref().is_none_or(|first| bytes < first) {
            self.first = Some(bytes.into());
        }
        if self.last.as_deref().is_none_or(|last| bytes > last) {
            self.last = Some(bytes.into());
        }
        self.count += 1;
        self.count - 1
    }
}

impl Words {
    /// The chunk's bytes, and what the file's footer says of it.
    ///
    /// # Errors
    /// Where it cannot be compressed, or has more rows than a page can count.
    pub fn encode(&self, column: ColumnDescPtr, level: ZstdLevel) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let rows = self.present.as_ref().map_or(self.numbers.len(), Vec::len);
        let dictionary = Some((&*self.names.page, self.names.count));
        let is_nullable = self.present.is_some();
        let data = [(rows, &*self.data())];
        let pages =
            Pages { is_nullable, dictionary, data: &data, search: Search::Usual, statistics: self.statistics(rows) };
        pages.encode(level)?.as_column(column)
    }

    /// The data page: which rows have a name, where some may not, and the
    /// numbers of those that have.
    fn data(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.numbers.len() * 2 + 64);
        if let Some(present) = &self.present {
            put_presence(&mut page, present);
        }
        put_numbers(&mut page, &self.numbers, self.names.count);
        page
    }

    fn statistics(&self, rows: usize) -> Statistics {
        let bound = |name: &Option<Box<[u8]>>| {
            let name = name.as_deref().filter(|name| name.len() <= LONGEST_BOUND)?;
            Some(ByteArray::from(name.to_vec()))
        };
        let nulls = rows - self.numbers.len();
        Statistics::byte_array(bound(&self.names.first), bound(&self.names.last), None, Some(nulls as u64), false)
    }
}

/// A row group's column of texts of which hardly any comes twice: each stands in
/// a page itself, and a bloom filter says which are not there.
#[derive(Debug, Default)]
pub struct Ids {
    /// As data pages have them: each after its length.
    values: Vec<u8>,
    rows: usize,
    /// The rows and bytes before the end of each page that is full.
    cuts: Vec<(usize, usize)>,
}

impl Ids {
    /// How many bytes a page has at least, but for the last: a reader holds one
    /// at a time.
    const PAGE: usize = 1 << 20;

    /// One in so many ids that are not there is looked for in vain.
    const FALSE_POSITIVES: f64 = 0.05;

    pub fn with_capacity(bytes: usize) -> Self {
        Self { values: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Adds an id.
    pub fn push(&mut self, id: &[u8]) {
        self.values.extend_from_slice(&u32::try_from(id.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.values.extend_from_slice(id);
        self.rows += 1;
        let begin = self.cuts.last().map_or(0, |&(_, bytes)| bytes);
        if self.values.len() - begin >= Self::PAGE {
            self.cuts.push((self.rows, self.values.len()));
        }
    }

    /// The chunk's bytes, and what the file's footer says of it.
    ///
    /// # Errors
    /// Where it cannot be compressed, or an id is not UTF-8.
    pub fn encode(&self, column: ColumnDescPtr, level: ZstdLevel) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let mut data = Vec::with_capacity(self.cuts.len() + 1);
        let (mut rows, mut bytes) = (0, 0);
        for (row, end) in self.cuts.iter().copied().chain([(self.rows, self.values.len())]) {
            if row > rows || self.rows == 0 {
                data.push((row - rows, &self.values[bytes..end]));
                (rows, bytes) = (row, end);
            }
        }
        let statistics = Statistics::byte_array(None, None, None, Some(0), false);
        let pages = Pages { is_nullable: false, dictionary: None, data: &data, search: Search::Near, statistics };
        let (chunk, close) = pages.encode(level)?.as_column(column)?;
        Ok((chunk, ColumnCloseResult { bloom_filter: Some(self.bloom_filter()?), ..close }))
    }

    fn bloom_filter(&self) -> Result<Sbbf, ParquetError> {
        let mut filter = Sbbf::new_with_ndv_fpp(self.rows as u64, Self::FALSE_POSITIVES)?;
        let mut rest = &*self.values;
        while let Some((&len, after)) = rest.split_first_chunk() {
            let (id, after) = after.split_at(u32::from_le_bytes(len) as usize);
            // Ids may have been in a spill file; no reader would take them then.
            simdutf8::basic::from_utf8(id).map_err(|_| ParquetError::General("an id is not UTF-8".to_owned()))?;
            filter.insert(id);
            rest = after;
        }
        Ok(filter)
    }
}

/// A row group's columns of amounts, where it may be that some are not known.
///
/// Often one equals another, such as what a request costs and what it would at
/// list price: it is encoded once.
#[derive(Debug)]
pub struct Amounts<'a> {
    /// Stands for NULL.
    unknown: i128,
    done: Vec<(&'a [i128], Encoded)>,
}

impl<'a> Amounts<'a> {
    /// A column of few amounts, often all 0, is small as a dictionary; of one of
    /// many, none is built in vain: numbers of more than two bytes are no
    /// shorter than what the compression leaves of an amount.
    const MOST_IN_DICTIONARY: usize = 1 << 16;

    /// After that many rows it shows whether there will be too many.
    const ROWS_OF_TRIAL: usize = 1 << 14;
    const MOST_IN_TRIAL: usize = Self::ROWS_OF_TRIAL / 4 * 3;

    pub fn new(unknown: i128) -> Self {
        Self { unknown, done: Vec::new() }
    }

    /// The chunk's bytes, and what the file's footer says of it.
    ///
    /// # Errors
    /// Where it cannot be compressed, has more rows than a page can count, or an
    /// amount is not known that has to be.
    pub fn encode(
        &mut self,
        values: &'a [i128],
        column: ColumnDescPtr,
        level: ZstdLevel,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let is_nullable = column.max_def_level() > 0;
        let is_same = |done: &&(&[i128], Encoded)| done.1.is_nullable == is_nullable && done.0 == values;
        if let Some((_, encoded)) = self.done.iter().find(is_same) {
            return encoded.as_column(column);
        }
        let nulls = values.iter().filter(|&&value| value == self.unknown).count();
        if !is_nullable && nulls > 0 {
            // Its page would have fewer values than rows, and nobody could read it.
            return Err(ParquetError::General(format!("`{}` has {nulls} amounts that are not known", column.name())));
        }
        let encoded = self.pages(values, nulls, is_nullable, level)?;
        let chunk = encoded.as_column(column);
        self.done.push((values, encoded));
        chunk
    }

    fn pages(
        &self,
        values: &[i128],
        nulls: usize,
        is_nullable: bool,
        level: ZstdLevel,
    ) -> Result<Encoded, ParquetError> {
        let known = || values.iter().copied().filter(|&value| value != self.unknown);
        let bytes = |values: &[i128]| values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>();
        let mut data = Vec::new();
        if is_nullable && nulls == 0 {
            put_presence_of_all(&mut data, values.len());
        } else if is_nullable {
            put_presence(&mut data, &values.iter().map(|&value| value != self.unknown).collect::<Vec<_>>());
        }
        let numbered = self.numbered(values);
        let mut dictionary = None;
        let (least, most) = if let Some((all, numbers)) = &numbered {
            let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
            put_numbers(&mut data, numbers, count);
            dictionary = Some((bytes(all), count));
            (all.iter().copied().min(), all.iter().copied().max())
        } else {
            data.reserve(size_of_val(values));
            known().for_each(|value| data.extend_from_slice(&value.to_be_bytes()));
            (known().min(), known().max())
        };
        let bound = |value: Option<i128>| {
            value.map(|value| FixedLenByteArray::from(ByteArray::from(value.to_be_bytes().to_vec())))
        };
        let pages = Pages {
            is_nullable,
            dictionary: dictionary.as_ref().map(|(page, count)| (&**page, *count)),
            data: &[(values.len(), &data)],
            search: Search::Usual,
            statistics: Statistics::fixed_len_byte_array(bound(least), bound(most), None, Some(nulls as u64), false),
        };
        pages.encode(level)
    }

    /// The amounts, each once, and the number of each that is known; `None`
    /// where they are too many.
    fn numbered(&self, values: &[i128]) -> Option<(Vec<i128>, Vec<u32>)> {
        let hasher = DefaultHashBuilder::default();
        let mut table: HashTable<u32> = HashTable::new();
        let (mut all, mut numbers) = (Vec::new(), Vec::with_capacity(values.len()));
        let mut last = (self.unknown, 0);
        for &value in values.iter().filter(|&&value| value != self.unknown) {
            if last.0 != value {
                let next = u32::try_from(all.len()).unwrap_or(u32::MAX);
                let number = *table
                    .entry(
                        hasher.hash_one(value),
                        |&at| all[at as usize] == value,
                        |&at| hasher.hash_one(all[at as usize]),
                    )
                    .or_insert(next)
                    .get();
                if number == next {
                    let is_trial = numbers.len() < Self::ROWS_OF_TRIAL;
                    if all.len() == if is_trial { Self::MOST_IN_TRIAL } else { Self::MOST_IN_DICTIONARY } {
                        return None;
                    }
                    all.push(value);
                }
                last = (value, number);
            }
            numbers.push(last.1);
        }
        Some((all, numbers))
    }
}

/// The pages of a chunk.
struct Pages<'p> {
    is_nullable: bool,
    /// The values that rows name by number, and how many; `None` where the data
    /// pages have the values themselves.
    dictionary: Option<(&'p [u8], u32)>,
    /// The rows of each data page, and what it has of them.
    data: &'p [(usize, &'p [u8])],
    search: Search,
    statistics: Statistics,
}

impl Pages<'_> {
    fn encode(self, level: ZstdLevel) -> Result<Encoded, ParquetError> {
        let mut chunk = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut chunk);
        let mut specs = Vec::with_capacity(self.data.len() + 1);
        if let Some((values, count)) = self.dictionary {
            let page = Page::DictionaryPage {
                buf: compress(values, level, self.search)?.into(),
                num_values: count,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            specs.push(pages.write_page(CompressedPage::new(page, values.len()))?);
        }
        let encoding = if self.dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        for &(rows, values) in self.data {
            let page = Page::DataPage {
                buf: compress(values, level, self.search)?.into(),
                num_values: u32::try_from(rows).map_err(|error| ParquetError::External(error.into()))?,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            specs.push(pages.write_page(CompressedPage::new(page, values.len()))?);
        }
        let data_offset = specs[usize::from(self.dictionary.is_some())].offset.cast_signed();
        Ok(Encoded {
            bytes: chunk.into_inner()?.into(),
            specs,
            rows: self.data.iter().map(|(rows, _)| rows).sum(),
            is_nullable: self.is_nullable,
            has_dictionary: self.dictionary.is_some(),
            data_offset,
            level,
            statistics: self.statistics,
        })
    }
}

thread_local! {
    /// The tables of a compressor are made once for each thread.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// How the compression finds what a page says again.
#[derive(Debug, Clone, Copy)]
enum Search {
    /// As the level has it.
    Usual,
    /// By a table that stays close to the processor. Ids are random but for how
    /// they begin, which a small table finds better: a sixth faster, and they
    /// take 1 % less.
    Near,
}

fn compress(bytes: &[u8], level: ZstdLevel, search: Search) -> io::Result<Vec<u8>> {
    let hash_bits = match search {
        Search::Usual => 0,
        Search::Near => 10,
    };
    COMPRESSOR.with_borrow_mut(|own| {
        let compressor = match own {
            Some(compressor) => compressor,
            None => own.insert(Compressor::new(level.compression_level())?),
        };
        compressor.set_compression_level(level.compression_level())?;
        compressor.set_parameter(CParameter::HashLog(hash_bits))?;
        compressor.compress(bytes)
    })
}

/// The pages of a chunk as a file has them, for any column of their type.
struct Encoded {
    bytes: Bytes,
    specs: Vec<PageWriteSpec>,
    rows: usize,
    is_nullable: bool,
    has_dictionary: bool,
    data_offset: i64,
    level: ZstdLevel,
    statistics: Statistics,
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").field("rows", &self.rows).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Encoded {
    /// The chunk's bytes, and what the file's footer says of them.
    fn as_column(&self, column: ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let sum = |of: fn(&PageWriteSpec) -> usize| {
            i64::try_from(self.specs.iter().map(of).sum::<usize>()).unwrap_or(i64::MAX)
        };
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        encodings.extend(self.has_dictionary.then_some(Encoding::RLE_DICTIONARY));
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::ZSTD(self.level))
            .set_encodings(encodings)
            .set_num_values(i64::try_from(self.rows).unwrap_or(i64::MAX))
            .set_total_compressed_size(sum(|spec| spec.compressed_size))
            .set_total_uncompressed_size(sum(|spec| spec.uncompressed_size))
            .set_dictionary_page_offset(self.has_dictionary.then_some(0))
            .set_data_page_offset(self.data_offset)
            .set_statistics(self.statistics.clone())
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: self.specs.iter().map(|spec| spec.bytes_written).sum(),
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((self.bytes.clone(), close))
    }
}

/// Appends that every row has a value.
fn put_presence_of_all(page: &mut Vec<u8>, rows: usize) {
    put_presence_in(page, std::iter::repeat_n(1, rows));
}

/// Appends which rows have a value.
fn put_presence(page: &mut Vec<u8>, present: &[bool]) {
    put_presence_in(page, present.iter().map(|&is_there| u32::from(is_there)));
}

fn put_presence_in(page: &mut Vec<u8>, present: impl ExactSizeIterator<Item = u32> + Clone) {
    let start = page.len();
    page.extend_from_slice(&[0; 4]);
    put(page, present, 1);
    let len = u32::try_from(page.len() - start - 4).unwrap_or(u32::MAX);
    page[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// Appends the numbers of values, of which there are `count`.
fn put_numbers(page: &mut Vec<u8>, numbers: &[u32], count: u32) {
    let width = u32::BITS - count.saturating_sub(1).leading_zeros();
    page.push(u8::try_from(width).unwrap_or(u8::MAX));
    if !numbers.is_empty() {
        put(page, numbers.iter().copied(), width);
    }
}

/// Appends numbers of that many bits as Parquet's hybrid of runs and bit-packed
/// groups of eight.
fn put(page: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = u32> + Clone, width: u32) {
    let first = numbers.clone().next().unwrap_or_default();
    if numbers.clone().all(|number| number == first) {
        put_varint(page, numbers.len() << 1);
        let bytes = first.to_le_bytes();
        page.extend_from_slice(&bytes[..width.div_ceil(8) as usize]);
        return;
    }
    let groups = numbers.len().div_ceil(8);
    put_varint(page, groups << 1 | 1);
    let end = page.len() + groups * width as usize;
    let (mut bits, mut filled) = (0_u64, 0);
    for number in numbers {
        bits |= u64::from(number) << filled;
        filled += width;
        if filled >= 32 {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            page.extend_from_slice(&[a, b, c, d]);
            bits >>= 32;
            filled -= 32;
        }
    }
    page.extend_from_slice(&bits.to_le_bytes());
    // The last group is filled up with zeros.
    page.resize(end, 0);
}

fn put_varint(page: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        page.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    page.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{array::AsArray, datatypes::Decimal128Type};
    use parquet::{
        arrow::{ArrowSchemaConverter, arrow_reader::ParquetRecordBatchReaderBuilder},
        file::{
            reader::{FileReader, SerializedFileReader},
            writer::SerializedFileWriter,
        },
    };

    use super::*;
    use crate::{
        book::schema::{arrow_schema, table_properties},
        record::{CHARGES, Column, ColumnType},
    };

    const UNKNOWN: i128 = i128::MIN;

    fn column(is_nullable: bool) -> Column {
        let is_wanted = |column: &&Column| column.kind == ColumnType::Decimal;
        Column { nullable: is_nullable, ..*CHARGES.iter().find(is_wanted).unwrap() }
    }

    #[test]
    fn an_amount_that_must_be_known_and_is_not_is_refused() {
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&[column(false)])).unwrap();
        let mut amounts = Amounts::new(UNKNOWN);
        let error = amounts.encode(&[1, UNKNOWN], schema.column(0), ZstdLevel::default()).unwrap_err().to_string();
        assert!(error.contains("has 1 amounts that are not known"), "{error}");
    }

    #[test]
    fn an_id_that_is_no_text_is_refused() {
        let id_column = CHARGES.iter().find(|column| column.name == "request_id").unwrap();
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&[*id_column])).unwrap();
        let mut ids = Ids::default();
        ids.push(b"req_1");
        ids.push(b"req_\xff");
        let error = ids.encode(schema.column(0), ZstdLevel::default()).unwrap_err().to_string();
        assert!(error.contains("not UTF-8"), "{error}");
    }

    #[test]
    fn ids_are_read_back_page_by_page_and_found_by_the_filter() {
        let id_column = CHARGES.iter().find(|column| column.name == "request_id").unwrap();
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&[*id_column])).unwrap();
        let many = |count: u32| (0..count).map(|at| format!("request {at:037}")).collect();
        let long = |bytes| "x".repeat(bytes);
        let all_and_pages: [(Vec<String>, usize); 5] = [
            (vec![], 1),
            (vec![String::new()], 1),
            (many(3), 1),
            (many(60_000), 3),
            (vec![long(Ids::PAGE - 4), long(Ids::PAGE - 5), long(1)], 2),
        ];
        for (all, pages) in all_and_pages {
            let mut ids = Ids::default();
            for id in &all {
                ids.push(id.as_bytes());
            }
            let properties = Arc::new(table_properties(&[*id_column]));
            let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties).unwrap();
            let mut group = file.next_row_group().unwrap();
            let (bytes, close) = ids.encode(schema.column(0), ZstdLevel::default()).unwrap();
            group.append_column(&bytes, close).unwrap();
            group.close().unwrap();
            let file = Bytes::from(file.into_inner().unwrap());

            let reader = SerializedFileReader::new(file.clone()).unwrap();
            let mut found_pages = reader.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
            assert_eq!(std::iter::from_fn(|| found_pages.get_next_page().unwrap()).count(), pages);
            let batches = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap().build().unwrap();
            let columns = batches.map(|batch| Arc::clone(batch.unwrap().column(0)));
            let read: Vec<String> = columns
                .flat_map(|column| {
                    column.as_string::<i32>().iter().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(read, all);
            let filter =
                Sbbf::read_from_column_chunk(reader.metadata().row_group(0).column(0), &file).unwrap().unwrap();
            assert!(all.iter().all(|id| filter.check(id.as_str())));
            let others = (0..1000).filter(|at| filter.check(format!("other {at}").as_str())).count();
            assert!(others < 150, "{others} of 1000 are said to be there");
        }
    }

    /// What the general reader finds in a column: bounds, NULLs and values.
    type Found = (Option<(i128, i128)>, u64, Vec<Option<i128>>);

    /// A file of two columns with the same values, as the general reader finds them.
    fn read_back(values: &[i128], is_nullable: bool) -> [Found; 2] {
        let columns = [column(is_nullable), Column { name: "again", ..column(is_nullable) }];
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&columns)).unwrap();
        let properties = Arc::new(table_properties(&columns));
        let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties).unwrap();
        let mut amounts = Amounts::new(UNKNOWN);
        let mut group = file.next_row_group().unwrap();
        for described in schema.columns() {
            let (bytes, close) = amounts.encode(values, Arc::clone(described), ZstdLevel::default()).unwrap();
            group.append_column(&bytes, close).unwrap();
        }
        assert_eq!(amounts.done.len(), 1);
        group.close().unwrap();
        let file = Bytes::from(file.into_inner().unwrap());
        [0, 1].map(|at| found(&file, at))
    }

    fn found(file: &Bytes, column: usize) -> Found {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
        let statistics = reader.metadata().row_group(0).column(column).statistics().unwrap();
        let amount = |bytes: &[u8]| i128::from_be_bytes(bytes.try_into().unwrap());
        let bounds = statistics.min_bytes_opt().map(amount).zip(statistics.max_bytes_opt().map(amount));
        let nulls = statistics.null_count_opt().unwrap();
        let batches = reader.build().unwrap().map(|batch| Arc::clone(batch.unwrap().column(column)));
        let values = batches.flat_map(|array| {
            let array = array.as_primitive::<Decimal128Type>();
            assert_eq!((array.precision(), array.scale()), (38, 12));
            array.iter().collect::<Vec<_>>()
        });
        (bounds, nulls, values.collect())
    }

    #[test]
    fn amounts_are_read_back_as_they_were() {
        let many = |count: usize| (0..count).map(|at| (at as i128 - 5) * 10_i128.pow(20)).collect::<Vec<_>>();
        let (most, trial) = (Amounts::MOST_IN_DICTIONARY, Amounts::MOST_IN_TRIAL);
        let late = [vec![0; Amounts::ROWS_OF_TRIAL], many(most)].concat();
        for (values, has_dictionary) in [
            (vec![], true),
            (vec![0; 1000], true),
            (vec![UNKNOWN; 9], true),
            (vec![7], true),
            (vec![3, -3, UNKNOWN, 3, i128::MAX, UNKNOWN, -3, 0, 0], true),
            (many(trial), true),
            (many(trial + 1), false),
            ([many(trial + 1), vec![UNKNOWN; 3]].concat(), false),
            (late.clone(), true),
            ([late, vec![1, UNKNOWN]].concat(), false),
            ([many(20), many(20)].concat(), true),
        ] {
            let known: Vec<Option<i128>> = values.iter().map(|&value| (value != UNKNOWN).then_some(value)).collect();
            let bounds = known.iter().flatten().copied().min().zip(known.iter().flatten().copied().max());
            let nulls = known.iter().filter(|value| value.is_none()).count() as u64;
            assert_eq!(Amounts::new(UNKNOWN).numbered(&values).is_some(), has_dictionary);
            for column in read_back(&values, true) {
                assert_eq!(column, (bounds, nulls, known.clone()));
            }
            if nulls == 0 {
                for column in read_back(&values, false) {
                    assert_eq!(column, (bounds, 0, known.clone()));
                }
            }
        }
    }
}
