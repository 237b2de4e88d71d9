//! A mail of the outbox as those who send it must know it: to whom, about
//! what, from when. Read from the mail itself, which is all that there is.

use chrono::DateTime;

use super::message::one_line;
use crate::time::Instant;

/// A mail in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub id: String,
    /// The bare address.
    pub to: String,
    pub subject: String,
    pub date: Option<Instant>,
}

impl Letter {
    /// Reads the headers; `None` where nobody is named to send it to.
    pub(super) fn read(id: &str, eml: &[u8]) -> Option<Self> {
        let headers = headers(eml);
        let value = |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, it)| it);
        let to = value("To")?.trim();
        let to = to.strip_suffix('>').and_then(|to| to.rsplit_once('<')).map_or(to, |(_, address)| address);
        let date = value("Date").and_then(|date| DateTime::parse_from_rfc2822(date.trim()).ok());
        Some(Self {
            id: id.to_owned(),
            to: Some(to).filter(|to| to.contains('@'))?.to_owned(),
            subject: one_line(&decoded(value("Subject").map_or("", |subject| subject.trim())), 500),
            date: date.map(|date| Instant::from_micros(date.timestamp_micros())),
        })
    }
}

/// Names and values of the headers, unfolded.
fn headers(eml: &[u8]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in eml.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push_str(&line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    headers
}

/// A text with encoded words, `=?utf-8?b?…?=`, the kind that our mails have.
/// Between two of them a blank is none.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut was_encoded = false;
    for (at, word) in text.split(' ').enumerate() {
        let encoded = word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?=")).and_then(from_base64);
        if at > 0 && !(was_encoded && (encoded.is_some() || word.is_empty())) {
            bytes.push(b' ');
        }
        was_encoded = encoded.is_some() || was_encoded && word.is_empty();
        bytes.extend(encoded.unwrap_or_else(|| word.as_bytes().to_vec()));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|&known| known == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Mailbox, mail::Message};

    #[test]
    fn what_was_written_is_read_again() {
        let long = "ä 🤖 ".repeat(40);
        for subject in ["[chatbot] 82 %", "Über uns", "a ü b c ß d", "فريق الدعم", long.trim(), ""] {
            for to in ["a@example.com", "Doe, Jane <a@example.com>", "Jürgen <a@example.com>"] {
                let message = Message {
                    id: "a".to_owned(),
                    date: Instant::from_micros(1_780_300_800_000_000),
                    from: Mailbox::parse("b@example.com").unwrap(),
                    to: Mailbox::parse(to).unwrap(),
                    subject: subject.to_owned(),
                    text: "To: nobody@example.com".to_owned(),
                    html: String::new(),
                    images: Vec::new(),
                    attachments: Vec::new(),
                    list: "a".to_owned(),
                    thread: None,
                };
                let sealed = message.seal().unwrap();
                let letter = Letter::read("a", sealed.eml.as_bytes()).unwrap();
                assert_eq!((letter.to.as_str(), letter.subject.as_str()), ("a@example.com", sealed.subject.as_str()));
                assert_eq!(letter.date, Some(message.date));
            }
        }
    }

    #[test]
    fn a_file_that_is_no_mail_has_no_recipient() {
        for text in ["", "\r\nTo: a@b.c", "To: nobody\n\n", "Subject: x\n\n", "\u{0}\u{1}"] {
            assert_eq!(Letter::read("a", text.as_bytes()), None, "{text}");
        }
        let letter = Letter::read("a", b"to: <a@b.c>\nsubject: =?utf-8?b?!?= x\ndate: today\n").unwrap();
        assert_eq!((letter.to.as_str(), letter.subject.as_str(), letter.date), ("a@b.c", "= ?utf-8?b?!?= x", None));
    }
}
