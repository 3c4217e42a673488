//! Clocks and histories: what follows from a routine, kept beside it.

use crate::features::routines::model::{BY_ROUTINE, BY_SLOT, Clock, Firing, Routine, Slot};
use crate::features::routines::rules::writing;
use crate::features::routines::{queries, registry};
use crate::kernel::{
    About, AgentId, Event, FiringId, Notice, NoticeKind, RoutineAct, RoutineId, Timestamp,
};
use crate::store::{KeyBuf, Range, ReadExt, StoreError, WriteTx};

/// Failures one after the other that make a routine stand still.
pub const MOST_FAILURES: u8 = 3;
/// How many firings of a routine are kept whatever became of them.
const KEPT: usize = 500;

/// Makes the clock of a routine fit it: another schedule counts from now on, and one that stands still, or
/// does not hear of changes of tasks, waits for nobody's words.
///
/// # Errors
/// When the store refuses.
pub fn settle(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<(), StoreError> {
    // Its clock goes with it.
    let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
    let goes = routine.is_on() && queries::rules(tx)?.paused_at.is_none();
    let wanted = routine.schedule().filter(|_| goes);
    let hears = goes && routine.watch().is_some_and(|one| one.event == registry::TASK_CHANGED);
    let before = tx.get::<Clock>(id)?;
    let fits =
        |clock: &Clock| clock.schedule.as_ref() == wanted && (hears || clock.writing.is_empty());
    if before.as_ref().is_some_and(fits) {
        return Ok(());
    }
    let mut clock = before.unwrap_or_else(|| Clock::new(id));
    if !hears {
        clock.writing.clear();
    }
    if clock.schedule.as_ref() != wanted {
        clock.next_at = wanted.and_then(|schedule| schedule.next(tx.now()));
        clock.schedule = wanted.cloned();
    }
    tx.put(&clock)
}

/// Lets clocks stand until all work goes on, in a workspace that came in from elsewhere: what has come by
/// then, what was gathered to be told, and words that are being written, are done where it comes from.
///
/// # Errors
/// When the store refuses.
pub fn stand(tx: &mut WriteTx<'_>, routines: &[RoutineId]) -> Result<(), StoreError> {
    for id in routines {
        let Some(mut clock) = tx.get::<Clock>(*id)? else { continue };
        (clock.schedule, clock.next_at) = (None, None);
        (clock.gathered, clock.gathered_count) = (Vec::new(), 0);
        clock.writing.clear();
        tx.put(&clock)?;
    }
    Ok(())
}

/// A clock that was far ahead made instants of routines wait: those that come sooner and have not
/// fired are waited for again. Words rest from now on.
///
/// # Errors
/// When the store refuses.
pub fn rewind(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let now = tx.now();
    let clocks: Vec<Clock> = tx.list(&Range::all())?;
    for mut clock in clocks {
        let sooner = sooner(tx, &clock)?;
        clock.next_at = sooner.or(clock.next_at);
        if writing::rewind(&mut clock, now) || sooner.is_some() {
            tx.put(&clock)?;
        }
    }
    Ok(())
}

/// The first instant that has not fired and comes sooner than the one that is waited for.
fn sooner(tx: &WriteTx<'_>, clock: &Clock) -> Result<Option<Timestamp>, StoreError> {
    let (Some(schedule), Some(next)) = (&clock.schedule, clock.next_at) else { return Ok(None) };
    let mut sooner = schedule.next(tx.now());
    while let Some(at) = sooner.filter(|at| *at < next) {
        if !fired(tx, clock.routine, at)? {
            return Ok(Some(at));
        }
        sooner = schedule.next(at);
    }
    Ok(None)
}

/// Whether there is a firing of an instant.
pub(super) fn fired(
    tx: &WriteTx<'_>,
    routine: RoutineId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mut key = KeyBuf::of(&routine);
    key.part(Slot::At(at.as_millisecond()));
    tx.taken(BY_SLOT, &key)
}

/// What a routine began is over: three failures one after the other make it stand still.
///
/// # Errors
/// When the store refuses.
pub fn over(tx: &mut WriteTx<'_>, id: RoutineId, failure: Option<&str>) -> Result<(), StoreError> {
    let Some(mut clock) = tx.get::<Clock>(id)? else { return Ok(()) };
    let Some(why) = failure else {
        if clock.failures != 0 {
            clock.failures = 0;
            tx.put(&clock)?;
        }
        return Ok(());
    };
    clock.failures = clock.failures.saturating_add(1);
    tx.put(&clock)?;
    let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
    if clock.failures < MOST_FAILURES || !routine.active {
        return Ok(());
    }
    let why = if why.is_empty() { "nobody said why" } else { why };
    let (about, title) =
        (About::Routine(routine.id), format!("The routine {} was stopped", routine.name));
    let mut notice = Notice::new(NoticeKind::OperationFailed, about, title).body(why).or_admins();
    if let Some(account) = routine.created_by.account() {
        notice = notice.to(account);
    }
    tx.emit(notice.event());
    let words = format!("{MOST_FAILURES} runs failed one after the other; the last: {why}");
    stop(tx, routine, words, RoutineAct::Tripped)
}

/// The agent of routines is archived: they stand still until somebody resumes them.
///
/// # Errors
/// When the store refuses.
pub fn stop_all_of(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), StoreError> {
    for routine in queries::of_agent(tx, agent)? {
        if routine.active {
            stop(tx, routine, "its agent is archived".to_owned(), RoutineAct::Paused)?;
        }
    }
    Ok(())
}

fn stop(
    tx: &mut WriteTx<'_>,
    mut routine: Routine,
    why: String,
    act: RoutineAct,
) -> Result<(), StoreError> {
    routine.active = false;
    routine.stopped = Some(crate::kernel::text::ellipsis(&why, 300));
    routine.updated_at = tx.now();
    tx.put(&routine)?;
    let (id, name) = (routine.id, routine.name);
    tx.emit(Event::RoutineChanged { routine: id, name, act });
    settle(tx, id)
}

/// Removes old firings of a routine: of those older than the ones that are kept and than `spared` more it
/// looks at the newest, at most so many. One that made a task which is still there, or whose work is not
/// over, stays: it says which routine pays for that. Says how many stay and how many have gone.
///
/// # Errors
/// When the store refuses.
pub fn sweep(
    tx: &mut WriteTx<'_>,
    id: RoutineId,
    (spared, piece): (usize, usize),
) -> Result<(usize, usize), StoreError> {
    let newer = KEPT + spared;
    let range = Range::prefix(KeyBuf::of(&id)).reverse().limit(newer + piece);
    let all = tx.ids::<Firing>(BY_ROUTINE, &range)?;
    let (mut stay, mut gone) = (0, 0);
    for firing in all.into_iter().skip(newer) {
        if is_needed(tx, firing)? {
            stay += 1;
        } else {
            tx.delete::<Firing>(firing)?;
            gone += 1;
        }
    }
    Ok((stay, gone))
}

fn is_needed(tx: &WriteTx<'_>, id: FiringId) -> Result<bool, StoreError> {
    let Some(firing) = tx.get::<Firing>(id)? else { return Ok(false) };
    let item = queries::item_of(tx, &firing)?;
    Ok(firing.made.is_some() || item.is_some_and(|item| item.is_open()))
}
