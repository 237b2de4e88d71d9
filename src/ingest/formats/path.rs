//! What the path of a request says about it, for gateways that log no more.

use crate::record::Operation;

/// The operation that an API path asks for; `None` for paths that no model
/// answers.
#[must_use]
pub(super) fn operation(path: &str) -> Option<Operation> {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = parent.rsplit('/').next().unwrap_or_default();
    // Google and Bedrock put the verb behind the model.
    let verb = last.rsplit(':').next().unwrap_or(last);
    Some(match (parent, verb) {
        ("chat", "completions")
        | (_, "messages" | "converse" | "converse-stream" | "generateContent" | "streamGenerateContent") => {
            Operation::Chat
        }
        (_, "completions") => Operation::Completion,
        (_, "responses") => Operation::Responses,
        (_, "embeddings" | "embedContent" | "batchEmbedContents") => Operation::Embedding,
        (_, "transcriptions") => Operation::Transcription,
        (_, "translations") => Operation::Translation,
        (_, "speech") => Operation::Speech,
        ("images", "generations" | "edits" | "variations") => Operation::Image,
        (_, "rerank" | "moderations") => Operation::Other,
        _ => return None,
    })
}

/// Whether a path or a user agent is that of a probe.
#[must_use]
pub(super) fn is_health_check(path: &str, user_agent: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    matches!(last, "health" | "healthz" | "healthcheck" | "live" | "livez" | "ready" | "readyz" | "ping" | "liveliness")
        || ["kube-probe/", "ELB-HealthChecker/", "GoogleHC/", "Envoy/HC"]
            .iter()
            .any(|probe| user_agent.starts_with(probe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_is_asked_for() {
        for (path, expect) in [
            ("/v1/chat/completions", Some(Operation::Chat)),
            ("/openai/v1/chat/completions/?x=/models", Some(Operation::Chat)),
            ("chat/completions", Some(Operation::Chat)),
            ("/v1/completions", Some(Operation::Completion)),
            ("v1/messages", Some(Operation::Chat)),
            ("/v1/messages/count_tokens", None),
            ("/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse", Some(Operation::Chat)),
            ("/model/anthropic.claude/converse-stream", Some(Operation::Chat)),
            ("/v1/responses", Some(Operation::Responses)),
            ("/v1/embeddings", Some(Operation::Embedding)),
            ("/v1/audio/transcriptions", Some(Operation::Transcription)),
            ("/v1/images/generations", Some(Operation::Image)),
            ("/v1/models", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(operation(path), expect, "{path}");
        }
    }

    #[test]
    fn probes_are_known_by_path_or_agent() {
        assert!(is_health_check("/healthz", "") && is_health_check("/", "kube-probe/1.33"));
        assert!(!is_health_check("/v1/chat/completions", "curl/8.7.1"));
    }
}
