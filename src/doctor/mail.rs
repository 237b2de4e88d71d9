//! What the doctor says of mails: whether the server lets us in, whether the
//! password is kept well, and what has not arrived.

use std::path::Path;

use super::{Check, counted};
use crate::{
    book::Book,
    config::{Config, SecretFrom, Security, Smtp, Transport},
    mail::{Outbox, Server, ServerError},
};

const SUBJECT: &str = "mail";

pub(super) fn check(config: &Config, book: Option<&Book>) -> Vec<Check> {
    let mut checks = match &config.mail.transport {
        Transport::Directory => {
            vec![Check::ok(SUBJECT, "mails stay in the book's outbox as files, none is sent")]
        }
        Transport::Smtp(smtp) => {
            let mut checks = vec![check_server(config, smtp)];
            checks.extend(check_password(&config.dir, smtp));
            checks
        }
    };
    // Why the book cannot be read has been said.
    let failed = book.and_then(|book| Outbox::new(book).held().ok()).map_or(0, |held| held.failed);
    if failed > 0 {
        let could = format!("{} could not be delivered", counted(failed, "mail"));
        let cure = "`spendbook deliver --dry-run` says why; once that is put right, `spendbook deliver --retry-failed`";
        checks.push(Check::warning(SUBJECT, could, cure));
    }
    checks
}

/// Goes as far as a mail would, without one.
fn check_server(config: &Config, smtp: &Smtp) -> Check {
    let said = Server::new(config, smtp).and_then(|server| server.connect().map(|mut connection| connection.quit()));
    let Err(error) = said else {
        let way = match smtp.security {
            Security::StartTls => "with STARTTLS",
            Security::Tls => "with TLS",
            Security::None => "without encryption",
        };
        let login = smtp.login.as_ref().map_or(String::new(), |(username, _)| format!(", as `{username}`"));
        return Check::ok(SUBJECT, format!("`{}` (port {}) answers {way}{login}", smtp.host, smtp.port));
    };
    match (&error, &smtp.login) {
        (ServerError::Password { .. }, Some((_, SecretFrom::Env(name)))) => {
            let cure =
                format!("set `{name}` where the night runs: cron and systemd do not know your shell's variables");
            Check::problem(SUBJECT, error.to_string(), cure)
        }
        _ => Check::problem(SUBJECT, error.to_string(), error.advice()),
    }
}

/// A password that others can read, or that anybody on the way can.
fn check_password(dir: &Path, smtp: &Smtp) -> Vec<Check> {
    let Some((_, password)) = &smtp.login else { return Vec::new() };
    let mut checks = Vec::new();
    let is_near = matches!(smtp.host.as_str(), "localhost" | "127.0.0.1" | "[::1]" | "::1");
    if smtp.security == Security::None && !is_near {
        let found = format!("the password goes to `{}` unencrypted, for everybody on the way to read", smtp.host);
        checks.push(Check::warning(SUBJECT, found, "use `security = \"starttls\"` or `\"tls\"` in `[mail]`"));
    }
    #[cfg(unix)]
    if let SecretFrom::File(file) = password {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join(file);
        let mode = std::fs::metadata(&path).map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            let shown = super::shown(&path);
            let cure = format!("`chmod 600 {shown}`");
            checks.push(Check::warning(SUBJECT, format!("`{shown}` with the password can be read by others"), cure));
        }
    }
    checks
}
