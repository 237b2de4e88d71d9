//! The sums of a week in one calendar, read once for everybody in it.

use std::collections::{BTreeMap, HashMap};

use super::{
    WeeklyError,
    read::{self, Cell, Name},
    sources::Heard,
    summary::{self, Broken, Span, Spender, WEEK},
};
use crate::{
    audit::{self, ViolationKind},
    book::{Book, layout::DayTable},
    budgets::{Scope, Silence},
    reconcile::Unlogged,
    report::{
        Reconciled, ReportError, SourceState, reconciled,
        sums::{self, By, Query, Sum},
    },
    teams::Registry,
    time::Instant,
};

/// Who used what and through which source: by team, user and source.
pub(super) type Users = BTreeMap<Vec<Option<String>>, Sum>;

/// The sums of a week in one calendar.
#[derive(Debug)]
pub(super) struct WeekSums {
    pub span: Span,
    pub by_team: HashMap<Option<Name>, Vec<Cell>>,
    /// Before, and now.
    pub users: [HashMap<Option<String>, Users>; 2],
    pub violations: HashMap<Option<String>, BTreeMap<ViolationKind, Broken>>,
    pub heard: Heard,
    /// What no log shows, of both weeks.
    pub unlogged: Vec<Unlogged>,
    pub reconciled: Reconciled,
    /// Every source, as it was at its end; and those that were silent.
    pub sources: Vec<SourceState>,
    pub silences: Vec<Silence>,
}

impl WeekSums {
    pub(super) fn read(book: &Book, registry: &Registry<'_>, span: &Span) -> Result<Self, WeeklyError> {
        let mut by_team: HashMap<Option<Name>, Vec<Cell>> = HashMap::new();
        for cell in read::cells(book, registry, &span.days())? {
            by_team.entry(cell.team.clone()).or_default().push(cell);
        }
        let users = |from: Instant, until: Instant| -> Result<HashMap<Option<String>, Users>, ReportError> {
            let by = By::columns(&["team", "user", "source"]);
            let query = Query { table: DayTable::Charges, by: &by, from, until };
            let mut by_team: HashMap<Option<String>, Users> = HashMap::new();
            for (mut names, sum) in sums::of(book, query)? {
                let team = names.remove(0).map(|team| registry.team_name(&team).to_owned());
                let all = by_team.entry(team).or_default().entry(names).or_default();
                all.add(&sum).ok_or_else(|| ReportError::TooMuch {
                    table: query.table.name(),
                    from: from.to_string(),
                    until: until.to_string(),
                })?;
            }
            Ok(by_team)
        };
        let users = [users(span.before.from, span.before.until)?, users(span.week.from, span.week.until)?];
        let mut violations: HashMap<Option<String>, BTreeMap<ViolationKind, Broken>> = HashMap::new();
        let days = span.week.from.day()..=span.week.until.plus_micros(-1).day();
        for day in book.days(DayTable::Violations)?.into_iter().filter(|day| days.contains(day)) {
            audit::violations(book, day, |it| {
                if span.week.contains(it.ts) {
                    let team = it.team.map(|team| registry.team_name(&team).to_owned());
                    let broken = violations.entry(team).or_default().entry(it.kind).or_default();
                    broken.times += 1;
                    broken.requests = broken.requests.saturating_add(it.requests);
                    broken.cost = broken.cost.checked_add(it.cost).unwrap_or(broken.cost);
                }
            })?;
        }
        let heard = Heard::read(book, span.week.from, span.week.until)?;
        let unlogged = reconciled::unlogged(book, registry, span.before.from, span.week.until)?;
        let reconciled = Reconciled::of(book, span.week.from, span.week.until)?;
        let (span, sources, silences) = (span.clone(), Vec::new(), Vec::new());
        Ok(Self { span, by_team, users, violations, heard, unlogged, reconciled, sources, silences })
    }

    pub(super) fn cells<'s>(&'s self, team: &str) -> impl Iterator<Item = &'s Cell> + use<'s> {
        self.by_team.get(&Some(Name::from(team))).into_iter().flatten()
    }

    /// Who asked; `None` where a sum would not fit.
    pub(super) fn users(&self, scope: &Scope) -> Option<Vec<Spender>> {
        let mut spenders: BTreeMap<Option<&str>, Spender> = BTreeMap::new();
        for (at, by_team) in self.users.iter().enumerate() {
            let of_team = match scope {
                Scope::Team(team) => by_team.get(&Some(team.clone())).into_iter().collect::<Vec<_>>(),
                _ => by_team.values().collect(),
            };
            for (names, sum) in of_team.into_iter().flatten() {
                let user = names.first().and_then(Option::as_deref);
                let spender = spenders.entry(user).or_default();
                if at == 0 {
                    spender.cost_before = spender.cost_before.checked_add(sum.cost)?;
                } else {
                    spender.cost = spender.cost.checked_add(sum.cost)?;
                    spender.requests = spender.requests.saturating_add(sum.requests);
                }
            }
        }
        let named = |(user, it): (Option<&str>, Spender)| Spender { names: vec![user.map(str::to_owned)], ..it };
        Some(summary::ranked(spenders.into_iter().map(named)))
    }

    pub(super) fn violations(&self, scope: &Scope) -> BTreeMap<ViolationKind, Broken> {
        if let Scope::Team(team) = scope {
            return self.violations.get(&Some(team.clone())).cloned().unwrap_or_default();
        }
        let mut all: BTreeMap<ViolationKind, Broken> = BTreeMap::new();
        for (kind, broken) in self.violations.values().flatten() {
            let sum = all.entry(*kind).or_default();
            sum.times += broken.times;
            sum.requests = sum.requests.saturating_add(broken.requests);
            sum.cost = sum.cost.checked_add(broken.cost).unwrap_or(sum.cost);
        }
        all
    }

    /// What is nobody's; `None` where a sum would not fit.
    pub(super) fn unattributed(&self) -> Option<Broken> {
        let mut sum = Broken::default();
        for cell in self.by_team.get(&None).into_iter().flatten().filter(|cell| cell.day >= WEEK) {
            sum.requests = sum.requests.checked_add(cell.amounts.requests)?;
            sum.cost = sum.cost.checked_add(cell.amounts.cost)?;
        }
        Some(sum)
    }
}
