//! The page's axis of time: days where there are few, else weeks, else months,
//! all of the book's calendar, so that a year has no more points than a chart
//! can show. And the hours of a week, for the heat map.

use chrono::{Datelike, TimeZone, Timelike};
use serde::Serialize;

use crate::{
    periods::{Calendar, Period, PeriodSpan},
    report::render::words,
    time::{Day, Instant},
};

/// More days than these are shown as weeks, more weeks than these as months.
const MOST_SLOTS: i64 = 100;

/// Hours from Monday 00:00 to Sunday 23:00.
pub(super) const HOURS: usize = 7 * 24;

/// How long a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Day,
    Week,
    Month,
}

/// Stretches of time, one after the other; each is of at least a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    pub calendar: Calendar,
    pub step: Step,
    /// The first day of each, and the day after the last one.
    days: Vec<Day>,
    /// Where they begin, and where the last one ends.
    starts: Vec<Instant>,
}

impl Slots {
    /// Those of a period. The first and the last are cut off where it ends.
    pub(super) fn of(calendar: Calendar, first: Day, end: Day) -> Self {
        let length = i64::from(end.days()) - i64::from(first.days());
        let (step, kind) = match length {
            ..=MOST_SLOTS => (Step::Day, Period::Day),
            length if length <= MOST_SLOTS * 7 => (Step::Week, Period::Week),
            _ => (Step::Month, Period::Month),
        };
        let mut days = Vec::new();
        let mut day = first;
        while day < end {
            days.push(day);
            day = calendar.period_with(day, kind).end;
        }
        days.push(end.max(first.next()));
        if days.len() == 1 {
            days.insert(0, first);
        }
        let starts = days.iter().map(|&day| calendar.start_of(day)).collect();
        Self { calendar, step, days, starts }
    }

    pub(super) fn len(&self) -> usize {
        self.days.len() - 1
    }

    /// The day after the last one.
    pub(super) fn end(&self) -> Day {
        self.days[self.len()]
    }

    /// How many days they are.
    pub(super) fn days(&self) -> i64 {
        i64::from(self.end().days()) - i64::from(self.days[0].days())
    }

    /// The slot that an instant is in; what is outside is in the nearest.
    pub(super) fn at(&self, instant: Instant) -> usize {
        let after = self.starts.partition_point(|start| *start <= instant);
        after.saturating_sub(1).min(self.len() - 1)
    }

    /// The slot with a date; what is outside is in the nearest.
    pub(super) fn of_date(&self, date: Day) -> usize {
        let after = self.days.partition_point(|first| *first <= date);
        after.saturating_sub(1).min(self.len() - 1)
    }

    /// The first day of each, with what it is called.
    pub(super) fn named(&self) -> impl Iterator<Item = (Day, String)> {
        let name = |ends: &[Day]| match self.step {
            Step::Day => words::day(ends[0]),
            Step::Week | Step::Month => words::days(ends[0], ends[1].previous()),
        };
        self.days.windows(2).map(move |ends| (ends[0], name(ends)))
    }

    /// The hour of the week that an instant is in, by the clocks of the calendar.
    pub(super) fn hour(&self, instant: Instant) -> usize {
        let seconds = instant.micros().div_euclid(1_000_000);
        let hour = chrono::DateTime::from_timestamp(seconds, 0)
            .map_or(0, |utc| self.calendar.zone.from_utc_datetime(&utc.naive_utc()).hour());
        weekday(self.calendar.day_of(instant)) * 24 + usize::try_from(hour).unwrap_or_default()
    }
}

fn weekday(day: Day) -> usize {
    let date = chrono::NaiveDate::from_num_days_from_ce_opt(day.days().saturating_add(719_163));
    date.map_or(0, |date| usize::try_from(date.weekday().num_days_from_monday()).unwrap_or_default())
}

/// The period of a page where none is asked for: this month and the two before
/// it, from the first day that the book has.
pub(super) fn default_span(calendar: Calendar, now: Instant, first: Option<Day>) -> PeriodSpan {
    let this = calendar.period_of(now, Period::Month);
    let from = calendar.before(&calendar.before(&this)).first;
    let from = first.map_or(from, |first| from.max(first).min(this.first));
    calendar.days_between(from, this.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    fn calendar(zone: &str) -> Calendar {
        Calendar { zone: zone.parse().unwrap(), week_start: chrono::Weekday::Mon }
    }

    #[test]
    fn a_long_period_has_fewer_and_longer_slots() {
        for (first, end, step, slots, last) in [
            ("2026-06-01", "2026-07-01", Step::Day, 30, "30 June 2026"),
            ("2026-06-01", "2026-06-02", Step::Day, 1, "1 June 2026"),
            // Nothing is one day of it.
            ("2026-06-01", "2026-06-01", Step::Day, 1, "1 June 2026"),
            ("2025-05-07", "2026-06-11", Step::Week, 58, "8 to 10 June 2026"),
            ("2023-01-15", "2026-06-11", Step::Month, 42, "1 to 10 June 2026"),
        ] {
            let slots_of = Slots::of(calendar("UTC"), day(first), day(end));
            assert_eq!((slots_of.step, slots_of.len()), (step, slots), "{first} to {end}");
            assert_eq!(slots_of.named().last().unwrap().1, last);
            assert_eq!(slots_of.named().next().unwrap().0, day(first));
        }
    }

    #[test]
    fn an_instant_is_in_the_slot_and_hour_of_its_zone() {
        let slots = Slots::of(calendar("Asia/Kathmandu"), day("2026-06-01"), day("2026-06-08"));
        // 18:15 UTC is midnight there.
        let midnight = day("2026-06-03").start().plus_micros((18 * 60 + 15) * 60_000_000);
        assert_eq!((slots.at(midnight), slots.hour(midnight)), (3, 3 * 24));
        let before = midnight.plus_micros(-1);
        assert_eq!((slots.at(before), slots.hour(before)), (2, 2 * 24 + 23));
        assert_eq!((slots.at(Instant::EARLIEST), slots.at(Instant::LATEST)), (0, 6));
        for (date, slot) in [("2026-05-01", 0), ("2026-06-01", 0), ("2026-06-03", 2), ("2026-06-08", 6)] {
            assert_eq!(slots.of_date(day(date)), slot, "{date}");
        }
    }

    #[test]
    fn a_page_without_a_period_is_about_the_last_months_of_the_book() {
        let now = day("2026-06-19").start();
        for (first, expect) in [
            (None, "2026-04-01..2026-07-01"),
            (Some("2020-01-01"), "2026-04-01..2026-07-01"),
            (Some("2026-05-03"), "2026-05-03..2026-07-01"),
            // What is in the book lies in the future.
            (Some("2026-09-01"), "2026-06-01..2026-07-01"),
        ] {
            assert_eq!(default_span(calendar("UTC"), now, first.map(day)).name, expect);
        }
    }
}
