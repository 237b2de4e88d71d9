//! Ingest: logs in, `usage/` out. Never prices.

pub mod accept;
pub mod formats;
pub mod secrets;
