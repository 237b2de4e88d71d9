//! Texts that repeat, stored once and named by a number.
//!
//! Rows on their way to the book name their models, keys and users by a number
//! each, so that five million of them fit in memory. Every column has a list of
//! its own, so that the few models are not looked for among the many users. The
//! lists are shared by all threads; each has a cache of them and rarely has to
//! ask. They are bounded: what comes after [`MAX_TEXTS`] different texts stands
//! in the rows themselves.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

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

    pub const ALL: [Self; Self::COUNT] = [
        Self::Source,
        Self::Provider,
        Self::Model,
        Self::File,
        Self::ModelRequested,
        Self::Tier,
        Self::Key,
        Self::Team,
        Self::User,
        Self::Project,
        Self::ErrorCode,
        Self::Part,
        Self::Tags,
    ];
}

/// Different texts that are stored; a log with an own user per request has more.
const MAX_TEXTS: usize = 1 << 20;

/// And all of them together have no more bytes than this.
const MAX_BYTES: usize = 64 << 20;

/// The shared lists.
#[derive(Debug, Default)]
pub struct Texts {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    of_slot: [List; Slot::COUNT],
    count: usize,
    bytes: usize,
}

impl Lists {
    fn is_full(&self) -> bool {
        self.count >= MAX_TEXTS || self.bytes >= MAX_BYTES
    }

    fn add(&mut self, slot: Slot, key: Key, text: Arc<str>) {
        self.count += 1;
        self.bytes += text.len();
        self.of_slot[slot as usize].add(key, text);
    }
}

/// The texts of one column, in the order in which they first came.
#[derive(Debug, Default)]
struct List {
    index: HashTable<Numbered>,
    texts: Vec<Arc<str>>,
}

/// A text's number, beside all it is found by: one of many users is likely to be
/// far away in memory, and is waited for once.
#[derive(Debug, Clone, Copy)]
struct Numbered {
    first: u64,
    second: u64,
    third: u64,
    len: u32,
    id: u32,
}

impl Numbered {
    fn key(&self) -> Key {
        let &Self { first, second, third, len, .. } = self;
        Key { first, second, third, len }
    }
}

/// What a text is found by: its length and three words. They are all there is of
/// a text of up to 24 bytes, so that finding one, as every row does for every
/// column, need not look at the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    first: u64,
    second: u64,
    third: u64,
    len: u32,
}

impl Key {
    const SHORT: u32 = 24;

    #[inline]
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let half = |part: Option<&[u8; 4]>| part.map_or(0, |&part| u32::from_le_bytes(part).into());
        let (first, second, third) = match bytes.len() {
            0 => (0, 0, 0),
            // The middle of one, two or three bytes is one that is there.
            len @ 1..4 => (u64::from_le_bytes([bytes[0], bytes[len / 2], bytes[len - 1], 0, 0, 0, 0, 0]), 0, 0),
            4..8 => (half(bytes.first_chunk()), half(bytes.last_chunk()), 0),
            8..=16 => (word_of(bytes.first_chunk()), word_of(bytes.last_chunk()), 0),
            17..=24 => (word_of(bytes.first_chunk()), word_of(bytes[8..].first_chunk()), word_of(bytes.last_chunk())),
            _ => (xxh3_64(bytes), 0, 0),
        };
        Self { first, second, third, len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
    }

    #[inline]
    fn hash(&self) -> u64 {
        mix(mix(self.first, self.second ^ u64::from(self.len)), self.third)
    }
}

fn word_of(bytes: Option<&[u8; 8]>) -> u64 {
    bytes.map_or(0, |&bytes| u64::from_le_bytes(bytes))
}

/// Both halves of a product of two words, each mixed with digits of pi.
fn mix(first: u64, second: u64) -> u64 {
    let (low, high) = (first ^ 0x243f_6a88_85a3_08d3).carrying_mul(second ^ 0x1319_8a2e_0370_7344, 0);
    low ^ high
}

impl List {
    /// The key is borrowed: a copy of what was written word by word a moment ago
    /// waits until all of it is there.
    #[inline]
    fn find(&self, key: &Key, text: &str) -> Option<u32> {
        let is_it = |found: &Numbered| {
            found.key() == *key && (key.len <= Key::SHORT || *self.texts[found.id as usize] == *text)
        };
        self.index.find(key.hash(), is_it).map(|found| found.id)
    }

    fn add(&mut self, key: Key, text: Arc<str>) {
        let id = u32::try_from(self.texts.len()).expect("the lists are bounded");
        self.texts.push(text);
        let Key { first, second, third, len } = key;
        let numbered = Numbered { first, second, third, len, id };
        self.index.insert_unique(key.hash(), numbered, |other| other.key().hash());
    }
}

/// One thread's view of the lists.
#[derive(Debug)]
pub struct TextCache<'t> {
    shared: &'t Texts,
    known: Lists,
}

impl<'t> TextCache<'t> {
    pub fn new(shared: &'t Texts) -> Self {
        let mut cache = Self { shared, known: Lists::default() };
        cache.refresh();
        cache
    }

    /// The number of a text; `None` where the lists are full.
    #[inline]
    pub fn id(&mut self, slot: Slot, text: &str) -> Option<u32> {
        let key = Key::of(text);
        self.known.of_slot[slot as usize].find(&key, text).or_else(|| self.learn(slot, &key, text))
    }

    /// Adds a text that this thread has not seen yet.
    #[cold]
    fn learn(&mut self, slot: Slot, key: &Key, text: &str) -> Option<u32> {
        if self.known.is_full() {
            return None;
        }
        {
            let mut lists = self.shared.lists.lock().unwrap_or_else(PoisonError::into_inner);
            if lists.of_slot[slot as usize].find(key, text).is_none() && !lists.is_full() {
                lists.add(slot, *key, Arc::from(text));
            }
        }
        self.refresh();
        self.known.of_slot[slot as usize].find(key, text)
    }

    /// Learns what other threads have added.
    pub fn refresh(&mut self) {
        let lists = self.shared.lists.lock().unwrap_or_else(PoisonError::into_inner);
        for (slot, list) in Slot::ALL.into_iter().zip(&lists.of_slot) {
            let List { index, texts } = &mut self.known.of_slot[slot as usize];
            let new = &list.texts[texts.len()..];
            index.reserve(new.len(), |numbered| numbered.key().hash());
            texts.reserve(new.len());
            for text in new {
                self.known.add(slot, Key::of(text), Arc::clone(text));
            }
        }
    }

    /// The text of a number that this thread has seen or refreshed since.
    pub fn text(&self, slot: Slot, id: u32) -> &str {
        &self.known.of_slot[slot as usize].texts[id as usize]
    }

    /// How many numbers are in use.
    pub fn len(&self, slot: Slot) -> usize {
        self.known.of_slot[slot as usize].texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_agree_on_numbers() {
        let texts = Texts::default();
        let (mut one, mut two) = (TextCache::new(&texts), TextCache::new(&texts));
        let ids: Vec<_> = ["a", "b", "a", ""].iter().map(|text| one.id(Slot::Key, text)).collect();
        assert_eq!(ids, [Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(two.id(Slot::Key, "c"), Some(3));
        assert_eq!(two.id(Slot::Key, "b"), Some(1));
        assert_eq!(two.id(Slot::User, "b"), Some(0));
        one.refresh();
        assert_eq!((one.text(Slot::Key, 3), one.len(Slot::Key)), ("c", 4));
        assert_eq!((one.text(Slot::User, 0), one.len(Slot::User)), ("b", 1));
    }

    #[test]
    fn texts_of_every_length_are_told_apart() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let mut all: Vec<String> = (0..40).flat_map(|len| ["a".repeat(len), "b".repeat(len)]).collect();
        all.extend(["ab", "ba", "aba", "bab", "aabaabaab", "aabaaabaab"].map(str::to_owned));
        for long in [17, 24, 25].map(|len| "x".repeat(len)) {
            all.extend((0..long.len()).map(|at| format!("{}y{}", &long[..at], &long[at + 1..])));
        }
        all.sort();
        all.dedup();
        let ids: Vec<_> = all.iter().map(|text| cache.id(Slot::Key, text)).collect();
        assert_eq!(ids, (0..).map(Some).take(all.len()).collect::<Vec<_>>());
        assert!(all.iter().zip(&ids).all(|(text, id)| cache.id(Slot::Key, text) == *id));
    }

    #[test]
    fn the_lists_are_bounded() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(cache.id(Slot::Tags, &long), Some(0));
        assert_eq!(cache.id(Slot::Key, "one more"), None);
        assert_eq!(cache.id(Slot::Tags, &long), Some(0));
    }
}
