//! Reads of browser switches, policies and screenshots.

use url::Url;

use super::model::{AgentBrowser, BrowserPolicy, BrowserShot};
use crate::agents::model::Agent;
use kernel::key::KeyBuf;
use kernel::{AgentId, RunId};
use store::{Range, Read, ReadExt, StoreError};

/// Days for which screenshots are kept.
pub const SHOT_DAYS: i64 = 14;
/// Maximum number of screenshots per run to read.
const MOST: usize = 2_000;

/// Returns `true` if the agent's browser is enabled.
pub fn is_switched_on(tx: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    Ok(tx.get::<AgentBrowser>(agent)?.is_some())
}

/// Returns `true` if all of these agents may use a browser: it is enabled and the agent is not archived.
pub fn is_on(tx: &dyn Read, agents: &[AgentId]) -> Result<bool, StoreError> {
    for id in agents {
        let works = tx.get::<Agent>(*id)?.is_some_and(|agent| agent.archived_at.is_none());
        if !works || !is_switched_on(tx, *id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stored policy, or the defaults.
pub fn policy(tx: &dyn Read, agent: AgentId) -> Result<BrowserPolicy, StoreError> {
    Ok(tx.get::<BrowserPolicy>(agent)?.unwrap_or_else(|| BrowserPolicy::usual(agent)))
}

/// Reason to block a URL for these agents. `None` if all policies allow it.
pub fn closes(
    tx: &dyn Read,
    agents: &[AgentId],
    url: &Url,
) -> Result<Option<&'static str>, StoreError> {
    for id in agents {
        if let Some(why) = policy(tx, *id)?.closes(url) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Screenshots of a run, in call order.
pub fn shots(tx: &dyn Read, run: RunId) -> Result<Vec<BrowserShot>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&run)).limit(MOST))
}

/// Screenshot from before asking for approval of a call, if there is one.
pub fn find_approval_shot(
    tx: &dyn Read,
    run: RunId,
    call_id: &str,
) -> Result<Option<BrowserShot>, StoreError> {
    let all = shots(tx, run)?;
    Ok(all.into_iter().rfind(|shot| shot.call_id == call_id && shot.asked.is_some()))
}
