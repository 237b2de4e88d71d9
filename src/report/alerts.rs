//! Alerts: events that are raised once, committed, and mailed.

mod daily;
mod decide;
mod episodes;
mod event;
mod facts;
mod gather;
mod spike;
mod state;
mod text_form;
mod thresholds;

use super::ReportError;
use crate::{audit::AuditError, book::BookError, budgets::TooLarge, policy::PolicyError};

/// Why there are no alerts.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}
