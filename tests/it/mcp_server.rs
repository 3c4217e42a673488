//! HQ as an MCP server: both eras, rights, errors; the same tools over plain JSON.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, TestHq};

const ALL: [&str; 4] = ["read", "write", "chat", "agents"];

/// A request of 2026-07-28 with the headers that belong to it.
async fn modern(client: &Person, method: &str, mut params: Value) -> Reply {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let client = client.clone().with("mcp-protocol-version", "2026-07-28");
    client.with("mcp-method", method).with("mcp-name", &name).post("/mcp", &body).await
}

async fn legacy(client: &Person, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let reply = client.post("/mcp", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["result"].clone()
}

/// The result of a tool.
async fn call(client: &Person, name: &str, arguments: Value) -> Value {
    let reply = modern(client, "tools/call", json!({ "name": name, "arguments": arguments })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["result"].clone()
}

async fn tools(client: &Person) -> Vec<Value> {
    let listed = modern(client, "tools/list", json!({})).await.json();
    assert_eq!(listed["result"]["nextCursor"], Value::Null, "one page has all tools");
    listed["result"]["tools"].as_array().expect("tools").clone()
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_tokens_reach_it_and_other_sites_are_blocked() {
    let hq = TestHq::start().await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for path in ["/mcp", "/tools/invoke"] {
        let stranger = hq.nobody().post(path, &body).await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{}", stranger.text);
        assert_eq!(stranger.header("www-authenticate"), Some("Bearer"));
        let guess =
            hq.nobody().with("authorization", "Bearer hq_pat_guess").post(path, &body).await;
        assert_eq!(guess.status, StatusCode::UNAUTHORIZED);
        // A signed-in browser is not enough: a page must not be able to act through it.
        let browser = hq.owner().post(path, &body).await;
        assert_eq!(browser.status, StatusCode::UNAUTHORIZED, "{}", browser.text);
        assert_eq!(browser.json()["code"], "token_required");
        let program = hq.token(&["read"]).await;
        let foreign = program.clone().with("origin", "https://evil.example");
        let bytes = body.to_string().into_bytes();
        // Programs other than browsers send no `Sec-Fetch-Site`, so the origin decides.
        let site = foreign.clone().with("sec-fetch-site", "cross-site");
        for other in [foreign, site] {
            let sent = other.streamed(path, "application/json", vec![bytes.clone()]).await;
            assert_eq!(sent.status, StatusCode::FORBIDDEN, "{}", sent.text);
        }
        assert_eq!(program.get(path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    let program = hq.token(&["read"]).await;
    let large = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "x": "x".repeat(1 << 20) });
    assert_eq!(program.post("/mcp", &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_each_era_learns_what_the_server_is() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read"]).await;
    let found = modern(&program, "server/discover", json!({})).await.json()["result"].clone();
    assert_eq!(found["supportedVersions"][0], "2026-07-28");
    assert_eq!(
        (&found["cacheScope"], &found["resultType"]),
        (&json!("private"), &json!("complete"))
    );
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {} });
    let begun = legacy(&program, "initialize", hello).await;
    assert_eq!(begun["protocolVersion"], "2025-06-18");
    assert_eq!(begun["serverInfo"]["name"], "hq");
    assert!(begun["instructions"].as_str().is_some_and(|text| text.contains("marlow-cargo")));
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let noted = program.post("/mcp", &note).await;
    assert_eq!((noted.status, noted.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert_eq!(noted.header("mcp-session-id"), None);
    assert_eq!(legacy(&program, "ping", json!({})).await, json!({}));
    // Headers that differ from the body.
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    } } });
    let liar = program.clone().with("mcp-protocol-version", "2026-07-28");
    let refused = liar.with("mcp-method", "tools/call").post("/mcp", &body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"]["code"], -32020);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_follow_the_rights_of_the_token() {
    let hq = TestHq::start().await;
    let reader = tools(&hq.token(&["read"]).await).await;
    assert!(reader.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    let reading = names(&reader);
    assert!(reading.contains(&"task_list") && reading.contains(&"label_get"), "{reading:?}");
    let program = hq.token(&ALL).await;
    let whole = tools(&program).await;
    let all = names(&whole);
    for name in [
        "task_create",
        "task_update",
        "comment_add",
        "deliverable_get",
        "contact_create",
        "org_list",
        "interaction_log",
        "knowledge_search",
        "page_create",
        "collection_create",
        "record_query",
        "record_create",
        "routine_create",
        "agent_list",
        "message_agent",
        "label_merge",
        "stream_create",
        "view_list",
        "workspace_search",
        "conversation_read",
    ] {
        assert!(all.contains(&name), "{name}");
    }
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!(all, sorted);
    // Administration adds no tool.
    let admin = tools(&hq.api().await).await;
    assert_eq!(names(&admin), all);
    for word in ["secret", "file", "browser", "approval", "token", "channel", "setting", "member"] {
        assert!(!all.iter().any(|name| name.contains(word)), "{word} in {all:?}");
    }
    for tool in &whole {
        let schema = &tool["inputSchema"];
        assert_eq!(schema["type"], "object", "{tool}");
        assert_eq!(schema["additionalProperties"], false, "{tool}");
        for noise in ["nullable", "minimum"] {
            assert!(!schema.to_string().contains(&format!("\"{noise}\":")), "{tool}");
        }
        assert!(tool["description"].as_str().is_some_and(|text| !text.is_empty()), "{tool}");
    }
    let tool = |name: &str| whole.iter().find(|tool| tool["name"] == name).expect("the tool");
    for (name, destroys) in [("task_create", false), ("label_create", false), ("label_merge", true)]
    {
        assert_eq!(tool(name)["annotations"]["destructiveHint"], destroys, "{name}");
    }
    assert_eq!(tool("task_create")["inputSchema"]["required"], json!(["title"]));
    let priority = &tool("task_create")["inputSchema"]["properties"]["priority"];
    assert_eq!(priority["enum"], json!(["low", "medium", "high", "urgent"]));
    assert!(tool("page_create")["inputSchema"]["properties"]["kind"].is_null());
    // What is not listed cannot be called either.
    let viewer = hq.token(&["read"]).await;
    let refused = modern(&viewer, "tools/call", json!({ "name": "task_create" })).await.json();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    // A token never has more rights than its owner.
    let other = hq.another("Vera", Some(Role::Viewer)).await;
    let made = other.post("/api/v1/tokens", &json!({ "name": "V", "scopes": ["read"] })).await;
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    let vera = hq.nobody().with("authorization", &format!("Bearer {token}"));
    assert_eq!(names(&tools(&vera).await), reading);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_does_what_its_operation_does() {
    let hq = TestHq::start().await;
    let program = hq.token(&ALL).await;
    let made = call(&program, "task_create", json!({ "title": "Write the offer" })).await;
    assert_eq!(made["isError"], false, "{made}");
    assert_eq!(made["structuredContent"]["title"], "Write the offer");
    let seen = program.get("/api/v1/tasks/MC-1").await;
    assert_eq!(seen.json()["title"], "Write the offer");
    assert_eq!(made["structuredContent"]["id"], seen.json()["id"]);

    // The same over the legacy era, with parameters of path and query.
    let list = json!({ "name": "task_list", "arguments": { "q": "offer", "limit": 1 } });
    let listed = legacy(&program, "tools/call", list).await;
    assert_eq!(listed["structuredContent"]["items"][0]["key"], "MC-1", "{listed}");
    let commented =
        call(&program, "comment_add", json!({ "task": "MC-1", "body": "Ten chairs" })).await;
    assert_eq!(commented["isError"], false, "{commented}");

    // A change is refused if the record is no longer as it was read.
    let read = call(&program, "task_get", json!({ "task": "MC-1" })).await;
    let tag = read["content"][1]["text"].as_str().expect("a tag").trim_start_matches("if_match: ");
    let change = json!({ "task": "MC-1", "title": "Write the better offer", "if_match": tag });
    assert_eq!(call(&program, "task_update", change.clone()).await["isError"], false);
    let late = call(&program, "task_update", change).await;
    assert_eq!(
        (&late["isError"], &late["structuredContent"]["code"]),
        (&json!(true), &json!("stale"))
    );

    // Fields of one's own are in `values`.
    let rosa = call(&program, "contact_create", json!({ "values": { "name": "Rosa" } })).await;
    assert_eq!(rosa["isError"], false, "{rosa}");
    let id = rosa["structuredContent"]["id"].as_str().expect("an id");
    let gone = call(&program, "contact_delete", json!({ "id": id })).await;
    assert_eq!(gone["isError"], false, "{gone}");
    let missing = call(&program, "contact_get", json!({ "id": id })).await;
    assert_eq!(missing["isError"], true, "{missing}");

    // The audit trail names the token's owner, as for the API.
    let comments = program.get("/api/v1/tasks/MC-1/comments").await.json();
    assert_eq!(comments["items"][0]["body"], "Ten chairs", "{comments}");
    let history = program.get("/api/v1/history/tasks/MC-1").await.json();
    for change in history["items"].as_array().expect("changes") {
        assert_eq!(change["actor"]["name"], "Mira Lindqvist", "{change}");
        assert_eq!(change["through"], "with the token “Test”", "{change}");
    }
    let newest = &history["items"][0];
    assert!(newest["fields"].to_string().contains("Write the better offer"), "{newest}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_say_what_to_correct_and_a_key_makes_a_repeat_harmless() {
    let hq = TestHq::start().await;
    let program = hq.token(&ALL).await;
    let text = |result: &Value| result["content"][0]["text"].as_str().expect("a text").to_owned();
    let unknown = call(&program, "task_create", json!({ "title": "A", "nick": "B" })).await;
    assert_eq!(unknown["isError"], true);
    assert!(text(&unknown).contains("nick"), "{unknown}");
    let wrong = call(&program, "task_create", json!({ "title": "A", "assignee": "zed" })).await;
    assert_eq!(wrong["isError"], true);
    assert!(text(&wrong).contains("assignee"), "{wrong}");
    let nowhere = call(&program, "task_get", json!({ "task": "MC-99" })).await;
    assert_eq!(
        (&nowhere["isError"], nowhere["structuredContent"]["status"].as_u64()),
        (&json!(true), Some(404))
    );
    let odd = call(&program, "task_get", json!({ "task": "../settings" })).await;
    assert_eq!(odd["isError"], true, "{odd}");

    let keyed = |title: &str| {
        let meta = json!({ "hq/idempotencyKey": "one" });
        json!({ "name": "task_create", "arguments": { "title": title }, "_meta": meta })
    };
    let first = modern(&program, "tools/call", keyed("Once")).await.json();
    let again = modern(&program, "tools/call", keyed("Once")).await.json();
    assert_eq!(first["result"]["structuredContent"], again["result"]["structuredContent"]);
    let other = modern(&program, "tools/call", keyed("Twice")).await.json();
    assert_eq!(other["result"]["isError"], true, "{other}");
    assert_eq!(
        program.get("/api/v1/tasks").await.json()["items"].as_array().map(Vec::len),
        Some(1)
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_changed_by_tools_but_skills_and_files_are_not() {
    let hq = TestHq::start().await;
    let (api, program) = (hq.api().await, hq.token(&ALL).await);
    let skill = json!({ "kind": "skill", "title": "Offers", "text": "Ask first." });
    let made = call(&program, "page_create", skill.clone()).await;
    assert_eq!(made["structuredContent"]["code"], "invalid_arguments", "{made}");
    assert_eq!(api.post("/api/v1/knowledge", &skill).await.status, StatusCode::CREATED);
    let sent = api
        .bytes("POST", "/api/v1/knowledge/files?name=a.pdf", "application/octet-stream", vec![0; 9])
        .await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    let file = sent.json();
    assert_eq!(file["kind"], "file", "{file}");
    for id in ["Offers", file["id"].as_str().expect("an id")] {
        for (name, arguments) in [
            ("page_update", json!({ "id": id, "title": "Mine" })),
            ("page_delete", json!({ "id": id })),
        ] {
            let refused = call(&program, name, arguments).await;
            assert_eq!(refused["structuredContent"]["code"], "not_a_page", "{refused}");
        }
        let read = call(&program, "knowledge_read", json!({ "id": id })).await;
        assert_eq!(read["isError"], false, "{read}");
    }
    let page = json!({ "title": "Prices", "text": "Ten." });
    let made = call(&program, "page_create", page).await;
    assert_eq!(made["structuredContent"]["kind"], "page", "{made}");
    let changed = json!({ "id": "Prices", "text": "Eleven." });
    let changed = call(&program, "page_update", changed).await;
    assert_eq!(changed["structuredContent"]["text"], "Eleven.", "{changed}");
    let gone = call(&program, "page_delete", json!({ "id": "Prices" })).await;
    assert_eq!(gone["isError"], false, "{gone}");
    let missing = call(&program, "page_delete", json!({ "id": "Prices" })).await;
    assert_eq!(missing["structuredContent"]["status"], 404, "{missing}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_counts_as_its_messages() {
    let setup = support::hq::Setup::default().config(|config| {
        (config.limits.api_per_minute, config.limits.api_burst) = (60, 3);
    });
    let hq = setup.start().await;
    let program = hq.token(&["read"]).await;
    let one = |id: u64| {
        let params = json!({ "name": "task_list" });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let all = Value::Array((1..=5).map(one).collect());
    let reply = program.post("/mcp", &all).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let answers = reply.json();
    let codes: Vec<Value> = (0..5).map(|at| answers[at]["error"]["code"].clone()).collect();
    let limited = json!(-32000);
    let expected = [Value::Null, Value::Null, Value::Null, limited.clone(), limited];
    assert_eq!(codes, expected, "{answers}");
    assert_eq!(program.post("/mcp", &one(6)).await.status, StatusCode::TOO_MANY_REQUESTS);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_a_disabled_module_are_not_listed() {
    let hq = TestHq::start().await;
    let (api, program) = (hq.api().await, hq.token(&ALL).await);
    let off = api.json("PATCH", "/api/v1/settings", &json!({ "modules_off": ["knowledge"] })).await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.text);
    let listed = tools(&program).await;
    let all = names(&listed);
    assert!(!all.contains(&"knowledge_search") && all.contains(&"task_list"), "{all:?}");
    let refused = call(&program, "knowledge_search", json!({})).await;
    assert_eq!(refused["structuredContent"]["code"], "module_off", "{refused}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_is_called_with_plain_json() {
    let hq = TestHq::start().await;
    let program = hq.token(&ALL).await;
    let body =
        json!({ "tool": "task_create", "args": { "title": "Chairs" }, "idempotencyKey": "k" });
    let made = program.post("/tools/invoke", &body).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert_eq!(
        (&made.json()["ok"], &made.json()["result"]["title"]),
        (&json!(true), &json!("Chairs"))
    );
    assert_eq!(program.post("/tools/invoke", &body).await.text, made.text);
    // `name` wins over `tool`.
    let body = json!({ "name": "task_get", "tool": "task_create", "args": { "task": "MC-1" } });
    let read = program.post("/tools/invoke", &body).await;
    assert_eq!(read.json()["result"]["title"], "Chairs", "{}", read.text);

    for (body, status, kind) in [
        (json!({ "tool": "exec" }), 404, "tool_not_found"),
        (json!({ "tool": "message" }), 404, "tool_not_found"),
        (json!({ "tool": "secret_list" }), 404, "tool_not_found"),
        (json!({ "tool": "task_get", "args": { "task": "MC-9" } }), 404, "task_not_found"),
        (json!({ "tool": "task_create", "args": { "name": "A" } }), 400, "invalid_arguments"),
        (json!({ "tool": "task_list", "agentId": "ada" }), 400, "unsupported"),
        (json!({ "args": {} }), 400, "invalid_request"),
        (json!({ "tool": "task_list", "arguments": {} }), 400, "invalid_request"),
    ] {
        let reply = program.post("/tools/invoke", &body).await;
        assert_eq!(reply.status.as_u16(), status, "{body}: {}", reply.text);
        assert_eq!(reply.json()["ok"], false);
        assert_eq!(reply.json()["error"]["type"], kind, "{}", reply.text);
        assert!(reply.json()["error"]["message"].is_string());
    }
    let main = json!({ "tool": "task_list", "sessionKey": "main", "agentId": "main" });
    assert_eq!(program.post("/tools/invoke", &main).await.status, StatusCode::OK);
    let reader = hq.token(&["read"]).await;
    let denied = json!({ "tool": "task_create", "args": { "title": "A" } });
    assert_eq!(reader.post("/tools/invoke", &denied).await.status, StatusCode::NOT_FOUND);
    let large = json!({ "tool": "task_list", "args": { "q": "x".repeat(2 << 20) } });
    let refused = program.post("/tools/invoke", &large).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_names_the_rule_and_changes_nothing() {
    let hq = TestHq::start().await;
    let (program, reader) = (hq.token(&ALL).await, hq.token(&["read"]).await);
    let dry = async |client: &Person, args: Value| {
        let body = json!({ "tool": "task_create", "args": args, "dryRun": true });
        let reply = client.post("/tools/invoke", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["result"].clone()
    };
    let good = dry(&program, json!({ "title": "A" })).await;
    assert_eq!(
        (&good["verdict"], &good["rule"], &good["valid"]),
        (&json!("allow"), &json!("permission write"), &json!(true))
    );
    let bad = dry(&program, json!({ "title": 5, "nick": "A" })).await;
    assert_eq!((&bad["verdict"], &bad["valid"]), (&json!("allow"), &json!(false)));
    assert_eq!(bad["errors"].as_array().map(Vec::len), Some(2), "{bad}");
    let denied = dry(&reader, json!({ "title": "A" })).await;
    assert_eq!((&denied["verdict"], &denied["rule"]), (&json!("deny"), &json!("permission write")));
    let unknown = json!({ "tool": "exec", "dryRun": true });
    assert_eq!(program.post("/tools/invoke", &unknown).await.status, StatusCode::NOT_FOUND);
    assert_eq!(program.get("/api/v1/tasks").await.json()["items"], json!([]));
    hq.finish().await;
}
