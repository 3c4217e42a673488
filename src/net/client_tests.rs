//! HTTP client tests against a server on the loopback interface.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::client::{ClientParts, Extent, HttpClient};
use super::error::{NetError, Phase};
use super::guard::{Exceptions, GuardError, Lookup, Resolver};
use super::message::{Method, Policy, Request, Timeouts};
use loopback::{Step, answer, serving};

/// Opens the loopback address for hosts that end in `.test`, as an owner would open one host.
struct TestHosts;

impl Exceptions for TestHosts {
    fn host(&self, host: &str, _port: u16) -> bool {
        host.ends_with(".test")
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        host.ends_with(".test") && address.is_loopback()
    }
}

/// Resolver that returns one address list per lookup, repeats the last one, and counts lookups.
struct Answers {
    lists: Vec<Vec<IpAddr>>,
    lookups: AtomicUsize,
}

impl Answers {
    fn new(lists: &[&[&str]]) -> Arc<Answers> {
        let read = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Answers { lists: lists.iter().map(read).collect(), lookups: AtomicUsize::new(0) })
    }
}

impl Resolver for Answers {
    fn lookup(&self, _host: &str) -> Lookup {
        let turn = self.lookups.fetch_add(1, Ordering::SeqCst).min(self.lists.len() - 1);
        let list = self.lists[turn].clone();
        Box::pin(async move { Ok(list) })
    }
}

fn client(resolver: Arc<dyn Resolver>) -> HttpClient {
    HttpClient::new(ClientParts {
        resolver,
        exceptions: Arc::new(TestHosts),
        ..ClientParts::default()
    })
}

fn loopback_client() -> HttpClient {
    client(Answers::new(&[&["127.0.0.1"]]))
}

fn get(policy: Policy, address: SocketAddr, path: &str) -> Request {
    let host = match policy {
        Policy::Trusted => "127.0.0.1",
        Policy::Guarded => "site.test",
    };
    Request::new(policy, Method::Get, format!("http://{host}:{}{path}", address.port()))
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn a_request_arrives_whole_and_its_answer_comes_back() {
    let seen = Mutex::new(String::new());
    let script = |request: &str| {
        *seen.lock() = request.to_owned();
        answer("201 Created", "X-One: 1\r\n", "hello")
    };
    let (status, one, body) = serving(script, async |address| {
        let request =
            Request::new(Policy::Trusted, Method::Post, format!("http://{address}/v1?a=b"))
                .header("Authorization", "Bearer x")
                .body("application/json", r#"{"a":1}"#);
        let response = loopback_client().request(request).await.unwrap();
        let one = response.headers.get("x-one").map(str::to_owned);
        assert!(response.is_success());
        (response.status, one, response.body.bytes().await.unwrap())
    })
    .await;

    assert_eq!((status, one.as_deref(), body.as_slice()), (201, Some("1"), b"hello".as_slice()));
    let seen = seen.into_inner().to_ascii_lowercase();
    assert!(seen.starts_with("post /v1?a=b http/1.1\r\n"), "{seen}");
    for part in [
        "authorization: bearer x",
        "content-type: application/json",
        "user-agent: hq/",
        "{\"a\":1}",
    ] {
        assert!(seen.contains(part), "{part} is missing in {seen}");
    }
}

#[tokio::test]
async fn pieces_arrive_as_they_are_sent() {
    let script = |_: &str| {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n".to_vec();
        vec![Step::Send(head), Step::Stall]
    };
    serving(script, async |address| {
        let request = get(Policy::Trusted, address, "/");
        let response = loopback_client().request(request).await.unwrap();
        let mut pieces = Box::pin(response.body.stream());
        assert_eq!(pieces.next().await.unwrap().unwrap(), "one");
    })
    .await;
}

#[tokio::test]
async fn trusted_requests_do_not_follow_redirects() {
    let script = |_: &str| answer("302 Found", "location: /next\r\n", "");
    serving(script, async |address| {
        let response = loopback_client().request(get(Policy::Trusted, address, "/")).await.unwrap();
        assert_eq!((response.status, response.headers.get("location")), (302, Some("/next")));
    })
    .await;
}

#[tokio::test]
async fn each_wait_has_its_limit() {
    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun".to_vec();
    let quick = Timeouts { headers: millis(60), idle: millis(60), total: None };
    let script = |request: &str| match path(request) {
        "/silent" => vec![Step::Stall],
        _ => vec![Step::Send(begun.clone()), Step::Stall],
    };
    let slow = Timeouts { headers: millis(9000), idle: millis(9000), total: Some(millis(60)) };
    for (path, timeouts, phase) in [
        ("/silent", quick, Phase::Headers),
        // The response may take longer to start than the idle limit.
        ("/begun", Timeouts { headers: millis(20_000), ..quick }, Phase::Idle),
        ("/silent", slow, Phase::Total),
        ("/begun", slow, Phase::Total),
    ] {
        let error = serving(script, async |address| {
            let request = get(Policy::Trusted, address, path).timeouts(timeouts);
            match loopback_client().request(request).await {
                Ok(response) => response.body.bytes().await.unwrap_err(),
                Err(error) => error,
            }
        })
        .await;
        let expected = NetError::Timeout { host: "127.0.0.1".into(), phase, limit: millis(60) };
        assert_eq!(error, expected, "{path}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn a_body_is_cut_at_its_limit() {
    let script = |_: &str| answer("200 OK", "", "0123456789");
    for (limit, expected) in [(10, true), (9, false)] {
        let whole = serving(script, async |address| {
            let request = get(Policy::Trusted, address, "/").max_body(limit);
            loopback_client().request(request).await.unwrap().body.bytes().await
        })
        .await;
        match expected {
            true => assert_eq!(whole.unwrap(), b"0123456789"),
            false => assert_eq!(whole, Err(NetError::TooLarge { host: "127.0.0.1".into(), limit })),
        }
    }
    for (most, expected) in [(4, ("0123", Extent::Cut)), (10, ("0123456789", Extent::Whole))] {
        let begun = serving(script, async |address| {
            let request = get(Policy::Trusted, address, "/");
            loopback_client().request(request).await.unwrap().body.beginning(most).await.unwrap()
        })
        .await;
        assert_eq!(begun, (expected.0.as_bytes().to_vec(), expected.1));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let script =
        |_: &str| vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec())];
    let error = serving(script, async |address| {
        let request = get(Policy::Trusted, address, "/?key=verysecret");
        let response = loopback_client().request(request).await.unwrap();
        response.body.stream().try_collect::<Vec<_>>().await.unwrap_err()
    })
    .await;
    assert!(matches!(error, NetError::Broken { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("verysecret"));
}

#[tokio::test]
async fn what_is_no_http_is_an_error_without_the_address() {
    let script = |_: &str| vec![Step::Send(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())];
    let error = serving(script, async |address| {
        let request = get(Policy::Trusted, address, "/?key=verysecret");
        loopback_client().request(request).await.unwrap_err()
    })
    .await;
    assert!(matches!(error, NetError::Broken { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("verysecret"));
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let closed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let request = get(Policy::Trusted, closed, "/?key=verysecret");
    let refused = loopback_client().request(request).await.unwrap_err();
    assert!(
        matches!(&refused, NetError::Connect { detail, .. } if detail.contains("refused")),
        "{refused:?}"
    );
    assert!(!refused.to_string().contains("verysecret"));

    for policy in [Policy::Trusted, Policy::Guarded] {
        let request = Request::new(policy, Method::Get, "http://nowhere.test/");
        let unknown = client(Answers::new(&[&[]])).request(request).await.unwrap_err();
        assert_eq!(unknown, NetError::UnknownHost { host: "nowhere.test".into() });
    }
}

#[tokio::test]
async fn headers_of_the_connection_cannot_be_given() {
    for (name, value) in [
        ("Host", "other"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("proxy-authorization", "x"),
        ("x-a", "b\r\nx-c: d"),
        ("x a", "b"),
        ("", "b"),
    ] {
        let request =
            Request::new(Policy::Trusted, Method::Get, "http://127.0.0.1:9/").header(name, value);
        let error = loopback_client().request(request).await.unwrap_err();
        assert!(matches!(error, NetError::BadHeader { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_packed_answer_counts_unpacked() {
    let packed = include_bytes!("../../tests/it/fixtures/zeros-1mib.gz");
    let script = |_: &str| answer("200 OK", "content-encoding: gzip\r\n", packed);
    let (whole, cut) = serving(script, async |address| {
        let one = get(Policy::Trusted, address, "/").max_body(1 << 20);
        let other = one.clone().max_body((1 << 20) - 1);
        let client = loopback_client();
        let whole = client.request(one).await.unwrap().body.bytes().await;
        (whole, client.request(other).await.unwrap().body.bytes().await)
    })
    .await;
    assert_eq!(whole.unwrap().len(), 1 << 20);
    assert!(matches!(cut, Err(NetError::TooLarge { .. })));
}

#[tokio::test]
async fn guarded_requests_never_reach_this_machine() {
    let script = |_: &str| answer("200 OK", "", "reached");
    serving(script, async |address| {
        let port = address.port();
        for host in
            ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
        {
            let url = format!("http://{host}:{port}/");
            let error = loopback_client()
                .request(Request::new(Policy::Guarded, Method::Get, url))
                .await
                .unwrap_err();
            assert!(
                matches!(error, NetError::Refused(GuardError::Port { .. })),
                "{host}: {error:?}"
            );
            let url = format!("http://{host}/");
            let error = loopback_client()
                .request(Request::new(Policy::Guarded, Method::Get, url))
                .await
                .unwrap_err();
            assert!(
                matches!(error, NetError::Refused(GuardError::Private { .. })),
                "{host}: {error:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_at_the_connection() {
    for list in
        [["127.0.0.1"], ["10.0.0.7"], ["169.254.169.254"], ["fd00::1"], ["::ffff:127.0.0.1"]]
    {
        let resolver = Answers::new(&[&list]);
        let request = Request::new(Policy::Guarded, Method::Get, "http://evil.example/");
        let error = client(resolver.clone()).request(request).await.unwrap_err();
        let expected = GuardError::Private { host: "evil.example".into() };
        assert_eq!(error, NetError::Refused(expected), "{list:?}");
        assert_eq!(resolver.lookups.load(Ordering::SeqCst), 1);
    }
}

/// DNS rebinding: a name resolves to a good address when checked and to a bad one when used. Here only the connection
/// itself resolves the name.
#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let script = |_: &str| answer("200 OK", "", "first");
    let resolver = Answers::new(&[&["127.0.0.1"], &["10.0.0.7"]]);
    serving(script, async |address| {
        let client = client(resolver.clone());
        let first = client.request(get(Policy::Guarded, address, "/")).await.unwrap();
        assert_eq!(first.body.bytes().await.unwrap(), b"first");
        assert_eq!(resolver.lookups.load(Ordering::SeqCst), 1);
        let second = client.request(get(Policy::Guarded, address, "/")).await.unwrap_err();
        assert_eq!(second, NetError::Refused(GuardError::Private { host: "site.test".into() }));
        assert_eq!(resolver.lookups.load(Ordering::SeqCst), 2);
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_address() {
    for (location, expected) in [
        ("http://127.0.0.1/", "Private"),
        ("http://169.254.169.254/latest/meta-data", "Private"),
        ("//[::1]/", "Private"),
        ("http://0x7f000001/", "Private"),
        ("http://localhost/", "Private"),
        ("http://example.com:8080/", "Port"),
        ("file:///etc/passwd", "Scheme"),
        ("http://user:pw@example.com/", "Credentials"),
        ("http://exa mple.com/", "BadUrl"),
    ] {
        let headers = format!("location: {location}\r\n");
        let error = serving(
            |_| answer("302 Found", &headers, ""),
            async |address| {
                loopback_client().request(get(Policy::Guarded, address, "/")).await.unwrap_err()
            },
        )
        .await;
        let NetError::Refused(refused) = error else { panic!("{location}: {error:?}") };
        assert!(format!("{refused:?}").starts_with(expected), "{location}: {refused:?}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_name_with_a_private_address_is_refused() {
    let resolver = Answers::new(&[&["127.0.0.1"], &["192.168.1.1"]]);
    let script = |_: &str| answer("301 Moved", "location: http://other.example/\r\n", "");
    let error = serving(script, async |address| {
        client(resolver.clone()).request(get(Policy::Guarded, address, "/")).await.unwrap_err()
    })
    .await;
    assert_eq!(error, NetError::Refused(GuardError::Private { host: "other.example".into() }));
}

#[tokio::test]
async fn redirects_are_followed_up_to_their_number() {
    let script = |request: &str| match path(request).trim_start_matches('/').parse::<u8>() {
        Ok(0) => answer("200 OK", "", "there"),
        Ok(left) => answer("302 Found", &format!("location: {}\r\n", left - 1), ""),
        Err(_) => answer("404 Not Found", "", ""),
    };
    for (start, redirects, expected) in [
        ("/3", 3, Ok("/0")),
        ("/4", 3, Err(3)),
        ("/5", 9, Ok("/0")),
        ("/6", 9, Err(5)),
        ("/1", 0, Ok("/1")),
    ] {
        let result = serving(script, async |address| {
            loopback_client()
                .request(get(Policy::Guarded, address, start).redirects(redirects))
                .await
        })
        .await;
        match (result, expected) {
            (Ok(response), Ok(end)) => {
                assert!(response.url.ends_with(end), "{start}: {}", response.url)
            }
            (Err(error), Err(limit)) => {
                assert_eq!(error, NetError::Redirects { host: "site.test".into(), limit });
            }
            (other, _) => panic!("{start}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn secrets_stay_behind_when_a_redirect_leaves_the_host() {
    for (target, stays) in [("/next", true), ("http://other.test:PORT/next", false)] {
        let seen = Mutex::new(Vec::new());
        let location = Mutex::new(String::new());
        let script = |request: &str| {
            seen.lock().push(request.to_ascii_lowercase());
            match path(request) {
                "/next" => answer("200 OK", "", ""),
                _ => answer("307 Temporary", &format!("location: {}\r\n", location.lock()), ""),
            }
        };
        serving(script, async |address| {
            *location.lock() = target.replace("PORT", &address.port().to_string());
            let request = get(Policy::Guarded, address, "/")
                .header("Authorization", "Bearer x")
                .header("Cookie", "a=b")
                .header("X-Api-Key", "k")
                .header("X-Custom", "c")
                .header("Accept", "text/html");
            loopback_client().request(request).await.unwrap();
        })
        .await;
        let last = seen.lock().pop().unwrap();
        assert!(last.contains("accept: text/html"), "{last}");
        for secret in ["authorization:", "cookie:", "x-api-key:", "x-custom:"] {
            assert_eq!(last.contains(secret), stays, "{target} {secret}");
        }
    }
}

#[tokio::test]
async fn a_redirected_post_becomes_what_a_browser_makes_of_it() {
    for (status, expected) in
        [("301 M", "get"), ("302 F", "get"), ("303 S", "get"), ("307 T", "post"), ("308 P", "post")]
    {
        let seen = Mutex::new(String::new());
        let script = |request: &str| {
            *seen.lock() = request.to_ascii_lowercase();
            match path(request) {
                "/next" => answer("200 OK", "", ""),
                _ => answer(status, "location: /next\r\n", ""),
            }
        };
        serving(script, async |address| {
            let mut request = get(Policy::Guarded, address, "/").body("text/plain", "payload");
            request.method = Method::Post;
            loopback_client().request(request).await.unwrap();
        })
        .await;
        let seen = seen.into_inner();
        assert!(seen.starts_with(expected), "{status}: {seen}");
        assert_eq!(seen.contains("payload"), expected == "post", "{status}");
        assert_eq!(seen.contains("content-type"), expected == "post", "{status}");
    }
}

#[tokio::test]
async fn a_guarded_request_may_not_use_a_connection_that_a_trusted_one_opened() {
    let resolver = Answers::new(&[&["127.0.0.1"]]);
    let script = |_: &str| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()), Step::Stall]
    };
    serving(script, async |address| {
        let client = client(resolver);
        let url = format!("http://kept.example:{}/", address.port());
        let trusted = Request::new(Policy::Trusted, Method::Get, url.clone());
        client.request(trusted).await.unwrap().body.bytes().await.unwrap();
        let guarded = Request::new(Policy::Guarded, Method::Get, url);
        assert!(matches!(client.request(guarded).await, Err(NetError::Refused(_))));
    })
    .await;
}

#[test]
fn nothing_that_leads_back_to_hq_is_asked_for_an_agent() {
    let listen = "93.184.216.34:8080".parse().unwrap();
    let closed = |public: Option<&str>, url: &str| {
        let client = HttpClient::new(ClientParts::default().without(listen, public));
        client.guard().check(url).is_err()
    };
    assert!(closed(None, "http://93.184.216.34/"), "where it listens");
    assert!(closed(Some("https://hq.example.com"), "https://hq.example.com/login"), "its name");
    assert!(closed(Some("https://93.184.216.40"), "https://93.184.216.40/"));
    assert!(closed(Some("https://[2606:4700::1]"), "https://[2606:4700::1]/"));
    assert!(!closed(Some("https://hq.example.com"), "https://93.184.216.40/"));
    assert!(!closed(None, "https://hq.example.com/"));
}
