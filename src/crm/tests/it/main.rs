//! Tests of the package in a complete HQ, in one program because each test program links everything.

mod fields;
mod foreign;
mod imports;
mod kinds;
mod lists;
mod products;
mod reading;
mod round_trips;
mod sizes;
mod whole;

use serde_json::Value;
use support::hq::{Person, Reply};

const HERE: &str = "/w/marlow-cargo";

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

async fn patched(api: &Person, path: &str, body: Value) -> Reply {
    api.json("PATCH", &format!("/api/v1/{path}"), &body).await
}

/// Waits for the end of background work; returns its record.
async fn over(api: &Person, path: &str) -> Value {
    loop {
        let now = api.get(&format!("/api/v1/{path}")).await.json();
        if !["running", "undoing", "redoing"].iter().any(|state| now["state"] == *state) {
            return now;
        }
        tokio::task::yield_now().await;
    }
}
