//! Head of a repository: id and, if encrypted, the wrapped key. Stored twice, since sealed data is lost without the
//! key.

use serde::{Deserialize, Serialize};

use crypto::passphrase::WrappedKey;
use kernel::Timestamp;

use super::manifest::{checked, with_sum};
use super::repo::{MANIFESTS, MAX_MANIFEST, json, labelled, random_hex};
use super::target::Target;
use super::{BackupError, FORMAT};

const HEAD: &str = "hq-backups.json";
/// The second copy.
const SPARE: &str = "hq-backups.spare.json";
/// In bytes.
const MAX_HEAD: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub format: u32,
    pub id: String,
    pub made_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<WrappedKey>,
}

/// The head from whichever copy is readable; `None` if there is no repository.
pub(super) fn read(target: &dyn Target) -> Result<Option<Head>, BackupError> {
    let found = read_one(target, HEAD);
    if !matches!(found, Ok(None) | Err(BackupError::Head { .. })) {
        return found;
    }
    if let Ok(Some(spare)) = read_one(target, SPARE) {
        return Ok(Some(spare));
    }
    match found {
        Ok(None) if !target.list(MANIFESTS)?.is_empty() => Err(BackupError::Head {
            place: target.place().to_owned(),
            name: HEAD.to_owned(),
            why: "is missing",
        }),
        found => found,
    }
}

fn read_one(target: &dyn Target, name: &str) -> Result<Option<Head>, BackupError> {
    let damaged =
        |why| BackupError::Head { place: target.place().to_owned(), name: name.to_owned(), why };
    let bytes = match target.get(name, MAX_HEAD) {
        Err(BackupError::Damaged { .. }) => return Err(damaged("is damaged (it is too long)")),
        found => found?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let text = checked(&bytes).ok_or_else(|| damaged("is damaged (its checksum doesn't match)"))?;
    serde_json::from_str(text).map(Some).map_err(|_| damaged("is damaged (it isn't a head)"))
}

/// Writes both copies.
pub(super) fn put(target: &dyn Target, head: &Head) -> Result<(), BackupError> {
    let text = with_sum(json(head)?);
    target.put(HEAD, text.clone())?;
    target.put(SPARE, text)
}

/// Damaged copies, as sentences.
pub(super) fn bad(target: &dyn Target) -> Result<Vec<String>, BackupError> {
    let mut bad = Vec::new();
    for name in [HEAD, SPARE] {
        let what = match whole(target, name)? {
            Some(_) => continue,
            None if target.get(name, MAX_HEAD).is_ok_and(|there| there.is_none()) => {
                if name == SPARE {
                    continue;
                }
                "is missing"
            }
            None => "is damaged",
        };
        let place = target.place();
        bad.push(format!(
            "{name} at {place} {what}; a second copy opens the backups, and the next backup \
                recreates this one"
        ));
    }
    Ok(bad)
}

/// An intact copy; `None` if it is missing or damaged.
fn whole(target: &dyn Target, name: &str) -> Result<Option<Vec<u8>>, BackupError> {
    match target.get(name, MAX_HEAD) {
        Ok(bytes) => Ok(bytes.filter(|bytes| checked(bytes).is_some())),
        Err(BackupError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Rewrites a missing or damaged copy from the other one.
pub(super) fn keep(target: &dyn Target) -> Result<(), BackupError> {
    match (whole(target, HEAD)?, whole(target, SPARE)?) {
        (Some(head), None) => target.put(SPARE, head),
        (None, Some(spare)) => target.put(HEAD, spare),
        _ => Ok(()),
    }
}

/// Rebuilds a head whose copies are both missing or damaged, from the readable backups; returns their number. `None` if
/// an intact copy exists.
///
/// # Errors
/// If there are no readable backups, or they are encrypted: then the key is lost with the head.
pub fn mend(target: &dyn Target, now: Timestamp) -> Result<Option<usize>, BackupError> {
    match read(target) {
        Ok(Some(_)) => return keep(target).map(|()| None),
        Ok(None) | Err(BackupError::Head { .. }) => {}
        Err(error) => return Err(error),
    }
    let place = || target.place().to_owned();
    let all = target.list(MANIFESTS)?;
    if all.is_empty() {
        return Err(match target.is_empty()? {
            true => BackupError::NoRepository { place: place() },
            false => BackupError::OtherFiles { place: place() },
        });
    }
    let (mut readable, mut unreadable) = (0, None);
    for one in &all {
        let bytes = target.get(&one.name, MAX_MANIFEST)?.unwrap_or_default();
        match labelled(&bytes) {
            Ok((label, _)) if label.sealed => {
                return Err(BackupError::HeadSealed { place: place() });
            }
            Ok(_) => readable += 1,
            Err(why) => {
                unreadable =
                    Some(BackupError::Damaged { place: place(), name: one.name.clone(), why });
            }
        }
    }
    if let Some(error) = unreadable.filter(|_| readable == 0) {
        return Err(error);
    }
    let id = former_id(target)?.unwrap_or_else(random_hex);
    put(target, &Head { format: FORMAT, id, made_at: now, key: None })?;
    Ok(Some(readable))
}

/// The id in a damaged head, if it is still well-formed: HQ recognizes the target by it.
fn former_id(target: &dyn Target) -> Result<Option<String>, BackupError> {
    for name in [HEAD, SPARE] {
        let bytes = match target.get(name, MAX_HEAD) {
            Err(BackupError::Damaged { .. }) => None,
            found => found?,
        };
        let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        let id = text.split_once("\"id\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let id = id.map(|(id, _)| id).filter(|id| id.len() == 12);
        if let Some(id) = id.filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}
