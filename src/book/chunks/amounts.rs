//! Columns of amounts.

use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::{
    basic::ZstdLevel,
    column::writer::ColumnCloseResult,
    data_type::{ByteArray, FixedLenByteArray},
    errors::ParquetError,
    file::statistics::Statistics,
    schema::types::ColumnDescPtr,
};

use super::pages::{Encoded, Pages, Search, put_numbers, put_presence, put_presence_of_all};

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
        let mut amounts = Amounts::new(UNKNOWN);
        let error = amounts.encode(&[1, UNKNOWN], schema.column(0), ZstdLevel::default()).unwrap_err().to_string();
        assert!(error.contains("has 1 amounts that are not known"), "{error}");
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
