//! How much will have been spent at the end of a period.
//!
//! The one place where money meets floats: amounts come in by [`dollars`] and
//! go out by [`usd`]. Past weeks say how a week goes, hour by hour; this period
//! says how much more or less than that it is. Without two past weeks every
//! hour counts the same. The range is one in which four of five such periods
//! would end, if days went on to differ as they did; with too little to go by
//! there is no forecast.

#![expect(clippy::float_arithmetic, reason = "a forecast is a guess, not an amount that anyone pays")]

use chrono::{Datelike, TimeZone, Timelike};

use crate::{
    config::Pool,
    money::Usd,
    periods::{Calendar, PeriodSpan},
    time::{Day, Instant},
};

/// A quarter of an hour: what is summed at once.
const STEP_MICROS: i64 = 900_000_000;
const DAY_MICROS: f64 = 86_400_000_000.0;
const HOURS_OF_WEEK: usize = 7 * 24;
/// How many weeks before a period show how a week goes.
pub const WEEKS_BACK: i32 = 8;
const FEWEST_WEEKS: i32 = 2;
/// The part of a period that must be known where there are no past weeks, and
/// for which the past weeks count where there are.
const LEAST_KNOWN: f64 = 0.05;
const PAST_COUNTS_FOR: f64 = 0.1;
/// Standard deviations to either side that hold four of five.
const FOUR_OF_FIVE: f64 = 1.281_551_565_5;
/// How much days differ, where fewer than three show it: by as much as they cost.
const DAYS_DIFFER: f64 = 1.0;

/// What the end of a period will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forecast {
    Known(Projection),
    /// The same for what is known; what is not comes on top.
    AtLeast(Projection),
    Unknown(Unforeseen),
}

impl Forecast {
    /// What it says where a part of the spend is not known.
    pub(super) fn at_least(self) -> Self {
        match self {
            Self::Known(projection) => Self::AtLeast(projection),
            other => other,
        }
    }

    pub fn projection(&self) -> Option<&Projection> {
        match self {
            Self::Known(projection) | Self::AtLeast(projection) => Some(projection),
            Self::Unknown(_) => None,
        }
    }
}

/// A guess and its range, never below what is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    pub spend: Usd,
    pub low: Usd,
    pub high: Usd,
    pub method: Method,
    /// When the budget will be reached, where it is not and the forecast says
    /// that it will be in this period.
    pub reaches_at: Option<Instant>,
}

/// What a forecast goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Nothing: the period is over.
    Over,
    /// This period's pace alone. Thin: it knows no weekend.
    Pace,
    /// This period's pace and how so many past weeks went.
    Weeks(i32),
}

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unforeseen {
    #[error("too little of the period is known, and no two weeks before it")]
    TooEarly,
    #[error("sums beyond any budget")]
    TooLarge,
}

/// The period that a forecast is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) calendar: Calendar,
    pub(super) span: &'a PeriodSpan,
    /// From when its spend counts.
    pub(super) from: Instant,
    pub(super) seen_until: Instant,
    pub(super) spent: Usd,
    pub(super) budget: Usd,
}

/// The cost of a bucket, and the part of it that counts, of [`Pool::WHOLE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Spend {
    pub(super) bucket: Instant,
    pub(super) cost: Usd,
    pub(super) share: i64,
}

/// Guesses the end of a period; `spends` gives what was spent between two
/// instants.
pub(super) fn forecast(ask: Ask<'_>, spends: impl Fn(Instant, Instant) -> Vec<Spend>) -> Forecast {
    if ask.seen_until >= ask.span.until {
        let spend = ask.spent;
        let over = Projection { spend, low: spend, high: spend, method: Method::Over, reaches_at: None };
        return Forecast::Known(over);
    }
    let seen_until = ask.seen_until.max(ask.from);
    // A day on which nothing is ever spent has nothing to compare with.
    let says_something = |week: &Week| Weights::new(&ask, seen_until, Some(week)).whole() > 0.0;
    let week = Week::of_past(&ask, &spends).filter(says_something);
    let weights = Weights::new(&ask, seen_until, week.as_ref());
    let (method, past) = match &week {
        Some(week) => (Method::Weeks(week.weeks), PAST_COUNTS_FOR * weights.whole()),
        None if weights.known < LEAST_KNOWN * weights.whole() => return Forecast::Unknown(Unforeseen::TooEarly),
        None => (Method::Pace, 0.0),
    };
    let so_far = dollars(ask.spent);
    // How many dollars a unit of weight is worth in this period.
    let pace = (so_far + past) / (weights.known + past);
    let rest = pace * weights.left;
    let differ = week.as_ref().map_or_else(|| days_differ(&ask, seen_until, &spends), |week| week.days_differ);
    let days = |from: Instant, until: Instant| float(until.micros() - from.micros()) / DAY_MICROS;
    let days_left = days(seen_until, ask.span.until);
    let days_known = days(ask.from, seen_until)
        + if week.is_some() { PAST_COUNTS_FOR * days(ask.from, ask.span.until) } else { 0.0 };
    let margin = FOUR_OF_FIVE * differ * (1.0 / days_left + 1.0 / days_known).sqrt() * rest;
    let with = |rest: f64| usd(rest.max(0.0)).and_then(|rest| ask.spent.checked_add(rest));
    let (Some(spend), Some(low), Some(high)) = (with(rest), with(rest - margin), with(rest + margin)) else {
        return Forecast::Unknown(Unforeseen::TooLarge);
    };
    let is_reached_later = ask.spent < ask.budget && ask.budget <= spend;
    let missing = dollars(ask.budget) - so_far;
    let reaches_at = if is_reached_later { weights.when(seen_until, missing / pace) } else { None };
    Forecast::Known(Projection { spend, low, high, method, reaches_at })
}

/// How a week went: what each of its hours cost on average.
struct Week {
    weeks: i32,
    /// From Monday on, in dollars.
    hours: [f64; HOURS_OF_WEEK],
    /// The standard deviation of a day from what its weekday costs, as a part of
    /// what a day costs.
    days_differ: f64,
}

impl Week {
    /// `None` where fewer than two whole weeks before the period are known, or
    /// nothing was spent in them.
    fn of_past(ask: &Ask<'_>, spends: &impl Fn(Instant, Instant) -> Vec<Spend>) -> Option<Self> {
        let first = ask.span.first;
        let back = |weeks: i32| Day::from_days(first.days() - weeks * 7);
        let spends = spends(ask.calendar.start_of(back(WEEKS_BACK)), ask.span.from);
        // A team that is new has no weeks before it began.
        let begins = spends.iter().map(|spend| spend.bucket).min()?;
        let weeks = (first.days() - ask.calendar.day_of(begins).days()) / 7;
        if weeks < FEWEST_WEEKS {
            return None;
        }
        let since = back(weeks);
        let known_from = ask.calendar.start_of(since);
        let mut hours = [0.0; HOURS_OF_WEEK];
        let mut days = vec![0.0; usize::try_from(weeks * 7).ok()?];
        for spend in spends.iter().filter(|spend| known_from <= spend.bucket) {
            let cost = spend.dollars();
            hours[hour_of_week(ask.calendar, spend.bucket)] += cost / f64::from(weeks);
            let day = ask.calendar.day_of(spend.bucket).days() - since.days();
            if let Some(sum) = usize::try_from(day).ok().and_then(|day| days.get_mut(day)) {
                *sum += cost;
            }
        }
        let mean = days.iter().sum::<f64>() / f64::from(weeks * 7);
        if mean <= 0.0 {
            return None;
        }
        let weekday_mean = |day: usize| days.iter().skip(day % 7).step_by(7).sum::<f64>() / f64::from(weeks);
        let squares: f64 = days.iter().enumerate().map(|(day, cost)| (cost - weekday_mean(day)).powi(2)).sum();
        // Seven averages were taken from the same days.
        let variance = squares / f64::from((weeks - 1) * 7);
        Some(Self { weeks, hours, days_differ: variance.sqrt() / mean })
    }
}

/// What each step of a period weighs: dollars of a usual week, or one where
/// there is none to compare with.
struct Weights<'a> {
    ask: &'a Ask<'a>,
    week: Option<&'a Week>,
    /// Of what has been seen, and of what has not.
    known: f64,
    left: f64,
}

impl<'a> Weights<'a> {
    fn new(ask: &'a Ask<'a>, seen_until: Instant, week: Option<&'a Week>) -> Self {
        let mut weights = Self { ask, week, known: 0.0, left: 0.0 };
        weights.known = weights.between(ask.from, seen_until).map(|(_, weight)| weight).sum();
        weights.left = weights.between(seen_until, ask.span.until).map(|(_, weight)| weight).sum();
        weights
    }

    fn whole(&self) -> f64 {
        self.known + self.left
    }

    /// Steps with the instant at which they end.
    fn between(&self, from: Instant, until: Instant) -> impl Iterator<Item = (Instant, f64)> {
        let mut at = from;
        std::iter::from_fn(move || {
            let begin = at;
            let step_end = begin.micros() - begin.micros().rem_euclid(STEP_MICROS) + STEP_MICROS;
            at = Instant::from_micros(step_end).min(until);
            let part = float(at.micros() - begin.micros()) / float(STEP_MICROS);
            let hour = |week: &Week| week.hours[hour_of_week(self.ask.calendar, begin)] / 4.0;
            (begin < until).then(|| (at, part * self.week.map_or(1.0, hour)))
        })
    }

    /// The end of the step in which so much weight has gone by.
    fn when(&self, from: Instant, weight: f64) -> Option<Instant> {
        let mut left = weight;
        self.between(from, self.ask.span.until).find_map(|(end, weight)| {
            left -= weight;
            (left <= 0.0).then_some(end)
        })
    }
}

/// How much the whole days of this period that are known differ, as a part of
/// what a day costs.
fn days_differ(ask: &Ask<'_>, seen_until: Instant, spends: &impl Fn(Instant, Instant) -> Vec<Spend>) -> f64 {
    let first = ask.calendar.day_of(ask.from);
    let end = ask.calendar.day_of(seen_until);
    let Some(count) = usize::try_from(end.days() - first.days()).ok().filter(|&count| count >= 3) else {
        return DAYS_DIFFER;
    };
    let mut days = vec![0.0; count];
    for spend in spends(ask.from, ask.calendar.start_of(end)) {
        let day = ask.calendar.day_of(spend.bucket).days() - first.days();
        if let Some(sum) = usize::try_from(day).ok().and_then(|day| days.get_mut(day)) {
            *sum += spend.dollars();
        }
    }
    let count = f64::from(end.days() - first.days());
    let mean = days.iter().sum::<f64>() / count;
    if mean <= 0.0 {
        return DAYS_DIFFER;
    }
    let squares: f64 = days.iter().map(|cost| (cost - mean).powi(2)).sum();
    (squares / (count - 1.0)).sqrt() / mean
}

/// From 0, Monday's first, in the calendar's zone.
fn hour_of_week(calendar: Calendar, at: Instant) -> usize {
    let Some(utc) = chrono::DateTime::from_timestamp_micros(at.micros()) else { return 0 };
    let local = calendar.zone.from_utc_datetime(&utc.naive_utc());
    let hour = local.weekday().num_days_from_monday() * 24 + local.hour();
    usize::try_from(hour).map_or(0, |hour| hour % HOURS_OF_WEEK)
}

impl Spend {
    fn dollars(&self) -> f64 {
        dollars(self.cost) * (float(self.share) / float(Pool::WHOLE))
    }
}

#[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough for a guess")]
fn float(count: i64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough for a guess")]
fn dollars(amount: Usd) -> f64 {
    amount.pico() as f64 / 1e12
}

/// A guess as an amount, to the millionth of a dollar.
fn usd(dollars: f64) -> Option<Usd> {
    const MICRO: i128 = 1_000_000;
    if !dollars.is_finite() || dollars.abs() >= 1e24 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "finite and far below 2^127")]
    let millionths = (dollars * 1e6).round() as i128;
    Usd::from_pico(millionths * MICRO)
}
