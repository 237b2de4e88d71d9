//! Log formats: bytes in, usage records out, one file per format. What several
//! of them need is in [`shared`]; everything else here is a format.
//!
//! A format sees one entry at a time (a JSON value or a CSV row) and knows
//! nothing of files, prices, other entries or the book. It reports what it
//! finds to a [`Sink`]: a record, an entry that is valid but no usage, or one
//! that is broken. What all formats share (default provider and tier, ids,
//! secrets, sanity) happens behind the sink, in [`super::accept`].

mod anthropic;
mod cloudflare;
mod custom;
mod envoy;
mod helicone;
mod kong;
mod langfuse;
mod litellm;
pub(super) mod native;
mod openai;
mod openai_batch;
mod openrouter;
mod otlp;
mod portkey;
pub(crate) mod shared;

use std::borrow::Cow;

pub use shared::field::CsvRow;
pub(super) use shared::field::is_nothing;
pub(crate) use shared::provider;

use crate::{
    config::{Source, remote_format},
    json::Value,
    record::{Text, UsageRecord},
};

/// One entry of a log.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    Json(Value<'a>),
    Csv(CsvRow<'a>),
}

/// One log format.
pub trait Format: Send + Sync + std::fmt::Debug {
    /// Used in config, paths and messages, e.g. `litellm`.
    fn name(&self) -> &'static str;

    /// Whether it can be written as CSV with a header line.
    fn reads_csv(&self) -> bool {
        false
    }

    /// How sure this format is that the entry is one of its own, from 0 to
    /// 100, and by what it knows: for `auto`. An entry of another format gives
    /// 0; one that could be of several, less than 60.
    fn recognises(&self, entry: &Entry<'_>) -> Recognition;

    /// Reads one entry. It may hold no record, one or many.
    fn read<'a>(&self, entry: &Entry<'a>, source: &Source, sink: &mut dyn Sink<'a>);
}

/// How sure a format is of an entry, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognition {
    pub confidence: u8,
    /// What gave it away: `"object": "chat.completion"`.
    pub because: Cow<'static, str>,
}

impl Recognition {
    pub const NONE: Self = Self { confidence: 0, because: Cow::Borrowed("") };

    pub const fn of(confidence: u8, because: &'static str) -> Self {
        Self { confidence, because: Cow::Borrowed(because) }
    }
}

/// Where a format puts what it finds in an entry.
pub trait Sink<'a> {
    /// A request; what is found is made a record where it stands, since moving
    /// it costs as much as reading it.
    fn record(&mut self, found: &mut Found<'a>);
    /// Valid, and not usage: a health check, a parent span.
    fn skip(&mut self, reason: Skip);
    /// Broken: the entry goes to quarantine.
    fn reject(&mut self, reject: Reject);

    fn put(&mut self, mut read: Read<'a>) {
        match read {
            Ok(ref mut found) => self.record(found),
            Err(NoRecord::Skip(reason)) => self.skip(reason),
            Err(NoRecord::Reject(reject)) => self.reject(reject),
        }
    }
}

/// What a format makes of an entry that holds at most one request.
pub(crate) type Read<'a> = Result<Found<'a>, NoRecord>;

/// Why an entry gives no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRecord {
    Skip(Skip),
    Reject(Reject),
}

impl From<Skip> for NoRecord {
    fn from(reason: Skip) -> Self {
        Self::Skip(reason)
    }
}

impl From<Reject> for NoRecord {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// A record, and what its identity is made from.
///
/// `record.request_id` and `record.ts_last` are left as they are and
/// `record.part` may name an underlying model or a plugin; [`super::accept`]
/// makes the final ones.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    pub record: UsageRecord<'a>,
    /// Ids in the order of preference: the response's own first. Null-like
    /// ones (`None`, `0`, all zeros) may be among them; they are passed over.
    pub ids: [Option<Text<'a>>; 2],
    /// The second of the body's own `created`, where this format repeats it in
    /// every version of a request: it tells reused short ids apart.
    pub created: Option<i64>,
    /// The record's own text, where the entry is a page that holds many: what
    /// its id is made from if it has none.
    pub raw: Option<&'a str>,
}

impl<'a> Found<'a> {
    pub const fn new(record: UsageRecord<'a>) -> Self {
        Self { record, ids: [None, None], created: None, raw: None }
    }
}

/// Why a valid entry is no usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// Nothing in it speaks of a model or of usage.
    NotUsage,
    /// A health check or probe of the gateway.
    HealthCheck,
    /// A span, trace or plugin entry that repeats or wraps what others report.
    NotGeneration,
    /// A poll or a listing of jobs: the work itself is logged elsewhere.
    Poll,
    /// A sum over many requests.
    Aggregate,
    /// A call of a tool server that no model took part in.
    ToolCall,
}

impl Skip {
    /// The name under which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotUsage => "not_usage",
            Self::HealthCheck => "health_check",
            Self::NotGeneration => "not_generation",
            Self::Poll => "poll",
            Self::Aggregate => "aggregate",
            Self::ToolCall => "tool_call",
        }
    }
}

/// Why an entry is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    NotJson,
    NotUtf8,
    NotCsv,
    TooLong,
    WrongType,
    OutOfRange,
    MissingField,
    BadTime,
    /// The file ended inside it.
    CutOff,
}

impl RejectReason {
    /// The name under which it is counted and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::NotCsv => "not_csv",
            Self::TooLong => "too_long",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::MissingField => "missing_field",
            Self::BadTime => "bad_time",
            Self::CutOff => "cut_off",
        }
    }
}

/// A broken entry: the reason, and what was found and expected, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub reason: RejectReason,
    pub detail: String,
}

impl Reject {
    pub fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub fn missing(field: &str, expected: &str) -> Self {
        Self::new(RejectReason::MissingField, format!("`{field}` is missing, expected {expected}"))
    }
}

/// Every format that a source can name, in the order of the documentation.
static FORMATS: &[&dyn Format] = &[
    &native::Native,
    &openai::OpenAi,
    &openai_batch::OpenAiBatch,
    &anthropic::Anthropic,
    &litellm::LiteLlm,
    &envoy::Envoy,
    &kong::Kong,
    &cloudflare::Cloudflare,
    &openrouter::OpenRouter,
    &otlp::Otlp,
    &langfuse::Langfuse,
    &portkey::Portkey,
    &helicone::Helicone,
    &custom::Custom,
];

/// Every format, in the order of the documentation.
pub(crate) fn all() -> impl Iterator<Item = &'static dyn Format> {
    FORMATS.iter().copied()
}

/// The format of that name; of a source over HTTP, the one that its items are in.
pub fn by_name(name: &str) -> Option<&'static dyn Format> {
    let name = remote_format(name).and_then(|remote| remote.items).unwrap_or(name);
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// Every format's name, in the order of the documentation.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|format| format.name())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_config_knows_the_same_formats() {
        let remote = crate::config::REMOTE_FORMATS.iter().filter(|format| format.items.is_some());
        let names: Vec<_> = super::names().chain(remote.map(|format| format.name)).chain(["auto"]).collect();
        assert_eq!(names, crate::config::FORMATS);
    }
}
