//! Packages without a version: pinned to the newest one when a server is saved, or refused.

use std::sync::Arc;

use app::config::Registries;
use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use features::connections::model::Wire;
use parking_lot::Mutex;
use reach::nouns::SERVER;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use store::WriteTx;
use support::hq::{Person, Reply, Setup};
use support::office::Office;
use tokio::net::{TcpListener, TcpSocket};

use super::SERVERS;

const PAGE: &str = "/w/marlow-cargo/settings/mcp-servers";

/// An HQ whose registries of npm and PyPI are on this machine.
struct Scene {
    office: Office,
    owner: Person,
    /// The paths that the registries were asked for.
    seen: Arc<Mutex<Vec<String>>>,
}

fn answer(path: &str) -> Response {
    let npm = |version: &str| json!({ "name": "a", "version": version, "dist": {} });
    let pypi = |version: &str| json!({ "info": { "version": version }, "releases": {} });
    let answer = match path {
        "/npm/@acme%2Ffiles/latest" => npm("2026.1.14"),
        "/npm/hostile/latest" => npm("1.2.3 --registry=http://evil.example"),
        "/npm/tagged/latest" => npm("next"),
        "/npm/ranged/latest" => npm("^1.2.3"),
        "/npm/strange/latest" => json!({ "versions": ["1.2.3"] }),
        "/npm/broken/latest" => {
            return (axum::http::StatusCode::INTERNAL_SERVER_ERROR, "broken").into_response();
        }
        "/pypi/pypi/shop-mcp/json" => pypi("1.4.0"),
        "/pypi/pypi/mcp/json" => pypi("1.30.0"),
        "/pypi/pypi/hostile/json" => pypi("1.0,evil==2.0"),
        "/pypi/pypi/long/json" => pypi(&format!("1.{}", "0".repeat(100))),
        _ => return (axum::http::StatusCode::NOT_FOUND, "{}").into_response(),
    };
    axum::Json(answer).into_response()
}

impl Scene {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |uri: Uri| {
            log.lock().push(uri.path().to_owned());
            std::future::ready(answer(uri.path()))
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self::at(&origin, seen).await
    }

    async fn at(origin: &str, seen: Arc<Mutex<Vec<String>>>) -> Self {
        let registries =
            Registries { npm: format!("{origin}/npm"), pypi: format!("{origin}/pypi") };
        let setup = Setup::default().config(move |config| config.registries = registries.clone());
        let office = Office::with(setup, Wire::OpenaiChat, "mock").await;
        office.hq.prove().await;
        let owner = office.hq.owner();
        Self { office, owner, seen }
    }

    async fn add(&self, name: &str, command: &Value) -> Reply {
        self.owner.post(SERVERS, &json!({ "name": name, "command": command })).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_without_a_version_gets_the_newest_one_which_a_person_approves() {
    let scene = Scene::start().await;
    for (name, command, pinned) in [
        (
            "files",
            json!(["npx", "-y", "@acme/files", "/srv"]),
            json!(["npx", "-y", "@acme/files@2026.1.14", "/srv"]),
        ),
        (
            "cards",
            json!(["uvx", "--from", "mcp[cli]", "mcp"]),
            json!(["uvx", "--from", "mcp[cli]==1.30.0", "mcp"]),
        ),
        ("shop", json!(["uvx", "shop-mcp@latest"]), json!(["uvx", "shop-mcp==1.4.0"])),
    ] {
        let made = scene.add(name, &command).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let made = made.json();
        assert_eq!(made["command"], pinned, "{made}");
        assert_eq!(made["state"], "unapproved", "{made}");
    }
    let paths = ["/npm/@acme%2Ffiles/latest", "/pypi/pypi/mcp/json", "/pypi/pypi/shop-mcp/json"];
    assert_eq!(*scene.seen.lock(), paths);

    let one = format!("{SERVERS}/files");
    let shown = scene.owner.get(&one).await.json();
    let page = format!("{PAGE}?edit={}", shown["id"].as_str().expect("an id"));
    let page = scene.owner.get(&page).await;
    assert!(page.text.contains("Argument: @acme/files@2026.1.14"), "{}", page.text);
    let approved = scene.owner.post(&format!("{one}/approve"), &json!({})).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    assert_eq!(approved.json()["state"], "ready", "{}", approved.text);

    // No registry is asked about an exact version.
    let exact = json!({ "command": ["npx", "-y", "@acme/files@2026.1.1", "/srv"] });
    let changed = scene.owner.json("PATCH", &one, &exact).await.json();
    assert_eq!(changed["command"], exact["command"], "{changed}");
    assert_eq!(scene.seen.lock().len(), paths.len());
    let newest = json!({ "command": ["npx", "-y", "@acme/files@latest"] });
    let changed = scene.owner.json("PATCH", &one, &newest).await.json();
    assert_eq!(changed["command"], json!(["npx", "-y", "@acme/files@2026.1.14"]), "{changed}");
    assert_eq!(changed["state"], "unapproved", "{changed}");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_whose_version_no_registry_names_is_refused_with_what_to_do() {
    let scene = Scene::start().await;
    for (command, why) in [
        (["npx", "missing"], "has no package named missing. Write it as missing@1.2.3"),
        (["uvx", "missing"], "has no package named missing. Write it as missing==1.2.3"),
        (["npx", "broken"], "answered with status 500. Write it as broken@1.2.3"),
        (["npx", "strange"], "named no version. "),
        (["npx", "hostile"], "named no exact version. "),
        (["npx", "tagged"], "named no exact version. "),
        (["npx", "ranged"], "named no exact version. "),
        (["uvx", "hostile"], "named no exact version. "),
        (["uvx", "long"], "named no exact version. "),
        (["npx", "files@^1.0.0"], "Write it as files@1.2.3"),
        (["uvx", "git+https://example.com/files"], "Name packages of the registry"),
    ] {
        let refused = scene.add("files", &json!(command)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        let refused = refused.json();
        assert_eq!(refused["code"], "mcp_unpinned", "{refused}");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains(why) && !detail.contains("evil"), "{command:?}: {detail}");
    }
    let form = [("name", "files"), ("command", "npx\n-y\nmissing")];
    let refused = scene.owner.form(PAGE, &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("127.0.0.1 has no package named missing"), "{}", refused.text);
    let listed = scene.owner.get(SERVERS).await.json();
    assert_eq!(listed["items"], json!([]), "{listed}");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_registry_is_asked_if_the_variables_name_another_one() {
    let scene = Scene::start().await;
    let env = json!(["npm_config_registry=https://own.example"]);
    let open = json!({ "name": "files", "command": ["npx", "@acme/files"], "env": env });
    let refused = scene.owner.post(SERVERS, &open).await;
    assert_eq!(refused.json()["code"], "mcp_unpinned", "{}", refused.text);
    assert!(refused.text.contains("npm_config_registry can name another"), "{}", refused.text);
    let exact = json!({ "name": "files", "command": ["npx", "@acme/files@1.0.0"], "env": env });
    let made = scene.owner.post(SERVERS, &exact).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    // A change without variables keeps the stored ones.
    let one = format!("{SERVERS}/files");
    let open = json!({ "command": ["npx", "@acme/files"] });
    let refused = scene.owner.json("PATCH", &one, &open).await;
    assert_eq!(refused.json()["code"], "mcp_unpinned", "{}", refused.text);
    assert!(scene.seen.lock().is_empty(), "{:?}", scene.seen.lock());
    let open = json!({ "command": ["npx", "@acme/files"], "env": [] });
    let changed = scene.owner.json("PATCH", &one, &open).await.json();
    assert_eq!(changed["command"], json!(["npx", "@acme/files@2026.1.14"]), "{changed}");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_registry_an_exact_version_is_needed() {
    // Bound without listening, so that connections are refused and nobody else gets the port.
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let origin = format!("http://{}", closed.local_addr().expect("an address"));
    let scene = Scene::at(&origin, Arc::default()).await;
    let refused = scene.add("files", &json!(["npx", "files"])).await;
    assert_eq!(refused.json()["code"], "mcp_unpinned", "{}", refused.text);
    assert!(refused.text.contains("connect to 127.0.0.1"), "{}", refused.text);
    let made = scene.add("files", &json!(["npx", "files@1.0.0"])).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    drop(closed);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_package_without_a_version_is_not_approved() {
    let scene = Scene::start().await;
    let create = |tx: &mut WriteTx<'_>| {
        let name = ("name".to_owned(), json!("old"));
        let command = ("command".to_owned(), json!(["npx", "@acme/files"]));
        SERVER.create(tx, &Map::from_iter([name, command]))
    };
    scene.office.act(create).await;
    let old = format!("{SERVERS}/old");
    let refused = scene.owner.post(&format!("{old}/approve"), &json!({})).await;
    assert_eq!(refused.json()["code"], "mcp_unpinned", "{}", refused.text);
    // A change of other fields leaves the command as it is.
    let off = scene.owner.json("PATCH", &old, &json!({ "is_enabled": false })).await.json();
    assert_eq!(off["command"], json!(["npx", "@acme/files"]), "{off}");
    let command = json!({ "command": ["npx", "@acme/files"] });
    let saved = scene.owner.json("PATCH", &old, &command).await.json();
    assert_eq!(saved["command"], json!(["npx", "@acme/files@2026.1.14"]), "{saved}");
    let approved = scene.owner.post(&format!("{old}/approve"), &json!({})).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    scene.office.hq.finish().await;
}
