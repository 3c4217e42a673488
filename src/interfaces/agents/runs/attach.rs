//! Attachments of a message, with media types detected from their bytes.

use app::Ws;
use kernel::{InputId, ProblemKind};
use web::error::{Failure, PageError};
use web::file::Kind;
use web::session::Person;
use web::upload::Arrived;

use features::runs::model::{Attachment, MAX_ATTACHED_BYTES};
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
                Kind::Other => of_bytes(&name, &ws.blobs.get(blob, MAX_ATTACHED_BYTES)?),
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
        let each = files.into_iter().map(|(name, data)| {
            let media_type = match Kind::of(&data) {
                Kind::Other => of_bytes(&name, &data),
                kind => kind.media(),
            };
            let (blob, media_type) = (ws.blobs.put(&data)?, media_type.to_owned());
            Ok(Attachment { name, media_type, blob, len: data.len() as u64 })
        });
        each.collect()
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

/// Media type of a file that is neither picture nor document: a kind of text, or unknown.
fn of_bytes(name: &str, bytes: &[u8]) -> &'static str {
    if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return Kind::Other.media();
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "csv" => "text/csv",
        "md" | "markdown" => "text/markdown",
        "htm" | "html" => "text/html",
        "json" => "application/json",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::of_bytes;

    #[test]
    fn what_a_file_is_its_bytes_say_and_of_text_its_name() {
        assert_eq!(of_bytes("a.csv", b"a,b"), "text/csv");
        assert_eq!(of_bytes("notes", "grün".as_bytes()), "text/plain");
        assert_eq!(of_bytes("a.csv", b"a\0b"), "application/octet-stream");
        assert_eq!(of_bytes("a.JSON", b"{}"), "application/json");
        assert_eq!(of_bytes("a.txt", &[0xff, 0xfe]), "application/octet-stream");
    }
}
