//! Which backup is restored: the newest, one by its name, or the one from which it goes back to a moment. One
//! that lacks what is asked for is passed over, and that is said.

use std::collections::BTreeSet;

use backup::{BackupError, Manifest, Part, Repository};
use crypto::keyring::Keyring;
use kernel::Timestamp;

use super::{Mode, RestoreRequest, Which};

/// The backup that is restored, and how.
pub(super) struct Chosen {
    /// What it holds.
    pub manifest: Manifest,
    /// To which moment it goes back from there.
    pub moment: Option<Timestamp>,
    /// The newest backup from before that moment.
    before: Option<String>,
    /// The newest backup of all, when it was not taken because it lacks workspaces, and which.
    passed: Option<(String, Vec<String>)>,
    /// Backups that are nearer to the moment and were passed over, each with the reason.
    nearer: Vec<(String, String)>,
    /// Later ones that could go back to the moment as well, oldest first.
    later: Vec<String>,
}

impl Chosen {
    fn whole(manifest: Manifest) -> Self {
        let (nearer, later) = (Vec::new(), Vec::new());
        Self { manifest, moment: None, before: None, passed: None, nearer, later }
    }

    /// Takes the next one that goes back to the moment, in place of this one, in which a check has found
    /// something.
    ///
    /// # Errors
    /// What was found, when there is none.
    pub(super) fn pass(
        &mut self,
        repo: &Repository,
        fault: BackupError,
    ) -> Result<(), BackupError> {
        if self.later.is_empty() {
            return Err(fault);
        }
        let next = repo.manifest(&self.later.remove(0))?;
        let former = std::mem::replace(&mut self.manifest, next);
        // It was of that very moment.
        self.moment = self.moment.or(Some(former.taken_at));
        self.nearer.push((former.id, fault.to_string()));
        Ok(())
    }

    /// What is to be said of it: which others were passed over, and what it lacks itself.
    pub(super) fn passed_over(&self, only: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((id, missing)) = &self.passed {
            let missing = missing.join(", ");
            notes.push(format!(
                "this is the newest backup that lacks nothing of what is asked for; the newest of all is \
                 {id}, which lacks {missing}: `--at {id}` takes that one"
            ));
        }
        notes.extend(self.nearer.iter().map(|(id, why)| {
            format!(
                "the backup {id} is nearer to that moment and was passed over: {why}; {} goes back to the \
                 same moment",
                self.manifest.id
            )
        }));
        if only.is_none() && !self.manifest.is_complete() {
            let (id, missing) = (&self.manifest.id, self.manifest.missing.join(", "));
            notes.push(format!(
                "the backup {id} is incomplete: {missing} could not be taken when it was made; an older \
                 one may hold it (`hq backup list --to PLACE`, then `--at ID --workspace SLUG`)"
            ));
        }
        notes
    }

    /// An error on the way back to a moment, with the backups that are near it.
    pub(super) fn explain(&self, error: BackupError) -> BackupError {
        let Some(moment) = self.moment else { return error };
        let near = match &self.before {
            Some(before) => {
                format!("{before} from before it and {} from after it", self.manifest.id)
            }
            None => format!("{} from after it", self.manifest.id),
        };
        BackupError::Restore(format!(
            "{moment} lies between two backups and cannot be restored: {error}; near it are {near}, give \
             one of them with --at"
        ))
    }
}

/// The backup that is asked for.
pub(super) fn chosen(repo: &Repository, wish: &RestoreRequest) -> Result<Chosen, BackupError> {
    match &wish.backup {
        Which::Newest => chosen_newest(repo, wish),
        Which::Id(start) => repo.manifest(&repo.find(start)?).map(Chosen::whole),
        Which::At(at) => chosen_at(repo, *at, wish),
    }
}

/// Whether a backup holds what is asked for: the workspace, or all of them.
fn holds(manifest: &Manifest, wish: &RestoreRequest) -> bool {
    match &wish.workspace {
        Some(slug) => manifest.workspaces.contains(slug),
        None => manifest.is_complete(),
    }
}

fn lacks(manifest: &Manifest, wish: &RestoreRequest) -> Vec<String> {
    match &wish.workspace {
        Some(slug) => vec![slug.clone()],
        None => manifest.missing.clone(),
    }
}

/// The newest backup that holds what is asked for. Where none does, the newest of all.
fn chosen_newest(repo: &Repository, wish: &RestoreRequest) -> Result<Chosen, BackupError> {
    let of = meant(repo, wish)?;
    let newest = repo.newest(of.as_deref())?;
    if holds(&newest, wish) {
        return Ok(Chosen::whole(newest));
    }
    match repo.newest_of(of.as_deref(), &|one| holds(one, wish)) {
        Err(BackupError::NoBackup { .. }) => Ok(Chosen::whole(newest)),
        found => {
            let lacks = lacks(&newest, wish);
            Ok(Chosen { passed: Some((newest.id, lacks)), ..Chosen::whole(found?) })
        }
    }
}

/// The first backup from a moment on that holds what is asked for, with all its pieces. Where none does, the
/// first of all: then it is said what is wrong with that.
fn chosen_at(
    repo: &Repository,
    at: Timestamp,
    wish: &RestoreRequest,
) -> Result<Chosen, BackupError> {
    let of = meant(repo, wish)?;
    let (mut all, unreadable) = repo.states_of(&|part| is_written(part, wish))?;
    all.retain(|(one, _)| of.as_ref().is_none_or(|key_id| one.key_id == *key_id));
    all.sort_by_key(|(one, _)| one.taken_at);
    let after = all.split_off(all.partition_point(|(one, _)| one.taken_at < at));
    let before = all.pop().map(|(one, _)| one.id);
    let Some((first, _)) = after.iter().find(|(one, _)| holds(one, wish)).or(after.first()) else {
        return Err(match before {
            Some(before) => BackupError::Restore(format!(
                "no backup was made at {at} or after it; the newest is {before}: give --at {before}, or \
                 make a backup now if HQ still runs, and ask again"
            )),
            None => no_backup(repo, "at all"),
        });
    };
    let is_somewhere = holds(first, wish);
    let (mut nearer, mut fitting) = (Vec::new(), Vec::new());
    for (one, is_whole) in &after {
        let why = match is_whole {
            _ if is_somewhere && !holds(one, wish) => {
                format!("it lacks {}", lacks(one, wish).join(", "))
            }
            false => "it is damaged, some of its pieces are missing".to_owned(),
            true => {
                fitting.push(one.id.clone());
                continue;
            }
        };
        if fitting.is_empty() {
            nearer.push((one.id.clone(), why));
        }
    }
    if fitting.is_empty() {
        // A check says what is wrong with it.
        (nearer, fitting) = (Vec::new(), vec![first.id.clone()]);
    }
    let manifest = repo.manifest(&fitting.remove(0))?;
    // Names sort by time: one of these may be nearer, and nobody can say what it holds.
    let is_between = |id: &String| before.as_ref().is_none_or(|before| before < id);
    let lost = unreadable.into_iter().filter(|(id, _)| is_between(id) && *id < manifest.id);
    nearer.extend(lost.map(|(id, error)| (id, error.to_string())));
    let moment = (manifest.taken_at != at).then_some(at);
    Ok(Chosen { manifest, moment, before, passed: None, nearer, later: fitting })
}

/// Whether a part of a backup is written by a restore.
fn is_written(part: &Part, wish: &RestoreRequest) -> bool {
    match &wish.workspace {
        None => true,
        Some(slug) => {
            part.is_of(slug) || (wish.mode == Mode::IntoEmpty && part.path == "system.redb")
        }
    }
}

fn no_backup(repo: &Repository, wanted: &str) -> BackupError {
    BackupError::NoBackup { place: repo.place().to_owned(), wanted: wanted.to_owned() }
}

/// Whose backups are meant at a place that several HQs share: those of the master key that is there. None
/// where all are of one.
fn meant(repo: &Repository, wish: &RestoreRequest) -> Result<Option<String>, BackupError> {
    let (all, _) = repo.outlines()?;
    let keys: BTreeSet<String> = all.into_iter().map(|one| one.key_id).collect();
    if keys.len() < 2 {
        return Ok(None);
    }
    // ok: without a key that can be read nobody is meant, and the error says so.
    let own = Keyring::load(&wish.key_file).ok();
    let own = own.map(|ring| [vec![ring.key_id()], ring.former_ids()].concat());
    let own: Vec<String> = own.iter().flatten().map(ToString::to_string).collect();
    if keys.iter().all(|key| own.contains(key)) {
        // It was another one before: all are of one HQ.
        return Ok(None);
    }
    own.into_iter().find(|own| keys.contains(own)).map(Some).ok_or_else(|| {
        BackupError::Restore(format!(
            "{} holds backups of several HQs, with the master keys {}; give the name of the one that you \
             mean with --at, or put its master key at {} first",
            repo.place(),
            keys.into_iter().collect::<Vec<_>>().join(", "),
            wish.key_file.display()
        ))
    })
}
