//! The mails of a history: what the book has committed, where each of them is,
//! and what the mail server has of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
};

use serde_json::Value;

use super::history::Misdeed;
use crate::support::{
    files_below,
    smtp::{Fault, Manners, SmtpServer, Then},
};

/// Servers that nobody uses at the moment: a certificate takes its time.
static IDLE: Mutex<Vec<SmtpServer>> = Mutex::new(Vec::new());

/// A mail server, and what is known of the mails.
#[derive(Debug)]
pub(crate) struct Post {
    server: Option<SmtpServer>,
    /// Mails that were kept waiting, or may have been.
    held_up: BTreeSet<String>,
    /// How often a mail may have been taken without a word of it.
    silences: usize,
}

impl Drop for Post {
    fn drop(&mut self) {
        IDLE.lock().expect("no thread has panicked").extend(self.server.take());
    }
}

const PLACES: [&str; 3] = ["pending", "sent", "failed"];

impl Post {
    pub(crate) fn new() -> Self {
        let idle = IDLE.lock().expect("no thread has panicked").pop();
        let server = idle.unwrap_or_else(|| SmtpServer::start(Manners::default()));
        server.forget();
        Self { server: Some(server), held_up: BTreeSet::new(), silences: 0 }
    }

    fn server(&self) -> &SmtpServer {
        self.server.as_ref().expect("it is there until the end")
    }

    pub(crate) fn config(&self) -> String {
        let port = self.server().port;
        format!(
            "[mail]\nfrom = \"Spendbook <spendbook@example.com>\"\ntransport = \"smtp\"\nhost = \"127.0.0.1\"\n\
             port = {port}\nsecurity = \"none\"\n"
        )
    }

    pub(crate) fn misbehave(&self, misdeed: Option<Misdeed>) {
        const EVER: usize = usize::MAX;
        let fault = misdeed.map(|misdeed| match misdeed {
            Misdeed::Refuses => ("RCPT TO:<lab@", EVER, Then::Say("550 5.1.1 no such user")),
            Misdeed::Defers => ("RCPT TO:<chat@", EVER, Then::Say("451 4.7.1 later")),
            Misdeed::Drops => ("MIDDLE", 1, Then::Drop),
            Misdeed::TakesAndDrops => ("END", 1, Then::KeepAndDrop),
            Misdeed::IsClosed => ("CONNECT", EVER, Then::Say("421 4.3.2 not now")),
        });
        let fault = fault.map(|(at, times, then)| Fault { at, times, then });
        self.server().misbehave(fault.into_iter().collect());
    }

    /// Holds all mails against what was committed. A night that was killed, or
    /// had trouble with the server, may leave some of them waiting.
    ///
    /// # Errors
    /// At the first that is lost, changed, twice, or sent to nobody's knowledge.
    pub(crate) fn check(&mut self, book: &Path, is_killed: bool, misdeed: Option<Misdeed>) -> Result<(), String> {
        self.silences += usize::from(is_killed || misdeed == Some(Misdeed::TakesAndDrops));
        let outbox = files_below(&book.join("outbox"));
        let mut places: BTreeMap<&str, (&str, &[u8])> = BTreeMap::new();
        for (name, bytes) in &outbox {
            let Some((place, file)) = name.split_once('/') else { continue };
            let Some(id) = file.strip_suffix(".eml").filter(|_| PLACES.contains(&place)) else { continue };
            if let Some((other, _)) = places.insert(id, (place, bytes)) {
                return Err(format!("the mail {id} is in {other} and in {place}"));
            }
            if place == "failed" && !outbox.contains_key(&format!("failed/{id}.json")) {
                return Err(format!("nobody knows why the mail {id} failed"));
            }
        }
        for (id, eml) in committed(book) {
            match places.get(id.as_str()) {
                None if is_killed => {}
                None => return Err(format!("the mail {id} was committed, and is lost")),
                Some((place, bytes)) if *bytes != eml.as_bytes() => {
                    return Err(format!("the mail {id} in {place} is not what was committed"));
                }
                Some(_) => {}
            }
        }
        self.check_received(&places)?;
        let is_trouble = is_killed || misdeed.is_some();
        for id in places.iter().filter(|(_, (place, _))| *place == "pending").map(|(id, _)| *id) {
            if is_trouble {
                self.held_up.insert(id.to_owned());
            } else if !self.held_up.contains(id) {
                return Err(format!("the mail {id} was not sent, and nothing is wrong"));
            }
        }
        Ok(())
    }

    fn check_received(&self, places: &BTreeMap<&str, (&str, &[u8])>) -> Result<(), String> {
        let plain = |eml: &[u8]| String::from_utf8_lossy(eml).trim_end().to_owned();
        let mut copies: BTreeMap<String, usize> = BTreeMap::new();
        for mail in self.server().received() {
            *copies.entry(plain(&mail.eml)).or_default() += 1;
        }
        for (id, (place, bytes)) in places {
            match copies.remove(&plain(bytes)).unwrap_or(0) {
                0 if *place == "sent" => return Err(format!("the mail {id} was sent, and never arrived")),
                copies if copies > 1 + self.silences => return Err(format!("the mail {id} arrived {copies} times")),
                1.. if *place != "sent" && self.silences == 0 => {
                    return Err(format!("the mail {id} arrived, and is in {place}"));
                }
                _ => {}
            }
        }
        match copies.into_keys().next() {
            Some(stranger) => Err(format!("a mail arrived that is not in the book:\n{stranger}")),
            None => Ok(()),
        }
    }

    /// Whether mails may wait for their turn.
    pub(crate) fn has_held_up(&self) -> bool {
        !self.held_up.is_empty()
    }

    pub(crate) fn received(&self) -> usize {
        self.server().received().len()
    }
}

/// The objects in a folder of commits, in the order in which they were made.
pub(crate) fn commits(book: &Path, folder: &str) -> Vec<(String, Value)> {
    let mut commits: Vec<(String, Value)> = files_below(&book.join(folder))
        .into_iter()
        .filter(|(name, _)| !name.contains('#'))
        .map(|(name, bytes)| (name, serde_json::from_slice(&bytes).expect("a commit is JSON")))
        .collect();
    // The number at its end counts, and not the clock, which may be set back.
    let number = |name: &str| name.trim_end_matches(".json").rsplit('-').next().map(str::to_owned);
    if folder == "alerts" {
        commits.sort_by_key(|(name, _)| number(name));
    }
    commits
}

/// Ids and texts of all mails that were committed.
fn committed(book: &Path) -> Vec<(String, String)> {
    let mut mails = Vec::new();
    for (_, commit) in [commits(book, "alerts"), commits(book, "weekly")].concat() {
        for mail in commit["mails"].as_array().into_iter().flatten() {
            let text = |name: &str| mail[name].as_str().expect("a mail has it").to_owned();
            mails.push((text("id"), text("eml")));
        }
    }
    mails
}
