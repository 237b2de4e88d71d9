//! A message, and the bytes that a mail server is given.
//!
//! Headers, encodings and multiparts are the library's. Ours is what makes
//! bytes repeat (boundaries from a digest, no clock) and what no name may do:
//! every text that goes into a header is one line of bounded length without
//! control characters.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Address,
    message::{
        Attachment as Part, Mailbox as HeaderMailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{config::Mailbox, time::Instant};

/// A mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names it for ever: its `Message-ID` and its file. Small letters, digits
    /// and `-`; the same for the same mail, another one for another recipient.
    pub id: String,
    pub date: Instant,
    pub from: Mailbox,
    pub to: Mailbox,
    pub subject: String,
    /// Stands alone: some read nothing else.
    pub text: String,
    /// May be empty: then there is only the text.
    pub html: String,
    pub images: Vec<Image>,
    pub attachments: Vec<Attachment>,
    /// What filters sort by: `chatbot.alerts` becomes the `List-Id`
    /// `<chatbot.alerts.example.com>`, with the domain of `from`.
    pub list: String,
    /// The id of the first message of its thread, to the same recipient.
    pub thread: Option<String>,
}

/// A PNG that the HTML shows as `<img src="cid:…" alt="…">`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As the HTML names it after `cid:`, in ASCII without spaces or brackets,
    /// such as `spend@spendbook`.
    pub cid: String,
    pub png: Vec<u8>,
}

/// A file that comes with the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub file_name: String,
    /// Such as `text/csv; charset=utf-8`.
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// A mail as it will be sent, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub id: String,
    /// The bare address.
    pub to: String,
    pub subject: String,
    pub eml: String,
}

/// Why a message cannot become a mail.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("the mail id `{0}` is not made of 1 to 150 small letters, digits and `-`")]
    Id(String),
    #[error("`{address}` is no address that a mail can have: {cause}")]
    Address { address: String, cause: lettre::address::AddressError },
    #[error("the content type `{0}` cannot be read, expected one like `text/csv`")]
    ContentType(String),
    #[error("mail `{id}` cannot be put together: {cause}")]
    Build { id: String, cause: lettre::error::Error },
}

/// Subjects and names beyond this many letters are cut.
const LONGEST: usize = 200;
const LONGEST_ID: usize = 150;
/// Of the label of a list (longer ones are told apart by a digest), and of the
/// names of files and images.
const LONGEST_LABEL: usize = 100;

impl Message {
    /// The mail as bytes: the same message, the same bytes.
    ///
    /// # Errors
    /// Where id, an address or a content type is not what it must be.
    pub fn seal(&self) -> Result<Sealed, MailError> {
        if !is_id(&self.id) {
            return Err(MailError::Id(self.id.clone()));
        }
        let subject = one_line(&self.subject, LONGEST);
        let domain = id_domain(&self.from);
        let mut builder = lettre::Message::builder()
            .from(header_mailbox(&self.from)?)
            .to(header_mailbox(&self.to)?)
            .subject(subject.clone())
            .date(UNIX_EPOCH + Duration::from_secs(u64::try_from(self.date.seconds()).unwrap_or(0)))
            .message_id(Some(format!("<{}@{domain}>", self.id)));
        if let Some(thread) = &self.thread {
            if !is_id(thread) {
                return Err(MailError::Id(thread.clone()));
            }
            let first = format!("<{thread}@{domain}>");
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        let list = format!("<{}.{domain}>", list_label(&self.list));
        let builder = builder
            .raw_header(plain_header(HeaderName::new_from_ascii_str("List-Id"), list))
            // No answers from the absent, neither by the standard nor from Exchange.
            .raw_header(plain_header(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .raw_header(plain_header(HeaderName::new_from_ascii_str("X-Auto-Response-Suppress"), "All".to_owned()));
        let built = match self.parts()? {
            Body::Text(part) => builder.singlepart(part),
            Body::Parts(parts) => builder.multipart(parts),
        };
        let built = built.map_err(|cause| MailError::Build { id: self.id.clone(), cause })?;
        let eml = String::from_utf8_lossy(&built.formatted()).into_owned();
        Ok(Sealed { id: self.id.clone(), to: self.to.address.clone(), subject, eml })
    }

    /// `mixed(alternative(text, related(html, images)), attachments)`, without
    /// the levels that would hold one part only.
    fn parts(&self) -> Result<Body, MailError> {
        let text = readable(ContentType::TEXT_PLAIN, &self.text);
        let mut body = if self.html.is_empty() {
            Body::Text(text)
        } else {
            let alternative = MultiPart::alternative().boundary(self.boundary("alternative")).singlepart(text);
            let html = readable(ContentType::TEXT_HTML, &self.html);
            Body::Parts(if self.images.is_empty() {
                alternative.singlepart(html)
            } else {
                let related = MultiPart::related().boundary(self.boundary("related")).singlepart(html);
                alternative.multipart(self.images.iter().fold(related, |parts, image| parts.singlepart(image.part())))
            })
        };
        if !self.attachments.is_empty() {
            let mixed = MultiPart::mixed().boundary(self.boundary("mixed"));
            let mut mixed = match body {
                Body::Text(part) => mixed.singlepart(part),
                Body::Parts(parts) => mixed.multipart(parts),
            };
            for attachment in &self.attachments {
                mixed = mixed.singlepart(attachment.part()?);
            }
            body = Body::Parts(mixed);
        }
        Ok(body)
    }

    /// No line of an encoded part can begin like it: `=_` is in none of them.
    fn boundary(&self, level: &str) -> String {
        format!("=_{level}_{}", digest(&self.id))
    }
}

enum Body {
    Text(SinglePart),
    Parts(MultiPart),
}

impl Image {
    fn part(&self) -> SinglePart {
        let plain = |&c: &char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"');
        let cid: String = self.cid.chars().filter(plain).take(LONGEST_LABEL).collect();
        let name = cid.split('@').next().unwrap_or_default();
        let png = ContentType::parse("image/png").unwrap_or(ContentType::TEXT_PLAIN);
        Part::new_inline_with_name(cid.clone(), format!("{name}.png")).body(self.png.clone(), png)
    }
}

impl Attachment {
    fn part(&self) -> Result<SinglePart, MailError> {
        let kind = ContentType::parse(&self.content_type)
            .map_err(|_| MailError::ContentType(one_line(&self.content_type, LONGEST)))?;
        // A path, or what could be taken for one, is no name of a file.
        let name = one_line(&self.file_name, LONGEST_LABEL).replace(['/', '\\', ':'], "-");
        Ok(SinglePart::builder()
            .header(kind)
            .header(lettre::message::header::ContentDisposition::attachment(&name))
            // Bytes as they are: line ends in a CSV are part of it.
            .header(ContentTransferEncoding::Base64)
            .body(self.bytes.clone()))
    }
}

/// A part in quoted-printable: legible in the file, and no line too long.
fn readable(kind: ContentType, text: &str) -> SinglePart {
    SinglePart::builder().header(kind).header(ContentTransferEncoding::QuotedPrintable).body(text.to_owned())
}

/// A header of our own making, in ASCII.
fn plain_header(name: HeaderName, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value)
}

fn header_mailbox(mailbox: &Mailbox) -> Result<HeaderMailbox, MailError> {
    let name = mailbox.name.as_deref().map(|name| one_line(name, LONGEST)).filter(|name| !name.is_empty());
    Ok(HeaderMailbox::new(name, address(&mailbox.address)?))
}

/// An address as the library wants it.
pub(super) fn address(text: &str) -> Result<Address, MailError> {
    text.parse().map_err(|cause| MailError::Address { address: one_line(text, LONGEST), cause })
}

/// The domain of message ids and lists: that of the sender, where it can stand
/// in a header as it is.
fn id_domain(from: &Mailbox) -> String {
    let domain = from.address.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase();
    let is_plain = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if is_plain && !domain.is_empty() { domain } else { format!("{}.invalid", digest(&from.address)) }
}

/// What a mail's file and its `Message-ID` can be called.
pub(super) fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A label of letters that a `List-Id` may have. What had to be changed to get
/// there is told apart by a digest, so that two teams never share a list.
fn list_label(label: &str) -> String {
    let plain: String = label
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(LONGEST_LABEL)
        .collect();
    let words: Vec<&str> =
        plain.split('.').map(|word| word.trim_matches('-')).filter(|word| !word.is_empty()).collect();
    let plain = words.join(".");
    if plain.is_empty() && label.is_empty() {
        return "spendbook".to_owned();
    }
    if plain == label { plain } else { format!("{plain}.{}", digest(label)).trim_start_matches('.').to_owned() }
}

/// The text on one line, cut to a length, and without what a header or the
/// reader's eye could be led astray by: controls, changes of direction that
/// reach beyond it, and the beginning of an encoded word.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let clean: String = text.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ").replace("=?", "= ?");
    if clean.chars().count() <= longest {
        return clean;
    }
    let mut cut: String = clean.chars().take(longest - 1).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// The first 16 hex digits of a SHA-256.
pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
