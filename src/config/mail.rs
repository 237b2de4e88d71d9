//! `[mail]`: who the mails are from and how they travel; and the addresses
//! that other tables name.

use std::{fmt, path::PathBuf, time::Duration};

use chrono::Weekday;

use super::{
    environment::{self, SecretFrom},
    problem::Problem,
    reader::{Item, Table},
    settings::{WEEKDAYS, timeout},
};

/// A mail address, with or without a name beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: String,
}

/// `[mail]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: Mailbox,
    pub transport: Transport,
    /// The weekday from which on the weekly mails go out; without one, the first
    /// day of the week.
    pub weekly_on: Option<Weekday>,
}

/// How mails leave the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// They stay in it as files, for another program to send.
    Directory,
    Smtp(Smtp),
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// Whom to log in as, and where the password comes from.
    pub login: Option<(String, SecretFrom)>,
    /// Certificates (PEM) that are trusted beside those of the system, relative
    /// to the config's directory.
    pub ca_file: Option<PathBuf>,
    /// What this machine calls itself; the domain of `from` where it is not given.
    pub hello_name: Option<String>,
    /// How long to wait for each answer.
    pub timeout: Duration,
    pub max_per_minute: Option<u32>,
}

/// How long a server may take for an answer, where the config does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Plain at first, then TLS, which the server must offer: port 587.
    #[default]
    StartTls,
    /// TLS from the first byte: port 465.
    Tls,
    /// None at all: port 25, for a relay on the same machine.
    None,
}

/// The part of an address before the `@`, as mail servers limit it.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;
/// One word of a domain.
const LONGEST_LABEL: usize = 63;

impl Default for Mail {
    fn default() -> Self {
        let from = Mailbox { name: Some("Spendbook".to_owned()), address: "spendbook@localhost".to_owned() };
        Self { from, transport: Transport::Directory, weekly_on: None }
    }
}

impl Mailbox {
    /// Reads `finops@example.com` or `FinOps <finops@example.com>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, address) = match text.strip_suffix('>').map(|text| text.rsplit_once('<')) {
            Some(Some((name, address))) => (name.trim().trim_matches('"').trim(), address.trim()),
            Some(None) => return None,
            None => ("", text.trim()),
        };
        let (local, domain) = address.split_once('@')?;
        let local_ok = !local.is_empty()
            && local.len() <= LONGEST_LOCAL
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(|c| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c));
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= LONGEST_LABEL
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        // A name goes into a header: no line ends, and no quotes or brackets that would need escapes.
        let name_ok = !name.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | '"' | '\\'));
        if !local_ok || domain.len() > LONGEST_DOMAIN || !domain.split('.').all(label_ok) || !name_ok {
            return None;
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        Some(Self { name, address: address.to_owned() })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => f.write_str(&self.address),
        }
    }
}

/// One address.
pub(super) fn mailbox(item: &Item<'_>) -> Option<Mailbox> {
    let expected = "a mail address like \"name@example.com\" or \"Name <name@example.com>\"";
    let mailbox = Mailbox::parse(item.text_of(expected)?);
    if mailbox.is_none() {
        item.bad(expected, None);
    }
    mailbox
}

/// A list of addresses in which none is twice.
pub(super) fn mailboxes(item: &Item<'_>) -> Vec<Mailbox> {
    let mut mailboxes: Vec<Mailbox> = Vec::new();
    for item in item.list("a list of mail addresses") {
        let Some(mailbox) = mailbox(&item) else { continue };
        if mailboxes.iter().any(|known| known.address.eq_ignore_ascii_case(&mailbox.address)) {
            item.bad("each address once", None);
        } else {
            mailboxes.push(mailbox);
        }
    }
    mailboxes
}

pub(super) fn read(mut table: Table<'_>) -> Mail {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Directory,
        Smtp,
    }
    let transport = table.get("transport");
    let kind = transport
        .and_then(|item| item.one_of(&[("directory", Kind::Directory), ("smtp", Kind::Smtp)]))
        .unwrap_or(Kind::Directory);
    let default = Mail::default();
    let from = if kind == Kind::Smtp {
        table.required("from", "the address that mails are sent from")
    } else {
        table.get("from")
    };
    let from = from.and_then(|item| mailbox(&item)).unwrap_or(default.from);
    let smtp = smtp(&mut table, kind == Kind::Smtp);
    let weekly_on = table.get("weekly_on").and_then(|item| item.one_of(WEEKDAYS));
    table.finish();
    Mail { from, transport: smtp.map_or(Transport::Directory, Transport::Smtp), weekly_on }
}

/// The keys of a mail server. With `transport = "directory"` they are checked
/// too, so that trying a config out on the directory says what SMTP would.
fn smtp(table: &mut Table<'_>, is_used: bool) -> Option<Smtp> {
    let host = if is_used { table.required("host", "the mail server's name") } else { table.get("host") };
    let host = host.and_then(|item| {
        let text = item.text()?;
        let plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_'));
        if !plain || text.contains("://") {
            item.bad("a host name like \"smtp.example.com\"", None);
            return None;
        }
        Some(text.to_owned())
    });
    let security = table
        .get("security")
        .and_then(|item| {
            item.one_of(&[("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)])
        })
        .unwrap_or_default();
    let port = table.get("port").and_then(|item| item.whole(1, 65_535)).and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or(match security {
        Security::StartTls => 587,
        Security::Tls => 465,
        Security::None => 25,
    });
    let login = login(table);
    let ca_file = table.get("ca_file").and_then(|item| item.text().map(PathBuf::from));
    let hello_name = table.get("hello_name").and_then(|item| hello_name(&item));
    let timeout = table.get("timeout").and_then(|item| timeout(&item)).unwrap_or(TIMEOUT);
    let max_per_minute = table.get("max_per_minute").and_then(|item| item.whole(1, 60_000));
    let max_per_minute = max_per_minute.and_then(|count| u32::try_from(count).ok());
    is_used.then_some(Smtp { host: host?, port, security, login, ca_file, hello_name, timeout, max_per_minute })
}

/// A name that is sent as it is, so nothing but a name may be in it.
fn hello_name(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
        item.bad("a host name like \"books.example.com\"", None);
        return None;
    }
    Some(text.to_owned())
}

fn login(table: &mut Table<'_>) -> Option<(String, SecretFrom)> {
    let username = table.get("username");
    let env = table.get("password_env");
    let file = table.get("password_file");
    let name = username.as_ref().and_then(Item::string);
    let names = ["password_env", "password_file", "SMTP_PASSWORD"];
    let password = environment::one_secret(env.as_ref(), file.as_ref(), names);
    match (username, env.or(file)) {
        (Some(username), None) => username.add(Problem::Conflict {
            found: "`username` is there without a password".to_owned(),
            expected: "`password_env` or `password_file` beside it".to_owned(),
        }),
        (None, Some(password)) => password.add(Problem::Conflict {
            found: "a password is there without a name to log in as".to_owned(),
            expected: "`username` beside it".to_owned(),
        }),
        _ => {}
    }
    Some((name?, password?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_name() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(Mailbox::parse(text).map(|it| it.to_string()).as_deref(), expect);
        };
        check("a@example.com", Some("a@example.com"));
        check("Spendbook <spendbook@example.com>", Some("Spendbook <spendbook@example.com>"));
        check("\"Doe, Jane\" <jane+x@mail.example.com>", Some("Doe, Jane <jane+x@mail.example.com>"));
        check("root@localhost", Some("root@localhost"));
        check(&format!("{}@example.com", "a".repeat(65)), None);
        check(&format!("a@{}.com", "a".repeat(64)), None);
        check(&format!("a@{}com", "example.".repeat(40)), None);
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b@c",
            "a b@example.com",
            "a@exa mple.com",
            "a@example..com",
            "<a@b.c",
            "a@b.c>",
            "X\r\nBcc: y <a@b.c>",
            "a@-b.com",
            ".a@b.c",
        ] {
            check(bad, None);
        }
    }
}
