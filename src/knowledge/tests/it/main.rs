//! The package with a whole HQ around it: one program, since each is linked with everything.

mod meaning;
mod vectors;
mod whole;

use serde_json::Value;
use support::hq::Person;
use support::work::listed;

const HERE: &str = "/w/marlow-cargo";

/// What the list of knowledge answers, once it knows all and the question has its vector: it waits for that no longer,
/// either.
async fn meant(api: &Person, query: &str) -> Value {
    loop {
        let found = listed(api, query).await;
        let unknown = found["not_known_yet"].as_str().unwrap_or_default();
        if !unknown.contains("searched by words alone") {
            return found;
        }
    }
}
