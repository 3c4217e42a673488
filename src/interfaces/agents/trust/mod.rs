//! Pages and API of what agents may do without asking: approvals, modes and permissions.

pub mod api;
mod batch;
mod behaviour;
mod explain;
mod taint;
pub mod pages;
mod permits;
mod policy;
mod presets;
mod recent;
mod reviewer;
mod sandbox;
mod table;

use app::Ws;
use features::runs::model::Run;
use features::runs::queries::talk;
use features::trust::model::Approval;
use features::trust::queries;
use features::trust::rules::{self, Decision, TrustError};
use kernel::{ApprovalAnswer, ApprovalId, Can, RunTrigger};
use store::{Read, ReadExt, StoreError};
use web::error::PageError;
use web::idempotency::Once;
use web::session::{Person, Proof};

/// The run of an approval, if this person may see it.
fn run_of(tx: &dyn Read, who: &Person, approval: &Approval) -> Result<Option<Run>, StoreError> {
    match tx.get::<Run>(approval.run)? {
        Some(run) if talk::may_see_run(tx, &run, who.account, who.role)? => Ok(Some(run)),
        _ => Ok(None),
    }
}

/// Whether the call can be requested again.
#[must_use]
pub fn may_be_made_again(approval: &Approval, run: &Run) -> bool {
    let answer = approval.answer.as_ref().map(|answer| answer.answer);
    matches!(answer, Some(ApprovalAnswer::Denied | ApprovalAnswer::Expired))
        && run.trigger != RunTrigger::Child
}

/// An approval with its run.
///
/// # Errors
/// Not found, or this person may not see it.
pub fn find(ws: &Ws, who: &Person, id: ApprovalId) -> Result<(Approval, Run), TrustError> {
    ws.read(|snap| {
        let approval = queries::get(snap, id)?;
        match run_of(snap, who, &approval)? {
            Some(run) => Ok((approval, run)),
            None => Err(TrustError::NotFound(id)),
        }
    })
}

/// The right that the person lacks for this answer; `None` if they may give it.
fn lacks(who: &Person, answer: ApprovalAnswer) -> Option<Can> {
    queries::needs(answer).iter().copied().find(|can| !who.access.may(*can))
}

/// Refuses `Always`, which creates a permission, without a recent re-authentication.
fn check_proof(who: &Person, answer: ApprovalAnswer) -> Result<(), PageError> {
    if answer == ApprovalAnswer::Always { Proof(who.is_proved).check() } else { Ok(()) }
}

/// Answers an approval. The caller has checked the person's rights.
async fn decide(
    ws: &Ws,
    who: &Person,
    (id, decision): (ApprovalId, Decision),
    once: Once,
) -> Result<(), TrustError> {
    let by = who.account;
    ws.write(who, once.run(move |tx| rules::decide(tx, id, decision, by).map(drop))).await
}

/// For each answer the reason of its refusal; `None` if it was accepted.
type Refusals = Vec<(ApprovalId, Option<String>)>;

/// Answers several approvals in one transaction, independently of each other: the first answer to each counts. An
/// approval that this person may not see counts as not found.
async fn decide_all(
    ws: &Ws,
    who: &Person,
    all: Vec<(ApprovalId, Decision)>,
    once: Once,
) -> Result<Refusals, TrustError> {
    let by = who.account;
    let (mut seen, mut results) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    for (id, decision) in all {
        match find(ws, who, id) {
            Ok(_) => seen.push((id, decision)),
            Err(TrustError::Store(error)) => return Err(error.into()),
            Err(error) => results.push((id, Some(error.to_string()))),
        }
    }
    let ids: Vec<ApprovalId> = seen.iter().map(|(id, _)| *id).collect();
    let refused = ws.write(who, once.run(move |tx| rules::decide_all(tx, seen, by))).await?;
    results.extend(ids.into_iter().zip(refused));
    Ok(results)
}
