//! Reads of modes, permissions and approvals.

pub mod widening;

use kernel::key::KeyBuf;
use kernel::{
    AccessDecision, AgentId, ApprovalId, ConnectionId, RunId, SessionId, Timestamp, TrustMode,
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

/// The most permissions of a tool that count.
const MOST: usize = 1_000;
/// Stands for all tools in a permission.
pub const ALL_TOOLS: &str = "*";

/// How much an agent may do without asking.
pub fn mode_of(tx: &dyn Read, agent: AgentId) -> Result<TrustMode, StoreError> {
    Ok(trust_of(tx, agent)?.mode)
}

/// The same, with whether it goes on by itself after it has read words from outside.
pub fn trust_of(tx: &dyn Read, agent: AgentId) -> Result<AgentTrust, StoreError> {
    let usual = AgentTrust { agent, mode: TrustMode::Ask, autonomous: false };
    Ok(tx.get::<AgentTrust>(agent)?.unwrap_or(usual))
}

/// The strictest mode of the agents that have asked for what a run does, or for what the runs do that it works for; none
/// where only people have. A locked agent changes nothing by itself, and what it asks of others is judged as in the mode
/// `Ask`.
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

/// Modes in the order of how much they let pass.
pub(super) fn rank(mode: TrustMode) -> u8 {
    match mode {
        TrustMode::Locked => 0,
        TrustMode::Ask => 1,
        TrustMode::Auto => 2,
        TrustMode::Full => 3,
    }
}

/// The one of two modes that lets less pass.
#[must_use]
pub fn stricter(one: TrustMode, other: TrustMode) -> TrustMode {
    if rank(other) < rank(one) { other } else { one }
}

/// Whether one of these agents is locked: the run's own, or one of those that asked for it.
pub fn is_locked(tx: &dyn Read, agents: &[AgentId]) -> Result<bool, StoreError> {
    for agent in agents {
        if mode_of(tx, *agent)? == TrustMode::Locked {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The model that reviews what agents in the mode Auto ask, with its connection; none when nobody has chosen one.
pub fn reviewer(tx: &dyn Read) -> Result<Option<(ConnectionId, String)>, StoreError> {
    let settings = tx.get::<Settings>(())?;
    Ok(settings.and_then(|settings| settings.reviewer_connection.zip(settings.reviewer_model)))
}

/// Whether the reviewer may allow what these agents ask: one of them is in the mode Auto and none asks people, there is a
/// reviewer, and their conversation has read nothing from outside.
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

/// What a conversation has read from outside, in a few words, as far as it counts for these agents: one that goes on by
/// itself heeds nothing of it, unless it works for one that does.
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

/// The permissions that speak of a tool and count now, of all agents and runs.
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

/// Why a permission refuses something at a site in the browser of an agent, whoever does it there; nothing when none does.
/// `does` is the word of a [`SiteAct`], or `GET`, with the address of the site; none for what asks nothing of a site.
pub fn refused_in_browser(
    tx: &dyn Read,
    agent: AgentId,
    does: Option<(&str, &str)>,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let asked = does.and_then(|(word, at)| {
        // ok: what has no address is asked of no site
        let at = Url::parse(at).ok()?;
        Some(OutgoingRequest { method: word.to_owned(), ..sites::asked(SiteAct::Act, &at)? })
    });
    let facts =
        Facts { request: asked.as_ref(), ..Facts::of(BROWSER, Effect::External, Reach::Site, now) };
    let verdict = authorize::weigh(tx, &[agent], None, &facts)?;
    // A mode says what an agent does by itself; a permission says what is not done there.
    Ok((verdict.leave == AccessDecision::Deny && verdict.rule.is_some()).then_some(verdict.why))
}

/// The permissions that people keep: of one agent and of the workspace, or of the workspace alone; newest first.
pub fn kept(tx: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Permission>, StoreError> {
    let mut all: Vec<Permission> = tx.list(&Range::all().reverse().limit(MOST))?;
    all.retain(|rule| rule.run.is_none() && (rule.agent.is_none() || rule.agent == agent));
    Ok(all)
}

/// All permissions that people keep, of all agents and of the workspace.
pub fn lasting(tx: &dyn Read) -> Result<Vec<Permission>, StoreError> {
    let mut all: Vec<Permission> = tx.list(&Range::all())?;
    all.retain(|rule| rule.run.is_none());
    Ok(all)
}

/// An approval.
///
/// # Errors
/// `NotFound` when there is none of this id.
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

/// The approvals of a run, the oldest first.
pub fn of_run(tx: &dyn Read, run: RunId) -> Result<Vec<Approval>, StoreError> {
    let mut all: Vec<Approval> = tx.scan(BY_CALL, &Range::prefix(KeyBuf::of(&run)).limit(MOST))?;
    all.sort_by_key(|one| (one.asked_at, one.id));
    Ok(all)
}

/// The calls of a run that wait for a yes, the oldest first: those of one tool in one message of the model.
pub fn all_waiting_of(tx: &dyn Read, run: RunId) -> Result<Vec<Approval>, StoreError> {
    let mut all = of_run(tx, run)?;
    all.retain(|one| one.answer.is_none());
    Ok(all)
}

/// The approval that a run has waited for longest.
pub fn waiting_of(tx: &dyn Read, run: RunId) -> Result<Option<Approval>, StoreError> {
    Ok(all_waiting_of(tx, run)?.into_iter().next())
}

/// All that wait for an answer, the oldest first, at most so many.
pub fn open(tx: &dyn Read, most: usize) -> Result<Vec<Approval>, StoreError> {
    tx.scan(OPEN, &Range::all().limit(most))
}

/// The newest that were answered, at most so many of the last `most` that were asked.
pub fn answered(tx: &dyn Read, most: usize) -> Result<Vec<Approval>, StoreError> {
    let mut all: Vec<Approval> = tx.list(&Range::all().reverse().limit(most))?;
    all.retain(|one| one.answer.is_some());
    Ok(all)
}

/// How many permissions people keep, counted up to so many.
pub fn count_kept(tx: &dyn Read, most: usize) -> Result<usize, StoreError> {
    let all: Vec<Permission> = tx.list(&Range::all().limit(most))?;
    Ok(all.into_iter().filter(|rule| rule.run.is_none()).count())
}
