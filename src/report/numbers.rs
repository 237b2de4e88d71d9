//! Numbers for names, and sums by such numbers. A year has tens of millions of
//! rows, and each is looked up: numbers are hashed faster than texts.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use crate::audit::Words;

/// Names, or other values, by the number of each.
#[derive(Debug)]
pub(super) struct Names<T> {
    list: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { list: Vec::new(), ids: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    pub(super) fn id(&mut self, name: T) -> u32 {
        if let Some(id) = self.ids.get(&name) {
            return *id;
        }
        let id = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(name.clone());
        self.ids.insert(name, id);
        id
    }

    pub(super) fn get(&self, id: u32) -> &T {
        &self.list[id as usize]
    }

    pub(super) fn list(&self) -> &[T] {
        &self.list
    }

    /// The numbers that the names of another have here.
    pub(super) fn taken_from(&mut self, other: &Self) -> Vec<u32> {
        other.list.iter().map(|name| self.id(name.clone())).collect()
    }
}

/// The numbers of a batch's texts, each of which is looked up once.
pub(super) struct Ids<'b> {
    words: Words<'b>,
    numbers: Vec<u32>,
    nobody: u32,
}

impl<'b> Ids<'b> {
    pub(super) fn of(words: Words<'b>, mut id: impl FnMut(Option<&str>) -> u32) -> Self {
        let numbers = words.values().map(|name| id(Some(name))).collect();
        Self { words, numbers, nobody: id(None) }
    }

    pub(super) fn get(&self, row: usize) -> u32 {
        self.words.place(row).map_or(self.nobody, |place| self.numbers[place])
    }
}

/// Sums by a few small numbers.
pub(super) type ByNumbers<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Hashes numbers that were given out here, one after the other: nobody can
/// choose them so that they collide, and they need no more than mixing.
#[derive(Debug, Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(4) {
            let mut number = [0; 4];
            number[..part.len()].copy_from_slice(part);
            self.write_u32(u32::from_le_bytes(number));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // An odd number whose bits follow no pattern: the golden ratio's.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(29) ^ u64::from(number)).wrapping_mul(ODD);
    }

    fn finish(&self) -> u64 {
        // A product's upper bits depend on all of its factors, tables look at the lower.
        self.0 ^ (self.0 >> 32)
    }
}
