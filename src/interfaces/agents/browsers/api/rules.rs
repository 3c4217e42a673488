//! Browser policy of an agent, device emulation of its tabs, and its uploads and downloads.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use browser::BrowserError;
use browser::act::Aim;
use browser::downloads::{Download, DownloadState};
use browser::emulate::{Emulation, Size};
use browser::refs;
use features::browsers::model::BrowserPolicy;
use features::browsers::{queries, rules};
use features::trust::queries::SiteAct;
use features::trust::queries::widening;
use kernel::Can;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::super::view;
use super::acts::{ONCE, Turn};
use super::{body, found};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/browser/policy",
            show.needs(Can::Read)
                .doc(|| Doc::new("Rules of an agent's browser").returns::<PolicyView>()),
        )
        .put(
            "/agents/{agent}/browser/policy",
            set.needs(Can::Admin).doc(|| {
                Doc::new("Set them; they apply from its next request")
                    .body::<PolicyBody>()
                    .returns::<PolicyView>()
            }),
        )
        .put(
            "/agents/{agent}/browser/emulation",
            emulate.needs(Can::Browser).doc(|| {
                Doc::new("Emulated device settings of a tab; omitted ones use the default")
                    .body::<EmulationBody>()
                    .no_key("a repeat sets the same")
                    .returns::<Emulated>()
            }),
        )
        .post(
            "/agents/{agent}/browser/upload",
            upload.needs(Can::Browser).doc(|| {
                Doc::new("Upload files to a page's field, as a multipart form")
                    .query::<UploadParams>()
                    .no_key(ONCE)
                    .returns::<Given>()
            }),
        )
        .get(
            "/agents/{agent}/browser/downloads",
            downloads
                .needs(Can::Browser)
                .doc(|| Doc::new("Downloads since HQ started").returns::<Downloads>()),
        )
        .get(
            "/agents/{agent}/browser/downloads/{id}",
            download
                .needs(Can::Browser)
                .doc(|| Doc::new("A downloaded file").media("application/octet-stream")),
        )
}

/// What a browser may do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserPolicy")]
struct PolicyView {
    /// The only hosts, of those that the agent reaches; empty for all of them.
    allowed_hosts: Vec<String>,
    blocked_hosts: Vec<String>,
    /// Whether the agent may run scripts in pages.
    scripts: bool,
    /// Always false: single hosts of private networks are opened for the workspace.
    private_network: bool,
    /// Always true: whether they are asked for is said by mode and permissions.
    downloads: bool,
    /// Always empty: what pages ask for, such as a camera, is denied.
    permissions: Vec<String>,
}

/// What it is to be allowed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "NewBrowserPolicy")]
struct PolicyBody {
    /// example.com, or *.example.com for all hosts below it.
    allowed_hosts: Vec<String>,
    blocked_hosts: Vec<String>,
    scripts: bool,
    /// Only false.
    private_network: bool,
    /// Only true.
    downloads: Option<bool>,
    /// Only empty.
    permissions: Vec<String>,
}

/// What a tab is told.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "BrowserEmulation")]
struct EmulationBody {
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
    /// With `height`, in pixels of the page: 100 to 4000.
    width: Option<u32>,
    height: Option<u32>,
    /// Pixels of the screen for one of the page: 0.5 to 4.
    scale: Option<f64>,
    /// A phone, with fingers in place of a mouse.
    phone: bool,
    /// Such as Europe/Berlin.
    zone: Option<String>,
    /// Such as de-DE.
    locale: Option<String>,
    /// `screen` or `print`.
    media: Option<String>,
    /// `light` or `dark`.
    scheme: Option<String>,
    offline: bool,
    /// Always refused.
    headers: Option<serde_json::Value>,
    /// Always refused.
    geo: Option<serde_json::Value>,
}

/// The tab that was told so.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserEmulated")]
struct Emulated {
    tab: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UploadParams {
    /// The field for files, such as e12; without it the one that the page asks for.
    #[serde(rename = "ref")]
    part: Option<String>,
    /// The number of the tab; without it the one at work.
    tab: Option<u32>,
}

/// What was given to a page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserUpload")]
struct Given {
    tab: u32,
    files: usize,
}

/// Downloads of a browser.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserDownloads")]
struct Downloads {
    items: Vec<DownloadView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrowserDownload")]
struct DownloadView {
    id: String,
    name: String,
    bytes: u64,
    /// `running`, `done`, `failed` or `too_large`.
    state: &'static str,
}

impl From<BrowserPolicy> for PolicyView {
    fn from(policy: BrowserPolicy) -> Self {
        Self {
            allowed_hosts: policy.allowed,
            blocked_hosts: policy.blocked,
            scripts: policy.scripts,
            private_network: false,
            downloads: true,
            permissions: Vec::new(),
        }
    }
}

impl From<Download> for DownloadView {
    fn from(one: Download) -> Self {
        let state = match one.state {
            DownloadState::Running => "running",
            DownloadState::Done => "done",
            DownloadState::Failed => "failed",
            DownloadState::TooLarge => "too_large",
        };
        Self { id: one.file, name: one.name, bytes: one.bytes, state }
    }
}

async fn show(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<PolicyView>, ApiError> {
    let agent = found(&ws, &name)?;
    Ok(Json(ws.read(|snap| queries::policy(snap, agent.id))?.into()))
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(new): Json<PolicyBody>,
) -> Result<Json<PolicyView>, ApiError> {
    let agent = found(&ws, &name)?;
    if new.private_network {
        let why = "open single hosts with PUT /api/v1/reach; whole networks can't be opened";
        return Err(ApiError::invalid("private_network", why));
    }
    if new.downloads == Some(false) {
        let why = "deny them with a permission for the tool browser: DOWNLOAD";
        return Err(ApiError::invalid("downloads", why));
    }
    if !new.permissions.is_empty() {
        let why = "pages never get camera, location or notification access";
        return Err(ApiError::invalid("permissions", why));
    }
    let policy = BrowserPolicy {
        agent: agent.id,
        scripts: new.scripts,
        allowed: new.allowed_hosts,
        blocked: new.blocked_hosts,
    };
    let set = once.run(move |tx| rules::set_policy(tx, policy));
    ws.write(&who, widening::checked(&who, set)).await?;
    Ok(Json(ws.read(|snap| queries::policy(snap, agent.id))?.into()))
}

impl EmulationBody {
    fn emulation(&self) -> Result<Emulation, ApiError> {
        if self.headers.is_some() {
            let why = "headers would be sent to every host the page fetches from; use a cookie, which is \
                 sent to one";
            return Err(ApiError::invalid("headers", why));
        }
        if self.geo.is_some() {
            return Err(ApiError::invalid("geo", "pages never get a location"));
        }
        let size = match (self.width, self.height) {
            (Some(width), Some(height)) => {
                let scale = self.scale.unwrap_or(1.0);
                Some(Size { width, height, scale, is_phone: self.phone })
            }
            (None, None) if self.scale.is_none() && !self.phone => None,
            _ => return Err(ApiError::invalid("width", "give width and height")),
        };
        let one_of = |field: &str, value: &Option<String>, words: [&str; 2]| match value.as_deref()
        {
            Some(word) if !words.contains(&word) => {
                Err(ApiError::invalid(field, format!("use {} or {}", words[0], words[1])))
            }
            _ => Ok(value.clone()),
        };
        Ok(Emulation {
            size,
            zone: self.zone.clone(),
            locale: self.locale.clone(),
            media: one_of("media", &self.media, ["screen", "print"])?,
            scheme: one_of("scheme", &self.scheme, ["light", "dark"])?,
            is_offline: self.offline,
        })
    }
}

async fn emulate(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<EmulationBody>,
) -> Result<Json<Emulated>, ApiError> {
    let agent = found(&ws, &name)?;
    let to = body.emulation()?;
    let turn = Turn::take(&ws, &who, &agent).await?;
    let page = turn.page(body.tab)?;
    let work = async { page.emulate(&to).await.map_err(ApiError::from) };
    turn.does(work).await?;
    Ok(Json(Emulated { tab: page.number() }))
}

async fn upload(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<UploadParams>,
    request: Request,
) -> Result<Json<Given>, ApiError> {
    let agent = found(&ws, &name)?;
    let files = view::arrived(&ws, request).await?;
    let turn = Turn::take(&ws, &who, &agent).await?;
    let page = turn.page(params.tab)?;
    let work = async {
        let number = match params.part.as_deref() {
            Some(part) => refs::parse(part)?,
            None => page.chooser().ok_or(BrowserError::NoChooser)?.number,
        };
        let stake = page.stake(Aim::Part(number)).await?;
        body::may_act(&ws, &agent, &stake, &[SiteAct::Act, SiteAct::Upload])?;
        let count = files.len();
        page.give(number, files).await?;
        Ok::<_, ApiError>(count)
    };
    let count = turn.does(work).await?;
    Ok(Json(Given { tab: page.number(), files: count }))
}

async fn downloads(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<Downloads>, ApiError> {
    let agent = found(&ws, &name)?;
    let all = super::super::downloads(&ws, &who, agent.id)?;
    Ok(Json(Downloads { items: all.into_iter().map(DownloadView::from).collect() }))
}

async fn download(
    ws: Ws,
    who: Person,
    Path2(name, id): Path2<String, String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let agent = found(&ws, &name)?;
    let served = super::super::download((&ws, &who), agent.id, &id, &headers).await;
    served.map_err(|PageError(failure)| ApiError(failure))
}
