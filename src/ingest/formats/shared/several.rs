//! One entry, several records: the underlying models of a compound system, the
//! tools that a stream runs on its way, a model that advises another.

use super::{
    super::{Found, NoRecord, Sink},
    tokens::Counts,
};
use crate::record::Text;

/// The records of one entry.
#[derive(Debug)]
pub(crate) struct Several<'a> {
    /// `None` where the parts say everything.
    pub(crate) main: Option<Found<'a>>,
    pub(crate) parts: Vec<Found<'a>>,
}

/// What a format makes of an entry that holds one request or several.
pub(crate) type ReadSeveral<'a> = Result<Several<'a>, NoRecord>;

/// Hands what came of an entry to the sink.
pub(crate) fn put<'a>(read: ReadSeveral<'a>, sink: &mut dyn Sink<'a>) {
    match read {
        Ok(several) => several.main.into_iter().chain(several.parts).for_each(|mut found| sink.record(&mut found)),
        Err(no_record) => sink.put(Err(no_record)),
    }
}

impl Several<'_> {
    /// Whether it tells what was used.
    pub(crate) fn has_quantities(&self) -> bool {
        !self.parts.is_empty() || self.main.as_ref().is_some_and(|main| main.record.quantities.any())
    }
}

/// A part of a request, still without quantities of its own. What the whole is
/// said to have cost stays with the whole.
pub(crate) fn part_of<'a>(main: &Found<'a>, part: Text<'a>) -> Found<'a> {
    let mut found = main.clone();
    found.record.part = part;
    found.record.reported_cost = None;
    found
}

/// The part of another model than the one that the entry names.
pub(crate) fn of_model<'a>(main: &Found<'a>, model: Text<'a>, counts: Counts) -> Found<'a> {
    let mut part = part_of(main, model.clone());
    let record = &mut part.record;
    record.model_requested = record.model_requested.take().or_else(|| Some(record.model.clone()));
    record.model = model;
    counts.put(record);
    part
}
