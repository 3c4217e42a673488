//! First boot: the one-time link, what it creates, and what stays locked.

use std::time::Duration;

use app::Ws;
use reqwest::StatusCode;

use support::hq::{OWNER, Setup, TestHq};

fn form<'a>(token: &'a str, over: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let (name, email, password) = OWNER;
    let usual = [
        ("token", token),
        ("name", name),
        ("email", email),
        ("password", password),
        ("workspace", "Marlow Cargo"),
        ("zone", "Europe/Berlin"),
    ];
    let field = |(field, value)| {
        let other = over.iter().find(|(name, _)| *name == field);
        (field, other.map_or(value, |(_, value)| *value))
    };
    usual.into_iter().map(field).collect()
}

fn token(hq: &TestHq) -> String {
    let link = hq.running().setup_link.clone().expect("nobody owns it yet");
    link.split_once("token=").expect("a token").1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_makes_an_owner_a_workspace_and_a_sign_in_and_works_once() {
    let hq = Setup::default().unowned().await;
    let (person, token) = (hq.nobody(), token(&hq));
    let page = person.get(&format!("/setup?token={token}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.attr("input[name=token]", "value"), token);
    assert_eq!(page.texts("input[name=keyless][checked] + span small").len(), 1, "{}", page.text);
    let who = page.text_of("input[name=keyless] + span small");
    assert!(who.contains("Parallel, Firecrawl and Tavily"), "{who}");

    let fields = [form(&token, &[]), vec![("keyless", "on")]].concat();
    let made = person.form("/setup", &fields).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/"), "{}", made.text);
    let engines = person.get("/api/v1/search-engines").await.json();
    assert_eq!(engines["items"][0]["kind"], "keyless", "{engines}");
    let home = person.get("/w/marlow-cargo/").await;
    assert_eq!(home.location(), Some("/w/marlow-cargo/onboarding"), "{}", home.text);
    assert_eq!(person.get("/").await.location(), Some("/w/marlow-cargo/"));

    let again = hq.nobody().form("/setup", &form(&token, &[("email", "eve@x.example")])).await;
    assert_eq!(again.location(), Some("/login"));
    assert_eq!(hq.nobody().get(&format!("/setup?token={token}")).await.location(), Some("/"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_there_is_an_owner_everything_else_leads_to_set_up_or_is_closed() {
    let hq = Setup::default().unowned().await;
    let person = hq.nobody();
    for path in ["/", "/login", "/w/acme/", "/dashboard/tasks", "/anything"] {
        assert_eq!(person.get(path).await.location(), Some("/setup"), "{path}");
    }
    for path in ["/api/v1/me", "/v1/models"] {
        let reply = person.get(path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(reply.text.contains("setup_required"), "{}", reply.text);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(person.get(path).await.status, StatusCode::OK, "{path}");
    }
    let closed = person.get("/setup").await;
    assert!(closed.texts("input[name=name]").is_empty(), "no form without the link");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_form_says_what_is_wrong_keeps_what_was_typed_and_makes_nothing() {
    let hq = Setup::default().unowned().await;
    let (person, token) = (hq.nobody(), token(&hq));
    let over = [("email", "mira at marlow"), ("password", "short"), ("zone", "Mars/Olympus")];
    let reply = person.form("/setup", &form(&token, &over)).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.attr("#f-name", "value"), OWNER.0);
    assert_eq!(reply.attr("#f-email", "value"), "mira at marlow");
    assert!(reply.attr("#f-password", "type") == "password" && !reply.text.contains("short\""));
    for (field, word) in [("email", "name@example.com"), ("password", "12"), ("zone", "Europe")] {
        assert!(reply.text_of(&format!("#f-{field}-says")).contains(word), "{field}");
    }
    assert!(hq.running().app.workspaces.read().is_empty());
    // Four fields suffice: the time zone defaults to this machine's.
    let four = form(&token, &[("zone", "")]);
    assert_eq!(person.form("/setup", &four).await.status, StatusCode::SEE_OTHER);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_good_for_half_an_hour_and_guesses_are_slowed_down() {
    let hq = Setup::default().unowned().await;
    let old = token(&hq);
    hq.advance(Duration::from_secs(31 * 60)).await;
    let late = hq.nobody().form("/setup", &form(&old, &[])).await;
    assert_eq!(late.status, StatusCode::GONE);
    for _ in 0..4 {
        let wrong = hq.nobody().form("/setup", &form("hq_lnk_guess", &[])).await;
        assert_eq!(wrong.status, StatusCode::GONE);
    }
    let locked = hq.nobody().form("/setup", &form("hq_lnk_guess", &[])).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS, "the sixth wrong link");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_sender_gets_no_more_guesses_than_others() {
    let hq = Setup::default().unowned().await;
    let guess = async |n: u8| {
        let other = format!("203.0.113.{n}");
        let liar = ["x-forwarded-for", "x-real-ip", "forwarded"]
            .into_iter()
            .fold(hq.nobody(), |liar, name| liar.with(name, &other));
        liar.form("/setup", &form("hq_lnk_guess", &[])).await.status
    };
    for n in 1..=5 {
        assert_eq!(guess(n).await, StatusCode::GONE, "{n}");
    }
    assert_eq!(guess(6).await, StatusCode::TOO_MANY_REQUESTS);
    assert!(hq.running().app.workspaces.read().is_empty());
    hq.finish().await;
}

/// The workspace of a first attempt, before anything is written to it.
async fn opened(hq: &TestHq) -> Ws {
    let folder = hq.data().join("workspaces/marlow-cargo");
    let app = hq.running().app.clone();
    let ws = tokio::task::spawn_blocking(move || {
        server::workspaces::open(&app, folder, 4 << 20).expect("it opens")
    });
    ws.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_was_cut_off_before_its_first_write_begins_anew() {
    let mut hq = Setup::default().unowned().await;
    drop(opened(&hq).await);
    hq.restart().await;
    let person = hq.nobody();
    assert_eq!(person.get("/").await.location(), Some("/setup"), "nobody owns it");
    let made = person.form("/setup", &form(&token(&hq), &[])).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/"), "{}", made.text);
    let home = person.get("/w/marlow-cargo/onboarding").await;
    assert_eq!(home.location(), Some("/w/marlow-cargo/onboarding/work"), "{}", home.text);
    assert_eq!(hq.running().app.workspaces.read().len(), 1, "and nothing lies beside it");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_was_cut_off_after_the_workspace_is_finished_by_the_next_link() {
    let mut hq = Setup::default().unowned().await;
    // Only the first half, as after a kill between the two transactions.
    let ws = opened(&hq).await;
    let owner = kernel::TypedId::from_bytes([9; 16]);
    let founding = features::workspace::rules::Founding {
        id: ws.id,
        name: "Marlow Cargo".into(),
        emoji: None,
        zone: "UTC".into(),
        owner,
        owner_name: "Mira".into(),
        owner_email: OWNER.1.into(),
    };
    let by = (kernel::Actor::System(kernel::Part::Setup), kernel::Cause::Setup);
    ws.write(&by, move |tx| features::workspace::rules::found(tx, founding)).await.expect("ok");
    let id = ws.id;
    drop(ws);
    hq.restart().await;

    let person = hq.nobody();
    let made = person.form("/setup", &form(&token(&hq), &[])).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/"), "{}", made.text);
    assert_eq!(hq.ws().id, id, "the workspace of the first attempt");
    let me = person.get("/api/v1/me").await.json();
    assert_eq!(me["account"]["id"], owner.to_string(), "and its owner");
    assert_eq!(me["account"]["name"], OWNER.0);
    hq.finish().await;
}
