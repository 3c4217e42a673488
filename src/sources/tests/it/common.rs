//! Test fixtures: an HQ that may read a folder, a scripted web site, and waiting for syncs.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loopback::{Step, answer, serving};
use net::client::ClientParts;
use net::guard::{Exceptions, Lookup, Resolver};
use serde_json::{Value, json};
use support::hq::{Person, Setup, TestHq};
use support::work::listed;

pub const HERE: &str = "/w/marlow-cargo";

/// An HQ whose sources may read below this folder.
pub fn reading(folder: &Path) -> Setup {
    let folder = folder.to_owned();
    Setup::default()
        .config(move |config| config.source_folders = vec![folder.clone()])
        .http(outside())
}

/// Maps every host to the loopback address; only `site.test` may be reached there.
struct OneSite;

impl Exceptions for OneSite {
    fn host(&self, host: &str, _port: u16) -> bool {
        host == "site.test"
    }
    fn address(&self, host: &str, _address: IpAddr) -> bool {
        host == "site.test"
    }
}

impl Resolver for OneSite {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

pub fn outside() -> ClientParts {
    ClientParts {
        resolver: Arc::new(OneSite),
        exceptions: Arc::new(OneSite),
        ..ClientParts::default()
    }
}

pub fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

pub async fn added(api: &Person, body: Value) -> Value {
    let made = api.post("/api/v1/sources", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// Creates a folder source and waits for its first sync.
pub async fn folder(api: &Person, path: &Path) -> String {
    let reads = json!({ "path": path });
    let made =
        added(api, json!({ "connector": "folder", "name": "Handbook", "reads": reads })).await;
    synced(api, &id(&made), 1).await;
    id(&made)
}

/// Waits for the end of sync number `n`; returns the source.
pub async fn synced(api: &Person, source: &str, n: u64) -> Value {
    for _ in 0..1_000 {
        let now = api.get(&format!("/api/v1/sources/{source}")).await.json();
        let last = &now["syncs"][0];
        if n <= last["n"].as_u64().unwrap_or(0) && last["state"] != "running" {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no sync {n} of {source}");
}

/// Starts a sync and waits for its end.
pub async fn resync(api: &Person, source: &str) -> Value {
    let now = api.get(&format!("/api/v1/sources/{source}")).await.json();
    let n = now["syncs"][0]["n"].as_u64().unwrap_or(0);
    let response = api.post(&format!("/api/v1/sources/{source}/sync"), &json!({})).await;
    assert_eq!(response.status, 202, "{}", response.text);
    synced(api, source, n + 1).await
}

pub async fn titles(api: &Person, query: &str) -> Vec<String> {
    let items = listed(api, query).await["items"].as_array().expect("items").clone();
    items.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

/// Places and states of a source's items.
pub async fn states(api: &Person, source: &str) -> Vec<(String, String)> {
    let all = api.get(&format!("/api/v1/sources/{source}/items")).await.json();
    let word = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let items = all["items"].as_array().expect("items");
    items.iter().map(|one| (word(one, "place"), word(one, "state"))).collect()
}

/// Number of a source's items with this state.
pub async fn with_state(api: &Person, source: &str, state: &str) -> usize {
    states(api, source).await.iter().filter(|(_, one)| one == state).count()
}

pub async fn advance(hq: &TestHq, hours: u64) {
    hq.advance(Duration::from_secs(hours * 3600)).await;
}

/// Text of page `n` (0 to 9), with a word that no other page has.
pub fn words(n: usize) -> String {
    const WORDS: [&str; 10] = [
        "zebra", "walnut", "harbour", "saffron", "glacier", "piano", "meadow", "copper", "lantern",
        "orchid",
    ];
    format!("About the {}.", WORDS.get(n).unwrap_or(&"rest"))
}

/// A site with scripted responses by path; records requests.
#[derive(Default)]
pub struct Site {
    answers: Mutex<HashMap<String, (String, String, String)>>,
    requests: Mutex<Vec<String>>,
}

impl Site {
    pub fn put(&self, path: &str, status: &str, headers: &str, body: &str) {
        let kept = (status.to_owned(), headers.to_owned(), body.to_owned());
        self.answers.lock().expect("whole").insert(path.to_owned(), kept);
    }

    pub fn page(&self, path: &str, words: &str) {
        let title = path.trim_matches('/');
        let body = format!("<title>{title}</title><main><p>{words}</p></main>");
        self.put(path, "200 OK", "content-type: text/html\r\n", &body);
    }

    pub fn drop(&self, path: &str) {
        self.answers.lock().expect("whole").remove(path);
    }

    /// Sets a sitemap of pages, each with its day of last change.
    pub fn lists(&self, base: &str, pages: &[(usize, u32)]) {
        let one = |(page, day): &(usize, u32)| {
            format!("<url><loc>{base}/p{page}</loc><lastmod>2026-01-{day:02}</lastmod></url>")
        };
        let all: String = pages.iter().map(one).collect();
        self.put("/sitemap.xml", "200 OK", "", &format!("<urlset>{all}</urlset>"));
    }

    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("whole"))
    }

    fn answer(&self, request: &str) -> Vec<Step> {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        self.requests.lock().expect("whole").push(path.clone());
        match self.answers.lock().expect("whole").get(&path) {
            Some((status, _, _)) if status == "stall" => vec![Step::Stall],
            Some((status, headers, body)) => answer(status, headers, body),
            None => answer("404 Not Found", "", ""),
        }
    }

    /// Serves the site while `client` runs; `client` gets its address.
    pub async fn serve<T>(&self, client: impl AsyncFnOnce(String) -> T) -> T {
        let url = |address: SocketAddr| format!("http://site.test:{}", address.port());
        serving(|request| self.answer(request), async |address| client(url(address)).await).await
    }
}
