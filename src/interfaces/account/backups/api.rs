//! The backups API.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Who, Ws};
use kernel::{Can, JobId};
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::backups::job::{self, BackupRequest, Newness};
use features::backups::model::{
    BackupRun, BackupSettings, CachedBackup, Deed, Encryption, Outcome, PASSPHRASE, Reach,
    S3_SECRET, Schedule,
};
use features::backups::queries;
use features::backups::rules::{self, BackupsError, NewSecret, NewSettings};

const ONE_AT_A_TIME: &str = "only one runs at a time";

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/backups",
            list.needs(Can::Admin)
                .doc(|| Doc::new("The backups that exist, newest first").returns::<List>()),
        )
        .post(
            "/backups",
            begin.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Create or check a backup, clean up, or run a restore drill; \
                    /backups/runs/{id} follows it",
                )
                .body::<Begin>()
                .returns::<RunView>()
                .status(202)
                .no_key(ONE_AT_A_TIME)
            }),
        )
        .post(
            "/backups/{id}/forget",
            forget.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Give up a backup with an unreadable manifest, so that cleanup works \
                    again",
                )
                .returns::<RunView>()
                .status(202)
                .no_key(ONE_AT_A_TIME)
            }),
        )
        .get(
            "/backups/runs/{id}",
            show_run
                .needs(Can::Admin)
                .doc(|| Doc::new("Result or progress of a backup run").returns::<RunView>()),
        )
        .get(
            "/backups/settings",
            settings
                .needs(Can::Admin)
                .doc(|| Doc::new("Backup settings").returns::<SettingsView>()),
        )
        .put(
            "/backups/settings",
            set_settings.needs(Can::Admin).proved().doc(|| {
                Doc::new("Change backup settings").body::<SettingsBody>().returns::<SettingsView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct List {
    /// The place, without keys.
    place: String,
    items: Vec<KeptView>,
    /// How many more lie there that the next backup or check will list.
    unread: usize,
    /// Always null: there are no further pages.
    next: Option<String>,
    /// When the next one is made by itself.
    next_at: Option<String>,
    /// What went wrong last, if it was not mended since.
    trouble: Option<RunView>,
}

#[derive(Serialize, JsonSchema)]
struct KeptView {
    id: String,
    taken_at: String,
    bytes: u64,
    /// Bytes that it added to those before.
    new_bytes: u64,
    workspaces: Vec<String>,
    /// The version of HQ that made it.
    version: String,
    /// When every hash of it was found right last.
    verified_at: Option<String>,
    /// Workspaces that were on the list and are not in it: then it is incomplete.
    missing: Vec<String>,
    /// What the last check found wrong.
    fault: Option<String>,
    /// Whether its manifest cannot be read: until it is put aside, or mended, no piece of an old backup goes.
    unreadable: bool,
}

impl From<CachedBackup> for KeptView {
    fn from(kept: CachedBackup) -> Self {
        Self {
            missing: kept.missing(),
            fault: kept.damage().map(str::to_owned),
            unreadable: kept.is_unreadable(),
            id: kept.id,
            taken_at: kept.taken_at.to_string(),
            bytes: kept.bytes,
            new_bytes: kept.new_bytes,
            workspaces: kept.workspaces,
            version: kept.app,
            verified_at: kept.verified_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct RunView {
    id: JobId,
    deed: Deed,
    outcome: Outcome,
    started_at: String,
    ended_at: Option<String>,
    backup: Option<String>,
    bytes: u64,
    new_bytes: u64,
    note: Option<String>,
    /// The stable name of what went wrong; `backup_incomplete` for a backup that is there and lacks
    /// workspaces.
    code: Option<String>,
    /// 0 to 100, while it is at work.
    percent: Option<u8>,
    /// What is being done, while it is at work.
    phase: Option<String>,
}

impl RunView {
    fn of(app: &App, run: BackupRun) -> Self {
        let busy = app.backups.busy().filter(|_| run.outcome == Outcome::Running);
        let progress = busy.map(|busy| busy.meter.progress());
        Self {
            id: run.id,
            deed: run.deed,
            outcome: run.outcome,
            started_at: run.started_at.to_string(),
            ended_at: run.ended_at.map(|at| at.to_string()),
            backup: run.backup,
            bytes: run.bytes,
            new_bytes: run.new_bytes,
            note: run.note,
            code: run.code,
            percent: progress.map(|progress| progress.percent),
            phase: progress.map(|progress| progress.phase.label().to_owned()),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// `backup`, `verify`, `prune`, `drill` or `forget`.
    deed: Deed,
    /// Which backup to check, or the beginning of its name; the newest when it is left out. Which one to
    /// forget.
    #[serde(default)]
    backup: Option<String>,
    /// For a backup: what is at the place now is meant, although other backups were made there before.
    #[serde(default)]
    new_place: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    schedule: Schedule,
    /// `03:30`.
    time: String,
    /// IANA time zone; that of the first workspace when null.
    zone: Option<String>,
    /// A folder or `s3://bucket/folder?endpoint=…&region=…`; HQ's own folder when empty.
    target: String,
    #[serde(default)]
    access_key: String,
    reach: Reach,
    daily: u16,
    weekly: u16,
    monthly: u16,
    encryption: Encryption,
    /// Kept as it is when it is left out; never shown.
    #[serde(default, skip_serializing)]
    passphrase: Option<String>,
    /// Kept as it is when it is left out; never shown.
    #[serde(default, skip_serializing)]
    s3_secret: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct SettingsView {
    schedule: Schedule,
    time: String,
    zone: Option<String>,
    target: String,
    access_key: String,
    reach: Reach,
    daily: u16,
    weekly: u16,
    monthly: u16,
    encryption: Encryption,
}

impl From<BackupSettings> for SettingsView {
    fn from(settings: BackupSettings) -> Self {
        Self {
            schedule: settings.schedule,
            time: format!("{:02}:{:02}", settings.hour, settings.minute),
            zone: settings.zone,
            target: settings.target,
            access_key: settings.access_key,
            reach: settings.reach,
            daily: settings.daily,
            weekly: settings.weekly,
            monthly: settings.monthly,
            encryption: settings.encryption,
        }
    }
}

fn only_managers(app: &App, who: &Person) -> Result<(), BackupsError> {
    if queries::may_manage(app, who.account)? { Ok(()) } else { Err(BackupsError::NotAll) }
}

async fn list(app: App, ws: Ws, who: Person) -> Result<Json<List>, ApiError> {
    only_managers(&app, &who)?;
    Ok(Json(ws.read_blocking(move |_| all(&app)).await?))
}

/// Lists the backups. Accesses the target, so it may be slow.
fn all(app: &App) -> Result<List, BackupsError> {
    let place = queries::usual_place(app)?;
    let (settings, kept, next, trouble) = app.system.read(|snap| {
        let settings = queries::settings(snap)?;
        let zone = queries::zone(app, &settings);
        let next = queries::next_backup(snap, &settings, &zone, app.clock.now())?;
        let trouble = queries::trouble(snap, &place)?;
        Ok::<_, StoreError>((settings, queries::kept(snap)?, next, trouble))
    })?;
    let (kept, unread) = queries::lying(app, &settings, kept);
    Ok(List {
        unread,
        place: queries::address(app, &settings)?.to_string(),
        items: kept.into_iter().map(KeptView::from).collect(),
        next: None,
        next_at: next.map(|at| at.to_string()),
        trouble: trouble.map(|run| RunView::of(app, run)),
    })
}

async fn begin(app: App, who: Person, Json(body): Json<Begin>) -> Result<Response, ApiError> {
    only_managers(&app, &who)?;
    let mut wish = BackupRequest::of(body.deed, &who);
    wish.backup = body.backup;
    if body.new_place {
        wish.newness = Newness::Accepted;
    }
    started(&app, wish).await
}

async fn forget(app: App, who: Person, Path(id): Path<String>) -> Result<Response, ApiError> {
    only_managers(&app, &who)?;
    started(&app, BackupRequest { backup: Some(id), ..BackupRequest::of(Deed::Forget, &who) }).await
}

async fn started(app: &App, wish: BackupRequest) -> Result<Response, ApiError> {
    let run = job::start(app, wish).await?;
    Ok((StatusCode::ACCEPTED, Json(RunView::of(app, run))).into_response())
}

async fn show_run(
    app: App,
    ws: Ws,
    who: Person,
    Path(id): Path<JobId>,
) -> Result<Json<RunView>, ApiError> {
    only_managers(&app, &who)?;
    let run = ws.read_blocking(move |ws| ws.app.system.read(|snap| queries::run(snap, id)));
    let run = run.await?.ok_or(BackupsError::NotFound)?;
    Ok(Json(RunView::of(&app, run)))
}

async fn settings(app: App, ws: Ws, who: Person) -> Result<Json<SettingsView>, ApiError> {
    only_managers(&app, &who)?;
    settings_now(&ws).await
}

async fn settings_now(ws: &Ws) -> Result<Json<SettingsView>, ApiError> {
    let settings = ws.read_blocking(|ws| ws.app.system.read(|snap| queries::settings(snap)));
    Ok(Json(settings.await?.into()))
}

async fn set_settings(
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<SettingsBody>,
) -> Result<Json<SettingsView>, ApiError> {
    only_managers(&app, &who)?;
    // Validation of the target reads the file system.
    let new = ws.read_blocking(|ws| Ok::<_, StoreError>(new_settings(&ws.app, body))).await??;
    let write = once.run(move |tx| rules::set_settings(tx, new));
    app.system.write(who.actor(), who.cause(), write).await?;
    settings_now(&ws).await
}

fn new_settings(app: &App, body: SettingsBody) -> Result<NewSettings, ApiError> {
    let time = body.time.split_once(':');
    let time = time.and_then(|(h, m)| Some((h.parse().ok()?, m.parse().ok()?)));
    let (hour, minute) =
        time.ok_or_else(|| ApiError::invalid("time", "enter a time of day like 03:30"))?;
    let secret = |name: &str, value: Option<String>| match value {
        None => NewSecret::Keep,
        Some(value) => job::seal(app, name, &crypto::keyring::Secret::new(value)),
    };
    if !body.target.is_empty() {
        let checked = queries::checked_address(app, &body.target);
        checked.map_err(|error| ApiError::invalid("target", error.to_string()))?;
    }
    if let Some(phrase) = &body.passphrase {
        let phrase = crypto::keyring::Secret::new(phrase.as_str());
        crypto::passphrase::check(&phrase).map_err(BackupsError::from)?;
    }
    Ok(NewSettings {
        passphrase: secret(PASSPHRASE, body.passphrase),
        s3_secret: secret(S3_SECRET, body.s3_secret),
        settings: BackupSettings {
            schedule: body.schedule,
            hour,
            minute,
            zone: body.zone,
            target: body.target,
            access_key: body.access_key,
            reach: body.reach,
            daily: body.daily,
            weekly: body.weekly,
            monthly: body.monthly,
            encryption: body.encryption,
            changed_at: app.clock.now(),
        },
    })
}
