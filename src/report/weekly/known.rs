//! How far a week is known: what has no price or is an estimate, what is
//! nobody's, what no log shows, which sources were heard. Pure.

use super::{
    page::Beside,
    summary::{Summary, share},
    unlogged,
};
use crate::{
    budgets::Scope,
    report::render::{
        Part,
        words::{self, counted, signed},
    },
};

/// Mails of which each is told.
const MOST: usize = 8;

/// How far all of it is known.
pub(super) fn coverage(summary: &Summary) -> Part {
    let Summary { now, .. } = summary;
    let mut items = Vec::new();
    if now.unpriced > 0 {
        items.push(format!(
            "{} of {} have no price, and count as nothing in every sum.",
            signed(now.unpriced),
            counted(now.requests, "request")
        ));
    }
    if now.estimated > 0 {
        items.push(format!(
            "{} ({} of the cost) is an estimate: {} at fallback prices.",
            now.estimated_cost.shown(),
            words::tenths(share(now.estimated_cost, summary.cost)),
            counted(now.estimated, "request")
        ));
    }
    let nobody = summary.unattributed;
    if nobody.requests > 0 {
        items.push(format!(
            "{} ({} of the cost) belongs to no team: {}.",
            nobody.cost.shown(),
            words::tenths(share(nobody.cost, summary.cost)),
            counted(nobody.requests, "request")
        ));
    }
    if now.errors > 0 {
        items.push(format!("{} ended in an error.", counted(now.errors, "request")));
    }
    items.extend(unlogged::told(summary));
    items.extend(sources(summary));
    if now.unpriced == 0 && now.estimated == 0 && nobody.requests == 0 && now.requests > 0 {
        let of = if summary.scope == Scope::Organization { ", and every one belongs to a team" } else { "" };
        items.push(format!("Every request has a price of its own{of}."));
    }
    Part::List { heading: "How far this is known".to_owned(), items }
}

fn sources(summary: &Summary) -> Vec<String> {
    let (whole, partly): (Vec<_>, Vec<_>) = summary.sources.iter().partition(|source| source.heard == 7);
    let mut items = Vec::new();
    let names = |of: &[&super::sources::SourceWeek]| {
        words::list(&of.iter().map(|source| format!("“{}”", words::name(&source.name))).collect::<Vec<_>>())
    };
    if !whole.is_empty() {
        items.push(format!("Heard on all seven days: {}.", names(&whole)));
    }
    for source in partly {
        let days = i64::try_from(source.heard).unwrap_or_default();
        items.push(match (source.is_unheard, source.missing.len()) {
            (true, _) => format!("“{}” was not heard at all.", words::name(&source.name)),
            (false, 0) => {
                format!("“{}” was heard on {}, as often as it may.", words::name(&source.name), counted(days, "day"))
            }
            (false, missing) => format!(
                "“{}” was heard on {}; {} missing.",
                words::name(&source.name),
                counted(days, "day"),
                counted(i64::try_from(missing).unwrap_or_default(), "day")
            ),
        });
    }
    items
}

pub(super) fn failed_mails(beside: &Beside) -> Option<Part> {
    let count = beside.failed_mails.len();
    if count == 0 {
        return None;
    }
    let mut items: Vec<String> = beside.failed_mails.iter().take(MOST).map(|it| words::plain(it)).collect();
    if count > MOST {
        items.push(format!("and {} more", count - MOST));
    }
    Some(Part::List { heading: "Mails that could not be delivered".to_owned(), items })
}
