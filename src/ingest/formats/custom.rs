//! `custom`: any JSON or CSV log, read by the mapping in the config.
//!
//! The mapping says where each field of the record stands and in what unit;
//! see [`CustomMapping`]. Nothing is guessed: what is not mapped is not known,
//! and a word that could mean anything is refused. An entry without a model,
//! and without any quantity above zero, is no usage: so the access log of a
//! whole gateway can be read.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use super::{
    Entry, Format, Found, Read, Recognition, Reject, RejectReason, Sink, Skip,
    shared::{
        ending, endpoint,
        field::{Field, quoted},
        labels::tags,
        tokens::Totals,
    },
};
use crate::{
    config::{CachePlace, CustomField, CustomMapping, Mapped, Place, Source, TimeFormat, Unit},
    json::Scanner,
    money::Usd,
    record::{Meter, Operation, Quantities, Status, Text, UsageRecord},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Custom;

impl Format for Custom {
    fn name(&self) -> &'static str {
        "custom"
    }

    fn reads_csv(&self) -> bool {
        true
    }

    /// Nothing is of this format by itself.
    fn recognises(&self, _: &Entry<'_>) -> Recognition {
        Recognition::NONE
    }

    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>) {
        let Some(mapping) = &source.custom else {
            return sink.reject(Reject::missing("fields", "a table `[source.fields]` in the config"));
        };
        sink.put(Reading::of(entry, mapping, source).map_err(Into::into).and_then(|it| it.finish(mapping.cache)));
    }
}

/// What the mapping finds in an entry.
struct Reading<'a> {
    found: Found<'a>,
    ts: Option<Instant>,
    totals: Totals,
    /// The meters beyond tokens.
    others: Quantities,
    status: Option<Status>,
}

impl<'a> Reading<'a> {
    fn of(entry: &Entry<'a>, mapping: &CustomMapping, source: &Source) -> Result<Self, Reject> {
        let mut it = Self {
            found: Found::new(UsageRecord::at(Instant::EARLIEST)),
            ts: None,
            totals: Totals::default(),
            others: Quantities::default(),
            status: None,
        };
        for (&column, Mapped { place, unit }) in &mapping.fields {
            let (name, field) = match place {
                Place::Pointer(pointer) => (pointer, pointed(entry, pointer)),
                Place::Name(name) => (name, named(entry, name)),
                Place::Constant(text) => (text, Field::Text(Cow::Owned(text.clone()))),
            };
            it.put(column, &Mapping { name, field, unit, source })?;
        }
        Ok(it)
    }

    fn put(&mut self, column: CustomField, from: &Mapping<'_, 'a>) -> Result<(), Reject> {
        let record = &mut self.found.record;
        match column {
            CustomField::Ts => self.ts = from.time()?,
            CustomField::Created => self.found.created = from.time()?.map(Instant::seconds),
            CustomField::RequestId => self.found.ids[0] = from.text()?,
            CustomField::Provider => record.provider = from.text()?.unwrap_or_default(),
            CustomField::Model => record.model = from.text()?.unwrap_or_default(),
            CustomField::ModelRequested => record.model_requested = from.text()?,
            CustomField::Tier => record.tier = from.text()?,
            CustomField::Operation => record.operation = from.text()?.map_or(Operation::Chat, |word| operation(&word)),
            CustomField::Key => record.key = from.text()?,
            CustomField::Team => record.team_reported = from.text()?,
            CustomField::User => record.user = from.text()?,
            CustomField::Project => record.project = from.text()?,
            CustomField::Tags => record.tags = from.field.any_object(|labels| tags(labels, from.source)).flatten(),
            CustomField::Status => self.status = from.status()?,
            CustomField::HttpStatus => record.http_status = from.field.http_status(from.name)?,
            CustomField::ErrorCode => record.error_code = from.text()?,
            CustomField::MaxTokens => record.max_tokens = from.count()?,
            CustomField::Latency => record.latency_ms = from.count()?,
            CustomField::Streamed => record.streamed = from.flag()?,
            CustomField::GatewayCache => record.gateway_cache = from.flag()? == Some(true),
            CustomField::TotalTokens => self.totals.total = from.count()?,
            CustomField::ReasoningTokens => self.totals.reasoning = from.count()?,
            CustomField::ReportedCost => record.reported_cost = from.cost()?,
            CustomField::Meter(meter) => {
                *match meter {
                    Meter::InputTokens => &mut self.totals.prompt,
                    Meter::CachedInputTokens => &mut self.totals.cached,
                    Meter::CacheWrite5mTokens => &mut self.totals.written_5m,
                    Meter::CacheWrite1hTokens => &mut self.totals.written_1h,
                    Meter::OutputTokens => &mut self.totals.completion,
                    _ => &mut self.others[meter],
                } = from.count()?;
            }
        }
        Ok(())
    }

    fn finish(self, cache: CachePlace) -> Read<'a> {
        let Self { mut found, ts, mut totals, others, status } = self;
        totals.cache_beside_prompt = cache == CachePlace::Beside;
        let mut counts = totals.gateway_counts();
        counts.fill(others);
        let record = &mut found.record;
        counts.put(record);
        let is_usage = record.quantities.0.iter().flatten().any(|&quantity| quantity > 0);
        if !is_usage && (record.model.is_empty() || ts.is_none()) {
            return Err(Skip::NotUsage.into());
        }
        record.ts =
            ts.ok_or_else(|| Reject::missing("ts", "a time where the source's `[source.fields]` says that it stands"))?;
        let by_code = ending::status(record.http_status, record.error_code.as_deref());
        record.status = status.unwrap_or(by_code);
        Ok(found)
    }
}

/// What a pointer leads to, also inside a text that holds JSON: some gateways
/// log their fields so.
fn pointed<'a>(entry: &Entry<'a>, pointer: &str) -> Field<'a> {
    let Entry::Json(entry) = entry else { return Field::Absent };
    if let Some(value) = entry.pointer(pointer) {
        return Field::Json(value);
    }
    let inside = pointer.match_indices('/').skip(1).find_map(|(at, _)| {
        let (outer, inner) = pointer.split_at(at);
        let text = entry.pointer(outer)?.text()?;
        let mut scanner = Scanner::new();
        let value = scanner.scan(&text).ok()?.pointer(inner)?;
        let words = value.text().unwrap_or(Cow::Borrowed(value.raw()));
        (!value.is_null()).then(|| Field::Text(Cow::Owned(words.into_owned())))
    });
    inside.unwrap_or(Field::Absent)
}

fn named<'a>(entry: &Entry<'a>, name: &str) -> Field<'a> {
    match entry {
        Entry::Json(value) => value.get(name).into(),
        Entry::Csv(row) => row.field(name),
    }
}

/// A field, and what it takes to read it.
struct Mapping<'m, 'a> {
    /// The pointer, column or constant, for messages.
    name: &'m str,
    field: Field<'a>,
    unit: &'m Unit,
    source: &'m Source,
}

impl<'a> Mapping<'_, 'a> {
    fn wrong(&self, reason: RejectReason, found: &str, expected: &str) -> Reject {
        Reject::new(reason, format!("`{}` is {}, expected {expected}", self.name, quoted(found)))
    }

    fn text(&self) -> Result<Option<Text<'a>>, Reject> {
        self.field.text(self.name)
    }

    /// A count, or a span of time in milliseconds.
    fn count(&self) -> Result<Option<i64>, Reject> {
        match self.unit {
            Unit::Seconds => self.field.millis(self.name, 1_000_000),
            Unit::Millis => self.field.millis(self.name, 1_000),
            _ => self.field.count(self.name),
        }
    }

    fn cost(&self) -> Result<Option<Usd>, Reject> {
        self.field.cost(self.name, if *self.unit == Unit::Cents { 2 } else { 0 })
    }

    /// Whether it is so, in the words for flags and for caches.
    fn flag(&self) -> Result<Option<bool>, Reject> {
        let expected = "`true` or `false`, `hit` or `miss`";
        if let Some(flag) = self.field.flag() {
            return Ok(Some(flag));
        }
        let Some(words) = self.field.words(self.name, expected)? else { return Ok(None) };
        match words.to_ascii_lowercase().as_str() {
            "yes" | "hit" => Ok(Some(true)),
            "no" | "miss" | "bypass" | "refresh" | "disabled" => Ok(Some(false)),
            _ => Err(self.wrong(RejectReason::WrongType, &words, expected)),
        }
    }

    fn status(&self) -> Result<Option<Status>, Reject> {
        let expected = "`success`, `error`, `partial`, `cancelled` or `blocked`";
        let Some(word) = self.field.words(self.name, expected)? else { return Ok(None) };
        let status = ending::by_word(&word);
        status.map(Some).ok_or_else(|| self.wrong(RejectReason::WrongType, &word, expected))
    }

    fn time(&self) -> Result<Option<Instant>, Reject> {
        let Unit::Time(format) = self.unit else { return self.field.time(self.name, self.source.timezone) };
        // How many of the unit make a second, or a pattern.
        let per_second = match format {
            TimeFormat::Auto => return self.field.time(self.name, self.source.timezone),
            TimeFormat::EpochSeconds => 1,
            TimeFormat::EpochMillis => 1_000,
            TimeFormat::EpochMicros => 1_000_000,
            TimeFormat::EpochNanos => 1_000_000_000,
            TimeFormat::Pattern(pattern) => {
                return self
                    .sane(&format!("a time like `{pattern}`"), |text| by_pattern(text, pattern, self.source.timezone));
            }
        };
        // An exact decimal in units of 1e-12, whatever the unit of time is.
        self.sane("a count since 1970", |digits| {
            let count = Usd::parse_rounded(digits.as_bytes(), 0).ok()?;
            i64::try_from(count.pico() / (1_000_000 * per_second)).ok().map(Instant::from_micros)
        })
    }

    fn sane(&self, expected: &str, read: impl Fn(&str) -> Option<Instant>) -> Result<Option<Instant>, Reject> {
        let Some(words) = self.field.words(self.name, expected)? else { return Ok(None) };
        let instant = read(&words).filter(|instant| instant.is_sane());
        instant
            .map(Some)
            .ok_or_else(|| self.wrong(RejectReason::BadTime, &words, &format!("{expected}, between 2020 and 2100")))
    }
}

/// A time in a pattern with or without an offset, or only a day.
fn by_pattern(text: &str, pattern: &str, zone: chrono_tz::Tz) -> Option<Instant> {
    if let Ok(time) = DateTime::parse_from_str(text, pattern) {
        return Some(Instant::from_micros(time.timestamp_micros()));
    }
    let local = NaiveDateTime::parse_from_str(text, pattern)
        .or_else(|_| NaiveDate::parse_from_str(text, pattern).map(|day| day.and_time(NaiveTime::MIN)));
    Instant::from_local(local.ok()?, zone)
}

/// One of the record's words, or the path that was called.
fn operation(word: &str) -> Operation {
    let word = word.trim();
    Operation::from_name(&word.to_ascii_lowercase()).or_else(|| endpoint::operation(word)).unwrap_or(Operation::Other)
}

#[cfg(test)]
mod tests {
    use super::{super::shared::testing, *};

    fn source(fields: &[(CustomField, Place, Unit)], cache: CachePlace) -> Source {
        let fields =
            fields.iter().map(|(field, place, unit)| (*field, Mapped { place: place.clone(), unit: unit.clone() }));
        let custom = Some(CustomMapping { fields: fields.collect(), cache });
        Source { provider: Some("groq".into()), custom, tags: vec!["env".into()], ..Source::default() }
    }

    fn at(pointer: &str) -> Place {
        Place::Pointer(pointer.into())
    }

    #[test]
    fn fields_are_found_by_pointer_name_or_not_at_all() {
        let fields = [
            (CustomField::Ts, at("/log/when"), Unit::Time(TimeFormat::EpochMillis)),
            (CustomField::Model, Place::Constant("m".into()), Unit::Plain),
            (CustomField::Key, Place::Name("who".into()), Unit::Plain),
            (CustomField::Tags, at("/log/labels"), Unit::Plain),
            (CustomField::Operation, at("/path"), Unit::Plain),
            (CustomField::Latency, at("/took"), Unit::Seconds),
            (CustomField::GatewayCache, at("/cache"), Unit::Plain),
            (CustomField::Meter(Meter::InputTokens), at("/t/0"), Unit::Plain),
            (CustomField::Meter(Meter::CachedInputTokens), at("/t/1"), Unit::Plain),
            (CustomField::Meter(Meter::OutputTokens), at("/t/2"), Unit::Plain),
            (CustomField::Meter(Meter::AudioMs), at("/inner/a/0"), Unit::Seconds),
            (CustomField::User, at("/inner/none"), Unit::Plain),
            (CustomField::ReportedCost, at("/cents"), Unit::Cents),
        ];
        let check = |json: &str, cache: CachePlace, expect: &str| {
            assert_eq!(testing::ledger(&Custom, json, &source(&fields, cache)), expect, "{json}");
        };
        let json = r#"{"log":{"when":"1780300800123","labels":"{\"env\":\"prod\",\"x\":1}"},"who":"a","path":"/v1/embeddings","t":[10,"4",null],"inner":"{\"a\":[\"1.5\"],\"none\":null}","cents":12.5,"cache":"HIT","took":"-"}"#;
        let row = "2026-06-01T08:00:00.123Z groq m embedding success reported";
        let rest = "audio_ms=1500 key=a tags={\"env\":\"prod\"} cost=125000000000 gateway_cache";
        check(json, CachePlace::Inside, &format!("{row} in=6 cached=4 {rest}"));
        check(json, CachePlace::Beside, &format!("{row} in=10 cached=4 {rest}"));
        check(r#"{"path":"/health","t":[0,0,0]}"#, CachePlace::Inside, "skip not_usage");
        check(
            r#"{"t":[5]}"#,
            CachePlace::Inside,
            "reject missing_field: `ts` is missing, expected a time where the source's `[source.fields]` says that it stands",
        );
        check(
            r#"{"log":{"when":1780300800000},"cache":"perhaps"}"#,
            CachePlace::Inside,
            "reject wrong_type: `/cache` is `perhaps`, expected `true` or `false`, `hit` or `miss`",
        );
        check(
            r#"{"log":{"when":1780300800000},"t":[-1]}"#,
            CachePlace::Inside,
            "reject out_of_range: `/t/0` is `-1`, expected a whole number from 0 to 2^63 - 1",
        );
    }

    #[test]
    fn times_are_read_as_the_mapping_says() {
        let read = |text: &str, format: TimeFormat, zone: chrono_tz::Tz| {
            let source = Source { timezone: zone, ..Source::default() };
            let field = Field::Text(Cow::Borrowed(text));
            let time = Mapping { name: "/t", field, unit: &Unit::Time(format), source: &source }.time();
            time.map_or_else(|reject| reject.reason.name().to_owned(), |time| time.unwrap().to_string())
        };
        let (utc, tokyo) = (chrono_tz::Tz::UTC, chrono_tz::Tz::Asia__Tokyo);
        let pattern = |text: &str| TimeFormat::Pattern(text.into());
        for (text, format, zone, expect) in [
            ("1780300800.5", TimeFormat::EpochSeconds, utc, "2026-06-01T08:00:00.500Z"),
            ("1.7803008e9", TimeFormat::EpochSeconds, utc, "2026-06-01T08:00:00Z"),
            ("1780300800123456", TimeFormat::EpochMicros, utc, "2026-06-01T08:00:00.123456Z"),
            ("1780300800123456789", TimeFormat::EpochNanos, utc, "2026-06-01T08:00:00.123456Z"),
            ("1780300800", TimeFormat::EpochMillis, utc, "bad_time"),
            ("2026-06-01 17:00:00", TimeFormat::Auto, tokyo, "2026-06-01T08:00:00Z"),
            ("01/Jun/2026:08:00:00 +0000", pattern("%d/%b/%Y:%H:%M:%S %z"), tokyo, "2026-06-01T08:00:00Z"),
            ("2026/06/01 17.00", pattern("%Y/%m/%d %H.%M"), tokyo, "2026-06-01T08:00:00Z"),
            ("20260601", pattern("%Y%m%d"), utc, "2026-06-01T00:00:00Z"),
            ("soon", pattern("%Y%m%d"), utc, "bad_time"),
        ] {
            assert_eq!(read(text, format, zone), expect, "{text}");
        }
    }

    #[test]
    fn columns_of_csv_are_read_by_name() {
        let fields = [
            (CustomField::Ts, Place::Name("when".into()), Unit::Time(TimeFormat::Auto)),
            (CustomField::Model, Place::Name("model".into()), Unit::Plain),
            (CustomField::Status, Place::Name("outcome".into()), Unit::Plain),
            (CustomField::Meter(Meter::OutputTokens), Place::Name("out".into()), Unit::Plain),
        ];
        let check = |row: &str, expect: &str| {
            let source = source(&fields, CachePlace::Inside);
            assert_eq!(testing::csv_ledger(&Custom, "when,model,outcome,out", row, &source), expect, "{row}");
        };
        check("2026-06-01T08:00:00Z,m,failed, 12", "2026-06-01T08:00:00Z groq m chat error reported out=12");
        check("2026-06-01T08:00:00Z,m,,-", "2026-06-01T08:00:00Z groq m chat success missing");
        check("2026-06-01T08:00:00Z,-,,0", "skip not_usage");
        check(
            "2026-06-01T08:00:00Z,m,so-so,",
            "reject wrong_type: `outcome` is `so-so`, expected `success`, `error`, `partial`, `cancelled` or `blocked`",
        );
    }
}
