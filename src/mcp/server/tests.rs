//! Both eras against a host with a few tools.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{About, Call, Headers, Host, HostError, Response, handle, request_headers};
use crate::wire::{CallResult, Content, Implementation, Tool};

/// Its tools, and how many further messages of a batch it takes.
struct Tools(Vec<Tool>, AtomicUsize);

impl Tools {
    fn of(names: &[&str]) -> Tools {
        let tool = |name: &&str| {
            let schema = json!({ "type": "object" });
            Tool::from_value(json!({ "name": name, "inputSchema": schema })).expect("a tool")
        };
        Tools(names.iter().map(tool).collect(), AtomicUsize::new(2))
    }
}

impl Host for Tools {
    fn about(&self) -> About {
        let server = Implementation {
            name: "test".into(),
            version: "1".into(),
            ..Implementation::default()
        };
        About { server, instructions: "Use them.".to_owned() }
    }

    fn tools(&self) -> Vec<&Tool> {
        self.0.iter().collect()
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<CallResult, HostError>> {
        async move {
            match call.name.as_str() {
                "echo" => Ok(CallResult {
                    content: vec![Content::text("said")],
                    structured_content: Some(call.arguments.get("say").cloned().into()),
                    is_error: false,
                }),
                "ask" => Err(HostError::MissingCapability(json!({ "elicitation": {} }))),
                "break" => Err(HostError::Internal("it broke".to_owned())),
                _ => Err(HostError::UnknownTool),
            }
        }
        .boxed()
    }

    fn count(&self) -> Result<(), String> {
        let less = |left: usize| left.checked_sub(1);
        let taken = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        // ok: the error is the number that is left, 0.
        taken.map(|_| ()).map_err(|_| "too many calls".to_owned())
    }
}

async fn send(body: &Value, headers: &[(&str, &str)]) -> Response {
    let headers = Headers::read(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    let text = body.to_string();
    handle(text.as_bytes(), &headers, &Tools::of(&["echo", "ask", "break", "alpha"])).await
}

/// A legacy request.
async fn old(method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let response = send(&body, &[("MCP-Protocol-Version", "2025-06-18")]).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.body.expect("a body")
}

fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": "a", "method": method, "params": params })
}

/// A modern request with the headers that belong to it.
async fn new(method: &str, params: Value) -> Response {
    let body = modern(method, params);
    let headers = request_headers(&body);
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, is)| (*name, is.as_str())).collect();
    send(&body, &headers).await
}

fn code(response: &Response) -> i64 {
    response.body.as_ref().expect("a body")["error"]["code"].as_i64().expect("a code")
}

#[tokio::test]
async fn initialize_agrees_on_a_legacy_version() {
    for (asked, agreed) in [
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2024-11-05"),
        ("1999-01-01", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let body = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": { "protocolVersion": asked, "capabilities": {} },
        });
        let response = send(&body, &[]).await;
        assert_eq!(response.status, 200);
        let body = response.body.expect("a body");
        assert_eq!(body["id"], 0);
        assert_eq!(body["result"]["protocolVersion"], agreed);
        assert_eq!(body["result"]["capabilities"], json!({ "tools": {} }));
        assert_eq!(body["result"]["serverInfo"]["name"], "test");
        assert_eq!(body["result"]["resultType"], Value::Null);
    }
}

#[tokio::test]
async fn legacy_requests_need_no_headers_and_no_session() {
    assert_eq!(old("ping", json!({})).await["result"], json!({}));
    let listed = old("tools/list", json!({})).await;
    let names: Vec<&str> = listed["result"]["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["alpha", "ask", "break", "echo"]);
    assert_eq!(listed["result"]["ttlMs"], Value::Null);
    let said =
        old("tools/call", json!({ "name": "echo", "arguments": { "say": { "a": 1 } } })).await;
    assert_eq!(said["result"]["structuredContent"], json!({ "a": 1 }));
    assert_eq!(said["result"]["content"], json!([{ "type": "text", "text": "said" }]));
    // Before 2026-07-28, structured content is an object.
    let said = old("tools/call", json!({ "name": "echo", "arguments": { "say": [1] } })).await;
    assert_eq!(said["result"]["structuredContent"], Value::Null);
    for method in ["server/discover2", "resources/list", "logging/setLevel"] {
        assert_eq!(old(method, json!({})).await["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn notifications_are_accepted_without_an_answer() {
    for method in ["notifications/initialized", "notifications/cancelled"] {
        let response = send(&json!({ "jsonrpc": "2.0", "method": method }), &[]).await;
        assert_eq!(response, Response { status: 202, body: None });
    }
}

#[tokio::test]
async fn discovery_states_versions_capabilities_and_a_private_cache() {
    let response = new("server/discover", json!({})).await;
    assert_eq!(response.status, 200);
    let result = &response.body.expect("a body")["result"];
    assert_eq!(result["supportedVersions"][0], "2026-07-28");
    assert_eq!(result["supportedVersions"].as_array().map(Vec::len), Some(5));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["cacheScope"], "private");
    assert!(result["ttlMs"].is_u64());
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "test");
}

#[tokio::test]
async fn modern_lists_and_calls_are_complete_results() {
    let listed = new("tools/list", json!({})).await.body.expect("a body");
    assert_eq!(listed["result"]["tools"][0]["name"], "alpha");
    assert_eq!(listed["result"]["cacheScope"], "private");
    let said = new("tools/call", json!({ "name": "echo", "arguments": { "say": [1] } })).await;
    let said = said.body.expect("a body");
    assert_eq!(said["id"], "a");
    assert_eq!(said["result"]["structuredContent"], json!([1]));
    assert_eq!(said["result"]["resultType"], "complete");
    assert_eq!(said["result"]["isError"], false);
    assert_eq!(said["result"]["cacheScope"], Value::Null);
}

#[tokio::test]
async fn what_the_modern_era_removed_is_not_found() {
    for method in ["ping", "initialize", "resources/list", "subscriptions/listen"] {
        let response = new(method, json!({})).await;
        assert_eq!((response.status, code(&response)), (404, -32601), "{method}");
    }
}

#[tokio::test]
async fn headers_that_contradict_the_body_are_refused() {
    let call = modern("tools/call", json!({ "name": "echo" }));
    let good = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    assert_eq!(send(&call, &good).await.status, 200);
    for missing in 0..good.len() {
        let mut headers = good.to_vec();
        headers.remove(missing);
        let response = send(&call, &headers).await;
        assert_eq!((response.status, code(&response)), (400, -32020), "without {missing}");
    }
    for (at, wrong) in
        [(0, "2025-11-25"), (1, "tools/list"), (2, "alpha"), (2, "=?base64?!!?="), (2, "\u{7f}")]
    {
        let mut headers = good;
        headers[at].1 = wrong;
        let response = send(&call, &headers).await;
        assert_eq!((response.status, code(&response)), (400, -32020), "{wrong}");
    }
    let twice = [good.as_slice(), &[("Mcp-Name", "echo")]].concat();
    assert_eq!(code(&send(&call, &twice).await), -32020);
    let mut encoded = good;
    encoded[2].1 = "=?base64?ZWNobw==?=";
    assert_eq!(send(&call, &encoded).await.status, 200);
}

#[tokio::test]
async fn an_unknown_version_is_answered_with_those_that_are_supported() {
    let mut body = modern("tools/list", json!({}));
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    for body in [body, json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })] {
        let headers = [("MCP-Protocol-Version", "1900-01-01"), ("Mcp-Method", "tools/list")];
        let response = send(&body, &headers).await;
        assert_eq!((response.status, code(&response)), (400, -32022));
        let data = &response.body.expect("a body")["error"]["data"];
        assert_eq!(data["requested"], "1900-01-01");
        assert_eq!(data["supported"][0], "2026-07-28");
    }
}

#[tokio::test]
async fn a_modern_request_without_its_metadata_is_malformed() {
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];
    let bare = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let mut partial = modern("tools/list", json!({}));
    let meta = partial["params"]["_meta"].as_object_mut().expect("metadata");
    meta.remove("io.modelcontextprotocol/clientCapabilities");
    for body in [bare, partial] {
        let response = send(&body, &headers).await;
        assert_eq!((response.status, code(&response)), (400, -32602), "{body}");
    }
}

#[tokio::test]
async fn errors_of_the_host_have_the_codes_of_the_protocol() {
    for (tool, status, expected) in
        [("none", 200, -32602), ("ask", 400, -32021), ("break", 200, -32603)]
    {
        let response = new("tools/call", json!({ "name": tool })).await;
        assert_eq!((response.status, code(&response)), (status, expected), "{tool}");
    }
    let asked = new("tools/call", json!({ "name": "ask" })).await.body.expect("a body");
    assert_eq!(asked["error"]["data"]["requiredCapabilities"], json!({ "elicitation": {} }));
    let response = new("tools/call", json!({ "name": "echo", "arguments": [] })).await;
    assert_eq!(code(&response), -32602);
}

#[tokio::test]
async fn bodies_that_are_no_message_are_refused_and_never_taken_for_notifications() {
    let headers = Headers::default();
    let response = handle(b"{", &headers, &Tools::of(&[])).await;
    assert_eq!((response.status, code(&response)), (400, -32700));
    assert_eq!(response.body.expect("a body").get("id"), None);
    for body in [
        json!("text"),
        json!({ "jsonrpc": "1.0", "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": [] }),
        json!([]),
    ] {
        let response = send(&body, &[]).await;
        assert_eq!((response.status, code(&response)), (400, -32600), "{body}");
    }
}

#[tokio::test]
async fn batches_exist_in_old_versions_only() {
    let ping = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let both = json!([ping(1), note, ping(2)]);
    let response = send(&both, &[("MCP-Protocol-Version", "2025-03-26")]).await;
    let answers = response.body.expect("a body");
    assert_eq!(answers.as_array().map(Vec::len), Some(2));
    assert_eq!(answers[1]["id"], 2);
    assert_eq!(send(&json!([note]), &[]).await.status, 202);
    let response = send(&both, &[("MCP-Protocol-Version", "2025-06-18")]).await;
    assert_eq!((response.status, code(&response)), (400, -32600));
}

#[tokio::test]
async fn each_further_message_of_a_batch_counts() {
    let call = |id: u64| {
        let params = json!({ "name": "echo" });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" });
    let all = json!([call(1), call(2), call(3), call(4), note]);
    let answers = send(&all, &[]).await.body.expect("a body");
    let codes: Vec<_> = answers.as_array().expect("answers").iter().collect();
    assert_eq!(codes.len(), 4, "{answers}");
    assert!(codes[..3].iter().all(|answer| answer["result"]["isError"] == false), "{answers}");
    assert_eq!((&answers[3]["id"], &answers[3]["error"]["code"]), (&json!(4), &json!(-32000)));
}

#[tokio::test]
async fn pages_of_tools_follow_each_other_by_name() {
    let names: Vec<String> = (0..600).map(|at| format!("tool_{at:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let host = Tools::of(&names);
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for _ in 0..3 {
        let body = modern("tools/list", json!({ "cursor": cursor }));
        let headers = request_headers(&body);
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let response = handle(body.to_string().as_bytes(), &Headers::read(headers), &host).await;
        let result = response.body.expect("a body")["result"].take();
        let page = result["tools"].as_array().expect("tools").clone();
        seen.extend(page.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()));
        cursor = result["nextCursor"].clone();
    }
    assert_eq!((seen, cursor), (names.iter().map(ToString::to_string).collect(), Value::Null));
    let response = new("tools/list", json!({ "cursor": "!" })).await;
    assert_eq!(code(&response), -32602);
}

#[test]
fn mirrored_headers_carry_any_name() {
    let body = modern("tools/call", json!({ "name": "größe" }));
    let headers = request_headers(&body);
    assert_eq!(headers[0], ("mcp-protocol-version", "2026-07-28".to_owned()));
    assert_eq!(headers[2], ("mcp-name", "=?base64?Z3LDtsOfZQ==?=".to_owned()));
    assert!(request_headers(&json!({ "jsonrpc": "2.0", "method": "ping", "id": 1 })).is_empty());
}
