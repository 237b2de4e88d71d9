//! What can go wrong with a request, in words: where, what was found, what was
//! expected, and what to do.

use std::{error::Error, time::Duration};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::{Credential, certificate_text};
use crate::{clock::Clock, secrets, time::Instant};

/// A request that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` {fault}")]
pub struct HttpError {
    /// The address, without its query.
    pub place: String,
    pub fault: Fault,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("cannot be asked: {0}")]
    NoRequest(String),
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("has a certificate that is not trusted: {0}")]
    Untrusted(String),
    #[error("and this program found no common way to encrypt: {0}")]
    NoTls(String),
    #[error("gave no whole answer in {} s", within.as_secs_f32())]
    Silent { within: Duration },
    #[error("broke off its answer: {0}")]
    CutOff(String),
    #[error("gave an empty answer ({status}), expected JSON")]
    Empty { status: u16 },
    #[error("gave an answer larger than {} MiB", limit >> 20)]
    TooLarge { limit: usize },
    #[error("gave an answer of `{found}`, expected JSON")]
    ContentType { found: String },
    #[error("refused the credential (401){said}")]
    Unauthorized { said: Shown },
    #[error("does not let this credential read it (403){said}")]
    Forbidden { said: Shown },
    #[error("is not there (404){said}")]
    NotFound { said: Shown },
    #[error("wants fewer requests (429), {}{said}", asked_text(*wait))]
    TooMany { wait: Option<Duration>, said: Shown },
    #[error("failed with {status}{said}")]
    Server { status: u16, wait: Option<Duration>, said: Shown },
    #[error("moved ({status}){}", to.as_ref().map(|to| format!(", to `{to}`")).unwrap_or_default())]
    Moved { status: u16, to: Option<String> },
    #[error("refused the request with {status}{said}")]
    Refused { status: u16, said: Shown },
    #[error("{last}, after {tries} tries")]
    Tried { tries: u32, last: Box<Fault> },
}

/// What a server said of an error, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    message: String,
    code: String,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.is_empty() { Ok(()) } else { write!(f, ": it says \"{}\"", self.message) }
    }
}

fn asked_text(wait: Option<Duration>) -> String {
    wait.map_or_else(|| "without saying when".to_owned(), |wait| format!("again in {} s", wait.as_secs()))
}

/// Answers of servers beyond this are cut.
const LONGEST_SAID: usize = 300;

impl Shown {
    /// The message in an error's body. A server may repeat what it was sent:
    /// the credential is not told on, nor any other.
    pub(super) fn of(body: &[u8], credential: &Credential) -> Self {
        let Ok(serde_json::Value::Object(body)) = serde_json::from_slice(body) else {
            // A page for people, or of a proxy: the status says enough.
            return Self::default();
        };
        let text = |value: Option<&serde_json::Value>| {
            value.and_then(|it| it.as_str().map(str::to_owned).or_else(|| it.as_i64().map(|it| it.to_string())))
        };
        let first = body.get("errors").and_then(|errors| errors.get(0));
        let error = body.get("error").filter(|error| error.is_object()).or(first);
        let message = text(error.and_then(|error| error.get("message")))
            .or_else(|| text(body.get("error")))
            .or_else(|| text(body.get("message")))
            .or_else(|| text(body.get("detail")))
            .or_else(|| text(body.get("detail").and_then(|detail| detail.get("error"))));
        let code = text(error.and_then(|error| error.get("code"))).unwrap_or_default();
        Self { message: without_secrets(&message.unwrap_or_default(), credential), code }
    }

    fn is_unknown_url(&self) -> bool {
        self.code == "unknown_url"
    }
}

/// A text of a server, without anything that may be a credential: known ones,
/// words that hold ours, and any long word without a meaning.
fn without_secrets(text: &str, credential: &Credential) -> String {
    /// No word of a message for people is as long.
    const LONG_CODE: usize = 24;
    let own = match credential {
        Credential::None => None,
        Credential::Bearer(secret) | Credential::Header(_, secret) => Some(secret.expose()),
        Credential::Basic { password, .. } => Some(password.expose()),
    };
    let hidden = own.map_or_else(|| text.to_owned(), |own| text.replace(own, "…"));
    let is_code = |word: &str| {
        let bytes = || word.bytes();
        word.len() >= LONG_CODE
            && bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
            && bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    let redacted = secrets::redact(&hidden).into_owned();
    let words: Vec<&str> = redacted.split_whitespace().map(|word| if is_code(word) { "…" } else { word }).collect();
    one_line(&words.join(" "))
}

/// On one line, and not too long.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut short: String = line.chars().filter(|letter| !letter.is_control()).take(LONGEST_SAID).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

impl Fault {
    /// What an error of the library means.
    pub(super) fn of(error: &reqwest::Error, timeout: Duration) -> Self {
        if let Some(tls) = tls_cause(error) {
            return match tls {
                rustls::Error::InvalidCertificate(cause) => Self::Untrusted(certificate_text(cause)),
                other => Self::NoTls(one_line(&other.to_string())),
            };
        }
        if error.is_timeout() {
            return Self::Silent { within: timeout };
        }
        if error.is_builder() {
            return Self::NoRequest(innermost(error));
        }
        if error.is_connect() {
            return Self::Unreachable(innermost(error));
        }
        Self::CutOff(innermost(error))
    }

    /// What an answer other than 2xx and 3xx means.
    pub(super) fn of_status(status: u16, said: Shown, headers: &HeaderMap) -> Self {
        match status {
            401 => Self::Unauthorized { said },
            403 => Self::Forbidden { said },
            404 => Self::NotFound { said },
            429 => Self::TooMany { wait: retry_after(headers), said },
            500.. => Self::Server { status, wait: retry_after(headers), said },
            _ => Self::Refused { status, said },
        }
    }

    /// Whether asking again could help.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Silent { .. }
            | Self::CutOff(_)
            | Self::Empty { .. }
            | Self::TooMany { .. }
            | Self::Server { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 425),
            _ => false,
        }
    }

    /// For how long the server asked not to be asked.
    pub(super) const fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::TooMany { wait, .. } | Self::Server { wait, .. } => *wait,
            _ => None,
        }
    }

    pub(super) fn after(self, tries: u32) -> Self {
        if tries == 1 { self } else { Self::Tried { tries, last: Box::new(self) } }
    }

    /// The fault itself, of however many tries.
    #[must_use]
    pub fn last(&self) -> &Self {
        match self {
            Self::Tried { last, .. } => last,
            other => other,
        }
    }
}

impl HttpError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.fault.last() {
            Fault::NoRequest(_) => "check `url`, and the credential that is sent with it",
            Fault::Unreachable(_) => {
                "check `url`, whether a firewall lets this machine out, and whether it must go through a proxy (`HTTPS_PROXY`)"
            }
            Fault::Untrusted(_) => {
                "write `url` as the certificate names it, or trust the company's own certificates with `ca_file`"
            }
            Fault::NoTls(_) => "check that `url` begins with `https://` only where the server speaks TLS",
            Fault::Silent { .. } => "allow more time with `timeout`, or look why the server is slow",
            Fault::CutOff(_) | Fault::Empty { .. } => {
                "look into the log of the server, or of what stands between; the next run asks again"
            }
            Fault::TooLarge { .. } => "check `url`: no page of usage should be that large",
            Fault::ContentType { .. } => {
                "check `url`: a page for people (a login, a proxy's message) answers in its place"
            }
            Fault::Unauthorized { .. } => {
                "check `token_env` or `token_file`: the token may be wrong, expired or revoked"
            }
            Fault::Forbidden { .. } => "use a token that may read usage: many providers want an admin's for this",
            Fault::NotFound { said } if said.is_unknown_url() && self.is_of_groq(said) => {
                if self.place.contains("/metrics/") {
                    "Groq tells metrics to keys of its Enterprise plan only, and has no usage endpoint: read the logs of the gateway in front of it"
                } else {
                    "Groq has no usage endpoint: read the logs of the gateway in front of it"
                }
            }
            Fault::NotFound { .. } => "check `url`, and the names in it: an account, a gateway, a version",
            Fault::TooMany { .. } => "it should pass: the next run asks again for what is missing",
            Fault::Server { .. } => "it should pass: the next run asks again; else look at the provider's status page",
            Fault::Moved { .. } => "write the address it moved to in `url`: credentials do not follow by themselves",
            Fault::Refused { .. } | Fault::Tried { .. } => {
                "its answer says why; check `url` and the source's other keys"
            }
        }
    }

    /// Also where a proxy passes on what Groq says.
    fn is_of_groq(&self, said: &Shown) -> bool {
        self.place.contains("groq.com") || said.message.contains("groq.com")
    }

    /// The error and what to do, on one line.
    #[must_use]
    pub fn with_advice(&self) -> String {
        format!("{self}: {}", self.advice())
    }
}

/// How long to wait by a server's header: seconds, or a date by the server's own
/// clock where it tells that, too.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| {
        let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        Some(Instant::from_micros(date.timestamp_micros()))
    };
    let now = text(DATE).and_then(date).unwrap_or_else(|| Clock::System.now());
    let micros = date(asked)?.micros().saturating_sub(now.micros());
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or_default()))
}

/// The failure of TLS behind an error.
fn tls_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inside.and_then(|inside| inside.downcast_ref()).or_else(|| error.downcast_ref()) {
            return Some(tls);
        }
        // An error of the system may hold another one, which it does not name as its source.
        cause = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

/// What is at the bottom of an error: the libraries' own words above it name
/// the whole address.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if cause.is::<reqwest::Error>() {
        return "the request cannot be built".to_owned();
    }
    one_line(&secrets::redact(&cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretFrom;

    fn secret(text: &str) -> crate::config::Secret {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), text).unwrap();
        SecretFrom::File("token".into()).read(dir.path()).unwrap()
    }

    #[test]
    fn what_a_server_says_is_shown_without_credentials() {
        let credential = Credential::Bearer(secret("hunter2"));
        let check = |body: &str, expect: &str| {
            assert_eq!(Shown::of(body.as_bytes(), &credential).to_string(), expect, "{body}");
        };
        check(r#"{"error":{"message":"no\nsuch thing","code":"x"}}"#, ": it says \"no such thing\"");
        check(r#"{"error":"bad","message":"worse"}"#, ": it says \"bad\"");
        check(
            r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#,
            ": it says \"Authentication error\"",
        );
        check(r#"{"detail":{"error":"no rights"}}"#, ": it says \"no rights\"");
        check(r#"{"message":"key=hunter2!"}"#, ": it says \"key=…!\"");
        check(r#"{"message":"aHVudGVyMjpodW50ZXIyaHVudGVyMg== is wrong"}"#, ": it says \"… is wrong\"");
        check("<html>hunter2</html>", "");
        check("", "");
        let long = Shown::of(format!("{{\"message\":\"{}\"}}", "so ".repeat(500)).as_bytes(), &credential).to_string();
        assert!(long.chars().count() < 330 && long.ends_with("…\""), "{long}");
    }

    #[test]
    fn a_server_says_when_by_seconds_or_by_a_date() {
        let check = |asked: &str, date: Option<&str>, expect: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, asked.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), expect.map(Duration::from_secs), "{asked}");
        };
        let at = Some("Wed, 10 Jun 2026 04:00:00 GMT");
        check("120", None, Some(120));
        check("Wed, 10 Jun 2026 04:01:30 GMT", at, Some(90));
        check("Wed, 10 Jun 2026 03:00:00 GMT", at, Some(0));
        check("Wed, 10 Jun 2020 03:00:00 GMT", None, Some(0));
        check("soon", at, None);
        check("-5", at, None);
    }

    #[test]
    fn only_what_can_pass_is_asked_again() {
        let headers = HeaderMap::new();
        let of_status = |status| Fault::of_status(status, Shown::default(), &headers).may_pass();
        let passing: Vec<u16> = (400..600).filter(|&status| of_status(status)).collect();
        assert_eq!(passing, [408, 425, 429].into_iter().chain(500..600).collect::<Vec<_>>());
    }
}
