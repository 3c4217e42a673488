//! Processing of restored stores before the swap: upgrade the format, roll back to a point in time, check, and record
//! the restore in each store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::listen::Front;
use crate::schema;
use crate::upgrade::Upgrader;
use app::Rehearse;
use backup::{BackupError, Manifest, room, write_out};
use crypto::keyring::Keyring;
use features::backups::rules::{self as backups, NewRestoration};
use features::connections::model::{Connection, ConnectionKey, Grant, SpareKey, SpareKeys};
use features::runs::model::HaltOf;
use features::runs::rules::halt;
use features::users::model::Workspace;
use features::users::queries as users;
use features::users::rules::UsersError;
use features::users::rules::restored::{Closed, Former, after_restore, forget_others, keep_listed};
use features::workspace::queries as workspace;
use features::workspace::rules::restored::{Former as People, after_restore as close_doors};
use kernel::id::{IdSource, SystemIds};
use kernel::time::SystemClock;
use kernel::{Actor, Cause, Clock, HaltHow, Part, Timestamp, WorkspaceState};
use store::migrate::{self, UpgradeError};
use store::undo::moment::{BackError, go_back};
use store::{NoFaults, Options, Range, ReadExt, Schema, Store, StoreError, WriteTx};
use vault::model::{Secret, Value};

use super::{Restored, files};

const CACHE: usize = 16 * 1024 * 1024;
const SYSTEM: &str = "system.redb";
const BY: (Actor, Cause) = (Actor::System(Part::Restore), Cause::Restore);

/// Schema of the store at a path of a backup.
pub(super) fn schema_of(path: &str) -> Schema {
    if path == SYSTEM { schema::system() } else { schema::workspace() }
}

/// Restored data before the swap.
pub(super) struct Staged<'s> {
    /// Folder of the restored data.
    pub folder: &'s Path,
    /// Manifest of the backup.
    pub manifest: &'s Manifest,
    /// Accounts, sign-ins and tokens that were closed in the store to be replaced.
    pub former: Option<Former>,
    /// Members of the workspaces to be replaced, as far as readable.
    pub people: BTreeMap<String, People>,
    /// Workspaces on the current list, as far as readable. If the list itself is restored, only those that stay.
    pub listed: Vec<Workspace>,
    /// Path of the master key.
    pub key_file: &'s Path,
}

/// What the current system store has closed; `None` if it is missing or unreadable.
pub(super) fn former(data: &Path) -> Option<Former> {
    if !data.join(SYSTEM).exists() {
        return None;
    }
    // Opened without an upgrade: it stays unchanged for anyone who returns to it.
    let read = plain(data, SYSTEM, &Means::default()).and_then(|store| {
        let former = store.read(|snap| Former::of(snap));
        store.close();
        former
    });
    // ok: an unreadable store may be the reason for the restore; the notes say so.
    read.ok()
}

/// Workspaces on the list of the current system store.
pub(super) fn listed(data: &Path) -> Vec<Workspace> {
    if !data.join(SYSTEM).exists() {
        return Vec::new();
    }
    let read = plain(data, SYSTEM, &Means::default()).and_then(|store| {
        let listed = store.read(|snap| users::workspaces(snap));
        store.close();
        listed
    });
    // ok: as with the accounts.
    read.unwrap_or_default()
}

/// Members of the current workspaces that will be replaced.
pub(super) fn people(data: &Path, slugs: &[String]) -> BTreeMap<String, People> {
    let read = |slug: &String| {
        let name = format!("workspaces/{slug}/hq.redb");
        if !data.join(&name).exists() {
            return None;
        }
        let read = plain(data, &name, &Means::default()).and_then(|store| {
            let people = store.read(|snap| People::of(snap));
            store.close();
            people
        });
        // ok: as with the accounts.
        Some((slug.clone(), read.ok()?))
    };
    slugs.iter().filter_map(read).collect()
}

/// Opens and checks the restored stores, and records the restore in each.
pub(super) fn awaken(staged: &Staged<'_>, done: &mut Restored) -> Result<(), BackupError> {
    let means = Means::default();
    // ok: the list of unreadable data says that the key is missing.
    let ring = Keyring::load(staged.key_file).ok();
    done.unreadable.extend(passwords(staged, ring.as_ref()));
    let (mut there, mut news) = (Vec::new(), Vec::new());
    for slug in std::mem::take(&mut done.workspaces) {
        let store = open(staged.folder, &format!("workspaces/{slug}/hq.redb"), &means)?;
        own_place(&store, staged, &slug)?;
        done.notes.extend(standing(staged, &slug));
        if !back(&store, &slug, done)? {
            store.close();
            let folder = staged.folder.join("workspaces").join(&slug);
            fs::remove_dir_all(&folder).map_err(BackupError::disk(&folder))?;
            continue;
        }
        drop_kept(staged.folder, &format!("workspaces/{slug}/hq.redb"))?;
        files::back(&store, (staged.folder, &slug), means.clock.now(), done)?;
        let secrets = unreadable_secrets(&store, ring.as_ref());
        let secrets = secrets.map_err(BackupError::store(&slug))?;
        done.unreadable.extend(secrets.into_iter().map(|key| format!("{slug}: the secret {key}")));
        let keys = unreadable_keys(&store, ring.as_ref()).map_err(BackupError::store(&slug))?;
        done.unreadable.extend(keys.into_iter().map(|name| format!("{slug}: the key of {name}")));
        news.extend(people_of(&store, staged, &slug)?);
        quieten(&store, &slug)?;
        check_manifest(&store, staged.manifest)?;
        there.push(slug);
    }
    if !there.is_empty() {
        let words = "all work is paused until someone resumes it: otherwise it would be done and \
                     paid for twice, here and in the original";
        done.notes.push(words.to_owned());
    }
    done.workspaces = there;
    done.notes.extend(news.iter().cloned());
    if staged.folder.join(SYSTEM).exists() {
        let store = open(staged.folder, SYSTEM, &means)?;
        drop_kept(staged.folder, SYSTEM)?;
        if !back(&store, "the accounts", done)? {
            return Err(BackupError::Restore("there was no data yet at that time".to_owned()));
        }
        doors(&store, staged, news, done)?;
        check_manifest(&store, staged.manifest)?;
    }
    Ok(())
}

/// Rejects restoring a single workspace whose slug another workspace has now: slugs are unique.
fn own_place(store: &Store, staged: &Staged<'_>, slug: &str) -> Result<(), BackupError> {
    if staged.folder.join(SYSTEM).exists() {
        return Ok(());
    }
    let settings =
        store.read(|snap| workspace::settings(snap)).map_err(BackupError::store(slug))?;
    let is_other = |row: &&Workspace| {
        row.slug == slug && settings.as_ref().is_some_and(|settings| settings.id != row.id)
    };
    match staged.listed.iter().find(is_other) {
        None => Ok(()),
        Some(other) => Err(BackupError::Restore(format!(
            "another workspace now has the address {slug} ({}), and the one in the backup would \
             replace it; restore it with --into to a separate folder and use `hq export` and `hq \
             import --as` to add it, or move the other one away first (`hq workspace move`)",
            other.label
        ))),
    }
}

/// Note about a workspace restored alone: its state on the list (archived or scheduled for deletion) is kept, because
/// the accounts are not restored.
fn standing(staged: &Staged<'_>, slug: &str) -> Option<String> {
    let row = staged.listed.iter().find(|row| row.slug == slug)?;
    let back = format!("`hq workspace restore {slug}` restores it");
    match (row.state, row.delete_after) {
        (WorkspaceState::Active, _) => None,
        (WorkspaceState::Archived, _) | (WorkspaceState::Deleting, None) => {
            Some(format!("{slug}: it is archived, so it is read-only; {back}"))
        }
        (WorkspaceState::Deleting, Some(at)) => Some(format!(
            "{slug}: it is scheduled for deletion, including the restored data, within an hour of \
             a start after {at}; {back}: do that first"
        )),
    }
}

/// Note if the available key cannot verify passwords.
fn passwords(staged: &Staged<'_>, ring: Option<&Keyring>) -> Option<String> {
    let manifest = staged.manifest;
    let fits = ring.is_some_and(|ring| ring.knows(&manifest.key_id));
    (!fits).then(|| {
        format!(
            "everyone's password: set a new one with `hq user reset-link` (the backup was created \
             with the master key {}, which isn't at {})",
            manifest.key_id,
            staged.key_file.display()
        )
    })
}

/// Rolls a store back to the requested time and notes what could not be rolled back. Returns whether the store
/// existed at that time.
fn back(store: &Store, name: &str, done: &mut Restored) -> Result<bool, BackupError> {
    let Some(moment) = done.moment else { return Ok(true) };
    let gone = go_back(store, moment, BY).map_err(|error| match error {
        BackError::Store(error) => BackupError::store(name)(error),
        error @ (BackError::Gone { .. } | BackError::Twice { .. }) => {
            BackupError::Restore(format!("{name}: {error}"))
        }
    })?;
    if gone.to == 0 {
        done.notes.push(format!("{name} didn't exist yet at {moment} and is left out"));
        return Ok(false);
    }
    done.notes.push(format!(
        "{name}: {} entries reverted, {} records restored, {} later rows removed",
        gone.entries, gone.records, gone.removed
    ));
    for (table, count) in gone.left {
        done.notes.push(format!(
            "{name}: {count} of {table} stay as they were at {}, because their earlier values \
             aren't stored",
            done.taken_at
        ));
    }
    Ok(true)
}

/// Ends access to a workspace that had been ended since the backup, and notes it.
fn people_of(store: &Store, staged: &Staged<'_>, slug: &str) -> Result<Vec<String>, BackupError> {
    let former = staged.people.get(slug).cloned();
    let shut = staged.former.as_ref().map(|former| former.shut().clone()).unwrap_or_default();
    let closed =
        store.write_blocking(BY.0, BY.1, move |tx| close_doors(tx, former.as_ref(), &shut));
    let closed = closed.map_err(|error| BackupError::Restore(format!("{slug}: {error}")))?;
    let mut notes = Vec::new();
    let mut say = |names: &[String], words: &str| {
        if !names.is_empty() {
            notes.push(format!("{slug}: {words}: {}", names.join(", ")));
        }
    };
    say(&closed.left, "not members, because they had left since the backup");
    say(&closed.lowered, "with the lower role they had since the backup");
    say(&closed.owners, "owners, because there would be no other; check the members");
    match closed.invites {
        0 => {}
        1 => notes.push(format!("{slug}: 1 open invitation has ended")),
        n => notes.push(format!("{slug}: {n} open invitations have ended")),
    }
    if !closed.known {
        notes.push(format!(
            "{slug}: members and roles are those of the backup: check the members, because some \
             may have left since"
        ));
    }
    Ok(notes)
}

/// Pauses all work, because the original may still be running.
fn quieten(store: &Store, slug: &str) -> Result<(), BackupError> {
    let order = |tx: &mut WriteTx<'_>| halt::order(tx, HaltOf::Workspace, HaltHow::Now);
    let ordered = store.write_blocking(BY.0, BY.1, order);
    ordered.map(drop).map_err(|error| BackupError::Restore(format!("{slug}: {error}")))
}

/// Ends access that must not be open after a restore, and notes it.
fn doors(
    store: &Store,
    staged: &Staged<'_>,
    mut news: Vec<String>,
    done: &mut Restored,
) -> Result<(), BackupError> {
    let stay = staged.listed.clone();
    let there: BTreeSet<String> = done.workspaces.iter().chain(&done.stay).cloned().collect();
    let (former, known) = (staged.former.clone(), staged.former.is_some());
    let (backup, taken_at) = (staged.manifest.id.clone(), staged.manifest.taken_at);
    let (moment, workspaces) = (done.moment, done.workspaces.clone());
    let bytes = staged.manifest.bytes();
    // The built-in backup folder is in the data directory and may be missing on a new machine.
    let own = done.data.join("backups").join("local");
    let lost = (!own.join("hq-backups.json").exists()).then(|| own.display().to_string());
    let written = store.write_blocking(BY.0, BY.1, move |tx| {
        if let Some(lost) = lost {
            backups::forget_place(tx, &lost)?;
        }
        backups::end_restored(tx, &backup, bytes)?;
        let others = forget_others(tx, &there)?;
        keep_listed(tx, stay)?;
        let closed = after_restore(tx, former.as_ref())?;
        let notes = sentences(&closed, &others, known);
        news.extend(notes.iter().cloned());
        let one = NewRestoration { backup, taken_at, moment, workspaces, notes: news };
        backups::note_restoration(tx, one)?;
        Ok::<_, UsersError>(notes)
    });
    let notes = written.map_err(|error| BackupError::Restore(format!("{SYSTEM}: {error}")))?;
    done.notes.extend(notes);
    Ok(())
}

fn sentences(closed: &Closed, others: &[String], former: bool) -> Vec<String> {
    let counted = |n: u64, one: &str| match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    };
    let mut notes = vec![format!(
        "everyone has to sign in again: {} and all one-time links have ended",
        counted(closed.sign_ins, "sign-in")
    )];
    notes.push(match (former, closed.tokens + closed.accounts) {
        (true, 0) => "no tokens or accounts had been closed since the backup".to_owned(),
        (true, _) => format!(
            "{} and {} that had been closed since the backup are closed again",
            counted(closed.tokens, "token"),
            counted(closed.accounts, "account")
        ),
        (false, _) => {
            "tokens and accounts are those of the backup: check them, because some may have been \
                  closed since"
                .to_owned()
        }
    });
    if 0 < closed.passkeys {
        let passkeys = counted(closed.passkeys, "passkey");
        notes.push(format!("{passkeys} that had been removed since the backup: removed again"));
    }
    let words = "passwords and second factors are those of the backup: anyone who has changed \
                 theirs since has to change them again";
    notes.push(words.to_owned());
    if !closed.graces.is_empty() {
        notes.push(format!(
            "scheduled for deletion: {}; they now have 7 days again",
            closed.graces.join(", ")
        ));
    }
    if !others.is_empty() {
        notes.push(format!("not restored and removed from the list: {}", others.join(", ")));
    }
    notes
}

/// Records the restore as an entry, checks the hash chain and closes the store.
fn check_manifest(store: &Store, manifest: &Manifest) -> Result<(), BackupError> {
    let (backup, taken_at): (String, Timestamp) = (manifest.id.clone(), manifest.taken_at);
    store.write_blocking(BY.0, BY.1, move |tx| {
        backups::note_restored(tx, backup, taken_at);
        Ok::<_, StoreError>(())
    })?;
    store.follow_chain()?;
    store.close();
    Ok(())
}

/// Dependencies for opening stores.
struct Means {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Default for Means {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(SystemIds::default()) }
    }
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}

fn formats(error: &OpenError) -> Option<(u32, u32)> {
    match error {
        OpenError::Store(StoreError::Format { found, known }) => Some((*found, *known)),
        _ => None,
    }
}

fn plain(folder: &Path, name: &str, means: &Means) -> Result<Store, StoreError> {
    Store::open(Options {
        path: folder.join(name),
        schema: schema_of(name),
        cache: CACHE,
        clock: Arc::clone(&means.clock),
        ids: Arc::clone(&means.ids),
        reactor: None,
        faults: Arc::new(NoFaults),
    })
}

/// Opens a store. An older format is upgraded first with the same steps as at start.
fn open(folder: &Path, name: &str, means: &Means) -> Result<Store, BackupError> {
    let path = folder.join(name);
    let upgrader = Upgrader {
        data: folder.to_owned(),
        clock: Arc::clone(&means.clock),
        ids: Arc::clone(&means.ids),
        faults: Arc::new(NoFaults),
        front: Front::default(),
    };
    let schema = if name == SYSTEM { schema::system } else { schema::workspace };
    let opened = upgrader.open(&path, schema, formats, || -> Result<_, OpenError> {
        Ok(plain(folder, name, means)?)
    });
    let store = opened.map_err(|error| match error {
        OpenError::Store(error) => BackupError::store(name)(error),
        OpenError::Upgrade(error) => BackupError::Restore(error.to_string()),
    })?;
    store.follow_chain().map_err(BackupError::store(name))?;
    Ok(store)
}

/// Deletes copies that an upgrade kept beside a store: the backup has the former state.
fn drop_kept(folder: &Path, name: &str) -> Result<(), BackupError> {
    let path = folder.join(name);
    for kept in migrate::kept(&path).map_err(BackupError::disk(&path))? {
        fs::remove_file(&kept.path).map_err(BackupError::disk(&kept.path))?;
    }
    Ok(())
}

/// Keys of secrets that cannot be decrypted.
fn unreadable_secrets(store: &Store, ring: Option<&Keyring>) -> Result<Vec<String>, StoreError> {
    store.read(|snap| {
        let mut keys = Vec::new();
        for value in snap.list::<Value>(&Range::all())? {
            if !ring.is_some_and(|ring| ring.knows(&value.key_id)) {
                keys.extend(snap.get::<Secret>(value.secret)?.map(|one| one.key));
            }
        }
        Ok(keys)
    })
}

/// Names of connections whose key cannot be decrypted.
fn unreadable_keys(store: &Store, ring: Option<&Keyring>) -> Result<Vec<String>, StoreError> {
    store.read(|snap| {
        let mut names = Vec::new();
        for key in snap.list::<ConnectionKey>(&Range::all())? {
            let holds = ring.is_some_and(|ring| ring.knows(&key.key_id));
            if !holds {
                let connection = snap.get::<Connection>(key.connection)?;
                names.push(connection.map_or_else(|| key.connection.to_string(), |one| one.name));
            }
        }
        for spare in snap.list::<SpareKeys>(&Range::all())? {
            let holds = |key: &SpareKey| ring.is_some_and(|ring| ring.knows(&key.key_id));
            let name = snap.get::<Connection>(spare.connection)?.map(|one| one.name);
            let name = name.unwrap_or_else(|| spare.connection.to_string());
            if !spare.keys.iter().all(holds) && !names.contains(&name) {
                names.push(name);
            }
        }
        for grant in snap.list::<Grant>(&Range::all())? {
            if !ring.is_some_and(|ring| ring.knows(&grant.key_id)) {
                let connection = snap.get::<Connection>(grant.connection)?;
                names.push(connection.map_or_else(|| grant.connection.to_string(), |one| one.name));
            }
        }
        Ok(names)
    })
}

/// Rehearses a restore: writes to a folder, opens every store and checks its chain, then deletes the folder.
#[must_use]
pub fn rehearse(clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Rehearse {
    let means = Means { clock, ids };
    Arc::new(move |repo, manifest, folder, meter| {
        let clear = || match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BackupError::disk(folder)(error))
            }
            _ => Ok(()),
        };
        clear()?;
        room(folder, manifest, None)?;
        fs::create_dir_all(folder).map_err(BackupError::disk(folder))?;
        let tried = write_out(repo, (manifest, None), folder, &schema_of, meter).and_then(|()| {
            let mut entries = 0;
            for part in manifest.parts.iter().filter(|part| part.store.is_some()) {
                let store = open(folder, &part.path, &means)?;
                entries += store.head().seq;
                store.close();
            }
            Ok(entries)
        });
        clear()?;
        let entries = tried?;
        Ok(format!("{} workspaces opened, {entries} entries", manifest.workspaces.len()))
    })
}
