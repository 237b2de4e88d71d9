//! How far the numbers are known: requests without a price or a team, estimates,
//! sources that are silent, days that are not priced.

use serde::Serialize;

use super::{
    Facts, share,
    view::{Amount, Note, column, requests, tenths},
};
use crate::{
    charges::Behind,
    config::Role,
    report::{
        SourceState,
        render::{
            Tone,
            words::{self, signed},
        },
    },
    time::span_text,
};

/// Names in a sentence, and rows of sources.
const MOST_NAMED: usize = 8;
const MOST_SOURCES: usize = 50;

#[derive(Debug, Serialize)]
pub(super) struct Quality {
    pub rows: Vec<QualityRow>,
    /// Models without a price.
    pub unpriced: String,
    pub sources: Vec<SourceRow>,
    pub more_sources: String,
    pub runs: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct QualityRow {
    pub id: &'static str,
    pub name: &'static str,
    pub requests: String,
    pub of_requests: String,
    /// `None` where it is not known.
    pub cost: Option<Amount>,
    pub of_cost: String,
}

#[derive(Debug, Serialize)]
pub(super) struct SourceRow {
    pub name: String,
    pub last: String,
    pub ago: String,
    pub state: &'static str,
    pub tone: Tone,
}

impl Quality {
    /// `None` where a sum would not fit.
    pub(super) fn of(facts: &Facts<'_>) -> Option<Self> {
        let total = &facts.total;
        let by_team = facts.cube.by(|place| place.team)?;
        let nobody = by_team.iter().find(|(team, _)| facts.cube.teams.get(**team).is_none());
        let nobody = nobody.map(|(_, sum)| *sum).unwrap_or_default();
        let lines = [
            ("all", "All requests", total.requests, Some(total.cost)),
            ("unpriced", "Without a price", total.unpriced, None),
            ("estimated", "Estimated, at fallback prices", total.estimated, Some(total.estimated_cost)),
            ("unattributed", "Of no team", nobody.requests, Some(nobody.cost)),
            ("errors", "Ended in an error", total.errors, None),
        ];
        let mut costs = column(lines.iter().filter_map(|(.., cost)| *cost)).into_iter();
        let row = |(id, name, count, cost): (&'static str, &'static str, i64, Option<crate::money::Usd>)| QualityRow {
            id,
            name,
            requests: signed(count),
            of_requests: words::tenths(tenths(count, total.requests)),
            cost: cost.and_then(|_| costs.next()),
            of_cost: cost.map_or_else(String::new, |cost| words::tenths(share(cost, total.cost))),
        };
        let sources = &facts.status.sources;
        let more = sources.len().saturating_sub(MOST_SOURCES);
        Some(Self {
            rows: lines.into_iter().map(row).collect(),
            unpriced: unpriced(facts)?,
            sources: sources.iter().take(MOST_SOURCES).map(|it| source(facts, it)).collect(),
            more_sources: if more == 0 { String::new() } else { format!("and {more} more") },
            runs: runs(facts),
        })
    }
}

/// `No price is known for unheard-of (nowhere, 8 requests).`
fn unpriced(facts: &Facts<'_>) -> Option<String> {
    let models = facts.cube.by(|place| place.model)?;
    let mut models: Vec<_> = models.into_iter().filter(|(_, sum)| sum.unpriced > 0).collect();
    models.sort_by_key(|(model, sum)| (std::cmp::Reverse(sum.unpriced), facts.cube.models.get(*model).clone()));
    let mut named: Vec<String> = models
        .iter()
        .take(MOST_NAMED)
        .map(|(model, sum)| {
            let (name, provider) = facts.cube.models.get(*model);
            format!("{} ({}, {})", words::name(name), words::name(provider), requests(sum.unpriced))
        })
        .collect();
    if let more @ 1.. = models.len().saturating_sub(MOST_NAMED) {
        named.push(format!("{more} more"));
    }
    Some(if named.is_empty() {
        String::new()
    } else {
        format!("In the whole period, requests have no price of {}.", words::list(&named))
    })
}

fn source(facts: &Facts<'_>, source: &SourceState) -> SourceRow {
    let ago = source.last.map(|last| span_text((facts.now.micros() - last.micros()).max(0)));
    let (state, tone) = match (source.last, source.is_silent) {
        (None, _) => ("never heard", Tone::Warning),
        (_, true) => ("silent", Tone::Warning),
        _ if source.role == Role::Check => ("heard, for comparison only", Tone::Plain),
        _ => ("heard", Tone::Plain),
    };
    SourceRow {
        name: words::name(&source.name),
        last: source.last.map_or_else(|| "–".to_owned(), words::instant),
        ago: ago.map(|ago| format!("{ago} ago")).unwrap_or_default(),
        state,
        tone,
    }
}

fn runs(facts: &Facts<'_>) -> Vec<String> {
    let told = |what: &str, run: Option<&crate::runs::Past>| match run {
        None => format!("{what}: never"),
        Some(run) => {
            let ago = span_text((facts.now.micros() - run.finished.micros()).max(0));
            let failed = if run.failures > 0 { "; a part of it failed" } else { "" };
            format!("{what}: {}, {ago} ago{failed}", words::instant(run.finished))
        }
    };
    let runs = &facts.status.last_runs;
    vec![told("Logs last read", runs.ingest.as_ref()), told("Last priced", runs.price.as_ref())]
}

/// What must not be overlooked.
pub(super) fn notes(facts: &Facts<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut warn = |text: String| notes.push(Note { tone: Tone::Warning, text });
    for which in [Behind::NotPriced, Behind::Charges, Behind::Rollup] {
        let mut days = facts.behind.iter().filter(|(_, it)| **it == which).map(|(day, _)| *day);
        let Some(first) = days.next() else { continue };
        let last = days.next_back();
        let when = last.map_or_else(|| words::day(first), |last| format!("days from {}", words::days(first, last)));
        warn(match which {
            Behind::NotPriced => format!("What was used on {when} is not priced yet, and not on this page."),
            Behind::Charges => format!("The charges of {when} are of an earlier state of the logs."),
            Behind::Rollup => format!("The totals of {when} are missing, or of an earlier state of the charges."),
        });
    }
    if let Some(day) = facts.pruned_until {
        warn(format!("What was before {} was pruned, and is not on this page.", words::day(day)));
    }
    let silent = facts.status.sources.iter().filter(|source| source.is_silent && source.role == Role::Books);
    let silent = silent.map(|it| match it.last {
        Some(last) => format!("“{}” since {}", words::name(&it.name), words::instant(last)),
        None => format!("“{}” at any time", words::name(&it.name)),
    });
    let silent: Vec<String> = silent.collect();
    if !silent.is_empty() {
        let shown = silent.len().min(MOST_NAMED);
        let mut named = silent[..shown].to_vec();
        if silent.len() > shown {
            named.push(format!("{} more", silent.len() - shown));
        }
        warn(format!("Nothing came from {}: spend may be missing.", words::list(&named)));
    }
    let (unpriced, all) = (facts.total.unpriced, facts.total.requests);
    if i128::from(unpriced) * 100 > i128::from(all) {
        warn(format!(
            "{} of {} have no price and count as nothing here: add their models to the price book.",
            signed(unpriced),
            requests(all)
        ));
    }
    notes
}
