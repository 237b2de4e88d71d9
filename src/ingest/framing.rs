//! Framing: a stream of bytes cut into blocks of whole entries.
//!
//! An entry is a line, a JSON value that is printed over many lines, an element
//! of a top-level JSON array, or a CSV row.
//! Memory stays bounded whatever comes: an entry longer than [`MAX_ENTRY`] is
//! passed over (and reported), and blocks are handed on as they fill. What an
//! entry means is left to the formats.

mod splitter;

use std::{
    io::{self, Read},
    sync::Arc,
};

use memchr::{memchr, memchr_iter, memrchr};
use splitter::Splitter;
use xxhash_rust::xxh3::Xxh3;

/// Longer entries are reported, not read.
pub const MAX_ENTRY: usize = 16 << 20;

/// About how much is handed on at once.
const BLOCK: usize = 1 << 19;

/// How much of an entry that is too long is kept, to show where it began.
pub(super) const KEPT_OF_TOO_LONG: usize = 256;

/// How a file's entries are told apart, known from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Lines,
    /// JSON values one after the other, printed over many lines each.
    Values,
    Array,
    Csv,
}

/// Whether an entry is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wholeness {
    Whole,
    /// The file ends inside it, or after it without a line end.
    Tail,
    /// Longer than [`MAX_ENTRY`]: only a piece of it is here.
    TooLong,
}

/// One entry in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    start: usize,
    end: usize,
    /// The line on which it begins, or in an array its number, from 1.
    pub number: u64,
    pub wholeness: Wholeness,
}

/// A run of whole entries.
#[derive(Debug)]
pub struct Block {
    pub bytes: Vec<u8>,
    cuts: Cuts,
    /// The names in a CSV file's header line.
    pub header: Option<Arc<[String]>>,
}

#[derive(Debug)]
enum Cuts {
    /// Every line is an entry; the first has this number.
    Lines(u64),
    At(Vec<Cut>),
}

impl Block {
    /// The entries, blank lines left out.
    pub fn entries(&self) -> Box<dyn Iterator<Item = (Cut, &[u8])> + '_> {
        match &self.cuts {
            Cuts::Lines(first) => Box::new(lines(&self.bytes, *first)),
            Cuts::At(cuts) => Box::new(cuts.iter().map(|&cut| (cut, &self.bytes[cut.start..cut.end]))),
        }
    }

    /// Whether it is only the end of a file, without a line end.
    pub fn is_tail(&self) -> bool {
        self.entries().all(|(cut, _)| cut.wholeness == Wholeness::Tail)
    }
}

fn lines(bytes: &[u8], first: u64) -> impl Iterator<Item = (Cut, &[u8])> {
    let mut start = 0;
    let mut number = first;
    std::iter::from_fn(move || {
        loop {
            if start >= bytes.len() {
                return None;
            }
            let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
            let cut = Cut { start, end, number, wholeness: Wholeness::Whole };
            start = end + 1;
            number += 1;
            let line = bytes[cut.start..cut.end].trim_ascii();
            if !line.is_empty() {
                return Some((cut, line));
            }
        }
    })
}

/// How far a file was read: up to a line end, and a digest of all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    pub lines: u64,
    pub digest: u64,
}

/// Cuts one stream.
pub struct Framer<R> {
    input: R,
    shape: Shape,
    /// Read, and not handed on yet.
    buffer: Vec<u8>,
    /// The memory of a block that was given back: fresh memory costs as much as
    /// reading into it.
    spare: Vec<u8>,
    ended: bool,
    failure: Option<io::Error>,
    /// Of the next line or element.
    number: u64,
    splitter: Splitter,
    /// How far the splitter has come in the buffer.
    scanned: usize,
    header: Option<Arc<[String]>>,
    consumed: u64,
    digest: Xxh3,
    /// The file ended inside a line that was too long to be kept.
    ended_inside: bool,
}

impl<R: Read> std::fmt::Debug for Framer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framer").field("shape", &self.shape).field("number", &self.number).finish_non_exhaustive()
    }
}

impl<R: Read> Framer<R> {
    /// Looks at the first bytes of a stream; `csv` says whether its format can
    /// be CSV.
    pub fn new(input: R, csv: bool) -> Self {
        let mut framer = Self {
            input,
            shape: Shape::Lines,
            buffer: Vec::new(),
            spare: Vec::new(),
            ended: false,
            failure: None,
            number: 1,
            splitter: Splitter::default(),
            scanned: 0,
            header: None,
            consumed: 0,
            digest: Xxh3::new(),
            ended_inside: false,
        };
        framer.fill(BLOCK);
        if framer.buffer.starts_with(b"\xef\xbb\xbf") {
            framer.hand_on(3);
        }
        let first = framer.buffer.iter().copied().find(|byte| !byte.is_ascii_whitespace());
        framer.shape = match first {
            Some(b'[') if !framer.first_line_is_json_array() => Shape::Array,
            Some(b'{') if framer.first_value_spans_lines() => Shape::Values,
            Some(b'{' | b'[') | None => Shape::Lines,
            Some(_) if csv => Shape::Csv,
            Some(_) => Shape::Lines,
        };
        framer
    }

    /// Goes on with a file of lines where an earlier reading stopped; `digest`
    /// has seen all before.
    pub fn resume(input: R, progress: Progress, digest: Xxh3) -> Self {
        Self {
            input,
            shape: Shape::Lines,
            buffer: Vec::new(),
            spare: Vec::new(),
            ended: false,
            failure: None,
            number: progress.lines + 1,
            splitter: Splitter::default(),
            scanned: 0,
            header: None,
            consumed: progress.bytes,
            digest,
            ended_inside: false,
        }
    }

    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How far whole lines have been handed on.
    pub fn progress(&self) -> Progress {
        Progress { bytes: self.consumed, lines: self.number - 1, digest: self.digest.digest() }
    }

    /// Whether a file that grows can be read on from where this reading ended.
    pub fn is_resumable(&self) -> bool {
        self.shape == Shape::Lines && !self.ended_inside
    }

    /// What went wrong while reading, after the last block.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Some gateways write an array of a few entries on every line: then the
    /// first line is complete in itself and another line follows.
    fn first_line_is_json_array(&self) -> bool {
        let start = self.buffer.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
        let text = &self.buffer[start..];
        let Some(end) = memchr(b'\n', text) else { return false };
        let more = text[end..].iter().any(|byte| !byte.is_ascii_whitespace());
        more && text[..end].trim_ascii_end().ends_with(b"]")
            && std::str::from_utf8(&text[..end]).is_ok_and(|line| crate::json::Scanner::new().scan(line).is_ok())
    }

    /// Some tools print JSON over many lines: then the first line is none in
    /// itself, and the first value, as far as it is there, goes on after it.
    fn first_value_spans_lines(&self) -> bool {
        let text = match std::str::from_utf8(&self.buffer) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&self.buffer[..error.valid_up_to()]).unwrap_or_default(),
        };
        let text = text.trim_ascii_start();
        let mut scanner = crate::json::Scanner::new();
        let Some(first_line) = memchr(b'\n', text.as_bytes()).map(|end| &text[..end]) else { return false };
        if scanner.scan(first_line).is_ok() {
            return false;
        }
        let mut cuts = Vec::new();
        Splitter::of_first().scan(Shape::Values, text.as_bytes(), 0, &mut 1, &mut cuts);
        match cuts.first() {
            Some(first) => first.end > first_line.len() && scanner.scan(&text[first.start..first.end]).is_ok(),
            // A word or an escape may be cut in two.
            None => scanner.scan(text).is_err_and(|error| error.at + "false".len() >= text.len()),
        }
    }

    /// Reads about `more` bytes into the buffer, or to the end.
    fn fill(&mut self, more: usize) {
        if self.ended {
            return;
        }
        let limit = u64::try_from(more).unwrap_or(u64::MAX);
        self.buffer.reserve(more);
        match self.input.by_ref().take(limit).read_to_end(&mut self.buffer) {
            Ok(read) => self.ended = read < more,
            Err(error) => {
                self.failure = Some(error);
                self.ended = true;
            }
        }
    }

    /// Takes the first `count` bytes off the buffer.
    fn hand_on(&mut self, count: usize) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.spare);
        rest.extend_from_slice(&self.buffer[count..]);
        let mut taken = std::mem::replace(&mut self.buffer, rest);
        taken.truncate(count);
        self.digest.update(&taken);
        self.consumed += count as u64;
        taken
    }

    /// Takes a block's memory back, to read into it.
    pub fn give_back(&mut self, block: Block) {
        if block.bytes.capacity() <= 4 * BLOCK {
            self.spare = block.bytes;
            self.spare.clear();
        }
    }

    /// The next block, or `None` at the end.
    pub fn next_block(&mut self) -> Option<Block> {
        match self.shape {
            Shape::Lines => self.next_lines(),
            Shape::Values | Shape::Array | Shape::Csv => self.next_split(),
        }
    }

    fn next_lines(&mut self) -> Option<Block> {
        loop {
            if self.buffer.len() < BLOCK {
                self.fill(BLOCK);
            }
            if let Some(end) = memrchr(b'\n', &self.buffer) {
                let first = self.number;
                let bytes = self.hand_on(end + 1);
                self.number += memchr_iter(b'\n', &bytes).count() as u64;
                return Some(Block { bytes, cuts: Cuts::Lines(first), header: None });
            }
            if self.ended {
                let bytes = std::mem::take(&mut self.buffer);
                if bytes.trim_ascii().is_empty() {
                    return None;
                }
                return Some(single(bytes, self.number, Wholeness::Tail));
            }
            if self.buffer.len() > MAX_ENTRY {
                return Some(self.pass_over_line());
            }
            let room = MAX_ENTRY + 1 - self.buffer.len();
            self.fill(self.buffer.len().max(BLOCK).min(room));
        }
    }

    /// Drops a line that is too long, but for its beginning.
    fn pass_over_line(&mut self) -> Block {
        let number = self.number;
        let kept = self.buffer[..KEPT_OF_TOO_LONG].to_vec();
        loop {
            if let Some(end) = memchr(b'\n', &self.buffer) {
                self.hand_on(end + 1);
                self.number += 1;
                break;
            }
            let all = self.buffer.len();
            self.hand_on(all);
            if self.ended {
                self.ended_inside = true;
                break;
            }
            self.fill(BLOCK);
        }
        single(kept, number, Wholeness::TooLong)
    }

    fn next_split(&mut self) -> Option<Block> {
        let mut cuts = Vec::new();
        loop {
            if self.scanned < self.buffer.len() {
                let from = self.scanned;
                self.scanned = self.splitter.scan(self.shape, &self.buffer, from, &mut self.number, &mut cuts);
            } else if !self.ended && (cuts.is_empty() || self.buffer.len() < BLOCK) {
                if self.splitter.begun.is_some() && cuts.is_empty() && self.buffer.len() > MAX_ENTRY {
                    // Too long: what was read of it is dropped, and the rest as it comes.
                    self.splitter.too_long = true;
                    self.splitter.begun = Some(0);
                    self.scanned = 0;
                    let all = self.buffer.len();
                    self.hand_on(all);
                }
                self.fill(BLOCK);
                continue;
            }
            let is_full = self.scanned >= BLOCK && !cuts.is_empty();
            if is_full || (self.ended && self.scanned == self.buffer.len()) {
                break;
            }
        }
        if self.ended && self.scanned == self.buffer.len() {
            self.cut_tail(&mut cuts);
        }
        // An entry that has begun goes into the next block.
        let count = self.splitter.begun.unwrap_or(self.scanned);
        self.scanned -= count;
        self.splitter.begun = self.splitter.begun.map(|_| 0);
        let bytes = self.hand_on(count);
        self.take_header(&bytes, &mut cuts);
        if cuts.is_empty() && self.ended && self.buffer.is_empty() {
            return None;
        }
        Some(Block { bytes, cuts: Cuts::At(cuts), header: self.header.clone() })
    }

    /// The entry inside which the file ends.
    fn cut_tail(&mut self, cuts: &mut Vec<Cut>) {
        if let Some(start) = self.splitter.begun.take() {
            let wholeness = if self.splitter.too_long { Wholeness::TooLong } else { Wholeness::Tail };
            cuts.push(Cut { start, end: self.buffer.len(), number: self.splitter.number, wholeness });
        }
    }

    /// The first row of a CSV file is its header.
    fn take_header(&mut self, bytes: &[u8], cuts: &mut Vec<Cut>) {
        if self.shape != Shape::Csv || self.header.is_some() || cuts.is_empty() {
            return;
        }
        let first = cuts.remove(0);
        let text = String::from_utf8_lossy(&bytes[first.start..first.end]);
        let names = csv_fields(text.as_bytes()).unwrap_or_default();
        self.header = Some(names.iter().map(|name| name.trim().to_owned()).collect());
    }
}

fn single(bytes: Vec<u8>, number: u64, wholeness: Wholeness) -> Block {
    let cut = Cut { start: 0, end: bytes.len(), number, wholeness };
    Block { bytes, cuts: Cuts::At(vec![cut]), header: None }
}

/// The fields of one CSV row; `None` where they are not UTF-8.
pub fn csv_fields(row: &[u8]) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(row);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Some(record.iter().map(str::to_owned).collect()),
        Ok(false) => Some(Vec::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries as `number: text`, with `~` before a tail and `!` before one too long.
    fn check<'a>(text: &'a [u8], csv: bool, expect: &[&str]) -> Framer<&'a [u8]> {
        let mut framer = Framer::new(text, csv);
        let mut found = Vec::new();
        while let Some(block) = framer.next_block() {
            for (cut, bytes) in block.entries() {
                let mark = match cut.wholeness {
                    Wholeness::Whole => "",
                    Wholeness::Tail => "~",
                    Wholeness::TooLong => "!",
                };
                found.push(format!("{mark}{}: {}", cut.number, String::from_utf8_lossy(&bytes[..bytes.len().min(20)])));
            }
        }
        assert_eq!(found, expect);
        framer
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_left_out() {
        check(b"", false, &[]);
        check(b"{}\n{}\n", false, &["1: {}", "2: {}"]);
        check(b"\xef\xbb\xbf{}\r\n\n  \n{\"a\":1}", false, &["1: {}", "~4: {\"a\":1}"]);
        check(b"not json\nat all", false, &["1: not json", "~2: at all"]);
        check(b"[{}]\n[{},{}]\n", false, &["1: [{}]", "2: [{},{}]"]);
    }

    #[test]
    fn values_over_many_lines_are_entries() {
        let check = |text: &str, expect: &[&str]| drop(check(text.as_bytes(), false, expect));
        check("{\n  \"a\": \"}\\\"{\"\n}\n", &["1: {\n  \"a\": \"}\\\"{\"\n}"]);
        check("\n{\n\"a\":[\n1]}\n\n{\"b\":2}{\n}\n3\n", &["2: {\n\"a\":[\n1]}", "6: {\"b\":2}", "6: {\n}", "8: 3"]);
        // The end of it may still come.
        check("{\n  \"a\": 1,\n", &["~1: {\n  \"a\": 1,\n"]);
        check("{\n  \"a\": tr", &["~1: {\n  \"a\": tr"]);
        check("{\n}\n{\n  \"a\"", &["1: {\n}", "~3: {\n  \"a\""]);
        // A string that is never closed spoils its value, and no other.
        check("{\n\"a\":1}\n{\"b\n}\n{\n}", &["1: {\n\"a\":1}", "3: {\"b\n}", "5: {\n}"]);
    }

    #[test]
    fn lines_of_which_the_first_is_broken_stay_lines() {
        let check = |text: &str, expect: &[&str]| drop(check(text.as_bytes(), false, expect));
        check("{\"a\":1,\n{\"b\":2}\n", &["1: {\"a\":1,", "2: {\"b\":2}"]);
        check("{\"a\":\"x\n{\"b\":2}\n", &["1: {\"a\":\"x", "2: {\"b\":2}"]);
        check("{\"a\":1} x\n{\"b\":2}\n", &["1: {\"a\":1} x", "2: {\"b\":2}"]);
        check("{x\n{\"b\":2}\n", &["1: {x", "2: {\"b\":2}"]);
        check("{\"a\":[\n{\"b\":2}\n{\"b\":3}\n", &["1: {\"a\":[", "2: {\"b\":2}", "3: {\"b\":3}"]);
    }

    #[test]
    fn elements_of_an_array_are_entries() {
        check(b"[]", false, &[]);
        check(b" [ {\"a\":[1,\"]}\\\"\"]} ,\n {\"b\":{}}\n]\n", false, &["1: {\"a\":[1,\"]}\\\"\"]}", "2: {\"b\":{}}"]);
        check(b"[1,\"x\"]", false, &["1: 1", "2: \"x\""]);
        check(b"[{\"a\":1},{\"b\"", false, &["1: {\"a\":1}", "~2: {\"b\""]);
    }

    #[test]
    fn rows_of_csv_may_span_lines() {
        check(b"a,b\n1,\"x\ny\"\n2,\"\"\"\"\n", true, &["2: 1,\"x\ny\"", "4: 2,\"\"\"\""]);
        let framer = check(b"a,b\r\n1,2\r\n3,4", true, &["2: 1,2\r", "~3: 3,4"]);
        assert_eq!(framer.header.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        check(b"a,b\n1,\"never closed\n2,3\n", true, &["~2: 1,\"never closed\n2,3\n"]);
    }

    #[test]
    fn entries_that_are_too_long_are_passed_over() {
        let long = vec![b'x'; MAX_ENTRY + 5_000_000];
        let text = [b"{}\n".as_slice(), &long, b"\n{\"z\":1}\n"].concat();
        check(&text, false, &["1: {}", "!2: xxxxxxxxxxxxxxxxxxxx", "3: {\"z\":1}"]);
        let text = [b"[{},\"".as_slice(), &long, b"\",{\"z\":1}]"].concat();
        check(&text, false, &["1: {}", "!2: xxxxxxxxxxxxxxxxxxxx", "3: {\"z\":1}"]);
        let text = [b"{\n\"a\":\"".as_slice(), &long, b"\"}\n{\"z\":1}\n"].concat();
        check(&text, false, &["!1: xxxxxxxxxxxxxxxxxxxx", "3: {\"z\":1}"]);
        check(&long, false, &["!1: xxxxxxxxxxxxxxxxxxxx"]);
    }

    #[test]
    fn many_blocks_lose_nothing() {
        for (text, csv) in [
            ((0..200_000).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>(), false),
            (format!("[{}]", (0..200_000).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>().join(",")), false),
            ((0..=200_000).map(|n| format!("{n},x\n")).collect::<String>(), true),
        ] {
            let mut framer = Framer::new(text.as_bytes(), csv);
            let mut numbers = Vec::new();
            while let Some(block) = framer.next_block() {
                numbers.extend(block.entries().map(|(cut, _)| cut.number));
            }
            let first = if csv { 2 } else { 1 };
            assert_eq!(numbers, (first..first + 200_000).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn a_reading_can_go_on_where_it_stopped() {
        let text = b"{\"a\":1}\n{\"b\":2}\n{\"c\"";
        let mut framer = check(text, false, &["1: {\"a\":1}", "2: {\"b\":2}", "~3: {\"c\""]);
        let progress = framer.progress();
        assert_eq!((progress.bytes, progress.lines), (16, 2));
        assert!(framer.failure().is_none());
        let mut digest = Xxh3::new();
        digest.update(&text[..16]);
        assert_eq!(digest.digest(), progress.digest);
        let mut framer = Framer::resume(&b"{\"c\":3}\n"[..], progress, digest);
        let block = framer.next_block().unwrap();
        assert_eq!(block.entries().next().unwrap().0.number, 3);
    }
}
