//! Disabling and enabling accounts: rights, immediate effects, and who still counts as an owner.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{OWNER, Person, TestHq};
use support::invite::invite;

/// Account id of a member.
async fn account_of(by: &Person, name: &str) -> String {
    row(by, name).await["account"].as_str().expect("id").to_owned()
}

async fn row(by: &Person, name: &str) -> Value {
    let all = by.get("/api/v1/members").await.json();
    let found = all["items"].as_array().expect("items").iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {all}")).clone()
}

async fn program_of(hq: &TestHq, person: &Person) -> Person {
    let body = json!({ "name": "Script", "scopes": ["read"] });
    let token = person.post("/api/v1/tokens", &body).await.json()["token"].clone();
    hq.nobody().with("authorization", &format!("Bearer {}", token.as_str().expect("a token")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_account_loses_browsers_streams_and_tokens_at_once() {
    let hq = TestHq::start().await;
    let (owner, tom) = (hq.owner(), hq.another("Tom", Some(Role::Admin)).await);
    let program = program_of(&hq, &tom).await;
    let link = invite(&tom, &json!({ "role": "viewer" })).await;
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::OK);
    let mut page = tom.stream("/w/marlow-cargo/events").await;
    let mut changes = program.stream("/api/v1/changes").await;

    let id = account_of(&owner, "Tom").await;
    let path = format!("/api/v1/members/{id}");
    let closed = owner.call("POST", &format!("{path}/disable")).await;
    assert!(closed.json()["disabled_at"].is_string(), "{}", closed.text);
    while page.next().await.is_some() {}
    while changes.next().await.is_some() {}
    let gone = tom.get("/w/marlow-cargo/tasks").await;
    assert!(gone.location().is_some_and(|to| to.starts_with("/login")), "{}", gone.status);
    assert_eq!(tom.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::GONE, "they invite nobody");
    assert!(row(&owner, "Tom").await["disabled_at"].is_string());
    let members = owner.get("/w/marlow-cargo/settings/members").await;
    assert!(members.text_of("#members").contains("Disabled"), "{}", members.text);

    // After it is enabled again, they sign in anew: ended sessions stay ended.
    owner.form(&format!("/w/marlow-cargo/settings/members/{id}/enable"), &[]).await;
    assert!(row(&owner, "Tom").await["disabled_at"].is_null());
    assert_eq!(tom.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    let told = owner.get("/w/marlow-cargo/settings/audit?source=accounts").await;
    for words in ["disabled the account", "enabled the account"] {
        assert!(told.text.contains(words), "{words}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_owns_all_places_of_somebody_closes_their_account() {
    let hq = TestHq::start().await;
    let (owner, ada) = (hq.owner(), hq.another("Ada", Some(Role::Owner)).await);
    let tom = hq.another("Tom", Some(Role::Admin)).await;
    let (mira, own) = (account_of(&owner, OWNER.0).await, account_of(&owner, "Tom").await);
    let disable = |id: &str| format!("/api/v1/members/{id}/disable");
    assert_eq!(tom.call("POST", &disable(&mira)).await.status, StatusCode::FORBIDDEN);
    let own_account = owner.call("POST", &disable(&mira)).await;
    assert_eq!(own_account.json()["code"], "own_account", "{}", own_account.text);

    // Ada owns a workspace without Mira: Mira cannot close her account.
    assert_eq!(
        ada.post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await.status,
        StatusCode::CREATED
    );
    let id = account_of(&owner, "Ada").await;
    let refused = owner.call("POST", &disable(&id)).await;
    assert_eq!(refused.json()["code"], "other_workspace", "{}", refused.text);
    let page = format!("/w/marlow-cargo/settings/members/{id}/disable");
    assert_eq!(owner.form(&page, &[]).await.status, StatusCode::SEE_OTHER);
    let told = owner.get("/w/marlow-cargo/settings/members").await;
    assert!(told.text_of("#toasts").contains("also manages another workspace"), "{}", told.text);
    let here = ada.with("x-hq-workspace", "marlow-cargo");
    assert_eq!(here.call("POST", &disable(&own)).await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_who_cannot_sign_in_does_not_count_as_one() {
    let hq = TestHq::start().await;
    let (owner, _ada) = (hq.owner(), hq.another("Ada", Some(Role::Owner)).await);
    let (mira, ada) = (account_of(&owner, OWNER.0).await, account_of(&owner, "Ada").await);
    let closed = owner.call("POST", &format!("/api/v1/members/{ada}/disable")).await;
    assert_eq!(closed.status, StatusCode::OK, "{}", closed.text);
    let body = json!({ "role": "admin" });
    let refused = owner.json("PATCH", &format!("/api/v1/members/{mira}"), &body).await;
    assert_eq!(refused.json()["code"], "last_owner", "{}", refused.text);
    assert_eq!(owner.post("/api/v1/leave", &json!({})).await.json()["code"], "last_owner");
    let page = owner.get("/w/marlow-cargo/settings/members").await;
    assert!(page.text.contains("You’re the only owner"));
    // The command cannot close the last owner's account either.
    let app = &hq.running().app;
    let by = kernel::Actor::System(kernel::Part::Cli);
    let wish = server::people::local::PeopleRequest::Disable { email: OWNER.1.to_owned() };
    let refused = server::people::local::carry_out(app, by, &wish).await.expect_err("refused");
    assert!(refused.0.detail.contains("Marlow Cargo would have no owner"), "{}", refused.0.detail);
    // A disabled member can get a lower role, and can be removed.
    let less = owner.json("PATCH", &format!("/api/v1/members/{ada}"), &body).await;
    assert_eq!(less.json()["role"], "admin", "{}", less.text);
    owner.call("POST", &format!("/api/v1/members/{ada}/enable")).await;
    hq.finish().await;
}
