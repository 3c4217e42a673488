//! Tests of pages that do not answer, and of ways to leave them.

use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::site::Reply;
use super::{Host, Site};
use crate::BrowserError;
use crate::act::Click;
use crate::page::Page;
use crate::snapshot::Want;
use crate::tabs::DialogAnswer;

/// Every act ends within this time.
const OVER: Duration = Duration::from_secs(15);
/// Immediate operations end within this time, even on a busy machine.
const SOON: Duration = Duration::from_secs(8);
const ADA: Uuid = Uuid::from_u128(1);
const BO: Uuid = Uuid::from_u128(2);

fn site() -> Site {
    Site::new(|_host, path| match path {
        "stalls" => Reply::Stall,
        "slow" => Site::page("<title>Slow</title><button>Press</button><img src=/stalls>"),
        "greets" => Site::page("<title>Greets</title><script>alert('Hello')</script>"),
        "around" => Site::page("<title>Around</title><p>Here</p><iframe src=http://b.test/spins>"),
        "spins" => Site::page("<p>Inner</p><script>setTimeout(() => { for (;;); })</script>"),
        path => Site::page(&format!(
            "<title>{path}</title><button onclick='for (;;);'>Spin</button>
             <button onclick='for (;;) alert(1)'>Alert</button>
             <button onclick='document.title = confirm(1)'>Ask</button>"
        )),
    })
}

async fn click(page: &Page, name: &str) {
    let seen = page.snapshot(&Want::default()).await.unwrap().text;
    let line = seen.lines().find(|line| line.contains(&format!("{name:?}"))).unwrap();
    let number = line.split("[e").nth(1).unwrap().split(']').next().unwrap();
    page.click(number.parse().unwrap(), Click::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_script_never_ends_is_told_and_left_at_once() {
    let host = Host::new(site());
    let page = host.browser.open("http://a.test/one").await.unwrap();
    let acts = async {
        click(&page, "Spin").await;
        page.after().await
    };
    let result = timeout(OVER, acts).await.expect("an act comes to an end");
    assert!(matches!(result, Err(BrowserError::Hangs { .. })), "{result:?}");
    // The next caller gets the same error without a longer wait.
    assert!(matches!(page.ready().await, Err(BrowserError::Hangs { .. })));
    let went = timeout(SOON, page.navigate("http://a.test/two")).await.expect("it goes elsewhere");
    assert_eq!(went.unwrap().title, "two");

    click(&page, "Spin").await;
    let anew = timeout(SOON, page.reload()).await.expect("it is loaded anew").unwrap();
    assert_eq!((anew.title.as_str(), anew.is_loaded), ("two", true));
    click(&page, "Spin").await;
    let back = timeout(SOON, page.back()).await.expect("it goes back").unwrap();
    assert_eq!(back.title, "one");

    click(&page, "Spin").await;
    timeout(SOON, page.close()).await.expect("it is closed").unwrap();
    assert!(host.browser.tabs().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_without_an_end_are_ended_and_those_of_a_page_that_loads_are_told() {
    let host = Host::new(site());
    let page = host.browser.open("http://a.test/one").await.unwrap();
    page.snapshot(&Want::default()).await.unwrap();
    let acts = async {
        click(&page, "Alert").await;
        page.after().await
    };
    let changes = match timeout(OVER, acts).await.expect("an act comes to an end") {
        Ok(changes) => changes.text(),
        // On a busy machine the page is given up before its script is ended.
        Err(BrowserError::Hangs { dialogs }) => dialogs,
        Err(other) => panic!("{other:?}"),
    };
    assert!(changes.contains("earlier dialogs"), "{changes}");
    assert!(changes.contains("alert \"1\", answered with OK"), "{changes}");
    let before = page.dialog_count().unwrap();
    page.navigate("http://a.test/greets").await.unwrap();
    let shown = page.dialogs_since(before).unwrap();
    assert_eq!(shown.last().unwrap(), "dialog alert \"Hello\", answered with OK", "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_prepared_is_for_one_caller_and_one_document() {
    let host = Host::new(site());
    let page = host.browser.open("http://a.test/one").await.unwrap();
    let yes = || DialogAnswer::Accept(String::new());
    let is_answered = async |words: &str| {
        let seen = page.dialog_count().unwrap();
        click(&page, "Ask").await;
        page.settle().await.unwrap();
        let shown = page.dialogs_since(seen).unwrap();
        assert_eq!(shown.len(), 1, "{words}: {shown:?}");
        shown[0].ends_with("with OK")
    };
    page.answer_next_dialog(ADA, yes()).unwrap();
    page.acts_for(ADA);
    assert!(is_answered("the same caller").await);
    page.answer_next_dialog(ADA, yes()).unwrap();
    let other = host.browser.open_blank().await.unwrap();
    other.acts_for(BO);
    page.acts_for(ADA);
    assert!(!is_answered("another caller in between, in another tab").await);
    page.answer_next_dialog(ADA, yes()).unwrap();
    page.reload().await.unwrap();
    page.acts_for(ADA);
    assert!(!is_answered("another document").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_comes_to_an_end_in_a_page_slows_no_later_act() {
    let host = Host::new(site());
    let page = host.browser.open_blank().await.unwrap();
    let opened = timeout(OVER, page.navigate("http://a.test/slow")).await.expect("it ends");
    assert!(!opened.unwrap().is_loaded);
    let acts = async {
        for _ in 0..3 {
            click(&page, "Press").await;
            page.after().await.unwrap();
        }
    };
    timeout(SOON, acts).await.expect("acts do not wait for what still loads");
    let anew = timeout(OVER, page.reload()).await.expect("it ends").unwrap();
    assert!(!anew.is_loaded && anew.title == "Slow", "{anew:?}");
    let never = timeout(OVER, page.navigate("http://a.test/stalls")).await.expect("it ends");
    assert!(matches!(never, Err(BrowserError::NotCome { .. })), "{never:?}");
    let went = timeout(SOON, page.navigate("http://a.test/two")).await.expect("it goes elsewhere");
    assert_eq!(went.unwrap().title, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_hangs_hides_nothing_of_the_page_around_it() {
    let host = Host::new(site());
    let page = host.browser.open_blank().await.unwrap();
    let looks = async {
        page.navigate("http://a.test/around").await.unwrap();
        page.snapshot(&Want::default()).await.unwrap().text
    };
    let seen = timeout(OVER, looks).await.expect("it ends");
    assert!(seen.contains("\"Here\""), "{seen}");
    timeout(SOON, page.navigate("http://a.test/two")).await.expect("it goes elsewhere").unwrap();
}
