//! Other people's price lists as rows for review: `LiteLLM`'s price map, and the
//! data of genai-prices.
//!
//! Only additions: what the book says already is left out, what differs becomes
//! a row of its own, and no row is ever edited. What a list no longer has may be
//! retired or renamed or forgotten, so no end is made up for it; nor is a price
//! that the book ended brought back because a list still has it. Nothing falls
//! away unseen: every price of a list is a row, is in the book, or is left out
//! with a [`Reason`]. Pure: bytes in, rows out.

mod amount;
mod genai;
mod litellm;
mod python;

use std::collections::BTreeMap;

use super::{Draft, Kind, Price, Rate, Validity, cell, date_text, in_force};
use crate::{json::Scanner, record::Meter, time::Instant};

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `model_prices_and_context_window.json`.
    Litellm,
    /// `data.json` of its repository, or `data.py` of its package.
    GenaiPrices,
}

/// A file that is no price list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("is not UTF-8 at byte {0}, expected a price list of LiteLLM or genai-prices")]
    Encoding(usize),
    #[error(
        "is no JSON: {what} at byte {at}, expected a price list of LiteLLM or genai-prices: check that it is whole"
    )]
    Syntax { what: &'static str, at: usize },
    #[error(
        "is neither LiteLLM's `model_prices_and_context_window.json` nor the `data.json` or `data.py` of genai-prices: say which it is with `--from`, or give one of these"
    )]
    Unknown,
    #[error("is a {0} without prices: check the file and `--from`")]
    Empty(&'static str),
}

/// One price that a list offers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    series: Series,
    /// Since when; `None` where the list does not say.
    from: Option<Instant>,
    /// `None` where the list itself has no such price from then on.
    rate: Option<Rate>,
    /// The page that the list has it from.
    page: Option<String>,
    note: String,
}

/// What a price is of: a history in the book.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Series {
    provider: String,
    model: String,
    tier: String,
    meter: Meter,
}

/// Why a price is not among the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Example,
    PromptLength,
    TimeOfDay,
    Condition,
    Modality,
    SearchContext,
    Reasoning,
    Session,
    PictureSize,
    Likeness,
    NoMeter,
    Zero,
    Digits,
    NotANumber,
    TwoPrices,
    BilledByTokens,
    UnknownStart,
    EndedInTheBook,
    NotInTheBook,
    NoProvider,
}

impl Reason {
    /// As a report says it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Example => "the list's own example",
            Self::PromptLength => "for long prompts only: the book has one price for all lengths",
            Self::TimeOfDay => "by time of day, which the book does not know",
            Self::Condition => "under a condition that `usage` does not show",
            Self::Modality => "for audio, pictures or video: `usage` does not tell such tokens apart",
            Self::SearchContext => "by the size of the search context, which `usage` does not show",
            Self::Reasoning => "for reasoning, which is part of `output_tokens`",
            Self::Session => "per session, which `usage` does not count",
            Self::PictureSize => "by size and quality of the picture, which `usage` does not show",
            Self::Likeness => "for names like a pattern: the book matches names exactly",
            Self::NoMeter => "of something that no meter counts",
            Self::Zero => "0, which lists also write where they know no price",
            Self::Digits => "more digits than a price in the book can have",
            Self::NotANumber => "no number of dollars",
            Self::TwoPrices => "another entry of the list has another price for the same name",
            Self::BilledByTokens => "beside a price of its tokens: both would bill twice",
            Self::UnknownStart => "over by now, and the list does not say since when it stood",
            Self::EndedInTheBook => "ended in the book: add the row by hand if it is sold again",
            Self::NotInTheBook => "an end of a price that the book does not have",
            Self::NoProvider => "of an entry that names no provider",
        }
    }
}

/// A price that is not among the rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    pub reason: Reason,
    pub provider: String,
    pub model: String,
    /// The name of the price in the list.
    pub field: String,
    /// As it stands in the list.
    pub value: String,
}

/// What a list says.
#[derive(Debug)]
pub struct PriceList {
    /// As a row's source names it.
    name: &'static str,
    offers: Vec<Offer>,
    left_out: Vec<LeftOut>,
}

/// How names are spelled in `usage`: the provider, and the model without the
/// provider in front of it.
#[derive(Debug, Clone, Copy)]
pub struct Spelling {
    pub provider: fn(&str) -> String,
    pub model: fn(&str, &str) -> String,
}

/// What is wanted of a list, and as of when.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Providers as `usage` spells them; all where it is empty.
    pub providers: &'a [String],
    /// Models; all where it is empty.
    pub models: &'a [glob::Pattern],
    /// From when prices without a date apply; today where it is not given.
    pub valid_from: Option<Instant>,
    /// The present, for what the book says now.
    pub now: Instant,
    /// What the rows have for `known_from`.
    pub known_from: Instant,
}

impl Wanted<'_> {
    fn is_asked_for(&self, provider: &str, model: &str) -> bool {
        (self.providers.is_empty() || self.providers.iter().any(|it| it == provider))
            && (self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model)))
    }

    /// The first instant of today.
    fn today(&self) -> Instant {
        self.now.day().start()
    }
}

/// A row to add to the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    series: Series,
    rate: Option<Rate>,
    validity: Validity,
    source: String,
    note: String,
}

/// What a list adds to a book.
#[derive(Debug, Default)]
pub struct Additions {
    pub rows: Vec<Addition>,
    pub left_out: Vec<LeftOut>,
    /// Prices that the book says already.
    pub known: usize,
    /// Prices of other providers and models than were asked for.
    pub not_asked_for: usize,
}

/// Reads a price list; whose it is shows in it where `origin` does not say.
///
/// # Errors
/// Where it is none, or not whole.
pub fn read_list(bytes: &[u8], origin: Option<Origin>, spelling: Spelling) -> Result<PriceList, ImportError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| ImportError::Encoding(error.valid_up_to()))?;
    let translated;
    let text = if python::is_python(text) && origin != Some(Origin::Litellm) {
        translated = python::to_json(text)?;
        &translated
    } else {
        text
    };
    let mut scanner = Scanner::new();
    let value = scanner.scan(text).map_err(|error| ImportError::Syntax { what: error.what, at: error.at })?;
    let providers = genai::providers(value);
    let list = match (origin, providers) {
        (Some(Origin::GenaiPrices) | None, Some(providers)) => genai::read(providers, spelling),
        (Some(Origin::Litellm), _) => litellm::read(value, spelling),
        (None, None) if litellm::looks_like_it(value) => litellm::read(value, spelling),
        _ => return Err(ImportError::Unknown),
    };
    if list.offers.is_empty() && list.left_out.is_empty() { Err(ImportError::Empty(list.name)) } else { Ok(list) }
}

impl PriceList {
    const fn new(name: &'static str) -> Self {
        Self { name, offers: Vec::new(), left_out: Vec::new() }
    }

    /// The rows that a book lacks to say what the list says.
    pub fn additions(self, book: &Draft, wanted: &Wanted<'_>) -> Additions {
        let mut done = Additions::default();
        for left_out in self.left_out {
            if wanted.is_asked_for(&left_out.provider, &left_out.model) {
                done.left_out.push(left_out);
            } else {
                done.not_asked_for += 1;
            }
        }
        let mut histories: BTreeMap<Series, Vec<Offer>> = BTreeMap::new();
        for offer in self.offers {
            if wanted.is_asked_for(&offer.series.provider, &offer.series.model) {
                histories.entry(offer.series.clone()).or_default().push(offer);
            } else {
                done.not_asked_for += 1;
            }
        }
        let mut known: BTreeMap<Series, Vec<&Price>> = BTreeMap::new();
        for row in book.prices.iter().filter(|row| row.kind == Kind::List && row.validity.known_from <= wanted.now) {
            known.entry(Series::of(row)).or_default().push(row);
        }
        for (series, offers) in histories {
            let rows = known.get(&series).map_or(&[][..], Vec::as_slice);
            let dated = dated(offers, wanted, &mut done.left_out);
            add(self.name, &series, &dated, rows, wanted, &mut done);
        }
        done.rows.sort_by(|a, b| a.rank().cmp(&b.rank()));
        // Both a start and today can say the same.
        done.left_out.sort();
        done.left_out.dedup();
        done
    }
}

impl Series {
    fn of(row: &Price) -> Self {
        let [provider, model, tier] = [&row.provider, &row.model, &row.tier].map(String::clone);
        Self { provider, model, tier, meter: row.meter }
    }
}

/// A series' offers with their starts, in order. One without a date starts where
/// the user says, or today, and only where no dated one has begun by then.
fn dated(offers: Vec<Offer>, wanted: &Wanted<'_>, left_out: &mut Vec<LeftOut>) -> Vec<(Instant, Offer)> {
    let floor = wanted.valid_from.unwrap_or_else(|| wanted.today());
    let mut dated: Vec<(Instant, Offer)> = Vec::new();
    let first = offers.iter().filter_map(|offer| offer.from).min();
    for offer in offers {
        match offer.from {
            Some(from) => dated.push((from, offer)),
            None if first.is_none_or(|first| floor < first) => dated.push((floor, offer)),
            // With a start that was asked for, it was meant to be over by then.
            None if wanted.valid_from.is_some() => {}
            None => left_out.push(offer.left_out(Reason::UnknownStart)),
        }
    }
    dated.sort_by_key(|(from, _)| *from);
    if let Some(floor) = wanted.valid_from {
        // Of what began before, the last one still stood then.
        let before = dated.iter().take_while(|(from, _)| *from <= floor).count();
        dated.drain(..before.saturating_sub(1));
        if let Some((from, _)) = dated.first_mut() {
            *from = floor.max(*from);
        }
    }
    dated
}

impl Offer {
    fn source(&self, list: &str, wanted: &Wanted<'_>) -> String {
        let page = self.page.as_ref().map(|page| format!(": {page}")).unwrap_or_default();
        format!("{list} {}{page}", wanted.now.day())
    }

    fn note(&self, wanted: &Wanted<'_>) -> String {
        let start = match (self.from, wanted.valid_from) {
            (Some(_), _) => "",
            (None, Some(_)) => "the list does not say since when",
            (None, None) => "start unknown: the first day on which it was seen at this price",
        };
        [start, &self.note].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
    }

    fn left_out(&self, reason: Reason) -> LeftOut {
        let Series { provider, model, tier, meter } = &self.series;
        let value = self.rate.map_or_else(|| "none".to_owned(), |rate| rate.text(*meter));
        let field = format!("{tier} {}", meter.info().column);
        LeftOut { reason, provider: provider.clone(), model: model.clone(), field, value }
    }
}

/// Compares a history with the book's, at each start and today.
fn add(
    list: &str,
    series: &Series,
    dated: &[(Instant, Offer)],
    rows: &[&Price],
    wanted: &Wanted<'_>,
    done: &mut Additions,
) {
    let Some((first, _)) = dated.first() else { return };
    let mut points: Vec<Instant> = dated.iter().map(|(from, _)| *from).collect();
    points.extend((*first < wanted.today()).then(|| wanted.today()));
    points.sort_unstable();
    points.dedup();
    let mut added: Vec<Addition> = Vec::new();
    for point in points {
        let Some((start, offer)) = dated.iter().rev().find(|(from, _)| *from <= point) else { continue };
        // What was added for an earlier point stands until the book's next change.
        let own = added.last().filter(|row| row.validity.holds_at(point)).map(|row| row.rate);
        let row = in_force(rows.iter().copied(), point, wanted.now);
        let standing = own.or_else(|| row.map(|row| row.rate));
        match (standing, offer.rate) {
            (Some(Some(standing)), Some(rate)) if is_same(standing, rate) => {
                done.known += usize::from(own.is_none() && *start == point);
            }
            (Some(None), None) => done.known += usize::from(*start == point),
            (None, None) => done.left_out.push(offer.left_out(Reason::NotInTheBook)),
            // That a list without dates still has it does not bring it back.
            (Some(None), Some(_)) if offer.from.is_none_or(|from| row.is_some_and(|row| from <= row.validity.from)) => {
                done.left_out.push(offer.left_out(Reason::EndedInTheBook));
            }
            (_, rate) => {
                let least = standing.flatten().map_or(0, |standing| standing.min_quantity);
                let next = rows.iter().map(|row| row.validity.from).filter(|from| *from > point).min();
                added.push(Addition {
                    series: series.clone(),
                    rate: rate.map(|rate| Rate { min_quantity: least, ..rate }),
                    validity: Validity { from: point, until: next, known_from: wanted.known_from },
                    source: offer.source(list, wanted),
                    note: offer.note(wanted),
                });
            }
        }
    }
    // Rows that are learnt at once must not overlap.
    for at in 1..added.len() {
        let next = added[at].validity.from;
        let until = &mut added[at - 1].validity.until;
        *until = Some(until.map_or(next, |until| until.min(next)));
    }
    done.rows.extend(added);
}

/// Whether two rates are the same price for any quantity; lists know nothing of
/// the least that is billed.
fn is_same(a: Rate, b: Rate) -> bool {
    // Both products fit: prices stay below 10^21 pico-dollars, `per` below 10^15.
    a.price.pico() * i128::from(b.per) == b.price.pico() * i128::from(a.per)
}

/// The columns of a price file, in the order in which rows are written.
const COLUMNS: [&str; 13] = [
    "provider",
    "model",
    "tier",
    "meter",
    "price_usd",
    "per",
    "min_quantity",
    "valid_from",
    "valid_until",
    "known_from",
    "kind",
    "source",
    "note",
];

impl Addition {
    pub fn provider(&self) -> &str {
        &self.series.provider
    }

    pub fn model(&self) -> &str {
        &self.series.model
    }

    /// Tiers in the order in which people look for them.
    fn rank(&self) -> (&str, &str, usize, &str, Meter, Instant) {
        let Series { provider, model, tier, meter } = &self.series;
        let order = ["on_demand", "flex", "batch", "priority"];
        let place = order.iter().position(|it| it == tier).unwrap_or(order.len());
        (provider, model, place, tier, *meter, self.validity.from)
    }

    /// Its cells, in the order of a price file.
    pub fn cells(&self) -> [String; 13] {
        let Series { provider, model, tier, meter } = &self.series;
        let amount = |quantity| cell::amount_text(quantity, meter.info().unit);
        let [price, per, least] = self.rate.map_or_else(Default::default, |rate| {
            let least = if rate.min_quantity > 0 { amount(rate.min_quantity) } else { String::new() };
            [cell::price_text(rate.price), amount(rate.per), least]
        });
        [
            provider.clone(),
            model.clone(),
            tier.clone(),
            meter.info().column.to_owned(),
            price,
            per,
            least,
            date_text(self.validity.from),
            self.validity.until.map(date_text).unwrap_or_default(),
            date_text(self.validity.known_from),
            Kind::List.name().to_owned(),
            self.source.clone(),
            self.note.clone(),
        ]
    }
}

impl Additions {
    /// The rows as a price file, or as what to add to one: without the first
    /// line, whose columns may then stand in an order of their own.
    ///
    /// # Errors
    /// Where `header` lacks a column.
    pub fn csv(&self, header: Option<&str>) -> Result<String, String> {
        let names: Vec<&str> = header.map_or_else(|| COLUMNS.to_vec(), |line| line.split(',').map(str::trim).collect());
        let place = |name: &&str| COLUMNS.iter().position(|column| column == name);
        let places: Vec<usize> = names.iter().filter_map(place).collect();
        if places.len() != COLUMNS.len() || names.len() != COLUMNS.len() {
            return Err(format!("its first line must be `{}`", COLUMNS.join(",")));
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut write = |cells: &[&str]| writer.write_record(cells).map_err(|error| error.to_string());
        if header.is_none() {
            write(&COLUMNS)?;
        }
        for row in &self.rows {
            let cells = row.cells();
            write(&places.iter().map(|&at| cells[at].as_str()).collect::<Vec<_>>())?;
        }
        let bytes = writer.into_inner().map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    }

    /// The same rows without notes, which would silence what a check has to say
    /// of them.
    #[must_use]
    pub fn without_notes(&self) -> Self {
        let rows = self.rows.iter().map(|row| Addition { note: String::new(), ..row.clone() }).collect();
        Self { rows, ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
