//! Clocks and histories: what follows from a routine, kept beside it.

use jiff::SignedDuration;

use crate::routines::model::{BY_ROUTINE, BY_SLOT, Clock, Firing, Routine, Slot};
use crate::routines::rules::writing;
use crate::routines::{queries, registry};
use kernel::key::KeyBuf;
use kernel::{
    About, AgentId, Event, FiringId, Notice, NoticeKind, RoutineAct, RoutineId, Timestamp,
};
use store::{Range, ReadExt, StoreError, WriteTx};

/// Failures one after the other that make a routine stand still.
pub const MOST_FAILURES: u8 = 3;
/// So many of them are told, if nothing was told of this routine for so long.
const ALERT_FROM: u8 = 2;
const ALERT_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// How long a routine stays with its history after it was put away.
pub const KEPT_DONE: SignedDuration = SignedDuration::from_hours(180 * 24);
/// How many firings of a routine are kept whatever became of them.
const KEPT: usize = 500;

/// Makes the clock of a routine fit it: another schedule counts from now on, and one that stands still, or
/// does not hear of changes of tasks, waits for nobody's words.
pub fn settle(tx: &mut WriteTx<'_>, id: RoutineId) -> Result<(), StoreError> {
    // Its clock goes with it.
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

/// Lets clocks stand until all work goes on, in a workspace that came in from elsewhere: what has come by
/// then, what was gathered to be told, and words that are being written, are done where it comes from.
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

/// How something ended that a routine began.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'e> {
    /// It is done.
    Well,
    /// It failed, and this is why.
    Failed(&'e str),
    /// It was tried as often as allowed, which people were told.
    GivenUp(&'e str),
}

/// What a routine began is over. People hear of two failures one after the other, and three make it stand
/// still; one that was for a single moment is put away when it is done, and heard of when it fails once.
pub fn over(tx: &mut WriteTx<'_>, id: RoutineId, ended: Ended<'_>) -> Result<(), StoreError> {
    let Some(mut clock) = tx.get::<Clock>(id)? else { return Ok(()) };
    let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
    let (why, told) = match ended {
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
    let why = if why.is_empty() { "nobody said why" } else { why };
    let stops = MOST_FAILURES <= clock.failures && routine.active;
    let enough = if routine.is_once() { 1 } else { ALERT_FROM };
    let heard = clock.alerted_at.is_some_and(|at| tx.now().duration_since(at).abs() < ALERT_PAUSE);
    if !stops && !told && !heard && enough == clock.failures {
        clock.alerted_at = Some(tx.now());
        let times = if enough == 1 { "once" } else { "twice in a row" };
        tell(tx, &routine, &format!("failed {times}"), why);
    }
    tx.put(&clock)?;
    if !stops {
        return Ok(());
    }
    tell(tx, &routine, "was stopped", why);
    let words = format!("{MOST_FAILURES} runs failed one after the other; the last: {why}");
    stop(tx, routine, words, RoutineAct::Tripped)
}

/// Tells who made a routine what became of it; who runs the workspace, where no person made it.
fn tell(tx: &mut WriteTx<'_>, routine: &Routine, what: &str, why: &str) {
    let (about, title) =
        (About::Routine(routine.id), format!("The routine {} {what}", routine.name));
    let mut notice = Notice::new(NoticeKind::OperationFailed, about, title).body(why).or_admins();
    if let Some(account) = routine.created_by.account() {
        notice = notice.to(account);
    }
    tx.emit(notice.event());
}

/// Puts a routine away that was for one moment, if that was chosen: out of the lists, with its history.
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

/// Removes a routine that was put away long ago, with its history. One whose tasks are there stays: it says
/// what pays for them.
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

/// The agent of routines is archived: they stand still until somebody resumes them.
pub fn stop_all_of(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), StoreError> {
    for routine in queries::of_agent(tx, agent)? {
        if routine.active {
            stop(tx, routine, "its agent is archived".to_owned(), RoutineAct::Paused)?;
        }
    }
    Ok(())
}

/// Gives all routines of an agent to another one.
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

/// Removes old firings of a routine: of those older than the ones that are kept and than `spared` more it
/// looks at the newest, at most so many. One that made a task which is still there, or whose work is not
/// over, stays: it says which routine pays for that. Says how many stay and how many have gone.
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
