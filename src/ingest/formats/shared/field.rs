//! A field of an entry, in JSON or in CSV, read the way logs write it: numbers
//! as strings, empty for absent, `None` for null. What a field cannot be is a
//! [`Reject`] that names it, what was found and what was expected.
//!
//! Some gateways write an object as itself in one place and as a text that
//! holds JSON in another; [`Field::nested`] and [`Field::object`] take both.

use std::borrow::Cow;

use super::super::{Entry, Reject, RejectReason};
use crate::{
    json::{Kind, Scanner, Value},
    money::{ParseUsdError, Usd},
    record::Text,
    secrets,
    time::Instant,
};

/// One row of a CSV file: its fields beside the names in the header line.
#[derive(Debug, Clone, Copy)]
pub struct CsvRow<'a> {
    header: &'a [String],
    fields: &'a [Cow<'a, str>],
}

impl<'a> CsvRow<'a> {
    pub const fn new(header: &'a [String], fields: &'a [Cow<'a, str>]) -> Self {
        Self { header, fields }
    }

    pub fn has(&self, name: &str) -> bool {
        self.header.iter().any(|column| column == name)
    }

    /// The field of that column; empty is taken for absent.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let at = self.header.iter().position(|column| column == name)?;
        self.fields.get(at).map(AsRef::as_ref).filter(|field| !field.is_empty())
    }

    /// The field of that column, to be read.
    pub(crate) fn field(&self, name: &str) -> Field<'a> {
        self.get(name).map_or(Field::Absent, |text| Field::Text(Cow::Borrowed(text)))
    }
}

/// A field. In every message `name` is its path as a person would write it.
#[derive(Debug, Clone)]
pub enum Field<'a> {
    Absent,
    Json(Value<'a>),
    /// A field of a CSV row, or words from elsewhere.
    Text(Text<'a>),
}

/// Where an object stands.
#[derive(Debug)]
pub(crate) enum Nested<'a> {
    Nothing,
    Here(Value<'a>),
    /// In a text, still to be scanned.
    Inside(Text<'a>),
}

impl<'a> From<Value<'a>> for Field<'a> {
    fn from(value: Value<'a>) -> Self {
        Self::Json(value)
    }
}

impl<'a> From<Option<Value<'a>>> for Field<'a> {
    fn from(value: Option<Value<'a>>) -> Self {
        value.map_or(Self::Absent, Self::Json)
    }
}

/// The names and fields of an object. A name is as it stands in the document,
/// which is the name itself unless it has escapes.
pub(crate) fn members<'a>(object: Value<'a>) -> impl Iterator<Item = (&'a str, Field<'a>)> {
    object.entries().map(|(key, value)| (key.raw(), Field::Json(value)))
}

/// The names and fields of an entry, in its order.
pub(crate) fn fields<'a>(entry: &Entry<'a>) -> impl Iterator<Item = (&'a str, Field<'a>)> {
    let (json, csv) = match entry {
        Entry::Json(value) => (Some(members(*value)), None),
        Entry::Csv(row) => (None, Some(row.header.iter().zip(row.fields))),
    };
    let csv = csv.into_iter().flatten();
    json.into_iter().flatten().chain(csv.map(|(name, text)| (name.as_str(), Field::Text(Cow::Borrowed(text.as_ref())))))
}

/// Whether the entry has a field of that name, be it null.
pub(crate) fn has(entry: &Entry<'_>, name: &str) -> bool {
    match entry {
        Entry::Json(value) => value.get(name).is_some(),
        Entry::Csv(row) => row.has(name),
    }
}

/// The text as it stands in the document: for words that need no escapes.
/// Empty for any other value.
pub(crate) fn word(value: Value<'_>) -> &str {
    match value.kind() {
        Kind::Text(_) => value.raw(),
        _ => "",
    }
}

/// A text that does not borrow.
pub(crate) fn own<'o>(text: Text<'_>) -> Text<'o> {
    Cow::Owned(text.into_owned())
}

impl<'a> Field<'a> {
    /// The value, where it stands in JSON and is not null.
    pub(crate) fn value(&self) -> Option<Value<'a>> {
        match self {
            Self::Json(value) => Some(*value).filter(|value| !value.is_null()),
            _ => None,
        }
    }

    /// The digits or words, without white space around them; `None` where there
    /// is nothing.
    pub(crate) fn words(&self, name: &str, expected: &str) -> Result<Option<Cow<'_, str>>, Reject> {
        let text = match self {
            Self::Absent => return Ok(None),
            Self::Text(text) => Cow::Borrowed(text.trim()),
            Self::Json(value) => match value.kind() {
                Kind::Null => return Ok(None),
                Kind::Number => return Ok(Some(Cow::Borrowed(value.raw()))),
                Kind::Text(false) => Cow::Borrowed(value.raw().trim()),
                Kind::Text(true) => Cow::Owned(value.text().unwrap_or_default().trim().to_owned()),
                _ => return Err(wrong_type(name, *value, expected)),
            },
        };
        Ok((!is_nothing(&text)).then_some(text))
    }

    /// A number as most are written, read without a detour.
    fn small_whole(&self) -> Option<i64> {
        match self {
            Self::Json(value) => value.small_whole(),
            _ => None,
        }
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Reject>,
    ) -> Result<Option<T>, Reject> {
        self.words(name, expected)?.map(|words| parse(&words)).transpose()
    }

    /// A whole number that is not negative: a count of tokens, of milliseconds.
    /// `12`, `12.0`, `"12"` are all 12.
    ///
    /// # Errors
    /// For anything else, and for counts of 2^63 and above.
    pub fn count(&self, name: &str) -> Result<Option<i64>, Reject> {
        if let Some(count) = self.small_whole() {
            return Ok(Some(count));
        }
        self.read(name, "a whole number", |digits| parse_count(name, digits))
    }

    /// A span of time given in some unit, as whole milliseconds, rounded down.
    /// `per_unit` is how many microseconds the unit has: `1_000_000` for seconds.
    ///
    /// # Errors
    /// Where it is not a number, negative or absurd.
    pub fn millis(&self, name: &str, per_unit: i64) -> Result<Option<i64>, Reject> {
        let millis = self.small_whole().and_then(|units| units.checked_mul(per_unit)).map(|micros| micros / 1_000);
        if let Some(millis) = millis.filter(|millis| *millis <= MAX_MILLIS) {
            return Ok(Some(millis));
        }
        self.read(name, "a span of time", |text| parse_millis(name, text, per_unit))
    }

    /// A point in time: RFC 3339 or a count of seconds (with any fraction),
    /// milliseconds, microseconds or nanoseconds since 1970, as number or text.
    /// A time without a zone is in `zone`.
    ///
    /// # Errors
    /// Where it is no time, or not between 2020 and 2100.
    pub fn time(&self, name: &str, zone: chrono_tz::Tz) -> Result<Option<Instant>, Reject> {
        let plain = if let Self::Json(value) = self { value.plain_text() } else { None };
        if let Some(instant) = plain.and_then(Instant::parse_utc).filter(|instant| instant.is_sane()) {
            return Ok(Some(instant));
        }
        self.read(name, "a time", |text| parse_time(name, text, zone))
    }

    /// What the log claims something cost, in USD, from its digits.
    /// `shift` is 2 for amounts in cents, 0 for dollars.
    ///
    /// # Errors
    /// Where it is not a number.
    pub fn cost(&self, name: &str, shift: u32) -> Result<Option<Usd>, Reject> {
        self.read(name, "an amount", |text| parse_cost(name, text, shift))
    }

    /// An HTTP status code; 0 and other codes that HTTP does not have are kept
    /// as they are, if they fit.
    ///
    /// # Errors
    /// Where it cannot be a status code.
    pub fn http_status(&self, name: &str) -> Result<Option<i16>, Reject> {
        let Some(code) = self.count(name)? else { return Ok(None) };
        let status = i16::try_from(code).ok().filter(|code| *code < 1000);
        status.map(Some).ok_or_else(|| {
            Reject::new(RejectReason::OutOfRange, format!("`{name}` is `{code}`, expected an HTTP status code"))
        })
    }

    /// Text; null, empty, `None` and `null` are absent. A number is taken as
    /// its digits.
    ///
    /// # Errors
    /// For arrays, objects and booleans.
    pub fn text(&self, name: &str) -> Result<Option<Text<'a>>, Reject> {
        let text = match self {
            Self::Absent => return Ok(None),
            Self::Text(text) => text.clone(),
            Self::Json(value) => match (value.plain_text(), value.kind()) {
                (Some(text), _) => Cow::Borrowed(text),
                (None, Kind::Null) => return Ok(None),
                (None, Kind::Text(_)) => value.text().unwrap_or_default(),
                (None, Kind::Number) => Cow::Borrowed(value.raw()),
                (None, _) => return Err(wrong_type(name, *value, "a text")),
            },
        };
        Ok((!is_nothing(&text)).then_some(text))
    }

    /// Text where there is one, and nothing for any other kind of value: for
    /// fields that are only informative.
    pub fn any_text(&self) -> Option<Text<'a>> {
        self.text("").ok().flatten()
    }

    /// Text, number or flag as its words: what a label can be.
    pub fn label(&self) -> Option<Text<'a>> {
        match self {
            Self::Json(value) if value.bool().is_some() => Some(Cow::Borrowed(value.raw())),
            _ => self.any_text(),
        }
    }

    /// Yes or no, as JSON, Python and Postgres write it; anything else is neither.
    pub fn flag(&self) -> Option<bool> {
        match self.label()?.as_ref() {
            "true" | "True" | "TRUE" | "t" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "0" => Some(false),
            _ => None,
        }
    }

    /// Where the object or array of this field stands.
    ///
    /// # Errors
    /// Where it is neither, nor a text that can hold one.
    pub(crate) fn nested(&self, name: &str) -> Result<Nested<'a>, Reject> {
        match self {
            Self::Json(value) if value.is_object() || value.is_array() => Ok(Nested::Here(*value)),
            Self::Json(value) if matches!(value.kind(), Kind::Number | Kind::Bool(_)) => {
                Err(wrong_type(name, *value, "an object"))
            }
            _ => Ok(self.any_text().map_or(Nested::Nothing, Nested::Inside)),
        }
    }

    /// What `read` makes of the object or array of this field; it cannot keep
    /// anything borrowed from it, since it may stand in a text.
    ///
    /// # Errors
    /// Where there is a field that holds neither, and what `read` refuses.
    pub(crate) fn object<T>(
        &self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Reject>,
    ) -> Result<Option<T>, Reject> {
        match self.nested(name)? {
            Nested::Nothing => Ok(None),
            Nested::Here(value) => read(value).map(Some),
            Nested::Inside(text) => read(scan(name, &text, &mut Scanner::new())?).map(Some),
        }
    }

    /// Like [`Field::object`], for fields that are only informative: `None`
    /// where there is no object.
    pub(crate) fn any_object<T>(&self, read: impl FnOnce(Value<'_>) -> T) -> Option<T> {
        self.object("", |value| Ok(read(value))).ok().flatten()
    }
}

/// Scans the JSON in a text.
///
/// # Errors
/// Where it is not JSON, or no object or array.
pub(crate) fn scan<'s>(name: &str, text: &'s str, scanner: &'s mut Scanner) -> Result<Value<'s>, Reject> {
    let value = scanner.scan(text).map_err(|error| {
        Reject::new(RejectReason::WrongType, format!("`{name}` is a text, expected an object as JSON in it: {error}"))
    })?;
    if value.is_object() || value.is_array() { Ok(value) } else { Err(wrong_type(name, value, "an object")) }
}

/// Reads a whole number that is not negative.
///
/// # Errors
/// Where the text is not one, or 2^63 and above.
pub(crate) fn parse_count(name: &str, digits: &str) -> Result<i64, Reject> {
    if let Ok(count) = digits.parse::<u64>() {
        return i64::try_from(count).map_err(|_| out_of_range(name, digits));
    }
    decimal_to_whole(digits).map_err(|why| match why {
        NoCount::OutOfRange => out_of_range(name, digits),
        NoCount::Malformed => {
            Reject::new(RejectReason::WrongType, format!("`{name}` is {}, expected a whole number", quoted(digits)))
        }
    })
}

/// Reads a span of time given in some unit, as whole milliseconds.
///
/// # Errors
/// Where the text is not a number, negative or absurd.
pub(crate) fn parse_millis(name: &str, text: &str, per_unit: i64) -> Result<i64, Reject> {
    // A decimal number of units, read exactly with the same digits as money.
    let pico = Usd::parse_rounded(text.as_bytes(), 0)
        .map_err(|_| {
            Reject::new(RejectReason::WrongType, format!("`{name}` is {}, expected a span of time", quoted(text)))
        })?
        .pico();
    let millis = pico.checked_mul(i128::from(per_unit)).map(|micros| micros / 1_000_000_000_000_000);
    millis
        .and_then(|millis| i64::try_from(millis).ok())
        .filter(|millis| (0..=MAX_MILLIS).contains(millis))
        .ok_or_else(|| out_of_range(name, text))
}

/// Reads a time or a count since 1970.
///
/// # Errors
/// Where the text is no time, or not between 2020 and 2100.
pub(crate) fn parse_time(name: &str, text: &str, zone: chrono_tz::Tz) -> Result<Instant, Reject> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+')) {
        return parse_epoch(name, text);
    }
    let instant =
        Instant::parse(text, zone).ok_or_else(|| bad_time(name, text, "expected RFC 3339 or a count since 1970"))?;
    sane(name, text, instant)
}

/// Reads a count of seconds, milliseconds, microseconds or nanoseconds
/// since 1970; seconds may have a fraction.
///
/// # Errors
/// Where the text is no such count, or not between 2020 and 2100.
pub(crate) fn parse_epoch(name: &str, digits: &str) -> Result<Instant, Reject> {
    let expected = "expected a count since 1970 that falls between 2020 and 2100";
    if let Ok(count) = digits.parse::<i64>() {
        return Instant::from_epoch(count).ok_or_else(|| bad_time(name, digits, expected));
    }
    // With a fraction: exact decimal digits, in units of 1e-12.
    let pico = Usd::parse_rounded(digits.as_bytes(), 0).map_err(|_| bad_time(name, digits, expected))?.pico();
    [1_000_000, 1_000_000_000, 1_000_000_000_000]
        .iter()
        .filter_map(|unit| i64::try_from(pico / unit).ok())
        .map(Instant::from_micros)
        .find(|instant| instant.is_sane())
        .ok_or_else(|| bad_time(name, digits, expected))
}

/// Reads an amount.
///
/// # Errors
/// Where the text is not a number.
pub(crate) fn parse_cost(name: &str, text: &str, shift: u32) -> Result<Usd, Reject> {
    Usd::parse_rounded(text.as_bytes(), shift).map_err(|error| {
        Reject::new(RejectReason::WrongType, format!("`{name}` is {}, expected an amount: {error}", quoted(text)))
    })
}

/// A hundred years: no latency or audio is longer.
const MAX_MILLIS: i64 = 100 * 366 * 86_400_000;

/// What logs write where there is nothing.
pub(crate) fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "None" | "none" | "null" | "NULL" | "-")
}

/// Why a decimal is no count.
enum NoCount {
    Malformed,
    OutOfRange,
}

/// The whole number that a decimal like `12.0` or `1.2e3` is.
fn decimal_to_whole(digits: &str) -> Result<i64, NoCount> {
    let one = 1_000_000_000_000;
    match Usd::parse_rounded(digits.as_bytes(), 0).map(Usd::pico) {
        Ok(pico) if pico < 0 => Err(NoCount::OutOfRange),
        Ok(pico) if pico % one == 0 => i64::try_from(pico / one).map_err(|_| NoCount::OutOfRange),
        Err(ParseUsdError::TooLarge) => Err(NoCount::OutOfRange),
        _ => Err(NoCount::Malformed),
    }
}

fn sane(name: &str, text: &str, instant: Instant) -> Result<Instant, Reject> {
    if instant.is_sane() { Ok(instant) } else { Err(bad_time(name, text, "expected a time between 2020 and 2100")) }
}

fn bad_time(name: &str, text: &str, expected: &str) -> Reject {
    Reject::new(RejectReason::BadTime, format!("`{name}` is {}, {expected}", quoted(text)))
}

fn out_of_range(name: &str, digits: &str) -> Reject {
    Reject::new(
        RejectReason::OutOfRange,
        format!("`{name}` is {}, expected a whole number from 0 to 2^63 - 1", quoted(digits)),
    )
}

pub(crate) fn wrong_type(name: &str, value: Value<'_>, expected: &str) -> Reject {
    Reject::new(RejectReason::WrongType, format!("`{name}` is {}, expected {expected}", value.kind_name()))
}

/// A found value for a message: in backticks, short, and without secrets.
pub(crate) fn quoted(text: &str) -> String {
    // Redacted as a whole: the beginning of a credential is part of one, too.
    let safe = secrets::redact(text);
    let short: String = safe.chars().take(40).collect();
    let more = if short.len() < safe.len() { "…" } else { "" };
    format!("`{short}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    fn count(json: &str) -> Result<Option<i64>, RejectReason> {
        let mut scanner = Scanner::new();
        Field::Json(scanner.scan(json).unwrap()).count("tokens").map_err(|reject| reject.reason)
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (json, expect) in [
            ("12", Ok(Some(12))),
            ("12.0", Ok(Some(12))),
            ("1.2e3", Ok(Some(1200))),
            ("\"12\"", Ok(Some(12))),
            ("\" 12 \"", Ok(Some(12))),
            ("0", Ok(Some(0))),
            ("-0", Ok(Some(0))),
            ("null", Ok(None)),
            ("\"\"", Ok(None)),
            ("\"-\"", Ok(None)),
            ("9223372036854775807", Ok(Some(i64::MAX))),
            ("9223372036854775808", Err(RejectReason::OutOfRange)),
            ("1e300", Err(RejectReason::OutOfRange)),
            ("-1", Err(RejectReason::OutOfRange)),
            ("1.5", Err(RejectReason::WrongType)),
            ("\"many\"", Err(RejectReason::WrongType)),
            ("true", Err(RejectReason::WrongType)),
            ("[1]", Err(RejectReason::WrongType)),
        ] {
            assert_eq!(count(json), expect, "{json}");
        }
    }

    #[test]
    fn times_are_read_as_logs_write_them() {
        let read = |text: &str| {
            parse_time("ts", text, chrono_tz::Tz::UTC).map(|it| it.to_string()).map_err(|reject| reject.reason)
        };
        assert_eq!(read("2026-06-01T08:00:00Z").as_deref(), Ok("2026-06-01T08:00:00Z"));
        assert_eq!(read("1780300800").as_deref(), Ok("2026-06-01T08:00:00Z"));
        assert_eq!(read("1780300800.123456").as_deref(), Ok("2026-06-01T08:00:00.123456Z"));
        assert_eq!(read("1.7803008e9").as_deref(), Ok("2026-06-01T08:00:00Z"));
        assert_eq!(read("1780300800123.5").as_deref(), Ok("2026-06-01T08:00:00.123500Z"));
        for bad in ["0", "-5", "1970-01-01T00:00:00Z", "2286-11-20T17:46:40Z", "soon", "."] {
            assert_eq!(read(bad), Err(RejectReason::BadTime), "{bad}");
        }
    }

    #[test]
    fn spans_become_whole_milliseconds() {
        let millis = |text: &str, unit| parse_millis("latency", text, unit).map_err(|reject| reject.reason);
        assert_eq!(millis("0.0165", 1_000_000), Ok(16));
        assert_eq!(millis("1526", 1_000), Ok(1526));
        assert_eq!(millis("-1", 1_000), Err(RejectReason::OutOfRange));
        assert_eq!(millis("1e30", 1_000), Err(RejectReason::WrongType));
        assert_eq!(millis("quick", 1_000), Err(RejectReason::WrongType));
    }

    #[test]
    fn messages_show_no_part_of_a_credential() {
        let secret = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef";
        let fp = secrets::fingerprint(secret);
        assert_eq!(quoted(secret), format!("`{fp}`"));
        assert_eq!(
            quoted(&format!("thirty characters come before {secret}")),
            "`thirty characters come before fp_ca9d120…`"
        );
        assert_eq!(quoted(&"é".repeat(50)), format!("`{}…`", "é".repeat(40)));
    }

    #[test]
    fn flags_are_read_as_languages_write_them() {
        for (text, expect) in [
            ("True", Some(true)),
            ("t", Some(true)),
            ("false", Some(false)),
            ("None", None),
            ("", None),
            ("maybe", None),
        ] {
            assert_eq!(Field::Text(text.into()).flag(), expect, "{text}");
        }
        let mut scanner = Scanner::new();
        assert_eq!(Field::Json(scanner.scan("true").unwrap()).flag(), Some(true));
        assert_eq!(Field::Json(scanner.scan("\"False\"").unwrap()).flag(), Some(false));
        assert_eq!(Field::Json(scanner.scan("[1]").unwrap()).flag(), None);
    }

    #[test]
    fn an_object_is_read_where_it_stands_and_in_a_text() {
        let read = |field: Field<'_>| {
            field
                .object("metadata", |value| Ok(value.get("a").map(|a| a.raw().to_owned())))
                .map_err(|error| error.reason)
        };
        let mut scanner = Scanner::new();
        for (json, expect) in [
            (r#"{"a":1}"#, Ok(Some(Some("1".to_owned())))),
            (r#""{\"a\":1}""#, Ok(Some(Some("1".to_owned())))),
            ("null", Ok(None)),
            (r#""""#, Ok(None)),
            ("[]", Ok(Some(None))),
            (r#""{'a': 1}""#, Err(RejectReason::WrongType)),
            (r#""12""#, Err(RejectReason::WrongType)),
            ("12", Err(RejectReason::WrongType)),
        ] {
            assert_eq!(read(Field::Json(scanner.scan(json).unwrap())), expect, "{json}");
        }
        assert_eq!(read(Field::Text("{\"a\":2}".into())), Ok(Some(Some("2".to_owned()))));
        assert_eq!(read(Field::Text("".into())), Ok(None));
    }
}
