//! Client tests against servers of version 2024-11-05 on the loopback interface: a stream of events, and an endpoint.

use std::net::SocketAddr;

use futures_util::future;
use loopback::{Step, answer, serving};
use net::client::{ClientParts, HttpClient};
use net::guard::Hosts;
use net::message::Policy;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::wire::Content;

async fn connect(address: SocketAddr, era: Option<Era>) -> Result<Client, McpError> {
    let mut headers = Headers::new();
    headers.set("authorization", "Bearer abc");
    let link = Link::Http {
        http: HttpClient::new(ClientParts::default()),
        url: format!("http://{address}/sse"),
        headers,
        policy: Policy::Trusted,
        only: Hosts::default(),
    };
    Client::connect(link, Options { era, ..Options::default() }).await
}

async fn call(client: &Client, name: &str) -> Result<CallResult, McpError> {
    client.call(name, &Map::new(), &CancellationToken::new(), &DeclineAll).await
}

fn text(result: &CallResult) -> &str {
    match &result.content[..] {
        [Content::Text { text }] => text,
        other => panic!("{other:?}"),
    }
}

/// Head and message of a request.
fn parts(request: &str) -> (String, Value) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

fn event(name: &str, data: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// Accepts a message, and sends others over the stream.
fn accepted(messages: &[Value]) -> Vec<Step> {
    let mut steps = answer("202 Accepted", "", "Accepted");
    steps.extend(messages.iter().map(|one| Step::Push(event("message", &one.to_string()))));
    steps
}

fn result(message: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
}

fn hello(message: &Value) -> Value {
    result(message, json!({"content": [{"type": "text", "text": "hello"}]}))
}

/// What a server does before the first call. `None` for other requests.
fn opening(head: &str, message: &Value, endpoint: &str) -> Option<Vec<Step>> {
    if head.starts_with("get /sse ") {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n";
        let begin = [head.as_bytes(), &event("endpoint", endpoint)].concat();
        return Some(vec![Step::Send(begin), Step::Hold]);
    }
    if !head.starts_with("post /messages?id=1 ") {
        return Some(answer("405 Method Not Allowed", "", "Method Not Allowed"));
    }
    match message["method"].as_str() {
        Some("initialize") => {
            let info = json!({"protocolVersion": "2024-11-05", "capabilities": {}});
            Some(accepted(&[result(message, info)]))
        }
        Some("tools/call") => None,
        Some("ping") => Some(accepted(&[result(message, json!({}))])),
        _ => Some(accepted(&[])),
    }
}

const ENDPOINT: &str = "/messages?id=1";

#[tokio::test]
async fn a_server_of_2024_11_05_answers_over_its_stream() {
    for era in [None, Some(Era::Legacy)] {
        let seen = Mutex::new(Vec::new());
        let script = |request: &str| {
            let (head, message) = parts(request);
            seen.lock().push((head.clone(), message.clone()));
            opening(&head, &message, ENDPOINT).unwrap_or_else(|| {
                let own = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
                let changed =
                    json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                let mut steps = accepted(&[own, changed]);
                // Data may have several lines.
                let data = format!("{:#}", hello(&message)).replace('\n', "\ndata: ");
                steps.push(Step::Push(event("message", &data)));
                steps
            })
        };
        serving(script, async |address| {
            let client = connect(address, era).await.unwrap();
            let server = client.server();
            assert_eq!((server.era, server.version.as_str()), (Era::Legacy, "2024-11-05"));
            assert_eq!(text(&call(&client, "a").await.unwrap()), "hello");
            assert!(client.is_stale() && client.can_end() && !client.is_ended());
            client.close().await;
            assert!(client.is_ended());
        })
        .await;
        let seen = seen.into_inner();
        for (head, _) in &seen {
            assert!(head.contains("\r\nauthorization: bearer abc\r\n"), "{head}");
        }
        let methods = seen.iter().map(|(_, message)| message["method"].as_str());
        let methods: Vec<_> = methods.skip(usize::from(era.is_none())).collect();
        let expected = [
            Some("initialize"),
            None,
            Some("initialize"),
            Some("notifications/initialized"),
            Some("tools/call"),
            None,
        ];
        assert_eq!(methods, expected, "{seen:?}");
        assert_eq!(seen.last().unwrap().1["id"], "p", "the server's ping was answered");
    }
}

#[tokio::test]
async fn an_endpoint_of_another_origin_gets_nothing() {
    let posts = Mutex::new(0);
    let script = |request: &str| {
        let (head, message) = parts(request);
        *posts.lock() += usize::from(head.starts_with("post /messages"));
        let endpoint = "http://other.example/messages?id=1";
        opening(&head, &message, endpoint).expect("no call")
    };
    serving(script, async |address| {
        let err = connect(address, None).await.unwrap_err();
        assert!(matches!(&err, McpError::Protocol { was_sent: false, .. }), "{err:?}");
        assert!(err.to_string().contains("another origin"), "{err}");
    })
    .await;
    assert_eq!(posts.into_inner(), 0);
}

#[tokio::test]
async fn a_server_without_a_stream_is_judged_by_its_answer_to_initialize() {
    let page = || answer("200 OK", "content-type: text/html\r\n", "<p>Hello");
    let other = || answer("200 OK", "content-type: text/event-stream\r\n", "data: {}\n\n");
    let none = || answer("404 Not Found", "", "");
    let streams: [&dyn Fn() -> Vec<Step>; 3] = [&page, &other, &none];
    for stream in streams {
        let script = |request: &str| match request.starts_with("GET ") {
            true => stream(),
            false => answer("400 Bad Request", "", "no"),
        };
        serving(script, async |address| {
            let err = connect(address, None).await.unwrap_err();
            assert!(matches!(err, McpError::Status { status: 400, .. }), "{err:?}");
        })
        .await;
    }
    let script = |request: &str| match request.starts_with("GET ") {
        true => answer("401 Unauthorized", "", ""),
        false => answer("405 Method Not Allowed", "", ""),
    };
    serving(script, async |address| {
        let err = connect(address, None).await.unwrap_err();
        assert!(matches!(err, McpError::Unauthorized { .. }), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_in_a_call_ends_the_connection() {
    let script = |request: &str| {
        let (head, message) = parts(request);
        opening(&head, &message, ENDPOINT).unwrap_or_else(|| {
            let mut steps = accepted(&[]);
            steps.push(Step::Cut);
            steps
        })
    };
    serving(script, async |address| {
        let client = connect(address, None).await.unwrap();
        let (called, ended) = future::join(call(&client, "a"), client.ended()).await;
        let err = called.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: true, .. }), "{err:?}");
        assert!(matches!(ended, McpError::Closed { .. }) && client.is_ended(), "{ended:?}");
        let err = call(&client, "a").await.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: false, .. }), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_refused_fails_its_request_only() {
    let script = |request: &str| {
        let (head, message) = parts(request);
        opening(&head, &message, ENDPOINT).unwrap_or_else(|| {
            match message["params"]["name"].as_str() {
                Some("sign") => answer("401 Unauthorized", "", ""),
                Some("fails") => answer("500 Internal Server Error", "", "no"),
                Some("lost") => answer("404 Not Found", "", "Could not find session"),
                _ => accepted(&[hello(&message)]),
            }
        })
    };
    serving(script, async |address| {
        let client = connect(address, None).await.unwrap();
        let (refused, called) = future::join(call(&client, "sign"), call(&client, "a")).await;
        let err = refused.unwrap_err();
        assert!(matches!(err, McpError::Unauthorized { .. }) && !err.was_sent(), "{err:?}");
        assert_eq!(text(&called.unwrap()), "hello");
        let err = call(&client, "fails").await.unwrap_err();
        assert!(matches!(err, McpError::Status { status: 500, .. }) && err.was_sent(), "{err:?}");
        assert_eq!(text(&call(&client, "a").await.unwrap()), "hello");
        let err = call(&client, "lost").await.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: false, .. }), "{err:?}");
        client.ended().await;
        assert!(client.is_ended());
    })
    .await;
}

#[tokio::test]
async fn a_call_is_cancelled_at_the_server() {
    let (cancel, seen) = (CancellationToken::new(), Mutex::new(Vec::new()));
    let script = |request: &str| {
        let (head, message) = parts(request);
        seen.lock().push(message["method"].clone());
        opening(&head, &message, ENDPOINT).unwrap_or_else(|| {
            cancel.cancel();
            accepted(&[])
        })
    };
    serving(script, async |address| {
        let client = connect(address, None).await.unwrap();
        let err = client.call("a", &Map::new(), &cancel, &DeclineAll).await.unwrap_err();
        assert_eq!(err, McpError::Cancelled { was_sent: true });
        client.close().await;
    })
    .await;
    let seen = seen.into_inner();
    assert_eq!(seen.last().unwrap(), "notifications/cancelled", "{seen:?}");
}

#[tokio::test]
async fn an_event_that_is_too_large_ends_the_connection() {
    let script = |request: &str| {
        let (head, message) = parts(request);
        opening(&head, &message, ENDPOINT).unwrap_or_else(|| {
            let mut steps = accepted(&[]);
            steps.push(Step::Push(event("message", &"a".repeat(9 * 1024 * 1024))));
            steps
        })
    };
    serving(script, async |address| {
        let client = connect(address, None).await.unwrap();
        let err = call(&client, "a").await.unwrap_err();
        assert!(matches!(err, McpError::TooLarge { .. }), "{err:?}");
        assert!(client.is_ended());
    })
    .await;
}
