//! Compares the files of blobs with what holds them: missing, damaged, held by nothing.

use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Store;
use crate::error::StoreError;
use crate::schema::builtin;

use super::refs::{self, Holder};
use super::sweep::{SweepError, names};
use super::{BlobId, Blobs};

/// How many blobs are looked up in one snapshot.
const PIECE: usize = 500;
/// How many of each kind a report lists.
const LISTED: usize = 100;

/// What is wrong with the files, if anything is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Files that are there.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that something holds and that are not there.
    pub missing: u64,
    /// Files whose content is not what their name says.
    pub corrupt: u64,
    /// Files that nothing holds; the sweep takes them when they are a day old.
    pub unreferenced: u64,
    /// The first of what is missing or corrupt, with what holds it.
    pub faults: Vec<Fault>,
}

/// A blob that is missing or corrupt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The blob.
    pub blob: String,
    /// `missing` or `corrupt`.
    pub what: String,
    /// What holds it, as `table key`.
    pub holders: Vec<String>,
}

impl Report {
    /// Whether everything that is held is there and whole.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.missing == 0 && self.corrupt == 0
    }
}

/// Looks at every file and at everything that holds one. Blocking; reads all content.
///
/// # Errors
/// When the disk or the store fails.
pub fn check(store: &Store, blobs: &Blobs) -> Result<Report, SweepError> {
    let mut report = Report::default();
    let mut after = None;
    loop {
        let held = store.read(|snap| refs::held(snap, after, PIECE))?;
        for id in &held {
            if !blobs.path(*id).exists() {
                report.missing += 1;
                note(&mut report, store, *id, "missing")?;
            }
        }
        match held.last() {
            Some(last) if held.len() == PIECE => after = Some(*last),
            _ => break,
        }
    }
    for folder in 0..=u8::MAX {
        for id in names(&blobs.folder.join(format!("{folder:02x}")), folder)? {
            let Some((len, whole)) = hashed(blobs, id)? else { continue };
            report.files += 1;
            report.bytes += len;
            let held = store.read(|snap| refs::holders(snap, id, 1))?;
            report.unreferenced += u64::from(held.is_empty());
            if !whole {
                report.corrupt += 1;
                note(&mut report, store, id, "corrupt")?;
            }
        }
    }
    Ok(report)
}

/// Whether the file of a blob is there, and its content what its name says if all of it is read;
/// nothing when it is not there.
pub fn is_whole(blobs: &Blobs, id: BlobId, read_all: bool) -> io::Result<Option<bool>> {
    match read_all {
        true => Ok(hashed(blobs, id)?.map(|(_, whole)| whole)),
        false => Ok(blobs.path(id).try_exists()?.then_some(true)),
    }
}

/// Length, and whether the content is what the name says; nothing when a sweep was faster.
fn hashed(blobs: &Blobs, id: BlobId) -> io::Result<Option<(u64, bool)>> {
    let mut file = match std::fs::File::open(blobs.path(id)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut hash, mut len, mut buffer) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => {
                let is_whole = BlobId(hash.finalize().into()) == id;
                blobs.judge(id, is_whole);
                return Ok(Some((len, is_whole)));
            }
            n => {
                hash.update(&buffer[..n]);
                len += n as u64;
            }
        }
    }
}

fn note(report: &mut Report, store: &Store, id: BlobId, what: &str) -> Result<(), StoreError> {
    if report.faults.len() >= LISTED {
        return Ok(());
    }
    let holders = store.read(|snap| refs::holders(snap, id, 5))?;
    let holders = holders.iter().map(|holder| words(store, holder)).collect();
    report.faults.push(Fault { blob: id.to_string(), what: what.to_owned(), holders });
    Ok(())
}

fn words(store: &Store, holder: &Holder) -> String {
    if holder.table == builtin::FEED {
        return "the history of a record".to_owned();
    }
    let info = store.schema().table(holder.table);
    let key = info
        .and_then(|info| info.ops.as_ref())
        .and_then(|ops| (ops.key_text)(&holder.key))
        .unwrap_or_else(|| hex::encode(&holder.key));
    format!("{} {key}", info.map_or("unknown", |info| info.name))
}
