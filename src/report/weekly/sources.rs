//! How complete a week is: on which of its days each source was heard.

use std::collections::BTreeMap;

use polars::prelude::*;

use crate::{
    book::{Book, layout::DayTable},
    charges::{ChargesError, DayFile},
    config::Role,
    periods::PeriodSpan,
    report::{ReportError, SourceState},
    time::{Day, Instant},
};

use super::summary::Span;

/// A source in a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceWeek {
    pub name: String,
    /// Days with requests of it.
    pub heard: usize,
    /// Days in a gap that is longer than the source may be silent.
    pub missing: Vec<Day>,
    /// Nothing of it in the week, nor shortly before.
    pub is_unheard: bool,
    /// And that is longer than it may be.
    pub is_silent: bool,
}

/// First and last requests of each source, day by day, in order.
#[derive(Debug, Default)]
pub(super) struct Heard(BTreeMap<String, Vec<(Instant, Instant)>>);

/// So far before a week its sources are looked for.
const BACK_DAYS: i32 = 15;

impl Heard {
    /// Reads them for weeks from one instant to another.
    pub(super) fn read(book: &Book, from: Instant, until: Instant) -> Result<Self, ReportError> {
        let mut heard = Self::default();
        let days = from.day().days() - BACK_DAYS..=until.day().days() + 1;
        for day in book.days(DayTable::Usage)?.into_iter().filter(|day| days.contains(&day.days())) {
            let Some(file) = DayFile::open(book, DayTable::Usage, day)? else { continue };
            let mut of_day: BTreeMap<String, (Instant, Instant)> = BTreeMap::new();
            for (start, length) in file.slices() {
                let ends = file.frame(&["source", "ts"], start, length).and_then(|frame| {
                    ends(frame).map_err(|source| ChargesError::Engine { path: file.path.clone(), source })
                })?;
                for (source, first, last) in ends {
                    let both = of_day.entry(source).or_insert((first, last));
                    *both = (both.0.min(first), both.1.max(last));
                }
            }
            for (source, both) in of_day {
                heard.0.entry(source).or_default().push(both);
            }
        }
        Ok(heard)
    }

    /// The sources as they were at an instant: what came later is not known yet,
    /// so that a week looks the same whenever it is looked at.
    pub(super) fn at(&self, at: Instant, sources: &[SourceState]) -> Vec<SourceState> {
        let state = |now: &SourceState| {
            let days = self.0.get(&now.name).map(Vec::as_slice).unwrap_or_default();
            let last = days.iter().filter(|(first, _)| *first < at).map(|&(_, last)| last.min(at)).max();
            let last = last.or(now.last.filter(|last| *last < at));
            now.heard_at(last, at)
        };
        sources.iter().map(state).collect()
    }

    /// The week of every source of the books, which are as they were at its end.
    /// `known_until` is up to when logs
    /// were read.
    pub(super) fn of_week(&self, sources: &[SourceState], span: &Span, known_until: Instant) -> Vec<SourceWeek> {
        let books = sources.iter().filter(|source| source.role == Role::Books);
        books
            .map(|source| {
                let heard = self.0.get(&source.name).map(Vec::as_slice).unwrap_or_default();
                let week = week(&source.name, source.silent_after_micros, heard, span, known_until);
                SourceWeek { is_silent: week.is_unheard && source.is_silent, ..week }
            })
            .collect()
    }
}

fn ends(frame: DataFrame) -> PolarsResult<Vec<(String, Instant, Instant)>> {
    let at = || col("ts").to_physical();
    let ends = [at().min().alias("first"), at().max().alias("last")];
    let ends = frame.lazy().group_by([col("source")]).agg(ends).collect()?;
    let names = ends.column("source")?.str()?.iter();
    let times = ends.column("first")?.i64()?.iter().zip(ends.column("last")?.i64()?.iter());
    let end = |(name, (first, last)): (Option<&str>, (Option<i64>, Option<i64>))| {
        Some((name?.to_owned(), Instant::from_micros(first?), Instant::from_micros(last?)))
    };
    Ok(names.zip(times).filter_map(end).collect())
}

fn week(name: &str, silent_after: i64, heard: &[(Instant, Instant)], span: &Span, known_until: Instant) -> SourceWeek {
    let PeriodSpan { first, end, .. } = span.week;
    let (name, is_unheard) = (name.to_owned(), heard.is_empty());
    let mut source = SourceWeek { name, heard: 0, missing: Vec::new(), is_unheard, is_silent: false };
    let mut day = first;
    while day < end {
        let (from, until) = (span.calendar.start_of(day), span.calendar.start_of(day.next()));
        // A UTC day has one entry with both its ends: enough to tell whether a
        // local day, which two of them cover, has none.
        let is_heard = heard.iter().any(|&(one, other)| one < until && from <= other);
        if is_heard {
            source.heard += 1;
        } else {
            let before = heard.iter().map(|&(_, last)| last).filter(|&last| last < from).max();
            let after = heard.iter().map(|&(first, _)| first).find(|&first| until <= first).unwrap_or(known_until);
            if before.is_some_and(|before| after.micros() - before.micros() > silent_after) {
                source.missing.push(day);
            }
        }
        day = day.next();
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::periods::{Calendar, Period};

    fn at(text: &str) -> Instant {
        Instant::parse(text, chrono_tz::Tz::UTC).unwrap()
    }

    #[test]
    fn a_day_is_missing_in_a_gap_that_is_too_long() {
        const HOUR: i64 = 3_600_000_000;
        let calendar = Calendar { zone: chrono_tz::Tz::UTC, week_start: chrono::Weekday::Mon };
        let span = Span::of(calendar, calendar.period_of(at("2026-11-10T00:00:00Z"), Period::Week));
        let whole = |day: &str| (at(&format!("{day}T00:10:00Z")), at(&format!("{day}T23:50:00Z")));
        let check = |heard: &[&str], silent_after: i64, days: usize, missing: &[&str]| {
            let heard: Vec<_> = heard.iter().map(|day| whole(day)).collect();
            let week = week("gateway", silent_after * HOUR, &heard, &span, at("2026-11-16T02:00:00Z"));
            let found: Vec<String> = week.missing.iter().map(ToString::to_string).collect();
            assert_eq!((week.heard, found.iter().map(String::as_str).collect::<Vec<_>>()), (days, missing.to_vec()));
        };
        let all = [
            "2026-11-08",
            "2026-11-09",
            "2026-11-10",
            "2026-11-11",
            "2026-11-12",
            "2026-11-13",
            "2026-11-14",
            "2026-11-15",
        ];
        check(&all, 36, 7, &[]);
        // A quiet Saturday is no gap of 36 hours, a weekend is.
        check(&[&all[..6], &all[7..]].concat(), 36, 6, &[]);
        check(&[&all[..6], &all[7..]].concat(), 12, 6, &["2026-11-14"]);
        check(&all[..6], 36, 5, &["2026-11-14", "2026-11-15"]);
        check(&all[..1], 36, 0, &all[1..]);
        check(&all[..1], 9 * 24, 0, &[]);
        check(&[], 36, 0, &[]);
    }
}
