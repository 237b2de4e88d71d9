//! What providers report and no log shows, of a scope's week, and how far the
//! organization's week was held against what they report. Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    page::percent_moved,
    summary::{Span, Summary, WEEK, change, share},
};
use crate::{
    budgets::Scope,
    money::Usd,
    reconcile::{Compared, Unlogged, Verdict},
    report::{
        NotLogged,
        render::{
            Row,
            words::{self, compact, counted, signed},
        },
    },
    teams::SHARED,
    time::Day,
};

/// Keys of which each is told.
const MOST_KEYS: usize = 3;

/// Spend that no log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unseen<'a> {
    /// The day, counted from the first of both weeks.
    pub day: usize,
    pub team: Option<&'a str>,
    pub cost: Usd,
}

/// As far as anybody knows what it cost.
pub(super) fn unseen<'u>(rows: &'u [Unlogged], span: &Span) -> Vec<Unseen<'u>> {
    let unseen =
        |row: &'u Unlogged| Some(Unseen { day: slot(row.day, span)?, team: row.team.as_deref(), cost: row.cost? });
    rows.iter().filter_map(unseen).collect()
}

/// A UTC day is in the local day in which it begins.
fn slot(day: Day, span: &Span) -> Option<usize> {
    let starts = span.days();
    let begun = starts.iter().filter(|start| **start <= day.start()).count();
    begun.checked_sub(1).filter(|slot| *slot < starts.len() - 1)
}

/// What no log shows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingKey {
    pub provider: String,
    pub key: Option<String>,
    pub team: Option<String>,
    pub owner: Option<String>,
    pub sum: NotLogged,
    pub cost_before: Usd,
}

/// All that no log shows of a scope's week.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Whether it is a line of spend.
    pub is_spend: bool,
    pub sum: NotLogged,
    /// By provider and key, the dearest first; also those of the week before.
    pub keys: Vec<MissingKey>,
}

impl Missing {
    /// `None` where a sum would not fit.
    pub(super) fn of(rows: &[Unlogged], scope: &Scope, span: &Span, is_spend: bool) -> Option<Self> {
        let is_of_scope = |row: &&Unlogged| match scope {
            Scope::Team(team) => row.team.as_ref() == Some(team),
            _ => true,
        };
        let mut by_key: BTreeMap<_, [Vec<&Unlogged>; 2]> = BTreeMap::new();
        for row in rows.iter().filter(is_of_scope) {
            let Some(slot) = slot(row.day, span) else { continue };
            by_key.entry((&row.provider, &row.key, &row.team, &row.owner)).or_default()[slot / WEEK].push(row);
        }
        let sum = NotLogged::of(by_key.values().flat_map(|[_, now]| now.iter().copied()))?;
        let mut keys = Vec::new();
        for ((provider, key, team, owner), [before, now]) in by_key {
            keys.push(MissingKey {
                provider: provider.clone(),
                key: key.clone(),
                team: team.clone(),
                owner: owner.clone(),
                sum: NotLogged::of(now)?,
                cost_before: NotLogged::of(before)?.cost,
            });
        }
        keys.sort_by_key(|it| (Reverse(it.sum.cost), Reverse(it.sum.tokens)));
        Some(Self { is_spend, sum, keys })
    }
}

/// Beside models and pools, where it is spend.
pub(super) fn row(summary: &Summary) -> Option<Row> {
    let [now, before] = summary.unlogged;
    (now > Usd::ZERO || before > Usd::ZERO).then(|| Row {
        below: "reported by providers".to_owned(),
        bar: Some(share(now, summary.cost)),
        ..Row::new([
            "in no log".to_owned(),
            now.shown(),
            words::tenths(share(now, summary.cost)),
            change(now, before).map_or_else(|| "new".to_owned(), percent_moved),
        ])
    })
}

/// How far the week is known by what providers report.
pub(super) fn told(summary: &Summary) -> Vec<String> {
    missing(summary).into_iter().chain(providers(summary)).chain(checks(summary)).chain(to_do(summary)).collect()
}

fn missing(summary: &Summary) -> Option<String> {
    let Missing { is_spend, sum, keys } = &summary.missing;
    if !sum.is_any() {
        return None;
    }
    let (whole, beside) = if *is_spend {
        (summary.cost, "a line of its own in the cost above")
    } else {
        (summary.cost.checked_add(sum.cost)?, "beside the cost above and in no budget")
    };
    let least = if sum.unknown > 0 { "At least " } else { "" };
    let keys: Vec<&MissingKey> = keys.iter().filter(|it| it.sum.is_any()).collect();
    let mut owners: Vec<String> = keys.iter().take(MOST_KEYS).map(|it| whose(it, &summary.scope)).collect();
    if keys.len() > MOST_KEYS {
        owners.push(format!("{} more in the attached CSV", keys.len() - MOST_KEYS));
    }
    Some(format!(
        "{least}{} ({} of all) was reported by providers and is not in logs, {beside}: {}.",
        sum.cost.shown(),
        words::tenths(share(sum.cost, whole)),
        words::list(&owners)
    ))
}

/// `12 requests with “chat-prod” (chatbot, owner ada)`.
fn whose(it: &MissingKey, scope: &Scope) -> String {
    let of = match it.sum.requests {
        0 => format!("{} tokens", compact(it.sum.tokens)),
        requests => counted(requests, "request"),
    };
    let with = match &it.key {
        Some(key) => format!("with “{}”", words::name(key)),
        None => format!("at {}", words::name(&it.provider)),
    };
    let team = it.team.as_deref().filter(|_| *scope == Scope::Organization);
    let team = team.map(|team| team.strip_prefix(SHARED).map_or_else(|| words::name(team), words::name));
    let owner = it.owner.as_deref().map(|owner| format!("owner {}", words::name(owner)));
    let who: Vec<String> = team.into_iter().chain(owner).collect();
    let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
    format!("{of} {with}{who}")
}

fn providers(summary: &Summary) -> impl Iterator<Item = String> {
    let one = |(name, it): (&String, &crate::report::Provider)| {
        let usd = |pico: i128| Usd::from_pico(pico).unwrap_or_default().shown();
        let both = |both: &Compared, shown: &dyn Fn(i128) -> String| {
            format!("it reports {}, the logs have {}", shown(both.theirs), shown(both.ours))
        };
        let both = match (&it.cost, &it.tokens) {
            (Some(cost), _) => both(cost, &usd),
            (None, Some(of)) => both(of, &tokens),
            (None, None) => return None,
        };
        let days = counted(i64::try_from(it.days.len()).unwrap_or(i64::MAX), "day");
        Some(format!("Held against what {} reports on {days}: {both}.", words::name(name)))
    };
    summary.reconciled.providers.iter().filter_map(one)
}

/// What check sources saw: tokens, as nobody prices it.
fn checks(summary: &Summary) -> impl Iterator<Item = String> {
    let one = |((source, provider), it): (&(String, String), &crate::report::Provider)| {
        let both = it.tokens.as_ref()?;
        let days = counted(i64::try_from(it.days.len()).unwrap_or(i64::MAX), "day");
        Some(format!(
            "Held against what the check source {} saw of {} on {days}: it has {}, the logs have {}.",
            words::name(source),
            words::name(provider),
            tokens(both.theirs),
            tokens(both.ours)
        ))
    };
    summary.reconciled.checks.iter().filter_map(one)
}

fn tokens(number: i128) -> String {
    format!("{} tokens", compact(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn to_do(summary: &Summary) -> Vec<String> {
    let (reconciled, week) = (&summary.reconciled, &summary.span.week);
    let mut items = Vec::new();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    match count(reconciled.count(Verdict::Investigate)) {
        0 => {}
        lines => items.push(format!(
            "{} of it to investigate: spendbook reconcile --from {} --to {}.",
            counted(lines, "line"),
            week.first,
            week.end.previous()
        )),
    }
    match count(u64::try_from(reconciled.behind.len()).unwrap_or(u64::MAX)) {
        0 => {}
        days => {
            let of = reconciled.sides.text().replacen("what", "the latest that", 1);
            items.push(format!("{} not held against {of}.", signed_days(days)));
        }
    }
    items
}

fn signed_days(days: i64) -> String {
    if days == 1 { "1 day was".to_owned() } else { format!("{} days were", signed(days)) }
}
