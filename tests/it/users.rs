//! Sign-in and sign-out, passwords, sessions, cookies, cross-site requests, flash messages.

use std::time::Duration;

use crypto::token::{Token, TokenKind};
use features::users::model::Purpose;
use features::users::{queries as users, rules};
use kernel::{Actor, Cause, Part};
use reqwest::StatusCode;

use support::hq::{OWNER, Person, Reply, TestHq, everything_in};

async fn sign_in(person: &Person, email: &str, password: &str) -> Reply {
    person.form("/login", &[("email", email), ("password", password), ("next", "")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_looks_around_and_signs_out() {
    let hq = TestHq::start().await;
    let person = hq.nobody();
    let asked = person.get("/w/marlow-cargo/activity?by=people").await;
    let to = asked.location().expect("a redirect").to_owned();
    assert_eq!(to, "/login?next=%2Fw%2Fmarlow-cargo%2Factivity%3Fby%3Dpeople");
    let page = person.get(&to).await;
    let next = page.attr("input[name=next]", "value");
    assert_eq!(next, "/w/marlow-cargo/activity?by=people");
    let form = [("email", "MIRA@marlow.example "), ("password", OWNER.2), ("next", &next)];
    let reply = person.form("/login", &form).await;
    assert_eq!(reply.location(), Some(next.as_str()));
    let cookie = reply.header("set-cookie").expect("a cookie").to_owned();
    for part in ["hq=hq_ses_", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(person.get("/login").await.location(), Some("/"));
    let held = person.cookie();
    assert_eq!(person.form("/logout", &[]).await.location(), Some("/login"));
    let thief = hq.nobody().with("cookie", &held);
    assert_eq!(thief.get("/").await.location(), Some("/login"), "the cookie is worth nothing now");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    let hq = TestHq::start().await;
    let wrong = sign_in(&hq.nobody(), OWNER.1, "not the password at all").await;
    let unknown = sign_in(&hq.nobody(), "nobody@marlow.example", "not the password at all").await;
    for (reply, email) in [(&wrong, OWNER.1), (&unknown, "nobody@marlow.example")] {
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(reply.text_of("[role=alert]"), "Email or password is incorrect; try again.");
        assert_eq!(reply.attr("#f-email", "value"), email);
        assert!(!reply.text.contains("not the password"));
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_at_an_account_or_from_an_address_is_slowed_down() {
    let hq = TestHq::start().await;
    for _ in 0..5 {
        let reply = sign_in(&hq.nobody(), OWNER.1, "a guess that is wrong").await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let locked = sign_in(&hq.nobody(), OWNER.1, OWNER.2).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS, "even the right one has to wait");
    // This address has five attempts left, whichever account they are for.
    for n in 0..4 {
        let reply = sign_in(&hq.nobody(), &format!("p{n}@x.example"), "a guess").await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{n}");
    }
    let full = sign_in(&hq.nobody(), "p9@x.example", "a guess").await;
    assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
    hq.advance(Duration::from_secs(5 * 60)).await;
    assert_eq!(sign_in(&hq.nobody(), OWNER.1, OWNER.2).await.location(), Some("/"));
    hq.finish().await;
}

/// Waits until the session update that happens after the response is on disk.
async fn seen_now(hq: &TestHq) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let seen = hq.running().app.system.read(|snap| {
            let owner = users::accounts(snap)?.remove(0).id;
            let sign_in = users::sign_ins(snap, owner)?.remove(0);
            users::seen(snap, &sign_in)
        });
        if seen.is_ok_and(|at| at == hq.now()) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "the sign-in is noted in time");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_end_by_themselves_after_a_day_without_use() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    for _ in 0..3 {
        hq.advance(Duration::from_secs(20 * 3600)).await;
        assert_eq!(owner.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
        seen_now(&hq).await;
    }
    hq.advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(owner.get("/w/marlow-cargo/").await.status, StatusCode::SEE_OTHER);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_are_listed_and_can_be_ended_one_by_one_or_all() {
    let hq = TestHq::start().await;
    let (owner, phone, tablet) = (hq.owner(), hq.nobody(), hq.nobody());
    for (browser, agent) in [(&phone, "Firefox/1 (Android)"), (&tablet, "Safari/1 (iPad)")] {
        let own = browser.clone().with("user-agent", agent);
        assert_eq!(sign_in(&own, OWNER.1, OWNER.2).await.location(), Some("/"));
    }
    let page = owner.get("/w/marlow-cargo/settings/sign-ins").await;
    let rows = page.texts("tbody tr");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0].starts_with("Safari on iPad") && rows[1].starts_with("Firefox on Android"));
    assert!(rows[2].contains("This browser"));
    let end = page.attrs("tbody form", "action");
    assert_eq!(end.len(), 2, "not one's own");
    let done = owner.form(&end[0], &[]).await;
    assert_eq!(done.location(), Some("/w/marlow-cargo/settings/sign-ins"));
    assert_eq!(tablet.get("/").await.location(), Some("/login"));
    assert_eq!(phone.get("/").await.location(), Some("/w/marlow-cargo/"));
    let page = owner.get("/w/marlow-cargo/settings/sign-ins").await;
    assert_eq!(page.texts("#toasts .toast p"), ["Browser signed out."]);
    let again = owner.get("/w/marlow-cargo/settings/sign-ins").await;
    assert!(again.texts("#toasts .toast p").is_empty(), "a message is shown once");
    owner.form("/w/marlow-cargo/settings/sign-ins/revoke-others", &[]).await;
    assert_eq!(phone.get("/").await.location(), Some("/login"));
    assert_eq!(owner.get("/").await.location(), Some("/w/marlow-cargo/"));
    // A session of another member cannot be ended.
    let vera = hq.another("Vera", Some(kernel::Role::Member)).await;
    let foreign = vera.form(&end[1], &[]).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_needs_the_old_one_and_ends_other_sign_ins() {
    let hq = TestHq::start().await;
    let (owner, other) = (hq.owner(), hq.nobody());
    sign_in(&other, OWNER.1, OWNER.2).await;
    let path = "/w/marlow-cargo/settings/password";
    let fresh = "four horses under a bridge";
    let wrong = owner.form(path, &[("current", "wrong"), ("password", fresh)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.text_of("#f-current-says"), "Wrong password.");
    let weak = owner.form(path, &[("current", OWNER.2), ("password", "short")]).await;
    assert!(weak.text_of("#f-password-says").contains("12 characters"));
    let done = owner.form(path, &[("current", OWNER.2), ("password", fresh)]).await;
    assert_eq!(done.location(), Some("/w/marlow-cargo/settings/profile"));
    assert_eq!(other.get("/").await.location(), Some("/login"));
    // A new password leaves API tokens valid: the page lists them and revokes them on request.
    let program = hq.token(&["read"]).await;
    let page = owner.get("/w/marlow-cargo/settings/profile").await;
    assert!(page.text.contains("Valid now: Test"), "{}", page.text);
    let again = [("current", fresh), ("password", OWNER.2)];
    owner.form(path, &again).await;
    let page = owner.get("/w/marlow-cargo/settings/profile").await;
    assert!(page.text.contains("The API token Test stays valid"), "{}", page.text);
    assert_eq!(program.get("/api/v1/agents").await.status, StatusCode::OK);
    let back = [("current", OWNER.2), ("password", fresh), ("revoke_tokens", "on")];
    owner.form(path, &back).await;
    assert_eq!(program.get("/api/v1/agents").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(owner.get("/").await.location(), Some("/w/marlow-cargo/"));
    assert_eq!(
        sign_in(&hq.nobody(), OWNER.1, OWNER.2).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(sign_in(&hq.nobody(), OWNER.1, fresh).await.location(), Some("/"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_link_sets_a_password_once() {
    let hq = TestHq::start().await;
    let account = hq.ws().read(|snap| features::workspace::queries::owner(snap));
    let account = account.expect("readable").expect("an owner").account;
    let token = Token::issue(TokenKind::Link);
    let text = token.reveal().to_owned();
    let given = hq.running().app.system.write(Actor::System(Part::Cli), Cause::Setup, move |tx| {
        rules::give_link(tx, &token, Purpose::Reset(account))
    });
    given.await.expect("a link");
    let person = hq.nobody();
    let page = person.get(&format!("/reset?token={text}")).await;
    assert!(page.text.contains(OWNER.1));
    let fresh = "four horses under a bridge";
    let done = person.form("/reset", &[("token", &text), ("password", fresh)]).await;
    assert_eq!(done.location(), Some("/"), "{}", done.text);
    assert_eq!(person.get("/").await.location(), Some("/w/marlow-cargo/"), "signed in");
    assert_eq!(hq.owner().get("/").await.location(), Some("/login"), "others are signed out");
    let again = hq.nobody().form("/reset", &[("token", &text), ("password", fresh)]).await;
    assert_eq!(again.status, StatusCode::GONE);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_from_other_sites_and_foreign_hosts_are_refused() {
    let hq = TestHq::start().await;
    let path = "/w/marlow-cargo/settings/name";
    let form = [("name", "Eve")];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("x-nothing", "at all"),
    ] {
        let reply = hq.owner().with(name, value).form_as(path, &form).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let login = hq.nobody().with("origin", "http://evil.example");
    assert_eq!(login.form_as("/login", &[]).await.status, StatusCode::FORBIDDEN);
    let own = hq.owner().with("origin", &hq.url()).form_as(path, &[("name", "Mira L.")]).await;
    assert_eq!(own.status, StatusCode::SEE_OTHER);
    let api = hq.api().await.with("origin", "http://evil.example");
    let body = serde_json::json!({});
    assert_eq!(api.json("PATCH", "/api/v1/settings", &body).await.status, StatusCode::OK);
    let rebound = hq.owner().with("host", "evil.example");
    assert_eq!(rebound.get("/").await.status, StatusCode::MISDIRECTED_REQUEST);
    for path in ["/", "/api/v1/me"] {
        let behind = hq.owner().with("host", "127.0.0.1:1.evil.example");
        assert_eq!(behind.get(path).await.status, StatusCode::BAD_REQUEST);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_the_security_headers() {
    let hq = TestHq::start().await;
    let pages = ["/login", "/w/marlow-cargo/", "/api/v1/me", "/no-such-page", "/healthz"];
    for path in pages {
        let reply = hq.owner().get(path).await;
        for name in ["content-security-policy", "x-content-type-options", "x-request-id"] {
            assert!(reply.header(name).is_some(), "{path} has no {name}");
        }
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert!(!reply.text.contains("style=\""), "{path}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_https_the_cookie_is_bound_to_the_host() {
    let setup = support::hq::Setup::default()
        .config(|config| config.public_url = Some("https://hq.example.com".into()));
    let hq = setup.start().await;
    let owner = hq.owner().with("host", "hq.example.com");
    let reply = sign_in(&owner, OWNER.1, OWNER.2).await;
    let cookie = reply.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-hq=") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(owner.get("/healthz").await.header("strict-transport-security").is_some());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_shown_once_and_no_secret_lies_in_the_data_folder() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let path = "/w/marlow-cargo/settings/tokens";
    let empty = owner.form(path, &[("name", ""), ("days", "90")]).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    let form = [("name", "Import"), ("scopes", "read"), ("scopes", "write"), ("days", "30")];
    let made = owner.form(path, &form).await;
    let token = made.text_of(".code code");
    assert!(token.starts_with("hq_pat_"));
    let list = owner.get(path).await;
    assert!(!list.text.contains(&token), "shown once");
    assert_eq!(list.texts("tbody td:nth-child(2)"), ["Read, Write"]);
    let program = hq.nobody().with("authorization", &format!("Bearer {token}"));
    assert_eq!(program.get("/api/v1/me").await.json()["can"], serde_json::json!(["read", "write"]));
    let withdraw = list.attr("tbody form", "action");
    owner.form(&withdraw, &[]).await;
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);

    let cookie = owner.cookie();
    let session = cookie.split_once('=').expect("a cookie").1.to_owned();
    let all = everything_in(&hq.data());
    for secret in [token.as_str(), session.as_str(), OWNER.2] {
        let found = all.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "a secret lies in the data folder in the clear");
    }
    hq.finish().await;
}
