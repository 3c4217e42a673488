//! HQ as an installed app: the manifest of a workspace, tasks from what other apps share, and pages for reading offline.
//!
//! All pages are `no-store`. The service worker (`static/js/worker/`) stores only pages whose response says so; see
//! [`mark`]. It deletes them when another sign-in, or nobody, is signed in.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use app::{App, Ws};
use features::tasks::rules::MAX_TITLE;
use features::workspace::queries;
use interfaces_account::users::session::{Caller, IDLE, IDLE_ADMIN};
use kernel::{Can, Role, text};
use web::error::PageError;
use web::extract::Query;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Theme;
use web::{assets, html};

use super::router;

/// The header that tells the service worker whether it may store a page.
const OFFLINE: &str = "hq-offline";
/// Pages that may be stored, by the first segment of their path in the workspace. Others, such as settings with
/// secrets, audit and backups, are never stored.
const STORED: [&str; 15] = [
    "",
    "activity",
    "agents",
    "collections",
    "contacts",
    "deliverables",
    "inbox",
    "knowledge",
    "notifications",
    "organizations",
    "review",
    "routines",
    "runs",
    "streams",
    "tasks",
];
/// Segments of pages among them that are not stored: forms, and what an agent has access to.
const NEVER: [&str; 11] = [
    "behaviour",
    "browser",
    "edit",
    "export",
    "files",
    "from-template",
    "import",
    "imports",
    "new",
    "secrets",
    "settings",
];
/// Shared text is cut to this length in bytes: it becomes part of an address.
const MAX_SHARED: usize = 4_000;

/// Routes without a workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/sw.js", assets::worker.needs(Can::Open))
        // Browsers that turned on push before the worker had this name ask for updates here.
        .get("/push.js", assets::worker.needs(Can::Open))
        .get("/manifest.webmanifest", manifest.needs(Can::Open))
        .get("/offline", offline.needs(Can::Open))
        .get("/share", share_anywhere.needs(Can::Account))
}

/// Routes below `/w/{ws}`.
#[must_use]
pub fn routes_inside() -> Routes {
    Routes::new()
        .get("/manifest.webmanifest", manifest_inside.needs(Can::Read))
        .get("/share", share.needs(Can::Write))
}

// ── Pages for reading offline ──

/// Tells the service worker what to do with a page: `<sign-in> <seconds>` to store it for so long, `<sign-in>` not to
/// store it, `none` if nobody is signed in.
pub(super) fn mark(request: &Parts, response: &mut Response) {
    if request.method != Method::GET {
        return;
    }
    let word = match request.extensions.get::<Caller>() {
        None => "none".to_owned(),
        Some(caller) => {
            let Some(sign_in) = caller.sign_in() else { return };
            match life(request, response.status()) {
                Some(seconds) => format!("{sign_in} {seconds}"),
                None => sign_in.to_string(),
            }
        }
    };
    if let Ok(word) = HeaderValue::try_from(word) {
        response.headers_mut().insert(OFFLINE, word);
    }
}

/// For how many seconds a page may be stored: as long as a sign-in lasts without use. `None` if it may not be stored.
fn life(request: &Parts, status: StatusCode) -> Option<i64> {
    let (ws, who) = (request.extensions.get::<Ws>()?, request.extensions.get::<Person>()?);
    let path = request.uri.path().strip_prefix(ws.url("").as_str())?;
    let idle = match who.role {
        Role::Owner | Role::Admin => IDLE_ADMIN,
        _ => IDLE,
    };
    (status == StatusCode::OK && may_store(path)).then(|| idle.as_secs())
}

/// Whether a page may be stored, by its path in the workspace.
fn may_store(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    STORED.contains(&first) && !path.split('/').any(|segment| NEVER.contains(&segment))
}

#[derive(Template)]
#[template(path = "errors/offline.html")]
struct OfflinePage {
    theme: Theme,
}

/// `GET /offline`: the page that the service worker shows in place of one that it has not stored.
async fn offline(headers: HeaderMap) -> Result<Response, PageError> {
    html::document(StatusCode::OK, &OfflinePage { theme: Theme::from_headers(&headers) })
}

// ── The manifest ──

/// `GET /manifest.webmanifest`: before sign-in. The app opens the workspace that was visited last.
async fn manifest() -> Response {
    let mut app = described("HQ", "/", "/");
    app["share_target"] = share_target("/share");
    as_manifest(&app)
}

/// `GET /w/{ws}/manifest.webmanifest`: the workspace as an app.
async fn manifest_inside(ws: Ws, who: Person) -> Result<Response, PageError> {
    let settings = ws.read(|snap| queries::settings(snap))?;
    let name = settings.map_or_else(|| ws.slug.clone(), |settings| settings.name);
    let mut app = described(&name, &format!("/w/{}", ws.id), &ws.url(""));
    let mut shortcuts = Vec::new();
    if who.access.may(Can::Write) {
        shortcuts.push(shortcut("New task", &ws.url("tasks/new")));
        app["share_target"] = share_target(&ws.url("share"));
    }
    shortcuts.push(shortcut("Review", &ws.url("review")));
    shortcuts.push(shortcut("Notifications", &ws.url("notifications")));
    app["shortcuts"] = shortcuts.into();
    Ok(as_manifest(&app))
}

/// The app. Its scope is the whole server, so that signing in stays in its window.
fn described(name: &str, id: &str, home: &str) -> Value {
    let icon = |file: &str, size: u32, purpose: &str| {
        json!({
            "src": assets::more(file),
            "sizes": format!("{size}x{size}"),
            "type": "image/png",
            "purpose": purpose,
        })
    };
    json!({
        "id": id,
        "name": name,
        "short_name": name,
        "description": "A company of people and AI agents",
        "lang": "en",
        "start_url": home,
        "scope": "/",
        "display": "standalone",
        "theme_color": Theme::Light.bars()[0].0,
        "background_color": Theme::Light.bars()[0].0,
        "categories": ["business", "productivity"],
        "icons": [
            icon("icon-192.png", 192, "any"),
            icon("icon-512.png", 512, "any"),
            icon("maskable-512.png", 512, "maskable"),
        ],
    })
}

fn shortcut(name: &str, url: &str) -> Value {
    let icon = json!({ "src": assets::more("icon-192.png"), "sizes": "192x192" });
    json!({ "name": name, "url": url, "icons": [icon] })
}

/// GET, because a form of the system has no proof that it comes from HQ: what is shared only fills in a form.
fn share_target(action: &str) -> Value {
    let params = json!({ "title": "title", "text": "text", "url": "url" });
    json!({ "action": action, "method": "GET", "params": params })
}

fn as_manifest(app: &Value) -> Response {
    let mut response = app.to_string().into_response();
    let kept = response.headers_mut();
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("application/manifest+json"));
    kept.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

// ── What other apps share ──

/// What another app shares. Which fields are filled in depends on it; many put an address into the text.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shared {
    title: String,
    text: String,
    url: String,
}

impl Shared {
    /// Title and description of the task.
    fn task(&self) -> (String, String) {
        let [title, body, url] = [&self.title, &self.text, &self.url]
            .map(|field| text::cut(field.trim(), MAX_SHARED).trim_end());
        let first = [title, body, url].into_iter().find(|field| !field.is_empty());
        let first = first.unwrap_or_default();
        let head = text::ellipsis(&text::one_line(first), MAX_TITLE);
        let mut lines = Vec::new();
        // A title that was cut is repeated in full.
        for line in [title, body, url] {
            let is_said =
                head.contains(line) || lines.iter().any(|said: &&str| said.contains(line));
            if !is_said {
                lines.push(line);
            }
        }
        (head, lines.join("\n\n"))
    }
}

/// `GET /w/{ws}/share`: the form for a new task with what another app shares. Nothing is created before it is sent.
async fn share(ws: Ws, Query(shared): Query<Shared>) -> Result<Response, PageError> {
    let (title, description) = shared.task();
    let fields = [("title", title), ("description", description)];
    let set = fields.iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>();
    // ok: a list of strings can always be written.
    let query = serde_urlencoded::to_string(set).unwrap_or_default();
    Ok(Redirect::to(&ws.url(&format!("tasks/new?{query}"))).into_response())
}

/// `GET /share`: the same in the workspace that was visited last.
async fn share_anywhere(
    app: App,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, PageError> {
    let query = uri.query().unwrap_or_default();
    let to = router::last(&app, &caller, &headers)?
        .map_or_else(|| "/workspaces".to_owned(), |ws| ws.url(&format!("share?{query}")));
    Ok(Redirect::to(&to).into_response())
}

#[cfg(test)]
mod tests {
    use super::{MAX_TITLE, Shared, may_store};

    fn task(title: &str, text: &str, url: &str) -> (String, String) {
        Shared { title: title.into(), text: text.into(), url: url.into() }.task()
    }

    #[test]
    fn what_is_shared_becomes_title_and_description_without_repetition() {
        let both = |title: &str, text: &str| (title.to_owned(), text.to_owned());
        assert_eq!(task("", "", ""), both("", ""));
        assert_eq!(task("A bike", "", ""), both("A bike", ""));
        assert_eq!(task("", " https://a.example ", ""), both("https://a.example", ""));
        let page = task("A bike", "See https://a.example", "https://a.example");
        assert_eq!(page, both("A bike", "See https://a.example"));
        let page = task("A bike", "A bike", "https://a.example");
        assert_eq!(page, both("A bike", "https://a.example"));
        assert_eq!(task("", "One\nTwo", ""), both("One Two", "One\nTwo"));
    }

    #[test]
    fn a_title_that_is_too_long_stands_in_the_description_in_full() {
        let long = "word ".repeat(100);
        let (title, text) = task(&long, "", "");
        assert!(title.chars().count() <= MAX_TITLE && title.ends_with('…'), "{title}");
        assert_eq!(text, long.trim());
    }

    #[test]
    fn only_pages_for_reading_are_stored() {
        for path in ["", "tasks", "tasks/MC-12", "agents/ada", "agents/ada/chat", "knowledge/a"] {
            assert!(may_store(path), "{path}");
        }
        let private =
            ["settings/secrets", "agents/ada/secrets", "tasks/new", "audit", "backups", "share"];
        for path in private {
            assert!(!may_store(path), "{path}");
        }
    }
}
