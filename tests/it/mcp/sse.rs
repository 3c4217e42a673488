//! A server of version 2024-11-05 over HTTP+SSE: calls, lost streams, another origin, the end of an idle connection.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use features::connections::model::Wire;
use futures_util::stream;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::hq::{Person, Reply, Setup};
use support::office::Office;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Sender, channel};

use super::{SERVERS, tool};

/// State of the server, and what it got.
#[derive(Default)]
struct Known {
    /// Instead of its own endpoint.
    endpoint: Option<&'static str>,
    /// The open stream.
    stream: Option<Sender<Bytes>>,
    streams: usize,
    /// The stream ends in so many calls.
    cuts: usize,
    calls: Vec<String>,
    /// Methods of HTTP with the header `x-key`.
    keys: Vec<(Method, String)>,
}

#[derive(Clone)]
struct Server {
    host: String,
    known: Arc<Mutex<Known>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let server = Self { host, known: Arc::default() };
        let own = server.clone();
        let router = Router::new().fallback(move |request: Request| {
            let own = own.clone();
            async move { own.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panicked")
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.expect("a body");
        let key = parts.headers.get("x-key").and_then(|value| value.to_str().ok());
        let key = key.unwrap_or_default().to_owned();
        self.known().keys.push((parts.method.clone(), key));
        match (parts.method, parts.uri.path()) {
            (Method::GET, "/sse") => self.begin(),
            (Method::POST, "/messages") => {
                self.take(&serde_json::from_slice(&body).expect("a message"));
                StatusCode::ACCEPTED.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }

    /// The stream, which names the endpoint first.
    fn begin(&self) -> Response {
        let (sender, events) = channel::<Bytes>(64);
        let mut known = self.known();
        let endpoint = known.endpoint.unwrap_or("/messages?session=1");
        sender.try_send(format!("event: endpoint\ndata: {endpoint}\n\n").into()).expect("room");
        known.stream = Some(sender);
        known.streams += 1;
        let events = stream::unfold(events, |mut events| async move {
            Some((Ok::<_, Infallible>(events.recv().await?), events))
        });
        ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
    }

    fn take(&self, message: &Value) {
        let mut known = self.known();
        let result = match message["method"].as_str() {
            Some("initialize") => json!({ "protocolVersion": "2024-11-05",
                "capabilities": { "tools": {} }, "serverInfo": { "name": "old", "version": "1" } }),
            Some("tools/list") => {
                json!({ "tools": [tool("look", "Looks.", ""), tool("write", "Writes.", "")] })
            }
            Some("tools/call") => {
                known.calls.push(message["params"]["name"].as_str().expect("a name").to_owned());
                if known.cuts > 0 {
                    known.cuts -= 1;
                    known.stream = None;
                    return;
                }
                json!({ "content": [{ "type": "text", "text": "seen" }] })
            }
            _ => return,
        };
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        let stream = known.stream.as_ref().expect("an open stream");
        stream.try_send(format!("event: message\ndata: {answer}\n\n").into()).expect("room");
    }
}

struct Scene {
    office: Office,
    server: Server,
    owner: Person,
}

async fn scene() -> Scene {
    let office = Office::with(Setup::default(), Wire::OpenaiChat, "mock").await;
    office.hq.prove().await;
    let (server, owner) = (Server::start().await, office.hq.owner());
    let body = json!({ "name": "old", "url": format!("http://{}/sse", server.host),
        "open_hosts": [server.host], "headers": ["x-key=abc"] });
    let made = owner.post(SERVERS, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    Scene { office, server, owner }
}

impl Scene {
    async fn op(&self, op: &str, body: Value) -> Reply {
        self.owner.post(&format!("{SERVERS}/old/{op}"), &body).await
    }

    async fn call(&self, tool: &str) -> Reply {
        self.op("call", json!({ "tool": tool })).await
    }

    async fn approve(&self) {
        let tested = self.op("test", json!({})).await;
        assert_eq!(tested.status, StatusCode::OK, "{}", tested.text);
        let tools = json!({ "reads": ["look"], "acts": ["write"] });
        let approved = self.op("approve", tools).await;
        assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_http_and_sse_is_approved_and_called_over_one_stream() {
    let scene = scene().await;
    scene.approve().await;
    let shown = scene.owner.get(&format!("{SERVERS}/old")).await.json();
    assert_eq!(shown["era"], "legacy", "{shown}");
    scene.server.known().streams = 0;
    for tool in ["look", "write", "look"] {
        let called = scene.call(tool).await;
        assert_eq!(called.status, StatusCode::OK, "{}", called.text);
        assert_eq!(called.json()["message"], "seen");
    }
    assert_eq!(scene.server.known().calls, ["look", "write", "look"]);
    assert_eq!(scene.server.known().streams, 1);
    let keys = scene.server.known().keys.clone();
    assert!(keys.iter().all(|(_, key)| key == "abc"), "{keys:?}");
    assert!(keys.iter().any(|(method, _)| *method == Method::GET), "{keys:?}");

    // The stream ends with the idle connection, and the next call opens another.
    let stream = scene.server.known().stream.clone().expect("an open stream");
    scene.office.hq.advance(Duration::from_secs(6 * 60)).await;
    let closed = tokio::time::timeout(Duration::from_secs(30), stream.closed()).await;
    assert!(closed.is_ok(), "the stream is still open");
    let called = scene.call("look").await;
    assert_eq!(called.status, StatusCode::OK, "{}", called.text);
    assert_eq!(scene.server.known().streams, 2);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ends_in_a_call_repeats_reads_only() {
    let scene = scene().await;
    scene.approve().await;
    scene.server.known().cuts = 1;
    let ended = scene.call("write").await;
    assert_eq!(ended.status, StatusCode::SERVICE_UNAVAILABLE, "{}", ended.text);
    assert_eq!(ended.json()["code"], "mcp_outcome_unknown", "{}", ended.text);
    scene.server.known().cuts = 1;
    let read = scene.call("look").await;
    assert_eq!(read.status, StatusCode::OK, "{}", read.text);
    assert_eq!(scene.server.known().calls, ["write", "look", "look"]);
    // Once only.
    scene.server.known().cuts = 2;
    let ended = scene.call("look").await;
    assert_eq!(ended.status, StatusCode::SERVICE_UNAVAILABLE, "{}", ended.text);
    assert_eq!(scene.server.known().calls.len(), 5);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_of_another_origin_is_refused() {
    let scene = scene().await;
    scene.server.known().endpoint = Some("http://127.0.0.1:1/messages");
    let tested = scene.op("test", json!({})).await;
    assert!(tested.text.contains("another origin"), "{}", tested.text);
    let shown = scene.owner.get(&format!("{SERVERS}/old")).await;
    assert!(shown.text.contains("another origin"), "{}", shown.text);
    scene.office.hq.finish().await;
}
