//! `litellm-api`: the rows of `LiteLLM`'s spend logs, `/spend/logs/v2`.
//!
//! It selects by the start of a request, both ends included, in whole seconds of
//! UTC; sorts by it ascending when asked to; counts no further than 10,000, which
//! newer versions say; and takes 1,000 rows a page, or 100, by version.

use super::{Api, At, Span, Told};
use crate::{config::Remote, json::Value, time::Instant};

#[derive(Debug)]
pub(super) struct LiteLlm;

/// Totals that are told as this one may be larger.
const COUNTED: u64 = 10_000;

impl Api for LiteLlm {
    fn path(&self, _remote: &Remote) -> String {
        "/spend/logs/v2".to_owned()
    }

    fn holds(&self) -> &'static str {
        "data"
    }

    fn id(&self) -> &'static str {
        "request_id"
    }

    fn page_sizes(&self) -> &'static [u32] {
        &[1_000, 100, 10]
    }

    fn query(&self, span: Span, at: &At, size: u32) -> Vec<(&'static str, String)> {
        vec![
            ("start_date", second(span.from)),
            ("end_date", second(span.until)),
            ("sort_by", "startTime".to_owned()),
            ("sort_order", "asc".to_owned()),
            ("page", at.number().to_string()),
            ("page_size", size.to_string()),
        ]
    }

    fn told(&self, page: Value<'_>, at: &At, size: u32, entries: usize) -> Told {
        let whole = |name| page.get(name).and_then(Value::small_whole).and_then(|whole| u64::try_from(whole).ok());
        let total = whole("total");
        let is_capped = page.get("total_is_capped").and_then(Value::bool).unwrap_or(total == Some(COUNTED));
        let size = whole("page_size").map_or(u64::from(size), |told| told.min(size.into()));
        let is_full = entries as u64 >= size.max(1);
        let pages = whole("total_pages").filter(|_| !is_capped);
        let has_next = pages.map_or(is_full, |pages| u64::from(at.number()) < pages);
        Told { next: has_next.then(|| at.next()), total, is_capped }
    }
}

/// As the proxy reads times: `2026-11-01 00:00:00`.
fn second(instant: Instant) -> String {
    instant.to_string().trim_end_matches('Z').replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::Scanner, time::Day};

    #[test]
    fn a_day_is_asked_for_in_whole_seconds() {
        let query = LiteLlm.query(Span::of(Day::parse("2026-06-09").unwrap()), &At::Number(3), 100);
        let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text.join("&"),
            "start_date=2026-06-09 00:00:00&end_date=2026-06-10 00:00:00&sort_by=startTime&sort_order=asc&page=3&page_size=100"
        );
    }

    #[test]
    fn pages_end_where_the_proxy_says_or_with_one_that_is_not_full() {
        let check = |page: &str, entries: usize, next: Option<u32>, total: Option<u64>, is_capped: bool| {
            let mut scanner = Scanner::new();
            let told = LiteLlm.told(scanner.scan(page).unwrap(), &At::Number(2), 100, entries);
            assert_eq!(told, Told { next: next.map(At::Number), total, is_capped }, "{page}");
        };
        check(r#"{"total":250,"page":2,"page_size":100,"total_pages":3}"#, 100, Some(3), Some(250), false);
        check(r#"{"total":250,"page":2,"page_size":100,"total_pages":3}"#, 99, Some(3), Some(250), false);
        check(r#"{"total":200,"page":2,"page_size":100,"total_pages":2}"#, 100, None, Some(200), false);
        check(r#"{"total":150,"page":2,"page_size":100,"total_pages":2}"#, 50, None, Some(150), false);
        let capped = r#"{"total":10000,"page":2,"page_size":100,"total_pages":2,"total_is_capped":true}"#;
        check(capped, 100, Some(3), Some(10_000), true);
        check(r#"{"total":10000,"page_size":100}"#, 100, Some(3), Some(10_000), true);
        check(r#"{"page_size":50}"#, 50, Some(3), None, false);
        check("{}", 0, None, None, false);
    }
}
