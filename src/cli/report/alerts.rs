//! `spendbook report alerts`: what is new that somebody has to hear of.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;

use crate::{
    book::Book,
    cli::{
        Failure, Outcome, Session, deliver,
        listing::{self, As, Cell, Column, Listing, Page},
    },
    config::Config,
    mail::Sealed,
    replace,
    report::alerts::{self, Alert, Options},
    runs::{self, RunRecord, Stage},
};

/// Looks for what is new that somebody has to hear of, and puts a mail for each
/// of them into the outbox. Each alert is raised once: running it again says
/// nothing new.
#[derive(Debug, Args)]
#[command(after_help = "\
Alerts do not change the exit code. docs/ALERTS.md says when what is raised, and
who hears of it.

Examples:
  spendbook report alerts                   raise what is new, for `deliver`
  spendbook report alerts --dry-run         what would be raised, and to whom
  spendbook report alerts --output preview  those mails as files; raises nothing")]
pub(in crate::cli) struct Arguments {
    /// Show what would be raised, and to whom; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the mails to this directory instead of raising anything
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    format: As,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let dry_run = arguments.dry_run || arguments.output.is_some();
    let options = Options { dry_run };
    let done = if dry_run {
        alerts::run(&Book::open(&config.book_dir())?, &config, options, now)?
    } else {
        let book = Session::book_for_writing(&config, "report alerts")?;
        let done = alerts::run(&book, &config, options, now)?;
        runs::store(&book, &RunRecord::of_stage(Stage::Alerts, now, session.clock.now(), done.record()))?;
        done
    };
    if let Some(dir) = &arguments.output {
        write(dir, &done.mails)?;
    }
    if !session.global.quiet {
        arguments.format.write(&page(&done, &config, arguments))?;
    }
    Ok(Outcome::Done)
}

/// What a night raised, a line each.
pub(in crate::cli) fn told(done: &alerts::Outcome) -> String {
    let lines = done.alerts.iter().map(|alert| {
        let to = if alert.to.is_empty() { "nobody: no address is known".to_owned() } else { alert.to.join(", ") };
        format!("alert: {} (to {to})\n", alert.headline)
    });
    lines.collect()
}

/// Writes mails as files that a mail program opens.
fn write(dir: &PathBuf, mails: &[Sealed]) -> anyhow::Result<()> {
    let failed = || format!("`{}` cannot be written", dir.display());
    fs::create_dir_all(dir).with_context(failed)?;
    for mail in mails {
        replace::replace(&dir.join(format!("{}.eml", mail.id)), mail.eml.as_bytes()).with_context(failed)?;
    }
    Ok(())
}

fn page(done: &alerts::Outcome, config: &Config, arguments: &Arguments) -> Page {
    let mut page = Page::default();
    let columns = [
        Column::text("kind"),
        Column::text("name").in_data(),
        Column::text("period").in_data(),
        Column::text("alert"),
        Column::text("to"),
    ];
    let mut listing = Listing::new("alerts", &columns);
    for Alert { kind, name, period, headline, to, .. } in &done.alerts {
        let to = if to.is_empty() { Cell::Null } else { to.join(", ").into() };
        listing.push(vec![(*kind).into(), name.clone().into(), period.clone().into(), headline.clone().into(), to]);
    }
    if done.alerts.is_empty() {
        page.say("nothing new to tell\n");
    }
    page.list(listing);
    let columns = [Column::text("id"), Column::text("to"), Column::text("subject")];
    let mut mails = Listing::new("mails", &columns);
    for mail in &done.mails {
        mails.push(vec![mail.id.clone().into(), mail.to.clone().into(), mail.subject.clone().into()]);
    }
    page.data(mails);
    page.say(rest(done, config, arguments));
    page
}

/// What became of it.
fn rest(done: &alerts::Outcome, config: &Config, arguments: &Arguments) -> String {
    let mut text = String::new();
    let mails = listing::counted(i64::try_from(done.mails.len()).unwrap_or(i64::MAX), "mail");
    match &arguments.output {
        Some(dir) => text.push_str(&format!("\n{mails} in `{}`; nothing was committed\n", dir.display())),
        None if arguments.dry_run => text.push_str("\ndry run: nothing was written\n"),
        None if !done.mails.is_empty() => text.push_str(&format!("\n{mails} in the outbox\n{}", deliver::next(config))),
        None => {}
    }
    if done.restored > 0 {
        text.push_str(&format!(
            "{} of an earlier run put back into the outbox\n",
            listing::counted(i64::try_from(done.restored).unwrap_or(i64::MAX), "mail")
        ));
    }
    if done.alerts.iter().any(|alert| alert.to.is_empty()) {
        let path = config.path.display();
        text.push_str(&format!(
            "nobody hears of alerts without an address: add `owners` to the team, or `finance` or `operators` to \
             `[organization]`, in `{path}`\n"
        ));
    }
    text
}
