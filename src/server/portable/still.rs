//! What keeps a workspace that came in from doing anything beside its original: what was at work ends, its
//! agents are paused, all work stands still, and what follows the feed begins behind the import.

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

/// Tables of what was still to be sent, or told: the original does that.
const TO_SEND: [u16; 2] = [DELIVERIES.number, FANOUTS.number];
/// Who orders the halt: the program itself, so that the page tells why, and not who brought it in.
const HQ: Actor = Actor::System(Part::Setup);
/// Told of an import.
pub(super) const STILL: &str = "all work is paused until somebody resumes it, and its agents are paused: \
                                beside the original it would be done and paid twice";

/// What was ended and paused.
pub(crate) struct Quiet {
    /// Runs that were at work.
    pub interrupted: u64,
    /// Agents that took work.
    pub paused: u64,
}

/// Whether a table is of what was still to be sent: it stays where it comes from.
pub(super) fn is_to_send(table: u16) -> bool {
    TO_SEND.contains(&table)
}

/// What stays where it comes from, in a sentence; none when nothing was to be sent.
pub(super) fn unsent(tables: &[PortableTable]) -> Option<String> {
    let all = tables.iter().filter(|table| is_to_send(table.number));
    let count: u64 = all.map(|table| table.rows).sum();
    (0 < count).then(|| {
        format!(
            "what was still to be sent to people ({count}): it is sent where the workspace comes from, if \
             that goes on"
        )
    })
}

/// Ends what was at work, pauses the agents and lets all work stand still. The last write of an import: what
/// follows the feed goes on behind it.
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
        // One that came along was ordered there, and would be told of in place of this one.
        halt::lift(tx, HaltOf::Workspace)?;
        halt::order(tx, HaltOf::Workspace, HaltHow::Now)
    };
    store.write_blocking(HQ, cause, order).map_err(refused)?;
    // An import has left it out; a folder has it.
    loop {
        let gone = store.write_blocking(HQ, cause, |tx| sending::withdraw(tx, PIECE));
        if gone.map_err(refused)? < PIECE {
            break;
        }
    }
    leave_behind(store, cause)?;
    Ok(Quiet { interrupted: live.len() as u64, paused: ready.len() as u64 })
}

/// Lets what cannot be done twice go on behind all entries of the import, and the clocks of routines with
/// the work.
fn leave_behind(store: &Store, cause: Cause) -> Result<(), BackupError> {
    let known = consumers::all();
    let all = known.all().iter().filter(|one| one.tables().is_empty() && !one.repeats());
    let all: Vec<_> = all.cloned().collect();
    let behind = move |tx: &mut WriteTx<'_>| all.iter().try_for_each(|one| go_behind(tx, &**one));
    store.write_blocking(HQ, cause, behind).map_err(refused)?;
    // After the consumers: that of routines makes clocks fit when it begins.
    let clocks = store.read(|snap| snap.list::<Clock>(&Range::all()))?;
    for piece in clocks.chunks(PIECE) {
        let routines: Vec<RoutineId> = piece.iter().map(|clock| clock.routine).collect();
        store.write_blocking(HQ, cause, move |tx| keep::stand(tx, &routines))?;
    }
    Ok(())
}
