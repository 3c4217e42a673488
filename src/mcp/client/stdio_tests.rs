//! Client tests against servers in memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, Either, join3};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex};
use tokio_util::sync::CancellationToken;

use crate::wire::META_SERVER;

use super::*;

/// What the server writes after a line: text, or the end of its output.
enum Say {
    Line(String),
    HangUp,
}

fn say(value: Value) -> Vec<Say> {
    vec![Say::Line(value.to_string())]
}

/// Runs `client` beside a server that answers each line by `script`.
async fn serving<T>(
    mut script: impl FnMut(&Value) -> Vec<Say>,
    client: impl AsyncFnOnce(Link) -> T,
) -> T {
    let (reader, their_writer) = duplex(64 * 1024);
    let (writer, their_reader) = duplex(64 * 1024);
    let link = Link::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    let server = pin!(async move {
        let (mut writer, mut lines) = (Some(their_writer), BufReader::new(their_reader).lines());
        while let Ok(Some(line)) = lines.next_line().await {
            for say in script(&serde_json::from_str(&line).unwrap()) {
                match (say, &mut writer) {
                    (Say::Line(line), Some(writer)) => {
                        // A client that has seen enough is free to go.
                        let _ = writer.write_all(format!("{line}\n").as_bytes()).await;
                    }
                    _ => writer = None,
                }
            }
        }
        future::pending().await
    });
    match future::select(pin!(client(link)), server).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => never,
    }
}

fn result(request: &Value, result: Value) -> Vec<Say> {
    say(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}

fn error(request: &Value, code: i64) -> Vec<Say> {
    say(json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": "no"}}))
}

/// Handshake of a server of the modern era.
fn modern(request: &Value) -> Option<Vec<Say>> {
    (request["method"] == "server/discover").then(|| {
        result(
            request,
            json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "instructions": "Read first.",
                "_meta": {META_SERVER: {"name": "files", "title": "Files", "version": "1.2"}},
            }),
        )
    })
}

/// Handshake of a server of the legacy era.
fn legacy(request: &Value) -> Option<Vec<Say>> {
    match request["method"].as_str() {
        Some("server/discover") => Some(error(request, -32601)),
        Some("initialize") => Some(result(
            request,
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "old", "version": "0.1"},
            }),
        )),
        Some("notifications/initialized") => Some(Vec::new()),
        _ => None,
    }
}

fn text_result(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

fn text(result: &CallResult) -> &str {
    match &result.content[..] {
        [crate::wire::Content::Text { text }] => text,
        other => panic!("{other:?}"),
    }
}

async fn connect(link: Link) -> Client {
    Client::connect(link, Options::default()).await.unwrap()
}

async fn call(client: &Client, name: &str) -> Result<CallResult, McpError> {
    client.call(name, &Map::new(), &CancellationToken::new(), &DeclineAll).await
}

/// Answers each question alike, and notes them.
struct Alike(Answer, Mutex<Vec<Question>>);

impl Alike {
    fn new(answer: Answer) -> Alike {
        Alike(answer, Mutex::default())
    }
}

impl Elicit for Alike {
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        self.1.lock().push(question.clone());
        Box::pin(future::ready(self.0.clone()))
    }
}

#[tokio::test]
async fn a_modern_server_is_found_and_gets_its_metadata_with_each_request() {
    let seen = Mutex::new(Vec::new());
    let script = |request: &Value| {
        seen.lock().push(request.clone());
        modern(request).unwrap_or_else(|| result(request, text_result("hello")))
    };
    serving(script, async |link| {
        let client = connect(link).await;
        let server = client.server();
        assert_eq!((server.era, server.version.as_str()), (Era::Modern, "2026-07-28"));
        assert_eq!(server.info.title.as_deref(), Some("Files"));
        assert_eq!(server.instructions.as_deref(), Some("Read first."));
        assert_eq!(text(&call(&client, "greet").await.unwrap()), "hello");
        client.ping().await.unwrap();
    })
    .await;
    let seen = seen.into_inner();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        let meta = &request["params"]["_meta"];
        assert_eq!(meta[META_VERSION], "2026-07-28");
        assert_eq!(meta[META_CLIENT]["name"], "hq");
        assert!(meta[META_CAPABILITIES]["elicitation"].is_object());
    }
    assert_eq!(seen[1]["params"]["_meta"]["progressToken"], seen[1]["id"]);
}

#[tokio::test]
async fn a_legacy_server_gets_its_handshake() {
    let seen = Mutex::new(Vec::new());
    let script = |request: &Value| {
        seen.lock().push(request["method"].as_str().unwrap_or_default().to_owned());
        legacy(request).unwrap_or_else(|| result(request, json!({})))
    };
    serving(script, async |link| {
        let client = connect(link).await;
        assert_eq!(
            (client.server().era, client.server().version.as_str()),
            (Era::Legacy, "2025-06-18")
        );
        client.ping().await.unwrap();
    })
    .await;
    assert_eq!(
        seen.into_inner(),
        ["server/discover", "initialize", "notifications/initialized", "ping"]
    );
}

#[tokio::test]
async fn a_remembered_legacy_server_is_not_probed() {
    let script = |request: &Value| {
        assert_ne!(request["method"], "server/discover");
        legacy(request).unwrap()
    };
    serving(script, async |link| {
        let options = Options { era: Some(Era::Legacy), ..Options::default() };
        assert_eq!(Client::connect(link, options).await.unwrap().server().era, Era::Legacy);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_has_left_the_remembered_era_is_found() {
    let script = |request: &Value| modern(request).unwrap_or_else(|| error(request, -32601));
    serving(script, async |link| {
        let options = Options { era: Some(Era::Legacy), ..Options::default() };
        assert_eq!(Client::connect(link, options).await.unwrap().server().era, Era::Modern);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_unknown_requests_gets_its_handshake() {
    let script = |request: &Value| match request["method"].as_str() {
        Some("server/discover" | "notifications/cancelled") => Vec::new(),
        _ => legacy(request).unwrap(),
    };
    serving(script, async |link| assert_eq!(connect(link).await.server().era, Era::Legacy)).await;
}

#[tokio::test(start_paused = true)]
async fn a_modern_server_that_starts_slowly_is_still_found() {
    let late = Mutex::new(None);
    let script = |request: &Value| match request["method"].as_str() {
        Some("server/discover") => {
            *late.lock() = modern(request);
            Vec::new()
        }
        Some("initialize") => {
            let mut answers = error(request, -32601);
            answers.extend(late.lock().take().unwrap());
            answers
        }
        _ => result(request, text_result("hello")),
    };
    serving(script, async |link| assert_eq!(connect(link).await.server().era, Era::Modern)).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    serving(
        |_| Vec::new(),
        async |link| {
            let err = Client::connect(link, Options::default()).await.unwrap_err();
            assert!(matches!(err, McpError::Timeout { .. }), "{err:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_server_without_a_common_version_is_refused() {
    let script = |request: &Value| {
        result(request, json!({"supportedVersions": ["2031-01-01"], "capabilities": {}}))
    };
    serving(script, async |link| {
        let err = Client::connect(link, Options::default()).await.unwrap_err();
        assert_eq!(err, McpError::Version { supported: vec!["2031-01-01".to_owned()] });
        assert!(!err.was_sent());
    })
    .await;
}

#[tokio::test]
async fn stray_lines_and_wrong_ids_are_skipped() {
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let mut lines: Vec<Say> = [
                "Listening on stdin",
                "",
                "{\"a\": 1}",
                "{\"jsonrpc\": \"2.0\", \"id\": 9999, \"result\": {}}",
                "{\"jsonrpc\": \"2.0\", \"method\": \"notifications/unknown\"}",
                "\u{1b}[32mready\u{1b}[0m",
            ]
            .map(|line| Say::Line(line.to_owned()))
            .into();
            lines.extend(result(request, text_result("hello")));
            lines
        })
    };
    serving(script, async |link| {
        let client = connect(link).await;
        assert_eq!(text(&call(&client, "a").await.unwrap()), "hello");
        assert_eq!(client.skipped_lines(), 3);
    })
    .await;
}

#[tokio::test]
async fn an_endless_line_ends_the_connection() {
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let image = "A".repeat(27 * 1024 * 1024);
            let content = json!([{"type": "image", "data": image, "mimeType": "image/png"}]);
            result(request, json!({"content": content}))
        })
    };
    serving(script, async |link| {
        let client = connect(link).await;
        let err = call(&client, "shot").await.unwrap_err();
        assert!(matches!(err, McpError::TooLarge { .. }) && err.was_sent(), "{err:?}");
        assert!(client.is_ended());
        let err = call(&client, "shot").await.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: false, .. }), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_calls() {
    let script = |request: &Value| modern(request).unwrap_or_else(|| vec![Say::HangUp]);
    serving(script, async |link| {
        let client = connect(link).await;
        let (first, second, end) =
            join3(call(&client, "a"), call(&client, "b"), client.ended()).await;
        assert_eq!(first.unwrap_err(), McpError::Closed { was_sent: true, detail: String::new() });
        assert!(matches!(second, Err(McpError::Closed { .. })));
        assert!(matches!(end, McpError::Closed { .. }));
        let err = call(&client, "c").await.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: false, .. }), "{err:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_times_out_and_is_cancelled() {
    let cancelled = Mutex::new(None);
    let script = |request: &Value| {
        if request["method"] == "notifications/cancelled" {
            *cancelled.lock() = Some(request["params"]["requestId"].clone());
        }
        match request["params"]["name"].as_str() {
            Some("hang") => Vec::new(),
            _ => modern(request).unwrap_or_else(|| result(request, text_result("hello"))),
        }
    };
    serving(script, async |link| {
        let client = connect(link).await;
        let err = call(&client, "hang").await.unwrap_err();
        assert!(matches!(err, McpError::Timeout { was_sent: true, .. }), "{err:?}");
        assert_eq!(text(&call(&client, "a").await.unwrap()), "hello");
    })
    .await;
    assert_eq!(cancelled.into_inner(), Some(json!(2)));
}

#[tokio::test(start_paused = true)]
async fn progress_extends_the_time_of_a_call() {
    let (reader, mut their_writer) = duplex(64 * 1024);
    let (writer, their_reader) = duplex(64 * 1024);
    let link = Link::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    let server = pin!(async move {
        let mut lines = BufReader::new(their_reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let request: Value = serde_json::from_str(&line).unwrap();
            let mut answers = modern(&request);
            if answers.is_none() {
                for count in 0..5 {
                    tokio::time::sleep(Duration::from_secs(100)).await;
                    let token = &request["params"]["_meta"]["progressToken"];
                    let params = json!({"progressToken": token, "progress": count});
                    let line = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
                    their_writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                }
                answers = Some(result(&request, text_result("done")));
            }
            for say in answers.unwrap() {
                let Say::Line(line) = say else { panic!("no line") };
                their_writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            }
        }
    });
    let client = pin!(async move {
        let client = connect(link).await;
        assert_eq!(text(&call(&client, "slow").await.unwrap()), "done");
    });
    assert!(matches!(future::select(client, server).await, Either::Left(_)));
}

#[tokio::test]
async fn cancelling_a_call_reaches_the_server() {
    let cancelled = Mutex::new(None);
    let cancel = CancellationToken::new();
    let script = |request: &Value| {
        if request["method"] == "tools/call" {
            cancel.cancel();
            return Vec::new();
        }
        if request["method"] == "notifications/cancelled" {
            *cancelled.lock() = Some(request["params"]["requestId"].clone());
        }
        modern(request).unwrap_or_default()
    };
    serving(script, async |link| {
        let client = connect(link).await;
        let err = client.call("a", &Map::new(), &cancel, &DeclineAll).await.unwrap_err();
        assert_eq!(err, McpError::Cancelled { was_sent: true });
        // A call that is cancelled before it starts is never sent.
        let err = client.call("b", &Map::new(), &cancel, &DeclineAll).await.unwrap_err();
        assert_eq!(err, McpError::Cancelled { was_sent: false });
        client.ping().await.unwrap();
    })
    .await;
    assert_eq!(cancelled.into_inner(), Some(json!(2)));
}

#[tokio::test]
async fn calls_run_beside_each_other_and_survive_the_drop_of_one() {
    let waiting = Mutex::new(Vec::new());
    let script = |request: &Value| {
        if request["method"] == "notifications/cancelled" {
            // Answers in reverse order.
            let mut all = std::mem::take(&mut *waiting.lock());
            all.reverse();
            let reply = |request: &Value| {
                let name = request["params"]["name"].as_str().unwrap().to_owned();
                result(request, text_result(&name))
            };
            return all.iter().flat_map(reply).collect();
        }
        modern(request).unwrap_or_else(|| {
            waiting.lock().push(request.clone());
            Vec::new()
        })
    };
    serving(script, async |link| {
        let client = Arc::new(connect(link).await);
        let dropped = async {
            // Dropped after all calls are written: it was the first to be polled, and drove the others.
            let mut call = Box::pin(call(&client, "dropped"));
            let gone = future::poll_fn(|cx| {
                let _ = call.as_mut().poll(cx);
                match waiting.lock().len() {
                    3 => std::task::Poll::Ready(()),
                    _ => {
                        cx.waker().wake_by_ref();
                        std::task::Poll::Pending
                    }
                }
            });
            gone.await;
        };
        let ((), a, b) = join3(dropped, call(&client, "a"), call(&client, "b")).await;
        assert_eq!(text(&a.unwrap()), "a");
        assert_eq!(text(&b.unwrap()), "b");
    })
    .await;
}

#[tokio::test]
async fn questions_of_a_legacy_server_are_answered_and_other_requests_refused() {
    let answers = Mutex::new(Vec::new());
    let call = Mutex::new(Value::Null);
    let script = |request: &Value| {
        if let Some(handshake) = legacy(request) {
            return handshake;
        }
        if request["method"] == "tools/call" {
            *call.lock() = request.clone();
            let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
            let asks = [
                json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}),
                json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}),
                json!({"jsonrpc": "2.0", "id": 2, "method": "roots/list"}),
                json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                    "params": {"message": "Name?", "requestedSchema": schema}}),
            ];
            return asks.map(|ask| Say::Line(ask.to_string())).into();
        }
        answers.lock().push(request.clone());
        match answers.lock().len() {
            4 => result(&call.lock(), text_result("hello Ada")),
            _ => Vec::new(),
        }
    };
    serving(script, async |link| {
        let client = connect(link).await;
        let Value::Object(content) = json!({"name": "Ada"}) else { panic!("an object") };
        let elicit = Alike::new(Answer::Accept(content));
        let cancel = CancellationToken::new();
        let result = client.call("greet", &Map::new(), &cancel, &elicit).await.unwrap();
        assert_eq!(text(&result), "hello Ada");
        let asked = elicit.1.into_inner();
        assert_eq!((asked.len(), asked[0].message.as_str()), (1, "Name?"));
        assert!(!asked[0].may_park);
    })
    .await;
    let answers = answers.into_inner();
    let of = |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(of(json!("p"))["result"], json!({}));
    assert_eq!(of(json!(1))["error"]["code"], METHOD_NOT_FOUND);
    assert_eq!(of(json!(2))["error"]["code"], METHOD_NOT_FOUND);
    let accepted = json!({"action": "accept", "content": {"name": "Ada"}});
    assert_eq!(of(json!("q"))["result"], accepted);
}

#[tokio::test]
async fn a_question_is_not_put_to_the_person_of_another_call() {
    let calls = Mutex::new(Vec::new());
    let script = |request: &Value| {
        if let Some(handshake) = legacy(request) {
            return handshake;
        }
        if request["method"] == "tools/call" {
            calls.lock().push(request.clone());
            return match calls.lock().len() {
                2 => say(json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                    "params": {"message": "Whose?"}})),
                _ => Vec::new(),
            };
        }
        assert_eq!(request["result"]["action"], "cancel");
        calls.lock().iter().flat_map(|call| result(call, text_result("done"))).collect()
    };
    serving(script, async |link| {
        let client = connect(link).await;
        let elicit = Alike::new(Answer::Accept(Map::new()));
        let cancel = CancellationToken::new();
        let call = || async { client.call("a", &Map::new(), &cancel, &elicit).await.unwrap() };
        future::join(call(), call()).await;
        assert!(elicit.1.lock().is_empty());
    })
    .await;
}

/// A modern server that asks once and returns the answer.
fn asking(request: &Value) -> Vec<Say> {
    if let Some(handshake) = modern(request) {
        return handshake;
    }
    let params = &request["params"];
    match params.get("inputResponses") {
        None => {
            let ask = json!({"method": "elicitation/create",
                "params": {"mode": "url", "message": "Visit", "url": "https://a.example/x"}});
            let input = json!({"resultType": "input_required", "requestState": "opaque",
                "inputRequests": {"visit": ask}});
            result(request, input)
        }
        Some(responses) => {
            assert_eq!(params["requestState"], "opaque");
            let action = responses["visit"]["action"].as_str().unwrap();
            result(request, text_result(action))
        }
    }
}

#[tokio::test]
async fn a_modern_server_gets_answers_with_the_repeated_request() {
    serving(asking, async |link| {
        let client = connect(link).await;
        let elicit = Alike::new(Answer::Accept(Map::new()));
        let cancel = CancellationToken::new();
        let result = client.call("pay", &Map::new(), &cancel, &elicit).await.unwrap();
        assert_eq!(text(&result), "accept");
        let asked = elicit.1.into_inner();
        assert_eq!(asked[0].url.as_deref(), Some("https://a.example/x"));
        assert_eq!(text(&call(&client, "pay").await.unwrap()), "decline");
    })
    .await;
}

#[tokio::test]
async fn a_parked_call_is_resumed_on_another_connection() {
    let cancel = CancellationToken::new();
    let parked = serving(asking, async |link| {
        let client = connect(link).await;
        let elicit = Alike::new(Answer::Park);
        match client.call("pay", &Map::new(), &cancel, &elicit).await.unwrap_err() {
            McpError::Parked(parked) => serde_json::to_string(&parked).unwrap(),
            other => panic!("{other:?}"),
        }
    })
    .await;
    serving(asking, async |link| {
        let client = connect(link).await;
        let parked = serde_json::from_str(&parked).unwrap();
        let elicit = Alike::new(Answer::Accept(Map::new()));
        let result = client.resume(("pay", &Map::new()), parked, &cancel, &elicit).await.unwrap();
        assert_eq!(text(&result), "accept");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_never_has_enough_input_is_given_up() {
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let ask = json!({"method": "elicitation/create", "params": {"message": "More?"}});
            result(request, json!({"resultType": "input_required", "inputRequests": {"a": ask}}))
        })
    };
    serving(script, async |link| {
        let err = call(&connect(link).await, "a").await.unwrap_err();
        assert!(matches!(err, McpError::Protocol { was_sent: true, .. }), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn a_modern_server_that_asks_for_a_model_is_refused() {
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let ask = json!({"method": "sampling/createMessage", "params": {}});
            result(request, json!({"resultType": "input_required", "inputRequests": {"a": ask}}))
        })
    };
    serving(script, async |link| {
        let err = call(&connect(link).await, "a").await.unwrap_err();
        assert!(err.to_string().contains("sampling/createMessage"), "{err}");
    })
    .await;
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

#[tokio::test]
async fn all_pages_of_tools_are_read() {
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| match request["params"]["cursor"].as_str() {
            None => result(
                request,
                json!({"tools": [tool("a"), tool("b"), {"name": "broken"}], "nextCursor": "2", "ttlMs": 9}),
            ),
            Some(_) => result(request, json!({"tools": [tool("a"), tool("c"), 7]})),
        })
    };
    serving(script, async |link| {
        let list = connect(link).await.tools().await.unwrap();
        let names: Vec<&str> = list.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(list.duplicates, ["a"]);
        let rejected: Vec<&str> = list.rejected.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(rejected, ["broken", ""]);
        assert!(!list.is_cut);
    })
    .await;
}

#[tokio::test]
async fn a_list_of_tools_without_an_end_is_refused_or_cut() {
    let script = |request: &Value| {
        modern(request)
            .unwrap_or_else(|| result(request, json!({"tools": [], "nextCursor": "same"})))
    };
    serving(script, async |link| {
        let err = connect(link).await.tools().await.unwrap_err();
        assert!(err.to_string().contains("repeats a page"), "{err}");
    })
    .await;
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let at: usize =
                request["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
            let page: Vec<Value> = (at..at + 700).map(|at| tool(&format!("t{at}"))).collect();
            result(request, json!({"tools": page, "nextCursor": (at + 700).to_string()}))
        })
    };
    serving(script, async |link| {
        let list = connect(link).await.tools().await.unwrap();
        assert_eq!((list.tools.len(), list.is_cut), (MAX_TOOLS, true));
    })
    .await;
}

#[tokio::test]
async fn large_definitions_are_left_out_and_a_large_list_is_cut() {
    let large = "a".repeat(MAX_DEFINITION);
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let mut page = vec![tool("small"), json!({"name": large, "inputSchema": {}})];
            page.push(json!({"name": "large", "inputSchema": {}, "description": large}));
            result(request, json!({"tools": page}))
        })
    };
    serving(script, async |link| {
        let list = connect(link).await.tools().await.unwrap();
        assert_eq!((list.tools.len(), list.is_cut), (1, false));
        let names: Vec<&str> = list.rejected.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, [&large[..MAX_NAME], "large"]);
    })
    .await;
    let about = "a".repeat(MAX_DEFINITION - 1_000);
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| {
            let at: usize =
                request["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
            let one =
                |at| json!({"name": format!("t{at}"), "inputSchema": {}, "description": about});
            let page: Vec<Value> = (at..at + 100).map(one).collect();
            result(request, json!({"tools": page, "nextCursor": (at + 100).to_string()}))
        })
    };
    serving(script, async |link| {
        let list = connect(link).await.tools().await.unwrap();
        assert!(list.is_cut && list.tools.len() * about.len() < MAX_LIST);
        assert!(300 < list.tools.len(), "only {} of them", list.tools.len());
    })
    .await;
}

#[tokio::test]
async fn definitions_that_cannot_be_used_count_as_well() {
    let script = |request: &Value| {
        modern(request)
            .unwrap_or_else(|| result(request, json!({"tools": vec![7; 10 * MAX_TOOLS]})))
    };
    serving(script, async |link| {
        let list = connect(link).await.tools().await.unwrap();
        assert_eq!((list.rejected.len(), list.is_cut), (MAX_TOOLS, true));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_takes_too_long_is_given_up() {
    let (reader, mut their_writer) = duplex(64 * 1024);
    let (writer, their_reader) = duplex(64 * 1024);
    let link = Link::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    let server = pin!(async move {
        let (mut lines, mut page) = (BufReader::new(their_reader).lines(), 0);
        while let Ok(Some(line)) = lines.next_line().await {
            let request: Value = serde_json::from_str(&line).unwrap();
            let answers = match modern(&request) {
                Some(answers) => answers,
                None => {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    page += 1;
                    result(&request, json!({"tools": [], "nextCursor": page.to_string()}))
                }
            };
            for say in answers {
                let Say::Line(line) = say else { panic!("no line") };
                their_writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            }
        }
        future::pending::<()>().await
    });
    let client = pin!(async move {
        let err = connect(link).await.tools().await.unwrap_err();
        assert_eq!(err, McpError::Timeout { was_sent: true, limit: LISTING });
    });
    assert!(matches!(future::select(client, server).await, Either::Left(_)));
}

#[tokio::test]
async fn changed_tools_are_noticed_until_they_are_listed() {
    let script = |request: &Value| {
        legacy(request).unwrap_or_else(|| match request["method"].as_str() {
            Some("tools/list") => result(request, json!({"tools": []})),
            _ => {
                let mut lines =
                    say(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                lines.extend(result(request, json!({})));
                lines
            }
        })
    };
    serving(script, async |link| {
        let client = connect(link).await;
        assert!(!client.is_stale());
        client.ping().await.unwrap();
        assert!(client.is_stale());
        client.tools().await.unwrap();
        assert!(!client.is_stale());
    })
    .await;
}

#[tokio::test]
async fn errors_and_failed_tools_are_told_apart() {
    let script = |request: &Value| {
        modern(request).unwrap_or_else(|| match request["params"]["name"].as_str() {
            Some("unknown") => error(request, -32602),
            _ => result(request, json!({"content": [], "isError": true, "resultType": "complete"})),
        })
    };
    serving(script, async |link| {
        let client = connect(link).await;
        assert!(matches!(call(&client, "unknown").await, Err(McpError::Rpc(_))));
        assert!(call(&client, "fails").await.unwrap().is_error);
    })
    .await;
}

#[tokio::test]
async fn closing_ends_the_input_of_the_server() {
    let (reader, their_writer) = duplex(1024);
    let (writer, their_reader) = duplex(1024);
    let link = Link::Stdio { reader: Box::new(reader), writer: Box::new(writer) };
    let server = async move {
        let (mut writer, mut lines) = (their_writer, BufReader::new(their_reader).lines());
        while let Some(line) = lines.next_line().await.unwrap() {
            for say in modern(&serde_json::from_str(&line).unwrap()).unwrap_or_default() {
                let Say::Line(line) = say else { panic!("no line") };
                writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            }
        }
    };
    let client = async move {
        let client = connect(link).await;
        client.close().await;
        let err = call(&client, "a").await.unwrap_err();
        assert!(matches!(err, McpError::Closed { was_sent: false, .. }), "{err:?}");
    };
    future::join(server, client).await;
}

/// Callers run these futures on several threads.
#[allow(dead_code)]
fn futures_are_send(client: &'static Client, link: Link) {
    fn check(_: impl Send) {}
    check(connect(link));
    check(call(client, "a"));
    check(client.tools());
    check(client.close());
    check(client.ended());
}
