//! Tells another program that the night is over, so that it can miss one that
//! never ran.
//!
//! A URL of such a program is as good as a password: whoever has it can say
//! that all is well. So no message names more of it than the host.

use std::time::Duration;

use reqwest::{Client, Url, redirect::Policy};

/// Why the other program was not told. Never a reason for a night to fail.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    #[error("`ping_url` cannot be read as a URL")]
    Url,
    #[error("no client for `ping_url` could be made: {0}")]
    Client(String),
    #[error("`{host}` of `ping_url` could not be told: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("`{host}` of `ping_url` answered {status}")]
    Status { host: String, status: u16 },
    #[error("`{host}` of `ping_url` answered {status}, which leads elsewhere: write the address that it leads to")]
    Elsewhere { host: String, status: u16 },
}

/// How long one request may take, and how many there are.
const TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 2;

/// Requests the URL where the night went well, and the same with `/fail` at the
/// end of its path where it did not, as monitors of such jobs understand it; to
/// one that does not, that night is missing, which is as good.
///
/// # Errors
/// Where it could not be told.
pub fn ping(url: &str, is_ok: bool) -> Result<(), PingError> {
    let mut url = Url::parse(url).map_err(|_| PingError::Url)?;
    if !is_ok {
        let path = format!("{}/fail", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    let no_client = |error: &dyn std::fmt::Display| PingError::Client(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| no_client(&error))?;
    let agent = concat!("spendbook/", env!("CARGO_PKG_VERSION"));
    // Who is led elsewhere would tell the address to whoever is there.
    let client = Client::builder().timeout(TIMEOUT).user_agent(agent).redirect(Policy::none()).build();
    let client = client.map_err(|error| no_client(&error.without_url()))?;
    runtime.block_on(request(&client, &url))
}

async fn request(client: &Client, url: &Url) -> Result<(), PingError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut tries = 1;
    loop {
        let failure = match client.get(url.clone()).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status().is_redirection() => {
                PingError::Elsewhere { host: host.clone(), status: answer.status().as_u16() }
            }
            Ok(answer) => PingError::Status { host: host.clone(), status: answer.status().as_u16() },
            Err(error) => PingError::Unreachable { host: host.clone(), cause: cause(error) },
        };
        let may_pass = !matches!(failure, PingError::Status { status: ..500, .. } | PingError::Elsewhere { .. });
        if tries == TRIES || !may_pass {
            return Err(failure);
        }
        tries += 1;
    }
}

/// What is behind an error, without the URL that it names.
fn cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// A server that gives these answers, one per connection; it returns what
    /// it was asked.
    fn serve(answers: &'static [&'static str]) -> (u16, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = move || {
            answers
                .iter()
                .map(|answer| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                    let first = lines.next().unwrap();
                    while lines.next().is_some_and(|line| !line.is_empty()) {}
                    let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    stream.write_all(answer.as_bytes()).unwrap();
                    first
                })
                .collect()
        };
        (port, thread::spawn(asked))
    }

    fn check(answers: &'static [&'static str], is_ok: bool, asked: &[&str], expect: &str) {
        let (port, server) = serve(answers);
        let result = ping(&format!("http://127.0.0.1:{port}/ping/5ecret-path/?token=5ecret"), is_ok);
        assert_eq!(server.join().unwrap(), asked);
        let said = result.map_or_else(|error| format!("{error} {error:?}"), |()| String::new());
        assert!(said.starts_with(expect) && said.is_empty() == expect.is_empty(), "{said}");
        assert!(!said.contains("5ecret"), "{said}");
    }

    #[test]
    fn a_monitor_is_told_how_the_night_went() {
        const OK: &str = "GET /ping/5ecret-path/?token=5ecret HTTP/1.1";
        const FAIL: &str = "GET /ping/5ecret-path/fail?token=5ecret HTTP/1.1";
        check(&["200 OK"], true, &[OK], "");
        check(&["204 No Content"], false, &[FAIL], "");
        check(&["503 Busy", "200 OK"], true, &[OK, OK], "");
        check(&["500 Oh", "500 Oh"], true, &[OK, OK], "`127.0.0.1` of `ping_url` answered 500");
        let led = "`127.0.0.1` of `ping_url` answered 302, which leads elsewhere: write the address that it leads to";
        check(&["302 Found\r\nLocation: http://127.0.0.1:1/"], true, &[OK], led);
        check(&["404 Not Found"], false, &[FAIL], "`127.0.0.1` of `ping_url` answered 404");
    }

    #[test]
    fn what_cannot_be_reached_is_named_by_its_host_alone() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let said = ping(&format!("http://127.0.0.1:{port}/5ecret?token=5ecret"), true).unwrap_err().to_string();
        assert!(said.starts_with("`127.0.0.1` of `ping_url` could not be told: "), "{said}");
        assert!(!said.contains("5ecret"), "{said}");
        assert_eq!(ping("nonsense 5ecret", true).unwrap_err().to_string(), "`ping_url` cannot be read as a URL");
    }
}
