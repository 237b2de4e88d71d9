//! Every row that could have priced one meter of one request, and why one won:
//! for `explain`.

use super::{ANY, Ask, Choice, Price, PriceBook};
use crate::{record::Meter, time::Instant};

/// One row, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Considered<'b> {
    pub price: &'b Price,
    pub verdict: Verdict<'b>,
}

/// Why a row was chosen, or was not.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'b> {
    Chosen,
    /// Learnt only after the instant as of which the price is asked for.
    NotYetKnown,
    NotYetValid,
    NoLongerValid,
    /// Of another tier than the one decided for its card.
    OtherTier,
    /// A row known later says otherwise.
    CoveredBy(&'b Price),
    /// It ends a price, so that the next card is tried.
    End,
    /// A better card had a price.
    Outranked,
}

impl Verdict<'_> {
    /// For people: `not valid yet`.
    pub fn text(&self) -> String {
        match self {
            Self::Chosen => "chosen".to_owned(),
            Self::NotYetKnown => "not known yet".to_owned(),
            Self::NotYetValid => "not valid yet".to_owned(),
            Self::NoLongerValid => "no longer valid".to_owned(),
            Self::OtherTier => "for another tier".to_owned(),
            Self::CoveredBy(price) => format!("corrected by {}", price.place),
            Self::End => "ends the price".to_owned(),
            Self::Outranked => "a better price was found".to_owned(),
        }
    }
}

impl PriceBook {
    /// The rows of a meter, of the model and of `*`, with their verdicts.
    pub fn considered<'b>(&'b self, ask: Ask<'b>, meter: Meter, at: Instant, known_on: Instant) -> Vec<Considered<'b>> {
        let Some(stretch) = self.stretches(ask, at, at.plus_micros(1), known_on).into_iter().next() else {
            return Vec::new();
        };
        let winner = match &stretch.choices[meter.index()] {
            Choice::Priced(chosen) => Some(chosen.price),
            Choice::Unpriced(_) => None,
        };
        let names = [stretch.model_billed, ANY];
        let names = if stretch.model_billed == ANY { &names[..1] } else { &names[..] };
        let mut considered = Vec::new();
        for name in names {
            let rows: Vec<&Price> = self.rows(ask.provider, name).collect();
            let is_asked = |row: &&&Price| row.meter == meter || winner.is_some_and(|won| std::ptr::eq(won, **row));
            for &price in rows.iter().filter(is_asked) {
                let verdict = match winner {
                    Some(won) if std::ptr::eq(won, price) => Verdict::Chosen,
                    _ => verdict(price, &rows, ask.tier(), at, known_on),
                };
                considered.push(Considered { price, verdict });
            }
        }
        considered
    }
}

/// Why a row of a model was not chosen.
fn verdict<'b>(price: &'b Price, rows: &[&'b Price], tier: &str, at: Instant, known_on: Instant) -> Verdict<'b> {
    if price.validity.known_from > known_on {
        return Verdict::NotYetKnown;
    }
    if at < price.validity.from {
        return Verdict::NotYetValid;
    }
    if !price.validity.holds_at(at) {
        return Verdict::NoLongerValid;
    }
    let mut card = rows
        .iter()
        .filter(|row| row.kind == price.kind && row.validity.holds_at(at) && row.validity.known_from <= known_on);
    let decided = if card.clone().any(|row| row.tier == tier) { tier } else { ANY };
    if price.tier != decided {
        return Verdict::OtherTier;
    }
    let later = card.find(|row| {
        row.tier == price.tier && row.meter == price.meter && row.validity.known_from > price.validity.known_from
    });
    match later {
        Some(later) => Verdict::CoveredBy(later),
        None if price.rate.is_none() => Verdict::End,
        None => Verdict::Outranked,
    }
}
