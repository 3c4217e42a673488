//! Browsers of agents over the API: actions of people and programs, requests for a person's help, and file uploads by
//! the person in control.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use features::agents::model::Agent;
use kernel::{RunState, TrustMode, WaitFor};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use support::model::Turn;
use support::office::Office;

use crate::browser::is_possible;

const PAGE: &str = "/w/marlow-cargo/agents/ada/browser";
const API: &str = "/api/v1/agents/ada/browser";
const SHOP: &str = "<title>Shop</title><h1>Shop</h1><label>Name <input id=who></label>
    <button onclick=\"out.textContent = 'Hello ' + who.value\">Greet</button><p id=out>Nobody yet</p>
    <label>Password <input type=password></label>";
const OFFERS: &str =
    "<title>Offers</title><input type=file onchange=\"location.hash = this.files[0].name\"
    style='position:absolute;top:20px;left:20px;width:300px;height:40px'>";

const TRAPS: &str = "<title>Traps</title><script>alert('Hello')</script><a href=/ target=_blank>Other</a>
    <a href=/file>Prices</a><label>Papers <input type=file></label><button onclick='for (;;);'>Spin</button>";

/// An office whose agent Ada may use a browser, and the address of a permitted site.
async fn opened() -> (Office, Agent, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let site = Router::new()
        .route("/", get(|| async { Html(SHOP) }))
        .route("/offers", get(|| async { Html(OFFERS) }))
        .route("/traps", get(|| async { Html(TRAPS) }))
        .route(
            "/file",
            get(|| async { ([("content-disposition", "attachment; filename=a.bin")], "x") }),
        );
    tokio::spawn(async move { axum::serve(listener, site).await });
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let reach = json!({ "opened": [format!("127.0.0.1:{port}")] });
    assert!(owner.json("PUT", "/api/v1/reach", &reach).await.status.is_success());
    assert_eq!(owner.json("PUT", API, &json!({ "on": true })).await.status, StatusCode::OK);
    (office, ada, format!("http://127.0.0.1:{port}/"))
}

/// The ref in the line with these words.
fn part(told: &Value, words: &str) -> String {
    let text = told["text"].as_str().unwrap_or_else(|| panic!("no text in {told}"));
    let line = text.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no {words} in {text}"));
    let at = line.find("[e").unwrap_or_else(|| panic!("no ref in {line}")) + 1;
    line[at..at + line[at..].find(']').expect("its end")].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_act_brings_about_is_told_and_a_page_that_hangs_is_left_at_once() {
    if !is_possible() {
        return;
    }
    let (office, ada, url) = opened().await;
    let acts = office.hq.token(&["read", "browser"]).await;
    let traps = json!({ "url": format!("{url}traps") });
    let opened = acts.post(&format!("{API}/tabs"), &traps).await.json();
    assert_eq!(opened["news"], json!(["dialog alert \"Hello\", answered with OK"]), "{opened}");
    let act = format!("{API}/act");
    for (name, news) in [
        ("\"Prices\"", "download \"a.bin\""),
        ("\"Papers\"", "asks for a file"),
        ("\"Other\"", "new tab t2 "),
    ] {
        let click = json!({ "kind": "click", "tab": 1, "ref": part(&opened, name) });
        let told = acts.post(&act, &click).await.json();
        assert!(told["news"].to_string().replace("\\\"", "\"").contains(news), "{name}: {told}");
    }

    // Every action ends in time with a correct message; leaving the page works at once.
    let spin = json!({ "kind": "click", "tab": 1, "ref": part(&opened, "\"Spin\"") });
    let hangs = in_time(acts.post(&act, &spin)).await;
    assert_eq!(
        (hangs.status, &hangs.json()["code"]),
        (StatusCode::BAD_GATEWAY, &json!("page_hangs"))
    );
    let (snapshot, screenshot) =
        (format!("{API}/snapshot?tab=1"), format!("{API}/screenshot?tab=1"));
    for path in [&snapshot, &screenshot] {
        let answer = in_time(acts.get(path)).await;
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.text);
    }
    let told = tool(&office, &ada, json!({ "action": "snapshot", "tab": 1 })).await;
    assert!(told.contains("page_hangs") && told.contains("doesn't respond"), "{told}");
    let to = json!({ "tab": 1, "url": format!("{url}traps") });
    let went = in_time(acts.post(&format!("{API}/navigate"), &to)).await;
    assert_eq!(went.status, StatusCode::OK, "{}", went.text);
    let spin = json!({ "kind": "click", "tab": 1, "ref": part(&went.json(), "\"Spin\"") });
    in_time(acts.post(&act, &spin)).await;
    let closed = in_time(acts.call("DELETE", &format!("{API}/tabs/1"))).await;
    assert_eq!(closed.status, StatusCode::OK, "{}", closed.text);
    office.hq.finish().await;
}

/// Result of an action, which ends in time whatever its page does.
async fn in_time<T>(act: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(15), act).await.expect("it ends in time")
}

/// Result of the agent's tool for a call.
async fn tool(office: &Office, ada: &Agent, call: Value) -> String {
    // The first call learns that a person has acted.
    office.model.push(Turn::call("browser", json!({ "action": "tabs" })));
    office.model.push(Turn::call("browser", call)).push(Turn::text("Done."));
    let run = office.say(ada, "Look").await;
    office.ended(run).await;
    office.results(run).remove(1).2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_acts_in_a_browser_with_its_scope_and_not_while_somebody_has_the_wheel() {
    if !is_possible() {
        return;
    }
    let (office, ada, url) = opened().await;
    let owner = office.hq.owner();
    let (reads, acts) =
        (office.hq.token(&["read"]).await, office.hq.token(&["read", "browser"]).await);
    let act = format!("{API}/act");
    let press = json!({ "kind": "press", "key": "Tab" });
    assert_eq!(reads.post(&act, &press).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reads.get(&format!("{API}/snapshot")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(acts.get(&format!("{API}/snapshot")).await.status, StatusCode::NOT_FOUND);

    let opened = acts.post(&format!("{API}/tabs"), &json!({ "url": url })).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.text);
    let opened = opened.json();
    assert_eq!(opened["tabs"][0]["title"], "Shop", "{opened}");
    let fill = json!({ "kind": "fill", "ref": part(&opened, "\"Name\""), "text": "Zoë" });
    let filled = acts.post(&act, &fill).await;
    assert_eq!(filled.status, StatusCode::OK, "{}", filled.text);
    let found = acts.get(&format!("{API}/snapshot?find=Greet")).await.json();
    let click = json!({ "kind": "click", "ref": part(&found, "Greet") });
    let clicked = acts.post(&act, &click).await.json();
    let text = clicked["text"].as_str().expect("words");
    assert!(text.contains("Hello Zoë") && !text.contains("heading"), "{clicked}");
    let stale = acts.post(&act, &json!({ "kind": "click", "ref": "e999" })).await;
    assert_eq!((stale.status, &stale.json()["code"]), (StatusCode::GONE, &json!("stale_ref")));
    let nothing = acts.post(&act, &json!({ "kind": "click" })).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nothing.text);
    let name = part(&opened, "\"Name\"");
    for query in [String::new(), "?full=true".to_owned(), format!("?ref={name}")] {
        let picture = owner.download(&format!("{API}/screenshot{query}")).await;
        assert_eq!(picture[..3], [0xff, 0xd8, 0xff], "{query}");
    }
    assert_eq!(acts.get(&format!("{API}/screenshot?ref=e999")).await.status, StatusCode::GONE);

    // The agent learns that a person has acted, and does not act on an unknown page.
    office.model.push(Turn::call("browser", json!({ "action": "press", "key": "Tab" })));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Go on").await;
    office.ended(run).await;
    let (_, ok, text) = office.results(run).remove(0);
    assert!(ok && text.contains("Mira Lindqvist took control"), "{text}");
    assert!(text.contains("This call did nothing"), "{text}");
    let activity = owner.get("/w/marlow-cargo/activity").await;
    assert!(activity.text.contains("acted in"), "{}", activity.text);

    let mut socket = owner.ticketed(PAGE).await;
    socket.say(&json!({ "do": "take" })).await;
    socket.state(|state| state["mine"] == true).await;
    let refused = acts.post(&act, &press).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert_eq!(refused.json()["code"], "human_in_control", "{}", refused.text);
    assert_eq!(reads.get(API).await.json()["driver"], "Mira Lindqvist");
    assert_eq!(acts.get(&format!("{API}/snapshot")).await.status, StatusCode::OK);
    socket.say(&json!({ "do": "hand" })).await;
    socket.state(|state| state["driver"] == "").await;

    // Text typed into a password field is never reported.
    let page = acts.get(&format!("{API}/snapshot")).await.json();
    let secret = json!({ "kind": "fill", "ref": part(&page, "\"Password\""), "text": "zanzibar" });
    let dark = acts.post(&act, &secret).await.json();
    assert_eq!((&dark["hidden"], &dark["text"]), (&json!(true), &json!("")), "{dark}");
    let hidden = acts.get(&format!("{API}/snapshot")).await;
    assert_eq!(hidden.json()["code"], "hidden", "{}", hidden.text);

    let reset = acts.post(&format!("{API}/reset"), &json!({})).await;
    assert_eq!(reset.status, StatusCode::OK, "{}", reset.text);
    assert_eq!(reset.json()["running"], false, "{}", reset.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_asks_a_person_to_the_browser_goes_on_when_it_is_handed_back() {
    if !is_possible() {
        return;
    }
    let (office, ada, _) = opened().await;
    let owner = office.hq.owner();
    let ask = json!({ "question": "Sign me in at the shop", "in_browser": true });
    office.model.push(Turn::call("ask_person", ask)).push(Turn::text("Thanks."));
    let run = office.say(&ada, "Buy paint").await;
    let waiting = office.in_state(run, RunState::Waiting).await;
    assert_eq!(waiting.waiting.expect("a reason").waits_for, WaitFor::Browser);
    let asked = owner.get("/w/marlow-cargo/runs").await;
    let doors = asked.attrs("#run-questions a", "href");
    assert!(doors.iter().any(|to| to == PAGE), "{doors:?}");

    let started = owner.post(&format!("{API}/start"), &json!({})).await;
    assert_eq!(started.json()["running"], true, "{}", started.text);
    let page = owner.get(PAGE).await;
    assert!(page.text_of("#browser-asks").contains("Sign me in at the shop"), "{}", page.text);
    let mut socket = owner.ticketed(PAGE).await;
    socket.say(&json!({ "do": "take" })).await;
    socket.state(|state| state["mine"] == true).await;
    socket.say(&json!({ "do": "hand", "note": "Signed in" })).await;
    assert_eq!(office.ended(run).await.summary, "Thanks.");
    let (tool, ok, text) = office.results(run).remove(0);
    assert!(ok && tool == "ask_person", "{tool}: {text}");
    assert!(text.contains("Mira Lindqvist used your browser"), "{text}");
    assert!(!owner.get(PAGE).await.text_of("#browser-asks").contains("Sign me in"));

    // Without a browser, people are not asked to use it.
    assert_eq!(owner.json("PUT", API, &json!({ "on": false })).await.status, StatusCode::OK);
    let ask = json!({ "question": "Sign me in", "in_browser": true });
    office.model.push(Turn::call("ask_person", ask)).push(Turn::text("Done."));
    let run = office.say(&ada, "Once more").await;
    office.ended(run).await;
    assert!(office.results(run)[0].2.contains("you have no browser"), "{:?}", office.results(run));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_wheel_gives_files_of_their_own_to_a_page() {
    if !is_possible() {
        return;
    }
    let (office, _, url) = opened().await;
    let owner = office.hq.owner();
    let offers = json!({ "url": format!("{url}offers") });
    let opened = owner.post(&format!("{API}/tabs"), &offers).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.text);
    let sends = async || {
        let body = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"offer.txt\"\r\n\
                    content-type: text/plain\r\n\r\nPaint, red\r\n--x--\r\n";
        let kind = "multipart/form-data; boundary=x";
        owner.bytes("POST", &format!("{PAGE}/upload"), kind, body.as_bytes().to_vec()).await
    };
    assert_eq!(sends().await.json()["code"], "not_driving");

    let mut socket = owner.ticketed(PAGE).await;
    socket.say(&json!({ "do": "take" })).await;
    let state = socket.state(|state| state["mine"] == true).await;
    assert_eq!(state["chooser"], "", "{state}");
    assert_eq!(sends().await.json()["code"], "no_chooser");
    for act in ["move", "down", "up"] {
        socket.say(&json!({ "do": "mouse", "act": act, "x": 60, "y": 40, "clicks": 1 })).await;
    }
    socket.state(|state| state["chooser"] == "one").await;
    let sent = sends().await;
    assert_eq!(sent.status, StatusCode::NO_CONTENT, "{}", sent.text);
    let has_it = |state: &Value| {
        state["tabs"][0]["url"].as_str().is_some_and(|url| url.ends_with("#offer.txt"))
    };
    let state = socket.state(has_it).await;
    assert_eq!(state["chooser"], "", "{state}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_permission_or_a_rule_refuses_is_refused_to_programs_and_nothing_else_is_asked_for()
{
    if !is_possible() {
        return;
    }
    let (office, ada, url) = opened().await;
    let owner = office.hq.owner();
    // Approvals of this mode apply to the agent, not to API clients.
    office.trust(ada.id, TrustMode::Ask).await;
    let acts = office.hq.token(&["read", "browser"]).await;
    let act = format!("{API}/act");
    let opened = acts.post(&format!("{API}/tabs"), &json!({ "url": url })).await.json();
    let greet = json!({ "kind": "click", "ref": part(&opened, "Greet") });
    let batch = json!({ "acts": [
        { "kind": "fill", "ref": part(&opened, "\"Name\""), "text": "Bo" }, greet,
        { "kind": "click", "ref": "e999" }, greet,
    ] });
    let done = acts.post(&format!("{API}/act/batch"), &batch).await.json();
    assert_eq!(done["results"].as_array().map(Vec::len), Some(2), "{done}");
    assert!(done["results"][1]["text"].as_str().is_some_and(|text| text.contains("Hello Bo")));
    assert!(done["aborted"].as_str().is_some_and(|why| why.starts_with("action 3:")), "{done}");
    // Each navigation of a tab has a path of its own, too.
    let offers = format!("{url}offers");
    let there = acts.post(&format!("{API}/navigate"), &json!({ "url": offers })).await.json();
    assert_eq!(there["tabs"][0]["url"], offers.as_str(), "{there}");
    for (way, at) in [("back", &url), ("forward", &offers), ("reload", &offers), ("back", &url)] {
        let there = acts.post(&format!("{API}/{way}"), &json!({})).await;
        assert_eq!(there.json()["tabs"][0]["url"], at.as_str(), "{way}: {}", there.text);
    }
    let nowhere = acts.post(&format!("{API}/navigate"), &json!({})).await;
    assert_eq!(nowhere.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nowhere.text);
    let opened = acts.get(&format!("{API}/snapshot")).await.json();
    let greet = json!({ "kind": "click", "ref": part(&opened, "Greet") });
    let many = json!({ "acts": vec![greet.clone(); 21] });
    let refused = acts.post(&format!("{API}/act/batch"), &many).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);

    let script = json!({ "kind": "evaluate", "text": "document.title" });
    let off = acts.post(&act, &script).await;
    assert_eq!((off.status, &off.json()["code"]), (StatusCode::FORBIDDEN, &json!("evaluate_off")));
    let policy = format!("{API}/policy");
    let rules = json!({ "scripts": true, "blocked_hosts": ["ads.example"] });
    assert_eq!(owner.json("PUT", &policy, &rules).await.json()["blocked_hosts"][0], "ads.example");
    assert_eq!(acts.post(&act, &script).await.json()["value"], "\"Shop\"");
    let ads = acts.post(&act, &json!({ "kind": "navigate", "url": "https://ads.example/" })).await;
    assert_eq!((ads.status, &ads.json()["code"]), (StatusCode::FORBIDDEN, &json!("denied")));
    for wrong in [
        json!({ "private_network": true }),
        json!({ "permissions": ["camera"] }),
        json!({ "downloads": false }),
        json!({ "allowed_hosts": ["https://a.example/"] }),
    ] {
        let refused = owner.json("PUT", &policy, &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.text);
    }

    // A password needs a page in which no script was run.
    let word = json!({ "kind": "fill", "ref": part(&opened, "\"Password\""), "text": "zanzibar" });
    assert_eq!(acts.post(&act, &word).await.json()["code"], "script_in_page");

    let rule = json!({ "agent": "ada", "tool": "browser", "leave": "deny", "host": "127.0.0.1" });
    let kept = owner.post("/api/v1/permissions", &rule).await;
    assert!(kept.status.is_success(), "{}", kept.text);
    let refused = acts.post(&act, &greet).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::FORBIDDEN, &json!("denied"))
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_keeps_is_told_by_name_and_files_go_in_with_the_scope() {
    if !is_possible() {
        return;
    }
    let (office, _, url) = opened().await;
    let acts = office.hq.token(&["read", "browser"]).await;
    let reads = office.hq.token(&["read"]).await;
    let opened = acts.post(&format!("{API}/tabs"), &json!({ "url": format!("{url}offers") })).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.text);
    let cookie = json!({ "name": "sid", "value": "zanzibar", "host": "127.0.0.1" });
    let cookies = format!("{API}/cookies");
    let kept = acts.json("PUT", &cookies, &cookie).await;
    assert!(kept.json()["items"][0]["name"] == "sid" && !kept.text.contains("zanzibar"));
    let item = json!({ "name": "word", "value": "zanzibar" });
    let stored = acts.json("PUT", &format!("{API}/storage/local"), &item).await;
    assert!(stored.json()["items"][0]["length"] == 8 && !stored.text.contains("zanzibar"));
    assert_eq!(acts.get(&format!("{API}/storage/other")).await.status, StatusCode::NOT_FOUND);
    for path in ["cookies", "storage/local", "console", "errors", "requests", "pdf"] {
        let path = format!("{API}/{path}");
        assert_eq!(reads.get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(acts.get(&path).await.status, StatusCode::OK, "{path}");
    }
    let body = acts.get(&format!("{API}/requests/1/body")).await;
    assert_eq!(body.json()["code"], "not_kept", "{}", body.text);
    let phone = json!({ "width": 390, "height": 844, "phone": true, "zone": "Asia/Tokyo" });
    let emulation = format!("{API}/emulation");
    assert_eq!(acts.json("PUT", &emulation, &phone).await.status, StatusCode::OK);
    for wrong in [json!({ "width": 390 }), json!({ "headers": {} }), json!({ "zone": "Mars/Base" })]
    {
        let refused = acts.json("PUT", &emulation, &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.text);
    }

    let form = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"offer.txt\"\r\n\
                content-type: text/plain\r\n\r\nPaint, red\r\n--x--\r\n";
    let kind = "multipart/form-data; boundary=x";
    let sends = async |query: &str| {
        let path = format!("{API}/upload{query}");
        acts.bytes("POST", &path, kind, form.as_bytes().to_vec()).await
    };
    assert_eq!(sends("").await.json()["code"], "no_chooser");
    let field = opened.json()["text"].as_str().and_then(|text| {
        let at = text.find("[e")? + 1;
        Some(text[at..at + text[at..].find(']')?].to_owned())
    });
    let sent = sends(&format!("?ref={}", field.expect("the field for files"))).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text);
    let tabs = acts.get(&format!("{API}/tabs")).await.json();
    assert!(
        tabs["items"][0]["url"].as_str().is_some_and(|url| url.ends_with("#offer.txt")),
        "{tabs}"
    );
    assert!(acts.get(&format!("{API}/downloads")).await.json()["items"].as_array().is_some());
    office.hq.finish().await;
}
