//! The package with a whole HQ around it: one program, since each is linked with everything.

mod fields;
mod imports;
mod kinds;
mod lists;
mod whole;

use std::time::Duration;

use serde_json::Value;
use support::hq::{Person, Reply, TestHq};

const HERE: &str = "/w/marlow-cargo";

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

async fn patched(api: &Person, path: &str, body: Value) -> Reply {
    api.json("PATCH", &format!("/api/v1/{path}"), &body).await
}

/// What goes on by itself when it has ended. Whoever asks too often for a minute's limit asks in the next minute.
async fn over(hq: &TestHq, api: &Person, path: &str) -> Value {
    loop {
        let now = api.get(&format!("/api/v1/{path}")).await;
        if now.status == 429 {
            hq.advance(Duration::from_secs(60)).await;
            continue;
        }
        let now = now.json();
        if now["state"] != "running" {
            return now;
        }
        tokio::task::yield_now().await;
    }
}
