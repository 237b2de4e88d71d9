//! Boundaries of periods beside the world's zones.

use proptest::prelude::*;

use super::*;

const KINDS: [Period; 4] = [Period::Day, Period::Week, Period::Month, Period::Quarter];

fn instant(text: &str) -> Instant {
    Instant::parse(text, Tz::UTC).unwrap()
}

fn calendar(zone: &str, week_start: Weekday) -> Calendar {
    Calendar { zone: zone.parse().unwrap(), week_start }
}

/// The period that an instant is in, and the one that the instant before its
/// beginning is in.
fn check(zone: &str, kind: Period, at: &str, expect: &str) {
    let calendar = calendar(zone, Weekday::Mon);
    let span = calendar.period_of(instant(at), kind);
    let shown = format!("{} {} {}", span.name, span.from, span.until);
    assert_eq!(shown, expect, "{zone} {at}");
    assert!(span.contains(instant(at)), "{zone} {at}");
    assert_eq!(calendar.period_of(span.from, kind), span, "{zone} {at}");
    assert_eq!(calendar.period_of(span.until.plus_micros(-1), kind), span, "{zone} {at}");
    let before = calendar.period_of(span.from.plus_micros(-1), kind);
    assert_eq!((before.until, &before), (span.from, &calendar.before(&span)), "{zone} {at}");
    let after = calendar.period_of(span.until, kind);
    assert_eq!(after.from, span.until, "{zone} {at}");
}

#[test]
fn months_begin_where_people_live() {
    let check = |zone, at, expect| check(zone, Period::Month, at, expect);
    check("UTC", "2026-11-15T12:00:00Z", "2026-11 2026-11-01T00:00:00Z 2026-12-01T00:00:00Z");
    check("Asia/Tokyo", "2026-07-31T15:00:00Z", "2026-08 2026-07-31T15:00:00Z 2026-08-31T15:00:00Z");
    check("Asia/Tokyo", "2026-07-31T14:59:59.999999Z", "2026-07 2026-06-30T15:00:00Z 2026-07-31T15:00:00Z");
    check("Asia/Kolkata", "2026-11-15T12:00:00Z", "2026-11 2026-10-31T18:30:00Z 2026-11-30T18:30:00Z");
    check("Asia/Kathmandu", "2026-11-15T12:00:00Z", "2026-11 2026-10-31T18:15:00Z 2026-11-30T18:15:00Z");
    // Both clock changes of New York are inside of a month that begins with another offset.
    check("America/New_York", "2026-03-15T12:00:00Z", "2026-03 2026-03-01T05:00:00Z 2026-04-01T04:00:00Z");
    check("America/New_York", "2026-11-15T12:00:00Z", "2026-11 2026-11-01T04:00:00Z 2026-12-01T05:00:00Z");
    check("Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04 2026-03-31T22:00:00Z 2026-04-30T21:00:00Z");
    check("America/Havana", "2026-11-01T12:00:00Z", "2026-11 2026-11-01T04:00:00Z 2026-12-01T05:00:00Z");
    check("Pacific/Kiritimati", "2026-12-31T10:00:00Z", "2027-01 2026-12-31T10:00:00Z 2027-01-31T10:00:00Z");
}

#[test]
fn days_last_from_their_first_instant_to_the_next_ones() {
    let check = |zone, at, expect| check(zone, Period::Day, at, expect);
    check("America/New_York", "2026-03-08T12:00:00Z", "2026-03-08 2026-03-08T05:00:00Z 2026-03-09T04:00:00Z");
    check("America/New_York", "2026-11-01T12:00:00Z", "2026-11-01 2026-11-01T04:00:00Z 2026-11-02T05:00:00Z");
    // In Cairo the clock goes from 23:59:59 on the 23rd to 01:00 on the 24th.
    check("Africa/Cairo", "2026-04-23T21:59:59Z", "2026-04-23 2026-04-22T22:00:00Z 2026-04-23T22:00:00Z");
    check("Africa/Cairo", "2026-04-23T22:00:00Z", "2026-04-24 2026-04-23T22:00:00Z 2026-04-24T21:00:00Z");
    // And back from midnight at the end of October 29th to 23:00 of that day.
    check("Africa/Cairo", "2026-10-29T20:30:00Z", "2026-10-29 2026-10-28T21:00:00Z 2026-10-29T22:00:00Z");
    check("Africa/Cairo", "2026-10-29T21:30:00Z", "2026-10-29 2026-10-28T21:00:00Z 2026-10-29T22:00:00Z");
    // In Havana it is midnight at 04:00 and again at 05:00 UTC.
    check("America/Havana", "2026-11-01T04:00:00Z", "2026-11-01 2026-11-01T04:00:00Z 2026-11-02T05:00:00Z");
    check("America/Havana", "2026-11-01T05:00:00Z", "2026-11-01 2026-11-01T04:00:00Z 2026-11-02T05:00:00Z");
    // And from midnight to 01:00 in spring.
    check("America/Havana", "2026-03-08T05:00:00Z", "2026-03-08 2026-03-08T05:00:00Z 2026-03-09T04:00:00Z");
    check("Australia/Lord_Howe", "2026-04-04T15:30:00Z", "2026-04-05 2026-04-04T13:00:00Z 2026-04-05T13:30:00Z");
}

#[test]
fn weeks_and_quarters() {
    check("UTC", Period::Week, "2026-11-15T12:00:00Z", "2026-W46 2026-11-09T00:00:00Z 2026-11-16T00:00:00Z");
    check("UTC", Period::Week, "2027-01-03T12:00:00Z", "2026-W53 2026-12-28T00:00:00Z 2027-01-04T00:00:00Z");
    check("UTC", Period::Week, "2024-12-30T12:00:00Z", "2025-W01 2024-12-30T00:00:00Z 2025-01-06T00:00:00Z");
    check("Europe/Berlin", Period::Week, "2026-10-25T12:00:00Z", "2026-W43 2026-10-18T22:00:00Z 2026-10-25T23:00:00Z");
    check("UTC", Period::Quarter, "2026-11-15T12:00:00Z", "2026-Q4 2026-10-01T00:00:00Z 2027-01-01T00:00:00Z");
    check("Asia/Tokyo", Period::Quarter, "2026-03-31T15:00:00Z", "2026-Q2 2026-03-31T15:00:00Z 2026-06-30T15:00:00Z");
    let sunday = calendar("UTC", Weekday::Sun).period_of(instant("2026-11-15T12:00:00Z"), Period::Week);
    assert_eq!((sunday.name.as_str(), sunday.first.to_string().as_str()), ("2026-W46", "2026-11-15"));
    let saturday = calendar("UTC", Weekday::Sat).period_of(instant("2026-11-15T12:00:00Z"), Period::Week);
    assert_eq!((saturday.name.as_str(), saturday.first.to_string().as_str()), ("2026-W46", "2026-11-14"));
}

#[test]
fn weeks_that_begin_on_monday_are_numbered_as_iso_does() {
    for days in Instant::EARLIEST.day().days()..Instant::LATEST.day().days() {
        let name =
            Calendar { zone: Tz::UTC, week_start: Weekday::Mon }.period_with(Day::from_days(days), Period::Week).name;
        assert_eq!(name, date(Day::from_days(days)).format("%G-W%V").to_string());
    }
}

fn parsed(zone: &str, text: &str) -> String {
    match calendar(zone, Weekday::Mon).parse(text, instant("2026-11-20T20:00:00Z")) {
        Ok(span) => format!("{} {} {}", span.name, span.from, span.until),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reads_what_a_person_writes() {
    for (zone, text, expect) in [
        ("UTC", "month", "2026-11 2026-11-01T00:00:00Z 2026-12-01T00:00:00Z"),
        ("UTC", "last-month", "2026-10 2026-10-01T00:00:00Z 2026-11-01T00:00:00Z"),
        ("UTC", "week", "2026-W47 2026-11-16T00:00:00Z 2026-11-23T00:00:00Z"),
        ("UTC", "last-week", "2026-W46 2026-11-09T00:00:00Z 2026-11-16T00:00:00Z"),
        ("UTC", "day", "2026-11-20 2026-11-20T00:00:00Z 2026-11-21T00:00:00Z"),
        ("Asia/Tokyo", "day", "2026-11-21 2026-11-20T15:00:00Z 2026-11-21T15:00:00Z"),
        ("UTC", "quarter", "2026-Q4 2026-10-01T00:00:00Z 2027-01-01T00:00:00Z"),
        ("UTC", "last-quarter", "2026-Q3 2026-07-01T00:00:00Z 2026-10-01T00:00:00Z"),
        ("UTC", "2026-W46", "2026-W46 2026-11-09T00:00:00Z 2026-11-16T00:00:00Z"),
        ("UTC", "2026-W53", "2026-W53 2026-12-28T00:00:00Z 2027-01-04T00:00:00Z"),
        ("Asia/Tokyo", "2026-10", "2026-10 2026-09-30T15:00:00Z 2026-10-31T15:00:00Z"),
        ("UTC", "2026-Q1", "2026-Q1 2026-01-01T00:00:00Z 2026-04-01T00:00:00Z"),
        ("UTC", "2026-11-15", "2026-11-15 2026-11-15T00:00:00Z 2026-11-16T00:00:00Z"),
        ("UTC", "2026-11-01..2026-11-15", "2026-11-01..2026-11-15 2026-11-01T00:00:00Z 2026-11-15T00:00:00Z"),
        ("Asia/Kolkata", "2026-11-01..2026-11-02", "2026-11-01..2026-11-02 2026-10-31T18:30:00Z 2026-11-01T18:30:00Z"),
    ] {
        assert_eq!(parsed(zone, text), expect, "{zone} {text}");
    }
}

#[test]
fn says_why_a_text_is_no_period() {
    for text in [
        "",
        "months",
        "last-",
        "last-2026-10",
        "2026",
        "2026-W6",
        "2026-Q10",
        "2026-11-15..",
        "..",
        "٢٠٢٦-١١",
        "2026-1é",
    ] {
        assert!(parsed("UTC", text).contains("expected `month`"), "{text}");
    }
    for text in [
        "2026-13",
        "2026-00",
        "2026-W54",
        "2025-W53",
        "2026-W00",
        "2026-Q5",
        "2026-Q0",
        "2026-02-29",
        "2019-12",
        "2100-01",
    ] {
        assert!(parsed("UTC", text).contains("that there is between"), "{text}");
    }
    assert!(parsed("UTC", "2026-02-30..2026-03-01").contains("that there is between"));
    for text in ["2026-11-15..2026-11-15", "2026-11-15..2026-11-01"] {
        assert!(parsed("UTC", text).contains("expected the later day second"), "{text}");
    }
}

#[test]
fn the_days_before_some_days_are_as_many() {
    let calendar = calendar("UTC", Weekday::Mon);
    let span = calendar.parse("2026-11-08..2026-11-15", Instant::EARLIEST).unwrap();
    assert_eq!((span.days(), calendar.before(&span).name.as_str()), (7, "2026-11-01..2026-11-08"));
}

#[test]
fn an_instant_that_usage_cannot_have_is_no_panic() {
    for at in [i64::MIN, -1, 0, i64::MAX] {
        for kind in KINDS {
            for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
                let span = calendar(zone, Weekday::Sat).period_of(Instant::from_micros(at), kind);
                assert!(span.from < span.until);
            }
        }
    }
}

proptest! {
    /// Zones and instants of any kind: the period has the instant in it, and
    /// begins where the one before ends, by its own name.
    #[test]
    fn periods_tile_time(
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
        week_start in 0_u8..7,
        kind in prop::sample::select(&KINDS[..]),
        micros in Instant::EARLIEST.micros() + 200 * 86_400_000_000..Instant::LATEST.micros() - 200 * 86_400_000_000,
    ) {
        let calendar = Calendar { zone, week_start: Weekday::try_from(week_start).unwrap() };
        let at = Instant::from_micros(micros);
        let span = calendar.period_of(at, kind);
        prop_assert!(span.contains(at));
        prop_assert_eq!(&calendar.period_of(span.from, kind), &span);
        prop_assert_eq!(&calendar.period_of(span.until.plus_micros(-1), kind), &span);
        let after = calendar.period_of(span.until, kind);
        prop_assert_eq!(after.from, span.until);
        prop_assert_eq!(&calendar.before(&after), &span);
        prop_assert_eq!(&calendar.parse(&span.name, at).unwrap(), &span);
    }

    /// Totals of a quarter of an hour are enough: no period begins inside one.
    #[test]
    fn periods_begin_on_a_quarter_of_an_hour(
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
        micros in Instant::EARLIEST.micros()..Instant::LATEST.micros(),
    ) {
        let calendar = Calendar { zone, week_start: Weekday::Mon };
        let start = calendar.start_of(calendar.day_of(Instant::from_micros(micros)));
        prop_assert_eq!(start.micros() % (15 * 60 * 1_000_000), 0);
    }
}
