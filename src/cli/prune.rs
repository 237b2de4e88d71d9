//! `spendbook prune`: what is older than it is to be kept leaves the book.

use clap::Args;

use super::{
    Failure, Outcome, Session,
    listing::{Column, Listing, Page, To},
};
use crate::{
    book::Book,
    prune,
    runs::{self, RunRecord, Stage, StageRecord},
};

/// Removes what is older than `keep` of `[book]` says, table by table. The days
/// below stay as files without rows, are never built again, and records of them
/// are not taken in again.
#[derive(Debug, Args)]
#[command(after_help = "\
In the config: keep = { usage = \"400d\", quarantine = \"90d\" } under [book], or
one time for all tables. A floor never falls: what is gone does not come back
with a longer time.

Examples:
  spendbook prune --dry-run  what would go
  spendbook prune            after `spendbook run`, every night or now and then")]
pub(super) struct Arguments {
    /// Show what would go; remove nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    to: To,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let done = if arguments.dry_run {
        prune::run(&config, &Book::open(&config.book_dir())?, now, true)?
    } else {
        let book = Session::book_for_writing(&config, "prune")?;
        let done = prune::run(&config, &book, now, false)?;
        runs::store(&book, &RunRecord::of_stage(Stage::Prune, now, session.clock.now(), StageRecord::prune(&done)))?;
        done
    };
    if !session.global.quiet {
        arguments.to.write(&page(&done, arguments.dry_run))?;
    }
    Ok(Outcome::Done)
}

fn page(done: &prune::Outcome, dry_run: bool) -> Page {
    let columns = [
        Column::text("table"),
        Column::text("kept_from"),
        Column::count("files"),
        Column::count("rows"),
        Column::count("bytes"),
    ];
    let mut listing = Listing::new("pruned", &columns);
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for (table, pruned) in done {
        listing.push(vec![
            table.name().into(),
            pruned.floor.map(|day| day.to_string()).into(),
            number(pruned.files).into(),
            number(pruned.rows).into(),
            number(pruned.bytes).into(),
        ]);
    }
    let mut page = Page::default();
    page.list(listing);
    page.say(if done.is_empty() {
        "nothing has a time to be kept for: set `keep` under `[book]`\n"
    } else if dry_run {
        "\nthis would go; nothing was removed\n"
    } else {
        "\ngone: the days below are files without rows, and stay as they are\n"
    });
    page
}
