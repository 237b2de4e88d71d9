//! Pins: digests of what was known at the end of a month, so that a rewritten
//! past fails the check.
//!
//! A pin covers one provider's rows of one kind whose `known_from` is before
//! the end of its month. A correction has a later `known_from` and never breaks
//! it; an edited, removed or back-dated row does.

use std::{collections::BTreeMap, fmt};

use super::{
    Code, Digest, Draft, Finding, Kind, Place,
    cell::{self, Bad},
    read::Row,
};
use crate::time::{Day, Instant};

/// Which of a provider's rows a pin covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PinKind {
    Price(Kind),
    Alias,
}

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Price(kind) => kind.name(),
            Self::Alias => "alias",
        })
    }
}

/// One row of `pins.csv`.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    provider: String,
    kind: PinKind,
    /// `2026-10`.
    month: String,
    /// The first instant after the month: rows known from then on are not covered.
    until: Instant,
    rows: u64,
    digest: Digest,
    place: Place,
}

pub(super) fn pin(row: &mut Row<'_>) -> Option<Pin> {
    let provider = row.value("provider", cell::provider);
    let kind = row.value("kind", kind);
    let until = row.value("month", month_end);
    let month = row.text("month").to_owned();
    let rows = row.value("rows", |text| text.parse().map_err(|_| bad("a number of rows")));
    let digest = row.value("digest", |text| Digest::parse(text).ok_or_else(|| bad("32 hex digits")));
    let place = row.place.clone();
    Some(Pin { provider: provider?, kind: kind?, month, until: until?, rows: rows?, digest: digest?, place })
}

fn bad(expected: &str) -> Bad {
    Bad {
        code: Code::MalformedValue,
        expected: expected.to_owned(),
        cure: "restore the line, or write 0 rows and 32 zeros: the check then says what belongs there".to_owned(),
    }
}

fn kind(text: &str) -> Result<PinKind, Bad> {
    if text == "alias" {
        return Ok(PinKind::Alias);
    }
    cell::kind(text).map(PinKind::Price).map_err(|_| Bad {
        code: Code::MalformedValue,
        expected: "`list`, `contract`, `fallback` or `alias`".to_owned(),
        cure: "write one of these".to_owned(),
    })
}

/// The first instant after a month such as `2026-10`.
fn month_end(text: &str) -> Result<Instant, Bad> {
    let read = || {
        let (year, month) = text.split_once('-').filter(|_| text.len() == 7)?;
        let (year, month): (i32, u32) = (year.parse().ok()?, month.parse().ok()?);
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Day::parse(&format!("{text}-01")).and_then(|_| Day::parse(&format!("{year:04}-{month:02}-01")))
    };
    read().map(Day::start).ok_or_else(|| Bad {
        code: Code::MalformedValue,
        expected: "a month such as `2026-10`".to_owned(),
        cure: "write it in that form".to_owned(),
    })
}

/// What a pin made now would hold: the number of rows, and their digest.
fn content(draft: &Draft, provider: &str, kind: PinKind, until: Instant) -> (u64, Digest) {
    let rows: Vec<Digest> = match kind {
        PinKind::Price(kind) => draft
            .prices
            .iter()
            .filter(|row| row.provider == provider && row.kind == kind && row.validity.known_from < until)
            .map(|row| row.digest)
            .collect(),
        PinKind::Alias => draft
            .aliases
            .iter()
            .filter(|row| row.provider == provider && row.validity.known_from < until)
            .map(|row| row.digest)
            .collect(),
    };
    (u64::try_from(rows.len()).unwrap_or(u64::MAX), Digest::of_rows(rows))
}

/// Reports the earliest broken pin of each provider and kind: the month in
/// which the changed row became known.
pub(super) fn check(draft: &Draft, findings: &mut Vec<Finding>) {
    let mut broken: BTreeMap<(&str, PinKind), Vec<&Pin>> = BTreeMap::new();
    for pin in &draft.pins {
        if content(draft, &pin.provider, pin.kind, pin.until) != (pin.rows, pin.digest) {
            broken.entry((&pin.provider, pin.kind)).or_default().push(pin);
        }
    }
    for ((provider, kind), mut pins) in broken {
        pins.sort_by_key(|pin| pin.until);
        let first = pins[0];
        let (rows, digest) = content(draft, provider, kind, first.until);
        let later = match pins.len() - 1 {
            0 => String::new(),
            1 => " (and so the pin of 1 later month)".to_owned(),
            later => format!(" (and so the pins of {later} later months)"),
        };
        findings.push(Finding::new(
            Code::PinnedPastChanged,
            &first.place,
            format!(
                "the `{kind}` rows of `{provider}` known by the end of {} are not what was pinned: {} rows then, {rows} now{later}",
                first.month, first.rows
            ),
            format!(
                "put the rows back as they were and add a correction with a later `known_from`; or, if the past is meant to be rewritten, pin it anew as `{provider},{kind},{},{rows},{digest}`",
                first.month
            ),
        ));
    }
}
