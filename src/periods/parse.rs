//! What `--period` can say.

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::{Calendar, Period, PeriodSpan, day};
use crate::time::{Day, Instant};

/// Why a text is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    #[error(
        "found the period `{0}`, expected `month`, `week`, `day` or `quarter`, one of them after `last-`, or one like `2026-11`, `2026-W46`, `2026-Q4`, `2026-11-15` or `2026-11-01..2026-11-15`"
    )]
    Unknown(String),
    #[error("found the period `{0}`, expected a day, a week or a month that there is between 2020 and 2100")]
    NoSuchTime(String),
    #[error(
        "found the period `{0}`, expected the later day second: the days up to it are meant, and not that day itself"
    )]
    Reversed(String),
}

impl Calendar {
    /// Reads a period: `month`, `week`, `day` and `quarter` are those that `now`
    /// is in, `last-month` is the one before; `2026-11`, `2026-W46`, `2026-Q4`
    /// and `2026-11-15` are named; `2026-11-01..2026-11-15` is from one day up
    /// to another, which is no longer in it.
    ///
    /// # Errors
    /// Where the text is none of these.
    pub fn parse(self, text: &str, now: Instant) -> Result<PeriodSpan, PeriodError> {
        let (word, is_last) = text.strip_prefix("last-").map_or((text, false), |word| (word, true));
        if let Some((_, kind)) = Period::ALL.into_iter().find(|(name, _)| *name == word) {
            let span = self.period_of(now, kind);
            return Ok(if is_last { self.before(&span) } else { span });
        }
        if let Some((first, end)) = text.split_once("..") {
            return self.parse_days(text, first, end);
        }
        self.parse_named(text)
    }

    fn parse_days(self, text: &str, first: &str, end: &str) -> Result<PeriodSpan, PeriodError> {
        if !looks_like(first, "0000-00-00") || !looks_like(end, "0000-00-00") {
            return Err(PeriodError::Unknown(text.to_owned()));
        }
        let no_such = || PeriodError::NoSuchTime(text.to_owned());
        let read = |text: &str| Day::parse(text).filter(|day| is_sane(*day)).ok_or_else(no_such);
        let (first, end) = (read(first)?, read(end)?);
        if end <= first {
            return Err(PeriodError::Reversed(text.to_owned()));
        }
        Ok(self.days_between(first, end))
    }

    fn parse_named(self, text: &str) -> Result<PeriodSpan, PeriodError> {
        let number = |from: usize| text.get(from..).and_then(|digits| digits.parse::<u32>().ok());
        let year = || text.get(..4).and_then(|digits| digits.parse::<i32>().ok());
        let (first, kind) = if looks_like(text, "0000-00-00") {
            (Day::parse(text), Period::Day)
        } else if looks_like(text, "0000-00") {
            (month(year(), number(5)), Period::Month)
        } else if looks_like(text, "0000-W00") {
            (year().zip(number(6)).and_then(|(year, week)| self.week(year, week)), Period::Week)
        } else if looks_like(text, "0000-Q0") {
            let quarter = number(6).filter(|quarter| (1..=4).contains(quarter));
            (month(year(), quarter.map(|quarter| quarter * 3 - 2)), Period::Quarter)
        } else {
            return Err(PeriodError::Unknown(text.to_owned()));
        };
        let first = first.filter(|day| is_sane(*day)).ok_or_else(|| PeriodError::NoSuchTime(text.to_owned()))?;
        Ok(self.period_with(first, kind))
    }

    /// A day of a numbered week: the one in its middle.
    fn week(self, year: i32, week: u32) -> Option<Day> {
        let new_year = NaiveDate::from_ymd_opt(year, 1, 1)?;
        let middle = self.week_start.days_since(new_year.weekday()) + 3;
        let middle =
            new_year + TimeDelta::days(i64::from(middle % 7)) + TimeDelta::weeks(i64::from(week.checked_sub(1)?));
        (middle.year() == year).then(|| day(middle))
    }
}

fn month(year: Option<i32>, month: Option<u32>) -> Option<Day> {
    NaiveDate::from_ymd_opt(year?, month?, 1).map(day)
}

/// Whether usage can have happened then. The middle of the first and last week
/// of the range is in it.
fn is_sane(day: Day) -> bool {
    day.start().is_sane()
}

/// Whether a text has a digit where the form has one, and the same elsewhere.
fn looks_like(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(
            |(byte, form)| {
                if form == b'0' { byte.is_ascii_digit() } else { byte == form }
            },
        )
}
