//! Debouncing of task edits. Task pages autosave title and description at each pause, so a routine waiting for task
//! changes fires once per editor when the text has settled, with the combined change (resolution J30). Other changes
//! fire at once.

use jiff::{SignedDuration, Timestamp};

use crate::routines::event_context::{self, Moment};
use crate::routines::model::{Clock, Routine, Slot, Writing};
use crate::routines::queries;
use crate::routines::registry::{self, Change, Happening, Subject};
use crate::routines::rules::happen::{self, LONG_PAST};
use crate::tasks::model::{TASKS, Task};
use crate::tasks::queries::people::assignee_of;
use kernel::key::KeyBuf;
use kernel::time::from_ms;
use kernel::{RoutineId, TaskId};
use store::{Entry, ReadExt, StoreError, WriteTx, feed};

/// Time without edits after which text has settled.
const REST: SignedDuration = SignedDuration::from_mins(10);
/// Maximum number of awaited edits per routine. Further edits fire at once.
const MOST: usize = 50;

/// Defers a text change at this feed position. Returns `false` if too many are deferred already.
pub fn wait(
    tx: &mut WriteTx<'_>,
    routine: RoutineId,
    (task, fields): (TaskId, &[String]),
    (entry, n, place): (&Entry, u16, u32),
    depth: u8,
) -> Result<bool, StoreError> {
    let mut clock = queries::clock(tx, routine)?;
    let (writer, last) = (assignee_of(entry.actor), (entry.seq, place));
    let due_at = from_ms(entry.at) + REST;
    let same = |one: &Writing| one.task == task && assignee_of(one.by) == writer;
    if let Some(n) = clock.writing.iter().position(same) {
        let one = &mut clock.writing[n];
        (one.by, one.last, one.due_at) = (entry.actor, last, due_at);
        one.depth = one.depth.max(depth);
        one.fields.extend_from_slice(fields);
        one.fields.sort_unstable();
        one.fields.dedup();
    } else if clock.writing.len() < MOST {
        let (by, first, fields) = (entry.actor, (entry.seq, n), fields.to_vec());
        clock.writing.push(Writing { task, by, first, last, fields, depth, due_at });
    } else {
        return Ok(false);
    }
    tx.put(&clock)?;
    Ok(true)
}

/// Fires the longest settled edit, if any: one per call. Changes `clock` without storing it.
pub fn rest(tx: &mut WriteTx<'_>, routine: &Routine, clock: &mut Clock) -> Result<(), StoreError> {
    let now = tx.now();
    let all = clock.writing.iter().enumerate().filter(|(_, one)| one.due_at <= now);
    let Some(n) = all.min_by_key(|(_, one)| one.due_at).map(|(n, _)| n) else { return Ok(()) };
    let writing = clock.writing.remove(n);
    let kind = routine.watch().and_then(|watch| registry::kind(&watch.event));
    let (Some(watch), Some(kind)) = (routine.watch(), kind) else { return Ok(()) };
    // After long downtime the edit is stale, and the task may be deleted.
    if writing.due_at < now - LONG_PAST || tx.get::<Task>(writing.task)?.is_none() {
        return Ok(());
    }
    let (seq, place) = writing.last;
    // The change is no longer in the feed.
    let Some(entry) = feed::entry(tx, seq)? else { return Ok(()) };
    let happening = Happening {
        kind,
        subject: Subject::Row(TASKS.number, KeyBuf::of(&writing.task).into_bytes()),
        change: Change::Written(writing.first, writing.fields),
    };
    let Some(mut scene) = event_context::of(tx, &happening, &Moment::of(&entry))? else {
        return Ok(());
    };
    if !happen::holds(tx, routine, watch, &mut scene)? {
        return Ok(());
    }
    happen::count(tx, (routine, clock), scene, Slot::Event(seq, place), writing.depth)
}

/// Shortens waits that were set by a clock that was ahead. Returns whether any was shortened.
#[must_use]
pub fn rewind(clock: &mut Clock, now: Timestamp) -> bool {
    let latest = now + REST;
    let mut late = false;
    for one in clock.writing.iter_mut().filter(|one| latest < one.due_at) {
        (one.due_at, late) = (latest, true);
    }
    late
}
