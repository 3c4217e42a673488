//! Second factors: authenticator codes, recovery codes, who must have them and who may remove them.

use std::time::Duration;

use crypto::totp::TotpSecret;
use features::users::{queries as users, rules};
use kernel::{Actor, Cause, Part, Role};
use reqwest::StatusCode;
use serde_json::json;

use support::browse::{secret_in_letters, secret_of_an_app};
use support::hq::{OWNER, Person, Reply, TestHq};

const BASE: &str = "/w/marlow-cargo/settings/security";

/// An authenticator app with the secret of the page.
struct Phone(TotpSecret);

impl Phone {
    fn reading(page: &Reply) -> Self {
        Self(secret_of_an_app(&page.text).expect("the page shows a key"))
    }

    fn of(letters: &str) -> Self {
        Self(secret_in_letters(letters).expect("base 32"))
    }

    fn shows(&self, hq: &TestHq) -> String {
        self.0.code_at(hq.now().as_millisecond())
    }
}

/// Sets up the app; returns it with the recovery codes.
async fn set_up(hq: &TestHq, person: &Person) -> (Phone, Vec<String>) {
    let to = person.form(&format!("{BASE}/app"), &[]).await;
    assert_eq!(to.location(), Some("/w/marlow-cargo/settings/security/app"));
    let page = person.get(&format!("{BASE}/app")).await;
    assert!(page.text.contains("<svg class=\"qr\""), "the picture is there");
    let phone = Phone::reading(&page);
    let code = phone.shows(hq);
    let done = person.form(&format!("{BASE}/app/confirm"), &[("code", &code)]).await;
    let codes = done.texts(".codes code");
    assert_eq!(codes.len(), 10, "{}", done.text);
    (phone, codes)
}

async fn first_step(person: &Person) -> Reply {
    let form = [("email", OWNER.1), ("password", OWNER.2), ("next", "/w/marlow-cargo/tasks")];
    person.form("/login", &form).await
}

async fn second_step(person: &Person, code: &str) -> Reply {
    person.form("/login/code", &[("code", code)]).await
}

/// Advances to the next code: each code is valid once.
async fn later(hq: &TestHq) {
    hq.advance(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_asked_for_after_the_password_and_nothing_opens_before() {
    let hq = TestHq::start().await;
    let other = hq.nobody();
    first_step(&other).await;
    assert_eq!(other.get("/").await.location(), Some("/w/marlow-cargo/"));
    let (phone, _) = set_up(&hq, &hq.owner()).await;
    assert_eq!(other.get("/").await.location(), Some("/login"), "other browsers were signed out");
    let page = hq.owner().get(BASE).await;
    assert!(page.text.contains("10 of 10 left") && !page.text.contains("protects the workspace"));

    let person = hq.nobody();
    assert_eq!(person.get("/login/code").await.location(), Some("/login"), "the password first");
    let asked = first_step(&person).await;
    assert_eq!(asked.location(), Some("/login/code"));
    assert!(!person.cookie().contains("hq="), "no sign-in yet: {}", person.cookie());
    assert_eq!(person.get("/w/marlow-cargo/").await.status, StatusCode::SEE_OTHER);
    assert!(person.get("/login/code").await.text.contains(OWNER.1));
    let used = second_step(&person, &phone.shows(&hq)).await;
    assert_eq!(used.status, StatusCode::UNPROCESSABLE_ENTITY, "it was used for the set-up");
    later(&hq).await;
    let code = phone.shows(&hq);
    let inside = second_step(&person, &code).await;
    assert_eq!(inside.location(), Some("/w/marlow-cargo/tasks"), "{}", inside.text);
    assert_eq!(person.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);

    let thief = hq.nobody();
    first_step(&thief).await;
    let again = second_step(&thief, &code).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "no code is good twice");
    assert!(again.text_of("[role=alert]").contains("is wrong or was already used"));
    hq.advance(Duration::from_secs(11 * 60)).await;
    let late = second_step(&thief, &phone.shows(&hq)).await;
    assert_eq!(late.location(), Some("/login"), "the first step is too long ago");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_codes_is_slowed_down() {
    let hq = TestHq::start().await;
    let (phone, _) = set_up(&hq, &hq.owner()).await;
    later(&hq).await;
    let person = hq.nobody();
    first_step(&person).await;
    for guess in ["000000", "111111", "222222", "333333", "444444"] {
        let wrong = second_step(&person, guess).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{guess}");
    }
    let locked = second_step(&person, &phone.shows(&hq)).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS, "even the right one has to wait");
    hq.finish().await;
}

/// Ten wrong passwords from another address, which throttle address and account.
async fn attack(hq: &TestHq) {
    for n in 0..10 {
        let guess = [("email", OWNER.1), ("password", "a guess that is wrong"), ("next", "")];
        let refused = hq.nobody().form("/login", &guess).await;
        assert!(refused.status.is_client_error(), "{n}: {}", refused.status);
    }
    let unknown = first_step(&hq.nobody()).await;
    assert_eq!(unknown.status, StatusCode::TOO_MANY_REQUESTS, "an unknown device has to wait");
}

/// A browser in which the owner has signed in with both factors.
async fn known_device(hq: &TestHq, phone: &Phone) -> Person {
    let known = hq.nobody();
    assert_eq!(first_step(&known).await.location(), Some("/login/code"));
    let inside = second_step(&known, &phone.shows(hq)).await;
    assert_eq!(inside.location(), Some("/w/marlow-cargo/tasks"), "{}", inside.text);
    let cookies: Vec<_> = inside.headers.get_all("set-cookie").iter().collect();
    let device = cookies.iter().find_map(|one| one.to_str().ok().filter(|c| c.contains("hq_dev_")));
    assert!(device.is_some_and(|one| one.contains("HttpOnly")), "{cookies:?}");
    known
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_try_keeps_nobody_out_of_a_known_device() {
    let hq = TestHq::start().await;
    let (phone, _) = set_up(&hq, &hq.owner()).await;
    later(&hq).await;
    let known = known_device(&hq, &phone).await;
    assert_eq!(known.form("/logout", &[]).await.location(), Some("/login"));
    later(&hq).await;
    attack(&hq).await;
    let asked = first_step(&known).await;
    assert_eq!(asked.location(), Some("/login/code"), "{}", asked.text);
    let inside = second_step(&known, &phone.shows(&hq)).await;
    assert_eq!(inside.location(), Some("/w/marlow-cargo/tasks"), "{}", inside.text);

    // Guesses from there are throttled, too.
    let guess = [("email", OWNER.1), ("password", "a guess that is wrong"), ("next", "")];
    for n in 0..5 {
        let wrong = known.form("/login", &guess).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{n}");
    }
    assert_eq!(known.form("/login", &guess).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(first_step(&known).await.status, StatusCode::TOO_MANY_REQUESTS);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_forgotten_with_its_sign_in_and_at_a_new_password() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let (phone, _) = set_up(&hq, &owner).await;
    later(&hq).await;
    let ended = known_device(&hq, &phone).await;
    let others = "/w/marlow-cargo/settings/sign-ins/revoke-others";
    assert!(owner.get("/w/marlow-cargo/settings/sign-ins").await.text.contains("revoke-others"));
    assert!(owner.form(others, &[]).await.status.is_redirection());
    attack(&hq).await;
    assert_eq!(first_step(&ended).await.status, StatusCode::TOO_MANY_REQUESTS);

    hq.advance(Duration::from_secs(3 * 3600)).await;
    let known = known_device(&hq, &phone).await;
    let account = hq.running().app.system.read(|snap| users::by_email(snap, OWNER.1));
    let account = account.expect("a store").expect("the owner").id;
    let (app, new) = (hq.running().app.clone(), "long enough to be a password".to_owned());
    let hash = app.hasher.hash(new.into()).await.expect("a hash");
    let by = Actor::System(Part::Setup);
    let set =
        app.system.write(by, Cause::Setup, move |tx| rules::set_password(tx, account, hash, None));
    set.await.expect("a new password");
    attack(&hq).await;
    assert_eq!(first_step(&known).await.status, StatusCode::TOO_MANY_REQUESTS);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_code_opens_once_and_new_ones_make_the_old_void() {
    let hq = TestHq::start().await;
    let (_, codes) = set_up(&hq, &hq.owner()).await;
    let person = hq.nobody();
    first_step(&person).await;
    let typed = codes[3].to_lowercase().replace('-', " ");
    assert_eq!(second_step(&person, &typed).await.status, StatusCode::SEE_OTHER);
    let thief = hq.nobody();
    first_step(&thief).await;
    assert_eq!(second_step(&thief, &codes[3]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(person.get(BASE).await.text.contains("9 of 10 left"));

    let wrong = person.form(&format!("{BASE}/codes"), &[("password", "not it at all")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fresh = person.form(&format!("{BASE}/codes"), &[("password", OWNER.2)]).await;
    let fresh = fresh.texts(".codes code");
    assert_eq!(second_step(&thief, &codes[4]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(second_step(&thief, &fresh[0]).await.status, StatusCode::SEE_OTHER);
    let all = support::hq::everything_in(&hq.data());
    let plain = fresh[1].as_bytes();
    assert!(!all.windows(plain.len()).any(|part| part == plain), "only hashes are kept");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turning_it_off_takes_password_and_code() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let (phone, _) = set_up(&hq, &owner).await;
    later(&hq).await;
    let off = format!("{BASE}/app/off");
    let code = phone.shows(&hq);
    let wrong = owner.form(&off, &[("password", "wrong password here"), ("code", &code)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = owner.form(&off, &[("password", OWNER.2), ("code", "000000")]).await;
    assert!(wrong.text_of("#off-says").contains("is wrong or was already used"));
    let done = owner.form(&off, &[("password", OWNER.2), ("code", &code)]).await;
    assert_eq!(done.location(), Some(BASE), "{}", done.text);
    assert_eq!(first_step(&hq.nobody()).await.location(), Some("/w/marlow-cargo/tasks"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_must_have_a_second_step_can_do_nothing_else_before() {
    let hq = TestHq::start().await;
    let (owner, admin) = (hq.owner(), hq.another("Ada", Some(Role::Admin)).await);
    let member = hq.another("Tom", Some(Role::Member)).await;
    assert!(owner.get(BASE).await.text.contains("protects the workspace"), "it is recommended");
    set_up(&hq, &owner).await;
    let refused = admin.form("/w/marlow-cargo/settings/people", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "owners decide");
    owner.form("/w/marlow-cargo/settings/people", &[("factor_for_admins", "on")]).await;
    assert_eq!(owner.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    assert_eq!(member.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    assert_eq!(admin.get("/w/marlow-cargo/tasks").await.location(), Some(BASE));
    let api = admin.post("/api/v1/tasks", &json!({ "title": "x" })).await;
    assert_eq!(api.json()["code"], "factor_required", "{}", api.text);
    assert!(admin.get(BASE).await.text.contains("Set it up to continue"));
    set_up(&hq, &admin).await;
    assert_eq!(admin.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_takes_a_lost_second_step_away_but_not_that_of_another_workspaces_owner() {
    let hq = TestHq::start().await;
    let (owner, ada) = (hq.owner(), hq.another("Ada", Some(Role::Admin)).await);
    set_up(&hq, &ada).await;
    let all = owner.get("/api/v1/members").await.json();
    let found = all["items"].as_array().expect("items").iter().find(|one| one["name"] == "Ada");
    let id = found.expect("Ada")["account"].as_str().expect("id").to_owned();
    let page = owner.get("/w/marlow-cargo/settings/members").await;
    assert!(page.text_of("#members").contains("Two-step"));
    let reset = format!("/w/marlow-cargo/settings/members/{id}/reset-factors");
    let bob = hq.another("Bob", Some(Role::Admin)).await;
    assert_eq!(bob.form(&reset, &[]).await.status, StatusCode::FORBIDDEN);
    let api = format!("/api/v1/members/{id}/reset-factors");
    assert_eq!(bob.post(&api, &json!({})).await.status, StatusCode::FORBIDDEN);
    let done = owner.post(&api, &json!({})).await;
    assert_eq!(done.json()["name"], "Ada", "{}", done.text);
    assert_eq!(ada.get("/").await.location(), Some("/login"), "she is signed out everywhere");
    let page = owner.get("/w/marlow-cargo/settings/members").await;
    assert!(!page.text_of("#members").contains("Two-step"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_their_own_second_step_away_without_it() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    set_up(&hq, &owner).await;
    let all = owner.get("/api/v1/members").await.json();
    let id = all["items"][0]["account"].as_str().expect("id").to_owned();
    let refused = owner.post(&format!("/api/v1/members/{id}/reset-factors"), &json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert_eq!(refused.json()["code"], "own_account");
    let page = format!("/w/marlow-cargo/settings/members/{id}/reset-factors");
    owner.form(&page, &[]).await;
    assert_eq!(owner.get("/api/v1/me").await.status, StatusCode::OK, "still signed in");
    assert!(owner.get("/api/v1/factors").await.json()["totp_since"].is_string());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_second_steps_is_an_owner_and_the_api_says_so_too() {
    let hq = TestHq::start().await;
    let (owner, admin) = (hq.owner(), hq.another("Ada", Some(Role::Admin)).await);
    let policy = "/api/v1/sign-in-policy";
    assert_eq!(admin.get(policy).await.json(), json!({ "factor_for_admins": false }));
    let asked = json!({ "factor_for_admins": true });
    let refused = admin.json("PUT", policy, &asked).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    set_up(&hq, &owner).await;
    assert_eq!(owner.json("PUT", policy, &asked).await.json(), asked);
    let api = admin.post("/api/v1/tasks", &json!({ "title": "x" })).await;
    assert_eq!(api.json()["code"], "factor_required", "{}", api.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_link_keeps_the_second_step_unless_it_says_otherwise() {
    let hq = TestHq::start().await;
    set_up(&hq, &hq.owner()).await;
    let here = server::local::Here { url: hq.url() };
    for (factors, to) in [(false, "/login/code"), (true, "/")] {
        let by = kernel::Actor::System(kernel::Part::Cli);
        let wish = server::local::LinkRequest { email: None, factors };
        let app = &hq.running().app;
        let made = server::local::reset_link(app, &here, by, wish).await.expect("a link");
        let token = made.link.split_once("token=").expect("a token").1.to_owned();
        let form = [("token", token.as_str()), ("password", "nine otters under a paper moon")];
        let reply = hq.nobody().form("/reset", &form).await;
        assert_eq!(reply.location(), Some(to), "{}", reply.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_withdraws_the_tokens_of_others_but_not_an_owners() {
    let hq = TestHq::start().await;
    let (ada, tom) =
        (hq.another("Ada", Some(Role::Admin)).await, hq.another("Tom", Some(Role::Member)).await);
    let body = json!({ "name": "Script", "scopes": ["read"] });
    let made = tom.post("/api/v1/tokens", &body).await.json();
    let mine = hq.owner().post("/api/v1/tokens", &body).await.json();
    let path = |made: &serde_json::Value| {
        format!("/api/v1/workspace/tokens/{}", made["id"].as_str().expect("an id"))
    };
    let page = ada.get("/w/marlow-cargo/settings/tokens").await;
    assert!(page.text.contains("Other people’s tokens") && page.text.contains("Tom"));
    assert!(
        !tom.get("/w/marlow-cargo/settings/tokens").await.text.contains("Other people’s tokens")
    );
    assert_eq!(tom.call("DELETE", &path(&mine)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.call("DELETE", &path(&mine)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.call("DELETE", &path(&made)).await.status, StatusCode::OK);
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let program = hq.nobody().with("authorization", &bearer);
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    // An expired token gives an error of its own.
    let bearer = format!("Bearer {}", mine["token"].as_str().expect("a token"));
    hq.advance(Duration::from_secs(91 * 86_400)).await;
    let late = hq.nobody().with("authorization", &bearer).get("/api/v1/me").await;
    assert_eq!(
        (late.status, late.json()["code"].clone()),
        (StatusCode::UNAUTHORIZED, json!("token_expired"))
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_sets_an_app_up_and_turns_it_off_by_the_same_rules() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let none = owner.get("/api/v1/factors").await.json();
    assert_eq!(none["totp_since"], json!(null), "{none}");
    let early = owner.post("/api/v1/factors/totp/confirm", &json!({ "code": "123456" })).await;
    assert_eq!(early.status, StatusCode::NOT_FOUND, "{}", early.text);
    let begun = owner.post("/api/v1/factors/totp", &json!({})).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.text);
    let begun = begun.json();
    assert!(begun["address"].as_str().is_some_and(|text| text.starts_with("otpauth://totp/HQ")));
    let phone = Phone::of(begun["secret"].as_str().expect("a secret"));
    assert_eq!(owner.get("/api/v1/factors").await.json()["totp_begun"], true);
    let wrong = owner.post("/api/v1/factors/totp/confirm", &json!({ "code": "000000" })).await;
    assert_eq!(wrong.json()["errors"][0]["field"], "code", "{}", wrong.text);
    let code = json!({ "code": phone.shows(&hq) });
    let on = owner.post("/api/v1/factors/totp/confirm", &code).await.json();
    assert_eq!(on["recovery_codes"].as_array().map(Vec::len), Some(10), "{on}");
    let twice = owner.post("/api/v1/factors/totp", &json!({})).await;
    assert_eq!(twice.json()["code"], "factor_on", "{}", twice.text);

    // A code proves the identity, which new recovery codes need.
    hq.advance(Duration::from_secs(11 * 60)).await;
    let renew = "/api/v1/factors/recovery-codes";
    let refused = owner.post(renew, &json!({})).await;
    assert_eq!(refused.json()["code"], "proof_required", "{}", refused.text);
    let proved = owner.post("/api/v1/proof", &json!({ "code": phone.shows(&hq) })).await;
    assert_eq!(proved.status, StatusCode::OK, "{}", proved.text);
    let fresh = owner.post(renew, &json!({})).await.json();
    assert_ne!(fresh["recovery_codes"][0], on["recovery_codes"][0]);
    later(&hq).await;
    let off = |password: &str, code: String| json!({ "password": password, "code": code });
    let path = "/api/v1/factors/totp/off";
    let wrong = owner.post(path, &off("wrong password here", phone.shows(&hq))).await;
    assert_eq!(wrong.json()["errors"][0]["field"], "password", "{}", wrong.text);
    let wrong = owner.post(path, &off(OWNER.2, "000000".into())).await;
    assert_eq!(wrong.json()["code"], "no_code", "{}", wrong.text);
    let gone = owner.post(path, &off(OWNER.2, phone.shows(&hq))).await.json();
    assert_eq!((&gone["totp_since"], &gone["recovery_codes"]), (&json!(null), &json!(0)), "{gone}");
    // Tokens have no access to it.
    let program = hq.api().await;
    assert_eq!(program.get("/api/v1/factors").await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}
