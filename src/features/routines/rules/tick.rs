//! Scheduled firings. Each instant ends in exactly one row: its firing, or a row for missed instants, which may cover
//! many. The row and the next instant are written in one transaction and each slot is used once, so neither a crash nor
//! a clock jump fires twice.

use jiff::{SignedDuration, Timestamp};

use crate::routines::conditions::Values;
use crate::routines::model::{Clock, DUE, Firing, Routine, Slot};
use crate::routines::queries;
use crate::routines::rules::fire::{self, Shot};
use crate::routines::rules::{happen, keep, writing};
use kernel::cadence::Schedule;
use kernel::key::KeyBuf;
use kernel::{CatchUp, Fate, FiredBy};
use store::{Range, Read, ReadExt, StoreError, WriteTx};

/// An instant of up to this age fires normally.
const ON_TIME: SignedDuration = SignedDuration::from_secs(90);
/// Default maximum age of an instant to catch up on.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Maximum number of instants to catch up on.
const MOST_MADE_UP: usize = 10;
/// Maximum number of instants to examine when catching up.
const LOOKED_AT: usize = 20_000;
/// Number of late firings that start at once after downtime. The others are staggered.
const AT_ONCE: u32 = 5;
/// Interval of staggered firings.
const APART: SignedDuration = SignedDuration::from_secs(5);

/// Result of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Number of due routines.
    pub due: usize,
    /// Number of late firings since the last tick without any.
    pub late: u32,
}

/// Next time at which a routine is due on its own.
pub fn next_due(tx: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let next: Vec<Clock> = tx.scan(DUE, &Range::all().limit(1))?;
    Ok(next.first().and_then(Clock::due))
}

/// Fires at most `limit` due routines. `late` is the number of late firings since the last tick without any.
pub fn tick(tx: &mut WriteTx<'_>, limit: usize, late: u32) -> Result<Ticked, StoreError> {
    let now = tx.now();
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    let due: Vec<Clock> = tx.scan(DUE, &Range::between(KeyBuf::new(), end).limit(limit))?;
    let mut ticked = Ticked { due: due.len(), late };
    for (n, clock) in due.into_iter().enumerate() {
        // A firing that creates many tasks gets a feed entry of its own, so that it can be undone separately.
        let routine = tx.get::<Routine>(clock.routine)?;
        let alone = routine.is_some_and(|routine| routine.action.tasks().is_some());
        if alone && 0 < n {
            break;
        }
        one(tx, clock, &mut ticked.late)?;
        if alone {
            break;
        }
    }
    Ok(ticked)
}

/// Handles one due routine.
fn one(tx: &mut WriteTx<'_>, mut clock: Clock, late: &mut u32) -> Result<(), StoreError> {
    let now = tx.now();
    let Some(routine) = tx.get::<Routine>(clock.routine)? else {
        tx.delete::<Clock>(clock.routine)?;
        return Ok(());
    };
    let stands = queries::rules(tx)?.paused_at.is_some() || !routine.is_on();
    if clock.digest_at().is_some_and(|at| at <= now) {
        if stands {
            (clock.gathered, clock.gathered_count) = (Vec::new(), 0);
        } else {
            happen::digest(tx, &routine, &mut clock)?;
        }
    } else if !stands {
        writing::rest(tx, &routine, &mut clock)?;
    }
    if stands {
        clock.writing.clear();
    }
    if let (Some(schedule), Some(next)) = (clock.schedule.clone(), clock.next_at)
        && clock.fires_at(next) <= now
    {
        let until = come(&schedule, &clock, next, now);
        if !stands {
            slots(tx, &routine, &mut clock, (&schedule, next, until), late)?;
        }
        clock.next_at = schedule.next(until);
        if clock.next_at.is_none() {
            finish(tx, &routine, &clock)?;
        }
    }
    tx.put(&clock)
}

/// Newest instant whose jitter has elapsed.
fn come(schedule: &Schedule, clock: &Clock, next: Timestamp, now: Timestamp) -> Timestamp {
    let before = |at: Timestamp| at - SignedDuration::from_millis(1);
    let newest = |until| schedule.passed(before(next), until).map(|passed| passed.last);
    let mut last = newest(now);
    while let Some(at) = last.filter(|at| now < clock.fires_at(*at)) {
        last = newest(before(at));
    }
    last.unwrap_or(next)
}

/// Deactivates a routine whose schedule has ended, such as a one-time routine.
fn finish(tx: &mut WriteTx<'_>, routine: &Routine, clock: &Clock) -> Result<(), StoreError> {
    let mut over = routine.clone();
    over.active = false;
    over.updated_at = tx.now();
    tx.put(&over)?;
    // Work in the inbox archives the routine when it is done. A created task is already the whole result.
    let last = match clock.last {
        Some(id) => tx.get::<Firing>(id)?,
        None => None,
    };
    let made = |firing: Firing| firing.made.is_some() && matches!(firing.slot, Slot::At(_));
    match last.is_some_and(made) {
        true => keep::put_away(tx, over),
        false => Ok(()),
    }
}

/// Fires for the instants from `next` up to `until`, and records missed ones.
fn slots(
    tx: &mut WriteTx<'_>,
    routine: &Routine,
    clock: &mut Clock,
    (schedule, next, until): (&Schedule, Timestamp, Timestamp),
    late: &mut u32,
) -> Result<(), StoreError> {
    let now = tx.now();
    let before = next - SignedDuration::from_millis(1);
    let Some(passed) = schedule.passed(before, until) else { return Ok(()) };
    let on_time = now.duration_since(clock.fires_at(passed.last)) <= ON_TIME;
    let oldest = now - max_age(routine, schedule, passed.last);
    let mut fires = match routine.catch_up {
        CatchUp::None => Vec::new(),
        CatchUp::One => vec![passed.last],
        CatchUp::All => {
            let delay = SignedDuration::from_secs(i64::from(clock.jitter_secs));
            let from = before.max(oldest - delay - SignedDuration::from_millis(1));
            let all = schedule.between(from, until, LOOKED_AT);
            all[all.len().saturating_sub(MOST_MADE_UP)..].to_vec()
        }
    };
    fires.retain(|at| oldest <= clock.fires_at(*at));
    if on_time && !fires.contains(&passed.last) {
        fires.push(passed.last);
    }
    let missed = passed.count - u32::try_from(fires.len()).unwrap_or(0).min(passed.count);
    if 0 < missed {
        // The newest unfired instant is the slot of the row.
        let named = match fires.first() {
            None => passed.last,
            Some(first) => {
                let until = *first - SignedDuration::from_millis(1);
                schedule.passed(before, until).map_or(next, |passed| passed.last)
            }
        };
        miss(tx, routine, named, missed)?;
    }
    for at in fires {
        let in_time = on_time && at == passed.last;
        let hold = if in_time { None } else { spread(now, late) };
        let shot = Shot {
            slot: Slot::At(at.as_millisecond()),
            by: if in_time { FiredBy::Schedule } else { FiredBy::CatchUp },
            subject: String::new(),
            values: Values::new(),
            about: None,
            more: String::new(),
            depth: 1,
            hold,
            count: 1,
        };
        fire::shoot(tx, routine, clock, shot)?;
    }
    Ok(())
}

/// Start time of a late firing. `None` means now.
fn spread(now: Timestamp, late: &mut u32) -> Option<Timestamp> {
    *late = late.saturating_add(1);
    let after = late.saturating_sub(AT_ONCE);
    (0 < after).then(|| now + APART * i32::try_from(after).unwrap_or(i32::MAX / 8))
}

/// Maximum age of an instant to catch up on: one interval, at most a day, unless the routine sets it.
fn max_age(routine: &Routine, schedule: &Schedule, last: Timestamp) -> SignedDuration {
    if let Some(minutes) = routine.catch_up_minutes {
        return SignedDuration::from_mins(i64::from(minutes));
    }
    let interval = schedule.next(last).map_or(MAX_AGE, |next| next.duration_since(last));
    interval.min(MAX_AGE)
}

fn miss(
    tx: &mut WriteTx<'_>,
    routine: &Routine,
    at: Timestamp,
    count: u32,
) -> Result<(), StoreError> {
    if keep::fired(tx, routine.id, at)? {
        return Ok(());
    }
    let missed = Firing {
        id: tx.new_id(),
        routine: routine.id,
        slot: Slot::At(at.as_millisecond()),
        by: FiredBy::Schedule,
        fate: Fate::Missed,
        why: String::new(),
        count,
        subject: String::new(),
        instruction: String::new(),
        title: String::new(),
        about: None,
        made: None,
        depth: 1,
        held_until: None,
        at: tx.now(),
        values: Vec::new(),
    };
    fire::record_skipped(tx, missed, Fate::Missed, "HQ was off at this time".to_owned()).map(drop)
}
