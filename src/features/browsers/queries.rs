//! Whether a browser is switched on, what it may do, and what its pages looked like.

use url::Url;

use super::model::{AgentBrowser, BrowserPolicy, BrowserShot};
use crate::agents::model::Agent;
use kernel::key::KeyBuf;
use kernel::{AgentId, RunId};
use store::{Range, Read, ReadExt, StoreError};

/// For how many days pictures of pages are kept.
pub const SHOT_DAYS: i64 = 14;
/// The most pictures of a run that are looked at.
const MOST: usize = 2_000;

/// Whether the browser of an agent is switched on, as a person has chosen.
pub fn is_switched_on(tx: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    Ok(tx.get::<AgentBrowser>(agent)?.is_some())
}

/// Whether all of these agents may use a browser: it is switched on for each, and none is archived.
pub fn is_on(tx: &dyn Read, agents: &[AgentId]) -> Result<bool, StoreError> {
    for id in agents {
        let works = tx.get::<Agent>(*id)?.is_some_and(|agent| agent.archived_at.is_none());
        if !works || !is_switched_on(tx, *id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the browser of an agent may do.
pub fn policy(tx: &dyn Read, agent: AgentId) -> Result<BrowserPolicy, StoreError> {
    Ok(tx.get::<BrowserPolicy>(agent)?.unwrap_or_else(|| BrowserPolicy::usual(agent)))
}

/// Why an address is closed to the browser of these agents; nothing when none of them closes it.
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

/// What pages looked like around the calls of a run, in their order.
pub fn shots(tx: &dyn Read, run: RunId) -> Result<Vec<BrowserShot>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&run)).limit(MOST))
}

/// What the page looked like when a person was asked before a call; none when there is no picture of it.
pub fn asked(tx: &dyn Read, run: RunId, call_id: &str) -> Result<Option<BrowserShot>, StoreError> {
    let all = shots(tx, run)?;
    Ok(all.into_iter().rfind(|shot| shot.call_id == call_id && shot.asked.is_some()))
}
