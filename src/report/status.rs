//! Where everybody stands now: each budget in its open period, what the spend
//! of teams without one is, how far it is known, and how fresh it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ReportError,
    freshness::{self, LastRuns, TotalsState},
    heard::{self, SourceState},
    reconciled::{self, NotLogged, Reconciled},
    sums::{self, By},
};
use crate::{
    book::Book,
    budgets::{self, Ledger, Lines, Scope, Silence, SpendRow, Statement, Timeline, WEEKS_BACK},
    charges::Behind,
    config::{Config, Key, Transport},
    floors::Floors,
    mail::{Held, Outbox},
    money::Usd,
    periods::{Calendar, Period, PeriodSpan},
    policy,
    reconcile::{LOOK_BACK_DAYS, Unlogged},
    teams::Registry,
    time::{Day, Instant},
};

/// Where everybody stands.
#[derive(Debug)]
pub struct Status {
    pub now: Instant,
    /// What was logged until then is in the book, and priced.
    pub known_until: Instant,
    /// By team, then the organization, then what else has a budget.
    pub budgets: Vec<Statement>,
    pub unbudgeted: Vec<Unbudgeted>,
    /// The calendar month of the book.
    pub month: PeriodSpan,
    pub coverage: Coverage,
    /// How the last days stand against what providers report, from which day on,
    /// and what of it is in no log.
    pub reconciled: Reconciled,
    pub reconciled_from: Day,
    pub not_logged: NotLogged,
    /// Whether what is in no log is a line of budgets.
    pub budgets_unlogged: bool,
    pub sources: Vec<SourceState>,
    pub totals: Vec<TotalsState>,
    pub last_runs: LastRuns,
    /// Days whose tables are one step apart.
    pub behind: BTreeMap<Day, Behind>,
    pub mails: Held,
    /// Whether mails are sent from here, or left for another program.
    pub sends_mails: bool,
}

/// A team without a budget, in the calendar month of the book.
#[derive(Debug)]
pub struct Unbudgeted {
    pub scope: Scope,
    pub lines: Lines,
    pub spend: Usd,
}

/// How far the spend of the month is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    pub requests: i64,
    pub cost: Usd,
    pub unpriced: i64,
    pub estimated: i64,
    pub estimated_cost: Usd,
    pub unattributed: i64,
    pub unattributed_cost: Usd,
    /// Beside all of that: what providers report and no log shows.
    pub unlogged: NotLogged,
}

impl Status {
    /// Reads it from the book.
    ///
    /// # Errors
    /// Where the book cannot be read, or a sum is too large.
    pub fn of(book: &Book, config: &Config, now: Instant) -> Result<Self, ReportError> {
        let history = policy::known(book, config, now)?;
        let timelines = ordered(history.budgets(config));
        let pools = history.pools(config);
        let month = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
        let month = month.period_of(now, Period::Month);
        let needed = timelines.iter().filter_map(|(_, timeline)| timeline.first_needed(now, WEEKS_BACK));
        let from = needed.fold(month.from, Instant::min);

        let last_runs = LastRuns::of(book)?;
        let buckets = sums::buckets(book, &told_apart(&timelines, config), from, Instant::LATEST)?;
        let registry = Registry::new(config);
        let mut rows = sums::spend_rows(&buckets, &registry);
        let reconciled_from = Day::from_days(now.day().days() - LOOK_BACK_DAYS);
        let unlogged = reconciled::unlogged(book, &registry, from.min(reconciled_from.start()), Instant::LATEST)?;
        let reconciled = Reconciled::of(book, reconciled_from.start(), Instant::LATEST)?;
        let not_logged = NotLogged::of(unlogged.iter().filter(|it| it.day >= reconciled_from));
        let not_logged = not_logged.ok_or_else(|| too_large(&Scope::Organization, &month))?;
        let known_until = last_runs.known_until().unwrap_or(now).min(now);

        let sources = heard::sources(book, config, now)?;
        let scopes: Vec<Scope> = timelines.iter().map(|(scope, _)| scope.clone()).collect();
        let silences: Vec<Silence> = freshness::silences(book, &sources, &scopes, &pools, &registry)?;
        let coverage = Coverage::of(&rows, &unlogged, &month)?;
        let budgets_unlogged = config.reconcile.budget_unlogged;
        rows.extend(reconciled::spend_rows(&unlogged).filter(|row| budgets_unlogged && from <= row.bucket));
        let behind = freshness::behind(book, from, Instant::LATEST)?;
        let ledger = Ledger::new(rows, &pools, known_until, &silences)
            .with_stale(behind.keys().copied())
            .with_spend_from(Floors::read(book)?.spend_from());
        let mut statements = Vec::new();
        for (scope, timeline) in &timelines {
            statements.extend(ledger.statement(scope, timeline, now)?);
        }
        let mut unbudgeted = Vec::new();
        for name in config.teams.keys() {
            let scope = Scope::Team(name.clone());
            if statements.iter().all(|statement| statement.scope != scope) {
                let lines = ledger.lines(&scope, &month, month.from)?;
                let spend = lines.total().ok_or_else(|| too_large(&scope, &month))?;
                unbudgeted.push(Unbudgeted { scope, lines, spend });
            }
        }
        let mails = Outbox::new(book).held()?;
        let sends_mails = config.mail.transport != Transport::Directory;
        let budgets = statements;
        Ok(Self {
            now,
            known_until,
            budgets,
            unbudgeted,
            month,
            coverage,
            reconciled,
            reconciled_from,
            not_logged,
            budgets_unlogged,
            sources,
            totals: freshness::totals(book, config, now)?,
            last_runs,
            behind,
            mails,
            sends_mails,
        })
    }

    /// The budgets of a scope.
    pub(super) fn budgets_of(&self, scope: &Scope) -> impl Iterator<Item = &Statement> {
        self.budgets.iter().filter(move |statement| statement.scope == *scope)
    }
}

fn too_large(scope: &Scope, period: &PeriodSpan) -> budgets::TooLarge {
    budgets::TooLarge { scope: scope.clone(), period: period.name.clone() }
}

/// Teams first: whoever reads it looks for their own.
fn ordered(mut timelines: Vec<(Scope, Timeline)>) -> Vec<(Scope, Timeline)> {
    let rank = |scope: &Scope| match scope {
        Scope::Team(_) => 0,
        Scope::Organization => 1,
        Scope::Key(_) | Scope::Model(_) => 2,
    };
    timelines.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    timelines
}

/// What the scopes tell apart; fewer columns and names are fewer rows. Totals
/// show a key as logs do.
pub(super) fn told_apart(timelines: &[(Scope, Timeline)], config: &Config) -> Vec<By> {
    let mut keys = BTreeSet::new();
    let mut models = BTreeSet::new();
    for (scope, _) in timelines {
        match scope {
            Scope::Key(name) => {
                let entries = config.keys.iter().filter(|key| key.name == *name);
                keys.extend(entries.flat_map(Key::shown_as).flatten().map(str::to_owned));
                keys.insert(name.clone());
            }
            Scope::Model(name) => _ = models.insert(name.clone()),
            Scope::Organization | Scope::Team(_) => {}
        }
    }
    let mut by = By::columns(&["team"]);
    if !keys.is_empty() || !models.is_empty() {
        by.extend([By::Only("key", keys), By::Only("model_billed", models)]);
    }
    by
}

impl Coverage {
    fn of(rows: &[SpendRow<'_>], unlogged: &[Unlogged], month: &PeriodSpan) -> Result<Self, ReportError> {
        let mut sum = Self::default();
        let add = |to: &mut Usd, cost: Usd| -> Result<(), ReportError> {
            *to = to.checked_add(cost).ok_or_else(|| too_large(&Scope::Organization, month))?;
            Ok(())
        };
        for row in rows.iter().filter(|row| month.contains(row.bucket)) {
            sum.requests += row.requests;
            sum.unpriced += row.unpriced_requests;
            sum.estimated += row.estimated_requests;
            add(&mut sum.cost, row.cost)?;
            add(&mut sum.estimated_cost, row.estimated_cost)?;
            if row.team.is_none() {
                sum.unattributed += row.requests;
                add(&mut sum.unattributed_cost, row.cost)?;
            }
        }
        let of_month = unlogged.iter().filter(|it| month.contains(it.day.start()));
        sum.unlogged = NotLogged::of(of_month).ok_or_else(|| too_large(&Scope::Organization, month))?;
        Ok(sum)
    }
}
