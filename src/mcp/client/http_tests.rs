//! Client tests against HTTP servers on the loopback interface.

use std::net::SocketAddr;

use futures_util::future;
use loopback::{Step, answer, serving};
use net::client::{ClientParts, HttpClient};
use net::error::NetError;
use net::guard::{GuardError, Hosts};
use net::message::Policy;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::wire::{Content, META_SERVER, UNSUPPORTED_VERSION};

fn link(address: SocketAddr, policy: Policy) -> Link {
    let mut headers = Headers::new();
    headers.set("authorization", "Bearer abc");
    Link::Http {
        http: HttpClient::new(ClientParts::default()),
        url: format!("http://{address}/mcp"),
        headers,
        policy,
        only: Hosts::default(),
    }
}

async fn connect(address: SocketAddr) -> Result<Client, McpError> {
    Client::connect(link(address, Policy::Trusted), Options::default()).await
}

async fn call(client: &Client, name: &str, arguments: Value) -> Result<CallResult, McpError> {
    let Value::Object(arguments) = arguments else { panic!("no arguments") };
    client.call(name, &arguments, &CancellationToken::new(), &DeclineAll).await
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

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

fn json_answer(status: &str, headers: &str, body: Value) -> Vec<Step> {
    let headers = format!("content-type: application/json\r\n{headers}");
    answer(status, &headers, body.to_string())
}

fn result(message: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
}

fn events(messages: &[Value]) -> Vec<Step> {
    let body: String = messages.iter().map(|one| format!("data: {one}\n\n")).collect();
    answer("200 OK", "content-type: text/event-stream\r\n", body)
}

fn failure(message: &Value, code: i64, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}})
}

fn hello() -> Value {
    json!({"content": [{"type": "text", "text": "hello"}]})
}

fn modern(message: &Value) -> Option<Vec<Step>> {
    (message["method"] == "server/discover").then(|| {
        let server = json!({"name": "far", "version": "1"});
        let found = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": {}, "_meta": {META_SERVER: server}});
        json_answer("200 OK", "", result(message, found))
    })
}

/// Handshake of a server of the legacy era that has sessions.
fn legacy(message: &Value, session: &str) -> Option<Vec<Step>> {
    match message["method"].as_str() {
        Some("server/discover") => Some(answer("400 Bad Request", "", "no session")),
        Some("initialize") => {
            let info = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
            let headers = format!("Mcp-Session-Id: {session}\r\n");
            Some(json_answer("200 OK", &headers, result(message, info)))
        }
        Some("notifications/initialized" | "notifications/cancelled") => {
            Some(answer("202 Accepted", "", ""))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_modern_server_gets_the_headers_of_each_request() {
    let seen = Mutex::new(Vec::new());
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"}}});
    let invalid = json!({"type": "object", "x-mcp-header": "Bad"});
    let script = |request: &str| {
        let (head, message) = parts(request);
        seen.lock().push(head);
        modern(&message).unwrap_or_else(|| {
            let tools = json!([{"name": "größe", "inputSchema": schema},
                {"name": "bad", "inputSchema": invalid}]);
            let found = match message["method"].as_str() {
                Some("tools/list") => json!({"tools": tools}),
                _ => hello(),
            };
            json_answer("200 OK", "", result(&message, found))
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        assert_eq!(client.server().era, Era::Modern);
        let list = client.tools().await.unwrap();
        assert_eq!((list.tools.len(), list.rejected.len()), (1, 1));
        let result = call(&client, "größe", json!({"region": "a\r\nX-Evil: 1"})).await.unwrap();
        assert_eq!(text(&result), "hello");
    })
    .await;
    let seen = seen.into_inner();
    for head in &seen {
        assert_eq!(header(head, "mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(header(head, "authorization"), Some("bearer abc"));
        assert_eq!(header(head, "accept"), Some("application/json, text/event-stream"));
        assert_eq!(header(head, "mcp-session-id"), None);
        assert_eq!(header(head, "x-evil"), None);
    }
    assert_eq!(header(&seen[0], "mcp-method"), Some("server/discover"));
    assert_eq!(header(&seen[1], "mcp-name"), None);
    assert_eq!(header(&seen[2], "mcp-method"), Some("tools/call"));
    assert!(header(&seen[2], "mcp-name").unwrap().starts_with("=?base64?"));
    assert!(header(&seen[2], "mcp-param-region").unwrap().starts_with("=?base64?"));
}

#[tokio::test]
async fn a_server_that_refuses_a_version_it_supports_is_asked_once_more() {
    for refusals in [1, 2] {
        let refused = Mutex::new(0);
        let script = |request: &str| {
            let message = parts(request).1;
            let mut refused = refused.lock();
            if *refused == refusals {
                return modern(&message).unwrap();
            }
            *refused += 1;
            let mut body = failure(&message, UNSUPPORTED_VERSION, "unsupported");
            body["error"]["data"] = json!({"supported": ["2026-07-28"]});
            json_answer("400 Bad Request", "", body)
        };
        serving(script, async |address| match connect(address).await {
            Ok(client) => assert_eq!((refusals, client.server().era), (1, Era::Modern)),
            Err(McpError::Version { supported }) => {
                assert_eq!((refusals, supported), (2, vec!["2026-07-28".to_owned()]));
            }
            Err(err) => panic!("{err:?}"),
        })
        .await;
    }
}

#[tokio::test]
async fn a_header_mismatch_does_nothing_until_the_tools_are_listed() {
    let calls = Mutex::new(0);
    let script = |request: &str| {
        let (head, message) = parts(request);
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"}}});
        modern(&message).unwrap_or_else(|| match message["method"].as_str() {
            Some("tools/list") => {
                let tools = json!({"tools": [{"name": "a", "inputSchema": schema}]});
                json_answer("200 OK", "", result(&message, tools))
            }
            _ if header(&head, "mcp-param-region") == Some("eu") => {
                *calls.lock() += 1;
                json_answer("200 OK", "", result(&message, hello()))
            }
            _ => json_answer("400 Bad Request", "", failure(&message, HEADER_MISMATCH, "region")),
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let err = call(&client, "a", json!({"region": "eu"})).await.unwrap_err();
        assert_eq!(err, McpError::Outdated { was_sent: false });
        assert!(client.is_stale() && *calls.lock() == 0);
        client.tools().await.unwrap();
        assert!(!client.is_stale());
        assert_eq!(text(&call(&client, "a", json!({"region": "eu"})).await.unwrap()), "hello");
    })
    .await;
}

#[tokio::test]
async fn a_legacy_server_gets_its_session_and_may_stream() {
    let seen = Mutex::new(Vec::new());
    let script = |request: &str| {
        let (head, message) = parts(request);
        seen.lock().push((head.clone(), message.clone()));
        if head.starts_with("delete ") {
            return answer("405 Method Not Allowed", "", "");
        }
        if message.get("method").is_none() {
            return answer("202 Accepted", "", "");
        }
        legacy(&message, "s1").unwrap_or_else(|| {
            let token = &message["params"]["_meta"]["progressToken"];
            let progress = json!({"progressToken": token, "progress": 1});
            events(&[
                json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}),
                json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
                json!({"jsonrpc": "2.0", "id": "e", "method": "elicitation/create",
                    "params": {"message": "Name?", "requestedSchema": {}}}),
                json!({"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage"}),
                json!({"jsonrpc": "2.0", "id": 77, "result": {}}),
                result(&message, hello()),
            ])
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        assert_eq!(client.server().era, Era::Legacy);
        assert_eq!(text(&call(&client, "a", json!({})).await.unwrap()), "hello");
        assert!(client.is_stale());
        client.close().await;
    })
    .await;
    let seen = seen.into_inner();
    let sessions: Vec<_> = seen.iter().map(|(head, _)| header(head, "mcp-session-id")).collect();
    let s1 = Some("s1");
    assert_eq!(sessions, [None, None, s1, s1, s1, s1, s1]);
    let versions: Vec<_> =
        seen.iter().map(|(head, _)| header(head, "mcp-protocol-version")).collect();
    assert_eq!(versions[..3], [Some("2026-07-28"), None, Some("2025-11-25")]);
    assert_eq!(seen[4].1["result"]["action"], "decline");
    assert_eq!(seen[5].1["error"]["code"], METHOD_NOT_FOUND);
    assert!(header(&seen[3].0, "mcp-method").is_none());
}

#[tokio::test]
async fn a_lost_session_is_replaced_once_and_no_call_repeated() {
    let sessions = Mutex::new(0);
    let script = |request: &str| {
        let (head, message) = parts(request);
        if message["method"] == "initialize" {
            *sessions.lock() += 1;
        }
        let current = sessions.lock().to_string();
        legacy(&message, &current).unwrap_or_else(|| match header(&head, "mcp-session-id") {
            Some("2") => json_answer("200 OK", "", result(&message, hello())),
            _ => {
                json_answer("404 Not Found", "", failure(&Value::Null, -32001, "Session not found"))
            }
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let (a, b) =
            future::join(call(&client, "a", json!({})), call(&client, "b", json!({}))).await;
        let outdated = || McpError::Outdated { was_sent: false };
        assert_eq!((a.unwrap_err(), b.unwrap_err()), (outdated(), outdated()));
        assert!(client.is_stale(), "the new session may have other tools");
        client.ping().await.unwrap();
        assert_eq!(text(&call(&client, "a", json!({})).await.unwrap()), "hello");
    })
    .await;
    assert_eq!(sessions.into_inner(), 2);
}

#[tokio::test]
async fn a_session_that_is_lost_again_is_an_error() {
    let script = |request: &str| {
        let (_, message) = parts(request);
        legacy(&message, "s").unwrap_or_else(|| answer("404 Not Found", "", ""))
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let err = client.ping().await.unwrap_err();
        assert!(matches!(err, McpError::Status { status: 404, .. }) && !err.was_sent(), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_cut_is_resumed_in_the_legacy_era_only() {
    let script = |request: &str| {
        let (head, message) = parts(request);
        if head.starts_with("get ") {
            assert_eq!(header(&head, "last-event-id"), Some("7"));
            return events(&[result(&json!({"id": 3}), hello())]);
        }
        legacy(&message, "s").unwrap_or_else(|| {
            answer("200 OK", "content-type: text/event-stream\r\n", "retry: 1\nid: 7\ndata:\n\n")
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        assert_eq!(text(&call(&client, "a", json!({})).await.unwrap()), "hello");
    })
    .await;
    let script = |request: &str| {
        let (_, message) = parts(request);
        modern(&message).unwrap_or_else(|| {
            answer("200 OK", "content-type: text/event-stream\r\n", "id: 7\ndata:\n\n")
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let err = call(&client, "a", json!({})).await.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: true, .. }), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn missing_rights_are_told_apart() {
    let challenge = "WWW-Authenticate: Bearer resource_metadata=\"https://a.example/m\"\r\n";
    for (status, headers) in [("401 Unauthorized", challenge), ("401 Unauthorized", "")] {
        serving(
            |_| answer(status, headers, ""),
            async |address| match connect(address).await.unwrap_err() {
                McpError::Unauthorized { www_authenticate } => {
                    assert_eq!(www_authenticate.is_some(), !headers.is_empty());
                }
                other => panic!("{other:?}"),
            },
        )
        .await;
    }
    let challenge = "WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"b\"\r\n";
    let script = |request: &str| {
        modern(&parts(request).1).unwrap_or_else(|| answer("403 Forbidden", challenge, ""))
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let err = call(&client, "a", json!({})).await.unwrap_err();
        assert!(!err.was_sent());
        let McpError::Forbidden { www_authenticate: Some(value) } = err else { panic!("{err:?}") };
        assert!(value.contains("insufficient_scope"));
    })
    .await;
}

#[tokio::test]
async fn line_breaks_in_headers_are_refused() {
    serving(
        |request: &str| modern(&parts(request).1).unwrap(),
        async |address| {
            let client = connect(address).await.unwrap();
            let mut headers = Headers::new();
            headers.set("x-key", "a\r\nx-evil: 1");
            client.set_headers(headers);
            let err = call(&client, "a", json!({})).await.unwrap_err();
            assert!(matches!(err, McpError::Net(NetError::BadHeader { .. })), "{err:?}");
            assert!(!err.was_sent());
        },
    )
    .await;
}

#[tokio::test]
async fn answers_that_are_too_large_or_no_messages_are_refused() {
    let script = |request: &str| {
        let (_, message) = parts(request);
        let image = || {
            let data = "A".repeat(27 * 1024 * 1024);
            result(&message, json!({"content": [{"type": "image", "data": data, "mimeType": "a"}]}))
        };
        modern(&message).unwrap_or_else(|| match message["params"]["name"].as_str() {
            Some("json") => json_answer("200 OK", "", image()),
            Some("stream") => events(&[image()]),
            Some("page") => answer("200 OK", "content-type: text/html\r\n", "<p>Hello"),
            Some("empty") => answer("202 Accepted", "", ""),
            Some("other") => json_answer("200 OK", "", result(&json!({"id": 99}), hello())),
            Some("fails") => answer("502 Bad Gateway", "", "<p>no"),
            Some("busy") => answer("429 Too Many Requests", "", ""),
            _ => json_answer("200 OK", "", result(&message, hello())),
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let errors = async |name| call(&client, name, json!({})).await.unwrap_err();
        for name in ["json", "stream"] {
            assert!(matches!(errors(name).await, McpError::TooLarge { .. }));
        }
        for name in ["page", "empty", "other"] {
            let err = errors(name).await;
            assert!(matches!(err, McpError::Protocol { was_sent: true, .. }), "{err:?}");
        }
        assert!(errors("fails").await.was_sent());
        assert!(!errors("busy").await.was_sent());
        assert_eq!(text(&call(&client, "a", json!({})).await.unwrap()), "hello");
    })
    .await;
}

#[tokio::test]
async fn a_call_without_an_answer_times_out_or_is_cancelled() {
    let cancel = CancellationToken::new();
    let script = |request: &str| {
        let (_, message) = parts(request);
        modern(&message).unwrap_or_else(|| match message["params"]["name"].as_str() {
            Some("cancel") => {
                cancel.cancel();
                answer("200 OK", "content-type: text/event-stream\r\n", ": wait\n\n")
            }
            _ => Vec::new(),
        })
    };
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let err = client.call("cancel", &Map::new(), &cancel, &DeclineAll).await.unwrap_err();
        assert!(err.was_sent(), "{err:?}");
        let err = client.call("cancel", &Map::new(), &cancel, &DeclineAll).await.unwrap_err();
        assert_eq!(err, McpError::Cancelled { was_sent: false });
    })
    .await;
    let script = |request: &str| modern(&parts(request).1).unwrap_or_else(|| vec![Step::Stall]);
    serving(script, async |address| {
        let timeouts = Timeouts { call: Duration::from_millis(50), ..Timeouts::default() };
        let options = Options { timeouts, ..Options::default() };
        let client = Client::connect(link(address, Policy::Trusted), options).await.unwrap();
        let err = call(&client, "hang", json!({})).await.unwrap_err();
        assert!(matches!(err, McpError::Timeout { was_sent: true, .. }), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn the_guard_keeps_private_addresses_closed() {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let guarded = Client::connect(link(address, Policy::Guarded), Options::default()).await;
    let err = guarded.unwrap_err();
    let refused =
        McpError::Net(NetError::Refused(GuardError::Private { host: "127.0.0.1".to_owned() }));
    assert_eq!((err.was_sent(), err), (false, refused));
}

#[tokio::test]
async fn addresses_of_version_2025_11_25_are_visited_before_the_call_is_repeated() {
    let calls = Mutex::new(0);
    let script = |request: &str| {
        let (_, message) = parts(request);
        legacy(&message, "s").unwrap_or_else(|| {
            *calls.lock() += 1;
            if *calls.lock() == 2 {
                return json_answer("200 OK", "", result(&message, hello()));
            }
            let visit = json!({"mode": "url", "message": "Sign in", "url": "https://a.example/",
                "elicitationId": "1"});
            let mut error = failure(&message, URL_ELICITATION_REQUIRED, "visit");
            error["error"]["data"] = json!({"elicitations": [visit]});
            json_answer("200 OK", "", error)
        })
    };
    struct Visits;
    impl Elicit for Visits {
        fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a> {
            assert_eq!(question.url.as_deref(), Some("https://a.example/"));
            Box::pin(future::ready(Answer::Accept(Map::new())))
        }
    }
    serving(script, async |address| {
        let client = connect(address).await.unwrap();
        let cancel = CancellationToken::new();
        let result = client.call("a", &Map::new(), &cancel, &Visits).await.unwrap();
        assert_eq!(text(&result), "hello");
        *calls.lock() = 0;
        let err = call(&client, "a", json!({})).await.unwrap_err();
        assert!(matches!(err, McpError::Rpc(_)), "{err:?}");
    })
    .await;
}
