//! `cloudflare-api`: the logs of a Cloudflare AI Gateway, page by page.
//!
//! It gives at most 50 a page, sorted by their time when asked to. Entries at both
//! ends of a span may come with the one beside it, too.

use super::{Api, At, Span, Told};
use crate::{config::Remote, json::Value};

#[derive(Debug)]
pub(super) struct Cloudflare;

impl Api for Cloudflare {
    fn path(&self, remote: &Remote) -> String {
        let id = |id: &Option<String>| id.clone().unwrap_or_default();
        format!("/accounts/{}/ai-gateway/gateways/{}/logs", id(&remote.account), id(&remote.gateway))
    }

    fn holds(&self) -> &'static str {
        "result"
    }

    fn id(&self) -> &'static str {
        "id"
    }

    fn page_sizes(&self) -> &'static [u32] {
        &[50, 20]
    }

    fn query(&self, span: Span, at: &At, size: u32) -> Vec<(&'static str, String)> {
        vec![
            ("start_date", span.from.to_string()),
            ("end_date", span.until.to_string()),
            ("order_by", "created_at".to_owned()),
            ("order_by_direction", "asc".to_owned()),
            ("page", at.number().to_string()),
            ("per_page", size.to_string()),
        ]
    }

    fn told(&self, page: Value<'_>, at: &At, size: u32, entries: usize) -> Told {
        let info = page.get("result_info");
        let whole = |name| info?.get(name).and_then(Value::small_whole).and_then(|whole| u64::try_from(whole).ok());
        let size = whole("per_page").map_or(u64::from(size), |told| told.min(size.into())).max(1);
        let total = whole("total_count");
        let has_next = total.map_or(entries as u64 >= size, |total| u64::from(at.number()) * size < total);
        Told { next: has_next.then(|| at.next()), total, is_capped: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    #[test]
    fn pages_end_with_the_total_or_with_one_that_is_not_full() {
        let check = |page: &str, entries: usize, next: Option<u32>, total: Option<u64>| {
            let mut scanner = Scanner::new();
            let told = Cloudflare.told(scanner.scan(page).unwrap(), &At::Number(1), 50, entries);
            assert_eq!(told, Told { next: next.map(At::Number), total, is_capped: false }, "{page}");
        };
        check(r#"{"result_info":{"page":1,"per_page":50,"count":50,"total_count":51}}"#, 50, Some(2), Some(51));
        check(r#"{"result_info":{"page":1,"per_page":50,"count":49,"total_count":49}}"#, 49, None, Some(49));
        check(r#"{"result_info":{"page":1,"per_page":50,"count":49,"total_count":51}}"#, 49, Some(2), Some(51));
        check(r#"{"result_info":{"per_page":20}}"#, 20, Some(2), None);
        check("{}", 50, Some(2), None);
    }
}
