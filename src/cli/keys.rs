//! `spendbook keys`: whose each key is, how it is used, and whether an old one
//! can be deleted.

use clap::Args;

use super::{
    Failure, Outcome, Session,
    listing::{self, Column, Listing, Page, To},
    span,
};
use crate::{
    audit::{
        keys::{Ask, Deletable, Finding, Keys},
        uses,
    },
    book::{Book, BookError},
    report,
    time::Instant,
};

/// Shows every key that is registered or was ever seen in a log.
#[derive(Debug, Args)]
#[command(after_help = "\
With --safe-to-delete it exits with 0 only where every source that ever had the
key still gives records and none of them is the key's; with 4 where the key is
in use, or that is not known. A key that a provider reports is in use, though
no log shows it.

Examples:
  spendbook keys               all keys, and what to do about them
  spendbook keys --format csv  the same as data, with all digits
  spendbook keys --safe-to-delete chatbot-2026-04 && delete-it chatbot-2026-04")]
pub(super) struct Arguments {
    /// Say whether this key, by name, fingerprint or id, can be deleted
    #[arg(long, value_name = "KEY")]
    safe_to_delete: Option<String>,
    /// How lately a source must have given records for its silence to count
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = span)]
    heard_within: i64,
    /// A key older than so many days is to be rotated
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = days)]
    max_age: u16,
    #[command(flatten)]
    to: To,
}

fn days(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a number of days without a unit, such as `90`".to_owned())
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let (uses, reported) = match Book::open(&config.book_dir()) {
        Ok(book) => (uses::read(&book, now)?, report::reported_keys(&book, Instant::EARLIEST.day())?),
        // Nothing was ever read: every key is as the config has it.
        Err(BookError::Missing(_)) => Default::default(),
        Err(error) => return Err(error.into()),
    };
    let ask = Ask { now, heard_within: arguments.heard_within, max_age_days: arguments.max_age.into() };
    let keys = Keys::new(&config, uses, reported, ask);
    if let Some(key) = &arguments.safe_to_delete {
        let answer = keys.deletable(key);
        if !session.global.quiet {
            listing::print(&format!("{}: {answer}\n", crate::secrets::redact_key(key)))?;
        }
        return Ok(if matches!(answer, Deletable::Yes { .. }) { Outcome::Done } else { Outcome::No });
    }
    arguments.to.write(&page(&keys))?;
    Ok(Outcome::Done)
}

const COLUMNS: &[Column] = &[
    Column::text("key"),
    Column::text("team"),
    Column::text("environment"),
    Column::text("purpose").in_data(),
    Column::text("project").in_data(),
    Column::count("age_days"),
    Column::instant("first_use").in_data(),
    Column::instant("last_use"),
    Column::count("requests_24h"),
    Column::count("requests_30d"),
    Column::usd("cost_24h"),
    Column::usd("cost_30d"),
    Column::text("findings").in_data(),
    Column::text("verdict"),
];

fn page(keys: &Keys<'_>) -> Page {
    let mut listing = Listing::new("keys", COLUMNS);
    for line in keys.lines() {
        let codes: Vec<&str> = line.findings.iter().map(Finding::code).collect();
        let verdict = line.verdict();
        listing.push(vec![
            line.key.into(),
            line.team.into(),
            line.environment.into(),
            line.purpose.into(),
            line.project.into(),
            line.age_days.into(),
            line.first_use.into(),
            line.last_use.into(),
            line.requests_24h.into(),
            line.requests_30d.into(),
            line.cost_24h.known().into(),
            line.cost_30d.known().into(),
            codes.join(" ").into(),
            verdict.into(),
        ]);
    }
    let mut page = Page::default();
    page.list(listing);
    page
}
