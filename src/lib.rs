//! Spendbook keeps the books for LLM inference.

pub mod book;
pub mod clock;
pub mod config;
pub mod ingest;
pub mod json;
pub mod money;
pub mod record;
pub mod tally;
pub mod time;
