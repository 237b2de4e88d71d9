//! `spendbook query`: SQL over the tables of the book, and what there is to ask.

use std::panic;

use anyhow::Context;
use clap::Args;
use polars::prelude::*;

use super::{
    Failure, Outcome, Session,
    listing::{Cell, Column, Listing, Page, To},
    status,
};
use crate::{
    book::Book,
    money::Usd,
    report::{self, Asked, DATE_DOC, QueryError, TABLES, Table},
    time::{Day, Instant},
};

/// Answers a SELECT over the tables of the book (`usage`, `charges`, `rollup`,
/// `violations`) and over `prices`, `teams`, `keys` and `budgets` as they are
/// now. It only reads, and works beside a run.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// A SELECT, in one argument
    #[arg(required_unless_present_any = ["list", "describe"])]
    sql: Option<String>,
    /// List the tables, and which days they have
    #[arg(long, conflicts_with_all = ["sql", "describe"])]
    list: bool,
    /// Show the columns of a table, with their types and meaning
    #[arg(long, value_name = "TABLE", value_parser = table, conflicts_with = "sql")]
    describe: Option<&'static Table>,
    #[command(flatten)]
    to: To,
}

const AFTER_HELP: &str = "\
A table of files has a column `date`, the UTC day: compare it, and only those
days are read. A NULL is not known, and not 0. docs/QUERY.md says more.

Examples:
  spendbook query --list              the tables, and which days they have
  spendbook query --describe charges  the columns of one of them
  spendbook query \"SELECT team, sum(cost) AS cost FROM rollup GROUP BY team\"
  spendbook query \"SELECT * FROM violations\" --format csv --output found.csv
  spendbook query \"SELECT meter, price_usd, per FROM prices WHERE in_force\"";

fn table(name: &str) -> Result<&'static Table, String> {
    let names = || TABLES.iter().map(|table| format!("`{}`", table.name)).collect::<Vec<_>>().join(", ");
    Table::named(name).ok_or_else(|| format!("expected one of {}", names()))
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut page = Page::default();
    if let Some(table) = arguments.describe {
        page.list(columns(table));
        arguments.to.write(&page)?;
        return Ok(Outcome::Done);
    }
    if let Some(sql) = &arguments.sql {
        return answer(session, sql, &arguments.to);
    }
    page.list(tables(&Book::open(&session.config()?.book_dir())?)?);
    arguments.to.write(&page)?;
    Ok(Outcome::Done)
}

/// Writes the answer to a SELECT.
pub(super) fn answer(session: &Session, sql: &str, to: &To) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let book = Book::open(&config.book_dir())?;
    let asked = Asked { book: &book, config: &config, now: session.clock.now() };
    // What the engine cannot do may be a panic, which is told as any mistake is.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
    let answer = report::query(&asked, sql);
    panic::set_hook(hook);
    let answer = answer.map_err(|error| {
        let code = if error.is_about_what_was_written() { 2 } else { 1 };
        Failure { error: QueryError::into(error), code }
    })?;
    for line in status::behind_lines(&answer.behind) {
        tracing::warn!("{line}");
    }
    let mut page = Page::default();
    page.list(rows(&answer.frame)?);
    to.write(&page)?;
    Ok(Outcome::Done)
}

fn tables(book: &Book) -> anyhow::Result<Listing> {
    let columns = [
        Column::text("table"),
        Column::count("days"),
        Column::text("first_day"),
        Column::text("last_day"),
        Column::text("about"),
    ];
    let mut listing = Listing::new("tables", &columns);
    for table in &TABLES {
        let mut days: Vec<Day> = table.files(book)?.into_iter().map(|(day, _)| day).collect();
        days.dedup();
        let count = table.has_files().then(|| i64::try_from(days.len())).transpose()?;
        let text = |day: Option<&Day>| day.map(Day::to_string);
        listing.push(vec![
            table.name.into(),
            count.into(),
            text(days.first()).into(),
            text(days.last()).into(),
            table.about.into(),
        ]);
    }
    Ok(listing)
}

fn columns(table: &Table) -> Listing {
    let columns = [Column::text("column"), Column::text("type"), Column::flag("nullable"), Column::text("meaning")];
    let mut listing = Listing::new("columns", &columns);
    for column in table.columns() {
        let kind = report::sql_type(column.kind);
        listing.push(vec![column.name.into(), kind.into(), column.nullable.into(), column.doc.into()]);
    }
    if table.has_files() {
        listing.push(vec!["date".into(), "DATE".into(), false.into(), DATE_DOC.into()]);
    }
    listing
}

/// An answer as a listing: what is exact stays exact.
fn rows(frame: &DataFrame) -> anyhow::Result<Listing> {
    let columns = frame.columns().iter().map(|column| (column.name().to_string(), kind(column.dtype()))).collect();
    let mut listing = Listing::named("rows", columns);
    for row in 0..frame.height() {
        let cells = frame.columns().iter().map(|column| {
            let value = column.get(row)?;
            cell(&value).with_context(|| format!("`{}` in row {}: `{value}` is too large", column.name(), row + 1))
        });
        listing.push(cells.collect::<anyhow::Result<_>>()?);
    }
    Ok(listing)
}

fn kind(of: &DataType) -> Column {
    match of {
        DataType::Boolean => Column::flag(""),
        DataType::Decimal(_, scale) if *scale <= USD_SCALE => Column::decimal(""),
        DataType::Datetime(TimeUnit::Microseconds, Some(_)) => Column::instant(""),
        of if of.is_integer() => Column::count(""),
        of if of.is_float() => Column::float(""),
        // Dates, spans of time, texts, and whatever else an engine can make.
        _ => Column::text(""),
    }
}

/// Digits after the point that an amount has.
const USD_SCALE: usize = 12;

/// `None` where it is larger than any amount or count of a listing.
fn cell(value: &AnyValue<'_>) -> Option<Cell> {
    Some(match value {
        AnyValue::Null => Cell::Null,
        AnyValue::Boolean(flag) => (*flag).into(),
        AnyValue::String(text) => (*text).into(),
        AnyValue::StringOwned(text) => text.as_str().into(),
        AnyValue::Float32(number) => f64::from(*number).into(),
        AnyValue::Float64(number) => (*number).into(),
        AnyValue::Date(days) => Day::from_days(*days).to_string().into(),
        AnyValue::Datetime(micros, TimeUnit::Microseconds, Some(_))
        | AnyValue::DatetimeOwned(micros, TimeUnit::Microseconds, Some(_)) => Instant::from_micros(*micros).into(),
        AnyValue::Decimal(digits, _, scale) if *scale <= USD_SCALE => {
            let factor = 10_i128.pow(u32::try_from(USD_SCALE - scale).ok()?);
            Usd::from_pico(digits.checked_mul(factor)?)?.into()
        }
        AnyValue::UInt64(number) => i64::try_from(*number).ok()?.into(),
        AnyValue::Int128(number) => i64::try_from(*number).ok()?.into(),
        value if value.is_integer() => value.extract::<i64>()?.into(),
        value => value.to_string().into(),
    })
}
