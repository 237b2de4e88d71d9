//! Times that the clocks of a source's zone show twice, or never.
//!
//! Such a time is read all the same ([`Instant::from_local`]): the earlier of
//! two, and for one that was skipped the change itself. It is counted, since a
//! reader of the accounts should know. A format does not say whether a time
//! came without a zone, so an entry whose record is near a change of clocks is
//! read once more, as if in another zone: what moves is local, and where it
//! moves to says what the clock showed. All other records cost a comparison.

use chrono::{Duration, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::formats::{Entry, Format, Found, Reject, Sink, Skip};
use crate::{
    config::Source,
    time::{Day, Instant},
};

/// Whether a record's time is the only one that its entry can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeRead {
    Clear,
    /// A local time that the zone's clocks show twice, or never.
    Doubtful,
}

/// No clock on land is as far behind, and none there ever changed.
const ELSEWHERE: Tz = Tz::Etc__GMTPlus12;
const HOURS_BEHIND: i64 = 12;

/// A doubtful time is no further from the change: clocks jump by three hours
/// at most, in microseconds.
const MOST_APART: i64 = 3 * 3_600 * 1_000_000;

/// Looks for changes of clocks near records, and into what is near one.
#[derive(Debug)]
pub(super) struct LocalTimes {
    zone: Tz,
    /// The last day near which no clock changes: the next record is of it, too.
    calm: Option<Day>,
}

impl LocalTimes {
    pub(super) const fn of(zone: Tz) -> Self {
        Self { zone, calm: None }
    }

    /// Whether clocks change within hours of a record.
    pub(super) fn may_change(&mut self, ts: Instant) -> bool {
        let day = ts.day();
        if self.zone == Tz::UTC || self.calm == Some(day) {
            return false;
        }
        if !self.changes_between(day.previous().start(), day.next().end()) {
            self.calm = Some(day);
            return false;
        }
        self.changes_between(ts.plus_micros(-MOST_APART), ts.plus_micros(MOST_APART))
    }

    fn changes_between(&self, from: Instant, until: Instant) -> bool {
        let [before, after] =
            [from, until].map(|at| utc(at).map(|time| self.zone.offset_from_utc_datetime(&time).fix()));
        before != after
    }

    /// Which records of an entry have a time that the clocks show twice or never.
    pub(super) fn doubtful(&self, format: &dyn Format, entry: &Entry<'_>, source: &Source) -> Vec<bool> {
        let moved = Source { timezone: ELSEWHERE, ..source.clone() };
        let [here, there] = [source, &moved].map(|source| {
            let mut times = Times::default();
            format.read(entry, source, &mut times);
            times.0
        });
        here.iter().zip(there).map(|(here, there)| self.is_doubtful(*here, there)).collect()
    }

    /// What was read here and elsewhere from the same text.
    fn is_doubtful(&self, here: Instant, there: Instant) -> bool {
        let local = utc(there).map(|there| there - Duration::hours(HOURS_BEHIND));
        here != there
            && local.is_some_and(|local| !matches!(self.zone.from_local_datetime(&local), LocalResult::Single(_)))
    }
}

fn utc(at: Instant) -> Option<NaiveDateTime> {
    chrono::DateTime::from_timestamp_micros(at.micros()).map(|time| time.naive_utc())
}

/// When the records of an entry were, in the order in which they are found.
#[derive(Default)]
struct Times(Vec<Instant>);

impl<'a> Sink<'a> for Times {
    fn record(&mut self, found: &mut Found<'a>) {
        self.0.push(found.record.ts);
    }

    fn skip(&mut self, _reason: Skip) {}

    fn reject(&mut self, _reject: Reject) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str, zone: Tz) -> Instant {
        Instant::parse(text, zone).unwrap()
    }

    fn check(text: &str, zone: Tz, expect: bool) {
        let here = instant(text, zone);
        let mut times = LocalTimes::of(zone);
        let is_doubtful = times.may_change(here) && times.is_doubtful(here, instant(text, ELSEWHERE));
        assert_eq!(is_doubtful, expect, "{text} in {zone}");
    }

    #[test]
    fn a_time_is_doubtful_from_the_first_moment_that_is_shown_twice_to_the_last() {
        let berlin = Tz::Europe__Berlin;
        for (text, expect) in [
            ("2026-10-25T01:59:59.999999", false),
            ("2026-10-25T02:00:00", true),
            ("2026-10-25T02:59:59.999999", true),
            ("2026-10-25T03:00:00", false),
            // What says its offset is clear.
            ("2026-10-25T02:30:00+02:00", false),
            ("2026-10-25T00:30:00Z", false),
            // Skipped, up to the moment at which clocks change.
            ("2026-03-29T01:59:59.999999", false),
            ("2026-03-29T02:00:00", true),
            ("2026-03-29T02:59:59.999999", true),
            ("2026-03-29T03:00:00", false),
            ("2026-03-29T01:00:00Z", false),
            ("2026-06-01T02:30:00", false),
        ] {
            check(text, berlin, expect);
        }
    }

    #[test]
    fn zones_differ_in_when_and_by_how_much() {
        check("2026-11-01T01:30:00", Tz::America__New_York, true);
        check("2026-11-01T02:30:00", Tz::America__New_York, false);
        // Half an hour, and on the day before by UTC.
        check("2026-04-05T01:45:00", Tz::Australia__Lord_Howe, true);
        check("2026-04-05T01:15:00", Tz::Australia__Lord_Howe, false);
        check("2026-10-25T01:30:00", Tz::Europe__London, true);
        check("2026-10-25T02:30:00", Tz::Asia__Tokyo, false);
        check("2026-10-25T02:30:00", Tz::UTC, false);
    }

    #[test]
    fn a_day_without_a_change_is_looked_at_once() {
        let mut times = LocalTimes::of(Tz::Europe__Berlin);
        let day = Day::parse("2026-06-01").unwrap();
        assert!(!times.may_change(day.start()));
        assert_eq!(times.calm, Some(day));
        let change = Day::parse("2026-10-25").unwrap();
        for (day, hour, expect) in [(change.previous(), 12, false), (change, 0, true), (change, 12, false)] {
            assert_eq!(times.may_change(day.start().plus_micros(hour * 3_600_000_000)), expect, "{day} {hour}");
        }
    }
}
