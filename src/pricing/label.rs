//! What a charge says about itself: how certain it is, why, and which prices
//! made it. It depends on the stretch and on which meters are above zero only.

use std::collections::BTreeSet;

use super::{Cause, Choice, Chosen, Digest, Kind, Stretch, date_text};
use crate::record::{METERS, Meter, Quantities};

/// How certain a charge is; the least certain comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    Free,
    Contract,
    List,
    Fallback,
    Unpriced,
}

impl Basis {
    /// The name in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Contract => "contract",
            Self::List => "list",
            Self::Fallback => "fallback",
            Self::Unpriced => "unpriced",
        }
    }
}

impl From<Kind> for Basis {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Contract => Self::Contract,
            Kind::List => Self::List,
            Kind::Fallback => Self::Fallback,
        }
    }
}

/// The meters of a request whose quantity is above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MeterSet(u16);

impl MeterSet {
    pub fn of(quantities: &Quantities) -> Self {
        let above_zero = |meter: Meter| quantities[meter].is_some_and(|quantity| quantity > 0);
        METERS.iter().map(|info| info.meter).filter(|&meter| above_zero(meter)).collect()
    }

    /// One bit per meter, at its place in [`METERS`].
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits; others are ignored.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & ((1 << Meter::COUNT) - 1))
    }

    pub const fn contains(self, meter: Meter) -> bool {
        self.0 & 1 << meter.index() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Meter> {
        METERS.iter().map(|info| info.meter).filter(move |&meter| self.contains(meter))
    }
}

impl FromIterator<Meter> for MeterSet {
    fn from_iter<I: IntoIterator<Item = Meter>>(meters: I) -> Self {
        Self(meters.into_iter().fold(0, |bits, meter| bits | 1 << meter.index()))
    }
}

/// What is the same for all charges of a stretch that have the same meters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub basis: Basis,
    pub reason: Option<String>,
    /// `groq/llama-3.1-8b-instant/on_demand/list@2024-07-25#1a2b3c4d`.
    pub price_id: Option<String>,
}

impl<'b> Stretch<'b> {
    /// The label of requests with these meters, of which there is at least one.
    pub fn label(&self, meters: MeterSet) -> Label {
        let mut basis = Basis::Contract;
        let mut priced = Vec::new();
        let mut reasons: Vec<(Why, Vec<Meter>)> = Vec::new();
        for meter in meters.iter() {
            let why = match &self.choices[meter.index()] {
                Choice::Unpriced(cause) => {
                    basis = Basis::Unpriced;
                    Some(Why::Unpriced(*cause))
                }
                Choice::Priced(chosen) => {
                    basis = basis.max(chosen.price.kind.into());
                    priced.push(chosen);
                    chosen.cause.map(Why::Estimated)
                }
            };
            let as_input = matches!(&self.choices[meter.index()], Choice::Priced(chosen) if chosen.as_input);
            for why in why.into_iter().chain(as_input.then_some(Why::AsInput)) {
                match reasons.iter_mut().find(|(other, _)| *other == why) {
                    Some((_, meters)) => meters.push(meter),
                    None => reasons.push((why, vec![meter])),
                }
            }
        }
        reasons.sort_by_key(|(why, _)| why.rank());
        let reason: Vec<String> = reasons.iter().map(|(why, meters)| self.reason(*why, meters)).collect();
        Label { basis, reason: (!reason.is_empty()).then(|| reason.join("; ")), price_id: self.price_id(&priced) }
    }

    fn reason(&self, why: Why, meters: &[Meter]) -> String {
        let names: Vec<String> = meters.iter().map(|meter| format!("`{}`", meter.info().column)).collect();
        let names = names.join(", ");
        match why {
            Why::Unpriced(cause) => format!("no price for {names}: {}", self.cause(cause)),
            Why::Estimated(cause) => format!("{names} estimated at the fallback price: {}", self.cause(cause)),
            Why::AsInput => format!("{names} at the price of `input_tokens`: no price of its own"),
        }
    }

    fn cause(&self, cause: Cause) -> String {
        let (model, tier) = (self.model_billed, self.tier);
        match cause {
            Cause::UnknownModel => format!("the book has no prices of `{model}` in tier `{tier}`"),
            Cause::UnlistedMeter => format!("not among the prices of `{model}` in tier `{tier}`"),
            Cause::Ended(from) => format!("the price of `{model}` ended on {}", date_text(from)),
        }
    }

    /// Readable first, then the digest that tells: model, tier and kind of the
    /// rows used, and the latest of their starts.
    fn price_id(&self, priced: &[&Chosen<'b>]) -> Option<String> {
        let latest = priced.iter().map(|chosen| chosen.price.validity.from).max()?;
        let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join("+");
        let models = joined(priced.iter().map(|chosen| chosen.price.model.as_str()).collect());
        let tiers = joined(priced.iter().map(|chosen| chosen.price.tier.as_str()).collect());
        let kinds = joined(priced.iter().map(|chosen| chosen.price.kind.name()).collect());
        let digest = Digest::of_rows(priced.iter().map(|chosen| chosen.price.digest));
        Some(format!("{}/{models}/{tiers}/{kinds}@{}#{}", self.provider, date_text(latest), digest.short()))
    }
}

/// What a reason is about; the gravest is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Unpriced(Cause),
    Estimated(Cause),
    AsInput,
}

impl Why {
    const fn rank(self) -> u8 {
        match self {
            Self::Unpriced(_) => 0,
            Self::Estimated(_) => 1,
            Self::AsInput => 2,
        }
    }
}
