//! Feed consumer that lets events fire routines. Its cursor moves in the transaction of the firings, so each event
//! counts exactly once and never delays its author.

use std::sync::atomic::{AtomicU64, Ordering};

use super::event_context::{self, Moment};
use super::model::{ROUTINE_RULES, ROUTINES, Routine, Slot, Trigger};
use super::queries::{self, origin};
use super::registry::{self, Change, Happening, Kind, MOST_KINDS, Subject};
use super::rules::happen::LONG_PAST;
use super::rules::{self, happen, keep, writing};
use kernel::RoutineId;
use kernel::key::decode;
use store::consumer::{Consume, ConsumeError};
use store::{Entry, Read, ReadExt, StoreError, WriteTx};

/// Consumer number. Never reused.
pub const ROUTINES_CONSUMER: u16 = 3;

/// First position of row changes in a slot, above all event positions.
const ROWS: usize = 1 << 20;

/// Bit set of the event kinds that any routine of this process waits for. Without a bit, entries are skipped. May have
/// extra bits, never too few.
static WATCHED: [AtomicU64; MOST_KINDS / 64] = [const { AtomicU64::new(0) }; MOST_KINDS / 64];

pub struct Follow;

/// Fills the bit set. Call before the consumer starts.
pub fn learn(read: &dyn Read) -> Result<(), StoreError> {
    queries::all(read)?.iter().for_each(note);
    Ok(())
}

fn note(routine: &Routine) {
    if let Trigger::Event(watch) = &routine.trigger {
        let Some(place) = registry::place(&watch.event) else { return };
        if let Some(word) = WATCHED.get(place / 64) {
            word.fetch_or(1 << (place % 64), Ordering::Relaxed);
        }
    }
}

/// Returns `true` if a routine may wait for the kind.
fn is_watched(kind: &Kind) -> bool {
    let place = registry::place(kind.word).unwrap_or(MOST_KINDS);
    let word = WATCHED.get(place / 64).map_or(0, |word| word.load(Ordering::Relaxed));
    word & (1 << (place % 64)) != 0
}

/// Awaited happenings of an entry, with their positions.
fn happened(entry: &Entry) -> Vec<(usize, Happening)> {
    if WATCHED.iter().all(|word| word.load(Ordering::Relaxed) == 0) {
        return Vec::new();
    }
    let events = entry.events.iter().enumerate().flat_map(|(place, event)| {
        registry::happenings(event).into_iter().map(move |one| (place, one))
    });
    let rows = entry.changes.iter().enumerate().filter_map(|(n, change)| {
        registry::of_row(n, change).map(|happening| (ROWS + n, happening))
    });
    events.chain(rows).filter(|(_, one)| is_watched(one.kind)).collect()
}

impl Consume for Follow {
    fn number(&self) -> u16 {
        ROUTINES_CONSUMER
    }

    fn name(&self) -> &'static str {
        "routines"
    }

    fn concerns(&self, entry: &Entry) -> bool {
        let own = [ROUTINES.number, ROUTINE_RULES.number];
        entry.changes.iter().any(|change| own.contains(&change.table))
            || !happened(entry).is_empty()
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        for change in entry.changes.iter().filter(|change| change.table == ROUTINES.number) {
            // Includes routines that an undo restored.
            let Some(id) = decode::<RoutineId>(&change.key) else { continue };
            if let Some(routine) = tx.get::<Routine>(id)? {
                note(&routine);
                keep::settle(tx, id)?;
            }
        }
        if entry.changes.iter().any(|change| change.table == ROUTINE_RULES.number) {
            rules::settle_all(tx)?;
        }
        let all = happened(entry);
        if all.is_empty() || queries::rules(tx)?.paused_at.is_some() {
            return Ok(());
        }
        for (place, happening) in all {
            take(tx, entry, place, &happening)?;
        }
        Ok(())
    }

    fn repeats(&self) -> bool {
        // Slots are unique, but digest counts would be doubled.
        false
    }

    fn reborn(&self, tx: &mut WriteTx<'_>) -> Result<(), ConsumeError> {
        // The store was replaced, so the routines may differ whatever the feed contains.
        Ok(rules::settle_all(tx)?)
    }
}

fn take(
    tx: &mut WriteTx<'_>,
    entry: &Entry,
    place: usize,
    happening: &Happening,
) -> Result<(), StoreError> {
    let at = kernel::time::from_ms(entry.at);
    // A workspace may have been offline. Events from long ago fire nothing.
    if at < tx.now() - LONG_PAST {
        return Ok(());
    }
    let mut watching = queries::watching(tx, happening.kind.word)?;
    // Events from before the routine's last change do not count.
    watching.retain(|routine| routine.is_on() && routine.updated_at <= at);
    if watching.is_empty() {
        return Ok(());
    }
    let behind = origin::of(tx, entry, place, happening)?;
    let moment = Moment::of(entry);
    let Some(scene) = event_context::of(tx, happening, &moment)? else { return Ok(()) };
    let subject = match happening.subject {
        Subject::Agent(agent, _) => Some(agent),
        _ => None,
    };
    let actor = entry.actor.agent().or(subject);
    // Text may still be edited. Its change fires once, when editing settles.
    let written = match happening.change {
        Change::Row(n) if !scene.written.is_empty() => scene.task.zip(u16::try_from(n).ok()),
        _ => None,
    };
    for routine in watching {
        let Trigger::Event(watch) = &routine.trigger else { continue };
        let own = actor == Some(routine.agent) && !watch.own_changes;
        if own || behind.as_ref().is_some_and(|behind| behind.routine == routine.id) {
            continue;
        }
        let depth = behind.as_ref().map_or(1, |behind| behind.depth.saturating_add(1));
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        if let Some((task, n)) = written {
            let words = (task, scene.written.as_slice());
            if writing::wait(tx, routine.id, words, (entry, n, place), depth)? {
                continue;
            }
        }
        let mut scene = scene.clone();
        if !happen::holds(tx, &routine, watch, &mut scene)? {
            continue;
        }
        happen::happened(tx, &routine, scene, Slot::Event(entry.seq, place), depth)?;
    }
    Ok(())
}
