//! How it stands with the master key.

use app::App;
use crypto::password;
use store::{Range, Read, ReadExt as _, StoreError};

use super::model::Rotation;
use crate::backups::model::Kept;
use crate::users::model::Password;
use crate::users::queries as users;

/// A key that was the master key before and still reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Names it.
    pub id: String,
    /// What needs it, each in words; empty when it may go.
    pub needs: Vec<String>,
}

/// How it stands with the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Names the key that seals.
    pub current: String,
    /// The keys of before, the last one first.
    pub formers: Vec<Former>,
    /// The last change, if there was one.
    pub last: Option<Rotation>,
    /// Workspaces that are on the list and not open: what is sealed in them waits.
    pub waits: Vec<String>,
}

/// The change that is under way.
pub fn open(read: &dyn Read) -> Result<Option<Rotation>, StoreError> {
    Ok(last(read)?.filter(|one| one.ended_at.is_none()))
}

/// The last change.
pub fn last(read: &dyn Read) -> Result<Option<Rotation>, StoreError> {
    Ok(read.list(&Range::all().reverse().limit(1))?.pop())
}

/// Workspaces on the list that are not open here.
pub fn not_open(app: &App) -> Result<Vec<String>, StoreError> {
    let open: Vec<String> = app.workspaces.read().iter().map(|ws| ws.slug.clone()).collect();
    let all = app.system.read(|snap| users::workspaces(snap))?;
    Ok(all.into_iter().map(|one| one.slug).filter(|slug| !open.contains(slug)).collect())
}

/// How it stands. Blocking.
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

/// What needs a former key.
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
            let kept: Vec<Kept> = read.list(&Range::all())?;
            let count = kept.iter().filter(|one| one.taken_at < at).count();
            if 0 < count {
                needs.push(format!("{}, made before the change", counted(count, "backup")));
            }
        }
        _ => needs.push("what is not sealed anew yet".to_owned()),
    }
    let all: Vec<Password> = read.list(&Range::all())?;
    let rests = |one: &&Password| password::rests_on(&one.hash).as_deref() == Some(id);
    let count = all.iter().filter(rests).count();
    if 0 < count {
        needs.push(format!("{}, until the next sign-in with it", counted(count, "password")));
    }
    Ok(needs)
}

/// Where a change stands, in a sentence; nothing while none is under way and nothing is shut.
pub fn words(app: &App) -> Result<Option<(bool, String)>, StoreError> {
    let Some(last) = app.system.read(|snap| last(snap))? else { return Ok(None) };
    if last.ended_at.is_none() {
        let waits = not_open(app)?;
        let mut words = format!(
            "the key {} seals since {}; {} rows that {} had sealed are sealed anew so far",
            last.to, last.begun_at, last.sealed, last.from
        );
        if !waits.is_empty() {
            words = format!("{words}; these workspaces are not open: {}", waits.join(", "));
        }
        return Ok(Some((true, words)));
    }
    let words = format!(
        "{} values opened with no key that is here and stayed as they were: enter them again",
        last.shut
    );
    Ok((0 < last.shut).then_some((false, words)))
}
