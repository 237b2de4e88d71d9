//! Every integration test, in one binary: linking is what takes time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alerts;
mod asked;
mod audit;
mod boundaries;
mod budgets;
mod charges;
mod checked;
mod config_schema;
mod delivery;
mod demo;
mod docs;
mod errors;
mod exports;
mod faults;
mod focus;
mod formats;
mod fuzz;
mod http_client;
mod import;
mod journal;
mod known_answers;
mod migrate;
mod mutations;
mod night;
mod page;
mod price_command;
mod priced;
mod props;
mod prune;
mod pull;
mod query;
mod reconcile;
mod renaming;
mod replay;
mod rubbish;
mod secrets;
mod silence;
mod simulation;
mod status;
mod support;
mod tidy;
mod totals;
mod unlogged;
mod weekly;
