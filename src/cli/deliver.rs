//! `spendbook deliver`: sends what waits in the outbox, and says what became of
//! each mail.

use clap::Args;

use super::{
    Failure, Outcome, Session,
    listing::{Cell, Column, Listing, Page, To, counted},
};
use crate::{
    book::{Book, BookError},
    config::{Config, Transport},
    mail::{self, Came, Delivered, Line, Options},
    runs::{self, RunRecord, Stage, StageRecord},
};

/// Sends the mails that wait in the outbox, through the server that `[mail]`
/// names. With `transport = "directory"` they stay there for another program.
#[derive(Debug, Args)]
#[command(after_help = "\
A mail that the server wants later is tried three times in a run and again in
the next ones, after 15 minutes, an hour, then up to 12 hours; after five days
it is given up. One that the server refuses for good goes to outbox/failed in
the book, with the server's answer beside it. It exits with 1 where a mail that
was tried was not sent. A mail can arrive twice after a crash, with the same
Message-ID; none is lost.

Examples:
  spendbook deliver                 send what is due
  spendbook deliver --dry-run       what waits, what failed; connects to nobody
  spendbook deliver --retry-failed  once the address or the server is put right
  spendbook doctor                  whether the server lets us in, sends nothing")]
pub(super) struct Arguments {
    /// Only show what would be sent, what waits and what has failed
    #[arg(long)]
    dry_run: bool,
    /// Also send what was given up before
    #[arg(long)]
    retry_failed: bool,
    #[command(flatten)]
    to: To,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let options = Options { dry_run: arguments.dry_run, retry_failed: arguments.retry_failed };
    let book = if arguments.dry_run {
        match Book::open(&config.book_dir()) {
            Err(BookError::Missing(_)) => None,
            book => Some(book?),
        }
    } else {
        Some(Session::book_for_writing(&config, "deliver")?)
    };
    let started = session.clock.now();
    let delivered = match &book {
        Some(book) => mail::deliver(book, &config, options, started)?,
        None => Delivered::default(),
    };
    if let Some(book) = book.as_ref().filter(|_| !options.dry_run) {
        let record = StageRecord::deliver(&delivered);
        runs::store(book, &RunRecord::of_stage(Stage::Deliver, started, session.clock.now(), record))?;
    }
    if !session.global.quiet {
        arguments.to.write(&page(&delivered, &config))?;
    }
    let outcome = outcome(&delivered);
    Ok(if options.dry_run { Outcome::Done } else { outcome })
}

/// What a delivery came to, in a line.
pub(super) fn told(delivered: &Delivered, config: &Config) -> String {
    if config.mail.transport == Transport::Directory && !delivered.lines.is_empty() {
        return summary(delivered, config);
    }
    let parts = [(delivered.sent(), "sent"), (delivered.waiting(), "in the outbox"), (delivered.failed(), "given up")];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", counted_mails(count)))
        .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!("{}: `spendbook deliver --dry-run` lists them\n", parts.join(", "))
    }
}

/// What becomes of mails that were put into the outbox just now.
pub(super) fn next(config: &Config) -> String {
    match config.mail.transport {
        Transport::Directory => {
            format!("nothing is sent from here: another program takes them from `{}`\n", pending(config))
        }
        Transport::Smtp(_) => "`spendbook deliver` sends them\n".to_owned(),
    }
}

/// Where mails wait.
fn pending(config: &Config) -> String {
    config.book.path.join("outbox/pending").display().to_string()
}

/// What a monitor should hear; a server that does not work is told once, here.
pub(super) fn outcome(delivered: &Delivered) -> Outcome {
    if let Some(trouble) = &delivered.trouble {
        tracing::error!("{trouble}: {}; {}", trouble.advice(), still_waiting(delivered.waiting()));
    }
    if delivered.is_well() { Outcome::Done } else { Outcome::Partly }
}

fn still_waiting(count: usize) -> String {
    let verb = if count == 1 { "waits" } else { "wait" };
    format!("{} {verb} in the outbox", counted_mails(count))
}

fn counted_mails(count: usize) -> String {
    counted(i64::try_from(count).unwrap_or(i64::MAX), "mail")
}

const COLUMNS: &[Column] = &[
    Column::text("mail"),
    Column::text("to"),
    Column::text("subject"),
    Column::text("outcome"),
    Column::count("tries"),
    Column::instant("next_try"),
    Column::text("detail"),
];

fn page(delivered: &Delivered, config: &Config) -> Page {
    let mut listing = Listing::new("mails", COLUMNS);
    for Line { letter, came, tries } in &delivered.lines {
        let (outcome, next, detail) = match came {
            Came::Sent => ("sent", None, None),
            Came::Due => ("due", None, None),
            Came::Left => ("in the outbox", None, None),
            Came::Waits { why, next } => ("waits", Some(*next), Some(why)),
            Came::Deferred { why, next } => ("waits", *next, Some(why)),
            Came::Failed { answer } => ("failed", None, Some(answer)),
        };
        listing.push(vec![
            letter.id.as_str().into(),
            letter.to.as_str().into(),
            letter.subject.as_str().into(),
            outcome.into(),
            Cell::from(i64::from(*tries)),
            next.into(),
            detail.map(String::as_str).into(),
        ]);
    }
    let mut page = Page::default();
    page.list(listing);
    if !delivered.lines.is_empty() {
        page.say("\n");
    }
    page.say(summary(delivered, config));
    page
}

/// One line: `3 mails sent, 1 waits, 1 failed`, and what to do.
fn summary(delivered: &Delivered, config: &Config) -> String {
    if config.mail.transport == Transport::Directory {
        let dir = pending(config);
        return match delivered.lines.len() {
            0 => "the outbox is empty\n".to_owned(),
            count => format!(
                "{} in `{dir}`, for another program to send and move to `sent`; `transport = \"smtp\"` in `[mail]` \
                 sends them from here\n",
                counted_mails(count)
            ),
        };
    }
    if delivered.lines.is_empty() && delivered.failed_before == 0 {
        return "the outbox is empty\n".to_owned();
    }
    let due = delivered.lines.iter().filter(|line| line.came == Came::Due).count();
    let waiting = delivered.waiting() - due;
    let parts = [(delivered.sent(), "sent"), (due, "due"), (waiting, "waiting"), (delivered.failed(), "failed")];
    let mut said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if said.is_empty() {
        said.push("nothing waits".to_owned());
    }
    let mut text = said.join(", ");
    let has_failed = delivered.failed() > 0;
    if delivered.failed_before > 0 && !has_failed {
        text.push_str(&format!(", {} failed before", delivered.failed_before));
    }
    if has_failed || delivered.failed_before > 0 {
        text.push_str(": `spendbook deliver --retry-failed` tries again what has failed");
    }
    text.push('\n');
    text
}
