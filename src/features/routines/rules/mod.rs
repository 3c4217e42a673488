//! Writes of routines by people and agents. Firing is in `fire`, schedules in `tick`, events in `happen`, and waiting
//! for edits to settle in `writing`.

mod error;
pub mod fire;
pub mod happen;
pub mod keep;
pub mod refer;
pub mod tick;
pub mod writing;

use crate::agents::model::Agent;
use crate::workspace::model::Settings;
use kernel::key::KeyBuf;
use kernel::{
    AgentId, CatchUp, Event, FiringId, Overlap, RoutineAct, RoutineId, RoutineSession, TypedId as _,
};
use store::{Range, ReadExt, StoreError, WriteTx};

use super::conditions::Values;
use super::event_context::{self, Moment};
use super::model::{BY_AGENT, Clock, Firing, Routine, RoutineRules, Slot};
use super::queries;
use super::registry;
use super::wish::{Checked, RoutineRequest};

pub use error::RoutineError;

/// Maximum number of routines per agent.
const MOST: usize = 100;
/// Maximum number of routines to settle when all are paused.
const PAGE: usize = 5_000;

/// Creates or replaces a routine. A routine saved by an agent waits for approval, unless that setting is off.
///
/// # Errors
/// If the input is invalid, the agent is archived, or an agent changes a routine of another agent.
pub fn save(
    tx: &mut WriteTx<'_>,
    id: Option<RoutineId>,
    agent: AgentId,
    wish: &RoutineRequest,
) -> Result<Routine, RoutineError> {
    let own = tx.by().agent();
    if own.is_some_and(|own| own != agent) {
        return Err(RoutineError::NotOwned);
    }
    let before = match id {
        Some(id) => Some(owned(tx, id)?),
        None => None,
    };
    match tx.get::<Agent>(agent)? {
        None => return Err(RoutineError::NoAgent(agent.to_string())),
        Some(agent) if agent.archived_at.is_some() => {
            return Err(RoutineError::ArchivedAgent(agent.name));
        }
        Some(_) => {}
    }
    if before.is_none() {
        let range = Range::prefix(KeyBuf::of(&agent)).limit(MOST);
        if MOST <= tx.len(BY_AGENT, &range)? {
            return Err(RoutineError::TooMany(MOST));
        }
    }
    let now = tx.now();
    let zone = tx.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |one| one.zone);
    let checked = wish.read(&zone, now).map_err(RoutineError::Invalid)?;
    let Checked { name, instruction, trigger, action, quiet } =
        refer::resolve(tx, wish, (agent, checked))?;
    let deliver_to = refer::place(tx, wish, agent, before.as_ref())?;
    let by_event = wish.event.is_some();
    let overlap = if by_event { Overlap::Queue } else { Overlap::Skip };
    let text = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let asks = own.is_some() && queries::rules(tx)?.ask;
    let routine = Routine {
        id: before.as_ref().map_or_else(|| tx.new_id(), |before| before.id),
        agent,
        name,
        instruction,
        trigger,
        action,
        // An archived routine was not paused by anyone. A new instant reactivates it.
        active: before.as_ref().is_none_or(|before| before.active || before.done_at.is_some()),
        stopped: before.as_ref().and_then(|before| before.stopped.clone()),
        asks,
        created_by: before.as_ref().map_or_else(|| tx.by(), |before| before.created_by),
        catch_up: wish.catch_up.unwrap_or(CatchUp::One),
        catch_up_minutes: wish.catch_up_minutes,
        overlap: wish.overlap.unwrap_or(overlap),
        model: text(&wish.model),
        thinking: wish.thinking,
        budget_micros: wish.budget_micros,
        quiet,
        created_at: before.as_ref().map_or(now, |before| before.created_at),
        updated_at: now,
        jitter_secs: wish.jitter_secs.unwrap_or_default(),
        delete_when_done: wish.delete_when_done,
        done_at: None,
        session: wish.session.unwrap_or(RoutineSession::Isolated),
        deliver_to,
    };
    let same = |before: &Routine| Routine { updated_at: now, ..before.clone() } == routine;
    if let Some(before) = before.as_ref().filter(|before| same(before)) {
        return Ok(before.clone());
    }
    tx.put(&routine)?;
    let act = if before.is_some() { RoutineAct::Changed } else { RoutineAct::Created };
    emit(tx, &routine, act);
    keep::settle(tx, routine.id)?;
    Ok(routine)
}

fn emit(tx: &mut WriteTx<'_>, routine: &Routine, act: RoutineAct) {
    tx.emit(Event::RoutineChanged { routine: routine.id, name: routine.name.clone(), act });
}

/// Returns a routine that the acting agent or person may change.
fn owned(tx: &WriteTx<'_>, id: RoutineId) -> Result<Routine, RoutineError> {
    let routine = queries::get(tx, id)?;
    match tx.by().agent() {
        Some(agent) if agent != routine.agent => Err(RoutineError::NotOwned),
        _ => Ok(routine),
    }
}

/// Fails if the routine changed since revision `rev`.
///
/// # Errors
/// `Stale`, or if there is no such routine.
pub fn check_rev(tx: &WriteTx<'_>, id: RoutineId, rev: Option<u64>) -> Result<(), RoutineError> {
    let Some(expected) = rev else { return Ok(()) };
    match queries::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

/// Deletes a routine with its history. Work that it started continues.
///
/// # Errors
/// If there is no such routine or it belongs to another agent.
pub fn delete(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<(), RoutineError> {
    let routine = owned(tx, id)?;
    // Deletes its firings in the same transaction. Their number is limited so that this fits.
    tx.delete::<Routine>(id)?;
    emit(tx, &routine, RoutineAct::Deleted);
    Ok(())
}

/// Pauses a routine. Work that it started continues.
///
/// # Errors
/// If there is no such routine or it belongs to another agent.
pub fn pause(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<Routine, RoutineError> {
    let mut routine = owned(tx, id)?;
    if !routine.active {
        return Ok(routine);
    }
    routine.active = false;
    change(tx, routine, RoutineAct::Paused)
}

/// Resumes a routine from now. Instants during the pause are not caught up on.
///
/// # Errors
/// If there is no such routine or it belongs to another agent.
pub fn resume(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<Routine, RoutineError> {
    let mut routine = owned(tx, id)?;
    if routine.active {
        return Ok(routine);
    }
    (routine.active, routine.stopped, routine.done_at) = (true, None, None);
    if let Some(mut clock) = tx.get::<Clock>(id)? {
        clock.failures = 0;
        tx.put(&clock)?;
    }
    change(tx, routine, RoutineAct::Resumed)
}

/// Approves a routine that an agent created or changed.
///
/// # Errors
/// If there is no such routine or the actor is an agent.
pub fn approve(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<Routine, RoutineError> {
    if tx.by().agent().is_some() {
        return Err(RoutineError::NotOwned);
    }
    let mut routine = owned(tx, id)?;
    if !routine.asks {
        return Ok(routine);
    }
    routine.asks = false;
    change(tx, routine, RoutineAct::Approved)
}

fn change(
    tx: &mut WriteTx<'_>,
    mut routine: Routine,
    act: RoutineAct,
) -> Result<Routine, RoutineError> {
    routine.updated_at = tx.now();
    tx.put(&routine)?;
    emit(tx, &routine, act);
    keep::settle(tx, routine.id)?;
    Ok(routine)
}

/// Pauses all routines, or resumes them from now.
pub fn pause_all(tx: &mut WriteTx<'_>, pause: bool) -> Result<(), RoutineError> {
    let rules = queries::rules(tx)?;
    if rules.paused_at.is_some() == pause {
        return Ok(());
    }
    tx.put(&RoutineRules { paused_at: pause.then(|| tx.now()), ..rules })?;
    Ok(settle_all(tx)?)
}

/// Updates the clocks of all routines.
pub fn settle_all(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    // Archived routines have no running clock.
    let all: Vec<Routine> = tx.scan(BY_AGENT, &Range::all().limit(PAGE))?;
    for routine in all {
        keep::settle(tx, routine.id)?;
    }
    Ok(())
}

/// Sets whether routines of agents need approval.
pub fn set_ask(tx: &mut WriteTx<'_>, ask: bool) -> Result<(), RoutineError> {
    let rules = queries::rules(tx)?;
    tx.put(&RoutineRules { ask, ..rules })?;
    Ok(())
}

/// Fires a routine now, even if paused. With a record, as if the event had happened to it.
///
/// # Errors
/// If there is no such routine or record.
pub fn run_now(
    tx: &mut WriteTx<'_>,
    id: RoutineId,
    record: Option<&str>,
) -> Result<Firing, RoutineError> {
    let routine = owned(tx, id)?;
    let (mut values, mut subject, mut about) = (Values::new(), String::new(), None);
    let record = record.map(str::trim).filter(|name| !name.is_empty());
    if let (Some(name), Some(watch)) = (record, routine.watch()) {
        let kind = registry::kind(&watch.event);
        let happening = match kind {
            Some(kind) => event_context::pretend(tx, kind, name)?,
            None => None,
        };
        let moment = Moment { actor: tx.by(), at: tx.now(), entry: None };
        let found = match &happening {
            Some(happening) => event_context::of(tx, happening, &moment)?,
            None => None,
        };
        let found = found.ok_or_else(|| RoutineError::NoRecord(name.to_owned()))?;
        (values, subject, about) = (found.values, found.subject, found.task);
    }
    let shot = fire::Shot {
        slot: Slot::Manual(tx.new_id::<FiringId>().uuid().as_u64_pair().0),
        by: kernel::FiredBy::Manual,
        subject,
        values,
        about,
        more: String::new(),
        depth: 1,
        hold: None,
        count: 1,
    };
    let mut clock = tx.get::<Clock>(id)?.unwrap_or_else(|| Clock::new(id));
    let fired = fire::shoot(tx, &routine, &mut clock, shot)?;
    tx.put(&clock)?;
    match fired {
        Some(firing) => Ok(firing),
        // Fired twice in one transaction.
        None => Err(RoutineError::NotFound(id.to_string())),
    }
}
