//! One firing: its row, the work that it starts, and the updated clock, in one transaction.

use jiff::tz::TimeZone;

use crate::inbox::model::{BY_KEY, Item};
use crate::inbox::queries as inbox;
use crate::routines::conditions::Values;
use crate::routines::model::{BY_SLOT, Clock, Firing, Quiet, Routine, Slot};
use crate::routines::queries::plan;
use crate::routines::render;
use crate::tasks::model::template::Template;
use crate::tasks::model::{BY_NUMBER, Task};
use crate::workspace::model::{Counter, Counting};
use kernel::cadence::Hours;
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{Event, Fate, FiredBy, FiringId, Overlap, TaskId, Timestamp, TypedId as _};
use store::{ReadExt, StoreError, WriteTx};

/// Maximum length of a chain of routines that cause each other.
pub const MAX_DEPTH: u8 = 3;
/// Maximum length of a reason, in characters.
const MAX_WHY: usize = 300;
/// Maximum number of waiting firings of a routine that queues them.
const MOST_WAITING: usize = 50;

/// A firing to be created.
pub struct Shot {
    pub slot: Slot,
    pub by: FiredBy,
    /// One line.
    pub subject: String,
    /// Values for the template.
    pub values: Values,
    pub about: Option<TaskId>,
    /// Text to append to the instruction.
    pub more: String,
    /// Length of the chain of routines that caused each other, including this one.
    pub depth: u8,
    /// Quiet hours hold the work until then.
    pub hold: Option<Timestamp>,
    /// Number of instants or events that it covers.
    pub count: u32,
}

/// Fires, or records why it does not. Returns `None` if the slot is already used. Changes `clock` without storing it.
/// Errors of a noun that rejects the work are recorded in the firing.
pub fn shoot(
    tx: &mut WriteTx<'_>,
    routine: &Routine,
    clock: &mut Clock,
    shot: Shot,
) -> Result<Option<Firing>, StoreError> {
    let mut key = KeyBuf::of(&routine.id);
    key.part(shot.slot);
    if tx.taken(BY_SLOT, &key)? {
        return Ok(None);
    }
    let id: FiringId = tx.new_id();
    let seed = format!("routine/{id}/{}", routine.id.short());
    let mut instruction = render::instruction(routine.template(), &shot.values, &seed);
    if !shot.more.is_empty() {
        instruction = format!("{instruction}\n\n{}", shot.more);
    }
    let title = routine.action.task().map(|form| render::title(&form.title, &shot.values));
    let values = match routine.action.tasks() {
        Some(form) => match tx.get::<Template>(form.template)? {
            Some(template) => plan::values_of(routine, &template.items, &shot.values),
            // The reason recorded below names the missing template.
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let quiet = routine.quiet.as_ref().and_then(|quiet| quiet_until(quiet, tx.now()));
    let by_hand = shot.by == FiredBy::Manual;
    let mut firing = Firing {
        id,
        routine: routine.id,
        slot: shot.slot,
        by: shot.by,
        fate: Fate::Started,
        why: String::new(),
        count: shot.count,
        subject: shot.subject,
        instruction,
        title: title.unwrap_or_default(),
        about: shot.about,
        made: None,
        depth: shot.depth,
        held_until: shot.hold.max(quiet).filter(|_| !by_hand),
        at: tx.now(),
        values,
    };
    if MAX_DEPTH < shot.depth {
        let why = format!("{MAX_DEPTH} routines have already triggered each other");
        return record_skipped(tx, firing, Fate::ChainEnded, why).map(Some);
    }
    if !by_hand && let Some(why) = overlaps(tx, routine, clock)? {
        return record_skipped(tx, firing, Fate::SkippedOverlap, why).map(Some);
    }
    let before = last_number(tx)?;
    let begun = tx.attempt(|tx| {
        tx.put(&firing)?;
        let (routine, firing, agent) = (routine.id, firing.id, routine.agent);
        tx.emit(Event::RoutineFired { routine, firing, agent });
        Ok::<_, StoreError>(())
    });
    match begun {
        Ok(()) => {}
        Err(StoreError::Reaction { message, .. }) => {
            return record_skipped(tx, firing, Fate::Refused, message).map(Some);
        }
        Err(error) => return Err(error),
    }
    if !firing.title.is_empty() {
        // Only this firing creates tasks in this transaction. Its task comes first, then the subtasks.
        let made = tx.find::<Task>(BY_NUMBER, &KeyBuf::of(&(before + 1)))?;
        firing.made = made.map(|task| task.id);
        if let Some(form) = routine.action.tasks()
            && let Some(template) = tx.get::<Template>(form.template)?
        {
            let (_, warnings) = plan::who(tx, routine, form, &template)?;
            firing.why = ellipsis(&warnings.join("; "), MAX_WHY);
        }
        tx.put(&firing)?;
    }
    (clock.last, clock.last_at) = (Some(id), Some(tx.now()));
    clock.count = clock.count.saturating_add(1);
    Ok(Some(firing))
}

/// Records a firing that started nothing.
pub(super) fn record_skipped(
    tx: &mut WriteTx<'_>,
    mut firing: Firing,
    fate: Fate,
    why: String,
) -> Result<Firing, StoreError> {
    (firing.fate, firing.why, firing.held_until) = (fate, ellipsis(&why, MAX_WHY), None);
    tx.put(&firing)?;
    Ok(firing)
}

fn last_number(tx: &WriteTx<'_>) -> Result<u32, StoreError> {
    Ok(tx.get::<Counter>(Counting::Tasks)?.map_or(0, |counter| counter.last))
}

/// Reason to skip a firing because earlier work is unfinished, if there is one.
fn overlaps(
    tx: &WriteTx<'_>,
    routine: &Routine,
    clock: &Clock,
) -> Result<Option<String>, StoreError> {
    match routine.overlap {
        Overlap::Allow => Ok(None),
        Overlap::Queue => {
            let waiting = inbox::open_count(tx, routine.agent)?;
            let full = MOST_WAITING <= waiting;
            Ok(full.then(|| format!("{waiting} items are already waiting for the agent")))
        }
        Overlap::Skip => {
            let Some(last) = clock.last else { return Ok(None) };
            let open = item_of(tx, last)?.is_some_and(|item| item.is_open());
            Ok(open.then(|| "the previous run hasn’t ended".to_owned()))
        }
    }
}

/// Inbox item of a firing.
fn item_of(tx: &WriteTx<'_>, firing: FiringId) -> Result<Option<Item>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&crate::routines::model::item_key(firing));
    tx.find(BY_KEY, &key)
}

/// End of the quiet hours that `now` is in.
#[must_use]
pub fn quiet_until(quiet: &Quiet, now: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(&quiet.zone).unwrap_or(TimeZone::UTC);
    Hours { days: quiet.days, from: quiet.from, until: quiet.until }.end(&zone, now)
}

#[cfg(test)]
mod tests {
    use super::quiet_until;
    use crate::routines::model::Quiet;
    use kernel::Timestamp;
    use kernel::cadence::Days;

    #[test]
    fn quiet_hours_go_over_midnight_and_belong_to_the_day_on_which_they_begin() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut quiet =
            Quiet { days: Days::default(), from: 22 * 60, until: 7 * 60, zone: "UTC".into() };
        let end = |quiet: &Quiet, now: &str| quiet_until(quiet, at(now));
        let morning = Some(at("2026-11-21T07:00:00Z"));
        assert_eq!(end(&quiet, "2026-11-20T23:15:00Z"), morning);
        assert_eq!(end(&quiet, "2026-11-21T06:59:00Z"), morning);
        assert_eq!(end(&quiet, "2026-11-21T07:00:00Z"), None);
        assert_eq!(end(&quiet, "2026-11-20T21:59:00Z"), None);
        // The 20th is a Friday: its night ends on Saturday, and none begins then.
        quiet.days = Days::of([5]);
        assert_eq!(end(&quiet, "2026-11-21T02:00:00Z"), morning);
        assert_eq!(end(&quiet, "2026-11-21T23:00:00Z"), None);
        quiet = Quiet { from: 12 * 60, until: 13 * 60, days: Days::default(), ..quiet };
        assert_eq!(end(&quiet, "2026-11-20T12:30:00Z"), Some(at("2026-11-20T13:00:00Z")));
        assert_eq!(end(&quiet, "2026-11-20T13:30:00Z"), None);
    }
}
