//! A JSON document, scanned once into a flat list of nodes that borrow the text.
//!
//! Formats look at a handful of the fields of a line and must keep the digits
//! of numbers as they stand, so nothing is decoded before it is asked for: a
//! node is a kind and a span. One [`Scanner`] serves many lines without
//! allocating. Where an object names a key twice, the last one counts, as in
//! most parsers. Text is only decoded where it is read, so a lone surrogate in
//! a prompt that nobody reads does no harm; read, it becomes U+FFFD.

mod document;
mod scan;

use std::borrow::Cow;

pub use document::{Document, Place};
use scan::Cursor;

/// Deeper nesting than this is refused.
pub const MAX_DEPTH: usize = 128;

/// Nodes kept between documents, enough for a page of an API; a larger list is
/// given back to the system.
const KEPT_NODES: usize = 1 << 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool(bool),
    Number,
    /// `true`: it has escapes that must be decoded.
    Text(bool),
    Array,
    Object,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// The text between the quotes, the digits, or the whole container.
    start: u32,
    end: u32,
    /// The node after this one and all that is inside it.
    next: u32,
}

/// Where a text stops being JSON, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonError {
    pub what: &'static str,
    pub at: usize,
}

/// Scans documents, one after the other, into memory that it keeps.
#[derive(Debug, Default)]
pub struct Scanner {
    nodes: Vec<Node>,
    open: Vec<u32>,
}

/// A value in a scanned document.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    at: usize,
}

impl Scanner {
    pub fn new() -> Self {
        Self::default()
    }

    /// Scans one document with nothing but white space around it.
    ///
    /// # Errors
    /// Where the text is not JSON, with the byte at which it stops being it.
    pub fn scan<'a>(&'a mut self, text: &'a str) -> Result<Value<'a>, JsonError> {
        if self.nodes.capacity() > KEPT_NODES {
            self.nodes = Vec::new();
        }
        self.nodes.clear();
        self.open.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError { what: "more than 4 GiB", at: 0 });
        }
        Cursor::new(text, &mut self.nodes, &mut self.open).document()?;
        Ok(Value { text, nodes: &self.nodes, at: 0 })
    }
}

impl<'a> Value<'a> {
    fn node(self) -> Node {
        self.nodes[self.at]
    }

    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// What kind it is, as a message says it.
    pub fn kind_name(self) -> &'static str {
        match self.kind() {
            Kind::Null => "null",
            Kind::Bool(_) => "true or false",
            Kind::Number => "a number",
            Kind::Text(_) => "a text",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }

    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// The document's text of this value; of a text what is between the quotes.
    pub fn raw(self) -> &'a str {
        let node = self.node();
        &self.text[node.start as usize..node.end as usize]
    }

    /// The text, if it is one; borrowed unless it has escapes.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text(false) => Some(Cow::Borrowed(self.raw())),
            Kind::Text(true) => Some(Cow::Owned(unescape(self.raw()))),
            _ => None,
        }
    }

    /// The text, if it is one without escapes, as nearly all are.
    #[inline]
    pub fn plain_text(self) -> Option<&'a str> {
        let node = self.node();
        (node.kind == Kind::Text(false)).then(|| &self.text[node.start as usize..node.end as usize])
    }

    /// The digits of the number, if it is one.
    pub fn number(self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The number, if it is a whole one that is not negative and has few enough
    /// digits to be read without a check of each: nearly all in logs are.
    pub fn small_whole(self) -> Option<i64> {
        let node = self.node();
        let bytes = self.text.as_bytes();
        let digits = &bytes[node.start as usize..node.end as usize];
        if node.kind != Kind::Number || digits.len() > 18 {
            return None;
        }
        if let (1..=8, Some(&eight)) = (digits.len(), bytes[node.start as usize..].first_chunk()) {
            return eight_digits(eight, digits.len());
        }
        let mut sum = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            sum = sum * 10 + i64::from(digit - b'0');
        }
        Some(sum)
    }

    pub fn bool(self) -> Option<bool> {
        match self.kind() {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The last value of that name, if this is an object that has one. A name
    /// with escapes is found under its decoded form.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.entries().filter(|(key, _)| key.is(name)).map(|(_, value)| value).last()
    }

    /// Like [`Value::get`], with null taken for absent.
    pub fn some(self, name: &str) -> Option<Value<'a>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// Follows names into objects; null is taken for absent.
    pub fn path(self, names: &[&str]) -> Option<Value<'a>> {
        names.iter().try_fold(self, |value, name| value.some(name))
    }

    /// Follows a JSON pointer (RFC 6901), `/usage/models/0`; an empty one is
    /// the value itself.
    pub fn pointer(self, pointer: &str) -> Option<Value<'a>> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, step| {
            if value.is_array() {
                value.items().nth(step.parse().ok()?)
            } else if step.contains('~') {
                value.get(&step.replace("~1", "/").replace("~0", "~"))
            } else {
                value.get(step)
            }
        })
    }

    /// The items of an array; none for anything else.
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        let node = self.node();
        let end = if node.kind == Kind::Array { node.next as usize } else { self.at + 1 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let item = (at < end).then_some(Value { at, ..self })?;
            at = item.node().next as usize;
            Some(item)
        })
    }

    /// The names and values of an object; none for anything else.
    pub fn entries(self) -> impl Iterator<Item = (Key<'a>, Value<'a>)> {
        let node = self.node();
        let end = if node.kind == Kind::Object { node.next as usize } else { self.at + 1 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let key = (at < end).then_some(Value { at, ..self })?;
            let value = Value { at: at + 1, ..self };
            at = value.node().next as usize;
            Some((Key(key), value))
        })
    }
}

/// The name of an object's entry.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a>(Value<'a>);

impl<'a> Key<'a> {
    /// The name, borrowed unless it has escapes.
    pub fn text(self) -> Cow<'a, str> {
        self.0.text().unwrap_or_default()
    }

    /// The name as it stands in the document: what to `match` on where the
    /// names looked for need no escapes.
    pub fn raw(self) -> &'a str {
        self.0.raw()
    }

    /// Whether it is this name.
    pub fn is(self, name: &str) -> bool {
        match self.0.kind() {
            Kind::Text(true) => self.text() == name,
            _ => self.raw() == name,
        }
    }
}

/// The number that the first one to eight of these bytes are, if all of them are
/// digits: all at once, since a loop over few digits cannot be foreseen to end.
fn eight_digits(bytes: [u8; 8], count: usize) -> Option<i64> {
    const ZEROS: u64 = u64::from_le_bytes(*b"00000000");
    const HIGH_HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let missing = u32::try_from(8 * (8 - count)).ok()?;
    // What is behind the digits falls off, zeros come before them.
    let before = ZEROS.checked_shr(64 - missing).unwrap_or(0);
    let digits = u64::from_le_bytes(bytes).checked_shl(missing)? | before;
    let is_number = digits & HIGH_HALVES == ZEROS && digits.wrapping_add(0x0606_0606_0606_0606) & HIGH_HALVES == ZEROS;
    // Neighbours become one number: of two digits, of four, of eight.
    let pairs = (digits & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(10 << 8 | 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    let eight = (fours & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32;
    is_number.then_some(eight.cast_signed())
}

/// Decodes the escapes of a scanned string.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match escape {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => out.push(unescape_unicode(&mut rest)),
            plain => out.push(char::from(plain)),
        }
    }
    out.push_str(rest);
    out
}

/// The character after `\u`, of which `rest` has the four digits; takes the
/// second half of a surrogate pair with it.
fn unescape_unicode(rest: &mut &str) -> char {
    let unit = |text: &str| text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let first = unit(rest).unwrap_or(0xFFFD);
    *rest = &rest[4..];
    if (0xD800..0xDC00).contains(&first)
        && let Some(second) = rest.strip_prefix("\\u").and_then(unit)
        && (0xDC00..0xE000).contains(&second)
    {
        *rest = &rest[6..];
        return char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
            .unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a scanned value out again through `serde_json`, to compare.
    fn rebuilt(value: Value<'_>) -> serde_json::Value {
        match value.kind() {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => value.into(),
            Kind::Number => serde_json::from_str(value.raw()).unwrap(),
            Kind::Text(_) => value.text().unwrap().into_owned().into(),
            Kind::Array => value.items().map(rebuilt).collect(),
            Kind::Object => {
                let entries = value.entries().map(|(key, value)| (key.text().into_owned(), rebuilt(value)));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    fn check(text: &str) {
        let expect: Result<serde_json::Value, _> = serde_json::from_str(text);
        let mut scanner = Scanner::new();
        match (scanner.scan(text), expect) {
            (Ok(value), Ok(expect)) => assert_eq!(rebuilt(value), expect, "{text}"),
            (Err(_), Err(_)) => {}
            (found, expect) => panic!("{text}: {found:?} where serde_json says {expect:?}"),
        }
    }

    #[test]
    fn agrees_with_serde_json_on_the_corners() {
        for text in [
            "",
            " ",
            "{}",
            "[]",
            "[[],{}]",
            " {\"a\" : [1 , 2.5e-3,null,true,false,\"x\"] } ",
            "{\"a\":1,}",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1}}",
            "[1]]",
            "{\"a\":1]",
            "01",
            "-",
            "-0",
            "1.",
            ".5",
            "1e",
            "1e+5",
            "+1",
            "nul",
            "nullx",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u00e9\\n\\\"\"",
            "\"\\ud83d\\ude00\"",
            "\"a\tb\"",
            "\"12345678\u{1}\"",
            "{\"a\":1,\"a\":2}",
            "{\"\\u0061\":3}",
            "\u{feff}{}",
            "[1 2]",
            "{\"a\" 1}",
            "\"é😀 and more than eight bytes\"",
        ] {
            check(text);
        }
    }

    #[test]
    fn small_numbers_are_read_at_once() {
        let mut scanner = Scanner::new();
        let mut read = |number: &str, after: &str| {
            let text = format!("[{number}{after}]");
            scanner.scan(&text).unwrap().items().next().unwrap().small_whole()
        };
        for after in ["", "             ", ",123456789012345"] {
            for digits in 1..=18 {
                let number = &"907060504030201908"[..digits];
                assert_eq!(read(number, after), number.parse().ok(), "{number}{after}");
            }
        }
        for other in ["-1", "1.5", "1e3", "123456.7", "1234567890123456789"] {
            assert_eq!(read(other, ""), None, "{other}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Scanner::new().scan(&deep(MAX_DEPTH)).is_ok());
        assert!(Scanner::new().scan(&deep(MAX_DEPTH + 1)).is_err());
        assert!(Scanner::new().scan(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn finds_fields() {
        let mut scanner = Scanner::new();
        let value = scanner.scan(r#"{"a":{"b":[10,{"c/d":"x"}]},"n":null,"\u0065":5,"a2":-1}"#).unwrap();
        assert_eq!(value.path(&["a", "b"]).unwrap().items().count(), 2);
        assert_eq!(value.pointer("/a/b/0").unwrap().number(), Some("10"));
        assert_eq!(value.pointer("/a/b/1/c~1d").unwrap().text().as_deref(), Some("x"));
        assert_eq!(value.get("e").unwrap().raw(), "5");
        assert!(value.get("n").is_some() && value.some("n").is_none());
        assert!(value.pointer("/a/b/2").is_none() && value.get("a").unwrap().get("x").is_none());
        assert_eq!(value.get("a").unwrap().raw(), r#"{"b":[10,{"c/d":"x"}]}"#);
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_any_text(text in r#"([{}\[\]:, "\\]|[0-9.+-]{1,4}|"[a-dé\\"n]{0,12}"|null|true){0,24}"#) {
            // Without `\u` and exponents: `serde_json` also refuses lone
            // surrogates and numbers beyond a double.
            check(&text);
        }

        #[test]
        fn reads_back_what_serde_json_writes(texts in prop::collection::vec(any::<String>(), 0..8), numbers in prop::collection::vec(any::<i64>(), 0..8)) {
            let value = serde_json::json!({"texts": texts, "inner": {"numbers": numbers, "none": null}});
            check(&value.to_string());
        }
    }
}
