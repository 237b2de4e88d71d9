//! From what the book says to a mail: everything is read once, and each scope's
//! week is put together and rendered on its own, on every core.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Plan, WeeklyError,
    page::{Beside, CHART, Missed, Moved},
    parts,
    read::Steps,
    saving,
    store::Figures,
    summary::{self, Added, Broken, DaySpend, Span, Summary, Sums, WEEK},
    table,
    unlogged::{self, Missing},
    week_sums::WeekSums,
    why::Why,
};
use crate::{
    book::Book,
    budgets::{Ledger, Scope, SpendRow, Statement, Timeline, TooLarge, WEEKS_BACK},
    config::{Config, Pool},
    floors::Floors,
    mail::{Image, Message},
    money::Usd,
    periods::{Calendar, Period, PeriodSpan},
    policy,
    pricing::PriceBook,
    report::{
        Reconciled, ReportError,
        freshness::{self, LastRuns},
        heard, reconciled,
        render::chart,
    },
    teams::{OverTime, Registry, SHARED},
    threads,
    time::{Day, Instant},
};

/// What everybody's mails are made from.
#[derive(Debug)]
pub(super) struct Reading<'c> {
    config: &'c Config,
    prices: Option<&'c PriceBook>,
    timelines: Vec<(Scope, Timeline)>,
    pools: OverTime<BTreeMap<String, Pool>>,
    weeks: Vec<WeekSums>,
    steps: Steps,
    stale: BTreeSet<Day>,
    last_runs: LastRuns,
    /// From when on nothing was pruned.
    spend_from: Option<Instant>,
    /// When the first spend of all was, of what is read.
    begins: Option<Instant>,
    now: Instant,
}

impl<'c> Reading<'c> {
    /// Reads what the plans need.
    pub(super) fn of(
        book: &Book,
        config: &'c Config,
        prices: Option<&'c PriceBook>,
        plans: &[Plan],
        now: Instant,
    ) -> Result<Self, WeeklyError> {
        let history = policy::known(book, config, now)?;
        let (timelines, pools) = (history.budgets(config), history.pools(config));
        let registry = Registry::new(config);
        let mut weeks: Vec<WeekSums> = Vec::new();
        for plan in plans {
            if weeks.iter().all(|week| week.span != plan.span) {
                weeks.push(WeekSums::read(book, &registry, &plan.span)?);
            }
        }
        let until = plans.iter().map(|plan| plan.span.week.until).max().unwrap_or(now);
        let from = first_needed(&timelines, plans);
        let mut calendars: Vec<Calendar> = plans.iter().map(|plan| plan.span.calendar).collect();
        for (_, timeline) in &timelines {
            calendars.extend(timeline.span_at(until.plus_micros(-1)).map(|(calendar, _)| calendar));
        }
        let mut steps = Steps::read(book, &registry, &calendars, (from, until))?;
        if config.reconcile.budget_unlogged {
            steps = steps.with_unlogged(&reconciled::unlogged(book, &registry, from, until)?);
        }
        let sources = heard::sources(book, config, now)?;
        for week in &mut weeks {
            let of_week = plans.iter().filter(|plan| plan.span == week.span);
            let scopes: Vec<Scope> = of_week.map(|plan| plan.scope.clone()).collect();
            week.sources = week.heard.at(week.span.week.until, &sources);
            week.silences = freshness::silences(book, &week.sources, &scopes, &pools, &registry)?;
        }
        let stale = freshness::behind(book, from, until)?.into_keys().collect();
        let last_runs = LastRuns::of(book)?;
        let spend_from = Floors::read(book)?.spend_from();
        let begins = steps.first();
        Ok(Self { config, prices, timelines, pools, weeks, steps, stale, last_runs, spend_from, begins, now })
    }

    fn week(&self, span: &Span) -> Option<&WeekSums> {
        self.weeks.iter().find(|week| week.span == *span)
    }

    /// As a ledger takes them: those known at the end.
    fn pools_at(&self, span: &PeriodSpan) -> &BTreeMap<String, Pool> {
        static NONE: BTreeMap<String, Pool> = BTreeMap::new();
        self.pools.at(span.until.plus_micros(-1)).unwrap_or(&NONE)
    }

    /// The teams and pools whose rows are a team's, or shared by it.
    fn names(&self, team: &str) -> Vec<String> {
        let pools = self.pools.iter().flat_map(|(_, pools)| pools.values());
        let shared = pools.filter(|pool| pool.shares.contains_key(team)).map(|pool| format!("{SHARED}{}", pool.name));
        let names: BTreeSet<String> = shared.chain([team.to_owned()]).collect();
        names.into_iter().collect()
    }

    /// What is known at the end of a week.
    fn ledger<'s>(&'s self, rows: Vec<SpendRow<'s>>, span: &Span) -> Ledger<'s> {
        let until = span.week.until;
        let seen_until = self.last_runs.known_until().unwrap_or(self.now).min(until);
        let rows = rows.into_iter().filter(|row| row.bucket < until).collect();
        let silences = self.week(span).map(|week| week.silences.as_slice()).unwrap_or_default();
        Ledger::new(rows, &self.pools, seen_until, silences)
            .with_first(self.begins)
            .with_stale(self.stale.iter().copied())
            .with_spend_from(self.spend_from)
    }

    /// How much of its budget each team has spent: of the month's, or of the
    /// longest that it has.
    fn team_budgets(&self, span: &Span) -> Result<BTreeMap<String, i64>, TooLarge> {
        let teams: Vec<&String> = self.config.teams.keys().collect();
        let percents = threads::on_every_core(&teams, |team| {
            let scope = Scope::Team((*team).clone());
            let Some(timeline) = self.timelines_of(&scope).into_iter().next() else { return Ok(None) };
            let names = self.names(team);
            let mut rows = self.steps.rows(names.iter().map(String::as_str));
            // A percentage needs no weeks to compare with.
            let at = span.week.until.plus_micros(-1);
            if let Some(first) = timeline.first_needed(at, 0) {
                rows.retain(|row| first <= row.bucket);
            }
            let statement = self.ledger(rows, span).statement(&scope, timeline, at)?;
            Ok(statement.map(|statement| ((*team).clone(), statement.percent())))
        });
        percents.into_iter().filter_map(Result::transpose).collect()
    }

    /// Everything of a plan's scope and week.
    pub(super) fn compose(&self, plan: &Plan) -> Result<Composed, WeeklyError> {
        let names = plan.scope.name().map(|team| self.names(team));
        let rows = match &names {
            Some(names) => self.steps.rows(names.iter().map(String::as_str)),
            None => self.steps.all().ok_or_else(|| Summary::too_large(&plan.scope, &plan.span))?,
        };
        let ledger = self.ledger(rows, &plan.span);
        let summary = self.summary(plan, &ledger)?;
        let figures = |span: &PeriodSpan| figures(&ledger, &plan.scope, span);
        let mut moved = Vec::new();
        for (span, mailed) in &plan.mailed {
            let now = figures(span)?;
            if now.cost != mailed.cost {
                moved.push(Moved { span: span.clone(), mailed: mailed.clone(), now });
            }
        }
        let mut missed = Vec::new();
        for span in &plan.missed {
            missed.push(Missed { span: span.clone(), figures: figures(span)? });
        }
        let beside = Beside {
            moved,
            missed,
            failed_mails: plan.failed_mails.clone(),
            priced_on: self.last_runs.price.as_ref().map(|run| run.started),
            reader: match &plan.scope {
                Scope::Team(_) => "an owner of this team".to_owned(),
                _ => "one of those in finance".to_owned(),
            },
            organization: self.config.organization.name.clone(),
        };
        let figures = figures(&plan.span.week)?;
        // Two ways through the tables must come to the same.
        if figures.cost != summary.cost {
            return Err(WeeklyError::Apart { scope: plan.scope.to_string(), one: figures.cost, other: summary.cost });
        }
        Ok(Composed { summary, beside, figures })
    }

    fn summary(&self, plan: &Plan, ledger: &Ledger<'_>) -> Result<Summary, WeeklyError> {
        let Plan { scope, span, .. } = plan;
        let too_large = || Summary::too_large(scope, span);
        let week = self.week(span).ok_or_else(too_large)?;
        let pools = self.pools_at(&span.week);
        let is_spend = self.config.reconcile.budget_unlogged;
        let unseen = if is_spend { unlogged::unseen(&week.unlogged, span) } else { Vec::new() };
        let sums = match scope {
            Scope::Team(team) => Sums {
                cells: week.cells(team).collect(),
                pools: pools
                    .iter()
                    .filter(|(_, pool)| pool.shares.contains_key(team))
                    .map(|(name, pool)| (name.as_str(), (pool, week.cells(&format!("{SHARED}{name}")).collect())))
                    .collect(),
                unseen,
            },
            _ => Sums { cells: week.by_team.values().flatten().collect(), pools: BTreeMap::new(), unseen },
        };
        let added = Added::of(scope, &sums).ok_or_else(too_large)?;
        let [cost_before, cost] = added.totals().ok_or_else(too_large)?;
        let shared =
            added.shared.values().try_fold(Usd::ZERO, |sum, [before, now]| sum.checked_add(now.checked_sub(*before)?));
        let shared = shared.ok_or_else(too_large)?;
        let missing = Missing::of(&week.unlogged, scope, span, is_spend).ok_or_else(too_large)?;
        let [unlogged_before, unlogged] = added.unlogged;
        let more_unlogged = unlogged.checked_sub(unlogged_before).ok_or_else(too_large)?;
        let budgets = self.statements(scope, span, ledger)?;
        let known_until = self.last_runs.known_until();
        let is_all = *scope == Scope::Organization;
        let instants = (span.week.until.plus_micros(-1), self.now);
        let savings = |prices| saving::savings(&added.items, prices, instants, cost);
        Ok(Summary {
            scope: scope.clone(),
            days: days(span, &added.days, &budgets),
            why: Why::of(&added.items, shared, more_unlogged),
            savings: self.prices.map(savings).unwrap_or_default(),
            users: week.users(scope).ok_or_else(too_large)?,
            teams: if is_all { summary::teams(&sums, pools).ok_or_else(too_large)? } else { Vec::new() },
            team_budgets: if is_all { self.team_budgets(span)? } else { BTreeMap::new() },
            violations: week.violations(scope),
            unattributed: if is_all { week.unattributed().ok_or_else(too_large)? } else { Broken::default() },
            sources: self.sources(week, scope, &sums),
            stale: self
                .stale
                .iter()
                .copied()
                .filter(|day| span.week.from < day.end() && day.start() < span.week.until)
                .collect(),
            span: span.clone(),
            cost,
            cost_before,
            now: added.now,
            before: added.before,
            shared: added.shared,
            unlogged: [unlogged, unlogged_before],
            missing,
            reconciled: if is_all { week.reconciled.clone() } else { Reconciled::default() },
            models: added.models,
            keys: added.keys,
            budgets,
            known_until,
        })
    }

    /// The budgets of a scope in the period that the week ends in, and in those
    /// that ended within the week. The month's first.
    fn statements(&self, scope: &Scope, span: &Span, ledger: &Ledger<'_>) -> Result<Vec<Statement>, TooLarge> {
        let mut statements = Vec::new();
        for timeline in self.timelines_of(scope) {
            let last = ledger.statement(scope, timeline, span.week.until.plus_micros(-1))?;
            let first = match timeline.period() {
                Period::Day => None,
                _ => ledger.statement(scope, timeline, span.week.from)?,
            };
            let first = first.filter(|first| last.as_ref().is_none_or(|last| last.period != first.period));
            statements.extend(last.into_iter().chain(first));
        }
        Ok(statements)
    }

    /// The budgets of a scope, the month's first.
    fn timelines_of(&self, scope: &Scope) -> Vec<&Timeline> {
        let rank = |period: Period| match period {
            Period::Month => 0,
            Period::Quarter => 1,
            Period::Week => 2,
            Period::Day => 3,
        };
        let of_scope = self.timelines.iter().filter(|(of, _)| of == scope);
        let mut timelines: Vec<&Timeline> = of_scope.map(|(_, timeline)| timeline).collect();
        timelines.sort_by_key(|timeline| rank(timeline.period()));
        timelines
    }

    /// The sources that a scope's requests came from in the two weeks; of the
    /// organization all.
    fn sources(&self, week: &WeekSums, scope: &Scope, sums: &Sums<'_>) -> Vec<super::sources::SourceWeek> {
        let read_until = self.last_runs.ingest.as_ref().map_or(self.now, |run| run.started);
        let mut sources = week.heard.of_week(&week.sources, &week.span, read_until);
        if let Scope::Team(team) = scope {
            let pools = sums.pools.keys().map(|pool| format!("{SHARED}{pool}"));
            let names: BTreeSet<Option<String>> = pools.chain([team.clone()]).map(Some).collect();
            let used: BTreeSet<&str> = week
                .users
                .iter()
                .flat_map(|by_team| names.iter().filter_map(|name| by_team.get(name)))
                .flat_map(|users| users.keys().filter_map(|names| names.get(1)?.as_deref()))
                .collect();
            sources.retain(|source| used.contains(source.name.as_str()));
        }
        sources
    }
}

/// From when spend is needed: by corrections, by the budgets of each plan's scope
/// with their forecasts, and by those of all teams where a plan is everybody's.
fn first_needed(timelines: &[(Scope, Timeline)], plans: &[Plan]) -> Instant {
    let mut first = plans.iter().map(Plan::first).min().unwrap_or(Instant::LATEST);
    for plan in plans {
        let is_all = plan.scope == Scope::Organization;
        let ends = [plan.span.week.from, plan.span.week.until.plus_micros(-1)];
        for (scope, timeline) in timelines {
            let weeks = if *scope == plan.scope { WEEKS_BACK } else { 0 };
            if *scope == plan.scope || (is_all && matches!(scope, Scope::Team(_))) {
                let needed = ends.into_iter().filter_map(|at| timeline.first_needed(at, weeks));
                first = needed.fold(first, Instant::min);
            }
        }
    }
    first
}

/// What a ledger says of a scope's days.
fn figures(ledger: &Ledger<'_>, scope: &Scope, span: &PeriodSpan) -> Result<Figures, TooLarge> {
    let lines = ledger.lines(scope, span, span.from)?;
    let too_large = || TooLarge { scope: scope.clone(), period: span.name.clone() };
    let shared = lines.shared.values().try_fold(Usd::ZERO, |sum, part| sum.checked_add(*part)).ok_or_else(too_large)?;
    Ok(Figures {
        cost: lines.total().ok_or_else(too_large)?,
        shared,
        unlogged: lines.unlogged,
        estimated_cost: lines.estimated_cost,
        requests: lines.requests,
        unpriced: lines.unpriced_requests,
    })
}

/// Each day, with what the first budget has for it.
fn days(span: &Span, spent: &[[Usd; 2]], budgets: &[Statement]) -> Vec<DaySpend> {
    let kind = budgets.first().and_then(|statement| statement.period.kind);
    let pace = |at: Instant| {
        let statement = budgets.iter().find(|it| it.period.kind == kind && it.from <= at && it.period.contains(at))?;
        statement.budget().for_quantity(1, statement.period.days())
    };
    let day = |(at, [before, cost]): (usize, &[Usd; 2])| {
        let day = Day::from_days(span.week.first.days() + i32::try_from(at).unwrap_or_default());
        DaySpend { day, cost: *cost, before: *before, pace: pace(span.calendar.start_of(day)) }
    };
    spent.iter().enumerate().take(WEEK).map(day).collect()
}

/// A week that can be mailed.
#[derive(Debug)]
pub(super) struct Composed {
    pub summary: Summary,
    pub beside: Beside,
    pub figures: Figures,
}

impl Composed {
    /// The mail, but for whom it is to and what it is called.
    pub(super) fn message(&self, config: &Config, slug: &str, now: Instant) -> Result<Message, WeeklyError> {
        let Self { summary, beside, .. } = self;
        let rendered = summary.page(beside).render().map_err(ReportError::from)?;
        let legend = chart::Legend { amount: "this week", before: "a week before", pace: "budget pace" };
        let png = chart::daily(&parts::bars(summary), legend).map_err(ReportError::from)?;
        let list = match &summary.scope {
            Scope::Team(team) => format!("{team}.weekly"),
            _ => "organization.weekly".to_owned(),
        };
        Ok(Message {
            id: String::new(),
            date: now,
            from: config.mail.from.clone(),
            to: config.mail.from.clone(),
            subject: summary.subject(beside),
            text: rendered.text,
            html: rendered.html,
            images: vec![Image { cid: CHART.to_owned(), png }],
            attachments: vec![table::attachment(summary, slug)],
            list,
            thread: None,
        })
    }
}
