//! All routes and middleware layers.
//!
//! Layers from the outside in: request id and span; panic handling; rejection of foreign hosts and cross-site writes;
//! body limits in time and size; authentication; rendering of failures as page, region or problem+json;
//! `Idempotency-Key`; ETags of regions; the route with its required capability.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER,
    RETRY_AFTER,
};
use axum::http::{Method, StatusCode, Uri, Version};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Router};
use futures_util::FutureExt;
use tracing::Instrument;

use app::config::Config;
use app::{App, Ws};
use interfaces_account::users::pages::appearance as looks;
use interfaces_account::users::session::{self, Caller, Door};
use kernel::{Can, ProblemKind};
use web::error::{ApiError, Failure, Inside, PageError};
use web::hx::Hx;
use web::routes::{Mounted, Needs, Routes, is_api};
use web::session::{PROOF_REQUIRED, Peer, Person, RequestId, ShellMaker};
use web::shell::Theme;
use web::trouble::{Act, Trouble};
use web::{assets, flash, headers, idempotency, region_etag, slow};

use super::{
    access, api_tools, backups, compression, data_dir_guard, doors, exports, first_boot, health,
    hooks, hosts, installed, local, mcp_sign_in, module_off, onboarding, openapi, operate, people,
    retry, tasks, transfer, try_practice, workspaces,
};

/// Maximum size of a request body in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Client-supplied values are cut to this length in the log.
const MAX_LOGGED: usize = 200;

/// The router and its route table.
pub struct Site {
    pub router: Router,
    /// All routes with their requirements.
    pub routes: Arc<Vec<Mounted>>,
}

/// Builds the router.
#[must_use]
pub fn site(app: &App, here: Arc<local::Here>, body_within: Duration) -> Site {
    let mut routes = Vec::new();
    let mut router = Router::new();
    let mut tools = api_tools::Builder::default();
    for (prefix, table) in [
        ("", own_routes()),
        ("", first_boot::routes()),
        ("", interfaces_account::users::pages::routes()),
        ("", installed::routes()),
        ("", workspaces::pages::routes()),
        ("", people::join::routes()),
        ("", gateways::pages::open_routes()),
        ("", mcp_sign_in::routes()),
        ("", hosts::routes()),
        ("", hooks::routes()),
        ("", api_tools::routes()),
        ("", interfaces_account::notifications::pages::open_routes()),
        ("/w/{ws}", doors::routes()),
        ("/w/{ws}", installed::routes_inside()),
        ("/w/{ws}", try_practice::routes()),
        ("/w/{ws}", mcp_sign_in::routes_inside()),
        ("/w/{ws}", onboarding::routes()),
        ("/w/{ws}", workspaces::pages::routes_inside()),
        ("/w/{ws}", people::pages::routes()),
        ("/w/{ws}", retry::pages::routes()),
        ("/api/v1", doors::api()),
        ("/v1", interfaces_agents::openai_api()),
        ("/api/v1", local::api()),
        ("/api/v1", workspaces::api::routes()),
        ("/api/v1", people::api::routes()),
        ("/api/v1", onboarding::api::routes()),
        ("/api/v1", retry::api::routes()),
        ("/api/v1", openapi::routes()),
        ("/local", local::routes()),
        ("/local", workspaces::local::routes()),
        ("/local", people::local::routes()),
        ("/local", operate::routes()),
        ("/local", backups::local_routes()),
        ("/local", transfer::local_routes()),
        ("/api/v1", transfer::api()),
        ("/api/v1", exports::api()),
        ("/w/{ws}", exports::pages()),
    ] {
        tools.add(prefix, &table);
        router = table.mount(prefix, router, &mut routes);
    }
    let tools = tools.build(|router| {
        router
            .layer(from_fn(idempotency::digest))
            .layer(from_fn_with_state(app.clone(), draw))
            .with_state(app.clone())
    });
    let door = Door::new(
        app.clone(),
        access::RIGHTS,
        ShellMaker(Arc::new(interfaces_account::workspace::pages::shell::shell)),
    );
    let routes = Arc::new(routes);
    let router = router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(region_etag::layer))
        .layer(from_fn(idempotency::digest))
        .layer(from_fn_with_state(app.clone(), draw))
        .layer(from_fn_with_state(door, session::enter))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(body_within, slow::limit))
        .layer(from_fn(interfaces_agents::runs::shape_openai_errors))
        .layer(map_response(compression::fuse))
        .layer(compression::layer())
        .layer(from_fn_with_state(app.clone(), outside))
        .layer(Extension(here))
        .layer(Extension(Arc::new(first_boot::Turn::default())))
        .layer(Extension(Arc::new(hosts::Porch::new(Arc::clone(&app.clock)))))
        .layer(Extension(openapi::Document::new(Arc::clone(&routes))))
        .layer(Extension(Arc::new(tools)))
        .with_state(app.clone());
    Site { router, routes }
}

/// Routes that belong to no feature.
fn own_routes() -> Routes {
    #[cfg_attr(not(debug_assertions), expect(unused_mut, reason = "the gallery is not shipped"))]
    let mut routes = Routes::new()
        .get("/", home.needs(Can::Account))
        .get("/healthz", health::alive.needs(Can::Open))
        .get("/readyz", health::ready.needs(Can::Open))
        .get("/s/{file}", assets::serve.needs(Can::Open))
        .get("/favicon.ico", assets::favicon.needs(Can::Open))
        .get("/ahead.json", assets::ahead.needs(Can::Open))
        .post("/theme", looks::switch_theme.needs(Can::Open))
        .post("/week", looks::choose_week.needs(Can::Open))
        .get("/w/{ws}", slash.needs(Can::Read))
        .get("/onboarding", start.needs(Can::Open));
    #[cfg(debug_assertions)]
    {
        routes = routes
            .get("/design", design.needs(Can::Open))
            .get("/design/pages", openapi::list_pages.needs(Can::Open));
    }
    routes
}

/// `/`: redirects to the last visited workspace; to the list of workspaces for a person without one.
async fn home(app: App, caller: Caller, headers: HeaderMap) -> Result<Response, PageError> {
    let to =
        last(&app, &caller, &headers)?.map_or_else(|| "/workspaces".to_owned(), |ws| ws.url(""));
    Ok(Redirect::to(&to).into_response())
}

/// The workspace last visited in this browser, otherwise an active one, otherwise any.
pub(super) fn last(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Option<Ws>, PageError> {
    let mine = session::workspaces_of(app, caller.account.id)?;
    let last = session::last_workspace(headers);
    let found = mine.iter().find(|ws| Some(ws.slug.as_str()) == last);
    let found = found.or_else(|| mine.iter().find(|ws| ws.is_active())).or(mine.first());
    Ok(found.cloned())
}

/// Redirects `/w/acme` to `/w/acme/`.
async fn slash(uri: Uri) -> Redirect {
    Redirect::permanent(&format!("{}/", uri.path()))
}

async fn start() -> Redirect {
    Redirect::to("/")
}

#[cfg(debug_assertions)]
async fn design(app: App, headers: HeaderMap) -> Result<Response, PageError> {
    web::gallery::page(Theme::from_headers(&headers), app.clock.now())
}

async fn nothing_here(uri: Uri) -> Response {
    let text = "this page doesn’t exist";
    missing(&uri, Failure::new(ProblemKind::NotFound, "not_found", text))
}

async fn wrong_method(uri: Uri) -> Response {
    let text = "this URL doesn’t support that method";
    missing(&uri, Failure::new(ProblemKind::WrongMethod, "method_not_allowed", text))
}

fn missing(uri: &Uri, failure: Failure) -> Response {
    match is_api(uri.path()) {
        true => ApiError(failure).into_response(),
        false => PageError(failure).into_response(),
    }
}

// ── The outermost layer ──

async fn outside(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId(random());
    request.extensions_mut().insert(id);
    behind_proxies(&app.config, &mut request);
    let failed = FailedRequest::of(&request);
    let span = tracing::info_span!(
        "request",
        id = %hex::encode(&id.0[..6]),
        method = %failed.method,
        path = kernel::text::cut(failed.uri.path(), MAX_LOGGED),
    );
    let refused = refuse(&app.config, &request)
        .or_else(|| data_dir_guard::gone(&app).filter(|_| request.uri().path() != "/healthz"));
    let is_bad_host = refused.as_ref().is_some_and(|failure| failure.code == BAD_HOST);
    let at_machine = is_command(&request);
    let work = async {
        let answered = async {
            match refused {
                Some(failure) => missing_as(&failed, failure),
                None => next.run(request).await,
            }
        };
        match AssertUnwindSafe(answered).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                let failure = Failure::internal(format!("panic: {}", tasks::words(&*panic)));
                missing_as(&failed, failure)
            }
        }
    };
    let mut response = work.instrument(span).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = picture(failure, &failed, None, response.headers());
    }
    if let Some(Inside(words)) = response.extensions_mut().remove::<Inside>().filter(|_| at_machine)
    {
        let failure = Failure::new(ProblemKind::Internal, "internal", words);
        response = ApiError(failure).into_response();
    }
    if is_bad_host {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    finish(&app.config, id, &mut response);
    response
}

/// Replaces the peer by the client address that a trusted proxy reports.
fn behind_proxies(config: &Config, request: &mut Request) {
    let Some(Peer::Net(peer)) = request.extensions().get::<Peer>().copied() else { return };
    if !config.trusted_proxies.has(peer) {
        return;
    }
    let headers = request.headers();
    let lines = |name: &str| -> Vec<&str> {
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect()
    };
    let (listed, forwarded) = (lines("x-forwarded-for"), lines("forwarded"));
    let from = config.trusted_proxies.client(peer, &listed, &forwarded);
    request.extensions_mut().insert(Peer::Net(from));
}

/// Error code for a request without exactly one valid host.
const BAD_HOST: &str = "bad_host";

/// Whether the request is a command of the machine's owner. Owners see the details of internal errors.
fn is_command(request: &Request) -> bool {
    let at_socket = matches!(request.extensions().get::<Peer>(), Some(Peer::Socket { .. }));
    at_socket && request.uri().path().starts_with("/local/")
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // ok: an id of zeros only makes the log harder to read.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

fn missing_as(failed: &FailedRequest, failure: Failure) -> Response {
    match is_api(failed.uri.path()) {
        true => ApiError(failure).into_response(),
        false => PageError(failure).into_response(),
    }
}

/// Rejects foreign hosts (DNS rebinding) and cross-site writes.
fn refuse(config: &Config, request: &Request) -> Option<Failure> {
    if matches!(request.extensions().get::<Peer>(), Some(Peer::Socket { .. })) {
        return None;
    }
    let headers = request.headers();
    // RFC 9112, section 3.2: 400 for an HTTP/1.1 request without the header.
    if request.version() == Version::HTTP_11 && !headers.contains_key(HOST) {
        let text = "the request has no Host header; name the host, as in hq.example.com";
        return Some(Failure::new(ProblemKind::Invalid, BAD_HOST, text));
    }
    let Some(host) = named_host(headers) else {
        let text = "name one host, as in hq.example.com or 127.0.0.1:8080";
        return Some(Failure::new(ProblemKind::Invalid, BAD_HOST, text));
    };
    if !is_our_host(config, host) {
        let text = "HQ doesn't respond to this host name; set HQ_PUBLIC_URL to the address you use";
        return Some(Failure::new(ProblemKind::Misdirected, "unknown_host", text));
    }
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if writes && is_cross_site(config, headers, host) {
        let text = "this request came from another site and was blocked";
        return Some(Failure::new(ProblemKind::Forbidden, "cross_site", text));
    }
    None
}

/// The single `Host` of a request; empty without one. `None` if there are several, or if it is not a host with an
/// optional port (RFC 9110, section 7.2; RFC 9112, section 3.2).
fn named_host(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(HOST).iter();
    let Some(first) = all.next() else { return Some("") };
    let host = first.to_str().ok().filter(|_| all.next().is_none())?;
    let (name, port) = match host.strip_prefix('[') {
        Some(v6) => {
            let (address, rest) = v6.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("0"))?)
        }
        None => host.split_once(':').unwrap_or((host, "0")),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_good = host.starts_with('[') || name.chars().all(is_name);
    let is_port = port.bytes().all(|digit| digit.is_ascii_digit());
    (is_good && is_port && port.parse::<u16>().is_ok()).then_some(host)
}

/// IP addresses cannot be rebound by DNS. Of names, only localhost and the public host are accepted.
fn is_our_host(config: &Config, host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => return v6.split_once(']').is_some_and(|(a, _)| is_ip(a)),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let public = config.public_url.as_deref().and_then(|url| url.split_once("://"));
    let public = public.map(|(_, rest)| rest.rsplit_once(':').map_or(rest, |(name, _)| name));
    name.eq_ignore_ascii_case("localhost")
        || is_ip(name)
        || public.is_some_and(|public| name.eq_ignore_ascii_case(public))
}

fn is_ip(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// Whether a request may come from another site. A request with a cookie must prove that it is same-origin; a token
/// is proof by itself.
fn is_cross_site(config: &Config, headers: &HeaderMap, host: &str) -> bool {
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = word("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
        Some(origin) => !headers::is_own_origin(config.public_url.as_deref(), host, origin),
        None => session::has_cookie(config, headers),
    }
}

/// Adds the headers of every response.
fn finish(config: &Config, id: RequestId, response: &mut Response) {
    let kept = response.headers_mut();
    headers::secure(kept);
    if config.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        kept.insert(HeaderName::from_static("strict-transport-security"), year);
    }
    kept.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let robots = HeaderValue::from_static("noindex");
    kept.insert(HeaderName::from_static("x-robots-tag"), robots);
    if let Ok(id) = HeaderValue::try_from(hex::encode(id.0)) {
        kept.insert(HeaderName::from_static("x-request-id"), id);
    }
}

// ── Rendering of failures ──

/// Request data that is needed to render a failure.
struct FailedRequest {
    method: Method,
    uri: Uri,
    hx: Hx,
    theme: Theme,
    /// The page of this server that sent the request, according to `Referer`.
    page: Option<String>,
}

impl FailedRequest {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            hx: Hx::from_headers(request.headers()),
            theme: Theme::from_headers(request.headers()),
            page: page_of(request.headers()),
        }
    }

    fn act(&self) -> Act {
        if self.method == Method::GET || self.method == Method::HEAD {
            Act::Read
        } else {
            Act::Write
        }
    }
}

/// Renders failures in the shell of the signed-in person, and clears the flash cookie after it was shown.
async fn draw(State(_): State<App>, request: Request, next: Next) -> Response {
    let failed = FailedRequest::of(&request);
    let (parts, body) = request.into_parts();
    let kept = parts.clone();
    let mut response = match module_off::of_request(&kept) {
        Some(module) => module_off::answer(module, &kept, &failed.hx),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        let shell = kept.extensions.get::<ShellMaker>();
        let ws = kept.extensions.get::<Ws>();
        let who = kept.extensions.get::<Person>();
        let shell = match (shell, ws, who) {
            (Some(make), Some(ws), Some(who)) => (make.0)(ws, who, &kept).ok(),
            _ => None,
        };
        response = picture(failure, &failed, shell, response.headers());
    }
    let html = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let shows = html.is_some_and(|kind| kind.starts_with("text/html")) && !failed.hx.is_partial();
    // A prefetched page keeps the message until the page is displayed.
    if shows && !kept.headers.contains_key("sec-purpose") {
        flash::clear(&kept.headers, &mut response);
    }
    if shows {
        installed::mark(&kept, &mut response);
    }
    response
}

/// Renders a failure as problem+json, a page, or an htmx region. Redirects an unauthenticated page request to the
/// sign-in page.
fn picture(
    failure: Failure,
    failed: &FailedRequest,
    shell: Option<web::shell::Shell>,
    from: &HeaderMap,
) -> Response {
    let path = failed.uri.path();
    let mut response = if is_api(path) {
        ApiError(failure).into_response()
    } else if failure.kind == ProblemKind::Unauthorized {
        sign_in_first(failed)
    } else if let Some(shell) = shell.as_ref().filter(|_| failure.code == PROOF_REQUIRED) {
        let next = proved_page(failed.uri.path());
        let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
        failed.hx.go_to(&shell.url(&format!("settings/prove?{query}")))
    } else {
        let trouble = Trouble::from(&failure);
        let trouble = match &shell {
            Some(shell) if failure.code == module_off::MODULE_OFF => Trouble {
                title: "This module is turned off".to_owned(),
                ..trouble.way_out("Modules", shell.url("settings/modules"))
            },
            Some(shell) => trouble.way_out("Dashboard", shell.url("")),
            None => trouble.way_out("Home", "/"),
        };
        match failed.hx.is_partial() {
            true => trouble.region(failed.act()),
            false => trouble.page(shell, failed.theme),
        }
    };
    // Copy headers that belong to the failure: retry time, allowed methods.
    for name in [RETRY_AFTER, ALLOW] {
        if let Some(value) = from.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The page with the form that needs re-authentication, by the form's action URL.
fn proved_page(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", w, ws, "agents", agent, rest @ ..] => {
            let page = match rest.first().copied().unwrap_or_default() {
                "settings" | "reach" => "/settings",
                "behaviour" => "/behaviour",
                "browser" => "/browser",
                _ => "",
            };
            return format!("/{w}/{ws}/agents/{agent}{page}");
        }
        ["", w, ws, "permissions", ..] => return format!("/{w}/{ws}/settings/policy"),
        ["", w, ws, page @ ("agents" | "approvals" | "activity"), ..] => {
            return format!("/{w}/{ws}/{page}");
        }
        ["", w, ws, "undo", ..] => return format!("/{w}/{ws}/activity"),
        _ => {}
    }
    let (ws, rest) = path.split_once("/settings/").unwrap_or((path, ""));
    let page = match rest.split('/').next().unwrap_or_default() {
        "delete" | "archive" | "restore" => "general",
        "people" | "invites" | "accounts" => "members",
        "reach" => "general",
        page => page,
    };
    format!("{ws}/settings/{page}")
}

/// The `Referer` path, if the page belongs to this server.
fn page_of(headers: &HeaderMap) -> Option<String> {
    let word = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let page: Uri = word(REFERER)?.parse().ok()?;
    let ours = page.authority()?.as_str().eq_ignore_ascii_case(word(HOST)?);
    ours.then(|| page.path_and_query().map(ToString::to_string)).flatten()
}

/// Redirects to the sign-in page and back afterwards. After a form submit, back to the page with the form, which
/// restores the typed text.
fn sign_in_first(failed: &FailedRequest) -> Response {
    let back = match failed.hx.current_url().map(str::parse::<Uri>) {
        Some(Ok(shown)) => shown.path_and_query().map(ToString::to_string),
        _ if failed.act() == Act::Read => failed.uri.path_and_query().map(ToString::to_string),
        _ => failed.page.clone(),
    };
    let back = back.filter(|path| path != "/").unwrap_or_default();
    let query = serde_urlencoded::to_string([("next", &back)]).unwrap_or_default();
    match back.is_empty() {
        true => failed.hx.go_to("/login"),
        false => failed.hx.go_to(&format!("/login?{query}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_cross_site, is_our_host, named_host, page_of};
    use app::config::Config;
    use axum::http::header::{HOST, HeaderMap, HeaderValue};
    use std::path::Path;

    fn config(url: Option<&str>) -> Config {
        let mut config = Config::for_folder(Path::new("data"));
        config.public_url = url.map(str::to_owned);
        config
    }

    #[test]
    fn a_form_is_found_again_on_the_page_of_ours_that_it_was_sent_from() {
        let page = |referer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "hq.example.com".parse().unwrap());
            headers.insert("referer", referer.parse().unwrap());
            page_of(&headers)
        };
        let ours = page("https://hq.example.com/w/acme/tasks/new?stream=1");
        assert_eq!(ours.as_deref(), Some("/w/acme/tasks/new?stream=1"));
        assert_eq!(page("https://evil.example/w/acme/tasks/new"), None);
        assert_eq!(page("https://hq.example.com.evil.example/"), None);
        assert_eq!(page("/w/acme"), None);
        assert_eq!(page_of(&HeaderMap::new()), None);
    }

    #[test]
    fn names_that_are_not_ours_are_refused_and_numbers_are_not() {
        let public = config(Some("https://hq.example.com"));
        for good in [
            "127.0.0.1:8080",
            "localhost:1",
            "[::1]:8080",
            "192.0.2.7",
            "HQ.example.com",
            "hq.example.com:443",
        ] {
            assert!(is_our_host(&public, good), "{good}");
        }
        for bad in ["", "evil.example", "hq.example.com.evil.example", "localhost.evil.example:80"]
        {
            assert!(!is_our_host(&public, bad), "{bad}");
        }
    }

    #[test]
    fn a_host_is_one_name_with_at_most_a_port() {
        let named = |all: &[&'static str]| {
            let pairs = all.iter().map(|host| (HOST, HeaderValue::from_static(host)));
            named_host(&pairs.collect::<HeaderMap>()).map(str::to_owned)
        };
        for good in ["a", "a:1", "127.0.0.1:8080", "[::1]", "[::1]:65535", "hq.example.com", ""] {
            assert_eq!(named(&[good]).as_deref(), Some(good));
        }
        for bad in [
            "a:1.evil",
            "127.0.0.1:8080.evil.example",
            "[::1].evil",
            "[::1]:x",
            "[a]",
            "a:",
            "a:1:2",
            "a:65536",
            "a:+1",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "a#b",
            "::1",
        ] {
            assert_eq!(named(&[bad]), None, "{bad}");
        }
        assert_eq!(named(&["a", "a"]), None);
        assert_eq!(named(&[]).as_deref(), Some(""));
    }

    #[test]
    fn a_write_with_a_cookie_must_come_from_here() {
        let token = crypto::token::Token::issue(crypto::token::TokenKind::SignIn);
        let cookie = format!("hq={}", token.reveal());
        let cross = |pairs: &[(&'static str, &str)]| {
            let headers: HeaderMap =
                pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
            is_cross_site(&config(None), &headers, "localhost:8080")
        };
        assert!(cross(&[("sec-fetch-site", "cross-site")]));
        assert!(cross(&[("sec-fetch-site", "same-site")]));
        assert!(!cross(&[("sec-fetch-site", "same-origin")]));
        assert!(cross(&[("origin", "http://evil.example")]));
        assert!(cross(&[("origin", "null")]));
        assert!(!cross(&[("origin", "http://localhost:8080")]));
        assert!(cross(&[("cookie", &cookie)]));
        assert!(!cross(&[("authorization", "Bearer x")]));
    }
}
