//! Tests of the shared screencast, manual control and paused capture.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::Host;
use crate::BrowserError;
use crate::fleet::Browsers;
use crate::live_view::{Driver, Stage, Take, Watcher};
use crate::page::Page;
use crate::screencast::{Input, Key};

const SOON: Duration = Duration::from_secs(20);
const MIRA: Uuid = Uuid::from_u128(1);
const TOM: Uuid = Uuid::from_u128(2);

fn driver(who: Uuid) -> Driver {
    Driver { who, name: who.to_string() }
}

async fn sees(watcher: &mut Watcher) -> bool {
    timeout(SOON, watcher.next()).await.is_ok()
}

/// Whether no picture arrives for a while.
async fn sees_nothing(watcher: &mut Watcher) -> bool {
    timeout(Duration::from_millis(700), watcher.next()).await.is_err()
}

fn letter(key: &str) -> Input {
    Input::KeyDown(Key { key: key.to_owned(), text: key.to_owned(), ..Key::default() })
}

async fn is_light(stage: &Stage, host: &Host) {
    let light = async {
        while stage.is_dark() {
            stage.settle(&host.browser).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, light).await.expect("it becomes light");
}

fn is_drawn(page: &Page) -> bool {
    page.with_tab(|tab| tab.cast.is_some()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_made_once_for_all_and_for_nobody_not_at_all() {
    let (host, page) = Host::showing("<p>Still</p>").await;
    let stage = Arc::new(Stage::default());
    let mut mira = Watcher::new(Arc::clone(&stage), host.browser.clone(), MIRA);
    assert!(sees(&mut mira).await && is_drawn(&page));
    // A later viewer gets the shared picture at once.
    let mut tom = Watcher::new(Arc::clone(&stage), host.browser.clone(), TOM);
    assert!(sees(&mut tom).await);
    drop(mira);
    page.evaluate("document.body.innerHTML = '<h1>Other</h1>'", SOON).await.unwrap();
    assert!(sees(&mut tom).await);
    drop(tom);
    assert!(!is_drawn(&page) && stage.watchers() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_types_a_password_sees_the_page_until_it_is_gone() {
    let (host, page) = Host::showing(
        "<input id=p type=password autofocus><script>p.oninput=()=>document.title=p.value</script>",
    )
    .await;
    let all = Browsers::default();
    let key = (Uuid::nil(), Uuid::nil());
    all.of(key, || host.browser.setup().clone());
    let stage = all.stage(key).unwrap();
    let mut mira = Watcher::new(Arc::clone(&stage), host.browser.clone(), MIRA);
    let mut tom = Watcher::new(Arc::clone(&stage), host.browser.clone(), TOM);
    assert!(sees(&mut mira).await && sees(&mut tom).await);
    let denied = stage.input(&page, MIRA, &letter("a")).await;
    assert!(matches!(denied, Err(BrowserError::NotDriving)), "{denied:?}");
    all.take_wheel(key, driver(MIRA), Take::Free).await.unwrap();
    let taken = all.take_wheel(key, driver(TOM), Take::Free).await;
    assert!(matches!(taken, Err(BrowserError::HumanInControl(_))), "{taken:?}");
    assert!(timeout(Duration::from_millis(100), all.turn(key)).await.is_err(), "the agent waits");

    page.evaluate("p.focus()", SOON).await.unwrap();
    stage.input(&page, MIRA, &letter("a")).await.unwrap();
    assert!(stage.is_dark());
    let over = all.take_wheel(key, driver(TOM), Take::Over).await;
    assert!(matches!(over, Err(BrowserError::Hidden)), "{over:?}");
    page.evaluate("document.body.append('seen')", SOON).await.unwrap();
    assert!(sees(&mut mira).await);
    assert!(sees_nothing(&mut tom).await);
    stage.settle(&host.browser).await;
    assert!(stage.is_dark(), "something stands in the field");
    page.evaluate("p.remove()", SOON).await.unwrap();
    is_light(&stage, &host).await;
    assert!(sees(&mut tom).await);

    // A requested pause ends on request only.
    stage.hide(&host.browser, MIRA).unwrap();
    stage.settle(&host.browser).await;
    assert!(stage.is_dark() && sees_nothing(&mut tom).await);
    stage.unhide(MIRA);
    is_light(&stage, &host).await;
    assert_eq!(stage.hand_back(Some(TOM), ""), None, "it is not theirs");
    assert_eq!(stage.hand_back(Some(MIRA), " Done. "), Some(driver(MIRA)));
    assert_eq!(stage.take_handed().map(|handed| handed.note), Some("Done.".to_owned()));
    assert!(timeout(SOON, all.turn(key)).await.unwrap().is_some(), "the agent goes on");
}
