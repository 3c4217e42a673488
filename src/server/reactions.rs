//! What must happen in the same moment: which feature reacts to an event. One line each, then the cards of nouns; they
//! run in this order, inside the transaction that emitted the event, and may emit again.

use features::{agents, cards, inbox, jobs, notifications, routines, runs, tasks, usage};
use kernel::Event;
use store::{ReactionError, WriteTx};

/// Hands an event to everybody who reacts.
///
/// # Errors
/// What the first refusing reaction says, with its name.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    entity::named_as("tasks", tasks::reactions::react(tx, event))?;
    entity::named_as("agents", agents::reactions::react(tx, event))?;
    entity::named_as("inbox", inbox::reactions::react(tx, event))?;
    entity::named_as("runs", runs::reactions::react(tx, event))?;
    entity::named_as("jobs", jobs::reactions::react(tx, event))?;
    entity::named_as("routines", routines::reactions::react(tx, event))?;
    entity::named_as("usage", usage::reactions::react(tx, event))?;
    entity::named_as("notifications", notifications::reactions::react(tx, event))?;
    for noun in cards::all() {
        noun.react.map_or(Ok(()), |react| react(tx, event))?;
    }
    Ok(())
}
