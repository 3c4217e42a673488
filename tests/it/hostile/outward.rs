//! The programs' proxy: host lists, services that people open inside, and tunnels.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use features::agents::rules as agents;
use net::guard::{Exceptions, Lookup, Resolver};
use sandbox::confine::{PORTS, landlock_abi};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::network::{Inner, office};
use super::programs::skipped;
use crate::away::until;
use support::model::Turn;

/// A program with network access that sends this to its proxy, with its credentials.
fn says(before: &str, head: &str) -> Turn {
    let command = format!(
        "{before}bash -c 'a=${{http_proxy#http://}}; p=${{a##*:}}; a=$(printf %s \"${{a%@*}}\" | base64 -w0); \
         exec 3<>/dev/tcp/127.0.0.1/$p; \
         printf \"{head} HTTP/1.1\\r\\nProxy-Authorization: Basic $a\\r\\n\\r\\n\" >&3; cat <&3'"
    );
    Turn::call("exec", json!({ "command": command }))
}

/// The programs' proxy reaches public addresses while the switch is on; without credentials nothing passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_with_the_network_reaches_what_is_public_and_nothing_inside() {
    if landlock_abi() < PORTS {
        skipped("this kernel cannot tell ports apart");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    let page = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        "zanzibar"
    };
    let router = Router::new().route("/page", get(page));
    let site = tokio::spawn(async move { axum::serve(listener, router).await });
    let office = office(Arc::new(Inner)).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let switch = |on| agents::Changes { network: Some(on), ..agents::Changes::default() };
    office.change(ada.id, switch(true)).await;
    let closed = [
        format!("GET http://127.0.0.1:{port}/page"),
        format!("GET http://localhost:{port}/page"),
        format!("GET http://rebound.example:{port}/page"),
        "GET http://rebound.example/page".to_owned(),
        format!("CONNECT 127.0.0.1:{port}"),
        "CONNECT 169.254.169.254:80".to_owned(),
        "CONNECT 10.0.0.1:443".to_owned(),
        "CONNECT [::1]:443".to_owned(),
        "CONNECT rebound.example:443".to_owned(),
        "CONNECT site.test:22/".to_owned(),
    ];
    let open = format!("GET http://site.test:{port}/page");
    office.model.push(says("", &open));
    for head in &closed {
        office.model.push(says("", head));
    }
    let no_pass = "export http_proxy=http://agent:x@127.0.0.1:${http_proxy##*:}; ";
    office.model.push(says(no_pass, &open)).push(Turn::text("Tried."));
    let run = office.say(&ada, "Look around").await;
    office.ended(run).await;
    let results = office.results(run);
    let first = &results[0].2;
    assert!(first.contains("200 OK") && first.contains("zanzibar"), "{first}");
    assert!(first.contains("<<<EXTERNAL_UNTRUSTED_CONTENT id="), "{first}");
    for ((_, _, text), head) in results[1..=closed.len()].iter().zip(&closed) {
        let refused = text.contains("HTTP/1.1 403") || text.contains("HTTP/1.1 400");
        assert!(refused && !text.contains("zanzibar"), "{head}: {text}");
    }
    let without = &results[1 + closed.len()].2;
    assert!(without.contains("HTTP/1.1 407") && !without.contains("zanzibar"), "{without}");
    assert_eq!(came.load(Ordering::SeqCst), 1, "by the one open way alone");
    site.abort();
    office.hq.finish().await;
}

/// Open tunnels close when the switch is turned off: a program could otherwise continue forever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_tunnel_ends_when_the_network_is_switched_off() {
    if landlock_abi() < PORTS {
        skipped("this kernel cannot tell ports apart");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let office = office(Arc::new(Inner)).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let switch = |on| agents::Changes { network: Some(on), ..agents::Changes::default() };
    office.change(ada.id, switch(true)).await;
    office.model.push(says("", &format!("CONNECT site.test:{port}")));
    office.model.push(Turn::text("It was closed."));
    let run = office.say(&ada, "Keep a line open").await;
    let (mut line, _) = listener.accept().await.expect("a tunnel");
    // Other changes of an agent leave it open.
    let named = agents::Changes { name: Some("Ada L.".to_owned()), ..agents::Changes::default() };
    office.change(ada.id, named).await;
    line.write_all(b"zanzibar").await.expect("it is open");
    office.change(ada.id, switch(false)).await;
    let mut rest = Vec::new();
    // Data in transit turns the end into a reset.
    match line.read_to_end(&mut rest).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    office.ended(run).await;
    let told = office.results(run).remove(0).2;
    assert!(told.contains("200 Connection established"), "{told}");
    office.hq.finish().await;
}

/// Sockets of this process in other network namespaces.
fn sockets_elsewhere() -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
    let links = open.filter_map(|one| fs::read_link(one.path()).ok());
    let ours: String = ["tcp", "tcp6", "udp", "udp6", "unix", "netlink"]
        .iter()
        .filter_map(|kind| fs::read_to_string(format!("/proc/self/net/{kind}")).ok())
        .collect();
    let ours: HashSet<&str> = ours.split_whitespace().collect();
    let number = |link: PathBuf| {
        let text = link.to_string_lossy().into_owned();
        text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned)
    };
    links.filter_map(number).filter(|number| !ours.contains(number.as_str())).count()
}

/// If the machine permits network namespaces, the proxy listens inside the program's namespace while it runs; otherwise
/// on this machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_out_is_in_a_network_of_the_programs_own_and_closes_with_it() {
    if landlock_abi() < PORTS {
        skipped("this kernel cannot tell ports apart");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let office = office(Arc::new(Inner)).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    office.change(ada.id, agents::Changes { network: Some(true), ..Default::default() }).await;
    let sandbox = office.ws().app.sandbox.clone();
    let has_own = sandbox.has_own_networks().await;
    if !has_own {
        skipped("this machine gives programs no network of their own");
    }
    for own in [has_own, false] {
        if !own {
            sandbox.share_networks();
        }
        office.model.push(says("", &format!("CONNECT site.test:{port}")));
        office.model.push(Turn::text("It was closed."));
        let run = office.say(&ada, "Keep a line open").await;
        let (line, _) = listener.accept().await.expect("a tunnel");
        // The listener and the connection.
        assert_eq!(sockets_elsewhere(), if own { 2 } else { 0 });
        drop(line);
        office.ended(run).await;
        let told = office.results(run).remove(0).2;
        assert!(told.contains("200 Connection established"), "{told}");
        until("its way out stayed open", || sockets_elsewhere() == 0).await;
    }
    office.hq.finish().await;
}

/// Resolves two names to this machine.
struct Two;

impl Exceptions for Two {
    fn host(&self, host: &str, _port: u16) -> bool {
        host == "site.test" || host == "other.test"
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.host(host, 0) && address.is_loopback()
    }
}

impl Resolver for Two {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// A list of hosts applies to pages, their redirects, and programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_a_list_of_hosts_reaches_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let away = format!("http://other.test:{port}/page");
    let router = Router::new()
        .route("/page", get(|| async { "zanzibar" }))
        .route("/away", get(move || async move { Redirect::temporary(&away) }));
    let site = tokio::spawn(async move { axum::serve(listener, router).await });
    let office = office(Arc::new(Two)).await;
    let abi = landlock_abi();
    office.settings(move |settings| settings.exec_without_jail = abi == 0).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    office.change(ada.id, on).await;
    let owner = office.hq.owner();
    let reach = "/api/v1/agents/ada/reach";
    let wrong = owner.json("PUT", reach, &json!({ "only": ["http://site.test"] })).await;
    assert_eq!(wrong.status, axum::http::StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let list = json!({ "only": ["Site.test", "*.docs.test"] });
    let list = owner.json("PUT", reach, &list).await.json();
    assert_eq!(list["only"], json!(["*.docs.test", "site.test"]));
    let fetch = |turn: Turn, host: &str, path: &str| {
        turn.and_call("web_fetch", json!({ "url": format!("http://{host}:{port}/{path}") }))
    };
    let pages = fetch(Turn::text("I look."), "site.test", "page");
    let pages = fetch(fetch(pages, "other.test", "page"), "site.test", "away");
    office.model.push(pages);
    office.model.push(says("", &format!("GET http://site.test:{port}/page")));
    office.model.push(says("", &format!("GET http://other.test:{port}/page")));
    office.model.push(says("", &format!("CONNECT other.test:{port}")));
    office.model.push(Turn::text("Tried."));
    let run = office.say(&ada, "Look around").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].1 && results[0].2.contains("zanzibar"), "{results:?}");
    for (_, ok, text) in &results[1..=2] {
        assert!(!ok && text.contains("other.test isn't on this agent's list"), "{text}");
    }
    if abi < PORTS {
        skipped("this kernel cannot tell ports apart: programs have no network");
    } else {
        assert!(results[3].2.contains("zanzibar"), "{results:?}");
        for (_, _, text) in &results[4..=5] {
            assert!(text.contains("HTTP/1.1 403") && !text.contains("zanzibar"), "{text}");
        }
    }
    let page = owner.get("/w/marlow-cargo/agents/ada/settings").await;
    assert!(page.text.contains("*.docs.test\nsite.test</textarea>"), "{}", page.text);
    let form = "/w/marlow-cargo/agents/ada/reach";
    assert_eq!(owner.form(form, &[("hosts", "")]).await.status, axum::http::StatusCode::SEE_OTHER);
    assert_eq!(owner.get(reach).await.json()["only"], json!([]));
    site.abort();
    office.hq.finish().await;
}

/// Only people can open a private host, and exactly that host is opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_open_inside_is_reached_and_nothing_beside_it() {
    let serve = |name: &'static str, to: Option<u16>| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let away = format!("http://127.0.0.1:{}/page", to.unwrap_or(port));
        let router = Router::new()
            .route("/page", get(move || async move { name }))
            .route("/away", get(move || async move { Redirect::temporary(&away) }));
        (port, tokio::spawn(async move { axum::serve(listener, router).await }))
    };
    let (beside, beside_site) = serve("beside", None).await;
    let (port, site) = serve("zanzibar", Some(beside)).await;
    let (outside, outside_site) = serve("outside", Some(port)).await;
    let office = office(Arc::new(Inner)).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    office.change(ada.id, on).await;
    let owner = office.hq.owner();
    let open = format!("127.0.0.1:{port}");
    let wrong = owner.json("PUT", "/api/v1/reach", &json!({ "opened": ["169.254.169.254"] })).await;
    assert_eq!(wrong.status, axum::http::StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let form = [("hosts", open.as_str())];
    let saved = owner.form("/w/marlow-cargo/settings/reach", &form).await;
    assert_eq!(saved.status, axum::http::StatusCode::SEE_OTHER, "{}", saved.text);
    assert_eq!(owner.get("/api/v1/reach").await.json()["opened"], json!([open]));
    let urls = [
        format!("http://127.0.0.1:{port}/page"),
        format!("http://127.0.0.1:{port}/away"),
        format!("http://127.0.0.1:{beside}/page"),
        format!("http://localhost:{port}/page"),
        format!("http://site.test:{outside}/away"),
    ];
    let fetches = urls
        .iter()
        .fold(Turn::text("I look."), |turn, url| turn.and_call("web_fetch", json!({ "url": url })));
    office.model.push(fetches);
    let has_ports = landlock_abi() >= PORTS;
    if has_ports {
        office.model.push(says("", &format!("GET {}", urls[0])));
        office.model.push(says("", &format!("GET {}", urls[2])));
    }
    office.model.push(Turn::text("Tried."));
    let run = office.say(&ada, "Look around").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].1 && results[0].2.contains("zanzibar"), "{results:?}");
    for (_, ok, text) in &results[1..5] {
        assert!(!ok && !text.contains("zanzibar") && !text.contains("beside"), "{text}");
    }
    if has_ports {
        assert!(results[5].2.contains("zanzibar"), "{}", results[5].2);
        assert!(results[6].2.contains("HTTP/1.1 403"), "{}", results[6].2);
    }
    for site in [beside_site, site, outside_site] {
        site.abort();
    }
    office.hq.finish().await;
}
