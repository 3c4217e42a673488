//! Reporting lines of agents.

use std::collections::{HashMap, HashSet};

use crate::agents::model::Agent;
use crate::workspace::model::Member;
use kernel::{AccountId, AgentId, Manager};
use store::{Range, Read, ReadExt, StoreError};

/// Effective manager of an agent; archived managers are skipped.
pub fn manager(tx: &dyn Read, agent: &Agent) -> Result<Option<Manager>, StoreError> {
    let mut seen = HashSet::from([agent.id]);
    let mut at = agent.reports_to;
    while let Some(Manager::Agent(id)) = at {
        // A deleted row or a cycle ends the line.
        let Some(above) = tx.get::<Agent>(id)?.filter(|_| seen.insert(id)) else { return Ok(None) };
        if above.archived_at.is_none() {
            break;
        }
        at = above.reports_to;
    }
    Ok(at)
}

/// Managers above an agent, nearest first, including archived ones.
pub fn above(tx: &dyn Read, agent: AgentId) -> Result<Vec<Agent>, StoreError> {
    let mut seen = HashSet::from([agent]);
    let mut line = Vec::new();
    let mut at = tx.get::<Agent>(agent)?.and_then(|agent| agent.reports_to);
    while let Some(Manager::Agent(id)) = at {
        let Some(next) = tx.get::<Agent>(id)?.filter(|_| seen.insert(id)) else { break };
        at = next.reports_to;
        line.push(next);
    }
    Ok(line)
}

/// Whether an agent reports to another, directly or indirectly.
pub fn is_below(tx: &dyn Read, agent: AgentId, chief: AgentId) -> Result<bool, StoreError> {
    Ok(above(tx, agent)?.iter().any(|one| one.id == chief))
}

/// The first person up an agent's reporting line.
pub fn first_person(tx: &dyn Read, agent: AgentId) -> Result<Option<AccountId>, StoreError> {
    let Some(first) = tx.get::<Agent>(agent)? else { return Ok(None) };
    let line = above(tx, agent)?;
    Ok(line.last().unwrap_or(&first).reports_to.and_then(Manager::person))
}

/// Direct reports that are not archived, by name.
pub fn reports(tx: &dyn Read, chief: AgentId) -> Result<Vec<Agent>, StoreError> {
    let mut found = super::reporting_to(tx, Manager::Agent(chief))?;
    found.retain(|agent| agent.archived_at.is_none());
    Ok(found)
}

/// All agents below an agent that are not archived, level by level.
pub fn below(tx: &dyn Read, chief: AgentId) -> Result<Vec<Agent>, StoreError> {
    let agents: Vec<Agent> = tx.list(&Range::all())?;
    let mut under: HashMap<AgentId, Vec<Agent>> = HashMap::new();
    for agent in agents.into_iter().filter(|agent| agent.archived_at.is_none()) {
        if let Some(above) = agent.reports_to.and_then(Manager::agent) {
            under.entry(above).or_default().push(agent);
        }
    }
    // Agents are removed from the map when visited, so the loop terminates.
    let mut found: Vec<Agent> = Vec::new();
    let mut next = vec![chief];
    while !next.is_empty() {
        let mut level: Vec<Agent> =
            next.iter().filter_map(|id| under.remove(id)).flatten().collect();
        level.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
        next = level.iter().map(|agent| agent.id).collect();
        found.extend(level);
    }
    Ok(found)
}

/// A manager as shown to people and models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Name in mentions.
    pub handle: String,
    /// Description of an agent.
    pub about: String,
    pub is_person: bool,
    /// Emoji of an agent.
    pub emoji: String,
}

/// Display data of a manager; `None` if it no longer exists.
pub fn named(tx: &dyn Read, manager: Option<Manager>) -> Result<Option<Named>, StoreError> {
    Ok(match manager {
        None => None,
        Some(Manager::Person(account)) => tx.get::<Member>(account)?.map(|member| Named {
            name: member.name,
            handle: member.handle,
            about: String::new(),
            is_person: true,
            emoji: String::new(),
        }),
        Some(Manager::Agent(id)) => tx.get::<Agent>(id)?.map(|agent| Named {
            name: agent.name,
            handle: agent.slug,
            about: agent.description,
            is_person: false,
            emoji: agent.emoji,
        }),
    })
}

/// Resolves a handle, slug or id, or `none` or `nobody`, to a manager.
///
/// # Errors
/// The name again if it is unknown.
pub fn meant(tx: &dyn Read, text: &str) -> Result<Result<Option<Manager>, String>, StoreError> {
    let word = text.trim().trim_start_matches('@');
    if ["none", "nobody"].contains(&word) {
        return Ok(Ok(None));
    }
    if let Some(agent) = super::by_name(tx, word)? {
        return Ok(Ok(Some(Manager::Agent(agent.id))));
    }
    let members: Vec<Member> = tx.list(&Range::all())?;
    let id = word.parse::<AccountId>().ok();
    let mut here = members.into_iter().filter(|member| member.left_at.is_none());
    let found = here
        .find(|one| one.handle.eq_ignore_ascii_case(word) || Some(one.account) == id)
        .map(|member| Manager::Person(member.account));
    Ok(found.map_or_else(|| Err(word.chars().take(60).collect()), |manager| Ok(Some(manager))))
}
