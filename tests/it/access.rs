//! Access rights of every route for every kind of user.

use std::time::Duration;

use features::users::queries as users;
use kernel::{Actor, Can, Cause, Part, Role, Scope};
use reqwest::StatusCode;
use serde_json::json;
use server::access;
use server::workspaces::life;

use support::hq::{Reply, TestHq};

/// Routes without a session. All others are closed.
const OPEN: [&str; 32] = [
    "GET /healthz",
    "GET /readyz",
    "GET /s/{file}",
    "GET /favicon.ico",
    "GET /ahead.json",
    "GET /design",
    "GET /design/pages",
    "POST /theme",
    "POST /week",
    "GET /onboarding",
    "GET /setup",
    "POST /setup",
    "GET /login",
    "POST /login",
    "GET /reset",
    "POST /reset",
    "GET /login/code",
    "POST /login/code",
    "POST /login/passkey/begin",
    "POST /login/passkey",
    "GET /join",
    "POST /join",
    "GET /join/program",
    "GET /gateway/link",
    "GET /oauth/client.json",
    "POST /hooks/channels/{id}",
    "GET /unsubscribe/{token}",
    "POST /unsubscribe/{token}",
    "GET /sw.js",
    "GET /push.js",
    "GET /manifest.webmanifest",
    "GET /offline",
];
/// Endless responses.
const STREAMS: [&str; 1] = ["/w/{ws}/events"];
/// Addresses that respond with an event stream on request.
const LIVE: [&str; 2] = ["/w/marlow-cargo/events", "/api/v1/changes"];

/// An address of a route, with values for its parameters.
fn address(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{ws}" => "marlow-cargo",
        "{id}" => "01890000-0000-7000-8000-000000000000",
        "{n}" => "1",
        part if part.starts_with('{') => "none",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn is_api(path: &str) -> bool {
    path == "/mcp"
        || ["/api/", "/v1/", "/local/", "/tools/"].iter().any(|prefix| path.starts_with(prefix))
}

fn is_refused_for_good(path: &str, reply: &Reply) -> bool {
    match is_api(path) {
        true => reply.status == StatusCode::UNAUTHORIZED,
        false => reply.location().is_some_and(|to| to.starts_with("/login")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sign_in_everything_is_closed_but_the_listed_routes() {
    let hq = TestHq::start().await;
    let liar =
        hq.nobody().with("x-forwarded-for", "127.0.0.1").with("x-hq-workspace", "marlow-cargo");
    let mut open = Vec::new();
    for route in hq.running().routes.iter() {
        let name = format!("{} {}", route.method, route.path);
        if route.can == Can::Open {
            open.push(name);
            continue;
        }
        let reply = liar.call(route.method.as_str(), &address(&route.path)).await;
        assert!(is_refused_for_good(&route.path, &reply), "{name} answers {}", reply.status);
    }
    open.sort();
    let mut expected = OPEN.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(open, expected);
    for unknown in ["/w/marlow-cargo/no-such-page", "/w/other/", "/api/v1/nothing"] {
        let reply = hq.nobody().get(unknown).await;
        assert!(is_refused_for_good(unknown, &reply), "{unknown}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_belong_to_a_workspace_finds_nothing_there() {
    let hq = TestHq::start().await;
    let stranger = hq.another("Eve", None).await.with("x-hq-workspace", "marlow-cargo");
    for route in hq.running().routes.iter().filter(|route| route.can != Can::Open) {
        if !route.path.starts_with("/w/") && !is_api(&route.path) {
            continue;
        }
        let reply = stranger.call(route.method.as_str(), &address(&route.path)).await;
        let name = format!("{} {}", route.method, route.path);
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{name}");
        assert!(!reply.text.contains("Marlow"), "{name}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_of_another_workspace_finds_nothing_in_this_one() {
    let hq = TestHq::start().await;
    let eve = hq.another("Eve", None).await;
    let app = &hq.running().app;
    let account = app.system.read(|snap| users::by_email(snap, "eve@marlow.example"));
    let new = life::NewWorkspace {
        name: "Northwind".into(),
        emoji: None,
        zone: "UTC".into(),
        owner: account.expect("a read").expect("Eve"),
        guided: false,
    };
    let by = (Actor::System(Part::Setup), Cause::Setup);
    life::add(app, by, new).await.expect("a workspace");
    let own = eve.clone().with("x-hq-workspace", "northwind");
    assert_eq!(own.get("/api/v1/me").await.json()["workspace"]["role"], "owner");
    let token = json!({ "name": "Eve's", "scopes": ["read", "write", "admin"] });
    let token = own.post("/api/v1/tokens", &token).await.json()["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let stranger = eve.with("x-hq-workspace", "marlow-cargo");
    let program = hq.nobody().with("authorization", &bearer);
    let foreign = hq.ws().id;
    for route in hq.running().routes.iter().filter(|route| route.can != Can::Open) {
        let (path, method) = (address(&route.path), route.method.as_str());
        let name = format!("{method} {}", route.path);
        if route.path.starts_with("/w/") || is_api(&route.path) {
            let reply = stranger.call(method, &path).await;
            assert_eq!(reply.status, StatusCode::NOT_FOUND, "{name}");
            assert!(!reply.text.contains("Marlow"), "{name}");
        }
        // A token is bound to its workspace whatever the header says, and opens no page.
        if is_api(&route.path) && method == "GET" && !path.starts_with("/local/") {
            let reply = program.clone().with("x-hq-workspace", "marlow-cargo").get(&path).await;
            assert!(!reply.text.contains(&foreign.to_string()), "{name}: {}", reply.text);
            assert!(!reply.text.contains("Marlow Cargo"), "{name}");
        }
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_each_scope_reaches_what_its_row_of_the_table_says() {
    let hq = TestHq::start().await;
    for scope in Scope::ALL {
        let program = hq.token(&[scope.word()]).await;
        let may = access::scope(*scope);
        let programs = |path: &str| path.starts_with("/api/") || path.starts_with("/v1/");
        for route in hq.running().routes.iter().filter(|route| programs(&route.path)) {
            let allowed = may.may(route.can);
            if allowed && route.method != "GET" {
                continue;
            }
            let reply = program.call(route.method.as_str(), &address(&route.path)).await;
            let name = format!("{scope}: {} {} answers {}", route.method, route.path, reply.status);
            assert_eq!(reply.status == StatusCode::FORBIDDEN, !allowed, "{name}");
            assert!(reply.status.as_u16() < 500, "{name}: {}", reply.text);
        }
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_reaches_what_its_row_of_the_table_says() {
    let hq = TestHq::start().await;
    for role in Role::ALL {
        let person = hq.another(role.word(), Some(*role)).await;
        let may = access::role(*role);
        for route in hq.running().routes.iter() {
            let in_place =
                ["/w/{ws}/", "/api/", "/v1/"].iter().any(|of| route.path.starts_with(of));
            if !in_place || STREAMS.contains(&route.path.as_str()) {
                continue;
            }
            let allowed = may.may(route.can);
            // Permitted writes are covered by the tests of each feature.
            if allowed && route.method != "GET" {
                continue;
            }
            let reply = person.call(route.method.as_str(), &address(&route.path)).await;
            let refused = reply.status == StatusCode::FORBIDDEN;
            let name = format!("{role}: {} {} answers {}", route.method, route.path, reply.status);
            assert_eq!(refused, !allowed, "{name}");
            assert_ne!(reply.status, StatusCode::UNAUTHORIZED, "{name}");
            assert!(reply.status.as_u16() < 500, "{name}: {}", reply.text);
        }
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_hears_the_streams_of_its_workspace_and_of_no_other() {
    let hq = TestHq::start().await;
    let made = hq.owner().post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let stranger = hq.another("Eve", None).await.with("x-hq-workspace", "marlow-cargo");
    let reader = hq.owner().with("x-hq-workspace", "northwind");
    let token = json!({ "name": "N", "scopes": ["read", "write", "chat", "admin"] });
    let token = reader.post("/api/v1/tokens", &token).await.json()["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    // A token of the other workspace gets that one, whatever the header says.
    let program = hq.nobody().with("authorization", &bearer).with("x-hq-workspace", "marlow-cargo");
    let mut own = program.stream("/api/v1/changes?after=start&include=rows").await;
    for path in LIVE {
        let asking = stranger.clone().with("accept", "text/event-stream");
        assert_eq!(asking.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let page = program.clone().with("accept", "text/event-stream");
    assert_eq!(page.get(LIVE[0]).await.location().map(|to| to.starts_with("/login")), Some(true));
    for role in Role::ALL {
        let person = hq.another(role.word(), Some(*role)).await;
        for path in LIVE {
            drop(person.stream(path).await);
        }
    }
    let heard = own.next_of("change").await;
    assert!(!heard.data.contains("Marlow") && heard.data.contains("Northwind"), "{}", heard.data);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_what_its_scopes_say_and_never_more_than_its_owner() {
    let hq = TestHq::start().await;
    let reader = hq.token(&["read"]).await;
    let me = reader.get("/api/v1/me").await;
    assert_eq!(me.json()["can"], json!(["read"]));
    let body = json!({ "name": "Other" });
    let refused = reader.json("PATCH", "/api/v1/settings", &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["code"], "forbidden");
    let admin = hq.token(&["admin"]).await;
    assert_eq!(admin.json("PATCH", "/api/v1/settings", &body).await.status, StatusCode::OK);
    // A token opens the API, never a page, and creates no other token.
    assert_eq!(admin.get("/w/marlow-cargo/").await.status, StatusCode::SEE_OTHER);
    let token = json!({ "name": "More", "scopes": ["read"] });
    assert_eq!(admin.post("/api/v1/tokens", &token).await.status, StatusCode::FORBIDDEN);

    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let more = json!({ "name": "More", "scopes": ["read", "write"] });
    let reply = viewer.post("/api/v1/tokens", &more).await;
    assert_eq!(
        (reply.status, reply.json()["code"].clone()),
        (StatusCode::FORBIDDEN, json!("more_than_own"))
    );
    assert_eq!(viewer.post("/api/v1/tokens", &token).await.status, StatusCode::CREATED);
    // Actions without a right are not offered.
    let home = viewer.get("/w/marlow-cargo/").await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(!home.text.contains("/tasks/new"), "{}", home.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_wrong_in_any_way_are_refused_and_guessing_is_stopped() {
    let hq = TestHq::start().await;
    let good = hq.token(&["read"]).await;
    let token = good.header("authorization").trim_start_matches("Bearer ").to_owned();
    let mut other = token.clone();
    let at = other.len() - 20;
    let letter = if &other[at..=at] == "a" { "b" } else { "a" };
    other.replace_range(at..=at, letter);
    let wrong = ["", "undefined", "null", &token[..token.len() - 1], &other, "hq_pat_"];
    for text in wrong {
        let reply = hq.nobody().with("authorization", &format!("Bearer {text}"));
        assert_eq!(reply.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "{text}");
    }
    let query = format!("/api/v1/me?token={token}");
    assert_eq!(hq.nobody().get(&query).await.status, StatusCode::UNAUTHORIZED);
    let guesser = hq.nobody().with("authorization", "Bearer hq_pat_guess");
    let mut last = guesser.get("/api/v1/me").await;
    for _ in 0..20 {
        last = guesser.get("/api/v1/me").await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.header("retry-after").is_some_and(|wait| wait.parse::<u64>().unwrap() > 800));
    hq.advance(Duration::from_secs(16 * 60)).await;
    assert_eq!(guesser.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_or_expired_token_ends_at_once() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read"]).await;
    let list = hq.owner().get("/api/v1/tokens").await.json();
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    let gone = hq.owner().call("DELETE", &format!("/api/v1/tokens/{id}")).await;
    assert!(gone.json()["revoked_at"].is_string());
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    let second = hq.token(&["read"]).await;
    assert_eq!(second.get("/api/v1/me").await.status, StatusCode::OK);
    hq.advance(Duration::from_secs(31 * 86_400)).await;
    assert_eq!(second.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_calls_are_limited_by_token_and_say_so() {
    let setup = support::hq::Setup::default().config(|config| {
        (config.limits.api_per_minute, config.limits.api_burst) = (60, 3);
    });
    let hq = setup.start().await;
    let program = hq.token(&["read"]).await;
    let first = program.get("/api/v1/me").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"api\";q=60;w=60"));
    assert!(first.header("ratelimit").is_some_and(|now| now.starts_with("\"api\";r=2")));
    program.get("/api/v1/me").await;
    program.get("/api/v1/me").await;
    let refused = program.get("/api/v1/me").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json()["code"], "rate_limited");
    assert!(refused.header("retry-after").is_some());
    hq.advance(Duration::from_secs(2)).await;
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::OK);
    hq.finish().await;
}
