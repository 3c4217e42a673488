//! Secrets of a gateway: they override workspace secrets and are overridden by an agent's own.

use std::time::Duration;

use gateways::model::{Gateway, local};
use kernel::GatewayId;
use serde_json::{Value, json};
use store::{ReadExt as _, StoreError, WriteTx};
use support::hq::TestHq;
use support::work;
use vault::model::{Receipt, SecretId};

use super::common::{ALL, HERE, added, gateway, id, place, refused};

fn value_of(hq: &TestHq, agent: kernel::AgentId) -> Option<String> {
    let given = vault::given(&hq.ws(), agent).expect("a readable store");
    let one = given.into_iter().find(|one| one.key == "SHOP_KEY")?;
    Some(one.value.expect("it opens").expose_text().expect("text").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_has_what_its_gateway_has_and_another_when_it_moves() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let (ada, otto) = (work::agent(&hq, "Ada").await.id, work::agent(&hq, "Otto").await.id);
    let there = gateway(&hq, "GPU box", "gpu-box").await;
    let shared = added(&api, "SHOP_KEY", "shared-value-1", json!({})).await;
    let of_box = json!({ "gateway": "gpu-box" });
    let of_box = added(&api, "SHOP_KEY", "value-of-the-box", of_box).await;
    assert_eq!((&of_box["scope"], &of_box["gateway_name"]), (&json!("gateway"), &json!("GPU box")));
    let has = |agent| value_of(&hq, agent).expect("it has one");
    assert_eq!((has(ada).as_str(), has(otto).as_str()), ("shared-value-1", "shared-value-1"));
    place(&hq, ada, there).await;
    assert_eq!((has(ada).as_str(), has(otto).as_str()), ("value-of-the-box", "shared-value-1"));

    let why = async || api.get(&format!("{ALL}/SHOP_KEY/why?agent=ada")).await.json();
    let answer = why().await;
    assert_eq!((&answer["has"]["id"], &answer["over"]), (&of_box["id"], &shared["id"]), "{answer}");
    assert!(answer["says"].to_string().contains("to all agents on GPU box"), "{answer}");
    let own = added(&api, "SHOP_KEY", "own-value-of-ada", json!({ "agents": ["ada"] })).await;
    assert_eq!(has(ada), "own-value-of-ada");
    let answer = why().await;
    assert_eq!(answer["shadowed"], json!([of_box["id"], shared["id"]]), "{answer}");
    let words = "overrides the one for all agents on GPU box and the one for all agents.";
    assert!(answer["says"].to_string().contains(words), "{answer}");
    let tab = hq.owner().get(&format!("{HERE}/agents/ada/secrets")).await.text;
    for words in
        ["For all agents on GPU box", "secret and the shared secret", "Not used: its own applies"]
    {
        assert!(tab.contains(words), "{words}: {tab}");
    }

    // Removing the overriding secret puts the overridden one in force.
    let gone = api.call("DELETE", &format!("{ALL}/{}", id(&own))).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(has(ada), "value-of-the-box");
    place(&hq, ada, local()).await;
    assert_eq!(has(ada), "shared-value-1");
    let answer = why().await;
    assert!(answer["says"].to_string().contains("Agents on another gateway have one"), "{answer}");
    let meant = api.get(&format!("{ALL}/SHOP_KEY?gateway=gpu-box")).await.json();
    assert_eq!(meant["id"], of_box["id"]);
    let moved =
        api.json("PATCH", &format!("{ALL}/{}", id(&of_box)), &json!({ "gateway": "local" })).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    assert_eq!(has(otto), "value-of-the-box", "this machine is a gateway, too");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gateway_has_a_name_once_and_what_is_wrong_is_said() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    work::agent(&hq, "Ada").await;
    gateway(&hq, "GPU box", "gpu-box").await;
    let of = |more: Value| {
        let mut body = json!({ "name": "Shop", "key": "SHOP_KEY", "value": "some-value-1" });
        body.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        body
    };
    let made = added(&api, "SHOP_KEY", "value-of-the-box", json!({ "gateway": "gpu-box" })).await;
    let (code, text) = refused(&api, &of(json!({ "gateway": "GPU box" }))).await;
    assert!(code == "secret_exists" && text.contains("for all agents on GPU box"), "{text}");
    let (_, text) = refused(&api, &of(json!({ "gateway": "attic" }))).await;
    assert!(text.contains("no gateway") && text.contains("attic"), "{text}");
    let (_, text) = refused(&api, &of(json!({ "gateway": "gpu-box", "agents": ["ada"] }))).await;
    assert!(text.contains("not both"), "{text}");

    // A gateway with secrets of its own cannot be deleted.
    let kept = api.call("DELETE", "/api/v1/gateways/gpu-box").await;
    assert!(!kept.status.is_success(), "{}", kept.text);
    assert!(kept.text.contains("secrets only for GPU box"), "{}", kept.text);
    let gone = api.call("DELETE", &format!("{ALL}/{}", id(&made))).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let removed = api.call("DELETE", "/api/v1/gateways/gpu-box").await;
    assert!(removed.status.is_success(), "{}", removed.text);
    let back = api.post(&format!("{ALL}/{}/restore", id(&made)), &json!({})).await.json();
    assert_eq!((&back["scope"], &back["agents"]), (&json!("agents"), &json!([])), "{back}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_offer_a_gateway_from_the_second_on_and_lines_go_to_it() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let ada = work::agent(&hq, "Ada").await.id;
    let list = format!("{HERE}/settings/secrets");
    let form = async || owner.get(&format!("{list}/new")).await.text;
    assert!(!form().await.contains("Agents on one gateway"), "there is this machine alone");
    let there = gateway(&hq, "GPU box", "gpu-box").await;
    assert!(form().await.contains("Agents on one gateway"));
    let fields = [
        ("name", "Shop key"),
        ("value", "value-of-the-box"),
        ("who", "gateway"),
        ("gateway", "gpu-box"),
        ("headers", "on"),
    ];
    let made = owner.form(&list, &fields).await;
    assert_eq!(made.status, 303, "{}", made.text);
    place(&hq, ada, there).await;
    assert_eq!(value_of(&hq, ada).as_deref(), Some("value-of-the-box"));
    let page = owner.get(&list).await.text;
    assert!(page.contains("Only agents on GPU box"), "{page}");
    assert!(page.contains("Waiting for GPU box, which has never connected"), "{page}");

    let paste = format!("{list}/paste");
    let text = ("text", "PASTED=pasted-canary\n");
    let to = [text, ("act", "add"), ("who", "gateway"), ("gateway", "gpu-box")];
    assert_eq!(owner.form(&paste, &to).await.status, 303);
    let second = owner.form(&paste, &to).await;
    assert!(second.text.contains("PASTED already exists."), "{}", second.text);
    let api = hq.api().await;
    let pasted = api.get(&format!("{ALL}/PASTED?gateway=gpu-box")).await.json();
    assert_eq!(pasted["scope"], "gateway");
    // The page shows the choice, and history names it in words.
    let one = format!("{list}/{}", id(&pasted));
    let page = owner.get(&one).await.text;
    assert!(page.contains("All agents on GPU box"), "{page}");
    let moved = [("name", "PASTED"), ("who", "all"), ("headers", "on")];
    assert_eq!(owner.form(&one, &moved).await.status, 303);
    let answer = api.get(&format!("/api/v1/history/secrets/{}", id(&pasted))).await.text;
    assert!(answer.contains("All agents on GPU box"), "{answer}");
    hq.finish().await;
}

/// Records that a gateway's host has confirmed the value just now and was last heard of now. `goes`: whether the host
/// announced that it stops.
async fn has(hq: &TestHq, there: GatewayId, secret: &Value, goes: bool) {
    let secret: SecretId = id(secret).parse().expect("an id");
    let body = move |tx: &mut WriteTx<'_>| {
        let at = tx.now();
        let one: Gateway = tx.get(there)?.expect("a gateway");
        tx.put(&Gateway { hello_at: Some(at), goodbye_at: goes.then_some(at), ..one })?;
        let (has, has_at) = (Some(1), Some(at));
        tx.put(&Receipt { gateway: there, secret, sent: 1, sent_at: at, has, has_at })?;
        Ok::<_, StoreError>(())
    };
    hq.ws().write(&work::owner(hq), body).await.expect("it is noted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_not_active_on_a_machine_that_is_silent_or_does_not_run() {
    /// Time without contact after which a host counts as silent.
    const SILENT: Duration = Duration::from_secs(91);
    let hq = TestHq::start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    let ada = work::agent(&hq, "Ada").await.id;
    let there = gateway(&hq, "GPU box", "gpu-box").await;
    place(&hq, ada, there).await;
    let of_box = json!({ "gateway": "gpu-box" });
    let made = added(&api, "BOX_KEY", "value-of-the-box", of_box).await;
    let (one, list) = (format!("{ALL}/{}", id(&made)), format!("{HERE}/settings/secrets"));
    let page = format!("{list}/{}", id(&made));
    let is = async |state: &str| {
        let answer = api.get(&one).await.json();
        let found = (&answer["state"], &answer["on"][0]["state"], &answer["on"][0]["name"]);
        assert_eq!(found, (&json!(state), &json!(state), &json!("GPU box")), "{answer}");
    };
    let says = async |words: &str| {
        for page in [&list, &page] {
            let shown = owner.get(page).await.text;
            assert!(shown.contains(words), "{words}: {shown}");
        }
    };
    has(&hq, there, &made, false).await;
    is("active").await;
    says("Active on GPU box").await;
    hq.advance(SILENT).await;
    is("silent").await;
    says("GPU box has been offline since ").await;
    has(&hq, there, &made, true).await;
    is("stopped").await;
    says("GPU box isn’t running and had it until ").await;

    // After a removal while the host is silent, the value may be in its memory until its offline limit.
    has(&hq, there, &made, false).await;
    hq.advance(SILENT).await;
    let gone = api.call("DELETE", &one).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let answer = api.get(&one).await.json();
    assert_eq!(answer["on"][0]["state"], "kept", "{answer}");
    says("GPU box might still have it in memory until it reconnects").await;
    hq.advance(Duration::from_secs(72 * 3_600)).await;
    let answer = api.get(&one).await.json();
    assert_eq!(answer["on"], json!([]), "{answer}");
    let shown = owner.get(&page).await.text;
    assert!(!shown.contains("might still have it"), "{shown}");
    hq.finish().await;
}
