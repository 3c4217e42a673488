//! Tests of downloads.

use std::time::Duration;

use super::site::Reply;
use super::{Host, Site};
use crate::act::Click;
use crate::downloads::DownloadState;
use crate::snapshot::Want;
use crate::tabs::Known;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn downloads_lie_in_their_folder_and_end_at_the_limit() {
    let site = Site::new(|_host, path| match path {
        "file" => Reply::Bytes {
            status: "200 OK",
            head: "content-type: application/pdf\r\n\
                content-disposition: attachment; filename=\"../r\u{fc}ck.pdf\"\r\n"
                .to_owned(),
            body: b"%PDF".to_vec(),
        },
        "endless" => Reply::Endless,
        _ => Site::page("<title>D</title><a href=/endless>All of it</a>"),
    });
    let host = Host::with(site, |setup| setup.max_downloads = 3 << 20);
    let page = host.browser.open("http://a.test/").await.unwrap();
    let opened = page.navigate("http://a.test/file").await.unwrap();
    assert!(opened.is_download && opened.url == "http://a.test/", "{opened:?}");
    let ended = |count: usize| {
        move |known: &Known| {
            let list = known.downloads.list();
            let over = list.iter().filter(|one| one.state != DownloadState::Running).count();
            (count <= over).then_some(())
        }
    };
    let tabs = &page.running.tabs;
    tabs.until(SOON, ended(1)).await.unwrap().expect("it has come");
    let done = host.browser.downloads().remove(0);
    assert_eq!((done.state, done.bytes), (DownloadState::Done, 4));
    assert_eq!(done.tab, Some(page.number()));
    assert!(done.name.ends_with(".pdf") && !done.name.contains('/'), "{done:?}");
    let folder = host.browser.setup().downloads();
    assert_eq!(std::fs::read(folder.join(&done.file)).unwrap(), b"%PDF");

    page.snapshot(&Want::default()).await.unwrap();
    page.click(1, Click::default()).await.unwrap();
    tabs.until(SOON, ended(2)).await.unwrap().expect("it is ended");
    assert_eq!(host.browser.downloads()[1].state, DownloadState::TooLarge);
    assert!(host.dir.path().exists());

    // Another start keeps listed files and deletes others.
    std::fs::write(folder.join("nameless"), "x").unwrap();
    host.browser.stop().await;
    assert_eq!(host.browser.downloads(), std::slice::from_ref(&done));
    host.browser.start().await.unwrap();
    assert_eq!(host.browser.downloads(), std::slice::from_ref(&done));
    assert!(folder.join(&done.file).exists() && !folder.join("nameless").exists());
    host.browser.reset().await.unwrap();
    assert!(host.browser.downloads().is_empty());
}
