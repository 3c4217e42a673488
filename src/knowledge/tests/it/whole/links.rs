//! Links between items: completions and rendering.

use serde_json::json;
use support::hq::TestHq;

use super::{id, made, patched};
use crate::HERE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_offered_that_means_one_item_and_says_where_it_means_none() {
    let hq = TestHq::start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    made(&api, "knowledge/folders", json!({ "name": "Leases" })).await;
    let first = id(&made(&api, "knowledge", json!({ "title": "Terms", "text": "" })).await);
    let second = json!({ "title": "Terms", "folder": "Leases", "text": "" });
    let second = id(&made(&api, "knowledge", second).await);
    made(&api, "knowledge", json!({ "title": "Rent", "text": "89" })).await;

    let offered = async |prefix: &str| {
        let url = format!("{HERE}/knowledge/names?of={second}&q={prefix}");
        owner.get(&url).await.json()
    };
    let all = offered("%5B%5Bter").await;
    assert_eq!(all[0]["insert"], json!(format!("[[know:{first}|Terms]]")), "{all}");
    assert_eq!(all[1]["kind"], "Page / Leases", "its own comes last: {all}");
    assert_eq!(offered("%5B%5Bren").await[0]["insert"], "[[Rent]]");

    let links = json!({ "title": "Links", "text": "See [[Terms]], [[Return]] and [[Rent]]." });
    let links = id(&made(&api, "knowledge", links).await);
    let page = owner.get(&format!("{HERE}/knowledge/{links}")).await;
    for words in ["2 items have this title.", "No item has this title."] {
        assert_eq!(page.text.matches(words).count(), 1, "{words}: {}", page.text);
    }
    let text = format!("| a |\n| --- |\n| [[know:{second}\\|the terms]] |\n");
    patched(&api, &format!("knowledge/{links}"), json!({ "text": text })).await;
    let page = owner.get(&format!("{HERE}/knowledge/{links}")).await;
    let link = format!("knowledge/{second}\"");
    assert!(page.text.contains(&link) && page.text.contains("the terms"), "{}", page.text);
    hq.finish().await;
}
