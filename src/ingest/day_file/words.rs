//! A column of words as Parquet pages: a dictionary of its names, and for each
//! row the number of one.
//!
//! Rows name their texts by number already. The general writer would hash and
//! compare the text of every value to find these numbers again, which took a
//! sixth of an ingest's time; all other columns are left to it. A chunk has one
//! data page, since a row group has few enough rows. Numbers are bit-packed,
//! and a run only where all of them are the same: the compression sees to the
//! rest.

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    column::{
        page::{CompressedPage, Page, PageWriter},
        writer::ColumnCloseResult,
    },
    data_type::ByteArray,
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
    pub fn encode(&self, column: ColumnDescPtr, level: ZstdLevel) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let rows = self.present.as_ref().map_or(self.numbers.len(), Vec::len);
        let mut chunk = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut chunk);
        let mut compressor = zstd::bulk::Compressor::new(level.compression_level())?;
        let data = self.data();
        let dictionary = pages.write_page(CompressedPage::new(
            Page::DictionaryPage {
                buf: compressor.compress(&self.names.page)?.into(),
                num_values: self.names.count,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            },
            self.names.page.len(),
        ))?;
        let data = pages.write_page(CompressedPage::new(
            Page::DataPage {
                buf: compressor.compress(&data)?.into(),
                num_values: u32::try_from(rows).map_err(|error| ParquetError::External(error.into()))?,
                encoding: Encoding::RLE_DICTIONARY,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
            data.len(),
        ))?;
        let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::ZSTD(level))
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_num_values(size(rows))
            .set_total_compressed_size(size(dictionary.compressed_size + data.compressed_size))
            .set_total_uncompressed_size(size(dictionary.uncompressed_size + data.uncompressed_size))
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(data.offset.cast_signed())
            .set_statistics(self.statistics(rows))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: dictionary.bytes_written + data.bytes_written,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((chunk.into_inner()?.into(), close))
    }

    /// The data page: which rows have a name, where some may not, and the
    /// numbers of those that have.
    fn data(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.numbers.len() * 2 + 64);
        if let Some(present) = &self.present {
            page.extend_from_slice(&[0; 4]);
            put(&mut page, present.iter().map(|&is_there| u32::from(is_there)), 1);
            let len = u32::try_from(page.len() - 4).unwrap_or(u32::MAX);
            page[..4].copy_from_slice(&len.to_le_bytes());
        }
        let largest = self.names.count.saturating_sub(1);
        let width = u32::BITS - largest.leading_zeros();
        page.push(u8::try_from(width).unwrap_or(u8::MAX));
        if !self.numbers.is_empty() {
            put(&mut page, self.numbers.iter().copied(), width);
        }
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
