//! The columns of `violations`.

use super::{
    Column,
    ColumnType::{Decimal, Dict, Int64, Text, Timestamp},
    optional, required,
};

/// What broke a policy, in the order in which it is written.
pub const VIOLATIONS: &[Column] = &[
    required("ts", Timestamp, "the first request that it is about, by its start"),
    optional("team", Dict, "whose policy it broke; NULL for the organization's, or where nobody's is known"),
    optional("key", Dict, "name or fingerprint of the API key; NULL where the limit is one that keys share"),
    optional("user", Dict, "the user that the log names, where it is about one request"),
    optional("provider", Dict, "who bills for the request, where it is about one"),
    optional("model", Dict, "the model that served the request, where it is about one"),
    required("request_id", Text, "the first request that it is about, as in `charges`"),
    required(
        "kind",
        Dict,
        "`model_not_allowed`, `max_tokens_exceeded`, `unknown_key`, `unknown_team`, `budget_exhausted`, \
         `rate_limit_rpm_exceeded` or `rate_limit_tpm_exceeded`",
    ),
    optional("limit", Decimal, "what was allowed: tokens, requests or tokens per minute, or a budget in USD"),
    optional("value", Decimal, "what was found instead; of a rate its peak, of a budget what had been spent by then"),
    required("requests", Int64, "how many requests of the day it is about"),
    required("cost", Decimal, "what those cost, as far as it is known, in USD"),
    optional("detail", Text, "what was found, in words"),
];
