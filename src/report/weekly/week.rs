//! Which weeks are due. Pure.
//!
//! A scope's weeks are those of its calendar. The last full one is due from the
//! weekday of sending on, once; after missed nights the ones before are listed
//! in it. Where zone or week start changed, the first week that begins after
//! the last mailed one ended is the next, and days between them are a stretch
//! of their own.

use chrono::{Datelike, NaiveDate, Weekday};

use crate::{
    periods::{Calendar, Period, PeriodSpan},
    time::{Day, Instant},
};

/// What is to be mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub week: PeriodSpan,
    /// Weeks, or days between weeks, that were never mailed, in order.
    pub missed: Vec<PeriodSpan>,
}

/// At most so many missed weeks are listed.
const MOST_MISSED: usize = 12;

/// The last week that is over and whose day of sending has come.
pub(super) fn last_full(calendar: Calendar, send_on: Weekday, now: Instant) -> PeriodSpan {
    let mut week = calendar.before(&calendar.period_of(now, Period::Week));
    while now < calendar.start_of(first_on(send_on, week.end)) {
        week = calendar.before(&week);
    }
    week
}

/// The first such weekday from a day on.
fn first_on(weekday: Weekday, from: Day) -> Day {
    let of = |day: Day| NaiveDate::from_num_days_from_ce_opt(day.days() + 719_163).map(|date| date.weekday());
    let mut day = from;
    for _ in 0..6 {
        if of(day) == Some(weekday) {
            break;
        }
        day = day.next();
    }
    day
}

/// What is due of a scope whose last mailed week ended before `mailed_until`;
/// `None` where nothing was ever mailed. `first` is the first day with usage.
pub(super) fn due(
    calendar: Calendar,
    send_on: Weekday,
    now: Instant,
    mailed_until: Option<Day>,
    first: Instant,
) -> Option<Due> {
    let week = last_full(calendar, send_on, now);
    if week.until <= first || mailed_until.is_some_and(|end| week.first < end) {
        return None;
    }
    let missed = mailed_until.map_or_else(Vec::new, |end| between(calendar, end, &week));
    Some(Due { week, missed })
}

/// The weeks from a day up to a week; what is no whole week is days.
fn between(calendar: Calendar, from: Day, week: &PeriodSpan) -> Vec<PeriodSpan> {
    let mut missed = Vec::new();
    let mut end = week.clone();
    while from < end.first && missed.len() < MOST_MISSED {
        let before = calendar.before(&end);
        let span = if before.first < from { calendar.days_between(from, end.first) } else { before.clone() };
        missed.push(span);
        end = before;
    }
    missed.reverse();
    missed
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    const UTC: Calendar = Calendar { zone: Tz::UTC, week_start: Weekday::Mon };

    fn at(text: &str) -> Instant {
        Instant::parse(text, Tz::UTC).unwrap()
    }

    fn check(
        calendar: Calendar,
        send_on: Weekday,
        now: &str,
        mailed_until: Option<&str>,
        expect: Option<(&str, &[&str])>,
    ) {
        let until = mailed_until.map(|day| Day::parse(day).unwrap());
        let due = due(calendar, send_on, at(now), until, at("2026-10-07T12:00:00Z"));
        let found = due.map(|due| (due.week.name, due.missed.into_iter().map(|span| span.name).collect::<Vec<_>>()));
        let expect = expect.map(|(week, missed)| (week.to_owned(), missed.iter().map(|&it| it.to_owned()).collect()));
        assert_eq!(found, expect, "{now}, mailed until {mailed_until:?}");
    }

    #[test]
    fn the_last_full_week_is_due_once() {
        let monday = Weekday::Mon;
        check(UTC, monday, "2026-11-15T23:59:59Z", None, Some(("2026-W45", &[])));
        check(UTC, monday, "2026-11-16T00:00:00Z", None, Some(("2026-W46", &[])));
        check(UTC, monday, "2026-11-16T02:00:00Z", Some("2026-11-09"), Some(("2026-W46", &[])));
        check(UTC, monday, "2026-11-16T02:00:00Z", Some("2026-11-16"), None);
        check(UTC, monday, "2026-11-22T02:00:00Z", Some("2026-11-16"), None);
        // Nothing was used yet.
        check(UTC, monday, "2026-10-07T13:00:00Z", None, None);
        check(UTC, monday, "2026-10-12T13:00:00Z", None, Some(("2026-W41", &[])));
    }

    #[test]
    fn it_waits_for_its_weekday() {
        check(UTC, Weekday::Wed, "2026-11-17T23:00:00Z", Some("2026-11-09"), None);
        check(UTC, Weekday::Wed, "2026-11-18T00:00:00Z", Some("2026-11-09"), Some(("2026-W46", &[])));
        check(UTC, Weekday::Sun, "2026-11-21T23:00:00Z", Some("2026-11-09"), None);
        check(UTC, Weekday::Sun, "2026-11-22T00:00:00Z", Some("2026-11-09"), Some(("2026-W46", &[])));
    }

    #[test]
    fn missed_weeks_are_listed() {
        let monday = Weekday::Mon;
        check(UTC, monday, "2026-11-16T02:00:00Z", Some("2026-10-26"), Some(("2026-W46", &["2026-W44", "2026-W45"])));
        let many = due(
            UTC,
            monday,
            at("2028-11-16T02:00:00Z"),
            Some(Day::parse("2026-10-26").unwrap()),
            at("2026-10-07T00:00:00Z"),
        );
        assert_eq!(many.unwrap().missed.len(), MOST_MISSED);
    }

    #[test]
    fn another_zone_or_week_start_begins_at_the_first_new_week() {
        let sunday = Calendar { week_start: Weekday::Sun, ..UTC };
        // Mailed from Monday 9 to Sunday 15: the week from Sunday 15 was begun already.
        check(sunday, Weekday::Sun, "2026-11-22T02:00:00Z", Some("2026-11-16"), None);
        check(
            sunday,
            Weekday::Sun,
            "2026-11-29T02:00:00Z",
            Some("2026-11-16"),
            Some(("2026-W47", &["2026-11-16..2026-11-22"])),
        );
        let tokyo = Calendar { zone: Tz::Asia__Tokyo, ..UTC };
        check(tokyo, Weekday::Mon, "2026-11-15T15:00:00Z", Some("2026-11-09"), Some(("2026-W46", &[])));
        check(tokyo, Weekday::Mon, "2026-11-15T15:00:00Z", Some("2026-11-16"), None);
    }
}
