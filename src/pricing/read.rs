//! Reads a directory of price files, each once, into a [`Draft`].
//!
//! Every problem is found in one reading, with file, line and cure: a row with
//! one bad cell is left out of the draft, and its finding is an error that
//! keeps the draft from becoming a book.

use std::{path::Path, sync::Arc};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{
    Alias, Code, Digest, Finding, LastPricing, Pin, Place, Price, PriceBook, Rate, Validity,
    cell::{self, Bad},
    check, pins,
};

/// The files of a price book that hold no prices.
const ALIASES: &str = "aliases.csv";
const PINS: &str = "pins.csv";

/// A table's columns, and whether each must be there.
type Columns = &'static [(&'static str, bool)];

const PRICE_COLUMNS: Columns = &[
    ("provider", true),
    ("model", true),
    ("tier", true),
    ("meter", true),
    ("price_usd", true),
    ("per", true),
    ("min_quantity", false),
    ("valid_from", true),
    ("valid_until", false),
    ("known_from", true),
    ("kind", true),
    ("source", false),
    ("note", false),
];

const ALIAS_COLUMNS: Columns = &[
    ("provider", true),
    ("alias", true),
    ("model", true),
    ("valid_from", true),
    ("valid_until", false),
    ("known_from", true),
    ("source", false),
    ("note", false),
];

const PIN_COLUMNS: Columns = &[("provider", true), ("kind", true), ("month", true), ("rows", true), ("digest", true)];

/// What the files say, checked cell by cell but not yet as a whole.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub(super) prices: Vec<Price>,
    pub(super) aliases: Vec<Alias>,
    pub(super) pins: Vec<Pin>,
    findings: Vec<Finding>,
}

/// Reads every `*.csv` of a directory. What cannot be read is a finding.
#[must_use]
pub fn read(dir: &Path) -> Draft {
    match files(dir) {
        Ok(files) => Draft::from_files(&dir.display().to_string(), &files),
        Err(finding) => Draft { findings: vec![finding], ..Draft::default() },
    }
}

/// The price files of a directory by name, with their bytes.
fn files(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, Finding> {
    let shown = dir.display().to_string();
    let point = "point `pricing` under `[book]` to the directory that holds the `*.csv` files";
    let unreadable = |path: &str, error: &std::io::Error| {
        Finding::of_file(Code::UnreadableFile, path, format!("cannot be read: {error}"), "check its permissions")
    };
    if !dir.exists() {
        let message = "the directory of the price book is missing";
        return Err(Finding::of_file(Code::MissingDirectory, &shown, message, point));
    }
    if !dir.is_dir() {
        let message = "is a file, expected the directory of the price book";
        return Err(Finding::of_file(Code::MissingDirectory, &shown, message, point));
    }
    let mut found = Vec::new();
    for entry in dir.read_dir().map_err(|error| unreadable(&shown, &error))? {
        let path = entry.map_err(|error| unreadable(&shown, &error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_csv && !name.starts_with('.') && path.is_file() {
            let bytes = std::fs::read(&path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
            found.push((name.to_owned(), bytes));
        }
    }
    found.sort();
    Ok(found)
}

impl Draft {
    /// A draft of files already in memory: names within `dir`, and bytes.
    #[must_use]
    pub fn from_files(dir: &str, files: &[(String, Vec<u8>)]) -> Self {
        let mut draft = Self::default();
        let mut has_prices = false;
        for (name, bytes) in files {
            let file: Arc<str> = Path::new(dir).join(name).display().to_string().into();
            let mut table = Table { file: &file, findings: &mut draft.findings };
            match name.as_str() {
                ALIASES => draft.aliases.extend(table.read(bytes, ALIAS_COLUMNS, alias)),
                PINS => draft.pins.extend(table.read(bytes, PIN_COLUMNS, pins::pin)),
                _ => {
                    has_prices = true;
                    draft.prices.extend(table.read(bytes, PRICE_COLUMNS, price));
                }
            }
        }
        if !has_prices {
            draft.findings.push(Finding::of_file(
                Code::NoPrices,
                dir,
                "no price file is in this directory",
                "add a `<provider>.csv`, or point `pricing` under `[book]` to where they are",
            ));
        }
        draft
    }

    /// Everything that is wrong or looks like a slip, sorted by place.
    #[must_use]
    pub fn check(&self, last: Option<&LastPricing>) -> Vec<Finding> {
        let mut findings = self.findings.clone();
        check::check(self, last, &mut findings);
        findings.sort();
        findings.dedup();
        findings
    }

    /// The book, unless there is an error.
    ///
    /// # Errors
    /// The errors, sorted by place. Warnings do not keep a book from pricing.
    pub fn into_book(self) -> Result<PriceBook, Vec<Finding>> {
        let mut errors = self.check(None);
        errors.retain(Finding::is_error);
        if errors.is_empty() { Ok(PriceBook::new(self.prices, self.aliases)) } else { Err(errors) }
    }

    /// The digests of all rows, to be kept with a run for the next check.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.prices.iter().map(|row| row.digest).chain(self.aliases.iter().map(|row| row.digest))
    }
}

/// Reads one file.
struct Table<'t> {
    file: &'t Arc<str>,
    findings: &'t mut Vec<Finding>,
}

impl Table<'_> {
    fn read<T>(&mut self, bytes: &[u8], columns: Columns, make: fn(&mut Row<'_>) -> Option<T>) -> Vec<T> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines = Lines { bytes, at: 0, line: 1 };
        if let Err(error) = std::str::from_utf8(bytes) {
            self.report(lines.line_at(error.valid_up_to()), Code::UnreadableFile, "is not UTF-8", "save it as UTF-8");
            return Vec::new();
        }
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
        let mut records = reader.records();
        let Some(Ok(header)) = records.next() else {
            self.report(1, Code::BadHeader, "is empty, expected a line that names the columns", &header_cure(columns));
            return Vec::new();
        };
        let Some(places) = self.header(lines.next_record(&header), &header, columns) else { return Vec::new() };
        let mut rows = Vec::new();
        for record in records {
            let Ok(record) = record else { continue };
            let line = lines.next_record(&record);
            if record.len() != header.len() {
                let message = format!("{} values, expected {} as in the first line", record.len(), header.len());
                self.report(line, Code::BadRow, &message, "put quotes around values with commas, and close them");
                continue;
            }
            let place = Place { file: Arc::clone(self.file), line };
            let mut row = Row { columns, places: &places, record: &record, place, findings: self.findings };
            rows.extend(make(&mut row));
        }
        rows
    }

    /// Where in a record each column stands.
    fn header(&mut self, line: u64, header: &StringRecord, columns: Columns) -> Option<Vec<Option<usize>>> {
        let before = self.findings.len();
        let cure = header_cure(columns);
        for (index, name) in header.iter().enumerate() {
            if !columns.iter().any(|(column, _)| *column == name) {
                self.report(line, Code::BadHeader, &format!("column `{name}` is not known"), &cure);
            } else if header.iter().take(index).any(|earlier| earlier == name) {
                self.report(line, Code::BadHeader, &format!("column `{name}` is there twice"), "remove one");
            }
        }
        let places: Vec<Option<usize>> =
            columns.iter().map(|(column, _)| header.iter().position(|name| name == *column)).collect();
        for ((column, required), place) in columns.iter().zip(&places) {
            if *required && place.is_none() {
                self.report(line, Code::BadHeader, &format!("column `{column}` is missing"), &cure);
            }
        }
        (self.findings.len() == before).then_some(places)
    }

    fn report(&mut self, line: u64, code: Code, message: &str, cure: &str) {
        let place = Place { file: Arc::clone(self.file), line };
        self.findings.push(Finding::new(code, &place, message, cure));
    }
}

fn header_cure(columns: Columns) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    format!("the first line must be `{}`", names.join(","))
}

/// Counts lines by bytes: a CSV reader's own count stumbles over blank lines.
struct Lines<'t> {
    bytes: &'t [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn line_at(&mut self, at: usize) -> u64 {
        let newlines = memchr::memchr_iter(b'\n', &self.bytes[self.at..at]).count();
        self.at = at;
        self.line += u64::try_from(newlines).unwrap_or_default();
        self.line
    }

    /// The line on which a record starts, blank lines before it passed over.
    fn next_record(&mut self, record: &StringRecord) -> u64 {
        let start = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or_default();
        let start = start.clamp(self.at, self.bytes.len());
        let blank = self.bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line_at(start + blank)
    }
}

/// One row of one file, and where to report what is wrong with it.
pub(super) struct Row<'r> {
    columns: Columns,
    places: &'r [Option<usize>],
    record: &'r StringRecord,
    pub(super) place: Place,
    findings: &'r mut Vec<Finding>,
}

impl<'r> Row<'r> {
    /// A cell's text; empty where the file leaves an optional column out.
    pub(super) fn text(&self, column: &str) -> &'r str {
        let index = self.columns.iter().position(|(name, _)| *name == column);
        index.and_then(|index| self.places[index]).and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    /// A cell's value, or a finding.
    pub(super) fn value<T>(&mut self, column: &str, read: impl FnOnce(&str) -> Result<T, Bad>) -> Option<T> {
        let text = self.text(column);
        match read(text) {
            Ok(value) => Some(value),
            Err(Bad { code, expected, cure }) => {
                let found = if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") };
                self.report(code, format!("`{column}` is {found}, expected {expected}"), cure);
                None
            }
        }
    }

    fn report(&mut self, code: Code, message: impl Into<String>, cure: impl Into<String>) {
        self.findings.push(Finding::new(code, &self.place, message, cure));
    }

    fn validity(&mut self) -> Option<Validity> {
        let from = self.value("valid_from", cell::instant);
        let until = self.value("valid_until", cell::optional(cell::instant));
        let known_from = self.value("known_from", cell::instant);
        let (from, until, known_from) = (from?, until?, known_from?);
        if until.is_some_and(|until| until <= from) {
            let (from, until) = (self.text("valid_from"), self.text("valid_until"));
            self.report(
                Code::ReversedDates,
                format!("`valid_until` is `{until}`, expected a time after `valid_from`, which is `{from}`"),
                "swap the two, or leave `valid_until` empty if no end is known",
            );
            return None;
        }
        Some(Validity { from, until, known_from })
    }
}

/// One price. All cells are read before the row is given up, so that all that
/// is wrong with it is found at once.
fn price(row: &mut Row<'_>) -> Option<Price> {
    let provider = row.value("provider", cell::provider);
    let model = row.value("model", cell::model);
    let tier = row.value("tier", cell::tier);
    let meter = row.value("meter", cell::meter);
    let price_usd = row.value("price_usd", cell::price);
    let validity = row.validity();
    let kind = row.value("kind", cell::kind);
    let (meter, price_usd) = (meter?, price_usd?);
    // An end needs no unit, but what is written must be right.
    let per = match price_usd {
        Some(_) => row.value("per", |text| cell::amount(text, meter).map(Some)),
        None => row.value("per", cell::optional(|text| cell::amount(text, meter))),
    };
    let min_quantity = row.value("min_quantity", cell::optional(|text| cell::amount(text, meter)));
    let (per, min_quantity) = (per?, min_quantity?);
    let rate = price_usd.zip(per).map(|(price, per)| Rate { price, per, min_quantity: min_quantity.unwrap_or(0) });
    let mut price = Price {
        provider: provider?,
        model: model?,
        tier: tier?,
        meter,
        rate,
        kind: kind?,
        validity: validity?,
        source: row.text("source").to_owned(),
        note: row.text("note").to_owned(),
        place: row.place.clone(),
        digest: Digest::NONE,
    };
    price.digest = Digest::of_price(&price);
    Some(price)
}

fn alias(row: &mut Row<'_>) -> Option<Alias> {
    let provider = row.value("provider", cell::provider);
    let name = row.value("alias", cell::alias);
    let model = row.value("model", cell::optional(cell::alias));
    let validity = row.validity();
    let mut alias = Alias {
        provider: provider?,
        alias: name?,
        model: model?,
        validity: validity?,
        source: row.text("source").to_owned(),
        note: row.text("note").to_owned(),
        place: row.place.clone(),
        digest: Digest::NONE,
    };
    alias.digest = Digest::of_alias(&alias);
    Some(alias)
}
