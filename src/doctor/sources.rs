//! The sources: are their files there, can they be read, are they in the format
//! that is named, are there requests in them, and does anything still come.

use std::{io, path::Path};

use super::{Check, counted};
use crate::{
    book::{Book, layout::DayTable},
    config::{Config, Role, Source},
    ingest::{
        TriedOut,
        detect::{Detection, Undetected, detect},
        files::{self, Found},
        formats::{self, Format, Reject, Skip},
        framing::{Block, Framer, Shape},
        local_times::TimeRead,
        overlap,
        parse::{Outcomes, Parser},
        try_out,
    },
    record::UsageRecord,
    tally::Reasons,
    time::{Instant, span_text},
};

pub(super) fn check(config: &Config, source: &Source, heard: Option<Instant>, now: Instant) -> Vec<Check> {
    let subject = format!("source {}", source.name);
    if let Some(tried) = try_out(config, source, now.day()) {
        let mut checks = vec![check_remote(&subject, source, tried)];
        checks.extend(check_silence(&subject, source, heard, now));
        return checks;
    }
    let files = match files::list(&config.dir, &source.path) {
        Ok(files) if files.is_empty() => {
            return vec![Check::problem(
                &subject,
                format!("no file matches `{}`", source.path),
                "put a log there, or correct `path`: it is relative to the config's directory",
            )];
        }
        Ok(files) => files,
        Err(error) => return vec![Check::problem(&subject, error.to_string(), "check `path` and its permissions")],
    };
    let unreadable: Vec<_> = files.iter().filter_map(|file| Some((file, files::open(&file.path).err()?))).collect();
    if let Some((file, error)) = unreadable.first() {
        let cure = files::cure_of(error);
        let found = format!("`{}` cannot be read: {error}", file.name);
        let found =
            if unreadable.len() == 1 { found } else { format!("{found}; nor can {} more", unreadable.len() - 1) };
        return vec![Check::problem(&subject, found, cure)];
    }
    let mut checks = vec![check_content(&subject, source, &files)];
    checks.extend(check_silence(&subject, source, heard, now));
    checks
}

/// What one cheap request came to.
fn check_remote(subject: &str, source: &Source, tried: Result<TriedOut, String>) -> Check {
    let TriedOut { place, entries } = match tried {
        Ok(tried) => tried,
        Err(message) => {
            let (found, cure) = message.rsplit_once(": ").unwrap_or((&message, "correct the source's keys"));
            return Check::problem(subject, found, cure);
        }
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err((found, cure)) => return Check::problem(subject, found, cure),
    };
    let found = format!("`{place}` answers, with {} on the first page of today", counted(entries, "item"));
    let has_token = source.remote.as_ref().is_some_and(|remote| remote.token.is_some());
    let is_here = ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| place.starts_with(&format!("http://{host}")));
    if has_token && place.starts_with("http://") && !is_here {
        let cure = "use `https://`: whoever sees the traffic sees the token";
        return Check::warning(subject, format!("{found}; the token travels unencrypted"), cure);
    }
    Check::ok(subject, found)
}

/// Looks at the first entries of the newest file that has some.
fn check_content(subject: &str, source: &Source, files: &[Found]) -> Check {
    let mut newest: Vec<_> = files.iter().map(|file| (modified(&file.path), file)).collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    let count = counted(files.len(), "file");
    for (_, file) in newest {
        match Sample::of(source, &file.path) {
            Ok(Some(sample)) => return sample.check(subject, source, &count, &file.name),
            Ok(None) => {}
            Err(error) => {
                let found = format!("`{}` cannot be read: {error}", file.name);
                return Check::problem(subject, found, "is it a whole file, plain or packed with gzip or zstd?");
            }
        }
    }
    Check::warning(subject, format!("{count}, all empty"), "check that the gateway writes there")
}

/// Of files that cannot be looked at nothing is known, and they come last.
fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// What the first entries of a file are.
struct Sample {
    detected: Result<Detection, Undetected>,
    entries: Entries,
}

impl Sample {
    /// `None` where the file is empty.
    fn of(source: &Source, path: &Path) -> io::Result<Option<Self>> {
        let (_, input) = files::open(path)?;
        let declared = formats::by_name(&source.format);
        let mut framer = Framer::new(input, declared.is_none_or(Format::reads_csv));
        let Some(block) = framer.next_block() else {
            return framer.failure().map_or(Ok(None), Err);
        };
        let shape = framer.shape();
        let detected = detect(&block, shape);
        let format = declared.or_else(|| formats::by_name(detected.as_ref().ok()?.format));
        let mut entries = Entries::default();
        if let Some(format) = format {
            entries.read(&block, shape, source, format);
        }
        Ok(Some(Self { detected, entries }))
    }

    fn check(self, subject: &str, source: &Source, count: &str, file: &str) -> Check {
        let is_auto = formats::by_name(&source.format).is_none();
        let format = match &self.detected {
            Ok(detection)
                if is_auto || formats::by_name(&source.format).is_some_and(|it| it.name() == detection.format) =>
            {
                format!("`{}` ({} % sure)", detection.format, detection.confidence)
            }
            Err(undetected) if is_auto => {
                let found = format!("{count}; of `{file}` the format is not recognised: {undetected}");
                return Check::problem(subject, found, "set `format`, or map the fields with `format = \"custom\"`");
            }
            _ => format!("`{}`", source.format),
        };
        let Entries { records, skipped, broken, first_broken, .. } = &self.entries;
        let sum = |reasons: &Reasons| reasons.values().sum::<u64>();
        let total = records + sum(skipped) + sum(broken);
        let parts: Vec<String> = [
            Some(format!("{records} requests")),
            Some(sum(skipped)).filter(|&count| count > 0).map(|count| format!("{count} skipped")),
            Some(sum(broken)).filter(|&count| count > 0).map(|count| format!("{count} broken")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let found = format!("{count}, {format}; the first {total} entries of `{file}`: {}", parts.join(", "));
        let example = first_broken.as_ref().map(|(line, detail)| format!("line {line}: {detail}"));
        let is_mostly_broken = sum(broken) * 10 > total;
        if total > 0 && (*records == 0 || is_mostly_broken) {
            let looks = self.detected.as_ref().ok().filter(|detection| detection.format != source.format && !is_auto);
            let cure = match (looks, &example) {
                (Some(detection), _) => format!("it looks like {detection}: set `format`"),
                (None, Some(example)) => example.clone(),
                (None, None) => format!("is `{}` its format?", source.format),
            };
            let state = if *records == 0 { Check::problem } else { Check::warning };
            return state(subject, found, cure);
        }
        Check::ok(subject, found)
    }
}

/// What the entries of one block came to.
#[derive(Debug, Default)]
struct Entries {
    records: u64,
    skipped: Reasons,
    broken: Reasons,
    first_broken: Option<(u64, String)>,
}

impl Entries {
    fn read(&mut self, block: &Block, shape: Shape, source: &Source, format: &'static dyn Format) {
        Parser::new(source, format, "", shape, false).block(block, self);
    }
}

impl Outcomes for Entries {
    fn record(&mut self, _line: u64, _record: &UsageRecord<'_>, _time: TimeRead) {
        self.records += 1;
    }

    fn skip(&mut self, _line: u64, reason: Skip) {
        *self.skipped.entry(reason.name().to_owned()).or_default() += 1;
    }

    fn reject(&mut self, line: u64, reject: Reject, _raw: &[u8]) {
        *self.broken.entry(reject.reason.name().to_owned()).or_default() += 1;
        let detail = crate::secrets::redact(&reject.detail).into_owned();
        self.first_broken.get_or_insert((line, detail));
    }

    fn pending(&mut self, _line: u64) {}
}

fn check_silence(subject: &str, source: &Source, heard: Option<Instant>, now: Instant) -> Option<Check> {
    let heard = heard?;
    let silent = now.micros() - heard.micros();
    (silent > source.silent_after_micros).then(|| {
        Check::warning(
            subject,
            format!(
                "nothing since {heard}, for {}; `silent_after` is {}",
                span_text(silent),
                span_text(source.silent_after_micros)
            ),
            "look whether its gateway still writes there, or raise `silent_after`",
        )
    })
}

/// The last days of the book that are looked through for requests seen twice.
const COMPARED_DAYS: usize = 7;

pub(super) fn check_overlaps(config: &Config, book: &Book) -> Vec<Check> {
    let sources = config.sources.iter().filter(|source| source.role == Role::Books).count();
    if sources < 2 {
        return Vec::new();
    }
    let mut days = book.days(DayTable::Usage).unwrap_or_default();
    days.drain(..days.len().saturating_sub(COMPARED_DAYS));
    // A day that cannot be read has been told of.
    let overlaps = overlap::find(book, &days).unwrap_or_default();
    let checks = overlaps
        .into_iter()
        .map(|overlap| Check::warning(&format!("source {}", overlap.source), overlap.to_string(), overlap::CURE));
    checks.collect()
}
