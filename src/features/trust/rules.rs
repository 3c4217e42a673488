//! All writes of modes, permissions, approvals and recorded calls.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::key::KeyBuf;
use kernel::{
    AccessDecision, AccountId, AgentId, ApprovalAnswer, ApprovalId, ConnectionId, Event,
    PermissionId, Problem, ProblemKind, Risk, RowAct, RunId, Timestamp, TrustMode,
};
use store::{Range, ReadExt, Record as _, StoreError, WriteTx};

use super::card::PERMISSION;
use super::model::{
    AgentTrust, Answer, Approval, Became, CallRecord, JudgedCall, Offer, Permission, PermissionUse,
    Plan, What,
};
use super::queries::{self, ALL_TOOLS};
use super::recent;
use crate::agents::model::Agent;
use crate::connections::model::Connection;
use crate::runs::model::Run;
use crate::workspace::model::{Member, Settings};

/// Maximum length of a note in bytes.
const MAX_NOTE: usize = 2_000;
/// Maximum length of a model name in bytes.
const MAX_MODEL: usize = 200;
/// Maximum number of permissions of a workspace.
const MOST: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("agent {0} does not exist")]
    NoAgent(AgentId),
    #[error("approval {0} does not exist")]
    NotFound(ApprovalId),
    #[error("permission {0} does not exist")]
    NoPermission(PermissionId),
    /// Already answered; says how and by whom.
    #[error("this has already been answered: {0}")]
    Answered(String),
    /// The run has ended.
    #[error("the run no longer waits for this")]
    Over,
    /// The approval has no such offer.
    #[error("this call can only be allowed once")]
    NotOffered,
    /// Not an answer that a person can give.
    #[error("answer with once, run, always or denied")]
    Word,
    /// A value is invalid or a limit is reached.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoAgent(_) => "agent_not_found",
            Self::NotFound(_) => "approval_not_found",
            Self::NoPermission(_) => "permission_not_found",
            Self::Answered(_) => "approval_answered",
            Self::Over => "approval_over",
            Self::NotOffered => "approval_not_offered",
            Self::Word => "approval_word",
            Self::Refused(_) => "permission_refused",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoAgent(_) | Self::NotFound(_) | Self::NoPermission(_) => ProblemKind::NotFound,
            Self::Answered(_) | Self::Over => ProblemKind::Conflict,
            Self::NotOffered | Self::Word | Self::Refused(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }
}

/// Sets the mode of an agent. Applies from its next call on.
pub fn set_mode(tx: &mut WriteTx<'_>, agent: AgentId, mode: TrustMode) -> Result<(), TrustError> {
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(TrustError::NoAgent(agent));
    }
    let before = queries::trust_of(tx, agent)?;
    if before.mode != mode {
        tx.put(&AgentTrust { mode, ..before })?;
    }
    Ok(())
}

/// Sets whether an agent ignores the taint of its conversations. Applies from its next call on.
pub fn set_autonomous(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    autonomous: bool,
) -> Result<(), TrustError> {
    if tx.get::<Agent>(agent)?.is_none() {
        return Err(TrustError::NoAgent(agent));
    }
    let before = queries::trust_of(tx, agent)?;
    if before.autonomous != autonomous {
        tx.put(&AgentTrust { autonomous, ..before })?;
    }
    Ok(())
}

/// Chooses the model that reviews calls of agents in mode Auto. Without one, people are asked as in mode Ask.
///
/// # Errors
/// `Refused` if the connection does not exist or the model name is invalid.
pub fn set_reviewer(
    tx: &mut WriteTx<'_>,
    reviewer: Option<(ConnectionId, String)>,
) -> Result<(), TrustError> {
    let refused = |message: &str| TrustError::Refused(message.to_owned());
    let settings = tx.get::<Settings>(())?;
    let settings = settings.ok_or_else(|| refused("this workspace is not set up yet"))?;
    let (reviewer_connection, reviewer_model) = match reviewer {
        None => (None, None),
        Some((id, model)) => {
            tx.get::<Connection>(id)?.ok_or_else(|| refused("there is no such connection"))?;
            let model = model.trim();
            if model.is_empty() || MAX_MODEL < model.len() {
                return Err(refused("choose a model of the connection"));
            }
            (Some(id), Some(model.to_owned()))
        }
    };
    tx.put(&Settings { reviewer_connection, reviewer_model, ..settings })?;
    Ok(())
}

/// Request for a permission.
#[derive(Clone, Debug)]
pub struct NewPermission {
    /// `None` for the whole workspace.
    pub agent: Option<AgentId>,
    /// Limits the permission to one run.
    pub run: Option<RunId>,
    /// Tool name; `*` for all tools.
    pub tool: String,
    pub what: What,
    pub leave: AccessDecision,
    pub note: String,
    pub expires_at: Option<Timestamp>,
}

/// Creates a permission. An equal one is not duplicated.
///
/// # Errors
/// `NoAgent`, `Refused`.
pub fn permit(tx: &mut WriteTx<'_>, new: NewPermission) -> Result<Permission, TrustError> {
    if let Some(agent) = new.agent
        && tx.get::<Agent>(agent)?.is_none()
    {
        return Err(TrustError::NoAgent(agent));
    }
    let tool = new.tool.trim();
    if tool.is_empty() || 64 < tool.len() {
        return Err(TrustError::Refused("choose a tool".to_owned()));
    }
    if new.leave == AccessDecision::Allow && tool == ALL_TOOLS && new.what == What::All {
        let message = "to allow everything, choose Full mode instead";
        return Err(TrustError::Refused(message.to_owned()));
    }
    if MAX_NOTE < new.note.len() {
        return Err(TrustError::Refused(format!("use a reason of at most {MAX_NOTE} bytes")));
    }
    if new.expires_at.is_some_and(|at| at <= tx.now()) {
        return Err(TrustError::Refused("the end is in the past".to_owned()));
    }
    let same = queries::rules_of(tx, tool, tx.now())?;
    let same = same.into_iter().find(|rule| {
        (rule.agent, rule.run, rule.leave) == (new.agent, new.run, new.leave)
            && rule.tool == tool
            && rule.what == new.what
            && rule.expires_at == new.expires_at
    });
    if let Some(known) = same {
        return Ok(known);
    }
    if new.run.is_none() && MOST <= queries::count_kept(tx, MOST + 1)? {
        let message = format!("a workspace can have at most {MOST} permissions; remove some first");
        return Err(TrustError::Refused(message));
    }
    let permission = Permission {
        id: tx.new_id(),
        agent: new.agent,
        run: new.run,
        tool: tool.to_owned(),
        what: new.what,
        leave: new.leave,
        note: new.note.trim().to_owned(),
        by: tx.by(),
        created_at: tx.now(),
        expires_at: new.expires_at,
    };
    tx.put(&permission)?;
    tx.emit(PERMISSION.event(&permission.id, RowAct::Created));
    Ok(permission)
}

/// Deletes a permission.
///
/// # Errors
/// `NoPermission` if it does not exist.
pub fn revoke(tx: &mut WriteTx<'_>, id: PermissionId) -> Result<(), TrustError> {
    if !tx.delete::<Permission>(id)? {
        return Err(TrustError::NoPermission(id));
    }
    tx.emit(PERMISSION.event(&id, RowAct::Deleted));
    Ok(())
}

/// Deletes the permissions that allow calls of a tool, because its name now stands for another target. Those that deny or
/// ask stay.
pub fn revoke_allowed(tx: &mut WriteTx<'_>, tool: &str) -> Result<(), StoreError> {
    let mut rules = queries::rules_of(tx, tool, tx.now())?;
    rules.retain(|rule| rule.tool == tool && rule.leave == AccessDecision::Allow);
    for rule in rules {
        tx.delete::<Permission>(rule.id)?;
        tx.emit(PERMISSION.event(&rule.id, RowAct::Deleted));
    }
    Ok(())
}

/// Counts uses of permissions, once per occurrence in `by`. Deleted permissions are skipped.
pub fn note_decided(tx: &mut WriteTx<'_>, by: &[PermissionId]) -> Result<(), StoreError> {
    let now = tx.now();
    for id in by {
        if tx.get::<Permission>(*id)?.is_some() {
            let used = tx.get::<PermissionUse>(*id)?;
            let used = used.unwrap_or_else(|| PermissionUse::none(*id, now));
            tx.put(&used.with(now))?;
        }
    }
    Ok(())
}

/// Maximum number of calls recorded per message.
const MAX_JUDGED: usize = 64;

/// Records authorized calls of a run. Skips calls above the size limit and those beyond `MAX_JUDGED`.
pub fn note_judged(
    tx: &mut WriteTx<'_>,
    (run, agent): (RunId, AgentId),
    at: Timestamp,
    calls: Vec<CallRecord>,
) -> Result<(), StoreError> {
    for call in calls.into_iter().filter(CallRecord::is_small).take(MAX_JUDGED) {
        tx.put(&JudgedCall { at, run, agent, call })?;
    }
    Ok(())
}

/// Marks a recorded call as denied by a person, if the record still exists.
fn note_denied(tx: &mut WriteTx<'_>, approval: &Approval) -> Result<(), StoreError> {
    if let Some(mut denied) = tx.get::<JudgedCall>(JudgedCall::key_of(approval))? {
        denied.call.became = Became::Denied;
        tx.put(&denied)?;
    }
    Ok(())
}

/// Deletes up to `limit` recorded calls older than `before`. Returns `true` when none are left.
pub fn forget_judged(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    limit: usize,
) -> Result<bool, StoreError> {
    let old = Range::between(KeyBuf::new(), KeyBuf::of(&before)).limit(limit);
    let old: Vec<JudgedCall> = tx.list(&old)?;
    for call in &old {
        tx.delete::<JudgedCall>(call.id())?;
    }
    Ok(old.len() < limit)
}

/// Request for an approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewApproval {
    pub run: RunId,
    /// Call id assigned by the provider.
    pub call_id: String,
    pub agent: AgentId,
    pub tool: String,
    pub plan: Plan,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// SHA-256 of the tool's definition.
    #[serde(default)]
    pub definition: [u8; 32],
    pub risk: Risk,
    /// Why approval is needed, in one sentence.
    pub why: String,
    /// Wider grants to choose from.
    pub offers: Vec<Offer>,
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    /// The recorded call; `None` from an older host.
    #[serde(default)]
    pub judged: Option<CallRecord>,
}

/// Stores a call that waits for approval.
pub fn ask(tx: &mut WriteTx<'_>, new: NewApproval) -> Result<(), TrustError> {
    keep(tx, new, None)
}

/// Stores a call that the reviewer allowed, so that it is made and people see it.
pub fn allow_reviewed(tx: &mut WriteTx<'_>, new: NewApproval) -> Result<(), TrustError> {
    let (answer, at) = (ApprovalAnswer::Reviewed, tx.now());
    keep(tx, new, Some(Answer { answer, by: None, note: String::new(), at }))
}

fn keep(tx: &mut WriteTx<'_>, new: NewApproval, answer: Option<Answer>) -> Result<(), TrustError> {
    let (mut judged, now) = (new.judged, tx.now());
    if let (Some(call), Some(_)) = (&mut judged, &answer) {
        // No person was asked.
        call.became = Became::Passed;
    }
    note_judged(tx, (new.run, new.agent), now, judged.into_iter().collect())?;
    tx.put(&Approval {
        id: tx.new_id(),
        run: new.run,
        call_id: new.call_id,
        agent: new.agent,
        tool: new.tool,
        plan: new.plan,
        digest: new.digest,
        definition: new.definition,
        risk: new.risk,
        why: new.why,
        offers: new.offers,
        asked_at: now,
        until: new.until,
        answer,
        spent_at: None,
    })?;
    Ok(())
}

/// A person's answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Once, Run, Always or Denied.
    pub answer: ApprovalAnswer,
    /// Index of the chosen offer, for Run and Always.
    pub offer: usize,
    /// Message to the agent.
    pub note: String,
}

/// Answers an approval and resumes the waiting run. The first answer wins.
///
/// # Errors
/// `Answered`, `Over` if the run has ended, `NotOffered`, `Word`, `Refused` if the note is too long.
pub fn decide(
    tx: &mut WriteTx<'_>,
    id: ApprovalId,
    decision: Decision,
    by: AccountId,
) -> Result<Approval, TrustError> {
    let mut approval = queries::get(tx, id)?;
    if let Some(answer) = &approval.answer {
        let who = match answer.by {
            Some(by) => format!("{} by {}", answer.answer.label(), name_of(tx, by)?),
            None => answer.answer.label().to_owned(),
        };
        return Err(TrustError::Answered(who));
    }
    let run = tx.get::<Run>(approval.run)?.ok_or(TrustError::Over)?;
    // A run resumed by the answer to another call reaches this call later.
    if !run.is_live() {
        return Err(TrustError::Over);
    }
    if MAX_NOTE < decision.note.len() {
        return Err(TrustError::Refused(format!("use a note of at most {MAX_NOTE} bytes")));
    }
    let only_run = match decision.answer {
        ApprovalAnswer::Run => Some(Some(run.id)),
        ApprovalAnswer::Always => Some(None),
        ApprovalAnswer::Once | ApprovalAnswer::Denied => None,
        _ => return Err(TrustError::Word),
    };
    if let Some(only_run) = only_run {
        let offers = recent::offered(&approval);
        let offer = offers.into_iter().nth(decision.offer).ok_or(TrustError::NotOffered)?;
        for new in offer.1 {
            permit(tx, NewPermission { run: only_run, ..new })?;
        }
    }
    let note = decision.note.trim().to_owned();
    approval.answer = Some(Answer { answer: decision.answer, by: Some(by), note, at: tx.now() });
    tx.put(&approval)?;
    if decision.answer == ApprovalAnswer::Denied {
        note_denied(tx, &approval)?;
    }
    tx.emit(Event::ApprovalAnswered(approval.id, run.id, approval.agent, decision.answer));
    Ok(approval)
}

/// Answers several approvals independently of each other. Returns, in the same order, the reason for each refusal.
pub fn decide_all(
    tx: &mut WriteTx<'_>,
    all: Vec<(ApprovalId, Decision)>,
    by: AccountId,
) -> Result<Vec<Option<String>>, TrustError> {
    let mut refused = Vec::with_capacity(all.len());
    for (id, decision) in all {
        refused.push(match tx.attempt(|tx| decide(tx, id, decision, by)) {
            Ok(_) => None,
            Err(TrustError::Store(error)) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        });
    }
    Ok(refused)
}

/// Closes an approval that expired or whose call has changed.
pub fn close(
    tx: &mut WriteTx<'_>,
    id: ApprovalId,
    answer: ApprovalAnswer,
) -> Result<(), TrustError> {
    let mut approval = queries::get(tx, id)?;
    let was_yes = approval.is_allowed() && approval.spent_at.is_none();
    if approval.answer.is_none() || was_yes && answer == ApprovalAnswer::Changed {
        approval.answer = Some(Answer { answer, by: None, note: String::new(), at: tx.now() });
        tx.put(&approval)?;
    }
    Ok(())
}

/// Marks an approval as used. An approval is valid for one call.
///
/// # Errors
/// `Over` if the approval does not allow the call.
pub fn spend(tx: &mut WriteTx<'_>, id: ApprovalId) -> Result<(), TrustError> {
    let mut approval = queries::get(tx, id)?;
    if !approval.is_allowed() {
        return Err(TrustError::Over);
    }
    if approval.spent_at.is_none() {
        approval.spent_at = Some(tx.now());
        tx.put(&approval)?;
    }
    Ok(())
}

/// At the end of a run: withdraws its open approvals and deletes permissions limited to it.
pub fn withdraw(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), TrustError> {
    for approval in queries::of_run(tx, run)? {
        match approval.answer.as_ref().map(|answer| answer.answer) {
            None => close(tx, approval.id, ApprovalAnswer::Withdrawn)?,
            Some(ApprovalAnswer::Run) => {
                for rule in queries::rules_of(tx, &approval.tool, tx.now())? {
                    if rule.run == Some(run) {
                        tx.delete::<Permission>(rule.id)?;
                    }
                }
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn name_of(tx: &WriteTx<'_>, by: AccountId) -> Result<String, StoreError> {
    Ok(tx.get::<Member>(by)?.map_or_else(|| "a person".to_owned(), |member| member.name))
}
