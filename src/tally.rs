//! Accounts: what became of every record.
//!
//! A stage returns its rows and its accounts. The equations here are asserted
//! on every run, printed, and stored with the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Day;

/// How many, by the name of the reason.
pub type Reasons = BTreeMap<String, u64>;

/// What became of one source's records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceTally {
    pub files_read: u64,
    pub files_unchanged: u64,
    /// Lines that an earlier run had read: they were not read again.
    pub lines_unchanged: u64,
    /// Entries at the end of a growing file that wait for the rest of it.
    pub pending: u64,
    /// Requests found, and entries that are valid and no usage.
    pub records: u64,
    /// Entries that could not be understood.
    pub broken: u64,
    /// Records that stand in the book now.
    pub kept: u64,
    /// Records that say what another one says already.
    pub duplicate: u64,
    /// Records that a better version of the same request replaced.
    pub superseded: u64,
    pub skipped: Reasons,
    pub quarantined: Reasons,
    /// Requests whose versions disagree on who asked, or how it ended.
    pub conflict: u64,
    /// Records with a local time that the zone's clocks show twice or never:
    /// read as the earlier one, or as the moment at which clocks changed.
    pub doubtful_times: u64,
    /// Superseded by a version with another total input: if many, ids repeat.
    pub other_input: u64,
    /// Rows that `ingest --again` took out of the book before it read again.
    pub withdrawn: u64,
}

impl SourceTally {
    /// `records + broken = kept + duplicate + superseded + skipped + quarantined`
    pub fn is_balanced(&self) -> bool {
        let sum = |reasons: &Reasons| reasons.values().sum::<u64>();
        self.records + self.broken
            == self.kept + self.duplicate + self.superseded + sum(&self.skipped) + sum(&self.quarantined)
    }

    pub fn skip(&mut self, reason: &str) {
        self.records += 1;
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    pub fn quarantine(&mut self, reason: &str) {
        self.broken += 1;
        *self.quarantined.entry(reason.to_owned()).or_default() += 1;
    }

    /// Whether more than 0.1 % of what was reported gave way to another input:
    /// the provider hands out the same ids again.
    pub fn ids_reused(&self) -> bool {
        self.other_input * 1000 > self.kept + self.duplicate + self.superseded
    }

    pub fn add(&mut self, other: &Self) {
        self.files_read += other.files_read;
        self.files_unchanged += other.files_unchanged;
        self.lines_unchanged += other.lines_unchanged;
        self.pending += other.pending;
        self.records += other.records;
        self.broken += other.broken;
        self.kept += other.kept;
        self.duplicate += other.duplicate;
        self.superseded += other.superseded;
        self.conflict += other.conflict;
        self.doubtful_times += other.doubtful_times;
        self.other_input += other.other_input;
        self.withdrawn += other.withdrawn;
        for (all, more) in [(&mut self.skipped, &other.skipped), (&mut self.quarantined, &other.quarantined)] {
            for (reason, count) in more {
                *all.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

/// What became of one day's rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTally {
    pub before: u64,
    pub kept: u64,
    pub replaced: u64,
    /// Rows that came from a neighbouring day, since an earlier version of
    /// their request belongs to this one, and rows that left for one.
    pub moved_in: u64,
    pub moved_out: u64,
    pub withdrawn: u64,
    pub after: u64,
}

impl DayTally {
    /// `rows after = rows before + kept − replaced`, with what crossed midnight
    /// and what `--again` withdrew.
    pub fn is_balanced(&self) -> bool {
        self.before + self.kept + self.moved_in == self.after + self.replaced + self.moved_out + self.withdrawn
    }
}

/// The accounts of one ingest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestTally {
    pub sources: BTreeMap<String, SourceTally>,
    #[serde(serialize_with = "days_by_name", skip_deserializing)]
    pub days: BTreeMap<Day, DayTally>,
}

fn days_by_name<S: serde::Serializer>(days: &BTreeMap<Day, DayTally>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(days.iter().map(|(day, tally)| (day.to_string(), tally)))
}

impl IngestTally {
    pub fn source(&mut self, name: &str) -> &mut SourceTally {
        if !self.sources.contains_key(name) {
            self.sources.insert(name.to_owned(), SourceTally::default());
        }
        self.sources.get_mut(name).expect("inserted above where it was missing")
    }

    pub fn day(&mut self, day: Day) -> &mut DayTally {
        self.days.entry(day).or_default()
    }

    pub fn add(&mut self, other: &Self) {
        for (name, tally) in &other.sources {
            self.source(name).add(tally);
        }
        for (day, more) in &other.days {
            let all = self.day(*day);
            all.before += more.before;
            all.kept += more.kept;
            all.replaced += more.replaced;
            all.moved_in += more.moved_in;
            all.moved_out += more.moved_out;
            all.withdrawn += more.withdrawn;
            all.after += more.after;
        }
    }

    /// The first source or day whose accounts do not balance.
    pub fn imbalance(&self) -> Option<String> {
        let source = self.sources.iter().find(|(_, tally)| !tally.is_balanced());
        let day = self.days.iter().find(|(_, tally)| !tally.is_balanced());
        source
            .map(|(name, tally)| format!("source `{name}`: {tally:?}"))
            .or_else(|| day.map(|(day, tally)| format!("day {day}: {tally:?}")))
    }
}
