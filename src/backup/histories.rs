//! Git repositories of agents' files in backups. Each is restored to a folder and opened, for verification or to
//! recover objects that are missing here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git::AgentsRepo;
use git::check::Depth;
use kernel::Timestamp;

use super::BackupError;
use super::check::read;
use super::manifest::{Manifest, Part};
use super::progress::{Meter, Phase};
use super::repo::Repository;
use super::restore::{room_for, write_files};
use super::stream::Token;

/// A workspace's git repository from a backup.
pub struct History {
    pub backup: String,
    pub taken_at: Timestamp,
    /// The restored copy; its folder is reused by the next one.
    pub repo: AgentsRepo,
}

/// Iterator over a workspace's git repositories in backups, newest first. Removes its folder on drop.
pub struct Histories<'r> {
    repo: &'r Repository,
    meter: &'r Meter,
    slug: String,
    folder: PathBuf,
    /// Ids of the remaining backups, oldest first.
    left: Vec<String>,
}

impl<'r> Histories<'r> {
    /// For a workspace in backups with one of these master keys; copies are restored to `folder`.
    ///
    /// # Errors
    /// If the target cannot be read.
    pub fn of(
        repo: &'r Repository,
        (slug, keys): (&str, &[String]),
        folder: PathBuf,
        meter: &'r Meter,
    ) -> Result<Self, BackupError> {
        let (mut all, _) = repo.outlines()?;
        let path = path_of(slug);
        all.retain(|one| {
            keys.contains(&one.key_id)
                && one.parts.iter().any(|part| part.path == path && 0 < part.files)
        });
        all.sort_by_key(Manifest::order);
        let left = all.into_iter().map(|one| one.id).collect();
        Ok(Self { repo, meter, slug: slug.to_owned(), folder, left })
    }

    fn lay(&self, id: &str) -> Result<History, BackupError> {
        let manifest = self.repo.manifest(id)?;
        let path = path_of(&self.slug);
        let part = manifest.parts.iter().find(|part| part.path == path);
        let part = part.ok_or_else(|| BackupError::Restore(format!("{id} has no {path}")))?;
        let (repo, _) = lay(self.repo, part, &self.folder, self.meter)?;
        Ok(History { backup: manifest.id, taken_at: manifest.taken_at, repo })
    }
}

/// Unreadable repositories are skipped.
impl Iterator for Histories<'_> {
    type Item = History;

    fn next(&mut self) -> Option<History> {
        while let Some(id) = self.left.pop() {
            match self.lay(&id) {
                Ok(history) => return Some(history),
                Err(error) => tracing::warn!(%error, "the history in the backup {id} is no help"),
            }
        }
        None
    }
}

impl Drop for Histories<'_> {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.folder) {
            tracing::warn!(%error, "a copy of a history could not be removed");
        }
    }
}

/// Verifies all branches and objects of each workspace's git repository in a backup; returns the faults as sentences.
/// Copies are restored to `folder`. Blocking.
///
/// # Errors
/// If the target or the disk fails.
pub fn look_through_histories(
    repo: &Repository,
    manifest: &Manifest,
    folder: &Path,
    meter: &Meter,
) -> Result<Vec<String>, BackupError> {
    let of = |slug: &str, name: &str| {
        let path = format!("workspaces/{slug}/{name}");
        manifest.parts.iter().find(move |part| part.path == path)
    };
    let parts = manifest.workspaces.iter().filter_map(|slug| of(slug, "agents.git"));
    meter.begin(Phase::Verifying, parts.map(|part| part.bytes).sum());
    let mut faults = Vec::new();
    for slug in &manifest.workspaces {
        let agents = match of(slug, "agents") {
            Some(part) => agents_in(repo, part, meter)?,
            None => BTreeSet::new(),
        };
        let Some(part) = of(slug, "agents.git").filter(|_| !agents.is_empty()) else { continue };
        let fault_of = |what: &str| format!("{slug}: {what}");
        if part.files == 0 {
            faults.push(fault_of("the agent file history isn't in it"));
            continue;
        }
        let agents: Vec<String> = agents.into_iter().collect();
        let looked = match lay(repo, part, folder, meter) {
            Ok((_, true)) => {
                faults.push(fault_of("HEAD or config of the history is missing or damaged"));
                continue;
            }
            Ok((copy, false)) => copy.check(&agents, Depth::Objects).faults,
            Err(BackupError::History(error)) => {
                faults.push(fault_of(&error.to_string()));
                continue;
            }
            Err(error) => {
                clear(folder)?;
                return Err(error);
            }
        };
        faults.extend(looked.iter().map(|fault| fault_of(&fault.to_string())));
    }
    clear(folder)?;
    Ok(faults)
}

fn path_of(slug: &str) -> String {
    format!("workspaces/{slug}/agents.git")
}

/// Agents with files in a backup.
fn agents_in(
    repo: &Repository,
    part: &Part,
    meter: &Meter,
) -> Result<BTreeSet<String>, BackupError> {
    let mut found = BTreeSet::new();
    read(repo, part, meter, &mut |token| {
        if let Token::File { path, .. } = token
            && let Some((slug, _)) = path.split_once("/files/")
            && git::Branch::agent(slug).is_ok()
        {
            found.insert(slug.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Restores a git repository to an empty folder and opens it. Returns whether files other than objects had to be
/// rebuilt.
fn lay(
    repo: &Repository,
    part: &Part,
    folder: &Path,
    meter: &Meter,
) -> Result<(AgentsRepo, bool), BackupError> {
    clear(folder)?;
    room_for(folder, part.bytes)?;
    let at = folder.join("agents.git");
    write_files(repo, part, &at, meter)?;
    // Its objects may still be usable.
    let is_mended = git::mend::mend_frame(&at)?;
    Ok((AgentsRepo::open(&at)?, is_mended))
}

fn clear(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::disk(folder)(error))
        }
        _ => Ok(()),
    }
}
