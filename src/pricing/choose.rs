//! Which price: the choice, made once per provider, model and tier and per
//! stretch of time in which it does not change (DESIGN §6).
//!
//! Whatever a choice depends on holds at some instant of its stretch, so that
//! [`PriceBook::digest`] can say from the same rows whether a day must be
//! priced again.

use std::collections::HashMap;

use super::{ANY, Alias, Digest, Kind, Price, Rate, in_force};
use crate::{
    record::{METERS, Meter},
    time::Instant,
};

/// The tier of requests whose own is not known.
const ON_DEMAND: &str = "on_demand";
const BATCH: &str = "batch";

/// A price book without errors, ready to price.
#[derive(Debug, Clone)]
pub struct PriceBook {
    prices: Vec<Price>,
    aliases: Vec<Alias>,
    /// Places in `prices` by provider and model, and in `aliases` by provider and alias.
    by_model: HashMap<String, HashMap<String, Vec<usize>>>,
    by_alias: HashMap<String, HashMap<String, Vec<usize>>>,
}

/// What is to be priced: names as in `usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ask<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    /// `None` is priced as `on_demand`.
    pub tier: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(super) fn tier(self) -> &'a str {
        self.tier.unwrap_or(ON_DEMAND)
    }
}

/// A stretch of time, `[from, until)`, in which nothing about the price changes.
#[derive(Debug, Clone)]
pub struct Stretch<'b> {
    pub from: Instant,
    pub until: Instant,
    pub provider: &'b str,
    /// The price book's name for the model.
    pub model_billed: &'b str,
    pub tier: &'b str,
    /// One per meter, in the order of [`METERS`].
    pub choices: [Choice<'b>; Meter::COUNT],
}

/// What was found for one meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice<'b> {
    Priced(Chosen<'b>),
    Unpriced(Cause),
}

/// The price of one meter, and what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'b> {
    pub price: &'b Price,
    pub rate: Rate,
    /// A cache meter without a price of its own in the card, at the input price.
    pub as_input: bool,
    /// At list price; its own where no list price is known, so that no saving
    /// is claimed.
    pub list: Rate,
    /// For cache meters: what the same card asks for fresh input.
    pub uncached: Option<Rate>,
    /// For the batch tier: what the same card asks on demand.
    pub on_demand: Option<Rate>,
    /// Why nothing better than a fallback was found.
    pub cause: Option<Cause>,
}

/// Two choices are the same if they lead to the same charges.
impl PartialEq for Chosen<'_> {
    fn eq(&self, other: &Self) -> bool {
        let rest = |it: &Self| (it.as_input, it.list, it.uncached, it.on_demand, it.cause);
        self.price.digest == other.price.digest && rest(self) == rest(other)
    }
}

/// Why a model's own price was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The book has no prices of the model in this tier.
    UnknownModel,
    /// It has some, but none of this meter.
    UnlistedMeter,
    /// Its price ended then.
    Ended(Instant),
}

/// The rows of one model and kind in the tier decided for it, the one in force
/// of each meter.
struct Card<'b> {
    is_exact: bool,
    kind: Kind,
    rows: [Option<&'b Price>; Meter::COUNT],
}

impl<'b> Card<'b> {
    fn live(&self, meter: Meter) -> Option<(&'b Price, Rate)> {
        let row = self.rows[meter.index()]?;
        Some((row, row.rate?))
    }

    /// The meter's price, or for a cache meter without one that of input.
    fn price(&self, meter: Meter) -> Option<(&'b Price, Rate, bool)> {
        let own = self.live(meter).map(|(row, rate)| (row, rate, false));
        own.or_else(|| {
            let (row, rate) = self.live(Meter::InputTokens).filter(|_| is_cache(meter))?;
            Some((row, rate, true))
        })
    }
}

/// Whether a meter counts input tokens that a cache made cheaper or dearer.
const fn is_cache(meter: Meter) -> bool {
    matches!(meter, Meter::CachedInputTokens | Meter::CacheWrite5mTokens | Meter::CacheWrite1hTokens)
}

impl PriceBook {
    /// The caller has checked the rows.
    pub(super) fn new(prices: Vec<Price>, aliases: Vec<Alias>) -> Self {
        let mut by_model: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (index, row) in prices.iter().enumerate() {
            by_model.entry(row.provider.clone()).or_default().entry(row.model.clone()).or_default().push(index);
        }
        let mut by_alias: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (index, row) in aliases.iter().enumerate() {
            by_alias.entry(row.provider.clone()).or_default().entry(row.alias.clone()).or_default().push(index);
        }
        Self { prices, aliases, by_model, by_alias }
    }

    /// All rows, in the order of files and lines.
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }

    /// All aliases, in the order of lines.
    pub fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    pub(super) fn rows(&self, provider: &str, model: &str) -> impl Iterator<Item = &Price> {
        let places = self.by_model.get(provider).and_then(|models| models.get(model));
        places.into_iter().flatten().map(|&place| &self.prices[place])
    }

    fn alias_rows(&self, provider: &str, alias: &str) -> impl Iterator<Item = &Alias> {
        let places = self.by_alias.get(provider).and_then(|names| names.get(alias));
        places.into_iter().flatten().map(|&place| &self.aliases[place])
    }

    /// The book's name for a model at an instant.
    pub fn billed_name<'b>(&'b self, provider: &str, model: &'b str, at: Instant, known_on: Instant) -> &'b str {
        let alias = in_force(self.alias_rows(provider, model), at, known_on);
        alias.and_then(|alias| alias.model.as_deref()).unwrap_or(model)
    }

    /// The prices of `[from, until)` as known on an instant: stretches without
    /// holes, in order, each different from the one before.
    pub fn stretches<'b>(&'b self, ask: Ask<'b>, from: Instant, until: Instant, known_on: Instant) -> Vec<Stretch<'b>> {
        let mut starts = vec![from];
        let mut add = |instants: [Option<Instant>; 2]| {
            starts.extend(instants.into_iter().flatten().filter(|&at| from < at && at < until));
        };
        let mut names = vec![ask.model, ANY];
        for row in self.alias_rows(ask.provider, ask.model).filter(|row| row.validity.known_from <= known_on) {
            add([Some(row.validity.from), row.validity.until]);
            names.extend(row.model.as_deref());
        }
        for row in names.iter().flat_map(|name| self.rows(ask.provider, name)) {
            if row.validity.known_from <= known_on {
                add([Some(row.validity.from), row.validity.until]);
            }
        }
        starts.sort_unstable();
        starts.dedup();
        let mut stretches: Vec<Stretch<'b>> = Vec::new();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(until);
            let model_billed = self.billed_name(ask.provider, ask.model, start, known_on);
            let choices = self.choose(ask, model_billed, start, known_on);
            match stretches.last_mut() {
                Some(last) if last.model_billed == model_billed && last.choices == choices => last.until = end,
                _ => stretches.push(Stretch {
                    from: start,
                    until: end,
                    provider: ask.provider,
                    model_billed,
                    tier: ask.tier(),
                    choices,
                }),
            }
        }
        stretches
    }

    /// The choice of every meter at one instant.
    fn choose<'b>(&'b self, ask: Ask<'b>, model: &str, at: Instant, known_on: Instant) -> [Choice<'b>; Meter::COUNT] {
        let cards = self.cards(ask.provider, model, ask.tier(), at, known_on);
        let on_demand =
            if ask.tier() == BATCH { self.cards(ask.provider, model, ON_DEMAND, at, known_on) } else { Vec::new() };
        std::array::from_fn(|index| choose_meter(METERS[index].meter, &cards, &on_demand))
    }

    /// The cards in the order in which they are tried, without empty ones.
    fn cards<'b>(&'b self, provider: &str, model: &str, tier: &str, at: Instant, known_on: Instant) -> Vec<Card<'b>> {
        let mut cards = Vec::with_capacity(6);
        for name in [model, ANY] {
            let rows: Vec<&Price> = self
                .rows(provider, name)
                .filter(|row| row.validity.holds_at(at) && row.validity.known_from <= known_on)
                .collect();
            for kind in Kind::ALL {
                let is_own = rows.iter().any(|row| row.kind == kind && row.tier == tier);
                let tier = if is_own { tier } else { ANY };
                let mut card = Card { is_exact: name == model, kind, rows: [None; Meter::COUNT] };
                for &row in rows.iter().filter(|row| row.kind == kind && row.tier == tier) {
                    let slot = &mut card.rows[row.meter.index()];
                    if slot.is_none_or(|earlier| earlier.validity.known_from < row.validity.known_from) {
                        *slot = Some(row);
                    }
                }
                if card.rows.iter().any(Option::is_some) {
                    cards.push(card);
                }
            }
            if model == ANY {
                break;
            }
        }
        cards
    }

    /// The digest of what can decide the price of any of these on `[from,
    /// until)`, as known on an instant: another one means pricing again.
    pub fn digest<'a>(
        &self,
        asks: impl IntoIterator<Item = Ask<'a>>,
        from: Instant,
        until: Instant,
        known_on: Instant,
    ) -> Digest {
        let mut rows = Vec::new();
        for ask in asks {
            let mut names = vec![ask.model, ANY];
            for row in self.alias_rows(ask.provider, ask.model) {
                if row.validity.known_from <= known_on && row.validity.touches(from, until) {
                    rows.push(row.digest);
                    names.extend(row.model.as_deref());
                }
            }
            let tiers = [ask.tier(), ANY, if ask.tier() == BATCH { ON_DEMAND } else { ANY }];
            let prices = names.iter().flat_map(|name| self.rows(ask.provider, name));
            let can_decide = |row: &&Price| {
                row.validity.known_from <= known_on
                    && row.validity.touches(from, until)
                    && tiers.contains(&row.tier.as_str())
            };
            rows.extend(prices.filter(can_decide).map(|row| row.digest));
        }
        Digest::of_rows(rows)
    }
}

/// The first card that has a price for the meter, and what it compares with.
fn choose_meter<'b>(meter: Meter, cards: &[Card<'b>], on_demand: &[Card<'b>]) -> Choice<'b> {
    let found = cards.iter().find_map(|card| card.price(meter).map(|price| (card, price)));
    let Some((card, (price, rate, as_input))) = found else { return Choice::Unpriced(cause(meter, cards)) };
    let rate_in = |card: &Card<'b>| card.price(meter).map(|(_, rate, _)| rate);
    let list = cards.iter().filter(|card| card.kind == Kind::List).find_map(rate_in);
    let is_same = |other: &&Card<'b>| other.is_exact == card.is_exact && other.kind == card.kind;
    Choice::Priced(Chosen {
        price,
        rate,
        as_input,
        list: list.unwrap_or(rate),
        uncached: card.live(Meter::InputTokens).map(|(_, rate)| rate).filter(|_| is_cache(meter)),
        on_demand: on_demand.iter().find(is_same).and_then(rate_in),
        cause: (card.kind == Kind::Fallback).then(|| cause(meter, cards)),
    })
}

/// Why the model's own cards gave no price.
fn cause(meter: Meter, cards: &[Card<'_>]) -> Cause {
    let own = || cards.iter().filter(|card| card.is_exact && card.kind != Kind::Fallback);
    let end = own().find_map(|card| {
        let row = card.rows[meter.index()].or(card.rows[Meter::InputTokens.index()].filter(|_| is_cache(meter)));
        row.filter(|row| row.rate.is_none())
    });
    match end {
        Some(end) => Cause::Ended(end.validity.from),
        None if own().next().is_none() => Cause::UnknownModel,
        None => Cause::UnlistedMeter,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{ask, at, book},
        *,
    };
    use crate::record::Meter::{CachedInputTokens, InputTokens, OutputTokens};

    const NOW: &str = "2027-01-01";

    /// The input price of `g/m` at an instant: `0.5 per 1M`, or why there is none.
    fn input(book: &PriceBook, tier: &str, when: &str, known_on: &str) -> String {
        meter(book, "m", tier, InputTokens, when, known_on)
    }

    fn meter(book: &PriceBook, model: &str, tier: &str, meter: Meter, when: &str, known_on: &str) -> String {
        let when = at(when);
        let stretches = book.stretches(ask("g", model, tier), when, when.plus_micros(1), at(known_on));
        assert_eq!(stretches.len(), 1);
        match &stretches[0].choices[meter.index()] {
            Choice::Priced(chosen) => format!("{} {}", chosen.price.kind.name(), chosen.rate.text(meter)),
            Choice::Unpriced(cause) => format!("{cause:?}"),
        }
    }

    #[test]
    fn a_change_takes_effect_to_the_microsecond() {
        let book = book(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,input_tokens,2,1M,,2026-03-05T16:00:00Z,,2026-03-05T16:00:00Z,list,,",
                "g,m,*,input_tokens,3,1M,,2026-03-05T20:00:00Z,,2026-03-05T20:00:00Z,list,,",
            ],
            &[],
        );
        for (when, expect) in [
            ("2025-12-31T23:59:59.999999Z", "UnknownModel"),
            ("2026-01-01", "list 1 per 1M"),
            ("2026-03-05T15:59:59.999999Z", "list 1 per 1M"),
            ("2026-03-05T16:00:00Z", "list 2 per 1M"),
            ("2026-03-05T19:59:59.999999Z", "list 2 per 1M"),
            ("2026-03-05T20:00:00Z", "list 3 per 1M"),
        ] {
            assert_eq!(input(&book, "", when, NOW), expect, "{when}");
        }
        let day = |text| book.stretches(ask("g", "m", ""), at(text), at(text).day().end(), at(NOW));
        let starts: Vec<String> = day("2026-03-05").iter().map(|stretch| stretch.from.to_string()).collect();
        assert_eq!(starts, ["2026-03-05T00:00:00Z", "2026-03-05T16:00:00Z", "2026-03-05T20:00:00Z"]);
        assert_eq!(day("2026-03-05").last().unwrap().until, at("2026-03-06"));
        assert_eq!(day("2026-03-06").len(), 1);
    }

    #[test]
    fn a_correction_covers_what_was_known_before_and_yesterday_is_reproduced() {
        let book = book(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,input_tokens,2,1M,,2026-02-01,2026-03-01,2026-04-10T12:00:00Z,list,,",
            ],
            &[],
        );
        for (when, known_on, expect) in [
            ("2026-02-15", "2026-04-10T11:59:59.999999Z", "list 1 per 1M"),
            ("2026-02-15", "2026-04-10T12:00:00Z", "list 2 per 1M"),
            ("2026-01-31T23:59:59.999999Z", NOW, "list 1 per 1M"),
            ("2026-02-28T23:59:59.999999Z", NOW, "list 2 per 1M"),
            ("2026-03-01", NOW, "list 1 per 1M"),
            ("2026-01-15", "2025-12-31", "UnknownModel"),
        ] {
            assert_eq!(input(&book, "", when, known_on), expect, "{when} as known on {known_on}");
        }
    }

    #[test]
    fn an_announced_rise_can_be_withdrawn() {
        let book = book(
            &[
                "g,m,*,input_tokens,2,1M,,2026-07-01,,2026-07-01,list,,",
                "g,m,*,input_tokens,3,1M,,2026-09-01,,2026-08-01,list,,",
                "g,m,*,input_tokens,2,1M,,2026-09-01,,2026-08-20,list,,",
            ],
            &[],
        );
        assert_eq!(input(&book, "", "2026-09-15", "2026-07-20"), "list 2 per 1M");
        assert_eq!(input(&book, "", "2026-09-15", "2026-08-10"), "list 3 per 1M");
        assert_eq!(input(&book, "", "2026-09-15", "2026-08-20"), "list 2 per 1M");
    }

    #[test]
    fn prices_end_and_return_and_an_end_tries_the_next_card() {
        let book = book(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,input_tokens,,,,2026-02-01,,2026-01-15,list,,",
                "g,m,*,input_tokens,4,1M,,2026-03-01,,2026-03-01,list,,back",
                "g,*,*,input_tokens,0.1,1M,,2026-02-10,,2026-02-10,fallback,,",
            ],
            &[],
        );
        for (when, expect) in [
            ("2026-01-31T23:59:59.999999Z", "list 1 per 1M".to_owned()),
            ("2026-02-01", format!("{:?}", Cause::Ended(at("2026-02-01")))),
            ("2026-02-10", "fallback 0.1 per 1M".to_owned()),
            ("2026-03-01", "list 4 per 1M".to_owned()),
        ] {
            assert_eq!(input(&book, "", when, NOW), expect, "{when}");
        }
        assert_eq!(input(&book, "", "2026-02-05", "2026-01-14"), "list 1 per 1M", "before the end was announced");
    }

    #[test]
    fn the_tier_is_decided_once_per_card() {
        let book = book(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,output_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,batch,input_tokens,0.5,1M,,2026-02-01,,2026-02-01,list,,",
                "g,n,batch,input_tokens,,,,2026-01-01,,2026-01-01,list,,",
                "g,n,*,input_tokens,7,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,input_tokens,0.9,1M,,2026-03-01,,2026-03-01,contract,,",
            ],
            &[],
        );
        for (model, tier, of, when, expect) in [
            ("m", "batch", InputTokens, "2026-01-15", "list 1 per 1M"),
            ("m", "batch", InputTokens, "2026-02-15", "list 0.5 per 1M"),
            ("m", "batch", OutputTokens, "2026-02-15", "UnlistedMeter"),
            ("m", "flex", OutputTokens, "2026-02-15", "list 2 per 1M"),
            ("m", "batch", InputTokens, "2026-03-15", "contract 0.9 per 1M"),
            ("n", "batch", InputTokens, "2026-02-15", "Ended"),
            ("n", "", InputTokens, "2026-02-15", "list 7 per 1M"),
        ] {
            let found = meter(&book, model, tier, of, when, NOW);
            assert!(found.starts_with(expect), "{model} {tier} {when}: {found}");
        }
    }

    #[test]
    fn cards_are_tried_exact_before_any_and_contract_before_list_before_fallback() {
        let row = |model: &str, kind: &str, price: &str| {
            format!("g,{model},*,input_tokens,{price},1M,,2026-01-01,,2026-01-01,{kind},,")
        };
        let cards = [
            ("m", "contract", "1"),
            ("m", "list", "2"),
            ("m", "fallback", "3"),
            ("*", "contract", "4"),
            ("*", "list", "5"),
            ("*", "fallback", "6"),
        ];
        for skipped in 0..cards.len() {
            let rows: Vec<String> = cards[skipped..].iter().rev().map(|(m, k, p)| row(m, k, p)).collect();
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            let (_, kind, price) = cards[skipped];
            assert_eq!(input(&book(&rows, &[]), "", "2026-06-01", NOW), format!("{kind} {price} per 1M"));
        }
    }

    #[test]
    fn cache_meters_take_their_card_s_input_price_before_the_next_card() {
        let book = book(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,contract,,",
                "g,m,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,cached_input_tokens,0.5,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,cached_input_tokens,0.2,1M,,2026-02-01,2026-03-01,2026-02-01,contract,,",
                "g,m,*,input_tokens,,,,2026-04-01,,2026-04-01,contract,,",
            ],
            &[],
        );
        for (when, expect) in [
            ("2026-01-15", "contract 1 per 1M"),
            ("2026-02-15", "contract 0.2 per 1M"),
            ("2026-03-15", "contract 1 per 1M"),
            ("2026-04-15", "list 0.5 per 1M"),
        ] {
            assert_eq!(meter(&book, "m", "", CachedInputTokens, when, NOW), expect, "{when}");
        }
    }

    #[test]
    fn aliases_have_dates_and_are_corrected_too() {
        let book = book(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,",
                "g,n,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
            ],
            &[
                "g,latest,m,2026-01-01,,2026-01-01,,",
                "g,latest,n,2026-03-01,,2026-03-01,,",
                "g,latest,,2026-05-01,,2026-05-01,,",
            ],
        );
        for (when, expect) in [
            ("2025-12-31", "UnknownModel"),
            ("2026-02-28T23:59:59.999999Z", "list 1 per 1M"),
            ("2026-03-01", "list 2 per 1M"),
            ("2026-05-01", "UnknownModel"),
        ] {
            assert_eq!(meter(&book, "latest", "", InputTokens, when, NOW), expect, "{when}");
        }
        assert_eq!(meter(&book, "latest", "", InputTokens, "2026-04-01", "2026-02-01"), "list 1 per 1M");
        assert_eq!(meter(&book, "Latest", "", InputTokens, "2026-04-01", NOW), "UnknownModel");
    }

    #[test]
    fn a_day_s_digest_moves_only_with_what_can_decide_its_prices() {
        let base = ["g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,"];
        let of = |extra: &str, aliases: &[&str], tier: &str, known_on: &str| {
            let rows: Vec<&str> = base.iter().copied().chain((!extra.is_empty()).then_some(extra)).collect();
            let book = book(&rows, aliases);
            book.digest([ask("g", "m", tier)], at("2026-06-01"), at("2026-06-02"), at(known_on))
        };
        let plain = of("", &[], "", NOW);
        for (extra, moves) in [
            ("g,m,*,output_tokens,1,1M,,2026-06-01T23:59:59.999999Z,,2026-01-01,list,,", true),
            ("g,m,*,output_tokens,1,1M,,2026-06-02,,2026-01-01,list,,", false),
            ("g,m,*,output_tokens,1,1M,,2026-01-01,2026-06-01,2026-01-01,list,,", false),
            ("g,m,*,output_tokens,1,1M,,2026-01-01,,2027-02-01,list,,", false),
            ("g,m,batch,output_tokens,1,1M,,2026-01-01,,2026-01-01,list,,", false),
            ("g,m,on_demand,output_tokens,1,1M,,2026-01-01,,2026-01-01,list,,", true),
            ("g,n,*,output_tokens,1,1M,,2026-01-01,,2026-01-01,list,,", false),
            ("h,m,*,output_tokens,1,1M,,2026-01-01,,2026-01-01,list,,", false),
            ("g,*,*,output_tokens,1,1M,,2026-01-01,,2026-01-01,fallback,,", true),
        ] {
            assert_eq!(of(extra, &[], "", NOW) != plain, moves, "{extra}");
        }
        assert_ne!(of("", &["g,m,n,2026-01-01,,2026-01-01,,"], "", NOW), plain);
        assert_eq!(of("", &["g,x,n,2026-01-01,,2026-01-01,,"], "", NOW), plain);
        // What batch saved is told from the price on demand.
        let on_demand = "g,m,on_demand,output_tokens,1,1M,,2026-01-01,,2026-01-01,list,,";
        assert_ne!(of(on_demand, &[], "batch", NOW), of("", &[], "batch", NOW));
    }
}
