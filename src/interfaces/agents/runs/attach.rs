//! Attachments of a message, with media types detected from their bytes.

use app::Ws;
use kernel::{InputId, ProblemKind};
use web::error::{Failure, PageError};
use web::file::Kind;
use web::session::Person;
use web::upload::Arrived;

use features::runs::model::{Attachment, MAX_ATTACHED_BYTES, media_type};
use features::runs::queries::talk;

/// Uploaded files as attachments of a message.
///
/// # Errors
/// A stored file cannot be read.
pub async fn all(ws: &Ws, files: Vec<Arrived>) -> Result<Vec<Attachment>, PageError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let ws = ws.clone();
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<Attachment>> {
        let each = files.into_iter().map(|Arrived { name, blob, size, kind }| {
            let media_type = match kind {
                Kind::Other => media_type(&name, &ws.blobs.get(blob, MAX_ATTACHED_BYTES)?),
                kind => kind.media(),
            };
            Ok(Attachment { name, media_type: media_type.to_owned(), blob, len: size })
        });
        each.collect()
    });
    let failed = |error: &dyn std::fmt::Display| {
        PageError(Failure::internal(format!("a file of a message: {error}")))
    };
    read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

/// Stores files of an API request as attachments.
///
/// # Errors
/// The files are too large, or the disk rejects them.
pub async fn put(ws: &Ws, files: Vec<(String, Vec<u8>)>) -> Result<Vec<Attachment>, PageError> {
    let bytes: u64 = files.iter().map(|(_, data)| data.len() as u64).sum();
    if MAX_ATTACHED_BYTES < bytes {
        let text = format!(
            "the files of a message can have at most {} \
            MB",
            MAX_ATTACHED_BYTES >> 20
        );
        return Err(PageError(Failure::new(ProblemKind::TooLarge, "files_too_large", text)));
    }
    let ws = ws.clone();
    let put = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<Attachment>> {
        files.into_iter().map(|(name, data)| Attachment::put(&ws.blobs, name, &data)).collect()
    });
    match put.await {
        Ok(Ok(files)) => Ok(files),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::StorageFull => {
            let text = "the disk is nearly full, so the files weren't saved; free some space";
            Err(PageError(Failure::new(ProblemKind::Full, "storage_full", text)))
        }
        Ok(Err(error)) => Err(PageError(Failure::internal(format!("files: {error}")))),
        Err(error) => Err(PageError(Failure::internal(format!("files: {error}")))),
    }
}

/// A file of a message, if this person may see the conversation.
///
/// # Errors
/// Not found.
pub fn of_message(
    ws: &Ws,
    who: &Person,
    (message, n): (InputId, usize),
) -> Result<Attachment, PageError> {
    let found = ws.read(|snap| talk::attachment(snap, (message, n), who.account, who.role))?;
    found.ok_or_else(|| PageError::not_found("This file"))
}
