//! What a budget was when.
//!
//! A budget without a date stands from the open period in which a config first
//! had it, so that a closed period keeps the one it had. One with a date
//! (`valid_from`) stands from that date, also where that is in the past, and
//! as long as a config has it; it goes before one without.

use chrono::Weekday;
use chrono_tz::Tz;

use crate::{
    config::{Budget, Period},
    money::Usd,
    periods::{Calendar, PeriodSpan},
    teams::OverTime,
    time::{Day, Instant},
};

/// The budgets of one scope and one kind of period over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    period: Period,
    week_start: Weekday,
    /// What the config had, of this kind.
    known: OverTime<Vec<Budget>>,
}

/// What there is to spend in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    pub amount: Usd,
    /// The first day of the period with a budget begins then.
    pub from: Instant,
}

impl Timeline {
    /// As the book has kept them. Budgets of other periods are left aside.
    pub fn new(period: Period, week_start: Weekday, known: OverTime<Vec<Budget>>) -> Self {
        Self { period, week_start, known }
    }

    /// As if a config had always been this one.
    pub fn always(period: Period, week_start: Weekday, budgets: Vec<Budget>) -> Self {
        Self::new(period, week_start, OverTime::always(budgets))
    }

    pub fn period(&self) -> Period {
        self.period
    }

    /// Takes in what the config says now. Where that is new, it stands from
    /// the beginning of the open period, and that instant is returned.
    pub fn observe(&mut self, now: Instant, budgets: Vec<Budget>) -> Option<Instant> {
        if self.known.last() == Some(&budgets) {
            return None;
        }
        let next = budgets.iter().find(|budget| budget.valid_from.is_none()).or(budgets.first());
        let zone = next.or_else(|| self.at(now)).map_or(Tz::UTC, |budget| budget.timezone);
        let since = self.calendar(zone).period_of(now, self.period).from;
        self.known.push(since, budgets);
        Some(since)
    }

    /// From when on spend is needed for a statement of the period that an instant
    /// is in: since so many weeks before it, for a forecast; since ever, where
    /// something rolls over. `None` where there is no budget at the instant.
    ///
    /// Whether the period itself receives something depends on the budget as
    /// it begins, and that on those of all periods before. Too much is read
    /// at most, never too little.
    pub fn first_needed(&self, instant: Instant, weeks_before: i32) -> Option<Instant> {
        let (calendar, span) = self.span_at(instant)?;
        if self.rolls_over() {
            return Some(Instant::EARLIEST);
        }
        Some(calendar.start_of(Day::from_days(span.first.days() - weeks_before * 7)))
    }

    /// Whether what is left of a period was ever added to the next one.
    pub fn rolls_over(&self) -> bool {
        self.known.iter().any(|(_, budgets)| budgets.iter().any(|budget| budget.rollover))
    }

    /// The budget that stands at an instant.
    pub fn at(&self, instant: Instant) -> Option<&Budget> {
        let undated = || self.known.at(instant)?.iter().find(|it| it.period == self.period && it.valid_from.is_none());
        self.dated_at(instant).or_else(undated)
    }

    fn dated_at(&self, instant: Instant) -> Option<&Budget> {
        let mut found: Option<(Instant, &Budget)> = None;
        let mut replaced_at: Option<Instant> = None;
        let mut seen = Vec::new();
        // The latest first: what it says of a date is what holds for that date.
        for (since, budgets) in self.known.iter().rev() {
            for budget in budgets.iter().filter(|it| it.period == self.period) {
                let Some(day) = budget.valid_from.filter(|day| !seen.contains(day)) else { continue };
                seen.push(day);
                let from = self.calendar(budget.timezone).start_of(day);
                let stands = from <= instant && replaced_at.is_none_or(|until| instant < until);
                if stands && found.is_none_or(|(other, _)| other < from) {
                    found = Some((from, budget));
                }
            }
            replaced_at = since;
        }
        found.map(|(_, budget)| budget)
    }

    /// The period that an instant is in, where there is a budget at that time.
    /// Where the zone of a budget changes, it is that of the instant.
    pub fn span_at(&self, instant: Instant) -> Option<(Calendar, PeriodSpan)> {
        let calendar = self.calendar(self.at(instant)?.timezone);
        Some((calendar, calendar.period_of(instant, self.period)))
    }

    /// What there is to spend in a period: each of its days counts for an equal
    /// part of the budget that stands on it, and the sum is rounded once.
    pub fn amount_in(&self, calendar: Calendar, span: &PeriodSpan) -> Option<Amount> {
        let mut sum = Usd::ZERO;
        let mut from = None;
        let mut day = span.first;
        while day < span.end {
            let start = calendar.start_of(day);
            if let Some(budget) = self.at(start) {
                from.get_or_insert(start);
                sum = sum.checked_add(budget.amount)?;
            }
            day = day.next();
        }
        Some(Amount { amount: sum.for_quantity(1, span.days())?, from: from? })
    }

    fn calendar(&self, zone: Tz) -> Calendar {
        Calendar { zone, week_start: self.week_start }
    }
}
