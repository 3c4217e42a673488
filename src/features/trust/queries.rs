//! Reads of modes, permissions and approvals.

pub mod places;
pub mod widening;

use kernel::key::KeyBuf;
use kernel::{
    AccessDecision, AgentId, ApprovalAnswer, ApprovalId, Can, ConnectionId, RunId, SessionId,
    Timestamp, TrustMode,
};
use store::{Range, Read, ReadExt, StoreError};
use tool::Effect;
use url::Url;

pub use super::authorize::IDENTITY;
use super::authorize::{self, Facts, OutgoingRequest, Reach};
use super::model::{AgentTrust, Approval, BROWSER, BY_CALL, BY_TOOL, OPEN, Permission};
use super::rules::TrustError;
use super::sites;
pub use super::sites::SiteAct;
use crate::inbox::model::Item;
use crate::runs::model::Run;
use crate::runs::queries::{children, taint};
use crate::workspace::model::Settings;

/// Maximum number of permissions read per tool.
const MOST: usize = 1_000;
/// Tool name of a permission for all tools.
pub const ALL_TOOLS: &str = "*";

/// Mode of an agent.
pub fn mode_of(tx: &dyn Read, agent: AgentId) -> Result<TrustMode, StoreError> {
    Ok(trust_of(tx, agent)?.mode)
}

/// Mode and taint setting of an agent.
pub fn trust_of(tx: &dyn Read, agent: AgentId) -> Result<AgentTrust, StoreError> {
    let usual = AgentTrust { agent, mode: TrustMode::Ask, autonomous: false };
    Ok(tx.get::<AgentTrust>(agent)?.unwrap_or(usual))
}

/// The capabilities that a person needs for an answer.
#[must_use]
pub fn needs(answer: ApprovalAnswer) -> &'static [Can] {
    match answer {
        // `Always` creates a permission.
        ApprovalAnswer::Always => &[Can::Approve, Can::Admin],
        _ => &[Can::Approve],
    }
}

/// The strictest mode among the agents that requested the work of a run or of its ancestors; `None` if only people
/// did. `Locked` counts as `Ask`: a locked agent changes nothing itself but may request work.
pub fn asked_mode(tx: &dyn Read, run: RunId) -> Result<Option<TrustMode>, StoreError> {
    let mut strictest = None;
    for run in std::iter::once(run).chain(children::above(tx, run)?) {
        let Some(run) = tx.get::<Run>(run)? else { continue };
        let item = run.item.map(|item| tx.get::<Item>(item)).transpose()?.flatten();
        for reason in item.iter().flat_map(|item| &item.reasons) {
            let Some(agent) = reason.agent.filter(|agent| *agent != run.agent) else { continue };
            let mode = match mode_of(tx, agent)? {
                TrustMode::Locked => TrustMode::Ask,
                mode => mode,
            };
            strictest = Some(strictest.map_or(mode, |known| stricter(known, mode)));
        }
    }
    Ok(strictest)
}

/// Order of modes: higher allows more.
pub(super) fn rank(mode: TrustMode) -> u8 {
    match mode {
        TrustMode::Locked => 0,
        TrustMode::Ask => 1,
        TrustMode::Auto => 2,
        TrustMode::Full => 3,
    }
}

/// The mode that allows less.
#[must_use]
pub fn stricter(one: TrustMode, other: TrustMode) -> TrustMode {
    if rank(other) < rank(one) { other } else { one }
}

/// Whether one of the agents is locked.
pub fn is_locked(tx: &dyn Read, agents: &[AgentId]) -> Result<bool, StoreError> {
    for agent in agents {
        if mode_of(tx, *agent)? == TrustMode::Locked {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The reviewing model of mode Auto with its connection; `None` if none is chosen.
pub fn reviewer(tx: &dyn Read) -> Result<Option<(ConnectionId, String)>, StoreError> {
    let settings = tx.get::<Settings>(())?;
    Ok(settings.and_then(|settings| settings.reviewer_connection.zip(settings.reviewer_model)))
}

/// Whether the reviewer may allow calls of these agents: one is in mode Auto, none in Ask or Locked, a reviewer is
/// chosen, and the conversation is not tainted.
pub fn may_review(
    tx: &dyn Read,
    agents: &[AgentId],
    session: SessionId,
) -> Result<bool, StoreError> {
    let mut is_auto = false;
    for agent in agents {
        match mode_of(tx, *agent)? {
            TrustMode::Auto => is_auto = true,
            TrustMode::Full => {}
            TrustMode::Locked | TrustMode::Ask => return Ok(false),
        }
    }
    Ok(is_auto && reviewer(tx)?.is_some() && taint::of(tx, session)?.is_none())
}

/// First untrusted source of a conversation; `None` if it is not tainted or all these agents ignore the taint.
pub fn heeded(
    tx: &dyn Read,
    agents: &[AgentId],
    session: SessionId,
) -> Result<Option<String>, StoreError> {
    let Some(read) = taint::of(tx, session)? else { return Ok(None) };
    for agent in agents {
        if !trust_of(tx, *agent)?.autonomous {
            return taint::first(tx, &read).map(Some);
        }
    }
    Ok(None)
}

/// The valid permissions for a tool, of all agents and runs.
pub fn rules_of(tx: &dyn Read, tool: &str, now: Timestamp) -> Result<Vec<Permission>, StoreError> {
    let of = |name: &str| {
        let mut key = KeyBuf::new();
        key.text(name);
        tx.scan::<Permission>(BY_TOOL, &Range::prefix(key).limit(MOST))
    };
    let mut all = of(tool)?;
    all.extend(of(ALL_TOOLS)?);
    all.retain(|rule| rule.counts_at(now));
    Ok(all)
}

/// Why a permission denies an action in an agent's browser, whoever performs it; `None` if no permission does. `does`
/// is the word of a [`SiteAct`] or `GET`, with the site's address; `None` for actions without a site.
pub fn refused_in_browser(
    tx: &dyn Read,
    agent: AgentId,
    does: Option<(&str, &str)>,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let request = does.and_then(|(word, at)| {
        // ok: an action without an address has no site
        let at = Url::parse(at).ok()?;
        Some(OutgoingRequest { method: word.to_owned(), ..sites::request_for(SiteAct::Act, &at)? })
    });
    let facts = Facts {
        request: request.as_ref(),
        ..Facts::of(BROWSER, Effect::External, Reach::Site, now)
    };
    let verdict = authorize::authorize(tx, &[agent], None, &facts)?;
    // A mode limits what the agent does by itself; only a permission forbids an action to people too.
    Ok((verdict.decision == AccessDecision::Deny && verdict.rule.is_some()).then_some(verdict.why))
}

/// Saved permissions of the workspace and, if given, of one agent; newest first.
pub fn kept(tx: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Permission>, StoreError> {
    let mut all: Vec<Permission> = tx.list(&Range::all().reverse().limit(MOST))?;
    all.retain(|rule| rule.run.is_none() && (rule.agent.is_none() || rule.agent == agent));
    Ok(all)
}

/// All saved permissions.
pub fn lasting(tx: &dyn Read) -> Result<Vec<Permission>, StoreError> {
    let mut all: Vec<Permission> = tx.list(&Range::all())?;
    all.retain(|rule| rule.run.is_none());
    Ok(all)
}

/// Reads an approval.
///
/// # Errors
/// `NotFound` if it does not exist.
pub fn get(tx: &dyn Read, id: ApprovalId) -> Result<Approval, TrustError> {
    tx.get(id)?.ok_or(TrustError::NotFound(id))
}

/// The newest approval of a call.
pub fn of_call(tx: &dyn Read, run: RunId, call_id: &str) -> Result<Option<Approval>, StoreError> {
    let mut key = KeyBuf::of(&run);
    key.text(call_id);
    let mut all: Vec<Approval> = tx.scan(BY_CALL, &Range::prefix(key).limit(100))?;
    all.sort_by_key(|one| (one.asked_at, one.id));
    Ok(all.pop())
}

/// The approvals of a run, oldest first.
pub fn of_run(tx: &dyn Read, run: RunId) -> Result<Vec<Approval>, StoreError> {
    let mut all: Vec<Approval> = tx.scan(BY_CALL, &Range::prefix(KeyBuf::of(&run)).limit(MOST))?;
    all.sort_by_key(|one| (one.asked_at, one.id));
    Ok(all)
}

/// The open approvals of a run, oldest first: those of one tool in one message of the model.
pub fn all_waiting_of(tx: &dyn Read, run: RunId) -> Result<Vec<Approval>, StoreError> {
    let mut all = of_run(tx, run)?;
    all.retain(|one| one.answer.is_none());
    Ok(all)
}

/// The oldest open approval of a run.
pub fn waiting_of(tx: &dyn Read, run: RunId) -> Result<Option<Approval>, StoreError> {
    Ok(all_waiting_of(tx, run)?.into_iter().next())
}

/// All open approvals, oldest first, at most `most`.
pub fn open(tx: &dyn Read, most: usize) -> Result<Vec<Approval>, StoreError> {
    tx.scan(OPEN, &Range::all().limit(most))
}

/// The answered ones among the last `most` approvals.
pub fn answered(tx: &dyn Read, most: usize) -> Result<Vec<Approval>, StoreError> {
    let mut all: Vec<Approval> = tx.list(&Range::all().reverse().limit(most))?;
    all.retain(|one| one.answer.is_some());
    Ok(all)
}

/// Number of saved permissions among the first `most` permissions.
pub fn count_kept(tx: &dyn Read, most: usize) -> Result<usize, StoreError> {
    let all: Vec<Permission> = tx.list(&Range::all().limit(most))?;
    Ok(all.into_iter().filter(|rule| rule.run.is_none()).count())
}
