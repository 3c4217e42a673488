//! Access rights of pages and API, page contents, and the uses that the runtime records.

use kernel::{Role, RunId, TypedId as _};
use serde_json::json;
use support::hq::TestHq;
use support::work;
use vault::model::{SecretId, Use, Way};
use vault::rules::{self, Used};

use super::common::{ALL, HERE, added, id};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_administers_gets_in() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    work::agent(&hq, "Ada").await;
    let made = added(&api, "KEY", "value-of-a-key", json!({})).await;
    let one = format!("{HERE}/settings/secrets/{}", id(&made));
    let member = hq.another("Tom", Some(Role::Member)).await;
    let program = hq.token(&["read", "write", "agents"]).await;
    for path in [ALL, &format!("{ALL}/KEY"), &format!("{ALL}/KEY/uses")] {
        assert_eq!(member.get(path).await.status, 403, "{path}");
        assert_eq!(program.get(path).await.status, 403, "{path}");
    }
    for path in [&format!("{HERE}/settings/secrets"), &one] {
        assert_eq!(member.get(path).await.status, 403, "{path}");
    }
    let body = json!({ "name": "B", "value": "value-of-b" });
    assert_eq!(member.post(ALL, &body).await.status, 403);
    assert_eq!(program.post(ALL, &body).await.status, 403);
    // Members see an agent's secrets without ways to change them.
    let tab = member.get(&format!("{HERE}/agents/ada/secrets")).await;
    assert_eq!(tab.status, 200, "{}", tab.text);
    assert!(tab.text.contains("KEY") && !tab.text.contains("Override"), "{}", tab.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_added_replaced_moved_and_removed_on_pages_without_a_script() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let ada = work::agent(&hq, "Ada").await;
    let list = format!("{HERE}/settings/secrets");
    let value = "value-from-a-page";
    let fields = [("name", "Shop system"), ("value", value), ("who", "all"), ("headers", "on")];
    let made = owner.form(&list, &fields).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let page = owner.get(&list).await;
    assert!(page.text.contains("SHOP_SYSTEM") && page.text.contains("Active"), "{}", page.text);
    let replace = page.attr("td[data-c=act] a", "href");
    let open = owner.get(&replace).await;
    let href = open.attr("tr.form form", "action");
    let set = owner.form(&href, &[("value", "second-from-a-page")]).await;
    assert_eq!(set.status, 303, "{}", set.text);
    let lines = [("lines", "key\r\nfile\r\n"), ("ends", "keep")];
    assert_eq!(owner.form(&href, &lines).await.status, 303);
    let given = vault::given(&hq.ws(), ada.id).expect("a readable store");
    let text = given[0].value.as_ref().expect("it opens").expose_text().expect("text");
    assert_eq!((text, given[0].version), ("key\nfile\n", 3));

    let one = href.strip_suffix("/value").expect("its page").to_owned();
    let bad = owner.form(&one, &[("name", "Shop"), ("hosts", "not a host/"), ("who", "all")]).await;
    assert_eq!(bad.status, 422);
    assert!(bad.text.contains("a host"), "{}", bad.text);
    let moved =
        [("name", "Shop"), ("hosts", "api.shop.example"), ("who", "some"), ("agent.ada", "on")];
    assert_eq!(owner.form(&one, &moved).await.status, 303);
    let tab = owner.get(&format!("{HERE}/agents/ada/secrets")).await;
    assert!(tab.text.contains("a placeholder as $SHOP_SYSTEM"), "{}", tab.text);
    let override_of = format!("{list}/new?agent=ada&key=SHOP_SYSTEM&name=SHOP_SYSTEM");
    assert_eq!(owner.get(&override_of).await.status, 200);
    assert_eq!(owner.form(&format!("{one}/put-back"), &[]).await.status, 303);
    assert_eq!(owner.form(&format!("{one}/remove"), &[]).await.status, 303);
    let page = owner.get(&list).await;
    assert!(page.text.contains("Removed") && page.text.contains("Restore"), "{}", page.text);
    assert_eq!(owner.form(&format!("{one}/restore"), &[]).await.status, 303);

    let paste = format!("{list}/paste");
    assert_eq!(owner.get(&paste).await.status, 200);
    let text = ("text", "PASTED=pasted-canary\nENV=x\n");
    let preview = owner.form(&paste, &[text, ("act", "preview"), ("who", "all")]).await;
    assert!(preview.text.contains("Correct 1 of 2 first"), "{}", preview.text);
    assert!(!preview.text.contains("pasted-canary"), "{}", preview.text);
    let noted = ("text", "\u{feff}PASTED=pasted-canary#1\r\nNOTHING=\r\n");
    let preview = owner.form(&paste, &[noted, ("act", "preview"), ("who", "all")]).await;
    for words in ["New: the value ends before #", "Skipped: no value", "1 ready to import"] {
        assert!(preview.text.contains(words), "{words}: {}", preview.text);
    }
    let word = [("name", "Stage"), ("value", "production"), ("who", "all")];
    let response = owner.form(&list, &word).await;
    assert_eq!(response.status, 422, "{}", response.text);
    assert!(
        response.text.contains("common word") && response.text.contains("Use this value anyway")
    );
    let meant = [word.as_slice(), &[("ordinary", "on")]].concat();
    assert_eq!(owner.form(&list, &meant).await.status, 303);
    let text = ("text", "PASTED=pasted-canary\n");
    assert_eq!(owner.form(&paste, &[text, ("act", "add"), ("who", "all")]).await.status, 303);
    assert!(owner.get(&list).await.text.contains("PASTED"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_are_counted_and_the_first_of_a_run_stands_in_the_audit() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let ada = work::agent(&hq, "Ada").await.id;
    let made = added(&api, "KEY", "value-of-a-key", json!({})).await;
    let secret: SecretId = id(&made).parse().expect("an id");
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let run = RunId::from_bytes([7; 16]);
    let one = |version: u32, way: Way, host: &str| {
        let host = host.to_owned();
        Used { secret, version, run, agent: ada, task: None, way, host }
    };
    let all = [
        one(1, Way::Value, ""),
        one(1, Way::Value, ""),
        one(1, Way::Requests, "a.example"),
        one(2, Way::Requests, "a.example"),
    ];
    let before = ws.store.head().seq;
    for used in all {
        ws.write(&who, move |tx| rules::used(tx, used)).await.expect("noted");
    }
    let rows: Vec<Use> = work::all(&hq);
    let mut counts: Vec<_> = rows.iter().map(|one| (one.version, one.way, one.count)).collect();
    counts.sort();
    assert_eq!(counts, [(1, Way::Value, 2), (1, Way::Requests, 1), (2, Way::Requests, 1)]);
    let uses = api.get(&format!("{ALL}/KEY/uses")).await.json();
    assert_eq!(uses["items"].as_array().map(Vec::len), Some(3), "{uses}");
    let uses = api.get(&format!("{ALL}/uses?agent=ada")).await.json();
    assert_eq!(uses["items"].as_array().map(Vec::len), Some(3), "{uses}");
    let later = api.get(&format!("{ALL}/uses?agent=ada&since=2027-01-01T00:00:00Z")).await.json();
    assert_eq!(later["items"], json!([]));
    assert!(before < ws.store.head().seq);
    let audit = api.get("/api/v1/audit").await;
    assert_eq!(audit.text.matches("secret_use.created").count(), 1, "{}", audit.text);
    let page = hq.owner().get(&format!("{HERE}/settings/secrets/{}", id(&made))).await;
    assert!(
        page.text.contains("In requests only, for a.example, once, version 2"),
        "{}",
        page.text
    );
    let tab = async |since: &str| {
        hq.owner().get(&format!("{HERE}/agents/ada/secrets?since={since}")).await.text
    };
    let used = tab("").await;
    assert!(used.contains("4 times") && used.contains("#replace"), "{used}");
    assert!(tab("2099-01-01").await.contains("None since then."));
    assert!(tab("whenever").await.contains("4 times"), "what is no day means the usual one");
    drop(ws);
    hq.finish().await;
}
