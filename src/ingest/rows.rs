//! A usage record as a packed row: what waits in memory, or in a spill file,
//! until its day is built.
//!
//! Most of a record's columns repeat or are null, so a row is about a quarter
//! of the record's size. Packing is only a representation: `unpack(pack(r)) == r`.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::texts::TextCache;
use crate::{
    money::Usd,
    record::{Meter, Operation, Quality, Quantities, Status, UsageRecord},
    time::Instant,
};

/// The texts of a row that are named by number, in the order they are packed:
/// the source first, so that counting by source need not unpack the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Slot {
    Source,
    Provider,
    Model,
    File,
    ModelRequested,
    Tier,
    Key,
    Team,
    User,
    Project,
    ErrorCode,
    Part,
    Tags,
}

impl Slot {
    pub const COUNT: usize = 13;
}

/// The numbers of a row: the meters, and after them these.
pub const REASONING: usize = Meter::COUNT;
pub const MAX_TOKENS: usize = Meter::COUNT + 1;
pub const LATENCY: usize = Meter::COUNT + 2;
pub const HTTP_STATUS: usize = Meter::COUNT + 3;
const NUMBERS: usize = Meter::COUNT + 4;

/// A text in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word<'a> {
    Null,
    Id(u32),
    /// In the row itself, since the list of texts was full.
    Inline(&'a str),
}

/// Where a record was read.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    pub source: &'a str,
    pub file: &'a str,
    pub line: u64,
}

/// An unpacked row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Hash of the identity: provider, request id and part.
    pub hash: u64,
    pub ts: i64,
    pub ts_last: i64,
    pub words: [Word<'a>; Slot::COUNT],
    pub request_id: &'a str,
    pub line: u64,
    pub operation: Operation,
    pub status: Status,
    pub quality: Quality,
    pub streamed: Option<bool>,
    pub gateway_cache: bool,
    pub numbers: [Option<i64>; NUMBERS],
    pub reported_cost: Option<Usd>,
}

/// The hash of an identity, by which versions of a request find each other.
pub fn identity_hash(provider: &str, request_id: &str, part: &str) -> u64 {
    let provider = xxh3_64_with_seed(provider.as_bytes(), 0);
    let part = xxh3_64_with_seed(part.as_bytes(), provider);
    xxh3_64_with_seed(request_id.as_bytes(), part)
}

/// The word for a text.
pub fn word<'a>(text: &'a str, texts: &mut TextCache<'_>) -> Word<'a> {
    texts.id(text).map_or(Word::Inline(text), Word::Id)
}

impl<'a> Word<'a> {
    /// The text, or `None` for null.
    pub fn text<'t>(self, texts: &'t TextCache<'_>) -> Option<&'t str>
    where
        'a: 't,
    {
        match self {
            Self::Null => None,
            Self::Id(id) => Some(texts.text(id)),
            Self::Inline(text) => Some(text),
        }
    }
}

impl<'a> Row<'a> {
    /// The row of a record.
    pub fn new(record: &'a UsageRecord<'_>, from: Provenance<'a>, texts: &mut TextCache<'_>) -> Self {
        let part = Some(&record.part).filter(|part| !part.is_empty());
        let mut optional = |text: Option<&'a Cow<'_, str>>| text.map_or(Word::Null, |text| word(text, texts));
        let rest = [
            optional(record.model_requested.as_ref()),
            optional(record.tier.as_ref()),
            optional(record.key.as_ref()),
            optional(record.team_reported.as_ref()),
            optional(record.user.as_ref()),
            optional(record.project.as_ref()),
            optional(record.error_code.as_ref()),
            optional(part),
            optional(record.tags.as_ref()),
        ];
        let [requested, tier, key, team, user, project, error, part, tags] = rest;
        let first = [from.source, &record.provider, &record.model, from.file].map(|text| word(text, texts));
        let [source, provider, model, file] = first;
        let mut numbers = [None; NUMBERS];
        numbers[..Meter::COUNT].copy_from_slice(&record.quantities.0);
        numbers[REASONING] = record.reasoning_tokens;
        numbers[MAX_TOKENS] = record.max_tokens;
        numbers[LATENCY] = record.latency_ms;
        numbers[HTTP_STATUS] = record.http_status.map(i64::from);
        Self {
            hash: identity_hash(&record.provider, &record.request_id, &record.part),
            ts: record.ts.micros(),
            ts_last: record.ts_last.micros(),
            words: [source, provider, model, file, requested, tier, key, team, user, project, error, part, tags],
            request_id: &record.request_id,
            line: from.line,
            operation: record.operation,
            status: record.status,
            quality: record.quality,
            streamed: record.streamed,
            gateway_cache: record.gateway_cache,
            numbers,
            reported_cost: record.reported_cost,
        }
    }

    pub fn ts(&self) -> Instant {
        Instant::from_micros(self.ts)
    }

    pub fn quantities(&self) -> Quantities {
        let mut quantities = Quantities::default();
        quantities.0.copy_from_slice(&self.numbers[..Meter::COUNT]);
        quantities
    }

    pub fn text<'t>(&self, slot: Slot, texts: &'t TextCache<'_>) -> Option<&'t str>
    where
        'a: 't,
    {
        self.words[slot as usize].text(texts)
    }

    /// Provider, request id and part.
    pub fn identity<'t>(&self, texts: &'t TextCache<'_>) -> (&'t str, &'t str, &'t str)
    where
        'a: 't,
    {
        let text = |slot| self.text(slot, texts).unwrap_or_default();
        (text(Slot::Provider), self.request_id, text(Slot::Part))
    }

    /// Appends the packed row.
    pub fn pack(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.hash.to_le_bytes());
        out.extend_from_slice(&self.ts.to_le_bytes());
        for &word in &self.words {
            match word {
                Word::Null => out.push(0),
                Word::Inline(text) => {
                    out.push(1);
                    put_text(out, text);
                }
                Word::Id(id) => put_number(out, u64::from(id) + 2),
            }
        }
        put_text(out, self.request_id);
        put_number(out, self.ts_last.abs_diff(self.ts));
        put_number(out, self.line);
        let streamed = match self.streamed {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        let flags = streamed | u8::from(self.gateway_cache) << 2 | u8::from(self.reported_cost.is_some()) << 3;
        out.extend_from_slice(&[self.operation as u8, self.status as u8, self.quality as u8, flags]);
        let present = (0..NUMBERS).fold(0_u16, |bits, at| bits | u16::from(self.numbers[at].is_some()) << at);
        out.extend_from_slice(&present.to_le_bytes());
        for number in self.numbers.iter().flatten() {
            put_number(out, number.cast_unsigned());
        }
        if let Some(cost) = self.reported_cost {
            out.extend_from_slice(&cost.pico().to_le_bytes());
        }
        let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// Reads the row that begins there.
    pub fn unpack(packed: &'a [u8]) -> Self {
        let mut reader = Reader { bytes: packed, at: 4 };
        let hash = u64::from_le_bytes(reader.array());
        let ts = i64::from_le_bytes(reader.array());
        let mut words = [Word::Null; Slot::COUNT];
        for word in &mut words {
            *word = reader.word();
        }
        let request_id = reader.text();
        let ts_last = ts.saturating_add_unsigned(reader.number());
        let line = reader.number();
        let [operation, status, quality, flags] = reader.array();
        let present = u16::from_le_bytes(reader.array());
        let mut numbers = [None; NUMBERS];
        for (at, number) in numbers.iter_mut().enumerate() {
            if present >> at & 1 == 1 {
                *number = Some(reader.number().cast_signed());
            }
        }
        let reported_cost = (flags & 8 != 0).then(|| i128::from_le_bytes(reader.array())).and_then(Usd::from_pico);
        Self {
            hash,
            ts,
            ts_last,
            words,
            request_id,
            line,
            operation: Operation::ALL[usize::from(operation)],
            status: Status::ALL[usize::from(status)],
            quality: Quality::ALL[usize::from(quality)],
            streamed: [None, Some(false), Some(true)][usize::from(flags & 3)],
            gateway_cache: flags & 4 != 0,
            numbers,
            reported_cost,
        }
    }
}

/// What is needed of every row to sort a day and find versions: length, hash
/// and time, without unpacking the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub len: usize,
    pub hash: u64,
    pub ts: i64,
}

impl Head {
    pub fn read(packed: &[u8]) -> Self {
        let mut reader = Reader { bytes: packed, at: 0 };
        Self {
            len: u32::from_le_bytes(reader.array()) as usize,
            hash: u64::from_le_bytes(reader.array()),
            ts: i64::from_le_bytes(reader.array()),
        }
    }
}

/// The word of a packed row's source.
pub fn source_of(packed: &[u8]) -> Word<'_> {
    Reader { bytes: packed, at: 20 }.word()
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

/// The lowest seven bits.
const fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what [`Row::pack`] wrote, in this process or its spill file.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        array
    }

    fn number(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn text(&mut self) -> &'a str {
        let len = usize::try_from(self.number()).expect("packed from a text in memory");
        let text = &self.bytes[self.at..self.at + len];
        self.at += len;
        std::str::from_utf8(text).expect("packed from a text by this process")
    }

    fn word(&mut self) -> Word<'a> {
        match self.number() {
            0 => Word::Null,
            1 => Word::Inline(self.text()),
            id => Word::Id(u32::try_from(id - 2).expect("packed from an id")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::texts::Texts;

    fn word_strategy() -> impl Strategy<Value = Word<'static>> {
        prop_oneof![
            Just(Word::Null),
            any::<u32>().prop_map(Word::Id),
            prop_oneof![Just(""), Just("a"), Just("é, \"x\"\n")].prop_map(Word::Inline),
        ]
    }

    proptest! {
        #[test]
        fn unpacks_what_it_packed(
            hash: u64,
            ts: i64,
            later in 0..10_i64.pow(15),
            words in prop::collection::vec(word_strategy(), Slot::COUNT),
            id in prop_oneof![Just(String::new()), "[a-zé]{1,300}"],
            line: u64,
            choice in (0..Operation::ALL.len(), 0..Status::ALL.len(), 0..Quality::ALL.len()),
            streamed: Option<bool>,
            gateway_cache: bool,
            numbers in prop::collection::vec(any::<Option<i64>>(), NUMBERS),
            pico in prop::option::of(-(10_i128.pow(38) - 1)..10_i128.pow(38)),
        ) {
            let row = Row {
                hash, ts, ts_last: ts.saturating_add(later), request_id: &id, line,
                words: words.try_into().unwrap(),
                operation: Operation::ALL[choice.0],
                status: Status::ALL[choice.1],
                quality: Quality::ALL[choice.2],
                streamed, gateway_cache,
                numbers: numbers.try_into().unwrap(),
                reported_cost: pico.and_then(Usd::from_pico),
            };
            let mut packed = b"before".to_vec();
            row.pack(&mut packed);
            prop_assert_eq!(Row::unpack(&packed[6..]), row);
            prop_assert_eq!(Head::read(&packed[6..]), Head { len: packed.len() - 6, hash, ts });
            prop_assert_eq!(source_of(&packed[6..]), row.words[0]);
        }
    }

    #[test]
    fn a_record_is_named_by_its_texts() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let mut record = UsageRecord::at(Instant::EARLIEST);
        record.provider = "groq".into();
        record.request_id = "req_1".into();
        record.http_status = Some(200);
        let row = Row::new(&record, Provenance { source: "gateway", file: "a.jsonl", line: 7 }, &mut cache);
        assert_eq!(row.identity(&cache), ("groq", "req_1", ""));
        assert_eq!(row.text(Slot::File, &cache), Some("a.jsonl"));
        assert_eq!(row.words[Slot::Part as usize], Word::Null);
        assert_eq!(row.hash, identity_hash("groq", "req_1", ""));
        assert_ne!(identity_hash("groq", "a", "b"), identity_hash("groq", "b", "a"));
    }
}
