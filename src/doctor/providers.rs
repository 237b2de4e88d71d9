//! What providers report and check sources saw: does it agree with the logs, and
//! is it held against the latest of both.

use super::{Check, counted};
use crate::{
    book::Book,
    reconcile::{LOOK_BACK_DAYS, Verdict},
    report::Reconciled,
    time::{Day, Instant},
};

/// Nothing where no provider reports anything and no check source saw anything,
/// or where a file that this reads has been told of with the book.
pub(super) fn check(book: &Book, is_broken: bool, now: Instant) -> Vec<Check> {
    let from = Day::from_days(now.day().days() - LOOK_BACK_DAYS);
    let reconciled = match Reconciled::of(book, from.start(), Instant::LATEST) {
        Ok(reconciled) => reconciled,
        Err(_) if is_broken => return Vec::new(),
        Err(error) => {
            let cure =
                "look at the file that it names: what is derived can be removed, `spendbook price` makes it again";
            return vec![Check::problem("reconcile", error.to_string(), cure)];
        }
    };
    let mut checks = Vec::new();
    for (provider, it) in &reconciled.providers {
        let found = format!("{} since {from} held against what it reports", counted(it.days.len(), "day"));
        checks.push(Check::ok(&format!("provider {provider}"), found));
    }
    for ((source, provider), it) in &reconciled.checks {
        let found = format!("{} since {from} held against what it saw of {provider}", counted(it.days.len(), "day"));
        checks.push(Check::ok(&format!("check source {source}"), found));
    }
    let suspicious = usize::try_from(reconciled.count(Verdict::Investigate)).unwrap_or(usize::MAX);
    if suspicious > 0 {
        checks.push(Check::warning(
            "reconcile",
            format!(
                "{} since {from} where logs and {} differ without a known reason",
                counted(suspicious, "line"),
                match (reconciled.sides.has_providers, reconciled.sides.has_checks) {
                    (_, false) => "providers",
                    (false, true) => "check sources",
                    (true, true) => "providers or check sources",
                }
            ),
            "`spendbook reconcile` shows what is in no log, and whose key it is",
        ));
    }
    if !reconciled.behind.is_empty() {
        checks.push(Check::warning(
            "reconcile",
            format!("{} not held against the latest of both sides", counted(reconciled.behind.len(), "day")),
            "run `spendbook price`",
        ));
    }
    checks
}
