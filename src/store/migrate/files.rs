//! The files of an upgrade: copies beside the store's file and atomic renames.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableDatabase, TableDefinition};

use kernel::Timestamp;

use super::{UpgradeError, sync_folder};
use crate::codec;
use crate::disk::{Faults, NoFaults, Step};
use crate::error::{StoreError, failed};
use crate::record::{self, Record};

/// How long replaced files are kept.
const KEEP: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The table with the store's metadata.
const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("t0006");
/// Page cache in bytes for reading metadata.
const CACHE: usize = 1 << 20;

/// A file kept from before an upgrade, or from after a rolled back one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Format of the file.
    pub format: u32,
    /// Path of the file.
    pub path: PathBuf,
}

fn io_at(file: &Path) -> impl Fn(io::Error) -> UpgradeError {
    move |source| UpgradeError::Io { file: file.to_owned(), source }
}

pub(super) fn folder(file: &Path) -> PathBuf {
    file.parent().map(PathBuf::from).unwrap_or_default()
}

/// A path beside the file: `hq.redb.<ending>`.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

pub(super) fn before(file: &Path, format: u32) -> PathBuf {
    beside(file, &format!("before-{format}"))
}

pub(super) fn len(file: &Path) -> Result<u64, UpgradeError> {
    Ok(fs::metadata(file).map_err(io_at(file))?.len())
}

/// Makes a durable copy, replacing an incomplete one.
pub(super) fn copy(from: &Path, to: &Path, faults: &dyn Faults) -> Result<(), UpgradeError> {
    remove(to)?;
    let done = fs::copy(from, to).and_then(|_| {
        faults.step(Step::Sync(to))?;
        File::open(to)?.sync_all()
    });
    if done.is_err() {
        remove(to)?;
    }
    done.map_err(io_at(to))
}

pub(super) fn remove(file: &Path) -> Result<(), UpgradeError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(file)(error)),
        _ => Ok(()),
    }
}

/// Renames a file over another, which is lost unless it has another name.
pub(super) fn replace(from: &Path, to: &Path, faults: &dyn Faults) -> Result<(), UpgradeError> {
    let renamed = faults.step(Step::Rename(from, to)).and_then(|()| fs::rename(from, to));
    renamed.and_then(|()| names(&folder(to), faults)).map_err(io_at(to))
}

fn names(folder: &Path, faults: &dyn Faults) -> io::Result<()> {
    faults.step(Step::Names(folder))?;
    sync_folder(folder)
}

/// Sets the time from which the age of a kept file counts.
pub(super) fn touch(file: &Path, now: Timestamp, faults: &dyn Faults) -> Result<(), UpgradeError> {
    let at = SystemTime::from(now);
    let open = File::open(file).map_err(io_at(file))?;
    let touched = open.set_modified(at).and_then(|()| faults.step(Step::Sync(file)));
    touched.and_then(|()| open.sync_all()).map_err(io_at(file))
}

/// Hard-links the file, so that it survives under its second name when another file takes the first; the first name
/// always exists. Copies the file if the file system has no hard links.
pub fn keep(file: &Path, format: u32, faults: &dyn Faults) -> Result<(), UpgradeError> {
    second_name(file, &before(file, format), faults)
}

fn second_name(file: &Path, name: &Path, faults: &dyn Faults) -> Result<(), UpgradeError> {
    remove(name)?;
    faults.step(Step::Link(file, name)).map_err(io_at(name))?;
    if fs::hard_link(file, name).is_err() {
        copy(file, name, faults)?;
    }
    names(&folder(file), faults).map_err(io_at(name))
}

/// Files that upgrades have kept beside a store file, newest format first.
pub fn kept(file: &Path) -> io::Result<Vec<Kept>> {
    named(file, "before-")
}

fn named(file: &Path, ending: &str) -> io::Result<Vec<Kept>> {
    let start = beside(file, ending);
    let start = start.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(file))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(format) = name.strip_prefix(&start).and_then(|rest| rest.parse().ok()) {
            found.push(Kept { format, path: entry.path() });
        }
    }
    found.sort_by_key(|kept| std::cmp::Reverse(kept.format));
    Ok(found)
}

impl Kept {
    /// All files kept beside a store file, by upgrades and by rollbacks. The blobs that they name must be kept, too.
    pub fn beside(file: &Path) -> io::Result<Vec<Self>> {
        let mut all = kept(file)?;
        all.extend(named(file, "after-")?);
        Ok(all)
    }

    /// The records of a type in the file, whatever its format. Neither content nor modification time changes. The file
    /// must not be open elsewhere.
    ///
    /// # Errors
    /// When the file was not closed cleanly, or holds data that this program does not know.
    pub fn records<R: Record>(&self) -> Result<Vec<R>, StoreError> {
        let mut builder = Database::builder();
        let db = builder.set_cache_size(CACHE).open_read_only(&self.path).map_err(failed)?;
        let txn = db.begin_read().map_err(failed)?;
        let name = format!("t{:04}", R::TABLE.number);
        let rows: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&name);
        let table = txn.open_table(rows).map_err(failed)?;
        let mut found = Vec::new();
        for row in table.range::<&[u8]>(..).map_err(failed)? {
            let (_, row) = row.map_err(failed)?;
            found.push(record::read::<R>(row.value())?.0);
        }
        Ok(found)
    }

    /// Deletes the file after 14 days; returns whether it was deleted.
    pub fn expire(&self, now: Timestamp) -> io::Result<bool> {
        let since = SystemTime::from(now).duration_since(fs::metadata(&self.path)?.modified()?);
        // A modification time in the future counts as new: the clock was set back.
        if since.is_ok_and(|since| since >= KEEP) {
            fs::remove_file(&self.path)?;
            return Ok(true);
        }
        Ok(false)
    }
}

fn open(file: &Path) -> Result<Database, StoreError> {
    Database::builder().set_cache_size(CACHE).open(file).map_err(failed)
}

fn read_format(db: &Database) -> Result<u32, StoreError> {
    let txn = db.begin_read().map_err(failed)?;
    let table = txn.open_table(META).map_err(failed)?;
    let row = table.get(&b"format"[..]).map_err(failed)?;
    match row {
        Some(row) => Ok(codec::decode(row.value())?),
        None => Err(StoreError::Failed("it isn't an HQ store".to_owned())),
    }
}

/// The format of a store file that is not open.
///
/// # Errors
/// When the file cannot be opened or is no store.
pub fn format_of(file: &Path) -> Result<u32, StoreError> {
    read_format(&open(file)?)
}

/// Restores the file from before an upgrade. The current one is kept for 14 days as `<name>.after-<its format>`;
/// returns that path. The store must not be open.
///
/// # Errors
/// `NothingKept` when there is no such file. After any error nothing has changed.
pub fn roll_back(file: &Path, to: u32, now: Timestamp) -> Result<PathBuf, UpgradeError> {
    let kept = before(file, to);
    if !kept.is_file() {
        return Err(UpgradeError::NothingKept { file: kept });
    }
    let at = |source| UpgradeError::Store { file: kept.clone(), source };
    let present =
        format_of(file).map_err(|source| UpgradeError::Store { file: file.to_owned(), source })?;
    let copy = beside(file, "rollback");
    self::copy(&kept, &copy, &NoFaults)?;
    if let Err(source) = renew(&copy, to) {
        remove(&copy)?;
        return Err(at(source));
    }
    let aside = beside(file, &format!("after-{present}"));
    second_name(file, &aside, &NoFaults)?;
    replace(&copy, file, &NoFaults)?;
    touch(&aside, now, &NoFaults)?;
    Ok(aside)
}

/// Checks the format of the copy and gives it a new incarnation.
fn renew(copy: &Path, format: u32) -> Result<(), StoreError> {
    let db = open(copy)?;
    let found = read_format(&db)?;
    if found != format {
        return Err(StoreError::Failed(format!("it has format {found}, not {format}")));
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(failed)?;
    let row = codec::encode(&u64::from_be_bytes(bytes))?;
    let txn = db.begin_write().map_err(failed)?;
    txn.open_table(META)
        .map_err(failed)?
        .insert(&b"incarnation"[..], row.as_slice())
        .map_err(failed)?;
    txn.commit().map_err(failed)?;
    drop(db);
    File::open(copy).and_then(|file| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn what_lies_beside_a_store_goes_after_14_days_be_it_of_before_or_of_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hq.redb");
        let names = ["hq.redb", "hq.redb.before-3", "hq.redb.after-5", "hq.redb.after-x", "other"];
        let at: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            touch(&path, at, &NoFaults).unwrap();
        }
        let formats = |all: Vec<Kept>| all.iter().map(|one| one.format).collect::<Vec<_>>();
        assert_eq!(formats(kept(&file).unwrap()), [3], "the newer one is nothing to go back to");
        assert_eq!(formats(Kept::beside(&file).unwrap()), [3, 5]);

        let day = |n: i64| at + SignedDuration::from_hours(24 * n);
        for one in Kept::beside(&file).unwrap() {
            assert!(!one.expire(day(13)).unwrap());
            assert!(one.expire(day(14)).unwrap() && !one.path.exists());
        }
        assert!(Kept::beside(&file).unwrap().is_empty());
        assert!(file.exists() && folder.path().join("hq.redb.after-x").exists());
    }
}
