//! Reads of checked claims, and the check itself.

pub mod card;
pub mod check;
mod class;
pub(in crate::claims) mod journal;
pub mod json;
pub mod sends;
mod shell;
mod text;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::model::{CHECK_BY_VERSION, CheckedClaim, Claim, ClaimCheck, TaskProof};
use crate::agents::model::Agent;
use crate::runs::model::{CallStatus, Run};
use app::Ws;
use check::{Call, Current};
use git::files::AgentFiles;
use kernel::key::KeyBuf;
use kernel::text::{MAX_TEXT, cut};
use kernel::{AgentId, ProofMode, RunId, TaskId, VersionId};
use store::{Range, Read, ReadExt as _, StoreError};
use tool::{ToolCx, ToolError};

/// Error code of work that was returned for lack of evidence.
pub const MISSING: &str = "evidence_missing";
/// Largest file whose content is compared, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Submission {
    pub claims: Vec<Claim>,
    /// Title of a deliverable; empty for the end of a run.
    pub title: String,
    /// The text whose paths and links are looked up.
    pub text: String,
}

/// The result of a check before it is stored.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub claims: Vec<CheckedClaim>,
    pub untouched: Vec<String>,
    /// Whether this work of the run was already returned for lack of evidence.
    pub was_returned: bool,
}

/// Checks a submission against the journal of the calling run and its sub-agents. `tool` is the name of the tool that
/// takes it.
///
/// # Errors
/// If too many or too long claims are made, or the store cannot be read.
pub async fn checked(
    cx: &ToolCx,
    tool: &str,
    mut submission: Submission,
) -> Result<Checked, ToolError> {
    is_in_limits(&submission.claims)?;
    // A longer text is refused when it is stored, which is after this check.
    submission.text.truncate(cut(&submission.text, MAX_TEXT).len());
    let (run, folder, tool) = (cx.run, cx.folder.clone(), tool.to_owned());
    cx.ws.read_blocking(move |ws| Ok(compared(ws, (run, &folder), &tool, &submission)?)).await
}

fn is_in_limits(claims: &[Claim]) -> Result<(), ToolError> {
    let refused = |text: String| Err(ToolError::refused("invalid_args", text));
    if check::MAX_CLAIMS < claims.len() {
        return refused(format!("claims: use at most {}", check::MAX_CLAIMS));
    }
    if claims.iter().any(|claim| check::MAX_TEXT < claim.text.trim().chars().count()) {
        return refused(format!("claims: use at most {} characters for each", check::MAX_TEXT));
    }
    Ok(())
}

/// Compares a submission with the journal of a run and the files of its agent and its sub-agents. Blocking.
pub fn compared(
    ws: &Ws,
    (run, folder): (RunId, &Path),
    tool: &str,
    submission: &Submission,
) -> Result<Checked, StoreError> {
    let (calls, folders) = ws.read(|snap| match snap.get::<Run>(run)? {
        Some(run) => {
            let calls = journal::calls(snap, &run)?;
            let mut folders = folders(ws, snap, &calls)?;
            folders.insert(run.agent, folder.to_owned());
            Ok::<_, StoreError>((calls, folders))
        }
        None => Ok((Vec::new(), BTreeMap::new())),
    })?;
    // ok: a folder that cannot be opened proves nothing.
    let open = |folder: &PathBuf| AgentFiles::open(folder).ok();
    let files: BTreeMap<AgentId, AgentFiles> =
        folders.iter().filter_map(|(agent, folder)| Some((*agent, open(folder)?))).collect();
    let known = RefCell::new(BTreeMap::new());
    let now = |agent: AgentId, path: &str| {
        let current = || files.get(&agent).map_or(Current::Unread, |files| current(files, path));
        *known.borrow_mut().entry((agent, path.to_owned())).or_insert_with(current)
    };
    Ok(Checked {
        claims: check::check(&calls, &submission.claims, &now),
        untouched: check::untouched(&calls, &submission.text),
        was_returned: calls.iter().any(|call| is_return(call, tool, &submission.title)),
    })
}

/// Whether a call was the same submission, returned for lack of evidence.
fn is_return(call: &Call, tool: &str, title: &str) -> bool {
    let same = call.text("title").trim().eq_ignore_ascii_case(title.trim())
        || call.text("deliverable").trim().eq_ignore_ascii_case(title.trim());
    let is_told = call.result.strip_prefix("Error(").is_some_and(|text| text.starts_with(MISSING));
    call.is_own && call.tool == tool && call.status == CallStatus::Error && same && is_told
}

/// The folders of the agents whose calls touched files. A sub-agent may be another agent.
fn folders(
    ws: &Ws,
    read: &dyn Read,
    calls: &[Call],
) -> Result<BTreeMap<AgentId, PathBuf>, StoreError> {
    let mut folders = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.files.is_empty()) {
        if !folders.contains_key(&call.agent)
            && let Some(agent) = read.get::<Agent>(call.agent)?
        {
            folders.insert(agent.id, ws.agent_folder(&agent.slug));
        }
    }
    Ok(folders)
}

fn current(files: &AgentFiles, path: &str) -> Current {
    match files.read_up_to(path, MAX_FILE) {
        Ok(None) => Current::Missing,
        Ok(Some(part)) if part.total <= MAX_FILE => {
            Current::Hash(Sha256::digest(&part.bytes).into())
        }
        // ok: what cannot be read is neither there nor gone.
        Ok(Some(_)) | Err(_) => Current::Unread,
    }
}

/// The evidence mode of a task itself; `None` if its stream decides.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Option<ProofMode>, StoreError> {
    Ok(read.get::<TaskProof>(task)?.map(|own| own.mode))
}

/// The check of a delivered version.
pub fn of_version(read: &dyn Read, version: VersionId) -> Result<Option<ClaimCheck>, StoreError> {
    read.find(CHECK_BY_VERSION, &KeyBuf::of(&version))
}

/// The checks of a run, in the order of its submissions.
pub fn of_run(read: &dyn Read, run: RunId) -> Result<Vec<ClaimCheck>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&run)))
}

/// The check at the end of a run.
pub fn at_end(read: &dyn Read, run: RunId) -> Result<Option<ClaimCheck>, StoreError> {
    Ok(of_run(read, run)?.into_iter().rev().find(|check| check.version.is_none()))
}

#[cfg(test)]
mod tests {
    use super::check::{MAX_CLAIMS, MAX_TEXT};
    use super::{Claim, is_in_limits};
    use kernel::ClaimKind;

    #[test]
    fn too_many_and_too_long_claims_are_refused() {
        let claim = |text: String| Claim { text, kind: ClaimKind::File, step: None };
        assert!(is_in_limits(&[claim("é".repeat(MAX_TEXT))]).is_ok());
        assert!(is_in_limits(&[claim("é".repeat(MAX_TEXT + 1))]).is_err());
        assert!(is_in_limits(&vec![claim("a.md".to_owned()); MAX_CLAIMS + 1]).is_err());
    }
}
