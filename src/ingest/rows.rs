//! A usage record as a packed row: what waits in memory, or in a spill file,
//! until its day is built.
//!
//! Most of a record's columns repeat or are null, so a row is about a quarter
//! of the record's size. Packing is only a representation: `unpack(pack(r)) == r`.

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use super::texts::Slot;
use super::texts::TextCache;
use crate::{
    money::Usd,
    record::{Meter, Operation, Quality, Quantities, Status, UsageRecord},
    time::Instant,
};

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
    pub source: Word<'a>,
    pub file: Word<'a>,
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
pub fn word<'a>(slot: Slot, text: &'a str, texts: &mut TextCache<'_>) -> Word<'a> {
    texts.id(slot, text).map_or(Word::Inline(text), Word::Id)
}

impl<'a> Word<'a> {
    /// The text, or `None` for null.
    pub fn text<'t>(self, slot: Slot, texts: &'t TextCache<'_>) -> Option<&'t str>
    where
        'a: 't,
    {
        match self {
            Self::Null => None,
            Self::Id(id) => Some(texts.text(slot, id)),
            Self::Inline(text) => Some(text),
        }
    }
}

impl<'a> Row<'a> {
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
        self.words[slot as usize].text(slot, texts)
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
        let mut packer = Packer::new(out);
        for (slot, &word) in self.words.iter().enumerate() {
            packer.word(slot, word);
        }
        packer.text(self.request_id);
        packer.number(self.ts_last.abs_diff(self.ts));
        packer.number(self.line);
        for (at, number) in self.numbers.iter().enumerate() {
            packer.optional(at, *number);
        }
        packer.cost(self.reported_cost);
        packer.finish(
            Head { len: 0, hash: self.hash, ts: self.ts },
            Enums {
                operation: self.operation,
                status: self.status,
                quality: self.quality,
                streamed: self.streamed,
                gateway_cache: self.gateway_cache,
            },
        );
    }

    /// Reads the row that begins there.
    pub fn unpack(packed: &'a [u8]) -> Self {
        let (head, enums, present, mut reader) = Reader::new(packed);
        let mut words = [Word::Null; Slot::COUNT];
        for (slot, word) in words.iter_mut().enumerate() {
            if present >> slot & 1 == 1 {
                *word = reader.word();
            }
        }
        let request_id = reader.text();
        let ts_last = head.ts.saturating_add_unsigned(reader.number());
        let line = reader.number();
        let mut numbers = [None; NUMBERS];
        for (at, number) in numbers.iter_mut().enumerate() {
            if present >> (NUMBER + at) & 1 == 1 {
                *number = Some(reader.number().cast_signed());
            }
        }
        let reported_cost = (present >> COST & 1 == 1).then(|| reader.cost()).flatten();
        let Enums { operation, status, quality, streamed, gateway_cache } = enums;
        Self {
            hash: head.hash,
            ts: head.ts,
            ts_last,
            words,
            request_id,
            line,
            operation,
            status,
            quality,
            streamed,
            gateway_cache,
            numbers,
            reported_cost,
        }
    }
}

/// Appends a record as a packed row, without making it a [`Row`] first: this is
/// done for every record that is read.
pub fn pack_record(record: &UsageRecord<'_>, from: Provenance<'_>, texts: &mut TextCache<'_>, out: &mut Vec<u8>) {
    let mut words = [Word::Null; Slot::COUNT];
    let part = Some(&record.part).filter(|part| !part.is_empty());
    // Users first: they are many, so that theirs is likely to be far away in
    // memory, and nothing that is looked up after it has to wait for it.
    for (slot, text) in [
        (Slot::User, record.user.as_ref()),
        (Slot::Provider, Some(&record.provider)),
        (Slot::Model, Some(&record.model)),
        (Slot::ModelRequested, record.model_requested.as_ref()),
        (Slot::Tier, record.tier.as_ref()),
        (Slot::Key, record.key.as_ref()),
        (Slot::Team, record.team_reported.as_ref()),
        (Slot::Project, record.project.as_ref()),
        (Slot::ErrorCode, record.error_code.as_ref()),
        (Slot::Part, part),
        (Slot::Tags, record.tags.as_ref()),
    ] {
        if let Some(text) = text {
            words[slot as usize] = word(slot, text, texts);
        }
    }
    (words[Slot::Source as usize], words[Slot::File as usize]) = (from.source, from.file);
    let hash = identity_hash(&record.provider, &record.request_id, &record.part);
    let mut packer = Packer::new(out);
    for (slot, &word) in words.iter().enumerate() {
        packer.word(slot, word);
    }
    packer.text(&record.request_id);
    packer.number(record.ts_last.micros().abs_diff(record.ts.micros()));
    packer.number(from.line);
    for (at, quantity) in record.quantities.0.iter().enumerate() {
        packer.optional(at, *quantity);
    }
    packer.optional(REASONING, record.reasoning_tokens);
    packer.optional(MAX_TOKENS, record.max_tokens);
    packer.optional(LATENCY, record.latency_ms);
    packer.optional(HTTP_STATUS, record.http_status.map(i64::from));
    packer.cost(record.reported_cost);
    packer.finish(
        Head { len: 0, hash, ts: record.ts.micros() },
        Enums {
            operation: record.operation,
            status: record.status,
            quality: record.quality,
            streamed: record.streamed,
            gateway_cache: record.gateway_cache,
        },
    );
}

/// The bits that say which of a row's optional parts are there: its words, its
/// numbers, its cost.
pub const NUMBER: usize = Slot::COUNT;
pub const COST: usize = NUMBER + NUMBERS;

/// What a row has of a few values each.
#[derive(Debug, Clone, Copy)]
pub struct Enums {
    pub operation: Operation,
    pub status: Status,
    pub quality: Quality,
    pub streamed: Option<bool>,
    pub gateway_cache: bool,
}

/// Length, hash, time, what is there, enums.
const HEADER: usize = 28;

/// Writes a packed row: its optional parts in order, the header last.
struct Packer<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    present: u32,
}

impl<'o> Packer<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        Self { out, start, present: 0 }
    }

    fn word(&mut self, slot: usize, word: Word<'_>) {
        match word {
            Word::Null => return,
            Word::Inline(text) => {
                self.out.push(0);
                self.text(text);
            }
            Word::Id(id) => self.number(u64::from(id) + 1),
        }
        self.present |= 1 << slot;
    }

    fn optional(&mut self, at: usize, number: Option<i64>) {
        if let Some(number) = number {
            self.number(number.cast_unsigned());
            self.present |= 1 << (NUMBER + at);
        }
    }

    fn cost(&mut self, cost: Option<Usd>) {
        if let Some(cost) = cost {
            self.out.extend_from_slice(&cost.pico().to_le_bytes());
            self.present |= 1 << COST;
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(low_byte(number) | 0x80);
            number >>= 7;
        }
        self.out.push(low_byte(number));
    }

    fn finish(self, head: Head, enums: Enums) {
        let streamed = match enums.streamed {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        let flags = streamed | u8::from(enums.gateway_cache) << 2;
        let header = &mut self.out[self.start..];
        let len = u32::try_from(header.len()).unwrap_or(u32::MAX);
        header[..4].copy_from_slice(&len.to_le_bytes());
        header[4..12].copy_from_slice(&head.hash.to_le_bytes());
        header[12..20].copy_from_slice(&head.ts.to_le_bytes());
        header[20..24].copy_from_slice(&self.present.to_le_bytes());
        header[24..28].copy_from_slice(&[enums.operation as u8, enums.status as u8, enums.quality as u8, flags]);
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
    let (_, _, present, mut reader) = Reader::new(packed);
    if present >> Slot::Source as usize & 1 == 1 { reader.word() } else { Word::Null }
}

/// The lowest seven bits.
const fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

/// Reads what a [`Packer`] wrote, in this process or its spill file.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A row's head, its enums, the bits that say what else is there, and that.
    pub fn new(packed: &'a [u8]) -> (Head, Enums, u32, Self) {
        let mut reader = Self { bytes: packed, at: 0 };
        let head = Head {
            len: u32::from_le_bytes(reader.array()) as usize,
            hash: u64::from_le_bytes(reader.array()),
            ts: i64::from_le_bytes(reader.array()),
        };
        let present = u32::from_le_bytes(reader.array());
        let [operation, status, quality, flags] = reader.array();
        let enums = Enums {
            operation: Operation::ALL[usize::from(operation)],
            status: Status::ALL[usize::from(status)],
            quality: Quality::ALL[usize::from(quality)],
            streamed: [None, Some(false), Some(true)][usize::from(flags & 3)],
            gateway_cache: flags & 4 != 0,
        };
        (head, enums, present, reader)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        array
    }

    pub fn number(&mut self) -> u64 {
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

    /// A text's bytes; what was packed was UTF-8.
    pub fn text_bytes(&mut self) -> &'a [u8] {
        let len = usize::try_from(self.number()).expect("packed from a text in memory");
        let text = &self.bytes[self.at..self.at + len];
        self.at += len;
        text
    }

    fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.text_bytes()).expect("packed from a text by this process")
    }

    pub fn word(&mut self) -> Word<'a> {
        match self.number() {
            0 => Word::Inline(self.text()),
            next => Word::Id(u32::try_from(next - 1).expect("packed from an id")),
        }
    }

    pub fn cost(&mut self) -> Option<Usd> {
        Usd::from_pico(i128::from_le_bytes(self.array()))
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
        let [source, file] =
            [(Slot::Source, "gateway"), (Slot::File, "a.jsonl")].map(|(slot, text)| word(slot, text, &mut cache));
        let mut packed = Vec::new();
        pack_record(&record, Provenance { source, file, line: 7 }, &mut cache, &mut packed);
        let row = Row::unpack(&packed);
        assert_eq!(row.identity(&cache), ("groq", "req_1", ""));
        assert_eq!(row.text(Slot::File, &cache), Some("a.jsonl"));
        assert_eq!(row.words[Slot::Part as usize], Word::Null);
        assert_eq!(row.hash, identity_hash("groq", "req_1", ""));
        assert_ne!(identity_hash("groq", "a", "b"), identity_hash("groq", "b", "a"));
    }
}
