//! What a row of `LiteLLM` is about: its call type, and the suffixes of its id.

use crate::record::{Operation, Text};

/// What a call type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A request to a model.
    Model(Operation),
    /// The creation of a batch, a look at it, or the row with its cost.
    Batch,
    /// A look at a response that was asked for before.
    Look,
    /// Files, lists and other housekeeping: usage only if it says so.
    Housekeeping,
    /// A tool server.
    Tool,
}

impl Call {
    /// Reads a call type; asynchronous ones have an `a` in front.
    pub(super) fn of(call_type: &str) -> Self {
        let base = match call_type {
            "anthropic_messages" | "add_message" => call_type,
            _ => call_type.trim_start_matches('_').strip_prefix('a').unwrap_or(call_type),
        };
        match base {
            "" | "completion" | "anthropic_messages" | "generate_content" | "generate_content_stream" => {
                Self::Model(Operation::Chat)
            }
            "text_completion" => Self::Model(Operation::Completion),
            "responses" => Self::Model(Operation::Responses),
            "embedding" => Self::Model(Operation::Embedding),
            "transcription" => Self::Model(Operation::Transcription),
            "speech" => Self::Model(Operation::Speech),
            "image_generation" | "image_edit" | "image_variation" => Self::Model(Operation::Image),
            "get_responses" => Self::Look,
            "call_mcp_tool" | "list_mcp_tools" => Self::Tool,
            "create_batch" | "retrieve_batch" | "cancel_batch" | "list_batches" => Self::Batch,
            "create_video" => Self::Model(Operation::Other),
            _ if is_housekeeping(base) => Self::Housekeeping,
            _ => Self::Model(Operation::Other),
        }
    }

    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Model(operation) => operation,
            Self::Look => Operation::Responses,
            Self::Batch | Self::Housekeeping | Self::Tool => Operation::Other,
        }
    }
}

fn is_housekeeping(base: &str) -> bool {
    let starts =
        ["create_", "get_", "list_", "retrieve_", "delete_", "cancel_", "file_", "_add_message", "add_message"];
    let ends = ["_retrieve", "_list", "_delete", "_content", "_create", "_update", "_retrieve_job"];
    starts.iter().any(|word| base.starts_with(word)) || ends.iter().any(|word| base.ends_with(word))
}

/// What `LiteLLM` adds to the id of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    None,
    /// Answered again from the gateway's own cache.
    CacheHit,
    /// The cost of a whole batch, written when a poll finds it complete.
    BatchCost,
    /// The cost of a response made in the background.
    BackgroundCost,
}

/// The id without its suffix, and which one it had.
pub(super) fn plain_id(id: Text<'_>) -> (Text<'_>, Suffix) {
    let (len, suffix) = if let Some(plain) = id.strip_suffix("_batch_cost") {
        (plain.len(), Suffix::BatchCost)
    } else if let Some(plain) = id.strip_suffix("_background_cost") {
        (plain.len(), Suffix::BackgroundCost)
    } else if let Some((plain, time)) = id.rsplit_once("_cache_hit")
        && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        (plain.len(), Suffix::CacheHit)
    } else {
        return (id, Suffix::None);
    };
    let plain = match id {
        Text::Borrowed(id) => Text::Borrowed(&id[..len]),
        Text::Owned(mut id) => {
            id.truncate(len);
            Text::Owned(id)
        }
    };
    (plain, suffix)
}

/// Provider names that `LiteLLM` writes in front of models; taken for the provider
/// only where neither the row nor the source names one.
const PROVIDERS: &[&str] = &[
    "anthropic",
    "azure",
    "azure_ai",
    "bedrock",
    "cerebras",
    "cohere",
    "databricks",
    "deepinfra",
    "deepseek",
    "fireworks_ai",
    "gemini",
    "groq",
    "hosted_vllm",
    "mistral",
    "nvidia_nim",
    "ollama",
    "openai",
    "openrouter",
    "perplexity",
    "replicate",
    "sambanova",
    "together_ai",
    "vertex_ai",
    "voyage",
    "watsonx",
    "xai",
];

/// The provider in front of a model, if it is one of `LiteLLM`'s.
pub(super) fn provider_in(model: &str) -> Option<&'static str> {
    let (prefix, _) = model.split_once('/')?;
    PROVIDERS.iter().copied().find(|provider| *provider == prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_types_are_known_with_and_without_their_a() {
        for (call_type, expect) in [
            ("acompletion", Call::Model(Operation::Chat)),
            ("completion", Call::Model(Operation::Chat)),
            ("anthropic_messages", Call::Model(Operation::Chat)),
            ("atext_completion", Call::Model(Operation::Completion)),
            ("aembedding", Call::Model(Operation::Embedding)),
            ("aresponses", Call::Model(Operation::Responses)),
            ("_arealtime", Call::Model(Operation::Other)),
            ("pass_through_endpoint", Call::Model(Operation::Other)),
            ("acreate_batch", Call::Batch),
            ("retrieve_batch", Call::Batch),
            ("aget_responses", Call::Look),
            ("afile_retrieve", Call::Housekeeping),
            ("acreate_file", Call::Housekeeping),
            ("call_mcp_tool", Call::Tool),
        ] {
            assert_eq!(Call::of(call_type), expect, "{call_type}");
        }
    }

    #[test]
    fn suffixes_go_and_what_looks_like_one_stays() {
        for (id, plain, suffix) in [
            ("chatcmpl-1", "chatcmpl-1", Suffix::None),
            ("chatcmpl-1_cache_hit1780300800.123", "chatcmpl-1", Suffix::CacheHit),
            ("chatcmpl-1_cache_hits", "chatcmpl-1_cache_hits", Suffix::None),
            ("batch_1_batch_cost", "batch_1", Suffix::BatchCost),
            ("resp_1_background_cost", "resp_1", Suffix::BackgroundCost),
        ] {
            assert_eq!(plain_id(id.into()), (plain.into(), suffix));
            assert_eq!(plain_id(id.to_owned().into()), (plain.into(), suffix));
        }
    }
}
