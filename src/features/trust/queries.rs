//! Reads of modes, permissions and approvals.

use kernel::key::KeyBuf;
use kernel::{AgentId, ApprovalId, RunId, SessionId, Timestamp, TrustMode};
use store::{Range, ReadExt, StoreError};

use super::model::{AgentTrust, Approval, BY_CALL, BY_TOOL, OPEN, Permission};
use super::rules::TrustError;
use crate::runs::queries::outside;

/// The most permissions of a tool that count.
const MOST: usize = 1_000;
/// Stands for all tools in a permission.
pub const ALL_TOOLS: &str = "*";

/// How much an agent may do without asking.
///
/// # Errors
/// When the disk fails.
pub fn mode_of(tx: &impl ReadExt, agent: AgentId) -> Result<TrustMode, StoreError> {
    Ok(trust_of(tx, agent)?.mode)
}

/// The same, with whether it goes on by itself after it has read words from outside.
///
/// # Errors
/// When the disk fails.
pub fn trust_of(tx: &impl ReadExt, agent: AgentId) -> Result<AgentTrust, StoreError> {
    let usual = AgentTrust { agent, mode: TrustMode::Ask, autonomous: false };
    Ok(tx.get::<AgentTrust>(agent)?.unwrap_or(usual))
}

/// Whether one of these agents is locked: the run's own, or one of those that asked for it.
///
/// # Errors
/// When the disk fails.
pub fn is_locked(tx: &impl ReadExt, agents: &[AgentId]) -> Result<bool, StoreError> {
    for agent in agents {
        if mode_of(tx, *agent)? == TrustMode::Locked {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a conversation has read from outside, in a few words, as far as it counts for these agents: one that goes on by
/// itself heeds nothing of it, unless it works for one that does.
///
/// # Errors
/// When the disk fails.
pub fn heeded(
    tx: &impl ReadExt,
    agents: &[AgentId],
    session: SessionId,
) -> Result<Option<String>, StoreError> {
    let Some(read) = outside::of(tx, session)? else { return Ok(None) };
    for agent in agents {
        if !trust_of(tx, *agent)?.autonomous {
            return outside::first(tx, &read).map(Some);
        }
    }
    Ok(None)
}

/// The permissions that speak of a tool and count now, of all agents and runs.
///
/// # Errors
/// When the disk fails.
pub fn rules_of(
    tx: &impl ReadExt,
    tool: &str,
    now: Timestamp,
) -> Result<Vec<Permission>, StoreError> {
    let of = |name: &str| {
        let mut key = KeyBuf::new();
        key.text(name);
        tx.scan::<Permission>(BY_TOOL, &Range::prefix(key).limit(MOST))
    };
    let mut all = of(tool)?;
    all.extend(of(ALL_TOOLS)?);
    all.retain(|rule| rule.expires_at.is_none_or(|until| now < until));
    Ok(all)
}

/// The permissions that people keep: of one agent and of the workspace, or of the workspace alone; newest first.
///
/// # Errors
/// When the disk fails.
pub fn kept(tx: &impl ReadExt, agent: Option<AgentId>) -> Result<Vec<Permission>, StoreError> {
    let mut all: Vec<Permission> = tx.list(&Range::all().reverse().limit(MOST))?;
    all.retain(|rule| rule.run.is_none() && (rule.agent.is_none() || rule.agent == agent));
    Ok(all)
}

/// An approval.
///
/// # Errors
/// `NotFound` when there is none of this id.
pub fn get(tx: &impl ReadExt, id: ApprovalId) -> Result<Approval, TrustError> {
    tx.get(id)?.ok_or(TrustError::NotFound(id))
}

/// The newest approval of a call.
///
/// # Errors
/// When the disk fails.
pub fn of_call(
    tx: &impl ReadExt,
    run: RunId,
    call_id: &str,
) -> Result<Option<Approval>, StoreError> {
    let mut key = KeyBuf::of(&run);
    key.text(call_id);
    let mut all: Vec<Approval> = tx.scan(BY_CALL, &Range::prefix(key).limit(100))?;
    all.sort_by_key(|one| (one.asked_at, one.id));
    Ok(all.pop())
}

/// The approvals of a run, the oldest first.
///
/// # Errors
/// When the disk fails.
pub fn of_run(tx: &impl ReadExt, run: RunId) -> Result<Vec<Approval>, StoreError> {
    let mut all: Vec<Approval> = tx.scan(BY_CALL, &Range::prefix(KeyBuf::of(&run)).limit(MOST))?;
    all.sort_by_key(|one| (one.asked_at, one.id));
    Ok(all)
}

/// The approval that a run waits for.
///
/// # Errors
/// When the disk fails.
pub fn waiting_of(tx: &impl ReadExt, run: RunId) -> Result<Option<Approval>, StoreError> {
    Ok(of_run(tx, run)?.into_iter().rfind(|one| one.answer.is_none()))
}

/// All that wait for an answer, the oldest first, at most so many.
///
/// # Errors
/// When the disk fails.
pub fn open(tx: &impl ReadExt, most: usize) -> Result<Vec<Approval>, StoreError> {
    tx.scan(OPEN, &Range::all().limit(most))
}

/// The newest that were answered, at most so many of the last `most` that were asked.
///
/// # Errors
/// When the disk fails.
pub fn answered(tx: &impl ReadExt, most: usize) -> Result<Vec<Approval>, StoreError> {
    let mut all: Vec<Approval> = tx.list(&Range::all().reverse().limit(most))?;
    all.retain(|one| one.answer.is_some());
    Ok(all)
}

/// How many permissions people keep, counted up to so many.
///
/// # Errors
/// When the disk fails.
pub fn count_kept(tx: &impl ReadExt, most: usize) -> Result<usize, StoreError> {
    let all: Vec<Permission> = tx.list(&Range::all().limit(most))?;
    Ok(all.into_iter().filter(|rule| rule.run.is_none()).count())
}
