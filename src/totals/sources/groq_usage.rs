//! `groq-usage`: what some companies' own proxies in front of Groq answer with,
//! requests and tokens of today by key. Groq itself has no such endpoint.
//!
//! The answer does not say which day today is: it is the UTC day on which it
//! was told, so far. Such a day stays open for good, and is never reconciled.

use super::{
    Days, Line, Page, Question, Reach, Teller, Told, Unreadable,
    openai_costs::money,
    pages::{count, list, scan, text},
};
use crate::{
    json::Scanner,
    record::{Measure, Quality},
};

#[derive(Debug)]
pub(super) struct GroqUsage;

impl Teller for GroqUsage {
    fn name(&self) -> &'static str {
        "groq-usage"
    }

    fn provider(&self) -> &'static str {
        "groq"
    }

    fn measure(&self) -> Measure {
        Measure::Both
    }

    /// The source's `url` is the whole address.
    fn questions(&self, _: Days) -> Vec<Question> {
        vec![Question { path: "", query: Vec::new(), kind: "today" }]
    }

    fn reach(&self) -> Reach {
        Reach { back: Some(0), is_open_told: true }
    }

    fn read(&self, answer: &str, told: &Told<'_>) -> Result<Page, Unreadable> {
        let mut scanner = Scanner::new();
        let answer = scan(answer, &mut scanner)?;
        if !told.is_certain {
            return Err(Unreadable(
                "it tells of today and not which day that was, expected `\"fetched_at\": \"2026-11-15T18:00:00Z\"` in it, \
                 or a time in the name of the file, like `usage-2026-11-15T1800Z.json`"
                    .to_owned(),
            ));
        }
        let today = told.at.day();
        let mut lines = Vec::new();
        for (index, usage) in list(answer, "", "usage_by_key")?.items().enumerate() {
            let at = |error: Unreadable| Unreadable(format!("usage_by_key[{index}]: {error}"));
            let mut row = told.row(today.start(), today.end())?;
            row.key = text(usage, "key_name").map_err(at)?;
            row.requests = count(usage, "requests_today").map_err(at)?;
            row.total_tokens = count(usage, "tokens_today").map_err(at)?;
            if row.key.is_none() || (row.requests, row.total_tokens) == (None, None) {
                return Err(at(Unreadable(
                    "`key_name`, `requests_today` or `tokens_today` is not there, expected all of them".to_owned(),
                )));
            }
            if usage.some("estimated_cost_usd").is_some() {
                row.cost = Some(money(usage, "estimated_cost_usd", 0).map_err(at)?);
            }
            row.quality = Quality::Estimated;
            lines.push(Line { row, kind: "", apart: String::new() });
        }
        Ok(Page { lines, ..Page::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{lines, refused},
        *,
    };

    #[test]
    fn today_is_the_day_of_the_telling_so_far() {
        let text = "{\"usage_by_key\":[{\"key_name\":\"chatbot-prod\",\"requests_today\":12345,\"tokens_today\":987654,\
                    \"estimated_cost_usd\":0.5827},{\"key_name\":\"gsk_Q2Fu4ryCanaryCanaryCanary0123456789\",\
                    \"requests_today\":1,\"tokens_today\":2,\"estimated_cost_usd\":\"0.000001\"}]}";
        let lines = lines(&GroqUsage, text);
        assert_eq!(
            lines[0],
            "2026-11-16T00:00:00Z both covers=2026-11-16T02:00:00Z key=chatbot-prod requests=12345 total=987654 \
             cost=0.5827 estimated"
        );
        assert!(lines[1].contains("key=fp_") && lines[1].ends_with("cost=0.000001 estimated"), "{}", lines[1]);
    }

    #[test]
    fn an_answer_of_another_shape_is_refused() {
        for (text, expect) in [
            (
                "{\"error\":{\"message\":\"Unknown request URL: GET /openai/v1/usage\",\"code\":\"unknown_url\"}}",
                "the answer is an error: `Unknown request URL: GET /openai/v1/usage`",
            ),
            ("{\"data\":[]}", "`usage_by_key` is not there, expected a list"),
            (
                "{\"usage_by_key\":[{\"key_name\":\"a\"}]}",
                "usage_by_key[0]: `key_name`, `requests_today` or `tokens_today` is not there, expected all of them",
            ),
        ] {
            assert_eq!(refused(&GroqUsage, text), expect);
        }
        let undated = Told { is_certain: false, measure: Measure::Both, ..super::super::testing::told() };
        let error = GroqUsage.read("{\"usage_by_key\":[]}", &undated).unwrap_err().to_string();
        assert!(error.starts_with("it tells of today and not which day that was, expected `\"fetched_at\""), "{error}");
    }
}
