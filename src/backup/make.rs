//! Creates a backup: first the stores, each in one snapshot, then the files.
//!
//! The store of accounts is read after those of the workspaces. A person who joins meanwhile then has an account
//! without a membership, and the invitation is still valid. In the opposite order, the invitation would be used up by a
//! member without an account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::Clock;
use store::blob::refs;
use store::disk::reserve;
use store::dump::Item;
use store::{Store, StoreError};

use super::manifest::{BlobRef, ChunkRef, Manifest, Part, PartKind, StoreFacts, blobs_hash};
use super::pieces::{Cutter, Sink};
use super::progress::{Meter, Phase};
use super::repo::{Known, Owner, Repository, Work, random_hex};
use super::stream;
use super::target::{Folder, Target};
use super::walk::{Tree, files_part};
use super::{BackupError, FORMAT};

/// Bytes that must stay free at the target, beyond the expected backup and the reserve of a store on the same disk.
const MARGIN: u64 = 64 * 1024 * 1024;

/// Blobs looked up at once.
const LOOK: usize = 500;
/// Missing blobs that are named.
const NAMED: usize = 100;

/// Returns the slugs of all workspaces that the store of accounts lists.
pub type Listed = Arc<dyn Fn() -> Result<BTreeSet<String>, StoreError> + Send + Sync>;

/// Input of a backup.
pub struct Source {
    /// `system.redb`.
    pub system: Store,
    pub workspaces: Vec<SourceWorkspace>,
    pub data: PathBuf,
    /// Id of the master key.
    pub key_id: String,
    /// Ids of former master keys: backups made with them belong to this HQ.
    pub former_keys: Vec<String>,
    /// Omissions known from the start.
    pub left_out: Vec<String>,
    /// Workspaces listed when `workspaces` was collected.
    pub listed: BTreeSet<String>,
    /// Workspaces listed now.
    pub still: Listed,
    pub owner: Owner,
    /// Backups of other master keys at the target are expected.
    pub beside_others: bool,
    pub clock: Arc<dyn Clock>,
}

pub struct SourceWorkspace {
    pub slug: String,
    pub store: Store,
    pub folder: PathBuf,
}

/// Creates a backup. Blocking.
///
/// Each store is read in one long snapshot, in the order of tables and keys, because feed, rows and derived data must
/// belong to the same commit. To keep the snapshot short, new chunks go to `backups/spool` in the data folder and are
/// sent after all stores are read (by rename on the same disk). Only if the data folder has no room and the target is a
/// folder, chunks are written to the target directly.
///
/// # Errors
/// If the target or a store fails, or if there are workspaces and none can be read. Then there is no new backup; the
/// next one removes the remains.
pub fn make(repo: &Repository, source: &Source, meter: &Meter) -> Result<Manifest, BackupError> {
    let spool = source.data.join("backups").join("spool");
    remove(&spool)?;
    let made = make_with(repo, source, &spool, meter);
    if made.is_err() {
        // ok: the first error counts; the next backup and the next start clear the folder.
        let _ = remove(&spool);
    }
    made
}

fn make_with(
    repo: &Repository,
    source: &Source,
    spool: &Path,
    meter: &Meter,
) -> Result<Manifest, BackupError> {
    let started_at = source.clock.now();
    meter.begin(Phase::Looking, 0);
    let begun = repo.begin(Work::Backup, &source.owner, started_at)?;
    if begun.is_alone() {
        repo.target.tidy()?;
    }
    let mut former = Former::read(repo, source)?;
    let sizes = Sizes::of(source);
    let spooled = room(repo, &sizes, &former, spool)?;
    let mut sink = Sink {
        repo,
        known: std::mem::take(&mut former.known),
        meter,
        spool: spooled.then(|| Folder::new(spool.to_owned())),
        pending: Vec::new(),
    };
    meter.begin(Phase::Stores, sizes.all());
    let taken_at = source.clock.now();
    let mut left_out = source.left_out.clone();
    let mut stores = Vec::new();
    for ws in &source.workspaces {
        let path = format!("workspaces/{}/hq.redb", ws.slug);
        match store_part(&ws.store, &path, &mut sink) {
            Ok(part) => stores.push((ws, part)),
            Err(BackupError::Store { source: StoreError::Closed, .. }) => {
                // All stores close when the program stops, which ends the backup.
                sink.meter.add(0)?;
                left_out.push(gone(ws));
            }
            Err(error) => return Err(error),
        }
    }
    let mut parts = vec![store_part(&source.system, "system.redb", &mut sink)?];
    meter.enter(Phase::Sending);
    sink.send()?;
    remove(spool)?;
    meter.enter(Phase::Files);
    let mut workspaces = Vec::new();
    for (ws, store) in stores {
        let mut missing = Vec::new();
        let files = file_parts(ws, &former, &mut sink, &mut missing)?;
        // The folder of a deleted workspace is moved away in one step. A store without its files is no backup.
        if !ws.folder.join("hq.redb").is_file() {
            left_out.push(gone(ws));
            continue;
        }
        workspaces.push(ws.slug.clone());
        left_out.append(&mut missing);
        parts.push(store);
        parts.extend(files);
    }
    // Workspaces created or deleted meanwhile do not count as missing.
    let still = (source.still)()?;
    let is_missing = |slug: &&String| still.contains(*slug) && !workspaces.contains(*slug);
    let missing: Vec<String> = source.listed.iter().filter(is_missing).cloned().collect();
    if workspaces.is_empty() && !missing.is_empty() {
        return Err(BackupError::Nothing { missing: missing.join(", "), why: left_out.join("; ") });
    }
    meter.enter(Phase::Sending);
    sink.flush()?;
    repo.target.settle()?;
    let stamp = taken_at.strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    let manifest = Manifest {
        format: FORMAT,
        id: format!("{stamp}-{}", &random_hex()[..6]),
        serial: former.serial + 1,
        taken_at,
        started_at,
        app: env!("CARGO_PKG_VERSION").to_owned(),
        key_id: source.key_id.clone(),
        workspaces,
        parts,
        new_bytes: meter.new_bytes(),
        left_out,
        missing,
    };
    repo.put_manifest(&manifest)?;
    Ok(manifest)
}

fn gone(ws: &SourceWorkspace) -> String {
    format!("the workspace {} was moved or deleted during the backup", ws.slug)
}

/// What a new backup needs from existing ones. Manifests are read one by one, since together they may not fit into
/// memory.
#[derive(Default)]
struct Former {
    /// The highest serial number.
    serial: u64,
    /// Size of the latest backup in bytes, if there is one.
    last: Option<u64>,
    /// Existing chunks, which need not be written again.
    known: Known,
    /// Known blobs by id, per blob part.
    blobs: HashMap<String, HashMap<String, BlobRef>>,
}

impl Former {
    fn read(repo: &Repository, source: &Source) -> Result<Self, BackupError> {
        let (there, mut former) = (repo.pieces()?, Self::default());
        let damaged = repo.each_manifest(&mut |manifest| {
            let is_own =
                manifest.key_id == source.key_id || source.former_keys.contains(&manifest.key_id);
            if !is_own && !source.beside_others {
                return Err(BackupError::Others { place: repo.place().to_owned() });
            }
            former.serial = former.serial.max(manifest.serial);
            former.last = Some(manifest.bytes());
            for part in manifest.parts {
                for ChunkRef(name, _, stored) in part.all_chunks() {
                    if there.get(name).is_some_and(|(size, _)| size == stored) {
                        former.known.insert(name.clone(), *stored);
                    }
                }
                if part.kind == PartKind::Blobs {
                    let blobs = former.blobs.entry(part.path).or_default();
                    blobs.extend(part.blobs.into_iter().map(|blob| (blob.id.clone(), blob)));
                }
            }
            Ok(())
        })?;
        for (_, error) in &damaged {
            tracing::warn!(%error, "a former backup cannot be read");
        }
        Ok(former)
    }
}

/// Estimated sizes, from file lengths.
struct Sizes {
    stores: u64,
    files: u64,
}

impl Sizes {
    fn of(source: &Source) -> Self {
        let store = |path: PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
        let mut sizes = Self { stores: store(source.data.join("system.redb")), files: 0 };
        for ws in &source.workspaces {
            sizes.stores += store(ws.folder.join("hq.redb"));
            let blobs = Tree::new(&ws.folder.join("blobs"), |_| false);
            sizes.files += blobs.size() + history(ws).size() + agents(ws).size();
        }
        sizes
    }

    fn all(&self) -> u64 {
        self.stores + self.files
    }
}

/// Checks free space: for everything in a first backup, otherwise for the growth and a tenth of the stores, which
/// change in many places. Returns whether the spool has room, too.
fn room(
    repo: &Repository,
    sizes: &Sizes,
    former: &Former,
    spool: &Path,
) -> Result<bool, BackupError> {
    let grown = match former.last {
        None => sizes.all(),
        Some(last) => sizes.all().saturating_sub(last) + sizes.stores / 10,
    };
    let left = reserve(sizes.stores) + MARGIN;
    repo.target.has_room(grown + left)?;
    match Folder::new(spool.to_owned()).has_room(sizes.stores.min(grown) + left) {
        Err(error) if repo.target.is_slow() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the stores are held while the target is written");
            Ok(false)
        }
        Ok(()) => Ok(true),
    }
}

fn remove(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::disk(folder)(error))
        }
        _ => Ok(()),
    }
}

fn store_part(store: &Store, path: &str, sink: &mut Sink<'_>) -> Result<Part, BackupError> {
    let mut cutter = Cutter::new(sink.repo.seed());
    let mut rows: BTreeMap<u16, u64> = BTreeMap::new();
    let mut now = 0;
    let dumped = store.dump(|item| {
        match item {
            Item::Table(number) => {
                now = number;
                stream::table(number, cutter.buffer());
            }
            Item::Row(key, value) => {
                *rows.entry(now).or_default() += 1;
                stream::row(key, value, cutter.buffer());
            }
        }
        cutter.settle(sink)
    });
    let dumped = dumped.map_err(|error| match error {
        BackupError::Store { source, .. } => BackupError::Store { which: path.to_owned(), source },
        error => error,
    })?;
    cutter.buffer().push(stream::END);
    let cut = cutter.finish(sink)?;
    Ok(Part {
        path: path.to_owned(),
        kind: PartKind::Store,
        bytes: cut.bytes,
        sha256: hex::encode(cut.sha256),
        chunks: cut.chunks,
        store: Some(StoreFacts {
            incarnation: format!("{:x}", dumped.end.incarnation),
            seq: dumped.end.seq,
            rows,
            format: dumped.format,
        }),
        blobs: Vec::new(),
        files: 0,
    })
}

fn file_parts(
    ws: &SourceWorkspace,
    former: &Former,
    sink: &mut Sink<'_>,
    left_out: &mut Vec<String>,
) -> Result<Vec<Part>, BackupError> {
    let path = |name: &str| format!("workspaces/{}/{name}", ws.slug);
    // Blobs referenced now must exist, since no sweep runs meanwhile; otherwise they are lost.
    let held = held(ws)?;
    let blobs = blobs_part(&path("blobs"), &ws.folder.join("blobs"), former, sink, left_out)?;
    note_lost(&blobs, held, left_out);
    // An agent's branch exists before its folder. An agent created from here on may lack its branch in this backup, so
    // its folder is left out: in the store, which was read before, it is not set up yet.
    let folder = ws.folder.join("agents");
    let ready = git::check::agents_in(&folder).map_err(BackupError::disk(&folder))?;
    let git = files_part(&path("agents.git"), &history(ws), sink, left_out)?;
    let tree = agents(ws).only(ready.into_iter().collect());
    let agents = files_part(&path("agents"), &tree, sink, left_out)?;
    Ok(vec![blobs, git, agents])
}

/// The git repository of the agents' files.
fn history(ws: &SourceWorkspace) -> Tree {
    // References are read first: their objects exist before a reference is updated.
    Tree::new(&ws.folder.join("agents.git"), is_git_leftover).first(&["packed-refs", "refs"])
}

fn agents(ws: &SourceWorkspace) -> Tree {
    Tree::new(&ws.folder.join("agents"), is_scratch)
}

/// Lock files and incomplete objects.
fn is_git_leftover(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".lock") || name.starts_with("tmp_") || name.starts_with(".tmp")
}

/// Of an agent's folder only `files` is backed up; the rest is scratch data of programs.
fn is_scratch(path: &str) -> bool {
    let mut parts = path.split('/');
    let second = parts.nth(1);
    second.is_some_and(|name| name != "files")
}

// ── Blobs ──

/// Blobs that records and their history reference.
fn held(ws: &SourceWorkspace) -> Result<BTreeSet<String>, BackupError> {
    let (mut all, mut after) = (BTreeSet::new(), None);
    loop {
        let found = match ws.store.read(|snap| refs::held(snap, after, LOOK)) {
            // The workspace was closed meanwhile and is left out.
            Err(StoreError::Closed) => return Ok(all),
            found => found?,
        };
        after = found.last().copied();
        all.extend(found.iter().map(ToString::to_string));
        if found.len() < LOOK {
            return Ok(all);
        }
    }
}

/// Reports referenced blobs that are not in the backup.
fn note_lost(part: &Part, mut held: BTreeSet<String>, left_out: &mut Vec<String>) {
    for blob in &part.blobs {
        held.remove(&blob.id);
    }
    // Damaged blobs are already reported.
    held.retain(|id| !left_out.iter().any(|one| one.contains(id.as_str())));
    let more = held.len().saturating_sub(NAMED);
    let words = |id: String| {
        format!("{}/{id}: it is missing; `hq doctor blobs` shows what uses it", part.path)
    };
    left_out.extend(held.into_iter().take(NAMED).map(words));
    if 0 < more {
        left_out.push(format!("{}: {more} more that are missing", part.path));
    }
}

fn blobs_part(
    path: &str,
    folder: &Path,
    former: &Former,
    sink: &mut Sink<'_>,
    left_out: &mut Vec<String>,
) -> Result<Part, BackupError> {
    let before = former.blobs.get(path);
    let mut blobs = Vec::new();
    for (id, file) in blob_files(folder)? {
        // The id is the content's hash, so a known blob need not be read again.
        let kept = before.and_then(|all| all.get(&id)).filter(|blob| {
            blob.chunks.iter().all(|ChunkRef(name, ..)| sink.known.contains_key(name))
        });
        if let Some(blob) = kept {
            sink.meter.add(blob.chunks.iter().map(|piece| piece.1).sum())?;
            blobs.push(blob.clone());
            continue;
        }
        match blob(&id, &file, sink)? {
            Some(blob) => blobs.push(blob),
            None => left_out.push(format!("{path}/{id}: its content doesn't match its name")),
        }
    }
    let bytes = blobs.iter().flat_map(|blob| &blob.chunks).map(|piece| piece.1).sum();
    Ok(Part {
        path: path.to_owned(),
        kind: PartKind::Blobs,
        bytes,
        sha256: blobs_hash(&blobs),
        chunks: Vec::new(),
        store: None,
        files: blobs.len() as u64,
        blobs,
    })
}

pub(super) fn blob_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, BackupError> {
    let mut found = BTreeMap::new();
    let Ok(outer) = fs::read_dir(folder) else { return Ok(found) };
    for shelf in outer {
        let shelf = shelf.map_err(BackupError::disk(folder))?.path();
        let start = shelf.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(start) = start.filter(|start| start.len() == 2 && shelf.is_dir()) else {
            continue;
        };
        for file in fs::read_dir(&shelf).map_err(BackupError::disk(&shelf))? {
            let file = file.map_err(BackupError::disk(&shelf))?;
            let id = format!("{start}{}", file.file_name().to_string_lossy());
            if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
                found.insert(id, file.path());
            }
        }
    }
    Ok(found)
}

/// A blob as chunks; `None` if its content does not match its id. A blob that was swept just now is irrelevant: no
/// record references it.
fn blob(id: &str, file: &Path, sink: &mut Sink<'_>) -> Result<Option<BlobRef>, BackupError> {
    let mut from = match fs::File::open(file) {
        Ok(from) => from,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::disk(file)(error)),
    };
    let mut cutter = Cutter::new(sink.repo.seed());
    loop {
        let mut piece = (&mut from).take(stream::STRETCH as u64);
        let n = piece.read_to_end(cutter.buffer()).map_err(BackupError::disk(file))?;
        cutter.settle(sink)?;
        if n == 0 {
            break;
        }
    }
    let cut = cutter.finish(sink)?;
    let is_whole = hex::encode(cut.sha256) == id;
    Ok(is_whole.then(|| BlobRef { id: id.to_owned(), chunks: cut.chunks }))
}
