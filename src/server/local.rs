//! Operations for the machine's owner, over the socket or with the process stopped: status, one-time links, tokens,
//! settings. The status of a workspace is also available to its readers over the API.

use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ops::{blobs, connections, files, keys};
use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use features::agents::queries::repository::Found;
use features::backups::queries as backups;
use features::backups::queries::damaged::{self, Damaged};
use features::connections::queries::standing::{Standing, standings};
use features::users::model::{Account, Purpose};
use features::users::queries;
use features::users::rules::{self, NewToken, UsersError};
use features::{agents, inbox, runs, tasks, usage, workspace};
use interfaces_account::users::session;
use kernel::{Actor, Can, Cause, Part, RunState, Scope, Timestamp, TokenId, Via};
use store::StoreError;
use web::error::{ApiError, Failure, PageError};
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Peer;

use super::lock;

/// Where the server is reachable, for links.
pub struct Here {
    /// URL without a trailing slash.
    pub url: String,
}

/// URL of this server from the caller's view, without a trailing slash: the configured public URL, otherwise the
/// `Host` of the request or, at the socket, the listen address.
pub struct Reached(pub String);

impl FromRequestParts<App> for Reached {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        if let Some(url) = &app.config.public_url {
            return Ok(Self(url.clone()));
        }
        if let Peer::Net(_) = Peer::from_request_parts(parts, app).await?
            && let Some(host) = parts.headers.get(HOST).and_then(|host| host.to_str().ok())
        {
            return Ok(Self(format!("http://{host}")));
        }
        let here: Option<&Arc<Here>> = parts.extensions.get();
        let nowhere = || PageError(Failure::internal("the address of this server is unknown"));
        here.map(|here| Self(here.url.clone())).ok_or_else(nowhere)
    }
}

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/status", show_status.needs(Can::Local))
        .get("/config", show_config.needs(Can::Local))
        .post("/reset-link", make_link.needs(Can::Local))
        .post("/tokens", make_token.needs(Can::Local))
        .get("/doctor/blobs", look_at_blobs.needs(Can::Local))
        .get("/doctor/files", look_at_files.needs(Can::Local))
        .post("/doctor/files", repair_files.needs(Can::Local))
        .get("/doctor/connections", look_at_connections.needs(Can::Local))
        .get("/doctor/keys", look_at_keys.needs(Can::Local))
}

#[must_use]
pub fn api() -> Routes {
    let doc = || Doc::new("Workspace status").returns::<RemoteStatus>();
    Routes::new().get("/status", show_workspace.needs(Can::Read).doc(doc))
}

// ── Status ──

/// Status of the process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub pid: u32,
    /// Start time.
    pub since: Option<Timestamp>,
    pub version: String,
    /// Where the server is reachable.
    pub url: String,
    /// Whether the server has no owner yet.
    pub setup_required: bool,
    /// Proportional set size (PSS) in KiB; `None` if unknown.
    pub memory_kib: Option<u64>,
    #[serde(default)]
    pub last_backup: Option<Timestamp>,
    /// Problem with backups, until it is solved.
    #[serde(default)]
    pub backup_trouble: Option<String>,
    /// Problem: the master key does not match the data.
    #[serde(default)]
    pub key_trouble: Option<String>,
    /// Problem: the disk is full and nothing new is saved.
    #[serde(default)]
    pub disk_trouble: Option<String>,
    pub workspaces: Vec<WorkspaceStatus>,
    /// Workspaces that cannot be opened.
    #[serde(default)]
    pub damaged: Vec<Damaged>,
}

/// How a workspace is, for those who may read it from another machine.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RemoteStatus {
    /// The program's version.
    pub version: String,
    /// The workspace.
    pub workspace: WorkspaceStatus,
}

/// How a workspace is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceStatus {
    /// Its name in addresses.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Agents that are not archived.
    pub agents: usize,
    /// Runs that are being worked on.
    pub runs_working: usize,
    /// Runs that wait for something.
    pub runs_waiting: usize,
    /// Work that could begin now.
    pub items_due: usize,
    /// Open tasks.
    pub tasks_open: u64,
    /// Whether all work stands still until somebody resumes it.
    #[serde(default)]
    pub paused: bool,
    /// Number of the last entry in the feed.
    pub feed: u64,
    /// What agents spent this day (UTC), in micro-dollars.
    #[serde(default)]
    pub today_micros: i64,
    /// Connections to providers.
    #[serde(default)]
    pub providers: Vec<ProviderStatus>,
}

/// How a connection to a provider stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProviderStatus {
    /// Its name.
    pub name: String,
    /// On which way calls are paid.
    pub route: String,
    /// `ok`, `auth`, `rate_limit`, `billing`, `timeout`, `format`, `no_model` or `unknown`.
    pub status: String,
    /// A stable word for why it is not `ok`.
    pub reason: Option<String>,
    /// Until when it is left alone.
    pub until: Option<String>,
}

impl From<Standing> for ProviderStatus {
    fn from(standing: Standing) -> Self {
        Self {
            name: standing.name,
            route: standing.route.word().to_owned(),
            status: standing.status.to_owned(),
            reason: standing.reason.map(str::to_owned),
            until: standing.until.map(|at| at.to_string()),
        }
    }
}

fn status(app: &App, here: &Here) -> Result<Status, StoreError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let workspaces = all.iter().map(workspace_status).collect::<Result<Vec<_>, _>>()?;
    let owned = app.system.read(|snap| queries::any_account(snap))?;
    let place = backups::usual_place(app)?;
    let (last_backup, trouble) = app.system.read(|snap| {
        let last = backups::last_made(snap, &place)?;
        Ok::<_, StoreError>((last, backups::trouble(snap, &place)?))
    })?;
    let misfit = app.system.read(|snap| queries::key_trouble(snap, &app.keyring))?;
    Ok(Status {
        key_trouble: misfit.map(|misfit| misfit.words),
        disk_trouble: app.system.room().and_then(|room| room.check().err()).map(|e| e.to_string()),
        last_backup,
        backup_trouble: trouble
            .map(|run| format!("{}: {}", run.words(), run.note.unwrap_or_default())),
        pid: std::process::id(),
        since: lock::holder(&app.config.data).map(|holder| holder.since),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: here.url.clone(),
        setup_required: !owned,
        memory_kib: memory_kib(Path::new("/proc/self/smaps_rollup")),
        workspaces,
        damaged: damaged::all(app)?,
    })
}

fn workspace_status(ws: &Ws) -> Result<WorkspaceStatus, StoreError> {
    let now = ws.app.clock.now();
    ws.read(|snap| {
        let live = runs::queries::live(snap)?;
        let settings = workspace::queries::settings(snap)?;
        let waiting = live.iter().filter(|run| run.state == RunState::Waiting).count();
        Ok(WorkspaceStatus {
            slug: ws.slug.clone(),
            name: settings.map(|settings| settings.name).unwrap_or_default(),
            agents: agents::queries::all(snap)?.len(),
            runs_working: live.len() - waiting,
            runs_waiting: waiting,
            items_due: inbox::queries::due(snap, now, 1_000)?.len(),
            tasks_open: tasks::queries::list::open_count(snap)?,
            paused: runs::queries::halt::of_workspace(snap)?.is_some(),
            feed: ws.store.head().seq,
            today_micros: usage::queries::day_total(snap, now)?,
            providers: standings(snap, &ws.app.keyring, now)?
                .into_iter()
                .map(ProviderStatus::from)
                .collect(),
        })
    })
}

fn memory_kib(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?; // ok: only a figure is missing then
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

async fn show_status(
    app: App,
    Extension(here): Extension<Arc<Here>>,
) -> Result<Json<Status>, ApiError> {
    Ok(Json(status(&app, &here)?))
}

async fn show_workspace(ws: Ws) -> Result<Json<RemoteStatus>, ApiError> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Json(RemoteStatus { version, workspace: workspace_status(&ws)? }))
}

async fn show_config(app: App) -> Json<Value> {
    Json(json!({ "settings": app.config.settings }))
}

/// The workspaces to check: the named one, or all.
fn looked_through(app: &App, slug: Option<&str>) -> Result<Vec<Ws>, UsersError> {
    match slug {
        Some(slug) => Ok(vec![super::operate::chosen(app, Some(slug))?]),
        None => Ok(app.workspaces.read().clone()),
    }
}

async fn look_at_blobs(
    app: App,
    Query(place): Query<super::operate::Where>,
) -> Result<Json<Vec<blobs::Found>>, ApiError> {
    found(blobs::inspect(looked_through(&app, place.workspace.as_deref())?).await)
}

async fn look_at_files(
    app: App,
    Query(place): Query<super::operate::Where>,
) -> Result<Json<Vec<Found>>, ApiError> {
    found(files::inspect(looked_through(&app, place.workspace.as_deref())?).await)
}

async fn repair_files(
    app: App,
    Query(place): Query<super::operate::Where>,
) -> Result<Json<Vec<Found>>, ApiError> {
    let all = looked_through(&app, place.workspace.as_deref())?;
    found(files::repair(app, all).await)
}

fn found<T>(looked: Result<T, String>) -> Result<Json<T>, ApiError> {
    looked.map(Json).map_err(|error| ApiError(Failure::internal(error)))
}

async fn look_at_connections(app: App) -> Result<Json<Vec<connections::Found>>, ApiError> {
    Ok(Json(connections::inspect(&app)?))
}

async fn look_at_keys(app: App) -> Result<Json<keys::Found>, ApiError> {
    let runs = app.on_open.read().is_some();
    Ok(Json(keys::inspect(&app, runs)?))
}

// ── Links ──

/// Request for a one-time link.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LinkRequest {
    /// Email address of the account; optional if there is only one account.
    pub email: Option<String>,
    /// Whether to remove the second factors as well.
    #[serde(default)]
    pub factors: bool,
}

/// A one-time link.
#[derive(Debug, Serialize, Deserialize)]
pub struct FreshLink {
    pub link: String,
    /// Email address of the account whose password the link resets; `None` for the set-up link.
    pub email: Option<String>,
    pub expires_at: Timestamp,
}

/// Creates a password reset link, or the set-up link while there is no owner.
pub async fn reset_link(
    app: &App,
    here: &Here,
    by: Actor,
    wish: LinkRequest,
) -> Result<FreshLink, UsersError> {
    let account = match app.system.read(|snap| queries::any_account(snap))? {
        true => Some(chosen_account(app, wish.email.as_deref())?),
        false => None,
    };
    let token = Token::issue(TokenKind::Link);
    let page = if account.is_some() { "reset" } else { "setup" };
    let link = format!("{}/{page}?token={}", here.url, token.reveal());
    let purpose = account.as_ref().map_or(Purpose::SetUp, |account| match wish.factors {
        true => Purpose::ResetAll(account.id),
        false => Purpose::Reset(account.id),
    });
    let given =
        app.system.write(by, Cause::Setup, move |tx| rules::give_link(tx, &token, purpose)).await?;
    Ok(FreshLink { link, email: account.map(|a| a.email), expires_at: given.expires_at })
}

async fn make_link(
    app: App,
    peer: Peer,
    Extension(here): Extension<Arc<Here>>,
    Json(wish): Json<LinkRequest>,
) -> Result<Json<FreshLink>, ApiError> {
    let by = local_actor(&app, peer)?;
    Ok(Json(reset_link(&app, &here, by, wish).await?))
}

/// The open account with this email address, or the only account.
///
/// # Errors
/// When there is none, the account is disabled, or there are several and `email` is missing.
pub fn chosen_account(app: &App, email: Option<&str>) -> Result<Account, UsersError> {
    if let Some(email) = email {
        let found = app.system.read(|snap| queries::by_email(snap, email))?;
        let found = found.ok_or_else(|| UsersError::NoAccount(email.to_owned()))?;
        return match found.disabled_at {
            None => Ok(found),
            Some(_) => Err(UsersError::Disabled(found.email)),
        };
    }
    let mut all = app.system.read(|snap| queries::accounts(snap))?;
    all.retain(|one| one.disabled_at.is_none());
    match all.len() {
        0 => Err(UsersError::NoOwner),
        1 => Ok(all.remove(0)),
        _ => {
            let known = all.into_iter().map(|one| one.email).collect::<Vec<_>>().join(", ");
            Err(UsersError::field(
                "email",
                format!("there are several accounts; choose one: {known}"),
            ))
        }
    }
}

/// Actor for commands on this machine: the owner with the user id, or the system before there is an owner.
pub fn local_actor(app: &App, peer: Peer) -> Result<Actor, StoreError> {
    let keeper = app.system.read(|snap| queries::keeper(snap))?;
    Ok(match (keeper, peer) {
        (Some(owner), Peer::Socket { uid }) => {
            Actor::Person { account: owner.id, via: Via::Socket { uid } }
        }
        _ => Actor::System(Part::Cli),
    })
}

// ── Tokens ──

/// Request for an API token.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TokenRequest {
    pub name: String,
    /// Scopes of the token; empty for all rights of its owner.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Lifetime in days.
    pub days: Option<i64>,
    /// Email address of the account; optional if there is only one account.
    pub email: Option<String>,
    /// Slug of the workspace; optional if there is only one.
    pub workspace: Option<String>,
}

/// A new token. The secret is shown once.
#[derive(Debug, Serialize, Deserialize)]
pub struct FreshToken {
    pub token: String,
    /// Id for revoking the token.
    pub id: TokenId,
    pub scopes: Vec<Scope>,
    pub workspace: String,
    pub expires_at: Timestamp,
}

/// Creates a token for an account, with no more rights than the account has.
async fn make_token(
    app: App,
    peer: Peer,
    Json(wish): Json<TokenRequest>,
) -> Result<Response, ApiError> {
    let by = local_actor(&app, peer)?;
    let account = chosen_account(&app, wish.email.as_deref())?;
    let mine = session::workspaces_of(&app, account.id)?;
    let wanted = wish.workspace.as_deref();
    let mut fitting = mine.iter().filter(|ws| wanted.is_none_or(|slug| slug == ws.slug));
    let ws = fitting.next().ok_or(UsersError::NotFound("workspace of this account"))?;
    if wanted.is_none() && fitting.next().is_some() {
        return Err(super::operate::several(&mine).into());
    }
    let member = ws.read(|snap| workspace::queries::member(snap, account.id))?;
    let member = member.ok_or(UsersError::NotFound("member"))?;
    let may = super::access::role(member.role);
    let scopes: Vec<Scope> = match wish.scopes.is_empty() {
        true => {
            let all = Scope::ALL.iter().copied();
            all.filter(|scope| may.covers(super::access::scope(*scope))).collect()
        }
        false => wish.scopes,
    };
    if let Some(more) = scopes.iter().find(|scope| !may.covers(super::access::scope(**scope))) {
        return Err(UsersError::MoreThanOwn(more.label()).into());
    }
    let fresh = Token::issue(TokenKind::Personal);
    let new = NewToken {
        account: account.id,
        workspace: ws.id,
        name: wish.name,
        scopes,
        days: wish.days.unwrap_or(90),
        public: fresh.id().to_owned(),
        hash: fresh.hash(),
    };
    let made = app.system.write(by, Cause::Setup, move |tx| rules::create_token(tx, new)).await?;
    let made = FreshToken {
        token: fresh.reveal().to_owned(),
        id: made.id,
        scopes: made.scopes,
        workspace: ws.slug.clone(),
        expires_at: made.expires_at,
    };
    Ok((StatusCode::CREATED, Json(made)).into_response())
}
