//! How fresh it is: what providers said in sum and when, whom a silent source
//! concerns, when the book was last read and priced, and which days' tables are
//! one step apart. When sources were heard is found out by `heard`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ReportError,
    heard::SourceState,
    sums::{self, By, Query},
};
use crate::{
    book::{Book, layout::DayTable},
    budgets::{Ledger, Lines, Scope, Silence},
    charges::{self, Behind},
    config::{Config, Pool, Role, Source},
    floors::{self, Floors},
    money::Usd,
    periods::Calendar,
    runs::{self, Past, Stage},
    teams::{OverTime, Registry},
    time::{Day, Instant},
    totals,
};

/// A source of totals, and when it last told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalsState {
    pub name: String,
    /// `None` where it never told anything, or that is not known any more.
    pub last_told: Option<Instant>,
    /// The last day of which the book has its totals.
    pub last_day: Option<Day>,
    /// `None` where they are read from files, which come when somebody puts
    /// them there.
    pub silent_after_micros: Option<i64>,
    /// It was not asked, or gave no answer, for longer than it may.
    pub is_silent: bool,
}

pub(super) fn totals(book: &Book, config: &Config, now: Instant) -> Result<Vec<TotalsState>, ReportError> {
    // By source, then by day: the last one stays.
    let last_days: BTreeMap<String, Day> = totals::days(book)?.into_iter().collect();
    let state = |source: &Source| {
        let last_told = totals::last_told(config, book, source);
        let silent_after_micros = source.remote.as_ref().map(|_| source.silent_after_micros);
        let age = last_told.map(|told| now.micros() - told.micros());
        TotalsState {
            name: source.name.clone(),
            last_told,
            last_day: last_days.get(&source.name).copied(),
            silent_after_micros,
            is_silent: age.zip(silent_after_micros).is_some_and(|(age, most)| age > most),
        }
    };
    Ok(config.totals.iter().map(state).collect())
}

/// Days up to a source's last request that show whose spend came from it.
const SHOWN_BY_DAYS: i32 = 7;

/// The silent sources of `books`, each with the scopes of which, in the last
/// week that it was heard, more than a hundredth of requests or cost was its.
pub(super) fn silences(
    book: &Book,
    sources: &[SourceState],
    scopes: &[Scope],
    pools: &OverTime<BTreeMap<String, Pool>>,
    registry: &Registry<'_>,
) -> Result<Vec<Silence>, ReportError> {
    let silent = sources.iter().filter(|source| source.is_silent && source.role == Role::Books);
    let mut silences = Vec::new();
    for (source, since) in silent.filter_map(|source| Some((source, source.last?))) {
        let end = since.day().next();
        let span = Calendar { zone: chrono_tz::Tz::UTC, week_start: chrono::Weekday::Mon }
            .days_between(Day::from_days(end.days() - SHOWN_BY_DAYS), end);
        let by = By::columns(&["team", "key", "model_billed", "source"]);
        let query = Query { table: DayTable::Charges, by: &by, from: span.from, until: span.until };
        let sums = sums::of(book, query)?;
        let rows = |is_meant: &dyn Fn(Option<&str>) -> bool| {
            let rows = sums.iter().filter(|(names, _)| is_meant(names[3].as_deref()));
            rows.map(|(names, sum)| sums::spend_row(span.from, names, sum, registry)).collect()
        };
        let all = Ledger::new(rows(&|_| true), pools, span.until, &[]);
        let own = Ledger::new(rows(&|name| name == Some(source.name.as_str())), pools, span.until, &[]);
        let mut of = BTreeSet::new();
        for scope in scopes {
            let (all, own) = (all.lines(scope, &span, span.from)?, own.lines(scope, &span, span.from)?);
            let pico = |lines: &Lines| lines.total().map_or(i128::MAX, Usd::pico);
            let is_more = |part: i128, whole: i128| part.checked_mul(100).is_none_or(|part| part > whole);
            if is_more(own.requests.into(), all.requests.into()) || is_more(pico(&own), pico(&all)) {
                of.insert(scope.clone());
            }
        }
        silences.push(Silence { source: source.name.clone(), since, of });
    }
    Ok(silences)
}

/// Days whose tables do not belong together.
pub(crate) fn behind(book: &Book, from: Instant, until: Instant) -> Result<BTreeMap<Day, Behind>, ReportError> {
    let mut found = BTreeMap::new();
    let floor = Floors::read(book)?.priced_from();
    let is_meant = |day: &Day| from < day.end() && day.start() < until && !floors::is_below(*day, floor);
    for day in book.days(DayTable::Usage)?.into_iter().filter(is_meant) {
        if let Some(behind) = charges::behind(book, day)? {
            found.insert(day, behind);
        }
    }
    Ok(found)
}

/// When the book was last brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRuns {
    pub ingest: Option<Past>,
    pub price: Option<Past>,
}

impl LastRuns {
    pub(crate) fn of(book: &Book) -> Result<Self, ReportError> {
        Ok(Self { ingest: runs::last(book, Stage::Ingest)?, price: runs::last(book, Stage::Price)? })
    }

    /// What was logged until then is in the book, and priced; `None` where it
    /// was never read or never priced.
    pub fn known_until(&self) -> Option<Instant> {
        Some(self.ingest.as_ref()?.started.min(self.price.as_ref()?.started))
    }

    /// How long ago the staler of the two ended.
    pub fn age_micros(&self, now: Instant) -> Option<i64> {
        let last = self.ingest.as_ref()?.finished.min(self.price.as_ref()?.finished);
        Some((now.micros() - last.micros()).max(0))
    }
}
