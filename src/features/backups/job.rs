//! Backups at work: one thing at a time in a program, each with a row that says how it went.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::app::{App, Ws};
use crate::backup::{
    Address, BackupError, Held, Manifest, Means, Meter, Owner, Repository, Retention, S3Keys,
    Source, SourceWorkspace, make, open_target, prune, verify,
};
use crate::crypto::keyring::{Binding, Secret};
use crate::kernel::{Actor, Cause, JobId, Part, Timestamp, Via};
use crate::net::message::Policy;
use crate::store::ReadExt;

use super::model::{
    BackupRun, BackupSecret, BackupSettings, Deed, Encryption, PASSPHRASE, Reach, S3_SECRET,
    Trigger,
};
use super::queries;
use super::rules::{self, BackupsError, Ended};

/// Where something is done.
pub struct Place {
    /// The address.
    pub address: Address,
    /// What opens a bucket.
    pub keys: Option<S3Keys>,
    /// What opens an encrypted repository.
    pub passphrase: Option<Secret>,
    /// Where requests may go.
    pub policy: Policy,
}

impl Place {
    /// The place of the settings.
    ///
    /// # Errors
    /// When a secret does not open, or the address is none.
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

    /// Opens the repository there. From a thread that may block, inside an async runtime.
    ///
    /// # Errors
    /// When there is none, or it does not open.
    pub fn open(self, app: &App) -> Result<Repository, BackupError> {
        let means = self.means(app);
        let target = open_target(&self.address, self.keys, &means)?;
        Repository::open(target, self.passphrase.as_ref())
    }

    fn begin(self, app: &App) -> Result<Repository, BackupError> {
        let means = self.means(app);
        let target = open_target(&self.address, self.keys, &means)?;
        Repository::open_or_begin(target, self.passphrase.as_ref(), app.clock.now())
    }

    fn means(&self, app: &App) -> Means {
        Means { http: app.http.clone(), clock: Arc::clone(&app.clock), policy: self.policy }
    }
}

fn binding(name: &str) -> Binding<'_> {
    Binding { scope: "backup", owner: "", name }
}

fn secret(app: &App, name: &'static str, words: &'static str) -> Result<Secret, BackupsError> {
    let stored = app.system.read(|snap| snap.get::<BackupSecret>(name.to_owned()))?;
    let stored = stored.ok_or(BackupsError::Unreadable(words))?;
    app.keyring.open(&stored.sealed, binding(name)).map_err(|_| BackupsError::Unreadable(words))
}

/// Seals a secret of the settings.
#[must_use]
pub fn seal(app: &App, name: &str, value: &Secret) -> rules::NewSecret {
    rules::NewSecret::Set(app.keyring.seal_bound(binding(name), value.expose()))
}

/// What is wanted.
pub struct Wish {
    /// What.
    pub deed: Deed,
    /// Why.
    pub trigger: Trigger,
    /// Where; as the settings say when it is left out.
    pub place: Option<Place>,
    /// Which backup to check; the newest when it is left out.
    pub backup: Option<String>,
}

impl Wish {
    /// Something at the place of the settings.
    #[must_use]
    pub fn usual(deed: Deed, trigger: Trigger) -> Self {
        Self { deed, trigger, place: None, backup: None }
    }

    fn actor(&self) -> Actor {
        match self.trigger {
            Trigger::Schedule => Actor::System(Part::Timer),
            Trigger::Command => Actor::System(Part::Cli),
            Trigger::Person(account) => {
                let uid = rustix::process::geteuid().as_raw();
                Actor::Person { account, via: Via::Socket { uid } }
            }
        }
    }
}

/// Begins something and answers at once; how it went stands in the row.
///
/// # Errors
/// When something else is at work, or the place is none.
pub async fn start(app: &App, wish: Wish) -> Result<BackupRun, BackupsError> {
    if let Some(busy) = app.backups.busy() {
        return Err(BackupsError::Backup(BackupError::Busy {
            place: "this HQ".to_owned(),
            what: busy.what.to_owned(),
            since: busy.since.to_string(),
        }));
    }
    let (run, work) = prepare(app, wish).await?;
    let later = app.clone();
    app.spawn("backup", async move {
        if let Err(error) = carry_out(&later, work).await {
            tracing::error!(%error, "how a backup went could not be noted");
        }
    });
    Ok(run)
}

/// Does something and answers when it is over.
///
/// # Errors
/// When it failed; the row says so too.
pub async fn run(app: &App, wish: Wish) -> Result<BackupRun, BackupsError> {
    let (_, work) = prepare(app, wish).await?;
    carry_out(app, work).await?
}

/// Something that is about to be done.
struct Work {
    id: JobId,
    actor: Actor,
    deed: Deed,
    place: Place,
    backup: Option<String>,
}

async fn prepare(app: &App, mut wish: Wish) -> Result<(BackupRun, Work), BackupsError> {
    let actor = wish.actor();
    let (deed, trigger) = (wish.deed, wish.trigger);
    let place = wish.place.take().map_or_else(|| Place::of_settings(app), Ok);
    let shown = place.as_ref().map_or_else(|_| String::new(), |place| place.address.to_string());
    let run = app
        .system
        .write(actor, Cause::Timer, move |tx| rules::begin(tx, deed, trigger, shown))
        .await?;
    let id = run.id;
    match place {
        Ok(place) => Ok((run, Work { id, actor, deed, place, backup: wish.backup })),
        Err(error) => {
            let words = error.to_string();
            let noted =
                app.system.write(actor, Cause::Job(id), move |tx| rules::end(tx, id, Err(words)));
            noted.await?;
            Err(error)
        }
    }
}

/// Does it and notes how it went. The outer error is that of noting.
async fn carry_out(app: &App, work: Work) -> Result<Result<BackupRun, BackupsError>, BackupsError> {
    let Work { id, actor, deed, place, backup } = work;
    let inner = app.clone();
    let done = tokio::task::spawn_blocking(move || do_it(&inner, deed, place, backup)).await;
    let done = done.unwrap_or_else(|error| Err(BackupsError::CutOff(error.to_string())));
    let (ended, failed) = match done {
        Ok(ended) => (Ok(ended), None),
        Err(error) => (Err(error.to_string()), Some(error)),
    };
    if let Some(error) = &failed {
        tracing::error!(%error, "{} failed", deed.noun());
    }
    let run = app.system.write(actor, Cause::Job(id), move |tx| rules::end(tx, id, ended)).await?;
    Ok(match failed {
        None => Ok(run),
        Some(error) => Err(error),
    })
}

fn do_it(
    app: &App,
    deed: Deed,
    place: Place,
    backup: Option<String>,
) -> Result<Ended, BackupsError> {
    let held = app.backups.take(deed.noun(), app.clock.now())?;
    match deed {
        Deed::Backup => back_up(app, place, &held),
        Deed::Verify => check(app, place, backup, &held),
        Deed::Prune => tidy(app, place, &held),
        Deed::Drill => drill(app, place, &held),
    }
}

fn owner(app: &App) -> Owner {
    Owner(format!("{:x}", app.system.incarnation()))
}

fn source(app: &App) -> Source {
    let all: Vec<Ws> = app.workspaces.read().clone();
    Source {
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
        left_out: app
            .broken
            .read()
            .iter()
            .map(|one| format!("the workspace {} cannot be opened ({})", one.slug, one.reason))
            .collect(),
        owner: owner(app),
        clock: Arc::clone(&app.clock),
    }
}

fn back_up(app: &App, place: Place, held: &Held<'_>) -> Result<Ended, BackupsError> {
    let repo = place.begin(app)?;
    // Blobs are read long after the snapshots that name them: no sweep takes one meanwhile.
    let all: Vec<Ws> = app.workspaces.read().clone();
    let _holds: Vec<_> = all.iter().map(|ws| ws.blobs.hold()).collect();
    let made = make(&repo, &source(app), &held.meter)?;
    let mut ended = Ended {
        backup: Some(made.id.clone()),
        bytes: made.bytes(),
        new_bytes: made.new_bytes,
        note: None,
    };
    if !made.left_out.is_empty() {
        let (n, first) = (made.left_out.len(), made.left_out.iter().take(3));
        let some: Vec<_> = first.cloned().collect();
        ended.note = Some(format!("{n} left out: {}", some.join("; ")));
    }
    // The backup is there; what does not work afterwards is a remark.
    let after = prune_by_rules(app, &repo, made.started_at, &held.meter)
        .and_then(|()| refresh(app, &repo).map(drop));
    if let Err(error) = after {
        tracing::warn!(%error, "old backups could not be tidied up");
        ended.note = Some(format!("made, but tidying up failed: {error}"));
    }
    Ok(ended)
}

fn prune_by_rules(
    app: &App,
    repo: &Repository,
    since: Timestamp,
    meter: &Meter,
) -> Result<(), BackupsError> {
    let settings = app.system.read(|snap| queries::settings(snap))?;
    prune_with(app, repo, &settings, since, meter).map(drop)
}

fn prune_with(
    app: &App,
    repo: &Repository,
    settings: &BackupSettings,
    since: Timestamp,
    meter: &Meter,
) -> Result<crate::backup::Pruned, BackupsError> {
    let (rules, zone): (Retention, TimeZone) = (settings.retention(), queries::zone(app, settings));
    Ok(prune(repo, &owner(app), &|all| rules.keep(all, &zone), since, meter)?)
}

/// Takes over what lies at the target.
fn refresh(app: &App, repo: &Repository) -> Result<Vec<Manifest>, BackupsError> {
    let (manifests, damaged) = repo.manifests()?;
    let all = manifests.clone();
    app.system.write_blocking(Actor::System(Part::Timer), Cause::Timer, move |tx| {
        rules::note_kept(tx, &all)
    })?;
    match damaged.into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(manifests),
    }
}

fn check(
    app: &App,
    place: Place,
    backup: Option<String>,
    held: &Held<'_>,
) -> Result<Ended, BackupsError> {
    let repo = place.open(app)?;
    let id = match backup {
        Some(id) => id,
        None => newest(&repo)?,
    };
    let manifest = repo.manifest(&id)?;
    refresh(app, &repo)?;
    let checked = verify(&repo, &manifest, None, &held.meter)?;
    let fault = checked.faults.first().map(ToString::to_string);
    let (noted, found) = (id.clone(), fault.clone());
    app.system.write_blocking(Actor::System(Part::Timer), Cause::Timer, move |tx| {
        rules::note_checked(tx, noted, found)
    })?;
    match fault {
        Some(words) => Err(BackupsError::Faults(words)),
        None => Ok(Ended {
            backup: Some(id),
            bytes: checked.bytes,
            new_bytes: 0,
            note: Some(format!("{} rows and {} files are right", checked.rows, checked.files)),
        }),
    }
}

fn newest(repo: &Repository) -> Result<String, BackupError> {
    repo.ids()?.pop().ok_or_else(|| BackupError::NoBackup {
        place: repo.place().to_owned(),
        wanted: "at all".to_owned(),
    })
}

fn tidy(app: &App, place: Place, held: &Held<'_>) -> Result<Ended, BackupsError> {
    let repo = place.open(app)?;
    let settings = app.system.read(|snap| queries::settings(snap))?;
    let pruned = prune_with(app, &repo, &settings, app.clock.now(), &held.meter)?;
    refresh(app, &repo)?;
    let note = format!("{} backups and {} pieces removed", pruned.backups.len(), pruned.pieces);
    Ok(Ended { backup: None, bytes: 0, new_bytes: pruned.bytes, note: Some(note) })
}

/// Restores the newest backup into a temporary folder, opens its stores, checks them, removes it.
fn drill(app: &App, place: Place, held: &Held<'_>) -> Result<Ended, BackupsError> {
    let repo = place.open(app)?;
    let manifest = repo.manifest(&newest(&repo)?)?;
    let folder: PathBuf = app.config.data.join("backups").join("drill");
    let note = (app.rehearse)(&repo, &manifest, &folder, &held.meter)?;
    let (backup, bytes) = (Some(manifest.id.clone()), manifest.bytes());
    Ok(Ended { backup, bytes, new_bytes: 0, note: Some(note) })
}
