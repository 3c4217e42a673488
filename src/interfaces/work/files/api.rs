//! Files on tasks and records below `/api/v1`.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pages::new_file;
use app::{App, Ws};
use features::files::model::TaskFile;
use features::files::queries::{self, FileError};
use features::files::rules;
use features::places::Spot;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::{Can, FileId, Timestamp};
use store::Read;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Query};
use web::file::{self, Show};
use web::idempotency::{Once, OnceFile};
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;
use web::upload;

#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .get(
            "/tasks/{task}/files",
            list.needs(Can::Read).doc(|| Doc::new("The files on a task").returns::<Files>()),
        )
        .post(
            "/tasks/{task}/files",
            send.needs(Can::Write).doc(|| {
                Doc::new(
                    "Add a file to a task; the body is its content, sent as \
                     application/octet-stream",
                )
                .query::<Named>()
                .returns::<FileView>()
                .status(201)
            }),
        )
        .get(
            "/on/{place}/files",
            list.needs(Can::Read)
                .doc(|| Doc::new("The files on a record such as contact:0192…").returns::<Files>()),
        )
        .post(
            "/on/{place}/files",
            send.needs(Can::Write).doc(|| {
                Doc::new(
                    "Add a file to a record such as contact:0192…; the body is its content, sent \
                     as application/octet-stream",
                )
                .query::<Named>()
                .returns::<FileView>()
                .status(201)
            }),
        )
        .get(
            "/files/{id}",
            fetch.needs(Can::Read).doc(|| {
                Doc::new("Download a file, or the part that a Range header names")
                    .media("application/octet-stream")
            }),
        )
        .delete(
            "/files/{id}",
            remove.needs(Can::Write).doc(|| {
                Doc::new(
                    "Remove a file from its task or \
                record",
                )
                .status(204)
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct FileView {
    id: FileId,
    name: String,
    /// In bytes.
    size: u64,
    /// What its bytes say it is.
    media: String,
    sha256: String,
    by: WhoView,
    #[schemars(with = "String")]
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct Files {
    items: Vec<FileView>,
    next: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The name of the file.
    name: String,
}

fn view(names: &Names, file: TaskFile) -> FileView {
    FileView {
        id: file.id,
        name: file.name,
        size: file.size,
        media: file.media,
        sha256: file.blob.to_string(),
        by: WhoView::actor(names, file.by),
        created_at: file.created_at,
    }
}

async fn list(ws: Ws, Path(text): Path<String>) -> Result<Json<Files>, ApiError> {
    let items = ws.read(|snap| {
        let (spot, names) = (Spot::resolve(snap, &text)?, Names::read(snap)?);
        let files = queries::of(snap, spot.place)?.into_iter();
        Ok::<_, FileError>(files.map(|file| view(&names, file)).collect())
    })?;
    Ok(Json(Files { items, next: None }))
}

async fn send(
    app: App,
    ws: Ws,
    who: Person,
    once: OnceFile,
    Path(text): Path<String>,
    Query(named): Query<Named>,
    request: Request,
) -> Result<Response, ApiError> {
    let place = ws.read(|snap| Spot::resolve(snap, &text))?.place;
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes();
    let arrived = upload::body(&ws, (&parts.headers, body), &named.name, limit).await?;
    let once = once.with(arrived.blob);
    let attach =
        once.run(move |tx| rules::attach(tx, place, new_file(arrived)).map(|file| file.id));
    let id = ws.write(&who, attach).await?;
    let file = ws.read(|snap| one(snap, id))?;
    Ok((StatusCode::CREATED, Json(file)).into_response())
}

fn one(read: &dyn Read, id: FileId) -> Result<FileView, FileError> {
    let file = queries::get(read, id)?.ok_or(FileError::NotFound)?;
    Ok(view(&Names::read(read)?, file))
}

async fn fetch(ws: Ws, headers: HeaderMap, Path(id): Path<FileId>) -> Result<Response, PageError> {
    let file = ws.read(|snap| queries::get(snap, id))?.ok_or(FileError::NotFound)?;
    file::serve(&ws, (&file.name, file.blob), Show::Download, &headers).await
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<FileId>,
) -> Result<StatusCode, ApiError> {
    ws.write(&who, once.run(move |tx| rules::remove(tx, id).map(|_| ()))).await?;
    Ok(StatusCode::NO_CONTENT)
}
