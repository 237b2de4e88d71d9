//! Providers by name: one spelling for who bills, however gateways,
//! instrumentations and SDKs spell it, and models without the provider that
//! gateways write in front of them.

use std::borrow::Cow;

use crate::record::Text;

/// The one name of a provider, and how others write it. Interfaces of the same
/// provider that have a name of their own (`bedrock_converse`) are its, too.
const NAMES: &[(&str, &[&str])] = &[
    ("anthropic", &[]),
    (
        "azure",
        &[
            "azure-openai",
            "azure-ai",
            "azure-text",
            "azureai",
            "azure.ai.openai",
            "az.ai.openai",
            "azure.ai.inference",
            "az.ai.inference",
        ],
    ),
    ("bedrock", &["aws", "aws-bedrock", "aws.bedrock", "amazon-bedrock", "bedrock-converse"]),
    ("cohere", &["cohere-chat"]),
    ("deepseek", &[]),
    ("fireworks", &["fireworks-ai"]),
    ("gemini", &["google", "google-ai-studio", "gcp.gemini", "gcp.gen-ai"]),
    ("groq", &[]),
    ("mistral", &["mistral-ai", "mistralai"]),
    ("ollama", &["ollama-chat"]),
    ("openai", &["text-completion-openai"]),
    ("openrouter", &[]),
    ("perplexity", &["perplexity-ai"]),
    ("together", &["together-ai", "togetherai"]),
    ("vertex", &["vertex-ai", "vertexai", "vertex-ai-beta", "google-vertex-ai", "google-vertexai", "gcp.vertex-ai"]),
    ("watsonx", &["ibm.watsonx.ai"]),
    ("xai", &["x-ai", "x", "grok"]),
];

/// The provider's one name, in lower case.
pub(crate) fn canonical(name: Text<'_>) -> Text<'_> {
    match known(&name) {
        Some(known) if known == name => name,
        Some(known) => Cow::Borrowed(known),
        None if name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b' ') => {
            Cow::Owned(name.trim().to_ascii_lowercase().replace(' ', "-"))
        }
        None => name,
    }
}

/// The one name of a provider that is known, by any of its spellings.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    let name = name.trim();
    let is = |spelling: &str| {
        let plain = |byte: u8| if matches!(byte, b'_' | b' ') { b'-' } else { byte.to_ascii_lowercase() };
        spelling.len() == name.len() && spelling.bytes().zip(name.bytes()).all(|(a, b)| a == plain(b))
    };
    NAMES.iter().find(|(one, others)| is(one) || others.iter().any(|other| is(other))).map(|&(one, _)| one)
}

/// The model without the provider in front of it: `groq/llama-3.1-8b-instant`
/// by groq is `llama-3.1-8b-instant`. Any other prefix belongs to the name.
pub(crate) fn without_provider<'a>(model: Text<'a>, provider: &str) -> Text<'a> {
    let own = |model: &str| {
        let (prefix, rest) = model.split_once('/')?;
        let is_same =
            prefix.eq_ignore_ascii_case(provider) || (known(prefix).is_some() && known(prefix) == known(provider));
        (!provider.is_empty() && !rest.is_empty() && is_same).then_some(prefix.len() + 1)
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
    fn every_spelling_has_one_name() {
        for (name, expect) in [
            ("groq", "groq"),
            ("Groq", "groq"),
            ("Azure_OpenAI", "azure"),
            ("Amazon Bedrock", "bedrock"),
            ("bedrock_converse", "bedrock"),
            ("gcp.vertex_ai", "vertex"),
            ("vertex_ai_beta", "vertex"),
            ("GOOGLE", "gemini"),
            ("x_ai", "xai"),
            ("Inference House", "inference-house"),
            ("hosted_vllm", "hosted_vllm"),
            ("", ""),
        ] {
            assert_eq!(canonical(Cow::Borrowed(name)), expect, "{name}");
        }
    }

    #[test]
    fn no_spelling_is_of_two_providers() {
        let mut all: Vec<_> = NAMES.iter().flat_map(|(one, others)| others.iter().chain([one])).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn only_the_providers_own_prefix_goes() {
        for (model, provider, expect) in [
            ("groq/llama-3.1-8b-instant", "groq", "llama-3.1-8b-instant"),
            ("groq/meta-llama/llama-4-scout", "Groq", "meta-llama/llama-4-scout"),
            ("vertex_ai/gemini-3", "vertex", "gemini-3"),
            ("bedrock/us.anthropic.claude", "bedrock_converse", "us.anthropic.claude"),
            ("openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
            ("gpt-4o", "openai", "gpt-4o"),
            ("groq/", "groq", "groq/"),
            ("/x", "", "/x"),
        ] {
            assert_eq!(without_provider(Cow::Borrowed(model), provider), expect, "{model} by {provider}");
            assert_eq!(without_provider(Cow::Owned(model.to_owned()), provider), expect, "{model} by {provider}");
        }
    }
}
