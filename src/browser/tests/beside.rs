//! Tests of what accompanies acts: scripts of agents, console and requests, cookies and storage, emulation.

use std::time::Duration;

use uuid::Uuid;

use super::act::find;
use super::{Host, Site};
use crate::BrowserError;
use crate::emulate::{Emulation, Size};
use crate::live_view::Stage;
use crate::script::MAX_SCRIPT;
use crate::storage::{Change, Cookie, Storage};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_script_sees_the_parts_of_a_page_and_not_what_its_own_scripts_keep() {
    let (_host, page) =
        Host::showing("<title>S</title><button id=b>Buy</button><script>secret = 7</script>").await;
    for (script, value) in [
        ("typeof secret", "\"undefined\""),
        ("document.title", "\"S\""),
        ("new Promise((done) => setTimeout(() => done([1, 2]), 20))", "[1,2]"),
        ("b.textContent = 'Sold'", "\"Sold\""),
    ] {
        assert_eq!(page.run_script(None, script, SOON).await.unwrap(), value, "{script}");
    }
    let part = find(&page, "Sold").await;
    assert_eq!(page.run_script(Some(part), "this.tagName", SOON).await.unwrap(), "\"BUTTON\"");
    // The driver uses another isolated world.
    page.run_script(None, "Element.prototype.getBoundingClientRect = () => 0", SOON).await.unwrap();
    page.click(part, crate::act::Click::default()).await.unwrap();
    for (script, why) in [
        ("nothing.there", "nothing is not defined"),
        ("'x'.repeat(100000)", "the limit is"),
        (&*"x".repeat(MAX_SCRIPT + 1), "longer than"),
    ] {
        let error = page.run_script(None, script, SOON).await.unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, BrowserError::Script(_)) && message.contains(why), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_goes_where_a_script_may_look_on_and_no_script_where_one_was_typed() {
    let (_host, page) = Host::showing("<input type=password aria-label=Word>").await;
    let (stage, mira) = (Stage::default(), Uuid::from_u128(1));
    page.run_script(None, "1", SOON).await.unwrap();
    let word = find(&page, "\"Word\"").await;
    let refused = stage.conceal_for(&page, word, mira).unwrap_err();
    assert!(matches!(refused, BrowserError::Scripted(1)), "{refused}");
    assert!(!stage.is_dark());
    page.reload().await.unwrap();
    let word = find(&page, "\"Word\"").await;
    stage.conceal_for(&page, word, mira).unwrap();
    let refused = page.run_script(None, "1", SOON).await.unwrap_err();
    assert!(matches!(refused, BrowserError::KnowsSecret), "{refused}");
    assert!(matches!(page.console().await, Err(BrowserError::KnowsSecret)));
    assert!(matches!(page.fetched().await, Err(BrowserError::KnowsSecret)));
    page.reload().await.unwrap();
    page.run_script(None, "1", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_and_requests_are_told_without_values() {
    let (host, page) = Host::showing(
        "<title>C</title><script>console.log('first', 1); console.error('bad'); undefined.x</script>",
    )
    .await;
    let console = page.console().await.unwrap();
    let kinds: Vec<&str> = console.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["log", "error", "exception"], "{console:?}");
    assert_eq!(console[0].text, "first 1");
    assert_eq!(console.iter().filter(|one| one.is_error()).count(), 2);
    page.evaluate("fetch('/x?token=zanzibar').then(() => 0)", SOON).await.unwrap();
    let fetched = page.fetched().await.unwrap();
    let one = fetched.iter().find(|one| one.url.contains("/x")).expect("the request");
    assert_eq!((one.url.as_str(), one.status), ("http://a.test/x?token=…", Some(200)));
    host.browser.forget_heard();
    assert!(page.console().await.unwrap().is_empty() && page.fetched().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_and_storages_are_told_by_name_alone() {
    let (host, page) = Host::showing(
        "<title>K</title><script>document.cookie = 'sid=zanzibar'; localStorage.word = 'zanzibar'</script>",
    )
    .await;
    let cookies = host.browser.cookies().await.unwrap();
    assert_eq!((cookies[0].name.as_str(), cookies[0].host.as_str()), ("sid", "a.test"));
    let stored = page.stored(Storage::Local).await.unwrap();
    assert_eq!((stored[0].name.as_str(), stored[0].length), ("word", 8));
    assert!(!format!("{cookies:?}{stored:?}").contains("zanzibar"));
    let new = Cookie { name: "more".to_owned(), is_http_only: true, ..cookies[0].clone() };
    host.browser.put_cookie(&new, "1").await.unwrap();
    page.drop_cookie("sid", "a.test", "/").await.unwrap();
    let left = host.browser.cookies().await.unwrap();
    assert!(left.len() == 1 && left[0].is_http_only && left[0].name == "more", "{left:?}");
    host.browser.clear_cookies().await.unwrap();
    assert!(host.browser.cookies().await.unwrap().is_empty());
    page.store(Storage::Session, Change::Put("a\"b", "x")).await.unwrap();
    assert_eq!(page.stored(Storage::Session).await.unwrap()[0].name, "a\"b");
    page.store(Storage::Local, Change::Drop("word")).await.unwrap();
    page.store(Storage::Session, Change::Clear).await.unwrap();
    assert!(page.stored(Storage::Local).await.unwrap().is_empty());
    assert!(page.stored(Storage::Session).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_is_told_of_another_machine_and_goes_forward_again() {
    let host = Host::new(Site::new(|_host, path| Site::page(&format!("<title>At {path}</title>"))));
    let page = host.browser.open("http://a.test/one").await.unwrap();
    let to = Emulation {
        size: Some(Size { width: 390, height: 844, scale: 2.0, is_phone: true }),
        zone: Some("Asia/Tokyo".to_owned()),
        locale: Some("de-DE".to_owned()),
        scheme: Some("dark".to_owned()),
        ..Emulation::default()
    };
    page.emulate(&to).await.unwrap();
    page.navigate("http://a.test/two").await.unwrap();
    let result =
        "[screen.width, Intl.DateTimeFormat().resolvedOptions().timeZone, (1.5).toLocaleString(),
        matchMedia('(prefers-color-scheme: dark)').matches]";
    let result = page.evaluate(result, SOON).await.unwrap();
    assert_eq!(result, r#"[390,"Asia/Tokyo","1,5",true]"#);
    let nowhere = Emulation { zone: Some("Mars/Base".to_owned()), ..Emulation::default() };
    assert!(matches!(page.emulate(&nowhere).await, Err(BrowserError::Wrong(_))));
    let offline = Emulation { is_offline: true, ..Emulation::default() };
    page.emulate(&offline).await.unwrap();
    assert!(page.navigate("http://a.test/three").await.is_err());
    page.emulate(&Emulation::default()).await.unwrap();

    page.navigate("http://a.test/four").await.unwrap();
    page.back().await.unwrap();
    assert_eq!(page.forward().await.unwrap().url, "http://a.test/four");
    assert!(matches!(page.forward().await, Err(BrowserError::NoFuture)));
    assert_eq!(page.pdf().await.unwrap()[..4], *b"%PDF");
}
