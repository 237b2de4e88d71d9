//! `spendbook export focus`: a month of charges as a FOCUS dataset.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueEnum};

use super::super::{
    Failure, Outcome, Session,
    listing::{self, counted},
    price,
    status::behind_lines,
};
use crate::{
    book::Book,
    export::focus::{self, Exported, Options, Version},
    night::Prices,
    periods::{Calendar, Period, PeriodSpan},
    time::Instant,
};

/// Writes the charges of a month in the columns of FOCUS, the specification that
/// tools of cost management share: `billing_period=YYYY-MM/` with `focus.parquet`,
/// `focus.csv` (the same rows) and `metadata.json`. A row is a day, a payer (team,
/// key, project) and a SKU price.
///
/// The whole month is replaced, each file in one step. Amounts are those of the
/// book, computed from logs and prices: estimates until they are reconciled with
/// an invoice. Requests without a price are left out and counted; what a fallback
/// priced says `Estimated` in `x_CostBasis`. `docs/EXPORTS.md` has every column.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spendbook export focus                     into `focus/` beside the config
  spendbook export focus --month last-month  the month before
  spendbook export focus --month 2026-11 --version 1.4 --output focus-1.4
  spendbook export focus --billing-account groq=org_01example
  duckdb -c \"SELECT sum(BilledCost) FROM 'focus/*/focus.parquet'\"")]
pub(in super::super) struct Arguments {
    /// The version of the specification
    #[arg(long = "version", id = "focus_version", value_enum, value_name = "VERSION", default_value_t = Of::V1_2)]
    version: Of,
    /// A month of UTC, such as `2026-11`, or `month` (that of now) or `last-month`
    #[arg(long, value_name = "MONTH", default_value = "month")]
    month: String,
    /// The directory of the months; `focus` beside the config where it is not given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A provider's own id of who is billed, for `BillingAccountId`; may be repeated
    #[arg(long, value_name = "PROVIDER=ID", value_parser = account)]
    billing_account: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.4")]
    V1_4,
}

fn account(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(provider, id)| !provider.is_empty() && !id.is_empty());
    let (provider, id) =
        pair.ok_or_else(|| "expected a provider and an id, such as `groq=org_01example`".to_owned())?;
    Ok((provider.to_owned(), id.to_owned()))
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let month = month(&arguments.month, now)?;
    let book = Book::open(&config.book_dir())?;
    let dir = arguments.output.clone().unwrap_or_else(|| config.dir.join("focus"));
    price::apart(&book, &dir)?;
    let prices = Prices::read(&config)?.book;
    let options = Options {
        version: match arguments.version {
            Of::V1_2 => Version::V1_2,
            Of::V1_4 => Version::V1_4,
        },
        month,
        dir,
        organization: config.organization.name.as_deref(),
        accounts: arguments.billing_account.iter().cloned().collect::<BTreeMap<_, _>>(),
        now,
    };
    let exported = focus::export(&book, &prices, &options)?;
    for line in behind_lines(&exported.behind) {
        tracing::warn!("{line}");
    }
    if let Some(day) = exported.pruned_until {
        tracing::warn!("what was before {day} was pruned, and is not in this month");
    }
    if !session.global.quiet {
        listing::print(&report(&options, &exported))?;
    }
    Ok(if exported.counts.unpriced_requests() > 0 { Outcome::SetAside } else { Outcome::Done })
}

fn month(text: &str, now: Instant) -> Result<PeriodSpan, Failure> {
    let calendar = Calendar { zone: chrono_tz::Tz::UTC, week_start: chrono::Weekday::Mon };
    let wrong = |error: anyhow::Error| Failure { error: error.context("`--month`"), code: 2 };
    if let Ok(month) = calendar.parse(text, now)
        && month.kind == Some(Period::Month)
    {
        return Ok(month);
    }
    Err(wrong(anyhow::anyhow!("found `{text}`, expected a month, such as `2026-11` or `last-month`")))
}

/// What was written, for a person.
fn report(options: &Options<'_>, exported: &Exported) -> String {
    let counts = &exported.counts;
    let many = |count: u64, what: &str| counted(i64::try_from(count).unwrap_or(i64::MAX), what);
    let priced = counts.requests - counts.unpriced_requests() - counts.free;
    let mut text = format!(
        "FOCUS {}, {} (UTC): {} for {}, {}\n",
        options.version.name(),
        options.month.name,
        many(counts.rows, "row"),
        many(priced, "request"),
        counts.cost.shown(),
    );
    for file in &exported.files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    if counts.days.is_empty() {
        text.push_str("the book has no charges of this month: the files hold no rows\n");
    }
    if counts.estimated_requests > 0 {
        let tenths = counts.estimated_tenths();
        let percent = format!("{}.{} %", tenths / 10, tenths % 10);
        let requests = many(counts.estimated_requests, "request");
        let cost = counts.estimated_cost.shown();
        text.push_str(&format!("estimated: {cost} of it ({percent}), {requests} with a fallback price\n"));
    }
    if counts.unpriced_requests() > 0 {
        let requests = many(counts.unpriced_requests(), "request");
        text.push_str(&format!("left out: {requests} without a price; `metadata.json` names their models\n"));
    }
    text.push_str("computed from logs and prices, not from invoices: estimates until they are reconciled\n");
    text
}
