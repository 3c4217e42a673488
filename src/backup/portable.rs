//! Export of one workspace as a portable file: a tar archive compressed with zstd. `docs/export.md` has the layout.
//!
//! Exports leave the machine, so they contain only blobs that an exported row references, not those that only history
//! references.
//!
//! Imported files are untrusted: only names listed in the manifest, only regular files, only the declared lengths, each
//! verified by its hash.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use kernel::Timestamp;
use store::codec::unwrap;
use store::feed;
use store::schema::{Kind, TableInfo};
use store::{BlobId, Class, Range, Read as _, Snap, Store, StoreError};

use super::BackupError;
use super::restore::safe;
use super::walk::Tree;

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const BUNDLE: &str = "agents.bundle";
/// Limits of the manifest and of a table's line, in bytes.
const MAX_MANIFEST: u64 = 64 * 1024 * 1024;
const MAX_LINE: u64 = 16 * 1024 * 1024;
/// Bytes between two checks of limits and free space.
const STRETCH: u64 = 16 * 1024 * 1024;
/// Up to this size, any compression ratio is accepted: equal rows compress to almost nothing.
const FREE_RATIO: u64 = 256 * 1024 * 1024;
const LEVEL: i32 = 3;
/// Lost files that are named.
const NAMED: usize = 100;

/// A file in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// A table in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortableTable {
    pub number: u16,
    pub name: String,
    /// Version of the rows' layout.
    pub version: u8,
    /// Number of rows.
    pub rows: u64,
    pub file: String,
}

/// The manifest, which is the first file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portable {
    pub format: u32,
    /// `hq-workspace`.
    pub kind: String,
    pub app: String,
    pub exported_at: Timestamp,
    /// Slug of the workspace.
    pub slug: String,
    /// Id of the workspace; an import replaces it.
    pub workspace: String,
    /// Sequence number of its last entry.
    pub seq: u64,
    pub tables: Vec<PortableTable>,
    /// All files except the manifest.
    pub files: BTreeMap<String, Member>,
    /// What is missing, and why.
    pub left_out: Vec<String>,
}

pub struct ExportSource<'s> {
    pub store: &'s Store,
    pub folder: &'s Path,
    pub slug: &'s str,
    pub workspace: String,
    pub now: Timestamp,
    /// Writes the git bundle; returns the number of branches.
    pub bundle: &'s dyn Fn(&mut dyn Write) -> io::Result<usize>,
    /// Bytes that may still be written to the spool; called repeatedly.
    pub room: &'s dyn Fn() -> u64,
}

/// Estimated bytes that an export writes: to the spool, and to the file.
#[must_use]
pub fn needs(folder: &Path) -> (u64, u64) {
    let size = |name: &str| Tree::new(&folder.join(name), |_| false).size();
    let store = fs::metadata(folder.join("hq.redb")).map_or(0, |meta| meta.len());
    let history = size("agents.git");
    (store + history, history + size("blobs"))
}

/// Writer that checks free space regularly and fails before the disk is full.
pub struct Watched<'r, W> {
    inner: W,
    room: &'r dyn Fn() -> u64,
    since: u64,
}

impl<'r, W: Write> Watched<'r, W> {
    pub fn new(inner: W, room: &'r dyn Fn() -> u64) -> Self {
        Self { inner, room, since: STRETCH }
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if STRETCH <= self.since {
            if (self.room)() == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.since = 0;
        }
        let n = self.inner.write(bytes)?;
        self.since += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Exports a workspace. `spool` is an empty folder for temporary files. Blocking.
///
/// # Errors
/// If the store or a disk fails.
pub fn export(
    source: &ExportSource<'_>,
    spool: &Path,
    out: &mut dyn Write,
) -> Result<Portable, BackupError> {
    fs::create_dir_all(spool).map_err(BackupError::disk(spool))?;
    let mut gathered = Gathered::default();
    let (seq, tables) = source.store.read(|snap| {
        let mut tables = Vec::new();
        for info in source.store.schema().tables() {
            tables.extend(spool_table(snap, info, (spool, source.room), &mut gathered)?);
        }
        // From this snapshot: the store may have new entries meanwhile.
        let last = feed::newest(snap, source.store.schema(), None, 1)?;
        Ok::<_, BackupError>((last.first().map_or(0, |entry| entry.seq), tables))
    })?;
    let bundle = spool.join(BUNDLE);
    let failed = || BackupError::disk(&bundle);
    let mut hashed = Hashed::new(spooled(&bundle, source.room)?);
    (source.bundle)(&mut hashed).map_err(failed())?;
    gathered.files.insert(BUNDLE.to_owned(), hashed.end().map_err(failed())?);
    gathered.find_blobs(&source.folder.join("blobs"))?;
    let Gathered { files, mut left_out, .. } = gathered;
    left_out.push("the activity feed: change history isn't exported".to_owned());
    let portable = Portable {
        format: FORMAT,
        kind: "hq-workspace".to_owned(),
        app: env!("CARGO_PKG_VERSION").to_owned(),
        exported_at: source.now,
        slug: source.slug.to_owned(),
        workspace: source.workspace.clone(),
        seq,
        tables,
        files,
        left_out,
    };
    write_tar(&portable, source.folder, spool, out)
        .map_err(BackupError::disk(Path::new("the exported file")))?;
    fs::remove_dir_all(spool).map_err(BackupError::disk(spool))?;
    Ok(portable)
}

/// Contents of the archive.
#[derive(Default)]
struct Gathered {
    files: BTreeMap<String, Member>,
    left_out: Vec<String>,
    /// Blobs that rows reference.
    blobs: BTreeSet<BlobId>,
}

impl Gathered {
    /// Finds the files of the blobs and hashes each: imports reject an archive with a damaged blob.
    fn find_blobs(&mut self, folder: &Path) -> Result<(), BackupError> {
        let (there, mut lost) = (super::make::blob_files(folder)?, Vec::new());
        for blob in std::mem::take(&mut self.blobs) {
            let id = blob.to_string();
            match there.get(&id).map(|path| member(path)).transpose()? {
                Some(member) if member.sha256 == id => {
                    self.files.insert(format!("blobs/{}/{}", &id[..2], &id[2..]), member);
                }
                Some(_) => lost.push(format!("the file {id}: its content is damaged")),
                None => lost.push(format!("the file {id}: it is missing on the disk")),
            }
        }
        let more = lost.len().saturating_sub(NAMED);
        self.left_out.extend(lost.into_iter().take(NAMED));
        if 0 < more {
            self.left_out.push(format!("{more} more damaged or missing files"));
        }
        Ok(())
    }
}

/// Length and hash of a file.
fn member(path: &Path) -> Result<Member, BackupError> {
    let mut hashed = Hashed::new(io::sink());
    let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hashed));
    read.and_then(|_| hashed.end()).map_err(BackupError::disk(path))
}

/// Creates a file in the spool.
fn spooled<'r>(
    path: &Path,
    room: &'r dyn Fn() -> u64,
) -> Result<BufWriter<Watched<'r, File>>, BackupError> {
    let file = File::create(path).map_err(BackupError::disk(path))?;
    Ok(BufWriter::new(Watched::new(file, room)))
}

/// Writes a table's rows as lines of JSON; `None` for tables that are not exported.
fn spool_table(
    snap: &Snap<'_>,
    info: &TableInfo,
    (spool, room): (&Path, &dyn Fn() -> u64),
    gathered: &mut Gathered,
) -> Result<Option<PortableTable>, BackupError> {
    let (Kind::Record(class), Some(ops)) = (info.kind, &info.ops) else { return Ok(None) };
    match class {
        Class::Derived | Class::Remade => return Ok(None),
        Class::Sealed => {
            gathered
                .left_out
                .push(format!("{}: secrets aren't exported; enter them again", info.name));
            return Ok(None);
        }
        Class::Tracked | Class::Log | Class::Work | Class::Local => {}
    }
    let file = format!("tables/{:04}-{}.jsonl", info.number, info.name);
    let path = spool.join(format!("{:04}", info.number));
    let mut out = Hashed::new(spooled(&path, room)?);
    let (mut rows, mut result) = (0, Ok(()));
    snap.raw_scan(info.number, &Range::all(), &mut |key, value| {
        let mut line = || {
            let (version, rev, _) = unwrap(value).map_err(StoreError::from)?;
            if let Some(blobs) = ops.blobs {
                gathered.blobs.extend(blobs(value).map_err(StoreError::from)?);
            }
            let row = (ops.json)(value).map_err(StoreError::from)?;
            let key = (ops.key_text)(key);
            let line = json!({ "key": key, "rev": rev, "version": version, "row": row });
            Ok::<_, BackupError>(line.to_string())
        };
        result = line().and_then(|line| writeln!(out, "{line}").map_err(BackupError::disk(&path)));
        rows += 1;
        if result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    result?;
    gathered.files.insert(file.clone(), out.end().map_err(BackupError::disk(&path))?);
    let (number, name) = (info.number, info.name.to_owned());
    Ok(Some(PortableTable { number, name, version: ops.version, rows, file }))
}

fn write_tar(
    portable: &Portable,
    folder: &Path,
    spool: &Path,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut tar = tar::Builder::new(zstd::stream::Encoder::new(out, LEVEL)?);
    let manifest = serde_json::to_vec_pretty(portable).map_err(io::Error::from)?;
    let mtime = u64::try_from(portable.exported_at.as_second()).unwrap_or(0);
    let header = |bytes: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(mtime);
        header
    };
    tar.append_data(&mut header(manifest.len() as u64), MANIFEST, manifest.as_slice())?;
    for (name, member) in &portable.files {
        let table = portable.tables.iter().find(|table| table.file == *name);
        let path = match table {
            Some(table) => spool.join(format!("{:04}", table.number)),
            None if name == BUNDLE => spool.join(BUNDLE),
            None => folder.join(name),
        };
        let file = File::open(&path)?;
        // A file that was truncated meanwhile must not shift the rest of the archive.
        if file.metadata()?.len() != member.bytes {
            return Err(io::Error::other(format!("{} changed during the import", path.display())));
        }
        tar.append_data(&mut header(member.bytes), name, file.take(member.bytes))?;
    }
    tar.into_inner()?.finish()?.flush()
}

/// Hashes and counts written bytes.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn end(mut self) -> io::Result<Member> {
        self.inner.flush()?;
        Ok(Member { bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) })
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn refused(why: impl std::fmt::Display) -> BackupError {
    BackupError::Restore(format!("this isn't an exported workspace, or it's damaged: {why}"))
}

/// Limits of unpacking, against decompression bombs.
pub struct Bounds<'b> {
    pub files: usize,
    /// Largest ratio of unpacked to packed bytes, beyond the first 256 MB.
    pub ratio: u64,
    /// Bytes that may still be written to disk; called repeatedly.
    pub room: &'b dyn Fn() -> u64,
}

impl Bounds<'_> {
    /// Checks the sizes that the manifest declares, before unpacking.
    fn declared(&self, portable: &Portable) -> Result<(), BackupError> {
        let count = portable.files.len();
        if self.files < count {
            return Err(refused(format!(
                "it lists {count} files, and the limit is {}",
                self.files
            )));
        }
        let bytes = portable.files.values().fold(0u64, |sum, one| sum.saturating_add(one.bytes));
        let room = (self.room)();
        if room < bytes {
            return Err(refused(format!(
                "it needs {} MB and there are {} MB free; free some space and try again",
                bytes >> 20,
                room >> 20
            )));
        }
        Ok(())
    }

    /// Checks the bytes unpacked so far.
    fn spent(&self, unpacked: u64, packed: u64) -> Result<(), BackupError> {
        if FREE_RATIO < unpacked && self.ratio < unpacked / packed.max(1) {
            return Err(refused(format!(
                "it unpacks to more than {} times its size, which no workspace does",
                self.ratio
            )));
        }
        match (self.room)() {
            0 => Err(refused("the disk is full; free some space and try again")),
            _ => Ok(()),
        }
    }
}

/// Counts read bytes.
struct Counted<'r> {
    inner: &'r mut dyn Read,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.bytes.set(self.bytes.get() + n as u64);
        Ok(n)
    }
}

/// Unpacks a portable file into an empty folder. Verifies names, lengths and hashes, and checks the limits regularly.
/// Blocking.
///
/// # Errors
/// At the first violation; the unpacked files must then be discarded.
pub fn unpack(
    from: &mut dyn Read,
    folder: &Path,
    bounds: &Bounds<'_>,
) -> Result<Portable, BackupError> {
    let (read, mut unpacked) = (Rc::new(Cell::new(0)), 0);
    let counted = Counted { inner: from, bytes: Rc::clone(&read) };
    let packed = zstd::stream::Decoder::new(counted).map_err(refused)?;
    let mut tar = tar::Archive::new(packed);
    // Raw: extended names, which are not needed, would be read into memory without a limit.
    let mut entries = tar.entries().map_err(refused)?.raw(true);
    let first = entries.next().ok_or_else(|| refused("it is empty"))?.map_err(refused)?;
    let is_manifest = first.path_bytes().as_ref() == MANIFEST.as_bytes();
    if !is_manifest || MAX_MANIFEST < first.size() {
        return Err(refused("it doesn't start with manifest.json"));
    }
    let mut text = Vec::new();
    first.take(MAX_MANIFEST).read_to_end(&mut text).map_err(refused)?;
    let portable: Portable = serde_json::from_slice(&text).map_err(refused)?;
    check(&portable)?;
    bounds.declared(&portable)?;
    let mut seen = 0;
    for entry in entries {
        let mut entry = entry.map_err(refused)?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(refused)?;
        let Some(member) = portable.files.get(&name) else {
            return Err(refused(format!("{name:?} isn't in its manifest")));
        };
        if entry.header().entry_type() != tar::EntryType::Regular || entry.size() != member.bytes {
            return Err(refused(format!("{name:?} isn't the file in its manifest")));
        }
        let path = folder.join(safe(&name).ok_or_else(|| {
            refused(
                "a name points outside the \
            folder",
            )
        })?);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(BackupError::disk(parent))?;
        let mut out = Hashed::new(File::create_new(&path).map_err(BackupError::disk(&path))?);
        loop {
            let copied = io::copy(&mut (&mut entry).take(STRETCH), &mut out);
            let copied = copied.map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => BackupError::disk(&path)(error),
                _ => refused(error),
            })?;
            unpacked += copied;
            bounds.spent(unpacked, read.get())?;
            if copied == 0 {
                break;
            }
        }
        if out.end().map_err(BackupError::disk(&path))? != *member {
            return Err(refused(format!("{name:?} doesn't match the hash in its manifest")));
        }
        seen += 1;
    }
    // Duplicates are impossible, since each file is created exclusively.
    if seen != portable.files.len() {
        return Err(refused(format!("{} files are missing", portable.files.len() - seen)));
    }
    Ok(portable)
}

fn check(portable: &Portable) -> Result<(), BackupError> {
    if portable.kind != "hq-workspace" {
        return Err(refused("it has a different kind"));
    }
    if portable.format != FORMAT {
        return Err(BackupError::Format {
            place: "the exported file".to_owned(),
            found: portable.format,
            known: FORMAT,
        });
    }
    for (name, member) in &portable.files {
        let is_table = portable.tables.iter().any(|table| table.file == *name);
        let blob = name.strip_prefix("blobs/").map(|rest| rest.replacen('/', "", 1));
        let is_blob = blob.is_some_and(|id| id == member.sha256 && id.len() == 64);
        if safe(name).is_none() || !(is_table || is_blob || name == BUNDLE) {
            return Err(refused(format!("{name:?} isn't part of a workspace")));
        }
    }
    let all_there = portable.tables.iter().all(|table| portable.files.contains_key(&table.file));
    if all_there { Ok(()) } else { Err(refused("a table is missing")) }
}

/// Visits each row of an unpacked table.
///
/// # Errors
/// If a line is malformed (with its number), or `take` fails.
pub fn rows(
    folder: &Path,
    table: &PortableTable,
    take: &mut dyn FnMut(Value) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let path = folder.join(&table.file);
    let mut from = BufReader::new(File::open(&path).map_err(BackupError::disk(&path))?);
    let (mut count, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let n = (&mut from).take(MAX_LINE + 1).read_until(b'\n', &mut line);
        if n.map_err(BackupError::disk(&path))? == 0 {
            break;
        }
        count += 1;
        let wrong = |why: String| refused(format!("{}, line {count}: {why}", table.file));
        if table.rows < count {
            return Err(wrong(format!("expected {} rows", table.rows)));
        }
        if MAX_LINE < line.len() as u64 {
            return Err(wrong(format!("it is longer than {} MB", MAX_LINE >> 20)));
        }
        let mut value: Value =
            serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
        let row = value.get_mut("row").ok_or_else(|| wrong("a row is missing".to_owned()))?;
        take(row.take()).map_err(|error| wrong(error.to_string()))?;
    }
    match count == table.rows {
        true => Ok(()),
        false => Err(refused(format!("{} has {count} rows instead of {}", table.file, table.rows))),
    }
}

/// Path of the unpacked git bundle.
#[must_use]
pub fn bundle(folder: &Path) -> PathBuf {
    folder.join(BUNDLE)
}
