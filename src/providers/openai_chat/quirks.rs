//! Where compatible servers differ. What is known by the address is a table; what is not is learned from the one
//! refusal that says so, once for each point, and remembered for the model.

use crate::base::{Base, Server};
use crate::error::{ErrorClass, ProviderError};

/// How one server wants one model to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// The field of the output limit.
    pub max_tokens: MaxTokens,
    /// Whether usage may be asked for in a stream.
    pub stream_usage: bool,
    /// How thinking is asked for.
    pub reasoning: Reasoning,
    /// The field in which earlier thinking has to be sent back.
    pub replay: Option<Replay>,
    /// Whether a temperature is taken, and the other ways to sample.
    pub temperature: bool,
    /// Whether stop texts are taken.
    pub stop: bool,
    /// Whether the maker's limits on tools hold here.
    pub maker: bool,
    /// Whether tools are taken only without thinking.
    pub tools_without_thinking: bool,
    /// Whether `user` and `prompt_cache_key` are taken.
    pub hints: bool,
    /// Whether cache marks are passed on to the maker.
    pub cache_marks: bool,
    /// Whether ids of calls have to be nine letters or digits.
    pub short_ids: bool,
    /// Whether thinking may stand in tags in the content.
    pub think_tags: bool,
    learned: u8,
}

/// The field of the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxTokens {
    Legacy,
    Completion,
}

/// How thinking is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasoning {
    /// Not at all.
    Never,
    /// `reasoning_effort`, for models of which we know that they take it.
    Known,
    /// `reasoning_effort`, for every model when it is asked to think.
    Asked,
    /// `reasoning: {effort}`.
    Object,
    /// `thinking: {type}`.
    Switch,
}

/// The field in which earlier thinking is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    Content,
    Plain,
}

impl Quirks {
    /// What is known of a server.
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

    /// Changes what a refusal complains about. False when there is nothing to change, or it was changed before
    /// and did not help.
    pub(super) fn learn(&mut self, error: &ProviderError) -> bool {
        if error.class != ErrorClass::InvalidRequest {
            return false;
        }
        let said = error.message.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
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
