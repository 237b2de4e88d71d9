//! What a day's `unlogged` was made from, as kept in its file's metadata: it is
//! made again when that differs, and only then. Beside it stands what the
//! comparison came to, so that reports need not repeat it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{
    Compared, ComparedDay, LeftOut, ReconcileError,
    causes::{Cause, Causes},
    claims::Claim,
    lines::{Line, Rules, Verdict},
    names::instant_of,
    ours::{self, DaySums},
    seen,
};
use crate::{
    book::{
        Book,
        layout::{DIGEST_KEY, DayTable, SCHEMA_KEY, SCHEMA_VERSION},
    },
    charges::DayFile,
    pricing::Ask,
    teams::Claim as Asked,
    time::Day,
    totals,
};

/// The version of what the code makes of the same two sides.
const RULES_VERSION: &str = "2";

const TOTALS_KEY: &str = "spendbook.totals";
/// As in `rollup`: the charges of the day and of those around it.
const CHARGES_KEY: &str = "spendbook.charges";
const RULES_KEY: &str = "spendbook.rules";
const PRESENT_KEY: &str = "spendbook.present";
const SUMMARY_KEY: &str = "spendbook.reconciled";

/// Whether metadata under this key says from what the rows of a day were made.
pub fn is_digest_of_inputs(key: &str) -> bool {
    [TOTALS_KEY, CHARGES_KEY].contains(&key)
}

/// What there is to hold the charges of a day against.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Sources that told totals.
    pub totals: BTreeSet<String>,
    /// Whether check sources may have seen requests.
    pub has_checks: bool,
}

/// Whose requests and what models either side has: only what the config and the
/// price book say of these matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Present {
    keys: BTreeSet<String>,
    asks: BTreeSet<(String, String, Option<String>)>,
}

impl Present {
    pub(super) fn add_claim(&mut self, claim: &Claim) {
        for row in &claim.rows {
            self.keys.extend(row.key.clone().or_else(|| row.key_id.clone()));
            self.asks.extend(row.model.clone().map(|model| (row.provider.clone(), model, row.tier.clone())));
        }
    }

    pub(super) fn add_ours(&mut self, sums: &DaySums) {
        for group in sums.keys() {
            self.keys.extend(group.key.clone());
            self.asks.insert((group.provider.clone(), group.model.clone(), group.tier.clone()));
        }
    }

    /// What the config and the price book say of them on a day.
    fn digest(&self, day: Day, told: &Told, rules: Rules<'_>) -> String {
        let Rules { registry, prices, known_on, tolerance } = rules;
        let asks = self.asks.iter();
        let asks = asks.map(|(provider, model, tier)| Ask { provider, model, tier: tier.as_deref() });
        let mut texts = vec![
            RULES_VERSION.to_owned(),
            prices.digest(asks, day.start(), day.end(), known_on).to_string(),
            format!("{} {}", tolerance.tolerance_percent, tolerance.tolerance),
        ];
        for key in &self.keys {
            let at = instant_of(registry, Some(key), day);
            let entry = registry.entry(key, at).map(|entry| (&entry.name, &entry.project, &entry.owner));
            let whose = registry.attribute(Asked { key: Some(key), team_reported: None }, at);
            texts.push(format!("{key:?} {entry:?} {whose:?}"));
        }
        if told.has_checks && seen::is_open(day, known_on) {
            texts.push("open".to_owned());
        }
        digest(&texts)
    }
}

fn digest(texts: &[String]) -> String {
    let mut digest = Xxh3::new();
    for text in texts {
        digest.update(&(text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    }
    format!("{:032x}", digest.digest128())
}

/// Digests of both sides: of what was told, and of the charges of three days,
/// as requests may be counted on the other side of midnight.
fn sides(book: &Book, day: Day, told: &Told) -> Result<(String, String), ReconcileError> {
    let mut theirs = Vec::new();
    for source in &told.totals {
        theirs.push(source.clone());
        theirs.push(totals::digest(book, source, day)?.unwrap_or_default());
    }
    if told.has_checks {
        theirs.push(seen::digest(book, day)?);
    }
    let charges = [day.previous(), day, day.next()].map(|day| ours::digest(book, day));
    let charges: Vec<String> = charges.into_iter().collect::<Result<_, _>>()?;
    Ok((digest(&theirs), digest(&charges)))
}

/// Whether a day's file was made from what there is now.
pub(super) fn is_made(book: &Book, day: Day, told: &Told, rules: Rules<'_>) -> Result<bool, ReconcileError> {
    let Some(file) = DayFile::open(book, DayTable::Unlogged, day)? else { return Ok(false) };
    let present: Option<Present> = file.value(PRESENT_KEY).and_then(|text| serde_json::from_str(text).ok());
    let Some(present) = present else { return Ok(false) };
    let is_of_rules = file.value(RULES_KEY) == Some(&*present.digest(day, told, rules));
    Ok(is_of_rules && is_of_sides(&file, sides(book, day, told)?))
}

/// Whether a day's file was made from what both sides say now.
pub(super) fn has_these_sides(book: &Book, day: Day, told: &Told) -> Result<bool, ReconcileError> {
    let Some(file) = DayFile::open(book, DayTable::Unlogged, day)? else { return Ok(false) };
    Ok(is_of_sides(&file, sides(book, day, told)?))
}

fn is_of_sides(file: &DayFile, (totals, charges): (String, String)) -> bool {
    file.value(TOTALS_KEY) == Some(&*totals) && file.value(CHARGES_KEY) == Some(&*charges)
}

/// For the metadata of a day's file.
pub(super) fn metadata(
    book: &Book,
    day: Day,
    told: &Told,
    present: &Present,
    compared: &ComparedDay,
    rules: Rules<'_>,
) -> Result<Vec<(&'static str, String)>, ReconcileError> {
    let (totals, charges) = sides(book, day, told)?;
    let of_rules = present.digest(day, told, rules);
    let json = |what: &dyn Fn() -> serde_json::Result<String>| what().unwrap_or_default();
    Ok(vec![
        (SCHEMA_KEY, SCHEMA_VERSION.to_string()),
        (DIGEST_KEY, digest(&[totals.clone(), charges.clone(), of_rules.clone()])),
        (TOTALS_KEY, totals),
        (CHARGES_KEY, charges),
        (RULES_KEY, of_rules),
        (PRESENT_KEY, json(&|| serde_json::to_string(present))),
        (SUMMARY_KEY, json(&|| serde_json::to_string(&stored(compared)))),
    ])
}

/// What a comparison of one source's word on a day came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub provider: String,
    pub source: String,
    /// Whether check sources saw it, and no provider told it.
    pub is_check: bool,
    /// Why it was not compared.
    pub left_out: Option<String>,
    /// Whether its word counts for what is in no log.
    pub is_word: bool,
    /// Lines, by what is to be done about them.
    pub lines: BTreeMap<Verdict, u64>,
    pub tokens: Option<Compared>,
    pub cost: Option<Compared>,
}

impl Summary {
    fn of(source: &str, provider: &str, lines: &[&Line], is_word: bool) -> Self {
        let mut verdicts = BTreeMap::new();
        for line in lines {
            *verdicts.entry(line.verdict).or_default() += 1;
        }
        let sum = |of: fn(&Line) -> Option<Compared>| {
            lines.iter().filter_map(|line| of(line)).reduce(|mut sum, more| {
                sum.add(&more);
                sum
            })
        };
        Self {
            provider: provider.to_owned(),
            source: source.to_owned(),
            is_check: lines.iter().any(|line| line.is_check),
            left_out: None,
            is_word,
            lines: verdicts,
            tokens: sum(|line| line.tokens),
            cost: sum(|line| line.cost),
        }
    }

    fn of_left_out(it: &LeftOut) -> Self {
        let left_out = Some(it.why.to_string());
        Self { is_check: it.is_check, left_out, ..Self::of(&it.source, &it.provider, &[], false) }
    }
}

/// As it is written: numbers as text, since they may be larger than what readers
/// of JSON know.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    provider: String,
    source: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_check: bool,
    left_out: Option<String>,
    is_word: bool,
    lines: BTreeMap<String, u64>,
    tokens: Option<StoredSides>,
    cost: Option<StoredSides>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSides {
    ours: String,
    theirs: String,
    causes: BTreeMap<String, String>,
}

impl StoredSides {
    fn of(it: &Compared) -> Self {
        let causes = Cause::ALL.iter().map(|&cause| (cause.name().to_owned(), it.causes[cause].to_string()));
        Self { ours: it.ours.to_string(), theirs: it.theirs.to_string(), causes: causes.collect() }
    }

    fn read(&self) -> Option<Compared> {
        let mut causes = Causes::default();
        for cause in Cause::ALL {
            causes[cause] = self.causes.get(cause.name())?.parse().ok()?;
        }
        Some(Compared { ours: self.ours.parse().ok()?, theirs: self.theirs.parse().ok()?, causes })
    }
}

fn stored(compared: &ComparedDay) -> Vec<Stored> {
    let mut by_source: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    // A word of nothing about nothing is one, too.
    for (source, provider) in &compared.of_unlogged {
        by_source.insert((source, provider), Vec::new());
    }
    for line in &compared.lines {
        by_source.entry((&line.source, &line.provider)).or_default().push(line);
    }
    let summaries = by_source.into_iter().map(|((source, provider), lines)| {
        let is_word = compared.of_unlogged.contains(&(source.to_owned(), provider.to_owned()));
        Summary::of(source, provider, &lines, is_word)
    });
    let summaries = summaries.chain(compared.left_out.iter().map(Summary::of_left_out));
    let store = |it: Summary| Stored {
        lines: it.lines.iter().map(|(verdict, count)| (verdict.name().to_owned(), *count)).collect(),
        tokens: it.tokens.as_ref().map(StoredSides::of),
        cost: it.cost.as_ref().map(StoredSides::of),
        provider: it.provider,
        source: it.source,
        is_check: it.is_check,
        left_out: it.left_out,
        is_word: it.is_word,
    };
    summaries.map(store).collect()
}

/// What the last comparison of a day came to, by source; nothing where there was
/// none, or it is not kept any more.
///
/// # Errors
/// Where the file cannot be read.
pub fn summaries(book: &Book, day: Day) -> Result<Vec<Summary>, ReconcileError> {
    let Some(file) = DayFile::open(book, DayTable::Unlogged, day)? else { return Ok(Vec::new()) };
    let stored: Vec<Stored> =
        file.value(SUMMARY_KEY).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let read = |it: Stored| Summary {
        lines: Verdict::ALL.iter().filter_map(|verdict| Some((*verdict, *it.lines.get(verdict.name())?))).collect(),
        tokens: it.tokens.as_ref().and_then(StoredSides::read),
        cost: it.cost.as_ref().and_then(StoredSides::read),
        provider: it.provider,
        source: it.source,
        is_check: it.is_check,
        left_out: it.left_out,
        is_word: it.is_word,
    };
    Ok(stored.into_iter().map(read).collect())
}
