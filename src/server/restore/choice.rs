//! Selects the backup to restore: the newest, one by id, or one that can be rolled back to a point in time. A backup
//! that lacks the requested data is skipped, with a note.

use std::collections::BTreeSet;

use backup::{BackupError, Manifest, Part, Repository};
use crypto::keyring::Keyring;
use kernel::Timestamp;

use super::{Mode, RestoreRequest, Which};

/// The selected backup.
pub(super) struct Chosen {
    pub manifest: Manifest,
    /// The time to which the backup is rolled back.
    pub moment: Option<Timestamp>,
    /// Id of the newest backup before that time.
    before: Option<String>,
    /// Id of the newest backup, if it was skipped, and the workspaces that it lacks.
    passed: Option<(String, Vec<String>)>,
    /// Skipped backups nearer to the time, with reasons.
    nearer: Vec<(String, String)>,
    /// Later backups that could be rolled back to the time as well, oldest first.
    later: Vec<String>,
}

impl Chosen {
    fn whole(manifest: Manifest) -> Self {
        let (nearer, later) = (Vec::new(), Vec::new());
        Self { manifest, moment: None, before: None, passed: None, nearer, later }
    }

    /// Replaces a backup that failed a check by the next one that can be rolled back to the time.
    ///
    /// # Errors
    /// `fault`, if there is none.
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
        // The replaced backup was of exactly this time.
        self.moment = self.moment.or(Some(former.taken_at));
        self.nearer.push((former.id, fault.to_string()));
        Ok(())
    }

    /// Notes about skipped backups and about what the selected one lacks.
    pub(super) fn passed_over(&self, only: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((id, missing)) = &self.passed {
            let missing = missing.join(", ");
            notes.push(format!(
                "this is the newest backup that has everything you asked for; the newest one is \
                 {id}, which lacks {missing}: `--at {id}` uses that one"
            ));
        }
        notes.extend(self.nearer.iter().map(|(id, why)| {
            format!(
                "the backup {id} is closer to that time but was skipped: {why}; {} restores the \
                 same time",
                self.manifest.id
            )
        }));
        if only.is_none() && !self.manifest.is_complete() {
            let (id, missing) = (&self.manifest.id, self.manifest.missing.join(", "));
            notes.push(format!(
                "the backup {id} is incomplete: {missing} couldn't be backed up; an older one may \
                 have it (`hq backup list --to PLACE`, then `--at ID --workspace SLUG`)"
            ));
        }
        notes
    }

    /// Adds the nearest backups to an error about a point in time.
    pub(super) fn explain(&self, error: BackupError) -> BackupError {
        let Some(moment) = self.moment else { return error };
        let near = match &self.before {
            Some(before) => {
                format!("{before} from before it and {} from after it", self.manifest.id)
            }
            None => format!("{} from after it", self.manifest.id),
        };
        BackupError::Restore(format!(
            "{moment} is between two backups and can't be restored: {error}; the closest ones are \
             {near}, give one of them with --at"
        ))
    }
}

/// The requested backup.
pub(super) fn chosen(repo: &Repository, wish: &RestoreRequest) -> Result<Chosen, BackupError> {
    match &wish.backup {
        Which::Newest => chosen_newest(repo, wish),
        Which::Id(start) => repo.manifest(&repo.find(start)?).map(Chosen::whole),
        Which::At(at) => chosen_at(repo, *at, wish),
    }
}

/// Whether a backup contains the requested data: one workspace, or all.
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

/// The newest backup that contains the requested data; otherwise the newest of all.
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

/// The first complete backup after a point in time that contains the requested data; otherwise the first of all,
/// whose check then reports the problem.
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
                "there is no backup from {at} or later; the newest is {before}: use --at {before}, \
                 or create a backup now if HQ still runs, and try again"
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
            false => "it is damaged; some of its parts are missing".to_owned(),
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
        // The check reports what is wrong with it.
        (nearer, fitting) = (Vec::new(), vec![first.id.clone()]);
    }
    let manifest = repo.manifest(&fitting.remove(0))?;
    // Ids sort by time. An unreadable backup may be nearer, and its content is unknown.
    let is_between = |id: &String| before.as_ref().is_none_or(|before| before < id);
    let lost = unreadable.into_iter().filter(|(id, _)| is_between(id) && *id < manifest.id);
    nearer.extend(lost.map(|(id, error)| (id, error.to_string())));
    let moment = (manifest.taken_at != at).then_some(at);
    Ok(Chosen { manifest, moment, before, passed: None, nearer, later: fitting })
}

/// Whether a restore writes this part of a backup.
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

/// The key id of the backups to use at a place shared by several HQs: the one of the available master key. `None` if
/// all backups belong to one HQ.
fn meant(repo: &Repository, wish: &RestoreRequest) -> Result<Option<String>, BackupError> {
    let (all, _) = repo.outlines()?;
    let keys: BTreeSet<String> = all.into_iter().map(|one| one.key_id).collect();
    if keys.len() < 2 {
        return Ok(None);
    }
    // ok: without a readable key, no HQ is selected, and the error says so.
    let own = Keyring::load(&wish.key_file).ok();
    let own = own.map(|ring| [vec![ring.key_id()], ring.former_ids()].concat());
    let own: Vec<String> = own.iter().flatten().map(ToString::to_string).collect();
    if keys.iter().all(|key| own.contains(key)) {
        // The key was rotated: all backups belong to one HQ.
        return Ok(None);
    }
    own.into_iter().find(|own| keys.contains(own)).map(Some).ok_or_else(|| {
        BackupError::Restore(format!(
            "{} contains backups of several HQs, with the master keys {}; choose one with --at, or \
             put its master key at {} first",
            repo.place(),
            keys.into_iter().collect::<Vec<_>>().join(", "),
            wish.key_file.display()
        ))
    })
}
