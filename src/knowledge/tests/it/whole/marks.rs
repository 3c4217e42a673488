//! Marks on versions.

use serde_json::{Value, json};
use support::hq::TestHq;

use super::{id, made, patched};
use crate::HERE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_named_found_by_its_mark_and_stays_as_it_was_named() {
    let hq = TestHq::start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    let page = json!({ "title": "Lease", "text": "One rate." });
    let at = format!("knowledge/{}", id(&made(&api, "knowledge", page).await));
    let versions = format!("/api/v1/{at}/versions");
    let put = async |n: u32, name: &str| {
        api.json("PUT", &format!("{versions}/{n}/mark"), &json!({ "name": name })).await
    };
    let named = put(1, "  As \u{202e}\0 signed ").await;
    assert_eq!(named.json()["items"][0]["mark"], "As signed", "{}", named.text);

    // A marked version is kept although the same person continues to write.
    let changed = json!({ "text": "Two rates.", "base": "One rate." });
    assert_eq!(patched(&api, &at, changed).await.json()["version"], 2);
    assert_eq!(api.get(&format!("{versions}/1")).await.json()["text"], "One rate.");
    let marked = async || {
        let all = api.get(&format!("{versions}?marked=true")).await.json();
        let all = all["items"].as_array().expect("versions").clone();
        all.iter().map(|one| one["n"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(marked().await, [json!(1)]);

    for (n, name, status) in [
        (2, "", 422),
        (2, "as SIGNED", 422),
        (2, &*"x".repeat(81), 422),
        (9, "Nothing", 404),
        (1, "Signed", 200),
    ] {
        let answer = put(n, name).await;
        assert_eq!(answer.status, status, "{n} {name}: {}", answer.text);
    }
    // On the page: marking, filtering, renaming, removing and undoing.
    let base = format!("{HERE}/{at}");
    let form = [("name", "Draft")];
    let done = owner.form(&format!("{base}/versions/2/mark"), &form).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(marked().await, [json!(2), json!(1)]);
    let list = owner.get(&format!("{base}?marked=yes")).await;
    for words in ["Marked versions", "Signed", "Draft"] {
        assert!(list.text.contains(words), "{words}: {}", list.text);
    }
    // A comparison names the mark; a name that is taken changes nothing and leads back to the form.
    let changed = json!({ "text": "Three rates.", "base": "Two rates." });
    assert_eq!(patched(&api, &at, changed).await.json()["version"], 3);
    let two = owner.get(&format!("{base}/versions/2")).await;
    assert!(two.text.contains("Version 1, Signed"), "{}", two.text);
    let taken = owner.form(&format!("{base}/versions/2/mark"), &[("name", "signed")]).await;
    assert_eq!(taken.status, 303, "{}", taken.text);
    assert_eq!(marked().await, [json!(2), json!(1)]);
    let one = owner.get(&format!("{base}/versions/1")).await;
    assert!(one.text.contains("Remove mark"), "{}", one.text);
    let gone = owner.form(&format!("{base}/versions/1/mark"), &[("remove", "yes")]).await;
    assert_eq!(gone.status, 303, "{}", gone.text);
    assert_eq!(marked().await, [json!(2)]);
    assert_eq!(api.call("DELETE", &format!("{versions}/2/mark")).await.status, 204);
    assert!(marked().await.is_empty());

    // A read-only token cannot mark.
    let reader = hq.token(&["read"]).await;
    let refused = reader.json("PUT", &format!("{versions}/1/mark"), &json!({ "name": "x" })).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    hq.finish().await;
}
