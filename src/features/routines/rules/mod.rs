//! All writes of routines: what people and agents do with them. How they fire stands in `fire`, what
//! the time does in `tick`, what happens in `happen`, how they wait for who writes in `writing`.

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

/// How many routines one agent has.
const MOST: usize = 100;
/// How many routines are looked at when all are paused.
const PAGE: usize = 5_000;

/// Makes a routine, or changes one. What an agent saves waits for a person, if that was not turned off.
///
/// # Errors
/// When the input is wrong, the agent takes no work, or an agent changes what is not its own.
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
        // Nobody paused what is put away: another moment brings it back.
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

/// Tells of what was done with a routine.
fn emit(tx: &mut WriteTx<'_>, routine: &Routine, act: RoutineAct) {
    tx.emit(Event::RoutineChanged { routine: routine.id, name: routine.name.clone(), act });
}

/// A routine that whoever acts may change.
fn owned(tx: &WriteTx<'_>, id: RoutineId) -> Result<Routine, RoutineError> {
    let routine = queries::get(tx, id)?;
    match tx.by().agent() {
        Some(agent) if agent != routine.agent => Err(RoutineError::NotOwned),
        _ => Ok(routine),
    }
}

/// Refuses when a routine has changed since the caller read it.
///
/// # Errors
/// `Stale`, or when there is no such routine.
pub fn check_rev(tx: &WriteTx<'_>, id: RoutineId, rev: Option<u64>) -> Result<(), RoutineError> {
    let Some(expected) = rev else { return Ok(()) };
    match queries::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

/// Takes a routine away with its history. What it began goes on.
///
/// # Errors
/// When there is none, or it is another agent's.
pub fn delete(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<(), RoutineError> {
    let routine = owned(tx, id)?;
    // Its firings go in the same transaction, so that only as many are kept as fit into one.
    tx.delete::<Routine>(id)?;
    emit(tx, &routine, RoutineAct::Deleted);
    Ok(())
}

/// Lets a routine stand still. What it began goes on.
///
/// # Errors
/// When there is none, or it is another agent's.
pub fn pause(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<Routine, RoutineError> {
    let mut routine = owned(tx, id)?;
    if !routine.active {
        return Ok(routine);
    }
    routine.active = false;
    change(tx, routine, RoutineAct::Paused)
}

/// Lets a routine go on, from now: what passed meanwhile is not made up for.
///
/// # Errors
/// When there is none, or it is another agent's.
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

/// A person lets a routine begin that an agent made or changed.
///
/// # Errors
/// When there is none, or an agent tries.
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

/// Lets all routines stand still, or go on from now.
pub fn pause_all(tx: &mut WriteTx<'_>, pause: bool) -> Result<(), RoutineError> {
    let rules = queries::rules(tx)?;
    if rules.paused_at.is_some() == pause {
        return Ok(());
    }
    tx.put(&RoutineRules { paused_at: pause.then(|| tx.now()), ..rules })?;
    Ok(settle_all(tx)?)
}

/// Looks at the clocks of all routines.
pub fn settle_all(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    // Those that are put away have no clock that goes.
    let all: Vec<Routine> = tx.scan(BY_AGENT, &Range::all().limit(PAGE))?;
    for routine in all {
        keep::settle(tx, routine.id)?;
    }
    Ok(())
}

/// Says whether a person lets each routine begin that an agent made.
pub fn set_ask(tx: &mut WriteTx<'_>, ask: bool) -> Result<(), RoutineError> {
    let rules = queries::rules(tx)?;
    tx.put(&RoutineRules { ask, ..rules })?;
    Ok(())
}

/// Lets a routine fire now, also one that stands still; with a record, as if the event had happened to
/// it.
///
/// # Errors
/// When there is no such routine or record.
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
        // Twice in one transaction.
        None => Err(RoutineError::NotFound(id.to_string())),
    }
}
