//! Proof of identity before irreversible actions.

use std::time::Duration;

use kernel::Role;
use reqwest::StatusCode;
use serde_json::json;

use support::hq::{OWNER, TestHq};

/// Endpoints that need reauthentication whatever the request contains.
const PROVED: [&str; 43] = [
    "DELETE /api/v1/accounts/{id}",
    "DELETE /api/v1/factors/passkeys/{id}",
    "DELETE /api/v1/workspace/tokens/{id}",
    "GET /api/v1/export",
    "PATCH /api/v1/secrets/{id}",
    "POST /api/v1/agents/{agent}/browser/reset",
    "POST /api/v1/audit/redact",
    "POST /api/v1/export",
    "POST /api/v1/factors/recovery-codes",
    "POST /api/v1/gateways/tokens",
    "POST /api/v1/meaning",
    "POST /api/v1/members/{id}/disable",
    "POST /api/v1/members/{id}/enable",
    "POST /api/v1/members/{id}/reset-factors",
    "POST /api/v1/secrets/master-key/discard",
    "POST /api/v1/secrets/master-key/rotate",
    "POST /api/v1/tokens",
    "POST /api/v1/workspace/delete",
    "POST /w/{ws}/agents/{slug}/behaviour/autonomy",
    "POST /w/{ws}/agents/{slug}/browser/reset",
    "POST /w/{ws}/settings/accounts/{id}/remove",
    "POST /w/{ws}/settings/audit/redact",
    "POST /w/{ws}/settings/backups",
    "POST /w/{ws}/settings/delete",
    "POST /w/{ws}/settings/export",
    "POST /w/{ws}/settings/gateways",
    "POST /w/{ws}/settings/mail",
    "POST /w/{ws}/settings/meaning/confirm",
    "POST /w/{ws}/settings/meaning/send",
    "POST /w/{ws}/settings/members/{id}/disable",
    "POST /w/{ws}/settings/members/{id}/enable",
    "POST /w/{ws}/settings/members/{id}/reset-factors",
    "POST /w/{ws}/settings/people",
    "POST /w/{ws}/settings/secrets/master-key",
    "POST /w/{ws}/settings/secrets/master-key/discard",
    "POST /w/{ws}/settings/secrets/{id}",
    "POST /w/{ws}/settings/security/passkeys/{id}/remove",
    "POST /w/{ws}/settings/tokens",
    "POST /w/{ws}/settings/tokens/{id}/withdraw",
    "PUT /api/v1/agents/{agent}/autonomy",
    "PUT /api/v1/backups/settings",
    "PUT /api/v1/settings/mail",
    "PUT /api/v1/sign-in-policy",
];
const LATER: Duration = Duration::from_secs(11 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_back_asks_for_a_proof() {
    let hq = TestHq::start().await;
    let (owner, program) = (hq.owner(), hq.api().await);
    hq.another("Tom", Some(Role::Member)).await;
    let all = owner.get("/api/v1/members").await.json();
    let tom = all["items"].as_array().expect("items").iter().find(|one| one["name"] == "Tom");
    let tom = tom.expect("Tom")["account"].as_str().expect("an id").to_owned();
    hq.advance(LATER).await;
    let mut asked = Vec::new();
    for route in hq.running().routes.iter().filter(|route| route.proved) {
        let name = format!("{} {}", route.method, route.path);
        let path = route.path.replace("{ws}", "marlow-cargo");
        let path = path.replace("{id}", "01890000-0000-7000-8000-000000000000");
        let reply = owner.call(route.method.as_str(), &path).await;
        match path.starts_with("/api/") {
            true => {
                assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}: {}", reply.text);
                assert_eq!(reply.json()["code"], "proof_required", "{name}");
            }
            false => {
                let to = reply.location().unwrap_or_default();
                assert!(to.starts_with("/w/marlow-cargo/settings/prove?next="), "{name}: {to}");
            }
        }
        asked.push(name);
    }
    asked.sort();
    assert_eq!(asked, PROVED);

    // A role needs it only if it is an owner's.
    let (member, invites) = (format!("/api/v1/members/{tom}"), "/api/v1/invites");
    let body = |role: &str| json!({ "role": role });
    for role in ["viewer", "admin"] {
        assert_eq!(
            owner.json("PATCH", &member, &body(role)).await.status,
            StatusCode::OK,
            "{role}"
        );
    }
    let refused = owner.json("PATCH", &member, &body("owner")).await;
    assert_eq!(refused.json()["code"], "proof_required", "{}", refused.text);
    let refused = owner.post(invites, &body("owner")).await;
    assert_eq!(refused.json()["code"], "proof_required", "{}", refused.text);
    assert_eq!(owner.post(invites, &body("admin")).await.status, StatusCode::CREATED);
    let page = format!("/w/marlow-cargo/settings/members/{tom}/role");
    let to = owner.form(&page, &[("role", "owner")]).await;
    let to = to.location().expect("a redirect").to_owned();
    assert!(to.ends_with("next=%2Fw%2Fmarlow-cargo%2Fsettings%2Fmembers"), "{to}");
    // A token needs no reauthentication.
    let redact = json!({ "table": "tasks", "id": "01890000-0000-7000-8000-000000000000" });
    let reply = program.post("/api/v1/audit/redact", &redact).await;
    assert_ne!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_proves_it_for_ten_minutes_and_renews_the_cookie() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let token = json!({ "name": "T", "scopes": ["read"] });
    assert_eq!(owner.post("/api/v1/tokens", &token).await.status, StatusCode::CREATED);
    hq.advance(LATER).await;
    let thief = hq.nobody().with("cookie", &owner.cookie());
    assert_eq!(thief.get("/api/v1/me").await.status, StatusCode::OK, "a copied cookie");
    let state = owner.get("/api/v1/proof").await.json();
    assert_eq!((&state["until"], &state["password"]), (&json!(null), &json!(true)), "{state}");
    let wrong = owner.post("/api/v1/proof", &json!({ "password": "not it at all" })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.json()["code"], "no_proof", "{}", wrong.text);
    let none = owner.post("/api/v1/proof", &json!({})).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let proved = owner.post("/api/v1/proof", &json!({ "password": OWNER.2 })).await;
    assert_eq!(proved.json()["until"], "2026-11-20T12:21:00Z", "{}", proved.text);
    assert_eq!(owner.post("/api/v1/tokens", &token).await.status, StatusCode::CREATED);
    assert_eq!(thief.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "worth nothing");
    hq.advance(LATER).await;
    let refused = owner.post("/api/v1/tokens", &token).await;
    assert_eq!(refused.json()["code"], "proof_required", "{}", refused.text);
    // An API client cannot reauthenticate.
    let program = hq.api().await;
    let refused = program.post("/api/v1/proof", &json!({ "password": OWNER.2 })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_script_a_page_asks_and_leads_back() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    hq.advance(LATER).await;
    let form = [("name", "Nightly"), ("scopes", "read"), ("days", "30")];
    let sent = owner.form("/w/marlow-cargo/settings/tokens", &form).await;
    let page = owner.get(sent.location().expect("a redirect")).await;
    assert_eq!(page.text_of("h1"), "Confirm it’s you");
    assert!(page.attrs("input[name=code]", "id").len() == 1, "only the dialog's, there is no app");
    let next = page.attr("main input[name=next]", "value");
    assert_eq!(next, "/w/marlow-cargo/settings/tokens");
    let wrong = [("password", "not it at all"), ("next", next.as_str())];
    let wrong = owner.form("/w/marlow-cargo/settings/prove", &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.text_of("main [role=alert]"), "Wrong password.");
    let right = [("password", OWNER.2), ("next", next.as_str())];
    let back = owner.form("/w/marlow-cargo/settings/prove", &right).await;
    assert_eq!(back.location(), Some(next.as_str()), "{}", back.text);
    assert!(owner.get(&next).await.text_of("#toasts").contains("so repeat the action"));
    let made = owner.form("/w/marlow-cargo/settings/tokens", &form).await;
    assert!(made.text.contains("hq_pat_"), "{}", made.text);
    let away = [("password", OWNER.2), ("next", "/w/other/settings")];
    let home = owner.form("/w/marlow-cargo/settings/prove", &away).await;
    assert_eq!(home.location(), Some("/w/marlow-cargo/settings"));

    // The script gets the error as one line, and nothing on success.
    let script = owner.clone().htmx("prove");
    let state = owner.get("/w/marlow-cargo/settings/prove/state").await.json();
    assert_eq!((&state["fresh"], &state["passkey"]), (&json!(true), &json!(false)), "{state}");
    let wrong = script.form("/w/marlow-cargo/settings/prove", &[("password", "nope")]).await;
    assert_eq!((wrong.status.as_u16(), wrong.text.as_str()), (422, "Wrong password."));
    let right = script.form("/w/marlow-cargo/settings/prove", &[("password", OWNER.2)]).await;
    assert_eq!(right.status, StatusCode::NO_CONTENT);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_at_a_proof_is_slowed_down() {
    let hq = TestHq::start().await;
    hq.advance(LATER).await;
    for _ in 0..5 {
        let wrong = hq.owner().post("/api/v1/proof", &json!({ "password": "a wrong guess" })).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let locked = hq.owner().post("/api/v1/proof", &json!({ "password": OWNER.2 })).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS, "even the right one has to wait");
    hq.finish().await;
}
