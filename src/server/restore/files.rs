//! Rolls agents' files back to the restored time, before the swap.
//!
//! Damaged files stay as they are in the backup, with a note. They do not block the others.

use std::path::Path;

use backup::BackupError;
use features::agents::model::Agent;
use git::moment::{AsOf, PutBack};
use git::{AgentsRepo, Author, Branch, Entry, GitError};
use kernel::{AgentStatus, Timestamp};
use store::{Range, ReadExt as _, Store};

use super::Restored;

/// Maximum number of failed files named per agent.
const NAMED: usize = 10;

/// Rolls the files of all existing agents back to the requested time, and notes failures. The store has been rolled
/// back before: an agent created later has no record, and its folder stays.
pub(super) fn back(
    store: &Store,
    (folder, slug): (&Path, &str),
    now: Timestamp,
    done: &mut Restored,
) -> Result<(), BackupError> {
    let Some(moment) = done.moment else { return Ok(()) };
    let agents = store.read(|snap| snap.list::<Agent>(&Range::all()));
    let agents = agents.map_err(BackupError::store(slug))?;
    if agents.is_empty() {
        return Ok(());
    }
    let stay = format!("as they were at {}", done.taken_at);
    let folder = folder.join("workspaces").join(slug);
    let repo = match AgentsRepo::open_or_init(&folder.join("agents.git")) {
        Ok(repo) => repo,
        Err(error) => {
            done.notes.push(format!("{slug}: all agent files stay {stay}: {error}"));
            return Ok(());
        }
    };
    let mut count = 0;
    for agent in &agents {
        let name = &agent.name;
        match put_back(&repo, &folder, agent, (moment, now)) {
            Ok((then, put)) => {
                count += u64::from(put.commit.is_some());
                if then.is_younger {
                    done.notes.push(format!(
                        "{slug}: the files of {name} have no version as old as {moment}, so its \
                         first version was restored"
                    ));
                }
                done.notes
                    .extend(stayed(&put).map(|files| format!("{slug}: files of {name}: {files}")));
            }
            // Such files are created when HQ starts, or could never be created.
            Err(GitError::NoBranch(_)) if is_unmade(agent) => {}
            Err(error) => {
                done.notes.push(format!("{slug}: the files of {name} stay {stay}: {error}"));
            }
        }
    }
    done.notes.push(format!(
        "{slug}: restored the files of {count} of {} agents to that time; later versions stay in \
         their history",
        agents.len()
    ));
    done.agents_put_back += count;
    Ok(())
}

fn put_back(
    repo: &AgentsRepo,
    folder: &Path,
    agent: &Agent,
    (moment, now): (Timestamp, Timestamp),
) -> Result<(AsOf, PutBack), GitError> {
    let (slug, branch, author) = (&agent.slug, Branch::agent(&agent.slug)?, Author::hq());
    // Before new commits are added, whatever the clock shows now.
    let then = repo.as_of(&branch, moment)?;
    let keep =
        format!("Keep what was not committed before the restore to {moment}\n\nAgent: {slug}\n");
    let back = format!("Restore the files of {moment}\n\nFrom: {}\nAgent: {slug}\n", then.commit);
    let keep = Entry { author: &author, message: &keep, time: now };
    let back = Entry { author: &author, message: &back, time: now };
    let dir = folder.join("agents").join(slug).join("files");
    Ok((then, repo.put_back(&branch, &dir, then.commit, &keep, &back)?))
}

/// Whether the agent has no files yet.
fn is_unmade(agent: &Agent) -> bool {
    matches!(agent.status, AgentStatus::Provisioning | AgentStatus::Error)
}

/// Files that could not be rolled back, as text.
fn stayed(put: &PutBack) -> Option<String> {
    if put.kept.is_empty() {
        return None;
    }
    let named = put.kept.iter().take(NAMED).map(|(path, why)| format!("{path} ({why})"));
    let named: Vec<String> = named.collect();
    Some(format!("{} couldn't be restored: {}", put.kept.len(), named.join(", ")))
}
