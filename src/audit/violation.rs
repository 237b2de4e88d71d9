//! What is told of a broken policy: a row of `violations`.

use crate::{money::Usd, time::Instant};

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    ModelNotAllowed,
    MaxTokensExceeded,
    UnknownKey,
    UnknownTeam,
    BudgetExhausted,
    RateLimitRpmExceeded,
    RateLimitTpmExceeded,
}

impl ViolationKind {
    pub const ALL: [Self; 7] = [
        Self::ModelNotAllowed,
        Self::MaxTokensExceeded,
        Self::UnknownKey,
        Self::UnknownTeam,
        Self::BudgetExhausted,
        Self::RateLimitRpmExceeded,
        Self::RateLimitTpmExceeded,
    ];

    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModelNotAllowed => "model_not_allowed",
            Self::MaxTokensExceeded => "max_tokens_exceeded",
            Self::UnknownKey => "unknown_key",
            Self::UnknownTeam => "unknown_team",
            Self::BudgetExhausted => "budget_exhausted",
            Self::RateLimitRpmExceeded => "rate_limit_rpm_exceeded",
            Self::RateLimitTpmExceeded => "rate_limit_tpm_exceeded",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::ModelNotAllowed => {
                "add the model to the team's or key's `allowed_models`, or have the gateway refuse it"
            }
            Self::MaxTokensExceeded => {
                "lower `max_tokens` in the application, or raise `max_tokens_per_request` for the team or the key"
            }
            Self::UnknownKey => {
                "register it as a `[[key]]` with its team (`spendbook keys` may say whose it is), or revoke it"
            }
            Self::UnknownTeam => "add the team, or name it under `formerly` of the team that it became",
            Self::BudgetExhausted => {
                "raise the budget, or have the gateway refuse the team once it is spent (`spendbook export budget-state`)"
            }
            Self::RateLimitRpmExceeded | Self::RateLimitTpmExceeded => {
                "slow the application down, raise the limit, or enforce it in the gateway: nothing did"
            }
        }
    }
}

/// A row of the table, in the order of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub ts: Instant,
    pub team: Option<String>,
    pub key: Option<String>,
    pub user: Option<String>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub request_id: String,
    pub kind: ViolationKind,
    /// Of tokens and requests, or of money.
    pub limit: Option<Usd>,
    pub value: Option<Usd>,
    pub requests: i64,
    pub cost: Usd,
    pub detail: Option<String>,
}

/// A count, as a column of decimals has it. No minute has more tokens than fit.
pub(super) fn count(number: i128) -> Option<Usd> {
    const ONE: i128 = 1_000_000_000_000;
    number.checked_mul(ONE).and_then(Usd::from_pico)
}
