//! Columns of texts as numbers: rows with the same text have the same number.
//!
//! A row of polars points at its text, and rows that a file's dictionary gave
//! the same word point at the same place. So pointers are compared in the place
//! of texts; where two of them lead to the same text, it has one number still.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use polars::prelude::*;

/// A column of texts.
#[derive(Debug)]
pub(super) struct Texts<'f> {
    /// Each text once, in the order in which they first come.
    pub all: Vec<Option<&'f str>>,
    /// Of each row, its place in `all`.
    pub numbers: Vec<u32>,
}

impl<'f> Texts<'f> {
    pub(super) fn of(frame: &'f DataFrame, name: &str) -> PolarsResult<Self> {
        let column = frame.column(name)?.str()?;
        let mut texts = Numbering::default();
        let mut numbers = Vec::with_capacity(column.len());
        for (chunk, validity) in column.downcast_iter().zip(column.iter_validities()) {
            // What a row points at means nothing outside of its chunk.
            let (mut pointers, mut number_of, mut null) = (Numbering::default(), Vec::new(), None);
            let mut seen = vec![(0, NOT_SEEN); SEEN];
            for (row, view) in chunk.views().iter().enumerate() {
                if validity.is_some_and(|validity| !validity.get_bit(row)) {
                    numbers.push(*null.get_or_insert_with(|| texts.number(None)));
                    continue;
                }
                let pointer = view.as_u128();
                let (other, mut number) = seen[spot(pointer)];
                if number == NOT_SEEN || other != pointer {
                    let place = pointers.number(pointer) as usize;
                    if place == number_of.len() {
                        number_of.push(texts.number(Some(chunk.value(row))));
                    }
                    number = number_of[place];
                    seen[spot(pointer)] = (pointer, number);
                }
                numbers.push(number);
            }
        }
        Ok(Self { all: texts.values, numbers })
    }

    /// The text of a row.
    pub(super) fn at(&self, row: usize) -> Option<&'f str> {
        self.all[self.numbers[row] as usize]
    }
}

/// So many pointers are found again without a table: columns of few words are
/// the rule.
const SEEN: usize = 512;

/// No text has this number.
const NOT_SEEN: u32 = u32::MAX;

/// Where a pointer is looked for: some of all of its bits.
fn spot(pointer: u128) -> usize {
    let halves = pointer ^ pointer >> 64;
    let quarters = halves ^ halves >> 32;
    let mixed = quarters ^ quarters >> 9 ^ quarters >> 18 ^ quarters >> 27;
    usize::from(u16::try_from(mixed % SEEN as u128).unwrap_or_default())
}

/// Rows that have the same texts in several columns.
#[derive(Debug)]
pub(super) struct Together {
    /// The first row of each, in their order.
    pub first: Vec<usize>,
    /// Of each row, its place in `first`.
    pub numbers: Vec<u32>,
}

impl Together {
    pub(super) fn of(columns: &[&Texts<'_>]) -> Self {
        let mut together = Self { first: Vec::new(), numbers: Vec::new() };
        for column in columns {
            if together.first.is_empty() {
                together.numbers.clone_from(&column.numbers);
            } else if column.all.len() > 1 {
                together.add(column);
            } else {
                continue;
            }
            together.first.clear();
            for (row, &number) in together.numbers.iter().enumerate() {
                if number as usize == together.first.len() {
                    together.first.push(row);
                }
            }
        }
        together
    }

    fn add(&mut self, column: &Texts<'_>) {
        /// A table of every pair costs less than looking each up by its hash.
        const MOST_IN_TABLE: usize = 1 << 16;

        let width = column.all.len();
        let rows = self.numbers.iter_mut().zip(&column.numbers);
        if let Some(pairs) = self.first.len().checked_mul(width).filter(|&pairs| pairs <= MOST_IN_TABLE) {
            let (mut number_of, mut next) = (vec![None; pairs], 0);
            for (number, &other) in rows {
                *number = *number_of[*number as usize * width + other as usize].get_or_insert_with(|| {
                    next += 1;
                    next - 1
                });
            }
        } else {
            let mut pairs = Numbering::default();
            rows.for_each(|(number, &other)| *number = pairs.number((*number, other)));
        }
    }
}

/// Gives equal values the same number, in the order in which they first come.
pub(super) struct Numbering<K> {
    table: HashTable<u32>,
    pub values: Vec<K>,
    hasher: DefaultHashBuilder,
    last: u32,
}

impl<K> Default for Numbering<K> {
    fn default() -> Self {
        Self { table: HashTable::new(), values: Vec::new(), hasher: DefaultHashBuilder::default(), last: 0 }
    }
}

impl<K: Copy + Eq + Hash> Numbering<K> {
    pub(super) fn number(&mut self, value: K) -> u32 {
        if self.values.get(self.last as usize) == Some(&value) {
            return self.last;
        }
        let Self { table, values, hasher, .. } = self;
        let entry = table.entry(
            hasher.hash_one(value),
            |&at| values[at as usize] == value,
            |&at| hasher.hash_one(values[at as usize]),
        );
        let next = u32::try_from(values.len()).expect("a slice has fewer rows than a u32 counts");
        self.last = *entry.or_insert(next).get();
        if self.last == next {
            values.push(value);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_has_the_same_number() {
        let mut numbering = Numbering::default();
        let numbers: Vec<u32> = ["a", "b", "a", "a", "", "b"].into_iter().map(|it| numbering.number(it)).collect();
        assert_eq!(numbers, [0, 1, 0, 0, 2, 1]);
        assert_eq!(numbering.values, ["a", "b", ""]);
    }

    #[test]
    fn texts_are_the_same_wherever_they_stand() {
        // Too long to stand in the pointer itself.
        let long = ["a model with a long name", "another model with a long name"];
        let mut column = StringChunked::from_iter_options(
            "it".into(),
            [Some(long[0]), None, Some("short"), Some(long[0])].into_iter(),
        );
        let more = [Some(long[1]), Some(long[0]), Some(""), None, Some("short")];
        column.append(&StringChunked::from_iter_options("it".into(), more.into_iter())).unwrap();
        assert_eq!(column.chunks().len(), 2);
        let rows: Vec<Option<String>> = column.iter().map(|text| text.map(str::to_owned)).collect();
        let frame = DataFrame::new_infer_height(vec![column.into_column()]).unwrap();
        let texts = Texts::of(&frame, "it").unwrap();
        assert_eq!(texts.all, [Some(long[0]), None, Some("short"), Some(long[1]), Some("")]);
        assert_eq!(texts.numbers, [0, 1, 2, 0, 3, 0, 4, 1, 2]);
        let found = (0..rows.len()).map(|row| texts.at(row).map(str::to_owned));
        assert_eq!(found.collect::<Vec<_>>(), rows);
    }

    #[test]
    fn rows_are_the_same_where_all_their_texts_are() {
        let texts = |numbers: &[u32]| Texts { all: vec![None; 300], numbers: numbers.to_vec() };
        let alone = Texts { all: vec![None], numbers: vec![0; 6] };
        let (left, right) = (texts(&[0, 1, 2, 0, 1, 0]), texts(&[0, 0, 1, 0, 2, 3]));
        let found = |columns: &[&Texts<'_>]| {
            let together = Together::of(columns);
            (together.first, together.numbers)
        };
        let expect = (vec![0, 1, 2, 4, 5], vec![0, 1, 2, 0, 3, 4]);
        assert_eq!(found(&[&left, &right]), expect);
        assert_eq!(found(&[&left, &alone, &right]), expect);
        assert_eq!(found(&[&alone, &left, &right, &right]), expect);
        let many = Texts { all: vec![None; 1 << 16], numbers: right.numbers.clone() };
        assert_eq!(found(&[&left, &many]), expect);
        assert_eq!(found(&[&alone]), (vec![0], vec![0; 6]));
    }
}
