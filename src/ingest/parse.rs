//! Entries in, records out: a block's bytes through a source's format.

use std::borrow::Cow;

use super::{
    accept::{Place, accept},
    formats::{CsvRow, Entry, Format, Found, Reject, RejectReason, Sink, Skip},
    framing::{Block, Cut, KEPT_OF_TOO_LONG, MAX_ENTRY, Shape, Wholeness, csv_fields},
    http::Page,
    local_times::{LocalTimes, TimeRead},
    names::{Names, PLAIN},
};
use crate::{
    config::Source,
    json::{Scanner, Value},
    record::UsageRecord,
    time::Instant,
};

/// Takes what a block's entries hold. Every entry leads to at least one call.
pub trait Outcomes {
    fn record(&mut self, line: u64, record: &UsageRecord<'_>, time: TimeRead);
    fn skip(&mut self, line: u64, reason: Skip);
    fn reject(&mut self, line: u64, reject: Reject, raw: &[u8]);
    /// The file ends inside this entry, and may still be growing.
    fn pending(&mut self, line: u64);
}

/// Reads one file's blocks.
#[derive(Debug)]
pub struct Parser<'s> {
    source: &'s Source,
    names: &'s Names,
    format: &'s dyn Format,
    file: &'s str,
    shape: Shape,
    /// The file is as it was in an earlier run: what is cut off stays so.
    settled: bool,
    scanner: Scanner,
    local_times: LocalTimes,
}

impl<'s> Parser<'s> {
    pub fn new(source: &'s Source, format: &'s dyn Format, file: &'s str, shape: Shape, settled: bool) -> Self {
        let local_times = LocalTimes::of(source.timezone);
        Self { source, names: &PLAIN, format, file, shape, settled, scanner: Scanner::new(), local_times }
    }

    /// With what the config says of names; without it none is registered, and
    /// users are as they are.
    #[must_use]
    pub fn with_names(self, names: &'s Names) -> Self {
        Self { names, ..self }
    }

    pub fn block(&mut self, block: &Block, out: &mut dyn Outcomes) {
        for (cut, bytes) in block.entries() {
            self.entry(cut, bytes, block.header.as_deref(), out);
        }
    }

    /// What came over HTTP is scanned already.
    pub(super) fn page(&mut self, page: &Page, out: &mut dyn Outcomes) {
        for (line, value) in page.entries() {
            let raw = value.raw();
            if raw.len() > MAX_ENTRY {
                out.reject(line, too_long(), &raw.as_bytes()[..KEPT_OF_TOO_LONG]);
            } else {
                self.read(line, Entry::Json(value), raw.as_bytes(), out);
            }
        }
    }

    fn entry(&mut self, cut: Cut, bytes: &[u8], header: Option<&[String]>, out: &mut dyn Outcomes) {
        let line = cut.number;
        if cut.wholeness == Wholeness::TooLong {
            return out.reject(line, too_long(), bytes);
        }
        let is_tail = cut.wholeness == Wholeness::Tail;
        let bytes = bytes.trim_ascii();
        if is_tail && !self.settled && self.shape == Shape::Csv {
            return out.pending(line);
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) if self.shape == Shape::Csv => self.csv(line, text, header.unwrap_or_default(), out),
            Ok(text) => {
                // The scanner's memory is lent out, so that `self` stays free.
                let mut scanner = std::mem::take(&mut self.scanner);
                self.json(&mut scanner, line, text, is_tail, out);
                self.scanner = scanner;
            }
            Err(_) if is_tail && !self.settled => out.pending(line),
            Err(error) => {
                let detail = format!("not UTF-8 at byte {}", error.valid_up_to());
                out.reject(line, Reject::new(RejectReason::NotUtf8, detail), bytes);
            }
        }
    }

    fn json(&mut self, scanner: &mut Scanner, line: u64, text: &str, is_tail: bool, out: &mut dyn Outcomes) {
        let value = match scanner.scan(text) {
            // A bare number or word at the end of a file may be half of one.
            Ok(value) if value.is_object() || value.is_array() || !is_tail => value,
            Ok(_) | Err(_) if is_tail && !self.settled => return out.pending(line),
            Ok(value) => value,
            Err(error) => {
                let reason = if is_tail { RejectReason::CutOff } else { RejectReason::NotJson };
                return out.reject(line, Reject::new(reason, error.to_string()), text.as_bytes());
            }
        };
        // Some gateways write a few entries as an array on one line.
        if value.is_array() && self.shape != Shape::Array {
            for item in value.items() {
                let raw = item.raw();
                self.read(line, Entry::Json(item), raw.as_bytes(), out);
            }
            if value.items().next().is_none() {
                out.skip(line, Skip::NotUsage);
            }
        } else {
            self.read(line, Entry::Json(value), text.as_bytes(), out);
        }
    }

    fn csv(&mut self, line: u64, text: &str, header: &[String], out: &mut dyn Outcomes) {
        let fields = csv_fields(text.as_bytes()).unwrap_or_default();
        if fields.len() != header.len() {
            let detail = format!("{} fields, expected the header's {}", fields.len(), header.len());
            return out.reject(line, Reject::new(RejectReason::NotCsv, detail), text.as_bytes());
        }
        let fields: Vec<Cow<'_, str>> = fields.into_iter().map(Cow::Owned).collect();
        self.read(line, Entry::Csv(CsvRow::new(header, &fields)), text.as_bytes(), out);
    }

    fn read(&mut self, line: u64, entry: Entry<'_>, raw: &[u8], out: &mut dyn Outcomes) {
        if matches!(entry, Entry::Json(value) if !value.is_object()) {
            let found = if let Entry::Json(value) = entry { value.kind_name() } else { "" };
            return out.reject(line, Reject::new(RejectReason::WrongType, format!("{found}, expected an object")), raw);
        }
        let place = Place { raw, file: self.file, line };
        let mut acceptor = Acceptor {
            source: self.source,
            names: self.names,
            place,
            out,
            calls: 0,
            records: 0,
            format: self.format,
            entry: &entry,
            local_times: &mut self.local_times,
            doubtful: None,
        };
        self.format.read(&entry, self.source, &mut acceptor);
        if acceptor.calls == 0 {
            acceptor.out.skip(line, Skip::NotUsage);
        }
    }
}

fn too_long() -> Reject {
    Reject::new(RejectReason::TooLong, "longer than 16 MiB, expected one request")
}

/// Between a format and the outcomes: what all formats share.
struct Acceptor<'o, 'p> {
    source: &'o Source,
    names: &'o Names,
    place: Place<'p>,
    out: &'o mut dyn Outcomes,
    calls: u32,
    records: usize,
    format: &'o dyn Format,
    entry: &'p Entry<'p>,
    local_times: &'o mut LocalTimes,
    /// Of each record, once one is near a change of clocks.
    doubtful: Option<Vec<bool>>,
}

impl Acceptor<'_, '_> {
    /// How clear the time of the last record is.
    fn time_read(&mut self, ts: Instant) -> TimeRead {
        if !self.local_times.may_change(ts) {
            return TimeRead::Clear;
        }
        let doubtful =
            self.doubtful.get_or_insert_with(|| self.local_times.doubtful(self.format, self.entry, self.source));
        let is_doubtful = doubtful.get(self.records - 1).copied().unwrap_or_default();
        if is_doubtful { TimeRead::Doubtful } else { TimeRead::Clear }
    }
}

impl<'a, 'o: 'a> Sink<'a> for Acceptor<'o, '_> {
    fn record(&mut self, found: &mut Found<'a>) {
        self.calls += 1;
        self.records += 1;
        match accept(found, self.source, self.names, self.place) {
            Ok(()) => {
                let time = self.time_read(found.record.ts);
                self.out.record(self.place.line, &found.record, time);
            }
            Err(reject) => self.out.reject(self.place.line, reject, self.place.raw),
        }
    }

    fn skip(&mut self, reason: Skip) {
        self.calls += 1;
        self.out.skip(self.place.line, reason);
    }

    fn reject(&mut self, reject: Reject) {
        self.calls += 1;
        self.out.reject(self.place.line, reject, self.place.raw);
    }
}

/// The first entries of a block, as a format would see them: to recognise it.
pub fn with_first_entries<T>(
    block: &Block,
    shape: Shape,
    most: usize,
    each: &mut dyn FnMut(Entry<'_>) -> Option<T>,
) -> Vec<T> {
    let mut scanner = Scanner::new();
    let mut kept = Vec::new();
    for (_, bytes) in block.entries().take(most) {
        let Ok(text) = std::str::from_utf8(bytes.trim_ascii()) else { continue };
        if shape == Shape::Csv {
            let fields: Vec<Cow<'_, str>> =
                csv_fields(text.as_bytes()).unwrap_or_default().into_iter().map(Cow::Owned).collect();
            kept.extend(each(Entry::Csv(CsvRow::new(block.header.as_deref().unwrap_or_default(), &fields))));
        } else if let Ok(value) = scanner.scan(text) {
            let first: Option<Value<'_>> = if value.is_array() { value.items().next() } else { Some(value) };
            kept.extend(first.and_then(|value| each(Entry::Json(value))));
        }
    }
    kept
}
