//! A pile of packed rows: in chunks, so that it grows without moving, and with
//! an address for every row.

use std::collections::HashSet;

use super::{
    rows::{Head, Provenance, Row, pack_record},
    texts::TextCache,
};
use crate::record::UsageRecord;

/// Chunks start small, since a year of old logs makes a pile per day, and grow.
const FIRST_CHUNK: usize = 16 << 10;
const LARGEST_CHUNK: usize = 1 << 20;

/// Where a row is in its pile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    chunk: u32,
    offset: u32,
}

#[derive(Debug, Default)]
pub struct Pile {
    chunks: Vec<Vec<u8>>,
    rows: usize,
    bytes: usize,
}

impl Pile {
    pub fn push(&mut self, row: &Row<'_>) -> At {
        self.put(|chunk| row.pack(chunk))
    }

    pub fn push_record(&mut self, record: &UsageRecord<'_>, from: Provenance<'_>, texts: &mut TextCache<'_>) -> At {
        self.put(|chunk| pack_record(record, from, texts, chunk))
    }

    /// Takes over a row that was packed elsewhere.
    pub fn push_packed(&mut self, packed: &[u8]) -> At {
        self.put(|chunk| chunk.extend_from_slice(packed))
    }

    fn put(&mut self, pack: impl FnOnce(&mut Vec<u8>)) -> At {
        let full = self.chunks.last().is_none_or(|chunk| chunk.capacity() - chunk.len() < 512);
        if full {
            let size = (FIRST_CHUNK << self.chunks.len().min(8)).min(LARGEST_CHUNK);
            self.chunks.push(Vec::with_capacity(size));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let offset = chunk.len();
        pack(chunk);
        self.rows += 1;
        self.bytes += chunk.len() - offset;
        At { chunk: small(number), offset: small(offset) }
    }

    /// Takes over rows that were packed elsewhere.
    pub fn push_chunk(&mut self, chunk: Vec<u8>) {
        self.bytes += chunk.len();
        self.rows += heads(&chunk).count();
        self.chunks.push(chunk);
    }

    pub fn append(&mut self, mut other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.chunks.append(&mut other.chunks);
    }

    /// Takes out the rows of some identities, which are few if any.
    pub fn remove(&mut self, hashes: &HashSet<u64>) {
        if hashes.is_empty() || !self.heads().any(|(_, head)| hashes.contains(&head.hash)) {
            return;
        }
        let mut rest = Self::default();
        for (at, _) in self.heads().filter(|(_, head)| !hashes.contains(&head.hash)) {
            rest.push_packed(self.get(at));
        }
        *self = rest;
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Vec::as_slice)
    }

    /// The packed row at that place.
    pub fn get(&self, at: At) -> &[u8] {
        let rest = &self.chunks[at.chunk as usize][at.offset as usize..];
        &rest[..Head::read(rest).len]
    }

    pub fn row(&self, at: At) -> Row<'_> {
        Row::unpack(self.get(at))
    }

    /// Every row's address and head.
    pub fn heads(&self) -> impl Iterator<Item = (At, Head)> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            heads(chunk).map(move |(offset, head)| (At { chunk: small(number), offset: small(offset) }, head))
        })
    }
}

fn heads(chunk: &[u8]) -> impl Iterator<Item = (usize, Head)> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let head = (offset < chunk.len()).then(|| Head::read(&chunk[offset..]))?;
        let at = offset;
        offset += head.len;
        Some((at, head))
    })
}

/// A chunk holds at most one row beyond its size, and an entry is at most
/// 16 MiB, so offsets and numbers of chunks fit.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("piles stay far below 4 GiB per chunk and 4 G chunks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ingest::{rows::Word, texts::Texts},
        time::Instant,
    };

    #[test]
    fn rows_are_found_where_they_were_put() {
        let texts = Texts::default();
        let mut cache = TextCache::new(&texts);
        let mut pile = Pile::default();
        let mut places = Vec::new();
        for number in 0..20_000 {
            let mut record = UsageRecord::at(Instant::EARLIEST.plus_micros(number));
            record.request_id = format!("request-{number}").into();
            let from = Provenance { source: Word::Null, file: Word::Null, line: number.cast_unsigned() };
            places.push(pile.push_record(&record, from, &mut cache));
        }
        assert_eq!(pile.len(), 20_000);
        assert_eq!(pile.heads().map(|(at, _)| at).collect::<Vec<_>>(), places);
        assert_eq!(pile.row(places[12_345]).request_id, "request-12345");
        let mut copy = Pile::default();
        for chunk in pile.chunks() {
            copy.push_chunk(chunk.to_vec());
        }
        assert_eq!((copy.len(), copy.bytes()), (pile.len(), pile.bytes()));
    }
}
