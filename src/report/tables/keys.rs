//! `keys`: what the command of that name shows.

use super::{Asked, Row, TableError, joined};
use crate::{
    audit::{
        keys::{Ask, Finding, KeyLine, Keys},
        uses,
    },
    record::{
        Column,
        ColumnType::{Bool, Decimal, Dict, Int64, Text, Timestamp},
        optional, required,
    },
    report::reconciled,
    time::Instant,
};

pub(super) const COLUMNS: &[Column] = &[
    optional("key", Dict, "its name or fingerprint; NULL is for the requests without one"),
    required("registered", Bool, "whether the config names it"),
    optional("team", Dict, "whose it is now, as in `charges`"),
    optional("environment", Dict, "as in `charges`"),
    optional("purpose", Dict, "as in `charges`"),
    optional("project", Dict, "the provider's or gateway's project that the config has for it"),
    optional("age_days", Int64, "since it is valid, or else since its first use"),
    optional("first_use", Timestamp, "of the requests in the book, the first"),
    optional("last_use", Timestamp, "of the requests in the book, the last"),
    required("requests_24h", Int64, "requests in the last 24 hours"),
    required("requests_30d", Int64, "requests in the last 30 days"),
    optional("cost_24h", Decimal, "what those of 24 hours cost, in USD; NULL where a day of them is not priced"),
    optional("cost_30d", Decimal, "what those of 30 days cost, in USD; NULL where a day of them is not priced"),
    optional("findings", Text, "codes of what there is to say about it, the most pressing first"),
    required("verdict", Text, "the same in words; `ok` where all is well"),
];

pub(super) fn rows(asked: &Asked<'_>) -> Result<Vec<Row>, TableError> {
    let uses = uses::read(asked.book, asked.now)?;
    let is_registered =
        |name: &Option<String>| name.as_ref().is_some_and(|name| asked.config.keys.iter().any(|key| key.name == *name));
    let row = |line: KeyLine| {
        let verdict = line.verdict();
        vec![
            line.key.clone().into(),
            is_registered(&line.key).into(),
            line.team.into(),
            line.environment.into(),
            line.purpose.into(),
            line.project.into(),
            line.age_days.into(),
            line.first_use.into(),
            line.last_use.into(),
            line.requests_24h.into(),
            line.requests_30d.into(),
            line.cost_24h.known().into(),
            line.cost_30d.known().into(),
            joined(line.findings.iter().map(Finding::code)).into(),
            verdict.into(),
        ]
    };
    let reported = reconciled::reported_keys(asked.book, Instant::EARLIEST.day())?;
    Ok(Keys::new(asked.config, uses, reported, Ask::usual(asked.now)).lines().into_iter().map(row).collect())
}
