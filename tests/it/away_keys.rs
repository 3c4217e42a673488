//! Data of an agent on another machine besides its files: sign-in tokens, secrets, files of its conversation. None is
//! written to disk there.

use serde_json::{Value, json};
use support::hq::everything_in;
use support::maker::{Maker, access, refresh};
use support::model::{Gate, ModelServer, Turn};
use vault::model::{Use, Way};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use features::agents::rules::{Changes, ModelChoice};
use features::connections::model::{Connection, ListedModel, Wire};
use features::connections::provider::seal_key;
use features::connections::rules::{
    self as connections, ConnectionError, Listed, NewConnection, turns,
};
use features::runs::model::{Body, EventKind, Run};
use kernel::ConnectionId;
use store::WriteTx;

use super::away::{Shop, done, until, was_done};

const SAY: &str = "/api/v1/agents/ada/messages";
const VALUE: &str = "canary-of-the-shop-4f1d";
const OTHER: &str = "canary-of-all-77c0";

/// Whether a text occurs anywhere in the machine's folder.
fn lies_there(shop: &Shop, text: &str) -> bool {
    let kept = everything_in(shop.machine.path());
    kept.windows(text.len()).any(|part| part == text.as_bytes())
}

async fn added(shop: &Shop, body: Value) -> String {
    let made = shop.office.hq.api().await.post("/api/v1/secrets", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

/// A signed-in account at a provider with these models; the agents use it.
async fn account(shop: &Shop, maker: &Maker, model: &ModelServer) -> ConnectionId {
    let api = shop.office.hq.api().await;
    let body = maker.account("Plan", "chatgpt", &model.openai_url());
    let made = api.post("/api/v1/connections/accounts", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id: ConnectionId = made.json()["id"].as_str().expect("an id").parse().expect("an id");
    let path = format!("/api/v1/connections/{id}/login");
    let begun = api.post(&path, &json!({ "flow": "browser" })).await.json();
    let back = maker.sign_in(begun["url"].as_str().expect("an address"), "code-1");
    let answer = api.post(&format!("{path}/answer"), &json!({ "answer": back })).await;
    assert_eq!(answer.json()["state"], "done", "{}", answer.text);
    let office = &shop.office;
    until("it was never tested", || office.get::<Connection>(id).tested.is_some()).await;
    let choose = move |tx: &mut WriteTx<'_>| connections::set_default(tx, Some(id), "gpt-5.2");
    shop.office.act::<_, ConnectionError>(choose).await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_renewed_at_home_and_its_token_alone_is_used_there() {
    let shop = Shop::open().await;
    let (maker, model) = (Maker::start().await, ModelServer::start().await);
    model.offer(&["gpt-5.2"]).usually(Turn::text("ready"));
    account(&shop, &maker, &model).await;
    let bearer = |n| format!("Bearer {}", access(n));
    model.follow(vec![Turn::call("comment_add", json!({ "body": "I count." })), done()]);
    let task = shop.office.task("Count the bells", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    assert_eq!((model.last().header("authorization"), maker.refreshed()), (&*bearer(1), 0));

    // The server rejects the token before its expiry: the primary gets a new one, and the call is repeated.
    model.require_key(&access(2));
    model.follow(vec![done()]);
    let task = shop.office.task("Count the wheels", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    assert_eq!((model.last().header("authorization"), maker.refreshed()), (&*bearer(2), 1));
    for token in [access(1), access(2), refresh(1), refresh(2)] {
        assert!(!lies_there(&shop, &token), "{token}");
    }
    assert!(!shop.log().contains(&access(2)));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_named_is_asked_from_there_with_another_key_of_its_connection() {
    let shop = Shop::open().await;
    let (office, model) = (&shop.office, ModelServer::start().await);
    model.offer(&["special"]).require_key("sk-spare-0123456789");
    let ws = office.ws();
    let new = NewConnection {
        name: "Other".to_owned(),
        wire: Wire::OpenaiChat,
        base_url: model.openai_url(),
        key: seal_key(&ws.app, "sk-first-0123456789"),
        default_model: None,
    };
    let spare = seal_key(&ws.app, "sk-spare-0123456789");
    let id = office.act(move |tx| connections::create(tx, new)).await;
    let add = move |tx: &mut WriteTx<'_>| turns::add_key(tx, id, spare.expect("a key"));
    office.act::<_, ConnectionError>(add).await;
    let models = vec![ListedModel { id: "special".into(), name: "special".into() }];
    let listed = Listed { models, offers: Vec::new() };
    office.act(move |tx| connections::set_models(tx, id, listed)).await;
    let wish = ModelChoice { connection: None, model: Some("other/special".to_owned()) };
    office.change(shop.ada.id, Changes { model: Some(wish), ..Changes::default() }).await;
    model.follow(vec![done()]);
    let task = office.task("Count the bells", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    assert_eq!((run.connection, run.model.as_str()), (Some(id), "special"));
    assert_eq!(model.last().header("authorization"), "Bearer sk-spare-0123456789");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_there_have_the_secrets_of_their_agent_until_they_are_taken_back() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let all = json!({ "name": "Shop", "key": "SHOP_KEY", "value": OTHER });
    added(&shop, all).await;
    let own = json!({ "name": "Shop", "key": "SHOP_KEY", "value": VALUE, "agents": ["ada"] });
    let own = added(&shop, own).await;
    let there = || json!({ "command": "printf '%s' \"$SHOP_KEY\" | wc -c; echo is $SHOP_KEY" });
    let length = |value: &str| format!("{}\nis ", value.len());
    office.model.follow(vec![Turn::call("exec", there()), done()]);
    let task = office.task("Count the letters", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert!(calls[0].2.contains(&length(VALUE)) && !calls[0].2.contains(VALUE), "{calls:?}");
    assert!(calls[0].2.contains("[secret:SHOP_KEY]"), "{calls:?}");
    let uses: Vec<Use> = office.all();
    let used: Vec<_> = uses.iter().map(|one| (one.run, one.agent, one.way, one.version)).collect();
    assert_eq!(used, [(run.id, shop.ada.id, Way::Value, 1)]);

    // The secret gets another value during a run and is then removed: the value for all agents applies.
    let gate = Gate::new();
    office.model.follow(vec![
        Turn::text("I wait.").and_call("exec", json!({ "command": "true" })).behind(&gate),
        Turn::call("exec", there()),
        done(),
    ]);
    let task = office.task("Count once more", &shop.ada).await;
    gate.reached().await;
    let api = office.hq.api().await;
    let path = format!("/api/v1/secrets/{own}");
    let set = api.json("PUT", &format!("{path}/value"), &json!({ "value": "short-one-1" })).await;
    assert!(set.status.is_success(), "{}", set.text);
    let removed = api.call("DELETE", &path).await;
    assert!(removed.status.is_success(), "{}", removed.text);
    gate.open();
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    let calls = shop.calls(run.id);
    assert!(calls[1].2.contains(&length(OTHER)), "{calls:?}");
    assert!(!calls[1].2.contains(OTHER), "{calls:?}");
    for value in [VALUE, OTHER, "short-one-1"] {
        assert!(!lies_there(&shop, value), "{value}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_long_result_is_at_home() {
    let shop = Shop::open().await;
    let office = &shop.office;
    office.model.follow(vec![Turn::call("exec", json!({ "command": "seq 1 9000" })), done()]);
    let task = office.task("Count to nine thousand", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);

    let blob = office.events(run.id).into_iter().find_map(|kind| match kind {
        EventKind::ToolFinished { result: Body::Blob { id, .. }, .. } => Some(id),
        _ => None,
    });
    let whole = office.ws().blobs.get(blob.expect("a long result"), 1 << 20).expect("it is here");
    assert!(String::from_utf8_lossy(&whole).contains("\n4500\n"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_message_is_read_there() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let words = "seven bells\n".repeat(20_000);
    let script = vec![
        Turn::call("list", json!({ "path": "scratch/inbox" })),
        Turn::text("Seven bells, many times."),
    ];
    office.model.follow(script);
    let file = json!({ "name": "bells.txt", "data": STANDARD.encode(&words) });
    let body = json!({ "text": "What is in this?", "attachments": [file] });
    let sent = office.hq.api().await.post(SAY, &body).await;
    assert!(sent.status.is_success(), "{}", sent.text);
    until("nobody answered", || {
        let runs: Vec<Run> = office.all();
        runs.iter().any(|run| !run.is_live())
    })
    .await;
    let asked = office.model.requests();
    assert!(asked[0].text().contains("seven bells"), "the model has its words before it");
    let there = shop.machine.path().join("agents/ada/files");
    let kept = everything_in(&there);
    assert!(kept.windows(11).any(|part| part == b"seven bells"), "it lies in the agent's folder");
    shop.close().await;
}
