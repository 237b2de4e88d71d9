//! `[[source]]`: where logs come from and how to read them.

use chrono_tz::Tz;

use super::{
    custom::{self, CachePlace, CustomMapping},
    document::Span,
    problem::{Problem, nearest},
    reader::{Item, Table},
    remote::{self, Remote, TOTALS_FORMATS, remote_format},
};

/// What a source's records are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// They are the books.
    #[default]
    Books,
    /// They only reconcile: the same traffic, seen a second time.
    Check,
}

/// What makes two records of a source the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdentityBy {
    /// The provider's id; without one the record's own bytes.
    #[default]
    Record,
    /// Its file and line: for gateways that write neither ids nor fine times.
    Line,
}

/// One `[[source]]`: where logs come from and how to read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    /// The name of a format, or `auto`.
    pub format: String,
    /// A glob or directory, relative to the config's directory; empty where the
    /// source is asked over HTTP.
    pub path: String,
    /// Where it is asked over HTTP; none where it is read from files.
    pub remote: Option<Remote>,
    /// Who bills, where the record does not say; lower case.
    pub provider: Option<String>,
    pub role: Role,
    /// The tier of every record that does not state its own.
    pub tier: Option<String>,
    /// The zone of times without one.
    pub timezone: Tz,
    /// Between versions of equal quality, the source with the higher one wins.
    pub priority: i64,
    pub silent_after_micros: i64,
    pub identity: IdentityBy,
    /// The version of the gateway that wrote the log, where its meaning changed.
    pub source_version: Option<String>,
    /// Labels that may be kept in `tags`.
    pub tags: Vec<String>,
    /// What `format = "custom"` reads by; none for any other format.
    pub custom: Option<CustomMapping>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            name: String::new(),
            format: "auto".to_owned(),
            path: String::new(),
            remote: None,
            provider: None,
            role: Role::Books,
            tier: None,
            timezone: Tz::UTC,
            priority: 0,
            silent_after_micros: 36 * 3_600 * 1_000_000,
            identity: IdentityBy::Record,
            source_version: None,
            tags: Vec::new(),
            custom: None,
        }
    }
}

impl Source {
    /// Whether it tells sums over requests, and none of them.
    #[must_use]
    pub fn tells_totals(&self) -> bool {
        TOTALS_FORMATS.contains(&self.format.as_str())
    }
}

/// The formats beside those that read one kind of log.
pub(super) const AUTO: &str = "auto";
pub(super) const CUSTOM: &str = "custom";

/// What a source's `format` can name, in the order of the documentation; the
/// parsers are in [`crate::ingest::formats`].
pub const FORMATS: &[&str] = &[
    "native",
    "openai",
    "openai-batch",
    "anthropic",
    "litellm",
    "envoy",
    "kong",
    "cloudflare",
    "openrouter",
    "otlp",
    "langfuse",
    "portkey",
    "helicone",
    CUSTOM,
    "litellm-api",
    "langfuse-api",
    "cloudflare-api",
    AUTO,
];

/// All sources. `formats` are the names that `format` can have.
pub(super) fn read_all(tables: Vec<Table<'_>>, timezone: Tz, formats: &[&'static str]) -> Vec<Source> {
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut sources = Vec::new();
    for mut table in tables {
        if let Some(name) = table.required("name", "a name for this source").and_then(|item| name(&item, &names)) {
            names.push((name.clone(), table.span_of("name").unwrap_or(table.span())));
            sources.push(read(table, name, timezone, formats));
        } else {
            read(table, String::new(), timezone, formats);
        }
    }
    sources
}

/// The name of a source becomes a directory in the book.
fn name(item: &Item<'_>, taken: &[(String, Span)]) -> Option<String> {
    let name = item.text()?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !plain || name.starts_with('.') {
        item.bad("letters, digits, `-`, `_` and `.`, since it names a directory", None);
        return None;
    }
    // Some file systems take upper and lower case for the same.
    if let Some((_, first)) = taken.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
        let first_line = item.line_of(*first);
        item.add(Problem::Duplicate { what: "the source", name: name.to_owned(), first_line });
        return None;
    }
    Some(name.to_owned())
}

fn read(mut table: Table<'_>, name: String, timezone: Tz, formats: &[&'static str]) -> Source {
    let default = Source::default();
    let format = table.required("format", "the name of a log format, or `auto`");
    let format = format.and_then(|item| known_format(&item, formats)).unwrap_or(default.format);
    let path = match remote_format(&format) {
        Some(_) => table.get("path"),
        None => table.required("path", "where the logs are, like \"logs/*.jsonl\""),
    };
    let remote = remote::read(&mut table, &format, path.is_some());
    let provider = table.get("provider").and_then(|item| item.string()).map(|name| name.to_lowercase());
    let custom = read_custom(&mut table, &format, provider.is_some());
    refuse_keys_of_requests(&mut table, &format);
    let source = Source {
        name,
        format,
        path: path.and_then(|item| pattern(&item)).unwrap_or_default(),
        remote,
        provider,
        role: table
            .get("role")
            .and_then(|item| item.one_of(&[("books", Role::Books), ("check", Role::Check)]))
            .unwrap_or_default(),
        tier: table.get("tier").and_then(|item| item.string()),
        timezone: table.get("timezone").and_then(|item| item.zone()).unwrap_or(timezone),
        priority: table.get("priority").and_then(|item| item.whole(-1_000_000, 1_000_000)).unwrap_or_default(),
        silent_after_micros: table
            .get("silent_after")
            .and_then(|item| item.duration(DURATIONS, "a span of time like \"36h\", \"90m\" or \"2d\""))
            .unwrap_or(default.silent_after_micros),
        identity: table
            .get("identity")
            .and_then(|item| item.one_of(&[("record", IdentityBy::Record), ("line", IdentityBy::Line)]))
            .unwrap_or_default(),
        source_version: table.get("source_version").and_then(|item| item.string()),
        tags: table.get("tags").map(|item| item.texts("tag")).unwrap_or_default(),
        custom,
    };
    table.finish();
    source
}

/// What says something of requests only.
const KEYS_OF_REQUESTS: [&str; 7] = ["role", "tier", "timezone", "priority", "identity", "source_version", "tags"];

fn refuse_keys_of_requests(table: &mut Table<'_>, format: &str) {
    if !TOTALS_FORMATS.contains(&format) {
        return;
    }
    for key in KEYS_OF_REQUESTS {
        let Some(item) = table.get(key) else { continue };
        item.add(Problem::Conflict {
            found: format!("{} is there with `format = \"{format}\"`", item.field()),
            expected: "a format of logs: totals have no requests that it could be said of".to_owned(),
        });
    }
}

const HOUR: i64 = 3_600 * 1_000_000;

/// The letters that a span of time can end in.
const DURATIONS: &[(char, i64)] =
    &[('s', 1_000_000), ('m', 60 * 1_000_000), ('h', HOUR), ('d', 24 * HOUR), ('w', 7 * 24 * HOUR)];

fn known_format(item: &Item<'_>, formats: &[&'static str]) -> Option<String> {
    let found = item.text()?;
    if formats.contains(&found) {
        return Some(found.to_owned());
    }
    let suggestion = nearest(found, formats.iter().copied());
    item.add(Problem::UnknownFormat { found: found.to_owned(), suggestion, known: formats.to_vec() });
    None
}

const NO_URL: &str = "a path or a glob on this machine: an address is a `url`, and the `format` one that is asked over \
                      HTTP";
const NO_GROQ_USAGE: &str = "a path or a glob on this machine: Groq has no usage endpoint (it answers 404 \
                             `unknown_url`), so read the logs of the gateway in front of it";

/// A glob, or a directory.
fn pattern(item: &Item<'_>) -> Option<String> {
    let text = item.text_of("a path or a glob like \"logs/*.jsonl\"")?;
    if text.contains("://") {
        item.bad(if text.contains("groq.com") { NO_GROQ_USAGE } else { NO_URL }, None);
        return None;
    }
    if let Err(error) = glob::Pattern::new(text) {
        item.bad(&format!("a path or a glob: {}", error.msg), None);
        return None;
    }
    Some(text.to_owned())
}

fn read_custom(table: &mut Table<'_>, format: &str, has_provider: bool) -> Option<CustomMapping> {
    let cache = table.get("cache");
    let fields = table.get("fields");
    if format != CUSTOM {
        for item in [cache, fields].into_iter().flatten() {
            item.add(Problem::Conflict {
                found: format!("{} is there with `format = \"{format}\"`", item.field()),
                expected: "`format = \"custom\"`, the only one that it says something to".to_owned(),
            });
        }
        return None;
    }
    let Some(fields) = fields else {
        table.missing("fields", "a table `[source.fields]` that says where each field stands");
        return None;
    };
    let cache = cache
        .and_then(|item| item.one_of(&[("inside", CachePlace::Inside), ("beside", CachePlace::Beside)]))
        .unwrap_or_default();
    let fields = custom::read_fields(fields.table("[source.fields]")?, has_provider);
    Some(CustomMapping { fields, cache })
}
