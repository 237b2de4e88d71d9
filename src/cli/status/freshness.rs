//! How fresh the book is, as `status` says it.

use std::collections::BTreeMap;

use super::super::listing::{Column, Listing};
use crate::{
    charges::Behind,
    config::Role,
    report::{SourceState, Status, TotalsState},
    runs::Past,
    time::{Day, span_text},
};

pub(super) fn sources(status: &Status) -> Listing {
    let columns = [
        Column::text("source"),
        Column::instant("last_record"),
        Column::text("ago").in_table(),
        Column::count("age_seconds").in_data(),
        Column::count("silent_after_seconds").in_data(),
        Column::text("role").in_data(),
        Column::text("state"),
    ];
    let mut listing = Listing::new("sources", &columns);
    for source in &status.sources {
        let SourceState { name, role, last, sought_since: _, silent_after_micros, is_silent } = source;
        let age = last.map(|last| (status.now.micros() - last.micros()).max(0));
        let state = match (last, is_silent) {
            (_, true) => "silent",
            (None, false) => "never heard",
            (Some(_), false) => "ok",
        };
        listing.push(vec![
            name.as_str().into(),
            (*last).into(),
            age.map(span_text).into(),
            age.map(|age| age / 1_000_000).into(),
            (silent_after_micros / 1_000_000).into(),
            if *role == Role::Check { "check" } else { "books" }.into(),
            state.into(),
        ]);
    }
    listing
}

/// What providers say in sum, and when they said it.
pub(super) fn totals(status: &Status) -> Listing {
    let columns = [
        Column::text("totals"),
        Column::instant("last_told"),
        Column::text("ago").in_table(),
        Column::count("age_seconds").in_data(),
        Column::count("silent_after_seconds").in_data(),
        Column::text("last_day"),
        Column::text("state"),
    ];
    let mut listing = Listing::new("totals", &columns);
    for source in &status.totals {
        let TotalsState { name, last_told, last_day, silent_after_micros, is_silent } = source;
        let age = last_told.map(|told| (status.now.micros() - told.micros()).max(0));
        let state = match (last_told, last_day, is_silent) {
            (None, None, _) => "never told",
            // What is known of earlier runs is gone, or was of other options.
            (None, Some(_), _) => "not known",
            (Some(_), _, true) => "silent",
            (Some(_), _, false) => "ok",
        };
        listing.push(vec![
            name.as_str().into(),
            (*last_told).into(),
            age.map(span_text).into(),
            age.map(|age| age / 1_000_000).into(),
            silent_after_micros.map(|most| most / 1_000_000).into(),
            last_day.map(|day| day.to_string()).into(),
            state.into(),
        ]);
    }
    listing
}

/// Of silent sources that were never heard, since when they are looked for.
fn never_heard(status: &Status) -> String {
    let silent = status.sources.iter().filter(|source| source.is_silent && source.last.is_none());
    let line = |source: &SourceState| {
        let since = source.sought_since?.second();
        let name = &source.name;
        Some(format!("source `{name}`: no run since {since} found a request of it: run `spendbook doctor`\n"))
    };
    silent.filter_map(line).collect()
}

pub(super) fn behind(status: &Status) -> Listing {
    let mut listing = Listing::new("one_step_apart", &[Column::text("day"), Column::text("behind")]);
    for (day, behind) in &status.behind {
        listing.push(vec![day.to_string().into(), behind.name().into()]);
    }
    listing
}

pub(super) fn text(status: &Status) -> String {
    let told = |what: &str, command: &str, run: Option<&Past>| match run {
        None => format!("{what} never: run `spendbook {command}`"),
        Some(run) => {
            let ago = span_text((status.now.micros() - run.finished.micros()).max(0));
            let failed = match run.failures {
                0 => "",
                _ => ", and a part of it failed: see its record in `runs/`",
            };
            format!("{what} {}, {ago} ago{failed}", run.finished.second())
        }
    };
    let runs = &status.last_runs;
    let read = told("last read", "ingest", runs.ingest.as_ref());
    let priced = told("last priced", "price", runs.price.as_ref());
    let behind: String = behind_lines(&status.behind).iter().map(|line| format!("{line}\n")).collect();
    format!("{}{read}; {priced}\n{behind}", never_heard(status))
}

/// Which days' tables are one step apart, and what that means.
pub(in super::super) fn behind_lines(behind: &BTreeMap<Day, Behind>) -> Vec<String> {
    let mut lines = Vec::new();
    for which in [Behind::NotPriced, Behind::Charges, Behind::Rollup] {
        let mut days = behind.iter().filter(|(_, it)| **it == which).map(|(day, _)| day);
        let Some(first) = days.next() else { continue };
        let when = match days.clone().next_back() {
            None => format!("of {first}"),
            Some(last) => format!("of {} days, {first} to {last},", days.count() + 1),
        };
        let what = match which {
            Behind::NotPriced => format!("the usage {when} is not priced and not in these amounts"),
            Behind::Charges => format!("the charges {when} are those of an earlier state of its usage"),
            Behind::Rollup => format!("the totals {when} are missing, or those of an earlier state of its charges"),
        };
        lines.push(format!("one step apart: {what}: a run is going on, or run `spendbook price`"));
    }
    lines
}
