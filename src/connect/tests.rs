//! Connectors against a local folder and a test site.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kernel::time::SystemClock;
use loopback::{answer, serving};
use net::client::{ClientParts, HttpClient};
use net::guard::{Exceptions, Lookup, Resolver};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use url::Url;

use super::{
    Catalog, Connector, ConnectorContext, ConnectorError, Content, Fetched, Known, Mark, Over,
    Pace, Page, RateLimit, Reads, Step, feed, hash, links, open, robots, sitemap,
};

/// Hosts below `.test` are permitted and resolve to the loopback address.
struct Site;

impl Exceptions for Site {
    fn host(&self, host: &str, _port: u16) -> bool {
        host == "site.test"
    }
    fn address(&self, host: &str, _address: IpAddr) -> bool {
        host == "site.test"
    }
}

impl Resolver for Site {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

fn means(roots: &[&Path]) -> ConnectorContext {
    let parts = ClientParts {
        resolver: Arc::new(Site),
        exceptions: Arc::new(Site),
        ..ClientParts::default()
    };
    let limit = RateLimit { requests: 1_000, per_seconds: 1, burst: 1_000 };
    ConnectorContext {
        http: HttpClient::new(parts),
        clock: Arc::new(SystemClock),
        roots: roots.iter().map(|root| root.to_path_buf()).collect(),
        pace: Arc::new(Pace::new(Some(limit))),
    }
}

fn reads(pairs: &[(&str, &str)]) -> Reads {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn connector(
    id: &str,
    pairs: &[(&str, &str)],
    means: ConnectorContext,
) -> Result<Box<dyn Connector>, ConnectorError> {
    let catalog = Catalog::read(Path::new("/nowhere"));
    open(catalog.get(id).unwrap(), &reads(pairs), means)
}

/// Result of a delta: pages by place, other steps in words.
#[derive(Debug, Default)]
struct Seen {
    pages: BTreeMap<String, Page>,
    same: Vec<String>,
    other: Vec<String>,
    over: Over,
}

impl Seen {
    fn places(&self) -> Vec<&str> {
        self.pages.keys().map(String::as_str).collect()
    }

    fn known(&self) -> Known {
        let mark = |(place, page): (&String, &Page)| (place.clone(), page.mark.clone());
        Arc::new(self.pages.iter().map(mark).collect())
    }
}

async fn seen(connector: &dyn Connector, known: Known) -> Result<Seen, ConnectorError> {
    let mut delta = connector.delta("", known);
    let mut seen = Seen::default();
    while let Some(step) = delta.next().await? {
        match step {
            Step::Page(page) => drop(seen.pages.insert(page.place.clone(), *page)),
            Step::Same(place) => seen.same.push(place),
            Step::Skipped(place, why) => seen.other.push(format!("{place}: {why}")),
            Step::Failed(place, fault) => seen.other.push(format!("{place}: {fault}")),
        }
    }
    seen.over = delta.over();
    Ok(seen)
}

fn text(page: &Page) -> &str {
    match &page.content {
        Content::Text(text) => text,
        Content::File { .. } => panic!("a file: {}", page.place),
    }
}

#[tokio::test]
async fn files_of_a_folder_are_read_and_nothing_outside_of_it() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().join("handbook");
    fs::create_dir_all(at.join("guides/.git")).unwrap();
    fs::write(root.path().join("secret.md"), "no").unwrap();
    for (name, words) in [
        ("read-me_first.md", "Words."),
        ("guides/lease.md", "\n# Lease terms #\n\nA deposit."),
        ("guides/old.txt", "Gr\u{fc}\u{df}e"),
        ("paper.PDF", "%PDF"),
        ("photo.jpg", "x"),
        (".hidden.md", "no"),
        ("guides/.git/x.md", "no"),
        ("zero.md", "some\0thing"),
    ] {
        fs::write(at.join(name), words).unwrap();
    }
    fs::write(at.join("latin.txt"), b"Gr\xfc\xdfe").unwrap();
    fs::write(at.join("cyrillic.txt"), b"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0!\n").unwrap();
    fs::write(at.join("mixed.txt"), b"\xff\xfe\0\0a\0\0\0").unwrap();
    fs::write(at.join("wide.txt"), b"\xff\xfeG\0r\0\xfc\0\xdf\0e\0").unwrap();
    symlink("../secret.md", at.join("out.md")).unwrap();
    symlink(root.path().join("secret.md"), at.join("far.md")).unwrap();
    symlink("guides", at.join("again")).unwrap();
    symlink("guides/lease.md", at.join("in.md")).unwrap();
    symlink("/dev/zero", at.join("zeros.md")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        at.join("pipe.md"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    let path = at.to_str().unwrap();
    let folder = connector("folder", &[("path", path)], means(&[root.path()])).unwrap();
    let first = seen(folder.as_ref(), Known::default()).await.unwrap();
    assert_eq!(
        first.places(),
        [
            "cyrillic.txt",
            "guides/lease.md",
            "guides/old.txt",
            "in.md",
            "latin.txt",
            "paper.PDF",
            "read-me_first.md",
            "wide.txt"
        ]
    );
    assert_eq!(first.pages["guides/lease.md"].title, "Lease terms");
    assert_eq!(first.pages["read-me_first.md"].title, "read me first");
    assert_eq!(text(&first.pages["latin.txt"]), "Grüße");
    assert_eq!(text(&first.pages["cyrillic.txt"]), "Привет, мир!\n");
    assert_eq!(text(&first.pages["wide.txt"]), "Grüße");
    assert!(matches!(first.pages["paper.PDF"].content, Content::File { .. }));
    assert!(first.over.complete, "{:?}", first.over);
    let dotted = ".hidden.md: Its name starts with a dot.";
    let unknown = "mixed.txt: Its encoding can’t be detected. Save it as UTF-8.";
    assert_eq!(first.other, [dotted, unknown, "zero.md: It isn’t text."]);

    fs::write(at.join("guides/lease.md"), "# Lease\n\nTwo rates.").unwrap();
    fs::remove_file(at.join("guides/old.txt")).unwrap();
    let second = seen(folder.as_ref(), first.known()).await.unwrap();
    assert_eq!(second.places(), ["guides/lease.md", "in.md"]);
    assert_eq!(second.same.len(), 5, "{:?}", second.same);
    assert_eq!(folder.fetch("guides/old.txt").await.unwrap(), Fetched::Gone);
    for place in ["../secret.md", "/etc/passwd", "out.md", "far.md", "zeros.md", "pipe.md"] {
        let fetched = folder.fetch(place).await;
        assert!(matches!(fetched, Ok(Fetched::Skipped(_))), "{place}: {fetched:?}");
    }
    let below = folder.browse(None).await.unwrap();
    assert_eq!(below.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(), ["guides"]);

    for path in [format!("{path}/../.."), "/etc".to_owned(), "handbook".to_owned()] {
        let refused = connector("folder", &[("path", &path)], means(&[root.path()])).err();
        assert!(matches!(refused, Some(ConnectorError::Refused(_))), "{path}: {refused:?}");
    }
    let out = root.path().join("door");
    symlink("/etc", &out).unwrap();
    let folder = connector("folder", &[("path", out.to_str().unwrap())], means(&[root.path()]));
    assert!(matches!(folder.unwrap().validate().await, Err(ConnectorError::Refused(_))));
}

#[tokio::test]
async fn files_with_odd_names_are_read_or_told_by_their_names() {
    use std::os::unix::ffi::OsStrExt as _;

    let root = tempfile::tempdir().unwrap();
    let long = format!("{}.md", "x".repeat(252));
    for name in ["-rf.md", "two\nlines.md", " edges .txt", "a'b\"c$(d).md", "%2e%2e.md", &long] {
        fs::write(root.path().join(name), "Words.").unwrap();
    }
    for name in [&b"caf\xe9.md"[..], b"\xff"] {
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(name)), "Words.").unwrap();
    }
    let path = root.path().to_str().unwrap();
    let folder = connector("folder", &[("path", path)], means(&[root.path()])).unwrap();
    let seen = seen(folder.as_ref(), Known::default()).await.unwrap();
    let places =
        [" edges .txt", "%2e%2e.md", "-rf.md", "a'b\"c$(d).md", "two\nlines.md", long.as_str()];
    assert_eq!(seen.places(), places);
    for page in seen.pages.values() {
        assert!(!page.title.is_empty() && !page.title.contains('\n'), "{:?}", page.title);
        assert!(!page.name.contains('\n'), "{:?}", page.name);
    }
    assert_eq!(seen.other, [r"\xff: Its name isn’t UTF-8.", r"caf\xe9.md: Its name isn’t UTF-8."]);
    assert!(folder.validate().await.unwrap().says.starts_with("6 readable files"));
}

#[tokio::test]
async fn a_file_is_written_only_where_nobody_else_has_written() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_str().unwrap();
    let folder = connector("folder", &[("path", path)], means(&[root.path()])).unwrap();
    let made = folder.write("new.md", "one", None).await.unwrap();
    assert_eq!((made.hash, text(&made)), (hash(b"one"), "one"));
    // Writing the same text again succeeds.
    assert!(folder.write("new.md", "one", None).await.is_ok());
    let clash = folder.write("new.md", "two", None).await.unwrap_err();
    assert_eq!(clash, ConnectorError::Conflict("new.md already exists.".into()));
    let mode = fs::metadata(root.path().join("new.md")).unwrap().permissions();
    fs::write(root.path().join("new.md"), "theirs").unwrap();
    let clash = folder.write("new.md", "two", Some(hash(b"one"))).await.unwrap_err();
    assert!(matches!(clash, ConnectorError::Conflict(_)), "{clash}");
    assert_eq!(fs::read_to_string(root.path().join("new.md")).unwrap(), "theirs");
    folder.write("new.md", "two", Some(hash(b"theirs"))).await.unwrap();
    assert_eq!(fs::metadata(root.path().join("new.md")).unwrap().permissions(), mode);
    let gone = folder.write("other.md", "x", Some(hash(b"y"))).await.unwrap_err();
    assert!(gone.to_string().contains("no longer exists"), "{gone}");
    symlink("/tmp", root.path().join("out")).unwrap();
    for place in ["../x.md", "/x.md", "out/x.md", "no/x.md", "x.pdf", ".x.md", "x"] {
        let refused = folder.write(place, "x", None).await.unwrap_err();
        assert!(matches!(refused, ConnectorError::Refused(_)), "{place}: {refused:?}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "nothing is left behind");
}

/// A site with scripted responses by path; records requests.
#[derive(Default)]
struct Served {
    pages: Mutex<HashMap<String, (String, String, String)>>,
    requests: Mutex<Vec<String>>,
}

impl Served {
    fn put(&self, path: &str, status: &str, headers: &str, body: &str) {
        let kept = (status.to_owned(), headers.to_owned(), body.to_owned());
        self.pages.lock().unwrap().insert(path.to_owned(), kept);
    }

    fn page(&self, path: &str, body: &str) {
        self.put(
            path,
            "200 OK",
            &format!("content-type: text/html\r\netag: \"{}\"\r\n", body.len()),
            body,
        );
    }

    fn answer(&self, request: &str) -> Vec<loopback::Step> {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        self.requests.lock().unwrap().push(path.clone());
        let pages = self.pages.lock().unwrap();
        let Some((status, headers, body)) = pages.get(&path) else {
            return answer("404 Not Found", "", "");
        };
        let tag = headers.split("etag: ").nth(1).and_then(|tag| tag.split('\r').next());
        if tag.is_some_and(|tag| request.to_lowercase().contains(&format!("if-none-match: {tag}")))
        {
            return answer("304 Not Modified", "", "");
        }
        answer(status, headers, body)
    }

    fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

async fn on_site<T>(site: &Served, client: impl AsyncFnOnce(String) -> T) -> T {
    serving(
        |request| site.answer(request),
        async |address| client(format!("http://site.test:{}", address.port())).await,
    )
    .await
}

fn titled(title: &str, rest: &str) -> String {
    format!("<title>{title}</title><main><h1>{title}</h1><p>Words of {title}.</p>{rest}</main>")
}

#[tokio::test]
async fn pages_that_lead_to_each_other_are_walked_to_an_end() {
    let site = Served::default();
    site.put("/robots.txt", "200 OK", "", "User-agent: *\nDisallow: /private");
    site.page("/", &titled("Home", "<a href=/a>a</a><a href=/private/x>p</a><a href=/no>n</a><a href=/cal?d=1>c</a><a href=/in>i</a><a href=//other.test/>o</a><a href=/pic.png>p</a>"));
    site.page("/a", &titled("A", "<a href=b>b</a><a href=/>home</a>"));
    site.page("/b", &format!("<link rel=canonical href=/a>{}", titled("A again", "")));
    for day in 1..60 {
        let next = format!("<a href=/cal?d={}>next</a><a href=x/y/x/y/x/y/x/y>deep</a>", day + 1);
        site.page(&format!("/cal?d={day}"), &titled(&format!("Day {day}"), &next));
    }
    site.put("/in", "302 Found", "location: http://inner.test/\r\n", "");
    on_site(&site, async |base: String| {
        let pairs = [("url", base.as_str()), ("how", "crawl"), ("depth", "3")];
        let web = connector("web", &pairs, means(&[])).unwrap();
        let first = seen(web.as_ref(), Known::default()).await.unwrap();
        let places: Vec<&str> = first.places().iter().map(|place| &place[base.len()..]).collect();
        assert_eq!(places, ["/", "/a", "/cal?d=1", "/cal?d=2", "/cal?d=3"]);
        assert_eq!(first.pages[&format!("{base}/a")].title, "A");
        assert!(text(&first.pages[&format!("{base}/a")]).contains("Words of A."));
        assert!(first.other.iter().any(|one| one.contains("/private/x: The site’s robots.txt")));
        assert!(
            first.other.iter().any(|one| one.contains("outside this source")),
            "{:?}",
            first.other
        );
        assert!(first.over.complete && !first.over.notes.is_empty(), "{:?}", first.over);
        site.take_requests();
        // Only one page has changed: the others give 304.
        site.page("/a", &titled("A", "<a href=/new>new</a>"));
        site.page("/new", &titled("New", ""));
        let second = seen(web.as_ref(), first.known()).await.unwrap();
        let places: Vec<&str> = second.places().iter().map(|place| &place[base.len()..]).collect();
        assert_eq!((places, second.same.len()), (vec!["/a", "/new"], 4));
        let pairs = [("url", base.as_str()), ("how", "crawl"), ("pages", "2")];
        let web = connector("web", &pairs, means(&[])).unwrap();
        let short = seen(web.as_ref(), Known::default()).await.unwrap();
        assert_eq!((short.pages.len(), short.over.complete), (2, false));
    })
    .await;
}

#[tokio::test]
async fn of_a_sitemap_only_what_has_changed_is_asked() {
    let site = Served::default();
    on_site(&site, async |base: String| {
        let listed = |days: &[u32]| {
            let one = |(n, day): (usize, &u32)| {
                format!("<url><loc>{base}/p{n}</loc><lastmod>2026-01-{day:02}</lastmod></url>")
            };
            let all: String = days.iter().enumerate().map(one).collect();
            format!("<urlset>{all}<url><loc>https://other.test/</loc></url></urlset>")
        };
        let index =
            format!("<sitemapindex><sitemap><loc>{base}/map.xml</loc></sitemap></sitemapindex>");
        site.put("/sitemap.xml", "200 OK", "", &index);
        site.put("/map.xml", "200 OK", "", &listed(&[1, 1, 1, 1]));
        for n in 0..4 {
            site.page(&format!("/p{n}"), &titled(&format!("P{n}"), ""));
        }
        let web = connector("web", &[("url", &base), ("how", "sitemap")], means(&[])).unwrap();
        assert_eq!(web.validate().await.unwrap().says, "4 pages.");
        let first = seen(web.as_ref(), Known::default()).await.unwrap();
        assert_eq!((first.pages.len(), first.over.complete), (4, true));
        assert_eq!(first.over.notes, ["1 addresses in the sitemap are outside this source."]);
        site.take_requests();
        site.put("/map.xml", "200 OK", "", &listed(&[1, 2, 1]));
        site.page("/p1", &titled("P1", "<p>more</p>"));
        let second = seen(web.as_ref(), first.known()).await.unwrap();
        assert_eq!(second.places(), [format!("{base}/p1")]);
        assert_eq!(site.take_requests(), ["/robots.txt", "/sitemap.xml", "/map.xml", "/p1"]);
        // A truncated list is incomplete, and 429 says when to retry.
        site.put("/map.xml", "200 OK", "", &listed(&[1])[..60]);
        let half = seen(web.as_ref(), first.known()).await.unwrap();
        assert!(
            !half.over.complete && half.over.notes[0].contains("incomplete"),
            "{:?}",
            half.over
        );
        site.put("/map.xml", "429 Too Many Requests", "retry-after: 7200\r\n", "");
        let busy = seen(web.as_ref(), first.known()).await.unwrap_err();
        let ConnectorError::Busy { after: Some(after), .. } = busy else { panic!("{busy:?}") };
        assert_eq!(after.as_secs(), 7200);
    })
    .await;
}

#[tokio::test]
async fn a_page_and_a_feed_say_what_is_wrong() {
    let site = Served::default();
    site.page("/one", &titled("One", ""));
    site.put("/closed", "403 Forbidden", "", "");
    site.put("/inside", "302 Found", "location: http://169.254.169.254/\r\n", "");
    site.put("/paper", "200 OK", "content-type: application/pdf\r\n", "%PDF-1.7");
    let rss = "<rss><channel><title>News</title><item><guid>1</guid><title>Hello</title><description>&lt;p&gt;A &lt;b&gt;word&lt;/b&gt;&lt;/p&gt;</description></item>\
        <item><link>/one</link></item><item><link>https://other.test/</link></item></channel></rss>";
    site.put("/feed", "200 OK", "", rss);
    site.put("/bomb", "200 OK", "", "<!DOCTYPE r [<!ENTITY a \"b\">]><rss/>");
    on_site(&site, async |base: String| {
        let web = |path: &str, how: &str| {
            let url = format!("{base}{path}");
            connector("web", &[("url", &url), ("how", how)], means(&[])).unwrap()
        };
        let one = seen(web("/one", "page").as_ref(), Known::default()).await.unwrap();
        assert_eq!(one.places(), [format!("{base}/one")]);
        let second = seen(web("/one", "page").as_ref(), one.known()).await.unwrap();
        assert_eq!(second.same.len(), 1);
        let feed = seen(web("/feed", "feed").as_ref(), Known::default()).await.unwrap();
        assert_eq!(feed.places(), ["1", &format!("{base}/one")]);
        assert_eq!(text(&feed.pages["1"]), "A **word**");
        assert!(!feed.over.complete && feed.other.len() == 1, "{feed:?}");
        let paper = seen(web("/paper", "page").as_ref(), Known::default()).await.unwrap();
        assert!(matches!(paper.pages.values().next().unwrap().content, Content::File { .. }));
        let known: Known = Arc::new(HashMap::from([(format!("{base}/lost"), Mark::default())]));
        let lost = seen(web("/lost", "page").as_ref(), known).await.unwrap();
        assert!(lost.pages.is_empty() && lost.same.is_empty() && lost.over.complete);
        assert_eq!(
            web("/lost", "page").fetch(&format!("{base}/lost")).await.unwrap(),
            Fetched::Gone
        );
        for (path, how, says) in [
            ("/closed", "page", "doesn’t let HQ read this"),
            ("/inside", "page", "169.254.169.254"),
            ("/lost", "page", "There’s no page at"),
            ("/bomb", "feed", "document type"),
            ("/one", "feed", "isn’t a feed"),
        ] {
            let error = seen(web(path, how).as_ref(), Known::default()).await.unwrap_err();
            assert!(error.to_string().contains(says), "{path}: {error}");
        }
    })
    .await;
    for url in ["http://127.0.0.1/", "http://printer.local/", "file:///etc/passwd", "x"] {
        let refused = connector("web", &[("url", url), ("how", "page")], means(&[])).err();
        assert!(matches!(refused, Some(ConnectorError::Refused(_))), "{url}: {refused:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_comes_is_read_without_a_panic(
        text in "[<>/!&;:=*$#\\[\\]\"' a-zA-Z\u{e4}\u{1f600}\n]{0,200}",
        tags in prop::collection::vec("</?(rss|feed|entry|item|url|loc|content type=\"xhtml\"|a href=x|link rel=canonical|!DOCTYPE|urlset|title)>?", 0..30),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let url = Url::parse("https://a.example/x").unwrap();
        for text in [&text, &tags.concat(), &String::from_utf8_lossy(&bytes).into_owned()] {
            let _ = feed::parse(text, &url);
            let _ = sitemap::parse(text);
            let _ = links::of(text, &url);
            let _ = robots::Robots::parse(text).allows(text);
            let rules = format!("user-agent: *\ndisallow: {text}");
            let _ = robots::Robots::parse(&rules).allows(text);
        }
        let _ = sitemap::unpacked(&bytes);
        let _ = sitemap::unpacked(&[&[0x1f, 0x8b], bytes.as_slice()].concat());
    }
}
