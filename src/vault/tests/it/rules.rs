//! Life cycle of a secret: add, replace, put back, remove, restore, sweep, import.

use std::time::Duration;

use crypto::redact::Spot;
use serde_json::{Value, json};
use store::ReadExt as _;
use support::hq::TestHq;
use support::work;
use vault::model::{SecretId, Value as Stored};
use vault::queries::{self, Sending};

use super::common::{ALL, HERE, added, id, refused};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn value_of(hq: &TestHq, agent: kernel::AgentId, key: &str) -> Option<String> {
    let given = vault::given(&hq.ws(), agent).expect("a readable store");
    let one = given.into_iter().find(|one| one.key == key)?;
    Some(one.value.expect("it opens").expose_text().expect("text").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_stands_before_the_shared_one_and_falls_back() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let (ada, otto) = (work::agent(&hq, "Ada").await, work::agent(&hq, "Otto").await);
    let shared = added(&api, "SHOP_KEY", "shared-value-1", json!({})).await;
    assert_eq!((&shared["scope"], &shared["way"]), (&json!("workspace"), &json!("value")));
    let own = added(&api, "SHOP_KEY", "own-value-of-ada", json!({ "agents": ["ada"] })).await;
    assert_eq!(value_of(&hq, ada.id, "SHOP_KEY").as_deref(), Some("own-value-of-ada"));
    assert_eq!(value_of(&hq, otto.id, "SHOP_KEY").as_deref(), Some("shared-value-1"));
    let why = api.get(&format!("{ALL}/SHOP_KEY/why?agent=ada")).await.json();
    assert_eq!((&why["has"]["id"], &why["over"]), (&own["id"], &shared["id"]), "{why}");
    assert!(why["says"].to_string().contains("overrides the one for all"), "{why}");

    // A variable is unique per scope.
    let second = json!({ "name": "Shop", "key": "SHOP_KEY", "value": "another-1", "agents": ["otto", "ada"] });
    let (code, text) = refused(&api, &second).await;
    assert!(code == "secret_exists" && text.contains("already exists for Ada"), "{text}");
    let second = json!({ "name": "Shop", "key": "SHOP_KEY", "value": "another-1" });
    let (_, text) = refused(&api, &second).await;
    assert!(text.contains("already exists for all agents"), "{text}");

    let gone = api.call("DELETE", &format!("{ALL}/SHOP_KEY?agent=ada")).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(value_of(&hq, ada.id, "SHOP_KEY").as_deref(), Some("shared-value-1"));
    let why = api.get(&format!("{ALL}/SHOP_KEY/why?agent=ada")).await.json();
    assert!(why["says"].to_string().contains("was removed"), "{why}");
    let back = api.post(&format!("{ALL}/{}/restore", id(&own)), &json!({})).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(value_of(&hq, ada.id, "SHOP_KEY").as_deref(), Some("own-value-of-ada"));

    // A channel stores its own token, and no connector reads a secret: nothing would use these.
    for category in ["channel", "integration"] {
        let body = json!({ "name": "Chat", "key": "CHAT", "value": "token-of-a-chat", "category": category });
        let refused = api.post(ALL, &body).await;
        assert_eq!(refused.status, 422, "{category}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], "category", "{}", refused.text);
        assert!(!refused.text.contains("token-of-a-chat"), "{}", refused.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_a_secret_without_a_value_and_one_that_is_not_sealed() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let mut ids = Vec::new();
    for key in ["WHOLE", "EMPTY", "OPEN"] {
        ids.push(id(&added(&api, key, "value-of-a-key", json!({})).await));
    }
    let secret = |n: usize| ids[n].parse::<SecretId>().expect("an id");
    let (empty, open) = (secret(1), secret(2));
    let body = move |tx: &mut store::WriteTx<'_>| {
        tx.delete::<Stored>(empty)?;
        let value = tx.get::<Stored>(open)?.expect("a value");
        tx.put(&Stored { sealed: "value-of-a-key".to_owned(), ..value })
    };
    hq.ws().write(&work::owner(&hq), body).await.expect("written");
    let check = vault::cards::SECRET.check.expect("a question");
    let found = hq.ws().read(|snap| check(snap)).expect("a readable store");
    let mut messages: Vec<&str> = found.iter().map(|(_, messages)| messages.as_str()).collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        ["EMPTY has no value; set one or remove it", "OPEN has a value that isn’t encrypted"]
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_value_is_put_back_within_a_day_and_what_is_removed_goes_after_a_week() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let ada = work::agent(&hq, "Ada").await.id;
    let made = added(&api, "KEY", "first-value-1", json!({})).await;
    let put = |value: &str| json!({ "value": value });
    let at = format!("{ALL}/KEY");
    let set = api.json("PUT", &format!("{at}/value"), &put("second-value-2")).await;
    assert_eq!((set.status.as_u16(), &set.json()["version"]), (200, &json!(2)), "{}", set.text);
    let hidden = |text: &str| hq.ws().app.redactor.text(text).into_owned();
    assert_eq!(hidden("first-value-1 second-value-2"), "[secret:KEY] [secret:KEY]");
    let back = api.post(&format!("{at}/put-back"), &json!({})).await;
    assert_eq!(back.json()["version"], 3, "{}", back.text);
    assert_eq!(value_of(&hq, ada, "KEY").as_deref(), Some("first-value-1"));

    hq.advance(DAY).await;
    let late = api.post(&format!("{at}/put-back"), &json!({})).await;
    assert_eq!(late.status, 409, "{}", late.text);
    vault::sweep(&hq.ws()).await.expect("swept");
    assert_eq!(hidden("first-value-1 second-value-2"), "[secret:KEY] second-value-2");

    assert_eq!(api.call("DELETE", &at).await.status, 204);
    assert_eq!(value_of(&hq, ada, "KEY"), None);
    assert_eq!(hidden("first-value-1"), "[secret:KEY]", "it is hidden as long as it can come back");
    let refused =
        api.json("PUT", &format!("{ALL}/{}/value", id(&made)), &put("third-value-3")).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    // The variable is taken again, which blocks the restore.
    let other = added(&api, "KEY", "other-value-4", json!({})).await;
    let back = api.post(&format!("{ALL}/{}/restore", id(&made)), &json!({})).await;
    assert_eq!(back.status, 409, "{}", back.text);
    assert_eq!(api.call("DELETE", &format!("{ALL}/{}", id(&other))).await.status, 204);
    assert_eq!(api.post(&format!("{ALL}/{}/restore", id(&made)), &json!({})).await.status, 200);
    assert_eq!(api.call("DELETE", &at).await.status, 204);

    hq.advance(7 * DAY).await;
    vault::sweep(&hq.ws()).await.expect("swept");
    assert_eq!(api.get(&format!("{ALL}/{}", id(&made))).await.status, 404);
    assert_eq!(hidden("first-value-1 other-value-4"), "first-value-1 other-value-4");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_of_ones_own_are_masked_beside_known_keys_and_health_counts() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let masks = format!("{ALL}/masks");
    let add = async |pattern: &str| {
        api.post(&masks, &json!({ "name": "Staff numbers", "pattern": pattern })).await
    };
    let ws = hq.ws();
    let masked = |text: &str| ws.app.redactor.masked(Spot::Tools, text).into_owned();
    let key = "sk-abcdefghijklmnopqrstuvwx";
    assert_eq!(masked(&format!("EMP-123456 {key}")), "EMP-123456 sk-abc…uvwx");
    for wrong in ["", "(", "a*"] {
        let refused = add(wrong).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("\"field\":\"pattern\""), "{}", refused.text);
    }
    let made = add("EMP-[0-9]{6}").await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(masked(&format!("EMP-123456 {key}")), "*** sk-abc…uvwx");
    let page = hq.owner().get(&format!("{HERE}/settings/secrets")).await;
    assert!(page.text.contains("EMP-[0-9]{6}"), "{}", page.text);
    let health = api.get("/api/v1/health").await;
    assert!(health.text.contains("3 in tool output"), "{}", health.text);
    let gone = api.call("DELETE", &format!("{masks}/{}", id(&made.json()))).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(masked("EMP-123456"), "EMP-123456");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_secret_is_over_people_are_told_twice() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let over = hq.ws().app.clock.now() + 20 * DAY;
    added(&api, "KEY", "some-value-1", json!({ "expires_at": over.to_string() })).await;
    let mut notices = Vec::new();
    for _ in 0..21 {
        hq.advance(DAY).await;
        vault::sweep(&hq.ws()).await.expect("swept");
        let all = api.get("/api/v1/notifications?limit=100").await.json();
        let all = all["items"].as_array().expect("a list").clone();
        notices.push(all.iter().filter(|one| one["title"].to_string().contains("KEY")).count());
    }
    assert_eq!(
        (notices[4], notices[5], notices[16], notices[17], notices[20]),
        (0, 1, 1, 2, 2),
        "{notices:?}"
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_and_no_answer_repeats_a_value() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let body = |key: &str, value: Value| json!({ "name": "Some", "key": key, "value": value });
    let canary = "canary-in-an-answer";
    for (key, value, field) in [
        ("LD_PRELOAD", json!(canary), "key"),
        ("LD_AUDIT", json!(canary), "key"),
        ("PERL5OPT", json!(canary), "key"),
        ("JAVA_TOOL_OPTIONS", json!(canary), "key"),
        ("A", json!("production"), "ordinary"),
        ("lower", json!(canary), "key"),
        ("A", json!(""), "value"),
        ("A", json!(format!("{canary}\0")), "value"),
        ("A", json!(canary.repeat(4_000)), "value"),
        ("A", json!(format!("{canary}\n")), "ends"),
        ("A", json!([canary]), "value"),
    ] {
        let (_, text) = refused(&api, &body(key, value)).await;
        assert!(text.contains(&format!("\"field\":\"{field}\"")), "{key}: {text}");
        assert!(!text.contains(canary), "{text}");
    }
    let hostless = json!({ "name": "A", "value": canary, "way": "requests" });
    assert!(refused(&api, &hostless).await.1.contains("Enter hosts"));
    let nobody = json!({ "name": "A", "value": canary, "agents": ["nobody"] });
    assert_eq!(refused(&api, &nobody).await.0, "agent_not_found");

    let named =
        added(&api, "", canary, json!({ "name": "Notion API Key", "hosts": ["API.notion.com"] }));
    let named = named.await;
    assert_eq!((&named["key"], &named["way"]), (&json!("NOTION_API_KEY"), &json!("stand_in")));
    assert_eq!(named["hosts"], json!(["api.notion.com"]));
    let short = added(&api, "PIN", "1234", json!({})).await;
    assert!(short["warning"].as_str().is_some_and(|words| words.contains("too short")), "{short}");
    // A common word, which would be masked everywhere, needs confirmation once.
    let meant = json!({ "ordinary": true });
    let word = added(&api, "STAGE", "production", meant).await;
    let at = format!("{ALL}/{}/value", id(&word));
    let second = api.json("PUT", &at, &json!({ "value": "20261128" })).await;
    assert!(second.status == 422 && second.text.contains("common word"), "{}", second.text);
    let meant = json!({ "value": "20261128", "ordinary": true });
    assert_eq!(api.json("PUT", &at, &meant).await.status, 200);
    added(&api, "PLACE", "production", json!({ "plain": true })).await;
    let plain = added(&api, "REGION", "eu", json!({ "plain": true })).await;
    assert_eq!((&plain["value"], &plain["warning"]), (&json!("eu"), &Value::Null));
    let kept = added(&api, "PEM", "a\nb\n", json!({ "ends": "keep" })).await;
    let ada = work::agent(&hq, "Ada").await.id;
    assert_eq!(value_of(&hq, ada, "PEM").as_deref(), Some("a\nb\n"));
    assert_eq!(kept["value"], Value::Null);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_taken_in_together_or_not_at_all() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let ada = work::agent(&hq, "Ada").await.id;
    added(&api, "OLD", "old-value-1", json!({})).await;
    let import = |text: &str, existing: &str, preview: bool| {
        let body = json!({ "text": text, "existing": existing, "preview": preview });
        let api = &api;
        async move { api.post(&format!("{ALL}/import"), &body).await }
    };
    let bad =
        "NEW=new-value-2\nPATH=/bin-canary\nnoise canary\nNEW=twice-canary\nOLD=other-canary\n";
    let preview = import(bad, "refuse", true).await;
    assert_eq!(preview.status, 200, "{}", preview.text);
    assert!(!preview.text.contains("canary"), "{}", preview.text);
    let lines = preview.json()["lines"].as_array().expect("lines").clone();
    let verdicts: Vec<_> =
        lines.iter().map(|one| one["verdict"].as_str().expect("a word")).collect();
    assert_eq!(verdicts, ["new", "wrong", "wrong", "wrong", "wrong"], "{lines:?}");
    let refused = import(bad, "refuse", false).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    for words in [
        "Line 2: PATH",
        "Line 3: This isn’t an assignment",
        "Line 4: Line 1 already sets NEW",
        "Line 5: OLD",
    ] {
        assert!(refused.text.contains(words), "{words}: {}", refused.text);
    }
    assert!(!refused.text.contains("canary"), "{}", refused.text);
    assert_eq!(value_of(&hq, ada, "NEW"), None, "nothing was taken in");

    let response = import("NODE_PATH=/canary-1\nA=password\n", "refuse", false).await;
    for words in ["Line 1: NODE_PATH can’t be set here", "Line 2: This value is a common word"] {
        assert!(response.text.contains(words), "{words}: {}", response.text);
    }

    let good = "\u{feff}# keys\r\nexport NEW='new-value-2'\r\nEMPTY=\r\nCUT=cut-value#3\r\nOLD=\"two\\nlines of it\"\r\n";
    let preview = import(good, "replace", true).await.json();
    let lines = preview["lines"].as_array().expect("lines").iter();
    let words: Vec<_> = lines.map(|one| (one["key"].clone(), one["verdict"].clone())).collect();
    let verdicts = [("NEW", "new"), ("EMPTY", "empty"), ("CUT", "new"), ("OLD", "replaces")];
    assert_eq!(words, verdicts.map(|(key, verdict)| (json!(key), json!(verdict))));
    assert!(preview["lines"][2]["says"].to_string().contains("ends before #"), "{preview}");
    let done = import(good, "replace", false).await;
    assert_eq!(done.json()["made"].as_array().map(Vec::len), Some(3), "{}", done.text);
    assert_eq!(value_of(&hq, ada, "EMPTY"), None);
    assert_eq!(value_of(&hq, ada, "CUT").as_deref(), Some("cut-value"));
    assert_eq!(value_of(&hq, ada, "NEW").as_deref(), Some("new-value-2"));
    assert_eq!(value_of(&hq, ada, "OLD").as_deref(), Some("two\nlines of it"));
    assert_eq!(api.get(&format!("{ALL}/OLD")).await.json()["version"], 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_take_away_is_not_sent_any_more_and_a_former_value_still_is() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let (ada, otto) = (work::agent(&hq, "Ada").await.id, work::agent(&hq, "Otto").await.id);
    let hosts =
        json!({ "hosts": ["api.shop.example", "*.far.example"], "agents": ["ada", "otto"] });
    let made = added(&api, "KEY", "first-value-1", hosts).await;
    assert_eq!(made["way"], "stand_in");
    let at = format!("{ALL}/{}", id(&made));
    let why = |agent, host: &str, version| {
        let sending = Sending { id: id(&made).parse().expect("an id"), version, agent, host };
        hq.ws().read(|snap| queries::barred(snap, sending)).expect("a readable store")
    };
    for host in ["api.shop.example", "API.shop.example.", "x.far.example"] {
        assert_eq!(why(ada, host, 1), None, "{host}");
    }
    for host in ["shop.example", "far.example", "evil.example"] {
        assert_eq!(why(ada, host, 1), Some("is for other hosts now"), "{host}");
    }
    let value = json!({ "value": "second-value-2" });
    assert_eq!(api.json("PUT", &format!("{at}/value"), &value).await.status, 200);
    let here = "api.shop.example";
    assert_eq!((why(ada, here, 1), why(ada, here, 2)), (None, None));
    assert_eq!(why(ada, here, 3), Some("has its previous value again"));
    let patch = async |body: Value| {
        let reply = api.json("PATCH", &at, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    };
    patch(json!({ "agents": ["ada"] })).await;
    assert_eq!((why(ada, here, 2), why(otto, here, 2)), (None, Some("is for other agents now")));
    patch(json!({ "hosts": ["*.far.example"] })).await;
    assert_eq!(why(ada, here, 2), Some("is for other hosts now"));
    patch(json!({ "way": "requests" })).await;
    assert_eq!(why(ada, "x.far.example", 2), Some("is no longer used as a placeholder"));
    assert_eq!(api.call("DELETE", &at).await.status, 204);
    assert_eq!(why(ada, "x.far.example", 2), Some("was removed"));
    hq.finish().await;
}
