//! What comes day by day is told as much as is new, once a day. Pure.
//!
//! What is new is held against what was told of each day before, so that late
//! data is news and a second run says nothing. What may not be told today stays
//! new until tomorrow.

use std::collections::BTreeMap;

use super::{
    event::{Count, Daily, Event},
    state::State,
};
use crate::{money::Usd, time::Day};

/// When something is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub today: Day,
    /// What came on days before this one is marked as seen: nobody looked yet.
    pub seen_before: Option<Day>,
}

/// What there is to tell about a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News<K> {
    pub events: Vec<Event>,
    /// What is new, by part and day; nothing where there is nothing to tell now.
    pub new: BTreeMap<K, BTreeMap<Day, Count>>,
}

/// Decides about a subject and its parts, each with a name of its own in the
/// events. `is_worth` says whether so much is worth a mail.
pub(super) fn news<K: Ord + Copy>(
    (kind, subject): (Daily, &str),
    state: &State,
    parts: &BTreeMap<K, BTreeMap<Day, Count>>,
    name: impl Fn(K) -> String,
    terms: Terms,
    is_worth: impl Fn(&BTreeMap<K, BTreeMap<Day, Count>>) -> bool,
) -> News<K> {
    let mut new: BTreeMap<K, BTreeMap<Day, Count>> = BTreeMap::new();
    let (mut events, mut told) = (Vec::new(), Vec::new());
    for (&part, days) in parts {
        let known = state.daily.get(&(kind, name(part))).map(|told| &told.days);
        for (&day, &count) in days {
            let known = known.and_then(|days| days.get(&day)).copied().unwrap_or_default();
            let counted = || Event::Counted { kind, subject: name(part), day, count };
            if count.number > known.number && terms.seen_before.is_none_or(|first| first <= day) {
                let cost = count.cost.checked_sub(known.cost).unwrap_or_default().max(Usd::ZERO);
                let more = Count { number: count.number - known.number, cost };
                new.entry(part).or_default().insert(day, more);
                told.push(counted());
            } else if count != known && (count.number <= known.number || terms.seen_before.is_some()) {
                // Less than was told: somebody put it right, and what comes on top is new.
                events.push(counted());
            }
        }
    }
    let last = state.daily.get(&(kind, subject.to_owned())).and_then(|told| told.last);
    if new.is_empty() || last == Some(terms.today) || !is_worth(&new) {
        return News { events, new: BTreeMap::new() };
    }
    events.append(&mut told);
    events.push(Event::Told { kind, subject: subject.to_owned(), on: terms.today });
    News { events, new }
}

#[cfg(test)]
mod tests {
    use super::{super::event::Past, *};

    /// Runs on these days, each with the count of each day from the 10th on;
    /// what is new, by day.
    fn check(runs: &[(i32, &[i64])], expect: &[&str]) {
        let day = |number: i32| Day::from_days(20_000 + number);
        let mut past: Vec<Past> = Vec::new();
        let mut said = Vec::new();
        for (number, (today, counts)) in runs.iter().enumerate() {
            let numbered = (10..).zip(*counts).map(|(at, &number)| (day(at), Count { number, cost: Usd::ZERO }));
            let state = State::of(&past);
            let seen_before = (number == 0).then(|| day(*today).previous());
            let terms = Terms { today: day(*today), seen_before };
            let parts = BTreeMap::from([((), numbered.collect())]);
            let is_worth = |new: &BTreeMap<(), BTreeMap<Day, Count>>| {
                new.values().flat_map(|days| days.values()).map(|it| it.number).sum::<i64>() > 1
            };
            let subject = (Daily::Violations, "chat");
            let news = news(subject, &state, &parts, |()| "model_not_allowed chat".to_owned(), terms, is_worth);
            let new = news.new.values().flatten();
            let new = new.map(|(day, it)| format!("{}:{}", day.days() - 20_000, it.number));
            said.push(new.collect::<Vec<_>>().join(" "));
            past.push(Past { at: day(*today).start(), events: news.events, mails: Vec::new() });
        }
        assert_eq!(said, expect, "{runs:?}");
    }

    #[test]
    fn as_much_as_is_new_is_told_once_a_day() {
        check(&[(11, &[5, 2]), (11, &[5, 2]), (12, &[5, 4])], &["10:5 11:2", "", "11:2"]);
        // Held back until tomorrow, not lost.
        check(&[(11, &[5]), (11, &[9]), (12, &[9])], &["10:5", "", "10:4"]);
        // The first run marks what is old as seen; late data is still told.
        check(&[(14, &[7, 7, 7, 1]), (15, &[7, 7, 7, 1, 1]), (16, &[7, 9, 7, 1, 1])], &["", "13:1 14:1", "11:2"]);
        // Put right, and new on top of that.
        check(&[(11, &[5, 5]), (12, &[0, 5]), (13, &[3, 5])], &["10:5 11:5", "", "10:3"]);
        // Too little for a mail.
        check(&[(11, &[0, 1]), (12, &[0, 1, 1])], &["", "11:1 12:1"]);
    }
}
