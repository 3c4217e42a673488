//! What an agent wrote on another machine while its files went another way at home: a branch beside its own, until people
//! take it or drop it. Nothing that a host wrote is lost, and nothing of it changes an agent's files by itself.

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

use super::desk::{self, Desk};
use super::editing::{EditError, Hand};
use super::files::FilesError;
use super::model::Agent;
use super::rules;
use super::templates::MANIFEST;
use super::there::{blocking, damaged};

/// So many are kept of one agent.
const MOST: usize = 50;
/// So many commits are counted.
const COUNTED: usize = 1_000;

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its name among those of its agent.
    pub name: String,
    /// Its newest commit.
    pub head: CommitId,
    /// Where it left the agent's own branch; none when it never was on it.
    pub from: Option<CommitId>,
    /// How many commits it has beyond that, up to a thousand.
    pub commits: usize,
    /// When the newest was made.
    pub at: Timestamp,
}

/// What came of taking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The commit; none when there was nothing to change.
    pub commit: Option<CommitId>,
    /// The files that changed.
    pub took: Vec<String>,
    /// The files that stay as they are: both have changed the same lines, or there are no lines, or a key stands in it.
    pub stays: Vec<String>,
}

/// The branches that are kept of an agent, the oldest first.
fn branches(repo: &AgentsRepo, slug: &str) -> Result<Vec<(Branch, String)>, GitError> {
    let begins = format!("conflict/{slug}/");
    let all = repo.branches()?.into_iter();
    let name = |branch: Branch| {
        let name = branch.as_str().strip_prefix(&begins)?.to_owned();
        Some((branch, name))
    };
    Ok(all.filter_map(name).collect())
}

/// Whether a commit is kept.
pub fn has(repo: &AgentsRepo, slug: &str, commit: CommitId) -> Result<bool, GitError> {
    for (branch, _) in branches(repo, slug)? {
        if repo.is_on(&branch, commit)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Keeps a commit that is here, with all that leads to it. What goes on from what was kept before goes on there.
///
/// # Errors
/// When there are too many, or the repository or the store fails.
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
            let words = "too much is kept of this agent already; take or drop some of it first";
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

/// What is kept of an agent, the oldest first.
pub async fn all(ws: &Ws, agent: &Agent) -> Result<Vec<Apart>, FilesError> {
    let (own, slug) = (ws.clone(), agent.slug.clone());
    blocking(move || {
        let repo = own.repo()?;
        let all = branches(repo, &slug)?.into_iter();
        let told = |(branch, name): (Branch, String)| load(repo, &slug, &branch, name).transpose();
        Ok(all.filter_map(told).collect::<Result<Vec<_>, GitError>>()?)
    })
    .await
}

/// One of them, with what differs in it from where it left the agent's own branch.
///
/// # Errors
/// `NotFound` when there is none of this name.
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

/// Takes what an agent wrote apart into its files: what is made one by itself. Once nothing of it is left, it is not kept any
/// more; the commit names it.
///
/// # Errors
/// `NotFound` when there is none of this name; what stands against changing the files.
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
        // A file may stand where a folder was: what is gone goes first.
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
    let mut told = taken.took.clone();
    told.push(apart.name);
    tell(ws, who, agent.id, (told, taken.commit.unwrap_or(apart.head))).await?;
    Ok(taken)
}

/// Drops what was kept.
///
/// # Errors
/// `NotFound` when there is none of this name.
pub async fn forget(hand: Hand<'_>, name: &str) -> Result<(), FilesError> {
    let Hand { ws, agent, who } = hand;
    let (apart, _) = one(ws, agent, name).await?;
    gone(ws, agent, &apart).await?;
    Ok(tell(ws, who, agent.id, (vec![apart.name], apart.head)).await?)
}

/// Drops what people have seen of it. What came after that stays.
async fn gone(ws: &Ws, agent: &Agent, seen: &Apart) -> Result<(), FilesError> {
    let (own, head) = (ws.clone(), seen.head);
    let branch = Branch::conflict(&agent.slug, &seen.name)?;
    blocking(move || Ok(own.repo()?.delete_branch_at(&branch, head)?)).await.map(drop)
}

/// Tells the feed, so that pages that show these files look again.
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
    let told = load(repo, slug, &branch, name.to_owned())?;
    told.ok_or_else(|| FilesError::NotFound(name.to_owned()))
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

/// Files as they are to be, none where one goes, and those that stay as they are.
struct Merge {
    files: Vec<(String, Option<File>)>,
    stays: Vec<String>,
}

/// Makes one what was written apart and what lies in the folder.
fn merged(desk: &Desk, apart: &Apart, paths: &BTreeSet<String>) -> Result<Merge, FilesError> {
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
            // A folder or a link stands in its place.
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

/// What a file is to be: what only one of both has changed, or the lines of both; none where somebody must choose.
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
        // New there; gone there; gone here; gone there and changed here; no text.
        assert_eq!(one(None, Some(theirs), None), says(theirs));
        assert_eq!(one(text(base), None, text(base)), Some(None));
        assert_eq!(one(text(base), Some(theirs), None), None);
        assert_eq!(one(text(base), None, text(mine)), None);
        assert_eq!(one(text(base), Some(theirs), Some(vec![0xff, 0])), None);
    }
}
