//! Every integration test, in one binary: linking is what takes time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod charges;
mod demo;
mod formats;
mod mutations;
mod priced;
mod props;
mod replay;
mod support;
mod tidy;
