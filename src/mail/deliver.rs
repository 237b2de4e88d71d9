//! Delivery: every mail in `pending` is sent, waits, or is given up.
//!
//! A mail leaves `pending` only after the server has answered for it, so that a
//! kill at any moment repeats a mail (with the same `Message-ID`) and never
//! loses one. What concerns one mail never stops another; what concerns the
//! server makes all of them wait and is told once.
//!
//! With the transport `directory` nothing is sent: mails stay in `pending` until
//! another program takes them and moves them to `sent`.

use std::{thread::sleep, time::Duration};

use super::{
    Failure, Letter, Outbox, Place, Server, ServerError,
    server::{Connection, Trouble},
    tries::Tries,
};
use crate::{
    book::{Book, BookError},
    config::{Config, Smtp, Transport},
    time::Instant,
};

/// What to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Say what would be done, connect to nobody.
    pub dry_run: bool,
    /// Also what was given up before.
    pub retry_failed: bool,
}

/// What delivery came to.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Mail by mail, in the order of their ids.
    pub lines: Vec<Line>,
    /// Why mails wait that nothing is wrong with.
    pub trouble: Option<ServerError>,
    /// Mails that earlier runs have given up.
    pub failed_before: usize,
}

/// What became of a mail.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub letter: Letter,
    pub came: Came,
    /// In how many runs it was tried, this one included.
    pub tries: u32,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    Sent,
    /// It would be sent now.
    Due,
    /// It is for another program to send.
    Left,
    /// It was not its turn: it is tried again at that time.
    Waits {
        why: String,
        next: Instant,
    },
    /// It was tried in vain; without a time it is tried again in the next run.
    Deferred {
        why: String,
        next: Option<Instant>,
    },
    Failed {
        answer: String,
    },
}

impl Delivered {
    pub fn sent(&self) -> usize {
        self.count(|came| *came == Came::Sent)
    }

    /// What waits, tried or not.
    pub fn waiting(&self) -> usize {
        self.count(|came| matches!(came, Came::Waits { .. } | Came::Deferred { .. } | Came::Due))
    }

    /// What was given up now.
    pub fn failed(&self) -> usize {
        self.count(|came| matches!(came, Came::Failed { .. }))
    }

    /// Whether everything that was to be sent has been.
    pub fn is_well(&self) -> bool {
        self.trouble.is_none() && self.count(|came| matches!(came, Came::Deferred { .. } | Came::Failed { .. })) == 0
    }

    fn count(&self, of: impl Fn(&Came) -> bool) -> usize {
        self.lines.iter().filter(|line| of(&line.came)).count()
    }
}

/// How often a mail, or a connection, is tried in one run, and the waits between.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Conversations that broke one after another: then it is the server.
const LOST_IN_A_ROW: u32 = 3;

/// Sends what waits in the outbox of a book that is open for writing (for
/// `dry_run`: also one for reading).
///
/// # Errors
/// Where the outbox cannot be read or written. That a mail was not sent is no
/// error: see [`Delivered`].
pub fn deliver(book: &Book, config: &Config, options: Options, now: Instant) -> Result<Delivered, BookError> {
    let outbox = Outbox::new(book);
    let failed = outbox.ids(Place::Failed)?;
    if options.dry_run {
        return look(&outbox, book, config, options, now, &failed);
    }
    let mut run = Run { outbox, tries: Tries::load(book)?, now, lines: Vec::new() };
    if options.retry_failed {
        for id in &failed {
            run.tries.renew(id, now);
        }
        // Noted first: what is revived and killed then is not too old at once.
        run.tries.store(book, |_| true)?;
        failed.iter().try_for_each(|id| run.outbox.revived(id))?;
    }
    let failed_before = if options.retry_failed { 0 } else { failed.len() };
    let trouble = match &config.mail.transport {
        Transport::Directory => run.leave().map(|()| None)?,
        Transport::Smtp(smtp) => run.send(config, smtp)?,
    };
    let Run { mut tries, mut lines, .. } = run;
    lines.sort_by(|one, other| one.letter.id.cmp(&other.letter.id));
    tries.store(book, |id| lines.iter().any(|line| line.letter.id == id && line.is_pending()))?;
    Ok(Delivered { lines, trouble, failed_before })
}

impl Line {
    fn is_pending(&self) -> bool {
        !matches!(self.came, Came::Sent | Came::Failed { .. })
    }
}

/// What would be done.
fn look(
    outbox: &Outbox<'_>,
    book: &Book,
    config: &Config,
    options: Options,
    now: Instant,
    failed: &[String],
) -> Result<Delivered, BookError> {
    let notes = Tries::load(book)?;
    let is_sent = matches!(config.mail.transport, Transport::Smtp(_));
    let mut lines = Vec::new();
    for id in outbox.ids(Place::Pending)? {
        let Some(letter) = outbox.eml(Place::Pending, &id)?.and_then(|eml| Letter::read(&id, &eml)) else { continue };
        let tried = notes.of(&id);
        let came = match tried {
            _ if !is_sent => Came::Left,
            None if notes.is_too_old(&id, letter.date, now) => Came::Failed { answer: TOO_OLD.to_owned() },
            Some(tried) if !notes.is_due(&id, now) => Came::Waits { why: tried.answer.clone(), next: tried.next() },
            _ => Came::Due,
        };
        lines.push(Line { tries: tried.map_or(0, |tried| tried.count), letter, came });
    }
    for id in failed {
        let Some(letter) = outbox.eml(Place::Failed, id)?.and_then(|eml| Letter::read(id, &eml)) else { continue };
        let failure = outbox.failure(id)?;
        let tries = failure.as_ref().map_or(0, |failure| failure.tries);
        let answer = failure.map_or_else(|| "the reason is not known".to_owned(), |failure| failure.answer);
        let came = if options.retry_failed && is_sent { Came::Due } else { Came::Failed { answer } };
        lines.push(Line { letter, came, tries });
    }
    Ok(Delivered { lines, trouble: None, failed_before: failed.len() })
}

/// Why a mail is not even tried.
const TOO_OLD: &str = "not sent: it was more than five days old before it could be; \
                       `spendbook deliver --retry-failed` sends it all the same";
const NO_RECIPIENT: &str = "not sent: no recipient can be read in it";

/// One run of delivery.
struct Run<'b> {
    outbox: Outbox<'b>,
    tries: Tries,
    now: Instant,
    lines: Vec<Line>,
}

/// A mail on its way.
struct Due {
    letter: Letter,
    /// Why it was not taken yet, in this run.
    why: Option<String>,
}

impl Run<'_> {
    /// Everything stays where it is.
    fn leave(&mut self) -> Result<(), BookError> {
        for id in self.outbox.ids(Place::Pending)? {
            if let Some(letter) = self.read(&id)? {
                self.lines.push(Line { letter, came: Came::Left, tries: 0 });
            }
        }
        Ok(())
    }

    fn read(&self, id: &str) -> Result<Option<Letter>, BookError> {
        Ok(self.outbox.eml(Place::Pending, id)?.and_then(|eml| Letter::read(id, &eml)))
    }

    /// Everything that is due is sent, or it is said why not.
    fn send(&mut self, config: &Config, smtp: &Smtp) -> Result<Option<ServerError>, BookError> {
        let mut due = self.due()?;
        if due.is_empty() {
            return Ok(None);
        }
        let (mut rest, trouble) = match Server::new(config, smtp) {
            Err(error) => (due, Some(error)),
            Ok(server) => {
                let mut post = Post {
                    server: &server,
                    connection: None,
                    lost_in_a_row: 0,
                    between: between(smtp),
                    sent_any: false,
                };
                let trouble = self.rounds(&mut post, &mut due)?;
                post.hang_up();
                (due, trouble)
            }
        };
        for Due { letter, why } in rest.drain(..) {
            let is_servers_fault = why.is_none();
            let why = why.or_else(|| trouble.as_ref().map(ToString::to_string)).unwrap_or_default();
            self.in_vain(letter, &why, is_servers_fault)?;
        }
        Ok(trouble)
    }

    /// What can be sent now; the rest is told.
    fn due(&mut self) -> Result<Vec<Due>, BookError> {
        let mut due = Vec::new();
        for id in self.outbox.settled()? {
            let Some(letter) = self.read(&id)? else {
                let letter = Letter { id, to: String::new(), subject: String::new(), date: None };
                self.give_up(letter, NO_RECIPIENT, 0)?;
                continue;
            };
            match self.tries.of(&id).cloned() {
                None if self.tries.is_too_old(&id, letter.date, self.now) => self.give_up(letter, TOO_OLD, 0)?,
                Some(tried) if !self.tries.is_due(&id, self.now) => {
                    let came = Came::Waits { next: tried.next(), why: tried.answer };
                    self.lines.push(Line { letter, came, tries: tried.count });
                }
                _ => due.push(Due { letter, why: None }),
            }
        }
        Ok(due)
    }

    /// Round after round over what was not taken; leaves in `due` what is not
    /// sent at the end.
    fn rounds(&mut self, post: &mut Post<'_, '_>, due: &mut Vec<Due>) -> Result<Option<ServerError>, BookError> {
        for round in 0..=PAUSES.len() {
            let mut again = Vec::new();
            let mut queue = std::mem::take(due).into_iter();
            while let Some(mut mail) = queue.next() {
                let Some(eml) = self.outbox.eml(Place::Pending, &mail.letter.id)? else { continue };
                match post.send(&mail.letter.to, &eml) {
                    Ok(()) => {
                        self.outbox.sent(&mail.letter.id)?;
                        let tries = self.tries.of(&mail.letter.id).map_or(0, |tried| tried.count) + 1;
                        self.lines.push(Line { letter: mail.letter, came: Came::Sent, tries });
                    }
                    Err(Trouble::Refused(answer)) => {
                        let tries = self.tries.of(&mail.letter.id).map_or(0, |tried| tried.count) + 1;
                        self.give_up(mail.letter, &answer, tries)?;
                    }
                    Err(Trouble::Later(why) | Trouble::Lost(why)) => {
                        mail.why = Some(why);
                        again.push(mail);
                    }
                    Err(Trouble::Server(error)) => {
                        again.push(mail);
                        due.extend(again.into_iter().chain(queue));
                        return Ok(Some(error));
                    }
                }
            }
            *due = again;
            if due.is_empty() {
                return Ok(None);
            }
            if let Some(pause) = PAUSES.get(round) {
                sleep(*pause);
            }
        }
        Ok(None)
    }

    /// It stays in `pending`, unless it has been there for too long.
    fn in_vain(&mut self, letter: Letter, why: &str, is_servers_fault: bool) -> Result<(), BookError> {
        let tried = self.tries.in_vain(&letter.id, self.now, why, is_servers_fault);
        let (count, next) = (tried.count, Some(tried.next()).filter(|_| !is_servers_fault));
        if self.tries.is_too_old(&letter.id, letter.date, self.now) {
            return self.give_up(letter, &format!("given up after five days: {why}"), count);
        }
        self.lines.push(Line { letter, came: Came::Deferred { why: why.to_owned(), next }, tries: count });
        Ok(())
    }

    fn give_up(&mut self, letter: Letter, answer: &str, tries: u32) -> Result<(), BookError> {
        let failure = Failure { failed: self.now.to_string(), tries, answer: answer.to_owned() };
        self.outbox.failed(&letter.id, &failure)?;
        self.lines.push(Line { letter, came: Came::Failed { answer: answer.to_owned() }, tries });
        Ok(())
    }
}

/// The way to the server: one connection for as many mails as it lasts.
struct Post<'s, 'c> {
    server: &'s Server<'c>,
    connection: Option<Connection<'s, 'c>>,
    lost_in_a_row: u32,
    /// The least time between two mails.
    between: Duration,
    sent_any: bool,
}

impl Post<'_, '_> {
    fn send(&mut self, to: &str, eml: &[u8]) -> Result<(), Trouble> {
        if self.sent_any {
            sleep(self.between);
        }
        self.connect().map_err(Trouble::Server)?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        self.sent_any = true;
        let sent = connection.send(to, eml);
        if connection.is_broken() {
            self.connection = None;
        }
        match sent {
            Err(Trouble::Lost(cause)) => {
                self.connection = None;
                self.lost_in_a_row += 1;
                if self.lost_in_a_row < LOST_IN_A_ROW {
                    return Err(Trouble::Lost(cause));
                }
                Err(Trouble::Server(self.server.lost(cause)))
            }
            other => {
                self.lost_in_a_row = 0;
                other
            }
        }
    }

    /// A connection, there already or made now; where it cannot be made, it is
    /// tried again after a moment.
    fn connect(&mut self) -> Result<(), ServerError> {
        let mut pauses = PAUSES.iter();
        while self.connection.is_none() {
            match self.server.connect() {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => match pauses.next().filter(|_| error.may_pass()) {
                    Some(pause) => sleep(*pause),
                    None => return Err(error),
                },
            }
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.quit();
        }
    }
}

/// The time between two mails that keeps below the rate.
fn between(smtp: &Smtp) -> Duration {
    smtp.max_per_minute.map_or(Duration::ZERO, |count| Duration::from_mins(1) / count)
}
