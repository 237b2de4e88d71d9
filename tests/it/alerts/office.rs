//! A small book that spends what a test says, night after night, and the mails
//! that its outbox then has, as a mail client reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use mail_parser::{MessageParser, MimeHeaders};
use spendbook::money::Usd;

use crate::{
    priced::PRICE_HEADER,
    support::{TestRun, files_below},
};

/// Prices by which a token of the model `m` costs a millionth of a dollar.
const PRICES: &str = "groq,m,*,input_tokens,1,1M,,2025-01-01,,2025-01-01,list,a list,\n";

pub(crate) const CONFIG: &str = r#"
[[source]]
name = "gateway"
format = "native"
path = "logs/*.jsonl"
provider = "groq"
silent_after = "400d"

[organization]
finance = ["finance@example.com"]
operators = ["operators@example.com"]

[teams.chat]
owners = ["lead@example.com"]
monthly_budget_usd = "100"

[mail]
from = "Spendbook <spendbook@example.com>"
"#;

/// A book, and what has been read of its outbox.
pub(crate) struct Office {
    pub(crate) run: TestRun,
    seen: BTreeSet<String>,
    requests: usize,
}

/// A mail, as a client shows it.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) csv: String,
    /// Of the mail that it answers.
    pub(crate) reply_to: Option<String>,
    pub(crate) headers: String,
}

impl Read {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mail = MessageParser::default().parse(bytes).expect("a mail");
        let header = |name: &str| mail.header_raw(name).map(|it| it.trim().to_owned());
        let attachment = mail.attachments().next().expect("an attachment");
        assert!(attachment.attachment_name().is_some_and(|name| name.starts_with("alerts-")), "{mail:?}");
        let headers: String = String::from_utf8_lossy(bytes).split("\r\n\r\n").next().expect("a head").to_owned();
        Self {
            id: mail.message_id().expect("an id").to_owned(),
            to: mail.to().and_then(|to| to.first()).and_then(|to| to.address()).expect("an address").to_owned(),
            subject: mail.subject().expect("a subject").to_owned(),
            text: mail.body_text(0).expect("a text").replace("\r\n", "\n"),
            html: mail.body_html(0).expect("HTML").into_owned(),
            csv: String::from_utf8(attachment.contents().to_vec()).expect("UTF-8"),
            reply_to: header("In-Reply-To"),
            headers,
        }
    }
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    pub(crate) fn with(config: &str) -> Self {
        let office = Self::in_run(TestRun::in_memory(config));
        office.prices("");
        office
    }

    /// With whatever is there.
    pub(crate) fn in_run(run: TestRun) -> Self {
        Self { run, seen: BTreeSet::new(), requests: 0 }
    }

    /// The price list, with more rows.
    pub(crate) fn prices(&self, more: &str) {
        self.run.write("pricing/groq.csv", format!("{PRICE_HEADER}{PRICES}{more}"));
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.run.path("spendbook.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        self.run.write("spendbook.toml", text.replacen(from, to, 1));
    }

    /// Logs a request that costs so many dollars; whole ones, or thousandths.
    pub(crate) fn spends(&mut self, ts: &str, key: &str, dollars: &str) {
        self.asks(ts, key, "m", "ann", i64::try_from(Usd::parse(dollars).unwrap().pico() / 1_000_000).unwrap());
    }

    pub(crate) fn asks(&mut self, ts: &str, key: &str, model: &str, user: &str, tokens: i64) {
        self.requests += 1;
        let line = serde_json::json!({
            "ts": ts, "request_id": format!("chatcmpl-{:032}", self.requests), "key": key, "user": user, "model": model,
            "http_status": 200, "usage": { "prompt_tokens": tokens, "completion_tokens": 0 },
        });
        self.run.write(&format!("logs/{:06}.jsonl", self.requests), format!("{line}\n"));
    }

    pub(crate) fn night(&self, now: &str) {
        self.said(now, &["-q", "run"]);
    }

    pub(crate) fn said(&self, now: &str, arguments: &[&str]) -> String {
        let ran = self.run.run_at(now, arguments);
        assert_eq!(ran.code, 0, "{now} {arguments:?} {ran:?}");
        ran.stdout
    }

    /// The mails of alerts, by file name; a night also mails the weeks.
    pub(crate) fn mails(&self) -> BTreeMap<String, Vec<u8>> {
        let mut mails = BTreeMap::new();
        for (name, bytes) in files_below(&self.run.path("book/outbox")) {
            let name = name.rsplit('/').next().expect("a name").to_owned();
            if name.starts_with("alert-") && name.strip_suffix(".eml").is_some() {
                assert!(mails.insert(name, bytes).is_none(), "a mail is in two places");
            }
        }
        mails
    }

    /// Mails that have come since this was asked.
    pub(crate) fn new_mails(&mut self) -> Vec<Read> {
        let mails = self.mails();
        let new =
            mails.iter().filter(|(name, _)| !self.seen.contains(*name)).map(|(_, bytes)| Read::of(bytes)).collect();
        self.seen.extend(mails.into_keys());
        new
    }

    /// `lead: [chat] …` of each mail that came in a night, sorted.
    pub(crate) fn told(&mut self, now: &str) -> Vec<String> {
        self.night(now);
        let mut told: Vec<String> = self
            .new_mails()
            .iter()
            .map(|mail| format!("{}: {}", mail.to.split('@').next().unwrap_or_default(), mail.subject))
            .collect();
        told.sort();
        told
    }
}
