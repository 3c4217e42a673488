//! One invitation creates one account, despite concurrent requests and kills. Accounts without a workspace are listed
//! and can be removed.

use crypto::token::{Token, TokenKind};
use features::users::model::Account;
use features::users::queries as users;
use features::workspace::queries;
use features::workspace::rules::invites;
use kernel::{AccountId, Actor, Cause, Part, Role, TypedId as _};
use reqwest::StatusCode;
use serde_json::json;
use server::people::local::{self, PeopleRequest};

use support::hq::TestHq;
use support::invite::{field, invite, join};

const PASSWORD: &str = "a password of some length";
const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);

fn accounts(hq: &TestHq) -> Vec<Account> {
    hq.running().app.system.read(|snap| users::accounts(snap)).expect("a store")
}

fn members(hq: &TestHq) -> Vec<String> {
    let all = hq.ws().read(|snap| queries::members(snap)).expect("a store");
    all.into_iter().map(|member| member.name).collect()
}

/// Claims an invitation for an account, as HQ does before creating the account.
async fn claim(hq: &TestHq, link: &str, account: AccountId) {
    let token = Token::parse(TokenKind::Invite, field(link, "token")).expect("a token");
    let claimed = hq.ws().write(&BY, move |tx| invites::claim(tx, &token, account)).await;
    claimed.expect("it is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_who_come_at_once_with_one_invitation_get_one_account() {
    let hq = TestHq::start().await;
    let before = accounts(&hq).len();
    let link = invite(&hq.owner(), &json!({ "role": "member" })).await;
    let mut all = Vec::new();
    for n in 0..30 {
        let (person, link) = (hq.nobody(), link.clone());
        all.push(tokio::spawn(async move {
            let email = format!("new{n}@x.example");
            join(&person, &link, (&format!("New {n}"), &email, PASSWORD)).await
        }));
    }
    let mut joined = 0;
    for one in all {
        let reply = one.await.expect("an answer");
        match reply.status {
            StatusCode::SEE_OTHER => joined += 1,
            StatusCode::GONE => assert!(reply.text.contains("invitation"), "{}", reply.text),
            StatusCode::UNPROCESSABLE_ENTITY => {
                assert!(reply.text.contains("no longer valid"), "{}", reply.text);
            }
            status => panic!("{status}: {}", reply.text),
        }
    }
    assert_eq!((joined, accounts(&hq).len() - before, members(&hq).len()), (1, 1, 2));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_somebody_joins_leaves_a_member_or_a_good_invitation() {
    let mut hq = TestHq::start().await;
    let (first, second) = (
        invite(&hq.owner(), &json!({ "role": "member" })).await,
        invite(&hq.owner(), &json!({ "role": "viewer" })).await,
    );
    // The account for the first was not created, the one for the second was.
    claim(&hq, &first, AccountId::from_bytes([9; 16])).await;
    hq.another("Eve", None).await;
    let eve = accounts(&hq).into_iter().find(|one| one.name == "Eve").expect("an account");
    claim(&hq, &second, eve.id).await;
    hq.restart().await;
    assert!(members(&hq).contains(&"Eve".to_owned()));
    let again = join(&hq.nobody(), &second, ("Ann", "ann@x.example", PASSWORD)).await;
    assert_eq!(again.status, StatusCode::GONE, "it is used up: {}", again.text);
    let joined = join(&hq.nobody(), &first, ("Bob", "bob@x.example", PASSWORD)).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text);
    assert!(members(&hq).contains(&"Bob".to_owned()));
    // The same without a restart: the next visitor of the link resolves it.
    let third = invite(&hq.owner(), &json!({ "role": "member" })).await;
    claim(&hq, &third, AccountId::from_bytes([8; 16])).await;
    let joined = join(&hq.nobody(), &third, ("Cem", "cem@x.example", PASSWORD)).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text);
    // A failure after the claim releases the invitation.
    let fourth = invite(&hq.owner(), &json!({ "role": "member" })).await;
    let taken = join(&hq.nobody(), &fourth, ("Cem", "cem@x.example", PASSWORD)).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", taken.text);
    let joined = join(&hq.nobody(), &fourth, ("Dua", "dua@x.example", PASSWORD)).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_belongs_nowhere_is_listed_and_removed_and_no_other() {
    let hq = TestHq::start().await;
    hq.another("Tom", Some(Role::Member)).await;
    let ghost = hq.another("Ghost", None).await;
    let app = hq.running().app.clone();
    let lines = local::lines(&app).expect("a list");
    let nowhere: Vec<&str> =
        lines.iter().filter(|one| one.places.is_empty()).map(|one| one.name.as_str()).collect();
    assert_eq!(nowhere, ["Ghost"]);
    let remove = |email: &str| PeopleRequest::Remove { email: email.to_owned() };
    let refused = local::carry_out(&app, BY.0, &remove("tom@marlow.example")).await;
    assert_eq!(refused.expect_err("a member").0.code, "account_in_use");
    local::carry_out(&app, BY.0, &remove("ghost@marlow.example")).await.expect("removed");
    assert!(accounts(&hq).iter().all(|one| one.name != "Ghost"));
    assert_ne!(ghost.get("/api/v1/me").await.status, StatusCode::OK, "its sign-in ended");
    let link = invite(&hq.owner(), &json!({ "role": "member" })).await;
    let joined = join(&hq.nobody(), &link, ("Ghost", "ghost@marlow.example", PASSWORD)).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "its address is free: {}", joined.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_hq_removes_an_account_that_belongs_nowhere_on_the_page_and_by_the_api() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let page = "/w/marlow-cargo/settings/members";
    assert!(!owner.get(page).await.text.contains("Accounts without a workspace"));
    let tom = hq.another("Tom", Some(Role::Owner)).await;
    let ghost = hq.another("Ghost", None).await;
    hq.another("Shade", None).await;
    hq.another("Mist", None).await;
    let id = |name: &str| {
        let found = accounts(&hq).into_iter().find(|one| one.name == name).expect("an account");
        found.id.to_string()
    };
    let shown = owner.get(page).await.text;
    assert!(shown.contains("Accounts without a workspace"), "{shown}");
    assert!(shown.contains("ghost@marlow.example") && shown.contains("data-confirm="), "{shown}");
    // A member stays, and so does an account with a pending invitation.
    let member = format!("/w/marlow-cargo/settings/accounts/{}/remove", id("Tom"));
    owner.form(&member, &[]).await;
    let link = invite(&owner, &json!({ "role": "member" })).await;
    let shade = accounts(&hq).into_iter().find(|one| one.name == "Shade").expect("an account");
    claim(&hq, &link, shade.id).await;
    let refused = owner.call("DELETE", &format!("/api/v1/accounts/{}", shade.id)).await;
    assert_eq!(refused.json()["code"], "account_in_use", "{}", refused.text);
    let names: Vec<String> = accounts(&hq).into_iter().map(|one| one.name).collect();
    assert!(names.contains(&"Tom".to_owned()) && names.contains(&"Shade".to_owned()), "{names:?}");

    let listed = owner.get("/api/v1/accounts").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");
    // It needs reauthentication, as other actions on accounts do.
    hq.advance(std::time::Duration::from_secs(3600)).await;
    let form = format!("/w/marlow-cargo/settings/accounts/{}/remove", id("Ghost"));
    let to = owner.form(&form, &[]).await.location().unwrap_or_default().to_owned();
    assert!(to.ends_with("next=%2Fw%2Fmarlow-cargo%2Fsettings%2Fmembers"), "{to}");
    hq.prove().await;
    assert_eq!(owner.form(&form, &[]).await.location(), Some(page));
    assert_ne!(ghost.get("/api/v1/me").await.status, StatusCode::OK, "its sign-in ended");

    // An owner of only one of two workspaces may not remove the account and is not shown it.
    let form = [("workspace", "Northwind"), ("emoji", "🧊"), ("zone", "UTC")];
    assert_eq!(owner.form("/workspaces/new", &form).await.location(), Some("/w/northwind/"));
    let owner = owner.with("x-hq-workspace", "marlow-cargo");
    assert!(!tom.get(page).await.text.contains("mist@marlow.example"));
    let listed = tom.get("/api/v1/accounts").await.json();
    assert_eq!(listed["items"], json!([]), "{listed}");
    let api = format!("/api/v1/accounts/{}", id("Mist"));
    assert!(tom.call("DELETE", &api).await.status.is_client_error());
    assert_eq!(owner.call("DELETE", &api).await.status, StatusCode::OK);
    assert!(!owner.get(page).await.text.contains("Accounts without a workspace"));
    hq.finish().await;
}
