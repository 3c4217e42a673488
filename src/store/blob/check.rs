//! Compares blob files with their references: missing, damaged and unreferenced files.

use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Store;
use crate::error::StoreError;
use crate::schema::builtin;

use super::refs::{self, Holder};
use super::sweep::{SweepError, names};
use super::{BlobId, Blobs};

/// How many blobs are looked up per snapshot.
const PIECE: usize = 500;
/// How many faults a report lists.
const LISTED: usize = 100;

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Number of files.
    pub files: u64,
    /// Total size of the files in bytes.
    pub bytes: u64,
    /// Number of referenced blobs without a file.
    pub missing: u64,
    /// Number of files whose content does not match their name.
    pub corrupt: u64,
    /// Number of unreferenced files; the sweep deletes them when they are a day old.
    pub unreferenced: u64,
    /// The first missing and damaged blobs, with their holders.
    pub faults: Vec<Fault>,
}

/// A missing or damaged blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Id of the blob.
    pub blob: String,
    /// `missing` or `corrupt`.
    pub what: String,
    /// Holders of the blob, as `table key`.
    pub holders: Vec<String>,
}

impl Report {
    /// Whether every referenced blob exists and is intact.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.missing == 0 && self.corrupt == 0
    }
}

/// Checks every file and every reference. Blocking; reads the content of all files.
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

/// Whether a blob's file exists and, with `read_all`, whether its content matches its name; `None` if there is no file.
pub fn is_whole(blobs: &Blobs, id: BlobId, read_all: bool) -> io::Result<Option<bool>> {
    match read_all {
        true => Ok(hashed(blobs, id)?.map(|(_, whole)| whole)),
        false => Ok(blobs.path(id).try_exists()?.then_some(true)),
    }
}

/// Length, and whether the content matches the name; `None` if a sweep was faster.
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
