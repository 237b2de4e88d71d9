//! The weekly summary: each team's week to its owners, and everybody's to
//! finance, once.
//!
//! What is mailed is decided and put together here as a pure function of what
//! the book says; the commit, one object per scope and week below `weekly/`, is
//! written where there is none and holds the mails byte for byte. Only then are
//! they put into the outbox, and put there again by a later run where that was
//! interrupted. So a week is mailed once, whatever happens in between.

mod amounts;
mod compose;
mod known;
mod page;
mod parts;
mod read;
mod saving;
mod sources;
mod store;
mod summary;
mod table;
mod unlogged;
mod week;
mod week_sums;
mod why;

use std::collections::BTreeMap;

use super::ReportError;
use crate::{
    audit::AuditError,
    book::{Book, BookError, layout::DayTable},
    budgets::{Scope, TooLarge},
    config::{Config, Mailbox},
    floors::Floors,
    mail::{MailError, Message, Outbox, Place, Sealed},
    money::Usd,
    periods::{Calendar, Period, PeriodSpan},
    policy::PolicyError,
    pricing::PriceBook,
    runs::StageRecord,
    threads,
    time::{Day, Instant},
};

pub(super) use page::tone;

use compose::{Composed, Reading};
use store::{Commit, Days, Figures, Mailed, Told};
use summary::Span;
use week::Due;

/// Why a week cannot be mailed.
#[derive(Debug, thiserror::Error)]
pub enum WeeklyError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error("found `{0}`, expected a week, such as `2026-W46` or `last-week`")]
    NoWeek(String),
    #[error("the week `{0}` is not over before {1}: it is mailed after that")]
    NotOver(String, Instant),
    #[error("the week `{week}` begins before {kept_from}: what was spent before that was pruned")]
    Pruned { week: String, kept_from: Day },
    #[error("there is no team `{0}` in the config")]
    NoTeam(String),
    #[error("{0}, so that there is nothing to send again: leave out `--resend` to mail the week")]
    NeverMailed(String),
    #[error(
        "the totals of {scope} come to ${one} by the hour and to ${other} by the day: the tables of a day are not of \
         one run, run `spendbook price` and try again"
    )]
    Apart { scope: String, one: Usd, other: Usd },
}

impl WeeklyError {
    /// Whether something else is to be asked for.
    pub const fn is_about_the_question(&self) -> bool {
        matches!(
            self,
            Self::NoWeek(_) | Self::NotOver(..) | Self::Pruned { .. } | Self::NoTeam(_) | Self::NeverMailed(_)
        )
    }
}

/// What is to be mailed, where not what is due.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// A week by its name, such as `2026-W46`, instead of the last full one.
    pub week: Option<&'a str>,
    /// Only this team's.
    pub team: Option<&'a str>,
    /// For what could still be saved; without prices nothing is said of it.
    pub prices: Option<&'a PriceBook>,
    /// Mails that were sent already go out again, as they are.
    pub resend: bool,
}

/// A week that was mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailedWeek {
    pub scope: Scope,
    pub week: String,
    pub subject: String,
    pub recipients: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub mailed: Vec<MailedWeek>,
    /// Asked for, and mailed before.
    pub known: Vec<(Scope, String)>,
    /// To be sent again, and never mailed.
    pub never: Vec<(Scope, String)>,
    /// Mails of earlier runs that were not in the outbox, or go out again.
    pub restored: usize,
}

impl Outcome {
    /// For the record of the run.
    pub fn record(&self) -> StageRecord<'_> {
        StageRecord::Weekly {
            weeks: self.mailed.iter().map(|it| it.week.as_str()).collect(),
            mails: self.mailed.iter().map(|it| it.recipients).sum(),
        }
    }
}

/// A mail as it would be, for whom it would be.
#[derive(Debug, Clone)]
pub struct Preview {
    pub scope: Scope,
    pub week: String,
    /// Names its files.
    pub name: String,
    pub recipients: Vec<Mailbox>,
    pub message: Message,
}

/// A scope and the week that is to be mailed.
#[derive(Debug, Clone)]
struct Plan {
    scope: Scope,
    slug: String,
    span: Span,
    recipients: Vec<Mailbox>,
    missed: Vec<PeriodSpan>,
    /// Weeks that were mailed, with what was told of them last.
    mailed: Vec<(PeriodSpan, Figures)>,
    failed_mails: Vec<String>,
}

impl Plan {
    const fn days(&self) -> Days {
        (self.span.week.first, self.span.week.end.previous())
    }

    /// The first instant that its figures need.
    fn first(&self) -> Instant {
        let spans = self.missed.iter().chain(self.mailed.iter().map(|(span, _)| span));
        spans.map(|span| span.from).min().unwrap_or(self.span.before.from).min(self.span.before.from)
    }
}

/// Scopes that are put together and committed at once, so that memory does not
/// grow with their number.
const AT_ONCE: usize = 64;

/// Mails every week that is due, or the one that is asked for.
///
/// # Errors
/// Where the book cannot be read or written, or a sum is too large.
pub fn run(book: &Book, config: &Config, options: &Options<'_>, now: Instant) -> Result<Outcome, WeeklyError> {
    let mailed = Mailed::read(book)?;
    let outbox = Outbox::new(book);
    let mut outcome = Outcome { restored: restore(book, &outbox, &mailed, now)?, ..Outcome::default() };
    let planner = Planner::new(book, config, options, &mailed, now)?;
    if options.resend {
        planner.resend(&outbox, &mut outcome)?;
        return Ok(outcome);
    }
    let mut plans = Vec::new();
    for (scope, recipients) in scopes(config, options)?.into_iter().filter(|(_, recipients)| !recipients.is_empty()) {
        match planner.plan(scope, recipients)? {
            Planned::Due(plan) => plans.push(*plan),
            Planned::Mailed { scope, week } => outcome.known.push((scope, week)),
            Planned::Nothing => {}
        }
    }
    if plans.is_empty() {
        return Ok(outcome);
    }
    let reading = Reading::of(book, config, options.prices, &plans, now)?;
    for plans in plans.chunks(AT_ONCE) {
        let commits = threads::on_every_core(plans, |plan| commit(&reading, config, plan, now));
        let commits = plans.iter().zip(commits).map(|(plan, commit)| Ok((plan, commit?)));
        let commits: Vec<(&Plan, Commit)> = commits.collect::<Result<_, WeeklyError>>()?;
        let stored =
            threads::on_the_disk(&commits, |(plan, commit)| store::commit(book, &plan.slug, plan.days(), commit));
        let (mut mails, mut firsts): (Vec<Sealed>, Vec<Sealed>) = Default::default();
        for ((plan, mut commit), is_new) in commits.into_iter().zip(stored) {
            if is_new? {
                outcome.mailed.push(MailedWeek {
                    scope: plan.scope.clone(),
                    week: plan.span.week.name.clone(),
                    subject: commit.mails.first().map(|mail| mail.subject.clone()).unwrap_or_default(),
                    recipients: commit.recipients.len(),
                });
                firsts.extend(commit.mails.pop());
                mails.extend(commit.mails);
            }
        }
        // Where the first mail of a week is in the outbox, all of it is.
        outbox.restore(&mails)?;
        outbox.restore(&firsts)?;
    }
    Ok(outcome)
}

/// The mails as they would be; nothing is written. Weeks that were mailed are
/// made anew.
///
/// # Errors
/// Where the book cannot be read, or a sum is too large.
pub fn preview(book: &Book, config: &Config, options: &Options<'_>, now: Instant) -> Result<Vec<Preview>, WeeklyError> {
    let mailed = if options.week.is_some() { Mailed::default() } else { Mailed::read(book)? };
    let planner = Planner::new(book, config, options, &mailed, now)?;
    let mut plans = Vec::new();
    for (scope, recipients) in scopes(config, options)? {
        if recipients.is_empty() && options.team.is_none() {
            continue;
        }
        if let Planned::Due(plan) = planner.plan(scope, recipients)? {
            plans.push(*plan);
        }
    }
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let reading = Reading::of(book, config, options.prices, &plans, now)?;
    let one = |plan: &Plan| -> Result<Preview, WeeklyError> {
        let mut message = reading.compose(plan)?.message(config, &plan.slug, now)?;
        message.id = store::id(&plan.slug, plan.days(), 1);
        if let Some(first) = plan.recipients.first() {
            message.to = first.clone();
        }
        Ok(Preview {
            scope: plan.scope.clone(),
            week: plan.span.week.name.clone(),
            name: format!("{}-{}", plan.span.week.first, plan.slug),
            recipients: plan.recipients.clone(),
            message,
        })
    };
    threads::on_every_core(&plans, one).into_iter().collect()
}

/// Everybody who has a mail, and to whom it goes.
fn scopes(config: &Config, options: &Options<'_>) -> Result<Vec<(Scope, Vec<Mailbox>)>, WeeklyError> {
    let of = |name: &String| Scope::Team(name.clone());
    if let Some(team) = options.team {
        let team = config.teams.get(team).ok_or_else(|| WeeklyError::NoTeam(team.to_owned()))?;
        return Ok(vec![(of(&team.name), team.owners.clone())]);
    }
    let mut scopes = vec![(Scope::Organization, config.organization.finance.clone())];
    scopes.extend(config.teams.values().map(|team| (of(&team.name), team.owners.clone())));
    Ok(scopes)
}

/// What is to be done for a scope.
enum Planned {
    Due(Box<Plan>),
    Mailed { scope: Scope, week: String },
    Nothing,
}

/// What every plan goes by.
struct Planner<'a> {
    book: &'a Book,
    config: &'a Config,
    options: &'a Options<'a>,
    mailed: &'a Mailed,
    /// The first day with charges.
    first: Option<Instant>,
    failed_mails: Vec<String>,
    /// From when on nothing was pruned.
    spend_from: Option<Instant>,
    now: Instant,
}

impl<'a> Planner<'a> {
    fn new(
        book: &'a Book,
        config: &'a Config,
        options: &'a Options<'a>,
        mailed: &'a Mailed,
        now: Instant,
    ) -> Result<Self, WeeklyError> {
        let first = book.days(DayTable::Charges)?.first().map(|day| day.start());
        let failed_mails = failed_mails(&Outbox::new(book))?;
        let spend_from = Floors::read(book)?.spend_from();
        Ok(Self { book, config, options, mailed, first, failed_mails, spend_from, now })
    }

    /// A scope's weeks, and the names of its objects: those of all names that it had.
    fn calendar_and_slugs(&self, scope: &Scope) -> (Calendar, Vec<String>) {
        let team = scope.name().and_then(|name| self.config.teams.get(name));
        let book = &self.config.book;
        let zone = team.map_or(book.timezone, |team| team.timezone);
        let mut slugs = vec![store::slug(scope)];
        slugs.extend(team.iter().flat_map(|team| &team.formerly).map(|name| store::slug(&Scope::Team(name.clone()))));
        (Calendar { zone, week_start: book.week_start }, slugs)
    }

    /// Puts mails of committed weeks into the outbox once more, sent or not: of
    /// the week that is asked for, or of the last one of each scope.
    fn resend(&self, outbox: &Outbox<'_>, outcome: &mut Outcome) -> Result<(), WeeklyError> {
        for (scope, recipients) in scopes(self.config, self.options)? {
            let (calendar, slugs) = self.calendar_and_slugs(&scope);
            let weeks = self.mailed.of(&slugs);
            let asked = self.options.week.map(|name| self.named(calendar, name)).transpose()?;
            let found = match &asked {
                Some(week) => weeks.iter().find(|(_, days)| *days == (week.first, week.end.previous())),
                None => weeks.last(),
            };
            if let Some((slug, days)) = found {
                if let Some(commit) = store::load(self.book, slug, *days)? {
                    outcome.restored += outbox.again(&commit.mails)?;
                }
                outcome.known.push((scope, calendar.period_with(days.0, Period::Week).name));
            } else if let Some(week) = asked.filter(|_| !recipients.is_empty()) {
                outcome.never.push((scope, week.name));
            }
        }
        if outcome.known.is_empty() {
            let of = self.options.team.map_or_else(String::new, |team| format!(" of the team `{team}`"));
            return Err(WeeklyError::NeverMailed(match self.options.week {
                Some(week) => format!("the week `{week}`{of} was never mailed"),
                None => format!("no week{of} was ever mailed"),
            }));
        }
        Ok(())
    }

    fn plan(&self, scope: Scope, recipients: Vec<Mailbox>) -> Result<Planned, WeeklyError> {
        let Some(first) = self.first else { return Ok(Planned::Nothing) };
        let (calendar, mut slugs) = self.calendar_and_slugs(&scope);
        let weeks = self.mailed.of(&slugs);
        let due = if let Some(name) = self.options.week {
            Some(Due { week: self.named(calendar, name)?, missed: Vec::new() })
        } else {
            let until = weeks.iter().map(|(_, (_, last))| last.next()).max();
            let send_on = self.config.mail.weekly_on.unwrap_or(calendar.week_start);
            week::due(calendar, send_on, self.now, until, first)
        };
        let Some(Due { week, missed }) = due else {
            return Ok(Planned::Nothing);
        };
        let days = (week.first, week.end.previous());
        if weeks.iter().any(|(_, known)| *known == days) {
            return Ok(Planned::Mailed { scope, week: week.name });
        }
        let failed_mails = if scope == Scope::Organization { self.failed_mails.clone() } else { Vec::new() };
        if let Some(kept_from) = self.spend_from.filter(|kept_from| week.from < *kept_from) {
            return Err(WeeklyError::Pruned { week: week.name, kept_from: kept_from.day() });
        }
        let mut mailed = told(self.book, calendar, &weeks, &week)?;
        // What was pruned has not moved.
        mailed.retain(|(span, _)| self.spend_from.is_none_or(|kept_from| kept_from <= span.from));
        let (slug, span) = (slugs.swap_remove(0), Span::of(calendar, week));
        Ok(Planned::Due(Box::new(Plan { scope, slug, span, recipients, missed, mailed, failed_mails })))
    }

    /// A week that was asked for by its name, and is over.
    fn named(&self, calendar: Calendar, name: &str) -> Result<PeriodSpan, WeeklyError> {
        let week = calendar.parse(name, self.now).ok().filter(|span| span.kind == Some(Period::Week));
        let week = week.ok_or_else(|| WeeklyError::NoWeek(name.to_owned()))?;
        if self.now < week.until {
            return Err(WeeklyError::NotOver(week.name, week.until));
        }
        Ok(week)
    }
}

/// The mails that could not be delivered, and why.
fn failed_mails(outbox: &Outbox<'_>) -> Result<Vec<String>, WeeklyError> {
    let mut told = Vec::new();
    for id in outbox.ids(Place::Failed)? {
        let failure = outbox.failure(&id)?;
        told.push(failure.map_or(id.clone(), |failure| format!("{id}: {}", failure.answer)));
    }
    Ok(told)
}

/// A mailed week is corrected for so long.
const CORRECTED_WEEKS: i32 = 8;

/// What was told last of each of the weeks before one.
fn told(
    book: &Book,
    calendar: Calendar,
    weeks: &[(String, Days)],
    week: &PeriodSpan,
) -> Result<Vec<(PeriodSpan, Figures)>, WeeklyError> {
    let since = Day::from_days(week.first.days() - CORRECTED_WEEKS * 7);
    let mut told: BTreeMap<Days, Figures> = BTreeMap::new();
    for (slug, days) in weeks.iter().filter(|(_, (first, last))| since <= *first && *last < week.first) {
        let Some(commit) = store::load(book, slug, *days)? else { continue };
        told.insert(*days, commit.figures);
        for it in commit.corrected.into_iter().chain(commit.missed) {
            if let Some(days) = Day::parse(&it.first).zip(Day::parse(&it.last)).filter(|(first, _)| since <= *first) {
                told.insert(days, it.figures);
            }
        }
    }
    let span = |(first, last): Days| calendar.days_between(first, last.next());
    Ok(told.into_iter().map(|(days, figures)| (span(days), figures)).collect())
}

fn commit(reading: &Reading<'_>, config: &Config, plan: &Plan, now: Instant) -> Result<Commit, WeeklyError> {
    let composed = reading.compose(plan)?;
    let mut message = composed.message(config, &plan.slug, now)?;
    let mut mails = Vec::new();
    for (number, recipient) in (1..).zip(&plan.recipients) {
        message.id = store::id(&plan.slug, plan.days(), number);
        message.to = recipient.clone();
        mails.push(message.seal()?);
    }
    // The first is put into the outbox last: where it is, all of them were.
    mails.reverse();
    let Composed { figures, beside, .. } = composed;
    let told = |span: &PeriodSpan, figures: Figures| Told {
        first: span.first.to_string(),
        last: span.end.previous().to_string(),
        figures,
    };
    let (first, last) = plan.days();
    Ok(Commit {
        scope: plan.scope.kind().to_owned(),
        name: plan.scope.name().map(str::to_owned),
        first: first.to_string(),
        last: last.to_string(),
        zone: plan.span.calendar.zone.name().to_owned(),
        mailed_at: now.to_string(),
        figures,
        corrected: beside.moved.into_iter().map(|moved| told(&moved.span, moved.now)).collect(),
        missed: beside.missed.into_iter().map(|missed| told(&missed.span, missed.figures)).collect(),
        recipients: plan.recipients.iter().map(ToString::to_string).collect(),
        mails,
    })
}

/// Weeks so many days back are looked after, in case a run was interrupted.
const LOOKED_AFTER_DAYS: i32 = 21;

/// Puts mails of committed weeks into the outbox that are not in it.
fn restore(book: &Book, outbox: &Outbox<'_>, mailed: &Mailed, now: Instant) -> Result<usize, WeeklyError> {
    let since = Day::from_days(now.day().days() - LOOKED_AFTER_DAYS);
    let mut restored = 0;
    for (slug, days) in mailed.since(since) {
        if !outbox.has(&store::id(slug, days, 1))?
            && let Some(commit) = store::load(book, slug, days)?
        {
            restored += outbox.restore(&commit.mails)?;
        }
    }
    Ok(restored)
}
