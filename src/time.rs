//! Instants and days.
//!
//! An [`Instant`] is a count of UTC microseconds; a [`Day`] is another type,
//! so that a moment is never taken for a calendar day. Intervals are half-open,
//! `[from, until)`. Only [`crate::clock`] knows what time it is.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A point in time: microseconds since 1970-01-01, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// A calendar day, UTC unless a zone is named beside it: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Instant {
    /// The first instant that usage can have: 2020-01-01.
    pub const EARLIEST: Self = Self(1_577_836_800 * MICROS_PER_SECOND);
    /// The first instant that usage can no longer have: 2100-01-01.
    pub const LATEST: Self = Self(4_102_444_800 * MICROS_PER_SECOND);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whether usage can have happened then: between 2020 and 2100.
    pub fn is_sane(self) -> bool {
        (Self::EARLIEST..Self::LATEST).contains(&self)
    }

    /// The UTC day it falls on.
    pub fn day(self) -> Day {
        let days = self.0.div_euclid(MICROS_PER_DAY);
        Day(i32::try_from(days).expect("an i64 of microseconds spans fewer days than an i32"))
    }

    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Whole seconds since 1970-01-01.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The beginning of its second: what people read of the clock's own time.
    #[must_use]
    pub const fn second(self) -> Self {
        Self(self.seconds() * MICROS_PER_SECOND)
    }

    /// Reads RFC 3339 (`2026-06-01T08:00:00.123456Z`, an offset, a space for
    /// the `T`), or the same without an offset, which is then taken to be in
    /// `zone`. Digits beyond the microsecond are cut off.
    pub fn parse(text: &str, zone: Tz) -> Option<Self> {
        if let Some(instant) = Self::parse_utc(text) {
            return Some(instant);
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(time.timestamp_micros()));
        }
        let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        if let Some(local) = local {
            return Self::from_local(local, zone);
        }
        ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f UTC"]
            .iter()
            .find_map(|form| DateTime::parse_from_str(text, form).ok())
            .map(|time| Self(time.timestamp_micros()))
            .or_else(|| {
                let text = text.strip_suffix(" UTC")?;
                let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
                Some(Self(local.and_utc().timestamp_micros()))
            })
    }

    /// The form that nearly all logs write, read without a detour:
    /// `2026-06-01T08:00:00.123456Z`, with any number of digits or none.
    pub fn parse_utc(text: &str) -> Option<Self> {
        let (start, fraction) = text.as_bytes().split_first_chunk::<19>()?;
        let [c, y1, y2, y3, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2] = *start else {
            return None;
        };
        if ![c, y1, y2, y3, m1, m2, d1, d2, h1, h2, i1, i2, s1, s2].iter().all(u8::is_ascii_digit) {
            return None;
        }
        let two = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        let (year, month, day) = (two(c, y1) * 100 + two(y2, y3), two(m1, m2), two(d1, d2));
        let (hour, minute, second) = (two(h1, h2), two(i1, i2), two(s1, s2));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let month_days = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + i64::from(is_leap),
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=month_days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut micros = 0;
        match fraction {
            b"Z" => {}
            [b'.', digits @ .., b'Z'] if !digits.is_empty() => {
                let mut scale = 100_000;
                for &byte in digits {
                    if !byte.is_ascii_digit() {
                        return None;
                    }
                    micros += i64::from(byte - b'0') * scale;
                    scale /= 10;
                }
            }
            _ => return None,
        }
        // Days since 1970 by counting from March, so that the leap day comes last.
        let shifted = if month > 2 { year } else { year - 1 };
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days =
            shifted * 365 + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400) + day_of_year
                - 719_468;
        Some(Self(days * MICROS_PER_DAY + ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros))
    }

    /// A wall-clock time in a zone; of two readings the earlier one, and of a
    /// time that the zone skipped the instant at which it was skipped.
    pub fn from_local(local: NaiveDateTime, zone: Tz) -> Option<Self> {
        if zone == Tz::UTC {
            return Some(Self(local.and_utc().timestamp_micros()));
        }
        match zone.from_local_datetime(&local) {
            chrono::LocalResult::Single(time) | chrono::LocalResult::Ambiguous(time, _) => {
                Some(Self(time.timestamp_micros()))
            }
            chrono::LocalResult::None => {
                // Clocks jump by at most a few hours: the first minute that exists.
                (1..=24 * 60)
                    .filter_map(|minutes| local.checked_add_signed(chrono::Duration::minutes(minutes)))
                    .find_map(|later| zone.from_local_datetime(&later).earliest())
                    .map(|time| Self(time.timestamp_micros()))
            }
        }
    }

    /// A count of seconds, milliseconds, microseconds or nanoseconds since
    /// 1970, whichever puts it between 2020 and 2100.
    pub fn from_epoch(count: i64) -> Option<Self> {
        [count.checked_mul(MICROS_PER_SECOND), count.checked_mul(1_000), Some(count), Some(count.div_euclid(1_000))]
            .into_iter()
            .flatten()
            .map(Self)
            .find(|instant| instant.is_sane())
    }
}

/// RFC 3339 with as many digits as needed: `2026-06-01T08:00:00.5Z` is written
/// with three, six or no digits after the second.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            None => write!(f, "{} µs since 1970", self.0),
        }
    }
}

impl Day {
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// Its first instant, UTC.
    pub fn start(self) -> Instant {
        Instant(i64::from(self.0) * MICROS_PER_DAY)
    }

    /// The first instant after it, UTC.
    pub fn end(self) -> Instant {
        self.next().start()
    }

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0 - 1)
    }

    /// Reads `2026-06-01`.
    pub fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
        Some(Self(date.num_days_from_ce() - EPOCH_FROM_CE))
    }

    fn date(self) -> Option<NaiveDate> {
        NaiveDate::from_num_days_from_ce_opt(self.0 + EPOCH_FROM_CE)
    }
}

/// 1970-01-01 in days from the common era, as `chrono` counts them.
const EPOCH_FROM_CE: i32 = 719_163;

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

/// A span of time for people, in one unit: `5 min`, `36 h`, `3 days`.
pub fn span_text(micros: i64) -> String {
    const HOUR: i64 = 3_600 * MICROS_PER_SECOND;
    match micros / HOUR {
        0 => format!("{} min", micros / (HOUR / 60)),
        hours if hours < 72 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, zone: Tz, expect: Option<&str>) {
        let read = Instant::parse(text, zone).map(|instant| instant.to_string());
        assert_eq!(read.as_deref(), expect, "{text}");
    }

    #[test]
    fn reads_the_forms_that_logs_write() {
        check("2026-06-01T08:00:00Z", Tz::UTC, Some("2026-06-01T08:00:00Z"));
        check("2026-06-01T08:00:00.123456789Z", Tz::UTC, Some("2026-06-01T08:00:00.123456Z"));
        check("2026-06-01T08:00:00.5Z", Tz::UTC, Some("2026-06-01T08:00:00.500Z"));
        check("2024-02-29T23:59:59.999999Z", Tz::UTC, Some("2024-02-29T23:59:59.999999Z"));
        check("2026-06-01T08:00:00+02:00", Tz::UTC, Some("2026-06-01T06:00:00Z"));
        check("2026-06-01 08:00:00", Tz::UTC, Some("2026-06-01T08:00:00Z"));
        check("2026-06-01 08:00:00.123+00", Tz::UTC, Some("2026-06-01T08:00:00.123Z"));
        check("2026-06-01 08:00:00.123 UTC", Tz::UTC, Some("2026-06-01T08:00:00.123Z"));
        check("2026-06-01T08:00:00", Tz::Asia__Tokyo, Some("2026-05-31T23:00:00Z"));
        for nonsense in [
            "",
            "Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-06-01T24:00:00Z",
            "yesterday",
            "2026-06-01T08:00:00.Z",
        ] {
            check(nonsense, Tz::UTC, None);
        }
        // Beyond what a calendar holds, once its zone is taken off.
        check("+262142-12-31 23:59:59", Tz::America__New_York, None);
    }

    #[test]
    fn the_quick_reading_agrees_with_chrono() {
        for day in (18_262..47_482).step_by(17) {
            let instant = Day::from_days(day).start().plus_micros(i64::from(day) * 2_654_321 % MICROS_PER_DAY);
            assert_eq!(Instant::parse_utc(&instant.to_string()), Some(instant));
        }
    }

    #[test]
    fn a_local_time_that_happens_twice_is_the_earlier_and_one_that_never_does_is_the_jump() {
        check("2026-10-25T02:30:00", Tz::Europe__Berlin, Some("2026-10-25T00:30:00Z"));
        check("2026-03-29T02:30:00", Tz::Europe__Berlin, Some("2026-03-29T01:00:00Z"));
    }

    #[test]
    fn counts_since_1970_are_told_apart_by_their_size() {
        let expect = Instant::parse("2026-06-01T08:00:00Z", Tz::UTC);
        for count in [1_780_300_800, 1_780_300_800_000, 1_780_300_800_000_000, 1_780_300_800_000_000_000] {
            assert_eq!(Instant::from_epoch(count), expect, "{count}");
        }
        for count in [0, -1, 1, i64::MAX, i64::MIN] {
            assert_eq!(Instant::from_epoch(count), None, "{count}");
        }
    }

    #[test]
    fn days_are_half_open() {
        let day = Day::parse("2026-05-31").unwrap();
        assert_eq!(day.start().plus_micros(-1).day(), day.previous());
        assert_eq!(day.start().day(), day);
        assert_eq!(day.end().plus_micros(-1).day(), day);
        assert_eq!(day.end().day(), day.next());
        assert_eq!(day.to_string(), "2026-05-31");
        assert_eq!(Day::parse("2026-5-31"), None);
    }

    #[test]
    fn spans_are_told_in_one_unit() {
        for (minutes, expect) in [(5, "5 min"), (60, "1 h"), (36 * 60, "36 h"), (3 * 24 * 60, "3 days")] {
            assert_eq!(span_text(minutes * 60_000_000), expect);
        }
    }
}
