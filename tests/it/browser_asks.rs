//! Approvals for actions in pages, what an approval is bound to, and screenshots for people, with the real Chromium in
//! the jail.

use std::time::Duration;

use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use features::agents::model::Agent;
use features::browsers::model::BrowserShot;
use features::browsers::queries as browsers;
use features::runs::model::Run;
use features::trust::model::{Approval, What};
use features::trust::queries as trust;
use features::trust::rules::{self, NewPermission};
use kernel::{AccessDecision, RunId, RunState, TrustMode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::ReadExt as _;
use tokio::net::TcpListener;

use support::model::Turn;
use support::office::Office;

use crate::browser::is_possible;

/// Longest wait for a script in the page.
const PATIENCE: Duration = Duration::from_secs(20);

const PAGE: &str = "<title>Shop</title><h1>Shop</h1><a href=/offer download>Our offer</a>
    <button onclick=\"this.nextElementSibling.textContent='Hello'\">Greet</button><p>Nobody</p>
    <label>Papers <input type=file onchange=\"papers.textContent = this.files[0].name\"></label><p id=papers>None</p>
    <form method=post action=/in><label>User <input name=user></label>
    <label>Password <input type=password name=word value=planted-word></label>
    <button>Sign in</button></form>";

/// A download that only its response headers reveal.
async fn offer() -> impl IntoResponse {
    let kept = "attachment; filename=\"offer.pdf\"";
    ([("content-type", "application/pdf"), ("content-disposition", kept)], "%PDF-1.4 zanzibar")
}

/// An office whose agent Ada asks, with a browser that shows the shop.
struct Shop {
    office: Office,
    ada: Agent,
    origin: String,
    greet: String,
    sign_in: String,
    papers: String,
    user: String,
}

impl Shop {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let site = Router::new()
            .route("/", get(|| async { Html(PAGE) }))
            .route("/offer", get(offer))
            .route("/in", post(|| async { Html("<title>Welcome</title><p>Welcome</p>") }));
        tokio::spawn(async move { axum::serve(listener, site).await });
        let office = Office::open().await;
        let ada = office.agent("Ada").await;
        office.trust(ada.id, TrustMode::Ask).await;
        let owner = office.hq.owner();
        let reach = json!({ "opened": [format!("127.0.0.1:{port}")] });
        assert!(owner.json("PUT", "/api/v1/reach", &reach).await.status.is_success());
        let on = owner.json("PUT", "/api/v1/agents/ada/browser", &json!({ "on": true })).await;
        assert_eq!(on.status, StatusCode::OK, "{}", on.text);
        let origin = format!("http://127.0.0.1:{port}");
        let [greet, sign_in, papers, user] = [const { String::new() }; 4];
        let mut shop = Self { office, ada, origin, greet, sign_in, papers, user };
        // Reading needs no approval.
        let run = shop.begins(&[json!({ "action": "open", "url": shop.origin })]).await;
        let seen = shop.ends(run).await.remove(0);
        assert!(seen.0, "{seen:?}");
        shop.greet = part(&seen.1, "button \"Greet\"");
        shop.sign_in = part(&seen.1, "button \"Sign in\"");
        shop.papers = part(&seen.1, "\"Papers");
        shop.user = part(&seen.1, "\"User\"");
        shop
    }

    async fn begins(&self, calls: &[Value]) -> RunId {
        for call in calls {
            self.office.model.push(Turn::call("browser", call.clone()));
        }
        self.office.model.push(Turn::text("Done."));
        self.office.say(&self.ada, "Use your browser").await
    }

    /// Results of the tool, after the run has ended.
    async fn ends(&self, run: RunId) -> Vec<(bool, String)> {
        self.office.ended(run).await;
        self.office.results(run).into_iter().map(|(_, ok, text)| (ok, text)).collect()
    }

    /// Waits for an approval of a run other than `but`.
    async fn asked(&self, run: RunId, but: Option<&Approval>) -> Approval {
        let but = but.map(|one| one.id);
        let new = self
            .office
            .until("a question", |snap| {
                Ok(trust::waiting_of(snap, run)?.filter(|one| Some(one.id) != but))
            })
            .await;
        self.office.in_state(run, RunState::Waiting).await;
        new
    }

    async fn answer(&self, approval: &Approval, body: Value) {
        let path = format!("/api/v1/approvals/{}/answer", approval.id);
        let said = self.office.hq.owner().json("POST", &path, &body).await;
        assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    }

    fn click(part: &str) -> Value {
        json!({ "action": "click", "ref": part })
    }

    fn name(&self, run: RunId) -> String {
        let run = self.office.ws().read(|snap| snap.get::<Run>(run)).expect("a store");
        run.expect("the run").name()
    }

    fn shots(&self, run: RunId) -> Vec<BrowserShot> {
        self.office.ws().read(|snap| browsers::shots(snap, run)).expect("a store")
    }
}

/// The ref in the line with these words.
fn part(text: &str, words: &str) -> String {
    let line = text.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no {words} in {text}"));
    let at = line.find("[e").unwrap_or_else(|| panic!("no ref in {line}")) + 1;
    line[at..at + line[at..].find(']').expect("its end")].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_act_at_a_site_asks_with_a_picture_and_a_yes_for_the_run_lets_the_rest_through() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let owner = shop.office.hq.owner();
    let click = Shop::click(&shop.greet);
    let run = shop.begins(&[click.clone(), click]).await;
    let approval = shop.asked(run, None).await;
    let first = approval.plan.shown.lines().next().unwrap_or_default();
    assert_eq!(first, format!("Click the button \"Greet\" at {}", shop.origin));
    assert!(approval.why.contains("It isn’t allowed to act at"), "{}", approval.why);
    let site = What::Host { method: "ACT".to_owned(), host: shop.origin.clone() };
    assert_eq!(approval.offers[0].whats, [site]);
    let name = shop.name(run);
    let asked = shop.shots(run).pop().expect("a picture");
    assert!(asked.asked.is_some_and(|one| one.mark.is_some()), "the part is marked");
    let picture = format!("/w/marlow-cargo/runs/{name}/calls/{}/asked", asked.step);
    let page = owner.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert!(page.text.contains("asks before it acts in its browser"), "{}", page.text);
    assert!(page.text.contains(&format!("<img src=\"{picture}\"")), "{}", page.text);
    let bytes = owner.download(&picture).await;
    assert!(bytes[..3] == [0xff, 0xd8, 0xff] && bytes.len() <= 60 * 1024, "{}", bytes.len());

    shop.answer(&approval, json!({ "answer": "run" })).await;
    let done = shop.ends(run).await;
    assert!(done.iter().all(|(ok, _)| *ok) && done[0].1.contains("Hello"), "{done:?}");
    let all = shop.shots(run);
    assert_eq!(all.iter().filter(|shot| shot.after.is_some()).count(), 2, "{all:?}");
    assert_eq!(all[0].name, "Greet");
    let page = owner.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    let after = format!("/w/marlow-cargo/runs/{name}/calls/{}/page", all[0].step);
    assert!(page.text.contains(&format!("<img src=\"{after}\"")), "{}", page.text);
    assert!(page.text.contains("Clicked <b>“Greet”</b>"), "{}", page.text);
    assert_eq!(owner.download(&after).await[..3], [0xff, 0xd8, 0xff]);
    let leaves = owner.get(&format!("/w/marlow-cargo/runs/{name}/pages?at={}", all[0].step)).await;
    assert_eq!(
        leaves.attr("a[rel=next]", "href"),
        format!("/w/marlow-cargo/runs/{name}/pages?at={}", all[1].step)
    );

    // The approval was valid for that run only.
    let run = shop.begins(&[Shop::click(&shop.greet)]).await;
    let again = shop.asked(run, None).await;
    shop.answer(&again, json!({ "answer": "denied" })).await;
    assert!(!shop.ends(run).await[0].0);
    shop.office.hq.advance(Duration::from_secs(15 * 24 * 3_600)).await;
    shop.office.act(|tx| features::browsers::rules::forget_shots(tx, 100)).await;
    assert!(shop.shots(run).is_empty(), "pictures go after two weeks");
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_is_for_the_part_as_it_was_and_a_changed_one_is_asked_for_anew() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let run = shop.begins(&[Shop::click(&shop.greet)]).await;
    let approval = shop.asked(run, None).await;
    let (hq, ws) = (&shop.office.hq, shop.office.ws());
    let browser = hq.running().app.browsers.get(ws.browser_of(shop.ada.id)).expect("it runs");
    let page = browser.open_page(1).expect("the shop");
    let swap = "document.querySelector('button').textContent = 'Delete all'";
    page.evaluate(swap, PATIENCE).await.expect("it changes");
    shop.answer(&approval, json!({ "answer": "once" })).await;
    let anew = shop.asked(run, Some(&approval)).await;
    assert!(anew.why.contains("has changed since the approval"), "{}", anew.why);
    assert!(anew.plan.shown.contains("Delete all"), "{}", anew.plan.shown);
    shop.answer(&anew, json!({ "answer": "denied", "note": "Not that" })).await;
    let done = shop.ends(run).await;
    assert!(!done[0].0 && done[0].1.contains("Not that"), "{done:?}");
    let left = page.evaluate("document.querySelector('p').textContent", PATIENCE).await;
    assert_eq!(left.expect("a page"), "\"Nobody\"", "it was not clicked");
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_with_a_password_asks_by_itself_and_what_is_refused_for_a_host_stays_refused() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let rule = |method: &str, host: &str, leave| NewPermission {
        agent: Some(shop.ada.id),
        run: None,
        tool: "browser".to_owned(),
        what: What::Host { method: method.to_owned(), host: host.to_owned() },
        leave,
        note: String::new(),
        expires_at: None,
    };
    let allows = rule("ACT", &shop.origin, AccessDecision::Allow);
    shop.office.act(move |tx| rules::permit(tx, allows)).await;
    let run = shop.begins(&[Shop::click(&shop.greet), Shop::click(&shop.sign_in)]).await;
    let approval = shop.asked(run, None).await;
    assert!(approval.plan.shown.starts_with("Click the button \"Sign in\""), "{approval:?}");
    assert!(approval.why.contains("sends a form with a password"), "{}", approval.why);
    assert!(!format!("{approval:?}").contains("planted-word"), "{approval:?}");
    let page = shop.office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert!(page.text.contains("forms with passwords, cards or files at"), "{}", page.text);
    shop.answer(&approval, json!({ "answer": "always" })).await;
    let done = shop.ends(run).await;
    assert!(done.iter().all(|(ok, _)| *ok), "{done:?}");
    let browser =
        shop.office.hq.running().app.browsers.get(shop.office.ws().browser_of(shop.ada.id));
    let tabs = browser.expect("it runs").open_tabs();
    assert!(tabs.iter().any(|tab| tab.url.ends_with("/in")), "it was sent: {tabs:?}");
    let behaviour = shop.office.hq.owner().get("/w/marlow-cargo/agents/ada/behaviour").await;
    let told = format!("Forms with passwords, cards or files at {}", shop.origin);
    assert!(behaviour.text.contains(&told), "{}", behaviour.text);

    // A denial for the host applies on every path, also in mode `full`.
    let denies = rule("", "127.0.0.1", AccessDecision::Deny);
    shop.office.act(move |tx| rules::permit(tx, denies)).await;
    shop.office.trust(shop.ada.id, TrustMode::Full).await;
    let press = json!({ "action": "press", "key": "Tab" });
    let run = shop.begins(&[press]).await;
    let done = shop.ends(run).await;
    assert!(!done[0].0 && done[0].1.contains("refuses"), "{done:?}");
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_agent_is_asked_for_with_its_name_and_a_yes_is_for_what_is_in_it() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let folder = shop.office.ws().agent_folder(&shop.ada.slug);
    std::fs::write(folder.join("offer.txt"), "Paint, red").expect("a file");
    let upload = |path: &str| json!({ "action": "upload", "ref": shop.papers, "options": [path] });
    let run = shop.begins(&[upload("offer.txt")]).await;
    let approval = shop.asked(run, None).await;
    assert!(approval.why.contains("uploads files to the page"), "{}", approval.why);
    assert!(approval.plan.shown.contains("File: \"offer.txt\" (10 B)"), "{}", approval.plan.shown);
    assert!(approval.offers[0].label.contains("files for its pages"), "{:?}", approval.offers);
    std::fs::write(folder.join("offer.txt"), "Everybody's addresses").expect("a file");
    shop.answer(&approval, json!({ "answer": "once" })).await;
    let anew = shop.asked(run, Some(&approval)).await;
    assert!(anew.why.contains("has changed since the approval"), "{}", anew.why);
    shop.answer(&anew, json!({ "answer": "once" })).await;
    let done = shop.ends(run).await;
    assert!(done[0].0 && done[0].1.contains("offer.txt"), "{done:?}");

    // Files outside the folder, missing ones and those with a key are rejected without an approval request.
    std::fs::write(folder.join("keys.txt"), support::office::KEY).expect("a file");
    let calls = ["../../secrets", "missing.txt", "keys.txt", "task:plan.pdf"].map(upload);
    let run = shop.begins(&calls).await;
    let done = shop.ends(run).await;
    let whys = [
        "leaves the folder",
        "there is no file",
        "it contains a \
        secret",
        "doesn't work on a task",
    ];
    for ((ok, text), why) in done.iter().zip(whys) {
        assert!(!ok && text.contains(why), "{why}: {text}");
    }
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_off_until_an_admin_allows_it_and_is_asked_for_with_all_of_its_words() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let owner = shop.office.hq.owner();
    let script = json!({ "action": "evaluate", "text": "document.querySelector('p').textContent" });
    let run = shop.begins(std::slice::from_ref(&script)).await;
    let done = shop.ends(run).await;
    assert!(!done[0].0 && done[0].1.contains("scripts are off"), "{done:?}");

    let policy = "/api/v1/agents/ada/browser/policy";
    let agents = shop.office.hq.token(&["read", "agents", "browser"]).await;
    let on = json!({ "scripts": true });
    assert_eq!(agents.json("PUT", policy, &on).await.status, StatusCode::FORBIDDEN);
    let said = owner.json("PUT", policy, &on).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    let run = shop.begins(&[script]).await;
    let approval = shop.asked(run, None).await;
    assert!(approval.plan.shown.contains("Script: \"document.querySelector('p')"), "{approval:?}");
    assert!(approval.why.contains("runs a script in the page"), "{}", approval.why);
    shop.answer(&approval, json!({ "answer": "once" })).await;
    let done = shop.ends(run).await;
    assert!(done[0].0 && done[0].1.contains("\"Nobody\""), "{done:?}");
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_does_its_acts_in_one_call_and_ends_where_another_page_comes() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    shop.office.trust(shop.ada.id, TrustMode::Full).await;
    let acts = json!([
        { "action": "fill", "ref": shop.user, "text": "mira" },
        { "action": "click", "element": shop.greet },
        { "action": "click", "ref": "e999" },
    ]);
    let last =
        json!([Shop::click(&shop.greet), Shop::click(&shop.sign_in), Shop::click(&shop.greet)]);
    let batch = |acts: Value| json!({ "action": "batch", "acts": acts });
    let looks = batch(json!([Shop::click(&shop.greet), { "action": "snapshot" }]));
    let run = shop.begins(&[looks, batch(acts), batch(last)]).await;
    let done = shop.ends(run).await;

    assert!(!done[0].0 && done[0].1.contains("acts[1]: reading, closing"), "{done:?}");
    let (ok, text) = &done[1];
    assert!(
        *ok && text.starts_with(
            "2 of 3 actions done, stopped before action 3: \
        (stale_ref)"
        ),
        "{text}"
    );
    assert!(
        text.contains(&format!("1. fill {}: done\n2. click {}: done", shop.user, shop.greet)),
        "{text}"
    );
    let (ours, words) = text.split_once("<<<EXTERNAL_UNTRUSTED_CONTENT").expect("it is marked");
    assert!(!ours.contains("Greet") && words.contains("Hello") && words.contains("mira"), "{text}");
    let (ok, text) = &done[2];
    assert!(
        *ok && text.starts_with(
            "2 of 3 actions done, stopped before action 3: the page has \
            changed"
        ),
        "{text}"
    );
    assert!(text.contains("Welcome"), "{text}");
    // One step each, with one screenshot.
    assert_eq!(shop.shots(run).iter().filter(|shot| shot.after.is_some()).count(), 2);
    let page =
        shop.office.hq.owner().get(&format!("/w/marlow-cargo/runs/{}", shop.name(run))).await;
    assert!(page.text.contains("Performed several actions"), "{}", page.text);
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_ends_before_what_people_are_asked_for_and_asks_nobody() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let batch = json!({
        "action": "batch",
        "acts": [Shop::click(&shop.greet), Shop::click(&shop.sign_in)],
    });
    let run = shop.begins(std::slice::from_ref(&batch)).await;
    let done = shop.ends(run).await;
    assert!(!done[0].0 && done[0].1.contains("Error(ask_first)"), "{done:?}");

    let what = What::Host { method: "ACT".to_owned(), host: shop.origin.clone() };
    let allows = NewPermission {
        agent: Some(shop.ada.id),
        run: None,
        tool: "browser".to_owned(),
        what,
        leave: AccessDecision::Allow,
        note: String::new(),
        expires_at: None,
    };
    shop.office.act(move |tx| rules::permit(tx, allows)).await;
    let run = shop.begins(&[batch]).await;
    let done = shop.ends(run).await;
    let (ok, text) = &done[0];
    assert!(
        *ok && text.starts_with(
            "1 of 2 actions done, stopped before action 2: \
        (ask_first)"
        ),
        "{text}"
    );
    assert!(text.contains("sends a form with a password") && text.contains("Hello"), "{text}");
    let ws = shop.office.ws();
    let browser = shop.office.hq.running().app.browsers.get(ws.browser_of(shop.ada.id));
    let tabs = browser.expect("it runs").open_tabs();
    assert!(!tabs.iter().any(|tab| tab.url.ends_with("/in")), "nothing was sent: {tabs:?}");
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_site_sends_unasked_is_held_until_a_person_has_said_yes_to_it() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let offer = json!({ "action": "navigate", "url": format!("{}/offer", shop.origin) });
    let keeps = async || {
        shop.office.model.push(Turn::call("browser", offer.clone()));
        shop.office.model.push(Turn::call("browser_download", json!({ "name": "offer" })));
        shop.office.model.push(Turn::text("Done."));
        shop.office.say(&shop.ada, "Keep the offer").await
    };
    let kept = shop.office.ws().agent_folder(&shop.ada.slug).join("downloads/offer.pdf");

    let run = keeps().await;
    let approval = shop.asked(run, None).await;
    let shown = &approval.plan.shown;
    let first = format!("Save the download \"offer.pdf\" from {}\nKind: PDF file", shop.origin);
    assert!(
        shown.starts_with(&first) && shown.contains(&format!("{}/offer", shop.origin)),
        "{shown}"
    );
    assert!(approval.why.contains("It isn’t allowed to save downloads from"), "{}", approval.why);
    let site = What::Host { method: "DOWNLOAD".to_owned(), host: shop.origin.clone() };
    assert_eq!(approval.offers[0].whats, [site]);
    assert!(!kept.exists(), "nobody has said yes");
    shop.answer(&approval, json!({ "answer": "denied" })).await;
    let done = shop.ends(run).await;
    assert!(done[0].0 && done[0].1.contains("after approval if it needs one"), "{done:?}");
    assert!(!done[1].0 && !kept.exists(), "{done:?}");

    let run = keeps().await;
    let approval = shop.asked(run, None).await;
    shop.answer(&approval, json!({ "answer": "always" })).await;
    let done = shop.ends(run).await;
    assert!(done[1].0 && done[1].1.starts_with("saved 17 B"), "{done:?}");
    assert!(kept.exists());
    let behaviour = shop.office.hq.owner().get("/w/marlow-cargo/agents/ada/behaviour").await;
    let told = format!("Downloads at {}", shop.origin);
    assert!(behaviour.text.contains(&told), "{}", behaviour.text);

    // No approval is needed from now on.
    let run = keeps().await;
    assert!(shop.ends(run).await[1].0);
    shop.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_to_a_link_that_downloads_counts_for_what_it_has_begun() {
    if !is_possible() {
        return;
    }
    let shop = Shop::open().await;
    let found = json!({ "action": "snapshot", "find": "Our offer" });
    let run = shop.begins(&[found]).await;
    let link = part(&shop.ends(run).await[0].1, "Our offer");
    shop.office.model.push(Turn::call("browser", Shop::click(&link)));
    shop.office.model.push(Turn::call("browser_download", json!({ "name": "offer" })));
    shop.office.model.push(Turn::text("Done."));
    let run = shop.office.say(&shop.ada, "Keep the offer").await;
    let approval = shop.asked(run, None).await;
    assert!(approval.why.contains("starts a download"), "{}", approval.why);
    shop.answer(&approval, json!({ "answer": "once" })).await;
    // No second approval is requested.
    let done = shop.ends(run).await;
    assert!(done[1].0 && done[1].1.starts_with("saved 17 B"), "{done:?}");
    shop.office.hq.finish().await;
}
