//! `spendbook pricing import`: other people's price lists as rows for review.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::{
    super::{Failure, Outcome, Session, day, listing, listing::counted},
    last_pricing,
};
use crate::{
    ingest::formats::provider,
    pricing::{
        self, Draft, Finding, Refused,
        import::{self, Additions, Origin, Spelling, Wanted},
    },
    time::Day,
};

/// Writes the rows of a price list that the price book lacks.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads LiteLLM's model_prices_and_context_window.json, and the data.json (in its
package: data.py) of genai-prices. Rows are only added: what the book says
already is left out, what differs becomes a row from today on, and what the book
cannot say is counted with the reason. Nothing is written unless the whole book
passes `pricing check` with the rows in it. Both lists are in packages on PyPI:
`pip download --no-deps litellm genai-prices`, then unzip.

Examples:
  spendbook pricing import data.json --provider openai --dry-run
  spendbook pricing import data.json --provider anthropic --model 'claude-*'
  spendbook pricing import data.json --provider mistral --valid-from 2026-01-01
  spendbook pricing import data.json --output pricing/imported.csv")]
pub(in crate::cli) struct Arguments {
    /// The price list
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whose list it is; found out where it is not given
    #[arg(long, value_enum)]
    from: Option<From>,
    /// Only this provider, as `usage` names it; can be given several times
    #[arg(long, value_name = "PROVIDER")]
    provider: Vec<String>,
    /// Only models like this, such as `gpt-5*`; can be given several times
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    model: Vec<glob::Pattern>,
    /// From when prices without a date apply; today where it is not given
    #[arg(long, value_name = "DAY", value_parser = day)]
    valid_from: Option<Day>,
    /// The price book to compare with; that of the config where it is not given
    #[arg(long, value_name = "DIR")]
    pricing: Option<PathBuf>,
    /// Write the rows to this file, at its end where it is there; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Show every row, and everything that is left out; write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    Litellm,
    GenaiPrices,
}

fn pattern(text: &str) -> Result<glob::Pattern, String> {
    glob::Pattern::new(text).map_err(|error| format!("expected a pattern, such as `gpt-5*`: {}", error.msg))
}

/// One spelling with `usage`, so that the rows can match.
const SPELLING: Spelling = Spelling {
    provider: |name| provider::canonical(name.to_owned().into()).into_owned(),
    model: |model, provider| provider::without_provider(model.to_owned().into(), provider).into_owned(),
};

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Outcome, Failure> {
    let offered = read(arguments)?;
    let (dir, last_run) = if let Some(dir) = &arguments.pricing {
        (dir.clone(), None)
    } else {
        let config = session.config()?;
        (config.pricing_dir(), last_pricing(&config.book_dir())?)
    };
    let files = pricing::files(&dir).map_err(|finding| Refused(vec![finding]))?;
    let book = Draft::from_files(&dir.display().to_string(), &files);
    let providers: Vec<String> = arguments.provider.iter().map(|name| (SPELLING.provider)(name)).collect();
    let now = session.clock.now();
    let today = now.day().start();
    // A row that is known from before a run would seem to have been kept from it.
    let was_priced_today = last_run.as_ref().is_some_and(|last| last.at > today);
    let wanted = Wanted {
        providers: &providers,
        models: &arguments.model,
        valid_from: arguments.valid_from.map(Day::start),
        now,
        known_from: if was_priced_today { now } else { today },
    };
    let additions = offered.additions(&book, &wanted);
    let target = Target::of(&arguments.output, &dir);
    let text = target.text(&additions)?;
    let warnings = check(&dir, &book, &files, &target, &additions)?;
    if arguments.dry_run {
        listing::print(&(everything(&additions) + &report(&additions, &warnings, "would be ")))?;
        return Ok(Outcome::Done);
    }
    match &target.path {
        Some(_) if additions.rows.is_empty() => listing::print(&report(&additions, &warnings, ""))?,
        Some(path) => {
            listing::replace(path, text.as_bytes())?;
            listing::print(&report(&additions, &warnings, ""))?;
        }
        None => {
            listing::print(&text)?;
            if !session.global.quiet {
                // Nobody is there to be told of a standard error that is closed.
                drop(io::stderr().write_all(report(&additions, &warnings, "").as_bytes()));
            }
        }
    }
    Ok(Outcome::Done)
}

fn read(arguments: &Arguments) -> anyhow::Result<import::PriceList> {
    let shown = arguments.file.display();
    let bytes = fs::read(&arguments.file).with_context(|| format!("`{shown}` cannot be read"))?;
    let origin = arguments.from.map(|from| match from {
        From::Litellm => Origin::Litellm,
        From::GenaiPrices => Origin::GenaiPrices,
    });
    import::read_list(&bytes, origin, SPELLING).map_err(|error| anyhow!("`{shown}` {error}"))
}

/// Where the rows go.
struct Target {
    /// Standard output where there is none.
    path: Option<PathBuf>,
    /// Its name among the files of the price book, if it is one of them.
    in_book: Option<String>,
}

impl Target {
    fn of(output: &Path, dir: &Path) -> Self {
        if output == Path::new("-") {
            return Self { path: None, in_book: None };
        }
        let parent = output.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_there = matches!((parent.canonicalize(), dir.canonicalize()), (Ok(a), Ok(b)) if a == b);
        let name = output.file_name().map(|name| name.to_string_lossy().into_owned());
        Self { path: Some(output.to_owned()), in_book: name.filter(|_| is_there) }
    }

    /// The whole file with the rows: what is there stays as it is, byte by byte.
    fn text(&self, additions: &Additions) -> anyhow::Result<String> {
        let old = match &self.path {
            Some(path) if path.is_file() => {
                let cannot = || format!("`{}` cannot be added to", path.display());
                Some(fs::read_to_string(path).with_context(cannot)?)
            }
            _ => None,
        };
        let header = old.as_deref().and_then(|old| old.trim_start_matches('\u{feff}').lines().next());
        let shown = self.path.as_deref().unwrap_or(Path::new("-")).display();
        let rows = additions.csv(header).map_err(|error| anyhow!("`{shown}` cannot be added to: {error}"))?;
        let mut text = old.unwrap_or_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text + &rows)
    }
}

/// Checks the book as it would be with the rows: what is wrong then is an
/// error, and what looks like a slip in a row is told.
fn check(
    dir: &Path,
    book: &Draft,
    files: &[(String, Vec<u8>)],
    target: &Target,
    additions: &Additions,
) -> Result<Vec<Finding>, Failure> {
    let name = target.in_book.clone().unwrap_or_else(|| "(added rows).csv".to_owned());
    let before: BTreeSet<Finding> = book.check(None).into_iter().collect();
    let mut files = files.to_vec();
    files.retain(|(file, _)| *file != name);
    let text = Target { path: target.in_book.as_ref().and(target.path.clone()), in_book: None }
        .text(&additions.without_notes())?;
    files.push((name, text.into_bytes()));
    files.sort();
    let mut findings = Draft::from_files(&dir.display().to_string(), &files).check(None);
    if findings.iter().any(Finding::is_error) {
        findings.retain(Finding::is_error);
        return Err(anyhow::Error::from(Refused(findings)).context("the rows cannot be added").into());
    }
    findings.retain(|finding| !before.contains(finding));
    Ok(findings)
}

/// Every row, and everything that is left out.
fn everything(additions: &Additions) -> String {
    let rows: Vec<Vec<String>> = additions
        .rows
        .iter()
        .map(|row| {
            let [provider, model, tier, meter, price, per, _, from, until, ..] = row.cells();
            let price = if price.is_empty() { "ends".to_owned() } else { format!("{price} per {per}") };
            vec![provider, model, tier, meter, price, from, until]
        })
        .collect();
    let left_out: Vec<Vec<String>> = additions
        .left_out
        .iter()
        .map(|it| {
            vec![it.provider.clone(), it.model.clone(), it.field.clone(), it.value.clone(), it.reason.text().to_owned()]
        })
        .collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text += &listing::words(&["provider", "model", "tier", "meter", "price", "from", "until"], &rows);
        text.push('\n');
    }
    if !left_out.is_empty() {
        text += &listing::words(&["left out", "model", "price", "value", "because it is"], &left_out);
        text.push('\n');
    }
    text
}

fn report(additions: &Additions, warnings: &[Finding], would: &str) -> String {
    let models: BTreeSet<(&str, &str)> = additions.rows.iter().map(|row| (row.provider(), row.model())).collect();
    let number = |count: usize| listing::count(count as u64);
    let many = |count: usize, what| counted(i64::try_from(count).unwrap_or(i64::MAX), what);
    let mut text = format!(
        "{} of {} {would}added; {} there already, {} left out, {} not asked for\n",
        many(additions.rows.len(), "row"),
        many(models.len(), "model"),
        number(additions.known),
        number(additions.left_out.len()),
        number(additions.not_asked_for),
    );
    let mut reasons: BTreeMap<_, usize> = BTreeMap::new();
    for left_out in &additions.left_out {
        *reasons.entry(left_out.reason).or_default() += 1;
    }
    for (reason, count) in reasons {
        text += &format!("  left out {}: {}\n", number(count), reason.text());
    }
    for warning in warnings {
        text += &format!("{warning}\n");
    }
    text
}
