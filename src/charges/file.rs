//! Day files of the book, opened to read, and row groups copied as they stand.

use std::{collections::BTreeSet, io::Cursor, sync::Arc};

use bytes::{Buf, Bytes};
use parquet::{
    bloom_filter::Sbbf,
    column::{
        page::{Page, PageReader},
        writer::ColumnCloseResult,
    },
    errors::ParquetError,
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
        writer::SerializedRowGroupWriter,
    },
};
use polars::{io::mmap::MmapBytesReader, prelude::*};

use super::ChargesError;
use crate::{
    book::{
        Book, Stored,
        batches::is_all_null,
        layout::{DIGEST_KEY, DayTable},
    },
    time::Day,
};

/// A day's file, with what its end says about it.
#[derive(Debug)]
pub(crate) struct DayFile {
    pub path: String,
    stored: Arc<Stored>,
    metadata: ParquetMetaData,
}

impl DayFile {
    pub(crate) fn open(book: &Book, table: DayTable, day: Day) -> Result<Option<Self>, ChargesError> {
        let path = table.file(day);
        let Some(stored) = book.read(&path)? else { return Ok(None) };
        let path = path.to_string();
        match ParquetMetaDataReader::new().parse_and_finish(&stored) {
            Ok(metadata) => Ok(Some(Self { path, stored: Arc::new(stored), metadata })),
            Err(source) => Err(ChargesError::Parquet { path, source }),
        }
    }

    /// What the file's metadata has under a key.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.metadata.file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    pub(crate) fn digest(&self) -> &str {
        self.value(DIGEST_KEY).unwrap_or_default()
    }

    pub(super) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.row_groups()
    }

    /// Start and length of each row group, in rows: what is read at a time, so
    /// that memory does not grow with the day.
    pub(crate) fn slices(&self) -> Vec<(usize, usize)> {
        let mut start = 0;
        let slice = |group| {
            let slice = (start, rows(group));
            start += slice.1;
            slice
        };
        self.groups().iter().map(slice).collect()
    }

    /// Columns of the rows `[start, start + length)`, by polars.
    pub(crate) fn frame(&self, columns: &[&str], start: usize, length: usize) -> Result<DataFrame, ChargesError> {
        let damaged = |source| ChargesError::Engine { path: self.path.clone(), source };
        let reader: Box<dyn MmapBytesReader> = match &*self.stored {
            Stored::File(file) => Box::new(file.try_clone().map_err(|error| damaged(error.into()))?),
            Stored::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
        };
        ParquetReader::new(reader)
            .with_slice(Some((start, length)))
            .with_columns(Some(columns.iter().map(|&name| name.to_owned()).collect()))
            .read_parallel(ParallelStrategy::RowGroups)
            .set_rechunk(true)
            .finish()
            .map_err(damaged)
    }

    /// Whether the file's footer says that no row of a row group has a value in
    /// a column.
    pub(super) fn is_all_null(&self, group: usize, column: &str) -> bool {
        is_all_null(&self.groups()[group], column)
    }

    /// Whether a row group can hold a text in a column, as its bloom filter
    /// tells; without one it can.
    pub(super) fn may_hold(&self, group: usize, column: &str, text: &str) -> Result<bool, ChargesError> {
        let columns = self.groups()[group].columns();
        let Some(chunk) = columns.iter().find(|chunk| chunk.column_path().string() == column) else { return Ok(true) };
        let filter = Sbbf::read_from_column_chunk(chunk, &*self.stored);
        let filter = filter.map_err(|source| ChargesError::Parquet { path: self.path.clone(), source })?;
        Ok(filter.is_none_or(|filter| filter.check(&text)))
    }

    /// The words that rows have in a column of words, read from the dictionary
    /// of each row group alone; `None` where one has none.
    pub(crate) fn words(&self, column: &str) -> Result<Option<BTreeSet<String>>, ChargesError> {
        let damaged = |source| ChargesError::Parquet { path: self.path.clone(), source };
        let mut words = BTreeSet::new();
        for group in self.groups() {
            let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column);
            let Some(chunk) = chunk.filter(|chunk| chunk.dictionary_page_offset().is_some()) else { return Ok(None) };
            let mut pages =
                SerializedPageReader::new(Arc::clone(&self.stored), chunk, rows(group), None).map_err(damaged)?;
            let page = pages.get_next_page().map_err(damaged)?;
            let Some(Page::DictionaryPage { buf, num_values, .. }) = page else { return Ok(None) };
            let mut rest = buf;
            for _ in 0..num_values {
                let word = plain_text(&mut rest);
                words.insert(word.ok_or_else(|| damaged(ParquetError::EOF("a word beyond its page".to_owned())))?);
            }
        }
        Ok(Some(words))
    }

    /// The bytes of a row group, to be copied as they are.
    pub(super) fn encoded(&self, group: usize) -> Result<EncodedGroup, ChargesError> {
        let metadata = Arc::new(self.groups()[group].clone());
        let ranges = || metadata.columns().iter().map(parquet::file::metadata::ColumnChunkMetaData::byte_range);
        let start = ranges().map(|(start, _)| start).min().unwrap_or_default();
        let end = ranges().map(|(start, length)| start + length).max().unwrap_or_default();
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = self.stored.get_bytes(start, length);
        let bytes = bytes.map_err(|source| ChargesError::Parquet { path: self.path.clone(), source })?;
        Ok(EncodedGroup { metadata, bytes, start })
    }
}

/// The next text of a page of texts: its length in four bytes, then itself.
fn plain_text(rest: &mut Bytes) -> Option<String> {
    let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    if rest.len() < length {
        return None;
    }
    String::from_utf8(rest.split_to(length).to_vec()).ok()
}

pub(super) fn rows(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or_default()
}

/// A row group as it stands in a file.
#[derive(Debug)]
pub(super) struct EncodedGroup {
    metadata: Arc<RowGroupMetaData>,
    bytes: Bytes,
    /// Where in the file the bytes begin.
    start: u64,
}

impl EncodedGroup {
    /// Copies a column into another file without reading its values.
    pub(super) fn copy<W: std::io::Write + Send>(
        &self,
        column: usize,
        to: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let metadata = self.metadata.column(column).clone();
        let close = ColumnCloseResult {
            bytes_written: u64::try_from(metadata.compressed_size()).unwrap_or_default(),
            rows_written: u64::try_from(self.metadata.num_rows()).unwrap_or_default(),
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        to.append_column(self, close)
    }
}

impl Length for EncodedGroup {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for EncodedGroup {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let at = at.filter(|&at| at <= self.bytes.len());
        let at = at.ok_or_else(|| ParquetError::EOF("a column outside of its row group".to_owned()))?;
        Ok(self.bytes.slice(at..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut rest = self.get_read(start)?.into_inner();
        if rest.len() < length {
            return Err(ParquetError::EOF("a column outside of its row group".to_owned()));
        }
        Ok(rest.split_to(length))
    }
}
