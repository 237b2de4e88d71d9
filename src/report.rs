//! What the book says: spend against budgets, the biggest spenders, how fresh
//! it all is. Reads `rollup/` (and `charges/` for what a total does not keep),
//! only the days and columns that are asked for, writes nothing and takes no
//! lock: it works beside a run, and on a directory that cannot be written.
//!
//! Amounts are exact sums of charges. What is not known (requests without a
//! price, sources that are silent, days that are not priced yet) is always
//! named beside them. How it looks is a matter of the command line.

pub mod alerts;
mod budget_state;
pub(crate) mod freshness;
mod heard;
mod html;
mod numbers;
mod query;
mod reconciled;
pub(crate) mod render;
mod status;
pub(crate) mod sums;
mod tables;
mod top;
pub mod weekly;

use std::{io, path::PathBuf};

use crate::{
    audit::AuditError, book::BookError, budgets::TooLarge, charges::ChargesError, policy::PolicyError,
    reconcile::ReconcileError,
};

pub use budget_state::BudgetState;
pub use freshness::{LastRuns, TotalsState};
pub use heard::{Heard, SourceState, last_heard};
pub use html::{FIRST_LINE, HtmlError, HtmlPage, html};
pub use query::{Answer, QueryError, query};
pub use reconciled::{NotLogged, Provider, Reconciled, reported_keys};
pub use render::RenderError;
pub use status::{Coverage, Status, Unbudgeted};
pub use tables::{Asked, DATE_DOC, TABLES, Table, TableError, sql_type, views};
pub(crate) use tables::{DATE, Value, budgets};
pub use top::{Entry, Subject, Top};

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Charges(#[from] ChargesError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    #[error("`{}` cannot be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(
        "the amounts of `{table}` from {from} to {until} have more than 26 digits before the point; look for a price \
         that is wrong by many digits"
    )]
    TooMuch { table: &'static str, from: String, until: String },
}
