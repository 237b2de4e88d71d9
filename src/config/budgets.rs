//! `[organization]`, `[teams.X]` and `[models.X]`: budgets, thresholds, limits
//! and who is told.
//!
//! What a budget or team does not say comes from the level above: zones from
//! the team and the book, thresholds from the team and the organization. Here
//! that is already filled in.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::{
    document::Span,
    mail::{Mailbox, mailboxes},
    problem::Problem,
    reader::{Item, Table},
};
use crate::{money::Usd, time::Day};

/// `[organization]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub name: Option<String>,
    pub budgets: Vec<Budget>,
    /// In percent, rising; also the default for teams.
    pub thresholds: Vec<u16>,
    /// Who is told about everyone.
    pub finance: Vec<Mailbox>,
    /// Who is told when a night fails.
    pub operators: Vec<Mailbox>,
    /// Requests per minute, over all keys.
    pub rate_limit_rpm: Option<i64>,
    /// Tokens per minute, over all keys.
    pub rate_limit_tpm: Option<i64>,
}

/// `[teams.X]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    pub name: String,
    /// Earlier names, whose history and alerts are this team's.
    pub formerly: Vec<String>,
    pub owners: Vec<Mailbox>,
    pub budgets: Vec<Budget>,
    /// In percent, rising.
    pub thresholds: Vec<u16>,
    pub policy: Policy,
    pub timezone: Tz,
}

/// `[models.X]`: what may be spent on a model, whoever spends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The price book's name of it.
    pub name: String,
    pub budgets: Vec<Budget>,
}

/// An amount for each period of a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub period: Period,
    pub amount: Usd,
    /// Whose calendar the periods are of.
    pub timezone: Tz,
    /// In percent, rising.
    pub thresholds: Vec<u16>,
    /// The day in `timezone` from which it applies; without one it applies to
    /// the open period and later.
    pub valid_from: Option<Day>,
    /// Whether what is left of a period is added to the next one.
    pub rollover: bool,
    /// The most that is added; without one a whole period's amount.
    pub rollover_cap: Option<Usd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Day,
    Week,
    Month,
    Quarter,
}

/// What a team or key may do; what is absent is unrestricted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub allowed_models: Option<Vec<String>>,
    pub max_tokens_per_request: Option<i64>,
    /// Requests per minute.
    pub rate_limit_rpm: Option<i64>,
    /// Tokens per minute.
    pub rate_limit_tpm: Option<i64>,
}

impl Period {
    pub const ALL: [(&'static str, Self); 4] =
        [("day", Self::Day), ("week", Self::Week), ("month", Self::Month), ("quarter", Self::Quarter)];

    /// The name under which a config has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
        }
    }
}

impl Default for Organization {
    fn default() -> Self {
        Self {
            name: None,
            budgets: Vec::new(),
            thresholds: vec![50, 80, 95, 100],
            finance: Vec::new(),
            operators: Vec::new(),
            rate_limit_rpm: None,
            rate_limit_tpm: None,
        }
    }
}

/// What the budgets of a table take from the level above.
#[derive(Debug, Clone, Copy)]
pub(super) struct Above<'a> {
    pub(super) timezone: Tz,
    pub(super) thresholds: &'a [u16],
}

pub(super) fn read_organization(mut table: Table<'_>, timezone: Tz) -> Organization {
    let default = Organization::default();
    let thresholds = table.get("thresholds").map_or(default.thresholds, |item| thresholds(&item));
    let organization = Organization {
        name: table.get("name").and_then(|item| item.string()),
        budgets: budgets(&mut table, Above { timezone, thresholds: &thresholds }),
        thresholds,
        finance: table.get("finance").map(|item| mailboxes(&item)).unwrap_or_default(),
        operators: table.get("operators").map(|item| mailboxes(&item)).unwrap_or_default(),
        rate_limit_rpm: table.get("rate_limit_rpm").and_then(|item| item.limit()),
        rate_limit_tpm: table.get("rate_limit_tpm").and_then(|item| item.limit()),
    };
    table.finish();
    organization
}

/// All teams, and where each name, also each former one, stands.
pub(super) fn read_teams(
    teams: &Table<'_>,
    timezone: Tz,
    organization: &Organization,
) -> (BTreeMap<String, Team>, Vec<(String, Span)>) {
    let mut read = BTreeMap::new();
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut former = Vec::new();
    for (name, span, item) in teams.named() {
        let problem = team_name_problem(name);
        if let Some(expected) = problem {
            teams.add(
                span,
                Problem::BadValue {
                    field: "the name of a team".to_owned(),
                    found: name.to_owned(),
                    expected: expected.to_owned(),
                    suggestion: None,
                },
            );
        }
        let shown = format!("[teams.{}]", super::problem::toml_key(&crate::secrets::redact(name)));
        names.push((name.to_owned(), span));
        let Some(table) = item.table(&shown) else { continue };
        let former_span = table.span_of("formerly").unwrap_or(span);
        let team = read_team(table, name, timezone, &organization.thresholds);
        former.extend(team.formerly.iter().map(|former| (former.clone(), former_span)));
        read.insert(name.to_owned(), team);
    }
    for (name, span) in former {
        // A name that two teams had or have would give one's history to the other.
        if let Some((_, first)) = names.iter().find(|(known, _)| *known == name) {
            teams.add(span, Problem::Duplicate { what: "the team name", name, first_line: teams.line(*first) });
        } else {
            names.push((name, span));
        }
    }
    (read, names)
}

/// `[models.X]`, by name.
pub(super) fn read_models(models: &Table<'_>, above: Above<'_>) -> BTreeMap<String, Model> {
    let mut read = BTreeMap::new();
    for (name, span, item) in models.named() {
        if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            models.add(
                span,
                Problem::BadValue {
                    field: "the name of a model".to_owned(),
                    found: name.to_owned(),
                    expected: "a name on one line without spaces around it".to_owned(),
                    suggestion: None,
                },
            );
        }
        let shown = format!("[models.{}]", super::problem::toml_key(&crate::secrets::redact(name)));
        let Some(mut table) = item.table(&shown) else { continue };
        let timezone = table.get("timezone").and_then(|item| item.zone()).unwrap_or(above.timezone);
        let thresholds =
            table.get("thresholds").map_or_else(|| above.thresholds.to_vec(), |item| self::thresholds(&item));
        let budgets = budgets(&mut table, Above { timezone, thresholds: &thresholds });
        table.finish();
        read.insert(name.to_owned(), Model { name: name.to_owned(), budgets });
    }
    read
}

/// What is wrong with the name of a team; `shared:` is what the teams of
/// shared keys begin with.
pub(super) fn team_name_problem(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        Some("a name on one line without spaces around it")
    } else if name.starts_with("shared:") {
        Some("a name that does not begin with `shared:`, which is how pools are shown")
    } else {
        None
    }
}

fn read_team(mut table: Table<'_>, name: &str, book_timezone: Tz, organization_thresholds: &[u16]) -> Team {
    let timezone = table.get("timezone").and_then(|item| item.zone()).unwrap_or(book_timezone);
    let thresholds = table.get("thresholds").map_or_else(|| organization_thresholds.to_vec(), |item| thresholds(&item));
    let team = Team {
        name: name.to_owned(),
        formerly: table.get("formerly").map(|item| item.texts("team name")).unwrap_or_default(),
        owners: table.get("owners").map(|item| mailboxes(&item)).unwrap_or_default(),
        budgets: budgets(&mut table, Above { timezone, thresholds: &thresholds }),
        thresholds,
        policy: read_policy(&mut table),
        timezone,
    };
    table.finish();
    team
}

pub(super) fn read_policy(table: &mut Table<'_>) -> Policy {
    Policy {
        allowed_models: table.get("allowed_models").map(|item| {
            item.not_empty("at least one model, or no such key to allow all");
            item.texts("model")
        }),
        max_tokens_per_request: table.get("max_tokens_per_request").and_then(|item| item.limit()),
        rate_limit_rpm: table.get("rate_limit_rpm").and_then(|item| item.limit()),
        rate_limit_tpm: table.get("rate_limit_tpm").and_then(|item| item.limit()),
    }
}

/// Percentages from 1 to 1000, rising, each once.
fn thresholds(item: &Item<'_>) -> Vec<u16> {
    let items = item.list("a list of percentages like `[50, 80, 95, 100]`");
    let mut thresholds: Vec<u16> =
        items.iter().filter_map(|item| item.whole(1, 1_000)).filter_map(|percent| percent.try_into().ok()).collect();
    thresholds.sort_unstable();
    thresholds.dedup();
    thresholds
}

/// `monthly_budget_usd` and every `[[….budget]]`: of one period at most one
/// from the same day on.
pub(super) fn budgets(table: &mut Table<'_>, above: Above<'_>) -> Vec<Budget> {
    let mut budgets: Vec<(Budget, Span)> = Vec::new();
    if let Some(item) = table.get("monthly_budget_usd")
        && let Some(amount) = item.amount()
    {
        let budget = Budget {
            period: Period::Month,
            amount,
            timezone: above.timezone,
            thresholds: above.thresholds.to_vec(),
            valid_from: None,
            rollover: false,
            rollover_cap: None,
        };
        budgets.push((budget, item.span));
    }
    for table in table.tables("budget") {
        let span = table.span();
        let Some(budget) = read_budget(table, above) else { continue };
        budgets.push((budget, span));
    }
    for (at, (budget, span)) in budgets.iter().enumerate() {
        let same =
            |(other, _): &&(Budget, Span)| (other.period, other.valid_from) == (budget.period, budget.valid_from);
        if let Some((_, first)) = budgets[..at].iter().find(same) {
            table.add(*span, Problem::SameBudget { period: budget.period.name(), first_line: table.line(*first) });
        }
    }
    budgets.into_iter().map(|(budget, _)| budget).collect()
}

fn read_budget(mut table: Table<'_>, above: Above<'_>) -> Option<Budget> {
    let period = table.required("period", "`month`, `week`, `day` or `quarter`");
    let amount = table.required("amount_usd", "an amount in US dollars in quotes");
    let timezone = table.get("timezone").and_then(|item| item.zone()).unwrap_or(above.timezone);
    let thresholds = table.get("thresholds").map_or_else(|| above.thresholds.to_vec(), |item| thresholds(&item));
    let valid_from = table.get("valid_from").and_then(|item| item.day());
    let rollover = table.get("rollover").and_then(|item| item.flag()).unwrap_or_default();
    let cap = table.get("rollover_cap_usd");
    let rollover_cap = cap.as_ref().and_then(Item::amount);
    if let Some(cap) = cap.filter(|_| !rollover) {
        cap.add(Problem::Conflict {
            found: "`rollover_cap_usd` is there without `rollover`".to_owned(),
            expected: "`rollover = true` beside it".to_owned(),
        });
    }
    table.finish();
    let period = period.and_then(|item| item.one_of(&Period::ALL));
    let amount = amount.and_then(|item| item.amount());
    Some(Budget { period: period?, amount: amount?, timezone, thresholds, valid_from, rollover, rollover_cap })
}
