//! `spendbook pricing show`: the prices in force.

use std::collections::BTreeSet;

use clap::Args;

use super::{
    super::{
        Failure, Outcome, Session, instant,
        listing::{Cell, Column, Listing, Page, To},
    },
    book_in,
};
use crate::{
    pricing::{self, Ask, Cause, Choice, Price, PriceBook, date_text},
    record::METERS,
    time::Instant,
};

/// Shows the prices in force, of one model or of all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook pricing show llama-3.3-70b-versatile
  spendbook pricing show --at 2026-03-05T16:00:00Z
  spendbook pricing show --at 2026-03-05 --as-known-on 2026-03-01
  spendbook pricing show --format csv --output prices.csv")]
pub(in crate::cli) struct Arguments {
    /// The model, or an alias of it; all where it is not given
    model: Option<String>,
    /// When; now where it is not given
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<Instant>,
    /// Leave out what was learnt after this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    as_known_on: Option<Instant>,
    #[command(flatten)]
    to: To,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let prices = book_in(&session.config()?.pricing_dir())?;
    let now = session.clock.now();
    let (at, known_on) = (arguments.at.unwrap_or(now), arguments.as_known_on.unwrap_or(now));
    let model = arguments.model.as_deref();
    let listing = in_force(&prices, model, at, known_on);
    let mut page = Page::default();
    let is_empty = listing.is_empty();
    if is_empty {
        let whose = model.map_or_else(String::new, |model| format!(" of `{model}`"));
        let near = model.and_then(|model| nearest(&prices, model));
        let near = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        page.say(format!("the price book has no rows{whose} on {}{near}\n", date_text(at)));
    }
    page.list(listing);
    arguments.to.write(&page)?;
    Ok(if is_empty { Outcome::No } else { Outcome::Done })
}

const COLUMNS: &[Column] = &[
    Column::text("provider"),
    Column::text("model"),
    Column::text("tier"),
    Column::text("meter"),
    Column::text("price").in_table(),
    Column::usd("price_usd").in_data(),
    Column::count("per").in_data(),
    Column::count("min_quantity").in_data(),
    Column::text("kind"),
    Column::text("since").in_table(),
    Column::instant("valid_from").in_data(),
    Column::text("row"),
];

/// The prices in force at an instant, and the ends; of one model, by its name
/// or an alias, or of all.
fn in_force(prices: &PriceBook, model: Option<&str>, at: Instant, known_on: Instant) -> Listing {
    let is_wanted =
        |row: &Price| model.is_none_or(|model| row.model == prices.billed_name(&row.provider, model, at, known_on));
    let asks: BTreeSet<(&str, &str, &str)> =
        prices.prices().iter().filter(|row| is_wanted(row)).map(|it| (&*it.provider, &*it.model, &*it.tier)).collect();
    let mut listing = Listing::new("prices", COLUMNS);
    for (provider, model, tier) in asks {
        let ask = Ask { provider, model, tier: Some(tier) };
        let Some(stretch) = prices.stretches(ask, at, at.plus_micros(1), known_on).into_iter().next() else { continue };
        for (info, choice) in METERS.iter().zip(&stretch.choices) {
            let (rate, kind, since, row) = match choice {
                // What another card or tier would lend is told where it belongs.
                Choice::Priced(chosen)
                    if chosen.price.model == model && chosen.price.tier == tier && !chosen.as_input =>
                {
                    let price = chosen.price;
                    (Some(chosen.rate), price.kind.name(), price.validity.from, Some(price.place.to_string()))
                }
                Choice::Priced(pricing::Chosen { cause: Some(Cause::Ended(from)), .. })
                | Choice::Unpriced(Cause::Ended(from))
                    if prices.prices().iter().any(|row| {
                        (row.provider.as_str(), row.model.as_str(), row.tier.as_str(), row.meter)
                            == (provider, model, tier, info.meter)
                    }) =>
                {
                    (None, "ended", *from, None)
                }
                _ => continue,
            };
            let text = rate.map_or_else(|| "none".to_owned(), |rate| rate.text(info.meter));
            let mut cells: Vec<Cell> = [provider, model, tier, info.column].map(Cell::from).to_vec();
            cells.extend([
                text.into(),
                rate.map(|rate| rate.price).into(),
                rate.map(|rate| rate.per).into(),
                rate.map(|rate| rate.min_quantity).into(),
                kind.into(),
                date_text(since).into(),
                since.into(),
                row.into(),
            ]);
            listing.push(cells);
        }
    }
    listing
}

/// The name in the book that is most like a model's.
fn nearest<'p>(prices: &'p PriceBook, model: &str) -> Option<&'p str> {
    let names = prices.prices().iter().map(|row| row.model.as_str());
    let likely = names.map(|name| (strsim::damerau_levenshtein(name, model), name));
    likely.filter(|(distance, name)| *distance * 3 <= name.len()).min().map(|(_, name)| name)
}
