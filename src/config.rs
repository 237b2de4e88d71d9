//! Configuration: `spendbook.toml`, the environment and the flags, checked as a
//! whole into one [`Config`] before any work.
//!
//! Every mistake is found in one pass and told with line, column, excerpt and
//! advice. What is in a [`Config`] is plain data that holds together: names
//! refer to what is there, dates do not overlap, shares sum to 100. What a
//! team or key was at a given time is decided elsewhere.

mod budgets;
mod custom;
mod document;
mod environment;
mod keys;
mod mail;
mod problem;
mod reader;
mod remote;
mod settings;
mod source;
pub mod templates;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

pub use budgets::{Budget, Model, Organization, Period, Policy, Team};
pub use custom::{CachePlace, CustomField, CustomMapping, Mapped, Place, TimeFormat, Unit};
pub use document::{ConfigError, ConfigErrors};
pub use environment::{CONFIG_VARIABLE, Secret, SecretError, SecretFrom, locate};
pub use keys::{Holder, Key, Pool};
pub use mail::{Mail, Mailbox, Security, Smtp, Transport};
pub use problem::Problem;
pub(crate) use problem::{nearest, quoted};
pub use remote::{REMOTE_FORMATS, Remote, RemoteFormat, TOTALS_FORMATS, remote_format};
pub use settings::{Book, KeptTable, Privacy, Reconcile, Run, Users};
pub use source::{FORMATS, IdentityBy, Role, Source};

use document::{Problems, Span};
use reader::Table;

/// Everything that `spendbook.toml` says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from, as it was named.
    pub path: PathBuf,
    /// The directory that relative paths in it are relative to.
    pub dir: PathBuf,
    pub book: Book,
    pub organization: Organization,
    /// Those that tell requests.
    pub sources: Vec<Source>,
    /// Those that tell totals.
    pub totals: Vec<Source>,
    /// By name.
    pub teams: BTreeMap<String, Team>,
    /// In the order of the file.
    pub keys: Vec<Key>,
    /// By name.
    pub pools: BTreeMap<String, Pool>,
    /// Those with a budget of their own, by name.
    pub models: BTreeMap<String, Model>,
    pub mail: Mail,
    pub privacy: Privacy,
    pub reconcile: Reconcile,
    pub run: Run,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// With every mistake in it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let bytes = std::fs::read(path).map_err(|error| {
            let problem = match error.kind() {
                io::ErrorKind::NotFound => Problem::NotFound,
                _ => Problem::Unreadable { cause: error.to_string() },
            };
            ConfigError::of_file(path, problem)
        })?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::of_file(path, Problem::NotUtf8))?;
        Self::parse(&text, path)
    }

    /// Checks the text of a config file that stands at `path`.
    ///
    /// # Errors
    /// With every mistake in it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        // Some editors begin a file with a byte order mark.
        let formats: Vec<&'static str> = FORMATS.iter().chain(TOTALS_FORMATS).copied().collect();
        parse_with(text.strip_prefix('\u{feff}').unwrap_or(text), path, &formats)
    }

    /// A path in the config, as the program can open it.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// The directory of the book.
    #[must_use]
    pub fn book_dir(&self) -> PathBuf {
        self.resolve(&self.book.path)
    }

    /// The directory of the price book.
    #[must_use]
    pub fn pricing_dir(&self) -> PathBuf {
        self.resolve(&self.book.pricing)
    }
}

/// Checks a text, with the formats that sources can have.
fn parse_with(text: &str, path: &Path, formats: &[&'static str]) -> Result<Config, ConfigErrors> {
    let problems = Problems::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let syntax: Vec<(Span, Problem)> = errors.iter().map(|error| syntax_problem(text, error)).collect();
    let config = read(Table::new("", document.get_ref(), document.span().into(), &problems), path, formats);
    if errors.iter().all(|error| leaves_structure(error.message())) {
        problems.drop_on_lines_of(&syntax);
    } else {
        // Keys may have ended up in another table: only what is certain is told.
        problems.clear();
    }
    document::find_secrets(text, &shown_names(document.get_ref()), &problems);
    for (at, problem) in syntax {
        problems.add(at, problem);
    }
    problems.into_result(path)?;
    Ok(config)
}

/// Whether the parser could go on after this mistake without taking a key for
/// one of another table.
fn leaves_structure(message: &str) -> bool {
    message.starts_with("duplicate key") || message.starts_with("string values must be quoted")
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> (Span, Problem) {
    let at = error.span().map_or(Span { start: 0, end: 0 }, Span::from);
    let found = text.get(at.start..at.end).unwrap_or_default();
    let message = error.message();
    let problem = if message.starts_with("duplicate key") {
        Problem::DefinedTwice { name: found.trim_matches(['"', '\'']).to_owned() }
    } else {
        let (what, advice) = if message.starts_with("string values must be quoted") {
            ("a text without quotes", "put it in quotes: `\"…\"`")
        } else {
            let what = message.strip_suffix(", expected nothing").unwrap_or(message);
            (what, "correct it first: what the tables say is checked once they can be told apart")
        };
        Problem::Syntax { what: what.to_owned(), advice }
    };
    (at, problem)
}

fn read(mut root: Table<'_>, path: &Path, formats: &[&'static str]) -> Config {
    let book = root.table("book").map(settings::read_book).unwrap_or_default();
    let organization = root.table("organization");
    let organization = organization.map(|table| budgets::read_organization(table, book.timezone)).unwrap_or_default();
    let sources = source::read_all(root.tables("source"), book.timezone, formats);
    let (totals, sources) = sources.into_iter().partition(Source::tells_totals);
    let (teams, team_names) =
        root.table("teams").map(|table| budgets::read_teams(&table, book.timezone, &organization)).unwrap_or_default();
    let above = budgets::Above { timezone: book.timezone, thresholds: &organization.thresholds };
    let known = keys::Known { teams: &teams, team_names: &team_names, above };
    let pools = root.table("pools").map(|table| keys::read_pools(&table, known)).unwrap_or_default();
    let keys = keys::read_keys(root.tables("key"), known, &pools);
    let models = root.table("models").map(|table| budgets::read_models(&table, above)).unwrap_or_default();
    let config = Config {
        path: path.to_owned(),
        dir: path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(),
        sources,
        totals,
        keys,
        pools,
        models,
        mail: root.table("mail").map(mail::read).unwrap_or_default(),
        privacy: root.table("privacy").map(settings::read_privacy).unwrap_or_default(),
        reconcile: root.table("reconcile").map(settings::read_reconcile).unwrap_or_default(),
        run: root.table("run").map(settings::read_run).unwrap_or_default(),
        book,
        organization,
        teams,
    };
    root.finish();
    config
}

/// Where texts stand that may look like credentials and are none: names of
/// keys, which the one who registers them chose, and names to log in as, which
/// some services make from a key's public half.
fn shown_names(document: &DeTable<'_>) -> Vec<Span> {
    let key_names = document.get("key").and_then(|keys| keys.get_ref().as_array()).into_iter().flat_map(|keys| {
        keys.iter().flat_map(|key| ["name", "replaces"].map(|name| key.get_ref().get(name)).into_iter().flatten())
    });
    let username = document.get("mail").and_then(|mail| mail.get_ref().get("username"));
    let is_id = |name: &str| name.starts_with("AKIA") && name.len() <= 24;
    let sources = document.get("source").and_then(|sources| sources.get_ref().as_array()).into_iter().flatten();
    let public_keys = sources.filter_map(|source| source.get_ref().get("username"));
    key_names
        .filter(|name| name.get_ref().as_str().is_some_and(document::reads_as_name))
        .chain(username.filter(|name| name.get_ref().as_str().is_some_and(is_id)))
        .chain(public_keys.filter(|name| name.get_ref().as_str().is_some_and(|name| name.starts_with("pk-lf-"))))
        .map(|name| name.span().into())
        .collect()
}

#[cfg(test)]
mod tests;
