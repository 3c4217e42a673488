//! Secrets that tests add.

use serde_json::{Value, json};
use support::hq::Person;

pub const HERE: &str = "/w/marlow-cargo";
pub const ALL: &str = "/api/v1/secrets";

/// A secret with this variable and value, and other fields.
pub async fn added(api: &Person, key: &str, value: &str, more: Value) -> Value {
    let mut body = json!({ "name": key, "key": key, "value": value });
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    let made = api.post(ALL, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// The code and the words of a refusal.
pub async fn refused(api: &Person, body: &Value) -> (String, String) {
    let reply = api.post(ALL, body).await;
    assert!(!reply.status.is_success(), "{}", reply.text);
    let code = reply.json()["code"].as_str().expect("a code").to_owned();
    (code, reply.text)
}

pub fn id(one: &Value) -> String {
    one["id"].as_str().expect("an id").to_owned()
}
