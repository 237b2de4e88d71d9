//! How reports look: a [`Page`] of words and numbers becomes the text and the
//! HTML of a mail.
//!
//! Pure: the same page, the same bytes. Every text on it is escaped where it is
//! written, the HTML asks nothing of the network, is made of tables with inline
//! styles, and knows light and dark. The plain text stands alone: everything
//! that the HTML says is in it. What the news is, and what is worth a part, is
//! for `alerts` and `weekly` to decide.

pub(crate) mod chart;
pub(crate) mod csv;
mod html;
mod palette;
mod text;
pub(crate) mod words;

use serde::Serialize;

/// Why a page cannot be written: a mistake in a template.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the template of a mail: {0:#}")]
    Template(#[from] minijinja::Error),
    #[error("the layout of a mail: {0}")]
    Layout(String),
    #[error("the chart of a mail: {0}")]
    Chart(String),
}

/// What a mail says, from top to bottom.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Page {
    /// What it is, above the news: `Weekly summary · chatbot`.
    pub label: String,
    /// The news, as a sentence.
    pub news: String,
    /// What follows from it, a paragraph each.
    pub lead: Vec<String>,
    pub parts: Vec<Part>,
    pub footer: Footer,
}

/// How the numbers were made, and how to make them again.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Footer {
    /// Sentences: period, zone, prices, why it came.
    pub lines: Vec<String>,
    /// The command by which every number recomputes.
    pub command: String,
}

/// A part of a page.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Part {
    /// The few numbers that matter; two or four look best.
    Figures {
        figures: Vec<Figure>,
    },
    /// How much of something is used up.
    Meters {
        heading: String,
        meters: Vec<Meter>,
    },
    Table(Table),
    /// Sentences, one beside the other.
    List {
        heading: String,
        items: Vec<String>,
    },
    /// What must not be overlooked.
    Note {
        tone: Tone,
        text: String,
    },
    Chart(Picture),
}

/// A number that matters.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figure {
    pub label: String,
    pub value: String,
    /// What it is held against.
    pub note: String,
    pub tone: Tone,
}

/// How much of something is used up.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Meter {
    pub label: String,
    /// `$164.10 of $200.00`.
    pub value: String,
    /// Whole percents, for the bar; a bar ends at 100.
    pub percent: i64,
    /// As it is written.
    pub shown: String,
    /// What is to be expected.
    pub note: String,
    pub tone: Tone,
}

/// Rows under columns; a table without titles is a list of facts.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Table {
    pub heading: String,
    /// Below the heading: what is counted, and what is not.
    pub note: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// `and 12 more`.
    pub more: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Column {
    pub title: String,
    /// Numbers stand to the right, one below the other.
    pub is_number: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub cells: Vec<String>,
    /// Under the first cell, in small letters.
    pub below: String,
    /// Tenths of a percent, as a bar under the first cell.
    pub bar: Option<i64>,
    /// A sum of what is above it.
    pub is_total: bool,
}

/// A picture that travels with the mail.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Picture {
    pub heading: String,
    /// The content id by which the HTML names it.
    pub cid: String,
    /// What is on it, with its figures: for those who cannot see it.
    pub alt: String,
    /// The width at which it is shown; it has twice as many pixels.
    pub width: u32,
    /// The same as rows of text.
    pub rows: Vec<Row>,
    pub columns: Vec<Column>,
}

/// How grave something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    #[default]
    Plain,
    Warning,
    Grave,
}

/// A page as a mail has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub text: String,
    pub html: String,
}

impl Page {
    /// Writes it.
    ///
    /// # Errors
    /// Never in practice: where a template has a mistake.
    pub(crate) fn render(&self) -> Result<Rendered, RenderError> {
        Ok(Rendered { text: text::write(self), html: html::write(self)? })
    }
}

impl Column {
    pub(crate) fn text(title: &str) -> Self {
        Self { title: title.to_owned(), is_number: false }
    }

    pub(crate) fn number(title: &str) -> Self {
        Self { title: title.to_owned(), is_number: true }
    }
}

impl Row {
    pub(crate) fn new(cells: impl Into<Vec<String>>) -> Self {
        Self { cells: cells.into(), ..Self::default() }
    }
}

impl Table {
    /// A table of facts: a name and a value each.
    pub(crate) fn facts(heading: &str, facts: impl IntoIterator<Item = (String, String)>) -> Self {
        let rows = facts.into_iter().map(|(name, value)| Row::new([name, value])).collect();
        let columns = vec![Column::text(""), Column::number("")];
        Self { heading: heading.to_owned(), columns, rows, ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
