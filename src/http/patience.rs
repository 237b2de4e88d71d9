//! How often, and for how long, a server is asked again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// When to stop, and how long to wait until then. Every number is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub tries: u32,
    /// From the first try to the beginning of the last.
    pub total: Duration,
    /// The wait before the second try; it doubles with each.
    pub first: Duration,
}

impl Patience {
    /// For a server whose answers may take this long: waits begin at a sixtieth
    /// of it, and all ends after five times of it.
    #[must_use]
    pub fn of(timeout: Duration) -> Self {
        Self { tries: 6, total: timeout * 5, first: timeout / 60 }
    }

    /// How long to wait after so many tries; `None` where it has been enough, or
    /// where the server asks for more time than there is.
    pub(super) fn wait(&self, tries: u32, asked: Option<Duration>, since_first: Duration) -> Option<Duration> {
        if tries >= self.tries {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << (tries - 1).min(16));
        // Half of it by chance, so that many clients do not come back together.
        let own = doubled / 2 + part_of(doubled / 2, RandomState::new().hash_one(tries));
        let wait =
            asked.map_or(own, |asked| asked.saturating_add(part_of(self.first, RandomState::new().hash_one(tries))));
        (since_first.saturating_add(wait) <= self.total).then_some(wait)
    }
}

/// A part of a span of time, by the chance of 16 bits.
fn part_of(span: Duration, chance: u64) -> Duration {
    span / 0x1_0000 * u32::try_from(chance & 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_and_differ_within_limits() {
        let patience = Patience::of(60 * SECOND);
        assert_eq!(patience, Patience { tries: 6, total: 300 * SECOND, first: SECOND });
        for tries in 1..6 {
            let whole = SECOND * (1 << (tries - 1));
            let waits: Vec<_> = (0..64).map(|_| patience.wait(tries, None, Duration::ZERO).unwrap()).collect();
            assert!(waits.iter().all(|&wait| whole / 2 <= wait && wait <= whole), "{tries}: {waits:?}");
            assert!(waits.iter().any(|&wait| wait != waits[0]), "{tries}: no two differ");
        }
        assert_eq!(patience.wait(6, None, Duration::ZERO), None);
        assert_eq!(patience.wait(1, None, 300 * SECOND), None);
    }

    #[test]
    fn the_server_may_ask_for_time_but_not_for_more_than_there_is() {
        let patience = Patience::of(60 * SECOND);
        let asked = |seconds: u32, since: u32| patience.wait(1, Some(SECOND * seconds), SECOND * since);
        for (seconds, since) in [(0, 0), (7, 0), (120, 100)] {
            let wait = asked(seconds, since).unwrap();
            assert!(SECOND * seconds <= wait && wait <= SECOND * (seconds + 1), "{wait:?}");
        }
        assert_eq!(asked(3600, 0), None);
        assert_eq!(asked(120, 200), None);
        assert_eq!(patience.wait(1, Some(Duration::MAX), SECOND), None);
    }
}
