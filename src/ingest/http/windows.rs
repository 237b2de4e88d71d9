//! Which days a source is asked for.

use std::sync::Arc;

use super::Endpoint;
use crate::{
    config::Remote,
    time::{Day, Instant},
};

/// A day of a source, to be asked for.
#[derive(Debug, Clone)]
pub(in super::super) struct Window {
    pub(in super::super) endpoint: Arc<Endpoint>,
    pub(in super::super) day: Day,
}

impl Window {
    /// As it is known in state, quarantine and messages.
    pub(in super::super) fn name(&self) -> String {
        Self::name_of(&self.endpoint, self.day)
    }

    pub(in super::super) fn name_of(endpoint: &Endpoint, day: Day) -> String {
        format!("{}#{day}", endpoint.place())
    }

    /// The day in such a name, where it is one of this endpoint.
    pub(in super::super) fn day_of(endpoint: &Endpoint, name: &str) -> Option<Day> {
        Day::parse(name.strip_prefix(endpoint.place())?.strip_prefix('#')?)
    }
}

/// How far back the first run asks, where the config does not say.
const FIRST_DAYS: i32 = 30;

/// The days from the first that is wanted to today, each with whether it is to
/// be asked for: it was not yet, or not since it had been closed for as long as
/// its look-back. `asked_at` is when a day was read to its end the last time,
/// `known` the first day that was ever asked for: after a long time without an
/// answer, the days since then are still wanted.
pub(in super::super) fn wanted(
    remote: &Remote,
    now: Instant,
    known: Option<Day>,
    asked_at: impl Fn(Day) -> Option<Instant>,
) -> Vec<(Day, bool)> {
    const DAY: i64 = 86_400 * 1_000_000;
    let today = now.day();
    let back = Day::from_days(today.days() - FIRST_DAYS);
    let first = remote.since.unwrap_or_else(|| known.map_or(back, |known| known.min(back)));
    let settled = |day: Day| day.end().plus_micros(i64::from(remote.lookback_days) * DAY);
    (first.days()..=today.days())
        .map(Day::from_days)
        .map(|day| (day, asked_at(day).is_none_or(|asked| asked < settled(day))))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;

    fn remote(since: Option<&str>, lookback_days: u32) -> Remote {
        Remote {
            url: String::new(),
            token: None,
            username: None,
            account: None,
            gateway: None,
            since: since.and_then(Day::parse),
            lookback_days,
            timeout: Duration::from_secs(1),
            ca_file: None,
        }
    }

    fn instant(text: &str) -> Instant {
        Instant::parse(text, chrono_tz::Tz::UTC).unwrap()
    }

    #[test]
    fn the_first_run_asks_for_all_of_it() {
        let days = wanted(&remote(None, 3), instant("2026-06-10T04:00:00Z"), None, |_| None);
        assert_eq!(days.len(), 31);
        assert_eq!((days[0].0.to_string(), days[30].0.to_string()), ("2026-05-11".into(), "2026-06-10".into()));
        assert!(days.iter().all(|(_, wanted)| *wanted));
        let from = remote(Some("2026-06-09"), 3);
        assert_eq!(wanted(&from, instant("2026-06-10T04:00:00Z"), None, |_| None).len(), 2);
        assert_eq!(wanted(&from, instant("2026-06-01T04:00:00Z"), None, |_| None), []);
    }

    #[test]
    fn days_that_never_came_are_wanted_however_long_ago_they_were() {
        let asked = |day: Day| (day.to_string().as_str() < "2026-05-01").then(|| day.end().plus_micros(i64::MAX >> 4));
        let wanted_days = |known: Option<&str>, since: Option<&str>| {
            let known = known.map(|day| Day::parse(day).unwrap());
            let days = wanted(&remote(since, 3), instant("2026-06-10T04:00:00Z"), known, asked);
            let days: Vec<Day> = days.into_iter().filter_map(|(day, wanted)| wanted.then_some(day)).collect();
            (days.len(), days[0].to_string())
        };
        assert_eq!(wanted_days(Some("2026-03-01"), None), (41, "2026-05-01".to_owned()));
        assert_eq!(wanted_days(Some("2026-06-01"), None), (31, "2026-05-11".to_owned()));
        assert_eq!(wanted_days(Some("2026-03-01"), Some("2026-06-02")), (9, "2026-06-02".to_owned()));
    }

    /// Night after night, and after nights that did not run, a day is asked for
    /// until it has been closed for long enough.
    #[test]
    fn a_day_is_asked_for_again_until_it_is_settled() {
        let remote = remote(Some("2026-06-01"), 3);
        let mut asked: BTreeMap<Day, Instant> = BTreeMap::new();
        let mut night = |now: &str| {
            let now = instant(now);
            let days: Vec<Day> = wanted(&remote, now, None, |day| asked.get(&day).copied())
                .into_iter()
                .filter_map(|(day, wanted)| wanted.then_some(day))
                .collect();
            asked.extend(days.iter().map(|&day| (day, now)));
            days.iter().map(|day| day.to_string()[8..].to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(night("2026-06-01T12:00:00Z"), "01");
        assert_eq!(night("2026-06-02T02:00:00Z"), "01 02");
        assert_eq!(night("2026-06-03T02:00:00Z"), "01 02 03");
        assert_eq!(night("2026-06-04T02:00:00Z"), "01 02 03 04");
        assert_eq!(night("2026-06-05T02:00:00Z"), "01 02 03 04 05");
        assert_eq!(night("2026-06-05T03:00:00Z"), "02 03 04 05");
        let later = "02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20";
        assert_eq!(night("2026-06-20T02:00:00Z"), later);
        assert_eq!(night("2026-06-21T02:00:00Z"), "17 18 19 20 21");
    }
}
