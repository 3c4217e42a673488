//! File tools: the intended change is recorded first, then made, then recorded as done. After a crash the hashes of the
//! files show which writes took place.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use features::runs::model::{CallStatus, EventKind, FileMark};
use features::runs::queries::Begun;
use store::BlobId;
use tool::{FileChange, FilePlan};

use super::EngineError;
use super::calls::{Outcomes, since};
use super::journal::blocking;
use super::resume::finish;
use super::toolbox::Call;
use super::tools::folder;
use super::turn::Turn;

/// Largest stored plan, in bytes.
const MAX_KEPT: u64 = 256 * 1024 * 1024;

/// A file of a plan, stored for recovery after a crash.
#[derive(Serialize, Deserialize)]
struct StoredFile {
    path: String,
    content: Option<String>,
    executable: bool,
}

pub(super) fn marks_of<'c>(changes: impl IntoIterator<Item = &'c FileChange>) -> Vec<FileMark> {
    let mark = |change: &FileChange| FileMark {
        path: change.path.clone(),
        before: change.before,
        after: change.content.as_ref().map(|content| Sha256::digest(content).into()),
    };
    changes.into_iter().map(mark).collect()
}

impl Turn {
    /// Makes the changes of a file tool; the caller records the result.
    pub(super) async fn change_files(
        &mut self,
        call: &Call,
        plan: FilePlan,
        start: Instant,
    ) -> Result<Outcomes, EngineError> {
        let mut marks = marks_of(&plan.changes);
        let paths: Vec<String> = marks.iter().map(|mark| mark.path.clone()).collect();
        let step = self.talk.journal.steps + 1;
        let (call_id, name) = (call.id.clone(), call.name.clone());
        let begun = match marks.len() {
            1 => EventKind::ToolStarted { step, call_id, name, file: marks.pop() },
            _ => {
                let kept = self.keep(&plan.changes).await?;
                EventKind::FilesStarted { step, call_id, name, files: marks, kept }
            }
        };
        self.begin_step(begun).await?;
        let done = self.write_files(plan.changes).await?;
        let mut outcome = Outcomes::of(done.map(|()| plan.output), since(start))?;
        if outcome.status == CallStatus::Ok {
            outcome.paths = paths;
            self.talk.journal.effective = true;
        }
        Ok(outcome)
    }

    /// Stores the new contents, so that an interrupted patch can be completed.
    pub(super) async fn keep(&self, changes: &[FileChange]) -> Result<BlobId, EngineError> {
        let mut kept = Vec::with_capacity(changes.len());
        for change in changes {
            let content = change.content.clone().map(String::from_utf8).transpose();
            let content =
                content.map_err(|_| EngineError::Broken("several files are changed as text"))?;
            kept.push(StoredFile {
                path: change.path.clone(),
                content,
                executable: change.executable,
            });
        }
        let json = serde_json::to_vec(&kept)
            .map_err(|_| EngineError::Broken("a patch could not be written as JSON"))?;
        let ws = self.talk.journal.ws.clone();
        Ok(blocking(move || ws.blobs.put(&json)).await??)
    }

    /// Writes files under their locks, which are taken in the order of the paths.
    pub(super) async fn write_files(
        &self,
        changes: Vec<FileChange>,
    ) -> Result<Result<(), tool::ToolError>, EngineError> {
        let root = self.talk.journal.ws.agent_folder(&self.setting.agent.slug);
        let paths: BTreeSet<_> = changes.iter().map(|change| root.join(&change.path)).collect();
        let mut guards = Vec::with_capacity(paths.len());
        for path in &paths {
            guards.push(self.talk.journal.ws.paths.hold(path).await);
        }
        let done = blocking(move || folder::change(&root, &changes)).await;
        drop(guards);
        done
    }
}

/// The state of a file after a crash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It has the new content.
    After,
    Before,
    /// It has another content.
    Other,
}

/// Settles a file tool by the hashes of its files. Returns `false` if the tool must run again.
pub(super) async fn settle(
    turn: &mut Turn,
    call: &Call,
    begun: Begun,
) -> Result<bool, EngineError> {
    let root = turn.talk.journal.ws.agent_folder(&turn.setting.agent.slug);
    let marks = begun.files.clone();
    let stands = blocking(move || stands(&root, &marks)).await?;
    let paths: Vec<String> = begun.files.iter().map(|mark| mark.path.clone()).collect();
    if stands.iter().all(|stand| *stand == Stand::After) {
        let text = match paths.as_slice() {
            [one] => format!("{one} was written before the restart."),
            many => format!("all {} files were written before the restart.", many.len()),
        };
        finish(turn, call, begun.step, CallStatus::Ok, text, paths).await?;
        return Ok(true);
    }
    if stands.iter().all(|stand| *stand == Stand::Before) {
        return Ok(false);
    }
    if let (false, Some(kept)) = (stands.contains(&Stand::Other), begun.kept)
        && complete(turn, kept, &begun.files, &stands).await?
    {
        let text = format!(
            "The restart interrupted it; it was completed, and all {} files are written.",
            paths.len()
        );
        finish(turn, call, begun.step, CallStatus::Ok, text, paths).await?;
        return Ok(true);
    }
    let (text, written) = conflict(&begun.files, &stands);
    finish(turn, call, begun.step, CallStatus::Error, text, written).await?;
    Ok(true)
}

fn stands(root: &std::path::Path, marks: &[FileMark]) -> Vec<Stand> {
    let files = folder::open(root);
    let stand = |mark: &FileMark| {
        let Ok(files) = &files else { return Stand::Other };
        match folder::hash(files, &mark.path) {
            Ok(now) if now == mark.after => Stand::After,
            Ok(now) if now == mark.before => Stand::Before,
            _ => Stand::Other,
        }
    };
    marks.iter().map(stand).collect()
}

/// Writes the missing files. Returns whether all could be written.
async fn complete(
    turn: &Turn,
    kept: BlobId,
    marks: &[FileMark],
    stands: &[Stand],
) -> Result<bool, EngineError> {
    let ws = turn.talk.journal.ws.clone();
    let read = blocking(move || ws.blobs.get(kept, MAX_KEPT)).await?;
    let plan = read.ok().and_then(|json| serde_json::from_slice::<Vec<StoredFile>>(&json).ok());
    let Some(plan) = plan.filter(|plan| plan.len() == marks.len()) else { return Ok(false) };
    let missing = plan.into_iter().zip(marks).zip(stands);
    let changes =
        missing.filter(|(_, stand)| **stand == Stand::Before).map(|((kept, mark), _)| FileChange {
            path: kept.path,
            before: mark.before,
            content: kept.content.map(String::into_bytes),
            executable: kept.executable,
        });
    Ok(turn.write_files(changes.collect()).await?.is_ok())
}

/// The text for the model if the files were changed in between, and the files that were written.
fn conflict(marks: &[FileMark], stands: &[Stand]) -> (String, Vec<String>) {
    let (mut text, mut written) = (String::new(), Vec::new());
    if let [mark] = marks {
        let path = &mark.path;
        text = format!("Error(conflict): someone else has changed {path}; read it first.");
        return (text, written);
    }
    text.push_str(
        "Error(conflict): a restart interrupted this and someone else has changed files \
        since; read them before you continue:",
    );
    for (mark, stand) in marks.iter().zip(stands) {
        let word = match stand {
            Stand::After => "written",
            Stand::Before => "not written",
            Stand::Other => "changed by someone else",
        };
        if *stand == Stand::After {
            written.push(mark.path.clone());
        }
        // ok: writing to a String cannot fail.
        let _ = write!(text, "\n{}: {word}", mark.path);
    }
    (text, written)
}
