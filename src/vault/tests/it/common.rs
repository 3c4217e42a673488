//! Test fixtures: secrets, gateways, agents on gateways.

use gateways::model::{AgentPlace, Gateway, local};
use kernel::{AgentId, GatewayId};
use serde_json::{Value, json};
use store::{StoreError, WriteTx};
use support::hq::{Person, TestHq};
use support::work;

pub const HERE: &str = "/w/marlow-cargo";
pub const ALL: &str = "/api/v1/secrets";

/// Adds a secret with this variable, value and more fields.
pub async fn added(api: &Person, key: &str, value: &str, more: Value) -> Value {
    let mut body = json!({ "name": key, "key": key, "value": value });
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    let made = api.post(ALL, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// Adds a gateway.
pub async fn gateway(hq: &TestHq, label: &str, slug: &str) -> GatewayId {
    let (label, slug) = (label.to_owned(), slug.to_owned());
    let body = move |tx: &mut WriteTx<'_>| {
        let id: GatewayId = tx.new_id();
        tx.put(&Gateway::fresh(id, (label.as_str(), slug.as_str()), (tx.by(), tx.now())))?;
        Ok::<_, StoreError>(id)
    };
    hq.ws().write(&work::owner(hq), body).await.expect("a gateway")
}

/// Moves an agent to a gateway.
pub async fn place(hq: &TestHq, agent: AgentId, gateway: GatewayId) {
    let body = move |tx: &mut WriteTx<'_>| match gateway == local() {
        true => tx.delete::<AgentPlace>(agent).map(drop),
        false => tx.put(&AgentPlace { agent, gateway }),
    };
    hq.ws().write(&work::owner(hq), body).await.expect("it works there");
}

/// Error code and body of a rejected request.
pub async fn refused(api: &Person, body: &Value) -> (String, String) {
    let reply = api.post(ALL, body).await;
    assert!(!reply.status.is_success(), "{}", reply.text);
    let code = reply.json()["code"].as_str().expect("a code").to_owned();
    (code, reply.text)
}

pub fn id(one: &Value) -> String {
    one["id"].as_str().expect("an id").to_owned()
}
