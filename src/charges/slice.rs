//! One slice of a day: which prices and which owner apply to each of its rows.
//!
//! Prices and owners are chosen once for what is the same and for each stretch
//! of time; a row finds its own by its number and its instant. Every row has
//! exactly one, or the slice is refused.

use polars::prelude::*;

use super::{
    ChargesError,
    texts::{Texts, Together},
};
use crate::{
    pricing::{Ask, PriceBook, Stretch},
    teams::{Attribution, Claim, Registry},
    time::{Day, Instant},
};

/// Provider, model and tier as they stand in `usage`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct OwnAsk(pub String, pub String, pub Option<String>);

impl OwnAsk {
    pub(super) fn ask(&self) -> Ask<'_> {
        Ask { provider: &self.0, model: &self.1, tier: self.2.as_deref() }
    }
}

/// Key and reported team as they stand in `usage`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct OwnClaim(pub Option<String>, pub Option<String>);

impl OwnClaim {
    pub(super) fn claim(&self) -> Claim<'_> {
        Claim { key: self.0.as_deref(), team_reported: self.1.as_deref() }
    }
}

/// The rows of a slice, with a number for what is priced alike and for what is
/// attributed alike.
#[derive(Debug)]
pub(super) struct Numbered {
    pub asks: Vec<OwnAsk>,
    pub claims: Vec<OwnClaim>,
    /// Of each row, its place in `asks` and in `claims`.
    ask: Vec<u32>,
    claim: Vec<u32>,
}

impl Numbered {
    pub(super) fn of(frame: &DataFrame) -> PolarsResult<Self> {
        let text = |name: &str| Texts::of(frame, name);
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (provider, model, tier) = (text("provider")?, text("model")?, text("tier")?);
        let asks = Together::of(&[&provider, &model, &tier]);
        let (key, team) = (text("key")?, text("team_reported")?);
        let claims = Together::of(&[&key, &team]);
        let named = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let of_row = |&row: &usize| OwnAsk(named(provider.at(row)), named(model.at(row)), own(tier.at(row)));
        Ok(Self {
            asks: asks.first.iter().map(of_row).collect(),
            claims: claims.first.iter().map(|&row| OwnClaim(own(key.at(row)), own(team.at(row)))).collect(),
            ask: asks.numbers,
            claim: claims.numbers,
        })
    }
}

/// A stretch of one ask, or an owner of one claim.
#[derive(Debug)]
pub(super) struct Applying<T> {
    /// Its place in `asks` or `claims`.
    pub of: u32,
    pub it: T,
}

/// What of the prices and of the config applies to the rows of a slice.
#[derive(Debug)]
pub(super) struct Applied<'n> {
    pub stretches: Vec<Applying<Stretch<'n>>>,
    pub owners: Vec<Applying<Attribution>>,
    /// Of each row, its place in `stretches` and in `owners`.
    pub stretch: Vec<u32>,
    pub owner: Vec<u32>,
}

/// What decides prices and owners.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub prices: &'r PriceBook,
    pub registry: &'r Registry<'r>,
    pub known_on: Instant,
    pub instead: Instead<'r>,
}

/// Whose prices are asked for in the place of a request's own: only by
/// [`super::what_if()`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Instead<'r> {
    pub model: Option<(&'r str, &'r str)>,
    pub tier: Option<&'r str>,
}

impl<'r> Rules<'r> {
    /// Of a model, both its own name and that of the price book are meant.
    fn ask(&self, ask: Ask<'r>, at: Instant) -> Ask<'r> {
        let Instead { model, tier } = self.instead;
        let billed = || self.prices.billed_name(ask.provider, ask.model, at, self.known_on);
        let model = model.filter(|(old, _)| *old == ask.model || *old == billed()).map(|(_, new)| new);
        Ask { provider: ask.provider, model: model.unwrap_or(ask.model), tier: tier.or(ask.tier) }
    }
}

impl<'n> Applied<'n> {
    /// `at` is the instant of each row.
    pub(super) fn new(
        numbered: &'n Numbered,
        at: &Int64Chunked,
        rules: Rules<'n>,
        day: Day,
    ) -> Result<Self, ChargesError> {
        let asks = numbered.asks.iter().map(|ask| rules.ask(ask.ask(), day.start()));
        let (stretches, stretch) = prices(asks, &numbered.ask, at, rules.prices, rules.known_on, day)?;
        let mut owners = Vec::new();
        let mut spans = Vec::new();
        for (of, claim) in (0..).zip(&numbered.claims) {
            for stretch in rules.registry.stretches(claim.claim(), day.start(), day.end()) {
                spans.push(Span { number: of, from: stretch.from, until: stretch.until });
                owners.push(Applying { of, it: stretch.attribution });
            }
        }
        let owner = join(&numbered.claim, at, &spans);
        let owner = owner.map_err(|detail| ChargesError::Join { day, what: "owners", detail })?;
        Ok(Self { stretches, owners, stretch, owner })
    }
}

/// The stretches of each ask, and of each row, by the number of its ask and its
/// instant, its place in them.
pub(super) fn prices<'n>(
    asks: impl Iterator<Item = Ask<'n>>,
    numbers: &[u32],
    at: &Int64Chunked,
    prices: &'n PriceBook,
    known_on: Instant,
    day: Day,
) -> Result<(Vec<Applying<Stretch<'n>>>, Vec<u32>), ChargesError> {
    let mut stretches = Vec::new();
    let mut spans = Vec::new();
    for (of, ask) in (0..).zip(asks) {
        for stretch in prices.stretches(ask, day.start(), day.end(), known_on) {
            spans.push(Span { number: of, from: stretch.from, until: stretch.until });
            stretches.push(Applying { of, it: stretch });
        }
    }
    let places = join(numbers, at, &spans).map_err(|detail| ChargesError::Join { day, what: "prices", detail })?;
    Ok((stretches, places))
}

/// A stretch of time in which something else applies to what has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    number: u32,
    from: Instant,
    until: Instant,
}

/// For each row, which of the spans of its number its instant lies in. Nothing
/// is taken for granted: spans of a number that overlap, and a row that lies in
/// none, refuse the slice.
fn join(numbers: &[u32], at: &Int64Chunked, spans: &[Span]) -> Result<Vec<u32>, String> {
    let mut sorted: Vec<(Span, u32)> = spans.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        let (span, next) = (pair[0].0, pair[1].0);
        if span.number == next.number && next.from < span.until {
            return Err(format!("two stretches of time apply from {}", next.from));
        }
    }
    if at.null_count() > 0 {
        return Err("a row has no instant".to_owned());
    }
    let mut by_number: Vec<&[(Span, u32)]> = Vec::new();
    for of_one in sorted.chunk_by(|(span, _), (next, _)| span.number == next.number) {
        by_number.resize(of_one[0].0.number as usize, &[]);
        by_number.push(of_one);
    }
    let mut places = Vec::with_capacity(numbers.len());
    for (&number, &at) in numbers.iter().zip(at.downcast_iter().flat_map(|chunk| chunk.values().iter())) {
        let at = Instant::from_micros(at);
        let own = by_number.get(number as usize).copied().unwrap_or_default();
        // Most have one for the whole day.
        let begun = if let [(only, _)] = own {
            usize::from(only.from <= at)
        } else {
            own.partition_point(|(span, _)| span.from <= at)
        };
        match begun.checked_sub(1).map(|last| own[last]).filter(|(span, _)| at < span.until) {
            Some((_, place)) => places.push(place),
            None => return Err(format!("nothing applies at {at}")),
        }
    }
    if places.len() != numbers.len() {
        return Err(format!("{} of {} rows have an instant", places.len(), numbers.len()));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instants(at: &[i64]) -> Int64Chunked {
        Int64Chunked::from_slice("ts".into(), at)
    }

    fn spans(of: &[(u32, i64, i64)]) -> Vec<Span> {
        let span = |&(number, from, until)| Span {
            number,
            from: Instant::from_micros(from),
            until: Instant::from_micros(until),
        };
        of.iter().map(span).collect()
    }

    #[test]
    fn a_row_finds_the_span_that_its_instant_lies_in() {
        let of = [(1, 0, 10), (1, 10, 20), (0, 0, 20), (3, 5, 6)];
        let found = join(&[1, 0, 1, 1, 3], &instants(&[9, 10, 10, 19, 5]), &spans(&of));
        assert_eq!(found.unwrap(), [0, 2, 1, 1, 3]);
        assert_eq!(join(&[], &instants(&[]), &spans(&of)).unwrap(), [0_u32; 0]);
    }

    #[test]
    fn a_row_that_finds_nothing_or_two_things_stops_the_slice() {
        for (of, expect) in [
            (&[(0, 0, 10)][..], "nothing applies at 1970-01-01T00:00:00.000012Z"),
            (&[(1, 0, 20)], "nothing applies at 1970-01-01T00:00:00.000003Z"),
            (&[(0, 4, 20)], "nothing applies at 1970-01-01T00:00:00.000003Z"),
            (&[(0, 0, 20), (0, 5, 20)], "two stretches of time apply from 1970-01-01T00:00:00.000005Z"),
            (&[(0, 0, 10), (0, 0, 10)], "two stretches of time apply from 1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(join(&[0, 0], &instants(&[3, 12]), &spans(of)).unwrap_err(), expect);
        }
        assert_eq!(join(&[0, 0], &instants(&[3]), &spans(&[(0, 0, 9)])).unwrap_err(), "1 of 2 rows have an instant");
    }
}
