//! A conversation with a mail server, and what can go wrong in it.
//!
//! Two kinds of failures are kept apart, since they end differently: what
//! concerns the server (it cannot be reached, it does not let us in, it does not
//! take our sender) makes every mail wait; what concerns one mail is told per
//! mail. Neither says anything of the password, whatever the server repeats.

use std::{
    error::Error as _,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::{
    Address,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{Certificate, SmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};

use super::message::{MailError, address, one_line};
use crate::{
    config::{Config, Mailbox, Secret, SecretError, Security, Smtp},
    http::certificate_text,
};

/// Why no mail can be sent now.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("the password for {server} cannot be read: {cause}")]
    Password { server: String, cause: SecretError },
    #[error("the certificates in `{}` cannot be read: {cause}", path.display())]
    CaFile { path: PathBuf, cause: String },
    #[error("`from` of `[mail]`: {0}")]
    Sender(MailError),
    #[error("{server} cannot be reached: {cause}")]
    Unreachable { server: String, cause: String },
    #[error("{server} gave no answer in time {doing}")]
    Silent { server: String, doing: &'static str },
    #[error("{server} broke off {doing}: {cause}")]
    Broken { server: String, doing: &'static str, cause: String },
    #[error("{server} broke off in the middle of one mail after another: {cause}")]
    Lost { server: String, cause: String },
    #[error("{server} refused {doing}: {answer}")]
    Refused { server: String, doing: &'static str, answer: String, is_temporary: bool },
    #[error("{server} does not offer STARTTLS")]
    NoStartTls { server: String },
    #[error("the certificate of {server} is not trusted: {cause}")]
    Untrusted { server: String, cause: String },
    #[error("{server} and this program found no common way to encrypt: {cause}")]
    NoTls { server: String, cause: String },
    #[error("{server} offers no login that this program knows (PLAIN or LOGIN)")]
    NoLogin { server: String },
    #[error("{server} did not let `{username}` in: {answer}")]
    LoginRefused { server: String, username: String, answer: String },
    #[error("{server} takes no mail from `{sender}`: {answer}")]
    SenderRefused { server: String, sender: String, answer: String },
}

impl ServerError {
    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Password { .. } => {
                "set it where the night runs (cron and systemd do not know your shell's variables), readable by that user"
            }
            Self::CaFile { .. } => "name a PEM file of certificates in `ca_file` of `[mail]`",
            Self::Sender(_) => "correct `from` in `[mail]`",
            Self::Unreachable { .. } => {
                "check `host` and `port` in `[mail]`, and whether a firewall lets this machine out"
            }
            Self::Silent { .. } => {
                "check `port` and `security` in `[mail]` (starttls is 587, tls 465), or allow more time with `timeout`"
            }
            Self::Broken { .. } => {
                "check that `security` in `[mail]` fits the port (starttls is 587, tls 465), and look into the server's log"
            }
            Self::Lost { .. } => "look into the log of the server, or of what filters mails on the way to it",
            Self::Refused { is_temporary: true, .. } => "it should pass: the next night tries again",
            Self::Refused { .. } => "the server's answer says why; some want a `hello_name` that they know",
            Self::NoStartTls { .. } => {
                "use `security = \"tls\"` with port 465, or `security = \"none\"` for a relay on the same machine"
            }
            Self::Untrusted { .. } => {
                "write `host` as the certificate names it, or trust the company's own certificates with `ca_file`"
            }
            Self::NoTls { .. } => "check that `security` in `[mail]` fits the port: starttls is 587, tls 465",
            Self::NoLogin { .. } => {
                "many servers offer it only once encrypted: use `security = \"starttls\"`; else remove `username`"
            }
            Self::LoginRefused { .. } => {
                "check `username` and its password; some services want a password made for this"
            }
            Self::SenderRefused { .. } => "log in with `username`, and write an address in `from` that it may send as",
        }
    }

    /// Whether trying again in a moment could help.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::Broken { .. }
                | Self::Refused { is_temporary: true, .. }
        )
    }
}

/// Why one mail was not sent.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server wants it later.
    Later(String),
    /// The server will never take it.
    Refused(String),
    /// The conversation ended in the middle; whether the server has the mail is
    /// not known.
    Lost(String),
    /// No other mail would be taken either.
    Server(ServerError),
}

/// A mail server that can be connected to, again and again.
#[derive(Debug)]
pub struct Server<'c> {
    smtp: &'c Smtp,
    name: String,
    hello: ClientId,
    sender: Address,
    tls: Option<TlsSettings>,
    login: Option<(&'c str, Secret)>,
}

/// TLS as it will be spoken; the library's own type shows nothing of itself.
struct TlsSettings(TlsParameters);

impl std::fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsSettings")
    }
}

impl<'c> Server<'c> {
    /// What the config says of it, with password and certificates read.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn new(config: &'c Config, smtp: &'c Smtp) -> Result<Self, ServerError> {
        let name = format!("`{}` (port {})", smtp.host, smtp.port);
        let sender = address(&config.mail.from.address).map_err(ServerError::Sender)?;
        let login = match &smtp.login {
            Some((username, password)) => {
                let read = password.read(&config.dir);
                let failed = |cause| ServerError::Password { server: name.clone(), cause };
                Some((username.as_str(), read.map_err(failed)?))
            }
            None => None,
        };
        let tls = match smtp.security {
            Security::None => None,
            Security::StartTls | Security::Tls => Some(TlsSettings(tls(smtp, &config.dir)?)),
        };
        Ok(Self { smtp, name, hello: hello(smtp, &config.mail.from), sender, tls, login })
    }

    /// Connects, encrypts and logs in.
    ///
    /// # Errors
    /// Where one of these fails.
    pub fn connect(&self) -> Result<Connection<'_, 'c>, ServerError> {
        let address = (bare_host(self.smtp), self.smtp.port);
        let tls = self.tls.as_ref().map(|tls| &tls.0);
        let wrapped = tls.filter(|_| self.smtp.security == Security::Tls);
        let connected = SmtpConnection::connect(address, Some(self.smtp.timeout), &self.hello, wrapped, None);
        let smtp = connected.map_err(|error| self.failure(&error, "at the beginning"))?;
        let mut connection = Connection { smtp, server: self };
        if let Some(tls) = tls.filter(|_| self.smtp.security == Security::StartTls) {
            if !connection.smtp.can_starttls() {
                connection.quit();
                return Err(ServerError::NoStartTls { server: self.name.clone() });
            }
            let started = connection.smtp.starttls(tls, &self.hello);
            started.map_err(|error| self.failure(&error, "while starting TLS"))?;
        }
        connection.log_in()?;
        Ok(connection)
    }

    /// One conversation after another has ended in the middle.
    pub(super) fn lost(&self, cause: String) -> ServerError {
        ServerError::Lost { server: self.name.clone(), cause }
    }

    /// What an error before the first mail means.
    fn failure(&self, error: &SmtpError, doing: &'static str) -> ServerError {
        let server = self.name.clone();
        if let Some(answer) = self.answer(error) {
            return ServerError::Refused { server, doing, answer, is_temporary: error.is_transient() };
        }
        let Some(io) = io_cause(error) else {
            let cause =
                if error.is_response() { "its answer is no SMTP, or ended early".to_owned() } else { causes(error) };
            return if error.is_response() {
                ServerError::Broken { server, doing, cause }
            } else {
                ServerError::Unreachable { server, cause }
            };
        };
        let tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (tls, io.kind()) {
            (Some(rustls::Error::InvalidCertificate(cause)), _) => {
                ServerError::Untrusted { server, cause: certificate_text(cause) }
            }
            (Some(cause), _) => ServerError::NoTls { server, cause: one_line(&cause.to_string(), LONGEST_ANSWER) },
            (None, ErrorKind::TimedOut | ErrorKind::WouldBlock) => ServerError::Silent { server, doing },
            (None, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                ServerError::Broken { server, doing, cause: one_line(&io.to_string(), LONGEST_ANSWER) }
            }
            (None, _) => ServerError::Unreachable { server, cause: one_line(&io.to_string(), LONGEST_ANSWER) },
        }
    }

    /// What the server said, where it was the server that said no. A server may
    /// repeat what it was sent; the password is not told on.
    fn answer(&self, error: &SmtpError) -> Option<String> {
        let code = error.status()?;
        let mut text = error.source().map(ToString::to_string).unwrap_or_default();
        if let Some((username, password)) = &self.login {
            text = without_password(&text, username, password.expose());
        }
        Some(format!("{code} {}", one_line(&text, LONGEST_ANSWER)).trim_end().to_owned())
    }
}

/// Answers of servers beyond this are cut.
const LONGEST_ANSWER: usize = 400;

/// A server that has let us in.
#[expect(missing_debug_implementations, reason = "the library's connection shows nothing of itself")]
pub struct Connection<'s, 'c> {
    smtp: SmtpConnection,
    server: &'s Server<'c>,
}

impl Connection<'_, '_> {
    fn log_in(&mut self) -> Result<(), ServerError> {
        let Some((username, password)) = &self.server.login else { return Ok(()) };
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        if self.smtp.server_info().get_auth_mechanism(&mechanisms).is_none() {
            let server = self.server.name.clone();
            self.smtp.abort();
            return Err(ServerError::NoLogin { server });
        }
        let credentials = Credentials::new((*username).to_owned(), password.expose().to_owned());
        match self.smtp.auth(&mechanisms, &credentials) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.smtp.abort();
                Err(match self.server.answer(&error) {
                    Some(answer) if error.is_permanent() => {
                        let (server, username) = (self.server.name.clone(), (*username).to_owned());
                        ServerError::LoginRefused { server, username, answer }
                    }
                    _ => self.server.failure(&error, "at the login"),
                })
            }
        }
    }

    /// Sends one mail to one recipient; after [`Trouble::Later`] and
    /// [`Trouble::Refused`] the connection can be used again.
    pub(super) fn send(&mut self, to: &str, eml: &[u8]) -> Result<(), Trouble> {
        let to = address(to).map_err(|error| Trouble::Refused(format!("not sent: {error}")))?;
        let parameters = self.parameters(&to, eml)?;
        let sender = self.server.sender.clone();
        if let Err(error) = self.smtp.command(Mail::new(Some(sender), parameters)) {
            return Err(match self.trouble(&error) {
                Trouble::Refused(answer) => Trouble::Server(self.sender_refused(answer)),
                other => other,
            });
        }
        let sent = self
            .smtp
            .command(Rcpt::new(to, Vec::new()))
            .and_then(|_| self.smtp.command(Data))
            .and_then(|_| self.smtp.message(eml));
        match sent {
            Ok(_) => Ok(()),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    /// What must be said of letters outside ASCII.
    fn parameters(&self, to: &Address, eml: &[u8]) -> Result<Vec<MailParameter>, Trouble> {
        let mut parameters = Vec::new();
        let addresses: [&str; 2] = [to.as_ref(), self.server.sender.as_ref()];
        let info = self.smtp.server_info();
        if !addresses.iter().all(|address| address.is_ascii()) {
            if !info.supports_feature(Extension::SmtpUtfEight) {
                let answer = "not sent: the address has letters outside ASCII, and the server does not take those";
                return Err(Trouble::Refused(answer.to_owned()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !eml.is_ascii() && info.supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    fn trouble(&mut self, error: &SmtpError) -> Trouble {
        /// The server closes the connection.
        const CLOSING: u16 = 421;
        /// The server wants a login first.
        const LOGIN_FIRST: u16 = 530;
        let code = error.status().map(u16::from);
        let Some(answer) = self.server.answer(error) else {
            let why = match io_cause(error).map(std::io::Error::kind) {
                Some(ErrorKind::TimedOut | ErrorKind::WouldBlock) => "no answer in time".to_owned(),
                // The end of it is met while reading or while writing, as it happens.
                None | Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    "the connection ended in the middle of the mail".to_owned()
                }
                Some(_) => causes(error),
            };
            self.smtp.abort();
            return Trouble::Lost(why);
        };
        if code == Some(CLOSING) {
            self.smtp.abort();
            return Trouble::Lost(answer);
        }
        if code == Some(LOGIN_FIRST) {
            return Trouble::Server(self.sender_refused(answer));
        }
        // The next mail begins anew; where that fails, the next command says so.
        if self.smtp.command(Rset).is_err() {
            self.smtp.abort();
        }
        if error.is_permanent() { Trouble::Refused(answer) } else { Trouble::Later(answer) }
    }

    fn sender_refused(&self, answer: String) -> ServerError {
        ServerError::SenderRefused { server: self.server.name.clone(), sender: self.server.sender.to_string(), answer }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.smtp.has_broken()
    }

    /// Says goodbye. Everything that was sent has been answered for.
    pub fn quit(&mut self) {
        if !self.smtp.has_broken() {
            drop(self.smtp.quit());
        }
    }
}

/// A text without the password, as it is and as logins encode it, and without
/// whatever else may be an encoded login.
fn without_password(text: &str, username: &str, password: &str) -> String {
    let mut text = text.to_owned();
    for encoded in [format!("\0{username}\0{password}"), password.to_owned()].map(|it| BASE64_STANDARD.encode(it)) {
        // Some leave out what fills its end.
        for secret in [encoded.as_str(), encoded.trim_end_matches('=')] {
            text = if secret.is_empty() { text } else { text.replace(secret, "…") };
        }
    }
    if !password.is_empty() {
        text = text.replace(password, "…");
    }
    let is_of_code = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=');
    let mut told = String::new();
    let mut rest = text.as_str();
    while let Some(letter) = rest.chars().next() {
        let end = rest.find(|other| is_of_code(other) != is_of_code(letter)).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        told.push_str(if is_of_code(letter) && part.len() >= SHORTEST_CODE { "…" } else { part });
        rest = behind;
    }
    told
}

/// Words of so many letters and digits may be an encoded login.
const SHORTEST_CODE: usize = 16;

/// What this machine calls itself: many relays refuse `localhost`.
fn hello(smtp: &Smtp, from: &Mailbox) -> ClientId {
    let domain = from.address.rsplit_once('@').map(|(_, domain)| domain.to_owned());
    let name = smtp.hello_name.clone().or(domain.filter(|domain| domain.is_ascii() && domain.contains('.')));
    name.map_or_else(ClientId::default, ClientId::Domain)
}

/// An IPv6 address without its brackets.
fn bare_host(smtp: &Smtp) -> &str {
    smtp.host.trim_start_matches('[').trim_end_matches(']')
}

fn tls(smtp: &Smtp, dir: &Path) -> Result<TlsParameters, ServerError> {
    let mut builder = TlsParameters::builder(bare_host(smtp).to_owned());
    let path = smtp.ca_file.as_ref().map(|file| dir.join(file));
    let failed = |cause: String| ServerError::CaFile { path: path.clone().unwrap_or_default(), cause };
    if let Some(path) = &path {
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        // What holds no certificate at all is read as none, without an error.
        if !pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
            return Err(failed("no certificate is in it".to_owned()));
        }
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| failed(causes(&error)))?);
    }
    builder.build().map_err(|error| failed(causes(&error)))
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The error of the system behind an error of the library.
fn io_cause(error: &SmtpError) -> Option<&std::io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

/// What is behind an error, without the library's own words for it.
fn causes(error: &SmtpError) -> String {
    one_line(&error.source().map_or_else(|| error.to_string(), ToString::to_string), LONGEST_ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_server_repeats_the_password_is_not_in_it() {
        for (password, said, expect) in [
            (
                "secret123",
                "5.5.1 unrecognized: \"AUTH PLAIN AGJvYgBzZWNyZXQxMjM=\"",
                "5.5.1 unrecognized: \"AUTH PLAIN …\"",
            ),
            ("secret12", "no `c2VjcmV0MTI=`", "no `…`"),
            ("pass with blanks", "you said <pass with blanks>.", "you said <…>."),
            ("x", "<AGJvYgBub3RpdAAAAAAA> for user@relay.example.com", "<…> for user@relay.e…ample.com"),
            ("", "535 5.7.8 bad login", "535 5.7.8 bad login"),
        ] {
            assert_eq!(without_password(said, "bob", password), expect);
        }
    }
}
