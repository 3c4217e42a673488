//! All writes of checked claims, and the return of work without evidence.

use std::fmt::Write as _;

use super::model::{CheckedClaim, ClaimCheck, is_lacking};
use super::queries::{Checked, MISSING};
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use kernel::{ClaimState, ProofMode, RunId, VersionId};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use tool::ToolError;

/// Whether the stream of a task requires evidence.
pub fn is_required(read: &dyn Read, task: &Task) -> Result<bool, StoreError> {
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
        true => "this stream requires evidence: give claims that say what was done, and name the \
                 path, command, address or record of each"
            .to_owned(),
        false => "this stream requires evidence, and these claims have none:".to_owned(),
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

/// Where a check belongs.
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
