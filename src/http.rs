//! How providers and gateways are asked over HTTP: one client for every source.
//!
//! Blocking for those who call it, tokio inside. A request is tried a few times
//! where that can help (429, 5xx, no connection, an answer that broke off), with
//! waits that double and differ by chance, or as long as the server asks for with
//! `Retry-After`; every try and all of them together end in a bounded time. An
//! answer is taken only whole, as JSON, and up to a size.
//!
//! What holds here: no message, log line or `Debug` output has a credential, or
//! the part of an address after its `?`. Redirects are not followed, so that no
//! credential goes where nobody wrote that it should. Proxies come from the
//! usual variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), and
//! trusted certificates from the system or `SSL_CERT_FILE`, as everywhere on the
//! machine: the libraries read those. Left out: what answers mean.

mod certificate;
mod fault;
mod patience;

use std::{
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub use reqwest::Url;
use reqwest::{
    StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
};

pub(crate) use certificate::certificate_text;
pub use fault::{Fault, HttpError};
pub use patience::Patience;

use crate::{config::Secret, secrets};
use fault::Shown;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For one whole answer.
    pub timeout: Duration,
    pub patience: Patience,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The largest answer that is taken, in bytes.
    pub largest: usize,
    /// How many requests may be under way at the same time.
    pub at_once: usize,
}

/// An answer is held in memory as a whole.
const LARGEST: usize = 128 << 20;
/// Politeness towards a gateway that has other work to do.
const AT_ONCE: usize = 4;

impl Settings {
    /// Waits, and the time for all tries together, follow from the time that
    /// one answer may take.
    #[must_use]
    pub fn of_timeout(timeout: Duration) -> Self {
        Self { timeout, patience: Patience::of(timeout), ca_file: None, largest: LARGEST, at_once: AT_ONCE }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    None,
    Bearer(Secret),
    Basic {
        username: String,
        password: Secret,
    },
    /// In a header of its own, such as `x-api-key`.
    Header(&'static str, Secret),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'r> {
    /// Without a query.
    pub url: Url,
    pub query: Vec<(&'static str, String)>,
    /// Beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    pub credential: &'r Credential,
}

/// A whole answer, in JSON as far as its first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub body: Vec<u8>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the certificates in `{}` cannot be read: {cause}: name a PEM file of certificates in `ca_file`", path.display())]
    CaFile { path: PathBuf, cause: String },
    #[error("no client for HTTP could be made: {0}")]
    Build(String),
}

/// Asks servers. It can be shared between threads.
#[derive(Debug)]
pub struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    settings: Settings,
    under_way: Places,
}

impl Client {
    /// # Errors
    /// Where certificates cannot be read.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let build = |error: &dyn std::fmt::Display| ClientError::Build(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| build(&error))?;
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(LONGEST_CONNECT))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("spendbook/", env!("CARGO_PKG_VERSION")));
        for certificate in settings.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default() {
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder.build().map_err(|error| build(&fault::innermost(&error)))?;
        let under_way = Places::new(settings.at_once);
        Ok(Self { runtime, http, settings, under_way })
    }

    /// Asks, and asks again where that may help.
    ///
    /// # Errors
    /// Where there is no answer to be had, or one that is not JSON.
    pub fn get(&self, request: &Request<'_>) -> Result<Answer, HttpError> {
        self.get_into(request, Vec::new())
    }

    /// Asks as [`Self::get`] does, for an answer in memory that was another's.
    ///
    /// # Errors
    /// As there.
    pub fn get_into(&self, request: &Request<'_>, memory: Vec<u8>) -> Result<Answer, HttpError> {
        let place = place(&request.url);
        let failed = |fault| HttpError { place: place.clone(), fault };
        let headers = headers(request).map_err(failed)?;
        let _place = self.under_way.take();
        self.runtime.block_on(self.try_until_known(request, headers, memory)).map_err(failed)
    }

    async fn try_until_known(
        &self,
        request: &Request<'_>,
        headers: HeaderMap,
        mut memory: Vec<u8>,
    ) -> Result<Answer, Fault> {
        let begun = Instant::now();
        let mut tries = 1;
        loop {
            let fault = match self.try_once(request, headers.clone(), std::mem::take(&mut memory)).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let wait = self.settings.patience.wait(tries, fault.asked_wait(), begun.elapsed());
            let Some(wait) = wait.filter(|_| fault.may_pass()) else { return Err(fault.after(tries)) };
            let place = place(&request.url);
            tracing::debug!(%place, tries, wait_ms = wait.as_millis(), "asked again: {fault}");
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    async fn try_once(&self, request: &Request<'_>, headers: HeaderMap, memory: Vec<u8>) -> Result<Answer, Fault> {
        let mut asked = self.http.get(request.url.clone()).headers(headers);
        if !request.query.is_empty() {
            asked = asked.query(&request.query);
        }
        let answer = asked.send().await.map_err(|error| Fault::of(&error, self.settings.timeout))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status.is_redirection() {
            let to = headers.get(LOCATION).and_then(|to| request.url.join(to.to_str().ok()?).ok());
            return Err(Fault::Moved { status: status.as_u16(), to: to.map(|to| crate::http::place(&to)) });
        }
        let body = self.body(answer, memory).await;
        if !status.is_success() {
            // What it says of an error may be cut off: it is only shown.
            let shown = Shown::of(&body.unwrap_or_default(), request.credential);
            return Err(Fault::of_status(status.as_u16(), shown, &headers));
        }
        let body = body?;
        check(status, &headers, &body)?;
        Ok(Answer { body })
    }

    /// The whole body, up to the largest that is taken.
    async fn body(&self, mut answer: reqwest::Response, memory: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let told = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let too_large = || Fault::TooLarge { limit: self.settings.largest };
        if told > self.settings.largest {
            return Err(too_large());
        }
        let mut body = memory;
        body.clear();
        body.reserve_exact(told);
        while let Some(chunk) = answer.chunk().await.map_err(|error| Fault::of(&error, self.settings.timeout))? {
            if body.len() + chunk.len() > self.settings.largest {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A host that does not answer at all is known to be one earlier.
const LONGEST_CONNECT: Duration = Duration::from_secs(15);

/// An address as messages and the book show it: without what may be a
/// credential, which is a name, a password, a query.
#[must_use]
pub fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let parts: Vec<_> = url.path().split('/').map(secrets::redact).collect();
    format!("{}://{host}{port}{}", url.scheme(), parts.join("/"))
}

fn headers(request: &Request<'_>) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in &request.headers {
        let value = HeaderValue::from_str(value).map_err(|_| Fault::NoRequest(format!("`{name}` is no header")))?;
        headers.insert(*name, value);
    }
    let (name, value) = match request.credential {
        Credential::None => return Ok(headers),
        Credential::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose())),
        Credential::Basic { username, password } => {
            (AUTHORIZATION, format!("Basic {}", base64(format!("{username}:{}", password.expose()).as_bytes())))
        }
        Credential::Header(name, secret) => (name.parse().map_err(|_| no_credential())?, secret.expose().to_owned()),
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| no_credential())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}

fn no_credential() -> Fault {
    Fault::NoRequest("the credential has bytes that no header can have, is it the right file or variable?".to_owned())
}

/// Names and passwords travel in base64.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        (0..4).map(move |at| {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            if at <= chunk.len() { char::from(letter) } else { '=' }
        })
    });
    letters.collect()
}

/// Whether it is JSON, as far as its first bytes and its type say.
fn check(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    let Some(&first) = body.trim_ascii_start().first() else {
        return Err(Fault::Empty { status: status.as_u16() });
    };
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let says_json = kind.ends_with("/json") || kind.ends_with("+json");
    // Some servers do not say, or say that it is text.
    let says_nothing = kind.is_empty() || kind == "text/plain";
    if says_json || says_nothing && matches!(first, b'{' | b'[') {
        return Ok(());
    }
    let kind = if kind.is_empty() { "no type".to_owned() } else { fault::one_line(&secrets::redact(&kind)) };
    Err(Fault::ContentType { found: kind })
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let failed = |cause: String| ClientError::CaFile { path: path.to_owned(), cause };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem);
    let certificates = certificates.map_err(|error| failed(fault::innermost(&error)))?;
    // What holds no certificate at all is read as none, without an error.
    if certificates.is_empty() { Err(failed("no certificate is in it".to_owned())) } else { Ok(certificates) }
}

/// How many requests may still begin.
#[derive(Debug)]
struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Places {
    const fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    fn take(&self) -> Place<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Place(self)
    }
}

struct Place<'p>(&'p Places);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        let check = |url: &str, expect: &str| assert_eq!(place(&Url::parse(url).unwrap()), expect);
        check(
            "https://litellm.example.com/spend/logs/v2?key=5ecret#5ecret",
            "https://litellm.example.com/spend/logs/v2",
        );
        check("http://user:5ecret@127.0.0.1:4000/", "http://127.0.0.1:4000/");
        check("https://example.com:443/a%20b", "https://example.com/a%20b");
        let key = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef";
        check(&format!("https://example.com/{key}/x"), &format!("https://example.com/{}/x", secrets::fingerprint(key)));
    }

    /// Against the vectors of RFC 4648.
    #[test]
    fn names_and_passwords_are_written_in_base64() {
        for (text, expect) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expect);
        }
    }
}
