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

#[derive(Debug, Default)]
struct List {
    index: HashTable<u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl List {
    fn find(&self, hash: u64, text: &str) -> Option<u32> {
        self.index.find(hash, |&id| &*self.texts[id as usize] == text).copied()
    }

    fn add(&mut self, hash: u64, text: Arc<str>) -> Option<u32> {
        let id = u32::try_from(self.texts.len()).ok()?;
        self.bytes += text.len();
        self.texts.push(text);
        let texts = &self.texts;
        self.index.insert_unique(hash, id, |&id| xxh3_64(texts[id as usize].as_bytes()));
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
        let hash = xxh3_64(text.as_bytes());
        if let Some(id) = self.known.find(hash, text) {
            return Some(id);
        }
        if self.known.texts.len() >= MAX_TEXTS || self.known.bytes >= MAX_BYTES {
            return None;
        }
        {
            let mut list = self.shared.list.lock().unwrap_or_else(PoisonError::into_inner);
            if list.find(hash, text).is_none() && list.texts.len() < MAX_TEXTS && list.bytes < MAX_BYTES {
                list.add(hash, Arc::from(text));
            }
        }
        self.refresh();
        self.known.find(hash, text)
    }

    /// Learns what other threads have added.
    pub fn refresh(&mut self) {
        let list = self.shared.list.lock().unwrap_or_else(PoisonError::into_inner);
        for text in &list.texts[self.known.texts.len()..] {
            self.known.add(xxh3_64(text.as_bytes()), Arc::clone(text));
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
    fn the_list_is_bounded() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(cache.id(&long), Some(0));
        assert_eq!(cache.id("one more"), None);
        assert_eq!(cache.id(&long), Some(0));
    }
}
