//! Scheduled backups: one per day, and a rehearsed restore per week. Also backup commands of the machine's owner,
//! over the socket or with the process stopped.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use app::App;
use backup::{Address, Progress, S3Keys};
use crypto::keyring::Secret;
use features::backups::job::{self, BackupRequest, Newness, Place};
use features::backups::model::{BackupRun, CachedBackup, Deed};
use features::backups::rules::{self, BackupsError};
use features::backups::{queries, telling};
use kernel::{Actor, Cause, FieldError, JobId, Part, Timestamp};
use net::message::Policy;
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::routes::{Needs, Routes};

use kernel::Can;

/// The longest sleep, so that a clock set forward and new settings are noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Marks backup jobs that the last process left unfinished as ended. Runs before new jobs can start.
pub async fn heed(app: &App) {
    let timer = Actor::System(Part::Timer);
    if let Err(error) = app.system.write(timer, Cause::Timer, rules::end_cut_off).await {
        tracing::warn!(%error, "what was cut off could not be noted");
    }
}

/// Runs until the process stops.
pub async fn run(app: App) {
    telling::tell(&app).await;
    loop {
        // Before the check, so that a move of the clock in between is not missed.
        let moved = app.clock_moved.notified();
        let (deed, next) = due(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "when a backup is due cannot be read");
            (None, None)
        });
        if let Some(deed) = deed {
            // The row contains the result, and the next check reads it.
            if let Err(error) = job::run(&app, BackupRequest::scheduled(deed)).await {
                tracing::error!(%error, "{} did not work", deed.noun());
            }
            // Prevents a busy loop if the store cannot record the result.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                () = app.stopping.cancelled() => return,
            }
        }
        // `None` if the due task is not possible yet: check again after the longest sleep.
        let left = next.map(|at| at.duration_since(app.clock.now()).max(SignedDuration::ZERO));
        let sleep = left.map_or(Ok(LONGEST_SLEEP), Duration::try_from);
        let sleep = sleep.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = moved => {}
            () = app.stopping.cancelled() => return,
        }
    }
}

/// The task that is due and possible now, and the time of the next task.
async fn due(app: &App) -> Result<(Option<Deed>, Option<Timestamp>), StoreError> {
    let (now, place) = (app.clock.now(), queries::usual_place(app)?);
    let (backup, drill) = app.system.read(|snap| {
        let settings = queries::settings(snap)?;
        let zone = queries::zone(app, &settings);
        let backup = queries::next_backup(snap, &settings, &zone, now)?;
        Ok::<_, StoreError>((backup, queries::next_drill(snap, &place, now)?))
    })?;
    let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let deed = if app.backups.busy().is_some() {
        None
    } else if is_due(backup) {
        Some(Deed::Backup)
    } else if is_due(drill) && lies_there(app).await? {
        Some(Deed::Drill)
    } else {
        None
    };
    let later = [backup, drill].into_iter().flatten().filter(|at| now < *at);
    Ok((deed, later.min()))
}

/// Whether there is a backup to rehearse. On a blocking thread, because the disk may be missing or slow.
async fn lies_there(app: &App) -> Result<bool, StoreError> {
    let own = app.clone();
    let looked = tokio::task::spawn_blocking(move || queries::lies_there(&own)).await;
    looked.unwrap_or_else(|error| Err(StoreError::Panicked(error.to_string())))
}

// ── On this machine ──

#[must_use]
pub fn local_routes() -> Routes {
    Routes::new()
        .get("/backups", list.needs(Can::Local))
        .post("/backups", begin.needs(Can::Local))
        .get("/backups/{id}", show.needs(Can::Local))
}

/// Error text for credentials that are given without a destination.
pub const KEYS_GO_WITH_TO: &str = "--passphrase-file and --credentials-file need --to; add it, \
    or omit them. Settings, Backups shows whether the configured place is encrypted, and which \
    passphrase opens it";

/// A backup command.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct BackupCommand {
    pub deed: Option<Deed>,
    /// Destination, if not the configured one.
    pub to: Option<String>,
    /// Passphrase of that destination.
    pub passphrase: Option<String>,
    /// Access key id and secret key of a bucket.
    pub keys: Option<(String, String)>,
    pub backup: Option<String>,
    /// Whether to accept the current content of the destination, even if another repository was there before.
    #[serde(default)]
    pub new_place: bool,
}

impl BackupCommand {
    /// The given destination, if any. Commands run as the owner of the machine, so a folder may be anywhere.
    ///
    /// # Errors
    /// When the address is invalid, or credentials are given without a destination.
    pub fn place(&self) -> Result<Option<Place>, BackupsError> {
        let Some(to) = &self.to else {
            // The settings contain the credentials of the configured destination; credentials given here would be
            // ignored.
            return match self.passphrase.is_some() || self.keys.is_some() {
                true => Err(BackupsError::Fields(vec![FieldError::new("to", KEYS_GO_WITH_TO)])),
                false => Ok(None),
            };
        };
        let mut address: Address = to.parse()?;
        if let Address::Folder(path) = &mut address {
            *path = std::path::absolute(&*path).unwrap_or(PathBuf::from(to));
        }
        let keys = self.keys.clone();
        Ok(Some(Place {
            address,
            keys: keys.map(|(id, secret)| S3Keys { id, secret: Secret::new(secret) }),
            passphrase: self.passphrase.clone().map(Secret::new),
            policy: Policy::Trusted,
        }))
    }

    /// Converts to a job request.
    pub fn wish(&self) -> Result<BackupRequest, BackupsError> {
        Ok(BackupRequest {
            place: self.place()?,
            backup: self.backup.clone(),
            newness: if self.new_place { Newness::Accepted } else { Newness::AsBefore },
            ..BackupRequest::commanded(self.deed.unwrap_or(Deed::Backup))
        })
    }
}

/// State of a backup job.
#[derive(Serialize, Deserialize)]
pub struct LocalRun {
    pub run: BackupRun,
    /// Progress, while the job is running.
    pub progress: Option<Progress>,
}

/// Available backups and recent jobs.
#[derive(Serialize, Deserialize)]
pub struct LocalList {
    /// Destination of backups.
    pub place: String,
    /// Available backups, newest first.
    pub backups: Vec<CachedBackup>,
    /// Number of backups at the destination that were not read yet.
    pub unread: usize,
    /// Recent jobs, newest first.
    pub runs: Vec<BackupRun>,
}

async fn begin(app: App, Json(wish): Json<BackupCommand>) -> Result<Response, ApiError> {
    let run = job::start(&app, wish.wish()?).await?;
    Ok((StatusCode::ACCEPTED, Json(LocalRun { run, progress: None })).into_response())
}

async fn show(app: App, Path(id): Path<JobId>) -> Result<Json<LocalRun>, ApiError> {
    let run = app.system.read(|snap| queries::run(snap, id))?.ok_or(BackupsError::NotFound)?;
    Ok(Json(LocalRun { run, progress: app.backups.busy().map(|busy| busy.meter.progress()) }))
}

/// Lists backups from the process's own records, without reading the destination.
async fn list(app: App) -> Result<Json<LocalList>, ApiError> {
    let (settings, backups, runs) = app.system.read(|snap| {
        let settings = queries::settings(snap)?;
        Ok::<_, StoreError>((settings, queries::kept(snap)?, queries::runs(snap, 20)?))
    })?;
    let place = queries::address(&app, &settings)?.to_string();
    let (backups, unread) = queries::lying(&app, &settings, backups);
    Ok(Json(LocalList { place, backups, unread, runs }))
}
