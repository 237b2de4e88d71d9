//! The usage record: the one schema.
//!
//! Columns, types and their documentation are defined here once; the Arrow
//! schema, `docs/TABLES.md`, the day files and the tests derive from it.
//! Token columns are disjoint buckets: each token is in exactly one of them.
//! A quantity that nobody reported is `None`, never `0`.

#![deny(clippy::float_arithmetic)]

mod derived;
mod totals;
mod unlogged;
mod violations;

use std::borrow::Cow;

use crate::time::Instant;

pub use derived::{AMOUNTS, CHARGES, PRICED, PROVENANCE, ROLLUP, ROLLUP_KEYS};
pub use totals::TOTALS;
pub use unlogged::UNLOGGED;
pub use violations::VIOLATIONS;

/// Text that borrows from the log line where it can.
pub type Text<'a> = Cow<'a, str>;

/// What a provider bills by: every priced quantity, in the order of its column.
///
/// Adding a meter is adding a variant, its entry in [`METERS`], and a
/// migration of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Meter {
    InputTokens,
    CachedInputTokens,
    CacheWrite5mTokens,
    CacheWrite1hTokens,
    OutputTokens,
    AudioMs,
    Characters,
    Images,
    WebSearches,
    PageVisits,
    CodeMs,
    BrowserMs,
}

/// How a meter's unit is written in a price: suffixes `k`, `M` or `s`, `m`, `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Tokens, characters, images, requests.
    Count,
    /// Milliseconds.
    Time,
}

/// The cost column of `charges` that a meter's line item is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostColumn {
    Input,
    CachedInput,
    CacheWrite,
    Output,
    Other,
}

/// What is known about a meter: the row from which schema, price checks,
/// cost expressions, exports and docs derive.
#[derive(Debug)]
pub struct MeterInfo {
    pub meter: Meter,
    pub column: &'static str,
    pub unit: Unit,
    pub cost_column: CostColumn,
    pub doc: &'static str,
}

const fn meter(
    meter: Meter,
    column: &'static str,
    unit: Unit,
    cost_column: CostColumn,
    doc: &'static str,
) -> MeterInfo {
    MeterInfo { meter, column, unit, cost_column, doc }
}

/// Every meter, in the order of its column.
pub const METERS: [MeterInfo; Meter::COUNT] = [
    meter(
        Meter::InputTokens,
        "input_tokens",
        Unit::Count,
        CostColumn::Input,
        "input tokens billed at the full input price: neither read from a cache nor written to one",
    ),
    meter(
        Meter::CachedInputTokens,
        "cached_input_tokens",
        Unit::Count,
        CostColumn::CachedInput,
        "input tokens that the provider read from its prompt cache",
    ),
    meter(
        Meter::CacheWrite5mTokens,
        "cache_write_5m_tokens",
        Unit::Count,
        CostColumn::CacheWrite,
        "input tokens written to a prompt cache that lives 5 minutes, or whose life is not stated",
    ),
    meter(
        Meter::CacheWrite1hTokens,
        "cache_write_1h_tokens",
        Unit::Count,
        CostColumn::CacheWrite,
        "input tokens written to a prompt cache that lives 1 hour",
    ),
    meter(
        Meter::OutputTokens,
        "output_tokens",
        Unit::Count,
        CostColumn::Output,
        "all billed output tokens, reasoning included",
    ),
    meter(
        Meter::AudioMs,
        "audio_ms",
        Unit::Time,
        CostColumn::Other,
        "audio transcribed or translated, in milliseconds",
    ),
    meter(Meter::Characters, "characters", Unit::Count, CostColumn::Other, "characters of text turned into speech"),
    meter(Meter::Images, "images", Unit::Count, CostColumn::Other, "images generated"),
    meter(Meter::WebSearches, "web_searches", Unit::Count, CostColumn::Other, "web searches that the provider ran"),
    meter(Meter::PageVisits, "page_visits", Unit::Count, CostColumn::Other, "web pages that the provider opened"),
    meter(
        Meter::CodeMs,
        "code_ms",
        Unit::Time,
        CostColumn::Other,
        "time of the provider's code interpreter, in milliseconds",
    ),
    meter(
        Meter::BrowserMs,
        "browser_ms",
        Unit::Time,
        CostColumn::Other,
        "time of the provider's browser automation, in milliseconds",
    ),
];

impl Meter {
    pub const COUNT: usize = 12;

    /// This meter's place in [`METERS`] and in [`Quantities`].
    pub const fn index(self) -> usize {
        self as usize
    }

    pub const fn info(self) -> &'static MeterInfo {
        &METERS[self.index()]
    }

    /// The meter that a column name, as written in a price book, stands for.
    pub fn from_column(column: &str) -> Option<Self> {
        METERS.iter().find(|info| info.column == column).map(|info| info.meter)
    }
}

/// A quantity per meter; `None` where nobody reported one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Quantities(pub [Option<i64>; Meter::COUNT]);

impl std::ops::Index<Meter> for Quantities {
    type Output = Option<i64>;
    fn index(&self, meter: Meter) -> &Option<i64> {
        &self.0[meter.index()]
    }
}

impl std::ops::IndexMut<Meter> for Quantities {
    fn index_mut(&mut self, meter: Meter) -> &mut Option<i64> {
        &mut self.0[meter.index()]
    }
}

impl Quantities {
    /// The sum over all meters, by which two versions of a request are compared.
    pub fn sum(&self) -> i128 {
        self.0.iter().flatten().map(|&quantity| i128::from(quantity)).sum()
    }

    /// Whether any quantity was reported, be it zero.
    pub fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    /// All input tokens, cached and written ones included.
    pub fn total_input(&self) -> i128 {
        [Meter::InputTokens, Meter::CachedInputTokens, Meter::CacheWrite5mTokens, Meter::CacheWrite1hTokens]
            .iter()
            .filter_map(|&meter| self[meter])
            .map(i128::from)
            .sum()
    }
}

/// An enum whose variants are written in tables under a fixed name.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name under which it stands in the tables.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.name() == name)
            }
        }
    };
}

named!(
    /// What kind of work a request asked for.
    Operation {
        Chat = "chat",
        Responses = "responses",
        Completion = "completion",
        Embedding = "embedding",
        Transcription = "transcription",
        Translation = "translation",
        Speech = "speech",
        Image = "image",
        Tool = "tool",
        Other = "other",
    }
);

named!(
    /// How a request ended.
    Status {
        Success = "success",
        Error = "error",
        /// Cut off before its end: a stream that was interrupted.
        Partial = "partial",
        Cancelled = "cancelled",
        /// Refused before any work was done: by a budget, a limit, a guardrail.
        Blocked = "blocked",
    }
);

named!(
    /// How far the quantities can be trusted; better ones come first.
    Quality {
        Reported = "reported",
        Estimated = "estimated",
        Partial = "partial",
        Missing = "missing",
    }
);

named!(
    /// What a line of `totals` tells.
    Measure {
        /// Quantities.
        Usage = "usage",
        /// Money.
        Cost = "cost",
        Both = "both",
    }
);

/// One request as a log reported it, before it is merged with other versions
/// of itself.
///
/// Text borrows from the log; a format fills in what it finds and leaves the
/// rest at its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord<'a> {
    /// Start of the request where known, else the time that the source gives.
    pub ts: Instant,
    /// The latest time among all versions ever merged.
    pub ts_last: Instant,
    /// The provider's own id of the response; see DESIGN "Identity".
    pub request_id: Text<'a>,
    /// Tells apart what shares a request id; empty for most.
    pub part: Text<'a>,
    pub provider: Text<'a>,
    pub model: Text<'a>,
    pub model_requested: Option<Text<'a>>,
    pub tier: Option<Text<'a>>,
    pub operation: Operation,
    pub key: Option<Text<'a>>,
    pub team_reported: Option<Text<'a>>,
    pub user: Option<Text<'a>>,
    pub project: Option<Text<'a>>,
    pub tags: Option<Text<'a>>,
    pub status: Status,
    pub http_status: Option<i16>,
    pub error_code: Option<Text<'a>>,
    pub max_tokens: Option<i64>,
    pub latency_ms: Option<i64>,
    pub streamed: Option<bool>,
    pub gateway_cache: bool,
    pub quality: Quality,
    pub quantities: Quantities,
    pub reasoning_tokens: Option<i64>,
    /// What the log claims it cost, in pico-dollars; never trusted.
    pub reported_cost: Option<crate::money::Usd>,
}

impl<'a> UsageRecord<'a> {
    /// A record with everything unknown but its time.
    pub fn at(ts: Instant) -> Self {
        Self {
            ts,
            ts_last: ts,
            request_id: Text::Borrowed(""),
            part: Text::Borrowed(""),
            provider: Text::Borrowed(""),
            model: Text::Borrowed(""),
            model_requested: None,
            tier: None,
            operation: Operation::Chat,
            key: None,
            team_reported: None,
            user: None,
            project: None,
            tags: None,
            status: Status::Success,
            http_status: None,
            error_code: None,
            max_tokens: None,
            latency_ms: None,
            streamed: None,
            gateway_cache: false,
            quality: Quality::Missing,
            quantities: Quantities::default(),
            reasoning_tokens: None,
            reported_cost: None,
        }
    }
}

/// The type of a column, from which Arrow, Parquet and the docs derive theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Microseconds since 1970, UTC.
    Timestamp,
    /// Text in which most values differ.
    Text,
    /// Text in which few values differ: dictionary-encoded in the file.
    Dict,
    Int64,
    Int16,
    Bool,
    /// Exact decimal with 38 digits, 12 of them after the point.
    Decimal,
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    pub nullable: bool,
    pub doc: &'static str,
}

pub(crate) const fn required(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, nullable: false, doc }
}

pub(crate) const fn optional(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, nullable: true, doc }
}

const fn quantity(meter: Meter) -> Column {
    let info = meter.info();
    optional(info.column, ColumnType::Int64, info.doc)
}

use ColumnType::{Bool, Decimal, Dict, Int16, Int64, Text as TextColumn, Timestamp};

/// The columns of `usage`, in the order in which they are written.
pub const USAGE: &[Column] = &[
    required("ts", Timestamp, "start of the request where known, else the time that the source gives"),
    required("ts_last", Timestamp, "the latest time among all versions of the request that were ever merged"),
    required(
        "request_id",
        TextColumn,
        "the provider's id of the response, or `h_` and a hash of the record where it has none",
    ),
    optional(
        "part",
        Dict,
        "tells apart what shares a request id: an underlying model, a plugin's own call, a gateway cache hit",
    ),
    required("source", Dict, "name of the source that the quantities were read from"),
    required("source_file", Dict, "the file they were read from, relative to the config's directory"),
    required("source_line", Int64, "the line of that file, or the number of the item in it"),
    required("provider", Dict, "who bills for the request, in lower case"),
    required("model", Dict, "the model that served the request"),
    optional("model_requested", Dict, "the model or alias that was asked for, where it is another one"),
    optional(
        "tier",
        Dict,
        "the service tier as served: `on_demand`, `flex`, `batch`, …; NULL is priced as `on_demand`",
    ),
    required(
        "operation",
        Dict,
        "`chat`, `responses`, `completion`, `embedding`, `transcription`, `translation`, `speech`, `image`, `tool` or `other`",
    ),
    optional("key", Dict, "name or fingerprint of the API key; never the key itself"),
    optional("team_reported", Dict, "the team that the log itself names"),
    optional("user", Dict, "the user that the log names"),
    optional("project", Dict, "the provider's or gateway's project"),
    optional("tags", TextColumn, "allow-listed labels, as canonical JSON"),
    required("status", Dict, "`success`, `error`, `partial`, `cancelled` or `blocked`"),
    optional("http_status", Int16, "the HTTP status that the client was sent"),
    optional("error_code", Dict, "the provider's or gateway's own code of the error"),
    optional("max_tokens", Int64, "the limit on output tokens that the request asked for"),
    optional("latency_ms", Int64, "from request to last byte, in milliseconds"),
    optional("streamed", Bool, "whether the answer was streamed"),
    required("gateway_cache", Bool, "answered from the gateway's own cache: tokens are shown, nothing is billed"),
    required("quality", Dict, "how far the quantities can be trusted: `reported`, `estimated`, `partial` or `missing`"),
    quantity(Meter::InputTokens),
    quantity(Meter::CachedInputTokens),
    quantity(Meter::CacheWrite5mTokens),
    quantity(Meter::CacheWrite1hTokens),
    quantity(Meter::OutputTokens),
    optional(
        "reasoning_tokens",
        Int64,
        "how many of the output tokens were reasoning; information, never priced again",
    ),
    quantity(Meter::AudioMs),
    quantity(Meter::Characters),
    quantity(Meter::Images),
    quantity(Meter::WebSearches),
    quantity(Meter::PageVisits),
    quantity(Meter::CodeMs),
    quantity(Meter::BrowserMs),
    optional(
        "reported_cost",
        Decimal,
        "what the log claims the request cost, in USD; never trusted, never used as cost",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_stand_at_their_own_index() {
        for (index, info) in METERS.iter().enumerate() {
            assert_eq!(info.meter.index(), index, "{}", info.column);
        }
    }

    #[test]
    fn column_names_are_unique_and_every_meter_has_one() {
        let mut names: Vec<_> = USAGE.iter().map(|column| column.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for info in &METERS {
            assert!(names.contains(&info.column), "{}", info.column);
        }
    }

    #[test]
    fn names_are_read_back() {
        for &operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(operation));
        }
        assert_eq!(Meter::from_column("audio_ms"), Some(Meter::AudioMs));
        assert_eq!(Meter::from_column("reasoning_tokens"), None);
    }
}
