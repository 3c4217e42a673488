//! Browsers of agents, with the real Chromium in the jail and a test site.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use browser::launch::Tended;
use browser::setup::PROGRAM;
use features::agents::model::Agent;
use features::browsers::model::AgentBrowser;
use kernel::TrustMode;
use reqwest::StatusCode;
use sandbox::confine::{PORTS, landlock_abi};
use serde_json::{Value, json};
use store::ReadExt as _;
use tokio::net::TcpListener;

use support::model::Turn;
use support::office::Office;

const PAGE: &str = "/w/marlow-cargo/agents/ada/browser";
const API: &str = "/api/v1/agents/ada/browser";
/// A download of the site.
const OFFER: &str = "%PDF-1.4 zanzibar";

/// A document with different content for clients with cookies.
async fn paper(headers: axum::http::HeaderMap) -> impl axum::response::IntoResponse {
    let text = match headers.contains_key("cookie") {
        true => "The paper of a guest",
        false => "The paper of a stranger",
    };
    ([("content-type", "application/pdf"), ("set-cookie", "guest=1")], pdf_that_says(text))
}

fn pdf_that_says(text: &str) -> Vec<u8> {
    let words = format!("BT /F1 18 Tf 20 100 Td ({text}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>".to_owned(),
        format!("<</Length {}>>stream\n{words}\nendstream", words.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let (mut pdf, mut places) = ("%PDF-1.4\n".to_owned(), Vec::new());
    for (number, object) in (1..).zip(objects) {
        places.push(format!("{:010} 00000 n \n", pdf.len()));
        pdf.push_str(&format!("{number} 0 obj{object}endobj\n"));
    }
    let (at, table) = (pdf.len(), places.concat());
    pdf.push_str(&format!(
        "xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n"
    ));
    pdf.into_bytes()
}

/// Whether this machine can restrict a browser to its proxy.
#[expect(clippy::print_stdout, reason = "a test that cannot run here says why")]
pub fn is_possible() -> bool {
    assert!(std::path::Path::new(PROGRAM).is_file(), "{PROGRAM} is missing; run `make setup`");
    let possible = PORTS <= landlock_abi();
    if !possible {
        println!("skipped: this kernel cannot tell ports apart");
    }
    possible
}

/// A site, and a recorder of requests to another, forbidden one.
struct Site {
    port: u16,
    trap: u16,
    trapped: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Site {
    async fn start() -> Self {
        let site = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = site.local_addr().expect("an address").port();
        let trap = other.local_addr().expect("an address").port();
        let filler: String = (0..40).map(|n| format!("<p>Filler line {n}.</p>")).collect();
        let page = format!(
            "<title>Shop</title><h1>Shop</h1><label>Name <input id=name></label>
            <button onclick=\"out.textContent = 'Hello ' + document.getElementById('name').value\">Greet</button>
            <p id=out>Nobody yet</p>{filler}<img alt='' src='http://127.0.0.1:{trap}/picture'>"
        );
        let offer = || async {
            let kept = "attachment; filename=\"offer.pdf\"";
            ([("content-type", "application/pdf"), ("content-disposition", kept)], OFFER)
        };
        let shop = Router::new()
            .route("/", get(move || async move { Html(page) }))
            .route("/offer", get(offer))
            .route("/paper", get(paper));
        let trapped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&trapped);
        let closed = Router::new().fallback(move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            "zanzibar"
        });
        let tasks = vec![
            tokio::spawn(async move { axum::serve(site, shop).await }),
            tokio::spawn(async move { axum::serve(other, closed).await }),
        ];
        Self { port, trap, trapped, tasks }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Results of these calls, in a run of their own.
async fn browses(office: &Office, ada: &Agent, calls: &[Value]) -> Vec<(bool, String)> {
    for call in calls {
        office.model.push(Turn::call("browser", call.clone()));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(ada, "Use your browser").await;
    office.ended(run).await;
    let results = office.results(run);
    assert_eq!(results.len(), calls.len(), "{results:?}");
    results.into_iter().map(|(_, ok, text)| (ok, text)).collect()
}

/// The ref in the line with these words.
fn part(text: &str, words: &str) -> String {
    let line = text.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no {words} in {text}"));
    let at = line.find("[e").unwrap_or_else(|| panic!("no ref in {line}")) + 1;
    line[at..at + line[at..].find(']').expect("its end")].to_owned()
}

async fn switched(office: &Office, on: bool) -> Value {
    let answer = office.hq.owner().json("PUT", API, &json!({ "on": on })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pdf_in_a_tab_is_read_as_text_between_marks() {
    if !is_possible() {
        return;
    }
    let site = Site::start().await;
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let reach = json!({ "opened": [format!("127.0.0.1:{}", site.port)] });
    let opened = office.hq.owner().json("PUT", "/api/v1/reach", &reach).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    switched(&office, true).await;

    let url = format!("{}paper", site.url());
    let told = browses(
        &office,
        &ada,
        &[
            json!({ "action": "open", "url": url }),
            json!({ "action": "reload" }),
            json!({ "action": "snapshot", "find": "GUEST" }),
            json!({ "action": "snapshot", "find": "nobody" }),
        ],
    )
    .await;
    for (ok, text) in &told[..3] {
        let (ours, marked) =
            text.split_once("<<<EXTERNAL_UNTRUSTED_CONTENT").expect("it is marked");
        assert!(*ok && ours.contains("the text of a PDF of 1 page"), "{text}");
        assert!(!ours.contains("paper of") && marked.contains("The paper of a"), "{text}");
    }
    assert!(
        told[2].1.contains("The paper of a guest"),
        "with the cookies of the tab: {}",
        told[2].1
    );
    assert!(!told[3].1.contains("The paper of"), "{}", told[3].1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_uses_a_browser_once_a_person_has_switched_it_on() {
    if !is_possible() {
        return;
    }
    let site = Site::start().await;
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let reach = json!({ "opened": [format!("127.0.0.1:{}", site.port)] });
    let opened = owner.json("PUT", "/api/v1/reach", &reach).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    let open = json!({ "action": "open", "url": site.url() });

    let off = browses(&office, &ada, std::slice::from_ref(&open)).await;
    assert!(!off[0].0 && off[0].1.contains("a person can turn it on"), "{off:?}");
    assert_eq!(switched(&office, true).await["on"], true);

    let seen = browses(&office, &ada, std::slice::from_ref(&open)).await;
    let (ok, page) = &seen[0];
    assert!(*ok && page.starts_with("in t1, status 200"), "{page}");
    let (before, marked) = page.split_once("<<<EXTERNAL_UNTRUSTED_CONTENT").expect("it is marked");
    assert!(!before.contains("Shop") && marked.contains("Filler line 7."), "{page}");
    let (name, greet) = (part(page, "\"Name\""), part(page, "button \"Greet\""));

    let fill = json!({ "action": "fill", "ref": name, "text": "Zoë" });
    let click = json!({ "action": "click", "ref": greet });
    let gone = json!({ "action": "click", "ref": "e999" });
    let acts = browses(&office, &ada, &[fill, click, gone]).await;
    assert!(acts[0].0 && acts[0].1.contains("= \"Zoë\""), "{acts:?}");
    assert!(acts[1].0 && acts[1].1.contains("Hello Zoë"), "{acts:?}");
    for (_, text) in &acts[..2] {
        assert!(!text.contains("Filler") && text.len() < 1_000, "{text}");
    }
    assert!(!acts[2].0 && acts[2].1.contains("no longer in the page"), "{acts:?}");
    assert!(acts[2].1.contains(&format!("button \"Greet\" [{greet}]")), "{acts:?}");

    let closed = [
        json!({ "action": "open", "url": format!("http://127.0.0.1:{}/", site.trap) }),
        json!({ "action": "navigate", "url": "http://10.0.0.1/" }),
        json!({ "action": "navigate", "url": "file:///etc/passwd" }),
        json!({ "action": "screenshot" }),
    ];
    let closed = browses(&office, &ada, &closed).await;
    for (ok, text) in &closed[..3] {
        let refused = text.contains("not opened") || text.contains("can't be opened");
        assert!(!ok && refused, "{text}");
    }
    assert!(closed[3].0 && closed[3].1.contains("Shop"), "{closed:?}");
    assert_eq!(site.trapped.load(Ordering::SeqCst), 0, "nobody came there");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_what_a_browser_shows_and_stop_and_reset_it() {
    if !is_possible() {
        return;
    }
    let site = Site::start().await;
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let owner = office.hq.owner();
    let reach = json!({ "opened": [format!("127.0.0.1:{}", site.port)] });
    assert!(owner.json("PUT", "/api/v1/reach", &reach).await.status.is_success());
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("Ada has no browser"), "{}", page.text);
    let on = owner.form(&format!("{PAGE}/switch"), &[("on", "on")]).await;
    assert_eq!(on.location(), Some(PAGE), "{}", on.text);
    let picture = format!("{PAGE}/picture");
    assert_eq!(owner.get(&picture).await.status, StatusCode::NOT_FOUND);

    browses(&office, &ada, &[json!({ "action": "open", "url": site.url() })]).await;
    let told = owner.get(API).await.json();
    assert_eq!((&told["running"], &told["needs"]), (&json!(true), &json!([])), "{told}");
    assert_eq!(told["tabs"][0]["title"], "Shop", "{told}");
    let page = owner.get(PAGE).await;
    assert!(page.text.contains(&format!("<img src=\"{picture}\"")), "{}", page.text);
    assert!(page.text.contains("Shop") && page.text.contains(&site.url()), "{}", page.text);
    assert_eq!(owner.download(&picture).await[..3], [0xff, 0xd8, 0xff]);

    let browser = office.hq.running().app.browsers.get(office.ws().browser_of(ada.id));
    let browser = browser.expect("it was used");
    let Tended::Fine(health) = browser.tend().await else { panic!("it runs") };
    let process = format!("/proc/{}", health.pid);
    assert!(std::path::Path::new(&process).exists());
    let stopped = owner.form(&format!("{PAGE}/stop"), &[]).await;
    assert_eq!(stopped.location(), Some(PAGE), "{}", stopped.text);
    assert!(!std::path::Path::new(&process).exists(), "its process has ended");
    assert_eq!(owner.get(API).await.json()["running"], false);
    assert_eq!(owner.get(&picture).await.status, StatusCode::NOT_FOUND);

    let profile = office.ws().browser_folder("ada").join("profile");
    assert!(profile.is_dir());
    let reset = owner.form(&format!("{PAGE}/reset"), &[]).await;
    assert_eq!(reset.location(), Some(PAGE), "{}", reset.text);
    assert!(!profile.exists());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_into_the_agents_folder_and_people_take_it_from_the_page() {
    if !is_possible() {
        return;
    }
    let site = Site::start().await;
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let reach = json!({ "opened": [format!("127.0.0.1:{}", site.port)] });
    assert!(owner.json("PUT", "/api/v1/reach", &reach).await.status.is_success());
    switched(&office, true).await;

    let calls = [
        json!({ "action": "open", "url": site.url() }),
        json!({ "action": "snapshot", "markdown": true }),
        json!({ "action": "screenshot", "labels": true }),
        json!({ "action": "navigate", "url": format!("{}offer", site.url()) }),
    ];
    let told = browses(&office, &ada, &calls).await;
    let (ok, text) = &told[1];
    assert!(*ok && text.contains("# Shop") && text.contains("Filler line 7."), "{text}");
    assert!(!text.contains("[e1]"), "{text}");
    assert!(told[2].0 && told[2].1.contains(" button \"Greet\" "), "{told:?}");
    assert!(told[3].0 && told[3].1.contains("a file download"), "{told:?}");

    let save = |args: Value| Turn::call("browser_download", args);
    office.model.push(save(json!({ "name": "OFFER" })));
    office.model.push(save(json!({ "name": "offer", "path": "prices.pdf" })));
    office.model.push(save(json!({ "name": "no such file" })));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Keep it").await;
    office.ended(run).await;
    let results = office.results(run);
    let (_, ok, text) = &results[0];
    assert!(*ok && text.starts_with("saved 17 B"), "{results:?}");
    assert!(
        text.contains("<<<EXTERNAL_UNTRUSTED_CONTENT"),
        "its name is a word of the page: {text}"
    );
    assert!(!results[2].1 && results[2].2.contains("no file with this name"), "{results:?}");
    let folder = office.ws().agent_folder("ada");
    for path in ["downloads/offer.pdf", "prices.pdf"] {
        let kept = std::fs::read_to_string(folder.join(path)).expect("it was kept");
        assert_eq!(kept, OFFER, "{path}");
    }

    let page = owner.get(PAGE).await;
    assert!(page.text.contains("<h2>Actions</h2>"), "{}", page.text);
    let at = page.text.find(&format!("{PAGE}/downloads/")).expect("it stands on the page");
    let href = page.text[at..].split('"').next().expect("its end").to_owned();
    assert_eq!(owner.download(&href).await, OFFER.as_bytes());
    let other = owner.get(&format!("{PAGE}/downloads/..%2fprofile")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "{}", other.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_page_hears_that_the_browser_is_no_longer_as_it_shows_it() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let owner = office.hq.owner();
    let page = owner.get(PAGE).await.text;
    assert!(!page.contains("was turned on"), "{page}");
    let at = page.find(&format!("{PAGE}?shown=")).expect("a region asks");
    let asks = page[at..].split('"').next().expect("its end").to_owned();
    let region = office.hq.owner().htmx("browser-asks");
    let same = region.get(&asks).await;
    assert!(!same.text.contains("role=\"status\""), "{}", same.text);

    switched(&office, true).await;
    let on = region.get(&asks).await;
    assert!(on.text.contains("The browser was turned on."), "{}", on.text);
    switched(&office, false).await;
    let rules = json!({ "blocked_hosts": ["ads.example"] });
    assert!(owner.json("PUT", &format!("{API}/policy"), &rules).await.status.is_success());
    let ruled = region.get(&asks).await;
    assert!(ruled.text.contains("The browser rules were changed."), "{}", ruled.text);
    let forged = region.get(&format!("{PAGE}?shown=%22%3E%3Cb%3E")).await;
    assert!(!forged.text.contains("<b>"), "{}", forged.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_of_a_browser_is_taken_back_by_an_undo() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    assert_eq!(switched(&office, true).await["on"], true);
    let id = ada.id;
    let entry = office.ws().read(|snap| snap.get_rev::<AgentBrowser>(id)).expect("a read");
    let entry = entry.expect("it is there").1;
    let past = office.hq.owner().get(&format!("/w/marlow-cargo/history/agent_browsers/{id}")).await;
    assert!(past.text.contains("History of Browser: Ada"), "{}", past.text);
    let done = office.hq.api().await.post("/api/v1/undo", &json!({ "entry": entry })).await;
    assert!(done.status.is_success(), "{}", done.text);
    assert_eq!(office.hq.owner().get(API).await.json()["on"], false);
    let (owner, on) = (office.hq.owner(), json!({ "on": true }));
    let nobody = owner.json("PUT", "/api/v1/agents/nobody/browser", &on).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    office.hq.finish().await;
}
