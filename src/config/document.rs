//! The text of a configuration and every mistake found in it: offsets become
//! lines, columns and excerpts here, and nowhere else.
//!
//! No excerpt shows a credential or the value of a key that is named like one.

use std::{
    cell::RefCell,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use super::problem::Problem;
use crate::secrets;

/// One mistake, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub path: PathBuf,
    /// Counted from 1; 0 where the file itself is what is wrong.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    pub problem: Problem,
    excerpt: Option<Excerpt>,
}

/// Every mistake of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(Vec<ConfigError>);

/// A line of the file with a part of it marked, safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// In characters of `text`.
    mark_from: usize,
    mark_len: usize,
}

impl ConfigError {
    /// A mistake of the file as a whole.
    pub(super) fn of_file(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), line: 0, column: 0, problem, excerpt: None }
    }
}

impl ConfigErrors {
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

/// `spendbook.toml:3:1: message (code)`, the excerpt, and the advice.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {} ({})", self.problem, self.problem.code())?;
        let gutter = self.line.to_string().len();
        if let Some(Excerpt { text, mark_from, mark_len }) = &self.excerpt {
            write!(f, "\n {} | {text}", self.line)?;
            write!(f, "\n {:gutter$} | {:mark_from$}{}", "", "", "^".repeat(*mark_len))?;
        }
        if let Some(advice) = self.problem.advice() {
            write!(f, "\n {:gutter$} = {advice}", "")?;
        }
        Ok(())
    }
}

/// A part of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// Collects mistakes while a document is read, so that all are told at once.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<(Span, Problem)>>,
}

impl<'t> Problems<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, found: RefCell::new(Vec::new()) }
    }

    pub(super) fn add(&self, at: Span, problem: Problem) {
        self.found.borrow_mut().push((at, problem));
    }

    /// The line, from 1, on which a part of the text begins.
    pub(super) fn line(&self, at: Span) -> usize {
        self.text.match_indices('\n').take_while(|&(end, _)| end < at.start).count() + 1
    }

    /// Forgets what was found on lines that the given mistakes are on already.
    pub(super) fn drop_on_lines_of(&self, others: &[(Span, Problem)]) {
        let lines: Vec<usize> = others.iter().map(|&(at, _)| self.line(at)).collect();
        self.found.borrow_mut().retain(|&(at, _)| !lines.contains(&self.line(at)));
    }

    /// Forgets everything found.
    pub(super) fn clear(&self) {
        self.found.borrow_mut().clear();
    }

    /// Everything found, in the order of the file; fine if that is nothing.
    pub(super) fn into_result(self, path: &Path) -> Result<(), ConfigErrors> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|&(at, _)| at);
        let lines = Lines::new(self.text);
        // A secret may be known by its own look and by its key's name: once is enough.
        found.dedup_by(|later, first| {
            let are_secrets = [&later.1, &first.1].iter().all(|it| matches!(it, Problem::Secret { .. }));
            later == first || (are_secrets && lines.number(later.0.start) == lines.number(first.0.start))
        });
        let errors: Vec<_> = found.into_iter().map(|(at, problem)| lines.error(path, at, problem)).collect();
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
    }
}

/// Where the lines of a text begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The line, from 1, that an offset is on.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|&begin| begin <= offset)
    }

    fn error(&self, path: &Path, at: Span, problem: Problem) -> ConfigError {
        let mut start = at.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let line = self.number(start);
        let begin = self.starts[line - 1];
        let text = self.text[begin..].lines().next().unwrap_or_default();
        let mark = start - begin..at.end.saturating_sub(begin).clamp(start - begin, text.len().max(start - begin));
        let is_secret = matches!(problem, Problem::Secret { .. });
        let column = self.text[begin..start].chars().count() + 1;
        ConfigError { path: path.to_owned(), line, column, problem, excerpt: Some(excerpt(text, mark, is_secret)) }
    }
}

/// A line made safe and short, with the marked part still marked. Of a line
/// that holds a secret no value is shown.
fn excerpt(line: &str, mark: Range<usize>, is_secret: bool) -> Excerpt {
    /// Longer lines are cut.
    const MOST: usize = 100;
    let safe = match line.split_once('=') {
        Some((key, _)) if is_secret => format!("{}= …", secrets::redact(key)),
        _ => conceal(line),
    };
    let (mut from, mut len) = if safe == line {
        let marked = line.get(mark.clone()).unwrap_or_default();
        (line.get(..mark.start).unwrap_or(line).chars().count(), marked.chars().count())
    } else {
        // What is hidden moved the rest: mark from the same place if it is still there.
        let start = mark.start.min(common_prefix(line, &safe));
        let rest = safe.get(start..).map_or(1, |rest| rest.trim_end().chars().count());
        (safe.get(..start).map_or(0, |before| before.chars().count()), rest)
    };
    let mut chars: Vec<char> = safe.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if from > MOST / 2 && chars.len() > MOST {
        let cut = from - MOST / 2;
        chars.drain(..cut);
        chars.insert(0, '…');
        from = from + 1 - cut;
    }
    if chars.len() > MOST {
        chars.truncate(MOST);
        chars.push('…');
    }
    len = len.min(chars.len().saturating_sub(from)).max(1);
    Excerpt { text: chars.into_iter().collect::<String>().trim_end().to_owned(), mark_from: from, mark_len: len }
}

/// Keys whose values are secrets by their name.
pub(super) const SECRET_KEYS: &[&str] =
    &["password", "passwd", "pass", "secret", "token", "api_key", "apikey", "api-key", "auth_token", "smtp_password"];

/// Keys that name where a secret is, and in whose place some write the secret.
const NEAR_SECRET_KEYS: &[&str] = &["password_env", "token_env"];

/// Notes every credential in the text, comments included, except in `allowed`.
pub(super) fn find_secrets(text: &str, allowed: &[Span], problems: &Problems<'_>) {
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let safe = secrets::redact(line);
        if safe != line {
            let at = common_prefix(line, &safe);
            let start = begin + at;
            let end = start + line[at..].find(['"', '\'', ' ', '\n', '\r', ',']).unwrap_or(line.len() - at);
            if !allowed.iter().any(|span| (span.start..span.end).contains(&start)) {
                let advice = "remove it and revoke it, for others may have seen this file; a key is known by its \
                              name or by a `fingerprint`";
                problems.add(Span { start, end }, Problem::Secret { advice: advice.to_owned() });
            }
        }
        begin += line.len();
    }
}

/// How many bytes two texts begin with alike, up to the start of a character.
fn common_prefix(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum()
}

/// Whether a text is made of words, though it begins like a credential:
/// `sk-search2-production-eu-west`.
pub(super) fn reads_as_name(text: &str) -> bool {
    let parts = || text.split(|c: char| !c.is_ascii_alphanumeric());
    let letters: usize = parts().filter(|part| part.bytes().all(|b| b.is_ascii_alphabetic())).map(str::len).sum();
    let all: usize = parts().map(str::len).sum();
    letters * 2 > all && parts().all(|part| part.len() < 20)
}

/// The line without credentials and without values of keys like `password`.
fn conceal(line: &str) -> String {
    let safe = secrets::redact(line);
    for (at, _) in safe.match_indices('=') {
        let before = safe[..at].trim_end().trim_end_matches(['"', '\'']);
        let is_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let key = before.rsplit(|c: char| !is_key(c)).next().unwrap_or_default();
        let key = key.to_ascii_lowercase();
        if SECRET_KEYS.contains(&key.as_str()) || NEAR_SECRET_KEYS.contains(&key.as_str()) {
            return format!("{}= …", &safe[..at]);
        }
    }
    safe.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_hide_secrets_and_stay_short() {
        let check = |line: &str, expect: &str| assert_eq!(excerpt(line, 0..1, false).text, expect);
        check("password = \"hunter2\"", "password = …");
        check("mail = { host = \"x\", \"password\" = \"hunter2\" }", "mail = { host = \"x\", \"password\" = …");
        check("mail.password = 'hunter2'", "mail.password = …");
        check("password_file = \"smtp\"", "password_file = \"smtp\"");
        let fp = secrets::fingerprint("gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef");
        check("# gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef", &format!("# {fp}"));
        check(&"é".repeat(200), &format!("{}…", "é".repeat(100)));
    }

    #[test]
    fn marks_are_in_characters_and_inside_the_line() {
        let check = |line: &str, mark: Range<usize>, expect: (usize, usize)| {
            let excerpt = excerpt(line, mark, false);
            assert_eq!((excerpt.mark_from, excerpt.mark_len), expect, "{line}");
        };
        check("é = 1", 5..6, (4, 1));
        check("a = \"b\"", 4..7, (4, 3));
        check("a =", 3..3, (3, 1));
        check(&"x".repeat(300), 250..260, (51, 10));
        check("", 0..0, (0, 1));
    }
}
