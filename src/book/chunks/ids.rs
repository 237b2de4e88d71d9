//! Columns of ids.

use bytes::Bytes;
use parquet::{
    basic::ZstdLevel, bloom_filter::Sbbf, column::writer::ColumnCloseResult, errors::ParquetError,
    file::statistics::Statistics, schema::types::ColumnDescPtr,
};

use super::pages::{Pages, Search};

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
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
        record::CHARGES,
    };

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
}
