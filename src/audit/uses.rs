//! When, where and by whom each key was used: what `usage` and `checks` say
//! about it, and what `charges` says it cost.
//!
//! Reads a few columns of every day, a batch at a time; what is kept grows with
//! the keys, not with the requests.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, Int32Array};

use super::{
    AuditError,
    read::{Columns, DayFile, Words, amount},
};
use crate::{
    book::{Book, layout::DayTable},
    floors::Floors,
    money::Usd,
    threads::parts_on_every_core,
    time::{Day, Instant},
};

pub(super) const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// Of how many days requests and cost are counted.
const RECENT: i64 = 30 * DAY;

/// What is known of the use of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub first: Instant,
    /// The latest time that any record of the key has.
    pub last: Instant,
    /// The user or project of the last request that names one.
    pub last_by: Option<String>,
    /// The sources in which it was ever seen.
    pub sources: BTreeSet<String>,
    /// The teams that logs named with it in the last 30 days.
    pub teams: BTreeSet<String>,
    pub requests_24h: i64,
    pub requests_30d: i64,
    pub cost_24h: Cost,
    pub cost_30d: Cost,
    /// The last seven days.
    pub week: Week,
}

/// How a key was used in the seven times 24 hours before now, the last first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Week {
    pub requests: [i64; WEEK_DAYS],
    /// A bit for each hour with a request.
    pub hours: [u32; WEEK_DAYS],
    /// Who asked, as far as logs name them; at most [`Week::MOST_USERS`].
    pub users: BTreeSet<String>,
}

/// The days of a week.
pub const WEEK_DAYS: usize = 7;

impl Week {
    pub const MOST_USERS: usize = 1_000;

    /// Requests of all days.
    pub fn total(&self) -> i64 {
        self.requests.iter().sum()
    }

    /// How many days had requests in so many of their hours.
    pub fn days_with_hours(&self, hours: u32) -> usize {
        self.hours.iter().filter(|of_day| of_day.count_ones() >= hours).count()
    }

    fn add(&mut self, ago: i64) {
        let hour = ago.max(0) / HOUR;
        let (Ok(day), Ok(bit)) = (usize::try_from(hour / 24), u32::try_from(hour % 24)) else { return };
        if let (Some(requests), Some(hours)) = (self.requests.get_mut(day), self.hours.get_mut(day)) {
            *requests += 1;
            *hours |= 1 << bit;
        }
    }

    fn join(&mut self, other: Self) {
        for (all, more) in self.requests.iter_mut().zip(other.requests) {
            *all += more;
        }
        for (all, more) in self.hours.iter_mut().zip(other.hours) {
            *all |= more;
        }
        let room = Self::MOST_USERS.saturating_sub(self.users.len());
        self.users.extend(other.users.into_iter().take(room));
    }
}

/// A sum, and whether it is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    sum: Usd,
    /// On some day nothing has been priced.
    is_unknown: bool,
}

impl Cost {
    /// `None` where a day of it has not been priced. Requests without a price
    /// are not in it.
    pub fn known(self) -> Option<Usd> {
        (!self.is_unknown).then_some(self.sum)
    }

    fn add(&mut self, cost: Usd) {
        match self.sum.checked_add(cost) {
            Some(sum) => self.sum = sum,
            None => self.is_unknown = true,
        }
    }

    fn join(&mut self, other: Self) {
        self.add(other.sum);
        self.is_unknown |= other.is_unknown;
    }
}

/// The use of every key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// As `usage` shows them.
    pub keys: BTreeMap<String, Use>,
    /// Of requests without a key.
    pub nameless: Option<Use>,
    /// The latest time that any record of a source has.
    pub heard: BTreeMap<String, Instant>,
    /// The first day that is kept, where others were pruned.
    pub since: Option<Day>,
}

impl Use {
    pub(super) fn at(first: Instant, last: Instant) -> Self {
        Self {
            first,
            last,
            last_by: None,
            sources: BTreeSet::new(),
            teams: BTreeSet::new(),
            requests_24h: 0,
            requests_30d: 0,
            cost_24h: Cost::default(),
            cost_30d: Cost::default(),
            week: Week::default(),
        }
    }

    /// Takes in what is known of the same key under another name, or later.
    pub(super) fn join(&mut self, other: Self) {
        if other.last >= self.last {
            self.last_by = other.last_by.or(self.last_by.take());
        } else if self.last_by.is_none() {
            self.last_by = other.last_by;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.sources.extend(other.sources);
        self.teams.extend(other.teams);
        self.requests_24h += other.requests_24h;
        self.requests_30d += other.requests_30d;
        self.cost_24h.join(other.cost_24h);
        self.cost_30d.join(other.cost_30d);
        self.week.join(other.week);
    }
}

/// Reads the use of all keys.
///
/// # Errors
/// Where the book cannot be read.
pub fn read(book: &Book, now: Instant) -> Result<Uses, AuditError> {
    read_since(book, Instant::EARLIEST.day(), now)
}

/// The same of the days since one.
///
/// # Errors
/// Where the book cannot be read.
pub fn read_since(book: &Book, since: Day, now: Instant) -> Result<Uses, AuditError> {
    let floors = Floors::read(book)?;
    let mut days = Vec::new();
    for table in [DayTable::Usage, DayTable::Checks] {
        days.extend(book.days(table)?.into_iter().filter(|&day| day >= since).map(|day| (table, day)));
    }
    let parts = parts_on_every_core(&days, |&(table, day), uses: &mut Uses| uses.read_day(book, table, day, now))?;
    let mut uses = Uses { since: floors.read_from(), ..Uses::default() };
    for part in parts {
        uses.join(part);
    }
    Ok(uses)
}

const OLD: [&str; 4] = ["ts", "ts_last", "source", "key"];
const NEW: [&str; 7] = ["ts", "ts_last", "source", "key", "team_reported", "user", "project"];

impl Uses {
    fn read_day(&mut self, book: &Book, table: DayTable, day: Day, now: Instant) -> Result<(), AuditError> {
        let Some(file) = DayFile::open(book, table, day)? else { return Ok(()) };
        let is_recent = day.end() > now.plus_micros(-RECENT);
        let mut of_day = Self::default();
        let columns: &[&str] = if is_recent { &NEW } else { &OLD };
        file.batches(columns, None, |columns| of_day.read_batch(columns, is_recent, table, now))?;
        if is_recent && table == DayTable::Usage {
            of_day.add_cost(book, day, now)?;
        }
        self.join(of_day);
        Ok(())
    }

    fn join(&mut self, other: Self) {
        for (key, of_key) in other.keys {
            self.add(Some(&key), of_key);
        }
        if let Some(nameless) = other.nameless {
            self.add(None, nameless);
        }
        for (source, last) in other.heard {
            let heard = self.heard.entry(source).or_insert(last);
            *heard = last.max(*heard);
        }
    }

    fn add(&mut self, key: Option<&str>, of_key: Use) {
        let known = match key {
            Some(key) => self.keys.get_mut(key),
            None => self.nameless.as_mut(),
        };
        match (known, key) {
            (Some(known), _) => known.join(of_key),
            (None, Some(key)) => _ = self.keys.insert(key.to_owned(), of_key),
            (None, None) => self.nameless = Some(of_key),
        }
    }

    fn read_batch(
        &mut self,
        columns: &Columns<'_>,
        is_recent: bool,
        table: DayTable,
        now: Instant,
    ) -> Result<(), AuditError> {
        let (first, last) = (columns.instants("ts")?, columns.instants("ts_last")?);
        let (keys, sources) = (columns.words("key")?, columns.words("source")?);
        let names = if is_recent {
            Some([columns.words("team_reported")?, columns.words("user")?, columns.words("project")?])
        } else {
            None
        };
        // Names are numbers within a batch: rows are sorted out by these alone.
        let mut of_keys: BTreeMap<(Option<i32>, Option<i32>), OfBatch> = BTreeMap::new();
        for row in 0..columns.rows() {
            let (ts, ts_last) = (first.value(row), last.value(row).max(first.value(row)));
            let of_key = of_keys.entry((keys.code(row), sources.code(row))).or_insert_with(|| OfBatch::new(row, ts));
            of_key.first = of_key.first.min(ts);
            of_key.last = of_key.last.max(ts_last);
            if let Some([teams, users, projects]) = names {
                if ts > now.micros() - WEEK {
                    of_key.week.add(now.micros() - ts);
                    if let Some(user) = users.code(row) {
                        of_key.users.insert(user, row);
                    }
                }
                of_key.requests_24h += i64::from(ts > now.micros() - DAY);
                of_key.requests_30d += i64::from(ts > now.micros() - RECENT);
                if let Some(team) = teams.code(row) {
                    of_key.teams.insert(team, row);
                }
                let by = users.code(row).is_some() || projects.code(row).is_some();
                if by && of_key.by.is_none_or(|(at, _)| at <= ts) {
                    of_key.by = Some((ts, row));
                }
            }
        }
        for of_batch in of_keys.into_values() {
            let of_key = of_batch.named(sources, names, table);
            for source in &of_key.sources {
                let heard = self.heard.entry(source.clone()).or_insert(of_key.last);
                *heard = of_key.last.max(*heard);
            }
            self.add(keys.get(of_batch.row), of_key);
        }
        Ok(())
    }

    /// Adds what the day's requests cost.
    fn add_cost(&mut self, book: &Book, day: Day, now: Instant) -> Result<(), AuditError> {
        let Some(charges) = DayFile::open(book, DayTable::Charges, day)? else {
            for of_key in self.keys.values_mut().chain(self.nameless.as_mut()) {
                of_key.cost_24h.is_unknown |= of_key.requests_24h > 0;
                of_key.cost_30d.is_unknown |= of_key.requests_30d > 0;
            }
            return Ok(());
        };
        charges.batches(&["ts", "key", "cost"], None, |columns| {
            let (instants, keys, costs) = (columns.instants("ts")?, columns.words("key")?, columns.amounts("cost")?);
            // By the number of the key in the batch; the last is of none.
            let none = keys.values().len();
            let mut sums = vec![[Cost::default(); 2]; none + 1];
            for row in 0..columns.rows() {
                let Some(cost) = amount(costs, row) else { continue };
                let [of_day, of_month] = &mut sums[keys.place(row).unwrap_or(none)];
                if instants.value(row) > now.micros() - DAY {
                    of_day.add(cost);
                }
                if instants.value(row) > now.micros() - RECENT {
                    of_month.add(cost);
                }
            }
            let names = keys.values().map(Some).chain([None]);
            for (name, [of_day, of_month]) in names.zip(sums).filter(|(_, sums)| *sums != [Cost::default(); 2]) {
                let of_key = match name {
                    Some(key) => self.keys.get_mut(key),
                    None => self.nameless.as_mut(),
                };
                if let Some(of_key) = of_key {
                    of_key.cost_24h.join(of_day);
                    of_key.cost_30d.join(of_month);
                }
            }
            Ok(())
        })
    }
}

/// What a batch has of one key and source.
#[derive(Debug)]
struct OfBatch {
    /// A row that has them.
    row: usize,
    first: i64,
    last: i64,
    requests_24h: i64,
    requests_30d: i64,
    /// A row for each team.
    teams: BTreeMap<i32, usize>,
    week: Week,
    /// A row for each user of the week.
    users: BTreeMap<i32, usize>,
    /// The last row that names a user or a project.
    by: Option<(i64, usize)>,
}

impl OfBatch {
    fn new(row: usize, ts: i64) -> Self {
        let (teams, users, week) = (BTreeMap::new(), BTreeMap::new(), Week::default());
        Self { row, first: ts, last: ts, requests_24h: 0, requests_30d: 0, teams, week, users, by: None }
    }

    fn named(&self, sources: Words<'_>, names: Option<[Words<'_>; 3]>, table: DayTable) -> Use {
        let mut of_key = Use::at(Instant::from_micros(self.first), Instant::from_micros(self.last));
        of_key.sources.extend(sources.get(self.row).map(str::to_owned));
        if let Some([teams, users, projects]) = names {
            of_key.teams.extend(self.teams.values().filter_map(|&row| teams.get(row)).map(str::to_owned));
            let by = self.by.and_then(|(_, row)| users.get(row).or(projects.get(row)));
            of_key.last_by = by.map(str::to_owned);
        }
        // What a check source shows has been counted where it is booked.
        if table == DayTable::Usage {
            (of_key.requests_24h, of_key.requests_30d) = (self.requests_24h, self.requests_30d);
            of_key.week = self.week.clone();
            let users = self.users.values().filter_map(|&row| names.and_then(|[_, users, _]| users.get(row)));
            of_key.week.users = users.take(Week::MOST_USERS).map(str::to_owned).collect();
        }
        of_key
    }
}

impl Words<'_> {
    pub(super) fn code(self, row: usize) -> Option<i32> {
        let keys: &Int32Array = self.keys;
        keys.is_valid(row).then(|| keys.value(row))
    }
}
