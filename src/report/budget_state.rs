//! The state of budgets as a small file that a gateway can read to refuse
//! requests, replaced by every run. Its fields are described in
//! `docs/BUDGET_STATE.md`, and are only ever added to.

use std::{collections::BTreeMap, path::PathBuf};

use object_store::path::Path;
use serde::Serialize;

use super::{ReportError, Status};
use crate::{
    book::Book,
    budgets::{Scope, Standing, Statement},
    config::Config,
    money::Usd,
    replace,
    time::Instant,
};

/// What the file says.
#[derive(Debug, Serialize)]
pub struct BudgetState {
    schema: &'static str,
    as_of: String,
    known_until: Option<String>,
    staleness_seconds: Option<i64>,
    organization: ScopeState,
    teams: BTreeMap<String, TeamState>,
    /// Those with a budget of their own.
    keys: BTreeMap<String, ScopeState>,
    models: BTreeMap<String, ScopeState>,
}

/// Where a run writes it, in the book.
const FILE: &str = "budget-state.json";

#[derive(Debug, Serialize)]
struct TeamState {
    #[serde(flatten)]
    state: ScopeState,
    allowed_models: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct ScopeState {
    exhausted: bool,
    budgets: Vec<State>,
}

/// A budget in its open period.
#[derive(Debug, Serialize)]
struct State {
    period: String,
    from: String,
    until: String,
    spend_usd: Exact,
    budget_usd: Exact,
    remaining_usd: Option<Exact>,
    percent: Option<i64>,
    exhausted: bool,
    standing: &'static str,
    gaps: Vec<String>,
}

/// As text, with all its digits.
#[derive(Debug)]
struct Exact(Usd);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl BudgetState {
    /// The state of every team of a config, at the time of a status.
    pub fn of(status: &Status, config: &Config) -> Self {
        let known_until = status.last_runs.known_until();
        let staleness = |known: Instant| (status.now.micros() - known.micros()).max(0) / 1_000_000;
        let team = |name: &String, allowed_models: &Option<Vec<String>>| TeamState {
            state: ScopeState::of(status, &Scope::Team(name.clone())),
            allowed_models: allowed_models.clone(),
        };
        let teams = config.teams.iter().map(|(name, it)| (name.clone(), team(name, &it.policy.allowed_models)));
        Self {
            schema: "spendbook.budget-state.v1",
            as_of: status.now.to_string(),
            known_until: known_until.map(|at| at.to_string()),
            staleness_seconds: known_until.map(staleness),
            organization: ScopeState::of(status, &Scope::Organization),
            teams: teams.collect(),
            keys: budgeted(status, |scope| match scope {
                Scope::Key(name) => Some(name),
                _ => None,
            }),
            models: budgeted(status, |scope| match scope {
                Scope::Model(name) => Some(name),
                _ => None,
            }),
        }
    }

    /// Puts it where the config wants it, or else into the book, in one step:
    /// what every run does once all is priced. Returns where that is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn publish(&self, book: &Book, config: &Config) -> Result<PathBuf, ReportError> {
        let text = self
            .to_json()
            .map_err(|error| ReportError::Unwritable { path: PathBuf::from(FILE), source: error.into() })?;
        if let Some(path) = &config.run.budget_state {
            let path = config.resolve(path);
            replace::replace(&path, text.as_bytes())
                .map_err(|source| ReportError::Unwritable { path: path.clone(), source })?;
            Ok(path)
        } else {
            book.put(&Path::from(FILE), text.into())?;
            Ok(book.root().join(FILE))
        }
    }

    /// As the file has it.
    ///
    /// # Errors
    /// Never in practice: what is in it can be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// The scopes of one kind that have a budget, by name.
fn budgeted(status: &Status, name: impl Fn(&Scope) -> Option<&String>) -> BTreeMap<String, ScopeState> {
    let named = status.budgets.iter().filter_map(|it| Some((name(&it.scope)?.clone(), &it.scope)));
    named.map(|(name, scope)| (name, ScopeState::of(status, scope))).collect()
}

impl ScopeState {
    fn of(status: &Status, scope: &Scope) -> Self {
        let budgets: Vec<State> = status.budgets_of(scope).map(State::of).collect();
        Self { exhausted: budgets.iter().any(|budget| budget.exhausted), budgets }
    }
}

impl State {
    fn of(statement: &Statement) -> Self {
        Self {
            period: statement.period.name.clone(),
            from: statement.from.to_string(),
            until: statement.period.until.to_string(),
            spend_usd: Exact(statement.spend),
            budget_usd: Exact(statement.budget()),
            remaining_usd: statement.remaining().map(Exact),
            percent: Some(statement.percent()).filter(|&percent| percent < i64::MAX),
            exhausted: matches!(statement.standing(), Standing::Reached | Standing::Exceeded),
            standing: statement.standing().name(),
            gaps: statement.gaps.iter().map(ToString::to_string).collect(),
        }
    }
}
