//! The rows of one row group, column by column, until they are written.
//!
//! Most optional columns are null in most rows: of them only the values that
//! are there are kept, and a bit for each row that has one.

use std::{array, collections::HashMap, mem, sync::Arc};

use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, PrimitiveArray, TimestampMicrosecondArray,
        new_null_array,
    },
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::{Int16Type, Int64Type},
    error::ArrowError,
};

use super::{Place, ROW_GROUP};
use crate::{
    book::chunks::{Ids, Names, Words},
    ingest::{
        rows::{COST, HTTP_STATUS, NUMBER, Reader, Slot, Word},
        texts::TextCache,
    },
    money::Usd,
    record::{Operation, Quality, Status},
};

/// What a row group's packed rows may take; of a healthy log it is a tenth.
const MOST_BYTES: usize = 128 << 20;

/// How long most ids are at most, with their length, to make room for those of a
/// row group.
const ID_BYTES: usize = 52;

/// A row group's columns.
pub struct Columns {
    /// Of each row the bits that say which of the optional columns it has.
    present: Vec<u32>,
    /// How much the packed rows took.
    bytes: usize,
    ts: Vec<i64>,
    ts_last: Vec<i64>,
    lines: Vec<i64>,
    ids: Ids,
    words: [Dictionary; Slot::COUNT],
    operations: Enum,
    statuses: Enum,
    qualities: Enum,
    numbers: [Vec<i64>; HTTP_STATUS + 1],
    streamed: Vec<Option<bool>>,
    gateway_cache: Vec<bool>,
    costs: Vec<i128>,
}

impl Columns {
    pub fn new() -> Self {
        Self {
            present: Vec::with_capacity(ROW_GROUP),
            bytes: 0,
            ts: Vec::with_capacity(ROW_GROUP),
            ts_last: Vec::with_capacity(ROW_GROUP),
            lines: Vec::with_capacity(ROW_GROUP),
            ids: Ids::with_capacity(ROW_GROUP * ID_BYTES),
            words: Default::default(),
            operations: Enum::new(Operation::ALL.iter().map(|it| it.name())),
            statuses: Enum::new(Status::ALL.iter().map(|it| it.name())),
            qualities: Enum::new(Quality::ALL.iter().map(|it| it.name())),
            numbers: array::from_fn(|_| Vec::with_capacity(ROW_GROUP)),
            streamed: Vec::with_capacity(ROW_GROUP),
            gateway_cache: Vec::with_capacity(ROW_GROUP),
            costs: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether the row group should end here: it has its number of rows, or
    /// holds texts of a size that no log should have.
    pub fn is_full(&self) -> bool {
        self.ts.len() == ROW_GROUP || self.bytes >= MOST_BYTES
    }

    /// Adds a packed row, straight from its bytes; returns its `ts_last`.
    pub fn push(&mut self, packed: &[u8]) -> i64 {
        let (head, enums, present, mut reader) = Reader::new(packed);
        for slot in bits(present & ((1 << NUMBER) - 1)) {
            self.words[slot].push(reader.word());
        }
        self.ids.push(reader.text_bytes());
        let ts_last = head.ts.saturating_add_unsigned(reader.number());
        self.ts.push(head.ts);
        self.ts_last.push(ts_last);
        self.lines.push(i64::try_from(reader.number()).unwrap_or(i64::MAX));
        for number in bits(present >> NUMBER & ((1 << self.numbers.len()) - 1)) {
            self.numbers[number].push(reader.number().cast_signed());
        }
        if present >> COST & 1 == 1 {
            self.costs.push(reader.cost().map(Usd::pico).unwrap_or_default());
        }
        self.operations.numbers.push(enums.operation as u32);
        self.statuses.numbers.push(enums.status as u32);
        self.qualities.numbers.push(enums.quality as u32);
        self.streamed.push(enums.streamed);
        self.gateway_cache.push(enums.gateway_cache);
        self.present.push(present);
        self.bytes += packed.len();
        ts_last
    }

    /// Takes a column out, which is then empty for the next row group.
    pub fn take(&mut self, place: Place, nullable: bool, texts: &TextCache<'_>) -> Result<Column, ArrowError> {
        let present = &self.present;
        Ok(Column::Array(match place {
            Place::Ts => instants(&mut self.ts),
            Place::TsLast => instants(&mut self.ts_last),
            Place::Line => Arc::new(PrimitiveArray::<Int64Type>::from(whole(&mut self.lines))),
            Place::RequestId => {
                let room = Ids::with_capacity(ROW_GROUP * ID_BYTES);
                return Ok(Column::Ids(mem::replace(&mut self.ids, room)));
            }
            Place::Word(slot) => {
                let has_one = |bits: &u32| bits >> (slot as usize) & 1 == 1;
                let present = nullable.then(|| present.iter().map(has_one).collect());
                return Ok(self.words[slot as usize].take(slot, texts, present));
            }
            Place::Operation => return Ok(self.operations.take()),
            Place::Status => return Ok(self.statuses.take()),
            Place::Quality => return Ok(self.qualities.take()),
            Place::Number(at) => optional::<Int64Type>(&mut self.numbers[at], present, NUMBER + at),
            Place::HttpStatus => {
                let codes = self.numbers[HTTP_STATUS].drain(..).map(|code| i16::try_from(code).unwrap_or(i16::MAX));
                optional::<Int16Type>(&mut codes.collect(), present, NUMBER + HTTP_STATUS)
            }
            Place::Streamed => Arc::new(BooleanArray::from(whole(&mut self.streamed))),
            Place::GatewayCache => Arc::new(BooleanArray::from(whole(&mut self.gateway_cache))),
            Place::ReportedCost => {
                let (values, nulls) = spread(&mut self.costs, present, COST);
                let costs = Decimal128Array::new(values.into(), nulls);
                Arc::new(costs.with_precision_and_scale(38, 12)?)
            }
        }))
    }

    /// Forgets which rows had what, once all columns have been taken.
    pub fn clear(&mut self) {
        self.present.clear();
        self.bytes = 0;
    }
}

/// The places of the bits that are set.
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(at)
    })
}

/// All values of a column that has one in every row.
fn whole<T>(values: &mut Vec<T>) -> Vec<T> {
    mem::replace(values, Vec::with_capacity(ROW_GROUP))
}

/// The values of a column that has fewer or more than rows; the next row group
/// will have about as many.
fn again<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    mem::replace(values, room)
}

fn instants(values: &mut Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(whole(values)).with_timezone("UTC"))
}

fn optional<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, present: &[u32], bit: usize) -> ArrayRef {
    if values.is_empty() {
        return new_null_array(&T::DATA_TYPE, present.len());
    }
    let (values, nulls) = spread(values, present, bit);
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

/// The values at the rows that have one.
fn spread<T: Copy + Default>(values: &mut Vec<T>, present: &[u32], bit: usize) -> (Vec<T>, Option<NullBuffer>) {
    let values = again(values);
    if values.len() == present.len() {
        return (values, None);
    }
    let mut values = values.into_iter();
    let has_one = |bits: u32| bits >> bit & 1 == 1;
    let all = present.iter().map(|&bits| if has_one(bits) { values.next().unwrap_or_default() } else { T::default() });
    let all = all.collect();
    let nulls = BooleanBuffer::collect_bool(present.len(), |row| has_one(present[row]));
    (all, Some(NullBuffer::new(nulls)))
}

/// A column that was taken out.
pub enum Column {
    Array(ArrayRef),
    Ids(Ids),
    Words(Words),
}

/// A column of an enum, by the numbers of its values.
struct Enum {
    all: Vec<&'static str>,
    numbers: Vec<u32>,
}

impl Enum {
    fn new(all: impl Iterator<Item = &'static str>) -> Self {
        Self { all: all.collect(), numbers: Vec::with_capacity(ROW_GROUP) }
    }

    /// Names only the values that are there, since the file says that its
    /// smallest and its largest are.
    fn take(&mut self) -> Column {
        let mut numbers = whole(&mut self.numbers);
        let mut is_there = vec![false; self.all.len()];
        for &number in &numbers {
            is_there[number as usize] = true;
        }
        let mut names = Names::default();
        let values = self.all.iter().zip(is_there);
        let renumbered: Vec<u32> = values.map(|(name, is_there)| if is_there { names.add(name) } else { 0 }).collect();
        for number in &mut numbers {
            *number = renumbered[*number as usize];
        }
        Column::Words(Words { names, numbers, present: None })
    }
}

/// A column of texts: its names in the order they first come.
struct Dictionary {
    /// What has a number in the row group. The texts are looked up when all of
    /// them are known: they are far away in memory, and waited for together.
    named: Vec<Named>,
    numbers: Vec<u32>,
    /// One more than the number of each text that is named by number; 0 where
    /// it has none yet.
    by_id: Vec<u32>,
    inline: HashMap<Arc<str>, u32>,
}

enum Named {
    Id(u32),
    Inline(Arc<str>),
}

impl Default for Dictionary {
    fn default() -> Self {
        let numbers = Vec::with_capacity(ROW_GROUP);
        Self { named: Vec::new(), numbers, by_id: Vec::new(), inline: HashMap::new() }
    }
}

impl Dictionary {
    fn push(&mut self, word: Word<'_>) {
        let number = match word {
            Word::Null => return,
            Word::Id(id) => match self.by_id.get(id as usize) {
                Some(&next) if next > 0 => next - 1,
                _ => self.name(id),
            },
            Word::Inline(text) => {
                if let Some(&number) = self.inline.get(text) {
                    number
                } else {
                    let text: Arc<str> = text.into();
                    let number = self.add(Named::Inline(Arc::clone(&text)));
                    self.inline.insert(text, number);
                    number
                }
            }
        };
        self.numbers.push(number);
    }

    fn name(&mut self, id: u32) -> u32 {
        let at = id as usize;
        if self.by_id.len() <= at {
            self.by_id.resize((at + 1).next_power_of_two(), 0);
        }
        let number = self.add(Named::Id(id));
        self.by_id[at] = number + 1;
        number
    }

    fn add(&mut self, named: Named) -> u32 {
        let number = u32::try_from(self.named.len()).expect("a row group has fewer rows");
        self.named.push(named);
        number
    }

    fn take(&mut self, slot: Slot, texts: &TextCache<'_>, present: Option<Vec<bool>>) -> Column {
        let mut names = Names::default();
        for named in self.named.drain(..) {
            match named {
                Named::Id(id) => {
                    self.by_id[id as usize] = 0;
                    names.add(texts.text(slot, id));
                }
                Named::Inline(text) => _ = names.add(&text),
            }
        }
        self.inline.clear();
        Column::Words(Words { names, numbers: again(&mut self.numbers), present })
    }
}
