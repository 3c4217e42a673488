//! State of master key rotation.

use app::App;
use crypto::password;
use store::{Range, Read, ReadExt as _, StoreError};

use super::model::Rotation;
use crate::backups::model::CachedBackup;
use crate::users::model::Password;
use crate::users::queries as users;

/// A retired master key that can still decrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Key id.
    pub id: String,
    /// What still needs the key, in words. Empty if it can be removed.
    pub needs: Vec<String>,
}

/// State of the master keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Id of the current key.
    pub current: String,
    /// Retired keys, latest first.
    pub formers: Vec<Former>,
    /// Last rotation, if any.
    pub last: Option<Rotation>,
    /// Listed workspaces that are not open. Their secrets are not resealed yet.
    pub waits: Vec<String>,
}

/// The unfinished rotation, if any.
pub fn open(read: &dyn Read) -> Result<Option<Rotation>, StoreError> {
    Ok(last(read)?.filter(|one| one.ended_at.is_none()))
}

/// The last rotation.
pub fn last(read: &dyn Read) -> Result<Option<Rotation>, StoreError> {
    Ok(read.list(&Range::all().reverse().limit(1))?.pop())
}

/// Listed workspaces that are not open.
pub fn not_open(app: &App) -> Result<Vec<String>, StoreError> {
    let open: Vec<String> = app.workspaces.read().iter().map(|ws| ws.slug.clone()).collect();
    let all = app.system.read(|snap| users::workspaces(snap))?;
    Ok(all.into_iter().map(|one| one.slug).filter(|slug| !open.contains(slug)).collect())
}

/// State of the master keys. Blocking.
pub fn standing(app: &App) -> Result<Standing, StoreError> {
    let waits = not_open(app)?;
    let formers = app.keyring.former_ids();
    app.system.read(|snap| {
        let mut all = Vec::with_capacity(formers.len());
        for id in &formers {
            all.push(Former { id: id.to_string(), needs: needs(snap, id.as_str())? });
        }
        Ok(Standing {
            current: app.keyring.key_id().to_string(),
            formers: all,
            last: last(snap)?,
            waits,
        })
    })
}

/// What still needs a retired key.
fn needs(read: &dyn Read, id: &str) -> Result<Vec<String>, StoreError> {
    let mut needs = Vec::new();
    let all: Vec<Rotation> = read.list(&Range::all().reverse())?;
    let left = all.iter().find(|one| one.from == id);
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    match left.map(|one| one.ended_at) {
        Some(Some(at)) => {
            let kept: Vec<CachedBackup> = read.list(&Range::all())?;
            let count = kept.iter().filter(|one| one.taken_at < at).count();
            if 0 < count {
                needs.push(format!("{}, created before the change", counted(count, "backup")));
            }
        }
        _ => needs.push("data that isn’t re-encrypted yet".to_owned()),
    }
    let all: Vec<Password> = read.list(&Range::all())?;
    let rests = |one: &&Password| password::rests_on(&one.hash).as_deref() == Some(id);
    let count = all.iter().filter(rests).count();
    if 0 < count {
        needs.push(format!("{}, until the next sign-in with it", counted(count, "password")));
    }
    Ok(needs)
}

/// State of a rotation as a sentence. `None` if none is unfinished and every secret can be decrypted.
pub fn words(app: &App) -> Result<Option<(bool, String)>, StoreError> {
    let Some(last) = app.system.read(|snap| last(snap))? else { return Ok(None) };
    if last.ended_at.is_none() {
        let waits = not_open(app)?;
        let mut words = format!(
            "the key {} is in use since {}; {} rows encrypted with {} are re-encrypted so far",
            last.to, last.begun_at, last.sealed, last.from
        );
        if !waits.is_empty() {
            words = format!("{words}; these workspaces aren’t open: {}", waits.join(", "));
        }
        return Ok(Some((true, words)));
    }
    let words = web::format::count(
        last.shut,
        "value can’t be opened with any key here and is unchanged: enter it again",
        "values can’t be opened with any key here and are unchanged: enter them again",
    );
    Ok((0 < last.shut).then_some((false, words)))
}
