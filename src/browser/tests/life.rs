//! Tests of a browser's lifecycle.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Host, Site, helper, is_gone, kill, living};
use crate::BrowserError;
use crate::launch::Tended;

fn site() -> Site {
    Site::new(|host, path| Site::page(&format!("<title>{host}/{path}</title><p>Here</p>")))
}

async fn pid(host: &Host) -> i32 {
    match host.browser.tend().await {
        Tended::Fine(health) => health.pid,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_starts_in_the_jail_shows_a_page_and_leaves_nothing() {
    let host = Host::new(site());
    assert!(!host.browser.is_running());
    let page = host.browser.open("http://a.test/x").await.unwrap();
    assert_eq!(page.reload().await.unwrap().title, "a.test/x");
    let Tended::Fine(health) = host.browser.tend().await else { panic!("it does not run") };
    assert!(sandbox::procfs::is_jailed(health.pid));
    assert!(health.version.contains("Chrome/"), "{health:?}");
    assert!((3..60).contains(&health.processes), "{health:?}");
    assert!((20 << 20..1 << 30).contains(&health.memory), "{health:?}");
    host.browser.stop().await;
    is_gone(health.pid).await;
    assert_eq!(host.browser.tend().await, Tended::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_is_started_anew_with_its_tabs() {
    let host = Host::new(site());
    host.browser.open("http://a.test/1").await.unwrap();
    let second = host.browser.open("http://b.test/2").await.unwrap();
    host.browser.page(1).await.unwrap().close().await.unwrap();
    let first = pid(&host).await;
    kill(first);
    let lost = second.evaluate("new Promise(() => {})", Duration::from_secs(60)).await;
    assert!(matches!(lost, Err(BrowserError::Ended)), "{lost:?}");
    let same = host.browser.page(2).await.unwrap();
    let opened = same.navigate("http://b.test/3").await.unwrap();
    assert_eq!(opened.title, "b.test/3");
    is_gone(first).await;
    let news = host.browser.take_news();
    assert!(news.len() == 1 && news[0].contains("it crashed"), "{news:?}");
    assert_eq!(host.browser.open_blank().await.unwrap().number(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_always_fails_is_given_up() {
    let host = Host::with(site(), |setup| setup.program = "/bin/false".into());
    for _ in 0..5 {
        let failed = host.browser.start().await;
        assert!(matches!(failed, Err(BrowserError::NotReady(_))), "{failed:?}");
    }
    assert!(matches!(host.browser.start().await, Err(BrowserError::GaveUp(5))));
    host.browser.stop().await;
    assert!(matches!(host.browser.start().await, Err(BrowserError::NotReady(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_browser_and_a_greedy_one_are_ended() {
    let host = Host::with(site(), |setup| setup.idle = Duration::ZERO);
    host.browser.open("http://a.test/1").await.unwrap();
    assert_eq!(host.browser.tend().await, Tended::Idle);
    assert_eq!(host.browser.tabs().await.unwrap().len(), 1, "its tab came back");

    let host = Host::with(site(), |setup| setup.max_memory = 1 << 20);
    host.browser.start().await.unwrap();
    let Tended::Ended(why) = host.browser.tend().await else { panic!("it was left") };
    assert!(why.contains("memory"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_takes_the_browser_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Command::new(helper())
        .arg(dir.path().join("browser"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let session: i32 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(3 <= living(session));
    owner.kill().unwrap();
    owner.wait().unwrap();
    is_gone(session).await;
}

#[tokio::test]
async fn the_doctor_names_what_is_missing() {
    let host = Host::new(site());
    let needs = crate::doctor::inspect(host.browser.setup());
    assert!(needs.iter().all(|need| need.is_met), "{needs:?}");
    let host = Host::with(site(), |setup| {
        setup.program = "/nowhere/chromium".into();
        setup.folder = "/dev/null/browser".into();
    });
    let needs = crate::doctor::inspect(host.browser.setup());
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_met).collect();
    assert_eq!(missing.iter().map(|need| need.name).collect::<Vec<_>>(), ["program", "folder"]);
    assert!(missing[0].says.contains("install"), "{missing:?}");
}
