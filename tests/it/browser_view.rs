//! Live view of an agent's browser: viewers, control, and the capture pause that hides passwords.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use features::agents::model::Agent;
use features::browsers::queries as browsers;
use features::runs::model::Run;
use kernel::{Role, RunState, TaskId, TrustMode};
use parking_lot::Mutex;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Range, ReadExt as _};
use tokio::net::TcpListener;

use support::hq::{Heard, Person, Socket};
use support::model::Turn;
use support::office::Office;

use crate::browser::is_possible;

const PAGE: &str = "/w/marlow-cargo/agents/ada/browser";
const API: &str = "/api/v1/agents/ada/browser";
/// The password, which only its typist may see.
const PLANTED: &str = "zanzibar-7-Quokka";
/// A letter in the password turns the page red, so a red frame reveals the password.
const SIGN_IN: &str = "<title>Sign in</title><style>body{margin:0;background:#00f}input,button{position:absolute;left:20px;
    width:300px;height:40px}</style><form action=/in method=post><input id=p name=p type=password style='top:20px'>
    <button style='top:100px'>Sign in</button></form>
    <script>p.oninput=()=>document.body.style.background=p.value?'#f00':'#00f'</script>";

/// The same with a button that reveals the letters.
const SHOWS: &str = "<button id=s style='top:180px' onclick=\"p.type='text'\">Show</button>";

/// An office whose agent Ada has a browser with a sign-in page.
async fn opened() -> (Office, Agent, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let done = "<title>Welcome</title><style>body{background:#0f0}</style><p>Welcome</p>";
    let site = Router::new()
        .route("/", get(|| async { Html(SIGN_IN) }))
        .route("/shows", get(|| async { Html(format!("{SIGN_IN}{SHOWS}")) }))
        .route("/gets", get(|| async { Html(SIGN_IN.replace("post", "get")) }))
        .route(
            "/in",
            post(move || async move { Html(done) }).get(move || async move { Html(done) }),
        );
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

/// Share of a colour in a frame of the live view, of 255.
fn share(framed: &[u8], of: [u8; 3]) -> usize {
    share_of(&framed[4..], of)
}

/// The same for a plain image.
fn share_of(picture: &[u8], of: [u8; 3]) -> usize {
    let picture = image::load_from_memory(picture).expect("a picture").to_rgb8();
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

/// Records everything that a viewer receives until the sign-in is over: messages and frames.
async fn recorded(mut recorder: Socket) -> (String, Vec<Vec<u8>>) {
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
    // A tab without runs is visible to all; only permitted people can take control.
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
    // Oversized or invalid messages close the socket.
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
    // An administrator takes control over, and returns it.
    let mut his = tom.ticketed(PAGE).await;
    his.say(&json!({ "do": "take", "over": true })).await;
    his.state(|state| state["mine"] == true).await;
    socket.state(|state| state["driver"] == "Tom").await;

    // The agent waits meanwhile, and learns the resulting state.
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
    assert!(ok && text.contains("Tom took control"), "{text}");
    assert!(
        text.contains("They want no bakeries")
            && text.contains(
                "This call did \
        nothing"
            ),
        "{text}"
    );
    let audit = owner.get("/w/marlow-cargo/activity").await;
    assert!(audit.text.contains("took control of"), "{}", audit.text);
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
    let recording = tokio::spawn(recorded(recorder));

    let mut socket = owner.ticketed(PAGE).await;
    takes(&mut socket).await;
    click(&mut socket, 40).await;
    for letter in PLANTED.chars() {
        let key = json!({ "do": "down", "key": letter, "text": letter });
        socket.say(&key).await;
    }
    socket.picture(is_red).await;
    // No frame and no snapshot shows it meanwhile.
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
    // And none of HQ's files contains it.
    let data = office.hq.data();
    assert_eq!(with(&data, PLANTED.as_bytes()), Vec::<String>::new());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn titles_and_addresses_are_withheld_while_a_password_is_typed_and_its_query_afterwards() {
    if !is_possible() {
        return;
    }
    let (office, ada, url) = opened().await;
    let owner = office.hq.owner();
    let vera = office.hq.another("Vera", Some(Role::Admin)).await;
    let reads = office.hq.token(&["read"]).await;
    let tabs = format!("{API}/tabs");
    assert_eq!(reads.get(&tabs).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reads.get(API).await.json()["tabs"], json!([]));
    assert_eq!(vera.get(&tabs).await.json()["items"][0]["title"], "Sign in");

    let mut socket = owner.ticketed(PAGE).await;
    takes(&mut socket).await;
    socket.say(&json!({ "do": "go", "url": format!("{url}gets") })).await;
    let at = |state: &Value, end: &str| {
        state["tabs"][0]["url"].as_str().is_some_and(|url| url.ends_with(end))
    };
    socket.state(|state| at(state, "/gets")).await;
    click(&mut socket, 40).await;
    for letter in PLANTED.chars() {
        socket.say(&json!({ "do": "down", "key": letter, "text": letter })).await;
    }
    let own = socket.state(|state| state["dark"] != "").await;
    assert!(at(&own, "/gets"), "who types sees where: {own}");
    let state = vera.ticketed(PAGE).await.state(|state| state["dark"] != "").await;
    let told = (&state["tabs"][0]["title"], &state["tabs"][0]["url"]);
    assert_eq!(told, (&json!("Hidden"), &json!("")), "{state}");
    for answer in
        [vera.get(&tabs).await.json()["items"].clone(), vera.get(API).await.json()["tabs"].clone()]
    {
        let told = (&answer[0]["title"], &answer[0]["url"]);
        assert_eq!(told, (&json!(""), &json!("")), "{answer}");
    }
    let stale = vera.get(&format!("{API}/snapshot?within=e999")).await;
    assert_eq!(stale.json()["code"], "hidden", "{}", stale.text);
    let page = vera.get(PAGE).await.text;
    assert!(
        page.contains("Hidden") && !page.contains("Sign in") && !page.contains("/gets"),
        "{page}"
    );

    socket.picture(is_red).await;
    click(&mut socket, 120).await;
    let state = socket.state(|state| state["dark"] == "" && at(state, "/in")).await;
    socket.say(&json!({ "do": "hand", "note": "" })).await;
    socket.state(|state| state["driver"] == "").await;
    let told =
        browses(&office, &ada, &[json!({ "action": "tabs" }), json!({ "action": "tabs" })]).await;
    assert!(told[1].0 && told[1].1.contains("/in"), "{told:?}");
    let mut all = format!("{state} {told:?}");
    for path in [API, &tabs, PAGE, "/w/marlow-cargo/activity", "/api/v1/activity"] {
        all.push_str(&vera.get(path).await.text);
    }
    assert!(!all.contains(PLANTED), "{all}");
    office.hq.finish().await;
}

/// A text in all encodings in which it may be stored.
fn written(text: &str) -> Vec<Vec<u8>> {
    let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut all = vec![text.as_bytes().to_vec(), wide, hex::encode(text).into_bytes()];
    // As part of a longer Base64 text, at any offset.
    for (before, from) in [("", 0), ("x", 2), ("xx", 3)] {
        let whole = STANDARD.encode(format!("{before}{text}"));
        all.push(whole.as_bytes()[from..whole.len() - 4].to_vec());
    }
    all
}

/// Images in a request to a model.
fn pictures(request: &str) -> Vec<Vec<u8>> {
    let pieces = request.split("base64,").skip(1);
    let inside = pieces.filter_map(|piece| piece.split('"').next());
    inside.filter_map(|text| STANDARD.decode(text).ok()).collect()
}

/// A task whose run waits for a person to sign in, and then reads the page in every way.
async fn asks_for_a_sign_in(office: &Office, ada: &Agent, url: &str) -> TaskId {
    let ask = json!({ "question": "Sign me in at the shop", "in_browser": true });
    let opens = json!({ "action": "navigate", "url": format!("{url}shows") });
    office.model.push(Turn::call("browser", opens)).push(Turn::call("ask_person", ask));
    for look in [
        json!({ "action": "snapshot" }),
        json!({ "action": "screenshot", "labels": true }),
        json!({ "action": "snapshot", "markdown": true }),
        json!({ "action": "back" }),
    ] {
        office.model.push(Turn::call("browser", look));
    }
    let done = json!({ "summary": "The shop is open.", "task_state": "complete" });
    office.model.push(Turn::call("work_done", done));
    let task = office.task("Buy paint", ada).await;
    office
        .until("a run that asks", |snap| {
            let all: Vec<Run> = snap.list(&Range::all())?;
            let asks = |run: &Run| run.task == Some(task.id) && run.state == RunState::Waiting;
            Ok(all.into_iter().find(asks))
        })
        .await;
    task.id
}

/// Asserts that no text, image or file below a folder contains the text.
fn is_nowhere(text: &str, texts: &[(&str, String)], pictures: &[Vec<u8>], folder: &Path) {
    for form in written(text) {
        let is_in = |bytes: &[u8]| bytes.windows(form.len()).any(|window| window == form);
        for (place, words) in texts {
            let told = String::from_utf8_lossy(&form);
            assert!(!is_in(words.as_bytes()), "{place} has it, written as {told}");
        }
        assert!(!pictures.iter().any(|picture| is_in(picture)), "it stands in a picture's file");
        assert_eq!(with(folder, &form), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_password_typed_for_an_agent_nothing_is_left_anywhere() {
    if !is_possible() {
        return;
    }
    let (office, ada, url) = opened().await;
    let owner = office.hq.owner();
    let vera = office.hq.another("Vera", Some(Role::Admin)).await;
    let task = asks_for_a_sign_in(&office, &ada, &url).await;

    // A second viewer records everything that the view and the workspace stream send.
    let mut recorder = vera.ticketed(PAGE).await;
    recorder.picture(|bytes| 100 < share(bytes, [0, 0, 255])).await;
    let recording = tokio::spawn(recorded(recorder));
    let feed = Arc::new(Mutex::new(String::new()));
    let mut live = vera.stream("/w/marlow-cargo/events").await;
    let hears = tokio::spawn({
        let feed = Arc::clone(&feed);
        async move {
            while let Some(message) = live.next().await {
                feed.lock().push_str(&message.data);
            }
        }
    });

    let mut socket = owner.ticketed(PAGE).await;
    takes(&mut socket).await;
    click(&mut socket, 40).await;
    for letter in PLANTED.chars() {
        socket.say(&json!({ "do": "down", "key": letter, "text": letter })).await;
    }
    click(&mut socket, 200).await;
    socket.picture(is_red).await;
    let mut answers = String::new();
    for path in ["snapshot", "screenshot", "pdf", "console", "errors", "requests", "storage/local"]
    {
        let answer = vera.get(&format!("{API}/{path}")).await;
        assert_ne!(answer.status, StatusCode::OK, "{path} tells nothing in the dark");
        answers.push_str(&answer.text);
    }
    click(&mut socket, 120).await;
    let is_in =
        |state: &Value| state["tabs"][0]["url"].as_str().is_some_and(|at| at.ends_with("/in"));
    socket.state(|state| state["dark"] == "" && is_in(state)).await;
    let recorded = tokio::time::timeout(Duration::from_secs(30), recording).await;
    let (said, frames) = recorded.expect("in time").expect("it ends");
    socket.say(&json!({ "do": "hand", "note": "Signed in" })).await;
    let run = office.worked(task, 1).await;
    hears.abort();

    let shots = office.ws().read(|snap| browsers::shots(snap, run.id)).expect("a store");
    let mut drawn: Vec<Vec<u8>> = frames.iter().map(|framed| framed[4..].to_vec()).collect();
    let home = format!("/w/marlow-cargo/runs/{}", run.name());
    for shot in shots.iter().filter(|shot| shot.after.is_some()) {
        drawn.push(owner.download(&format!("{home}/calls/{}/page", shot.step)).await);
    }
    assert!(frames.len() < drawn.len(), "its acts have pictures: {shots:?}");
    let requests = office.model.requests();
    drawn.extend(requests.iter().flat_map(|request| pictures(&request.raw)));
    for picture in &drawn {
        assert!(share_of(picture, [255, 0, 0]) <= 5, "a picture shows what was typed");
    }
    for path in [home.as_str(), PAGE, "/w/marlow-cargo/activity", "/api/v1/activity"] {
        answers.push_str(&owner.get(path).await.text);
    }
    let asked = requests.iter().map(|request| request.raw.as_str()).collect::<String>();
    assert!(asked.contains("Welcome"), "the agent goes on behind the sign-in");
    let kept = [
        ("what came to the view", said),
        ("the feed", feed.lock().clone()),
        ("the steps", format!("{:?} {shots:?}", office.events(run.id))),
        ("the prompts", asked),
        ("pages and answers", answers),
    ];
    is_nowhere(PLANTED, &kept, &drawn, &office.hq.data());
    office.hq.finish().await;
}

#[test]
fn a_text_is_found_in_each_way_in_which_it_is_written() {
    let forms = written(PLANTED);
    for before in ["", "a", "ab", "abc"] {
        let whole = STANDARD.encode(format!("{before}{PLANTED} and more"));
        let has = |form: &Vec<u8>| whole.as_bytes().windows(form.len()).any(|one| one == form);
        assert!(forms.iter().any(has), "{whole}");
    }
    let request = format!("{{\"url\":\"data:image/jpeg;base64,{}\"}}", STANDARD.encode("picture"));
    assert_eq!(pictures(&request), [b"picture".to_vec()]);
}

/// Files below a folder that contain these bytes, without the browser's own files.
fn with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // Deleted files contain nothing.
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

/// Results of these calls, in a run of their own.
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
    assert!(!acts[0].0 && acts[0].1.contains("OTHER can only be sent to a.example"), "{acts:?}");
    assert!(acts[1].0 && acts[1].1.contains("SHOP_PASSWORD is filled in"), "{acts:?}");
    assert!(!acts[2].0 && acts[2].1.contains("hidden"), "{acts:?}");
    assert!(acts[3].0, "{acts:?}");
    assert!(acts[4].0 && acts[4].1.contains("Welcome"), "{acts:?}");
    assert!(!format!("{acts:?}").contains(PLANTED), "{acts:?}");
    office.hq.finish().await;
}
