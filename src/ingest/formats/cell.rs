//! A field of an entry, whether it stands in JSON or in CSV, for gateways that
//! export the same columns as both. It is read as [`Fields`] reads it.
//!
//! Some of these exports write an object as itself in one place and as a text
//! that holds JSON in another; [`Cell::nested`] and [`Cell::object`] take both.

use std::borrow::Cow;

use super::{
    Entry, Fields, Reject, RejectReason,
    read::{is_nothing, wrong_type},
};
use crate::{
    json::{Kind, Scanner, Value},
    money::Usd,
    record::Text,
    time::Instant,
};

#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Json(Value<'a>),
    /// The field's text; an empty one is absent.
    Csv(&'a str),
}

/// Where an object stands.
#[derive(Debug)]
pub(super) enum Nested<'a> {
    Nothing,
    Here(Value<'a>),
    /// In a text, still to be scanned.
    Inside(Text<'a>),
}

/// The names and fields of an entry, in its order. In JSON the name is as it
/// stands in the document, which is the name itself unless it has escapes.
pub(super) fn cells<'a>(entry: &Entry<'a>) -> impl Iterator<Item = (&'a str, Cell<'a>)> {
    let (json, csv) = match entry {
        Entry::Json(value) => (Some(value.entries()), None),
        Entry::Csv(row) => (None, Some(row.entries())),
    };
    let json = json.into_iter().flatten().map(|(key, value)| (key.raw(), Cell::Json(value)));
    json.chain(csv.into_iter().flatten().map(|(name, field)| (name, Cell::Csv(field))))
}

/// Whether the entry has a field of that name, be it null.
pub(super) fn has(entry: &Entry<'_>, name: &str) -> bool {
    match entry {
        Entry::Json(value) => value.get(name).is_some(),
        Entry::Csv(row) => row.has(name),
    }
}

impl<'a> Cell<'a> {
    /// See [`Fields::count`].
    pub(super) fn count(self, name: &str) -> Result<Option<i64>, Reject> {
        match self {
            Self::Json(value) => Fields::count(name, Some(value)),
            Self::Csv(text) => field(text).map(|text| Fields::parse_count(name, text)).transpose(),
        }
    }

    /// See [`Fields::millis`].
    pub(super) fn millis(self, name: &str, per_unit: i64) -> Result<Option<i64>, Reject> {
        match self {
            Self::Json(value) => Fields::millis(name, Some(value), per_unit),
            Self::Csv(text) => field(text).map(|text| Fields::parse_millis(name, text, per_unit)).transpose(),
        }
    }

    /// See [`Fields::time`].
    pub(super) fn time(self, name: &str, zone: chrono_tz::Tz) -> Result<Option<Instant>, Reject> {
        match self {
            Self::Json(value) => Fields::time(name, Some(value), zone),
            Self::Csv(text) => field(text).map(|text| Fields::parse_time(name, text, zone)).transpose(),
        }
    }

    /// See [`Fields::cost`].
    pub(super) fn cost(self, name: &str, shift: u32) -> Result<Option<Usd>, Reject> {
        match self {
            Self::Json(value) => Fields::cost(name, Some(value), shift),
            Self::Csv(text) => field(text).map(|text| Fields::parse_cost(name, text, shift)).transpose(),
        }
    }

    /// See [`Fields::text`].
    pub(super) fn text(self, name: &str) -> Result<Option<Text<'a>>, Reject> {
        match self {
            Self::Json(value) => Fields::text(name, Some(value)),
            Self::Csv(text) => Ok((!is_nothing(text)).then_some(Cow::Borrowed(text))),
        }
    }

    /// See [`Fields::any_text`].
    pub(super) fn any_text(self) -> Option<Text<'a>> {
        self.text("").ok().flatten()
    }

    /// Yes or no, as JSON, Python and Postgres write it; anything else is neither.
    pub(super) fn flag(self) -> Option<bool> {
        if let Self::Json(value) = self
            && let Some(flag) = value.bool()
        {
            return Some(flag);
        }
        match self.any_text()?.as_ref() {
            "true" | "True" | "TRUE" | "t" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "0" => Some(false),
            _ => None,
        }
    }

    /// Where the object or array of this field stands.
    ///
    /// # Errors
    /// Where it is neither, nor a text that can hold one.
    pub(super) fn nested(self, name: &str) -> Result<Nested<'a>, Reject> {
        let value = match self {
            Self::Csv(text) => return Ok(field(text).map_or(Nested::Nothing, |text| Nested::Inside(text.into()))),
            Self::Json(value) => value,
        };
        match value.kind() {
            Kind::Null => Ok(Nested::Nothing),
            Kind::Object | Kind::Array => Ok(Nested::Here(value)),
            Kind::Text(_) => {
                let text = value.text().unwrap_or_default();
                Ok(if is_nothing(&text) { Nested::Nothing } else { Nested::Inside(text) })
            }
            _ => Err(wrong_type(name, value, "an object")),
        }
    }

    /// What `read` makes of the object or array of this field; it cannot keep
    /// anything borrowed from it, since it may stand in a text.
    ///
    /// # Errors
    /// Where there is a field that holds neither, and what `read` refuses.
    pub(super) fn object<T>(
        self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Reject>,
    ) -> Result<Option<T>, Reject> {
        match self.nested(name)? {
            Nested::Nothing => Ok(None),
            Nested::Here(value) => read(value).map(Some),
            Nested::Inside(text) => read(scan(name, &text, &mut Scanner::new())?).map(Some),
        }
    }

    /// Like [`Cell::object`], for fields that are only informative: `None`
    /// where there is no object.
    pub(super) fn any_object<T>(self, read: impl FnOnce(Value<'_>) -> T) -> Option<T> {
        self.object("", |value| Ok(read(value))).ok().flatten()
    }
}

/// Scans the JSON in a text.
///
/// # Errors
/// Where it is not JSON, or no object or array.
pub(super) fn scan<'s>(name: &str, text: &'s str, scanner: &'s mut Scanner) -> Result<Value<'s>, Reject> {
    let value = scanner.scan(text).map_err(|error| {
        Reject::new(RejectReason::WrongType, format!("`{name}` is a text, expected an object as JSON in it: {error}"))
    })?;
    if value.is_object() || value.is_array() { Ok(value) } else { Err(wrong_type(name, value, "an object")) }
}

/// The field of a CSV row, without the spellings of nothing.
fn field(text: &str) -> Option<&str> {
    let text = text.trim();
    (!is_nothing(text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Cell::Csv(text).flag(), expect, "{text}");
        }
        let mut scanner = Scanner::new();
        assert_eq!(Cell::Json(scanner.scan("true").unwrap()).flag(), Some(true));
        assert_eq!(Cell::Json(scanner.scan("\"False\"").unwrap()).flag(), Some(false));
        assert_eq!(Cell::Json(scanner.scan("[1]").unwrap()).flag(), None);
    }

    #[test]
    fn an_object_is_read_where_it_stands_and_in_a_text() {
        let read = |cell: Cell<'_>| {
            cell.object("metadata", |value| Ok(value.get("a").map(|a| a.raw().to_owned())))
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
            assert_eq!(read(Cell::Json(scanner.scan(json).unwrap())), expect, "{json}");
        }
        assert_eq!(read(Cell::Csv("{\"a\":2}")), Ok(Some(Some("2".to_owned()))));
        assert_eq!(read(Cell::Csv("")), Ok(None));
    }
}
