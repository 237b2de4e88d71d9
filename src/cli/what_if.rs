//! `spendbook what-if`: the same usage at other prices, models or tiers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::Args;

use super::{
    Failure, Outcome, Session, day,
    known::{self, CONFIG_AND_BOOK, PRICES_AND_LOGS, Wanted},
    listing::{self, Column, Listing, Page, To},
    progress,
};
use crate::{
    book::{Book, layout::DayTable},
    charges::{self, Difference, Estimated, Options, Otherwise, WhatIf},
    config::Config,
    money::Usd,
    pricing::{self, PriceBook, Refused},
    teams::SHARED,
    time::Day,
};

/// Prices the usage in the book twice, as it is and otherwise, and shows the
/// difference by team and model. What is to be otherwise is one of `--pricing`,
/// `--model` and `--tier`, or several of them. Writes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook what-if --model llama-3.3-70b-versatile=llama-3.1-8b-instant
  spendbook what-if --tier batch --team analytics --from 2026-06-01
  spendbook what-if --pricing ../offer --format csv --output offer.csv")]
pub(super) struct Arguments {
    /// With the price book in this directory
    #[arg(long, value_name = "DIR")]
    pricing: Option<PathBuf>,
    /// With the prices of another model
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    model: Option<(String, String)>,
    /// With the prices of another tier
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Only this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// The first day
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Day>,
    /// The last day
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Day>,
    #[command(flatten)]
    write: To,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let named = text.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty());
    let (old, new) = named.ok_or("expected two models, such as `llama-3.3-70b-versatile=llama-3.1-8b-instant`")?;
    Ok((old.to_owned(), new.to_owned()))
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let Arguments { pricing, model, tier, from, to, .. } = arguments;
    if pricing.is_none() && model.is_none() && tier.is_none() {
        let error = anyhow!("nothing is to be otherwise: give at least one of `--pricing`, `--model`, `--tier`");
        return Err(Failure::asked(error));
    }
    known::in_order(*from, *to)?;
    let config = session.config()?;
    let book_in = |dir: &Path| -> Result<PriceBook, Refused> { pricing::read(dir).into_book().map_err(Refused) };
    let prices = book_in(&config.pricing_dir())?;
    let other = arguments.pricing.as_deref().map(book_in).transpose()?;
    let otherwise = Otherwise {
        prices: other.as_ref().unwrap_or(&prices),
        model: arguments.model.as_ref().map(|(old, new)| (old.as_str(), new.as_str())),
        tier: arguments.tier.as_deref(),
        team: arguments.team.as_deref(),
    };
    let options = Options {
        from: arguments.from,
        to: arguments.to,
        memory: session.global.memory,
        ..Options::known_on(session.clock.now())
    };
    let book = Book::open(&config.book_dir())?;
    check(&config, [&prices, otherwise.prices], &book, otherwise)?;
    let watch = progress::Pricing::new(session.progress());
    let result = charges::what_if(&config, &prices, otherwise, &book, &options, &watch)?;
    drop(watch);
    arguments.write.write(&page(&result))?;
    Ok(Outcome::Done)
}

/// Refuses names that nobody knows: of teams, of models, and of tiers that
/// neither a price nor a request has.
fn check(config: &Config, prices: [&PriceBook; 2], book: &Book, otherwise: Otherwise<'_>) -> Result<(), Failure> {
    let Otherwise { model, tier, team, .. } = otherwise;
    let in_book = |column| move || known::in_table(book, DayTable::Usage, &[column]);
    if let Some(name) = team {
        let pools: Vec<String> = config.pools.keys().map(|pool| format!("{SHARED}{pool}")).collect();
        let teams = config.teams.keys().chain(&pools).map(String::as_str);
        Wanted { flag: "--team", what: "team", name, places: CONFIG_AND_BOOK }.check(teams, || Ok(BTreeSet::new()))?;
    }
    let known = prices.map(models);
    for name in model.into_iter().flat_map(|(old, new)| [old, new]) {
        let models = known.iter().flatten().copied();
        Wanted { flag: "--model", what: "model", name, places: PRICES_AND_LOGS }.check(models, in_book("model"))?;
    }
    if let Some(name) = tier {
        let tiers = prices.iter().flat_map(|prices| prices.prices()).map(|price| price.tier.as_str());
        let tiers = tiers.filter(|tier| *tier != "*").chain(["on_demand"]);
        Wanted { flag: "--tier", what: "tier", name, places: PRICES_AND_LOGS }.check(tiers, in_book("tier"))?;
    }
    Ok(())
}

/// The models that a price book knows, under all their names.
fn models(prices: &PriceBook) -> BTreeSet<&str> {
    let names = prices.prices().iter().map(|price| price.model.as_str());
    let aliases = prices.aliases().iter().map(|alias| alias.alias.as_str());
    names.chain(aliases).filter(|model| *model != "*").collect()
}

/// Programs get the rows, and the total beside them.
fn page(WhatIf { by_team_and_model, total }: &WhatIf) -> Page {
    let mut page = Page::default();
    let mut listing = Listing::new(
        "differences",
        &[
            Column::text("team"),
            Column::text("model"),
            Column::count("requests"),
            Column::usd("cost_now"),
            Column::usd("cost_then"),
            Column::usd("difference"),
            Column::count("unpriced_now"),
            Column::count("unpriced_then"),
            Column::count("estimated_now"),
            Column::count("estimated_then"),
            Column::usd("estimated_cost_now"),
            Column::usd("estimated_cost_then"),
        ],
    );
    for ((team, model), difference) in by_team_and_model {
        let Difference { requests, now, then, unpriced_now, unpriced_then, estimated_now, estimated_then } = difference;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX).into();
        listing.push(vec![
            team.clone().into(),
            model.as_str().into(),
            count(*requests),
            (*now).into(),
            (*then).into(),
            moved(difference).into(),
            count(*unpriced_now),
            count(*unpriced_then),
            count(estimated_now.requests),
            count(estimated_then.requests),
            estimated_now.cost.into(),
            estimated_then.cost.into(),
        ]);
    }
    page.fact("cost_now", total.now).fact("cost_then", total.then).fact("difference", moved(total));
    page.say(report(by_team_and_model, total)).data(listing);
    page
}

fn moved(difference: &Difference) -> Option<Usd> {
    difference.then.checked_sub(difference.now)
}

fn report(by_team_and_model: &BTreeMap<(Option<String>, String), Difference>, total: &Difference) -> String {
    if by_team_and_model.is_empty() {
        return "no requests to compare\n".to_owned();
    }
    let header = ["team", "model", "requests", "now", "then", "difference", "unpriced now", "then"];
    let rows = by_team_and_model.iter();
    let rows = rows.map(|((team, model), difference)| row(team.as_deref().unwrap_or("nobody's"), model, difference));
    let mut text = listing::table(&header, &rows.chain([row("total", "", total)]).collect::<Vec<_>>());
    if total.unpriced_then != total.unpriced_now {
        text.push_str("what has no price is in no sum: the two sums are not of the same requests\n");
    }
    text.push_str(&estimate(total));
    text
}

/// How much of the answer is by fallback prices.
fn estimate(total: &Difference) -> String {
    let Difference { estimated_now, estimated_then, .. } = total;
    if estimated_now.requests == 0 && estimated_then.requests == 0 {
        return String::new();
    }
    let side = |Estimated { requests, cost }: &Estimated| {
        format!("{} for {}", cost.shown(), listing::counted(i64::try_from(*requests).unwrap_or(i64::MAX), "request"))
    };
    format!(
        "estimated, by fallback prices: {} now, {} then: no price is known for these models and tiers\n",
        side(estimated_now),
        side(estimated_then)
    )
}

fn row(team: &str, model: &str, difference: &Difference) -> Vec<String> {
    let counts = [difference.unpriced_now, difference.unpriced_then].map(listing::count);
    let [unpriced_now, unpriced_then] = counts;
    vec![
        team.to_owned(),
        model.to_owned(),
        listing::count(difference.requests),
        difference.now.shown(),
        difference.then.shown(),
        moved(difference).unwrap_or(Usd::ZERO).shown(),
        unpriced_now,
        unpriced_then,
    ]
}
