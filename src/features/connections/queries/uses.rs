//! Uses of a connection: agents, routines and settings that change when it is removed.

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::connections::model::{Fallbacks, Named, VectorSource};
use crate::routines::model::Routine;
use crate::routines::queries as routines;
use crate::workspace::model::Settings;
use kernel::ConnectionId;
use store::{Range, Read, ReadExt, StoreError};

use super::locate;

kernel::words! {
    /// What uses a connection.
    UseKind {
        /// An agent's own model.
        Agent = "agent", "Agent";
        /// An agent's own list of fallback models.
        AgentFallbacks = "agent_fallbacks", "Fallback models";
        /// A routine's own model.
        Routine = "routine", "Routine";
        /// The default model.
        Default = "default", "Default model";
        /// The workspace's list of fallback models.
        Fallbacks = "fallbacks", "Fallback models";
        /// The model that reviews calls in Auto mode.
        Reviewer = "reviewer", "Reviewer";
        /// The model that makes vectors for search.
        Vectors = "vectors", "Semantic search";
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub kind: UseKind,
    /// Name of the agent or routine; "Workspace" for a setting.
    pub name: String,
    /// Page path in the workspace.
    pub path: String,
}

/// Whether a fallback list names the connection.
#[must_use]
pub fn names(list: &[Named], id: ConnectionId) -> bool {
    list.iter().any(|named| named.connection == Some(id))
}

/// Whether an agent's own model is on the connection.
pub fn is_of_agent(read: &dyn Read, agent: &Agent, id: ConnectionId) -> Result<bool, StoreError> {
    match (agent.connection, &agent.model) {
        (Some(connection), _) => Ok(connection == id),
        (None, Some(model)) => Ok(locate(&read, model, [None, default(read)?])?.0 == Some(id)),
        (None, None) => Ok(false),
    }
}

/// Whether a routine's own model is on the connection.
pub fn is_of_routine(
    read: &dyn Read,
    routine: &Routine,
    id: ConnectionId,
) -> Result<bool, StoreError> {
    let model = routine.model.as_deref().map(str::trim).filter(|model| !model.is_empty());
    let Some(model) = model else { return Ok(false) };
    let agent = read.get::<Agent>(routine.agent)?.and_then(|agent| agent.connection);
    Ok(locate(&read, model, [agent, default(read)?])?.0 == Some(id))
}

fn default(read: &dyn Read) -> Result<Option<ConnectionId>, StoreError> {
    Ok(read.get::<Settings>(())?.and_then(|settings| settings.default_connection))
}

/// All uses of a connection: settings first, then agents and routines by name. Archived agents are excluded.
pub fn of(read: &dyn Read, id: ConnectionId) -> Result<Vec<Use>, StoreError> {
    let mut found = of_settings(read, id)?;
    for agent in agents::all(&read)?.into_iter().filter(|agent| agent.archived_at.is_none()) {
        let one = |kind, page: &str| Use {
            kind,
            name: agent.name.clone(),
            path: format!("agents/{}{page}", agent.slug),
        };
        if is_of_agent(read, &agent, id)? {
            found.push(one(UseKind::Agent, "/settings"));
        }
        let own = read.get::<Fallbacks>(Fallbacks::key(Some(agent.id)))?;
        if own.is_some_and(|own| names(&own.models, id)) {
            found.push(one(UseKind::AgentFallbacks, "/settings"));
        }
    }
    for routine in routines::all(read)? {
        if routine.done_at.is_none() && is_of_routine(read, &routine, id)? {
            let (name, path) = (routine.name, format!("routines/{}", routine.id));
            found.push(Use { kind: UseKind::Routine, name, path });
        }
    }
    Ok(found)
}

fn of_settings(read: &dyn Read, id: ConnectionId) -> Result<Vec<Use>, StoreError> {
    let settings = read.get::<Settings>(())?;
    let is = |of: fn(&Settings) -> Option<ConnectionId>| settings.as_ref().and_then(of) == Some(id);
    let list = read.get::<Fallbacks>(Fallbacks::key(None))?;
    let last: Vec<VectorSource> = read.list(&Range::all().reverse().limit(1))?;
    let uses = [
        (UseKind::Default, "settings/connections", is(|settings| settings.default_connection)),
        (
            UseKind::Fallbacks,
            "settings/connections",
            list.is_some_and(|list| names(&list.models, id)),
        ),
        (UseKind::Reviewer, "settings/policy", is(|settings| settings.reviewer_connection)),
        (
            UseKind::Vectors,
            "settings/meaning",
            last.first().is_some_and(|chosen| chosen.connection == Some(id)),
        ),
    ];
    let found = uses.into_iter().filter(|(.., is_used)| *is_used);
    let name = "Workspace".to_owned();
    Ok(found
        .map(|(kind, path, _)| Use { kind, name: name.clone(), path: path.to_owned() })
        .collect())
}
