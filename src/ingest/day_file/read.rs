//! Batches of a day's file become rows.
//!
//! Whatever the bytes are, nothing here may panic: dictionaries are looked at
//! once per batch, so that no row can name a text that is not there.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int16Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{Decimal128Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use parquet::errors::ParquetError;

use super::{Place, place};
use crate::{
    ingest::{
        pile::Pile,
        rows::{HTTP_STATUS, Row, Slot, Word, identity_hash, word},
        texts::TextCache,
    },
    money::Usd,
    record::{Operation, Quality, Status, USAGE},
};

/// Adds a batch's rows that are wanted to the pile.
///
/// # Errors
/// Where a value is none that this table can hold.
pub(super) fn read_batch(
    batch: &RecordBatch,
    texts: &mut TextCache<'_>,
    wanted: &dyn Fn(&Row<'_>, &TextCache<'_>) -> bool,
    pile: &mut Pile,
) -> Result<(), ParquetError> {
    let mut readers = Vec::with_capacity(USAGE.len());
    for (column, array) in USAGE.iter().zip(batch.columns()) {
        readers.push((place(column.name), ColumnReader::new(place(column.name), array, texts)?));
    }
    for at in 0..batch.num_rows() {
        let mut row = Row {
            hash: 0,
            ts: 0,
            ts_last: 0,
            words: [Word::Null; Slot::COUNT],
            request_id: "",
            line: 0,
            operation: Operation::Other,
            status: Status::Success,
            quality: Quality::Missing,
            streamed: None,
            gateway_cache: false,
            numbers: [None; HTTP_STATUS + 1],
            reported_cost: None,
        };
        for (place, reader) in &readers {
            reader.read(*place, at, &mut row);
        }
        let (provider, id, part) = row.identity(texts);
        row.hash = identity_hash(provider, id, part);
        if wanted(&row, texts) {
            pile.push(&row);
        }
    }
    Ok(())
}

/// One column of a batch, with its dictionary's words looked up once.
enum ColumnReader<'a> {
    Instants(&'a TimestampMicrosecondArray),
    Texts(&'a StringArray),
    Words(&'a Int32Array, Vec<Word<'a>>),
    /// Keys, and for each name its place among the enum's names.
    Names(&'a Int32Array, Vec<usize>),
    Number(&'a Int64Array),
    Small(&'a Int16Array),
    Bool(&'a BooleanArray),
    Cost(&'a Decimal128Array),
}

impl<'a> ColumnReader<'a> {
    fn new(place: Place, array: &'a ArrayRef, texts: &mut TextCache<'_>) -> Result<Self, ParquetError> {
        let names = |find: &dyn Fn(&str) -> Option<usize>| {
            let (keys, values) = dictionary(array)?;
            let unknown = |name: &str| ParquetError::General(format!("`{name}` is no value of this column"));
            let place_of =
                |name: Option<&str>| find(name.unwrap_or_default()).ok_or_else(|| unknown(name.unwrap_or_default()));
            if keys.null_count() > 0 {
                return Err(ParquetError::General("null where every row has a value".to_owned()));
            }
            Ok(Self::Names(keys, values.iter().map(place_of).collect::<Result<_, _>>()?))
        };
        Ok(match place {
            Place::Ts | Place::TsLast => Self::Instants(array.as_primitive::<TimestampMicrosecondType>()),
            Place::RequestId => Self::Texts(array.as_string()),
            Place::Word(slot) => {
                let (keys, values) = dictionary(array)?;
                Self::Words(keys, values.iter().map(|text| word(slot, text.unwrap_or_default(), texts)).collect())
            }
            Place::Operation => names(&|name| Operation::from_name(name).map(|it| it as usize))?,
            Place::Status => names(&|name| Status::from_name(name).map(|it| it as usize))?,
            Place::Quality => names(&|name| Quality::from_name(name).map(|it| it as usize))?,
            Place::Line | Place::Number(_) => Self::Number(array.as_primitive::<Int64Type>()),
            Place::HttpStatus => Self::Small(array.as_primitive::<Int16Type>()),
            Place::Streamed | Place::GatewayCache => Self::Bool(array.as_boolean()),
            Place::ReportedCost => Self::Cost(array.as_primitive::<Decimal128Type>()),
        })
    }

    fn read(&self, place: Place, at: usize, row: &mut Row<'a>) {
        let key = |keys: &Int32Array| usize::try_from(keys.value(at)).unwrap_or_default();
        match (self, place) {
            (Self::Instants(values), Place::Ts) => row.ts = values.value(at),
            (Self::Instants(values), _) => row.ts_last = values.value(at),
            (Self::Texts(values), _) => row.request_id = values.value(at),
            (Self::Words(keys, words), Place::Word(slot)) if keys.is_valid(at) => {
                row.words[slot as usize] = words[key(keys)];
            }
            (Self::Names(keys, places), Place::Operation) => row.operation = Operation::ALL[places[key(keys)]],
            (Self::Names(keys, places), Place::Status) => row.status = Status::ALL[places[key(keys)]],
            (Self::Names(keys, places), _) => row.quality = Quality::ALL[places[key(keys)]],
            (Self::Number(values), Place::Line) => row.line = values.value(at).cast_unsigned(),
            (Self::Number(values), Place::Number(number)) if values.is_valid(at) => {
                row.numbers[number] = Some(values.value(at));
            }
            (Self::Small(values), _) if values.is_valid(at) => row.numbers[HTTP_STATUS] = Some(values.value(at).into()),
            (Self::Bool(values), Place::Streamed) if values.is_valid(at) => row.streamed = Some(values.value(at)),
            (Self::Bool(values), Place::GatewayCache) => row.gateway_cache = values.value(at),
            (Self::Cost(values), _) if values.is_valid(at) => row.reported_cost = Usd::from_pico(values.value(at)),
            // Null.
            _ => {}
        }
    }
}

/// The keys and the texts of a dictionary, of which each key has one.
fn dictionary(array: &ArrayRef) -> Result<(&Int32Array, &StringArray), ParquetError> {
    let dictionary = array.as_dictionary::<Int32Type>();
    let (keys, values): (_, &StringArray) = (dictionary.keys(), dictionary.values().as_string());
    let has_text = |key: i32| usize::try_from(key).is_ok_and(|key| key < values.len());
    if !keys.iter().flatten().all(has_text) {
        return Err(ParquetError::General("a row names a text that the dictionary does not have".to_owned()));
    }
    Ok((keys, values))
}
