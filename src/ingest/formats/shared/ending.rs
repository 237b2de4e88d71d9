//! How a request ended: by its HTTP status, the code of its error, or a word.

use super::field::{Field, is_nothing};
use crate::{
    json::{Kind, Value},
    record::{Status, Text},
};

/// How a request ended, by its HTTP status and the code of its error.
pub(crate) fn status(http_status: Option<i16>, error_code: Option<&str>) -> Status {
    match (http_status, error_code) {
        (_, Some("blocked_api_access" | "budget_exceeded" | "guardrail_blocked" | "content_blocked")) => {
            Status::Blocked
        }
        (_, Some(code)) if code.starts_with("spend_") => Status::Blocked,
        // Nobody waited for the answer.
        (Some(0 | 499), _) => Status::Cancelled,
        (Some(code), _) if code >= 400 => Status::Error,
        (Some(_), _) | (None, None) => Status::Success,
        (None, Some(_)) => Status::Error,
    }
}

/// How a request ended, by the words that programs have for it.
pub(crate) fn by_word(word: &str) -> Option<Status> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "success" | "ok" | "completed" | "succeeded" => Status::Success,
        "error" | "failed" | "failure" | "timeout" => Status::Error,
        "partial" | "interrupted" | "in_progress" | "queued" => Status::Partial,
        "cancelled" | "canceled" | "aborted" => Status::Cancelled,
        "blocked" | "denied" => Status::Blocked,
        _ => return None,
    })
}

/// The code and the word together: a refusal is one whatever the code, and a
/// code of success says less than a word.
pub(crate) fn together(by_code: Status, by_word: Option<Status>) -> Status {
    match (by_code, by_word) {
        (_, Some(Status::Blocked)) => Status::Blocked,
        (Status::Success, Some(word)) => word,
        _ => by_code,
    }
}

/// The code of an error object, else its kind; of a text the text itself if it
/// is one word.
pub(crate) fn error_code(error: Value<'_>) -> Option<Text<'_>> {
    match error.kind() {
        Kind::Object => {
            let text = |name: &str| Field::from(error.get(name)).any_text();
            text("code").or_else(|| text("type"))
        }
        Kind::Text(_) => Field::Json(error).any_text().filter(|text| is_code(text)),
        _ => None,
    }
}

/// A code is one short word, so that no message lands where codes are counted.
pub(crate) fn is_code(text: &str) -> bool {
    text.len() <= 64 && !text.contains(char::is_whitespace)
}

/// Whether the value of `error` tells of one: many bodies have it empty.
pub(crate) fn is_error(error: Value<'_>) -> bool {
    match error.kind() {
        Kind::Object => error.entries().next().is_some(),
        Kind::Text(_) => !is_nothing(error.raw()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    #[test]
    fn refusals_are_told_from_errors() {
        for (http_status, error_code, expect) in [
            (Some(200), None, Status::Success),
            (None, None, Status::Success),
            (Some(429), Some("rate_limit_exceeded"), Status::Error),
            (Some(403), Some("blocked_api_access"), Status::Blocked),
            (None, Some("spend_limit"), Status::Blocked),
            (None, Some("timeout"), Status::Error),
            (Some(499), None, Status::Cancelled),
            (Some(0), Some("DC"), Status::Cancelled),
        ] {
            assert_eq!(status(http_status, error_code), expect, "{http_status:?} {error_code:?}");
        }
        assert_eq!(together(Status::Error, by_word("Blocked")), Status::Blocked);
        assert_eq!(together(Status::Success, by_word("cancelled")), Status::Cancelled);
        assert_eq!(together(Status::Error, by_word("ok")), Status::Error);
        assert_eq!(together(Status::Success, by_word("perhaps")), Status::Success);
    }

    #[test]
    fn codes_of_errors_are_words() {
        let mut scanner = Scanner::new();
        let mut code = |json: &str| error_code(scanner.scan(json).unwrap()).map(std::borrow::Cow::into_owned);
        for (json, expect) in [
            (r#"{"code":"rate_limit_exceeded","type":"tokens"}"#, Some("rate_limit_exceeded")),
            (r#"{"code":null,"type":"server_error"}"#, Some("server_error")),
            (r#"{"code":429}"#, Some("429")),
            (r#""timeout""#, Some("timeout")),
            (r#""connection to 10.0.0.1 refused""#, None),
            ("{}", None),
            ("true", None),
        ] {
            assert_eq!(code(json).as_deref(), expect, "{json}");
        }
    }
}
