//! Listings: what a command has to list, made once, and written as a table for
//! people or as CSV, JSON or Parquet for programs. Everything a command says on
//! standard output goes through here.
//!
//! A [`Page`] is facts, texts and [`Listing`]s. A table shows all of them, with
//! amounts rounded; JSON has the facts and every listing, CSV and Parquet the
//! first listing, with exact amounts, every column, and nothing that depends on
//! terminal or machine. Bars and the width of the window are for terminals
//! only, so that a pipe gets the same text everywhere, without colours.

mod data;

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

pub(super) use crate::report::render::words::{count, counted};
use crate::{
    money::Usd,
    report::{
        Value,
        render::words::{self, signed},
    },
    time::Instant,
};

/// How a listing is written, and where.
#[derive(Debug, Args)]
pub(super) struct To {
    /// How to write it: a table for people, or exact data
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write it to this file, all at once, instead of standard output
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// How a listing is written to standard output, for commands whose `--output`
/// is something else.
#[derive(Debug, Args)]
pub(super) struct As {
    /// How to write it: a table for people, or exact data
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl As {
    /// Writes a page.
    ///
    /// # Errors
    /// Where it cannot be written there.
    pub(super) fn write(&self, page: &Page) -> anyhow::Result<()> {
        To { format: self.format, output: None }.write(page)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}

impl To {
    /// As data for programs.
    pub(super) fn data(is_parquet: bool, output: Option<PathBuf>) -> Self {
        Self { format: if is_parquet { Format::Parquet } else { Format::Csv }, output }
    }

    /// Writes a page.
    ///
    /// # Errors
    /// Where it cannot be written there.
    pub(super) fn write(&self, page: &Page) -> anyhow::Result<()> {
        let is_terminal = self.output.is_none() && io::stdout().is_terminal();
        let bytes = match self.format {
            Format::Table => page.text(is_terminal).into_bytes(),
            Format::Json => data::json(page)?,
            Format::Csv => data::csv(page.first())?,
            Format::Parquet if is_terminal => {
                bail!("Parquet is not for a terminal: name a file with `--output`, or send it to a program")
            }
            Format::Parquet => data::parquet(page.first())?,
        };
        match &self.output {
            Some(path) => replace(path, &bytes),
            None => Ok(print_bytes(&bytes)?),
        }
    }
}

/// What a column holds, and so how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Count,
    Usd,
    /// A decimal with all its digits, also for people: it need not be money.
    Decimal,
    /// Of a calculation that has no exact result.
    Float,
    /// Whole percents, rounded down.
    Percent,
    /// Tenths of a percent, rounded down.
    Tenths,
    Instant,
    Flag,
    /// Tenths of a percent, as a bar.
    Bar,
}

/// Where a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Everywhere,
    /// Only for programs.
    Data,
    /// Only for people: what other columns say, in fewer words.
    Table,
}

/// A column of a listing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// In data; in a table with blanks for underscores.
    name: &'static str,
    kind: Kind,
    place: Place,
}

impl Column {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, place: Place::Everywhere }
    }

    pub(super) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    pub(super) const fn count(name: &'static str) -> Self {
        Self::new(name, Kind::Count)
    }

    pub(super) const fn usd(name: &'static str) -> Self {
        Self::new(name, Kind::Usd)
    }

    /// Cells are amounts, of whatever unit.
    pub(super) const fn decimal(name: &'static str) -> Self {
        Self::new(name, Kind::Decimal)
    }

    pub(super) const fn float(name: &'static str) -> Self {
        Self::new(name, Kind::Float)
    }

    /// Whole percents.
    pub(super) const fn percent(name: &'static str) -> Self {
        Self::new(name, Kind::Percent)
    }

    /// Cells are numbers of tenths of a percent.
    pub(super) const fn tenths(name: &'static str) -> Self {
        Self::new(name, Kind::Tenths)
    }

    pub(super) const fn instant(name: &'static str) -> Self {
        Self::new(name, Kind::Instant)
    }

    pub(super) const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag)
    }

    /// Tenths of a percent as a bar; on terminals only.
    pub(super) const fn bar() -> Self {
        Self { name: "", kind: Kind::Bar, place: Place::Table }
    }

    /// Not in tables.
    pub(super) const fn in_data(self) -> Self {
        Self { place: Place::Data, ..self }
    }

    /// In tables only.
    pub(super) const fn in_table(self) -> Self {
        Self { place: Place::Table, ..self }
    }

    fn is_shown(&self, is_terminal: bool) -> bool {
        self.place != Place::Data && (self.kind != Kind::Bar || is_terminal)
    }
}

/// A value; `Null` is not known, or does not apply.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    /// A count, percents or tenths of a percent, as its column says.
    Number(i64),
    Float(f64),
    Usd(Usd),
    Instant(Instant),
    Flag(bool),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Usd> for Cell {
    fn from(amount: Usd) -> Self {
        Self::Usd(amount)
    }
}

impl From<Instant> for Cell {
    fn from(instant: Instant) -> Self {
        Self::Instant(instant)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Text(text) => Self::Text(text),
            Value::Number(number) => Self::Number(number),
            Value::Usd(amount) => Self::Usd(amount),
            Value::Instant(instant) => Self::Instant(instant),
            Value::Flag(flag) => Self::Flag(flag),
        }
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Cell {
    /// For people.
    fn shown(&self, kind: Kind) -> String {
        match (self, kind) {
            (Self::Null, _) => String::new(),
            (Self::Text(text), _) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
            (Self::Number(number), Kind::Percent) => format!("{} %", signed(*number)),
            (Self::Number(tenths), Kind::Tenths) => words::tenths(*tenths),
            (Self::Number(tenths), Kind::Bar) => bar(*tenths),
            (Self::Number(number), _) => signed(*number),
            (Self::Float(number), _) => number.to_string(),
            (Self::Usd(amount), Kind::Decimal) => short_decimal(&amount.to_string()).to_owned(),
            (Self::Usd(amount), _) => amount.shown(),
            (Self::Instant(instant), _) => instant.to_string(),
            (Self::Flag(flag), _) => if *flag { "yes" } else { "no" }.to_owned(),
        }
    }
}

/// Rows under columns.
#[derive(Debug)]
pub(super) struct Listing {
    /// Of its array in JSON.
    name: &'static str,
    /// Of the columns, in their order.
    names: Vec<Cow<'static, str>>,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// Whether somebody else has chosen the columns, as many as they like.
    is_of_others: bool,
}

impl Listing {
    pub(super) fn new(name: &'static str, columns: &[Column]) -> Self {
        let names = columns.iter().map(|column| column.name.into()).collect();
        Self { name, names, columns: columns.to_vec(), rows: Vec::new(), is_of_others: false }
    }

    /// A listing whose columns somebody else has named: the names that they
    /// bring are not used.
    pub(super) fn named(name: &'static str, columns: Vec<(String, Column)>) -> Self {
        let (names, columns) = columns.into_iter().map(|(name, column)| (Cow::Owned(name), column)).unzip();
        Self { name, names, columns, rows: Vec::new(), is_of_others: true }
    }

    /// Adds a row: a cell for each column, in their order.
    pub(super) fn push(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a row of `{}` has another width", self.name);
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A column's name for people; one that somebody else gave stays as it is.
    fn header(&self, at: usize) -> String {
        match &self.names[at] {
            Cow::Borrowed(name) => name.replace('_', " "),
            Cow::Owned(name) => Cell::from(name.as_str()).shown(Kind::Text),
        }
    }

    /// As a table; on a terminal that is too narrow for it, one whose columns
    /// somebody else has chosen is written row by row.
    pub(super) fn text(&self, is_terminal: bool) -> String {
        let width = Table::new().width().filter(|_| is_terminal).map(usize::from);
        self.text_within(width, is_terminal)
    }

    fn text_within(&self, width: Option<usize>, is_terminal: bool) -> String {
        let shown: Vec<(usize, &Column)> =
            self.columns.iter().enumerate().filter(|(_, column)| column.is_shown(is_terminal)).collect();
        let header: Vec<String> = shown.iter().map(|&(at, _)| self.header(at)).collect();
        let row = |cells: &Vec<Cell>| shown.iter().map(|&(at, column)| cells[at].shown(column.kind)).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(row).collect();
        let is_left = |kind| matches!(kind, Kind::Text | Kind::Instant | Kind::Flag | Kind::Bar);
        let alignments: Vec<_> = shown
            .iter()
            .map(|(_, column)| if is_left(column.kind) { CellAlignment::Left } else { CellAlignment::Right })
            .collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        if self.is_of_others && width.is_some_and(|width| least_width(&header, &rows) > width) {
            return row_by_row(&header, &rows);
        }
        aligned(&header, &rows, &alignments, is_terminal)
    }
}

/// The width of a table whose cells are not broken into lines.
fn least_width(header: &[&str], rows: &[Vec<String>]) -> usize {
    let width_of = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or_default()
    };
    // Each with a blank on both sides.
    (0..header.len()).map(|at| width_of(at) + 2).sum()
}

/// Each row as lines of a name and a value, under its number.
fn row_by_row(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = header.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text.push_str(&format!("-- {}\n", number + 1));
        for (name, value) in header.iter().zip(row) {
            text.push_str(format!(" {name:width$}  {value}").trim_end());
            text.push('\n');
        }
    }
    text
}

/// What a command has to say.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Told in JSON beside the listings; the texts tell them to people.
    facts: Vec<(&'static str, Cell)>,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// For people only.
    Text(String),
    Listing(Listing),
    /// For programs only.
    Data(Listing),
}

impl Page {
    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<Cell>) -> &mut Self {
        self.facts.push((name, value.into()));
        self
    }

    /// Lines for people.
    pub(super) fn say(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// A listing. The first one is what CSV and Parquet hold.
    pub(super) fn list(&mut self, listing: Listing) -> &mut Self {
        self.parts.push(Part::Listing(listing));
        self
    }

    /// A listing that the texts tell to people.
    pub(super) fn data(&mut self, listing: Listing) -> &mut Self {
        self.parts.push(Part::Data(listing));
        self
    }

    pub(super) fn text(&self, is_terminal: bool) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Listing(listing) if listing.is_empty() => String::new(),
            Part::Listing(listing) => listing.text(is_terminal),
            Part::Data(_) => String::new(),
        };
        self.parts.iter().map(text).collect()
    }

    fn listings(&self) -> impl Iterator<Item = &Listing> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Listing(listing) | Part::Data(listing) => Some(listing),
        })
    }

    fn first(&self) -> Option<&Listing> {
        self.listings().next()
    }
}

/// Writes text to standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Puts a file into its place in one step.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    crate::replace::replace(path, bytes).with_context(|| format!("`{}` cannot be written", path.display()))
}

/// A table of text: the first column to the left, the others, numbers, to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut alignments = vec![CellAlignment::Right; header.len()];
    alignments[..1].fill(CellAlignment::Left);
    aligned(header, rows, &alignments, io::stdout().is_terminal())
}

/// A table of words: every column to the left.
pub(super) fn words(header: &[&str], rows: &[Vec<String>]) -> String {
    aligned(header, rows, &vec![CellAlignment::Left; header.len()], io::stdout().is_terminal())
}

fn aligned(header: &[&str], rows: &[Vec<String>], alignments: &[CellAlignment], is_terminal: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    if is_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    for (column, alignment) in table.column_iter_mut().zip(alignments) {
        column.set_cell_alignment(*alignment);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// A decimal without zeros at its end.
fn short_decimal(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

/// A bar of up to 20 characters for tenths of a percent, to an eighth of one.
fn bar(tenths: i64) -> String {
    const WIDTH: i64 = 20;
    let eighths = tenths.clamp(0, 1000) * WIDTH * 8 / 1000;
    let parts = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let whole = "█".repeat(usize::try_from(eighths / 8).unwrap_or_default());
    let rest = usize::try_from(eighths % 8).ok().and_then(|rest| parts.get(rest.checked_sub(1)?));
    whole + &rest.map(char::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        for (tenths, expect) in [(-5, ""), (0, ""), (6, ""), (7, "▏"), (50, "█"), (93, "█▊"), (100, "██")] {
            assert_eq!(bar(tenths), expect, "{tenths}");
        }
        assert_eq!(bar(1000).chars().count(), 20);
        assert_eq!(bar(i64::MAX), bar(1000));
    }

    #[test]
    fn what_is_too_wide_for_a_terminal_is_written_row_by_row() {
        let columns = [("team", Column::text("")), ("cost_of_größe", Column::usd(""))];
        let columns = columns.map(|(name, column)| (name.to_owned(), column)).to_vec();
        let mut listing = Listing::named("rows", columns);
        listing.push(vec!["chatbot".into(), Usd::parse("1.5").unwrap().into()]);
        listing.push(vec![Cell::Null, Usd::ZERO.into()]);
        let wide = " team     cost_of_größe\n chatbot          $1.50\n                  $0.00\n";
        for width in [None, Some(24)] {
            assert_eq!(listing.text_within(width, true), wide, "{width:?}");
        }
        let tall = "-- 1\n team           chatbot\n cost_of_größe  $1.50\n-- 2\n team\n cost_of_größe  $0.00\n";
        assert_eq!(listing.text_within(Some(23), true), tall);
        // The columns of a command are chosen to fit.
        let mut own = Listing::new("rows", &[Column::text("team"), Column::text("cost")]);
        own.push(vec!["chatbot".into(), "much".into()]);
        assert!(!own.text_within(Some(5), false).starts_with("--"));
    }

    #[test]
    fn a_cell_is_shown_as_its_column_says() {
        let usd = Usd::parse("1234.565").unwrap();
        for (cell, kind, expect) in [
            (Cell::Null, Kind::Usd, ""),
            (Cell::Number(-1_234), Kind::Count, "-1,234"),
            (Cell::Number(82), Kind::Percent, "82 %"),
            (Cell::Number(12_345), Kind::Tenths, "1,234.5 %"),
            (Cell::Number(-5), Kind::Tenths, "-0.5 %"),
            (Cell::Usd(usd), Kind::Usd, "$1,234.56"),
            (Cell::Usd(usd), Kind::Decimal, "1234.565"),
            (Cell::Usd(Usd::parse("600").unwrap()), Kind::Decimal, "600"),
            (Cell::Float(0.25), Kind::Float, "0.25"),
            (Cell::Flag(true), Kind::Flag, "yes"),
            // What a log calls a key must not steer a terminal.
            (Cell::from("\u{1b}[2Jkey\n"), Kind::Text, "\u{fffd}[2Jkey\u{fffd}"),
        ] {
            assert_eq!(cell.shown(kind), expect);
        }
    }
}
