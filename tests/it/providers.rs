//! Providers against a scripted server over real HTTP: both protocols, pieces of any size, every class of failure.

use std::sync::Arc;
use std::time::Duration;

use hq::kernel::time::SystemClock;
use hq::net::client::{ClientParts, HttpClient};
use hq::net::retry::Next;
use hq::providers::base::{Wire, normalise};
use hq::providers::error::{ErrorClass, ProviderError};
use hq::providers::model::{
    Cache, ChatRequest, Delta, Message, Part, Received, Reply, StopReason, ToolDef, Usage,
};
use hq::providers::wire::{Connection, Limits};
use hq::providers::{Key, Provider, connect};
use serde_json::json;

use crate::support::model::{Gate, ModelServer, Tokens, Turn};

const KEY: &str = "sk-test-0123456789";
const BOTH: [Wire; 2] = [Wire::Anthropic, Wire::OpenAiChat];

fn limits() -> Limits {
    let long = Duration::from_secs(20);
    Limits { header: long, idle: long, tail: long, total: 4 * 1024 * 1024 }
}

fn provider_with(wire: Wire, server: &ModelServer, limits: Limits) -> Arc<dyn Provider> {
    let url = match wire {
        Wire::Anthropic => server.anthropic_url(),
        Wire::OpenAiChat => server.openai_url(),
    };
    let base = normalise(wire, &url).expect("an address");
    let client = HttpClient::new(ClientParts::default());
    connect(
        wire,
        Connection::new(client, Arc::new(SystemClock), base, Key::new(KEY)).limits(limits),
    )
}

fn provider(wire: Wire, server: &ModelServer) -> Arc<dyn Provider> {
    provider_with(wire, server, limits())
}

fn request() -> ChatRequest {
    let read = ToolDef {
        name: "read".into(),
        description: "Reads a file".into(),
        schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    };
    ChatRequest::new("mock", 1_000)
        .system("Rules", Cache::UpToHere)
        .tool(read)
        .message(Message::user("Grüße, 世界"))
}

async fn ask(provider: &dyn Provider) -> (Result<Reply, ProviderError>, Vec<Delta>) {
    let mut deltas = Vec::new();
    let reply = provider.stream(&request(), &mut |delta| deltas.push(delta)).await;
    (reply, deltas)
}

async fn fails(wire: Wire, turn: Turn) -> ProviderError {
    let server = ModelServer::start().await;
    server.push(turn);
    ask(&*provider(wire, &server)).await.0.expect_err("it fails")
}

#[tokio::test]
async fn an_answer_is_the_same_in_pieces_of_any_size() {
    for wire in BOTH {
        for size in [Some(1), Some(2), Some(3), Some(7), Some(64), None] {
            let server = ModelServer::start().await;
            let tokens = Tokens { input: 10, cache_read: 2_000, cache_write: 100, output: 50 };
            let turn = Turn::thinking("Größe prüfen", "sig==")
                .and_text("Grüße an 世界 👋🏽 und alle")
                .and_call("read", json!({"path": "notes/ü.md"}))
                .and_call("read", json!({}))
                .usage(tokens);
            server.push(size.map_or(turn.clone(), |size| turn.in_pieces(size)));
            let (reply, deltas) = ask(&*provider(wire, &server)).await;
            let reply = reply.expect("an answer");
            assert_eq!(reply.text(), "Grüße an 世界 👋🏽 und alle", "{wire:?} {size:?}");
            let calls: Vec<_> = reply.calls().map(|(_, name, args)| (name, args)).collect();
            assert_eq!(calls, [("read", "{\"path\":\"notes/ü.md\"}"), ("read", "{}")]);
            let signature = (wire == Wire::Anthropic).then(|| "sig==".to_owned());
            assert_eq!(reply.parts[0], Part::Thinking { text: "Größe prüfen".into(), signature });
            let usage =
                Usage { input: 10, cache_read: 2_000, cache_write: 100, output: 50, reasoning: 0 };
            assert_eq!((reply.stop, reply.usage), (StopReason::ToolUse, Some(usage)));
            assert_eq!(
                (reply.response_id.as_deref(), reply.model.as_str()),
                (Some("answer-1"), "mock")
            );
            let mut received = Received::default();
            deltas.iter().for_each(|delta| received.push(delta));
            assert_eq!(received.text(), reply.text());
            assert_eq!(
                deltas.iter().filter(|d| matches!(d, Delta::ToolCallStart { .. })).count(),
                2
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_read_too() {
    for wire in BOTH {
        let server = ModelServer::start().await;
        server.push(Turn::text("All at once").and_call("read", json!({"path": "a"})).whole());
        let (reply, deltas) = ask(&*provider(wire, &server)).await;
        let reply = reply.expect("an answer");
        assert_eq!((reply.text().as_str(), reply.stop), ("All at once", StopReason::ToolUse));
        assert_eq!(reply.usage.map(|u| u.output), Some(20));
        assert!(deltas.contains(&Delta::Text("All at once".into())), "{wire:?}");
    }
}

#[tokio::test]
async fn thinking_and_results_go_back_as_they_came() {
    let server = ModelServer::start().await;
    let provider = provider(Wire::Anthropic, &server);
    server.push(
        Turn::thinking("I look", "signed")
            .and_redacted("hidden")
            .and_call("read", json!({"path": "a"})),
    );
    server.push(Turn::text("Done"));
    let first = provider.stream(&request(), &mut |_| {}).await.expect("an answer");
    let id = first.calls().next().map(|c| c.0.to_owned()).expect("a call");
    let again = request()
        .message(Message::assistant(first.parts))
        .message(Message::results(vec![Part::failure(id.as_str(), "no such file")]));
    provider.stream(&again, &mut |_| {}).await.expect("an answer");
    let sent = server.last().body;
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "I look", "signature": "signed"},
            {"type": "redacted_thinking", "data": "hidden"},
            {"type": "tool_use", "id": id, "name": "read", "input": {"path": "a"}},
        ])
    );
    let result = &sent["messages"][2]["content"][0];
    assert_eq!((&result["tool_use_id"], &result["is_error"]), (&json!(id), &json!(true)));
}

#[tokio::test]
async fn the_stable_part_of_a_request_is_the_same_in_every_call() {
    let server = ModelServer::start().await;
    server.usually(Turn::text("ok"));
    let provider = provider(Wire::Anthropic, &server);
    provider.stream(&request(), &mut |_| {}).await.expect("an answer");
    let longer = request()
        .message(Message::assistant(vec![Part::text("ok")]))
        .message(Message::user("More"));
    provider.stream(&longer, &mut |_| {}).await.expect("an answer");
    let [one, two] = &server.requests()[..] else { panic!("two requests") };
    assert_eq!(
        (&one.body["system"], &one.body["tools"]),
        (&two.body["system"], &two.body["tools"])
    );
    assert_eq!(one.header("anthropic-version"), "2023-06-01");
    assert_eq!(one.header("x-api-key"), KEY);
}

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
    ];
    for wire in BOTH {
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
    for wire in BOTH {
        let limited = Turn::error(429, "rate_limit_error", "slow down").header("retry-after", "7");
        let error = fails(wire, limited.clone().header("request-id", "req_1")).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(error.request_id.as_deref(), Some("req_1"));
        assert_eq!(error.again(1, 0), Next::Wait(Duration::from_secs(7)));
        let error = fails(wire, limited.header("retry-after-ms", "1500")).await;
        assert_eq!(error.retry_after, Some(Duration::from_millis(1_500)));
    }
}

#[tokio::test]
async fn a_stream_without_its_final_event_is_never_done() {
    for wire in BOTH {
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
    for wire in BOTH {
        let error =
            fails(wire, Turn::text("Half a").failing("overloaded_error", "Overloaded")).await;
        assert_eq!((error.class, error.status), (ErrorClass::Overloaded, None), "{wire:?}");
        assert_eq!(error.received.map(|r| r.text()), Some("Half a".into()));
    }
}

#[tokio::test]
async fn nonsense_is_told_from_answers() {
    for wire in BOTH {
        for turn in [
            Turn::garbage(),
            Turn::raw("text/html", "<html>Welcome</html>"),
            Turn::raw("application/json", "{\"hello\": "),
            Turn::error(302, "", "moved"),
        ] {
            let error = fails(wire, turn).await;
            assert_eq!(error.class, ErrorClass::Garbage, "{wire:?} {error}");
        }
    }
}

#[tokio::test]
async fn one_event_and_one_answer_have_a_largest_size() {
    for wire in BOTH {
        let endless = format!("data: \"{}\n\n", "x".repeat(1_100_000));
        let error = fails(wire, Turn::raw("text/event-stream", &endless)).await;
        assert_eq!(error.class, ErrorClass::Garbage, "{wire:?} {error}");
        let server = ModelServer::start().await;
        server.push(Turn::text(&"word ".repeat(2_000)));
        let small = Limits { total: 10_000, ..limits() };
        let error = ask(&*provider_with(wire, &server, small)).await.0.expect_err("it fails");
        assert_eq!(error.class, ErrorClass::Garbage, "{wire:?} {error}");
        assert!(error.has_content());
    }
}

#[tokio::test]
async fn silence_ends_after_the_limit() {
    let short = Duration::from_millis(250);
    for wire in BOTH {
        let server = ModelServer::start().await;
        server.push(Turn::silence()).push(Turn::text("Half a").stalled());
        let hasty = provider_with(wire, &server, Limits { header: short, ..limits() });
        let error = ask(&*hasty).await.0.expect_err("nothing comes");
        assert_eq!(
            (error.class, error.has_content()),
            (ErrorClass::Timeout, false),
            "{wire:?} {error}"
        );
        let hasty = provider_with(wire, &server, Limits { idle: short, ..limits() });
        let error = ask(&*hasty).await.0.expect_err("no more comes");
        assert_eq!(
            (error.class, error.has_content()),
            (ErrorClass::Timeout, true),
            "{wire:?} {error}"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_a_network_error() {
    for wire in BOTH {
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
async fn pieces_arrive_while_the_rest_is_still_to_come_and_dropping_ends_the_call() {
    for wire in BOTH {
        let server = ModelServer::start().await;
        let gate = Gate::new();
        server.push(Turn::text("one two three").pausing(4, &gate));
        let provider = provider(wire, &server);
        let (send, mut deltas) = tokio::sync::mpsc::unbounded_channel();
        let request = request();
        let mut sink = |delta| send.send(delta).expect("the test listens");
        let mut call = provider.stream(&request, &mut sink);
        let first = loop {
            tokio::select! {
                reply = &mut call => panic!("it cannot be done: {reply:?}"),
                delta = deltas.recv() => match delta {
                    Some(Delta::Text(text)) => break text,
                    Some(_) => {}
                    None => panic!("the call holds the sender"),
                },
            }
        };
        assert_eq!(first, "one ");
        gate.reached().await;
        drop(call);
        gate.open();
        assert_eq!(server.requests().len(), 1, "{wire:?}");
    }
}

#[tokio::test]
async fn usage_may_come_late_or_never() {
    let server = ModelServer::start().await;
    server.push(Turn::text("counted")).push(Turn::text("not counted").no_usage());
    let provider = provider(Wire::OpenAiChat, &server);
    assert_eq!(ask(&*provider).await.0.expect("an answer").usage.map(|u| u.output), Some(20));
    let reply = ask(&*provider).await.0.expect("an answer");
    assert_eq!((reply.usage, reply.stop), (None, StopReason::End));
    // The finish reason has come, so the answer counts although the connection then stalls.
    let finished =
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n";
    server.push(Turn::raw("text/event-stream", finished));
    assert_eq!(ask(&*provider).await.0.expect("an answer").text(), "x");
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
async fn the_list_of_models_is_fetched() {
    for wire in BOTH {
        let server = ModelServer::start().await;
        server.require_key(KEY).offer(&["somebody-7b", "claude-haiku-4-5", "gpt-5.2"]);
        let models = provider(wire, &server).models().await.expect("a list");
        assert_eq!(models.len(), 3);
        let known = models.iter().find(|m| m.id == "claude-haiku-4-5").expect("it is there");
        assert_eq!((known.window, known.price.map(|p| p.output)), (Some(200_000), Some(5_000_000)));
        let unknown = models.iter().find(|m| m.id == "somebody-7b").expect("it is there");
        assert_eq!((unknown.window, unknown.price), (None, None), "{wire:?}");
    }
}

#[tokio::test]
async fn a_probe_really_asks() {
    for wire in BOTH {
        let server = ModelServer::start().await;
        server.require_key(KEY).offer(&["first", "gpt-4o"]).usually(Turn::text("ready"));
        let provider = provider(wire, &server);
        let probe = provider.probe(None).await.expect("it works");
        assert_eq!((probe.model.as_str(), probe.answer.as_str()), ("gpt-4o", "ready"));
        let probe = provider.probe(Some("first")).await.expect("it works");
        assert_eq!(probe.model, "first");
        assert_eq!(server.requests().len(), 2, "{wire:?}");
        server.require_key("another");
        let refused = provider.probe(Some("first")).await.expect_err("the key is wrong");
        assert_eq!(refused.class, ErrorClass::Auth);
        server.offer(&[]).require_key(KEY);
        assert_eq!(
            provider.probe(None).await.expect_err("no model").class,
            ErrorClass::NotFoundModel
        );
    }
}

#[tokio::test]
async fn the_key_is_in_no_error_and_no_debug_text() {
    for wire in BOTH {
        let server = ModelServer::start().await;
        server.push(Turn::error(
            401,
            "invalid_api_key",
            &format!("Incorrect API key provided: {KEY}"),
        ));
        server.push(Turn::text("Half").failing("api_error", &format!("bad key {KEY}")));
        let base = normalise(wire, &server.anthropic_url()).expect("an address");
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

#[test]
fn a_conversation_can_be_stored_by_the_record_codec() {
    let parts = vec![
        Part::text("Grüße"),
        Part::Thinking { text: "hm".into(), signature: Some("sig".into()) },
        Part::Thinking { text: "hm".into(), signature: None },
        Part::RedactedThinking { data: "xyz".into() },
        Part::call("c", "read", "{\"a\":1}"),
        Part::failure("c", "no"),
        Part::Image { media_type: "image/png".into(), data: vec![0, 255] },
    ];
    let reply = Reply {
        parts: parts.clone(),
        usage: Some(Usage { input: 1, cache_read: 2, cache_write: 3, output: 4, reasoning: 5 }),
        stop: StopReason::Pause,
        response_id: None,
        model: "mock".into(),
    };
    let whole = (Message::assistant(parts), reply, ErrorClass::Replay);
    let bytes = postcard::to_stdvec(&whole).expect("it can be written");
    let read: (Message, Reply, ErrorClass) = postcard::from_bytes(&bytes).expect("it can be read");
    assert_eq!(read, whole);
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_a_matter_of_the_key() {
    for wire in BOTH {
        let server = ModelServer::start().await;
        let base = normalise(wire, &server.anthropic_url()).expect("an address");
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
