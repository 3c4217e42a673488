//! Token refresh: by one caller at a time, before expiry, and stored before use.

use std::time::Duration;

use features::connections::provider;
use providers::error::{ErrorClass, ProviderError};
use providers::model::{ChatRequest, Message, Reply};
use serde_json::json;

use support::maker::{Fate, access, refresh};
use support::model::{Gate, Turn};

use super::Scene;

/// One call through the account.
async fn call(scene: &Scene) -> Result<Reply, ProviderError> {
    let provider = provider::provider(&scene.office.ws(), Some(scene.id)).expect("a connection");
    let request = ChatRequest::new("gpt-5.2", 100).message(Message::user("Hello?"));
    provider.stream(&request, &mut |_| {}).await
}

async fn advance(scene: &Scene, seconds: u64) {
    scene.hq().advance(Duration::from_secs(seconds)).await;
}

fn sent(scene: &Scene) -> String {
    scene.model.last().header("authorization").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_renew_once() {
    let scene = Scene::signed_in().await;
    call(&scene).await.expect("an answer");
    assert_eq!((scene.maker.refreshed(), sent(&scene)), (0, format!("Bearer {}", access(1))));
    // A few minutes before it expires, the token is renewed by the first caller.
    advance(&scene, 3_400).await;
    let before = scene.model.requests().len();
    let calls = (0..50).map(|_| call(&scene));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect("an answer");
    }
    assert_eq!(scene.maker.refreshed(), 1, "one of them renews");
    let wanted = format!("Bearer {}", access(2));
    let later = &scene.model.requests()[before..];
    assert!(later.len() == 50 && later.iter().all(|seen| seen.header("authorization") == wanted));
    let grant = scene.grant();
    assert_eq!((grant.failures, grant.asked_at, grant.lost_at), (0, None, None));
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_before_its_time_is_renewed_once_and_the_call_made_again() {
    let scene = Scene::signed_in().await;
    scene.model.require_key(&access(2));
    let calls = (0..10).map(|_| call(&scene));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect("an answer");
    }
    assert_eq!(scene.maker.refreshed(), 1);
    // A second refusal is returned to the caller.
    scene.model.require_key("nobody-has-this-key");
    let refused = call(&scene).await.expect_err("it is refused");
    assert_eq!((refused.class, scene.maker.refreshed()), (ErrorClass::Auth, 2));
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_renewed_counts_after_a_restart() {
    let mut scene = Scene::signed_in().await;
    advance(&scene, 3_400).await;
    call(&scene).await.expect("an answer");
    scene.office.hq.restart().await;
    call(&scene).await.expect("an answer");
    assert_eq!((scene.maker.refreshed(), sent(&scene)), (1, format!("Bearer {}", access(2))));
    // The stored refresh token is used for the next renewal.
    advance(&scene, 3_400).await;
    call(&scene).await.expect("an answer");
    assert_eq!(sent(&scene), format!("Bearer {}", access(3)));
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_maker_is_left_alone_and_the_last_token_used_to_its_end() {
    let scene = Scene::signed_in().await;
    scene.maker.next(&[Fate::Busy, Fate::Busy]);
    advance(&scene, 3_400).await;
    for _ in 0..3 {
        call(&scene).await.expect("the last token is good");
    }
    assert_eq!((scene.maker.refreshed(), scene.grant().failures), (1, 1), "asked once a pause");
    let page = scene.hq().owner().get(&scene.page("/sign-in")).await;
    assert!(page.text.contains("renew the sign-in right now"), "{}", page.text);
    advance(&scene, 16).await;
    call(&scene).await.expect("the last token is good");
    assert_eq!(scene.maker.refreshed(), 2, "asked again, and busy again");

    // After expiry there is no token; the time to wait is known.
    scene.maker.next(&[Fate::Busy]);
    advance(&scene, 300).await;
    let none = call(&scene).await.expect_err("there is no token");
    assert_eq!((none.class, none.sent), (ErrorClass::Network, false), "{none:?}");
    let none = call(&scene).await.expect_err("there is no token");
    assert!(none.retry_after.is_some_and(|wait| wait <= Duration::from_secs(60)), "{none:?}");
    assert_eq!(scene.maker.refreshed(), 3, "a pause is a pause");
    assert_eq!(scene.view().await["reason"], "expired");
    advance(&scene, 61).await;
    call(&scene).await.expect("it is renewed");
    assert_eq!((scene.grant().failures, sent(&scene)), (0, format!("Bearer {}", access(2))));
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_arrived_is_named_when_the_old_token_does_not_count_any_more() {
    let scene = Scene::signed_in().await;
    scene.maker.next(&[Fate::Lost]);
    advance(&scene, 3_400).await;
    call(&scene).await.expect("the last token is good for a while");
    let grant = scene.grant();
    assert_eq!((grant.failures, grant.asked_at.is_some(), grant.lost_at), (1, true, None));
    advance(&scene, 16).await;
    let lost = call(&scene).await.expect_err("nobody is signed in");
    assert_eq!((lost.class, lost.sent), (ErrorClass::SignIn, false));
    assert!(lost.message.contains("during the last renewal"), "{}", lost.message);
    assert!(scene.grant().lost_at.is_some());
    call(&scene).await.expect_err("nobody is signed in");
    assert_eq!(scene.maker.refreshed(), 2, "who is signed out asks nobody");
    let view = scene.view().await;
    assert_eq!(
        (&view["reason"], &view["account"]["sign_in_again"]),
        (&json!("expired"), &json!(true))
    );
    let page = scene.hq().owner().get(&scene.page("/sign-in")).await;
    assert!(page.text.contains("Sign in again"), "{}", page.text);

    scene.sign_in().await;
    call(&scene).await.expect("an answer");
    assert_eq!(scene.view().await["eligible"], true);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_jump_cost_a_renewal_and_no_answer() {
    let scene = Scene::signed_in().await;
    scene.hq().set_back(Duration::from_secs(86_400)).await;
    call(&scene).await.expect("an answer");
    assert_eq!(scene.maker.refreshed(), 1, "by a clock that was set back nobody knows");
    call(&scene).await.expect("an answer");
    assert_eq!(scene.maker.refreshed(), 1, "from then on it counts by that clock");
    advance(&scene, 40 * 86_400).await;
    call(&scene).await.expect("an answer");
    assert_eq!(scene.maker.refreshed(), 2);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_renewed_is_kept_when_the_call_after_it_is_dropped() {
    let scene = Scene::signed_in().await;
    let gate = Gate::new();
    scene.model.push(Turn::text("late").behind(&gate));
    advance(&scene, 3_400).await;
    // The call is dropped while the model is silent; the renewal before it is still stored.
    tokio::select! {
        _ = call(&scene) => panic!("the model answers nobody"),
        () = gate.reached() => {}
    }
    gate.open();
    call(&scene).await.expect("an answer");
    assert_eq!((scene.maker.refreshed(), sent(&scene)), (1, format!("Bearer {}", access(2))));
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_is_forgotten() {
    let scene = Scene::signed_in().await;
    let gone = scene.api.call("DELETE", &scene.path("/account")).await;
    assert_eq!(gone.status, reqwest::StatusCode::NO_CONTENT, "{}", gone.text);
    let none = call(&scene).await.expect_err("nobody is signed in");
    assert_eq!(none.class, ErrorClass::SignIn);
    assert_eq!(scene.view().await["reason"], "missing_credential");
    // The token is revoked at the provider and no longer used.
    let first = scene.maker.revoked(1).await;
    assert_eq!((&first["token"], &first["client_id"]), (&json!(refresh(1)), &json!("our-client")));
    assert_eq!(first["token_type_hint"], "refresh_token");

    scene.sign_in().await;
    let gone = scene.api.call("DELETE", &scene.path("")).await;
    assert_eq!(gone.status, reqwest::StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(scene.maker.revoked(2).await["token"], json!(refresh(2)));
    scene.office.hq.finish().await;
}
