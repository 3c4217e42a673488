//! Well-known providers, with what is needed to connect each.

use providers::oauth::Vendor;

use super::model::Wire;

/// Whether a key is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNeed {
    Needed,
    /// A self-hosted server may require one.
    Optional,
}

#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Word in URLs.
    pub slug: &'static str,
    pub name: &'static str,
    /// Group in the list.
    pub group: &'static str,
    /// One line in the list.
    pub text: &'static str,
    pub wire: Wire,
    /// Usual address; empty for the maker's own.
    pub address: &'static str,
    /// Whether the form asks for the address.
    pub asks_address: bool,
    pub key: KeyNeed,
    /// Prefix of its keys.
    pub key_shape: &'static str,
    /// Where to create a key, or what to know about it.
    pub key_hint: &'static str,
    /// Maker to sign in with instead of a key.
    pub sign_in: Option<Vendor>,
}

const RECOMMENDED: &str = "Recommended";
const OWN: &str = "Run your own";
const OTHER: &str = "Everything else";

/// In list order.
pub const PRESETS: &[Preset] = &[
    Preset {
        slug: "anthropic",
        name: "Anthropic",
        group: RECOMMENDED,
        text: "Claude models with an API key",
        wire: Wire::Anthropic,
        address: "",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-ant-…",
        key_hint: "Create one at console.anthropic.com > API keys. You pay per use.",
        sign_in: None,
    },
    Preset {
        slug: "openai",
        name: "OpenAI",
        group: RECOMMENDED,
        text: "GPT models with an API key",
        wire: Wire::OpenaiResponses,
        address: "",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-…",
        key_hint: "Create one at platform.openai.com > API keys. You pay per use.",
        sign_in: None,
    },
    Preset {
        slug: "chatgpt",
        name: "ChatGPT",
        group: RECOMMENDED,
        text: "Sign in with your ChatGPT subscription",
        wire: Wire::OpenaiResponses,
        address: "",
        asks_address: false,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "",
        sign_in: Some(Vendor::ChatGpt),
    },
    Preset {
        slug: "gemini",
        name: "Google Gemini",
        group: RECOMMENDED,
        text: "Gemini models with an API key",
        wire: Wire::Gemini,
        address: "",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "AIza…",
        key_hint: "Create one at aistudio.google.com > API keys.",
        sign_in: None,
    },
    Preset {
        slug: "openrouter",
        name: "OpenRouter",
        group: RECOMMENDED,
        text: "Hundreds of models with one key",
        wire: Wire::OpenaiChat,
        address: "https://openrouter.ai/api/v1",
        asks_address: false,
        key: KeyNeed::Needed,
        key_shape: "sk-or-…",
        key_hint: "Create one at openrouter.ai > Keys.",
        sign_in: None,
    },
    Preset {
        slug: "ollama",
        name: "Ollama",
        group: OWN,
        text: "Models on your own machine; nothing leaves it",
        wire: Wire::Ollama,
        address: "http://127.0.0.1:11434",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "Usually none.",
        sign_in: None,
    },
    Preset {
        slug: "lm-studio",
        name: "LM Studio",
        group: OWN,
        text: "Start its local server first",
        wire: Wire::OpenaiChat,
        address: "http://127.0.0.1:1234",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "Usually none.",
        sign_in: None,
    },
    Preset {
        slug: "vllm",
        name: "vLLM or llama.cpp",
        group: OWN,
        text: "Your own server with the OpenAI protocol",
        wire: Wire::OpenaiChat,
        address: "http://127.0.0.1:8000/v1",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "The key the server was started with, if any.",
        sign_in: None,
    },
    Preset {
        slug: "copilot",
        name: "GitHub Copilot",
        group: OTHER,
        text: "Sign in with your Copilot subscription and a code",
        wire: Wire::OpenaiChat,
        address: "",
        asks_address: false,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "",
        sign_in: Some(Vendor::Copilot),
    },
    Preset {
        slug: "openai-compatible",
        name: "OpenAI-compatible",
        group: OTHER,
        text: "Any server that speaks Chat Completions: DeepSeek, Groq, Mistral, xAI, a gateway",
        wire: Wire::OpenaiChat,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "Leave empty if the server doesn't need one.",
        sign_in: None,
    },
    Preset {
        slug: "responses-compatible",
        name: "Responses-compatible",
        group: OTHER,
        text: "Any server that speaks OpenAI Responses",
        wire: Wire::OpenaiResponses,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "Leave empty if the server doesn't need one.",
        sign_in: None,
    },
    Preset {
        slug: "gemini-compatible",
        name: "Gemini-compatible",
        group: OTHER,
        text: "A gateway that speaks Google's own protocol",
        wire: Wire::Gemini,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "Leave empty if the server doesn't need one.",
        sign_in: None,
    },
    Preset {
        slug: "anthropic-compatible",
        name: "Anthropic-compatible",
        group: OTHER,
        text: "A gateway that speaks the Messages protocol",
        wire: Wire::Anthropic,
        address: "",
        asks_address: true,
        key: KeyNeed::Optional,
        key_shape: "",
        key_hint: "Leave empty if the server doesn't need one.",
        sign_in: None,
    },
];

#[must_use]
pub fn find(slug: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.slug == slug)
}

#[cfg(test)]
mod tests {
    use super::PRESETS;
    use providers::base;

    #[test]
    fn every_address_that_is_offered_can_be_used() {
        for preset in PRESETS {
            base::normalise(preset.wire.into(), preset.address).unwrap();
        }
    }
}
