//! `spendbook explain`: one request, from log line to cents.

use std::{num::NonZero, thread};

use clap::Args;

use super::{Failure, Outcome, Session, listing};
use crate::{
    book::Book,
    charges::{self, FoundRequest},
    config::Config,
    floors::Floors,
    ingest::versions::{self, Identity, Version},
    money::Usd,
    pricing::{self, Ask, Choice, PriceBook, Refused, Request, Stretch, Verdict, date_text},
    record::METERS,
    teams::{Claim, Registry, TeamBasis},
    time::Instant,
};

/// Shows where a request was read, what became of it, who pays, and how its
/// cost was made.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook explain chatcmpl-2f6d4a0c-1b7e-4f0a-9a55-0d8e4a1c7b01
  spendbook explain chatcmpl-2f6d4a0c-1b7e-4f0a-9a55-0d8e4a1c7b01 --all-files")]
pub(super) struct Arguments {
    /// As it stands in `request_id`
    request_id: String,
    /// Look for other versions of it in every file of every source, not only in the one it was read from
    #[arg(long)]
    all_files: bool,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Book::open(&config.book_dir())?;
    let found = charges::find(&book, &arguments.request_id)?;
    if found.is_empty() {
        let id = &arguments.request_id;
        let pruned = Floors::read(&book)?.read_from();
        let pruned = pruned.map_or_else(String::new, |day| format!("; what was before {day} was pruned"));
        listing::print(&format!("the book has no request `{id}`: ids are matched to the letter{pruned}\n"))?;
        return Ok(Outcome::No);
    }
    let prices = pricing::read(&config.pricing_dir()).into_book().map_err(Refused)?;
    let mut text = String::new();
    for request in &found {
        let part = request.text("part").map_or_else(String::new, |part| format!(", part `{part}`"));
        text.push_str(&format!("request `{}`{part}, in the file of {}\n", arguments.request_id, request.day));
        text.push_str(&log(&config, request, arguments)?);
        text.push_str("\nrecord\n");
        text.extend(request.usage.iter().map(|(name, value)| format!("  {name} = {value}\n")));
        text.push_str(&owner(&config, request));
        text.push_str(&cost(&prices, request, session.clock.now()));
        text.push('\n');
    }
    listing::print(&text)?;
    Ok(Outcome::Done)
}

/// Where it was read, and which versions gave way to it.
fn log(config: &Config, request: &FoundRequest, arguments: &Arguments) -> Result<String, Failure> {
    let text = |name: &str| request.text(name).unwrap_or_default();
    let (file, line) = (text("source_file"), text("source_line"));
    let mut out = format!("\nlog\n  {file}, line {line}, of source `{}`\n", text("source"));
    if versions::is_remote(file) {
        out.push_str("  it was asked for over HTTP, and is not asked for again: `ingest --again` does that\n");
    } else if !versions::is_there(config, file) {
        out.push_str("  the file is gone: what else it held of this request cannot be told\n");
    }
    let identity = Identity { provider: text("provider"), request_id: text("request_id"), part: text("part") };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let all = versions::versions(config, identity, Some(file).filter(|_| !arguments.all_files), threads)?;
    for version in &all {
        let Version { ts, file: own, line: at, quality, quantities, .. } = version;
        let is_winner = own == file && at.to_string() == line;
        let verdict = if is_winner { "in the book" } else { "gave way, or is the same again" };
        let known = METERS.iter().filter_map(|info| Some(format!(", {} {}", info.column, quantities[info.meter]?)));
        let known: String = known.collect();
        let known = if known.is_empty() { ", no usage" } else { &known };
        out.push_str(&format!("  version {ts} ({own}, line {at}): {}{known}: {verdict}\n", quality.name()));
    }
    if !arguments.all_files {
        out.push_str("  other files were not searched for versions of it: add `--all-files`\n");
    }
    Ok(out)
}

fn owner(config: &Config, request: &FoundRequest) -> String {
    let registry = Registry::new(config);
    let claim = Claim { key: request.text("key"), team_reported: request.text("team_reported") };
    let owner = registry.attribute(claim, request.ts);
    let key = claim.key.map_or_else(|| "no key".to_owned(), |key| format!("key `{key}`"));
    let why = match owner.basis {
        TeamBasis::Registry => format!("{key} is registered in {}", config.path.display()),
        TeamBasis::Convention => format!("{key} is named after a team and an environment"),
        TeamBasis::Reported => format!("{key} says nothing, and the log names a team of the config"),
        TeamBasis::None => {
            format!("{key} is not registered or named after a team, and the log names no team of the config")
        }
    };
    let part = |name: &str, value: &Option<String>| {
        value.as_ref().map_or_else(String::new, |value| format!("  {name} = {value}\n"))
    };
    let team = owner.team.as_deref().unwrap_or("nobody's");
    format!(
        "\nattribution\n  team = {team}: {why}\n{}{}",
        part("environment", &owner.environment),
        part("purpose", &owner.purpose)
    )
}

/// The prices that were considered, the arithmetic, and what the book has.
fn cost(prices: &PriceBook, request: &FoundRequest, known_on: Instant) -> String {
    let text = |name: &str| request.text(name).unwrap_or_default();
    let ask = Ask { provider: text("provider"), model: text("model"), tier: request.text("tier") };
    let stretches = prices.stretches(ask, request.ts, request.ts.plus_micros(1), known_on);
    let Some(stretch) = stretches.first() else { return String::new() };
    let own = Request { quantities: &request.quantities, status: request.status, gateway_cache: request.gateway_cache };
    let mut out = format!(
        "\nprice of `{}/{}` in tier `{}`, as known on {}\n",
        stretch.provider,
        stretch.model_billed,
        stretch.tier,
        date_text(known_on)
    );
    if own.without_price().is_none() {
        for info in &METERS {
            if let Some(quantity @ 1..) = request.quantities[info.meter] {
                out.push_str(&item(prices, ask, stretch, info.meter, quantity, request.ts, known_on));
            }
        }
    }
    let charge = match stretch.charge(&own) {
        Ok(charge) => charge,
        Err(error) => return format!("{out}  {error}\n"),
    };
    let amount = |cost: Option<Usd>| cost.map_or_else(|| "not known".to_owned(), |cost| cost.to_string());
    out.push_str(&format!("  cost = {}", amount(charge.cost)));
    if let Some(cost) = charge.cost {
        out.push_str(&format!(", about {}", cost.shown()));
    }
    out.push_str(&format!(" ({})\n", charge.basis.name()));
    out.extend(charge.reason.map(|reason| format!("  since {reason}\n")));
    out.extend(charge.price_id.map(|id| format!("  price_id = {id}\n")));
    let known = charge.cost.map(|cost| cost.to_string());
    match &request.charge {
        None => out.push_str("  the day is not priced, or was before its usage changed: run `spendbook price`\n"),
        Some(_) if request.charged("cost") == known.as_deref() => out.push_str("  the book has the same\n"),
        Some(_) => {
            let stored = request.charged("cost").unwrap_or("not known");
            out.push_str(&format!("  the book has {stored}: prices changed since, run `spendbook price`\n"));
        }
    }
    out
}

/// One line item, and the rows of the price book that it could have had.
fn item(
    prices: &PriceBook,
    ask: Ask<'_>,
    stretch: &Stretch<'_>,
    meter: crate::record::Meter,
    quantity: i64,
    at: Instant,
    known_on: Instant,
) -> String {
    let column = meter.info().column;
    let mut out = match &stretch.choices[meter.index()] {
        Choice::Unpriced(_) => format!("  {column}: {quantity}, no price\n"),
        Choice::Priced(chosen) => {
            let billed = quantity.max(chosen.rate.min_quantity);
            let least = if billed == quantity { String::new() } else { format!(" (of {quantity})") };
            let cost = chosen.rate.cost(quantity).map_or_else(|| "too much".to_owned(), |cost| cost.to_string());
            format!("  {column}: {billed}{least} at {} = {cost}\n", chosen.rate.text(meter))
        }
    };
    for considered in prices.considered(ask, meter, at, known_on) {
        let price = considered.price;
        let rate = price.rate.map_or_else(|| "end".to_owned(), |rate| rate.text(price.meter));
        let is_won = matches!(considered.verdict, Verdict::Chosen);
        let mark = if is_won { "*" } else { " " };
        out.push_str(&format!(
            "    {mark} {}: {rate}, {}, tier `{}`, from {}: {}\n",
            price.place,
            price.kind.name(),
            price.tier,
            date_text(price.validity.from),
            considered.verdict.text()
        ));
    }
    out
}
