//! Sign-in flows: captured redirect, pasted address, device code; and how they end.

use std::time::Duration;

use features::connections::model::{Grant, Login, LoginState};
use features::usage::model::Usage;
use kernel::{Role, Route};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::ReadExt as _;

use support::hq::everything_in;
use support::maker::{access, pass, refresh};
use support::model::{Protocol, Turn};

use super::{PLACE, Scene};

/// Waits until a sign-in has this state.
async fn stands(scene: &Scene, state: LoginState) -> Login {
    let id = scene.id;
    let found = scene.office.until("another state of the sign-in", |snap| {
        Ok(snap.get::<Login>(id)?.filter(|login| login.state == state))
    });
    found.await
}

/// Advances to the next poll and waits until its response is recorded.
async fn asked_again(scene: &Scene) -> Login {
    let (id, before) = (scene.id, scene.login());
    let left = before.next_at.duration_since(scene.hq().now());
    scene.hq().advance(Duration::try_from(left).unwrap_or_default()).await;
    let found = scene.office.until("another question", |snap| {
        Ok(snap.get::<Login>(id)?.filter(|login| *login != before))
    });
    found.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_with_a_browser_and_a_subscription_answers() {
    let scene = Scene::browser().await;
    let view = scene.view().await;
    assert_eq!((&view["route"], &view["eligible"]), (&json!("subscription"), &json!(false)));
    assert_eq!(view["reason"], "missing_credential");
    assert_eq!(view["account"]["signed_in"], false);

    let begun = scene.begin("browser").await;
    assert_eq!((&begun["state"], &begun["code"]), (&json!("waiting"), &json!("")));
    let back = scene.maker.sign_in(begun["url"].as_str().expect("an address"), "code-1");

    // Invalid input gives an error, and another address may be pasted.
    let answer = scene.path("/login/answer");
    for (wrong, why) in [
        ("", "paste the address"),
        ("http://localhost/auth/callback?code=code-1", "incomplete"),
        ("http://localhost/auth/callback?code=code-1&state=forged", "another sign-in"),
    ] {
        let refused = scene.api.post(&answer, &json!({ "answer": wrong })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    assert_eq!(scene.login().state, LoginState::Waiting);

    let done = scene.api.post(&answer, &json!({ "answer": back })).await;
    assert_eq!(
        (done.status, &done.json()["state"]),
        (StatusCode::OK, &json!("done")),
        "{}",
        done.text
    );
    assert_eq!(done.json()["url"], "", "nothing of it is shown any more");
    let sent = scene.maker.last();
    assert_eq!(sent["redirect_uri"], "http://localhost/auth/callback");
    let again = scene.api.post(&answer, &json!({ "answer": "code-1" })).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);

    // It is tested with a real call, in the subscription's format.
    let connection = scene.tested().await;
    assert!(connection.tested.as_ref().is_some_and(|tested| tested.ok), "{connection:?}");
    let call = scene.model.last();
    assert_eq!(call.protocol, Protocol::Responses);
    assert_eq!(call.header("authorization"), format!("Bearer {}", access(1)));
    assert_eq!((call.header("chatgpt-account-id"), call.header("originator")), ("acc-1", "hq"));
    assert_eq!(
        (&call.body["store"], &call.body["max_output_tokens"]),
        (&json!(false), &Value::Null)
    );
    assert!(call.body["instructions"].is_string());
    let view = scene.view().await;
    assert_eq!((&view["eligible"], &view["reason"]), (&json!(true), &Value::Null), "{view}");
    assert_eq!(view["account"]["label"], "mira@marlow.example");

    // The month's usage shows the list price, with nothing charged.
    let booked = scene.office.all::<Usage>();
    let booked = booked.iter().find(|one| one.connection == Some(scene.id)).expect("a call");
    assert_eq!((booked.route, booked.billed_micros), (Route::Subscription, Some(0)));
    assert!(booked.list_micros.is_some_and(|list| 0 < list), "{booked:?}");
    let page = scene.hq().owner().get(&scene.page("/sign-in")).await;
    assert!(page.text.contains("mira@marlow.example"), "{}", page.text);
    assert!(page.text.contains("ChatGPT hasn’t verified"), "{}", page.text);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_to_be_read_anywhere() {
    let mut scene = Scene::signed_in().await;
    scene.begin("browser").await;
    let secrets = [access(1), refresh(1)];
    let owner = scene.hq().owner();
    let paths = [
        scene.page(""),
        scene.page("/sign-in"),
        "/w/marlow-cargo/settings/connections".to_owned(),
        "/w/marlow-cargo/activity".to_owned(),
        format!("/w/marlow-cargo/history/connections/{}", scene.id),
        scene.path(""),
        scene.path("/login"),
        PLACE.to_owned(),
        "/api/v1/changes?after=start&include=rows".to_owned(),
    ];
    for path in paths {
        let person = if path.starts_with("/api/v1/changes") { &scene.api } else { &owner };
        let page = person.get(&path).await;
        assert!(page.status.is_success(), "{path}: {} {}", page.status, page.text);
        for secret in &secrets {
            assert!(!page.text.contains(secret.as_str()), "{path} shows a token");
        }
    }
    let said = format!("{} and {}", secrets[0], secrets[1]);
    let clean = |scene: &Scene| scene.office.ws().app.redactor.text(&said).into_owned();
    assert!(secrets.iter().all(|secret| !clean(&scene).contains(secret.as_str())));
    assert!(scene.grant().sealed.starts_with("enc:v2:"));

    scene.office.hq.restart().await;
    assert!(
        secrets.iter().all(|secret| !clean(&scene).contains(secret.as_str())),
        "after a start, too"
    );
    let data = scene.hq().data();
    let look = move || {
        let all = everything_in(&data);
        for secret in &secrets {
            let found = all.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "a token lies in the data folder");
        }
    };
    scene.office.hq.finish_keeping(look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_typed_at_the_makers_and_a_short_token_makes_the_calls() {
    let scene = Scene::device().await;
    scene.maker.answers_at(&scene.model.openai_url());
    scene.maker.polls(&[
        (200, json!({ "error": "authorization_pending" })),
        (200, json!({ "error": "slow_down", "interval": 12 })),
        (503, json!({})),
    ]);
    let begun = scene.begin("device").await;
    assert_eq!((&begun["code"], &begun["flow"]), (&json!("WDJB-MJHT"), &json!("device")));
    assert_eq!(begun["url"], "https://maker.example/device");
    let page = scene.hq().owner().get(&scene.page("/sign-in")).await;
    assert!(page.text.contains("WDJB-MJHT"), "{}", page.text);
    assert!(!page.text.contains("device-code-of-the-maker"), "what HQ asks with is its own");
    assert_eq!(scene.maker.polled(), 0, "nobody is asked before the pause is over");

    let waits = asked_again(&scene).await;
    assert_eq!((waits.pause_ms, scene.maker.polled()), (5_000, 1));
    let slower = asked_again(&scene).await;
    assert_eq!(
        (slower.pause_ms, scene.maker.polled()),
        (12_000, 2),
        "it asks as seldom as it is told"
    );
    let busy = asked_again(&scene).await;
    assert_eq!(
        (busy.state, scene.maker.polled()),
        (LoginState::Waiting, 3),
        "what passes ends nothing"
    );
    asked_again(&scene).await;
    stands(&scene, LoginState::Done).await;

    let tested = scene.tested().await;
    assert!(tested.tested.as_ref().is_some_and(|tested| tested.ok), "{tested:?}");
    let call = scene.model.last();
    assert_eq!(call.protocol, Protocol::Chat);
    assert_eq!(call.header("authorization"), format!("Bearer {}", pass(1)));
    assert!(call.header("editor-version").starts_with("hq/"));
    assert_eq!(call.header("x-initiator"), "user");

    // A model that supports Responses only says so once.
    scene.model.answering(|seen| {
        let other = "model codes is not accessible via the /chat/completions endpoint";
        match (seen.protocol, seen.body["model"].as_str()) {
            (Protocol::Chat, Some("codes")) => {
                Some(Turn::error(400, "unsupported_api_for_model", other))
            }
            _ => Some(Turn::text("over here")),
        }
    });
    let ada = scene.office.agent_with("Ada", {
        let connection = Some(scene.id);
        move |new: &mut features::agents::rules::NewAgent| {
            let model = Some("codes".to_owned());
            new.model = features::agents::rules::ModelChoice { connection, model };
        }
    });
    let ada = ada.await;
    let count = scene.model.requests().len();
    for said in ["One", "Two"] {
        let run = scene.office.say(&ada, said).await;
        assert_eq!(scene.office.ended(run).await.summary, "over here");
    }
    let asked: Vec<_> = scene.model.requests()[count..].iter().map(|seen| seen.protocol).collect();
    assert_eq!(asked, [Protocol::Chat, Protocol::Responses, Protocol::Responses]);
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declined_too_late_or_called_off_is_told_and_begun_anew() {
    let scene = Scene::device().await;
    let owner = scene.hq().owner();
    let shows = async |words: &str| {
        let page = owner.get(&scene.page("/sign-in")).await;
        assert!(page.text.contains(words), "{words}: {}", page.text);
    };
    for (answer, state, words) in [
        (json!({ "error": "access_denied" }), LoginState::Denied, "You declined"),
        (json!({ "error": "expired_token" }), LoginState::Expired, "The sign-in timed out"),
        (json!({ "error": "device_flow_disabled" }), LoginState::Failed, "refused the sign-in"),
    ] {
        scene.maker.polls(&[(200, answer)]);
        scene.begin("device").await;
        let ended = asked_again(&scene).await;
        assert_eq!((ended.state, ended.sealed.as_str()), (state, ""));
        shows(words).await;
        assert_eq!(scene.api.get(&scene.path("/login")).await.json()["state"], state.word());
    }

    // Without any action, it expires.
    scene.begin("device").await;
    scene.hq().advance(Duration::from_secs(901)).await;
    stands(&scene, LoginState::Expired).await;

    scene.begin("device").await;
    let gone = scene.api.call("DELETE", &scene.path("/login")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    let twice = scene.api.call("DELETE", &scene.path("/login")).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text);
    assert_eq!(scene.login().state, LoginState::Cancelled);

    // An account without access to the models is reported at once.
    scene.maker.exchanges(&[(403, json!({ "message": "No plan for this account" }))]);
    let polls = scene.maker.polled();
    scene.begin("device").await;
    let left = Duration::from_secs(6);
    scene.hq().advance(left).await;
    let failed = stands(&scene, LoginState::Failed).await;
    assert!(failed.said.contains("No plan for this account"), "{}", failed.said);
    assert!(polls < scene.maker.polled() && scene.find::<Grant>().is_none());
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_is_under_way_goes_on_after_a_restart() {
    let mut scene = Scene::device().await;
    scene.maker.answers_at(&scene.model.openai_url());
    scene.begin("device").await;
    scene.office.hq.restart().await;
    scene.api = scene.api.back_at(&scene.office.hq);
    let shown = scene.api.get(&scene.path("/login")).await.json();
    assert_eq!((&shown["state"], &shown["code"]), (&json!("waiting"), &json!("WDJB-MJHT")));
    scene.hq().advance(Duration::from_secs(6)).await;
    stands(&scene, LoginState::Done).await;
    scene.tested().await;
    scene.office.hq.finish().await;

    // The same in a browser: state and verifier persist.
    let mut scene = Scene::browser().await;
    let begun = scene.begin("browser").await;
    scene.office.hq.restart().await;
    scene.api = scene.api.back_at(&scene.office.hq);
    let back = scene.maker.sign_in(begun["url"].as_str().expect("an address"), "code-1");
    let done = scene.api.post(&scene.path("/login/answer"), &json!({ "answer": back })).await;
    assert_eq!(done.json()["state"], "done", "{}", done.text);
    scene.tested().await;
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_on_this_machine_is_caught() {
    let scene = Scene::browser().await;
    let port = support::free_address().port();
    let mut body = scene.maker.account("Caught", "chatgpt", &scene.model.openai_url());
    body["redirect_url"] = json!(format!("http://127.0.0.1:{port}/auth/callback"));
    let made = scene.api.post(&format!("{PLACE}/accounts"), &body).await.json();
    let id = made["id"].as_str().expect("an id").to_owned();
    let login = format!("{PLACE}/{id}/login");
    let begun = scene.api.post(&login, &json!({ "flow": "browser" })).await.json();
    let back = scene.maker.sign_in(begun["url"].as_str().expect("an address"), "code-1");

    // It listens shortly after the sign-in has started.
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    let forged = format!("http://127.0.0.1:{port}/auth/callback?code=x&state=forged");
    let refused = loop {
        match reqwest::get(&forged).await {
            Ok(reply) => break reply,
            Err(_) => assert!(tokio::time::Instant::now() < end, "nobody listens"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let other =
        reqwest::get(format!("http://127.0.0.1:{port}/favicon.ico")).await.expect("an answer");
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    let caught = reqwest::get(&back).await.expect("an answer");
    let (status, text) = (caught.status(), caught.text().await.expect("words"));
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.contains("signed in. You can close"), "{text}");
    assert_eq!(scene.api.get(&login).await.json()["state"], "done");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_manages_connections_signs_in() {
    let scene = Scene::browser().await;
    scene.begin("browser").await;
    let vera = scene.hq().another("Vera", Some(Role::Member)).await;
    for (method, path) in [
        ("GET", scene.path("/login")),
        ("POST", scene.path("/login")),
        ("DELETE", scene.path("/login")),
        ("POST", scene.path("/login/answer")),
        ("DELETE", scene.path("/account")),
        ("GET", scene.page("/sign-in")),
    ] {
        let body = json!({ "flow": "browser", "answer": "x" });
        let reply = match method {
            "POST" => vera.json(method, &path, &body).await,
            _ => vera.call(method, &path).await,
        };
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{method} {path}: {}", reply.text);
    }
    let seen = vera.get(&scene.path("")).await.json();
    assert_eq!(seen["account"], Value::Null, "whose account it is, is for those who manage it");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_and_another_address_needs_another_sign_in() {
    let scene = Scene::signed_in().await;
    let accounts = format!("{PLACE}/accounts");
    for (field, value, name) in [
        ("client_id", json!(""), "client_id"),
        ("token_url", json!("http://tokens.example/x"), "token_url"),
        ("authorize_url", json!("not an address"), "authorize_url"),
        ("name", json!("Plan"), "name"),
    ] {
        let mut body = scene.maker.account("Other", "chatgpt", &scene.model.openai_url());
        body[field] = value;
        let refused = scene.api.post(&accounts, &body).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], name, "{}", refused.text);
    }
    let key =
        scene.api.post(&scene.path("/keys"), &json!({ "api_key": "sk-any-key-at-all" })).await;
    assert_eq!(key.status, StatusCode::CONFLICT, "an account has no keys: {}", key.text);

    let form = [
        ("name", "Plan"),
        ("base_url", "https://elsewhere.example/v1"),
        ("client_id", "our-client"),
    ];
    let saved = scene.hq().owner().form(&scene.page(""), &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    assert!(scene.find::<Grant>().is_none(), "tokens do not follow a connection to another server");
    assert_eq!(scene.view().await["reason"], "missing_credential");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_typed_for_a_subscription_of_chatgpt_too() {
    let mut scene = Scene::browser().await;
    let mut body = scene.maker.account("By code", "chatgpt", &scene.model.openai_url());
    body["device_url"] = json!(scene.maker.openai_device());
    let made = scene.api.post(&format!("{PLACE}/accounts"), &body).await;
    scene.id = made.json()["id"].as_str().expect("an id").parse().expect("an id");
    scene.maker.polls(&[(403, json!({})), (404, json!({ "error": { "code": "not_yet" } }))]);
    let begun = scene.begin("device").await;
    assert_eq!((&begun["code"], &begun["flow"]), (&json!("WDJB-MJHT"), &json!("device")));
    let url = begun["url"].as_str().expect("an address");
    assert!(url.ends_with("/codex/device"), "{url}");
    let waits = asked_again(&scene).await;
    assert_eq!((waits.pause_ms, waits.state), (7_000, LoginState::Waiting));
    assert_eq!(asked_again(&scene).await.state, LoginState::Waiting);
    asked_again(&scene).await;
    stands(&scene, LoginState::Done).await;
    let sent = scene.maker.last();
    assert_eq!(sent["code"], "typed-code");
    assert!(sent["redirect_uri"].ends_with("/deviceauth/callback"), "{sent:?}");
    assert!(scene.tested().await.tested.is_some_and(|tested| tested.ok));

    // After a refusal, polling stops.
    let begun = scene.begin("device").await;
    assert_eq!(begun["state"], "waiting");
    scene.maker.polls(&[(403, json!({ "error": "access_denied" }))]);
    asked_again(&scene).await;
    stands(&scene, LoginState::Denied).await;
    scene.office.hq.finish().await;
}
