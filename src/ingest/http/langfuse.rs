//! `langfuse-api`: observations, page by page, each of which names the next.
//!
//! It selects by the start of an observation, the later end left out. The name of
//! the next page is a place in the order of time, so what comes or goes meanwhile
//! moves nothing from one page to another; no total is told. Prompts and answers
//! are not asked for.

use super::{Api, At, Span, Told};
use crate::{config::Remote, json::Value};

#[derive(Debug)]
pub(super) struct Langfuse;

impl Api for Langfuse {
    fn path(&self, _remote: &Remote) -> String {
        "/api/public/v2/observations".to_owned()
    }

    fn holds(&self) -> &'static str {
        "data"
    }

    fn id(&self) -> &'static str {
        "id"
    }

    fn page_sizes(&self) -> &'static [u32] {
        &[1_000, 100]
    }

    fn first(&self) -> At {
        At::Cursor(String::new())
    }

    fn query(&self, span: Span, at: &At, size: u32) -> Vec<(&'static str, String)> {
        let mut query = vec![
            ("fromStartTime", span.from.to_string()),
            ("toStartTime", span.until.to_string()),
            ("fields", "core,basic,time,model,usage,metadata".to_owned()),
            ("limit", size.to_string()),
        ];
        if let At::Cursor(cursor) = at
            && !cursor.is_empty()
        {
            query.push(("cursor", cursor.clone()));
        }
        query
    }

    fn told(&self, page: Value<'_>, _at: &At, _size: u32, _entries: usize) -> Told {
        let cursor = page.path(&["meta", "cursor"]).and_then(Value::text).filter(|cursor| !cursor.is_empty());
        Told { next: cursor.map(|cursor| At::Cursor(cursor.into_owned())), ..Told::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::Scanner, time::Day};

    #[test]
    fn a_page_names_the_next() {
        let next = |page: &str| {
            let mut scanner = Scanner::new();
            Langfuse.told(scanner.scan(page).unwrap(), &Langfuse.first(), 1_000, 7).next
        };
        let cursor = At::Cursor("eyJh".to_owned());
        assert_eq!(next(r#"{"data":[],"meta":{"cursor":"eyJh"}}"#).as_ref(), Some(&cursor));
        assert_eq!(next(r#"{"data":[],"meta":{"cursor":null}}"#), None);
        assert_eq!(next(r#"{"data":[],"meta":{}}"#), None);
        let day = Span::of(Day::parse("2026-06-09").unwrap());
        assert!(!Langfuse.query(day, &Langfuse.first(), 1_000).iter().any(|(name, _)| *name == "cursor"));
        assert!(Langfuse.query(day, &cursor, 1_000).contains(&("cursor", "eyJh".to_owned())));
    }
}
