//! Files of versions. The blob is authoritative; programs read a folder named by the hash of its files, which is written
//! from the blob. A folder whose files differ from its hash is not used.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use app::Ws;
use features::agents::packages;
use kernel::{Error, ProblemKind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use skill::{File, Package};
use store::{BlobId, codec};

use super::model::{SkillVersion, SkillVersionId};

/// Largest blob of a version in bytes: all files, with room for paths.
const MAX_BLOB: u64 = 32 << 20;
/// What people read about a folder that was changed.
const CHANGED: &str = "its files on disk were changed; use Repair";

/// A file as stored.
#[derive(Serialize, Deserialize)]
struct StoredFile {
    path: String,
    is_executable: bool,
    bytes: Vec<u8>,
}

/// Size and times of all entries below a folder. Equal marks mean equal contents.
type Marks = Vec<(PathBuf, u64, i64, i64, i64, u32)>;

/// A check of a folder.
struct Checked {
    marks: Marks,
    fault: Option<String>,
}

/// Checks by version. Ids of versions are unique among workspaces.
static CHECKED: LazyLock<Mutex<HashMap<SkillVersionId, Checked>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

fn failed(error: &dyn std::fmt::Display) -> Error {
    let message = format!("the files of the skill can't be stored or read: {error}");
    Error::new(ProblemKind::Internal, "skill_files_failed", message)
}

/// Stores the files of a package as one blob.
pub(super) fn keep(ws: &Ws, package: &Package) -> Result<BlobId, Error> {
    let file = |file: &File| StoredFile {
        path: file.path.clone(),
        is_executable: file.is_executable,
        bytes: file.bytes.clone(),
    };
    let files: Vec<StoredFile> = package.files.iter().map(file).collect();
    let bytes = codec::encode(&files).map_err(|error| failed(&error))?;
    ws.blobs.put(&bytes).map_err(|error| failed(&error))
}

/// The stored files of a version.
///
/// # Errors
/// If they are missing, or are not those of the version's hash.
pub(super) fn load(ws: &Ws, version: &SkillVersion) -> Result<Package, Error> {
    let bytes = ws.blobs.get(version.files, MAX_BLOB).map_err(|error| failed(&error))?;
    let files: Vec<StoredFile> = codec::decode(&bytes).map_err(|error| failed(&error))?;
    let file = |file: StoredFile| File {
        path: file.path,
        is_executable: file.is_executable,
        bytes: file.bytes,
    };
    let files: Vec<File> = files.into_iter().map(file).collect();
    let package = Package::from_files("", files).map_err(Error::of)?;
    match hex::encode(package.hash) == version.hash {
        true => Ok(package),
        false => Err(failed(&"they differ from their hash")),
    }
}

fn versions(ws: &Ws) -> PathBuf {
    ws.folder.join("skills").join("versions")
}

/// The folder of a version's files.
pub(super) fn folder(ws: &Ws, version: &SkillVersion) -> PathBuf {
    versions(ws).join(&version.hash)
}

/// End of the names of what this process is writing.
fn part_suffix() -> String {
    format!("{}.part", std::process::id())
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes the folder of a version, unless it exists.
pub(super) fn lay(ws: &Ws, version: &SkillVersion) -> Result<(), Error> {
    if folder(ws, version).is_dir() {
        return Ok(());
    }
    let package = load(ws, version)?;
    write(ws, version, &package).map_err(|error| failed(&error))
}

/// Writes the folder of a version again.
pub(super) fn repair(ws: &Ws, version: &SkillVersion) -> Result<(), Error> {
    let package = load(ws, version)?;
    match fs::remove_dir_all(folder(ws, version)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
        _ => {}
    }
    CHECKED.lock().remove(&version.id);
    write(ws, version, &package).map_err(|error| failed(&error))
}

fn write(ws: &Ws, version: &SkillVersion, package: &Package) -> io::Result<()> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let part = versions(ws).join(format!("{}.{number}.{}", version.hash, part_suffix()));
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    make(&part)?;
    for file in &package.files {
        let at = part.join(&file.path);
        if let Some(above) = at.parent() {
            make(above)?;
        }
        let mode = if file.is_executable { 0o700 } else { 0o600 };
        let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&at)?;
        made.write_all(&file.bytes)?;
    }
    match fs::rename(&part, folder(ws, version)) {
        Ok(()) => Ok(()),
        // Another thread was faster; the folder is checked before each use.
        Err(_) if folder(ws, version).is_dir() => fs::remove_dir_all(&part),
        Err(error) => Err(error),
    }
}

/// Why the folder of a version can't be used; `None` if it can. Reads the files only if they may have changed.
pub(super) fn check(ws: &Ws, version: &SkillVersion) -> Option<String> {
    let at = folder(ws, version);
    let mut marks = Marks::new();
    if let Err(error) = mark(&at, &mut marks) {
        return Some(format!("its files can't be read: {error}"));
    }
    marks.sort();
    if let Some(known) = CHECKED.lock().get(&version.id).filter(|known| known.marks == marks) {
        return known.fault.clone();
    }
    let read = skill::from_folder(&at);
    let is_same = read.is_ok_and(|files| hex::encode(skill::hash(&files)) == version.hash);
    let fault = (!is_same).then(|| CHANGED.to_owned());
    if let Some(fault) = &fault {
        tracing::error!(skill.hash = version.hash, "a skill is off: {fault}");
    }
    CHECKED.lock().insert(version.id, Checked { marks, fault: fault.clone() });
    fault
}

/// The result of the last check.
pub(super) fn last_fault(version: SkillVersionId) -> Option<String> {
    CHECKED.lock().get(&version)?.fault.clone()
}

fn mark(folder: &Path, marks: &mut Marks) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        let changed = (data.ctime(), data.ctime_nsec());
        marks.push((entry.path(), data.len(), data.mtime(), changed.0, changed.1, data.mode()));
        if data.is_dir() {
            mark(&entry.path(), marks)?;
        }
    }
    Ok(())
}

/// Makes the link by which programs find a package.
pub(super) fn link(ws: &Ws, name: &str, version: &SkillVersion) -> io::Result<()> {
    let (links, target) = (packages::folder(ws), folder(ws, version));
    let link = links.join(name);
    // ok: a missing link is made.
    if fs::read_link(&link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    make(&links)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let part = links.join(format!(".{number}.{}", part_suffix()));
    // ok: a part of an earlier process may be there.
    let _ = fs::remove_file(&part);
    std::os::unix::fs::symlink(&target, &part)?;
    fs::rename(&part, &link)
}

/// Names of packages that have a link.
pub(super) fn links(ws: &Ws) -> io::Result<Vec<String>> {
    let name = |path: PathBuf| path.file_name()?.to_str().map(str::to_owned);
    let mut all: Vec<String> =
        entries(&packages::folder(ws))?.into_iter().filter_map(name).collect();
    // Another thread may be making these.
    all.retain(|name| !name.ends_with(&part_suffix()));
    Ok(all)
}

/// Removes the link of a package.
pub(super) fn unlink(ws: &Ws, name: &str) -> io::Result<()> {
    match fs::remove_file(packages::folder(ws).join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes folders of versions whose hash is not among those in use.
pub(super) fn sweep(ws: &Ws, in_use: &[String]) -> io::Result<()> {
    let part = part_suffix();
    for path in entries(&versions(ws))? {
        let name = path.file_name().and_then(|name| name.to_str());
        let is_used = |name: &str| name.ends_with(&part) || in_use.iter().any(|hash| hash == name);
        if !name.is_some_and(is_used) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
