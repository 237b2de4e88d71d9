//! Who bills for a call, by the names and hosts that spans give.

use std::borrow::Cow;

use crate::record::Text;

/// The provider behind the AI SDK's names, `openai.chat`, `google.vertex.chat`.
pub(super) fn named(name: Text<'_>) -> Text<'_> {
    if name.starts_with("google.vertex") {
        return Cow::Borrowed("vertex");
    }
    if name.starts_with("google.generative-ai") {
        return Cow::Borrowed("gemini");
    }
    match name.split_once('.') {
        Some((
            provider,
            "chat" | "responses" | "completion" | "messages" | "embedding" | "image" | "speech" | "transcription",
        )) => Cow::Owned(provider.to_owned()),
        _ => name,
    }
}

/// Who bills for calls of that host. An `OpenAI` SDK says `openai` whoever it
/// talks to, so the host is believed first.
pub(super) fn at_host(server: &str) -> Option<&'static str> {
    let hosts = [
        ("api.openai.com", "openai"),
        ("api.groq.com", "groq"),
        ("api.anthropic.com", "anthropic"),
        ("api.x.ai", "xai"),
        ("openrouter.ai", "openrouter"),
        ("api.deepseek.com", "deepseek"),
        ("api.mistral.ai", "mistral"),
        ("api.together.xyz", "together"),
        ("api.fireworks.ai", "fireworks"),
        ("api.perplexity.ai", "perplexity"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("aiplatform.googleapis.com", "vertex"),
    ];
    let host = server.split("://").last().unwrap_or(server).split(['/', ':']).next().unwrap_or_default();
    if host.ends_with(".openai.azure.com") {
        return Some("azure");
    }
    if host.starts_with("bedrock-runtime.") && host.ends_with(".amazonaws.com") {
        return Some("bedrock");
    }
    hosts.iter().find(|(known, _)| host == *known || host.ends_with(&format!("-{known}"))).map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_who_bills() {
        for (server, expect) in [
            ("api.groq.com", Some("groq")),
            ("https://api.groq.com:443/openai/v1", Some("groq")),
            ("shop.openai.azure.com", Some("azure")),
            ("bedrock-runtime.eu-west-1.amazonaws.com", Some("bedrock")),
            ("europe-west1-aiplatform.googleapis.com", Some("vertex")),
            ("localhost", None),
            ("evil-api.openai.com.example", None),
        ] {
            assert_eq!(at_host(server), expect, "{server}");
        }
        for (name, expect) in [
            ("openai.responses", "openai"),
            ("google.vertex.chat", "vertex"),
            ("gcp.vertex_ai", "gcp.vertex_ai"),
            ("groq", "groq"),
        ] {
            assert_eq!(named(Cow::Borrowed(name)), expect);
        }
    }
}
