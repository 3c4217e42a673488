//! Settings, Backups: list of backups, job in progress, schedule and target, restore instructions.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Who, Ws};
use crypto::keyring::Secret;
use crypto::passphrase;
use kernel::{Can, Timestamp, clock};
use store::StoreError;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::{RelTime, zones};

use features::agents::queries::exposed;
use features::backups::job::{self, BackupRequest, Newness};
use features::backups::model::{
    BackupRun, BackupSettings, CachedBackup, Deed, Encryption, Outcome, PASSPHRASE, Reach,
    Restoration, S3_SECRET, Schedule,
};
use features::backups::queries;
use features::backups::rules::{self, BackupsError, NewSecret, NewSettings};

const HERE: &str = "settings/backups";
const MENU: &str = "backups";
/// Number of former jobs shown.
const SHOWN: usize = 12;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/backups", show.needs(Can::Admin))
        .post("/settings/backups", save.needs(Can::Admin).proved())
        .post("/settings/backups/run", run_now.needs(Can::Admin))
        .post("/settings/backups/drill", drill_now.needs(Can::Admin))
        .post("/settings/backups/prune", prune_now.needs(Can::Admin))
        .post("/settings/backups/{id}/verify", verify_now.needs(Can::Admin))
        .post("/settings/backups/{id}/forget", forget_now.needs(Can::Admin))
}

/// A backup in the list.
struct Row {
    id: String,
    at: RelTime,
    workspaces: String,
    size: String,
    new: String,
    checked: Option<RelTime>,
    /// The workspaces that it lacks.
    missing: String,
    fault: String,
    verify: String,
    /// Address that puts a backup with an unreadable manifest aside; otherwise empty.
    forget: String,
}

/// A recent restore.
struct News {
    at: RelTime,
    what: String,
    notes: Vec<String>,
}

/// A former job.
struct Line {
    what: &'static str,
    at: RelTime,
    state: &'static str,
    word: &'static str,
    note: String,
}

/// The job in progress.
struct Working {
    what: &'static str,
    phase: &'static str,
    percent: u8,
    words: String,
}

struct View {
    url: String,
    working: Option<Working>,
    trouble: String,
    /// Notice of how many agent files contain unmasked keys, which backups then contain too; may be empty.
    exposed: String,
    /// A recent restore.
    restored: Option<News>,
    /// Why the target is not the known repository.
    lost: String,
    /// Whether another HQ uses the target and nobody has confirmed sharing it.
    shared: bool,
    place: String,
    same_disk: bool,
    last: Option<RelTime>,
    next: Option<RelTime>,
    drill: Option<Line>,
    rows: Vec<Row>,
    /// Number of further backups at the target that were not read yet.
    unread: usize,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct BackupSettingsForm {
    schedule: String,
    time: String,
    zone: String,
    target: String,
    access_key: String,
    s3_secret: String,
    private: String,
    daily: String,
    weekly: String,
    monthly: String,
    encrypt: String,
    passphrase: String,
}

#[derive(Template)]
#[template(path = "backups/show.html")]
struct BackupsPage {
    shell: Shell,
    here: &'static str,
    manages: bool,
    view: View,
    v: BackupSettingsForm,
    zones: Vec<Choice>,
    schedules: Vec<Choice>,
    wrong: Wrong,
    restore: String,
}

#[derive(Template)]
#[template(path = "backups/state.html")]
struct StateRegion {
    view: View,
}

async fn show(app: App, ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let manages = queries::may_manage(&app, who.account)?;
    if hx.wants("backups") && manages {
        let view = ws.read_blocking(move |ws| view(&app, ws, &who)).await?;
        return html::fragment(&StateRegion { view });
    }
    html::page(&ws.read_blocking(move |ws| as_it_is(&app, ws, &who, shell)).await?)
}

/// The page with the stored settings. Accesses the target, so it may be slow.
fn as_it_is(app: &App, ws: &Ws, who: &Person, shell: Shell) -> Result<BackupsPage, PageError> {
    let settings = app.system.read(|snap| queries::settings(snap))?;
    page(app, ws, who, shell, (form_values(&settings), Wrong::none()))
}

fn page(
    app: &App,
    ws: &Ws,
    who: &Person,
    shell: Shell,
    (v, wrong): (BackupSettingsForm, Wrong),
) -> Result<BackupsPage, PageError> {
    let view = view(app, ws, who)?;
    let mut choices = vec![Choice::new("", "Workspace time zone", v.zone.is_empty())];
    choices.extend(zones(&v.zone));
    let schedules = vec![
        Choice::new("daily", "Every day", v.schedule != "off"),
        Choice::new("off", "Manual only", v.schedule == "off"),
    ];
    let restore = format!("hq restore '{}' --dry-run", view.place);
    let manages = queries::may_manage(app, who.account)?;
    Ok(BackupsPage {
        shell,
        here: MENU,
        manages,
        view,
        v,
        zones: choices,
        schedules,
        wrong,
        restore,
    })
}

fn form_values(settings: &BackupSettings) -> BackupSettingsForm {
    let mark = |on: bool| if on { "on".to_owned() } else { String::new() };
    BackupSettingsForm {
        schedule: if settings.schedule == Schedule::Off { "off" } else { "daily" }.to_owned(),
        time: format!("{:02}:{:02}", settings.hour, settings.minute),
        zone: settings.zone.clone().unwrap_or_default(),
        target: settings.target.clone(),
        access_key: settings.access_key.clone(),
        private: mark(settings.reach == Reach::Private),
        daily: settings.daily.to_string(),
        weekly: settings.weekly.to_string(),
        monthly: settings.monthly.to_string(),
        encrypt: mark(settings.encryption == Encryption::Passphrase),
        ..BackupSettingsForm::default()
    }
}

fn view(app: &App, ws: &Ws, who: &Person) -> Result<View, PageError> {
    let reader = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = app.clock.now();
    let at = |moment: Timestamp| RelTime::new(moment, now, &reader);
    let usual = queries::usual_place(app)?;
    let (settings, kept, runs, next, trouble) = app.system.read(|snap| {
        let settings = queries::settings(snap)?;
        let zone = queries::zone(app, &settings);
        let next = queries::next_backup(snap, &settings, &zone, now)?;
        let (kept, runs) = (queries::kept(snap)?, queries::runs(snap, usize::MAX)?);
        Ok::<_, StoreError>((settings, kept, runs, next, queries::trouble(snap, &usual)?))
    })?;
    let (kept, unread) = queries::lying(app, &settings, kept);
    let address = queries::address(app, &settings);
    let place = address.map_or_else(|error| error.to_string(), |address| address.to_string());
    let restored = app.system.read(|snap| queries::restored(snap, now))?;
    let lost = queries::lost_place(app, &settings)?;
    let is_done = |deed| move |run: &&BackupRun| run.deed == deed && run.outcome == Outcome::Done;
    let here = || runs.iter().filter(|run| run.is_at(&usual));
    let last = here().find(is_done(Deed::Backup)).map(|run| at(run.started_at));
    let drill = here().find(|run| run.deed == Deed::Drill).map(|run| line(run, &usual, &at));
    Ok(View {
        url: ws.url(HERE),
        working: app.backups.busy().map(|busy| {
            let progress = busy.meter.progress();
            Working {
                what: busy.what,
                phase: progress.phase.label(),
                percent: progress.percent,
                words: format!(
                    "{} of {}, {} new",
                    format::size(progress.done),
                    format::size(progress.total),
                    format::size(progress.new_bytes)
                ),
            }
        }),
        exposed: exposed_files(app),
        restored: restored.map(|one| news(one, &at)),
        lost: lost.map_or_else(String::new, |error| web::form::sentence(&error.to_string())),
        same_disk: settings.target.is_empty(),
        shared: trouble.as_ref().is_some_and(|run| queries::is_shared(run, &place)),
        place,
        trouble: trouble.map_or_else(String::new, |run| {
            let note = run.note.as_deref().unwrap_or("it was interrupted");
            format!("{} {}: {note}", run.words(), at(run.started_at).text)
        }),
        last,
        next: next.map(at),
        drill,
        rows: kept.into_iter().map(|one| row(ws, one, &at)).collect(),
        unread,
        lines: runs.iter().take(SHOWN).map(|run| line(run, &usual, &at)).collect(),
    })
}

/// Notice of keys in agent files, summed over all workspaces, since this page is for those who manage all of them.
fn exposed_files(app: &App) -> String {
    let all = app.workspaces.read();
    let count: usize = all.iter().filter_map(exposed::last).map(|found| found.count).sum();
    match count as u64 {
        0 => String::new(),
        count => {
            let files = format::count(count, "agent file contains", "agent files contain");
            format!(
                "{files} a key or secret in plain text, and so do backups created since. Each \
                    workspace’s Health page lists them."
            )
        }
    }
}

fn news(one: Restoration, at: &dyn Fn(Timestamp) -> RelTime) -> News {
    let from = at(one.taken_at).text;
    let what = match one.moment {
        None => format!("{} from the backup {} of {from}", one.workspaces.join(", "), one.backup),
        Some(moment) => format!(
            "{} as of {}, from the backup {} of {from}",
            one.workspaces.join(", "),
            at(moment).text,
            one.backup
        ),
    };
    // A note that begins with a workspace's name keeps its case.
    let is_named = |note: &String| note.split(' ').next().is_some_and(|word| word.ends_with(':'));
    let sentence = |note: &String| match is_named(note) {
        true => format!("{note}."),
        false => web::form::sentence(note),
    };
    let notes = one.notes.iter().map(sentence).collect();
    News { at: at(one.at), what, notes }
}

fn row(ws: &Ws, one: CachedBackup, at: &dyn Fn(Timestamp) -> RelTime) -> Row {
    Row {
        at: at(one.taken_at),
        workspaces: one.workspaces.join(", "),
        size: format::size(one.bytes),
        new: format::size(one.new_bytes),
        checked: one.verified_at.map(at),
        missing: one.missing().join(", "),
        fault: one.damage().unwrap_or_default().to_owned(),
        verify: ws.url(&format!("{HERE}/{}/verify", one.id)),
        forget: match one.is_unreadable() {
            true => ws.url(&format!("{HERE}/{}/forget", one.id)),
            false => String::new(),
        },
        id: one.id,
    }
}

fn line(run: &BackupRun, usual: &str, at: &dyn Fn(Timestamp) -> RelTime) -> Line {
    let (state, word) = match run.outcome {
        Outcome::Running => ("running", "Running"),
        Outcome::Done => ("done", "Done"),
        Outcome::Failed if run.is_incomplete() => ("error", "Incomplete"),
        Outcome::Failed => ("error", "Failed"),
    };
    let figures = match (run.outcome, run.deed) {
        (Outcome::Done, Deed::Backup) => {
            format!("{}, {} new", format::size(run.bytes), format::size(run.new_bytes))
        }
        _ => String::new(),
    };
    let place = if run.is_at(usual) { String::new() } else { format!("at {}", run.place) };
    let note = run.note.clone().unwrap_or_default();
    let note =
        [place, figures, note].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    Line { what: run.deed.label(), at: at(run.started_at), state, word, note: note.join(" · ") }
}

fn only_managers(app: &App, who: &Person) -> Result<(), BackupsError> {
    if queries::may_manage(app, who.account)? { Ok(()) } else { Err(BackupsError::NotAll) }
}

async fn begin(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    wish: BackupRequest,
) -> Result<Response, PageError> {
    only_managers(&app, &who)?;
    let flash = match job::start(&app, wish).await {
        Ok(run) => Flash::ok(format!("{} started", run.deed.label())),
        Err(error) => Flash::danger(web::form::sentence(&error.to_string())),
    };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RunForm {
    new_place: String,
}

async fn run_now(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<RunForm>,
) -> Result<Response, PageError> {
    let mut wish = BackupRequest::of(Deed::Backup, &who);
    if !form.new_place.is_empty() {
        wish.newness = Newness::Accepted;
    }
    begin(app, ws, who, hx, wish).await
}

async fn drill_now(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let wish = BackupRequest::of(Deed::Drill, &who);
    begin(app, ws, who, hx, wish).await
}

async fn prune_now(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let wish = BackupRequest::of(Deed::Prune, &who);
    begin(app, ws, who, hx, wish).await
}

async fn verify_now(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let wish = BackupRequest { backup: Some(id), ..BackupRequest::of(Deed::Verify, &who) };
    begin(app, ws, who, hx, wish).await
}

async fn forget_now(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let wish = BackupRequest { backup: Some(id), ..BackupRequest::of(Deed::Forget, &who) };
    begin(app, ws, who, hx, wish).await
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(values): Form<BackupSettingsForm>,
) -> Result<Response, PageError> {
    only_managers(&app, &who)?;
    let (here, form) = (app.clone(), values.clone());
    // Validation of the target reads the file system.
    let new = ws.read_blocking(move |_| Ok::<_, StoreError>(new_settings(&here, &form))).await?;
    let wrong = match new {
        Ok(new) => {
            let (by, why) = (who.actor(), who.cause());
            match app.system.write(by, why, move |tx| rules::set_settings(tx, new)).await {
                Ok(()) => {
                    let flash = Flash::ok("Backup settings saved");
                    return Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))));
                }
                Err(error) => Wrong::of(&error)?,
            }
        }
        Err(wrong) => wrong,
    };
    let v = BackupSettingsForm { passphrase: String::new(), s3_secret: String::new(), ..values };
    let page = ws.read_blocking(move |ws| page(&app, ws, &who, shell, (v, wrong)));
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page.await?)
}

fn new_settings(app: &App, form: &BackupSettingsForm) -> Result<NewSettings, Wrong> {
    let mut wrong = Wrong::none();
    let time = clock::read(&form.time).and_then(|time| {
        Some((u8::try_from(time.hour()).ok()?, u8::try_from(time.minute()).ok()?))
    });
    let time = wrong.join(time.ok_or_else(|| Wrong::field("time", clock::WANTED)));
    let mut number = |field: &str, text: &str| {
        let read = text.trim().parse::<u16>();
        wrong.join(read.map_err(|_| Wrong::field(field, "enter a number from 0 to 3650")))
    };
    let daily = number("daily", &form.daily);
    let weekly = number("weekly", &form.weekly);
    let monthly = number("monthly", &form.monthly);
    if !form.target.trim().is_empty() {
        // The rule checks again; here the error is reported together with the others.
        let address = queries::checked_address(app, &form.target);
        wrong.join(address.map_err(|error| Wrong::field("target", error.to_string())));
    }
    let phrase = Secret::new(form.passphrase.clone());
    if !phrase.is_empty() {
        wrong.note(passphrase::check(&phrase).map_err(BackupsError::from));
    }
    let secret = |name: &str, value: &Secret| match value.is_empty() {
        true => NewSecret::Keep,
        false => job::seal(app, name, value),
    };
    let (Some((hour, minute)), Some(daily), Some(weekly), Some(monthly), false) =
        (time, daily, weekly, monthly, wrong.has_fields())
    else {
        return Err(wrong);
    };
    let settings = BackupSettings {
        schedule: if form.schedule == "off" { Schedule::Off } else { Schedule::Daily },
        hour,
        minute,
        zone: Some(form.zone.trim().to_owned()).filter(|zone| !zone.is_empty()),
        target: form.target.trim().to_owned(),
        access_key: form.access_key.trim().to_owned(),
        reach: if form.private.is_empty() { Reach::Public } else { Reach::Private },
        daily,
        weekly,
        monthly,
        encryption: match form.encrypt.is_empty() {
            true => Encryption::Off,
            false => Encryption::Passphrase,
        },
        changed_at: app.clock.now(),
    };
    Ok(NewSettings {
        settings,
        passphrase: secret(PASSPHRASE, &phrase),
        s3_secret: secret(S3_SECRET, &Secret::new(form.s3_secret.trim())),
    })
}
