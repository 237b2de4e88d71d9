//! Requests whose versions lie on both sides of midnight.
//!
//! A row belongs to the day of its earliest version, so a late version of an
//! early request, or an early version that arrives late, reaches across the
//! seam between two day files. Such requests are rare; they are found first,
//! settled with all their versions at hand, and left out of the ordinary
//! building of their days.
//!
//! A row that leaves a day file for another is noted in `moves/` first, then
//! the later day is written, then the earlier: at no moment is it in two files.
//! What an interrupted run noted, the next run settles again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    IngestError,
    arrivals::Waiting,
    day::{Context, Held, Member, requests, settle},
    day_file::DayFile,
    merge::{GAP_MICROS, Priorities},
    pile::Pile,
    rows::Row,
    texts::TextCache,
};
use crate::{
    book::{Book, layout::DayTable},
    floors::{self, Floors},
    tally::IngestTally,
    time::{Day, Instant},
};

/// How far back a request's earlier versions are looked for. One that was
/// logged again at least every ten minutes for longer than this is cut.
pub(super) const LOOK_BACK_DAYS: i32 = 7;

/// What the seams between days came to.
#[derive(Debug, Default)]
pub struct Seams {
    /// Identity hashes whose rows are settled here, not in their days.
    pub withheld: HashSet<u64>,
    /// The rows that came of them, by the day they belong to.
    pub settled: BTreeMap<Day, Pile>,
    /// Days that change because of them, latest first.
    pub changed: BTreeSet<Day>,
    /// Rows that change their day, or were noted as doing so by an earlier run.
    pub moving: Pile,
}

/// Reads days of one table that are in the book, and not below its floor.
#[derive(Debug)]
pub struct Days<'b> {
    pub book: Option<&'b Book>,
    pub table: DayTable,
    pub present: BTreeSet<Day>,
}

impl<'b> Days<'b> {
    /// # Errors
    /// Where the table cannot be listed.
    pub fn list(book: Option<&'b Book>, table: DayTable) -> Result<Self, IngestError> {
        let Some(book) = book else { return Ok(Self { book, table, present: BTreeSet::new() }) };
        let floor = Floors::read(book)?.read_from();
        let present = book.days(table)?.into_iter().filter(|&day| !floors::is_below(day, floor));
        Ok(Self { book: Some(book), table, present: present.collect() })
    }

    /// A day's file, if there is one.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(&self, day: Day) -> Result<Option<DayFile>, IngestError> {
        let (Some(book), true) = (self.book, self.present.contains(&day)) else { return Ok(None) };
        let path = self.table.file(day);
        let Some(stored) = book.read(&path)? else { return Ok(None) };
        DayFile::open(stored).map(Some).map_err(|source| IngestError::DayFile { path: path.to_string(), source })
    }

    /// A day's rows; of row groups whose time span is not wanted, and of rows
    /// that are not, nothing.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(
        &self,
        day: Day,
        texts: &mut TextCache<'_>,
        group: &dyn Fn(i64, i64) -> bool,
        wanted: &dyn Fn(&Row<'_>, &TextCache<'_>) -> bool,
    ) -> Result<Pile, IngestError> {
        let Some(file) = self.open(day)? else { return Ok(Pile::default()) };
        let path = self.table.file(day).to_string();
        file.read(texts, group, wanted).map_err(|source| IngestError::DayFile { path, source })
    }
}

/// A row that reaches close to the end of its day or beyond: its identity, and
/// until when a version would belong to it.
type Reaching = HashMap<u64, i64>;

/// Whether a row is about to leave the book.
type Withdrawn<'w> = &'w dyn Fn(&Row<'_>, &TextCache<'_>) -> bool;

/// What this run brings to the days.
#[derive(Debug)]
pub struct Arrived<'a> {
    pub waiting: &'a BTreeMap<Day, Waiting>,
    /// The rows of an interrupted move.
    pub noted: &'a Pile,
    /// Every day that will be built.
    pub to_build: &'a BTreeSet<Day>,
}

/// Finds and settles what lies across midnight. Rows that are `withdrawn` are no
/// longer in the book.
///
/// # Errors
/// Where a day or a spill file cannot be read.
pub fn find(
    days: &Days<'_>,
    arrived: &Arrived<'_>,
    texts: &mut TextCache<'_>,
    priorities: &dyn Priorities,
    withdrawn: Withdrawn<'_>,
    tally: &mut IngestTally,
) -> Result<Seams, IngestError> {
    let Arrived { waiting, noted, to_build } = *arrived;
    let mut search = Search { days, waiting, texts, withdrawn };
    let mut withheld = HashSet::new();
    let mut involved: BTreeSet<Day> = BTreeSet::new();
    for (at, head) in noted.heads() {
        withheld.insert(head.hash);
        let row = noted.row(at);
        involved.extend(span(row.ts().day(), Instant::from_micros(row.ts_last).day()));
    }
    for day in search.days_that_may_reach() {
        let reaching = search.reaching(day)?;
        let Some(&limit) = reaching.values().max() else { continue };
        for later in span(day.next(), Instant::from_micros(limit).day()) {
            if !waiting.contains_key(&day) && !waiting.contains_key(&later) {
                continue; // Both were settled against each other when they came.
            }
            let met = search.early(later, limit, &reaching)?;
            if !met.is_empty() {
                withheld.extend(met);
                involved.extend([day, later]);
            }
        }
    }
    if withheld.is_empty() {
        return Ok(Seams::default());
    }
    involved.extend(to_build);
    let gathered = search.gather(&involved, &withheld)?;
    let context = Context { texts, priorities };
    let mut seams = settle_across(&gathered, noted, context, tally);
    seams.withheld = withheld;
    Ok(seams)
}

fn span(first: Day, last: Day) -> impl Iterator<Item = Day> {
    (first.days()..=last.days()).map(Day::from_days)
}

struct Search<'s, 'b, 't> {
    days: &'s Days<'b>,
    waiting: &'s BTreeMap<Day, Waiting>,
    texts: &'s mut TextCache<'t>,
    withdrawn: Withdrawn<'s>,
}

impl Search<'_, '_, '_> {
    /// Days with arrivals, and days before them that are in the book.
    fn days_that_may_reach(&self) -> BTreeSet<Day> {
        let mut days = BTreeSet::new();
        for &day in self.waiting.keys() {
            days.extend(span(Day::from_days(day.days() - LOOK_BACK_DAYS), day));
        }
        days.retain(|day| self.waiting.contains_key(day) || self.days.present.contains(day));
        days
    }

    /// The rows of a day that reach to within the gap of its end, or beyond it.
    fn reaching(&mut self, day: Day) -> Result<Reaching, IngestError> {
        let mut reaching = Reaching::new();
        let cutoff = day.end().micros() - GAP_MICROS;
        let mut note = |hash, ts_last: i64| {
            let limit = reaching.entry(hash).or_insert(i64::MIN);
            *limit = (*limit).max(ts_last + GAP_MICROS);
        };
        if let Some(waiting) = self.waiting.get(&day) {
            // An arrival has one time: only merged rows span two.
            let late = waiting.edges().iter().filter(|(_, ts)| *ts >= cutoff);
            late.for_each(|&(hash, ts)| note(hash, ts));
        }
        // Days that end before they reach the next, or reach none that has
        // arrivals, need not be read: their footer says so.
        let reach = self.days.open(day)?.and_then(|file| file.facts().reach).filter(|&reach| reach >= cutoff);
        if reach
            .is_some_and(|reach| self.meets_arrivals(day, Instant::from_micros(reach.saturating_add(GAP_MICROS)).day()))
        {
            let withdrawn = self.withdrawn;
            let late = self.days.read(day, self.texts, &|_, last| last >= cutoff, &|row, texts| {
                row.ts_last >= cutoff && !withdrawn(row, texts)
            })?;
            late.heads().for_each(|(at, head)| note(head.hash, late.row(at).ts_last));
        }
        Ok(reaching)
    }

    /// Whether one of these days has arrivals.
    fn meets_arrivals(&self, first: Day, last: Day) -> bool {
        self.waiting.range(first..=last).next().is_some()
    }

    /// Identities of a day that one reaching into it may belong to.
    fn early(&mut self, day: Day, limit: i64, reaching: &Reaching) -> Result<Vec<u64>, IngestError> {
        let meets = |hash: u64, ts: i64| reaching.get(&hash).is_some_and(|&limit| ts <= limit);
        let mut met = Vec::new();
        if let Some(waiting) = self.waiting.get(&day) {
            if limit < day.start().micros() + GAP_MICROS {
                met.extend(waiting.edges().iter().filter(|&&(hash, ts)| meets(hash, ts)).map(|&(hash, _)| hash));
            } else {
                let early = waiting.select(&|head| meets(head.hash, head.ts)).map_err(IngestError::Spill)?;
                met.extend(early.heads().map(|(_, head)| head.hash));
            }
        }
        let withdrawn = self.withdrawn;
        let early = self.days.read(day, self.texts, &|first, _| first <= limit, &|row, texts| {
            meets(row.hash, row.ts) && !withdrawn(row, texts)
        })?;
        met.extend(early.heads().map(|(_, head)| head.hash));
        Ok(met)
    }

    /// All rows of the withheld identities in the involved days.
    fn gather(&mut self, involved: &BTreeSet<Day>, withheld: &HashSet<u64>) -> Result<Vec<Gathered>, IngestError> {
        let mut gathered = Vec::new();
        for &day in involved {
            let withdrawn = self.withdrawn;
            let wanted = |row: &Row<'_>, texts: &TextCache<'_>| withheld.contains(&row.hash) && !withdrawn(row, texts);
            let existing = self.days.read(day, self.texts, &|_, _| true, &wanted)?;
            let arrived = self.waiting.get(&day).map(|waiting| waiting.select(&|head| withheld.contains(&head.hash)));
            let arrived = arrived.transpose().map_err(IngestError::Spill)?.unwrap_or_default();
            gathered.push(Gathered { day, existing, arrived });
        }
        Ok(gathered)
    }
}

/// One day's rows of the withheld identities.
struct Gathered {
    day: Day,
    existing: Pile,
    arrived: Pile,
}

fn settle_across(gathered: &[Gathered], noted: &Pile, context: Context<'_>, tally: &mut IngestTally) -> Seams {
    let mut seams = Seams::default();
    let mut members: Vec<Member<'_>> = Vec::new();
    let piles = gathered
        .iter()
        .flat_map(|of| [(&of.existing, Held::In(of.day)), (&of.arrived, Held::Arrived)])
        .chain([(noted, Held::Noted)]);
    for (pile, held) in piles {
        members.extend(pile.heads().map(|(at, _)| Member { row: pile.row(at), held }));
    }
    for request in requests(&mut members, context.texts) {
        let settled = settle(&request, context, tally);
        let home = settled.row.ts().day();
        let totals = tally.day(home);
        totals.kept += settled.kept;
        totals.replaced += settled.replaced;
        let mut moves = false;
        for member in &request {
            match member.held {
                Held::In(day) if day != home => {
                    tally.day(day).moved_out += 1;
                    tally.day(home).moved_in += 1;
                    seams.changed.insert(day);
                    moves = true;
                }
                Held::Noted => {
                    tally.day(home).moved_in += 1;
                    moves = true;
                }
                Held::In(_) | Held::Arrived => {}
            }
        }
        if moves || !settled.is_unchanged {
            seams.changed.insert(home);
        }
        if moves {
            seams.moving.push(&settled.row);
        }
        seams.settled.entry(home).or_default().push(&settled.row);
    }
    seams
}
