//! `url` of a source, and what belongs to it: sources that are asked over HTTP.

use std::{path::PathBuf, time::Duration};

use super::{
    environment::{self, SecretFrom},
    problem::{Problem, listed},
    reader::{Item, Table},
    settings,
};
use crate::time::Day;

/// A format whose entries are asked for over HTTP, or read from recorded answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFormat {
    pub name: &'static str,
    /// Where it is, if all the world asks the same address.
    pub default_url: Option<&'static str>,
    /// A config that wants nothing more.
    needs: &'static [Need],
    /// The log format that its items are in; none where it tells totals.
    pub items: Option<&'static str>,
}

/// A key that a format cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Token,
    Username,
    Account,
    Gateway,
}

/// Every format over HTTP.
pub const REMOTE_FORMATS: &[RemoteFormat] = &[
    RemoteFormat { name: "litellm-api", default_url: None, needs: &[], items: Some("litellm") },
    RemoteFormat {
        name: "langfuse-api",
        default_url: Some("https://cloud.langfuse.com"),
        needs: &[Need::Username, Need::Token],
        items: Some("langfuse"),
    },
    RemoteFormat {
        name: "cloudflare-api",
        default_url: Some("https://api.cloudflare.com/client/v4"),
        needs: &[Need::Token, Need::Account, Need::Gateway],
        items: Some("cloudflare"),
    },
];

/// The format over HTTP of that name.
#[must_use]
pub fn remote_format(name: &str) -> Option<&'static RemoteFormat> {
    REMOTE_FORMATS.iter().find(|format| format.name == name)
}

/// Where a source is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address below which everything is, without a slash at its end.
    pub url: String,
    pub token: Option<SecretFrom>,
    /// Beside the token, where both make a login.
    pub username: Option<String>,
    pub account: Option<String>,
    pub gateway: Option<String>,
    /// The first day that is asked for; 30 days back where it is not given.
    pub since: Option<Day>,
    /// So many days, today's among them, are asked for again in every run.
    pub lookback_days: u32,
    /// For each answer.
    pub timeout: Duration,
    /// Certificates (PEM) that are trusted beside those of the system, relative
    /// to the config's directory.
    pub ca_file: Option<PathBuf>,
}

const LOOKBACK_DAYS: u32 = 3;
const TIMEOUT: Duration = Duration::from_mins(1);

/// The keys that say something only beside `url`.
const KEYS: [&str; 8] =
    ["token_env", "token_file", "username", "account", "gateway", "since", "lookback", "ca_file"];

/// Reads `url` and what belongs to it; `has_path` where the source has a `path`.
pub(super) fn read(table: &mut Table<'_>, format: &str, has_path: bool) -> Option<Remote> {
    let url = table.get("url");
    let timeout = table.get("timeout");
    let mut others: Vec<(&'static str, Item<'_>)> =
        KEYS.into_iter().filter_map(|key| Some((key, table.get(key)?))).collect();
    others.extend(timeout.clone().map(|item| ("timeout", item)));
    let Some(known) = remote_format(format) else {
        let formats = listed(REMOTE_FORMATS.iter().map(|format| format.name), "or");
        for (_, item) in url.map(|item| ("url", item)).into_iter().chain(others) {
            item.add(Problem::Conflict {
                found: format!("{} is there with `format = \"{format}\"`", item.field()),
                expected: format!("a format that is asked over HTTP: {formats}"),
            });
        }
        return None;
    };
    if has_path {
        if let Some(url) = &url {
            url.add(Problem::Conflict {
                found: "both `path` and `url` are there".to_owned(),
                expected: "`url`, or `path` for answers that were recorded".to_owned(),
            });
        }
        for (_, item) in others.iter().filter(|_| url.is_none()) {
            item.add(Problem::Conflict {
                found: format!("{} is there with `path`", item.field()),
                expected: "`url`, since nothing is asked for what is in files".to_owned(),
            });
        }
        return None;
    }
    let address = match &url {
        Some(item) => base_url(item),
        None => known.default_url.map(str::to_owned),
    };
    if url.is_none() && known.default_url.is_none() {
        table.missing("url", "the address to ask, like \"https://litellm.example.com\", or `path` for recorded answers");
    }
    let get = |key: &str| others.iter().find(|(name, _)| *name == key).map(|(_, item)| item);
    let token = environment::one_secret(get("token_env"), get("token_file"), ["token_env", "token_file", "LITELLM_KEY"]);
    check_needs(table, known, &others);
    let day = |micros: i64| u32::try_from(micros / DAY).ok();
    let lookback = get("lookback").and_then(|item| item.duration(&[('d', DAY), ('w', 7 * DAY)], LOOKBACK));
    Some(Remote {
        url: address?,
        token,
        username: get("username").and_then(Item::string),
        account: get("account").and_then(segment),
        gateway: get("gateway").and_then(segment),
        since: get("since").and_then(Item::day),
        lookback_days: lookback.and_then(day).unwrap_or(LOOKBACK_DAYS),
        timeout: timeout.and_then(|item| settings::timeout(&item)).unwrap_or(TIMEOUT),
        ca_file: get("ca_file").and_then(|item| item.text().map(PathBuf::from)),
    })
}

const DAY: i64 = 86_400 * 1_000_000;
const LOOKBACK: &str = "a number of days or weeks like \"3d\" or \"1w\"";

/// What must be there is, and what says nothing to this format is not.
fn check_needs(table: &Table<'_>, format: &RemoteFormat, others: &[(&'static str, Item<'_>)]) {
    let needs = |need| format.needs.contains(&need);
    let has = |key: &str| others.iter().any(|(name, _)| *name == key);
    if needs(Need::Token) && !has("token_env") && !has("token_file") {
        table.missing("token_env", "the environment variable that holds the token, or `token_file`");
    }
    let keys = [
        ("username", Need::Username, "the public key, the token's other half"),
        ("account", Need::Account, "the id of the account"),
        ("gateway", Need::Gateway, "the id of the gateway"),
    ];
    for (key, need, expected) in keys {
        match others.iter().find(|(name, _)| *name == key) {
            None if needs(need) => table.missing(key, expected),
            Some((_, item)) if !needs(need) => item.add(Problem::Conflict {
                found: format!("`{key}` is there with `format = \"{}\"`", format.name),
                expected: "no such key: this format does not ask by it".to_owned(),
            }),
            _ => {}
        }
    }
}

/// An address without a query, in which a credential could be.
fn base_url(item: &Item<'_>) -> Option<String> {
    let url = settings::url(item)?;
    if url.contains(['?', '#']) {
        item.bad("an address without `?` and `#`: what is asked for is added to it", None);
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// One part of a path.
fn segment(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        item.bad("an id of letters, digits, `-`, `_` and `.`", None);
        return None;
    }
    Some(text.to_owned())
}
