//! What happens to a routine when what it began is over, its agent is archived, or all work goes on.

use super::queries;
use super::rules::keep::{self, Ended};
use super::rules::{self, RoutineError};
use super::wish::Wish;
use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::inbox::model::Item;
use kernel::{AgentId, Event, ItemState};
use store::{ReadExt, WriteTx};

/// Handles one event.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), RoutineError> {
    let item = match event {
        Event::ItemEnded { item, .. } => item,
        Event::AgentCreated { agent } => return starters(tx, *agent),
        Event::AgentSucceeded { agent, routines: Some(heir), .. } => {
            return Ok(keep::pass_on(tx, *agent, *heir)?);
        }
        Event::AgentArchived { agent } => return Ok(keep::stop_all_of(tx, *agent)?),
        // Clocks that came in from elsewhere have stood until now.
        Event::WorkGoesOn { agent: None } => return Ok(rules::settle_all(tx)?),
        _ => return Ok(()),
    };
    let Some(item) = tx.get::<Item>(*item)? else { return Ok(()) };
    let Some(firing) = queries::firing_of(tx, &item)? else { return Ok(()) };
    let error = item.last_error.as_deref().unwrap_or_default();
    match item.state {
        ItemState::Done => keep::over(tx, firing.routine, Ended::Well)?,
        // What a person stopped is no failure of the routine.
        ItemState::Failed if error == "stopped" => {}
        ItemState::Failed => keep::over(tx, firing.routine, Ended::Failed(error))?,
        ItemState::DeadLetter => keep::over(tx, firing.routine, Ended::GivenUp(error))?,
        ItemState::Pending | ItemState::Leased | ItemState::Cancelled => {}
    }
    Ok(())
}

/// The routines that come with the role of a new agent: they stand still until somebody lets them begin.
fn starters(tx: &mut WriteTx<'_>, id: AgentId) -> Result<(), RoutineError> {
    let Some(agent) = tx.get::<Agent>(id)? else { return Ok(()) };
    for starter in agents::starters(&agent.template) {
        let wish = Wish {
            name: starter.name.clone(),
            instruction: starter.instruction.clone(),
            schedule: Some(starter.schedule.clone()),
            ..Wish::default()
        };
        let made = rules::save(tx, None, id, &wish)?;
        rules::pause(tx, made.id)?;
    }
    Ok(())
}
