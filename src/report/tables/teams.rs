//! `teams`: what the config says of each team now.

use super::{Asked, Row, TableError, joined};
use crate::{
    config::Team,
    record::{
        Column,
        ColumnType::{Dict, Int64, Text},
        optional, required,
    },
};

pub(super) const COLUMNS: &[Column] = &[
    required("team", Dict, "its name, as in `charges`"),
    optional("formerly", Text, "names it had before, whose history is its own"),
    optional("owners", Text, "the addresses of those who are mailed about it"),
    optional("allowed_models", Text, "the models that it may use; NULL is every model"),
    optional("max_tokens_per_request", Int64, "how many tokens of output a request may ask for; NULL is any number"),
    optional("rate_limit_rpm", Int64, "requests per minute; NULL is no limit of its own"),
    optional("rate_limit_tpm", Int64, "tokens per minute; NULL is no limit of its own"),
    required("timezone", Dict, "whose days, weeks and months its budgets and mails go by"),
];

#[expect(clippy::unnecessary_wraps, reason = "a table among others that can fail")]
pub(super) fn rows(asked: &Asked<'_>) -> Result<Vec<Row>, TableError> {
    let row = |team: &Team| {
        vec![
            team.name.as_str().into(),
            joined(team.formerly.iter().map(String::as_str)).into(),
            joined(team.owners.iter().map(|owner| owner.address.as_str())).into(),
            joined(team.policy.allowed_models.iter().flatten().map(String::as_str)).into(),
            team.policy.max_tokens_per_request.into(),
            team.policy.rate_limit_rpm.into(),
            team.policy.rate_limit_tpm.into(),
            team.timezone.name().into(),
        ]
    };
    Ok(asked.config.teams.values().map(row).collect())
}
