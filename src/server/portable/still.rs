//! Keeps an imported workspace from acting in parallel with its original: running runs end, agents and all work are
//! paused, and consumers start after the imported entries.

use crate::consumers;
use backup::BackupError;
use backup::portable::PortableTable;
use features::agents::{queries as agent_queries, rules as agents};
use features::notifications::model::FANOUTS;
use features::notifications::model::sending::DELIVERIES;
use features::notifications::rules::sending;
use features::routines::model::Clock;
use features::routines::rules::keep;
use features::runs::model::HaltOf;
use features::runs::rules::halt;
use features::runs::{queries as run_queries, rules as runs};
use kernel::{Actor, AgentStatus, Cause, HaltHow, Outcome, Part, RoutineId};
use store::consumer::go_behind;
use store::{Range, ReadExt as _, Store, StoreError, WriteTx};

use super::{PIECE, refused};

/// Tables of unsent messages and notifications. The original sends them.
const TO_SEND: [u16; 2] = [DELIVERIES.number, FANOUTS.number];
/// Actor of the pause: the program itself, so that the page shows the reason instead of the importing person.
const HQ: Actor = Actor::System(Part::Setup);
/// Note in the result of an import.
pub(super) const STILL: &str = "all work is paused until someone resumes it, and so are all \
    agents: otherwise it would be done and paid for twice, here and in the original";

/// Result of [`quieten`].
pub(crate) struct Quiet {
    /// Number of running runs that were ended.
    pub interrupted: u64,
    /// Number of agents that were paused.
    pub paused: u64,
}

/// Whether a table contains unsent messages, which are not imported.
pub(super) fn is_to_send(table: u16) -> bool {
    TO_SEND.contains(&table)
}

/// Note about unsent messages that are not imported; `None` if there are none.
pub(super) fn unsent(tables: &[PortableTable]) -> Option<String> {
    let all = tables.iter().filter(|table| is_to_send(table.number));
    let count: u64 = all.map(|table| table.rows).sum();
    (0 < count).then(|| {
        format!("outgoing messages ({count}): the original workspace sends them if it continues")
    })
}

/// Ends running work, and pauses the agents and all work. The last write of an import: consumers continue after it.
pub(crate) fn quieten(
    store: &Store,
    (by, cause): (Actor, Cause),
    why: &'static str,
) -> Result<Quiet, BackupError> {
    let (live, all) = store
        .read(|snap| Ok::<_, StoreError>((run_queries::live(snap)?, agent_queries::all(snap)?)))?;
    for run in &live {
        let id = run.id;
        store
            .write_blocking(by, cause, move |tx| runs::force_end(tx, id, Outcome::Interrupted, why))
            .map_err(refused)?;
    }
    let ready = all.iter().filter(|one| one.status == AgentStatus::Ready);
    let ready: Vec<_> = ready.map(|one| one.id).collect();
    for id in &ready {
        let id = *id;
        store.write_blocking(by, cause, move |tx| agents::pause(tx, id)).map_err(refused)?;
    }
    let order = |tx: &mut WriteTx<'_>| {
        // A pause imported from the original would be shown instead of this one.
        halt::lift(tx, HaltOf::Workspace)?;
        halt::order(tx, HaltOf::Workspace, HaltHow::Now)
    };
    store.write_blocking(HQ, cause, order).map_err(refused)?;
    // Only for a folder from elsewhere; an import has skipped these rows.
    loop {
        let gone = store.write_blocking(HQ, cause, |tx| sending::withdraw(tx, PIECE));
        if gone.map_err(refused)? < PIECE {
            break;
        }
    }
    leave_behind(store, cause)?;
    Ok(Quiet { interrupted: live.len() as u64, paused: ready.len() as u64 })
}

/// Moves consumers that must not repeat effects, and the clocks of routines, behind all imported entries.
fn leave_behind(store: &Store, cause: Cause) -> Result<(), BackupError> {
    let known = consumers::all();
    let all = known.all().iter().filter(|one| one.tables().is_empty() && !one.repeats());
    let all: Vec<_> = all.cloned().collect();
    let behind = move |tx: &mut WriteTx<'_>| all.iter().try_for_each(|one| go_behind(tx, &**one));
    store.write_blocking(HQ, cause, behind).map_err(refused)?;
    // After the consumers: the routine consumer adjusts the clocks when it starts.
    let clocks = store.read(|snap| snap.list::<Clock>(&Range::all()))?;
    for piece in clocks.chunks(PIECE) {
        let routines: Vec<RoutineId> = piece.iter().map(|clock| clock.routine).collect();
        store.write_blocking(HQ, cause, move |tx| keep::stand(tx, &routines))?;
    }
    Ok(())
}
