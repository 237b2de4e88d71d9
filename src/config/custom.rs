//! `format = "custom"`: which field of a record means what, for gateways that
//! no format knows.
//!
//! A mapping names columns of the usage record and says where each stands. It
//! maps, it does not compute: units, time formats and whether cached tokens
//! are inside the prompt are the only things that it can state.

use std::collections::BTreeMap;

use crate::record::Meter;

/// A `[source.fields]` table, and the options beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomMapping {
    /// What is mapped, in the order of [`CustomField`]. It has `ts` and `model`.
    pub fields: BTreeMap<CustomField, Mapped>,
    /// Whether cached and cache-written tokens are part of the input tokens
    /// that the log states.
    pub cache: CachePlace,
}

/// Where a field stands and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    pub place: Place,
    pub unit: Unit,
}

/// Where the value of a field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer (RFC 6901) into the record: `/usage/prompt_tokens`.
    Pointer(String),
    /// A column of a CSV file, or a member of the JSON object itself.
    Name(String),
    /// The same for every record: `{ value = "groq" }`.
    Constant(String),
}

/// The unit or notation of a field's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A text, a count, a code or a flag, as the field itself is.
    Plain,
    Time(TimeFormat),
    Seconds,
    Millis,
    Usd,
    Cents,
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339, or a count since 1970 whose unit its size tells.
    Auto,
    EpochSeconds,
    EpochMillis,
    EpochMicros,
    EpochNanos,
    /// A pattern of `chrono`'s `strftime`: `%d/%b/%Y:%H:%M:%S %z`.
    Pattern(String),
}

/// Where a log counts the input tokens that a prompt cache took part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CachePlace {
    /// Inside the input tokens, as `OpenAI` and Groq count.
    #[default]
    Inside,
    /// Beside them, as Anthropic counts.
    Beside,
}

/// What a field of a record can be mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CustomField {
    Ts,
    RequestId,
    /// The second at which the provider created the response.
    Created,
    Provider,
    Model,
    ModelRequested,
    Tier,
    Operation,
    Key,
    Team,
    User,
    Project,
    /// An object of labels, of which the source's `tags` are kept.
    Tags,
    /// How it ended, in the words of the usage record.
    Status,
    HttpStatus,
    ErrorCode,
    MaxTokens,
    Latency,
    Streamed,
    GatewayCache,
    /// The quantity of a meter; of `input_tokens` as the log counts them, see
    /// [`CachePlace`].
    Meter(Meter),
    /// What the log claims as the sum of all tokens.
    TotalTokens,
    ReasoningTokens,
    ReportedCost,
}

/// What kind of value a field has, which decides the options it can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Plain,
    /// Takes `format`.
    Time,
    /// Takes `unit = "s"` or `"ms"`.
    Span,
    /// Takes `unit = "usd"` or `"cents"`.
    Cost,
}

/// Every name that `[source.fields]` can have.
pub(super) const FIELDS: &[(&str, CustomField)] = &[
    ("ts", CustomField::Ts),
    ("request_id", CustomField::RequestId),
    ("created", CustomField::Created),
    ("provider", CustomField::Provider),
    ("model", CustomField::Model),
    ("model_requested", CustomField::ModelRequested),
    ("tier", CustomField::Tier),
    ("operation", CustomField::Operation),
    ("key", CustomField::Key),
    ("team", CustomField::Team),
    ("user", CustomField::User),
    ("project", CustomField::Project),
    ("tags", CustomField::Tags),
    ("status", CustomField::Status),
    ("http_status", CustomField::HttpStatus),
    ("error_code", CustomField::ErrorCode),
    ("max_tokens", CustomField::MaxTokens),
    ("latency", CustomField::Latency),
    ("streamed", CustomField::Streamed),
    ("gateway_cache", CustomField::GatewayCache),
    ("input_tokens", CustomField::Meter(Meter::InputTokens)),
    ("prompt_tokens", CustomField::Meter(Meter::InputTokens)),
    ("cached_input_tokens", CustomField::Meter(Meter::CachedInputTokens)),
    ("cache_write_5m_tokens", CustomField::Meter(Meter::CacheWrite5mTokens)),
    ("cache_write_1h_tokens", CustomField::Meter(Meter::CacheWrite1hTokens)),
    ("output_tokens", CustomField::Meter(Meter::OutputTokens)),
    ("completion_tokens", CustomField::Meter(Meter::OutputTokens)),
    ("audio_ms", CustomField::Meter(Meter::AudioMs)),
    ("characters", CustomField::Meter(Meter::Characters)),
    ("images", CustomField::Meter(Meter::Images)),
    ("web_searches", CustomField::Meter(Meter::WebSearches)),
    ("page_visits", CustomField::Meter(Meter::PageVisits)),
    ("code_ms", CustomField::Meter(Meter::CodeMs)),
    ("browser_ms", CustomField::Meter(Meter::BrowserMs)),
    ("total_tokens", CustomField::TotalTokens),
    ("reasoning_tokens", CustomField::ReasoningTokens),
    ("reported_cost", CustomField::ReportedCost),
];

impl CustomField {
    /// The name under which a config maps it; the first one where it has two.
    #[must_use]
    pub fn name(self) -> &'static str {
        FIELDS.iter().find(|&&(_, field)| field == self).map_or("", |&(name, _)| name)
    }

    pub(super) fn kind(self) -> FieldKind {
        match self {
            Self::Ts | Self::Created => FieldKind::Time,
            Self::Latency => FieldKind::Span,
            Self::Meter(meter) if meter.info().unit == crate::record::Unit::Time => FieldKind::Span,
            Self::ReportedCost => FieldKind::Cost,
            _ => FieldKind::Plain,
        }
    }
}
