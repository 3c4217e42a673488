//! Life cycle of a sync, tested against misbehaving sites.

use std::fs;

use serde_json::{Value, json};
use support::hq::{Person, Setup, TestHq};

use super::common::{
    HERE, Site, added, advance, id, outside, reading, resync, synced, titles, with_state, words,
};

async fn sitemap(api: &Person, base: &str) -> String {
    let reads = json!({ "url": base, "how": "sitemap" });
    let made = added(api, json!({ "connector": "web", "name": "Help", "reads": reads })).await;
    id(&made)
}

async fn online() -> (TestHq, Person) {
    let hq = Setup::default().http(outside()).start().await;
    let api = hq.api().await;
    (hq, api)
}

fn minutes_until(hq: &TestHq, source: &Value) -> i64 {
    let next: kernel::Timestamp =
        source["next_sync_at"].as_str().expect("a moment").parse().expect("a moment");
    next.duration_since(hq.now()).as_mins()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_goes_only_after_two_looks_an_hour_apart() {
    let site = Site::default();
    site.serve(async |base: String| {
        let (hq, api) = online().await;
        let all: Vec<(usize, u32)> = (0..8).map(|n| (n, 1)).collect();
        (0..8).for_each(|n| site.page(&format!("/p{n}"), &words(n)));
        site.lists(&base, &all);
        let source = sitemap(&api, &base).await;
        synced(&api, &source, 1).await;
        assert_eq!(titles(&api, "q=saffron").await, ["p3"]);

        // Not listed any more but still there: no change.
        site.lists(&base, &all[1..]);
        resync(&api, &source).await;
        assert_eq!(with_state(&api, &source, "synced").await, 8);
        // A 404 once; half an hour later; with an incomplete listing; after an hour; and back again.
        site.drop("/p0");
        let now = resync(&api, &source).await;
        let text = now["syncs"][0]["message"].as_str().expect("words");
        assert!(text.contains("Not found: 1 page. "), "{now}");
        assert_eq!(with_state(&api, &source, "missing").await, 1);
        resync(&api, &source).await;
        advance(&hq, 2).await;
        site.put("/sitemap.xml", "200 OK", "", "<urlset><url><loc>");
        resync(&api, &source).await;
        assert_eq!(with_state(&api, &source, "missing").await, 1);
        assert_eq!(titles(&api, "q=zebra").await, ["p0"]);
        site.page("/p0", &words(0));
        site.lists(&base, &all);
        resync(&api, &source).await;
        assert_eq!(with_state(&api, &source, "synced").await, 8);

        site.drop("/p0");
        site.lists(&base, &all[1..]);
        resync(&api, &source).await;
        assert_eq!(titles(&api, "q=zebra").await, ["p0"]);
        advance(&hq, 7).await;
        let now = resync(&api, &source).await;
        assert_eq!(now["status"], "active", "{now}");
        assert_eq!(with_state(&api, &source, "source_deleted").await, 1);
        assert!(titles(&api, "q=zebra").await.is_empty());
        assert_eq!(titles(&api, "archived=true").await, ["p0"], "it is out of the way, not lost");
        // The item is restored when the page is back.
        site.page("/p0", &words(0));
        site.lists(&base, &all);
        resync(&api, &source).await;
        assert_eq!(titles(&api, "q=zebra").await, ["p0"]);
        hq.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_would_take_many_items_away_asks_first() {
    let site = Site::default();
    site.serve(async |base: String| {
        let (hq, api) = online().await;
        let all: Vec<(usize, u32)> = (0..10).map(|n| (n, 1)).collect();
        (0..10).for_each(|n| site.page(&format!("/p{n}"), &words(n)));
        site.lists(&base, &all);
        let source = sitemap(&api, &base).await;
        synced(&api, &source, 1).await;
        (0..3).for_each(|n| site.drop(&format!("/p{n}")));
        site.lists(&base, &all[3..]);
        resync(&api, &source).await;
        advance(&hq, 2).await;
        let asks = resync(&api, &source).await;
        assert_eq!(asks["asks"], 3, "{asks}");
        assert_eq!(titles(&api, "q=zebra").await, ["p0"]);
        let owner = hq.owner();
        let place = format!("{HERE}/knowledge/sources/{source}");
        assert!(owner.get(&place).await.text.contains("Archive all"));
        let notices = api.get("/api/v1/notifications").await.text;
        assert!(notices.contains("Help wants to remove 3 items"), "{notices}");

        // The items stay, and the question is not repeated.
        let answer = format!("/api/v1/sources/{source}/answer");
        assert_eq!(api.post(&answer, &json!({ "take_away": false })).await.status, 200);
        advance(&hq, 2).await;
        let now = resync(&api, &source).await;
        assert_eq!((&now["asks"], titles(&api, "q=zebra").await.len()), (&json!(0), 1), "{now}");
        assert_eq!(api.post(&answer, &json!({ "take_away": true })).await.status, 409);

        (3..6).for_each(|n| site.drop(&format!("/p{n}")));
        site.lists(&base, &all[6..]);
        resync(&api, &source).await;
        advance(&hq, 2).await;
        let asks = resync(&api, &source).await;
        assert_eq!(asks["asks"], 3, "{asks}");
        let n = asks["syncs"][0]["n"].as_u64().unwrap_or(0);
        owner.form(&format!("{place}/take-away"), &[]).await;
        let now = synced(&api, &source, n + 1).await;
        assert_eq!((&now["asks"], &now["syncs"][0]["gone"]), (&json!(0), &json!(3)), "{now}");
        assert!(titles(&api, "q=glacier").await.is_empty());
        hq.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_later_and_a_closed_door_waits_for_a_person() {
    let site = Site::default();
    site.serve(async |base: String| {
        let (hq, api) = online().await;
        site.page("/p0", "Words.");
        site.lists(&base, &[(0, 1)]);
        let source = sitemap(&api, &base).await;
        let first = synced(&api, &source, 1).await;
        assert!((350..=360).contains(&minutes_until(&hq, &first)), "{first}");

        // Automatic retries after 5 and then 15 minutes, plus or minus a fifth.
        site.put("/sitemap.xml", "500 Oops", "", "");
        let failed = resync(&api, &source).await;
        assert_eq!(
            (&failed["status"], &failed["failures"]),
            (&json!("error"), &json!(1)),
            "{failed}"
        );
        assert!((3..=6).contains(&minutes_until(&hq, &failed)), "{failed}");
        hq.advance(std::time::Duration::from_secs(6 * 60 + 1)).await;
        let failed = synced(&api, &source, 3).await;
        assert_eq!(
            (&failed["failures"], &failed["syncs"][0]["why"]),
            (&json!(2), &json!("schedule"))
        );
        assert!((11..=18).contains(&minutes_until(&hq, &failed)), "{failed}");
        // A longer `Retry-After` is obeyed.
        site.put("/sitemap.xml", "429 Slow Down", "retry-after: 7200\r\n", "");
        let failed = resync(&api, &source).await;
        assert!((118..=120).contains(&minutes_until(&hq, &failed)), "{failed}");
        let notices = api.get("/api/v1/notifications").await.text;
        assert!(notices.contains("Help failed to sync 3 times in a row"), "{notices}");
        assert_eq!(titles(&api, "q=words").await, ["p0"], "what is known stays");

        site.put("/sitemap.xml", "403 Forbidden", "", "");
        let closed = resync(&api, &source).await;
        assert_eq!(
            (&closed["status"], &closed["next_sync_at"]),
            (&json!("expired"), &json!(null)),
            "{closed}"
        );
        let notices = api.get("/api/v1/notifications").await.text;
        assert!(notices.contains("HQ no longer has access to Help"), "{notices}");
        advance(&hq, 100).await;
        let now = api.get(&format!("/api/v1/sources/{source}")).await.json();
        assert_eq!(now["syncs"][0]["n"], closed["syncs"][0]["n"], "it is not tried again");
        site.lists(&base, &[(0, 1)]);
        let open = resync(&api, &source).await;
        assert_eq!((&open["status"], &open["failures"]), (&json!("active"), &json!(0)), "{open}");
        // A requested item is fetched whatever the listing says.
        site.take_requests();
        resync(&api, &source).await;
        assert!(
            !site.take_requests().contains(&"/p0".to_owned()),
            "the list says that it has not changed"
        );
        site.page("/p0", "Other words.");
        let items = api.get(&format!("/api/v1/sources/{source}/items")).await.json();
        let item = items["items"][0]["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/sources/{source}/sync?item={item}");
        let n =
            api.get(&format!("/api/v1/sources/{source}")).await.json()["syncs"][0]["n"].as_u64();
        assert_eq!(api.post(&path, &json!({})).await.status, 202);
        synced(&api, &source, n.unwrap_or(0) + 1).await;
        assert_eq!(titles(&api, "q=other").await, ["p0"]);
        hq.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_the_program_left_is_closed_and_what_it_found_is_kept() {
    let site = Site::default();
    site.serve(async |base: String| {
        let (mut hq, api) = online().await;
        for n in 0..40 {
            site.page(&format!("/p{n}"), &words(n));
        }
        let all: Vec<(usize, u32)> = (0..41).map(|n| (n, 1)).collect();
        site.lists(&base, &all);
        site.put("/p40", "stall", "", "");
        let source = sitemap(&api, &base).await;
        let at = format!("/api/v1/sources/{source}");
        while titles(&api, "q=saffron").await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(api.get(&at).await.json()["running"], true);
        hq.restart().await;
        let api = hq.api().await;
        // The background worker closes the interrupted sync shortly after the start.
        let left = loop {
            let now = api.get(&at).await.json();
            let runs = now["syncs"].as_array().expect("syncs");
            let left = runs.iter().find(|run| run["n"] == 1).expect("the first");
            if left["state"] != "running" {
                break left.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert_eq!(
            (&left["state"], &left["message"]),
            (&json!("failed"), &json!("HQ stopped during this sync.")),
            "{left}"
        );
        assert_eq!(titles(&api, "q=saffron").await, ["p3"]);
        hq.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_inside_is_reached_and_what_is_too_much_is_cut() {
    let site = Site::default();
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("long.md"), format!("# Long\n\n{}", "word ".repeat(120_000)))
        .expect("a file");
    site.serve(async |base: String| {
        let hq = reading(root.path()).start().await;
        let api = hq.api().await;
        site.put("/in", "302 Found", "location: http://169.254.169.254/latest\r\n", "");
        for (url, how, says) in [
            (format!("{base}/in"), "page", "public internet"),
            ("http://localhost:80/".into(), "page", "public internet"),
            ("http://10.0.0.1/".into(), "crawl", "public internet"),
            ("file:///etc/passwd".into(), "page", "use https or http"),
            (format!("{base}/none"), "page", "There’s no page at"),
        ] {
            let reads = json!({ "url": url, "how": how });
            let refused = api.post("/api/v1/sources", &json!({ "connector": "web", "reads": reads })).await;
            assert_eq!(refused.status, 422, "{url}: {}", refused.text);
            assert!(refused.text.contains(says), "{url}: {}", refused.text);
        }
        let looked = json!({ "connector": "nobody", "reads": {} });
        assert_eq!(api.post("/api/v1/sources/look", &looked).await.status, 404);

        let source = super::common::folder(&api, root.path()).await;
        let now = api.get(&format!("/api/v1/sources/{source}")).await.json();
        assert!(now["message"].as_str().is_some_and(|shown| shown.contains("Only the start")), "{now}");
        let item = api.get(&format!("/api/v1/sources/{source}/items")).await.json();
        let item = item["items"][0]["id"].as_str().expect("an id").to_owned();
        let text = api.get(&format!("/api/v1/knowledge/{item}")).await.json();
        assert_eq!(text["text"].as_str().map(|text| text.chars().count()), Some(500_000));
        assert!(hq.owner().get(&format!("{HERE}/knowledge/{item}")).await.text.contains("Show \
            all"));
        // Text longer than a page's limit is stored as a file.
        api.call("DELETE", &format!("/api/v1/sources/{source}?items=keep")).await;
        assert_eq!(titles(&api, "kind=file").await, ["Long"]);

        // While the folder is missing, nothing is lost.
        let source = super::common::folder(&api, root.path()).await;
        let away = root.path().with_extension("away");
        fs::rename(root.path(), &away).expect("moved");
        let failed = resync(&api, &source).await;
        assert!(failed["message"].as_str().is_some_and(|shown| shown.starts_with("The folder")), "{failed}");
        assert_eq!(with_state(&api, &source, "synced").await, 1);
        fs::rename(&away, root.path()).expect("moved back");
        assert_eq!(resync(&api, &source).await["status"], "active");

        // A connector in the data folder is based on a built-in one.
        let docs = hq.data().join("connectors/docs");
        fs::create_dir_all(&docs).expect("a folder");
        let manifest = json!({
            "id": "docs", "engine": "web", "name": "Our docs", "description": "The help of our shop", "icon": "📗",
            "item_label": "Pages", "version": 1, "auth": { "type": "none" }, "supports_write": false,
            "default_interval_hours": 12, "egress_hosts": ["site.test"],
            "reads": [
                { "key": "url", "label": "Address", "fixed": format!("{base}/p0") },
                { "key": "how", "label": "How", "fixed": "page" }
            ]
        });
        fs::write(docs.join("manifest.json"), manifest.to_string()).expect("a file");
        site.page("/p0", "Words of the docs.");
        let made = added(&api, json!({ "connector": "docs", "reads": {} })).await;
        assert_eq!((&made["name"], &made["interval_hours"]), (&json!("p0"), &json!(12)), "{made}");
        synced(&api, &id(&made), 1).await;
        // The index has long texts to process first.
        while titles(&api, "q=docs").await != ["p0"] {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        hq.finish().await;
    })
    .await;
}
