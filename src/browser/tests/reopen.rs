//! Tests of tabs that come back when HQ is restarted: a new browser over the same folder.

use std::time::Duration;

use uuid::Uuid;

use super::{Host, Site};
use crate::launch::{Browser, Tended};
use crate::snapshot::Want;

const SOON: Duration = Duration::from_secs(20);

fn site() -> Site {
    Site::new(|host, path| {
        Site::page(&format!(
            "<title>{host}/{path}</title><form><input id=p type=password name=p></form>"
        ))
    })
}

fn reopen(host: &Host) -> Browser {
    Browser::new(host.browser.setup().clone())
}

fn urls(tabs: &[crate::tabs::TabInfo]) -> Vec<(u32, &str)> {
    tabs.iter().map(|tab| (tab.number, tab.url.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_come_back_after_a_restart_and_what_was_typed_does_not() {
    let host = Host::new(site());
    let first = host.browser.open("http://a.test/1?q=2").await.unwrap();
    host.browser.open("http://b.test/gone").await.unwrap().close().await.unwrap();
    host.browser.open("http://b.test/3").await.unwrap();
    let secret = host.browser.open("http://c.test/sign-in").await.unwrap();
    secret.snapshot(&Want::default()).await.unwrap();
    secret.hide_value(field(&secret).await).unwrap();
    let run = Uuid::from_u128(7);
    host.browser.note_run(1, run);
    first.bring_to_front().await.unwrap();
    assert!(matches!(host.browser.tend().await, Tended::Fine(_)));
    let file = host.browser.setup().folder.join("tabs.json");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("a.test/1?q=2") && !kept.contains("c.test"), "{kept}");

    // Nothing is saved while a credential is typed.
    host.browser.pause_capture();
    secret.navigate("http://c.test/?p=correct+horse").await.unwrap();
    first.navigate("http://a.test/dark?p=correct+horse").await.unwrap();
    assert!(matches!(host.browser.tend().await, Tended::Fine(_)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
    host.browser.resume_capture();
    assert!(matches!(host.browser.tend().await, Tended::Fine(_)));
    let after = std::fs::read_to_string(&file).unwrap();
    assert!(!after.contains("correct") && !after.contains("dark"), "{after}");
    first.navigate("http://a.test/light").await.unwrap();
    host.browser.stop().await;

    let new = reopen(&host);
    assert!(!new.is_running() && new.open_tabs().is_empty(), "nothing starts by itself");
    let tabs = come(&new).await;
    assert_eq!(urls(&tabs), [(1, "http://a.test/light"), (3, "http://b.test/3")]);
    assert_eq!(new.front(), Some(1));
    assert_eq!(new.runs().get(&1), Some(&run), "who may see it is known");
    let page = new.page(1).await.unwrap();
    assert_eq!(page.evaluate("document.title", SOON).await.unwrap(), "\"a.test/light\"");
    assert_eq!(new.open_blank().await.unwrap().number(), 5, "no number is given twice");

    new.reset().await.unwrap();
    assert!(!file.exists());
    drop(new);
    assert!(reopen(&host).tabs().await.unwrap().is_empty(), "a reset forgets them");
}

/// The tabs once all have loaded: a start does not wait for those behind the one in front.
async fn come(browser: &Browser) -> Vec<crate::tabs::TabInfo> {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let all = async {
        loop {
            let tabs = browser.tabs().await.unwrap();
            if tabs.iter().all(|tab| tab.url != "about:blank") {
                return tabs;
            }
            tick.tick().await;
        }
    };
    tokio::time::timeout(SOON, all).await.expect("all tabs come back")
}

async fn field(page: &crate::page::Page) -> u32 {
    let shown = page.snapshot(&Want { interactive: true, ..Want::default() }).await.unwrap().text;
    let at = shown.find("[e").unwrap_or_else(|| panic!("no field: {shown}"));
    let end = shown[at..].find(']').unwrap() + at;
    crate::refs::parse(&shown[at..=end]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_tabs_that_is_none_of_hqs_is_passed_over() {
    let host = Host::new(site());
    let folder = host.browser.setup().folder.clone();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tabs.json");
    for text in ["", "{", r#"{"tabs":[[1,"file:///etc/passwd"]],"next_tab":0,"front":9,"runs":{}}"#]
    {
        std::fs::write(&file, text).unwrap();
        let browser = reopen(&host);
        assert!(browser.tabs().await.unwrap().is_empty(), "{text}");
        browser.stop().await;
    }
}
