//! `anthropic-costs`: `GET /v1/organizations/cost_report`. Amounts are decimal
//! texts **in cents**: `"123.45"` is $1.2345.
//!
//! What the priority tier costs is not in the report, whatever was used of it.

use super::{
    Days, Line, Page, Question, Teller, Told, Unreadable,
    anthropic_usage::{BUCKETS, HEADERS, question},
    openai_costs::{in_dollars, money},
    pages::{Bucket, apart, text},
};
use crate::{json::Value, record::Measure};

#[derive(Debug)]
pub(super) struct AnthropicCosts;

/// An amount is in cents: its digits, divided by ten to the power of this.
const CENTS: u32 = 2;

impl Teller for AnthropicCosts {
    fn name(&self) -> &'static str {
        "anthropic-costs"
    }

    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn measure(&self) -> Measure {
        Measure::Cost
    }

    fn credential_header(&self) -> Option<&'static str> {
        Some("x-api-key")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }

    fn questions(&self, days: Days) -> Vec<Question> {
        vec![question(days, "costs", "/v1/organizations/cost_report", &["workspace_id", "description"])]
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        let mut page = BUCKETS.read(text, told, line)?;
        page.name_absent_workspaces(told);
        Ok(page)
    }
}

fn line(bucket: Bucket<'_>, result: Value<'_>) -> Result<Option<Line>, Unreadable> {
    in_dollars(text(result, "currency")?.as_deref())?;
    let mut row = bucket.told.row(bucket.start, bucket.end)?;
    row.cost = Some(money(result, "amount", CENTS)?);
    row.line_item = text(result, "description")?.or(text(result, "token_type")?).or(text(result, "cost_type")?);
    row.project = text(result, "workspace_id")?;
    row.model = text(result, "model")?;
    row.tier = text(result, "service_tier")?;
    let names = ["cost_type", "token_type", "context_window", "inference_geo", "speed"];
    Ok(Some(Line { row, kind: "", apart: apart(result, &names) }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{asked, lines, refused},
        *,
    };

    fn page(results: &str) -> String {
        format!(
            "{{\"data\":[{{\"starting_at\":\"2026-11-15T00:00:00Z\",\"ending_at\":\"2026-11-16T00:00:00Z\",\
             \"results\":[{results}]}}],\"has_more\":false,\"next_page\":null}}"
        )
    }

    #[test]
    fn amounts_are_cents() {
        for (amount, expect) in [
            ("\"123.45\"", "1.2345"),
            ("\"123.78912\"", "1.2378912"),
            ("\"0.0000000001\"", "0.000000000001"),
            ("\"7\"", "0.07"),
            ("\"-250\"", "-2.5"),
            ("12.5", "0.125"),
        ] {
            let text = page(&format!("{{\"amount\":{amount},\"currency\":\"USD\"}}"));
            assert_eq!(lines(&AnthropicCosts, &text), [format!("2026-11-15T00:00:00Z cost cost={expect}")], "{amount}");
        }
    }

    #[test]
    fn lines_keep_their_names() {
        let line = "{\"amount\":\"100\",\"currency\":\"USD\",\"cost_type\":\"tokens\",\"token_type\":\
                    \"uncached_input_tokens\",\"description\":\"Opus 4.6 Usage - Input Tokens\",\"model\":\
                    \"claude-opus-4-6\",\"service_tier\":\"batch\",\"workspace_id\":\"wrkspc_a\"}";
        let other = "{\"amount\":\"100\",\"cost_type\":\"web_search\",\"workspace_id\":null}";
        assert_eq!(
            lines(&AnthropicCosts, &page(&format!("{line},{other}"))),
            [
                "2026-11-15T00:00:00Z cost project=wrkspc_a model=claude-opus-4-6 tier=batch \
                 item=Opus 4.6 Usage - Input Tokens cost=1.",
                "2026-11-15T00:00:00Z cost project=(default) item=web_search cost=1.",
            ]
        );
    }

    #[test]
    fn what_is_no_dollar_amount_is_refused() {
        assert_eq!(
            refused(&AnthropicCosts, &page("{\"currency\":\"USD\"}")),
            "data[0].results[0]: `amount` is not there, expected an amount"
        );
        assert_eq!(
            refused(&AnthropicCosts, &page("{\"amount\":\"1\",\"currency\":\"EUR\"}")),
            "data[0].results[0]: `currency` is `EUR`, expected `USD`: amounts are never converted"
        );
    }

    #[test]
    fn the_question_is_by_workspace_and_description() {
        let asked = asked(&AnthropicCosts, "2026-11-15", "2026-11-16");
        assert!(asked[0].ends_with("&group_by[]=workspace_id&group_by[]=description"), "{asked:?}");
    }
}
