//! Records of days that were pruned: they are not taken in again.
//!
//! A request belongs to the day of its earliest version. One that was pruned
//! may still have a version on a day that is kept; its identity is remembered
//! until no version can belong to it, so that it does not come back as a
//! request of its own.

use super::{
    IngestError,
    merge::GAP_MICROS,
    rows::Row,
    seams::LOOK_BACK_DAYS,
    texts::{TextCache, Texts},
};
use crate::{
    book::{Book, layout::DayTable},
    floors::{Floors, Reaching},
    time::{Day, Instant},
};

/// The reason under which such a record is counted.
pub(super) const PRUNED: &str = "pruned";

/// The floor of a table of requests.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    from: Option<Instant>,
    reaching: Reaching,
}

impl Floor {
    pub(super) fn of(floors: &Floors, table: DayTable) -> Self {
        Self { from: floors.read_from().map(Day::start), reaching: floors.reaching(table) }
    }

    /// Whether a record is below it, or of a request that is.
    pub(super) fn shuts_out(&self, row: &Row<'_>) -> bool {
        let belongs = || self.reaching.get(&row.hash).is_some_and(|&until| row.ts() <= until);
        self.from.is_some_and(|from| row.ts() < from || belongs())
    }
}

/// The requests below a floor to which a record above it may belong, and until
/// when.
///
/// # Errors
/// Where a day cannot be read.
pub fn reaching(book: &Book, table: DayTable, floor: Day) -> Result<Reaching, IngestError> {
    let texts = Texts::default();
    let mut cache = TextCache::new(&texts);
    let days = super::seams::Days::list(Some(book), table)?;
    let cutoff = floor.start().micros() - GAP_MICROS;
    let mut reaching = Reaching::new();
    for &day in days.present.range(Day::from_days(floor.days() - LOOK_BACK_DAYS)..floor) {
        let late = days.read(day, &mut cache, &|_, last| last >= cutoff, &|row, _| row.ts_last >= cutoff)?;
        reaching.extend(late.heads().map(|(at, head)| {
            let until = late.row(at).ts_last + GAP_MICROS;
            (head.hash, Instant::from_micros(until))
        }));
    }
    Ok(reaching)
}
