//! Conflict branches: what an agent wrote on a host while its files changed differently on the primary. People apply
//! or drop them. Nothing that a host wrote is lost, and nothing changes the agent's files automatically.

use std::collections::BTreeSet;

use app::{Who, Ws};
use git::history::{At, FileDiff, LogQuery};
use git::pack::Moved;
use git::snapshot::MAX_FILE;
use git::{AgentsRepo, Author, Branch, CommitId, File, GitError};
use kernel::text::of_bytes;
use kernel::{AgentId, Timestamp};
use store::StoreError;
use tool::leaks;
use tool::merge::{self, Merged};

use super::desk::{self, LockedFolder};
use super::editing::{EditError, Hand};
use super::files::FilesError;
use super::model::Agent;
use super::rules;
use super::templates::MANIFEST;
use super::there::{blocking, damaged};

/// Maximum number of conflict branches per agent.
const MOST: usize = 50;
/// Maximum number of commits counted.
const COUNTED: usize = 1_000;

/// A conflict branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Name, unique per agent.
    pub name: String,
    /// Newest commit.
    pub head: CommitId,
    /// Commit at which it left the agent's branch; `None` if it never was on it.
    pub from: Option<CommitId>,
    /// Number of commits after `from`, at most 1,000.
    pub commits: usize,
    /// Time of the newest commit.
    pub at: Timestamp,
}

/// Result of applying a conflict branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// `None` if nothing changed.
    pub commit: Option<CommitId>,
    /// Changed files.
    pub took: Vec<String>,
    /// Unchanged files: conflicting lines, not text, or containing a key.
    pub stays: Vec<String>,
}

/// The conflict branches of an agent, oldest first.
fn branches(repo: &AgentsRepo, slug: &str) -> Result<Vec<(Branch, String)>, GitError> {
    let begins = format!("conflict/{slug}/");
    let all = repo.branches()?.into_iter();
    let name = |branch: Branch| {
        let name = branch.as_str().strip_prefix(&begins)?.to_owned();
        Some((branch, name))
    };
    Ok(all.filter_map(name).collect())
}

/// Whether a conflict branch contains the commit.
pub fn has(repo: &AgentsRepo, slug: &str, commit: CommitId) -> Result<bool, GitError> {
    for (branch, _) in branches(repo, slug)? {
        if repo.is_on(&branch, commit)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Keeps a local commit with its ancestors. A continuation of a known conflict branch extends it.
///
/// # Errors
/// If there are too many, or the repository or store fails.
pub async fn keep(
    ws: &Ws,
    by: &impl Who,
    (agent, slug): (AgentId, &str),
    head: CommitId,
) -> Result<(), FilesError> {
    let day = ws.app.clock.now().strftime("%Y-%m-%d").to_string();
    let (own, slug) = (ws.clone(), slug.to_owned());
    let kept = blocking(move || {
        let repo = own.repo()?;
        let all = branches(repo, &slug)?;
        for (branch, name) in &all {
            if repo.is_on(branch, head)? {
                return Ok(None);
            }
            if repo.move_on(branch, head).map_err(damaged)? != Moved::Apart {
                return Ok(Some(name.clone()));
            }
        }
        if MOST <= all.len() {
            let words = "too many changes are saved for this agent; apply or discard some first";
            return Err(FilesError::Damaged(words.to_owned()));
        }
        let name = format!("{day}-{}", head.short());
        repo.place(&Branch::conflict(&slug, &name)?, head).map_err(damaged)?;
        Ok(Some(name))
    });
    match kept.await? {
        Some(name) => Ok(tell(ws, by, agent, (vec![name], head)).await?),
        None => Ok(()),
    }
}

/// The conflict branches of an agent, oldest first.
pub async fn all(ws: &Ws, agent: &Agent) -> Result<Vec<Apart>, FilesError> {
    let (own, slug) = (ws.clone(), agent.slug.clone());
    blocking(move || {
        let repo = own.repo()?;
        let all = branches(repo, &slug)?.into_iter();
        let loaded =
            |(branch, name): (Branch, String)| load(repo, &slug, &branch, name).transpose();
        Ok(all.filter_map(loaded).collect::<Result<Vec<_>, GitError>>()?)
    })
    .await
}

/// A conflict branch with its changes since it left the agent's branch.
///
/// # Errors
/// `NotFound` if there is none of this name.
pub async fn one(ws: &Ws, agent: &Agent, name: &str) -> Result<(Apart, Vec<FileDiff>), FilesError> {
    let (own, slug, name) = (ws.clone(), agent.slug.clone(), name.to_owned());
    blocking(move || {
        let repo = own.repo()?;
        let apart = found(repo, &slug, &name)?;
        let mut files = match apart.from {
            Some(from) => repo.diff_between(&At::Commit(from), &At::Commit(apart.head))?,
            None => repo.diff(apart.head)?,
        };
        files.retain(|file| file.path != MANIFEST);
        Ok((apart, files))
    })
    .await
}

/// Merges a conflict branch into the agent's files where it merges cleanly. The branch is deleted once nothing is
/// left of it; the commit names its head.
///
/// # Errors
/// `NotFound` if there is none of this name; errors of changing the files.
pub async fn take(hand: Hand<'_>, name: &str) -> Result<Taken, EditError> {
    let Hand { ws, agent, who } = hand;
    if agent.archived_at.is_some() {
        return Err(FilesError::Archived.into());
    }
    let (apart, files) = one(ws, agent, name).await?;
    let mut paths: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
    for file in files {
        if let git::history::Change::Renamed { from } = file.change {
            paths.insert(from);
        }
    }
    let (author, wanted) = (Author::person(&who.name, who.account), apart.clone());
    let slug = agent.slug.clone();
    let taken = desk::at(ws, agent, author, paths.clone(), move |desk| {
        desk.disk_has_room().map_err(FilesError::from)?;
        let taken = merged(desk, &wanted, &paths)?;
        let Merge { files, stays } = taken;
        let took: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
        let named: Vec<&str> = took.iter().map(String::as_str).collect();
        desk.keep(&named).map_err(FilesError::from)?;
        // A file may replace a folder, so remove first.
        let (gone, there): (Vec<_>, Vec<_>) = files.iter().partition(|(_, file)| file.is_none());
        for (path, file) in gone.into_iter().chain(there) {
            match file {
                Some(file) => desk.files.write(file).map_err(FilesError::from)?,
                None => {
                    desk.files.remove(path).map_err(FilesError::from)?;
                    desk.files.remove_empty_above(path).map_err(FilesError::from)?;
                }
            }
        }
        let message = format!(
            "files: Take what was written elsewhere\n\nFrom: {}\nAgent: {slug}\n",
            wanted.head
        );
        let commit = desk.commit(&named, &message).map_err(FilesError::from)?;
        Ok::<_, EditError>(Taken { commit, took, stays })
    })
    .await?;
    if taken.stays.is_empty() {
        gone(ws, agent, &apart).await?;
    }
    let mut names = taken.took.clone();
    names.push(apart.name);
    tell(ws, who, agent.id, (names, taken.commit.unwrap_or(apart.head))).await?;
    Ok(taken)
}

/// Drops a conflict branch.
///
/// # Errors
/// `NotFound` if there is none of this name.
pub async fn forget(hand: Hand<'_>, name: &str) -> Result<(), FilesError> {
    let Hand { ws, agent, who } = hand;
    let (apart, _) = one(ws, agent, name).await?;
    gone(ws, agent, &apart).await?;
    Ok(tell(ws, who, agent.id, (vec![apart.name], apart.head)).await?)
}

/// Deletes the branch unless it changed since it was viewed.
async fn gone(ws: &Ws, agent: &Agent, seen: &Apart) -> Result<(), FilesError> {
    let (own, head) = (ws.clone(), seen.head);
    let branch = Branch::conflict(&agent.slug, &seen.name)?;
    blocking(move || Ok(own.repo()?.delete_branch_at(&branch, head)?)).await.map(drop)
}

/// Announces the change in the feed, so that pages with these files refresh.
async fn tell(
    ws: &Ws,
    by: &impl Who,
    agent: AgentId,
    (paths, commit): (Vec<String>, CommitId),
) -> Result<(), StoreError> {
    ws.write(by, move |tx| {
        paths.into_iter().for_each(|path| rules::files_changed(tx, agent, path, commit));
        Ok(())
    })
    .await
}

fn found(repo: &AgentsRepo, slug: &str, name: &str) -> Result<Apart, FilesError> {
    let one = branches(repo, slug)?.into_iter().find(|(_, other)| other == name);
    let (branch, _) = one.ok_or_else(|| FilesError::NotFound(name.to_owned()))?;
    let loaded = load(repo, slug, &branch, name.to_owned())?;
    loaded.ok_or_else(|| FilesError::NotFound(name.to_owned()))
}

fn load(
    repo: &AgentsRepo,
    slug: &str,
    branch: &Branch,
    name: String,
) -> Result<Option<Apart>, GitError> {
    let Some(head) = repo.head(branch)? else { return Ok(None) };
    let from = repo.fork(branch, &Branch::agent(slug)?)?;
    let log = repo.log(branch, &LogQuery { limit: COUNTED, ..LogQuery::default() })?;
    let commits = log.iter().take_while(|commit| Some(commit.id) != from).count();
    let at = repo.commit(head)?.time;
    Ok(Some(Apart { name, head, from, commits, at }))
}

/// Merged files, `None` for removals, and the files that stay unchanged.
struct Merge {
    files: Vec<(String, Option<File>)>,
    stays: Vec<String>,
}

/// Merges the conflict branch with the files in the folder.
fn merged(
    desk: &LockedFolder,
    apart: &Apart,
    paths: &BTreeSet<String>,
) -> Result<Merge, FilesError> {
    let repo = desk.ws.repo()?;
    let then = |at: Option<CommitId>, path: &str| match at {
        Some(at) => repo.read_file(&At::Commit(at), path),
        None => Ok(None),
    };
    let mut merge = Merge { files: Vec::new(), stays: Vec::new() };
    for path in paths.iter().filter(|path| *path != MANIFEST) {
        let (base, theirs) = (then(apart.from, path)?, then(Some(apart.head), path)?);
        let mine = match desk.files.read_up_to(path, MAX_FILE) {
            Ok(part) => part.map(|part| (part.bytes, part.total)),
            // A folder or link is in its place.
            Err(GitError::Path { .. }) => {
                merge.stays.push(path.clone());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let is_whole = mine.as_ref().is_none_or(|(bytes, total)| bytes.len() as u64 == *total);
        let mine = mine.map(|(bytes, _)| bytes);
        let bytes = |file: &Option<File>| file.as_ref().map(|file| file.bytes.clone());
        if is_whole && mine == bytes(&theirs) {
            continue;
        }
        let wanted = match is_whole {
            true => joined((bytes(&base), theirs, mine)),
            false => None,
        };
        let holds_key = |file: &Option<File>| {
            let bytes = file.as_ref().map(|file| file.bytes.as_slice()).unwrap_or_default();
            leaks::in_file(&desk.ws.app.redactor, bytes).is_some()
        };
        match wanted {
            Some(file) if !holds_key(&file) => merge.files.push((path.clone(), file)),
            _ => merge.stays.push(path.clone()),
        }
    }
    Ok(merge)
}

/// Merged content of a file: the only changed side, or the lines of both; `None` if a person has to decide.
fn joined(
    (base, theirs, mine): (Option<Vec<u8>>, Option<File>, Option<Vec<u8>>),
) -> Option<Option<File>> {
    if mine == base {
        return Some(theirs);
    }
    let theirs = theirs?;
    let text = |bytes: Vec<u8>| of_bytes(bytes, false);
    let (base, mine) = (text(base.unwrap_or_default())?, text(mine?)?);
    match merge::lines(&base, &mine, &text(theirs.bytes)?) {
        Merged::Clean(text) => Some(Some(File { bytes: text.into_bytes(), ..theirs })),
        Merged::Clash(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File::new("a.md", text)
    }

    fn text(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn what_does_not_collide_is_made_one_and_all_else_stays() {
        let base = "one\ntwo\nthree\nfour\nfive\n";
        let theirs = "one there\ntwo\nthree\nfour\nfive\n";
        let mine = "one\ntwo\nthree\nfour\nfive here\n";
        let one = |base, theirs: Option<&str>, mine| {
            let joined = joined((base, theirs.map(file), mine));
            joined.map(|file| file.map(|file| String::from_utf8(file.bytes).unwrap()))
        };
        let says = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(one(text(base), Some(theirs), text(base)), says(theirs));
        let both = "one there\ntwo\nthree\nfour\nfive here\n";
        assert_eq!(one(text(base), Some(theirs), text(mine)), says(both));
        assert_eq!(one(text(base), Some(theirs), text("one here\ntwo\nthree\n")), None);
        // Added there; removed there; removed here; removed there and changed here; not text.
        assert_eq!(one(None, Some(theirs), None), says(theirs));
        assert_eq!(one(text(base), None, text(base)), Some(None));
        assert_eq!(one(text(base), Some(theirs), None), None);
        assert_eq!(one(text(base), None, text(mine)), None);
        assert_eq!(one(text(base), Some(theirs), Some(vec![0xff, 0])), None);
    }
}
