//! What a request was sent to: what the path or URL of an API says that was
//! asked for. A provider's own prefix and version in it do not matter.

use crate::record::Operation;

/// What an endpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Does(Operation),
    /// A later look at a stored answer: when it was looked at says nothing.
    Retrieves(Operation),
    Health,
    Poll,
    /// Lists models, counts tokens, moderates: nothing that is billed.
    Free,
}

/// What a path or URL is for; `None` where it could be anything.
pub(crate) fn of(url: &str) -> Option<Endpoint> {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = above.rsplit('/').next().unwrap_or_default();
    // Google puts the verb behind the model.
    let verb = last.rsplit(':').next().unwrap_or(last);
    Some(Endpoint::Does(match (parent, verb) {
        (_, "batches") => return Some(Endpoint::Poll),
        _ if path.contains("/batches/") => return Some(Endpoint::Poll),
        _ if path.contains("/responses/") => return Some(Endpoint::Retrieves(Operation::Responses)),
        ("chat", "completions")
        | (_, "messages" | "chat" | "converse" | "converse-stream" | "generateContent" | "streamGenerateContent") => {
            Operation::Chat
        }
        (_, "completions" | "complete") => Operation::Completion,
        (_, "responses") => Operation::Responses,
        (_, "embeddings" | "embed" | "embedContent" | "batchEmbedContents") => Operation::Embedding,
        (_, "transcriptions") => Operation::Transcription,
        (_, "translations") => Operation::Translation,
        (_, "speech") => Operation::Speech,
        ("images", _) => Operation::Image,
        (_, "rerank") => Operation::Other,
        (_, "models" | "moderations" | "count_tokens" | "files") | ("models" | "files", _) => {
            return Some(Endpoint::Free);
        }
        _ if is_probe(last) => return Some(Endpoint::Health),
        _ => return None,
    }))
}

/// The operation that an endpoint asks for; `None` where no model answers.
pub(crate) fn operation(url: &str) -> Option<Operation> {
    match of(url)? {
        Endpoint::Does(operation) | Endpoint::Retrieves(operation) => Some(operation),
        Endpoint::Health | Endpoint::Poll | Endpoint::Free => None,
    }
}

/// Whether a path or a user agent is that of a probe.
pub(crate) fn is_health_check(url: &str, user_agent: &str) -> bool {
    of(url) == Some(Endpoint::Health)
        || ["kube-probe/", "ELB-HealthChecker/", "GoogleHC/", "Envoy/HC"]
            .iter()
            .any(|probe| user_agent.starts_with(probe))
}

fn is_probe(last: &str) -> bool {
    let names = [
        "health",
        "healthz",
        "healthcheck",
        "live",
        "livez",
        "liveness",
        "liveliness",
        "ready",
        "readyz",
        "readiness",
        "ping",
    ];
    names.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_a_request_is_for() {
        use Endpoint::{Does, Free, Health, Poll, Retrieves};
        for (url, expect) in [
            ("https://api.groq.com/openai/v1/chat/completions", Some(Does(Operation::Chat))),
            ("/openai/v1/chat/completions/?x=/models", Some(Does(Operation::Chat))),
            ("chat/completions", Some(Does(Operation::Chat))),
            ("/v2/chat", Some(Does(Operation::Chat))),
            ("/v1/completions/", Some(Does(Operation::Completion))),
            ("https://api.anthropic.com/v1/messages", Some(Does(Operation::Chat))),
            ("/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse", Some(Does(Operation::Chat))),
            ("/v1beta/models/embedding:batchEmbedContents", Some(Does(Operation::Embedding))),
            ("/model/anthropic.claude/converse-stream", Some(Does(Operation::Chat))),
            ("/v1/responses", Some(Does(Operation::Responses))),
            ("/v1/responses/resp_1/cancel", Some(Retrieves(Operation::Responses))),
            ("/v1/responses/resp_1", Some(Retrieves(Operation::Responses))),
            ("/v1/embeddings", Some(Does(Operation::Embedding))),
            ("/openai/v1/audio/transcriptions?x=/models", Some(Does(Operation::Transcription))),
            ("/v1/audio/translations", Some(Does(Operation::Translation))),
            ("/v1/audio/speech", Some(Does(Operation::Speech))),
            ("/v1/images/generations", Some(Does(Operation::Image))),
            ("/v1/rerank", Some(Does(Operation::Other))),
            ("/v1/messages/count_tokens", Some(Free)),
            ("/v1/messages/batches/msgbatch_1", Some(Poll)),
            ("/v1/batches", Some(Poll)),
            ("/v1/models", Some(Free)),
            ("/v1/models/llama-3.1-8b-instant", Some(Free)),
            ("/healthz", Some(Health)),
            ("/health/liveliness", Some(Health)),
            ("/", None),
            ("", None),
            ("/admin", None),
        ] {
            assert_eq!(of(url), expect, "{url}");
        }
    }

    #[test]
    fn probes_are_known_by_path_or_agent() {
        assert!(is_health_check("/healthz", "") && is_health_check("/", "kube-probe/1.33"));
        assert!(!is_health_check("/v1/chat/completions", "curl/8.7.1"));
    }
}
