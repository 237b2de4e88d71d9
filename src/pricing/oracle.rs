//! The rules of DESIGN §6 once more, read word by word and as slowly as that:
//! the choice by stretches must equal it at every instant of any book.

use proptest::prelude::*;

use super::{
    ANY, Ask, Basis, Choice, Digest, Kind, PriceBook, Rate, Request, Stretch,
    testing::{draft, quantities},
};
use crate::{
    money::Usd,
    record::{Meter, Status},
    time::{Day, Instant},
};

const METERS: [Meter; 3] = [Meter::InputTokens, Meter::CachedInputTokens, Meter::OutputTokens];

fn day(number: i32) -> Instant {
    Day::parse("2026-01-01").unwrap().start().plus_micros(i64::from(number) * 86_400_000_000)
}

/// Model, tier, meter, price, dates, `known_from`, kind, `per`.
type Cells = (&'static str, &'static str, Meter, Option<u32>, (i32, i32, bool), i32, Kind, &'static str);

/// Price rows as text. Each is known from an instant of its own, so that there
/// are no ties.
fn rows() -> impl Strategy<Value = Vec<String>> {
    let row = (
        prop::sample::select(vec!["m", "n", "*"]),
        prop::sample::select(vec!["on_demand", "batch", "*"]),
        prop::sample::select(METERS.to_vec()),
        prop::option::weighted(0.8, 0..40_u32),
        (0..20_i32, 1..20_i32, any::<bool>()),
        0..20_i32,
        prop::sample::select(Kind::ALL.to_vec()),
        prop::sample::select(vec!["1M", "7", "1k"]),
    );
    prop::collection::vec(row, 0..24).prop_map(|rows| {
        let text = |(index, (model, tier, meter, price, (from, length, is_open), known, kind, per)): (usize, Cells)| {
            let price = price.map_or(String::new(), |price| format!("0.{price}"));
            let until = if is_open { String::new() } else { day(from + length).to_string() };
            let known = day(known).plus_micros(i64::try_from(index).unwrap());
            let (meter, from, kind) = (meter.info().column, day(from), kind.name());
            format!("g,{model},{tier},{meter},{price},{per},,{from},{until},{known},{kind},,")
        };
        rows.into_iter().enumerate().map(text).collect()
    })
}

fn aliases() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec((prop::sample::select(vec!["m", "n"]), 0..20_i32, 0..20_i32), 0..3).prop_map(|rows| {
        let text = |(index, (model, from, known)): (usize, (_, _, _))| {
            let known = day(known).plus_micros(i64::try_from(index).unwrap());
            format!("g,m,{model},{},,{known},,", day(from))
        };
        rows.into_iter().enumerate().map(text).collect()
    })
}

fn book(rows: &[String], aliases: &[String]) -> PriceBook {
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
    let draft = draft(&rows, &aliases, &[]);
    PriceBook::new(draft.prices, draft.aliases)
}

/// The rate of one meter at one instant, and its kind.
fn rate(book: &PriceBook, ask: Ask<'_>, meter: Meter, at: Instant, known_on: Instant) -> Option<(Kind, Rate)> {
    let mut model = ask.model;
    let mut known_from = None;
    for alias in book.aliases() {
        let validity = alias.validity;
        let applies = alias.alias == ask.model && validity.from <= at && validity.known_from <= known_on;
        if applies && known_from < Some(validity.known_from) {
            known_from = Some(validity.known_from);
            model = alias.model.as_deref().unwrap();
        }
    }
    for name in [model, ANY] {
        for kind in [Kind::Contract, Kind::List, Kind::Fallback] {
            let card: Vec<_> = book
                .prices()
                .iter()
                .filter(|row| row.model == name && row.kind == kind && row.validity.known_from <= known_on)
                .filter(|row| row.validity.from <= at && row.validity.until.is_none_or(|until| at < until))
                .collect();
            let own = ask.tier.unwrap_or("on_demand");
            let tier = if card.iter().any(|row| row.tier == own) { own } else { "*" };
            let latest = |meter| {
                let mut rows: Vec<_> = card.iter().filter(|row| row.tier == tier && row.meter == meter).collect();
                rows.sort_by_key(|row| row.validity.known_from);
                rows.last().and_then(|row| row.rate)
            };
            let is_cache = meter == Meter::CachedInputTokens;
            if let Some(rate) = latest(meter).or_else(|| latest(Meter::InputTokens).filter(|_| is_cache)) {
                return Some((kind, rate));
            }
        }
    }
    None
}

/// `quantity × price ÷ per`, half to even, by long division.
fn item(quantity: i64, rate: Rate) -> i128 {
    let (mut whole, mut rest) = (0, i128::from(quantity) * rate.price.pico());
    let per = i128::from(rate.per);
    for shift in (0..60).rev() {
        if rest >= per << shift {
            rest -= per << shift;
            whole += 1_i128 << shift;
        }
    }
    match (2 * rest).cmp(&per) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole % 2,
    }
}

fn stretch_at<'s, 'b>(stretches: &'s [Stretch<'b>], at: Instant) -> &'s Stretch<'b> {
    stretches.iter().find(|stretch| stretch.from <= at && at < stretch.until).unwrap()
}

proptest! {
    #[test]
    fn stretches_price_as_the_rules_say(
        rows in rows(),
        aliases in aliases(),
        tier in prop::sample::select(vec![None, Some("batch"), Some("flex")]),
        known in 0..25_i32,
        amounts in prop::array::uniform3(0..100_000_i64),
    ) {
        let book = book(&rows, &aliases);
        let ask = Ask { provider: "g", model: "m", tier };
        let (from, until, known_on) = (day(0), day(25), day(known));
        let stretches = book.stretches(ask, from, until, known_on);
        prop_assert_eq!((stretches[0].from, stretches.last().unwrap().until), (from, until));
        for pair in stretches.windows(2) {
            prop_assert_eq!(pair[0].until, pair[1].from);
            prop_assert!(pair[0].model_billed != pair[1].model_billed || pair[0].choices != pair[1].choices);
        }
        let amounts = [METERS[0], METERS[1], METERS[2]].map(|meter| (meter, amounts[meter_place(meter)]));
        let quantities = quantities(&amounts);
        for at in (0..25).flat_map(|number| [day(number), day(number + 1).plus_micros(-1)]) {
            let stretch = stretch_at(&stretches, at);
            let request = Request { quantities: &quantities, status: Status::Success, gateway_cache: false };
            let charge = stretch.charge(&request).unwrap();
            let (mut basis, mut cost) = (Basis::Free, Some(0));
            for (meter, quantity) in amounts.into_iter().filter(|&(_, quantity)| quantity > 0) {
                if let Some((kind, rate)) = rate(&book, ask, meter, at, known_on) {
                    basis = basis.max(kind.into());
                    cost = cost.map(|cost| cost + item(quantity, rate));
                } else {
                    (basis, cost) = (Basis::Unpriced, None);
                }
            }
            prop_assert_eq!((charge.basis, charge.cost.map(Usd::pico)), (basis, cost), "at {}", at);
            let columns = [charge.input_cost, charge.cached_input_cost, charge.cache_write_cost, charge.output_cost, charge.other_cost];
            let sum: Option<i128> = columns.into_iter().map(|column| column.map(Usd::pico)).sum();
            prop_assert_eq!(sum, cost);
        }
    }

    #[test]
    fn charges_change_only_with_the_digest(
        rows in rows(),
        extra in rows(),
        aliases in aliases(),
        tier in prop::sample::select(vec![None, Some("batch"), Some("flex")]),
        at in 0..25_i32,
    ) {
        let ask = Ask { provider: "g", model: "m", tier };
        let (from, until, known_on) = (day(at), day(at + 1), day(30));
        let shown = |rows: &[String]| -> (Digest, String) {
            let book = book(rows, &aliases);
            let stretches = book.stretches(ask, from, until, known_on);
            let text = stretches.iter().map(|stretch| {
                let choices = stretch.choices.iter().map(|choice| match choice {
                    Choice::Priced(it) => format!("{} {:?} {:?} {:?} {:?}", it.price.digest, it.list, it.uncached, it.on_demand, it.cause),
                    Choice::Unpriced(cause) => format!("{cause:?}"),
                });
                format!("{} {} {:?}", stretch.from, stretch.model_billed, choices.collect::<Vec<_>>())
            });
            (book.digest([ask], from, until, known_on), text.collect())
        };
        let before = shown(&rows);
        let after = shown(&[&rows[..], &extra[..extra.len().min(1)]].concat());
        prop_assert!(before.0 != after.0 || before.1 == after.1);
    }
}

fn meter_place(meter: Meter) -> usize {
    METERS.iter().position(|&other| other == meter).unwrap()
}
