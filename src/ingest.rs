//! Ingest: logs in, `usage/` out. Never prices.

pub mod accept;
pub mod files;
pub mod formats;
pub mod framing;
pub mod parse;
pub mod rows;
pub mod secrets;
pub mod texts;
