//! Who tells totals: one file per kind of answer, bytes in, rows out, and
//! beside it the questions that are asked for them. Knows nothing of the book
//! or of HTTP.
//!
//! What must hold: money comes from its digits and never from a float; token
//! columns are disjoint buckets, however the provider cuts them; what a
//! provider does not tell is `None`. A page with a line that cannot be read is
//! refused whole, since a total without it would be a wrong total.

mod anthropic_costs;
mod anthropic_usage;
mod groq_activity;
mod groq_prometheus;
mod groq_usage;
mod openai_costs;
mod openai_usage;
mod openrouter_activity;
mod pages;

pub(super) use pages::is_one_document;

use std::borrow::Cow;

use super::TotalRow;
use crate::{
    ingest::{accept, formats::Reject, names::Names},
    record::{Measure, Text},
    secrets,
    time::{Day, Instant},
};

/// A kind of answer.
pub(super) trait Teller: Sync + std::fmt::Debug {
    /// What a source's `format` says.
    fn name(&self) -> &'static str;

    /// Who bills, where the source does not say.
    fn provider(&self) -> &'static str;

    /// What its lines tell of.
    fn measure(&self) -> Measure {
        Measure::Usage
    }

    /// What is asked about these days; the answers to all of it are the whole
    /// of what is told of them. Nothing, where there is nobody to ask.
    fn questions(&self, days: Days) -> Vec<Question>;

    /// The header that the credential stands in; `None` for `Authorization: Bearer`.
    fn credential_header(&self) -> Option<&'static str> {
        None
    }

    /// Headers beside the usual.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How many days one question may be about.
    fn longest(&self) -> i32 {
        31
    }

    /// Whether all of a day takes the answers to several questions.
    fn has_kinds(&self) -> bool {
        false
    }

    /// Which days can be asked about.
    fn reach(&self) -> Reach {
        Reach { back: None, is_open_told: true }
    }

    /// Reads one page of an answer.
    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable>;
}

/// All of them, in the order of the documentation.
static TELLERS: [&dyn Teller; 8] = [
    &openai_usage::OpenAiUsage,
    &openai_costs::OpenAiCosts,
    &anthropic_usage::AnthropicUsage,
    &anthropic_costs::AnthropicCosts,
    &openrouter_activity::OpenRouterActivity,
    &groq_usage::GroqUsage,
    &groq_activity::GroqActivity,
    &groq_prometheus::GroqPrometheus,
];

/// The teller of a format; none for a format of logs.
pub(super) fn by_name(name: &str) -> Option<&'static dyn Teller> {
    TELLERS.into_iter().find(|teller| teller.name() == name)
}

/// The days `[from, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) from: Day,
    pub(super) until: Day,
}

/// Which days a provider tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// How many days back it remembers; `None` where that is no concern.
    pub(super) back: Option<i32>,
    /// Whether it tells about the day that is not over.
    pub(super) is_open_told: bool,
}

/// What is asked: the rest of an address, page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) path: &'static str,
    pub(super) query: Vec<(&'static str, String)>,
    /// What this is one of several questions about.
    pub(super) kind: &'static str,
}

/// Under what a page was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'t> {
    pub(super) source: &'t str,
    pub(super) provider: &'t str,
    pub(super) measure: Measure,
    pub(super) at: Instant,
    /// Whether it was told then for certain, and not only found in a file by then.
    pub(super) is_certain: bool,
    /// The question, where it is known; a recorded answer does not say it.
    pub(super) question: Option<&'t Question>,
    /// The file of a recorded answer.
    pub(super) file: &'t str,
}

/// A page of an answer.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) lines: Vec<Line>,
    /// Buckets in which there was nothing.
    pub(super) empty: Vec<(Instant, Instant)>,
    /// How many lines tell nothing that has a column, by what they are.
    pub(super) passed_over: u64,
    /// The token of the page after this one; `None` after the last.
    pub(super) next: Option<String>,
}

impl Page {
    /// Names the lines of no key, where the provider tells by key.
    pub(super) fn name_absent_keys(&mut self, told: &Told<'_>) {
        let name = |row: &mut TotalRow| row.key = Some(NO_KEY.to_owned());
        self.name_absent(told, "api_key_id", |row| row.key_id.is_some(), name);
    }

    /// Names the lines of no workspace, where the provider tells by workspace.
    pub(super) fn name_absent_workspaces(&mut self, told: &Told<'_>) {
        let name = |row: &mut TotalRow| row.project = Some(NO_PROJECT.to_owned());
        self.name_absent(told, "workspace_id", |row| row.project.is_some(), name);
    }

    /// Where an answer is by a name, as it was asked for or as it looks, a line
    /// without it is of nobody, and not of all.
    fn name_absent(&mut self, told: &Told<'_>, group: &str, is_named: fn(&TotalRow) -> bool, name: fn(&mut TotalRow)) {
        let is_told = told.question.map_or_else(
            || self.lines.iter().any(|line| is_named(&line.row)),
            |question| question.query.iter().any(|(_, value)| value == group),
        );
        self.lines.iter_mut().map(|line| &mut line.row).filter(|row| is_told && !is_named(row)).for_each(name);
    }
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) row: TotalRow,
    /// Which of a teller's questions it answers; empty where there is only one.
    pub(super) kind: &'static str,
    /// Names that have no column, and tell it apart from other lines.
    pub(super) apart: String,
}

/// Why a page cannot be read: where, what was found, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) String);

impl From<Reject> for Unreadable {
    fn from(reject: Reject) -> Self {
        Self(reject.detail)
    }
}

impl Told<'_> {
    /// A row of which only its time is known.
    ///
    /// # Errors
    /// Where it is no time that usage can have.
    fn row(&self, start: Instant, end: Instant) -> Result<TotalRow, Unreadable> {
        if !start.is_sane() || !end.is_sane() || end <= start {
            return Err(Unreadable(format!(
                "a line is about {start} to {end}, expected a span of time between 2020 and 2100"
            )));
        }
        Ok(TotalRow {
            covers_until: (end > self.at).then(|| self.at.max(start)),
            measure: self.measure,
            fetched_at: self.at,
            ..TotalRow::about(self.source, self.provider, start, end)
        })
    }
}

/// The name of a key where the provider tells by key, and of none: somebody
/// used the provider's own console.
const NO_KEY: &str = "(no key)";
/// The name of a project where the provider tells by project, and of none.
const NO_PROJECT: &str = "(default)";

/// A row as the book may have it: one spelling of tiers, and no secrets.
pub(super) fn safe(mut row: TotalRow, names: &Names) -> TotalRow {
    let redacted = |text: String| match secrets::redact(&text) {
        Cow::Owned(safe) => safe,
        Cow::Borrowed(_) => text,
    };
    for text in [&mut row.key_id, &mut row.project, &mut row.model, &mut row.tier, &mut row.line_item, &mut row.user] {
        *text = text.take().map(redacted);
    }
    row.key = row.key.map(|key| names.key(Text::Owned(key)).into_owned());
    row.user = row.user.and_then(|user| names.user(Text::Owned(user)).map(Text::into_owned));
    row.tier = row.tier.and_then(|tier| accept::tier(Text::Owned(tier)).map(Text::into_owned));
    row
}

#[cfg(test)]
mod testing {
    //! What the tests of every teller share.

    use super::*;
    use crate::{record::Quality, totals::tests::at};

    pub(super) const TOLD: &str = "2026-11-16T02:00:00Z";

    pub(super) fn told<'t>() -> Told<'t> {
        Told {
            source: "totals",
            provider: "someone",
            measure: Measure::Usage,
            at: at(TOLD),
            is_certain: true,
            question: None,
            file: "",
        }
    }

    /// A row on a line: what it is about, and everything that is not `None`.
    pub(super) fn shown(row: &TotalRow) -> String {
        let mut text = format!("{} {}", row.bucket_start, row.measure.name());
        if row.bucket_end != row.bucket_start.day().end() {
            text.push_str(&format!(" until={}", row.bucket_end));
        }
        let mut add = |name: &str, value: Option<String>| {
            text.extend(value.map(|value| format!(" {name}={value}")));
        };
        add("covers", row.covers_until.map(|it| it.to_string()));
        for (name, value) in [
            ("key", &row.key),
            ("key_id", &row.key_id),
            ("project", &row.project),
            ("user", &row.user),
            ("model", &row.model),
            ("tier", &row.tier),
            ("item", &row.line_item),
        ] {
            add(name, value.clone());
        }
        add("requests", row.requests.map(|it| it.to_string()));
        for info in &crate::record::METERS {
            add(info.column, row.quantities[info.meter].map(|it| it.to_string()));
        }
        add("total", row.total_tokens.map(|it| it.to_string()));
        add("cost", row.cost.map(|it| it.to_string().trim_end_matches('0').to_owned()));
        if row.quality != Quality::Reported {
            text.push_str(&format!(" {}", row.quality.name()));
        }
        text
    }

    pub(super) fn lines(teller: &dyn Teller, text: &str) -> Vec<String> {
        let page =
            teller.read(text, &Told { measure: teller.measure(), ..told() }).unwrap_or_else(|error| panic!("{error}"));
        page.lines.iter().map(|line| shown(&safe(line.row.clone(), &crate::ingest::names::PLAIN))).collect()
    }

    pub(super) fn refused(teller: &dyn Teller, text: &str) -> String {
        teller.read(text, &told()).unwrap_err().to_string()
    }

    /// The questions about a window, as addresses show them.
    pub(super) fn asked(teller: &dyn Teller, from: &str, until: &str) -> Vec<String> {
        let day = |text| Day::parse(text).unwrap();
        let questions = teller.questions(Days { from: day(from), until: day(until) });
        let query = |question: &Question| {
            question.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        questions.iter().map(|question| format!("{}?{}", question.path, query(question))).collect()
    }
}
