//! What the book has to say: a map of requests, and integers.
//!
//! Written from the rules of the design on plain structs; it shares no code
//! with the program, forgets nothing, and looks at everything each time.

use std::{cmp::Reverse, collections::BTreeMap};

use spendbook::{money::Usd, time::Instant};

use super::history::{METERS, MINUTE, Price, Usage, Version};

/// A request, and what it costs.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) micros: i64,
    last: i64,
    pub(crate) id: String,
    pub(crate) model: &'static str,
    pub(crate) key: Option<&'static str>,
    pub(crate) team_reported: Option<&'static str>,
    pub(crate) tier: Option<&'static str>,
    status: &'static str,
    pub(crate) usage: Option<Usage>,
    pub(crate) team: Option<&'static str>,
    pub(crate) team_basis: &'static str,
    parts: [Option<i128>; 3],
    /// In pico-dollars.
    pub(crate) cost: Option<i128>,
    pub(crate) basis: &'static str,
}

/// Merged and priced, as is known on an instant.
pub(crate) fn charges(versions: &[Version], prices: &[Price], known_on: i64) -> Vec<Charge> {
    let mut by_id: BTreeMap<usize, Vec<&Version>> = BTreeMap::new();
    for version in versions {
        by_id.entry(version.id).or_default().push(version);
    }
    let mut charges = Vec::new();
    for mut of_one in by_id.into_values() {
        of_one.sort_by_key(|version| version.micros);
        for versions in of_one.chunk_by(|one, next| next.micros - one.micros <= 10 * MINUTE) {
            charges.push(charge(versions, prices, known_on));
        }
    }
    charges
}

fn charge(versions: &[&Version], prices: &[Price], known_on: i64) -> Charge {
    let output = |version: &Version| version.usage.map(|usage| usage.output);
    let status = |version: &Version| if version.http_status == 500 { "error" } else { "success" };
    let is_error = |version: &Version| version.http_status == 500;
    let winner = versions.iter().min_by_key(|it| (it.usage.is_none(), Reverse(output(it)), is_error(it)));
    let winner = winner.expect("a request has a version");
    let key = versions.iter().filter_map(|version| version.key).min();
    let team_reported = versions.iter().filter_map(|version| version.team).min();
    let (team, team_basis) = match key {
        Some("robot") => (Some("lab"), "registry"),
        Some("chat-prod") => (Some("chat"), "convention"),
        Some("lab-dev") => (Some("lab"), "convention"),
        _ if team_reported == Some("lab") => (Some("lab"), "reported"),
        _ => (None, "none"),
    };
    let micros = versions.iter().map(|version| version.micros).min().expect("a request has a version");
    let mut charge = Charge {
        micros,
        last: versions.iter().map(|version| version.micros).max().expect("a request has a version"),
        id: winner.request_id(),
        model: winner.model,
        key,
        team_reported,
        tier: versions.iter().filter_map(|version| version.tier).min(),
        status: status(winner),
        usage: winner.usage,
        team,
        team_basis,
        parts: [None; 3],
        cost: None,
        basis: "unpriced",
    };
    let Some(Usage { input, cached, output }) = winner.usage else {
        if is_error(winner) {
            (charge.parts, charge.cost, charge.basis) = ([Some(0); 3], Some(0), "free");
        }
        return charge;
    };
    let quantities = [input, cached, output];
    let tier = charge.tier.unwrap_or("on_demand");
    let mut basis = if quantities == [0; 3] { "free" } else { "contract" };
    for (meter, quantity) in quantities.into_iter().enumerate() {
        let found = if quantity == 0 {
            Some((0, basis))
        } else {
            rate(Asked { model: charge.model, tier, meter, at: micros, known_on }, prices)
        };
        charge.parts[meter] = found.map(|(rate, _)| i128::from(rate) * i128::from(quantity));
        let found = found.map_or("unpriced", |(_, kind)| kind);
        let certainty = |basis: &str| ["unpriced", "fallback", "list", "contract"].iter().position(|it| *it == basis);
        if quantity > 0 && certainty(found) < certainty(basis) {
            basis = found;
        }
    }
    charge.basis = basis;
    charge.cost = charge.parts.iter().copied().sum();
    charge
}

/// A price is asked for.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    model: &'a str,
    tier: &'a str,
    meter: usize,
    at: i64,
    known_on: i64,
}

/// The price of a token in pico-dollars, and of what kind it is.
fn rate(asked: Asked<'_>, prices: &[Price]) -> Option<(i64, &'static str)> {
    for model in [asked.model, "*"] {
        for kind in ["contract", "list", "fallback"] {
            let of_kind = |price: &&Price| price.model == model && price.kind == kind;
            let is_live = |price: &&Price| price.from <= asked.at && price.known_from <= asked.known_on;
            let rows: Vec<&Price> = prices.iter().filter(of_kind).filter(is_live).collect();
            let tier = if rows.iter().any(|price| price.tier == asked.tier) { asked.tier } else { "*" };
            // What is known latest covers what was known earlier.
            let of = |meter: usize| {
                let rows = rows.iter().filter(|price| price.tier == tier && price.meter == METERS[meter]);
                rows.max_by_key(|price| price.known_from).and_then(|price| price.micro)
            };
            let own = of(asked.meter).or_else(|| (asked.meter == 1).then(|| of(0)).flatten());
            if let Some(rate) = own {
                return Some((rate, kind));
            }
        }
    }
    None
}

pub(crate) fn usd(pico: i128) -> String {
    Usd::from_pico(pico).expect("a small amount").to_string()
}

/// Columns and values.
pub(crate) type Row = BTreeMap<String, String>;

impl Charge {
    /// What it is known to cost.
    pub(crate) fn known_cost(&self) -> i128 {
        self.cost.unwrap_or(0)
    }

    /// What is compared of `charges`.
    pub(crate) const COLUMNS: [&str; 19] = [
        "ts",
        "ts_last",
        "request_id",
        "model",
        "key",
        "team_reported",
        "tier",
        "status",
        "quality",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "team",
        "team_basis",
        "input_cost",
        "cached_input_cost",
        "output_cost",
        "cost",
        "basis",
    ];

    /// As `charges` and, without what pricing adds, `usage` have it.
    pub(crate) fn row(&self) -> Row {
        let text = |text: &str| Some(text.to_owned());
        let number = |of: fn(Usage) -> i64| self.usage.map(|usage| of(usage).to_string());
        let columns = [
            ("ts", Some(Instant::from_micros(self.micros).to_string())),
            ("ts_last", Some(Instant::from_micros(self.last).to_string())),
            ("request_id", text(&self.id)),
            ("model", text(self.model)),
            ("key", self.key.and_then(text)),
            ("team_reported", self.team_reported.and_then(text)),
            ("tier", self.tier.and_then(text)),
            ("status", text(self.status)),
            ("quality", text(if self.usage.is_some() { "reported" } else { "missing" })),
            ("input_tokens", number(|it| it.input)),
            ("cached_input_tokens", number(|it| it.cached)),
            ("output_tokens", number(|it| it.output)),
            ("team", self.team.and_then(text)),
            ("team_basis", text(self.team_basis)),
            ("input_cost", self.parts[0].map(usd)),
            ("cached_input_cost", self.parts[1].map(usd)),
            ("output_cost", self.parts[2].map(usd)),
            ("cost", self.cost.map(usd)),
            ("basis", text(self.basis)),
        ];
        columns.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Those of them that `usage` has, too, but for the meters.
pub(crate) const OF_USAGE: [&str; 4] = ["ts", "ts_last", "request_id", "output_tokens"];

/// What a quarter of an hour of a group comes to: requests, those without a
/// price, and pico-dollars.
pub(crate) type Sums = (i64, i64, i128);

/// The columns that tell the groups of `rollup` apart here, the first of them
/// the time.
pub(crate) const GROUP: [&str; 6] = ["bucket_start", "team", "key", "model", "tier", "basis"];

/// As `rollup` has them.
pub(crate) fn rollup(charges: &[Charge]) -> BTreeMap<Vec<String>, Sums> {
    let mut sums: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    for charge in charges {
        let row = charge.row();
        let start = charge.micros.div_euclid(15 * MINUTE) * 15 * MINUTE;
        let mut group = vec![Instant::from_micros(start).to_string()];
        group.extend(GROUP[1..].iter().map(|name| row.get(*name).cloned().unwrap_or_default()));
        let sum = sums.entry(group).or_default();
        sum.0 += 1;
        sum.1 += i64::from(charge.cost.is_none());
        sum.2 += charge.cost.unwrap_or(0);
    }
    sums
}
