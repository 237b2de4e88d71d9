//! What the errors in the logs mean, and what to do about them.

use std::collections::BTreeMap;

use crate::{record::Status, time::Instant};

/// A trouble that an operator can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    RateLimit,
    InvalidKey,
    Permission,
    ModelUnavailable,
    SpendingCap,
    Blocked,
    TooLarge,
    BadRequest,
    Overloaded,
    Provider,
    Other,
}

/// Codes by which a kind is known; what ends in `*` begins like that. The code
/// is told before the HTTP status, which many errors share.
const CODES: &[(&str, Kind)] = &[
    ("blocked_api_access", Kind::SpendingCap),
    ("spend_*", Kind::SpendingCap),
    ("spending_*", Kind::SpendingCap),
    ("insufficient_quota", Kind::SpendingCap),
    ("billing_*", Kind::SpendingCap),
    ("budget_exceeded", Kind::SpendingCap),
    ("rate_limit*", Kind::RateLimit),
    ("too_many_requests", Kind::RateLimit),
    ("tokens_per_*", Kind::RateLimit),
    ("requests_per_*", Kind::RateLimit),
    ("invalid_api_key", Kind::InvalidKey),
    ("invalid_authentication*", Kind::InvalidKey),
    ("authentication_error", Kind::InvalidKey),
    ("expired_api_key", Kind::InvalidKey),
    ("unauthorized", Kind::InvalidKey),
    ("model_not_found", Kind::ModelUnavailable),
    ("model_not_active", Kind::ModelUnavailable),
    ("model_decommissioned", Kind::ModelUnavailable),
    ("model_deprecated", Kind::ModelUnavailable),
    ("model_terms_required", Kind::ModelUnavailable),
    ("model_permission_blocked*", Kind::ModelUnavailable),
    ("not_available_for_plan", Kind::ModelUnavailable),
    ("permission_*", Kind::Permission),
    ("context_length_exceeded", Kind::TooLarge),
    ("request_too_large", Kind::TooLarge),
    ("capacity_exceeded", Kind::Overloaded),
    ("overloaded_error", Kind::Overloaded),
    ("service_unavailable", Kind::Overloaded),
];

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::RateLimit,
        Self::InvalidKey,
        Self::Permission,
        Self::ModelUnavailable,
        Self::SpendingCap,
        Self::Blocked,
        Self::TooLarge,
        Self::BadRequest,
        Self::Overloaded,
        Self::Provider,
        Self::Other,
    ];

    /// What an HTTP status and a code mean; `None` without either.
    pub fn of(http_status: Option<i16>, error_code: Option<&str>) -> Option<Self> {
        let by_code = error_code.and_then(|code| {
            let code = code.to_ascii_lowercase();
            let is = |pattern: &str| match pattern.strip_suffix('*') {
                Some(beginning) => code.starts_with(beginning),
                None => code == pattern,
            };
            CODES.iter().find(|(pattern, _)| is(pattern)).map(|(_, kind)| *kind)
        });
        by_code.or_else(|| {
            Some(match http_status? {
                401 => Self::InvalidKey,
                402 => Self::SpendingCap,
                403 => Self::Permission,
                404 => Self::ModelUnavailable,
                413 => Self::TooLarge,
                429 => Self::RateLimit,
                498 | 503 | 529 => Self::Overloaded,
                400..500 => Self::BadRequest,
                500..600 => Self::Provider,
                _ => return None,
            })
        })
    }

    /// What an error or a blocked request of a log is.
    fn of_attempt(row: &Attempt<'_>) -> Option<Self> {
        match row.status {
            Status::Success | Status::Partial | Status::Cancelled => None,
            Status::Error => Some(Self::of(row.http_status, row.error_code).unwrap_or(Self::Other)),
            // Where the gateway says why, that says more than that it did.
            Status::Blocked => match Self::of(None, row.error_code).or(Self::of(row.http_status, None)) {
                Some(kind @ (Self::SpendingCap | Self::RateLimit | Self::InvalidKey)) => Some(kind),
                _ => Some(Self::Blocked),
            },
        }
    }

    /// Whether nothing was done for such a request.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::Provider | Self::Overloaded | Self::Other)
    }

    /// The name in listings and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::InvalidKey => "invalid_key",
            Self::Permission => "permission",
            Self::ModelUnavailable => "model_unavailable",
            Self::SpendingCap => "spending_cap",
            Self::Blocked => "blocked",
            Self::TooLarge => "too_large",
            Self::BadRequest => "bad_request",
            Self::Overloaded => "overloaded",
            Self::Provider => "provider_error",
            Self::Other => "other",
        }
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::RateLimit => "more requests or tokens than the provider or the gateway takes at a time",
            Self::InvalidKey => "the key is wrong, deleted or expired, and something still uses it",
            Self::Permission => "the key may not do this: its project or plan does not include it",
            Self::ModelUnavailable => "the model does not exist, was shut down, or is not open to this project",
            Self::SpendingCap => {
                "the organization's or project's spending limit is reached: all requests are refused until it is \
                 raised or the month ends"
            }
            Self::Blocked => "the gateway refused it: a budget, a limit or a guardrail",
            Self::TooLarge => "prompt and answer are longer than the model or the endpoint takes",
            Self::BadRequest => "the request is malformed, or asks for what the model cannot do",
            Self::Overloaded => "the provider had no capacity",
            Self::Provider => "the provider failed",
            Self::Other => "an error of a kind that its log does not tell",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::RateLimit => {
                "retry after the time that `retry-after` says, with growing waits; spread the load or use the batch \
                 API; limits are shared by all keys of the organization, so ask the provider for higher ones if \
                 they are too low for all of them"
            }
            Self::InvalidKey => {
                "find who still uses it (`spendbook keys` says when and by whom), give them the new key, and only then \
                 delete the old one"
            }
            Self::Permission => "check the project and plan that the key belongs to, or use a key of the right project",
            Self::ModelUnavailable => {
                "check the model's name and whether it was shut down, move to its successor, or have the model \
                 enabled for the project"
            }
            Self::SpendingCap => {
                "raise the limit in the provider's console (Settings, Billing, Limits) after looking at who spent it \
                 (`spendbook top teams`), or wait until it is reset on the 1st; changes take some minutes"
            }
            Self::Blocked => "look up the gateway's reason; where it is a budget, `spendbook status` says whose",
            Self::TooLarge => "shorten the prompt, lower `max_tokens`, or use a model with a longer context",
            Self::BadRequest => "look at the message in the application's log and correct the request",
            Self::Overloaded => "retry with growing waits; the `on_demand` tier has more capacity than `flex`",
            Self::Provider => "retry with growing waits, and look at the provider's status page if it goes on",
            Self::Other => "look at the log line: `spendbook explain REQUEST_ID` says which it is",
        }
    }
}

/// How often a key met a trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCount {
    pub key: Option<String>,
    pub team: Option<String>,
    pub kind: Kind,
    pub count: u64,
    /// All requests of the key, so that there is a rate.
    pub requests: u64,
    pub first: Instant,
    pub last: Instant,
}

impl ErrorCount {
    /// How many in a hundred requests, in hundredths, rounded down.
    pub fn rate_hundredths(&self) -> u64 {
        u64::try_from(u128::from(self.count) * 10_000 / u128::from(self.requests.max(1))).unwrap_or(u64::MAX)
    }
}

/// A request, as far as it may have failed.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub ts: Instant,
    pub key: Option<&'a str>,
    pub team: Option<&'a str>,
    pub status: Status,
    pub http_status: Option<i16>,
    pub error_code: Option<&'a str>,
}

/// Counts errors by key and kind.
#[derive(Debug, Default)]
pub struct Errors {
    keys: BTreeMap<String, OfKey>,
    nameless: OfKey,
}

#[derive(Debug, Default)]
struct OfKey {
    /// As the latest request that failed had it.
    team: Option<String>,
    requests: u64,
    kinds: BTreeMap<Kind, (u64, Instant, Instant)>,
}

impl OfKey {
    fn push(&mut self, row: &Attempt<'_>) {
        self.requests += 1;
        let Some(kind) = Kind::of_attempt(row) else { return };
        if self.team.as_deref() != row.team {
            self.team = row.team.map(str::to_owned);
        }
        self.add(kind, (1, row.ts, row.ts));
    }

    fn add(&mut self, kind: Kind, (more, from, to): (u64, Instant, Instant)) {
        let (count, first, last) = self.kinds.entry(kind).or_insert((0, from, to));
        *count += more;
        *first = from.min(*first);
        *last = to.max(*last);
    }

    fn join(&mut self, later: Self) {
        self.requests += later.requests;
        if !later.kinds.is_empty() {
            self.team = later.team;
        }
        for (kind, of_kind) in later.kinds {
            self.add(kind, of_kind);
        }
    }
}

impl Errors {
    pub fn push(&mut self, row: &Attempt<'_>) {
        match row.key.map(|key| (key, self.keys.get_mut(key))) {
            None => self.nameless.push(row),
            Some((_, Some(of_key))) => of_key.push(row),
            Some((key, None)) => self.keys.entry(key.to_owned()).or_default().push(row),
        }
    }

    /// Takes in what came after.
    pub fn join(&mut self, later: Self) {
        for (key, of_key) in later.keys {
            self.keys.entry(key).or_default().join(of_key);
        }
        self.nameless.join(later.nameless);
    }

    /// The most frequent first.
    pub fn counts(&self) -> Vec<ErrorCount> {
        let keys = self.keys.iter().map(|(key, of_key)| (Some(key), of_key));
        let mut counts: Vec<ErrorCount> = keys
            .chain([(None, &self.nameless)])
            .flat_map(|(key, of_key)| {
                of_key.kinds.iter().map(move |(&kind, &(count, first, last))| ErrorCount {
                    key: key.cloned(),
                    team: of_key.team.clone(),
                    kind,
                    count,
                    requests: of_key.requests,
                    first,
                    last,
                })
            })
            .collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.key, a.kind).cmp(&(&b.key, b.kind))));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::at, *};

    fn check(http_status: i16, code: &str, expect: Option<&str>) {
        let http_status = (http_status != 0).then_some(http_status);
        let code = (!code.is_empty()).then_some(code);
        assert_eq!(Kind::of(http_status, code).map(Kind::name), expect, "{http_status:?} {code:?}");
    }

    #[test]
    fn a_code_says_more_than_a_status() {
        check(429, "", Some("rate_limit"));
        check(429, "rate_limit_exceeded", Some("rate_limit"));
        check(429, "insufficient_quota", Some("spending_cap"));
        check(400, "blocked_api_access", Some("spending_cap"));
        check(400, "spend_limit_reached", Some("spending_cap"));
        check(400, "Blocked_API_Access", Some("spending_cap"));
        check(0, "blocked_api_access", Some("spending_cap"));
        check(400, "json_validate_failed", Some("bad_request"));
        check(401, "", Some("invalid_key"));
        check(0, "invalid_api_key", Some("invalid_key"));
        check(404, "model_not_found", Some("model_unavailable"));
        check(400, "model_decommissioned", Some("model_unavailable"));
        check(403, "not_available_for_plan", Some("model_unavailable"));
        check(403, "", Some("permission"));
        check(498, "", Some("overloaded"));
        check(500, "", Some("provider_error"));
        check(200, "", None);
        check(0, "", None);
        check(0, "something", None);
    }

    #[test]
    fn every_kind_says_what_to_do() {
        for kind in Kind::ALL {
            assert!(!kind.meaning().is_empty() && !kind.remedy().is_empty());
            assert!(kind.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", kind.name());
        }
    }

    #[test]
    fn errors_are_counted_by_key_and_kind_beside_all_requests() {
        let attempt = |key, team, status, http_status, error_code| Attempt {
            ts: at(1),
            key: Some(key),
            team: Some(team),
            status,
            http_status: Some(http_status),
            error_code,
        };
        let attempts = [
            attempt("a", "chat", Status::Success, 200, None),
            attempt("a", "chat", Status::Error, 429, None),
            attempt("a", "chat", Status::Blocked, 429, None),
            attempt("a", "chat", Status::Blocked, 403, Some("guardrail_blocked")),
            attempt("a", "search", Status::Error, 200, None),
            attempt("a", "ads", Status::Success, 200, None),
            attempt("b", "chat", Status::Success, 200, None),
        ];
        let of = |attempts: &[Attempt<'_>]| {
            let mut errors = Errors::default();
            for attempt in attempts {
                errors.push(attempt);
            }
            errors
        };
        for part in 0..=attempts.len() {
            let mut errors = of(&attempts[..part]);
            errors.join(of(&attempts[part..]));
            let shown: Vec<_> = errors
                .counts()
                .iter()
                .map(|it| {
                    let ErrorCount { key, team, count, requests, .. } = it;
                    let of_team = format!("{} of {}", key.as_deref().unwrap(), team.as_deref().unwrap());
                    format!("{of_team}: {} {count} of {requests}: {}", it.kind.name(), it.rate_hundredths())
                })
                .collect();
            assert_eq!(
                shown,
                [
                    "a of search: rate_limit 2 of 6: 3333",
                    "a of search: blocked 1 of 6: 1666",
                    "a of search: other 1 of 6: 1666",
                ]
            );
        }
    }
}
