//! `format = "custom"`: which field of a record means what, for gateways that
//! no format knows.
//!
//! A mapping names columns of the usage record and says where each stands. It
//! maps, it does not compute: units, time formats and whether cached tokens
//! are inside the prompt are the only things that it can state.

use std::collections::BTreeMap;

use super::{
    document::Span,
    problem::Problem,
    reader::{Item, Table},
};
use crate::record::{Meter, Operation, Status};

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

/// Reads `[source.fields]`.
pub(super) fn read_fields(mut table: Table<'_>, has_provider: bool) -> BTreeMap<CustomField, Mapped> {
    let mut fields: BTreeMap<CustomField, Mapped> = BTreeMap::new();
    let mut spans: Vec<(CustomField, Span)> = Vec::new();
    for &(name, field) in FIELDS {
        let Some(item) = table.get(name) else { continue };
        if let Some((_, first)) = spans.iter().find(|(other, _)| *other == field) {
            item.add(Problem::Conflict {
                found: format!("{} is the same as `{}` on line {}", item.field(), field.name(), item.line_of(*first)),
                expected: "one of them".to_owned(),
            });
            continue;
        }
        spans.push((field, item.span));
        if let Some(mapped) = read_field(&item, field) {
            fields.insert(field, mapped);
        }
    }
    let is_there = |field: CustomField| spans.iter().any(|&(other, _)| other == field);
    if !is_there(CustomField::Ts) {
        table.missing("ts", "where the time of a request stands");
    }
    if !is_there(CustomField::Model) {
        table.missing("model", "where the model stands, or `{ value = \"…\" }` where it is always the same");
    }
    if !is_there(CustomField::Provider) && !has_provider {
        table.missing("provider", "where the provider stands, or `provider = \"…\"` in `[[source]]`");
    }
    table.finish();
    fields
}

/// `"/usage/prompt_tokens"`, `"column"`, `{ value = "groq" }` or
/// `{ field = "/took", unit = "s" }`.
fn read_field(item: &Item<'_>, field: CustomField) -> Option<Mapped> {
    if !item.is_table() {
        let text = item.text_of("a JSON pointer like \"/usage/prompt_tokens\", a column, or `{ value = \"…\" }`")?;
        return Some(Mapped { place: place(item, text)?, unit: default_unit(field) });
    }
    let mut table = item.table(&format!("[source.fields.{}]", field.name()))?;
    let at = table.get("field");
    let value = table.get("value");
    let unit = unit(&mut table, field);
    let line = table.span();
    let place = match (at, value) {
        (Some(at), None) => at.text().and_then(|text| place(&at, text)),
        (None, Some(value)) => constant(&value, field),
        (at, _) => {
            let found = if at.is_some() { "both `field` and `value` are" } else { "neither `field` nor `value` is" };
            table.add(
                line,
                Problem::Conflict {
                    found: format!("{found} there"),
                    expected: "`field`, where it stands, or `value`, what it always is".to_owned(),
                },
            );
            None
        }
    };
    table.finish();
    Some(Mapped { place: place?, unit: unit? })
}

fn place(item: &Item<'_>, text: &str) -> Option<Place> {
    if !text.starts_with('/') {
        return Some(Place::Name(text.to_owned()));
    }
    // RFC 6901: `~` only as `~0` and `~1`.
    if text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        item.bad("a JSON pointer, in which `~` is written `~0` and a `/` inside a name `~1`", None);
        return None;
    }
    Some(Place::Pointer(text.to_owned()))
}

/// What is different in every record cannot be a constant; words and flags
/// must be ones that the usage record has.
fn constant(item: &Item<'_>, field: CustomField) -> Option<Place> {
    let text = item.scalar()?;
    let expected = match field {
        CustomField::Ts | CustomField::RequestId | CustomField::Created => {
            Some("no constant, since it differs from record to record: use `field`".to_owned())
        }
        CustomField::Operation if Operation::from_name(&text).is_none() => {
            Some(super::problem::listed(Operation::ALL.iter().map(|it| it.name()), "or"))
        }
        CustomField::Status if Status::from_name(&text).is_none() => {
            Some(super::problem::listed(Status::ALL.iter().map(|it| it.name()), "or"))
        }
        CustomField::Streamed | CustomField::GatewayCache if !matches!(text.as_str(), "true" | "false") => {
            Some("`true` or `false`".to_owned())
        }
        _ => None,
    };
    if let Some(expected) = expected {
        item.bad(&expected, None);
        return None;
    }
    Some(Place::Constant(text))
}

fn default_unit(field: CustomField) -> Unit {
    match field.kind() {
        FieldKind::Plain => Unit::Plain,
        FieldKind::Time => Unit::Time(TimeFormat::Auto),
        FieldKind::Span => Unit::Millis,
        FieldKind::Cost => Unit::Usd,
    }
}

/// The option that a field of this kind takes; any other one is unknown.
fn unit(table: &mut Table<'_>, field: CustomField) -> Option<Unit> {
    let item = match field.kind() {
        FieldKind::Plain => None,
        FieldKind::Time => table.get("format"),
        FieldKind::Span | FieldKind::Cost => table.get("unit"),
    };
    let Some(item) = item else { return Some(default_unit(field)) };
    match field.kind() {
        FieldKind::Plain => None,
        FieldKind::Time => time_format(&item).map(Unit::Time),
        FieldKind::Span => {
            item.one_of(&[("s", false), ("ms", true)]).map(|ms| if ms { Unit::Millis } else { Unit::Seconds })
        }
        FieldKind::Cost => {
            item.one_of(&[("usd", false), ("cents", true)]).map(|cents| if cents { Unit::Cents } else { Unit::Usd })
        }
    }
}

fn time_format(item: &Item<'_>) -> Option<TimeFormat> {
    let expected = "`auto`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or a pattern like \"%Y-%m-%d %H:%M:%S\"";
    let text = item.text_of(expected)?;
    match text {
        "auto" => Some(TimeFormat::Auto),
        "epoch_s" => Some(TimeFormat::EpochSeconds),
        "epoch_ms" => Some(TimeFormat::EpochMillis),
        "epoch_us" => Some(TimeFormat::EpochMicros),
        "epoch_ns" => Some(TimeFormat::EpochNanos),
        _ => {
            let mut pieces = chrono::format::StrftimeItems::new(text);
            let is_pattern = text.contains('%') && !pieces.any(|piece| piece == chrono::format::Item::Error);
            if !is_pattern {
                item.bad(expected, None);
            }
            is_pattern.then(|| TimeFormat::Pattern(text.to_owned()))
        }
    }
}
