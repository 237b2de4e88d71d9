//! What could not be understood: file, line, reason, and an excerpt from which
//! texts and credentials are taken out.
//!
//! One JSON-lines file per log file, written in one step with the night's
//! other results. Its entries depend only on the log file, so reading it again
//! changes nothing.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::formats::{Reject, RejectReason};
use crate::{
    book::{Book, BookError},
    config::Users,
    secrets,
    tally::Reasons,
};

/// Entries kept per log file; of a file that is no log at all, the rest is
/// only counted.
pub const MOST: usize = 10_000;

/// How much of a broken entry is shown.
const EXCERPT: usize = 240;

/// One broken entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Broken {
    pub line: u64,
    pub reason: String,
    pub detail: String,
    /// Its length in bytes, and a digest by which it can be found again.
    pub bytes: u64,
    pub digest: String,
    pub excerpt: String,
}

impl Broken {
    /// Where users are not to be stored, no text of the entry is shown either.
    pub fn new(line: u64, reject: &Reject, raw: &[u8], users: Users) -> Self {
        Self {
            line,
            reason: reject.reason.name().to_owned(),
            detail: secrets::redact(&reject.detail).into_owned(),
            bytes: raw.len() as u64,
            digest: format!("{:016x}", xxh3_64(raw)),
            excerpt: excerpt(raw, reject.reason == RejectReason::TooLong, users == Users::Plain),
        }
    }
}

/// A file's broken entries, the first [`MOST`] of them by line.
#[derive(Debug, Clone, Default)]
pub struct BrokenFile {
    entries: BTreeMap<u64, Vec<Broken>>,
    kept: usize,
    /// How many more there are, by reason.
    more: Reasons,
}

impl BrokenFile {
    pub fn add(&mut self, broken: Broken) {
        self.entries.entry(broken.line).or_default().push(broken);
        self.kept += 1;
        // The first lines stay, in whatever order threads report them.
        if self.kept > MOST
            && let Some(mut last) = self.entries.last_entry()
        {
            if let Some(dropped) = last.get_mut().pop() {
                *self.more.entry(dropped.reason).or_default() += 1;
                self.kept -= 1;
            }
            if last.get().is_empty() {
                last.remove();
            }
        }
    }

    pub fn append(&mut self, other: Self) {
        for (reason, count) in other.more {
            *self.more.entry(reason).or_default() += count;
        }
        other.entries.into_values().flatten().for_each(|broken| self.add(broken));
    }

    fn to_json_lines(&self, file: &str) -> String {
        let mut text = String::new();
        for broken in self.entries.values().flatten() {
            let line = Line { file: file.to_owned(), entry: Some(broken.clone()), more: None };
            text.push_str(&serde_json::to_string(&line).unwrap_or_default());
            text.push('\n');
        }
        if !self.more.is_empty() {
            let line = Line { file: file.to_owned(), entry: None, more: Some(self.more.clone()) };
            text.push_str(&serde_json::to_string(&line).unwrap_or_default());
            text.push('\n');
        }
        text
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    file: String,
    #[serde(flatten)]
    entry: Option<Broken>,
    /// Beyond the entries above, by reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<Reasons>,
}

/// What of an earlier reading of the file still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Nothing: all of it was read again in another way.
    Nothing,
    /// The lines up to this one: the reading went on after it.
    UpTo(u64),
    /// The file was read from its beginning: all of it, since its name may now
    /// belong to other content, but for an end that was cut off then.
    Whole,
}

/// Writes what is broken in a file, beside what holds of earlier readings, of
/// which so many were only counted. Returns how many that are now.
///
/// # Errors
/// Where the book cannot be read or written.
pub fn store(
    book: &Book,
    source: &str,
    file: &str,
    found: BrokenFile,
    earlier: Earlier,
    counted: &Reasons,
) -> Result<Reasons, BookError> {
    let path = Path::from(format!("quarantine/source={source}/{:016x}.jsonl", xxh3_64(file.as_bytes())));
    let before = book.get(&path)?;
    let mut all = found;
    if let Some(bytes) = before.as_ref().filter(|_| earlier != Earlier::Nothing) {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            let holds = |broken: &Broken| match earlier {
                Earlier::UpTo(line) => broken.line <= line,
                Earlier::Nothing | Earlier::Whole => broken.reason != RejectReason::CutOff.name(),
            };
            let known = |broken: &Broken| all.entries.get(&broken.line).is_some_and(|at| at.contains(broken));
            if let Some(broken) = line.entry.filter(|broken| holds(broken) && !known(broken)) {
                all.add(broken);
            }
            for (reason, count) in line.more.into_iter().flatten().filter(|_| earlier == Earlier::Whole) {
                let more = all.more.entry(reason).or_default();
                *more = count.max(*more);
            }
        }
    }
    if let Earlier::UpTo(_) = earlier {
        for (reason, count) in counted {
            *all.more.entry(reason.clone()).or_default() += count;
        }
    }
    let text = all.to_json_lines(file);
    if before.as_ref().is_none_or(|before| before != text.as_bytes()) {
        if !text.is_empty() {
            book.put(&path, text.into())?;
        } else if before.is_some() {
            book.delete(&path)?;
        }
    }
    Ok(all.more)
}

/// What is in quarantine of a source, with the file of each entry.
///
/// # Errors
/// Where the book cannot be read.
pub fn read(book: &Book, source: &str) -> Result<Vec<(String, Broken)>, BookError> {
    let mut found = Vec::new();
    for path in book.list(&Path::from(format!("quarantine/source={source}")))? {
        let bytes = book.get(&path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        found.extend(lines.filter_map(|line| Some((line.file, line.entry?))));
    }
    found.sort();
    Ok(found)
}

/// The shape of an entry without its texts: names, numbers and, if they may be
/// `shown`, short words stay; anything that may be part of a prompt or an answer
/// becomes its length. A `piece` is the beginning of an entry, the rest was
/// never kept.
fn excerpt(raw: &[u8], piece: bool, shown: bool) -> String {
    let is_cut = piece || raw.len() > 4 * EXCERPT;
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * EXCERPT)]);
    let redacted = secrets::redact(if is_cut { secrets::without_cut_word(&text) } else { &text });
    let safe = if redacted.trim_start().starts_with(['{', '[']) {
        masked_json(&redacted, shown)
    } else {
        masked_words(&redacted, shown)
    };
    let mut short: String = safe.chars().take(EXCERPT).collect();
    if short.len() < safe.len() || is_cut {
        short.push('…');
    }
    short
}

/// A name in JSON is shown if it is short and without a blank, and so is a text
/// where texts may be shown.
fn masked_json(text: &str, shown: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        out.push_str(&masked_between(&rest[..start]));
        out.push('"');
        rest = &rest[start + 1..];
        let end = closing_quote(rest);
        let inside = &rest[..end];
        let is_name = rest[end..].trim_start_matches('"').trim_start().starts_with(':');
        if (shown || is_name) && could_be_a_name(inside) {
            out.push_str(inside);
        } else {
            out.push_str(&masked(inside));
        }
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('"') {
            out.push('"');
            rest = after;
        }
    }
    out + &masked_between(rest)
}

/// Short, and neither a sentence nor an escaped text.
fn could_be_a_name(text: &str) -> bool {
    text.len() <= 64 && text.is_ascii() && !text.contains(|char: char| char.is_ascii_whitespace() || char == '\\')
}

fn masked(text: &str) -> String {
    format!("…{} chars…", text.chars().count())
}

/// Between the texts of JSON stand numbers, brackets and a few words. Where a
/// quote is missing, the texts themselves stand there.
fn masked_between(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|char: char| !char.is_alphanumeric()) {
        let letters = word.trim_end_matches(|char: char| !char.is_alphanumeric());
        let is_known = matches!(letters, "" | "true" | "false" | "null" | "True" | "False" | "None" | "NaN");
        let is_number = letters.starts_with(|char: char| char.is_ascii_digit()) && letters.len() <= 20;
        if is_known || is_number {
            out.push_str(word);
        } else {
            out.push_str(&word.replace(letters, "…"));
        }
    }
    out
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Of what is no JSON, the first word: the rest may be prose.
fn masked_words(text: &str, shown: bool) -> String {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let first = Some(&text[..end]).filter(|word| shown && could_be_a_name(word)).unwrap_or_default();
    let rest = &text[first.len()..];
    if rest.is_empty() { first.to_owned() } else { format!("{first}{}", masked(rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(line: u64, raw: &str) -> Broken {
        Broken::new(
            line,
            &Reject::new(RejectReason::NotJson, "expected a value at byte 0"),
            raw.as_bytes(),
            Users::Plain,
        )
    }

    #[test]
    fn excerpts_show_the_shape_and_not_the_texts() {
        let secret = "gsk_CanaryCanaryCanary0123456789";
        for (raw, expect) in [
            (r#"{"model":"m","prompt":"tell me a secret","n":5"#, r#"{"model":"m","prompt":"…16 chars…","n":5"#),
            (r#"{"a":"never closed and long enough to"#, r#"{"a":"…31 chars…"#),
            (r#"{"a":"x,"b":"my secret wish",true,1.5e3"#, r#"{"a":"x,"…":"… … …",true,1.5e3"#),
            (r#"{"a":"我的愿望","b":"\u0067o"}"#, r#"{"a":"…4 chars…","b":"…7 chars…"}"#),
            ("GET /healthz", "GET…9 chars…"),
            ("2026-06-01,m,12", "2026-06-01,m,12"),
            ("a line of prose that goes on for quite a while", "a…45 chars…"),
        ] {
            assert_eq!(excerpt(raw.as_bytes(), false, true), expect);
        }
        let raw = format!("{{\"key\":\"{secret}\",\"more\":1");
        assert!(!excerpt(raw.as_bytes(), false, true).contains("Canary"));
        for end in 0..raw.len() {
            assert!(!excerpt(&raw.as_bytes()[..end], true, true).contains("Canary"), "{end}");
        }
        assert!(excerpt(&b"{\"a\":1,".repeat(1000), false, true).ends_with('…'));
        // A credential at the place where the entry is cut off.
        for before in 4 * EXCERPT - 40..4 * EXCERPT {
            let raw = format!("{{\"prompt\":\"{}\",\"key\":\"{secret}\"}}", "x ".repeat(before / 2 - 12));
            assert!(!excerpt(raw.as_bytes(), false, true).contains("Can"), "{before}");
        }
    }

    #[test]
    fn no_text_is_shown_where_users_are_not() {
        for (raw, expect) in [
            (r#"{"user":"ada@example.com","n":5"#, r#"{"user":"…15 chars…","n":5"#),
            (r#"["ada","#, r#"["…3 chars…","#),
            ("ada,2026-06-01", "…14 chars…"),
        ] {
            assert_eq!(excerpt(raw.as_bytes(), false, false), expect);
        }
    }

    #[test]
    fn reading_again_changes_nothing_and_reading_on_adds() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let lines = || {
            let files = book.list(&Path::from("quarantine")).unwrap();
            let text = book.get(&files[0]).unwrap().unwrap();
            String::from_utf8_lossy(&text).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let of = |entries: &[Broken]| {
            let mut file = BrokenFile::default();
            entries.iter().cloned().for_each(|broken| file.add(broken));
            file
        };
        store(&book, "s", "a.jsonl", of(&[broken(2, "x"), broken(9, "cut")]), Earlier::Whole, &Reasons::new()).unwrap();
        let first = lines();
        assert_eq!(first.len(), 2);
        store(&book, "s", "a.jsonl", of(&[broken(9, "cut"), broken(2, "x")]), Earlier::Whole, &Reasons::new()).unwrap();
        assert_eq!(lines(), first);
        store(&book, "s", "a.jsonl", of(&[broken(12, "y")]), Earlier::UpTo(8), &Reasons::new()).unwrap();
        assert_eq!(lines().len(), 2);
        store(&book, "s", "a.jsonl", of(&[broken(2, "z")]), Earlier::Whole, &Reasons::new()).unwrap();
        assert_eq!(lines().len(), 3);
    }

    /// A run that died after quarantine was written, and before it was noted how
    /// far the file had been read, finds the same lines again.
    #[test]
    fn what_is_only_counted_is_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let lines = |range: std::ops::Range<u64>| {
            let mut file = BrokenFile::default();
            range.for_each(|line| file.add(broken(line, "x")));
            file
        };
        let most = MOST as u64;
        let of = |count: u64| Reasons::from([("not_json".to_owned(), count)]);
        let first = store(&book, "s", "a", lines(0..most + 500), Earlier::Whole, &Reasons::new()).unwrap();
        assert_eq!(first, of(500));
        for _ in 0..3 {
            let found = lines(most + 500..most + 800);
            let second = store(&book, "s", "a", found, Earlier::UpTo(most + 499), &first).unwrap();
            assert_eq!(second, of(800));
        }
        let text = book.get(&book.list(&Path::from("quarantine")).unwrap()[0]).unwrap().unwrap();
        assert!(text.ends_with(b"\"more\":{\"not_json\":800}}\n"));
    }

    #[test]
    fn a_file_that_is_no_log_does_not_fill_the_book() {
        let mut file = BrokenFile::default();
        for line in (0..MOST as u64 + 500).rev() {
            file.add(broken(line, "x"));
        }
        let text = file.to_json_lines("a");
        assert_eq!(text.lines().count(), MOST + 1);
        assert!(text.ends_with("\"more\":{\"not_json\":500}}\n"), "{}", &text[text.len() - 80..]);
    }
}
