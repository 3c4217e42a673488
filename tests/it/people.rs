//! Members and invitations: joining, role changes, and effects of leaving.

use std::time::Duration;

use features::workspace::model::Member;
use kernel::{AccountId, Actor, Cause, Part, Role, TypedId};
use reqwest::StatusCode;
use serde_json::json;

use support::hq::{OWNER, Person, TestHq};
use support::invite::{accept, field, invite, join};

const TOM: (&str, &str, &str) =
    ("Tom Okafor", "tom@marlow.example", "seven lanterns over a quiet canal");

async fn account_of(by: &Person, name: &str) -> String {
    let all = by.get("/api/v1/members").await.json();
    let found = all["items"].as_array().expect("items").iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {all}"))["account"]
        .as_str()
        .expect("id")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_new_joins_by_a_link_that_works_once() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let page = owner.get("/w/marlow-cargo/settings/members").await;
    assert_eq!(page.texts("input[name=role]").len(), 4, "an owner may give every role");
    assert!(page.attrs("details[open]", "class").is_empty(), "a form opens when it is asked for");
    let shown =
        owner.form("/w/marlow-cargo/settings/invites", &[("role", "member"), ("email", "")]).await;
    let link = shown.text_of(".code[data-line] code");
    let link = link[link.find("/join").expect("a link")..].to_owned();
    let again = owner.get("/w/marlow-cargo/settings/members").await;
    assert!(!again.text.contains(field(&link, "token")), "it is shown once");
    assert!(again.text.contains("Anyone with the link"));

    let tom = hq.nobody();
    let asked = tom.get(&link).await;
    assert_eq!(asked.text_of("h1"), "Join Marlow Cargo");
    assert!(asked.text.contains("Mira Lindqvist invited you as Member"), "{}", asked.text);
    let short = join(&tom, &link, ("", "tom", "short")).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(short.attrs("[aria-invalid=true]", "name"), ["name", "email", "password"]);
    let joined = join(&tom, &link, TOM).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    let me = tom.get("/api/v1/me").await.json();
    assert_eq!(
        (&me["workspace"]["role"], &me["account"]["email"]),
        (&json!("member"), &json!(TOM.1))
    );
    assert!(owner.get("/w/marlow-cargo/activity").await.text.contains("joined the"));

    let eve = hq.nobody();
    assert_eq!(eve.get(&link).await.status, StatusCode::GONE);
    let used = join(&eve, &link, ("Eve", "eve@x.example", "a password of some length")).await;
    assert_eq!(used.status, StatusCode::GONE);
    assert_eq!(
        owner.get("/api/v1/members").await.json()["items"].as_array().map(Vec::len),
        Some(2)
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_with_an_account_signs_in_and_confirms() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let made = owner.post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let north = owner.clone().with("x-hq-workspace", "northwind");
    let ada = hq.another("Ada", Some(Role::Viewer)).await;
    let link = invite(&north, &json!({ "role": "admin", "email": "ADA@marlow.example" })).await;

    // The link is bound to Ada: nobody else can use it, with an account or without.
    let bob = hq.another("Bob", Some(Role::Admin)).await;
    assert!(bob.get(&link).await.text.contains("This invitation is for ada@marlow.example"));
    let refused = accept(&bob, &link).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let other = join(&hq.nobody(), &link, TOM).await;
    assert!(other.text_of("#f-email-says").contains("another address"));
    let hers = join(&hq.nobody(), &link, ("Ada", "ada@marlow.example", TOM.2)).await;
    assert!(hers.text_of("#f-email-says").contains("sign in with it"), "{}", hers.text);

    let asked = ada.get(&link).await;
    assert_eq!(asked.text_of("form[action='/join'] button"), "Join as Ada");
    assert_eq!(accept(&ada, &link).await.location(), Some("/w/northwind/"));
    let role = ada.with("x-hq-workspace", "northwind").get("/api/v1/me").await.json();
    assert_eq!(role["workspace"]["role"], "admin");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_can_be_withdrawn_and_ends_after_three_days() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let link = invite(&owner, &json!({ "role": "viewer" })).await;
    let id = owner.get("/api/v1/invites").await.json()["items"][0]["id"].clone();
    let path = format!("/w/marlow-cargo/settings/invites/{}/withdraw", id.as_str().expect("id"));
    owner.form(&path, &[]).await;
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::GONE);
    let link = invite(&owner, &json!({ "role": "viewer" })).await;
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::OK);
    hq.advance(Duration::from_secs(72 * 3_600)).await;
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::GONE);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_invitations_is_stopped() {
    let hq = TestHq::start().await;
    let link = invite(&hq.owner(), &json!({ "role": "viewer" })).await;
    for _ in 0..5 {
        let wrong = hq.nobody().get("/join?in=marlow-cargo&token=hq_inv_guess").await;
        assert_eq!(wrong.status, StatusCode::GONE);
    }
    let guess = "/join?in=marlow-cargo&token=hq_inv_guess";
    assert_eq!(hq.nobody().get(guess).await.status, StatusCode::TOO_MANY_REQUESTS);
    // Attempts by others from the same address do not affect the link's holder.
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::OK);
    let forged = forged(field(&link, "token"));
    let wrong = format!("/join?in=marlow-cargo&token={forged}");
    for _ in 0..5 {
        assert_eq!(hq.nobody().get(&wrong).await.status, StatusCode::GONE);
    }
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::TOO_MANY_REQUESTS);
    let other = invite(&hq.owner(), &json!({ "role": "viewer" })).await;
    assert_eq!(hq.nobody().get(&other).await.status, StatusCode::OK);
    hq.advance(Duration::from_secs(3_601)).await;
    assert_eq!(hq.nobody().get(&link).await.status, StatusCode::OK);
    hq.finish().await;
}

/// A token with the same public id and another secret.
fn forged(token: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::Digest as _;
    let body = format!("{}{}", &token[..token.len() - 43 - 6], "a".repeat(43));
    let check = URL_SAFE_NO_PAD.encode(&sha2::Sha256::digest(body.as_bytes())[..5]);
    format!("{body}{}", &check[..6])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gives_more_than_they_have_and_an_admin_does_not_touch_owners() {
    let hq = TestHq::start().await;
    let (owner, admin) = (hq.owner(), hq.another("Ada", Some(Role::Admin)).await);
    let mira = account_of(&owner, OWNER.0).await;
    let refused = admin.post("/api/v1/invites", &json!({ "role": "owner" })).await;
    assert_eq!(refused.json()["code"], "more_than_own", "{}", refused.text);
    let path = format!("/api/v1/members/{mira}");
    let refused = admin.json("PATCH", &path, &json!({ "role": "viewer" })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert_eq!(admin.call("DELETE", &path).await.status, StatusCode::FORBIDDEN);
    let page = admin.get("/w/marlow-cargo/settings/members").await;
    assert_eq!(page.texts("#members button[popovertarget]").len(), 1, "only their own menu");
    let owner_row = "#members a[aria-label^='History of ']";
    let history = admin.get(&page.attr(owner_row, "href")).await;
    assert!(history.text_of(".page-head").contains(OWNER.0), "{}", history.text);
    // A token grants no more than its own scopes.
    let program = hq.token(&["admin"]).await;
    let refused = program.post("/api/v1/invites", &json!({ "role": "member" })).await;
    assert_eq!(refused.json()["code"], "more_than_own", "{}", refused.text);
    let viewer = program.post("/api/v1/invites", &json!({ "role": "viewer" })).await;
    assert_eq!(viewer.status, StatusCode::CREATED, "{}", viewer.text);
    let ada = format!("/api/v1/members/{}", account_of(&owner, "Ada").await);
    let refused = program.json("PATCH", &ada, &json!({ "role": "viewer" })).await;
    assert_eq!(refused.json()["code"], "more_than_own", "{}", refused.text);
    assert_eq!(program.call("DELETE", &ada).await.json()["code"], "more_than_own");
    assert_eq!(program.call("DELETE", &path).await.json()["code"], "more_than_own");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_worth_no_more_than_whoever_made_it() {
    let hq = TestHq::start().await;
    let (owner, admin) = (hq.owner(), hq.another("Ada", Some(Role::Admin)).await);
    let as_admin = invite(&admin, &json!({ "role": "admin" })).await;
    let as_member = invite(&admin, &json!({ "role": "member" })).await;
    let ada = format!("/api/v1/members/{}", account_of(&owner, "Ada").await);
    let by_owner = invite(&owner, &json!({ "role": "viewer" })).await;
    let open = async || {
        let listed = owner.get("/api/v1/invites").await.json();
        let page = owner.get("/w/marlow-cargo/settings/members").await;
        let count = listed["items"].as_array().expect("items").len();
        assert_eq!(page.attrs("form[action$='/withdraw']", "action").len(), count, "{listed}");
        count
    };
    assert_eq!(open().await, 3);
    let eve = hq.nobody();
    assert_eq!(eve.get(&as_admin).await.status, StatusCode::OK);
    owner.json("PATCH", &ada, &json!({ "role": "member" })).await;
    assert_eq!(eve.get(&as_admin).await.status, StatusCode::GONE);
    assert_eq!(open().await, 1, "dead links are not shown as open");
    let refused = join(&eve, &as_member, ("Eve", "eve@x.example", TOM.2)).await;
    assert_eq!(refused.status, StatusCode::GONE, "a member invites nobody");
    owner.json("PATCH", &ada, &json!({ "role": "admin" })).await;
    assert_eq!(open().await, 3);
    assert_eq!(owner.call("DELETE", &ada).await.status, StatusCode::OK);
    assert_eq!(hq.nobody().get(&as_member).await.status, StatusCode::GONE);
    assert_eq!(open().await, 1);
    assert_eq!(hq.nobody().get(&by_owner).await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_always_an_owner() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let mira = account_of(&owner, OWNER.0).await;
    let path = format!("/api/v1/members/{mira}");
    let refused = owner.json("PATCH", &path, &json!({ "role": "admin" })).await;
    assert_eq!(refused.json()["code"], "last_owner", "{}", refused.text);
    assert_eq!(owner.post("/api/v1/leave", &json!({})).await.json()["code"], "last_owner");
    let refused = owner.form("/w/marlow-cargo/settings/leave", &[]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text_of("[role=alert]").contains("needs an owner"), "{}", refused.text);

    let ada = hq.another("Ada", Some(Role::Member)).await;
    let id = account_of(&owner, "Ada").await;
    let role = format!("/w/marlow-cargo/settings/members/{id}/role");
    owner.form(&role, &[("role", "owner")]).await;
    assert_eq!(ada.get("/api/v1/me").await.json()["workspace"]["role"], "owner");
    assert_eq!(owner.post("/api/v1/leave", &json!({})).await.status, StatusCode::OK);
    assert_eq!(owner.get("/w/marlow-cargo/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(owner.get("/").await.location(), Some("/workspaces"));
    assert!(owner.get("/workspaces").await.text.contains("No workspaces yet"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_loses_pages_streams_and_tokens_at_once() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let link = invite(&owner, &json!({ "role": "member" })).await;
    let tom = hq.nobody();
    join(&tom, &link, TOM).await;
    let body = json!({ "name": "Script", "scopes": ["read"] });
    let token = tom.post("/api/v1/tokens", &body).await.json()["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let program = hq.nobody().with("authorization", &bearer);
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::OK);
    let mut page = tom.stream("/w/marlow-cargo/events").await;
    let mut changes = program.stream("/api/v1/changes").await;
    let id = account_of(&owner, TOM.0).await;
    let gone = owner.call("DELETE", &format!("/api/v1/members/{id}")).await;
    assert!(gone.json()["left_at"].is_string(), "{}", gone.text);
    while page.next().await.is_some() {}
    while changes.next().await.is_some() {}
    assert_eq!(tom.get("/w/marlow-cargo/tasks").await.status, StatusCode::NOT_FOUND);
    assert_eq!(tom.get("/api/v1/me").await.status, StatusCode::NOT_FOUND);
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    // The name stays in the history.
    assert!(owner.get("/w/marlow-cargo/activity").await.text.contains(TOM.0));

    // A returning member gets the new role, and old tokens stay invalid.
    let link = invite(&owner, &json!({ "role": "viewer" })).await;
    assert_eq!(accept(&tom, &link).await.location(), Some("/w/marlow-cargo/"));
    assert_eq!(tom.get("/api/v1/me").await.json()["workspace"]["role"], "viewer");
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_role_counts_from_the_next_request_and_ends_streams() {
    let hq = TestHq::start().await;
    let (owner, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let mut page = tom.stream("/w/marlow-cargo/events").await;
    let task = json!({ "title": "Pack the van" });
    assert_eq!(tom.post("/api/v1/tasks", &task).await.status, StatusCode::CREATED);
    let id = account_of(&owner, "Tom").await;
    let path = format!("/api/v1/members/{id}");
    let now = owner.json("PATCH", &path, &json!({ "role": "viewer" })).await;
    assert_eq!(now.json()["role"], "viewer", "{}", now.text);
    while page.next().await.is_some() {}
    assert_eq!(tom.post("/api/v1/tasks", &task).await.status, StatusCode::FORBIDDEN);
    assert_eq!(tom.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    assert!(owner.get("/w/marlow-cargo/activity").await.text.contains("from Member to Viewer"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_with_a_workspace_from_elsewhere_is_asked_in_as_who_they_are() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let stranger = AccountId::from_bytes([7; 16]);
    let put = move |tx: &mut store::WriteTx<'_>| {
        tx.put(&Member {
            account: stranger,
            name: "Tom of old".to_owned(),
            handle: "tommy".to_owned(),
            email: TOM.1.to_owned(),
            role: Role::Owner,
            created_at: tx.now(),
            left_at: None,
        })
    };
    hq.ws().write(&(Actor::System(Part::Setup), Cause::Setup), put).await.expect("a member");

    // The other owner's account is disabled.
    assert_eq!(owner.post("/api/v1/leave", &json!({})).await.json()["code"], "last_owner");
    let admin = hq.another("Ada", Some(Role::Admin)).await;
    let asked = json!({ "role": "viewer", "email": TOM.1 });
    let refused = admin.post("/api/v1/invites", &asked).await;
    assert_eq!(refused.json()["code"], "more_than_own", "{}", refused.text);
    let taken = json!({ "role": "viewer", "email": "ada@marlow.example" });
    assert_eq!(owner.post("/api/v1/invites", &taken).await.status, 422, "she has an account");

    let link = invite(&owner, &json!({ "role": "member", "email": TOM.1 })).await;
    let tom = hq.nobody();
    let joined = join(&tom, &link, TOM).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    assert_eq!(account_of(&owner, TOM.0).await, stranger.to_string(), "what was theirs still is");
    let all = owner.get("/api/v1/members").await.json();
    let items = all["items"].as_array().expect("items");
    let same: Vec<_> = items.iter().filter(|one| one["email"] == TOM.1).collect();
    assert_eq!(same.len(), 1, "{all}");
    assert_eq!((&same[0]["handle"], &same[0]["role"]), (&json!("tommy"), &json!("member")));
    let again = owner.post("/api/v1/invites", &asked).await;
    assert_eq!(again.status, 422, "now there is an account: {}", again.text);
    hq.finish().await;
}
