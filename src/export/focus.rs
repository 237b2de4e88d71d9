//! The FOCUS dataset of a month: what was charged, day by day, by payer and SKU
//! price, in the columns of the specification that tools of cost management share.
//!
//! A month is a directory, `billing_period=2026-11`, with the same rows as Parquet
//! and CSV, and `metadata.json`. Each file holds the whole month and is replaced in
//! one step, the metadata last. The amounts are those of `charges`, each of which
//! is taken apart and put together again ([`DayItems`]); requests without a price
//! are left out and counted. `docs/EXPORTS.md` says what each column is here.
//!
//! Left out: costs of shared keys by team, which a pool divides per period and not
//! per request; commitments, invoices and resources, which no log knows.

mod columns;
mod metadata;
mod row;
mod sku;
mod write;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

pub use columns::{FocusColumn, Kind, columns};
pub use metadata::{Counts, WrittenFile};

use metadata::{About, METADATA};
use row::{Account, Row};
use write::{CSV, Files, PARQUET};

use crate::{
    book::{Book, BookError, layout::DayTable, steadily},
    charges::{self, Behind, ChargesError, DayItems},
    config::KeptTable,
    floors::Floors,
    periods::PeriodSpan,
    pricing::PriceBook,
    replace::{STAGED, replace},
    report::{LastRuns, ReportError},
    time::{Day, Instant},
};

/// A version of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1_2,
    V1_4,
}

impl Version {
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_4 => "1.4",
        }
    }
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Charges(#[from] ChargesError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("`{}` cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("the dataset cannot be written: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("the dataset cannot be written: {0}")]
    Csv(#[from] csv::Error),
    #[error(
        "`{}` is not of this export, which replaces whole months: remove it, or name another directory for `--output`",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error(
        "`{}` holds months of FOCUS {found}, expected {wanted}, as one dataset has one version: name another directory \
         for `--output`",
        dir.display()
    )]
    OtherVersion { dir: PathBuf, found: String, wanted: &'static str },
    #[error(
        "the charges before {floor} were pruned, and `{}` may hold them: it stays as it is; to export what is left, \
         name another directory for `--output`",
        dir.display()
    )]
    Pruned { floor: Day, dir: PathBuf },
    #[error("{0}: a quantity or the sum of the costs is more than a table can hold, look for an absurd quantity")]
    TooMuch(Day),
    #[error("a run kept replacing the charges: export them again when it is done")]
    Replaced,
}

/// What is asked for.
#[derive(Debug)]
pub struct Options<'o> {
    pub version: Version,
    /// A month, UTC.
    pub month: PeriodSpan,
    /// Where the months are.
    pub dir: PathBuf,
    pub organization: Option<&'o str>,
    /// The providers' own ids of who is billed.
    pub accounts: BTreeMap<String, String>,
    pub now: Instant,
}

/// What was written.
#[derive(Debug)]
pub struct Exported {
    /// Of the month.
    pub dir: PathBuf,
    pub files: Vec<PathBuf>,
    pub counts: Counts,
    pub behind: BTreeMap<Day, Behind>,
    pub pruned_until: Option<Day>,
}

/// Writes the dataset of a month.
///
/// # Errors
/// Where the book cannot be read, the directory is somebody else's or cannot be
/// written. What was there before then stays.
pub fn export(book: &Book, prices: &PriceBook, options: &Options<'_>) -> Result<Exported, ExportError> {
    let month = &options.month;
    let dir = options.dir.join(format!("billing_period={}", month.name));
    check_target(&options.dir, &dir, options.version)?;
    let floor = Floors::read(book)?.of(KeptTable::Charges).filter(|floor| floor.start() > month.from);
    if let Some(floor) = floor.filter(|_| dir.join(METADATA).exists()) {
        return Err(ExportError::Pruned { floor, dir });
    }
    fs::create_dir_all(&dir).map_err(|source| ExportError::Unwritable { path: dir.clone(), source })?;
    let charges = || book.written(days(book, month)?.map(|day| DayTable::Charges.file(day)));
    let read = steadily(charges, |_| {
        let known_until = LastRuns::of(book)?.known_until();
        let mut files = Files::begin(&dir, options.version)?;
        let counts = write_days(book, prices, options, &mut files)?;
        Ok::<_, ExportError>((known_until, files, counts, behind(book, month)?))
    })?;
    let (known_until, files, counts, behind) = read.ok_or(ExportError::Replaced)?;
    let files = files.finish(&dir)?;
    let about =
        About { version: options.version, month, known_until, behind: &behind, pruned_until: floor, files: &files };
    let path = dir.join(METADATA);
    let text = about.to_json(&counts);
    replace(&path, text.as_bytes()).map_err(|source| ExportError::Unwritable { path, source })?;
    let files = [PARQUET, CSV, METADATA].map(|name| dir.join(name)).to_vec();
    Ok(Exported { dir, files, counts, behind, pruned_until: floor })
}

/// Every day of the month that has charges, in order.
fn days(book: &Book, month: &PeriodSpan) -> Result<impl Iterator<Item = Day>, BookError> {
    let (first, end) = (month.first, month.end);
    Ok(book.days(DayTable::Charges)?.into_iter().filter(move |day| (first..end).contains(day)))
}

fn write_days(
    book: &Book,
    prices: &PriceBook,
    options: &Options<'_>,
    files: &mut Files,
) -> Result<Counts, ExportError> {
    let mut counts = Counts::default();
    for day in days(book, &options.month)? {
        let Some(items) = DayItems::of(book, prices, day, options.now)? else { continue };
        let row = |pair| {
            let account = options.account(pair);
            Row::new(pair, day, &options.month, account).ok_or(ExportError::TooMuch(day))
        };
        let rows = items.items.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        counts.add(day, &items, &rows).ok_or(ExportError::TooMuch(day))?;
        files.write(&rows)?;
    }
    Ok(counts)
}

impl<'o> Options<'o> {
    fn account<'r>(&'r self, (item, _): (&'r charges::Item, &charges::ItemSum)) -> Account<'r>
    where
        'o: 'r,
    {
        let id = self.accounts.get(&item.provider).unwrap_or(&item.provider);
        Account { id, name: self.organization }
    }
}

/// The days of the month whose charges are not those of their usage.
fn behind(book: &Book, month: &PeriodSpan) -> Result<BTreeMap<Day, Behind>, ExportError> {
    let mut found = BTreeMap::new();
    let days = book.days(DayTable::Usage)?;
    for day in days.into_iter().filter(|day| (month.first..month.end).contains(day)) {
        // Totals are not read here.
        if let Some(behind) = charges::behind(book, day)?.filter(|behind| *behind != Behind::Rollup) {
            found.insert(day, behind);
        }
    }
    Ok(found)
}

/// That a month's directory holds nothing else, and the other months are of the
/// same version: who reads all files below would take them for one dataset.
fn check_target(dir: &Path, month: &Path, version: Version) -> Result<(), ExportError> {
    let unreadable = |path: &Path, source| ExportError::Unwritable { path: path.to_owned(), source };
    for path in entries(month).map_err(|source| unreadable(month, source))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ![PARQUET, CSV, METADATA].contains(&&*name) && !name.starts_with(STAGED) {
            return Err(ExportError::Foreign(path));
        }
    }
    let months = entries(dir).map_err(|source| unreadable(dir, source))?;
    let is_month = |path: &PathBuf| path != month && path.file_name().is_some_and(is_month_name);
    for other in months.into_iter().filter(is_month) {
        let Some(found) = version_of(&other.join(METADATA)) else { continue };
        if found != version.name() {
            return Err(ExportError::OtherVersion { dir: dir.to_owned(), found, wanted: version.name() });
        }
    }
    Ok(())
}

fn is_month_name(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("billing_period=")
}

/// What is in a directory; nothing where there is none.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// The version that a month's metadata tells, if it is one of ours.
fn version_of(metadata: &Path) -> Option<String> {
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(metadata).ok()?).ok()?;
    let schema = &metadata["Schema"];
    let version = schema.get("FocusVersion").or_else(|| schema.get(0)?.get("FocusVersion"))?;
    Some(version.as_str()?.to_owned())
}
