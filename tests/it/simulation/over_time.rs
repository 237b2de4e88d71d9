//! What a config said when, as the model remembers it.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};

/// A calendar month in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Month {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) name: String,
}

impl Month {
    pub(crate) fn of(micros: i64) -> Self {
        let date = DateTime::<Utc>::from_timestamp_micros(micros).expect("a time").date_naive();
        let first = NaiveDate::from_ymd_opt(date.year(), date.month(), 1).expect("a month begins");
        let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
        let next = first.checked_add_months(Months::new(1)).expect("a month ends");
        Self { from: start(first), until: start(next), name: first.format("%Y-%m").to_string() }
    }
}

/// The values of one thing. What is seen first has always stood, what is seen
/// later stands from the beginning of the month that is open then.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverTime<T>(Vec<(i64, T)>);

impl<T: Clone + PartialEq> OverTime<T> {
    pub(crate) fn observe(&mut self, value: &T, now: i64) {
        if self.0.last().is_none_or(|(_, last)| last != value) {
            let since = if self.0.is_empty() { i64::MIN } else { Month::of(now).from };
            self.0.push((since, value.clone()));
        }
    }

    /// What was learnt last covers what was learnt before.
    pub(crate) fn at(&self, micros: i64) -> &T {
        let found = self.0.iter().rev().find(|(since, _)| *since <= micros);
        &found.expect("something was observed").1
    }
}
