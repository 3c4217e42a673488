//! HQ as an installed app: manifest, icons, service worker, which pages may be stored, what other apps share.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::Value;

use support::hq::{Reply, TestHq};

const HOME: &str = "/w/marlow-cargo";
const MANIFEST: &str = "/w/marlow-cargo/manifest.webmanifest";

fn manifest(reply: &Reply) -> Value {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(reply.header("content-type"), Some("application/manifest+json"));
    reply.json()
}

/// Width and height of a PNG file.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

/// What the service worker is told about a page: the sign-in, and for how many seconds it may be stored.
fn told(reply: &Reply) -> (String, Option<u64>) {
    let told = reply.header("hq-offline");
    let told = told.unwrap_or_else(|| panic!("{} {:?}", reply.status, reply.header("location")));
    match told.split_once(' ') {
        Some((sign_in, seconds)) => (sign_in.to_owned(), Some(seconds.parse().expect("a number"))),
        None => (told.to_owned(), None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_an_app_with_its_own_name_and_icons_of_the_sizes_it_states() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let page = mira.get(&format!("{HOME}/tasks")).await;
    assert_eq!(page.attr("link[rel=manifest]", "href"), MANIFEST);
    assert_eq!(page.attr("link[rel=manifest]", "crossorigin"), "use-credentials");
    assert_eq!(page.attrs("meta[name=theme-color]", "content").len(), 2);
    let app = manifest(&mira.get(MANIFEST).await);
    assert_eq!(app["name"], "Marlow Cargo");
    assert_eq!(app["id"], format!("/w/{}", hq.ws().id));
    assert_eq!((&app["start_url"], &app["scope"]), (&"/w/marlow-cargo/".into(), &"/".into()));
    assert_eq!(app["display"], "standalone");
    assert_eq!(app["share_target"]["method"], "GET");
    assert_eq!(app["share_target"]["action"], "/w/marlow-cargo/share");
    let names = app["shortcuts"].as_array().expect("shortcuts").iter();
    let names: Vec<&str> = names.filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["New task", "Review", "Notifications"]);

    let mut icons: Vec<(String, String)> = Vec::new();
    for icon in app["icons"].as_array().expect("icons") {
        let words = |name: &str| icon[name].as_str().expect("a text").to_owned();
        icons.push((words("src"), words("sizes")));
    }
    assert_eq!(icons.len(), 3);
    icons.push((page.attr("link[rel=apple-touch-icon]", "href"), "180x180".to_owned()));
    for (src, sizes) in icons {
        let reply = hq.nobody().get(&src).await;
        assert_eq!(reply.header("content-type"), Some("image/png"), "{src}");
        let (width, height) = size(&hq.nobody().download(&src).await);
        assert_eq!(format!("{width}x{height}"), sizes, "{src}");
    }

    // Who cannot create tasks is offered no way to.
    let vera = hq.another("Vera", Some(Role::Viewer)).await;
    let app = manifest(&vera.get(MANIFEST).await);
    assert!(app["share_target"].is_null(), "{app}");
    assert!(!app["shortcuts"].to_string().contains("New task"), "{app}");
    // Before sign-in, the app is HQ.
    let page = hq.nobody().get("/login").await;
    let app = manifest(&hq.nobody().get(&page.attr("link[rel=manifest]", "href")).await);
    assert_eq!((&app["name"], &app["start_url"]), (&"HQ".into(), &"/".into()));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_worker_is_always_asked_for_and_names_files_that_exist() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let worker = hq.nobody().get("/sw.js").await;
    assert_eq!(worker.status, StatusCode::OK, "{}", worker.text);
    assert_eq!(worker.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(worker.header("cache-control"), Some("no-cache"));
    let policy = worker.header("content-security-policy").expect("a policy");
    assert!(policy.contains("connect-src 'self'"), "{policy}");
    assert_eq!(hq.nobody().get("/push.js").await.text, worker.text, "its former address");
    let files: Vec<&str> =
        worker.text.split('"').filter(|text| text.starts_with("/s/") && text.len() > 4).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        assert_eq!(hq.nobody().get(file).await.status, StatusCode::OK, "{file}");
    }
    let page = mira.get(&format!("{HOME}/")).await;
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    for kind in ["worker-src 'self'", "manifest-src 'self'"] {
        assert!(policy.contains(kind), "{policy}");
    }
    let offline = hq.nobody().get("/offline").await;
    assert_eq!(offline.text_of("h1"), "You’re offline");
    assert_eq!(offline.attrs("[data-copies]", "class").len(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_pages_for_reading_may_be_stored_and_no_longer_than_a_sign_in_lasts() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    mira.form(&format!("{HOME}/onboarding/agent/skip"), &[]).await;
    let (sign_in, day) = told(&mira.get(&format!("{HOME}/")).await);
    assert_eq!(day, Some(86_400), "an owner is signed out after a day");
    for path in ["tasks", "knowledge", "agents", "notifications"] {
        let page = mira.get(&format!("{HOME}/{path}")).await;
        assert_eq!(told(&page), (sign_in.clone(), day), "{path}");
        // The browser itself stores nothing.
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
    }
    for path in ["settings/secrets", "settings/profile", "tasks/new", "settings/audit", "nothing"] {
        let page = mira.get(&format!("{HOME}/{path}")).await;
        assert_eq!(told(&page), (sign_in.clone(), None), "{path}: {}", page.status);
    }
    // Regions, the API and other files are no pages.
    let region = mira.clone().htmx("tasks-list").get(&format!("{HOME}/tasks")).await;
    assert_eq!(region.header("hq-offline"), None);
    assert_eq!(mira.get("/api/v1/tasks").await.header("hq-offline"), None);
    assert_eq!(mira.get(MANIFEST).await.header("hq-offline"), None);

    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let (other, fortnight) = told(&jonas.get(&format!("{HOME}/tasks")).await);
    assert_ne!(other, sign_in, "what is stored belongs to one sign-in");
    assert_eq!(fortnight, Some(14 * 86_400));
    // The page to sign in says that nobody may read what is stored; signing out clears the browser.
    assert_eq!(told(&hq.nobody().get("/login").await), ("none".to_owned(), None));
    // Who is not a member gets no word at all, which makes the worker delete what it has of the workspace.
    let stranger = hq.another("Nora", None).await;
    let page = stranger.get(&format!("{HOME}/tasks")).await;
    assert_eq!((page.status, page.header("hq-offline")), (StatusCode::NOT_FOUND, None));
    assert!(page.header("x-request-id").is_some());
    let out = jonas.form("/logout", &[]).await;
    assert_eq!(out.header("clear-site-data"), Some("\"storage\""));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_app_shares_only_fills_in_the_form_for_a_new_task() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let query = "title=Cargo+bikes&text=A+report&url=https%3A%2F%2Fbikes.example%2Fa%3Fb%3Dc";
    let shared = mira.get(&format!("{HOME}/share?{query}")).await;
    assert_eq!(shared.status, StatusCode::SEE_OTHER, "{}", shared.text);
    let form = mira.get(shared.location().expect("an address")).await;
    assert_eq!(form.attr("#new-task [name=title]", "value"), "Cargo bikes");
    assert_eq!(
        form.text_of("#new-task [name=description]"),
        "A report https://bikes.example/a?b=c"
    );
    assert_eq!(mira.get("/api/v1/tasks").await.json()["items"], serde_json::json!([]));
    let empty = mira.get(&format!("{HOME}/share")).await;
    assert_eq!(mira.get(empty.location().expect("an address")).await.status, StatusCode::OK);

    // An app that was installed before sign-in shares with the workspace that was visited last.
    let anywhere = mira.get(&format!("/share?{query}")).await;
    assert_eq!(anywhere.location(), Some(format!("{HOME}/share?{query}").as_str()));
    let signed_out = hq.nobody().get(&format!("{HOME}/share?{query}")).await;
    assert!(signed_out.location().is_some_and(|to| to.starts_with("/login")));
    let vera = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(vera.get(&format!("{HOME}/share?{query}")).await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}
