//! Delegation rules: an agent may assign work to itself, to people and to the agents below it. All tools check here.

use super::error::TaskError;
use super::overdue;
use super::people::People;
use crate::agents::model::Agent;
use crate::agents::queries::lines;
use crate::tasks::model::Task;
use kernel::{Actor, AgentId, Assignee, Delegation, Manager};
use store::{Read, ReadExt as _, StoreError};

/// Maximum number of names in a denial.
const NAMED: usize = 10;

/// Returns `true` if the workspace's delegation rule lets `chief` assign work to `agent`.
pub fn reaches(read: &dyn Read, chief: AgentId, agent: AgentId) -> Result<bool, StoreError> {
    Ok(match overdue::rules(read)?.delegation {
        Delegation::Open => true,
        Delegation::Line => lines::is_below(read, agent, chief)?,
        Delegation::Reports => {
            let agent = read.get::<Agent>(agent)?;
            agent.is_some_and(|one| one.reports_to == Some(Manager::Agent(chief)))
        }
    })
}

/// Checks an assignment. People may assign to anyone. An agent may assign only to agents within its reach and may not
/// take tasks from others.
///
/// # Errors
/// If the assignment is denied. The message names alternatives.
pub fn may_give(
    read: &dyn Read,
    by: Actor,
    task: Option<&Task>,
    to: Option<Assignee>,
) -> Result<(), TaskError> {
    let Some(chief) = by.agent() else { return Ok(()) };
    if let Some(task) = task {
        takes(read, chief, task)?;
    }
    match to {
        Some(Assignee::Agent(agent)) if agent != chief && !reaches(read, chief, agent)? => {
            let name = read.get::<Agent>(agent)?.map_or_else(|| agent.to_string(), |one| one.name);
            Err(TaskError::NotAReport { name, hint: hint(read, chief)? })
        }
        _ => Ok(()),
    }
}

/// Checks that an agent may reassign a task of another agent: it created the task or the owner is within its reach.
fn takes(read: &dyn Read, chief: AgentId, task: &Task) -> Result<(), TaskError> {
    let Some(owner) = task.assignee.and_then(Assignee::agent).filter(|one| *one != chief) else {
        return Ok(());
    };
    if task.created_by.agent() == Some(chief) || reaches(read, chief, owner)? {
        return Ok(());
    }
    // A task of an archived agent is free to take.
    match read.get::<Agent>(owner)?.filter(|agent| agent.archived_at.is_none()) {
        Some(agent) => Err(TaskError::NotYours {
            task: super::name(read, task.number)?,
            name: agent.name,
            hint: "ask them with message_agent, or your manager with task_escalate",
        }),
        None => Ok(()),
    }
}

/// Agents that may get work from an agent, and alternatives.
fn hint(read: &dyn Read, chief: AgentId) -> Result<String, TaskError> {
    let below = match overdue::rules(read)?.delegation {
        Delegation::Reports => lines::reports(read, chief)?,
        _ => lines::below(read, chief)?,
    };
    let mut names: Vec<String> = below.iter().take(NAMED).map(|agent| agent.slug.clone()).collect();
    if NAMED < below.len() {
        names.push(format!("and {} more", below.len() - NAMED));
    }
    let can = match names.is_empty() {
        true => "no one reports to you".to_owned(),
        false => format!("you can assign it to: {}", names.join(", ")),
    };
    Ok(format!(
        "{can}. Otherwise do it yourself, or tell {} with task_escalate who should do it and why",
        above(read, chief)?
    ))
}

/// The agent's manager in words, such as "your manager @vera".
pub fn above(read: &dyn Read, agent: AgentId) -> Result<String, StoreError> {
    let manager = match read.get::<Agent>(agent)? {
        Some(agent) => lines::named(read, lines::manager(read, &agent)?)?,
        None => None,
    };
    Ok(match manager {
        Some(manager) => format!("your manager @{}", manager.handle),
        None => "a person".to_owned(),
    })
}

/// Checks that an agent may escalate a task: it has the task, created it, or is above its assignee.
///
/// # Errors
/// If it may not.
pub fn may_escalate(read: &dyn Read, agent: AgentId, task: &Task) -> Result<(), TaskError> {
    let owner = task.assignee.and_then(Assignee::agent);
    let own = owner == Some(agent) || task.created_by.agent() == Some(agent);
    let below = match owner {
        Some(owner) => lines::is_below(read, owner, agent)?,
        None => false,
    };
    if own || below {
        return Ok(());
    }
    let who = task.assignee.map(|who| People::read(read).map(|people| people.name(who)));
    Err(TaskError::NotYours {
        task: super::name(read, task.number)?,
        name: who.transpose()?.unwrap_or_else(|| "nobody".to_owned()),
        hint: "leave a comment on it",
    })
}
