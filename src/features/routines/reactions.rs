//! What happens to a routine when what it began is over, or its agent is archived.

use super::queries;
use super::rules::{RoutineError, keep};
use crate::features::inbox::model::Item;
use crate::kernel::{Event, ItemState};
use crate::store::{ReadExt, WriteTx};

/// Handles one event.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), RoutineError> {
    let item = match event {
        Event::ItemEnded { item, .. } => item,
        Event::AgentArchived { agent } => return Ok(keep::stop_all_of(tx, *agent)?),
        _ => return Ok(()),
    };
    let Some(item) = tx.get::<Item>(*item)? else { return Ok(()) };
    let Some(firing) = queries::firing_of(tx, &item)? else { return Ok(()) };
    let error = item.last_error.as_deref().unwrap_or_default();
    match item.state {
        ItemState::Done => keep::over(tx, firing.routine, None)?,
        // What a person stopped is no failure of the routine.
        ItemState::Failed if error == "stopped" => {}
        ItemState::Failed | ItemState::DeadLetter => {
            keep::over(tx, firing.routine, Some(error))?;
        }
        ItemState::Pending | ItemState::Leased | ItemState::Cancelled => {}
    }
    Ok(())
}
