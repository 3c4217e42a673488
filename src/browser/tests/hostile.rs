//! Tests with malicious pages and deficient hosts.

use std::time::Duration;

use super::site::Reply;
use super::{Host, Site};
use crate::act::Click;
use crate::snapshot::Want;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_asks_a_person_blocks_the_page() {
    let site = Site::new(|_host, path| match path {
        "sign-in" => Reply::Bytes {
            status: "401 Unauthorized",
            head: "www-authenticate: Basic realm=\"x\"\r\ncontent-type: text/html\r\n".to_owned(),
            body: b"<title>Who</title>".to_vec(),
        },
        _ => Site::page("<title>Q</title><input type=file aria-label=Papers>"),
    });
    let host = Host::new(site);
    let page = host.browser.open("http://a.test/").await.unwrap();
    page.snapshot(&Want::default()).await.unwrap();
    page.click(1, Click::default()).await.unwrap();
    assert_eq!(page.evaluate("print(); 1", SOON).await.unwrap(), "1");
    let asks = "Promise.all([
        Notification.requestPermission(),
        navigator.permissions.query({name: 'geolocation'}).then(p => p.state),
        new Promise(r => navigator.geolocation
            ? navigator.geolocation.getCurrentPosition(() => r('told'), e => r('denied')) : r('none')),
        navigator.mediaDevices ? navigator.mediaDevices.getUserMedia({audio: true})
            .then(() => 'told', e => 'denied') : 'none'])";
    let result = page.evaluate(asks, SOON).await.unwrap();
    assert!(!result.contains("told") && !result.contains("granted"), "{result}");
    let refused = page.navigate_within("http://a.test/sign-in", SOON).await.unwrap_err();
    assert!(refused.to_string().ends_with("net::ERR_INVALID_AUTH_CREDENTIALS"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_leads_to_no_address_that_is_not_of_the_web() {
    let (host, page) = Host::showing("<title>Stays</title><a id=l target=_blank>x</a>").await;
    for url in [
        "file:///etc/passwd",
        "chrome://settings",
        "view-source:http://a.test/",
        "data:text/html,x",
    ] {
        let script =
            format!("location = '{url}'; window.open('{url}'); l.href = '{url}'; l.click(); 0");
        let open = crate::protocol::Evaluate {
            expression: &script,
            await_promise: false,
            return_by_value: true,
            user_gesture: true,
        };
        page.call(&open, SOON).await.unwrap();
        page.settle().await.unwrap();
        page.snapshot(&Want::default()).await.unwrap();
        for tab in host.browser.tabs().await.unwrap() {
            let is_harmless =
                ["http://a.test/", "about:blank", "", ":"].contains(&tab.url.as_str());
            assert!(is_harmless, "{url} led to {tab:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reaches_nothing_beside_the_way_out() {
    let trap = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    let (host, page) = Host::showing("<title>Leaks</title>").await;
    let script = format!(
        "Promise.allSettled([fetch('http://127.0.0.1:{port}/x', {{mode: 'no-cors'}}),
        new Promise((y, n) => {{ const s = new WebSocket('ws://127.0.0.1:{port}/w'); s.onerror = n; s.onopen = y }}),
        fetch('http://[::1]:{port}/y', {{mode: 'no-cors'}})]).then(all => all.length)"
    );
    page.evaluate(&script, Duration::from_secs(10)).await.unwrap();
    assert!(trap.accept().is_err(), "something came beside the way out");
    let requests = host.site.requests();
    assert!(
        requests.iter().any(|line| line.contains(&format!("127.0.0.1:{port}"))),
        "{requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_folder_and_a_broken_profile_do_not_stop_it() {
    let site = Site::new(|_host, _path| Site::page("<title>Deep</title>"));
    let host = Host::with(site, |setup| {
        setup.folder = setup
            .folder
            .join("workspaces/a-company-with-a-long-name/browsers")
            .join("a".repeat(60));
    });
    let profile = host.browser.setup().folder.join("profile");
    std::fs::create_dir_all(profile.join("Default")).unwrap();
    std::fs::write(profile.join("Local State"), "{broken").unwrap();
    std::fs::write(profile.join("Default/Preferences"), [0, 1, 2]).unwrap();
    std::fs::write(profile.join("Default/Cookies"), [9; 4096]).unwrap();
    std::os::unix::fs::symlink("elsewhere-1", profile.join("SingletonLock")).unwrap();
    // Links that a browser left behind must not lead HQ to other files.
    let own = host.dir.path().join("own.json");
    std::fs::write(&own, "{\"key\": 1}").unwrap();
    let link = |name: &str| std::os::unix::fs::symlink(&own, profile.join("Default").join(name));
    link("Sessions").unwrap();
    let page = host.browser.open("http://a.test/").await.unwrap();
    assert_eq!(page.info().unwrap().title, "Deep");
    host.browser.stop().await;
    std::fs::remove_file(profile.join("Default/Preferences")).unwrap();
    link("Preferences").unwrap();
    host.browser.start().await.unwrap();
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "{\"key\": 1}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_survive_a_stop_and_not_a_reset() {
    let (host, page) = Host::showing("<title>C</title>").await;
    page.evaluate("document.cookie = 'a=1; max-age=9999'; localStorage.b = 2", SOON).await.unwrap();
    host.browser.stop().await;
    let page = host.browser.page(1).await.unwrap();
    page.navigate("http://a.test/").await.unwrap();
    let kept = page.evaluate("[document.cookie, localStorage.b]", SOON).await.unwrap();
    assert_eq!(kept, r#"["a=1","2"]"#);
    host.browser.reset().await.unwrap();
    let page = host.browser.open("http://a.test/").await.unwrap();
    assert_eq!(page.number(), 2);
    let kept = page.evaluate("[document.cookie, localStorage.b ?? 0]", SOON).await.unwrap();
    assert_eq!(kept, r#"["",0]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_reads_no_file_outside_its_folder() {
    let (host, page) =
        Host::showing("<title>F</title><input type=file id=f aria-label=Papers>").await;
    let secret = host.dir.path().join("secret.txt");
    std::fs::write(&secret, "hunter2").unwrap();
    page.snapshot(&Want::default()).await.unwrap();
    let node = page.with_tab(|tab| tab.refs.node(1).cloned()).unwrap().unwrap();
    let files = [secret.to_str().unwrap().to_owned()];
    let set = crate::protocol::SetFiles { files: &files, backend_node_id: node.backend };
    page.call(&set, SOON).await.ok(); // ok: it may be refused here or when it is read
    let read =
        "(async () => { try { return await f.files[0].text() } catch (e) { return e.name } })()";
    let result = page.evaluate(read, SOON).await.unwrap();
    assert!(!result.contains("hunter2") && result.contains("Error"), "{result}");
}
