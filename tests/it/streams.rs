//! Open streams end when their access ends: every kind of stream, every way to lose access.

use features::workspace::queries;
use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::workspaces::life;

use support::hq::{Events, Person, TestHq};
use support::model::{Gate, ModelServer, Turn};
use support::work;

const CHAT: &str = "/v1/chat/completions";

/// Tom in his browser and with an API client, with every kind of long-lived request open.
struct Open {
    hq: TestHq,
    _model: ModelServer,
    gates: [Gate; 2],
    tom: Person,
    program: Person,
    /// The browser's stream.
    page: Events,
    /// The API client's streams.
    changes: Events,
    chat: Events,
    poll: tokio::task::JoinHandle<StatusCode>,
    /// A non-streamed answer, in a named session.
    whole: tokio::task::JoinHandle<(StatusCode, Value)>,
}

async fn open() -> Open {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    let tom = hq.another("Tom", Some(Role::Member)).await;
    let body = json!({ "name": "Script", "scopes": ["read", "chat"] });
    let token = tom.post("/api/v1/tokens", &body).await.json()["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let program = hq.nobody().with("authorization", &bearer);
    let gates = [Gate::new(), Gate::new()];
    let asking = |stream: bool| {
        json!({ "model": "hq/ada", "stream": stream,
            "messages": [{ "role": "user", "content": "Slowly" }] })
    };
    model.push(Turn::text("Slow words").pausing(2, &gates[0]));
    let mut chat = program.post_stream(CHAT, &asking(true)).await;
    chat.next().await.expect("the role");
    gates[0].reached().await;
    model.push(Turn::text("Slow words").pausing(2, &gates[1]));
    let own = program.clone().with("x-hq-session-key", "kept");
    let whole = tokio::spawn(async move {
        let reply = own.post(CHAT, &asking(false)).await;
        (reply.status, reply.json())
    });
    gates[1].reached().await;
    let page = tom.stream("/w/marlow-cargo/events").await;
    let changes = program.stream("/api/v1/changes").await;
    // The long poll blocks once it has its cursor; changes before that are returned at once.
    let poller = program.clone();
    let poll = tokio::spawn(async move {
        loop {
            let reply = poller.get("/api/v1/changes?wait=60&tables=files").await;
            if reply.status != StatusCode::OK {
                return reply.status;
            }
        }
    });
    Open { hq, _model: model, gates, tom, program, page, changes, chat, poll, whole }
}

impl Open {
    async fn browser_ends(&mut self) {
        while self.page.next().await.is_some() {}
    }

    /// All open requests of the API client end; the chat stream with the reason.
    async fn program_ends(&mut self, code: &str) {
        while self.changes.next().await.is_some() {}
        let mut last = Value::Null;
        while let Some(message) = self.chat.next().await {
            if message.data != "[DONE]" {
                last = message.json();
            }
        }
        assert_eq!(last["error"]["code"], code, "{last}");
        let (status, body) = (&mut self.whole).await.expect("an answer");
        assert!(!status.is_success(), "{body}");
        assert_eq!(body["error"]["code"], code, "{body}");
        let poll = (&mut self.poll).await.expect("an answer");
        assert!(!poll.is_success(), "{poll}");
    }

    async fn finish(self) {
        self.gates.iter().for_each(Gate::open);
        self.hq.finish().await;
    }

    fn tom_id(&self) -> String {
        let all = self.hq.ws().read(|snap| queries::members(snap)).expect("a readable store");
        all.iter().find(|one| one.name == "Tom").expect("Tom").account.to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_the_membership() {
    let mut open = open().await;
    let path = format!("/api/v1/members/{}", open.tom_id());
    assert_eq!(open.hq.owner().call("DELETE", &path).await.status, StatusCode::OK);
    open.browser_ends().await;
    open.program_ends("access_ended").await;
    open.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_the_account() {
    let mut open = open().await;
    let path = format!("/api/v1/members/{}/disable", open.tom_id());
    assert_eq!(open.hq.owner().call("POST", &path).await.status, StatusCode::OK);
    open.browser_ends().await;
    open.program_ends("access_ended").await;
    open.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_their_sign_in_or_token_alone() {
    let mut open = open().await;
    open.tom.form("/logout", &[]).await;
    open.browser_ends().await;
    assert_eq!(open.program.get("/api/v1/me").await.status, StatusCode::OK);
    let mut other = open.program.stream("/api/v1/changes").await;
    let all = open.hq.owner().get("/api/v1/workspace/tokens").await.json();
    let id = all["items"][0]["id"].as_str().expect("a token").to_owned();
    let gone = open.hq.owner().call("DELETE", &format!("/api/v1/workspace/tokens/{id}")).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    open.program_ends("access_ended").await;
    while other.next().await.is_some() {}
    open.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_workspace_is_archived() {
    let mut open = open().await;
    open.hq.owner().form("/w/marlow-cargo/settings/archive", &[]).await;
    open.browser_ends().await;
    open.program_ends("access_ended").await;
    open.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_workspace_goes() {
    let mut open = open().await;
    let (app, ws) = (open.hq.running().app.clone(), open.hq.ws());
    let to = open.hq.data().join("elsewhere");
    let by = (kernel::Actor::System(kernel::Part::Cli), kernel::Cause::Setup);
    open.gates.iter().for_each(Gate::open);
    life::move_to(&app, by, &ws, to).await.expect("it is moved");
    open.browser_ends().await;
    while open.changes.next().await.is_some() {}
    while open.chat.next().await.is_some() {}
    assert!(!(&mut open.poll).await.expect("an answer").is_success());
    open.finish().await;
}
