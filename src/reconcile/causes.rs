//! A difference between two sides, taken apart into its causes. Pure.
//!
//! In integers, and by construction: the parts of a difference sum to it, what
//! no cause explains is `unexplained`. Quantities are taken apart first, then
//! money: what a cause moves in quantities is worth what our own requests of
//! the line paid, and what is left of the money is the price.
//!
//! Left out on purpose: who is compared with whom (`lines`).

use std::ops::{Index, IndexMut};

use crate::record::Meter;

/// Why two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// They were asked by somebody whom our logs do not show.
    NotLogged,
    /// Our logs show the requests, and not or not exactly what they used.
    Usage,
    /// A unit costs them something else than our price book says.
    Price,
    /// They count a request on the other side of midnight.
    Edges,
    /// They are known to leave such requests out.
    Unreported,
    /// They write fewer digits than the amount has.
    Rounding,
    Unexplained,
}

impl Cause {
    pub const COUNT: usize = 7;

    pub const ALL: [Self; Self::COUNT] =
        [Self::NotLogged, Self::Usage, Self::Price, Self::Edges, Self::Unreported, Self::Rounding, Self::Unexplained];

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotLogged => "not_logged",
            Self::Usage => "usage",
            Self::Price => "price",
            Self::Edges => "edges",
            Self::Unreported => "unreported",
            Self::Rounding => "rounding",
            Self::Unexplained => "unexplained",
        }
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotLogged => "not in our logs",
            Self::Usage => "missing or estimated usage",
            Self::Price => "price",
            Self::Edges => "edges of the day",
            Self::Unreported => "not reported by them",
            Self::Rounding => "rounding",
            Self::Unexplained => "unexplained",
        }
    }
}

/// The parts of a difference: they sum to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Causes([i128; Cause::COUNT]);

impl Index<Cause> for Causes {
    type Output = i128;
    fn index(&self, cause: Cause) -> &i128 {
        &self.0[cause as usize]
    }
}

impl IndexMut<Cause> for Causes {
    fn index_mut(&mut self, cause: Cause) -> &mut i128 {
        &mut self.0[cause as usize]
    }
}

impl Causes {
    pub fn sum(&self) -> i128 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, part)| *sum += part);
    }

    /// Gives what is left of a difference to one cause.
    fn give(&mut self, cause: Cause, difference: i128) {
        self[cause] += difference - self.sum();
    }
}

/// The meters, and after them tokens of all kinds where they are not told apart.
pub(super) const COMPARED: usize = Meter::COUNT + 1;
pub(super) const ALL_TOKENS: usize = Meter::COUNT;

/// Whether what is compared there is tokens.
pub(super) fn is_tokens(at: usize) -> bool {
    at <= Meter::OutputTokens.index() || at == ALL_TOKENS
}

/// A sum of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub requests: i128,
    pub quantities: [i128; COMPARED],
    /// In pico-dollars.
    pub cost: i128,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        self.add_times(other, 1);
    }

    pub(super) fn take(&mut self, other: &Self) {
        self.add_times(other, -1);
    }

    fn add_times(&mut self, other: &Self, times: i128) {
        self.requests += times * other.requests;
        self.quantities.iter_mut().zip(other.quantities).for_each(|(sum, quantity)| *sum += times * quantity);
        self.cost += times * other.cost;
    }
}

/// A quantity, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Paid {
    pub quantity: i128,
    pub cost: i128,
}

/// What our logs have of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ours {
    /// As far as it is known.
    pub all: Sums,
    /// Requests of which nobody knows, or only in part, what they used.
    pub unclear: i128,
    /// Requests whose usage is an estimate, and their quantities.
    pub guessed: i128,
    pub guesses: [i128; COMPARED],
    /// Requests with usage, and without a price.
    pub unpriced: i128,
    /// What those with a price used and paid.
    pub paid: [Paid; COMPARED],
    /// What of `all` the other side is known to leave out.
    pub unreported: Sums,
}

impl Ours {
    pub(super) fn add(&mut self, other: &Self) {
        self.all.add(&other.all);
        self.unclear += other.unclear;
        self.guessed += other.guessed;
        self.guesses.iter_mut().zip(other.guesses).for_each(|(sum, guess)| *sum += guess);
        self.unpriced += other.unpriced;
        for (sum, paid) in self.paid.iter_mut().zip(other.paid) {
            sum.quantity += paid.quantity;
            sum.cost += paid.cost;
        }
        self.unreported.add(&other.unreported);
    }
}

/// What the other side says of a line; `None` where it does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Theirs {
    pub requests: Option<i128>,
    pub quantities: [Option<i128>; COMPARED],
    pub cost: Option<i128>,
    /// How far the digits that they write can be from the amount.
    pub slack: i128,
}

impl Theirs {
    pub(super) fn add(&mut self, other: &Self) {
        let add = |sum: &mut Option<i128>, more: Option<i128>| {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0) + more);
            }
        };
        add(&mut self.requests, other.requests);
        self.quantities.iter_mut().zip(other.quantities).for_each(|(sum, more)| add(sum, more));
        add(&mut self.cost, other.cost);
        self.slack += other.slack;
    }

    /// Whether any quantity is told.
    pub(super) fn tells_quantities(&self) -> bool {
        self.quantities.iter().any(Option::is_some)
    }
}

/// What quantities are worth at our prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// No quantities are told.
    Untold,
    /// Something of them has no price of ours.
    Unknown,
    Known(Causes),
}

impl Worth {
    /// Of two lines together.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Untold, it) | (it, Self::Untold) => it,
            (Self::Known(mut sum), Self::Known(more)) => {
                sum.add(&more);
                Self::Known(sum)
            }
            _ => Self::Unknown,
        }
    }
}

/// The difference in quantities, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Apart {
    pub requests: Causes,
    pub quantities: [Causes; COMPARED],
    pub worth: Worth,
}

impl Apart {
    pub(super) fn tokens(&self) -> Causes {
        let mut sum = Causes::default();
        self.quantities.iter().enumerate().filter(|(at, _)| is_tokens(*at)).for_each(|(_, causes)| sum.add(causes));
        sum
    }
}

/// Takes the quantities of a line apart. `edges` is what our side would gain if
/// days were counted as the other side counts them; `price` is what a quantity
/// costs by the price book, where our own requests have not paid for any.
pub(super) fn quantities(
    theirs: &Theirs,
    ours: &Ours,
    edges: &Sums,
    price: &dyn Fn(usize, i128) -> Option<i128>,
) -> Apart {
    let requests = requests(theirs, ours, edges);
    let more_requests = theirs.requests.map(|_| requests[Cause::NotLogged]);
    let mut apart = Apart { requests, quantities: [Causes::default(); COMPARED], worth: Worth::Untold };
    for at in 0..COMPARED {
        let Some(claim) = theirs.quantities[at] else { continue };
        let causes = quantity(at, claim, ours, edges, more_requests);
        apart.quantities[at] = causes;
        // What neither side has used says nothing of the money: speech has no tokens.
        if claim != 0 || ours.all.quantities[at] != 0 || edges.quantities[at] != 0 {
            apart.worth = apart.worth.and(worth(at, &causes, ours, price));
        }
    }
    apart
}

fn requests(theirs: &Theirs, ours: &Ours, edges: &Sums) -> Causes {
    let mut causes = Causes::default();
    let Some(claim) = theirs.requests else { return causes };
    let difference = claim - ours.all.requests;
    causes[Cause::Unreported] = -ours.unreported.requests;
    causes[Cause::Edges] = edges.requests;
    let are_more = difference > causes.sum();
    causes.give(if are_more { Cause::NotLogged } else { Cause::Unexplained }, difference);
    causes
}

/// `more_requests` is how many they have that our logs do not show; `None`
/// where they do not count requests.
fn quantity(at: usize, claim: i128, ours: &Ours, edges: &Sums, more_requests: Option<i128>) -> Causes {
    let mut causes = Causes::default();
    let own = ours.all.quantities[at];
    let difference = claim - own;
    causes[Cause::Unreported] = -ours.unreported.quantities[at];
    causes[Cause::Edges] = edges.quantities[at];
    let rest = difference - causes.sum();
    let (unclear, guess) = (ours.unclear, ours.guesses[at]);
    causes[Cause::Usage] = if unclear + ours.guessed == 0 {
        0
    } else if rest < 0 {
        // An estimate is wrong by no more than itself.
        rest.max(-guess)
    } else if let Some(more) = more_requests {
        let doubtful = unclear + ours.guessed;
        rest * doubtful / (doubtful + more)
    } else {
        let known = ours.all.requests - unclear;
        let like_the_others = if known > 0 { own * unclear / known } else { rest };
        rest.min(like_the_others + guess)
    };
    let is_not_logged = difference > causes.sum() && more_requests.is_none_or(|more| more > 0);
    causes.give(if is_not_logged { Cause::NotLogged } else { Cause::Unexplained }, difference);
    causes
}

/// What the causes that are ours to know of a quantity are worth.
fn worth(at: usize, causes: &Causes, ours: &Ours, price: &dyn Fn(usize, i128) -> Option<i128>) -> Worth {
    let paid = ours.paid[at];
    let value = |quantity: i128| match quantity {
        0 => Some(0),
        _ if paid.quantity > 0 => share(paid.cost, quantity, paid.quantity),
        below @ ..0 => price(at, -below).map(|value| -value),
        _ => price(at, quantity),
    };
    let mut worth = Causes::default();
    for cause in [Cause::NotLogged, Cause::Usage, Cause::Unexplained] {
        match value(causes[cause]) {
            Some(value) => worth[cause] = value,
            None => return Worth::Unknown,
        }
    }
    Worth::Known(worth)
}

/// `amount × part ÷ whole`, half to even.
fn share(amount: i128, part: i128, whole: i128) -> Option<i128> {
    let product = amount.checked_mul(part)?;
    let (quotient, remainder) = (product.div_euclid(whole), product.rem_euclid(whole));
    let up = remainder * 2 > whole || (remainder * 2 == whole && quotient % 2 != 0);
    Some(quotient + i128::from(up))
}

/// Takes money apart, by what the quantities of the same traffic are worth.
pub(super) fn money(claim: i128, slack: i128, ours: &Ours, edges: &Sums, worth: Worth) -> Causes {
    let mut causes = Causes::default();
    let difference = claim - ours.all.cost;
    causes[Cause::Unreported] = -ours.unreported.cost;
    causes[Cause::Edges] = edges.cost;
    let is_ours = ours.all.requests > 0;
    let last = match worth {
        Worth::Known(worth) => {
            causes.add(&worth);
            Cause::Price
        }
        Worth::Unknown if ours.unpriced > 0 => Cause::Price,
        Worth::Untold | Worth::Unknown => {
            causes[Cause::Usage] = of_unpriced(difference - causes.sum(), ours);
            if is_ours || difference < 0 { Cause::Unexplained } else { Cause::NotLogged }
        }
    };
    // We round each request, too.
    let is_small = (difference - causes.sum()).abs() <= slack + ours.all.requests;
    causes.give(if is_small { Cause::Rounding } else { last }, difference);
    causes
}

/// What our requests without a known cost may have cost: as much as the others.
fn of_unpriced(rest: i128, ours: &Ours) -> i128 {
    let unknown = ours.unclear + ours.unpriced;
    let known = ours.all.requests - unknown;
    if rest <= 0 || unknown == 0 {
        return 0;
    }
    if known > 0 { rest.min(share(ours.all.cost, unknown, known).unwrap_or(rest)) } else { rest }
}
