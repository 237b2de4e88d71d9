//! Texts that repeat, stored once and named by a number.
//!
//! Rows on their way to the book name their models, keys and users by a number
//! each, so that five million of them fit in memory. The list is shared by all
//! threads; each has a cache of it and rarely has to ask. It is bounded: what
//! comes after [`MAX_TEXTS`] different ones stands in the rows themselves.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Different texts that are stored; a log with an own user per request has more.
const MAX_TEXTS: usize = 1 << 20;

/// And all of them together have no more bytes than this.
const MAX_BYTES: usize = 64 << 20;

/// The shared list.
#[derive(Debug, Default)]
pub struct Texts {
    list: Mutex<List>,
}

/// Texts in the order in which they first came, so that what is asked for most
/// stands close together and stays in the processor's cache: a hash would spread
/// the few busy users among the many others.
#[derive(Debug, Default)]
struct List {
    /// Places in the lists, by hash.
    index: HashTable<u32>,
    keys: Vec<Key>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

/// What a text is found by: its length and three words. They are all there is of
/// a text of up to 24 bytes, so that finding one, as every row does for every
/// column, need not look at the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    words: [u64; 3],
    len: u32,
}

impl Key {
    const SHORT: u32 = 24;

    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let words = match bytes.len() {
            0 => [0; 3],
            // The middle of one, two or three bytes is one that is there.
            len @ 1..4 => [u64::from_le_bytes([bytes[0], bytes[len / 2], bytes[len - 1], 0, 0, 0, 0, 0]), 0, 0],
            4..8 => [bytes.first_chunk(), bytes.last_chunk(), None]
                .map(|part| part.map_or(0, |&part| u32::from_le_bytes(part).into())),
            8..=16 => [bytes.first_chunk(), bytes.last_chunk(), None].map(word_of),
            17..=24 => [bytes.first_chunk(), bytes[8..].first_chunk(), bytes.last_chunk()].map(word_of),
            _ => [xxh3_64(bytes), 0, 0],
        };
        Self { words, len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
    }

    fn hash(self) -> u64 {
        let [first, second, third] = self.words;
        mix(mix(first, second ^ u64::from(self.len)), third)
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
    fn find(&self, key: Key, text: &str) -> Option<u32> {
        let is_it = |&id: &u32| {
            let at = id as usize;
            self.keys[at] == key && (key.len <= Key::SHORT || *self.texts[at] == *text)
        };
        self.index.find(key.hash(), is_it).copied()
    }

    fn add(&mut self, key: Key, text: Arc<str>) -> Option<u32> {
        let id = u32::try_from(self.texts.len()).ok()?;
        self.bytes += text.len();
        self.texts.push(text);
        self.keys.push(key);
        self.index.insert_unique(key.hash(), id, |&id| self.keys[id as usize].hash());
        Some(id)
    }
}

/// One thread's view of the list.
#[derive(Debug)]
pub struct TextCache<'t> {
    shared: &'t Texts,
    known: List,
}

impl<'t> TextCache<'t> {
    pub fn new(shared: &'t Texts) -> Self {
        let mut cache = Self { shared, known: List::default() };
        cache.refresh();
        cache
    }

    /// The number of a text; `None` where the list is full.
    pub fn id(&mut self, text: &str) -> Option<u32> {
        let key = Key::of(text);
        self.known.find(key, text).or_else(|| self.learn(key, text))
    }

    /// Adds a text that this thread has not seen yet.
    #[cold]
    fn learn(&mut self, key: Key, text: &str) -> Option<u32> {
        if self.known.texts.len() >= MAX_TEXTS || self.known.bytes >= MAX_BYTES {
            return None;
        }
        {
            let mut list = self.shared.list.lock().unwrap_or_else(PoisonError::into_inner);
            if list.find(key, text).is_none() && list.texts.len() < MAX_TEXTS && list.bytes < MAX_BYTES {
                list.add(key, Arc::from(text));
            }
        }
        self.refresh();
        self.known.find(key, text)
    }

    /// Learns what other threads have added.
    pub fn refresh(&mut self) {
        let list = self.shared.list.lock().unwrap_or_else(PoisonError::into_inner);
        let new = &list.texts[self.known.texts.len()..];
        let List { index, keys, texts, .. } = &mut self.known;
        index.reserve(new.len(), |&id| keys[id as usize].hash());
        keys.reserve(new.len());
        texts.reserve(new.len());
        for text in new {
            self.known.add(Key::of(text), Arc::clone(text));
        }
    }

    /// The text of a number that this thread has seen or refreshed since.
    pub fn text(&self, id: u32) -> &str {
        &self.known.texts[id as usize]
    }

    /// How many numbers are in use.
    pub fn len(&self) -> usize {
        self.known.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_agree_on_numbers() {
        let texts = Texts::default();
        let (mut one, mut two) = (TextCache::new(&texts), TextCache::new(&texts));
        let ids: Vec<_> = ["a", "b", "a", ""].iter().map(|text| one.id(text)).collect();
        assert_eq!(ids, [Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(two.id("c"), Some(3));
        assert_eq!(two.id("b"), Some(1));
        one.refresh();
        assert_eq!((one.text(3), one.len()), ("c", 4));
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
        let ids: Vec<_> = all.iter().map(|text| cache.id(text)).collect();
        assert_eq!(ids, (0..).map(Some).take(all.len()).collect::<Vec<_>>());
        assert!(all.iter().zip(&ids).all(|(text, id)| cache.id(text) == *id));
    }

    #[test]
    fn the_list_is_bounded() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(cache.id(&long), Some(0));
        assert_eq!(cache.id("one more"), None);
        assert_eq!(cache.id(&long), Some(0));
    }
}
