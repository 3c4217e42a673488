//! Reactions of routines: end of started work, new or archived agents, resumed workspace.

use super::queries;
use super::rules::keep::{self, Ended};
use super::rules::{self, RoutineError};
use super::wish::RoutineRequest;
use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::inbox::model::Item;
use kernel::{AgentId, Event, ItemState};
use store::{ReadExt, WriteTx};

pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), RoutineError> {
    let item = match event {
        Event::ItemEnded { item, .. } => item,
        Event::AgentCreated { agent } | Event::AgentMoved(agent, ..) => {
            return starters(tx, *agent);
        }
        Event::AgentSucceeded { agent, routines: Some(heir), .. } => {
            return Ok(keep::pass_on(tx, *agent, *heir)?);
        }
        Event::AgentArchived { agent } => return Ok(keep::stop_all_of(tx, *agent)?),
        // The clocks of an imported workspace were stopped until now.
        Event::WorkGoesOn { agent: None } => return Ok(rules::settle_all(tx)?),
        _ => return Ok(()),
    };
    let Some(item) = tx.get::<Item>(*item)? else { return Ok(()) };
    let Some(firing) = queries::firing_of(tx, &item)? else { return Ok(()) };
    let error = item.last_error.as_deref().unwrap_or_default();
    match item.state {
        ItemState::Done => keep::over(tx, firing.routine, Ended::Well)?,
        // Stopping by a person is no failure of the routine.
        ItemState::Failed if error == "stopped" => {}
        ItemState::Failed => keep::over(tx, firing.routine, Ended::Failed(error))?,
        ItemState::DeadLetter => keep::over(tx, firing.routine, Ended::GivenUp(error))?,
        ItemState::Pending | ItemState::Leased | ItemState::Cancelled => {}
    }
    Ok(())
}

/// Creates the starter routines of a new agent's role, or of an agent's new role. They are paused until somebody
/// resumes them. An existing routine with the same name stays unchanged.
fn starters(tx: &mut WriteTx<'_>, id: AgentId) -> Result<(), RoutineError> {
    let Some(agent) = tx.get::<Agent>(id)? else { return Ok(()) };
    let has = queries::of_agent(tx, id)?;
    for starter in agents::starters(&agent.template) {
        if has.iter().any(|routine| routine.name == starter.name) {
            continue;
        }
        let wish = RoutineRequest {
            name: starter.name.clone(),
            instruction: starter.instruction.clone(),
            schedule: Some(starter.schedule.clone()),
            ..RoutineRequest::default()
        };
        match rules::save(tx, None, id, &wish) {
            Ok(made) => drop(rules::pause(tx, made.id)?),
            // An agent at its routine limit changes its role without further starters.
            Err(RoutineError::TooMany(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
