//! Rows for the tests of this stage.

use super::row::Row;
use crate::{money::Usd, record::Status, time::Instant};

/// 2026-06-01, in microseconds.
pub(super) const START: i64 = 1_780_272_000_000_000;

/// A request of `chat`'s key, so many seconds into the day, of 10 tokens and $1.
pub(super) fn row<'a>(second: i64, request_id: &'a str, key: &'a str) -> Row<'a> {
    Row {
        ts: at(second),
        request_id,
        provider: "groq",
        model: "llama",
        model_billed: "llama",
        model_requested: None,
        tier: None,
        key: Some(key),
        team: Some("chat"),
        is_key_known: true,
        team_reported: None,
        user: None,
        status: Status::Success,
        http_status: Some(200),
        error_code: None,
        max_tokens: None,
        output_tokens: Some(4),
        tokens: 10,
        cost: Some(usd("1")),
    }
}

pub(super) fn at(second: i64) -> Instant {
    Instant::from_micros(START + second * 1_000_000)
}

pub(super) fn usd(amount: &str) -> Usd {
    Usd::parse(amount).unwrap()
}
