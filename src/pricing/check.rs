//! Whether the rows of a price book agree with each other and with its pins.
//!
//! Errors are what would make a price a matter of chance, or silently re-price
//! the past. Warnings are what is probably a slip; the `note` of the row on
//! which one is reported silences it.

use std::collections::{BTreeMap, HashSet};

use super::{Alias, Code, Dated, Digest, Draft, Finding, Kind, Price, date_text, in_force, pins};
use crate::{record::Meter, time::Instant};

/// The last run that priced, for the warning about rows entered behind its back.
#[derive(Debug, Clone)]
pub struct LastPricing {
    /// As known on which instant it priced.
    pub at: Instant,
    /// [`Draft::digests`] of the book it priced with.
    pub rows: HashSet<Digest>,
}

/// The rows among which what is known later covers what is known earlier.
type Series<'d> = (&'d str, &'d str, &'d str, Meter, Kind);

pub(super) fn check(draft: &Draft, last: Option<&LastPricing>, findings: &mut Vec<Finding>) {
    let mut series: BTreeMap<Series<'_>, Vec<&Price>> = BTreeMap::new();
    for row in &draft.prices {
        series.entry((&row.provider, &row.model, &row.tier, row.meter, row.kind)).or_default().push(row);
    }
    for rows in series.values() {
        check_prices(rows, findings);
    }
    let mut names: BTreeMap<(&str, &str), Vec<&Alias>> = BTreeMap::new();
    for row in &draft.aliases {
        names.entry((&row.provider, &row.alias)).or_default().push(row);
    }
    for rows in names.values() {
        check_aliases(rows, findings);
    }
    pins::check(draft, findings);
    for row in draft.prices.iter().filter(|row| row.note.is_empty()) {
        if row.rate.is_some_and(|rate| rate.price.pico() == 0) {
            findings.push(Finding::new(
                Code::ZeroPrice,
                &row.place,
                format!("{} costs nothing", describe(row)),
                "leave `price_usd` empty if there is no price; if it is free, say so in `note`",
            ));
        }
    }
    if let Some(last) = last {
        check_backdated(draft, last, findings);
    }
}

/// The price of `input_tokens` of `groq/llama` in tier `batch` (list).
fn describe(row: &Price) -> String {
    format!(
        "the {} price of `{}` for `{}/{}` in tier `{}`",
        row.kind.name(),
        row.meter.info().column,
        row.provider,
        row.model,
        row.tier
    )
}

fn describe_alias(row: &Alias) -> String {
    format!("the alias `{}` of `{}`", row.alias, row.provider)
}

fn check_prices(rows: &[&Price], findings: &mut Vec<Finding>) {
    for (row, other) in ties(rows) {
        findings.push(Finding::new(
            Code::Tie,
            &row.place,
            format!(
                "{} is also in {}, valid at the same time and known from the same {}",
                describe(row),
                other.place,
                date_text(row.validity.known_from)
            ),
            "give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`",
        ));
    }
    for (row, hidden) in hidden(rows) {
        findings.push(hides(&describe(row), row, hidden));
    }
    check_history(rows, findings);
}

fn check_aliases(rows: &[&Alias], findings: &mut Vec<Finding>) {
    for (row, other) in ties(rows) {
        findings.push(Finding::new(
            Code::AmbiguousAlias,
            &row.place,
            format!(
                "{} matches twice: {} is valid at the same time and known from the same {}",
                describe_alias(row),
                other.place,
                date_text(row.validity.known_from)
            ),
            "give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`",
        ));
    }
    for (row, hidden) in hidden(rows) {
        findings.push(hides(&describe_alias(row), row, hidden));
    }
}

fn hides<T: Dated>(what: &str, row: &T, hidden: &T) -> Finding {
    let start = date_text(hidden.validity().from);
    Finding::new(
        Code::HiddenChange,
        row.place(),
        format!("{what} hides the change of {start} in {}, which was known before it", hidden.place()),
        format!("give it the `valid_until` `{start}`; to replace that change, add a row that starts on {start}"),
    )
}

/// Rows valid at the same time and known from the same instant: each with one
/// that it ties with, later lines first.
fn ties<'r, T: Dated>(rows: &[&'r T]) -> Vec<(&'r T, &'r T)> {
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|row| (row.validity().known_from, row.validity().from));
    let mut found = Vec::new();
    let mut longest: Option<&T> = None;
    for row in sorted {
        let own = row.validity();
        let before = longest.filter(|before| before.validity().known_from == own.known_from);
        if let Some(before) = before.filter(|before| before.validity().until.is_none_or(|until| own.from < until)) {
            let place = |row: &T| (row.place().file.clone(), row.place().line);
            found.push(if place(row) > place(before) { (row, before) } else { (before, row) });
        }
        let reach = |row: &T| row.validity().until.map_or(i64::MAX, Instant::micros);
        if before.is_none_or(|before| reach(row) > reach(before)) {
            longest = Some(row);
        }
    }
    found
}

/// Rows that cover the start of a change which was known, and in force, before
/// they were: each with that change.
fn hidden<'r, T: Dated>(rows: &[&'r T]) -> Vec<(&'r T, &'r T)> {
    let mut found = Vec::new();
    for &row in rows {
        let own = row.validity();
        for &change in rows {
            let start = change.validity().from;
            let is_covered = change.validity().known_from < own.known_from && own.from < start && own.holds_at(start);
            let known_before = own.known_from.plus_micros(-1);
            if is_covered
                && in_force(rows.iter().copied(), start, known_before).is_some_and(|row| std::ptr::eq(row, change))
            {
                found.push((row, change));
            }
        }
    }
    found
}

/// Gaps and large moves in the history as it is known by now.
fn check_history(rows: &[&Price], findings: &mut Vec<Finding>) {
    let mut starts: Vec<Instant> =
        rows.iter().flat_map(|row| [Some(row.validity.from), row.validity.until]).flatten().collect();
    starts.sort_unstable();
    starts.dedup();
    let latest = Instant::from_micros(i64::MAX);
    let mut before: Option<&Price> = None;
    let mut gap: Option<Instant> = None;
    for start in starts {
        let row = in_force(rows.iter().copied(), start, latest).filter(|row| row.rate.is_some());
        let Some(row) = row else {
            gap = gap.or(before.map(|_| start));
            continue;
        };
        if let Some(from) = gap.take().filter(|_| row.note.is_empty()) {
            findings.push(Finding::new(
                Code::Gap,
                &row.place,
                format!("{} is missing from {} to {}", describe(row), date_text(from), date_text(start)),
                "add the price of that time, or say in `note` why there is none",
            ));
        }
        if let Some(before) = before.filter(|before| row.note.is_empty() && moves_far(before, row)) {
            findings.push(big_move(before, row));
        }
        before = Some(row);
    }
}

fn big_move(before: &Price, row: &Price) -> Finding {
    let text = |row: &Price| row.rate.map(|rate| rate.text(row.meter)).unwrap_or_default();
    Finding::new(
        Code::BigMove,
        &row.place,
        format!(
            "{} goes from {} ({}) to {}, by more than 10 times",
            describe(row),
            text(before),
            before.place,
            text(row)
        ),
        "check `price_usd` and `per`; if it is right, say so in `note`",
    )
}

/// Whether a unit costs more than ten times what it did, or less than a tenth.
fn moves_far(before: &Price, after: &Price) -> bool {
    let (Some(a), Some(b)) = (before.rate, after.rate) else { return false };
    // Both products fit: prices stay below 10^21 pico-dollars, `per` below 10^15.
    let (a, b) = (a.price.pico() * i128::from(b.per), b.price.pico() * i128::from(a.per));
    a > 0 && b > 0 && (b > 10 * a || a > 10 * b)
}

fn check_backdated(draft: &Draft, last: &LastPricing, findings: &mut Vec<Finding>) {
    let prices = draft.prices.iter().map(|row| (row.digest, &row.validity, &row.place, &row.note, describe(row)));
    let aliases =
        draft.aliases.iter().map(|row| (row.digest, &row.validity, &row.place, &row.note, describe_alias(row)));
    for (digest, validity, place, note, what) in prices.chain(aliases) {
        if note.is_empty() && validity.known_from < last.at && !last.rows.contains(&digest) {
            findings.push(Finding::new(
                Code::Backdated,
                place,
                format!(
                    "{what} is known from {}, but the run of {} priced without it",
                    date_text(validity.known_from),
                    date_text(last.at)
                ),
                "set `known_from` to when it was entered, or say in `note` why not",
            ));
        }
    }
}
