//! Per-machine state of secrets: the primary shows whether each host has confirmed the value.

use serde_json::{Value, json};
use support::model::Turn;

use super::away::{Shop, done, until, was_done};

const VALUE: &str = "canary-of-the-box-90ab";
const OTHER: &str = "canary-of-all-5e21";

async fn one(shop: &Shop, id: &str) -> Value {
    shop.office.hq.api().await.get(&format!("/api/v1/secrets/{id}")).await.json()
}

async fn becomes(shop: &Shop, id: &str, state: &str) -> Value {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(30));
    let waited = tokio::time::timeout(std::time::Duration::from_secs(100), async {
        loop {
            let now = one(shop, id).await;
            if now["state"] == state {
                break now;
            }
            tick.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("it never became {state}"))
}

async fn added(shop: &Shop, body: Value) -> String {
    let made = shop.office.hq.api().await.post("/api/v1/secrets", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_active_on_a_machine_once_its_host_has_confirmed_it() {
    let mut shop = Shop::open().await;
    let shared = json!({ "name": "Shop", "key": "SHOP_KEY", "value": OTHER });
    let shared = added(&shop, shared).await;
    let now = becomes(&shop, &shared, "active").await;
    let on: Vec<_> = now["on"].as_array().expect("machines").iter().collect();
    assert_eq!((&on[0]["name"], &on[1]["name"]), (&json!("This machine"), &json!("GPU box")));
    assert!(on.iter().all(|one| one["state"] == "active"), "{now}");
    let page = shop.office.hq.owner().get("/w/marlow-cargo/settings/secrets").await.text;
    assert!(page.contains("Active on This machine, GPU box"), "{page}");

    // A value for this gateway only replaces it there, and is not on this machine.
    let own = json!({ "name": "Box", "key": "SHOP_KEY", "value": VALUE, "gateway": "gpu-box" });
    let own = added(&shop, own).await;
    let now = becomes(&shop, &own, "active").await;
    let on = now["on"].as_array().expect("machines");
    assert_eq!((on.len(), &on[0]["name"]), (1, &json!("GPU box")), "{now}");
    until_alone(&shop, &shared).await;
    let there = json!({ "command": "printf '%s' \"$SHOP_KEY\" | wc -c" });
    shop.office.model.follow(vec![Turn::call("exec", there), done()]);
    let task = shop.office.task("Count the letters", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert!(calls[0].2.contains(&VALUE.len().to_string()), "{calls:?}");

    // A change during the disconnection is pending until the gateway is back.
    shop.kill();
    until("it is still linked", || !shop.is_linked()).await;
    let path = format!("/api/v1/secrets/{own}/value");
    let set =
        shop.office.hq.api().await.json("PUT", &path, &json!({ "value": "third-value-1" })).await;
    assert!(set.status.is_success(), "{}", set.text);
    let now = one(&shop, &own).await;
    assert_eq!((&now["state"], &now["on"][0]["state"]), (&json!("waiting"), &json!("waiting")));
    let page = format!("/w/marlow-cargo/settings/secrets/{own}");
    let told = shop.office.hq.owner().get(&page).await.text;
    assert!(told.contains("Waiting for GPU box, offline since"), "{told}");
    shop.again();
    becomes(&shop, &own, "active").await;
    shop.close().await;
}

/// Waits until a secret is on this machine only.
async fn until_alone(shop: &Shop, id: &str) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(30));
    let alone = tokio::time::timeout(std::time::Duration::from_secs(100), async {
        while one(shop, id).await["on"].as_array().map(Vec::len) != Some(1) {
            tick.tick().await;
        }
    });
    alone.await.expect("the other machine does not need it any more");
}
