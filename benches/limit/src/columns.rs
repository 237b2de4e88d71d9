//! A line's fields, and rows column by column until they are written.

use std::{iter::repeat_n, mem, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Int16Builder, Int64Array, Int64Builder, StringArray, StringBuilder,
        TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use serde::Deserialize;

/// Rows in a row group, as ingest has them.
pub const ROW_GROUP: usize = 1 << 17;

/// Microseconds.
pub const DAY: i64 = 86_400_000_000;

#[derive(Deserialize)]
pub struct Line<'a> {
    ts: &'a str,
    request_id: &'a str,
    key: Option<&'a str>,
    team: Option<&'a str>,
    user: Option<&'a str>,
    model: &'a str,
    http_status: Option<i16>,
    error_code: Option<&'a str>,
    service_tier: Option<&'a str>,
    max_tokens: Option<i64>,
    latency_ms: Option<i64>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: i64,
    completion_tokens: i64,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<i64>,
}

impl Line<'_> {
    /// Microseconds since 1970 of `2026-05-04T00:00:00.000000Z`, and nothing else.
    pub fn instant(&self) -> Option<i64> {
        let number = |from, until| self.ts.get(from..until)?.parse::<i64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 719_469;
        let seconds = ((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?;
        Some(seconds * 1_000_000 + number(20, 26)?)
    }

    fn status(&self) -> &'static str {
        match (self.error_code, self.http_status) {
            (Some("blocked_api_access"), _) => "blocked",
            (_, Some(400..)) => "error",
            _ => "success",
        }
    }
}

/// The columns of `usage` that some row of the workload has a value in.
#[derive(Default)]
pub struct Columns {
    ts: Vec<i64>,
    texts: [StringBuilder; 9],
    status: StringBuilder,
    http_status: Int16Builder,
    numbers: [Int64Builder; 5],
}

const TEXTS: [&str; 9] =
    ["request_id", "source_file", "model", "tier", "key", "team_reported", "user", "error_code", "quality"];
const NUMBERS: [&str; 5] = ["max_tokens", "latency_ms", "input_tokens", "cached_input_tokens", "output_tokens"];

impl Columns {
    pub fn push(&mut self, line: &Line<'_>, ts: i64, file: &str) {
        self.ts.push(ts);
        let quality = if line.usage.is_some() { "reported" } else { "missing" };
        let texts = [
            Some(line.request_id),
            Some(file),
            Some(line.model),
            line.service_tier,
            line.key,
            line.team,
            line.user,
            line.error_code,
            Some(quality),
        ];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            column.append_option(text);
        }
        self.status.append_value(line.status());
        self.http_status.append_option(line.http_status);
        let cached = line.usage.as_ref().and_then(|usage| usage.prompt_tokens_details.as_ref()?.cached_tokens);
        let input = line.usage.as_ref().map(|usage| usage.prompt_tokens - cached.unwrap_or(0));
        let output = line.usage.as_ref().map(|usage| usage.completion_tokens);
        for (column, number) in self.numbers.iter_mut().zip([line.max_tokens, line.latency_ms, input, cached, output]) {
            column.append_option(number);
        }
    }

    pub fn is_full(&self) -> bool {
        self.ts.len() == ROW_GROUP
    }

    /// The columns in the order of the schema, which are then empty.
    pub fn take(&mut self) -> Vec<ArrayRef> {
        let rows = self.ts.len();
        let ts: ArrayRef = Arc::new(TimestampMicrosecondArray::from(mem::take(&mut self.ts)).with_timezone("UTC"));
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(repeat_n(text, rows))) };
        let schema = schema();
        let arrays = schema.fields().iter().map(|field| -> ArrayRef {
            let name = field.name().as_str();
            if let Some(at) = TEXTS.iter().position(|it| *it == name) {
                return Arc::new(self.texts[at].finish());
            }
            if let Some(at) = NUMBERS.iter().position(|it| *it == name) {
                return Arc::new(self.numbers[at].finish());
            }
            match name {
                "ts" | "ts_last" => Arc::clone(&ts),
                "source" => same("gateway"),
                "provider" => same("groq"),
                "operation" => same("chat"),
                "source_line" => Arc::new(Int64Array::from(vec![0; rows])),
                "status" => Arc::new(self.status.finish()),
                "http_status" => Arc::new(self.http_status.finish()),
                "gateway_cache" => Arc::new(BooleanArray::from(vec![false; rows])),
                _ => new_null_array(field.data_type(), rows),
            }
        });
        arrays.collect()
    }
}

/// The 39 columns of `usage` (docs/TABLES.md).
pub fn schema() -> SchemaRef {
    let ts = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let texts = "request_id part source source_file provider model model_requested tier operation key team_reported user \
                 project tags status error_code quality";
    let fields = "ts ts_last request_id part source source_file source_line provider model model_requested tier operation \
                  key team_reported user project tags status http_status error_code max_tokens latency_ms streamed \
                  gateway_cache quality input_tokens cached_input_tokens cache_write_5m_tokens cache_write_1h_tokens \
                  output_tokens reasoning_tokens audio_ms characters images web_searches page_visits code_ms browser_ms \
                  reported_cost";
    let required =
        "ts ts_last request_id source source_file source_line provider model operation status gateway_cache quality";
    let holds = |names: &str, name: &str| names.split_whitespace().any(|it| it == name);
    let fields = fields.split_whitespace().map(|name| {
        let kind = match name {
            "ts" | "ts_last" => ts.clone(),
            "http_status" => DataType::Int16,
            "streamed" | "gateway_cache" => DataType::Boolean,
            "reported_cost" => DataType::Decimal128(38, 12),
            name if holds(texts, name) => DataType::Utf8,
            _ => DataType::Int64,
        };
        Field::new(name, kind, !holds(required, name))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
