//! Rows of a table's file, a batch at a time.
//!
//! Columns that are NULL throughout are not read: most tables have some, and
//! `parquet` 60 takes as long for a NULL of a column of words as for many
//! values, since it compares the bytes of none with those of none.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatchOptions, new_null_array},
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    record_batch::RecordBatch,
};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::{metadata::RowGroupMetaData, reader::ChunkReader},
};

/// Rows that are read at a time.
const ROWS: usize = 1 << 14;

/// Batches of some row groups.
#[derive(Debug)]
pub struct Batches {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    /// Of each column, as many NULLs as a batch has rows at most, where it is
    /// not read.
    nulls: Vec<Option<ArrayRef>>,
}

impl Batches {
    /// The columns that are wanted, in the order and of the types that the
    /// metadata has.
    ///
    /// # Errors
    /// Where it is no Parquet file of this schema.
    pub fn new<T: ChunkReader + 'static>(
        file: T,
        metadata: ArrowReaderMetadata,
        groups: Vec<usize>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, ParquetError> {
        let (mut read, mut fields, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
        for (at, field) in metadata.schema().fields().iter().enumerate().filter(|(_, field)| is_wanted(field.name())) {
            let is_null = |&group: &usize| is_all_null(metadata.metadata().row_group(group), field.name());
            let is_left_out = field.is_nullable() && groups.iter().all(is_null);
            nulls.push(is_left_out.then(|| new_null_array(field.data_type(), ROWS)));
            fields.push(Arc::clone(field));
            read.extend((!is_left_out).then_some(at));
        }
        let mask = ProjectionMask::roots(metadata.parquet_schema(), read);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let reader = builder.with_row_groups(groups).with_projection(mask).with_batch_size(ROWS).build()?;
        Ok(Self { reader, schema: Arc::new(Schema::new(fields)), nulls })
    }

    /// What was read, and NULLs in the place of what was not.
    fn whole(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut read = batch.columns().iter();
        let columns = self.nulls.iter().map(|nulls| match nulls {
            Some(nulls) => Some(nulls.slice(0, batch.num_rows())),
            None => read.next().cloned(),
        });
        let columns = columns.collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| ArrowError::SchemaError("a column is missing".to_owned()))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.and_then(|batch| self.whole(&batch)).map_err(Into::into))
    }
}

/// Whether the file's footer says that no row of a row group has a value in a
/// column.
pub fn is_all_null(group: &RowGroupMetaData, column: &str) -> bool {
    let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column);
    let nulls = chunk.and_then(|chunk| chunk.statistics()?.null_count_opt());
    nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows()))
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, DictionaryArray, Int64Array, StringArray},
        datatypes::{DataType, Field, Int32Type},
    };
    use bytes::Bytes;
    use parquet::arrow::{ArrowWriter, arrow_reader::ArrowReaderOptions};

    use super::*;

    /// Two row groups: `word` has no value in the first, `never` in neither.
    fn file() -> Bytes {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), text("word"), text("never")]));
        let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), None).unwrap();
        for (first, words) in [(0, [None, None, None]), (3, [None, Some("a"), Some("b")])] {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from_iter_values(first..first + 3)),
                Arc::new(StringArray::from_iter(words)),
                Arc::new(StringArray::from_iter([None::<&str>; 3])),
            ];
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
            writer.flush().unwrap();
        }
        writer.into_inner().unwrap().into()
    }

    #[test]
    fn what_is_not_read_is_null() {
        let file = file();
        let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let text = |name| Field::new(name, word.clone(), true);
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), text("word"), text("never")]));
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = ArrowReaderMetadata::load(&file, options).unwrap();
        let words = |array: &ArrayRef| -> Vec<Option<String>> {
            let array: &DictionaryArray<Int32Type> = array.as_dictionary();
            array.downcast_dict::<StringArray>().unwrap().into_iter().map(|it| it.map(str::to_owned)).collect()
        };
        for (groups, expect, left_out) in [
            (vec![0], vec![None; 3], 2),
            (vec![1], vec![None, Some("a"), Some("b")], 1),
            (vec![0, 1], vec![None, None, None, None, Some("a"), Some("b")], 1),
        ] {
            let batches = || Batches::new(file.clone(), metadata.clone(), groups.clone(), |_| true).unwrap();
            assert_eq!(batches().nulls.iter().flatten().count(), left_out);
            let batches: Vec<RecordBatch> = batches().map(Result::unwrap).collect();
            let found: Vec<Option<String>> = batches.iter().flat_map(|batch| words(batch.column(1))).collect();
            assert_eq!(found, expect.iter().map(|it| it.map(str::to_owned)).collect::<Vec<_>>());
            assert!(batches.iter().all(|batch| batch.column(2).logical_null_count() == batch.num_rows()));
            let never = Batches::new(file.clone(), metadata.clone(), groups, |name| name == "never").unwrap();
            let rows: usize = never.map(|batch| batch.unwrap().column(0).logical_null_count()).sum();
            assert_eq!(rows, expect.len());
        }
    }
}
