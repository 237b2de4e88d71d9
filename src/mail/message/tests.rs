//! Messages as a mail client reads them.

use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::*;

fn message() -> Message {
    Message {
        id: "alerts-2026-11-18-chatbot-1".to_owned(),
        date: Instant::parse("2026-11-18T02:00:00Z", chrono_tz::Tz::UTC).unwrap(),
        from: Mailbox::parse("Spendbook <spendbook@example.com>").unwrap(),
        to: Mailbox::parse("chatbot-lead@example.com").unwrap(),
        subject: "[chatbot] 82 % of November budget: $164.10 of $200".to_owned(),
        text: "Spent so far: $164.10\n.\nÜber allem: 82 %\n".to_owned(),
        html: format!("<p>{}</p><img src=\"cid:spend@spendbook\" alt=\"spend\">", "wide ".repeat(400)),
        images: vec![Image { cid: "spend@spendbook".to_owned(), png: b"\x89PNG\r\n\x1a\n.\0".to_vec() }],
        attachments: vec![Attachment {
            file_name: "chatbot.csv".to_owned(),
            content_type: "text/csv; charset=utf-8".to_owned(),
            bytes: b"day,cost\n2026-11-17,1.5\n".to_vec(),
        }],
        list: "chatbot.alerts".to_owned(),
        thread: None,
    }
}

#[test]
fn a_mail_client_reads_what_was_written() {
    let sealed = Message { thread: Some("alerts-first".to_owned()), ..message() }.seal().unwrap();
    let read = MessageParser::new().parse(sealed.eml.as_bytes()).unwrap();
    assert_eq!(read.subject(), Some(message().subject.as_str()));
    assert_eq!(read.from().unwrap().first().unwrap().name(), Some("Spendbook"));
    assert_eq!(read.to().unwrap().first().unwrap().address(), Some("chatbot-lead@example.com"));
    assert_eq!(read.date().unwrap().to_rfc3339(), "2026-11-18T02:00:00Z");
    assert_eq!(read.message_id(), Some("alerts-2026-11-18-chatbot-1@example.com"));
    assert_eq!(read.in_reply_to().as_text(), Some("alerts-first@example.com"));
    assert_eq!(read.references().as_text(), Some("alerts-first@example.com"));
    assert_eq!(read.header_raw("List-Id").unwrap().trim(), "<chatbot.alerts.example.com>");
    assert_eq!(read.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
    assert_eq!(read.body_text(0).unwrap(), message().text.replace('\n', "\r\n"));
    assert_eq!(read.body_html(0).unwrap(), message().html);
    let parts: Vec<_> = read.attachments().collect();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].content_id(), Some("spend@spendbook"));
    assert_eq!(parts[0].contents(), message().images[0].png);
    assert_eq!(parts[1].attachment_name(), Some("chatbot.csv"));
    assert_eq!(parts[1].contents(), message().attachments[0].bytes);
    assert!(sealed.eml.is_ascii());
    assert!(sealed.eml.lines().all(|line| line.len() <= 78), "{}", sealed.eml);
    assert!(sealed.eml.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
}

#[test]
fn the_same_message_is_the_same_bytes() {
    assert_eq!(message().seal().unwrap(), message().seal().unwrap());
    let other = Message { id: "other".to_owned(), ..message() };
    assert_ne!(message().seal().unwrap().eml, other.seal().unwrap().eml);
}

/// `mixed(plain csv)` and the like.
fn shape(read: &mail_parser::Message<'_>, part: usize) -> String {
    let part = &read.parts[part];
    let kind = part.content_type().and_then(|kind| kind.subtype()).unwrap_or_default().to_owned();
    match &part.body {
        PartType::Multipart(parts) => {
            let inner: Vec<_> = parts.iter().map(|&part| shape(read, usize::try_from(part).unwrap())).collect();
            format!("{kind}({})", inner.join(" "))
        }
        _ => kind,
    }
}

#[test]
fn levels_with_one_part_are_left_out() {
    let check = |message: Message, expect: &str| {
        let sealed = message.seal().unwrap();
        let read = MessageParser::new().parse(sealed.eml.as_bytes()).unwrap();
        assert_eq!(shape(&read, 0), expect);
    };
    let full = message();
    check(full.clone(), "mixed(alternative(plain related(html png)) csv)");
    check(Message { attachments: Vec::new(), ..full.clone() }, "alternative(plain related(html png))");
    let plain = Message { html: String::new(), ..full.clone() };
    check(plain.clone(), "mixed(plain csv)");
    check(Message { attachments: Vec::new(), ..plain }, "plain");
    check(Message { images: Vec::new(), attachments: Vec::new(), ..full }, "alternative(plain html)");
}

#[test]
fn no_name_can_add_a_header() {
    let nasty = "x\r\nBcc: evil@example.com\r\n\r\n<script>\0\u{2028}\u{202e}=?utf-8?b?DQpCY2M6IHg=?=";
    for text in [nasty.to_owned(), nasty.repeat(10_000), "a".repeat(1 << 20), "\r\n".repeat(5_000), "é\n".repeat(999)]
    {
        let mut message = Message { subject: text.clone(), list: text.clone(), ..message() };
        message.from.name = Some(text.clone());
        message.to.name = Some(text.clone());
        message.attachments[0].file_name = text.clone();
        message.images[0].cid = text;
        let sealed = message.seal().unwrap();
        let read = MessageParser::new().parse(sealed.eml.as_bytes()).unwrap();
        let mut names: Vec<_> =
            read.parts.iter().flat_map(|part| part.headers.iter()).map(mail_parser::Header::name).collect();
        names.sort_unstable();
        names.dedup();
        let expected = [
            "Auto-Submitted",
            "Content-Disposition",
            "Content-ID",
            "Content-Transfer-Encoding",
            "Content-Type",
            "Date",
            "From",
            "List-ID",
            "MIME-Version",
            "Message-ID",
            "Subject",
            "To",
            "X-Auto-Response-Suppress",
        ];
        assert_eq!(names, expected);
        let subject = read.subject().unwrap_or_default();
        assert!(!subject.contains(['\r', '\n', '\0', '\u{202e}']), "{subject:?}");
        assert!(subject.chars().count() <= LONGEST);
        assert!(sealed.eml.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
        assert_eq!(read.body_text(0).unwrap(), message.text.replace('\n', "\r\n"));
    }
}

#[test]
fn names_of_every_script_arrive() {
    for name in ["Ärger & Söhne", "فريق الدعم", "チャット🤖", "Doe, Jane", "a b", "=?utf-8?q?x?="] {
        let mut message = Message { subject: format!("[{name}] 82 %"), ..message() };
        message.to.name = Some(name.to_owned());
        let sealed = message.seal().unwrap();
        let read = MessageParser::new().parse(sealed.eml.as_bytes()).unwrap();
        let shown = name.replace("=?", "= ?");
        assert_eq!(read.subject(), Some(format!("[{shown}] 82 %").as_str()));
        assert_eq!(read.to().unwrap().first().unwrap().name(), Some(shown.as_str()));
    }
}

#[test]
fn lists_are_told_apart() {
    let check = |label: &str, expect: &str| assert_eq!(list_label(label), expect);
    check("chatbot.alerts", "chatbot.alerts");
    check("Chat Bot.alerts", &format!("chat-bot.alerts.{}", digest("Chat Bot.alerts")));
    check("支援.alerts", &format!("alerts.{}", digest("支援.alerts")));
    check("", "spendbook");
    let long = "x".repeat(500);
    check(&long, &format!("{}.{}", "x".repeat(LONGEST_LABEL), digest(&long)));
}

#[test]
fn what_cannot_be_a_mail_is_refused() {
    for id in ["", "A", "a/b", "a b", "é", &"a".repeat(151)] {
        assert!(matches!(Message { id: id.to_owned(), ..message() }.seal(), Err(MailError::Id(_))), "{id}");
    }
    let mut kind = message();
    kind.attachments[0].content_type = "csv".to_owned();
    assert_eq!(
        kind.seal().unwrap_err().to_string(),
        "the content type `csv` cannot be read, expected one like `text/csv`"
    );
}

/// Whatever the config takes as an address can be sent to.
#[test]
fn addresses_of_the_config_can_be_sent_to() {
    let local = "a".repeat(64);
    for text in
        ["a@example.com", "root@localhost", "x+y.z@sub.example.co", "jürgen@bücher.example", &format!("{local}@b.c")]
    {
        let to = Mailbox::parse(text).unwrap();
        let sealed = Message { to, ..message() }.seal().unwrap();
        assert_eq!(sealed.to, text);
    }
    let from = Mailbox::parse("spendbook@bücher.example").unwrap();
    let sealed = Message { from, ..message() }.seal().unwrap();
    assert!(sealed.eml.contains(&format!(
        "\r\nMessage-ID: <alerts-2026-11-18-chatbot-1@{}.invalid>\r\n",
        digest("spendbook@bücher.example")
    )));
}
