//! What a tainted conversation may send to the web in addresses and headers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use features::agents::model::Agent;
use features::connections::model::Wire;
use kernel::TrustMode;
use net::client::ClientParts;
use net::guard::{Exceptions, Lookup, Resolver};
use parking_lot::Mutex;
use serde_json::json;
use support::hq::Setup;
use support::model::Turn;
use support::office::Office;
use tokio::net::TcpListener;

use super::{answer, asked, results};

/// Resolver that maps all names with this suffix to this machine.
struct Names;

impl Exceptions for Names {
    fn host(&self, host: &str, _port: u16) -> bool {
        host.ends_with(".test")
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.host(host, 0) && address.is_loopback()
    }
}

impl Resolver for Names {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// Requests that the site got, by host and address.
type Came = Arc<Mutex<Vec<String>>>;

const DEEP: &str =
    "/deep/0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789";

/// A site for all names; returns its port.
async fn site(came: Came) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let page = move |headers: HeaderMap, uri: Uri| {
        let came = Arc::clone(&came);
        async move {
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let host = host.split(':').next().unwrap_or_default();
            came.lock().push(format!("{host} {uri}"));
            let answer: Response = match uri.path() {
                "/away" => Redirect::temporary(&format!("http://other.test:{port}/?from=away"))
                    .into_response(),
                _ => Html(format!(
                    "<html><title>Prices</title><body><article><p>Our prices, with much to read about them.</p>\
                     <p><a href=\"http://site.test:{port}{DEEP}\">All of them</a> and \
                     <a href=\"http://linked.test:{port}/\">our friends</a></p></article></body></html>"
                ))
                .into_response(),
            };
            answer
        }
    };
    let router = Router::new().fallback(page);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

pub(super) async fn office() -> Office {
    let way = Arc::new(Names);
    let http = ClientParts { resolver: way.clone(), exceptions: way, ..ClientParts::default() };
    Office::with(Setup::default().http(http), Wire::OpenaiChat, "mock").await
}

/// An agent in this mode that needs approval after reading external content.
async fn heeding(office: &Office, name: &str, mode: TrustMode) -> Agent {
    let agent = office.agent(name).await;
    office.trust(agent.id, mode).await;
    let path = format!("/api/v1/agents/{}/autonomy", agent.slug);
    let set = office.hq.owner().json("PUT", &path, &json!({ "autonomous": false })).await;
    assert!(set.status.is_success(), "{}", set.text);
    agent
}

fn fetches(url: String) -> Turn {
    Turn::call("web_fetch", json!({ "url": url }))
}

/// Denies the approvals one after the other, and checks the reason of each.
async fn denied(office: &Office, run: kernel::RunId, whys: &[&str]) {
    for why in whys {
        let approval = asked(office, run).await;
        assert!(approval.why.starts_with("It has read untrusted content (web_fetch in step 1"));
        assert!(approval.why.contains(why), "{why}: {}", approval.why);
        answer(office, &approval, json!({ "answer": "denied" })).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_words_from_outside_an_address_goes_to_known_hosts_with_little_in_it() {
    let (came, data) = (Came::default(), "a".repeat(100));
    let office = office().await;
    for (name, mode) in [("Ada", TrustMode::Ask), ("Otto", TrustMode::Full)] {
        // A site of its own, because responses of another one are cached for a while.
        let port = site(Arc::clone(&came)).await;
        came.lock().clear();
        let agent = heeding(&office, name, mode).await;
        let at = |host: &str, rest: &str| format!("http://{host}.test:{port}{rest}");
        let asks = |host: &str, headers: serde_json::Value| {
            let url = at(host, "/");
            Turn::call("http_request", json!({ "url": url, "method": "GET", "headers": headers }))
        };
        let turns = [
            fetches(at("site", "/page")),
            fetches(at("site", DEEP)),
            fetches(at("site", "/away")),
            fetches(at("site", &format!("/?d={data}"))),
            fetches(at("other", "/x?d=secret")),
            fetches(at("linked", "/")),
            asks("other", json!({})),
            asks("site", json!({ "x-data": data })),
            Turn::text("Read."),
        ];
        for turn in turns {
            office.model.push(turn);
        }
        let run = office.say(&agent, &format!("Read {}", at("site", "/page"))).await;
        let whys = [
            "bytes to site.test that aren't in any link",
            "no one has sent it to other.test",
            "no one has sent it to linked.test",
            "no one has sent it to other.test",
            "bytes to site.test that aren't in any link",
        ];
        denied(&office, run, &whys).await;
        let told = results(&office, run).await;
        assert!(told[0].1 && told[1].1, "{told:?}");
        assert!(!told[2].1 && told[2].2.contains("redirects to other.test"), "{}", told[2].2);
        let seen = came.lock().join("\n");
        assert_eq!(seen, format!("site.test /page\nsite.test {DEEP}\nsite.test /away"));

        // Known hosts stay known, and a person names further hosts.
        office.model.push(fetches(at("site", "/more"))).push(fetches(at("other", "/notes")));
        office.model.push(fetches(at("linked", "/"))).push(Turn::text("Read."));
        let run = office.say(&agent, "Look there once more, and what other.test says").await;
        denied(&office, run, &["no one has sent it to linked.test"]).await;
        let told = results(&office, run).await;
        assert!(told[0].1 && told[1].1, "{told:?}");

        // A list restricts where requests go, not how much data they carry.
        let path = format!("/api/v1/agents/{}/reach", agent.slug);
        let list = json!({ "only": ["linked.test", "site.test"] });
        let set = office.hq.owner().json("PUT", &path, &list).await;
        assert!(set.status.is_success(), "{}", set.text);
        office.model.push(fetches(at("linked", "/list")));
        office.model.push(fetches(at("linked", &format!("/?d={data}")))).push(Turn::text("Read."));
        let run = office.say(&agent, "And the friends").await;
        denied(&office, run, &["bytes to linked.test"]).await;
        let told = results(&office, run).await;
        assert!(told[0].1, "{told:?}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_words_from_outside_a_long_search_needs_approval() {
    let office = office().await;
    let port = site(Came::default()).await;
    let agent = heeding(&office, "Ada", TrustMode::Ask).await;
    let page = format!("http://site.test:{port}/page");
    let searches = |words: &str| Turn::call("web_search", json!({ "query": words }));
    office.model.push(fetches(page.clone())).push(searches("prices"));
    office.model.push(searches(&"a b ".repeat(75))).push(Turn::text("Searched."));
    let run = office.say(&agent, &format!("Read {page}")).await;
    denied(&office, run, &["bytes to a search engine"]).await;
    let told = results(&office, run).await;
    assert!(told[1].2.contains("no_engine"), "{}", told[1].2);
    office.hq.finish().await;
}
