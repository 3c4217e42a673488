//! Backup repository at a target: head, manifests, chunks, markers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crypto::keyring::Secret;
use crypto::passphrase::DataKey;
use kernel::Timestamp;

use super::head::{self, Head};
use super::manifest::{ChunkRef, Manifest, Part, checked, with_sum};
use super::target::Target;
use super::{BackupError, FORMAT};

/// Magic bytes of a chunk: plain or sealed.
const PLAIN: &[u8; 4] = b"HQC0";
const SEALED: &[u8; 4] = b"HQC1";
const SUM: usize = 32;
pub const MANIFESTS: &str = "manifests/";
/// Largest stored chunk, in bytes.
const MAX_PIECE: u64 = 4 * 1024 * 1024;
pub(super) const MAX_MANIFEST: u64 = 1024 * 1024 * 1024;
/// Markers older than this are ignored, in hours.
const MARKER_HOURS: i64 = 24;
/// Default level of zstd.
const LEVEL: i32 = 3;

/// First line of a manifest: readable without a passphrase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Label {
    format: u32,
    id: String,
    pub(super) sealed: bool,
}

/// Marker of running work.
#[derive(Serialize, Deserialize)]
struct Marker {
    owner: String,
    what: String,
    since: Timestamp,
}

/// Work that needs a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Adds chunks.
    Backup,
    /// Removes chunks.
    Prune,
}

impl Work {
    fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Prune => "prune",
        }
    }
}

/// Identifies an HQ at a target across restarts, so that it can clear its own stale markers.
#[derive(Clone, Debug)]
pub struct Owner(pub String);

pub struct Repository {
    pub(super) target: Arc<dyn Target>,
    id: String,
    key: Option<DataKey>,
}

/// Backups, each with whether all its chunks exist, and unreadable backups.
pub type States = (Vec<(Manifest, bool)>, Vec<Unreadable>);

impl Repository {
    /// Opens the repository at a target.
    ///
    /// # Errors
    /// If there is none, its format is unknown, or the passphrase is missing or wrong.
    pub fn open(target: Arc<dyn Target>, passphrase: Option<&Secret>) -> Result<Self, BackupError> {
        let place = target.place().to_owned();
        let Some(head) = head::read(&*target)? else {
            return Err(BackupError::NoRepository { place });
        };
        if head.format != FORMAT {
            return Err(BackupError::Format { place, found: head.format, known: FORMAT });
        }
        let key = match (&head.key, passphrase) {
            (None, None) => None,
            (Some(stored), Some(passphrase)) => Some(DataKey::open(stored, passphrase)?),
            (Some(_), None) => return Err(BackupError::PassphraseNeeded { place }),
            (None, Some(_)) => return Err(BackupError::NotEncrypted { place }),
        };
        Ok(Self { target, id: head.id, key })
    }

    /// Opens the repository, or creates one at an empty target.
    ///
    /// # Errors
    /// As [`Self::open`], or if the target contains other files.
    pub fn open_or_begin(
        target: Arc<dyn Target>,
        passphrase: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Self, BackupError> {
        match Self::open(Arc::clone(&target), passphrase) {
            Err(BackupError::NoRepository { place }) => {
                // Remains of an interrupted creation are removed.
                target.tidy()?;
                if !target.is_empty()? {
                    return Err(BackupError::OtherFiles { place });
                }
                let (key, stored) = match passphrase {
                    Some(passphrase) => {
                        let (key, stored) = DataKey::create(passphrase)?;
                        (Some(key), Some(stored))
                    }
                    None => (None, None),
                };
                let head = Head { format: FORMAT, id: random_hex(), made_at: now, key: stored };
                head::put(&*target, &head)?;
                Ok(Self { target, id: head.id, key })
            }
            Err(error) => Err(error),
            Ok(repo) => {
                head::keep(&*repo.target)?;
                Ok(repo)
            }
        }
    }

    /// Damaged copies of the head, as sentences. A missing spare is no damage: older programs wrote none.
    ///
    /// # Errors
    /// If the target cannot be read.
    pub fn bad_heads(&self) -> Result<Vec<String>, BackupError> {
        head::bad(&*self.target)
    }

    /// Id of the repository at a target, without opening it; `None` if there is no repository.
    ///
    /// # Errors
    /// If the target cannot be read, or its head is malformed.
    pub fn id_at(target: &dyn Target) -> Result<Option<String>, BackupError> {
        Ok(head::read(target)?.map(|head| head.id))
    }

    /// Assigned when the repository was created.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn place(&self) -> &str {
        self.target.place()
    }

    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn seed(&self) -> u64 {
        self.key.as_ref().map_or(0, DataKey::seed)
    }

    // ── Chunks ──

    pub(super) fn name(&self, content: &[u8]) -> String {
        hex::encode(match &self.key {
            Some(key) => key.name(content),
            None => Sha256::digest(content).into(),
        })
    }

    /// A chunk in stored form: magic, compressed (and sealed) content, SHA-256 of all before.
    pub(super) fn pack(&self, name: &str, content: &[u8]) -> Result<Vec<u8>, BackupError> {
        let packed = zstd::bulk::compress(content, LEVEL)
            .map_err(|source| BackupError::Disk { path: "packing".to_owned(), source })?;
        let (mark, body) = match &self.key {
            Some(key) => (SEALED, key.seal(name.as_bytes(), &packed)),
            None => (PLAIN, packed),
        };
        let mut out = Vec::with_capacity(mark.len() + body.len() + SUM);
        out.extend_from_slice(mark);
        out.extend_from_slice(&body);
        let sum = Sha256::digest(&out);
        out.extend_from_slice(&sum);
        Ok(out)
    }

    /// Content of a chunk, with all hashes verified.
    pub(super) fn piece(&self, piece: &ChunkRef) -> Result<Vec<u8>, BackupError> {
        let ChunkRef(name, len, _) = piece;
        let path = piece_path(name);
        let Some(bytes) = self.target.get(&path, MAX_PIECE)? else {
            return Err(BackupError::Missing { place: self.place().to_owned(), name: path });
        };
        let content = self.unpack(name, *len, &bytes);
        content.map_err(|why| BackupError::Damaged {
            place: self.place().to_owned(),
            name: path,
            why,
        })
    }

    fn unpack(&self, name: &str, len: u64, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (body, sum) = bytes.split_last_chunk::<SUM>().ok_or("it is cut short")?;
        if Sha256::digest(body).as_slice() != sum {
            return Err("its checksum doesn't match");
        }
        let (mark, body) = body.split_first_chunk::<4>().ok_or("it is cut short")?;
        let opened;
        let packed = match (&self.key, mark) {
            (None, PLAIN) => body,
            (Some(key), SEALED) => {
                opened = key.unseal(name.as_bytes(), body).or(Err("it can't be opened"))?;
                &opened
            }
            _ => return Err("its marker is unknown"),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(MAX_PIECE as usize);
        let content = zstd::bulk::decompress(packed, len).or(Err("it can't be unpacked"))?;
        if content.len() != len || self.name(&content) != name {
            return Err("its content doesn't match its name");
        }
        Ok(content)
    }

    /// All chunks with size and modification time.
    pub(super) fn pieces(&self) -> Result<HashMap<String, (u64, Timestamp)>, BackupError> {
        let all = self.target.list("chunks/")?;
        Ok(all
            .into_iter()
            .filter_map(|one| {
                let name = one.name.rsplit('/').next()?;
                Some((name.to_owned(), (one.size, one.modified)))
            })
            .collect())
    }

    // ── Manifests ──

    /// Ids of all backups, oldest first.
    ///
    /// # Errors
    /// If the target cannot be read.
    pub fn ids(&self) -> Result<Vec<String>, BackupError> {
        let all = self.target.list(MANIFESTS)?;
        Ok(all
            .into_iter()
            .filter_map(|one| Some(one.name.strip_prefix(MANIFESTS)?.to_owned()))
            .collect())
    }

    /// The latest backup by serial number, regardless of clocks; only of master key `of`, if given, since several HQs
    /// may share the target.
    ///
    /// # Errors
    /// If there is none, or a damaged one may be newer.
    pub fn newest(&self, of: Option<&str>) -> Result<Manifest, BackupError> {
        self.newest_of(of, &|_| true)
    }

    /// The latest backup with all workspaces; if none is complete, the latest one.
    pub fn newest_complete(&self, of: Option<&str>) -> Result<Manifest, BackupError> {
        match self.newest_of(of, &Manifest::is_complete) {
            Err(BackupError::NoBackup { .. }) => self.newest(of),
            found => found,
        }
    }

    /// The latest backup for which `wanted` is true.
    pub fn newest_of(
        &self,
        of: Option<&str>,
        wanted: &dyn Fn(&Manifest) -> bool,
    ) -> Result<Manifest, BackupError> {
        let mut newest: Option<Manifest> = None;
        let damaged = self.each_manifest(&mut |one| {
            let is_meant = of.is_none_or(|key_id| one.key_id == key_id) && wanted(&one);
            if is_meant && newest.as_ref().is_none_or(|newest| newest.order() < one.order()) {
                newest = Some(one);
            }
            Ok(())
        })?;
        // A damaged newer backup is an error: an older one must not be used unknowingly.
        let newer = damaged
            .into_iter()
            .rfind(|(id, _)| newest.as_ref().is_none_or(|newest| newest.id.as_str() < id.as_str()));
        match (newest, newer) {
            (_, Some((_, error))) => Err(error),
            (Some(newest), None) => Ok(newest),
            (None, None) => Err(self.no_backup("at all")),
        }
    }

    /// Id of the backup with this prefix.
    ///
    /// # Errors
    /// If no backup or several match.
    pub fn find(&self, start: &str) -> Result<String, BackupError> {
        let mut fitting: Vec<_> =
            self.ids()?.into_iter().filter(|id| id.starts_with(start)).collect();
        match (fitting.len(), fitting.pop()) {
            (1, Some(id)) => Ok(id),
            (_, None) => Err(self.no_backup(start)),
            (several, Some(_)) => Err(BackupError::Restore(format!(
                "{several} backups start with {start:?}; enter more of the name"
            ))),
        }
    }

    fn no_backup(&self, wanted: &str) -> BackupError {
        BackupError::NoBackup { place: self.place().to_owned(), wanted: wanted.to_owned() }
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn manifest(&self, id: &str) -> Result<Manifest, BackupError> {
        let name = manifest_path(id);
        let place = || self.place().to_owned();
        let Some(bytes) = self.target.get(&name, MAX_MANIFEST)? else {
            return Err(BackupError::NoBackup { place: place(), wanted: id.to_owned() });
        };
        let damaged = |why| BackupError::Damaged { place: place(), name: name.clone(), why };
        let (label, body) = labelled(&bytes).map_err(&damaged)?;
        if label.format != FORMAT {
            return Err(BackupError::Format { place: place(), found: label.format, known: FORMAT });
        }
        let opened;
        let body = match (&self.key, label.sealed) {
            (None, false) => body,
            (Some(key), true) => {
                let sealed = hex::decode(body).map_err(|_| damaged("it isn't sealed"))?;
                let packed = key
                    .unseal(id.as_bytes(), &sealed)
                    .map_err(|_| damaged("it can't be opened"))?;
                let text = zstd::stream::decode_all(packed.as_slice())
                    .map_err(|_| damaged("it can't be unpacked"))?;
                opened = String::from_utf8(text).map_err(|_| damaged("it isn't text"))?;
                &opened
            }
            _ => return Err(damaged("it's sealed differently from this repository")),
        };
        let manifest: Manifest =
            serde_json::from_str(body).map_err(|_| damaged("it isn't a manifest"))?;
        if manifest.id != id || label.id != id {
            return Err(damaged("it has another's name"));
        }
        Ok(manifest)
    }

    /// Writes the manifest, which makes the backup exist.
    pub(super) fn put_manifest(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let label = Label { format: FORMAT, id: manifest.id.clone(), sealed: self.is_encrypted() };
        let body = json(manifest)?;
        let body = match &self.key {
            Some(key) => {
                let packed = zstd::bulk::compress(body.as_bytes(), LEVEL)
                    .map_err(|source| BackupError::Disk { path: "packing".into(), source })?;
                hex::encode(key.seal(manifest.id.as_bytes(), &packed))
            }
            None => body,
        };
        let text = with_sum(format!("{}\n{body}", json(&label)?));
        self.target.put(&manifest_path(&manifest.id), text)
    }

    /// Visits all readable manifests, oldest first; returns the unreadable ones. One at a time, since together they may
    /// not fit into memory.
    pub(super) fn each_manifest(
        &self,
        visit: &mut dyn FnMut(Manifest) -> Result<(), BackupError>,
    ) -> Result<Vec<Unreadable>, BackupError> {
        let mut bad = Vec::new();
        for id in self.ids()? {
            match self.manifest(&id) {
                Ok(manifest) => visit(manifest)?,
                Err(error @ (BackupError::Damaged { .. } | BackupError::NoBackup { .. })) => {
                    bad.push((id, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bad)
    }

    /// All readable backups, oldest first and without chunk lists, and the unreadable ones.
    ///
    /// # Errors
    /// If the target cannot be read.
    pub fn outlines(&self) -> Result<(Vec<Manifest>, Vec<Unreadable>), BackupError> {
        let mut good = Vec::new();
        let bad = self.each_manifest(&mut |manifest| {
            good.push(manifest.outline());
            Ok(())
        })?;
        Ok((good, bad))
    }

    /// Like [`Self::outlines`], with whether all chunks exist. Checks move damaged chunks aside.
    ///
    /// # Errors
    /// If the target cannot be read.
    pub fn states(&self) -> Result<States, BackupError> {
        self.states_of(&|_| true)
    }

    /// Like [`Self::states`], examining only the parts for which `meant` is true.
    ///
    /// # Errors
    /// If the target cannot be read.
    pub fn states_of(&self, meant: &dyn Fn(&Part) -> bool) -> Result<States, BackupError> {
        let there = self.pieces()?;
        let mut good = Vec::new();
        let bad = self.each_manifest(&mut |manifest| {
            let parts = manifest.parts.iter().filter(|part| meant(part));
            let is_whole = are_there(parts, &there);
            good.push((manifest.outline(), is_whole));
            Ok(())
        })?;
        Ok((good, bad))
    }

    // ── Markers ──

    /// Sets a marker and checks for conflicting work of another HQ.
    pub(super) fn begin(
        &self,
        work: Work,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Begun<'_>, BackupError> {
        let name = format!("running/{}-{}", random_hex(), work.word());
        let marker = Marker { owner: owner.0.clone(), what: work.word().to_owned(), since: now };
        self.target.put(&name, json(&marker)?.into_bytes())?;
        // Marker first, check second: of two concurrent HQs, at least one sees the other.
        let mut begun = Begun { repo: self, name, alone: true };
        for object in self.target.list("running/")? {
            if object.name == begun.name {
                continue;
            }
            let Some(bytes) = self.target.get(&object.name, 64 * 1024)? else { continue };
            let other: Option<Marker> = serde_json::from_slice(&bytes).ok(); // ok: a torn marker belongs to nobody
            match other {
                Some(other) if alive(&other, owner, now) => {
                    if work == Work::Prune || other.what == Work::Prune.word() {
                        return Err(BackupError::Busy {
                            place: self.place().to_owned(),
                            what: format!("another HQ ({})", other.what),
                            since: other.since.to_string(),
                        });
                    }
                    begun.alone = false;
                }
                _ => self.target.delete(&object.name)?,
            }
        }
        Ok(begun)
    }
}

/// A backup with an unreadable manifest, and the error.
pub type Unreadable = (String, BackupError);

/// Whether all chunks of a backup exist with the right size.
pub(super) fn is_whole(manifest: &Manifest, there: &HashMap<String, (u64, Timestamp)>) -> bool {
    are_there(manifest.parts.iter(), there)
}

fn are_there<'p>(
    parts: impl Iterator<Item = &'p Part>,
    there: &HashMap<String, (u64, Timestamp)>,
) -> bool {
    let mut pieces = parts.flat_map(|part| part.all_chunks());
    pieces.all(|ChunkRef(name, _, stored)| there.get(name).is_some_and(|(size, _)| size == stored))
}

/// Splits a manifest into its first line and the rest, if its checksum is valid.
pub(super) fn labelled(bytes: &[u8]) -> Result<(Label, &str), &'static str> {
    let text = checked(bytes).ok_or("its checksum doesn't match")?;
    let (label, body) = text.split_once('\n').ok_or("it is cut short")?;
    let label = serde_json::from_str(label).map_err(|_| "its first line isn't a label")?;
    Ok((label, body))
}

fn alive(marker: &Marker, own: &Owner, now: Timestamp) -> bool {
    // Markers from the future expire, too: a wrong clock must not lock a target for years.
    let hours = now.duration_since(marker.since).as_hours().abs();
    marker.owner != own.0 && hours < MARKER_HOURS
}

/// A marker, removed on drop.
pub(super) struct Begun<'r> {
    repo: &'r Repository,
    name: String,
    alone: bool,
}

impl Begun<'_> {
    /// Whether no other HQ was at work when this one started.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.repo.target.delete(&self.name) {
            tracing::warn!(%error, "a marker of a backup is left; the next one removes it");
        }
    }
}

/// Chunks at the target with their sizes.
pub(super) type Known = BTreeMap<String, u64>;

pub(super) fn manifest_path(id: &str) -> String {
    format!("{MANIFESTS}{id}")
}

pub(super) fn piece_path(name: &str) -> String {
    format!("chunks/{}/{name}", name.get(..2).unwrap_or("xx"))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, BackupError> {
    serde_json::to_string(value)
        .map_err(|error| BackupError::Disk { path: "JSON".to_owned(), source: error.into() })
}

pub(super) fn random_hex() -> String {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).expect("invariant: the system gives random bytes");
    hex::encode(bytes)
}
