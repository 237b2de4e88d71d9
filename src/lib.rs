//! Spendbook keeps the books for LLM inference.
//!
//! The modules are the stages, in the order that the data flows; imports point
//! one way, from the later to the earlier.

// What a request is, what money and time are, and how rows are accounted for.
pub mod clock;
pub mod json;
pub mod money;
pub mod record;
pub mod replace;
pub mod secrets;
pub mod tally;
pub mod threads;
pub mod time;

// What the user wants, and where everything is kept.
pub mod book;
pub mod config;
pub mod floors;
pub mod pricing;

// How providers and gateways are asked.
pub mod http;

// Whose it is, by whose calendar, and against what budget.
pub mod budgets;
pub mod periods;
pub mod policy;
pub mod teams;

// The stages.
pub mod audit;
pub mod charges;
pub mod ingest;
pub mod migrate;
pub mod prune;
pub mod reconcile;
pub mod runs;
pub mod totals;

// How it reaches people, and the program that watches over the night.
pub mod mail;
pub mod ping;

// What the book says.
pub mod report;

// The same in the forms that other programs know.
pub mod export;

// All of it in one command.
pub mod night;

// What it carries to begin with, and whether all is well.
pub mod bundled;
pub mod demo;
pub mod doctor;

// The edge.
pub mod cli;
