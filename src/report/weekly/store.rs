//! What has been mailed: one object per scope and week below `weekly/`, written
//! once, with the figures that were told and the mails themselves.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    book::{Book, BookError},
    budgets::Scope,
    mail::Sealed,
    money::Usd,
    time::Day,
};

const DIR: &str = "weekly";

/// What was told of a week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Figures {
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub cost: Usd,
    /// Of it, parts of shared keys.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub shared: Usd,
    /// Of it, what no log shows; older mails never counted it.
    #[serde(default, serialize_with = "as_text", deserialize_with = "from_text")]
    pub unlogged: Usd,
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub estimated_cost: Usd,
    pub requests: i64,
    pub unpriced: i64,
}

/// Figures of an earlier week, as a mail told them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub first: String,
    pub last: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// The object: what was decided, and the mails byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commit {
    pub scope: String,
    pub name: Option<String>,
    pub first: String,
    pub last: String,
    pub zone: String,
    pub mailed_at: String,
    pub figures: Figures,
    /// Corrections of earlier weeks.
    pub corrected: Vec<Told>,
    /// Earlier weeks that no mail was about.
    pub missed: Vec<Told>,
    pub recipients: Vec<String>,
    /// Put into the outbox in this order.
    pub mails: Vec<Sealed>,
}

fn as_text<S: Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
    let text = String::deserialize(deserializer)?;
    Usd::parse(&text).map_err(serde::de::Error::custom)
}

/// The first and the last day of a week.
pub(super) type Days = (Day, Day);

/// Which weeks of which scope were mailed, by the names of the objects.
#[derive(Debug, Default)]
pub(super) struct Mailed(BTreeMap<String, Vec<Days>>);

impl Mailed {
    pub(super) fn read(book: &Book) -> Result<Self, BookError> {
        let mut mailed = Self::default();
        for path in book.list(&Path::from(DIR))? {
            if let Some((slug, days)) = parse(&path) {
                mailed.0.entry(slug.to_owned()).or_default().push(days);
            }
        }
        Ok(mailed)
    }

    /// The weeks of a scope under any of its names, in order.
    pub(super) fn of(&self, slugs: &[String]) -> Vec<(String, Days)> {
        let mut weeks: Vec<(String, Days)> = slugs
            .iter()
            .flat_map(|slug| self.0.get(slug).into_iter().flatten().map(|days| (slug.clone(), *days)))
            .collect();
        weeks.sort_by_key(|(_, days)| *days);
        weeks
    }

    /// All weeks that ended on a day or later.
    pub(super) fn since(&self, day: Day) -> impl Iterator<Item = (&str, Days)> {
        let weeks = self.0.iter().flat_map(|(slug, weeks)| weeks.iter().map(move |days| (slug.as_str(), *days)));
        weeks.filter(move |(_, (_, last))| *last >= day)
    }
}

/// The name of a scope in names of files and mails: of small letters, digits
/// and `-`, and another one for every scope.
pub(super) fn slug(scope: &Scope) -> String {
    /// A file's name and a mail's id have an end.
    const LONGEST: usize = 40;
    let Some(name) = scope.name() else { return scope.kind().to_owned() };
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let slug: String = name.to_lowercase().chars().map(plain).take(LONGEST).collect();
    if slug == name {
        return format!("{}-{slug}", scope.kind());
    }
    let slug = format!("{}-{:016x}", slug.trim_matches('-'), xxh3_64(name.as_bytes()));
    format!("{}-{}", scope.kind(), slug.trim_matches('-'))
}

/// The ids of its mails begin so.
pub(super) fn id(slug: &str, (first, _): Days, number: usize) -> String {
    format!("weekly-{first}-{slug}-{number}")
}

fn path(slug: &str, (first, last): Days) -> Path {
    Path::from(format!("{DIR}/{first}_{last}/{slug}.json"))
}

fn parse(path: &Path) -> Option<(&str, Days)> {
    let (days, file) = path.as_ref().strip_prefix(DIR)?.strip_prefix('/')?.split_once('/')?;
    let (first, last) = days.split_once('_')?;
    Some((file.strip_suffix(".json")?, (Day::parse(first)?, Day::parse(last)?)))
}

/// Writes the object where there is none; whether it did.
pub(super) fn commit(book: &Book, slug: &str, days: Days, commit: &Commit) -> Result<bool, BookError> {
    let mut text = serde_json::to_string_pretty(commit).expect("texts and numbers can be written as JSON");
    text.push('\n');
    book.put_new(&path(slug, days), text.into())
}

/// Reads an object; `None` where there is none.
pub(super) fn load(book: &Book, slug: &str, days: Days) -> Result<Option<Commit>, BookError> {
    let path = path(slug, days);
    let Some(bytes) = book.get(&path)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| BookError::Damaged { path: path.to_string(), detail: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_a_name_of_its_own() {
        let team = |name: &str| slug(&Scope::Team(name.to_owned()));
        assert_eq!(slug(&Scope::Organization), "organization");
        assert_eq!(team("chatbot"), "team-chatbot");
        let names = ["Chatbot", "chat bot", "chat-bot", "chat/bot", "../chat", "😀", "שלום", "organization"];
        let slugs: std::collections::BTreeSet<String> = names.iter().map(|name| team(name)).collect();
        assert_eq!(slugs.len(), names.len());
        let long = ["x".repeat(300), "x".repeat(301)].map(|name| team(&name));
        assert_ne!(long[0], long[1]);
        for slug in slugs.iter().chain(&long) {
            assert!(
                slug.len() < 70 && slug.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-'),
                "{slug}"
            );
        }
    }

    #[test]
    fn an_object_is_found_by_its_name() {
        let days = (Day::parse("2026-11-09").unwrap(), Day::parse("2026-11-15").unwrap());
        let path = path("team-chatbot", days);
        assert_eq!(path.as_ref(), "weekly/2026-11-09_2026-11-15/team-chatbot.json");
        assert_eq!(parse(&path), Some(("team-chatbot", days)));
        assert_eq!(id("team-chatbot", days, 1), "weekly-2026-11-09-team-chatbot-1");
    }
}
