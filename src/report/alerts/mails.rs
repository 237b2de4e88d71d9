//! One mail per recipient and run: the gravest finding is its subject. Pure.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{
    decide::Finding,
    recipients::{self, Role},
    section::Section,
    state::State,
    store::Mail,
};
use crate::{
    config::{Config, Mailbox},
    mail::{Attachment, MailError, Message},
    report::render::{Footer, Page, Part, RenderError, csv, words},
    time::Instant,
};

/// A finding, told, and to whom.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub section: Section,
    pub to: Vec<(Mailbox, Role)>,
    /// The conversation that it belongs to: one for each period of a budget.
    pub thread: Option<String>,
}

/// A finding in a mail, and why it is there.
type Reason<'t> = (&'t Told, &'t Role);

/// Findings of a mail that are told in full; the rest by their headlines.
const IN_FULL: usize = 8;
/// Headlines that are listed beside them.
const LISTED: usize = 50;

/// Why a mail cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("the attachment of a mail: {0}")]
    Csv(String),
}

/// What mails of a run share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'r> {
    pub config: &'r Config,
    /// The name of its commit, of which the ids of mails are made.
    pub name: &'r str,
    pub at: Instant,
    pub known_until: Instant,
}

pub(super) fn told(finding: &Finding, section: Section, config: &Config, now: Instant) -> Told {
    let thread = match finding {
        Finding::Threshold { standing, .. } | Finding::Forecast { standing } | Finding::Withdrawn { standing, .. } => {
            let id = standing.id();
            let name = id.scope.name().unwrap_or_default();
            Some(format!("{} {} {} {name}", id.scope.kind(), id.kind.name(), id.period))
        }
        _ => None,
    };
    Told { section, to: recipients::of(finding, config, now), thread }
}

/// The mails, by address; findings come with the gravest first.
pub(super) fn compose(told: &[Told], state: &State, run: Run<'_>) -> Result<Vec<Mail>, ComposeError> {
    let mut by_address: BTreeMap<String, (Mailbox, Vec<Reason<'_>>)> = BTreeMap::new();
    for it in told {
        for (mailbox, role) in &it.to {
            let (_, findings) =
                by_address.entry(mailbox.address.to_lowercase()).or_insert_with(|| (mailbox.clone(), Vec::new()));
            findings.push((it, role));
        }
    }
    by_address.into_values().map(|(mailbox, findings)| mail(mailbox, &findings, state, run)).collect()
}

fn mail(to: Mailbox, findings: &[Reason<'_>], state: &State, run: Run<'_>) -> Result<Mail, ComposeError> {
    let sections: Vec<&Section> = findings.iter().map(|(told, _)| &told.section).collect();
    let page = page(findings, run);
    let rendered = page.render()?;
    let mut threads: Vec<String> = findings.iter().filter_map(|(told, _)| told.thread.clone()).collect();
    let first_in = |thread: &String| state.threads.get(&(to.address.clone(), thread.clone())).cloned();
    let thread = threads.first().and_then(first_in);
    threads.sort();
    threads.dedup();
    let whose: String =
        Sha256::digest(to.address.to_lowercase())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("alert-{}-{whose}", run.name.to_lowercase().replace('.', "-"));
    let list = match findings.first().map(|(_, role)| role) {
        Some(Role::Owner(team)) => format!("{team}.alerts"),
        Some(Role::Finance) => "organization.alerts".to_owned(),
        Some(Role::Operator) | None => "operators.alerts".to_owned(),
    };
    let message = Message {
        id,
        date: run.at,
        from: run.config.mail.from.clone(),
        to,
        subject: subject(&sections),
        text: rendered.text,
        html: rendered.html,
        images: Vec::new(),
        attachments: vec![Attachment {
            file_name: format!("alerts-{}.csv", run.at.day()),
            content_type: "text/csv; charset=utf-8".to_owned(),
            bytes: attachment(&sections).map_err(|error| ComposeError::Csv(error.to_string()))?,
        }],
        list,
        thread,
    };
    Ok(Mail { sealed: message.seal()?, threads })
}

fn subject(sections: &[&Section]) -> String {
    let first = sections.first().map(|first| format!("[{}] {}", first.tag, first.headline)).unwrap_or_default();
    match sections.len() {
        0 | 1 => first,
        // What comes last must not be cut off.
        more => {
            let rest = format!(" + {} more", more - 1);
            let room = 190 - rest.len();
            let is_long = first.chars().count() > room;
            let first: String = if is_long { first.chars().take(room - 1).chain(['…']).collect() } else { first };
            format!("{first}{rest}")
        }
    }
}

fn page(findings: &[Reason<'_>], run: Run<'_>) -> Page {
    let mut page = Page::default();
    let Some(((first, _), others)) = findings.split_first() else { return page };
    let (first, count) = (&first.section, findings.len());
    page.label = if count == 1 { format!("Alert · {}", first.tag) } else { format!("{count} alerts") };
    page.news = format!("{}: {}", first.tag, first.headline);
    page.lead.clone_from(&first.lead);
    page.parts.clone_from(&first.parts);
    let (in_full, listed) = others.split_at(others.len().min(IN_FULL - 1));
    for (told, _) in in_full {
        let Section { tag, headline, lead, parts, .. } = &told.section;
        page.parts.push(Part::List { heading: format!("{tag}: {headline}"), items: lead.clone() });
        page.parts.extend(parts.iter().cloned());
    }
    if !listed.is_empty() {
        let headline = |(told, _): &Reason<'_>| format!("{}: {}", told.section.tag, told.section.headline);
        let mut items: Vec<String> = listed.iter().take(LISTED).map(headline).collect();
        let more = listed.len().saturating_sub(LISTED);
        if more > 0 {
            items.push(format!("and {more} more: all of them are in the attachment"));
        }
        page.parts.push(Part::List { heading: "And in short".to_owned(), items });
    }
    page.footer = footer(findings, run);
    page
}

fn footer(findings: &[Reason<'_>], run: Run<'_>) -> Footer {
    let mut roles: Vec<&Role> = findings.iter().map(|(_, role)| *role).collect();
    roles.sort();
    roles.dedup();
    let why: Vec<String> = roles
        .into_iter()
        .map(|role| match role {
            Role::Owner(team) => format!("you own the team {}", words::name(team)),
            Role::Finance => "you are told of the organization's money (`finance`)".to_owned(),
            Role::Operator => "you keep Spendbook running (`operators`)".to_owned(),
        })
        .take(5)
        .collect();
    let known = if run.known_until == run.at {
        format!("As of {}.", words::instant(run.at))
    } else {
        format!("As of {}; what was logged until {} is known.", words::instant(run.at), words::instant(run.known_until))
    };
    Footer {
        lines: vec![
            known,
            format!("This mail came because {}. Each alert comes once. The numbers are attached.", words::list(&why)),
        ],
        command: format!("spendbook --now {} status", run.at),
    }
}

/// Every number of a mail, exact, a row each.
fn attachment(sections: &[&Section]) -> Result<Vec<u8>, ::csv::Error> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["alert", "name", "period", "measure", "item", "value", "before"])?;
    for section in sections {
        for number in &section.numbers {
            let row = [
                section.kind,
                &csv::text(&section.name),
                &csv::text(section.period.as_deref().unwrap_or_default()),
                number.measure,
                &csv::text(&number.item),
                &number.value,
                number.before.as_deref().unwrap_or_default(),
            ];
            writer.write_record(row)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
