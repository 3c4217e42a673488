//! Agents and models for tests of runs, created through rules.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::{provision, rules as agents};
use features::connections::model::Wire;
use features::connections::rules::{self as connections, NewConnection};
use features::runs::model::Run;
use features::runs::queries as runs;
use features::workspace::model::Member;
use kernel::{Actor, Cause, SignInId, TypedId as _, Via};
use serde_json::Value;
use store::{Range, ReadExt as _, Record, StoreError, WriteTx};

use super::hq::{Person, TestHq};
use super::model::{ModelServer, Turn};

/// An HQ with the agent Ada and a scripted model that answers every request.
pub async fn scene() -> (TestHq, ModelServer) {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    connect(&hq, &model).await;
    agent(&hq, "Ada").await;
    model.usually(Turn::text("I see."));
    (hq, model)
}

/// An HQ with Ada, a scripted model, and an API client that may chat with her.
pub async fn with_program() -> (TestHq, ModelServer, Person) {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    connect(&hq, &model).await;
    agent(&hq, "Ada").await;
    let program = hq.token(&["read", "chat"]).await;
    (hq, model, program)
}

pub fn all<R: Record>(hq: &TestHq) -> Vec<R> {
    let read: Result<_, StoreError> = hq.ws().read(|snap| snap.list(&Range::all()));
    read.expect("a readable store")
}

/// Writes a row directly, bypassing rules.
pub fn lay<R: Record>(tx: &mut WriteTx<'_>, row: &R) -> Result<(), StoreError> {
    tx.put(row)
}

/// Deletes a row directly, bypassing rules; returns whether it existed.
pub fn take<R: Record>(tx: &mut WriteTx<'_>, id: R::Id) -> Result<bool, StoreError> {
    tx.delete::<R>(id)
}

/// Creates a record below `/api/v1`; returns it.
pub async fn made(api: &Person, path: &str, body: Value) -> Value {
    let made = api.post(&format!("/api/v1/{path}"), &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// Names in a list below `/api/v1`, in order.
pub async fn names(api: &Person, path: &str) -> Vec<String> {
    let found = api.get(&format!("/api/v1/{path}")).await;
    assert_eq!(found.status, 200, "{}", found.text);
    let items = found.json()["items"].as_array().expect("items").clone();
    items.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// The list of knowledge, after waiting for the index.
pub async fn listed(api: &Person, query: &str) -> Value {
    loop {
        let found = api.get(&format!("/api/v1/knowledge?{query}")).await;
        assert_eq!(found.status, 200, "{}", found.text);
        let found = found.json();
        let unknown = found["not_known_yet"].as_str().unwrap_or_default();
        let waits = ["is not found yet", "still being made", "not been read yet"];
        if !waits.iter().any(|one| unknown.contains(one)) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The owner of the test's workspace, as an actor.
pub fn owner(hq: &TestHq) -> (Actor, Cause) {
    let members: Vec<Member> =
        hq.ws().read(|snap| snap.list(&Range::all().limit(1))).expect("a readable store");
    let account = members.first().expect("an owner").account;
    let via = Via::SignIn(SignInId::from_bytes([9; 16]));
    (Actor::Person { account, via }, Cause::Setup)
}

/// Creates an agent from the template `default`, ready for work.
pub async fn agent(hq: &TestHq, name: &str) -> Agent {
    let (ws, who) = (hq.ws(), owner(hq));
    let new = agents::NewAgent {
        name: name.to_owned(),
        slug: String::new(),
        emoji: "🔭".to_owned(),
        description: "Research".to_owned(),
        template: "default".to_owned(),
        model: agents::ModelChoice::default(),
        thinking: None,
        exec: false,
        budget_micros: None,
        reports_to: who.0.account().map(Into::into),
    };
    let names = provision::template_names();
    let made = ws.write(&who, move |tx| agents::create(tx, new, &names)).await;
    let made = made.expect("an agent");
    provision::make(&ws, &who, made.id).await.expect("its files")
}

/// Makes a scripted server the default model.
pub async fn connect(hq: &TestHq, model: &ModelServer) {
    let (ws, who) = (hq.ws(), owner(hq));
    let new = NewConnection {
        name: "Mock".to_owned(),
        wire: Wire::OpenaiChat,
        base_url: model.openai_url(),
        key: None,
        default_model: Some("mock".to_owned()),
    };
    let made = ws.write(&who, move |tx| {
        let id = connections::create(tx, new)?;
        connections::set_default(tx, Some(id), "mock")
    });
    made.await.expect("a connection");
}

/// A run by its name.
pub fn run(hq: &TestHq, name: &str) -> Run {
    let found: Result<_, StoreError> = hq.ws().read(|snap| runs::by_name(snap, name));
    found.expect("a readable store").expect("a run of this name")
}
