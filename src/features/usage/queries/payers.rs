//! Payers of a call, and their names.

use std::collections::BTreeSet;

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::inbox::model::Item;
use crate::routines::model::Routine;
use crate::routines::queries as routines;
use crate::runs::model::Run;
use crate::runs::queries as runs;
use crate::runs::queries::children;
use crate::streams::model::Stream;
use crate::streams::queries as streams;
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use kernel::{AgentId, Payer, RoutineId, RunId, StreamId, TaskId};
use store::{Read, ReadExt, StoreError};

/// The current payers of a run's calls: the workspace, the agent, the run and its ancestors, its task and all parent
/// tasks, the stream of the task, the routine that started the run, and those that created its task or a parent task.
///
/// A subtask belongs to its parent's stream unless it has its own: one stream pays. The routine that started the run
/// comes before the others.
pub fn payers(tx: &dyn Read, agent: AgentId, run: RunId) -> Result<Vec<Payer>, StoreError> {
    let above = children::above(tx, run)?;
    let mut payers = vec![Payer::Workspace, Payer::Agent(agent), Payer::Run(run)];
    payers.extend(above.iter().copied().map(Payer::Run));
    let (mut stream, mut behind) = (None, Vec::new());
    for id in [run].into_iter().chain(above) {
        behind.extend(began(tx, id)?);
    }
    let mut at = tx.get::<Run>(run)?.and_then(|run| run.task);
    let mut seen: BTreeSet<TaskId> = BTreeSet::new();
    while let Some(id) = at.filter(|id| seen.insert(*id)) {
        payers.push(Payer::Task(id));
        behind.extend(routines::maker_of(tx, id)?);
        let task = tx.get::<Task>(id)?;
        stream = stream.or_else(|| task.as_ref().and_then(|task| task.stream));
        at = task.and_then(|task| task.parent);
    }
    payers.extend(stream.map(Payer::Stream));
    let mut paying: BTreeSet<RoutineId> = BTreeSet::new();
    behind.retain(|routine| paying.insert(*routine));
    payers.extend(behind.into_iter().map(Payer::Routine));
    Ok(payers)
}

/// The routine that started a run.
fn began(tx: &dyn Read, run: RunId) -> Result<Option<RoutineId>, StoreError> {
    let item = match tx.get::<Run>(run)?.and_then(|run| run.item) {
        Some(item) => tx.get::<Item>(item)?,
        None => None,
    };
    let firing = match &item {
        Some(item) => routines::firing_of(tx, item)?,
        None => None,
    };
    Ok(firing.map(|firing| firing.routine))
}

/// Display name of a payer: `the workspace`, `Ada`, `MC-12`, `R-7`, `Launch`.
pub fn whose(tx: &dyn Read, payer: Payer) -> Result<String, StoreError> {
    let name = match payer {
        Payer::Workspace => Some("the workspace".to_owned()),
        Payer::Agent(id) => match tx.get::<Agent>(id)? {
            Some(agent) => Some(agents::called(tx, &agent)?),
            None => None,
        },
        Payer::Task(id) => match tx.get::<Task>(id)? {
            Some(task) => Some(tasks::name(tx, task.number)?),
            None => None,
        },
        Payer::Run(id) => tx.get::<Run>(id)?.map(|run| run.name()),
        Payer::Stream(id) => tx.get::<Stream>(id)?.map(|stream| stream.name),
        Payer::Routine(id) => tx.get::<Routine>(id)?.map(|routine| routine.name),
    };
    Ok(name.unwrap_or_else(|| format!("a deleted {}", payer.word())))
}

/// Name of a payer in API and commands: `workspace`, `agent:ada`, `task:MC-12`, `run:R-7`, `stream:Launch`,
/// `routine:Morning look`. Streams and routines with an ambiguous name use their id.
pub fn handle(tx: &dyn Read, payer: Payer) -> Result<String, StoreError> {
    let name = match payer {
        Payer::Workspace => return Ok(payer.word().to_owned()),
        Payer::Agent(id) => tx.get::<Agent>(id)?.map_or_else(|| id.to_string(), |agent| agent.slug),
        Payer::Task(_) | Payer::Run(_) => whose(tx, payer)?,
        Payer::Stream(id) => match tx.get::<Stream>(id)? {
            Some(one) if stream(tx, &one.name)? == Some(id) => one.name,
            _ => id.to_string(),
        },
        Payer::Routine(id) => match tx.get::<Routine>(id)? {
            Some(one) if routine(tx, &one.name)? == Some(id) => one.name,
            _ => id.to_string(),
        },
    };
    Ok(format!("{}:{name}", payer.word()))
}

/// Finds a payer by its API name.
pub fn by_handle(tx: &dyn Read, handle: &str) -> Result<Option<Payer>, StoreError> {
    let (kind, name) = handle.split_once(':').unwrap_or((handle, ""));
    Ok(match kind {
        "workspace" if name.is_empty() => Some(Payer::Workspace),
        "agent" => agents::by_name(tx, name)?.map(|agent| Payer::Agent(agent.id)),
        "task" => tasks::resolve(tx, name).ok().map(|task| Payer::Task(task.id)),
        "run" => runs::by_name(tx, name)?.map(|run| Payer::Run(run.id)),
        "stream" => stream(tx, name)?.map(Payer::Stream),
        "routine" => routine(tx, name)?.map(Payer::Routine),
        _ => None,
    })
}

/// Finds a stream by id, or an active one by name.
fn stream(tx: &dyn Read, name: &str) -> Result<Option<StreamId>, StoreError> {
    let found = match name.trim().parse::<StreamId>() {
        Ok(id) => tx.get::<Stream>(id)?,
        Err(_) => streams::called(tx, name.trim())?,
    };
    Ok(found.map(|stream| stream.id))
}

/// Finds a routine by id or by a unique name.
fn routine(tx: &dyn Read, name: &str) -> Result<Option<RoutineId>, StoreError> {
    let found = match name.trim().parse::<RoutineId>() {
        Ok(id) => tx.get::<Routine>(id)?,
        Err(_) => routines::called(tx, name.trim())?,
    };
    Ok(found.map(|routine| routine.id))
}

/// Form value of a payer, which stays valid when the payer is renamed.
#[must_use]
pub fn lasting(payer: Payer) -> String {
    let id = match payer {
        Payer::Workspace => return payer.word().to_owned(),
        Payer::Agent(id) => id.to_string(),
        Payer::Task(id) => id.to_string(),
        Payer::Run(id) => id.to_string(),
        Payer::Stream(id) => id.to_string(),
        Payer::Routine(id) => id.to_string(),
    };
    format!("{}:{id}", payer.word())
}
