//! Backup jobs. A process runs one job at a time. Each job has a [`BackupRun`] row with its outcome.

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::tz::TimeZone;

use app::{App, Who as _, Ws};
use backup::{
    Address, BackupError, Checked, Held, Manifest, Means, Meter, Owner, Pruned, Repository,
    Retention, S3Keys, Source, SourceWorkspace, Taken, Target, apart, forget,
    look_through_histories, make, open_target, prune, verify,
};
use crypto::keyring::{Binding, Secret};
use git::check;
use kernel::{Actor, Cause, FieldError, JobId, Part, Timestamp};
use net::message::Policy;
use store::blob::Hold;
use store::verify::{self as proof, Depth, Progress};
use store::{ReadExt, StoreError, WriteTx};
use web::session::Person;

use crate::agents::queries::{exposed, repository};

use super::model::{
    BackupRun, BackupSecret, Deed, Encryption, FITS, PASSPHRASE, Reach, S3_SECRET, Trigger,
};
use super::rules::{self, BackupsError, Ended, Failed};
use super::{queries, telling};

/// Maximum number of omitted items that a backup report names.
const NAMED: usize = 10;
/// Maximum number of attempts to get a backup during which no workspace was moved or archived.
const ATTEMPTS: usize = 3;

/// Whether the target must be the known one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newness {
    /// If backups were made at this address before, the same repository must be there.
    #[default]
    AsBefore,
    /// The user confirmed the repository that is there now.
    Accepted,
}

/// Target of a job, with its credentials.
pub struct Place {
    pub address: Address,
    /// Credentials for a bucket.
    pub keys: Option<S3Keys>,
    /// Passphrase for an encrypted repository.
    pub passphrase: Option<Secret>,
    pub policy: Policy,
}

impl Place {
    /// Target from the settings.
    ///
    /// # Errors
    /// If a secret cannot be unsealed or the address is invalid.
    pub fn of_settings(app: &App) -> Result<Self, BackupsError> {
        let settings = app.system.read(|snap| queries::settings(snap))?;
        let address = queries::address(app, &settings)?;
        let keys = match &address {
            Address::S3(_) => Some(S3Keys {
                id: settings.access_key.clone(),
                secret: secret(app, S3_SECRET, "key of the bucket")?,
            }),
            Address::Folder(_) => None,
        };
        let passphrase = match settings.encryption {
            Encryption::Passphrase => Some(secret(app, PASSPHRASE, "passphrase")?),
            Encryption::Off => None,
        };
        let policy = match settings.reach {
            Reach::Private => Policy::Trusted,
            Reach::Public => Policy::Guarded,
        };
        Ok(Self { address, keys, passphrase, policy })
    }

    /// Opens the repository at this target. Blocks: call it on a blocking thread of an async runtime.
    ///
    /// # Errors
    /// If there is no repository, it cannot be opened, or it is not the known one.
    pub fn open(self, app: &App) -> Result<Repository, BackupError> {
        let target = self.target(app)?;
        if let Some(known) = app.system.read(|snap| queries::place(snap, &self.address))? {
            queries::same_place(&known, &*target)?;
        }
        Repository::open(target, self.passphrase.as_ref())
    }

    /// Opens the repository at this target, or initialises one in an empty target.
    fn begin(self, app: &App, newness: Newness) -> Result<Repository, BackupError> {
        let target = self.target(app)?;
        let known = app.system.read(|snap| queries::place(snap, &self.address))?;
        if let Some(known) = known.filter(|_| newness == Newness::AsBefore) {
            queries::same_place(&known, &*target)?;
        }
        Repository::open_or_begin(target, self.passphrase.as_ref(), app.clock.now())
    }

    fn target(&self, app: &App) -> Result<Arc<dyn Target>, BackupError> {
        if let Some(folder) = self.address.folder() {
            apart(folder, &app.config.data)?;
        }
        open_target(&self.address, self.keys.clone(), &self.means(app))
    }

    fn means(&self, app: &App) -> Means {
        Means { http: app.http.clone(), clock: Arc::clone(&app.clock), policy: self.policy }
    }
}

/// Binding under which a settings secret is sealed.
#[must_use]
pub fn binding(name: &str) -> Binding<'_> {
    Binding { scope: "backup", owner: "", name }
}

fn secret(app: &App, name: &'static str, words: &'static str) -> Result<Secret, BackupsError> {
    let stored = app.system.read(|snap| snap.get::<BackupSecret>(name.to_owned()))?;
    let stored = stored.ok_or(BackupsError::Unreadable(words))?;
    app.keyring.open(&stored.sealed, binding(name)).map_err(|_| BackupsError::Unreadable(words))
}

#[must_use]
pub fn seal(app: &App, name: &str, value: &Secret) -> rules::NewSecret {
    rules::NewSecret::Set(app.keyring.seal_bound(binding(name), value.expose()))
}

pub struct BackupRequest {
    pub deed: Deed,
    pub trigger: Trigger,
    pub by: (Actor, Cause),
    /// Target. `None` means the target from the settings.
    pub place: Option<Place>,
    /// Backup to check (`None` means the newest) or to put aside.
    pub backup: Option<String>,
    pub newness: Newness,
}

impl BackupRequest {
    /// Request at the settings target from the schedule.
    #[must_use]
    pub fn scheduled(deed: Deed) -> Self {
        Self::new(deed, Trigger::Schedule, (Actor::System(Part::Timer), Cause::Timer))
    }

    /// Request at the settings target from a command on this machine.
    #[must_use]
    pub fn commanded(deed: Deed) -> Self {
        Self::new(deed, Trigger::Command, (Actor::System(Part::Cli), Cause::Setup))
    }

    /// Request at the settings target from a person.
    #[must_use]
    pub fn of(deed: Deed, who: &Person) -> Self {
        Self::new(deed, Trigger::Person(who.account), (who.actor(), who.cause()))
    }

    fn new(deed: Deed, trigger: Trigger, by: (Actor, Cause)) -> Self {
        Self { deed, trigger, by, place: None, backup: None, newness: Newness::AsBefore }
    }
}

/// Starts a job and returns its row at once. The row later records the outcome.
///
/// # Errors
/// If another job is running or the target is invalid.
pub async fn start(app: &App, wish: BackupRequest) -> Result<BackupRun, BackupsError> {
    let (run, work) = prepare(app, wish).await?;
    let later = app.clone();
    app.spawn("backup", async move {
        if let Err(error) = carry_out(&later, work).await {
            tracing::error!(%error, "how a backup went could not be noted");
        }
    });
    Ok(run)
}

/// Runs a job and returns when it has ended.
///
/// # Errors
/// If the job failed. The row records the failure too.
pub async fn run(app: &App, wish: BackupRequest) -> Result<BackupRun, BackupsError> {
    let (_, work) = prepare(app, wish).await?;
    carry_out(app, work).await?
}

/// A prepared job.
struct Work {
    id: JobId,
    actor: Actor,
    task: Task,
    held: Held,
}

struct Task {
    deed: Deed,
    place: Place,
    /// `true` for the settings target. Only there do retention rules remove backups, and only that target is shown.
    usual: bool,
    backup: Option<String>,
    newness: Newness,
}

async fn prepare(app: &App, mut wish: BackupRequest) -> Result<(BackupRun, Work), BackupsError> {
    // Take the job lock before writing the row: a refused request leaves no row, and the running job's row is
    // untouched.
    let held = app.backups.take(wish.deed.noun(), app.clock.now())?;
    let (actor, cause) = wish.by;
    let (deed, trigger, usual) = (wish.deed, wish.trigger, wish.place.is_none());
    let place = wish.place.take().map_or_else(|| Place::of_settings(app), Ok);
    let shown = place.as_ref().map_or_else(|_| String::new(), |place| place.address.to_string());
    let now = app.clock.now();
    let begin = move |tx: &mut WriteTx<'_>| rules::begin(tx, deed, trigger, shown, now);
    let run = app.system.write(actor, cause, begin).await?;
    let id = run.id;
    match place {
        Ok(place) => {
            let (backup, newness) = (wish.backup, wish.newness);
            let task = Task { deed, place, usual, backup, newness };
            Ok((run, Work { id, actor, task, held }))
        }
        Err(error) => {
            let failed = Failed::from(&error);
            let noted =
                app.system.write(actor, Cause::Job(id), move |tx| rules::end(tx, id, Err(failed)));
            noted.await?;
            telling::tell(app).await;
            Err(error)
        }
    }
}

/// Runs the job and records its outcome. The outer error is a failure to record.
async fn carry_out(app: &App, work: Work) -> Result<Result<BackupRun, BackupsError>, BackupsError> {
    let Work { id, actor, task, held } = work;
    let (inner, deed) = (app.clone(), task.deed);
    let done = tokio::task::spawn_blocking(move || do_it(&inner, task, &held)).await;
    let done = done.unwrap_or_else(|error| Err(BackupsError::CutOff(error.to_string())));
    let (ended, failed) = match done {
        Ok(ended) => (Ok(ended), None),
        Err(error) => (Err(Failed::from(&error)), Some(error)),
    };
    if let Some(error) = &failed {
        tracing::error!(%error, "{} failed", deed.noun());
    }
    let noted = app.system.write(actor, Cause::Job(id), move |tx| rules::end(tx, id, ended)).await;
    telling::tell(app).await;
    let run = noted?;
    if run.is_incomplete() {
        tracing::error!("{}: {}", run.words(), run.note.as_deref().unwrap_or_default());
    }
    Ok(match failed {
        None => Ok(run),
        Some(error) => Err(error),
    })
}

fn do_it(app: &App, task: Task, held: &Held) -> Result<Ended, BackupsError> {
    match task.deed {
        Deed::Backup => back_up(app, task, held),
        Deed::Verify => check(app, task, held),
        Deed::Prune => tidy(app, task, held),
        Deed::Drill => drill(app, task.place, held),
        Deed::Forget => put_aside(app, task),
    }
}

fn owner(app: &App) -> Owner {
    Owner(format!("{:x}", app.system.incarnation()))
}

/// Ids of retired master keys that can still decrypt.
fn former_keys(app: &App) -> Vec<String> {
    app.keyring.former_ids().iter().map(ToString::to_string).collect()
}

/// Collects the data to back up, with holds on its blobs. The blobs are read long after the snapshots that name them,
/// and a hold keeps the sweep from deleting them.
fn source(app: &App, beside_others: bool) -> Result<(Source, Vec<Hold>), StoreError> {
    let still = queries::listed(&app.system);
    // Prevents workspaces from being added or removed between listing them and reading which are open.
    let turn = app.list_turn.blocking_lock();
    let listed = still()?;
    let all: Vec<Ws> = app.workspaces.read().clone();
    drop(turn);
    let holds = all.iter().map(|ws| ws.blobs.hold()).collect();
    let source = Source {
        system: app.system.clone(),
        workspaces: all
            .into_iter()
            .map(|ws| SourceWorkspace {
                slug: ws.slug.clone(),
                store: ws.store.clone(),
                folder: ws.folder.clone(),
            })
            .collect(),
        data: app.config.data.clone(),
        key_id: app.keyring.key_id().to_string(),
        former_keys: former_keys(app),
        left_out: app
            .broken
            .read()
            .iter()
            .map(|one| format!("the workspace {} can't be opened ({})", one.slug, one.reason))
            .collect(),
        listed,
        still,
        owner: owner(app),
        beside_others,
        clock: Arc::clone(&app.clock),
    };
    Ok((source, holds))
}

/// Makes a backup. If a workspace was moved or archived during the backup and is open again, the backup is repeated:
/// the workspace is intact, and the second backup has little left to write.
fn make_whole(
    app: &App,
    repo: &Repository,
    beside_others: bool,
    held: &Held,
) -> Result<Manifest, BackupsError> {
    let is_open = |slug: &String| app.workspaces.read().iter().any(|ws| ws.slug == *slug);
    let mut attempt = 1;
    loop {
        let (source, _holds) = source(app, beside_others)?;
        let made = make(repo, &source, &held.meter)?;
        if attempt == ATTEMPTS || !made.missing.iter().any(is_open) {
            return Ok(made);
        }
        attempt += 1;
    }
}

fn back_up(app: &App, task: Task, held: &Held) -> Result<Ended, BackupsError> {
    let data = &app.config.data;
    if !data.join("system.redb").is_file() {
        // Open stores survive the deletion of their files. Do not create a new target below a deleted data directory.
        return Err(BackupError::DataGone { data: data.display().to_string() }.into());
    }
    let (address, usual) = (task.place.address.to_string(), task.usual);
    let known = app.system.read(|snap| queries::place(snap, &task.place.address))?;
    let repo = task.place.begin(app, task.newness)?;
    // If this HQ has made backups here, sharing the target with other HQs was already confirmed.
    let is_known = known.is_some_and(|known| known.repositories.iter().any(|id| id == repo.id()));
    let beside_others = is_known || task.newness == Newness::Accepted;
    let made = make_whole(app, &repo, beside_others, held)?;
    for ws in app.workspaces.read().iter() {
        // ok: a page that looks now already sees the same state.
        exposed::begin(ws).ok();
    }
    let (id, place) = (repo.id().to_owned(), address.clone());
    note(app, move |tx| rules::note_place(tx, place, &id))?;
    let mut ended = Ended {
        backup: Some(made.id.clone()),
        bytes: made.bytes(),
        new_bytes: made.new_bytes,
        note: None,
        missing: made.missing.clone(),
    };
    if !made.left_out.is_empty() {
        let n = made.left_out.len();
        let some: Vec<_> = made.left_out.iter().take(NAMED).cloned().collect();
        let more = if n <= NAMED { "" } else { "; the others are listed in its manifest" };
        ended.note = Some(format!("{n} left out: {}{more}", some.join("; ")));
    }
    if !usual {
        // Retention rules never remove a copy at a custom target.
        return Ok(ended);
    }
    // The backup exists, so a failure after this point is only a remark.
    if let Err(error) = tidy_behind(app, &repo, address, made.started_at, held) {
        tracing::warn!(%error, "old backups could not be tidied up");
        let left_out = ended.note.take().map(|note| format!("; {note}")).unwrap_or_default();
        ended.note = Some(format!("created, but cleanup failed: {error}{left_out}"));
    }
    Ok(ended)
}

/// Prunes after a backup. A permanent obstacle gets a row of its own and stays reported until it is fixed, however many
/// backups follow.
fn tidy_behind(
    app: &App,
    repo: &Repository,
    place: String,
    since: Timestamp,
    held: &Held,
) -> Result<(), BackupsError> {
    let pruned = prune_by_rules(app, repo, since, &held.meter)?;
    refresh(app, repo)?;
    let freed = freed(repo, pruned);
    let (stuck, now) = (freed.as_ref().err().map(Failed::from), app.clock.now());
    let note = move |tx: &mut WriteTx<'_>| rules::note_tidied(tx, place, now, stuck);
    app.system.write_blocking(Actor::System(Part::Timer), Cause::Timer, note)?;
    freed.map(drop)
}

fn note(
    app: &App,
    write: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    app.system.write_blocking(Actor::System(Part::Timer), Cause::Timer, write)
}

/// Removes backups that the retention settings do not keep.
fn prune_by_rules(
    app: &App,
    repo: &Repository,
    since: Timestamp,
    meter: &Meter,
) -> Result<Pruned, BackupsError> {
    let (settings, kept) = app
        .system
        .read(|snap| Ok::<_, StoreError>((queries::settings(snap)?, queries::kept(snap)?)))?;
    let (rules, zone): (Retention, TimeZone) =
        (settings.retention(), queries::zone(app, &settings));
    let faulty: Vec<_> = kept.into_iter().filter(|one| one.damage().is_some()).collect();
    let keep = |all: &[Taken]| {
        let mut all = all.to_vec();
        for one in &mut all {
            one.good &= !faulty.iter().any(|bad| bad.id == one.id);
        }
        rules.keep(&all, &zone)
    };
    let mut own = former_keys(app);
    own.push(app.keyring.key_id().to_string());
    Ok(prune(repo, (&owner(app), &own), &keep, since, meter)?)
}

/// Returns the prune result, or an error if an unreadable manifest blocked pruning.
fn freed(repo: &Repository, pruned: Pruned) -> Result<Pruned, BackupsError> {
    if pruned.unreadable.is_empty() {
        return Ok(pruned);
    }
    let (place, which) = (repo.place().to_owned(), pruned.unreadable.join(", "));
    Err(BackupsError::Stuck { place, which })
}

/// Updates the cached list from the settings target.
fn refresh(app: &App, repo: &Repository) -> Result<(), BackupsError> {
    let (manifests, mut unreadable) = repo.outlines()?;
    // A backup that was removed during the listing is not unreadable.
    unreadable.retain(|(_, error)| !matches!(error, BackupError::NoBackup { .. }));
    let unreadable: Vec<_> =
        unreadable.into_iter().map(|(id, error)| (id, error.to_string())).collect();
    Ok(note(app, move |tx| rules::note_kept(tx, &manifests, &unreadable))?)
}

fn check(app: &App, task: Task, held: &Held) -> Result<Ended, BackupsError> {
    let repo = task.place.open(app)?;
    if task.usual {
        refresh(app, &repo)?;
    }
    let manifest = match task.backup {
        Some(start) => repo.manifest(&repo.find(&start)?)?,
        None => own_newest(app, &repo, Deed::Verify)?,
    };
    let checked = sound(app, &repo, &manifest, held)?;
    let id = manifest.id.clone();
    note(app, move |tx| rules::note_checked(tx, id, None))?;
    Ok(Ended {
        backup: Some(manifest.id),
        bytes: checked.bytes,
        note: Some(format!("{} rows and {} files are correct", checked.rows, checked.files)),
        ..Ended::default()
    })
}

/// The newest backup of this HQ, because a shared target may hold newer backups of other HQs. If no backup has this
/// HQ's master key, the newest of all. For a drill, the newest complete backup if there is one.
fn own_newest(app: &App, repo: &Repository, deed: Deed) -> Result<Manifest, BackupError> {
    let key_id = app.keyring.key_id().to_string();
    for of in [Some(key_id.as_str()), None] {
        let newest = match deed {
            Deed::Drill => repo.newest_complete(of),
            _ => repo.newest(of),
        };
        match newest {
            Err(BackupError::NoBackup { .. }) => {}
            found => return found,
        }
    }
    Err(BackupError::NoBackup { place: repo.place().to_owned(), wanted: "at all".to_owned() })
}

/// Checks every hash. Marks all backups that reference damaged data.
fn sound(
    app: &App,
    repo: &Repository,
    manifest: &Manifest,
    held: &Held,
) -> Result<Checked, BackupsError> {
    let checked = verify(repo, manifest, None, &held.meter)?;
    let Some(fault) = checked.fault() else {
        if let Some(bad) = repo.bad_heads()?.into_iter().next() {
            return Err(BackupsError::Faults(bad));
        }
        let folder = app.config.data.join("backups").join("history");
        let histories = look_through_histories(repo, manifest, &folder, &held.meter)?;
        return match histories.first() {
            Some(first) => Err(BackupsError::BackedUpFiles(manifest.id.clone(), first.clone())),
            None => Ok(checked),
        };
    };
    let words = fault.clone();
    note(app, move |tx| rules::note_damaged(tx, &checked.damaged, &words))?;
    Err(BackupsError::Faults(fault))
}

fn tidy(app: &App, task: Task, held: &Held) -> Result<Ended, BackupsError> {
    let repo = task.place.open(app)?;
    let pruned = prune_by_rules(app, &repo, app.clock.now(), &held.meter)?;
    if task.usual {
        refresh(app, &repo)?;
    }
    let pruned = freed(&repo, pruned)?;
    let note = format!("{} backups and {} pieces removed", pruned.backups.len(), pruned.pieces);
    Ok(Ended { new_bytes: pruned.bytes, note: Some(note), ..Ended::default() })
}

/// Puts aside a backup whose manifest cannot be read.
fn put_aside(app: &App, task: Task) -> Result<Ended, BackupsError> {
    let unnamed = || BackupsError::Fields(vec![FieldError::new("backup", "choose a backup")]);
    let id = task.backup.ok_or_else(unnamed)?;
    let repo = task.place.open(app)?;
    forget(&repo, &owner(app), &id, app.clock.now())?;
    if task.usual {
        refresh(app, &repo)?;
    }
    let note = "its manifest is now in the folder damaged/; the next cleanup deletes the data that \
        only this backup uses";
    Ok(Ended { backup: Some(id), note: Some(note.to_owned()), ..Ended::default() })
}

/// Checks the newest backup, restores it into a temporary folder, opens its stores and removes the folder. Then
/// compares all of HQ's live data with its hashes.
fn drill(app: &App, place: Place, held: &Held) -> Result<Ended, BackupsError> {
    let repo = place.open(app)?;
    let manifest = own_newest(app, &repo, Deed::Drill)?;
    let checked = sound(app, &repo, &manifest, held)?;
    let folder = app.config.data.join("backups").join("drill");
    let tried = (app.rehearse)(&repo, &manifest, &folder, &held.meter)?;
    let entries = records_fit(app)?;
    files_fit(app)?;
    let note = format!(
        "{tried}; {} rows and {} files are correct; {entries} entries here and their rows {FITS}",
        checked.rows, checked.files
    );
    let (backup, bytes) = (Some(manifest.id.clone()), manifest.bytes());
    Ok(Ended { backup, bytes, note: Some(note), ..Ended::default() })
}

/// Reads all versions of agents' files and compares them with their hashes.
fn files_fit(app: &App) -> Result<(), BackupsError> {
    let open: Vec<Ws> = app.workspaces.read().clone();
    for ws in open {
        let found = repository::inspect(&ws, check::Depth::Objects);
        if let Some(first) = found.faults.first() {
            return Err(BackupsError::Files(format!("{}: {first}", found.workspace)));
        }
    }
    Ok(())
}

/// Reads every feed entry, former version and record of the live data and compares them with their hashes. Returns
/// the number of entries.
fn records_fit(app: &App) -> Result<u64, BackupsError> {
    let mut watch = |_: Progress| match app.stopping.is_cancelled() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let mut all = vec![proof::verify(&app.system, &mut watch)?];
    let open: Vec<Ws> = app.workspaces.read().clone();
    for ws in open {
        match proof::verify_with(&ws.store, Some((&ws.blobs, Depth::There)), &mut watch) {
            // The workspace was closed during the check, so skip it.
            Err(StoreError::Closed) if app.workspace_by_id(ws.id).is_none() => {}
            found => all.push(found?),
        }
    }
    match all.iter().map(|one| one.faults_count).sum::<u64>() {
        0 => Ok(all.iter().map(|one| one.entries).sum()),
        faults => Err(BackupsError::Record(faults)),
    }
}
