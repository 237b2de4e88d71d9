//! Reads a directory of price files, each once, into a [`Draft`].
//!
//! Every problem is found in one reading, with file, line and cure: a row with
//! one bad cell is left out of the draft, and its finding is an error that
//! keeps the draft from becoming a book.

use std::{path::Path, sync::Arc};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{
    Alias, Code, Digest, Finding, LastPricing, Place, Price, PriceBook, Rate, Validity,
    cell::{self, Bad},
    check,
    pins::{self, Pin},
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
pub fn read(dir: &Path) -> Draft {
    match files(dir) {
        Ok(files) => Draft::from_files(&dir.display().to_string(), &files),
        Err(finding) => Draft { findings: vec![finding], ..Draft::default() },
    }
}

/// The price files of a directory by name, with their bytes.
///
/// # Errors
/// Where it is none, or cannot be read.
pub fn files(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, Finding> {
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
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    self.report(lines.line, Code::BadRow, &format!("cannot be read: {error}"), "write it as CSV");
                    continue;
                }
            };
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

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{HEADER, draft, lines},
        *,
    };

    /// What the check says of a file with these bytes.
    fn check(name: &str, bytes: &[u8], expect: &str) {
        let mut files = vec![(name.to_owned(), bytes.to_vec())];
        if matches!(name, ALIASES | PINS) {
            files.push(("p.csv".to_owned(), HEADER.as_bytes().to_vec()));
        }
        assert_eq!(lines(&Draft::from_files("pricing", &files).check(None)), expect);
    }

    fn check_row(row: &str, expect: &str) {
        assert_eq!(lines(&draft(&[row], &[], &[]).check(None)), expect);
    }

    #[test]
    fn a_row_is_one_price() {
        let draft = draft(
            &[
                "groq,\"qwen/\"\"🦙\"\", 7b\", batch ,audio_ms,0.111,1h,10s,2026-01-01,2026-02-01,2025-12-01,list,page,note",
            ],
            &["g,x,,2026-01-01,,2026-01-01,s,n"],
            &[],
        );
        assert_eq!(lines(&draft.check(None)), "");
        let row = &draft.prices[0];
        assert_eq!((row.model.as_str(), row.tier.as_str()), ("qwen/\"🦙\", 7b", "batch"));
        let rate = row.rate.unwrap();
        assert_eq!((rate.price.pico(), rate.per, rate.min_quantity), (111_000_000_000, 3_600_000, 10_000));
        assert_eq!(
            (row.source.as_str(), row.note.as_str(), row.place.to_string().as_str()),
            ("page", "note", "pricing/p.csv:2")
        );
        assert_eq!(draft.aliases[0].model, None);
    }

    #[test]
    fn every_malformed_cell_is_told_at_once() {
        check_row(
            "Groq,,default,tokens,x,1h,,2026-13-01,,,free,,",
            "pricing/p.csv:2: error[malformed_value]: `kind` is `free`, expected `list`, `contract` or `fallback`: write one of these\n\
             pricing/p.csv:2: error[malformed_value]: `known_from` is empty, expected a date such as `2026-06-01` or an instant such as `2026-06-01T16:00:00Z`: write it in one of these forms\n\
             pricing/p.csv:2: error[malformed_value]: `model` is empty, expected the name of a model as served: name the model, or write `*` for the provider's fallback\n\
             pricing/p.csv:2: error[malformed_value]: `price_usd` is `x`, expected a decimal number of dollars such as `0.59`: write digits and a point only, or leave it empty to end the price\n\
             pricing/p.csv:2: error[malformed_value]: `provider` is `Groq`, expected the name of a provider in lower case, such as `groq`: write `groq`\n\
             pricing/p.csv:2: error[malformed_value]: `tier` is `default`, expected a tier such as `on_demand` or `batch`, or `*`: write `on_demand`, as `usage` has it\n\
             pricing/p.csv:2: error[malformed_value]: `valid_from` is `2026-13-01`, expected a date such as `2026-06-01` or an instant such as `2026-06-01T16:00:00Z`: write it in one of these forms\n\
             pricing/p.csv:2: error[unknown_meter]: `meter` is `tokens`, expected the name of a meter: write one of `input_tokens`, `cached_input_tokens`, `cache_write_5m_tokens`, `cache_write_1h_tokens`, `output_tokens`, `audio_ms`, `characters`, `images`, `web_searches`, `page_visits`, `code_ms`, `browser_ms`",
        );
        check_row(
            "g,m,*,audio_ms,1,1M,5k,2026-01-01,,2026-01-01,list,,",
            "pricing/p.csv:2: error[wrong_suffix]: `min_quantity` is `5k`, expected a time, which `audio_ms` is: use `s`, `m` or `h`\n\
             pricing/p.csv:2: error[wrong_suffix]: `per` is `1M`, expected a time, which `audio_ms` is: use `s`, `m` or `h`",
        );
        for until in ["2026-01-01", "2025-12-31"] {
            check_row(
                &format!("g,m,*,input_tokens,1,1M,,2026-01-01,{until},2026-01-01,list,,"),
                &format!(
                    "pricing/p.csv:2: error[reversed_dates]: `valid_until` is `{until}`, expected a time after `valid_from`, which is `2026-01-01`: swap the two, or leave `valid_until` empty if no end is known"
                ),
            );
        }
        check_row(
            "g,m,*,input_tokens,1,,,2026-01-01,,2026-01-01,list,,",
            "pricing/p.csv:2: error[malformed_value]: `per` is empty, expected a whole number with `k`, `M` or no suffix, such as `1M`: write it in that form",
        );
        check_row("g,m,*,input_tokens,,,,2026-01-01,,2026-01-01,list,,", "");
    }

    #[test]
    fn lines_are_counted_as_editors_count_them() {
        let row = "g,m,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,";
        let quoted = "g,n,*,input_tokens,1,1M,,2026-01-01,,2026-01-01,list,,\"two\nlines\"";
        for end in ["\n", "\r\n"] {
            let text = format!("\u{feff}{HEADER}{end}{end}{row}{end}{end}{end}{quoted}{end}g,m,*{end}");
            check(
                "p.csv",
                text.as_bytes(),
                "pricing/p.csv:8: error[bad_row]: 3 values, expected 13 as in the first line: put quotes around values with commas, and close them",
            );
        }
    }

    #[test]
    fn files_that_are_not_price_files_are_refused() {
        let cure = format!("the first line must be `{HEADER}`");
        check(
            "p.csv",
            b"",
            &format!("pricing/p.csv:1: error[bad_header]: is empty, expected a line that names the columns: {cure}"),
        );
        check(
            "p.csv",
            HEADER.replace("known_from,", "").replace("note", "notes").replace("source", "kind").as_bytes(),
            &format!(
                "pricing/p.csv:1: error[bad_header]: column `kind` is there twice: remove one\n\
                 pricing/p.csv:1: error[bad_header]: column `known_from` is missing: {cure}\n\
                 pricing/p.csv:1: error[bad_header]: column `notes` is not known: {cure}"
            ),
        );
        check("p.csv", b"a\nb\n\xff", "pricing/p.csv:3: error[unreadable_file]: is not UTF-8: save it as UTF-8");
        check("p.csv", b"kind,known_from,valid_from,per,price_usd,meter,tier,model,provider\nlist,2026-01-01,2026-01-01,1M,1,input_tokens,*,m,g\n", "");
        check(
            ALIASES,
            b"provider,alias,model,valid_from,known_from\ng,*,m,2026-01-01,2026-01-01\n",
            "pricing/aliases.csv:2: error[malformed_value]: `alias` is `*`, expected the name of a model: write one name per row: an alias is matched exactly",
        );
        check(
            PINS,
            b"provider,kind,month,rows,digest\ng,lists,2026-13,many,abc\n",
            "pricing/pins.csv:2: error[malformed_value]: `digest` is `abc`, expected 32 hex digits: restore the line, or write 0 rows and 32 zeros: the check then says what belongs there\n\
             pricing/pins.csv:2: error[malformed_value]: `kind` is `lists`, expected `list`, `contract`, `fallback` or `alias`: write one of these\n\
             pricing/pins.csv:2: error[malformed_value]: `month` is `2026-13`, expected a month such as `2026-10`: write it in that form\n\
             pricing/pins.csv:2: error[malformed_value]: `rows` is `many`, expected a number of rows: restore the line, or write 0 rows and 32 zeros: the check then says what belongs there",
        );
    }

    #[test]
    fn a_directory_without_prices_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let shown = gone.display();
        let point = "point `pricing` under `[book]` to the directory that holds the `*.csv` files";
        assert_eq!(
            lines(&read(&gone).check(None)),
            format!("{shown}: error[missing_directory]: the directory of the price book is missing: {point}")
        );
        std::fs::write(&gone, "").unwrap();
        assert_eq!(
            lines(&read(&gone).check(None)),
            format!("{shown}: error[missing_directory]: is a file, expected the directory of the price book: {point}")
        );
        std::fs::write(dir.path().join("aliases.csv"), "provider,alias,model,valid_from,known_from\n").unwrap();
        assert_eq!(
            lines(&read(dir.path()).check(None)),
            format!(
                "{}: error[no_prices]: no price file is in this directory: add a `<provider>.csv`, or point `pricing` under `[book]` to where they are",
                dir.path().display()
            )
        );
    }

    #[test]
    fn a_book_with_an_error_prices_nothing() {
        assert!(draft(&["g,m,*,input_tokens,0,1M,,2026-01-01,,2026-01-01,list,,"], &[], &[]).into_book().is_ok());
        let errors = draft(&["g,m,*,input_tokens,-1,1M,,2026-01-01,,2026-01-01,list,,"], &[], &[]).into_book();
        assert_eq!(errors.unwrap_err().len(), 1);
    }
}
