//! Whether the rows of a price book agree with each other and with its pins.
//!
//! Errors are what would make a price a matter of chance, or silently re-price
//! the past. Warnings are what is probably a slip; the `note` of the row on
//! which one is reported silences it.

use std::collections::{BTreeMap, BinaryHeap, HashSet};

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
    let mut changes = rows.to_vec();
    changes.sort_by_key(|row| row.validity().from);
    // Of each change and all that start after it, the one known first: in most
    // books no row has any that it could cover.
    let mut known_first: Vec<Instant> = changes.iter().map(|row| row.validity().known_from).collect();
    for at in (1..known_first.len()).rev() {
        known_first[at - 1] = known_first[at - 1].min(known_first[at]);
    }
    let mut found = Vec::new();
    for &row in rows {
        let own = row.validity();
        let later = changes.partition_point(|change| change.validity().from <= own.from);
        for (&change, &known_first) in changes[later..].iter().zip(&known_first[later..]) {
            let start = change.validity().from;
            if known_first >= own.known_from || !own.holds_at(start) {
                break;
            }
            let known_before = own.known_from.plus_micros(-1);
            if change.validity().known_from <= known_before
                && in_force(rows.iter().copied(), start, known_before).is_some_and(|row| std::ptr::eq(row, change))
            {
                found.push((row, change));
            }
        }
    }
    found
}

/// What is in force from each instant on at which that may change, as it is
/// known by now.
fn history<'r>(rows: &[&'r Price]) -> Vec<(Instant, Option<&'r Price>)> {
    let mut starts: Vec<Instant> =
        rows.iter().flat_map(|row| [Some(row.validity.from), row.validity.until]).flatten().collect();
    starts.sort_unstable();
    starts.dedup();
    let mut to_come: Vec<(usize, &Price)> = rows.iter().copied().enumerate().collect();
    to_come.sort_by_key(|(_, row)| std::cmp::Reverse(row.validity.from));
    // Those that have begun, the one known last on top; what has ended is taken
    // off when it comes up.
    let mut begun = BinaryHeap::new();
    let in_force_at = |at: Instant| {
        while let Some((number, row)) = to_come.pop_if(|(_, row)| row.validity.from <= at) {
            begun.push((row.validity.known_from, number));
        }
        while let Some(&(_, number)) = begun.peek() {
            if rows[number].validity.holds_at(at) {
                return (at, Some(rows[number]));
            }
            begun.pop();
        }
        (at, None)
    };
    starts.into_iter().map(in_force_at).collect()
}

/// Gaps and large moves in the history as it is known by now.
fn check_history(rows: &[&Price], findings: &mut Vec<Finding>) {
    let mut before: Option<&Price> = None;
    let mut gap: Option<Instant> = None;
    for (start, row) in history(rows) {
        let Some(row) = row.filter(|row| row.rate.is_some()) else {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::testing::{at, draft, lines},
        *,
    };

    /// The findings about price rows, and about aliases, one per line.
    fn check(prices: &[&str], aliases: &[&str], expect: &[&str]) {
        assert_eq!(lines(&draft(prices, aliases, &[]).check(None)), expect.join("\n"));
    }

    #[test]
    fn a_sound_book_is_silent() {
        check(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,2026-02-01,2026-01-01,list,,",
                "g,m,*,input_tokens,2,1M,,2026-02-01,,2026-01-01,list,,",
                "g,m,batch,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,contract,,",
                "g,m,*,output_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
                "h,m,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
            ],
            &["g,a,m,2026-01-01,2026-02-01,2026-01-01,,", "g,a,n,2026-02-01,,2026-01-01,,"],
            &[],
        );
    }

    #[test]
    fn ties_are_refused() {
        check(
            &[
                "g,m,*,input_tokens,1,1M,,2026-01-01,2026-06-01,2026-01-01,list,,",
                "g,m,*,input_tokens,2,1M,,2026-02-01,2026-03-01,2026-01-01,list,,",
                "g,m,*,input_tokens,3,1M,,2026-04-01,,2026-01-01,list,,",
            ],
            &["g,a,m,2026-01-01,,2026-01-01,,", "g,a,m,2026-01-01,,2026-01-01,,"],
            &[
                "pricing/aliases.csv:3: error[ambiguous_alias]: the alias `a` of `g` matches twice: pricing/aliases.csv:2 is valid at the same time and known from the same 2026-01-01: give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`",
                "pricing/p.csv:3: error[tie]: the list price of `input_tokens` for `g/m` in tier `*` is also in pricing/p.csv:2, valid at the same time and known from the same 2026-01-01: give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`",
                "pricing/p.csv:4: error[tie]: the list price of `input_tokens` for `g/m` in tier `*` is also in pricing/p.csv:2, valid at the same time and known from the same 2026-01-01: give the earlier one a `valid_until`, remove one, or, if one corrects the other, give it a later `known_from`",
            ],
        );
    }

    #[test]
    fn a_row_must_not_hide_the_start_of_a_change_known_before_it() {
        let announced = "g,m,*,input_tokens,3,1M,,2026-09-01,,2026-08-01,list,,";
        let base = "g,m,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,";
        let hides = "pricing/p.csv:4: error[hidden_change]: the list price of `input_tokens` for `g/m` in tier `*` hides the change of 2026-09-01 in pricing/p.csv:3, which was known before it: give it the `valid_until` `2026-09-01`; to replace that change, add a row that starts on 2026-09-01";
        for (row, expect) in [
            ("g,m,*,input_tokens,1,1M,,2026-05-01,,2026-08-10,list,,", Some(hides)),
            ("g,m,*,input_tokens,1,1M,,2026-05-01,2026-09-01T00:00:00.000001Z,2026-08-10,list,,", Some(hides)),
            ("g,m,*,input_tokens,1,1M,,2026-05-01,2026-09-01,2026-08-10,list,,", None),
            ("g,m,*,input_tokens,1,1M,,2026-09-01,,2026-08-10,list,,", None),
            ("g,m,*,input_tokens,1,1M,,2026-10-01,,2026-08-10,list,,", None),
            ("g,m,*,input_tokens,1,1M,,2026-05-01,,2026-07-01,list,,", None),
            ("g,m,*,input_tokens,1,1M,,2026-05-01,,2026-08-10,contract,,", None),
        ] {
            check(&[base, announced, row], &[], &expect.into_iter().collect::<Vec<_>>());
        }
        check(
            &[],
            &["g,a,m,2026-01-01,,2026-01-01,,", "g,a,n,2026-09-01,,2026-08-01,,", "g,a,o,2026-05-01,,2026-08-10,,"],
            &[
                "pricing/aliases.csv:4: error[hidden_change]: the alias `a` of `g` hides the change of 2026-09-01 in pricing/aliases.csv:3, which was known before it: give it the `valid_until` `2026-09-01`; to replace that change, add a row that starts on 2026-09-01",
            ],
        );
    }

    #[test]
    fn a_change_that_was_already_replaced_cannot_be_hidden() {
        check(
            &[
                "g,m,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,list,,",
                "g,m,*,input_tokens,3,1M,,2026-09-01,,2026-02-01,list,,",
                "g,m,*,input_tokens,4,1M,,2026-09-01,,2026-03-01,list,,",
                "g,m,*,input_tokens,1,1M,,2026-05-01,,2026-04-01,list,,",
            ],
            &[],
            &[
                "pricing/p.csv:5: error[hidden_change]: the list price of `input_tokens` for `g/m` in tier `*` hides the change of 2026-09-01 in pricing/p.csv:4, which was known before it: give it the `valid_until` `2026-09-01`; to replace that change, add a row that starts on 2026-09-01",
            ],
        );
    }

    #[test]
    fn gaps_large_moves_and_zeros_are_warnings_until_a_note_explains_them() {
        let rows = |note: &str| {
            [
                "g,m,*,input_tokens,1,1M,,2026-01-01,2026-02-01,2026-01-01,list,,".to_owned(),
                format!("g,m,*,input_tokens,11,1M,,2026-03-01,,2026-03-01,list,,{note}"),
                format!("g,m,*,output_tokens,0,1M,,2026-03-01,,2026-03-01,list,,{note}"),
                "g,m,*,characters,1,1M,,2026-01-01,,2026-01-01,list,,".to_owned(),
                format!("g,m,*,characters,1,1k,,2026-02-01,,2026-02-01,list,,{note}"),
                "g,m,*,images,10,1k,,2026-01-01,,2026-01-01,list,,".to_owned(),
                "g,m,*,images,1,1k,,2026-02-01,,2026-02-01,list,,".to_owned(),
            ]
        };
        let texts =
            |rows: &[String]| lines(&draft(&rows.iter().map(String::as_str).collect::<Vec<_>>(), &[], &[]).check(None));
        assert_eq!(
            texts(&rows("")),
            "pricing/p.csv:3: warning[gap]: the list price of `input_tokens` for `g/m` in tier `*` is missing from 2026-02-01 to 2026-03-01: add the price of that time, or say in `note` why there is none\n\
             pricing/p.csv:3: warning[big_move]: the list price of `input_tokens` for `g/m` in tier `*` goes from 1 per 1M (pricing/p.csv:2) to 11 per 1M, by more than 10 times: check `price_usd` and `per`; if it is right, say so in `note`\n\
             pricing/p.csv:4: warning[zero_price]: the list price of `output_tokens` for `g/m` in tier `*` costs nothing: leave `price_usd` empty if there is no price; if it is free, say so in `note`\n\
             pricing/p.csv:6: warning[big_move]: the list price of `characters` for `g/m` in tier `*` goes from 1 per 1M (pricing/p.csv:5) to 1 per 1k, by more than 10 times: check `price_usd` and `per`; if it is right, say so in `note`"
        );
        assert_eq!(texts(&rows("as announced")), "");
    }

    #[test]
    fn rows_entered_behind_the_back_of_a_run_are_told() {
        let known = ["g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,"];
        let last = LastPricing { at: at("2026-06-02"), rows: draft(&known, &[], &[]).digests().collect() };
        let now = draft(
            &[
                known[0],
                "g,n,*,input_tokens,1,1M,,2026-01-01,,2026-06-01,list,,",
                "g,o,*,input_tokens,1,1M,,2026-01-01,,2026-06-02,list,,",
                "g,p,*,input_tokens,1,1M,,2026-01-01,,2026-06-01,list,,the book began with it",
            ],
            &[],
            &[],
        );
        assert_eq!(
            lines(&now.check(Some(&last))),
            "pricing/p.csv:3: warning[backdated]: the list price of `input_tokens` for `g/n` in tier `*` is known from 2026-06-01, but the run of 2026-06-02 priced without it: set `known_from` to when it was entered, or say in `note` why not"
        );
    }

    #[test]
    fn a_rewritten_past_breaks_its_pin_and_a_correction_does_not() {
        let row = "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,a,b";
        let edited = row.replace(",1,1M", ",2,1M");
        let unpinned = draft(&[row], &[], &["g,list,2026-01,0,00000000000000000000000000000000"]);
        let finding = unpinned.check(None).remove(0);
        let pin = finding.cure.rsplit('`').nth(1).unwrap().to_owned();
        let later = pin.replace("2026-01", "2026-02");
        let pins = [pin.as_str(), later.as_str(), "g,alias,2026-02,0,e3b0c44298fc1c149afbf4c8996fb924"];
        let check = |rows: &[&str], aliases: &[&str]| {
            let findings = draft(rows, aliases, &pins).check(None);
            findings.iter().map(|it| format!("{}: {}", it.line.unwrap(), it.message)).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(check(&[row], &[]), "");
        assert_eq!(check(&[&row.replace(",a,b", ",other,text")], &[]), "", "source and note may be edited");
        assert_eq!(check(&[row, "g,m,*,input_tokens,2,1M,,2026-01-01,,2026-03-01,list,,"], &[]), "");
        assert_eq!(check(&[row, "g,m,*,input_tokens,2,1M,,2026-01-01,,2026-01-01,contract,,"], &[]), "");
        assert_eq!(
            check(&[&edited], &[]),
            "2: the `list` rows of `g` known by the end of 2026-01 are not what was pinned: 1 rows then, 1 now (and so the pin of 1 later month)"
        );
        assert_eq!(
            check(&[], &[]),
            "2: the `list` rows of `g` known by the end of 2026-01 are not what was pinned: 1 rows then, 0 now (and so the pin of 1 later month)"
        );
        assert_eq!(
            check(&[row, "g,n,*,input_tokens,2,1M,,2026-01-01,,2026-02-28T23:59:59.999999Z,list,,"], &[]),
            "3: the `list` rows of `g` known by the end of 2026-02 are not what was pinned: 1 rows then, 2 now"
        );
        assert_eq!(
            check(&[row], &["g,a,m,2026-01-01,,2026-01-01,,"]),
            "4: the `alias` rows of `g` known by the end of 2026-02 are not what was pinned: 0 rows then, 1 now"
        );
    }

    /// Validity in days of August; the end is left out where it is not after the start.
    fn rows() -> impl Strategy<Value = Vec<String>> {
        let row = (1..9_u8, 1..12_u8, 1..9_u8).prop_map(|(from, until, known)| {
            let until = if until > from { format!("2026-08-{until:02}") } else { String::new() };
            format!("g,m,*,input_tokens,1,1M,,2026-08-{from:02},{until},2026-08-{known:02},list,,")
        });
        proptest::collection::vec(row, 0..9)
    }

    proptest! {
        #[test]
        fn history_and_hidden_changes_are_what_a_look_at_all_rows_tells(lines in rows()) {
            let draft = draft(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &[], &[]);
            let rows: Vec<&Price> = draft.prices.iter().collect();
            for (at, row) in history(&rows) {
                let expect = in_force(rows.iter().copied(), at, Instant::from_micros(i64::MAX));
                prop_assert!(row.map(std::ptr::from_ref) == expect.map(std::ptr::from_ref), "at {at}");
            }
            let is_hidden = |row: &Price, change: &Price| {
                let (own, start) = (&row.validity, change.validity.from);
                let before = in_force(rows.iter().copied(), start, own.known_from.plus_micros(-1));
                change.validity.known_from < own.known_from && own.from < start && own.holds_at(start)
                    && before.is_some_and(|row| std::ptr::eq(row, change))
            };
            let pairs = rows.iter().flat_map(|row| rows.iter().map(move |change| (*row, *change)));
            let expect: HashSet<_> = pairs.filter(|(row, change)| is_hidden(row, change)).map(|(a, b)| (a.place.line, b.place.line)).collect();
            let found: HashSet<_> = hidden(&rows).into_iter().map(|(a, b)| (a.place.line, b.place.line)).collect();
            prop_assert_eq!(found, expect);
        }
    }
}
