//! Every failure of a provider, and what the caller gets.

use futures_util::future::join_all;
use net::retry::Next;

use super::*;

#[tokio::test]
async fn every_refusal_has_its_class() {
    let table = [
        (401, "authentication_error", "invalid x-api-key", ErrorClass::Auth),
        (402, "billing_error", "no credit", ErrorClass::Billing),
        (403, "permission_error", "not for you", ErrorClass::Auth),
        (404, "not_found_error", "model: mock", ErrorClass::NotFoundModel),
        (400, "invalid_request_error", "messages: may not be empty", ErrorClass::InvalidRequest),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            ErrorClass::ContextTooLong,
        ),
        (413, "request_too_large", "too large", ErrorClass::ContextTooLong),
        (429, "rate_limit_error", "slow down", ErrorClass::RateLimit),
        (429, "insufficient_quota", "You exceeded your current quota", ErrorClass::Billing),
        (500, "api_error", "oh no", ErrorClass::Server),
        (529, "overloaded_error", "Overloaded", ErrorClass::Overloaded),
        (503, "", "", ErrorClass::Overloaded),
        (504, "timeout_error", "too slow", ErrorClass::Timeout),
        (
            401,
            "account_deactivated",
            "Your account has been deactivated",
            ErrorClass::AuthPermanent,
        ),
        (
            400,
            "invalid_request_error",
            "messages.1: Invalid `signature` in `thinking` block",
            ErrorClass::Replay,
        ),
        (400, "content_filter", "It was flagged by moderation", ErrorClass::ContentRefused),
    ];
    for wire in ALL {
        for (status, code, message, class) in table {
            let error = fails(wire, Turn::error(status, code, message)).await;
            assert_eq!(
                (error.class, error.status),
                (class, Some(status)),
                "{wire:?} {status} {code}"
            );
            assert!(!error.has_content());
        }
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    for wire in ALL {
        let limited = Turn::error(429, "rate_limit_error", "slow down").header("retry-after", "7");
        let error = fails(wire, limited.clone().header("request-id", "req_1")).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(error.request_id.as_deref(), Some("req_1"));
        assert_eq!(error.next_attempt(1, 0), Next::Wait(Duration::from_secs(7)));
        let error = fails(wire, limited.header("retry-after-ms", "1500")).await;
        assert_eq!(error.retry_after, Some(Duration::from_millis(1_500)));
        let spent = Turn::error(429, "rate_limit_error", "slow down")
            .header("x-ratelimit-remaining-requests", "0")
            .header("x-ratelimit-reset-requests", "1m2s");
        assert_eq!(fails(wire, spent).await.retry_after, Some(Duration::from_secs(62)));
        let told = Turn::error(429, "rate_limit_error", "Please try again in 2s.");
        assert_eq!(fails(wire, told).await.retry_after, Some(Duration::from_secs(2)));
    }
}

#[tokio::test]
async fn a_stream_without_its_final_event_is_never_done() {
    for wire in ALL {
        for turn in [Turn::text("Half a").cut(), Turn::text("Half a").broken()] {
            let error = fails(wire, turn.and_call("read", json!({"path": "a"}))).await;
            assert_eq!(error.class, ErrorClass::Interrupted, "{wire:?} {error}");
            assert!(error.retryable() && error.has_content());
            let received = error.received.expect("what had come");
            assert_eq!(received.text(), "Half a");
            assert!(received.parts.iter().any(|p| matches!(p, Part::ToolCall { .. })));
        }
        let error = fails(wire, Turn::raw("text/event-stream", "")).await;
        assert_eq!(error.class, ErrorClass::Interrupted);
        assert!(!error.has_content());
    }
}

#[tokio::test]
async fn an_error_in_the_middle_keeps_what_had_come() {
    for wire in ALL {
        for (code, message, class) in [
            ("overloaded_error", "Overloaded", ErrorClass::Overloaded),
            ("rate_limit_error", "Rate limit reached", ErrorClass::RateLimit),
            ("insufficient_quota", "You exceeded your current quota", ErrorClass::Billing),
            ("context_length_exceeded", "The prompt is too long", ErrorClass::ContextTooLong),
            ("content_filter", "It was flagged by moderation", ErrorClass::ContentRefused),
            ("api_error", "Oh no", ErrorClass::Server),
        ] {
            for size in [Some(1), Some(5), None] {
                let turn = Turn::text("Half a").failing(code, message);
                let error =
                    fails(wire, size.map_or(turn.clone(), |size| turn.in_pieces(size))).await;
                assert_eq!((error.class, error.status), (class, None), "{wire:?} {code} {size:?}");
                assert_eq!(error.received.map(|r| r.text()), Some("Half a".into()));
            }
        }
    }
}

#[tokio::test]
async fn nonsense_is_told_from_answers() {
    for wire in ALL {
        for turn in [
            Turn::garbage(),
            Turn::raw("application/x-ndjson", "{\"certainly\": not json\n"),
            Turn::raw("text/html", "<html>Welcome</html>"),
            Turn::raw("application/json", "{\"hello\": "),
            Turn::error(302, "", "moved"),
        ] {
            let error = fails(wire, turn).await;
            // A line without a line end may have been cut off; nothing else can be an answer.
            let cut = wire == Wire::Ollama && error.class == ErrorClass::Interrupted;
            assert!(cut || error.class == ErrorClass::Garbage, "{wire:?} {error}");
        }
    }
}

#[tokio::test]
async fn one_event_and_one_answer_have_a_largest_size() {
    for wire in ALL {
        let size = match wire {
            Wire::Anthropic | Wire::OpenAiChat => 1_100_000,
            _ => 17 * 1024 * 1024,
        };
        let endless = format!("data: \"{}\n\n", "x".repeat(size));
        let large = Limits { total: 64 * 1024 * 1024, ..limits() };
        let server = ModelServer::start().await;
        server.push(Turn::raw("text/event-stream", &endless));
        let error = ask(&*provider_with(wire, &server, large)).await.0.expect_err("it fails");
        assert_eq!(error.class, ErrorClass::Garbage, "{wire:?} {error}");
        let server = ModelServer::start().await;
        server.push(Turn::text(&"word ".repeat(2_000)));
        let small = Limits { total: 10_000, ..limits() };
        let error = ask(&*provider_with(wire, &server, small)).await.0.expect_err("it fails");
        assert_eq!(error.class, ErrorClass::Garbage, "{wire:?} {error}");
        assert!(error.has_content());
    }
}

/// Short timeout for tests that must run into one: available data arrives within it on a loaded machine, too.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn silence_ends_after_the_limit() {
    // In parallel: only the waiting takes time.
    join_all(ALL.map(silence_ends)).await;
}

async fn silence_ends(wire: Wire) {
    let server = ModelServer::start().await;
    server.push(Turn::silence()).push(Turn::text("Half a").stalled());
    let hasty = provider_with(wire, &server, Limits { header: SHORT, ..limits() });
    let error = ask(&*hasty).await.0.expect_err("nothing comes");
    assert_eq!(
        (error.class, error.has_content()),
        (ErrorClass::Timeout, false),
        "{wire:?} {error}"
    );
    let hasty = provider_with(wire, &server, Limits { idle: SHORT, ..limits() });
    let error = ask(&*hasty).await.0.expect_err("no more comes");
    assert_eq!((error.class, error.has_content()), (ErrorClass::Timeout, true), "{wire:?} {error}");
}

#[tokio::test]
async fn signs_of_life_are_no_answer() {
    join_all(ALL.map(no_answer_comes)).await;
}

async fn no_answer_comes(wire: Wire) {
    let server = ModelServer::start().await;
    let gate = Gate::new();
    server.push(Turn::text("Late").pausing(0, &gate));
    let hasty = provider_with(wire, &server, Limits { first: SHORT, ..limits() });
    let error = ask(&*hasty).await.0.expect_err("nothing is said");
    assert_eq!(error.class, ErrorClass::Timeout, "{wire:?} {error}");
    assert!(error.message.contains("sent nothing"), "{wire:?} {error}");
    gate.open();
    // After the first data, the first-token timeout no longer applies.
    server.push(Turn::text("Half a").stalled());
    let limits = Limits { first: SHORT, idle: 2 * SHORT, ..limits() };
    let error = ask(&*provider_with(wire, &server, limits)).await.0.expect_err("no more comes");
    assert!(error.has_content() && !error.message.contains("sent nothing"), "{wire:?} {error}");
}

#[tokio::test]
async fn nobody_there_is_a_network_error() {
    for wire in ALL {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = closed.local_addr().expect("a bound port");
        drop(closed);
        let base = normalise(wire, &format!("http://{address}")).expect("an address");
        let client = HttpClient::new(ClientParts::default());
        let provider = connect(wire, Connection::new(client, Arc::new(SystemClock), base, None));
        let error = ask(&*provider).await.0.expect_err("nobody is there");
        assert_eq!(error.class, ErrorClass::Network, "{wire:?} {error}");
    }
}

#[tokio::test]
async fn a_refused_field_is_left_out_from_then_on() {
    let server = ModelServer::start().await;
    let provider = provider(Wire::OpenAiChat, &server);
    server
        .push(Turn::error(400, "invalid_request_error", "Unrecognized request argument supplied: stream_options"))
        .push(Turn::error(
            400,
            "unsupported_parameter",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ))
        .push(Turn::text("at last").no_usage())
        .push(Turn::text("at once").no_usage());
    assert_eq!(ask(&*provider).await.0.expect("an answer").text(), "at last");
    assert_eq!(ask(&*provider).await.0.expect("an answer").text(), "at once");
    let seen = server.requests();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].body["stream_options"], json!({"include_usage": true}));
    assert_eq!(seen[3].body["stream_options"], json!(null));
    assert_eq!(seen[3].body["max_completion_tokens"], 1_000);
    assert_eq!(seen[3].header("authorization"), format!("Bearer {KEY}"));
}

#[tokio::test]
async fn a_lesson_is_paid_for_once_by_all_who_call_the_same_server() {
    for (wire, field) in
        [(Wire::OpenAiChat, "stream_options"), (Wire::OpenAiResponses, "prompt_cache_key")]
    {
        let server = ModelServer::start().await;
        let text = format!("Unrecognized request argument supplied: {field}");
        server.push(Turn::error(400, "invalid_request_error", &text)).usually(Turn::text("ok"));
        let lessons = Lessons::default();
        let made = || {
            let base = normalise(wire, &url(wire, &server)).expect("an address");
            let client = HttpClient::new(ClientParts::default());
            let line = Connection::new(client, Arc::new(SystemClock), base, Key::new(KEY));
            connect(wire, line.limits(limits()).lessons(lessons.clone()))
        };
        assert_eq!(ask(&*made()).await.0.expect("an answer").text(), "ok");
        assert_eq!(server.requests().len(), 2, "{wire:?}");
        assert_eq!(ask(&*made()).await.0.expect("an answer").text(), "ok");
        let seen = server.requests();
        assert_eq!((seen.len(), &seen[2].body[field]), (3, &json!(null)), "{wire:?}");
        lessons.forget();
        assert_eq!(ask(&*made()).await.0.expect("an answer").text(), "ok");
        assert_eq!(server.requests().len(), 4, "it is asked in the usual way again: {wire:?}");
    }
}

#[tokio::test]
async fn the_key_is_in_no_error_and_no_debug_text() {
    for wire in ALL {
        let server = ModelServer::start().await;
        server.push(Turn::error(
            401,
            "invalid_api_key",
            &format!("Incorrect API key provided: {KEY}"),
        ));
        server.push(Turn::text("Half").failing("api_error", &format!("bad key {KEY}")));
        let base = normalise(wire, &url(wire, &server)).expect("an address");
        let client = HttpClient::new(ClientParts::default());
        let connection = Connection::new(client, Arc::new(SystemClock), base, Key::new(KEY));
        assert!(!format!("{connection:?}").contains(KEY));
        let provider = connect(wire, connection);
        for _ in 0..2 {
            let error = ask(&*provider).await.0.expect_err("it fails");
            assert!(!format!("{error} {error:?}").contains(KEY), "{wire:?} {error:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_a_matter_of_the_key() {
    for wire in ALL {
        let server = ModelServer::start().await;
        let base = normalise(wire, &url(wire, &server)).expect("an address");
        let client = HttpClient::new(ClientParts::default());
        let provider = connect(
            wire,
            Connection::new(client, Arc::new(SystemClock), base, Key::new("sk-a\nb")),
        );
        let error = ask(&*provider).await.0.expect_err("a header has no line breaks");
        assert_eq!(error.class, ErrorClass::Auth);
        assert!(server.requests().is_empty());
    }
}
