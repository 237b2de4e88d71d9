//! Keys that are registered and not used, and budgets of models that no price
//! is for: both are usually a name that is written in another way.

use std::collections::BTreeSet;

use super::{Check, SHOWN, counted};
use crate::{
    audit::uses,
    book::{Book, layout::DayTable},
    config::{Config, Key},
    pricing::PriceBook,
    reconcile,
    time::{Day, Instant},
};

const SUBJECT: &str = "keys";

/// For how many days a key may be quiet.
const QUIET_DAYS: i32 = 30;

/// Keys in force that gave no request for a while; nothing where the book has
/// none of those days.
pub(super) fn check_unused(config: &Config, book: &Book, now: Instant) -> Option<Check> {
    let since = Day::from_days(now.day().days() - QUIET_DAYS);
    // What cannot be read has been said of the book.
    let uses = uses::read_since(book, since, now).ok()?;
    if uses.keys.is_empty() {
        return None;
    }
    let is_in_force = |key: &&Key| {
        key.valid_from.is_none_or(|from| from <= since.start()) && key.valid_until.is_none_or(|until| now < until)
    };
    // An old key that another one replaced is to be quiet.
    let is_replaced = |key: &&Key| config.keys.iter().any(|other| other.replaces.as_ref() == Some(&key.name));
    let reported = reported(book, since);
    let is_used = |key: &&Key| {
        key.shown_as().into_iter().flatten().any(|name| uses.keys.contains_key(name) || reported.contains(name))
    };
    let unused: BTreeSet<&str> = config
        .keys
        .iter()
        .filter(|key| is_in_force(key) && !is_replaced(key) && !is_used(key))
        .map(|key| key.name.as_str())
        .collect();
    if unused.is_empty() {
        let found = format!("every registered key was used in the last {QUIET_DAYS} days");
        return (!config.keys.is_empty()).then(|| Check::ok(SUBJECT, found));
    }
    let mut names: Vec<String> = unused.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if unused.len() > SHOWN {
        names.push(format!("and {} more", unused.len() - SHOWN));
    }
    let count = counted(unused.len(), "registered key");
    Some(Check::warning(
        SUBJECT,
        format!("{count} gave no request in {QUIET_DAYS} days: {}", names.join(", ")),
        "compare the names with those that logs have (`spendbook keys`); delete keys that nobody needs",
    ))
}

/// Keys that no log shows, and whose provider reports them: they are used.
fn reported(book: &Book, since: Day) -> BTreeSet<String> {
    let days = book.days(DayTable::Unlogged).unwrap_or_default().into_iter().filter(|day| *day >= since);
    let rows = days.flat_map(|day| reconcile::unlogged(book, day).unwrap_or_default());
    rows.filter_map(|row| row.key).collect()
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
