//! What lets people and programs in to what agents may do without asking: approvals, modes and permissions, as pages
//! and over the API.

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

/// Whether a call can be asked for once more.
#[must_use]
pub fn may_be_made_again(approval: &Approval, run: &Run) -> bool {
    let answer = approval.answer.as_ref().map(|answer| answer.answer);
    matches!(answer, Some(ApprovalAnswer::Denied | ApprovalAnswer::Expired))
        && run.trigger != RunTrigger::Child
}

/// An approval with its run.
///
/// # Errors
/// That it is not there, also for whoever may not see it.
pub fn find(ws: &Ws, who: &Person, id: ApprovalId) -> Result<(Approval, Run), TrustError> {
    ws.read(|snap| {
        let approval = queries::get(snap, id)?;
        match run_of(snap, who, &approval)? {
            Some(run) => Ok((approval, run)),
            None => Err(TrustError::NotFound(id)),
        }
    })
}

/// The right that somebody lacks who would give this answer; none for who may give it.
pub(crate) fn lacks(who: &Person, answer: ApprovalAnswer) -> Option<Can> {
    let needs: &[Can] = match answer {
        // What is allowed from now on is a permission.
        ApprovalAnswer::Always => &[Can::Approve, Can::Admin],
        _ => &[Can::Approve],
    };
    needs.iter().copied().find(|can| !who.access.may(*can))
}

/// Refuses an answer that needs a proof of who gives it: what is allowed from now on is a permission.
pub(crate) fn check_proof(who: &Person, answer: ApprovalAnswer) -> Result<(), PageError> {
    if answer == ApprovalAnswer::Always { Proof(who.is_proved).check() } else { Ok(()) }
}

/// Answers an approval. That this person may, the caller has looked at.
async fn decide(
    ws: &Ws,
    who: &Person,
    (id, decision): (ApprovalId, Decision),
    once: Once,
) -> Result<(), TrustError> {
    let by = who.account;
    ws.write(who, once.run(move |tx| rules::decide(tx, id, decision, by).map(drop))).await
}

/// Why each of several answers was not taken; nothing for those that were.
type Refusals = Vec<(ApprovalId, Option<String>)>;

/// Answers several approvals in one transaction, each by itself: the first answer to each counts. What this person may
/// not see is not there.
async fn decide_all(
    ws: &Ws,
    who: &Person,
    all: Vec<(ApprovalId, Decision)>,
    once: Once,
) -> Result<Refusals, TrustError> {
    let by = who.account;
    let (mut seen, mut told) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    for (id, decision) in all {
        match find(ws, who, id) {
            Ok(_) => seen.push((id, decision)),
            Err(TrustError::Store(error)) => return Err(error.into()),
            Err(error) => told.push((id, Some(error.to_string()))),
        }
    }
    let ids: Vec<ApprovalId> = seen.iter().map(|(id, _)| *id).collect();
    let refused = ws.write(who, once.run(move |tx| rules::decide_all(tx, seen, by))).await?;
    told.extend(ids.into_iter().zip(refused));
    Ok(told)
}

/// The same for a conversation, which is told in words what was refused.
pub(crate) async fn answer(
    ws: &Ws,
    who: &Person,
    (id, answer, note): (ApprovalId, ApprovalAnswer, String),
    once: Once,
) -> Result<Result<(), String>, StoreError> {
    let decision = Decision { answer, offer: 0, note };
    match decide(ws, who, (id, decision), once).await {
        Ok(()) => Ok(Ok(())),
        Err(TrustError::Store(error)) => Err(error),
        Err(refused) => Ok(Err(refused.to_string())),
    }
}
