//! Inspection of an agent's browser. Cookies, storage and queries are listed by name; their values never leave the
//! browser. While capture is paused, and on a page with a typed password, nothing is returned.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use browser::BrowserError;
use browser::hang;
use browser::heard::{Fetched, Said};
use browser::page::Page;
use browser::storage::{Change, Cookie, Item, Storage};
use features::agents::model::Agent;
use kernel::{Can, ProblemKind};
use web::error::{ApiError, Failure};
use web::extract::{Json, Path, Path2, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::acts::{ONCE, TabBody, Turn, page};
use super::found;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/browser/console",
            console.needs(Can::Browser).doc(|| {
                Doc::new("Console messages of a page").query::<TabBody>().returns::<Lines>()
            }),
        )
        .get(
            "/agents/{agent}/browser/errors",
            errors
                .needs(Can::Browser)
                .doc(|| Doc::new("Console errors").query::<TabBody>().returns::<Lines>()),
        )
        .get(
            "/agents/{agent}/browser/requests",
            requests.needs(Can::Browser).doc(|| {
                Doc::new(
                    "Requests of a tab since this was first called; only the names of query \
                     parameters",
                )
                .query::<TabBody>()
                .returns::<Requests>()
            }),
        )
        .get(
            "/agents/{agent}/browser/requests/{id}/body",
            body.needs(Can::Browser)
                .doc(|| Doc::new("Always refused: response bodies aren't stored").returns::<()>()),
        )
        .get(
            "/agents/{agent}/browser/pdf",
            pdf.needs(Can::Browser)
                .doc(|| Doc::new("A page as a PDF").query::<TabBody>().media("application/pdf")),
        )
        .get(
            "/agents/{agent}/browser/cookies",
            cookies
                .needs(Can::Browser)
                .doc(|| Doc::new("Cookies of all sites, without values").returns::<Cookies>()),
        )
        .put(
            "/agents/{agent}/browser/cookies",
            put_cookie.needs(Can::Browser).doc(|| {
                Doc::new("Write a cookie").body::<NewCookie>().no_key(ONCE).returns::<Cookies>()
            }),
        )
        .delete(
            "/agents/{agent}/browser/cookies",
            drop_cookies.needs(Can::Browser).doc(|| {
                Doc::new("Delete cookies by name and host, or all of them")
                    .query::<CookieParams>()
                    .no_key("a repeat finds nothing more to forget")
                    .returns::<Cookies>()
            }),
        )
        .get(
            "/agents/{agent}/browser/storage/{kind}",
            stored.needs(Can::Browser).doc(|| {
                Doc::new("Local or session storage of a page, without values")
                    .query::<TabBody>()
                    .returns::<Stored>()
            }),
        )
        .put(
            "/agents/{agent}/browser/storage/{kind}",
            store.needs(Can::Browser).doc(|| {
                Doc::new("Write to a storage of a page")
                    .body::<NewItem>()
                    .no_key(ONCE)
                    .returns::<Stored>()
            }),
        )
        .delete(
            "/agents/{agent}/browser/storage/{kind}",
            unstore.needs(Can::Browser).doc(|| {
                Doc::new("Delete a storage entry of a page, or all of them")
                    .query::<StorageItemParams>()
                    .no_key("a repeat finds nothing more to forget")
                    .returns::<Stored>()
            }),
        )
}

/// What a page has said.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserConsole")]
struct Lines {
    items: Vec<Line>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserConsoleLine")]
struct Line {
    /// `log`, `warning`, `error` and so on; `exception` for one that nobody caught.
    kind: String,
    /// Words of the page.
    text: String,
}

/// What a tab has fetched.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserRequests")]
struct Requests {
    items: Vec<Request>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserRequest")]
struct Request {
    method: String,
    /// Without values and fragments.
    url: String,
    /// `Document`, `Image`, `XHR` and so on.
    kind: String,
    /// Null while nothing has come.
    status: Option<u16>,
    /// Why nothing came.
    failed: Option<String>,
}

/// Cookies by their names.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserCookies")]
struct Cookies {
    items: Vec<CookieView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserCookie")]
struct CookieView {
    name: String,
    /// With a point in front also for all hosts below.
    host: String,
    path: String,
    secure: bool,
    http_only: bool,
    /// Whether it stays when the browser ends.
    lasting: bool,
}

/// A cookie that is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewBrowserCookie")]
struct NewCookie {
    name: String,
    value: String,
    host: String,
    /// Without it `/`.
    path: Option<String>,
    #[serde(default)]
    secure: bool,
    #[serde(default)]
    http_only: bool,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct CookieParams {
    /// With `host`: only this one.
    name: Option<String>,
    host: Option<String>,
    /// Without it `/`.
    path: Option<String>,
}

/// A storage by its names.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserStorage")]
struct Stored {
    items: Vec<StoredItem>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserStorageItem")]
struct StoredItem {
    name: String,
    /// The length of its value.
    length: usize,
}

/// What is written to a storage.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewBrowserStorageItem")]
struct NewItem {
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
    name: String,
    value: String,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StorageItemParams {
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
    /// Only this one.
    name: Option<String>,
}

web::path_words! {
    /// Which storage.
    Kind {
        /// The one that stays.
        Local = "local",
        /// The one that goes with its tab.
        Session = "session",
    }
}

impl Kind {
    fn storage(self) -> Storage {
        match self {
            Self::Local => Storage::Local,
            Self::Session => Storage::Session,
        }
    }
}

impl From<Cookie> for CookieView {
    fn from(one: Cookie) -> Self {
        Self {
            name: one.name,
            host: one.host,
            path: one.path,
            secure: one.is_secure,
            http_only: one.is_http_only,
            lasting: one.is_lasting,
        }
    }
}

impl Stored {
    fn of(items: Vec<Item>) -> Json<Self> {
        let item = |one: Item| StoredItem { name: one.name, length: one.length };
        Json(Self { items: items.into_iter().map(item).collect() })
    }
}

/// Reads from a page only while capture is active. Discards the result if capture was paused in the meantime.
pub(super) async fn in_light<T>(
    ws: &Ws,
    agent: &Agent,
    look: impl Future<Output = Result<T, BrowserError>>,
) -> Result<T, ApiError> {
    let stage = ws.app.browsers.stage(ws.browser_of(agent.id)).ok_or(BrowserError::Ended)?;
    let light = stage.light();
    if stage.is_dark() {
        return Err(BrowserError::Hidden.into());
    }
    let found = hang::in_time(hang::ACT_WITHIN, look).await;
    // Errors can contain text of the page, too.
    match stage.is_dark() || stage.light() != light {
        true => Err(BrowserError::Hidden.into()),
        false => Ok(found?),
    }
}

async fn console_lines(
    (ws, who, name): (&Ws, &Person, &str),
    body: &TabBody,
    is_wanted: fn(&Said) -> bool,
) -> Result<Json<Lines>, ApiError> {
    let agent = found(ws, name)?;
    let page = page(ws, who, &agent, body.tab)?;
    let console = in_light(ws, &agent, page.console()).await?;
    let line =
        |one: Said| Line { kind: one.kind, text: ws.app.redactor.text(&one.text).into_owned() };
    Ok(Json(Lines { items: console.into_iter().filter(is_wanted).map(line).collect() }))
}

async fn console(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<TabBody>,
) -> Result<Json<Lines>, ApiError> {
    console_lines((&ws, &who, &name), &params, |_| true).await
}

async fn errors(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<TabBody>,
) -> Result<Json<Lines>, ApiError> {
    console_lines((&ws, &who, &name), &params, Said::is_error).await
}

async fn requests(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<TabBody>,
) -> Result<Json<Requests>, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, params.tab)?;
    let all = in_light(&ws, &agent, page.fetched()).await?;
    let request = |one: Fetched| Request {
        method: one.method,
        url: ws.app.redactor.text(&one.url).into_owned(),
        kind: one.kind,
        status: one.status,
        failed: one.failed,
    };
    Ok(Json(Requests { items: all.into_iter().map(request).collect() }))
}

async fn body(ws: Ws, _: Person, Path2(name, _): Path2<String, String>) -> Result<(), ApiError> {
    found(&ws, &name)?;
    let why = "Response bodies aren’t stored because they can contain credentials. Use the page \
        snapshot.";
    Err(ApiError(Failure::new(ProblemKind::Forbidden, "not_kept", why)))
}

async fn pdf(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<TabBody>,
) -> Result<Response, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, params.tab)?;
    let bytes = in_light(&ws, &agent, page.pdf()).await?;
    let head = [(CONTENT_TYPE, "application/pdf"), (CACHE_CONTROL, "no-store")];
    Ok((head, bytes).into_response())
}

async fn cookies(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<Cookies>, ApiError> {
    let agent = found(&ws, &name)?;
    let browser = ws.app.browsers.get(ws.browser_of(agent.id)).filter(|one| one.is_running());
    let browser = browser.ok_or_else(|| ApiError::not_found("A running browser"))?;
    let all = in_light(&ws, &agent, browser.cookies()).await?;
    Ok(Json(Cookies { items: all.into_iter().map(CookieView::from).collect() }))
}

/// The cookies after a change.
async fn changed(turn: &Turn<'_>) -> Result<Json<Cookies>, ApiError> {
    let all = turn.browser.cookies().await?;
    Ok(Json(Cookies { items: all.into_iter().map(CookieView::from).collect() }))
}

async fn put_cookie(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(new): Json<NewCookie>,
) -> Result<Json<Cookies>, ApiError> {
    let agent = found(&ws, &name)?;
    if new.name.trim().is_empty() || new.host.trim().is_empty() {
        return Err(ApiError::invalid("name", "give a name and a host"));
    }
    let cookie = Cookie {
        name: new.name.trim().to_owned(),
        host: new.host.trim().to_owned(),
        path: new.path.unwrap_or_else(|| "/".to_owned()),
        is_secure: new.secure,
        is_http_only: new.http_only,
        is_lasting: false,
    };
    let turn = Turn::take(&ws, &who, &agent).await?;
    let work = async {
        turn.browser.put_cookie(&cookie, &new.value).await?;
        changed(&turn).await
    };
    turn.does(work).await
}

async fn drop_cookies(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<CookieParams>,
) -> Result<Json<Cookies>, ApiError> {
    let agent = found(&ws, &name)?;
    if params.name.is_some() != params.host.is_some() {
        return Err(ApiError::invalid(
            "host",
            "give both name and host, or neither to delete all \
            cookies",
        ));
    }
    let turn = Turn::take(&ws, &who, &agent).await?;
    let work = async {
        match (&params.name, &params.host) {
            (Some(cookie), Some(host)) => {
                let path = params.path.as_deref().unwrap_or("/");
                turn.page(None)?.drop_cookie(cookie, host, path).await?;
            }
            _ => turn.browser.clear_cookies().await?,
        }
        changed(&turn).await
    };
    turn.does(work).await
}

async fn stored(
    ws: Ws,
    who: Person,
    Path2(name, kind): Path2<String, Kind>,
    Query(params): Query<TabBody>,
) -> Result<Json<Stored>, ApiError> {
    let agent = found(&ws, &name)?;
    let page = page(&ws, &who, &agent, params.tab)?;
    Ok(Stored::of(in_light(&ws, &agent, page.stored(kind.storage())).await?))
}

async fn store(
    ws: Ws,
    who: Person,
    Path2(name, kind): Path2<String, Kind>,
    Json(new): Json<NewItem>,
) -> Result<Json<Stored>, ApiError> {
    let agent = found(&ws, &name)?;
    let change = Change::Put(&new.name, &new.value);
    changes((&ws, &who, &agent), new.tab, kind.storage(), change).await
}

async fn unstore(
    ws: Ws,
    who: Person,
    Path2(name, kind): Path2<String, Kind>,
    Query(params): Query<StorageItemParams>,
) -> Result<Json<Stored>, ApiError> {
    let agent = found(&ws, &name)?;
    let change = params.name.as_deref().map_or(Change::Clear, Change::Drop);
    changes((&ws, &who, &agent), params.tab, kind.storage(), change).await
}

/// Changes a storage of a page.
async fn changes(
    (ws, who, agent): (&Ws, &Person, &Agent),
    tab: Option<u32>,
    storage: Storage,
    change: Change<'_>,
) -> Result<Json<Stored>, ApiError> {
    let turn = Turn::take(ws, who, agent).await?;
    let page: Page = turn.page(tab)?;
    let work = async {
        page.store(storage, change).await?;
        Ok::<_, ApiError>(Stored::of(page.stored(storage).await?))
    };
    turn.does(work).await
}
