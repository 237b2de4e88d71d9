//! Line items: the charges of a day taken apart again, meter by meter, each at
//! its price, and added up by who pays for what. For exports that tell prices.
//!
//! Charges keep what a request cost, and not each price it was made from. The
//! price book is append-only, so that it says those prices again, also where it
//! has learnt others since: as it was known when the day was priced. What must
//! hold: the items of a request come to its cost and its list cost, to the last
//! digit. Where they do not, the day is refused.

use std::collections::{BTreeMap, HashMap};

use polars::prelude::*;

use super::{
    ChargesError,
    file::DayFile,
    price::Price,
    slice::{self, Applying},
    state,
    texts::Numbering,
};
use crate::{
    book::{Book, layout::DayTable},
    money::Usd,
    pricing::{Ask, Basis, Choice, Chosen, Digest, Kind, PriceBook, Rate, Stretch},
    record::{METERS, Meter},
    time::{Day, Instant},
};

/// What line items are told apart by, in the order of an export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub team: Option<String>,
    pub key: Option<String>,
    pub project: Option<String>,
    pub environment: Option<String>,
    pub purpose: Option<String>,
    pub provider: String,
    /// The price book's name for it.
    pub model: String,
    pub tier: String,
    pub meter: Meter,
    pub price: ItemPrice,
    /// That of the requests, of which this meter may be the one that is certain.
    pub basis: Basis,
}

/// What a meter cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemPrice {
    pub kind: Kind,
    pub valid_from: Instant,
    pub rate: Rate,
    /// At list price.
    pub list: Rate,
    /// Of the row of the price book.
    pub digest: Digest,
}

impl ItemPrice {
    fn of(chosen: &Chosen<'_>) -> Self {
        let Chosen { price, rate, list, .. } = *chosen;
        Self { kind: price.kind, valid_from: price.validity.from, rate, list, digest: price.digest }
    }
}

/// What items of one kind come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemSum {
    pub requests: u64,
    /// In the meter's unit, as reported.
    pub quantity: i128,
    /// The same with the least quantity of each request that is billed.
    pub billed: i128,
    pub cost: Usd,
    pub list_cost: Usd,
}

impl ItemSum {
    fn add(&mut self, other: &Self) -> Option<()> {
        self.requests += other.requests;
        self.quantity = self.quantity.checked_add(other.quantity)?;
        self.billed = self.billed.checked_add(other.billed)?;
        self.cost = self.cost.checked_add(other.cost)?;
        self.list_cost = self.list_cost.checked_add(other.list_cost)?;
        Some(())
    }
}

/// A day's charges, taken apart.
#[derive(Debug, Default)]
pub struct DayItems {
    pub items: BTreeMap<Item, ItemSum>,
    pub requests: u64,
    /// Requests that nothing was billed for; they have no items.
    pub free: u64,
    /// Requests whose cost is not known, and which have no items either, by
    /// provider and model as served.
    pub unpriced: BTreeMap<(String, String), u64>,
    /// Requests of which a part is priced by a fallback.
    pub estimated: u64,
    /// The digest of the charges that it was read from.
    pub digest: String,
}

impl DayItems {
    /// Reads the charges of a day; `None` where it has none.
    ///
    /// # Errors
    /// Where they cannot be read, or the price book no longer says what they
    /// were made from.
    pub fn of(book: &Book, prices: &PriceBook, day: Day, now: Instant) -> Result<Option<Self>, ChargesError> {
        let Some(charges) = DayFile::open(book, DayTable::Charges, day)? else { return Ok(None) };
        let mut items = Self { digest: charges.digest().to_owned(), ..Self::default() };
        let slices: Vec<_> = charges.slices().into_iter().filter(|(_, length)| *length > 0).collect();
        if slices.is_empty() {
            return Ok(Some(items));
        }
        let known_on = state::priced_as_known_on(&charges, prices, day, now);
        let known_on = known_on.ok_or(ChargesError::OtherPrices { day })?;
        for (start, length) in slices {
            let wanted: Vec<&str> = NEEDED.into_iter().chain(METERS.iter().map(|info| info.column)).collect();
            let frame = charges.frame(&wanted, start, length)?;
            let damaged = |source| ChargesError::Engine { path: charges.path.clone(), source };
            let slice = Slice::of(&frame).map_err(damaged)?;
            let asks = slice.asks.iter().copied();
            let (stretches, places) = slice::prices(asks, &slice.ask, &slice.at, prices, known_on, day)?;
            let sums = slice.add_up(&stretches, &places).map_err(|bad| bad.error(&charges, day, start))?;
            items.merge(&slice, &stretches, sums).ok_or(ChargesError::TooMuch { day, column: "cost" })?;
        }
        Ok(Some(items))
    }

    /// Adds what a slice comes to; `None` where a sum would not fit.
    fn merge(&mut self, slice: &Slice<'_>, stretches: &[Applying<Stretch<'_>>], sums: Sums) -> Option<()> {
        self.requests += slice.height;
        self.free += sums.free;
        self.estimated += sums.estimated;
        for (ask, count) in sums.unpriced {
            let Ask { provider, model, .. } = slice.asks[ask as usize];
            *self.unpriced.entry((provider.to_owned(), model.to_owned())).or_default() += count;
        }
        for (Place { payer, stretch, meter, basis }, sum) in sums.items {
            let stretch = &stretches[stretch as usize].it;
            let Choice::Priced(chosen) = &stretch.choices[meter.index()] else { continue };
            let [team, key, project, environment, purpose] =
                slice.payers[payer as usize].map(|text| text.map(str::to_owned));
            let item = Item {
                team,
                key,
                project,
                environment,
                purpose,
                provider: stretch.provider.to_owned(),
                model: stretch.model_billed.to_owned(),
                tier: stretch.tier.to_owned(),
                meter,
                price: ItemPrice::of(chosen),
                basis,
            };
            self.items.entry(item).or_default().add(&sum)?;
        }
        Some(())
    }
}

/// Who pays, as an item has it: team, key, project, environment and purpose.
const PAYER: [&str; 5] = ["team", "key", "project", "environment", "purpose"];
type Payer<'f> = [Option<&'f str>; PAYER.len()];

/// The columns of `charges` that are read beside the meters.
const NEEDED: [&str; 12] =
    ["ts", "provider", "model", "tier", "basis", "cost", "list_cost", PAYER[0], PAYER[1], PAYER[2], PAYER[3], PAYER[4]];

/// The rows of a slice, by column.
struct Slice<'f> {
    height: u64,
    at: Int64Chunked,
    asks: Vec<Ask<'f>>,
    payers: Vec<Payer<'f>>,
    /// Of each row, its place in these.
    ask: Vec<u32>,
    payer: Vec<u32>,
    basis: Vec<Basis>,
    cost: Vec<Option<i128>>,
    list_cost: Vec<Option<i128>>,
    /// Meters that any row reports.
    meters: Vec<(Meter, &'f Int64Chunked)>,
}

/// Where a slice's sum belongs, by numbers of its own.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    payer: u32,
    stretch: u32,
    meter: Meter,
    basis: Basis,
}

/// What a slice comes to.
#[derive(Default)]
struct Sums {
    items: HashMap<Place, ItemSum>,
    free: u64,
    estimated: u64,
    /// By ask.
    unpriced: HashMap<u32, u64>,
}

/// A row whose items are not its cost.
struct BadRow(usize);

impl BadRow {
    fn error(&self, charges: &DayFile, day: Day, start: usize) -> ChargesError {
        let frame = match charges.frame(&["request_id"], start + self.0, 1) {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        let id = frame.column("request_id").and_then(|ids| Ok(ids.str()?.get(0).unwrap_or_default().to_owned()));
        ChargesError::NotTheSum { day, request_id: id.unwrap_or_default() }
    }
}

impl<'f> Slice<'f> {
    fn of(frame: &'f DataFrame) -> PolarsResult<Self> {
        let text = |name: &str| frame.column(name)?.str();
        let (provider, model, tier) = (text("provider")?, text("model")?, text("tier")?);
        let mut asks = Numbering::default();
        let triples = provider.iter().zip(model.iter()).zip(tier.iter());
        let ask = triples.map(|((provider, model), tier)| {
            asks.number(Ask { provider: provider.unwrap_or_default(), model: model.unwrap_or_default(), tier })
        });
        let ask = ask.collect();
        let mut columns = Vec::new();
        for name in PAYER {
            columns.push(text(name)?);
        }
        let mut payers = Numbering::default();
        let payer = |row| -> Payer<'f> { std::array::from_fn(|at| columns[at].get(row)) };
        let payer = (0..frame.height()).map(|row| payers.number(payer(row))).collect();
        let basis = text("basis")?.iter().map(|name| name.and_then(basis_named).unwrap_or(Basis::Unpriced)).collect();
        let amounts = |name: &str| -> PolarsResult<Vec<Option<i128>>> {
            Ok(frame.column(name)?.decimal()?.physical().iter().collect())
        };
        let mut meters = Vec::new();
        for info in &METERS {
            let column = frame.column(info.column)?.i64()?;
            if column.null_count() < column.len() {
                meters.push((info.meter, column));
            }
        }
        Ok(Self {
            height: frame.height() as u64,
            at: frame.column("ts")?.to_physical_repr().i64()?.clone(),
            asks: asks.values,
            payers: payers.values,
            ask,
            payer,
            basis,
            cost: amounts("cost")?,
            list_cost: amounts("list_cost")?,
            meters,
        })
    }

    /// The items of every row that has a cost, added up.
    fn add_up(&self, stretches: &[Applying<Stretch<'_>>], places: &[u32]) -> Result<Sums, BadRow> {
        let prices: Vec<_> = stretches.iter().map(|stretch| rates(&stretch.it)).collect();
        let mut sums = Sums::default();
        for (row, &stretch) in places.iter().enumerate() {
            let basis = self.basis[row];
            match basis {
                Basis::Free => sums.free += 1,
                Basis::Unpriced => *sums.unpriced.entry(self.ask[row]).or_default() += 1,
                _ => {
                    sums.estimated += u64::from(basis == Basis::Fallback);
                    self.add_row(row, stretch, &prices[stretch as usize], &mut sums).ok_or(BadRow(row))?;
                }
            }
        }
        Ok(sums)
    }

    /// Adds the items of a row; `None` where they are not its cost.
    fn add_row(&self, row: usize, stretch: u32, rates: &Rates, sums: &mut Sums) -> Option<()> {
        let (mut cost, mut list_cost) = (0_i128, 0_i128);
        for &(meter, column) in &self.meters {
            let quantity = column.get(row).filter(|&quantity| quantity > 0);
            let Some(quantity) = quantity else { continue };
            let Some((rate, list, least)) = &rates[meter.index()] else { return None };
            let item = ItemSum {
                requests: 1,
                quantity: quantity.into(),
                billed: quantity.max(*least).into(),
                cost: Usd::from_pico(rate.cost(quantity)?)?,
                list_cost: Usd::from_pico(list.cost(quantity)?)?,
            };
            cost = cost.checked_add(item.cost.pico())?;
            list_cost = list_cost.checked_add(item.list_cost.pico())?;
            let place = Place { payer: self.payer[row], stretch, meter, basis: self.basis[row] };
            sums.items.entry(place).or_default().add(&item)?;
        }
        (self.cost[row] == Some(cost) && self.list_cost[row] == Some(list_cost)).then_some(())
    }
}

/// Of each meter its price, that of the list, and the least that is billed.
type Rates = [Option<(Price, Price, i64)>; Meter::COUNT];

fn rates(stretch: &Stretch<'_>) -> Rates {
    stretch.choices.each_ref().map(|choice| match choice {
        Choice::Unpriced(_) => None,
        Choice::Priced(chosen) => Some((Price::of(chosen.rate), Price::of(chosen.list), chosen.rate.min_quantity)),
    })
}

fn basis_named(name: &str) -> Option<Basis> {
    [Basis::Free, Basis::Contract, Basis::List, Basis::Fallback].into_iter().find(|basis| basis.name() == name)
}
