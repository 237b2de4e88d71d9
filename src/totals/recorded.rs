//! Answers that were recorded in files: one per file, or one per line.
//!
//! A file's answers are pages in its order; a page that says that there is more
//! goes on in the next one, be it in the next file by name. When an answer was
//! fetched is said by its `fetched_at`, else by a time in the name of its file,
//! else by when the file was last written. Later answers replace earlier ones,
//! for the time that they tell of.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use xxhash_rust::xxh3::Xxh3;

use super::{
    TotalRow,
    gather::{Answer, Answers, Counts},
    sources::{Teller, Told, is_one_document},
};
use crate::{
    config::{Config, Source},
    ingest::{
        Stamp,
        files::{self, Found},
    },
    json::Scanner,
    time::{Day, Instant},
};

/// A file is read as a whole; months of pages take a few MiB.
const LARGEST: u64 = 256 << 20;

/// Files of recorded answers.
#[derive(Debug)]
pub(super) struct Recorded<'c> {
    config: &'c Config,
    source: &'c Source,
    files: Vec<Found>,
}

impl<'c> Recorded<'c> {
    /// # Errors
    /// Where they cannot be listed, or there are none.
    pub(super) fn list(config: &'c Config, source: &'c Source) -> Result<Self, String> {
        let files = files::list(&config.dir, &source.path).map_err(|error| error.to_string())?;
        if files.is_empty() {
            return Err(format!(
                "no file matches `{}`: put a recorded answer there, or correct `path`, which is relative to the \
                 config's directory",
                source.path
            ));
        }
        Ok(Self { config, source, files })
    }

    /// A digest by which the same files are known to be unchanged.
    pub(super) fn digest(&self) -> String {
        let mut digest = Xxh3::new();
        for file in &self.files {
            // A file that cannot be looked at cannot be read either.
            let stamp = Stamp::of(&file.path).ok();
            digest.update(format!("{}\0{stamp:?}\0", file.name).as_bytes());
        }
        format!("{:016x}", digest.digest())
    }

    /// Everything that they tell, by day. `read` hears how much has been read.
    ///
    /// # Errors
    /// Where one of them cannot be read, or its last page is not there: without
    /// it, the totals would be too low.
    pub(super) fn read(
        &self,
        teller: &dyn Teller,
        now: Instant,
        pages: &mut u64,
        counts: &mut Counts,
        read: &dyn Fn(&str, u64),
    ) -> Result<BTreeMap<Day, Vec<TotalRow>>, String> {
        let provider = self.source.provider.as_deref().unwrap_or(teller.provider());
        let mut answers: Vec<(Instant, Answer)> = Vec::new();
        let mut open: Option<Answer> = None;
        let mut last_file = "";
        for file in &self.files {
            last_file = &file.name;
            let failed = |what: String| format!("{}: {what}", file.name);
            let text = text_of(file).map_err(|error| failed(format!("cannot be read: {error}")))?;
            read(&file.name, text.len() as u64);
            let written = files_time(self.config, file);
            for (line, text) in texts(&text) {
                let place = if line == 0 { String::new() } else { format!("line {line}: ") };
                let said = fetched_at(text).or_else(|| time_in(&file.name));
                let at = said.or(written).map_or(now, |at| at.min(now));
                let told = Told {
                    source: &self.source.name,
                    provider,
                    measure: teller.measure(),
                    at,
                    is_certain: said.is_some(),
                    question: None,
                    file: &file.name,
                };
                let page = teller.read(text, &told);
                let page = page.map_err(|error| failed(format!("{place}{error}: check `path` and `format`")))?;
                *pages += 1;
                let is_last = page.next.is_none();
                let answer = open.get_or_insert_default();
                answer.add(page, counts);
                if is_last {
                    answers.extend(open.take().map(|answer| (at, answer)));
                }
            }
        }
        if open.is_some() {
            return Err(format!(
                "{last_file}: it says that there is another page, expected that in the next line, or in the next file \
                 by name: record all pages of an answer"
            ));
        }
        answers.sort_by_key(|(at, _)| *at);
        let mut all = Answers::default();
        for (told, answer) in answers {
            all.add(answer, told, teller.has_kinds(), counts);
        }
        Ok(all.into_days())
    }
}

fn text_of(file: &Found) -> io::Result<String> {
    let (_, input) = files::open(&file.path)?;
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// The answers in a file, each with its line; 0 where the file is one answer.
fn texts(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let is_by_line = lines.len() > 1 && is_one_document(lines[0].1) && !is_one_document(text);
    if is_by_line { lines } else { vec![(0, text)] }
}

fn fetched_at(text: &str) -> Option<Instant> {
    let mut scanner = Scanner::new();
    let value = scanner.scan(text.trim_start_matches('\u{feff}')).ok()?;
    Instant::parse(&value.some("fetched_at")?.text()?, chrono_tz::Tz::UTC).filter(|at| at.is_sane())
}

fn files_time(config: &Config, file: &Found) -> Option<Instant> {
    let modified = config.resolve(&file.path).metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Instant::from_micros(i64::try_from(since.as_micros()).ok()?))
}

/// The time in a name like `usage-2026-11-15T1800Z.json`, UTC.
fn time_in(name: &str) -> Option<Instant> {
    let name = name.rsplit('/').next().unwrap_or(name);
    (0..name.len()).filter_map(|at| name.get(at..)).find_map(|rest| {
        let day = rest.get(..10)?;
        let clock = rest.get(10..)?.strip_prefix(['T', 't', '_'])?;
        let digits: String =
            clock.chars().take_while(|letter| letter.is_ascii_digit() || matches!(letter, ':' | '-')).collect();
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let part = |from: usize| digits.get(from..from + 2);
        let (hour, minute, second) = (part(0)?, part(2)?, part(4).unwrap_or("00"));
        Instant::parse(&format!("{day}T{hour}:{minute}:{second}Z"), chrono_tz::Tz::UTC).filter(|at| at.is_sane())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_say_when() {
        for (name, expect) in [
            ("answers/usage-2026-11-15T1800Z.json", Some("2026-11-15T18:00:00Z")),
            ("usage_2026-11-15_18-00-30.jsonl", Some("2026-11-15T18:00:30Z")),
            ("2026-11-15T18:00:30Z", Some("2026-11-15T18:00:30Z")),
            ("2026-11-15T18:00", Some("2026-11-15T18:00:00Z")),
            ("usage-2026-11-15.json", None),
            ("2026-11-15T1800Z/usage.json", None),
            ("ü2026-13-15T1800Z", None),
            ("", None),
        ] {
            assert_eq!(time_in(name).map(|at| at.to_string()).as_deref(), expect, "{name}");
        }
    }

    #[test]
    fn a_file_is_one_answer_or_one_per_line() {
        assert_eq!(texts("{\n\"a\": 1\n}\n"), [(0, "{\n\"a\": 1\n}\n")]);
        assert_eq!(texts("{\"a\":1}\n\n{\"a\":2}\n"), [(1, "{\"a\":1}"), (3, "{\"a\":2}")]);
        assert_eq!(texts("a,b\n1,2\n"), [(0, "a,b\n1,2\n")]);
        assert_eq!(texts("{\"a\":1}\n"), [(0, "{\"a\":1}\n")]);
        assert_eq!(texts("{\"a\":1}\n{\"a\":"), [(1, "{\"a\":1}"), (2, "{\"a\":")]);
    }

    #[test]
    fn an_answer_may_say_when() {
        let at = |text| fetched_at(text).map(|at| at.to_string());
        assert_eq!(at("{\"fetched_at\":\"2026-11-15T18:00:00Z\"}").as_deref(), Some("2026-11-15T18:00:00Z"));
        assert_eq!(at("{\"fetched_at\":18}"), None);
        assert_eq!(at("a,b"), None);
    }
}
