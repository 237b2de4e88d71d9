//! Keys that are registered and not used, or used past every log, and budgets of models that no price
//! is for: both are usually a name that is written in another way.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, SHOWN, counted};
use crate::{
    audit::{keys::Reported, uses},
    book::Book,
    config::{Config, Key},
    pricing::PriceBook,
    report,
    time::{Day, Instant},
};

const SUBJECT: &str = "keys";

/// For how many days a key may be quiet.
const QUIET_DAYS: i32 = 30;

/// Keys in force that gave no request for a while; nothing where the book has
/// none of those days.
pub(super) fn check_unused(config: &Config, book: &Book, now: Instant) -> Vec<Check> {
    let since = Day::from_days(now.day().days() - QUIET_DAYS);
    // What cannot be read has been said of the book.
    let Ok(uses) = uses::read_since(book, since, now) else { return Vec::new() };
    if uses.keys.is_empty() {
        return Vec::new();
    }
    let is_in_force = |key: &&Key| {
        key.valid_from.is_none_or(|from| from <= since.start()) && key.valid_until.is_none_or(|until| now < until)
    };
    // An old key that another one replaced is to be quiet.
    let is_replaced = |key: &&Key| config.keys.iter().any(|other| other.replaces.as_ref() == Some(&key.name));
    let reported = report::reported_keys(book, since).unwrap_or_default();
    let is_logged = |key: &&Key| key.shown_as().into_iter().flatten().any(|name| uses.keys.contains_key(name));
    let reported = |key: &Key| key.shown_as().into_iter().flatten().find_map(|name| reported.get(name));
    let bypass: BTreeMap<&str, &Reported> = config
        .keys
        .iter()
        .filter(|key| !is_logged(key))
        .filter_map(|key| Some((key.name.as_str(), reported(key)?)))
        .collect();
    let unused: BTreeSet<&str> = config
        .keys
        .iter()
        .filter(|key| is_in_force(key) && !is_replaced(key) && !is_logged(key) && reported(key).is_none())
        .map(|key| key.name.as_str())
        .collect();
    let mut checks = Vec::new();
    if !bypass.is_empty() {
        let told = bypass.iter().map(|(name, reported)| format!("`{name}`, {reported}"));
        checks.push(Check::warning(
            SUBJECT,
            format!(
                "{} in no log of {QUIET_DAYS} days, and in use: {}",
                counted(bypass.len(), "registered key"),
                some(told.collect(), "; ")
            ),
            "ask its owner to send it through the gateway, or make a source of the log that has it",
        ));
    }
    if !unused.is_empty() {
        let names = some(unused.iter().map(|name| format!("`{name}`")).collect(), ", ");
        checks.push(Check::warning(
            SUBJECT,
            format!("{} gave no request in {QUIET_DAYS} days: {names}", counted(unused.len(), "registered key")),
            "compare the names with those that logs have (`spendbook keys`); delete keys that nobody needs",
        ));
    }
    if checks.is_empty() && !config.keys.is_empty() {
        checks.push(Check::ok(SUBJECT, format!("every registered key was used in the last {QUIET_DAYS} days")));
    }
    checks
}

/// As many as can be read.
fn some(mut names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(between)
}

/// Budgets of models that the price book does not know.
pub(super) fn check_models(config: &Config, prices: &PriceBook) -> Vec<Check> {
    let known = |name: &str| prices.prices().iter().any(|price| price.model == name);
    let unknown = config.models.keys().filter(|name| !known(name));
    let check = |name: &String| {
        Check::warning(
            "config",
            format!("`[models.{name:?}]` has a budget, and the price book has no such model"),
            "name it as the price book does: `spendbook pricing show` lists them",
        )
    };
    unknown.map(check).collect()
}
