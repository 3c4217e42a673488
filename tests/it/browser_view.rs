//! The live view of an agent's browser: who may watch, the wheel, and the dark in which nobody sees a password.

use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use browser::setup::PROGRAM;
use features::agents::model::Agent;
use kernel::{Role, TrustMode};
use reqwest::StatusCode;
use sandbox::confine::{PORTS, landlock_abi};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use support::hq::{Heard, Person, Socket};
use support::model::Turn;
use support::office::Office;

const PAGE: &str = "/w/marlow-cargo/agents/ada/browser";
const API: &str = "/api/v1/agents/ada/browser";
/// What nobody but its typist may see.
const PLANTED: &str = "zanzibar-7-Quokka";
/// A letter in the password makes the whole page red: what shows red shows the password.
const SIGN_IN: &str = "<title>Sign in</title><style>body{margin:0;background:#00f}input,button{position:absolute;left:20px;
    width:300px;height:40px}</style><form action=/in method=post><input id=p name=p type=password style='top:20px'>
    <button style='top:100px'>Sign in</button></form>
    <script>p.oninput=()=>document.body.style.background=p.value?'#f00':'#00f'</script>";

/// Whether a browser can be kept to its way out here.
#[expect(clippy::print_stdout, reason = "a test that cannot run here says why")]
fn is_possible() -> bool {
    assert!(Path::new(PROGRAM).is_file(), "{PROGRAM} is missing; run `make setup`");
    let possible = PORTS <= landlock_abi();
    if !possible {
        println!("skipped: this kernel cannot tell ports apart");
    }
    possible
}

/// An office whose Ada has a browser that shows a sign-in.
async fn opened() -> (Office, Agent, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let done = "<title>Welcome</title><style>body{background:#0f0}</style><p>Welcome</p>";
    let site = Router::new()
        .route("/", get(|| async { Html(SIGN_IN) }))
        .route("/in", post(move || async move { Html(done) }));
    tokio::spawn(async move { axum::serve(listener, site).await });
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let reach = json!({ "opened": [format!("127.0.0.1:{port}")] });
    assert!(owner.json("PUT", "/api/v1/reach", &reach).await.status.is_success());
    assert_eq!(owner.json("PUT", API, &json!({ "on": true })).await.status, StatusCode::OK);
    let url = format!("http://127.0.0.1:{port}/");
    let open = owner.form(&format!("{PAGE}/open"), &[("url", &url)]).await;
    assert_eq!(open.location(), Some(PAGE), "{}", open.text);
    (office, ada, url)
}

/// How much of a picture is of a colour, of 255.
fn share(framed: &[u8], of: [u8; 3]) -> usize {
    let picture = image::load_from_memory(&framed[4..]).expect("a picture").to_rgb8();
    let near = |pixel: &image::Rgb<u8>| {
        pixel.0.iter().zip(of).all(|(one, other)| one.abs_diff(other) < 60)
    };
    let count = picture.pixels().filter(|pixel| near(pixel)).count();
    count * 255 / (picture.width() * picture.height()) as usize
}

fn is_red(framed: &[u8]) -> bool {
    5 < share(framed, [255, 0, 0])
}

async fn click(socket: &mut Socket, y: u32) {
    for act in ["move", "down", "up"] {
        socket.say(&json!({ "do": "mouse", "act": act, "x": 100, "y": y, "clicks": 1 })).await;
    }
}

async fn takes(socket: &mut Socket) {
    socket.say(&json!({ "do": "take" })).await;
    socket.state(|state| state["mine"] == true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_a_fresh_ticket_of_their_own_watches_and_only_as_long_as_they_may() {
    if !is_possible() {
        return;
    }
    let (office, _, _) = opened().await;
    let owner = office.hq.owner();
    let base = office.hq.url();
    let view = format!("{PAGE}/view");
    assert_eq!(owner.socket(&view, &base).await.err(), Some(403), "without a ticket");
    let ticket = |person: Person| async move {
        let given = person.form(&format!("{PAGE}/ticket"), &[]).await.json();
        format!("{PAGE}/view?ticket={}", given["ticket"].as_str().expect("a ticket"))
    };
    let own = ticket(owner.clone()).await;
    assert_eq!(owner.socket(&own, "http://evil.example").await.err(), Some(403), "another site");
    let vera = office.hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(vera.socket(&own, &base).await.err(), Some(403), "somebody else's");
    assert_eq!(owner.socket(&own, &base).await.err(), Some(403), "it is used up");

    let mut socket = owner.ticketed(PAGE).await;
    let state = socket.state(|state| state["running"] == true).await;
    assert_eq!((&state["mine"], &state["may"]), (&json!(false), &json!(true)), "{state}");
    socket.picture(|bytes| 100 < share(bytes, [0, 0, 255])).await;
    // A tab that no run has used is seen by all; nobody drives who may not.
    let mut hers = vera.ticketed(PAGE).await;
    hers.picture(|_| true).await;
    hers.say(&json!({ "do": "take" })).await;
    loop {
        if let Some(Heard::Json(said)) = hers.next().await
            && !said["problem"].is_null()
        {
            break;
        }
    }
    assert!(
        owner
            .form("/w/marlow-cargo/agents/ada/browser/switch", &[("on", "on")])
            .await
            .status
            .is_redirection()
    );
    vera.form("/logout", &[]).await;
    while hers.next().await.is_some() {}
    // Too much at once, and what is no order, end it.
    socket.say(&json!({ "do": "text", "text": "x".repeat(200_000) })).await;
    while socket.next().await.is_some() {}
    let mut other = owner.ticketed(PAGE).await;
    other.say(&json!({ "do": "evaluate", "script": "1" })).await;
    while other.next().await.is_some() {}
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_wheel_acts_and_leaves_a_note_to_the_agent() {
    if !is_possible() {
        return;
    }
    let (office, ada, _) = opened().await;
    let owner = office.hq.owner();
    office.model.push(Turn::call("browser", json!({ "action": "snapshot" })));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Look").await;
    office.ended(run).await;

    let mut socket = owner.ticketed(PAGE).await;
    takes(&mut socket).await;
    let tom = office.hq.another("Tom", Some(Role::Admin)).await;
    let mia = office.hq.another("Mia", Some(Role::Member)).await;
    let mut hers = mia.ticketed(PAGE).await;
    let state = hers.state(|state| state["driver"] == "Mira Lindqvist").await;
    assert_eq!((&state["mine"], &state["over"]), (&json!(false), &json!(false)), "{state}");
    let stopped = mia.json("POST", &format!("{API}/stop"), &json!({})).await;
    assert_eq!(stopped.status, StatusCode::CONFLICT, "{}", stopped.text);
    assert_eq!(stopped.json()["code"], "human_in_control", "{}", stopped.text);
    // An administrator takes it over, and gives it back.
    let mut his = tom.ticketed(PAGE).await;
    his.say(&json!({ "do": "take", "over": true })).await;
    his.state(|state| state["mine"] == true).await;
    socket.state(|state| state["driver"] == "Tom").await;

    // The agent waits meanwhile, and hears what was left.
    office.model.push(Turn::call("browser", json!({ "action": "press", "key": "Tab" })));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Go on").await;
    his.say(&json!({ "do": "open" })).await;
    his.state(|state| state["tabs"].as_array().is_some_and(|tabs| tabs.len() == 2)).await;
    assert!(office.results(run).is_empty(), "it waits");
    his.say(&json!({ "do": "hand", "note": "They want no bakeries" })).await;
    his.state(|state| state["driver"] == "").await;
    office.ended(run).await;
    let (_, ok, text) = office.results(run).remove(0);
    assert!(ok && text.contains("Tom had the wheel"), "{text}");
    assert!(text.contains("They want no bakeries") && text.contains("Nothing was done"), "{text}");
    let audit = owner.get("/w/marlow-cargo/activity").await;
    assert!(audit.text.contains("took the wheel of the browser of"), "{}", audit.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_a_person_types_is_seen_by_nobody_else() {
    if !is_possible() {
        return;
    }
    let (office, _, _) = opened().await;
    let owner = office.hq.owner();
    let vera = office.hq.another("Vera", Some(Role::Admin)).await;
    let mut recorder = vera.ticketed(PAGE).await;
    recorder.picture(|bytes| 100 < share(bytes, [0, 0, 255])).await;
    let recording = tokio::spawn(async move {
        let (mut said, mut frames) = (String::new(), Vec::<Vec<u8>>::new());
        while frames.last().is_none_or(|bytes| share(bytes, [0, 255, 0]) < 100) {
            match recorder.next().await.expect("it goes on") {
                Heard::Json(state) => said.push_str(&state.to_string()),
                Heard::Bytes(bytes) => {
                    frames.push(bytes);
                    recorder.say(&json!({ "do": "ack" })).await;
                }
            }
        }
        (said, frames)
    });

    let mut socket = owner.ticketed(PAGE).await;
    takes(&mut socket).await;
    click(&mut socket, 40).await;
    for letter in PLANTED.chars() {
        let key = json!({ "do": "down", "key": letter, "text": letter });
        socket.say(&key).await;
    }
    socket.picture(is_red).await;
    // Nothing shows it meanwhile: no picture, no agent's look.
    let picture = owner.get(&format!("{PAGE}/picture")).await;
    assert_eq!(picture.status, StatusCode::CONFLICT, "{}", picture.text);
    let state = vera.ticketed(PAGE).await.state(|state| state["dark"] != "").await;
    assert_eq!(state["sees"], false, "{state}");
    click(&mut socket, 120).await;
    let is_in =
        |state: &Value| state["tabs"][0]["url"].as_str().is_some_and(|at| at.ends_with("/in"));
    socket.state(|state| state["dark"] == "" && is_in(state)).await;
    let (said, frames) = tokio::time::timeout(Duration::from_secs(30), recording)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(said.contains("A credential is being typed"), "{said}");
    assert!(!said.contains(PLANTED), "{said}");
    for frame in &frames {
        assert!(!is_red(frame), "a picture of the password went to somebody else");
    }
    socket.say(&json!({ "do": "hand" })).await;
    socket.state(|state| state["driver"] == "").await;
    // And nothing that HQ keeps has it.
    let data = office.hq.data();
    assert_eq!(with(&data, PLANTED.as_bytes()), Vec::<String>::new());
    office.hq.finish().await;
}

/// The files below a folder, save for the browser's own, that hold these bytes.
fn with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // What is gone holds nothing.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("browsers") {
                found.extend(with(&path, bytes));
            }
        } else if fs::read(&path).is_ok_and(|all| all.windows(bytes.len()).any(|w| w == bytes)) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// What the tool answered to these calls, in a run of their own.
async fn browses(office: &Office, ada: &Agent, calls: &[Value]) -> Vec<(bool, String)> {
    for call in calls {
        office.model.push(Turn::call("browser", call.clone()));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(ada, "Use your browser").await;
    office.ended(run).await;
    office.results(run).into_iter().map(|(_, ok, text)| (ok, text)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_goes_into_a_field_on_its_hosts_and_nowhere_else() {
    if !is_possible() {
        return;
    }
    let (office, ada, url) = opened().await;
    let owner = office.hq.owner();
    let secret = json!({ "name": "Shop password", "value": PLANTED, "hosts": ["127.0.0.1"] });
    let kept = owner.json("POST", "/api/v1/secrets", &secret).await;
    assert!(kept.status.is_success(), "{}", kept.text);
    let secret = json!({ "name": "Other", "value": "another-planted-9", "hosts": ["a.example"] });
    let kept = owner.json("POST", "/api/v1/secrets", &secret).await;
    assert!(kept.status.is_success(), "{}", kept.text);
    let seen = browses(&office, &ada, &[json!({ "action": "open", "url": url })]).await;
    let line = seen[0].1.lines().find(|line| line.contains("textbox")).expect("a field").to_owned();
    let at = line.find("[e").expect("a ref") + 1;
    let field = line[at..at + line[at..].find(']').expect("its end")].to_owned();
    let acts = browses(
        &office,
        &ada,
        &[
            json!({ "action": "fill", "ref": field, "secret": "OTHER" }),
            json!({ "action": "fill", "ref": field, "secret": "SHOP_PASSWORD" }),
            json!({ "action": "snapshot" }),
            json!({ "action": "press", "ref": field, "key": "Enter" }),
            json!({ "action": "snapshot" }),
        ],
    )
    .await;
    assert!(!acts[0].0 && acts[0].1.contains("OTHER may go to a.example alone"), "{acts:?}");
    assert!(acts[1].0 && acts[1].1.contains("SHOP_PASSWORD is filled in"), "{acts:?}");
    assert!(!acts[2].0 && acts[2].1.contains("hidden"), "{acts:?}");
    assert!(acts[3].0, "{acts:?}");
    assert!(acts[4].0 && acts[4].1.contains("Welcome"), "{acts:?}");
    assert!(!format!("{acts:?}").contains(PLANTED), "{acts:?}");
    office.hq.finish().await;
}
