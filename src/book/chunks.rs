//! Column chunks as Parquet pages, for columns whose values are known better
//! than the general writer knows them: words that rows name by number already,
//! and amounts.
//!
//! The general writer hashes and compares the text of every value to find these
//! numbers again, which took a sixth of an ingest's time, and makes an object of
//! every amount, which took a third of pricing's; all other columns are left to
//! it. A chunk has one data page, since a row group has few enough rows. Numbers
//! are bit-packed, and a run only where all of them are the same: the
//! compression sees to the rest.

use bytes::Bytes;
use hashbrown::HashMap;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
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
        let pages = Pages { rows, dictionary, data: &self.data(), statistics: self.statistics(rows) };
        pages.write(column, level)
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

/// A row group's column of amounts, where it may be that some are not known.
#[derive(Debug)]
pub struct Amounts<'a> {
    pub values: &'a [i128],
    /// Stands for NULL.
    pub unknown: i128,
}

impl Amounts<'_> {
    /// A column of few amounts, often all 0, is small as a dictionary; of one of
    /// many, none is built in vain.
    const MOST_IN_DICTIONARY: usize = 4096;

    /// The chunk's bytes, and what the file's footer says of it.
    ///
    /// # Errors
    /// Where it cannot be compressed, has more rows than a page can count, or an
    /// amount is not known that has to be.
    pub fn encode(&self, column: ColumnDescPtr, level: ZstdLevel) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let known = || self.values.iter().copied().filter(|&value| value != self.unknown);
        let nulls = self.values.len() - known().count();
        let mut data = Vec::with_capacity(self.values.len() * 16 + 64);
        if column.max_def_level() > 0 {
            let present: Vec<bool> = self.values.iter().map(|&value| value != self.unknown).collect();
            put_presence(&mut data, &present);
        } else if nulls > 0 {
            // Its page would have fewer values than rows, and nobody could read it.
            return Err(ParquetError::General(format!("`{}` has {nulls} amounts that are not known", column.name())));
        }
        let numbered = self.numbered();
        let mut dictionary = None;
        if let Some((all, numbers)) = &numbered {
            let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
            put_numbers(&mut data, numbers, count);
            dictionary = Some((all.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>(), count));
        } else {
            known().for_each(|value| data.extend_from_slice(&value.to_be_bytes()));
        }
        let bound = |value: Option<i128>| {
            value.map(|value| FixedLenByteArray::from(ByteArray::from(value.to_be_bytes().to_vec())))
        };
        let (least, most) = (bound(known().min()), bound(known().max()));
        let pages = Pages {
            rows: self.values.len(),
            dictionary: dictionary.as_ref().map(|(page, count)| (&**page, *count)),
            data: &data,
            statistics: Statistics::fixed_len_byte_array(least, most, None, Some(nulls as u64), false),
        };
        pages.write(column, level)
    }

    /// The amounts, each once, and the number of each that is known; `None`
    /// where they are too many.
    fn numbered(&self) -> Option<(Vec<i128>, Vec<u32>)> {
        let mut numbering: HashMap<i128, u32> = HashMap::new();
        let (mut all, mut numbers) = (Vec::new(), Vec::with_capacity(self.values.len()));
        let mut last = (self.unknown, 0);
        for &value in self.values.iter().filter(|&&value| value != self.unknown) {
            if last.0 != value {
                let next = u32::try_from(all.len()).unwrap_or(u32::MAX);
                let number = *numbering.entry(value).or_insert(next);
                if number == next {
                    if all.len() == Self::MOST_IN_DICTIONARY {
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
    rows: usize,
    /// The values that rows name by number, and how many; `None` where the data
    /// page has the values themselves.
    dictionary: Option<(&'p [u8], u32)>,
    data: &'p [u8],
    statistics: Statistics,
}

impl Pages<'_> {
    fn write(self, column: ColumnDescPtr, level: ZstdLevel) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let mut chunk = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut chunk);
        let mut compressor = zstd::bulk::Compressor::new(level.compression_level())?;
        let mut specs = Vec::with_capacity(2);
        if let Some((values, count)) = self.dictionary {
            let page = Page::DictionaryPage {
                buf: compressor.compress(values)?.into(),
                num_values: count,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            specs.push(pages.write_page(CompressedPage::new(page, values.len()))?);
        }
        let encoding = if self.dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        let page = Page::DataPage {
            buf: compressor.compress(self.data)?.into(),
            num_values: u32::try_from(self.rows).map_err(|error| ParquetError::External(error.into()))?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let data = pages.write_page(CompressedPage::new(page, self.data.len()))?;
        let data_offset = data.offset.cast_signed();
        specs.push(data);
        let sum =
            |of: fn(&PageWriteSpec) -> usize| i64::try_from(specs.iter().map(of).sum::<usize>()).unwrap_or(i64::MAX);
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        encodings.extend(self.dictionary.map(|_| Encoding::RLE_DICTIONARY));
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::ZSTD(level))
            .set_encodings(encodings)
            .set_num_values(i64::try_from(self.rows).unwrap_or(i64::MAX))
            .set_total_compressed_size(sum(|spec| spec.compressed_size))
            .set_total_uncompressed_size(sum(|spec| spec.uncompressed_size))
            .set_dictionary_page_offset(self.dictionary.map(|_| 0))
            .set_data_page_offset(data_offset)
            .set_statistics(self.statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: specs.iter().map(|spec| spec.bytes_written).sum(),
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((chunk.into_inner()?.into(), close))
    }
}

/// Appends which rows have a value.
fn put_presence(page: &mut Vec<u8>, present: &[bool]) {
    let start = page.len();
    page.extend_from_slice(&[0; 4]);
    put(page, present.iter().map(|&is_there| u32::from(is_there)), 1);
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
        file::writer::SerializedFileWriter,
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
        let amounts = Amounts { values: &[1, UNKNOWN], unknown: UNKNOWN };
        let error = amounts.encode(schema.column(0), ZstdLevel::default()).unwrap_err().to_string();
        assert!(error.contains("has 1 amounts that are not known"), "{error}");
    }

    /// A file of one column, as the general reader finds it: bounds, NULLs and values.
    fn read_back(values: &[i128], is_nullable: bool) -> (Option<(i128, i128)>, u64, Vec<Option<i128>>) {
        let columns = [column(is_nullable)];
        let schema = ArrowSchemaConverter::new().convert(&arrow_schema(&columns)).unwrap();
        let properties = Arc::new(table_properties(&columns));
        let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties).unwrap();
        let amounts = Amounts { values, unknown: UNKNOWN };
        let (bytes, close) = amounts.encode(schema.column(0), ZstdLevel::default()).unwrap();
        let mut group = file.next_row_group().unwrap();
        group.append_column(&bytes, close).unwrap();
        group.close().unwrap();
        let file = Bytes::from(file.into_inner().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let statistics = reader.metadata().row_group(0).column(0).statistics().unwrap();
        let amount = |bytes: &[u8]| i128::from_be_bytes(bytes.try_into().unwrap());
        let bounds = statistics.min_bytes_opt().map(amount).zip(statistics.max_bytes_opt().map(amount));
        let nulls = statistics.null_count_opt().unwrap();
        let batches = reader.build().unwrap().map(|batch| Arc::clone(batch.unwrap().column(0)));
        let values = batches.flat_map(|array| {
            let array = array.as_primitive::<Decimal128Type>();
            assert_eq!((array.precision(), array.scale()), (38, 12));
            array.iter().collect::<Vec<_>>()
        });
        (bounds, nulls, values.collect())
    }

    #[test]
    fn amounts_are_read_back_as_they_were() {
        let many = |count: i128| (0..count).map(|at| (at - 5) * 10_i128.pow(20)).collect::<Vec<_>>();
        let most = Amounts::MOST_IN_DICTIONARY as i128;
        for values in [
            vec![],
            vec![0; 1000],
            vec![UNKNOWN; 9],
            vec![7],
            vec![3, -3, UNKNOWN, 3, i128::MAX, UNKNOWN, -3, 0, 0],
            many(most),
            many(most + 1),
            [many(most + 1), vec![UNKNOWN; 3]].concat(),
            [many(20), many(20)].concat(),
        ] {
            let known: Vec<Option<i128>> = values.iter().map(|&value| (value != UNKNOWN).then_some(value)).collect();
            let bounds = known.iter().flatten().copied().min().zip(known.iter().flatten().copied().max());
            let nulls = known.iter().filter(|value| value.is_none()).count() as u64;
            assert_eq!(read_back(&values, true), (bounds, nulls, known.clone()));
            if nulls == 0 {
                assert_eq!(read_back(&values, false), (bounds, 0, known));
            }
        }
    }
}
