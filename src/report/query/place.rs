//! What is wrong with SQL, and where: the engine names a word or a line and
//! column, and it is shown in the SQL as it was written, with what it may have
//! been meant to be.

use std::fmt;

use super::dates::Wrong;
use crate::report::tables::{DATE, TABLES, Table};

/// Longer lines are cut around the mark, in characters.
const MOST: usize = 100;

/// A mistake in SQL: `line 1, column 8: …`, and below it the line with the
/// place marked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    detail: String,
    advice: String,
    /// Where it is, if the engine said so or a word that it names is found.
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    excerpt: String,
    /// In characters of the excerpt.
    mark_from: usize,
    mark_len: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { detail, advice, place } = self;
        f.write_str("the SQL cannot be answered")?;
        if let Some(Place { line, column, .. }) = place {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {detail}{advice}")?;
        let Some(Place { line, excerpt, mark_from, mark_len, .. }) = place else { return Ok(()) };
        let gutter = line.to_string().len();
        write!(f, "\n {line} | {excerpt}")?;
        write!(f, "\n {:gutter$} | {:mark_from$}{}", "", "", "^".repeat(*mark_len))
    }
}

impl Mistake {
    /// A comparison that cannot be right.
    pub(super) fn at(sql: &str, wrong: Wrong) -> Self {
        let Wrong { detail, line, column, length } = wrong;
        Self { detail, advice: String::new(), place: place_of(sql, line, column, length) }
    }

    /// What the engine said of a date or an instant, somewhere.
    pub(super) fn of_dates(detail: String) -> Self {
        let advice =
            "; write a date as `'2026-06-01'` and an instant as `'2026-06-01 06:00:00'`, in UTC and without `Z`";
        Self { detail, advice: advice.to_owned(), place: None }
    }

    /// What the engine said of some SQL over these tables.
    pub(super) fn new(sql: &str, detail: String, tables: &[&Table]) -> Self {
        if let Some((detail, line, column)) = in_words(&detail) {
            return Self { detail, advice: String::new(), place: place_at(sql, line, column) };
        }
        if let Some((line, column)) = told_place(&detail) {
            let detail = detail.split(" at Line:").next().unwrap_or_default().to_owned();
            return Self { detail, advice: String::new(), place: place_at(sql, line, column) };
        }
        let found = quoted(&detail).find_map(|name| {
            let (at, word) = words(sql).find(|(_, word)| word.eq_ignore_ascii_case(name))?;
            Some((at, word))
        });
        let is_of_column = detail.contains("unable to find column");
        let is_column = |word: &str| all_columns(tables).any(|name| name.eq_ignore_ascii_case(word));
        let advice = match found.map(|(_, word)| (word, nearest(word, tables, is_of_column))) {
            Some((word, _)) if detail.starts_with("unsupported function") && is_column(word) => {
                format!(": it is a word of SQL; for the column write `\"{word}\"`, with quotes")
            }
            Some((_, Some(near))) => format!(", did you mean `{near}`?"),
            _ => "; `spendbook query --list` shows the tables, `spendbook query --describe TABLE` the columns of one"
                .to_owned(),
        };
        let place = found.and_then(|(at, word)| {
            let before = &sql[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            place_of(sql, line, column, word.chars().count())
        });
        Self { detail, advice, place }
    }
}

/// What the engine shows as its own insides, `Tuple([Identifier(Ident { …`, in
/// words, with its place.
fn in_words(detail: &str) -> Option<(String, usize, usize)> {
    let (_, place) = detail.split_once("Location(")?;
    let (line, column) = place.split_once(')')?.0.split_once(',')?;
    let name = detail[..detail.find(['(', '{'])?].split_whitespace().last()?;
    let text = match name {
        "Tuple" => "the engine cannot compare several columns at once, `(a, b)`: compare them one by one".to_owned(),
        _ => format!("the engine cannot do this (`{name}`)"),
    };
    Some((text, line.trim().parse().ok()?, column.trim().parse().ok()?))
}

/// `… at Line: 1, Column: 15`.
fn told_place(detail: &str) -> Option<(usize, usize)> {
    let (line, column) = detail.split_once("Line: ")?.1.split_once(", Column: ")?;
    let digits = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((line.parse().ok()?, digits.parse().ok()?))
}

/// The word at a place, or the place alone.
fn place_at(sql: &str, line: usize, column: usize) -> Option<Place> {
    let text = sql.lines().nth(line.checked_sub(1)?)?;
    let is_of_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let length = text.chars().skip(column.saturating_sub(1)).take_while(is_of_word).count();
    place_of(sql, line, column, length.max(1))
}

fn place_of(sql: &str, line: usize, column: usize, length: usize) -> Option<Place> {
    let text = sql.lines().nth(line.checked_sub(1)?)?;
    let mut letters: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut mark_from = column.saturating_sub(1).min(letters.len());
    if mark_from > MOST / 2 && letters.len() > MOST {
        let cut = mark_from - MOST / 2;
        letters.drain(..cut);
        letters.insert(0, '…');
        mark_from = mark_from + 1 - cut;
    }
    if letters.len() > MOST {
        letters.truncate(MOST);
        letters.push('…');
    }
    let mark_len = length.min(letters.len().saturating_sub(mark_from)).max(1);
    Some(Place { line, column, excerpt: letters.into_iter().collect(), mark_from, mark_len })
}

/// What stands in quotes of any kind, in the order of a message.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    ['"', '\'', '`'].into_iter().flat_map(|quote| text.split(quote).skip(1).step_by(2))
}

/// The table or column whose name is most like a word; a column alone where
/// the engine looked for one.
fn nearest(word: &str, tables: &[&Table], is_column: bool) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let names = TABLES.iter().filter(|_| !is_column).map(|table| table.name).chain(all_columns(tables));
    let likely = names.map(|name| (strsim::damerau_levenshtein(name, &word), name));
    likely.filter(|&(distance, name)| distance > 0 && distance * 3 <= name.len()).min().map(|(_, name)| name)
}

fn all_columns(tables: &[&Table]) -> impl Iterator<Item = &'static str> {
    tables.iter().flat_map(|table| table.columns()).map(|column| column.name).chain([DATE])
}

/// The words of SQL outside of its texts and comments, each with the byte at
/// which it begins. What stands in double quotes is a name.
pub(super) fn words(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    pieces(sql).filter(|(_, piece)| piece.starts_with(is_of_word))
}

/// How many operators there are, and words that nest as operators do: the
/// engine calls itself for each of them. Signs of two letters count twice.
pub(super) fn operators(sql: &str) -> usize {
    const WORDS: [&str; 11] =
        ["and", "or", "not", "is", "in", "like", "between", "case", "union", "except", "intersect"];
    let is_operator = |piece: &str| {
        let is_sign = piece.starts_with(|c: char| c.is_ascii_punctuation() && !"(),;.\"'[]{}_`".contains(c));
        is_sign || WORDS.iter().any(|word| word.eq_ignore_ascii_case(piece))
    };
    pieces(sql).filter(|(_, piece)| is_operator(piece)).count()
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Words, and signs one by one.
fn pieces(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(first) = sql[at..].chars().next() {
            let rest = &sql[at..];
            let length = |end: Option<usize>, more: usize| end.map_or(rest.len(), |end| end + more);
            if is_of_word(first) {
                let word = &rest[..length(rest.find(|c| !is_of_word(c)), 0)];
                let start = at;
                at += word.len();
                return Some((start, word));
            }
            at += if rest.starts_with("--") {
                length(rest.find('\n'), 1)
            } else if rest.starts_with("/*") {
                length(rest.find("*/"), 2)
            } else if let Some(text) = rest.strip_prefix('\'') {
                text.find('\'').map_or(rest.len(), |end| end + 2)
            } else {
                let start = at;
                at += first.len_utf8();
                return Some((start, &sql[start..at]));
            };
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_outside_of_texts_and_comments() {
        let words = |sql| words(sql).map(|(_, word)| word.to_owned()).collect::<Vec<_>>().join(" ");
        for (sql, expect) in [
            ("SELECT * FROM usage;", "SELECT FROM usage"),
            ("select \"charges\".cost -- from keys\n, 1", "select charges cost 1"),
            ("a /* keys */ b '' c 'it''s keys' d", "a b c d"),
            ("a 'no end keys", "a"),
            ("a /* no end keys", "a"),
            ("größe FROM 'ä'", "größe FROM"),
            ("'", ""),
            ("", ""),
        ] {
            assert_eq!(words(sql), expect, "{sql}");
        }
    }

    #[test]
    fn what_nests_is_counted_and_no_list_or_text_is() {
        for (sql, expect) in [
            ("select 1+1 -- + 1\n, 'a + b', a IN (1, 2, 3), (((\"x-y\"", 3),
            ("select a where b = 1 OR not c and d::date <> e", 8),
            ("select a.b, [1], {2}; select 3", 0),
        ] {
            assert_eq!(operators(sql), expect, "{sql}");
        }
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let charges = Table::named("charges").unwrap();
        let shown = |sql: &str, detail: &str| Mistake::new(sql, detail.to_owned(), &[charges]).to_string();
        assert_eq!(
            shown("SELECT team,\n  cots FROM charges", "unable to find column \"cots\""),
            "the SQL cannot be answered, line 2, column 3: unable to find column \"cots\", did you mean `cost`?\n \
             2 |   cots FROM charges\n   |   ^^^^"
        );
        assert_eq!(
            shown("SELECT é FROM FROM x", "Expected: identifier, found: FROM at Line: 1, Column: 15"),
            "the SQL cannot be answered, line 1, column 15: Expected: identifier, found: FROM\n \
             1 | SELECT é FROM FROM x\n   |               ^^^^"
        );
        let insides = "expression Tuple([Identifier(Ident { value: \"a\", quote_style: None, span: Span(Location(1,9)..\
                       Location(1,10)) })]) is not currently supported";
        assert_eq!(
            shown("SELECT (a, b) FROM charges", insides),
            "the SQL cannot be answered, line 1, column 9: the engine cannot compare several columns at once, `(a, b)`: \
             compare them one by one\n 1 | SELECT (a, b) FROM charges\n   |         ^"
        );
        let of_sql = shown("SELECT user FROM charges", "unsupported function 'user'");
        assert!(of_sql.contains("'user': it is a word of SQL; for the column write `\"user\"`"), "{of_sql}");
        assert!(!shown("SELECT now()", "unsupported function 'now'").contains("a word of SQL"));
        assert!(shown("SELECT 1", "a Strange { at: Location(1,8) }").contains("cannot do this (`Strange`)"));
        let plain = shown("SELECT 1", "something else");
        assert!(!plain.contains('\n') && plain.contains("--describe TABLE"), "{plain}");
        // At its end, beyond it, and in a long line.
        assert!(shown("SELECT", "found: EOF at Line: 1, Column: 7").ends_with("\n   |       ^"));
        assert!(!shown("SELECT", "found: EOF at Line: 9, Column: 7").contains('^'));
        let long = format!("SELECT {}, cots FROM charges WHERE {}", "cost, ".repeat(40), "x = 1 AND ".repeat(40));
        let text = shown(&long, "'cots' is not there");
        let lines: Vec<&str> = text.lines().collect();
        let from = lines[2].find('^').unwrap();
        assert_eq!(lines[1].chars().skip(from).take(4).collect::<String>(), "cots", "{text}");
        assert!(lines[1].chars().count() < 110, "{text}");
    }
}
