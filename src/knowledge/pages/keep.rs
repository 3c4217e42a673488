//! Saving files of tasks and conversations as knowledge.

use std::io::Read as _;

use axum::response::Response;

use app::{App, Ws};
use features::files::model::TaskFile;
use features::files::queries as files_of;
use features::links::model::Target;
use features::links::rules as task_links;
use features::runs::queries::talk;
use kernel::key::KeyBuf;
use kernel::{FileId, InputId};
use store::BlobId;
use web::error::PageError;
use web::extract::{Path, Path2};
use web::file::Kind;
use web::flash;
use web::hx::Hx;
use web::idempotency::Once;
use web::session::Person;
use web::shell::Flash;
use web::upload::Arrived;

use super::acts::take;
use crate::error::KnowledgeError;
use crate::model::{ITEMS, KnowledgeId};

/// Number of bytes read to detect a file's kind.
const HEAD: u64 = 4 * 1024;

/// Saves a file of a task as knowledge and links the task to it.
pub(super) async fn of_task(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(file): Path<FileId>,
) -> Result<Response, PageError> {
    let file = ws
        .read(|snap| files_of::get(snap, file))?
        .ok_or_else(|| PageError::not_found("The file"))?;
    let TaskFile { name, blob, size, on, .. } = file;
    let id = kept(&ws, &who, (&name, blob, size)).await?;
    let target = Target::Row(ITEMS.number, KeyBuf::of(&id).into_bytes());
    if let Some(task) = on.task() {
        let linked = ws.write(&who, move |tx| task_links::add(tx, task, target, "")).await;
        if let Err(error) = linked {
            // The item is saved even if the task has too many links.
            tracing::debug!(%error, "a file that is kept as knowledge is not linked to its task");
        }
    }
    Ok(saved(&app, &ws, &hx, (&name, id)))
}

/// Saves a file of a message as knowledge, if this person may see the conversation.
pub(super) async fn of_message(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(message, n): Path2<InputId, usize>,
) -> Result<Response, PageError> {
    let file = ws
        .read(|snap| talk::attachment(snap, (message, n), who.account, who.role))?
        .ok_or_else(|| PageError::not_found("The file"))?;
    let id = kept(&ws, &who, (&file.name, file.blob, file.len)).await?;
    Ok(saved(&app, &ws, &hx, (&file.name, id)))
}

fn saved(app: &App, ws: &Ws, hx: &Hx, (name, id): (&str, KnowledgeId)) -> Response {
    let words = Flash::ok(format!("Saved “{name}” to knowledge"));
    flash::say(app, words, hx.go_to(&ws.url(&format!("knowledge/{id}"))))
}

/// Creates an item from a stored blob.
async fn kept(
    ws: &Ws,
    who: &Person,
    (name, blob, size): (&str, BlobId, u64),
) -> Result<KnowledgeId, KnowledgeError> {
    let own = name.to_owned();
    let arrived = ws
        .read_blocking(move |ws| {
            let mut head = Vec::new();
            let open = ws.blobs.open_blob(blob).map_err(|e| KnowledgeError::disk(&e))?;
            open.take(HEAD).read_to_end(&mut head).map_err(|e| KnowledgeError::disk(&e))?;
            let kind = Kind::of(&head);
            Ok::<_, KnowledgeError>(Arrived { name: own, blob, size, kind })
        })
        .await?;
    let made = take(ws, who, (vec![arrived], None), Once::without_key()).await?;
    made.first().copied().ok_or_else(|| KnowledgeError::no("file", name))
}
