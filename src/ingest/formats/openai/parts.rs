//! One body, several records: the underlying models of a compound system, and
//! the tools that a stream runs on its way.
//!
//! A compound system bills each underlying model at its own price. The body's
//! own `usage` is their sum, and does not add up (`total_tokens` counts what
//! the two others leave out), so neither it nor the identity is used there.

use super::body::{Body, Tools};
use crate::{
    ingest::formats::{
        Found, Reject,
        shared::{
            field::Field,
            several::{Several, of_model, part_of},
            tokens::{Counts, Totals},
            usage::Usage,
        },
    },
    json::Value,
    record::{Meter, Operation, Quality, Quantities, Text},
};

/// Splits a body's record into what is billed apart.
pub(crate) fn split<'a>(body: &Body<'a>, mut main: Found<'a>) -> Result<Several<'a>, Reject> {
    let Some(models) = body.breakdown else {
        let parts = if body.is_chunk() { tool_runs(body, &main)? } else { Vec::new() };
        return Ok(Several { main: Some(main), parts });
    };
    let mut parts = underlying(models, &main)?;
    let record = &mut main.record;
    if body.is_chunk() {
        parts.extend(tool_runs(body, &main)?);
        // The stream's earlier chunks have no parts: this supersedes them.
        tokens_elsewhere().put(&mut main.record);
    } else if body.tools.any() {
        record.operation = Operation::Tool;
        let mut counts = Counts::NONE;
        body.tools.fill(&mut counts);
        Counts { quality: Quality::Reported, ..counts }.put(&mut main.record);
    } else {
        if let Some(first) = parts.first_mut() {
            first.record.reported_cost = record.reported_cost;
        }
        return Ok(Several { main: None, parts });
    }
    Ok(Several { main: Some(main), parts })
}

/// One record per underlying model: a model that is listed twice was used twice.
fn underlying<'a>(models: Value<'a>, main: &Found<'a>) -> Result<Vec<Found<'a>>, Reject> {
    let mut used: Vec<(Text<'a>, Counts)> = Vec::new();
    for item in models.items() {
        let name = "usage_breakdown.models[].model";
        let Some(model) = Field::from(item.get("model")).text(name)? else {
            return Err(Reject::missing(name, "the name of an underlying model"));
        };
        let counts = Usage::read(item.get("usage"))?
            .map_or(Counts::NONE, |usage| Totals { total: None, ..usage.totals() }.counts());
        match used.iter_mut().find(|(name, _)| *name == model) {
            Some((_, sum)) => sum.add(&counts)?,
            None => used.push((model, counts)),
        }
    }
    Ok(used.into_iter().map(|(model, counts)| of_model(main, model, counts)).collect())
}

/// One record per tool that a chunk tells of: the chunk with the final usage
/// does not repeat them, and the same run may be told of twice.
fn tool_runs<'a>(body: &Body<'a>, main: &Found<'a>) -> Result<Vec<Found<'a>>, Reject> {
    let mut parts = Vec::new();
    if !body.tools.any() {
        return Ok(parts);
    }
    let choices = body.choices.into_iter().flat_map(Value::items);
    let tools = choices.filter_map(|choice| choice.path(&["delta", "executed_tools"])).flat_map(Value::items);
    for (place, tool) in tools.enumerate() {
        let run = Tools::of_executed(tool);
        if !run.any() {
            continue;
        }
        let index = Field::from(tool.get("index")).count("executed_tools[].index")?;
        let index = index.map_or_else(|| place.to_string(), |index| index.to_string());
        let mut part = part_of(main, Text::Owned(format!("tool {index}")));
        part.record.operation = Operation::Tool;
        let mut counts = Counts::NONE;
        run.fill(&mut counts);
        Counts { quality: Quality::Reported, ..counts }.put(&mut part.record);
        parts.push(part);
    }
    Ok(parts)
}

/// Every token of it is in a part.
fn tokens_elsewhere() -> Counts {
    let mut quantities = Quantities::default();
    quantities[Meter::InputTokens] = Some(0);
    quantities[Meter::OutputTokens] = Some(0);
    Counts { quantities, reasoning_tokens: None, quality: Quality::Reported }
}
