//! Reading fields the way logs write them: numbers as strings, empty for
//! absent, `None` for null. What a field cannot be is a [`Reject`] that names
//! it, what was found and what was expected.

use std::borrow::Cow;

use super::{Reject, RejectReason};
use crate::{
    json::{Kind, Value},
    money::{ParseUsdError, Usd},
    record::Text,
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
        self.fields.get(at).map(std::convert::AsRef::as_ref).filter(|field| !field.is_empty())
    }

    /// The names of the columns and the row's fields under them.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.header.iter().zip(self.fields).map(|(name, field)| (name.as_str(), field.as_ref()))
    }
}

/// One way to read a field, whether it stands in JSON or in CSV.
///
/// `name` is only for messages: the path of the field as a person would write it.
#[derive(Debug, Clone, Copy)]
pub struct Fields;

impl Fields {
    /// A whole number that is not negative: a count of tokens, of milliseconds.
    /// Null is absent; `12`, `12.0`, `"12"` are all 12.
    ///
    /// # Errors
    /// For anything else, and for counts of 2^63 and above.
    pub fn count(name: &str, value: Option<Value<'_>>) -> Result<Option<i64>, Reject> {
        let Some(value) = value else { return Ok(None) };
        match value.kind() {
            Kind::Null => Ok(None),
            Kind::Number => Self::parse_count(name, value.raw()).map(Some),
            Kind::Text(_) => {
                let text = value.text().unwrap_or_default();
                if is_nothing(&text) { Ok(None) } else { Self::parse_count(name, text.trim()).map(Some) }
            }
            _ => Err(wrong_type(name, value, "a whole number")),
        }
    }

    /// Reads a whole number that is not negative.
    ///
    /// # Errors
    /// Where the text is not one, or 2^63 and above.
    pub fn parse_count(name: &str, digits: &str) -> Result<i64, Reject> {
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

    /// A span of time given in some unit, as whole milliseconds, rounded down.
    /// `per_unit` is how many microseconds the unit has: `1_000_000` for seconds.
    ///
    /// # Errors
    /// Where it is not a number, negative or absurd.
    pub fn millis(name: &str, value: Option<Value<'_>>, per_unit: i64) -> Result<Option<i64>, Reject> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        let text = match value.kind() {
            Kind::Number => Cow::Borrowed(value.raw()),
            Kind::Text(_) => value.text().unwrap_or_default(),
            _ => return Err(wrong_type(name, value, "a span of time")),
        };
        if is_nothing(&text) {
            return Ok(None);
        }
        Self::parse_millis(name, text.trim(), per_unit).map(Some)
    }

    /// Reads a span of time given in some unit, as whole milliseconds.
    ///
    /// # Errors
    /// Where the text is not a number, negative or absurd.
    pub fn parse_millis(name: &str, text: &str, per_unit: i64) -> Result<i64, Reject> {
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

    /// Text; null, empty, `None` and `null` are absent. A number is taken as
    /// its digits.
    ///
    /// # Errors
    /// For arrays, objects and booleans.
    pub fn text<'a>(name: &str, value: Option<Value<'a>>) -> Result<Option<Text<'a>>, Reject> {
        let Some(value) = value else { return Ok(None) };
        let text = match value.kind() {
            Kind::Null => return Ok(None),
            Kind::Text(_) => value.text().unwrap_or_default(),
            Kind::Number => Cow::Borrowed(value.raw()),
            _ => return Err(wrong_type(name, value, "a text")),
        };
        Ok((!is_nothing(&text)).then_some(text))
    }

    /// Text where there is one, and nothing for any other kind of value: for
    /// fields that are only informative.
    pub fn any_text(value: Option<Value<'_>>) -> Option<Text<'_>> {
        Self::text("", value).ok().flatten()
    }

    /// A point in time: RFC 3339 or a count of seconds (with any fraction),
    /// milliseconds, microseconds or nanoseconds since 1970, as number or text.
    /// A time without a zone is in `zone`.
    ///
    /// # Errors
    /// Where it is no time, or not between 2020 and 2100.
    pub fn time(name: &str, value: Option<Value<'_>>, zone: chrono_tz::Tz) -> Result<Option<Instant>, Reject> {
        let Some(value) = value else { return Ok(None) };
        match value.kind() {
            Kind::Null => Ok(None),
            Kind::Number => Self::parse_epoch(name, value.raw()).map(Some),
            Kind::Text(_) => {
                let text = value.text().unwrap_or_default();
                if is_nothing(&text) { Ok(None) } else { Self::parse_time(name, text.trim(), zone).map(Some) }
            }
            _ => Err(wrong_type(name, value, "a time")),
        }
    }

    /// Reads a time or a count since 1970.
    ///
    /// # Errors
    /// Where the text is no time, or not between 2020 and 2100.
    pub fn parse_time(name: &str, text: &str, zone: chrono_tz::Tz) -> Result<Instant, Reject> {
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Self::parse_epoch(name, text);
        }
        let instant = Instant::parse(text, zone)
            .ok_or_else(|| bad_time(name, text, "expected RFC 3339 or a count since 1970"))?;
        sane(name, text, instant)
    }

    /// Reads a count of seconds, milliseconds, microseconds or nanoseconds
    /// since 1970; seconds may have a fraction.
    ///
    /// # Errors
    /// Where the text is no such count, or not between 2020 and 2100.
    pub fn parse_epoch(name: &str, digits: &str) -> Result<Instant, Reject> {
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

    /// What the log claims something cost, in USD, from its digits.
    /// `shift` is 2 for amounts in cents, 0 for dollars.
    ///
    /// # Errors
    /// Where it is not a number.
    pub fn cost(name: &str, value: Option<Value<'_>>, shift: u32) -> Result<Option<Usd>, Reject> {
        let Some(value) = value else { return Ok(None) };
        let text = match value.kind() {
            Kind::Null => return Ok(None),
            Kind::Number => Cow::Borrowed(value.raw()),
            Kind::Text(_) => value.text().unwrap_or_default(),
            _ => return Err(wrong_type(name, value, "an amount")),
        };
        if is_nothing(&text) { Ok(None) } else { Self::parse_cost(name, text.trim(), shift).map(Some) }
    }

    /// Reads an amount.
    ///
    /// # Errors
    /// Where the text is not a number.
    pub fn parse_cost(name: &str, text: &str, shift: u32) -> Result<Usd, Reject> {
        Usd::parse_rounded(text.as_bytes(), shift).map_err(|error| {
            Reject::new(RejectReason::WrongType, format!("`{name}` is {}, expected an amount: {error}", quoted(text)))
        })
    }
}

/// A hundred years: no latency or audio is longer.
const MAX_MILLIS: i64 = 100 * 366 * 86_400_000;

/// What logs write where there is nothing.
pub fn is_nothing(text: &str) -> bool {
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

pub(super) fn wrong_type(name: &str, value: Value<'_>, expected: &str) -> Reject {
    Reject::new(RejectReason::WrongType, format!("`{name}` is {}, expected {expected}", value.kind_name()))
}

/// A found value for a message: in backticks, short, and without secrets.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", crate::secrets::redact(&short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    fn count(json: &str) -> Result<Option<i64>, RejectReason> {
        let mut scanner = Scanner::new();
        let value = scanner.scan(json).unwrap();
        Fields::count("tokens", Some(value)).map_err(|reject| reject.reason)
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
            Fields::parse_time("ts", text, chrono_tz::Tz::UTC).map(|it| it.to_string()).map_err(|reject| reject.reason)
        };
        assert_eq!(read("2026-06-01T08:00:00Z").as_deref(), Ok("2026-06-01T08:00:00Z"));
        assert_eq!(read("1780300800").as_deref(), Ok("2026-06-01T08:00:00Z"));
        assert_eq!(read("1780300800.123456").as_deref(), Ok("2026-06-01T08:00:00.123456Z"));
        assert_eq!(read("1780300800123.5").as_deref(), Ok("2026-06-01T08:00:00.123500Z"));
        for bad in ["0", "-5", "1970-01-01T00:00:00Z", "2286-11-20T17:46:40Z", "soon", "."] {
            assert_eq!(read(bad), Err(RejectReason::BadTime), "{bad}");
        }
    }

    #[test]
    fn spans_become_whole_milliseconds() {
        let millis = |text: &str, unit| Fields::parse_millis("latency", text, unit).map_err(|reject| reject.reason);
        assert_eq!(millis("0.0165", 1_000_000), Ok(16));
        assert_eq!(millis("1526", 1_000), Ok(1526));
        assert_eq!(millis("-1", 1_000), Err(RejectReason::OutOfRange));
        assert_eq!(millis("1e30", 1_000), Err(RejectReason::WrongType));
        assert_eq!(millis("quick", 1_000), Err(RejectReason::WrongType));
    }
}
