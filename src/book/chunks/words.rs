//! Columns of words that rows name by number.

use bytes::Bytes;
use parquet::{
    basic::ZstdLevel, column::writer::ColumnCloseResult, data_type::ByteArray, errors::ParquetError,
    file::statistics::Statistics, schema::types::ColumnDescPtr,
};

use super::pages::{Pages, Search, put_numbers, put_presence};

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
