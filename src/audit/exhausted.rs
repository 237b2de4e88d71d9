//! Requests that came after a budget was reached.
//!
//! Own charges only: what a team has of shared keys is known for a whole
//! period, not for an instant.

use std::collections::BTreeMap;

use super::row::Row;
use crate::{budgets::Scope, money::Usd, record::Status, teams::Registry, time::Instant};

/// A budget in one of its periods, as a day begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub scope: Scope,
    /// The name of the period: `2026-06`.
    pub period: String,
    /// From when spend counts, and until when.
    pub from: Instant,
    pub until: Instant,
    pub limit: Usd,
    /// What was spent of it before the day.
    pub carried: Usd,
}

/// What one key did after a budget was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    pub first: Instant,
    pub request_id: String,
    /// As the first of the requests had it.
    pub team: Option<String>,
    /// What had been spent when it came.
    pub spent: Usd,
    pub requests: i64,
    pub cost: Usd,
}

/// Follows one budget through a day.
#[derive(Debug)]
pub struct Exhaustion {
    pub allowance: Allowance,
    spent: Usd,
    pub by_key: BTreeMap<Option<String>, After>,
}

impl Exhaustion {
    pub fn new(allowance: Allowance) -> Self {
        let spent = allowance.carried;
        Self { allowance, spent, by_key: BTreeMap::new() }
    }

    /// Whether a request is paid from it.
    fn concerns(&self, row: &Row<'_>, registry: &Registry<'_>) -> bool {
        let Allowance { from, until, scope, .. } = &self.allowance;
        let is_in_scope = match scope {
            Scope::Organization => true,
            Scope::Team(team) => row.team == Some(team.as_str()),
            Scope::Key(key) => row.key.is_some_and(|shown| registry.key_name(shown, row.ts) == key),
            Scope::Model(model) => row.model_billed == model,
        };
        is_in_scope && (*from..*until).contains(&row.ts)
    }

    /// The request that reaches the budget is not after it. One that the
    /// gateway refused is no violation but the policy at work.
    pub fn push(&mut self, row: &Row<'_>, registry: &Registry<'_>) {
        if !self.concerns(row, registry) {
            return;
        }
        let cost = row.known_cost();
        if self.spent >= self.allowance.limit && row.status != Status::Blocked {
            let after = self.by_key.entry(row.key.map(str::to_owned)).or_insert_with(|| After {
                first: row.ts,
                request_id: row.request_id.to_owned(),
                team: row.team.map(str::to_owned),
                spent: self.spent,
                requests: 0,
                cost: Usd::ZERO,
            });
            after.requests += 1;
            // Pricing refuses a day whose sum does not fit.
            after.cost = after.cost.checked_add(cost).unwrap_or(after.cost);
        }
        self.spent = self.spent.checked_add(cost).unwrap_or(self.spent);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::testing::{at, row, usd},
        *,
    };
    use crate::config::Config;

    fn allowance(limit: &str, carried: &str) -> Allowance {
        Allowance {
            scope: Scope::Team("chat".to_owned()),
            period: "2026-06".to_owned(),
            from: at(-86_400),
            until: at(86_400),
            limit: usd(limit),
            carried: usd(carried),
        }
    }

    /// What is told of rows: `key request spent requests cost`.
    fn told(allowance: Allowance, rows: &[Row<'_>]) -> Vec<String> {
        let text = "[teams.chat]\n[[key]]\nname = \"hidden\"\nteam = \"chat\"\nfingerprint = \"fp_0123456789ab\"\n\
                    valid_until = \"2026-06-02\"\n";
        let config = Config::parse(text, Path::new("spendbook.toml")).unwrap();
        let registry = Registry::new(&config);
        let mut exhaustion = Exhaustion::new(allowance);
        for row in rows {
            exhaustion.push(row, &registry);
        }
        let shown = exhaustion.by_key.iter().map(|(key, it)| {
            let key = key.as_deref().unwrap_or("-");
            format!("{key} {} {} {} {}", it.request_id, it.spent.shown(), it.requests, it.cost.shown())
        });
        shown.collect()
    }

    #[test]
    fn the_request_that_reaches_the_budget_is_not_after_it() {
        let rows = [row(1, "1", "a"), row(2, "2", "b"), row(2, "3", "a"), row(3, "4", "a")];
        for (limit, carried, expect) in [
            ("4", "0", &[][..]),
            ("3.5", "0", &[]),
            ("3", "0", &["a 4 $3.00 1 $1.00"]),
            ("2.000000000001", "0", &["a 4 $3.00 1 $1.00"]),
            ("2", "0", &["a 3 $2.00 2 $2.00"]),
            ("10", "9", &["a 3 $11.00 2 $2.00", "b 2 $10.00 1 $1.00"]),
            ("10", "10", &["a 1 $10.00 3 $3.00", "b 2 $11.00 1 $1.00"]),
        ] {
            assert_eq!(told(allowance(limit, carried), &rows), expect, "{limit} {carried}");
        }
    }

    #[test]
    fn only_what_is_paid_from_a_budget_counts_and_only_in_its_period() {
        let mut other = row(1, "1", "a");
        other.team = Some("shared:chat");
        let mut blocked = row(2, "2", "a");
        (blocked.status, blocked.cost) = (Status::Blocked, None);
        let rows = [other, blocked, row(3, "3", "a"), row(4, "4", "a")];
        assert_eq!(told(allowance("0.5", "0"), &rows), ["a 4 $1.00 1 $1.00"]);
        assert_eq!(told(Allowance { from: at(4), ..allowance("0.5", "0") }, &rows), [""; 0]);
        assert_eq!(told(Allowance { until: at(4), ..allowance("0.5", "0") }, &rows), [""; 0]);
        assert_eq!(told(Allowance { scope: Scope::Organization, ..allowance("1", "0") }, &rows), ["a 3 $1.00 2 $2.00"]);
        let by_model = Scope::Model("other".to_owned());
        assert_eq!(told(Allowance { scope: by_model, ..allowance("0", "0") }, &rows), [""; 0]);
    }

    #[test]
    fn the_budget_of_a_key_is_that_of_its_fingerprints_too() {
        let rows = [row(1, "1", "hidden"), row(2, "2", "fp_0123456789ab"), row(3, "3", "other")];
        let by_key = |key: &str| Allowance { scope: Scope::Key(key.to_owned()), ..allowance("1", "0") };
        assert_eq!(told(by_key("hidden"), &rows), ["fp_0123456789ab 2 $1.00 1 $1.00"]);
        assert_eq!(told(by_key("fp_0123456789ab"), &rows), [""; 0]);
    }
}
