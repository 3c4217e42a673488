//! Pages, API and tools of agents.

pub mod api;
mod at;
pub mod pages;
pub mod tools;

pub use tools::tools;

use features::agents::rules::{AgentError, Heirs};
use kernel::Manager;

/// Who takes over an archived agent's work: tasks go to an agent or a person, routines to an agent.
fn heirs(tasks: Option<Manager>, routines: Option<Manager>) -> Result<Heirs, AgentError> {
    let routines = match routines {
        Some(Manager::Person(_)) => return Err(AgentError::NoHeir),
        Some(Manager::Agent(agent)) => Some(agent),
        None => None,
    };
    let tasks = tasks.map(|to| match to {
        Manager::Agent(agent) => kernel::Assignee::Agent(agent),
        Manager::Person(account) => kernel::Assignee::Person(account),
    });
    Ok(Heirs { tasks, routines })
}
