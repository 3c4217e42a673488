//! Quality of search results without a model, and when the text index is built. The benchmark measures the effect of a
//! model.

use std::time::Duration;

use serde_json::json;
use support::graded::{Graded, Kind, Question};
use support::hq::{Person, TestHq};

async fn written(api: &Person, title: &str, text: &str) {
    let made = api.post("/api/v1/knowledge", &json!({ "title": title, "text": text })).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn titles(api: &Person, question: &Question) -> Vec<String> {
    let query = question.query(None).expect("a query");
    let found = api.get(&format!("/api/v1/knowledge?{query}")).await;
    assert_eq!(found.status, 200, "{}", found.text);
    let items = found.json()["items"].as_array().expect("items").clone();
    items.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_find_the_exact_page_first() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let Graded { pages, questions } = Graded::read().expect("pages and questions");
    for page in &pages {
        written(&api, &page.title, &page.text).await;
    }
    let (mut sum, mut count, mut bad) = (0.0, 0_u32, Vec::new());
    for question in questions.iter().filter(|one| one.kind == Kind::Identifier) {
        let found = titles(&api, question).await;
        let good = question.ndcg(&found);
        if good < 1.0 {
            bad.push((question.q.clone(), found));
        }
        sum += good;
        count += 1;
    }
    assert!(0.95 <= sum / f64::from(count), "{sum} of {count}: {bad:#?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_is_made_when_the_first_page_arrives() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    written(&api, "Lease", "An offer that nobody has asked for.").await;
    loop {
        let all = api.get("/api/v1/consumers").await.json();
        let items = all["items"].as_array().expect("items");
        if items.iter().any(|one| one["name"] == "search" && one["behind"] == 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hq.finish().await;
}
