//! Names that somebody asks for by a flag: one that neither the config nor the
//! book knows is a mistake, not a question whose answer is nothing.
//!
//! The book is read only where the config does not know a name: it still has
//! teams that the config has not any more, and keys that it never had.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::Failure;
use crate::{
    book::{Book, layout::DayTable},
    charges::{ChargesError, DayFile},
    config::{nearest, quoted},
    time::Day,
};

/// Names in a message; more are counted.
const SHOWN: usize = 12;

/// Where names of teams, keys and providers are.
pub(super) const CONFIG_AND_BOOK: &str = "config nor book";
/// Where names of models and tiers are.
pub(super) const PRICES_AND_LOGS: &str = "price book nor logs";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    /// With its dashes.
    pub flag: &'static str,
    /// One of them: `team`.
    pub what: &'static str,
    pub name: &'w str,
    /// Where it could be: `config nor book`.
    pub places: &'static str,
}

impl Wanted<'_> {
    /// Refuses a name that nobody knows, with the nearest one and what there is.
    ///
    /// # Errors
    /// Where nobody knows it, or the book cannot be read.
    pub(super) fn check<'n>(
        self,
        known: impl IntoIterator<Item = &'n str>,
        in_book: impl FnOnce() -> Result<BTreeSet<String>, ChargesError>,
    ) -> Result<(), Failure> {
        let mut known: BTreeSet<String> = known.into_iter().map(str::to_owned).collect();
        if known.contains(self.name) {
            return Ok(());
        }
        known.extend(in_book()?);
        if known.contains(self.name) { Ok(()) } else { Err(Failure::asked(anyhow!("{}", self.unknown(&known)))) }
    }

    fn unknown(self, known: &BTreeSet<String>) -> String {
        let Self { flag, what, name, places } = self;
        let nearest = nearest(name, known.iter().map(String::as_str));
        let nearest = nearest.map(|name| format!(", did you mean {}? ", quoted(&name)));
        let mut names: Vec<String> = known.iter().take(SHOWN).map(|name| quoted(name)).collect();
        if known.len() > SHOWN {
            names.push(format!("{} more", known.len() - SHOWN));
        }
        let there_is = match names.split_last() {
            None => "there is none".to_owned(),
            Some((last, [])) => format!("there is {last}"),
            Some((last, others)) => format!("there are {} and {last}", others.join(", ")),
        };
        let nearest = nearest.as_deref().unwrap_or(": ");
        format!("`{flag}` names the {what} {}, which is in neither {places}{nearest}{there_is}", quoted(name))
    }
}

/// What is in these columns of a table, on all its days.
pub(super) fn in_table(book: &Book, table: DayTable, columns: &[&str]) -> Result<BTreeSet<String>, ChargesError> {
    let mut names = BTreeSet::new();
    for day in book.days(table)? {
        let Some(file) = DayFile::open(book, table, day)? else { continue };
        for (start, length) in file.slices() {
            let frame = file.frame(columns, start, length)?;
            for column in columns {
                let texts = frame.column(column).and_then(|column| column.str());
                let texts = texts.map_err(|source| ChargesError::Engine { path: file.path.clone(), source })?;
                for text in texts.iter().flatten() {
                    if !names.contains(text) {
                        names.insert(text.to_owned());
                    }
                }
            }
        }
    }
    Ok(names)
}

/// Refuses a last day before the first one.
///
/// # Errors
/// Where it is.
pub(super) fn in_order(from: Option<Day>, to: Option<Day>) -> Result<(), Failure> {
    match (from, to) {
        (Some(from), Some(to)) if to < from => Err(Failure::asked(anyhow!(
            "`--from {from}` is after `--to {to}`, expected the first day before the last one"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_knows_is_told_with_what_there_is() {
        let check = |name: &str, known: &[&str], in_book: &[&str]| {
            let in_book = || Ok(in_book.iter().map(|name| (*name).to_owned()).collect());
            let wanted = Wanted { flag: "--team", what: "team", name, places: CONFIG_AND_BOOK };
            wanted.check(known.iter().copied(), in_book).map_err(|failure| (failure.error.to_string(), failure.code))
        };
        assert!(check("chat", &["chat"], &[]).is_ok() && check("old", &["chat"], &["old"]).is_ok());
        let cases: [(&str, &[&str], &[&str], &str); 4] = [
            ("chta", &["chat", "lab"], &[], ", did you mean `chat`? there are `chat` and `lab`"),
            ("nosuch", &["chat"], &["lab", "old"], ": there are `chat`, `lab` and `old`"),
            ("nosuch", &["chat"], &[], ": there is `chat`"),
            ("nosuch", &[], &[], ": there is none"),
        ];
        for (name, known, in_book, expect) in cases {
            let expect = format!("`--team` names the team `{name}`, which is in neither config nor book{expect}");
            assert_eq!(check(name, known, in_book), Err((expect, 2)));
        }
        let many: Vec<String> = (10..24).map(|number| format!("t{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (told, _) = check("nosuch", &many, &[]).unwrap_err();
        assert!(told.ends_with("`t20`, `t21` and 2 more"), "{told}");
        // A credential is no name to be told.
        let (told, _) = check("gsk_0123456789abcdefghijABCDEFGHIJ", &[], &[]).unwrap_err();
        assert!(!told.contains("gsk_0123456789"), "{told}");
    }
}
