//! Comments on items, and how a page shows what its text contains besides words.

use serde_json::{Value, json};
use support::hq::TestHq;

use super::{id, made};
use crate::HERE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_has_comments_with_replies_and_mentions() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    let item =
        id(&made(&api, "knowledge", json!({ "title": "Lease terms", "text": "One." })).await);
    let page = format!("{HERE}/knowledge/{item}");
    let on = format!("{HERE}/on/knowledge:{item}");
    let shown = mira.get(&page).await;
    assert!(shown.text.contains("No comments yet."), "{}", shown.text);
    assert!(shown.text.contains(&format!("action=\"{on}/comment\"")), "{}", shown.text);

    let said = [("body", "@tom is the deposit right?"), ("key", "1")];
    let sent = mira.form(&format!("{on}/comment"), &said).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let told = tom.get(&format!("{HERE}/notifications")).await;
    assert!(told.text.contains("mentioned you on Lease terms"), "{}", told.text);

    let all = api.get(&format!("/api/v1/on/knowledge:{item}/comments")).await.json();
    let first = all["items"][0].clone();
    assert_eq!((&first["task"], &first["on"]), (&Value::Null, &json!(format!("knowledge:{item}"))));
    let answer = json!({ "body": "It is", "reply_to": first["id"] });
    made(&api, &format!("on/knowledge:{item}/comments"), answer).await;
    let shown = mira.get(&page).await;
    assert_eq!(shown.texts("#k-talks .answers .md"), ["It is"], "{}", shown.text);
    let reply = mira.get(&format!("{page}?reply={}", id(&first))).await;
    assert!(reply.text.contains("Reply to "), "{}", reply.text);

    let at = format!("/api/v1/on/knowledge:{item}/files?name=offer.txt");
    let sent = api.bytes("POST", &at, "application/octet-stream", b"Ten bikes".to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let shown = mira.get(&page).await;
    assert_eq!(shown.texts("#k-talks .files .title"), ["offer.txt"], "{}", shown.text);

    // An archived item is not discussed; a deleted one takes its comments with it.
    mira.form(&format!("{page}/archive"), &[]).await;
    let shown = mira.get(&page).await;
    assert!(!shown.text.contains(&format!("action=\"{on}/comment\"")), "{}", shown.text);
    let gone = api.call("DELETE", &format!("/api/v1/knowledge/{item}")).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let none = api.get(&format!("/api/v1/on/knowledge:{item}/comments")).await;
    assert_eq!(none.status, 404, "{}", none.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_shows_footnotes_formulas_captions_and_widths() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let picture = "/w/marlow-cargo/knowledge/0190-ab/file";
    let text = format!(
        "Costs $x^2$.[^why]\n\n![A plan|50%]({picture} \"The plan\")\n\n| Part | Price |\n|{}|{}|\n| Chain | 24 |\n\n\
         [^why]: By *law*.\n",
        "-".repeat(20),
        "-".repeat(30),
    );
    let item = id(&made(&api, "knowledge", json!({ "title": "Plan", "text": text })).await);
    let shown = mira.get(&format!("{HERE}/knowledge/{item}")).await;
    let notes = ["href=\"#fn-why\"", "id=\"fn-why\"", "href=\"#fnref-why\""];
    for part in notes.into_iter().chain(["<msup>", "width=\"50%\"", "<col width=\"60%\">"]) {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    assert_eq!(shown.texts("#k-body figcaption"), ["The plan"]);
    assert!(shown.text.contains("By <em>law</em>."), "{}", shown.text);
    // Its line in the list is words.
    let list = mira.get(&format!("{HERE}/knowledge")).await;
    assert!(list.text.contains("Costs x^2."), "{}", list.text);
    assert!(!list.text.contains("|50%"), "{}", list.text);
    hq.finish().await;
}
