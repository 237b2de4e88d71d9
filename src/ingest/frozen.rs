//! Records of days that were pruned: they are not taken in again.
//!
//! A request belongs to the day of its earliest version. One that was pruned
//! may still have a version on a day that is kept; its identity is remembered
//! until no version can belong to it, so that it does not come back as a
//! request of its own.

use super::{
    IngestError,
    merge::GAP_MICROS,
    rows::identity_hash,
    seams::LOOK_BACK_DAYS,
    texts::{TextCache, Texts},
};
use crate::{
    book::{Book, layout::DayTable},
    floors::{Floors, Reaching},
    record::UsageRecord,
    time::{Day, Instant},
};

/// The reason under which such a record is counted.
pub(crate) const PRUNED: &str = "pruned";

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
    pub(super) fn shuts_out(&self, record: &UsageRecord<'_>) -> bool {
        let belongs = || {
            let hash = identity_hash(&record.provider, &record.request_id, &record.part);
            self.reaching.get(&hash).is_some_and(|&until| record.ts <= until)
        };
        self.from.is_some_and(|from| record.ts < from || belongs())
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
