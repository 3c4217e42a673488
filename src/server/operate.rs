//! Store operations for the machine's owner over the socket: long-running jobs with progress, audit export as JSON
//! Lines, removal of former versions, consumers.

use serde::{Deserialize, Serialize};

use app::jobs::JobState;
use app::{App, Ws};
use features::audit::queries::{self as audit, AuditParams, AuditQuery, Reach};
use features::backups::queries::damaged;
use features::global_search::queries::standing as index;
use features::health::queries::{self as health, letters};
use features::health::rules::{self, Act, HealthError};
use features::users::rules::UsersError;
use interfaces_insights::health::api::{ConsumerView, giving_up, named};
use kernel::{Can, Cause};
use store::verify::Depth;
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::routes::{Needs, Routes};
use web::session::Peer;

use super::local::local_actor;

/// Entries per response of the export.
const PIECE: usize = 2_000;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/jobs/{kind}", begin.needs(Can::Local))
        .get("/jobs/{kind}", state.needs(Can::Local))
        .get("/consumers", list_consumers.needs(Can::Local))
        .post("/consumers", act_on_consumer.needs(Can::Local))
        .get("/consumers/letters", list_letters.needs(Can::Local))
        .get("/audit", export.needs(Can::Local))
        .post("/redact", redact.needs(Can::Local))
}

/// The named workspace, or the only one.
///
/// # Errors
/// When the workspace does not exist or cannot be opened, or there are several and `slug` is missing.
pub fn chosen(app: &App, slug: Option<&str>) -> Result<Ws, UsersError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let broken = damaged::all(app)?;
    let mut fitting = all.iter().filter(|ws| slug.is_none_or(|slug| ws.slug == slug));
    let mut unfit = broken.iter().filter(|one| slug.is_none_or(|slug| one.slug == slug));
    match (fitting.next(), fitting.next(), unfit.next(), unfit.next()) {
        (Some(ws), None, None, _) => Ok(ws.clone()),
        (None, _, Some(one), None) => {
            Err(UsersError::Shut { code: one.code(), words: one.words() })
        }
        (None, _, None, _) => Err(UsersError::NotFound("workspace")),
        _ => Err(UsersError::WhichWorkspace(
            all.iter()
                .map(|ws| ws.slug.clone())
                .chain(broken.iter().map(|one| format!("{} (can't be opened)", one.slug)))
                .collect::<Vec<_>>()
                .join(", "),
        )),
    }
}

/// The error for a missing workspace name. Lists the candidates.
pub fn several(all: &[Ws]) -> UsersError {
    let slugs: Vec<&str> = all.iter().map(|ws| ws.slug.as_str()).collect();
    UsersError::WhichWorkspace(slugs.join(", "))
}

/// Selects a workspace.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Where {
    /// Slug; optional if there is only one workspace.
    pub workspace: Option<String>,
}

async fn begin(
    app: App,
    peer: Peer,
    Path(kind): Path<String>,
    Json(place): Json<Where>,
) -> Result<Json<JobState>, ApiError> {
    let ws = chosen(&app, place.workspace.as_deref())?;
    let by = (local_actor(&app, peer)?, Cause::Setup);
    match kind.as_str() {
        audit::VERIFY => audit::begin_verify(&ws, Depth::There, Reach::Both)?,
        audit::VERIFY_BLOBS => audit::begin_verify(&ws, Depth::Whole, Reach::Both)?,
        kind => health::begin(&ws, kind, &by, Reach::Both)?,
    }
    stand(&app, &ws, &kind)
}

async fn state(
    app: App,
    Path(kind): Path<String>,
    Query(place): Query<Where>,
) -> Result<Json<JobState>, ApiError> {
    let ws = chosen(&app, place.workspace.as_deref())?;
    stand(&app, &ws, &kind)
}

fn stand(app: &App, ws: &Ws, kind: &str) -> Result<Json<JobState>, ApiError> {
    let state = app.jobs.state(&ws.slug, health::noted_as(kind));
    Ok(Json(state.ok_or_else(|| ApiError::not_found("Such a piece of work"))?))
}

// ── Audit ──

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Slug of the workspace; optional if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// `accounts` for sign-ins, tokens and accounts of its members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The last entry that the client has.
    #[serde(default)]
    pub after: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ExportPiece {
    /// JSON Lines.
    pub text: String,
    /// Continue after this entry; `None` at the end.
    pub next: Option<u64>,
}

async fn export(
    app: App,
    Query(wish): Query<ExportRequest>,
) -> Result<Json<ExportPiece>, ApiError> {
    let ws = chosen(&app, wish.workspace.as_deref())?;
    let params = AuditParams { source: wish.source, ..AuditParams::default() };
    let all = AuditQuery::new(&ws, &params, (None, &jiff::tz::TimeZone::UTC))?;
    let (text, next) = audit::export_piece(&ws, &all, wish.after, PIECE)?;
    Ok(Json(ExportPiece { text, next }))
}

/// Selects a record whose history is removed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RedactRequest {
    /// Slug of the workspace; optional if there is only one.
    pub workspace: Option<String>,
    pub table: String,
    /// The id, or the key of a task.
    pub id: String,
    /// Only report which record is selected.
    #[serde(default)]
    pub look: bool,
}

/// Result of a redaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct Redacted {
    /// Id of the record.
    #[serde(default)]
    pub id: String,
    /// Number of removed versions.
    pub removed: usize,
}

/// Removes the former versions of a record.
async fn redact(
    app: App,
    peer: Peer,
    Json(wish): Json<RedactRequest>,
) -> Result<Json<Redacted>, ApiError> {
    let who = (local_actor(&app, peer)?, Cause::Setup);
    let store = match audit::is_of_accounts(&app, &wish.table) {
        true => app.system.clone(),
        false => chosen(&app, wish.workspace.as_deref())?.store.clone(),
    };
    let id = audit::to_redact(&store, &wish.table, &wish.id)?;
    let removed = match wish.look {
        true => 0,
        false => audit::redact(&store, &who, &wish.table, &id).await?,
    };
    Ok(Json(Redacted { id, removed }))
}

// ── Consumers ──

/// A command for a consumer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ConsumerRequest {
    /// Slug of the workspace; optional if there is only one.
    pub workspace: Option<String>,
    pub name: String,
    /// `pause`, `resume`, `skip`, `rewind`, `rebuild`, `retry` or `drop`.
    pub act: String,
    /// The entry to rewind to, retry or drop. For `skip`, the only entry to skip.
    pub entry: Option<u64>,
}

/// State of the consumers of a workspace.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsumerList {
    pub items: Vec<ConsumerView>,
}

fn consumers(ws: &Ws) -> Result<Json<ConsumerList>, ApiError> {
    let now = ws.app.clock.now();
    let all = health::consumers(ws)?.into_iter().map(|one| ConsumerView::of(one, now));
    Ok(Json(ConsumerList { items: all.collect() }))
}

/// Selects dead letters of a consumer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LettersRequest {
    /// Slug of the workspace; optional if there is only one.
    pub workspace: Option<String>,
    pub name: String,
    /// Only letters after this entry.
    pub after: Option<u64>,
    /// Maximum number of letters.
    pub limit: Option<usize>,
}

/// Lists the dead letters of a consumer.
async fn list_letters(
    app: App,
    Query(wish): Query<LettersRequest>,
) -> Result<Json<letters::Letters>, ApiError> {
    let ws = chosen(&app, wish.workspace.as_deref())?;
    let number = giving_up(&app, &wish.name)?.number();
    let params = letters::LetterParams { after: wish.after, limit: wish.limit };
    Ok(Json(ws.read_blocking(move |ws| letters::page(ws, number, params)).await?))
}

/// Executes a command and returns the state of all consumers.
async fn act_on_consumer(
    app: App,
    peer: Peer,
    Json(wish): Json<ConsumerRequest>,
) -> Result<Json<ConsumerList>, ApiError> {
    let ws = chosen(&app, wish.workspace.as_deref())?;
    let who = (local_actor(&app, peer)?, Cause::Setup);
    let (is_index, of_letters) = (wish.name == index::NAME, ["retry", "drop"]);
    if is_index && !of_letters.contains(&wish.act.as_str()) {
        let act = Act::from_word(&wish.act, wish.entry)?;
        let at = rules::index_stands(&ws).await?;
        ws.write(&who, move |tx| rules::steer_index(tx, act, at)).await?;
        ws.finding.tell();
        return consumers(&ws);
    }
    let one = giving_up(&app, &wish.name)?;
    let entry = || {
        let message = "give the entry with --entry".to_owned();
        wish.entry.ok_or(HealthError::Field { field: "entry", message })
    };
    match wish.act.as_str() {
        "retry" => {
            let seq = entry()?;
            ws.write(&who, move |tx| rules::retry(tx, &*one, seq))
                .await?
                .map_err(HealthError::Refused)?;
            if is_index {
                ws.finding.tell();
            }
        }
        "drop" => {
            let seq = entry()?;
            ws.write(&who, move |tx| rules::drop_letter(tx, &*one, seq)).await?;
        }
        word => {
            let act = Act::from_word(word, wish.entry)?;
            let one = named(&app, &wish.name)?;
            ws.write(&who, move |tx| rules::act(tx, &*one, act)).await?;
            app.consumers.nudge();
        }
    }
    consumers(&ws)
}

async fn list_consumers(
    app: App,
    Query(place): Query<Where>,
) -> Result<Json<ConsumerList>, ApiError> {
    consumers(&chosen(&app, place.workspace.as_deref())?)
}
