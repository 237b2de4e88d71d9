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
    tells_totals("openai-usage", Some("https://api.openai.com"), &[Need::Token]),
    tells_totals("openai-costs", Some("https://api.openai.com"), &[Need::Token]),
    tells_totals("anthropic-usage", Some("https://api.anthropic.com"), &[Need::Token]),
    tells_totals("anthropic-costs", Some("https://api.anthropic.com"), &[Need::Token]),
    tells_totals("openrouter-activity", Some("https://openrouter.ai"), &[Need::Token]),
    // A proxy of one's own: Groq has no such address.
    tells_totals("groq-usage", None, &[]),
    tells_totals("groq-prometheus", Some("https://api.groq.com/v1/metrics/prometheus"), &[Need::Token]),
];

const fn tells_totals(name: &'static str, default_url: Option<&'static str>, needs: &'static [Need]) -> RemoteFormat {
    RemoteFormat { name, default_url, needs, items: None }
}

/// Formats of answers that tell totals, and no requests; in the order of the
/// documentation.
pub const TOTALS_FORMATS: &[&str] = &[
    "openai-usage",
    "openai-costs",
    "anthropic-usage",
    "anthropic-costs",
    "openrouter-activity",
    "groq-usage",
    "groq-activity",
    "groq-prometheus",
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
    /// So many days before today are asked for again, since entries come late.
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
const KEYS: [&str; 8] = ["token_env", "token_file", "username", "account", "gateway", "since", "lookback", "ca_file"];

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
        table
            .missing("url", "the address to ask, like \"https://litellm.example.com\", or `path` for recorded answers");
    }
    let get = |key: &str| others.iter().find(|(name, _)| *name == key).map(|(_, item)| item);
    let token =
        environment::one_secret(get("token_env"), get("token_file"), ["token_env", "token_file", "LITELLM_KEY"]);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, ConfigErrors, Source, parse_with};

    fn parse(source: &str) -> Result<Config, ConfigErrors> {
        let formats = ["openai", "litellm-api", "langfuse-api", "cloudflare-api"];
        parse_with(&format!("[[source]]\nname = \"a\"\n{source}"), Path::new("f"), &formats)
    }

    fn source(text: &str) -> Source {
        parse(text).unwrap_or_else(|errors| panic!("{errors}")).sources.remove(0)
    }

    #[test]
    fn what_is_asked_over_http_has_an_address_and_what_belongs_to_it() {
        let found = source(
            "format = \"litellm-api\"\nurl = \"https://litellm.example.com/\"\ntoken_env = \"LITELLM_KEY\"\n\
             since = \"2026-11-01\"\nlookback = \"1w\"\ntimeout = \"5s\"\nca_file = \"ca.pem\"",
        );
        let expect = Remote {
            url: "https://litellm.example.com".to_owned(),
            token: Some(SecretFrom::Env("LITELLM_KEY".to_owned())),
            username: None,
            account: None,
            gateway: None,
            since: Day::parse("2026-11-01"),
            lookback_days: 7,
            timeout: Duration::from_secs(5),
            ca_file: Some(PathBuf::from("ca.pem")),
        };
        assert_eq!((found.path.as_str(), found.remote), ("", Some(expect)));

        let found = source(
            "format = \"langfuse-api\"\nusername = \"pk-lf-1234abcd-12ab-34cd-56ef-1234567890ab\"\ntoken_file = \"t\"",
        );
        let remote = found.remote.unwrap();
        assert_eq!(remote.url, "https://cloud.langfuse.com");
        assert_eq!(remote.token, Some(SecretFrom::File(PathBuf::from("t"))));
        assert_eq!((remote.lookback_days, remote.timeout), (3, Duration::from_mins(1)));

        let found = source("format = \"litellm-api\"\npath = \"pages/*.json\"");
        assert_eq!((found.path.as_str(), found.remote), ("pages/*.json", None));
    }

    fn check(source: &str, expect: &str) {
        let said = parse(source).unwrap_err().to_string();
        assert!(said.contains(expect), "{source}:\n{said}");
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let litellm = "format = \"litellm-api\"\n";
        check(litellm, "`url` is missing in `[[source]]`, expected the address to ask");
        check(&format!("{litellm}path = \"x\"\nurl = \"https://x\""), "f:5:7: both `path` and `url` are there");
        check(&format!("{litellm}path = \"x\"\ntoken_env = \"X\""), "`token_env` is there with `path`");
        check(&format!("{litellm}url = \"https://x?key=1\""), "an address without `?` and `#`");
        check(&format!("{litellm}url = \"ftp://x\""), "begins with `https://`");
        check(&format!("{litellm}url = \"https://me:pw@x\""), "config-secret");
        check(&format!("{litellm}url = \"https://x\"\ntoken = \"hunter2\""), "set `token_env`");
        check(&format!("{litellm}url = \"https://x\"\ntoken_env = \"hun ter2\""), "like `LITELLM_KEY`, not the token");
        check(&format!("{litellm}url = \"https://x\"\ntoken_env = \"A\"\ntoken_file = \"b\""), "expected one of them");
        check(
            &format!("{litellm}url = \"https://x\"\naccount = \"a\""),
            "`account` is there with `format = \"litellm-api\"`",
        );
        check(&format!("{litellm}url = \"https://x\"\nlookback = \"5h\""), "a number of days or weeks");
        check(&format!("{litellm}url = \"https://x\"\ntimeout = \"1h\""), "up to 10 minutes");
        check(
            "format = \"openai\"\npath = \"x\"\nurl = \"https://x\"",
            "`url` is there with `format = \"openai\"`, expected a format that is asked over HTTP: `litellm-api`",
        );
        let cloudflare = "format = \"cloudflare-api\"\n";
        check(&format!("{cloudflare}token_env = \"X\"\naccount = \"a/b\"\ngateway = \"g\""), "an id of letters");
        check(cloudflare, "`token_env` is missing");
        check(cloudflare, "`gateway` is missing in `[[source]]`, expected the id of the gateway");
        check("format = \"langfuse-api\"\ntoken_env = \"X\"", "`username` is missing");
        let secret = format!("{litellm}url = \"https://x\"\nusername = \"sk-lf-1234abcd-12ab-34cd-56ef-1234567890ab\"");
        check(&secret, "config-secret");
        assert!(!parse(&secret).unwrap_err().to_string().contains("sk-lf"));
    }
}
