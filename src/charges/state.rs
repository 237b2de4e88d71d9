//! What a day's charges were made from, as kept in their file's metadata, and
//! what they would be made from now: they are made again when that differs, and
//! only then.

use std::collections::BTreeSet;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{
    ChargesError,
    file::DayFile,
    slice::{OwnAsk, OwnClaim, Rules},
};
use crate::{
    book::{
        Book, BookError,
        layout::{DayTable, SCHEMA_KEY, SCHEMA_VERSION},
    },
    pricing::{Digest, LastPricing, PriceBook},
    time::{Day, Instant},
};

/// The version of what the code makes of the same usage, prices and config.
/// Another one makes every day again.
const RULES_VERSION: &str = "1";

const USAGE_KEY: &str = "spendbook.usage";
const PRICES_KEY: &str = "spendbook.prices";
const ATTRIBUTION_KEY: &str = "spendbook.attribution";
const RULES_KEY: &str = "spendbook.rules";
const PRESENT_KEY: &str = "spendbook.present";

/// In `rollup`: the digest of the charges that it adds up.
pub(super) const CHARGES_KEY: &str = "spendbook.charges";

/// Whether metadata under this key says from what the rows of a day were made,
/// so that it still tells which tables belong together once they are gone.
pub fn is_digest_of_inputs(key: &str) -> bool {
    [USAGE_KEY, CHARGES_KEY].contains(&key)
}

/// What is on a day that prices and owners are looked up for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Present {
    pub asks: BTreeSet<OwnAsk>,
    pub claims: BTreeSet<OwnClaim>,
}

/// Digests of what a day's charges are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs {
    usage: String,
    prices: String,
    attribution: String,
    rules: String,
}

/// Why a day is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    New,
    Usage,
    Prices,
    Attribution,
    Rules,
    /// The charges are as they should be, their totals are not.
    Rollup,
}

impl Cause {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Usage => "other usage",
            Self::Prices => "other prices",
            Self::Attribution => "other teams or keys",
            Self::Rules => "another version of the rules",
            Self::Rollup => "totals were missing",
        }
    }
}

impl Inputs {
    pub(super) fn now(usage: &str, present: &Present, rules: Rules<'_>, day: Day) -> Self {
        let (from, until) = (day.start(), day.end());
        let asks = present.asks.iter().map(OwnAsk::ask);
        let claims = present.claims.iter().map(OwnClaim::claim);
        Self {
            usage: usage.to_owned(),
            prices: rules.prices.digest(asks, from, until, rules.known_on).to_string(),
            attribution: rules.registry.digest(claims, from, until),
            rules: RULES_VERSION.to_owned(),
        }
    }

    fn stored(file: &DayFile) -> Self {
        let value = |key: &str| file.value(key).unwrap_or_default().to_owned();
        Self {
            usage: value(USAGE_KEY),
            prices: value(PRICES_KEY),
            attribution: value(ATTRIBUTION_KEY),
            rules: value(RULES_KEY),
        }
    }

    /// One digest for all of it: that of the charges, which follow from it.
    pub(super) fn digest(&self) -> String {
        let mut digest = Xxh3::new();
        for part in [&self.usage, &self.prices, &self.attribution, &self.rules] {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        format!("{:032x}", digest.digest128())
    }

    /// For the metadata of a file of charges.
    pub(super) fn pairs(&self, present: &Present) -> [(&'static str, String); 5] {
        let present = serde_json::to_string(present).expect("sets of texts can be written as JSON");
        [
            (USAGE_KEY, self.usage.clone()),
            (PRICES_KEY, self.prices.clone()),
            (ATTRIBUTION_KEY, self.attribution.clone()),
            (RULES_KEY, self.rules.clone()),
            (PRESENT_KEY, present),
        ]
    }
}

/// Whether a day's charges were made from this usage.
pub(super) fn is_of(charges: &DayFile, usage: &DayFile) -> bool {
    charges.value(USAGE_KEY) == Some(usage.digest())
}

/// Why a day is to be priced; nothing where its charges are as they should be.
pub(super) fn causes(
    usage: &DayFile,
    target: &Book,
    day: Day,
    rules: Rules<'_>,
) -> Result<BTreeSet<Cause>, ChargesError> {
    let Some(charges) = DayFile::open(target, DayTable::Charges, day)? else { return Ok([Cause::New].into()) };
    let stored = Inputs::stored(&charges);
    let mut causes = BTreeSet::new();
    let schema = charges.value(SCHEMA_KEY).map(str::to_owned);
    if stored.rules != RULES_VERSION || schema != Some(SCHEMA_VERSION.to_string()) {
        causes.insert(Cause::Rules);
    }
    if stored.usage != usage.digest() {
        causes.insert(Cause::Usage);
    }
    // What was present when they were made says which prices and keys count.
    let present: Option<Present> = charges.value(PRESENT_KEY).and_then(|text| serde_json::from_str(text).ok());
    match present {
        Some(present) => {
            let now = Inputs::now(usage.digest(), &present, rules, day);
            if now.prices != stored.prices {
                causes.insert(Cause::Prices);
            }
            if now.attribution != stored.attribution {
                causes.insert(Cause::Attribution);
            }
        }
        None => _ = causes.insert(Cause::Rules),
    }
    if causes.is_empty() {
        let rollup = DayFile::open(target, DayTable::Rollup, day)?;
        if rollup.is_none_or(|rollup| rollup.value(CHARGES_KEY) != Some(charges.digest())) {
            causes.insert(Cause::Rollup);
        }
    }
    Ok(causes)
}

/// As known on which instant the price book says again what a day's charges were
/// made from: on `now`, or before it learnt something that the day has not been
/// priced with. `None` where it no longer says so: rows were edited or removed.
pub(super) fn priced_as_known_on(charges: &DayFile, prices: &PriceBook, day: Day, now: Instant) -> Option<Instant> {
    let present: Present = serde_json::from_str(charges.value(PRESENT_KEY)?).ok()?;
    let stored = charges.value(PRICES_KEY)?;
    let learnt = prices.prices().iter().map(|row| row.validity.known_from);
    let learnt: BTreeSet<Instant> = learnt.chain(prices.aliases().iter().map(|row| row.validity.known_from)).collect();
    let (earlier, later): (Vec<Instant>, Vec<Instant>) = learnt.into_iter().partition(|&at| at <= now);
    [now].into_iter().chain(earlier.into_iter().rev()).chain(later).find(|&known_on| {
        let asks = present.asks.iter().map(OwnAsk::ask);
        prices.digest(asks, day.start(), day.end(), known_on).to_string() == stored
    })
}

/// Which of a day's tables is one step behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behind {
    /// There is usage, and no charges yet.
    NotPriced,
    /// The charges are of another usage.
    Charges,
    /// The totals are of other charges, or missing.
    Rollup,
}

impl Behind {
    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotPriced => "not_priced",
            Self::Charges => "charges",
            Self::Rollup => "rollup",
        }
    }
}

/// Whether the tables of a day belong together, by their digests; `None` where
/// they do. While a run is going on, or when it was interrupted, they may not.
///
/// # Errors
/// Where a file cannot be read.
pub fn behind(book: &Book, day: Day) -> Result<Option<Behind>, ChargesError> {
    let open = |table| DayFile::open(book, table, day);
    // The last to be written is read first: what is written meanwhile is seen
    // as one step apart, and never passed over.
    let (rollup, charges, usage) = (open(DayTable::Rollup)?, open(DayTable::Charges)?, open(DayTable::Usage)?);
    let Some(usage) = usage else { return Ok(None) };
    let Some(charges) = charges else { return Ok(Some(Behind::NotPriced)) };
    if charges.value(USAGE_KEY) != Some(usage.digest()) {
        return Ok(Some(Behind::Charges));
    }
    let is_of_these = rollup.is_some_and(|rollup| rollup.value(CHARGES_KEY) == Some(charges.digest()));
    Ok((!is_of_these).then_some(Behind::Rollup))
}

/// Where the last pricing is noted, for the next check of the price book.
const LAST_PRICING: &str = "state/prices.json";

#[derive(Debug, Serialize, Deserialize)]
struct LastNoted {
    at: i64,
    rows: BTreeSet<String>,
}

/// The last run that priced; `None` where there was none, or its note is lost.
///
/// # Errors
/// Where the book cannot be read.
pub fn last_pricing(book: &Book) -> Result<Option<LastPricing>, BookError> {
    let Some(bytes) = book.get(&Path::from(LAST_PRICING))? else { return Ok(None) };
    let noted: Option<LastNoted> = serde_json::from_slice(&bytes).ok();
    Ok(noted.map(|noted| LastPricing {
        at: Instant::from_micros(noted.at),
        rows: noted.rows.iter().filter_map(|row| Digest::parse(row)).collect(),
    }))
}

/// Notes that a run priced with these rows of a price book, as known on an
/// instant.
///
/// # Errors
/// Where the book cannot be written.
pub fn note_pricing(book: &Book, at: Instant, rows: impl IntoIterator<Item = Digest>) -> Result<(), BookError> {
    let rows = rows.into_iter().map(|row| row.to_string()).collect();
    let text = serde_json::to_vec(&LastNoted { at: at.micros(), rows }).unwrap_or_default();
    book.put(&Path::from(LAST_PRICING), text.into())
}
