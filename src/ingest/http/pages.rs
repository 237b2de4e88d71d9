//! The pages of a window: asked for one after the other until they hold still,
//! scanned, and handed on with where their entries are.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{super::formats::is_nothing, At, Endpoint, Span, Told};
use crate::{
    http::Fault,
    json::{Document, Place, Scanner, Value},
    time::Day,
};

/// How a window ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Ending {
    pub(in super::super) items: u64,
    pub(in super::super) bytes: u64,
    /// Why it was not read to its end.
    pub(in super::super) failure: Option<String>,
    /// It was left out, since its source is known to be out of reach.
    pub(in super::super) is_left: bool,
    /// It changed each time that it was read.
    pub(in super::super) is_moving: bool,
}

/// Why a window was not read to its end.
enum Stop {
    /// In words, with what to do; and the fault, if one of the connection.
    Failed(String, Option<Fault>),
    /// Pages of this size are refused, or too large: smaller ones are chosen now.
    Smaller,
    /// Nobody wants the rest.
    Unwanted,
}

/// Spans with more entries are asked for in parts: some servers count no
/// further than 10,000, and none likes to skip over many.
const MOST_OF_SPAN: u64 = 8_000;
/// Into how many parts, at most.
const MOST_PARTS: u64 = 288;
/// Where the server does not say how many entries there are.
const PARTS_OF_MANY: u64 = 24;
/// How often a span that changes is read.
const PASSES: u32 = 3;
/// Pages one after the other without anything new: the server does not page.
const MOST_STALE: u32 = 3;
/// How often a page is asked for that is no JSON.
const TRIES: u32 = 3;
/// What a page holds is kept until it is parsed, so it is bounded, too: 32 MiB.
const MOST_VALUES: usize = 1 << 21;
/// Selecting by time is no finer with some servers.
const SECOND: i64 = 1_000_000;

/// Who takes the pages of a window; says whether more are wanted.
pub(super) type Taker<'p> = &'p dyn Fn(Page) -> bool;

/// The fetching of a window.
pub(super) struct Pull<'p> {
    endpoint: &'p Endpoint,
    taker: Taker<'p>,
    ending: Ending,
}

/// What one reading of all pages of a span came to.
struct Pass {
    /// The numbers of its entries.
    seen: HashSet<u64>,
    /// As the first page told it, and the last.
    totals: [Option<u64>; 2],
}

/// A page, scanned, with its entries: the number of each, and where it is.
#[derive(Debug)]
pub(in super::super) struct Page {
    document: Document,
    entries: Vec<(u64, Place)>,
}

impl Page {
    pub(in super::super) const fn bytes(&self) -> usize {
        self.document.bytes()
    }

    pub(in super::super) fn entries(&self) -> impl Iterator<Item = (u64, Value<'_>)> {
        self.entries.iter().map(|&(number, place)| (number, self.document.at(place)))
    }
}

/// The memory of pages that were parsed, for those that come: fresh memory costs
/// as much as reading into it.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Vec<(Vec<u8>, Scanner)>>);

impl Memory {
    fn take(&self) -> (Vec<u8>, Scanner) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, page: Page) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(page.document.into_memory());
    }
}

impl<'p> Pull<'p> {
    pub(super) fn new(endpoint: &'p Endpoint, taker: Taker<'p>) -> Self {
        Self { endpoint, taker, ending: Ending::default() }
    }

    pub(super) fn window(mut self, day: Day) -> Ending {
        if self.endpoint.is_given_up() {
            return Ending { is_left: true, ..Ending::default() };
        }
        if let Err(Stop::Failed(failure, fault)) = self.span(Span::of(day)) {
            self.endpoint.failed(fault.as_ref());
            self.ending.failure = Some(failure);
        }
        self.ending
    }

    /// All entries of a span, read until it holds still.
    fn span(&mut self, span: Span) -> Result<(), Stop> {
        let (mut before, mut passes) = (None, 0);
        while passes < PASSES {
            let pass = match self.pass(span, passes == 0) {
                Ok(Some(pass)) => pass,
                // It was read in parts.
                Ok(None) => return Ok(()),
                Err(Stop::Smaller) => continue,
                Err(stop) => return Err(stop),
            };
            passes += 1;
            let [first_total, last_total] = pass.totals;
            let is_whole = last_total.is_none_or(|total| pass.seen.len() as u64 >= total);
            let is_still = first_total == last_total;
            // Some servers count an entry twice: what is the same again holds still, too.
            if is_still && (is_whole || before.as_ref() == Some(&pass.seen)) {
                return Ok(());
            }
            before = Some(pass.seen).filter(|_| is_still);
            tracing::debug!(place = self.endpoint.place, from = %span.from, passes, "changed while it was read");
        }
        self.ending.is_moving = true;
        Ok(())
    }

    /// All pages of a span, once; in parts where there are many entries and it
    /// `may_divide`, which is no pass.
    fn pass(&mut self, span: Span, may_divide: bool) -> Result<Option<Pass>, Stop> {
        // The number of a page means something beside its size alone.
        let choice = self.endpoint.size.load(Ordering::Relaxed);
        let mut seen = HashSet::new();
        let (mut at, mut first_total, mut stale) = (self.endpoint.api.first(), None, 0);
        loop {
            let (page, Told { next, total, is_capped }) = self.page(span, &at, choice)?;
            let is_many = is_capped || total > Some(MOST_OF_SPAN);
            if may_divide && first_total.is_none() && is_many && is_divisible(span) {
                return self.parts(span, total.filter(|_| !is_capped)).map(|()| None);
            }
            first_total = first_total.or(total);
            let known = seen.len();
            seen.extend(page.entries.iter().map(|(number, _)| number));
            stale = if seen.len() > known { 0 } else { stale + 1 };
            self.hand_on(page)?;
            match next {
                Some(_) if stale >= MOST_STALE => return Err(self.unusable(NO_PAGES)),
                Some(next) => at = next,
                None => return Ok(Some(Pass { seen, totals: [first_total, total] })),
            }
        }
    }

    fn parts(&mut self, span: Span, total: Option<u64>) -> Result<(), Stop> {
        let seconds = (span.until.micros() - span.from.micros()) / SECOND;
        let parts = total.map_or(PARTS_OF_MANY, |total| total.div_ceil(MOST_OF_SPAN * 3 / 4)).clamp(2, MOST_PARTS);
        let parts = i64::try_from(parts).unwrap_or(2).min(seconds);
        let at = |part: i64| span.from.plus_micros(seconds * part / parts * SECOND);
        for part in 0..parts {
            let until = if part + 1 == parts { span.until } else { at(part + 1) };
            self.span(Span { from: at(part), until })?;
        }
        Ok(())
    }

    fn hand_on(&mut self, page: Page) -> Result<(), Stop> {
        self.ending.bytes += page.bytes() as u64;
        self.ending.items += page.entries.len() as u64;
        if (self.taker)(page) { Ok(()) } else { Err(Stop::Unwanted) }
    }

    /// Asks for a page; again where what comes cannot be used.
    fn page(&self, span: Span, at: &At, choice: usize) -> Result<(Page, Told), Stop> {
        let size = self.endpoint.api.page_sizes()[choice];
        let mut tries = 1;
        loop {
            let (memory, scanner) = self.endpoint.memory.take();
            let body = self.body(span, at, choice, memory)?;
            match read(self.endpoint, scanner, body, at, size) {
                Ok((page, _)) if page.document.values() > MOST_VALUES && self.chooses_smaller(choice) => {
                    return Err(Stop::Smaller);
                }
                Ok(page) => return Ok(page),
                Err(_) if tries < TRIES => tries += 1,
                Err(cause) => return Err(self.unusable(&cause)),
            }
        }
    }

    fn body(&self, span: Span, at: &At, choice: usize, memory: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let api = self.endpoint.api;
        let error = match self.endpoint.ask(api.query(span, at, api.page_sizes()[choice]), memory) {
            Ok(answer) => return Ok(answer.body),
            Err(error) => error,
        };
        let is_too_much = match error.fault.last() {
            Fault::TooLarge { .. } => true,
            Fault::Refused { status: 400 | 422, .. } => *at == api.first(),
            _ => false,
        };
        if is_too_much && self.chooses_smaller(choice) {
            return Err(Stop::Smaller);
        }
        Err(Stop::Failed(error.with_advice(), Some(error.fault)))
    }

    /// Chooses the next smaller pages, if there are any.
    fn chooses_smaller(&self, choice: usize) -> bool {
        let is_there = choice + 1 < self.endpoint.api.page_sizes().len();
        if is_there {
            // Another window may have found out meanwhile.
            self.endpoint.size.fetch_max(choice + 1, Ordering::Relaxed);
        }
        is_there
    }

    fn unusable(&self, cause: &str) -> Stop {
        Stop::Failed(format!("{}: {CHECK_URL}", unusable(self.endpoint, cause)), None)
    }
}

const NO_PAGES: &str = "page after page holds the same entries";

pub(super) const CHECK_URL: &str = "check that `url` leads to what `format` says";

fn unusable(endpoint: &Endpoint, cause: &str) -> String {
    format!("`{}` gave an answer that cannot be used: {cause}", endpoint.place)
}

/// Whether parts of it can be asked for.
fn is_divisible(span: Span) -> bool {
    span.until.micros() - span.from.micros() >= 2 * SECOND
}

/// Scans an answer, and finds its entries.
fn read(endpoint: &Endpoint, scanner: Scanner, body: Vec<u8>, at: &At, size: u32) -> Result<(Page, Told), String> {
    let text = String::from_utf8(body);
    let text = text.map_err(|error| format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()))?;
    let document = Document::scan(text, scanner).map_err(|error| format!("not JSON: {error}"))?;
    let id = endpoint.api.id();
    let items = items(endpoint, document.value())?.items();
    let entries: Vec<_> = items.map(|item| (number(item, id), item.place())).collect();
    let told = endpoint.api.told(document.value(), at, size, entries.len());
    Ok((Page { document, entries }, told))
}

/// The list in an answer.
fn items<'v>(endpoint: &Endpoint, answer: Value<'v>) -> Result<Value<'v>, String> {
    let name = endpoint.api.holds();
    let items = answer.get(name).filter(|items| items.is_array());
    items.ok_or_else(|| format!("no list `{name}` is in it"))
}

/// How many entries are in an answer.
pub(super) fn count(endpoint: &Endpoint, body: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(body);
    let mut scanner = Scanner::new();
    let value = scanner.scan(&text).map_err(|error| unusable(endpoint, &format!("not JSON: {error}")))?;
    items(endpoint, value).map(|items| items.items().count()).map_err(|cause| unusable(endpoint, &cause))
}

/// A number that an entry has wherever it stands: made from its id, else from its
/// bytes. So long that no two entries of a day share one by chance, and so short
/// that every program can read it.
fn number(item: Value<'_>, id: &str) -> u64 {
    let known = item.get(id).filter(|_| item.is_object()).and_then(Value::text).filter(|id| !is_nothing(id.trim()));
    let hash = known.map_or_else(|| xxh3_64(item.raw().as_bytes()), |id| xxh3_64(id.as_bytes()));
    hash >> 11 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn a_number_depends_on_the_id_alone() {
        let of = |text: &str| number(Scanner::new().scan(text).unwrap(), "id");
        assert_eq!(of(r#"{"id":"a","x":1}"#), of(r#"{ "x":2, "id":"a"}"#));
        assert_ne!(of(r#"{"id":"a"}"#), of(r#"{"id":"b"}"#));
        assert_eq!(of(r#"{"id":null,"x":1}"#), of(r#"{"id":null,"x":1}"#));
        assert_ne!(of(r#"{"id":"None","x":1}"#), of(r#"{"id":"None","x":2}"#));
        assert_ne!(of("1"), of("\"id\""));
        assert!((0..1_000).all(|at| (1..1 << 53).contains(&of(&format!("{{\"id\":\"{at}\"}}")))));
    }

    #[test]
    fn parts_of_a_second_are_not_asked_for() {
        let span = |micros| Span { from: Instant::from_micros(0), until: Instant::from_micros(micros) };
        assert!(is_divisible(span(2 * SECOND)));
        assert!(!is_divisible(span(2 * SECOND - 1)));
    }
}
