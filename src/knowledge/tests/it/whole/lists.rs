//! Lists read only the items that they show, and reflect every change at once.

use std::time::Duration;

use serde_json::{Value, json};
use support::hq::TestHq;

use super::{found, id, made, patched, titles};

const MOMENT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_follows_each_change_and_counts_what_it_does_not_show() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let mut pages: Vec<Value> = Vec::new();
    for n in 0..5 {
        let body = json!({ "title": format!("Page {n}"), "text": "Words.", "tags": ["Rare"] });
        pages.push(made(&api, "knowledge", body).await);
        hq.advance(MOMENT).await;
    }
    let skill = json!({ "kind": "skill", "title": "Skill", "text": "How.", "tags": ["rare"] });
    made(&api, "knowledge", skill).await;
    let of_tag = ["Skill", "Page 4", "Page 3", "Page 2", "Page 1", "Page 0"];
    assert_eq!(titles(&api, "tag=rare").await, of_tag);
    let first = found(&api, "tag=RARE&kind=page&limit=2").await;
    let next = first["next"].as_str().expect("there are more").to_owned();
    let some = found(&api, &format!("tag=RARE&kind=page&limit=2&cursor={next}")).await;
    let shown = some["items"].as_array().expect("items");
    let shown: Vec<&str> = shown.iter().filter_map(|one| one["title"].as_str()).collect();
    assert_eq!(shown, ["Page 2", "Page 1"]);
    assert_eq!(some["total"], json!(5));
    let end = some["next"].as_str().expect("there is one more");
    let last = found(&api, &format!("tag=rare&kind=page&limit=1&cursor={end}")).await;
    assert_eq!((&last["items"][0]["title"], &last["next"]), (&json!("Page 0"), &json!(null)));
    let number = api.get("/api/v1/knowledge?cursor=50").await;
    assert_eq!(number.status, 422, "{}", number.text);

    // An item inserted between two pages neither repeats nor hides a row.
    hq.advance(MOMENT).await;
    made(&api, "knowledge", json!({ "title": "New", "text": "Words.", "tags": ["rare"] })).await;
    let repeated = found(&api, &format!("tag=RARE&kind=page&limit=2&cursor={next}")).await;
    let second = |page: &Value| page["items"][0]["title"].clone();
    assert_eq!((second(&repeated), &repeated["total"]), (json!("Page 2"), &json!(6)));
    api.call(
        "DELETE",
        &format!("/api/v1/knowledge/{}", first["items"][1]["id"].as_str().expect("an id")),
    )
    .await;
    let repeated = found(&api, &format!("tag=RARE&kind=page&limit=2&cursor={next}")).await;
    assert_eq!(second(&repeated), "Page 2", "the row of the cursor itself has gone");

    for (n, change) in [(1, json!({ "archived": true })), (0, json!({ "tags": [] }))] {
        hq.advance(MOMENT).await;
        let at = format!("knowledge/{}", id(&pages[n]));
        let done = patched(&api, &at, change).await;
        assert_eq!(done.status, 200, "{}", done.text);
    }
    assert_eq!(titles(&api, "tag=rare&kind=page").await, ["New", "Page 4", "Page 2"]);
    assert_eq!(titles(&api, "archived=true").await, ["Page 1"]);
    assert_eq!(titles(&api, "limit=1").await, ["Page 0"], "what changed last comes first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_finds_on_the_search_page_what_answers_it_in_other_words() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for (title, text) in [
        ("Pump manual", "E-1042 means that the filter is blocked. Clean it."),
        ("Fixed prices", "What a pump costs."),
    ] {
        made(&api, "knowledge", json!({ "title": title, "text": text })).await;
    }
    let titles = async |q: &str| {
        let found = api.get(&format!("/api/v1/search?q={q}")).await.json();
        let items = found["items"].as_array().expect("hits").clone();
        items.iter().filter_map(|one| one["title"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let found = titles("how+do+I+fix+E-1042").await;
    assert_eq!(found.first().map(String::as_str), Some("Pump manual"), "{found:?}");
    assert_eq!(
        titles("what+does+the+pump+cost").await.first().map(String::as_str),
        Some("Fixed prices")
    );
    // Words that are no question are all required.
    assert!(titles("pump+zebra").await.is_empty());
    let page = hq.owner().get(&format!("{}/search?q=how+do+I+fix+E-1042", super::HERE)).await;
    assert!(page.text.contains("Pump manual"), "{}", page.text);
    hq.finish().await;
}
