//! Reactions: features that react to an event inside the transaction that emitted it. They run in this order,
//! followed by those of entity descriptors, and may emit further events.

use features::{agents, cards, inbox, jobs, notifications, routines, runs, tasks, usage};
use kernel::Event;
use store::{ReactionError, WriteTx};

/// Passes an event to all reactions.
///
/// # Errors
/// That of the first failing reaction, with its name.
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
