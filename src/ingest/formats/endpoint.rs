//! What a request was sent to: the operation, by the path of the endpoint, and
//! the model, without the provider that gateways write in front of it.

use std::borrow::Cow;

use crate::record::{Operation, Text};

/// The operation of an endpoint, whether a path or a whole URL; a provider's
/// own prefix and version in it do not matter.
pub(super) fn operation(url: &str) -> Operation {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let last = |words: &[&str]| words.iter().any(|word| path.ends_with(word));
    if last(&["/chat/completions", "/messages", "/converse", "/converse-stream", "/chat"])
        || path.contains(":generateContent")
        || path.contains(":streamGenerateContent")
    {
        Operation::Chat
    } else if last(&["/responses"]) {
        Operation::Responses
    } else if last(&["/completions", "/complete"]) {
        Operation::Completion
    } else if last(&["/embeddings", "/embed"]) || path.contains(":embedContent") {
        Operation::Embedding
    } else if last(&["/audio/transcriptions"]) {
        Operation::Transcription
    } else if last(&["/audio/translations"]) {
        Operation::Translation
    } else if last(&["/audio/speech"]) {
        Operation::Speech
    } else if path.contains("/images/") {
        Operation::Image
    } else {
        Operation::Other
    }
}

/// The model without the provider in front of it: `groq/llama-3.1-8b-instant`
/// by groq is `llama-3.1-8b-instant`. Any other prefix belongs to the name.
pub(super) fn without_provider<'a>(model: Text<'a>, provider: &str) -> Text<'a> {
    let own = |model: &str| {
        let (prefix, rest) = model.split_once('/')?;
        (!provider.is_empty() && !rest.is_empty() && prefix.eq_ignore_ascii_case(provider)).then_some(prefix.len() + 1)
    };
    match (own(&model), model) {
        (Some(at), Cow::Borrowed(model)) => Cow::Borrowed(&model[at..]),
        (Some(at), Cow::Owned(model)) => Cow::Owned(model[at..].to_owned()),
        (None, model) => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_providers_own_prefix_goes() {
        for (model, provider, expect) in [
            ("groq/llama-3.1-8b-instant", "groq", "llama-3.1-8b-instant"),
            ("groq/meta-llama/llama-4-scout", "Groq", "meta-llama/llama-4-scout"),
            ("openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
            ("gpt-4o", "openai", "gpt-4o"),
            ("groq/", "groq", "groq/"),
            ("/x", "", "/x"),
        ] {
            assert_eq!(without_provider(Cow::Borrowed(model), provider), expect, "{model} by {provider}");
            assert_eq!(without_provider(Cow::Owned(model.to_owned()), provider), expect, "{model} by {provider}");
        }
    }

    #[test]
    fn endpoints_are_known_by_their_last_words() {
        for (url, expect) in [
            ("https://api.groq.com/openai/v1/chat/completions", Operation::Chat),
            ("/v1/chat/completions?stream=1", Operation::Chat),
            ("/v1/completions/", Operation::Completion),
            ("/v1/embeddings", Operation::Embedding),
            ("https://api.anthropic.com/v1/messages", Operation::Chat),
            ("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", Operation::Chat),
            ("/v1/responses", Operation::Responses),
            ("/openai/v1/audio/transcriptions", Operation::Transcription),
            ("/v1/audio/speech", Operation::Speech),
            ("/v1/images/generations", Operation::Image),
            ("/v1/models", Operation::Other),
            ("", Operation::Other),
        ] {
            assert_eq!(operation(url), expect, "{url}");
        }
    }
}
