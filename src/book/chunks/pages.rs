//! The pages of a chunk, compressed, and how they are filled.

use std::{cell::RefCell, io};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::ColumnCloseResult,
    },
    errors::ParquetError,
    file::{
        metadata::ColumnChunkMetaData,
        statistics::Statistics,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// The pages of a chunk.
pub(super) struct Pages<'p> {
    pub(super) is_nullable: bool,
    /// The values that rows name by number, and how many; `None` where the data
    /// pages have the values themselves.
    pub(super) dictionary: Option<(&'p [u8], u32)>,
    /// The rows of each data page, and what it has of them.
    pub(super) data: &'p [(usize, &'p [u8])],
    pub(super) search: Search,
    pub(super) statistics: Statistics,
}

impl Pages<'_> {
    pub(super) fn encode(self, level: ZstdLevel) -> Result<Encoded, ParquetError> {
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
pub(super) enum Search {
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
pub(super) struct Encoded {
    bytes: Bytes,
    specs: Vec<PageWriteSpec>,
    rows: usize,
    pub(super) is_nullable: bool,
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
    pub(super) fn as_column(&self, column: ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
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
pub(super) fn put_presence_of_all(page: &mut Vec<u8>, rows: usize) {
    put_presence_in(page, std::iter::repeat_n(1, rows));
}

/// Appends which rows have a value.
pub(super) fn put_presence(page: &mut Vec<u8>, present: &[bool]) {
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
pub(super) fn put_numbers(page: &mut Vec<u8>, numbers: &[u32], count: u32) {
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
