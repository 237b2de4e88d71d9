//! The doctor: looks at everything a night needs, changes nothing, and says
//! what to fix. Each finding is one [`Check`].
//!
//! It takes no lock and works beside a run. A warning is something that works
//! and should be looked at; a problem stops a night, or makes it pointless.
//! It logs in to the mail server, and sends nothing.

mod book;
mod keys;
mod mail;
mod providers;
mod sources;
mod totals;

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use crate::{
    book::Book,
    config::Config,
    pricing::{self, Finding},
    report,
    time::Instant,
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    Warning,
    Problem,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `config`, `book`, `source gateway`, …
    pub subject: String,
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, where there is something to do.
    pub cure: Option<String>,
}

impl Check {
    fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), state: State::Ok, found: found.into(), cure: None }
    }

    fn warning(subject: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { state: State::Warning, cure: Some(cure.into()), ..Self::ok(subject, found) }
    }

    fn problem(subject: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { state: State::Problem, ..Self::warning(subject, found, cure) }
    }
}

/// Looks at everything that the config file at `path` names.
pub fn examine(path: &Path, now: Instant) -> Vec<Check> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            let cure = "correct it, or write a new one with `spendbook init`; the rest is checked once it can be read";
            return vec![Check::problem("config", errors.to_string().trim_end(), cure)];
        }
    };
    let mut checks = check_config(&config);
    checks.extend(check_prices(&config));
    let stored = Book::open(&config.book_dir());
    checks.extend(book::check(&config, stored.as_ref()));
    let is_broken = book::is_broken(&checks);
    let stored = stored.ok();
    // Why the book cannot be listed has been said.
    let heard = stored.as_ref().and_then(|book| report::last_heard(book, &config.sources).ok()).unwrap_or_default();
    for source in &config.sources {
        checks.extend(sources::check(&config, source, heard.get(&source.name).copied(), now));
    }
    for source in &config.totals {
        checks.push(totals::check(&config, source, stored.as_ref(), now));
    }
    if let Some(book) = &stored {
        checks.extend(sources::check_overlaps(&config, book));
        checks.extend(keys::check_unused(&config, book, now));
        checks.extend(providers::check(book, is_broken, now));
    }
    checks.extend(mail::check(&config, stored.as_ref()));
    checks.push(check_clock(&heard, now));
    checks
}

fn check_config(config: &Config) -> Vec<Check> {
    let counts = [
        counted(config.sources.len() + config.totals.len(), "source"),
        counted(config.teams.len(), "team"),
        counted(config.keys.len(), "key"),
    ];
    let mut checks = vec![Check::ok("config", format!("`{}`: {}", config.path.display(), counts.join(", ")))];
    if config.sources.is_empty() {
        let found = match config.totals.len() {
            0 => "there is no `[[source]]`, so there is nothing to read",
            _ => "every `[[source]]` is one of totals, which are held against requests: there are no requests",
        };
        checks.push(Check::warning("config", found, "name a log: its `name`, `format` and `path`"));
    }
    for team in config.teams.values().filter(|team| team.owners.is_empty()) {
        checks.push(Check::warning(
            "config",
            format!("team `{}` has no `owners`: nobody is told what it spends", team.name),
            format!("add `owners = [\"…@…\"]` to `[teams.{}]`", team.name),
        ));
    }
    checks
}

/// Findings that are shown one by one.
const SHOWN: usize = 5;

fn check_prices(config: &Config) -> Vec<Check> {
    let subject = "price book";
    let draft = pricing::read(&config.pricing_dir());
    let findings = draft.check(None);
    let mut checks: Vec<Check> = findings.iter().take(SHOWN).map(|finding| of_finding(subject, finding)).collect();
    if findings.len() > SHOWN {
        let more = findings[SHOWN..].iter().map(|finding| of_finding(subject, finding).state).max();
        checks.push(Check {
            state: more.unwrap_or(State::Warning),
            cure: Some("correct these first".to_owned()),
            ..Check::ok(subject, format!("and {} more", findings.len() - SHOWN))
        });
    }
    let Ok(book) = draft.into_book() else { return checks };
    checks.extend(keys::check_models(config, &book));
    let mut models: Vec<_> = book.prices().iter().map(|price| (&price.provider, &price.model)).collect();
    models.sort_unstable();
    models.dedup();
    let found = format!("{} for {}", counted(book.prices().len(), "price"), counted(models.len(), "model"));
    checks.insert(0, Check::ok(subject, format!("`{}`: {found}", shown(&config.pricing_dir()))));
    for source in &config.sources {
        let Some(provider) = &source.provider else { continue };
        if !book.prices().iter().any(|price| price.provider == *provider) {
            checks.push(Check::warning(
                subject,
                format!("no price of `{provider}`, who bills for source `{}`", source.name),
                format!("add `{provider}.csv` to the price book, or correct the source's `provider`"),
            ));
        }
    }
    checks
}

fn of_finding(subject: &str, finding: &Finding) -> Check {
    let file = shown(Path::new(&finding.file));
    let place = finding.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
    let found = format!("{place}: {}", finding.message);
    let new = if finding.is_error() { Check::problem } else { Check::warning };
    new(subject, found, finding.cure.clone())
}

/// A clock that is a little behind is no reason to wake anybody.
const TOLERATED_MICROS: i64 = 10 * 60 * 1_000_000;

fn check_clock(heard: &BTreeMap<String, Instant>, now: Instant) -> Check {
    let subject = "clock";
    if !now.is_sane() {
        return Check::problem(subject, format!("it is {now}, expected 2020 to 2100"), "set this machine's clock");
    }
    match heard.iter().max_by_key(|(_, at)| **at) {
        Some((source, &at)) if at > now.plus_micros(TOLERATED_MICROS) => Check::warning(
            subject,
            format!("it is {now}, and source `{source}` has a request of {at}"),
            "set this machine's clock, or the `timezone` of that source",
        ),
        _ => Check::ok(subject, now.to_string()),
    }
}

/// A path as a person would write it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

/// `1 file`, `3 files`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
