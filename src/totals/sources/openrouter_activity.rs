//! `openrouter-activity`: `GET /api/v1/activity`, the last 30 days that are
//! over, without pages; and the CSV export of the activity page, whose rows are
//! generations and are added up by day, model, key and upstream provider.
//!
//! The prompt includes cached tokens, the completion reasoning. What ran on
//! keys of one's own is paid elsewhere, and is not in the cost.

use std::collections::BTreeMap;

use super::{
    Days, Line, Page, Question, Reach, Teller, Told, Unreadable,
    openai_costs::money,
    pages::{apart, count, rows, text},
};
use crate::{
    ingest::formats::shared::{
        field::Field,
        tokens::{Counts, Totals},
    },
    json::Value,
    money::Usd,
    record::{Measure, Quality, Quantities},
    time::{Day, Instant},
};

#[derive(Debug)]
pub(super) struct OpenRouterActivity;

/// How many days the activity is kept.
const KEPT_DAYS: i32 = 30;

impl Teller for OpenRouterActivity {
    fn name(&self) -> &'static str {
        "openrouter-activity"
    }

    fn provider(&self) -> &'static str {
        "openrouter"
    }

    fn measure(&self) -> Measure {
        Measure::Both
    }

    /// All days in one answer.
    fn questions(&self, _: Days) -> Vec<Question> {
        vec![Question { path: "/api/v1/activity", query: Vec::new(), kind: "activity" }]
    }

    fn reach(&self) -> Reach {
        Reach { back: Some(KEPT_DAYS), is_open_told: false }
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        if is_csv(text) { export(text, told) } else { rows(text, told, day) }
    }
}

/// A row of the answer.
fn day(value: Value<'_>, told: &Told<'_>) -> Result<Line, Unreadable> {
    let date = text(value, "date")?.unwrap_or_default();
    // Some answers have a time behind the date.
    let day = date.get(..10).and_then(Day::parse);
    let day = day.ok_or_else(|| Unreadable(format!("`date` is `{date}`, expected a day like `2026-11-15`")))?;
    let mut row = told.row(day.start(), day.end())?;
    row.model = text(value, "model_permaslug")?.or(text(value, "model")?);
    row.line_item = text(value, "provider_name")?;
    row.project = text(value, "workspace_id")?;
    row.requests = count(value, "requests")?;
    let counts = Totals {
        prompt: count(value, "prompt_tokens")?,
        completion: count(value, "completion_tokens")?,
        cached: count(value, "cached_tokens")?,
        reasoning: count(value, "reasoning_tokens")?,
        ..Totals::default()
    };
    let counts = counts.counts();
    (row.quantities, row.quality) = (counts.quantities, row.quality.max(counts.quality));
    row.cost = Some(money(value, "usage", 0)?);
    Ok(Line { row, kind: "", apart: apart(value, &["endpoint_id", "model"]) })
}

fn is_csv(text: &str) -> bool {
    let first = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    first.split(',').any(|column| column.trim_matches('"') == "generation_id")
}

/// What generations are added up by: day, model, key and upstream provider.
type By = (Day, Option<String>, Option<String>, Option<String>);

/// What they add up to.
#[derive(Debug)]
struct Sum {
    requests: i64,
    counts: Counts,
    cost: Usd,
}

fn export(text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let broken = |error: &csv::Error| Unreadable(format!("the export is no CSV: {error}"));
    let header = reader.headers().map_err(|error| broken(&error))?.clone();
    let mut sums: BTreeMap<By, Sum> = BTreeMap::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| broken(&error))?;
        let place = |error: Unreadable| Unreadable(format!("line {}: {error}", index + 2));
        let (by, sum) = generation(&header, &record).map_err(place)?;
        let total = sums.entry(by).or_insert_with(|| Sum {
            requests: 0,
            counts: Counts { quality: Quality::Reported, ..Counts::NONE },
            cost: Usd::ZERO,
        });
        total.requests += sum.requests;
        total.counts.add(&sum.counts).map_err(Unreadable::from).map_err(place)?;
        let cost = total.cost.checked_add(sum.cost);
        total.cost = cost.ok_or_else(|| place(Unreadable("costs add up to more than can be".to_owned())))?;
    }
    let lines = sums.into_iter().map(|((day, model, key, upstream), sum)| {
        let mut row = told.row(day.start(), day.end())?;
        (row.model, row.key, row.line_item) = (model, key, upstream);
        (row.requests, row.cost) = (Some(sum.requests), Some(sum.cost));
        (row.quantities, row.quality) = (sum.counts.quantities, sum.counts.quality);
        Ok(Line { row, kind: "", apart: String::new() })
    });
    Ok(Page { lines: lines.collect::<Result<_, Unreadable>>()?, ..Page::default() })
}

/// A row of the export; columns are found by name, since their order differs.
fn generation(header: &csv::StringRecord, record: &csv::StringRecord) -> Result<(By, Sum), Unreadable> {
    let cell = |name: &str| {
        let at = header.iter().position(|column| column == name)?;
        record.get(at).filter(|text| !text.is_empty())
    };
    let field = |name: &str| cell(name).map_or(Field::Absent, |text| Field::Text(text.into()));
    let at: Option<Instant> = field("created_at").time("created_at", chrono_tz::Tz::UTC)?;
    let at = at.ok_or_else(|| Unreadable("`created_at` is empty, expected the time of the generation".to_owned()))?;
    let own = |name: &str| cell(name).map(str::to_owned);
    let counts = Totals {
        prompt: field("tokens_prompt").count("tokens_prompt")?,
        completion: field("tokens_completion").count("tokens_completion")?,
        cached: field("tokens_cached").count("tokens_cached")?,
        reasoning: field("tokens_reasoning").count("tokens_reasoning")?,
        ..Totals::default()
    };
    let counts = if counts.is_silent() { quiet() } else { counts.counts() };
    let cost = field("cost_total").cost("cost_total", 0)?.unwrap_or(Usd::ZERO);
    let by = (at.day(), own("model_permaslug"), own("api_key_name"), own("provider_name"));
    Ok((by, Sum { requests: 1, counts, cost }))
}

/// A generation that was cancelled before it began.
const fn quiet() -> Counts {
    Counts {
        quantities: Quantities([None; crate::record::Meter::COUNT]),
        reasoning_tokens: None,
        quality: Quality::Reported,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{asked, lines, refused},
        *,
    };

    #[test]
    fn a_day_of_a_model_is_a_line() {
        let text = "{\"data\":[{\"date\":\"2026-11-15\",\"model\":\"openai/gpt-5\",\"model_permaslug\":\
                    \"openai/gpt-5-2025-08-07\",\"endpoint_id\":\"e\",\"provider_name\":\"OpenAI\",\"usage\":0.015,\
                    \"byok_usage_inference\":0.012,\"requests\":5,\"prompt_tokens\":50,\"completion_tokens\":125,\
                    \"reasoning_tokens\":25,\"cached_tokens\":20}]}";
        assert_eq!(
            lines(&OpenRouterActivity, text),
            ["2026-11-15T00:00:00Z both model=openai/gpt-5-2025-08-07 item=OpenAI requests=5 input_tokens=30 \
              cached_input_tokens=20 output_tokens=125 cost=0.015"]
        );
        assert_eq!(lines(&OpenRouterActivity, "{\"data\":[]}"), [""; 0]);
        assert_eq!(asked(&OpenRouterActivity, "2026-11-01", "2026-11-16"), ["/api/v1/activity?"]);
    }

    #[test]
    fn an_export_is_added_up_by_day_model_and_key_in_any_order_of_columns() {
        let expect = [
            "2026-11-14T00:00:00Z both key=bot model=openai/gpt-5 item=Azure requests=1 input_tokens=7 \
             cached_input_tokens=0 output_tokens=1 cost=0.000002",
            "2026-11-15T00:00:00Z both key=bot model=openai/gpt-5 item=Azure requests=2 input_tokens=110 \
             cached_input_tokens=40 output_tokens=30 cost=0.000153",
        ];
        let one = "generation_id,created_at,cost_total,tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,\
                   model_permaslug,provider_name,api_key_name\n\
                   gen-1,2026-11-15 22:00:18.189,0.000150,100,20,5,40,openai/gpt-5,Azure,bot\n\
                   gen-2,2026-11-15 23:59:59.999,0.000003,50,10,0,0,openai/gpt-5,Azure,bot\n\
                   gen-3,2026-11-14 23:59:59.999,0.000002,7,1,0,0,openai/gpt-5,Azure,bot\n";
        let other = "created_at,api_key_name,generation_id,tokens_cached,tokens_reasoning,tokens_completion,\
                     tokens_prompt,cost_total,provider_name,model_permaslug\r\n\
                     2026-11-14 23:59:59.999,bot,gen-3,0,0,1,7,0.000002,Azure,openai/gpt-5\r\n\
                     2026-11-15 23:59:59.999,bot,gen-2,0,0,10,50,0.000003,Azure,openai/gpt-5\r\n\
                     2026-11-15 22:00:18.189,bot,gen-1,40,5,20,100,0.000150,Azure,openai/gpt-5\r\n";
        assert_eq!(lines(&OpenRouterActivity, one), expect);
        assert_eq!(lines(&OpenRouterActivity, other), expect);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        for (text, expect) in [
            ("{\"data\":[{\"date\":\"soon\"}]}", "data[0]: `date` is `soon`, expected a day like `2026-11-15`"),
            ("{\"data\":[{\"date\":\"2026-11-15\"}]}", "data[0]: `usage` is not there, expected an amount"),
            (
                "generation_id,created_at\ngen-1,2026-11-15 10:00:00\ngen-2,\n",
                "line 3: `created_at` is empty, expected the time of the generation",
            ),
        ] {
            assert_eq!(refused(&OpenRouterActivity, text), expect);
        }
    }
}
