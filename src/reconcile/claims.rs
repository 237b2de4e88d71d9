//! What a provider says of a day: the rows of `totals` that one source told,
//! as sums that can be held against ours. What check sources saw has the same
//! shape.
//!
//! Where a provider tells only some kinds of input apart, or none, ours are put
//! together in the same way before they are compared.

use super::causes::{ALL_TOKENS, COMPARED, Ours, Paid, Sums, Theirs};
use crate::{
    money::Usd,
    record::{Measure, Meter, Quality},
    time::{Day, Instant},
    totals::TotalRow,
};

/// Input that a provider may count as any other.
const KINDS_OF_INPUT: [Meter; 3] = [Meter::CachedInputTokens, Meter::CacheWrite5mTokens, Meter::CacheWrite1hTokens];

const TOKENS: std::ops::RangeInclusive<usize> = Meter::InputTokens.index()..=Meter::OutputTokens.index();

/// The rows of one source and day that are about one provider.
#[derive(Debug)]
pub(super) struct Claim {
    pub source: String,
    pub provider: String,
    pub rows: Vec<TotalRow>,
    /// Whether tokens come as one number.
    is_in_all: bool,
    /// Which quantities it tells, of whatever line.
    tells: [bool; COMPARED],
    /// What an empty answer says that there was nothing of.
    of_nothing: Option<Measure>,
    /// Whether check sources saw it, and no provider told it.
    pub is_check: bool,
}

/// Why a claim is not held against our logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// The day was not over when it was told; it reaches so far.
    Open { until: Instant },
    /// Its lines are about more than a day.
    SeveralDays,
}

impl Claim {
    pub(super) fn new(source: &str, provider: &str, rows: Vec<TotalRow>) -> Self {
        let splits = |row: &TotalRow| TOKENS.clone().any(|at| row.quantities.0[at].is_some());
        let is_in_all = rows.iter().any(|row| row.total_tokens.is_some() && !splits(row));
        let mut tells = [false; COMPARED];
        for row in &rows {
            for (at, quantity) in row.quantities.0.iter().enumerate() {
                tells[if is_in_all && TOKENS.contains(&at) { ALL_TOKENS } else { at }] |= quantity.is_some();
            }
        }
        tells[ALL_TOKENS] |= is_in_all;
        Self {
            source: source.to_owned(),
            provider: provider.to_owned(),
            rows,
            is_in_all,
            tells,
            of_nothing: None,
            is_check: false,
        }
    }

    /// What check sources saw.
    pub(super) fn seen(source: &str, provider: &str, rows: Vec<TotalRow>) -> Self {
        Self { is_check: true, ..Self::new(source, provider, rows) }
    }

    /// That there was nothing, neither requests nor what such a source tells.
    pub(super) fn empty(source: &str, provider: &str, measure: Measure) -> Self {
        let mut claim = Self::new(source, provider, Vec::new());
        claim.is_in_all = measure != Measure::Cost;
        claim.tells[ALL_TOKENS] = claim.is_in_all;
        claim.of_nothing = Some(measure);
        claim
    }

    /// Whether it cannot be compared yet, or by day.
    pub(super) fn unready(&self, day: Day) -> Option<Unready> {
        if let Some(until) = self.rows.iter().filter_map(|row| row.covers_until).min() {
            return Some(Unready::Open { until });
        }
        let is_within = |row: &TotalRow| row.bucket_start.day() == day && row.bucket_end <= day.end();
        (!self.rows.iter().all(is_within)).then_some(Unready::SeveralDays)
    }

    pub(super) fn tells_quantities(&self) -> bool {
        self.tells.contains(&true)
    }

    pub(super) fn tells_requests(&self) -> bool {
        self.of_nothing.is_some_and(|measure| measure != Measure::Cost)
            || self.rows.iter().any(|row| row.requests.is_some())
    }

    pub(super) fn tells_cost(&self) -> bool {
        self.of_nothing.is_some_and(|measure| measure != Measure::Usage)
            || self.rows.iter().any(|row| row.cost.is_some())
    }

    pub(super) fn is_estimated(&self) -> bool {
        self.rows.iter().any(|row| row.quality != Quality::Reported)
    }

    /// Nothing of all that it tells: what it says of a line that it has no row for.
    pub(super) fn nothing(&self) -> Theirs {
        Theirs {
            requests: self.tells_requests().then_some(0),
            quantities: self.tells.map(|is_told| is_told.then_some(0)),
            cost: self.tells_cost().then_some(0),
            slack: 0,
        }
    }

    pub(super) fn theirs(&self, row: &TotalRow) -> Theirs {
        let mut theirs = self.nothing();
        theirs.add(&Theirs {
            requests: row.requests.map(i128::from),
            quantities: self.quantities(row),
            cost: row.cost.map(Usd::pico),
            slack: row.cost.map_or(0, |cost| slack(cost.pico())),
        });
        theirs
    }

    fn quantities(&self, row: &TotalRow) -> [Option<i128>; COMPARED] {
        let mut quantities = [None; COMPARED];
        for (at, quantity) in row.quantities.0.iter().enumerate() {
            quantities[at] = quantity.map(i128::from);
        }
        if self.is_in_all {
            let split = TOKENS.clone().filter_map(|at| quantities[at].take()).reduce(|sum, more| sum + more);
            quantities[ALL_TOKENS] = row.total_tokens.map(i128::from).or(split);
        }
        quantities
    }

    /// Ours, put together as this claim is.
    pub(super) fn like_theirs(&self, mut ours: Ours) -> Ours {
        for (from, to) in self.moves() {
            let Paid { quantity, cost } = std::mem::take(&mut ours.paid[from]);
            ours.paid[to].quantity += quantity;
            ours.paid[to].cost += cost;
            ours.guesses[to] += std::mem::take(&mut ours.guesses[from]);
        }
        ours.all = self.sums_like_theirs(ours.all);
        ours.unreported = self.sums_like_theirs(ours.unreported);
        ours
    }

    pub(super) fn sums_like_theirs(&self, mut sums: Sums) -> Sums {
        for (from, to) in self.moves() {
            sums.quantities[to] += std::mem::take(&mut sums.quantities[from]);
        }
        sums
    }

    /// Which of our meters are part of another one here.
    fn moves(&self) -> Vec<(usize, usize)> {
        if self.is_in_all {
            return TOKENS.map(|at| (at, ALL_TOKENS)).collect();
        }
        let input = Meter::InputTokens.index();
        let is_apart = |at: usize| self.tells[at] || !self.tells[input];
        KINDS_OF_INPUT.iter().map(|kind| kind.index()).filter(|&at| !is_apart(at)).map(|at| (at, input)).collect()
    }

    /// Whether its requests of this kind are known not to be in it.
    pub(super) fn leaves_out(&self, tier: Option<&str>) -> bool {
        // Anthropic bills priority capacity by contract: no cost report has it.
        let mut measures = self.rows.iter().map(|row| row.measure).chain(self.of_nothing);
        let is_of_cost = measures.all(|measure| measure == Measure::Cost);
        self.provider == "anthropic" && is_of_cost && tier.is_some_and(|tier| tier.starts_with("priority"))
    }
}

/// Half a unit of the last digit that is written, at most half a cent.
fn slack(pico: i128) -> i128 {
    const CENT: i128 = 10_000_000_000;
    let mut unit = 1;
    while unit < CENT && pico % (unit * 10) == 0 {
        unit *= 10;
    }
    (unit / 2).max(1)
}
