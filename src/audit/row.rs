//! A charge as the audit looks at it.

use crate::{audit::errors::Kind, money::Usd, record::Status, time::Instant};

/// A row of `charges`, as far as a policy can be broken by it. Rows come in
/// the order (ts, provider, `request_id`, part), which is that of the file.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub ts: Instant,
    pub request_id: &'a str,
    pub provider: &'a str,
    pub model: &'a str,
    /// The price book's name for it.
    pub model_billed: &'a str,
    /// Where it is another one.
    pub model_requested: Option<&'a str>,
    pub tier: Option<&'a str>,
    pub key: Option<&'a str>,
    pub team: Option<&'a str>,
    /// Whether the registry or the convention knows the key.
    pub is_key_known: bool,
    pub team_reported: Option<&'a str>,
    pub user: Option<&'a str>,
    pub status: Status,
    pub http_status: Option<i16>,
    pub error_code: Option<&'a str>,
    pub max_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    /// Input, cached or not, and output.
    pub tokens: i64,
    pub cost: Option<Usd>,
}

impl Row<'_> {
    /// Turned away before any work was done: by the gateway, or by a provider
    /// that says the fault is the request's.
    pub fn is_refused(&self) -> bool {
        match self.status {
            Status::Blocked => true,
            Status::Error => {
                let is_client_error = self.http_status.is_some_and(|code| (400..500).contains(&code));
                is_client_error || Kind::of(self.http_status, self.error_code).is_some_and(Kind::is_refusal)
            }
            Status::Success | Status::Partial | Status::Cancelled => false,
        }
    }

    /// Whether it counts towards limits per minute: batches have limits of
    /// their own.
    pub fn counts_per_minute(&self) -> bool {
        !self.is_refused() && self.tier != Some("batch")
    }

    /// What it is known to cost.
    pub fn known_cost(&self) -> Usd {
        self.cost.unwrap_or(Usd::ZERO)
    }
}
