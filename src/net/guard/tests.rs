//! Which URLs and addresses the guard allows, and which never.

use super::*;

/// Opens one host at any address and port, and answers lookups from a list.
struct OneHost(&'static str);

impl Exceptions for OneHost {
    fn host(&self, host: &str, _port: u16) -> bool {
        host == self.0
    }

    fn address(&self, host: &str, _address: IpAddr) -> bool {
        host == self.0
    }
}

struct Answers(Vec<IpAddr>);

impl Resolver for Answers {
    fn lookup(&self, _host: &str) -> Lookup {
        let found = self.0.clone();
        Box::pin(async move { Ok(found) })
    }
}

fn guard() -> Guard {
    Guard::new(Arc::new(SystemResolver), Arc::new(NoExceptions), &[])
}

fn answering(addresses: &[&str]) -> Guard {
    let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Guard::new(Arc::new(Answers(found)), Arc::new(NoExceptions), &[])
}

#[test]
fn ordinary_addresses_pass() {
    for url in [
        "https://example.com/a?b#c",
        "http://example.com",
        " https://EXAMPLE.com:443/ ",
        "http://example.com:80",
        "https://example.com:80",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://bücher.example/",
        "https://example.com./",
        "https://local.example/",
        "https://notlocalhost.com/",
    ] {
        assert!(guard().check(url).is_ok(), "{url}: {:?}", guard().check(url));
    }
}

#[test]
fn other_schemes_are_refused() {
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/html,x",
        "javascript:alert(1)",
        "ws://example.com/",
        "unix:/run/hq.sock",
        "about:blank",
    ] {
        assert!(matches!(guard().check(url), Err(GuardError::Scheme { .. })), "{url}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for url in [
        "",
        "example.com",
        "/path",
        "https://",
        "http://[::1",
        "https://exa mple.com/",
        "http://256.256.256.256/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://example.com:99999/",
        "http://a%00b/",
    ] {
        assert!(
            matches!(guard().check(url), Err(GuardError::BadUrl { .. })),
            "{url}: {:?}",
            guard().check(url)
        );
    }
    let long = format!("https://example.com/{}", "x".repeat(MAX_URL));
    assert!(matches!(guard().check(&long), Err(GuardError::BadUrl { .. })));
}

#[test]
fn credentials_in_an_address_are_refused() {
    for url in [
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://:pw@example.com/",
        "https://example.com@8.8.8.8/",
    ] {
        assert_eq!(guard().check(url), Err(GuardError::Credentials), "{url}");
    }
}

#[test]
fn other_ports_are_refused() {
    for port in [1, 22, 25, 81, 444, 6379, 8080, 8443, 65535] {
        let refused = guard().check(&format!("https://example.com:{port}/"));
        assert_eq!(refused, Err(GuardError::Port { host: "example.com".into(), port }));
    }
    assert!(matches!(guard().check("https://example.com:0/"), Err(GuardError::Port { .. })));
}

#[test]
fn private_hosts_are_refused_in_every_notation() {
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "0177.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "127.0.0.0x1",
        "１２７.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "0",
        "0.0.0.0",
        "00.0.0.0",
        "10.0.0.1",
        "10.1",
        "167772161",
        "0x0a000001",
        "192.168.1.1",
        "3232235777",
        "172.16.0.1",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::8.8.8.8]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "router.home.arpa",
        "nas.lan",
        "x.onion",
        "localhost.localdomain",
        "ⓛocalhost",
    ] {
        let refused = guard().check(&format!("http://{host}/"));
        assert!(matches!(refused, Err(GuardError::Private { .. })), "{host}: {refused:?}");
    }
}

#[test]
fn own_addresses_are_refused_though_they_are_public() {
    let own: IpAddr = "93.184.216.34".parse().unwrap();
    let guard = Guard::new(Arc::new(SystemResolver), Arc::new(NoExceptions), &[own]);
    assert!(matches!(guard.check("https://93.184.216.34/"), Err(GuardError::Private { .. })));
    assert!(guard.check("https://93.184.216.35/").is_ok());
}

#[test]
fn the_name_by_which_hq_is_known_outside_is_refused_unless_people_opened_it() {
    let guard = Guard::new(Arc::new(SystemResolver), Arc::new(NoExceptions), &[]);
    let guard = guard.known_as(Some("HQ.Example.com."));
    for url in ["https://hq.example.com/api/v1/me", "http://HQ.example.COM./login"] {
        assert!(matches!(guard.check(url), Err(GuardError::Private { .. })), "{url}");
    }
    assert!(guard.check("https://www.example.com/").is_ok());
    let opened = Opened::of(&["hq.example.com".to_owned()]);
    assert!(guard.opening(opened).check("https://hq.example.com/").is_ok());
}

#[test]
fn only_listed_hosts_are_reached_where_there_is_a_list() {
    for (written, kept) in [
        (" Example.COM ", Some("example.com")),
        ("*.Docs.example.com.", Some("*.docs.example.com")),
        ("bücher.example", Some("xn--bcher-kva.example")),
        ("[2606:4700::1]", Some("2606:4700::1")),
        ("", None),
        ("*", None),
        ("*.", None),
        ("https://example.com/", None),
        ("example.com:8080", None),
        ("a b", None),
        ("me@example.com", None),
    ] {
        assert_eq!(Hosts::line(written).as_deref(), kept, "{written}");
    }
    let list = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let fine = |hosts: &Hosts, url: &str| hosts.check(&parse(url).unwrap()).is_ok();
    assert!(fine(&Hosts::default(), "https://any.example/") && !Hosts::default().are_listed());
    let one = Hosts::of(vec![list(&["example.com", "*.docs.test", "2606:4700::1"])]);
    for url in ["http://EXAMPLE.com./x", "https://a.b.docs.test/", "https://[2606:4700::1]/"] {
        assert!(fine(&one, url), "{url}");
    }
    for url in ["https://a.example.com/", "https://docs.test/", "https://xdocs.test/"] {
        assert!(!fine(&one, url), "{url}");
    }
    let both = Hosts::of(vec![list(&["a.test", "b.test"]), list(&["b.test"])]);
    assert!(fine(&both, "https://b.test/") && !fine(&both, "https://a.test/"));
}

#[test]
fn an_owner_can_open_one_host_and_no_other() {
    let guard = Guard::new(Arc::new(SystemResolver), Arc::new(OneHost("wiki.lan")), &[]);
    assert!(guard.check("http://WIKI.lan.:8080/").is_ok());
    assert!(matches!(guard.check("http://other.lan/"), Err(GuardError::Private { .. })));
    assert!(matches!(guard.check("http://a.wiki.lan/"), Err(GuardError::Private { .. })));
    assert!(matches!(guard.check("http://127.0.0.1/"), Err(GuardError::Private { .. })));
    assert!(matches!(guard.check("ftp://wiki.lan/"), Err(GuardError::Scheme { .. })));
    let literal = Guard::new(Arc::new(SystemResolver), Arc::new(OneHost("::1")), &[]);
    assert!(literal.check("http://[::1]:9/").is_ok());
}

#[tokio::test]
async fn what_people_open_leads_to_their_networks_and_no_further() {
    for (written, kept) in [
        (" Wiki.LAN ", Some("wiki.lan")),
        ("wiki.lan:8080", Some("wiki.lan:8080")),
        ("wiki.lan:80", Some("wiki.lan:80")),
        ("192.168.1.5", Some("192.168.1.5")),
        ("127.0.0.1:3000", Some("127.0.0.1:3000")),
        ("localhost:3000", Some("localhost:3000")),
        ("[fd00::1]:81", Some("[fd00::1]:81")),
        ("169.254.169.254", None),
        ("8.8.8.8", None),
        ("0.0.0.0", None),
        ("*.lan", None),
        ("http://wiki.lan", None),
        ("", None),
    ] {
        assert_eq!(Opened::line(written).as_deref(), kept, "{written}");
    }
    let open = |addresses: &[&str], lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        answering(addresses).opening(Opened::of(&lines))
    };
    let wiki =
        open(&["192.168.1.5", "127.0.0.1", "169.254.169.254"], &["wiki.lan:8080", "nas.lan"]);
    assert!(wiki.check("http://wiki.lan:8080/").is_ok() && wiki.check("http://nas.lan/").is_ok());
    for url in ["http://wiki.lan/", "http://nas.lan:8080/", "http://other.lan/", "http://10.0.0.1/"]
    {
        assert!(wiki.check(url).is_err(), "{url}");
    }
    assert_eq!(wiki.resolve("wiki.lan").await, Ok(vec!["192.168.1.5".parse().unwrap()]));
    assert!(wiki.resolve("other.example").await.is_err());
    let own = open(&["127.0.0.1"], &["127.0.0.1:3000", "localhost:3000"]);
    assert!(own.check("http://127.0.0.1:3000/").is_ok());
    assert!(
        own.check("http://127.0.0.1:3001/").is_err()
            && own.check("http://127.0.0.2:3000/").is_err()
    );
    assert!(own.resolve("localhost").await.is_ok());
    let url = parse("http://nas.lan:80/").unwrap();
    assert!(Opened::of(&["nas.lan".to_owned()]).has(&url));
}

#[tokio::test]
async fn a_name_gives_its_public_addresses_only() {
    let mixed = answering(&["127.0.0.1", "8.8.8.8", "::1", "10.0.0.1"]);
    assert_eq!(mixed.resolve("mixed.example").await, Ok(vec!["8.8.8.8".parse().unwrap()]));
    let private = answering(&["192.168.0.1", "::ffff:8.8.8.8"]);
    let refused = private.resolve("Rebind.Example.").await;
    assert_eq!(refused, Err(GuardError::Private { host: "rebind.example".into() }));
    let unknown = answering(&[]).resolve("nowhere.example").await;
    assert_eq!(unknown, Err(GuardError::Unknown { host: "nowhere.example".into() }));
}

#[test]
fn a_connection_that_went_elsewhere_is_noticed() {
    let url = parse("https://example.com/").unwrap();
    assert!(guard().check_peer(&url, "8.8.8.8:443".parse().unwrap()).is_ok());
    assert!(guard().check_peer(&url, "127.0.0.1:443".parse().unwrap()).is_err());
}
