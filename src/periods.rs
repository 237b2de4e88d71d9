//! Days, weeks, months and quarters of a calendar, as instants.
//!
//! A [`Calendar`] is a zone and a first day of the week. Its days tile time: a
//! day begins at its first existing instant and lasts until the next one
//! begins, be that 23, 24 or 25 hours later; what is longer is made of whole
//! days. So no instant is in two periods of a kind, and none is in none.
//! Instants that usage cannot have are taken as the nearest that it can.

mod parse;

use chrono::{Datelike, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;

pub use crate::config::Period;
pub use parse::PeriodError;

use crate::time::{Day, Instant};

/// Whose days and weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    pub zone: Tz,
    /// The first day of the week.
    pub week_start: Weekday,
}

/// A period, `[from, until)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodSpan {
    pub from: Instant,
    pub until: Instant,
    /// Its first day in the calendar's zone.
    pub first: Day,
    /// The first day after it.
    pub end: Day,
    /// `2026-11-15`, `2026-W46`, `2026-11`, `2026-Q4`, or `2026-11-01..2026-11-15`,
    /// whose last day is not in it.
    pub name: String,
    /// `None` for days from one to another.
    pub kind: Option<Period>,
}

impl PeriodSpan {
    pub fn contains(&self, instant: Instant) -> bool {
        (self.from..self.until).contains(&instant)
    }

    pub fn days(&self) -> i64 {
        i64::from(self.end.days()) - i64::from(self.first.days())
    }
}

/// The period of a kind that an instant is in.
pub fn period_of(instant: Instant, zone: Tz, kind: Period, week_start: Weekday) -> PeriodSpan {
    Calendar { zone, week_start }.period_of(instant, kind)
}

impl Calendar {
    /// The first existing instant of a day.
    pub fn start_of(self, day: Day) -> Instant {
        Instant::from_local(date(day).and_time(NaiveTime::MIN), self.zone)
            // No zone skips more than the day that this already looks beyond.
            .unwrap_or_else(|| day.start())
    }

    /// The day that an instant is in.
    pub fn day_of(self, instant: Instant) -> Day {
        let instant = instant.clamp(Instant::EARLIEST, Instant::LATEST);
        let utc = date(instant.day()).and_time(NaiveTime::MIN)
            + TimeDelta::microseconds(instant.micros() - instant.day().start().micros());
        let mut found = day(self.zone.from_utc_datetime(&utc).date_naive());
        // Clocks that are set back over midnight show a date twice; a day is
        // what lies between its first instant and that of the next.
        while instant < self.start_of(found) {
            found = found.previous();
        }
        while instant >= self.start_of(found.next()) {
            found = found.next();
        }
        found
    }

    /// The period of a kind that an instant is in.
    pub fn period_of(self, instant: Instant, kind: Period) -> PeriodSpan {
        self.period_with(self.day_of(instant), kind)
    }

    /// The period of a kind that a day is in.
    pub fn period_with(self, day: Day, kind: Period) -> PeriodSpan {
        let first = self.first_day(date(day), kind);
        let (end, name) = match kind {
            Period::Day => (first + TimeDelta::days(1), first.format("%Y-%m-%d").to_string()),
            Period::Week => (first + TimeDelta::days(7), week_name(first)),
            Period::Month => (first + Months::new(1), first.format("%Y-%m").to_string()),
            Period::Quarter => (first + Months::new(3), format!("{}-Q{}", first.year(), first.month0() / 3 + 1)),
        };
        self.span(first, end, name, Some(kind))
    }

    /// The days from one to another, which is no longer in it.
    pub fn days_between(self, first: Day, end: Day) -> PeriodSpan {
        self.span(date(first), date(end), format!("{first}..{end}"), None)
    }

    /// The period before one: of the same kind, or of as many days.
    pub fn before(self, span: &PeriodSpan) -> PeriodSpan {
        if let Some(kind) = span.kind {
            return self.period_with(span.first.previous(), kind);
        }
        let days = span.end.days() - span.first.days();
        self.days_between(Day::from_days(span.first.days() - days), span.first)
    }

    fn first_day(self, date: NaiveDate, kind: Period) -> NaiveDate {
        let back = match kind {
            Period::Day => 0,
            Period::Week => date.weekday().days_since(self.week_start),
            Period::Month => date.day0(),
            Period::Quarter => {
                let first = date - TimeDelta::days(i64::from(date.day0()));
                return first - Months::new(first.month0() % 3);
            }
        };
        date - TimeDelta::days(i64::from(back))
    }

    fn span(self, first: NaiveDate, end: NaiveDate, name: String, kind: Option<Period>) -> PeriodSpan {
        let (first, end) = (day(first), day(end));
        PeriodSpan { from: self.start_of(first), until: self.start_of(end), first, end, name, kind }
    }
}

/// A week is numbered by the day in its middle: the ISO week where weeks begin
/// on Monday, and as near to it as can be where they do not.
fn week_name(first: NaiveDate) -> String {
    let middle = first + TimeDelta::days(3);
    format!("{}-W{:02}", middle.year(), middle.ordinal0() / 7 + 1)
}

/// As `chrono` has it; days outside of the sane range become the nearest in it.
fn date(day: Day) -> NaiveDate {
    // A margin, so that what is around the first and last instant is right too.
    let (earliest, latest) = (Instant::EARLIEST.day().days() - 1_000, Instant::LATEST.day().days() + 1_000);
    NaiveDate::default() + TimeDelta::days(i64::from(day.days().clamp(earliest, latest)))
}

fn day(date: NaiveDate) -> Day {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    Day::from_days(i32::try_from(days).expect("all dates of chrono are days in an i32"))
}

#[cfg(test)]
mod tests;
