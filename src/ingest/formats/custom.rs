//! `custom`: any JSON or CSV log, read by the mapping in the config.
//!
//! The mapping says where each field of the record stands and in what unit;
//! see [`CustomMapping`]. Nothing is guessed: what is not mapped is not known,
//! and a word that could mean anything is refused. An entry without a model,
//! and without any quantity above zero, is no usage: so the access log of a
//! whole gateway can be read.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use super::{Entry, Fields, Format, Found, Recognition, Reject, RejectReason, Sink, Skip, path, read, usage::Totals};
use crate::{
    config::{CachePlace, CustomField, CustomMapping, Mapped, Place, Source, TimeFormat, Unit},
    json::{Kind, Scanner, Value},
    money::Usd,
    record::{Meter, Operation, Quality, Status, Text, UsageRecord},
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
        match Reading::of(entry, mapping, source).and_then(|reading| reading.finish(mapping.cache)) {
            Ok(Some(found)) => sink.record(found),
            Ok(None) => sink.skip(Skip::NotUsage),
            Err(reject) => sink.reject(reject),
        }
    }
}

/// What the mapping finds in an entry.
struct Reading<'a> {
    found: Found<'a>,
    ts: Option<Instant>,
    totals: Totals,
    status: Option<Status>,
}

impl<'a> Reading<'a> {
    fn of(entry: &Entry<'a>, mapping: &CustomMapping, source: &Source) -> Result<Self, Reject> {
        let mut it = Self {
            found: Found::new(UsageRecord::at(Instant::EARLIEST)),
            ts: None,
            totals: Totals::default(),
            status: None,
        };
        for (&field, mapped) in &mapping.fields {
            let (name, value) = match &mapped.place {
                Place::Pointer(pointer) => (pointer, pointed(entry, pointer)),
                Place::Name(name) => (name, named(entry, name)),
                Place::Constant(text) => (text, Some(Raw::Text(Cow::Owned(text.clone())))),
            };
            if let Some(value) = value.filter(|value| !value.is_nothing()) {
                it.put(field, &At { name, mapped, source }, value)?;
            }
        }
        Ok(it)
    }

    fn put(&mut self, field: CustomField, at: &At<'_>, value: Raw<'a>) -> Result<(), Reject> {
        let record = &mut self.found.record;
        match field {
            CustomField::Ts => self.ts = Some(at.time(&value)?),
            CustomField::Created => self.found.created = Some(at.time(&value)?.seconds()),
            CustomField::RequestId => self.found.ids[0] = at.text(value)?,
            CustomField::Provider => record.provider = at.text(value)?.unwrap_or_default(),
            CustomField::Model => record.model = at.text(value)?.unwrap_or_default(),
            CustomField::ModelRequested => record.model_requested = at.text(value)?,
            CustomField::Tier => record.tier = at.text(value)?,
            CustomField::Operation => record.operation = operation(&at.text(value)?.unwrap_or_default()),
            CustomField::Key => record.key = at.text(value)?,
            CustomField::Team => record.team_reported = at.text(value)?,
            CustomField::User => record.user = at.text(value)?,
            CustomField::Project => record.project = at.text(value)?,
            CustomField::Tags => record.tags = at.tags(&value),
            CustomField::Status => self.status = Some(at.status(&at.text(value)?.unwrap_or_default())?),
            CustomField::HttpStatus => record.http_status = Some(at.http_status(&value)?),
            CustomField::ErrorCode => record.error_code = at.text(value)?,
            CustomField::MaxTokens => record.max_tokens = Some(at.count(&value)?),
            CustomField::Latency => record.latency_ms = Some(at.count(&value)?),
            CustomField::Streamed => record.streamed = Some(at.flag(&value)?),
            CustomField::GatewayCache => record.gateway_cache = at.flag(&value)?,
            CustomField::TotalTokens => self.totals.total = Some(at.count(&value)?),
            CustomField::ReasoningTokens => self.totals.reasoning = Some(at.count(&value)?),
            CustomField::ReportedCost => record.reported_cost = Some(at.cost(&value)?),
            CustomField::Meter(meter) => {
                let quantity = Some(at.count(&value)?);
                match meter {
                    Meter::InputTokens => self.totals.prompt = quantity,
                    Meter::CachedInputTokens => self.totals.cached = quantity,
                    Meter::CacheWrite5mTokens => self.totals.cache_write_5m = quantity,
                    Meter::CacheWrite1hTokens => self.totals.cache_write_1h = quantity,
                    Meter::OutputTokens => self.totals.completion = quantity,
                    _ => record.quantities[meter] = quantity,
                }
            }
        }
        Ok(())
    }

    fn finish(self, cache: CachePlace) -> Result<Option<Found<'a>>, Reject> {
        let Self { mut found, ts, mut totals, status } = self;
        totals.cache_beside_prompt = cache == CachePlace::Beside;
        let counts = totals.counts();
        let record = &mut found.record;
        let others = std::mem::replace(&mut record.quantities, counts.quantities);
        for (quantity, other) in record.quantities.0.iter_mut().zip(others.0) {
            *quantity = quantity.or(other);
        }
        let is_usage = record.quantities.0.iter().flatten().any(|&quantity| quantity > 0);
        if !is_usage && (record.model.is_empty() || ts.is_none()) {
            return Ok(None);
        }
        let Some(ts) = ts else {
            return Err(Reject::missing("ts", "a time where the source's `[source.fields]` says that it stands"));
        };
        (record.ts, record.ts_last) = (ts, ts);
        record.reasoning_tokens = counts.reasoning_tokens;
        record.quality = counts.quality;
        if record.quality == Quality::Missing && record.quantities.any() {
            record.quality = Quality::Reported;
        }
        record.status = status.unwrap_or_else(|| super::status(record.http_status, record.error_code.as_deref()));
        Ok(Some(found))
    }
}

/// What a pointer leads to, also inside a text that holds JSON: some gateways
/// log their fields so.
fn pointed<'a>(entry: &Entry<'a>, pointer: &str) -> Option<Raw<'a>> {
    let Entry::Json(entry) = entry else { return None };
    if let Some(value) = entry.pointer(pointer) {
        return Some(Raw::Json(value));
    }
    pointer.match_indices('/').skip(1).find_map(|(at, _)| {
        let (outer, inner) = pointer.split_at(at);
        let text = entry.pointer(outer)?.text()?;
        let mut scanner = Scanner::new();
        let value = scanner.scan(&text).ok()?.pointer(inner)?;
        let words = value.text().unwrap_or(Cow::Borrowed(value.raw()));
        (!value.is_null()).then(|| Raw::Text(Cow::Owned(words.into_owned())))
    })
}

fn named<'a>(entry: &Entry<'a>, name: &str) -> Option<Raw<'a>> {
    match entry {
        Entry::Json(value) => value.get(name).map(Raw::Json),
        Entry::Csv(row) => row.get(name).map(|field| Raw::Text(Cow::Borrowed(field))),
    }
}

/// A value as it stands in a JSON entry, or the text of a CSV field or constant.
enum Raw<'a> {
    Json(Value<'a>),
    Text(Text<'a>),
}

impl Raw<'_> {
    fn is_nothing(&self) -> bool {
        match self {
            Self::Json(value) => match value.kind() {
                Kind::Null => true,
                Kind::Text(_) => read::is_nothing(value.text().unwrap_or_default().trim()),
                _ => false,
            },
            Self::Text(text) => read::is_nothing(text.trim()),
        }
    }

    /// The digits or words; `None` for objects and arrays.
    fn words(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Json(value) => match value.kind() {
                Kind::Text(_) => value.text().map(|text| match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                    Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
                }),
                Kind::Array | Kind::Object => None,
                _ => Some(Cow::Borrowed(value.raw())),
            },
            Self::Text(text) => Some(Cow::Borrowed(text.trim())),
        }
    }
}

/// A field's place and unit: what it takes to read its value.
struct At<'m> {
    /// The pointer, column or constant, for messages.
    name: &'m str,
    mapped: &'m Mapped,
    source: &'m Source,
}

impl At<'_> {
    fn wrong(&self, found: &str, expected: &str) -> Reject {
        let short: String = found.chars().take(40).collect();
        let found = crate::secrets::redact(&short);
        Reject::new(RejectReason::WrongType, format!("`{}` is `{found}`, expected {expected}", self.name))
    }

    fn words<'v>(&self, value: &'v Raw<'_>, expected: &str) -> Result<Cow<'v, str>, Reject> {
        value.words().ok_or_else(|| {
            let detail = format!("`{}` is an object or an array, expected {expected}", self.name);
            Reject::new(RejectReason::WrongType, detail)
        })
    }

    fn text<'a>(&self, value: Raw<'a>) -> Result<Option<Text<'a>>, Reject> {
        match value {
            Raw::Json(value) => Fields::text(self.name, Some(value)),
            Raw::Text(text) => Ok(Some(text)),
        }
    }

    /// A count, or a span of time in milliseconds.
    fn count(&self, value: &Raw<'_>) -> Result<i64, Reject> {
        let words = self.words(value, "a whole number")?;
        match self.mapped.unit {
            Unit::Seconds => Fields::parse_millis(self.name, &words, 1_000_000),
            Unit::Millis => Fields::parse_millis(self.name, &words, 1_000),
            _ => Fields::parse_count(self.name, &words),
        }
    }

    fn http_status(&self, value: &Raw<'_>) -> Result<i16, Reject> {
        let code = self.count(value)?;
        i16::try_from(code).ok().filter(|&code| code < 1000).ok_or_else(|| {
            let detail = format!("`{}` is `{code}`, expected an HTTP status code", self.name);
            Reject::new(RejectReason::OutOfRange, detail)
        })
    }

    fn cost(&self, value: &Raw<'_>) -> Result<Usd, Reject> {
        let shift = if self.mapped.unit == Unit::Cents { 2 } else { 0 };
        Fields::parse_cost(self.name, &self.words(value, "an amount")?, shift)
    }

    /// Whether it is so, in the words for flags and for caches.
    fn flag(&self, value: &Raw<'_>) -> Result<bool, Reject> {
        let words = self.words(value, "`true` or `false`")?.to_ascii_lowercase();
        match words.as_str() {
            "true" | "1" | "yes" | "hit" => Ok(true),
            "false" | "0" | "no" | "miss" | "bypass" | "refresh" | "disabled" => Ok(false),
            _ => Err(self.wrong(&words, "`true` or `false`, `hit` or `miss`")),
        }
    }

    fn status(&self, word: &str) -> Result<Status, Reject> {
        let word = word.trim().to_ascii_lowercase();
        Ok(match word.as_str() {
            "ok" | "completed" | "succeeded" => Status::Success,
            "failure" | "failed" => Status::Error,
            "canceled" => Status::Cancelled,
            _ => {
                let expected = "`success`, `error`, `partial`, `cancelled` or `blocked`";
                return Status::from_name(&word).ok_or_else(|| self.wrong(&word, expected));
            }
        })
    }

    /// Labels in an object, or in the JSON of one.
    fn tags(&self, value: &Raw<'_>) -> Option<Text<'static>> {
        if let Raw::Json(value) = value
            && value.is_object()
        {
            return super::tags(*value, self.source);
        }
        let words = value.words()?;
        let mut scanner = Scanner::new();
        super::tags(scanner.scan(&words).ok()?, self.source)
    }

    fn time(&self, value: &Raw<'_>) -> Result<Instant, Reject> {
        let expected = "a time";
        let words = self.words(value, expected)?;
        let Unit::Time(format) = &self.mapped.unit else {
            return Fields::parse_time(self.name, &words, self.source.timezone);
        };
        // How many of the unit make a second, or a pattern.
        let per_second = match format {
            TimeFormat::Auto => return Fields::parse_time(self.name, &words, self.source.timezone),
            TimeFormat::EpochSeconds => 1,
            TimeFormat::EpochMillis => 1_000,
            TimeFormat::EpochMicros => 1_000_000,
            TimeFormat::EpochNanos => 1_000_000_000,
            TimeFormat::Pattern(pattern) => {
                let instant = by_pattern(&words, pattern, self.source.timezone);
                return self.sane(&words, instant, &format!("a time like `{pattern}`"));
            }
        };
        // An exact decimal in units of 1e-12, whatever the unit of time is.
        let micros = Usd::parse_rounded(words.as_bytes(), 0)
            .ok()
            .and_then(|count| i64::try_from(count.pico() / (1_000_000 * per_second)).ok());
        self.sane(&words, micros.map(Instant::from_micros), "a count since 1970")
    }

    fn sane(&self, found: &str, instant: Option<Instant>, expected: &str) -> Result<Instant, Reject> {
        instant.filter(|instant| instant.is_sane()).ok_or_else(|| {
            let detail = self.wrong(found, &format!("{expected}, between 2020 and 2100")).detail;
            Reject::new(RejectReason::BadTime, detail)
        })
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
    Operation::from_name(&word.to_ascii_lowercase()).or_else(|| path::operation(word)).unwrap_or(Operation::Other)
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

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
            let mapped = Mapped { place: at("/t"), unit: Unit::Time(format) };
            let source = Source { timezone: zone, ..Source::default() };
            At { name: "/t", mapped: &mapped, source: &source }
                .time(&Raw::Text(Cow::Borrowed(text)))
                .map_or_else(|reject| reject.reason.name().to_owned(), |time| time.to_string())
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
