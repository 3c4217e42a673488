//! All writes of checked claims, and the return of work without evidence.

use std::fmt::Write as _;

use super::model::{CheckedClaim, ClaimCheck, TaskProof, is_lacking};
use super::queries::check::{Call, QUEUED, sent_as};
use super::queries::{self, Checked, MISSING, journal};
use crate::runs::model::Run;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use kernel::{ClaimState, ProofMode, RunId, TaskId, VersionId};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use tool::ToolError;

/// Sets whether agents must give evidence for a task; `None` leaves that to its stream.
pub fn set_for_task(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    mode: Option<ProofMode>,
) -> Result<(), StoreError> {
    let known = tx.get::<TaskProof>(task)?;
    match mode {
        None if known.is_some() => tx.delete::<TaskProof>(task).map(drop),
        Some(mode) if known.is_none_or(|known| known.mode != mode) => {
            let (by, at) = (tx.by(), tx.now());
            tx.put(&TaskProof { task, mode, by, at })
        }
        _ => Ok(()),
    }
}

/// Whether a task requires evidence. Its own mode overrides that of its stream.
pub fn is_required(read: &dyn Read, task: &Task) -> Result<bool, StoreError> {
    if let Some(own) = read.get::<TaskProof>(task.id)? {
        return Ok(own.mode == ProofMode::Require);
    }
    let stream = match task.stream {
        Some(stream) => read.get::<Stream>(stream)?,
        None => None,
    };
    Ok(stream.is_some_and(|stream| stream.proof == ProofMode::Require))
}

/// Returns work without evidence to its agent, once.
///
/// # Errors
/// Refuses the call, with a list of what lacks evidence.
pub fn demand(checked: &Checked) -> Result<(), ToolError> {
    if checked.was_returned || !is_lacking(&checked.claims) {
        return Ok(());
    }
    let mut text = match checked.claims.is_empty() {
        true => "this task requires evidence: give claims that say what was done, and name the \
                 path, command, address or record of each"
            .to_owned(),
        false => "this task requires evidence, and these claims have none:".to_owned(),
    };
    for claim in checked.claims.iter().filter(|claim| !claim.is_supported()) {
        // ok: writing to a String cannot fail.
        let _ = write!(text, "\n- {}", line(claim));
    }
    text.push_str(
        "\nDo what is missing and submit it again, with step for the number of the call that \
         shows it. What you can't show is accepted the second time and marked.",
    );
    Err(ToolError::refused(MISSING, text))
}

fn line(claim: &CheckedClaim) -> String {
    let why = match (claim.reason.as_str(), claim.state) {
        ("", ClaimState::Unsupported) => "no call shows it",
        (reason, _) => reason,
    };
    format!("{}: {} ({why})", claim.text, claim.state.word())
}

/// The submission that a check belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub run: RunId,
    /// The call that submitted the work.
    pub step: u32,
    /// `None` for the end of the run.
    pub version: Option<VersionId>,
    pub required: bool,
}

/// Stores the verdicts of accepted work.
pub fn keep(tx: &mut WriteTx<'_>, place: Place, checked: Checked) -> Result<(), StoreError> {
    let Place { run, step, version, required } = place;
    let Checked { claims, untouched, .. } = checked;
    let created_at = tx.now();
    tx.put(&ClaimCheck { run, step, version, claims, untouched, required, created_at })
}

/// The verdicts in one sentence for the agent; empty without claims.
#[must_use]
pub fn describe(claims: &[CheckedClaim]) -> String {
    let open = claims.iter().filter(|claim| !claim.is_supported()).map(line);
    let open: Vec<String> = open.collect();
    match (claims.len(), open.is_empty()) {
        (0, _) => String::new(),
        (_, true) => " All claims are supported.".to_owned(),
        (_, false) => format!(" The review shows these claims as open: {}.", open.join("; ")),
    }
}

/// Decides the claims that waited for messages of a run, after a messenger accepted one or its delivery ended.
pub fn message_settled(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), StoreError> {
    let is_waiting = |claim: &CheckedClaim| claim.reason == QUEUED;
    let mut checks = queries::of_run(tx, run)?;
    checks.retain(|check| check.claims.iter().any(is_waiting));
    if checks.is_empty() {
        return Ok(());
    }
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    let calls = journal::calls(tx, &run)?;
    for mut check in checks {
        let before = check.clone();
        for claim in check.claims.iter_mut().filter(|claim| is_waiting(claim)) {
            let of = claim.call.as_ref();
            let is_meant =
                |call: &&Call| of.is_some_and(|of| (of.run, of.step) == (call.run, call.step));
            if let Some(call) = calls.iter().find(is_meant) {
                (claim.state, claim.reason) = sent_as(call);
            }
        }
        if check != before {
            tx.put(&check)?;
        }
    }
    Ok(())
}
