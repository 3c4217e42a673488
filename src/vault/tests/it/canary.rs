//! No unsealed value on disk, in pages, responses, logs or exports. Also: a wrong master key.

use std::fs;

use serde_json::json;
use support::hq::{TestHq, everything_in};
use support::work;

use super::common::{ALL, HERE, added, id};

const CANARY: &str = "canary-7f3a-never-shown";
const OTHER: &str = "canary-9c1d-former-value";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_found_nowhere_but_sealed() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let ada = work::agent(&hq, "Ada").await.id;
    let made = added(&api, "CANARY", OTHER, json!({ "note": "A bird", "agents": ["ada"] })).await;
    let at = format!("{ALL}/{}", id(&made));
    let keyed = hq.api().await.with("idempotency-key", "once");
    let set = keyed.json("PUT", &format!("{at}/value"), &json!({ "value": CANARY })).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let second = keyed.json("PUT", &format!("{at}/value"), &json!({ "value": CANARY })).await;
    assert_eq!(second.json()["version"], 2, "it happened once: {}", second.text);
    let page = format!("{HERE}/settings/secrets/{}", id(&made));
    let bad = hq.owner().form(&format!("{page}/value"), &[("value", ""), ("lines", "\0")]).await;
    assert_eq!(bad.status, 422);
    let form = [("name", ""), ("value", CANARY), ("once", "k"), ("who", "all")];
    let refused = hq.owner().form(&format!("{HERE}/settings/secrets"), &form).await;
    assert_eq!(refused.status, 422);
    assert!(!refused.text.contains(CANARY));

    let owner = hq.owner();
    let paths = [
        format!("{HERE}/settings/secrets"),
        format!("{HERE}/settings/secrets?replace={}", id(&made)),
        page,
        format!("{HERE}/agents/ada/secrets"),
        format!("{HERE}/activity"),
        format!("{HERE}/settings/audit"),
        format!("{HERE}/history/secrets/{}", id(&made)),
        ALL.to_owned(),
        at.clone(),
        format!("{at}/uses"),
        format!("{ALL}/CANARY/why?agent=ada"),
        "/api/v1/audit".to_owned(),
        "/api/v1/activity".to_owned(),
        format!("/api/v1/history/secrets/{}", id(&made)),
    ];
    for path in paths {
        let page = owner.get(&path).await;
        assert!(page.status.is_success(), "{path}: {} {}", page.status, page.text);
        for value in [CANARY, OTHER] {
            assert!(!page.text.contains(value), "{path} shows a value");
        }
    }
    let given = vault::given(&hq.ws(), ada).expect("a readable store");
    let value = given[0].value.as_ref().expect("it opens");
    assert_eq!(value.expose_text(), Ok(CANARY));
    assert!(!format!("{given:?}").contains("canary-7f3a"), "nothing prints a value");
    let text = format!("key {CANARY} former {OTHER}");
    assert_eq!(hq.ws().app.redactor.text(&text), "key [secret:CANARY] former [secret:CANARY]");
    hq.restart().await;
    assert_eq!(hq.ws().app.redactor.text(&text), "key [secret:CANARY] former [secret:CANARY]");

    let data = hq.data();
    hq.finish_keeping(move || {
        let all = everything_in(&data);
        let holds = |word: &str| all.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(holds("SHOP_KEY") || holds("CANARY"), "what is set of it is there");
        assert!(!holds(CANARY) && !holds(OTHER), "a value lies in the data folder");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_master_key_hq_runs_names_what_is_lost_and_overwrites_nothing() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let ada = work::agent(&hq, "Ada").await.id;
    added(&api, "ONE", "value-of-one-1", json!({})).await;
    added(&api, "TWO", "value-of-two-2", json!({})).await;
    let opened = |hq: &TestHq| {
        let given = vault::given(&hq.ws(), ada).expect("a readable store");
        let one = |one: vault::Given| {
            (one.key, one.value.ok().map(|value| value.expose_text().expect("text").to_owned()))
        };
        given.into_iter().map(one).collect::<Vec<_>>()
    };
    let text = |words: &str| Some(words.to_owned());
    let file = hq.data().join("master.key");
    let key = fs::read_to_string(&file).expect("a key");
    hq.stop().await;
    fs::write(&file, "another-master-key-of-this-machine-00000001").expect("written");
    hq.start_again().await;
    assert_eq!(opened(&hq), [("ONE".to_owned(), None), ("TWO".to_owned(), None)]);
    let page = hq.owner().get(&format!("{HERE}/settings/secrets")).await;
    assert_eq!(page.text.matches("Enter again").count(), 2, "{}", page.text);
    let body = json!({ "value": "entered-again-1" });
    let set = hq.owner().json("PUT", &format!("{ALL}/ONE/value"), &body).await;
    assert_eq!(set.json()["state"], "active", "{}", set.text);
    assert_eq!(opened(&hq)[0].1, text("entered-again-1"), "others are still given");

    hq.stop().await;
    fs::write(&file, &key).expect("written");
    hq.start_again().await;
    assert_eq!(opened(&hq), [("ONE".to_owned(), None), ("TWO".to_owned(), text("value-of-two-2"))]);
    let back = hq.owner().post(&format!("{ALL}/ONE/put-back"), &json!({})).await;
    assert_eq!(back.json()["state"], "active", "the former value was kept: {}", back.text);
    assert_eq!(opened(&hq)[0].1, text("value-of-one-1"));
    hq.finish().await;
}
