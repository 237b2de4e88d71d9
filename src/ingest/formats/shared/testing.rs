//! For unit tests of formats: one entry in, what came of it as text.

use super::{
    super::{CsvRow, Entry, Format, Found, Reject, Sink, Skip},
    tokens::Counts,
};
use crate::{
    config::Source,
    ingest::{
        accept::{Place, accept},
        names::PLAIN,
    },
    json::{Scanner, Value},
    record::{METERS, Meter, UsageRecord},
};

/// What a format made of an entry, each finding as text.
struct Collected<'s, T> {
    source: &'s Source,
    raw: &'s str,
    out: Vec<Result<T, String>>,
    view: fn(&UsageRecord<'_>) -> T,
}

impl<'a, 's: 'a, T> Sink<'a> for Collected<'s, T> {
    fn record(&mut self, found: &mut Found<'a>) {
        let place = Place { raw: self.raw.as_bytes(), file: "test", line: 1 };
        match accept(found, self.source, &PLAIN, place) {
            Ok(()) => self.out.push(Ok((self.view)(&found.record))),
            Err(reject) => self.reject(reject),
        }
    }

    fn skip(&mut self, reason: Skip) {
        self.out.push(Err(format!("skip {}", reason.name())));
    }

    fn reject(&mut self, reject: Reject) {
        self.out.push(Err(format!("reject {}: {}", reject.reason.name(), reject.detail)));
    }
}

fn run<T>(
    format: &dyn Format,
    entry: &Entry<'_>,
    raw: &str,
    source: &Source,
    view: fn(&UsageRecord<'_>) -> T,
) -> Vec<Result<T, String>> {
    let mut collected = Collected { source, raw, out: Vec::new(), view };
    format.read(entry, source, &mut collected);
    collected.out
}

/// The token buckets: input, cached, written for 5 minutes, for an hour, output.
pub(crate) fn buckets(counts: &Counts) -> [Option<i64>; 5] {
    [
        Meter::InputTokens,
        Meter::CachedInputTokens,
        Meter::CacheWrite5mTokens,
        Meter::CacheWrite1hTokens,
        Meter::OutputTokens,
    ]
    .map(|meter| counts.quantities[meter])
}

pub(crate) fn with_json<T>(json: &str, look: impl FnOnce(Value<'_>) -> T) -> T {
    let mut scanner = Scanner::new();
    look(scanner.scan(json).expect("the test's JSON is JSON"))
}

/// The records of a JSON entry; anything else fails the test.
pub(crate) fn records<T>(format: &dyn Format, json: &str, source: &Source, view: fn(&UsageRecord<'_>) -> T) -> Vec<T> {
    with_json(json, |value| run(format, &Entry::Json(value), json, source, view))
        .into_iter()
        .map(|it| it.unwrap_or_else(|other| panic!("{other}: {json}")))
        .collect()
}

/// What came of a JSON entry, a line for each finding.
pub(crate) fn ledger(format: &dyn Format, json: &str, source: &Source) -> String {
    let found = with_json(json, |value| run(format, &Entry::Json(value), json, source, line));
    found.into_iter().map(|it| it.unwrap_or_else(|other| other)).collect::<Vec<_>>().join("\n")
}

/// What came of a CSV row below its header.
pub(crate) fn csv_ledger(format: &dyn Format, header: &str, row: &str, source: &Source) -> String {
    let header: Vec<String> = header.split(',').map(str::to_owned).collect();
    let fields: Vec<_> = row.split(',').map(std::borrow::Cow::Borrowed).collect();
    let found = run(format, &Entry::Csv(CsvRow::new(&header, &fields)), row, source, line);
    found.into_iter().map(|it| it.unwrap_or_else(|other| other)).collect::<Vec<_>>().join("\n")
}

/// The columns that a format decides about most, with short names.
fn line(record: &UsageRecord<'_>) -> String {
    let mut line = format!(
        "{} {} {} {} {} {}",
        record.ts,
        record.provider,
        record.model,
        record.operation.name(),
        record.status.name(),
        record.quality.name()
    );
    let short = ["in", "cached", "written", "written_1h", "out"];
    for (at, info) in METERS.iter().enumerate() {
        if let Some(quantity) = record.quantities[info.meter] {
            line.push_str(&format!(" {}={quantity}", short.get(at).copied().unwrap_or(info.column)));
        }
    }
    if let Some(reasoning) = record.reasoning_tokens {
        line.push_str(&format!(" reasoning={reasoning}"));
    }
    let texts = [
        ("requested", &record.model_requested),
        ("tier", &record.tier),
        ("key", &record.key),
        ("team", &record.team_reported),
        ("user", &record.user),
        ("project", &record.project),
        ("tags", &record.tags),
        ("error", &record.error_code),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            line.push_str(&format!(" {name}={text}"));
        }
    }
    if let Some(cost) = record.reported_cost {
        line.push_str(&format!(" cost={}", cost.pico()));
    }
    if record.gateway_cache {
        line.push_str(" gateway_cache");
    }
    line
}
