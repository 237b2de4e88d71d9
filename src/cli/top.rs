//! `spendbook top`: the biggest spenders of a period.

use std::cmp::Ordering;

use clap::{Args, ValueEnum};

use super::{
    Failure, Outcome, Session, count,
    listing::{self, Cell, Column, Listing, Page, To},
    status::behind_lines,
};
use crate::{
    book::Book,
    money::Usd,
    periods::{Calendar, PeriodError},
    report::{Entry, Subject, Top},
};

/// Shows who or what cost the most in a period, with its share of all, and the
/// change against the period before: of an open period against as much of that
/// one as has gone by.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook top models
  spendbook top teams --period last-month
  spendbook top users --period 2026-W46 --limit 50
  spendbook top keys --period 2026-11-01..2026-11-15 --format csv")]
pub(super) struct Arguments {
    /// Of what
    #[arg(value_enum)]
    subject: SubjectName,
    /// `month`, `week`, `day` or `quarter`, after `last-` the one before; `2026-11`, `2026-W46`,
    /// `2026-Q4`, `2026-11-15`; or `2026-11-01..2026-11-15`, without its last day
    #[arg(long, value_name = "PERIOD", default_value = "month")]
    period: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = count)]
    limit: usize,
    #[command(flatten)]
    to: To,
}

impl Arguments {
    /// All of them, not only the biggest.
    pub(super) fn all(subject: SubjectName, period: String, to: To) -> Self {
        Self { subject, period, limit: usize::MAX, to }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SubjectName {
    Models,
    Teams,
    Keys,
    Users,
}

impl From<SubjectName> for Subject {
    fn from(name: SubjectName) -> Self {
        match name {
            SubjectName::Models => Self::Models,
            SubjectName::Teams => Self::Teams,
            SubjectName::Keys => Self::Keys,
            SubjectName::Users => Self::Users,
        }
    }
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let calendar = Calendar { zone: config.book.timezone, week_start: config.book.week_start };
    let period = calendar
        .parse(&arguments.period, now)
        .map_err(|error: PeriodError| Failure { error: anyhow::Error::from(error).context("`--period`"), code: 2 })?;
    let book = Book::open(&config.book_dir())?;
    let subject = arguments.subject.into();
    let top = Top::of(&book, &config, subject, period, now)?;
    // Beside the listing, so that it stays the same in every format.
    for line in behind_lines(&top.behind) {
        tracing::warn!("{line}");
    }
    if let Some(day) = top.pruned_until {
        tracing::warn!("what was before {day} was pruned, and is not in these amounts");
    }
    let mut page = Page::default();
    page.say(heading(&top, config.book.timezone.name()));
    page.list(list(&top, subject, arguments.limit));
    page.say(shares(&top, arguments.limit));
    page.say(rest(&top, arguments.limit));
    arguments.to.write(&page)?;
    Ok(Outcome::Done)
}

fn heading(top: &Top, zone: &str) -> String {
    let Top { period, before, is_open, requests, cost, .. } = top;
    let so_far = if *is_open { " so far" } else { "" };
    let against =
        if *is_open { format!("{} up to {}", before.name, before.until.second()) } else { before.name.clone() };
    let requests = listing::counted(*requests, "request");
    let missing = Some(top.unlogged).filter(|cost| *cost != Usd::ZERO);
    let missing = missing.map(|cost| format!(", {} of it in no log", cost.shown())).unwrap_or_default();
    format!("{}{so_far} ({zone}): {requests}, {}{missing}; against {against}\n\n", period.name, cost.shown())
}

/// The biggest of them.
pub(super) fn list(top: &Top, subject: Subject, limit: usize) -> Listing {
    let (name, lead): (_, &[Column]) = match subject {
        Subject::Models => ("models", &[Column::text("model"), Column::text("provider")]),
        Subject::Teams => ("teams", &[Column::text("team")]),
        Subject::Keys => ("keys", &[Column::text("key"), Column::text("team")]),
        Subject::Users => ("users", &[Column::text("user")]),
    };
    let shown: Vec<Column> = lead.iter().map(|column| column.in_table()).collect();
    let exact: Vec<Column> = lead.iter().map(|column| column.in_data()).collect();
    let rest = [
        Column::count("requests"),
        Column::usd("cost"),
        Column::usd("shared").in_data(),
        Column::text("pools").in_data(),
        Column::usd("unlogged").in_data(),
        Column::tenths("share_percent").in_data(),
        Column::tenths("share").in_table(),
        Column::bar(),
        Column::usd("before").in_table(),
        Column::text("change").in_table(),
        Column::usd("cost_before").in_data(),
        Column::tenths("change_percent").in_data(),
        Column::count("requests_before").in_data(),
        Column::count("unpriced_requests").in_data(),
        Column::count("estimated_requests").in_data(),
    ];
    let mut listing = Listing::new(name, &[shown, exact, rest.to_vec()].concat());
    for entry in top.entries.iter().take(limit) {
        let shown = |name: &Option<String>| Cell::from(name.clone().unwrap_or_else(|| NOBODY.to_owned()));
        let mut cells: Vec<Cell> = entry.names.iter().map(shown).collect();
        cells.extend(entry.names.iter().map(|name| Cell::from(name.clone())));
        cells.extend([
            entry.requests.into(),
            entry.cost.into(),
            entry.shared.into(),
            pools(entry).into(),
            entry.unlogged.into(),
            entry.share.into(),
            entry.share.into(),
            entry.share.into(),
            entry.cost_before.into(),
            change_text(entry).into(),
            entry.cost_before.into(),
            entry.change().into(),
            entry.requests_before.into(),
            entry.unpriced.into(),
            entry.estimated.into(),
        ]);
        listing.push(cells);
    }
    listing
}

/// In the place of a name that there is not.
const NOBODY: &str = "(none)";

/// `+12.5 %`, `×26` where it is more than tenfold, `new`, or nothing where
/// nothing was spent.
fn change_text(entry: &Entry) -> String {
    const TENFOLD: i64 = 9_000;
    match entry.change() {
        Some(tenths) if tenths > TENFOLD => format!("×{}", listing::count(tenths.unsigned_abs() / 1000 + 1)),
        Some(tenths) => {
            let sign = match entry.cost.cmp(&entry.cost_before) {
                Ordering::Less => "-",
                Ordering::Equal => "",
                Ordering::Greater => "+",
            };
            format!("{sign}{}.{} %", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10)
        }
        None if entry.cost > Usd::ZERO => "new".to_owned(),
        None => String::new(),
    }
}

/// A team's part of each pool, to the last digit: `search=1.5; voice=0.25`.
fn pools(entry: &Entry) -> Option<String> {
    let parts: Vec<String> = entry.shares.iter().map(|(pool, cost)| format!("{pool}={cost}")).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What teams pay of shared keys, each pool as a part of its own, and what is in
/// no log.
fn shares(top: &Top, limit: usize) -> String {
    let is_more = |entry: &&Entry| !entry.shares.is_empty() || entry.unlogged != Usd::ZERO;
    let lines: Vec<String> = top
        .entries
        .iter()
        .take(limit)
        .filter(is_more)
        .map(|entry| {
            let own = entry.cost.checked_sub(entry.shared).and_then(|own| own.checked_sub(entry.unlogged));
            let parts = entry.shares.iter().map(|(pool, cost)| format!(" + {} of the pool `{pool}`", cost.shown()));
            let mut parts = parts.collect::<String>();
            if entry.unlogged != Usd::ZERO {
                parts.push_str(&format!(" + {} in no log", entry.unlogged.shown()));
            }
            let name = entry.names.first().cloned().flatten();
            let name = name.map_or_else(|| NOBODY.to_owned(), |name| format!("`{name}`"));
            format!("{name}: {} own{parts}\n", own.unwrap_or_default().shown())
        })
        .collect();
    if lines.is_empty() { String::new() } else { format!("\n{}", lines.concat()) }
}

/// What the limit leaves out, and what is not known.
fn rest(top: &Top, limit: usize) -> String {
    let mut text = String::new();
    let hidden = top.entries.get(limit..).unwrap_or_default();
    if !hidden.is_empty() {
        let cost = hidden.iter().try_fold(Usd::ZERO, |sum, entry| sum.checked_add(entry.cost));
        let cost = cost.map_or_else(String::new, |cost| format!(", {}", cost.shown()));
        text.push_str(&format!("and {} more{cost}\n", hidden.len()));
    }
    let unpriced: i64 = top.entries.iter().map(|entry| entry.unpriced).sum();
    let estimated: i64 = top.entries.iter().map(|entry| entry.estimated).sum();
    let told = [(unpriced, "without a price: their cost is not known"), (estimated, "priced by an estimate")];
    for (requests, what) in told.into_iter().filter(|(requests, _)| *requests > 0) {
        text.push_str(&format!("{} {what}\n", listing::counted(requests, "request")));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}
