//! Tests of addresses that contain a password from a form: they are neither shown nor stored.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::site::Reply;
use super::{Host, Site};
use crate::fleet::Browsers;
use crate::live_view::{Driver, Take};
use crate::screencast::{Input, Key};
use crate::snapshot::Want;

const SOON: Duration = Duration::from_secs(20);
const MIRA: Uuid = Uuid::from_u128(1);
const TOM: Uuid = Uuid::from_u128(2);
const TYPED: &str = "zanzibar7quokka";

/// Files below a folder that contain the typed text.
fn with(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    // Missing entries contain nothing.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let holds = |bytes: Vec<u8>| {
            let wide: Vec<u8> = TYPED.encode_utf16().flat_map(u16::to_le_bytes).collect();
            [TYPED.as_bytes(), &wide]
                .iter()
                .any(|form| bytes.windows(form.len()).any(|w| w == *form))
        };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(with(&path));
        } else if fs::read(&path).is_ok_and(holds) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn key(key: &str, text: &str, number: u32) -> Input {
    Input::KeyDown(Key { key: key.to_owned(), text: text.to_owned(), number, ..Key::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_is_told_to_nobody_and_kept_nowhere() {
    let host = Host::new(Site::new(|_host, path| {
        Reply::Bytes {
        status: "200 OK",
        head: "content-type: text/html\r\ncache-control: max-age=9999\r\n".to_owned(),
        body: match path {
            "" => b"<title>Sign in</title><form action=/in><input id=p name=p type=password autofocus>
                <button>Go</button></form><script>p.oninput = () => document.title = p.value</script>"
                .to_vec(),
            _ => b"<p>Welcome</p>".to_vec(),
        },
    }
    }));
    let page = host.browser.open("http://a.test/").await.unwrap();
    let all = Browsers::default();
    let of = (Uuid::nil(), Uuid::nil());
    all.of(of, || host.browser.setup().clone());
    let stage = all.stage(of).unwrap();
    let driver = Driver { who: MIRA, name: "Mira".to_owned() };
    all.take_wheel(of, driver, Take::Free).await.unwrap();
    page.evaluate("p.focus()", SOON).await.unwrap();
    for letter in TYPED.chars() {
        let letter = letter.to_string();
        stage.input(&page, MIRA, &key(&letter, &letter, 0)).await.unwrap();
    }
    page.learn_title().await.unwrap();
    let open = host.browser.open_tabs();
    assert_eq!(open[0].title, "Sign in", "a page may write a password into its title");
    for other in [None, Some(TOM)] {
        let shown = stage.withhold(other, open.clone());
        assert_eq!((shown[0].title.as_str(), shown[0].url.as_str()), ("", ""), "{other:?}");
    }
    assert_eq!(stage.withhold(Some(MIRA), open.clone()), open);

    stage.input(&page, MIRA, &key("Enter", "\r", 13)).await.unwrap();
    let light = async {
        while stage.is_dark() {
            stage.settle(&host.browser).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, light).await.expect("it becomes light");
    let requests = host.site.requests();
    assert!(requests.iter().any(|line| line.contains(&format!("/in?p={TYPED}"))), "{requests:?}");
    page.learn_title().await.unwrap();
    let mut shown = format!("{:?}", stage.withhold(None, host.browser.open_tabs()));
    assert!(shown.contains("http://a.test/in\""), "{shown}");
    shown += &page.snapshot(&Want::default()).await.unwrap().text;
    assert!(shown.contains("Welcome"), "{shown}");
    shown += &format!("{:?}", page.navigate("http://a.test/other?q=kept").await.unwrap());
    assert!(shown.contains("other?q=kept"), "{shown}");
    shown += &format!("{:?}", page.back().await.unwrap());
    assert!(!shown.contains(TYPED), "{shown}");

    let folder = host.browser.setup().folder.clone();
    let gone = async {
        while !with(&folder).is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(SOON, gone).await.is_ok(), "while it runs: {:?}", with(&folder));
    host.browser.stop().await;
    assert_eq!(with(&folder), Vec::<String>::new(), "when it has ended");
}
