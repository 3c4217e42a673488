//! What the machine's owner may do with the stores, over the socket: long pieces of work with their
//! progress, the audit as JSON Lines, the removal of former versions.

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

/// How many entries an answer of the export has.
const PIECE: usize = 2_000;

/// Routes below `/local`.
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

/// The workspace that is meant: the only one, unless it is named.
///
/// # Errors
/// When there is none of that name, it cannot be opened, or there are several and none is named.
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
                .chain(broken.iter().map(|one| format!("{} (cannot be opened)", one.slug)))
                .collect::<Vec<_>>()
                .join(", "),
        )),
    }
}

/// Why a command must name its workspace, with all that it could mean.
pub fn several(all: &[Ws]) -> UsersError {
    let slugs: Vec<&str> = all.iter().map(|ws| ws.slug.as_str()).collect();
    UsersError::WhichWorkspace(slugs.join(", "))
}

/// Which workspace.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Where {
    /// Its name in addresses; may be left out when there is one.
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

// ── The audit ──

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ExportRequest {
    /// The workspace; may be left out when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// `accounts` for sign-ins, tokens and accounts of its members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The last entry that is there already.
    #[serde(default)]
    pub after: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ExportPiece {
    /// JSON Lines.
    pub text: String,
    /// Go on after this entry; none at the end.
    pub next: Option<u64>,
}

async fn export(
    app: App,
    Query(wish): Query<ExportRequest>,
) -> Result<Json<ExportPiece>, ApiError> {
    let ws = chosen(&app, wish.workspace.as_deref())?;
    let asked = AuditParams { source: wish.source, ..AuditParams::default() };
    let all = AuditQuery::new(&ws, &asked, (None, &jiff::tz::TimeZone::UTC))?;
    let (text, next) = audit::export_piece(&ws, &all, wish.after, PIECE)?;
    Ok(Json(ExportPiece { text, next }))
}

/// Whose past is to go.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RedactRequest {
    /// The workspace; may be left out when there is one.
    pub workspace: Option<String>,
    pub table: String,
    /// The id, or the key of a task.
    pub id: String,
    /// Only say which record is meant.
    #[serde(default)]
    pub look: bool,
}

/// What went.
#[derive(Debug, Serialize, Deserialize)]
pub struct Redacted {
    /// The record's id.
    #[serde(default)]
    pub id: String,
    /// Former versions that are gone.
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

/// What is to be done with a consumer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ConsumerRequest {
    /// The workspace; may be left out when there is one.
    pub workspace: Option<String>,
    pub name: String,
    /// `pause`, `resume`, `skip`, `rewind`, `rebuild`, `retry` or `drop`.
    pub act: String,
    /// The entry: to go back to, to try again, to drop; to skip, if only that one is to be.
    pub entry: Option<u64>,
}

/// Where the consumers of a workspace stand.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsumerList {
    pub items: Vec<ConsumerView>,
}

/// Where all consumers stand.
fn consumers(ws: &Ws) -> Result<Json<ConsumerList>, ApiError> {
    let now = ws.app.clock.now();
    let all = health::consumers(ws)?.into_iter().map(|one| ConsumerView::of(one, now));
    Ok(Json(ConsumerList { items: all.collect() }))
}

/// Which of the entries that a consumer gave up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LettersRequest {
    /// The workspace; may be left out when there is one.
    pub workspace: Option<String>,
    /// The name of the consumer.
    pub name: String,
    /// Only those behind this entry.
    pub after: Option<u64>,
    /// How many at most.
    pub limit: Option<usize>,
}

/// What a consumer gave up.
async fn list_letters(
    app: App,
    Query(wish): Query<LettersRequest>,
) -> Result<Json<letters::Letters>, ApiError> {
    let ws = chosen(&app, wish.workspace.as_deref())?;
    let number = giving_up(&app, &wish.name)?.number();
    let asked = letters::LetterParams { after: wish.after, limit: wish.limit };
    Ok(Json(ws.read_blocking(move |ws| letters::page(ws, number, asked)).await?))
}

/// Does something with a consumer and says where all stand then.
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
        let message = "name the entry with --entry".to_owned();
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
