//! Requests and tokens per minute: the sum over the last 60 seconds, and the
//! stretches of time in which it is above a limit.
//!
//! At an instant the sum is over `(instant − 60 s, instant]`: two requests
//! that are exactly 60 seconds apart are never in it together, and exactly the
//! limit is within it. Memory is that of the requests of one minute.

use std::collections::VecDeque;

use crate::{money::Usd, time::Instant};

/// How far back a limit per minute looks.
pub const MINUTE: i64 = 60_000_000;

/// One limit per minute, and what came of late.
#[derive(Debug, Default)]
pub struct Window {
    /// When, and how much.
    last: VecDeque<(i64, i64)>,
    sum: i128,
    limit: Option<i64>,
    open: Option<Stretch>,
    /// Up to when the sum is settled.
    judged: i64,
}

/// A time in which a sum was above its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub limit: i64,
    pub from: Instant,
    /// The request with which it began, and its key as the log shows it.
    pub request_id: String,
    pub key: Option<String>,
    /// When the sum was back at the limit, or the last request before midnight.
    pub until: Instant,
    pub peak: i128,
    pub peak_at: Instant,
    /// The requests that came in it, the first one included.
    pub requests: i64,
    pub cost: Usd,
}

/// A request that counts.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    pub at: Instant,
    pub amount: i64,
    pub request_id: &'a str,
    pub key: Option<&'a str>,
    pub cost: Usd,
}

impl Window {
    /// Takes in what came before the day, of which nothing is told.
    pub fn warm(&mut self, at: Instant, amount: i64) {
        self.evict(at);
        self.last.push_back((at.micros(), amount));
        self.sum += i128::from(amount);
    }

    /// Takes in a request, with the limit at that time; gives the stretch that
    /// has ended since the one before.
    pub fn push(&mut self, hit: Hit<'_>, limit: Option<i64>) -> Option<Stretch> {
        let mut ended = self.evict(hit.at);
        if self.limit != limit {
            ended = ended.or_else(|| self.close(hit.at));
            self.limit = limit;
        }
        self.last.push_back((hit.at.micros(), hit.amount));
        self.sum += i128::from(hit.amount);
        let Some(limit) = self.limit.filter(|&limit| self.sum > i128::from(limit)) else { return ended };
        let stretch = self.open.get_or_insert_with(|| Stretch {
            limit,
            from: hit.at,
            request_id: hit.request_id.to_owned(),
            key: hit.key.map(str::to_owned),
            until: hit.at,
            peak: self.sum,
            peak_at: hit.at,
            requests: 0,
            cost: Usd::ZERO,
        });
        stretch.until = hit.at;
        stretch.requests += 1;
        // A sum that no table can hold ends as the most that one can.
        stretch.cost = stretch.cost.checked_add(hit.cost).unwrap_or(stretch.cost);
        if self.sum > stretch.peak {
            (stretch.peak, stretch.peak_at) = (self.sum, hit.at);
        }
        ended
    }

    /// Ends the day: a stretch that goes on is cut.
    pub fn finish(mut self) -> Option<Stretch> {
        self.settle(self.judged).or(self.open)
    }

    /// Forgets what is 60 seconds ago, and ends the stretch where that brings
    /// the sum back to its limit. What leaves at an instant is replaced by what
    /// comes at it, so that an instant is judged once a later one is looked at.
    fn evict(&mut self, now: Instant) -> Option<Stretch> {
        let mut ended = if self.judged < now.micros() { self.settle(self.judged) } else { None };
        while let Some(&(at, amount)) = self.last.front()
            && at.saturating_add(MINUTE) <= now.micros()
        {
            self.last.pop_front();
            self.sum -= i128::from(amount);
            let leaves = at + MINUTE;
            let is_last_of_instant = self.last.front().is_none_or(|&(next, _)| next != at);
            if is_last_of_instant && leaves < now.micros() {
                ended = ended.or_else(|| self.settle(leaves));
            }
        }
        self.judged = now.micros();
        ended
    }

    /// Ends the stretch where the sum is within the limit at an instant.
    fn settle(&mut self, at: i64) -> Option<Stretch> {
        let is_within = self.limit.is_some_and(|limit| self.sum <= i128::from(limit));
        if is_within { self.close(Instant::from_micros(at)) } else { None }
    }

    fn close(&mut self, until: Instant) -> Option<Stretch> {
        let mut stretch = self.open.take()?;
        stretch.until = until;
        Some(stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{START, at},
        *,
    };

    /// Seconds and amounts in, stretches out: `from..until peak@when requests`.
    fn check(limit: i64, before: &[(i64, i64)], hits: &[(i64, i64)], expect: &[&str]) {
        let mut window = Window::default();
        for &(second, amount) in before {
            window.warm(at(second), amount);
        }
        let mut stretches = Vec::new();
        for &(second, amount) in hits {
            let hit = Hit { at: at(second), amount, request_id: "r", key: None, cost: Usd::ZERO };
            stretches.extend(window.push(hit, Some(limit)));
        }
        stretches.extend(window.finish());
        let second = |at: Instant| (at.micros() - START) / 1_000_000;
        let shown: Vec<_> = stretches
            .iter()
            .map(|it| {
                let (from, until, peak_at) = (second(it.from), second(it.until), second(it.peak_at));
                format!("{from}..{until} {}@{peak_at} {}", it.peak, it.requests)
            })
            .collect();
        assert_eq!(shown, expect, "{limit} {before:?} {hits:?}");
    }

    #[test]
    fn exactly_the_limit_is_within_it() {
        check(3, &[], &[(0, 1), (1, 1), (2, 1)], &[]);
        check(3, &[], &[(0, 1), (1, 1), (2, 1), (3, 1)], &["3..3 4@3 1"]);
        check(100, &[], &[(0, 60), (1, 40)], &[]);
        check(100, &[], &[(0, 60), (1, 41)], &["1..1 101@1 1"]);
        check(100, &[], &[(0, 101)], &["0..0 101@0 1"]);
        check(0, &[], &[(0, 1)], &["0..0 1@0 1"]);
    }

    #[test]
    fn what_is_sixty_seconds_ago_no_longer_counts() {
        check(1, &[], &[(0, 1), (59, 1)], &["59..59 2@59 1"]);
        check(1, &[], &[(0, 1), (60, 1)], &[]);
        check(1, &[], &[(0, 1), (60, 1), (120, 1)], &[]);
    }

    #[test]
    fn a_stretch_ends_when_the_sum_is_back_at_the_limit() {
        // Over from 1 to 60, when the first leaves; over again from 62.
        check(1, &[], &[(0, 1), (1, 1), (62, 1), (63, 1)], &["1..60 2@1 1", "63..63 2@63 1"]);
        // The second leaves at 61, and until then another has come.
        check(1, &[], &[(0, 1), (1, 1), (30, 1), (85, 1)], &["1..61 3@30 2", "85..85 2@85 1"]);
        check(1, &[], &[(0, 1), (1, 1), (60, 1), (61, 1)], &["1..61 2@1 3"]);
        // What came at one instant leaves at one instant, when other requests may come.
        check(1, &[], &[(0, 1), (1, 1), (60, 0), (60, 1), (61, 0)], &["1..61 2@1 2"]);
        check(2, &[], &[(0, 2), (0, 2), (60, 1)], &["0..60 4@0 1"]);
    }

    #[test]
    fn what_came_before_midnight_counts_and_is_not_told_again() {
        check(2, &[(-10, 1), (-5, 1)], &[(0, 1), (56, 1)], &["0..50 3@0 1"]);
        check(2, &[(-60, 5)], &[(0, 1)], &[]);
        check(2, &[(-59, 5)], &[(0, 1)], &["0..0 6@0 1"]);
        check(2, &[(-10, 5)], &[], &[]);
    }

    #[test]
    fn another_limit_begins_another_stretch() {
        let mut window = Window::default();
        let hit =
            |second| Hit { at: at(second), amount: 1, request_id: "r", key: None, cost: Usd::from_pico(7).unwrap() };
        assert_eq!(window.push(hit(0), Some(0)), None);
        let first = window.push(hit(1), Some(1)).unwrap();
        assert_eq!((first.limit, first.until, first.requests, first.cost.pico()), (0, at(1), 1, 7));
        let second = window.push(hit(2), None).unwrap();
        assert_eq!((second.limit, second.from, second.peak), (1, at(1), 2));
        assert_eq!(window.push(hit(3), None), None);
        assert_eq!(window.finish(), None);
    }

    proptest::proptest! {
        #[test]
        fn peaks_are_those_of_counting_by_hand(mut seconds in proptest::collection::vec(0_i64..300, 0..60), limit in 0_i64..6) {
            seconds.sort_unstable();
            let mut window = Window::default();
            let mut stretches = Vec::new();
            for &second in &seconds {
                let hit = Hit { at: at(second), amount: 1, request_id: "r", key: None, cost: Usd::ZERO };
                stretches.extend(window.push(hit, Some(limit)));
            }
            stretches.extend(window.finish());
            let over = |index: usize| {
                let since = seconds[index] - 60;
                let sum = seconds[..=index].iter().filter(|&&second| second > since).count();
                (sum > usize::try_from(limit).unwrap()).then_some(sum)
            };
            let by_hand: Vec<usize> = (0..seconds.len()).filter_map(over).collect();
            let requests: i64 = stretches.iter().map(|it| it.requests).sum();
            proptest::prop_assert_eq!(requests, i64::try_from(by_hand.len()).unwrap());
            let peak = stretches.iter().map(|it| it.peak).max().unwrap_or(0);
            proptest::prop_assert_eq!(peak, i128::try_from(by_hand.into_iter().max().unwrap_or(0)).unwrap());
        }
    }
}
