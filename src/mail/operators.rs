//! The mail that tells operators of a night that failed.
//!
//! It goes into the outbox like any other; its id comes from the start of the
//! night, so that telling it again tells nobody twice.

use super::{
    MailError, Message, Outbox, Sealed,
    message::{digest, one_line},
};
use crate::{
    book::{Book, BookError},
    config::{Config, Mailbox},
    secrets::redact,
    time::Instant,
};

/// What there is to tell.
#[derive(Debug, Clone, Copy)]
pub struct FailedNight<'n> {
    pub started: Instant,
    /// What failed, on one line: it goes into the subject.
    pub reason: &'n str,
    /// What the night has to say of its stages.
    pub summary: &'n str,
}

/// Puts a mail to each of the `operators` into the outbox, once per night; how
/// many mails that were. An address that no mail can have is passed over with a
/// word in the log: the others are told.
///
/// # Errors
/// Where the outbox cannot be read or written.
pub fn tell_operators(book: &Book, config: &Config, night: FailedNight<'_>) -> Result<usize, BookError> {
    let mut mails = Vec::new();
    for operator in &config.organization.operators {
        match sealed(config, operator, night) {
            Ok(mail) => mails.push(mail),
            Err(error) => tracing::error!("an operator is not told of the night: {error}"),
        }
    }
    Outbox::new(book).restore(&mails)
}

fn sealed(config: &Config, operator: &Mailbox, night: FailedNight<'_>) -> Result<Sealed, MailError> {
    let reason = one_line(&redact(night.reason), 150);
    let summary = redact(night.summary);
    let started = night.started;
    let text = format!(
        "The night of {started} failed: {reason}\n\n{}\n\n`spendbook doctor` says what to fix, `spendbook status` what is \
         known.\nRunning the night again is safe: it goes on where this one stopped.\n",
        summary.trim_end()
    );
    let to_whom = digest(&format!("{} {} {}", operator.address, config.path.display(), started.micros()));
    let message = Message {
        id: format!("night-{}-{to_whom}", started.day()),
        date: started,
        from: config.mail.from.clone(),
        to: operator.clone(),
        subject: format!("[spendbook] the night failed: {reason}"),
        text,
        html: String::new(),
        images: Vec::new(),
        attachments: Vec::new(),
        list: "nights".to_owned(),
        thread: None,
    };
    message.seal()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail_parser::MessageParser;

    use super::*;
    use crate::mail::Place;

    #[test]
    fn each_operator_is_told_once_per_night() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let text = "[organization]\noperators = [\"a@example.com\", \"Ops <b@example.com>\"]";
        let config = Config::parse(text, Path::new("spendbook.toml")).unwrap();
        let secret = "gsk_k3Fq8Zr1Wm5Tn7Vb2Xc4Ld6Pq9Rs0Hj";
        let (reason, summary) =
            (format!("pricing\r\nBcc: x@y.z {secret}"), format!("ingest  done\nprice   failed: {secret}\n"));
        let started = Instant::from_micros(1_780_300_800_000_001);
        let night = FailedNight { started, reason: &reason, summary: &summary };
        assert_eq!(tell_operators(&book, &config, night).unwrap(), 2);
        assert_eq!(tell_operators(&book, &config, night).unwrap(), 0);
        let outbox = Outbox::new(&book);
        for id in outbox.ids(Place::Pending).unwrap() {
            let eml = outbox.eml(Place::Pending, &id).unwrap().unwrap();
            let mail = MessageParser::new().parse(&eml[..]).unwrap();
            let subject = mail.subject().unwrap();
            assert!(subject.starts_with("[spendbook] the night failed: pricing Bcc: x@y.z fp_"), "{subject}");
            let text = mail.body_text(0).unwrap();
            assert!(text.contains("ingest  done\r\nprice   failed: fp_") && !text.contains(secret), "{text}");
            assert!(mail.bcc().is_none());
        }
        let next = FailedNight { started: started.plus_micros(86_400_000_000), ..night };
        assert_eq!(tell_operators(&book, &config, next).unwrap(), 2);
    }

    #[test]
    fn where_nobody_is_named_nobody_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open_for_writing(dir.path(), "").unwrap();
        let config = Config::parse("", Path::new("spendbook.toml")).unwrap();
        let night = FailedNight { started: Instant::EARLIEST, reason: "x", summary: "" };
        assert_eq!(tell_operators(&book, &config, night).unwrap(), 0);
    }
}
