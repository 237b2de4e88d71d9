//! `format = "auto"`: which format the first entries of a file are in, how
//! sure that is, and by what it shows.
//!
//! Every format says how sure it is of each entry. The one that is surest of
//! more than half of what any format knows is taken; entries that none knows
//! (health checks, other traffic) do not count against it. A close second is
//! named, and without a majority nothing is taken: read in the wrong format, a
//! file would be skipped without a sound.

use std::{borrow::Cow, fmt};

use super::{
    formats::{self, Entry, Recognition},
    framing::{Block, Shape},
    parse::with_first_entries,
};

/// Recognised entries after which nothing more is looked at.
const ENOUGH: usize = 20;
/// Entries that are looked at, recognised or not.
const MOST: usize = 1_000;
/// A second format that comes this close to the first is as likely.
const CLOSE: u32 = 15;

/// The format that the first entries are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    pub format: &'static str,
    /// From 1 to 100.
    pub confidence: u32,
    /// What gave it away.
    pub because: Cow<'static, str>,
    /// Other formats that it could be, the likeliest first, and how likely.
    pub others: Vec<(&'static str, u32)>,
}

impl Detection {
    /// Whether another format is as likely.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.others.first().is_some_and(|&(_, confidence)| confidence + CLOSE >= self.confidence)
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({} % sure) by {}", self.format, self.confidence, self.because)?;
        for (at, (name, confidence)) in self.others.iter().enumerate() {
            let lead = if at == 0 { "; it could also be" } else { " or" };
            write!(f, "{lead} `{name}` ({confidence} %)")?;
        }
        if self.is_ambiguous() {
            write!(f, ": name the right one in `format`")?;
        }
        Ok(())
    }
}

/// Why no format was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undetected {
    #[error("no entry to recognise a format by")]
    Empty,
    #[error(
        "none of the first {entries} entries is in a known format: set `format` to one of {known}, or map the fields with `format = \"custom\"`",
        known = known()
    )]
    Unknown { entries: usize },
    #[error("the first entries are in several formats, {}: give each its own source with its `format`", counted(.formats))]
    Mixed {
        /// Each format with how many entries look like it.
        formats: Vec<(&'static str, usize)>,
    },
}

fn known() -> String {
    formats::names().filter(|&name| name != "custom").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn counted(formats: &[(&'static str, usize)]) -> String {
    formats.iter().map(|(name, count)| format!("`{name}` ({count})")).collect::<Vec<_>>().join(" and ")
}

/// What one format said of the entries so far.
#[derive(Debug, Clone)]
struct Tally {
    format: &'static str,
    /// Entries of which no other format is surer.
    votes: usize,
    /// The sum of its confidence.
    sum: u32,
    best: Recognition,
}

/// Collects what the formats say of entries.
#[derive(Debug)]
pub struct Detector {
    tallies: Vec<Tally>,
    seen: usize,
    recognised: u32,
}

impl Default for Detector {
    fn default() -> Self {
        let tally = |format| Tally { format, votes: 0, sum: 0, best: Recognition::NONE };
        Self { tallies: formats::names().map(tally).collect(), seen: 0, recognised: 0 }
    }
}

impl Detector {
    pub fn see(&mut self, entry: &Entry<'_>) {
        if self.recognised as usize >= ENOUGH {
            return;
        }
        self.seen += 1;
        let said: Vec<_> = formats::all().map(|format| format.recognises(entry)).collect();
        let surest = said.iter().map(|recognition| recognition.confidence).max().unwrap_or(0);
        self.recognised += u32::from(surest > 0);
        for (tally, recognition) in self.tallies.iter_mut().zip(said) {
            tally.votes += usize::from(surest > 0 && recognition.confidence == surest);
            tally.sum += u32::from(recognition.confidence);
            if recognition.confidence > tally.best.confidence {
                tally.best = recognition;
            }
        }
    }

    /// # Errors
    /// Where no format is the surest of most entries.
    pub fn verdict(self) -> Result<Detection, Undetected> {
        let Self { mut tallies, seen, recognised } = self;
        if seen == 0 {
            return Err(Undetected::Empty);
        }
        tallies.retain(|tally| tally.sum > 0);
        // Stable: of equals the first in the order of the documentation.
        tallies.sort_by_key(|tally| std::cmp::Reverse((tally.votes, tally.sum)));
        let Some((first, rest)) = tallies.split_first() else { return Err(Undetected::Unknown { entries: seen }) };
        if first.votes * 2 <= recognised as usize {
            let formats = tallies.iter().filter(|tally| tally.votes > 0).map(|tally| (tally.format, tally.votes));
            return Err(Undetected::Mixed { formats: formats.collect() });
        }
        Ok(Detection {
            format: first.format,
            confidence: first.sum / recognised,
            because: first.best.because.clone(),
            others: rest
                .iter()
                .map(|tally| (tally.format, tally.sum / recognised))
                .filter(|&(_, confidence)| confidence > 0)
                .collect(),
        })
    }
}

/// The format of a file, by its first block.
///
/// # Errors
/// Where no format is the surest of most entries.
pub fn detect(block: &Block, shape: Shape) -> Result<Detection, Undetected> {
    let mut detector = Detector::default();
    with_first_entries(block, shape, MOST, &mut |entry| {
        detector.see(&entry);
        None::<()>
    });
    detector.verdict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    const NATIVE: &str = r#"{"ts":"2026-06-01T08:00:00Z","request_id":"r","model":"m","usage":{"prompt_tokens":1}}"#;
    const SPANS: &str = r#"{"resourceSpans":[]}"#;
    const KONG: &str = r#"{"ai":{"proxy":{"meta":{"provider_name":"openai"}}}}"#;

    fn check(entries: &[&str], expect: &str) {
        let mut detector = Detector::default();
        for entry in entries {
            detector.see(&Entry::Json(Scanner::new().scan(entry).unwrap()));
        }
        let found = detector.verdict().map_or_else(|error| error.to_string(), |detection| detection.to_string());
        assert!(found.starts_with(expect), "{entries:?}: {found}");
    }

    #[test]
    fn says_which_how_sure_and_why() {
        check(&[NATIVE, "{}", "{}"], "`native` (90 % sure) by `ts`, `model` and `usage` side by side");
        check(&[SPANS, SPANS, KONG], "`otlp` (65 % sure) by `resourceSpans`; it could also be `kong` (31 %)");
    }

    #[test]
    fn without_a_majority_nothing_is_taken() {
        check(&[], "no entry to recognise a format by");
        check(&["{}", "[]"], "none of the first 2 entries is in a known format: set `format` to one of `native`, ");
        check(
            &[SPANS, KONG],
            "the first entries are in several formats, `otlp` (1) and `kong` (1): give each its own source",
        );
    }

    #[test]
    fn a_close_second_is_named_as_such() {
        let others = vec![("kong", 80)];
        let close = Detection { format: "envoy", confidence: 95, because: Cow::Borrowed("x"), others };
        assert!(close.is_ambiguous() && close.to_string().ends_with("`kong` (80 %): name the right one in `format`"));
        assert!(!Detection { confidence: 96, ..close }.is_ambiguous());
    }
}
