//! Provider connections: keys that are never shown, connection tests with real calls, choice of the model.

use features::connections::model::{Connection, ConnectionKey};
use features::connections::{provider, queries};
use features::workspace::model::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{ReadExt, StoreError};

use support::hq::{Person, TestHq};
use support::model::{ModelServer, Turn};
use support::work;

const KEY: &str = "sk-very-secret-key-0815";

fn body(name: &str, kind: &str, url: &str) -> Value {
    json!({ "name": name, "kind": kind, "base_url": url, "api_key": KEY, "test": false })
}

async fn connect(api: &Person, body: &Value) -> String {
    let made = api.post("/api/v1/connections", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_not_to_be_the_default_does_not_become_it_by_working() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    model.offer(&["gpt-5.2"]).require_key(KEY).usually(Turn::text("ready"));
    let api = hq.api().await;
    let mut wish = body("Mock", "openai", &model.openai_url());
    (wish["test"], wish["is_default"]) = (json!(true), json!(false));
    let first = connect(&api, &wish).await;
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["items"][0]["tested"]["ok"], true, "{all}");
    assert_eq!(all["default"], json!({ "connection": null, "model": "practice" }));
    // Nor does a new key make it the default.
    let url = format!("/api/v1/connections/{first}");
    let changed = api.json("PATCH", &url, &json!({ "api_key": KEY })).await;
    assert_eq!(changed.json()["tested"]["ok"], true, "{}", changed.text);
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"], json!({ "connection": null, "model": "practice" }));
    let page = format!("/w/marlow-cargo/settings/connections/{first}");
    let owner = hq.owner();
    let edit = owner.get(&page).await;
    assert_eq!(edit.attrs("[name=stays][checked]", "name").len(), 1, "{}", edit.text);
    let rev = edit.attr("[name=rev]", "value");
    let at = model.openai_url();
    let typed = [("rev", rev.as_str()), ("name", "Mock"), ("base_url", &at)];
    assert!(owner.form(&page, &typed).await.location().is_some(), "it is saved");
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"]["connection"], first, "{all}");
    let left = api.json("PATCH", &url, &json!({ "is_default": false })).await;
    assert_eq!(left.status, StatusCode::OK, "{}", left.text);
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"], json!({ "connection": null, "model": "practice" }));
    wish["name"] = json!("Another");
    wish.as_object_mut().expect("an object").remove("is_default");
    let another = connect(&api, &wish).await;
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"]["connection"], another, "{all}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_tested_by_a_real_call_and_the_first_that_passes_becomes_the_default() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["gpt-5.2", "gpt-4o"]).require_key(KEY).usually(Turn::text("ready"));
    let api = hq.api().await;

    let id = connect(&api, &body("Mock", "openai", &model.openai_url())).await;
    let tested = api.call("POST", &format!("/api/v1/connections/{id}/test")).await.json();
    assert_eq!(tested["ok"], true, "{tested}");
    assert_eq!(tested["became_default"], true);
    assert!(tested["message"].as_str().is_some_and(|said| said.contains("didn't call a tool")));
    assert_eq!(tested["connection"]["default_model"], "gpt-5.2");
    assert_eq!(model.last().header("authorization"), format!("Bearer {KEY}"));

    // The call was real and counts in the month's usage.
    let month = api.get("/api/v1/usage").await.json();
    let spent = month["tests_micros"].as_i64().expect("a sum");
    assert!(0 < spent && month["billed_micros"] == spent, "{month}");
    assert_eq!(month["by_agent"], json!([]));
    assert_eq!(month["by_day"][0]["billed_micros"], spent);
    let page = hq.owner().get("/w/marlow-cargo/settings/usage").await;
    assert!(page.text.contains("Connection tests"), "{}", page.text);

    let second = connect(&api, &body("Second", "anthropic", &model.anthropic_url())).await;
    let tested = api.call("POST", &format!("/api/v1/connections/{second}/test")).await.json();
    assert_eq!((&tested["ok"], &tested["became_default"]), (&json!(true), &json!(false)));
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"], json!({ "connection": id, "model": "gpt-5.2" }));
    assert_eq!(all["practice"]["name"], "Practice · no AI");

    // Removing the default connection falls back to practice, which the page announces.
    let page = hq.owner().get(&format!("/w/marlow-cargo/settings/connections/{id}")).await;
    assert!(page.text.contains("goes back to practice"), "{}", page.text);
    let gone = api.call("DELETE", &format!("/api/v1/connections/{id}")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"], json!({ "connection": null, "model": "practice" }));

    // Also if other connections replace it; their changes are reported, too.
    let third = connect(&api, &body("Third", "openai", &model.openai_url())).await;
    api.call("POST", &format!("/api/v1/connections/{third}/test")).await;
    let path = format!("/api/v1/connections/{second}?replacement={third}");
    assert_eq!(api.call("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    let told = hq.owner().get("/w/marlow-cargo/activity").await.texts(".feed li .what");
    for name in ["Mock", "Second"] {
        let removed = format!("removed the connection {name}");
        assert!(told.iter().any(|line| line.contains(&removed)), "{removed}: {told:?}");
    }
    assert!(told.iter().any(|line| line.contains("added the connection Third")), "{told:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_says_whether_the_model_calls_tools() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["mock"]).usually(Turn::text("ready"));
    let api = hq.api().await;
    let id = connect(&api, &body("Mock", "openai", &model.openai_url())).await;
    let test = async || {
        let said = api.call("POST", &format!("/api/v1/connections/{id}/test")).await.json();
        assert_eq!(said["ok"], true, "{said}");
        let known = said["connection"]["models"][0]["tools"].clone();
        (said["message"].as_str().expect("words").to_owned(), known)
    };
    model.push(Turn::text("ready")).push(Turn::call("echo", json!({ "word": "Ready" })));
    let (said, known) = test().await;
    assert!(said.ends_with(" and calls tools"), "{said}");
    assert_eq!((model.last().tools(), known), (vec!["echo".to_owned()], json!(true)));
    let refusal = "this model does not support tools";
    model.push(Turn::text("ready")).push(Turn::error(400, "invalid_request_error", refusal));
    let (said, known) = test().await;
    assert!(said.contains("doesn't support tools"), "{said}");
    assert_eq!(known, json!(false));
    model.push(Turn::text("ready")).push(Turn::error(429, "rate_limit_error", "slow down"));
    let (said, _) = test().await;
    assert!(said.contains("couldn't check whether it calls tools"), "{said}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_an_empty_server_and_no_server_are_told_apart() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&[]).require_key("sk-another-key-4711").usually(Turn::text("ready"));
    let api = hq.api().await;
    let test = async |id: &str| {
        let said = api.call("POST", &format!("/api/v1/connections/{id}/test")).await.json();
        assert_eq!(said["ok"], false, "{said}");
        said["message"].as_str().expect("words").to_owned()
    };

    let id = connect(&api, &body("Wrong", "openai", &model.openai_url())).await;
    let said = test(&id).await;
    assert!(said.contains("rejected the key") && said.contains("401"), "{said}");
    assert!(!said.contains(KEY), "a key stands in what a test says");

    let patch = json!({ "api_key": "sk-another-key-4711", "test": false });
    let changed = api.json("PATCH", &format!("/api/v1/connections/{id}"), &patch).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.json()["tested"], Value::Null, "another key has not been tested");
    let said = test(&id).await;
    assert!(said.contains("offers no models"), "{said}");

    let nobody = connect(&api, &body("Nobody", "openai", "http://127.0.0.1:9")).await;
    let said = test(&nobody).await;
    assert!(said.contains("Couldn't reach the provider"), "{said}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_tested_when_it_is_made_and_when_its_key_is_another_one() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["gpt-5.2"]).require_key("sk-another-key-4711").usually(Turn::text("ready"));
    let api = hq.api().await;
    let new =
        json!({ "name": "Mock", "kind": "openai", "base_url": model.openai_url(), "api_key": KEY });
    let made = api.post("/api/v1/connections", &new).await.json();
    assert_eq!(made["tested"]["ok"], false, "{made}");
    assert_eq!(
        (&made["eligible"], &made["reason"]),
        (&json!(false), &json!("key_refused")),
        "{made}"
    );
    let id = made["id"].as_str().expect("an id").to_owned();

    let patch = json!({ "api_key": "sk-another-key-4711" });
    let mended = api.json("PATCH", &format!("/api/v1/connections/{id}"), &patch).await.json();
    assert_eq!(
        (&mended["tested"]["ok"], &mended["eligible"]),
        (&json!(true), &json!(true)),
        "{mended}"
    );
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"], json!({ "connection": id, "model": "gpt-5.2" }));

    // The same on the page: a rejected key gives an error, a good one is used at once.
    let page = format!("/w/marlow-cargo/settings/connections/{id}");
    let owner = hq.owner();
    let form = async |key: &str| {
        let rev = owner.get(&page).await.attr("input[name=rev]", "value");
        let url = model.openai_url();
        let fields = [("rev", rev.as_str()), ("name", "Mock"), ("base_url", &url), ("key", key)];
        owner.form(&page, &fields).await
    };
    let refused = form("sk-a-third-key-0000").await;
    assert_eq!(refused.location(), Some(page.as_str()), "{}", refused.text);
    assert!(owner.get(&page).await.text.contains("connect to"), "it says so");
    let taken = form("sk-another-key-4711").await;
    assert_eq!(taken.location(), Some("/w/marlow-cargo/settings/connections"), "{}", taken.text);
    let view = api.get(&format!("/api/v1/connections/{id}")).await.json();
    assert_eq!((&view["tested"]["ok"], &view["eligible"]), (&json!(true), &json!(true)), "{view}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_sealed_hinted_and_nowhere_to_be_read() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let made = api.post("/api/v1/connections", &body("Mock", "openai", "127.0.0.1:9")).await;
    assert_eq!(made.json()["key_hint"], "…0815");
    assert!(!made.text.contains(KEY));
    let id = made.json()["id"].as_str().expect("an id").to_owned();

    let owner = hq.owner();
    for path in [
        "/w/marlow-cargo/settings/connections".to_owned(),
        format!("/w/marlow-cargo/settings/connections/{id}"),
        "/w/marlow-cargo/activity".to_owned(),
        "/api/v1/connections".to_owned(),
        format!("/api/v1/connections/{id}"),
    ] {
        let page = owner.get(&path).await;
        assert!(page.status.is_success(), "{path}: {}", page.status);
        assert!(!page.text.contains(KEY), "{path} shows the key");
    }
    let ws = hq.ws();
    let connection: kernel::ConnectionId = id.parse().expect("an id");
    let stored: ConnectionKey =
        ws.read(|snap| snap.get(connection)).expect("a read").expect("a key");
    assert!(stored.sealed.starts_with("enc:v1:"));
    let said = format!("your key {KEY} is here");
    assert!(!ws.app.redactor.text(&said).contains(KEY), "the live key is taken out of texts");
    drop(ws);

    hq.restart().await;
    let ws = hq.ws();
    assert!(!ws.app.redactor.text(&said).contains(KEY), "after a restart, too");
    provider::provider(&ws, Some(connection)).expect("the sealed key opens");
    let gone = hq.owner().call("DELETE", &format!("/api/v1/connections/{id}")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let left: Result<Option<ConnectionKey>, StoreError> = ws.read(|snap| snap.get(connection));
    assert_eq!(left.expect("a read"), None, "the key goes with its connection");
    drop(ws);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_and_changes_nothing() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let before = hq.ws().store.head();
    for (body, field) in [
        (json!({ "name": " ", "kind": "openai" }), "name"),
        (json!({ "name": "A", "kind": "openai", "base_url": "ftp://host" }), "base_url"),
        (json!({ "name": "A", "kind": "anthropic" }), "key"),
        (json!({ "name": "Practice", "kind": "openai" }), "name"),
        (json!({ "name": "A", "kind": "openai", "default_model": "two words" }), "default_model"),
    ] {
        let refused = api.post("/api/v1/connections", &body).await;
        assert!(refused.status.is_client_error(), "{body}: {}", refused.status);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    let owner = hq.owner();
    let typed =
        [("kind", "openai-compatible"), ("name", "Our gateway"), ("base_url", "no address")];
    let page = owner.form("/w/marlow-cargo/settings/connections", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.attr("#f-name", "value"), "Our gateway", "what was typed is kept");
    assert!(page.text_of("#f-base_url-says").contains("an address"));
    assert_eq!(hq.ws().store.head(), before, "nothing was written");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_never_goes_to_another_server_unasked() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let id = connect(&api, &body("Mock", "openai", "https://api.example.com/v1")).await;
    let url = format!("/api/v1/connections/{id}");
    let moved = api.json("PATCH", &url, &json!({ "base_url": "https://evil.example/v1" })).await;
    assert_eq!(moved.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", moved.text);
    assert_eq!(moved.json()["errors"][0]["field"], "key");
    let same = api.json("PATCH", &url, &json!({ "base_url": "https://api.example.com/v2" })).await;
    assert_eq!(same.status, StatusCode::OK, "another path of the same server: {}", same.text);
    let both = json!({ "base_url": "https://other.example/v1", "api_key": "sk-for-the-other-one" });
    assert_eq!(api.json("PATCH", &url, &both).await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_do_not_overwrite_each_other() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let id = connect(&api, &body("Mock", "openai", "127.0.0.1:9")).await;
    let url = format!("/api/v1/connections/{id}");
    let tag = api.get(&url).await.header("etag").expect("a tag").to_owned();
    let first = api.clone().with("if-match", &tag);
    assert_eq!(first.json("PATCH", &url, &json!({ "name": "Mine" })).await.status, StatusCode::OK);
    let late = first.json("PATCH", &url, &json!({ "name": "Yours" })).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{}", late.text);
    assert_eq!(api.get(&url).await.json()["name"], "Mine");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_wins_over_agent_over_workspace_and_the_agent_answers_with_that_model() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["big", "small", "tiny"]).usually(Turn::text("Hello."));
    let api = hq.api().await;
    let mut mock = body("Mock", "openai", &model.openai_url());
    mock["default_model"] = json!("big");
    mock["is_default"] = json!(true);
    let id = connect(&api, &mock).await;
    let models = api.call("POST", &format!("/api/v1/connections/{id}/models")).await;
    assert_eq!(models.json()["models"].as_array().map(Vec::len), Some(3), "{}", models.text);
    let agent = api.post("/api/v1/agents", &json!({ "name": "Ada" })).await.json();
    assert_eq!(agent["status"], "ready", "{agent}");

    let choice = |task: Option<&str>| {
        let ws = hq.ws();
        let task = task.map(str::to_owned);
        ws.read(|snap| {
            let ada = features::agents::queries::by_slug(snap, "ada")?.expect("Ada");
            let task = task.map(|model| features::tasks::model::Task {
                model: Some(model),
                thinking: Some(kernel::Thinking::High),
                ..store::Record::sample()
            });
            let asked = queries::ModelRequest { message: None, task: task.as_ref(), agent: &ada };
            queries::resolve(snap, asked)
        })
        .expect("a choice")
    };
    assert_eq!(choice(None).model, "big");
    api.json("PATCH", "/api/v1/agents/ada", &json!({ "model": "small" })).await;
    assert_eq!(choice(None).model, "small");
    let by_task = choice(Some("mock/tiny"));
    assert_eq!((by_task.model.as_str(), by_task.thinking), ("tiny", kernel::Thinking::High));
    assert_eq!(by_task.connection.map(|id| id.to_string()), Some(id));
    assert_eq!(choice(Some("practice")).connection, None);

    let asked = json!({ "model": "hq/ada", "messages": [{ "role": "user", "content": "Hi" }] });
    let said = api.post("/v1/chat/completions", &asked).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    assert_eq!(model.last().body["model"], "small");
    hq.settle().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn practice_is_chosen_from_the_empty_dashboard_and_by_the_default_of_the_workspace() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let chosen = owner.form("/w/marlow-cargo/settings/connections/practice", &[]).await;
    assert_eq!(chosen.location(), Some("/w/marlow-cargo/agents/new"));
    let settings: Settings = hq.ws().read(|snap| snap.get(())).expect("a read").expect("settings");
    assert_eq!(settings.default_model.as_deref(), Some("practice"));
    let page = owner.get("/w/marlow-cargo/settings/connections").await;
    assert!(page.text_of("#practice").starts_with("Practice · no AI"));
    assert!(page.text_of("#practice").contains("Default"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_test_button_answers_with_its_own_region() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.usually(Turn::text("ready"));
    let api = hq.api().await;
    let id = connect(&api, &body("Mock", "openai", &model.openai_url())).await;
    let part = hq.owner().htmx(&format!("conn-{id}"));
    let path = format!("/w/marlow-cargo/settings/connections/{id}/test");
    let region = part.form(&path, &[]).await;
    assert!(!region.text.contains("<html"), "{}", region.text);
    assert_eq!(region.attr("section.conn", "id"), format!("conn-{id}"));
    assert!(region.text_of(".r-state").contains("Works"));
    let plain = hq.owner().form(&path, &[]).await;
    assert_eq!(plain.status, StatusCode::SEE_OTHER);
    let stored: Connection = hq
        .ws()
        .read(|snap| snap.get(id.parse().expect("an id")))
        .expect("a read")
        .expect("a connection");
    assert!(stored.tested.is_some_and(|tested| tested.ok));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_the_workspace_that_is_nearly_used_up_stands_on_the_dashboard() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["gpt-5.2"]).require_key(KEY).usually(Turn::text("ready"));
    let api = hq.api().await;
    work::agent(&hq, "Ada").await;
    let id = connect(&api, &body("Mock", "openai", &model.openai_url())).await;
    api.call("POST", &format!("/api/v1/connections/{id}/test")).await;
    let spent = api.get("/api/v1/usage").await.json()["billed_micros"].as_i64().expect("a sum");
    let told = async |limit: i64| {
        let limits = json!({ "month_micros": limit, "run_micros": 0 });
        let set = api.json("PUT", "/api/v1/usage/limits", &limits).await;
        assert_eq!(set.status, StatusCode::OK, "{}", set.text);
        let page = hq.owner().get("/w/marlow-cargo/").await.text;
        page.contains("The workspace has used").then_some(page)
    };
    assert!(told(spent * 10).await.is_none(), "a tenth is no reason");
    let nearly = told(spent * 100 / 85).await.expect("a row");
    assert!(nearly.contains("has used 85 %") || nearly.contains("has used 84 %"), "{nearly}");
    let all = told(spent).await.expect("a row");
    assert!(all.contains("has used 100 %") && all.contains("Raise limit"), "{all}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_tell_windows_and_abilities_and_are_read_again_each_day() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["eyes:13b"]).usually(Turn::text("ready")).shows(json!({
        "capabilities": ["completion", "vision"],
        "model_info": {"general.architecture": "x", "x.context_length": 8_192},
    }));
    let api = hq.api().await;
    let id = connect(&api, &body("Cellar", "ollama", &model.own_url())).await;
    let tested = api.call("POST", &format!("/api/v1/connections/{id}/test")).await.json();
    assert_eq!(tested["ok"], true, "{tested}");
    let listed = &tested["connection"]["models"][0];
    assert_eq!(
        (&listed["window"], &listed["tools"], &listed["vision"]),
        (&json!(8_192), &json!(false), &json!(true))
    );
    assert_eq!(listed["thinking"], json!(["none"]));
    let page = hq.owner().get("/w/marlow-cargo/settings/connections").await;
    assert!(page.text.contains("chat only, vision"), "{}", page.text);

    // A day later there is another model, and the first one is gone.
    model.offer(&["new:7b"]).shows(json!({"capabilities": ["completion", "tools", "thinking"]}));
    hq.advance(std::time::Duration::from_secs(25 * 3_600)).await;
    let is_read_again = || {
        let all: Vec<Connection> = work::all(&hq);
        all.iter().any(|one| one.models.iter().any(|model| model.id == "new:7b"))
    };
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
    let read_again = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while !is_read_again() {
            tick.tick().await;
        }
    });
    read_again.await.expect("the list is read again");
    let path = format!("/api/v1/connections/{id}");
    let listed = api.get(&path).await.json()["models"][0].clone();
    assert_eq!((&listed["id"], &listed["tools"]), (&json!("new:7b"), &json!(true)), "{listed}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_lists_to_fall_back_on_are_set_over_the_api_and_in_pages() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["a", "b"]).usually(Turn::text("ready"));
    let api = hq.api().await;
    let id = connect(&api, &body("Mock", "openai_responses", &model.openai_url())).await;
    let one = format!("/api/v1/connections/{id}");
    let secret = "sk-second-key-4711-0815";
    let made = api.post(&format!("{one}/keys"), &json!({ "api_key": secret })).await;
    assert_eq!(
        (made.status, made.json()["key"].clone()),
        (StatusCode::CREATED, json!(1)),
        "{}",
        made.text
    );
    let seen = api.get(&one).await;
    assert_eq!(seen.json()["keys"], json!([0, 1]));
    assert!(!seen.text.contains(secret), "a key is never shown");
    assert!(!hq.ws().app.redactor.text(&format!("it is {secret}")).contains(secret));
    let owner = hq.owner();
    let page = owner.get(&format!("/w/marlow-cargo/settings/connections/{id}")).await;
    assert!(page.text.contains("Key 2, ending in …0815"), "{}", page.text);

    let list = json!({ "models": [{ "connection": id, "model": "b" }, { "connection": null, "model": "practice" }] });
    let set = api.json("PUT", "/api/v1/connections/fallbacks", &list).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let read = api.get("/api/v1/connections/fallbacks").await.json();
    assert_eq!((&read["models"], &read["agent"]), (&list["models"], &json!(null)));
    let list = owner.get("/w/marlow-cargo/settings/connections").await;
    let past = owner.get(&list.attr(".fallbacks .history-fold a", "href")).await;
    assert_eq!(past.status, StatusCode::OK, "{}", past.text);
    assert!(past.text_of("h1").contains("History"), "{}", past.text);
    let bad = json!({ "models": [{ "connection": null, "model": "nobody" }] });
    let refused = api.json("PUT", "/api/v1/connections/fallbacks", &bad).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);

    let gone = api.call("DELETE", &format!("{one}/keys/1")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    let again = api.call("DELETE", &format!("{one}/keys/1")).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let well = api.call("DELETE", &format!("{one}/rests")).await;
    assert_eq!(well.status, StatusCode::NO_CONTENT, "{}", well.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ollamas_compatible_endpoint_is_refused_with_a_hint() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let refused =
        api.post("/api/v1/connections", &body("Cellar", "ollama", "127.0.0.1:11434/v1")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("loses tool calls"), "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_connections_stand_is_told_in_eight_words() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    model.offer(&["gpt-5.2"]).usually(Turn::text("ready"));
    let api = hq.api().await;
    let id = connect(&api, &body("Mock", "openai", &model.openai_url())).await;
    let account = json!({ "name": "Bare", "maker": "chatgpt", "client_id": "ours" });
    let made = api.post("/api/v1/connections/accounts", &account).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let standing = |all: &Value, name: &str| {
        let one = all["items"].as_array().expect("items").iter().find(|one| one["name"] == name);
        let one = one.expect("it is told of");
        (one["status"].clone(), one["reason"].clone())
    };
    let all = api.get("/api/v1/models/status").await.json();
    assert_eq!(standing(&all, "Mock"), (json!("no_model"), json!("no_model")));
    assert_eq!(standing(&all, "Bare"), (json!("auth"), json!("missing_credential")));

    let test = format!("/api/v1/connections/{id}/test");
    let tested = api.call("POST", &test).await.json();
    assert_eq!((&tested["status"], &tested["reason"]), (&json!("ok"), &json!(null)));
    assert!(tested["millis"].is_u64(), "{tested}");
    let all = api.get("/api/v1/models/status").await.json();
    assert_eq!(standing(&all, "Mock").0, json!("ok"));

    model.push(
        Turn::error(429, "rate_limit_error", "slow down")
            .header("x-codex-primary-used-percent", "88")
            .header("x-codex-primary-window-minutes", "300"),
    );
    let tested = api.call("POST", &test).await.json();
    assert_eq!(
        (&tested["ok"], &tested["status"], &tested["reason"]),
        (&json!(false), &json!("rate_limit"), &json!("rate_limit"))
    );
    let all = api.get("/api/v1/models/status").await.json();
    assert_eq!(standing(&all, "Mock"), (json!("unknown"), json!("test_failed")));
    let mock = all["items"].as_array().expect("items").iter().find(|one| one["name"] == "Mock");
    let quota = &mock.expect("it is told of")["quota"][0];
    assert_eq!((&quota["name"], &quota["left_percent"]), (&json!("5 hours"), &json!(12)));
    let page = hq.owner().get("/w/marlow-cargo/settings/connections").await;
    assert!(page.text.contains("<b>5 hours</b> 12 % left"), "{}", page.text);
    let reader = hq.token(&["read"]).await.get("/api/v1/models/status").await;
    assert!(!reader.text.contains("slow down"), "{}", reader.text);

    let models = api.get("/api/v1/models?connection=mock").await.json();
    assert_eq!(models["items"][0]["name"], "mock/gpt-5.2");
    assert_eq!((&models["items"][0]["is_default"], &models["more"]), (&json!(true), &json!(false)));
    let one = api.get("/api/v1/models?limit=1").await.json();
    assert_eq!((one["items"].as_array().map(Vec::len), &one["more"]), (Some(1), &json!(true)));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_uses_a_connection_is_listed_and_moves_to_its_replacement_in_one_act() {
    let hq = TestHq::start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    let url = "http://127.0.0.1:9/v1";
    let with = |name: &str, default: &str| {
        let mut wish = body(name, "openai", url);
        wish["default_model"] = json!(default);
        wish
    };
    let old = connect(&api, &with("Old", "gpt-5.2")).await;
    let new = connect(&api, &with("New", "gpt-6")).await;
    let default = json!({ "connection": old, "model": "gpt-5.2" });
    let set = api.json("PUT", "/api/v1/connections/default", &default).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let ada = json!({ "name": "Ada", "connection": old, "model": "gpt-5.2" });
    let ada = api.post("/api/v1/agents", &ada).await;
    assert_eq!(ada.status, StatusCode::CREATED, "{}", ada.text);
    let ada = ada.json()["id"].as_str().expect("an id").to_owned();
    let list = json!({ "models": [{ "connection": old, "model": "gpt-5.2" }] });
    let set = api.json("PUT", "/api/v1/connections/fallbacks", &list).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let routine = json!({
        "agent": "ada",
        "name": "Look",
        "instruction": "Look at what came in.",
        "model": "old/gpt-5.2",
        "schedule": { "cadence_type": "every_n_minutes", "interval_n": 30 },
    });
    let routine = api.post("/api/v1/routines", &routine).await;
    assert_eq!(routine.status, StatusCode::CREATED, "{}", routine.text);
    let routine = routine.json()["id"].as_str().expect("an id").to_owned();

    let uses = api.get(&format!("/api/v1/connections/{old}/uses")).await.json();
    let kinds: Vec<_> = uses["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["kind"].as_str().expect("a kind"), one["name"].as_str().expect("a name")))
        .collect();
    let wanted = [
        ("default", "Workspace"),
        ("fallbacks", "Workspace"),
        ("agent", "Ada"),
        ("routine", "Look"),
    ];
    assert_eq!(kinds, wanted, "{uses}");
    let place = format!("/w/marlow-cargo/settings/connections/{old}");
    let page = owner.get(&place).await;
    assert_eq!(page.texts("#uses b"), ["Workspace", "Workspace", "Ada", "Look"], "{}", page.text);
    assert_eq!(page.texts("#f-replacement option"), ["None", "New"]);

    let itself = api.call("DELETE", &format!("/api/v1/connections/{old}?replacement={old}")).await;
    assert_eq!(itself.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", itself.text);
    let gone = owner.form(&format!("{place}/delete"), &[("replacement", new.as_str())]).await;
    assert!(gone.location().is_some(), "{}", gone.text);
    let all = api.get("/api/v1/connections").await.json();
    assert_eq!(all["default"], json!({ "connection": new, "model": "gpt-6" }), "{all}");
    let moved = api.get(&format!("/api/v1/agents/{ada}")).await.json();
    let model = (&moved["connection"], &moved["model"]);
    assert_eq!(model, (&json!(new), &json!("gpt-6")), "{moved}");
    let list = api.get("/api/v1/connections/fallbacks").await.json();
    assert_eq!(list["models"], json!([{ "connection": new, "model": "gpt-6" }]), "{list}");
    let routine = api.get(&format!("/api/v1/routines/{routine}")).await.json();
    assert_eq!(routine["routine"]["model"], "new/gpt-6", "{routine}");

    // Without a replacement, a name is dropped that would denote a model of another connection.
    let other = connect(&api, &with("Other", "gpt-7")).await;
    let list = json!({ "models": [{ "connection": new, "model": "gpt-6" }, { "connection": other, "model": "gpt-7" }] });
    api.json("PUT", "/api/v1/connections/fallbacks", &list).await;
    let named = json!({ "connection": null, "model": "new/gpt-6" });
    let named = api.json("PATCH", &format!("/api/v1/agents/{ada}"), &named).await;
    assert_eq!(named.status, StatusCode::OK, "{}", named.text);
    let gone = api.call("DELETE", &format!("/api/v1/connections/{new}")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    let cleared = api.get(&format!("/api/v1/agents/{ada}")).await.json();
    assert_eq!(
        (&cleared["connection"], &cleared["model"]),
        (&Value::Null, &Value::Null),
        "{cleared}"
    );
    let list = api.get("/api/v1/connections/fallbacks").await.json();
    assert_eq!(list["models"], json!([{ "connection": other, "model": "gpt-7" }]), "{list}");
    hq.finish().await;
}
