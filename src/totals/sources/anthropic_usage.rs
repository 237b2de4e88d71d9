//! `anthropic-usage`: `GET /v1/organizations/usage_report/messages`. Its token
//! counts are disjoint already, cache writes apart by how long they live. It
//! tells no number of requests.

use super::{
    Days, Line, Page, Question, Teller, Told, Unreadable,
    pages::{Bucket, Buckets, apart, count, text},
};
use crate::{json::Value, record::Meter};

#[derive(Debug)]
pub(super) struct AnthropicUsage;

pub(super) const BUCKETS: Buckets = Buckets { start: "starting_at", end: "ending_at" };

/// The version of the API.
pub(super) const HEADERS: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];

impl Teller for AnthropicUsage {
    fn name(&self) -> &'static str {
        "anthropic-usage"
    }

    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn credential_header(&self) -> Option<&'static str> {
        Some("x-api-key")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }

    fn questions(&self, days: Days) -> Vec<Question> {
        let groups = &["api_key_id", "workspace_id", "model", "service_tier"];
        vec![question(days, "messages", "/v1/organizations/usage_report/messages", groups)]
    }

    fn read(&self, text: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        let mut page = BUCKETS.read(text, told, line)?;
        page.name_absent_keys(told);
        page.name_absent_workspaces(told);
        Ok(page)
    }
}

/// A question about whole days, by the names that it can be grouped by.
pub(super) fn question(days: Days, kind: &'static str, path: &'static str, groups: &[&str]) -> Question {
    let mut query = vec![
        ("starting_at", days.from.start().to_string()),
        ("ending_at", days.until.start().to_string()),
        ("bucket_width", "1d".to_owned()),
        ("limit", "31".to_owned()),
    ];
    query.extend(groups.iter().map(|&group| ("group_by[]", group.to_owned())));
    Question { path, query, kind }
}

fn line(bucket: Bucket<'_>, result: Value<'_>) -> Result<Option<Line>, Unreadable> {
    if result.get("uncached_input_tokens").is_none() && result.get("output_tokens").is_none() {
        return Err(Unreadable("`uncached_input_tokens` is not there, expected a line of the usage report".to_owned()));
    }
    let mut row = bucket.told.row(bucket.start, bucket.end)?;
    row.key_id = text(result, "api_key_id")?;
    row.project = text(result, "workspace_id")?;
    row.user = text(result, "account_id")?.or(text(result, "service_account_id")?);
    row.model = text(result, "model")?;
    row.tier = text(result, "service_tier")?;
    let quantities = &mut row.quantities;
    quantities[Meter::InputTokens] = count(result, "uncached_input_tokens")?;
    quantities[Meter::CachedInputTokens] = count(result, "cache_read_input_tokens")?;
    quantities[Meter::OutputTokens] = count(result, "output_tokens")?;
    if let Some(written) = result.some("cache_creation") {
        quantities[Meter::CacheWrite5mTokens] = count(written, "ephemeral_5m_input_tokens")?;
        quantities[Meter::CacheWrite1hTokens] = count(written, "ephemeral_1h_input_tokens")?;
    }
    if let Some(tools) = result.some("server_tool_use") {
        quantities[Meter::WebSearches] = count(tools, "web_search_requests")?;
    }
    Ok(Some(Line { row, kind: "", apart: apart(result, &["context_window", "inference_geo", "speed"]) }))
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

    const FULL: &str = "{\"uncached_input_tokens\":1500,\"cache_read_input_tokens\":200,\"cache_creation\":\
                        {\"ephemeral_1h_input_tokens\":1000,\"ephemeral_5m_input_tokens\":500},\"output_tokens\":70,\
                        \"server_tool_use\":{\"web_search_requests\":10},\"api_key_id\":\"apikey_a\",\
                        \"workspace_id\":\"wrkspc_a\",\"account_id\":\"user_a\",\"model\":\"claude-opus-4-6\",\
                        \"service_tier\":\"standard\",\"context_window\":\"0-200k\"}";

    #[test]
    fn buckets_are_disjoint_as_they_come() {
        assert_eq!(
            lines(&AnthropicUsage, &page(FULL)),
            ["2026-11-15T00:00:00Z usage key_id=apikey_a project=wrkspc_a user=user_a model=claude-opus-4-6 \
              tier=on_demand input_tokens=1500 cached_input_tokens=200 cache_write_5m_tokens=500 \
              cache_write_1h_tokens=1000 output_tokens=70 web_searches=10"]
        );
        assert_eq!(
            lines(&AnthropicUsage, &page("{\"uncached_input_tokens\":0,\"output_tokens\":0}")),
            ["2026-11-15T00:00:00Z usage input_tokens=0 output_tokens=0"]
        );
    }

    #[test]
    fn the_console_and_the_default_workspace_have_names_of_their_own() {
        let none = "{\"uncached_input_tokens\":1,\"api_key_id\":null,\"workspace_id\":null}";
        assert_eq!(
            lines(&AnthropicUsage, &page(&format!("{FULL},{none}")))[1],
            "2026-11-15T00:00:00Z usage key=(no key) project=(default) input_tokens=1"
        );
    }

    #[test]
    fn an_answer_of_another_kind_is_refused() {
        assert_eq!(
            refused(&AnthropicUsage, &page("{\"amount\":\"1\"}")),
            "data[0].results[0]: `uncached_input_tokens` is not there, expected a line of the usage report"
        );
    }

    #[test]
    fn the_question_is_by_key_workspace_model_and_tier() {
        assert_eq!(
            asked(&AnthropicUsage, "2026-11-15", "2026-11-16"),
            [
                "/v1/organizations/usage_report/messages?starting_at=2026-11-15T00:00:00Z&ending_at=2026-11-16T00:00:00Z&\
              bucket_width=1d&limit=31&group_by[]=api_key_id&group_by[]=workspace_id&group_by[]=model&\
              group_by[]=service_tier"
            ]
        );
    }
}
