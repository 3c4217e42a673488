//! Sign-in to MCP servers with an authorization server of the test's own: discovery, clients, tokens, refusals, ends, and
//! calls of agents that wait for it.

use std::time::Duration;

use axum::response::IntoResponse as _;
use features::connections::model::Wire;
use features::runs::model::{EventKind, Run};
use features::trust::queries as trust;
use kernel::{Outcome, Role, RunId, RunState, TrustMode, WaitFor};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::ReadExt as _;
use support::hq::{Person, Reply, Setup};
use support::model::Turn;
use support::office::Office;

mod issuer;

use issuer::{Issuer, fields};

const SERVERS: &str = "/api/v1/mcp-servers";
const PAGES: &str = "/w/marlow-cargo/settings";

struct Scene {
    office: Office,
    issuer: Issuer,
    owner: Person,
}

impl Scene {
    async fn start() -> Self {
        let office = Office::with(Setup::default(), Wire::OpenaiChat, "mock").await;
        office.hq.prove().await;
        let (issuer, owner) = (Issuer::start().await, office.hq.owner());
        let scene = Self { office, issuer, owner };
        let url = format!("{}/mcp", scene.issuer.origin);
        let body = json!({ "name": "web", "url": url, "open_hosts": [scene.issuer.host] });
        let made = scene.owner.post(SERVERS, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        scene
    }

    async fn op(&self, op: &str, body: Value) -> Reply {
        self.owner.post(&format!("{SERVERS}/web/{op}"), &body).await
    }

    async fn shown(&self) -> Value {
        self.owner.get(&format!("{SERVERS}/web")).await.json()
    }

    async fn state(&self) -> String {
        self.shown().await["state"].as_str().expect("a state").to_owned()
    }

    /// Begins a sign-in and returns the address for the browser.
    async fn begin(&self) -> String {
        let begun = self.op("sign-in", json!({})).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        begun.json()["url"].as_str().expect("an address").to_owned()
    }

    /// The person agrees at the authorization server. Returns path and query of the way back.
    async fn agree(&self, url: &str) -> String {
        let client = support::wire::client().build().expect("a client");
        let sent = client.get(url).send().await.expect("an answer");
        let back = sent.headers()["location"].to_str().expect("an address").to_owned();
        let back = url::Url::parse(&back).expect("an address");
        assert!(back.path().starts_with("/oauth/callback/"), "{back}");
        format!("{}?{}", back.path(), back.query().expect("an answer"))
    }

    /// The browser of a person comes back with an answer.
    async fn back(&self, who: &Person, answer: &str) -> Reply {
        let led = who.get(answer).await;
        if led.status != StatusCode::SEE_OTHER {
            return led;
        }
        let page = led.location().expect("a page").to_owned();
        assert_eq!(who.get(&page).await.status, StatusCode::OK);
        assert!(page.contains('?'), "{page}");
        who.form_of(&page).await
    }

    async fn sign_in(&self) {
        let answer = self.agree(&self.begin().await).await;
        let done = self.back(&self.owner, &answer).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    }

    /// A server to which the owner is signed in and whose tools can be called.
    async fn signed_in() -> Self {
        Self::approved(json!({ "reads": ["look"], "acts": ["write"] })).await
    }

    /// Like [`Self::signed_in`] with these approvals.
    async fn approved(tools: Value) -> Self {
        let scene = Self::start().await;
        scene.op("test", json!({})).await;
        scene.sign_in().await;
        let approved = scene.op("approve", tools).await;
        assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
        scene
    }

    /// The sign-in has ended and can't be refreshed.
    fn lose(&self) {
        self.issuer.known().is_closed = true;
        self.issuer.known().expire();
    }

    /// A run of an agent whose call of `look` waits for the sign-in.
    async fn waiting(&self) -> Run {
        let ada = self.office.agent("Ada").await;
        self.office.trust(ada.id, TrustMode::Full).await;
        self.office.model.push(Turn::call("web__look", json!({})));
        let run = self.office.say(&ada, "Look").await;
        let run = self.office.in_state(run, RunState::Waiting).await;
        let waiting = run.waiting.as_ref().expect("a reason");
        assert_eq!(waiting.waits_for, WaitFor::SignIn);
        assert_eq!(waiting.detail, "Waiting for sign-in to web.");
        assert!(self.issuer.known().calls.is_empty());
        run
    }

    /// The run ends without the call, whose approval was changed during its wait.
    async fn ended_as_changed(&self, run: RunId) {
        assert_eq!(self.office.ended(run).await.summary, "I can't.");
        let results = self.office.results(run);
        assert_eq!(results.len(), 1, "{results:?}");
        assert!(!results[0].1 && results[0].2.contains("has just been changed"), "{results:?}");
        assert!(self.issuer.known().calls.is_empty());
    }

    async fn call(&self, tool: &str) -> Reply {
        self.op("call", json!({ "tool": tool })).await
    }

    fn refreshes(&self) -> usize {
        self.issuer.known().of("refresh_token").len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_and_the_tools_wait_for_their_review() {
    let scene = Scene::start().await;
    let tested = scene.op("test", json!({})).await;
    assert!(tested.json()["message"].as_str().unwrap().contains("sign in"), "{}", tested.text);
    let shown = scene.shown().await;
    assert_eq!((&shown["state"], &shown["is_signed_in"]), (&json!("sign_in"), &json!(false)));
    let id = shown["id"].as_str().unwrap();
    let page = scene.owner.get(&format!("{PAGES}/mcp-servers?edit={id}")).await;
    assert!(page.texts("button").contains(&"Sign in".to_owned()), "{:?}", page.texts("button"));

    let leaving = scene.owner.form(&format!("{PAGES}/mcp-servers/{id}/sign-in"), &[]).await;
    assert_eq!(leaving.status, StatusCode::OK, "{}", leaving.text);
    let url = leaving.attr(".form-foot a[rel=noreferrer]", "href");
    assert!(leaving.text.contains(&format!("Continue at {}", scene.issuer.host)));
    let sent = fields(url.split_once('?').unwrap().1);
    let resource = format!("{}/mcp", scene.issuer.origin);
    for (key, value) in [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("code_challenge_method", "S256"),
        ("resource", resource.as_str()),
        ("scope", "read"),
    ] {
        assert_eq!(sent.get(key).map(String::as_str), Some(value), "{key} {sent:?}");
    }
    scene.begin().await;
    assert_eq!(scene.issuer.known().registrations.len(), 1, "the client is known");
    let registered = scene.issuer.known().registrations[0].clone();
    assert_eq!(registered["redirect_uris"], json!([sent["redirect_uri"]]));
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    assert_eq!(registered["application_type"], "native");

    let answer = scene.agree(&url).await;
    let done = scene.back(&scene.owner, &answer).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let code = scene.issuer.known().of("authorization_code").remove(0);
    assert_eq!((&code["client_id"], &code["resource"]), (&"client-1".to_owned(), &resource));
    let shown = scene.shown().await;
    assert_eq!(shown["state"], "unapproved", "{shown}");
    assert_eq!((&shown["is_signed_in"], &shown["tools_waiting"]), (&json!(true), &json!(2)));
    let page = scene.owner.get(done.location().unwrap()).await;
    assert!(page.text.contains("Signed in at"), "{}", page.text);
    assert!(page.texts("button").contains(&"Sign out".to_owned()));
    for path in ["/api/v1/mcp-servers", "/api/v1/secrets", "/api/v1/audit", "/api/v1/history"] {
        let text = scene.owner.get(path).await.text;
        for secret in ["access-1-", "refresh-1-", "code-0-"] {
            assert!(!text.contains(secret) && !page.text.contains(secret), "{path}: {text}");
        }
    }
    let masked = scene.office.ws().app.redactor.text("it is access-1-9f8e7d6c5b").into_owned();
    assert!(!masked.contains("access-1-9f8e7d6c5b"), "{masked}");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_share_one_refresh_and_are_repeated_with_the_new_token() {
    let scene = Scene::signed_in().await;
    assert_eq!(scene.call("look").await.json()["message"], "seen");
    assert_eq!(scene.refreshes(), 0);
    scene.issuer.known().expire();
    let calls = (0..5).map(|_| scene.call("look"));
    for called in futures_util::future::join_all(calls).await {
        assert_eq!(called.status, StatusCode::OK, "{}", called.text);
    }
    assert_eq!(scene.refreshes(), 1);
    let sent = scene.issuer.known().of("refresh_token").remove(0);
    assert_eq!(sent["resource"], format!("{}/mcp", scene.issuer.origin));
    // An act is repeated as well, because the refused one had no effect.
    scene.issuer.known().scopes = "read write".to_owned();
    scene.issuer.known().expire();
    assert_eq!(scene.call("write").await.json()["message"], "seen");
    // Shortly before its end, a token is refreshed ahead of the call.
    scene.office.hq.advance(Duration::from_secs(3_500)).await;
    let called = scene.call("look").await;
    assert_eq!(called.status, StatusCode::OK, "{}", called.text);
    assert_eq!(scene.refreshes(), 3);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_refresh_asks_the_admins_to_sign_in_again() {
    let scene = Scene::signed_in().await;
    scene.issuer.known().is_closed = true;
    scene.issuer.known().expire();
    for _ in 0..2 {
        let called = scene.call("look").await;
        assert_eq!(called.status, StatusCode::SERVICE_UNAVAILABLE, "{}", called.text);
        assert!(called.text.contains("needs an admin to sign in"), "{}", called.text);
    }
    assert_eq!(scene.refreshes(), 1, "nothing is asked until somebody signs in");
    assert_eq!(scene.state().await, "sign_in_again");
    let secrets = scene.owner.get("/api/v1/secrets").await.text;
    assert!(!secrets.contains("MCP_SIGN_IN"), "{secrets}");
    let told = scene.owner.get("/api/v1/notifications").await.text;
    assert!(told.contains("Sign in to the MCP server web again"), "{told}");
    scene.issuer.known().is_closed = false;
    scene.sign_in().await;
    assert_eq!(scene.state().await, "ready");
    assert_eq!(scene.call("look").await.json()["message"], "seen");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_an_agent_waits_for_the_sign_in_also_after_a_restart_and_is_made_once() {
    let mut scene = Scene::approved(json!({ "reads": [], "acts": ["look"] })).await;
    scene.lose();
    let run = scene.waiting().await;
    assert_eq!(scene.refreshes(), 1);
    let page = scene.owner.get(&format!("/w/marlow-cargo/runs/{}", run.name())).await;
    assert!(
        page.text.contains("Waiting for sign-in to web. Without it, the call fails"),
        "{}",
        page.text
    );
    let links = page.attrs("a", "href");
    let server = format!("{PAGES}/mcp-servers?edit=");
    assert!(links.iter().any(|link| link.starts_with(&server)), "{links:?}");
    let told = scene.owner.get("/api/v1/notifications").await.text;
    assert!(told.contains("waits for a sign-in"), "{told}");

    scene.office.hq.restart().await;
    scene.owner = scene.office.hq.owner();
    scene.office.hq.advance(Duration::from_secs(20 * 3_600)).await;
    assert_eq!(scene.office.get::<Run>(run.id).state, RunState::Waiting);
    scene.issuer.known().is_closed = false;
    scene.office.model.push(Turn::text("Seen."));
    scene.office.hq.prove().await;
    scene.sign_in().await;
    assert_eq!(scene.office.ended(run.id).await.summary, "Seen.");
    let results = scene.office.results(run.id);
    assert_eq!(results.len(), 1, "{results:?}");
    assert!(results[0].1 && results[0].2.contains("seen"), "{results:?}");
    assert_eq!(scene.issuer.known().calls, ["look"]);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_an_agent_waits_for_the_first_sign_in_and_that_of_a_person_fails() {
    let scene = Scene::start().await;
    scene.issuer.known().is_for_calls = true;
    scene.op("test", json!({})).await;
    let approved = scene.op("approve", json!({ "reads": ["look"], "acts": [] })).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    let eve = scene.office.hq.another("Eve", Some(Role::Admin)).await;
    let run = scene.waiting().await;
    let told = eve.get("/api/v1/notifications").await.text;
    assert!(told.contains("waits for a sign-in"), "{told}");
    let called = scene.call("look").await;
    assert_eq!(called.status, StatusCode::SERVICE_UNAVAILABLE, "{}", called.text);
    assert!(called.text.contains("needs an admin to sign in"), "{}", called.text);
    assert_eq!(scene.office.get::<Run>(run.id).state, RunState::Waiting);
    scene.office.model.push(Turn::text("Seen."));
    scene.sign_in().await;
    assert_eq!(scene.office.ended(run.id).await.summary, "Seen.");
    assert_eq!(scene.issuer.known().calls, ["look"]);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_a_sign_in_can_be_stopped() {
    let scene = Scene::signed_in().await;
    scene.lose();
    let run = scene.waiting().await;
    scene.office.stop(run.id).await;
    let ended = scene.office.ended(run.id).await;
    assert!(matches!(ended.outcome, Some(Outcome::Stopped { .. })), "{:?}", ended.outcome);
    scene.issuer.known().is_closed = false;
    scene.sign_in().await;
    assert_eq!(scene.call("look").await.json()["message"], "seen");
    assert_eq!(scene.issuer.known().calls, ["look"], "only the call of the person");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_a_sign_in_ends_with_its_server_and_after_seven_days() {
    for is_off in [true, false] {
        let scene = Scene::signed_in().await;
        scene.lose();
        let run = scene.waiting().await;
        scene.office.model.push(Turn::text("I can't."));
        let words = if is_off {
            let off = json!({ "is_enabled": false });
            let changed = scene.owner.json("PATCH", &format!("{SERVERS}/web"), &off).await;
            assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
            "its server is turned off"
        } else {
            scene.office.hq.advance(Duration::from_secs(7 * 24 * 3_600)).await;
            "needs an admin to sign in"
        };
        assert_eq!(scene.office.ended(run.id).await.summary, "I can't.");
        let results = scene.office.results(run.id);
        assert_eq!(results.len(), 1, "{results:?}");
        assert!(!results[0].1 && results[0].2.contains(words), "{results:?}");
        assert!(scene.issuer.known().calls.is_empty());
        scene.office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_public_tool_ends_no_wait_and_the_wait_keeps_its_limit() {
    let scene = Scene::start().await;
    {
        let mut known = scene.issuer.known();
        (known.is_for_calls, known.public) = (true, Some("write"));
        known.scopes = "read write".to_owned();
    }
    scene.op("test", json!({})).await;
    let approved = scene.op("approve", json!({ "reads": ["look", "write"], "acts": [] })).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    let run = scene.waiting().await;
    assert_eq!(scene.call("write").await.json()["message"], "seen");
    scene.office.hq.advance(Duration::from_secs(6 * 24 * 3_600)).await;
    assert_eq!(scene.office.get::<Run>(run.id).state, RunState::Waiting);
    scene.office.model.push(Turn::text("I can't."));
    scene.office.hq.advance(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(scene.office.ended(run.id).await.summary, "I can't.");
    let results = scene.office.results(run.id);
    assert!(results[0].2.contains("needs an admin to sign in"), "{results:?}");
    let events = scene.office.events(run.id);
    let waits = events.iter().filter(|kind| matches!(kind, EventKind::Waiting { .. })).count();
    assert_eq!(waits, 1, "{events:?}");
    assert_eq!(scene.issuer.known().calls, ["write"]);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_not_made_after_a_sign_in_if_its_agent_may_no_longer_make_it() {
    let scene = Scene::approved(json!({ "reads": [], "acts": ["look"] })).await;
    scene.lose();
    let run = scene.waiting().await;
    scene.office.trust(run.agent, TrustMode::Ask).await;
    scene.office.model.push(Turn::text("I can't."));
    scene.issuer.known().is_closed = false;
    scene.sign_in().await;
    scene.ended_as_changed(run.id).await;
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_not_made_if_its_tool_is_approved_differently_during_the_wait() {
    let scene = Scene::approved(json!({ "reads": ["look"], "acts": [] })).await;
    scene.lose();
    let run = scene.waiting().await;
    scene.office.model.push(Turn::text("I can't."));
    let approved = scene.op("approve", json!({ "reads": [], "acts": ["look"] })).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    scene.ended_as_changed(run.id).await;
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_person_has_approved_is_made_after_the_sign_in() {
    let scene = Scene::approved(json!({ "reads": [], "acts": ["look"] })).await;
    scene.lose();
    let ada = scene.office.agent("Ada").await;
    scene.office.trust(ada.id, TrustMode::Ask).await;
    scene.office.model.push(Turn::call("web__look", json!({})));
    let run = scene.office.say(&ada, "Look").await;
    scene.office.in_state(run, RunState::Waiting).await;
    let approval = scene.office.ws().read(|snap| trust::waiting_of(snap, run));
    let approval = approval.expect("a readable store").expect("a request");
    let path = format!("/api/v1/approvals/{}/answer", approval.id);
    let said = scene.owner.json("POST", &path, &json!({ "answer": "once" })).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    let signs_in = |run: &Run| {
        run.waiting.as_ref().is_some_and(|waiting| waiting.waits_for == WaitFor::SignIn)
    };
    scene
        .office
        .until("a wait for the sign-in", |snap| Ok(snap.get::<Run>(run)?.filter(signs_in)))
        .await;
    scene.office.model.push(Turn::text("Seen."));
    scene.issuer.known().is_closed = false;
    scene.sign_in().await;
    assert_eq!(scene.office.ended(run).await.summary, "Seen.");
    assert_eq!(scene.issuer.known().calls, ["look"]);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_needs_further_rights_leads_to_a_sign_in_with_them() {
    let scene = Scene::signed_in().await;
    let refused = scene.call("write").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert!(refused.text.contains("lacks rights"), "{}", refused.text);
    assert_eq!(scene.state().await, "sign_in_again");
    assert_eq!(scene.call("look").await.json()["message"], "seen", "the other tools go on");
    let told = scene.owner.get("/api/v1/notifications").await.text;
    assert!(told.contains("A tool needs further rights: write."), "{told}");
    let url = scene.begin().await;
    assert_eq!(fields(url.split_once('?').unwrap().1)["scope"], "read write");
    assert_eq!(scene.issuer.known().registrations.len(), 1, "the client is known");
    let answer = scene.agree(&url).await;
    scene.back(&scene.owner, &answer).await;
    assert_eq!(scene.call("write").await.json()["message"], "seen");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_the_sign_in_for_calls_only_asks_for_it_until_a_call_succeeds() {
    let scene = Scene::start().await;
    scene.issuer.known().is_for_calls = true;
    let tested = scene.op("test", json!({})).await;
    assert_eq!(tested.status, StatusCode::OK, "{}", tested.text);
    let approved = scene.op("approve", json!({ "reads": ["look"], "acts": ["write"] })).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    let shown = scene.shown().await;
    assert_eq!((&shown["state"], &shown["may_sign_in"]), (&json!("ready"), &json!(false)));
    let called = scene.call("look").await;
    assert!(called.text.contains("needs an admin to sign in"), "{}", called.text);
    for _ in 0..2 {
        let shown = scene.shown().await;
        assert_eq!((&shown["state"], &shown["may_sign_in"]), (&json!("sign_in"), &json!(true)));
        scene.op("test", json!({})).await;
    }
    scene.sign_in().await;
    assert_eq!(scene.state().await, "ready");
    assert_eq!(scene.call("look").await.json()["message"], "seen");
    scene.issuer.known().is_closed = true;
    scene.issuer.known().expire();
    let called = scene.call("look").await;
    assert!(called.text.contains("needs an admin to sign in"), "{}", called.text);
    scene.op("test", json!({})).await;
    let shown = scene.shown().await;
    assert_eq!((&shown["state"], &shown["may_sign_in"]), (&json!("sign_in_again"), &json!(true)));
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_fails_for_a_while_is_tried_again_after_a_pause() {
    let scene = Scene::signed_in().await;
    scene.issuer.known().is_down = true;
    scene.issuer.known().expire();
    for _ in 0..2 {
        let called = scene.call("look").await;
        assert_eq!(called.status, StatusCode::SERVICE_UNAVAILABLE, "{}", called.text);
        assert!(called.text.contains("be refreshed now"), "{}", called.text);
    }
    assert_eq!(scene.refreshes(), 1);
    scene.issuer.known().is_down = false;
    scene.office.hq.advance(Duration::from_secs(31)).await;
    assert_eq!(scene.call("look").await.json()["message"], "seen");
    assert_eq!(scene.refreshes(), 2);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tokens_of_a_moved_or_removed_server_are_withdrawn() {
    for is_moved in [true, false] {
        let scene = Scene::signed_in().await;
        if is_moved {
            let change = json!({ "url": format!("{}/elsewhere", scene.issuer.origin) });
            let changed = scene.owner.json("PATCH", &format!("{SERVERS}/web"), &change).await;
            assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
            let shown = scene.shown().await;
            let is = (&shown["is_signed_in"], &shown["may_sign_in"]);
            assert_eq!(is, (&json!(false), &json!(false)), "{shown}");
        } else {
            let removed = scene.owner.call("DELETE", &format!("{SERVERS}/web")).await;
            assert!(removed.status.is_success(), "{}", removed.text);
        }
        scene.issuer.until(|known| known.revoked.len() == 2).await;
        let mut revoked = scene.issuer.known().revoked.clone();
        revoked.sort();
        assert_eq!(revoked, ["access-1-9f8e7d6c5b", "refresh-1-1a2b3c4d5e"]);
        let secrets = scene.owner.get("/api/v1/secrets").await.text;
        assert!(!secrets.contains("MCP_SIGN_IN"), "{secrets}");
        scene.office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_withdraws_the_tokens_and_deletes_them() {
    let scene = Scene::signed_in().await;
    let done = scene.op("sign-out", json!({})).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(done.text.contains("withdrawn"), "{}", done.text);
    let mut revoked = scene.issuer.known().revoked.clone();
    revoked.sort();
    assert_eq!(revoked, ["access-1-9f8e7d6c5b", "refresh-1-1a2b3c4d5e"]);
    let secrets = scene.owner.get("/api/v1/secrets").await.text;
    assert!(!secrets.contains("MCP_SIGN_IN"), "{secrets}");
    assert_eq!(scene.state().await, "sign_in");
    let called = scene.call("look").await;
    assert_eq!(called.status, StatusCode::SERVICE_UNAVAILABLE, "{}", called.text);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_once_in_time_for_the_person_who_began() {
    let scene = Scene::start().await;
    let answer = scene.agree(&scene.begin().await).await;
    let other = scene.office.hq.another("Eve", Some(Role::Admin)).await;
    for who in [&other, &scene.owner] {
        let answer = if std::ptr::eq(who, &other) {
            answer.clone()
        } else {
            answer.replace("state=", "state=x")
        };
        let refused = scene.back(who, &answer).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    }
    // The page itself checks it, too.
    let query = answer.split_once('?').unwrap().1;
    let refused = other.form_of(&format!("{PAGES}/mcp-sign-in?{query}")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(scene.issuer.known().asked.is_empty());
    let done = scene.back(&scene.owner, &answer).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let again = scene.back(&scene.owner, &answer).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert_eq!(scene.issuer.known().asked.len(), 1);
    let late = scene.agree(&scene.begin().await).await;
    scene.office.hq.advance(Duration::from_secs(601)).await;
    let late = scene.back(&scene.owner, &late).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_issuer_is_sent_to_nobody() {
    let scene = Scene::start().await;
    scene.issuer.known().iss = Some("https://evil.example");
    let answer = scene.agree(&scene.begin().await).await;
    let refused = scene.back(&scene.owner, &answer).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("another authorization server"), "{}", refused.text);
    let cut = scene.agree(&scene.begin().await).await;
    let cut = cut.split_once("&iss=").unwrap().0.to_owned();
    let refused = scene.back(&scene.owner, &cut).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(scene.issuer.known().asked.is_empty());
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_at_the_address_of_another_issuer_is_sent_to_nobody() {
    let scene = Scene::start().await;
    let answer = scene.agree(&scene.begin().await).await;
    let query = answer.split_once('?').unwrap().1;
    for path in ["/oauth/callback", "/oauth/callback/0123456789abcdef"] {
        let refused = scene.back(&scene.owner, &format!("{path}?{query}")).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    }
    assert!(scene.issuer.known().asked.is_empty());
    let done = scene.back(&scene.owner, &answer).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reason_of_an_authorization_server_is_quoted() {
    let scene = Scene::start().await;
    let answer = scene.agree(&scene.begin().await).await;
    let (kept, iss) = answer.split_once("&iss=").unwrap();
    let kept = kept.replace("code=", "error=server_error&code=");
    let answer = format!("{kept}&error_description=Call%20%E2%80%AE%20us&iss={iss}");
    let refused = scene.back(&scene.owner, &answer).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    let quoted = format!("{} says: “Call ⟨U+202E⟩ us”", scene.issuer.host);
    assert!(refused.text.contains(&quoted), "{}", refused.text);
    assert!(refused.text.contains("Back to the server"), "{}", refused.text);
    assert!(scene.issuer.known().asked.is_empty());
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_cannot_be_trusted_is_refused_in_clear_words() {
    let scene = Scene::start().await;
    scene.op("test", json!({})).await;
    let lies: [(&str, &str, Value, &str); 8] = [
        ("resource", "resource", json!("https://evil.example/mcp"), "is for another address"),
        ("resource", "authorization_servers", json!([]), "names no authorization server"),
        ("resource", "authorization_servers", json!(["http://10.0.0.5/as"]), "has no https"),
        ("resource", "authorization_servers", json!(["https://10.0.0.5/as"]), "private host"),
        ("issuer", "issuer", json!("https://evil.example"), "another issuer"),
        ("issuer", "token_endpoint", json!("http://auth.example/token"), "has no https"),
        ("issuer", "code_challenge_methods_supported", json!(["plain"]), "PKCE"),
        ("issuer", "registration_endpoint", Value::Null, "enter the client"),
    ];
    for (at, key, value, words) in lies {
        scene.issuer.known().lies = vec![(at, key, value)];
        let refused = scene.op("sign-in", json!({})).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{key}: {}", refused.text);
        assert!(refused.text.contains(words), "{key}: {}", refused.text);
    }
    scene.issuer.known().lies.clear();
    scene.issuer.known().odd =
        Some(|| axum::response::Redirect::to("https://evil.example/").into_response());
    let refused = scene.op("sign-in", json!({})).await;
    assert!(refused.text.contains("redirects"), "{}", refused.text);
    scene.issuer.known().odd = Some(|| "x".repeat(1_000_000).into_response());
    let refused = scene.op("sign-in", json!({})).await;
    assert!(refused.text.contains("larger than"), "{}", refused.text);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entered_client_is_used_with_its_secret_and_at_its_issuer_only() {
    let scene = Scene::start().await;
    scene.issuer.known().knows_all_clients = true;
    let client = json!({ "client_id": "hq-by-hand", "client_secret": "s3cret-of-the-client" });
    let saved = scene.op("client", client).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text);
    scene.sign_in().await;
    let sent = scene.issuer.known().of("authorization_code").remove(0);
    assert_eq!(sent["basic"], "Basic aHEtYnktaGFuZDpzM2NyZXQtb2YtdGhlLWNsaWVudA==");
    assert_eq!(sent["client_id"], "hq-by-hand");
    assert!(!sent.contains_key("client_secret"));
    assert!(scene.issuer.known().registrations.is_empty());
    let text = scene.owner.get(SERVERS).await.text;
    assert!(!text.contains("s3cret-of-the-client"), "{text}");
    let other = json!([format!("{}/other", scene.issuer.origin)]);
    scene.issuer.known().lies = vec![("resource", "authorization_servers", other)];
    let refused = scene.op("sign-in", json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("another authorization server"), "{}", refused.text);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_address_with_https_has_a_client_document() {
    let local = support::hq::TestHq::start().await;
    let none = local.nobody().get("/oauth/client.json").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    local.finish().await;
    let public = |config: &mut app::config::Config| {
        config.public_url = Some("https://hq.example".to_owned());
    };
    let hq = Setup::default().config(public).start().await;
    let document = hq.nobody().get("/oauth/client.json").await.json();
    assert_eq!(document["client_id"], "https://hq.example/oauth/client.json");
    assert_eq!(document["redirect_uris"], json!(["https://hq.example/oauth/callback"]));
    assert_eq!(document["token_endpoint_auth_method"], "none");
    hq.finish().await;
}
