//! `spendbook pricing diff`: the rows that one price book has and another has not.

use std::{collections::BTreeMap, path::Path};

use clap::Args;

use super::{
    super::{
        Failure, Outcome, Session, instant,
        listing::{Cell, Column, Listing, Page, To},
    },
    book_in,
};
use crate::{
    pricing::{PriceBook, Validity, date_text},
    time::Instant,
};

/// Compares two directories, or what was known on two instants.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook pricing diff pricing ../other/pricing
  spendbook pricing diff 2026-06-01 2026-07-01 --format json")]
pub(in crate::cli) struct Arguments {
    /// A directory, a date or an instant
    #[arg(value_name = "A")]
    before: String,
    /// Another one
    #[arg(value_name = "B")]
    after: String,
    #[command(flatten)]
    to: To,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let instants = instant(&arguments.before).ok().zip(instant(&arguments.after).ok());
    let (before, after) = if let Some((before, after)) = instants {
        let prices = book_in(&session.config()?.pricing_dir())?;
        (rows(&prices, Some(before)), rows(&prices, Some(after)))
    } else {
        let read = |dir: &str| book_in(Path::new(dir)).map(|prices| rows(&prices, None));
        (read(&arguments.before)?, read(&arguments.after)?)
    };
    let mut listing = Listing::new("differences", COLUMNS);
    let mut text = String::new();
    for (sign, change, these, others) in [('-', "gone", &before, &after), ('+', "added", &after, &before)] {
        for (line, cells) in these.iter().filter(|(line, _)| !others.contains_key(*line)) {
            text.push_str(&format!("{sign} {line}\n"));
            listing.push([Cell::from(change)].into_iter().chain(cells.iter().cloned()).collect());
        }
    }
    if text.is_empty() {
        text.push_str("no row differs\n");
    }
    let mut page = Page::default();
    page.say(text).data(listing);
    arguments.to.write(&page)?;
    Ok(Outcome::Done)
}

/// Of a price row and of an alias row, which has a model of the book and no
/// price.
const COLUMNS: &[Column] = &[
    Column::text("change"),
    Column::text("provider"),
    Column::text("model"),
    Column::text("alias_of"),
    Column::text("tier"),
    Column::text("meter"),
    Column::usd("price_usd"),
    Column::count("per"),
    Column::count("min_quantity"),
    Column::text("kind"),
    Column::instant("valid_from"),
    Column::instant("valid_until"),
    Column::instant("known_from"),
];

/// The rows of a price book, as far as they decide a price: as a line, and as
/// cells.
fn rows(prices: &PriceBook, known_on: Option<Instant>) -> BTreeMap<String, Vec<Cell>> {
    let is_known = |validity: &Validity| known_on.is_none_or(|known_on| validity.known_from <= known_on);
    let dates = |validity: &Validity| {
        let until = validity.until.map_or_else(String::new, |until| format!(" until {}", date_text(until)));
        format!("from {}{until}, known from {}", date_text(validity.from), date_text(validity.known_from))
    };
    let times = |validity: &Validity| [validity.from.into(), validity.until.into(), validity.known_from.into()];
    let of_price = prices.prices().iter().filter(|row| is_known(&row.validity)).map(|row| {
        let price = row.rate.map_or_else(|| "ends".to_owned(), |rate| rate.text(row.meter));
        let (column, kind) = (row.meter.info().column, row.kind.name());
        let dates = dates(&row.validity);
        let line = format!("{}/{} {} {column}: {price} ({kind}), {dates}", row.provider, row.model, row.tier);
        let mut cells: Vec<Cell> = vec![row.provider.as_str().into(), row.model.as_str().into(), Cell::Null];
        cells.extend([row.tier.as_str().into(), column.into(), row.rate.map(|rate| rate.price).into()]);
        cells.extend([row.rate.map(|rate| rate.per).into(), row.rate.map(|rate| rate.min_quantity).into()]);
        cells.push(kind.into());
        cells.extend(times(&row.validity));
        (line, cells)
    });
    let of_alias = prices.aliases().iter().filter(|row| is_known(&row.validity)).map(|row| {
        let model = row.model.as_deref().unwrap_or("itself");
        let line = format!("{}/{} is {model}, {}", row.provider, row.alias, dates(&row.validity));
        let mut cells: Vec<Cell> = vec![row.provider.as_str().into(), row.alias.as_str().into(), model.into()];
        cells.extend([Cell::Null, Cell::Null, Cell::Null, Cell::Null, Cell::Null, "alias".into()]);
        cells.extend(times(&row.validity));
        (line, cells)
    });
    of_price.chain(of_alias).collect()
}
