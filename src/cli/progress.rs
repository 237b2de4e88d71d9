//! Progress of long work: a bar on a terminal; elsewhere a line about once a
//! minute, so that what is short says nothing and a log shows that what is long
//! goes on.

use std::{
    io::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::{LogFormat, listing};
use crate::{
    charges,
    clock::Clock,
    ingest::Watch,
    night,
    time::{Day, Instant},
};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Bar,
    Lines(LogFormat),
    Nothing,
}

/// Between two lines, in microseconds.
const A_MINUTE: i64 = 60 * 1_000_000;

/// One stretch of long work.
#[derive(Debug)]
struct Progress {
    bar: ProgressBar,
    lines: Option<(LogFormat, Lines)>,
}

impl Progress {
    fn new(shown: Shown, template: &str, say: fn(u64) -> String) -> Self {
        let bar = if shown == Shown::Bar { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let lines = match shown {
            Shown::Lines(format) => Some((format, Lines::begin(Clock::System.now(), say))),
            Shown::Bar | Shown::Nothing => None,
        };
        Self { bar, lines }
    }

    fn add(&self, count: u64) {
        self.bar.inc(count);
        let Some((format, lines)) = &self.lines else { return };
        let now = Clock::System.now();
        if let Some(line) = lines.add(count, now) {
            let line = match format {
                LogFormat::Text => line,
                LogFormat::Json => as_json(&line, now),
            };
            // Whether anybody reads it is no concern of the work.
            drop(writeln!(io::stderr(), "{line}"));
        }
    }

    fn at(&self, place: String) {
        if let Some((_, lines)) = &self.lines {
            *lines.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        } else {
            self.bar.set_message(place);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// As the program's other messages are with `--log-format json`.
fn as_json(line: &str, now: Instant) -> String {
    serde_json::json!({
        "timestamp": now.to_string(), "level": "INFO", "fields": { "message": line }, "target": "spendbook::progress"
    })
    .to_string()
}

/// What is said where there is no terminal, and when.
#[derive(Debug)]
struct Lines {
    done: AtomicU64,
    place: Mutex<String>,
    /// When the work began, or the last line was due.
    last: AtomicI64,
    say: fn(u64) -> String,
}

impl Lines {
    const fn begin(now: Instant, say: fn(u64) -> String) -> Self {
        Self { done: AtomicU64::new(0), place: Mutex::new(String::new()), last: AtomicI64::new(now.micros()), say }
    }

    /// The line that is due once so much more is done, if one is. Of threads
    /// that ask at the same time one gets it.
    fn add(&self, count: u64, now: Instant) -> Option<String> {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let (last, now) = (self.last.load(Ordering::Relaxed), now.micros());
        // A clock that was set back by an hour silences nothing for an hour.
        if (last..last.saturating_add(A_MINUTE)).contains(&now) {
            return None;
        }
        self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let place = if place.is_empty() { String::new() } else { format!(", at {place}") };
        Some(format!("{} so far{place}", (self.say)(done)))
    }
}

/// Shows how much has been read.
#[derive(Debug)]
pub(super) struct Reading(Progress);

impl Reading {
    pub(super) fn new(shown: Shown) -> Self {
        let template = "{spinner} {bytes} read, {bytes_per_sec}  {wide_msg}";
        Self(Progress::new(shown, template, |bytes| format!("{} read", HumanBytes(bytes))))
    }
}

impl Watch for Reading {
    fn read(&self, bytes: u64) {
        self.0.add(bytes);
    }

    fn file(&self, name: &str) {
        self.0.at(name.to_owned());
    }
}

/// Shows how far a night is, stage by stage.
#[derive(Debug)]
pub(super) struct Nightly(pub(super) Shown);

impl night::Watch for Nightly {
    fn reading(&self) -> Box<dyn Watch> {
        Box::new(Reading::new(self.0))
    }

    fn pricing(&self) -> Box<dyn charges::Watch> {
        Box::new(Pricing::new(self.0))
    }
}

/// Shows which day is priced, and how many requests were.
#[derive(Debug)]
pub(super) struct Pricing(Progress);

impl Pricing {
    pub(super) fn new(shown: Shown) -> Self {
        let template = "{spinner} {human_pos} requests priced, {per_sec}  {wide_msg}";
        Self(Progress::new(shown, template, |requests| format!("{} requests priced", listing::count(requests))))
    }
}

impl charges::Watch for Pricing {
    fn rows(&self, count: u64) {
        self.0.add(count);
    }

    fn day(&self, day: Day) {
        self.0.at(day.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_line_is_due_once_a_minute_and_none_in_the_first() {
        let lines = Lines::begin(Instant::from_micros(0), |count| format!("{count} priced"));
        let add = |second: i64| lines.add(1, Instant::from_micros(second * SECOND));
        assert_eq!([add(0), add(30), add(59)], [None, None, None]);
        *lines.place.lock().unwrap() = "2026-06-01".to_owned();
        assert_eq!(add(60).as_deref(), Some("4 priced so far, at 2026-06-01"));
        assert_eq!([add(60), add(61), add(119)], [None, None, None]);
        // What took long is told when it is done, and the next minute counts from there.
        assert_eq!(add(200).as_deref(), Some("8 priced so far, at 2026-06-01"));
        assert_eq!(add(259), None);
        assert!(add(260).is_some());
        // A clock that was set back.
        assert!(add(10).is_some() && add(69).is_none() && add(70).is_some());
    }

    #[test]
    fn a_line_for_programs_is_json() {
        let line = as_json("1 \"read\"", Instant::from_micros(1_780_300_800 * SECOND));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["timestamp"], &value["level"]), (&"2026-06-01T08:00:00Z".into(), &"INFO".into()));
        assert_eq!(value["fields"]["message"], "1 \"read\"");
    }
}
