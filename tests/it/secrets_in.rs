//! Secrets as variables of programs, and requests that name them: where values go, and where they are never visible.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use features::agents::model::Agent;
use kernel::TrustMode;
use parking_lot::Mutex;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::ReadExt as _;
use tokio::net::TcpListener;

use support::hq::everything_in;
use support::model::Turn;
use support::office::Office;

const VALUE: &str = "zebra-canary-0123456789";

async fn secret(office: &Office, body: Value) -> Value {
    let made = office.hq.owner().json("POST", "/api/v1/secrets", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

/// Results of these tool calls, in a run of their own.
async fn does(office: &Office, ada: &Agent, calls: &[(&str, Value)]) -> Vec<(bool, String)> {
    for (name, args) in calls {
        office.model.push(Turn::call(name, args.clone()));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(ada, "Go on").await;
    office.ended(run).await;
    office.results(run).into_iter().map(|(_, ok, text)| (ok, text)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_has_its_variables_and_nobody_sees_their_values() {
    let mut office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    secret(&office, json!({ "name": "Build token", "value": VALUE })).await;
    let named = json!({ "name": "Rare key", "value": "gnu-canary-9876543210", "named_only": true });
    secret(&office, named).await;
    let print = "printf '%s' \"$BUILD_TOKEN\" | wc -c; echo \"<$BUILD_TOKEN>\"; echo \"[${RARE_KEY-none}]\"";
    let told = does(
        &office,
        &ada,
        &[
            ("exec", json!({ "command": print })),
            ("exec", json!({ "command": "echo \"${#RARE_KEY}\"", "secrets": ["RARE_KEY"] })),
            ("exec", json!({ "command": "true", "secrets": ["NO_SUCH"] })),
        ],
    )
    .await;
    assert!(told[0].1.contains("23\n<[secret:BUILD_TOKEN]>\n[none]"), "{told:?}");
    assert!(told[1].1.contains("21"), "{told:?}");
    assert!(!told[2].0 && told[2].1.contains("NO_SUCH"), "{told:?}");
    let uses = office.hq.owner().get("/api/v1/secrets/uses?agent=ada").await;
    assert!(uses.text.contains("BUILD_TOKEN") && uses.text.contains("RARE_KEY"), "{}", uses.text);
    let uses = uses.json();
    let mut counts: Vec<_> = uses["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (one["key"].as_str().unwrap_or_default(), one["count"].as_u64()))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [("BUILD_TOKEN", Some(2)), ("RARE_KEY", Some(1))], "each program counts");
    let data = office.hq.data();
    office.hq.stop().await;
    let all = everything_in(&data);
    for value in [VALUE, "gnu-canary-9876543210"] {
        let seen = all.windows(value.len()).any(|part| part == value.as_bytes());
        assert!(!seen, "{value} lies in the data folder");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_any_signs_arrives_byte_for_byte() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let values = [
        ("ODD_QUOTES", "it's \"so\" \\ `id` $(id) $HOME ${X:-y} '' \"\""),
        ("ODD_LINES", "-----BEGIN-----\nfirst\tline\r\n\n second \n-----END-----"),
        ("ODD_SIGNS", "ключ – 🔑 = %00;&|<>*?[a]~#!{a,b}\u{7}\u{1b}[31m"),
    ];
    for (key, value) in values {
        secret(&office, json!({ "name": key, "key": key, "value": value })).await;
    }
    let digests = |(key, _): (&str, &str)| {
        ("exec", json!({ "command": format!("printf %s \"${key}\" | sha256sum") }))
    };
    let told = does(&office, &ada, &values.map(digests)).await;
    for ((key, value), (ok, text)) in values.iter().zip(&told) {
        let digest = hex::encode(Sha256::digest(value));
        assert!(*ok && text.contains(&digest), "{key}: {told:?}");
    }
    let zero = json!({ "name": "Zero", "value": "before\u{0}after it" });
    let refused = office.hq.owner().json("POST", "/api/v1/secrets", &zero).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("Remove zero bytes"), "{}", refused.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_secret_that_steers_the_loader_stops_no_program_and_reaches_none() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let kept = secret(&office, json!({ "name": "Kept", "value": VALUE })).await;
    let old = secret(&office, json!({ "name": "Old", "value": "gnu-canary-9876543210" })).await;
    // As stored by an earlier version of HQ.
    let id: vault::model::SecretId = old["id"].as_str().expect("an id").parse().expect("an id");
    office
        .act(move |tx| {
            let secret: vault::model::Secret = tx.get(id)?.expect("it is there");
            tx.put(&vault::model::Secret { key: "LD_AUDIT".to_owned(), ..secret })?;
            Ok::<_, store::StoreError>(())
        })
        .await;
    let command = "echo \"<${LD_AUDIT-none}>\"; printf %s \"$KEPT\" | wc -c";
    let told = does(
        &office,
        &ada,
        &[
            ("exec", json!({ "command": command })),
            ("exec", json!({ "command": "true", "secrets": ["LD_AUDIT"] })),
        ],
    )
    .await;
    assert_eq!(kept["key"], "KEPT");
    assert!(told[0].0 && told[0].1.contains("<none>\n23"), "{told:?}");
    assert!(
        told[0].1.contains(
            "[not in the environment: LD_AUDIT, which would \
        change"
        ),
        "{told:?}"
    );
    assert!(!told[1].0 && told[1].1.contains("LD_AUDIT is not given to programs"), "{told:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_read_shows_of_a_key_is_not_written_in_its_place() {
    const KEY: &str = "ghp_abcdefghijklmnopqrstuvwx";
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    secret(&office, json!({ "name": "Mail", "value": VALUE })).await;
    let file = office.ws().agent_folder("ada").join("keys.env");
    let there = format!("a=1\nb=2\nkey={KEY}\nmail={VALUE}\n");
    std::fs::write(&file, &there).expect("a file");
    let shown = "a=1\nb=2\nkey=ghp_ab…uvwx\nmail=[secret:MAIL]\n";
    let patch = |lines: &str| {
        let input =
            format!("*** Begin Patch\n*** Update File: keys.env\n@@\n{lines}\n*** End Patch");
        ("apply_patch", json!({ "input": input }))
    };
    let edit = |old: &str, new: &str| {
        ("edit", json!({ "path": "keys.env", "oldText": old, "newText": new }))
    };
    let moved = "*** Begin Patch\n*** Delete File: keys.env\n*** Add File: other.env\n+key=ghp_ab…uvwx\n*** End Patch";
    let told = does(
        &office,
        &ada,
        &[
            ("read", json!({ "path": "keys.env" })),
            ("write", json!({ "path": "keys.env", "content": shown.replace("a=1", "a=2") })),
            edit("b=2\n", "b=2\nold=ghp_ab...uvwx\n"),
            edit("key=ghp_ab…uvwx", "key=new"),
            edit("mail=[secret:MAIL]", "mail=new"),
            patch(" key=ghp_ab…uvwx\n+c=3"),
            patch("-b=2\n+b=ghp_ab…uvwx"),
            ("apply_patch", json!({ "input": moved })),
            edit("a=1", "a=2"),
            patch("-b=2\n+b=3"),
        ],
    )
    .await;
    assert!(told[0].1.starts_with(shown), "{}", told[0].1);
    for (n, line) in [(1, 3), (2, 3), (6, 2), (7, 1)] {
        let refused = format!(": line {line} contains the mask of a secret: ");
        assert!(told[n].1.starts_with("Error(masked_value): "), "{n}: {}", told[n].1);
        assert!(told[n].1.contains(&refused), "{n}: {}", told[n].1);
    }
    for (n, line) in [(3, 3), (4, 4), (5, 3)] {
        let hidden = format!(
            "Error(masked_value): line {line} contains a secret that is shown to \
            you"
        );
        assert!(told[n].1.starts_with(&hidden), "{n}: {}", told[n].1);
    }
    assert!(told[8].0 && told[9].0, "{told:?}");
    let now = std::fs::read_to_string(&file).expect("a file");
    assert_eq!(now, there.replace("a=1", "a=2").replace("b=2", "b=3"), "the values stay");
    assert!(!office.ws().agent_folder("ada").join("other.env").exists());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_carries_a_secret_to_its_hosts_alone() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let ear = Arc::clone(&heard);
    let app = Router::new().route(
        "/",
        post(move |headers: HeaderMap, body: String| async move {
            let key = headers.get("authorization").and_then(|value| value.to_str().ok());
            ear.lock().push((key.unwrap_or_default().to_owned(), body.clone()));
            format!("you sent {} and {body}", key.unwrap_or_default())
        }),
    );
    let served = tokio::spawn(async move { axum::serve(listener, app).await });

    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let reach = json!({ "opened": [format!("127.0.0.1:{port}"), format!("localhost:{port}")] });
    let opened = office.hq.owner().json("PUT", "/api/v1/reach", &reach).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    let key =
        json!({ "name": "Shop key", "value": VALUE, "hosts": ["127.0.0.1"], "way": "requests" });
    secret(&office, key).await;
    let ask = |host: &str, more: Value| {
        let mut args = json!({ "url": format!("http://{host}:{port}/"), "method": "POST" });
        args.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        ("http_request", args)
    };
    let header = json!({ "headers": { "Authorization": "Bearer {{secret:SHOP_KEY}}" } });
    let told = does(
        &office,
        &ada,
        &[
            ask(
                "127.0.0.1",
                json!({
                    "headers": { "Authorization": "Bearer {{secret:SHOP_KEY}}" },
                    "body": { "key": "{{secret:SHOP_KEY}}" },
                }),
            ),
            ask("localhost", header),
            ask("127.0.0.1", json!({ "body": "{{secret:NOBODYS}}" })),
            ask("127.0.0.1", json!({ "body": VALUE })),
        ],
    )
    .await;
    let sent = heard.lock().clone();
    let first = (format!("Bearer {VALUE}"), format!(r#"{{"key":"{VALUE}"}}"#));
    assert_eq!(sent.first(), Some(&first), "{told:?}");
    assert!(told[0].0 && !told[0].1.contains(VALUE), "{told:?}");
    assert!(told[0].1.contains("Bearer [secret:SHOP_KEY]"), "{told:?}");
    assert!(!told[1].0 && told[1].1.contains("only be sent to 127.0.0.1"), "{told:?}");
    assert!(!told[2].0 && told[2].1.contains("NOBODYS"), "{told:?}");
    // A value that a model writes out itself is not sent.
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[1].1, "[secret:SHOP_KEY]", "{told:?}");
    served.abort();
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_changes_something_outside_is_asked_for_and_one_that_looks_is_not() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let get = json!({ "url": "http://127.0.0.1:9/" });
    let told = does(&office, &ada, &[("http_request", get)]).await;
    assert!(
        told[0].1.starts_with("Error(unavailable)"),
        "looked, and refused by the guard: {told:?}"
    );

    let post = json!({ "url": "https://api.shop.example/orders", "method": "POST", "body": "x" });
    office.model.push(Turn::call("http_request", post)).push(Turn::text("Done."));
    let run = office.say(&ada, "Order it").await;
    let waits = office.in_state(run, kernel::RunState::Waiting).await;
    assert!(waits.waiting.is_some_and(|wait| wait.waits_for == kernel::WaitFor::Approval));
    let list = office.hq.owner().get("/api/v1/approvals").await.json();
    let offers = list["items"][0].to_string();
    assert!(offers.contains("POST requests to api.shop.example"), "{offers}");
    office.stop(run).await;
    office.hq.finish().await;
}
