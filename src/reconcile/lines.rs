//! Who is compared with whom: the claims of a day and our sums of it, by as many
//! of key, project and model as a provider tells and our logs know. Pure.
//!
//! A name that a provider tells and of which none is known here (ids of keys
//! that no `[[key]]` names, say) tells nothing apart, so it is summed over, and
//! the line says so. What a provider tells in money without quantities is held
//! against the quantities of its finest other claim, where that has the same
//! names. What check sources saw stands for itself: it says nothing of what is in
//! no log, and lends no quantities to anyone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ComparedDay,
    causes::{self, ALL_TOKENS, Apart, COMPARED, Cause, Causes, Ours, Sums, Theirs, Worth, is_tokens},
    claims::Claim,
    names::{self, By, Names},
    ours::{DaySums, Group, Tally},
};
use crate::{
    config::Reconcile,
    money::Usd,
    pricing::{Ask, Choice, PriceBook},
    record::{METERS, Quantities},
    teams::Registry,
    time::{Day, Instant},
};

/// One number of both sides, and what makes them differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    pub ours: i128,
    pub theirs: i128,
    /// They sum to `theirs - ours`.
    pub causes: Causes,
}

impl Compared {
    pub const fn difference(&self) -> i128 {
        self.theirs - self.ours
    }

    /// The sum over several lines.
    pub fn add(&mut self, other: &Self) {
        self.ours += other.ours;
        self.theirs += other.theirs;
        self.causes.add(&other.causes);
    }
}

/// What is to be done about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Within the tolerance.
    Ok,
    /// Beyond it, and by causes that are known and harmless to who is billed.
    Explain,
    /// Beyond it, by traffic that our logs do not show, or without a cause.
    Investigate,
}

impl Verdict {
    pub(super) const ALL: [Self; 3] = [Self::Ok, Self::Explain, Self::Investigate];

    /// The name in data, and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Explain => "explain",
            Self::Investigate => "investigate",
        }
    }
}

/// Both sides of a day, by some names. Amounts are in pico-dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub day: Day,
    pub provider: String,
    pub source: String,
    pub names: Names,
    /// Whether check sources saw it, and no provider told it.
    pub is_check: bool,
    /// `None` where the source does not tell.
    pub requests: Option<Compared>,
    pub tokens: Option<Compared>,
    pub cost: Option<Compared>,
    /// What the causes in quantities are worth at our prices, where all of them
    /// have one.
    pub worth: Option<Causes>,
    /// Whether the provider's side was put together from samples.
    pub is_estimated: bool,
    pub verdict: Verdict,
    pub(super) missing: Option<Missing>,
}

/// What of a line is in no log of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub requests: Option<i64>,
    pub quantities: Quantities,
    pub total_tokens: Option<i64>,
    pub cost: Option<Usd>,
    pub valued: Valued,
}

/// Where the amount of traffic that no log shows is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Valued {
    /// What our own requests of the line paid.
    Charges,
    Prices,
    /// The provider says so.
    Reported,
    Unknown,
}

impl Valued {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Charges => "charges",
            Self::Prices => "prices",
            Self::Reported => "reported",
            Self::Unknown => "unknown",
        }
    }
}

/// What is needed besides both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub registry: &'r Registry<'r>,
    pub prices: &'r PriceBook,
    pub known_on: Instant,
    pub tolerance: Reconcile,
}

/// A day's sums of ours, with those of the days around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near<'s> {
    pub before: &'s DaySums,
    pub day: &'s DaySums,
    pub after: &'s DaySums,
}

/// Both sides of a line before they are taken apart.
#[derive(Debug, Clone, Copy)]
struct Sides {
    theirs: Theirs,
    tally: Tally,
    edges: [Sums; 3],
}

/// How a provider may count what lies on both sides of midnight, besides as we do.
const BY_END: usize = 1;
const BY_START: usize = 2;

/// The lines of a claim, and how its quantities were taken apart.
#[derive(Debug)]
struct Compares<'c> {
    claim: &'c Claim,
    by: By,
    lines: BTreeMap<Names, (Sides, Apart)>,
    /// Which of the edges are the provider's.
    edge: usize,
    /// What it tells and nobody here knows.
    unknown: Vec<&'static str>,
}

/// Adds the lines of a day, in the order of its claims.
pub(super) fn compare(day: Day, claims: &[Claim], near: Near<'_>, rules: Rules<'_>, into: &mut ComparedDay) {
    let (mut with_quantities, mut others) = (Vec::new(), Vec::new());
    let mut seen = Vec::new();
    for claim in claims {
        let compares = Compares::of(claim, day, near, rules);
        into.unknown_names.extend(compares.unknown.iter().map(|what| (claim.source.clone(), *what)));
        if claim.is_check {
            seen.push(compares);
        } else if claim.tells_quantities() {
            with_quantities.push(compares);
        } else {
            others.push(compares);
        }
    }
    for provider in claims.iter().map(|claim| &claim.provider).collect::<BTreeSet<_>>() {
        let mut money = others.iter().filter(|it| it.claim.provider == *provider && it.claim.tells_cost());
        let word = finest(&with_quantities, provider).or_else(|| money.next());
        into.of_unlogged.extend(word.map(|word| (word.claim.source.clone(), provider.clone())));
    }
    for compares in others {
        let finest = finest(&with_quantities, &compares.claim.provider);
        let lines = match finest.filter(|finest| compares.by.is_part_of(finest.by)) {
            Some(finest) => compares.beside(finest).lines(day, rules),
            None => compares.lines(day, rules),
        };
        into.lines.extend(lines);
    }
    for compares in with_quantities.into_iter().chain(seen) {
        into.lines.extend(compares.lines(day, rules));
    }
    into.lines.sort_by(|a, b| (&a.provider, &a.source, &a.names).cmp(&(&b.provider, &b.source, &b.names)));
}

/// The claim that tells most about who used what: the first of the best.
fn finest<'a, 'c>(all: &'a [Compares<'c>], provider: &str) -> Option<&'a Compares<'c>> {
    let rank = |it: &Compares<'_>| {
        let By { key, project, model } = it.by;
        (key, model, project, !it.claim.is_estimated(), it.claim.tells_cost())
    };
    let of_provider = all.iter().filter(|it| it.claim.provider == provider);
    of_provider.reduce(|best, it| if rank(it) > rank(best) { it } else { best })
}

impl<'c> Compares<'c> {
    fn of(claim: &'c Claim, day: Day, near: Near<'_>, rules: Rules<'_>) -> Self {
        let theirs: Vec<(Names, Theirs)> =
            claim.rows.iter().map(|row| (names::theirs(row, day, rules), claim.theirs(row))).collect();
        let of = |sums: &DaySums| -> Vec<(Names, Tally)> {
            let groups = sums.iter().filter(|(group, _)| group.provider == claim.provider);
            groups.map(|(group, tally)| (names::ours(group, day, rules), like_theirs(claim, group, tally))).collect()
        };
        let ours = of(near.day);
        let told: Vec<&Names> = theirs.iter().map(|(names, _)| names).collect();
        let by = By::of(&told, &ours.iter().map(|(names, _)| names).collect::<Vec<_>>(), day, rules);
        let unknown = by.unknown(&told);
        let nothing = Sides { theirs: claim.nothing(), tally: Tally::default(), edges: [Sums::default(); 3] };
        let mut lines: BTreeMap<Names, Sides> = BTreeMap::new();
        for (names, it) in theirs {
            lines.entry(by.fold(names)).or_insert(nothing).theirs.add(&it);
        }
        for (names, it) in ours {
            let sides = lines.entry(by.fold(names)).or_insert(nothing);
            sides.tally.add(&it);
            sides.edges[BY_END].take(&it.into_next);
            sides.edges[BY_START].take(&it.into_previous);
        }
        for (names, it) in of(near.before) {
            lines.entry(by.fold(names)).or_insert(nothing).edges[BY_END].add(&it.into_next);
        }
        for (names, it) in of(near.after) {
            lines.entry(by.fold(names)).or_insert(nothing).edges[BY_START].add(&it.into_previous);
        }
        let edge = nearest_edge(&lines);
        // What only the days around it have is no line of this day.
        lines.retain(|_, sides| {
            sides.theirs != nothing.theirs || sides.tally.ours.all.requests != 0 || sides.edges[edge] != Sums::default()
        });
        let take_apart = |(names, sides): (Names, Sides)| {
            let price = |at: usize, quantity: i128| book_price(claim, &names, day, rules, (at, quantity));
            let apart = causes::quantities(&sides.theirs, &sides.tally.ours, &sides.edges[edge], &price);
            (names, (sides, apart))
        };
        Self { claim, by, lines: lines.into_iter().map(take_apart).collect(), edge, unknown }
    }

    /// With the quantities of another claim, which tells at least these names.
    fn beside(mut self, finest: &Self) -> Self {
        self.edge = finest.edge;
        for (names, (_, apart)) in &finest.lines {
            if let Some((_, own)) = self.lines.get_mut(&self.by.fold(names.clone())) {
                own.worth = own.worth.and(apart.worth);
            }
        }
        self
    }

    fn lines(self, day: Day, rules: Rules<'_>) -> Vec<Line> {
        let Self { claim, lines, edge, .. } = self;
        let line = |(names, (sides, apart)): (Names, (Sides, Apart))| {
            let Sides { theirs, tally, edges } = sides;
            let ours = &tally.ours;
            let requests =
                theirs.requests.map(|theirs| Compared { ours: ours.all.requests, theirs, causes: apart.requests });
            let cost = theirs.cost.map(|claimed| Compared {
                ours: ours.all.cost,
                theirs: claimed,
                causes: causes::money(claimed, theirs.slack, ours, &edges[edge], apart.worth),
            });
            let tokens = tokens(&theirs, ours, &apart);
            let worth = if let Worth::Known(worth) = apart.worth { Some(worth) } else { None };
            let missing = missing(&theirs, ours, &apart, cost.as_ref());
            let verdict = verdict(cost, tokens, requests, worth, rules.tolerance);
            Line {
                day,
                provider: claim.provider.clone(),
                source: claim.source.clone(),
                names,
                is_check: claim.is_check,
                requests,
                tokens,
                cost,
                worth,
                is_estimated: claim.is_estimated(),
                verdict,
                missing,
            }
        };
        lines.into_iter().map(line).collect()
    }
}

fn like_theirs(claim: &Claim, group: &Group, tally: &Tally) -> Tally {
    let mut ours = tally.ours;
    if claim.leaves_out(group.tier.as_deref()) {
        ours.unreported = ours.all;
    }
    Tally {
        ours: claim.like_theirs(ours),
        into_next: claim.sums_like_theirs(tally.into_next),
        into_previous: claim.sums_like_theirs(tally.into_previous),
    }
}

/// The way of counting what lies on both sides of midnight that leaves least
/// of the difference; ours where no other leaves less.
fn nearest_edge(lines: &BTreeMap<Names, Sides>) -> usize {
    let left = |edge: usize| -> i128 {
        let of_line = |sides: &Sides| {
            let Sides { theirs, tally, edges } = sides;
            let all = &tally.ours.all;
            let off = |claim: i128, own: i128, unreported: i128, edge: i128| (claim - own + unreported - edge).abs();
            let quantities = (0..COMPARED).filter(|&at| is_tokens(at)).filter_map(|at| {
                let unreported = tally.ours.unreported.quantities[at];
                Some(off(theirs.quantities[at]?, all.quantities[at], unreported, edges[edge].quantities[at]))
            });
            if theirs.tells_quantities() {
                return quantities.sum();
            }
            theirs.cost.map_or(0, |claim| off(claim, all.cost, tally.ours.unreported.cost, edges[edge].cost))
        };
        lines.values().map(of_line).sum()
    };
    [BY_END, BY_START].into_iter().fold(0, |best, edge| if left(edge) < left(best) { edge } else { best })
}

/// What a quantity costs by the price book, at the beginning of the day.
fn book_price(claim: &Claim, names: &Names, day: Day, rules: Rules<'_>, (at, quantity): (usize, i128)) -> Option<i128> {
    let meter = METERS.get(at)?.meter;
    let tier = claim.rows.first().and_then(|row| row.tier.as_deref());
    let tier = tier.filter(|_| claim.rows.iter().all(|row| row.tier.as_deref() == tier));
    let ask = Ask { provider: &claim.provider, model: names.model.as_deref()?, tier };
    let stretches = rules.prices.stretches(ask, day.start(), day.end(), rules.known_on);
    let Choice::Priced(chosen) = stretches.first()?.choices[meter.index()] else { return None };
    chosen.rate.cost(i64::try_from(quantity).ok()?).map(Usd::pico)
}

fn tokens(theirs: &Theirs, ours: &Ours, apart: &Apart) -> Option<Compared> {
    let told = (0..COMPARED).filter(|&at| is_tokens(at)).filter_map(|at| Some((at, theirs.quantities[at]?)));
    let sum = told.fold(None, |sum: Option<(i128, i128)>, (at, claim)| {
        let (own, claimed) = sum.unwrap_or_default();
        Some((own + ours.all.quantities[at], claimed + claim))
    });
    sum.map(|(ours, theirs)| Compared { ours, theirs, causes: apart.tokens() })
}

/// What of a line no log shows; `None` where that is nothing.
fn missing(theirs: &Theirs, ours: &Ours, apart: &Apart, cost: Option<&Compared>) -> Option<Missing> {
    let whole = |number: i128| i64::try_from(number).ok();
    let of = |at: usize| theirs.quantities[at].and_then(|_| whole(apart.quantities[at][Cause::NotLogged]));
    let requests = theirs.requests.and_then(|_| whole(apart.requests[Cause::NotLogged]));
    let amount = match (cost, apart.worth) {
        (Some(cost), _) => Some(cost.causes[Cause::NotLogged]),
        (None, Worth::Known(worth)) => Some(worth[Cause::NotLogged]),
        (None, _) => None,
    };
    let quantities = Quantities(std::array::from_fn(of));
    let total_tokens = of(ALL_TOKENS);
    // Where they tell tokens or money, requests without either are none that count.
    let counts = requests.filter(|_| !theirs.tells_quantities() && cost.is_none());
    let is_any = quantities.0.iter().chain([&total_tokens, &counts]).flatten().any(|&number| number != 0);
    if !is_any && amount.is_none_or(|amount| amount == 0) {
        return None;
    }
    let is_own = (0..COMPARED).any(|at| apart.quantities[at][Cause::NotLogged] != 0 && ours.paid[at].quantity > 0);
    let valued = match (amount, apart.worth) {
        (None, _) => Valued::Unknown,
        (Some(_), Worth::Known(_)) if is_own => Valued::Charges,
        (Some(_), Worth::Known(_)) => Valued::Prices,
        (Some(_), _) => Valued::Reported,
    };
    let cost = amount.and_then(Usd::from_pico);
    Some(Missing { requests, quantities, total_tokens, cost, valued })
}

/// By money where that is told, else by tokens, else by requests.
fn verdict(
    cost: Option<Compared>,
    tokens: Option<Compared>,
    requests: Option<Compared>,
    worth: Option<Causes>,
    tolerance: Reconcile,
) -> Verdict {
    let part =
        |whole: i128| whole.saturating_abs().saturating_mul(i128::from(tolerance.tolerance_percent)) / 100_000_000;
    let suspicious = |causes: &Causes| causes[Cause::NotLogged].abs() + causes[Cause::Unexplained].abs();
    let judge = |compared: &Compared, allowed: i128| {
        if compared.difference().abs() <= allowed {
            Verdict::Ok
        } else if suspicious(&compared.causes) <= allowed {
            Verdict::Explain
        } else {
            Verdict::Investigate
        }
    };
    if let Some(cost) = cost {
        return judge(&cost, part(cost.theirs).max(tolerance.tolerance.pico()));
    }
    let Some(tokens) = tokens else {
        return requests.map_or(Verdict::Ok, |requests| judge(&requests, part(requests.theirs)));
    };
    let by_tokens = judge(&tokens, part(tokens.theirs));
    // Little money is no reason to look, however many percent it is.
    let is_cheap = worth.is_some_and(|worth| {
        Cause::ALL.iter().map(|&cause| worth[cause].abs()).sum::<i128>() <= tolerance.tolerance.pico()
    });
    if is_cheap { Verdict::Ok } else { by_tokens }
}
