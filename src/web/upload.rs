//! Uploads by people and programs. Files are streamed into the blob store within a size limit. A request whose
//! `Content-Length` exceeds the limit is rejected before its body is read.

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures_util::StreamExt as _;

use crate::appearance;
use crate::error::{Failure, PageError};
use crate::file::{Kind, TELLING, clean_name};
use crate::multipart::{FormError, Multipart};
use app::{Ws, blocking};
use kernel::ProblemKind;
use store::BlobId;
use store::blob::Upload;

/// Media type of a body that is a file.
pub const BYTES: &str = "application/octet-stream";
/// Write buffer size in bytes.
const PIECE: usize = 256 * 1024;
/// Maximum number of bytes of a rejected body that are read and discarded.
const DRAINED: usize = 4 * 1024 * 1024;
/// Maximum size of a form without its files, in bytes.
const FRAME: u64 = 256 * 1024;
/// What a field counts besides its name and value, in bytes.
const FIELD: usize = 32;
/// Maximum number of bytes of a rejected file that are read and discarded to reach the fields after it.
const SKIPPED: usize = 64 * 1024 * 1024;

/// A received file on disk. No record refers to it yet.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Cleaned file name.
    pub name: String,
    /// Content.
    pub blob: BlobId,
    /// Length in bytes.
    pub size: u64,
    /// Type determined from the content.
    pub kind: Kind,
}

/// Receives a file that is the whole body.
///
/// # Errors
/// When the file is larger than `limit` bytes, the disk is full, or the body is cut off.
pub async fn body(
    ws: &Ws,
    (headers, body): (&HeaderMap, Body),
    name: &str,
    limit: u64,
) -> Result<Arrived, PageError> {
    let mut body = body.into_data_stream();
    let arrived = match refuse_early(headers, limit, limit) {
        Ok(()) => whole(ws, &mut body, name, limit).await,
        Err(error) => Err(error),
    };
    if arrived.is_err() {
        drain(&mut body).await;
    }
    arrived
}

async fn whole(
    ws: &Ws,
    body: &mut BodyDataStream,
    name: &str,
    limit: u64,
) -> Result<Arrived, PageError> {
    let mut arriving = Arriving::begin(ws, limit).await?;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| cut_off(&error.to_string()))?;
        arriving.take(&piece).await?;
    }
    arriving.finish(name).await
}

/// Reads and discards a limited rest of the body, so that a client that is still sending gets the response instead of
/// a connection reset.
async fn drain(body: &mut BodyDataStream) {
    let mut left = DRAINED;
    while let Some(Ok(piece)) = body.next().await {
        match left.checked_sub(piece.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// Names and values of a form's non-file fields.
pub type Fields = Vec<(String, String)>;

/// Receives the files of a form, in order.
pub async fn form(
    ws: &Ws,
    sent: (&HeaderMap, Body),
    most: usize,
    limit: u64,
) -> Result<Vec<Arrived>, PageError> {
    Ok(form_with_fields(ws, sent, most, limit).await?.1)
}

/// Receives the fields and files of a form, in order. An empty file input yields no file.
///
/// # Errors
/// As [`body`], and when the form is malformed or has more than `most` files.
pub async fn form_with_fields(
    ws: &Ws,
    (headers, body): (&HeaderMap, Body),
    most: usize,
    limit: u64,
) -> Result<(Fields, Vec<Arrived>), PageError> {
    let files = u64::try_from(most).unwrap_or(u64::MAX);
    let most_bytes = limit.saturating_mul(files).saturating_add(FRAME);
    let mut form = Multipart::new(headers, body).map_err(refused)?;
    let arrived = match refuse_early(headers, most_bytes, limit) {
        Ok(()) => parts_of(ws, &mut form, most, limit).await,
        Err(error) => Err(error),
    };
    if arrived.is_err() {
        drain(form.rest_of_body()).await;
    }
    arrived
}

async fn parts_of(
    ws: &Ws,
    form: &mut Multipart,
    most: usize,
    limit: u64,
) -> Result<(Fields, Vec<Arrived>), PageError> {
    let (mut fields, mut all) = (Vec::new(), Vec::new());
    let mut room = usize::try_from(FRAME).unwrap_or(usize::MAX);
    while let Some(part) = form.part().await.map_err(refused)? {
        let Some(name) = part.file else {
            field(form, part.name, &mut room, &mut fields).await?;
            continue;
        };
        // An empty file input sends a file without a name.
        if name.is_empty() {
            continue;
        }
        if all.len() >= most {
            let text =
                format!("you can upload at most {most} files at once; upload the rest afterwards");
            return Err(too_many(text));
        }
        all.push(file_of(ws, form, &name, limit).await?);
    }
    Ok((fields, all))
}

/// The file of a form; the failure of one that could not be saved.
pub type FormFile = Option<Result<Arrived, Failure>>;

/// Receives the fields of a form and its file. A file that is too large, or for which the disk has no room, does
/// not reject the form, so that it can be redisplayed with its fields.
///
/// # Errors
/// When the form is malformed or cut off, or has several files.
pub async fn form_with_file(
    ws: &Ws,
    (headers, body): (&HeaderMap, Body),
    limit: u64,
) -> Result<(Fields, FormFile), PageError> {
    let mut form = Multipart::new(headers, body).map_err(refused)?;
    let arrived = fields_and_file(ws, &mut form, limit).await;
    if arrived.is_err() {
        drain(form.rest_of_body()).await;
    }
    arrived
}

async fn fields_and_file(
    ws: &Ws,
    form: &mut Multipart,
    limit: u64,
) -> Result<(Fields, FormFile), PageError> {
    let (mut fields, mut file) = (Vec::new(), None);
    let mut room = usize::try_from(FRAME).unwrap_or(usize::MAX);
    while let Some(part) = form.part().await.map_err(refused)? {
        let Some(name) = part.file else {
            field(form, part.name, &mut room, &mut fields).await?;
            continue;
        };
        // An empty file input sends a file without a name.
        if name.is_empty() {
            continue;
        }
        if file.is_some() {
            return Err(too_many("this form takes one file; choose only one".to_owned()));
        }
        match file_of(ws, form, &name, limit).await {
            Ok(arrived) => file = Some(Ok(arrived)),
            Err(PageError(failure))
                if matches!(failure.kind, ProblemKind::TooLarge | ProblemKind::Full) =>
            {
                file = Some(Err(failure));
                if !skip(form).await? {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok((fields, file))
}

/// Receives the current part as a file.
async fn file_of(
    ws: &Ws,
    form: &mut Multipart,
    name: &str,
    limit: u64,
) -> Result<Arrived, PageError> {
    let mut arriving = Arriving::begin(ws, limit).await?;
    while let Some(piece) = form.piece().await.map_err(refused)? {
        arriving.take(&piece).await?;
    }
    arriving.finish(name).await
}

/// Discards the rest of the current part. Returns `false` if it is too long for that.
async fn skip(form: &mut Multipart) -> Result<bool, PageError> {
    let mut left = SKIPPED;
    while let Some(piece) = form.piece().await.map_err(refused)? {
        match left.checked_sub(piece.len()) {
            Some(less) => left = less,
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Reads a non-file field. `room` is the remaining size of all such fields.
async fn field(
    form: &mut Multipart,
    name: String,
    room: &mut usize,
    fields: &mut Fields,
) -> Result<(), PageError> {
    take_room(room, name.len() + FIELD)?;
    let mut value = Vec::new();
    while let Some(piece) = form.piece().await.map_err(refused)? {
        take_room(room, piece.len())?;
        value.extend_from_slice(&piece);
    }
    let value = String::from_utf8_lossy(&value).into_owned();
    if !appearance::is_drawn(&name, &value) {
        fields.push((name, value));
    }
    Ok(())
}

fn take_room(room: &mut usize, size: usize) -> Result<(), PageError> {
    *room = room.checked_sub(size).ok_or_else(|| {
        let text = format!("text can have at most {} KB", FRAME >> 10);
        PageError(Failure::new(ProblemKind::TooLarge, "bad_form", text))
    })?;
    Ok(())
}

/// Rejects a request whose `Content-Length` exceeds the limit.
fn refuse_early(headers: &HeaderMap, most: u64, limit: u64) -> Result<(), PageError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(len) if most < len => Err(too_large(limit)),
        _ => Ok(()),
    }
}

/// A file that is being received. Each chunk is written on a blocking thread; a slow client does not occupy one.
struct Arriving {
    ws: Ws,
    upload: Option<Upload>,
    gathered: Vec<u8>,
    head: Vec<u8>,
    limit: u64,
}

impl Arriving {
    async fn begin(ws: &Ws, limit: u64) -> Result<Self, PageError> {
        let own = ws.clone();
        let upload = blocking(move || own.blobs.begin(limit), ended_early).await?;
        let upload = Some(upload.map_err(|error| failed(&error, limit))?);
        Ok(Self { ws: ws.clone(), upload, gathered: Vec::new(), head: Vec::new(), limit })
    }

    async fn take(&mut self, piece: &Bytes) -> Result<(), PageError> {
        let missing = TELLING.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..missing]);
        self.gathered.extend_from_slice(piece);
        if self.gathered.len() < PIECE { Ok(()) } else { self.write().await }
    }

    async fn write(&mut self) -> Result<(), PageError> {
        let (gathered, upload) = (std::mem::take(&mut self.gathered), self.upload.take());
        let Some(mut upload) = upload else { return Err(cut_off("it failed before")) };
        let take = move || {
            let done = upload.take(&gathered);
            (upload, done)
        };
        let (upload, done) = blocking(take, ended_early).await?;
        self.upload = Some(upload);
        done.map_err(|error| failed(&error, self.limit))
    }

    async fn finish(mut self, name: &str) -> Result<Arrived, PageError> {
        self.write().await?;
        let (ws, limit) = (self.ws, self.limit);
        let Some(upload) = self.upload else { return Err(cut_off("it failed before")) };
        let named = blocking(move || ws.blobs.finish(upload), ended_early).await?;
        let (blob, size) = named.map_err(|error| failed(&error, limit))?;
        Ok(Arrived { name: clean_name(name), blob, size, kind: Kind::of(&self.head) })
    }
}

fn ended_early(why: String) -> PageError {
    PageError(Failure::internal(format!("an upload: {why}")))
}

fn failed(error: &std::io::Error, limit: u64) -> PageError {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => too_large(limit),
        std::io::ErrorKind::StorageFull => {
            let text = "the disk is nearly full, so the file wasn't saved; free some space and \
                        upload it again";
            PageError(Failure::new(ProblemKind::Full, "storage_full", text))
        }
        _ => PageError(Failure::internal(format!("an upload: {error}"))),
    }
}

fn too_many(text: String) -> PageError {
    PageError(Failure::new(ProblemKind::Invalid, "too_many_files", text))
}

fn too_large(limit: u64) -> PageError {
    let text = format!("a file can have at most {} MB; this one wasn't saved", limit >> 20);
    PageError(Failure::new(ProblemKind::TooLarge, "file_too_large", text))
}

fn cut_off(why: &str) -> PageError {
    let text = format!("the upload was incomplete: {why}; upload the file again");
    PageError(Failure::new(ProblemKind::Invalid, "upload_cut_off", text))
}

fn refused(error: FormError) -> PageError {
    match error {
        FormError::CutOff(error) => cut_off(&error.to_string()),
        error => PageError(Failure::new(ProblemKind::Invalid, "bad_form", error.to_string())),
    }
}
