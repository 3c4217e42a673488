//! Differences between compatible servers. Known servers are identified by address; other differences are learned from
//! rejections, once per feature, and remembered per model.

use crate::base::{Base, Server};
use crate::error::{ErrorClass, ProviderError};

/// How a server expects requests for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// Field of the output limit.
    pub max_tokens: MaxTokens,
    /// Whether usage can be requested in a stream.
    pub stream_usage: bool,
    /// How thinking is requested.
    pub reasoning: Reasoning,
    /// Field in which earlier thinking must be sent back.
    pub replay: Option<Replay>,
    /// Whether temperature and other sampling parameters are supported.
    pub temperature: bool,
    /// Whether stop sequences are supported.
    pub stop: bool,
    /// Whether the vendor's own restrictions on tools apply.
    pub maker: bool,
    /// Whether tools are supported only without thinking.
    pub tools_without_thinking: bool,
    /// Whether `user` and `prompt_cache_key` are supported.
    pub hints: bool,
    /// Whether cache marks are passed on to the vendor.
    pub cache_marks: bool,
    /// Whether call ids must be nine letters or digits.
    pub short_ids: bool,
    /// Whether the content may contain thinking tags.
    pub think_tags: bool,
    learned: u8,
}

/// Field of the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxTokens {
    Legacy,
    Completion,
}

/// How thinking is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasoning {
    Never,
    /// `reasoning_effort`, for models known to support it.
    Known,
    /// `reasoning_effort`, for every model if thinking is requested.
    Asked,
    /// `reasoning: {effort}`.
    Object,
    /// `thinking: {type}`.
    Switch,
}

/// Field in which earlier thinking is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    Content,
    Plain,
}

impl Quirks {
    /// What is known about a server.
    pub(super) fn of(base: &Base) -> Self {
        let plain = Self {
            max_tokens: MaxTokens::Legacy,
            stream_usage: true,
            reasoning: Reasoning::Known,
            replay: None,
            temperature: true,
            stop: true,
            maker: false,
            tools_without_thinking: false,
            hints: false,
            cache_marks: false,
            short_ids: false,
            think_tags: true,
            learned: 0,
        };
        let completion = Self { max_tokens: MaxTokens::Completion, think_tags: false, ..plain };
        match base.server {
            Server::OpenAi | Server::Azure => Self { maker: true, hints: true, ..completion },
            Server::XAi => completion,
            Server::Groq => Self { max_tokens: MaxTokens::Completion, ..plain },
            Server::OpenRouter => Self {
                reasoning: Reasoning::Object,
                replay: Some(Replay::Plain),
                cache_marks: true,
                think_tags: false,
                ..plain
            },
            Server::DeepSeek => Self {
                reasoning: Reasoning::Switch,
                replay: Some(Replay::Content),
                think_tags: false,
                ..plain
            },
            Server::Moonshot => Self { replay: Some(Replay::Content), think_tags: false, ..plain },
            Server::Mistral => Self { stream_usage: false, short_ids: true, ..plain },
            Server::Google | Server::Copilot => Self { think_tags: false, ..plain },
            Server::Ollama => Self { reasoning: Reasoning::Asked, ..plain },
            Server::LmStudio
            | Server::Vllm
            | Server::ChatGpt
            | Server::Other
            | Server::Anthropic => plain,
        }
    }

    /// Changes the feature that a rejection complains about. Returns `false` if there is none, or if it was changed
    /// already.
    pub(super) fn learn(&mut self, error: &ProviderError) -> bool {
        if error.class != ErrorClass::InvalidRequest {
            return false;
        }
        let message = error.message.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| message.contains(w));
        if has(&["max_completion_tokens", "max_tokens"])
            && has(&[
                "unsupported",
                "not supported",
                "extra",
                "unknown",
                "unrecognized",
                "not permitted",
                "instead",
            ])
            && self.first(1)
        {
            self.max_tokens = match self.max_tokens {
                MaxTokens::Legacy => MaxTokens::Completion,
                MaxTokens::Completion => MaxTokens::Legacy,
            };
            return true;
        }
        if has(&["stream_options"]) && self.first(2) {
            self.stream_usage = false;
            return true;
        }
        if has(&["function tools with reasoning_effort"]) && self.first(4) {
            self.tools_without_thinking = true;
            return true;
        }
        if has(&["reasoning", "thinking"]) && self.first(8) {
            self.reasoning = Reasoning::Never;
            return true;
        }
        if has(&["temperature", "top_p"]) && self.first(16) {
            self.temperature = false;
            return true;
        }
        if has(&["'stop'", "\"stop\"", "`stop`"]) && self.first(32) {
            self.stop = false;
            return true;
        }
        if has(&["prompt_cache_key", "'user'"]) && self.first(64) {
            self.hints = false;
            return true;
        }
        false
    }

    fn first(&mut self, bit: u8) -> bool {
        let new = self.learned & bit == 0;
        self.learned |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Wire, normalise};

    fn quirks(address: &str) -> Quirks {
        Quirks::of(&normalise(Wire::OpenAiChat, address).expect("an address"))
    }

    #[test]
    fn the_address_decides_the_first_try() {
        assert_eq!(quirks("").max_tokens, MaxTokens::Completion);
        assert_eq!(quirks("localhost:11434").max_tokens, MaxTokens::Legacy);
        assert_eq!(quirks("openrouter.ai").reasoning, Reasoning::Object);
        assert!(!quirks("api.mistral.ai").stream_usage);
    }

    #[test]
    fn each_point_is_learned_once() {
        let mut quirks = quirks("llm.example.com");
        let refused = |text: &str| ProviderError::reported(400, "invalid_request_error", text);
        let tokens = refused(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        );
        assert!(quirks.learn(&tokens));
        assert_eq!(quirks.max_tokens, MaxTokens::Completion);
        assert!(!quirks.learn(&tokens), "it did not help, so the refusal is the answer");
        assert!(quirks.learn(&refused("Unrecognized request argument supplied: stream_options")));
        assert!(!quirks.stream_usage);
        assert!(quirks.learn(&refused(
            "Function tools with reasoning_effort are not supported for gpt-7 in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        )));
        assert!(quirks.tools_without_thinking);
        assert!(quirks.learn(&refused("\"llama3\" does not support thinking")));
        assert_eq!(quirks.reasoning, Reasoning::Never);
        assert!(quirks.learn(&refused(
            "Unsupported value: 'temperature' does not support 0.2 with this model."
        )));
        assert!(!quirks.learn(&refused("messages must not be empty")));
        assert!(
            !quirks.learn(&refused("max_tokens is too large: 99999")),
            "a limit is no missing field"
        );
        assert!(!quirks.learn(&ProviderError::reported(401, "", "temperature")));
    }
}
