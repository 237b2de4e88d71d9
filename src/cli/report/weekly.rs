//! `spendbook report weekly`: each team's week to its owners, and everybody's
//! to finance.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use crate::{
    book::Book,
    budgets::Scope,
    cli::{
        Failure, Outcome, Session, deliver,
        listing::{self, As, Column, Listing, Page, counted},
    },
    config::Config,
    pricing::{self, PriceBook},
    report::weekly::{self, MailedWeek, Options, Preview, WeeklyError},
    runs::{self, RunRecord, Stage},
};

/// Mails the last full week where it was not mailed yet: to the owners of each
/// team about their team, and to `[organization] finance` about everyone. The
/// mails go into the outbox. Running it again mails nothing twice.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook report weekly                           mail the last week, once
  spendbook report weekly --dry-run                 read what would be mailed
  spendbook report weekly --week 2026-W46 --team chatbot --dry-run
                                                    the same numbers again
  spendbook report weekly --output preview          as .eml, .html and .txt
  spendbook report weekly --week 2026-W46 --resend  send it again, as it was")]
pub(in crate::cli) struct Arguments {
    /// This week, such as `2026-W46`, instead of the last full one
    #[arg(long, value_name = "WEEK")]
    week: Option<String>,
    /// Only this team's
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Show the mails; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the mails into this directory instead of the outbox
    #[arg(long, value_name = "DIR", conflicts_with = "resend")]
    output: Option<PathBuf>,
    /// Put mails that were sent already into the outbox again, as they are
    #[arg(long, conflicts_with = "dry_run")]
    resend: bool,
    #[command(flatten)]
    format: As,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let prices = prices(&config);
    let options = Options {
        week: arguments.week.as_deref(),
        team: arguments.team.as_deref(),
        prices: prices.as_ref(),
        resend: arguments.resend,
    };
    let now = session.clock.now();
    let page = if arguments.dry_run || arguments.output.is_some() {
        let book = Book::open(&config.book_dir())?;
        let previews = weekly::preview(&book, &config, &options, now).map_err(asked)?;
        let text = match &arguments.output {
            Some(dir) => {
                write(dir, &previews)?;
                format!("{} written to `{}`\n", counted(count(previews.len()), "mail"), dir.display())
            }
            None => shown(&previews),
        };
        let row = |it: &Preview| (it.scope.clone(), it.week.clone(), it.message.subject.clone(), it.recipients.len());
        page(text, previews.iter().map(row))
    } else {
        let book = Session::book_for_writing(&config, "report weekly")?;
        let done = weekly::run(&book, &config, &options, now).map_err(asked)?;
        runs::store(&book, &RunRecord::of_stage(Stage::Weekly, now, session.clock.now(), done.record()))?;
        let row = |it: &MailedWeek| (it.scope.clone(), it.week.clone(), it.subject.clone(), it.recipients);
        let mut text = told(&done);
        if !done.mailed.is_empty() || done.restored > 0 {
            text.push_str(&deliver::next(&config));
        }
        page(text, done.mailed.iter().map(row))
    };
    if !session.global.quiet {
        arguments.format.write(&page)?;
    }
    Ok(Outcome::Done)
}

/// A week or team that cannot be mailed is a mistake in the arguments.
fn asked(error: WeeklyError) -> Failure {
    let code = if error.is_about_the_question() { 2 } else { 1 };
    let is_no_week = matches!(error, WeeklyError::NoWeek(_));
    let error = anyhow::Error::from(error);
    Failure { error: if is_no_week { error.context("`--week`") } else { error }, code }
}

/// A text for people, and the mails as a list for programs.
fn page(text: String, mails: impl Iterator<Item = (Scope, String, String, usize)>) -> Page {
    let columns = [
        Column::text("scope"),
        Column::text("name"),
        Column::text("week"),
        Column::text("subject"),
        Column::count("recipients"),
    ];
    let mut listing = Listing::new("mails", &columns);
    for (scope, week, subject, recipients) in mails {
        let name = scope.name().map(str::to_owned);
        listing.push(vec![scope.kind().into(), name.into(), week.into(), subject.into(), count(recipients).into()]);
    }
    let mut page = Page::default();
    page.say(text).data(listing);
    page
}

/// Without prices the mails say nothing of what could be saved: what is wrong
/// with them is for `price` to say.
fn prices(config: &Config) -> Option<PriceBook> {
    pricing::read(&config.pricing_dir()).into_book().ok()
}

/// What was done, for people.
pub(in crate::cli) fn told(outcome: &weekly::Outcome) -> String {
    let mut text = String::new();
    for MailedWeek { subject, recipients, .. } in &outcome.mailed {
        text.push_str(&format!("weekly mail for {}: {subject}\n", counted(count(*recipients), "person")));
    }
    for (scope, week) in &outcome.known {
        text.push_str(&format!("{week} of {scope} was mailed before\n"));
    }
    for (scope, week) in &outcome.never {
        text.push_str(&format!("{week} of {scope} was never mailed: leave out `--resend` to mail it\n"));
    }
    if outcome.restored > 0 {
        text.push_str(&format!("{} put into the outbox again\n", counted(count(outcome.restored), "mail")));
    }
    if text.is_empty() {
        text.push_str("no weekly mail is due\n");
    }
    text.replace("persons", "people")
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn shown(previews: &[Preview]) -> String {
    if previews.is_empty() {
        return "no weekly mail is due\n".to_owned();
    }
    let one = |preview: &Preview| {
        let to: Vec<String> = preview.recipients.iter().map(ToString::to_string).collect();
        let to = if to.is_empty() { "nobody".to_owned() } else { to.join(", ") };
        format!("To: {to}\nSubject: {}\n\n{}", preview.message.subject, preview.message.text)
    };
    previews.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

/// Each mail as one would get it, and its parts to look at in a browser.
fn write(dir: &Path, previews: &[Preview]) -> Result<(), Failure> {
    fs::create_dir_all(dir).with_context(|| format!("`{}` cannot be made", dir.display()))?;
    for Preview { name, message, .. } in previews {
        let sealed = message.seal()?;
        let mut html = message.html.clone();
        for (number, image) in (1..).zip(&message.images) {
            let file = format!("{name}-{number}.png");
            html = html.replace(&format!("cid:{}", image.cid), &file);
            listing::replace(&dir.join(&file), &image.png)?;
        }
        for attachment in &message.attachments {
            listing::replace(&dir.join(&attachment.file_name), &attachment.bytes)?;
        }
        listing::replace(&dir.join(format!("{name}.eml")), sealed.eml.as_bytes())?;
        listing::replace(&dir.join(format!("{name}.html")), html.as_bytes())?;
        listing::replace(&dir.join(format!("{name}.txt")), message.text.as_bytes())?;
    }
    Ok(())
}
