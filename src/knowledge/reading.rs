//! Extracts the text of files, one file at a time per process, in a worker per workspace.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use app::Ws;
use extract::encoding::{self, EncodingError, Hint};
use extract::{Extracted, Kind, Limits, Refused, Source, State};
use kernel::key::decode;
use kernel::{Actor, Cause, Part};
use store::feed::Op;
use store::{Range, ReadExt as _, StoreError};
use tokio::sync::Semaphore;

use crate::error::KnowledgeError;
use crate::model::{ITEMS, Item, KnowledgeId, LETTERS, READING_WAITS, Reading, ReadingState, Text};
use crate::passages::PAGE_END;
use crate::{queries, rules};

/// Actor and cause of the worker's writes.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Delay after a store or disk error.
const REFUSED: Duration = Duration::from_secs(5);
/// Feed entries per read.
const STEP: usize = 500;
/// Bytes of a file that are decoded to validate an encoding.
const TRIED: usize = 1 << 20;
/// One file at a time for all workspaces, since each may need much memory.
static TURN: Semaphore = Semaphore::const_new(1);

/// Starts the worker of a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("file reading", |ws| async move { keep_up(&ws).await });
}

async fn keep_up(ws: &Ws) {
    let halt = ws.halt();
    let mut feed = ws.store.watch();
    let mut seen = None;
    loop {
        // Read before the step, so that changes during it cause another step.
        let head = *feed.borrow_and_update();
        match step(ws, &mut seen, head).await {
            // A stop waits for one file, not for all of them.
            Ok(true) if halt.is_cancelled() => return,
            Ok(true) => continue,
            Ok(false) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "files of {} have to wait to be read", ws.slug);
                tokio::select! {
                    () = tokio::time::sleep(REFUSED) => continue,
                    () = halt.cancelled() => return,
                }
            }
        }
        tokio::select! {
            changed = feed.changed() => if changed.is_err() { return },
            () = halt.cancelled() => return,
        }
    }
}

/// Finds files without extracted text and reads one file. Returns whether there may be more work. `seen` is the feed
/// position processed so far.
async fn step(ws: &Ws, seen: &mut Option<u64>, head: u64) -> Result<bool, StoreError> {
    if *seen != Some(head) {
        let (come, upto) = match *seen {
            Some(from) => come(ws, from).map(|(ids, upto)| (Some(ids), upto))?,
            None => (None, None),
        };
        // Most changes are unrelated and need no blocking thread.
        if come.as_ref().is_none_or(|ids| !ids.is_empty()) {
            let unread = ws.read_blocking(move |ws| unread(ws, come)).await?;
            if !unread.is_empty() {
                ws.write(&BY, move |tx| rules::read_anew(tx, &unread)).await?;
            }
        }
        *seen = Some(upto.unwrap_or(head));
    }
    Ok(next(ws).await? || seen.is_some_and(|seen| seen < head))
}

/// Of these items, or of all, those whose file is unread or was read in another encoding than the selected one.
fn unread(ws: &Ws, ids: Option<Vec<KnowledgeId>>) -> Result<Vec<KnowledgeId>, StoreError> {
    ws.read(|snap| {
        let items: Vec<Item> = match &ids {
            Some(ids) => ids
                .iter()
                .filter_map(|id| snap.get(*id).transpose())
                .collect::<Result<_, StoreError>>()?,
            None => snap.list(&Range::all())?,
        };
        let mut found = Vec::new();
        for item in items {
            if item.file.is_some() && rules::is_unread(&item, snap.get(item.id)?.as_ref()) {
                found.push(item.id);
            }
        }
        Ok(found)
    })
}

/// Items that were created or changed after a feed position, and the position reached.
fn come(ws: &Ws, from: u64) -> Result<(Vec<KnowledgeId>, Option<u64>), StoreError> {
    let entries = ws.store.entries_after(from, STEP)?;
    let changes = entries.iter().flat_map(|entry| &entry.changes);
    let come = changes.filter(|one| one.table == ITEMS.number && one.op != Op::Delete);
    let ids = come.filter_map(|one| decode(&one.key)).collect();
    Ok((ids, entries.last().map(|last| last.seq)))
}

/// Reads one file; returns whether there was one.
async fn next(ws: &Ws) -> Result<bool, StoreError> {
    let waiting = |snap: &store::Snap<'_>| {
        snap.ids::<Reading>(READING_WAITS, &Range::all().limit(1)).map(|ids| ids.first().copied())
    };
    let Some(id) = ws.read(waiting)? else { return Ok(false) };
    let Ok(_turn) = TURN.acquire().await else { return Ok(false) };
    if !ws.write(&BY, move |tx| rules::begin_reading(tx, id)).await? {
        return Ok(true);
    }
    let read = ws.read_blocking(move |ws| {
        let read = catch_unwind(AssertUnwindSafe(|| read(ws, id)));
        Ok::<_, StoreError>(read.unwrap_or_else(|panic| {
            let words = kernel::text::panic_words(&*panic);
            tracing::error!(item = %id, "the words in a file could not be kept: {words}");
            let why = "HQ couldn’t process this file’s text.".to_owned();
            let blank = Reading::new(id, ws.app.clock.now());
            Some(Reading { state: ReadingState::Failed(why), ..blank })
        }))
    });
    let read = read.await?;
    if let Some(read) = read {
        ws.write(&BY, move |tx| rules::read_of(tx, read)).await?;
    }
    Ok(true)
}

/// Extracts the file of an item; `None` if the item is gone or the disk fails for now.
fn read(ws: &Ws, id: KnowledgeId) -> Option<Reading> {
    let item: Option<Item> = ws.read(|snap| snap.get(id)).unwrap_or_else(|error: StoreError| {
        tracing::warn!(%error, item = %id, "a file is not read");
        None
    });
    let item = item?;
    item.file.as_ref()?;
    let chosen = item.encoding.clone();
    let blank = Reading { chosen, ..Reading::new(id, ws.app.clock.now()) };
    let failed = |why: String| Some(Reading { state: ReadingState::Failed(why), ..blank.clone() });
    let found = match bytes_of(ws, &item) {
        Ok((bytes, name)) => read_bytes(&bytes, (name, item.encoding.as_deref())),
        Err(KnowledgeError::Refused(why)) => return failed(why),
        Err(error) => return failed(web::form::sentence(&error.to_string())),
    };
    match found {
        // An unsupported file may contain text, so the reason is reported instead of an empty text.
        Ok(Extracted { kind: Kind::Other, notes, .. }) if !notes.is_empty() => {
            failed(web::form::sentence(&notes.join("; ")))
        }
        Ok(found) => match Text::keep(&ws.blobs, joined(&found)) {
            Ok(text) => Some(Reading {
                state: state_of(&found),
                text,
                pages: found.pages,
                cut: found.state == State::Cut,
                media: media_of(&found),
                ..blank
            }),
            Err(error) => failed(format!("Couldn’t save the text: {error}.")),
        },
        // Another encoding may work.
        Err(error @ (Refused::Letters | Refused::Unfit(_))) => {
            let read = failed(web::form::sentence(&error.to_string()));
            read.map(|read| Reading { media: LETTERS.to_owned(), ..read })
        }
        Err(error) => failed(web::form::sentence(&error.to_string())),
    }
}

fn state_of(found: &Extracted) -> ReadingState {
    match (&found.missing, found.state) {
        (Some(why), _) => ReadingState::Partly(web::form::sentence(why)),
        (None, State::NoText) => ReadingState::NoText,
        (None, State::Text | State::Cut) => ReadingState::Done,
    }
}

/// Extracts text from bytes, in the selected encoding.
fn read_bytes(bytes: &[u8], (name, encoding): (&str, Option<&str>)) -> Result<Extracted, Refused> {
    extract::apart(bytes, Source { name, encoding }, &Limits::default())
}

/// The bytes of an item's file, and its name.
fn bytes_of<'i>(ws: &Ws, item: &'i Item) -> Result<(Vec<u8>, &'i str), KnowledgeError> {
    let most = Limits::default().input as u64;
    let file = item.file.as_ref().ok_or_else(|| KnowledgeError::no("file", &item.title))?;
    if most < file.size {
        return Err(refused(&Refused::TooLarge));
    }
    let bytes = ws.blobs.get(file.blob, most).map_err(|error| KnowledgeError::disk(&error))?;
    Ok((bytes, &file.name))
}

/// Validates an encoding for the file of an item. `None` (for an empty text) detects it.
///
/// # Errors
/// The encoding is unknown, or the file is not valid in it.
pub(crate) async fn chosen(
    ws: &Ws,
    id: KnowledgeId,
    name: &str,
) -> Result<Option<String>, KnowledgeError> {
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Ok(None);
    }
    let wrong = |error: EncodingError| {
        KnowledgeError::field("encoding", web::form::sentence(&error.to_string()))
    };
    let label = encoding::known(&name).ok_or_else(|| wrong(EncodingError::NoSuch(name)))?;
    ws.read_blocking(move |ws| {
        let item: Item = ws.read(|snap| queries::item_by_id(snap, id))?;
        // The rule checks whether the file is a text.
        if item.file.is_some() {
            let (bytes, _) = bytes_of(ws, &item)?;
            let beginning = &bytes[..bytes.len().min(TRIED)];
            let hint = Hint { chosen: Some(label), is_cut: true, ..Hint::default() };
            encoding::decode(beginning, hint).map_err(wrong)?;
        }
        Ok(Some(label.to_owned()))
    })
    .await
}

/// The media type with charset, in HTTP syntax.
fn media_of(found: &Extracted) -> String {
    match (media(found.kind), &found.encoding) {
        ("", _) => String::new(),
        (media, Some(encoding)) => format!("{media}; charset={encoding}"),
        (media, None) => media.to_owned(),
    }
}

/// The media type of a kind; empty if the file's first bytes are more specific.
fn media(kind: Kind) -> &'static str {
    match kind {
        Kind::Pdf => "application/pdf",
        Kind::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Kind::Pptx => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        Kind::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Kind::Xls => "application/vnd.ms-excel",
        Kind::Odt => "application/vnd.oasis.opendocument.text",
        Kind::Odp => "application/vnd.oasis.opendocument.presentation",
        Kind::Ods => "application/vnd.oasis.opendocument.spreadsheet",
        Kind::Epub => "application/epub+zip",
        Kind::Mail => "message/rfc822",
        Kind::Html => "text/html",
        Kind::Markdown => "text/markdown",
        Kind::Csv => "text/csv",
        Kind::Json => "application/json",
        Kind::Text => "text/plain",
        Kind::Image | Kind::Other => "",
    }
}

fn refused(error: &Refused) -> KnowledgeError {
    KnowledgeError::Refused(web::form::sentence(&error.to_string()))
}

/// Joins the parts to one text with page separators; a page without text is empty.
fn joined(found: &Extracted) -> String {
    let mut text = String::new();
    let mut page = 1;
    for part in &found.parts {
        if let Some(at) = part.page {
            // Limits empty pages in a file with wrong page numbers.
            while page < at.min(20_000) {
                text.push(PAGE_END);
                page += 1;
            }
        }
        if !text.is_empty() && !text.ends_with(PAGE_END) {
            text.push_str("\n\n");
        }
        text.push_str(&part.text.replace(PAGE_END, " "));
    }
    text
}

#[cfg(test)]
mod tests {
    use extract::{Extracted, Kind, Part, State};

    #[test]
    fn each_page_stands_in_its_place() {
        let part = |page, text: &str| Part { page, text: text.to_owned() };
        let found = Extracted {
            kind: Kind::Pdf,
            title: None,
            parts: vec![part(Some(1), "one"), part(Some(3), "three"), part(Some(3), "more")],
            pages: Some(3),
            state: State::Text,
            encoding: None,
            notes: Vec::new(),
            missing: None,
        };
        assert_eq!(super::joined(&found), "one\u{c}\u{c}three\n\nmore");
    }

    #[test]
    fn damage_is_told_also_where_no_words_were_found() {
        let pdf = include_bytes!("../extract/tests/files/cut-off.pdf");
        let found = extract::extract(pdf, "a.pdf", &extract::Limits::default()).expect("a page");
        assert_eq!(
            super::state_of(&found),
            super::ReadingState::Partly("Damaged: only the beginning was read.".to_owned())
        );
    }
}
