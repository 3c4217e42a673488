//! Runs whose account is lost: another connection responds, or they wait for a new sign-in.

use std::time::Duration;

use features::connections::model::{Cooldown, Named};
use features::connections::rules::{self as connections, ConnectionError, turns};
use features::runs::model::EventKind;
use kernel::{RunState, WaitFor};
use serde_json::json;

use support::maker::Fate;
use support::model::{Gate, Turn};

use super::Scene;

/// A scene in which agents use the account's model.
async fn chosen() -> Scene {
    let scene = Scene::signed_in().await;
    let id = scene.id;
    let choose =
        move |tx: &mut store::WriteTx<'_>| connections::set_default(tx, Some(id), "gpt-5.2");
    scene.office.act::<_, ConnectionError>(choose).await;
    scene
}

/// The model calls a tool; the provider revokes the sign-in before the next request.
async fn revoked_on_the_way(scene: &Scene) -> kernel::RunId {
    let ada = scene.office.agent("Ada").await;
    let gate = Gate::new();
    scene.model.push(Turn::call("task_list", json!({})).behind(&gate));
    let run = scene.office.say(&ada, "What is there to do?").await;
    gate.reached().await;
    scene.model.require_key("nobody-has-this-key");
    scene.maker.next(&[Fate::Revoked]);
    gate.open();
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_of_the_list_answers_when_the_sign_in_is_taken_back() {
    let scene = chosen().await;
    let spare = vec![Named { connection: Some(scene.office.connection), model: "mock".to_owned() }];
    let list = move |tx: &mut store::WriteTx<'_>| turns::set_fallbacks(tx, None, spare);
    scene.office.act::<_, ConnectionError>(list).await;
    scene.office.model.usually(Turn::text("Nothing to do."));
    let run = revoked_on_the_way(&scene).await;
    let ended = scene.office.ended(run).await;
    assert_eq!(ended.summary, "Nothing to do.");
    let switched = scene.office.events(run).into_iter().find_map(|kind| match kind {
        EventKind::ModelSwitched { to, why, .. } => Some((to, why)),
        _ => None,
    });
    let (to, why) = switched.expect("another answers");
    assert_eq!(to, "mock (Scripted)");
    assert!(why.contains("needs a new sign-in"), "{why}");

    // Without a sign-in, no request is sent any more.
    let before = scene.model.requests().len();
    let ada = scene.office.get::<features::runs::model::Run>(run).agent;
    let ada = scene.office.get::<features::agents::model::Agent>(ada);
    let next = scene.office.say(&ada, "And now?").await;
    assert_eq!(scene.office.ended(next).await.summary, "Nothing to do.");
    assert_eq!(scene.model.requests().len(), before);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_until_somebody_signs_in_and_goes_on_by_itself() {
    let scene = chosen().await;
    let run = revoked_on_the_way(&scene).await;
    let waits = scene.office.in_state(run, RunState::Waiting).await;
    let waiting = waits.waiting.expect("it waits for something");
    assert_eq!((waiting.waits_for, waiting.until), (WaitFor::Provider, None));
    assert!(waiting.detail.contains("sign in again"), "{}", waiting.detail);
    let page = scene.hq().owner().get("/w/marlow-cargo/settings/connections").await;
    assert!(page.text.contains("Sign in again"), "{}", page.text);
    let home = scene.hq().owner().get("/w/marlow-cargo/").await;
    assert!(
        home.text.contains("Plan"),
        "who needs somebody stands on the dashboard: {}",
        home.text
    );

    // Time alone changes nothing, not even days.
    let calls = scene.model.requests().len();
    scene.hq().advance(Duration::from_secs(3 * 86_400)).await;
    scene.office.hq.settle().await;
    assert_eq!(scene.office.get::<features::runs::model::Run>(run).state, RunState::Waiting);
    assert_eq!(scene.model.requests().len(), calls);

    scene.model.require_key(&support::maker::access(2)).usually(Turn::text("Nothing to do."));
    scene.sign_in().await;
    assert_eq!(scene.office.ended(run).await.summary, "Nothing to do.");
    assert!(scene.office.all::<Cooldown>().iter().all(|rest| rest.connection != scene.id));
    scene.office.hq.finish().await;
}
