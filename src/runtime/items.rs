//! Creates runs of items, and closes items that were not started in time.

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::elsewhere;
use features::inbox::model::Item;
use features::inbox::rules as inbox;
use features::routines::queries as routines;
use features::runs::model::Run;
use features::runs::queries as runs;
use features::runs::rules::{self, RunSpec, SessionSpec};
use features::tasks::model::Task;
use kernel::text::ellipsis;
use kernel::{ItemId, RunId, RunTrigger};
use store::{ReadExt, WriteTx};

use super::command::orders::{ItemGivenUp, ItemTakenBack, ItemsMarked};
use super::port::Port;
use super::{BY, EngineError, chosen};

/// Creates the run of an item and leases the item to it, in one transaction. `None` if the agent is held, has another
/// working run, or its gateway was revoked.
///
/// # Errors
/// `WrongState` if the item was already taken.
pub fn make_run(
    tx: &mut WriteTx<'_>,
    item: &Item,
    agent: &Agent,
) -> Result<Option<Run>, EngineError> {
    let held = match tx.get::<Agent>(agent.id)? {
        Some(agent) => rules::held(tx, &agent)?.is_some(),
        None => true,
    };
    // A revocation may have been written right before this transaction.
    let is_shut_out = elsewhere::machine(tx, agent.id)?.is_some_and(|at| at.is_revoked);
    if held || is_shut_out || runs::has_background_run(tx, agent.id)? {
        return Ok(None);
    }
    let title = match item.task {
        Some(task) => {
            tx.get::<Task>(task)?.map_or_else(|| item.kind.label().to_owned(), |task| task.title)
        }
        None => item.reasons.last().map_or_else(String::new, |r| ellipsis(&r.summary, 80)),
    };
    let key = runs::item_session_key(tx, &agent.slug, item)?;
    let session = SessionSpec { agent: agent.id, key, owner: None, task: item.task };
    let spec = RunSpec { trigger: RunTrigger::Item, item: Some(item.id), task: item.task, title };
    let Some(run) = rules::make_item_run(tx, session, spec)? else { return Ok(None) };
    inbox::lease(tx, item.id, run)?;
    carry_wish(tx, item, run)?;
    Ok(tx.get::<Run>(run)?)
}

/// Copies the routine's choice of model to the run, because a host has no routines.
fn carry_wish(tx: &mut WriteTx<'_>, item: &Item, run: RunId) -> Result<(), EngineError> {
    let Some(routine) = routines::routine_of(tx, item)? else { return Ok(()) };
    if routine.model.is_none() && routine.thinking.is_none() {
        return Ok(());
    }
    let made = (tx.get::<Run>(run)?, tx.get::<Agent>(item.agent)?);
    if let (Some(made), Some(agent)) = made {
        let choice = chosen::choose(tx, &made, &agent, None)?;
        rules::asked_by_routine(tx, run, choice)?;
    }
    Ok(())
}

/// Marks what holds single items, closes stale ones, and takes back lost ones. Returns whether everything was written.
pub(super) async fn tidy(
    ws: &Ws,
    marks: Vec<(ItemId, Option<&'static str>)>,
    stale: Vec<ItemId>,
    lost: Vec<ItemId>,
) -> bool {
    let mut written = true;
    let owned = |(item, held): (ItemId, Option<&str>)| (item, held.map(str::to_owned));
    let marks: Vec<_> = marks.into_iter().map(owned).collect();
    if !marks.is_empty()
        && let Err(error) = ws.order(BY, ItemsMarked { marks }).await
    {
        tracing::warn!(%error, "what holds single items is not noted");
        written = false;
    }
    for item in stale {
        if let Err(error) = ws.order(BY, ItemGivenUp { item }).await {
            tracing::warn!(item.id = %item, %error, "item {item} could not be given up");
            written = false;
        }
    }
    for item in lost {
        if let Err(error) = ws.order(BY, ItemTakenBack { item }).await {
            tracing::warn!(item.id = %item, %error, "item {item} could not be taken back");
            written = false;
        }
    }
    written
}
