//! Export and import of a workspace: over the socket by file name, over the API as a body.

use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use app::{App, Who, Ws};
use backup::BackupError;
use backup::portable::Portable;
use features::backups::queries as backups;
use features::backups::rules::BackupsError;
use features::users::model::Account;
use features::users::queries as accounts;
use kernel::{Actor, Can, Cause, Part};
use store::ReadExt;
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::exports::put_on_record;
use super::portable::{ImportRequest, Imported, export, export_to, import, room_in};
use super::workspaces::life;

/// Media type of an export.
pub(super) const ZSTD: &str = "application/zstd";
/// Interval in bytes at which free space is checked during an upload.
const LOOK_EVERY: u64 = 16 * 1024 * 1024;

#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .get(
            "/export",
            download.needs(Can::Admin).proved().doc(|| {
                Doc::new("This workspace as one portable file (docs/export.md)").media(ZSTD)
            }),
        )
        .post(
            "/import",
            upload.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Create a workspace from a portable file, sent as the body. An admin of all \
                     workspaces becomes its owner",
                )
                .query::<AsName>()
                .returns::<Imported>()
                .status(201)
                .no_key("a second workspace of the same name is refused")
            }),
        )
}

#[must_use]
pub fn local_routes() -> Routes {
    Routes::new()
        .post("/export", export_file.needs(Can::Local))
        .post("/import", import_file.needs(Can::Local))
}

fn cut_off(error: impl std::fmt::Display) -> BackupsError {
    BackupsError::CutOff(error.to_string())
}

/// The machine's owner, who becomes owner of a workspace imported by command.
fn first_owner(app: &App) -> Result<Account, BackupsError> {
    let all = app.system.read(|snap| accounts::accounts(snap))?;
    let none = "HQ has no owner yet; set it up first";
    all.into_iter().next().ok_or_else(|| BackupError::Restore(none.to_owned()).into())
}

// ── By file name ──

/// An export command.
#[derive(Serialize, Deserialize)]
pub struct ExportOptions {
    pub workspace: String,
    /// Absolute path of the target.
    pub file: PathBuf,
}

/// An import command.
#[derive(Serialize, Deserialize)]
pub struct ImportFile {
    /// Absolute path of the source.
    pub file: PathBuf,
    /// Slug of the new workspace, if not the one in the file.
    pub slug: Option<String>,
}

/// Exports a workspace to a file.
async fn export_file(
    app: App,
    Json(wish): Json<ExportOptions>,
) -> Result<Json<Portable>, ApiError> {
    let ws = app.workspace(&wish.workspace).ok_or_else(|| {
        let all: Vec<_> = app.workspaces.read().iter().map(|ws| ws.slug.clone()).collect();
        let words =
            format!("there is no workspace {}; available: {}", wish.workspace, all.join(", "));
        BackupsError::from(BackupError::Restore(words))
    })?;
    // The machine's owner could copy the folder anyway, so a failed audit entry does not block the export.
    if let Err(error) = put_on_record(&ws, (Actor::System(Part::Cli), Cause::Setup)).await {
        tracing::warn!(%error, "that {} was taken out could not be put on record", ws.slug);
    }
    let done = tokio::task::spawn_blocking(move || export_to(&ws, &wish.file)).await;
    Ok(Json(done.map_err(cut_off)?.map_err(BackupsError::from)?))
}

/// Imports a file as a new workspace.
async fn import_file(app: App, Json(wish): Json<ImportFile>) -> Result<Json<Imported>, ApiError> {
    let (owner, by) = (first_owner(&app)?, Actor::System(Part::Cli));
    let opened = std::fs::File::open(&wish.file).map_err(BackupError::disk(&wish.file));
    let file = opened.map_err(BackupsError::from)?;
    Ok(Json(brought_in(&app, file, ImportRequest { slug: wish.slug, by, owner }).await?))
}

/// Imports and opens the workspace.
async fn brought_in(
    app: &App,
    mut file: std::fs::File,
    wish: ImportRequest,
) -> Result<Imported, BackupsError> {
    let own = app.clone();
    let work = async move {
        let (inner, by) = (own.clone(), wish.by);
        let done = tokio::task::spawn_blocking(move || import(&inner, &mut file, &wish)).await;
        let done = done.map_err(cut_off)??;
        life::take_in(&own, (by, Cause::Setup), &done.slug).await.map_err(cut_off)?;
        Ok(done)
    };
    app.see_through("bring a workspace in", work).await?
}

// ── As a body ──

/// An unlinked temporary file, which is gone when it is closed.
fn nameless(app: &App) -> Result<std::fs::File, BackupError> {
    let folder = app.config.data.join("backups");
    std::fs::create_dir_all(&folder).map_err(BackupError::disk(&folder))?;
    let path = folder.join(format!("transfer-{}", app.ids.next(app.clock.now_ms()).simple()));
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(BackupError::disk(&path))?;
    std::fs::remove_file(&path).map_err(BackupError::disk(&path))?;
    Ok(file)
}

async fn exported(ws: &Ws) -> Result<Response, BackupsError> {
    let here = ws.clone();
    let done = tokio::task::spawn_blocking(move || {
        let mut file = nameless(&here.app)?;
        export(&here, &mut file, &here.app.config.data)?;
        let failed = || BackupError::disk(&here.app.config.data);
        let bytes = file.stream_position().map_err(failed())?;
        file.seek(SeekFrom::Start(0)).map_err(failed())?;
        Ok::<_, BackupError>((file, bytes))
    });
    let (file, bytes) = done.await.map_err(cut_off)??;
    let day = ws.app.clock.now().strftime("%Y-%m-%d").to_string();
    let name = format!("attachment; filename=\"{}-{day}.tar.zst\"", ws.slug);
    let headers = [
        (CONTENT_TYPE, ZSTD.to_owned()),
        (CONTENT_LENGTH, bytes.to_string()),
        (CONTENT_DISPOSITION, name),
    ];
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    Ok((headers, body).into_response())
}

async fn download(ws: Ws, who: Person) -> Result<Response, ApiError> {
    put_on_record(&ws, (who.actor(), who.cause())).await?;
    Ok(exported(&ws).await?)
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct AsName {
    /// Its name in addresses, when not the one in the file.
    slug: Option<String>,
}

async fn upload(
    app: App,
    who: Person,
    Query(name): Query<AsName>,
    body: Body,
) -> Result<Response, ApiError> {
    if !backups::may_manage(&app, who.account)? {
        return Err(BackupsError::NotAll.into());
    }
    let account = who.account;
    let owner = app.system.read(|snap| snap.get::<Account>(account))?;
    let owner =
        owner.ok_or_else(|| BackupError::Restore("your account no longer exists".to_owned()))?;
    let file = received(&app, body).await?;
    let wish = ImportRequest { slug: name.slug, by: who.actor(), owner };
    let done = brought_in(&app, file, wish).await?;
    Ok((StatusCode::CREATED, Json(done)).into_response())
}

async fn received(app: &App, body: Body) -> Result<std::fs::File, BackupsError> {
    let data = app.config.data.clone();
    let failed = || BackupError::disk(&data);
    let mut file = tokio::fs::File::from_std(nameless(app)?);
    let mut pieces = body.into_data_stream();
    let mut since_look = LOOK_EVERY;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(cut_off)?;
        since_look += piece.len() as u64;
        if LOOK_EVERY <= since_look {
            since_look = 0;
            if room_in(&data) == 0 {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                return Err(failed()(full).into());
            }
        }
        file.write_all(&piece).await.map_err(failed())?;
    }
    file.flush().await.map_err(failed())?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).map_err(failed())?;
    Ok(file)
}
