//! Export of a workspace to one file in the background. The user may leave and download the finished file later. A
//! file is kept for one day.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;

use app::jobs::{JobState, JobWatch, UnderWay};
use app::{App, Who as _, Ws};
use backup::BackupError;
use features::workspace::rules;
use kernel::{Actor, Can, Cause, ProblemKind, Timestamp};
use store::verify::Progress;
use store::{StoreError, WriteTx};
use web::error::{ApiError, Failure, PageError};
use web::extract::Json;
use web::form::sentence;
use web::format;
use web::html;
use web::hx::Hx;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::portable::export;
use super::transfer::ZSTD;

/// Kind of the job.
const EXPORT: &str = "export";
/// How long a file is kept.
const LIFE: SignedDuration = SignedDuration::from_hours(24);

#[must_use]
pub fn pages() -> Routes {
    Routes::new()
        .get("/settings/export", show.needs(Can::Admin))
        .get("/settings/export/state", show_state.needs(Can::Admin))
        .get("/settings/export/file", download_page.needs(Can::Admin))
        .post("/settings/export", begin_page.needs(Can::Admin).also_closed().proved())
}

#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .get(
            "/export/state",
            state
                .needs(Can::Admin)
                .doc(|| Doc::new("Progress of this workspace's export").returns::<ExportView>()),
        )
        .get(
            "/export/file",
            download.needs(Can::Admin).doc(|| Doc::new("The exported file").media(ZSTD)),
        )
        .post(
            "/export",
            begin.needs(Can::Admin).also_closed().proved().doc(|| {
                Doc::new("Start exporting this workspace to one portable file (docs/export.md)")
                    .no_key("a second export at the same time is refused")
                    .returns::<ExportView>()
                    .status(202)
            }),
        )
}

/// The folder of a workspace's export. The next start removes what a killed process left in it.
fn folder(ws: &Ws) -> PathBuf {
    ws.app.config.data.join("backups").join(format!("export-file-{}", ws.id))
}

fn file(ws: &Ws) -> PathBuf {
    folder(ws).join("workspace.tar.zst")
}

/// Reports the number of written bytes and stops when the job is cancelled.
struct Told<'w> {
    out: File,
    watch: &'w JobWatch,
    bytes: u64,
}

impl Write for Told<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let progress = Progress { what: "bytes written", done: self.bytes, total: 0 };
        if self.watch.tell(progress).is_break() {
            return Err(io::Error::other("it was cancelled"));
        }
        let written = self.out.write(part)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[derive(Serialize, Deserialize)]
struct Made {
    bytes: u64,
    #[serde(default)]
    left_out: Vec<String>,
}

/// Records the export in the audit before any data leaves.
pub(super) async fn put_on_record(ws: &Ws, (by, cause): (Actor, Cause)) -> Result<(), StoreError> {
    let note = |tx: &mut WriteTx<'_>| {
        rules::note_export(tx);
        Ok(())
    };
    ws.store.write(by, cause, note).await
}

/// Starts an export that replaces the previous file.
fn begin_export(ws: &Ws) -> Result<(), UnderWay> {
    let own = ws.clone();
    ws.app.begin_job(&ws.slug, EXPORT, move |watch| {
        let failed = |error: BackupError| StoreError::Failed(error.to_string());
        let made = make(&own, watch).map_err(failed);
        if made.is_err() {
            // ok: the first error counts, and the next start or export clears the folder.
            let _ = fs::remove_dir_all(folder(&own));
        }
        made
    })
}

fn make(ws: &Ws, watch: &JobWatch) -> Result<Made, BackupError> {
    let (folder, whole) = (folder(ws), file(ws));
    fs::create_dir_all(&folder).map_err(BackupError::disk(&folder))?;
    let part = folder.join("part");
    let out = File::create(&part).map_err(BackupError::disk(&part))?;
    let mut report = Told { out, watch, bytes: 0 };
    let portable = export(ws, &mut report, &folder)?;
    report.out.sync_all().map_err(BackupError::disk(&part))?;
    fs::rename(&part, &whole).map_err(BackupError::disk(&whole))?;
    Ok(Made { bytes: report.bytes, left_out: portable.left_out })
}

/// Deletes files older than a day, and those of removed workspaces.
pub fn sweep(app: &App) {
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in all.iter().filter(|ws| folder(ws).exists()) {
        let ended = app.jobs.state(&ws.slug, EXPORT).map(|state| state.ended);
        let kept = match ended {
            Some(None) => true,
            Some(Some(at)) => app.clock.now() < at + LIFE,
            None => false,
        };
        if !kept && let Err(error) = fs::remove_dir_all(folder(ws)) {
            tracing::warn!(workspace = ws.slug, %error, "an exported file could not be removed");
        }
    }
    let here: Vec<PathBuf> = all.iter().map(folder).collect();
    // ok: without the folder, there is nothing to delete.
    let entries = fs::read_dir(app.config.data.join("backups")).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = name.starts_with("export-file-") && !here.contains(&path);
        if is_left && let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(%error, "{} could not be removed", path.display());
        }
    }
}

/// How far it has come.
#[derive(Serialize, JsonSchema)]
struct ExportView {
    /// Whether the file is being made.
    running: bool,
    /// How many bytes were written so far, or the file has.
    bytes: u64,
    /// Since when the file is there; nothing when there is none.
    #[schemars(with = "Option<String>")]
    made_at: Option<Timestamp>,
    /// What is not in it: what never is, and files that are lost.
    left_out: Vec<String>,
    /// Why there is none, when it could not be made.
    error: Option<String>,
}

impl ExportView {
    fn of(ws: &Ws) -> Self {
        let state: Option<JobState> = ws.app.jobs.state(&ws.slug, EXPORT);
        let made = state.as_ref().and_then(|state| state.result.clone());
        let made = made.and_then(|made| serde_json::from_value::<Made>(made).ok());
        let made = made.filter(|_| file(ws).exists());
        let ended = state.as_ref().and_then(|state| state.ended);
        Self {
            running: state.as_ref().is_some_and(|state| state.ended.is_none()),
            bytes: made
                .as_ref()
                .map_or(state.as_ref().map_or(0, |state| state.done), |made| made.bytes),
            made_at: ended.filter(|_| made.is_some()),
            left_out: made.map(|made| made.left_out).unwrap_or_default(),
            error: state.and_then(|state| state.error),
        }
    }
}

async fn state(ws: Ws) -> Json<ExportView> {
    Json(ExportView::of(&ws))
}

async fn begin(ws: Ws, who: Person) -> Result<Response, ApiError> {
    put_on_record(&ws, (who.actor(), who.cause())).await?;
    begin_export(&ws)?;
    Ok((StatusCode::ACCEPTED, Json(ExportView::of(&ws))).into_response())
}

/// Responds with the file, if there is one.
async fn ready(ws: &Ws) -> Result<Response, Failure> {
    let none = || {
        let text = "there is no file to download; start an export first and wait until it is \
                    complete";
        Failure::new(ProblemKind::NotFound, "no_export", text)
    };
    let view = ExportView::of(ws);
    let at = view.made_at.ok_or_else(none)?;
    let whole = tokio::fs::File::open(file(ws)).await.map_err(|_| none())?;
    let day = at.strftime("%Y-%m-%d");
    let name = format!("attachment; filename=\"{}-{day}.tar.zst\"", ws.slug);
    let headers = [
        (CONTENT_TYPE, ZSTD.to_owned()),
        (CONTENT_LENGTH, view.bytes.to_string()),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((headers, axum::body::Body::from_stream(ReaderStream::new(whole))).into_response())
}

async fn download(ws: Ws) -> Result<Response, ApiError> {
    ready(&ws).await.map_err(ApiError)
}

async fn download_page(ws: Ws) -> Result<Response, PageError> {
    ready(&ws).await.map_err(PageError)
}

/// State for the page. The region refreshes itself while the export is running.
struct View {
    url: String,
    running: bool,
    written: String,
    made: Option<RelTime>,
    size: String,
    left_out: Vec<String>,
    error: String,
}

impl View {
    fn of(ws: &Ws, who: &Person) -> Self {
        let now = ExportView::of(ws);
        let zone = who.time_zone();
        Self {
            url: ws.url("settings/export"),
            running: now.running,
            written: format::size(now.bytes),
            made: now.made_at.map(|at| RelTime::new(at, ws.app.clock.now(), &zone)),
            size: format::size(now.bytes),
            left_out: now.left_out,
            error: now.error.map(|error| sentence(&error)).unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "backups/export.html")]
struct Page {
    shell: Shell,
    here: &'static str,
    view: View,
}

#[derive(Template)]
#[template(path = "backups/_export.html")]
struct Part {
    view: View,
}

async fn show(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&Page { shell, here: "backups", view: View::of(&ws, &who) })
}

async fn show_state(ws: Ws, who: Person) -> Result<Response, PageError> {
    html::fragment(&Part { view: View::of(&ws, &who) })
}

async fn begin_page(ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    put_on_record(&ws, (who.actor(), who.cause())).await?;
    begin_export(&ws)?;
    Ok(hx.go_to(&ws.url("settings/export")))
}
