//! What a value was when.
//!
//! A config says what holds now; the book keeps what held before. Each value
//! stands from its date until that of the next one.

use crate::time::Instant;

/// Values in the order in which they came into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverTime<T> {
    /// `None` is from the beginning of time. A later one with the same or an
    /// earlier date covers those before it from that date on.
    values: Vec<(Option<Instant>, T)>,
}

impl<T> OverTime<T> {
    /// One value that has always stood.
    pub fn always(value: T) -> Self {
        Self { values: vec![(None, value)] }
    }

    /// Values with the instants from which they stand, in the order in which
    /// they were learnt.
    pub fn of(values: Vec<(Option<Instant>, T)>) -> Self {
        Self { values }
    }

    /// What stands at an instant; `None` before the first one.
    pub fn at(&self, instant: Instant) -> Option<&T> {
        self.index_at(instant).map(|index| &self.values[index].1)
    }

    /// What was learnt last.
    pub fn last(&self) -> Option<&T> {
        self.values.last().map(|(_, value)| value)
    }

    /// Adds what stands from an instant on.
    pub fn push(&mut self, since: Instant, value: T) {
        self.values.push((Some(since), value));
    }

    /// Every value with the time from which it stands, in the order of learning.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Option<Instant>, &T)> + ExactSizeIterator {
        self.values.iter().map(|(since, value)| (*since, value))
    }

    fn index_at(&self, instant: Instant) -> Option<usize> {
        self.values.iter().rposition(|(since, _)| since.is_none_or(|since| since <= instant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_until_the_next_one() {
        let at = Instant::from_micros;
        let mut limit = OverTime::always(1);
        limit.push(at(10), 2);
        limit.push(at(20), 3);
        let check = |limit: &OverTime<i32>, micros: i64, expect: i32| {
            assert_eq!(limit.at(at(micros)), Some(&expect), "{micros}");
        };
        for (micros, expect) in [(i64::MIN, 1), (9, 1), (10, 2), (19, 2), (20, 3), (i64::MAX, 3)] {
            check(&limit, micros, expect);
        }
        // Learnt last, and dated before what was known: it covers that too.
        limit.push(at(15), 4);
        for (micros, expect) in [(14, 2), (15, 4), (20, 4)] {
            check(&limit, micros, expect);
        }
        assert_eq!(limit.last(), Some(&4));
        assert_eq!(OverTime::of(vec![(Some(at(10)), 1)]).at(at(9)), None);
    }
}
