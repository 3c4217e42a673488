//! Upkeep of routine clocks and firing history.

use jiff::SignedDuration;

use crate::routines::model::{BY_ROUTINE, BY_SLOT, Clock, Firing, Routine, Slot};
use crate::routines::rules::writing;
use crate::routines::{queries, registry};
use kernel::key::KeyBuf;
use kernel::{
    About, AgentId, Event, FiringId, Notice, NoticeKind, RoutineAct, RoutineId, Timestamp,
};
use store::{Range, ReadExt, StoreError, WriteTx};

/// Consecutive failures after which a routine is paused.
pub const MOST_FAILURES: u8 = 3;
/// Consecutive failures that trigger a notification, at most one per routine and `ALERT_PAUSE`.
const ALERT_FROM: u8 = 2;
const ALERT_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// How long an archived routine and its history are kept.
pub const KEPT_DONE: SignedDuration = SignedDuration::from_hours(180 * 24);
/// Number of newest firings per routine that are kept in any case.
const KEPT: usize = 500;

/// Updates a routine's clock after a change. A new schedule counts from now. A paused routine, or one without a task
/// event, drops its awaited edits.
pub fn settle(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<(), StoreError> {
    // The clock is deleted with its routine.
    let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
    let goes = routine.is_on() && queries::rules(tx)?.paused_at.is_none();
    let wanted = routine.schedule().filter(|_| goes);
    let hears = goes && routine.watch().is_some_and(|one| one.event == registry::TASK_CHANGED);
    let before = tx.get::<Clock>(id)?;
    let fits = |clock: &Clock| {
        clock.schedule.as_ref() == wanted
            && clock.jitter_secs == routine.jitter_secs
            && (hears || clock.writing.is_empty())
    };
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
    clock.jitter_secs = routine.jitter_secs;
    tx.put(&clock)
}

/// Stops the clocks of an imported workspace until work is resumed. Due instants, digests and awaited edits are handled
/// where the workspace came from.
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

/// Corrects clocks after the system clock was far ahead: earlier instants that have not fired are awaited again, and
/// edits settle from now.
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

/// First unfired instant before the awaited one.
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

/// Returns `true` if the instant has a firing.
pub(super) fn fired(
    tx: &WriteTx<'_>,
    routine: RoutineId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mut key = KeyBuf::of(&routine);
    key.part(Slot::At(at.as_millisecond()));
    tx.taken(BY_SLOT, &key)
}

/// Result of work that a routine started.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'e> {
    Well,
    /// Failure with its reason.
    Failed(&'e str),
    /// Out of retries; people were already notified.
    GivenUp(&'e str),
}

/// Records the end of work that a routine started. Two consecutive failures notify people, three pause the routine. A
/// one-time routine is archived on success, and its first failure notifies.
pub fn over(tx: &mut WriteTx<'_>, id: RoutineId, ended: Ended<'_>) -> Result<(), StoreError> {
    let Some(mut clock) = tx.get::<Clock>(id)? else { return Ok(()) };
    let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
    let (why, gave_up) = match ended {
        Ended::Well => {
            if clock.failures != 0 {
                clock.failures = 0;
                tx.put(&clock)?;
            }
            let is_over = !routine.active && clock.next_at.is_none();
            let comes = routine.schedule().is_some_and(|one| one.next(tx.now()).is_some());
            return if is_over && !comes { put_away(tx, routine) } else { Ok(()) };
        }
        Ended::Failed(why) => (why, false),
        Ended::GivenUp(why) => (why, true),
    };
    clock.failures = clock.failures.saturating_add(1);
    let why = if why.is_empty() { "no reason given" } else { why };
    let stops = MOST_FAILURES <= clock.failures && routine.active;
    let enough = if routine.is_once() { 1 } else { ALERT_FROM };
    let heard = clock.alerted_at.is_some_and(|at| tx.now().duration_since(at).abs() < ALERT_PAUSE);
    if !stops && !gave_up && !heard && enough == clock.failures {
        clock.alerted_at = Some(tx.now());
        let times = if enough == 1 { "once" } else { "twice in a row" };
        tell(tx, &routine, &format!("failed {times}"), why);
    }
    tx.put(&clock)?;
    if !stops {
        return Ok(());
    }
    tell(tx, &routine, "was stopped", why);
    let words = format!("{MOST_FAILURES} runs failed in a row. The last one: {why}");
    stop(tx, routine, words, RoutineAct::Tripped)
}

/// Notifies the creator of a routine, or the admins if no person created it.
fn tell(tx: &mut WriteTx<'_>, routine: &Routine, what: &str, why: &str) {
    let (about, title) =
        (About::Routine(routine.id), format!("The routine {} {what}", routine.name));
    let mut notice = Notice::new(NoticeKind::OperationFailed, about, title).body(why).or_admins();
    if let Some(account) = routine.created_by.account() {
        notice = notice.to(account);
    }
    tx.emit(notice.event());
}

/// Archives a one-time routine if `delete_when_done` is set. Its history stays.
pub fn put_away(tx: &mut WriteTx<'_>, mut routine: Routine) -> Result<(), StoreError> {
    if !routine.delete_when_done || !routine.is_once() || routine.done_at.is_some() {
        return Ok(());
    }
    (routine.done_at, routine.updated_at) = (Some(tx.now()), tx.now());
    tx.put(&routine)?;
    let (id, name) = (routine.id, routine.name);
    tx.emit(Event::RoutineChanged { routine: id, name, act: RoutineAct::PutAway });
    Ok(())
}

/// Deletes a routine that was archived long ago, with its history. Keeps it while its tasks exist, because it
/// determines what pays for them.
pub fn forget(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<(), StoreError> {
    let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
    if routine.done_at.is_none_or(|done| tx.now() < done + KEPT_DONE) {
        return Ok(());
    }
    for firing in tx.ids::<Firing>(BY_ROUTINE, &Range::prefix(KeyBuf::of(&id)))? {
        if is_needed(tx, firing)? {
            return Ok(());
        }
    }
    tx.delete::<Routine>(id)?;
    tx.emit(Event::RoutineChanged { routine: id, name: routine.name, act: RoutineAct::Deleted });
    Ok(())
}

/// Pauses the routines of an archived agent until somebody resumes them.
pub fn stop_all_of(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), StoreError> {
    for routine in queries::of_agent(tx, agent)? {
        if routine.active {
            stop(tx, routine, "its agent is archived".to_owned(), RoutineAct::Paused)?;
        }
    }
    Ok(())
}

/// Reassigns all routines of an agent to another agent.
pub fn pass_on(tx: &mut WriteTx<'_>, from: AgentId, to: AgentId) -> Result<(), StoreError> {
    for mut routine in queries::of_agent(tx, from)? {
        (routine.agent, routine.updated_at) = (to, tx.now());
        tx.put(&routine)?;
        let (id, name) = (routine.id, routine.name);
        tx.emit(Event::RoutineChanged { routine: id, name, act: RoutineAct::Changed });
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
    routine.stopped = Some(kernel::text::ellipsis(&why, 300));
    routine.updated_at = tx.now();
    tx.put(&routine)?;
    let (id, name) = (routine.id, routine.name);
    tx.emit(Event::RoutineChanged { routine: id, name, act });
    settle(tx, id)
}

/// Deletes old firings, looking at a limited number of the newest beyond those that are kept and `spared` more. Keeps
/// firings whose task exists or whose work is unfinished, because they determine which routine pays. Returns how many
/// stayed and how many were deleted.
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
