//! `openai-costs`: `GET /v1/organization/costs`, what is on the bill of each
//! day. The amount is a number of dollars, or a text that holds one; its digits
//! are taken as they stand.
//!
//! It is not usage times price to the cent: credits and late corrections are in it.

use super::{
    Days, Line, Page, Question, Teller, Told, Unreadable,
    openai_usage::{BUCKETS, question},
    pages::{Bucket, apart, text},
};
use crate::{ingest::formats::shared::field::Field, json::Value, money::Usd, record::Measure};

#[derive(Debug)]
pub(super) struct OpenAiCosts;

impl Teller for OpenAiCosts {
    fn name(&self) -> &'static str {
        "openai-costs"
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    fn measure(&self) -> Measure {
        Measure::Cost
    }

    fn questions(&self, days: Days) -> Vec<Question> {
        vec![question(days, "costs", "/v1/organization/costs", &["project_id", "line_item", "api_key_id"])]
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        let mut page = BUCKETS.read(text, told, line)?;
        page.name_absent_keys(told);
        Ok(page)
    }
}

fn line(bucket: Bucket<'_>, result: Value<'_>) -> Result<Option<Line>, Unreadable> {
    let amount = result.some("amount").ok_or_else(|| Unreadable("`amount` is not there, expected money".to_owned()))?;
    let mut row = bucket.told.row(bucket.start, bucket.end)?;
    row.cost = Some(dollars(amount)?);
    row.line_item = text(result, "line_item")?;
    row.model = row.line_item.as_deref().and_then(model).map(str::to_owned);
    row.project = text(result, "project_id")?;
    row.user = text(result, "user_id")?;
    row.key_id = text(result, "api_key_id")?;
    Ok(Some(Line { row, kind: "", apart: apart(result, &["api_source", "quantity_unit"]) }))
}

fn dollars(amount: Value<'_>) -> Result<Usd, Unreadable> {
    in_dollars(text(amount, "currency")?.as_deref())?;
    money(amount, "value", 0)
}

/// # Errors
/// Where it is another currency: the book has dollars only.
pub(super) fn in_dollars(currency: Option<&str>) -> Result<(), Unreadable> {
    match currency {
        Some(other) if !other.eq_ignore_ascii_case("usd") => {
            Err(Unreadable(format!("`currency` is `{other}`, expected `USD`: amounts are never converted")))
        }
        _ => Ok(()),
    }
}

/// An amount from its digits, be they a number or a text, credits below zero
/// included. `shift` is 2 for cents.
///
/// # Errors
/// Where there is none.
pub(super) fn money(of: Value<'_>, name: &str, shift: u32) -> Result<Usd, Unreadable> {
    let field = Field::from(of.get(name));
    let digits = field.words(name, "an amount")?;
    let digits = digits.ok_or_else(|| Unreadable(format!("`{name}` is not there, expected an amount")))?;
    Usd::parse_rounded(digits.as_bytes(), shift)
        .map_err(|error| Unreadable(format!("`{name}` is `{digits}`, expected an amount: {error}")))
}

/// The model of `gpt-5-2025-08-07, cached input`; other items are of no model.
fn model(item: &str) -> Option<&str> {
    let (model, what) = item.rsplit_once(", ")?;
    let is_of_tokens = what.split(' ').any(|word| matches!(word, "input" | "output"));
    (is_of_tokens && !model.contains([' ', ','])).then_some(model)
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{asked, lines, refused},
        *,
    };

    fn page(results: &str) -> String {
        format!("{{\"data\":[{{\"start_time\":1794700800,\"end_time\":1794787200,\"results\":[{results}]}}]}}")
    }

    fn check(amount: &str, expect: &str) {
        let text = page(&format!("{{\"object\":\"organization.costs.result\",\"amount\":{amount}}}"));
        assert_eq!(lines(&OpenAiCosts, &text), [format!("2026-11-15T00:00:00Z cost cost={expect}")], "{amount}");
    }

    #[test]
    fn amounts_are_their_digits() {
        check("{\"value\":0.06,\"currency\":\"usd\"}", "0.06");
        check("{\"value\":\"0.06\",\"currency\":\"USD\"}", "0.06");
        // What a double would make of it is 1234.5678901234001.
        check("{\"value\":1234.567890123400,\"currency\":\"usd\"}", "1234.5678901234");
        check("{\"value\":6e-07}", "0.0000006");
        check("{\"value\":-12.5}", "-12.5");
    }

    #[test]
    fn lines_of_the_bill_keep_their_names() {
        let item = "{\"amount\":{\"value\":1},\"line_item\":\"gpt-5-2025-08-07, cached input\",\"project_id\":\"proj_a\",\
                    \"api_key_id\":\"key_a\"}";
        let other = "{\"amount\":{\"value\":2},\"line_item\":\"web search tool calls\",\"project_id\":\"proj_a\"}";
        assert_eq!(
            lines(&OpenAiCosts, &page(&format!("{item},{other}"))),
            [
                "2026-11-15T00:00:00Z cost key_id=key_a project=proj_a model=gpt-5-2025-08-07 \
                 item=gpt-5-2025-08-07, cached input cost=1.",
                "2026-11-15T00:00:00Z cost key=(no key) project=proj_a item=web search tool calls cost=2.",
            ]
        );
    }

    #[test]
    fn what_is_no_dollar_amount_is_refused() {
        for (result, expect) in [
            ("{}", "`amount` is not there, expected money"),
            ("{\"amount\":{}}", "`value` is not there, expected an amount"),
            ("{\"amount\":{\"value\":\"much\"}}", "`value` is `much`, expected an amount: not a decimal number"),
            (
                "{\"amount\":{\"value\":1,\"currency\":\"eur\"}}",
                "`currency` is `eur`, expected `USD`: amounts are never converted",
            ),
        ] {
            assert_eq!(refused(&OpenAiCosts, &page(result)), format!("data[0].results[0]: {expect}"));
        }
    }

    #[test]
    fn the_question_is_by_project_item_and_key() {
        assert_eq!(
            asked(&OpenAiCosts, "2026-11-15", "2026-11-16"),
            ["/v1/organization/costs?start_time=1794700800&end_time=1794787200&bucket_width=1d&limit=31&\
                 group_by[]=project_id&group_by[]=line_item&group_by[]=api_key_id"]
        );
    }
}
