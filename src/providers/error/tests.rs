//! Vendor responses and their error classes.

use super::*;

#[test]
fn every_known_answer_has_its_class() {
    use ErrorClass as C;
    let table = [
        (Some(401), "authentication_error", "invalid x-api-key", C::Auth),
        (Some(401), "invalid_api_key", "Incorrect API key provided", C::Auth),
        (Some(403), "permission_error", "Your key may not use this", C::Auth),
        (Some(403), "model_not_found", "Project does not have access to model x", C::NotFoundModel),
        (Some(402), "billing_error", "", C::Billing),
        (Some(402), "", "Insufficient credits", C::Billing),
        (
            Some(400),
            "invalid_request_error",
            "Your credit balance is too low to access the API",
            C::Billing,
        ),
        (Some(429), "insufficient_quota", "You exceeded your current quota", C::Billing),
        (Some(429), "rate_limit_exceeded", "Rate limit reached", C::RateLimit),
        (Some(429), "rate_limit_error", "", C::RateLimit),
        (Some(429), "", "", C::RateLimit),
        (
            Some(429),
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details. Please retry in 31.5s.",
            C::RateLimit,
        ),
        (Some(429), "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", C::Billing),
        (Some(429), "usage_limit_reached", "The usage limit has been reached", C::RateLimit),
        (Some(402), "", "Weekly limit reached, it resets on Monday", C::RateLimit),
        (Some(400), "", "Concurrency limit exceeded for this key", C::RateLimit),
        (Some(529), "overloaded_error", "Overloaded", C::Overloaded),
        (Some(503), "", "Service Unavailable", C::Overloaded),
        (Some(500), "api_error", "Internal server error", C::Server),
        (Some(502), "", "bad gateway", C::Server),
        (Some(504), "timeout_error", "", C::Timeout),
        (Some(408), "", "", C::Timeout),
        (Some(413), "request_too_large", "", C::ContextTooLong),
        (
            Some(400),
            "context_length_exceeded",
            "This model's maximum context length is 8192",
            C::ContextTooLong,
        ),
        (
            Some(400),
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000",
            C::ContextTooLong,
        ),
        (
            Some(400),
            "invalid_request_error",
            "messages.1: Invalid `signature` in `thinking` block",
            C::Replay,
        ),
        (
            Some(400),
            "invalid_request_error",
            "max_tokens: Input should be an integer",
            C::InvalidRequest,
        ),
        (Some(422), "", "Extra inputs are not permitted", C::InvalidRequest),
        (Some(404), "not_found_error", "model: claude-nope", C::NotFoundModel),
        (Some(404), "", "model 'llama9' not found", C::NotFoundModel),
        (Some(404), "", "404 page not found", C::Garbage),
        (Some(400), "content_policy_violation", "", C::ContentRefused),
        (Some(302), "", "", C::Garbage),
        (None, "overloaded_error", "Overloaded", C::Overloaded),
        (None, "api_error", "Internal server error", C::Server),
        (None, "rate_limit_error", "", C::RateLimit),
    ];
    for (status, code, message, class) in table {
        assert_eq!(classify(status, code, message), class, "{status:?} {code} {message}");
    }
}

#[test]
fn only_what_may_succeed_is_tried_again() {
    let limited = ProviderError::reported(429, "rate_limit_error", "slow down");
    let limited = limited.with_retry_after(Some(Duration::from_secs(17)));
    assert_eq!(limited.next_attempt(1, 0), Next::Wait(Duration::from_secs(17)));
    let long = limited.with_retry_after(Some(Duration::from_secs(3_600)));
    assert_eq!(long.next_attempt(1, 0), Next::GiveUp(Some(Duration::from_secs(3_600))));
    assert_eq!(ProviderError::reported(401, "", "no").next_attempt(1, 0), Next::GiveUp(None));
    let broken = ProviderError::reported(500, "", "no");
    assert!(
        matches!(broken.next_attempt(1, 0), Next::Wait(_))
            && broken.next_attempt(3, 0) == Next::GiveUp(None)
    );
}

#[test]
fn messages_are_one_short_line() {
    let error = ProviderError::reported(400, "", &format!("line\n  two {}", "x".repeat(2_000)));
    assert!(error.message.starts_with("line two xxx"));
    assert!(error.message.len() <= 600);
    assert_eq!(
        ProviderError::reported(500, "", "").message,
        "the provider answered 500 without a reason"
    );
}
