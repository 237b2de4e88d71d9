//! What was spent: sums of a roll-up by period, the teams' parts of shared
//! keys, and the statement that follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::{Gap, Scope, Statement, Timeline, TooLarge, forecast};
use crate::{
    config::{Budget, Pool},
    money::Usd,
    periods::{Calendar, PeriodSpan},
    teams::{OverTime, SHARED},
    time::{Day, Instant},
};

/// A day of 24 hours.
const DAY_MICROS: i64 = 86_400_000_000;

/// A row of the roll-up, or of any coarser one that keeps a quarter of an hour,
/// team, key and model apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendRow<'a> {
    /// Beginning of the quarter of an hour.
    pub bucket: Instant,
    pub team: Option<&'a str>,
    pub key: Option<&'a str>,
    /// The price book's name.
    pub model: &'a str,
    pub requests: i64,
    pub unpriced_requests: i64,
    pub estimated_requests: i64,
    /// What is known of it.
    pub cost: Usd,
    pub estimated_cost: Usd,
    /// Reported by a provider and in no log; `bucket` is where its UTC day begins.
    pub is_unlogged: bool,
}

/// A source that gave nothing for longer than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    pub source: String,
    /// The time of its last record.
    pub since: Instant,
    /// Those of whose spend a part came from it that counts.
    pub of: BTreeSet<Scope>,
}

/// What has been spent, and how far that is known.
#[derive(Debug, Clone)]
pub struct Ledger<'a> {
    /// By time.
    rows: Vec<SpendRow<'a>>,
    /// Places in `rows`, by team: with a thousand teams, each has few of them.
    by_team: BTreeMap<&'a str, Vec<usize>>,
    pools: &'a OverTime<BTreeMap<String, Pool>>,
    seen_until: Instant,
    silent: &'a [Silence],
    stale: Vec<Day>,
    /// What was spent before is not known any more.
    spend_from: Option<Instant>,
    /// When the first of all spend was, also of that which is not in `rows`.
    begins: Option<Instant>,
}

/// Where the spend of a period comes from, each kind a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    pub own: Usd,
    /// A team's part of each pool's total.
    pub shared: BTreeMap<String, Usd>,
    pub unlogged: Usd,
    pub requests: i64,
    pub unpriced_requests: i64,
    pub estimated_requests: i64,
    /// What is an estimate among own charges, or in the organization.
    pub estimated_cost: Usd,
}

impl Lines {
    /// `None` where it would not fit.
    pub fn total(&self) -> Option<Usd> {
        self.shared.values().try_fold(self.own.checked_add(self.unlogged)?, |sum, part| sum.checked_add(*part))
    }
}

/// What each team pays of a pool's total: exact, the remainder of the rounding
/// going to those from whom it took the most (then by name), so that the parts
/// sum to the total.
pub fn divide(total: Usd, pool: &Pool) -> BTreeMap<&str, Usd> {
    let whole = i128::from(Pool::WHOLE);
    // total × share ÷ whole without a product that could overflow.
    let (quotient, remainder) = (total.pico().div_euclid(whole), total.pico().rem_euclid(whole));
    let mut parts: Vec<(i128, i128, &str)> = pool
        .shares
        .iter()
        .map(|(team, &share)| {
            let rest = remainder * i128::from(share);
            (quotient * i128::from(share) + rest.div_euclid(whole), rest.rem_euclid(whole), team.as_str())
        })
        .collect();
    parts.sort_by_key(|&(_, lost, team)| (std::cmp::Reverse(lost), team));
    let mut left = total.pico() - parts.iter().map(|(part, ..)| part).sum::<i128>();
    let mut divided = BTreeMap::new();
    for (part, _, team) in parts {
        let extra = i128::from(left > 0);
        left -= extra;
        divided.insert(team, Usd::from_pico(part + extra).unwrap_or(total));
    }
    divided
}

/// How much of a row concerns a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concerns<'a> {
    All,
    /// What the team has of this pool;
    /// `share` is in millionths of a percent.
    Shared {
        pool: &'a str,
        share: i64,
    },
}

impl Scope {
    /// Whether a row is among what this scope spent, and by what.
    fn concerns<'a>(&self, row: &SpendRow<'a>, pools: &BTreeMap<String, Pool>) -> Option<Concerns<'a>> {
        let all = |is: bool| is.then_some(Concerns::All);
        match self {
            Self::Organization => Some(Concerns::All),
            Self::Key(key) => all(row.key == Some(key.as_str())),
            Self::Model(model) => all(row.model == model),
            Self::Team(team) => {
                let of = row.team?;
                match of.strip_prefix(SHARED) {
                    Some(pool) => {
                        let share = *pools.get(pool)?.shares.get(team)?;
                        Some(Concerns::Shared { pool, share })
                    }
                    None => all(of == team),
                }
            }
        }
    }
}

/// A period with its budget.
struct Term<'t> {
    calendar: Calendar,
    span: PeriodSpan,
    /// The budget as the period begins, where that takes what was left.
    receives: Option<&'t Budget>,
    amount: Usd,
    from: Instant,
}

fn term(timeline: &Timeline, at: Instant) -> Option<Term<'_>> {
    let (calendar, span) = timeline.span_at(at)?;
    let amount = timeline.amount_in(calendar, &span)?;
    let receives = timeline.at(span.from).filter(|budget| budget.rollover);
    Some(Term { calendar, span, receives, amount: amount.amount, from: amount.from })
}

impl Term<'_> {
    /// What it takes of what was left, up to the cap.
    fn received(&self, left: Usd) -> Usd {
        let cap = self.receives.map(|budget| budget.rollover_cap.unwrap_or(self.amount));
        cap.map_or(Usd::ZERO, |cap| left.min(cap).max(Usd::ZERO))
    }
}

impl<'a> Ledger<'a> {
    /// The rows are all since the beginning of the book where a budget rolls
    /// over, else since eight weeks before the period, for the forecast. Pools
    /// come with the instants at which they were learnt: a period has those
    /// that were known at its end, the open one the latest. `seen_until` is up
    /// to when the sources have been read, at most now.
    pub fn new(
        mut rows: Vec<SpendRow<'a>>,
        pools: &'a OverTime<BTreeMap<String, Pool>>,
        seen_until: Instant,
        silent: &'a [Silence],
    ) -> Self {
        rows.sort_by_key(|row| row.bucket);
        let mut by_team: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, team) in rows.iter().enumerate().filter_map(|(place, row)| Some((place, row.team?))) {
            by_team.entry(team).or_default().push(place);
        }
        let begins = rows.first().map(|row| row.bucket);
        Self { rows, by_team, pools, seen_until, silent, stale: Vec::new(), spend_from: None, begins }
    }

    /// Of rows that are not everybody's: with the instant of the first of all,
    /// before which no period has left anything.
    #[must_use]
    pub fn with_first(self, begins: Option<Instant>) -> Self {
        Self { begins, ..self }
    }

    /// With the UTC days whose charges are not there, or not of their usage:
    /// what is spent on them is not known.
    #[must_use]
    pub fn with_stale(self, days: impl IntoIterator<Item = Day>) -> Self {
        Self { stale: days.into_iter().collect(), ..self }
    }

    /// With the instant before which totals were pruned.
    #[must_use]
    pub fn with_spend_from(self, spend_from: Option<Instant>) -> Self {
        Self { spend_from, ..self }
    }

    /// Whether all that was spent since an instant is known.
    pub fn knows_from(&self, from: Instant) -> bool {
        self.spend_from.is_none_or(|spend_from| spend_from <= from)
    }

    /// The budget of a scope in the period that an instant is in; `None` where
    /// there is none at that instant.
    ///
    /// # Errors
    /// Where a sum is too large.
    pub fn statement(&self, scope: &Scope, timeline: &Timeline, at: Instant) -> Result<Option<Statement>, TooLarge> {
        let (Some(budget), Some(term)) = (timeline.at(at), term(timeline, at)) else { return Ok(None) };
        let rolled_over = self.rolled_over(scope, timeline, &term)?;
        let Term { calendar, span, amount, from, .. } = term;
        let too_large = || TooLarge { scope: scope.clone(), period: span.name.clone() };
        let lines = self.lines(scope, &span, from)?;
        let spend = lines.total().ok_or_else(too_large)?;
        let gaps = self.gaps(scope, &lines, &span, from);
        let known = self.seen_until.min(span.until).micros() - from.micros();
        let whole = amount.checked_add(rolled_over).ok_or_else(too_large)?;
        let seen_until = self.seen_until;
        let ask = forecast::Ask { calendar, span: &span, from, seen_until, spent: spend, budget: whole };
        let forecast = forecast::forecast(ask, |from, until| self.spends(scope, &span, from, until));
        let forecast = if gaps.is_empty() { forecast } else { forecast.at_least() };
        Ok(Some(Statement {
            scope: scope.clone(),
            calendar,
            from,
            amount,
            rolled_over,
            spend,
            thresholds: budget.thresholds.clone(),
            gaps,
            burn_per_day: if known > 0 { spend.for_quantity(DAY_MICROS, known) } else { None },
            forecast,
            lines,
            period: span,
        }))
    }

    /// What the scope spent, for a guess: the buckets from one instant to
    /// another, with the millionths of a percent that are its part.
    fn spends(&self, scope: &Scope, span: &PeriodSpan, from: Instant, until: Instant) -> Vec<forecast::Spend> {
        let pools = self.pools_in(span);
        let spend = |row: &SpendRow<'_>| {
            let share = match scope.concerns(row, pools)? {
                Concerns::All => Pool::WHOLE,
                Concerns::Shared { share, .. } => share,
            };
            Some(forecast::Spend { bucket: row.bucket, cost: row.cost, share })
        };
        self.between(scope, from, until).into_iter().filter_map(spend).collect()
    }

    /// The rows of a stretch of time that can concern a scope, by time.
    fn between(&self, scope: &Scope, from: Instant, until: Instant) -> Vec<&SpendRow<'a>> {
        let at = |instant| self.rows.partition_point(|row| row.bucket < instant);
        let (from, until) = (at(from), at(until));
        let Scope::Team(team) = scope else { return self.rows.get(from..until).into_iter().flatten().collect() };
        let mut places: Vec<usize> = Vec::new();
        let shared = self.by_team.range(SHARED..).take_while(|(team, _)| team.starts_with(SHARED));
        let own = self.by_team.get_key_value(team.as_str()).filter(|(team, _)| !team.starts_with(SHARED));
        for (_, of_team) in own.into_iter().chain(shared) {
            let at = |place| of_team.partition_point(|&it| it < place);
            places.extend_from_slice(of_team.get(at(from)..at(until)).unwrap_or_default());
        }
        places.sort_unstable();
        places.into_iter().filter_map(|place| self.rows.get(place)).collect()
    }

    fn pools_in(&self, span: &PeriodSpan) -> &'a BTreeMap<String, Pool> {
        static NONE: BTreeMap<String, Pool> = BTreeMap::new();
        self.pools.at(span.until.plus_micros(-1)).unwrap_or(&NONE)
    }

    /// What a scope spent from `from` to the end of a period.
    ///
    /// # Errors
    /// Where a sum is too large.
    pub fn lines(&self, scope: &Scope, span: &PeriodSpan, from: Instant) -> Result<Lines, TooLarge> {
        let too_large = || TooLarge { scope: scope.clone(), period: span.name.clone() };
        let add = |sum: &mut Usd, cost: Usd| {
            *sum = sum.checked_add(cost).ok_or_else(too_large)?;
            Ok(())
        };
        let pools = self.pools_in(span);
        let mut lines = Lines::default();
        let mut totals: BTreeMap<&str, Usd> = BTreeMap::new();
        for row in self.between(scope, from, span.until) {
            let Some(concerns) = scope.concerns(row, pools) else { continue };
            match concerns {
                Concerns::Shared { pool, .. } => add(totals.entry(pool).or_default(), row.cost)?,
                Concerns::All if row.is_unlogged => add(&mut lines.unlogged, row.cost)?,
                Concerns::All => {
                    add(&mut lines.own, row.cost)?;
                    add(&mut lines.estimated_cost, row.estimated_cost)?;
                }
            }
            lines.requests = lines.requests.saturating_add(row.requests);
            lines.unpriced_requests = lines.unpriced_requests.saturating_add(row.unpriced_requests);
            lines.estimated_requests = lines.estimated_requests.saturating_add(row.estimated_requests);
        }
        if let Scope::Team(team) = scope {
            for (name, total) in totals {
                let part = pools.get(name).and_then(|pool| divide(total, pool).get(team.as_str()).copied());
                lines.shared.insert(name.to_owned(), part.unwrap_or(Usd::ZERO));
            }
        }
        Ok(lines)
    }

    /// What was left of the periods before a term: of each what it had and did
    /// not spend, up to the cap, which is a whole period's amount where none is
    /// set. Periods before the first spend have left nothing, nor have those of
    /// which something was pruned. Whether a period takes what was left is
    /// decided as it begins, for good: what changes in it later is of the next.
    fn rolled_over(&self, scope: &Scope, timeline: &Timeline, of: &Term<'_>) -> Result<Usd, TooLarge> {
        let Some(first) = self.begins else { return Ok(Usd::ZERO) };
        let before = |term: &Term<'_>| {
            let is_chained = term.receives.is_some() && first < term.span.from;
            let before = is_chained.then(|| self::term(timeline, term.span.from.plus_micros(-1)))?;
            before.filter(|before| self.knows_from(before.from))
        };
        let mut left = Usd::ZERO;
        let terms: Vec<Term<'_>> = iter::successors(before(of), before).collect();
        for term in terms.iter().rev() {
            let too_large = || TooLarge { scope: scope.clone(), period: term.span.name.clone() };
            let spend = self.lines(scope, &term.span, term.from)?.total().ok_or_else(too_large)?;
            let had = term.amount.checked_add(term.received(left)).ok_or_else(too_large)?;
            left = had.checked_sub(spend).ok_or_else(too_large)?;
        }
        Ok(of.received(left))
    }

    /// Totals that were pruned, more than one request in a hundred without a
    /// price, a day that is not priced, or a source of the scope that fell silent before the period ended.
    fn gaps(&self, scope: &Scope, lines: &Lines, span: &PeriodSpan, from: Instant) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if let Some(until) = self.spend_from.filter(|_| !self.knows_from(from)) {
            gaps.push(Gap::Pruned { until });
        }
        if i128::from(lines.unpriced_requests) * 100 > i128::from(lines.requests) {
            gaps.push(Gap::Unpriced { requests: lines.unpriced_requests, of: lines.requests });
        }
        let is_in = |day: &&Day| span.from < day.end() && day.start() < span.until;
        match self.stale.iter().filter(is_in).count() {
            0 => {}
            days => gaps.push(Gap::Stale { days }),
        }
        let silent = self.silent.iter().filter(|it| it.since < span.until && it.of.contains(scope));
        gaps.extend(silent.cloned().map(Gap::Silent));
        gaps
    }
}
