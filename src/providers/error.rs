//! Provider errors, in classes that determine the reaction. A single table derives the class from status, code and
//! message; no adapter has its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::Received;
use super::pause;
use kernel::{Problem, ProblemKind};
use net::retry::{Backoff, Next};

/// Class of a failure. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorClass {
    /// Rate limit for requests or tokens: wait, then retry.
    RateLimit,
    /// The provider is overloaded: wait, then retry.
    Overloaded,
    /// Server error: retry soon.
    Server,
    /// No connection, or it broke before an answer: retry soon.
    Network,
    /// Timeout: retry soon.
    Timeout,
    /// The answer was interrupted before its final event.
    Interrupted,
    /// The answer violates the protocol.
    Garbage,
    /// The key is missing, wrong, revoked or lacks a permission: a person must act.
    Auth,
    /// No credit: a person must pay.
    Billing,
    /// The conversation exceeds the context window: compact it.
    ContextTooLong,
    /// Thinking or tool results in the conversation were rejected: rebuild it, then retry.
    Replay,
    /// Otherwise invalid; the same request will fail again.
    InvalidRequest,
    /// The model does not exist or is not available for this key: choose another.
    NotFoundModel,
    /// The provider refused the content.
    ContentRefused,
    /// The key or its account was disabled by the provider: retries are useless.
    AuthPermanent,
    /// Not signed in, or not any more: a person must sign in.
    SignIn,
    /// The model returned no text and no call, also after a reminder: another model may answer.
    EmptyAnswer,
}

impl ErrorClass {
    pub const ALL: [Self; 17] = [
        Self::RateLimit,
        Self::Overloaded,
        Self::Server,
        Self::Network,
        Self::Timeout,
        Self::Interrupted,
        Self::Garbage,
        Self::Auth,
        Self::Billing,
        Self::ContextTooLong,
        Self::Replay,
        Self::InvalidRequest,
        Self::NotFoundModel,
        Self::ContentRefused,
        Self::AuthPermanent,
        Self::SignIn,
        Self::EmptyAnswer,
    ];

    /// Parses a class name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }

    /// Stable name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Server => "server_error",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Garbage => "garbage",
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::ContextTooLong => "context_too_long",
            Self::Replay => "replay_invalid",
            Self::InvalidRequest => "invalid_request",
            Self::NotFoundModel => "model_not_found",
            Self::ContentRefused => "content_refused",
            Self::AuthPermanent => "auth_permanent",
            Self::SignIn => "sign_in_needed",
            Self::EmptyAnswer => "empty_answer",
        }
    }

    /// What happened and what helps, for people.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::RateLimit => "The provider is rate-limiting calls.",
            Self::Overloaded => "The provider is overloaded.",
            Self::Server => "The provider returned an error.",
            Self::Network => "Couldn't reach the provider. Check the address and the network.",
            Self::Timeout => "The provider didn't answer in time.",
            Self::Interrupted => "The answer stopped before it was complete.",
            Self::Garbage => "The server sent an unexpected answer. Check the base URL.",
            Self::Auth => "The provider rejected the key. Enter a different key.",
            Self::Billing => "The provider account has no credit left.",
            Self::ContextTooLong => "The conversation is too long for this model.",
            Self::Replay => {
                "The provider rejects earlier thinking. HQ resends the conversation without it."
            }
            Self::InvalidRequest => "The provider refused the request.",
            Self::NotFoundModel => {
                "The provider doesn't know this model, or the key has no access to it."
            }
            Self::ContentRefused => "The provider declined to answer this.",
            Self::AuthPermanent => {
                "The provider disabled the key or its account. Use a different key."
            }
            Self::SignIn => "Sign in again on the connection's page.",
            Self::EmptyAnswer => "The model returned an empty answer twice.",
        }
    }

    /// What happened, what helps, and the provider's message, for people. Messages about defects that HQ itself
    /// detected are omitted.
    #[must_use]
    pub fn explained(self, message: &str) -> String {
        let (advice, message) = (self.advice(), message.trim());
        if message.is_empty()
            || matches!(self, Self::Interrupted | Self::Garbage | Self::EmptyAnswer)
        {
            return advice.to_owned();
        }
        let end = if message.ends_with(['.', '!', '?', '…']) { "" } else { "." };
        format!("{advice} {}{end}", kernel::text::capitalized(message))
    }

    /// What happened, as a phrase that follows the provider's name.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::RateLimit => "is rate-limiting calls",
            Self::Overloaded => "is overloaded",
            Self::Server => "returned an error",
            Self::Network => "couldn't be reached",
            Self::Timeout => "didn't answer in time",
            Self::Interrupted => "broke off",
            Self::Garbage => "sent an unexpected answer",
            Self::Auth => "rejected the key",
            Self::Billing => "has no credit left",
            Self::ContextTooLong => "has no room left for this conversation",
            Self::Replay => "rejects earlier thinking",
            Self::InvalidRequest => "refused the request",
            Self::NotFoundModel => "doesn't know the model",
            Self::ContentRefused => "declined to answer",
            Self::AuthPermanent => "disabled the key",
            Self::SignIn => "needs a new sign-in",
            Self::EmptyAnswer => "returned an empty answer",
        }
    }

    /// Returns `true` if the same request may succeed later.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimit
                | Self::Overloaded
                | Self::Server
                | Self::Network
                | Self::Timeout
                | Self::Interrupted
                | Self::Garbage
        )
    }

    /// Returns `true` if waiting helps, as opposed to an immediate retry.
    #[must_use]
    pub fn is_wait(self) -> bool {
        matches!(self, Self::RateLimit | Self::Overloaded)
    }
}

impl std::fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// Class of the failure.
    pub class: ErrorClass,
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Error message, in the provider's words if available; contains no key.
    pub message: String,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The provider's request id, for its support.
    pub request_id: Option<String>,
    /// What had arrived before an interruption.
    pub received: Option<Box<Received>>,
    /// Whether the server may have started, and billed, the work.
    pub sent: bool,
}

impl ProviderError {
    /// A failure without a response.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            status: None,
            message: message.into(),
            retry_after: None,
            request_id: None,
            received: None,
            sent: true,
        }
    }

    /// A failure reported by the provider.
    #[must_use]
    pub fn reported(status: u16, code: &str, message: &str) -> Self {
        let class = classify(Some(status), code, message);
        let shortened = shorten(message);
        let message = match (shortened.is_empty(), code.is_empty()) {
            (false, _) => shortened,
            (true, false) => format!("the provider answered {status} ({code})"),
            (true, true) => format!("the provider answered {status} without a reason"),
        };
        Self { status: Some(status), sent: status < 400, ..Self::new(class, message) }
    }

    /// A failure reported within a stream.
    #[must_use]
    pub fn in_stream(code: &str, message: &str) -> Self {
        let class = classify(None, code, message);
        let shortened = shorten(message);
        let wait = pause::in_words(&shortened).filter(|_| class.is_wait());
        let shortened =
            if shortened.is_empty() { format!("the provider stopped ({code})") } else { shortened };
        Self::new(class, shortened).with_retry_after(wait)
    }

    /// An interrupted answer.
    #[must_use]
    pub fn interrupted(why: impl Into<String>) -> Self {
        Self::new(ErrorClass::Interrupted, why)
    }

    /// An answer that violates the protocol.
    #[must_use]
    pub fn garbage(why: impl Into<String>) -> Self {
        Self::new(ErrorClass::Garbage, why)
    }

    /// An answer, or a part of it, that cannot be parsed. The parser's error goes to the log.
    #[must_use]
    pub fn unreadable(what: &str, why: &dyn std::fmt::Display) -> Self {
        tracing::info!(%why, "{what} of a provider can't be read");
        Self::garbage(format!("couldn't read {what}"))
    }

    /// A request that the protocol cannot express.
    #[must_use]
    pub fn unwritable(why: impl std::fmt::Display) -> Self {
        Self::new(ErrorClass::InvalidRequest, format!("couldn't write the request: {why}"))
    }

    /// Adds what had arrived.
    #[must_use]
    pub fn with_received(mut self, received: Received) -> Self {
        self.received = Some(Box::new(received));
        self
    }

    /// Sets the requested pause.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Returns `true` if the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.class.retryable()
    }

    /// Returns `true` if something had arrived that a person may have seen or that will be billed.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.received.as_ref().is_some_and(|r| !r.is_empty())
    }

    /// Whether and when to retry after failed attempt number `failed`, counted from 1. Honours the provider's requested
    /// pause; `random` is any random number, for the jitter.
    #[must_use]
    pub fn next_attempt(&self, failed: u32, random: u64) -> Next {
        match self.class {
            ErrorClass::RateLimit | ErrorClass::Overloaded => {
                Backoff::OVERLOAD.next(failed, self.retry_after, random)
            }
            class if class.retryable() => Backoff::TRANSIENT.next(failed, self.retry_after, random),
            _ => Next::GiveUp(None),
        }
    }
}

impl Problem for ProviderError {
    fn code(&self) -> &'static str {
        self.class.word()
    }

    fn kind(&self) -> ProblemKind {
        match self.class {
            ErrorClass::RateLimit => ProblemKind::Limited,
            ErrorClass::Overloaded | ErrorClass::Timeout | ErrorClass::Network => {
                ProblemKind::Unavailable
            }
            ErrorClass::ContextTooLong
            | ErrorClass::InvalidRequest
            | ErrorClass::NotFoundModel
            | ErrorClass::ContentRefused => ProblemKind::Invalid,
            ErrorClass::Server
            | ErrorClass::Interrupted
            | ErrorClass::Garbage
            | ErrorClass::Auth
            | ErrorClass::AuthPermanent
            | ErrorClass::SignIn
            | ErrorClass::Billing
            | ErrorClass::EmptyAnswer
            | ErrorClass::Replay => ProblemKind::Upstream,
        }
    }
}

/// Message parts that take precedence over most statuses, most specific first.
const WORDS: &[(ErrorClass, &[&str])] = &[
    (
        ErrorClass::Billing,
        &[
            "insufficient_quota",
            "billing_error",
            "insufficient credits",
            "insufficient balance",
            "credit balance is too low",
            "exceeded your current quota",
            "billing_not_active",
            "billing hard limit",
            "credits are depleted",
            "used all available credits",
            "payment required",
        ],
    ),
    (
        ErrorClass::ContextTooLong,
        &[
            "context_length_exceeded",
            "context length exceeded",
            "maximum context length",
            "prompt is too long",
            "prompt too long",
            "input token count exceeds",
            "request_too_large",
            "exceed context limit",
            "exceeds the context window",
            "context window exceeded",
            "exceeds the available context size",
            "model_context_window_exceeded",
            "greater than the context length",
            "input is too long",
            "input length exceeds",
            "context_window_exceeded",
            "exceeds the maximum number of tokens",
            "context length of only",
        ],
    ),
    (
        ErrorClass::Replay,
        &[
            "invalid `signature` in `thinking`",
            "invalid signature in thinking",
            "`thinking` or `redacted_thinking` blocks",
            "thinking blocks cannot be modified",
            "expected `thinking`",
            "`tool_use` ids were found without `tool_result`",
            "unexpected `tool_use_id`",
            "must be followed by tool messages",
            "must be a response to a preceding message with 'tool_calls'",
            "reasoning_content in the thinking mode must be passed back",
            "without its required following item",
            "without its required 'reasoning' item",
            "invalid_encrypted_content",
            "encrypted content could not be",
            "missing a thought_signature",
            "invalid thought_signature",
            "thought signature is not valid",
            "corrupted thought signature",
            "no tool call found for function call output",
            "no tool output found for function call",
            "number of function response parts",
        ],
    ),
    (
        ErrorClass::AuthPermanent,
        &[
            "account_deactivated",
            "has been revoked",
            "organization has been disabled",
            "account has been deactivated",
            "workspace has been archived",
        ],
    ),
    (
        ErrorClass::Auth,
        &[
            "invalid_api_key",
            "invalid api key",
            "incorrect api key",
            "authentication_error",
            "permission_error",
            "invalid x-api-key",
            "no auth credentials",
            "api key not valid",
            "unauthorized",
        ],
    ),
    (
        ErrorClass::NotFoundModel,
        &[
            "model_not_found",
            "model not found",
            "does not exist or you do not have access",
            "is not a valid model",
            "no such model",
            "unknown model",
            "no endpoints found",
            "try pulling it first",
            "is not found for api version",
            "deploymentnotfound",
        ],
    ),
    (
        ErrorClass::ContentRefused,
        &[
            "content_policy",
            "content_filter",
            "content policy",
            "flagged by moderation",
            "was flagged for",
            "potentially violating",
            "data_inspection_failed",
        ],
    ),
    (
        ErrorClass::Overloaded,
        &["overloaded", "engine_overloaded", "at capacity", "server is busy", "model is loading"],
    ),
    (
        ErrorClass::RateLimit,
        &[
            "rate_limit",
            "rate limit",
            "too many requests",
            "resource_exhausted",
            "throttl",
            "tokens per min",
            "requests per min",
            "requests per day",
            "usage limit",
            "usage_limit",
            "daily limit",
            "weekly limit",
            "monthly limit",
            "limit will reset",
            "quota exceeded",
            "quota_exceeded",
            "concurrency limit",
            "concurrent requests",
            "model_cooldown",
        ],
    ),
    (ErrorClass::Timeout, &["timeout_error", "timed out", "deadline_exceeded"]),
];

/// Classifies a failure by status, code and message.
#[must_use]
pub fn classify(status: Option<u16>, code: &str, message: &str) -> ErrorClass {
    let lower = format!("{code} {message}").to_lowercase();
    let by_words = WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|w| lower.contains(w)))
        .map(|(class, _)| *class);
    // Google calls all of its limits quotas, including those per minute.
    let is_googles =
        lower.starts_with("resource_exhausted") && lower.contains("your current quota");
    let by_words = if is_googles { Some(ErrorClass::RateLimit) } else { by_words };
    match (status, by_words) {
        // Messages may quote user text, so a clear status takes precedence.
        (Some(401 | 403), Some(ErrorClass::Billing)) => ErrorClass::Billing,
        (Some(401 | 403), Some(ErrorClass::NotFoundModel)) => ErrorClass::NotFoundModel,
        (Some(403), Some(ErrorClass::ContentRefused)) => ErrorClass::ContentRefused,
        (Some(401 | 403), Some(ErrorClass::AuthPermanent)) => ErrorClass::AuthPermanent,
        (Some(401 | 403), _) => ErrorClass::Auth,
        (Some(402), Some(ErrorClass::RateLimit)) => ErrorClass::RateLimit,
        (Some(402), _) => ErrorClass::Billing,
        (Some(429), Some(ErrorClass::Billing)) => ErrorClass::Billing,
        (Some(429), Some(ErrorClass::Overloaded)) => ErrorClass::Overloaded,
        (Some(429), _) => ErrorClass::RateLimit,
        (Some(503 | 529), Some(ErrorClass::RateLimit)) => ErrorClass::RateLimit,
        (Some(503 | 529), _) => ErrorClass::Overloaded,
        (Some(408 | 504 | 524), _) => ErrorClass::Timeout,
        (Some(413), _) => ErrorClass::ContextTooLong,
        (Some(500..=599), Some(class @ (ErrorClass::ContextTooLong | ErrorClass::Overloaded))) => {
            class
        }
        (Some(500..=599), _) => ErrorClass::Server,
        (_, Some(class)) => class,
        (Some(404), None) => {
            if lower.contains("model") {
                ErrorClass::NotFoundModel
            } else {
                ErrorClass::Garbage
            }
        }
        (Some(400..=499), None) => ErrorClass::InvalidRequest,
        (Some(_), None) => ErrorClass::Garbage,
        (None, None) => match code {
            "invalid_request_error" | "invalid_request" => ErrorClass::InvalidRequest,
            "not_found_error" => ErrorClass::NotFoundModel,
            _ => ErrorClass::Server,
        },
    }
}

/// Messages are shown and stored, so they are shortened to one line.
fn shorten(message: &str) -> String {
    let one_line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    kernel::text::cut(&one_line, 600).to_owned()
}

#[cfg(test)]
mod tests;
