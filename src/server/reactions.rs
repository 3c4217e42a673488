//! What must happen in the same moment: which feature reacts to an event. One line each, and the cards of nouns; they run in
//! this order, inside the transaction that emitted the event, and may emit again.

use features::{agents, cards, inbox, jobs, notifications, routines, runs, tasks, usage};
use kernel::{Event, Problem};
use store::{ReactionError, WriteTx};

/// Hands an event to everybody who reacts.
///
/// # Errors
/// What the first refusing reaction says, with its name.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    named("tasks", tasks::reactions::react(tx, event))?;
    named("agents", agents::reactions::react(tx, event))?;
    named("inbox", inbox::reactions::react(tx, event))?;
    named("runs", runs::reactions::react(tx, event))?;
    named("jobs", jobs::reactions::react(tx, event))?;
    named("routines", routines::reactions::react(tx, event))?;
    named("usage", usage::reactions::react(tx, event))?;
    named("notifications", notifications::reactions::react(tx, event))?;
    for noun in cards::all() {
        noun.react.map_or(Ok(()), |react| react(tx, event))?;
    }
    Ok(())
}

fn named<E: Problem>(name: &'static str, result: Result<(), E>) -> Result<(), ReactionError> {
    noun::named_as(name, result)
}
