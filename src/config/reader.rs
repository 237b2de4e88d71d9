//! Reading TOML tables key by key: every getter notes what is wrong and goes
//! on, so that one pass finds every mistake.
//!
//! A [`Table`] remembers what it was asked for; whatever else is in it when it
//! is finished is an unknown key. So the keys a table has are the ones that
//! some code reads.

use std::str::FromStr;

use chrono_tz::Tz;
use toml::de::{DeTable, DeValue};

use super::{
    document::{Problems, SECRET_KEYS, Span},
    problem::{Problem, nearest, quoted},
};
use crate::{
    money::{ParseUsdError, Usd},
    secrets,
    time::{Day, Instant},
};

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Table<'d> {
    /// As messages name it: `[book]`.
    name: String,
    entries: &'d DeTable<'d>,
    span: Span,
    asked: Vec<&'static str>,
    problems: &'d Problems<'d>,
}

/// A value that is being read.
#[derive(Debug, Clone)]
pub(super) struct Item<'d> {
    /// As messages name it: the key in backticks, or which item of a list.
    field: String,
    value: &'d DeValue<'d>,
    pub(super) span: Span,
    problems: &'d Problems<'d>,
}

impl<'d> Table<'d> {
    pub(super) fn new(name: &str, entries: &'d DeTable<'d>, span: Span, problems: &'d Problems<'d>) -> Self {
        Self { name: name.to_owned(), entries, span, asked: Vec::new(), problems }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.asked.push(key);
        let value = self.entries.get(key)?;
        Some(Item {
            field: format!("`{key}`"),
            value: value.get_ref(),
            span: value.span().into(),
            problems: self.problems,
        })
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, key: &'static str, expected: &'static str) -> Option<Item<'d>> {
        let item = self.get(key);
        if item.is_none() {
            self.missing(key, expected);
        }
        item
    }

    pub(super) fn missing(&self, field: &'static str, expected: &'static str) {
        self.add(self.span, Problem::Missing { field, table: format!("`{}`", self.name), expected });
    }

    /// The table under a key.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'d>> {
        self.get(key)?.table(&format!("[{}]", self.path_of(key)))
    }

    /// The tables of `[[key]]`; none where there are none.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'d>> {
        let name = format!("[[{}]]", self.path_of(key));
        let Some(item) = self.get(key) else { return Vec::new() };
        if item.is_table() {
            item.wrong_type("a list of tables", Some(format!("write `{name}` above each of them")));
            return Vec::new();
        }
        item.list("a list of tables").into_iter().filter_map(|item| item.table(&name)).collect()
    }

    /// A key of this table as a header would write it: `teams.chatbot.budget`.
    fn path_of(&self, key: &str) -> String {
        let parent = self.name.trim_matches(['[', ']']);
        if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
    }

    pub(super) fn has_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// Where the value of a key stands.
    pub(super) fn span_of(&self, key: &str) -> Option<Span> {
        self.entries.get(key).map(|value| value.span().into())
    }

    /// Every key and value, for a table whose keys are names.
    pub(super) fn named(&self) -> Vec<(&'d str, Span, Item<'d>)> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                let item = Item {
                    field: quoted(name),
                    value: value.get_ref(),
                    span: value.span().into(),
                    problems: self.problems,
                };
                (name, Span::from(key.span()), item)
            })
            .collect();
        entries.sort_by_key(|&(_, span, _)| span);
        entries
    }

    /// Notes every key that nothing asked for.
    pub(super) fn finish(self) {
        for (name, span, _) in self.named() {
            if self.asked.contains(&name) {
                continue;
            }
            if SECRET_KEYS.contains(&name.to_ascii_lowercase().as_str()) {
                let advice = match self.name.as_str() {
                    "[mail]" => {
                        "set `password_env` to the name of an environment variable, or `password_file` to a file"
                    }
                    "[[source]]" => "set `token_env` to the name of an environment variable, or `token_file` to a file",
                    _ => "remove it: nothing in this table needs one",
                };
                self.add(span, Problem::Secret { advice: advice.to_owned() });
                continue;
            }
            let mut known: Vec<String> = self.asked.iter().map(|&key| key.to_owned()).collect();
            known.sort_unstable();
            known.dedup();
            let suggestion = nearest(name, known.iter().map(String::as_str));
            let table = if self.name.is_empty() { "the config".to_owned() } else { format!("`{}`", self.name) };
            self.add(span, Problem::UnknownKey { key: name.to_owned(), table, suggestion, known });
        }
    }

    pub(super) const fn span(&self) -> Span {
        self.span
    }

    pub(super) fn add(&self, at: Span, problem: Problem) {
        self.problems.add(at, problem);
    }

    /// The line on which a part of the document begins.
    pub(super) fn line(&self, at: Span) -> usize {
        self.problems.line(at)
    }
}

impl<'d> Item<'d> {
    pub(super) fn add(&self, problem: Problem) {
        self.problems.add(self.span, problem);
    }

    fn wrong_type(&self, expected: &str, advice: Option<String>) {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.add(Problem::WrongType { field: self.field.clone(), found, expected: expected.to_owned(), advice });
    }

    /// Notes that the value is not what was expected.
    pub(super) fn bad(&self, expected: &str, suggestion: Option<String>) {
        let found = match self.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(digits) => digits.to_string(),
            DeValue::Float(digits) => digits.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            other => other.type_str().to_owned(),
        };
        self.add(Problem::BadValue { field: self.field.clone(), found, expected: expected.to_owned(), suggestion });
    }

    /// As messages name it.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// The line on which a part of the document begins.
    pub(super) fn line_of(&self, at: Span) -> usize {
        self.problems.line(at)
    }

    /// The text as it is, without a word about what is wrong with it.
    pub(super) fn raw_text(&self) -> Option<&'d str> {
        self.value.as_str()
    }

    /// Notes a list that has no items.
    pub(super) fn not_empty(&self, expected: &str) {
        if self.value.as_array().is_some_and(|items| items.is_empty()) {
            self.add(Problem::Empty { field: self.field.clone(), expected: expected.to_owned() });
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.value.is_integer()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// A text with something in it, on one line, and no space around it.
    pub(super) fn text(&self) -> Option<&'d str> {
        self.text_of("a text in quotes")
    }

    /// Like [`Item::text`], saying in messages what is expected.
    pub(super) fn text_of(&self, expected: &str) -> Option<&'d str> {
        let DeValue::String(text) = self.value else {
            let advice = match self.value {
                DeValue::Integer(digits) => Some(format!("put it in quotes: `\"{digits}\"`")),
                _ => None,
            };
            self.wrong_type(expected, advice);
            return None;
        };
        let text = text.as_ref();
        if text.trim().is_empty() {
            self.add(Problem::Empty { field: self.field.clone(), expected: expected.to_owned() });
            None
        } else if text.chars().any(char::is_control) || text.trim() != text {
            self.bad("one line without spaces around it", Some(text.split_whitespace().collect::<Vec<_>>().join(" ")));
            None
        } else {
            Some(text)
        }
    }

    pub(super) fn string(&self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    /// A text, number or flag, as text: for constants.
    pub(super) fn scalar(&self) -> Option<String> {
        match self.value {
            DeValue::Integer(digits) => Some(digits.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            _ => self.string(),
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type("`true` or `false` without quotes", None);
        }
        flag
    }

    /// A whole number in a range, both ends included.
    pub(super) fn whole(&self, low: i64, high: i64) -> Option<i64> {
        let DeValue::Integer(digits) = self.value else {
            let advice = self
                .value
                .as_str()
                .filter(|text| text.parse::<i64>().is_ok())
                .map(|text| format!("write {text} without the quotes"));
            self.wrong_type("a whole number", advice);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|it| (low..=high).contains(it));
        if number.is_none() {
            self.add(Problem::OutOfRange { field: self.field.clone(), found: format!("`{digits}`"), low, high });
        }
        number
    }

    /// A count of something that is limited: at least 1.
    pub(super) fn limit(&self) -> Option<i64> {
        self.whole(1, 1_000_000_000_000)
    }

    /// An amount above zero: a decimal in quotes or a whole number, never a float.
    pub(super) fn amount(&self) -> Option<Usd> {
        /// No budget has more digits than this before the point.
        const MOST: i128 = 1_000_000_000_000;
        let expected = "an amount in US dollars like \"200\" or \"199.99\"";
        let parsed = match self.value {
            DeValue::String(text) => Usd::parse(text),
            DeValue::Integer(digits) if digits.radix() == 10 => Usd::parse(digits.as_str()),
            DeValue::Float(digits) => {
                self.add(Problem::FloatAmount { field: self.field.clone(), found: digits.as_str().to_owned() });
                return None;
            }
            _ => {
                self.wrong_type(expected, None);
                return None;
            }
        };
        match parsed {
            Ok(amount) if amount > Usd::ZERO && amount.pico() < MOST * 1_000_000_000_000 => Some(amount),
            Ok(_) | Err(ParseUsdError::TooLarge) => {
                self.bad("an amount above 0 and below 10^12, or no such key for no budget", None);
                None
            }
            Err(ParseUsdError::TooFine) => {
                self.bad("an amount with at most 12 digits after the point", None);
                None
            }
            Err(ParseUsdError::Malformed) => {
                let text = self.value.as_str().unwrap_or_default();
                let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
                self.bad(expected, Usd::parse(&digits).is_ok().then_some(digits));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let names = || choices.iter().map(|&(name, _)| name);
        let expected = super::problem::listed(names(), "or");
        let text = self.text_of(&expected)?;
        let choice = choices.iter().find(|&&(name, _)| name == text).map(|&(_, choice)| choice);
        if choice.is_none() {
            self.bad(&expected, nearest(text, names()));
        }
        choice
    }

    pub(super) fn zone(&self) -> Option<Tz> {
        let text = self.text_of("an IANA time zone in quotes")?;
        let zone = Tz::from_str(text).ok();
        if zone.is_none() {
            // The city alone is what people remember.
            let city = |name: &&str| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
            let names = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            let suggestion = names().find(city).map(str::to_owned).or_else(|| nearest(text, names()));
            self.add(Problem::UnknownTimezone { field: self.field.clone(), found: text.to_owned(), suggestion });
        }
        zone
    }

    /// A day (its first instant, UTC) or an RFC 3339 instant.
    pub(super) fn instant(&self) -> Option<Instant> {
        let expected = "a date like \"2026-01-31\" or a time like \"2026-01-31T08:00:00Z\", from 2020 to 2100";
        let text = self.date_text(expected)?;
        let instant = Day::parse(&text).map(Day::start).or_else(|| Instant::parse(&text, Tz::UTC));
        let instant = instant.filter(|&instant| instant.is_sane());
        if instant.is_none() {
            self.bad(expected, None);
        }
        instant
    }

    /// A calendar day.
    pub(super) fn day(&self) -> Option<Day> {
        let expected = "a date like \"2026-01-31\", from 2020 to 2100";
        let text = self.date_text(expected)?;
        let day = Day::parse(&text).filter(|day| day.start().is_sane());
        if day.is_none() {
            self.bad(expected, None);
        }
        day
    }

    /// A date may be written with or without quotes.
    fn date_text(&self, expected: &str) -> Option<String> {
        match self.value {
            DeValue::Datetime(date) => Some(date.to_string()),
            _ => self.text_of(expected).map(str::to_owned),
        }
    }

    /// A span of time like `36h`, in microseconds; `units` names the letters
    /// that it may end in.
    pub(super) fn duration(&self, units: &[(char, i64)], expected: &str) -> Option<i64> {
        /// Longer spans are mistakes: a hundred years.
        const MOST: i64 = 100 * 366 * 86_400 * 1_000_000;
        let text = self.text_of(expected)?;
        let micros = text
            .chars()
            .next_back()
            .and_then(|last| units.iter().find(|&&(unit, _)| unit == last))
            .and_then(|&(unit, micros)| {
                let count = text.strip_suffix(unit)?.trim_end();
                let count: i64 = Some(count).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
                count.checked_mul(micros)
            })
            .filter(|micros| (1..=MOST).contains(micros));
        if micros.is_none() {
            self.bad(expected, None);
        }
        micros
    }

    /// The items of a list.
    pub(super) fn list(&self, expected: &str) -> Vec<Item<'d>> {
        let DeValue::Array(items) = self.value else {
            let advice =
                self.value.as_str().map(|text| format!("put it in brackets: `[\"{}\"]`", secrets::redact(text)));
            self.wrong_type(expected, advice);
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| Item {
                field: format!("item {} of {}", index + 1, self.field),
                value: item.get_ref(),
                span: item.span().into(),
                problems: self.problems,
            })
            .collect()
    }

    /// A list of texts in which none is twice.
    pub(super) fn texts(&self, what: &'static str) -> Vec<String> {
        let mut texts: Vec<(String, Span)> = Vec::new();
        for item in self.list("a list of texts") {
            let Some(text) = item.string() else { continue };
            if let Some((_, first)) = texts.iter().find(|(known, _)| *known == text) {
                let first_line = self.problems.line(*first);
                item.add(Problem::Duplicate { what, name: text, first_line });
            } else {
                texts.push((text, item.span));
            }
        }
        texts.into_iter().map(|(text, _)| text).collect()
    }

    /// The table that it is.
    pub(super) fn table(&self, name: &str) -> Option<Table<'d>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong_type(&format!("a table `{name}`"), None);
            return None;
        };
        Some(Table::new(name, entries, self.span, self.problems))
    }
}
