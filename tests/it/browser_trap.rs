//! No attempt of a page leaves the browser beside the proxy: test sockets are the traps, and the sockets of all browser
//! processes are checked meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener as Trap, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{Html, IntoResponse, Redirect};
use browser::launch::Tended;
use kernel::TrustMode;
use parking_lot::Mutex;
use reqwest::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use support::model::Turn;
use support::office::Office;

use crate::browser::is_possible;

/// Time limit for one attempt of the page, in milliseconds.
const EACH_MS: u32 = 3_000;
/// Time limit for all attempts.
const WITHIN: Duration = Duration::from_secs(30);
/// Interval at which the browser's sockets are examined.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// All network paths that a page has. Each attempt ends, whether it succeeds or not; then the page requests the allowed
/// address.
const TRIES: &str = "(async (tcp, udp, ms) => {
    const there = 'http://127.0.0.1:' + tcp, tried = [];
    const attempt = (name, work) => tried.push(Promise.race([
        (async () => work())().then(() => name, () => name),
        new Promise(done => setTimeout(done, ms, name))]));
    const add = (tag, given) => document.body.append(Object.assign(document.createElement(tag), given));
    const answer = (one, good, bad) => new Promise((yes, no) => { one[good] = yes; one[bad] = no; });
    for (const rel of ['dns-prefetch', 'preconnect', 'prefetch', 'prerender', 'modulepreload', 'stylesheet', 'icon', 'manifest'])
        add('link', { rel, href: there + '/' + rel });
    for (const host of ['leak-1.example', 'leak-2.example']) add('link', { rel: 'dns-prefetch', href: '//' + host });
    add('script', { type: 'speculationrules', textContent: JSON.stringify({ prefetch: [{ source: 'list', urls: [there + '/rules'] }] }) });
    for (const tag of ['img', 'script', 'iframe', 'embed', 'video', 'audio']) add(tag, { src: there + '/' + tag });
    add('object', { data: there + '/object' });
    add('a', { id: 'pings', href: '#x', ping: there + '/ping' });
    document.getElementById('pings').click();
    attempt('fetch', () => fetch(there + '/fetch', { mode: 'no-cors' }));
    attempt('localhost', () => fetch('http://localhost:' + tcp + '/', { mode: 'no-cors' }));
    attempt('mapped', () => fetch('http://[::ffff:127.0.0.1]:' + tcp + '/', { mode: 'no-cors' }));
    attempt('keepalive', () => fetch(there + '/keepalive', { mode: 'no-cors', keepalive: true }));
    attempt('redirect', () => fetch('/away', { mode: 'no-cors' }));
    attempt('frame', () => { const frame = document.createElement('iframe'); frame.src = '/away';
        document.body.append(frame); return answer(frame, 'onload', 'onerror'); });
    attempt('beacon', () => navigator.sendBeacon(there + '/beacon', 'x'));
    attempt('socket', () => answer(new WebSocket('ws://127.0.0.1:' + tcp + '/ws'), 'onopen', 'onerror'));
    attempt('events', () => answer(new EventSource(there + '/events'), 'onopen', 'onerror'));
    attempt('worker', () => answer(new Worker('/worker.js'), 'onmessage', 'onerror'));
    attempt('shared', () => answer(new SharedWorker('/worker.js').port, 'onmessage', 'onmessageerror'));
    attempt('service', async () => { await navigator.serviceWorker.register('/worker.js'); await navigator.serviceWorker.ready; });
    attempt('quic', () => new WebTransport('https://127.0.0.1:' + udp + '/').ready);
    attempt('rtc', async () => {
        const peer = new RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:' + udp },
            { urls: ['turn:127.0.0.1:' + udp + '?transport=udp', 'turn:127.0.0.1:' + tcp + '?transport=tcp'],
              username: 'a', credential: 'b' }] });
        peer.createDataChannel('x');
        await peer.setLocalDescription(await peer.createOffer());
        await new Promise(done => { peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done(); });
    });
    const names = await Promise.all(tried);
    await fetch('/reached');
    return names;
})";

const WORKER: &str = "const tries = () => Promise.allSettled([fetch(TRAP + '/worker', { mode: 'no-cors' }),
    fetch('/away', { mode: 'no-cors' }), new Promise(done => { const socket = new WebSocket(TRAP.replace('http', 'ws'));
        socket.onopen = socket.onerror = done; })]);
    try { importScripts(TRAP + '/import.js'); } catch { /* refused */ }
    self.oninstall = event => { skipWaiting(); event.waitUntil(tries()); };
    self.onconnect = event => tries().then(() => event.ports[0].postMessage(1));
    if (self.DedicatedWorkerGlobalScope) tries().then(() => postMessage(1));";

/// State of the allowed site: the requests that it got, and the trap ports.
#[derive(Clone)]
struct Site {
    asked: Arc<Mutex<Vec<String>>>,
    tcp: u16,
    udp: u16,
}

async fn answer(State(site): State<Site>, uri: Uri) -> axum::response::Response {
    site.asked.lock().push(uri.path().to_owned());
    let elsewhere = format!("http://127.0.0.1:{}", site.tcp);
    match uri.path() {
        "/away" => Redirect::temporary(&format!("{elsewhere}/redirect")).into_response(),
        "/worker.js" => {
            let script = WORKER.replace("TRAP", &format!("'{elsewhere}'"));
            ([("content-type", "text/javascript")], script).into_response()
        }
        _ => {
            let quic = format!("h3=\":{0}\"; ma=60, h3=\"127.0.0.1:{0}\"; ma=60", site.udp);
            ([("alt-svc", quic)], Html("<title>Leaks</title><body>Leaks")).into_response()
        }
    }
}

/// Session id of a process, from `/proc/<pid>/stat`.
fn session_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

/// Sockets of all processes of a session: the number of UDP sockets, and the remote ports of the TCP sockets (0 for a
/// listening one).
fn sockets(session: i32) -> (usize, BTreeSet<u16>) {
    let mut own = BTreeSet::new();
    // One process per network namespace. The leader itself may have ended, or may be outside this PID namespace
    // (session 0).
    let mut networks = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        if session_of(&stat) != Some(session) {
            continue;
        }
        if let Ok(network) = fs::read_link(process.path().join("ns/net")) {
            networks.insert(network, process.path().join("net"));
        }
        // A process that has ended meanwhile has no sockets.
        for open in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(open.path()).unwrap_or_default();
            let inode = link.to_str().and_then(|link| link.strip_prefix("socket:["));
            own.extend(inode.map(|inode| inode.trim_end_matches(']').to_owned()));
        }
    }
    assert!(!own.is_empty(), "not even the pipes of its processes are seen");
    let rows = |table: &str| -> Vec<u16> {
        let row = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let is_own = cells.get(9).is_some_and(|inode| own.contains(*inode));
            let (_, port) = cells.get(2).filter(|_| is_own)?.rsplit_once(':')?;
            u16::from_str_radix(port, 16).ok()
        };
        let tables =
            networks.values().map(|net| fs::read_to_string(net.join(table)).unwrap_or_default());
        tables.flat_map(|table| table.lines().filter_map(row).collect::<Vec<_>>()).collect()
    };
    let udp = rows("udp").len() + rows("udp6").len();
    (udp, rows("tcp").into_iter().chain(rows("tcp6")).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_page_tries_leaves_beside_the_way_out() {
    if !is_possible() {
        return;
    }
    let trap = Trap::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    trap.set_nonblocking(true).expect("a trap that does not wait");
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    datagrams.set_nonblocking(true).expect("a trap that does not wait");
    let tcp = trap.local_addr().expect("an address").port();
    let udp = datagrams.local_addr().expect("an address").port();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let site = Site { asked: Arc::default(), tcp, udp };
    let pages = Router::new().fallback(answer).with_state(site.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, pages).await });

    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let reach = json!({ "opened": [format!("127.0.0.1:{port}")] });
    assert!(owner.json("PUT", "/api/v1/reach", &reach).await.status.is_success());
    let on = owner.json("PUT", "/api/v1/agents/ada/browser", &json!({ "on": true })).await;
    assert_eq!(on.status, StatusCode::OK, "{}", on.text);
    for path in ["", "away"] {
        let open =
            json!({ "action": "navigate", "url": format!("http://127.0.0.1:{port}/{path}") });
        office.model.push(Turn::call("browser", open));
    }
    let back = json!({ "action": "navigate", "url": format!("http://127.0.0.1:{port}/") });
    office.model.push(Turn::call("browser", back));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Use your browser").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].1 && !results[1].2.contains("status 200"), "{results:?}");
    assert!(results[2].1, "{results:?}");

    let key = office.ws().browser_of(ada.id);
    let browser = office.hq.running().app.browsers.get(key).expect("it was used");
    let Tended::Fine(health) = browser.tend().await else { panic!("it runs") };
    let page = browser.open_page(1).expect("the page");
    // With its own network it has only a loopback interface, and pages are not told that.
    let online = page.evaluate("String(navigator.onLine)", WITHIN).await.expect("an answer");
    assert!(online.contains("true"), "pages take themselves to be {online}");
    let script = format!("{TRIES}({tcp}, {udp}, {EACH_MS})");
    let trying = page.evaluate(&script, WITHIN);
    tokio::pin!(trying);
    let mut reached = BTreeSet::new();
    let tried = loop {
        let (of_udp, ports) = sockets(health.pid);
        assert_eq!(of_udp, 0, "the browser has sockets of UDP");
        reached.extend(ports);
        tokio::select! {
            tried = &mut trying => break tried.expect("the page has tried"),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    };

    let names: Vec<String> = serde_json::from_str(&tried).expect("names");
    for name in ["redirect", "beacon", "socket", "worker", "service", "quic", "rtc"] {
        assert!(names.iter().any(|one| one == name), "{name} was tried: {names:?}");
    }
    // Requested addresses are reached through the proxy only: no other port is at the remote end of a socket.
    let asked = site.asked.lock().clone();
    for path in ["/reached", "/away", "/worker.js"] {
        assert!(asked.iter().any(|one| one == path), "{path}: {asked:?}");
    }
    assert!(reached.len() <= 1, "the browser is connected to {reached:?}");
    for other in [0, port, tcp] {
        assert!(!reached.contains(&other), "the browser is connected to {reached:?}");
    }
    let nothing = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    assert!(trap.accept().is_err_and(nothing), "a connection came beside the way out");
    assert!(datagrams.recv_from(&mut [0; 2_000]).is_err_and(nothing), "a datagram came out");

    // The traps work: they receive what is sent to them.
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, tcp)).expect("a connection");
    assert!(trap.accept().is_ok());
    office.hq.finish().await;
    serving.abort();
}

#[test]
fn sockets_of_a_session_are_told_by_what_is_at_their_other_end() {
    let stat = fs::read_to_string("/proc/self/stat").expect("what the kernel says");
    let session = session_of(&stat).expect("a session");
    let _datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let listener = Trap::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let _open = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    let (of_udp, ports) = sockets(session);
    assert!(0 < of_udp && ports.contains(&port) && ports.contains(&0), "{of_udp} {ports:?}");
}
