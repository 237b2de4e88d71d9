//! The table `unlogged`: what providers report and no log shows, a row per day,
//! provider, key, project and model, as far as they are told. Never a row of
//! usage or charges.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray},
    record_batch::RecordBatch,
};
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::metadata::KeyValue};
use polars::prelude::PolarsResult;

use super::{
    ReconcileError,
    lines::{Line, Missing, Rules},
    names,
};
use crate::{
    book::{
        Book,
        layout::DayTable,
        schema::{arrow_schema, table_properties},
    },
    charges::{ChargesError, DayFile},
    money::Usd,
    record::{METERS, Quantities, UNLOGGED},
    teams::{Attribution, Claim},
    time::Day,
};

/// Traffic that a provider reports and no log of ours shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlogged {
    pub day: Day,
    pub provider: String,
    pub source: String,
    pub key: Option<String>,
    pub project: Option<String>,
    pub model: Option<String>,
    pub team: Option<String>,
    pub environment: Option<String>,
    pub purpose: Option<String>,
    pub team_basis: String,
    pub owner: Option<String>,
    pub requests: Option<i64>,
    pub quantities: Quantities,
    pub total_tokens: Option<i64>,
    pub cost: Option<Usd>,
    pub cost_basis: String,
}

impl Unlogged {
    /// All tokens that are known.
    pub fn tokens(&self) -> i64 {
        let split = self.quantities.0[..=crate::record::Meter::OutputTokens.index()].iter().flatten();
        self.total_tokens.into_iter().chain(split.copied()).fold(0, i64::saturating_add)
    }

    /// What of a line is in no log, and whose it is.
    pub(super) fn of(line: &Line, rules: Rules<'_>) -> Option<Self> {
        let Missing { requests, quantities, total_tokens, cost, valued } = line.missing?;
        let names::Names { key, project, model } = line.names.clone();
        let at = names::instant_of(rules.registry, key.as_deref(), line.day);
        let claim = Claim { key: key.as_deref(), team_reported: None };
        let Attribution { team, environment, purpose, basis, .. } = rules.registry.attribute(claim, at);
        let owner = key.as_deref().and_then(|key| rules.registry.entry(key, at)?.owner.clone());
        Some(Self {
            day: line.day,
            provider: line.provider.clone(),
            source: line.source.clone(),
            key,
            project,
            model,
            team,
            environment,
            purpose,
            team_basis: basis.name().to_owned(),
            owner,
            requests,
            quantities,
            total_tokens,
            cost,
            cost_basis: valued.name().to_owned(),
        })
    }
}

/// Puts the file of a day into its place: the same rows, the same bytes.
pub(super) fn write(
    book: &Book,
    day: Day,
    rows: &[Unlogged],
    metadata: Vec<(&'static str, String)>,
) -> Result<(), ReconcileError> {
    let path = DayTable::Unlogged.file(day);
    let failed = |source: ParquetError| ReconcileError::Parquet { path: path.to_string(), source };
    let schema = arrow_schema(&UNLOGGED);
    let upload = book.upload(&path)?;
    let properties = table_properties(&UNLOGGED);
    let mut writer = ArrowWriter::try_new(upload, Arc::clone(&schema), Some(properties)).map_err(failed)?;
    if !rows.is_empty() {
        let arrays = UNLOGGED.iter().map(|column| array(column.name, rows)).collect();
        let batch = RecordBatch::try_new(schema, arrays).map_err(ParquetError::from);
        batch.and_then(|batch| writer.write(&batch)).map_err(failed)?;
    }
    for (key, value) in metadata {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    Ok(writer.into_inner().map_err(failed)?.finish()?)
}

fn array(column: &str, rows: &[Unlogged]) -> ArrayRef {
    let texts =
        |of: fn(&Unlogged) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
    let numbers =
        |of: &dyn Fn(&Unlogged) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    if let Some(info) = METERS.iter().find(|info| info.column == column) {
        return numbers(&|row| row.quantities[info.meter]);
    }
    match column {
        "bucket_start" => {
            let instants: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.day.start().micros())).collect();
            Arc::new(instants.with_timezone("UTC"))
        }
        "provider" => texts(|row| Some(&row.provider)),
        "source" => texts(|row| Some(&row.source)),
        "key" => texts(|row| row.key.as_deref()),
        "project" => texts(|row| row.project.as_deref()),
        "model" => texts(|row| row.model.as_deref()),
        "team" => texts(|row| row.team.as_deref()),
        "environment" => texts(|row| row.environment.as_deref()),
        "purpose" => texts(|row| row.purpose.as_deref()),
        "team_basis" => texts(|row| Some(&row.team_basis)),
        "owner" => texts(|row| row.owner.as_deref()),
        "requests" => numbers(&|row| row.requests),
        "total_tokens" => numbers(&|row| row.total_tokens),
        "cost" => {
            let amounts: Decimal128Array = rows.iter().map(|row| row.cost.map(Usd::pico)).collect();
            let amounts = amounts.with_precision_and_scale(38, 12);
            Arc::new(amounts.expect("the precision and scale of `DECIMAL(38,12)` are valid"))
        }
        _ => texts(|row| Some(&row.cost_basis)),
    }
}

/// The rows of a day, in the order of the file.
///
/// # Errors
/// Where the file cannot be read.
pub fn unlogged(book: &Book, day: Day) -> Result<Vec<Unlogged>, ReconcileError> {
    let Some(file) = DayFile::open(book, DayTable::Unlogged, day)? else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for (start, length) in file.slices() {
        let read = read(&file, day, start, length)?;
        rows.extend(read.map_err(|source| ChargesError::Engine { path: file.path.clone(), source })?);
    }
    Ok(rows)
}

fn read(file: &DayFile, day: Day, start: usize, length: usize) -> Result<PolarsResult<Vec<Unlogged>>, ReconcileError> {
    let names: Vec<&str> = UNLOGGED.iter().map(|column| column.name).collect();
    let frame = file.frame(&names, start, length)?;
    let text = |name: &str| frame.column(name).and_then(|column| column.str().cloned());
    let number = |name: &str| frame.column(name).and_then(|column| column.i64().cloned());
    let columns = || -> PolarsResult<Vec<Unlogged>> {
        let (provider, source, key, project) = (text("provider")?, text("source")?, text("key")?, text("project")?);
        let (model, team, environment) = (text("model")?, text("team")?, text("environment")?);
        let (purpose, team_basis, owner) = (text("purpose")?, text("team_basis")?, text("owner")?);
        let (requests, total_tokens, cost_basis) = (number("requests")?, number("total_tokens")?, text("cost_basis")?);
        let meters = METERS.iter().map(|info| number(info.column)).collect::<PolarsResult<Vec<_>>>()?;
        let cost = frame.column("cost")?.decimal()?.physical().clone();
        let own = |text: Option<&str>| text.map(str::to_owned);
        let row = |row: usize| Unlogged {
            day,
            provider: own(provider.get(row)).unwrap_or_default(),
            source: own(source.get(row)).unwrap_or_default(),
            key: own(key.get(row)),
            project: own(project.get(row)),
            model: own(model.get(row)),
            team: own(team.get(row)),
            environment: own(environment.get(row)),
            purpose: own(purpose.get(row)),
            team_basis: own(team_basis.get(row)).unwrap_or_default(),
            owner: own(owner.get(row)),
            requests: requests.get(row),
            quantities: Quantities(std::array::from_fn(|at| meters[at].get(row))),
            total_tokens: total_tokens.get(row),
            cost: cost.get(row).and_then(Usd::from_pico),
            cost_basis: own(cost_basis.get(row)).unwrap_or_default(),
        };
        Ok((0..frame.height()).map(row).collect())
    };
    Ok(columns())
}
