//! Export of one workspace to a file, and import of such a file as a new workspace.
//!
//! An import trusts nothing in the file. It is unpacked in a separate folder, every row is read before the first is
//! written, and the folder is moved into place when it is complete. The imported workspace is paused, so that nothing
//! is done twice while the original is still active.

pub(crate) mod still;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use app::{App, Ws};
use backup::portable::{
    Bounds, ExportSource, Portable, PortableTable, Watched, bundle, export as write_file, needs,
    rows, unpack,
};
use backup::{BackupError, settle};
use features::users::model::Account;
use features::users::queries as accounts;
use features::workspace::model::{MEMBERS, Member, SETTINGS};
use features::workspace::rules::members;
use git::AgentsRepo;
use kernel::{Actor, Cause, ImportId, TypedId, WorkspaceId, text};
use store::disk::{reserve, sync_folder};
use store::{Class, NoFaults, Options, Schema, Step, Store, StoreError, WriteTx, free_of};

use super::{schema, workspaces};

use still::{Quiet, is_to_send, quieten, unsent};

/// Rows per transaction.
const PIECE: usize = 500;
/// Maximum number of rows that wait for rows they refer to.
const MOST_WAITING: usize = 200_000;
/// Maximum number of files in an export.
const MOST_FILES: usize = 500_000;
/// Maximum ratio of unpacked to packed size.
const MOST_RATIO: u64 = 1_000;

/// Free space for a folder, minus the reserve.
pub(super) fn room_in(folder: &Path) -> u64 {
    // A file system that does not report its free space does not count as full.
    free_of(folder).map_or(u64::MAX, |free| free.saturating_sub(reserve(0)))
}

fn refused(why: impl std::fmt::Display) -> BackupError {
    BackupError::Restore(why.to_string())
}

// ── Export ──

/// Writes a workspace to a file in `folder`. Concurrent exports are allowed: each has its own spool folder. Blocking.
///
/// # Errors
/// When there is not enough space, or the store or a disk fails.
pub fn export(ws: &Ws, out: &mut dyn Write, folder: &Path) -> Result<Portable, BackupError> {
    // Blobs are read after the snapshot that refers to them; the hold prevents their deletion meanwhile.
    let _hold = ws.blobs.hold();
    let data = &ws.app.config.data;
    has_room(ws, folder)?;
    let own = ws.app.ids.next(ws.app.clock.now_ms());
    let spool = data.join("backups").join(format!("export-{}-{}", ws.id.short(), own.simple()));
    let repo = ws.repo().map_err(refused)?;
    let source = ExportSource {
        store: &ws.store,
        folder: &ws.folder,
        slug: &ws.slug,
        workspace: ws.id.to_string(),
        now: ws.app.clock.now(),
        bundle: &|out| repo.write_bundle(out),
        room: &|| room_in(data),
    };
    let room = || room_in(folder);
    let done = write_file(&source, &spool, &mut Watched::new(out, &room));
    if done.is_err() {
        // ok: the first error counts, and the next start clears the folder.
        let _ = fs::remove_dir_all(&spool);
    }
    done
}

/// Rejects an export that would fill the disk of the data directory (spool) or of the target file.
fn has_room(ws: &Ws, folder: &Path) -> Result<(), BackupError> {
    let data = &ws.app.config.data;
    let (aside, file) = needs(&ws.folder);
    let fits = |place: &Path, need: u64| match room_in(place) {
        room if room < need => Err(BackupError::full(place.display(), room, need)),
        _ => Ok(()),
    };
    let disk = |place: &Path| fs::metadata(place).map(|meta| meta.dev()).ok(); // ok: counts as another.
    match disk(data) == disk(folder) {
        true => fits(data, aside + file),
        false => fits(data, aside).and_then(|()| fits(folder, file)),
    }
}

/// Exports to a new file at `path`.
///
/// # Errors
/// When the file exists, or as [`export`].
pub fn export_to(ws: &Ws, path: &Path) -> Result<Portable, BackupError> {
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let path = path.display();
            return Err(refused(format!("{path} already exists; choose another name")));
        }
        made => made.map_err(BackupError::disk(path))?,
    };
    let folder = path.parent().unwrap_or(path);
    let done = export(ws, &mut file, folder)
        .and_then(|done| file.sync_all().map(|()| done).map_err(BackupError::disk(path)));
    if done.is_err() {
        // ok: an incomplete file is useless, and the first error counts.
        let _ = fs::remove_file(path);
    }
    done
}

// ── Import ──

/// What came in.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Imported {
    /// The new workspace's name in addresses.
    pub slug: String,
    /// Its id.
    pub workspace: WorkspaceId,
    /// Rows.
    pub rows: u64,
    /// Uploaded files and large outputs.
    pub blobs: u64,
    /// Branches of agents' files.
    pub branches: u64,
    /// Runs that were at work in it and are ended here.
    pub interrupted: u64,
    /// Agents that are paused until somebody resumes them.
    pub paused: u64,
    /// What is not in the file, or stays where it comes from.
    pub left_out: Vec<String>,
    /// What is worth knowing, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Parameters of an import.
pub struct ImportRequest {
    /// Slug of the new workspace, if not the one in the file.
    pub slug: Option<String>,
    pub by: Actor,
    /// Owner of the imported workspace, in addition to the members in it.
    pub owner: Account,
}

/// Creates a new workspace from an export. Blocking; must run in an async runtime.
///
/// # Errors
/// The first problem found; nothing has changed then.
pub fn import(
    app: &App,
    from: &mut dyn Read,
    wish: &ImportRequest,
) -> Result<Imported, BackupError> {
    workspaces::life::count_with_one_more(app).map_err(refused)?;
    let id = ImportId::from_uuid(app.ids.next(app.clock.now_ms()));
    let folder = app.config.data.join(format!("importing-{}", id.short()));
    let inside = folder.join("in");
    fs::create_dir_all(&inside).map_err(BackupError::disk(&inside))?;
    let room = || room_in(&inside);
    let bounds = Bounds { files: MOST_FILES, ratio: MOST_RATIO, room: &room };
    let done = unpack(from, &inside, &bounds)
        .and_then(|portable| bring_in(app, &portable, &folder, id, wish));
    if let Err(error) = fs::remove_dir_all(&folder) {
        tracing::warn!(%error, "{} is left", folder.display());
    }
    done
}

fn bring_in(
    app: &App,
    portable: &Portable,
    folder: &Path,
    id: ImportId,
    wish: &ImportRequest,
) -> Result<Imported, BackupError> {
    let (inside, made) = (&folder.join("in"), &folder.join("new"));
    let slug = checked_slug(app, wish.slug.as_deref().unwrap_or(&portable.slug))?;
    let fresh = WorkspaceId::from_uuid(app.ids.next(app.clock.now_ms()));
    let schema = schema::workspace();
    let names = Names::of(app, portable, inside, fresh)?;
    let tables = in_order(&schema, portable)?;
    let settings = tables.iter().find(|(table, _)| table.number == SETTINGS.number);
    if settings.is_none_or(|(table, _)| table.rows != 1) {
        return Err(refused("the file has no workspace settings"));
    }
    for (table, ops) in &tables {
        rows(inside, table, &mut |row| (ops.parse)(names.apply(row)).map(drop).map_err(refused))?;
    }
    fs::create_dir_all(made.join("agents")).map_err(BackupError::disk(made))?;
    let store = Store::open(Options {
        path: made.join("hq.redb"),
        schema: schema::workspace(),
        cache: workspaces::LEAST_CACHE,
        clock: Arc::clone(&app.clock),
        ids: Arc::clone(&app.ids),
        reactor: None,
        faults: Arc::new(NoFaults),
    })
    .map_err(BackupError::store(&slug))?;
    let (by, cause) = (wish.by, Cause::Import(id));
    let count = fill(&store, (by, cause), inside, &tables, &names)?;
    let Account { id: account, name, email, .. } = wish.owner.clone();
    let joining = members::Joining { account, name, email };
    store.write_blocking(by, cause, move |tx| members::take_over(tx, joining)).map_err(refused)?;
    let Quiet { interrupted, paused } = quieten(&store, (by, cause), "the workspace was exported")?;
    let blobs = inside.join("blobs");
    if blobs.exists() {
        let to = made.join("blobs");
        fs::rename(&blobs, &to).map_err(BackupError::disk(&to))?;
    }
    let branches = take_git(inside, made)?;
    store.follow_chain().map_err(BackupError::store(&slug))?;
    store.close();
    stand(app, made, &slug)?;
    Ok(Imported {
        slug,
        workspace: fresh,
        rows: count,
        blobs: portable.files.keys().filter(|name| name.starts_with("blobs/")).count() as u64,
        branches,
        interrupted,
        paused,
        left_out: portable.left_out.iter().cloned().chain(unsent(&portable.tables)).collect(),
        notes: vec![still::STILL.to_owned()],
    })
}

fn checked_slug(app: &App, slug: &str) -> Result<String, BackupError> {
    if slug.is_empty() || text::slug(slug, 40) != slug {
        return Err(refused(format!(
            "{slug:?} can't be used in URLs; use lower-case letters, digits and dashes"
        )));
    }
    let taken =
        app.workspace(slug).is_some() || app.config.data.join("workspaces").join(slug).exists();
    match taken {
        true => Err(refused(format!(
            "a workspace {slug} already exists; choose another URL name with --as (`?slug=` in \
             the API)"
        ))),
        false => Ok(slug.to_owned()),
    }
}

/// Ids that are replaced: the workspace id, and ids of people who already have an account here.
struct Names(HashMap<String, String>);

impl Names {
    fn of(
        app: &App,
        portable: &Portable,
        inside: &Path,
        fresh: WorkspaceId,
    ) -> Result<Self, BackupError> {
        let mut names = HashMap::from([(portable.workspace.clone(), fresh.to_string())]);
        let members = portable.tables.iter().find(|table| table.number == MEMBERS.number);
        if let Some(members) = members {
            rows(inside, members, &mut |row| {
                let member: Member = serde_json::from_value(row).map_err(refused)?;
                let here = app.system.read(|snap| accounts::by_email(snap, &member.email))?;
                if let Some(here) = here.filter(|here| here.id != member.account) {
                    names.insert(member.account.to_string(), here.id.to_string());
                }
                Ok(())
            })?;
        }
        Ok(Self(names))
    }

    fn apply(&self, mut row: Value) -> Value {
        self.change(&mut row);
        row
    }

    fn change(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(other) = self.0.get(text.as_str()) {
                    text.clone_from(other);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.change(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.change(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

type Ordered<'s> = Vec<(&'s PortableTable, &'s store::schema::Ops)>;

/// The tables of the file, referenced tables first.
fn in_order<'s>(schema: &'s Schema, portable: &'s Portable) -> Result<Ordered<'s>, BackupError> {
    let mut found = Vec::new();
    for table in &portable.tables {
        let info = schema.table(table.number).filter(|info| info.name == table.name);
        let known = info.and_then(|info| Some((info.class()?, info.ops.as_ref()?)));
        match known {
            Some((Class::Derived | Class::Remade | Class::Sealed, _)) | None => {
                return Err(refused(format!(
                    "the table {} ({}) is unknown; use a newer version of HQ",
                    table.name, table.number
                )));
            }
            Some((_, ops)) if ops.version != table.version => {
                return Err(refused(format!(
                    "the rows of {} have version {}, but this program reads {}; export it again \
                     with this version of HQ",
                    table.name, table.version, ops.version
                )));
            }
            Some((_, ops)) => found.push((table, ops)),
        }
    }
    // A sample row contains all kinds of references that a row can have.
    let needs: BTreeMap<u16, Vec<u16>> = found
        .iter()
        .map(|(table, ops)| {
            let derived = (ops.sample)().and_then(|row| (ops.derive)(&row)).unwrap_or_default();
            let targets = derived.refs.iter().map(|one| one.target.table);
            (table.number, targets.filter(|number| *number != table.number).collect())
        })
        .collect();
    let mut ordered: Ordered<'s> = Vec::new();
    while !found.is_empty() {
        let is_ready = |number: &u16| {
            needs[number].iter().all(|need| !found.iter().any(|(table, _)| table.number == *need))
        };
        // In a reference cycle, one table goes first, and its rows wait.
        let at = found.iter().position(|(table, _)| is_ready(&table.number)).unwrap_or(0);
        ordered.push(found.remove(at));
    }
    Ok(ordered)
}

/// Writes all rows in batches, except unsent outgoing messages. Returns the number of rows.
fn fill(
    store: &Store,
    who: (Actor, Cause),
    inside: &Path,
    tables: &Ordered<'_>,
    names: &Names,
) -> Result<u64, BackupError> {
    let (mut count, mut piece, mut waiting) = (0, Vec::new(), Vec::new());
    for (table, ops) in tables.iter().filter(|(table, _)| !is_to_send(table.number)) {
        rows(inside, table, &mut |row| {
            let (_, row) = (ops.parse)(names.apply(row)).map_err(refused)?;
            count += 1;
            piece.push((table.number, row));
            if PIECE <= piece.len() {
                waiting.extend(put(store, who, std::mem::take(&mut piece))?);
            }
            match waiting.len() {
                0..MOST_WAITING => Ok(()),
                _ => Err(refused("too many rows refer to missing records")),
            }
        })?;
    }
    waiting.extend(put(store, who, piece)?);
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut left = Vec::new();
        for piece in waiting.chunks(PIECE) {
            left.extend(put(store, who, piece.to_vec())?);
        }
        if left.len() == before {
            let table = left.first().map_or(0, |(number, _)| *number);
            let name = store.schema().table(table).map_or("", |info| info.name);
            return Err(refused(format!(
                "a row of {name} refers to a record that isn't in the \
                file"
            )));
        }
        waiting = left;
    }
    Ok(count)
}

type Rows = Vec<(u16, Vec<u8>)>;

/// Writes rows in one transaction. Returns the rows whose target does not exist yet.
fn put(store: &Store, (by, cause): (Actor, Cause), rows: Rows) -> Result<Rows, BackupError> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let done = store.write_blocking(by, cause, move |tx: &mut WriteTx<'_>| {
        let mut waiting = Vec::new();
        for (table, row) in rows {
            match tx.attempt(|tx| tx.import_row(table, &row)) {
                Ok(()) => {}
                Err(StoreError::MissingTarget { .. }) => waiting.push((table, row)),
                Err(error) => return Err(error),
            }
        }
        Ok(waiting)
    });
    Ok(done?)
}

/// Imports the agents' branches with their history, and their folders.
fn take_git(inside: &Path, made: &Path) -> Result<u64, BackupError> {
    let path = bundle(inside);
    let mut from = File::open(&path).map_err(BackupError::disk(&path))?;
    let repo = AgentsRepo::open_or_init(&made.join("agents.git")).map_err(refused)?;
    let branches = repo.read_bundle(&mut from).map_err(refused)?;
    for branch in &branches {
        let reference = branch.reference();
        if let Some(slug) = reference.strip_prefix("refs/heads/agent/") {
            let folder: PathBuf = made.join("agents").join(slug).join("files");
            repo.checkout(branch, &folder).map_err(refused)?;
        }
    }
    Ok(branches.len() as u64)
}

/// Moves the folder into place; the caller opens it. Everything is synced first: blobs, git objects and agents' files
/// were only written.
fn stand(app: &App, made: &Path, slug: &str) -> Result<(), BackupError> {
    let all = app.config.data.join("workspaces");
    let folder = all.join(slug);
    fs::create_dir_all(&all).map_err(BackupError::disk(&all))?;
    let faults = &*app.faults;
    faults.step(Step::Settle(made)).map_err(BackupError::disk(made))?;
    settle(made)?;
    let renamed = faults.step(Step::Rename(made, &folder)).and_then(|()| fs::rename(made, &folder));
    renamed.map_err(BackupError::disk(&folder))?;
    let kept = faults.step(Step::Names(&all)).and_then(|()| sync_folder(&all));
    kept.map_err(BackupError::disk(&all))
}
