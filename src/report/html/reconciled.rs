//! Reconciliation: what providers report beside what our logs show, as the last
//! `price` or `run` compared them, and what is in no log, by team.
//!
//! A day here is one of UTC, as providers have them; it belongs to the slot with
//! its date. Nothing of it is in any other sum of the page.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    HtmlError,
    data::{Kept, series, team_name},
    read::Span,
};
use crate::{
    book::layout::DayTable,
    money::Usd,
    reconcile::{self, Cause, Compared, Summary, Unlogged, Verdict},
    report::render::words::{self, signed},
};

/// Teams with traffic that is in no log.
const MOST: usize = 10;

/// By slot.
type Slotted<T> = BTreeMap<u32, T>;

#[derive(Debug, Default)]
pub(super) struct Reconciled {
    /// By source and provider.
    sources: BTreeMap<(String, String), Source>,
    /// By team.
    unlogged: BTreeMap<Option<String>, Slotted<Missing>>,
}

/// What one source told of a provider, or check sources saw of it.
#[derive(Debug, Default)]
struct Source {
    is_check: bool,
    lines: Slotted<Lines>,
    cost: Slotted<Compared>,
    tokens: Slotted<Compared>,
    /// Days that it told and that were not compared.
    left_out: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    all: i64,
    to_investigate: i64,
}

/// What is in no log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Missing {
    requests: i64,
    tokens: i64,
    cost: Usd,
    /// Rows whose cost nobody knows.
    unknown: i64,
}

impl Missing {
    fn add(&mut self, other: Self) -> Option<()> {
        self.requests = self.requests.checked_add(other.requests)?;
        self.tokens = self.tokens.checked_add(other.tokens)?;
        self.cost = self.cost.checked_add(other.cost)?;
        self.unknown = self.unknown.checked_add(other.unknown)?;
        Some(())
    }

    fn of(row: &Unlogged) -> Self {
        Self {
            requests: row.requests.unwrap_or_default(),
            tokens: row.tokens(),
            cost: row.cost.unwrap_or_default(),
            unknown: i64::from(row.cost.is_none()),
        }
    }

    /// What it cost, as far as that is known.
    fn told(self) -> String {
        match (self.unknown, self.cost) {
            (0, cost) => cost.shown(),
            (_, Usd::ZERO) => "not known".to_owned(),
            (_, cost) => format!("at least {}", cost.shown()),
        }
    }
}

impl Span<'_> {
    /// What was compared of the dates of the period.
    pub(super) fn reconciled(&self) -> Result<Reconciled, HtmlError> {
        let mut all = Reconciled::default();
        let days = self.period.first..self.period.end;
        for day in self.book.days(DayTable::Unlogged)?.into_iter().filter(|day| days.contains(day)) {
            let slot = u32::try_from(self.slots.of_date(day)).unwrap_or_default();
            for summary in reconcile::summaries(self.book, day)? {
                all.add(slot, summary);
            }
            for row in reconcile::unlogged(self.book, day)? {
                let sum = all.unlogged.entry(row.team.clone()).or_default().entry(slot).or_default();
                sum.add(Missing::of(&row)).ok_or_else(|| self.too_much(DayTable::Unlogged))?;
            }
        }
        Ok(all)
    }
}

impl Reconciled {
    fn add(&mut self, slot: u32, summary: Summary) {
        let Summary { provider, source, is_check, left_out, lines, tokens, cost, .. } = summary;
        let entry = self.sources.entry((source, provider)).or_default();
        entry.is_check = is_check;
        entry.left_out += i64::from(left_out.is_some());
        let sum = entry.lines.entry(slot).or_default();
        for (verdict, count) in lines {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            sum.all = sum.all.saturating_add(count);
            if verdict == Verdict::Investigate {
                sum.to_investigate = sum.to_investigate.saturating_add(count);
            }
        }
        for (sums, more) in [(&mut entry.cost, cost), (&mut entry.tokens, tokens)] {
            let Some(more) = more else { continue };
            sums.entry(slot).and_modify(|sum| sum.add(&more)).or_insert(more);
        }
    }

    /// Sources with money before tokens: a row of the table each.
    fn sides(&self) -> impl Iterator<Item = Side<'_>> {
        self.sources.iter().flat_map(|(names, source)| Side::of(names, source)).filter(|side| !side.sums.is_empty())
    }
}

/// What a source told, in money or in tokens.
struct Side<'r> {
    name: String,
    below: String,
    is_money: bool,
    sums: &'r Slotted<Compared>,
    lines: &'r Slotted<Lines>,
}

impl<'r> Side<'r> {
    fn of((source, provider): &(String, String), it: &'r Source) -> [Self; 2] {
        let side = |is_money, sums, what: &str| Self {
            name: words::name(source),
            below: format!("{}, {what}{}", words::name(provider), if it.is_check { ", a check source" } else { "" }),
            is_money,
            sums,
            lines: &it.lines,
        };
        [side(true, &it.cost, "in money"), side(false, &it.tokens, "in tokens")]
    }
}

/// As it stands on the page.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub rows: Vec<Row>,
    /// Days that were told and not compared.
    pub left_out: String,
    pub unlogged: Vec<UnloggedRow>,
    pub more: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub name: String,
    pub below: String,
    pub ours: String,
    pub theirs: String,
    pub difference: String,
    /// Its causes, the largest first.
    pub because: String,
    pub lines: String,
    pub to_investigate: String,
}

#[derive(Debug, Serialize)]
pub(super) struct UnloggedRow {
    pub name: String,
    pub requests: String,
    pub tokens: String,
    pub cost: String,
}

impl View {
    /// `None` where a sum would not fit.
    pub(super) fn of(all: &Reconciled) -> Option<Self> {
        let mut teams = Vec::new();
        for (team, by_slot) in &all.unlogged {
            let mut sum = Missing::default();
            by_slot.values().try_for_each(|it| sum.add(*it))?;
            teams.push((team.as_deref(), sum));
        }
        teams.sort_by_key(|(team, sum)| {
            (std::cmp::Reverse((sum.cost, sum.tokens)), team.is_none(), team.map(str::to_owned))
        });
        let (shown, hidden) = teams.split_at(teams.len().min(MOST));
        let rest = hidden.iter().try_fold(Usd::ZERO, |sum, (_, it)| sum.checked_add(it.cost))?;
        let left_out = all.sources.iter().filter(|(_, it)| it.left_out > 0);
        let left_out: Vec<String> = left_out
            .map(|((source, _), it)| format!("{} of “{}”", words::counted(it.left_out, "day"), words::name(source)))
            .collect();
        Some(Self {
            rows: all.sides().map(|side| row(&side)).collect(),
            left_out: if left_out.is_empty() {
                String::new()
            } else {
                format!("Not compared in the whole period: {}. spendbook reconcile says why.", words::list(&left_out))
            },
            unlogged: shown.iter().map(|(team, sum)| unlogged_row(*team, *sum)).collect(),
            more: if hidden.is_empty() {
                String::new()
            } else {
                format!("and {} more, {} together", hidden.len(), rest.shown())
            },
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.unlogged.is_empty() && self.left_out.is_empty()
    }
}

fn unlogged_row(team: Option<&str>, sum: Missing) -> UnloggedRow {
    let told = |number: i64| if number == 0 { "–".to_owned() } else { signed(number) };
    UnloggedRow { name: team_name(team), requests: told(sum.requests), tokens: told(sum.tokens), cost: sum.told() }
}

fn row(side: &Side<'_>) -> Row {
    let sum = side.sums.values().copied().reduce(|mut sum, more| {
        sum.add(&more);
        sum
    });
    let text = |number: i128| {
        if side.is_money {
            Usd::from_pico(number).unwrap_or_default().shown()
        } else {
            signed(i64::try_from(number).unwrap_or(i64::MAX))
        }
    };
    let part = |of: fn(&Compared) -> i128| sum.as_ref().map_or(0, of);
    let mut causes: Vec<(Cause, i128)> =
        Cause::ALL.into_iter().map(|cause| (cause, sum.map_or(0, |sum| sum.causes[cause]))).collect();
    causes.retain(|(_, part)| *part != 0);
    causes.sort_by_key(|(_, part)| std::cmp::Reverse(part.unsigned_abs()));
    let causes: Vec<String> =
        causes.into_iter().map(|(cause, part)| format!("{} {}", cause.text(), text(part))).collect();
    let lines = |of: fn(&Lines) -> i64| side.lines.values().map(of).fold(0, i64::saturating_add);
    Row {
        name: side.name.clone(),
        below: side.below.clone(),
        ours: text(part(|sum| sum.ours)),
        theirs: text(part(|sum| sum.theirs)),
        difference: text(part(Compared::difference)),
        because: if causes.is_empty() { "–".to_owned() } else { causes.join(", ") },
        lines: signed(lines(|it| it.all)),
        to_investigate: signed(lines(|it| it.to_investigate)),
    }
}

/// The same slot by slot, for the script.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    sides: Vec<ToldSide>,
    unlogged: Vec<ToldUnlogged>,
}

#[derive(Debug, Serialize)]
struct ToldSide {
    is_money: bool,
    ours: String,
    theirs: String,
    /// Those that there are.
    causes: Vec<(&'static str, String)>,
    lines: String,
    to_investigate: String,
}

#[derive(Debug, Serialize)]
struct ToldUnlogged {
    team: usize,
    requests: String,
    tokens: String,
    cost: String,
    unknown: String,
}

impl Told {
    /// `None` where a sum would not fit.
    pub(super) fn of(all: &Reconciled, kept: &Kept, slots: usize) -> Option<Self> {
        let mut unlogged: BTreeMap<usize, Slotted<Missing>> = BTreeMap::new();
        for (team, by_slot) in &all.unlogged {
            let sums = unlogged.entry(kept.team(team.as_deref())).or_default();
            for (slot, missing) in by_slot {
                sums.entry(*slot).or_default().add(*missing)?;
            }
        }
        let unlogged = unlogged.into_iter().map(|(team, sums)| {
            let of = |part: fn(&Missing) -> i128| series(slots, |slot| at(&sums, slot).map_or(0, part));
            ToldUnlogged {
                team,
                requests: of(|it| it.requests.into()),
                tokens: of(|it| it.tokens.into()),
                cost: of(|it| it.cost.pico()),
                unknown: of(|it| it.unknown.into()),
            }
        });
        Some(Self { sides: all.sides().map(|side| ToldSide::of(&side, slots)).collect(), unlogged: unlogged.collect() })
    }
}

impl ToldSide {
    fn of(side: &Side<'_>, slots: usize) -> Self {
        let of = |part: &dyn Fn(&Compared) -> i128| series(slots, |slot| at(side.sums, slot).map_or(0, part));
        let causes = Cause::ALL.into_iter().map(|cause| (cause.text(), of(&|it| it.causes[cause])));
        Self {
            is_money: side.is_money,
            ours: of(&|it| it.ours),
            theirs: of(&|it| it.theirs),
            causes: causes.filter(|(_, text)| !text.is_empty()).collect(),
            lines: series(slots, |slot| at(side.lines, slot).map_or(0, |it| it.all)),
            to_investigate: series(slots, |slot| at(side.lines, slot).map_or(0, |it| it.to_investigate)),
        }
    }
}

fn at<T>(sums: &Slotted<T>, slot: usize) -> Option<&T> {
    sums.get(&u32::try_from(slot).ok()?)
}
