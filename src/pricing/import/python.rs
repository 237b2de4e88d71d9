//! The data of the genai-prices package, `data.py`, as the JSON that its
//! repository has: literals and calls with names, and nothing that is run.
//!
//! `Decimal('0.25')` is a number, `datetime.date(2026, 3, 5)` a date, any other
//! call an object of its named arguments.

use super::ImportError;
use crate::json::MAX_DEPTH;

/// Where the data begins.
const BEGIN: &str = "providers: list[Provider] = [";

pub(super) fn is_python(text: &str) -> bool {
    text.contains(BEGIN)
}

/// The providers as JSON.
pub(super) fn to_json(text: &str) -> Result<String, ImportError> {
    let at = text.find(BEGIN).map_or(0, |at| at + BEGIN.len() - 1);
    let mut reader = Reader { text, at, json: String::with_capacity(text.len()), depth: 0 };
    reader.value()?;
    Ok(reader.json)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    json: String,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self) -> Result<(), ImportError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("values nested more than 128 deep"));
        }
        match self.peek() {
            Some('[') => self.list('[', ']')?,
            Some('{') => self.dict()?,
            Some('\'' | '"') => {
                let text = self.string()?;
                self.push_text(&text);
            }
            Some(c) if c.is_ascii_digit() || c == '-' => {
                let number = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
                self.json.push_str(number);
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.name()?,
            _ => return Err(self.error("no Python value")),
        }
        self.depth -= 1;
        Ok(())
    }

    /// A word, or a call.
    fn name(&mut self) -> Result<(), ImportError> {
        let name = self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        if !self.take('(') {
            self.json.push_str(match name {
                "True" => "true",
                "False" => "false",
                // Such as `datetime.UTC`: nothing that is asked for.
                _ => "null",
            });
            return Ok(());
        }
        match name {
            "Decimal" => {
                let digits = self.string()?;
                self.json.push_str(&digits);
                self.expect(')')
            }
            "datetime.date" | "datetime.time" => self.moment(if name.ends_with("date") { '-' } else { ':' }),
            _ => self.pairs(')', '='),
        }
    }

    /// `2026, 3, 5` as `"2026-03-05"`.
    fn moment(&mut self, between: char) -> Result<(), ImportError> {
        let mut text = String::new();
        while !self.take(')') {
            let part = self.word(|c| c.is_ascii_digit());
            if part.is_empty() {
                // A time zone, which is UTC.
                self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '='));
            } else {
                if !text.is_empty() {
                    text.push(between);
                }
                text.push_str(&format!("{part:0>2}"));
            }
            self.comma(')')?;
        }
        self.push_text(&text);
        Ok(())
    }

    fn list(&mut self, open: char, close: char) -> Result<(), ImportError> {
        self.expect(open)?;
        self.json.push('[');
        let mut is_first = true;
        while !self.take(close) {
            if !std::mem::take(&mut is_first) {
                self.json.push(',');
            }
            self.value()?;
            self.comma(close)?;
        }
        self.json.push(']');
        Ok(())
    }

    fn dict(&mut self) -> Result<(), ImportError> {
        self.expect('{')?;
        self.pairs('}', ':')
    }

    /// Names and values up to `close`. A name that Python reserves ends in `_`.
    fn pairs(&mut self, close: char, between: char) -> Result<(), ImportError> {
        self.json.push('{');
        let mut is_first = true;
        while !self.take(close) {
            if !std::mem::take(&mut is_first) {
                self.json.push(',');
            }
            let name = match self.peek() {
                Some('\'' | '"') => self.string()?,
                _ => self.word(|c| c.is_alphanumeric() || c == '_').trim_end_matches('_').to_owned(),
            };
            self.push_text(&name);
            self.json.push(':');
            self.expect(between)?;
            self.value()?;
            self.comma(close)?;
        }
        self.json.push('}');
        Ok(())
    }

    /// A text, of which several in a row are one.
    fn string(&mut self) -> Result<String, ImportError> {
        let mut text = String::new();
        while let Some(quote @ ('\'' | '"')) = self.peek() {
            self.at += 1;
            loop {
                match self.text[self.at..].chars().next() {
                    Some(c) if c == quote => break,
                    Some('\\') => self.escape(&mut text)?,
                    Some(c) => {
                        text.push(c);
                        self.at += c.len_utf8();
                    }
                    None => return Err(self.error("end of the file inside a text")),
                }
            }
            self.at += 1;
        }
        Ok(text)
    }

    fn escape(&mut self, text: &mut String) -> Result<(), ImportError> {
        let kind =
            self.text[self.at + 1..].chars().next().ok_or_else(|| self.error("end of the file inside a text"))?;
        self.at += 1 + kind.len_utf8();
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            plain => {
                text.push(match plain {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    plain => plain,
                });
                return Ok(());
            }
        };
        let hex = self.text.get(self.at..self.at + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let code = hex.ok_or_else(|| self.error("malformed escape"))?;
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        self.at += digits;
        Ok(())
    }

    fn push_text(&mut self, text: &str) {
        self.json.push_str(&serde_json::Value::from(text).to_string());
    }

    /// The next character that counts.
    fn peek(&mut self) -> Option<char> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            if !rest[blank..].starts_with('#') {
                return self.text[self.at..].chars().next();
            }
            self.at += rest[blank..].find('\n').unwrap_or(rest.len() - blank);
        }
    }

    fn word(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        self.peek();
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn take(&mut self, c: char) -> bool {
        let is_there = self.peek() == Some(c);
        self.at += if is_there { c.len_utf8() } else { 0 };
        is_there
    }

    fn expect(&mut self, c: char) -> Result<(), ImportError> {
        if self.take(c) { Ok(()) } else { Err(self.error("not the Python that genai-prices writes")) }
    }

    /// A comma, unless `close` follows.
    fn comma(&mut self, close: char) -> Result<(), ImportError> {
        if self.peek() == Some(close) { Ok(()) } else { self.expect(',') }
    }

    fn error(&self, what: &'static str) -> ImportError {
        ImportError::Syntax { what, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(python: &str, expect: Result<&str, &'static str>) {
        let json = to_json(&format!("import x\n\nproviders: list[Provider] = [{python}"));
        let json = json.map_err(|error| match error {
            ImportError::Syntax { what, .. } => what,
            _ => "",
        });
        assert_eq!(json, expect.map(|it| format!("[{it}]")), "{python}");
    }

    #[test]
    fn literals_and_calls_become_json() {
        for (python, expect) in [
            ("]", ""),
            ("Decimal('0.250'), 1, -2,]", "0.250,1,-2"),
            ("None, True, False, datetime.UTC]", "null,true,false,null"),
            ("datetime.date(2026, 3, 15), datetime.time(0, 30, tzinfo=datetime.UTC)]", r#""2026-03-15","00:30""#),
            ("Provider(id='a', models=[ModelInfo(or_=[])])]", r#"{"id":"a","models":[{"or":[]}]}"#),
            ("{'a': 1, 'b': {}}  # a comment\n]", r#"{"a":1,"b":{}}"#),
            (r#"'it\'s \\d "x" \u00e9' "and 'y'\n"]"#, r#""it's \\d \"x\" éand 'y'\n""#),
        ] {
            check(python, Ok(expect));
        }
    }

    #[test]
    fn other_python_is_refused() {
        check("lambda: 1]", Err("not the Python that genai-prices writes"));
        check("'open", Err("end of the file inside a text"));
        check("Provider(id='a'", Err("not the Python that genai-prices writes"));
        check("1 + 1]", Err("not the Python that genai-prices writes"));
        check(r"'\u00']", Err("malformed escape"));
        check("*x]", Err("no Python value"));
        check(&"[".repeat(200), Err("values nested more than 128 deep"));
    }
}
