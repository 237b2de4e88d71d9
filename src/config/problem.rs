//! What can be wrong with a configuration: one variant and one stable code per
//! kind, with what was found, what was expected, and what to do.
//!
//! Texts that came from the file are quoted by [`quoted`] alone, which lets no
//! credential through.

use crate::secrets;

/// One kind of mistake. Its message says what was found and expected; its
/// [`Problem::advice`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("there is no such file")]
    NotFound,
    #[error("cannot be read: {cause}")]
    Unreadable { cause: String },
    #[error("not UTF-8, expected a text file")]
    NotUtf8,
    #[error("not TOML: {what}")]
    Syntax { what: String, advice: &'static str },
    #[error("unknown key {} in {table}{}", quoted(key), did_you_mean(suggestion.as_deref()))]
    UnknownKey { key: String, table: String, suggestion: Option<String>, known: Vec<String> },
    #[error("`{field}` is missing in {table}, expected {expected}")]
    Missing { field: &'static str, table: String, expected: &'static str },
    #[error("{field} is {found}, expected {expected}")]
    WrongType { field: String, found: &'static str, expected: String, advice: Option<String> },
    #[error("{field} is empty, expected {expected}")]
    Empty { field: String, expected: String },
    #[error("{field} is {}, expected {expected}{}", quoted(found), did_you_mean(suggestion.as_deref()))]
    BadValue { field: String, found: String, expected: String, suggestion: Option<String> },
    #[error("{field} is {found}, expected {low} to {high}")]
    OutOfRange { field: String, found: String, low: i64, high: i64 },
    #[error("{field} is the float `{found}`, expected an amount in quotes or a whole number")]
    FloatAmount { field: String, found: String },
    #[error("{field} is {}, expected an IANA time zone{}", quoted(found), did_you_mean(suggestion.as_deref()))]
    UnknownTimezone { field: String, found: String, suggestion: Option<String> },
    #[error("unknown format {}{}", quoted(found), did_you_mean(suggestion.as_deref()))]
    UnknownFormat { found: String, suggestion: Option<String>, known: Vec<&'static str> },
    #[error("unknown team {}{}", quoted(found), did_you_mean(suggestion.as_deref()))]
    UnknownTeam { found: String, suggestion: Option<String> },
    #[error("unknown pool {}{}", quoted(found), did_you_mean(suggestion.as_deref()))]
    UnknownPool { found: String, suggestion: Option<String> },
    #[error("{what} {} is there twice, first on line {first_line}", quoted(name))]
    Duplicate { what: &'static str, name: String, first_line: usize },
    #[error("a second budget per {period} from the same day on, the first one is on line {first_line}")]
    SameBudget { period: &'static str, first_line: usize },
    #[error("{} is defined twice", quoted(name))]
    DefinedTwice { name: String },
    #[error("two keys {what} {} have dates that overlap, the other one is on line {first_line}", quoted(name))]
    OverlappingKeys { what: &'static str, name: String, first_line: usize },
    #[error("the shares of the pool {} sum to {sum}, expected exactly 100", quoted(pool))]
    SharesSum { pool: String, sum: String },
    #[error("{until_field} is {until}, expected a time after {from_field}, {from}")]
    ReversedDates { from_field: &'static str, from: String, until_field: &'static str, until: String },
    #[error("{found}, expected {expected}")]
    Conflict { found: String, expected: String },
    #[error("a secret is in the config, expected it in the environment or in a file")]
    Secret { advice: String },
}

impl Problem {
    /// The stable name of this kind of mistake.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "config-not-found",
            Self::Unreadable { .. } => "config-unreadable",
            Self::NotUtf8 => "config-not-utf8",
            Self::Syntax { .. } => "config-syntax",
            Self::UnknownKey { .. } => "config-unknown-key",
            Self::Missing { .. } => "config-missing",
            Self::WrongType { .. } => "config-wrong-type",
            Self::Empty { .. } => "config-empty",
            Self::BadValue { .. } => "config-bad-value",
            Self::OutOfRange { .. } => "config-out-of-range",
            Self::FloatAmount { .. } => "config-float-amount",
            Self::UnknownTimezone { .. } => "config-unknown-timezone",
            Self::UnknownFormat { .. } => "config-unknown-format",
            Self::UnknownTeam { .. } => "config-unknown-team",
            Self::UnknownPool { .. } => "config-unknown-pool",
            Self::Duplicate { .. } | Self::SameBudget { .. } | Self::DefinedTwice { .. } => "config-duplicate",
            Self::OverlappingKeys { .. } => "config-overlapping-keys",
            Self::SharesSum { .. } => "config-shares-sum",
            Self::ReversedDates { .. } => "config-reversed-dates",
            Self::Conflict { .. } => "config-conflict",
            Self::Secret { .. } => "config-secret",
        }
    }

    /// What to do about it, where the message does not say so already.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::NotFound => Some(
                "run `spendbook init` to write one, or name another one with `--config` or `$SPENDBOOK_CONFIG`"
                    .to_owned(),
            ),
            Self::NotUtf8 => Some("save the file as UTF-8".to_owned()),
            Self::Syntax { advice, .. } => Some((*advice).to_owned()),
            // A long list helps only where nothing comes close.
            Self::UnknownKey { known, suggestion: Some(_), .. } if known.len() > 12 => None,
            Self::UnknownKey { known, table, .. } => {
                Some(format!("{table} has {}", listed(known.iter().map(String::as_str), "and")))
            }
            Self::WrongType { advice, .. } => advice.clone(),
            Self::FloatAmount { field, found } => {
                let name = field.trim_matches('`');
                Some(format!("write `{name} = \"{found}\"`, since binary floats do not hold money exactly"))
            }
            Self::UnknownTimezone { .. } => Some("write one like `UTC`, `Europe/Berlin` or `America/New_York`".into()),
            Self::UnknownFormat { known, .. } => {
                Some(format!("the formats are {}", listed(known.iter().copied(), "and")))
            }
            Self::UnknownTeam { found, .. } => {
                let name = secrets::redact(found);
                Some(format!("add a table `[teams.{}]`, or correct the name", toml_key(&name)))
            }
            Self::UnknownPool { found, .. } => {
                let name = secrets::redact(found);
                Some(format!("add a table `[pools.{}]`, or correct the name", toml_key(&name)))
            }
            Self::Duplicate { .. } => Some("give one of them another name".to_owned()),
            Self::SameBudget { .. } => {
                Some("remove one, or give one a `valid_from` to change the amount then".to_owned())
            }
            Self::DefinedTwice { .. } => Some("merge the two, or remove one".to_owned()),
            Self::OverlappingKeys { .. } => {
                Some("give the older one a `valid_until` that is not after the newer one's `valid_from`".to_owned())
            }
            Self::Secret { advice } => Some(advice.clone()),
            _ => None,
        }
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

/// A text from the file, for a message: in backticks, on one line, not too
/// long, and without credentials.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    // Credentials go before the cut, which could make one unrecognisable.
    let safe = secrets::redact(text);
    let short: String = safe.chars().take(MOST).flat_map(char::escape_debug).collect();
    let more = if safe.chars().count() > MOST { "…" } else { "" };
    // Quotes and apostrophes need no escape between backticks.
    format!("`{}{more}`", short.replace("\\'", "'").replace("\\\"", "\""))
}

/// A name as a TOML key: bare where it can be.
pub(super) fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// `a`, `b` and `c`.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>, word: &str) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// The known name that was most probably meant.
pub(crate) fn nearest<'n>(found: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let found = plain(found);
    let length = found.chars().count();
    known
        .into_iter()
        .filter_map(|name| {
            let candidate = plain(name);
            let distance = strsim::damerau_levenshtein(&found, &candidate);
            // One name inside the other, `monthly_budget` for `monthly_budget_usd`, is no typing mistake of many letters.
            let contained = length >= 4 && (candidate.starts_with(&found) || found.starts_with(&candidate));
            (contained || distance <= length.max(candidate.chars().count()) / 3).then_some((distance, name))
        })
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let check = |found: &str, known: &[&str], expect: Option<&str>| {
            assert_eq!(nearest(found, known.iter().copied()).as_deref(), expect, "{found}");
        };
        check("tmezone", &["timezone", "path"], Some("timezone"));
        check("monthly_budget", &["monthly_budget_usd", "thresholds"], Some("monthly_budget_usd"));
        check("week-start", &["week_start"], Some("week_start"));
        check("Europe/berlin", &["Europe/Berlin", "Europe/Dublin"], Some("Europe/Berlin"));
        check("colour", &["path", "pricing"], None);
        check("", &["path"], None);
        check("x", &["a", "b"], None);
    }

    #[test]
    fn quotes_are_short_safe_and_on_one_line() {
        assert_eq!(quoted("a\nb\"c'd"), "`a\\nb\"c'd`");
        assert_eq!(quoted(&"x".repeat(70)), format!("`{}…`", "x".repeat(60)));
        let secret = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef";
        let padded = format!("{} {secret}", "x".repeat(50));
        assert!(!quoted(&padded).contains("gsk_"), "{}", quoted(&padded));
    }
}
