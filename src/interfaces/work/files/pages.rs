//! Uploading, viewing and deleting files of tasks and records. The card that lists them is part of the record's page.

use askama::Template;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::files::model::TaskFile;
use features::files::queries::{self, FileError, Line};
use features::files::rules::{self, NewFile};
use features::places::{Place, Spot};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use features::workspace::queries::modules::Off;
use kernel::{Can, FileId};
use store::WriteTx;
use web::error::PageError;
use web::extract::{Path, Query};
use web::file::{self, Show};
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload::{self, Arrived};
use web::{flash, html};

/// Maximum number of files per upload.
pub(crate) const AT_ONCE: usize = 20;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/tasks/{task}/files", send.needs(Can::Write))
        .post("/on/{place}/files", send.needs(Can::Write))
        .get("/files/{id}", show.needs(Can::Read))
        .get("/files/{id}/content", content.needs(Can::Read))
        .post("/files/{id}/delete", remove.needs(Can::Write))
}

#[derive(Template)]
#[template(path = "files/show.html")]
struct ShowPage {
    shell: Shell,
    file: Line,
    task_name: String,
    task_href: String,
    list_url: String,
    history: String,
    /// Address that saves the file as knowledge; empty while that module is disabled.
    keep: String,
    may_write: bool,
}

pub(crate) fn new_file(arrived: Arrived) -> NewFile {
    let Arrived { name, blob, size, kind } = arrived;
    NewFile { name, blob, size, media: kind.media() }
}

/// Query parameters of an upload. They are in the address because the files follow all other form fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    /// Key that identifies a repeated submission.
    once: String,
}

/// Stores uploaded files on a task or a record.
async fn send(
    app: App,
    ws: Ws,
    who: Person,
    Path(text): Path<String>,
    Query(sent): Query<Sent>,
    request: Request,
) -> Result<Response, PageError> {
    let spot = ws.read(|snap| Spot::resolve(snap, &text))?;
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes();
    let arrived = upload::form(&ws, (&parts.headers, body), AT_ONCE, limit).await?;
    let names: Vec<String> = arrived.iter().map(|one| format!("“{}”", one.name)).collect();
    let place = spot.place;
    let fingerprints: Vec<String> =
        arrived.iter().map(|one| format!("{} {}", one.blob, one.name)).collect();
    let fingerprints: Vec<&str> = fingerprints.iter().map(String::as_str).collect();
    let once = Once::of_form(&who, &format!("files {}", spot.base), &sent.once, &fingerprints);
    let attach = once.run(move |tx: &mut WriteTx<'_>| {
        for one in arrived {
            rules::attach(tx, place, new_file(one))?;
        }
        Ok::<_, FileError>(())
    });
    ws.write(&who, attach).await?;
    let hx = Hx::from_headers(&parts.headers);
    let back = hx.go_to(&at(&ws, &spot));
    Ok(match names.as_slice() {
        [] => flash::say(&app, Flash::ok("No file was chosen."), back),
        [one] => flash::say(&app, Flash::ok(format!("Added {one}.")), back),
        many => flash::say(&app, Flash::ok(format!("Added {} files.", many.len())), back),
    })
}

/// Address of the files on the record's page.
fn at(ws: &Ws, spot: &Spot) -> String {
    format!("{}#task-files", ws.url(&spot.path))
}

fn found(ws: &Ws, id: FileId) -> Result<TaskFile, PageError> {
    let file = ws.read(|snap| queries::get(snap, id))?;
    file.ok_or_else(|| PageError::not_found("The file"))
}

/// A file with its preview.
async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(id): Path<FileId>,
) -> Result<Response, PageError> {
    let file = found(&ws, id)?;
    let (scene, spot, off) = ws.read(|snap| {
        let spot = Spot::here(snap, file.on)?;
        Ok::<_, TaskError>((ViewContext::new(&ws, &who, snap)?, spot, Off::of(snap)?))
    })?;
    html::page(&ShowPage {
        shell,
        file: Line::new(&scene, &file),
        task_href: ws.url(&spot.path),
        list_url: match spot.place {
            Place::Task(_) => ws.url("tasks"),
            Place::Row(_) => String::new(),
        },
        history: ws.url(&format!("history/task_files/{id}")),
        keep: match off.has("knowledge") {
            true => String::new(),
            false => ws.url(&format!("knowledge/keep/{id}")),
        },
        may_write: scene.may_write && !spot.archived,
        task_name: spot.name,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct How {
    download: String,
}

/// The content: inline where that is safe, else as a download.
async fn content(
    ws: Ws,
    headers: HeaderMap,
    Path(id): Path<FileId>,
    Query(how): Query<How>,
) -> Result<Response, PageError> {
    let file = found(&ws, id)?;
    let show = if how.download.is_empty() { Show::InPlace } else { Show::Download };
    file::serve(&ws, (&file.name, file.blob), show, &headers).await
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<FileId>,
) -> Result<Response, PageError> {
    let file = ws.write(&who, move |tx| rules::remove(tx, id)).await?;
    let spot = ws.read(|snap| Spot::here(snap, file.on))?;
    if hx.is_partial() {
        let ask = spot.changed().reswap("none");
        return Ok((ask, html::answer(axum::http::StatusCode::OK, String::new())).into_response());
    }
    let back = hx.go_to(&at(&ws, &spot));
    Ok(flash::say(&app, Flash::ok(format!("Removed “{}”.", file.name)), back))
}
