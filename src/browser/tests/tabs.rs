//! Tests of tabs: navigation, pages opened by pages, dialogs.

use std::time::Duration;

use uuid::Uuid;

use super::site::Reply;
use super::{Host, Site};
use crate::BrowserError;
use crate::tabs::{DialogAnswer, MAX_TABS};

const ADA: Uuid = Uuid::from_u128(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_goes_forward_back_and_away() {
    let host = Host::new(Site::new(|_host, path| match path {
        "missing" => Reply::Bytes {
            status: "404 Not Found",
            head: "content-type: text/html\r\n".to_owned(),
            body: b"<title>Missing</title>".to_vec(),
        },
        "stalls" => Reply::Stall,
        "slow" => Site::page("<title>Slow</title><img src=/stalls>"),
        "from" => Reply::Bytes {
            status: "302 Found",
            head: "location: http://b.test/to\r\n".to_owned(),
            body: Vec::new(),
        },
        path => Site::page(&format!("<title>{path}</title><a href='#x'>There</a>")),
    }));
    let page = host.browser.open("http://a.test/one").await.unwrap();
    assert!(matches!(page.back().await, Err(BrowserError::NoHistory)));
    let opened = page.navigate("http://a.test/from").await.unwrap();
    assert_eq!((opened.url.as_str(), opened.title.as_str()), ("http://b.test/to", "to"));
    assert_eq!((opened.status, opened.is_loaded), (200, true));
    assert_eq!(page.navigate("http://b.test/to#x").await.unwrap().url, "http://b.test/to#x");
    assert_eq!(page.back().await.unwrap().url, "http://b.test/to");
    assert_eq!(page.back().await.unwrap().title, "one");
    assert_eq!(page.reload().await.unwrap().title, "one");
    assert_eq!(page.navigate("http://a.test/missing").await.unwrap().status, 404);

    // Long enough for the page itself on a busy machine; its picture never arrives.
    let a_while = Duration::from_secs(5);
    let slow = page.navigate_within("http://a.test/slow", a_while).await.unwrap();
    assert!(!slow.is_loaded && slow.url.ends_with("/slow"), "{slow:?}");
    let soon = Duration::from_millis(500);
    let never = page.navigate_within("http://a.test/stalls", soon).await;
    assert!(matches!(never, Err(BrowserError::NotCome { .. })), "{never:?}");
    assert_eq!(page.navigate("http://a.test/two").await.unwrap().title, "two");
    let unsafe_port = page.navigate("http://a.test:1/").await.unwrap_err().to_string();
    assert_eq!(unsafe_port, "http://a.test:1/ didn't open: net::ERR_UNSAFE_PORT");
    page.settle().await.unwrap();
    assert_eq!(page.info().unwrap().url, "http://a.test:1/");
    for url in ["file:///etc/passwd", "chrome://version", "javascript:1", "data:text/html,x"] {
        assert!(matches!(page.navigate(url).await, Err(BrowserError::Address(_))));
    }
    page.close().await.unwrap();
    assert!(matches!(page.info(), Err(BrowserError::TabClosed)));
    assert!(host.browser.tabs().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_cannot_open_more_than_eight_tabs() {
    let (host, page) = Host::showing("<title>Many</title>").await;
    // Acts like a person's click for each window; otherwise the browser blocks the others itself.
    let script = "for (let i = 0; i < 50; i++) window.open('http://a.test/' + i)";
    page.evaluate(script, Duration::from_secs(20)).await.unwrap();
    assert_eq!(host.browser.tabs().await.unwrap().len(), 1);
    for _ in 0..12 {
        let open = crate::protocol::Evaluate {
            expression: "void window.open('http://a.test/more')",
            await_promise: false,
            return_by_value: true,
            user_gesture: true,
        };
        page.call(&open, Duration::from_secs(20)).await.unwrap();
    }
    let many = |known: &crate::tabs::Known| (5 <= known.refused_popups).then_some(());
    page.running.tabs.until(Duration::from_secs(20), many).await.unwrap().expect("5 are refused");
    let tabs = host.browser.tabs().await.unwrap();
    assert_eq!(tabs.len(), MAX_TABS);
    let more = host.browser.open_blank().await;
    assert!(matches!(more, Err(BrowserError::TooManyTabs(8))));
    assert_eq!(page.evaluate("1 + 1", Duration::from_secs(20)).await.unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_block_nothing() {
    let (_host, page) = Host::showing("<title>Asks</title>").await;
    let within = Duration::from_secs(20);
    let script = "alert('one'); [confirm('two'), prompt('three')]";
    assert_eq!(page.evaluate(script, within).await.unwrap(), "[false,null]");
    page.answer_next_dialog(ADA, DialogAnswer::Accept("Ada".to_owned())).unwrap();
    assert_eq!(page.evaluate("alert('x'); prompt('Name?')", within).await.unwrap(), "\"Ada\"");
    let dialogs = page.dialogs().unwrap();
    let words: Vec<&str> = dialogs.iter().map(|dialog| dialog.message.as_str()).collect();
    assert_eq!(words, ["one", "two", "three", "x", "Name?"]);
    assert!(!dialogs[1].accepted && dialogs[4].accepted);
    page.evaluate("onbeforeunload = e => e.preventDefault()", within).await.unwrap();
    assert_eq!(page.navigate("http://a.test/2").await.unwrap().title, "Asks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_ends_calls_at_once_and_the_tab_can_be_used_again() {
    let (_host, page) = Host::showing("<title>Fine</title>").await;
    let (waiting, crash) = tokio::join!(
        page.evaluate("new Promise(() => {})", Duration::from_secs(60)),
        page.running.link.call(
            Some(&page.session),
            &crate::protocol::Crash {},
            Duration::from_secs(60)
        )
    );
    assert!(matches!(waiting, Err(BrowserError::Crashed)), "{waiting:?}");
    let is_ended = matches!(&crash, Err(error) if !matches!(error, BrowserError::TimedOut { .. }));
    assert!(is_ended, "{:?}", crash.err());
    assert!(page.info().unwrap().has_crashed);
    assert_eq!(page.navigate("http://a.test/again").await.unwrap().title, "Fine");
    assert_eq!(page.evaluate("1", Duration::from_secs(20)).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_at_rest_after_whatever_led_nowhere() {
    let host = Host::new(Site::new(|_host, path| {
        let file = "content-disposition: attachment; filename=a.bin\r\n";
        match path {
            "file" => Reply::Bytes { status: "200 OK", head: file.to_owned(), body: vec![1] },
            "nothing" => {
                Reply::Bytes { status: "204 No Content", head: String::new(), body: Vec::new() }
            }
            _ => Site::page("<title>Rests</title><a id=a>x</a>"),
        }
    }));
    let page = host.browser.open("http://a.test/").await.unwrap();
    for to in ["/file", "/nothing", "#here", "mailto:a@b.test", "javascript:void 0"] {
        let script = format!("a.href = '{to}'; a.click(); 0");
        page.evaluate(&script, Duration::from_secs(20)).await.unwrap();
        page.settle().await.unwrap();
        let rests = |tab: &crate::tabs::Tab| (!tab.is_loading).then_some(());
        assert!(page.until(Duration::from_secs(20), rests).await.unwrap().is_some(), "{to}");
    }
    let nowhere = page.navigate("http://a.test/nothing").await;
    assert!(matches!(nowhere, Err(BrowserError::Navigation { .. })), "{nowhere:?}");
    assert_eq!(page.navigate("http://a.test/#again").await.unwrap().title, "Rests");
}
